package conformance

import (
	"errors"
	"testing"

	"attls/internal/rule"
)

// TestCases: the cases of TLS 1.3 itself pass, fail without their rules where
// these can be turned off, and do not notice when another rule is off. Package
// requirements runs those of the profiles.
func TestCases(t *testing.T) {
	for _, c := range Cases(nil) {
		if err := c.Run(); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if c.Rule == "" {
			continue
		}
		if err := c.RunWithoutRule(); err == nil {
			t.Errorf("%s passes without %s", c.Name, c.Rule)
		}
		c.Rule = rule.OfferOrder
		if err := c.RunWithoutRule(); err != nil {
			t.Errorf("%s fails without a rule that it does not check: %v", c.Name, err)
		}
	}
}

// TestCaseDoesNotRun: a case that cannot be run at all is no proof of anything.
func TestCaseDoesNotRun(t *testing.T) {
	c := Case{Scenario: Scenario{Suite: "TLS_NONSENSE", Attester: AttestNone}}
	var not *NotRunError
	if err := c.Run(); !errors.As(err, &not) {
		t.Errorf("%v", err)
	}
}

// TestReadingCases: a switch of the binder has a case for each other reading
// that gives another value.
func TestReadingCases(t *testing.T) {
	var found []string
	for _, c := range Cases(load(t, "early-attestation-06")) {
		if c.Rule == rule.BinderCompared && c.Fault.Name != "binder" {
			found = append(found, c.Name)
		}
	}
	if want := []string{"binder/hrr=a", "binder/hrr=b", "binder/hrr=d"}; len(found) != len(want) || found[0] != want[0] || found[2] != want[2] {
		t.Errorf("%v", found)
	}
}
