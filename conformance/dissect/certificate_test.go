package dissect_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"attls/conformance/dissect"
)

// interoperable makes a certificate as other implementations of Interoperable RA-TLS do:
// a quote whose report data is the hash of the claims buffer, which names the key. change
// spoils the claims.
func interoperable(t *testing.T, change func(claims []byte)) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, _ := x509.MarshalPKIXPublicKey(key.Public())
	hash := sha256.Sum256(spki)
	entry := append([]byte{0x82, 1, 0x58, 32}, hash[:]...)
	claims := append([]byte{0xa1, 0x6b}, "pubkey-hash"...)
	claims = append(append(claims, 0x58, byte(len(entry))), entry...)
	if change != nil {
		change(claims)
	}
	user := sha256.Sum256(claims)
	quote := bytes.Repeat([]byte{3}, 4734)
	copy(quote[368:], user[:])
	value := append([]byte{0xd9, 0xea, 0x60, 0x82, 0x59, 0x12, 0x7e}, quote...)
	value = append(append(value, 0x58, byte(len(claims))), claims...)
	list := []pkix.Extension{{Id: asn1.ObjectIdentifier{0, 6, 9, 42, 840, 113741, 1337, 6}, Value: quote},
		{Id: asn1.ObjectIdentifier{2, 23, 133, 5, 4, 9}, Value: value}}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "RATLS"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0), ExtraExtensions: list}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestCertificate reads such a certificate, and notices claims about another key.
func TestCertificate(t *testing.T) {
	by := func(list []dissect.InCertificate, name string) *dissect.InCertificate {
		for i := range list {
			if list[i].Profile == name {
				return &list[i]
			}
		}
		t.Fatalf("%s is not among %+v", name, list)
		return nil
	}
	list := dissect.Certificate(interoperable(t, nil))
	c := by(list, "deployed-interoperable-ra-tls")
	if c.At != 368 || len(c.Differ) > 0 || len(c.Payload) != 4734 || len(c.Readings) > 0 {
		t.Errorf("at %d, differ %v, %d octets, %v", c.At, c.Differ, len(c.Payload), c.Readings)
	}
	if g := by(list, "deployed-gramine-legacy"); g.At >= 0 || len(g.Payload) != 4734 || g.Readings["oid"] != "" {
		t.Errorf("%+v", g.Readings)
	}
	c = by(dissect.Certificate(interoperable(t, func(claims []byte) { claims[len(claims)-1] ^= 1 })), "deployed-interoperable-ra-tls")
	if c.At >= 0 || len(c.Differ) != 1 {
		t.Errorf("claims of another key: at %d, differ %v", c.At, c.Differ)
	}
	if list := dissect.Certificate([]byte{0x30, 0}); len(list) > 0 {
		t.Error(list)
	}
}
