package attestation

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"

	"attls"
	"attls/extensions/profile"

	"github.com/google/go-tpm/tpm2"
)

// FormatParsecTPM is Evidence that Parsec makes with a TPM 2.0.
var FormatParsecTPM = profile.Format{MediaType: "application/vnd.parallaxsecond.key-attestation.tpm"}

const ruleParsec = "Parsec key attestation with a TPM"

// parsecTPM is the value of such a CMW: what a TPM certifies about a key, and what
// it quotes about the platform, both signed by its attestation key.
type parsecTPM struct {
	kat, pat tpmStatement
	public   *tpm2.TPMTPublic
}

// tpmStatement is a TPMS_ATTEST with its signature.
type tpmStatement struct {
	octets    []byte
	attest    *tpm2.TPMSAttest
	signature *tpm2.TPMTSignature
}

// parseParsecTPM reads
//
//	{ "kat" => { tpmVer, kid, sig, certInfo, pubArea }, "pat" => { tpmVer, kid, sig, attestInfo } }
//
// where sig is a TPMT_SIGNATURE, certInfo and attestInfo are TPMS_ATTEST and
// pubArea is the TPMT_PUBLIC of the attested key. kid is a hint, and is ignored.
func parseParsecTPM(b []byte) (*tokens, *attls.Error) {
	all, err := parseClaims(b)
	if err != nil {
		return nil, err
	}
	p := &parsecTPM{}
	kat, err := p.kat.read(all, labelKAT, "certInfo", tpm2.TPMSTAttestCertify)
	if err != nil {
		return nil, under(err, labelKAT)
	}
	if _, err := p.pat.read(all, labelPAT, "attestInfo", tpm2.TPMSTAttestQuote); err != nil {
		return nil, under(err, labelPAT)
	}
	area, err := kat.octets("pubArea")
	if err != nil {
		return nil, under(err, labelKAT)
	}
	if p.public, err = tpmStructure[tpm2.TPMTPublic](area, "pubArea"); err != nil {
		return nil, under(err, labelKAT)
	}
	key, err := p.key()
	return &tokens{tpm: p, key: key}, under(under(err, "pubArea"), labelKAT)
}

// read reads the map of one statement and returns it.
func (s *tpmStatement) read(all claims, label, member string, want tpm2.TPMST) (claims, *attls.Error) {
	c, err := parseClaims(all[label])
	if len(all[label]) == 0 {
		err = malformed(-1, ruleParsec, "the statement is missing")
	}
	if err != nil {
		return nil, err
	}
	var version string
	if _, err := c.read("tpmVer", &version); err != nil || version != "2.0" {
		return nil, malformed(-1, ruleParsec, "tpmVer is %q, not 2.0", version)
	}
	if s.octets, err = c.octets(member); err != nil {
		return nil, err
	}
	if s.attest, err = tpmStructure[tpm2.TPMSAttest](s.octets, member); err != nil {
		return nil, err
	}
	if s.attest.Magic != tpm2.TPMGeneratedValue {
		return nil, malformed(-1, ruleParsec, "a TPMS_ATTEST with the magic %08x, which no TPM makes", uint32(s.attest.Magic)).Under(member)
	}
	if s.attest.Type != want {
		return nil, malformed(-1, ruleParsec, "a TPMS_ATTEST of type %04x, not %04x", s.attest.Type, want).Under(member)
	}
	signature, err := c.octets("sig")
	if err != nil {
		return nil, err
	}
	s.signature, err = tpmStructure[tpm2.TPMTSignature](signature, "sig")
	return c, err
}

// tpmStructure reads a structure of a TPM that takes up all octets.
func tpmStructure[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](b []byte, member string) (*T, *attls.Error) {
	v, err := tpm2.Unmarshal[T, P](b)
	if err != nil {
		return nil, malformed(-1, ruleParsec, "%v", err).Under(member)
	}
	if !bytes.Equal(tpm2.Marshal(*v), b) {
		return nil, malformed(-1, ruleParsec, "octets follow the structure of a TPM, or it is written in more than one way").Under(member)
	}
	return v, nil
}

// key is the attested key: an ECDSA key on one of NIST's curves.
func (p *parsecTPM) key() (crypto.PublicKey, *attls.Error) {
	if p.public.Type != tpm2.TPMAlgECC {
		return nil, malformed(-1, ruleParsec, "a key of the algorithm %04x; only ECC is supported", p.public.Type)
	}
	k, err := tpm2.Pub(*p.public)
	if err != nil {
		return nil, malformed(-1, ruleParsec, "%v", err)
	}
	key, ok := k.(*ecdsa.PublicKey)
	if !ok {
		return nil, malformed(-1, ruleParsec, "a key of type %T", k)
	}
	if _, err := key.Bytes(); err != nil {
		return nil, malformed(-1, ruleParsec, "%v", err)
	}
	return key, nil
}

// verify checks both signatures under an attestation key, which must be ECDSA.
func (p *parsecTPM) verify(key crypto.PublicKey) error {
	ak, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("statements of a TPM under a key of type %T are not supported", key)
	}
	for _, s := range []*tpmStatement{&p.kat, &p.pat} {
		if err := s.verify(ak); err != nil {
			return err
		}
	}
	return nil
}

func (s *tpmStatement) verify(key *ecdsa.PublicKey) error {
	sig, err := s.signature.Signature.ECDSA()
	if err != nil {
		return err
	}
	h, err := sig.Hash.Hash()
	if err != nil {
		return err
	}
	if h.Size() < digestSize || !h.Available() {
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
func (p *parsecTPM) linkage() *attls.Error {
	info, err := p.kat.attest.Attested.Certify()
	if err != nil {
		return malformed(-1, ruleParsec, "%v", err)
	}
	if h, err := p.public.NameAlg.Hash(); err != nil || h.Size() < digestSize {
		return refused(attls.FailAppraisal, ruleParsec, "the name of the public area is made with the algorithm %04x; a hash of %d octets or more is needed", uint16(p.public.NameAlg), digestSize)
	}
	name, err := tpm2.ObjectName(p.public)
	if err != nil {
		return malformed(-1, ruleParsec, "the name of the public area: %v", err)
	}
	if !bytes.Equal(info.Name.Buffer, name.Buffer) {
		return refused(attls.FailAppraisal, ruleParsec, "the certified key has the name %x, the public area %x", info.Name.Buffer, name.Buffer)
	}
	if a := p.public.ObjectAttributes; !a.FixedTPM || !a.SensitiveDataOrigin {
		return refused(attls.FailAppraisal, ruleParsec, "the key was not made in the TPM for good (fixedTPM %t, sensitiveDataOrigin %t)", a.FixedTPM, a.SensitiveDataOrigin)
	}
	if a := p.public.ObjectAttributes; !a.SignEncrypt || a.Restricted {
		return refused(attls.FailAppraisal, ruleParsec, "the key may not sign a handshake (sign %t, restricted to what the TPM makes %t)", a.SignEncrypt, a.Restricted)
	}
	return nil
}

// challenge holds the qualifying data of both statements against a challenge.
func (p *parsecTPM) challenge(want []byte) *attls.Error {
	for _, s := range []struct {
		label string
		*tpmStatement
	}{{labelKAT, &p.kat}, {labelPAT, &p.pat}} {
		if got := s.attest.ExtraData.Buffer; !bytes.Equal(got, want) {
			return refused(attls.FailBinderMismatch, ruleParsec, "extraData is %x, the challenge of this connection is %x", got, want).Under(s.label)
		}
	}
	return nil
}

// pcrs is the digest of the quoted PCRs.
func (p *parsecTPM) pcrs() []byte {
	if p == nil {
		return nil
	}
	quote, err := p.pat.attest.Attested.Quote()
	if err != nil {
		return nil // read has seen that it is one
	}
	return quote.PCRDigest.Buffer
}

// quoted is what the digest of the PCRs is a digest of.
func (p *parsecTPM) quoted() PCRSelection {
	if p == nil {
		return nil
	}
	quote, err := p.pat.attest.Attested.Quote()
	if err != nil {
		return nil // read has seen that it is one
	}
	return selectionOf(quote.PCRSelect)
}
