package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"math/big"

	"attls"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidRSAPSS  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidECDSA   = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
	oidEd448   = asn1.ObjectIdentifier{1, 3, 101, 113}
	oidMLDSA44 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}
	oidMLDSA65 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}
	oidMLDSA87 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}
	oidP256    = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	oidP384    = asn1.ObjectIdentifier{1, 3, 132, 0, 34}
	oidP521    = asn1.ObjectIdentifier{1, 3, 132, 0, 35}
	oidSHA256  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
)

const maxRSABits = 16384

func badKey(format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Malformed, attls.FailUnsupportedCert, format, args...).Under("subjectPublicKeyInfo").
		By("RFC 5280 4.1.2.7")
}

// ParseSPKI reads a DER SubjectPublicKeyInfo; crypto/x509 yields no key for
// id-RSASSA-PSS, so this is our own.
func (real) ParseSPKI(der []byte) (*PublicKey, error) { return parseSPKI(der) }

func parseSPKI(der []byte) (*PublicKey, error) {
	in := cryptobyte.String(der)
	var spki, alg cryptobyte.String
	var oid asn1.ObjectIdentifier
	var bits asn1.BitString
	switch {
	case !in.ReadASN1(&spki, cbasn1.SEQUENCE):
		return nil, badKey("is not a DER SEQUENCE")
	case !in.Empty():
		return nil, badKey("%d octets follow the SEQUENCE", len(in))
	case !spki.ReadASN1(&alg, cbasn1.SEQUENCE) || !alg.ReadASN1ObjectIdentifier(&oid):
		return nil, badKey("no AlgorithmIdentifier")
	case !spki.ReadASN1BitString(&bits) || bits.BitLength%8 != 0 || !spki.Empty():
		return nil, badKey("no BIT STRING of whole octets, or more after it")
	}
	k := &PublicKey{SPKI: der}
	switch {
	case oid.Equal(oidECDSA):
		return k, k.ecdsa(alg, bits.Bytes)
	case oid.Equal(oidRSA):
		k.Algorithm = "RSA"
		var null cryptobyte.String
		if !alg.ReadASN1(&null, cbasn1.NULL) || len(null) != 0 || !alg.Empty() {
			return nil, badKey("rsaEncryption without NULL parameters")
		}
		return k, k.rsa(bits.Bytes)
	case oid.Equal(oidRSAPSS):
		k.Algorithm = "RSASSA-PSS"
		if err := k.pss(alg); err != nil {
			return nil, err
		}
		return k, k.rsa(bits.Bytes)
	case oid.Equal(oidEd25519):
		if !alg.Empty() || len(bits.Bytes) != ed25519.PublicKeySize {
			return nil, badKey("Ed25519 with parameters, or a key of %d octets", len(bits.Bytes))
		}
		k.Algorithm, k.Bits, k.Key = "Ed25519", 256, ed25519.PublicKey(bits.Bytes)
		return k, nil
	}
	for i := range plainKeys {
		if p := &plainKeys[i]; oid.Equal(p.oid) {
			if !alg.Empty() || len(bits.Bytes) != p.size {
				return nil, badKey("%s with parameters, or a key of %d octets", p.name, len(bits.Bytes))
			}
			key, err := p.parse(bits.Bytes)
			if err != nil {
				return nil, badKey("%s: %v", p.name, err)
			}
			k.Algorithm, k.Bits, k.Key = p.name, 8*p.size, key
			return k, nil
		}
	}
	return nil, badKey("keys of type %v are not supported", oid)
}

// plainKeys are the types without parameters whose BIT STRING is the key itself
// (RFC 8410, RFC 9881).
var plainKeys = [...]struct {
	oid   asn1.ObjectIdentifier
	name  string
	size  int
	parse func([]byte) (crypto.PublicKey, error)
}{
	{oidEd448, "Ed448", ed448.PublicKeySize, func(b []byte) (crypto.PublicKey, error) { return ed448.PublicKey(b), nil }},
	{oidMLDSA44, "ML-DSA-44", mldsa44.PublicKeySize, func(b []byte) (crypto.PublicKey, error) {
		k := new(mldsa44.PublicKey)
		return k, k.UnmarshalBinary(b)
	}},
	{oidMLDSA65, "ML-DSA-65", mldsa65.PublicKeySize, func(b []byte) (crypto.PublicKey, error) {
		k := new(mldsa65.PublicKey)
		return k, k.UnmarshalBinary(b)
	}},
	{oidMLDSA87, "ML-DSA-87", mldsa87.PublicKeySize, func(b []byte) (crypto.PublicKey, error) {
		k := new(mldsa87.PublicKey)
		return k, k.UnmarshalBinary(b)
	}},
}

func (k *PublicKey) ecdsa(params cryptobyte.String, point []byte) error {
	var oid asn1.ObjectIdentifier
	if !params.ReadASN1ObjectIdentifier(&oid) || !params.Empty() {
		return badKey("EC parameters that name no curve")
	}
	var curve elliptic.Curve
	switch {
	case oid.Equal(oidP256):
		curve, k.Curve = elliptic.P256(), "secp256r1"
	case oid.Equal(oidP384):
		curve, k.Curve = elliptic.P384(), "secp384r1"
	case oid.Equal(oidP521):
		curve, k.Curve = elliptic.P521(), "secp521r1"
	default:
		return badKey("curve %v is not supported", oid)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return badKey("%d octets are not an uncompressed point of %s", len(point), k.Curve)
	}
	k.Algorithm, k.Bits, k.Key = "ECDSA", curve.Params().BitSize, pub
	return nil
}

func (k *PublicKey) rsa(der []byte) error {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	n := new(big.Int)
	var e int64
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(n) || !seq.ReadASN1Integer(&e) ||
		!seq.Empty() {
		return badKey("no RSAPublicKey")
	}
	if n.Sign() <= 0 || n.BitLen() > maxRSABits || n.BitLen() < 1024 || e < 3 || e&1 == 0 || e > 1<<31-1 {
		return badKey(
			"an RSA modulus of %d bits with exponent %d; 1024 to %d bits and an odd exponent of at least 3 are supported",
			n.BitLen(), e, maxRSABits)
	}
	k.Bits, k.Key = n.BitLen(), &rsa.PublicKey{N: n, E: int(e)}
	return nil
}

// pss reads RSASSA-PSS-params (RFC 4055 section 3.1). Without parameters any
// hash may be used; with them, the one they name.
func (k *PublicKey) pss(alg cryptobyte.String) error {
	if alg.Empty() {
		return nil
	}
	var p cryptobyte.String
	if !alg.ReadASN1(&p, cbasn1.SEQUENCE) || !alg.Empty() {
		return badKey("RSASSA-PSS parameters that are not a SEQUENCE")
	}
	hash, err := optionalHash(&p, 0)
	if err != nil {
		return err
	}
	var mgf cryptobyte.String
	var have bool
	if !p.ReadOptionalASN1(&mgf, &have, cbasn1.Tag(1).Constructed().ContextSpecific()) {
		return badKey("RSASSA-PSS maskGenAlgorithm")
	}
	if have {
		var seq cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !mgf.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidMGF1) {
			return badKey("RSASSA-PSS maskGenAlgorithm is not MGF1")
		}
		inner, err := hashOf(seq)
		if err != nil {
			return err
		}
		if inner != hash {
			return badKey("RSASSA-PSS with two hash functions")
		}
	}
	salt := 20
	if !p.ReadOptionalASN1Integer(&salt, cbasn1.Tag(2).Constructed().ContextSpecific(), 20) {
		return badKey("RSASSA-PSS saltLength")
	}
	if hash == 0 || salt > hash.Size() {
		return badKey("RSASSA-PSS with SHA-1 or a salt of %d octets", salt)
	}
	k.pssHash = hash
	return nil
}

func optionalHash(p *cryptobyte.String, tag uint8) (crypto.Hash, error) {
	var h cryptobyte.String
	var have bool
	if !p.ReadOptionalASN1(&h, &have, cbasn1.Tag(tag).Constructed().ContextSpecific()) {
		return 0, badKey("RSASSA-PSS hashAlgorithm")
	}
	if !have {
		return 0, nil // the default is SHA-1
	}
	return hashOf(h)
}

func hashOf(in cryptobyte.String) (crypto.Hash, error) {
	var seq cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&oid) {
		return 0, badKey("no hash AlgorithmIdentifier")
	}
	switch {
	case oid.Equal(oidSHA256):
		return crypto.SHA256, nil
	case oid.Equal(oidSHA384):
		return crypto.SHA384, nil
	case oid.Equal(oidSHA512):
		return crypto.SHA512, nil
	}
	return 0, badKey("hash %v is not supported", oid)
}

// oidKeyUsage is id-ce-keyUsage, 2.5.29.15 (RFC 5280 section 4.2.1.3), as DER encodes it.
const oidKeyUsage = "\x55\x1d\x0f"

// ForbidsSignatures reports whether the Key Usage extension of a DER certificate
// lacks digitalSignature, without which its key must not sign CertificateVerify
// (RFC 8446 section 4.4.2.2). A certificate without the extension forbids nothing.
func ForbidsSignatures(cert []byte) bool {
	p, ok := walkCertificate(cert)
	if !ok {
		return false
	}
	for !p.extensions.Empty() {
		var x, oid, value cryptobyte.String
		if !p.extensions.ReadASN1(&x, cbasn1.SEQUENCE) || !x.ReadASN1(&oid, cbasn1.OBJECT_IDENTIFIER) ||
			!x.SkipOptionalASN1(cbasn1.BOOLEAN) || !x.ReadASN1(&value, cbasn1.OCTET_STRING) {
			return false
		}
		if string(oid) == oidKeyUsage {
			var bits asn1.BitString
			return !value.ReadASN1BitString(&bits) || bits.At(0) == 0
		}
	}
	return false
}

// SPKIFromCertificate walks a DER certificate to its SubjectPublicKeyInfo (RFC
// 5280 section 4.1). The view includes the SEQUENCE's header.
func SPKIFromCertificate(cert []byte) ([]byte, *attls.Error) {
	bad := func(at cryptobyte.String, what string) *attls.Error {
		return attls.Errorf(attls.Malformed, attls.FailBadCertificate, "no %s in the certificate", what).
			At(len(cert) - len(at))
	}
	in := cryptobyte.String(cert)
	var body, tbs, spki cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) {
		return nil, bad(in, "Certificate SEQUENCE")
	}
	if !in.Empty() {
		return nil, attls.Errorf(attls.Malformed, attls.FailBadCertificate, "%d octets follow the certificate", len(in)).
			At(len(cert) - len(in))
	}
	if !body.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return nil, bad(body, "TBSCertificate")
	}
	if !tbs.SkipOptionalASN1(cbasn1.Tag(0).Constructed().ContextSpecific()) || !tbs.SkipASN1(cbasn1.INTEGER) {
		return nil, bad(tbs, "serialNumber")
	}
	for _, field := range [...]string{"signature", "issuer", "validity", "subject"} {
		if !tbs.SkipASN1(cbasn1.SEQUENCE) {
			return nil, bad(tbs, field)
		}
	}
	if !tbs.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return nil, bad(tbs, "subjectPublicKeyInfo")
	}
	return spki, nil
}

// EndEntity reads the key of a DER certificate that its holder signs with in the
// protocol: its SubjectPublicKeyInfo, as a view, and what it says.
func EndEntity(p Provider, cert []byte) (spki []byte, key *PublicKey, err *attls.Error) {
	spki, err = SPKIFromCertificate(cert)
	if err != nil {
		return nil, nil, attls.Errorf(
			attls.Refused,
			attls.FailBadCertificate,
			"%s",
			err.Detail,
		).At(
			err.Offset,
		).By(
			"RFC 5280 4.1",
		)
	}
	if ForbidsSignatures(cert) {
		return nil, nil, attls.Errorf(attls.Refused, attls.FailKeyUsage, "the key must not be used for signatures").
			By("RFC 8446 4.4.2.2")
	}
	key, cause := p.ParseSPKI(spki)
	if cause != nil {
		return nil, nil, attls.Errorf(attls.Refused, attls.FailUnsupportedCert, "%v", cause)
	}
	return spki, key, nil
}

// SchemesOf lists the schemes that the key of a DER certificate signs under, which must
// be the public key of who will sign.
func SchemesOf(cert []byte, signer crypto.PublicKey) ([]attls.SignatureScheme, error) {
	spki, failure := SPKIFromCertificate(cert)
	if failure != nil {
		return nil, failure
	}
	pr := Real()
	key, err := pr.ParseSPKI(spki)
	if err != nil {
		return nil, err
	}
	if own, ok := key.Key.(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(signer) {
		return nil, errors.New("the private key is not the one of the first certificate")
	}
	return pr.Schemes(key), nil
}

// Outline is what the signature on a certificate depends on, as views of its DER: the
// AlgorithmIdentifier, and the names of the issuer and the subject.
type Outline struct{ Signature, Issuer, Subject []byte }

// CertificateOutline reads an Outline; false: what is there is not a certificate.
func CertificateOutline(cert []byte) (o Outline, ok bool) {
	in := cryptobyte.String(cert)
	var body, tbs, algorithm, issuer, subject cryptobyte.String
	ok = in.ReadASN1(&body, cbasn1.SEQUENCE) && body.ReadASN1(&tbs, cbasn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(cbasn1.Tag(0).Constructed().ContextSpecific()) && tbs.SkipASN1(cbasn1.INTEGER) &&
		tbs.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) && tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) &&
		tbs.SkipASN1(cbasn1.SEQUENCE) && tbs.ReadASN1Element(&subject, cbasn1.SEQUENCE)
	return Outline{algorithm, issuer, subject}, ok
}

// CertificateSignature is the scheme of the signature on a DER certificate, where it
// is one that crypto/x509 does not verify: Ed448 (RFC 8410) or ML-DSA (RFC 9881).
func CertificateSignature(cert []byte) (attls.SignatureScheme, bool) {
	in := cryptobyte.String(cert)
	var body, alg cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.SkipASN1(cbasn1.SEQUENCE) || !body.ReadASN1(&alg, cbasn1.SEQUENCE) ||
		!alg.ReadASN1ObjectIdentifier(&oid) || !alg.Empty() { // both texts forbid parameters
		return 0, false
	}
	for _, s := range [...]struct {
		oid    asn1.ObjectIdentifier
		scheme attls.SignatureScheme
	}{{oidEd448, attls.ED448}, {oidMLDSA44, attls.MLDSA44}, {oidMLDSA65, attls.MLDSA65}, {oidMLDSA87, attls.MLDSA87}} {
		if oid.Equal(s.oid) {
			return s.scheme, true
		}
	}
	return 0, false
}
