package fuzz

import (
	"fmt"
	"sync"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// injected is what conformance/cases can inject in TLS 1.3 and under one revision of each
// draft.
var injected = sync.OnceValue(func() []under {
	table := cases.All()
	var list []under
	for _, name := range []string{"", "early-attestation-06", "tls-attestation-07"} {
		var p *profile.Profile
		if name != "" {
			var err error
			if p, err = profile.Load(name, profile.Options{}); err != nil {
				panic("fuzz: " + err.Error()) // of an embedded profile
			}
		}
		for _, c := range table.Faults(p, scenario.Scenario{Profile: name, Compiled: p}) {
			list = append(list, under{p, c})
		}
	}
	return list
})

type under struct {
	p *profile.Profile
	c cases.Case
}

// Rows counts what RunRow can inject.
func Rows() int { return len(injected()) }

// RunRow injects a fault or a tolerance of conformance/cases into a connection, and changes
// messages as a plan says besides. Without a plan what the row expects must follow; with one,
// an error is a broken invariant.
func RunRow(row int, plan []byte) error {
	all := injected()
	x := &all[row%len(all)]
	s := x.c.Where()
	set, err := scenario.NewSetup(x.p, &s)
	if err != nil {
		return err
	}
	list := readPlan(plan)
	taps := [2]*mutator{{plan: list[0]}, {plan: list[1]}}
	x.c.Apply(set)
	for _, r := range attls.Roles() {
		set.Tap(r, taps[r])
	}
	result, err := set.RunInMemory()
	if err != nil {
		return nil // a client whose first message was made unusable
	}
	if len(list[0])+len(list[1]) == 0 {
		result.Profile = x.p
		if err := x.c.Judge(result); err != nil {
			return fmt.Errorf("%s: %w", x.c.ID, err)
		}
	}
	for _, r := range attls.Roles() {
		if err := CheckEngine(result.Pair.Engine(r), &taps[r].alerts, len(result.Pair.Wire(r.Peer())), false); err != nil {
			return fmt.Errorf("%s: the %v: %w", x.c.ID, r, err)
		}
	}
	return nil
}
