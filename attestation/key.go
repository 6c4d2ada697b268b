package attestation

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"

	"attls"
	"attls/internal/provider"

	"github.com/veraison/go-cose"
)

// Labels of COSE_Key parameters (RFC 9052 section 7.1, RFC 9053 section 7, RFC
// 8230 section 4).
const (
	coseKty     = 1
	coseCurve   = -1 // n for RSA
	coseX       = -2 // e for RSA
	coseY       = -3
	ktyOKP      = 1
	ktyEC2      = 2
	ktyRSA      = 3
	coseEd25519 = 6
)

var coseCurves = map[int64]elliptic.Curve{1: elliptic.P256(), 2: elliptic.P384(), 3: elliptic.P521()}

const ruleKey = "RFC 9052 7"

// EncodeCOSEKey writes a public key as COSE_Key with no parameter beyond those
// that make the key, in the core deterministic order.
func EncodeCOSEKey(pub crypto.PublicKey) ([]byte, error) {
	m := map[int]any{}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		curve := int64(0)
		for id, c := range coseCurves {
			if c == k.Curve {
				curve = id
			}
		}
		point, err := k.Bytes()
		if err != nil || curve == 0 {
			return nil, fmt.Errorf("COSE_Key has no curve %s", k.Params().Name)
		}
		n := len(point) / 2
		m[coseKty], m[coseCurve], m[coseX], m[coseY] = ktyEC2, curve, point[1:1+n], point[1+n:]
	case ed25519.PublicKey:
		m[coseKty], m[coseCurve], m[coseX] = ktyOKP, coseEd25519, []byte(k)
	case *rsa.PublicKey:
		m[coseKty], m[coseCurve], m[coseX] = ktyRSA, k.N.Bytes(), big.NewInt(int64(k.E)).Bytes()
	default:
		return nil, fmt.Errorf("COSE_Key for %T is not supported", pub)
	}
	return encoding.Marshal(m)
}

// ParseCOSEKey reads the public key of a COSE_Key. Parameters that do not make
// the key (kid, alg, key_ops) are ignored; a compressed point is refused.
func ParseCOSEKey(b []byte) (crypto.PublicKey, *attls.Error) {
	c, err := parseClaims(b)
	if err != nil {
		return nil, err
	}
	var kty, curve int64
	if ok, err := c.read(int64(coseKty), &kty); err != nil || !ok {
		return nil, malformed(0, ruleKey, "no key type (kty)")
	}
	if kty == ktyRSA {
		return rsaKey(c)
	}
	if ok, err := c.read(int64(coseCurve), &curve); err != nil || !ok {
		return nil, malformed(0, ruleKey, "no curve (crv)")
	}
	x, err := c.octets(int64(coseX))
	if err != nil {
		return nil, err
	}
	switch {
	case kty == ktyOKP && curve == coseEd25519 && len(x) == ed25519.PublicKeySize:
		return ed25519.PublicKey(x), nil
	case kty == ktyEC2 && coseCurves[curve] != nil:
		y, err := c.octets(int64(coseY))
		if err != nil {
			return nil, err
		}
		n := (coseCurves[curve].Params().BitSize + 7) / 8
		if len(x) != n || len(y) != n {
			return nil, malformed(0, "RFC 9053 7.1.1", "coordinates of %d and %d octets; the curve has %d", len(x), len(y), n)
		}
		return ecPoint(coseCurves[curve], bytes.Join([][]byte{{4}, x, y}, nil))
	}
	return nil, malformed(0, ruleKey, "kty %d with curve %d and %d octets is no key supported here", kty, curve, len(x))
}

func ecPoint(curve elliptic.Curve, point []byte) (crypto.PublicKey, *attls.Error) {
	k, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, malformed(0, ruleKey, "the point is not on %s", curve.Params().Name)
	}
	return k, nil
}

func rsaKey(c claims) (crypto.PublicKey, *attls.Error) {
	modulus, err := c.octets(int64(coseCurve))
	if err != nil {
		return nil, err
	}
	exponent, err := c.octets(int64(coseX))
	if err != nil {
		return nil, err
	}
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	if n.BitLen() < 1024 || n.BitLen() > 16384 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
		return nil, malformed(0, "RFC 8230 4", "an RSA key of %d bits with an exponent of %d bits", n.BitLen(), e.BitLen())
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// parseSPKI reads a DER SubjectPublicKeyInfo of any key the engine supports.
func parseSPKI(der []byte) (crypto.PublicKey, error) {
	k, err := provider.Real().ParseSPKI(der)
	if err != nil {
		return nil, err
	}
	return k.Key, nil
}

// sameKey compares keys by their parameters, never by their serialization
// (draft-reddy-rats-key-binding-02).
func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// spkiOf writes a public key as DER SubjectPublicKeyInfo.
func spkiOf(pub crypto.PublicKey) ([]byte, error) { return x509.MarshalPKIXPublicKey(pub) }

// algorithmOf is the COSE algorithm of a key: one per type of key.
func algorithmOf(pub crypto.PublicKey) (cose.Algorithm, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return cose.AlgorithmES256, nil
		case elliptic.P384():
			return cose.AlgorithmES384, nil
		case elliptic.P521():
			return cose.AlgorithmES512, nil
		}
	case ed25519.PublicKey:
		return cose.AlgorithmEdDSA, nil
	case *rsa.PublicKey:
		return cose.AlgorithmPS256, nil
	}
	return 0, fmt.Errorf("no COSE algorithm for a key of type %T", pub)
}

// deterministic makes ECDSA signatures a function of key and message (RFC
// 6979), so that Evidence can be made again octet by octet. Go does so when it
// is given no source of randomness; the libraries above it always give one.
type deterministic struct{ crypto.Signer }

func (d deterministic) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, ok := d.Public().(*ecdsa.PublicKey); !ok {
		return d.Signer.Sign(rand, digest, opts)
	}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if h.Size() == len(digest) {
			opts = h
		}
	}
	return d.Signer.Sign(nil, digest, opts)
}

// signToken makes an untagged COSE_Sign1 over a payload.
func signToken(key crypto.Signer, payload []byte) ([]byte, error) {
	alg, err := algorithmOf(key.Public())
	if err != nil {
		return nil, err
	}
	signer, err := cose.NewSigner(alg, deterministic{key})
	if err != nil {
		return nil, err
	}
	headers := cose.Headers{Protected: cose.ProtectedHeader{cose.HeaderLabelAlgorithm: alg}}
	return cose.Sign1Untagged(randomness, signer, headers, payload, nil)
}

// token is a COSE_Sign1 taken apart, not yet verified.
type token struct {
	sign1  cose.Sign1Message
	claims claims
}

const (
	tagSign1 = 0xd2 // tag 18
	tagCWT   = 61
)

// parseToken reads a COSE_Sign1. Untagged is the form of the formats carried
// here; tag 18, and tag 61 before it, are accepted (RFC 8392 section 6).
func parseToken(b []byte) (*token, *attls.Error) {
	if err := wellFormed(b); err != nil {
		return nil, err
	}
	b = bytes.TrimPrefix(b, []byte{0xd8, tagCWT})
	b = bytes.TrimPrefix(b, []byte{tagSign1})
	var m cose.UntaggedSign1Message
	if err := m.UnmarshalCBOR(b); err != nil {
		return nil, malformed(0, "RFC 9052 4.2", "%v", err)
	}
	c, err := parseClaims(m.Payload)
	if err != nil {
		return nil, under(err, "payload")
	}
	return &token{cose.Sign1Message(m), c}, nil
}

// verify checks the signature under a key; the algorithm is the key's own.
func (t *token) verify(pub crypto.PublicKey) error {
	alg, err := algorithmOf(pub)
	if err != nil {
		return err
	}
	v, err := cose.NewVerifier(alg, pub)
	if err != nil {
		return err
	}
	return t.sign1.Verify(nil, v)
}
