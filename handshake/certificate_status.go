package handshake

import (
	"attls"
	"attls/extensions"
	"attls/handshake/message"
)

// OCSP responses (RFC 6066 section 8, RFC 8446 section 4.4.2.1) and signed
// certificate timestamps (RFC 6962 section 3.3) in CertificateEntry. The engine
// carries them; whoever answers the CertificateVerdict wait judges them.

// requestStatus adds the requests to ClientHello or CertificateRequest.
func (e *Engine) requestStatus() {
	if e.cfg.RequestOCSP {
		e.ext.body(attls.ExtStatusRequest, func(b []byte) []byte {
			if e.role == attls.RoleServer {
				return b // RFC 8446 section 4.4.2.1: empty in CertificateRequest
			}
			return extensions.AppendStatusRequest(b)
		})
	}
	if e.cfg.RequestSCT {
		e.ext.add(attls.ExtSignedCertificateTimestamp, nil)
	}
}

// checkStatusRequest reads the requests of a peer.
func checkStatusRequest(k attls.MessageKind, l extensions.List) *attls.Error {
	if x, ok := l.Find(attls.ExtStatusRequest); ok && k == attls.KindClientHello {
		if err := extensions.ParseStatusRequest(x.Body); err != nil {
			return in(err, x)
		}
	}
	return nil
}

// addStatus adds to our first entry what the peer has asked for and our
// credential brings.
func (e *Engine) addStatus(c *Credential, entry *message.CertificateEntry) {
	request := attls.KindClientHello
	if e.role == attls.RoleClient {
		request = attls.KindCertificateRequest
	}
	if len(c.OCSP) > 0 && e.sent.Has(e.role.Peer(), request, attls.ExtStatusRequest) {
		entry.Extensions = append(entry.Extensions, extensions.Extension{Type: attls.ExtStatusRequest,
			Body: extensions.AppendCertificateStatus(nil, c.OCSP)})
	}
	if len(c.SCT) > 0 && e.sent.Has(e.role.Peer(), request, attls.ExtSignedCertificateTimestamp) {
		entry.Extensions = append(entry.Extensions, extensions.Extension{Type: attls.ExtSignedCertificateTimestamp, Body: c.SCT})
	}
}

// readStatus reads what stands beside the certificates of a peer. Only the end
// entity's is kept.
func readStatus(entries []message.CertificateEntry, to *authenticated) *attls.Error {
	for i := range entries {
		l := entries[i].Extensions
		if x, ok := l.Find(attls.ExtStatusRequest); ok {
			response, err := extensions.ParseCertificateStatus(x.Body)
			if err != nil {
				return in(err, x)
			}
			if i == 0 {
				to.ocsp = append([]byte(nil), response...)
			}
		}
		if x, ok := l.Find(attls.ExtSignedCertificateTimestamp); ok {
			if err := extensions.ParseSCTList(x.Body); err != nil {
				return in(err, x)
			}
			if i == 0 {
				to.sct = append([]byte(nil), x.Body...)
			}
		}
	}
	return nil
}
