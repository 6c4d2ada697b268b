package handshake_test

import (
	"bytes"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"attls"
	"attls/handshake"
)

// The tests of this file meet other stacks in what lasts longer than one
// handshake: resumption, 0-RTT, authentication after the handshake; and GnuTLS
// in raw public keys. A program that is not installed skips its tests.

// sessionPeer is what our end of these tests has.
type sessionPeer struct {
	t        *testing.T
	ca       *identity
	server   *identity
	client   *identity
	cfg      handshake.Config
	answerer handshake.Answerer
}

func newSessionPeer(t *testing.T) *sessionPeer {
	ca := newAuthority("authority")
	s := &sessionPeer{t: t, ca: ca, server: issue(ca, "server", keys["P-256"](), nil), client: issue(ca, "client", keys["P-256"](), nil)}
	s.cfg = handshake.Config{ServerName: "server", PSK: true}
	s.answerer = handshake.Answerer{ClientSessions: &handshake.ClientSessions{}, ServerSessions: &handshake.ServerSessions{},
		Trust: handshake.Trust{Roots: pool(ca), Time: func() time.Time { return notBefore.AddDate(1, 0, 0) }}}
	return s
}

// anchor is the authority's certificate in a file.
func (s *sessionPeer) anchor() string {
	file := filepath.Join(s.t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.der}), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// dial makes a client's connection; early is its early data.
func (s *sessionPeer) dial(address, early string) *handshake.Conn {
	s.t.Helper()
	nc, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	c := handshake.Client(nc, &s.cfg, &s.answerer)
	c.SetEarlyData([]byte(early))
	if err := c.Handshake(); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// listen makes a listener for programs.
func (s *sessionPeer) listen() *net.TCPListener {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close() })
	l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	return l.(*net.TCPListener)
}

// accept takes a connection as the server.
func (s *sessionPeer) accept(l *net.TCPListener) *handshake.Conn {
	s.t.Helper()
	nc, err := l.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	c := handshake.Server(nc, &s.cfg, &s.answerer)
	if err := c.Handshake(); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// receive reads a line that ends in a newline.
func receive(t *testing.T, c *handshake.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// freePort is a port of the loopback interface that was free a moment ago, for
// programs that do not choose one themselves.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestOpenSSLResumes is resumption and 0-RTT with s_server.
func TestOpenSSLResumes(t *testing.T) {
	s := newSessionPeer(t)
	s.cfg.MaxEarlyData = 1024
	cert, key := s.server.files(t)
	peer := startOpenSSL(t, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-tls1_3", "-early_data", "-no_anti_replay", "-naccept", "3")
	address := peer.await(`ACCEPT (127\.0\.0\.1:\d+)`)[1]
	for i, early := range []string{"", "early words\n", ""} {
		c := s.dial(address, early)
		st := c.ConnectionState()
		if resumed := st.Session != nil; resumed != (i > 0) {
			t.Fatalf("connection %d: resumed %v", i, resumed)
		}
		want := handshake.EarlyDataOpen // nothing was sent
		switch {
		case i == 0:
			want = handshake.EarlyDataNone
		case i > 0:
			want = handshake.EarlyDataAccepted
		}
		if st.EarlyData != want {
			t.Errorf("connection %d: early data %v, want %v", i, st.EarlyData, want)
		}
		if early != "" {
			peer.await(early)
		}
		if _, err := c.Write([]byte("line from us\n")); err != nil {
			t.Fatal(err)
		}
		peer.await("line from us")
		peer.say("line %d from openssl", i)
		receive(t, c, "line ")
		c.Close()
	}
}

// TestOpenSSLResumed is resumption and 0-RTT with s_client.
func TestOpenSSLResumed(t *testing.T) {
	s := newSessionPeer(t)
	s.cfg.Tickets, s.cfg.MaxEarlyData = 2, 1024
	s.answerer.ServerSessions.EarlyData = func(*handshake.EarlyDataRequest) bool { return true }
	s.answerer.Credentials = []*handshake.Credential{s.server.credential()}
	l := s.listen()
	dir := t.TempDir()
	session, early := filepath.Join(dir, "session"), filepath.Join(dir, "early")
	if err := os.WriteFile(early, []byte("early words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	common := []string{"s_client", "-connect", l.Addr().String(), "-servername", "server", "-CAfile", s.anchor(), "-tls1_3"}
	for i, args := range [][]string{{"-sess_out", session}, {"-sess_in", session, "-sess_out", session}, {"-sess_in", session, "-early_data", early}} {
		peer := startOpenSSL(t, append(common[:len(common):len(common)], args...)...)
		c := s.accept(l)
		st := c.ConnectionState()
		if resumed := st.Session != nil; resumed != (i > 0) {
			t.Fatalf("connection %d: resumed %v", i, resumed)
		}
		if i == 2 {
			if st.EarlyData != handshake.EarlyDataAccepted {
				t.Errorf("early data %v", st.EarlyData)
			}
			receive(t, c, "early words\n")
			peer.await("Early data was accepted")
		}
		if _, err := c.Write([]byte("line from us\n")); err != nil {
			t.Fatal(err)
		}
		peer.await("line from us")
		peer.say("line from openssl")
		receive(t, c, "line from openssl\n")
		c.Close()
		peer.exit()
	}
}

// TestOpenSSLAsksLater is authentication after the handshake in both roles.
func TestOpenSSLAsksLater(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		s := newSessionPeer(t)
		s.cfg.PostHandshakeAuthentication = true
		s.answerer.Credentials = []*handshake.Credential{s.server.credential()}
		s.answerer.Trust.AnyName = true
		l := s.listen()
		cert, key := s.client.files(t)
		peer := startOpenSSL(t, "s_client", "-connect", l.Addr().String(), "-servername", "server", "-CAfile", s.anchor(), "-enable_pha", "-cert", cert, "-key", key)
		c := s.accept(l)
		if err := c.RequestAuthentication(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("who are you?\n")); err != nil {
			t.Fatal(err)
		}
		peer.await("who are you")
		for c.ConnectionState().PeerChain == nil {
			peer.say("it is me")
			receive(t, c, "it is me\n")
		}
		if !bytes.Equal(c.ConnectionState().PeerChain[0], s.client.der) {
			t.Error("another certificate")
		}
	})
	t.Run("client", func(t *testing.T) {
		s := newSessionPeer(t)
		s.cfg.PostHandshakeAuthentication = true
		s.answerer.Credentials = []*handshake.Credential{s.client.credential()}
		cert, key := s.server.files(t)
		peer := startOpenSSL(t, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-CAfile", s.anchor(), "-naccept", "1")
		c := s.dial(peer.await(`ACCEPT (127\.0\.0\.1:\d+)`)[1], "")
		read := make(chan error, 1)
		go func() { // what is read lets the request be seen
			_, err := io.ReadFull(c, make([]byte, len("line from openssl\n")))
			read <- err
		}()
		if _, err := c.Write([]byte("ask me\n")); err != nil {
			t.Fatal(err)
		}
		peer.await("ask me")
		peer.say("c")
		peer.await(`SSL_do_handshake -> 1`)
		peer.say("line from openssl")
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("after it\n")); err != nil {
			t.Fatal(err)
		}
		peer.await("after it")
	})
}

const gnutlsPriority = "NORMAL:-VERS-ALL:+VERS-TLS1.3"

// startGnuTLSServer starts an echo server and returns its address.
func startGnuTLSServer(t *testing.T, priority string, args ...string) (*program, string) {
	t.Helper()
	port := freePort(t)
	p := startProgram(t, "gnutls-serv", append([]string{"-p", port, "--echo", "--priority", priority}, args...)...)
	p.await(`listening on IPv4.*done`)
	return p, "127.0.0.1:" + port
}

// publicKeyFile is an identity's public key in a file.
func publicKeyFile(t *testing.T, id *identity) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "public.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: id.cert.RawSubjectPublicKeyInfo})
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestGnuTLSServer meets gnutls-serv: resumption, authentication after the
// handshake, raw public keys in one and both directions.
func TestGnuTLSServer(t *testing.T) {
	s := newSessionPeer(t)
	cert, key := s.server.files(t)
	x509 := []string{"--x509keyfile", key, "--x509certfile", cert}
	t.Run("resumption and 0-RTT", func(t *testing.T) {
		s.cfg.MaxEarlyData = 1024
		defer func() { s.cfg.MaxEarlyData = 0 }()
		_, address := startGnuTLSServer(t, gnutlsPriority, append(x509, "-a", "--earlydata", "--maxearlydata", "1024")...)
		for i, early := range []string{"", "", "early words\n"} {
			c := s.dial(address, early)
			if resumed := c.ConnectionState().Session != nil; resumed != (i > 0) {
				t.Fatalf("connection %d: resumed %v", i, resumed)
			}
			if _, err := c.Write([]byte("echo\n")); err != nil {
				t.Fatal(err)
			}
			if early != "" {
				if got := c.ConnectionState().EarlyData; got != handshake.EarlyDataAccepted {
					t.Errorf("early data %v", got)
				}
			}
			receive(t, c, "echo\n")
			c.Close()
		}
	})
	t.Run("authentication after the handshake", func(t *testing.T) {
		_, address := startGnuTLSServer(t, gnutlsPriority, append(x509, "--x509cafile", s.anchor(), "-r")...)
		s.cfg.PostHandshakeAuthentication = true
		defer func() { s.cfg.PostHandshakeAuthentication = false }()
		s.answerer.Credentials = []*handshake.Credential{s.client.credential()}
		c := s.dial(address, "")
		if _, err := c.Write([]byte("**REAUTH**")); err != nil {
			t.Fatal(err)
		}
		// It goes on when more arrives, and says so once we have answered.
		if _, err := c.Write([]byte("echo\n")); err != nil {
			t.Fatal(err)
		}
		receive(t, c, "Successfully executed command\n")
		c.Close()
	})
	for name, raws := range map[string][2]bool{"raw public key of the server": {false, true}, "raw public keys of both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			priority := gnutlsPriority + ":-CTYPE-ALL:+CTYPE-SRV-RAWPK"
			args := []string{"--rawpkkeyfile", key, "--rawpkfile", publicKeyFile(t, s.server), "-a"}
			types := []attls.CertificateType{attls.CertificateRawPublicKey, attls.CertificateX509}
			o := newSessionPeer(t)
			o.cfg.ServerCertificateTypes = types
			o.answerer.Trust.RawKeys = [][]byte{s.server.cert.RawSubjectPublicKeyInfo}
			if raws[attls.RoleClient] {
				priority += ":+CTYPE-CLI-RAWPK"
				args[4] = "-r"
				o.cfg.ClientCertificateTypes = types
				o.answerer.Credentials = []*handshake.Credential{o.client.credential()}
			} else {
				priority += ":+CTYPE-CLI-X509"
			}
			_, address := startGnuTLSServer(t, priority, args...)
			c := o.dial(address, "")
			if _, err := c.Write([]byte("echo\n")); err != nil {
				t.Fatal(err)
			}
			receive(t, c, "echo\n")
			if st := c.ConnectionState(); !bytes.Equal(st.PeerSPKI, s.server.cert.RawSubjectPublicKeyInfo) || raws[attls.RoleClient] != (st.OwnSPKI != nil) {
				t.Error("another key, or none of ours")
			}
		})
	}
}

// TestGnuTLSClient meets gnutls-cli in the same.
func TestGnuTLSClient(t *testing.T) {
	start := func(t *testing.T, l *net.TCPListener, priority string, args ...string) *program {
		t.Helper()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return startProgram(t, "gnutls-cli", append([]string{"-p", port, "--sni-hostname", "server", "--verify-hostname", "server",
			"--priority", priority, "127.0.0.1"}, args...)...)
	}
	talk := func(t *testing.T, p *program, c *handshake.Conn) {
		t.Helper()
		p.say("line from gnutls")
		receive(t, c, "line from gnutls\n")
		if _, err := c.Write([]byte("line from us\n")); err != nil {
			t.Fatal(err)
		}
		p.await("line from us")
	}
	t.Run("resumption and 0-RTT", func(t *testing.T) {
		s := newSessionPeer(t)
		s.cfg.Tickets, s.cfg.MaxEarlyData = 2, 1024
		s.answerer.Credentials = []*handshake.Credential{s.server.credential()}
		s.answerer.ServerSessions.EarlyData = func(*handshake.EarlyDataRequest) bool { return true }
		early := filepath.Join(t.TempDir(), "early")
		if err := os.WriteFile(early, []byte("early words\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		l := s.listen()
		p := start(t, l, gnutlsPriority, "--x509cafile", s.anchor(), "--resume", "--waitresumption", "--earlydata", early)
		first := s.accept(l)
		if _, err := io.Copy(io.Discard, first); err != nil {
			t.Log(err)
		}
		first.Close()
		c := s.accept(l)
		if st := c.ConnectionState(); st.Session == nil || st.EarlyData != handshake.EarlyDataAccepted {
			t.Fatalf("resumed %v, early data %v", st.Session != nil, st.EarlyData)
		}
		receive(t, c, "early words\n")
		p.await("This is a resumed session")
		talk(t, p, c)
	})
	t.Run("authentication after the handshake", func(t *testing.T) {
		s := newSessionPeer(t)
		s.cfg.PostHandshakeAuthentication = true
		s.answerer.Credentials = []*handshake.Credential{s.server.credential()}
		s.answerer.Trust.AnyName = true
		l := s.listen()
		cert, key := s.client.files(t)
		p := start(t, l, gnutlsPriority, "--x509cafile", s.anchor(), "--post-handshake-auth", "--x509keyfile", key, "--x509certfile", cert)
		c := s.accept(l)
		if err := c.RequestAuthentication(); err != nil {
			t.Fatal(err)
		}
		for c.ConnectionState().PeerChain == nil {
			talk(t, p, c)
		}
		if !bytes.Equal(c.ConnectionState().PeerChain[0], s.client.der) {
			t.Error("another certificate")
		}
	})
	t.Run("raw public keys", func(t *testing.T) {
		s := newSessionPeer(t)
		types := []attls.CertificateType{attls.CertificateRawPublicKey}
		s.cfg.ServerCertificateTypes, s.cfg.ClientCertificateTypes = types, types
		s.cfg.ClientAuthentication = handshake.RequireClientCertificate
		s.answerer.Credentials = []*handshake.Credential{s.server.credential()}
		s.answerer.Trust.RawKeys = [][]byte{s.client.cert.RawSubjectPublicKeyInfo}
		l := s.listen()
		_, key := s.client.files(t)
		p := start(t, l, gnutlsPriority+":-CTYPE-ALL:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK", "--insecure", "--rawpkkeyfile", key,
			"--rawpkfile", publicKeyFile(t, s.client))
		c := s.accept(l)
		talk(t, p, c)
		if st := c.ConnectionState(); !bytes.Equal(st.PeerSPKI, s.client.cert.RawSubjectPublicKeyInfo) {
			t.Error("another key")
		}
	})
}

// nssDatabase makes a certificate database with the authority and an identity
// under the name "own".
func nssDatabase(t *testing.T, ca, own *identity) string {
	t.Helper()
	for _, name := range []string{"certutil", "pk12util", "openssl"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name + " is not installed")
		}
	}
	dir := t.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	cert, key := own.files(t)
	anchor, bundle := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "own.p12")
	if err := os.WriteFile(anchor, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.der}), 0o600); err != nil {
		t.Fatal(err)
	}
	run("certutil", "-N", "-d", "sql:"+dir, "--empty-password")
	run("certutil", "-A", "-n", "ca", "-t", "CT,CT,", "-d", "sql:"+dir, "-i", anchor)
	run("openssl", "pkcs12", "-export", "-in", cert, "-inkey", key, "-name", "own", "-passout", "pass:", "-out", bundle)
	run("pk12util", "-i", bundle, "-d", "sql:"+dir, "-W", "", "-K", "")
	return "sql:" + dir
}

// TestNSSServer meets selfserv: resumption, 0-RTT and authentication after the
// handshake.
func TestNSSServer(t *testing.T) {
	s := newSessionPeer(t)
	s.cfg.MaxEarlyData, s.cfg.PostHandshakeAuthentication = 1024, true
	s.answerer.Credentials = []*handshake.Credential{s.client.credential()}
	port := freePort(t)
	db := nssDatabase(t, s.ca, s.server)
	startProgram(t, "selfserv", "-n", "own", "-p", port, "-d", db, "-V", "tls1.3:tls1.3", "-u", "-Z", "-E", "-r", "-r", "-r", "-v", "-w", "")
	for range 200 { // it says nothing when it listens
		nc, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			nc.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	for i := range 3 {
		c := s.dial("127.0.0.1:"+port, "")
		if resumed := c.ConnectionState().Session != nil; resumed != (i > 0) {
			t.Fatalf("connection %d: resumed %v", i, resumed)
		}
		if _, err := c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if !bytes.HasPrefix(got, []byte("HTTP/1.0 200 OK")) {
			t.Fatalf("read %q, %v", got, err)
		}
		if i == 0 && c.ConnectionState().OwnSPKI == nil {
			t.Error("selfserv did not ask after the handshake")
		}
		c.Close()
	}
}

// TestNSSClient meets tstclnt: resumption and 0-RTT.
func TestNSSClient(t *testing.T) {
	s := newSessionPeer(t)
	s.cfg.Tickets, s.cfg.MaxEarlyData = 2, 1024
	s.answerer.Credentials = []*handshake.Credential{s.server.credential()}
	s.answerer.ServerSessions.EarlyData = func(*handshake.EarlyDataRequest) bool { return true }
	db := nssDatabase(t, s.ca, s.client)
	l := s.listen()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	request := filepath.Join(t.TempDir(), "request")
	if err := os.WriteFile(request, []byte("request of NSS\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProgram(t, "tstclnt", "-h", "127.0.0.1", "-p", port, "-a", "server", "-d", db, "-V", "tls1.3:tls1.3", "-u", "-Z", "-o",
		"-L", "2", "-A", request, "-v")
	for i := range 2 {
		c := s.accept(l)
		st := c.ConnectionState()
		if resumed := st.Session != nil; resumed != (i > 0) {
			t.Fatalf("connection %d: resumed %v", i, resumed)
		}
		if i > 0 && st.EarlyData != handshake.EarlyDataAccepted {
			t.Errorf("early data %v", st.EarlyData)
		}
		receive(t, c, "request of NSS\n")
		if _, err := c.Write([]byte("answer for NSS\n")); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	p.exit()
}
