package peers

import (
	"errors"
	"strings"
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
		{"huge", client(&conformance.AlertClaim{Code: uint8(attls.AlertInternalError)}), wrong, Failed},
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
	silent := conformance.Claims{Role: "client", Error: &conformance.ErrorClaim{}}
	told := conformance.Claims{Role: "server", AlertReceived: f.Alert}
	if err := Judge(&c, &silent, &told); err != nil {
		t.Errorf("the alert that the other end received: %v", err)
	}
	for name, wrong := range map[string]conformance.Claims{
		"accepted":    {Role: "client"},
		"told":        {Role: "client", AlertReceived: f.Alert, Error: &conformance.ErrorClaim{Class: attls.FromPeer.String()}},
		"silent":      {Role: "client", Error: &conformance.ErrorClaim{}},
		"other alert": {Role: "client", Error: &conformance.ErrorClaim{}, AlertSent: &conformance.AlertClaim{Code: f.Alert.Code + 1}},
	} {
		if Judge(&c, &wrong, &server) == nil {
			t.Errorf("%s: nothing was noticed", name)
		}
	}
}

// TestJudgeLeniently: where the text names no alert any will do, and where it
// lets the receiver go without the check, going on will.
func TestJudgeLeniently(t *testing.T) {
	other := &conformance.AlertClaim{Code: uint8(attls.AlertInternalError), Name: "internal_error"}
	closing := &conformance.AlertClaim{Code: uint8(attls.AlertCloseNotify)}
	client := conformance.Claims{Role: "client"}
	for _, test := range []struct {
		fail   string
		server conformance.Claims
		passes bool
	}{
		{"compression", conformance.Claims{AlertSent: other, Error: &conformance.ErrorClaim{}}, false},
		{"share-zero", conformance.Claims{AlertSent: other, Error: &conformance.ErrorClaim{}}, true},
		{"share-zero", conformance.Claims{AlertSent: closing, Error: &conformance.ErrorClaim{}}, false},
		{"share-zero", conformance.Claims{}, false},
		{"share-twice", conformance.Claims{AlertSent: other, Error: &conformance.ErrorClaim{}}, true},
		{"share-twice", conformance.Claims{}, false}, // nor did it go on
	} {
		c := Case{"attls", "mbedtls", conformance.Scenario{Attester: conformance.AttestNone, Fail: test.fail}}
		if err := Judge(&c, &client, &test.server); (err == nil) != test.passes {
			t.Errorf("%s: %v", test.fail, err)
		}
	}
	sound := Case{"attls", "attls", conformance.Scenario{Attester: conformance.AttestNone, Group: "x25519"}}
	r := Run(t.Context(), sound, map[string]Peer{"attls": InProcess{}}, Settings{})
	if r.Status != Passed {
		t.Fatal(r.Reason)
	}
	for fail, passes := range map[string]bool{"share-twice": true, "share-zero": false} {
		sound.Scenario.Fail = fail
		if err := Judge(&sound, &r.Ends[attls.RoleClient], &r.Ends[attls.RoleServer]); (err == nil) != passes {
			t.Errorf("%s, and both go on: %v", fail, err)
		}
	}
}

// TestUnprovoked: a connection in which the fault found no place says nothing of
// the other end.
func TestUnprovoked(t *testing.T) {
	for _, asked := range []bool{true, false} { // for the certificate in which the fault is
		c := Case{"attls", "crypto/tls", conformance.Scenario{Attester: conformance.AttestNone, Group: "x25519", ClientCertificate: asked, Tolerate: "apart.client"}}
		r := Run(t.Context(), c, map[string]Peer{"attls": InProcess{}, "crypto/tls": CryptoTLS{}}, Settings{})
		if asked && r.Status != Passed || !asked && (r.Status != Failed || !strings.Contains(r.Reason, "apart.client was not sent")) {
			t.Errorf("asked for: %v, %s: %s", asked, r.Status, r.Reason)
		}
	}
}

// TestDeviant: what a stack is known to do is held against what both ends say.
func TestDeviant(t *testing.T) {
	alert := &conformance.AlertClaim{Code: uint8(attls.AlertDecodeError)}
	failed, silent, told := conformance.Claims{AlertSent: alert, Error: &conformance.ErrorClaim{}}, conformance.Claims{Error: &conformance.ErrorClaim{}}, conformance.Claims{AlertReceived: alert}
	sound := conformance.Claims{}
	for name, test := range map[string]struct {
		d            Deviant
		mine, theirs *conformance.Claims
		shows        bool
	}{
		"the alert":         {Deviant{Alert: attls.AlertDecodeError}, &failed, &sound, true},
		"it arrived":        {Deviant{Alert: attls.AlertDecodeError}, &silent, &told, true},
		"another":           {Deviant{Alert: attls.AlertDecryptError}, &failed, &sound, false},
		"none":              {Deviant{None: true}, &silent, &sound, true},
		"none, and one is":  {Deviant{None: true}, &failed, &sound, false},
		"takes":             {Deviant{Accepts: true}, &sound, &sound, true},
		"takes, and not so": {Deviant{Accepts: true}, &failed, &sound, false},
		"refuses in vain":   {Deviant{Alert: attls.AlertDecodeError}, &sound, &sound, false},
	} {
		if got := test.d.shows(test.mine, test.theirs); got != test.shows {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestDeviations: each deviation that is known is of a fault that there is, once,
// and of a receiver that the stack can be.
func TestDeviations(t *testing.T) {
	faults := map[string]bool{}
	for _, f := range conformance.TLSFaults(conformance.Scenario{}) {
		faults[f.Name] = true
	}
	combinations, err := allowed(mbedTLSProfiles[1:])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios(combinations) {
		p, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range conformance.Faults(p, s) {
			faults[f.Name] = true
		}
	}
	for name, list := range map[string]deviations{"mbedtls": mbedTLSDeviations, "crypto/tls": cryptoTLSDeviations,
		"openssl": openSSLDeviations, "openssl before 3.5": openSSL30Deviations, "gnutls": gnuTLSDeviations, "mbedtls-unpatched": mbedTLSProgramsDeviations,
		"poc": prototypeDeviations, "verifier of poc": prototypeVerifierDeviations, "results of poc": prototypeResultDeviations} {
		seen := map[string]bool{}
		for _, d := range list {
			for _, f := range d.faults {
				if !faults[f] || seen[f] || d.Does == "" {
					t.Errorf("%s: %s: there is such a fault: %v, it stands twice: %v", name, f, faults[f], seen[f])
				}
				seen[f] = true
			}
		}
	}
}
