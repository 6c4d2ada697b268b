package authenticator

import (
	"bytes"
	"crypto"
	"hash"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/internal/wire"
	"attls/negotiation"
)

// contextString is what a signature of CertificateVerify is made for (RFC 9261 section
// 5.2.2).
const contextString = "Exported Authenticator"

// Shown is the identity that an authenticator shows.
type Shown struct {
	// Chain is DER, end entity first; raw public keys have no authenticators (RFC 9261
	// section 5.2.1).
	Chain [][]byte
	// Schemes are those that the key signs under, in order of preference.
	Schemes []attls.SignatureScheme
	// OCSP is a DER OCSPResponse and SCT a SignedCertificateTimestampList; a peer that
	// asks gets them with the end entity.
	OCSP, SCT []byte
	// Extensions are further ones, by CertificateEntry, each of a type that the peer has
	// asked for; Evidence of a draft is one.
	Extensions []extensions.List
	// Signer is asked by Answer and Spontaneous; Start and Finish do without it.
	Signer crypto.Signer
}

// NewShown makes a Shown of a chain (DER, end entity first) and the key of its first
// certificate, which must be the signer's.
func NewShown(chain [][]byte, signer crypto.Signer) (*Shown, error) {
	if len(chain) == 0 || signer == nil {
		return nil, local("a chain of %d certificates, and a private key: %t", len(chain), signer != nil).
			Under("authenticator.Shown")
	}
	schemes, err := provider.SchemesOf(chain[0], signer.Public())
	if err != nil {
		return nil, local("%v", err).Under("authenticator.Shown")
	}
	return &Shown{Chain: chain, Schemes: schemes, Signer: signer}, nil
}

// Draft is an authenticator that lacks its signature.
type Draft struct {
	Scheme  attls.SignatureScheme
	Content []byte // what is to be signed, not hashed

	c          *Connection
	request    *Received // nil: none
	context    []byte
	keys       *keys
	octets     []byte
	transcript hash.Hash
	done       bool
}

// Start begins the authenticator that answers a request. An identity whose key signs
// under no scheme of the request, or an extension that nobody asked for, is an error.
// Where the signature is made elsewhere, Start and Finish are for what Answer does in one.
func (c *Connection) Start(r *Received, s *Shown) (*Draft, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.answerable(r); err != nil {
		return nil, err
	}
	d, err := c.start(&Draft{request: r, context: r.Context}, s, r.raw, r.Wanted.Schemes, &r.offered)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// StartSpontaneous begins an authenticator of a server that answers no request. Its
// context must be new; nil: 32 random octets. Extensions are those that the ClientHello
// offered.
func (c *Connection) StartSpontaneous(context []byte, s *Shown) (*Draft, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.startSpontaneous(context, s)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (c *Connection) startSpontaneous(context []byte, s *Shown) (*Draft, *attls.Error) {
	switch {
	case c.cfg.Role != attls.RoleServer && c.obeys(rule.AuthenticatorAsked):
		return nil, local("only a server makes an authenticator that answers no request").By("RFC 9261 5")
	case c.cfg.ClientHello == nil:
		return nil, local("what the ClientHello offered is not known").Under("authenticator.Config.ClientHello").
			By(structureRule)
	case len(context) > 255:
		return nil, local("a context of %d octets; at most 255 fit", len(context)).By("RFC 9261 4")
	}
	if context == nil {
		context = c.drawContext()
	}
	if err := c.unused(context); err != nil {
		return nil, err
	}
	offered := c.cfg.ClientHello.offered()
	return c.start(&Draft{context: bytes.Clone(context)}, s, nil, c.cfg.ClientHello.Schemes, &offered)
}

// offered are the extensions of the ClientHello.
func (h *ClientHello) offered() (s extensions.Sent) {
	for _, t := range h.Extensions {
		s.Add(attls.RoleClient, attls.KindClientHello, t)
	}
	return s
}

// answerable refuses a request that was answered, or that is of another connection.
func (c *Connection) answerable(r *Received) *attls.Error {
	switch {
	case r == nil || r.of != c:
		return local("the request was not received on this connection").By(structureRule)
	case r.answered && c.obeys(rule.AuthenticatorOnce):
		return attls.Errorf(attls.Local, attls.FailRequestContext, "the request was answered already").
			Under("certificate_request_context").By(structureRule)
	}
	return nil
}

func (c *Connection) start(d *Draft, s *Shown, request []byte, accepted []attls.SignatureScheme,
	offered *extensions.Sent) (*Draft, *attls.Error) {
	if s == nil || len(s.Chain) == 0 {
		return nil, local("there is no certificate to show").Under("authenticator.Shown")
	}
	var err *attls.Error
	if _, ok := provider.CertificateOutline(s.Chain[0]); !ok {
		return nil, local("is not a certificate; authenticators show X.509").Under("authenticator.Shown.Chain[0]").
			By("RFC 9261 5.2.1")
	}
	if d.Scheme, err = negotiation.SelectSignatureScheme(s.Schemes, accepted); err != nil {
		return nil, err.By("RFC 9261 5.2.2")
	}
	if d.keys, err = c.keysOf(c.cfg.Role); err != nil {
		return nil, err
	}
	m, err := c.certificate(d.context, s, offered)
	if err != nil {
		return nil, err
	}
	d.c, d.transcript = c, c.suite.New()
	d.transcript.Write(d.keys.context)
	d.transcript.Write(request)
	out := writer{tap: c.cfg.Tap, octets: m.Append(nil), transcript: d.transcript}
	if len(out.octets) > c.limits.Octets {
		return nil, attls.Errorf(attls.Local, attls.FailTooLarge, "%d octets; Limits.Octets is %d", len(out.octets),
			c.limits.Octets).In(attls.KindCertificate)
	}
	out.add(0)
	d.octets = out.octets
	d.Content = message.SignedContent(contextString, d.transcript.Sum(nil))
	return d, nil
}

// certificate is the Certificate message that shows an identity.
func (c *Connection) certificate(
	context []byte,
	s *Shown,
	offered *extensions.Sent,
) (*message.Certificate, *attls.Error) {
	m := &message.Certificate{Context: context, Entries: make([]message.CertificateEntry, len(s.Chain))}
	if len(s.Extensions) > len(m.Entries) || len(m.Entries) > c.limits.Entries {
		return nil, local("%d certificates with extensions of %d; Limits.Entries is %d", len(m.Entries), len(s.Extensions),
			c.limits.Entries).Under("authenticator.Shown")
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		e.Data = s.Chain[i]
		if i == 0 {
			e.Extensions = c.status(s, offered)
		}
		if i < len(s.Extensions) {
			e.Extensions = append(e.Extensions, s.Extensions[i]...)
		}
		if len(e.Data) == 0 {
			return nil, local("is empty").Under(entry(i) + ".cert_data").By("RFC 8446 4.4.2")
		}
		if err := fits(e.Extensions); err != nil {
			return nil, err.Under(entry(i))
		}
		if err := c.table.Check(attls.KindCertificate, c.cfg.Role, i, true, e.Extensions, offered); err != nil {
			return nil, ours(err.Under(entry(i)))
		}
	}
	return m, nil
}

// fits refuses extensions that their list has no room for, or of which one is there twice.
func fits(l extensions.List) *attls.Error {
	size := 0
	for i := range l {
		size += 4 + len(l[i].Body)
		if first, _ := l.Find(l[i].Type); first != &l[i] {
			return local("%v appears twice", l[i].Type).Under("extensions").By("RFC 8446 4.2")
		}
	}
	if size > wire.Max(2) {
		return attls.Errorf(attls.Local, attls.FailTooLarge, "%d octets; %d fit", size, wire.Max(2)).Under("extensions")
	}
	return nil
}

// status is what goes with an end entity where the peer has asked for it.
func (c *Connection) status(own *Shown, offered *extensions.Sent) (l extensions.List) {
	for _, x := range [...]struct {
		t    attls.ExtensionType
		body []byte
		make func(b, value []byte) []byte
	}{{attls.ExtStatusRequest, own.OCSP, extensions.AppendCertificateStatus},
		{attls.ExtSignedCertificateTimestamp, own.SCT, func(b, v []byte) []byte { return append(b, v...) }}} {
		if len(x.body) > 0 && offered.Asked(c.cfg.Role.Peer(), x.t) {
			l = append(l, extensions.Extension{Type: x.t, Body: x.make(nil, x.body)})
		}
	}
	return l
}

// Finish completes an authenticator with the signature of Content under Scheme, and
// returns it: Certificate, CertificateVerify and Finished. From then on its context is
// used, and a request is answered.
func (d *Draft) Finish(signature []byte) ([]byte, error) {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	if err := d.finish(signature); err != nil {
		return nil, err
	}
	return d.octets, nil
}

func (d *Draft) finish(signature []byte) *attls.Error {
	c := d.c
	switch {
	case d.done:
		return local("the authenticator is finished already")
	case len(signature) > 1<<16-1:
		return local("a signature of %d octets", len(signature))
	}
	if d.request != nil {
		if err := c.answerable(d.request); err != nil {
			return err
		}
		d.request.answered = true
	} else if err := c.use(d.context); err != nil {
		return err
	}
	d.done = true
	out := writer{tap: c.cfg.Tap, octets: d.octets, transcript: d.transcript}
	verify := message.CertificateVerify{Scheme: d.Scheme, Signature: signature}
	at := len(out.octets)
	out.octets = verify.Append(out.octets)
	out.add(at)
	finished := message.Finished{VerifyData: c.mac(d.keys, d.transcript.Sum(nil))}
	at = len(out.octets)
	out.octets = finished.Append(out.octets)
	out.add(at)
	d.octets = out.octets
	return nil
}

// Answer answers a request with the best of several identities (RFC 9261 section 7.3),
// and says which; where none is what the request wants, with the empty authenticator, and
// nil. The entries of certificates must be signed under the schemes of the request, which
// is a rule here (section 5.2.1). Their Signers sign at once.
func (c *Connection) Answer(r *Received, own ...*Shown) ([]byte, *Shown, error) {
	s := c.choose(r, own)
	if s == nil {
		octets, err := c.Refuse(r)
		return octets, nil, err
	}
	d, err := c.Start(r, s)
	if err != nil {
		return nil, nil, err
	}
	octets, err := d.sign(s.Signer)
	return octets, s, err
}

// Spontaneous makes an authenticator of a server that answers no request; see
// StartSpontaneous.
func (c *Connection) Spontaneous(context []byte, s *Shown) ([]byte, error) {
	d, err := c.StartSpontaneous(context, s)
	if err != nil {
		return nil, err
	}
	return d.sign(s.Signer)
}

// sign finishes a draft with a signer.
func (d *Draft) sign(signer crypto.Signer) ([]byte, error) {
	if signer == nil {
		return nil, local("there is no private key").Under("authenticator.Shown.Signer")
	}
	signature, err := provider.Sign(signer, d.Scheme, d.Content)
	if err != nil {
		wrapped := attls.Errorf(attls.Local, attls.FailInternal, "signing with %v", d.Scheme)
		wrapped.Err = err
		return nil, wrapped
	}
	return d.Finish(signature)
}

// choose is the identity that fits a request best; nil: none does.
func (c *Connection) choose(r *Received, own []*Shown) *Shown {
	if r == nil {
		return nil
	}
	fitting, of := make([]negotiation.Certificates, 0, len(own)), make([]*Shown, 0, len(own))
	for _, s := range own {
		if s != nil && len(s.Chain) > 0 && r.Wanted.Accepts(s.Chain) {
			fitting, of = append(fitting, negotiation.Certificates{Chain: s.Chain, Schemes: s.Schemes}), append(of, s)
		}
	}
	best, _ := negotiation.SelectCertificates(fitting, &r.Wanted)
	if best < 0 {
		return nil
	}
	return of[best]
}

// Refuse answers a request with the empty authenticator (RFC 9261 section 6).
func (c *Connection) Refuse(r *Received) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.answerable(r); err != nil {
		return nil, err
	}
	k, err := c.keysOf(c.cfg.Role)
	if err != nil {
		return nil, err
	}
	r.answered = true
	finished := message.Finished{VerifyData: c.mac(k, c.emptyTranscript(k, r.raw, r.Context))}
	out := writer{tap: c.cfg.Tap, octets: finished.Append(nil)}
	out.add(0)
	return out.octets, nil
}

// emptyCertificate is the Certificate without entries that only its hash is taken of.
func emptyCertificate(context []byte) []byte {
	m := message.Certificate{Context: context}
	return m.Append(nil)
}
