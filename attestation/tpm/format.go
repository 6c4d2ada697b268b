// Package tpm reads and judges Evidence of a TPM 2.0, in the form in which Parsec
// makes it: what the TPM certifies about the key of the handshake, and what it quotes
// about the platform.
package tpm

import (
	"context"

	"attls"
	"attls/attestation"

	"github.com/veraison/ear"
)

// Name is that of the format in the table.
const Name = "tpm"

// maxExtraData is the length of the longest challenge that a TPM with SHA-512 takes as
// qualifying data, in octets.
const maxExtraData = 64

// Format is the row of TPM 2.0.
func Format() attestation.Format {
	return attestation.Format{
		Name:      Name,
		Title:     "TPM 2.0: key attestation and quote, as Parsec bundles them",
		Source:    ruleParsec,
		Types:     []attestation.Type{{MediaType: MediaType, Note: "not registered; Parsec and Veraison use it"}},
		Challenge: attestation.ChallengeField{Name: "extraData", Rule: ruleParsec, Max: maxExtraData},
		Key:       attestation.KeyNaming{Named: true, How: "TPM2_Certify of the key, whose public area is in the Evidence"},
		Says:      []string{"instance-identity", "executables", "hardware"},
		Machine:   "the attested key is in this TPM and cannot leave it",
		Unsigned:  "kid of both statements: a hint, which is ignored",
		Read:      read,
		Policy:    attestation.Listed(policy{}),
	}
}

// read reads the bundle.
func read(c *attestation.CMW) (*attestation.Reading, *attls.Error) {
	if c.IsCollection() {
		return nil, attestation.Malformed(-1, ruleParsec, "the statements of a TPM are one record, not a collection")
	}
	p, err := parseParsec(c.Value)
	if err != nil {
		return nil, err
	}
	challenge := func(where string, s *statement) attestation.Challenge {
		return attestation.Challenge{Where: where, Values: [][]byte{s.attest.ExtraData.Buffer}}
	}
	return &attestation.Reading{
		Challenges: []attestation.Challenge{challenge(labelKAT, &p.kat), challenge(labelPAT, &p.pat)},
		Key:        p.key,
		Platform:   attestation.Platform{Quote: p.quote()},
		Statement:  p,
	}, nil
}

// policy judges by endorsements of attestation keys and by references with PCRs.
type policy struct{}

// Judge implements attestation.Policy.
func (policy) Judge(_ context.Context, a *attestation.Appraisal) {
	p, ok := a.Reading.Statement.(*bundle)
	if !ok {
		a.Check(attestation.CheckTokens, attestation.Refuse(ruleParsec, "a reading of type %T", a.Reading.Statement), "")
		return
	}
	a.Vector.InstanceIdentity = ear.CryptoValidationFailedClaim
	endorsements, err := a.Endorsed(&a.Reading.Platform, p.verify)
	if a.Check(attestation.CheckPlatform, err, "the platform key is endorsed") {
		a.Vector.InstanceIdentity = ear.TrustworthyInstanceClaim
		a.Vector.Hardware = ear.GenuineHardwareClaim
	}
	a.Check(attestation.CheckLinkage, p.linkage(), "the TPM certifies the public area, and made the key")
	a.Vector.Executables = ear.ContraindicatedRuntimeClaim
	if a.Check(attestation.CheckReference, a.Referenced(&a.Reading.Platform, endorsements), "a reference value matches") {
		a.Vector.Executables = ear.ApprovedRuntimeClaim
	}
}
