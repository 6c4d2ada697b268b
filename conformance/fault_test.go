package conformance

import (
	"context"
	"testing"
)

// distinct leaves out the profiles that differ from another in name and date only.
var distinct = []string{"tls-attestation-00", "tls-attestation-02", "tls-attestation-03", "tls-attestation-04", "tls-attestation-05",
	"tls-attestation-07", "early-attestation-00", "early-attestation-03", "early-attestation-04", "early-attestation-06",
	"early-attestation-08pre", "mbedtls-poc"}

// TestFaults provokes every fault of every profile and has it rejected by the
// right side with the right alert at the right message.
func TestFaults(t *testing.T) {
	for _, name := range distinct {
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
