package peers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// TestVerdict: an expected deviation passes as such in the releases that are known for
// it, and there the right behaviour fails; in a release that has mended it, it is the
// other way round, and of a release that nobody tried both pass.
func TestVerdict(t *testing.T) {
	all := map[string]Peer{"attls": InProcess{}, "mbedtls": MbedTLS{}, "gnutls": builtin(t, "gnutls")}
	client := func(alert attls.AlertDescription) []claims.Claims {
		return []claims.Claims{{Role: "client", AlertSent: &claims.AlertClaim{Code: uint8(alert)}, Error: &claims.ErrorClaim{}}, {Role: "server"}}
	}
	silent := []claims.Claims{{Role: "client", Error: &claims.ErrorClaim{}}, {Role: "server"}}
	accepts := []claims.Claims{{Role: "client"}, {Role: "server"}}
	wrong := errors.New("the wrong alert")
	for _, test := range []struct {
		name          string
		peer, version string
		fail          string
		ends          []claims.Claims
		err           error
		want, reason  string
	}{
		{"a known deviation", "mbedtls", "Mbed TLS 3.6.6", "code-point", client(attls.AlertIllegalParameter), wrong, Deviation, "expected deviation of mbedtls"},
		{"and in the last release that was tried", "mbedtls", "Mbed TLS 3.6.7", "code-point", client(attls.AlertIllegalParameter), wrong, Deviation, ""},
		{"another alert than the known one", "mbedtls", "Mbed TLS 3.6.6", "code-point", client(attls.AlertDecodeError), wrong, Failed, "the wrong alert"},
		{"no alert in place of the known one", "mbedtls", "Mbed TLS 3.6.6", "code-point", silent, wrong, Failed, ""},
		{"the right alert, of a release that is known to deviate", "mbedtls", "Mbed TLS 3.6.6", "code-point", client(attls.AlertUnsupportedExtension), nil, Failed, "did not occur in Mbed TLS 3.6.6"},
		{"the right alert of a release that nobody tried", "mbedtls", "Mbed TLS 3.6.9", "code-point", client(attls.AlertUnsupportedExtension), nil, Passed, "mended in Mbed TLS 3.6.9"},
		{"a known deviation in a release that nobody tried", "mbedtls", "Mbed TLS 3.6.9", "code-point", client(attls.AlertIllegalParameter), wrong, Deviation, ""},
		{"another alert of a release that nobody tried", "mbedtls", "Mbed TLS 3.6.9", "code-point", client(attls.AlertDecodeError), wrong, Failed, ""},
		{"a known deviation of a stack that does not say its version", "mbedtls", "", "code-point", client(attls.AlertIllegalParameter), wrong, Deviation, ""},
		{"the right alert of a stack that does not say its version", "mbedtls", "", "code-point", client(attls.AlertUnsupportedExtension), nil, Passed, "mbedtls of an unknown version"},
		{"claims that cannot be had", "mbedtls", "Mbed TLS 3.6.6", "code-point", nil, wrong, Failed, ""},
		{"a known silence", "mbedtls", "Mbed TLS 3.6.6", "huge", silent, wrong, Deviation, ""},
		{"an alert in place of it", "mbedtls", "Mbed TLS 3.6.6", "huge", client(attls.AlertInternalError), wrong, Failed, ""},
		{"acceptance in place of it", "mbedtls", "Mbed TLS 3.6.6", "huge", accepts, wrong, Failed, ""},
		{"a fault of which no deviation is known", "mbedtls", "Mbed TLS 3.6.6", "binder", silent, wrong, Failed, ""},
		{"and one that was rejected", "mbedtls", "Mbed TLS 3.6.6", "binder", silent, nil, Passed, ""},
		{"no fault", "mbedtls", "Mbed TLS 3.6.6", "", silent, nil, Passed, ""},

		{"a mended deviation before it was mended", "mbedtls", "Mbed TLS 3.6.6", "retry-group-not-offered", accepts, wrong, Deviation, ""},
		{"the right alert before it was mended", "mbedtls", "Mbed TLS 3.6.6", "retry-group-not-offered", client(attls.AlertIllegalParameter), nil, Failed, ""},
		{"a mended deviation in the release that mended it", "mbedtls", "Mbed TLS 3.6.7", "retry-group-not-offered", client(attls.AlertIllegalParameter), nil, Passed, "mended in Mbed TLS 3.6.7, a deviation of 3.6.6"},
		{"and later", "mbedtls", "Mbed TLS 3.6.10", "retry-group-not-offered", client(attls.AlertIllegalParameter), nil, Passed, "mended"},
		{"a mended deviation that comes back", "mbedtls", "Mbed TLS 3.6.7", "retry-group-not-offered", accepts, wrong, Failed, "Mbed TLS 3.6.7 does what only 3.6.6 is known to do"},
		{"and comes back later", "mbedtls", "Mbed TLS 3.6.10", "retry-group-not-offered", accepts, wrong, Failed, "is known to do"},
		{"a deviation older than any release that was tried", "mbedtls", "Mbed TLS 3.6.2", "retry-group-not-offered", accepts, wrong, Deviation, ""},

		{"a deviation of later releases only", "gnutls", "gnutls-cli 3.8.9", "ccs-value-server", accepts, wrong, Deviation, ""},
		{"and between two that were tried", "gnutls", "gnutls-cli 3.8.11", "ccs-value-server", accepts, wrong, Deviation, ""},
		{"the right alert there", "gnutls", "gnutls-cli 3.8.11", "ccs-value-server", client(attls.AlertUnexpectedMessage), nil, Failed, ""},
		{"the right alert of a release before it began", "gnutls", "gnutls-cli 3.7.9", "ccs-value-server", client(attls.AlertUnexpectedMessage), nil, Passed, "right in gnutls-cli 3.7.9, unlike 3.8.9 to 3.8.13"},
		{"the deviation in a release before it began", "gnutls", "gnutls-cli 3.7.9", "ccs-value-server", accepts, wrong, Failed, ""},
		{"either, where it may have begun: the right alert", "gnutls", "gnutls-cli 3.8.0", "ccs-value-server", client(attls.AlertUnexpectedMessage), nil, Passed, ""},
		{"either, where it may have begun: the deviation", "gnutls", "gnutls-cli 3.8.0", "ccs-value-server", accepts, wrong, Deviation, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := Case{test.peer, "attls", scenario.Scenario{Profile: "early-attestation-06", Fail: test.fail}}
			if _, err := findFault(&c.Scenario); test.fail != "" && err != nil {
				c.Scenario.Profile = "" // a fault of TLS itself
			}
			got, reason := verdict(&c, all, test.ends, test.err, func(p Peer) string {
				if p.Name() != test.peer {
					t.Errorf("the version of %s is asked for", p.Name())
				}
				return test.version
			})
			if got != test.want || !strings.Contains(reason, test.reason) {
				t.Errorf("%s (%s), not %s (%s)", got, reason, test.want, test.reason)
			}
		})
	}
}

// TestParseRelease: the versions as the programs print them.
func TestParseRelease(t *testing.T) {
	for text, want := range map[string]release{
		"OpenSSL 3.0.17 1 Jul 2025 (Library: OpenSSL 3.0.17 1 Jul 2025)": {3, 0, 17},
		"OpenSSL 3.6.0-beta1 16 Sep 2025":                                {3, 6, 0, -1},
		"OpenSSL 1.1.1w  11 Sep 2023":                                    {1, 1, 1, 'w'},
		"gnutls-cli 3.7.9":                                               {3, 7, 9},
		"Mbed TLS 3.6.6":                                                 {3, 6, 6},
		"build version: Mbed TLS 3.6.6 (build 50726400)":                 {3, 6, 6},
		"go1.26.8":          {1, 26, 8},
		"go1.27rc2":         {1, 27, 0, -1},
		"go1.27-devel_0123": {1, 27, 0, -1},
		"1.26":              {1, 26},
	} {
		if got, ok := parseRelease(text); !ok || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "devel", "version 4"} {
		if got, ok := parseRelease(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
	ordered := []string{"1.1.1", "1.1.1w", "3.0.9", "3.0.17", "3.5.0-beta1", "3.5.0", "3.5.9", "3.10.0"}
	for i := range ordered[1:] {
		a, _ := parseRelease(ordered[i])
		b, _ := parseRelease(ordered[i+1])
		if a.compare(b) >= 0 || b.compare(a) <= 0 {
			t.Errorf("%s does not come before %s", ordered[i], ordered[i+1])
		}
	}
}

// identified is a Peer that says which version it is.
type identified struct {
	Peer
	version string
	err     error
	asked   *int
}

func (i identified) Identify(context.Context) (version, where string, err error) {
	*i.asked++
	return i.version, "", i.err
}

// TestVersions: a stack is asked once, also when it cannot say.
func TestVersions(t *testing.T) {
	for _, p := range []identified{{Peer: MbedTLS{}, version: "3.6.6", asked: new(int)}, {Peer: builtin(t, "gnutls"), version: "3.7.9", err: errors.New("no"), asked: new(int)}} {
		v, want := versions{}, p.version
		if p.err != nil {
			want = ""
		}
		for range 3 {
			if got := v.of(t.Context(), p); got != want {
				t.Errorf("%s: %q", p.Name(), got)
			}
		}
		if *p.asked != 1 {
			t.Errorf("%s was asked %d times", p.Name(), *p.asked)
		}
	}
}

// TestJudgeFault: the end that must reject is held to its alert.
func TestJudgeFault(t *testing.T) {
	s := scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestServer, Model: claims.ModelEvidence,
		Credential: claims.CredentialX509, Fail: "binder_mismatch"}
	p, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	f, err := cases.All().Fault(p, s, s.Fail)
	if err != nil {
		t.Fatal(err)
	}
	c := Case{"mbedtls", "attls", f.Scenario}
	right, server := claims.Claims{Role: "client", AlertSent: f.Alert, Error: &claims.ErrorClaim{}}, claims.Claims{Role: "server"}
	if err := Judge(&c, &right, &server); err != nil {
		t.Error(err)
	}
	silent := claims.Claims{Role: "client", Error: &claims.ErrorClaim{}}
	told := claims.Claims{Role: "server", AlertReceived: f.Alert}
	if err := Judge(&c, &silent, &told); err != nil {
		t.Errorf("the alert that the other end received: %v", err)
	}
	for name, wrong := range map[string]claims.Claims{
		"accepted":    {Role: "client"},
		"told":        {Role: "client", AlertReceived: f.Alert, Error: &claims.ErrorClaim{Class: attls.FromPeer.String()}},
		"silent":      {Role: "client", Error: &claims.ErrorClaim{}},
		"other alert": {Role: "client", Error: &claims.ErrorClaim{}, AlertSent: &claims.AlertClaim{Code: f.Alert.Code + 1}},
	} {
		if Judge(&c, &wrong, &server) == nil {
			t.Errorf("%s: nothing was noticed", name)
		}
	}
}

// TestEarlyDataOfATap: early data that a tap makes an end of attls offer is not in the claims
// of its engine, and in those of the other end.
func TestEarlyDataOfATap(t *testing.T) {
	s := scenario.Scenario{Fail: "early-data-rejected"}
	f, err := cases.All().Fault(nil, s, s.Fail)
	if err != nil {
		t.Fatal(err)
	}
	c := Case{"attls", "openssl", f.Scenario}
	end := func(role, early string) *claims.Claims {
		return &claims.Claims{Role: role, State: "closed", DataSent: 1, DataReceived: 1, Resumed: true, EarlyData: early,
			PSKMode: string(f.Scenario.Resumption), Suite: "TLS_AES_128_GCM_SHA256", Group: f.Scenario.Group, Exporter: "00"}
	}
	if err := Judge(&c, end("client", ""), end("server", "rejected")); err != nil {
		t.Error(err)
	}
	if plain := (Case{"attls", "openssl", scenario.Scenario{Resumption: f.Scenario.Resumption, Group: f.Scenario.Group}}); Judge(&plain, end("client", ""), end("server", "rejected")) == nil {
		t.Error("without a fault, nothing was noticed")
	}
}

// TestClosed: an end that closes with user_canceled has rejected nothing.
func TestClosed(t *testing.T) {
	for _, a := range []attls.AlertDescription{attls.AlertCloseNotify, attls.AlertUserCanceled} {
		mine, theirs := claims.Claims{}, claims.Claims{AlertReceived: &claims.AlertClaim{Code: uint8(a)}}
		if rejected(&mine, &theirs) || !(&Deviant{Accepts: true}).shows(&mine, &theirs) {
			t.Errorf("%v is taken for a rejection", a)
		}
	}
}

// TestJudgeLeniently: where the text names no alert any will do, and where it
// lets the receiver go without the check, going on will.
func TestJudgeLeniently(t *testing.T) {
	other := &claims.AlertClaim{Code: uint8(attls.AlertInternalError), Name: "internal_error"}
	closing := &claims.AlertClaim{Code: uint8(attls.AlertCloseNotify)}
	client := claims.Claims{Role: "client"}
	for _, test := range []struct {
		fail   string
		server claims.Claims
		passes bool
	}{
		{"compression", claims.Claims{AlertSent: other, Error: &claims.ErrorClaim{}}, false},
		{"share-zero", claims.Claims{AlertSent: other, Error: &claims.ErrorClaim{}}, true},
		{"share-zero", claims.Claims{AlertSent: closing, Error: &claims.ErrorClaim{}}, false},
		{"share-zero", claims.Claims{}, false},
		{"share-twice", claims.Claims{AlertSent: other, Error: &claims.ErrorClaim{}}, true},
		{"share-twice", claims.Claims{}, false}, // nor did it go on
	} {
		c := Case{"attls", "mbedtls", scenario.Scenario{Attester: scenario.AttestNone, Fail: test.fail}}
		if err := Judge(&c, &client, &test.server); (err == nil) != test.passes {
			t.Errorf("%s: %v", test.fail, err)
		}
	}
	sound := Case{"attls", "attls", scenario.Scenario{Attester: scenario.AttestNone, Group: "x25519"}}
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
		c := Case{"attls", "crypto/tls", scenario.Scenario{Attester: scenario.AttestNone, Group: "x25519", ClientCertificate: asked, Tolerate: "apart-client"}}
		r := Run(t.Context(), c, map[string]Peer{"attls": InProcess{}, "crypto/tls": CryptoTLS{}}, Settings{})
		if asked && r.Status != Passed || !asked && (r.Status != Failed || !strings.Contains(r.Reason, "apart-client was not sent")) {
			t.Errorf("asked for: %v, %s: %s", asked, r.Status, r.Reason)
		}
	}
}

// TestDeviant: what a stack is known to do is held against what both ends say.
func TestDeviant(t *testing.T) {
	alert := &claims.AlertClaim{Code: uint8(attls.AlertDecodeError)}
	failed, silent, told := claims.Claims{AlertSent: alert, Error: &claims.ErrorClaim{}}, claims.Claims{Error: &claims.ErrorClaim{}}, claims.Claims{AlertReceived: alert}
	sound := claims.Claims{}
	for name, test := range map[string]struct {
		d            Deviant
		mine, theirs *claims.Claims
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
	for _, f := range cases.All().Faults(nil, scenario.Scenario{}) {
		faults[f.ID] = true
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
		for _, f := range cases.All().Faults(p, s) {
			faults[f.ID] = true
		}
	}
	lists := map[string]deviations{"mbedtls": mbedTLSDeviations, "crypto/tls": cryptoTLSDeviations,
		"mbedtls-unpatched": mbedTLSProgramsDeviations,
		"poc":               prototypeDeviations, "verifier of poc": prototypeVerifierDeviations, "results of poc": prototypeResultDeviations}
	for _, p := range adapted() {
		if base := strings.TrimSuffix(p.Adapter.Name, "-3.5"); base != p.Adapter.Name {
			continue // it has those of its base
		}
		for i := range p.Deviations {
			if d := &p.Deviations[i]; d.Fault != nil {
				lists[p.Adapter.Name] = append(lists[p.Adapter.Name], deviation{faults: d.Fault.Names,
					Deviant: Deviant{Does: d.Does, Releases: Releases{d.First, d.Last, p.Tried}}})
			}
		}
	}
	for name, list := range lists {
		seen := map[string][]*Releases{}
		for i := range list {
			d := &list[i]
			r := &d.Releases
			if r.First != "" && (r.standing(r.First) != within || r.standing(r.Last) != within || !slices.Contains(r.Tried, r.First) || !slices.Contains(r.Tried, r.Last)) {
				t.Errorf("%s: %v: the releases %s are not of those that were tried", name, d.faults, r)
			}
			for _, f := range d.faults {
				if !faults[f] || d.Does == "" {
					t.Errorf("%s: %s: there is no such fault, or it is not said what happens", name, f)
				}
				for _, other := range seen[f] {
					if other.standing(r.First) == within || r.standing(other.First) == within {
						t.Errorf("%s: %s has two deviations in %s", name, f, r)
					}
				}
				seen[f] = append(seen[f], r)
			}
		}
	}
}

// TestADeviationIsFoundByAnIDOfAnEarlierVersion: in the list of an adapter, and in a scenario.
func TestADeviationIsFoundByAnIDOfAnEarlierVersion(t *testing.T) {
	list := deviations{takes("it does not look", "twice.client_hello", "offer-changed")}
	for _, name := range []string{"twice-client-hello", "twice.client_hello", "offer_changed", "offer-changed"} {
		if len(list.of(&scenario.Scenario{Fail: name})) != 1 {
			t.Errorf("%s is not found", name)
		}
	}
	if len(list.of(&scenario.Scenario{Fail: "twice-server-hello"})) != 0 {
		t.Error("another fault is found")
	}
}
