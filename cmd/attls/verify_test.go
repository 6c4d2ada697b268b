package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"attls/handshake"
	"attls/handshake/enginetest"
)

// withoutPath is a copy of early-attestation-06 that does not require path validation,
// and lets every refusal of a verdict pass.
func withoutPath(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "without-path.yaml")
	text := "profile: without-path\nbase: early-attestation-06\nbind:\n  credentials:\n    x509: {pkix: none}\n" +
		"alerts: {appraisal_failed: none, binder_mismatch: none, tik_mismatch: none, malformed_cmw: none}\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// attach runs a client that hangs up after the handshake.
func attach(t *testing.T, s *running, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	code = run(context.Background(), append(append([]string{"client", "--json"}, args...), s.address), strings.NewReader(""), &out, &log)
	return code, out.String(), log.String()
}

// printing is a shell script that prints text, whatever it is asked.
func printing(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, []byte("cat >/dev/null; cat <<'EOF'\n"+text+"\nEOF\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "sh " + name
}

// TestVerifyEvidence: where a profile does not require path validation, the certificate
// is validated all the same, or the key is attested.
func TestVerifyEvidence(t *testing.T) {
	p := withoutPath(t)
	own := filepath.Join(t.TempDir(), "own.pem")
	credential := enginetest.Credential("localhost") // self-signed
	if err := writeKey(own, credential.Signer); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: credential.Chain[0]})
	if err := os.WriteFile(own, append(chain, key...), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--profile", p, "--cert", own, "--json")
	garbage := start(t, "--profile", p, "--cert", own, "--attester-cmd", printing(t, "garbage"), "--json")
	for sentence, test := range map[string]struct {
		server *running
		args   []string
		code   int
		says   string
	}{
		"by default it is refused":                           {s, nil, exitUsage, "--verify require cannot be met"},
		"and when it is asked for":                           {s, []string{"--verify", "require"}, exitUsage, "pkix: none"},
		"an attested key is enough":                          {s, []string{"--verify", "evidence"}, exitOK, ""},
		"a payload that is refused is not, though it passes": {garbage, []string{"--verify", "evidence"}, exitFailed, "certificate.unknown_ca"},
		"a verdict that names no key is not": {s, []string{"--verify", "evidence", "--appraiser-cmd", printing(t, `{"status":"affirming"}`)},
			exitFailed, "certificate.unknown_ca"},
		"the profile decides whether it may be so":  {s, []string{"--profile", "early-attestation-06", "--verify", "evidence"}, exitUsage, "pkix: required"},
		"somebody has to attest":                    {s, []string{"--attester", "client", "--verify", "evidence"}, exitUsage, "is not to attest"},
		"whoever accepts any certificate may do so": {s, []string{"--verify", "none"}, exitOK, ""},
	} {
		args := test.args
		if len(args) == 0 || args[0] != "--profile" {
			args = append([]string{"--profile", p}, args...)
		}
		if code, stdout, stderr := attach(t, test.server, args...); code != test.code || !strings.Contains(stdout+stderr, test.says) {
			t.Errorf("%s: exit code %d, want %d: %s%s", sentence, code, test.code, stdout, stderr)
		}
	}
}

// TestExpiredVerdict: an end of validity is compared with the clock, when the
// verdict comes and when its session comes back.
func TestExpiredVerdict(t *testing.T) {
	s := start(t, "--json")
	for answer, says := range map[string]string{
		`{"status":"affirming","valid_until":"2001-01-01T00:00:00Z"}`: "attestation.appraisal_failed",
		`{"status":"affirming","valid_until":"2999-01-01T00:00:00Z"}`: "",
	} {
		code, stdout, stderr := attach(t, s, "--require-attestation", "--appraiser-cmd", printing(t, answer))
		if (code == exitOK) != (says == "") || !strings.Contains(stdout+stderr, says) {
			t.Errorf("%s: exit code %d, %s%s", answer, code, stdout, stderr)
		}
	}
	session := filepath.Join(t.TempDir(), "session")
	if code, _, stderr := attach(t, s, "--require-attestation", "--sess-out", session); code != exitOK {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	for _, test := range []struct {
		sentence string
		change   func(*handshake.Session)
		resumes  bool
	}{
		{"as it was saved", func(*handshake.Session) {}, true},
		{"after its end", func(s *handshake.Session) { s.Attestation.ValidUntil = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) }, false},
		{"without an end", func(s *handshake.Session) { s.Attestation.ValidUntil = time.Time{} }, false},
		{"without a scheme", func(s *handshake.Session) { s.Attestation.Wire = nil }, false},
		{"said of another key", func(s *handshake.Session) { s.Attestation.SPKI = []byte("another") }, false},
		{"with an end of its own that is over", func(s *handshake.Session) { s.NotAfter = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) }, false},
	} {
		kept, err := readSession(session)
		if err != nil {
			t.Fatal(err)
		}
		if kept.Attestation == nil {
			t.Fatal("the session keeps no attestation")
		}
		test.change(kept)
		changed := filepath.Join(t.TempDir(), "changed")
		if err := os.WriteFile(changed, pem.EncodeToMemory(&pem.Block{Type: sessionBlock, Bytes: kept.Marshal()}), 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := attach(t, s, "--require-attestation", "--sess-in", changed)
		if code != exitOK {
			t.Fatalf("%s: exit code %d, %s", test.sentence, code, stderr)
		}
		c := claimsIn(t, stdout)[0]
		if c.Resumed != test.resumes || (c.ResumedAttestation != nil) != test.resumes || (len(c.Attestation) == 1) == test.resumes {
			t.Errorf("%s: resumed %v, %s", test.sentence, c.Resumed, stdout)
		}
	}
}
