package scenario

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"

	"attls/handshake"
)

// DemoAuthority issues the certificates of demonstrations. Its key is computed
// from a public text, so that a server and a client that know nothing of each
// other can be tried at once: it vouches for nobody.
type DemoAuthority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	fixed       bool // the same key gets the same certificate
}

// demoName is the subject of the demonstration authority.
const demoName = "attls demonstration authority (its key is public)"

// DemoEpoch and demoEnd bound the validity of demonstration certificates.
var (
	DemoEpoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	demoEnd   = time.Date(2119, 12, 31, 0, 0, 0, 0, time.UTC)
)

// NewDemoAuthority makes the authority; every process makes the same key and certificate:
// stacks refuse two certificates of the same name and serial number that differ.
func NewDemoAuthority() (*DemoAuthority, error) {
	scalar := sha256.Sum256([]byte(demoName))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: demoName},
		NotBefore: DemoEpoch, NotAfter: demoEnd,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key) // signed as RFC 6979 has it
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &DemoAuthority{Certificate: cert, key: key}, err
}

// Pool holds the authority's certificate.
func (a *DemoAuthority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// KeyType names the type of a demonstration certificate's key.
type KeyType string

// The types that Issue makes.
const (
	KeyP256 KeyType = "secp256r1"
	KeyRSA  KeyType = "rsa2048"
)

// Issue makes a credential with a fresh key for names (DNS names or IP
// addresses), good for servers and clients.
func (a *DemoAuthority) Issue(t KeyType, names ...string) (*handshake.Credential, error) {
	var signer crypto.Signer
	var err error
	switch t {
	case KeyP256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case KeyRSA:
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("no key of type %q", t)
	}
	if err != nil {
		return nil, err
	}
	return a.Certify(signer, names...)
}

// NewFixedAuthority is NewDemoAuthority of which the same key gets the same certificate.
func NewFixedAuthority() (*DemoAuthority, error) {
	a, err := NewDemoAuthority()
	if err != nil {
		return nil, err
	}
	a.fixed = true
	return a, nil
}

// random is what signatures draw on; nil: they are those of RFC 6979.
func (a *DemoAuthority) random() io.Reader {
	if a.fixed {
		return nil
	}
	return rand.Reader
}

// serial is a serial number for a key.
func (a *DemoAuthority) serial(key crypto.PublicKey) (*big.Int, error) {
	if !a.fixed {
		return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	sum := sha256.Sum256(spki)
	return new(big.Int).SetBytes(sum[:15]), err
}

// Certify makes a credential of a key that is there already, as Issue does.
func (a *DemoAuthority) Certify(signer crypto.Signer, names ...string) (*handshake.Credential, error) {
	return a.CertifyAs(signer, func(*x509.Certificate) {}, names...)
}

// CertifyAs is Certify of a certificate that change makes another one before it is signed.
func (a *DemoAuthority) CertifyAs(signer crypto.Signer, change func(*x509.Certificate),
	names ...string) (*handshake.Credential, error) {
	serial, err := a.serial(signer.Public())
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "attls demonstration"},
		NotBefore: DemoEpoch, NotAfter: demoEnd,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{
			x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	change(template)
	der, err := x509.CreateCertificate(a.random(), template, a.Certificate, signer.Public(), a.key)
	if err != nil {
		return nil, err
	}
	c, err := handshake.NewCredential([][]byte{der, a.Certificate.Raw}, signer)
	if err == nil {
		c.Issuer = handshake.Authority{Certificate: a.Certificate, Signer: a.key}
	}
	return c, err
}

// Remake issues a certificate again after a change of what it holds. The extensions that
// crypto/x509 does not read are among ExtraExtensions.
func (a *DemoAuthority) Remake(der []byte, change func(*x509.Certificate)) ([]byte, error) {
	t, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	for _, x := range t.Extensions {
		if !(len(x.Id) == 4 && x.Id[0] == 2 && x.Id[1] == 5 && x.Id[2] == 29) { // id-ce of RFC 5280
			t.ExtraExtensions = append(t.ExtraExtensions, x)
		}
	}
	change(t)
	return x509.CreateCertificate(a.random(), t, a.Certificate, t.PublicKey, a.key)
}
