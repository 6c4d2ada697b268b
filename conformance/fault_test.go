package conformance

import (
	"context"
	"testing"

	"attls/extensions/profile"
)

// TestFaults provokes every fault of every profile and has it rejected by the
// right side with the right alert at the right message.
func TestFaults(t *testing.T) {
	for _, name := range profile.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := load(t, name)
			faults := Faults(p, Scenario{Profile: name, Compiled: p})
			if len(faults) < 10 {
				t.Errorf("%d faults", len(faults))
			}
			for _, f := range faults {
				if r := Run(context.Background(), f.Scenario); r.Err != nil {
					t.Errorf("%v: %v", f.Scenario, r.Err)
				}
			}
		})
	}
}
