package handshake

import (
	"bytes"
	"crypto/x509"
	"slices"

	"attls"
	"attls/internal/provider"
)

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

func fit(c *Credential, r *CredentialRequest) fitness {
	f := fitness{name: r.ServerName == "", authority: len(r.Authorities) == 0, signatures: true}
	accepted := r.SchemesCert
	if accepted == nil {
		accepted = r.Schemes
	}
	for i, der := range c.Chain {
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
