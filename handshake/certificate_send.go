package handshake

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/negotiation"
)

// Both roles show and check credentials in the same way (RFC 8446 section 4.4):
//
//	show:   [Credential] -> [Evidence] -> [Issuance] -> Certificate -> [Signature] -> CertificateVerify -> Finished
//	check:  Certificate -> [CertificateVerdict] [Appraisal] -> CertificateVerify -> Finished
//
// What a profile adds between them has its Evidence asked for just before; see
// attest_message.go.

// proveStart asks for our credential, unless the attestation is the credential.
type proveStart struct{}

func (proveStart) name() string { return "PROVE" }
func (proveStart) due() gate    { return gateNow }

func (s proveStart) step(e *Engine) (state, *attls.Error) {
	if !e.needsCertificate() || e.own.credential != nil { // a server was asked before ServerHello
		return e.prove(), nil
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
	e.ask(gateNow, &Wait{Kind: WaitCredential, Due: attls.KindCertificate,
		Credential: e.credentialRequest(binderInputs{e: e}, e.attesting(e.role))})
}

func (e *Engine) credentialRequest(inputs binderInputs, list []*attesting) *CredentialRequest {
	r := &CredentialRequest{Role: e.role, Type: e.types.agreed[e.role], ServerName: e.nego.serverName,
		Schemes: e.nego.peerSchemes, SchemesCert: e.nego.peerCert, Authorities: e.nego.authorities, Attests: len(list) > 0,
		Issued: inCertificate(list) != nil}
	if len(list) > 0 {
		r.Nonce, _ = inputs.Nonce(e.role)
	}
	return r
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
		return ownCredential{}, attls.Errorf(attls.Local, attls.FailConfiguration,
			"a credential of type %v where %v was agreed on", c.Type, want).Under("Credential.Type")
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
			return ownCredential{}, attls.Errorf(attls.Local, attls.FailConfiguration, "%s", err.Detail).Under("Credential.SCT").
				By("RFC 6962 3.3")
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
	return e.prove(), nil
}

// prove goes on to our Certificate. What a server adds in front of it is sent already.
func (e *Engine) prove() state {
	if e.role == attls.RoleServer {
		return proveEvidence{}
	}
	return e.fill(binder.PointClientBeforeCT, proveEvidence{})
}

// proveEvidence asks for the payloads that travel in Certificate.
type proveEvidence struct{}

func (proveEvidence) name() string { return "PROVE_EVIDENCE" }
func (proveEvidence) due() gate    { return gateNow }

func (s proveEvidence) step(e *Engine) (state, *attls.Error) {
	list := e.attesting(e.role)
	if c := carrier(list); c != nil && c.Kind == profile.KindX509 && !e.shows(&e.own, list) {
		return nil, nothingBeside()
	}
	return proveCertificate{}, e.askEvidence(pointOf(attls.KindCertificate, e.role))
}

// shows reports whether there is a certificate for a payload to accompany, or to be in.
func (e *Engine) shows(own *ownCredential, list []*attesting) bool {
	return own.credential != nil && !(inCertificate(list) != nil && (own.credential.Type != attls.CertificateX509 ||
		e.types.agreed[e.role] == attls.CertificateRawPublicKey))
}

func nothingBeside() *attls.Error {
	return attls.Errorf(attls.Local, attls.FailAttesterUnavailable,
		"the scheme needs an X.509 certificate, and there is none that the peer accepts")
}

// proveCertificate sends Certificate.
type proveCertificate struct{}

func (proveCertificate) name() string { return "PROVE_CERTIFICATE" }
func (proveCertificate) due() gate    { return gateNow }

func (s proveCertificate) step(e *Engine) (state, *attls.Error) {
	if err := e.takeEvidence(); err != nil {
		return nil, err
	}
	if by := inCertificate(e.attesting(e.role)); by != nil {
		return proveIssued{}, e.askIssuance(by)
	}
	return e.show()
}

// show sends Certificate.
func (e *Engine) show() (state, *attls.Error) {
	if err := e.sendCertificate(e.attesting(e.role)); err != nil {
		return nil, err
	}
	if e.own.spki == nil { // an empty Certificate is followed by Finished
		return sendFinished{}, nil
	}
	return e.fill(behind(attls.KindCertificate, e.role), proveKey{}), nil
}

// proveKey asks for the signature over Certificate.
type proveKey struct{}

func (proveKey) name() string { return "PROVE_CERTIFICATE" }
func (proveKey) due() gate    { return gateNow }

func (proveKey) step(e *Engine) (state, *attls.Error) {
	var sum [maxHash]byte
	e.ask(gateNow, &Wait{Kind: WaitSignature, Due: attls.KindCertificateVerify, Signature: &SignatureRequest{Role: e.role,
		Scheme: e.own.scheme, Content: signedContent(e.role, e.transcript.sum(sum[:0])), Credential: e.own.credential}})
	return proveSignature{}, nil
}

// sendCertificate builds Certificate out of the credential and the payloads.
func (e *Engine) sendCertificate(list []*attesting) *attls.Error {
	m := &e.scratch.certificate
	*m = message.Certificate{Context: e.nego.context}
	c := carrier(list)
	if c == nil {
		if len(list) > 0 {
			return attls.Errorf(attls.Local, attls.FailInternal, "the profile has no credential %s",
				list[0].scheme.Credential)
		}
		if e.own.credential != nil {
			m.Entries = e.entries(&e.own)
		}
		return e.writeCertificate(m)
	}
	if c.EmptyContext {
		m.Context = nil
	}
	if c.Carrier == profile.CarrierCertData {
		payload := e.own.proof.of(list[0].slot).payload
		if err := checkRoom(c, payload); err != nil {
			return err
		}
		m.Entries = []message.CertificateEntry{{Data: payload}}
		return e.writeCertificate(m)
	}
	m.Entries = e.entries(&e.own)
	if err := e.attachPayloads(&m.Entries[0], list, &e.own.proof); err != nil {
		return err
	}
	return e.writeCertificate(m)
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
	s := &e.scratch.sending
	*s = sending{kind: attls.KindCertificate, credential: c}
	list[0].Extensions = e.answersApart(s)
	return list
}

// proveSignature sends CertificateVerify.
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
	return e.fill(behind(attls.KindCertificateVerify, e.role), sendFinished{}), nil
}
