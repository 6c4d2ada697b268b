package peers

import (
	"fmt"
	"strconv"

	"attls"
	"attls/attestation/roots"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// rooted are the cases of Options.Roots. What a profile cannot carry is left out.
func rooted(o *Options, combinations []combination) ([]Case, error) {
	var cases []Case
	for _, name := range o.Roots {
		if _, err := roots.All().Combined(name); err != nil {
			return nil, err
		}
		for _, pair := range o.Pairs {
			for _, c := range combinations {
				s := c.Scenario
				if len(s.Attester.Roles()) == 0 {
					continue
				}
				s.RootOfTrust = name
				if _, _, err := rootScheme(&s); err == nil {
					cases = append(cases, between(pair, s))
				}
			}
		}
	}
	return cases, nil
}

// ownKeys is the limit of a program that attests with a key in a file, where the root of
// trust holds the keys of handshakes itself. Such Evidence it only judges.
func ownKeys(s *scenario.Scenario, r attls.Role) string {
	f, err := roots.All().Combined(s.RootOfTrust)
	if s.RootOfTrust == "" || err != nil || !f.OwnKeys || !s.Attester.Has(r) {
		return ""
	}
	return fmt.Sprintf("the key of the handshake is in a file here, and %s attests only keys that it holds itself; this "+
		"program only judges it", s.RootOfTrust)
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
