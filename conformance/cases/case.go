package cases

import (
	"errors"
	"fmt"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/internal/rule"
)

// Case is one named check of one rule under one profile: a fault that must be
// rejected, by whom, at which message and with which alert, or a connection
// that must go well and in which one end must have behaved as it should.
type Case struct {
	Name     string            `json:"name"`
	Rule     string            `json:"rule"` // its id; "": none that can be turned off
	Does     string            `json:"does"`
	Fault    *Fault            `json:"fault,omitempty"` // nil: a connection that is looked at
	Scenario scenario.Scenario `json:"scenario"`

	p     *profile.Profile
	apply func(*scenario.Setup)
	judge func(*scenario.Result) error
}

// Cases lists every case of a profile; nil: those of TLS 1.3 itself.
func Cases(p *profile.Profile) []Case {
	if p == nil {
		return tlsCases()
	}
	list := ownCases(p, allFaults(), nil)
	list = append(list, readingCases(p, scenario.Scenario{Profile: p.ID, Compiled: p})...)
	return append(list, otherCases(p, list)...)
}

// ownCases are those of a profile as it is: faults out of a table and checks. A
// name that is known already is passed over.
func ownCases(p *profile.Profile, faults []faultKind, known map[string]bool) []Case {
	open := scenario.Scenario{Profile: p.ID, Compiled: p, Readings: departures(p)}
	var list []Case
	for i := range faults {
		if known[faults[i].title()] {
			continue
		}
		f, ok := faults[i].fault(p, open)
		if !ok || f.rule == "" {
			continue // not possible, or a fault of our own, which no rule of a text is about
		}
		list = append(list, f.asCase(p))
	}
	for i := range checks {
		if known[checks[i].name] {
			continue
		}
		if c, ok := checks[i].find(p, open); ok {
			list = append(list, c)
		}
	}
	return list
}

// otherCases are those that only another reading of one switch makes room for.
func otherCases(p *profile.Profile, have []Case) []Case {
	known := map[string]bool{}
	for i := range have {
		known[have[i].Name] = true
	}
	var list []Case
	for _, r := range p.Readings {
		for _, option := range r.Options {
			other, err := p.Reread(r.Switch, option)
			if option == r.Chosen || err != nil {
				continue
			}
			for _, c := range ownCases(other, protocolFaults, known) {
				c.Name += "@" + r.Switch + "=" + option
				list = append(list, c)
			}
		}
	}
	return list
}

// departures are the readings of a profile that are not its defaults.
func departures(p *profile.Profile) map[string]string {
	var m map[string]string
	for _, r := range p.Readings {
		if r.Chosen != r.Default {
			if m == nil {
				m = map[string]string{}
			}
			m[r.Switch] = r.Chosen
		}
	}
	return m
}

// asCase is a fault as a case of a profile; nil: of TLS 1.3 itself.
func (f *Fault) asCase(p *profile.Profile) Case {
	return Case{Name: f.Name, Rule: string(f.rule), Does: f.Does, Fault: f, Scenario: f.Scenario, p: p, apply: f.apply, judge: f.Judge}
}

// NotRunError says that a case could not be run at all.
type NotRunError struct{ Err error }

func (e *NotRunError) Error() string { return "it could not be run: " + e.Err.Error() }
func (e *NotRunError) Unwrap() error { return e.Err }

// Run runs the case in memory. It is nil when everything went as expected.
func (c *Case) Run() error { return c.run((*scenario.Setup).RunInMemory) }

// Prove shows that the case checks its rule: it runs the case as it is, and again with
// the rule turned off at both ends, where it must fail. how says how it failed then;
// an error says what is wrong.
func (c *Case) Prove() (how string, err error) {
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("it fails with the rule in force: %w", err)
	}
	err = c.run(func(s *scenario.Setup) (*scenario.Result, error) {
		result, err := rule.RunInMemory(s, rule.Rule(c.Rule))
		r, _ := result.(*scenario.Result)
		return r, err
	})
	var not *NotRunError
	switch {
	case err == nil:
		return "", errors.New("it passes without the rule")
	case errors.As(err, &not):
		return "", err
	}
	return err.Error(), nil
}

func (c *Case) run(connect func(*scenario.Setup) (*scenario.Result, error)) error {
	s := c.Scenario
	set, err := scenario.NewSetup(c.p, &s)
	if err != nil {
		return &NotRunError{err}
	}
	if c.apply != nil {
		c.apply(set)
	}
	r, err := connect(set)
	if err != nil {
		return &NotRunError{err}
	}
	r.Profile = c.p // which names the alerts
	return c.judge(r)
}

// attempted is a check as it is written down for one circumstance: what changes
// before the run, and what must hold after it.
type attempted struct {
	apply func(*scenario.Setup)
	judge func(*scenario.Result) error
}

// check is one row of the table of checks: a connection in which one end must be
// seen to obey a rule. try returns nil where the profile leaves no room for it.
type check struct {
	name string
	rule rule.Rule
	does string
	try  func(c *circumstance) *attempted
}

// find takes the first combination in which the check is possible.
func (k *check) find(p *profile.Profile, open scenario.Scenario) (Case, bool) {
	for _, combination := range scenario.Combinations(p) {
		if combination.Reason != "" {
			continue
		}
		c, s := inCombination(p, open, combination)
		if a := k.try(c); a != nil {
			return Case{Name: k.name, Rule: string(k.rule), Does: k.does, Scenario: *s, p: p, apply: a.apply, judge: a.judge}, true
		}
	}
	return Case{}, false
}

// inCombination is the circumstance of a scenario in one combination.
func inCombination(p *profile.Profile, s scenario.Scenario, combination scenario.Combination) (*circumstance, *scenario.Scenario) {
	s.Attester, s.Model, s.Credential = combination.Attester, combination.Model, combination.Credential
	c := &circumstance{p: p, s: &s, attester: combination.Attester.Roles()[0]}
	c.model, _ = scenario.ParseModel(combination.Model)
	c.kind, _ = scenario.ParseCredential(combination.Credential)
	return c, c.s
}

// readingPrefix begins the names of faults in which an attester reads the text
// otherwise.
const readingPrefix = "binder/"

// ReadingFaults are the faults in which an attester computes the binder under
// another reading of the text. A scenario that sets attester, model or credential
// keeps only those that fit.
func ReadingFaults(p *profile.Profile, s scenario.Scenario) []Fault {
	var list []Fault
	for _, c := range readingCases(p, s) {
		list = append(list, *c.Fault)
	}
	return list
}

// findReadingFault looks up one of ReadingFaults.
func findReadingFault(p *profile.Profile, s scenario.Scenario, name string) (*Fault, error) {
	for _, f := range ReadingFaults(p, s) {
		if f.Name == name {
			return &f, nil
		}
	}
	return nil, fmt.Errorf("nothing called %q can be provoked under %s", name, p.ID)
}

// readingCases are the connections in which the two ends read the binder in
// different ways, each of which has to be noticed.
func readingCases(p *profile.Profile, open scenario.Scenario) []Case {
	var list []Case
	for _, r := range p.Readings {
		for _, option := range r.Options {
			if option == r.Chosen || !p.DecidesBinder(r.Switch) {
				continue
			}
			other, err := p.Reread(r.Switch, option)
			if err != nil {
				continue
			}
			if c, ok := readingCase(p, other, open, r.Switch, option); ok {
				list = append(list, c)
			}
		}
	}
	return list
}

// variant is what may have to happen for two readings to differ.
type variant struct {
	retry bool // a HelloRetryRequest
	asks  bool // a CertificateRequest
}

// readingCase finds a combination in which the attester's other reading of a
// switch gives another binder.
func readingCase(p, other *profile.Profile, open scenario.Scenario, name, option string) (Case, bool) {
	for _, combination := range scenario.Combinations(p) {
		if combination.Reason != "" || combination.Attester == scenario.AttestBoth || !open.LeavesOpen(combination) {
			continue
		}
		for _, v := range []variant{{}, {retry: true}, {asks: true}} {
			tried := open
			tried.HelloRetry = open.HelloRetry || v.retry
			c, s := inCombination(p, tried, combination)
			mine, theirs := p.Binder.Challenge[c.model][c.kind], other.Binder.Challenge[c.model][c.kind]
			if mine == "" || theirs == "" {
				continue
			}
			f := Fault{Name: readingPrefix + name + "=" + option, Failure: attls.FailBinderMismatch, rule: rule.BinderCompared,
				Does:     fmt.Sprintf("The attester computes the binder under the reading %s=%s.", name, option),
				Scenario: *s, rejects: c.attester.Peer(), at: carrierMessage(c.credential())}
			f.apply = func(s *scenario.Setup) {
				s.Ends[c.attester].Config.Profile = s.Profile.WithBinder(other)
				if v.asks {
					s.Ends[attls.RoleServer].Config.ClientAuthentication = handshake.OptionalClientCertificate
				}
			}
			f.expect(p, p.AlertFor(f.Failure))
			f.Scenario.Fail = f.Name
			if k := f.asCase(p); k.differs(c.attester) {
				return k, true
			}
		}
	}
	return Case{}, false
}

// differs reports whether the two ends get different binders.
func (c *Case) differs(attester attls.Role) bool {
	s := c.Scenario
	set, err := scenario.NewSetup(c.p, &s)
	if err != nil {
		return false
	}
	c.apply(set)
	r, err := set.RunInMemory()
	if err != nil {
		return false
	}
	a, b := challengeOf(&r.Claims[0], attester), challengeOf(&r.Claims[1], attester)
	return a != "" && b != "" && a != b
}

func challengeOf(c *claims.Claims, attester attls.Role) string {
	for i := range c.Attestation {
		if c.Attestation[i].Attester == attester.String() {
			return c.Attestation[i].Challenge
		}
	}
	return ""
}
