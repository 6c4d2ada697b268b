package handshake

import (
	"bytes"
	"crypto/subtle"
	"math"
	"slices"

	"attls"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
	"attls/internal/rule"
)

// Post-handshake authentication of the client, RFC 8446 section 4.6.2. A server
// may ask several times before the first answer is there; the client answers
// one after the other:
//
//	server: RequestAuthentication -> [Nonce] -> CertificateRequest ...
//	        Certificate -> CertificateVerify -> Finished [CertificateVerdict]
//	client: CertificateRequest -> [Credential] -> [Signature] -> Certificate, CertificateVerify, Finished
//
// Each exchange has a transcript of its own: the one of the handshake with this
// CertificateRequest and what answers it. Finished is made with the client's
// application traffic secret of the moment, so the Writer makes it.

// RequestAuthentication asks the client for a certificate after the handshake.
// The client must have offered it. EventAuthenticated tells of the answer. Where
// the request carries a nonce it is sent once the Nonce wait is answered.
func (e *Engine) RequestAuthentication() error {
	bad := func(format string, args ...any) error {
		return attls.Errorf(attls.Local, attls.FailConfiguration, format, args...).By("RFC 8446 4.6.2")
	}
	switch {
	case e.err != nil:
		return e.err
	case e.role != attls.RoleServer || !e.done:
		return bad("only a server asks, and after the handshake")
	case !e.sent.Has(attls.RoleClient, attls.KindClientHello, attls.ExtPostHandshakeAuth):
		return bad("the client did not offer post_handshake_auth")
	case e.psk.session != nil && e.psk.session.External:
		return attls.Errorf(attls.Local, attls.FailConfiguration, "an external key authenticates the connection").
			By("RFC 9846 4.4.2")
	case e.rekey != nil && e.rekey.phase != updateIdle:
		return attls.Errorf(attls.Local, attls.FailConfiguration, "an extended key update is under way").
			By(updateDraft + " 9")
	case e.rekey != nil && !e.rekey.att.settled():
		return attls.Errorf(attls.Local, attls.FailConfiguration, "an attestation with a key update is under way").
			By(e.rekey.by(e.profile()))
	case len(e.post.requests)+e.post.pending >= maxRequests:
		return bad("%d requests are open already", maxRequests)
	case e.post.asked == math.MaxUint32:
		return attls.Errorf(attls.Local, attls.FailLimit, "no certificate_request_context is left").By("RFC 8446 4.3.2")
	}
	e.work()
	defer e.rest()
	r := authRequest{context: numbered(e.post.asked)}
	if err := e.requestAttestation(&r); err != nil {
		return err
	}
	e.post.asked++
	if e.askLaterNonces(&r) {
		return nil
	}
	return asGoError(e.sendRequestAgain(r))
}

// sendRequestAgain sends the CertificateRequest of a server after the handshake.
func (e *Engine) sendRequestAgain(r authRequest) *attls.Error {
	e.requestExtensions()
	if err := e.attestationOf(&r); err != nil {
		return err
	}
	if err := e.ext.fits(attls.KindCertificateRequest); err != nil {
		return err
	}
	m := message.CertificateRequest{Context: r.context, Extensions: e.ext.list(e.cfg.ExtensionOrder)}
	e.note(attls.RoleServer, attls.KindCertificateRequest, m.Extensions)
	r.raw = m.Append(nil)
	f := flight{messages: [][]byte{r.raw}, shown: true}
	if e.tap() != nil {
		list, original, err := tapped(e.tap(), e.cfg, r.raw)
		if err != nil {
			return err
		}
		if f.messages = list; !original {
			r.raw = slices.Concat(list...)
		}
	}
	e.post.requests = append(e.post.requests, r)
	return e.release(f)
}

// authenticatesLater reports whether there can be post-handshake authentication.
func (e *Engine) authenticatesLater() bool {
	if e.role == attls.RoleClient {
		return e.cfg.PostHandshakeAuthentication
	}
	return e.sent.Has(attls.RoleClient, attls.KindClientHello, attls.ExtPostHandshakeAuth)
}

// authenticates reports whether a message belongs to post-handshake authentication.
func (e *Engine) authenticates(m *message.Raw) bool {
	if e.role == attls.RoleClient {
		return m.Kind == attls.KindCertificateRequest && e.cfg.PostHandshakeAuthentication
	}
	if e.post.reading() {
		return true
	}
	return len(e.post.requests) > 0 && (e.certificateKind(m) ||
		m.Kind == attls.KindAdded && slices.ContainsFunc(e.post.requests[0].by, func(by *attesting) bool {
			return e.carriedLater(by) == binder.PointPostHandshakeAfterCR
		}))
}

// afterwards handles a message of post-handshake authentication; secret is the
// one under which the peer sends at this moment.
func (e *Engine) afterwards(m *message.Raw, secret *secret) *attls.Error {
	if e.role == attls.RoleClient {
		return e.requestedAgain(m)
	}
	a := e.post.under
	switch {
	case !e.post.reading():
		return e.answerBegins(m)
	case m.Kind == attls.KindAdded:
		return e.answerAdded(a, m)
	case e.certificateKind(m) && a.at == binder.PointPostHandshakeCR:
		return e.answerCertificate(m, a)
	case m.Kind == attls.KindCertificateVerify && a.at == binder.PointPostHandshakeCT && len(a.peer.chain) > 0:
		if err := e.answerFollows(a, m); err != nil {
			return err
		}
		return e.answerVerify(a, m)
	case m.Kind == attls.KindFinished && (a.at == binder.PointPostHandshakeCV ||
		a.at == binder.PointPostHandshakeCT && len(a.peer.chain) == 0):
		if err := e.answerFollows(a, m); err != nil {
			return err
		}
		return e.answerFinished(a, m, secret)
	}
	return unexpected(m, connected{})
}

// startAnswer clones the transcript of the handshake and adds the request.
func (e *Engine) startAnswer(r authRequest) *authAnswer {
	e.post.answers++
	a := &authAnswer{request: r, number: e.post.answers, transcript: e.afterTranscript(), peer: newAuthenticated(),
		at: binder.PointPostHandshakeCR}
	a.transcript.add(binder.PointPostHandshakeCR, r.raw)
	return a
}

// requestedAgain takes a client's CertificateRequest.
func (e *Engine) requestedAgain(m *message.Raw) *attls.Error {
	if err := e.checkRequestOrder(); err != nil {
		return err
	}
	cr := &e.scratch.request
	if err := cr.Unmarshal(m.Body()); err != nil {
		return err
	}
	if err := e.table.Check(m.Kind, attls.RoleServer, 0, true, cr.Extensions, &e.sent); err != nil {
		return err
	}
	illegal := func(format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).
			Under("certificate_request_context").By("RFC 8446 4.3.2")
	}
	switch {
	case len(cr.Context) == 0:
		return illegal("is empty after the handshake")
	case slices.ContainsFunc(e.post.requests, func(r authRequest) bool { return bytes.Equal(r.context, cr.Context) }):
		return illegal("is that of a request which is open")
	case len(e.post.requests)+e.unwritten() >= maxRequests:
		return attls.Errorf(attls.Violation, attls.FailLimit, "more than %d requests are open", maxRequests)
	}
	e.post.requests = append(e.post.requests, authRequest{context: bytes.Clone(cr.Context), raw: bytes.Clone(m.Bytes)})
	if len(e.post.requests) == 1 {
		return e.nextRequest()
	}
	return nil
}

// nextRequest asks for the credential for the first open request.
func (e *Engine) nextRequest() *attls.Error {
	if len(e.post.requests) == 0 {
		e.post.under = nil
		return nil
	}
	r := e.post.requests[0]
	cr := &e.scratch.request
	if err := cr.Unmarshal(r.raw[4:]); err != nil {
		return err
	}
	e.nego.peerSchemes, e.nego.peerCert, e.nego.authorities = nil, nil, nil
	if err := e.readRequest(cr.Extensions); err != nil {
		return err
	}
	e.note(attls.RoleServer, attls.KindCertificateRequest, cr.Extensions)
	if err := e.readLaterChoice(&r, cr.Extensions); err != nil {
		return err
	}
	a := e.startAnswer(r)
	e.post.under = a
	w := e.ask(gateNever, &Wait{Kind: WaitCredential, Due: attls.KindCertificate,
		Credential: e.credentialRequest(binderInputs{e: e, a: a}, r.by)})
	w.after, w.auth = true, a
	return nil
}

// afterAnswer goes on with an answer of a client's, or a server's verdict.
func (e *Engine) afterAnswer(w *waiting) *attls.Error {
	done := *w
	w, a := &done, w.auth
	e.drop(w.wait.ID)
	if w.update {
		return e.updateAnswer(w)
	}
	switch w.wait.Kind {
	case WaitTicket:
		raw, err := e.ticket(w)
		if raw == nil || err != nil {
			return err
		}
		return e.release(flight{messages: [][]byte{raw}})
	case WaitNonce:
		return e.nonceCame(w)
	case WaitCertificateVerdict:
		a.peer.conditional = w.answer.Conditional
		return e.verdictCame(a)
	case WaitAppraisal:
		if err := e.judged(w); err != nil {
			return err
		}
		return e.verdictCame(a)
	case WaitCredential:
		own, err := e.chooseOwn(w.answer.Credential)
		if err != nil {
			return err
		}
		a.own = own
		a.request.shows(&a.own.proof)
		return e.makeAnswer(a, binder.PointPostHandshakeAfterCR)
	case WaitEvidence:
		payload, err := e.takePayload(w.answer.Evidence)
		if err != nil {
			return err
		}
		a.own.proof.of(w.slot).payload = payload
		a.evidence--
		return e.makeAnswer(a, a.filled)
	case WaitIssuance:
		if err := e.issued(&a.own, w.wait.Issuance, w.answer.Chain); err != nil {
			return err
		}
		a.issued = true
		return e.makeAnswer(a, a.filled)
	case WaitSignature:
		m := message.CertificateVerify{Scheme: a.own.scheme, Signature: w.answer.Signature}
		if err := e.adds(a, binder.PointPostHandshakeCV, m.Append(nil)); err != nil {
			return err
		}
		return e.makeAnswer(a, binder.PointPostHandshakeAT)
	}
	return nil
}

// makeAnswer goes on with a client's answer from a point, as far as the payloads are
// there.
func (e *Engine) makeAnswer(a *authAnswer, at binder.Point) *attls.Error {
	for ; ; at++ {
		if ready, err := e.fillLater(a, at); !ready || err != nil {
			return err
		}
		switch at {
		case binder.PointPostHandshakeCT:
			if by := inCertificate(a.request.by); by != nil && !a.issued {
				return e.askLaterIssuance(a, by)
			}
			if err := e.makeCertificate(a); err != nil {
				return err
			}
			if a.own.credential == nil {
				return e.sendAnswer(a)
			}
		case binder.PointPostHandshakeAfterCT:
			e.askLaterSignature(a)
			return nil
		case binder.PointPostHandshakeAT:
			return e.sendAnswer(a)
		}
	}
}

// makeCertificate adds the client's Certificate to its answer.
func (e *Engine) makeCertificate(a *authAnswer) *attls.Error {
	m := message.Certificate{Context: a.request.context}
	if a.own.credential != nil {
		m.Entries = e.entries(&a.own)
		if err := e.attachPayloads(&m.Entries[0], a.request.by, &a.own.proof); err != nil {
			return err
		}
	}
	raw, err := e.compressed(m.Append(nil))
	if err != nil {
		return err
	}
	return e.adds(a, binder.PointPostHandshakeCT, raw)
}

func (e *Engine) askLaterSignature(a *authAnswer) {
	var sum [maxHash]byte
	w := e.ask(gateNever, &Wait{Kind: WaitSignature, Due: attls.KindCertificateVerify,
		Signature: &SignatureRequest{Role: e.role,
			Scheme: a.own.scheme, Content: signedContent(e.role, a.transcript.sum(sum[:0])), Credential: a.own.credential}})
	w.after, w.auth = true, a
}

// sendAnswer sends the client's answer and turns to the next request.
func (e *Engine) sendAnswer(a *authAnswer) *attls.Error {
	if err := e.release(flight{messages: a.messages, shown: true, finish: a.transcript.sum(nil)}); err != nil {
		return err
	}
	if a.own.credential != nil {
		if len(a.request.by) == 0 && e.sameKey(a.own.spki, e.own.spki) {
			a.own.proof, a.own.again = e.own.proof, e.own.again
		}
		e.own = a.own
	}
	e.post.requests = e.post.requests[1:]
	return e.nextRequest()
}

// answerBegins takes the first message of a client's answer: Certificate, which names
// its request, or what the profile adds in front of it, which answers the first.
func (e *Engine) answerBegins(m *message.Raw) *attls.Error {
	if m.Kind != attls.KindAdded {
		return e.answerCertificate(m, nil)
	}
	a := e.startAnswer(e.post.requests[0])
	a.request.shows(a.peer.proof)
	if err := e.answerAdded(a, m); err != nil {
		return err
	}
	e.post.under, a.receiving = a, true
	return nil
}

// answerCertificate takes the Certificate of a client that was asked; a is the answer
// that it goes on, nil: none has begun.
func (e *Engine) answerCertificate(m *message.Raw, a *authAnswer) *attls.Error {
	if !e.certificateKind(m) {
		return unexpected(m, connected{})
	}
	ct, err := e.readCertificate(m, true)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(e.post.requests, func(r authRequest) bool { return bytes.Equal(r.context, ct.Context) })
	if i < 0 || a != nil && i != 0 {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "is that of no request which is open").
			Under("certificate_request_context").By("RFC 8446 4.4.2")
	}
	if a == nil {
		a = e.startAnswer(e.post.requests[i])
		a.request.shows(a.peer.proof)
	}
	if len(ct.Entries) > 0 && a.added < len(e.expectsLater(a, a.at+1)) {
		if err := e.attestationFailure(attls.FailMissing,
			"%v came in the place of the message that carries the payload", m.Kind); err != nil {
			return err
		}
	}
	e.post.requests = slices.Delete(e.post.requests, i, i+1)
	e.post.under, a.receiving = a, true
	a.passed(binder.PointPostHandshakeCT, m.Bytes)
	if len(ct.Entries) == 0 {
		if len(a.request.by) > 0 && e.cfg.Policy.Demand {
			if err := e.attestationFailure(attls.FailMissing, "the client is to attest and sent no certificate"); err != nil {
				return err
			}
		}
		if e.cfg.ClientAuthentication == RequireClientCertificate {
			return attls.Errorf(attls.Refused, attls.FailCertificateRequired, "the client sent no certificate").
				By("RFC 8446 4.4.2.4")
		}
		return nil
	}
	if err := e.readCredential(ct, a.request.by, a.peer); err != nil {
		return err
	}
	a.peer.proof.by = e.present(a.request.by, a.peer.proof)
	if len(a.peer.proof.by) < len(a.request.by) {
		a.request.attest(a.peer.proof.by) // the nonces of those that are there are in the proof
	}
	return nil
}

// answerVerify checks the client's CertificateVerify.
func (e *Engine) answerVerify(a *authAnswer, m *message.Raw) *attls.Error {
	var sum [maxHash]byte
	scheme, err := e.checkSignature(m, a.peer.key, a.transcript.sum(sum[:0]))
	if err != nil {
		return err
	}
	a.peer.scheme = scheme
	a.passed(binder.PointPostHandshakeCV, m.Bytes)
	return nil
}

// answerFinished checks the client's Finished and asks for the verdicts.
func (e *Engine) answerFinished(a *authAnswer, m *message.Raw, secret *secret) *attls.Error {
	want := e.nego.suite.FinishedMAC(nil, secret.bytes(), a.transcript.sum(nil))
	switch got := m.Body(); {
	case len(got) != len(want):
		return attls.Errorf(attls.Malformed, attls.FailDecode, "%d octets instead of %d", len(got), len(want)).
			Under("verify_data").By("RFC 8446 4.4.4")
	case subtle.ConstantTimeCompare(got, want) != 1 && e.obeys(rule.FinishedVerified):
		return attls.Errorf(attls.Violation, attls.FailFinished, "does not match the transcript").Under("verify_data").
			By("RFC 8446 4.4.4")
	}
	a.complete = true
	if len(a.peer.chain) == 0 {
		return e.finishAnswer(a)
	}
	e.askLaterVerdict(a)
	if err := e.askLaterAppraisals(a); err != nil {
		return err
	}
	if a.verdicts == 0 {
		return e.finishAnswer(a)
	}
	return nil
}

// askLaterVerdict asks for a verdict on the client's certificate.
func (e *Engine) askLaterVerdict(a *authAnswer) {
	c := carrier(a.request.by)
	w := e.ask(gateNever, &Wait{Kind: WaitCertificateVerdict, Due: attls.KindFinished,
		Certificate: e.verdictRequest(a.peer, c)})
	w.after, w.auth, w.peer = true, a, a.peer
	a.verdicts++
}

// verdictCame goes on once the last verdict on an answer is there.
func (e *Engine) verdictCame(a *authAnswer) *attls.Error {
	if a.verdicts--; a.verdicts > 0 {
		return nil
	}
	return e.finishAnswer(a)
}

// finishAnswer tells of a client that has authenticated, or that will not.
func (e *Engine) finishAnswer(a *authAnswer) *attls.Error {
	e.keepProof(a)
	if err := e.checkLaterDemand(a); err != nil {
		return err
	}
	// The verdicts on an earlier answer may come after those on a later one.
	if len(a.peer.chain) > 0 && a.number > e.post.shown {
		e.peer, e.post.shown = a.peer, a.number
	}
	e.emit(Event{Kind: EventAuthenticated, Data: a.request.context})
	return nil
}

// nonceCame takes a nonce, and sends the request that waited for the last of its own.
// The numbers of random nonces go on behind those of the handshake.
func (e *Engine) nonceCame(w *waiting) *attls.Error {
	r := &w.auth.request
	number := uint32(0)
	for _, o := range r.context {
		number = number<<8 | uint32(o)
	}
	nonce, err := e.takeNonce(w, (number+1)*uint32(len(e.profile().Slots))+uint32(w.slot))
	if err != nil {
		return err
	}
	for i, by := range r.by {
		if by.slot == w.slot {
			r.nonces[i] = nonce
		}
	}
	if w.auth.verdicts--; w.auth.verdicts > 0 {
		return nil
	}
	e.post.pending--
	return e.sendRequestAgain(*r)
}
