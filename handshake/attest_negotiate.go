package handshake

import (
	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/internal/rule"
	"attls/negotiation"
)

// attestation is what a profile adds to a connection. Everything in it follows
// the compiled profile; nothing in it knows a revision.
type attestation struct {
	offered  negotiation.Slots
	chosen   negotiation.Slots
	fields   profile.Fields // nonces and, at a server, the offer as read
	answered bool           // CheckAnswers has run
	retried  bool           // at a server: HelloRetryRequest has said something of what was chosen
}

// startAttestation prepares the state of a profile.
func (e *Engine) startAttestation() {
	p := e.profile()
	e.att.fields, e.att.offered, e.att.chosen = *p.NewFields(), negotiation.NewSlots(p), negotiation.NewSlots(p)
	if p.Binder.Program != nil {
		e.transcript.checkpoints = &checkpoints{}
	}
}

// offerAttestation makes the client's offer.
func (e *Engine) offerAttestation() *attls.Error {
	p := e.profile()
	offered, err := negotiation.Offer(p, e.cfg.Policy, e.cfg.CanAuthenticate)
	if err != nil {
		return err
	}
	e.att.offered = offered
	copy(e.att.fields.Offered, offered.Present)
	copy(e.att.fields.Offers, offered.Offers)
	return nil
}

// profileExtensions adds the profile's extensions of a message that we send.
func (e *Engine) profileExtensions(k attls.MessageKind) *attls.Error {
	p := e.profile()
	if len(p.Extensions)+len(p.Slots) == 0 {
		return nil
	}
	f := p.NewFields()
	copy(f.Nonces, e.att.fields.Nonces)
	if k == attls.KindClientHello {
		copy(f.Offered, e.att.offered.Present)
		copy(f.Offers, e.att.offered.Offers)
	} else {
		copy(f.Choices, e.att.chosen.Choices)
	}
	return e.addExtensions(k, f)
}

// addExtensions adds what the profile makes of fields to the message being built.
func (e *Engine) addExtensions(k attls.MessageKind, f *profile.Fields) *attls.Error {
	list, err := e.profile().Encode(k, e.role, f)
	if err != nil {
		return asLocal(err)
	}
	for _, x := range list {
		e.ext.add(x.Type, x.Body)
	}
	if list, err = e.profile().Embed(k, f, e.ext.find); err != nil {
		return asLocal(err)
	}
	for _, x := range list {
		e.ext.replace(x.Type, x.Body)
	}
	return nil
}

// readProfile reads the profile's extensions of a message that we received.
func (e *Engine) readProfile(k attls.MessageKind, l extensions.List) *attls.Error {
	f := &e.att.fields
	if k != attls.KindClientHello {
		for i := range f.Choices {
			f.Choices[i] = nil
		}
	}
	if err := e.decodeFields(k, l, f); err != nil {
		return err
	}
	if k == attls.KindClientHello {
		copy(e.att.offered.Present, f.Offered)
		copy(e.att.offered.Offers, f.Offers)
		for i := range e.att.offered.Present { // what nobody offers is possible all the same
			if s := &e.profile().Slots[i]; s.Unoffered() {
				e.att.offered.Present[i] = s.Nonce.Message != k || f.Nonces[i] != nil
			}
		}
		return nil
	}
	return e.checkChoices(k, f, e.att.chosen)
}

// decodeFields reads the profile's extensions of a message into fields.
func (e *Engine) decodeFields(k attls.MessageKind, l extensions.List, f *profile.Fields) *attls.Error {
	p := e.profile()
	for i := range l {
		x := &l[i]
		if !p.Reads(k, x.Type) || k == attls.KindCertificateRequest && !e.asked(k, x.Type) {
			continue
		}
		if err := p.Decode(k, e.role.Peer(), x.Type, x.Body, f); err != nil {
			failure := asError(err)
			if e.tolerated(failure.Failure) {
				continue
			}
			if failure.Offset >= 0 {
				failure.Offset += x.Offset
			}
			return failure.Under("extensions").In(k)
		}
	}
	if k == attls.KindClientHello {
		p.DecodeRandom(e.nego.random[:], f)
	}
	return e.checkNonces(profile.Place{Message: k}, f)
}

// checkChoices takes the choices that a message brought, if they were offered.
func (e *Engine) checkChoices(k attls.MessageKind, f *profile.Fields, to negotiation.Slots) *attls.Error {
	p := e.profile()
	for i, c := range f.Choices {
		if c == nil || negotiation.IsNullChoice(p, c) {
			continue
		}
		own, err := negotiation.CheckChoice(p, e.att.offered, i, c)
		if err != nil {
			if e.tolerated(err.Failure) {
				continue
			}
			return err.Under("extensions." + p.Slots[i].Name).In(k)
		}
		to.Choices[i], to.Present[i] = own, true
	}
	return nil
}

// asked reports whether this client offered a slot whose choice or nonce is in an
// extension; a CertificateRequest may bring one that was not, to be ignored.
func (e *Engine) asked(k attls.MessageKind, t attls.ExtensionType) bool {
	here := profile.Place{Message: k, Extension: t}
	for i, s := range e.profile().Slots {
		if (s.Choice == here || s.Nonce == here) && e.att.offered.Present[i] {
			return true
		}
	}
	return false
}

// chooseAttestation is the server's choice.
func (e *Engine) chooseAttestation() *attls.Error {
	p := e.profile()
	chosen, err := negotiation.Choose(p, e.att.offered, e.cfg.Policy)
	if err != nil {
		if e.tolerated(err.Failure) {
			return nil
		}
		return err.In(attls.KindClientHello)
	}
	e.att.chosen = chosen
	return nil
}

// takeAlways makes the client's choices of what nobody chooses: its peer may attest, and
// it does itself where it is asked for a certificate.
func (e *Engine) takeAlways(requested, after bool, nonces [][]byte, to negotiation.Slots) {
	p := e.profile()
	for i := range p.Slots {
		s := &p.Slots[i]
		if !s.Always || !p.UsesSlot(i, after) || len(e.att.offered.Offers[i]) == 0 || s.Attester == e.role &&
			(!requested || s.Nonce.Message != attls.KindNone && nonces[i] == nil) {
			continue
		}
		to.Choices[i], to.Present[i] = &e.att.offered.Offers[i][0], true
	}
}

// absent is a payload that is not there: missing, or, where nothing was negotiated and
// nothing is demanded, that of a peer that does not attest.
func (e *Engine) absent(by *attesting) bool {
	return e.profile().Slots[by.slot].Always && !e.cfg.Policy.Demand
}

// present are those of a list under which a Certificate attests: all but the absent.
// What an added message carries is still to come.
func (e *Engine) present(list []*attesting, in *proof) (there []*attesting) {
	for _, by := range list {
		if by.inMessage() || !e.absent(by) || in.of(by.slot).payload != nil {
			there = append(there, by)
		}
	}
	return there
}

// checkNoChoice refuses a choice where a pre-shared key authenticates: no
// Certificate follows that could bear the payload.
func (e *Engine) checkNoChoice() *attls.Error {
	for _, attester := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		if _, scheme := e.chosen(attester); scheme != nil {
			return e.attestationFailure(attls.FailChoiceWithoutRequest,
				"a scheme was chosen for the %v, but with a pre-shared key nobody shows a certificate", attester)
		}
	}
	return nil
}

// chosen is the first scheme under which a role attests, or nil.
func (e *Engine) chosen(attester attls.Role) (int, *profile.Scheme) {
	return negotiation.ChosenFor(e.profile(), e.att.chosen, attester)
}

// requests reports whether this server asks for a client's credential.
func (e *Engine) requests() bool {
	_, scheme := e.chosen(attls.RoleClient)
	return e.cfg.ClientAuthentication != NoClientCertificate || scheme != nil && e.obeys(rule.RequestSent)
}

// attests is how a role attests in a proof, or in the one that it is to give in the
// handshake; none: not at all.
func (e *Engine) attests(attester attls.Role, p *proof) []*attesting {
	if p.later {
		return p.by
	}
	return e.attesting(attester)
}

// attesting is how an end attests in the handshake, in the order of the slots.
func (e *Engine) attesting(attester attls.Role) []*attesting {
	return e.under(e.att.chosen, attester)
}

// under lists the slots in which a scheme was chosen for a role.
func (e *Engine) under(chosen negotiation.Slots, attester attls.Role) (list []*attesting) {
	p := e.profile()
	for i, s := range chosen.Choices {
		if s != nil && p.Slots[i].Attester == attester && !negotiation.IsNullChoice(p, s) {
			c, _ := p.CredentialFor(i, s.Credential)
			list = append(list, &attesting{i, s, c})
		}
	}
	return list
}
