package handshake_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"attls/handshake"
)

// The certificates of these tests are valid from 2020 to 2099.
var (
	notBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
)

// identity is an end entity's certificate, or an authority's, and its key.
type identity struct {
	cert *x509.Certificate
	der  []byte
	key  crypto.Signer
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ecKey(c elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(c, rand.Reader)) }

// rsaKey is made once, as that takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// keys makes a key of each type that certificates are tested with.
var keys = map[string]func() crypto.Signer{
	"P-256":   func() crypto.Signer { return ecKey(elliptic.P256()) },
	"P-384":   func() crypto.Signer { return ecKey(elliptic.P384()) },
	"P-521":   func() crypto.Signer { return ecKey(elliptic.P521()) },
	"Ed25519": func() crypto.Signer { _, key, err := ed25519.GenerateKey(rand.Reader); return must(key, err) },
	"RSA":     func() crypto.Signer { return rsaKey() },
	"RSA-PSS": func() crypto.Signer { return rsaKey() },
}

// newAuthority makes a trust anchor.
func newAuthority(name string) *identity {
	return issue(nil, name, keys["P-256"](), func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		c.DNSNames, c.IPAddresses, c.ExtKeyUsage = nil, nil, nil
	})
}

// issue makes a certificate for a name, signed by the authority or, without
// one, by its own key.
func issue(by *identity, name string, key crypto.Signer, change func(*x509.Certificate)) *identity {
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(tmpl)
	}
	parent, signer := tmpl, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der := must(x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer))
	return &identity{must(x509.ParseCertificate(der)), der, key}
}

// issueType makes an end entity's certificate with a key of a type of keys.
func issueType(by *identity, name, keyType string) *identity {
	id := issue(by, name, keys[keyType](), nil)
	if keyType == "RSA-PSS" {
		id.der = asPSS(id.der, by.key)
		id.cert = must(x509.ParseCertificate(id.der))
	}
	return id
}

// asPSS turns the key of a certificate from rsaEncryption into id-RSASSA-PSS
// without parameters (RFC 4055 section 3.1), which crypto/x509 does not issue,
// and signs it anew with an ECDSA key on P-256.
func asPSS(der []byte, signer crypto.Signer) []byte {
	in := cryptobyte.String(der)
	var cert, tbs, spki, algorithm, field, signature cryptobyte.String
	ok := in.ReadASN1(&cert, cbasn1.SEQUENCE) && cert.ReadASN1(&tbs, cbasn1.SEQUENCE) && cert.ReadASN1Element(&signature, cbasn1.SEQUENCE)
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for i := 0; ok && !tbs.Empty(); i++ {
			var tag cbasn1.Tag
			if i == 6 { // after version, serialNumber, signature, issuer, validity and subject
				ok = ok && tbs.ReadASN1(&spki, cbasn1.SEQUENCE) && spki.ReadASN1(&algorithm, cbasn1.SEQUENCE)
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10})
					})
					b.AddBytes(spki)
				})
				continue
			}
			ok = ok && tbs.ReadAnyASN1Element(&field, &tag)
			b.AddBytes(field)
		}
	})
	if !ok {
		panic("no certificate")
	}
	body := b.BytesOrPanic()
	sum := sha256.Sum256(body)
	sig := must(signer.Sign(rand.Reader, sum[:], crypto.SHA256))
	var out cryptobyte.Builder
	out.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(body)
		b.AddBytes(signature)
		b.AddASN1BitString(sig)
	})
	return out.BytesOrPanic()
}

// credential is the identity for an Answerer.
func (id *identity) credential() *handshake.Credential {
	return must(handshake.NewCredential([][]byte{id.der}, id.key))
}

// pool holds authorities.
func pool(ids ...*identity) *x509.CertPool {
	p := x509.NewCertPool()
	for _, id := range ids {
		p.AddCert(id.cert)
	}
	return p
}

// files writes the certificate and the key for a program and returns their names.
func (id *identity) files(t *testing.T) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", id.der), write("key.pem", "PRIVATE KEY", id.pkcs8())
}

// pkcs8 is the key; of a certificate with a key of type RSASSA-PSS it has that type.
func (id *identity) pkcs8() []byte {
	der := must(x509.MarshalPKCS8PrivateKey(id.key))
	if id.cert.PublicKey != nil {
		return der
	}
	in := cryptobyte.String(der)
	var info, algorithm cryptobyte.String
	var version int
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !info.ReadASN1Integer(&version) || !info.ReadASN1(&algorithm, cbasn1.SEQUENCE) {
		panic("no PKCS #8 key")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(version))
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10})
		})
		b.AddBytes(info)
	})
	return b.BytesOrPanic()
}

// pemBlock is a file in PEM.
func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
