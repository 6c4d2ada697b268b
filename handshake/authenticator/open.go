package authenticator

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
)

// Identity is what an authenticator proves: that its sender, the peer of this
// connection, has the key of the first certificate. Whether the chain is trusted is not
// judged yet.
type Identity struct {
	Role        attls.Role // of the sender
	Context     []byte
	Spontaneous bool     // it answers no request
	Chain       [][]byte // DER, end entity first
	SPKI        []byte   // of the end entity, DER
	Scheme      attls.SignatureScheme
	OCSP, SCT   []byte            // of the end entity; nil where it has none
	Extensions  []extensions.List // by CertificateEntry
}

// Validate checks an authenticator of the peer (RFC 9261 section 7.4): that it answers
// an open request of ours, or is a spontaneous one of a server; its context, extensions,
// signature and Finished; and its chain with the function trusted. The empty
// authenticator that refuses an open request is an error with FailEmptyAuthenticator. A
// request is open until it is answered or refused; a failure leaves it so unless Finished
// was right. What an error means for the connection is for the application to decide.
func (c *Connection) Validate(authenticator []byte, trusted func(*Identity) error) (*Identity, error) {
	if trusted == nil {
		return nil, local("there is no function that validates the chain").By("RFC 9261 7.4")
	}
	id, err := c.Open(authenticator)
	if err != nil {
		return nil, err
	}
	if err := trusted(id); err != nil {
		return nil, err
	}
	return id, nil
}

// Open is Validate without the last step: the caller judges the chain.
func (c *Connection) Open(authenticator []byte) (*Identity, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, err := c.openAny(authenticator)
	if err != nil {
		return nil, err
	}
	return id, nil
}

func (c *Connection) openAny(octets []byte) (*Identity, *attls.Error) {
	if err := c.small(octets); err != nil {
		return nil, err
	}
	list, err := c.messages(bytes.Clone(octets)) // the result has views of it
	if err != nil {
		return nil, err
	}
	if len(list) == 1 && list[0].Kind == attls.KindFinished {
		return c.openEmpty(&list[0])
	}
	if err := c.inOrder(list); err != nil {
		return nil, err.By(structureRule)
	}
	return c.openProof(list)
}

// order is what an authenticator consists of.
var order = [...]attls.MessageKind{attls.KindCertificate, attls.KindCertificateVerify, attls.KindFinished}

func (c *Connection) inOrder(list []message.Raw) *attls.Error {
	for i, k := range order {
		if i == len(list) {
			return attls.Errorf(attls.Malformed, attls.FailDecode, "the authenticator ends where %v belongs", k).In(k)
		}
		if list[i].Kind != k {
			return unexpected(&list[i], k.String())
		}
	}
	if len(list) > len(order) && c.obeys(rule.AuthenticatorMessages) {
		return unexpected(&list[len(order)], "nothing")
	}
	return nil
}

// openEmpty finds the request that the empty authenticator refuses.
func (c *Connection) openEmpty(m *message.Raw) (*Identity, *attls.Error) {
	peer := c.cfg.Role.Peer()
	if len(c.open) == 0 {
		return nil, attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
			"the empty authenticator answers a request, and none is open").In(m.Kind).By("RFC 9261 6")
	}
	if err := c.rightLength(m); err != nil {
		return nil, err
	}
	k, err := c.keysOf(peer)
	if err != nil {
		return nil, err
	}
	for i, a := range c.open {
		if !equal(m.Body(), c.mac(k, c.emptyTranscript(k, a.raw, a.context))) {
			continue
		}
		c.open = slices.Delete(c.open, i, i+1)
		if !c.obeys(rule.AuthenticatorEmpty) {
			return &Identity{Role: peer, Context: a.context}, nil
		}
		return nil, attls.Errorf(attls.Refused, attls.FailEmptyAuthenticator,
			"the %v refuses the request with context %x", peer, a.context).In(m.Kind).By("RFC 9261 6")
	}
	return nil, attls.Errorf(
		attls.Violation,
		attls.FailFinished,
		"refuses none of the %d requests that are open",
		len(c.open),
	).
		Under(
			"verify_data",
		).In(
		m.Kind,
	).By(
		"RFC 9261 6",
	)
}

func (c *Connection) rightLength(m *message.Raw) *attls.Error {
	if n := len(m.Body()); n != c.suite.HashLen {
		return attls.Errorf(attls.Malformed, attls.FailDecode, "%d octets instead of %d", n, c.suite.HashLen).
			Under("verify_data").In(m.Kind).By("RFC 8446 4.4.4")
	}
	return nil
}

// openProof checks an authenticator that shows a certificate.
func (c *Connection) openProof(list []message.Raw) (*Identity, *attls.Error) {
	certificate, verify, finished := &list[0], &list[1], &list[2]
	var ct message.Certificate
	if err := ct.Unmarshal(certificate.Body()); err != nil {
		return nil, err
	}
	a, err := c.answers(ct.Context)
	if err != nil {
		return nil, err.In(certificate.Kind)
	}
	id := &Identity{Role: c.cfg.Role.Peer(), Context: ct.Context, Spontaneous: a.raw == nil}
	key, err := c.readCertificate(&ct, id, &a.offered)
	if err != nil {
		return nil, err.In(certificate.Kind)
	}
	k, err := c.keysOf(id.Role)
	if err != nil {
		return nil, err
	}
	h := c.suite.New()
	h.Write(k.context)
	h.Write(a.raw)
	h.Write(certificate.Bytes)
	if id.Scheme, err = c.checkSignature(verify, key, a.schemes, h.Sum(nil)); err != nil {
		return nil, err.In(verify.Kind)
	}
	h.Write(verify.Bytes)
	if err := c.rightLength(finished); err != nil {
		return nil, err
	}
	if !equal(finished.Body(), c.mac(k, h.Sum(nil))) && c.obeys(rule.FinishedVerified) {
		return nil, attls.Errorf(attls.Violation, attls.FailFinished, "does not match the authenticator").
			Under("verify_data").In(finished.Kind).By("RFC 9261 5.2.3")
	}
	c.close(a)
	return id, nil
}

// answers finds the request that a context belongs to, or what a spontaneous
// authenticator may answer, which has no raw octets.
func (c *Connection) answers(context []byte) (*asked, *attls.Error) {
	for _, a := range c.open {
		if bytes.Equal(a.context, context) {
			return a, nil
		}
	}
	if err := c.unused(context); err != nil {
		return nil, err.By(structureRule)
	}
	switch {
	case c.cfg.Role == attls.RoleServer && c.obeys(rule.AuthenticatorAsked):
		return nil, attls.Errorf(attls.Violation, attls.FailRequestContext,
			"is that of no open request, and a client only answers requests").
			Under("certificate_request_context").By("RFC 9261 5")
	case c.cfg.ClientHello == nil:
		return nil, attls.Errorf(attls.Violation, attls.FailRequestContext,
			"is that of no open request, and Config.ClientHello permits no authenticator without one").
			Under("certificate_request_context").By(structureRule)
	}
	return &asked{context: context, schemes: c.cfg.ClientHello.Schemes, offered: c.cfg.ClientHello.offered()}, nil
}

// close ends a request that is answered; the context of a spontaneous authenticator is
// used from now on.
func (c *Connection) close(a *asked) {
	if a.raw == nil {
		c.used.add(a.context)
		return
	}
	c.open = slices.DeleteFunc(c.open, func(o *asked) bool { return o == a })
}

// readCertificate takes everything out of a Certificate but what the hash covers.
func (c *Connection) readCertificate(
	ct *message.Certificate,
	id *Identity,
	offered *extensions.Sent,
) (*provider.PublicKey, *attls.Error) {
	switch n := len(ct.Entries); {
	case n == 0:
		return nil, attls.Errorf(
			attls.Violation,
			attls.FailDecode,
			"an authenticator shows a certificate, or is a Finished alone",
		).
			Under(
				"certificate_list",
			).By(
			"RFC 9261 6",
		)
	case n > c.limits.Entries:
		return nil, attls.Errorf(attls.Local, attls.FailCapacity, "%d entries; Limits.Entries is %d", n, c.limits.Entries).
			Under("certificate_list")
	}
	for i := range ct.Entries {
		e := &ct.Entries[i]
		if err := c.table.Check(attls.KindCertificate, id.Role, i, true, e.Extensions, offered); err != nil {
			return nil, err.Under(entry(i)).By("RFC 9261 5.2.1")
		}
		if err := readStatus(e.Extensions, id, i == 0); err != nil {
			return nil, err.Under(entry(i))
		}
		id.Chain = append(id.Chain, e.Data)
		id.Extensions = append(id.Extensions, e.Extensions)
	}
	spki, key, err := provider.EndEntity(c.prov, ct.Entries[0].Data)
	if err != nil {
		return nil, err.Under(entry(0) + ".cert_data")
	}
	id.SPKI = spki
	return key, nil
}

// readStatus reads what comes with a certificate; that of the end entity is kept.
func readStatus(l extensions.List, id *Identity, keep bool) *attls.Error {
	if x, ok := l.Find(attls.ExtStatusRequest); ok {
		ocsp, err := extensions.ParseCertificateStatus(x.Body)
		if err != nil {
			return x.Locate(err)
		}
		if keep {
			id.OCSP = ocsp
		}
	}
	if x, ok := l.Find(attls.ExtSignedCertificateTimestamp); ok {
		if err := extensions.ParseSCTList(x.Body); err != nil {
			return x.Locate(err)
		}
		if keep {
			id.SCT = x.Body
		}
	}
	return nil
}

func entry(i int) string { return fmt.Sprintf("certificate_list[%d]", i) }

// checkSignature checks a CertificateVerify over the hash of what comes before it.
func (c *Connection) checkSignature(m *message.Raw, key *provider.PublicKey, accepted []attls.SignatureScheme,
	hash []byte) (attls.SignatureScheme, *attls.Error) {
	var cv message.CertificateVerify
	if err := cv.Unmarshal(m.Body()); err != nil {
		return 0, err
	}
	illegal := func(format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).Under("algorithm").
			By("RFC 9261 5.2.2")
	}
	if !slices.Contains(accepted, cv.Scheme) && c.obeys(rule.SchemeOffered) {
		return 0, illegal("%v was not asked for", cv.Scheme)
	}
	if !slices.Contains(c.prov.Schemes(key), cv.Scheme) && c.obeys(rule.SchemeFits) {
		return 0, illegal("%v does not fit a key of type %s", cv.Scheme, key.Algorithm)
	}
	err := c.prov.Verify(key, cv.Scheme, message.SignedContent(contextString, hash), cv.Signature)
	if err != nil && c.obeys(rule.SignatureVerified) {
		return 0, attls.Errorf(
			attls.Violation,
			attls.FailSignature,
			"%v signature: %v; or it was made for another connection",
			cv.Scheme,
			err,
		).Under(
			"signature",
		).By(
			"RFC 9261 5.2.2",
		)
	}
	return cv.Scheme, nil
}

// Refused reports whether an error says that the peer has answered a request with the
// empty authenticator.
func Refused(err error) bool {
	var named *attls.Error
	return errors.As(err, &named) && named.Failure == attls.FailEmptyAuthenticator
}
