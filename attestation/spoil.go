package attestation

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/veraison/ear"
	"github.com/veraison/eat"
	"github.com/veraison/go-cose"
)

// Spoilage is one way in which a payload is bad, and what a sound relying party
// makes of it.
type Spoilage struct {
	Kind    string
	Text    string
	Failure attls.Failure
	Models  []profile.Model // in which it is possible
	// FailureAlone, where set, is the Failure of a credential that is the
	// attestation alone: there the relying party has no other key to compare.
	FailureAlone attls.Failure
	// General is whether Evidence of any root of trust can be bad in this way, by SpoilAny.
	General bool
	// Needs says what a profile must have for the spoilage to show; empty: nothing.
	Needs string

	request func(*spoilt, *negotiation.EvidenceRequest) error
	payload func(*spoilt, []byte) ([]byte, error)
}

var (
	bothModels   = []profile.Model{profile.ModelEvidence, profile.ModelResults}
	evidenceOnly = bothModels[:1]
	resultsOnly  = bothModels[1:]
)

// Spoilages lists every kind that Spoil knows.
var Spoilages = []Spoilage{
	{Kind: "binder", Text: "the nonce is another than the challenge", Failure: attls.FailBinderMismatch, General: true,
		Models: bothModels, Needs: "a challenge", request: spoilChallenge},
	{Kind: "key", Text: "another key is attested than the one in use", Failure: attls.FailTIKMismatch, General: true,
		FailureAlone: attls.FailSignature, Models: bothModels, request: spoilKey},
	{Kind: "claim", Text: "a further claim has another value", Failure: attls.FailTIKMismatch, Models: evidenceOnly,
		Needs: "claims besides the challenge", request: spoilClaims},
	{Kind: "signature", Text: "one bit of a signature is flipped", Failure: attls.FailAppraisal, Models: bothModels,
		payload: spoilSignature},
	{Kind: "endorsement", Text: "a key that nobody endorses signs the platform token", Failure: attls.FailAppraisal,
		Models: bothModels, request: spoilPlatformKey},
	{Kind: "reference-value", Text: "a component has a measurement that no reference value lists",
		Failure: attls.FailAppraisal, Models: bothModels, request: spoilMeasurement},
	{Kind: "debug", Text: "the platform says that it can be debugged", Failure: attls.FailAppraisal, Models: bothModels,
		request: spoilDebug},
	{Kind: "profile", Text: "eat_profile names another profile", Failure: attls.FailAppraisal, Models: bothModels,
		request: spoilPlatformProfile, payload: spoilResultProfile},
	{Kind: "expired", Text: "the tokens have expired, or the result is older than it may be", Failure: attls.FailAppraisal,
		Models: bothModels, request: spoilLifetime, payload: spoilDate},
	{Kind: "critical", Text: "a signed header lists a parameter as critical that nobody knows",
		Failure: attls.FailAppraisal, Models: bothModels, request: spoilCritical, payload: spoilResultCritical},
	{Kind: "algorithm", Text: "a signed header names another algorithm than the signature's", Failure: attls.FailAppraisal,
		Models: bothModels, request: spoilAlgorithm, payload: spoilResultAlgorithm},
	{Kind: "vector", Text: "the result affirms what its trustworthiness vector denies", Failure: attls.FailAppraisal,
		Models: resultsOnly, payload: spoilVector},
	{Kind: "status", Text: "the result is signed and not affirming", Failure: attls.FailAppraisal, Models: resultsOnly,
		payload: spoilStatus},
	{Kind: "no-key", Text: "the result attests no key", Failure: attls.FailTIKMismatch, Models: resultsOnly,
		payload: spoilResultKey},
	{Kind: "verifier", Text: "another verifier issued the result", Failure: attls.FailVerifierMismatch,
		Models: resultsOnly, payload: spoilIssuer},
	{
		Kind:    "format",
		Text:    "the CMW holds another type than was negotiated",
		Failure: attls.FailFormatMismatch,
		General: true,
		Models:  bothModels,
		Needs:   "that the types are compared",
		payload: spoilFormat,
	},
	{
		Kind:    "indicator",
		Text:    "ind says that the CMW holds the other model",
		Failure: attls.FailFormatMismatch,
		General: true,
		Models:  bothModels,
		payload: spoilIndicator,
	},
	{
		Kind:    "truncated",
		Text:    "the last octet is missing",
		Failure: attls.FailMalformedCMW,
		General: true,
		Models:  bothModels,
		payload: spoilEnd,
	},
	{
		Kind:    "trailing",
		Text:    "an octet follows the CMW",
		Failure: attls.FailMalformedCMW,
		General: true,
		Models:  bothModels,
		payload: spoilTrailing,
	},
	{
		Kind:    "unclosed",
		Text:    "an indefinite length is never closed",
		Failure: attls.FailMalformedCMW,
		General: true,
		Models:  bothModels,
		payload: spoilHead,
	},
	{
		Kind:    "huge",
		Text:    "the payload is one octet longer than a Verifier takes",
		Failure: attls.FailMalformedCMW,
		General: true,
		Models:  bothModels,
		payload: spoilSize,
	},
	{Kind: "empty", Text: "there is no payload; an engine refuses to send it", Failure: attls.FailMalformedCMW,
		Models: bothModels, payload: spoilAll},
}

// Spoil makes an Attester whose payloads are bad in one way. The root of trust
// keeps its offers; Attest fails where the kind is impossible, for example a
// result that expired where Evidence was negotiated.
func Spoil(kind string, s *Software) (negotiation.Attester, error) {
	i := slices.IndexFunc(Spoilages, func(x Spoilage) bool { return x.Kind == kind })
	if i < 0 {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "there is no bad Evidence of kind %q", kind)
	}
	return &spoiler{s, &Spoilages[i]}, nil
}

// SpoilAny makes an Attester of any root of trust whose Evidence, or the results that it
// relays, are bad in one of the general ways. What it cannot be made to do, such as to
// attest a key that Evidence of the format does not name, is an error.
func SpoilAny(kind string, f *Format, a negotiation.Attester) (negotiation.Attester, error) {
	i := slices.IndexFunc(Spoilages, func(x Spoilage) bool { return x.Kind == kind && x.General })
	if i < 0 {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration,
			"there is no bad Evidence of kind %q for any root of trust", kind)
	}
	if kind == "key" && (!f.Key.Named || KeysOf(a) != nil) {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration,
			"%s cannot be made to attest another key than that of the handshake", f.Name)
	}
	return &generalSpoiler{a, &Spoilages[i]}, nil
}

// generalSpoiler makes bad Evidence of any root of trust.
type generalSpoiler struct {
	negotiation.Attester
	how *Spoilage
}

// Attest implements negotiation.Attester.
func (s *generalSpoiler) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	bad, request := &spoilt{model: r.Scheme.Model, verifier: r.Scheme.Verifier}, *r
	if s.how.request != nil {
		if r.SPKI == nil && s.how.Kind == "key" {
			return nil, unavailable(fmt.Errorf("the key of a credential that is the attestation alone is not swapped"))
		}
		if err := s.how.request(bad, &request); err != nil {
			return nil, unavailable(err)
		}
	}
	ev, err := s.Attester.Attest(ctx, &request)
	if err != nil || s.how.payload == nil {
		return ev, err
	}
	if ev.CMW, err = s.how.payload(bad, ev.CMW); err != nil {
		return nil, unavailable(fmt.Errorf("bad Evidence of kind %q: %w", s.how.Kind, err))
	}
	return ev, nil
}

type spoiler struct {
	*Software
	how *Spoilage
}

// spoilt is a root of trust on its way to one bad payload.
type spoilt struct {
	Software
	model    profile.Model
	verifier []byte
	tokens   Tokens // of Evidence
}

func (s *spoiler) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	if !slices.Contains(s.how.Models, r.Scheme.Model) {
		return nil, unavailable(fmt.Errorf("bad Evidence of kind %q is impossible in the model %v", s.how.Kind,
			r.Scheme.Model))
	}
	bad := &spoilt{Software: *s.Software, model: r.Scheme.Model, verifier: r.Scheme.Verifier}
	if o, err := s.offer(r.Scheme.Format); err == nil && bad.model == profile.ModelEvidence {
		bad.tokens = o.Tokens
	}
	request := *r
	if s.how.request != nil {
		if err := s.how.request(bad, &request); err != nil {
			return nil, unavailable(err)
		}
	}
	ev, err := bad.Software.Attest(ctx, &request)
	if err != nil || s.how.payload == nil {
		return ev, err
	}
	if ev.CMW, err = s.how.payload(bad, ev.CMW); err != nil {
		return nil, unavailable(fmt.Errorf("bad Evidence of kind %q: %w", s.how.Kind, err))
	}
	return ev, nil
}

// flipped is a copy with one bit changed.
func flipped(b []byte) []byte {
	out := bytes.Clone(b)
	if len(out) > 0 {
		out[len(out)-1] ^= 1
	}
	return out
}

func spoilChallenge(_ *spoilt, r *negotiation.EvidenceRequest) error {
	r.Challenge = flipped(r.Challenge)
	return nil
}

// spoilKey attests a key of its own. Where the Attester supplies the key it
// hands out the signer of another one than it attests.
func spoilKey(s *spoilt, r *negotiation.EvidenceRequest) error {
	other, err := deriveKey(r.SPKI, "another key")
	if err != nil {
		return err
	}
	if r.SPKI != nil {
		r.SPKI, err = spkiOf(other.Public())
		return err
	}
	sound := s.Software
	s.NewKey = func(attester attls.Role) (crypto.Signer, error) {
		key, err := sound.newKey(attester)
		return swapped{key, other}, err
	}
	return nil
}

// swapped says it is one key and signs with another.
type swapped struct {
	crypto.Signer
	other crypto.Signer
}

func (s swapped) Public() crypto.PublicKey { return s.other.Public() }

func spoilClaims(_ *spoilt, r *negotiation.EvidenceRequest) error {
	if len(r.Claims) == 0 {
		return fmt.Errorf("the profile wants no further claims")
	}
	r.Claims = slices.Clone(r.Claims)
	r.Claims[0].Value = flipped(r.Claims[0].Value)
	return nil
}

func spoilPlatformKey(s *spoilt, _ *negotiation.EvidenceRequest) (err error) {
	s.PlatformKey, err = deriveKey(nil, "a platform key that nobody endorses")
	return err
}

// spoilMeasurement changes a digest; the prototype's token has only the device
// that a reference value can list.
func spoilMeasurement(s *spoilt, _ *negotiation.EvidenceRequest) error {
	if s.tokens == Prototype {
		s.Platform.UEID = flipped(s.Platform.UEID)
		return nil
	}
	if len(s.Platform.Components) == 0 {
		return fmt.Errorf("the platform has no components")
	}
	s.Platform.Components = slices.Clone(s.Platform.Components)
	s.Platform.Components[0].Digest = flipped(s.Platform.Components[0].Digest)
	return nil
}

func spoilDebug(s *spoilt, _ *negotiation.EvidenceRequest) error {
	s.Platform.Debug = eat.DebugNotDisabled
	return s.hasClaims()
}

func spoilPlatformProfile(s *spoilt, _ *negotiation.EvidenceRequest) error {
	if s.model == profile.ModelEvidence {
		s.Platform.Profile = "tag:attls.example,2026:another-profile"
	}
	return s.hasClaims()
}

func (s *spoilt) hasClaims() error {
	if s.tokens == Prototype {
		return fmt.Errorf("the prototype's tokens have no such claim")
	}
	return nil
}

// edit changes the records of a CMW in place.
func edit(b []byte, change func(*CMW) error) ([]byte, error) {
	c, failure := ParseCMW(b, Limits{})
	if failure != nil {
		return nil, failure
	}
	records := []*CMW{c}
	if c.Members != nil {
		records = nil
		for _, m := range c.Members {
			records = append(records, m.CMW)
		}
	}
	for _, r := range records {
		if err := change(r); err != nil {
			return nil, err
		}
	}
	return c.Encode()
}

// spoilSignature flips a bit of every token's signature: the last octet of a
// COSE_Sign1, the first character of the third part of a JWT.
func spoilSignature(s *spoilt, b []byte) ([]byte, error) {
	if s.tokens == Prototype {
		return flipped(b), nil
	}
	return edit(b, func(r *CMW) error {
		if s.model == profile.ModelEvidence {
			r.Value = flipped(r.Value)
			return nil
		}
		at := bytes.LastIndexByte(r.Value, '.') + 1
		if at == 0 || at == len(r.Value) {
			return fmt.Errorf("the result is not a JWT")
		}
		r.Value = bytes.Clone(r.Value)
		r.Value[at] ^= 1
		return nil
	})
}

func spoilFormat(_ *spoilt, b []byte) ([]byte, error) {
	return edit(b, func(r *CMW) error { r.Format = profile.Format{MediaType: "application/octet-stream"}; return nil })
}

func spoilIndicator(s *spoilt, b []byte) ([]byte, error) {
	ind := uint32(IndAttestationResults)
	if s.model == profile.ModelResults {
		ind = IndEvidence
	}
	return edit(b, func(r *CMW) error { r.Indicator = ind; return nil })
}

func spoilEnd(_ *spoilt, b []byte) ([]byte, error)      { return b[:len(b)-1], nil }
func spoilTrailing(_ *spoilt, b []byte) ([]byte, error) { return append(bytes.Clone(b), 0), nil }
func spoilAll(*spoilt, []byte) ([]byte, error)          { return nil, nil }

// spoilHead makes the outermost length indefinite and writes no break.
func spoilHead(_ *spoilt, b []byte) ([]byte, error) {
	if m := b[0] >> 5; m != majorArray && m != majorMap {
		return nil, fmt.Errorf("the payload does not begin with a CBOR array or map")
	}
	return append([]byte{b[0]&0xe0 | 31}, b[1:]...), nil
}

func spoilSize(s *spoilt, b []byte) ([]byte, error) {
	if s.tokens == Prototype {
		return append(bytes.Clone(b), make([]byte, defaultSize+1-len(b))...), nil
	}
	grown := false // one record is enough
	return edit(b, func(r *CMW) error {
		if !grown {
			r.Value = append(bytes.Clone(r.Value), make([]byte, defaultSize+1-len(b))...)
		}
		grown = true
		return nil
	})
}

// reissue changes the claims of a result and has its Verifier sign it again.
func (s *spoilt) reissue(b []byte, change func(map[string]any)) ([]byte, error) {
	return s.reissueUnder(b, nil, change)
}

// reissueUnder changes members of the header as well; what the header says then
// need not be true.
func (s *spoilt) reissueUnder(b []byte, header map[string]any, change func(map[string]any)) ([]byte, error) {
	i := slices.IndexFunc(s.Relays, func(r Relay) bool { return bytes.Equal(r.Identity, s.verifier) })
	v, ok := s.Relays[i].Verifier.(*Verifier)
	if !ok {
		return nil, fmt.Errorf("only results of the embedded Verifier can be signed again")
	}
	return edit(b, func(r *CMW) error {
		payload, err := verifyJWT(r.Value, v.Key.Public())
		if err != nil {
			return err
		}
		var m map[string]any
		if err := json.Unmarshal(payload, &m); err != nil {
			return err
		}
		change(m)
		if payload, err = json.Marshal(m); err != nil {
			return err
		}
		signed := map[string]any{"alg": jwa.ES256().String()}
		maps.Copy(signed, header)
		r.Value, err = signJWT(v.Key, must(json.Marshal(signed)), payload)
		return err
	})
}

// unknownParameter is a header parameter that nobody knows.
const unknownParameter = "attls-unknown"

func spoilCritical(s *spoilt, _ *negotiation.EvidenceRequest) error {
	if s.model == profile.ModelEvidence {
		s.header = claims{}
		s.header.set(coseHeaderCrit, []string{unknownParameter})
		s.header.set(unknownParameter, true)
	}
	return nil
}

func spoilResultCritical(s *spoilt, b []byte) ([]byte, error) {
	if s.model == profile.ModelEvidence {
		return b, nil
	}
	return s.reissueUnder(b, map[string]any{"crit": []string{unknownParameter}, unknownParameter: true},
		func(map[string]any) {})
}

func spoilAlgorithm(s *spoilt, _ *negotiation.EvidenceRequest) error {
	if s.model == profile.ModelEvidence {
		s.header = claims{}
		s.header.set(coseHeaderAlg, int64(cose.AlgorithmES384))
	}
	return nil
}

func spoilResultAlgorithm(s *spoilt, b []byte) ([]byte, error) {
	if s.model == profile.ModelEvidence {
		return b, nil
	}
	return s.reissueUnder(b, map[string]any{"alg": jwa.ES384().String()}, func(map[string]any) {})
}

// spoilLifetime makes tokens that expired a year ago.
func spoilLifetime(s *spoilt, _ *negotiation.EvidenceRequest) error {
	if s.model == profile.ModelEvidence {
		s.Lifetime = -365 * 24 * time.Hour
		if s.Clock == nil {
			s.Clock = time.Now
		}
		return s.hasClaims()
	}
	return nil
}

func spoilVector(s *spoilt, b []byte) ([]byte, error) {
	return s.reissue(b, eachAppraisal(func(a map[string]any) {
		a["ear.trustworthiness-vector"] = map[string]any{"executables": ear.ContraindicatedRuntimeClaim}
	}))
}

func spoilResultProfile(s *spoilt, b []byte) ([]byte, error) {
	if s.model == profile.ModelEvidence {
		return b, nil
	}
	return s.reissue(b, func(m map[string]any) { m["eat_profile"] = ear.EatTrusteeProfile })
}

func spoilDate(s *spoilt, b []byte) ([]byte, error) {
	if s.model == profile.ModelEvidence {
		return b, nil
	}
	return s.reissue(b, func(m map[string]any) {
		issued, _ := m["iat"].(float64)
		m["iat"] = int64(issued) - int64((10 * 365 * 24 * time.Hour).Seconds())
	})
}

func spoilIssuer(s *spoilt, b []byte) ([]byte, error) {
	return s.reissue(b, func(m map[string]any) {
		m["ear.verifier-id"] = map[string]any{"developer": "another-verifier.example", "build": "unknown"}
	})
}

func spoilStatus(s *spoilt, b []byte) ([]byte, error) {
	return s.reissue(b, eachAppraisal(func(a map[string]any) { a["ear.status"] = "contraindicated" }))
}

func spoilResultKey(s *spoilt, b []byte) ([]byte, error) {
	return s.reissue(b, eachAppraisal(func(a map[string]any) { a["ear.veraison.key-attestation"] = map[string]any{} }))
}

func eachAppraisal(change func(map[string]any)) func(map[string]any) {
	return func(m map[string]any) {
		submods, _ := m["submods"].(map[string]any)
		for _, s := range submods {
			if a, ok := s.(map[string]any); ok {
				change(a)
			}
		}
	}
}
