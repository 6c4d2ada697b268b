package handshake

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"slices"

	"attls/internal/provider"
)

// crypto/x509 builds and checks paths, and knows the signatures of RSA, ECDSA and
// Ed25519 only. Those of Ed448 and ML-DSA are verified here, one certificate under
// one key at a time, and what was found is told to crypto/x509 in its own language:
// each such key of an issuer is replaced by an Ed25519 key that exists for this
// validation alone, and each signature that has verified under the one by a signature
// of the other. A signature that does not verify stays what it is and is refused.
// Everything else of RFC 5280 section 6.1 remains the work of crypto/x509: names,
// constraints, validity, usages, path lengths.

// maxForeign bounds the signatures that are verified here for one chain, as
// crypto/x509 bounds its own.
const maxForeign = 100

// stand is a key that crypto/x509 cannot verify with, and the one in its place.
type stand struct {
	issuer *provider.PublicKey
	key    ed25519.PrivateKey
}

// foreignKey is the key of a certificate that crypto/x509 has no type for.
func foreignKey(cert *x509.Certificate) (*provider.PublicKey, bool) {
	if cert.PublicKey != nil {
		return nil, false
	}
	key, err := provider.Real().ParseSPKI(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, false
	}
	switch key.Algorithm {
	case "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87":
		return key, true
	}
	return nil, false
}

// path gives a chain and the trust anchors to crypto/x509, and returns the end
// entity as it is to be verified.
func path(o *x509.VerifyOptions, roots *x509.CertPool, anchors []*x509.Certificate,
	leaf *x509.Certificate, intermediates []*x509.Certificate) *x509.Certificate {
	o.Roots = roots
	if !foreign(leaf, intermediates) && len(anchors) == 0 {
		if len(intermediates) > 0 {
			o.Intermediates = x509.NewCertPool()
		}
		for _, c := range intermediates {
			o.Intermediates.AddCert(c)
		}
		return leaf
	}
	stands := map[string]*stand{} // by SubjectPublicKeyInfo
	for _, list := range [][]*x509.Certificate{intermediates, anchors} {
		for _, c := range list {
			key, foreign := foreignKey(c)
			if !foreign || stands[string(c.RawSubjectPublicKeyInfo)] != nil {
				continue
			}
			_, own, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				continue // the path is then not found
			}
			stands[string(c.RawSubjectPublicKeyInfo)] = &stand{key, own}
		}
	}
	budget := maxForeign
	issuers := append(append([]*x509.Certificate(nil), intermediates...), anchors...)
	translate := func(c *x509.Certificate) *x509.Certificate { return translated(c, issuers, stands, &budget) }
	if len(anchors) > 0 {
		if o.Roots = x509.NewCertPool(); roots != nil {
			o.Roots = roots.Clone()
		}
		for _, c := range anchors {
			o.Roots.AddCert(translate(c))
		}
	}
	o.Intermediates = x509.NewCertPool()
	for _, c := range intermediates {
		o.Intermediates.AddCert(translate(c))
	}
	return translate(leaf)
}

// foreign reports whether crypto/x509 needs help with some certificate of a chain.
func foreign(leaf *x509.Certificate, intermediates []*x509.Certificate) bool {
	is := func(c *x509.Certificate) bool {
		return c.PublicKey == nil || c.SignatureAlgorithm == x509.UnknownSignatureAlgorithm
	}
	return is(leaf) || slices.ContainsFunc(intermediates, is)
}

// translated returns a certificate as crypto/x509 can verify it and with it: itself,
// where nothing about it is foreign.
func translated(c *x509.Certificate, issuers []*x509.Certificate, stands map[string]*stand,
	budget *int) *x509.Certificate {
	out := *c
	changed := false
	if s := stands[string(c.RawSubjectPublicKeyInfo)]; s != nil {
		out.PublicKey, out.PublicKeyAlgorithm, changed = s.key.Public(), x509.Ed25519, true
	}
	if scheme, foreign := provider.CertificateSignature(c.Raw); foreign {
		for _, issuer := range issuers {
			s := stands[string(issuer.RawSubjectPublicKeyInfo)]
			if s == nil || *budget == 0 || !bytes.Equal(issuer.RawSubject, c.RawIssuer) {
				continue
			}
			*budget--
			if provider.Real().Verify(s.issuer, scheme, c.RawTBSCertificate, c.Signature) == nil {
				out.Signature, out.SignatureAlgorithm, changed = ed25519.Sign(s.key, c.RawTBSCertificate), x509.PureEd25519, true
				break
			}
		}
	}
	if !changed {
		return c
	}
	return &out
}
