package peers

import (
	"fmt"
	"slices"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// PayloadSizes are those of which it is worth while to know whether they pass: 1
// octet, 1, 15, 16 and 60 KB, and 1 MB.
var PayloadSizes = []int{1, 1 << 10, 15 << 10, 16 << 10, 60 << 10, 1 << 20}

// sized are the cases of Options.Sizes. This stack meets itself too.
func sized(o *Options, combinations []combination) []Case {
	if len(o.Sizes) == 0 {
		return nil
	}
	var cases []Case
	own := (InProcess{}).Name()
	for _, pair := range append(slices.Clone(o.Pairs), [2]string{own, own}) {
		if slices.Contains(pair[:], (Command{}).Name()) {
			continue // the same stack
		}
		for _, c := range combinations {
			s := c.Scenario
			if s.Model != claims.ModelEvidence || len(s.Attester.Roles()) != 1 {
				continue
			}
			for _, s.Payload = range o.Sizes {
				cases = append(cases, between(pair, s))
			}
		}
	}
	return cases
}

// bound is where a payload is expected to fail.
type bound struct {
	*Bound
	role attls.Role
}

// bounded is the end that is known to fail over a case's payload, the one that
// sends it first; nil: none.
func bounded(c *Case, peers map[string]Peer) *bound {
	for _, sender := range c.Scenario.Attester.Roles() {
		if c.Scenario.Payload == 0 {
			break
		}
		for _, role := range []attls.Role{sender, sender.Peer()} {
			if p, ok := peers[c.Stack(role)].(Bounded); ok {
				if b := p.Bound(&c.Scenario, role); b != nil {
					return &bound{b, role}
				}
			}
		}
	}
	return nil
}

// verdict: a payload that is too large fails where and how it is known to, so that
// a change is noticed either way.
func (b *bound) verdict(c *Case, version string, ends []claims.Claims, err error) (status, reason string) {
	stack := c.Stack(b.role)
	where := b.Releases.standing(version)
	switch {
	case err == nil && where == within:
		return Failed, fmt.Sprintf("%d octets passed, which %s is known to refuse: %s", c.Scenario.Payload,
			or(version, stack), b.Does)
	case err == nil:
		return Passed, fmt.Sprintf("%s takes %d octets, unlike %s: %s", or(version, stack), c.Scenario.Payload,
			b.Releases.String(), b.Does)
	case ends[b.role].Error == nil || !b.shows(&ends[b.role], &ends[b.role.Peer()]):
		return Failed, "it did not fail as it is known to (" + b.Does + "): " + err.Error()
	case where != within && where != untried:
		return Failed, fmt.Sprintf("%s does what only %s is known to do: %s", version, b.Releases.String(), b.Does)
	case b.Rule:
		return Passed, ""
	}
	return Deviation, "expected limit of " + stack + ": " + b.Does
}

// sends reports whether an end sends the scenario's payload.
func sends(s *scenario.Scenario, r attls.Role) bool { return s.Attester.Has(r) }

// Bounds of the profiles, in octets.
const (
	extensionRoom   = 1<<16 - 8 // of a payload in an extension (RFC 8446 section 4.2), its own length included
	unfragmentRoom  = 1<<14 - 13
	ownMessageLimit = 128 << 10 // of this stack: record.Settings.MaxHandshakeMessage
)

// Bound implements Bounded: what does not fit an extension, or a record where
// messages are never cut, is not sent; what does not fit the limit of a message is
// not taken.
func (InProcess) Bound(s *scenario.Scenario, r attls.Role) *Bound {
	p, err := s.Load()
	if err != nil || p == nil {
		return nil
	}
	internal := func(does string) *Bound {
		return &Bound{Deviant{Does: does, Alert: attls.AlertInternalError}, true}
	}
	switch {
	case sends(s, r) && p.Quirks.NeverFragment && s.Payload > unfragmentRoom:
		return internal("the profile never cuts a message, and one record holds 2^14 octets")
	case sends(s, r) && s.Credential == claims.CredentialX509 && s.Payload > extensionRoom:
		return internal("an extension holds 2^16-1 octets (RFC 8446 4.2)")
	case !sends(s, r) && s.Payload > ownMessageLimit:
		return &Bound{Deviant{Does: "a handshake message may have 128 KB unless the application sets another limit",
			Alert: attls.AlertIllegalParameter}, false}
	}
	return nil
}

// Bound implements Bounded.
func (MbedTLS) Bound(s *scenario.Scenario, r attls.Role) *Bound {
	const largest = 16 << 10
	all := Releases{mbedTLSTried[0], mbedTLSTried[len(mbedTLSTried)-1], mbedTLSTried}
	switch {
	case sends(s, r) && s.Payload >= largest:
		return &Bound{Deviant{Does: "a handshake message is written into one buffer of 16 KB",
			Alert: attls.AlertInternalError, Releases: all}, false}
	case !sends(s, r) && (s.Payload > largest || s.Payload == largest && s.Credential == claims.CredentialX509):
		return &Bound{
			Deviant{
				Does: "a handshake message is read into one buffer of 16 KB, and one that does not fit ends the connection " +
					"without an alert", None: true, Releases: all}, false}
	}
	return nil
}
