package handshake_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"attls"
	"attls/handshake"
	"attls/handshake/message"
)

// loopback is a TCP connection, which buffers, unlike net.Pipe.
func loopback(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// log collects a key log.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// lines returns the sorted lines but for those with a label.
func (l *log) lines(but string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(strings.Split(strings.TrimSpace(l.b.String()), "\n"), func(s string) bool {
		return s == "" || strings.HasPrefix(s, "#") || but != "" && strings.HasPrefix(s, but)
	})
	slices.Sort(list)
	return list
}

// counter counts the KeyUpdates of both directions.
type counter struct {
	handshake.NopTap
	mu      sync.Mutex
	updates [2]int
	changed chan struct{}
}

func newCounter() *counter { return &counter{changed: make(chan struct{})} }

func (c *counter) Message(d handshake.Direction, m *message.Raw, _ *handshake.Plan) {
	if m.Kind == attls.KindKeyUpdate {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.updates[d]++
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

func (c *counter) Fork() handshake.Tap { panic("not forked here") }

func (c *counter) seen() [2]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.updates
}

// await waits until n KeyUpdates went in a direction.
func (c *counter) await(t *testing.T, d handshake.Direction, n int) {
	t.Helper()
	timer := time.NewTimer(time.Until(latest(t)))
	defer timer.Stop()
	for {
		c.mu.Lock()
		got, changed := c.updates[d], c.changed
		c.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("%d KeyUpdates %v, want %d", got, d, n)
		}
	}
}

// against is a connection of a Conn with crypto/tls.
type against struct {
	role     attls.Role // the Conn's
	cfg      handshake.Config
	answerer handshake.Answerer
	theirs   tls.Config
	pipe     bool
	wrap     func(net.Conn) net.Conn // the transport of both ends; nil: as it is

	conn         *handshake.Conn
	peer         *tls.Conn
	own, foreign log
}

// newAgainst prepares both ends with certificates of one authority: each
// accepts the other's, a client shows none.
func newAgainst(role attls.Role, ca, server *identity) *against {
	a := &against{role: role}
	a.answerer.Trust = handshake.Trust{Roots: pool(ca), Time: func() time.Time { return notBefore.AddDate(1, 0, 0) }}
	a.theirs.RootCAs, a.theirs.ClientCAs, a.theirs.Time = pool(ca), pool(ca), a.answerer.Trust.Time
	a.theirs.MinVersion, a.theirs.SessionTicketsDisabled = tls.VersionTLS13, true
	a.theirs.KeyLogWriter, a.cfg.KeyLog = &a.foreign, &a.own
	a.cfg.ServerName, a.theirs.ServerName = "server", "server"
	a.show(attls.RoleServer, server)
	return a
}

// show gives an end its certificate.
func (a *against) show(role attls.Role, id *identity) {
	if role == a.role {
		a.answerer.Credentials = []*handshake.Credential{id.credential()}
	} else {
		a.theirs.Certificates = []tls.Certificate{id.tls()}
	}
}

func (id *identity) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{id.der}, PrivateKey: id.key}
}

// start makes the connection and runs both handshakes.
func (a *against) start(t *testing.T) (ours, theirs error) {
	t.Helper()
	x, y := net.Pipe()
	if !a.pipe {
		x, y = loopback(t)
	}
	if a.wrap != nil {
		x, y = a.wrap(x), a.wrap(y)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	deadline := latest(t)
	x.SetDeadline(deadline)
	y.SetDeadline(deadline)
	if a.role == attls.RoleClient {
		a.conn, a.peer = handshake.Client(x, &a.cfg, &a.answerer), tls.Server(y, &a.theirs)
	} else {
		a.conn, a.peer = handshake.Server(x, &a.cfg, &a.answerer), tls.Client(y, &a.theirs)
	}
	done := make(chan error, 1)
	go func() {
		err := a.peer.Handshake()
		if err != nil {
			y.Close()
		}
		done <- err
	}()
	return a.conn.Handshake(), <-done
}

// exchange sends data both ways, compares what both ends know and closes.
func (a *against) exchange(t *testing.T) {
	t.Helper()
	errs := make(chan error, 1)
	go func() {
		buf := make([]byte, 4)
		_, err := io.ReadFull(a.peer, buf)
		if err == nil {
			_, err = a.peer.Write(append(buf, "pong"...))
		}
		errs <- err
	}()
	if _, err := a.conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if _, err := io.ReadFull(a.conn, buf); err != nil || string(buf) != "pingpong" {
		t.Errorf("got %q, %v", buf, err)
	}
	if err := <-errs; err != nil {
		t.Error(err)
	}
	state := a.peer.ConnectionState()
	theirs, err := state.ExportKeyingMaterial("attls test", []byte("context"), 40)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := a.conn.Export("attls test", []byte("context"), 40)
	if err != nil || !bytes.Equal(ours, theirs) {
		t.Errorf("exported %x, crypto/tls %x, %v", ours, theirs, err)
	}
	if ours, theirs := a.own.lines("EXPORTER_SECRET"), a.foreign.lines(""); len(theirs) != 4 || !slices.Equal(ours, theirs) {
		t.Errorf("key log\n%q\ncrypto/tls\n%q", ours, theirs)
	}
	if s := a.conn.ConnectionState(); uint16(s.CipherSuite) != state.CipherSuite || s.ALPN != state.NegotiatedProtocol || uint16(s.Group) != uint16(state.CurveID) {
		t.Errorf("%v, %q, %v; crypto/tls %#x, %q, %v", s.CipherSuite, s.ALPN, s.Group, state.CipherSuite, state.NegotiatedProtocol, state.CurveID)
	}
	// Each end closes its direction; a pipe has no room for a close_notify that nobody reads.
	go a.peer.CloseWrite()
	if _, err := a.conn.Read(buf); err != io.EOF {
		t.Errorf("after the peer's close_notify: %v", err)
	}
	go a.conn.CloseWrite()
	if _, err := a.peer.Read(buf); err != io.EOF {
		t.Errorf("crypto/tls after our close_notify: %v", err)
	}
}

// octetConn reads an octet at a time.
type octetConn struct{ net.Conn }

func (c octetConn) Read(b []byte) (int, error) { return c.Conn.Read(b[:min(1, len(b))]) }

// cutConn cuts the plaintext handshake records that are written.
type cutConn struct {
	net.Conn
	size int
}

func (c cutConn) Write(b []byte) (int, error) {
	var out []byte
	for rest := b; len(rest) > 0; {
		n := 5 + int(rest[3])<<8 + int(rest[4]) // both ends write whole records
		head, fragment := rest[:5], rest[5:n]
		rest = rest[n:]
		for attls.ContentType(head[0]) == attls.ContentTypeHandshake && len(fragment) > c.size {
			out = append(append(out, head[:3]...), 0, byte(c.size))
			out = append(out, fragment[:c.size]...)
			fragment = fragment[c.size:]
		}
		out = append(append(out, head[:3]...), byte(len(fragment)>>8), byte(len(fragment)))
		out = append(out, fragment...)
	}
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// TestCryptoTLS runs both roles against crypto/tls with everything that the two
// have in common.
func TestCryptoTLS(t *testing.T) {
	ca := newAuthority("authority")
	server, client := issue(ca, "server", keys["P-256"](), nil), issue(ca, "client", keys["P-256"](), nil)
	type testCase struct {
		name  string
		setup func(*against)
		check func(s handshake.ConnectionState) bool
	}
	askClient := func(a *against, ours handshake.ClientAuthentication, theirs tls.ClientAuthType) {
		a.cfg.ClientAuthentication, a.theirs.ClientAuth = ours, theirs
	}
	any := func(handshake.ConnectionState) bool { return true }
	shown := func(s handshake.ConnectionState) bool {
		if s.Role == attls.RoleClient {
			return s.OwnScheme != 0
		}
		return len(s.PeerChain) == 1 && bytes.Equal(s.PeerChain[0], client.der)
	}
	tests := []testCase{
		{"plain", func(*against) {}, func(s handshake.ConnectionState) bool { return !s.ClientRequested }},
		{"pipe", func(a *against) { a.pipe = true }, any},
		{"no middlebox compatibility", func(a *against) { a.cfg.NoMiddleboxCompatibility = true }, any},
		{"an octet at a time", func(a *against) { a.wrap = func(c net.Conn) net.Conn { return octetConn{c} } }, any},
		{"hellos in records of 20 octets", func(a *against) { a.wrap = func(c net.Conn) net.Conn { return cutConn{c, 20} } }, any},
		{"padding", func(a *against) { a.cfg.PadTo = 512 }, any},
		{"mutual", func(a *against) {
			askClient(a, handshake.RequireClientCertificate, tls.RequireAndVerifyClientCert)
			a.show(attls.RoleClient, client)
		}, shown},
		{"mutual over a pipe", func(a *against) {
			a.pipe = true
			askClient(a, handshake.RequireClientCertificate, tls.RequireAndVerifyClientCert)
			a.show(attls.RoleClient, client)
		}, shown},
		{"optional, shown", func(a *against) {
			askClient(a, handshake.OptionalClientCertificate, tls.VerifyClientCertIfGiven)
			a.show(attls.RoleClient, client)
		}, shown},
		{"optional, not shown", func(a *against) {
			askClient(a, handshake.OptionalClientCertificate, tls.VerifyClientCertIfGiven)
		}, func(s handshake.ConnectionState) bool {
			return s.ClientRequested && (s.Role == attls.RoleClient) == (len(s.PeerChain) == 1)
		}},
		{"certificate_authorities", func(a *against) {
			a.cfg.CertificateAuthorities = [][]byte{ca.cert.RawSubject}
			askClient(a, handshake.RequireClientCertificate, tls.RequireAndVerifyClientCert)
			a.show(attls.RoleClient, client)
		}, shown},
		{"ALPN", func(a *against) {
			a.cfg.ALPN, a.theirs.NextProtos = []string{"h3", "attls"}, []string{"attls"}
		}, func(s handshake.ConnectionState) bool { return s.ALPN == "attls" }},
		{"server name", func(a *against) { a.cfg.AcknowledgeServerName = true }, func(s handshake.ConnectionState) bool { return s.ServerName == "server" }},
		{"announced groups", func(a *against) { a.cfg.AnnounceGroups = true }, any},
		{"several shares", func(a *against) {
			a.cfg.KeyShares = []attls.NamedGroup{attls.GroupX25519MLKEM768, attls.GroupX25519, attls.GroupSecp256r1}
			a.theirs.CurvePreferences = []tls.CurveID{tls.CurveP256}
		}, func(s handshake.ConnectionState) bool {
			return s.Group == attls.GroupSecp256r1 || s.Role == attls.RoleServer
		}},
		{"HelloRetryRequest", func(a *against) {
			if a.role == attls.RoleClient {
				a.theirs.CurvePreferences = []tls.CurveID{tls.CurveP384}
			} else {
				a.cfg.Groups = []attls.NamedGroup{attls.GroupSecp521r1}
				a.theirs.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP521}
			}
		}, func(s handshake.ConnectionState) bool { return s.HelloRetry }},
		{"HelloRetryRequest for no share at all", func(a *against) {
			if a.role == attls.RoleClient {
				a.cfg.KeyShares = []attls.NamedGroup{}
			} else {
				a.cfg.Retry = handshake.Retry{Always: true, Cookie: true}
			}
		}, func(s handshake.ConnectionState) bool { return s.HelloRetry }},
	}
	for _, id := range []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384, attls.TLS_CHACHA20_POLY1305_SHA256} {
		tests = append(tests, testCase{id.String(), func(a *against) { a.cfg.CipherSuites = []attls.CipherSuite{id} },
			func(s handshake.ConnectionState) bool { return s.CipherSuite == id }})
	}
	for _, g := range []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1, attls.GroupSecp384r1, attls.GroupSecp521r1,
		attls.GroupX25519MLKEM768, attls.GroupSecP256r1MLKEM768, attls.GroupSecP384r1MLKEM1024} {
		tests = append(tests, testCase{g.String(), func(a *against) {
			a.cfg.Groups, a.theirs.CurvePreferences = []attls.NamedGroup{g}, []tls.CurveID{tls.CurveID(g)}
		}, func(s handshake.ConnectionState) bool { return s.Group == g && !s.HelloRetry }})
	}
	// crypto/tls has no keys of type RSASSA-PSS.
	for keyType, scheme := range map[string]attls.SignatureScheme{"P-256": attls.ECDSA_SECP256R1_SHA256, "P-384": attls.ECDSA_SECP384R1_SHA384,
		"P-521": attls.ECDSA_SECP521R1_SHA512, "Ed25519": attls.ED25519} {
		id := issueType(ca, "server", keyType)
		tests = append(tests, testCase{keyType, func(a *against) {
			askClient(a, handshake.RequireClientCertificate, tls.RequireAndVerifyClientCert)
			a.show(attls.RoleServer, id)
			a.show(attls.RoleClient, id)
		}, func(s handshake.ConnectionState) bool { return s.PeerScheme == scheme && s.OwnScheme == scheme }})
	}
	rsa := issueType(ca, "server", "RSA")
	for _, scheme := range []attls.SignatureScheme{attls.RSA_PSS_RSAE_SHA256, attls.RSA_PSS_RSAE_SHA384, attls.RSA_PSS_RSAE_SHA512} {
		tests = append(tests, testCase{scheme.String(), func(a *against) {
			// crypto/tls signs with the first scheme that we accept, and accepts all three.
			a.cfg.SignatureSchemes = []attls.SignatureScheme{scheme, attls.ECDSA_SECP256R1_SHA256}
			askClient(a, handshake.RequireClientCertificate, tls.RequireAndVerifyClientCert)
			a.show(attls.RoleServer, rsa)
			a.show(attls.RoleClient, rsa)
			for _, c := range a.answerer.Credentials {
				c.Schemes = []attls.SignatureScheme{scheme}
			}
		}, func(s handshake.ConnectionState) bool { return s.PeerScheme == scheme && s.OwnScheme == scheme }})
	}
	for _, test := range tests {
		for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			t.Run(fmt.Sprintf("%s/%v", test.name, role), func(t *testing.T) {
				a := newAgainst(role, ca, server)
				test.setup(a)
				if ours, theirs := a.start(t); ours != nil || theirs != nil {
					t.Fatalf("ours: %v\ncrypto/tls: %v", ours, theirs)
				}
				a.exchange(t)
				if s := a.conn.ConnectionState(); !test.check(s) {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// TestCryptoTLSRefuses lets handshakes fail at one end and checks that the
// other gets the right alert.
func TestCryptoTLSRefuses(t *testing.T) {
	ca, other := newAuthority("authority"), newAuthority("another authority")
	server := issue(ca, "server", keys["P-256"](), nil)
	tests := []struct {
		name  string
		role  attls.Role
		setup func(*against)
		fail  attls.Failure // ours
		alert attls.AlertDescription
	}{
		{"we do not know the authority", attls.RoleClient, func(a *against) { a.answerer.Trust.Roots = pool(other) }, attls.FailUnknownCA, attls.AlertUnknownCA},
		{"they do not know the authority", attls.RoleServer, func(a *against) { a.theirs.RootCAs = pool(other) }, attls.FailPeerAlert, attls.AlertBadCertificate},
		{"other name", attls.RoleClient, func(a *against) { a.cfg.ServerName = "elsewhere" }, attls.FailCertificateName, attls.AlertBadCertificate},
		{"expired", attls.RoleClient, func(a *against) { a.answerer.Trust.Time = func() time.Time { return notAfter.AddDate(1, 0, 0) } },
			attls.FailCertificateExpired, attls.AlertCertificateExpired},
		{"no client certificate", attls.RoleServer, func(a *against) { a.cfg.ClientAuthentication = handshake.RequireClientCertificate },
			attls.FailCertificateRequired, attls.AlertCertificateRequired},
		{"no protocol", attls.RoleServer, func(a *against) { a.cfg.ALPN, a.theirs.NextProtos = []string{"a"}, []string{"b"} },
			attls.FailALPN, attls.AlertNoApplicationProtocol},
		{"no group", attls.RoleServer, func(a *against) {
			a.cfg.Groups, a.theirs.CurvePreferences = []attls.NamedGroup{attls.GroupSecp521r1}, []tls.CurveID{tls.X25519}
		}, attls.FailGroup, attls.AlertHandshakeFailure},
		{"no certificate for the schemes", attls.RoleServer, func(a *against) {
			a.answerer.Credentials = []*handshake.Credential{issueType(ca, "server", "RSA-PSS").credential()}
			a.answerer.Credentials[0].Schemes = []attls.SignatureScheme{attls.SignatureScheme(0x0202)}
		}, attls.FailSignatureScheme, attls.AlertHandshakeFailure},
		{"a TLS 1.2 client", attls.RoleServer, func(a *against) { a.theirs.MinVersion, a.theirs.MaxVersion = 0, tls.VersionTLS12 },
			attls.FailVersion, attls.AlertProtocolVersion},
		{"a TLS 1.2 server", attls.RoleClient, func(a *against) { a.theirs.MinVersion, a.theirs.MaxVersion = 0, tls.VersionTLS12 },
			attls.FailPeerAlert, attls.AlertProtocolVersion},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAgainst(test.role, ca, server)
			test.setup(a)
			ours, theirs := a.start(t)
			if ours == nil { // a client's refusal may arrive after a server is done, and the reverse
				_, ours = a.conn.Read(make([]byte, 1))
			}
			if theirs == nil {
				_, theirs = a.peer.Read(make([]byte, 1))
			}
			var e *attls.Error
			if !errors.As(ours, &e) || e.Failure != test.fail || e.Alert != test.alert {
				t.Errorf("ours: %v", ours)
			}
			if test.fail == attls.FailPeerAlert {
				return
			}
			var alert *net.OpError // of crypto/tls: a remote error that wraps the alert
			if !errors.As(theirs, &alert) || alert.Op != "remote error" || alert.Err.Error() != tls.AlertError(test.alert).Error() {
				t.Errorf("crypto/tls: %v", theirs)
			}
		})
	}
}

// fullInterop makes the transfers large; the default keeps them quick.
var fullInterop = os.Getenv("ATTLS_INTEROP") == "full"

// stream is a reproducible flow of data.
type stream struct{ n byte }

func (s *stream) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = s.n
		s.n = s.n*5 + 3
	}
	return len(b), nil
}

// transfer sends size octets from w to r and compares them on the way.
func transfer(w io.Writer, r io.Reader, size int64) error {
	sent := make(chan error, 1)
	sum := sha256.New()
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, io.TeeReader(io.LimitReader(&stream{}, size), sum), make([]byte, 100_000))
		sent <- err
	}()
	got := sha256.New()
	if _, err := io.CopyN(got, r, size); err != nil {
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), got.Sum(nil)) {
		return errors.New("other data arrived")
	}
	return nil
}

// TestCryptoTLSTransfer sends much in both directions at once, while we change
// our key and ask the peer to change its.
func TestCryptoTLSTransfer(t *testing.T) {
	size := int64(8 << 20)
	if fullInterop {
		size = 64 << 20
	}
	ca := newAuthority("authority")
	server := issue(ca, "server", keys["P-256"](), nil)
	for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		t.Run(role.String(), func(t *testing.T) {
			a := newAgainst(role, ca, server)
			count := newCounter()
			a.cfg.Tap = count
			if ours, theirs := a.start(t); ours != nil || theirs != nil {
				t.Fatal(ours, theirs)
			}
			errs := make(chan error, 3)
			go func() { errs <- transfer(a.conn, a.peer, size) }()
			go func() { errs <- transfer(a.peer, a.conn, size) }()
			go func() {
				for i := range 6 {
					if err := a.conn.KeyUpdate(i%2 == 0); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
			for range 3 {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
			// What comes after this in either direction is behind every KeyUpdate.
			behind := func() [2]int {
				for _, way := range [][2]io.ReadWriter{{a.conn, a.peer}, {a.peer, a.conn}} {
					if err := transfer(way[0], way[1], 1); err != nil {
						t.Fatal(err)
					}
				}
				return count.seen()
			}
			// A request is made only when none is open (RFC 9846 section 4.7.3).
			before := behind()
			if before[handshake.Sent] != 6 || before[handshake.Received] < 1 || before[handshake.Received] > 3 {
				t.Errorf("KeyUpdates sent and received: %v", before)
			}
			if err := a.conn.KeyUpdate(true); err != nil {
				t.Fatal(err)
			}
			if after := behind(); after != [2]int{7, before[handshake.Received] + 1} {
				t.Errorf("KeyUpdates sent and received: %v, before %v", after, before)
			}
		})
	}
}
