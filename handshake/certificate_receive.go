package handshake

import (
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
)

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
		return nil, attls.Errorf(attls.Violation, attls.FailIllegalParameter,
			"%d octets, but the handshake's context is empty", len(ct.Context)).
			Under("certificate_request_context").By("RFC 8446 4.4.2")
	}
	if len(ct.Entries) == 0 {
		return e.emptyCertificate(m)
	}
	peer := e.role.Peer()
	list := e.attesting(peer)
	if err := e.readCredential(ct, list, e.peer); err != nil {
		return nil, err
	}
	shown := e.present(list, e.peer.proof)
	for _, by := range list {
		if !slices.Contains(shown, by) {
			e.att.chosen.Choices[by.slot] = nil
		}
	}
	list = shown
	if e.peer.key != nil { // otherwise it comes with the verdict on the payload
		e.askVerdict(carrier(list))
	}
	e.transcribe(m, peer)
	here := pointOf(attls.KindCertificate, peer)
	for _, by := range list { // those that come in messages behind this one are not there yet
		if e.carriedAt(by, peer) <= here {
			if err := e.askAppraisal(by); err != nil {
				return nil, err
			}
		}
	}
	return e.gap(behind(attls.KindCertificate, peer), waitCertificateVerify{}), nil
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
		return nil, attls.Errorf(attls.Local, attls.FailCapacity, "%d entries; Config.MaxCertificates is %d", len(ct.Entries),
			e.cfg.maxCertificates()).Under("certificate_list")
	}
	for i := range ct.Entries {
		if err := e.table.Check(attls.KindCertificate, e.role.Peer(), i, postHandshake, ct.Entries[i].Extensions,
			&e.sent); err != nil {
			return nil, err
		}
	}
	return ct, nil
}

// certificateKind reports whether a message is where a Certificate belongs.
func (e *Engine) certificateKind(m *message.Raw) bool {
	return m.Kind == attls.KindCertificate || m.Kind == attls.KindCompressedCertificate &&
		len(e.cfg.CertificateCompression) > 0
}

// emptyCertificate handles a peer that shows no certificate.
func (e *Engine) emptyCertificate(m *message.Raw) (state, *attls.Error) {
	if e.role == attls.RoleClient && e.obeys(rule.CertificateShown) {
		return nil, attls.Errorf(attls.Violation, attls.FailDecode, "a server must show a certificate").
			Under("certificate_list").By("RFC 8446 4.4.2.4")
	}
	if _, scheme := e.chosen(attls.RoleClient); scheme != nil && e.cfg.Policy.Demand {
		if err := e.attestationFailure(attls.FailMissing, "the client chose to attest and sent no certificate"); err != nil {
			return nil, err
		}
	}
	if e.cfg.ClientAuthentication == RequireClientCertificate && e.obeys(rule.CertificateRequired) {
		return nil, attls.Errorf(attls.Refused, attls.FailCertificateRequired, "the client sent no certificate").
			By("RFC 8446 4.4.2.4")
	}
	e.peer.none = true
	e.transcribe(m, attls.RoleClient)
	return waitFinished{}, nil
}

// readCredential takes the payload and the chain out of a Certificate that is not
// empty; the list says how the peer attests. There is no chain where the payload is
// the whole credential.
func (e *Engine) readCredential(ct *message.Certificate, list []*attesting, to *authenticated) *attls.Error {
	if err := e.readPayloads(ct, list, to.proof); err != nil {
		return err
	}
	if by := inCertificate(list); by != nil {
		if err := e.readFields(ct.Entries[0].Data, by, to.proof); err != nil {
			return err
		}
	}
	if c := carrier(list); c != nil && c.Carrier == profile.CarrierCertData {
		return nil
	}
	return e.readChain(ct, to)
}

// askVerdict asks whether the chain of the peer is trusted.
func (e *Engine) askVerdict(c *profile.Credential) {
	r := e.verdictRequest(e.peer, c)
	r.ServerName = e.cfg.serverName()
	e.ask(gateCertificateVerify, &Wait{Kind: WaitCertificateVerdict, Certificate: r})
}

// verdictRequest asks about a chain of the peer; c is the credential in which it attests.
func (e *Engine) verdictRequest(of *authenticated, c *profile.Credential) *CertificateVerdictRequest {
	r := &CertificateVerdictRequest{Peer: e.role.Peer(), Type: e.peerType(of), Chain: of.chain, OCSP: of.ocsp, SCT: of.sct,
		Optional: c != nil && !c.PKIX}
	if c != nil && c.Carrier == profile.CarrierCertificate {
		r.Handled = e.fieldExtensions()
	}
	return r
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
	if err := e.readStatus(ct.Entries, to); err != nil {
		return err
	}
	spki, key, err := e.endEntityKey(chain)
	if err != nil {
		return err.Under("certificate_list[0].cert_data")
	}
	to.chain, to.spki, to.key = chain, spki, key
	to.kind, to.typed = e.types.agreed[e.role.Peer()], true
	return nil
}

// endEntityKey is the key that the peer signs with, and its SubjectPublicKeyInfo.
func (e *Engine) endEntityKey(chain [][]byte) ([]byte, *provider.PublicKey, *attls.Error) {
	if e.types.agreed[e.role.Peer()] != attls.CertificateRawPublicKey {
		return provider.EndEntity(e.prov, chain[0])
	}
	if len(chain) != 1 {
		return nil, nil, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%d entries; a raw public key is one",
			len(chain)).By("RFC 8446 4.4.2")
	}
	key, cause := e.prov.ParseSPKI(chain[0])
	if cause != nil {
		return nil, nil, attls.Errorf(attls.Refused, attls.FailUnsupportedCert, "%v", cause)
	}
	return chain[0], key, nil
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
	return e.gap(behind(attls.KindCertificateVerify, peer), waitFinished{}), nil
}
