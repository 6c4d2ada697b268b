package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"attls/internal/fifo"
)

// selfSigned makes a certificate of an Ed25519 key as PEM, and the key.
func selfSigned(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// negative gives a certificate the serial number -1.
func negative(t *testing.T, cert []byte) []byte {
	t.Helper()
	b, _ := pem.Decode(cert)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bytes.Replace(b.Bytes, []byte{2, 1, 1}, []byte{2, 1, 0xff}, 1)})
}

// TestKeyFiles: a file that cannot be used says why: which file, which block, what.
func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t, "localhost")
	_, stranger := selfSigned(t, "localhost")
	block := func(kind string, headers map[string]string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: der})
	}
	der, _ := pem.Decode(cert)
	secp256k1 := []byte{0x30, 0x1c, 2, 1, 0, 0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x0a, 4, 5, 1, 2, 3, 4, 5}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, test := range []struct {
		name     string
		ca       bool // else --cert and --key
		content  []byte
		code     int // 0: the file is good
		contains string
	}{
		{"a chain and its key", false, join(cert, key), 0, ""},
		{"the key first, among others", false, join(stranger, key, cert), 0, ""},
		{"text around the blocks and CR LF", false, []byte("subject=x\r\n" + strings.ReplaceAll(string(join(cert, key)), "\n", "\r\n")), 0, ""},
		{"another's key", false, join(cert, stranger), exitUsage, "not the one of the first certificate"},
		{"no key", false, cert, exitUnavailable, "holds no private key: its first PEM block is CERTIFICATE"},
		{"no certificate", false, key, exitUnavailable, "holds no certificate: its first PEM block is PRIVATE KEY"},
		{"an encrypted key", false, join(cert, block("ENCRYPTED PRIVATE KEY", nil, []byte{0x30, 0})), exitUnavailable, "block 2 (ENCRYPTED PRIVATE KEY, line 9): the private key is encrypted"},
		{"an encrypted key of the old form", false, join(cert, block("RSA PRIVATE KEY", map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, []byte{1})), exitUnavailable, "the private key is encrypted"},
		{"a key on secp256k1", false, join(cert, block("PRIVATE KEY", nil, secp256k1)), exitUnavailable, "secp256k1"},
		{"a key of OpenSSH", false, join(cert, block("OPENSSH PRIVATE KEY", nil, []byte{1})), exitUnavailable, "ssh-keygen"},
		{"a key that is cut off", false, join(cert, block("PRIVATE KEY", nil, []byte{0x30, 5})), exitUnavailable, "line 9"},
		{"a certificate that does not parse", false, join(negative(t, cert), key), exitUnavailable, "negative serial number"},
		{"DER", false, der.Bytes, exitUnavailable, "openssl x509 -inform DER"},
		{"PKCS #12", false, []byte{0x30, 3, 2, 1, 3}, exitUnavailable, "PKCS #12"},
		{"nothing", false, nil, exitUnavailable, "is empty"},
		{"no PEM", false, []byte("hello"), exitUnavailable, "not PEM"},
		{"PEM that is cut off", false, cert[:100], exitUnavailable, "no complete PEM block"},
		{"trust anchors", true, cert, 0, ""},
		{"trust anchors, of which one does not parse", true, join(negative(t, cert), cert), 0, "block 1 (CERTIFICATE, line 1): x509: negative serial number"},
		{"a trust anchor that does not parse", true, join([]byte("# a comment\n"), negative(t, cert)), exitUnavailable, "block 1 (CERTIFICATE, line 2): x509: negative serial number"},
		{"a key for a trust anchor", true, key, exitUnavailable, "holds no certificate: its first PEM block is PRIVATE KEY"},
		{"an empty file for trust anchors", true, []byte("\n"), exitUnavailable, "is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(dir, "f.pem")
			if err := os.WriteFile(file, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			flag := "--cert"
			if test.ca {
				flag = "--ca"
			}
			// Nobody listens at the port, and the files are read before that is noticed.
			code, _, stderr := command(t, "client", "--profile", "none", flag, file, "127.0.0.1:1")
			good := strings.Contains(stderr, "refused")
			if test.code == 0 && !good || test.code != 0 && (good || code != test.code) || !strings.Contains(stderr, test.contains) {
				t.Errorf("exit code %d, %s", code, stderr)
			}
			if test.code == exitUnavailable && !strings.Contains(stderr, file) {
				t.Errorf("the file is not named: %s", stderr)
			}
		})
	}
	t.Run("a directory, a device without end, a file that is not there", func(t *testing.T) {
		for _, name := range []string{dir, "/dev/zero", filepath.Join(dir, "missing")} {
			for _, flag := range []string{"--cert", "--ca"} {
				if code, _, stderr := command(t, "client", flag, name, "localhost:1"); code != exitUnavailable || !strings.Contains(stderr, name) {
					t.Errorf("%s %s: exit code %d, %s", flag, name, code, stderr)
				}
			}
		}
	})
	t.Run("a pipe", func(t *testing.T) {
		pipe := filepath.Join(dir, "fifo")
		if err := fifo.Make(pipe, 0o600); err != nil {
			t.Skip(err)
		}
		go os.WriteFile(pipe, join(cert, key), 0)
		if _, _, err := readCertificate(pipe, ""); err != nil {
			t.Error(err)
		}
	})
}

// TestEd448WithOpenSSL: a chain of Ed448 keys that OpenSSL made, in both roles.
func TestEd448WithOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(file("ext"), []byte("subjectAltName=DNS:localhost\nkeyUsage=digitalSignature\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"genpkey", "-algorithm", "ed448", "-out", file("ca.key")},
		{"req", "-x509", "-key", file("ca.key"), "-subj", "/CN=Ed448 authority", "-days", "36500", "-out", file("ca.pem")},
		{"genpkey", "-algorithm", "ed448", "-out", file("key.pem")},
		{"req", "-new", "-key", file("key.pem"), "-subj", "/CN=localhost", "-out", file("csr")},
		{"x509", "-req", "-in", file("csr"), "-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial", "-days", "36500", "-extfile", file("ext"), "-out", file("cert.pem")},
	} {
		if out, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
			t.Skipf("openssl %s: %v: %s", args[0], err, out)
		}
	}
	ours := []string{"--profile", "none", "--cert", file("cert.pem"), "--key", file("key.pem"), "--ca", file("ca.pem")}
	s := start(t, append(ours, "--www", "--json", "--verify", "require")...)
	code, stdout, stderr := command(t, append(append([]string{"client", "--http-get", "/"}, ours...), s.address)...)
	if code != exitOK || !strings.Contains(stdout, `"own_signature": "ed448"`) || !strings.Contains(stdout, `"peer_signature": "ed448"`) {
		t.Errorf("attls: exit code %d, %s%s", code, stdout, stderr)
	}
	c := exec.Command(openssl, "s_client", "-connect", s.address, "-CAfile", file("ca.pem"), "-verify_return_error", "-cert", file("cert.pem"), "-key", file("key.pem"), "-quiet")
	c.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
	if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("200 OK")) {
		t.Errorf("s_client: %v: %s", err, out)
	}
	if code, _, stderr = command(t, "client", "--profile", "none", "--http-get", "/", s.address); code != exitFailed || !strings.Contains(stderr, "unknown_ca") {
		t.Errorf("another trust anchor: exit code %d, %s", code, stderr)
	}
}
