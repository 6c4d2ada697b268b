package main

import (
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
		"have the peer attest again after so much time, or so much data sent and received: 30s, 500MB; in an authenticator, "+
			"with --extended-key-update, or a client in post-handshake authentication, as the profile has it")
	flags.BoolVar(&f.answerLast, "answer-last", false,
		"after the handshake: attest only to a peer that was accepted; one end at most can")
	flags.IntVar(&f.maxRequests, "max-requests", 0,
		"after the handshake: how often the peer may ask us to attest on one connection (0: 4096)")
}

// apply checks that the flags do something under the profile.
func (f *laterFlags) apply(e *endpoint) error {
	c := e.exported
	switch {
	case c == nil && (f.answerLast || f.maxRequests > 0):
		return usage("--answer-last and --max-requests are about attestation in exported authenticators or frames, and "+
			"profile %s has none", e.profile.ID)
	case c == nil:
		return f.applyAgain(e)
	case f.answerLast && (len(c.Produce) == 0 || len(c.Accept) == 0):
		return usage("--answer-last needs two ends that attest: --attester both")
	case f.every.given() && len(c.Accept) > 0 && !e.profile.Authenticator.Repeats():
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
	return f.applyAgain(e)
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

// framesNameClient reports whether clients are to attest in frames of the application: the key that
// they attest is that of the handshake's certificate.
func (e *endpoint) framesNameClient() bool {
	if e.exported == nil || len(e.exported.Accept) == 0 {
		return false
	}
	slot := e.profile.LaterSlot(attls.RoleClient)
	return slot >= 0 && e.profile.Later[slot].Phase == profile.PhaseFrame
}

// produces are the schemes of this end, in the handshake and after it.
func (e *endpoint) produces() []negotiation.Scheme {
	if e.exported == nil {
		return e.config.Policy.Produce
	}
	return slices.Concat(e.config.Policy.Produce, e.exported.Produce)
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

// claimLater adds what was attested after the handshake.
func (c *connection) claimLater(to *claims.Claims) {
	again := c.ConnectionState().Reattestation
	for i := range again {
		to.AddUpdate(c.end.profile, &again[i])
	}
	if c.later == nil {
		return
	}
	list := c.later.Outcomes()
	for i := range list {
		to.AddLater(c.end.profile, &list[i])
	}
}
