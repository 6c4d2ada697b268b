package negotiation

import (
	"bytes"
	"time"

	"attls"
	"attls/extensions/profile"
)

// Standing says whether the attestation of an earlier connection is valid when its
// session is to be resumed. The owner of a clock and a policy sets it.
type Standing uint8

// The values of Standing, by which negotiation.AcceptResumption decides.
const (
	// StandingUnknown: nobody has said. A session that keeps an attestation then
	// counts as one whose peer is due to attest again, any other as StandingHolds.
	StandingUnknown Standing = iota
	StandingHolds            // within the validity of the verdict, or nothing was attested
	StandingDue              // local policy wants the peer to attest again
	StandingExpired          // the validity of the verdict is over
)

// AcceptResumption decides under a profile whether a pre-shared key is used. A
// refusal without an error means a full handshake. external is a key that no
// earlier connection made.
func AcceptResumption(p *profile.Profile, standing Standing, external bool) (bool, *attls.Error) {
	r := &p.Resumption
	refused := false
	reason := "the profile resumes no session"
	switch {
	case external:
		refused, reason = !r.ExternalPSK, "the profile lets no external pre-shared key start a connection"
	case r.Accept == "never":
		refused = true
	// What the text leaves to policy, whoever keeps the sessions decides.
	case (r.Accept == "unless_due" || r.Accept == "policy") && standing != StandingHolds:
		refused, reason = true, "the peer has to attest again"
	case r.Accept == "within_validity" && standing == StandingExpired:
		refused, reason = true, "the verdict on the peer is valid no longer"
	}
	if refused && r.Refused == "abort" {
		return false, attls.Errorf(attls.Refused, attls.FailResumptionRefused, "%s", reason)
	}
	return !refused, nil
}

// permitted reads one of the values allow, within_validity and never.
func permitted(rule string, standing Standing) bool {
	switch rule {
	case "never":
		return false
	case "within_validity":
		return standing != StandingExpired
	}
	return true
}

// AllowEarlyData decides under a profile whether 0-RTT data is offered or accepted.
func AllowEarlyData(p *profile.Profile, standing Standing) bool {
	return permitted(p.Resumption.EarlyData, standing)
}

// Accepts reports whether policy has a scheme among those that this end, self,
// can have appraised of its peer: the same octets on the wire, of the same model
// and credential. A format or a Verifier that the scheme names is the policy's
// too, since a profile may give several formats one number.
func Accepts(p *profile.Profile, policy Policy, self attls.Role, s *Scheme) bool {
	for i := range p.Slots {
		if p.Slots[i].Attester == self {
			continue
		}
		for _, own := range usable(p, i, self, policy) {
			if own.Model == s.Model && own.Credential == s.Credential && bytes.Equal(own.Wire, s.Wire) &&
				(s.Format == (profile.Format{}) || s.Format == own.Format) &&
				(s.Verifier == nil || bytes.Equal(s.Verifier, own.Verifier)) {
				return true
			}
		}
	}
	return false
}

// AllowTickets decides under a profile whether a server issues tickets at all.
func AllowTickets(p *profile.Profile) bool { return p.Resumption.Tickets != "never" }

// KeepTickets decides under a profile whether a client keeps the tickets that it receives.
func KeepTickets(p *profile.Profile) bool { return p.Resumption.Received != "discard" }

// MaxTicketLifetime is the bound of RFC 8446 section 4.6.1.
const MaxTicketLifetime = 7 * 24 * time.Hour

// TicketsWithinValidity says whether under a profile a ticket must not outlive the
// validity of the verdict on the client.
func TicketsWithinValidity(p *profile.Profile) bool {
	return p.Resumption.Tickets == "within_validity"
}
