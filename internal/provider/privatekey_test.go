package provider

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"

	"attls"
	"attls/internal/seeds"

	"github.com/cloudflare/circl/sign/ed448"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// pkcs8 is a PrivateKeyInfo of version 0.
func pkcs8(oid asn1.ObjectIdentifier, key []byte, params ...byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddBytes(params)
		})
		b.AddASN1OctetString(key)
	})
	return b.BytesOrPanic()
}

func element(tag cbasn1.Tag, contents ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, c := range contents {
			b.AddBytes(c)
		}
	})
	return b.BytesOrPanic()
}

// signsAndVerifies makes a signature with a key and verifies it under its public key as it
// is in a certificate.
func signsAndVerifies(t *testing.T, name string, signer crypto.Signer) {
	t.Helper()
	spki, err := MarshalSPKI(signer.Public())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	key, err := Real().ParseSPKI(spki)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	schemes := Real().Schemes(key)
	if len(schemes) == 0 {
		t.Fatalf("%s signs under no scheme", name)
	}
	sig, err := Sign(signer, schemes[0], []byte("message"))
	if err != nil || Real().Verify(key, schemes[0], []byte("message"), sig) != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// TestPrivateKeys reads each type of key in each form.
func TestPrivateKeys(t *testing.T) {
	for i := range mldsa {
		s, oid := mldsa[i].scheme, mldsa[i].oid
		seed := bytes.Repeat([]byte{byte(i + 1)}, s.SeedSize())
		_, key := s.DeriveKey(seed)
		expanded, err := key.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		context := cbasn1.Tag(0).ContextSpecific()
		for form, der := range map[string][]byte{
			"seed-only": element(context, seed),
			"priv-only": element(cbasn1.OCTET_STRING, expanded),
			"seed-priv": element(cbasn1.SEQUENCE, element(cbasn1.OCTET_STRING, seed), element(cbasn1.OCTET_STRING, expanded)),
			"bare-seed": seed,
			"bare-priv": expanded,
		} {
			signer, err := ParsePrivateKey(pkcs8(oid, der))
			if err != nil {
				t.Errorf("%s, %s: %v", s.Name(), form, err)
				continue
			}
			if own, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(key.Public()) {
				t.Errorf("%s, %s: another key", s.Name(), form)
			}
			signsAndVerifies(t, s.Name()+", "+form, signer)
		}
		other := bytes.Clone(seed)
		other[0]++
		torn := bytes.Clone(expanded)
		torn[70] ^= 1 // tr, the hash of the public key
		for form, der := range map[string][]byte{
			"a seed of another key":                 element(cbasn1.SEQUENCE, element(cbasn1.OCTET_STRING, other), element(cbasn1.OCTET_STRING, expanded)),
			"a key that does not agree with itself": element(cbasn1.OCTET_STRING, torn),
			"a short seed":                          element(context, seed[1:]),
			"a short key":                           element(cbasn1.OCTET_STRING, expanded[1:]),
			"octets behind":                         append(element(context, seed), 0),
			"half of both":                          element(cbasn1.SEQUENCE, element(cbasn1.OCTET_STRING, seed)),
			"nothing":                               nil,
		} {
			if _, err := ParsePrivateKey(pkcs8(oid, der)); err == nil || !strings.Contains(err.Error(), s.Name()) {
				t.Errorf("%s, %s: %v", s.Name(), form, err)
			}
		}
		if _, err := ParsePrivateKey(pkcs8(oid, element(context, seed), 5, 0)); err == nil {
			t.Errorf("%s with parameters is read", s.Name())
		}
	}
	seed := bytes.Repeat([]byte{7}, ed448.SeedSize)
	signer, err := ParsePrivateKey(pkcs8(oidEd448, element(cbasn1.OCTET_STRING, seed)))
	if err != nil {
		t.Fatal(err)
	}
	signsAndVerifies(t, "Ed448", signer)
	for _, der := range [][]byte{pkcs8(oidEd448, seed), pkcs8(oidEd448, element(cbasn1.OCTET_STRING, seed[1:])), pkcs8(oidEd448, element(cbasn1.OCTET_STRING, seed), 5, 0)} {
		if _, err := ParsePrivateKey(der); err == nil {
			t.Errorf("%x is read as an Ed448 key", der)
		}
	}
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	for _, key := range []crypto.Signer{p256, p521, ed, rsaKey} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ParsePrivateKey(der)
		if err != nil {
			t.Fatalf("%T: %v", key, err)
		}
		signsAndVerifies(t, "PKCS #8", signer)
	}
	sec1, _ := x509.MarshalECPrivateKey(p256)
	if signer, err = ParseECPrivateKey(sec1); err != nil {
		t.Fatal(err)
	}
	signsAndVerifies(t, "SEC 1", signer)
	if _, err = ParsePrivateKey(pkcs8(oidRSAPSS, x509.MarshalPKCS1PrivateKey(rsaKey))); err != nil {
		t.Fatal(err)
	}
}

// TestOtherPrivateKeys: a key that cannot be used is named.
func TestOtherPrivateKeys(t *testing.T) {
	oid := func(id asn1.ObjectIdentifier) []byte {
		der, err := asn1.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	secp256k1 := asn1.ObjectIdentifier{1, 3, 132, 0, 10}
	for want, der := range map[string][]byte{
		"secp256k1":       pkcs8(oidECDSA, nil, oid(secp256k1)...),
		"secp224r1":       pkcs8(oidECDSA, nil, oid(asn1.ObjectIdentifier{1, 3, 132, 0, 33})...),
		"brainpoolP256r1": pkcs8(oidECDSA, nil, oid(asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1, 7})...),
		"1.2.3":           pkcs8(oidECDSA, nil, oid(asn1.ObjectIdentifier{1, 2, 3})...),
		"no curve":        pkcs8(oidECDSA, nil),
		"X25519":          pkcs8(asn1.ObjectIdentifier{1, 3, 101, 110}, nil),
		"X448":            pkcs8(asn1.ObjectIdentifier{1, 3, 101, 111}, nil),
		"DSA":             pkcs8(asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, nil),
		"PKCS #8":         []byte("no DER"),
		"1.2.3.4":         pkcs8(asn1.ObjectIdentifier{1, 2, 3, 4}, nil),
	} {
		if _, err := ParsePrivateKey(der); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	der := element(cbasn1.SEQUENCE, []byte{2, 1, 1}, element(cbasn1.OCTET_STRING, make([]byte, 32)), element(cbasn1.Tag(0).Constructed().ContextSpecific(), oid(secp256k1)))
	if _, err := ParseECPrivateKey(der); err == nil || !strings.Contains(err.Error(), "secp256k1") {
		t.Error(err)
	}
}

// FuzzParsePrivateKey: no octets make it panic.
func FuzzParsePrivateKey(f *testing.F) {
	seeds.Add(f, func() {
		for i := range mldsa {
			f.Add(pkcs8(mldsa[i].oid, make([]byte, mldsa[i].scheme.SeedSize())))
			f.Add(pkcs8(mldsa[i].oid, make([]byte, mldsa[i].scheme.PrivateKeySize())))
		}
	})
	f.Fuzz(func(t *testing.T, der []byte) {
		seeds.Input(t, der)
		ParsePrivateKey(der)
		ParseECPrivateKey(der)
		if s, ok := CertificateSignature(der); ok && (s == attls.SignatureScheme(0)) {
			t.Error("a scheme without a number")
		}
	})
}
