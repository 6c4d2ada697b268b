package peers

import (
	"fmt"
	"slices"

	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// fewProfiles is up to how many profiles a selection of their cases with an
// interpreter holds every pair of values of two dimensions. Of more, it holds each
// combination once, and the other dimensions take turns.
const fewProfiles = 2

// interpreted are the cases of stacks of which one interprets compiled profiles: each
// combination that the profiles allow, and each reading of their switches that is not
// the default.
func interpreted(o *Options, grid []combination) ([]Case, error) {
	if len(o.Interpreted) == 0 {
		return nil, nil
	}
	everything, err := allowed(o.Compiled)
	if err != nil {
		return nil, err
	}
	all, _ := apart(everything) // later has the others
	// Under the other profiles of the grid itself, an interpreter takes part in it.
	combinations := slices.DeleteFunc(slices.Clone(all), func(c combination) bool {
		return !byHand(c.Profile) && slices.ContainsFunc(grid, func(g combination) bool { return g.Profile == c.Profile })
	})
	var cases []Case
	switch {
	case o.Full:
		cases = everyInterpreted(o, combinations)
	case len(o.Compiled) <= fewProfiles:
		of := *o
		of.Pairs = o.Interpreted
		for _, p := range of.cover(points(&of, combinations)) {
			cases = append(cases, of.at(p, combinations))
		}
	default:
		cases = turns(o, combinations)
	}
	readings, err := otherReadings(o, all)
	return append(append(cases, readings...), doubled(o, combinations)...), err
}

// brief are the cases of Options.Brief.
func brief(o *Options, combinations []combination) (cases []Case) {
	for i := range combinations {
		for _, pair := range o.Interpreted {
			cases = append(cases, between(pair, combinations[i].Scenario))
		}
	}
	return cases
}

// byHand reports whether our mbedTLS peer has a profile as a program of its own.
func byHand(name string) bool { return name != "" && slices.Contains(mbedTLSProfiles, name) }

// between is a scenario between two stacks. The interpreter takes the place of our
// mbedTLS peer under a profile that nobody has written for that by hand.
func between(pair [2]string, s scenario.Scenario) Case {
	for i, name := range pair {
		if name == (MbedTLS{}).Name() && s.Profile != "" && !byHand(s.Profile) {
			pair[i] = interpreterName
		}
	}
	return Case{pair[0], pair[1], s}
}

// everyInterpreted has every combination with and without a HelloRetryRequest and with
// each use of a ticket; suites, groups and ways of cutting take turns.
func everyInterpreted(o *Options, combinations []combination) (cases []Case) {
	turn := 0
	for _, pair := range o.Interpreted {
		for i := range combinations {
			for _, r := range o.Resumptions {
				for _, retry := range []bool{false, true} {
					if !combinations[i].resumes(r, retry) {
						continue
					}
					s := combinations[i].turned(o, pair, turn)
					s.HelloRetry, s.Resumption = retry, r
					cases = append(cases, between(pair, s))
					turn++
				}
			}
		}
	}
	return cases
}

// turns has every combination once for each pair; the other dimensions take turns.
func turns(o *Options, combinations []combination) (cases []Case) {
	for k, pair := range o.Interpreted {
		for i := range combinations {
			turn := i + k
			s := combinations[i].turned(o, pair, turn)
			s.HelloRetry = turn%2 == 1
			if r := o.Resumptions[turn/2%len(o.Resumptions)]; combinations[i].resumes(r, s.HelloRetry) {
				s.Resumption = r
			}
			cases = append(cases, between(pair, s))
		}
	}
	return cases
}

// turned is the combination with the suite, the group and the way of cutting whose turn
// it is.
func (c *combination) turned(o *Options, pair [2]string, turn int) scenario.Scenario {
	s := c.Scenario
	s.Suite, s.Group = o.Suites[turn%len(o.Suites)], o.Groups[turn%len(o.Groups)]
	if n := len(o.Splittings); n > 0 && c.fragmentable && slices.Contains(pair[:], (InProcess{}).Name()) {
		s.Fragment, s.Split = o.Splittings[turn%n].Fragment, o.Splittings[turn%n].Split
	}
	return s
}

// otherReadings has each reading that is not the default, one at a time: with Full in
// each combination that it allows and for each pair of stacks, otherwise in one, and
// the pairs take turns; of many profiles, only the first with that switch and reading. There is a
// HelloRetryRequest, since readings differ about it.
func otherReadings(o *Options, combinations []combination) (cases []Case, err error) {
	turn := 0
	seen := map[string]bool{}
	for _, name := range o.Compiled {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(combinations, func(c combination) bool { return c.ProfileName() == p.ID })
		if at < 0 {
			continue
		}
		for _, r := range p.Readings {
			for _, option := range r.Options {
				inherited := seen[r.Switch+"="+option] && !o.Full && len(o.Compiled) > fewProfiles
				if option == r.Default || inherited {
					continue
				}
				seen[r.Switch+"="+option] = true
				list, err := underReading(&combinations[at].Scenario, r.Switch, option)
				if err != nil {
					return nil, err
				}
				for i := range list {
					for k, pair := range o.Interpreted {
						if !o.Full && (i+k)%len(o.Interpreted) != turn%len(o.Interpreted) {
							continue
						}
						s := list[i].turned(o, pair, turn)
						s.HelloRetry = true
						cases = append(cases, between(pair, s))
						if !o.Full {
							break
						}
					}
					if !o.Full {
						break
					}
				}
				turn++
			}
		}
	}
	return cases, nil
}

// underReading are the combinations that a profile allows under one reading.
func underReading(of *scenario.Scenario, name, option string) (list []combination, err error) {
	s := scenario.Scenario{Profile: of.Profile, Called: of.Called, Readings: map[string]string{name: option}}
	p, err := s.Load()
	if err != nil {
		return nil, fmt.Errorf("%s with %s=%s: %w", s.ProfileName(), name, option, err)
	}
	for _, c := range scenario.Combinations(p) {
		if c.Reason == "" {
			list = append(list, combine(p, &s, c))
		}
	}
	return list, nil
}

// doubled are the cases in which the interpreter meets the peer that has the same
// revision written by hand: two readings of one text.
func doubled(o *Options, combinations []combination) (cases []Case) {
	for k, pair := range o.Doubled {
		for i := range combinations {
			if !byHand(combinations[i].Profile) {
				continue
			}
			for _, retry := range []bool{false, true} {
				for turn, r := range o.Resumptions {
					if !combinations[i].resumes(r, retry) || !o.Full && (turn != (i+k)%len(o.Resumptions) || retry != (i%2 == 1)) {
						continue
					}
					s := combinations[i].turned(o, pair, i+turn)
					s.HelloRetry, s.Resumption = retry, r
					cases = append(cases, between(pair, s))
				}
			}
		}
	}
	return cases
}
