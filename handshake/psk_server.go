package handshake

import (
	"crypto/subtle"
	"slices"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// pskOffer is what a server has to keep of a ClientHello until its holder of
// sessions has answered.
type pskOffer struct {
	identities []extensions.PSKIdentity
	binders    [][]byte
	partial    []byte // hash up to the binders
	early      bool   // early_data stood beside
}

// offeredKeys keeps pre_shared_key; nil if there is none that this server takes. raw is
// the whole ClientHello; it is not in the transcript yet.
func (e *Engine) offeredKeys(ch *offers, raw []byte) (*pskOffer, *attls.Error) {
	haveModes := ch.has(attls.ExtPSKKeyExchangeModes)
	if haveModes {
		for m := range e.psk.modes {
			e.psk.modes[m] = slices.Contains(ch.modes, byte(m))
		}
	}
	switch {
	case !ch.has(attls.ExtPreSharedKey):
		return nil, nil
	case !haveModes:
		return nil, missingBy(attls.ExtPSKKeyExchangeModes, "RFC 8446 4.2.9")
	}
	list := &ch.keys
	if _, usable := e.pskMode(); !usable || !e.cfg.PSK {
		return nil, nil
	}
	o := &pskOffer{identities: list.Identities, early: ch.has(attls.ExtEarlyData),
		partial: e.transcript.with(nil, e.nego.suite, raw[:len(raw)-list.BindersLen])}
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
	e.askPSK(attls.KindServerHello, PSKRequest{ServerName: e.nego.serverName, Identities: o.identities,
		EarlyData: o.early})
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
	answers bool             // or answer the offer of attestation
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
	case s.answers:
		return serverNegotiate{share: s.share, hello: s.hello, retry: s.share == nil}, nil
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
	accepted, err := negotiation.AcceptResumption(e.profile(), p.standing(), p.Session.External)
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
