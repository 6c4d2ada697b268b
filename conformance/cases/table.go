package cases

import (
	"fmt"
	"slices"
	"sync"

	"attls/attestation"
	"attls/attestation/roots"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/extensions/schema"
	"attls/internal/rule"
)

// Table is a list of rows. A program adds rows of its own to those of this package, and gives
// the table, or its method Find, to whatever runs them.
type Table struct{ rows []Row }

// own are the rows of this package.
var own = sync.OnceValue(func() *Table {
	t := &Table{}
	if err := t.Add(slices.Concat(protocolFaults, certificateFaults, nonceFaults, flagFaults, spoilFaults(), checks, laterRows, streamRows, frameRows, updateRows, []Row{otherBinder}, tlsRows())...); err != nil {
		panic("cases: " + err.Error()) // a mistake in this package, which its tests find
	}
	for i := range t.rows {
		r := &t.rows[i]
		r.Either = slices.Contains(aboutEither, r.ID)
		if !r.Plain && slices.Contains(aboutOffers, rule.Rule(r.Rule)) {
			r.Try = negotiated(r.Try)
		}
	}
	return t
})

// aboutOffers are the rules on what is offered and chosen.
var aboutOffers = []rule.Rule{rule.OfferProducible, rule.OfferAppraisable, rule.OfferOmitsEmpty, rule.OfferOrder,
	rule.ChooseOrder, rule.ChooseCommon, rule.ChooseWanted, rule.ChooseAnswered, rule.UnknownIgnored}

// aboutEither are the rows that are about attestation in the handshake and in exported
// authenticators alike, with all bad payloads.
var aboutEither = func() []string {
	list := []string{"misplaced", "missing", "second-entry", "verifier-unreachable", "verdict-status", "verdict-expired",
		"verdict-key", "attester-unavailable", binderReading, "credential-client", "credential-server", "credential-both",
		"bound-evidence"}
	for i := range attestation.Spoilages {
		list = append(list, ID(attestation.Spoilages[i].Kind))
	}
	return list
}()

// negotiated leaves out profiles under which the attester attests without a negotiation.
func negotiated(try func(*Context) *Change) func(*Context) *Change {
	return func(c *Context) *Change {
		if c.always() {
			return nil
		}
		return try(c)
	}
}

// All returns a table of the rows of this package, to which rows can be added.
func All() *Table { return &Table{rows: slices.Clone(own().rows)} }

// Find looks up a row of this package: it is the Find of All.
func Find(p *profile.Profile, s scenario.Scenario, name string) (scenario.Injection, error) {
	return own().Find(p, s, name)
}

// Add adds rows. It refuses those that lack something, and ids that the table has.
func (t *Table) Add(rows ...Row) error {
	list := slices.Clone(t.rows)
	known := map[string]bool{}
	for i := range list {
		known[list[i].ID] = true
	}
	for _, r := range rows {
		r.Expect = plainly(r.Expect)
		if err := r.check(); err != nil {
			return err
		}
		if known[r.ID] {
			return fmt.Errorf("the table has a row called %s already", r.ID)
		}
		known[r.ID] = true
		list = append(list, r)
	}
	t.rows = list
	return nil
}

// Rows returns the rows in their order.
func (t *Table) Rows() []Row { return slices.Clone(t.rows) }

// Row returns the row of an id, which may be written as in earlier versions.
func (t *Table) Row(id string) (Row, bool) {
	id = ID(id)
	if i := slices.IndexFunc(t.rows, func(r Row) bool { return r.ID == id }); i >= 0 {
		return t.rows[i], true
	}
	return Row{}, false
}

// Faults lists what can be injected into a scenario under a profile (nil: TLS 1.3): what must
// be rejected, and what must be accepted. A scenario that leaves attester, model or credential
// open lets each row choose; one that sets them keeps only the rows that fit.
func (t *Table) Faults(p *profile.Profile, s scenario.Scenario) []Case {
	var list []Case
	for i := range t.rows {
		if r := &t.rows[i]; r.Expect != (Observe{}) {
			list = append(list, r.cases(p, s)...)
		}
	}
	return list
}

// cases are those of a row under a profile: none, one, or one for each reading.
func (r *Row) cases(p *profile.Profile, s scenario.Scenario) (list []Case) {
	if r.Plain != (p == nil) || !r.Plain && !r.about(p) {
		return nil
	}
	if !r.PerReading {
		if c := r.in(p, s, nil); c != nil {
			list = append(list, *c)
		}
		return list
	}
	for _, reading := range readings(p) {
		if c := r.in(p, s, &reading); c != nil {
			list = append(list, *c)
		}
	}
	return list
}

// about reports whether a profile has slots of the phase that a row is about.
func (r *Row) about(p *profile.Profile) bool {
	switch {
	case r.Later:
		return len(p.Later) > 0
	case r.Either:
		return len(p.Slots)+len(p.Later) > 0
	}
	return len(p.Slots) > 0
}

// rereadings are those of profiles that are kept, by profile.
var rereadings sync.Map

// readings are those of a profile that are not in force and can be.
func readings(p *profile.Profile) (list []Reading) {
	if known, ok := rereadings.Load(p); ok {
		return known.([]Reading)
	}
	if scenario.Kept(p) {
		defer func() { rereadings.Store(p, slices.Clip(list)) }()
	}
	for _, r := range p.Readings {
		for _, option := range r.Options {
			if option == r.Chosen {
				continue
			}
			if other, err := p.Reread(r.Switch, option); err == nil {
				list = append(list, Reading{r.Switch, option, other})
			}
		}
	}
	return list
}

// Cases lists every case of a profile; nil: those of TLS 1.3 itself. A case whose id ends in
// @SWITCH=VALUE and whose row is not PerReading is one that only that reading makes room for.
func (t *Table) Cases(p *profile.Profile) []Case {
	if p == nil {
		return t.under(nil, nil)
	}
	list := t.under(p, nil)
	known := map[string]bool{}
	for i := range list {
		known[list[i].ID] = true
	}
	for _, r := range readings(p) {
		for _, c := range t.under(r.Profile, known) {
			c.ID += "@" + r.String()
			list = append(list, c)
		}
	}
	return list
}

// under are the cases of a profile as it is, without the readings if those of another one are
// known already. A case under a profile about which no text has a rule is left out: it is a
// fault of our own.
func (t *Table) under(p *profile.Profile, known map[string]bool) (list []Case) {
	var s scenario.Scenario
	if p != nil {
		s = scenario.Scenario{Profile: p.ID, Compiled: p, Readings: departures(p)}
	}
	for i := range t.rows {
		r := &t.rows[i]
		if known != nil && (known[r.ID] || r.PerReading) {
			continue
		}
		for _, c := range r.cases(p, s) {
			if r.Plain || c.Rule != "" {
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

// Find implements scenario.Finder: it looks up what can be injected, as Fault does.
func (t *Table) Find(p *profile.Profile, s scenario.Scenario, name string) (scenario.Injection, error) {
	c, err := t.Fault(p, s, name)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Fault returns what can be injected under a profile (nil: TLS 1.3), by its id or by its
// failure, whose subject may be left out: binder, attestation.binder_mismatch,
// binder_mismatch. A name may be written as in earlier versions.
func (t *Table) Fault(p *profile.Profile, s scenario.Scenario, name string) (*Case, error) {
	under := "in TLS 1.3 without a profile"
	if p != nil {
		under = "under " + p.ID
	}
	open := s
	open.Attester, open.Model, open.Credential = "", "", ""
	var other *Case
	var known *Row
	for _, r := range t.named(name) {
		known = r
		if r.Plain != (p == nil) || r.Expect == (Observe{}) {
			continue
		}
		for _, c := range r.cases(p, s) {
			if !r.PerReading || c.ID == ID(name) {
				return &c, nil
			}
		}
		if other == nil && p != nil && !r.PerReading {
			other = r.in(p, open, nil)
		}
	}
	switch {
	case other != nil:
		return nil, fmt.Errorf("%s needs another combination than the one asked for, "+
			"such as attester %s, model %s, credential %s", other.ID, other.Scenario.Attester, other.Scenario.Model, other.Scenario.Credential)
	case known == nil:
		return nil, fmt.Errorf("no fault is called %q%s", name, meant(ID(name), t.names(p, s)))
	case known.Expect == (Observe{}):
		return nil, fmt.Errorf("%s is seen of a sound connection, and nothing can be made to fail; "+
			`"attls spec --prove" runs it`, known.ID)
	}
	if known.PerReading {
		under += meant(ID(name), t.names(p, s))
	}
	if s.Emulates() {
		software := s
		software.RootOfTrust = ""
		if c, err := t.Fault(p, software, name); err == nil {
			return nil, fmt.Errorf("%s cannot be provoked with the root of trust %s%s; with the software root of trust it can",
				c.ID, s.RootOfTrust, unprovoked(c.ID, s.RootOfTrust))
		}
	}
	return nil, fmt.Errorf("%s cannot be provoked %s", ID(name), under)
}

// unprovoked is the reason why Evidence of a root of trust cannot be bad in a way, where
// it is known.
func unprovoked(id, root string) string {
	f, err := roots.All().Combined(root)
	switch {
	case err != nil || id != "key":
		return ""
	case !f.Key.Named:
		return ": " + f.Key.How
	case f.OwnKeys:
		return ": it attests only keys that it holds itself"
	}
	return ""
}

// named are the rows that a name can mean: the one of that id, or those of that failure.
func (t *Table) named(name string) (list []*Row) {
	id := ID(name)
	for i := range t.rows {
		r := &t.rows[i]
		if r.ID == id || r.PerReading && len(id) > len(r.ID) && id[:len(r.ID)+1] == r.ID+"@" {
			list = append(list, r)
		}
	}
	if len(list) > 0 {
		return list
	}
	for i := range t.rows {
		r := &t.rows[i]
		e, rejects := r.Expect.(Reject)
		if failure := ID(string(e.Failure)); rejects && !r.Plain && (failure == ID(name) || failure == ID("attestation."+name)) {
			list = append(list, r)
		}
	}
	return list
}

// Knows reports whether a name is that of something that can be injected.
func (t *Table) Knows(name string) bool { return len(t.named(name)) > 0 }

// names are the ids of what can be injected.
func (t *Table) names(p *profile.Profile, s scenario.Scenario) []string {
	s.Attester, s.Model, s.Credential = "", "", ""
	var list []string
	for _, c := range t.Faults(p, s) {
		list = append(list, c.ID)
	}
	return list
}

// meant is what to say of the known name that is nearest to one that is not.
func meant(name string, known []string) string {
	if near := schema.Nearest(name, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}
