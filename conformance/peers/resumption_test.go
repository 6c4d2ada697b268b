package peers

import (
	"encoding/json"
	"strings"
	"testing"

	"attls"
	"attls/conformance"
)

// resumption is a case in which both ends attest.
func resumption(r conformance.Resumption) Case {
	return Case{"attls", "attls", conformance.Scenario{Profile: "early-attestation-06", Attester: conformance.AttestBoth,
		Model: conformance.ModelEvidence, Credential: conformance.CredentialX509, Group: "secp256r1", HelloRetry: true, Resumption: r}}
}

// TestResumption: a session is resumed in either mode, or a full handshake
// follows, under a profile and in plain TLS.
func TestResumption(t *testing.T) {
	all := map[string]Peer{"attls": InProcess{}, "crypto/tls": CryptoTLS{}}
	for _, r := range []conformance.Resumption{conformance.ResumeWithDHE, conformance.ResumePSKOnly, conformance.ResumeRefused, conformance.ResumeUnattested} {
		plain := conformance.Scenario{Attester: conformance.AttestNone, Group: "secp256r1", Resumption: r}
		for _, c := range []Case{resumption(r), {"attls", "crypto/tls", plain}, {"crypto/tls", "attls", plain}} {
			if c.Scenario.Profile == "" && (r == conformance.ResumePSKOnly || r == conformance.ResumeUnattested) {
				continue // crypto/tls has it not; nothing is attested
			}
			if r == conformance.ResumeUnattested {
				c.Scenario.Attester = conformance.AttestServer
			}
			result := Run(t.Context(), c, all, Settings{Recorder: &Recorder{}})
			if result.Status != Passed || len(result.Earlier) != 2 || result.Unrecorded != "" || len(result.Findings) > 0 {
				t.Errorf("%s: %s: %s %s %+v", result.String(), result.Status, result.Reason, result.Unrecorded, result.Findings)
				continue
			}
			if run := Report("", []Case{c}, []Result{result}).Runs[0]; len(run.Earlier) != 2 {
				t.Error("the report lacks the first connection")
			}
			for role := range result.Ends {
				if end := &result.Ends[role]; end.Resumed != (r == conformance.ResumeWithDHE || r == conformance.ResumePSKOnly) || result.Earlier[role].Resumed {
					t.Errorf("%s: the %s resumed: %t, %t", result.String(), end.Role, result.Earlier[role].Resumed, end.Resumed)
				}
			}
		}
	}
	if reason := (InProcess{}).Limit(&conformance.Scenario{Profile: "mbedtls-poc", Resumption: conformance.ResumeWithDHE}, attls.RoleClient); !strings.Contains(reason, "no tickets") {
		t.Errorf("limit %q", reason)
	}
}

// TestJudgeResumption: a difference in what both ends claim of a resumed
// connection, or of the one before, is noticed.
func TestJudgeResumption(t *testing.T) {
	results := map[conformance.Resumption]Result{}
	for _, r := range []conformance.Resumption{conformance.ResumeWithDHE, conformance.ResumeRefused} {
		if results[r] = Run(t.Context(), resumption(r), map[string]Peer{"attls": InProcess{}}, Settings{}); results[r].Status != Passed {
			t.Fatal(results[r].Reason)
		}
	}
	for _, test := range []struct {
		name  string
		r     conformance.Resumption
		spoil func(before, now *conformance.Claims)
	}{
		{"not resumed", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.Resumed = false }},
		{"mode", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.PSKMode = "psk_ke" }},
		{"group", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.Group = "x25519" }},
		{"transcript", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.TranscriptHash = "00" }},
		{"retry", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.HelloRetry = false }},
		{"key", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.PeerKey = "00" }},
		{"attested again", conformance.ResumeWithDHE, func(before, now *conformance.Claims) { now.Attestation = before.Attestation }},
		{"forgotten", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.ResumedAttestation = nil }},
		{"invented", conformance.ResumeWithDHE, func(before, _ *conformance.Claims) { before.Attestation = nil }},
		{"scheme", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.ResumedAttestation.Scheme = "00" }},
		{"profile", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.ResumedAttestation.Profile = "other" }},
		{"validity", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.ResumedAttestation.ValidUntil = "" }},
		{"open", conformance.ResumeWithDHE, func(_, now *conformance.Claims) { now.State = "connected" }},
		{"earlier", conformance.ResumeWithDHE, func(before, _ *conformance.Claims) { before.Suite = "TLS_AES_128_CCM_SHA256" }},
		{"resumed at once", conformance.ResumeWithDHE, func(before, _ *conformance.Claims) { before.Resumed = true }},
		{"taken", conformance.ResumeRefused, func(_, now *conformance.Claims) { now.Resumed = true }},
		{"unattested", conformance.ResumeRefused, func(_, now *conformance.Claims) { now.Attestation = nil }},
	} {
		for role := range roles {
			var spoilt Result
			blob, err := json.Marshal(results[test.r])
			if err == nil {
				err = json.Unmarshal(blob, &spoilt)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := judge(&spoilt.Case, spoilt.Earlier, spoilt.Ends); err != nil {
				t.Fatal(err)
			}
			test.spoil(&spoilt.Earlier[role], &spoilt.Ends[role])
			if judge(&spoilt.Case, spoilt.Earlier, spoilt.Ends) == nil {
				t.Errorf("%s of end %d: no difference was noticed", test.name, role)
			}
		}
	}
}
