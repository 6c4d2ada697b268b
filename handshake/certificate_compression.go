package handshake

import (
	"attls"
	"attls/extensions"
	"attls/handshake/message"
)

// offerCompression appends the compress_certificate of ClientHello or CertificateRequest.
func offerCompression(e *Engine, _ *sending, b []byte) []byte {
	if len(e.cfg.CertificateCompression) == 0 {
		return nil
	}
	algorithms := make([]uint16, 0, 4)
	for _, c := range e.cfg.CertificateCompression {
		algorithms = append(algorithms, c.Algorithm())
	}
	return extensions.AppendCompressionAlgorithms(b, algorithms)
}

func readCompression(o *offers, body []byte) (err *attls.Error) {
	o.compression, err = extensions.ParseCompressionAlgorithms(body)
	return err
}

// takeCompression takes the first of our algorithms that the peer can undo.
func takeCompression(e *Engine, o *offers) *attls.Error {
	for _, c := range e.cfg.CertificateCompression {
		if o.compression.Contains(c.Algorithm()) {
			e.nego.compressor = c
			break
		}
	}
	return nil
}

// compressed is the CompressedCertificate in the place of a Certificate, where
// the peer can undo it and it is not longer.
func (e *Engine) compressed(certificate []byte) ([]byte, *attls.Error) {
	c := e.nego.compressor
	if c == nil {
		return certificate, nil
	}
	body := certificate[4:]
	out, err := c.Compress(body)
	if err != nil {
		return nil, attls.Errorf(attls.Local, attls.FailInternal, "certificate compression %d: %v", c.Algorithm(), err)
	}
	return (&message.CompressedCertificate{Algorithm: c.Algorithm(), UncompressedLength: len(body), Compressed: out}).
		Append(nil), nil
}

// decompress returns the body of the Certificate that a message carries: its
// own, or the one inside a CompressedCertificate (RFC 8879 section 4).
func (e *Engine) decompress(m *message.Raw) ([]byte, *attls.Error) {
	if m.Kind == attls.KindCertificate {
		return m.Body(), nil
	}
	var cc message.CompressedCertificate
	if err := cc.Unmarshal(m.Body()); err != nil {
		return nil, err
	}
	for _, c := range e.cfg.CertificateCompression {
		if c.Algorithm() != cc.Algorithm {
			continue
		}
		if limit := e.cfg.maxMessage(); cc.UncompressedLength > limit {
			return nil, attls.Errorf(attls.Violation, attls.FailLimit, "%d octets; the limit is %d", cc.UncompressedLength,
				limit).Under("uncompressed_length")
		}
		body, err := c.Decompress(cc.Compressed, cc.UncompressedLength)
		if err != nil || len(body) != cc.UncompressedLength {
			return nil, attls.Errorf(attls.Malformed, attls.FailBadCertificate, "does not decompress to %d octets: %v",
				cc.UncompressedLength, err).
				Under("compressed_certificate_message").By("RFC 8879 4")
		}
		return body, nil
	}
	return nil, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%d was not offered", cc.Algorithm).
		Under("algorithm").By("RFC 8879 4")
}
