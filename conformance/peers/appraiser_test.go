package peers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// TestMbedTLSVerdicts: the mbedTLS peer accepts what an appraiser says only where
// it says yes, of this key, and not of a time that is over.
func TestMbedTLSVerdicts(t *testing.T) {
	peer := currentMbedTLS(t)
	const another = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEGDCGBbjVTEzNmbTUJZ1+7AD3aMaE6vT6wxgVhj3yBwZ1lAMz1sFDhG3iaXDJHyBAEX3wGzqqR6Z5PXdYyYYxGQ=="
	ca := demoAuthority(t)
	for answer, want := range map[string]string{
		`{"status":"affirming"}`: "",
		`{"status":"affirming","valid_until":"2999-12-31T23:59:59Z"}`:             "",
		`{"status":"affirming","valid_until":"2999-02-28T00:00:00.123456+01:00"}`: "",
		`{"status":"warning"}`: "attestation.appraisal_failed",
		`{"status":"none"}`:    "attestation.appraisal_failed",
		`{"status":"affirming","valid_until":"2001-01-01T00:00:00Z"}`: "attestation.appraisal_failed",
		`{"status":"affirming","valid_until":"1970-01-01T00:00:00Z"}`: "attestation.appraisal_failed",
		`{"status":"affirming","valid_until":"2999-13-01T00:00:00Z"}`: "attestation.verifier_unreachable",
		`{"status":"affirming","valid_until":"2999-01-01"}`:           "attestation.verifier_unreachable",
		`{"status":"affirming","valid_until":"2999-01-01T00:00:00"}`:  "attestation.verifier_unreachable",
		`{"status":"affirming","valid_until":32472144000}`:            "attestation.verifier_unreachable",
		`{"status":"affirming","spki":"` + another + `"}`:             "attestation.tik_mismatch",
		`{"status":"affirming","spki":"AAAA"}`:                        "attestation.tik_mismatch",
		`{"status":"affirming","spki":"not base64"}`:                  "attestation.tik_mismatch",
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			claims := attestedBy(t, peer, newAttestedEnd(t, ""), ca, answer)
			got := ""
			if claims.Error != nil {
				got = claims.Error.Failure
			}
			if got != want {
				t.Errorf("%q, want %q: %+v", got, want, claims)
			}
		})
	}
}

// TestMbedTLSSessions: the mbedTLS client that must have the server attested brings
// back a session only where what was said of the server still counts.
func TestMbedTLSSessions(t *testing.T) {
	peer, ca := currentMbedTLS(t), demoAuthority(t)
	const answer = `{"status":"affirming","valid_until":"2999-12-31T23:59:59Z"}`
	for sentence, test := range map[string]struct {
		from, to string // in the file
		resumes  bool
	}{
		"as it was saved":         {"", "", true},
		"after its end":           {`"2999-`, `"2001-`, false},
		"without a time":          {`"2999-`, `"infty`, false},
		"with another status":     {`"affirming"`, `"reforming"`, false},
		"under another scheme":    {"\x00\x00\x01\x07", "\x00\x00\x01\x08", false},
		"of another draft":        {"early-attestation-06", "early-attestation-05", false},
		"of a draft of the other": {"early-attestation-06", "tls-attestation-07xx", false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			end, file := newAttestedEnd(t, scenario.ResumeWithDHE), filepath.Join(t.TempDir(), "session")
			attestedBy(t, peer, end, ca, answer, "--psk-modes", "psk_dhe_ke", "--sess-out", file)
			saved, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(saved, []byte(test.from)) {
				t.Fatalf("the file does not hold %q", test.from)
			}
			if err := os.WriteFile(file, bytes.Replace(saved, []byte(test.from), []byte(test.to), 1), 0o600); err != nil {
				t.Fatal(err)
			}
			claims := attestedBy(t, peer, end, ca, answer, "--psk-modes", "psk_dhe_ke", "--sess-in", file)
			if claims.Error != nil || claims.Resumed != test.resumes || (len(claims.Attestation) == 1) == test.resumes {
				t.Errorf("resumed %v, want %v: %+v", claims.Resumed, test.resumes, claims)
			}
		})
	}
}

// currentMbedTLS is the peer, if it was built from the sources beside us.
func currentMbedTLS(t *testing.T) MbedTLS {
	t.Helper()
	peer := MbedTLS{Path: FindMbedTLS()}
	if reason := peer.Missing(); reason != "" {
		t.Skip(reason)
	}
	var files []string
	for _, pattern := range []string{"peer/*.[ch]", "peer/codepoints/*.h"} { // as in build.sh
		found, err := filepath.Glob("../mbedtls/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	sum := sha256.New()
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(b)
	}
	if !strings.HasSuffix(peer.Path, fmt.Sprintf("-%x", sum.Sum(nil)[:6])) {
		t.Skip("the mbedTLS peer was built from other sources; run conformance/mbedtls/build.sh")
	}
	return peer
}

// demoAuthority is a file with the demonstration authority.
func demoAuthority(t *testing.T) string {
	t.Helper()
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// newAttestedEnd is a server that attests beside its certificate.
func newAttestedEnd(t *testing.T, r scenario.Resumption) *scenario.End {
	t.Helper()
	end, err := scenario.NewEnd(scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestServer,
		Model: claims.ModelEvidence, Credential: claims.CredentialX509, Resumption: r}, attls.RoleServer, nil)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// attestedBy lets the peer connect to a server with an appraiser that always gives
// the same answer, and returns what it claims.
func attestedBy(t *testing.T, peer MbedTLS, end *scenario.End, ca, answer string, args ...string) (claims claims.Claims) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "appraiser")
	if err := os.WriteFile(script, []byte("cat >/dev/null; echo '"+answer+"'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		if nc, err := l.Accept(); err == nil {
			end.Exchange(context.Background(), nc)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	args = append([]string{"--client", "--profile", "early-attestation-06", "--attester", "server", "--require-attestation",
		"--ca", ca, "--port", port, "--json", "--appraiser-cmd", "sh " + script}, args...)
	out, err := exec.Command(peer.Path, args...).Output()
	l.Close()
	<-served
	line, _, _ := strings.Cut(string(out), "\n")
	if failure := json.Unmarshal([]byte(line), &claims); failure != nil {
		t.Fatalf("%s: %v, %v", out, failure, err)
	}
	return claims
}
