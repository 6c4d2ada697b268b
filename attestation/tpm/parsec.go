package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"attls"
	"attls/attestation"

	"github.com/google/go-tpm/tpm2"
)

// MediaType is that of Evidence as Parsec makes it with a TPM 2.0.
const MediaType = "application/vnd.parallaxsecond.key-attestation.tpm"

// CertifyMediaType is that of the same without a quote. Its own type keeps apart what
// says something of the platform and what does not; no registry and no text has one.
const CertifyMediaType = "application/vnd.attls.tpm-key-attestation+cbor"

const (
	ruleParsec = "Parsec key attestation with a TPM"
	labelKAT   = "kat"
	labelPAT   = "pat"

	memberCertify = "certInfo"
	memberQuote   = "attestInfo"

	minHash = 32 // octets of the shortest hash that is accepted
)

// bundle is the value of such a CMW: what a TPM certifies about a key, and what
// it quotes about the platform, both signed by its attestation key.
type bundle struct {
	kat, pat statement
	quoted   bool // there is a pat
	public   *tpm2.TPMTPublic
	key      crypto.PublicKey // that of public
}

// statement is a TPMS_ATTEST with its signature.
type statement struct {
	octets    []byte
	attest    *tpm2.TPMSAttest
	signature *tpm2.TPMTSignature
}

// parseParsec reads
//
//	{ "kat" => { tpmVer, kid, sig, certInfo, pubArea }, "pat" => { tpmVer, kid, sig, attestInfo } }
//
// where sig is a TPMT_SIGNATURE, certInfo and attestInfo are TPMS_ATTEST and
// pubArea is the TPMT_PUBLIC of the attested key. kid is a hint, and is ignored. There
// are no other members; there is no pat where nothing is quoted.
func parseParsec(b []byte, quoted bool) (*bundle, *attls.Error) {
	all, err := attestation.ParseClaims(b)
	if err != nil {
		return nil, err
	}
	p := &bundle{quoted: quoted}
	members := []string{labelKAT}
	if quoted {
		members = append(members, labelPAT)
	}
	if err := exactly(all, members...); err != nil {
		return nil, err
	}
	kat, err := p.kat.read(all, labelKAT, memberCertify, tpm2.TPMSTAttestCertify, "pubArea")
	if err != nil {
		return nil, under(err, labelKAT)
	}
	if quoted {
		if _, err := p.pat.read(all, labelPAT, memberQuote, tpm2.TPMSTAttestQuote); err != nil {
			return nil, under(err, labelPAT)
		}
	}
	area, err := kat.Octets("pubArea")
	if err != nil {
		return nil, under(err, labelKAT)
	}
	if p.public, err = structure[tpm2.TPMTPublic](area, "pubArea"); err != nil {
		return nil, under(err, labelKAT)
	}
	p.key, err = keyOf(p.public)
	return p, under(under(err, "pubArea"), labelKAT)
}

// exactly wants these members and no others.
func exactly(c attestation.Claims, members ...string) *attls.Error {
	for _, name := range members {
		if len(c[name]) == 0 {
			return attestation.Malformed(-1, ruleParsec, "the member is missing").Under(name)
		}
	}
	for key := range c {
		if name, ok := key.(string); !ok || !slices.Contains(members, name) {
			return attestation.Malformed(-1, ruleParsec, "a member %v; there are %s", key, strings.Join(members, ", "))
		}
	}
	return nil
}

// under adds a field to the path of an error that may be nil.
func under(err *attls.Error, field string) *attls.Error {
	if err == nil {
		return nil
	}
	return err.Under(field)
}

// read reads the map of one statement and returns it.
func (s *statement) read(all attestation.Claims, label, member string,
	want tpm2.TPMST, further ...string) (attestation.Claims, *attls.Error) {
	c, err := attestation.ParseClaims(all[label])
	if err != nil {
		return nil, err
	}
	if err := exactly(c, append(further, "tpmVer", "kid", "sig", member)...); err != nil {
		return nil, err
	}
	var version string
	if _, err := c.Read("tpmVer", &version); err != nil || version != "2.0" {
		return nil, attestation.Malformed(-1, ruleParsec, "tpmVer is %q, not 2.0", version)
	}
	if s.octets, err = c.Octets(member); err != nil {
		return nil, err
	}
	if s.attest, err = structure[tpm2.TPMSAttest](s.octets, member); err != nil {
		return nil, err
	}
	if s.attest.Type != want {
		return nil, attestation.Malformed(-1, ruleParsec, "a TPMS_ATTEST of type %04x, not %04x", s.attest.Type, want).
			Under(member)
	}
	signature, err := c.Octets("sig")
	if err != nil {
		return nil, err
	}
	s.signature, err = structure[tpm2.TPMTSignature](signature, "sig")
	return c, err
}

// structure reads a structure of a TPM that takes up all octets.
func structure[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](b []byte, member string) (*T, *attls.Error) {
	v, err := tpm2.Unmarshal[T, P](b)
	if err != nil {
		return nil, attestation.Malformed(-1, ruleParsec, "%v", err).Under(member)
	}
	if !bytes.Equal(tpm2.Marshal(*v), b) {
		return nil, attestation.Malformed(-1, ruleParsec,
			"octets follow the structure of a TPM, or it is written in more than one way").Under(member)
	}
	return v, nil
}

// keyOf is the key of a public area: an ECDSA key on one of NIST's curves.
func keyOf(public *tpm2.TPMTPublic) (crypto.PublicKey, *attls.Error) {
	if public.Type != tpm2.TPMAlgECC {
		return nil, attestation.Malformed(-1, ruleParsec, "a key of the algorithm %04x; only ECC is supported", public.Type)
	}
	k, err := tpm2.Pub(*public)
	if err != nil {
		return nil, attestation.Malformed(-1, ruleParsec, "%v", err)
	}
	key, ok := k.(*ecdsa.PublicKey)
	if !ok {
		return nil, attestation.Malformed(-1, ruleParsec, "a key of type %T", k)
	}
	if _, err := key.Bytes(); err != nil {
		return nil, attestation.Malformed(-1, ruleParsec, "%v", err)
	}
	return key, nil
}

// statements are the statement about the key and the quote, where there is one.
func (p *bundle) statements() []*statement {
	if p.quoted {
		return []*statement{&p.kat, &p.pat}
	}
	return []*statement{&p.kat}
}

// generated wants the magic by which a restricted key knows what its TPM has made. A key
// that is not restricted signs anything.
func (p *bundle) generated() *attls.Error {
	for _, s := range p.statements() {
		if s.attest.Magic != tpm2.TPMGeneratedValue {
			return attestation.Refuse(ruleParsec, "a TPMS_ATTEST with the magic %08x, which no TPM makes",
				uint32(s.attest.Magic))
		}
	}
	return nil
}

// verify checks all signatures under one attestation key, which must be ECDSA.
func (p *bundle) verify(key crypto.PublicKey) error {
	ak, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("statements of a TPM under a key of type %T are not supported", key)
	}
	for _, s := range p.statements() {
		if err := s.verify(ak); err != nil {
			return err
		}
	}
	return nil
}

func (s *statement) verify(key *ecdsa.PublicKey) error {
	sig, err := s.signature.Signature.ECDSA()
	if err != nil {
		return err
	}
	h, err := sig.Hash.Hash()
	if err != nil {
		return err
	}
	if h.Size() < minHash || !h.Available() {
		return fmt.Errorf("a signature over %v", h)
	}
	digest := h.New()
	digest.Write(s.octets)
	r, v := new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer)
	if !ecdsa.Verify(key, digest.Sum(nil), r, v) {
		return errors.New("the signature does not verify")
	}
	return nil
}

// linkage holds the certified name against that of the public area, and wants a key
// that was made in the TPM and cannot leave it.
func (p *bundle) linkage() *attls.Error {
	if err := p.generated(); err != nil {
		return err
	}
	info, err := p.kat.attest.Attested.Certify()
	if err != nil {
		return attestation.Malformed(-1, ruleParsec, "%v", err)
	}
	if h, err := p.public.NameAlg.Hash(); err != nil || h.Size() < minHash {
		return attestation.Refuse(ruleParsec,
			"the name of the public area is made with the algorithm %04x; a hash of %d octets or more is needed",
			uint16(p.public.NameAlg), minHash)
	}
	name, err := tpm2.ObjectName(p.public)
	if err != nil {
		return attestation.Malformed(-1, ruleParsec, "the name of the public area: %v", err)
	}
	if !bytes.Equal(info.Name.Buffer, name.Buffer) {
		return attls.Errorf(attls.Refused, attls.FailTIKMismatch, "the certified key has the name %x, the public area %x",
			info.Name.Buffer, name.Buffer).By(ruleParsec)
	}
	if a := p.public.ObjectAttributes; !a.FixedTPM || !a.SensitiveDataOrigin {
		return attestation.Refuse(ruleParsec,
			"the key was not made in the TPM for good (fixedTPM %t, sensitiveDataOrigin %t)", a.FixedTPM, a.SensitiveDataOrigin)
	}
	if a := p.public.ObjectAttributes; !a.SignEncrypt || a.Restricted {
		return attestation.Refuse(ruleParsec,
			"the key may not sign a handshake (sign %t, restricted to what the TPM makes %t)", a.SignEncrypt, a.Restricted)
	}
	return nil
}

// quote is what the TPM says of its PCRs.
func (p *bundle) quote() *attestation.Quote {
	q, err := p.pat.attest.Attested.Quote()
	if err != nil {
		return &attestation.Quote{} // read has seen that it is one
	}
	return &attestation.Quote{PCRs: selectionOf(q.PCRSelect), Digest: q.PCRDigest.Buffer}
}

// selectionOf reads the bitmaps of a TPM. A bank of which no PCR is selected adds
// nothing to a digest and is left out.
func selectionOf(list tpm2.TPMLPCRSelection) (out attestation.PCRSelection) {
	for _, x := range list.PCRSelections {
		bank := attestation.PCRBank{Hash: uint16(x.Hash)}
		for i, octet := range x.PCRSelect {
			for bit := range 8 {
				if octet>>bit&1 == 1 {
					bank.PCRs = append(bank.PCRs, 8*i+bit)
				}
			}
		}
		if bank.PCRs != nil {
			out = append(out, bank)
		}
	}
	return out
}
