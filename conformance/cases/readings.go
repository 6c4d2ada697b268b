package cases

import (
	"attls"
	"attls/conformance/scenario"
	"attls/handshake"
	"attls/internal/rule"
)

const binderReading = "binder-reading"

// otherBinder are the connections in which the two ends read the text in different ways, which
// has to be noticed wherever another binder comes of it.
var otherBinder = Row{ID: binderReading, Rule: string(rule.BinderCompared), PerReading: true,
	Expect: Reject{Failure: attls.FailBinderMismatch},
	Does:   "The attester computes the binder under another reading of the text", Try: tryOtherBinder}

// variant is what may have to happen for two readings to differ.
type variant struct {
	retry bool // a HelloRetryRequest
	asks  bool // a CertificateRequest
}

// tryOtherBinder needs a combination in which the attester's other reading of a switch gives
// another binder.
func tryOtherBinder(c *Context) *Change {
	p, other := c.Profile, c.Reading.Profile
	if c.Scenario.Attester == scenario.AttestBoth || !p.DecidesBinder(c.Reading.Switch) ||
		c.challengeName(p) == "" || c.challengeName(other) == "" {
		return nil
	}
	retry := c.Scenario.HelloRetry
	for _, v := range []variant{{}, {retry: true}, {asks: true}} {
		c.Scenario.HelloRetry = retry || v.retry
		expect := Reject{By: c.Attester.Peer(), At: carrierMessage(c.credential())}
		change := &Change{Expect: expect, Apply: func(s *scenario.Setup) {
			s.Ends[c.Attester].Config.Profile = s.Profile.WithBinder(other)
			if v.asks {
				s.Ends[attls.RoleServer].Config.ClientAuthentication = handshake.OptionalClientCertificate
			}
		}}
		if c.differs(change) {
			return change
		}
	}
	c.Scenario.HelloRetry = retry
	return nil
}

// differs reports whether the two ends get different binders by a change.
func (c *Context) differs(change *Change) bool {
	s := *c.Scenario
	set, err := scenario.NewSetup(c.Profile, &s)
	if err != nil {
		return false
	}
	change.Apply(set)
	r, err := set.RunInMemory()
	if err != nil {
		return false
	}
	a, b := challengeOf(&r.Claims[0], c.Attester), challengeOf(&r.Claims[1], c.Attester)
	return a != "" && b != "" && a != b
}
