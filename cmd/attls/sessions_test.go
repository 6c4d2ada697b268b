package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/conformance/scenario"
)

// converse has a client send a word to an echoing server, and returns the claims
// of both ends.
func converse(t *testing.T, s *running, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	code = run(context.Background(), append(append([]string{"client", "--json", "--profile", "none"}, args...), s.address), strings.NewReader("word"), &out, &log)
	return code, out.String(), log.String()
}

// TestSessions resumes a session out of a file, with early data that the server
// takes once.
func TestSessions(t *testing.T) {
	dir := t.TempDir()
	session, early := filepath.Join(dir, "session"), filepath.Join(dir, "early")
	if err := os.WriteFile(early, []byte("early "), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--profile", "none", "--echo", "--json", "--early-data")
	for i, step := range []struct {
		args     []string
		resumed  bool
		early    string
		received int64
	}{
		{[]string{"--sess-out", session}, false, "", 4},
		{[]string{"--sess-in", session}, true, "", 4},
		{[]string{"--sess-in", session, "--early-data", early}, true, "accepted", 10},
		{[]string{"--sess-in", session, "--early-data", early, "--key-shares", "secp256r1", "--groups", "secp256r1,x25519"}, true, "accepted", 10},
	} {
		code, stdout, stderr := converse(t, s, step.args...)
		if code != exitOK {
			t.Fatalf("step %d: exit code %d, %s", i, code, stderr)
		}
		c := claimsIn(t, stdout)[0]
		if c.Resumed != step.resumed || c.EarlyData != step.early || c.DataReceived != step.received {
			t.Errorf("step %d: the client claims %s", i, stdout)
		}
	}
	s.stop()
	s.wait(t)
	resumed, taken := 0, 0
	for _, c := range claimsIn(t, s.out.String()) { // in any order
		if c.Resumed {
			resumed++
		}
		if c.EarlyData == "accepted" && c.DataReceived == 10 {
			taken++
		}
	}
	if resumed != 3 || taken != 2 {
		t.Errorf("the server claims %s", s.out.String())
	}

	refusing := start(t, "--profile", "none", "--echo", "--json")
	converse(t, refusing, "--sess-out", session)
	code, stdout, _ := converse(t, refusing, "--sess-in", session, "--early-data", early)
	if c := claimsIn(t, stdout)[0]; code != exitOK || !c.Resumed || c.EarlyData != "" || c.DataReceived != 10 {
		t.Errorf("without early data: exit code %d, %s", code, stdout)
	}
	for _, test := range []struct {
		server  []string
		resumed bool
		mode    string
	}{{[]string{"--refuse-tickets"}, false, ""}, {[]string{"--psk-modes", "psk_ke"}, true, "psk_ke"}, {nil, true, "psk_dhe_ke"}} {
		other := start(t, append([]string{"--profile", "none", "--echo"}, test.server...)...)
		converse(t, other, "--psk-modes", "psk_dhe_ke,psk_ke", "--sess-out", session)
		code, stdout, stderr := converse(t, other, "--psk-modes", "psk_dhe_ke,psk_ke", "--sess-in", session)
		if code != exitOK {
			t.Fatal(stderr)
		}
		if c := claimsIn(t, stdout)[0]; c.Resumed != test.resumed || c.PSKMode != test.mode {
			t.Errorf("%v: %s", test.server, stdout)
		}
	}
	if code, _, _ := converse(t, s, "--psk-modes", "psk"); code != exitUsage {
		t.Errorf("an unknown mode: exit code %d", code)
	}
	if code, _, stderr := converse(t, start(t, "--profile", "none", "--echo", "--tickets", "0"), "--sess-out", session); code != exitFailed || !strings.Contains(stderr, "no session to save") {
		t.Errorf("no tickets: exit code %d, %s", code, stderr)
	}
}

// TestPreSharedKey: an external key on both ends, or on one only.
func TestPreSharedKey(t *testing.T) {
	key := []string{"--psk", strings.Repeat("2a", 32), "--psk-identity", "both"}
	s := start(t, append(key, "--profile", "none", "--echo", "--json", "--tickets", "0")...)
	for _, test := range []struct {
		args    []string
		resumed bool
		code    int
	}{
		{key, true, exitOK},
		{nil, false, exitOK},
		{[]string{"--psk", "2b", "--psk-identity", "both"}, false, exitFailed},
		{[]string{"--psk", "2b", "--psk-identity", "other"}, false, exitOK},
		{[]string{"--psk", "nothing"}, false, exitUsage},
	} {
		code, stdout, stderr := converse(t, s, test.args...)
		if code != test.code {
			t.Errorf("%v: exit code %d, want %d, %s", test.args, code, test.code, stderr)
		}
		if code == exitOK && claimsIn(t, stdout)[0].Resumed != test.resumed {
			t.Errorf("%v: %s", test.args, stdout)
		}
	}
}

// pemFile writes a file in PEM.
func pemFile(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// keyFiles writes a private key and its public key.
func keyFiles(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pemFile(t, "key.pem", "PRIVATE KEY", der), pemFile(t, "public.pem", "PUBLIC KEY", spki)
}

// TestRawPublicKeys: both ends show a key without a certificate.
func TestRawPublicKeys(t *testing.T) {
	serverKey, serverPublic := keyFiles(t)
	clientKey, clientPublic := keyFiles(t)
	s := start(t, "--profile", "none", "--echo", "--json", "--raw-public-key", "--key", serverKey, "--peer-key", clientPublic, "--verify", "require")
	code, stdout, stderr := converse(t, s, "--raw-public-key", "--key", clientKey, "--peer-key", serverPublic)
	if code != exitOK {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	if c := claimsIn(t, stdout)[0]; c.PeerType != "RawPublicKey" || c.OwnType != "RawPublicKey" {
		t.Errorf("the client claims %s", stdout)
	}
	if code, _, stderr := converse(t, s, "--raw-public-key", "--key", clientKey, "--peer-key", clientPublic); code != exitFailed || !strings.Contains(stderr, "RFC 7250") {
		t.Errorf("another key: exit code %d, %s", code, stderr)
	}
	if code, _, _ := converse(t, s); code != exitFailed {
		t.Errorf("X.509 only: exit code %d", code)
	}
}

// TestAttestedRawPublicKey: the Evidence goes beside a key without a certificate.
func TestAttestedRawPublicKey(t *testing.T) {
	serverKey, serverPublic := keyFiles(t)
	clientKey, clientPublic := keyFiles(t)
	flags := []string{"--profile", "early-attestation-06", "--attester", "server", "--credential", "x509", "--json", "--raw-public-key"}
	s := start(t, append(flags, "--echo", "--key", serverKey, "--peer-key", clientPublic)...)
	code, stdout, stderr := converse(t, s, append(flags, "--require-attestation", "--key", clientKey, "--peer-key", serverPublic)...)
	if code != exitOK {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	if c := claimsIn(t, stdout)[0]; c.PeerType != "RawPublicKey" || len(c.Attestation) != 1 {
		t.Errorf("the client claims %s", stdout)
	}
}

// certificateFiles writes a certificate of the demonstration authority and its key.
func certificateFiles(t *testing.T) (cert, key string) {
	t.Helper()
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		t.Fatal(err)
	}
	c, err := authority.Issue(scenario.KeyP256, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.Signer)
	if err != nil {
		t.Fatal(err)
	}
	return pemFile(t, "cert.pem", "CERTIFICATE", c.Chain[0]), pemFile(t, "key.pem", "PRIVATE KEY", der)
}

// TestCommands: a server asks for a certificate after the handshake, and both ends
// change their keys, by lines of a single letter.
func TestCommands(t *testing.T) {
	cert, key := certificateFiles(t)
	input, typed := io.Pipe()
	s := startWith(t, input, "--profile", "none", "--json", "--commands", "--pha", "--verify", "none", "--max-connections", "1")
	clientInput, clientTyped := io.Pipe()
	var out lockedBuffer
	var log bytes.Buffer
	heard := make(chan struct{}, 16)
	done := make(chan int, 1)
	go func() {
		screen := writerFunc(func(b []byte) (int, error) {
			defer func() { heard <- struct{}{} }()
			return out.Write(b)
		})
		done <- run(context.Background(), []string{"client", "-q", "--profile", "none", "--commands", "--pha", "--verify", "none", "--cert", cert, "--key", key, s.address},
			clientInput, screen, &log)
	}()
	io.WriteString(typed, "c\nK\nwho are you?\n")
	<-heard
	io.WriteString(clientTyped, "k\nit is me\n")
	clientTyped.Close()
	typed.Close()
	if code := <-done; code != exitOK {
		t.Fatalf("client: exit code %d, %s", code, log.String())
	}
	if code := s.wait(t); code != exitOK {
		t.Fatalf("server: exit code %d, %s", code, s.log.String())
	}
	if got := out.String(); got != "who are you?\n" {
		t.Errorf("the client got %q", got)
	}
	c := claimsIn(t, s.out.String())[0]
	if c.PeerKey == "" || c.PeerType != "X509" || c.DataReceived != int64(len("it is me\n")) {
		t.Errorf("the server claims %s", s.out.String())
	}
}
