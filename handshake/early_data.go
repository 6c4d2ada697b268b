package handshake

import (
	"math"

	"attls"
	"attls/handshake/message"
	"attls/internal/rule"
	"attls/negotiation"
)

// 0-RTT data, RFC 8446 sections 2.3, 4.2.10 and 4.5. It has no forward secrecy
// and can be replayed, so it is off unless Config.MaxEarlyData is set, a session
// permits it, and a server's holder of sessions agrees to each connection.

// earlyData is the state of 0-RTT.
type earlyData struct {
	status        EarlyDataStatus
	offered       bool
	impossible    bool // the server chose what rules it out
	writing       bool // a client: early data may be written
	reading       bool // a server: early data may arrive
	session       *Session
	limit         uint32
	moved         uint32 // octets sent or received
	*earlySecrets        // nil where nothing after the handshake needs them
}

type earlySecrets struct {
	traffic  secret // client_early_traffic_secret
	exporter secret // early_exporter_secret
}

// unannounced is how many octets of rejected early data are skipped where this
// server announces none, as tickets may be from an earlier configuration: what
// fits in one record of 16384 octets. BoringSSL skips as much.
const unannounced = 1<<14 - 17

// skipEarlyData lets a server skip the early data that it rejects, as much of it
// as was announced (RFC 8446 section 4.2.10). The session is the one that it was
// offered with, nil where that is not known.
func (e *Engine) skipEarlyData(s *Session) {
	n := e.cfg.MaxEarlyData
	if s != nil {
		n = max(n, s.MaxEarlyData)
	}
	if n == 0 {
		n = unannounced
	}
	switch {
	case !e.obeys(rule.EarlyDataSkipped):
		n = 0
	case !e.obeys(rule.EarlyDataBounded):
		n = math.MaxUint32
	}
	e.in.SkipUndecryptable(int(min(uint64(n), math.MaxInt)))
}

// offersEarlyData reports whether a client sends early_data with its first key.
func (e *Engine) offersEarlyData(psks []PSK) bool {
	if e.cfg.MaxEarlyData == 0 || len(psks) == 0 {
		return false
	}
	p := &psks[0]
	alpn := p.Session.ALPN == ""
	for _, name := range e.cfg.ALPN {
		alpn = alpn || name == p.Session.ALPN
	}
	return p.EarlyData && p.Session.MaxEarlyData > 0 && alpn && negotiation.AllowEarlyData(e.profile(), p.standing())
}

// startEarlyData opens a client's early data once its ClientHello is sent.
func (e *Engine) startEarlyData(p *PSK) *attls.Error {
	suite, _ := e.prov.Suite(p.Session.Suite)
	e.early.offered, e.early.writing, e.early.status = true, true, EarlyDataOpen
	e.early.limit = min(p.Session.MaxEarlyData, e.cfg.MaxEarlyData)
	e.early.session = p.Session
	e.keys.start(suite, p.Session.Secret)
	var sum [maxHash]byte
	e.earlySecrets(e.transcript.with(sum[:0], suite, nil))
	e.sendCCS()
	aead, iv, err := trafficKey(e.keys.kdf, e.early.traffic.bytes())
	if err != nil {
		return err
	}
	e.out.SetKey(aead, iv)
	e.emit(Event{Kind: EventEarlyData, Early: EarlyDataOpen})
	return nil
}

// earlySecrets derives what hangs on the Early Secret and ClientHello.
func (e *Engine) earlySecrets(hash []byte) {
	e.keys.expand(&e.early.traffic, e.keys.early.bytes(), "c e traffic", hash)
	e.keys.named(SecretClientEarly, &e.early.traffic)
	e.keys.expand(&e.early.exporter, e.keys.early.bytes(), "e exp master", hash)
	e.keys.named(SecretEarlyExporter, &e.early.exporter)
}

// earlySuite is the suite that early data is protected with.
func (e *Engine) earlySuite() attls.CipherSuite {
	if e.early.session != nil {
		return e.early.session.Suite
	}
	return e.nego.suite.ID
}

// EarlyDataLeft returns how many octets of early data a client may still write.
func (e *Engine) EarlyDataLeft() int {
	if !e.early.writing {
		return 0
	}
	return int(min(uint64(e.early.limit-e.early.moved), math.MaxInt))
}

// writeEarly protects a client's early data, whose key no KeyUpdate replaces
// (RFC 9846 section 5.5).
func (e *Engine) writeEarly(p []byte) *attls.Error {
	if left := e.early.limit - e.early.moved; uint64(len(p)) > uint64(left) {
		return attls.Errorf(attls.Local, attls.FailLimit, "%d octets of early data; %d of %d are left", len(p), left,
			e.early.limit).By("RFC 8446 4.2.10")
	}
	if suite, ok := e.prov.Suite(e.earlySuite()); ok && suite.RecordLimit > 0 && e.out.Sequence() >= suite.RecordLimit {
		return exhausted(suite.RecordLimit)
	}
	e.early.moved += uint32(len(p))
	return e.out.Write(attls.ContentTypeApplicationData, p)
}

// rejectEarly tells a client that its early data was thrown away.
func (e *Engine) rejectEarly() {
	e.early.status, e.early.writing = EarlyDataRejected, false
	e.early.traffic.wipe()
	e.emit(Event{Kind: EventEarlyData, Early: EarlyDataRejected})
}

// checkEarlyData reads from EncryptedExtensions whether the early data was accepted.
func (e *Engine) checkEarlyData(accepted bool) *attls.Error {
	if e.early.status != EarlyDataOpen {
		return nil
	}
	if !accepted {
		e.rejectEarly()
		return e.setWriteKey(e.keys.handshakeSecret(attls.RoleClient))
	}
	s := e.early.session
	if e.psk.session == nil || e.early.impossible || s.Suite != e.nego.suite.ID || s.ALPN != e.nego.alpn {
		return attls.Errorf(attls.Violation, attls.FailIllegalParameter,
			"early data is accepted without the key, the suite or the protocol that it was sent under").
			Under("extensions.early_data").By("RFC 8446 4.2.10")
	}
	e.early.status = EarlyDataAccepted
	e.emit(Event{Kind: EventEarlyData, Early: EarlyDataAccepted})
	return nil
}

// endEarlyData sends EndOfEarlyData and leaves the early key.
func (e *Engine) endEarlyData() *attls.Error {
	if e.early.status != EarlyDataAccepted {
		return nil
	}
	e.early.writing = false
	e.early.traffic.wipe()
	if err := e.write(message.EndOfEarlyData{}); err != nil {
		return err
	}
	return e.setWriteKey(e.keys.handshakeSecret(attls.RoleClient))
}

// considerEarlyData asks a server's application about the early data that came
// with the key, unless something rules it out.
func (e *Engine) considerEarlyData(p *PSK, binder []byte) {
	s := p.Session
	if p.Index != 0 || !p.EarlyData || e.cfg.MaxEarlyData == 0 || s.MaxEarlyData == 0 ||
		s.Suite != e.nego.suite.ID || s.ALPN != e.nego.alpn || !negotiation.AllowEarlyData(e.profile(), p.standing()) {
		return
	}
	e.ask(gateNow, &Wait{Kind: WaitEarlyData, Due: attls.KindEncryptedExtensions,
		EarlyData: &EarlyDataRequest{Session: s, Binder: binder}})
}

// decideEarlyData takes the decision of a server on early data that was sent.
func (e *Engine) decideEarlyData() {
	w := e.take(WaitEarlyData)
	if !e.sent.Has(attls.RoleClient, attls.KindClientHello, attls.ExtEarlyData) {
		return
	}
	if w == nil || !w.answer.AcceptEarlyData {
		e.early.status = EarlyDataRejected
		if !e.nego.retried {
			e.skipEarlyData(e.psk.session)
		}
		return
	}
	e.early.status, e.early.limit = EarlyDataAccepted, min(w.wait.EarlyData.Session.MaxEarlyData, e.cfg.MaxEarlyData)
	var sum [maxHash]byte
	e.earlySecrets(e.transcript.sum(sum[:0]))
}

// receiveEarly counts early data as it arrives.
func (e *Engine) receiveEarly(n int) *attls.Error {
	if uint64(n) > uint64(e.early.limit-e.early.moved) {
		return attls.Errorf(attls.Violation, attls.FailEarlyDataLimit, "more than %d octets of early data", e.early.limit).
			By("RFC 8446 4.2.10")
	}
	e.early.moved += uint32(n)
	return nil
}

// serverWaitEndOfEarlyData takes early data until the client ends it.
type serverWaitEndOfEarlyData struct{}

func (serverWaitEndOfEarlyData) name() string { return "WAIT_EOED" }
func (serverWaitEndOfEarlyData) due() gate    { return gateNone }

func (s serverWaitEndOfEarlyData) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	if m.Kind != attls.KindEndOfEarlyData {
		return nil, unexpected(m, s)
	}
	if n := len(m.Body()); n > 0 {
		return nil, attls.Errorf(attls.Malformed, attls.FailTrailing, "%d octets; the message is empty", n).At(0).
			By("RFC 8446 4.5")
	}
	e.transcribe(m, attls.RoleClient)
	e.early.reading = false
	e.early.traffic.wipe()
	if e.cfg.RecordSizeLimit != 0 && e.sent.Has(attls.RoleServer, attls.KindEncryptedExtensions,
		attls.ExtRecordSizeLimit) {
		e.enforceRecordLimit()
	}
	return waitFinished{}, e.setReadKey(e.keys.handshakeSecret(attls.RoleClient))
}
