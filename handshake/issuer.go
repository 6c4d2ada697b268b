package handshake

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"slices"

	"attls"
)

// Issuer makes end-entity certificates in which Evidence travels.
type Issuer interface {
	// Issue returns a certificate as the request describes it, followed by the rest of
	// its chain, in DER. It may be called concurrently.
	Issue(ctx context.Context, r *IssuanceRequest) ([][]byte, error)
}

// Authority is an Issuer with the key of a certification authority. Its zero value
// issues self-signed certificates.
type Authority struct {
	Certificate *x509.Certificate
	Signer      crypto.Signer
}

// Issue implements Issuer. It keeps what crypto/x509 reads of the certificate that
// the credential has: names, validity, serial number, key usages.
func (a Authority) Issue(_ context.Context, r *IssuanceRequest) ([][]byte, error) {
	old, err := x509.ParseCertificate(r.Credential.Chain[0])
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: old.SerialNumber, RawSubject: old.RawSubject,
		NotBefore: old.NotBefore, NotAfter: old.NotAfter, KeyUsage: old.KeyUsage, ExtKeyUsage: old.ExtKeyUsage,
		UnknownExtKeyUsage: old.UnknownExtKeyUsage, BasicConstraintsValid: old.BasicConstraintsValid, IsCA: old.IsCA,
		DNSNames:    slices.Concat(old.DNSNames, r.DNSNames),
		IPAddresses: old.IPAddresses, EmailAddresses: old.EmailAddresses, URIs: old.URIs}
	for _, x := range r.Extensions {
		template.ExtraExtensions = append(template.ExtraExtensions,
			pkix.Extension{Id: x.OID, Critical: x.Critical, Value: x.Value})
	}
	parent, signer := a.Certificate, a.Signer
	if parent == nil {
		parent, signer = template, r.Credential.Signer
	}
	if isNil(signer) {
		return nil, errors.New("there is no private key to sign the certificate with")
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, old.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	chain := [][]byte{der}
	if a.Certificate != nil && len(r.Credential.Chain) > 1 {
		return append(chain, r.Credential.Chain[1:]...), nil
	}
	return chain, nil
}

// issue answers the Issuance wait.
func (a *Answerer) issue(ctx context.Context, w *Wait) (Answer, *attls.Error) {
	var issuer Issuer = Authority{}
	if own := w.Issuance.Credential.Issuer; own != nil {
		issuer = own
	}
	chain, err := issuer.Issue(ctx, w.Issuance)
	if err != nil {
		return Answer{}, because(err, attls.FailAttesterUnavailable, "the certificate for the Evidence was not issued")
	}
	return Answer{Chain: chain}, nil
}
