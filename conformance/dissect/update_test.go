package dissect_test

import (
	"slices"
	"testing"

	"attls"
	"attls/conformance/dissect"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// TestUpdateBinder computes the binders of what both ends attest with an extended key update,
// under each profile and reading that has it.
func TestUpdateBinder(t *testing.T) {
	for name, s := range map[string]scenario.Scenario{
		"both":         {Attester: scenario.AttestBoth},
		"client":       {Attester: scenario.AttestClient},
		"hello retry":  {Attester: scenario.AttestServer, HelloRetry: true},
		"SHA-384":      {Attester: scenario.AttestServer, Suite: "TLS_AES_256_GCM_SHA384"},
		"and again":    {Attester: scenario.AttestClient, PostHandshake: true},
		"another root": {Attester: scenario.AttestBoth, RootOfTrust: "tpm"},
		"in a message": {Profile: "early-attestation-02", Attester: scenario.AttestBoth, Suite: "TLS_AES_256_GCM_SHA384", HelloRetry: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.Model, s.Credential, s.ExtendedKeyUpdate, s.Reattest = "evidence", "x509", true, true
			if s.Profile == "" {
				s.Profile = "early-attestation-08pre"
			}
			c, keys, _ := record(t, s)
			if fits := dissect.Fitting(c, keys); s.Profile != "early-attestation-02" && !slices.Equal(fits, []string{s.Profile}) {
				t.Errorf("it fits %v", fits)
			}
			d := dissect.Dissect(c, keys, load(t, s.Profile))
			updates := 0
			for _, a := range d.Attestation {
				if a.Comparison != dissect.Equal || a.Binder == nil {
					t.Errorf("%+v", a)
				}
				if a.Phase == "key_update" {
					if updates++; a.Epoch != 1 || a.Binder.Epoch != 1 || a.Challenge == d.Attestation[0].Challenge {
						t.Errorf("%+v", a)
					}
				}
			}
			if want := len(s.Attester.Roles()); len(d.Findings) != 0 || updates != want {
				t.Errorf("%d with updates, %+v", updates, d.Findings)
			}
		})
	}
}

// TestUpdateBinderDiffers: what is bound by another definition, after the handshake, is a broken
// rule, with the step.
func TestUpdateBinderDiffers(t *testing.T) {
	for phase, test := range map[string]struct {
		s    scenario.Scenario
		text string
	}{
		"key_update": {scenario.Scenario{Attester: scenario.AttestServer, ExtendedKeyUpdate: true, Reattest: true},
			"binder: {key_update: {define: {base: 'expand_label(zero, \"another base\", next.transcript_hash, Hash.length)'}}}\nswitches: {key_update: {attest: {binder: null}, report: {binder: null}}}\n"},
		"": {scenario.Scenario{Attester: scenario.AttestClient, PostHandshake: true},
			"binder: {post_handshake: {define: {base: 'expand_label(zero, \"another base\", hash(CH..CR(pha)), Hash.length)'}}}\nswitches: {pha_base: null}\n"},
	} {
		test.s.Profile, test.s.Model, test.s.Credential = "early-attestation-08pre", "evidence", "x509"
		c, keys, _ := record(t, test.s)
		other, err := profile.Parse("other.yaml", []byte("profile: other\nbase: early-attestation-08pre\n"+test.text), profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		d := dissect.Dissect(c, keys, other)
		last := d.Attestation[len(d.Attestation)-1]
		if last.Phase != phase || last.Comparison != dissect.Different || last.Reason == "" {
			t.Errorf("%s: %+v", phase, last)
		}
		found := slices.ContainsFunc(last.Readings, func(m profile.Match) bool { return m.Profile == "early-attestation-08pre" })
		if len(d.Findings) != 1 || d.Findings[0].Failure != string(attls.FailBinderMismatch) || d.Findings[0].Step < 0 || !found {
			t.Errorf("%s: %+v, %+v", phase, d.Findings, last.Readings)
		}
		if step := d.Ladder[d.Findings[0].Step]; step.Broken == nil {
			t.Errorf("%s: %+v", phase, step)
		}
	}
}

// TestUpdateBinderUnknown: without the handshake's secrets nothing is said to be equal or different.
func TestUpdateBinderUnknown(t *testing.T) {
	c, keys, _ := record(t, scenario.Scenario{Profile: "early-attestation-08pre", Attester: scenario.AttestServer, Model: "evidence", Credential: "x509", ExtendedKeyUpdate: true, Reattest: true})
	for _, secrets := range keys {
		for label := range secrets {
			if len(label) > 9 && label[len(label)-2:] == "_1" {
				delete(secrets, label)
			}
		}
	}
	d := dissect.Dissect(c, keys, load(t, "early-attestation-08pre"))
	if len(d.Attestation) != 1 || d.Attestation[0].Comparison != dissect.Equal || len(d.Findings) != 0 {
		t.Errorf("%+v, %+v", d.Attestation, d.Findings)
	}
}
