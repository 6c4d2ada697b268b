package handshake

import (
	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

func carrierName(c *profile.Credential) string {
	switch c.Carrier {
	case profile.CarrierExtension:
		return "the extension " + c.Extension.String()
	case profile.CarrierMessage:
		return "the added message"
	case profile.CarrierCertificate:
		return "the certificate"
	}
	return "cert_data"
}

// askEvidence asks our Attester for the payload.
func (e *Engine) askEvidence(by *attesting) *attls.Error {
	r, err := e.evidenceRequest(binderInputs{e: e}, by.scheme)
	if err != nil {
		return err
	}
	w := e.ask(gateNow, &Wait{Kind: WaitEvidence, Due: attls.KindCertificate, Evidence: r})
	w.slot = by.slot
	return nil
}

// evidenceRequest is what our Attester is asked.
func (e *Engine) evidenceRequest(inputs binderInputs, s *profile.Scheme) (*negotiation.EvidenceRequest, *attls.Error) {
	challenge, claims, err := e.bind(inputs, e.role, s)
	inputs.proof(e.role).challenge = challenge
	if err != nil && !e.tolerated(err.Failure) {
		return nil, err.In(attls.KindCertificate)
	}
	if !e.obeys(rule.EvidenceBound) {
		challenge, claims = nil, nil
	}
	r := &negotiation.EvidenceRequest{Profile: e.profile().ID, Attester: e.role, Scheme: *s, Challenge: challenge,
		Fit: e.profile().Binder.Fit, Claims: claims}
	if s.Credential == profile.KindX509 {
		r.SPKI, _ = inputs.SPKI(e.role)
	}
	r.KeyBound = challenge != nil && e.profile().Binder.OverKey(s.Model, s.Credential, e.role)
	return r, nil
}

// takePayload takes the payload out of the Attester's answer.
func (e *Engine) takePayload(ev *negotiation.Evidence) ([]byte, *attls.Error) {
	if ev == nil || len(ev.CMW) == 0 {
		return nil, attls.Errorf(attls.Local, attls.FailAttesterUnavailable, "the Attester gave no payload")
	}
	if !e.obeys(rule.CredentialSent) {
		return nil, nil
	}
	return ev.CMW, nil
}

// takeEvidence reads the Attester's answer; where the payload is the whole
// credential it brings the key as well.
func (e *Engine) takeEvidence() *attls.Error {
	w := e.take(WaitEvidence)
	if w == nil {
		return nil
	}
	ev := w.answer.Evidence
	payload, failure := e.takePayload(ev)
	if failure != nil {
		return failure
	}
	if payload != nil {
		e.own.proof.payload = payload
	}
	if w.wait.Evidence.Scheme.Credential != profile.KindAlone {
		return nil
	}
	key, err := e.prov.ParseSPKI(ev.SPKI)
	if err != nil {
		return attls.Errorf(attls.Local, attls.FailAttesterUnavailable, "the Attester's key: %v", err)
	}
	fits := e.prov.Schemes(key)
	if q := e.cfg.quirks().SignatureSchemes[e.role]; q != nil {
		fits = q
	}
	scheme, failure := negotiation.SelectSignatureScheme(fits, e.nego.peerSchemes)
	if failure != nil {
		return failure
	}
	e.own.credential, e.own.scheme, e.own.spki = &Credential{Schemes: fits, Signer: ev.Signer}, scheme, ev.SPKI
	return nil
}

// checkRoom refuses a payload that its carrier cannot hold.
func checkRoom(c *profile.Credential, payload []byte) *attls.Error {
	if n := len(payload); c.MaxPayload > 0 && n > c.MaxPayload {
		return attls.Errorf(attls.Local, attls.FailTooLarge, "a payload of %d octets; %s has room for %d", n,
			carrierName(c), c.MaxPayload)
	}
	return nil
}

// attachPayload puts a payload into the extensions of a CertificateEntry.
func (e *Engine) attachPayload(to *message.CertificateEntry, payload []byte) *attls.Error {
	f := e.profile().NewFields()
	f.Payload = payload
	list, err := e.profile().Encode(attls.KindCertificate, e.role, f)
	if err != nil {
		return asLocal(err)
	}
	for _, x := range list {
		to.Extensions = append(to.Extensions, extensions.Extension{Type: x.Type, Body: x.Body})
	}
	return nil
}

// sendAdded sends the message in which a profile carries the payload.
func (e *Engine) sendAdded(c *profile.Credential) *attls.Error {
	if err := checkRoom(c, e.own.proof.payload); err != nil {
		return err
	}
	f := e.profile().NewFields()
	f.Payload = e.own.proof.payload
	body, err := e.profile().EncodeMessage(c.Message, e.role, f)
	if err != nil {
		return asLocal(err)
	}
	b, mark := message.Begin(e.flight[:0], e.profile().Messages[c.Message].Type)
	b = append(b, body...)
	e.flight = message.End(b, mark)
	return e.send(e.flight)
}

// readPayload finds the payload in a Certificate and checks that it is there if
// and only if it was chosen. It is a copy; nil: there is none in Certificate.
func (e *Engine) readPayload(ct *message.Certificate, c *profile.Credential) (payload []byte, _ *attls.Error) {
	p := e.profile()
	peer := e.role.Peer()
	for i := range ct.Entries {
		for k := range ct.Entries[i].Extensions {
			x := &ct.Entries[i].Extensions[k]
			if _, ok := p.Extension(x.Type); !ok {
				continue
			}
			if c == nil || c.Carrier != profile.CarrierExtension || c.Extension != x.Type {
				if err := e.attestationFailure(attls.FailNotChosen, "no scheme was chosen that puts its payload here"); err != nil {
					return nil, x.Locate(err)
				}
				continue
			}
			f := p.NewFields()
			if err := p.Decode(attls.KindCertificate, peer, x.Type, x.Body, f); err != nil {
				failure := asError(err)
				if e.tolerated(failure.Failure) {
					continue
				}
				if failure.Failure == attls.FailAttestationExtension {
					// What carries the CMW does not parse, so neither does the CMW.
					failure.Failure = attls.FailMalformedCMW
				}
				return nil, x.Locate(failure)
			}
			payload = append([]byte(nil), f.Payload...)
		}
	}
	if c == nil {
		return nil, nil
	}
	switch c.Carrier {
	case profile.CarrierCertData:
		if c.Entries == extensions.EntriesFirst && len(ct.Entries) != 1 {
			if err := e.attestationFailure(attls.FailMisplaced, "%d entries; the payload is in exactly one",
				len(ct.Entries)); err != nil {
				return nil, err.Under("certificate_list")
			}
		}
		payload = append([]byte(nil), ct.Entries[0].Data...)
	case profile.CarrierExtension:
		if payload == nil {
			if err := e.attestationFailure(attls.FailMissing,
				"the chosen scheme's payload is not in the Certificate"); err != nil {
				return nil, err.Under("certificate_list[0].extensions")
			}
		}
	}
	return payload, nil
}

// waitAdded takes the handshake message that a profile adds.
type waitAdded struct{ by *attesting }

func (waitAdded) name() string { return "WAIT_ADDED" }
func (waitAdded) due() gate    { return gateNone }

func (s waitAdded) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	peer, c := e.role.Peer(), s.by.credential
	if m.Kind == attls.KindFinished {
		if err := e.attestationFailure(attls.FailMissing,
			"Finished came in the place of the message that carries the payload"); err != nil {
			return nil, err
		}
		return waitFinished{}.receive(e, m)
	}
	if m.Kind != attls.KindAdded || m.Type != e.profile().Messages[c.Message].Type {
		return nil, unexpected(m, s)
	}
	f := e.profile().NewFields()
	if err := e.profile().DecodeMessage(c.Message, peer, m.Body(), f); err != nil {
		return nil, asError(err)
	}
	e.peer.proof.payload = append([]byte(nil), f.Payload...)
	e.transcribe(m, peer)
	return waitFinished{}, e.askAppraisal(s.by)
}
