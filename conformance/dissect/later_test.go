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
	for i, name := range []string{"early-attestation-06", "../../extensions/profile/testdata/changed/message-before-verify.yaml",
		"../../extensions/profile/testdata/changed/nonce-in-request.yaml", "early-attestation-06"} {
		c, keys, _ := record(t, scenario.Scenario{Profile: name, Attester: scenario.AttestClient, Model: "evidence", Credential: "x509", PostHandshake: true, HelloRetry: i == 3})
		d := dissect.Dissect(c, keys, load(t, name))
		if len(d.Findings) != 0 || len(d.Attestation) != 2 {
			t.Fatalf("%s: %+v, %+v", name, d.Attestation, d.Findings)
		}
		first, later := d.Attestation[0], d.Attestation[1]
		if first.Later || first.Comparison != dissect.Equal || !later.Later || later.Challenge == "" ||
			later.Challenge == first.Challenge || later.Key != first.Key || later.Comparison != dissect.Equal || later.Binder == nil || later.Model != first.Model ||
			later.Slot != first.Slot || later.RootOfTrust != "eat" {
			t.Errorf("%s: %+v, %+v", name, first, later)
		}
	}
}

// TestLaterBinder: a binder of another reading is told from the recorded one, and its tree is there.
func TestLaterBinder(t *testing.T) {
	c, keys, _ := record(t, scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestClient, Model: "evidence", Credential: "x509", PostHandshake: true})
	other, err := profile.Parse("other.yaml", []byte(`profile: other
base: early-attestation-06
binder: {post_handshake: {define: {base: 'expand_label(zero, "another base", hash(CH..CR(pha)), Hash.length)'}}}
switches: {pha_base: null}
`), profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := dissect.Dissect(c, keys, other)
	if len(d.Attestation) != 2 {
		t.Fatalf("%+v", d.Attestation)
	}
	first, later := d.Attestation[0], d.Attestation[1]
	if first.Comparison != dissect.Equal || later.Comparison != dissect.Different || later.Reason == "" || later.Binder == nil {
		t.Errorf("%v, %v: %s", first.Comparison, later.Comparison, later.Reason)
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

// TestFlaggedProfile: an end that sets the flag of its profile knows the profile, whatever else it offers and sets.
func TestFlaggedProfile(t *testing.T) {
	for _, association := range []string{"context", "nothing"} {
		s := scenario.Scenario{Profile: "exported-attestation-01", Attester: scenario.AttestBoth, Model: "evidence",
			Credential: "x509", HelloRetry: true, ExtendedKeyUpdate: true, Readings: map[string]string{"association": association}}
		p, err := profile.Load(s.Profile, profile.Options{Readings: s.Readings})
		if err != nil {
			t.Fatal(err)
		}
		c, keys, _ := record(t, s)
		if d := dissect.Dissect(c, keys, p); len(d.Findings) != 0 {
			t.Errorf("%s: %+v", association, d.Findings)
		}
	}
}
