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
	"math/big"
	"slices"

	"attls"
	"attls/internal/provider"

	"github.com/veraison/go-cose"
)

// Labels of COSE_Key parameters (RFC 9052 section 7.1, RFC 9053 section 7, RFC
// 8230 section 4).
const (
	coseKty     = 1
	coseAlg     = 3
	coseKeyOps  = 4
	coseCurve   = -1 // n for RSA
	coseX       = -2 // e for RSA
	coseY       = -3
	coseD       = -4 // the private half of EC2 and OKP
	coseRSAD    = -3 // the private half of RSA
	ktyOKP      = 1
	ktyEC2      = 2
	ktyRSA      = 3
	coseEd25519 = 6

	// Value of key_ops.
	opVerify = 2

	cborFalse = 0xf4
	cborTrue  = 0xf5
)

var coseCurves = map[int64]elliptic.Curve{1: elliptic.P256(), 2: elliptic.P384(), 3: elliptic.P521()}

// minRSA is the size of the shortest modulus that signatures of tokens may be
// verified with, in bits (RFC 8230 section 2, RFC 7518 section 3.5).
const minRSA = 2048

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

// coseKey is a COSE_Key: a public key and the one algorithm that it may be used
// with, 0 where any will do.
type coseKey struct {
	public    crypto.PublicKey
	algorithm cose.Algorithm
}

// ParseCOSEKey reads the public key of a COSE_Key (RFC 9052 section 7). A point
// may be compressed (RFC 9053 section 7.1.1). The parameters that restrict a key
// are enforced: alg must be an algorithm for such a key, and key_ops must allow
// to verify signatures. kid and what is unknown is ignored; private parameters are refused.
func ParseCOSEKey(b []byte) (crypto.PublicKey, *attls.Error) {
	k, err := parseCOSEKey(b)
	return k.public, err
}

func parseCOSEKey(b []byte) (k coseKey, err *attls.Error) {
	c, err := parseClaims(b)
	if err != nil {
		return k, err
	}
	var kty int64
	if ok, err := c.read(int64(coseKty), &kty); err != nil || !ok {
		return k, malformed(0, ruleKey, "no key type (kty)")
	}
	if kty == ktyRSA {
		k.public, err = rsaKey(c)
	} else {
		k.public, err = curveKey(c, kty)
	}
	if err != nil {
		return k, err
	}
	private := int64(coseD)
	if kty == ktyRSA {
		private = coseRSAD
	}
	if _, ok := c[private]; ok {
		return coseKey{}, malformed(0, ruleKey, "the private half of the key (%d) is in it", private)
	}
	if err := c.restrict(&k); err != nil {
		return coseKey{}, err
	}
	return k, nil
}

// restrict reads what limits the use of a key: alg and key_ops.
func (c claims) restrict(k *coseKey) *attls.Error {
	if raw, ok := c[int64(coseAlg)]; ok {
		alg, err := algorithmNamed(raw)
		if err == nil && !suits(alg, k.public) {
			err = fmt.Errorf("%v is not an algorithm for %s", alg, describeKey(k.public))
		}
		if err != nil {
			return malformed(0, ruleKey, "alg: %v", err)
		}
		k.algorithm = alg
	}
	raw, ok := c[int64(coseKeyOps)]
	if !ok {
		return nil
	}
	var operations []any
	if err := decoding.Unmarshal(shortest(raw), &operations); err != nil || len(operations) == 0 {
		return malformed(0, ruleKey, "key_ops is not a list of operations")
	}
	if !slices.Contains(operations, any(int64(opVerify))) { // RFC 9053 section 2.1: to verify takes verify, not sign
		return malformed(0, ruleKey, "key_ops %v allows no signatures to be verified (%d)", operations, opVerify)
	}
	return nil
}

func curveKey(c claims, kty int64) (crypto.PublicKey, *attls.Error) {
	var curve int64
	if ok, err := c.read(int64(coseCurve), &curve); err != nil || !ok {
		return nil, malformed(0, ruleKey, "no curve (crv)")
	}
	x, err := c.Octets(int64(coseX))
	if err != nil {
		return nil, err
	}
	switch {
	case kty == ktyOKP && curve == coseEd25519 && len(x) == ed25519.PublicKeySize:
		return ed25519.PublicKey(x), nil
	case kty == ktyEC2 && coseCurves[curve] != nil:
		return pointKey(c, coseCurves[curve], x)
	}
	return nil, malformed(0, ruleKey, "kty %d with curve %d and %d octets is not a key supported here", kty, curve, len(x))
}

// pointKey reads y, which is an octet string or, for a compressed point, the bit
// that tells the two values apart.
func pointKey(c claims, curve elliptic.Curve, x []byte) (crypto.PublicKey, *attls.Error) {
	n := (curve.Params().BitSize + 7) / 8
	if raw := c[int64(coseY)]; len(raw) == 1 && (raw[0] == cborFalse || raw[0] == cborTrue) {
		if len(x) != n {
			return nil, malformed(0, "RFC 9053 7.1.1", "a coordinate of %d octets; the curve has %d", len(x), n)
		}
		px, py := elliptic.UnmarshalCompressed(curve, append([]byte{2 + raw[0] - cborFalse}, x...))
		if px == nil {
			return nil, malformed(0, ruleKey, "the point is not on %s", curve.Params().Name)
		}
		return ecPoint(curve, bytes.Join([][]byte{{4}, x, py.FillBytes(make([]byte, n))}, nil))
	}
	y, err := c.Octets(int64(coseY))
	if err != nil {
		return nil, err
	}
	if len(x) != n || len(y) != n {
		return nil, malformed(0, "RFC 9053 7.1.1", "coordinates of %d and %d octets; the curve has %d", len(x), len(y), n)
	}
	return ecPoint(curve, bytes.Join([][]byte{{4}, x, y}, nil))
}

func ecPoint(curve elliptic.Curve, point []byte) (crypto.PublicKey, *attls.Error) {
	k, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, malformed(0, ruleKey, "the point is not on %s", curve.Params().Name)
	}
	return k, nil
}

func rsaKey(c claims) (crypto.PublicKey, *attls.Error) {
	modulus, err := c.Octets(int64(coseCurve))
	if err != nil {
		return nil, err
	}
	exponent, err := c.Octets(int64(coseX))
	if err != nil {
		return nil, err
	}
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	if n.BitLen() < minRSA || n.BitLen() > 16384 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
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
