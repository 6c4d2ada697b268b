package negotiation

import (
	"bytes"

	"attls"
	"attls/extensions/profile"
)

// newSlots makes room for every slot of a profile.
func newSlots(p *profile.Profile) Slots {
	n := len(p.Slots)
	return Slots{Present: make([]bool, n), Offers: make([][]Scheme, n), Choices: make([]*Scheme, n)}
}

// usable returns the schemes of policy that serve a slot, in order: what this
// end can produce for its own slots, what it can have appraised for the peer's.
func usable(p *profile.Profile, slot int, self attls.Role, policy Policy) []Scheme {
	list := policy.Accept
	if p.Slots[slot].Attester == self {
		list = policy.Produce
	}
	var out []Scheme
	for _, s := range list {
		if e, ok := p.EncodeScheme(slot, s); ok {
			out = append(out, e)
		}
	}
	return out
}

// Offer makes the client's offer (rule `offer`). Too few schemes are an error
// of our configuration; nothing is sent then.
func Offer(p *profile.Profile, policy Policy, canAuthenticate bool) (Slots, *attls.Error) {
	out := newSlots(p)
	total := 0
	for i := range p.Slots {
		if p.Slots[i].Attester == attls.RoleClient && p.Rules.ClientSlotsNeedCert && !canAuthenticate && len(policy.Produce) > 0 {
			return out, attls.Errorf(attls.Local, attls.FailConfiguration, "slot %s needs a client certificate and there is none", p.Slots[i].Name)
		}
		out.Offers[i] = usable(p, i, attls.RoleClient, policy)
		total += len(out.Offers[i])
		out.Present[i] = len(out.Offers[i]) > 0 || p.Rules.OfferEmptyList
	}
	if total < p.Rules.OfferAtLeast {
		return out, attls.Errorf(attls.Local, attls.FailConfiguration, "%d schemes to offer; profile %s requires %d", total, p.ID, p.Rules.OfferAtLeast)
	}
	return out, nil
}

// ChooseOptions is what a server's choice depends on besides the offer.
type ChooseOptions struct {
	PSK             bool // a PSK takes the certificates' place
	CanAuthenticate bool
}

// Choose is the server's choice (rules `choose`, `no_scheme`, `unwilling` and
// `demand`).
func Choose(p *profile.Profile, offered Slots, policy Policy, o ChooseOptions) (Slots, *attls.Error) {
	out := newSlots(p)
	if o.PSK {
		return out, nil
	}
	total, willing, chosen := 0, false, false
	var failed [2]bool        // by model: a slot had nothing in common
	var chosenModel [2]bool   // by model: a slot was chosen
	var attesterHas [2]bool   // by role: a scheme was chosen
	var attesterAsked [2]bool // by role: something was offered
	for i := range p.Slots {
		slot := &p.Slots[i]
		total += len(offered.Offers[i])
		own := usable(p, i, attls.RoleServer, policy)
		if len(own) == 0 {
			continue
		}
		willing = true
		if len(offered.Offers[i]) == 0 || p.Rules.OnePerAttester && attesterHas[slot.Attester] {
			continue
		}
		attesterAsked[slot.Attester] = true
		first, second := offered.Offers[i], own
		if p.Rules.ServerOrder {
			first, second = own, offered.Offers[i]
		}
		s := common(first, second)
		if s == nil {
			for _, m := range slot.Models {
				failed[m] = true
			}
			continue
		}
		out.Choices[i], out.Present[i] = s, true
		attesterHas[slot.Attester], chosenModel[s.Model], chosen = true, true, true
	}
	if p.Rules.OfferAtLeast > 0 && total == 0 && len(offered.Present) > 0 {
		return out, nothing(attls.FailNothingOffered, p.ID, "every list of the offer is empty")
	}
	if !willing {
		if p.Rules.UnwillingAbort && total > 0 {
			return out, nothing(attls.FailUnwilling, p.ID, "this server wants attestation of no role")
		}
		return out, nil
	}
	if err := noScheme(p, failed, chosenModel, chosen); err != nil {
		return out, err
	}
	if policy.Demand && !attesterHas[attls.RoleClient] {
		return out, nothing(attls.FailDemandedByServer, p.ID, "the client must attest and offered nothing usable")
	}
	return out, nil
}

func noScheme(p *profile.Profile, failed, chosenModel [2]bool, chosen bool) *attls.Error {
	if p.Rules.NoSchemeThen != profile.ThenAbort {
		return nil
	}
	failures := [2]attls.Failure{profile.ModelEvidence: attls.FailNoSchemeEvidence, profile.ModelResults: attls.FailNoSchemeResults}
	for m, f := range failures {
		abort := failed[m]
		switch p.Rules.NoScheme {
		case profile.ScopeModel:
			abort = abort && !chosenModel[m]
		case profile.ScopeAll:
			abort = abort && !chosen
		}
		if abort {
			return nothing(f, p.ID, "no scheme of model %s is in common", profile.Model(m))
		}
	}
	return nil
}

// common finds the first of first that second contains, octet for octet.
func common(first, second []Scheme) *Scheme {
	for i := range first {
		for k := range second {
			if bytes.Equal(first[i].Wire, second[k].Wire) {
				s := first[i]
				return &s
			}
		}
	}
	return nil
}

// CheckChoice holds a server's choice against the offer, octet for octet.
func CheckChoice(p *profile.Profile, offered Slots, slot int, choice *Scheme) *attls.Error {
	if common([]Scheme{*choice}, offered.Offers[slot]) == nil {
		return attls.Errorf(attls.Violation, attls.FailChoiceNotOffered, "the scheme %x was not offered", choice.Wire).By(p.ID)
	}
	return nil
}

// CheckAnswers is the client's check once the server's parameters are complete
// (rules `answer` and `demand`).
func CheckAnswers(p *profile.Profile, offered, chosen Slots, policy Policy, sawCertificateRequest bool) *attls.Error {
	bad := func(f attls.Failure, format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Violation, f, format, args...).By(p.ID)
	}
	var n [2]int
	any := false
	for i, c := range chosen.Choices {
		any = any || len(offered.Offers[i]) > 0
		if c == nil {
			continue
		}
		role := p.Slots[i].Attester
		if n[role]++; n[role] > 1 && p.Rules.OnePerAttester {
			return bad(attls.FailTwoChoices, "two schemes were chosen for the %v", role)
		}
		if role == attls.RoleClient && p.Rules.ClientChoiceNeedsRequest && !sawCertificateRequest {
			return bad(attls.FailChoiceWithoutRequest, "a scheme was chosen for the client without a CertificateRequest")
		}
	}
	if any && n[0]+n[1] == 0 && p.Rules.AnswerNoneAbort {
		return bad(attls.FailChoiceNone, "the server chose nothing")
	}
	if policy.Demand && n[attls.RoleServer] == 0 {
		return nothing(attls.FailDemandedByClient, p.ID, "the server must attest and chose no scheme")
	}
	return nil
}

// ChosenFor returns the slot and scheme under which a role attests; -1 and nil
// when it does not.
func ChosenFor(p *profile.Profile, chosen Slots, attester attls.Role) (int, *Scheme) {
	for i, c := range chosen.Choices {
		if c != nil && p.Slots[i].Attester == attester {
			return i, c
		}
	}
	return -1, nil
}
