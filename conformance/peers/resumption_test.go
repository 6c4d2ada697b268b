package peers

import (
	"encoding/json"
	"strings"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// resumption is a case in which both ends attest.
func resumption(r scenario.Resumption) Case {
	return Case{"attls", "attls", scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestBoth,
		Model: claims.ModelEvidence, Credential: claims.CredentialX509, Group: "secp256r1", HelloRetry: true, Resumption: r}}
}

// TestResumption: a session is resumed in either mode, or a full handshake
// follows, under a profile and in plain TLS.
func TestResumption(t *testing.T) {
	all := map[string]Peer{"attls": InProcess{}, "crypto/tls": CryptoTLS{}}
	for _, r := range []scenario.Resumption{scenario.ResumeWithDHE, scenario.ResumePSKOnly, scenario.ResumeRefused, scenario.ResumeUnattested} {
		plain := scenario.Scenario{Attester: scenario.AttestNone, Group: "secp256r1", Resumption: r}
		for _, c := range []Case{resumption(r), {"attls", "crypto/tls", plain}, {"crypto/tls", "attls", plain}} {
			if c.Scenario.Profile == "" && (r == scenario.ResumePSKOnly || r == scenario.ResumeUnattested) {
				continue // crypto/tls has it not; nothing is attested
			}
			if r == scenario.ResumeUnattested {
				c.Scenario.Attester = scenario.AttestServer
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
				if end := &result.Ends[role]; end.Resumed != (r == scenario.ResumeWithDHE || r == scenario.ResumePSKOnly) || result.Earlier[role].Resumed {
					t.Errorf("%s: the %s resumed: %t, %t", result.String(), end.Role, result.Earlier[role].Resumed, end.Resumed)
				}
			}
		}
	}
	if reason := (InProcess{}).Limit(&scenario.Scenario{Profile: "mbedtls-poc", Resumption: scenario.ResumeWithDHE}, attls.RoleClient); !strings.Contains(reason, "no tickets") {
		t.Errorf("limit %q", reason)
	}
}

// TestJudgeResumption: a difference in what both ends claim of a resumed
// connection, or of the one before, is noticed.
func TestJudgeResumption(t *testing.T) {
	results := map[scenario.Resumption]Result{}
	for _, r := range []scenario.Resumption{scenario.ResumeWithDHE, scenario.ResumeRefused} {
		if results[r] = Run(t.Context(), resumption(r), map[string]Peer{"attls": InProcess{}}, Settings{}); results[r].Status != Passed {
			t.Fatal(results[r].Reason)
		}
	}
	for _, test := range []struct {
		name  string
		r     scenario.Resumption
		spoil func(before, now *claims.Claims)
	}{
		{"not resumed", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.Resumed = false }},
		{"mode", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.PSKMode = "psk_ke" }},
		{"group", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.Group = "x25519" }},
		{"transcript", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.TranscriptHash = "00" }},
		{"retry", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.HelloRetry = false }},
		{"key", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.PeerKey = "00" }},
		{"attested again", scenario.ResumeWithDHE, func(before, now *claims.Claims) { now.Attestation = before.Attestation }},
		{"forgotten", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.ResumedAttestation = nil }},
		{"invented", scenario.ResumeWithDHE, func(before, _ *claims.Claims) { before.Attestation = nil }},
		{"scheme", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.ResumedAttestation.Scheme = "00" }},
		{"profile", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.ResumedAttestation.Profile = "other" }},
		{"validity", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.ResumedAttestation.ValidUntil = "" }},
		{"open", scenario.ResumeWithDHE, func(_, now *claims.Claims) { now.State = "connected" }},
		{"earlier", scenario.ResumeWithDHE, func(before, _ *claims.Claims) { before.Suite = "TLS_AES_128_CCM_SHA256" }},
		{"resumed at once", scenario.ResumeWithDHE, func(before, _ *claims.Claims) { before.Resumed = true }},
		{"taken", scenario.ResumeRefused, func(_, now *claims.Claims) { now.Resumed = true }},
		{"unattested", scenario.ResumeRefused, func(_, now *claims.Claims) { now.Attestation = nil }},
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
