package handshake

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"slices"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
	"attls/internal/wire"
)

// A server that keeps nothing over HelloRetryRequest, RFC 8446 section 4.2.2:
// everything that the second ClientHello is checked against, and the hash of the
// first one that the transcript needs, travels in the cookie. Any engine with one
// of the secrets can go on with a second ClientHello as if it were the first
// message that it sees. As no field of the first ClientHello is kept but hashes,
// an error says less than where it is.
//
//	struct {
//	    CipherSuite suite;
//	    NamedGroup selected_group;          // 0: none was asked for
//	    opaque fields[32];                  // SHA-256 of what must not change
//	    opaque order[32];                   // SHA-256 of the types of the extensions, in their order
//	    opaque offer[32];                   // SHA-256 of the profile's extensions
//	    opaque transcript_hash[Hash.length];// of ClientHello1
//	    opaque mac[32];                     // HMAC-SHA256 over all before
//	} Cookie;

const cookieFixed = 2 + 2 + 32 + 32 + 32

// sealCookie makes the cookie for a first ClientHello, the hash of which is given.
func (e *Engine) sealCookie(ch *message.ClientHello, g attls.NamedGroup, hash []byte) []byte {
	w := wire.Append(nil)
	w.Uint16(uint16(e.nego.suite.ID))
	w.Uint16(uint16(g))
	w.Octets(e.unchanging(ch))
	w.Octets(e.order(ch))
	w.Octets(e.profileOffer(ch))
	w.Octets(hash)
	w.Octets(cookieMAC(e.cfg.Retry.Secrets[0], w.Bytes()))
	return w.Bytes()
}

func cookieMAC(secret [32]byte, b []byte) []byte {
	m := hmac.New(sha256.New, secret[:])
	m.Write(b)
	return m.Sum(nil)
}

// unchanging hashes what RFC 8446 section 4.1.2 has unchanged in the second
// ClientHello; profileOffer does so for the extensions of a profile.
func (e *Engine) unchanging(ch *message.ClientHello) []byte {
	h := sha256.New()
	kept := message.ClientHello{LegacyVersion: ch.LegacyVersion, Random: ch.Random, SessionID: ch.SessionID,
		CipherSuites: ch.CipherSuites, CompressionMethods: ch.CompressionMethods}
	if e.cfg.quirks().AcceptNewRandom {
		kept.Random = nil
	}
	for _, x := range ch.Extensions {
		if !e.mayChange(x.Type) && !e.ofProfile(x.Type) {
			kept.Extensions = append(kept.Extensions, x)
		}
	}
	byType(kept.Extensions)
	h.Write(kept.Append(nil))
	return h.Sum(nil)
}

// byType sorts extensions, so that their order has a hash of its own.
func byType(l extensions.List) {
	slices.SortFunc(l, func(a, b extensions.Extension) int { return int(a.Type) - int(b.Type) })
}

// order hashes the types of the extensions that both ClientHellos have.
func (e *Engine) order(ch *message.ClientHello) []byte {
	w := wire.Append(nil)
	for _, x := range ch.Extensions {
		if x.Type == attls.ExtKeyShare || !e.mayChange(x.Type) {
			w.Uint16(uint16(x.Type))
		}
	}
	sum := sha256.Sum256(w.Bytes())
	return sum[:]
}

func (e *Engine) profileOffer(ch *message.ClientHello) []byte {
	var offer extensions.List
	for _, x := range ch.Extensions {
		if e.ofProfile(x.Type) {
			offer = append(offer, x)
		}
	}
	byType(offer)
	h := sha256.New()
	for _, x := range offer {
		h.Write(extensions.Append(nil, x.Type, x.Body))
	}
	return h.Sum(nil)
}

func (e *Engine) ofProfile(x attls.ExtensionType) bool {
	_, ok := e.profile().Extension(x)
	return ok
}

// resumeRetry takes a second ClientHello from its cookie on.
func (e *Engine) resumeRetry(ch *message.ClientHello, o *offers) *attls.Error {
	if err := o.readBodies(attls.ExtCookie); err != nil {
		return err
	}
	body, ok := e.openCookie(o.cookie)
	if !ok {
		return o.place(attls.Errorf(attls.Violation, attls.FailRetryMismatch, "is not a cookie of ours").By("RFC 8446 4.2.2"),
			attls.ExtCookie)
	}
	r := wire.NewReader(body, 0)
	suite, group := attls.CipherSuite(r.Uint16("suite")), attls.NamedGroup(r.Uint16("selected_group"))
	fields, order, offer := r.Octets("fields", sha256.Size), r.Octets("order", sha256.Size), r.Octets("offer", sha256.Size)
	first := r.Rest()
	if e.nego.suite, ok = e.prov.Suite(suite); !ok || len(first) != e.nego.suite.HashLen {
		return o.place(attls.Errorf(attls.Violation, attls.FailRetryMismatch, "names a suite that is not implemented here").
			By("RFC 8446 4.2.2"), attls.ExtCookie)
	}
	e.nego.retried, e.nego.group = true, group
	if !bytes.Equal(fields, e.unchanging(ch)) {
		return changed("ClientHello")
	}
	if !bytes.Equal(order, e.order(ch)) && !e.acceptsReordered() {
		return reordered("extensions", "the cookie does not say which")
	}
	if !bytes.Equal(offer, e.profileOffer(ch)) {
		if err := e.attestationFailure(attls.FailOfferChanged, "differs from the first ClientHello"); err != nil {
			return err.Under("extensions")
		}
	}
	if o.has(attls.ExtEarlyData) {
		return changed("extensions.early_data")
	}
	e.nego.sessionID = append([]byte(nil), ch.SessionID...)
	e.ccsSent = len(ch.SessionID) > 0
	hrr, err := e.helloRetryRequest(group, o.cookie)
	if err != nil {
		return err
	}
	e.note(attls.RoleServer, attls.KindHelloRetryRequest, hrr.Extensions)
	e.transcript.restore(e.nego.suite, first, hrr.Append(nil))
	return nil
}

// openCookie returns what a cookie holds, without its MAC.
func (e *Engine) openCookie(cookie []byte) ([]byte, bool) {
	if len(cookie) < cookieFixed+sha256.Size {
		return nil, false
	}
	body, mac := cookie[:len(cookie)-sha256.Size], cookie[len(cookie)-sha256.Size:]
	for _, s := range e.cfg.Retry.Secrets {
		if hmac.Equal(cookieMAC(s, body), mac) {
			return body, true
		}
	}
	return nil, false
}

// helloRetryRequest builds a HelloRetryRequest; the same arguments give the same
// octets. Without a group none is asked for, without a cookie there is none.
func (e *Engine) helloRetryRequest(g attls.NamedGroup, cookie []byte) (message.ServerHello, *attls.Error) {
	e.ext.reset()
	e.writeAnswers(sending{kind: attls.KindHelloRetryRequest, group: g, cookie: cookie})
	if err := e.profileExtensions(attls.KindHelloRetryRequest); err != nil {
		return message.ServerHello{}, err
	}
	return message.ServerHello{LegacyVersion: attls.VersionTLS12, Random: message.HelloRetryRequestRandom[:],
		SessionID: e.nego.sessionID, CipherSuite: e.nego.suite.ID, Extensions: e.ext.list(e.cfg.ExtensionOrder)}, nil
}
