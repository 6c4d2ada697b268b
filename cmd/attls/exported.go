package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/pflag"

	"attls"
	"attls/conformance/claims"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/exported"
	"attls/negotiation"
)

// laterFlags are about attestation after the handshake, in exported authenticators.
type laterFlags struct {
	every       interval
	answerLast  bool
	maxRequests int
}

func (f *laterFlags) register(flags *pflag.FlagSet) {
	flags.Var(&f.every, "reattest",
		"after the handshake: ask the peer to attest again after so much time, or so much data sent and received: 30s, 500MB")
	flags.BoolVar(&f.answerLast, "answer-last", false,
		"after the handshake: attest only to a peer that was accepted; one end at most can")
	flags.IntVar(&f.maxRequests, "max-requests", 0,
		"after the handshake: how often the peer may ask us to attest on one connection (0: 4096)")
}

// apply checks that the flags do something under the profile.
func (f *laterFlags) apply(e *endpoint) error {
	c := e.exported
	switch {
	case c == nil && (f.every.given() || f.answerLast || f.maxRequests > 0):
		return usage("--reattest, --answer-last and --max-requests are about attestation after the handshake, and "+
			"under profile %s it is in the handshake", e.profile.ID)
	case c == nil:
		return nil
	case f.answerLast && (len(c.Produce) == 0 || len(c.Accept) == 0):
		return usage("--answer-last needs two ends that attest: --attester both")
	case f.every.given() && len(c.Accept) == 0:
		return usage("--reattest, but the %v is not to attest; see --attester", e.flags.role.Peer())
	case f.every.given() && !e.profile.Authenticator.Repeats():
		return usage("--reattest: under this reading of %s, application data has no frames, and a second request could not "+
			"be told from it; see --reading framing=frames", e.profile.ID)
	case f.maxRequests > 0 && len(c.Produce) == 0:
		return usage("--max-requests, but the %v is not to attest; see --attester", e.flags.role)
	case e.flags.session.earlyFile != "" || e.flags.session.takeEarly:
		return usage("--early-data: under profile %s, application data comes behind what is attested after the handshake",
			e.profile.ID)
	}
	c.AnswerLast, c.MaxRequests = f.answerLast, f.maxRequests
	c.Optional = !e.flags.require && e.profile.Authenticator.DataBefore
	return nil
}

// attestLater lets an attester attest in exported authenticators.
func (e *endpoint) attestLater(attester attls.Role, scheme negotiation.Scheme, size int) {
	if e.exported == nil {
		e.exported = &exported.Config{Profile: e.profile, Schemes: e.config.SignatureSchemes}
	}
	if attester == e.flags.role {
		e.exported.Produce, e.exported.AttesterSize = []negotiation.Scheme{scheme}, size
	} else {
		e.exported.Accept, e.exported.AppraiserSize = []negotiation.Scheme{scheme}, size
	}
}

// produces and accepts are the schemes of this end, in the handshake and after it.
func (e *endpoint) produces() []negotiation.Scheme {
	if e.exported == nil {
		return e.config.Policy.Produce
	}
	return slices.Concat(e.config.Policy.Produce, e.exported.Produce)
}

func (e *endpoint) accepts() []negotiation.Scheme {
	if e.exported == nil {
		return e.config.Policy.Accept
	}
	return slices.Concat(e.config.Policy.Accept, e.exported.Accept)
}

// check refuses a configuration that cannot work.
func (e *endpoint) check() error {
	if err := e.config.Check(); err != nil {
		return usage("%w", err)
	}
	c := e.exported
	if c == nil {
		return nil
	}
	c.ServerName = e.config.ServerName
	if err := c.Check(e.flags.role); err != nil {
		return usage("%w", err)
	}
	isX509 := func(c *handshake.Credential) bool { return c.Type == attls.CertificateX509 }
	if len(c.Produce) > 0 && !slices.ContainsFunc(e.answerer.Credentials, isX509) {
		return usage("under profile %s the %v attests with an X.509 certificate after the handshake, and has none; "+
			"see --cert", e.profile.ID, e.flags.role)
	}
	return nil
}

// attestsAfter reports whether the client is to attest in post-handshake authentication, in a
// slot of that phase.
func (e *endpoint) attestsAfter() bool {
	policy := &e.config.Policy
	list := policy.Produce
	if e.flags.role == attls.RoleServer {
		list = policy.Accept
	}
	return e.profile != nil && len(list) > 0 &&
		slices.ContainsFunc(e.profile.Slots, func(s profile.Slot) bool { return s.PostHandshake })
}

// attest makes the exchange of authenticators, where there is one, and begins what --reattest
// asks for. Application data waits, even where the profile lets it come before: what the
// peer sends early is kept. Where a client attests in post-handshake authentication alone, a
// server asks it at once.
func (c *connection) attest(ctx context.Context) error {
	if c.later == nil {
		if c.end.flags.role == attls.RoleServer && c.end.attestsAfter() && c.end.profile.AttestsOnlyAfter() {
			return c.RequestAuthentication()
		}
		return nil
	}
	if err := c.later.Attest(ctx); err != nil {
		return err
	}
	if c.again != nil {
		go c.again.run(func() bool {
			err := c.reattest(context.Background())
			return err == nil || errors.Is(err, exported.ErrUnanswered)
		})
	}
	return nil
}

// reattest asks the peer to attest again. Where that fails the connection is over.
func (c *connection) reattest(ctx context.Context) error {
	if c.later == nil || len(c.end.exported.Accept) == 0 {
		return attls.Errorf(attls.Local, attls.FailConfiguration,
			"the %v is not asked to attest after the handshake; see --profile and --attester", c.end.flags.role.Peer())
	}
	c.asking.RLock()
	defer c.asking.RUnlock()
	ctx, cancel := context.WithTimeout(ctx, c.end.flags.timeout)
	defer cancel()
	_, err := c.later.Reattest(ctx)
	var why *attls.Error
	switch {
	case !errors.As(err, &why) || why.Class == attls.FromPeer || errors.Is(err, exported.ErrUnanswered):
	case why.Failure == attls.FailConfiguration || why.Failure == attls.FailCanceled: // nothing was asked, or we close
	default:
		c.transport.end(why)
	}
	return err
}

// Read reads application data.
func (c *connection) Read(b []byte) (n int, err error) {
	if c.later == nil {
		return c.Conn.Read(b)
	}
	n, err = c.later.Read(b)
	c.again.count(n)
	return n, err
}

// Write writes application data.
func (c *connection) Write(b []byte) (n int, err error) {
	if c.later == nil {
		return c.Conn.Write(b)
	}
	n, err = c.later.Write(b)
	c.again.count(n)
	return n, err
}

// CloseWrite ends our direction, in which no more requests go. A request that is being made
// goes first, and is answered.
func (c *connection) CloseWrite() error {
	c.again.stop()
	c.asking.Lock()
	defer c.asking.Unlock()
	if c.later == nil {
		return c.Conn.CloseWrite()
	}
	return c.later.CloseWrite()
}

// claimLater adds what was attested after the handshake.
func (c *connection) claimLater(to *claims.Claims) {
	if c.later == nil {
		return
	}
	list := c.later.Outcomes()
	for i := range list {
		to.AddLater(c.end.profile, &list[i])
	}
}
