package learn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// Transport carries octets to a peer and back.
type Transport interface {
	Send([]byte) error
	// Receive returns what has come since, and whether the peer has ended the connection.
	Receive() (octets []byte, closed bool, err error)
	Close()
}

// Closed is the answer of a peer whose connection is over.
const Closed = "closed"

// Nothing is the output of a peer that does not answer.
const Nothing = "-"

// Mapper is a System over a peer: it turns the names of messages into records and records
// into names. It computes keys, Finished and signatures for the messages that went through,
// whatever their order was.
type Mapper struct {
	dial func() (Transport, error)
	role attls.Role // that the mapper has
	name string     // server_name

	t          Transport
	in         *record.Reader
	out        *record.Writer
	suite      *provider.Suite
	transcript []byte
	shares     [2]provider.PrivateKey // of x25519 and secp256r1
	secret     [2][]byte              // traffic secrets by role: of the handshake, then of application data
	main       []byte                 // until both application secrets are derived
	later      []byte                 // the client's application secret, until its Finished
	hello      message.ClientHello    // of a client that the mapper meets
	peerShares map[attls.NamedGroup][]byte
	group      attls.NamedGroup
	over       bool
	credential *handshake.Credential
}

// NewMapper makes a mapper that plays the other role than its peer. dial begins a connection.
func NewMapper(peer attls.Role, serverName string, dial func() (Transport, error)) *Mapper {
	return &Mapper{dial: dial, role: peer.Peer(), name: serverName, credential: enginetest.Credential("learner")}
}

var clientInputs = []string{"ClientHello", "ChangeCipherSpec", "EmptyCertificate", "Certificate",
	"CertificateVerify", "Finished", "EndOfEarlyData", "KeyUpdate", "ApplicationData", "CloseNotify"}

var serverInputs = []string{"ServerHello", "HelloRetryRequest", "ChangeCipherSpec", "EncryptedExtensions",
	"CertificateRequest", "Certificate", "CertificateVerify", "Finished", "NewSessionTicket", "KeyUpdate",
	"ApplicationData", "CloseNotify"}

// Inputs are the messages that the mapper's role can send.
func (m *Mapper) Inputs() []string {
	if m.role == attls.RoleClient {
		return clientInputs
	}
	return serverInputs
}

// Reset begins a connection. What a client says first is read.
func (m *Mapper) Reset() (err error) {
	if m.t != nil {
		m.t.Close()
	}
	suite, ok := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
	if !ok {
		return errors.New("no cipher suite")
	}
	*m = Mapper{dial: m.dial, role: m.role, name: m.name, credential: m.credential, suite: suite,
		in: record.NewReader(record.Settings{}), out: record.NewWriter(record.WriterSettings{MessagesPerRecord: 1}),
		peerShares: map[attls.NamedGroup][]byte{}}
	m.in.AcceptPlaintextAlerts(true)
	if m.shares, err = keyShares(); err != nil {
		return err
	}
	if m.t, err = m.dial(); err != nil {
		return err
	}
	if m.role == attls.RoleServer {
		_, err = m.receive()
	}
	return err
}

// keyShares are the same in every connection, so that a peer sees nothing else vary than
// what is asked.
var keyShares = sync.OnceValues(func() (keys [2]provider.PrivateKey, err error) {
	for i, g := range groups {
		group, ok := provider.Real().Group(g)
		if !ok {
			return keys, fmt.Errorf("no group %v", g)
		}
		seed := make([]byte, group.SeedLen())
		for k := range seed {
			seed[k] = byte(17*i + k + 1)
		}
		if keys[i], err = group.Generate(seed); err != nil {
			return keys, err
		}
	}
	return keys, nil
})

var groups = [2]attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1}

// Step sends a message and returns the names of those that came back.
func (m *Mapper) Step(input string) (string, error) {
	if m.over {
		return Closed, nil
	}
	if err := m.send(input); err != nil {
		return "", err
	}
	m.out.Flush()
	b := slices.Clone(m.out.Output())
	m.out.Wrote(len(b))
	if err := m.t.Send(b); err != nil {
		m.over = true // the answer to what was sent before may still be there
	}
	m.after(input)
	return m.receive()
}

// send writes a message.
func (m *Mapper) send(input string) error {
	switch input {
	case "ChangeCipherSpec":
		m.out.ChangeCipherSpec()
		return nil
	case "ApplicationData":
		return failure(m.out.Write(attls.ContentTypeApplicationData, []byte("data")))
	case "CloseNotify":
		return failure(m.out.Write(attls.ContentTypeAlert, []byte{1, byte(attls.AlertCloseNotify)}))
	}
	raw, err := m.message(input)
	if err != nil {
		return err
	}
	if input != "KeyUpdate" && input != "NewSessionTicket" {
		m.transcript = append(m.transcript, raw...)
	}
	return failure(m.out.Handshake(raw))
}

func failure(err *attls.Error) error {
	if err == nil {
		return nil
	}
	return err
}

func raw(t attls.HandshakeType, body ...byte) []byte {
	b, mark := message.Begin(nil, t)
	return message.End(append(b, body...), mark)
}

// message makes a message.
func (m *Mapper) message(input string) ([]byte, error) {
	switch input {
	case "ClientHello":
		return m.clientHello(), nil
	case "ServerHello":
		return m.serverHello(false), nil
	case "HelloRetryRequest":
		return m.serverHello(true), nil
	case "EncryptedExtensions":
		return (&message.EncryptedExtensions{}).Append(nil), nil
	case "CertificateRequest":
		return (&message.CertificateRequest{Extensions: extensions.List{{Type: attls.ExtSignatureAlgorithms,
			Body: extensions.AppendUint16s(nil, schemes)}}}).Append(nil), nil
	case "EmptyCertificate":
		return (&message.Certificate{}).Append(nil), nil
	case "Certificate":
		return (&message.Certificate{Entries: []message.CertificateEntry{{Data: m.credential.Chain[0]}}}).Append(nil), nil
	case "CertificateVerify":
		return m.certificateVerify()
	case "Finished":
		return raw(attls.TypeFinished, m.suite.FinishedMAC(nil, m.traffic(m.role), m.hash())...), nil
	case "EndOfEarlyData":
		return message.EndOfEarlyData{}.Append(nil), nil
	case "KeyUpdate":
		return (&message.KeyUpdate{}).Append(nil), nil
	case "NewSessionTicket":
		return (&message.NewSessionTicket{Nonce: []byte{1}, Ticket: []byte{2}, Lifetime: 60}).Append(nil), nil
	}
	return nil, fmt.Errorf("there is no input %q", input)
}

var schemes = []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256, attls.ED25519, attls.RSA_PSS_RSAE_SHA256}

func (m *Mapper) clientHello() []byte {
	random := make([]byte, 32)
	for i := range random {
		random[i] = byte(i + 1)
	}
	versions := []uint16{uint16(attls.VersionTLS13)}
	list := extensions.List{
		{Type: attls.ExtSupportedVersions, Body: extensions.AppendSupportedVersions(nil, versions)},
		{Type: attls.ExtSupportedGroups, Body: extensions.AppendUint16s(nil, groups[:])},
		{Type: attls.ExtSignatureAlgorithms, Body: extensions.AppendUint16s(nil, schemes)},
		{Type: attls.ExtKeyShare, Body: extensions.AppendKeyShares(nil, []extensions.KeyShareEntry{
			{Group: groups[0], Key: m.shares[0].Share()}, {Group: groups[1], Key: m.shares[1].Share()}})},
	}
	if m.name != "" {
		list = append(list, extensions.Extension{Type: attls.ExtServerName, Body: extensions.AppendServerName(nil, m.name)})
	}
	return (&message.ClientHello{LegacyVersion: 0x0303, Random: random, SessionID: make([]byte, 32),
		CipherSuites: extensions.Uint16s{0x13, 0x01}, CompressionMethods: []byte{0}, Extensions: list}).Append(nil)
}

// serverHello answers the client's hello, or asks for a share of the other group.
func (m *Mapper) serverHello(retry bool) []byte {
	h := &message.ServerHello{LegacyVersion: 0x0303, SessionID: m.hello.SessionID,
		CipherSuite: attls.TLS_AES_128_GCM_SHA256}
	share := extensions.AppendSelectedGroup(nil, groups[1])
	h.Random = message.HelloRetryRequestRandom[:]
	if !retry {
		h.Random = make([]byte, 32)
		m.group = groups[0]
		if _, ok := m.peerShares[m.group]; !ok {
			m.group = groups[1]
		}
		share = extensions.AppendKeyShareEntry(nil, m.group, m.shares[slices.Index(groups[:], m.group)].Share())
	} else if m.secret[0] == nil { // RFC 8446 section 4.4.1: message_hash takes the place of ClientHello1
		sum := m.hash()
		m.transcript = append([]byte{byte(attls.TypeMessageHash), 0, 0, byte(len(sum))}, sum...)
	}
	h.Extensions = extensions.List{
		{Type: attls.ExtSupportedVersions, Body: extensions.AppendSelectedVersion(nil, uint16(attls.VersionTLS13))},
		{Type: attls.ExtKeyShare, Body: share}}
	return h.Append(nil)
}

func (m *Mapper) certificateVerify() ([]byte, error) {
	context := "TLS 1.3, client CertificateVerify"
	if m.role == attls.RoleServer {
		context = "TLS 1.3, server CertificateVerify"
	}
	signer := m.credential.Signer
	if signer == nil {
		return nil, errors.New("no key")
	}
	sig, err := provider.Sign(signer, attls.ED25519, message.SignedContent(context, m.hash()))
	return (&message.CertificateVerify{Scheme: attls.ED25519, Signature: sig}).Append(nil), err
}

// hash is the Transcript-Hash of what went through.
func (m *Mapper) hash() []byte {
	h := m.suite.New()
	h.Write(m.transcript)
	return h.Sum(nil)
}

// traffic is the secret of a role; zero before there is one.
func (m *Mapper) traffic(r attls.Role) []byte {
	if s := m.secret[r]; s != nil {
		return s
	}
	return make([]byte, m.suite.HashLen)
}

func (m *Mapper) derive(secret []byte, label string, sum []byte) []byte {
	return m.suite.ExpandLabel(nil, secret, "tls13 ", label, sum, m.suite.HashLen)
}

func (m *Mapper) empty() []byte { return m.suite.New().Sum(nil) }

// handshakeKeys follow ServerHello (RFC 8446 section 7.1).
func (m *Mapper) handshakeKeys(share []byte) {
	at := slices.Index(groups[:], m.group)
	if at < 0 {
		return
	}
	shared, err := m.shares[at].Finish(share)
	if err != nil {
		return
	}
	early := m.suite.Extract(nil, nil, make([]byte, m.suite.HashLen))
	hs := m.suite.Extract(nil, m.derive(early, "derived", m.empty()), shared)
	sum := m.hash()
	m.secret[attls.RoleClient] = m.derive(hs, "c hs traffic", sum)
	m.secret[attls.RoleServer] = m.derive(hs, "s hs traffic", sum)
	m.main = m.suite.Extract(nil, m.derive(hs, "derived", m.empty()), make([]byte, m.suite.HashLen))
	m.readUnder(m.secret[m.role.Peer()])
	m.writeUnder(m.secret[m.role])
}

func (m *Mapper) readUnder(secret []byte) {
	if aead, iv, err := m.suite.KDF().TrafficKey(secret, "tls13 "); err == nil {
		_ = m.in.SetKey(aead, iv)
	}
}

func (m *Mapper) writeUnder(secret []byte) {
	if aead, iv, err := m.suite.KDF().TrafficKey(secret, "tls13 "); err == nil {
		m.out.SetKey(aead, iv)
	}
}

// after changes the keys that a message changes at its sender, once it is on its way.
func (m *Mapper) after(input string) {
	switch {
	case input == "ServerHello" && m.secret[0] == nil:
		m.handshakeKeys(m.peerShares[m.group])
	case input == "Finished" && m.role == attls.RoleServer && m.main != nil:
		sum := m.hash()
		m.writeUnder(m.derive(m.main, "s ap traffic", sum))
		m.secret[attls.RoleServer] = m.derive(m.main, "s ap traffic", sum)
		m.pendingClient(sum)
	case input == "Finished" && m.role == attls.RoleClient && m.later != nil:
		m.secret[attls.RoleClient], m.later = m.later, nil
		m.writeUnder(m.secret[attls.RoleClient])
	case input == "KeyUpdate" && m.main == nil:
		m.secret[m.role] = m.derive(m.traffic(m.role), "traffic upd", nil)
		m.writeUnder(m.secret[m.role])
	}
}

// pendingClient keeps the client's application secret until its Finished; main is spent.
func (m *Mapper) pendingClient(sum []byte) {
	m.later, m.main = m.derive(m.main, "c ap traffic", sum), nil
}

// receive reads what came back and names it.
func (m *Mapper) receive() (string, error) {
	b, closed, err := m.t.Receive()
	if err != nil {
		return "", err
	}
	copy(m.in.Reserve(len(b)), b)
	m.in.Commit(len(b))
	var names []string
	for {
		item, ok, err := m.in.Next()
		if err != nil {
			names = append(names, "unreadable")
			m.over = true
			break
		}
		if !ok {
			break
		}
		switch item.Type {
		case attls.ContentTypeHandshake:
			names = append(names, m.heard(item.Data))
		case attls.ContentTypeAlert:
			if len(item.Data) == 2 {
				names = append(names, "alert "+attls.AlertDescription(item.Data[1]).String())
			}
		case attls.ContentTypeApplicationData:
			if len(item.Data) > 0 {
				names = append(names, "data")
			}
		}
	}
	if closed {
		m.over = true
	}
	if len(names) == 0 {
		if closed {
			return Closed, nil
		}
		return Nothing, nil
	}
	return strings.Join(slices.Compact(names), " "), nil
}

// heard takes a message of the peer and returns its name.
func (m *Mapper) heard(b []byte) string {
	b = slices.Clone(b)
	r, err := message.ParseRaw(b)
	if err != nil {
		return "unreadable"
	}
	if r.Kind != attls.KindNewSessionTicket && r.Kind != attls.KindKeyUpdate {
		m.transcript = append(m.transcript, b...)
	}
	switch r.Kind {
	case attls.KindClientHello:
		var h message.ClientHello
		if h.Unmarshal(r.Body()) == nil {
			m.hello = h
			body, _ := h.Extensions.Get(attls.ExtKeyShare)
			if list, err := extensions.ParseKeyShares(body); err == nil {
				clear(m.peerShares)
				for _, g := range groups {
					if share, ok := list.Find(g); ok {
						m.peerShares[g] = slices.Clone(share)
					}
				}
			}
		}
	case attls.KindServerHello:
		var h message.ServerHello
		if h.Unmarshal(r.Body()) == nil && m.secret[0] == nil {
			body, _ := h.Extensions.Get(attls.ExtKeyShare)
			if share, err := extensions.ParseKeyShareEntry(body); err == nil {
				m.group = share.Group
				m.handshakeKeys(share.Key)
			}
		}
	case attls.KindFinished:
		if m.role == attls.RoleClient && m.main != nil {
			sum := m.hash()
			m.secret[attls.RoleServer] = m.derive(m.main, "s ap traffic", sum)
			m.readUnder(m.secret[attls.RoleServer])
			m.pendingClient(sum)
		} else if m.role == attls.RoleServer && m.later != nil {
			m.secret[attls.RoleClient], m.later = m.later, nil
			m.readUnder(m.secret[attls.RoleClient])
		}
	case attls.KindKeyUpdate:
		peer := m.role.Peer()
		m.secret[peer] = m.derive(m.traffic(peer), "traffic upd", nil)
		m.readUnder(m.secret[peer])
	}
	return r.Kind.String()
}

// memory is an engine as a peer.
type memory struct {
	e      *handshake.Engine
	answer func(*handshake.Wait) (handshake.Answer, *attls.Error)
}

// Engine returns a dialer of engines of this project in memory.
func Engine(role attls.Role, config func() *handshake.Config) func() (Transport, error) {
	return func() (Transport, error) {
		create := handshake.NewClient
		if role == attls.RoleServer {
			create = handshake.NewServer
		}
		c := config()
		c.Random = enginetest.Random(role.String())
		e, err := create(c)
		return &memory{e, enginetest.Answer(enginetest.Credential(role.String()))}, err
	}
}

func (t *memory) Send(b []byte) error {
	copy(t.e.Reserve(len(b)), b)
	_ = t.e.Commit(len(b)) // an error ends the connection, which Receive tells
	return nil
}

func (t *memory) Receive() (out []byte, closed bool, err error) {
	for range 64 {
		for ev, ok := t.e.Next(); ok; ev, ok = t.e.Next() {
			closed = closed || ev.Kind == handshake.EventClosed
		}
		w := t.e.Waits()
		if len(w) == 0 || t.e.Err() != nil {
			break
		}
		if a, err := t.answer(w[0]); err != nil {
			_ = t.e.Fail(w[0].ID, err)
		} else {
			_ = t.e.Answer(w[0].ID, a)
		}
	}
	b := t.e.Output()
	out = slices.Clone(b)
	t.e.Wrote(len(b))
	return out, closed || t.e.Err() != nil, nil
}

func (t *memory) Close() {}

// network is a peer over TCP.
type network struct {
	c     net.Conn
	quiet time.Duration
}

// Dial returns a dialer of a server. What it does not send within quiet after a message
// does not count as an answer.
func Dial(address string, quiet time.Duration) func() (Transport, error) {
	return func() (Transport, error) {
		c, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			return nil, err
		}
		return &network{c, quiet}, nil
	}
}

// Over returns a dialer of a peer to which open makes connections.
func Over(open func() (net.Conn, error), quiet time.Duration) func() (Transport, error) {
	return func() (Transport, error) {
		c, err := open()
		if err != nil {
			return nil, err
		}
		return &network{c, quiet}, nil
	}
}

// Listen returns a dialer of a client that connects again and again: each connection that
// is accepted is one of it.
func Listen(l net.Listener, quiet, patience time.Duration) func() (Transport, error) {
	return func() (Transport, error) {
		if t, ok := l.(*net.TCPListener); ok {
			_ = t.SetDeadline(time.Now().Add(patience))
		}
		c, err := l.Accept()
		if err != nil {
			return nil, fmt.Errorf("no client has connected: %w", err)
		}
		return &network{c, quiet}, nil
	}
}

func (t *network) Send(b []byte) error {
	_ = t.c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, err := t.c.Write(b)
	return err
}

// maxAnswer bounds what is read as the answer to one message, in octets.
const maxAnswer = 1 << 20

func (t *network) Receive() (out []byte, closed bool, err error) {
	b := make([]byte, 1<<15)
	for len(out) < maxAnswer {
		_ = t.c.SetReadDeadline(time.Now().Add(t.quiet))
		n, err := t.c.Read(b)
		out = append(out, b[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out, false, nil
		}
		if err != nil {
			return out, true, nil
		}
	}
	return out, true, nil
}

func (t *network) Close() { _ = t.c.Close() }
