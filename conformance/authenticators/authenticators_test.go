package authenticators_test

import (
	"context"
	"testing"

	"attls/conformance/authenticators"
	"attls/conformance/peers"
)

// TestStacks runs every case between this module and each stack, in both roles.
func TestStacks(t *testing.T) {
	stacks := append(authenticators.Own(), authenticators.Lenders(authenticators.FindExporters())...)
	stacks = append(stacks, authenticators.MbedTLS(peers.FindMbedTLS()))
	for _, s := range stacks {
		if reason := s.Missing(); reason != "" {
			t.Logf("%s: %s", s.Name(), reason)
		}
	}
	c := &authenticators.Choice{Stacks: stacks, Pair: func(client, server string) bool {
		return client == "attls" || server == "attls"
	}}
	r := authenticators.Run(context.Background(), c)
	for i := range r.Results {
		if k := &r.Results[i]; k.Outcome == authenticators.Failed {
			t.Errorf("%s: %s", k.Name(), k.Reason)
		}
	}
	t.Logf("%d passed, %d skipped", r.Count(authenticators.Passed), r.Count(authenticators.Skipped))
	if n := r.Count(authenticators.Passed); n < 3*2*70 { // this module alone has that many
		t.Errorf("%d passed", n)
	}
}
