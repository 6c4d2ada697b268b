package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"

	"attls"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// signature describes a scheme of RFC 8446 section 4.2.3.
type signature struct {
	scheme    attls.SignatureScheme
	algorithm string
	curve     string
	hash      crypto.Hash
	order     int // octets of r and of s
}

var signatures = [...]signature{
	{attls.ECDSA_SECP256R1_SHA256, "ECDSA", "secp256r1", crypto.SHA256, 32},
	{attls.ECDSA_SECP384R1_SHA384, "ECDSA", "secp384r1", crypto.SHA384, 48},
	{attls.ECDSA_SECP521R1_SHA512, "ECDSA", "secp521r1", crypto.SHA512, 66},
	{attls.ED25519, "Ed25519", "", 0, 0},
	{attls.RSA_PSS_RSAE_SHA256, "RSA", "", crypto.SHA256, 0},
	{attls.RSA_PSS_RSAE_SHA384, "RSA", "", crypto.SHA384, 0},
	{attls.RSA_PSS_RSAE_SHA512, "RSA", "", crypto.SHA512, 0},
	{attls.RSA_PSS_PSS_SHA256, "RSASSA-PSS", "", crypto.SHA256, 0},
	{attls.RSA_PSS_PSS_SHA384, "RSASSA-PSS", "", crypto.SHA384, 0},
	{attls.RSA_PSS_PSS_SHA512, "RSASSA-PSS", "", crypto.SHA512, 0},
	{attls.ED448, "Ed448", "", 0, 0},
	{attls.MLDSA44, "ML-DSA-44", "", 0, 0},
	{attls.MLDSA65, "ML-DSA-65", "", 0, 0},
	{attls.MLDSA87, "ML-DSA-87", "", 0, 0},
}

func find(s attls.SignatureScheme) (*signature, error) {
	for i := range signatures {
		if signatures[i].scheme == s {
			return &signatures[i], nil
		}
	}
	return nil, fmt.Errorf("%v is not implemented", s)
}

func (d *signature) fits(k *PublicKey) bool {
	if d.algorithm != k.Algorithm || d.curve != k.Curve {
		return false
	}
	if d.algorithm == "RSA" || d.algorithm == "RSASSA-PSS" {
		// EMSA-PSS needs room for hash, salt and two octets (RFC 8017 section 9.1.1).
		return (k.Bits+6)/8 >= 2*d.hash.Size()+2 && (k.pssHash == 0 || k.pssHash == d.hash)
	}
	return true
}

// Schemes lists what a key can sign in CertificateVerify.
func (real) Schemes(k *PublicKey) []attls.SignatureScheme {
	var list []attls.SignatureScheme
	for i := range signatures {
		if signatures[i].fits(k) {
			list = append(list, signatures[i].scheme)
		}
	}
	return list
}

var errSignature = errors.New("does not verify")

// Verify checks a signature over a message that is not hashed yet.
func (real) Verify(k *PublicKey, s attls.SignatureScheme, message, sig []byte) error {
	d, err := find(s)
	if err != nil {
		return err
	}
	if !d.fits(k) {
		return fmt.Errorf("%v does not fit a key of type %s %s", s, k.Algorithm, k.Curve)
	}
	ok := false
	switch pub := k.Key.(type) {
	case ed25519.PublicKey:
		ok = ed25519.Verify(pub, message, sig)
	case ed448.PublicKey:
		ok = ed448.Verify(pub, message, sig, "")
	case *mldsa44.PublicKey: // pure, with an empty context (draft-ietf-tls-mldsa section 4)
		ok = mldsa44.Verify(pub, message, nil, sig)
	case *mldsa65.PublicKey:
		ok = mldsa65.Verify(pub, message, nil, sig)
	case *mldsa87.PublicKey:
		ok = mldsa87.Verify(pub, message, nil, sig)
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(pub, digest(d.hash, message), sig)
	case *rsa.PublicKey:
		ok = rsa.VerifyPSS(pub, d.hash, digest(d.hash, message), sig,
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	if !ok {
		return errSignature
	}
	return nil
}

func digest(h crypto.Hash, message []byte) []byte {
	d := h.New()
	d.Write(message)
	return d.Sum(nil)
}

// Sign signs a message under a scheme with the system's randomness.
func Sign(signer crypto.Signer, s attls.SignatureScheme, message []byte) ([]byte, error) {
	return SignFrom(rand.Reader, signer, s, message)
}

// SignFrom is Sign with the randomness of a reader: the same reader gives the
// same signature with keys of crypto/ecdsa (RFC 6979), of EdDSA and ML-DSA (none
// draws anything) and crypto/rsa (the salt of RSA-PSS).
func SignFrom(random io.Reader, signer crypto.Signer, s attls.SignatureScheme, message []byte) ([]byte, error) {
	d, err := find(s)
	if err != nil {
		return nil, err
	}
	switch d.algorithm {
	case "Ed25519", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87":
		return signer.Sign(random, message, crypto.Hash(0))
	case "ECDSA":
		if k, ok := signer.(*ecdsa.PrivateKey); ok {
			return k.Sign(nil, digest(d.hash, message), d.hash)
		}
		return signer.Sign(random, digest(d.hash, message), d.hash)
	}
	return signer.Sign(random, digest(d.hash, message), &rsa.PSSOptions{
		SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: d.hash})
}

// RawFromDER turns an ECDSA-Sig-Value into r followed by s, each of the length
// of the order.
func RawFromDER(der []byte, s attls.SignatureScheme) ([]byte, error) {
	d, err := find(s)
	if err != nil || d.order == 0 {
		return nil, fmt.Errorf("%v has no raw form", s)
	}
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	r, t := new(big.Int), new(big.Int)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(r) || !seq.ReadASN1Integer(t) ||
		!seq.Empty() {
		return nil, errors.New("no ECDSA-Sig-Value")
	}
	if r.Sign() < 0 || t.Sign() < 0 || r.BitLen() > 8*d.order || t.BitLen() > 8*d.order {
		return nil, errors.New("ECDSA-Sig-Value out of range")
	}
	out := make([]byte, 2*d.order)
	r.FillBytes(out[:d.order])
	t.FillBytes(out[d.order:])
	return out, nil
}

// DERFromRaw is the inverse of RawFromDER.
func DERFromRaw(raw []byte, s attls.SignatureScheme) ([]byte, error) {
	d, err := find(s)
	if err != nil || d.order == 0 {
		return nil, fmt.Errorf("%v has no raw form", s)
	}
	if len(raw) != 2*d.order {
		return nil, fmt.Errorf("a raw signature of %d octets; %v has %d", len(raw), s, 2*d.order)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[:d.order]))
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[d.order:]))
	})
	return b.Bytes()
}
