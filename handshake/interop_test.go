package handshake_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"attls"
	"attls/handshake"
	"attls/internal/provider"
)

func certificate(t *testing.T) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// drive moves octets between an engine and a peer until want octets of
// application data have arrived, and returns them.
func drive(t *testing.T, e *handshake.Engine, conn net.Conn, cred *handshake.Credential, send []byte, want int) []byte {
	t.Helper()
	var got []byte
	for len(got) < want {
		for ev, ok := e.Next(); ok; ev, ok = e.Next() {
			switch ev.Kind {
			case handshake.EventWait:
				var a handshake.Answer
				switch ev.Wait.Kind {
				case handshake.WaitCredential:
					a.Credential = cred
				case handshake.WaitSignature:
					s := ev.Wait.Signature
					sig, err := provider.Sign(s.Credential.Signer, s.Scheme, s.Content)
					if err != nil {
						t.Fatal(err)
					}
					a.Signature = sig
				}
				if err := e.Answer(ev.Wait.ID, a); err != nil {
					t.Fatal(err)
				}
			case handshake.EventDone:
				if err := e.Write(send); err != nil {
					t.Fatal(err)
				}
			case handshake.EventData:
				got = append(got, ev.Data...)
			case handshake.EventError:
				t.Fatal(ev.Err)
			}
		}
		if out := e.Output(); len(out) > 0 {
			n, err := conn.Write(out)
			e.Wrote(n)
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		if len(got) >= want {
			break
		}
		n, err := conn.Read(e.Reserve(4096))
		if n > 0 {
			e.Commit(n)
		} else if err != nil {
			t.Fatalf("in state %s: %v", e.StateName(), err)
		}
	}
	return got
}

// loopback is a TCP connection, which buffers: net.Pipe would deadlock where
// both ends write.
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

// TestCryptoTLS runs both roles against crypto/tls, with every group and
// cipher suite and with HelloRetryRequest, and exchanges data both ways.
func TestCryptoTLS(t *testing.T) {
	der, key := certificate(t)
	cred := &handshake.Credential{Chain: [][]byte{der}, Schemes: []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256}, Signer: key}
	theirs := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	type testCase struct {
		name  string
		role  attls.Role
		cfg   *handshake.Config
		curve []tls.CurveID
		retry bool
	}
	tests := []testCase{
		{"client, retry", attls.RoleClient, &handshake.Config{ServerName: "localhost"}, []tls.CurveID{tls.CurveP384}, true},
		{"server, retry", attls.RoleServer, &handshake.Config{Groups: []attls.NamedGroup{attls.GroupSecp521r1}}, []tls.CurveID{tls.X25519, tls.CurveP521}, true},
		{"server, client certificate", attls.RoleServer, &handshake.Config{ClientAuthentication: handshake.RequireClientCertificate}, nil, false},
	}
	for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		for _, g := range []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1, attls.GroupSecp384r1, attls.GroupSecp521r1,
			attls.GroupX25519MLKEM768, attls.GroupSecP256r1MLKEM768, attls.GroupSecP384r1MLKEM1024} {
			tests = append(tests, testCase{fmt.Sprintf("%v, %v", role, g), role,
				&handshake.Config{Groups: []attls.NamedGroup{g}}, []tls.CurveID{tls.CurveID(g)}, false})
		}
	}
	// crypto/tls chooses the suite itself when it is the server.
	for _, id := range []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384, attls.TLS_CHACHA20_POLY1305_SHA256} {
		for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			tests = append(tests, testCase{fmt.Sprintf("%v, %v", role, id), role,
				&handshake.Config{CipherSuites: []attls.CipherSuite{id}}, []tls.CurveID{tls.X25519}, false})
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := loopback(t)
			defer a.Close()
			defer b.Close()
			deadline := time.Now().Add(20 * time.Second)
			a.SetDeadline(deadline)
			b.SetDeadline(deadline)
			conf := &tls.Config{Certificates: []tls.Certificate{theirs}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
				CurvePreferences: test.curve, SessionTicketsDisabled: true}
			var peer *tls.Conn
			var e *handshake.Engine
			var err error
			if test.role == attls.RoleClient {
				peer = tls.Server(b, conf)
				e, err = handshake.NewClient(test.cfg)
			} else {
				peer = tls.Client(b, conf)
				e, err = handshake.NewServer(test.cfg)
			}
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				buf := make([]byte, 4)
				if _, err := io.ReadFull(peer, buf); err != nil {
					done <- err
					return
				}
				_, err := peer.Write(append(buf, "pong"...))
				done <- err
			}()
			got := drive(t, e, a, cred, []byte("ping"), 8)
			if string(got) != "pingpong" {
				t.Errorf("got %q", got)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			s := e.State()
			if s.HelloRetry != test.retry {
				t.Errorf("HelloRetryRequest: %v, want %v", s.HelloRetry, test.retry)
			}
			if ids := test.cfg.CipherSuites; len(ids) > 0 && s.CipherSuite != ids[0] {
				t.Errorf("negotiated %v, want %v", s.CipherSuite, ids[0])
			}
			if len(test.curve) == 1 && s.Group != attls.NamedGroup(test.curve[0]) {
				t.Errorf("negotiated %v, want %v", s.Group, attls.NamedGroup(test.curve[0]))
			}
			shown := test.role == attls.RoleClient || test.cfg.ClientAuthentication != handshake.NoClientCertificate
			if shown != (len(s.PeerChain) == 1 && bytes.Equal(s.PeerChain[0], der)) {
				t.Errorf("the peer's chain has %d certificates; one was shown: %v", len(s.PeerChain), shown)
			}
		})
	}
}
