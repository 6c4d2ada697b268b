package dissect

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // the hashes of TLS 1.3
	_ "crypto/sha512"
	"hash"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
)

// laterAuth is a post-handshake authentication: its messages, and what the request says.
type laterAuth struct {
	context  []byte
	fields   *profile.Fields
	messages []laterMessage
	cert     *message.Certificate
	epoch    int // extended key updates before it
}

// laterMessage is a message of one, at its place.
type laterMessage struct {
	at  binder.Point
	raw *message.Raw
}

// laterRequest begins an authentication with the server's request.
func (d *dissector) laterRequest(m *message.Raw, r *message.CertificateRequest) {
	f := d.p.NewFields()
	for i := range r.Extensions {
		x := &r.Extensions[i]
		if d.p.Reads(m.Kind, x.Type) {
			_ = d.p.Decode(m.Kind, attls.RoleServer, x.Type, x.Body, f) // what does not parse holds no nonce
		}
	}
	d.seen.requests = append(d.seen.requests, &laterAuth{context: bytes.Clone(r.Context), fields: f,
		epoch:    len(d.seen.updates.exchanges),
		messages: []laterMessage{{binder.PointPostHandshakeCR, m}}})
}

// laterAnswer adds a message of the client to the authentication that it belongs to. A
// message in front of Certificate names no request, so it waits for that.
func (d *dissector) laterAnswer(m *message.Raw, ct *message.Certificate) {
	f := &d.seen
	switch {
	case ct != nil:
		f.answered = nil
		for _, a := range f.requests {
			if bytes.Equal(a.context, ct.Context) && a.cert == nil {
				f.answered = a
			}
		}
		if f.answered == nil {
			return
		}
		for _, early := range f.early {
			f.answered.messages = append(f.answered.messages, laterMessage{binder.PointPostHandshakeAfterCR, early})
		}
		f.early, f.answered.cert = nil, ct
		f.answered.messages = append(f.answered.messages, laterMessage{binder.PointPostHandshakeCT, m})
		for i := range f.later {
			if f.later[i].auth == nil {
				f.later[i].auth = f.answered
			}
		}
	case m.Kind == attls.KindFinished:
		f.answered = nil
	case f.answered == nil:
		f.early = append(f.early, m)
	case m.Kind == attls.KindCertificateVerify:
		f.answered.messages = append(f.answered.messages, laterMessage{binder.PointPostHandshakeCV, m})
	default:
		at := binder.PointPostHandshakeAfterCT
		if f.answered.messages[len(f.answered.messages)-1].at >= binder.PointPostHandshakeCV {
			at = binder.PointPostHandshakeAT
		}
		f.answered.messages = append(f.answered.messages, laterMessage{at, m})
	}
}

// laterInputs is what a binder of post-handshake authentication sees of a recording.
type laterInputs struct {
	reach
	d    *dissector
	auth *laterAuth
	slot int
}

func (l laterInputs) certificate() certificateInputs {
	if l.auth.cert == nil || len(l.auth.cert.Entries) == 0 {
		return certificateInputs{}
	}
	return certificateInputs{l.auth.cert.Entries[0].Data}
}

func (l laterInputs) SPKI(r attls.Role) ([]byte, bool) {
	if r != attls.RoleClient {
		return l.reach.SPKI(r)
	}
	return l.certificate().SPKI(r)
}

func (l laterInputs) Certificate(r attls.Role) ([]byte, bool) {
	if r != attls.RoleClient {
		return l.reach.Certificate(r)
	}
	c := l.certificate()
	return c.der, c.der != nil
}

func (l laterInputs) RequestContext(r attls.Role) ([]byte, bool) {
	return l.auth.context, r == attls.RoleClient
}

func (l laterInputs) Nonce(attester attls.Role) ([]byte, bool) {
	s := &l.d.p.Slots[l.slot]
	if s.Attester != attester {
		return l.reach.Nonce(attester)
	}
	n := l.d.seen.fields.Nonces[l.slot]
	if s.Nonce.Message == attls.KindCertificateRequest {
		n = l.auth.fields.Nonces[l.slot]
	}
	return n, n != nil
}

// Transcript is over the handshake, and over the messages of the authentication to the end of
// the range.
func (l laterInputs) Transcript(r binder.Range) ([]byte, bool) {
	if r.End < binder.PointPostHandshakeCR {
		return l.reach.Transcript(r)
	}
	h := l.d.handshakeHash(l.Hash(), r.Variant)
	if h == nil {
		return nil, false
	}
	if l.auth.epoch > 0 { // behind an extended key update
		hash, ok := l.d.updatedHash(l.Hash(), l.auth.epoch)
		if !ok {
			return nil, false
		}
		h.Reset()
		h.Write(hash)
	}
	for _, m := range l.auth.messages {
		if m.at < r.End || m.at == r.End && !r.Exclusive {
			h.Write(m.raw.Bytes)
		}
	}
	return h.Sum(nil), true
}

// hashOf is the hash of a name, of those of TLS 1.3.
func hashOf(name string) crypto.Hash {
	if name == "SHA-384" {
		return crypto.SHA384
	}
	return crypto.SHA256
}

// handshakeHash is the running hash over the handshake to the client's Finished; nil where
// not all of it can be read.
func (d *dissector) handshakeHash(name string, variant binder.Variant) hash.Hash {
	algorithm := hashOf(name)
	h, retried, hellos, finished := algorithm.New(), d.seen.retry != nil, 0, 0
	for i := range d.items {
		item := &d.items[i]
		if item.Type != attls.ContentTypeHandshake || finished == 2 {
			continue
		}
		if item.Sealed {
			return nil
		}
		m := &item.Message
		first := m.Kind == attls.KindClientHello && hellos == 0
		switch {
		case m.Kind == attls.KindFinished:
			finished++
		case m.Kind == attls.KindClientHello:
			hellos++
		}
		middle := m.Kind == attls.KindHelloRetryRequest || m.Kind == attls.KindClientHello && hellos == 2
		switch {
		case m.Kind == attls.KindNewSessionTicket:
		case retried && first && variant == binder.VariantRFC8446:
			sum := algorithm.New()
			sum.Write(m.Bytes)
			h.Write(append([]byte{byte(attls.TypeMessageHash), 0, 0, byte(algorithm.Size())}, sum.Sum(nil)...))
		case retried && middle && variant == binder.VariantCH1SH,
			retried && (first || m.Kind == attls.KindHelloRetryRequest) && variant == binder.VariantCH2SH:
		default:
			h.Write(m.Bytes)
		}
	}
	if finished < 2 {
		return nil
	}
	return h
}

// compareLater computes the binder of a payload that was shown after the handshake, and compares
// it with the challenge in the payload.
func (d *dissector) compareLater(l *laterPayload, a *attested, unread error) {
	b := &d.p.Binder
	program, name := b.PostHandshake, b.Challenge[l.scheme.Model][l.scheme.Credential]
	if program == nil {
		program = b.Program
	}
	switch {
	case program == nil || name == "":
		a.Reason = d.p.ID + " binds nothing here"
		return
	case d.shadowed == nil || l.auth == nil:
		a.Reason = "the binder is out of reach: the handshake, or the request that it answers, is not there"
		return
	}
	in := laterInputs{reach{Inputs: d.shadowed.engine.InputsOf(a.Slot), d: d, missing: new(string)}, d, l.auth, l.slot}
	v := program.Explain(name, attls.RoleClient, in)
	a.Binder = scenario.MakeBinder(attls.RoleClient, name, v)
	if d.compareWith(a, l.payload, v, *in.missing, unread); a.Comparison == Different {
		a.Readings = d.p.FindAfterReadingsThat(attls.RoleClient, l.scheme.Model, l.scheme.Credential, in,
			carriedIn(a.contents))
	}
}
