package handshake

import (
	"bytes"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/internal/rule"
	"attls/negotiation"
)

// Attestation in post-handshake authentication, where a profile lets a client
// attest there (after.post_handshake). Under which scheme it does the handshake
// has settled, or each CertificateRequest says it again:
//
//	client: CertificateRequest -> [Credential] -> [Evidence] -> [Signature] -> Certificate, CertificateVerify, Finished
//	server: Certificate -> CertificateVerify -> Finished [CertificateVerdict] [Appraisal]
//
// A nonce that travels in CertificateRequest is another one in each request.
//
// The server sends nothing after the client's Finished, so a verdict that is due
// before anything holds back EventAuthenticated.

// attestsLater reports whether the profile lets a client attest after the handshake.
func (e *Engine) attestsLater() bool {
	return e.profile().PostHandshake.ClientAuthentication
}

// attestUnder makes the client attest in its answer to a request, if a scheme is
// chosen that can stand there: with an X.509 certificate, in its entry or in itself.
func (e *Engine) attestUnder(r *authRequest, chosen negotiation.Slots) {
	p := e.profile()
	slot, s := negotiation.ChosenFor(p, chosen, attls.RoleClient)
	if s == nil || !p.PostHandshake.ChoiceCarriedOver && !p.Slots[slot].Always &&
		p.Slots[slot].Choice.Message != attls.KindCertificateRequest {
		return
	}
	if c, ok := p.Credential(s.Credential); ok && s.Credential == profile.KindX509 &&
		(c.Carrier == profile.CarrierExtension || c.Carrier == profile.CarrierCertificate) {
		r.by = &attesting{slot, s, c}
	}
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
		chosen, err := negotiation.Choose(p, e.att.offered, e.cfg.Policy)
		if err != nil {
			return asGoError(e.letPass(err))
		}
		e.attestUnder(r, chosen)
	}
	if r.by == nil {
		return nil
	}
	s := &p.Slots[r.by.slot]
	if m := s.Nonce.Message; m != attls.KindNone && m != attls.KindCertificateRequest &&
		e.att.fields.Nonces[r.by.slot] == nil {
		return attls.Errorf(attls.Local, attls.FailNonceSize,
			"the client attests with a nonce that travels in %s, and none was sent there in this handshake", s.NoncePath).
			By(p.ID)
	}
	return nil
}

// attestationOf adds what a server's request says of the client's attestation.
func (e *Engine) attestationOf(r *authRequest) *attls.Error {
	if r.by == nil {
		return nil
	}
	p := e.profile()
	f := p.NewFields()
	f.Nonces[r.by.slot] = r.nonce
	if s := &p.Slots[r.by.slot]; !p.PostHandshake.ChoiceCarriedOver || r.nonce != nil && s.Nonce == s.Choice {
		f.Choices[r.by.slot] = r.by.scheme // where the choice holds, said again beside the nonce
	}
	return e.addExtensions(attls.KindCertificateRequest, f)
}

// askLaterNonce asks for the nonce that a server's request carries; false: the
// request can be sent at once.
func (e *Engine) askLaterNonce(r *authRequest) bool {
	p := e.profile()
	if r.by == nil || p.Slots[r.by.slot].Nonce.Message != attls.KindCertificateRequest {
		return false
	}
	if r.nonce = p.Rules.NonceFixed; r.nonce != nil {
		return false
	}
	w := e.ask(gateNever, e.nonceWait(&p.Slots[r.by.slot]))
	w.slot, w.after, w.auth = r.by.slot, true, &authAnswer{request: *r}
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
	e.takeAlways(true, f.Nonces, chosen)
	if e.attestUnder(r, chosen); r.by != nil {
		r.nonce = f.Nonces[r.by.slot]
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

// askLaterEvidence asks our Attester for the payload of an answer.
func (e *Engine) askLaterEvidence(a *authAnswer) *attls.Error {
	if !e.shows(&a.own, a.request.by) {
		return nothingBeside()
	}
	r, err := e.evidenceRequest(binderInputs{e, a}, a.request.by.scheme)
	if err != nil {
		return err
	}
	w := e.ask(gateNever, &Wait{Kind: WaitEvidence, Due: attls.KindCertificate, Evidence: r})
	w.slot, w.after, w.auth = a.request.by.slot, true, a
	return nil
}

// askLaterAppraisal asks our Appraiser for a verdict on the payload of an answer.
func (e *Engine) askLaterAppraisal(a *authAnswer) *attls.Error {
	if a.request.by == nil || a.peer.proof.payload == nil {
		return nil
	}
	r, err := e.appraisalRequest(binderInputs{e, a}, a.request.by.scheme)
	if err != nil {
		return e.letPass(err.In(attls.KindCertificate))
	}
	w := e.ask(gateNever, &Wait{Kind: WaitAppraisal, Due: attls.KindFinished, Appraisal: r})
	w.slot, w.auth, w.peer = a.request.by.slot, a, a.peer
	if e.profile().Rules.Verdict != profile.BeforeNothing {
		w.after = true
		a.verdicts++
	}
	return nil
}

// keepProof lets a client that shows its key again keep what was said of this
// key, unless it was to attest anew. What was said of another key does not count.
func (e *Engine) keepProof(a *authAnswer) {
	if a.request.by == nil && e.sameKey(e.peer.spki, a.peer.spki) {
		a.peer.proof, a.peer.kept = e.peer.proof, e.peer.kept
	}
}

// checkLaterDemand is checkDemand for an answer: who authenticates is an attested
// client still, whatever the request has asked for.
func (e *Engine) checkLaterDemand(a *authAnswer) *attls.Error {
	if err := e.checkVouched(a.peer); err != nil {
		return err
	}
	p, of := e.profile(), a.peer
	declined := len(of.chain) == 0 && a.request.by == nil // the client stays who it was
	if !e.cfg.Policy.Demand || declined || of.kept != nil || of.proof.accepted() {
		return nil
	}
	if p.Rules.Verdict == profile.BeforeNothing && of.proof.payload != nil {
		return nil
	}
	if a.request.by == nil {
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
