package scenario

import (
	"fmt"

	"attls"
	"attls/extensions/profile"
)

// attestsLater says why the client cannot attest after the handshake; nil: it can.
func (s *Scenario) attestsLater(p *profile.Profile) error {
	if p == nil {
		return nil // it shows a certificate
	}
	if reason := s.NotLater(p); reason != "" {
		return &ForbiddenError{Reason: reason}
	}
	return nil
}

// NotLater says in a sentence why the client of the scenario cannot attest in
// post-handshake authentication under a profile; "": it can.
func (s *Scenario) NotLater(p *profile.Profile) string {
	m, err := ParseModel(s.Model)
	if err != nil {
		return fmt.Sprintf("%v.", err)
	}
	k, err := ParseCredential(s.Credential)
	if err != nil {
		return fmt.Sprintf("%v.", err)
	}
	switch {
	case s.Attester == AttestServer || s.Attester == AttestNone:
		return "After the handshake only a client authenticates, and here it does not attest."
	case !p.PostHandshake.ClientAuthentication:
		return p.ID + " lets no client attest after the handshake."
	}
	for i := range p.Slots {
		slot := &p.Slots[i]
		if slot.Attester == attls.RoleClient && p.UsesSlot(i, true) && hasModel(slot, m) && p.AttestsLater(i, k) {
			return ""
		}
	}
	return p.ID + " has no place for the payload of such a client after the handshake."
}

func hasModel(s *profile.Slot, m profile.Model) bool {
	for _, x := range s.Models {
		if x == m {
			return true
		}
	}
	return false
}
