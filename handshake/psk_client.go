package handshake

import (
	"slices"

	"attls"
	"attls/internal/provider"
	"attls/negotiation"
)

// askOffers asks a client's holder of sessions for keys to offer.
func (e *Engine) askOffers() {
	if e.cfg.PSK {
		e.askPSK(attls.KindClientHello, PSKRequest{ServerName: e.cfg.serverName(), ALPN: e.cfg.ALPN,
			EarlyData: e.cfg.MaxEarlyData > 0})
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
		if accepted, err := negotiation.AcceptResumption(e.profile(), p.standing(), p.Session.External); err != nil {
			return nil, err
		} else if accepted {
			offers = append(offers, p)
		}
	}
	return offers, nil
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

// selected handles the key that a ServerHello selects, or that it selects none.
func (s clientWaitServerHello) selected(e *Engine, a *answers) *attls.Error {
	if !a.has(attls.ExtPreSharedKey) {
		e.keys.start(e.nego.suite, nil)
		return nil
	}
	i := a.identity
	illegal := func(format string, args ...any) *attls.Error {
		return a.place(attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).By("RFC 8446 4.2.11"),
			attls.ExtPreSharedKey)
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
