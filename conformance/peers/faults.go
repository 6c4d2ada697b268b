package peers

import (
	"slices"
	"strings"

	"attls/conformance"
)

// sent reports whether our engine provokes a fault of a case and the other stack
// has to deal with it. That our engine does is tested without other processes.
func sent(c *Case, f *conformance.Fault) bool {
	ours := (InProcess{}).Name()
	return c.Stack(f.Receiver()) != ours && c.Stack(f.Receiver()) != (Command{}).Name() && c.Stack(f.Receiver().Peer()) == ours && !slices.Contains(receiversOwn, f.Name)
}

// receiversOwn are faults in the settings of the end that must reject, which no
// other stack can be given.
var receiversOwn = []string{"signature-not-offered"}

// faults are what our engine can provoke under profiles.
func faults(pairs [][2]string, combinations []conformance.Scenario) []Case {
	var cases []Case
	for _, s := range combinations {
		p, err := s.Load()
		if err != nil {
			continue // allowed loaded it
		}
		list := slices.Concat(conformance.Faults(p, s), conformance.ReadingFaults(p, s), conformance.Tolerances(p, s))
		for _, pair := range pairs {
			for i := range list {
				f := &list[i]
				c := Case{pair[0], pair[1], f.Scenario}
				if c.Scenario.HelloRetry {
					c.Scenario.Group = "secp256r1" // after another one
				}
				if sent(&c, f) {
					cases = append(cases, c)
				}
			}
		}
	}
	return cases
}

// plainFaults are what our engine can provoke in TLS 1.3 itself.
func plainFaults(pairs [][2]string) []Case {
	var cases []Case
	list := conformance.TLSFaults(conformance.Scenario{})
	for _, pair := range pairs {
		for i := range list {
			f := &list[i]
			c := Case{pair[0], pair[1], f.Scenario}
			if c.Scenario.HelloRetry && c.Scenario.Group == "" {
				c.Scenario.Group = "secp256r1"
			}
			if sent(&c, f) {
				cases = append(cases, c)
			}
		}
	}
	return cases
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
	if s.Attester == conformance.AttestBoth {
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
	name, _, _ := strings.Cut(stack, "-")
	return name
}

// coverFaults selects, in order, the cases that hold something new.
func coverFaults(cases []Case) []Case {
	seen := map[aspect]bool{}
	return slices.DeleteFunc(cases, func(c Case) bool {
		news := false
		for _, a := range aspects(&c) {
			news = news || !seen[a]
			seen[a] = true
		}
		return !news
	})
}
