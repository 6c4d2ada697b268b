package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"attls"
	"attls/handshake"
)

// serverName is the name in every certificate here.
const serverName = "bench.example"

// moment lies inside the validity of every certificate here, so that nothing
// depends on today's date.
var moment = time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC)

// identity is an end-entity certificate, its key, and the root that issued it.
type identity struct {
	scheme attls.SignatureScheme
	signer crypto.Signer
	chain  [][]byte
	roots  *x509.CertPool
	// answerer shows this identity and trusts its root.
	answerer handshake.Answerer

	root    *x509.Certificate
	rootKey crypto.Signer
}

func newKey(s attls.SignatureScheme) (crypto.Signer, error) {
	switch s {
	case attls.ECDSA_SECP256R1_SHA256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case attls.ECDSA_SECP384R1_SHA384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case attls.ED25519:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return k, err
	}
	return nil, fmt.Errorf("bench: no certificate for %v", s)
}

// newIdentity makes a root and an end-entity certificate with keys of one kind.
func newIdentity(s attls.SignatureScheme) (*identity, error) {
	rootKey, err := newKey(s)
	if err != nil {
		return nil, err
	}
	key, err := newKey(s)
	if err != nil {
		return nil, err
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench root"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: moment.AddDate(-10, 0, 0),
		NotAfter: moment.AddDate(10, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	if root, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	id := &identity{scheme: s, roots: roots, root: root, rootKey: rootKey}
	id.answerer.Trust = handshake.Trust{Roots: roots, Time: func() time.Time { return moment }}
	return id, id.certify(key)
}

// certify makes the end-entity certificate that is shown one of this key.
func (id *identity) certify(key crypto.Signer) error {
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: serverName},
		DNSNames: []string{serverName},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{
			x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: id.root.NotBefore, NotAfter: id.root.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, leaf, id.root, key.Public(), id.rootKey)
	if err != nil {
		return err
	}
	id.signer, id.chain = key, [][]byte{der}
	credential, err := handshake.NewCredential(id.chain, key)
	if err != nil {
		return err
	}
	id.answerer.Credentials = []*handshake.Credential{credential}
	return nil
}

// usage is what a peer's certificate must be good for.
func usage(peer attls.Role) x509.ExtKeyUsage {
	if peer == attls.RoleServer {
		return x509.ExtKeyUsageServerAuth
	}
	return x509.ExtKeyUsageClientAuth
}

// verify builds and checks the path from a parsed certificate to the root.
func (id *identity) verify(leaf *x509.Certificate, peer attls.Role) error {
	o := x509.VerifyOptions{Roots: id.roots, CurrentTime: moment, KeyUsages: []x509.ExtKeyUsage{usage(peer)}}
	if peer == attls.RoleServer {
		o.DNSName = serverName
	}
	_, err := leaf.Verify(o)
	return err
}
