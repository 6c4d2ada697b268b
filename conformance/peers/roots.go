package peers

import (
	"fmt"
	"strconv"

	"attls/attestation/roots"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// rooted are the cases of Options.Roots. What a profile cannot carry is left out.
func rooted(o *Options, combinations []combination) ([]Case, error) {
	var cases []Case
	for _, name := range o.Roots {
		f, err := roots.All().Combined(name)
		if err != nil {
			return nil, err
		}
		if f.OwnKeys {
			return nil, fmt.Errorf("the emulator of %s has keys of its own in each program, which the other one does not "+
				"trust; write its files with \"attls evidence init\" and run attls server and client", name)
		}
		for _, pair := range o.Pairs {
			for _, c := range combinations {
				s := c.Scenario
				if len(s.Attester.Roles()) == 0 {
					continue
				}
				s.RootOfTrust = name
				if _, _, err := rootScheme(&s); err == nil {
					cases = append(cases, Case{pair[0], pair[1], s})
				}
			}
		}
	}
	return cases, nil
}

// rootScheme is the scheme of a scenario with a root of trust.
func rootScheme(s *scenario.Scenario) (scheme profile.Scheme, size int, err error) {
	f, err := roots.All().Combined(s.RootOfTrust)
	if err != nil {
		return scheme, 0, err
	}
	p, err := s.Load()
	if err != nil {
		return scheme, 0, err
	}
	model, err := scenario.ParseModel(s.Model)
	if err != nil {
		return scheme, 0, err
	}
	kind, err := scenario.ParseCredential(s.Credential)
	if err != nil {
		return scheme, 0, err
	}
	return scenario.RootScheme(p, f, s.Attester, model, kind)
}

// evidenceType is what a program's flag --format is given: the type of the Evidence of
// a scenario with a root of trust; empty where the program's own will do.
func evidenceType(s *scenario.Scenario) (string, error) {
	if s.RootOfTrust == "" || s.Model != claims.ModelEvidence {
		return "", nil
	}
	scheme, _, err := rootScheme(s)
	if err != nil {
		return "", err
	}
	if scheme.Format.MediaType != "" {
		return scheme.Format.MediaType, nil
	}
	return strconv.Itoa(int(scheme.Format.ContentFormat)), nil
}
