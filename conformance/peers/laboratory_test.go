package peers

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"attls"
	"attls/attestation"
	"attls/conformance/lab"
	"attls/extensions/profile"
	"attls/negotiation"
)

// labCells runs one attack on one profile with the mbedTLS peer at ends.
func labCells(t *testing.T, attack, name, ends string, stack lab.Stack) []*lab.Cell {
	t.Helper()
	s, err := lab.Load(attack)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stacks, err := lab.ParseStacks(ends, stack)
	if err != nil {
		t.Fatal(err)
	}
	cells, err := lab.Run(context.Background(), lab.Options{Scripts: []*lab.Script{s}, Profiles: []*profile.Profile{p},
		Stacks: stacks})
	if err != nil {
		t.Fatal(err)
	}
	return cells
}

func laboratory(t *testing.T) Laboratory {
	t.Helper()
	l := NewLaboratory(FindMbedTLS())
	if reason := l.Missing(); reason != "" {
		t.Skip(reason)
	}
	return l
}

// TestLaboratory runs attacks with the mbedTLS peer at honest ends: the leaked key, a
// nonce and a Handshake Secret of its, a credential that is the attestation alone, and
// Evidence in a certificate. The laboratory compares each with this module at both ends.
func TestLaboratory(t *testing.T) {
	l := laboratory(t)
	for _, c := range []struct {
		attack, profile, ends string
		accepted, rejected    bool // there is such a cell
	}{
		{"relay-leaked-key", "early-attestation-07", "mbedtls", true, true},
		{"relay-verbatim", "early-attestation-07", "server=mbedtls", true, false},
		{"diversion-pinned", "tls-attestation-07", "client=mbedtls", false, true},
		{"rehost", "deployed-dstack", "mbedtls", true, false},
	} {
		accepted, rejected := false, false
		for _, x := range labCells(t, c.attack, c.profile, c.ends, l) {
			switch {
			case x.Error != "":
				t.Errorf("%s: %s", x.Key(), x.Error)
			case x.Inapplicable == "":
				accepted = accepted || x.Result.Outcome == lab.Accepted
				rejected = rejected || x.Result.Outcome == lab.Rejected
			}
		}
		if accepted != c.accepted || rejected != c.rejected {
			t.Errorf("%s on %s with %s: accepted %v, rejected %v", c.attack, c.profile, c.ends, accepted, rejected)
		}
	}
}

// credulous gives the peer a Verifier that affirms everything.
type credulous struct{ Laboratory }

func (l credulous) Start(ctx context.Context, e *lab.ProgramEnd) (lab.Program, error) {
	changed := *e
	changed.Ask = func(request []byte) []byte {
		var r attestation.Request
		if json.Unmarshal(request, &r) != nil || r.Action != attestation.ActionAppraise {
			return e.Ask(request)
		}
		b, err := json.Marshal(attestation.NewAppraiseResponse(&negotiation.Verdict{Status: negotiation.StatusAffirming,
			SPKI: r.SPKI}))
		if err != nil {
			return nil
		}
		return b
	}
	return l.Laboratory.Start(ctx, &changed)
}

// TestLaboratoryDisagrees sees a run with a peer that accepts more than this module fail.
func TestLaboratoryDisagrees(t *testing.T) {
	l := credulous{laboratory(t)}
	failed := 0
	for _, x := range labCells(t, "relay-leaked-key", "early-attestation-07", "client=mbedtls", l) {
		if strings.HasPrefix(x.Error, "the stacks disagree: with client=mbedtls: accepted; with attls: rejected by the client") {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d cells disagree; wanted the one with Evidence of a server", failed)
	}
}

// TestLaboratoryLimits has the peer's own sentence for what it cannot do.
func TestLaboratoryLimits(t *testing.T) {
	l := laboratory(t)
	for _, x := range labCells(t, "relay-leaked-key", "early-attestation-03", "mbedtls", l) {
		if x.Inapplicable != "" && !strings.HasPrefix(x.Inapplicable, "mbedtls as the ") {
			t.Errorf("%s: %s", x.Key(), x.Inapplicable)
		}
	}
	if reason := NewLaboratory("").Missing(); reason == "" {
		t.Error("a peer that was not built is not missing")
	}
	if l.Name() != "mbedtls" || l.Limit(&profile.Profile{}, &lab.Combination{}, attls.RoleClient) == "" {
		t.Error("plain TLS has no limit")
	}
}
