package handshake_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"attls"
	"attls/handshake"
	"attls/internal/console"
)

// These tests meet the programs of other stacks, in both roles. ATTLS_INTEROP=full
// runs every combination; otherwise one of each feature.

// wish is one sort of connection.
type wish struct {
	name     string
	suite    attls.CipherSuite // 0: any
	group    attls.NamedGroup  // 0: any
	mutual   bool              // the client shows a certificate
	raw      bool              // certificates are raw public keys, in both directions
	resume   bool              // a second connection resumes the first
	early    bool              // and sends early data
	rejected bool              // which the server refuses
	later    bool              // the client authenticates after the handshake
	external bool              // under an external key
	retry    bool              // HelloRetryRequest
	learned  bool              // only the first connection: the second sends a share of its group
	limit    uint16            // record_size_limit, of both
	update   bool              // we change our key and ask for the same
	asked    bool              // they ask us
	wide     bool              // only in the full matrix
}

var wishes = func() []wish {
	list := []wish{
		{name: "plain"},
		{name: "mutual", mutual: true},
		{name: "resumption", resume: true},
		{name: "resumption, mutual", resume: true, mutual: true},
		{name: "early data", resume: true, early: true},
		{name: "early data, rejected", resume: true, early: true, rejected: true},
		{name: "resumption after HelloRetryRequest", resume: true, retry: true},
		{name: "early data after HelloRetryRequest", resume: true, early: true, rejected: true, retry: true, wide: true},
		{name: "resumption in the session's group", resume: true, retry: true, learned: true},
		{name: "early data in the session's group", resume: true, early: true, retry: true, learned: true},
		{name: "post-handshake authentication", later: true},
		{name: "post-handshake authentication, resumed", later: true, resume: true, wide: true},
		{name: "raw public keys", raw: true},
		{name: "raw public keys, mutual", raw: true, mutual: true},
		{name: "raw public keys, resumed", raw: true, mutual: true, resume: true},
		{name: "external key", external: true},
		{name: "KeyUpdate", update: true},
		{name: "KeyUpdate, theirs", asked: true},
		{name: "HelloRetryRequest", retry: true},
		{name: "HelloRetryRequest, mutual", retry: true, mutual: true, wide: true},
		{name: "record_size_limit", limit: 512, mutual: true},
		{name: "record_size_limit, resumption", limit: 512, resume: true, wide: true},
	}
	for _, s := range []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384, attls.TLS_CHACHA20_POLY1305_SHA256,
		attls.TLS_AES_128_CCM_SHA256, attls.TLS_AES_128_CCM_8_SHA256} {
		ccm := s == attls.TLS_AES_128_CCM_SHA256 || s == attls.TLS_AES_128_CCM_8_SHA256
		list = append(list, wish{name: s.String(), suite: s, wide: !ccm},
			wish{name: s.String() + ", resumed", suite: s, resume: true, wide: true},
			wish{name: s.String() + ", early data", suite: s, resume: true, early: true, wide: true},
			wish{name: s.String() + ", KeyUpdate", suite: s, update: true, wide: true})
	}
	for _, g := range []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1, attls.GroupSecp384r1, attls.GroupSecp521r1} {
		list = append(list, wish{name: g.String(), group: g, wide: true}, wish{name: g.String() + ", resumed", group: g, resume: true, wide: true})
	}
	return list
}()

// interopIdentities are the certificates of both ends.
var interopIdentities = sync.OnceValue(func() (ids struct{ ca, server, client *identity }) {
	ids.ca = newAuthority("authority")
	ids.server, ids.client = issue(ids.ca, "server", keys["P-256"](), nil), issue(ids.ca, "client", keys["P-256"](), nil)
	return ids
})

// maxEarly is the early data that we take and send, in octets.
const maxEarly = 1 << 12

// earlyLine is what a client sends as early data.
const earlyLine = "an early line\n"

// externalKey is the external key of both ends.
var externalKey = &handshake.Session{Identity: []byte("attls"), Secret: bytes.Repeat([]byte{0x2a}, 32), External: true,
	Suite: attls.TLS_AES_128_GCM_SHA256}

// stack is another implementation: a program for each role.
type stack interface {
	// lacks says why a wish cannot be had of the program in a role; empty: it can.
	lacks(w *wish, theirs attls.Role) string
	// serve starts a server and returns its address.
	serve(m *encounter) string
	// ask starts a client that connects to an address; connection counts from 0.
	ask(m *encounter, address string, connection int)
	// talk has data go each way over an established connection of ours, after
	// what the wish has the program do after the handshake.
	talk(m *encounter, c *handshake.Conn, connection int)
	// says is what their program has to print at last, as patterns.
	says(w *wish, theirs attls.Role) []string
}

// encounter is a Conn, or two in a row, with a program of another stack.
type encounter struct {
	*wish
	t        *testing.T
	role     attls.Role // ours
	stack    stack
	ca       *identity
	own      *identity
	theirs   *identity // nil: their client has no certificate
	cfg      handshake.Config
	answerer handshake.Answerer
	clients  handshake.ClientSessions
	servers  handshake.ServerSessions
	count    *counter
	dir      string
	peer     *program
	listener net.Listener
}

func newEncounter(t *testing.T, s stack, w *wish, role attls.Role) *encounter {
	ids := interopIdentities()
	m := &encounter{wish: w, t: t, role: role, stack: s, ca: ids.ca, own: ids.server, theirs: ids.client, count: newCounter(), dir: t.TempDir()}
	if role == attls.RoleClient {
		m.own, m.theirs = m.theirs, m.own
	}
	showing := w.mutual || w.later
	if role == attls.RoleServer && !showing {
		m.theirs = nil
	}
	if role == attls.RoleServer || showing {
		m.answerer.Credentials = []*handshake.Credential{m.own.credential()}
	}
	m.configure()
	return m
}

// configure makes our end of the wish.
func (m *encounter) configure() {
	c := &m.cfg
	c.ServerName, c.Tap, c.PSK, c.Tickets = "server", m.count, true, 2
	if m.role == attls.RoleClient {
		c.Tickets = 0
	}
	m.answerer.Trust = handshake.Trust{Roots: pool(m.ca)}
	m.answerer.ClientSessions, m.answerer.ServerSessions = &m.clients, &m.servers
	if m.early {
		c.MaxEarlyData = maxEarly
		m.servers.EarlyData = func(*handshake.EarlyDataRequest) bool { return !m.rejected }
	}
	c.PostHandshakeAuthentication = m.later
	if m.mutual {
		c.ClientAuthentication = handshake.RequireClientCertificate
	}
	if m.raw {
		both := []attls.CertificateType{attls.CertificateRawPublicKey}
		c.ServerCertificateTypes = both
		if m.mutual {
			c.ClientCertificateTypes = both
		}
		if m.theirs != nil {
			m.answerer.Trust.RawKeys = [][]byte{m.theirs.cert.RawSubjectPublicKeyInfo}
		}
	}
	if m.external {
		m.clients.External, m.servers.External = []*handshake.Session{externalKey}, []*handshake.Session{externalKey}
	}
	if m.suite != 0 {
		c.CipherSuites = []attls.CipherSuite{m.suite}
	}
	if m.group != 0 {
		c.Groups = []attls.NamedGroup{m.group}
	}
	if m.retry { // of the first shares none fits
		c.Groups = []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp384r1}
		switch {
		case m.role == attls.RoleServer:
			c.Groups = c.Groups[1:]
		case !m.learned:
			c.KeyShares = c.Groups[:1]
		}
	}
	c.RecordSizeLimit = m.limit
}

// connections is how many connections the wish takes.
func (m *encounter) connections() int {
	if m.resume {
		return 2
	}
	return 1
}

// file writes a file for a program.
func (m *encounter) file(name string, content []byte) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// anchor is the file with the trust anchor.
func (m *encounter) anchor() string { return m.file("ca.pem", pemBlock("CERTIFICATE", m.ca.der)) }

// program starts the program of the other stack in its role.
func (m *encounter) program(name string, args ...string) {
	m.t.Helper()
	m.peer = startProgram(m.t, name, args...)
}

// serveAt starts a server that has to be told its port and returns the address.
// Somebody else may take the port in between, so it tries another then.
func (m *encounter) serveAt(name, ready, taken string, args func(port string) []string) string {
	m.t.Helper()
	path := lookProgram(m.t, name)
	ctx, cancel := context.WithDeadline(context.Background(), latest(m.t))
	defer cancel()
	p, address, err := console.StartServer(ctx, ready, taken, func(port string) (*console.Program, error) {
		return console.Start(context.Background(), nil, path, args(port)...)
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(p.Stop)
	m.peer = &program{p, m.t, name}
	return address
}

// run makes the connections and holds both sides to the wish.
func (m *encounter) run() {
	t := m.t
	t.Helper()
	var address string
	if m.role == attls.RoleClient {
		address = m.stack.serve(m)
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		m.listener, address = l, l.Addr().String()
		defer l.Close()
		l.(*net.TCPListener).SetDeadline(latest(t))
	}
	for i := range m.connections() {
		m.connect(address, i)
	}
	for _, pattern := range m.stack.says(m.wish, m.role.Peer()) {
		m.peer.await(pattern)
	}
}

// connect makes one connection.
func (m *encounter) connect(address string, i int) {
	t := m.t
	t.Helper()
	var nc net.Conn
	var err error
	if m.role == attls.RoleClient {
		nc, err = net.Dial("tcp", address)
	} else {
		m.stack.ask(m, address, i)
		nc, err = m.listener.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(latest(t))
	make := handshake.Client
	if m.role == attls.RoleServer {
		make = handshake.Server
	}
	c := make(nc, &m.cfg, &m.answerer)
	defer c.Close()
	early := m.early && i == 1
	if early {
		c.SetEarlyData([]byte(earlyLine))
	}
	if err := c.Handshake(); err != nil {
		m.failed("connection %d: %v", i, err)
	}
	if early && !m.rejected && m.role == attls.RoleServer {
		m.expect(c, earlyLine)
	}
	last := i == m.connections()-1
	if m.update && last {
		if err := c.KeyUpdate(true); err != nil {
			t.Fatal(err)
		}
	}
	m.stack.talk(m, c, i)
	if m.update && last {
		m.count.await(t, handshake.Received, 1)
	}
	if m.asked && last {
		m.count.await(t, handshake.Received, 1)
		m.count.await(t, handshake.Sent, 1)
	}
	m.check(c, i)
}

// failed ends the test and shows what the program has printed.
func (m *encounter) failed(format string, args ...any) {
	m.t.Helper()
	text := m.peer.Printed()
	m.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), text[max(0, len(text)-3000):])
}

// expect reads what has to arrive.
func (m *encounter) expect(c *handshake.Conn, want string) {
	m.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		m.failed("got %q, %v; want %q", got, err, want)
	}
}

// send writes a text.
func (m *encounter) send(c *handshake.Conn, text string) {
	m.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		m.failed("%v", err)
	}
}

// line is what is sent each way: longer than any limit of the wish.
func (m *encounter) line() string {
	if m.limit == 0 {
		return "a line"
	}
	return strings.Repeat("a line ", 120)
}

// typed types a line into the program and awaits it, then sends one back and
// awaits that on the program's screen.
func (m *encounter) typed(c *handshake.Conn, line string) {
	m.t.Helper()
	m.peer.say("%s", line)
	m.expect(c, line+"\n")
	m.send(c, m.line()+", back: "+line+"\n")
	m.peer.await("back: " + line)
}

// authenticateLater asks their client for a certificate. Once it has shown a
// line that came behind the request, its own next line comes behind the answer.
func (m *encounter) authenticateLater(c *handshake.Conn) {
	m.t.Helper()
	if err := c.RequestAuthentication(); err != nil {
		m.t.Fatal(err)
	}
	if n := len(c.ConnectionState().PeerChain); n != 0 {
		m.t.Errorf("%d certificates before they were asked for", n)
	}
	m.typed(c, "asked")
	m.typed(c, "answered")
	ctx, cancel := context.WithDeadline(context.Background(), latest(m.t))
	defer cancel()
	if err := c.Settled(ctx); err != nil {
		m.failed("%v", err)
	}
}

// check holds what we know of a connection to the wish.
func (m *encounter) check(c *handshake.Conn, i int) {
	t := m.t
	t.Helper()
	s := c.ConnectionState()
	again := i == 1
	if resumed := s.Session != nil; resumed != (again || m.external) {
		m.failed("connection %d: resumed %v", i, resumed)
	}
	early := handshake.EarlyDataNone
	if m.early && again {
		if early = handshake.EarlyDataAccepted; m.rejected {
			early = handshake.EarlyDataRejected
		}
	}
	if s.EarlyData != early {
		m.failed("connection %d: early data %v, want %v", i, s.EarlyData, early)
	}
	shown := m.mutual || m.later && !again // a ticket that came before it knows nothing of it
	switch {
	case m.role == attls.RoleServer && !m.external && shown != (len(s.PeerChain) > 0):
		m.failed("connection %d: the client has shown %d certificates", i, len(s.PeerChain))
	case m.role == attls.RoleClient && !again && shown != (s.OwnScheme != 0):
		m.failed("connection %d: we signed with %v", i, s.OwnScheme)
	case m.role == attls.RoleClient && !m.external && len(s.PeerChain) == 0:
		m.failed("connection %d: the server has shown %d certificates", i, len(s.PeerChain))
	}
	if m.theirs != nil && len(s.PeerChain) > 0 {
		want := m.theirs.der
		if m.raw {
			want = m.theirs.cert.RawSubjectPublicKeyInfo
		}
		if !bytes.Equal(s.PeerChain[0], want) {
			t.Errorf("connection %d: another certificate than expected", i)
		}
	}
	if m.suite != 0 && s.CipherSuite != m.suite || m.group != 0 && s.Group != m.group || s.HelloRetry != (m.retry && !(m.learned && again)) || m.limit != 0 && s.PeerRecordLimit == 0 {
		t.Errorf("connection %d: %v, %v, HelloRetryRequest %v, limit %d", i, s.CipherSuite, s.Group, s.HelloRetry, s.PeerRecordLimit)
	}
}

// testStack meets a stack in both roles.
func testStack(t *testing.T, s stack) {
	full := os.Getenv("ATTLS_INTEROP") == "full"
	for i := range wishes {
		w := &wishes[i]
		if w.wide && !full {
			continue
		}
		for _, role := range bothEnds {
			if w.learned && role == attls.RoleServer {
				continue // about our client
			}
			t.Run(fmt.Sprintf("%s/%v", w.name, role), func(t *testing.T) {
				if why := s.lacks(w, role.Peer()); why != "" {
					t.Skip(why)
				}
				newEncounter(t, s, w, role).run()
			})
		}
	}
}

var bothEnds = []attls.Role{attls.RoleClient, attls.RoleServer}
