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
	index    int  // of the identity that a server selects
	wait     Wait // the one for keys
	request  PSKRequest
	modes    [2]bool // by mode: what the client offers, as the server reads it
	offers   []PSK   // that a client's last ClientHello holds
	// resumption is resumption_secret, from which tickets are made.
	resumption secret
}

// PSKRequest asks for pre-shared keys.
type PSKRequest struct {
	// ServerName and ALPN are a client's: what it is going to ask for.
	ServerName string
	ALPN       []string
	// Identities are a server's: what the client offers, in its order.
	Identities []extensions.PSKIdentity
	// EarlyData says that early data would be sent, or was sent, with the first.
	EarlyData bool
}

// pskModes are the modes that this end takes part in.
func (c *Config) pskModes() []attls.PSKKeyExchangeMode {
	if c.PSKModes == nil {
		return []attls.PSKKeyExchangeMode{attls.PSKWithDHE}
	}
	return c.PSKModes
}

// askOffers asks a client's holder of sessions for keys to offer.
func (e *Engine) askOffers() {
	if e.cfg.PSK {
		e.askPSK(attls.KindClientHello, PSKRequest{ServerName: e.cfg.serverName(), ALPN: e.cfg.ALPN, EarlyData: e.cfg.MaxEarlyData > 0})
	}
}

// takeOffers reads the keys to offer. A key whose suite is not enabled, or that
// the profile does not let be used, is left out.
func (e *Engine) takeOffers() ([]PSK, *attls.Error) {
	w := e.take(WaitPSK)
	if w == nil {
		return nil, nil
	}
	var offers []PSK
	size := 0
	for _, p := range w.answer.PSKs {
		if err := p.usable(); err != nil {
			return nil, err
		}
		suite, ok := e.prov.Suite(p.Session.Suite)
		if !ok || !e.enablesHash(suite) || e.lacks(p.Session, p.standing()) {
			continue
		}
		if size += len(p.Session.Identity); len(p.Session.Identity) == 0 || size > maxOffered {
			continue
		}
		if accepted, err := negotiation.AcceptResumption(e.cfg.Profile, p.standing(), p.Session.External); err != nil {
			return nil, err
		} else if accepted {
			offers = append(offers, p)
		}
	}
	return offers, nil
}

// maxOffered bounds the octets of all identities that a client offers.
const maxOffered = 1 << 15

// lacks reports whether the policy demands that the peer attests and a session
// does not count as its attestation: it must keep one of this profile, said of
// the key that the session keeps, under a scheme that the policy accepts, and it
// must stand, whatever the profile lets be resumed.
func (e *Engine) lacks(s *Session, standing negotiation.Standing) bool {
	if e.cfg.Profile == nil || !e.cfg.Policy.Demand {
		return false
	}
	return !e.counts(s) || standing != negotiation.StandingHolds && e.obeys(rule.ResumptionDue)
}

// counts reports whether what a session keeps was said of its key, under this
// profile and a scheme that the policy accepts.
func (e *Engine) counts(s *Session) bool {
	p, a := e.cfg.Profile, s.Attestation
	if p == nil || a == nil || !a.complete() || a.Profile != p.ID || !e.isAbout(a, s) {
		return false
	}
	scheme := negotiation.Scheme{Model: a.Model, Credential: a.Credential, Format: a.Format, Verifier: a.Verifier, Wire: a.Wire}
	return negotiation.Accepts(p, e.cfg.Policy, e.role, &scheme) || !e.obeys(rule.ResumptionScheme)
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

// enablesHash reports whether some enabled suite has the hash of another.
func (e *Engine) enablesHash(s *provider.Suite) bool {
	return slices.ContainsFunc(e.cfg.suites(), func(id attls.CipherSuite) bool {
		own, ok := e.prov.Suite(id)
		return ok && own.Hash == s.Hash
	})
}

// keepHash leaves out the keys that do not fit the suite which a
// HelloRetryRequest has chosen (RFC 8446 section 4.1.4).
func (e *Engine) keepHash(offers []PSK) []PSK {
	return slices.DeleteFunc(slices.Clone(offers), func(p PSK) bool {
		suite, _ := e.prov.Suite(p.Session.Suite)
		return suite.Hash != e.nego.suite.Hash
	})
}

// appendOffers appends the body of pre_shared_key with binders still zero.
func (e *Engine) appendOffers(b []byte, offers []PSK) (body []byte, bindersLen int) {
	identities := make([]extensions.PSKIdentity, len(offers))
	lens := make([]int, len(offers))
	for i := range offers {
		suite, _ := e.prov.Suite(offers[i].Session.Suite)
		identities[i], lens[i] = offers[i].identity(), suite.HashLen
	}
	return extensions.AppendPreSharedKeyOffer(b, identities, lens)
}

// fillBinders overwrites the zeros at the end of a ClientHello.
func (e *Engine) fillBinders(raw []byte, bindersLen int, offers []PSK) {
	partial, at := raw[:len(raw)-bindersLen], len(raw)-bindersLen+2
	for i := range offers {
		suite, _ := e.prov.Suite(offers[i].Session.Suite)
		var sum [maxHash]byte
		b := pskBinder(e.keys.hkdf(suite), offers[i].Session, e.transcript.with(sum[:0], suite, partial))
		at += 1 + copy(raw[at+1:], b)
	}
}

// rebind fills the binders of a ClientHello that a tap has changed.
func (e *Engine) rebind(k attls.MessageKind, raw []byte) {
	var ch message.ClientHello
	if k != attls.KindClientHello || len(raw) < 4 || ch.Unmarshal(raw[4:]) != nil {
		return
	}
	body, _ := ch.Extensions.Get(attls.ExtPreSharedKey)
	o, err := extensions.ParsePreSharedKeyOffer(body)
	if err != nil || len(o.Binders) > len(e.psk.offers) {
		return
	}
	for i, b := range o.Binders {
		suite, _ := e.prov.Suite(e.psk.offers[i].Session.Suite)
		if len(b) != suite.HashLen {
			return
		}
	}
	e.fillBinders(raw, o.BindersLen, e.psk.offers[:len(o.Binders)])
}

// pskBinder is a PskBinderEntry over a transcript hash.
func pskBinder(kdf *provider.KDF, s *Session, hash []byte) []byte {
	label := "res binder"
	if s.External {
		label = "ext binder"
	}
	n := kdf.Suite().HashLen
	var early, empty, key [maxHash]byte
	kdf.Extract(early[:0], nil, s.Secret)
	kdf.ExpandLabel(key[:0], early[:n], labelPrefix, label, kdf.Hash(empty[:0], nil), n)
	return kdf.FinishedMAC(nil, key[:n], hash)
}

// selected handles the key that a ServerHello selects, or that it selects none.
func (s clientWaitServerHello) selected(e *Engine, sh *message.ServerHello) *attls.Error {
	x, ok := sh.Extensions.Find(attls.ExtPreSharedKey)
	if !ok {
		e.keys.start(e.nego.suite, nil)
		return nil
	}
	i, err := extensions.ParsePreSharedKeySelected(x.Body)
	if err != nil {
		return in(err, x)
	}
	illegal := func(format string, args ...any) *attls.Error {
		return in(attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).By("RFC 8446 4.2.11"), x)
	}
	if int(i) >= len(s.psks) {
		return illegal("identity %d of %d", i, len(s.psks))
	}
	p := &s.psks[i]
	if suite, _ := e.prov.Suite(p.Session.Suite); suite.Hash != e.nego.suite.Hash {
		return illegal("the key goes with %v and the server chose %v", p.Session.Suite, e.nego.suite.ID)
	}
	if e.early.offered && i != 0 {
		e.early.impossible = true // whether that is an error, EncryptedExtensions tells
	}
	e.psk.session, e.psk.standing = p.Session, p.standing()
	e.keys.start(e.nego.suite, p.Session.Secret)
	e.resumePeer()
	return nil
}

// reverify asks whether the chain that the session knows is still trusted.
func (e *Engine) reverify() {
	if s := e.psk.session; len(s.Chain) > 0 {
		e.ask(gateFinished, &Wait{Kind: WaitCertificateVerdict, Certificate: &CertificateVerdictRequest{Peer: e.role.Peer(),
			Type: s.Type, Chain: s.Chain, OCSP: s.OCSP, SCT: s.SCT, ServerName: e.cfg.serverName(), Resumed: true, Optional: e.keptAlone()}})
	}
}

// keptAlone reports whether the profile asks for no path validation beside the
// attestation that the session in use keeps.
func (e *Engine) keptAlone() bool {
	p, a := e.cfg.Profile, e.peer.kept
	if p == nil || a == nil {
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

// pskOffer is what a server has to keep of a ClientHello until its holder of
// sessions has answered.
type pskOffer struct {
	identities []extensions.PSKIdentity
	binders    [][]byte
	partial    []byte // hash up to the binders
	early      bool   // early_data stood beside
}

// readOffers reads pre_shared_key; nil when there is none that this server takes. raw is the whole ClientHello; it is not in the transcript yet.
func (e *Engine) readOffers(ch *message.ClientHello, raw []byte) (*pskOffer, *attls.Error) {
	_, early := ch.Extensions.Find(attls.ExtEarlyData)
	modesX, haveModes := ch.Extensions.Find(attls.ExtPSKKeyExchangeModes)
	if haveModes {
		modes, err := extensions.ParsePSKKeyExchangeModes(modesX.Body)
		if err != nil {
			return nil, in(err, modesX)
		}
		for m := range e.psk.modes {
			e.psk.modes[m] = slices.Contains(modes, byte(m))
		}
	}
	x, ok := ch.Extensions.Find(attls.ExtPreSharedKey)
	switch {
	case !ok:
		return nil, nil
	case !haveModes:
		return nil, missingBy(attls.ExtPSKKeyExchangeModes, "RFC 8446 4.2.9")
	}
	list, err := extensions.ParsePreSharedKeyOffer(x.Body)
	if err != nil {
		return nil, in(err, x)
	}
	if _, usable := e.pskMode(); !usable || !e.cfg.PSK {
		return nil, nil
	}
	o := &pskOffer{identities: list.Identities, early: early, partial: e.transcript.with(nil, e.nego.suite, raw[:len(raw)-list.BindersLen])}
	for _, b := range list.Binders {
		o.binders = append(o.binders, slices.Clone(b))
	}
	for i := range o.identities {
		o.identities[i].Identity = slices.Clone(o.identities[i].Identity)
	}
	return o, nil
}

// keyAlone reports whether one of the keys on offer could be used without a key
// exchange.
func (e *Engine) keyAlone(o *pskOffer) bool {
	return o != nil && e.psk.modes[attls.PSKOnly] && slices.Contains(e.cfg.pskModes(), attls.PSKOnly)
}

// askKey asks a server's holder of sessions for the key behind an identity.
func (e *Engine) askKey(o *pskOffer) {
	e.askPSK(attls.KindServerHello, PSKRequest{ServerName: e.nego.serverName, Identities: o.identities, EarlyData: o.early})
}

// askPSK asks for keys. A connection asks once, so that the wait lives in the
// Engine and a handshake without keys allocates nothing for it.
func (e *Engine) askPSK(due attls.MessageKind, r PSKRequest) {
	e.psk.request = r
	e.psk.wait = Wait{Kind: WaitPSK, Due: due, PSK: &e.psk.request}
	e.ask(gateNow, &e.psk.wait)
}

// pskMode is the first of our modes that the client offers.
func (e *Engine) pskMode() (attls.PSKKeyExchangeMode, bool) {
	for _, m := range e.cfg.pskModes() {
		if e.psk.modes[m] {
			return m, true
		}
	}
	return 0, false
}

// serverSelectPSK takes the key that the holder of sessions has found.
type serverSelectPSK struct {
	share   []byte // of the client; nil: none that is usable
	offer   *pskOffer
	group   attls.NamedGroup // that a full handshake would use
	lacking *attls.Error     // why there is no such group; nil: there is one
	hello   []byte           // the ClientHello, where a HelloRetryRequest could still bring a share
}

func (serverSelectPSK) name() string { return "RECVD_CH" }
func (serverSelectPSK) due() gate    { return gateNow }

func (s serverSelectPSK) step(e *Engine) (state, *attls.Error) {
	if err := s.accept(e); err != nil {
		return nil, err.In(attls.KindClientHello)
	}
	if e.psk.session != nil {
		if mode, _ := e.pskMode(); mode == attls.PSKOnly || s.share == nil {
			s.share, e.nego.group = nil, 0
		}
		return serverNegotiate{share: s.share}, nil
	}
	switch {
	case e.nego.peerSchemes == nil && e.obeys(rule.SchemesNeeded):
		return nil, noSchemes().In(attls.KindClientHello)
	case s.lacking != nil:
		return nil, s.lacking.In(attls.KindClientHello)
	case s.hello != nil:
		return s.retry(e)
	}
	return serverNegotiate{share: s.share}, nil
}

// retry asks for a share after all: the client offered to do without one under a
// key that this server does not use.
func (s serverSelectPSK) retry(e *Engine) (state, *attls.Error) {
	m, err := message.ParseRaw(s.hello)
	if err == nil {
		err = e.scratch.clientHello.Unmarshal(m.Body())
	}
	if err != nil {
		return nil, err
	}
	return serverWaitClientHello{}.retry(e, &m, s.group, false)
}

// accept checks the binder of the key that is to be used. A key that does not
// fit is passed over, which means a full handshake.
func (s serverSelectPSK) accept(e *Engine) *attls.Error {
	w := e.take(WaitPSK)
	if len(w.answer.PSKs) == 0 {
		return nil
	}
	p := &w.answer.PSKs[0]
	if err := p.usable(); err != nil {
		return err
	}
	if p.Index < 0 || p.Index >= len(s.offer.binders) {
		return attls.Errorf(attls.Local, attls.FailInternal, "identity %d of %d was selected", p.Index, len(s.offer.binders))
	}
	if !e.fits(p.Session) {
		return nil
	}
	accepted, err := negotiation.AcceptResumption(e.cfg.Profile, p.standing(), p.Session.External)
	if err != nil || !accepted || e.lacks(p.Session, p.standing()) {
		return err
	}
	want := pskBinder(e.keys.hkdf(e.nego.suite), p.Session, s.offer.partial)
	if subtle.ConstantTimeCompare(want, s.offer.binders[p.Index]) != 1 {
		return attls.Errorf(attls.Violation, attls.FailBinder, "does not match the key").
			Under("extensions.pre_shared_key.binders").By("RFC 8446 4.2.11.2")
	}
	e.psk.session, e.psk.standing, e.psk.index = p.Session, p.standing(), p.Index
	e.keys.start(e.nego.suite, p.Session.Secret)
	e.resumePeer()
	e.reverify()
	if s.offer.early {
		e.considerEarlyData(p, s.offer.binders[p.Index])
	}
	return nil
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
	return s.ServerName == e.nego.serverName && (e.cfg.ClientAuthentication != RequireClientCertificate || len(s.Chain) > 0)
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
	s := &Session{Suite: suite.ID, Group: e.nego.group, ALPN: e.nego.alpn, ServerName: e.nego.serverName, Chain: e.peer.chain, Type: e.peerType(e.peer), Scheme: e.peer.scheme,
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
		if e.obeys(rule.TicketBounded) && (e.cfg.Policy.Demand || negotiation.TicketsWithinValidity(e.cfg.Profile)) {
			s.NotAfter = a.ValidUntil
		}
	}
	return s
}
