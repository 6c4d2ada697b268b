package cases

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// TestPeerReadings: two ends that read a text differently do not agree on the
// binder, and the relying party names the reading of its peer.
func TestPeerReadings(t *testing.T) {
	for _, w := range []struct {
		name   string
		s      scenario.Scenario
		finder attls.Role
		want   profile.Match
	}{
		{"HelloRetryRequest as sent", scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestServer, HelloRetry: true, ClientReadings: map[string]string{"hrr": "b"}},
			attls.RoleClient, profile.Match{Profile: "early-attestation-06", Attester: "server", Readings: map[string]string{"hrr": "c"}}},
		{"the client's, seen by the server", scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestClient, HelloRetry: true, ClientReadings: map[string]string{"hrr": "d"}},
			attls.RoleServer, profile.Match{Profile: "early-attestation-06", Attester: "client", Readings: map[string]string{"hrr": "d"}}},
		{"point or SPKI", scenario.Scenario{Profile: "early-attestation-00", Attester: scenario.AttestServer, ClientReadings: map[string]string{"public_key": "point"}},
			attls.RoleClient, profile.Match{Profile: "early-attestation-00", Attester: "server", Readings: map[string]string{"public_key": "spki"}}},
		{"another exporter", scenario.Scenario{Profile: "tls-attestation-07", Attester: scenario.AttestServer, Credential: claims.CredentialX509, ClientReadings: map[string]string{"exporter_secret": "sentence"}},
			attls.RoleClient, profile.Match{Profile: "tls-attestation-07", Attester: "server", Readings: map[string]string{"exporter_secret": "formula"}}},
	} {
		t.Run(w.name, func(t *testing.T) {
			r := scenario.Run(context.Background(), w.s, scenario.Find(Find))
			v := verdictOf(t, &r, w.finder)
			if v.Failure != string(attls.FailBinderMismatch) || v.PeerChallenge == "" || len(v.PeerReadings) == 0 || v.PeerReadings[0].String() != w.want.String() {
				t.Errorf("%+v; want %v", v, w.want)
			}
		})
	}
	// A value that is wrong under every reading is told without one.
	r := scenario.Run(context.Background(), scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestServer, Fail: "binder"}, scenario.Find(Find))
	if v := verdictOf(t, &r, attls.RoleClient); r.Err != nil || v.PeerChallenge == "" || len(v.PeerReadings) > 0 {
		t.Errorf("%v, %+v", r.Err, v)
	}
}

func verdictOf(t *testing.T, r *scenario.Result, relying attls.Role) *claims.VerdictClaim {
	t.Helper()
	for i := range r.Claims[relying].Attestation {
		if v := r.Claims[relying].Attestation[i].Verdict; v != nil {
			return v
		}
	}
	t.Fatalf("no verdict of the %v: %v", relying, r.Err)
	return nil
}

// TestExplain: out of claims that went through JSON the challenge of every
// combination is computed again, and the readings of a peer are found.
func TestExplain(t *testing.T) {
	oneGoroutine(t)
	for _, name := range distinct {
		p := load(t, name)
		for n, c := range widest(&scenario.Scenario{}, p) {
			s := scenario.Scenario{Profile: name, Compiled: p}.With(c)
			r := scenario.Run(context.Background(), s, scenario.KeepInputs(), scenario.Find(Find))
			if r.Err != nil {
				t.Errorf("%v: %v", s, r.Err)
				continue
			}
			line, err := json.Marshal(&r.Claims[0])
			if err != nil {
				t.Fatal(err)
			}
			claims, err := claims.ReadClaims(bytes.NewReader(line))
			if err != nil {
				t.Fatal(err)
			}
			e, err := scenario.Explain(s, claims, nil)
			if err != nil || len(e.Attesters) != len(c.Attester.Roles()) {
				t.Errorf("%v: %v, %+v", s, err, e)
				continue
			}
			for i, a := range e.Attesters {
				got := ""
				if a.Challenge != nil {
					got = a.Challenge.Value
				}
				if want := claims.Attestation[i].Challenge; got != want {
					t.Errorf("%v: the challenge of the %s is %s, want %s", s, a.Attester, got, want)
				}
				for _, o := range a.Others {
					if o.Value != "" && n == 0 && i == 0 {
						findAgain(t, s, claims, i, o)
					}
				}
			}
		}
	}
}

// findAgain: a peer's value under another reading is explained by that reading,
// or by one that comes to the same.
func findAgain(t *testing.T, s scenario.Scenario, c *claims.Claims, attester int, o scenario.OtherReading) {
	t.Helper()
	value, err := hex.DecodeString(o.Value)
	if err != nil {
		t.Fatal(err)
	}
	e, err := scenario.Explain(s, c, value)
	if err != nil {
		t.Fatal(err)
	}
	m := e.Attesters[attester].Matches
	if len(m) == 0 || m[0].Profile != s.Profile || len(m[0].Readings) == 0 {
		t.Errorf("%v: %s=%s is explained by %v", s, o.Switch, o.Reading, m)
	}
}

// TestExplainNeedsInputs: claims that cannot be explained say why.
func TestExplainNeedsInputs(t *testing.T) {
	s := scenario.Scenario{Profile: "early-attestation-06"}
	r := scenario.Run(context.Background(), s, scenario.Find(Find))
	if _, err := scenario.Explain(s, &r.Claims[0], nil); r.Err != nil || err == nil {
		t.Errorf("%v, %v", r.Err, err)
	}
	for _, text := range []string{"", "{}", "[]", `{"schema": "attls-claims/0"}`} {
		if _, err := claims.ReadClaims(bytes.NewReader([]byte(text))); err == nil {
			t.Errorf("%q is read as claims", text)
		}
	}
}
