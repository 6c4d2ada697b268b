package cases

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// load loads an embedded profile.
func load(t *testing.T, name string) *profile.Profile {
	t.Helper()
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// distinct leaves out the profiles that differ from another in name and date only.
var distinct = []string{"tls-attestation-00", "tls-attestation-02", "tls-attestation-03", "tls-attestation-04", "tls-attestation-05",
	"tls-attestation-07", "early-attestation-00", "early-attestation-03", "early-attestation-04", "early-attestation-06",
	"early-attestation-08pre", "mbedtls-poc"}

// TestGrid runs the grid of every profile. Of those that differ from another in
// name and date only, the faults are left to that one.
func TestGrid(t *testing.T) {
	var cases []GridCase
	for _, name := range profile.Names() {
		list, err := All().Grid(scenario.Scenario{Profile: name})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if slices.Contains(distinct, name) || strings.HasPrefix(name, "deployed-") || c.Kind == GridAllowed || c.Kind == GridForbidden {
				cases = append(cases, c)
			}
		}
	}
	for _, r := range All().RunGrid(context.Background(), cases, 2, nil) {
		if r.Error != "" {
			t.Errorf("%v: %s", &r.GridCase, r.Error)
		}
	}
}

// TestGridIsWhole: the grid of a profile has every combination, every reading and
// every fault.
func TestGridIsWhole(t *testing.T) {
	for _, name := range distinct {
		p := load(t, name)
		cases, err := All().Grid(scenario.Scenario{Profile: name})
		if err != nil {
			t.Fatal(err)
		}
		readings := map[string]bool{}
		n, later := map[string]int{}, 0
		for _, c := range cases {
			if c.Scenario.PostHandshake {
				later++
				continue
			}
			n[c.Kind]++
			for s, o := range c.Scenario.Readings {
				readings[s+"="+o] = true
			}
		}
		options := 0
		for _, r := range p.Readings {
			options += len(r.Options) - 1
		}
		if n[GridAllowed]+n[GridForbidden] != 12 || n[GridAllowed] == 0 || len(readings) != options ||
			n[GridFault] != len(rejected(p, scenario.Scenario{Profile: name, Compiled: p})) || n[GridFault] < 10 {
			t.Errorf("%s: %v, %d of %d readings", name, n, len(readings), options)
		}
		if p.PostHandshake.ClientAuthentication != (later > 0) {
			t.Errorf("%s: %d cases after the handshake", name, later)
		}
	}
}

// rejected are the faults of a profile as it is.
func rejected(p *profile.Profile, s scenario.Scenario) []Case {
	return slices.DeleteFunc(All().Faults(p, s), func(c Case) bool { return c.Rejects == "" || c.PerReading() })
}

// TestGridFails: a case that does not end as it has to is told.
func TestGridFails(t *testing.T) {
	fault := scenario.Scenario{Profile: "early-attestation-06", Fail: "binder"}
	cases := []GridCase{
		{"a", GridForbidden, scenario.Scenario{Profile: "early-attestation-06"}},
		{"a", GridAllowed, scenario.Scenario{Profile: "mbedtls-poc", Attester: scenario.AttestServer}},
		{"a", GridAllowed, scenario.Scenario{Profile: "early-attestation-06", Suite: "none"}},
		{"b", GridFault, fault},
	}
	results := All().RunGrid(context.Background(), cases, 2, nil)
	for i, want := range []string{"completed, though the profile forbids it", "mbedtls-poc has no list", `no cipher suite is called "none"`, ""} {
		if got := results[i].Error; !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("case %d: %q, want %q", i, got, want)
		}
	}
	sums := SummarizeGrid(results)
	if len(sums) != 2 || sums[0].Failed != 3 || sums[1].Failed != 0 || sums[0].Cases[GridAllowed] != 2 {
		t.Errorf("%+v", sums)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := All().RunGrid(ctx, cases[3:], 1, nil); r[0].Error != context.Canceled.Error() {
		t.Errorf("%+v", r)
	}
}

// TestAgree: claims that do not fit each other are told.
func TestAgree(t *testing.T) {
	for _, spoil := range []func(*claims.Claims){
		func(c *claims.Claims) { c.TranscriptHash = "00" },
		func(c *claims.Claims) { c.PeerKey = "00" },
		func(c *claims.Claims) { c.HelloRetry = true },
		func(c *claims.Claims) { c.Attestation = nil },
		func(c *claims.Claims) { c.Attestation[0].Challenge = "00" },
		func(c *claims.Claims) { c.Attestation[0].Verdict = nil },
	} {
		r := scenario.Run(context.Background(), scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestServer}, scenario.Find(Find))
		if err := errors.Join(r.Err, r.Agree()); err != nil {
			t.Fatal(err)
		}
		if spoil(&r.Claims[0]); r.Agree() == nil {
			t.Errorf("the claims of the client %+v agree with the server's", r.Claims[0])
		}
	}
}

// TestVariations runs one combination under everything else that a scenario can
// ask for.
func TestVariations(t *testing.T) {
	base := scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestBoth}
	variations := map[string]func(*scenario.Scenario){
		"concurrent":     func(s *scenario.Scenario) { s.Concurrent = true },
		"hello retry":    func(s *scenario.Scenario) { s.HelloRetry = true },
		"cookie":         func(s *scenario.Scenario) { s.HelloRetry, s.Cookie = true, true },
		"octet by octet": func(s *scenario.Scenario) { s.Split = 1 },
		"alpn":           func(s *scenario.Scenario) { s.ALPN = "attested" },
		"server name":    func(s *scenario.Scenario) { s.ServerName = "demo.example" },
		"reading":        func(s *scenario.Scenario) { s.HelloRetry, s.Readings = true, map[string]string{"hrr": "b"} },
		"bound results": func(s *scenario.Scenario) {
			s.Model, s.Readings = claims.ModelResults, map[string]string{"results_binder": "bound"}
		},
		"another number": func(s *scenario.Scenario) { s.CodePoints = map[string]uint64{"extensions.remoteAttestation": 0xff77} },
		"hybrid group":   func(s *scenario.Scenario) { s.Group = "X25519MLKEM768" },
		"other group":    func(s *scenario.Scenario) { s.Group = "secp384r1" },
		"chacha20":       func(s *scenario.Scenario) { s.Suite = "TLS_CHACHA20_POLY1305_SHA256" },
		"sha-384":        func(s *scenario.Scenario) { s.Suite = "TLS_AES_256_GCM_SHA384" },
		"nobody attests": func(s *scenario.Scenario) { s.Profile, s.Attester = "", scenario.AttestNone },
		"poc by octet":   func(s *scenario.Scenario) { s.Profile, s.Attester, s.Split = "mbedtls-poc", scenario.AttestClient, 1 },
		"alone, retried": func(s *scenario.Scenario) {
			s.Profile, s.Credential, s.HelloRetry = "tls-attestation-07", claims.CredentialAttestation, true
		},
		"alone, waits": func(s *scenario.Scenario) {
			s.Profile, s.Credential, s.Concurrent = "tls-attestation-07", claims.CredentialAttestation, true
		},
		"message, waits": func(s *scenario.Scenario) { s.Profile, s.Concurrent = "early-attestation-00", true },
		"message, retry": func(s *scenario.Scenario) { s.Profile, s.HelloRetry = "early-attestation-00", true },
	}
	for name, vary := range variations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := base
			vary(&s)
			r := scenario.Run(context.Background(), s, scenario.Find(Find))
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if r.Profile != nil {
				if err := r.Agree(); err != nil {
					t.Error(err)
				}
			}
			c := &r.Claims[0]
			if c.HelloRetry != s.HelloRetry || c.ALPN != s.ALPN || s.Suite != "" && c.Suite != s.Suite || s.Group != "" && c.Group != s.Group {
				t.Errorf("the client claims %+v", c)
			}
		})
	}
}

// TestRenamed gives every extension, message, slot, type, field and alert of a
// profile another name and every code point another number: nothing may stand on
// a name or a number, so everything that was allowed works and everything that
// fails fails alike.
func TestRenamed(t *testing.T) {
	for _, name := range distinct {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := load(t, name)
			src, err := profile.Rename(name, profile.Options{}, 11)
			if err != nil {
				t.Fatal(err)
			}
			p, err := profile.Parse(name+".yaml", src, profile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			before, after := scenario.Combinations(old), scenario.Combinations(p)
			for i, c := range before {
				if (c.Reason == "") != (after[i].Reason == "") {
					t.Errorf("%+v was allowed: %v, and now %q", c, c.Reason == "", after[i].Reason)
				}
			}
			for _, s := range everyRun(p, p.ID) {
				s.Compiled = p
				if r := scenario.Run(context.Background(), s, scenario.Find(Find)); r.Err != nil {
					t.Errorf("%v: %v", s, r.Err)
				}
			}
			if a, b := len(everyRun(old, name)), len(everyRun(p, p.ID)); a != b {
				t.Errorf("%d runs before and %d after", a, b)
			}
		})
	}
}
