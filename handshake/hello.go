package handshake

import "attls"

// helloKeys derives everything that follows from ServerHello and switches the
// keys of both directions.
func (e *Engine) helloKeys(shared []byte) *attls.Error {
	e.keys.extract(e.nego.suite, shared, e.transcript.checkpoints != nil)
	var sum [maxHash]byte
	e.keys.handshakeTraffic(e.transcript.sum(sum[:0]))
	reading := e.keys.handshakeSecret(e.role.Peer())
	if e.role == attls.RoleServer && e.early.status == EarlyDataAccepted {
		reading = &e.early.traffic
	}
	// The writing side first, so that an alert about the reading side is
	// protected. Early data that is open goes on under its own key until
	// EncryptedExtensions refuses it or the server's Finished ends it.
	if e.early.status != EarlyDataOpen {
		if err := e.setWriteKey(e.keys.handshakeSecret(e.role)); err != nil {
			return err
		}
	}
	return e.setReadKey(reading)
}
