package handshake

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
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

// askEvidence asks our Attester for the payloads that travel in one message of the
// handshake: Certificate, or what is added at a point.
func (e *Engine) askEvidence(at binder.Point) *attls.Error {
	for _, by := range e.attesting(e.role) {
		if e.carriedAt(by, e.role) != at {
			continue
		}
		if by.scheme.Credential == profile.KindX509 && e.own.credential == nil {
			return nothingBeside()
		}
		r, err := e.evidenceRequest(binderInputs{e: e, by: by}, by)
		if err != nil {
			return err
		}
		w := e.ask(gateNow, &Wait{Kind: WaitEvidence, Due: by.message(), Evidence: r})
		w.slot = by.slot
	}
	return nil
}

// carriedAt is where in the handshake a payload travels.
func (e *Engine) carriedAt(by *attesting, sender attls.Role) binder.Point {
	if by.inMessage() {
		return e.profile().Messages[by.credential.Message].At[sender]
	}
	return pointOf(attls.KindCertificate, sender)
}

// message is the kind of message in which the payload travels.
func (a *attesting) message() attls.MessageKind {
	if a.inMessage() {
		return attls.KindAdded
	}
	return attls.KindCertificate
}

// evidenceRequest is what our Attester is asked.
func (e *Engine) evidenceRequest(inputs binderInputs, by *attesting) (*negotiation.EvidenceRequest, *attls.Error) {
	s := by.scheme
	challenge, claims, err := e.bind(inputs, e.role, s)
	inputs.proof(e.role).of(by.slot).challenge = challenge
	if err != nil && !e.tolerated(err.Failure) {
		return nil, err.In(by.message())
	}
	if !e.obeys(rule.EvidenceBound) {
		challenge, claims = nil, nil
	}
	r := &negotiation.EvidenceRequest{Profile: e.profile().ID, Attester: e.role,
		Slot: e.profile().Slots[by.slot].Name, Scheme: *s, Challenge: challenge,
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

// takeEvidence reads the Attester's answers.
func (e *Engine) takeEvidence() *attls.Error {
	for w := e.take(WaitEvidence); w != nil; w = e.take(WaitEvidence) {
		payload, err := e.takePayload(w.answer.Evidence)
		if err != nil {
			return err
		}
		if payload != nil {
			e.own.proof.of(w.slot).payload = payload
		}
		if w.wait.Evidence.Scheme.Credential == profile.KindAlone {
			if err := e.takeAttestedKey(w.answer.Evidence); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeAttestedKey takes our key where the payload is the whole credential.
func (e *Engine) takeAttestedKey(ev *negotiation.Evidence) *attls.Error {
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

// attachPayloads puts the payloads that travel in extensions into a CertificateEntry.
func (e *Engine) attachPayloads(to *message.CertificateEntry, list []*attesting, of *proof) *attls.Error {
	f := e.profile().NewFields()
	for _, by := range list {
		if by.credential.Carrier != profile.CarrierExtension {
			continue
		}
		payload := of.of(by.slot).payload
		if err := checkRoom(by.credential, payload); err != nil {
			return err
		}
		e.profile().SetPayload(by.slot, f, payload)
	}
	encoded, err := e.profile().Encode(attls.KindCertificate, e.role, f)
	if err != nil {
		return asLocal(err)
	}
	for _, x := range encoded {
		to.Extensions = append(to.Extensions, extensions.Extension{Type: x.Type, Body: x.Body})
	}
	return nil
}

// readPayloads finds the payloads in a Certificate and checks that each is there if
// and only if its scheme was chosen.
func (e *Engine) readPayloads(ct *message.Certificate, list []*attesting, to *proof) *attls.Error {
	for i := range ct.Entries {
		for k := range ct.Entries[i].Extensions {
			x := &ct.Entries[i].Extensions[k]
			if _, ok := e.profile().Extension(x.Type); !ok {
				continue
			}
			if err := e.readPayload(x, list, to); err != nil {
				return x.Locate(err)
			}
		}
	}
	for _, by := range list {
		switch c := by.credential; c.Carrier {
		case profile.CarrierCertData:
			if c.Entries == extensions.EntriesFirst && len(ct.Entries) != 1 {
				if err := e.attestationFailure(attls.FailMisplaced, "%d entries; the payload is in exactly one",
					len(ct.Entries)); err != nil {
					return err.Under("certificate_list")
				}
			}
			to.of(by.slot).payload = append([]byte(nil), ct.Entries[0].Data...)
		case profile.CarrierExtension:
			if to.of(by.slot).payload == nil {
				if err := e.attestationFailure(attls.FailMissing,
					"the chosen scheme's payload is not in the Certificate"); err != nil {
					return err.Under("certificate_list[0].extensions")
				}
			}
		}
	}
	return nil
}

// readPayload reads the payloads in an extension of a CertificateEntry.
func (e *Engine) readPayload(x *extensions.Extension, list []*attesting, to *proof) *attls.Error {
	carries := func(by *attesting) bool {
		return by.credential.Carrier == profile.CarrierExtension && by.credential.Extension == x.Type
	}
	if !slices.ContainsFunc(list, carries) {
		return e.attestationFailure(attls.FailNotChosen, "no scheme was chosen that puts its payload here")
	}
	p := e.profile()
	f := p.NewFields()
	if err := p.Decode(attls.KindCertificate, e.role.Peer(), x.Type, x.Body, f); err != nil {
		failure := asError(err)
		if e.tolerated(failure.Failure) {
			return nil
		}
		if failure.Failure == attls.FailAttestationExtension {
			// What carries the CMW does not parse, so neither does the CMW.
			failure.Failure = attls.FailMalformedCMW
		}
		return failure
	}
	return e.takePayloads(f, list, carries, to)
}

// takePayloads keeps the payloads that a message or an extension carries, and refuses
// one for which nothing was chosen.
func (e *Engine) takePayloads(f *profile.Fields, list []*attesting, carries func(*attesting) bool,
	to *proof) *attls.Error {
	for i, payload := range f.Payloads {
		own := &e.profile().Slots[i].Own
		if payload != nil && !slices.ContainsFunc(list, func(by *attesting) bool { return by.credential.Same(own) }) {
			if err := e.attestationFailure(attls.FailNotChosen, "no scheme was chosen in slot %s",
				e.profile().Slots[i].Name); err != nil {
				return err
			}
		}
	}
	for _, by := range list {
		if payload := e.profile().PayloadOf(by.slot, f); carries(by) && payload != nil {
			to.of(by.slot).payload = append([]byte(nil), payload...)
		}
	}
	return nil
}
