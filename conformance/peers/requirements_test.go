package peers

import (
	"testing"

	"attls/conformance/report"
	"attls/conformance/requirements"
)

// TestRequirements: each fault that is sent to another stack is about a row of the
// registry, and each row is sent or says why not.
func TestRequirements(t *testing.T) {
	o := Defaults()
	o.Faults, o.Prototype = true, nil
	all, err := requirements.Statements()
	if err != nil {
		t.Fatal(err)
	}
	faults, err := sendable(o)
	if err != nil {
		t.Fatal(err)
	}
	cited := map[string]bool{}
	for f := range faults {
		keys := requirements.Citing(all, f.profile, f.fault)
		if len(keys) == 0 && f.fault != "attester-unavailable" { // of the peer's own Attester, about which no text speaks
			t.Errorf("no row is about %s under %q", f.fault, f.profile)
		}
		for _, k := range keys {
			cited[k] = true
		}
	}
	r := report.New("")
	if err := Requirements(r, o); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, q := range r.Requirements {
		if (q.Unsent == "") != cited[q.ID] {
			t.Errorf("%s: a fault of it can be sent: %v, and it is said: %q", q.ID, cited[q.ID], q.Unsent)
		}
		if q.Unsent == "" {
			sent++
		}
	}
	if sent < 100 {
		t.Errorf("%d of %d rows are sent", sent, len(r.Requirements))
	}
}
