package scenario_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"attls/attestation"
	"attls/attestation/roots"
	"attls/attestation/roottest"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/negotiation"
)

// TestRootOfTrust: every combination of roles, model and credential of every profile
// runs with a root of trust of somebody outside, or is refused with a sentence; also
// with a HelloRetryRequest and in a resumed connection.
func TestRootOfTrust(t *testing.T) {
	env := strangers(t)
	for _, name := range profile.Names() {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range scenario.Combinations(p) {
			if c.Reason != "" {
				continue
			}
			s := scenario.Scenario{
				Profile:     name,
				Compiled:    p,
				Attester:    c.Attester,
				Model:       c.Model,
				Credential:  c.Credential,
				RootOfTrust: "stranger",
			}
			t.Run(s.String(), func(t *testing.T) { attests(t, env, s) })
		}
	}
	for _, s := range []scenario.Scenario{
		{Profile: "early-attestation-06", RootOfTrust: "stranger", HelloRetry: true},
		{Profile: "early-attestation-06", RootOfTrust: "stranger", Resumption: scenario.ResumeWithDHE},
		{Profile: "early-attestation-06", RootOfTrust: attestation.EAT},
	} {
		t.Run(s.String(), func(t *testing.T) { attests(t, env, s) })
	}
}

// strangers is an environment whose table has the stranger's root of trust.
func strangers(t *testing.T) *scenario.Environment {
	t.Helper()
	env, err := scenario.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	if env.Table, err = roots.All().With(roottest.Stranger()); err != nil {
		t.Fatal(err)
	}
	return env
}

func attests(t *testing.T, env *scenario.Environment, s scenario.Scenario) {
	t.Helper()
	result := scenario.Run(t.Context(), s, scenario.In(env))
	var forbidden *scenario.ForbiddenError
	if why := unfit(t, env, s); why != "" {
		if !errors.As(result.Err, &forbidden) || forbidden.Reason != why {
			t.Errorf("%v, want %q", result.Err, why)
		}
		return
	}
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	if s.RootOfTrust == attestation.EAT || s.Model != "evidence" {
		return
	}
	for _, c := range result.Claims {
		for _, a := range c.Attestation {
			if a.Format != roottest.StrangerType {
				t.Errorf("the Evidence is %s", a.Format)
			}
			if a.Verdict != nil &&
				!slices.ContainsFunc(a.Verdict.Checks, func(c negotiation.Check) bool { return c.Name == attestation.CheckKey }) {
				t.Errorf("the verdict says nothing of the key: %+v", a.Verdict)
			}
		}
	}
}

// unfit is why the profile cannot carry the Evidence of a scenario; empty: it can.
func unfit(t *testing.T, env *scenario.Environment, s scenario.Scenario) string {
	t.Helper()
	f, err := env.Formats().Named(s.RootOfTrust)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Load()
	if err == nil {
		err = s.Complete(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	model, err := scenario.ParseModel(s.Model)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := scenario.ParseCredential(s.Credential)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range s.Attester.Roles() {
		if _, err := f.Under(p, role, model, kind); err != nil {
			return strings.ToUpper(err.Error()[:1]) + err.Error()[1:] + "."
		}
	}
	return ""
}

// TestComposite: Evidence of two roots of trust in one collection is affirmed, of either
// role and with either credential.
func TestComposite(t *testing.T) {
	env := strangers(t)
	for _, s := range []scenario.Scenario{
		{Profile: "early-attestation-06", Attester: scenario.AttestBoth},
		{Profile: "tls-attestation-07", Credential: "attestation"},
		{Profile: "tls-attestation-07", Credential: "x509"},
	} {
		s.RootOfTrust = "eat+stranger"
		result := scenario.Run(t.Context(), s, scenario.In(env))
		if result.Err != nil {
			t.Errorf("%v: %v", s, result.Err)
			continue
		}
		for _, c := range result.Claims {
			for _, a := range c.Attestation {
				if a.Verdict == nil {
					continue
				}
				if !slices.ContainsFunc(
					a.Verdict.Checks,
					func(c negotiation.Check) bool { return c.OK && c.Name == attestation.CheckMachine },
				) {
					t.Errorf("%v: the verdict does not say that the parts are of one machine: %+v", s, a.Verdict.Checks)
				}
			}
		}
	}
	for _, name := range []string{"eat+eat", "eat+nobody", "eat+", "eat+prototype"} {
		if result := scenario.Run(t.Context(), scenario.Scenario{Profile: "early-attestation-06", RootOfTrust: name},
			scenario.In(env)); result.Err == nil {
			t.Errorf("%s attests", name)
		}
	}
}
