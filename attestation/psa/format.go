// Package psa makes, reads and judges attestation tokens of Arm's Platform Security
// Architecture: those of RFC 9783, and those of the profiles before it.
package psa

import (
	"fmt"
	"slices"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"

	"github.com/veraison/psatoken"
)

// Name is that of the format in the table.
const Name = "psa"

// The profiles of the tokens, as the tokens name them.
const (
	ProfileTFM     = "tag:psacertified.org,2023:psa#tfm" // RFC 9783
	ProfilePSA2    = psatoken.Profile2Name               // drafts of RFC 9783
	ProfilePSAIoT1 = psatoken.Profile1Name               // PSA Attestation API 1.0
)

// The media types of the tokens (RFC 9783 section 11.2, and those before it).
const (
	mediaTypeTFM    = `application/eat+cwt; eat_profile="tag:psacertified.org,2023:psa#tfm"`
	mediaTypeLegacy = `application/eat+cwt; eat_profile="tag:psacertified.org,2019:psa#legacy"`
	mediaTypePSA2   = `application/eat-cwt; profile="http://arm.com/psa/2.0.0"`
	mediaTypeToken  = "application/psa-attestation-token"
)

// Content formats of RFC 9783 section 11.3.
const (
	formatTFM    = 10003
	formatLegacy = 10004
)

const rule = "RFC 9783"

// sign1Tag is the tag of a COSE_Sign1 (RFC 9052 section 4.2) as an octet.
const sign1Tag = 0xd2

// types lists the types, the preferred one first, with the profiles that tokens of
// each may have.
var types = []struct {
	attestation.Type
	profiles []string
}{
	{attestation.Type{MediaType: mediaTypeTFM, ContentFormat: formatTFM}, []string{ProfileTFM}},
	{attestation.Type{MediaType: mediaTypeLegacy, ContentFormat: formatLegacy}, []string{ProfilePSAIoT1}},
	{attestation.Type{MediaType: mediaTypePSA2, Note: "not registered; drafts of RFC 9783 and Veraison use it"},
		[]string{ProfilePSA2}},
	{attestation.Type{MediaType: mediaTypeToken, Note: "not registered; drafts of RFC 9783 and Veraison use it"},
		[]string{ProfilePSA2, ProfilePSAIoT1}},
}

// Format is the row of PSA.
func Format() attestation.Format {
	f := attestation.Format{
		Name:      Name,
		Title:     "Arm PSA: initial attestation token",
		Source:    rule,
		Challenge: attestation.ChallengeField{Name: "psa-nonce", Rule: rule + " 4.1.1", Sizes: []int{32, 48, 64}},
		Key:       attestation.KeyNaming{How: "a PSA token has no claim for a key"},
		Says:      []string{"instance-identity", "configuration", "executables", "hardware"},
		Machine:   "", // nothing of other formats on the machine is in a token
		Read:      read,
		Policy:    policyOf,
		Open:      open,
		Emulate:   emulate,
	}
	for _, t := range types {
		f.Types = append(f.Types, t.Type)
	}
	return f
}

// token is a token taken apart.
type token struct {
	claims  psatoken.IClaims
	message *attestation.Token
	profile string

	nonce, instance, implementation []byte
	lifecycle                       uint16
	components                      []psatoken.ISwComponent
}

// read reads a COSE_Sign1 with one claims set of a profile that belongs to the type.
func read(c *attestation.CMW) (*attestation.Reading, *attls.Error) {
	if c.IsCollection() {
		return nil, attestation.Malformed(-1, rule, "a PSA token is one record, not a collection")
	}
	t := &token{}
	if len(c.Value) == 0 || c.Value[0] != sign1Tag {
		return nil, attestation.Malformed(0, rule+" 5.2",
			"a COSE_Sign1 with its tag (18) is expected; COSE_Mac0 is not supported")
	}
	var err *attls.Error
	if t.message, err = attestation.ParseToken(c.Value); err != nil {
		return nil, err
	}
	if err := t.decode(profilesOf(c)); err != nil {
		return nil, err
	}
	return &attestation.Reading{
		Challenges: []attestation.Challenge{{Values: [][]byte{t.nonce}}},
		Instance:   t.instance,
		Critical:   t.message.Critical(),
		Platform:   attestation.Platform{UEID: t.instance},
		Fields:     func() []attestation.Field { return t.fields(c.Value) },
		Statement:  t,
	}, nil
}

// profilesOf are the profiles that a token of the CMW's type may have.
func profilesOf(c *attestation.CMW) []string {
	for _, t := range types {
		for _, form := range t.Forms() {
			if attestation.Matches(c.Format, form, profile.MatchEqual) == nil {
				return t.profiles
			}
		}
	}
	return []string{ProfileTFM, ProfilePSA2, ProfilePSAIoT1} // a private name of the type
}

// decode reads the claims. The profile is what the token says it is; it must be one
// of those that the type announced.
func (t *token) decode(allowed []string) *attls.Error {
	raw, payload, err := t.message.Claims(), t.message.Payload(), (*attls.Error)(nil)
	if t.profile, err = profileOf(raw); err != nil {
		return err
	}
	if t.profile != ProfileTFM && t.profile != ProfilePSA2 && t.profile != ProfilePSAIoT1 {
		return attestation.Malformed(-1, rule, "a token of the unknown profile %q", t.profile).Under("eat_profile")
	}
	if !slices.Contains(allowed, t.profile) {
		return attls.Errorf(attls.Violation, attls.FailFormatMismatch,
			"the type announces a token of the profile %s, this one has %s", allowed[0], t.profile).
			Under("eat_profile").By(rule + " 4.5.3")
	}
	t.claims = newClaims(t.profile)
	if err := t.claims.(unmarshaler).UnmarshalCBOR(payload); err != nil {
		return attestation.Malformed(-1, rule, "%v", err).Under("payload")
	}
	if err := KnownState(raw, keyLifecycle, keyLifecycleOfIoT); err != nil {
		return err
	}
	if err := t.claims.Validate(); err != nil {
		return attestation.Malformed(-1, rule+" 4", "%v", err).Under("payload")
	}
	if t.profile == ProfileTFM {
		if err := bootSeed(raw); err != nil {
			return err
		}
	}
	return t.take()
}

// KnownState refuses a security lifecycle that is a number of 16 bits and none of the
// states (RFC 9783 section 4.3.1): the octets are sound, and no policy can accept what
// they say. The failure is attestation.appraisal_failed. What is missing or of another
// type is left to the reader.
func KnownState(raw attestation.Claims, keys ...int64) *attls.Error {
	for _, key := range keys {
		var v uint16
		if there, err := raw.Read(key, &v); there && err == nil && !psatoken.LifeCycleToState(v).IsValid() {
			return attestation.Refuse(rule+" 4.3.1", "the security lifecycle is 0x%04x, which is none of the states", v)
		}
	}
	return nil
}

type unmarshaler interface{ UnmarshalCBOR([]byte) error }

// take keeps the mandatory claims.
func (t *token) take() *attls.Error {
	var errs [5]error
	t.nonce, errs[0] = t.claims.GetNonce()
	t.instance, errs[1] = t.claims.GetInstID()
	t.implementation, errs[2] = t.claims.GetImplID()
	t.lifecycle, errs[3] = t.claims.GetSecurityLifeCycle()
	t.components, errs[4] = t.claims.GetSoftwareComponents()
	for _, err := range errs {
		if err = psatoken.FilterError(nil, err); err != nil {
			return attestation.Malformed(-1, rule+" 4", "%v", err).Under("payload")
		}
	}
	return nil
}

// Keys of the claims that are read here.
const (
	keyProfile      = int64(265)
	keyProfileOfIoT = int64(-75000)
	keyBootSeed     = int64(268)

	keyLifecycle      = int64(2395)
	keyLifecycleOfIoT = int64(-75002)
)

// profileOf is the profile that a claims set names. In PSA_IOT_PROFILE_1 the claim
// may be missing.
func profileOf(raw attestation.Claims) (string, *attls.Error) {
	var name string
	for _, key := range []int64{keyProfile, keyProfileOfIoT} {
		if there, err := raw.Read(key, &name); there || err != nil {
			return name, err
		}
	}
	return ProfilePSAIoT1, nil
}

// bootSeed checks the claim that RFC 9783 takes from RFC 9711 and that the library
// does not know.
func bootSeed(raw attestation.Claims) *attls.Error {
	if raw[keyBootSeed] == nil {
		return nil
	}
	seed, err := raw.Octets(keyBootSeed)
	if err != nil {
		return err
	}
	if n := len(seed); n < 8 || n > 32 {
		return attestation.Malformed(-1, rule+" 4.3.2", "%d octets; 8 to 32 are allowed", n).Under("psa-boot-seed")
	}
	return nil
}

// newClaims is an empty claims set of a profile.
func newClaims(profile string) psatoken.IClaims {
	components := &psatoken.SwComponents[*psatoken.SwComponent]{}
	if profile == ProfilePSAIoT1 {
		return &psatoken.P1Claims{SwComponents: components, CanonicalProfile: profile}
	}
	return &psatoken.P2Claims{SwComponents: components, CanonicalProfile: profile}
}

// names are those of the claims in RFC 9783 section 4 (and, negative, in
// PSA_IOT_PROFILE_1).
var names = map[any]string{
	int64(10): "psa-nonce", int64(256): "psa-instance-id", keyProfile: "eat_profile", keyBootSeed: "psa-boot-seed",
	int64(2394): "psa-client-id", int64(2395): "psa-security-lifecycle", int64(2396): "psa-implementation-id",
	int64(2397): "psa-boot-seed", int64(2398): "psa-certification-reference", int64(2399): "psa-software-components",
	int64(2400):     "psa-verification-service-indicator",
	keyProfileOfIoT: "psa-profile", int64(-75001): "psa-client-id", int64(-75002): "psa-security-lifecycle",
	int64(-75003): "psa-implementation-id", int64(-75004): "psa-boot-seed", int64(-75005): "psa-certification-reference",
	int64(-75006): "psa-software-components", int64(-75007): "psa-no-software-measurements", int64(-75008): "psa-nonce",
	int64(-75009): "psa-instance-id", int64(-75010): "psa-verification-service-indicator",
}

// fields names the parts of the token.
func (t *token) fields(value []byte) []attestation.Field {
	var list []attestation.Field
	for _, f := range attestation.TokenFields(t.message, value, 0, "", names) {
		switch f.Name {
		case "psa-security-lifecycle":
			f.Text = fmt.Sprintf("%s (0x%04x)", lifecycles.Name(t.lifecycle), t.lifecycle)
		case "psa-software-components":
			f.Text = fmt.Sprintf("%d components", len(t.components))
			list = append(append(list, f), ComponentFields(f.Name, t.components)...)
			continue
		}
		list = append(list, f)
	}
	return list
}
