package cases

import (
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/internal/rule"
)

// refused is a row of TLS 1.3 itself about what a receiver must reject.
func refused(id string, r rule.Rule, does string, f attls.Failure, by attls.Role, at attls.MessageKind,
	apply func(*scenario.Setup), more ...option) Row {
	return plain(id, r, does, Reject{Failure: f, By: by, At: at}, by, apply, more)
}

// taken is a row of TLS 1.3 itself about what a receiver must accept.
func taken(id string, r rule.Rule, does string, by attls.Role, apply func(*scenario.Setup), more ...option) Row {
	return plain(id, r, does, Accept{By: by}, by, apply, more)
}

func plain(id string, r rule.Rule, does string, expect Expect, by attls.Role,
	apply func(*scenario.Setup), more []option) Row {
	row := Row{ID: id, Rule: string(r), Does: does, Plain: true, Expect: expect, Try: func(c *Context) *Change {
		return c.withoutProfile(by, apply)
	}}
	for _, o := range more {
		o(&row)
	}
	return row
}

// withoutProfile leaves a server one group, so that it asks for no other, and makes room for
// a HelloRetryRequest where a group is named for it.
func (c *Context) withoutProfile(by attls.Role, apply func(*scenario.Setup)) *Change {
	s := c.Scenario
	if by == server && !c.several && s.Group == "" && !s.HelloRetry {
		s.Group = attls.GroupX25519.String()
	}
	if !s.HelloRetry || s.Group == "" {
		return &Change{Apply: apply}
	}
	group := s.Group
	return &Change{Apply: func(set *scenario.Setup) {
		retryTo(set, group)
		apply(set)
	}}
}

// retryTo lets the client offer a group after one that the server does not have,
// of which it sends a share.
func retryTo(s *scenario.Setup, group string) {
	g, _ := attls.GroupByName(group)
	s.Ends[client].Config.Groups = []attls.NamedGroup{attls.GroupX25519, g}
	s.Ends[server].Config.Groups = []attls.NamedGroup{g}
	s.Ends[server].Config.Retry.Always = false
}

// option is what only some rows have.
type option func(*Row)

// anyAlert: the text says that the handshake ends, or that something must not be
// sent, and names no alert.
func anyAlert(r *Row) {
	if e, ok := r.Expect.(Reject); ok {
		e.AnyAlert = true
		r.Expect = e
	}
}

// mayPass: the text allows the receiver to omit the check.
func mayPass(r *Row) {
	if e, ok := r.Expect.(Reject); ok {
		e.AnyAlert, e.MayPass = true, true
		r.Expect = e
	}
}

// severalGroups: the client offers all groups that it has.
func severalGroups(r *Row) {
	try := r.Try
	r.Try = func(c *Context) *Change {
		c.several = true
		return try(c)
	}
}

// in makes the connection one of a certain sort.
func in(set ...func(*scenario.Scenario)) option {
	return func(r *Row) {
		try := r.Try
		r.Try = func(c *Context) *Change {
			for _, f := range set {
				f(c.Scenario)
			}
			return try(c)
		}
	}
}

func retried(s *scenario.Scenario)      { s.HelloRetry = true }
func cookied(s *scenario.Scenario)      { s.Cookie = true }
func mutual(s *scenario.Scenario)       { s.ClientCertificate = true }
func rawKeys(s *scenario.Scenario)      { s.RawPublicKeys = true }
func withProtocol(s *scenario.Scenario) { s.ALPN = "yes" }

// bothWays is a row for each end as the sender; the id of each ends in the
// sender's.
func bothWays(of func(sender attls.Role) Row) []Row {
	var list []Row
	for _, sender := range attls.Roles() {
		r := of(sender)
		r.ID += "-" + sender.String()
		list = append(list, r)
	}
	return list
}

// tlsRows are the rows of TLS 1.3 itself.
func tlsRows() []Row {
	return slices.Concat(helloFaults, answerFaults, retryFaults, sessionFaults, flightFaults(), recordFaults(),
		keyUpdateFaults(), tolerances(), tlsChecks, authenticatorRows())
}
