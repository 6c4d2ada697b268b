// Package tpm makes, reads and judges Evidence of a TPM 2.0: what the TPM certifies about
// the key of the handshake and quotes about the platform, in the form in which Parsec
// has it, or the first of the two alone.
package tpm

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"attls"
	"attls/attestation"

	"github.com/veraison/ear"
	"go.yaml.in/yaml/v3"
)

// Names of the formats in the table.
const (
	Name        = "tpm"
	CertifyName = "tpm-certify"
)

// maxExtraData is the length of the longest challenge that a TPM with SHA-512 takes as
// qualifying data, in octets.
const maxExtraData = 64

// unsigned says what a signature does not cover.
const unsigned = "kid, a hint which attestation key signed: it is ignored"

// Format is the row of TPM 2.0.
func Format() attestation.Format {
	f := row(Format)
	f.Name = Name
	f.Title = "TPM 2.0: key attestation and quote, as Parsec bundles them"
	f.Types = []attestation.Type{{MediaType: MediaType, Note: "not registered; Parsec and Veraison use it"}}
	f.Says = []string{"instance-identity", "executables", "hardware"}
	f.Read = reader(true)
	f.Policy = attestation.Listed(policy{})
	return f
}

// CertifyFormat is the row of TPM 2.0 without a quote: the key is in the TPM, and nothing
// is said of the platform.
func CertifyFormat() attestation.Format {
	f := row(CertifyFormat)
	f.Name = CertifyName
	f.Title = "TPM 2.0: key attestation alone, without a quote of the platform"
	f.Types = []attestation.Type{{MediaType: CertifyMediaType,
		Note: "not registered, and in no text: a name of this project"}}
	f.Says = []string{"instance-identity", "hardware"}
	f.Read = reader(false)
	f.Policy = policyOf
	return f
}

// row is what both have in common.
func row(f func() attestation.Format) attestation.Format {
	return attestation.Format{
		Source:    ruleParsec,
		Challenge: attestation.ChallengeField{Name: "extraData", Rule: ruleParsec, Max: maxExtraData},
		Key:       attestation.KeyNaming{Named: true, How: "TPM2_Certify of the key, whose public area is in the Evidence"},
		Machine:   "the attested key is in this TPM and cannot leave it",
		Unsigned:  unsigned,
		OwnKeys:   true,
		Open:      open(f),
		Emulate:   emulate(f),
	}
}

// reader reads the bundle, with a quote or without one.
func reader(quoted bool) func(*attestation.CMW) (*attestation.Reading, *attls.Error) {
	return func(c *attestation.CMW) (*attestation.Reading, *attls.Error) {
		if c.IsCollection() {
			return nil, attestation.Malformed(-1, ruleParsec, "the statements of a TPM are one record, not a collection")
		}
		p, err := parseParsec(c.Value, quoted)
		if err != nil {
			return nil, err
		}
		r := &attestation.Reading{
			Challenges: []attestation.Challenge{p.kat.challenge(labelKAT)},
			Key:        p.key,
			Fields:     func() []attestation.Field { return p.fields(c.Value) },
			Statement:  p,
		}
		if quoted {
			r.Challenges = append(r.Challenges, p.pat.challenge(labelPAT))
			r.Platform = attestation.Platform{Quote: p.quote()}
		}
		return r, nil
	}
}

func (s *statement) challenge(where string) attestation.Challenge {
	return attestation.Challenge{Where: where, Values: [][]byte{s.attest.ExtraData.Buffer}}
}

// endorsed judges what both formats say: who signed, and what the TPM certifies.
func endorsed(a *attestation.Appraisal) (*bundle, []*attestation.Endorsement) {
	p, ok := a.Reading.Statement.(*bundle)
	if !ok {
		a.Check(attestation.CheckTokens, attestation.Refuse(ruleParsec, "a reading of type %T", a.Reading.Statement), "")
		return nil, nil
	}
	a.Vector.InstanceIdentity = ear.CryptoValidationFailedClaim
	endorsements, err := a.Endorsed(&a.Reading.Platform, p.verify)
	if a.Check(attestation.CheckPlatform, err, "the attestation key is endorsed") {
		a.Vector.InstanceIdentity = ear.TrustworthyInstanceClaim
		a.Vector.Hardware = ear.GenuineHardwareClaim
		a.Instance = deviceOf(endorsements[0])
	}
	a.Check(attestation.CheckLinkage, p.linkage(), "the TPM certifies the public area, and made the key")
	return p, endorsements
}

// deviceOf names a TPM, of which its statements say no name, by its attestation key: SHA-256
// of the DER SubjectPublicKeyInfo.
func deviceOf(e *attestation.Endorsement) []byte {
	der, err := x509.MarshalPKIXPublicKey(e.Key)
	if err != nil {
		return nil
	}
	h := sha256.Sum256(der)
	return h[:]
}

// policy judges by endorsements of attestation keys and by references with PCRs.
type policy struct{}

// Judge implements attestation.Policy.
func (policy) Judge(_ context.Context, a *attestation.Appraisal) {
	p, endorsements := endorsed(a)
	if p == nil {
		return
	}
	a.Vector.Executables = ear.ContraindicatedRuntimeClaim
	if a.Check(attestation.CheckReference, a.Referenced(&a.Reading.Platform, endorsements), "a reference value matches") {
		a.Vector.Executables = ear.ApprovedRuntimeClaim
	}
}

// Policy judges key attestation alone, by endorsements of attestation keys. The zero
// value affirms nothing, since the state of the platform is not known.
type Policy struct {
	Platform Platform `yaml:"platform,omitempty"`
}

// Platform is what a policy makes of a platform of which no PCR is quoted: nothing (the
// default), or it is accepted.
type Platform bool

// Unquoted accepts a platform in any state: the key is known to be in the TPM, and not
// what can use it there.
const Unquoted Platform = true

const unquoted = "unquoted"

// UnmarshalYAML reads the one word that there is.
func (p *Platform) UnmarshalYAML(n *yaml.Node) error {
	if n.Value != unquoted {
		return fmt.Errorf("line %d: %q is not %s, which accepts platforms in any state", n.Line, n.Value, unquoted)
	}
	*p = Unquoted
	return nil
}

// MarshalYAML writes it.
func (p Platform) MarshalYAML() (any, error) { return unquoted, nil }

// policyOf reads the section of a verifier's file.
func policyOf(s *attestation.Section) (attestation.Policy, error) {
	var p Policy
	if s == nil {
		return p, nil
	}
	if err := s.Decode(&p); err != nil {
		return nil, err
	}
	return p, nil
}

// Judge implements attestation.Policy.
func (p Policy) Judge(_ context.Context, a *attestation.Appraisal) {
	if b, _ := endorsed(a); b == nil {
		return
	}
	if !p.Platform {
		a.Unchecked(attestation.CheckReference, "the TPM certifies the key alone and quotes no PCR, so the state "+
			"of the platform is not known (the policy of %s accepts that with platform: %s)", CertifyName, unquoted)
		return
	}
	a.Check(attestation.CheckReference, nil, "no PCR is quoted, and the policy accepts a platform in any state")
}
