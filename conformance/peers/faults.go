package peers

import (
	"slices"
	"strings"

	"attls/conformance/cases"
	"attls/conformance/scenario"
)

// sent reports whether our engine provokes a fault of a case and the other stack
// has to deal with it. That our engine does is tested without other processes.
func sent(c *Case, f *cases.Case) bool {
	ours := (InProcess{}).Name()
	return c.Stack(f.Receiver()) != ours && c.Stack(f.Receiver()) != (Command{}).Name() &&
		c.Stack(f.Receiver().Peer()) == ours && !f.AtReceiver() && !slices.Contains(receiversOwn, f.ID)
}

// receiversOwn are faults in the settings of the end that must reject, which no
// other stack can be given.
var receiversOwn = []string{"signature-not-offered"}

// faults are what our engine can provoke under profiles.
func faults(pairs [][2]string, combinations []scenario.Scenario) []Case {
	var selected []Case
	table := cases.All()
	for _, s := range combinations {
		p, err := s.Load()
		if err != nil {
			continue // allowed loaded it
		}
		list := table.Faults(p, s)
		for _, pair := range pairs {
			for i := range list {
				f := &list[i]
				c := between(pair, f.Scenario)
				if c.Scenario.HelloRetry {
					c.Scenario.Group = "secp256r1" // after another one
				}
				if sent(&c, f) {
					selected = append(selected, c)
				}
			}
		}
	}
	return selected
}

// interpretedFaults are what our engine can provoke at a stack that interprets compiled
// profiles: with Full, or few profiles, under each, otherwise under those that are
// written by hand as well.
func interpretedFaults(o *Options) ([]Case, error) {
	if len(o.Interpreted) == 0 {
		return nil, nil
	}
	profiles := o.Compiled
	if !o.Full && len(profiles) > fewProfiles {
		profiles = o.Profiles
	}
	combinations, err := allowed(profiles)
	if err != nil {
		return nil, err
	}
	return faults(o.Interpreted, scenarios(combinations)), nil
}

// plainFaults are what our engine can provoke in TLS 1.3 itself.
func plainFaults(pairs [][2]string) []Case {
	var selected []Case
	list := cases.All().Faults(nil, scenario.Scenario{})
	for _, pair := range pairs {
		for i := range list {
			f := &list[i]
			if f.Scenario.ExtendedKeyUpdate && !slices.Contains(pair[:], (MbedTLS{}).Name()) { // which the others lack
				continue
			}
			c := between(pair, f.Scenario)
			if c.Scenario.HelloRetry && c.Scenario.Group == "" {
				c.Scenario.Group = "secp256r1"
			}
			if sent(&c, f) {
				selected = append(selected, c)
			}
		}
	}
	return selected
}

// aspect is what a selection of faults has to hold once: a fault from one library
// to another, under a profile, and one value of the rest of the combination.
type aspect struct {
	client, server, profile, fault string
	other                          string // model or credential
}

func aspects(c *Case) []aspect {
	s := &c.Scenario
	a := aspect{client: library(c.Client), server: library(c.Server), profile: s.Profile, fault: s.Injected()}
	list := []aspect{a}
	if s.Attester == scenario.AttestBoth {
		return list // one end is as where it attests alone
	}
	for _, other := range []string{s.Model, s.Credential} {
		b := a
		b.other = other
		list = append(list, b)
	}
	return list
}

// library is what a stack has in common with its other versions and programs.
func library(stack string) string {
	if stack == interpreterName {
		return stack
	}
	name, _, _ := strings.Cut(stack, "-")
	return name
}

// coverFaults selects, of the cases that are wanted, those that hold something new, in
// their order. Where one of a library's versions and programs cannot take part, another
// one does that can.
func coverFaults(o *Options, cases []Case) []Case {
	seen := map[aspect]bool{}
	missing := map[string]bool{}
	for _, p := range o.Stacks {
		missing[p.Name()] = p.Missing() != ""
	}
	taken := make([]bool, len(cases))
	for _, able := range []bool{true, false} {
		for i := range cases {
			c := &cases[i]
			if o.Chosen != nil && !o.Chosen(c) || able && (missing[c.Client] || missing[c.Server] || o.limit(c) != "") {
				continue
			}
			for _, a := range aspects(c) {
				taken[i] = taken[i] || !seen[a]
				seen[a] = true
			}
		}
	}
	var list []Case
	for i := range cases {
		if taken[i] {
			list = append(list, cases[i])
		}
	}
	return list
}
