package peers

import (
	"slices"

	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// The cases of profiles under which something is attested after the handshake: in exported
// authenticators, or in frames of the application. Besides what the handshake has, their
// dimensions are the role, the model, extended key updates before the second attestation,
// and whether there is a second one.

// apart divides combinations into those of the handshake and those that come after it.
func apart(all []combination) (now, after []combination) {
	for i := range all {
		if all[i].phase == profile.PhaseHandshake {
			now = append(now, all[i])
		} else {
			after = append(after, all[i])
		}
	}
	return now, after
}

// mostUpdates is the key generation that a case reaches at most, from 0.
const mostUpdates = 2

// laterPoint is a case of this phase. Suites and groups take turns.
type laterPoint struct {
	combination, profile, attester, model, retry, resumption, updates, again, splitting int
}

// values leaves out the combination, whose values are the three behind it.
func (p laterPoint) values() []int {
	return []int{p.profile, p.attester, p.model, p.retry, p.resumption, p.updates, p.again, p.splitting}
}

// laterPoints are all that can occur together. Where extended key update is negotiated
// there are no tickets.
func laterPoints(o *Options, combinations []combination) (points []laterPoint) {
	var profiles, attesters, models []string
	number := func(list *[]string, name string) int {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
		return slices.Index(*list, name)
	}
	for i := range combinations {
		c := &combinations[i]
		p := laterPoint{combination: i, profile: number(&profiles, c.Profile),
			attester: number(&attesters, string(c.Attester)), model: number(&models, c.Model)}
		for p.retry = range 2 {
			for p.resumption = range o.Resumptions {
				for p.updates = range mostUpdates + 1 {
					if o.Resumptions[p.resumption] != "" && (p.updates > 0 || !c.resumes(o.Resumptions[p.resumption], p.retry == 1)) {
						continue
					}
					for p.again = range 2 {
						if p.again > 0 && !c.repeats {
							continue
						}
						for p.splitting = range max(1, len(o.Splittings)) {
							points = append(points, p)
						}
					}
				}
			}
		}
	}
	return points
}

// atLater is the scenario of a point.
func (o *Options) atLater(p *laterPoint, combinations []combination, turn int) scenario.Scenario {
	s := combinations[p.combination].Scenario
	s.Suite, s.Group = o.Suites[turn%len(o.Suites)], o.Groups[turn%len(o.Groups)]
	s.HelloRetry, s.Resumption, s.Reattest = p.retry == 1, o.Resumptions[p.resumption], p.again == 1
	s.ExtendedKeyUpdate, s.KeyUpdates = p.updates > 0, p.updates
	if len(o.Splittings) > 0 {
		s.Fragment, s.Split = o.Splittings[p.splitting].Fragment, o.Splittings[p.splitting].Split
	}
	return s
}

// later are the cases of this phase: a selection that holds every pair of values of two
// dimensions, with Full every point in which it is the turn of the splitting; and each
// reading that is not the default. This stack meets itself in all of them. The pairs of
// o.Later divide the selection; those in which a compiled profile is interpreted have it
// whole where they are asked for.
func later(o *Options) ([]Case, error) {
	if len(o.Later) == 0 {
		return nil, nil
	}
	all, err := allowed(o.Compiled)
	if err != nil {
		return nil, err
	}
	_, combinations := apart(all)
	if len(combinations) == 0 {
		return nil, nil
	}
	points := laterPoints(o, combinations)
	selected := points
	if !o.Full {
		selected = cover(points)
	}
	var list []scenario.Scenario
	for i := range selected {
		p := &selected[i]
		if o.Full && p.splitting != (p.combination+p.retry+p.resumption+p.updates+p.again)%max(1, len(o.Splittings)) {
			continue
		}
		list = append(list, o.atLater(p, combinations, i))
	}
	readings, err := laterReadings(o, combinations)
	if err != nil {
		return nil, err
	}
	return o.divided(append(list, readings...)), nil
}

// divided gives the pairs of o.Later their scenarios.
func (o *Options) divided(list []scenario.Scenario) (cases []Case) {
	whole := o.Full || len(o.Interpreted) > 0
	for i := range list {
		turns := map[string]int{} // of pairs of the same stacks
		for _, pair := range o.Later {
			stacks := pair[0] + " " + pair[1]
			if pair[0] > pair[1] {
				stacks = pair[1] + " " + pair[0]
			}
			turn := turns[stacks]
			turns[stacks]++
			if pair[0] == pair[1] || whole && slices.Contains(pair[:], interpreterName) || turn == i%2 {
				cases = append(cases, Case{pair[0], pair[1], list[i]})
			}
		}
	}
	return cases
}

// laterReadings has each reading that is not the default, one at a time, in the combination in
// which most ends attest, and twice where they can; of many profiles, only the first with that switch and reading.
func laterReadings(o *Options, combinations []combination) (list []scenario.Scenario, err error) {
	seen := map[string]bool{}
	known := map[string]bool{}
	for i := range combinations {
		c := &combinations[i]
		if known[c.Profile] {
			continue
		}
		known[c.Profile] = true
		p, err := c.Load()
		if err != nil {
			return nil, err
		}
		for _, r := range p.Readings {
			for _, option := range r.Options {
				key := r.Switch + "=" + option
				if option == r.Default || seen[key] && !o.Full && len(o.Compiled) > fewProfiles {
					continue
				}
				seen[key] = true
				under, err := underReading(&c.Scenario, r.Switch, option)
				if err != nil {
					return nil, err
				}
				for _, u := range widestLater(under) {
					turn := len(list)
					s := u.Scenario
					s.Suite, s.Group = o.Suites[turn%len(o.Suites)], o.Groups[turn%len(o.Groups)]
					s.HelloRetry = turn%2 == 1
					s.Reattest = u.repeats
					s.KeyUpdates = turn % (mostUpdates + 1)
					s.ExtendedKeyUpdate = s.KeyUpdates > 0
					list = append(list, s)
				}
			}
		}
	}
	return list, nil
}

// widestLater are, of each model, the combination with the most attesters.
func widestLater(list []combination) (widest []combination) {
	for i := range list {
		at := slices.IndexFunc(widest, func(c combination) bool { return c.Model == list[i].Model })
		switch {
		case list[i].phase == profile.PhaseHandshake:
		case at < 0:
			widest = append(widest, list[i])
		case len(list[i].Attester.Roles()) > len(widest[at].Attester.Roles()):
			widest[at] = list[i]
		}
	}
	return widest
}
