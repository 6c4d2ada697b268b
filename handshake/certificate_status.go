package handshake

import (
	"bytes"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
)

// OCSP responses (RFC 6066 section 8, RFC 8446 section 4.4.2.1) and signed
// certificate timestamps (RFC 6962 section 3.3) in CertificateEntry. The engine
// carries them; whoever answers the CertificateVerdict wait judges them.

// offerStatusRequest appends the request of ClientHello, or the empty one of
// CertificateRequest (RFC 8446 section 4.4.2.1).
func offerStatusRequest(e *Engine, s *sending, b []byte) []byte {
	switch {
	case !e.cfg.RequestOCSP:
		return nil
	case s.kind == attls.KindCertificateRequest:
		return b
	}
	return extensions.AppendStatusRequest(b)
}

func readStatusRequest(o *offers, body []byte) *attls.Error {
	if o.kind == attls.KindCertificateRequest {
		return nil
	}
	return extensions.ParseStatusRequest(body)
}

func answerStatus(_ *Engine, s *sending, b []byte) []byte {
	if len(s.credential.OCSP) == 0 {
		return nil
	}
	return extensions.AppendCertificateStatus(b, s.credential.OCSP)
}

func readStatusAnswer(_ *Engine, a *answers, body []byte) (err *attls.Error) {
	a.ocsp, err = extensions.ParseCertificateStatus(body)
	return err
}

func offerSCT(e *Engine, _ *sending, b []byte) []byte {
	if !e.cfg.RequestSCT {
		return nil
	}
	return b
}

func answerSCT(_ *Engine, s *sending, b []byte) []byte {
	if len(s.credential.SCT) == 0 {
		return nil
	}
	return append(b, s.credential.SCT...)
}

func readSCTAnswer(_ *Engine, a *answers, body []byte) *attls.Error {
	a.sct = body
	return extensions.ParseSCTList(body)
}

// readStatus reads what comes with the certificates of a peer. Only the end entity's
// is kept.
func (e *Engine) readStatus(entries []message.CertificateEntry, to *authenticated) *attls.Error {
	for i := range entries {
		a := &e.scratch.answers
		*a = answers{messageExtensions: extensionsOf(attls.KindCertificate, entries[i].Extensions)}
		if err := a.readBodies(e); err != nil {
			return err
		}
		if i == 0 {
			to.ocsp, to.sct = bytes.Clone(a.ocsp), bytes.Clone(a.sct)
		}
	}
	return nil
}
