package handshake

import (
	"attls"
	"attls/extensions/profile"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/negotiation"
)

// Pre-shared keys, RFC 8446 sections 2.2, 4.2.9, 4.2.11 and 4.6.1:
//
//	client: [PSK] -> ClientHello with identities and binders -> ServerHello selects one, or none
//	server: ClientHello -> [PSK] -> binder checked -> ServerHello
//
// The binders cover the transcript up to and including the ClientHello without
// the list of binders, so they are put into the octets of the finished message.

// pskState is what a connection has to do with pre-shared keys.
type pskState struct {
	session  *Session // the one in use; nil: a full handshake
	standing negotiation.Standing
	index    int     // of the identity that a server selects
	modes    [2]bool // by mode: what the client offers, as the server reads it
	// resumption is resumption_secret, from which tickets are made.
	resumption   secret
	*keyQuestion // nil after the handshake
}

// keyQuestion is how an engine asks for pre-shared keys.
type keyQuestion struct {
	wait    Wait
	request PSKRequest
	offers  []PSK // that a client's last ClientHello holds
}

// maxOffered bounds the octets of all identities that a client offers.
const maxOffered = 1 << 15

// lacks reports whether the policy demands that the peer attests and a session
// does not count as its attestation: it must keep one of this profile, said of
// the key that the session keeps, under a scheme that the policy accepts, and it
// must stand, whatever the profile lets be resumed. Nor does the session of a ticket
// do where extended key update is negotiated.
func (e *Engine) lacks(s *Session, standing negotiation.Standing) bool {
	if e.negotiatesUpdates() && !s.External {
		return true
	}
	if !e.cfg.Policy.Demand {
		return false
	}
	return !e.counts(s) || standing != negotiation.StandingHolds && e.obeys(rule.ResumptionDue)
}

// counts reports whether what a session keeps was said of its key, under this
// profile and a scheme that the policy accepts.
func (e *Engine) counts(s *Session) bool {
	p, a := e.profile(), s.Attestation
	if a == nil || !a.complete() || a.Profile != p.ID || !e.isAbout(a, s) {
		return false
	}
	if !e.obeys(rule.ResumptionScheme) {
		return true
	}
	for _, s := range append([]AttestedScheme{a.AttestedScheme}, a.Others...) {
		if !negotiation.Accepts(p, e.cfg.Policy, e.role, s.scheme()) {
			return false
		}
	}
	return true
}

// isAbout reports whether an attestation was said of the key that a session keeps.
func (e *Engine) isAbout(a *AttestedPeer, s *Session) bool {
	if len(s.Chain) == 0 {
		return a.Credential == profile.KindAlone
	}
	return e.sameKey(a.SPKI, s.spki())
}

// spki is the key of the end entity, as SubjectPublicKeyInfo; nil: there is none.
func (s *Session) spki() []byte {
	switch {
	case len(s.Chain) == 0:
		return nil
	case s.Type == attls.CertificateRawPublicKey:
		return s.Chain[0]
	}
	spki, _ := provider.SPKIFromCertificate(s.Chain[0])
	return spki
}

// reverify asks whether the chain that the session knows is still trusted.
func (e *Engine) reverify() {
	if s := e.psk.session; len(s.Chain) > 0 {
		e.ask(gateFinished, &Wait{Kind: WaitCertificateVerdict, Certificate: &CertificateVerdictRequest{Peer: e.role.Peer(),
			Type: s.Type, Chain: s.Chain, OCSP: s.OCSP, SCT: s.SCT, ServerName: e.cfg.serverName(), Resumed: true,
			Optional: e.keptAlone()}})
	}
}

// keptAlone reports whether the profile asks for no path validation beside the
// attestation that the session in use keeps.
func (e *Engine) keptAlone() bool {
	p, a := e.profile(), e.peer.kept
	if a == nil {
		return false
	}
	c, ok := p.Credential(a.Credential)
	return ok && !c.PKIX
}

// resumePeer shows what the session knows of the peer as if it had been shown again.
func (e *Engine) resumePeer() {
	s := e.psk.session
	e.peer.chain, e.peer.scheme, e.peer.ocsp, e.peer.sct = s.Chain, s.Scheme, s.OCSP, s.SCT
	e.peer.none = len(s.Chain) == 0
	e.peer.kind, e.peer.typed = s.Type, true
	e.peer.spki = s.spki()
	if e.psk.standing != negotiation.StandingExpired && e.counts(s) {
		e.peer.kept = s.Attestation
		if e.peer.spki == nil { // the attestation was the whole credential
			e.peer.spki = s.Attestation.SPKI
		}
	}
}

// askPSK asks for keys. A connection asks once, so that the wait lives in the
// Engine and a handshake without keys allocates nothing for it.
func (e *Engine) askPSK(due attls.MessageKind, r PSKRequest) {
	e.psk.request = r
	e.psk.wait = Wait{Kind: WaitPSK, Due: due, PSK: &e.psk.request}
	e.ask(gateNow, &e.psk.wait)
}

// fits reports whether a session may be resumed in this connection: the hash of
// its suite (RFC 8446 section 4.2.11), the name of the server (RFC 6066 section
// 3), and the client's certificate.
func (e *Engine) fits(s *Session) bool {
	suite, ok := e.prov.Suite(s.Suite)
	if !ok || suite.Hash != e.nego.suite.Hash {
		return false
	}
	if s.External {
		return true
	}
	return s.ServerName == e.nego.serverName && (e.cfg.ClientAuthentication != RequireClientCertificate ||
		len(s.Chain) > 0)
}

// resumption derives resumption_secret from the transcript up to the client's
// Finished (RFC 8446 section 7.1).
func (e *Engine) deriveResumption() {
	if !e.cfg.PSK {
		return
	}
	var sum [maxHash]byte
	e.keys.expand(&e.psk.resumption, e.keys.main.bytes(), "res master", e.transcript.sum(sum[:0]))
	e.keys.named(SecretResumption, &e.psk.resumption)
}

// session makes the session that a ticket stands for.
func (e *Engine) session(nonce []byte) *Session {
	suite := e.nego.suite
	s := &Session{Suite: suite.ID, Group: e.nego.group, ALPN: e.nego.alpn, ServerName: e.nego.serverName,
		Chain: e.peer.chain, Type: e.peerType(e.peer), Scheme: e.peer.scheme,
		OCSP: e.peer.ocsp, SCT: e.peer.sct,
		Secret: suite.ExpandLabel(nil, e.psk.resumption.bytes(), labelPrefix, "resumption", nonce, suite.HashLen)}
	if e.role == attls.RoleClient {
		s.ServerName = e.cfg.serverName()
	}
	if s.Group == 0 && e.psk.session != nil { // psk_ke has used none
		s.Group = e.psk.session.Group
	}
	if a := e.attested(e.peer); a != nil && a.complete() {
		s.Attestation = a
		if e.obeys(rule.TicketBounded) && (e.cfg.Policy.Demand || negotiation.TicketsWithinValidity(e.profile())) {
			s.NotAfter = a.ValidUntil
		}
	}
	return s
}
