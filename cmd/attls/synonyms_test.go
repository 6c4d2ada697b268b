package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"attls"
	"attls/attestation"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// TestOtherNamesAreRead: each name that attls prints is also read under the other
// names that people have for it, wherever it is read.
func TestOtherNamesAreRead(t *testing.T) {
	early, err := profile.Load("tls-attestation-07", profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	inFlag := func(args ...string) func(name string) bool {
		return func(name string) bool {
			code, _, _ := command(t, append(append([]string{"demo", "-q"}, args...), name)...)
			return code == exitOK
		}
	}
	inScenario := func(s scenario.Scenario, field func(*scenario.Scenario) *string, want string) func(string) bool {
		return func(name string) bool {
			s := s
			*field(&s) = name
			return s.Complete(early) == nil && *field(&s) == want
		}
	}
	inCommand := func(key string, want func(profile.Scheme) bool) func(string) bool {
		return func(name string) bool {
			var r attestation.Request
			text := `{"action":"attest","attester":"client","scheme":{"content_format":263,"` + key + `":"` + name + `"}}`
			if json.Unmarshal([]byte(text), &r) != nil {
				return false
			}
			q, err := r.EvidenceRequest()
			return err == nil && want(q.Scheme)
		}
	}
	inProfile := func(before, after string) func(string) bool {
		return func(name string) bool {
			file := filepath.Join(t.TempDir(), "mine.yaml")
			text := "profile: mine\nbase: tls-attestation-07\n" + before + name + after
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p, err := profile.Load(file, profile.Options{})
			if err != nil {
				t.Log(err)
				return false
			}
			return len(profile.Diff(early, p).Changes) == 0
		}
	}
	evidence, results := []string{"evidence", "background-check", "Background_Check", "EVIDENCE"}, []string{"results", "passport", "Passport", "attestation-results"}
	alone, x509 := []string{"attestation", "alone", "Alone"}, []string{"x509", "X509"}
	modelOf := func(s *scenario.Scenario) *string { return &s.Model }
	credentialOf := func(s *scenario.Scenario) *string { return &s.Credential }
	for where, w := range map[string]struct {
		names []string
		reads func(name string) bool
	}{
		"--model, evidence":             {evidence, inFlag("--profile", "early-attestation-06", "--model")},
		"--model, results":              {results, inFlag("--profile", "early-attestation-06", "--model")},
		"--credential, alone":           {alone, inFlag("--profile", "tls-attestation-07", "--credential")},
		"--credential, x509":            {x509, inFlag("--profile", "tls-attestation-07", "--credential")},
		"--attester":                    {[]string{"server", "Server", "SERVER"}, inFlag("--attester")},
		"--profile":                     {[]string{"early-attestation-06", "Early-Attestation-06", "early_attestation_06", "draft-fossati-seat-early-attestation-06"}, inFlag("--profile")},
		"--suite":                       {[]string{"TLS_AES_256_GCM_SHA384", "tls_aes_256_gcm_sha384", "TLS-AES-256-GCM-SHA384"}, inFlag("--suite")},
		"--group":                       {[]string{"x25519", "X25519", "SECP256R1"}, inFlag("--group")},
		"a scenario, evidence":          {evidence, inScenario(scenario.Scenario{}, modelOf, "evidence")},
		"a scenario, results":           {results, inScenario(scenario.Scenario{}, modelOf, "results")},
		"a scenario, alone":             {alone, inScenario(scenario.Scenario{}, credentialOf, "attestation")},
		"a scenario, x509":              {x509, inScenario(scenario.Scenario{}, credentialOf, "x509")},
		"an attester command, evidence": {evidence, inCommand("model", func(s profile.Scheme) bool { return s.Model == profile.ModelEvidence })},
		"an attester command, results":  {results, inCommand("model", func(s profile.Scheme) bool { return s.Model == profile.ModelResults })},
		"an attester command, alone":    {alone, inCommand("credential", func(s profile.Scheme) bool { return s.Credential == profile.KindAlone })},
		"an attester command, x509":     {x509, inCommand("credential", func(s profile.Scheme) bool { return s.Credential == profile.KindX509 })},
		"a key of a profile":            {alone, inProfile("bind: {credentials: {", ": {key_from: appraisal}}}\n")},
		"a word of a profile":           {[]string{"required", "Required", "REQUIRED"}, inProfile("bind: {credentials: {x509: {pkix: ", "}}}\n")},
	} {
		t.Run(where, func(t *testing.T) {
			for _, name := range w.names {
				if !w.reads(name) {
					t.Errorf("%q is not read", name)
				}
			}
			if w.reads("nonsense") {
				t.Error(`"nonsense" is read`)
			}
		})
	}
	if g, ok := attls.GroupByName("x25519mlkem768"); !ok || g.String() != "X25519MLKEM768" {
		t.Error("x25519mlkem768 is not read")
	}
}
