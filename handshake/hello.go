package handshake

import (
	"attls"
	"attls/extensions"
	"attls/record"
)

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

func schemes(l extensions.Uint16s) []attls.SignatureScheme {
	out := make([]attls.SignatureScheme, l.Len())
	for i := range out {
		out[i] = attls.SignatureScheme(l.At(i))
	}
	return out
}

// readCertificateWishes reads what ClientHello and CertificateRequest share.
func (e *Engine) readCertificateWishes(k attls.MessageKind, l extensions.List) *attls.Error {
	if err := checkStatusRequest(k, l); err != nil {
		return err
	}
	if err := e.readCompression(l); err != nil {
		return err
	}
	if x, ok := l.Find(attls.ExtSignatureAlgorithmsCert); ok {
		list, err := extensions.ParseSignatureAlgorithms(x.Body)
		if err != nil {
			return in(err, x)
		}
		e.nego.peerCert = schemes(list)
	}
	e.nego.authorities = nil
	if x, ok := l.Find(attls.ExtCertificateAuthorities); ok {
		names, err := extensions.ParseCertificateAuthorities(x.Body)
		if err != nil {
			return in(err, x)
		}
		for name := range names.All() {
			e.nego.authorities = append(e.nego.authorities, append([]byte(nil), name...))
		}
	}
	return nil
}

// limitRecords obeys the peer's record_size_limit, which counts the content
// type octet (RFC 8449 section 4).
func (e *Engine) limitRecords(n uint16) {
	e.nego.recordLimit = n
	e.out.SetMaxPlaintext(min(int(n)-1, record.MaxPlaintext, e.cfg.maxFragment()))
}

// enforceRecordLimit holds the peer to our own limit, once both ends have sent
// the extension: a server that does not know it may send records of full size.
func (e *Engine) enforceRecordLimit() { e.in.SetMaxRecord(int(e.cfg.RecordSizeLimit) - 1) }
