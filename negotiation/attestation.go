package negotiation

import (
	"bytes"
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/internal/rule"
)

// NewSlots makes room for every slot of a profile.
func NewSlots(p *profile.Profile) Slots {
	const usual = 4 // slots
	n := len(p.Slots)
	if n == 0 {
		return Slots{}
	}
	if n > usual {
		return Slots{Present: make([]bool, n), Offers: make([][]Scheme, n), Choices: make([]*Scheme, n)}
	}
	room := &struct { // all in one piece
		present [usual]bool
		offers  [usual][]Scheme
		choices [usual]*Scheme
	}{}
	return Slots{Present: room.present[:n:n], Offers: room.offers[:n:n], Choices: room.choices[:n:n]}
}

// usable returns the schemes of policy that serve a slot, in order: what this
// end can produce for its own slots, what it can have appraised for the peer's.
func usable(p *profile.Profile, slot int, self attls.Role, policy Policy) []Scheme {
	list, other, limited := policy.Accept, policy.Produce, rule.OfferAppraisable
	if p.Slots[slot].Attester == self {
		list, other, limited = policy.Produce, policy.Accept, rule.OfferProducible
	}
	if !rule.Obeys(p, limited) {
		list = slices.Concat(list, other)
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
	out := NewSlots(p)
	total := 0
	for i := range p.Slots {
		out.Offers[i] = usable(p, i, attls.RoleClient, policy)
		if len(out.Offers[i]) > 0 && p.Slots[i].Attester == attls.RoleClient && p.Rules.ClientSlotsNeedCert &&
			!canAuthenticate {
			return out, attls.Errorf(attls.Local, attls.FailConfiguration,
				"slot %s needs a client certificate, and Config.CanAuthenticate does not promise one", p.Slots[i].Name)
		}
		if first := p.Rules.OfferFirst; first != nil && len(out.Offers[i]) > 0 {
			if find(out.Offers[i], first) == nil {
				return out, attls.Errorf(attls.Local, attls.FailConfiguration,
					"profile %s wants the scheme %x first in slot %s, and the policy does not have it", p.ID, first.Wire,
					p.Slots[i].Name)
			}
			slices.SortStableFunc(out.Offers[i], func(a, b Scheme) int {
				return rank(bytes.Equal(a.Wire, first.Wire)) - rank(bytes.Equal(b.Wire, first.Wire))
			})
		}
		if !rule.Obeys(p, rule.OfferOrder) {
			slices.Reverse(out.Offers[i])
		}
		if !p.Slots[i].PostHandshake { // or it would have to be said that nothing is offered for now
			total += len(out.Offers[i])
		}
		out.Present[i] = len(out.Offers[i]) > 0 || p.Rules.OfferEmptyList && !p.Slots[i].Flagged
	}
	if total < p.Rules.OfferAtLeast {
		return out, attls.Errorf(attls.Local, attls.FailConfiguration, "%d schemes to offer; profile %s requires %d", total,
			p.ID, p.Rules.OfferAtLeast)
	}
	return out, nil
}

// rank puts what is first before the rest.
func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// Choose is the server's choice in the handshake (rules `choose`, `no_scheme`, `unwilling`
// and `demand`).
func Choose(p *profile.Profile, offered Slots, policy Policy) (Slots, *attls.Error) {
	return choose(p, offered, policy, false)
}

// ChooseAfter is Choose for post-handshake authentication, and so for the client alone.
func ChooseAfter(p *profile.Profile, offered Slots, policy Policy) (Slots, *attls.Error) {
	return choose(p, offered, policy, true)
}

func choose(p *profile.Profile, offered Slots, policy Policy, after bool) (Slots, *attls.Error) {
	out := NewSlots(p)
	total, took, willing := 0, false, false
	var failed, chosenModel [2]bool // by model: a slot had nothing in common; one was chosen
	var attests [2]bool             // by role: a scheme was chosen
	for i := range p.Slots {
		slot := &p.Slots[i]
		own := usable(p, i, attls.RoleServer, policy)
		willing = willing || len(own) > 0
		if !p.UsesSlot(i, after) {
			continue
		}
		total += len(offered.Offers[i])
		took = took || offered.Present[i] && !slot.Unoffered()
		if slot.Unoffered() {
			if len(own) > 0 && offered.Present[i] && !(p.Rules.OnePerAttester && attests[slot.Attester]) {
				out.Choices[i], out.Present[i] = &own[0], true
				attests[slot.Attester] = true
			}
			continue
		}
		if len(own) == 0 && !rule.Obeys(p, rule.ChooseWanted) {
			own = offered.Offers[i]
		}
		if !rule.Obeys(p, rule.ChooseAnswered) || len(own) == 0 || len(offered.Offers[i]) == 0 ||
			p.Rules.OnePerAttester && attests[slot.Attester] {
			continue
		}
		first, second := offered.Offers[i], own
		if p.Rules.ServerOrder {
			first, second = own, offered.Offers[i]
		}
		s := find(own, common(first, second))
		if s == nil && !rule.Obeys(p, rule.ChooseCommon) {
			s = &own[0]
		}
		if s == nil {
			for _, o := range offered.Offers[i] {
				failed[o.Model] = true
			}
			continue
		}
		out.Choices[i], out.Present[i] = s, true
		attests[slot.Attester], chosenModel[s.Model] = true, true
	}
	// A client that does not take part sends no list at all, which is no error.
	if took && total == 0 && p.Rules.OfferAtLeast > 0 {
		return out, nothing(attls.FailNothingOffered, p.ID, "every list of the offer is empty")
	}
	if !willing && total > 0 && p.Rules.UnwillingAbort {
		return out, nothing(attls.FailUnwilling, p.ID, "this server wants attestation of no role")
	}
	if err := noScheme(p, failed, chosenModel); err != nil {
		return out, err
	}
	if policy.Demand && !attests[attls.RoleClient] && (after || !p.AttestsOnlyAfter()) {
		return out, nothing(attls.FailDemandedByServer, p.ID, "the client must attest and offered nothing usable")
	}
	if p.Rules.NoSchemeThen == profile.ThenNullChoice {
		for i := range out.Choices {
			if out.Choices[i] == nil && !p.Slots[i].Unoffered() && p.UsesSlot(i, after) {
				out.Choices[i] = p.Rules.NullChoice
			}
		}
	}
	return out, nil
}

func noScheme(p *profile.Profile, failed, chosenModel [2]bool) *attls.Error {
	if p.Rules.NoSchemeThen != profile.ThenAbort {
		return nil
	}
	failures := [2]attls.Failure{profile.ModelEvidence: attls.FailNoSchemeEvidence,
		profile.ModelResults: attls.FailNoSchemeResults}
	for m, f := range failures {
		abort := failed[m]
		switch p.Rules.NoScheme {
		case profile.ScopeModel:
			abort = abort && !chosenModel[m]
		case profile.ScopeAll:
			abort = abort && !chosenModel[0] && !chosenModel[1]
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
		if s := find(second, &first[i]); s != nil {
			return s
		}
	}
	return nil
}

// find returns the scheme of a list that has the same octets as s. One's own
// list says what the octets stand for: a profile may give several formats one
// number.
func find(list []Scheme, s *Scheme) *Scheme {
	if s == nil {
		return nil
	}
	for i := range list {
		if bytes.Equal(list[i].Wire, s.Wire) {
			return &list[i]
		}
	}
	return nil
}

// CheckChoice compares a server's choice with the offer, octet for octet, and
// returns the scheme that was offered.
func CheckChoice(p *profile.Profile, offered Slots, slot int, choice *Scheme) (*Scheme, *attls.Error) {
	if s := find(offered.Offers[slot], choice); s != nil {
		return s, nil
	}
	return nil, attls.Errorf(attls.Violation, attls.FailChoiceNotOffered, "the scheme %x was not offered", choice.Wire).
		By(p.ID)
}

// CheckAnswers is the client's check once the server's parameters are complete
// (rules `answer` and `demand`).
func CheckAnswers(p *profile.Profile, offered, chosen Slots, policy Policy, sawCertificateRequest bool) *attls.Error {
	bad := func(f attls.Failure, format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Violation, f, format, args...).By(p.ID)
	}
	var n [2]int
	offeredAny := false
	for i, c := range chosen.Choices {
		offeredAny = offeredAny || len(offered.Offers[i]) > 0 && p.UsesSlot(i, false)
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
	if policy.Demand && n[attls.RoleServer] == 0 && !p.AlertFor(attls.FailDemandedByClient).None {
		// the demand says more than the profile's rule
		return nothing(attls.FailDemandedByClient, p.ID, "the server must attest and chose no scheme")
	}
	if offeredAny && n[0]+n[1] == 0 && p.Rules.AnswerNoneAbort {
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
		if c != nil && p.Slots[i].Attester == attester && !IsNullChoice(p, c) {
			return i, c
		}
	}
	return -1, nil
}

// IsNullChoice recognises the fixed answer that means no choice.
func IsNullChoice(p *profile.Profile, s *Scheme) bool {
	return p.Rules.NullChoice != nil && bytes.Equal(s.Wire, p.Rules.NullChoice.Wire)
}
