package authenticator

import (
	"bytes"
	"slices"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// Request is what we ask for (RFC 9261 section 4).
type Request struct {
	// Context identifies the request, in at most 255 octets that no request or
	// authenticator of the connection has used. Nil: 32 random octets.
	Context []byte
	// Wanted says which certificates we accept; Schemes must not be empty. Only a client
	// asks for a ServerName.
	Wanted negotiation.Wanted
	// OCSP asks for status_request, SCT for signed_certificate_timestamp.
	OCSP, SCT bool
	// Extensions are further ones, with their bodies; a draft's offer is one.
	Extensions extensions.List
}

// Request makes an authenticator request, which the application sends, and waits for
// its answer from then on: a CertificateRequest of a server, or a
// ClientCertificateRequest of a client.
func (c *Connection) Request(r *Request) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	octets, err := c.request(r)
	if err != nil {
		return nil, err
	}
	return octets, nil
}

func (c *Connection) request(r *Request) ([]byte, *attls.Error) {
	kind := requestOf(c.cfg.Role)
	bad := func(field, format string, args ...any) *attls.Error {
		return local(format, args...).Under(field).Under("authenticator.Request")
	}
	switch {
	case len(r.Wanted.Schemes) == 0:
		return nil, bad("Wanted.Schemes", "there is no signature scheme").By("RFC 9261 7.1")
	case len(r.Context) > 255:
		return nil, bad("Context", "%d octets; at most 255 fit", len(r.Context)).By("RFC 9261 4")
	case r.Wanted.ServerName != "" && c.cfg.Role == attls.RoleServer:
		return nil, bad("Wanted.ServerName", "only a client asks for one").By("RFC 9261 4")
	case len(c.open) >= c.limits.Outstanding:
		return nil, c.full()
	}
	m := message.CertificateRequest{Context: r.Context, Extensions: r.extensions()}
	if m.Context == nil {
		m.Context = c.drawContext()
	}
	if err := c.unused(m.Context); err != nil {
		return nil, err
	}
	if err := c.table.Check(kind, c.cfg.Role, 0, true, m.Extensions, &extensions.Sent{}); err != nil {
		return nil, ours(err)
	}
	if err := fits(m.Extensions); err != nil {
		return nil, err.Under("authenticator.Request")
	}
	raw := appendRequest(kind, &m)
	if len(raw) > c.limits.Octets {
		return nil, attls.Errorf(attls.Local, attls.FailTooLarge, "%d octets; Limits.Octets is %d", len(raw), c.limits.Octets)
	}
	a := &asked{context: bytes.Clone(m.Context), schemes: slices.Clone(r.Wanted.Schemes)}
	for i := range m.Extensions {
		a.offered.Add(c.cfg.Role, kind, m.Extensions[i].Type)
	}
	out := writer{tap: c.cfg.Tap, octets: raw}
	a.raw = bytes.Clone(out.add(0))
	c.used.add(a.context)
	c.open = append(c.open, a)
	return out.octets, nil
}

// Adopt takes up a request that this end has made elsewhere, such as in another program:
// its answer is waited for from then on.
func (c *Connection) Adopt(request []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.adopt(request); err != nil {
		return err
	}
	return nil
}

func (c *Connection) adopt(request []byte) *attls.Error {
	if err := c.small(request); err != nil {
		return err
	}
	raw, err := message.ParseRaw(request)
	if err != nil {
		return err.By("RFC 9261 4")
	}
	kind := requestOf(c.cfg.Role)
	if raw.Kind != kind {
		return unexpected(&raw, kind.String()).By("RFC 9261 4")
	}
	var m message.CertificateRequest
	a := &asked{raw: bytes.Clone(raw.Bytes)}
	if err := readRequest(kind, a.raw[4:], &m); err != nil {
		return err
	}
	w, err := readWanted(m.Extensions)
	switch {
	case err != nil:
		return err.In(kind)
	case len(c.open) >= c.limits.Outstanding:
		return c.full()
	}
	if err := c.use(m.Context); err != nil {
		return err.In(kind)
	}
	a.context, a.schemes = m.Context, w.Schemes
	for i := range m.Extensions {
		a.offered.Add(c.cfg.Role, kind, m.Extensions[i].Type)
	}
	c.open = append(c.open, a)
	return nil
}

// full is the error of one more request than may be open.
func (c *Connection) full() *attls.Error {
	return attls.Errorf(attls.Local, attls.FailCapacity, "%d requests are open; Limits.Outstanding is %d", len(c.open),
		c.limits.Outstanding)
}

// ours marks an error that we would make.
func ours(err *attls.Error) *attls.Error {
	err.Class, err.Failure = attls.Local, attls.FailConfiguration
	return err
}

// requestOf is the message with which an end asks.
func requestOf(r attls.Role) attls.MessageKind {
	if r == attls.RoleClient {
		return attls.KindClientCertificateRequest
	}
	return attls.KindCertificateRequest
}

func appendRequest(k attls.MessageKind, m *message.CertificateRequest) []byte {
	if k == attls.KindClientCertificateRequest {
		return (*message.ClientCertificateRequest)(m).Append(nil)
	}
	return m.Append(nil)
}

func readRequest(k attls.MessageKind, body []byte, m *message.CertificateRequest) *attls.Error {
	if k == attls.KindClientCertificateRequest {
		return (*message.ClientCertificateRequest)(m).Unmarshal(body)
	}
	return m.Unmarshal(body)
}

// extensions are those of the message, in a fixed order.
func (r *Request) extensions() extensions.List {
	l := extensions.List{{Type: attls.ExtSignatureAlgorithms, Body: extensions.AppendUint16s(nil, r.Wanted.Schemes)}}
	if r.Wanted.SchemesCert != nil {
		l = append(l, extensions.Extension{Type: attls.ExtSignatureAlgorithmsCert,
			Body: extensions.AppendUint16s(nil, r.Wanted.SchemesCert)})
	}
	if r.Wanted.ServerName != "" {
		l = append(
			l,
			extensions.Extension{Type: attls.ExtServerName, Body: extensions.AppendServerName(nil, r.Wanted.ServerName)},
		)
	}
	if len(r.Wanted.Authorities) > 0 {
		l = append(l, extensions.Extension{Type: attls.ExtCertificateAuthorities,
			Body: extensions.AppendCertificateAuthorities(nil, r.Wanted.Authorities)})
	}
	if r.OCSP {
		l = append(l, extensions.Extension{Type: attls.ExtStatusRequest})
	}
	if r.SCT {
		l = append(l, extensions.Extension{Type: attls.ExtSignedCertificateTimestamp})
	}
	return append(l, r.Extensions...)
}

// Received is a request of the peer.
type Received struct {
	Context    []byte
	Wanted     negotiation.Wanted
	Extensions extensions.List // all of them

	of       *Connection
	raw      []byte // as it enters the hash
	offered  extensions.Sent
	answered bool
}

// Asks reports whether the request has an extension, so that an answer may have it too.
func (r *Received) Asks(t attls.ExtensionType) bool {
	_, ok := r.Extensions.Find(t)
	return ok
}

// Receive takes an authenticator request of the peer. What it does not know of the
// extensions is ignored. A context that was used before is refused, so that a request is
// received once.
func (c *Connection) Receive(request []byte) (*Received, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.receive(request)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (c *Connection) receive(request []byte) (*Received, *attls.Error) {
	if err := c.small(request); err != nil {
		return nil, err
	}
	list, err := c.messages(request)
	if err != nil {
		return nil, err
	}
	peer := c.cfg.Role.Peer()
	kind := requestOf(peer)
	if len(list) == 0 {
		return nil, attls.Errorf(attls.Malformed, attls.FailDecode, "no octets where %v belongs", kind).By("RFC 9261 4")
	}
	m := &list[0]
	if m.Kind != attls.KindCertificateRequest && m.Kind != attls.KindClientCertificateRequest ||
		m.Kind != kind && c.obeys(rule.AuthenticatorDirection) {
		return nil, unexpected(m, kind.String()).By("RFC 9261 4")
	}
	if len(list) > 1 {
		return nil, unexpected(&list[1], "nothing").By("RFC 9261 4")
	}
	r := &Received{of: c, raw: bytes.Clone(m.Bytes)}
	if err := r.read(c, m.Kind); err != nil {
		return nil, err.In(m.Kind)
	}
	if err := c.use(r.Context); err != nil {
		return nil, err.In(m.Kind)
	}
	return r, nil
}

// read reads the request out of its octets.
func (r *Received) read(c *Connection, kind attls.MessageKind) *attls.Error {
	var m message.CertificateRequest
	if err := readRequest(kind, r.raw[4:], &m); err != nil {
		return err
	}
	peer := c.cfg.Role.Peer()
	named := c.obeys(rule.AuthenticatorName)
	if x, ok := m.Extensions.Find(attls.ExtServerName); ok && peer == attls.RoleServer && named {
		return attls.Errorf(attls.Violation, attls.FailWrongMessage, "only a ClientCertificateRequest has it").
			Under("extensions." + x.Type.String()).At(x.Offset - 4).By("RFC 9261 4")
	}
	placed := kind
	if !named {
		placed = attls.KindClientCertificateRequest // which may have server_name
	}
	if err := c.table.Check(placed, peer, 0, true, m.Extensions, &extensions.Sent{}); err != nil {
		return err
	}
	r.Context, r.Extensions = m.Context, m.Extensions
	if !r.Asks(attls.ExtSignatureAlgorithms) && c.obeys(rule.RequestAlgorithms) {
		return attls.Errorf(attls.Violation, attls.FailMissingExtension, "the extension is missing").
			Under("extensions." + attls.ExtSignatureAlgorithms.String()).By("RFC 8446 4.3.2")
	}
	var err *attls.Error
	if r.Wanted, err = readWanted(m.Extensions); err != nil {
		return err
	}
	for i := range m.Extensions {
		r.offered.Add(peer, kind, m.Extensions[i].Type)
	}
	return nil
}

// readWanted reads what guides the choice of a certificate.
func readWanted(l extensions.List) (w negotiation.Wanted, err *attls.Error) {
	for i := range l {
		x := &l[i]
		if err := readOne(&w, x); err != nil {
			return w, x.Locate(err)
		}
	}
	return w, nil
}

func readOne(w *negotiation.Wanted, x *extensions.Extension) *attls.Error {
	switch x.Type {
	case attls.ExtSignatureAlgorithms, attls.ExtSignatureAlgorithmsCert:
		l, err := extensions.ParseSignatureAlgorithms(x.Body)
		if x.Type == attls.ExtSignatureAlgorithms {
			w.Schemes = schemes(l)
		} else {
			w.SchemesCert = schemes(l)
		}
		return err
	case attls.ExtServerName:
		name, err := extensions.ParseServerName(x.Body)
		w.ServerName = string(name)
		return err
	case attls.ExtCertificateAuthorities:
		l, err := extensions.ParseCertificateAuthorities(x.Body)
		for name := range l.All() {
			w.Authorities = append(w.Authorities, name)
		}
		return err
	}
	return nil
}

// small refuses more octets than we take.
func (c *Connection) small(octets []byte) *attls.Error {
	if len(octets) > c.limits.Octets {
		return attls.Errorf(attls.Local, attls.FailCapacity, "%d octets; Limits.Octets is %d", len(octets), c.limits.Octets)
	}
	return nil
}

// messages takes the messages out of what was received.
func (c *Connection) messages(octets []byte) ([]message.Raw, *attls.Error) {
	list, err := split(octets)
	if err != nil {
		return nil, err
	}
	return c.received(list)
}

// Context is the "get context" of RFC 9261 section 7.2: the certificate_request_context
// of a request or an authenticator, of either end, without checking anything else. The
// empty authenticator has none, which is an error.
func Context(octets []byte) ([]byte, error) {
	list, err := split(octets)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, attls.Errorf(attls.Malformed, attls.FailDecode, "no octets where a request or an authenticator belongs")
	}
	switch m := &list[0]; m.Kind {
	case attls.KindCertificateRequest, attls.KindClientCertificateRequest:
		var cr message.CertificateRequest
		if err := readRequest(m.Kind, m.Body(), &cr); err != nil {
			return nil, err
		}
		return cr.Context, nil
	case attls.KindCertificate:
		var ct message.Certificate
		if err := ct.Unmarshal(m.Body()); err != nil {
			return nil, err
		}
		return ct.Context, nil
	case attls.KindFinished:
		return nil, attls.Errorf(attls.Refused, attls.FailEmptyAuthenticator, "the empty authenticator has no context").
			By("RFC 9261 6")
	default:
		return nil, unexpected(m, "a request or an authenticator")
	}
}
