package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/conformance/scenario"
)

// files writes files into a directory and returns their names.
func files(t *testing.T, contents ...[]byte) (names []string) {
	t.Helper()
	dir := t.TempDir()
	for i, c := range contents {
		name := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(name, c, 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// TestCertificateAuthorities: a server names its trust anchors, and a client shows
// the certificate that fits.
func TestCertificateAuthorities(t *testing.T) {
	one, oneKey := selfSigned(t, "one")
	two, twoKey := selfSigned(t, "two")
	f := files(t, append(one, oneKey...), two, twoKey)
	for name, test := range map[string]struct {
		server []string
		named  bool
		code   int
	}{
		"named":                   {nil, true, exitOK},
		"not named":               {[]string{"--no-ca-names"}, false, exitFailed},
		"no certificate asked of": {[]string{"--verify", "none"}, false, exitOK},
	} {
		s := start(t, append([]string{"--profile", "none", "--www", "--ca", f[1], "--verify", "require"}, test.server...)...)
		code, stdout, stderr := command(t, "client", "--profile", "none", "--msg", "--http-get", "/", "--cert", f[0], "--cert", f[1], "--key", f[0], "--key", f[2], s.address)
		if code != test.code || strings.Contains(stderr, "certificate_authorities") != test.named {
			t.Errorf("%s: exit code %d, %s%s", name, code, stdout, stderr)
		}
	}
	if code, _, stderr := command(t, "client", "--cert", f[0], "--key", f[0], "--key", f[2]); code != exitUsage || !strings.Contains(stderr, "--key is given 2 times") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	e := &credentialFlags{}
	var warning strings.Builder
	many, _, all, err := readAnchors(f[1], &warning)
	if err != nil || many == nil {
		t.Fatal(err)
	}
	if names := e.authorities(append(all, all...), &warning); len(names) != 1 || warning.Len() > 0 {
		t.Errorf("%d names, %s", len(names), warning.String())
	}
	long := *all[0]
	long.RawSubject = make([]byte, maxAuthorities)
	all = append(all, &long)
	if names := e.authorities(all, &warning); names != nil || !strings.Contains(warning.String(), "too many") {
		t.Errorf("%d names, %s", len(names), warning.String())
	}
}

// TestBesideCertificates: what the engine can do about certificates can be asked for.
func TestBesideCertificates(t *testing.T) {
	f := files(t, []byte("an OCSP response"), []byte("\x00\x05\x00\x03sct"), nil)
	s := start(t, "--profile", "none", "--www", "--cert-compression", "zlib,brotli,zstd", "--status-file", f[0], "--sct-file", f[1])
	for _, test := range []struct {
		args          []string
		with, without string
	}{
		{[]string{"--cert-compression", "zlib"}, "CompressedCertificate", "status_request"},
		{[]string{"--cert-compression", "brotli"}, "CompressedCertificate", "status_request"},
		{[]string{"--cert-compression", "zstd,zlib"}, "CompressedCertificate", "status_request"},
		{[]string{"--status-request"}, "status_request", "CompressedCertificate"},
		{[]string{"--sct-request"}, "signed_certificate_timestamp", "CompressedCertificate"},
		{nil, "Certificate", "CompressedCertificate"},
	} {
		code, _, stderr := command(t, append([]string{"client", "--profile", "none", "--msg", "--http-get", "/", s.address}, test.args...)...)
		if code != exitOK || !strings.Contains(stderr, test.with) || strings.Contains(stderr, test.without) {
			t.Errorf("%v: exit code %d, %s", test.args, code, stderr)
		}
		_, answer, _ := strings.Cut(stderr, "ServerHello")
		if test.args != nil && !strings.Contains(answer, test.with) {
			t.Errorf("%v: the server does not answer: %s", test.args, stderr)
		}
	}
	for _, args := range [][]string{{"--cert-compression", "gzip"}, {"--cert-compression", "zlib,zlib"}, {"--status-file", f[0]}} {
		if code, _, stderr := command(t, append([]string{"client", "--profile", "none", "localhost:1"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	if code, _, stderr := command(t, "server", "--status-file", f[2]); code != exitUnavailable || !strings.Contains(stderr, "is empty") {
		t.Errorf("an empty file: exit code %d, %s", code, stderr)
	}
	wrong := files(t, []byte("-----BEGIN OCSP RESPONSE-----\n"), []byte("\x00\x03sct"), []byte("\x00\x05\x00\x03sct?"))
	for _, args := range [][]string{{"--status-file", wrong[0]}, {"--sct-file", wrong[0]}, {"--sct-file", wrong[1]}, {"--sct-file", wrong[2]}} {
		if code, _, stderr := command(t, append([]string{"server", "--bind", "192.0.2.1"}, args...)...); code != exitUnavailable || !strings.Contains(stderr, args[1]) {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}

// TestStateless: a server that keeps nothing between the two ClientHellos.
func TestStateless(t *testing.T) {
	s := start(t, "--profile", "none", "--www", "--stateless", "--hello-retry")
	code, stdout, stderr := command(t, "client", "--profile", "none", "--http-get", "/", s.address)
	if code != exitOK || !strings.Contains(stdout, `"hello_retry": true`) {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if code, _, stderr = command(t, "server", "--profile", "early-attestation-06", "--stateless"); code != exitUsage || !strings.Contains(stderr, "first ClientHello") {
		t.Errorf("a profile that needs the first ClientHello: exit code %d, %s", code, stderr)
	}
}

// TestIssuer: where Evidence is in a certificate that needs a certification path, the authority of
// --issuer-cert signs it; without it the certificate signs itself, and a client that verifies refuses it.
func TestIssuer(t *testing.T) {
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := authority.IssuePEM(scenario.KeyP256, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	issuerKey, err := authority.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	f := files(t, append(chain, key...), authority.PEM(), issuerKey)
	cert, ca, caKey := f[0], f[1], f[2]
	for _, c := range []struct {
		name   string
		args   []string
		accept bool
	}{
		{"signed by the authority", []string{"--issuer-cert", ca, "--issuer-key", caKey}, true},
		{"self-signed", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, append([]string{"--profile", "deployed-tinfoil", "--attester", "server", "--cert", cert}, c.args...)...)
			code, _, stderr := command(t, "client", "--profile", "deployed-tinfoil", "--attester", "server", "--ca", ca,
				"--verify", "require", s.address)
			if (code == exitOK) != c.accept {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
	for name, c := range map[string]struct{ cert, key, says string }{
		"not an authority": {cert, cert, "is not the certificate of an authority"},
		"another's key":    {ca, cert, "the private key is not the one"},
		"no key":           {ca, "", "private key"},
	} {
		args := []string{"server", "--port", "0", "--cert", cert, "--issuer-cert", c.cert}
		if c.key != "" {
			args = append(args, "--issuer-key", c.key)
		}
		if code, _, stderr := command(t, args...); code == exitOK || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
		}
	}
}
