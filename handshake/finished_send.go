package handshake

import (
	"attls"
	"attls/extensions/profile/binder"
)

// sendFinished ends our flight.
type sendFinished struct{}

func (sendFinished) name() string { return "SEND_FINISHED" }
func (sendFinished) due() gate    { return gateNow }

func (s sendFinished) step(e *Engine) (state, *attls.Error) {
	var sum [maxHash]byte
	m := &e.scratch.finished
	m.VerifyData = e.keys.kdf.FinishedMAC(e.scratch.mac[:0], e.keys.handshakeSecret(e.role).bytes(),
		e.transcript.sum(sum[:0]))
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
		return e.gap(binder.PointClientBeforeCT, waitCertificate{}), nil
	}
	return waitFinished{}, nil
}
