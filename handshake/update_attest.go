package handshake

import (
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
	"attls/internal/rule"
)

// Attestation with Extended Key Update, where a profile has slots of the phase key_update:
// who has attested before attests again with each update, under the same scheme and for the
// key that it has shown, with a binder of that update.
//
//	attester:      [Evidence] -- payload --> ... <-- outcome --
//	relying party: -- payload --> [Appraisal] -- outcome -->
//
// The payload comes behind the exchange, under its keys; or in front of the attester's last
// message under the old ones, and then it is looked at once the exchange is complete. Until
// everything of an update is settled at an end, that end begins no other.

// updateStage is how far the attestation of one end has come.
type updateStage uint8

const (
	updateSettled updateStage = iota // it does not attest, or has, and was answered
	updateOwed                       // the payload is to be shown
	updateHeld                       // it came, and the exchange is not complete
	updateShown                      // it was shown, and the answer is to come
)

// Reattestation is an attestation with an extended key update.
type Reattestation struct {
	AttestationState
	Epoch uint64
	// Accepted says that the relying party took it: at the attester because the outcome says
	// so, and false also where the profile has none.
	Accepted bool
	// Inputs is what the binder was computed from.
	Inputs binder.Inputs
}

// updateProof is what one end shows with an update.
type updateProof struct {
	stage    updateStage
	by       *attesting
	proof    proof
	place    profile.UpdatePlace
	accepted bool
	asked    bool // our Attester was
	inputs   binderInputs
}

// updateAttestation is what is attested with one update. Where an update attests nothing
// there is none.
type updateAttestation struct {
	epoch             uint64
	request, response []byte // the whole messages
	main, hash        secret
	ends              [2]updateProof
	judging           attls.Role
	judged            *authenticated // the peer, with the proof of this update
	message           *flight        // a response or finish of ours that waits for our Evidence
}

// clone copies the state for a fork.
func (a *updateAttestation) clone(to *Engine, c *copies) *updateAttestation {
	if a == nil {
		return nil
	}
	f := *a
	for i := range f.ends {
		f.ends[i].proof = a.ends[i].proof.clone()
	}
	f.judged = c.peer(a.judged)
	for i := range f.ends {
		f.ends[i].inputs.e, f.ends[i].inputs.u = to, &f
	}
	if a.judged != nil {
		f.judged.proof = &f.ends[a.judging].proof
	}
	return &f
}

// settled reports whether nothing of an update is still to be attested.
func (a *updateAttestation) settled() bool {
	return a == nil || a.ends[0].stage == updateSettled && a.ends[1].stage == updateSettled
}

// updateProofOf is what an end has attested with the last update; nil: nothing.
func (e *Engine) updateProofOf(attester attls.Role) *updateProof {
	if attester == e.role {
		return e.own.again
	}
	return e.peer.again
}

// attestsWithUpdates is how an end attests with an update: as it has attested before; nil:
// not at all.
func (e *Engine) attestsWithUpdates(attester attls.Role) *attesting {
	if e.profile().UpdateSlot(attester) < 0 {
		return nil
	}
	shown := binderInputs{e: e}.proof(attester)
	for _, by := range e.attests(attester, shown) {
		if shown.of(by.slot).payload != nil && by.scheme.Credential == profile.KindX509 {
			return by
		}
	}
	return nil
}

// beginUpdateAttestation notes who is to attest with the update whose secrets were just
// derived.
func (e *Engine) beginUpdateAttestation(initiator bool, main *secret, request, response []byte) {
	u, p := e.rekey, e.profile()
	u.att = nil
	if len(p.Updates) == 0 {
		return
	}
	a := &updateAttestation{epoch: u.next.number, request: request, response: response, main: *main, hash: u.next.hash}
	for _, r := range attls.Roles() {
		by, place := e.attestsWithUpdates(r), p.KeyUpdate.Place(initiator == (r == e.role))
		if by == nil || place == profile.UpdateNever {
			continue
		}
		x := updateProof{stage: updateOwed, by: by, place: place, proof: proof{later: true, by: []*attesting{by}}}
		x.inputs = binderInputs{e: e, u: a, by: by}
		x.proof.of(by.slot).nonce = binderInputs{e: e}.proof(r).of(by.slot).nonce
		a.ends[r] = x
	}
	if a.settled() {
		return
	}
	u.att = a
	a.judging, a.judged = e.role.Peer(), &authenticated{}
	*a.judged = *e.peer
	a.judged.proof, a.judged.again = &a.ends[e.role.Peer()].proof, nil
}

// attestBefore asks for our Evidence in front of a message of ours that changes our key, and
// keeps that; false: it can go at once.
func (e *Engine) attestBefore(f flight) (bool, *attls.Error) {
	a := e.rekey.att
	if a == nil || a.ends[e.role].stage != updateOwed || a.ends[e.role].place != profile.UpdateBefore {
		return false, nil
	}
	a.message = &f
	return true, e.askUpdateEvidence(a)
}

// attestUpdated goes on once an exchange is complete.
func (e *Engine) attestUpdated() *attls.Error {
	a := e.rekey.att
	if a == nil {
		return nil
	}
	if own := &a.ends[e.role]; own.stage == updateOwed && !own.asked {
		if err := e.askUpdateEvidence(a); err != nil {
			return err
		}
	}
	if a.ends[e.role.Peer()].stage == updateHeld {
		return e.askUpdateAppraisal(a)
	}
	return nil
}

func (e *Engine) askUpdateEvidence(a *updateAttestation) *attls.Error {
	own := &a.ends[e.role]
	own.asked = true
	r, err := e.evidenceRequest(own.inputs, own.by)
	if err != nil {
		return err.In(attls.KindExtendedKeyUpdate)
	}
	w := e.ask(gateNever, &Wait{Kind: WaitEvidence, Due: e.updateCarrier(e.role), Evidence: r})
	w.slot, w.after, w.update = own.by.slot, true, true
	return nil
}

// updateCarrier is the kind of message that carries the payload of an end.
func (e *Engine) updateCarrier(attester attls.Role) attls.MessageKind {
	if p := e.profile(); p.Updates[p.UpdateSlot(attester)].Added {
		return attls.KindAdded
	}
	return attls.KindExtendedKeyUpdate
}

// updateAnswer goes on with an answer for an attestation with an update.
func (e *Engine) updateAnswer(w *waiting) *attls.Error {
	if w.wait.Kind == WaitEvidence {
		payload, err := e.takePayload(w.answer.Evidence)
		if err != nil {
			return err
		}
		return e.showUpdated(payload)
	}
	return e.updateJudged(w)
}

// showUpdated sends our payload.
func (e *Engine) showUpdated(payload []byte) *attls.Error {
	u, p := e.rekey, e.profile()
	a := u.att
	own, slot := &a.ends[e.role], p.UpdateSlot(e.role)
	s := &p.Updates[slot]
	if n := len(payload); n > s.MaxPayload {
		return attls.Errorf(attls.Local, attls.FailTooLarge, "a payload of %d octets; %s has room for %d", n, s.Path,
			s.MaxPayload).By(p.ID)
	}
	body, err := p.EncodeUpdate(slot, payload)
	if err != nil {
		return asLocal(err)
	}
	kind := attls.TypeExtendedKeyUpdate
	if s.Added {
		kind = p.Messages[s.Message].Type
	}
	f := flight{messages: [][]byte{message.AppendMessage(nil, kind, body)}}
	if a.message != nil {
		f.messages, f.next = append(f.messages, a.message.messages...), a.message.next
		a.message = nil
	}
	own.proof.of(own.by.slot).payload = payload
	own.stage = updateShown
	if err := e.release(f); err != nil {
		return err
	}
	if p.KeyUpdate.Outcome < 0 {
		e.settleUpdate(e.role, false)
	}
	if u.phase != updateFinishing {
		return nil
	}
	return e.enterEpoch()
}

// updateAdded takes an added message, which carries a payload.
func (e *Engine) updateAdded(m *message.Raw) *attls.Error {
	p := e.profile()
	slot := p.UpdateSlot(e.role.Peer())
	if slot < 0 || !p.Updates[slot].Added || p.Messages[p.Updates[slot].Message].Type != m.Type {
		return unexpected(m, connected{})
	}
	return e.takeUpdated(m.Body(), slot)
}

// updateMessage takes an ExtendedKeyUpdate of a subtype that the profile adds.
func (e *Engine) updateMessage(m *message.Raw, index int) *attls.Error {
	u, p := e.rekey, e.profile()
	slot := p.UpdateSlot(e.role.Peer())
	switch {
	case index == p.KeyUpdate.Outcome:
		return e.takeOutcome(m)
	case slot >= 0 && !p.Updates[slot].Added && p.Updates[slot].Message == index:
		return e.takeUpdated(m.Body(), slot)
	}
	return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%s is not sent by the %v", p.KeyUpdates[index].Name,
		e.role.Peer()).Under("eku_type").By(u.by(p))
}

// by is what the rules of an attestation with updates are cited by.
func (*extendedUpdates) by(p *profile.Profile) string { return p.ID + " key_update" }

// takeUpdated takes the peer's payload out of a body.
func (e *Engine) takeUpdated(body []byte, slot int) *attls.Error {
	u, p := e.rekey, e.profile()
	name := p.Updates[slot].Name
	refuse := func(format string, args ...any) *attls.Error {
		if !e.obeys(rule.UpdatePayloadDue) {
			return nil
		}
		return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, format, args...).Under(name).By(u.by(p))
	}
	a, peer := u.att, e.role.Peer()
	if place := p.KeyUpdate.Place(u.phase == updateAnswered); u.phase != updateIdle && place != profile.UpdateBefore {
		return refuse("the %v attests before the exchange is complete, in state %v", peer, u.phase)
	} else if u.phase == updateAsked { // the response is still to come
		if e.attestsWithUpdates(peer) == nil || u.early != nil {
			return refuse("the %v has nothing to attest in front of its response", peer)
		}
		u.early = slices.Clone(body)
		return nil
	}
	if a == nil || a.ends[peer].stage != updateOwed {
		return refuse("the %v has nothing to attest here: it did not attest before, or has attested with this update", peer)
	}
	if a.ends[peer].place == profile.UpdateBefore && u.phase == updateIdle {
		return refuse("the payload comes behind the exchange, and belongs in front of the last message under the old keys")
	}
	payload, err := p.DecodeUpdate(slot, body)
	if err != nil {
		return asError(err)
	}
	end := &a.ends[peer]
	end.proof.of(end.by.slot).payload = payload
	end.stage = updateHeld
	if u.phase != updateIdle {
		return nil
	}
	return e.askUpdateAppraisal(a)
}

// takeEarly takes the payload that came in front of the response.
func (e *Engine) takeEarly() *attls.Error {
	u, p := e.rekey, e.profile()
	body := u.early
	if u.early = nil; body != nil {
		return e.takeUpdated(body, p.UpdateSlot(e.role.Peer()))
	}
	if a := u.att; a != nil && a.ends[e.role.Peer()].place == profile.UpdateBefore {
		return e.updateMissing(a, "in front of its key_update_response")
	}
	return nil
}

// updateMissing refuses a peer that attested before and does not now.
func (e *Engine) updateMissing(a *updateAttestation, where string) *attls.Error {
	peer := e.role.Peer()
	if a.ends[peer].stage != updateOwed {
		return nil
	}
	if !e.obeys(rule.UpdateAttested) {
		a.ends[peer].stage = updateSettled
		return nil
	}
	return e.attestationFailure(attls.FailMissing, "the %v attested before, and shows nothing %s", peer, where)
}

func (e *Engine) askUpdateAppraisal(a *updateAttestation) *attls.Error {
	peer := e.role.Peer()
	end := &a.ends[peer]
	end.stage = updateShown
	r, err := e.appraisalRequest(end.inputs, end.by)
	if err != nil {
		return err.In(e.updateCarrier(peer))
	}
	w := e.ask(gateNever, &Wait{Kind: WaitAppraisal, Due: attls.KindExtendedKeyUpdate, Appraisal: r,
		brought: e.updateCarrier(peer)})
	w.slot, w.after, w.update, w.peer = end.by.slot, true, true, a.judged
	return nil
}

// updateJudged takes the verdict on the peer's payload, and tells the peer.
func (e *Engine) updateJudged(w *waiting) *attls.Error {
	a, p, peer := e.rekey.att, e.profile(), e.role.Peer()
	failure := e.judged(w)
	end := &a.ends[peer]
	accepted := end.proof.of(w.slot).accepted()
	if p.KeyUpdate.Outcome >= 0 && e.obeys(rule.UpdateAnswered) {
		body, err := p.EncodeOutcome(accepted)
		if err != nil {
			return asLocal(err)
		}
		raw := message.AppendMessage(nil, attls.TypeExtendedKeyUpdate, body)
		if err := e.release(flight{messages: [][]byte{raw}}); err != nil {
			return err
		}
	}
	if failure != nil && p.KeyUpdate.Report && !e.cfg.Policy.Demand {
		failure = nil
	}
	if failure == nil && !accepted && e.cfg.Policy.Demand {
		why := attls.FailDemandedByClient
		if e.role == attls.RoleServer {
			why = attls.FailDemandedByServer
		}
		failure = attls.Errorf(attls.Refused, why, "the %v must attest and was not accepted again", peer).By(p.ID)
	}
	if failure != nil {
		return failure
	}
	e.settleUpdate(peer, accepted)
	return nil
}

// takeOutcome takes the relying party's word on our payload.
func (e *Engine) takeOutcome(m *message.Raw) *attls.Error {
	u, p := e.rekey, e.profile()
	accepted, err := p.DecodeOutcome(m.Body())
	if err != nil {
		return asError(err)
	}
	if a := u.att; a == nil || a.ends[e.role].stage != updateShown {
		if !e.obeys(rule.UpdateOutcomeDue) {
			return nil
		}
		return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%s comes without a payload that it answers",
			p.KeyUpdates[p.KeyUpdate.Outcome].Name).Under("eku_type").By(u.by(p))
	}
	e.settleUpdate(e.role, accepted)
	return nil
}

// settleUpdate ends the attestation of one end, and tells of it with that of the last.
func (e *Engine) settleUpdate(attester attls.Role, accepted bool) {
	a := e.rekey.att
	end := &a.ends[attester]
	end.stage, end.accepted = updateSettled, accepted
	if attester == e.role {
		e.own.again = end
	} else {
		e.peer.again = end
	}
	if a.settled() {
		e.emit(Event{Kind: EventReattested, Epoch: a.epoch})
	}
}

// checkUpdateSettled refuses a message of the peer's with which it goes on before the
// attestations of the last update are settled.
func (e *Engine) checkUpdateSettled() *attls.Error {
	a := e.rekey.att
	if a.settled() {
		return nil
	}
	if err := e.updateMissing(a, "with the update before"); err != nil {
		return err
	}
	if own := &a.ends[e.role]; own.stage == updateShown && !e.obeys(rule.UpdateOutcomeSent) {
		own.stage = updateSettled
	}
	if a.settled() || !e.obeys(rule.UpdateDue) {
		return nil
	}
	return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
		"the %v goes on before it has answered what this end attests with the update before, or before it was answered",
		e.role.Peer()).By(e.rekey.by(e.profile()))
}

// reattestations are those of the last update, of each end.
func (e *Engine) reattestations() (list []Reattestation) {
	for _, attester := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		again := e.updateProofOf(attester)
		if again == nil {
			continue
		}
		x, in := again.proof.of(again.by.slot), again.inputs
		in.e = e
		list = append(list, Reattestation{Epoch: in.u.epoch, Accepted: again.accepted, Inputs: in,
			AttestationState: AttestationState{Attester: attester,
				Slot:   e.profile().Updates[e.profile().UpdateSlot(attester)].Name,
				Scheme: *again.by.scheme, Nonce: x.nonce, Challenge: x.challenge, Payload: x.payload, Verdict: x.verdict}})
	}
	return list
}
