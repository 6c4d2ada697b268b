package peers

import (
	"errors"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// TestSizes: Evidence of every size between this stack and itself, and where it
// must not pass.
func TestSizes(t *testing.T) {
	o := Options{Profiles: mbedTLSProfiles[1:], Sizes: PayloadSizes}
	combinations, err := allowed(o.Profiles)
	if err != nil {
		t.Fatal(err)
	}
	cases := sized(&o, combinations)
	if len(cases) != 7*len(PayloadSizes) {
		t.Errorf("%d cases", len(cases))
	}
	largest := map[string]int{}
	for _, r := range RunAll(t.Context(), cases, []Peer{InProcess{}}, Settings{}, func(*Result) {}) {
		if r.Status != Passed && r.Status != Deviation {
			t.Errorf("%s: %s: %s", r.String(), r.Status, r.Reason)
		}
		if r.Ends[0].Error == nil {
			name := r.Scenario.Profile + "/" + r.Scenario.Credential
			largest[name] = max(largest[name], r.Scenario.Payload)
		}
	}
	for name, want := range map[string]int{"early-attestation-06/x509": 60 << 10, "tls-attestation-07/x509": 60 << 10,
		"tls-attestation-07/attestation": 60 << 10, "mbedtls-poc/attestation": 15 << 10} {
		if largest[name] != want {
			t.Errorf("%s: the largest that passes has %d octets, not %d", name, largest[name], want)
		}
	}
}

// TestBound: a payload fails where and how it is known to, or the case fails.
func TestBound(t *testing.T) {
	all := map[string]Peer{"attls": InProcess{}, "mbedtls": MbedTLS{}}
	failed := func(alert *claims.AlertClaim) claims.Claims {
		return claims.Claims{Error: &claims.ErrorClaim{Class: attls.Local.String()}, AlertSent: alert}
	}
	internal := &claims.AlertClaim{Code: uint8(attls.AlertInternalError)}
	fine, broke := claims.Claims{}, errors.New("it failed")
	for _, test := range []struct {
		name, version  string
		payload        int
		client, server claims.Claims
		err            error
		want           string
	}{
		{"passes", "3.6.6", 15 << 10, fine, fine, nil, Passed},
		{"should pass", "3.6.6", 15 << 10, fine, failed(nil), broke, Failed},
		{"not read", "3.6.6", 60 << 10, fine, failed(nil), broke, Deviation},
		{"not read, with an alert", "3.6.6", 60 << 10, fine, failed(internal), broke, Failed},
		{"refused by another", "3.6.6", 60 << 10, failed(nil), fine, broke, Failed},
		{"should not pass", "3.6.6", 60 << 10, fine, fine, nil, Failed},
		{"not sent", "3.6.6", 1 << 20, failed(internal), fine, broke, Passed},
		{"sent", "3.6.6", 1 << 20, fine, failed(nil), broke, Failed},
		{"should not pass in the last release that was tried", "3.6.7", 60 << 10, fine, fine, nil, Failed},
		{"passes in a later release", "3.6.9", 60 << 10, fine, fine, nil, Passed},
		{"not read by a later release", "3.6.9", 60 << 10, fine, failed(nil), broke, Deviation},
		{"our own limit knows no release", "3.6.9", 1 << 20, fine, fine, nil, Failed},
	} {
		c := Case{"attls", "mbedtls", scenario.Scenario{Profile: "tls-attestation-07", Attester: scenario.AttestClient,
			Model: claims.ModelEvidence, Credential: claims.CredentialX509, Payload: test.payload}}
		if got, reason := verdict(&c, all, []claims.Claims{test.client, test.server}, test.err, func(Peer) string { return test.version }); got != test.want {
			t.Errorf("%s: %s (%s), not %s", test.name, got, reason, test.want)
		}
	}
}
