package handshake

import (
	"crypto/subtle"

	"attls"
	"attls/handshake/message"
	"attls/internal/rule"
)

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
