package cases

import (
	"testing"

	"attls/attestation/roots"
	"attls/conformance/scenario"
)

// TestGridOfRoots: with each root of trust that has an emulator, what a revision allows
// runs, what the Evidence cannot be is refused with a sentence, and bad Evidence is
// rejected as the rows of faults say.
func TestGridOfRoots(t *testing.T) {
	for _, f := range roots.All().All() {
		if f.Emulate == nil {
			continue
		}
		profile := "tls-attestation-03"
		if f.Key.Named {
			profile = "tls-attestation-00" // which has no certificate beside the Evidence
		}
		t.Run(f.Name+"/"+profile, func(t *testing.T) {
			list, err := All().Grid(scenario.Scenario{Profile: profile, RootOfTrust: f.Name})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range All().RunGrid(t.Context(), list, 2, nil) {
				if r.Error != "" {
					t.Errorf("%s: %s", r.String(), r.Error)
				}
			}
		})
	}
}
