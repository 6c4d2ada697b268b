package cases

import (
	"errors"
	"testing"

	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/internal/rule"
)

// TestCases: the cases of TLS 1.3 itself pass, fail without their rules where
// these can be turned off, and do not notice when another rule is off. Package
// requirements runs those of the profiles.
func TestCases(t *testing.T) {
	for _, c := range All().Cases(nil) {
		if err := c.Run(); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
		if c.Rule == "" {
			continue
		}
		if _, err := c.Prove(); err != nil {
			t.Errorf("%s without %s: %v", c.ID, c.Rule, err)
		}
		c.Rule = string(rule.OfferOrder)
		if how, err := c.Prove(); err == nil {
			t.Errorf("%s fails without a rule that it does not check: %s", c.ID, how)
		}
	}
}

// TestCaseDoesNotRun: a case that cannot be run at all is no proof of anything.
func TestCaseDoesNotRun(t *testing.T) {
	c := Case{Scenario: scenario.Scenario{Suite: "TLS_NONSENSE", Attester: scenario.AttestNone}}
	var not *NotRunError
	if err := c.Run(); !errors.As(err, &not) {
		t.Errorf("%v", err)
	}
}

// TestReadingCases: a switch of the binder has a case for each other reading
// that gives another value.
func TestReadingCases(t *testing.T) {
	var found []string
	for _, c := range All().Cases(load(t, "early-attestation-06")) {
		if c.Rule == string(rule.BinderCompared) && c.ID != "binder" {
			found = append(found, c.ID)
		}
	}
	if want := []string{"binder-reading@hrr=a", "binder-reading@hrr=b", "binder-reading@hrr=d"}; len(found) != len(want) || found[0] != want[0] || found[2] != want[2] {
		t.Errorf("%v", found)
	}
}

// TestTLSFaults: each fault of TLS 1.3 has a name of its own, is found by it with
// the scenario that it needs, and can be had over a network.
func TestTLSFaults(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range All().Faults(nil, scenario.Scenario{ALPN: "no"}) {
		found, err := All().Fault(nil, f.Scenario, f.ID)
		if err != nil || seen[f.ID] || found.Scenario.String() != f.Scenario.String() || f.Scenario.Injected() != f.ID {
			t.Errorf("%s: %+v, %v", f.ID, found, err)
		}
		seen[f.ID] = true
		if (f.Takes == "") == (f.Rejects == "") || (f.Takes == "") != (f.Scenario.Fail == f.ID) || f.Does == "" {
			t.Errorf("%+v", f)
		}
	}
	if _, err := All().Fault(nil, scenario.Scenario{}, "binder"); err == nil {
		t.Error("there is an attestation binder without a profile")
	}
	for _, s := range []scenario.Scenario{{Fail: "finished-client"}, {Tolerate: "apart-server"}, {Fail: "no-share"}, {Fail: "boundary-finished-client"}} {
		if r := scenario.Run(t.Context(), s, scenario.Find(Find)); r.Err != nil || CaseOf(&r) == nil {
			t.Errorf("%+v: %v", s, r.Err)
		}
	}
	var r scenario.Result
	r.Claims[0].Error = &claims.ErrorClaim{}
	if f, _ := All().Fault(nil, scenario.Scenario{}, "apart-server"); f.Judge(&r) == nil {
		t.Error("what had to be taken was rejected, and nothing was noticed")
	}
}

// TestARecordingOfAnEarlierVersionIsRepeated: it names its fault as that version did.
func TestARecordingOfAnEarlierVersionIsRepeated(t *testing.T) {
	r := scenario.Run(t.Context(), scenario.Scenario{Profile: "early-attestation-06", Fail: "choice-not-offered"}, scenario.Find(Find))
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	rec := r.Recording()
	rec.Scenario.Fail = "choice_not_offered"
	again, err := scenario.Replay(t.Context(), rec, scenario.Find(Find))
	if err != nil || again.Scenario.Fail != "choice-not-offered" || CaseOf(&again).ID != "choice-not-offered" {
		t.Errorf("%+v, %v", again.Scenario, err)
	}
}
