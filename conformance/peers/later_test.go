package peers

import (
	"encoding/json"
	"slices"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// laterCases are those of this phase between the stack in this process and itself.
func laterCases(t *testing.T, profiles ...string) []Case {
	t.Helper()
	o := Defaults()
	if len(profiles) > 0 {
		o.Under(profiles)
	}
	cases, err := later(&o)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(cases, func(c Case) bool { return c.Client != "attls" || c.Server != "attls" })
}

// TestLater runs everything that is attested after the handshake once more between two ends
// of this stack, which have nothing in common but their connection.
func TestLater(t *testing.T) {
	t.Parallel()
	cases := laterCases(t)
	if testing.Short() {
		cases = cases[:20]
	}
	for _, r := range RunAll(t.Context(), cases, []Peer{InProcess{}}, Settings{}, func(*Result) {}) {
		if r.Status != Passed {
			t.Errorf("%s: %s: %s", r.String(), r.Status, r.Reason)
		}
	}
}

// TestLaterSelection counts what the selection differs in: every two values of two of these
// meet in a case of each pair of stacks.
func TestLaterSelection(t *testing.T) {
	t.Parallel()
	cases := laterCases(t)
	has := map[string]bool{}
	for i := range cases {
		s := &cases[i].Scenario
		values := []string{"profile " + s.Profile, "attester " + string(s.Attester), "model " + s.Model}
		if s.HelloRetry {
			values = append(values, "retry")
		}
		if s.Reattest {
			values = append(values, "again")
		}
		if n := s.Updates(); n > 0 {
			values = append(values, "update "+string(rune('0'+n)))
		}
		if s.Resumption != "" {
			values = append(values, "resume "+string(s.Resumption))
		}
		for name, value := range s.Readings {
			values = append(values, name+"="+value)
		}
		for i, a := range values {
			for _, b := range values[:i] {
				has[b+", "+a] = true
			}
		}
	}
	for _, want := range []string{
		"profile seat-expat-04, again", "profile seat-expat-04, update 2", "attester client, update 2",
		"attester both, again", "profile exported-attestation-02, attester client", "profile deployed-cmc, attester both",
		"profile deployed-privasys-v2, update 1", "model results, again", "again, update 2", "retry, update 2",
		"attester client, resume psk_dhe_ke", "again, framing=messages", "again, label=checked", "profile exported-attestation-01, framing=messages",
	} {
		switch want {
		case "again, framing=messages": // nobody can be asked again without frames
			if has[want] {
				t.Errorf("there is a case with %s", want)
			}
		default:
			if !has[want] {
				t.Errorf("no case has %s", want)
			}
		}
	}
}

// TestLaterClaims spoils a claim of one end, which must be noticed.
func TestLaterClaims(t *testing.T) {
	t.Parallel()
	c := Case{"attls", "attls", scenario.Scenario{Profile: "seat-expat-04", Attester: scenario.AttestBoth,
		Model: claims.ModelEvidence, Credential: claims.CredentialX509, ExtendedKeyUpdate: true, KeyUpdates: 2, Reattest: true}}
	r := Run(t.Context(), c, map[string]Peer{"attls": InProcess{}}, Settings{})
	if r.Status != Passed {
		t.Fatal(r.Reason)
	}
	last := func(c *claims.Claims) *claims.AttestationClaim { return &c.Attestation[len(c.Attestation)-1] }
	for name, spoil := range map[string]func(*claims.Claims){
		"epoch":       func(c *claims.Claims) { c.KeyEpoch = 1 },
		"once":        func(c *claims.Claims) { c.Attestation = c.Attestation[:len(c.Attestation)-1] },
		"phase":       func(c *claims.Claims) { last(c).Phase = "" },
		"context":     func(c *claims.Claims) { last(c).RequestContext = "00" },
		"certificate": func(c *claims.Claims) { last(c).Certificate = "00" },
		"signature":   func(c *claims.Claims) { last(c).Signature = "ed25519" },
		"generation":  func(c *claims.Claims) { last(c).KeyEpoch = 1 },
		"binder":      func(c *claims.Claims) { last(c).Challenge = "00" },
		"payload":     func(c *claims.Claims) { last(c).Payload = "00" },
		"verdict": func(c *claims.Claims) {
			for i := range c.Attestation {
				if v := c.Attestation[i].Verdict; v != nil {
					v.Accepted = false
				}
			}
		},
	} {
		for role := range r.Ends {
			blob, err := json.Marshal(r.Ends)
			var ends []claims.Claims
			if err == nil {
				err = json.Unmarshal(blob, &ends)
			}
			if err != nil {
				t.Fatal(err)
			}
			spoil(&ends[role])
			if Judge(&c, &ends[attls.RoleClient], &ends[attls.RoleServer]) == nil {
				t.Errorf("%s of end %d: no difference was noticed", name, role)
			}
		}
	}
}
