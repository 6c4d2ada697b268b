package attestation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"attls"
	"attls/negotiation"

	"github.com/veraison/ear"
)

// EAT is the name of the software root of trust in the table of formats.
const EAT = "eat"

// software is the table of a Verifier that was given none.
var software Formats

func init() { software = must(NewFormats(SoftwareFormats()...)) }

// eatNonce is the field of tokens and of results.
var eatNonce = ChallengeField{Name: "eat_nonce", Rule: "RFC 9711 4.1", Min: minNonce, Max: maxNonce, Padding: true}

// SoftwareFormats are the rows of the software root of trust: its tokens, and those of
// the 2022 prototype.
func SoftwareFormats() []Format { return []Format{softwareFormat(), prototypeFormat()} }

// softwareFormat is the row of the software root of trust: a key token and a platform
// token, or one token that is both, as Entity Attestation Tokens.
func softwareFormat() Format {
	return Format{
		Name:          EAT,
		Title:         "software root of trust: key and platform tokens (KAT, PAT) as EAT",
		Source:        "RFC 9711, draft-bft-rats-kat",
		Types:         []Type{{MediaType: MediaTypeCWT, ContentFormat: FormatCWT}},
		Collections:   []string{typeKATandPAT},
		Challenge:     eatNonce,
		Key:           KeyNaming{Named: true, How: "the claim cnf of the key token"},
		FurtherClaims: true,
		Says:          []string{"instance-identity", "executables", "hardware"},
		Machine:       "the platform token vouches for the key that signs the key token",
		Unsigned: "the type of the collection and the names of its members: tokens are found by them, so another " +
			"name is refused",
		Read:   readTokens,
		Policy: Listed(tokenPolicy{}),
		Open: func(_ context.Context, o DeviceOptions) (negotiation.Attester, error) {
			var f attesterFile
			if err := o.Section.Decode(&f); err != nil {
				return nil, err
			}
			s, err := f.software(o.Section)
			if err == nil && o.Clock != nil {
				s.Clock = o.Clock
			}
			return s, err
		},
		Emulate: func(_ context.Context, o EmulatorOptions) (*Emulation, error) {
			s, v := Demo(o.Seed, o.Clock)
			return &Emulation{Attester: s, Device: s.file(nil), Endorsements: v.Endorsements, References: v.References}, nil
		},
	}
}

// readTokens reads the tokens of the software root of trust.
func readTokens(c *CMW) (*Reading, *attls.Error) {
	t, err := parseTokens(c)
	if err != nil {
		return nil, err
	}
	return t.reading(c.Value), nil
}

// Listed is the function Policy of a format that is judged by endorsements and
// references, and has no section.
func Listed(p Policy) func(*Section) (Policy, error) {
	return func(s *Section) (Policy, error) {
		if s != nil {
			return nil, nil
		}
		return p, nil
	}
}

// prototypeFormat is the row of the 2022 prototype's tokens.
func prototypeFormat() Format {
	return Format{
		Name:   "prototype",
		Title:  "key and platform tokens of the 2022 prototype, which measure nothing",
		Source: rulePrototype,
		Types: []Type{{ContentFormat: PrototypeFormat.ContentFormat, Bare: true,
			Note: "private; not in CoAP's registry"}},
		Mine:          func(b []byte) bool { return len(b) > 0 && b[0] == prototypeFirst },
		Challenge:     ChallengeField{Name: "eat_nonce", Rule: rulePrototype, Max: maxNonce},
		Key:           KeyNaming{Named: true, How: "the claim cnf of the key token, a bare point"},
		Says:          []string{"instance-identity", "executables", "hardware"},
		FurtherClaims: true,
		Read: func(c *CMW) (*Reading, *attls.Error) {
			t, err := parsePrototype(c.Value)
			if err != nil {
				return nil, err
			}
			return t.reading(c.Value), nil
		},
		Policy: Listed(tokenPolicy{}),
	}
}

func (t *tokens) reading(value []byte) *Reading {
	return &Reading{
		Challenges: []Challenge{{Values: t.nonces}},
		Key:        t.key,
		Claim:      func(name string) ([]byte, *attls.Error) { return t.kat.claims.Octets(name) },
		Instance:   t.platform.UEID,
		Platform:   t.platform,
		Critical:   t.critical(),
		Fields:     func() []Field { return t.fields(value) },
		Statement:  t,
	}
}

// tokenPolicy judges the software root of trust's tokens by Endorsements and
// References.
type tokenPolicy struct{}

// Judge runs the checks of draft-bft-rats-kat: the platform token's signature, the
// link between the tokens, the platform's claims, the key token's signature, and what
// restricts the tokens.
func (tokenPolicy) Judge(_ context.Context, a *Appraisal) {
	t := a.Reading.Statement.(*tokens)
	a.Vector.InstanceIdentity = ear.CryptoValidationFailedClaim
	endorsements, err := a.tokenSigned(t)
	if a.Check(CheckPlatform, err, "the platform key is endorsed") {
		a.Vector.InstanceIdentity = ear.TrustworthyInstanceClaim
		a.Vector.Hardware = ear.GenuineHardwareClaim
	}
	if t.kak != nil {
		a.Check(CheckLinkage, linkage(t), "the platform token vouches for the key that signed the key token")
	}
	a.Vector.Executables = ear.ContraindicatedRuntimeClaim
	if a.Check(CheckReference, a.Referenced(&t.platform, endorsements), "a reference value matches") {
		a.Vector.Executables = ear.ApprovedRuntimeClaim
	}
	if t.kak != nil {
		a.Check(CheckKeySigned, keySignature(t), "the key token verifies under kak-pub")
	}
	a.Check(CheckFreshness, a.restrictions(t), "no date, audience or intended use is against it")
	a.Ends(t.expiry(time.Time{}))
}

// tokenSigned finds the Endorsements whose key signed the platform token.
func (a *Appraisal) tokenSigned(t *tokens) ([]*Endorsement, *attls.Error) {
	if _, err := t.pat.algorithm(); err != nil {
		return nil, refused(attls.FailAppraisal, ruleHeader, "the platform token: %v", err)
	}
	return a.Endorsed(&t.platform, t.verifies)
}

// restrictions checks what the tokens say of when, for whom and for what they may be
// used.
func (a *Appraisal) restrictions(t *tokens) *attls.Error {
	for i := range t.limits {
		if err := a.verifier.allows(&t.limits[i], a.At, a.Skew); err != nil {
			return err
		}
	}
	return nil
}

// linkage looks for the hash of kak-pub, over its octets as they are in the KAT,
// among the PAT's nonces. No text names the hash; SHA-256 gives the example of
// draft-bft-rats-kat. The prototype hashes the attested key instead.
func linkage(t *tokens) *attls.Error {
	want := sha256.Sum256(t.linked)
	if !contains(t.links, want[:]) {
		return refused(attls.FailAppraisal, ruleKAT, "the platform token's eat_nonce is %s, the hash of the key %x",
			nonceText(t.links), want)
	}
	return nil
}

func keySignature(t *tokens) *attls.Error {
	alg, err := t.kat.algorithm()
	if err == nil && t.kakAlgorithm != 0 && algorithms[alg].library != algorithms[t.kakAlgorithm].library {
		err = fmt.Errorf("it is signed with %s, and kak-pub is for %s only", algorithmName(alg),
			algorithmName(t.kakAlgorithm))
	}
	if err == nil {
		err = t.kat.verify(t.kak)
	}
	if err != nil {
		return refused(attls.FailAppraisal, ruleKAT, "the key token does not verify under kak-pub: %v", err)
	}
	return nil
}
