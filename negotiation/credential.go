package negotiation

import (
	"bytes"
	"crypto/x509"
	"slices"

	"attls"
	"attls/internal/provider"
)

// Certificates is a chain that an end can show.
type Certificates struct {
	Chain   [][]byte                // DER, end entity first
	Schemes []attls.SignatureScheme // that its key signs under
}

// Wanted is what a peer says of the certificate that it wants to be shown.
type Wanted struct {
	ServerName  string                  // of a server; "": any
	Schemes     []attls.SignatureScheme // signature_algorithms
	SchemesCert []attls.SignatureScheme // signature_algorithms_cert; nil: Schemes
	Authorities [][]byte                // DER distinguished names; none: any
}

// Accepts reports whether every signature in a chain is of a scheme that the peer lists
// for certificates; that of a self-signed certificate does not count (RFC 8446 section
// 4.4.2.2).
func (w *Wanted) Accepts(chain [][]byte) bool {
	for _, der := range chain {
		o, ok := provider.CertificateOutline(der)
		if !ok {
			return false
		}
		scheme, common := commonSignatures[string(o.Signature)]
		switch {
		case bytes.Equal(o.Issuer, o.Subject), common && slices.Contains(w.certificateSchemes(), scheme):
		case common:
			return false
		default:
			return fit(chain, w).signatures
		}
	}
	return true
}

func (w *Wanted) certificateSchemes() []attls.SignatureScheme {
	if w.SchemesCert == nil {
		return w.Schemes
	}
	return w.SchemesCert
}

// commonSignatures are the AlgorithmIdentifiers of most certificates, in DER, that are of
// one scheme each. The others need a look at the whole certificate.
var commonSignatures = map[string]attls.SignatureScheme{
	"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02":             attls.ECDSA_SECP256R1_SHA256,
	"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03":             attls.ECDSA_SECP384R1_SHA384,
	"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04":             attls.ECDSA_SECP521R1_SHA512,
	"\x30\x05\x06\x03\x2b\x65\x70":                                 attls.ED25519,
	"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00": attls.RSA_PKCS1_SHA256,
	"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00": attls.RSA_PKCS1_SHA384,
	"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00": attls.RSA_PKCS1_SHA512,
}

// SelectCertificates takes, of those whose key can sign under a scheme that the peer
// accepts, the one that fits best, and of several the first; -1: there is none. The error
// says why the last was refused, and is nil where there is nothing to choose from.
func SelectCertificates(own []Certificates, w *Wanted) (int, *attls.Error) {
	best, score := -1, fitness{}
	var refused *attls.Error
	for i := range own {
		if _, err := SelectSignatureScheme(own[i].Schemes, w.Schemes); err != nil {
			refused = err
			continue
		}
		if len(own) == 1 {
			return i, nil
		}
		if f := fit(own[i].Chain, w); best < 0 || f.better(score) {
			best, score = i, f
		}
	}
	if best < 0 {
		return best, refused
	}
	return best, nil
}

// fitness says which wishes of the peer a certificate meets. They guide the
// choice and exclude none (RFC 8446 sections 4.2.4 and 4.4.2.2).
type fitness struct{ name, authority, signatures bool }

func (f fitness) better(g fitness) bool {
	switch {
	case f.name != g.name:
		return f.name
	case f.authority != g.authority:
		return f.authority
	}
	return f.signatures && !g.signatures
}

func fit(chain [][]byte, r *Wanted) fitness {
	f := fitness{name: r.ServerName == "", authority: len(r.Authorities) == 0, signatures: true}
	accepted := r.certificateSchemes()
	for i, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fitness{}
		}
		if i == 0 && r.ServerName != "" {
			f.name = cert.VerifyHostname(r.ServerName) == nil
		}
		f.authority = f.authority || slices.ContainsFunc(r.Authorities, func(dn []byte) bool {
			return bytes.Equal(dn, cert.RawIssuer)
		})
		// RFC 8446 section 4.4.2.2: the signature of a self-signed certificate counts for nothing.
		if !bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			f.signatures = f.signatures && slices.ContainsFunc(accepted, func(s attls.SignatureScheme) bool {
				return signedUnder(cert, s)
			})
		}
	}
	return f
}

// signedUnder reports whether the signature on a certificate is one of a scheme.
func signedUnder(cert *x509.Certificate, s attls.SignatureScheme) bool {
	switch cert.SignatureAlgorithm {
	case x509.ECDSAWithSHA256:
		return s == attls.ECDSA_SECP256R1_SHA256
	case x509.ECDSAWithSHA384:
		return s == attls.ECDSA_SECP384R1_SHA384
	case x509.ECDSAWithSHA512:
		return s == attls.ECDSA_SECP521R1_SHA512
	case x509.PureEd25519:
		return s == attls.ED25519
	case x509.SHA256WithRSA:
		return s == attls.RSA_PKCS1_SHA256
	case x509.SHA384WithRSA:
		return s == attls.RSA_PKCS1_SHA384
	case x509.SHA512WithRSA:
		return s == attls.RSA_PKCS1_SHA512
	case x509.SHA256WithRSAPSS:
		return s == attls.RSA_PSS_RSAE_SHA256 || s == attls.RSA_PSS_PSS_SHA256
	case x509.SHA384WithRSAPSS:
		return s == attls.RSA_PSS_RSAE_SHA384 || s == attls.RSA_PSS_PSS_SHA384
	case x509.SHA512WithRSAPSS:
		return s == attls.RSA_PSS_RSAE_SHA512 || s == attls.RSA_PSS_PSS_SHA512
	case x509.UnknownSignatureAlgorithm:
		own, ok := provider.CertificateSignature(cert.Raw)
		return ok && s == own
	}
	return false
}
