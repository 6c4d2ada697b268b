package handshake

import (
	"crypto/subtle"
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/negotiation"
)

// Both roles show and check credentials in the same way (RFC 8446 section 4.4):
//
//	show:   [Credential] -> [Evidence] -> Certificate -> [Signature] -> CertificateVerify -> added message -> Finished
//	check:  Certificate -> [CertificateVerdict] [Appraisal] -> CertificateVerify -> added message -> Finished

// proveStart asks for our credential, unless the attestation is the credential.
type proveStart struct{}

func (proveStart) name() string { return "PROVE" }
func (proveStart) due() gate    { return gateNow }

func (s proveStart) step(e *Engine) (state, *attls.Error) {
	if !e.needsCertificate() {
		return proveEvidence{}, nil
	}
	if e.own.credential != nil { // a server was asked before ServerHello
		return proveEvidence{}, nil
	}
	e.askCredential()
	return proveCredential{}, nil
}

// needsCertificate reports whether we show an X.509 certificate: always, but
// where a pre-shared key takes its place (RFC 8446 section 2.2) and where the attestation is the whole credential.
func (e *Engine) needsCertificate() bool {
	if e.psk.session != nil {
		return false
	}
	_, scheme := e.chosen(e.role)
	return scheme == nil || scheme.Credential == profile.KindX509
}

func (e *Engine) askCredential() {
	_, scheme := e.chosen(e.role)
	e.ask(gateNow, &Wait{Kind: WaitCredential, Due: attls.KindCertificate, Credential: e.credentialRequest(scheme != nil)})
}

func (e *Engine) credentialRequest(attests bool) *CredentialRequest {
	return &CredentialRequest{Role: e.role, Type: e.types.agreed[e.role], ServerName: e.nego.serverName,
		Schemes: e.nego.peerSchemes, SchemesCert: e.nego.peerCert, Authorities: e.nego.authorities, Attests: attests}
}

// takeCredential reads the answer and chooses the signature scheme.
func (e *Engine) takeCredential() (err *attls.Error) {
	if w := e.take(WaitCredential); w != nil {
		proof := e.own.proof
		e.own, err = e.chooseOwn(w.answer.Credential)
		e.own.proof = proof
	}
	return err
}

// chooseOwn makes our credential usable: its key and the scheme to sign under.
// The zero value: there is none.
func (e *Engine) chooseOwn(c *Credential) (ownCredential, *attls.Error) {
	if c == nil || len(c.Chain) == 0 {
		return ownCredential{}, nil
	}
	want := e.types.agreed[e.role]
	if own := e.cfg.configuredTypes(e.role); e.done && own != nil && !slices.Contains(own, want) {
		return ownCredential{}, nil // asked after the handshake, without a type that this end permits
	}
	if c.Type != want && !(c.Type == attls.CertificateX509 && want == attls.CertificateRawPublicKey) {
		if e.role == attls.RoleClient {
			return ownCredential{}, nil
		}
		return ownCredential{}, attls.Errorf(attls.Local, attls.FailConfiguration, "a credential of type %v where %v was agreed on", c.Type, want).Under("Credential.Type")
	}
	spki := c.Chain[0]
	if c.Type == attls.CertificateX509 {
		var err *attls.Error
		if spki, err = provider.SPKIFromCertificate(c.Chain[0]); err != nil {
			return ownCredential{}, attls.Errorf(attls.Local, attls.FailConfiguration, "our certificate: %v", err)
		}
	}
	if len(c.SCT) > 0 {
		if err := extensions.ParseSCTList(c.SCT); err != nil {
			return ownCredential{}, attls.Errorf(attls.Local, attls.FailConfiguration, "%s", err.Detail).Under("Credential.SCT").By("RFC 6962 3.3")
		}
	}
	schemes := c.Schemes
	if q := e.cfg.quirks().SignatureSchemes[e.role]; q != nil {
		schemes = q
	}
	scheme, err := negotiation.SelectSignatureScheme(schemes, e.nego.peerSchemes)
	if err != nil {
		if e.role == attls.RoleClient {
			return ownCredential{}, nil // RFC 8446 section 4.4.2: a client without a usable certificate sends none
		}
		return ownCredential{}, err
	}
	return ownCredential{credential: c, scheme: scheme, spki: spki}, nil
}

// proveCredential follows the Credential wait.
type proveCredential struct{}

func (proveCredential) name() string { return "PROVE_CREDENTIAL" }
func (proveCredential) due() gate    { return gateNow }

func (s proveCredential) step(e *Engine) (state, *attls.Error) {
	if err := e.takeCredential(); err != nil {
		return nil, err
	}
	return proveEvidence{}, nil
}

// proveEvidence asks for the payload where a scheme was chosen for this role.
type proveEvidence struct{}

func (proveEvidence) name() string { return "PROVE_EVIDENCE" }
func (proveEvidence) due() gate    { return gateNow }

func (s proveEvidence) step(e *Engine) (state, *attls.Error) {
	slot, scheme := e.chosen(e.role)
	if scheme == nil {
		return proveCertificate{}, nil
	}
	if scheme.Credential == profile.KindX509 && e.own.credential == nil {
		return nil, nothingBeside()
	}
	return proveCertificate{}, e.askEvidence(slot, scheme)
}

func nothingBeside() *attls.Error {
	return attls.Errorf(attls.Local, attls.FailAttesterUnavailable,
		"the scheme goes beside an X.509 certificate, and there is none that the peer accepts")
}

// proveCertificate sends Certificate and asks for the signature over it.
type proveCertificate struct{}

func (proveCertificate) name() string { return "PROVE_CERTIFICATE" }
func (proveCertificate) due() gate    { return gateNow }

func (s proveCertificate) step(e *Engine) (state, *attls.Error) {
	if err := e.takeEvidence(); err != nil {
		return nil, err
	}
	if err := e.sendCertificate(); err != nil {
		return nil, err
	}
	if e.own.spki == nil { // an empty Certificate is followed by Finished
		return sendFinished{}, nil
	}
	var sum [maxHash]byte
	e.ask(gateNow, &Wait{Kind: WaitSignature, Due: attls.KindCertificateVerify, Signature: &SignatureRequest{Role: e.role,
		Scheme: e.own.scheme, Content: signedContent(e.role, e.transcript.sum(sum[:0])), Credential: e.own.credential}})
	return proveSignature{}, nil
}

// sendCertificate builds Certificate out of the credential and the payload.
func (e *Engine) sendCertificate() *attls.Error {
	m := &e.scratch.certificate
	*m = message.Certificate{Context: e.nego.context}
	_, scheme := e.chosen(e.role)
	if scheme == nil {
		if e.own.credential != nil {
			m.Entries = e.entries(&e.own)
		}
		return e.writeCertificate(m)
	}
	c, ok := e.cfg.Profile.Credential(scheme.Credential)
	if !ok {
		return attls.Errorf(attls.Local, attls.FailInternal, "the profile has no credential %s", scheme.Credential)
	}
	if c.EmptyContext {
		m.Context = nil
	}
	if err := checkRoom(c, e.own.proof.payload); err != nil {
		return err
	}
	switch c.Carrier {
	case profile.CarrierCertData:
		m.Entries = []message.CertificateEntry{{Data: e.own.proof.payload}}
	case profile.CarrierExtension:
		m.Entries = e.entries(&e.own)
		if err := e.attachPayload(&m.Entries[0], e.own.proof.payload); err != nil {
			return err
		}
	case profile.CarrierMessage:
		m.Entries = e.entries(&e.own)
	}
	return e.writeCertificate(m)
}

// attachPayload puts a payload into the extensions of a CertificateEntry.
func (e *Engine) attachPayload(to *message.CertificateEntry, payload []byte) *attls.Error {
	f := e.cfg.Profile.NewFields()
	f.Payload = payload
	list, err := e.cfg.Profile.Encode(attls.KindCertificate, e.role, f)
	if err != nil {
		return asLocal(err)
	}
	for _, x := range list {
		to.Extensions = append(to.Extensions, extensions.Extension{Type: x.Type, Body: x.Body})
	}
	return nil
}

// writeCertificate sends Certificate, compressed where that was agreed on.
func (e *Engine) writeCertificate(m *message.Certificate) *attls.Error {
	e.flight = m.Append(e.flight[:0])
	raw, err := e.compressed(e.flight)
	if err != nil {
		return err
	}
	return e.send(raw)
}

// checkRoom refuses a payload that its carrier cannot hold.
func checkRoom(c *profile.Credential, payload []byte) *attls.Error {
	if n := len(payload); c.MaxPayload > 0 && n > c.MaxPayload {
		return attls.Errorf(attls.Local, attls.FailTooLarge, "a payload of %d octets; %s has room for %d", n, carrierName(c), c.MaxPayload)
	}
	return nil
}

// entries are our certificates with what goes beside the first.
func (e *Engine) entries(own *ownCredential) []message.CertificateEntry {
	c := own.credential
	if e.types.agreed[e.role] == attls.CertificateRawPublicKey {
		return []message.CertificateEntry{{Data: own.spki}}
	}
	list := make([]message.CertificateEntry, len(c.Chain))
	for i, der := range c.Chain {
		list[i].Data = der
	}
	e.addStatus(c, &list[0])
	return list
}

// signedContent is what CertificateVerify signs (RFC 8446 section 4.4.3).
func signedContent(signer attls.Role, transcriptHash []byte) []byte {
	label := "TLS 1.3, client CertificateVerify"
	if signer == attls.RoleServer {
		label = "TLS 1.3, server CertificateVerify"
	}
	b := make([]byte, 64, 64+len(label)+1+len(transcriptHash))
	for i := range b {
		b[i] = 0x20
	}
	b = append(b, label...)
	b = append(b, 0)
	return append(b, transcriptHash...)
}

// proveSignature sends CertificateVerify and what a profile puts after it.
type proveSignature struct{}

func (proveSignature) name() string { return "PROVE_SIGNATURE" }
func (proveSignature) due() gate    { return gateNow }

func (s proveSignature) step(e *Engine) (state, *attls.Error) {
	w := e.take(WaitSignature)
	signature := w.answer.Signature
	if e.cfg.quirks().SignatureEncoding[e.role] == profile.SignatureRaw {
		raw, err := provider.RawFromDER(signature, e.own.scheme)
		if err != nil {
			return nil, attls.Errorf(attls.Local, attls.FailInternal, "signature_encoding raw: %v", err)
		}
		signature = raw
	}
	m := &e.scratch.verify
	*m = message.CertificateVerify{Scheme: e.own.scheme, Signature: signature}
	if err := e.write(m); err != nil {
		return nil, err
	}
	if err := e.sendAdded(); err != nil {
		return nil, err
	}
	return sendFinished{}, nil
}

// sendAdded sends the message in which a profile carries the payload.
func (e *Engine) sendAdded() *attls.Error {
	c := e.carriedInMessage(e.role)
	if c == nil {
		return nil
	}
	if err := checkRoom(c, e.own.proof.payload); err != nil {
		return err
	}
	f := e.cfg.Profile.NewFields()
	f.Payload = e.own.proof.payload
	body, err := e.cfg.Profile.EncodeMessage(c.Message, e.role, f)
	if err != nil {
		return asLocal(err)
	}
	b, mark := message.Begin(e.flight[:0], e.cfg.Profile.Messages[c.Message].Type)
	b = append(b, body...)
	e.flight = message.End(b, mark)
	return e.send(e.flight)
}

// sendFinished ends our flight.
type sendFinished struct{}

func (sendFinished) name() string { return "SEND_FINISHED" }
func (sendFinished) due() gate    { return gateNow }

func (s sendFinished) step(e *Engine) (state, *attls.Error) {
	var sum [maxHash]byte
	m := &e.scratch.finished
	m.VerifyData = e.keys.kdf.FinishedMAC(e.scratch.mac[:0], e.keys.handshakeSecret(e.role).bytes(), e.transcript.sum(sum[:0]))
	if err := e.write(m); err != nil {
		return nil, err
	}
	e.out.Flush()
	if e.role == attls.RoleClient {
		e.deriveResumption()
		if err := e.setWriteKey(&e.keys.clientTraffic); err != nil {
			return nil, err
		}
		return finish{}, nil
	}
	e.keys.applicationTraffic(e.transcript.sum(sum[:0]))
	if err := e.setWriteKey(&e.keys.serverTraffic); err != nil {
		return nil, err
	}
	switch {
	case e.early.status == EarlyDataAccepted:
		e.early.reading = true
		e.startHalves() // half-RTT data may answer early data
		return serverWaitEndOfEarlyData{}, nil
	case e.nego.requested:
		return waitCertificate{}, nil
	}
	return waitFinished{}, nil
}

// waitCertificate takes the peer's Certificate.
type waitCertificate struct{}

func (waitCertificate) name() string { return "WAIT_CERT" }
func (waitCertificate) due() gate    { return gateNone }

func (s waitCertificate) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	if !e.certificateKind(m) {
		return nil, unexpected(m, s)
	}
	ct, err := e.readCertificate(m, false)
	if err != nil {
		return nil, err
	}
	if len(ct.Context) != 0 && e.obeys(rule.ContextEmpty) {
		return nil, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%d octets, but the handshake's context is empty", len(ct.Context)).
			Under("certificate_request_context").By("RFC 8446 4.4.2")
	}
	if len(ct.Entries) == 0 {
		return e.emptyCertificate(m)
	}
	if err := e.readCredential(ct); err != nil {
		return nil, err
	}
	peer := e.role.Peer()
	e.transcribe(m, peer)
	if e.carriedInMessage(peer) == nil {
		if err := e.askAppraisal(); err != nil {
			return nil, err
		}
	}
	return waitCertificateVerify{}, nil
}

// readCertificate reads a Certificate, compressed or not, and checks what stands
// where in it.
func (e *Engine) readCertificate(m *message.Raw, postHandshake bool) (*message.Certificate, *attls.Error) {
	body, err := e.decompress(m)
	if err != nil {
		return nil, err
	}
	ct := &e.scratch.certificate
	if err := ct.Unmarshal(body); err != nil {
		return nil, err
	}
	if len(ct.Entries) > e.cfg.maxCertificates() {
		return nil, attls.Errorf(attls.Local, attls.FailCapacity, "%d entries; Config.MaxCertificates is %d", len(ct.Entries), e.cfg.maxCertificates()).Under("certificate_list")
	}
	for i := range ct.Entries {
		if err := e.table.Check(attls.KindCertificate, e.role.Peer(), i, postHandshake, ct.Entries[i].Extensions, &e.sent); err != nil {
			return nil, err
		}
	}
	return ct, nil
}

// emptyCertificate handles a peer that shows no certificate.
func (e *Engine) emptyCertificate(m *message.Raw) (state, *attls.Error) {
	if e.role == attls.RoleClient && e.obeys(rule.CertificateShown) {
		return nil, attls.Errorf(attls.Violation, attls.FailDecode, "a server must show a certificate").Under("certificate_list").By("RFC 8446 4.4.2.4")
	}
	if _, scheme := e.chosen(attls.RoleClient); scheme != nil && e.cfg.Policy.Demand {
		if err := e.attestationFailure(attls.FailMissing, "the client chose to attest and sent no certificate"); err != nil {
			return nil, err
		}
	}
	if e.cfg.ClientAuthentication == RequireClientCertificate && e.obeys(rule.CertificateRequired) {
		return nil, attls.Errorf(attls.Refused, attls.FailCertificateRequired, "the client sent no certificate").By("RFC 8446 4.4.2.4")
	}
	e.peer.none = true
	e.transcribe(m, attls.RoleClient)
	return waitFinished{}, nil
}

// readCredential takes the end-entity key and the payload out of Certificate.
func (e *Engine) readCredential(ct *message.Certificate) *attls.Error {
	peer := e.role.Peer()
	_, scheme := e.chosen(peer)
	var c *profile.Credential
	if scheme != nil {
		c, _ = e.cfg.Profile.Credential(scheme.Credential)
	}
	if err := e.readPayload(ct, c, e.peer.proof); err != nil {
		return err
	}
	if c != nil && c.Carrier == profile.CarrierCertData {
		return nil // the key comes with the verdict
	}
	if err := e.readChain(ct, e.peer); err != nil {
		return err
	}
	e.ask(gateCertificateVerify, &Wait{Kind: WaitCertificateVerdict, Certificate: &CertificateVerdictRequest{
		Peer: peer, Type: e.peerType(e.peer), Chain: e.peer.chain, OCSP: e.peer.ocsp, SCT: e.peer.sct, ServerName: e.cfg.serverName(),
		Optional: c != nil && !c.PKIX}})
	return nil
}

// readChain takes the certificates, what stands beside them and the end entity's
// key out of Certificate.
func (e *Engine) readChain(ct *message.Certificate, to *authenticated) *attls.Error {
	chain := make([][]byte, len(ct.Entries))
	total := 0
	for i := range ct.Entries {
		total += len(ct.Entries[i].Data)
	}
	store := make([]byte, 0, total)
	for i := range ct.Entries {
		start := len(store)
		store = append(store, ct.Entries[i].Data...)
		chain[i] = store[start:len(store):len(store)]
	}
	if err := readStatus(ct.Entries, to); err != nil {
		return err
	}
	spki, err := e.endEntityKey(chain)
	if err != nil {
		return err.Under("certificate_list[0].cert_data")
	}
	key, cause := e.prov.ParseSPKI(spki)
	if cause != nil {
		return attls.Errorf(attls.Refused, attls.FailUnsupportedCert, "%v", cause).Under("certificate_list[0].cert_data")
	}
	to.chain, to.spki, to.key = chain, spki, key
	to.kind, to.typed = e.types.agreed[e.role.Peer()], true
	return nil
}

// endEntityKey is the SubjectPublicKeyInfo of the key that the peer signs with.
func (e *Engine) endEntityKey(chain [][]byte) ([]byte, *attls.Error) {
	if e.types.agreed[e.role.Peer()] == attls.CertificateRawPublicKey {
		if len(chain) != 1 {
			return nil, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%d entries; a raw public key is one", len(chain)).By("RFC 8446 4.4.2")
		}
		return chain[0], nil
	}
	spki, err := provider.SPKIFromCertificate(chain[0])
	if err != nil {
		return nil, attls.Errorf(attls.Refused, attls.FailBadCertificate, "%s", err.Detail).At(err.Offset).By("RFC 5280 4.1")
	}
	if provider.ForbidsSignatures(chain[0]) {
		return nil, attls.Errorf(attls.Refused, attls.FailKeyUsage, "the key must not be used for signatures").By("RFC 8446 4.4.2.2")
	}
	return spki, nil
}

// waitCertificateVerify takes the peer's CertificateVerify.
type waitCertificateVerify struct{}

func (waitCertificateVerify) name() string { return "WAIT_CV" }
func (waitCertificateVerify) due() gate    { return gateCertificateVerify }

func (s waitCertificateVerify) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	if e.skips(m) {
		return s, nil
	}
	if m.Kind != attls.KindCertificateVerify {
		return nil, unexpected(m, s)
	}
	e.take(WaitCertificateVerdict)
	var sum [maxHash]byte
	scheme, err := e.checkSignature(m, e.peer.key, e.transcript.sum(sum[:0]))
	if err != nil {
		return nil, err
	}
	peer := e.role.Peer()
	e.peer.scheme = scheme
	e.transcribe(m, peer)
	if e.carriedInMessage(peer) != nil {
		return waitAdded{}, nil
	}
	return waitFinished{}, nil
}

// checkSignature checks a CertificateVerify over a transcript hash.
func (e *Engine) checkSignature(m *message.Raw, key *provider.PublicKey, hash []byte) (attls.SignatureScheme, *attls.Error) {
	cv := &e.scratch.verify
	if err := cv.Unmarshal(m.Body()); err != nil {
		return 0, err
	}
	peer := e.role.Peer()
	accepted := e.cfg.signatureSchemes()
	if q := e.cfg.quirks().SignatureSchemes[peer]; q != nil {
		accepted = q
	}
	illegal := func(format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).Under("algorithm").By("RFC 8446 4.4.3")
	}
	if !slices.Contains(accepted, cv.Scheme) && e.obeys(rule.SchemeOffered) {
		return 0, illegal("%v was not offered", cv.Scheme)
	}
	if key == nil {
		return 0, attls.Errorf(attls.Refused, attls.FailAttestationKey, "there is no key to check the signature with")
	}
	if !slices.Contains(e.prov.Schemes(key), cv.Scheme) && e.obeys(rule.SchemeFits) {
		return 0, illegal("%v does not fit a key of type %s", cv.Scheme, key.Algorithm)
	}
	signature := cv.Signature
	if e.cfg.quirks().SignatureEncoding[peer] == profile.SignatureRaw {
		der, err := provider.DERFromRaw(signature, cv.Scheme)
		if err != nil {
			return 0, attls.Errorf(attls.Violation, attls.FailSignature, "%v", err).Under("signature")
		}
		signature = der
	}
	if err := e.prov.Verify(key, cv.Scheme, signedContent(peer, hash), signature); err != nil && e.obeys(rule.SignatureVerified) {
		return 0, attls.Errorf(attls.Violation, attls.FailSignature, "%v signature: %v", cv.Scheme, err).Under("signature").By("RFC 8446 4.4.3")
	}
	return cv.Scheme, nil
}

// skips reports whether a message that a profile adds may stand anywhere.
func (e *Engine) skips(m *message.Raw) bool {
	return m.Kind == attls.KindAdded && !e.obeys(rule.AddedInPlace)
}

// waitAdded takes the handshake message that a profile adds.
type waitAdded struct{}

func (waitAdded) name() string { return "WAIT_ADDED" }
func (waitAdded) due() gate    { return gateNone }

func (s waitAdded) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	peer := e.role.Peer()
	c := e.carriedInMessage(peer)
	if m.Kind == attls.KindFinished {
		if err := e.attestationFailure(attls.FailMissing, "Finished came in the place of the message that carries the payload"); err != nil {
			return nil, err
		}
		return waitFinished{}.receive(e, m)
	}
	if m.Kind != attls.KindAdded || m.Type != e.cfg.Profile.Messages[c.Message].Type {
		return nil, unexpected(m, s)
	}
	f := e.cfg.Profile.NewFields()
	if err := e.cfg.Profile.DecodeMessage(c.Message, peer, m.Body(), f); err != nil {
		return nil, asError(err)
	}
	e.peer.proof.payload = append([]byte(nil), f.Payload...)
	e.transcribe(m, peer)
	return waitFinished{}, e.askAppraisal()
}

// waitFinished takes the peer's Finished.
type waitFinished struct{}

func (waitFinished) name() string { return "WAIT_FINISHED" }
func (waitFinished) due() gate    { return gateNone }

func (s waitFinished) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	if e.skips(m) {
		return s, nil
	}
	if m.Kind != attls.KindFinished {
		return nil, unexpected(m, s)
	}
	var f message.Finished
	if err := f.Unmarshal(m.Body()); err != nil {
		return nil, err
	}
	peer := e.role.Peer()
	if len(f.VerifyData) != e.nego.suite.HashLen {
		return nil, attls.Errorf(attls.Malformed, attls.FailDecode, "%d octets instead of %d", len(f.VerifyData), e.nego.suite.HashLen).
			Under("verify_data").By("RFC 8446 4.4.4")
	}
	var sum, mac [maxHash]byte
	want := e.keys.kdf.FinishedMAC(mac[:0], e.keys.handshakeSecret(peer).bytes(), e.transcript.sum(sum[:0]))
	if subtle.ConstantTimeCompare(want, f.VerifyData) != 1 && e.obeys(rule.FinishedVerified) {
		return nil, attls.Errorf(attls.Violation, attls.FailFinished, "does not match the transcript").Under("verify_data").By("RFC 8446 4.4.4")
	}
	e.transcribe(m, peer)
	e.ccsAllowed = false
	if e.cfg.quirks().RetainHandshakeReadKey {
		e.in.RetainKey()
	} else {
		e.in.RecallKey()
	}
	if e.role == attls.RoleServer {
		e.deriveResumption()
		return serverAccept{}, e.setReadKey(&e.keys.clientTraffic)
	}
	e.keys.applicationTraffic(e.transcript.sum(sum[:0]))
	if err := e.setReadKey(&e.keys.serverTraffic); err != nil {
		return nil, err
	}
	return clientFlight{}, nil
}

// serverAccept holds a client's Finished back until the verdicts that must
// come before it are there.
type serverAccept struct{}

func (serverAccept) name() string { return "ACCEPT" }
func (serverAccept) due() gate    { return gateFinished }

func (s serverAccept) step(e *Engine) (state, *attls.Error) {
	e.take(WaitCertificateVerdict) // of a resumed chain
	if e.held(gateData) {          // a ticket keeps what the verdict says
		return serverIssue{}, nil
	}
	return serverIssue{}.step(e)
}

// serverIssue asks for the tickets once the verdicts are there that application
// data waits for.
type serverIssue struct{}

func (serverIssue) name() string { return "ISSUE" }
func (serverIssue) due() gate    { return gateData }

func (serverIssue) step(e *Engine) (state, *attls.Error) {
	e.askTickets()
	return finish{}, nil
}

// finish waits for what application data must wait for.
type finish struct{}

func (finish) name() string { return "FINISH" }
func (finish) due() gate    { return gateData }

func (s finish) step(e *Engine) (state, *attls.Error) {
	if err := e.checkDemand(gateData); err != nil {
		return nil, err
	}
	if e.writer == nil {
		e.startHalves()
	}
	if err := e.sendTickets(); err != nil {
		return nil, err
	}
	e.establish()
	return connected{}, nil
}

// connected handles post-handshake messages.
type connected struct{}

func (connected) name() string { return "CONNECTED" }
func (connected) due() gate    { return gateNone }

func (s connected) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	if err := e.reader.follow(m); err != nil {
		return nil, err
	}
	if m.Kind != attls.KindKeyUpdate {
		return s, e.postHandshake(m, &e.reader.secret)
	}
	if err := e.reader.keyUpdate(m); err != nil {
		return nil, err
	}
	e.emit(Event{Kind: EventKeyUpdate})
	return s, nil // one that the peer asks for goes out before the next data (RFC 8446 section 4.6.3)
}

// postHandshake handles a message after the handshake that is not a KeyUpdate;
// secret is the one under which the peer sends at this moment.
func (e *Engine) postHandshake(m *message.Raw, secret *secret) *attls.Error {
	switch {
	case e.authenticates(m):
		return e.afterwards(m, secret)
	case m.Kind == attls.KindNewSessionTicket && e.role == attls.RoleClient:
		return e.receiveTicket(m)
	}
	return unexpected(m, connected{})
}
