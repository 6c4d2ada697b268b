package provider

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/ed448"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// mldsa are the parameter sets of ML-DSA, whose keys RFC 9881 describes.
var mldsa = [...]struct {
	oid    asn1.ObjectIdentifier
	scheme sign.Scheme
}{
	{oidMLDSA44, mldsa44.Scheme()},
	{oidMLDSA65, mldsa65.Scheme()},
	{oidMLDSA87, mldsa87.Scheme()},
}

// otherKeys are types of keys that people have and that no signature scheme of TLS
// 1.3 goes with, so that an error can name them.
var otherKeys = []struct {
	oid  asn1.ObjectIdentifier
	name string
}{
	{asn1.ObjectIdentifier{1, 3, 101, 110}, "X25519, which agrees on keys and signs nothing"},
	{asn1.ObjectIdentifier{1, 3, 101, 111}, "X448, which agrees on keys and signs nothing"},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1}, "Diffie-Hellman, which agrees on keys and signs nothing"},
	{asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, "DSA, which TLS 1.3 has no signature scheme for"},
}

// otherCurves are likewise those of ECDSA.
var otherCurves = []struct {
	oid  asn1.ObjectIdentifier
	name string
}{
	{asn1.ObjectIdentifier{1, 3, 132, 0, 10}, "secp256k1"},
	{asn1.ObjectIdentifier{1, 3, 132, 0, 33}, "secp224r1"},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 1}, "secp192r1"},
	{asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1, 7}, "brainpoolP256r1"},
	{asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1, 11}, "brainpoolP384r1"},
	{asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1, 13}, "brainpoolP512r1"},
	{asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}, "SM2"},
}

// ParsePrivateKey reads a DER PrivateKeyInfo (PKCS #8, RFC 5958) of any type that
// signs under a scheme of this package: what crypto/x509 reads, id-RSASSA-PSS, Ed448
// (RFC 8410) and ML-DSA in each form of RFC 9881 section 6, and in the two that
// OpenSSL writes without a tag, bare-seed and bare-priv.
func ParsePrivateKey(der []byte) (crypto.Signer, error) {
	oid, alg, key, err := privateKeyInfo(der)
	if err != nil {
		return nil, err
	}
	switch {
	case oid.Equal(oidRSAPSS):
		pss, err := ParsePSSPrivateKey(der)
		if err != nil {
			return nil, err
		}
		return pss, nil
	case oid.Equal(oidEd448):
		return parseEd448(alg, key)
	case oid.Equal(oidECDSA):
		if err := namedCurve(alg); err != nil {
			return nil, err
		}
	}
	for i := range mldsa {
		if oid.Equal(mldsa[i].oid) {
			return parseMLDSA(mldsa[i].scheme, alg, key)
		}
	}
	for _, o := range otherKeys {
		if oid.Equal(o.oid) {
			return nil, fmt.Errorf("a key of type %s", o.name)
		}
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T makes no signatures", parsed)
	}
	return signer, nil
}

// privateKeyInfo reads the type of a key, its parameters and the key itself.
func privateKeyInfo(der []byte) (oid asn1.ObjectIdentifier, params, key cryptobyte.String, _ error) {
	in := cryptobyte.String(der)
	var info cryptobyte.String
	var version int
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !in.Empty() || !info.ReadASN1Integer(&version) ||
		!info.ReadASN1(&params, cbasn1.SEQUENCE) ||
		!params.ReadASN1ObjectIdentifier(&oid) || !info.ReadASN1(&key, cbasn1.OCTET_STRING) {
		return nil, nil, nil, errors.New("not a PrivateKeyInfo of PKCS #8")
	}
	if version != 0 && version != 1 {
		return nil, nil, nil, fmt.Errorf("PrivateKeyInfo of version %d", version)
	}
	return oid, params, key, nil
}

// ParsePSSPrivateKey reads a DER PrivateKeyInfo with a key of the type id-RSASSA-PSS
// (RFC 4055), for which crypto/x509 has no parser.
func ParsePSSPrivateKey(der []byte) (*rsa.PrivateKey, error) {
	oid, _, key, err := privateKeyInfo(der)
	switch {
	case err != nil:
		return nil, err
	case !oid.Equal(oidRSAPSS):
		return nil, fmt.Errorf("a key of type %v, not RSASSA-PSS", oid)
	}
	return x509.ParsePKCS1PrivateKey(key)
}

// ParseECPrivateKey reads a DER ECPrivateKey (RFC 5915).
func ParseECPrivateKey(der []byte) (crypto.Signer, error) {
	in := cryptobyte.String(der)
	var seq, params cryptobyte.String
	var version int
	var have bool
	if in.ReadASN1(&seq, cbasn1.SEQUENCE) && seq.ReadASN1Integer(&version) && seq.SkipASN1(cbasn1.OCTET_STRING) &&
		seq.ReadOptionalASN1(&params, &have, cbasn1.Tag(0).Constructed().ContextSpecific()) && have {
		if err := namedCurve(params); err != nil {
			return nil, err
		}
	}
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// namedCurve refuses curves that TLS 1.3 has no signature scheme for.
func namedCurve(params cryptobyte.String) error {
	var oid asn1.ObjectIdentifier
	if !params.ReadASN1ObjectIdentifier(&oid) {
		return errors.New("an EC key whose parameters name no curve")
	}
	if oid.Equal(oidP256) || oid.Equal(oidP384) || oid.Equal(oidP521) {
		return nil
	}
	name := oid.String()
	for _, o := range otherCurves {
		if oid.Equal(o.oid) {
			name = o.name
		}
	}
	return fmt.Errorf("an EC key on the curve %s; TLS 1.3 signs with secp256r1, secp384r1 and secp521r1", name)
}

// parseEd448 reads CurvePrivateKey, an OCTET STRING (RFC 8410 section 7).
func parseEd448(alg, key cryptobyte.String) (crypto.Signer, error) {
	var seed cryptobyte.String
	if !alg.Empty() || !key.ReadASN1(&seed, cbasn1.OCTET_STRING) || !key.Empty() || len(seed) != ed448.SeedSize {
		return nil, fmt.Errorf("not an Ed448 private key of %d octets without parameters", ed448.SeedSize)
	}
	return ed448.NewKeyFromSeed(seed), nil
}

// parseMLDSA reads a private key of ML-DSA:
//
//	CHOICE { seed [0] OCTET STRING, expandedKey OCTET STRING,
//	         both SEQUENCE { seed OCTET STRING, expandedKey OCTET STRING } }
//
// A key whose two halves are not of one key is refused (RFC 9881 section 8.2).
func parseMLDSA(s sign.Scheme, alg, key cryptobyte.String) (crypto.Signer, error) {
	var seed, expanded, both cryptobyte.String
	seedTag := cbasn1.Tag(0).ContextSpecific()
	in := key
	switch {
	case !alg.Empty():
		return nil, fmt.Errorf("%s with parameters", s.Name())
	case len(key) == s.SeedSize():
		seed = key
	case len(key) == s.PrivateKeySize():
		expanded = key
	case in.PeekASN1Tag(seedTag) && in.ReadASN1(&seed, seedTag) && in.Empty():
	case in.PeekASN1Tag(cbasn1.OCTET_STRING) && in.ReadASN1(&expanded, cbasn1.OCTET_STRING) && in.Empty():
	case in.PeekASN1Tag(cbasn1.SEQUENCE) && in.ReadASN1(&both, cbasn1.SEQUENCE) && in.Empty() &&
		both.ReadASN1(&seed, cbasn1.OCTET_STRING) &&
		both.ReadASN1(&expanded, cbasn1.OCTET_STRING) && both.Empty():
	default:
		return nil, fmt.Errorf("%s: not a private key of RFC 9881: neither a seed nor an expanded key", s.Name())
	}
	if seed != nil && len(seed) != s.SeedSize() || expanded != nil && len(expanded) != s.PrivateKeySize() {
		return nil, fmt.Errorf("%s: a seed of %d and an expanded key of %d octets; they have %d and %d", s.Name(), len(seed),
			len(expanded), s.SeedSize(), s.PrivateKeySize())
	}
	if seed == nil {
		return expandedMLDSA(s, expanded)
	}
	_, derived := s.DeriveKey(seed)
	if expanded != nil {
		if b, err := derived.MarshalBinary(); err != nil || !bytes.Equal(b, expanded) {
			return nil, fmt.Errorf("%s: the expanded key is not the one of the seed", s.Name())
		}
	}
	return asSigner(s, derived)
}

// expandedMLDSA reads an expanded key and looks whether it agrees with itself: what
// it signs must verify under the public key that is computed from it.
func expandedMLDSA(s sign.Scheme, expanded []byte) (crypto.Signer, error) {
	key, err := s.UnmarshalBinaryPrivateKey(expanded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name(), err)
	}
	signer, err := asSigner(s, key)
	if err != nil {
		return nil, err
	}
	if !agrees(s, key, signer.Public()) {
		return nil, fmt.Errorf("%s: the expanded key does not agree with itself", s.Name())
	}
	return signer, nil
}

// agrees makes a signature and verifies it. The library gives up on a key that never
// yields one with a panic.
func agrees(s sign.Scheme, key sign.PrivateKey, public crypto.PublicKey) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	own, ok := public.(sign.PublicKey)
	if !ok {
		return false
	}
	encoded, err := own.MarshalBinary() // as a peer gets it: own shares the hash of the public key with the private one
	if err != nil {
		return false
	}
	if own, err = s.UnmarshalBinaryPublicKey(encoded); err != nil {
		return false
	}
	message := []byte("does this key agree with itself?")
	return s.Verify(own, message, s.Sign(key, message, nil), nil)
}

func asSigner(s sign.Scheme, key sign.PrivateKey) (crypto.Signer, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a key of type %T makes no signatures", s.Name(), key)
	}
	return signer, nil
}

// MarshalSPKI writes a public key as DER SubjectPublicKeyInfo, as
// x509.MarshalPKIXPublicKey does, and those of Ed448 and ML-DSA.
func MarshalSPKI(key crypto.PublicKey) ([]byte, error) {
	public, ok := key.(sign.PublicKey)
	if !ok {
		return x509.MarshalPKIXPublicKey(key)
	}
	oid := oidEd448
	if _, is := key.(ed448.PublicKey); !is {
		oid = nil
		for i := range mldsa {
			if public.Scheme() == mldsa[i].scheme {
				oid = mldsa[i].oid
			}
		}
	}
	bits, err := public.MarshalBinary()
	if oid == nil || err != nil {
		return x509.MarshalPKIXPublicKey(key)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
		b.AddASN1BitString(bits)
	})
	return b.Bytes()
}
