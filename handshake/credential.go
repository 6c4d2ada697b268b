package handshake

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"reflect"

	"attls"
	"attls/internal/provider"
)

// Credential is a certificate chain and what its key can sign with.
type Credential struct {
	// Chain is DER, end entity first; for a raw public key one
	// SubjectPublicKeyInfo, with Type CertificateRawPublicKey. An X.509 chain
	// serves where a raw public key was agreed on: its end entity's key is shown.
	Chain   [][]byte
	Type    attls.CertificateType
	Schemes []attls.SignatureScheme
	// OCSP is a DER OCSPResponse and SCT a SignedCertificateTimestampList (RFC
	// 6962 section 3.3); a peer that asks gets them with the end entity.
	OCSP, SCT []byte
	// Issuer makes the certificate that holds our Evidence, where a profile puts it there.
	// Nil: it is self-signed by Signer.
	Issuer Issuer
	// Signer is carried for the program that answers the Signature wait; the engine does
	// not call it.
	Signer crypto.Signer
}

// NewCredential makes a Credential of a chain (DER, end entity first) and its
// key, with the signature schemes that the key can sign under. A key that is
// not the end entity's is an error.
func NewCredential(chain [][]byte, signer crypto.Signer) (*Credential, error) {
	bad := func(format string, args ...any) error {
		return attls.Errorf(attls.Local, attls.FailConfiguration, format, args...).Under("Credential")
	}
	switch {
	case len(chain) == 0:
		return nil, bad("a chain without certificates")
	case isNil(signer):
		return nil, bad("there is no private key")
	}
	schemes, err := provider.SchemesOf(chain[0], signer.Public())
	if err != nil {
		return nil, bad("%v", err)
	}
	return &Credential{Chain: chain, Schemes: schemes, Signer: signer}, nil
}

// NewRawCredential makes a Credential of a key without a certificate, for an end
// that shows raw public keys (RFC 7250).
func NewRawCredential(signer crypto.Signer) (*Credential, error) {
	bad := func(err error) error {
		return attls.Errorf(attls.Local, attls.FailConfiguration, "%v", err).Under("Credential")
	}
	if isNil(signer) {
		return nil, bad(errors.New("there is no private key"))
	}
	spki, err := provider.MarshalSPKI(signer.Public())
	if err != nil {
		return nil, bad(err)
	}
	pr := provider.Real()
	key, failure := pr.ParseSPKI(spki)
	if failure != nil {
		return nil, bad(failure)
	}
	return &Credential{Chain: [][]byte{spki}, Type: attls.CertificateRawPublicKey, Schemes: pr.Schemes(key),
		Signer: signer}, nil
}

// ParsePrivateKey reads a DER PrivateKeyInfo (PKCS #8) of a type that signs under a
// scheme of this module: as crypto/x509 does, and a key of type id-RSASSA-PSS, Ed448
// or ML-DSA (RFC 4055, 8410, 9881) as well. The error names what it is instead.
func ParsePrivateKey(der []byte) (crypto.Signer, error) { return provider.ParsePrivateKey(der) }

// ParseECPrivateKey reads a DER ECPrivateKey (RFC 5915), as crypto/x509 does; the
// error names a curve that TLS 1.3 does not sign with.
func ParseECPrivateKey(der []byte) (crypto.Signer, error) { return provider.ParseECPrivateKey(der) }

// MarshalPublicKey writes a public key of any type that ParsePrivateKey knows as DER
// SubjectPublicKeyInfo.
func MarshalPublicKey(key crypto.PublicKey) ([]byte, error) { return provider.MarshalSPKI(key) }

// ParseCertificate is x509.ParseCertificate, with the key where crypto/x509
// yields none: one of type id-RSASSA-PSS (RFC 4055). Such a certificate can then
// be a trust anchor or an intermediate.
func ParseCertificate(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil || cert.PublicKey != nil {
		return cert, err
	}
	key, err := provider.Real().ParseSPKI(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return cert, nil // it may still be an end entity whose key nobody asks for
	}
	if pub, ok := key.Key.(*rsa.PublicKey); ok {
		cert.PublicKey, cert.PublicKeyAlgorithm = pub, x509.RSA
	}
	return cert, nil
}

// isNil reports whether an interface holds nothing, or a pointer, function or map that is nil.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map:
		return r.IsNil()
	}
	return false
}
