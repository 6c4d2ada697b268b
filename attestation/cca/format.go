// Package cca makes, reads and judges Evidence of Arm's Confidential Compute
// Architecture: the token of a platform together with that of a realm on it, and the
// same with a key attestation token as Parsec makes it.
package cca

import (
	"attls"
	"attls/attestation"
	"attls/attestation/tsm"
)

// Names of the formats in the table.
const (
	Name   = "cca"
	Parsec = "cca-parsec"
)

const (
	mediaTypeToken  = `application/eat-collection; profile="http://arm.com/CCA-SSD/1.0.0"`
	mediaTypeParsec = "application/vnd.parallaxsecond.key-attestation.cca"

	// provider is what Linux calls the platform in a TSM report.
	provider = "arm_cca_guest"

	rule       = "draft-ffm-rats-cca-token"
	ruleParsec = "Parsec key attestation with Arm CCA"
)

// challengeSize is that of the challenge of a realm token, in octets.
const challengeSize = 64

// says are the claims that a verdict on a CCA token can set.
var says = []string{"instance-identity", "configuration", "executables", "hardware"}

// Format is the row of CCA: the token as it is, or in the TSM report of Linux.
func Format() attestation.Format {
	return attestation.Format{
		Name:   Name,
		Title:  "Arm CCA: platform token and realm token",
		Source: rule,
		Types: append([]attestation.Type{{MediaType: mediaTypeToken, Note: "not registered; Veraison uses it"}},
			tsm.Types()...),
		Mine: mine,
		Challenge: attestation.ChallengeField{Name: "cca-realm-challenge", Rule: rule, Sizes: []int{challengeSize},
			Padding: true, Wants: challengeSize},
		Key:      attestation.KeyNaming{How: "neither token has a claim for a key of the realm's own"},
		Says:     says,
		Unsigned: "the provider in a TSM report: another one is refused",
		Read:     read,
		Policy:   policyOf,
		Open:     open(Name),
		Emulate:  emulate(Name),
	}
}

// ParsecFormat is the row of CCA with a key attestation token (KAT), whose SHA-512 is the
// challenge of the realm token.
func ParsecFormat() attestation.Format {
	return attestation.Format{
		Name:   Parsec,
		Title:  "Arm CCA with a key attestation token, as Parsec bundles them",
		Source: ruleParsec,
		Types:  []attestation.Type{{MediaType: mediaTypeParsec, Note: "not registered; Parsec and Veraison use it"}},
		Challenge: attestation.ChallengeField{Name: "eat_nonce", Rule: ruleParsec, Min: minNonce, Max: maxNonce,
			Padding: true},
		Key: attestation.KeyNaming{Named: true,
			How: "the claim cnf of the key attestation token, over which the realm's challenge is made"},
		Says:    says,
		Read:    readParsec,
		Policy:  policyOf,
		Open:    open(Parsec),
		Emulate: emulate(Parsec),
	}
}

// mine tells the TSM reports of CCA from those of other platforms.
func mine(value []byte) bool { return tsm.Mine(provider)(value) }

// read reads a CCA token, alone or in a TSM report.
func read(c *attestation.CMW) (*attestation.Reading, *attls.Error) {
	if c.IsCollection() {
		return nil, attestation.Malformed(-1, rule, "a CCA token is one record, not a CMW collection")
	}
	if !tsm.Is(c.Format) {
		t, err := parseToken(c.Value, 0)
		if err != nil {
			return nil, err
		}
		return t.reading(nil), nil
	}
	r, err := tsm.Read(c)
	if err == nil {
		err = r.From(provider)
	}
	if err == nil && (len(r.Aux) > 0 || len(r.Manifest) > 0) {
		err = attestation.Malformed(-1, rule, "the report of a CCA realm has an outblob alone")
	}
	if err != nil {
		return nil, err
	}
	t, err := parseToken(r.Out, r.OutStart())
	if err != nil {
		return nil, err.Under("outblob")
	}
	return t.reading(r.Fields()), nil
}

// reading is what the general verifier wants to know.
func (t *token) reading(before []attestation.Field) *attestation.Reading {
	critical := t.platform.Critical()
	if critical == nil {
		critical = t.realm.Critical()
	}
	return &attestation.Reading{
		Challenges: []attestation.Challenge{{Values: [][]byte{t.challenge}}},
		Instance:   t.instance,
		Critical:   critical,
		Platform:   attestation.Platform{UEID: t.instance},
		Fields:     func() []attestation.Field { return append(before, t.fields()...) },
		Statement:  t,
	}
}
