package lab

import (
	"context"
	"crypto"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/internal/provider"
	"attls/negotiation"
)

// attacker answers a wait of one of M's engines out of what M knows; false: M has no
// answer yet.
func (r *run) attacker(ctx context.Context, c *connection, w *handshake.Wait) (handshake.Answer, bool, *attls.Error) {
	var a handshake.Answer
	switch w.Kind {
	case handshake.WaitNonce:
		if c.nonce == nil && r.noncesLater(c) {
			return a, false, nil
		}
		if c.nonce != nil && !c.nonce.absent && w.Nonce.Attester == r.combo.role {
			a.Nonce = c.nonce.octets
		}
		return a, true, nil
	case handshake.WaitAppraisal:
		a.Verdict, a.Time = r.look(ctx, w.Appraisal), r.w.clock()
		return a, true, nil
	case handshake.WaitCredential, handshake.WaitSignature:
		if c.exported && later(c.profile, r.combo.role) { // what M shows of attestation comes after the handshake
			return r.handshakeAnswer(c, w)
		}
		return r.showing(ctx, c, w)
	case handshake.WaitEvidence, handshake.WaitIssuance:
		return r.showing(ctx, c, w)
	}
	return a, true, nil // a verdict on a chain, which M accepts, and sessions, which it has none of
}

// look is how M appraises: it reads the key and accepts everything.
func (r *run) look(ctx context.Context, q *negotiation.AppraisalRequest) *negotiation.Verdict {
	asked := *q
	asked.Challenge, asked.Claims = nil, nil
	if r.w.lax.is(LaxEnvelope) && len(q.Challenge) > 0 {
		_, asked.CMW = unwrap(q.CMW)
	}
	v, err := r.w.judge().Appraise(ctx, &asked)
	if err != nil || v.Failure != "" || v.Status != negotiation.StatusAffirming {
		v = &negotiation.Verdict{Status: negotiation.StatusAffirming, SPKI: q.SPKI}
		if q.SPKI == nil { // which the Evidence names
			v.SPKI, _ = handshake.MarshalPublicKey(r.tik().Public())
		}
	}
	v.ValidUntil = r.w.clock().Add(attestationHour)
	return v
}

const attestationHour = 3600e9

// showing answers what M shows of itself: as a present step says, once it was done.
func (r *run) showing(ctx context.Context, c *connection, w *handshake.Wait) (handshake.Answer, bool, *attls.Error) {
	var a handshake.Answer
	s := c.presents[c.round]
	if s == nil {
		if r.presentsLater(c) || w.Kind == handshake.WaitEvidence {
			return a, false, nil
		}
	}
	with := Settings{}
	if s != nil {
		with = s.With
	}
	certificate := r.knowledge[with["certificate"].Text]
	if certificate == nil {
		certificate = r.knowledge["own"]
	}
	signer, named := r.signer(certificate, with["sign"].Text)
	switch w.Kind {
	case handshake.WaitCredential:
		if c.mine() == attls.RoleClient && s == nil {
			return a, true, nil // M shows no certificate where it only asks
		}
		if certificate.absent {
			certificate = r.knowledge["own"]
		}
		a.Credential = credential(certificate, signer)
		return a, true, nil
	case handshake.WaitEvidence:
		return r.evidence(ctx, with, w, signer, named)
	case handshake.WaitSignature:
		b, err := provider.Sign(signer, w.Signature.Scheme, w.Signature.Content)
		if err != nil {
			return a, true, local(err)
		}
		a.Signature = b
		return a, true, nil
	}
	if x := r.knowledge[with["evidence"].Text]; !certificate.self && (x == nil || x.attest == nil) {
		a.Chain = certificate.chain // which has the Evidence in it
		return a, true, nil
	}
	issuer := certificate.issuer
	if issuer == nil {
		issuer = handshake.Authority{}
		if r.has(CapLTK) {
			ca, err := r.w.certified(signer, honestName, false)
			if err != nil {
				return a, true, local(err)
			}
			issuer = ca.Issuer
		}
	}
	request := *w.Issuance
	shown := *request.Credential
	shown.Signer = fixedSigner{signer}
	request.Credential = &shown
	chain, err := issuer.Issue(ctx, &request)
	if err != nil {
		return a, true, local(err)
	}
	a.Chain = chain
	return a, true, nil
}

// presentsLater reports whether a step that was not done yet says what M shows.
func (r *run) presentsLater(c *connection) bool {
	for i, s := range r.steps {
		if !r.done[i] && s.Verb == "present" && s.On == c.name {
			return true
		}
	}
	return false
}

// noncesLater reports whether a step that was not done yet says which nonce M sends.
func (r *run) noncesLater(c *connection) bool {
	for i, s := range r.steps {
		if !r.done[i] && s.Verb == "present" && s.On == c.name && s.With["nonce"].Text != "" {
			return true
		}
	}
	return false
}

// signer is the key with which M signs, and whether it is the one that Evidence names.
func (r *run) signer(certificate *item, word string) (crypto.Signer, bool) {
	switch {
	case word == tikKey:
		return r.tik(), true
	case word == "" && certificate.signer != nil:
		return certificate.signer, false
	}
	return r.w.keys[ownKey], false
}

// credential is what M shows with a key that signs, whatever key the certificate has.
func credential(x *item, signer crypto.Signer) *handshake.Credential {
	c := &handshake.Credential{Chain: x.chain, Signer: signer, Issuer: x.issuer,
		Schemes: []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256}}
	if schemes, err := provider.SchemesOf(x.chain[0], signer.Public()); err == nil {
		c.Schemes = schemes
	}
	return c
}

// evidence is what M shows as Evidence: taken, or made for this connection.
func (r *run) evidence(ctx context.Context, with Settings, w *handshake.Wait, signer crypto.Signer,
	named bool) (handshake.Answer, bool, *attls.Error) {
	var a handshake.Answer
	x := r.knowledge[with["evidence"].Text]
	if x == nil {
		return a, true, attls.Errorf(attls.Local, attls.FailAttesterUnavailable, "M has no Evidence to show")
	}
	if x.attest != nil {
		ev, err := x.attest(ctx, w.Evidence)
		if err != nil {
			return a, true, local(err)
		}
		a.Evidence = ev
	} else {
		cmw := x.octets
		if r.w.lax.is(LaxEnvelope) && len(w.Evidence.Challenge) > 0 {
			_, cmw = unwrap(cmw)
			cmw = r.w.lax.wrap(&negotiation.Evidence{CMW: cmw}, w.Evidence).CMW
		}
		a.Evidence = &negotiation.Evidence{CMW: cmw}
	}
	if w.Evidence.Scheme.Credential != profile.KindAlone {
		return a, true, nil
	}
	// The attestation is the credential: its key signs CertificateVerify.
	if a.Evidence.Signer == nil || named || with["sign"].Text == ownKey {
		spki, err := handshake.MarshalPublicKey(signer.Public())
		if err != nil {
			return a, true, local(err)
		}
		a.Evidence.Signer, a.Evidence.SPKI = signer, spki
	}
	return a, true, nil
}

func local(err error) *attls.Error {
	e := attls.Errorf(attls.Local, attls.FailAttesterUnavailable, "M: %v", err)
	return e
}
