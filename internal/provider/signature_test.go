package provider

import (
	"crypto"
	"encoding/asn1"
	"testing"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"

	"attls"
)

// spki wraps a key without parameters in a SubjectPublicKeyInfo.
func spki(t *testing.T, oid asn1.ObjectIdentifier, key []byte, parameters ...asn1.RawValue) []byte {
	t.Helper()
	der, err := asn1.Marshal(struct {
		Algorithm struct {
			OID        asn1.ObjectIdentifier
			Parameters []asn1.RawValue `asn1:"omitempty"`
		}
		Key asn1.BitString
	}{struct {
		OID        asn1.ObjectIdentifier
		Parameters []asn1.RawValue `asn1:"omitempty"`
	}{oid, parameters}, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestPlainKeys parses, signs and verifies with the types whose keys have no
// parameters.
func TestPlainKeys(t *testing.T) {
	_, s44 := mldsa44.NewKeyFromSeed(&[32]byte{1})
	_, s65 := mldsa65.NewKeyFromSeed(&[32]byte{1})
	_, s87 := mldsa87.NewKeyFromSeed(&[32]byte{1})
	s448 := ed448.NewKeyFromSeed(make([]byte, ed448.SeedSize))
	for _, test := range []struct {
		scheme attls.SignatureScheme
		oid    asn1.ObjectIdentifier
		key    []byte
		signer crypto.Signer
	}{
		{attls.ED448, asn1.ObjectIdentifier{1, 3, 101, 113}, s448.Public().(ed448.PublicKey), s448},
		{attls.MLDSA44, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}, s44.Public().(*mldsa44.PublicKey).Bytes(), s44},
		{attls.MLDSA65, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}, s65.Public().(*mldsa65.PublicKey).Bytes(), s65},
		{attls.MLDSA87, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}, s87.Public().(*mldsa87.PublicKey).Bytes(), s87},
	} {
		p := Real()
		der := spki(t, test.oid, test.key)
		k, err := p.ParseSPKI(der)
		if err != nil {
			t.Fatalf("%v: %v", test.scheme, err)
		}
		if own := k.Key.(interface{ Equal(crypto.PublicKey) bool }); !own.Equal(test.signer.Public()) {
			t.Errorf("%v: the key is not the signer's", test.scheme)
		}
		if list := p.Schemes(k); len(list) != 1 || list[0] != test.scheme {
			t.Errorf("%v: schemes %v", test.scheme, list)
		}
		message := []byte("what is signed")
		sig, err := Sign(test.signer, test.scheme, message)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Verify(k, test.scheme, message, sig); err != nil {
			t.Errorf("%v: %v", test.scheme, err)
		}
		if err := p.Verify(k, test.scheme, []byte("what is not"), sig); err == nil {
			t.Errorf("%v: another message verifies", test.scheme)
		}
		for _, at := range []int{0, len(sig) / 2, len(sig) - 1} {
			sig[at] ^= 1
			if err := p.Verify(k, test.scheme, message, sig); err == nil {
				t.Errorf("%v: verifies with another octet %d", test.scheme, at)
			}
			sig[at] ^= 1
		}
		if err := p.Verify(k, test.scheme, message, sig[:len(sig)-1]); err == nil {
			t.Errorf("%v: a signature too short verifies", test.scheme)
		}
		if err := p.Verify(k, attls.ED25519, message, sig); err == nil {
			t.Errorf("%v: verifies as ed25519", test.scheme)
		}
		for _, bad := range [][]byte{spki(t, test.oid, test.key[1:]), spki(t, test.oid, append(test.key, 0)),
			spki(t, test.oid, test.key, asn1.NullRawValue)} {
			if _, err := p.ParseSPKI(bad); err == nil {
				t.Errorf("%v: a key of %d octets in all is accepted", test.scheme, len(bad))
			}
		}
	}
}
