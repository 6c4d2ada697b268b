package handshake_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/handshake"
	"attls/internal/console"
)

// program is a running program, openssl or another.
type program struct {
	*console.Program
	t    *testing.T
	name string
}

// startOpenSSL runs openssl until the test ends.
func startOpenSSL(t *testing.T, args ...string) *program {
	t.Helper()
	return startProgram(t, "openssl", args...)
}

// startProgram runs a program until the test ends; without it the test is skipped.
func startProgram(t *testing.T, name string, args ...string) *program {
	t.Helper()
	path := lookProgram(t, name)
	p, err := console.Start(context.Background(), nil, path, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return &program{p, t, name}
}

// lookProgram finds a program; without it the test is skipped.
func lookProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not installed")
	}
	return path
}

// await waits until the program has printed what matches and returns the match,
// which has at most a thousand octets.
func (p *program) await(pattern string) []string {
	p.t.Helper()
	ctx, cancel := context.WithDeadline(context.Background(), latest(p.t))
	defer cancel()
	list, err := p.Await(ctx, regexp.MustCompile(pattern))
	if err != nil {
		text := p.Printed()
		p.t.Fatalf("%s: %v:\n%s", p.name, err, text[max(0, len(text)-1500):])
	}
	return list
}

// say types a line.
func (p *program) say(format string, args ...any) {
	p.t.Helper()
	if err := p.Type(fmt.Sprintf(format+"\n", args...)); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits until the program has ended by itself.
func (p *program) exit() error {
	p.t.Helper()
	ctx, cancel := context.WithDeadline(context.Background(), latest(p.t))
	defer cancel()
	err := p.Wait(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatalf("%s does not end", p.name)
	}
	return err
}

// withOpenSSL is a connection of a Conn with s_server or s_client.
type withOpenSSL struct {
	t        *testing.T
	role     attls.Role // the Conn's
	ca       *identity
	cfg      handshake.Config
	answerer handshake.Answerer
	args     []string // for s_server and s_client
	server   *identity
	client   *identity // nil: a client has no certificate

	conn    *handshake.Conn
	peer    *program
	own     log
	foreign string // openssl's key log file
	count   *counter
}

func newWithOpenSSL(t *testing.T, role attls.Role, ca, server *identity) *withOpenSSL {
	w := &withOpenSSL{t: t, role: role, ca: ca, server: server, foreign: filepath.Join(t.TempDir(), "keys"), count: newCounter()}
	w.cfg.ServerName, w.cfg.KeyLog, w.cfg.Tap = "server", &w.own, w.count
	w.answerer.Trust = handshake.Trust{Roots: pool(ca), Time: func() time.Time { return notBefore.AddDate(1, 0, 0) }}
	return w
}

// start makes the connection and runs our handshake.
func (w *withOpenSSL) start() error {
	t := w.t
	t.Helper()
	anchor := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(anchor, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.ca.der}), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-CAfile", anchor, "-verify_return_error", "-keylogfile", w.foreign,
		"-keymatexport", "attls test", "-keymatexportlen", "40", "-attime", fmt.Sprint(notBefore.AddDate(1, 0, 0).Unix())}, w.args...)
	own, foreign := w.server, w.client
	if w.role == attls.RoleClient {
		own, foreign = w.client, w.server
	}
	if own != nil {
		w.answerer.Credentials = []*handshake.Credential{own.credential()}
	}
	if foreign != nil {
		cert, key := foreign.files(t)
		args = append(args, "-cert", cert, "-key", key)
	}
	var nc net.Conn
	var err error
	if w.role == attls.RoleClient {
		w.peer = startOpenSSL(t, append([]string{"s_server", "-accept", "127.0.0.1:0", "-naccept", "1"}, args...)...)
		address := w.peer.await(`ACCEPT (127\.0\.0\.1:\d+)`)[1]
		nc, err = net.Dial("tcp", address)
	} else {
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.(*net.TCPListener).SetDeadline(latest(t))
		w.peer = startOpenSSL(t, append([]string{"s_client", "-connect", l.Addr().String(), "-servername", "server",
			"-verify_hostname", "server"}, args...)...)
		nc, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(latest(t))
	if w.role == attls.RoleClient {
		w.conn = handshake.Client(nc, &w.cfg, &w.answerer)
	} else {
		w.conn = handshake.Server(nc, &w.cfg, &w.answerer)
	}
	return w.conn.Handshake()
}

// echo sends a line in each direction.
func (w *withOpenSSL) echo(line string) {
	w.t.Helper()
	if _, err := w.conn.Write([]byte(line + " to openssl\n")); err != nil {
		w.t.Fatal(err)
	}
	w.peer.await(line + " to openssl")
	w.peer.say("%s from openssl", line)
	want := line + " from openssl\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(w.conn, got); err != nil || string(got) != want {
		w.t.Fatalf("got %q, %v", got, err)
	}
}

// compare holds exported values and key logs side by side.
func (w *withOpenSSL) compare() {
	t := w.t
	t.Helper()
	ours, err := w.conn.Export("attls test", nil, 40)
	theirs := w.peer.await(`Keying material: ([0-9A-F]+)\s`)[1]
	if err != nil || !strings.EqualFold(hex.EncodeToString(ours), theirs) {
		t.Errorf("exported %x, openssl %s, %v", ours, theirs, err)
	}
	b, err := os.ReadFile(w.foreign)
	if err != nil {
		t.Fatal(err)
	}
	var foreign log
	foreign.Write(b)
	if ours, theirs := w.own.lines(""), foreign.lines(""); len(theirs) != 5 || !slices.Equal(ours, theirs) {
		t.Errorf("key log\n%q\nopenssl\n%q", ours, theirs)
	}
}

// close closes our direction first, and expects openssl's close_notify.
func (w *withOpenSSL) close() {
	w.t.Helper()
	if err := w.conn.CloseWrite(); err != nil {
		w.t.Error(err)
	}
	if _, err := w.conn.Read(make([]byte, 1)); err != io.EOF {
		w.t.Errorf("after openssl's close_notify: %v", err)
	}
	w.conn.Close() // s_client waits for the end of the transport
	if err := w.peer.exit(); err != nil {
		w.t.Errorf("openssl: %v", err)
	}
}

// TestOpenSSL runs both roles against openssl's s_server and s_client.
func TestOpenSSL(t *testing.T) {
	ca := newAuthority("authority")
	server, client := issue(ca, "server", keys["P-256"](), nil), issue(ca, "client", keys["P-256"](), nil)
	type testCase struct {
		name  string
		setup func(*withOpenSSL)
		check func(s handshake.ConnectionState) bool
	}
	// add appends arguments for s_server or s_client, according to our role.
	add := func(w *withOpenSSL, toServer, toClient string) {
		args := toClient
		if w.role == attls.RoleClient {
			args = toServer
		}
		w.args = append(w.args, strings.Fields(args)...)
	}
	mutual := func(w *withOpenSSL) {
		w.client = client
		w.cfg.ClientAuthentication = handshake.RequireClientCertificate
		add(w, "-Verify 1", "")
	}
	shown := func(s handshake.ConnectionState) bool {
		return s.ClientRequested && (s.Role == attls.RoleClient && s.OwnScheme != 0 || s.Role == attls.RoleServer && len(s.PeerChain) > 0)
	}
	any := func(handshake.ConnectionState) bool { return true }
	tests := []testCase{
		{"plain", func(w *withOpenSSL) {}, func(s handshake.ConnectionState) bool {
			return !s.HelloRetry && !s.ClientRequested && s.ServerName == "server"
		}},
		{"mutual", mutual, shown},
		{"optional, not shown", func(w *withOpenSSL) {
			w.cfg.ClientAuthentication = handshake.OptionalClientCertificate
			add(w, "-verify 1", "")
		}, func(s handshake.ConnectionState) bool {
			return s.ClientRequested && s.OwnScheme == 0 == (s.Role == attls.RoleClient)
		}},
		{"certificate_authorities", func(w *withOpenSSL) {
			mutual(w)
			w.cfg.CertificateAuthorities = [][]byte{ca.cert.RawSubject}
		}, shown},
		{"HelloRetryRequest", func(w *withOpenSSL) {
			add(w, "-groups P-384", "-groups P-384:X25519")
			if w.role == attls.RoleServer {
				w.cfg.Groups = []attls.NamedGroup{attls.GroupX25519}
			}
		}, func(s handshake.ConnectionState) bool { return s.HelloRetry }},
		{"HelloRetryRequest, mutual", func(w *withOpenSSL) {
			mutual(w)
			add(w, "-groups P-521", "-groups P-384:P-521")
			if w.role == attls.RoleServer {
				w.cfg.Groups = []attls.NamedGroup{attls.GroupSecp521r1}
			}
		}, func(s handshake.ConnectionState) bool { return s.HelloRetry && shown(s) }},
		{"cookie", func(w *withOpenSSL) {
			if w.role == attls.RoleClient {
				w.t.Skip("s_server sends a cookie only with -stateless, which fails over TCP")
			}
			w.cfg.Retry = handshake.Retry{Always: true, Cookie: true}
		}, func(s handshake.ConnectionState) bool { return s.HelloRetry }},
		{"ALPN", func(w *withOpenSSL) {
			w.cfg.ALPN = []string{"other", "attls"}
			add(w, "-alpn attls", "-alpn attls")
		}, func(s handshake.ConnectionState) bool { return s.ALPN == "attls" }},
		{"we leave out middlebox compatibility", func(w *withOpenSSL) { w.cfg.NoMiddleboxCompatibility = true }, any},
		{"openssl leaves out middlebox compatibility", func(w *withOpenSSL) { add(w, "-no_middlebox", "-no_middlebox") }, any},
		{"both leave out middlebox compatibility", func(w *withOpenSSL) {
			w.cfg.NoMiddleboxCompatibility = true
			add(w, "-no_middlebox", "-no_middlebox")
		}, any},
		{"padding", func(w *withOpenSSL) {
			w.cfg.PadTo = 1024
			add(w, "-record_padding 4096", "-record_padding 4096")
		}, any},
		{"small fragments", func(w *withOpenSSL) {
			mutual(w)
			add(w, "-max_send_frag 512 -split_send_frag 512", "-max_send_frag 512 -split_send_frag 512")
		}, shown},
	}
	for _, id := range []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384, attls.TLS_CHACHA20_POLY1305_SHA256} {
		tests = append(tests, testCase{id.String(), func(w *withOpenSSL) {
			add(w, "-ciphersuites "+id.String(), "")
			if w.role == attls.RoleServer {
				w.cfg.CipherSuites = []attls.CipherSuite{id}
			}
		}, func(s handshake.ConnectionState) bool { return s.CipherSuite == id }})
	}
	for name, g := range map[string]attls.NamedGroup{"X25519": attls.GroupX25519, "P-256": attls.GroupSecp256r1, "P-384": attls.GroupSecp384r1, "P-521": attls.GroupSecp521r1} {
		tests = append(tests, testCase{name, func(w *withOpenSSL) {
			w.cfg.Groups = []attls.NamedGroup{g}
			add(w, "-groups "+name, "-groups "+name)
		}, func(s handshake.ConnectionState) bool { return s.Group == g && !s.HelloRetry }})
	}
	for keyType, schemes := range map[string][]attls.SignatureScheme{"P-256": {attls.ECDSA_SECP256R1_SHA256}, "P-384": {attls.ECDSA_SECP384R1_SHA384},
		"P-521": {attls.ECDSA_SECP521R1_SHA512}, "Ed25519": {attls.ED25519},
		"RSA":     {attls.RSA_PSS_RSAE_SHA256, attls.RSA_PSS_RSAE_SHA384, attls.RSA_PSS_RSAE_SHA512},
		"RSA-PSS": {attls.RSA_PSS_PSS_SHA256, attls.RSA_PSS_PSS_SHA384, attls.RSA_PSS_PSS_SHA512}} {
		id := issueType(ca, "server", keyType)
		for _, scheme := range schemes {
			tests = append(tests, testCase{keyType + " " + scheme.String(), func(w *withOpenSSL) {
				mutual(w)
				w.server, w.client = id, id
				w.cfg.SignatureSchemes = []attls.SignatureScheme{scheme}
				list := scheme.String()
				if scheme != attls.ECDSA_SECP256R1_SHA256 { // what the authority signs with
					w.cfg.SignatureSchemes = append(w.cfg.SignatureSchemes, attls.ECDSA_SECP256R1_SHA256)
					list += ":ecdsa_secp256r1_sha256"
				}
				w.args = append(w.args, "-sigalgs", list)
				add(w, "-client_sigalgs "+list, "")
			}, func(s handshake.ConnectionState) bool { return s.PeerScheme == scheme && s.OwnScheme == scheme }})
		}
	}
	for _, test := range tests {
		for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			t.Run(fmt.Sprintf("%s/%v", test.name, role), func(t *testing.T) {
				w := newWithOpenSSL(t, role, ca, server)
				test.setup(w)
				if err := w.start(); err != nil {
					text := w.peer.Printed()
					t.Fatalf("%v\n%.3000s", err, text)
				}
				w.echo("a line")
				w.compare()
				if s := w.conn.ConnectionState(); !test.check(s) {
					t.Errorf("%v, %v, %v, %v, %v, %q", s.CipherSuite, s.Group, s.PeerScheme, s.OwnScheme, s.HelloRetry, s.ALPN)
				}
				w.close()
			})
		}
	}
}

// TestOpenSSLKeyUpdate changes the keys of each direction, alone and on request.
func TestOpenSSLKeyUpdate(t *testing.T) {
	ca := newAuthority("authority")
	server := issue(ca, "server", keys["P-256"](), nil)
	for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		t.Run(role.String(), func(t *testing.T) {
			w := newWithOpenSSL(t, role, ca, server)
			if err := w.start(); err != nil {
				t.Fatal(err)
			}
			w.echo("before")
			steps := []struct {
				name   string
				do     func()
				counts [2]int // sent, received
			}{
				{"ours", func() {
					if err := w.conn.KeyUpdate(false); err != nil {
						t.Fatal(err)
					}
				}, [2]int{1, 0}},
				{"ours, with request", func() {
					if err := w.conn.KeyUpdate(true); err != nil {
						t.Fatal(err)
					}
				}, [2]int{2, 1}},
				// Typed at once, the next line would be lost with the command.
				{"openssl's", func() { w.peer.say("k"); w.count.await(t, handshake.Received, 2) }, [2]int{2, 2}},
				{"openssl's, with request", func() { w.peer.say("K"); w.count.await(t, handshake.Received, 3) }, [2]int{3, 3}},
			}
			lines := make(chan string)
			go func() { // what is read lets KeyUpdates be seen
				defer close(lines)
				for in := bufio.NewScanner(w.conn); in.Scan(); {
					lines <- in.Text()
				}
			}()
			for _, step := range steps {
				step.do()
				if _, err := fmt.Fprintf(w.conn, "%s to openssl\n", step.name); err != nil {
					t.Fatal(err)
				}
				w.peer.await(step.name + " to openssl")
				w.peer.say("%s from openssl", step.name)
				if got := within(t, lines, "a line"); got != step.name+" from openssl" {
					t.Fatalf("%s: got %q", step.name, got)
				}
				// openssl answers with its next data, we at once.
				w.count.await(t, handshake.Received, step.counts[handshake.Received])
				w.count.await(t, handshake.Sent, step.counts[handshake.Sent])
			}
			if got := w.count.seen(); got != [2]int{3, 3} {
				t.Errorf("KeyUpdates sent and received: %v", got)
			}
			if err := w.conn.CloseWrite(); err != nil {
				t.Error(err)
			}
			if _, more := <-lines; more {
				t.Error("data after the last line")
			}
			w.conn.Close()
			if err := w.peer.exit(); err != nil {
				t.Errorf("openssl: %v", err)
			}
		})
	}
}

// TestOpenSSLTransfer sends much in both directions at once.
func TestOpenSSLTransfer(t *testing.T) {
	size := 4 << 20
	if fullInterop {
		size = 64 << 20
	}
	// s_server and s_client take a chunk that begins with a letter for a command.
	digits := bytes.Repeat([]byte("0123456789012345678901234567890123456789"), size/40)
	ca := newAuthority("authority")
	server := issue(ca, "server", keys["P-256"](), nil)
	for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		t.Run(role.String(), func(t *testing.T) {
			w := newWithOpenSSL(t, role, ca, server)
			w.cfg.Tap = nil
			if err := w.start(); err != nil {
				t.Fatal(err)
			}
			errs := make(chan error, 3)
			go func() {
				_, err := w.conn.Write(slices.Concat([]byte("<begin>"), digits, []byte("<end>")))
				errs <- err
			}()
			go func() {
				_, err := w.peer.Write(digits)
				errs <- err
			}()
			go func() {
				got := make([]byte, len(digits))
				_, err := io.ReadFull(w.conn, got)
				if err == nil && !bytes.Equal(got, digits) {
					err = errors.New("other data arrived from openssl")
				}
				errs <- err
			}()
			for range 3 {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
			w.peer.await("<end>")
			text := w.peer.Printed()
			_, text, _ = bytes.Cut(text, []byte("<begin>"))
			if text, _, _ = bytes.Cut(text, []byte("<end>")); !bytes.Equal(text, digits) {
				t.Errorf("other data arrived at openssl: %d octets of %d", len(text), len(digits))
			}
			w.close()
		})
	}
}

// TestOpenSSLRefuses lets handshakes fail and compares what the ends say.
func TestOpenSSLRefuses(t *testing.T) {
	ca, other := newAuthority("authority"), newAuthority("another authority")
	server := issue(ca, "server", keys["P-256"](), nil)
	tests := []struct {
		name  string
		role  attls.Role
		setup func(*withOpenSSL)
		fail  attls.Failure // ours
		alert attls.AlertDescription
		says  string // openssl
	}{
		{"TLS 1.2 server", attls.RoleClient, func(w *withOpenSSL) { w.args = []string{"-tls1_2"} }, attls.FailPeerAlert, attls.AlertProtocolVersion, "unsupported protocol"},
		{"TLS 1.2 client", attls.RoleServer, func(w *withOpenSSL) { w.args = []string{"-tls1_2"} }, attls.FailVersion, attls.AlertProtocolVersion, "alert protocol version"},
		{"we do not know the authority", attls.RoleClient, func(w *withOpenSSL) { w.answerer.Trust.Roots = pool(other) }, attls.FailUnknownCA, attls.AlertUnknownCA, "alert unknown ca"},
		{"openssl does not know the authority", attls.RoleServer, func(w *withOpenSSL) { w.ca = other }, attls.FailPeerAlert, attls.AlertUnknownCA, "certificate verify failed"},
		{"no client certificate", attls.RoleServer, func(w *withOpenSSL) { w.cfg.ClientAuthentication = handshake.RequireClientCertificate },
			attls.FailCertificateRequired, attls.AlertCertificateRequired, "alert certificate required"},
		{"no client certificate for openssl", attls.RoleClient, func(w *withOpenSSL) { w.args = []string{"-Verify", "1"} },
			attls.FailPeerAlert, attls.AlertCertificateRequired, "peer did not return a certificate"},
		{"no protocol", attls.RoleServer, func(w *withOpenSSL) { w.cfg.ALPN, w.args = []string{"a"}, []string{"-alpn", "b"} },
			attls.FailALPN, attls.AlertNoApplicationProtocol, "alert no application protocol"},
		{"no group", attls.RoleServer, func(w *withOpenSSL) {
			w.cfg.Groups, w.args = []attls.NamedGroup{attls.GroupX25519}, []string{"-groups", "P-256"}
		}, attls.FailGroup, attls.AlertHandshakeFailure, "alert handshake failure"},
		{"no suite", attls.RoleServer, func(w *withOpenSSL) {
			w.cfg.CipherSuites, w.args = []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256}, []string{"-ciphersuites", "TLS_AES_256_GCM_SHA384"}
		}, attls.FailSuite, attls.AlertHandshakeFailure, "alert handshake failure"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWithOpenSSL(t, test.role, ca, server)
			test.setup(w)
			err := w.start()
			if err == nil { // a server refuses a client after that is done
				_, err = w.conn.Read(make([]byte, 1))
			}
			w.conn.Close()
			var e *attls.Error
			if !errors.As(err, &e) || e.Failure != test.fail || e.Alert != test.alert {
				t.Errorf("ours: %v", err)
			}
			w.peer.await(test.says)
		})
	}
}
