package provider

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"attls"
)

// rsaKey is an RSA key of 2048 bits, smallRSAKey one of 1024.
var (
	rsaKey      = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	smallRSAKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) })
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// spkiOf is the SubjectPublicKeyInfo of a key that crypto/x509 knows.
func spkiOf(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	return must(x509.MarshalPKIXPublicKey(public))(t)
}

type algorithmIdentifier struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

// pssParameters are RSASSA-PSS-params (RFC 4055 section 3.1); what is left zero is left out.
type pssParameters struct {
	Hash algorithmIdentifier `asn1:"explicit,optional,tag:0"`
	MGF  algorithmIdentifier `asn1:"explicit,optional,tag:1"`
	Salt int                 `asn1:"explicit,optional,tag:2"`
}

// pssSPKI is an RSA key of the type id-RSASSA-PSS with parameters; nil: none.
func pssSPKI(t testing.TB, key *rsa.PrivateKey, p any) []byte {
	t.Helper()
	alg := algorithmIdentifier{Algorithm: oidRSAPSS}
	if p != nil {
		alg.Parameters = asn1.RawValue{FullBytes: must(asn1.Marshal(p))(t)}
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(&key.PublicKey)
	return must(asn1.Marshal(struct {
		Algorithm algorithmIdentifier
		Key       asn1.BitString
	}{alg, asn1.BitString{Bytes: pkcs1, BitLength: 8 * len(pkcs1)}}))(t)
}

// pssOf are parameters with one hash everywhere and a salt of its length.
func pssOf(t testing.TB, hash asn1.ObjectIdentifier, salt int) pssParameters {
	t.Helper()
	h := algorithmIdentifier{Algorithm: hash}
	return pssParameters{h, algorithmIdentifier{oidMGF1, asn1.RawValue{FullBytes: must(asn1.Marshal(h))(t)}}, salt}
}

// TestSignatures: what each key signs, its public half verifies, under no other scheme
// and over no other message.
func TestSignatures(t *testing.T) {
	curve := func(c elliptic.Curve) *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(c, rand.Reader))(t) }
	key, small := must(rsaKey())(t), must(smallRSAKey())(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, p384, p521 := curve(elliptic.P256()), curve(elliptic.P384()), curve(elliptic.P521())
	rsae := []attls.SignatureScheme{attls.RSA_PSS_RSAE_SHA256, attls.RSA_PSS_RSAE_SHA384, attls.RSA_PSS_RSAE_SHA512}
	pss := []attls.SignatureScheme{attls.RSA_PSS_PSS_SHA256, attls.RSA_PSS_PSS_SHA384, attls.RSA_PSS_PSS_SHA512}
	for _, test := range []struct {
		name      string
		signer    crypto.Signer
		spki      []byte
		algorithm string
		curve     string
		bits      int
		schemes   []attls.SignatureScheme
	}{
		{"P-256", p256, spkiOf(t, p256.Public()), "ECDSA", "secp256r1", 256, []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256}},
		{"P-384", p384, spkiOf(t, p384.Public()), "ECDSA", "secp384r1", 384, []attls.SignatureScheme{attls.ECDSA_SECP384R1_SHA384}},
		{"P-521", p521, spkiOf(t, p521.Public()), "ECDSA", "secp521r1", 521, []attls.SignatureScheme{attls.ECDSA_SECP521R1_SHA512}},
		{"Ed25519", ed, spkiOf(t, ed.Public()), "Ed25519", "", 256, []attls.SignatureScheme{attls.ED25519}},
		{"RSA", key, spkiOf(t, key.Public()), "RSA", "", 2048, rsae},
		{"RSA of 1024 bits, where SHA-512 and its salt have no room", small, spkiOf(t, small.Public()), "RSA", "", 1024, rsae[:2]},
		{"RSASSA-PSS", key, pssSPKI(t, key, nil), "RSASSA-PSS", "", 2048, pss},
		{"RSASSA-PSS with SHA-256 only", key, pssSPKI(t, key, pssOf(t, oidSHA256, 32)), "RSASSA-PSS", "", 2048, pss[:1]},
		{"RSASSA-PSS with SHA-384 only", key, pssSPKI(t, key, pssOf(t, oidSHA384, 48)), "RSASSA-PSS", "", 2048, pss[1:2]},
		{"RSASSA-PSS with SHA-512 and the salt of any length up to its own", key, pssSPKI(t, key, pssOf(t, oidSHA512, 20)), "RSASSA-PSS", "", 2048, pss[2:]},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := Real()
			k, err := p.ParseSPKI(test.spki)
			if err != nil {
				t.Fatal(err)
			}
			if k.Algorithm != test.algorithm || k.Curve != test.curve || k.Bits != test.bits || !bytes.Equal(k.SPKI, test.spki) {
				t.Errorf("%s %s of %d bits", k.Algorithm, k.Curve, k.Bits)
			}
			if list := p.Schemes(k); !slices.Equal(list, test.schemes) {
				t.Fatalf("schemes %v", list)
			}
			message := []byte("what is signed")
			for _, s := range test.schemes {
				sig, err := Sign(test.signer, s, message)
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Verify(k, s, message, sig); err != nil {
					t.Errorf("%v: %v", s, err)
				}
				if p.Verify(k, s, []byte("what is not"), sig) == nil {
					t.Errorf("%v: another message verifies", s)
				}
				for _, at := range []int{len(sig) / 2, len(sig) - 1} {
					sig[at] ^= 1
					if p.Verify(k, s, message, sig) == nil {
						t.Errorf("%v: verifies with another octet %d", s, at)
					}
					sig[at] ^= 1
				}
				if p.Verify(k, s, message, sig[:len(sig)-1]) == nil || p.Verify(k, s, message, nil) == nil {
					t.Errorf("%v: a signature too short verifies", s)
				}
				for i := range signatures {
					if other := signatures[i].scheme; other != s && p.Verify(k, other, message, sig) == nil {
						t.Errorf("a signature of %v verifies as %v", s, other)
					}
				}
				if p.Verify(k, attls.RSA_PKCS1_SHA256, message, sig) == nil {
					t.Errorf("%v: verifies under a scheme that is not for CertificateVerify", s)
				}
			}
		})
	}
	if _, err := Sign(p256, attls.RSA_PKCS1_SHA256, nil); err == nil {
		t.Error("a scheme that is not implemented signs")
	}
}

// zeros is randomness that can be repeated.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// signs is a crypto.Signer of another package, such as one of a hardware token.
type signs struct{ *ecdsa.PrivateKey }

func (s signs) Sign(random io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	if random == nil {
		return nil, errors.New("no randomness")
	}
	return s.PrivateKey.Sign(random, digest, o)
}

// TestSignFrom: the same randomness makes the same signature.
func TestSignFrom(t *testing.T) {
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for name, test := range map[string]struct {
		signer crypto.Signer
		scheme attls.SignatureScheme
	}{
		"ECDSA": {p256, attls.ECDSA_SECP256R1_SHA256}, "Ed25519": {ed, attls.ED25519}, "RSA": {must(rsaKey())(t), attls.RSA_PSS_RSAE_SHA256},
	} {
		a, err := SignFrom(zeros{}, test.signer, test.scheme, []byte("message"))
		b, err2 := SignFrom(zeros{}, test.signer, test.scheme, []byte("message"))
		if err := errors.Join(err, err2); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %x and %x, %v", name, a, b, err)
		}
	}
	sig, err := SignFrom(rand.Reader, signs{p256}, attls.ECDSA_SECP256R1_SHA256, []byte("message"))
	sum := sha256.Sum256([]byte("message"))
	if err != nil || !ecdsa.VerifyASN1(&p256.PublicKey, sum[:], sig) {
		t.Errorf("a signer of another kind: %v", err)
	}
}

// TestRawSignatures: r and s as DER and as octets (RFC 9053 section 2.1), both ways.
func TestRawSignatures(t *testing.T) {
	for _, test := range []struct {
		scheme attls.SignatureScheme
		curve  elliptic.Curve
		order  int
	}{
		{attls.ECDSA_SECP256R1_SHA256, elliptic.P256(), 32}, {attls.ECDSA_SECP384R1_SHA384, elliptic.P384(), 48}, {attls.ECDSA_SECP521R1_SHA512, elliptic.P521(), 66},
	} {
		k := must(ecdsa.GenerateKey(test.curve, rand.Reader))(t)
		der := must(Sign(k, test.scheme, []byte("message")))(t)
		raw, err := RawFromDER(der, test.scheme)
		if err != nil || len(raw) != 2*test.order {
			t.Fatalf("%v: %d octets, %v", test.scheme, len(raw), err)
		}
		if back, err := DERFromRaw(raw, test.scheme); err != nil || !bytes.Equal(back, der) {
			t.Errorf("%v: %x came of %x, %v", test.scheme, back, der, err)
		}
	}
	if raw, err := RawFromDER([]byte{0x30, 6, 2, 1, 1, 2, 1, 2}, attls.ECDSA_SECP256R1_SHA256); err != nil || raw[31] != 1 || raw[63] != 2 || raw[0] != 0 {
		t.Errorf("%x, %v", raw, err)
	}
	long := append([]byte{0x30, 40, 2, 35, 1}, make([]byte, 34)...)
	for name, test := range map[string]struct {
		der    []byte
		scheme attls.SignatureScheme
	}{
		"nothing":                         {nil, attls.ECDSA_SECP256R1_SHA256},
		"no SEQUENCE":                     {[]byte{2, 1, 1}, attls.ECDSA_SECP256R1_SHA256},
		"one integer":                     {[]byte{0x30, 3, 2, 1, 1}, attls.ECDSA_SECP256R1_SHA256},
		"three integers":                  {[]byte{0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1}, attls.ECDSA_SECP256R1_SHA256},
		"octets behind the SEQUENCE":      {[]byte{0x30, 6, 2, 1, 1, 2, 1, 1, 0}, attls.ECDSA_SECP256R1_SHA256},
		"a negative integer":              {[]byte{0x30, 6, 2, 1, 0x81, 2, 1, 1}, attls.ECDSA_SECP256R1_SHA256},
		"an integer above the order":      {append(long, 2, 1, 1), attls.ECDSA_SECP256R1_SHA256},
		"a scheme that has no raw form":   {[]byte{0x30, 6, 2, 1, 1, 2, 1, 1}, attls.ED25519},
		"a scheme that is not one at all": {[]byte{0x30, 6, 2, 1, 1, 2, 1, 1}, 0},
	} {
		if raw, err := RawFromDER(test.der, test.scheme); err == nil {
			t.Errorf("%s: %x", name, raw)
		}
	}
	for name, test := range map[string]struct {
		octets int
		scheme attls.SignatureScheme
	}{
		"too short": {63, attls.ECDSA_SECP256R1_SHA256}, "too long": {65, attls.ECDSA_SECP256R1_SHA256}, "no raw form": {64, attls.ED25519}, "no scheme": {64, 0},
	} {
		if der, err := DERFromRaw(make([]byte, test.octets), test.scheme); err == nil {
			t.Errorf("%s: %x", name, der)
		}
	}
}
