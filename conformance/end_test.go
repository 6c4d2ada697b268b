package conformance

import "testing"

// TestFaultsAct: whatever is done by a tap in TLS 1.3 is done: what must be taken
// would be without it too.
func TestFaultsAct(t *testing.T) {
	for _, c := range tlsCases() {
		s := c.Scenario
		set, err := newMemorySetup(c.p, &s)
		if err != nil {
			t.Fatal(err)
		}
		c.apply(set)
		tapped, done := false, false
		for _, role := range bothRoles {
			if config := set.ends[role].config; config.Tap != nil {
				tapped, config.Tap = true, provocation{config.Tap, &done}
			}
		}
		if _, err := set.inMemory(); err != nil {
			t.Fatal(err)
		}
		if tapped && !done {
			t.Errorf("%s: nothing was changed", c.Name)
		}
	}
}
