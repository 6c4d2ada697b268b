package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/conformance/scenario"
)

// TestProfileAfterHandshake: the tools for profiles say what one does after the handshake.
func TestProfileAfterHandshake(t *testing.T) {
	for _, x := range []struct {
		args []string
		want []string
	}{
		{[]string{"profile", "show", "seat-expat-04"}, []string{"cmw_attestation (0xff00) in CertificateRequest, Certificate, ClientCertificateRequest of exported authenticators",
			"the server attests with evidence or results in exported authenticators", "After the handshake",
			"application data waits", "3 application data"}},
		{[]string{"profile", "show", "seat-expat-00", "--reading", "framing=messages"}, []string{"as they are"}},
		{[]string{"profile", "show", "exported-attestation-02"}, []string{"TLS flag"}},
		{[]string{"profile", "header", "seat-expat-04"}, []string{"#define SEAT_EXPAT_04_EXTENSION_CMW_ATTESTATION 0xff00"}},
		{[]string{"profile", "explain", "seat-expat-04", "--attester", "both"}, []string{"in an exported authenticator",
			"EXPORTER-cmw-attestation", "binding_value", "the client attests", "public_key=bits", "bound=value"}},
		{[]string{"profile", "explain", "seat-expat-00"}, []string{"request_context(role)", "nothing is bound"}},
		{[]string{"profile", "explain", "deployed-cmc"}, []string{"credential x509, in a frame of the application"}},
		{[]string{"profile", "explain", "seat-expat-03"}, []string{`"Attestation"`, "label=checked"}},
	} {
		code, out, stderr := command(t, x.args...)
		for _, want := range x.want {
			if code != exitOK || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
				t.Errorf("%v: exit code %d, no %q in\n%s%s", x.args, code, want, out, stderr)
			}
		}
	}
}

// TestExplainExported: a peer's value is explained from the claims of a connection.
func TestExplainExported(t *testing.T) {
	s := start(t, append([]string{"--echo", "--json", "--binder-inputs", "--max-connections", "1", "--attester", "both"}, expat...)...)
	if code, _, stderr := command(t, append([]string{"client", "-q", "--attester", "both", s.address}, expat...)...); code != exitOK {
		t.Fatal(stderr)
	}
	s.wait(t)
	file := filepath.Join(t.TempDir(), "claims")
	if err := os.WriteFile(file, []byte(s.out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	made := shownLater(claimsIn(t, s.out.String())[0])
	if len(made) != 2 {
		t.Fatal(s.out.String())
	}
	code, out, stderr := command(t, "profile", "explain", "seat-expat-04", "--json", "--from-claims", file, "--peer-binder", made[0].Challenge)
	var e scenario.Explanation
	if err := json.Unmarshal([]byte(out), &e); err != nil || code != exitOK || len(e.Attesters) != 2 {
		t.Fatalf("exit code %d, %v, %s", code, err, stderr)
	}
	for i, a := range e.Attesters {
		if a.Challenge == nil || a.Challenge.Value != made[i].Challenge || (len(a.Matches) > 0) != (i == 0) {
			t.Errorf("%+v", a)
		}
	}
}

// TestReattestNothing: asking again where nobody is asked is refused.
func TestReattestNothing(t *testing.T) {
	for profile, says := range map[string]string{"early-attestation-06": "asked again", "none": "asked again",
		"early-attestation-08pre": "with an extended key update, which nobody is to offer"} {
		if code, _, stderr := command(t, "demo", "--profile", profile, "--reattest"); code == exitOK || !strings.Contains(stderr, says) {
			t.Errorf("%s: exit code %d, %s", profile, code, stderr)
		}
	}
}
