package handshake

import (
	"bytes"
	"crypto"
	"errors"
	"slices"
	"time"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// attestation is what a profile adds to a connection. Everything in it follows
// the compiled profile; nothing in it knows a revision.
type attestation struct {
	offered  negotiation.Slots
	chosen   negotiation.Slots
	fields   *profile.Fields // nonces and, at a server, the offer as read
	answered bool            // CheckAnswers has run
}

// proof is what one attester shows in one authentication. It belongs to the key
// that was shown there, and is kept with it: see authenticated and ownCredential.
type proof struct {
	payload   []byte
	challenge []byte
	verdict   *negotiation.Verdict // at the relying party
	// Under which scheme an authentication after the handshake was made; the one
	// of the handshake is what was chosen there.
	later  bool
	slot   int
	scheme *profile.Scheme // nil: without attestation
	nonce  []byte          // of the request, where it carries one
}

// accepted reports whether a verdict accepts.
func (p *proof) accepted() bool { return p.verdict != nil && p.verdict.Failure == "" }

// startAttestation prepares the state of a profile.
func (e *Engine) startAttestation() {
	p := e.cfg.Profile
	if p == nil {
		return
	}
	e.att.fields = p.NewFields()
	n := len(p.Slots)
	e.att.offered = negotiation.Slots{Present: make([]bool, n), Offers: make([][]profile.Scheme, n), Choices: make([]*profile.Scheme, n)}
	e.att.chosen = negotiation.Slots{Present: make([]bool, n), Offers: make([][]profile.Scheme, n), Choices: make([]*profile.Scheme, n)}
	if p.Binder.Program != nil {
		e.transcript.checkpoints = true
	}
}

// offerAttestation makes the client's offer.
func (e *Engine) offerAttestation() *attls.Error {
	p := e.cfg.Profile
	if p == nil {
		return nil
	}
	offered, err := negotiation.Offer(p, e.cfg.Policy, e.cfg.CanAuthenticate)
	if err != nil {
		return err
	}
	e.att.offered = offered
	copy(e.att.fields.Offered, offered.Present)
	copy(e.att.fields.Offers, offered.Offers)
	return nil
}

// askNonces asks for the nonces that this end sends in a message: it is the
// relying party of those slots.
func (e *Engine) askNonces(k attls.MessageKind) {
	p := e.cfg.Profile
	if p == nil {
		return
	}
	for i := range p.Slots {
		s := &p.Slots[i]
		if s.Nonce.Message != k || s.Attester == e.role || !e.slotInUse(i, k) {
			continue
		}
		if p.Rules.NonceFixed != nil {
			e.att.fields.Nonces[i] = p.Rules.NonceFixed
			continue
		}
		w := e.ask(gateNow, e.nonceWait(s))
		w.slot = i
	}
}

// nonceWait asks for the nonce of a slot.
func (e *Engine) nonceWait(s *profile.Slot) *Wait {
	most := s.NonceMax
	if n := e.cfg.Profile.Rules.NonceReceiveAtMost; n > 0 {
		most = min(most, n)
	}
	return &Wait{Kind: WaitNonce, Due: s.Nonce.Message, Nonce: &NonceRequest{Attester: s.Attester, Min: s.NonceMin, Max: most, Default: s.NonceDefault}}
}

// slotInUse reports whether a slot's nonce has a meaning in a message.
func (e *Engine) slotInUse(i int, k attls.MessageKind) bool {
	if k == attls.KindClientHello {
		return e.att.offered.Present[i] && len(e.att.offered.Offers[i]) > 0
	}
	return e.att.chosen.Choices[i] != nil
}

// takeNonces reads the answers, drawing random octets where there are none.
func (e *Engine) takeNonces() *attls.Error {
	for w := e.take(WaitNonce); w != nil; w = e.take(WaitNonce) {
		nonce, err := e.takeNonce(w, uint32(w.slot))
		if err != nil {
			return err
		}
		e.att.fields.Nonces[w.slot] = nonce
	}
	return nil
}

// takeNonce is the answer to a wait for a nonce; where there is none, random
// octets, drawn under the index.
func (e *Engine) takeNonce(w *waiting, index uint32) ([]byte, *attls.Error) {
	r, nonce := w.wait.Nonce, w.answer.Nonce
	if nonce == nil {
		nonce = make([]byte, r.Default)
		e.random.Fill(UseNonce, index, nonce)
	}
	if len(nonce) < r.Min || len(nonce) > r.Max {
		return nil, attls.Errorf(attls.Local, attls.FailNonceSize, "a nonce of %d octets; the profile takes %d to %d", len(nonce), r.Min, r.Max)
	}
	return bytes.Clone(nonce), nil
}

// checkNonces bounds the nonces that a message brought for our own slots.
func (e *Engine) checkNonces(k attls.MessageKind, f *profile.Fields) *attls.Error {
	p := e.cfg.Profile
	if p.Rules.NonceReceiveAtMost == 0 {
		return nil
	}
	for i := range p.Slots {
		if n := len(f.Nonces[i]); p.Slots[i].Nonce.Message == k && p.Slots[i].Attester == e.role && n > p.Rules.NonceReceiveAtMost {
			if err := e.attestationFailure(attls.FailNonceSize, "a nonce of %d octets; the profile accepts %d", n, p.Rules.NonceReceiveAtMost); err != nil {
				return err.Under(p.Slots[i].Name).In(k)
			}
		}
	}
	return nil
}

// profileExtensions adds the profile's extensions of a message that we send.
func (e *Engine) profileExtensions(k attls.MessageKind) *attls.Error {
	p := e.cfg.Profile
	if p == nil {
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
	list, err := e.cfg.Profile.Encode(k, e.role, f)
	if err != nil {
		return asLocal(err)
	}
	for _, x := range list {
		e.ext.add(x.Type, x.Body)
	}
	return nil
}

// readProfile reads the profile's extensions of a message that we received.
func (e *Engine) readProfile(k attls.MessageKind, l extensions.List) *attls.Error {
	p := e.cfg.Profile
	if p == nil {
		return nil
	}
	f := e.att.fields
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
		return nil
	}
	return e.checkChoices(k, f, e.att.chosen)
}

// decodeFields reads the profile's extensions of a message into fields.
func (e *Engine) decodeFields(k attls.MessageKind, l extensions.List, f *profile.Fields) *attls.Error {
	p := e.cfg.Profile
	for i := range l {
		x := &l[i]
		if _, ok := p.Extension(x.Type); !ok || k == attls.KindCertificateRequest && !e.asked(k, x.Type) {
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
	return e.checkNonces(k, f)
}

// checkChoices takes the choices that a message brought, if they were offered.
func (e *Engine) checkChoices(k attls.MessageKind, f *profile.Fields, to negotiation.Slots) *attls.Error {
	p := e.cfg.Profile
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
	for i, s := range e.cfg.Profile.Slots {
		if (s.Choice == here || s.Nonce == here) && e.att.offered.Present[i] {
			return true
		}
	}
	return false
}

// chooseAttestation is the server's choice.
func (e *Engine) chooseAttestation() *attls.Error {
	p := e.cfg.Profile
	if p == nil {
		return nil
	}
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

// checkAnswers runs once the server's parameters are complete.
func (e *Engine) checkAnswers() *attls.Error {
	if e.att.answered {
		return nil
	}
	e.att.answered = true
	if err := e.checkCertificateTypes(); err != nil {
		return err
	}
	p := e.cfg.Profile
	if p == nil {
		return nil
	}
	err := negotiation.CheckAnswers(p, e.att.offered, e.att.chosen, e.cfg.Policy, e.nego.requested)
	if err != nil && e.tolerated(err.Failure) {
		return nil
	}
	return err
}

// checkNoChoice refuses a choice where a pre-shared key authenticates: no
// Certificate follows that could bear the payload.
func (e *Engine) checkNoChoice() *attls.Error {
	for _, attester := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		if _, scheme := e.chosen(attester); scheme != nil {
			return e.attestationFailure(attls.FailChoiceWithoutRequest, "a scheme was chosen for the %v, but with a pre-shared key nobody shows a certificate", attester)
		}
	}
	return nil
}

// chosen is the scheme under which a role attests, or nil.
func (e *Engine) chosen(attester attls.Role) (int, *profile.Scheme) {
	p := e.cfg.Profile
	if p == nil {
		return -1, nil
	}
	slot, s := negotiation.ChosenFor(p, e.att.chosen, attester)
	return slot, s
}

// requests reports whether this server asks for a client's credential.
func (e *Engine) requests() bool {
	_, scheme := e.chosen(attls.RoleClient)
	return e.cfg.ClientAuthentication != NoClientCertificate || scheme != nil && e.obeys(rule.RequestSent)
}

// carriedInMessage is the credential of an attester whose payload travels in an
// added message, or nil.
func (e *Engine) carriedInMessage(attester attls.Role) *profile.Credential {
	_, scheme := e.chosen(attester)
	if scheme == nil {
		return nil
	}
	if c, ok := e.cfg.Profile.Credential(scheme.Credential); ok && c.Carrier == profile.CarrierMessage {
		return c
	}
	return nil
}

func carrierName(c *profile.Credential) string {
	switch c.Carrier {
	case profile.CarrierExtension:
		return "the extension " + c.Extension.String()
	case profile.CarrierMessage:
		return "the added message"
	}
	return "cert_data"
}

// tolerated reports whether the profile lets a failure pass (alert: none).
func (e *Engine) tolerated(f attls.Failure) bool {
	return e.cfg.Profile != nil && f.Attestation() && e.cfg.Profile.AlertFor(f).None
}

// obeys reports whether a rule is in force; see profile.Profile.Without.
func (e *Engine) obeys(r rule.Rule) bool { return e.cfg.Profile.Obeys(r) }

// enforce returns the error of a broken rule, or nil where the rule is off.
func (e *Engine) enforce(r rule.Rule, err *attls.Error) *attls.Error {
	if !e.obeys(r) {
		return nil
	}
	return err
}

// parsed returns the error of reading a message, unless an extension stands
// twice in it and may.
func (e *Engine) parsed(err *attls.Error) *attls.Error {
	if err != nil && err.Failure == attls.FailDuplicateExtension {
		return e.enforce(rule.ExtensionOnce, err)
	}
	return err
}

// letPass returns an error unless the profile tolerates its failure.
func (e *Engine) letPass(err *attls.Error) *attls.Error {
	if err != nil && e.tolerated(err.Failure) {
		return nil
	}
	return err
}

// attestationFailure makes the error of a failure, or nil where the profile
// says to go on.
func (e *Engine) attestationFailure(f attls.Failure, format string, args ...any) *attls.Error {
	if e.tolerated(f) {
		return nil
	}
	return attls.Errorf(attls.Violation, f, format, args...)
}

// readPayload takes the payload out of a Certificate and checks that it is
// there if and only if it was chosen.
func (e *Engine) readPayload(ct *message.Certificate, c *profile.Credential, to *proof) *attls.Error {
	p := e.cfg.Profile
	if p == nil {
		return nil
	}
	peer := e.role.Peer()
	f := p.NewFields()
	for i := range ct.Entries {
		for k := range ct.Entries[i].Extensions {
			x := &ct.Entries[i].Extensions[k]
			if _, ok := p.Extension(x.Type); !ok {
				continue
			}
			if c == nil || c.Carrier != profile.CarrierExtension || c.Extension != x.Type {
				if err := e.attestationFailure(attls.FailNotChosen, "no scheme was chosen that puts its payload here"); err != nil {
					return in(err, x)
				}
				continue
			}
			if err := p.Decode(attls.KindCertificate, peer, x.Type, x.Body, f); err != nil {
				failure := asError(err)
				if e.tolerated(failure.Failure) {
					continue
				}
				if failure.Failure == attls.FailAttestationExtension {
					// What carries the CMW does not parse, so neither does the CMW.
					failure.Failure = attls.FailMalformedCMW
				}
				return in(failure, x)
			}
			to.payload = append([]byte(nil), f.Payload...)
		}
	}
	if c == nil {
		return nil
	}
	switch c.Carrier {
	case profile.CarrierCertData:
		if c.Entries == profile.EntriesFirst && len(ct.Entries) != 1 {
			if err := e.attestationFailure(attls.FailMisplaced, "%d entries; the payload stands in exactly one", len(ct.Entries)); err != nil {
				return err.Under("certificate_list")
			}
		}
		to.payload = append([]byte(nil), ct.Entries[0].Data...)
	case profile.CarrierExtension:
		if to.payload == nil {
			if err := e.attestationFailure(attls.FailMissing, "the chosen scheme's payload is not in the Certificate"); err != nil {
				return err.Under("certificate_list[0].extensions")
			}
		}
	}
	return nil
}

// bind computes the challenge and the claims of an attester.
func (e *Engine) bind(inputs binderInputs, attester attls.Role, s *profile.Scheme) (challenge []byte, claims []negotiation.ClaimValue, err *attls.Error) {
	b, program := &e.cfg.Profile.Binder, inputs.program()
	if program == nil {
		return nil, nil, nil
	}
	if name := b.Challenge[s.Model][s.Credential]; name != "" {
		v, cause := program.Eval(name, attester, inputs)
		if cause != nil {
			return nil, nil, asError(cause)
		}
		challenge = v
		inputs.proof(attester).challenge = v
	}
	if s.Model == profile.ModelEvidence && s.Credential == profile.KindX509 {
		for _, c := range b.Claims {
			if c.InChallenge {
				continue
			}
			v, cause := program.Eval(c.Expr, attester, inputs)
			if cause != nil {
				return nil, nil, asError(cause)
			}
			claims = append(claims, negotiation.ClaimValue{Name: c.Name, Value: v})
		}
	}
	return challenge, claims, nil
}

// askEvidence asks our Attester for the payload.
func (e *Engine) askEvidence(slot int, s *profile.Scheme) *attls.Error {
	r, err := e.evidenceRequest(binderInputs{e: e}, s)
	if err != nil {
		return err
	}
	w := e.ask(gateNow, &Wait{Kind: WaitEvidence, Due: attls.KindCertificate, Evidence: r})
	w.slot = slot
	return nil
}

// evidenceRequest is what our Attester is asked.
func (e *Engine) evidenceRequest(inputs binderInputs, s *profile.Scheme) (*negotiation.EvidenceRequest, *attls.Error) {
	challenge, claims, err := e.bind(inputs, e.role, s)
	if err != nil && !e.tolerated(err.Failure) {
		return nil, err.In(attls.KindCertificate)
	}
	if !e.obeys(rule.EvidenceBound) {
		challenge, claims = nil, nil
	}
	r := &negotiation.EvidenceRequest{Profile: e.cfg.Profile.ID, Attester: e.role, Scheme: *s, Challenge: challenge,
		Fit: e.cfg.Profile.Binder.Fit, Claims: claims}
	if s.Credential == profile.KindX509 {
		r.SPKI, _ = inputs.SPKI(e.role)
	}
	return r, nil
}

// takePayload takes the payload out of the Attester's answer.
func (e *Engine) takePayload(ev *negotiation.Evidence, to *proof) *attls.Error {
	if ev == nil || len(ev.CMW) == 0 {
		return attls.Errorf(attls.Local, attls.FailAttesterUnavailable, "the Attester gave no payload")
	}
	if e.obeys(rule.CredentialSent) {
		to.payload = ev.CMW
	}
	return nil
}

// takeEvidence reads the Attester's answer; where the payload is the whole
// credential it brings the key as well.
func (e *Engine) takeEvidence() *attls.Error {
	w := e.take(WaitEvidence)
	if w == nil {
		return nil
	}
	ev := w.answer.Evidence
	if err := e.takePayload(ev, &e.own.proof); err != nil {
		return err
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

// askAppraisal asks our Appraiser for a verdict on the peer's payload.
func (e *Engine) askAppraisal() *attls.Error {
	peer := e.role.Peer()
	slot, s := e.chosen(peer)
	if s == nil || e.peer.proof.payload == nil {
		return nil
	}
	r, err := e.appraisalRequest(binderInputs{e: e}, s)
	if err != nil {
		return e.letPass(err)
	}
	p := e.cfg.Profile
	c, _ := p.Credential(s.Credential)
	g := gateFinished
	switch {
	case c.KeyFrom == profile.KeyFromAppraisal:
		g = gateCertificateVerify
	case p.Rules.Verdict == profile.BeforeCertificateVerify:
		g = gateCertificateVerify
		if c.Carrier == profile.CarrierMessage {
			g = gateFinished // the payload comes after CertificateVerify
		}
	case p.Rules.Verdict == profile.BeforeApplicationData:
		g = gateData
	case p.Rules.Verdict == profile.BeforeNothing:
		g = gateNever
	}
	w := e.ask(g, &Wait{Kind: WaitAppraisal, Appraisal: r})
	w.slot = slot
	return nil
}

// appraisalRequest is what our Appraiser is asked about the peer's payload.
func (e *Engine) appraisalRequest(inputs binderInputs, s *profile.Scheme) (*negotiation.AppraisalRequest, *attls.Error) {
	p, peer := e.cfg.Profile, e.role.Peer()
	challenge, claims, err := e.bind(inputs, peer, s)
	if err != nil {
		return nil, err
	}
	r := &negotiation.AppraisalRequest{Profile: p.ID, Attester: peer, Scheme: *s, CMW: inputs.proof(peer).payload, Challenge: challenge,
		Fit: p.Binder.Fit, Match: p.Rules.Match, Claims: claims}
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
	if c, _ := p.Credential(s.Credential); c.KeyFrom == profile.KeyFromX509 {
		r.SPKI, _ = inputs.SPKI(peer)
	}
	return r, nil
}

// weigh returns a verdict with its Failure set where it does not accept the key
// that it was asked about.
func (e *Engine) weigh(v *negotiation.Verdict, now time.Time, c *profile.Credential, of *authenticated) *negotiation.Verdict {
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

// judged takes a verdict in, at whatever moment it comes. It goes to the proof
// that was judged, which the peer may have replaced meanwhile.
func (e *Engine) judged(w *waiting) *attls.Error {
	v, peer, of := w.answer.Verdict, e.role.Peer(), w.peer
	if v == nil {
		return attls.Errorf(attls.Local, attls.FailVerifierUnreachable, "the Appraiser gave no verdict")
	}
	c, _ := e.cfg.Profile.Credential(w.wait.Appraisal.Scheme.Credential)
	v = e.weigh(v, w.answer.Time, c, of)
	w.answer.Verdict, of.proof.verdict = v, v
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
		return attls.Errorf(attls.Refused, attls.FailAttestationKey, "a key of type %s %s; the profile permits %v", key.Algorithm, key.Curve, c.Keys)
	}
	of.key, of.spki = key, v.SPKI
	return nil
}

// checkDemand is the last word of a policy that demands attestation: whatever a
// profile lets pass, the handshake goes past a gate only with a peer that was
// accepted, or whose verdict is not due yet.
func (e *Engine) checkDemand(passing gate) *attls.Error {
	p, peer := e.cfg.Profile, e.role.Peer()
	if p == nil {
		return e.checkVouched(e.peer)
	}
	open := slices.ContainsFunc(e.waits, func(w waiting) bool {
		return w.wait.Kind == WaitAppraisal && !w.answered && w.gate > passing
	})
	if passing == gateData || !open {
		if err := e.checkVouched(e.peer); err != nil {
			return err
		}
	}
	if !e.cfg.Policy.Demand || e.peer.kept != nil || e.peer.proof.accepted() || open {
		return nil // kept: what a session in use keeps holds, see lacks
	}
	if e.peer.proof.verdict != nil && p.Rules.Verdict == profile.BeforeNothing {
		return nil
	}
	failure, of := attls.FailDemandedByClient, rule.DemandByClient
	if e.role == attls.RoleServer {
		failure, of = attls.FailDemandedByServer, rule.DemandByServer
	}
	if !p.Obeys(of) {
		return nil
	}
	return attls.Errorf(attls.Refused, failure, "the %v must attest and was not accepted", peer).By(p.ID)
}

// checkVouched refuses a peer whose certificate was accepted on condition that
// its key is attested, and is not.
func (e *Engine) checkVouched(of *authenticated) *attls.Error {
	if !of.conditional || e.vouched(of) {
		return nil
	}
	return attls.Errorf(attls.Refused, attls.FailUnknownCA, "no path of the certificate was validated, and no verdict accepts its key").Under("certificate_list")
}

// vouched reports whether a verdict that names the key accepts it.
func (e *Engine) vouched(of *authenticated) bool {
	if of.kept != nil {
		return len(of.kept.SPKI) > 0 && e.sameKey(of.kept.SPKI, of.spki)
	}
	return of.proof.accepted() && e.sameKey(of.proof.verdict.SPKI, of.spki)
}

// attested is what was accepted of the peer, in this connection or in the one
// whose session it resumes; nil: nothing.
func (e *Engine) attested(of *authenticated) *AttestedPeer {
	if of.kept != nil {
		return of.kept
	}
	_, s := e.attests(e.role.Peer(), of.proof)
	if s == nil || !of.proof.accepted() {
		return nil
	}
	v := of.proof.verdict
	return &AttestedPeer{Profile: e.cfg.Profile.ID, Model: s.Model, Credential: s.Credential, Format: s.Format, Verifier: s.Verifier,
		Wire: s.Wire, SPKI: of.spki, Status: v.Status, ValidUntil: v.ValidUntil}
}

// attests is the slot and the scheme of a proof, or of the one that a role is to
// give in the handshake; -1 and nil: there is none.
func (e *Engine) attests(attester attls.Role, p *proof) (int, *profile.Scheme) {
	switch {
	case !p.later:
		return e.chosen(attester)
	case p.scheme == nil:
		return -1, nil
	}
	return p.slot, p.scheme
}

// sameKey reports whether two SubjectPublicKeyInfo hold the same key.
func (e *Engine) sameKey(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	if bytes.Equal(a, b) {
		return true
	}
	key, err := e.prov.ParseSPKI(b)
	return err == nil && e.isKey(a, &authenticated{spki: b, key: key})
}

// isKey reports whether a SubjectPublicKeyInfo holds the key of the peer's
// certificate, in whatever encoding.
func (e *Engine) isKey(spki []byte, of *authenticated) bool {
	if bytes.Equal(spki, of.spki) {
		return true
	}
	key, err := e.prov.ParseSPKI(spki)
	if err != nil {
		return false
	}
	own, ok := key.Key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(of.key.Key)
}

// asError brings any error into the project's type.
func asError(err error) *attls.Error {
	var e *attls.Error
	if errors.As(err, &e) {
		return e
	}
	return attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
}

// asLocal marks an error in building a message of ours.
func asLocal(err error) *attls.Error {
	e := asError(err)
	e.Class = attls.Local
	return e
}
