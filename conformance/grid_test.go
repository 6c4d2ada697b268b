package conformance

import (
	"context"
	"errors"
	"strings"
	"testing"

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

// TestGrid runs every combination that each profile allows over a real
// connection and has the others refused with a sentence.
func TestGrid(t *testing.T) {
	for _, name := range profile.Names() {
		t.Run(name, func(t *testing.T) { grid(t, name, load(t, name)) })
	}
}

// TestRenamedGrid runs the same under other names of every extension, field,
// type and alert, and other code points: nothing stands on a name or a number.
func TestRenamedGrid(t *testing.T) {
	for _, name := range profile.Names() {
		t.Run(name, func(t *testing.T) {
			src, err := profile.Rename(name, profile.Options{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			p, err := profile.Parse("renamed.yaml", src, profile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			grid(t, name, p)
		})
	}
}

func grid(t *testing.T, name string, p *profile.Profile) {
	t.Helper()
	allowed := 0
	for _, c := range Combinations(p) {
		s := Scenario{Profile: name, Compiled: p, Attester: c.Attester, Model: c.Model, Credential: c.Credential}
		if c.Reason != "" {
			var forbidden *ForbiddenError
			if r := Run(context.Background(), s); !errors.As(r.Err, &forbidden) || !strings.HasSuffix(r.Err.Error(), ".") {
				t.Errorf("%v: %v; want a sentence that forbids it", s, r.Err)
			}
			continue
		}
		allowed++
		r := Run(context.Background(), s)
		if r.Err != nil {
			t.Errorf("%v: %v", s, r.Err)
			continue
		}
		compareClaims(t, &r)
	}
	if allowed == 0 {
		t.Error("no combination is allowed")
	}
}

// TestAllowed holds the combinations against what the texts define.
func TestAllowed(t *testing.T) {
	alone, beside := "evidence alone", "evidence beside a certificate"
	results, resultsBeside := "results alone", "results beside a certificate"
	for names, kinds := range map[string][]string{
		"tls-attestation-00 tls-attestation-01": {alone, results}, // an element does not tell the model
		"tls-attestation-02":                    {alone},
		"tls-attestation-03":                    {alone, beside},
		"tls-attestation-04 tls-attestation-05 tls-attestation-06 tls-attestation-07 tls-attestation-08 tls-attestation-09": {alone, beside, results},
		"early-attestation-00 early-attestation-01 early-attestation-02 early-attestation-03 early-attestation-04 early-attestation-05 " +
			"early-attestation-06 early-attestation-07 early-attestation-08pre": {beside, resultsBeside},
	} {
		want := map[string]bool{}
		for _, k := range kinds {
			want[k] = true
		}
		for _, name := range strings.Fields(names) {
			for _, c := range Combinations(load(t, name)) {
				kind := c.Model + " alone"
				if c.Credential == CredentialName(profile.KindX509) {
					kind = c.Model + " beside a certificate"
				}
				if allowed := c.Reason == ""; allowed != want[kind] {
					t.Errorf("%s, %v attesting, %s: allowed %v (%s)", name, c.Attester, kind, allowed, c.Reason)
				}
			}
		}
	}
	for _, c := range Combinations(load(t, "mbedtls-poc")) {
		if allowed := c.Reason == ""; allowed != (c.Attester == AttestClient && c.Model == "evidence" && c.Credential == CredentialName(profile.KindAlone)) {
			t.Errorf("mbedtls-poc: %+v", c)
		}
	}
}

// compareClaims holds what both ends claim against each other.
func compareClaims(t *testing.T, r *Result) {
	t.Helper()
	client, server := &r.Claims[0], &r.Claims[1]
	if client.TranscriptHash == "" || client.TranscriptHash != server.TranscriptHash {
		t.Errorf("%v: transcript hashes %q and %q", r.Scenario, client.TranscriptHash, server.TranscriptHash)
	}
	if client.PeerKey != server.OwnKey || server.PeerKey != client.OwnKey {
		t.Errorf("%v: the ends disagree on their keys", r.Scenario)
	}
	if client.Suite != server.Suite || client.Group != server.Group || client.HelloRetry != server.HelloRetry {
		t.Errorf("%v: the ends disagree on suite, group or HelloRetryRequest", r.Scenario)
	}
	if want := len(r.Scenario.Attester.Roles()); len(client.Attestation) != want || len(server.Attestation) != want {
		t.Fatalf("%v: %d and %d attesters; want %d", r.Scenario, len(client.Attestation), len(server.Attestation), want)
	}
	for i := range client.Attestation {
		a, b := client.Attestation[i], server.Attestation[i]
		if a.Verdict == nil && b.Verdict == nil {
			t.Errorf("%v: no verdict on the %s", r.Scenario, a.Attester)
		}
		a.Verdict, b.Verdict = nil, nil
		if a != b {
			t.Errorf("%v: the ends claim %+v and %+v", r.Scenario, a, b)
		}
	}
}

// TestVariations runs one combination under everything else that a scenario can
// ask for.
func TestVariations(t *testing.T) {
	base := Scenario{Profile: "early-attestation-06", Attester: AttestBoth}
	variations := map[string]func(*Scenario){
		"concurrent":     func(s *Scenario) { s.Concurrent = true },
		"hello retry":    func(s *Scenario) { s.HelloRetry = true },
		"cookie":         func(s *Scenario) { s.HelloRetry, s.Cookie = true, true },
		"octet by octet": func(s *Scenario) { s.Split = 1 },
		"alpn":           func(s *Scenario) { s.ALPN = "attested" },
		"server name":    func(s *Scenario) { s.ServerName = "demo.example" },
		"reading":        func(s *Scenario) { s.HelloRetry, s.Readings = true, map[string]string{"hrr": "b"} },
		"bound results":  func(s *Scenario) { s.Model, s.Readings = ModelResults, map[string]string{"results_binder": "bound"} },
		"another number": func(s *Scenario) { s.CodePoints = map[string]uint64{"extensions.remoteAttestation": 0xff77} },
		"hybrid group":   func(s *Scenario) { s.Group = "X25519MLKEM768" },
		"other group":    func(s *Scenario) { s.Group = "secp384r1" },
		"chacha20":       func(s *Scenario) { s.Suite = "TLS_CHACHA20_POLY1305_SHA256" },
		"sha-384":        func(s *Scenario) { s.Suite = "TLS_AES_256_GCM_SHA384" },
		"nobody attests": func(s *Scenario) { s.Profile, s.Attester = "", AttestNone },
		"poc by octet":   func(s *Scenario) { s.Profile, s.Attester, s.Split = "mbedtls-poc", AttestClient, 1 },
		"alone, retried": func(s *Scenario) {
			s.Profile, s.Credential, s.HelloRetry = "tls-attestation-07", CredentialAttestation, true
		},
		"alone, waits": func(s *Scenario) {
			s.Profile, s.Credential, s.Concurrent = "tls-attestation-07", CredentialAttestation, true
		},
		"message, waits": func(s *Scenario) { s.Profile, s.Concurrent = "early-attestation-00", true },
		"message, retry": func(s *Scenario) { s.Profile, s.HelloRetry = "early-attestation-00", true },
	}
	for name, vary := range variations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := base
			vary(&s)
			r := Run(context.Background(), s)
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if r.Profile != nil {
				compareClaims(t, &r)
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
			before, after := Combinations(old), Combinations(p)
			for i, c := range before {
				if (c.Reason == "") != (after[i].Reason == "") {
					t.Errorf("%+v was allowed: %v, and now %q", c, c.Reason == "", after[i].Reason)
				}
			}
			for _, s := range everyRun(p, p.ID) {
				s.Compiled = p
				if r := Run(context.Background(), s); r.Err != nil {
					t.Errorf("%v: %v", s, r.Err)
				}
			}
			if a, b := len(everyRun(old, name)), len(everyRun(p, p.ID)); a != b {
				t.Errorf("%d runs before and %d after", a, b)
			}
		})
	}
}
