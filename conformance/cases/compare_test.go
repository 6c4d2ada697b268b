package cases

import (
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"strings"
	"testing"

	"attls"
)

// TestCompareRuns: two runs with the same random octets are the same where the
// profiles are, and part where they are not.
func TestCompareRuns(t *testing.T) {
	compare := func(a, b scenario.Scenario) *scenario.RunDifference {
		t.Helper()
		d, err := scenario.CompareRuns(a, b, scenario.Find(Find))
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Messages) < 7 {
			t.Errorf("%+v", d.Messages)
		}
		return d
	}
	x509 := scenario.Scenario{Attester: scenario.AttestServer, Model: claims.ModelEvidence, Credential: claims.CredentialX509}
	alone := scenario.Scenario{Attester: scenario.AttestServer, Model: claims.ModelEvidence, Credential: claims.CredentialAttestation}
	under := func(s scenario.Scenario, name string) scenario.Scenario { s.Profile = name; return s }
	for _, s := range []scenario.Scenario{x509, alone} {
		if d := compare(under(s, "tls-attestation-07"), under(s, "tls-attestation-08")); d.Octet != nil || d.Field != nil || d.Secret != nil || d.Verdict != nil {
			t.Errorf("%s: %+v", s.Credential, d)
		}
	}
	// Another binder: the payload parts, the handshake's secrets do not.
	d := compare(under(x509, "tls-attestation-06"), under(x509, "tls-attestation-07"))
	if d.Octet == nil || d.Octet.Sender != "server" || d.Field == nil || d.Field.Message != "Certificate" || d.Field.A == d.Field.B ||
		d.Secret == nil || !strings.HasSuffix(d.Secret.Name, "TRAFFIC_SECRET_0") || d.Verdict == nil || d.Verdict.Of != "server, attesting" {
		t.Errorf("%+v %+v %+v %+v", d.Octet, d.Field, d.Secret, d.Verdict)
	}
	// Another extension: the first flight parts, in length too.
	d = compare(under(x509, "early-attestation-04"), under(x509, "early-attestation-05"))
	if d.Octet == nil || d.Octet.Sender != "client" || d.Field == nil || d.Field.Message != "ClientHello" || d.Field.Field != "extensions" ||
		!strings.HasPrefix(d.Field.A, "evidence_request ") || !strings.HasPrefix(d.Field.B, "remoteAttestation ") || d.Messages[0].B != d.Messages[0].A+4 {
		t.Errorf("%+v %+v %+v", d.Octet, d.Field, d.Messages[0])
	}
	// A fault in the second: the ends fare differently.
	fault := under(x509, "early-attestation-05")
	fault.Fail = "reference-value"
	d = compare(under(x509, "early-attestation-05"), fault)
	if d.Verdict == nil || !strings.HasPrefix(d.Verdict.A, "accepted, ") || !strings.HasPrefix(d.Verdict.B, "refused, "+string(attls.FailAppraisal)) {
		t.Errorf("%+v", d.Verdict)
	}
}

// TestFieldApart: fields are compared by their names, wherever they stand.
func TestFieldApart(t *testing.T) {
	a := []trace.FieldValue{{Path: "client offer", Value: "x"}, {Path: "client nonce", Value: "00"}}
	for _, test := range []struct {
		name       string
		b          []trace.FieldValue
		path, x, y string
	}{
		{"a field in front of the others", []trace.FieldValue{{Path: "server nonce", Value: "11"}, {Path: "client offer", Value: "x"}, {Path: "client nonce", Value: "00"}}, "server nonce", "none", "11"},
		{"another value", []trace.FieldValue{{Path: "client nonce", Value: "22"}, {Path: "client offer", Value: "x"}}, "client nonce", "00", "22"},
		{"one that is missing", []trace.FieldValue{{Path: "client nonce", Value: "00"}}, "client offer", "x", "none"},
		{"the same in another order", []trace.FieldValue{{Path: "client nonce", Value: "00"}, {Path: "client offer", Value: "x"}}, "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, x, y, ok := scenario.FieldApart(a, test.b)
			if path != test.path || x != test.x || y != test.y || ok != (path != "") {
				t.Errorf("%q: %q and %q", path, x, y)
			}
		})
	}
}
