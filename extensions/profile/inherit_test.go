package profile

import (
	"slices"
	"strings"
	"testing"
)

// TestChangeLeavesDead: what a change leaves without effect in what it inherits goes
// with it, and the result can still be printed and read again.
func TestChangeLeavesDead(t *testing.T) {
	for _, test := range []struct{ name, base, text, gone string }{
		{"a switch whose one key is overridden", "early-attestation-06", "binder: {challenge: {results/x509: key_bound}}\n", "results_binder"},
		{"a switch of an alert", "early-attestation-06", "alerts: {missing: attestation_failed}\n", "missing"},
		{"a switch of a whole map", "early-attestation-08pre", "after: {resumption: {accept: never, refused: abort, tickets: never}}\n", "resumption"},
		{"a switch that was deleted by hand as well", "early-attestation-06", "alerts: {missing: attestation_failed}\nswitches: {missing: null}\n", "missing"},
		{"a definition and what replaces it later", "early-attestation-06", "binder: {define: {base: null, key_bound: 'expand_label(zero, \"x\", hash(concat(certificate(role), \"y\")), Hash.length)'}}\n", "pha_base"},
		{"a definition that nothing uses any more", "early-attestation-06", "binder: {define: {key_bound: 'expand_label(zero, \"x\", hash(CH..SH), Hash.length)'}}\n", ""},
		{"flaws of a type that is replaced", "early-attestation-06", "types: |\n  struct { opaque verifier_identity<0..255>; } VerifierIdentityType;\n", ""},
		{"the number of an alert that nothing uses", "early-attestation-06", "alerts: {demanded_by_client: access_denied}\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := Parse("mine.yaml", []byte("profile: mine\nbase: "+test.base+"\n"+test.text), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(p.Readings, func(r Reading) bool { return r.Switch == test.gone }) {
				t.Errorf("there is a switch %s", test.gone)
			}
			again, err := Parse("again.yaml", []byte(p.Source()), Options{})
			if err != nil {
				t.Fatalf("%v\n%s", err, p.Source())
			}
			if fingerprint(t, p) != fingerprint(t, again) {
				t.Error("what is printed means something else")
			}
		})
	}
}

// TestChangeToldAtChange: what a change makes wrong in what it inherits is told at
// the change.
func TestChangeToldAtChange(t *testing.T) {
	for _, test := range []struct{ name, text, at, want string }{
		{"a typing error in an override", "alerts: {missing: atestation_failed}\n", "atestation", "no alert is named atestation_failed; did you mean attestation_failed?"},
		{"a switch that is still said", "switches: {pha_base: null}\n", "pha_base", "the switch pha_base is deleted here, and $pha_base is still used at line 79 of early-attestation-05; give that key another value or null, or leave the switch"},
		{"an extension that is still used", "extensions: {remoteAttestation: null}\n", "remoteAttestation: null", "remoteAttestation is deleted here, and at line 57 of early-attestation-05 it is used: the profile has no extension remoteAttestation"},
		{"a type without a field that is bound", "types: |\n  struct {\n    select (Handshake.msg_type) {\n      case client_hello:\n        AttestationScheme server_attester_schemes<0..2^16-1>;\n        AttestationScheme client_attester_schemes<0..2^16-1>;\n      case encrypted_extensions: AttestationScheme chosen_server_scheme;\n      case certificate_request: AttestationScheme chosen;\n      case certificate: opaque cmw_payload<1..2^24-1>;\n    };\n  } remoteAttestation;\n", "remoteAttestation;", "remoteAttestation is changed here, and at line 62 of early-attestation-05 it is used: certificate_request.remoteAttestation.chosen_client_scheme: remoteAttestation has no field chosen_client_scheme"},
		{"a number that the base has", "code_points: {alerts: {attestation_failed: 0xE1}}\n", "0xE1", "attestation_failed has the number 0xE1 of attestation_required"},
		{"a number that a later key of the base has", "code_points: {alerts: {unsupported_attestation_schemes: 0xE1}}\n", "0xE1", "unsupported_attestation_schemes has the number 0xE1 of attestation_required"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := "profile: mine\nbase: early-attestation-06\n" + test.text
			want := "mine.yaml:" + place(t, text, test.at) + ": " + test.want
			if _, err := Parse("mine.yaml", []byte(text), Options{}); err == nil || !strings.Contains("\n"+err.Error(), "\n"+want) {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
	t.Run("the base is named where no change of it is to blame", func(t *testing.T) {
		problems := LintText("mine.yaml", []byte("profile: mine\nbase: early-attestation-06\n"))
		if s := problems.Error(); !strings.Contains(s, "inherited from early-attestation-05:17:12: warning") || strings.Contains(s, "profiles/") {
			t.Error(s)
		}
	})
}
