package cases

import (
	"context"
	"errors"
	"slices"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// updateRows are about attestation with Extended Key Update.
var updateRows = []Row{
	updated("update-attested", rule.CredentialSent, "Who attested attests again with an extended key update, under another challenge, and is answered.",
		Observe{}, tryUpdated),
	updated("update-attestation-dropped", rule.UpdateAttested, "The attester does not attest with an update, and begins the next one.",
		Reject{Failure: attls.FailMissing}, tryUpdateDropped),
	updated("update-attestation-twice", rule.UpdatePayloadDue, "The attester attests twice with one update.",
		Reject{Failure: attls.FailUnexpectedMessage}, tryUpdateTwice),
	updated("update-attestation-early", rule.UpdatePayloadDue, "An end attests in front of its first message of an update.",
		Reject{Failure: attls.FailUnexpectedMessage}, tryUpdateEarly),
	updated("update-attestation-new", rule.UpdatePayloadDue, "The end that did not attest in the handshake attests with an update.",
		Reject{Failure: attls.FailUnexpectedMessage}, tryUpdateNew),
	updated("update-attestation-cut", "", "The last octet of what carries the payload is missing.",
		Reject{Failure: attls.FailDecode}, tryUpdateCut),
	updated("update-binder-of-handshake", rule.BinderCompared, "The attester attests with the binder of the handshake.",
		Reject{Failure: attls.FailBinderMismatch}, tryUpdateStale),
	updated("update-evidence-of-handshake", rule.BinderCompared, "The attester shows the payload of the handshake again.",
		Reject{Failure: attls.FailBinderMismatch}, tryUpdateReplayed),
	updated("update-outcome-dropped", rule.UpdateOutcomeSent, "The relying party does not tell the outcome, and begins the next update.",
		Reject{Failure: attls.FailUnexpectedMessage}, tryOutcomeDropped),
	updated("update-outcome-unasked", rule.UpdateOutcomeDue, "The relying party tells an outcome of nothing.",
		Reject{Failure: attls.FailUnexpectedMessage}, tryOutcomeUnasked),
	updated("update-outcome-undefined", "", "The outcome is a number without a meaning.",
		Reject{Failure: attls.FailIllegalParameter}, tryOutcomeUndefined),
	updated("update-outcome-refused", rule.UpdateAnswered, "Before the relying party ends the connection it tells the attester that the appraisal failed.",
		Observe{}, tryOutcomeRefused),
}

// updated is a row about attestation with Extended Key Update.
func updated(id string, r rule.Rule, does string, e Expect, try func(*Context) *Change) Row {
	return Row{ID: id, Rule: string(r), Does: does, Expect: e, Try: func(c *Context) *Change {
		if c.Profile.UpdateSlot(c.Attester) < 0 {
			return nil
		}
		c.Scenario.ExtendedKeyUpdate = true
		return try(c)
	}}
}

// carriesUpdate tells the message with which an end attests.
func carriesUpdate(p *profile.Profile, attester attls.Role) func(*message.Raw) bool {
	s := &p.Updates[p.UpdateSlot(attester)]
	if s.Added {
		done := false
		return func(m *message.Raw) bool {
			switch m.Kind {
			case attls.KindClientHello, attls.KindServerHello: // a case is run more than once
				done = false
			case attls.KindExtendedKeyUpdate, attls.KindFinished:
				done = true
			}
			return done && m.Type == p.Messages[s.Message].Type
		}
	}
	return func(m *message.Raw) bool { return isSubtype(m, p.KeyUpdates[s.Message].Subtype) }
}

func isSubtype(m *message.Raw, t attls.ExtendedKeyUpdateType) bool {
	return m.Type == attls.TypeExtendedKeyUpdate && len(m.Body()) > 0 && attls.ExtendedKeyUpdateType(m.Body()[0]) == t
}

// tellsOutcome tells the message with which a relying party answers.
func tellsOutcome(p *profile.Profile) func(*message.Raw) bool {
	return func(m *message.Raw) bool { return isSubtype(m, p.KeyUpdates[p.KeyUpdate.Outcome].Subtype) }
}

// ofUpdates changes messages of an end, and expects what the other does.
func ofUpdates(sender attls.Role, at attls.MessageKind, is func(*message.Raw) bool,
	change func(*message.Raw, *handshake.Plan)) *Change {
	return &Change{Expect: Reject{By: sender.Peer(), At: at}, Apply: func(s *scenario.Setup) {
		s.Tap(sender, tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
			if is(m) {
				change(m, p)
			}
		}))
	}}
}

// carrierKind is the kind of the message with which the scenario's attester attests.
func (c *Context) carrierKind() attls.MessageKind {
	if c.Profile.Updates[c.Profile.UpdateSlot(c.Attester)].Added {
		return attls.KindAdded
	}
	return attls.KindExtendedKeyUpdate
}

// requestOfUpdate is a request for an update, in the group of the scenario.
func requestOfUpdate(c *Context) []byte {
	withX25519(c.Scenario)
	m := message.ExtendedKeyUpdate{Type: attls.KeyUpdateRequest, Group: attls.GroupX25519, Key: aShare}
	return m.Append(nil)
}

// againOf is what an end knows of the attestation of an attester with the last update; nil:
// nothing.
func againOf(c *claims.Claims, attester attls.Role) *claims.AttestationClaim {
	for i := range c.Attestation {
		if a := &c.Attestation[i]; a.Phase == claims.PhaseKeyUpdate && a.Attester == attester.String() {
			return a
		}
	}
	return nil
}

func tryUpdated(c *Context) *Change {
	return observing(nil, soundAnd(func(r *scenario.Result) error {
		mine, theirs := againOf(&r.Claims[c.Attester.Peer()], c.Attester), againOf(&r.Claims[c.Attester], c.Attester)
		switch {
		case mine == nil || theirs == nil || mine.Verdict == nil || !mine.Verdict.Accepted:
			return errors.New("the attester was not accepted again")
		case mine.Challenge != theirs.Challenge:
			return errors.New("the ends have two challenges")
		case mine.Challenge != "" && mine.Challenge == challengeOf(&r.Claims[c.Attester], c.Attester):
			return errors.New("the challenge is that of the handshake")
		case theirs.Outcome != nil && !*theirs.Outcome:
			return errors.New("the attester was told that it is refused")
		}
		return nil
	}))
}

func tryUpdateDropped(c *Context) *Change {
	if c.Profile.KeyUpdate.Place(c.Attester == attls.RoleClient) == profile.UpdateBefore {
		return ofUpdates(c.Attester, attls.KindExtendedKeyUpdate, carriesUpdate(c.Profile, c.Attester),
			func(_ *message.Raw, p *handshake.Plan) { p.Drop = true })
	}
	request := requestOfUpdate(c)
	return ofUpdates(c.Attester, attls.KindExtendedKeyUpdate, carriesUpdate(c.Profile, c.Attester),
		func(_ *message.Raw, p *handshake.Plan) { p.Replace = request })
}

func tryUpdateTwice(c *Context) *Change {
	return ofUpdates(c.Attester, c.carrierKind(), carriesUpdate(c.Profile, c.Attester),
		func(m *message.Raw, p *handshake.Plan) { p.After = [][]byte{slices.Clone(m.Bytes)} })
}

// aPayload is a message with a payload of an end.
func (c *Context) aPayload(attester attls.Role) []byte {
	slot := c.Profile.UpdateSlot(attester)
	body, err := c.Profile.EncodeUpdate(slot, []byte{0x82, 0x19, 0x01, 0x07, 0x41, 0})
	if slot < 0 || err != nil {
		return nil
	}
	t := attls.TypeExtendedKeyUpdate
	if s := &c.Profile.Updates[slot]; s.Added {
		t = c.Profile.Messages[s.Message].Type
	}
	return tamper.Message(t, body)
}

func tryUpdateEarly(c *Context) *Change {
	for _, initiator := range []bool{false, true} {
		if c.Profile.KeyUpdate.Place(initiator) == profile.UpdateBefore {
			return nil // it may come in front of a message of the exchange
		}
	}
	raw, done := c.aPayload(c.Attester), false
	return ofUpdates(c.Attester, c.carrierKind(),
		func(m *message.Raw) bool { return m.Type == attls.TypeExtendedKeyUpdate },
		func(_ *message.Raw, p *handshake.Plan) {
			if !done {
				done, p.Before = true, [][]byte{raw}
			}
		})
}

func tryUpdateNew(c *Context) *Change {
	sender := c.Attester.Peer()
	if c.Scenario.Attester == scenario.AttestBoth || c.Profile.UpdateSlot(sender) < 0 || c.Profile.KeyUpdate.Outcome < 0 {
		return nil
	}
	raw := c.aPayload(sender)
	return ofUpdates(sender, c.carrierKind(), tellsOutcome(c.Profile),
		func(_ *message.Raw, p *handshake.Plan) { p.Before = [][]byte{raw} })
}

func tryUpdateCut(c *Context) *Change {
	change := ofUpdates(c.Attester, c.carrierKind(), carriesUpdate(c.Profile, c.Attester),
		func(m *message.Raw, p *handshake.Plan) {
			p.Replace = tamper.Message(m.Type, m.Body()[:len(m.Body())-1])
		})
	if c.carrierKind() == attls.KindAdded {
		change.Expect = Reject{By: c.Attester.Peer(), Failure: attls.FailAttestationExtension}
	}
	return change
}

// recalling is an Attester that answers every request as the first.
type recalling struct {
	negotiation.Attester
	first *[]byte
}

func (a recalling) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	if *a.first == nil {
		*a.first = slices.Clone(r.Challenge)
	}
	old := *r
	old.Challenge = *a.first
	return a.Attester.Attest(ctx, &old)
}

func (c *Context) stale(apply func(*scenario.Setup)) *Change {
	if c.Profile.Binder.Challenge[c.Model][c.Kind] == "" {
		return nil
	}
	return &Change{Expect: Reject{By: c.Attester.Peer(), At: c.carrierKind()}, Apply: apply}
}

func tryUpdateStale(c *Context) *Change {
	return c.stale(func(s *scenario.Setup) {
		end := s.Ends[c.Attester]
		end.Attester = recalling{end.Attester, new([]byte)}
	})
}

// replaying is an Attester that shows its first payload again and again.
type replaying struct {
	negotiation.Attester
	first **negotiation.Evidence
}

func (a replaying) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	if *a.first != nil {
		return *a.first, nil
	}
	e, err := a.Attester.Attest(ctx, r)
	*a.first = e
	return e, err
}

func tryUpdateReplayed(c *Context) *Change {
	return c.stale(func(s *scenario.Setup) {
		end := s.Ends[c.Attester]
		end.Attester = replaying{end.Attester, new(*negotiation.Evidence)}
	})
}

func tryOutcomeDropped(c *Context) *Change {
	if c.Profile.KeyUpdate.Outcome < 0 {
		return nil
	}
	request := requestOfUpdate(c)
	return ofUpdates(c.Attester.Peer(), attls.KindExtendedKeyUpdate, tellsOutcome(c.Profile),
		func(_ *message.Raw, p *handshake.Plan) { p.Replace = request })
}

func tryOutcomeUnasked(c *Context) *Change {
	if c.Profile.KeyUpdate.Outcome < 0 {
		return nil
	}
	body, err := c.Profile.EncodeOutcome(true)
	if err != nil {
		return nil
	}
	return &Change{Expect: Reject{By: c.Attester, At: attls.KindExtendedKeyUpdate},
		Apply: recordBefore(c.Attester.Peer(), atApplication, attls.ContentTypeHandshake,
			tamper.Message(attls.TypeExtendedKeyUpdate, body)...)}
}

func tryOutcomeUndefined(c *Context) *Change {
	if c.Profile.KeyUpdate.Outcome < 0 {
		return nil
	}
	return ofUpdates(c.Attester.Peer(), attls.KindExtendedKeyUpdate, tellsOutcome(c.Profile),
		func(m *message.Raw, p *handshake.Plan) {
			p.Replace = slices.Clone(m.Bytes)
			p.Replace[len(p.Replace)-1] = 0xfe
		})
}

func tryOutcomeRefused(c *Context) *Change {
	if c.Profile.KeyUpdate.Outcome < 0 || c.Profile.Binder.Challenge[c.Model][c.Kind] == "" {
		return nil
	}
	return observing(tryUpdateStale(c).Apply, func(r *scenario.Result) error {
		if a := againOf(&r.Claims[c.Attester], c.Attester); a == nil || a.Outcome == nil || *a.Outcome {
			return errors.New("the attester was not told of the refusal")
		}
		return nil
	})
}
