package cases

import (
	"errors"
	"fmt"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/rule"
)

// Case is a row in one scenario, under one profile: what is done there, and what must follow.
// It can be injected into a run (scenario.Injection) unless its row only observes.
type Case struct {
	ID string `json:"name"`
	// Rule is the id of the rule that the case checks; "": none that can be turned off.
	Rule    string        `json:"rule,omitempty"`
	Failure attls.Failure `json:"failure,omitempty"`
	// Does says in one sentence what is done.
	Does string `json:"does"`
	// Rejects is the end that must reject, At the message at which it does; ""
	// where a record is what it rejects.
	Rejects string             `json:"rejects,omitempty"`
	At      string             `json:"at,omitempty"`
	Alert   *claims.AlertClaim `json:"alert,omitempty"` // nil: the connection is closed without one
	// AnyAlert says that the text names no alert; the one given is ours.
	AnyAlert bool `json:"any_alert,omitempty"`
	// MayPass says that the text allows the receiver to omit the check.
	MayPass bool `json:"may_pass,omitempty"`
	// Takes is the end that must go on as if nothing were unusual. Nothing is
	// rejected then.
	Takes string `json:"takes,omitempty"`
	// Unattested says that nobody attests in a connection that is taken.
	Unattested bool `json:"unattested,omitempty"`

	Scenario scenario.Scenario `json:"scenario"`

	profile    *profile.Profile
	expect     Expect
	change     Change
	action     profile.AlertAction // of what must be rejected
	perReading bool
}

// rejected completes a case of what must be rejected; nil where the profile lets it pass.
func (c *Case) rejected(in *Context, e Reject, row Expect) *Case {
	if of, ok := row.(Reject); ok {
		if e.Failure == "" {
			e.Failure = of.Failure
		}
		e.AnyAlert, e.MayPass = e.AnyAlert || of.AnyAlert, e.MayPass || of.MayPass
	}
	c.expect = e
	c.action = profile.AlertAction{Alert: attls.DefaultAlert(e.Failure)}
	if in.Profile != nil {
		c.action = in.Profile.AlertFor(e.Failure)
	}
	if c.action.None {
		return nil
	}
	c.Failure, c.Rejects, c.At, c.Scenario.Fail = e.Failure, e.By.String(), e.At.String(), c.ID
	c.AnyAlert, c.MayPass = e.AnyAlert, e.MayPass
	switch {
	case e.At == attls.KindNone:
		c.At = ""
	case e.At == attls.KindAdded && in.Profile != nil:
		c.At = in.Profile.Messages[in.credential().Message].Name
	}
	if !c.action.Close {
		c.Alert = claims.MakeAlertClaim(in.Profile, &c.action.Alert)
	}
	return c
}

// CaseOf returns the case of a run; nil when nothing of a table was injected.
func CaseOf(r *scenario.Result) *Case {
	c, _ := r.Injected.(*Case)
	return c
}

// Where returns the scenario of the case.
func (c *Case) Where() scenario.Scenario { return c.Scenario }

// Apply changes the ends so that it happens.
func (c *Case) Apply(s *scenario.Setup) {
	if c.change.Apply != nil {
		c.change.Apply(s)
	}
}

// Receiver is the end that must reject or accept.
func (c *Case) Receiver() attls.Role {
	switch e := c.expect.(type) {
	case Reject:
		return e.By
	case Accept:
		return e.By
	}
	return attls.RoleClient
}

// AtReceiver reports whether the end that must reject or accept is itself changed.
func (c *Case) AtReceiver() bool { return c.change.AtReceiver }

// Observes reports whether the case is a look at a sound connection, into which nothing is
// injected.
func (c *Case) Observes() bool { return c.expect == Observe{} }

// PerReading reports whether the case is one of a row that has one for each other reading.
func (c *Case) PerReading() bool { return c.perReading }

// NotRunError says that a case could not be run at all.
type NotRunError struct{ Err error }

func (e *NotRunError) Error() string { return "it could not be run: " + e.Err.Error() }
func (e *NotRunError) Unwrap() error { return e.Err }

// Run runs the case in memory. It is nil when everything went as expected.
func (c *Case) Run() error { return c.run((*scenario.Setup).RunInMemory) }

// Prove shows that the case checks its rule: it runs the case as it is, and again with
// the rule turned off at both ends, where it must fail. how says how it failed then;
// an error says what is wrong. The rule is off in engines that nothing else reaches.
func (c *Case) Prove() (how string, err error) {
	if c.Rule == "" {
		return "", errors.New("it names no rule")
	}
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
	set, err := scenario.NewSetup(c.profile, &s)
	if err != nil {
		return &NotRunError{err}
	}
	c.Apply(set)
	r, err := connect(set)
	if err != nil {
		return &NotRunError{err}
	}
	r.Profile = c.profile // which names the alerts
	return c.Judge(r)
}

// Judge says why a run did not end as expected; nil when it did.
func (c *Case) Judge(r *scenario.Result) error {
	if err := c.followed(r); err != nil || c.change.Judge == nil {
		return err
	}
	return c.change.Judge(r)
}

// followed says why what is expected did not follow.
func (c *Case) followed(r *scenario.Result) error {
	switch e := c.expect.(type) {
	case Reject:
		return c.judgeRejection(e, r)
	case Accept:
		if e.Unattested {
			return Sound(r)
		}
		return soundAnd(attested)(r)
	}
	return nil
}

// judgeRejection says why a run was not rejected as it had to be.
func (c *Case) judgeRejection(e Reject, r *scenario.Result) error {
	mine, theirs := &r.Claims[e.By], &r.Claims[e.By.Peer()]
	switch {
	case mine.Error == nil:
		return fmt.Errorf("the %v did not reject", e.By)
	case mine.Error.Failure != string(e.Failure):
		return fmt.Errorf("the %v failed with %s, not %s: %s", e.By, mine.Error.Failure, e.Failure, mine.Error.Detail)
	case mine.Error.Message != e.At.Name() && e.At != attls.KindNone:
		return fmt.Errorf("the %v rejected at %s, not at %s", e.By, orNone(mine.Error.Message), e.At.Name())
	case c.action.Close:
		if mine.AlertSent != nil {
			return fmt.Errorf("the %v sent %s; the profile closes without an alert", e.By, mine.AlertSent.Name)
		}
		return nil
	case mine.AlertSent == nil || mine.AlertSent.Code != uint8(c.action.Alert):
		return fmt.Errorf("the %v sent %s, not %s", e.By, alertOrNone(mine.AlertSent),
			claims.AlertName(r.Profile, c.action.Alert))
	case theirs.AlertReceived == nil || theirs.AlertReceived.Code != mine.AlertSent.Code:
		return fmt.Errorf("the %v received %s, not %s", e.By.Peer(), alertOrNone(theirs.AlertReceived), mine.AlertSent.Name)
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "no message"
	}
	return s
}

func alertOrNone(a *claims.AlertClaim) string {
	if a == nil {
		return "no alert"
	}
	return a.Name
}

// Sound says why a run did not end without an error at either end.
func Sound(r *scenario.Result) error {
	for _, role := range attls.Roles() {
		if e := r.Claims[role].Error; e != nil {
			return fmt.Errorf("the %v failed: %s (%s)", role, e.Detail, e.Failure)
		}
	}
	return nil
}

// soundAnd is a judgement of a connection that went well.
func soundAnd(judge func(*scenario.Result) error) func(*scenario.Result) error {
	return func(r *scenario.Result) error {
		if err := Sound(r); err != nil {
			return err
		}
		return judge(r)
	}
}

func attested(r *scenario.Result) error {
	if !r.Attested() {
		return scenario.ErrNotAttested
	}
	return nil
}

func challengeOf(c *claims.Claims, attester attls.Role) string {
	for i := range c.Attestation {
		if c.Attestation[i].Attester == attester.String() {
			return c.Attestation[i].Challenge
		}
	}
	return ""
}
