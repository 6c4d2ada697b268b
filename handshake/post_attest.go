package handshake

import (
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
// The server sends nothing after the client's Finished, so a verdict that is due
// before anything holds back EventAuthenticated.

// attestsLater reports whether the profile lets a client attest after the handshake.
func (e *Engine) attestsLater() bool {
	return e.cfg.Profile != nil && e.cfg.Profile.PostHandshake.ClientAuthentication
}

// attestUnder makes the client attest in its answer to a request, if a scheme is
// chosen that can stand there: beside an X.509 certificate, in an extension of it.
func (e *Engine) attestUnder(r *authRequest, chosen negotiation.Slots) {
	p := e.cfg.Profile
	slot, s := negotiation.ChosenFor(p, chosen, attls.RoleClient)
	if s == nil || !p.PostHandshake.ChoiceCarriedOver && p.Slots[slot].Choice.Message != attls.KindCertificateRequest {
		return
	}
	if c, ok := p.Credential(s.Credential); ok && s.Credential == profile.KindX509 && c.Carrier == profile.CarrierExtension {
		r.slot, r.scheme = slot, s
	}
}

// requestAttestation settles how the client attests in its answer to a server's
// request, and adds what the request says of it.
func (e *Engine) requestAttestation(r *authRequest) *attls.Error {
	p := e.cfg.Profile
	switch {
	case !e.attestsLater():
		return nil
	case p.PostHandshake.ChoiceCarriedOver:
		e.attestUnder(r, e.att.chosen)
		return nil
	}
	chosen, err := negotiation.Choose(p, e.att.offered, e.cfg.Policy)
	if err != nil {
		return e.letPass(err)
	}
	e.attestUnder(r, chosen)
	f := p.NewFields()
	copy(f.Choices, chosen.Choices)
	return e.addExtensions(attls.KindCertificateRequest, f)
}

// readLaterChoice settles how this client attests in its answer to a request.
func (e *Engine) readLaterChoice(r *authRequest, l extensions.List) *attls.Error {
	p := e.cfg.Profile
	switch {
	case !e.attestsLater():
		return nil
	case p.PostHandshake.ChoiceCarriedOver:
		e.attestUnder(r, e.att.chosen)
		return nil
	}
	f := p.NewFields()
	if err := e.decodeFields(attls.KindCertificateRequest, l, f); err != nil {
		return err
	}
	n := len(p.Slots)
	chosen := negotiation.Slots{Present: make([]bool, n), Choices: make([]*profile.Scheme, n)}
	if err := e.checkChoices(attls.KindCertificateRequest, f, chosen); err != nil {
		return err
	}
	e.attestUnder(r, chosen)
	return nil
}

// askLaterEvidence asks our Attester for the payload of an answer.
func (e *Engine) askLaterEvidence(a *authAnswer) *attls.Error {
	if a.own.credential == nil {
		return nothingBeside()
	}
	r, err := e.evidenceRequest(binderInputs{e, a}, a.request.scheme)
	if err != nil {
		return err
	}
	w := e.ask(gateNever, &Wait{Kind: WaitEvidence, Due: attls.KindCertificate, Evidence: r})
	w.slot, w.after, w.auth = a.request.slot, true, a
	return nil
}

// askLaterAppraisal asks our Appraiser for a verdict on the payload of an answer.
func (e *Engine) askLaterAppraisal(a *authAnswer) *attls.Error {
	if a.request.scheme == nil || a.proof.payload == nil {
		return nil
	}
	r, err := e.appraisalRequest(binderInputs{e, a}, a.request.scheme)
	if err != nil {
		return e.letPass(err.In(attls.KindCertificate))
	}
	w := e.ask(gateNever, &Wait{Kind: WaitAppraisal, Due: attls.KindFinished, Appraisal: r})
	w.slot, w.auth = a.request.slot, a
	if e.cfg.Profile.Rules.Verdict != profile.BeforeNothing {
		w.after = true
		a.verdicts++
	}
	return nil
}

// credentialOf is the credential kind of the scheme of a request, or nil.
func (e *Engine) credentialOf(r *authRequest) *profile.Credential {
	if r.scheme == nil {
		return nil
	}
	c, _ := e.cfg.Profile.Credential(r.scheme.Credential)
	return c
}

// checkLaterDemand is checkDemand for an answer.
func (e *Engine) checkLaterDemand(a *authAnswer) *attls.Error {
	p, v := e.cfg.Profile, a.proof.verdict
	if a.request.scheme == nil || !e.cfg.Policy.Demand || !p.Obeys(rule.DemandByServer) {
		return nil
	}
	if v != nil && v.Failure == "" || p.Rules.Verdict == profile.BeforeNothing && a.proof.payload != nil {
		return nil
	}
	return attls.Errorf(attls.Refused, attls.FailDemandedByServer, "the client must attest and was not accepted").By(p.ID)
}

// showProof lets State tell what the client has shown in an answer.
func (e *Engine) showProof(a *authAnswer) {
	if a.request.scheme == nil {
		return
	}
	chosen := &e.att.chosen
	for i := range e.cfg.Profile.Slots {
		if e.cfg.Profile.Slots[i].Attester == attls.RoleClient {
			chosen.Choices[i], chosen.Present[i] = nil, false
		}
	}
	chosen.Choices[a.request.slot], chosen.Present[a.request.slot] = a.request.scheme, true
	e.att.proofs[attls.RoleClient] = a.proof
	e.post.shown = a
}
