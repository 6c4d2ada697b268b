package handshake

import (
	"bytes"
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// Attestation in post-handshake authentication, where a profile lets a client
// attest there: in slots of that phase, or, under after.post_handshake, in those of the
// handshake again. Under which scheme it does the handshake has settled, or each
// CertificateRequest says it:
//
//	client: CertificateRequest -> [Credential] -> [Evidence] -> [Signature] -> Certificate, CertificateVerify, Finished
//	server: Certificate -> CertificateVerify -> Finished [CertificateVerdict] [Appraisal]
//
// Messages that the profile adds stand between them as in the handshake.
//
// A nonce that travels in CertificateRequest is another one in each request.
//
// The server sends nothing after the client's Finished, so a verdict that is due
// before anything holds back EventAuthenticated.

// attestsLater reports whether the profile lets a client attest after the handshake.
func (e *Engine) attestsLater() bool {
	return e.profile().PostHandshake.ClientAuthentication
}

// attestUnder makes the client attest in its answer to a request under the schemes
// chosen that can stand there; see profile.AttestsLater.
func (e *Engine) attestUnder(r *authRequest, chosen negotiation.Slots) {
	p := e.profile()
	r.attest(slices.DeleteFunc(e.under(chosen, attls.RoleClient), func(by *attesting) bool {
		s := &p.Slots[by.slot]
		return !p.UsesSlot(by.slot, true) || !p.AttestsLater(by.slot, by.scheme.Credential) ||
			!p.PostHandshake.ChoiceCarriedOver && !s.Always && s.Choice.Message != attls.KindCertificateRequest
	}))
}

// requestAttestation settles how the client attests in its answer to a server's
// request.
func (e *Engine) requestAttestation(r *authRequest) error {
	p := e.profile()
	switch {
	case !e.attestsLater():
		return nil
	case p.PostHandshake.ChoiceCarriedOver:
		e.attestUnder(r, e.att.chosen)
	default:
		chosen, err := negotiation.ChooseAfter(p, e.att.offered, e.cfg.Policy)
		if err != nil {
			return asGoError(e.letPass(err))
		}
		e.attestUnder(r, chosen)
	}
	for _, by := range r.by {
		s := &p.Slots[by.slot]
		if m := s.Nonce.Message; m != attls.KindNone && m != attls.KindCertificateRequest &&
			e.att.fields.Nonces[by.slot] == nil {
			return attls.Errorf(attls.Local, attls.FailNonceSize,
				"the client attests with a nonce that travels in %s, and none was sent there in this handshake", s.NoncePath).
				By(p.ID)
		}
	}
	return nil
}

// attestationOf adds what a server's request says of the client's attestation.
func (e *Engine) attestationOf(r *authRequest) *attls.Error {
	if len(r.by) == 0 {
		return nil
	}
	p := e.profile()
	f := p.NewFields()
	for i, by := range r.by {
		f.Nonces[by.slot] = r.nonces[i]
		if s := &p.Slots[by.slot]; !p.PostHandshake.ChoiceCarriedOver || r.nonces[i] != nil && s.Nonce == s.Choice {
			f.Choices[by.slot] = by.scheme // where the choice holds, said again beside the nonce
		}
	}
	return e.addExtensions(attls.KindCertificateRequest, f)
}

// askLaterNonces asks for the nonces that a server's request carries; false: the
// request can be sent at once.
func (e *Engine) askLaterNonces(r *authRequest) bool {
	p := e.profile()
	var waits []int
	for i, by := range r.by {
		if p.Slots[by.slot].Nonce.Message != attls.KindCertificateRequest {
			continue
		}
		if r.nonces[i] = p.Rules.NonceFixed; r.nonces[i] == nil {
			waits = append(waits, by.slot)
		}
	}
	if len(waits) == 0 {
		return false
	}
	a := &authAnswer{request: *r, verdicts: len(waits)}
	for _, slot := range waits {
		w := e.ask(gateNever, e.nonceWait(&p.Slots[slot]))
		w.slot, w.after, w.auth = slot, true, a
	}
	e.post.pending++
	return true
}

// readLaterChoice settles how this client attests in its answer to a request.
func (e *Engine) readLaterChoice(r *authRequest, l extensions.List) *attls.Error {
	if !e.attestsLater() {
		return nil
	}
	p := e.profile()
	f := p.NewFields()
	if err := e.decodeFields(attls.KindCertificateRequest, l, f); err != nil {
		return err
	}
	chosen := e.att.chosen
	if p.PostHandshake.ChoiceCarriedOver {
		if err := e.sameChoices(f); err != nil {
			return err
		}
	} else {
		n := len(p.Slots)
		chosen = negotiation.Slots{Present: make([]bool, n), Choices: make([]*profile.Scheme, n)}
		if err := e.checkChoices(attls.KindCertificateRequest, f, chosen); err != nil {
			return err
		}
	}
	e.takeAlways(true, true, f.Nonces, chosen)
	e.attestUnder(r, chosen)
	for i, by := range r.by {
		r.nonces[i] = f.Nonces[by.slot]
	}
	return nil
}

// sameChoices refuses a later choice that is not the one that was carried over.
func (e *Engine) sameChoices(f *profile.Fields) *attls.Error {
	for i, c := range f.Choices {
		if now := e.att.chosen.Choices[i]; c != nil && (now == nil || !bytes.Equal(c.Wire, now.Wire)) {
			err := e.attestationFailure(attls.FailChoiceNotOffered, "is not the choice of the handshake, which holds")
			if err != nil {
				return err.Under("extensions." + e.profile().Slots[i].Name).In(attls.KindCertificateRequest)
			}
		}
	}
	return nil
}

// carriedLater is where in post-handshake authentication a payload travels.
func (e *Engine) carriedLater(by *attesting) binder.Point {
	if by.inMessage() {
		return e.profile().Messages[by.credential.Message].Later
	}
	return binder.PointPostHandshakeCT
}

// fillLater goes on with an answer at a point: it asks our Attester for the payloads
// that travel there, unless it has them, and is called again with the last of them.
// Then it adds the messages of the profile that stand there; false: an answer is due.
func (e *Engine) fillLater(a *authAnswer, at binder.Point) (bool, *attls.Error) {
	if a.filled != at {
		a.filled = at
		for _, by := range a.request.by {
			if e.carriedLater(by) != at {
				continue
			}
			if !e.shows(&a.own, a.request.by) {
				return false, nothingBeside()
			}
			r, err := e.evidenceRequest(binderInputs{e: e, a: a, by: by}, by)
			if err != nil {
				return false, err
			}
			w := e.ask(gateNever, &Wait{Kind: WaitEvidence, Due: by.message(), Evidence: r})
			w.slot, w.after, w.auth = by.slot, true, a
			a.evidence++
		}
	}
	if a.evidence > 0 {
		return false, nil
	}
	for i := range e.profile().Messages {
		if e.profile().Messages[i].Later != at {
			continue
		}
		raw, err := e.addedMessage(i, e.profile().NewFields(), a.request.by, &a.own.proof)
		if err != nil {
			return false, err
		}
		if raw != nil {
			if err := e.adds(a, at, raw); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// expectsLater lists the added messages that a client's answer has at a point.
func (e *Engine) expectsLater(a *authAnswer, at binder.Point) (list []int) {
	for i := range e.profile().Messages {
		if e.profile().Messages[i].Later == at && slices.ContainsFunc(a.request.by, func(by *attesting) bool {
			return by.inMessage() && by.credential.Message == i
		}) {
			list = append(list, i)
		}
	}
	return list
}

// answerAdded takes an added message of a client's answer.
func (e *Engine) answerAdded(a *authAnswer, m *message.Raw) *attls.Error {
	p, due := e.profile(), e.expectsLater(a, a.at+1)
	for n, i := range due {
		if n < a.added || p.Messages[i].Type != m.Type {
			continue
		}
		if n > a.added {
			break // one in front of it is missing
		}
		f := p.NewFields()
		if err := p.DecodeMessage(i, attls.RoleClient, m.Body(), f); err != nil {
			return asError(err)
		}
		a.added++
		a.transcript.add(a.at+1, m.Bytes)
		return e.takePayloads(f, a.request.by, func(by *attesting) bool {
			return by.inMessage() && by.credential.Message == i
		}, a.peer.proof)
	}
	return unexpected(m, connected{})
}

// answerFollows refuses a message of TLS in the place of an added one that carries a
// payload.
func (e *Engine) answerFollows(a *authAnswer, m *message.Raw) *attls.Error {
	if len(a.peer.chain) == 0 || a.added >= len(e.expectsLater(a, a.at+1)) {
		return nil
	}
	return e.attestationFailure(attls.FailMissing, "%v came in the place of the message that carries the payload", m.Kind)
}

// askLaterAppraisals asks our Appraiser for a verdict on each payload of an answer.
func (e *Engine) askLaterAppraisals(a *authAnswer) *attls.Error {
	for _, by := range a.request.by {
		if a.peer.proof.of(by.slot).payload == nil {
			continue
		}
		r, err := e.appraisalRequest(binderInputs{e: e, a: a, by: by}, by)
		if err != nil {
			if err = e.letPass(err.In(by.message())); err != nil {
				return err
			}
			continue
		}
		w := e.ask(gateNever, &Wait{Kind: WaitAppraisal, Due: attls.KindFinished, Appraisal: r, brought: by.message()})
		w.slot, w.auth, w.peer = by.slot, a, a.peer
		if e.profile().Rules.Verdict != profile.BeforeNothing {
			w.after = true
			a.verdicts++
		}
	}
	return nil
}

// keepProof lets a client that shows its key again keep what was said of this
// key, unless it was to attest anew. What was said of another key does not count.
func (e *Engine) keepProof(a *authAnswer) {
	if len(a.request.by) == 0 && e.sameKey(e.peer.spki, a.peer.spki) {
		a.peer.proof, a.peer.kept, a.peer.again = e.peer.proof, e.peer.kept, e.peer.again
	}
}

// shownAll reports whether the peer attests and has shown each payload.
func (e *Engine) shownAll(p *proof) bool {
	list := e.attests(e.role.Peer(), p)
	return len(list) > 0 && !slices.ContainsFunc(list, func(by *attesting) bool { return p.of(by.slot).payload == nil })
}

// checkLaterDemand is checkDemand for an answer: who authenticates is an attested
// client still, whatever the request has asked for.
func (e *Engine) checkLaterDemand(a *authAnswer) *attls.Error {
	if err := e.checkVouched(a.peer); err != nil {
		return err
	}
	p, of := e.profile(), a.peer
	declined := len(of.chain) == 0 && len(a.request.by) == 0 // the client stays who it was
	if !e.cfg.Policy.Demand || declined || of.kept != nil || e.accepted(of.proof) {
		return nil
	}
	if p.Rules.Verdict == profile.BeforeNothing && e.shownAll(of.proof) {
		return nil
	}
	if len(a.request.by) == 0 {
		if !e.obeys(rule.KeyAttested) {
			return nil
		}
		return attls.Errorf(attls.Refused, attls.FailDemandedByServer,
			"the client must attest, and shows after the handshake another key than the attested one").By(p.ID)
	}
	if !e.obeys(rule.DemandByServer) {
		return nil
	}
	return attls.Errorf(attls.Refused, attls.FailDemandedByServer, "the client must attest and was not accepted").By(p.ID)
}
