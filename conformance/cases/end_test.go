package cases

import (
	"attls"
	"attls/conformance/scenario"
	"testing"
)

// TestFaultsAct: whatever is done by a tap in TLS 1.3 is done: what must be taken
// would be without it too.
func TestFaultsAct(t *testing.T) {
	for _, c := range All().Cases(nil) {
		s := c.Scenario
		set, err := scenario.NewSetup(c.profile, &s)
		if err != nil {
			t.Fatal(err)
		}
		c.Apply(set)
		tapped, done := false, false
		for _, role := range attls.Roles() {
			if config := set.Ends[role].Config; config.Tap != nil {
				tapped, config.Tap = true, scenario.Provocation{Tap: config.Tap, Done: &done}
			}
		}
		if _, err := set.RunInMemory(); err != nil {
			t.Fatal(err)
		}
		if tapped && !done {
			t.Errorf("%s: nothing was changed", c.ID)
		}
	}
}
