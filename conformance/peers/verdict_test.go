package peers

import (
	"errors"
	"testing"

	"attls"
	"attls/conformance"
)

// TestVerdict: an expected deviation passes as such, another one fails, and so
// does one that does not occur.
func TestVerdict(t *testing.T) {
	all := map[string]Peer{"attls": InProcess{}, "mbedtls": MbedTLS{}}
	client := func(alert *conformance.AlertClaim) []conformance.Claims {
		return []conformance.Claims{{Role: "client", AlertSent: alert, Error: &conformance.ErrorClaim{}}, {Role: "server"}}
	}
	wrong := errors.New("the wrong alert")
	for _, test := range []struct {
		fail string
		ends []conformance.Claims
		err  error
		want string
	}{
		{"code-point", client(&conformance.AlertClaim{Code: uint8(attls.AlertIllegalParameter)}), wrong, Deviation},
		{"code-point", client(&conformance.AlertClaim{Code: uint8(attls.AlertDecodeError)}), wrong, Failed},
		{"code-point", client(nil), wrong, Failed},
		{"code-point", client(&conformance.AlertClaim{Code: uint8(attls.AlertUnsupportedExtension)}), nil, Failed},
		{"code-point", nil, wrong, Failed},
		{"huge", client(nil), wrong, Deviation},
		{"huge", client(&conformance.AlertClaim{}), wrong, Failed},
		{"huge", []conformance.Claims{{}, {}}, wrong, Failed},
		{"binder", client(nil), wrong, Failed},
		{"binder", client(nil), nil, Passed},
		{"", client(nil), nil, Passed},
	} {
		c := Case{"mbedtls", "attls", conformance.Scenario{Profile: "early-attestation-06", Fail: test.fail}}
		if got, reason := verdict(&c, all, test.ends, test.err); got != test.want {
			t.Errorf("%s: %s (%s), not %s", test.fail, got, reason, test.want)
		}
	}
}

// TestJudgeFault: the end that must reject is held to its alert.
func TestJudgeFault(t *testing.T) {
	s := conformance.Scenario{Profile: "early-attestation-06", Attester: conformance.AttestServer, Model: conformance.ModelEvidence,
		Credential: conformance.CredentialX509, Fail: "binder_mismatch"}
	p, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	f, err := conformance.FindFault(p, s, s.Fail)
	if err != nil {
		t.Fatal(err)
	}
	c := Case{"mbedtls", "attls", f.Scenario}
	right, server := conformance.Claims{Role: "client", AlertSent: f.Alert, Error: &conformance.ErrorClaim{}}, conformance.Claims{Role: "server"}
	if err := Judge(&c, &right, &server); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string]conformance.Claims{
		"accepted":    {Role: "client", AlertSent: f.Alert},
		"silent":      {Role: "client", Error: &conformance.ErrorClaim{}},
		"other alert": {Role: "client", Error: &conformance.ErrorClaim{}, AlertSent: &conformance.AlertClaim{Code: f.Alert.Code + 1}},
	} {
		if Judge(&c, &wrong, &server) == nil {
			t.Errorf("%s: nothing was noticed", name)
		}
	}
}
