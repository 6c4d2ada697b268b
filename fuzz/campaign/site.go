package campaign

import (
	"cmp"
	"slices"
	"sync/atomic"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/scenario"
)

// site is where a rule is enforced: an end refuses a message with a failure.
type site struct {
	rule, profile string
	role          attls.Role
	at            string // name of the message
	failure       attls.Failure
	reached       atomic.Int64
	triggered     atomic.Int64
}

// Coverage counts the rules that a campaign had to do with.
type Coverage struct {
	Rules     int // that refuse something under the targets' profiles
	Reached   int // the message that they are about arrived
	Triggered int // they refused it
}

// sitesOf are the rules of a target's profile that refuse messages, by the table of cases.
// Only where they are enforced is taken from it.
func sitesOf(t *Target) (list []*site) {
	name := ""
	if t.Profile != nil {
		name = t.Name
	}
	have := map[string]bool{}
	all := cases.All().Cases(t.Profile)
	for i := range all {
		c := &all[i]
		if c.Rule == "" || c.Rejects == "" || c.Scenario.Resumption != scenario.Resumption("") {
			continue
		}
		key := c.Rule + c.Rejects + c.At + string(c.Failure)
		if have[key] {
			continue
		}
		have[key] = true
		s := &site{rule: c.Rule, profile: name, at: c.At, failure: c.Failure}
		if c.Rejects == attls.RoleServer.String() {
			s.role = attls.RoleServer
		}
		list = append(list, s)
	}
	return list
}

// note counts what a run reached.
func (s *site) note(profile string, r *run) {
	if s.profile != profile {
		return
	}
	for _, e := range []*attls.Error{r.errs[s.role], r.frames.errs[s.role], r.proofs.errs[s.role]} {
		if e != nil && e.Failure == s.failure {
			s.triggered.Add(1)
			s.reached.Add(1)
			return
		}
	}
	if s.reached.Load() > 0 {
		return
	}
	for i := range r.log {
		x := &r.log[i]
		if x.role == s.role && !x.sent && x.raw != nil && (x.kind.String() == s.at || x.kind == attls.KindAdded) {
			s.reached.Add(1)
			return
		}
	}
}

func coverageOf(list []*site) (c Coverage) {
	rules := map[string][2]bool{}
	for _, s := range list {
		key := s.profile + " " + s.rule
		x := rules[key]
		x[0], x[1] = x[0] || s.reached.Load() > 0, x[1] || s.triggered.Load() > 0
		rules[key] = x
	}
	for _, x := range rules {
		c.Rules++
		if x[0] {
			c.Reached++
		}
		if x[1] {
			c.Triggered++
		}
	}
	return c
}

// RuleReach is how far a campaign came with a rule.
type RuleReach struct {
	Rule, Profile string
	Reached       bool // the message that it is about arrived
	Triggered     bool // it refused something
}

// Far says it in words.
func (r RuleReach) Far() string {
	switch {
	case r.Triggered:
		return "refused something"
	case r.Reached:
		return "was reached"
	}
	return "was not reached"
}

// reachOf are the rules of sites, those with which the campaign came least far first.
func reachOf(list []*site) (out []RuleReach) {
	at := map[[2]string]int{}
	for _, s := range list {
		key := [2]string{s.rule, s.profile}
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, RuleReach{Rule: s.rule, Profile: s.profile})
		}
		out[i].Reached = out[i].Reached || s.reached.Load() > 0
		out[i].Triggered = out[i].Triggered || s.triggered.Load() > 0
	}
	far := func(r RuleReach) (n int) {
		for _, is := range []bool{r.Reached, r.Triggered} {
			if is {
				n++
			}
		}
		return n
	}
	slices.SortFunc(out, func(a, b RuleReach) int {
		return cmp.Or(cmp.Compare(far(a), far(b)), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Profile, b.Profile))
	})
	return out
}
