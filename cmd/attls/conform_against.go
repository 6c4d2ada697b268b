package main

import (
	"fmt"
	"path/filepath"

	"attls/conformance/cases"
	"attls/conformance/peers"
	"attls/conformance/report"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// comparison holds cases of changed profiles beside the same cases of the profile that
// they change.
type comparison struct {
	base  string            // identifier
	bases map[string]string // name of a case: that of the same case under the base
	// lost are cases of the base that a changed profile does not allow, with the reason.
	lost []string
}

// compare adds to each case the same one under the profile of --against.
func (f *conformFlags) compare(list []peers.Case) ([]peers.Case, *comparison, error) {
	name := f.choice.against
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		return nil, nil, usage("%w", err)
	}
	of := scenario.Scenario{Profile: p.ID}
	if profile.IsFile(name) {
		of.Called = p.ID
		if of.Profile, err = filepath.Abs(name); err != nil {
			return nil, nil, unavailable(err)
		}
	}
	c := &comparison{base: p.ID, bases: map[string]string{}}
	known := map[string]bool{}
	for i := range list {
		known[list[i].String()] = true
	}
	for _, k := range list {
		changed := k.String()
		if k.Scenario.Profile == "" || !allows(p, &k.Scenario) {
			continue
		}
		k.Scenario.Profile, k.Scenario.Called = of.Profile, of.Called
		if k.Scenario.Injected() != "" {
			if _, err := cases.All().Fault(p, k.Scenario, k.Scenario.Injected()); err != nil {
				continue
			}
		}
		c.bases[changed] = k.String()
		if !known[k.String()] {
			known[k.String()] = true
			list = append(list, k)
		}
	}
	return list, c, c.missing(f.choice.profiles, p)
}

// allows reports whether a profile has the readings and the combination of a scenario.
func allows(p *profile.Profile, s *scenario.Scenario) bool {
	for name, option := range s.Readings {
		if _, err := p.Reread(name, option); err != nil {
			return false
		}
	}
	for _, c := range scenario.Combinations(p) {
		if c.Attester == s.Attester && c.Model == s.Model && c.Credential == s.Credential {
			return c.Reason == ""
		}
	}
	return true
}

// missing finds the combinations that the base allows and a change does not.
func (c *comparison) missing(changed []string, base *profile.Profile) error {
	for _, name := range changed {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			return usage("%w", err)
		}
		was := scenario.Combinations(base)
		for i, now := range scenario.Combinations(p) {
			if was[i].Reason == "" && now.Reason != "" {
				c.lost = append(c.lost, fmt.Sprintf("%s/%s/%s/%s: %s", p.ID, now.Attester, now.Model, now.Credential, now.Reason))
			}
		}
	}
	return nil
}

// broken are the cases that pass with the base and fail with the change; both counts
// those that fail with both.
func (c *comparison) broken(r *report.Report) (list []*report.Run, both int) {
	outcome := map[string]report.Outcome{}
	for i := range r.Runs {
		outcome[r.Runs[i].ID] = r.Runs[i].Outcome
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		base, ok := c.bases[run.ID]
		switch {
		case !ok || base == run.ID || run.Outcome != report.Failed:
		case outcome[base] == report.Passed:
			list = append(list, run)
		case outcome[base] == report.Failed:
			both++
		}
	}
	return list, both
}

// against prints what a change has broken, and is the error of that.
func (p *painter) against(c *comparison, r *report.Report) error {
	broken, both := c.broken(r)
	p.line()
	for _, reason := range c.lost {
		p.flow(p.width, "    ", "no longer allowed: "+reason)
	}
	for _, run := range broken {
		p.line(p.in(red, "✗ passes with "+c.base+", fails with the change: "+run.ID))
		for _, place := range run.Places {
			p.paragraph("    ", place)
		}
	}
	p.line(fmt.Sprintf("Against %s: %d of %s pass with it and fail with the change; %d fail with both.", c.base,
		len(broken), count(len(c.bases), "case"), both))
	if len(broken) > 0 {
		return failed("%s that passed with %s", count(len(broken), "case"), c.base)
	}
	return nil
}
