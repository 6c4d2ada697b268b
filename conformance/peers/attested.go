package peers

import (
	"strconv"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// phaseOf is when an attester of a scenario attests.
func phaseOf(s *scenario.Scenario, attester attls.Role) profile.Phase {
	p, err := s.Load()
	if err != nil || p == nil {
		return profile.PhaseHandshake
	}
	m, _ := scenario.ParseModel(s.Model)
	k, _ := scenario.ParseCredential(s.Credential)
	if scenario.InAuthenticators(p, attester, m, k) {
		return p.Later[p.LaterSlot(attester)].Phase
	}
	return profile.PhaseHandshake
}

// attestsLater reports whether somebody attests after the handshake.
func attestsLater(s *scenario.Scenario) bool {
	for _, role := range s.Attester.Roles() {
		if phaseOf(s, role) != profile.PhaseHandshake {
			return true
		}
	}
	return false
}

// attestations are how often an attester has to attest.
func attestations(s *scenario.Scenario, attester attls.Role) int {
	switch {
	case !s.Attester.Has(attester):
		return 0
	case s.Reattest && phaseOf(s, attester) == profile.PhaseAuthenticator:
		return 2
	}
	return 1
}

// attestation compares what both ends say of each attester.
func (d *differences) attestation(s *scenario.Scenario, client, server *claims.Claims) {
	for _, role := range roles {
		c, v := claimsOf(client, role), claimsOf(server, role)
		want := attestations(s, role)
		switch {
		case want == 0 && len(c)+len(v) > 0:
			d.add("the %v attested unasked", role)
		case want == 1 && (len(c) == 0 || len(v) == 0):
			d.add("the %v did not attest", role)
		case len(c) != want || len(v) != want:
			d.add("the %v had to attest %d times; the client says %d, the server %d", role, want, len(c), len(v))
		default:
			for i := range want {
				d.attested(s, role, i, c[i], v[i])
			}
		}
	}
}

// attested compares what both ends say of the attestation of that number of an attester.
func (d *differences) attested(s *scenario.Scenario, role attls.Role, number int, c, v *claims.AttestationClaim) {
	of := " of the " + role.String()
	if number > 0 {
		of = " of the second attestation" + of
	}
	phase := phaseOf(s, role)
	epoch := ""
	if phase == profile.PhaseAuthenticator {
		epoch = strconv.Itoa(number * s.Updates()) // the updates come before the second one
	}
	for _, f := range []struct{ what, client, server, want string }{
		{"model", c.Model, v.Model, s.Model},
		{"credential", c.Credential, v.Credential, s.Credential},
		{"slot", c.Slot, v.Slot, c.Slot},
		{"scheme", c.Scheme, v.Scheme, c.Scheme},
		{"format", c.Format, v.Format, c.Format},
		{"verifier", c.Verifier, v.Verifier, c.Verifier},
		{"nonce", c.Nonce, v.Nonce, c.Nonce},
		{"challenge", c.Challenge, v.Challenge, c.Challenge},
		{"payload", c.Payload, v.Payload, c.Payload},
		{"octets", strconv.Itoa(c.Octets), strconv.Itoa(v.Octets), payloadSize(s, c)},
		{"phase", c.Phase, v.Phase, phaseName(phase)},
		{"request context", c.RequestContext, v.RequestContext, c.RequestContext},
		{"certificate", c.Certificate, v.Certificate, c.Certificate},
		{"signature", c.Signature, v.Signature, c.Signature},
		{"key epoch", strconv.FormatUint(c.KeyEpoch, 10), strconv.FormatUint(v.KeyEpoch, 10), epoch},
	} {
		d.equal(f.what+of, f.client, f.server)
		d.wanted(f.what, f.want, f.client)
	}
	if !described(s, phase, c) {
		d.add("the attestation of the %v is not described", role)
	}
	relying := v
	if role == attls.RoleServer {
		relying = c
	}
	if relying.Verdict == nil || !relying.Verdict.Accepted {
		d.add("the attestation of the %v was not accepted", role)
	}
}

// described reports whether a claim says what it has to. Schemes are negotiated in the
// handshake alone, and authenticators have a context, a certificate and a signature.
func described(s *scenario.Scenario, phase profile.Phase, c *claims.AttestationClaim) bool {
	if c.Payload == "" || phase == profile.PhaseHandshake && c.Scheme == "" {
		return false
	}
	if phase == profile.PhaseAuthenticator {
		return c.RequestContext != "" && c.Certificate != "" && c.Signature != "" && (c.Challenge != "" || unbound(s))
	}
	return s.Model != claims.ModelEvidence || c.Challenge != ""
}

// unbound reports whether the profile of a scenario binds nothing to a connection.
func unbound(s *scenario.Scenario) bool {
	p, err := s.Load()
	m, _ := scenario.ParseModel(s.Model)
	return err == nil && p != nil && p.Binder.Authenticator[m] == ""
}

// phaseName is what claims say of a phase.
func phaseName(p profile.Phase) string {
	if p == profile.PhaseHandshake {
		return ""
	}
	return p.String()
}

// payloadSize is what a payload's size has to be.
func payloadSize(s *scenario.Scenario, c *claims.AttestationClaim) string {
	if s.Payload > 0 {
		return strconv.Itoa(s.Payload)
	}
	return strconv.Itoa(c.Octets)
}

// claimsOf are the attestations of an attester, in their order.
func claimsOf(c *claims.Claims, attester attls.Role) (list []*claims.AttestationClaim) {
	for i := range c.Attestation {
		if c.Attestation[i].Attester == attester.String() {
			list = append(list, &c.Attestation[i])
		}
	}
	return list
}

// claimOf is the first attestation of an attester; nil: there is none.
func claimOf(c *claims.Claims, attester attls.Role) *claims.AttestationClaim {
	if list := claimsOf(c, attester); len(list) > 0 {
		return list[0]
	}
	return nil
}
