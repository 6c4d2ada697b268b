package cases

import (
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"context"
	"testing"

	"attls"
)

// TestJudge: a run is held against everything that a fault promises.
func TestJudge(t *testing.T) {
	sound := scenario.Run(context.Background(), scenario.Scenario{Profile: "early-attestation-06"}, scenario.Find(Find))
	if sound.Err != nil {
		t.Fatal(sound.Err)
	}
	r := scenario.Run(context.Background(), scenario.Scenario{Profile: "early-attestation-06", Fail: "binder"}, scenario.Find(Find))
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if err := CaseOf(&r).Judge(&sound); err == nil {
		t.Error("a connection that nobody rejected passes")
	}
	for name, change := range map[string]func(f *Case, r *scenario.Result){
		"another end":       func(c *Case, _ *scenario.Result) { expect(c, func(e *Reject) { e.By = e.By.Peer() }) },
		"another failure":   func(c *Case, _ *scenario.Result) { expect(c, func(e *Reject) { e.Failure = attls.FailTIKMismatch }) },
		"another message":   func(c *Case, _ *scenario.Result) { expect(c, func(e *Reject) { e.At = attls.KindFinished }) },
		"another alert":     func(f *Case, _ *scenario.Result) { f.action.Alert = attls.AlertBadCertificate },
		"no alert wanted":   func(f *Case, _ *scenario.Result) { f.action.Close = true },
		"no alert sent":     func(_ *Case, r *scenario.Result) { r.Claims[attls.RoleClient].AlertSent = nil },
		"no alert received": func(_ *Case, r *scenario.Result) { r.Claims[attls.RoleServer].AlertReceived = nil },
		"another alert received": func(_ *Case, r *scenario.Result) {
			r.Claims[attls.RoleServer].AlertReceived = &claims.AlertClaim{Code: 1}
		},
	} {
		f, changed := *CaseOf(&r), r
		change(&f, &changed)
		if f.Judge(&changed) == nil {
			t.Errorf("%s passes", name)
		}
	}
	if err := CaseOf(&r).Judge(&r); err != nil {
		t.Error(err)
	}
}

// expect changes what a case expects.
func expect(c *Case, change func(*Reject)) {
	e := c.expect.(Reject)
	change(&e)
	c.expect = e
}

// TestAttested: what a run must have to count as attested.
func TestAttested(t *testing.T) {
	r := scenario.Run(context.Background(), scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestBoth}, scenario.Find(Find))
	if !r.Attested() {
		t.Fatal(r.Err)
	}
	for name, change := range map[string]func(r *scenario.Result){
		"no data one way":  func(r *scenario.Result) { r.Claims[attls.RoleServer].DataSent = 0 },
		"nothing received": func(r *scenario.Result) { r.Claims[attls.RoleClient].DataReceived = 0 },
		"an error":         func(r *scenario.Result) { r.Claims[attls.RoleClient].Error = &claims.ErrorClaim{} },
		"no attester":      func(r *scenario.Result) { r.Claims[attls.RoleServer].Attestation = nil },
		"one attester only": func(r *scenario.Result) {
			r.Claims[attls.RoleClient].Attestation = r.Claims[attls.RoleClient].Attestation[1:]
		},
		"a refusal": func(r *scenario.Result) {
			c := &r.Claims[attls.RoleClient]
			a := c.Attestation[0]
			a.Verdict = &claims.VerdictClaim{Failure: "attestation.appraisal_failed"}
			c.Attestation = []claims.AttestationClaim{a, c.Attestation[1]}
		},
	} {
		changed := r
		change(&changed)
		if changed.Attested() || changed.Judge() == nil {
			t.Errorf("%s passes", name)
		}
	}
	unaware := runWith(t, scenario.Scenario{Profile: "early-attestation-06"}, func(set *scenario.Setup) {
		set.Ends[attls.RoleClient].Config.Policy.Demand = false
		unaware(set, attls.RoleServer)
	})
	if unaware.Attested() {
		t.Error("a server that does not know the profile counts as attested")
	}
}
