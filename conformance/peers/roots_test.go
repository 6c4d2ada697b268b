package peers

import (
	"strings"
	"testing"

	"attls"
	"attls/conformance/scenario"
)

// TestOwnKeys: a program that attests with a key in a file only judges a root of trust
// that holds the keys itself.
func TestOwnKeys(t *testing.T) {
	for _, test := range []struct {
		root     string
		attester scenario.Attesters
		role     attls.Role
		limit    bool
	}{
		{"tpm", scenario.AttestServer, attls.RoleServer, true},
		{"tpm", scenario.AttestServer, attls.RoleClient, false},
		{"tpm-certify", scenario.AttestClient, attls.RoleClient, true},
		{"tpm", scenario.AttestBoth, attls.RoleServer, true},
		{"tpm", scenario.AttestBoth, attls.RoleClient, true},
		{"sev-snp+tpm", scenario.AttestServer, attls.RoleServer, true},
		{"sev-snp", scenario.AttestServer, attls.RoleServer, false},
		{"", scenario.AttestServer, attls.RoleServer, false},
	} {
		s := scenario.Scenario{Profile: "early-attestation-06", RootOfTrust: test.root, Attester: test.attester}
		for _, p := range []Peer{MbedTLS{}, Command{}} {
			if reason := p.Limit(&s, test.role); strings.Contains(reason, "only judges it") != test.limit {
				t.Errorf("%s: %s, %s attests, as %v: %q", p.Name(), test.root, test.attester, test.role, reason)
			}
		}
		if reason := (InProcess{}).Limit(&s, test.role); reason != "" {
			t.Errorf("in process: %q", reason)
		}
	}
}

// TestRootedTPM: there are cases in which a TPM attests.
func TestRootedTPM(t *testing.T) {
	o := Defaults()
	o.Pairs = [][2]string{{"attls", "mbedtls"}}
	o.Roots = []string{"tpm"}
	list, err := rooted(&o, []combination{{Scenario: scenario.Scenario{Profile: "early-attestation-06",
		Attester: scenario.AttestClient, Model: "evidence", Credential: "x509"}}})
	if err != nil || len(list) != 1 || list[0].Scenario.RootOfTrust != "tpm" {
		t.Errorf("%v %v", list, err)
	}
}
