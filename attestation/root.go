package attestation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// Maker makes the Evidence of one root of trust: a device, or an emulator of one. It
// must be safe for concurrent use.
type Maker interface {
	// Make returns the value of a CMW record.
	Make(ctx context.Context, q *Question) ([]byte, error)
}

// KeyMaker is a Maker that holds the keys of handshakes itself, as a TPM does. Other
// Evidence is about keys in memory.
type KeyMaker interface {
	Maker
	// NewKey makes the key of a credential that is the attestation alone.
	NewKey(ctx context.Context, attester attls.Role) (crypto.Signer, error)
}

// Question is what a Maker is asked.
type Question struct {
	// Type is that of the CMW record.
	Type profile.Format
	// Field is the whole challenge field, padding included.
	Field []byte
	// Challenge is what the field was made of; nil where the profile binds nothing.
	Challenge []byte
	// SPKI is the key of the handshake as DER SubjectPublicKeyInfo.
	SPKI []byte
	// Claims are further values that the Evidence must carry; none where the format
	// does not take any.
	Claims   []negotiation.ClaimValue
	Attester attls.Role
}

// Root is a root of trust as an Attester: a Maker, whose Evidence it wraps in a CMW.
// It is immutable after its first use.
type Root struct {
	Format *Format
	Maker  Maker
	// Types limits the types that are offered; nil: all of the Format.
	Types []Type
	// Form is that of the CMW: CBORRecord, CBORTag or JSONRecord.
	Form Form
	// Relays lists the Verifiers whose results can be relayed.
	Relays []Relay
	// NewKey makes the key of a credential that is the attestation alone, where the
	// Maker does not; nil: a fresh P-256 key each time.
	NewKey func(attester attls.Role) (crypto.Signer, error)
	// Size is the length that the challenge should have where the profile can derive
	// it; 0: what the Format wants.
	Size int
}

var _ negotiation.Attester = (*Root)(nil)

// Schemes lists the types of Evidence in their order, then results by Relays. Without a
// Format and a Maker there are none.
func (r *Root) Schemes() []negotiation.Scheme {
	if r.lacks() != nil {
		return nil
	}
	return append(r.types().Schemes(), relayed(r.Relays)...)
}

// types is the format with the types that are offered.
func (r *Root) types() *Format {
	if r.Types == nil {
		return r.Format
	}
	f := *r.Format
	f.Types = r.Types
	return &f
}

func relayed(relays []Relay) (list []negotiation.Scheme) {
	for _, x := range relays {
		list = append(list, negotiation.Scheme{Model: profile.ModelResults, Verifier: x.Identity})
	}
	return list
}

// ChallengeSize is the length that the challenge field wants.
func (r *Root) ChallengeSize() int {
	if r.Size != 0 || r.Format == nil {
		return r.Size
	}
	return r.Format.Challenge.Wants
}

// lacks says which field is missing, without which a Root makes nothing.
func (r *Root) lacks() error {
	switch {
	case r.Format == nil:
		return errors.New("the Root has no Format")
	case r.Maker == nil:
		return errors.New("the Root has no Maker")
	}
	return nil
}

// Attest makes Evidence, or has a Verifier make the result to relay. Errors are
// *attls.Error: FailBinderUndefined for a challenge that has no place in the field,
// FailConfiguration for a credential that the Evidence cannot be, and
// FailAttesterUnavailable for the rest.
func (r *Root) Attest(ctx context.Context, q *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	if err := errors.Join(ctx.Err(), r.lacks()); err != nil {
		return nil, unavailable(err)
	}
	out := &negotiation.Evidence{}
	spki := q.SPKI
	if spki == nil {
		if !r.Format.Key.Named && q.Scheme.Model == profile.ModelEvidence {
			return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "%s", r.Format.keyless())
		}
		key, err := r.newKey(ctx, q.Attester)
		if err != nil {
			return nil, unavailable(err)
		}
		if spki, err = spkiOf(key.Public()); err != nil {
			return nil, unavailable(err)
		}
		out.Signer, out.SPKI = key, spki
	}
	var err error
	if q.Scheme.Model == profile.ModelResults {
		out.CMW, err = relay(ctx, r.Relays, r.types().Schemes(), !r.Format.Key.Named, q, spki, r.evidence)
	} else {
		out.CMW, err = r.evidence(ctx, q, spki)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return out, nil
}

// keyless says why the format cannot be the whole credential.
func (f *Format) keyless() string {
	return fmt.Sprintf(
		"%s cannot be the whole credential: its Evidence names no key (%s), so nothing would tell which key verifies "+
			"CertificateVerify", f.Name, f.Key.How)
}

func (r *Root) newKey(ctx context.Context, attester attls.Role) (crypto.Signer, error) {
	if m, ok := r.Maker.(KeyMaker); ok {
		return m.NewKey(ctx, attester)
	}
	if r.NewKey != nil {
		return r.NewKey(attester)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func (r *Root) evidence(ctx context.Context, q *negotiation.EvidenceRequest, spki []byte) ([]byte, error) {
	f := r.types()
	if !f.has(q.Scheme.Format) {
		return nil, fmt.Errorf("no Evidence of the type %s can be made", FormatString(q.Scheme.Format))
	}
	field, failure := f.Challenge.Place(q.Challenge, q.Fit)
	if failure != nil {
		return nil, failure
	}
	question := &Question{Type: q.Scheme.Format, Field: field, Challenge: q.Challenge, SPKI: spki, Attester: q.Attester}
	if f.FurtherClaims {
		question.Claims = q.Claims
	}
	value, err := r.Maker.Make(ctx, question)
	if err != nil {
		return nil, err
	}
	c := &CMW{Form: r.Form, Format: q.Scheme.Format, Value: value, Indicator: IndEvidence}
	if r.Form == CBORTag {
		c.Indicator = 0
		if q.Scheme.Format.MediaType != "" {
			return nil, fmt.Errorf("the type %s has no content format, by which a CBOR tag is made", q.Scheme.Format.MediaType)
		}
	}
	return c.Encode()
}

// relay has a Verifier appraise Evidence that make makes under one of the schemes,
// and wraps its result.
func relay(
	ctx context.Context,
	relays []Relay,
	own []negotiation.Scheme,
	keyless bool,
	q *negotiation.EvidenceRequest,
	spki []byte,
	make func(context.Context, *negotiation.EvidenceRequest, []byte) ([]byte, error),
) ([]byte, error) {
	for _, x := range relays {
		if !bytes.Equal(x.Identity, q.Scheme.Verifier) {
			continue
		}
		result, err := resultOf(ctx, x.Verifier, own, keyless, q, spki, make)
		if err != nil {
			return nil, fmt.Errorf("verifier %q: %w", x.Identity, err)
		}
		c := &CMW{Form: CBORRecord, Format: profile.Format{ContentFormat: FormatJWT}, Value: result,
			Indicator: IndAttestationResults}
		return c.Encode()
	}
	return nil, fmt.Errorf("no results of verifier %q can be relayed", q.Scheme.Verifier)
}

// resultOf asks a Verifier for a result on our key. Where the handshake binds
// results, its challenge is the nonce; else the Verifier's own, if it has one; else,
// for Evidence that names no key, the hash of the key, so that the Verifier can tell
// whose the Evidence is.
func resultOf(
	ctx context.Context,
	v negotiation.Appraiser,
	own []negotiation.Scheme,
	keyless bool,
	q *negotiation.EvidenceRequest,
	spki []byte,
	make func(context.Context, *negotiation.EvidenceRequest, []byte) ([]byte, error),
) ([]byte, error) {
	challenge, fit := q.Challenge, q.Fit
	if challenge == nil {
		nonce, err := v.Nonce(ctx, digestSize)
		if err != nil {
			return nil, err
		}
		if challenge = nonce; challenge == nil && keyless {
			challenge, fit = keyChallenge(spki), profile.FitPadRight // which is ours to say: no profile knows of it
		}
	}
	for _, scheme := range v.Schemes() {
		if scheme.Model != profile.ModelEvidence || !serves(own, scheme.Format) {
			continue
		}
		evidence, err := make(ctx, &negotiation.EvidenceRequest{Scheme: scheme, Challenge: challenge, Fit: fit,
			Claims: q.Claims, Attester: q.Attester}, spki)
		if err != nil {
			return nil, err
		}
		verdict, err := v.Appraise(ctx, &negotiation.AppraisalRequest{
			Profile: q.Profile, Attester: q.Attester, Scheme: scheme,
			CMW: evidence, Challenge: challenge, Fit: fit, Claims: q.Claims, SPKI: spki, KeyBound: q.KeyBound &&
				q.Challenge != nil})
		if err != nil {
			return nil, err
		}
		if verdict.Result == nil {
			return nil, fmt.Errorf("no result: %s", verdict.Reason)
		}
		return verdict.Result, nil
	}
	return nil, errors.New("it appraises no format of ours")
}

// keyChallenge is a challenge that ties Evidence to a key by itself.
func keyChallenge(spki []byte) []byte {
	h := sha256.Sum256(spki)
	return h[:]
}

// serves reports whether Evidence of a type can be made under one of the schemes.
func serves(own []negotiation.Scheme, typ profile.Format) bool {
	for _, s := range own {
		if s.Model == profile.ModelEvidence && Matches(s.Format, typ, profile.MatchEqual) == nil {
			return true
		}
	}
	return false
}

// DeviceOptions are what Format.Open makes an Attester of.
type DeviceOptions struct {
	// Section is the section `device` of an attester's file.
	Section *Section
	// Clock dates what is signed here, and not by a device; nil: time.Now.
	Clock func() time.Time
}

// EmulatorOptions are what an emulator is made of.
type EmulatorOptions struct {
	// Seed gives the keys: the same seed gives the same ones, where the algorithms
	// allow that.
	Seed []byte
	// Clock dates what the emulator signs; nil: time.Now.
	Clock func() time.Time
}

// Emulation is an emulator of a root of trust and what trusts it. Its keys are made
// in memory and prove nothing; its certificates say so in their subjects. No
// verifier trusts them that was not given this Policy or these Endorsements.
type Emulation struct {
	// Attester makes the Evidence.
	Attester negotiation.Attester
	// Device is the section `device` of an attester's file, of which Format.Open
	// makes the same Attester. It can be written as YAML, and may hold private keys.
	Device any
	// Policy is the section of a verifier's file that trusts this emulator and no
	// other; nil where Endorsements and References do. It can be written as YAML.
	Policy       Policy
	Endorsements []Endorsement
	References   []Reference
	// Policies and Machines are those of composite Evidence: what trusts each part, by
	// the name of its format, and that the parts are of one machine.
	Policies map[string]Policy
	Machines []Machine
}

// Demonstration makes an Attester and a Verifier of an emulation that fit each other.
// The Verifier trusts this emulation and nothing else, issues results, and trusts its
// own; the Attester can relay them. What the two attest proves nothing.
func (e *Emulation) Demonstration(
	t Formats,
	name string,
	seed []byte,
	clock func() time.Time,
) (negotiation.Attester, *Verifier, error) {
	f, err := t.Named(name)
	if err != nil {
		return nil, nil, err
	}
	key, err := deriveKey(seed, "verifier key")
	if err != nil {
		return nil, nil, err
	}
	v := &Verifier{
		Table:            t,
		Endorsements:     e.Endorsements,
		References:       e.References,
		Identity:         DemoVerifier,
		Build:            "attls embedded verifier",
		Key:              key,
		Trusted:          []TrustedVerifier{{Identity: []byte(DemoVerifier), Key: key.Public()}},
		Clock:            clock,
		AcceptUnattested: true,
	}
	for _, s := range f.Schemes() {
		v.Formats = append(v.Formats, s.Format)
	}
	v.Policies, v.Machines = maps.Clone(e.Policies), e.Machines
	if e.Policy != nil {
		v.Policies = map[string]Policy{f.Name: e.Policy}
	}
	a := e.Attester
	if r, ok := a.(*Root); ok && r.NewKey == nil {
		with := *r
		with.NewKey = func(r attls.Role) (crypto.Signer, error) { return deriveKey(seed, "key of the "+r.String()) }
		a = &with
	}
	a, _ = WithRelays(a, []Relay{{Identity: []byte(DemoVerifier), Verifier: v}})
	return a, v, nil
}

// KeysOf is what holds the keys of an Attester's handshakes, where it does so itself,
// as a TPM does: a certificate must then be about such a key. Nil: keys in memory will
// do.
func KeysOf(a negotiation.Attester) KeyMaker {
	if p, ok := a.(*Passport); ok {
		a = p.Attester
	}
	switch a := a.(type) {
	case *Root:
		if m, ok := a.Maker.(KeyMaker); ok {
			return m
		}
	case *generalSpoiler:
		return KeysOf(a.Attester)
	case *CompositeAttester:
		for _, p := range a.Parts {
			if m := KeysOf(p.Attester); m != nil {
				return m
			}
		}
	}
	return nil
}

// EmulatorSubject is the organization in the subjects of all certificates that
// emulators make.
const EmulatorSubject = "attls emulator: proves nothing"

// DeriveKey makes a P-256 key for a use out of a seed: the same seed and use give
// the same key. It is for emulators.
func DeriveKey(seed []byte, use string) (*ecdsa.PrivateKey, error) { return deriveKey(seed, use) }
