package handshake

import (
	"crypto/subtle"

	"attls"
	"attls/handshake/message"
	"attls/internal/rule"
)

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
		return nil, attls.Errorf(attls.Malformed, attls.FailDecode, "%d octets instead of %d", len(f.VerifyData),
			e.nego.suite.HashLen).
			Under("verify_data").By("RFC 8446 4.4.4")
	}
	var sum, mac [maxHash]byte
	want := e.keys.kdf.FinishedMAC(mac[:0], e.keys.handshakeSecret(peer).bytes(), e.transcript.sum(sum[:0]))
	if subtle.ConstantTimeCompare(want, f.VerifyData) != 1 && e.obeys(rule.FinishedVerified) {
		return nil, attls.Errorf(attls.Violation, attls.FailFinished, "does not match the transcript").Under("verify_data").
			By("RFC 8446 4.4.4")
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
