package cases

import (
	"fmt"
	"regexp"
	"strings"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/rule"
)

// Row is one thing that an end can do wrong or unusually, or that must be seen of a sound
// connection: a fault, a tolerance, another reading of a text, or a check. What it needs of a
// scenario, and what it changes, Try says.
type Row struct {
	// ID is in kebab-case and unique in a table.
	ID string
	// Rule is the id of the rule that the row checks, one of Rules; "": none that can be
	// turned off.
	Rule string
	// Does says in one sentence what is done or seen.
	Does string
	// Plain is a row of TLS 1.3 itself, without a profile; the others are about a profile.
	Plain bool
	// Later is a row about attestation in exported authenticators, Either one about attestation
	// wherever it is; the others are about the handshake.
	Later, Either bool
	// PerReading makes the row one for each other reading of a switch of the profile: Try
	// gets it in Context.Reading, and the id of the case ends in @SWITCH=VALUE.
	PerReading bool
	// Expect is what must follow: Reject, Accept or Observe.
	Expect Expect
	// Try returns what to change in a scenario; nil where the profile, or the combination of
	// attester, model and credential, leaves no room for the row. A row about a profile is
	// tried in each combination that the profile allows, until there is a change.
	Try func(*Context) *Change
}

// Expect is what must follow: Reject, Accept or Observe.
type Expect interface{ expect() }

// Reject says that the end By ends the handshake with Failure, at the message At, with the alert that
// the profile, or attls.DefaultAlert, gives the failure.
type Reject struct {
	// Failure of a Change's Reject may be left out: it is the row's then.
	Failure attls.Failure
	By      attls.Role
	At      attls.MessageKind // KindNone: at a record
	// AnyAlert says that the text names no alert; the one given is ours.
	AnyAlert bool
	// MayPass says that the text allows the receiver to omit the check.
	MayPass bool
}

// Accept says that the end By goes on as if nothing were unusual. Every attester of the scenario is
// accepted, unless Unattested says that nobody attests.
type Accept struct {
	By         attls.Role
	Unattested bool
}

// Observe leaves it to Change.Judge to say what must be seen.
type Observe struct{}

func (Reject) expect()  {}
func (Accept) expect()  {}
func (Observe) expect() {}

// plainly is an expectation without the pointer to it, which a program can write as well.
func plainly(e Expect) Expect {
	switch p := e.(type) {
	case *Reject:
		if p != nil {
			return *p
		}
	case *Accept:
		if p != nil {
			return *p
		}
	case *Observe:
		return Observe{}
	default:
		return e
	}
	return nil
}

// Context is what a row is tried in.
type Context struct {
	Profile *profile.Profile // nil: TLS 1.3 without a profile
	// Scenario is the one at hand, with a combination of attester, model and credential.
	// Try may change what it leaves open, such as HelloRetry.
	Scenario *scenario.Scenario
	Attester attls.Role // the first that attests
	Model    profile.Model
	Kind     profile.CredentialKind
	Reading  *Reading // of a row PerReading; nil otherwise

	several bool // groups in ClientHello; otherwise one to a server, so that it asks for no other
}

// Reading is one reading of a switch that is not in force.
type Reading struct {
	Switch, Option string
	Profile        *profile.Profile // under that reading
}

func (r *Reading) String() string { return r.Switch + "=" + r.Option }

// Change is what a row does to a scenario.
type Change struct {
	// Expect is what must follow here; nil: what the row says.
	Expect Expect
	// Rule is the id of the rule that is checked here; "": the row's.
	Rule string
	// AtReceiver says that the end that must reject or accept is itself changed, which
	// another stack cannot be.
	AtReceiver bool
	// Apply changes the ends before they start; nil: nothing.
	Apply func(*scenario.Setup)
	// Judge says why a run was not as expected, besides what Expect says; nil: nothing.
	Judge func(*scenario.Result) error
}

// ID is the id that a name of a row is written as today: in earlier versions ids had
// underscores and dots, and other readings of the binder began with "binder/".
func ID(name string) string {
	if rest, ok := strings.CutPrefix(name, "binder/"); ok {
		return binderReading + "@" + rest
	}
	id, reading, ok := strings.Cut(name, "@")
	id = strings.NewReplacer("_", "-", ".", "-").Replace(id)
	if ok {
		id += "@" + reading
	}
	return id
}

// injected is where the name of a scenario or a run names what is injected.
var injected = regexp.MustCompile(`(fail-|tolerate-)([a-z0-9_./@=-]+)`)

// InName writes as today the ids in the name of a scenario or a run (scenario.Scenario.String)
// or in a part of one, if only an id.
func InName(name string) string {
	if m := injected.FindStringSubmatchIndex(name); m != nil {
		return name[:m[4]] + ID(name[m[4]:m[5]]) + name[m[5]:]
	}
	if strings.ContainsAny(name, "/ ") && !strings.HasPrefix(name, "binder/") {
		return name
	}
	return ID(name)
}

// Rules are the ids of the rules that a row can name.
func Rules() []string {
	all := rule.All()
	list := make([]string, len(all))
	for i, r := range all {
		list[i] = string(r)
	}
	return list
}

var kebab = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// check refuses a row that lacks something.
func (r *Row) check() error {
	switch {
	case !kebab.MatchString(r.ID):
		return fmt.Errorf("the id %q is not in kebab-case: lower-case letters and digits in words joined by hyphens", r.ID)
	case r.Rule != "" && !rule.Known(rule.Rule(r.Rule)):
		return fmt.Errorf("%s: no rule is called %q%s", r.ID, r.Rule, meant(r.Rule, Rules()))
	case r.Does == "":
		return fmt.Errorf("%s: Does is empty", r.ID)
	case r.Try == nil:
		return fmt.Errorf("%s: Try is nil", r.ID)
	case r.Plain && r.PerReading:
		return fmt.Errorf("%s: TLS 1.3 has no switches; Plain and PerReading exclude each other", r.ID)
	}
	switch e := r.Expect.(type) {
	case nil:
		return fmt.Errorf("%s: Expect is nil; it is Reject, Accept or Observe", r.ID)
	case Reject:
		if e.Failure == "" {
			return fmt.Errorf("%s: Reject names no failure", r.ID)
		}
	}
	return nil
}

// in is the row as a case of a profile, nil for TLS 1.3, in a scenario; nil where it is not
// possible.
func (r *Row) in(p *profile.Profile, s scenario.Scenario, reading *Reading) *Case {
	if r.Plain {
		s.Attester, s.Model, s.Credential = scenario.AttestNone, "", ""
		return r.tried(&Context{Scenario: &s})
	}
	for _, combination := range s.Combinations(p) {
		if combination.Reason != "" || !s.LeavesOpen(combination) {
			continue
		}
		tried := s
		tried.Attester, tried.Model, tried.Credential = combination.Attester, combination.Model, combination.Credential
		c := &Context{Profile: p, Scenario: &tried, Attester: combination.Attester.Roles()[0], Reading: reading}
		c.Model, _ = scenario.ParseModel(combination.Model)
		c.Kind, _ = scenario.ParseCredential(combination.Credential)
		if !r.Later && c.slot() < 0 && !(r.Either && c.laterSlot() >= 0) {
			continue // it attests in a phase that the row is not about
		}
		if found := r.tried(c); found != nil {
			return found
		}
	}
	return nil
}

// tried is the row as a case in one context.
func (r *Row) tried(c *Context) *Case {
	change := r.Try(c)
	if change == nil {
		return nil
	}
	k := &Case{ID: r.ID, Rule: r.Rule, Does: r.Does, Scenario: *c.Scenario,
		profile: c.Profile, change: *change, expect: r.Expect}
	if change.Rule != "" {
		k.Rule = change.Rule
	}
	if e := plainly(change.Expect); e != nil {
		k.expect = e
	}
	if c.Reading != nil {
		k.ID += "@" + c.Reading.String()
		k.perReading = true
		k.Does = strings.TrimSuffix(k.Does, ".") + ": " + c.Reading.String() + "."
	}
	k.Scenario.Fail, k.Scenario.Tolerate = "", ""
	switch e := k.expect.(type) {
	case Reject:
		return k.rejected(c, e, r.Expect)
	case Accept:
		k.Takes, k.Unattested, k.Scenario.Tolerate = e.By.String(), e.Unattested, k.ID
	}
	return k
}
