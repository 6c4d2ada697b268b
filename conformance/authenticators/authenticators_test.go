package authenticators_test

import (
	"context"
	"testing"

	"attls/conformance/authenticators"
)

// TestStacks runs every case between this module and each stack, in both roles, and between
// each stack and itself.
func TestStacks(t *testing.T) {
	stacks := append(authenticators.Own(), authenticators.Lenders(authenticators.FindExporters())...)
	for _, s := range stacks {
		if reason := s.Missing(); reason != "" {
			t.Logf("%s: %s", s.Name(), reason)
		}
	}
	c := &authenticators.Choice{Stacks: stacks, Pair: func(client, server string) bool {
		return client == server || client == "attls" || server == "attls"
	}}
	r := authenticators.Run(context.Background(), c)
	for i := range r.Results {
		if k := &r.Results[i]; k.Outcome == authenticators.Failed {
			t.Errorf("%s: %s", k.Name(), k.Reason)
		}
	}
	t.Logf("%d passed, %d skipped", r.Count(authenticators.Passed), r.Count(authenticators.Skipped))
	if n := r.Count(authenticators.Passed); n < 4*2*40 { // this module alone has that many
		t.Errorf("%d passed", n)
	}
}
