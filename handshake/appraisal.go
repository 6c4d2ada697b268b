package handshake

import (
	"slices"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/internal/rule"
	"attls/negotiation"
)

// askAppraisal asks our Appraiser for a verdict on the peer's payload.
func (e *Engine) askAppraisal(by *attesting) *attls.Error {
	if e.peer.proof.of(by.slot).payload == nil {
		return nil
	}
	r, err := e.appraisalRequest(binderInputs{e: e, by: by}, by)
	if err != nil {
		return e.letPass(err)
	}
	p, c := e.profile(), by.credential
	g := gateFinished
	switch {
	case c.KeyFrom == profile.KeyFromAppraisal:
		g = gateCertificateVerify
	case p.Rules.Verdict == profile.BeforeCertificateVerify:
		g = gateCertificateVerify
		if peer := e.role.Peer(); e.carriedAt(by, peer) > pointOf(attls.KindCertificateVerify, peer) {
			g = gateFinished
		}
	case p.Rules.Verdict == profile.BeforeApplicationData:
		g = gateData
	case p.Rules.Verdict == profile.BeforeNothing:
		g = gateNever
	}
	w := e.ask(g, &Wait{Kind: WaitAppraisal, Appraisal: r, brought: by.message()})
	w.slot = by.slot
	return nil
}

// appraisalRequest is what our Appraiser is asked about the peer's payload.
func (e *Engine) appraisalRequest(inputs binderInputs,
	by *attesting) (*negotiation.AppraisalRequest, *attls.Error) {
	p, peer, s := e.profile(), e.role.Peer(), by.scheme
	if err := e.checkFields(inputs, peer, by); err != nil {
		return nil, err
	}
	challenge, claims, err := e.bind(inputs, peer, s)
	shown := inputs.proof(peer).of(by.slot)
	shown.challenge = challenge
	if err != nil {
		return nil, err
	}
	r := &negotiation.AppraisalRequest{
		Profile:   p.ID,
		Attester:  peer,
		Slot:      p.Slots[by.slot].Name,
		Scheme:    *s,
		CMW:       shown.payload,
		Challenge: challenge,
		Fit:       p.Binder.Fit,
		Match:     p.Rules.Match,
		Claims:    claims,
	}
	for _, name := range p.Binder.HandOver {
		v, cause := inputs.program().Eval(name, peer, inputs)
		if cause != nil {
			continue // not defined for this credential kind
		}
		if r.HandOver == nil {
			r.HandOver = map[string][]byte{}
		}
		r.HandOver[name] = v
	}
	if by.credential.KeyFrom == profile.KeyFromX509 {
		r.SPKI, _ = inputs.SPKI(peer)
	}
	r.KeyBound = challenge != nil && p.Binder.OverKey(s.Model, s.Credential, peer)
	return r, nil
}

// judged takes a verdict in, at whatever moment it comes. It goes to the proof
// that was judged, which the peer may have replaced meanwhile.
func (e *Engine) judged(w *waiting) *attls.Error {
	v, peer, of := w.answer.Verdict, e.role.Peer(), w.peer
	if v == nil {
		return attls.Errorf(attls.Local, attls.FailVerifierUnreachable, "the Appraiser gave no verdict")
	}
	c, _ := e.profile().Credential(w.wait.Appraisal.Scheme.Credential)
	v = e.weigh(v, w.answer.Time, c, of)
	w.answer.Verdict, of.proof.of(w.slot).verdict = v, v
	later := w.gate == gateNever && !w.after
	if later {
		e.emit(Event{Kind: EventVerdict, Wait: w.wait})
	}
	if v.Failure != "" {
		if e.tolerated(v.Failure) || later {
			return nil
		}
		return attls.Errorf(attls.Refused, v.Failure, "%s", v.Reason).Under("attestation of the " + peer.String())
	}
	if c.KeyFrom != profile.KeyFromAppraisal {
		return nil
	}
	key, err := e.prov.ParseSPKI(v.SPKI)
	if err != nil {
		return e.letPass(attls.Errorf(attls.Refused, attls.FailAttestationKey, "the verdict's key: %v", err))
	}
	if len(c.Keys) > 0 && !slices.Contains(c.Keys, key.Curve) {
		return attls.Errorf(attls.Refused, attls.FailAttestationKey, "a key of type %s %s; the profile permits %v",
			key.Algorithm, key.Curve, c.Keys)
	}
	of.key, of.spki = key, v.SPKI
	return nil
}

// weigh returns a verdict with its Failure set where it does not accept the key
// that it was asked about.
func (e *Engine) weigh(v *negotiation.Verdict, now time.Time, c *profile.Credential,
	of *authenticated) *negotiation.Verdict {
	if v.Failure != "" {
		return v
	}
	failure, reason := v.Refusal(now)
	if !e.obeys(rule.VerdictAccepts) {
		failure = ""
	}
	if failure == "" && len(v.SPKI) > 0 && c.KeyFrom == profile.KeyFromX509 && !e.isKey(v.SPKI, of) {
		failure, reason = attls.FailTIKMismatch, "the verdict is about another key than that of the certificate"
	}
	if failure == "" {
		return v
	}
	refused := *v
	refused.Failure, refused.Reason = failure, reason
	return &refused
}

// checkDemand is the last word of a policy that demands attestation: whatever a
// profile lets pass, the handshake goes past a gate only with a peer that was
// accepted, or whose verdict is not due yet.
func (e *Engine) checkDemand(passing gate) *attls.Error {
	p, peer := e.profile(), e.role.Peer()
	open := slices.ContainsFunc(e.waits, func(w waiting) bool {
		return w.wait.Kind == WaitAppraisal && !w.answered && w.gate > passing
	})
	if passing == gateData || !open {
		if err := e.checkVouched(e.peer); err != nil {
			return err
		}
	}
	if !e.cfg.Policy.Demand || e.peer.kept != nil || e.accepted(e.peer.proof) || open {
		return nil // kept: what a session in use keeps holds, see lacks
	}
	if peer == attls.RoleClient && p.AttestsOnlyAfter() {
		return nil // see checkLaterDemand
	}
	if p.Rules.Verdict == profile.BeforeNothing && e.judgedAll(e.peer.proof) {
		return nil
	}
	failure, of := attls.FailDemandedByClient, rule.DemandByClient
	if e.role == attls.RoleServer {
		failure, of = attls.FailDemandedByServer, rule.DemandByServer
	}
	if !rule.Obeys(p, of) {
		return nil
	}
	return attls.Errorf(attls.Refused, failure, "the %v must attest and was not accepted", peer).By(p.ID)
}

// judgedAll reports whether the peer attests and each of its payloads has a verdict.
func (e *Engine) judgedAll(p *proof) bool {
	list := e.attests(e.role.Peer(), p)
	for _, by := range list {
		if p.of(by.slot).verdict == nil {
			return false
		}
	}
	return len(list) > 0
}

// checkVouched refuses a peer whose certificate was accepted on condition that
// its key is attested, and is not.
func (e *Engine) checkVouched(of *authenticated) *attls.Error {
	if !of.conditional || e.vouched(of) {
		return nil
	}
	return attls.Errorf(attls.Refused, attls.FailUnknownCA,
		"no path of the certificate was validated, and no verdict accepts its key").Under("certificate_list")
}

// vouched reports whether a verdict that names the key accepts it.
func (e *Engine) vouched(of *authenticated) bool {
	if of.kept != nil {
		return len(of.kept.SPKI) > 0 && e.sameKey(of.kept.SPKI, of.spki)
	}
	return e.accepted(of.proof) && slices.ContainsFunc(of.proof.shown, func(s shown) bool {
		return s.accepted() && e.sameKey(s.verdict.SPKI, of.spki)
	})
}

// attested is what was accepted of the peer, in this connection or in the one
// whose session it resumes; nil: nothing.
func (e *Engine) attested(of *authenticated) *AttestedPeer {
	if of.kept != nil {
		return of.kept
	}
	p := of.proof
	if of.again != nil { // the last word
		p = &of.again.proof
	}
	list := e.attests(e.role.Peer(), p)
	if !e.accepted(p) {
		return nil
	}
	var a *AttestedPeer
	for _, by := range list {
		v := p.of(by.slot).verdict
		if a == nil {
			a = &AttestedPeer{Profile: e.profile().ID, AttestedScheme: attestedScheme(by.scheme), SPKI: of.spki,
				Status: v.Status, ValidUntil: v.ValidUntil}
			continue
		}
		a.Others = append(a.Others, attestedScheme(by.scheme))
		if v.ValidUntil.Before(a.ValidUntil) { // the zero value, which is for this connection only, is before all
			a.ValidUntil = v.ValidUntil
		}
	}
	return a
}

func attestedScheme(s *profile.Scheme) AttestedScheme {
	return AttestedScheme{Model: s.Model, Credential: s.Credential, Format: s.Format, Verifier: s.Verifier, Wire: s.Wire}
}
