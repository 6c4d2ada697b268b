package dissect_test

import (
	"slices"
	"testing"

	"attls/conformance/dissect"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// TestLaterEvidence reads what clients attest after the handshake, in extensions and in
// certificates.
func TestLaterEvidence(t *testing.T) {
	for _, name := range []string{"early-attestation-06", "../../extensions/profile/testdata/changed/message-before-verify.yaml"} {
		c, keys, _ := record(t, scenario.Scenario{Profile: name, Attester: scenario.AttestClient, Model: "evidence", Credential: "x509", PostHandshake: true})
		d := dissect.Dissect(c, keys, load(t, name))
		if len(d.Findings) != 0 || len(d.Attestation) != 2 {
			t.Fatalf("%s: %+v, %+v", name, d.Attestation, d.Findings)
		}
		first, later := d.Attestation[0], d.Attestation[1]
		if first.Later || first.Comparison != dissect.Equal || !later.Later || later.Challenge == "" ||
			later.Challenge == first.Challenge || later.Key != first.Key || later.Reason == "" || later.Model != first.Model ||
			later.Slot != first.Slot || later.RootOfTrust != "eat" {
			t.Errorf("%s: %+v, %+v", name, first, later)
		}
	}
}

// TestSeveralProfiles: the one that fits is found among those that are named, and designs without
// an extension of their own among all.
func TestSeveralProfiles(t *testing.T) {
	for _, name := range []string{"deployed-dstack", "deployed-flashbots-attested-tls", "deployed-contrast", "deployed-cocos-atls",
		"deployed-privasys-v1", "deployed-tinfoil"} {
		c, keys, _ := record(t, scenario.Scenario{Profile: name, Attester: scenario.AttestServer})
		if fits := dissect.Fitting(c, keys); len(fits) != 1 || fits[0] != name {
			t.Errorf("%s: %v", name, fits)
		}
		s := dissect.Search{Among: []*profile.Profile{load(t, "early-attestation-06"), load(t, name)}}
		if fits := s.Fitting(c, keys); !slices.Equal(fits, []string{name}) {
			t.Errorf("%s: %v", name, fits)
		}
		s.Among = s.Among[:1]
		if fits := s.Fitting(c, keys); len(fits) != 0 {
			t.Errorf("%s: %v", name, fits)
		}
	}
}
