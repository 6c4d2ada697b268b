package attestation

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// randomness is what signatures draw on that are not deterministic (RSA-PSS).
var randomness = rand.Reader

// Tokens is how Evidence is made up.
type Tokens uint8

const (
	// KATAndPAT is a CMW collection of a key and a platform attestation token
	// (draft-bft-rats-kat), each a record of the type application/eat+cwt.
	KATAndPAT Tokens = iota
	// Combined is a CMW record of one token that holds the platform's claims,
	// the challenge and the key, signed by the platform key
	// (draft-reddy-rats-key-binding-02, combined model).
	Combined
	// Prototype is not a CMW: 01, then a KAT and a PAT each after 16 bits of
	// length, as the 2022 prototype of attested TLS sends them.
	Prototype
)

// Offer is a format under which Software makes Evidence, and how.
type Offer struct {
	Format profile.Format
	Tokens Tokens
	JSON   bool // a JSON CMW instead of a CBOR one
}

// DefaultOffers serve a negotiated application/eat+cwt, by content format or by
// media type, with a KAT and a PAT.
func DefaultOffers() []Offer {
	return []Offer{
		{Format: profile.Format{ContentFormat: FormatCWT}, Tokens: KATAndPAT},
		{Format: profile.Format{MediaType: MediaTypeCWT}, Tokens: KATAndPAT},
	}
}

// PrototypeFormat is the private content format under which the 2022
// prototype negotiates an EAT; CoAP's registry does not hold it.
var PrototypeFormat = profile.Format{ContentFormat: 1}

// Relay is a Verifier whose Attestation Results Software can relay.
type Relay struct {
	Identity []byte // verifier_identity
	Verifier negotiation.Appraiser
}

// Software is a root of trust made of keys in memory. It signs for any key it
// is shown, so it proves nothing about where that key lives: it is for
// development and tests. It is immutable after its first use.
type Software struct {
	// PlatformKey signs PATs; a verifier endorses its public half.
	PlatformKey crypto.Signer
	// KeyAttestationKey signs KATs; each PAT vouches for it.
	KeyAttestationKey crypto.Signer
	// Platform is what PATs say.
	Platform Platform
	// Offers lists the formats, in order of preference; nil: DefaultOffers.
	Offers []Offer
	// Relays lists the Verifiers whose results can be relayed.
	Relays []Relay
	// NewKey makes the key of a credential that is the attestation alone; nil:
	// a fresh P-256 key each time.
	NewKey func(attester attls.Role) (crypto.Signer, error)
	// Clock dates tokens (claim iat); nil: they have no date.
	Clock func() time.Time
	// Lifetime is after how long tokens expire (claim exp); 0: never. It needs a
	// Clock.
	Lifetime time.Duration

	header claims // further parameters of the protected header of tokens, for Spoil
}

// Schemes lists Evidence in the order of Offers, then results by Relays.
func (s *Software) Schemes() []negotiation.Scheme {
	var out []negotiation.Scheme
	for _, o := range s.offers() {
		out = append(out, negotiation.Scheme{Model: profile.ModelEvidence, Format: o.Format})
	}
	return append(out, relayed(s.Relays)...)
}

func (s *Software) offers() []Offer {
	if s.Offers == nil {
		return DefaultOffers()
	}
	return s.Offers
}

// ChallengeSize is 0: an eat_nonce takes any challenge of 8 to 64 octets.
func (s *Software) ChallengeSize() int { return 0 }

// Attest makes Evidence, or has a Verifier make the result to relay. Errors
// are *attls.Error: FailBinderUndefined for a challenge that has no place in
// an eat_nonce, FailAttesterUnavailable for the rest.
func (s *Software) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	out := &negotiation.Evidence{}
	spki := r.SPKI
	if spki == nil {
		key, err := s.newKey(r.Attester)
		if err != nil {
			return nil, unavailable(err)
		}
		if spki, err = spkiOf(key.Public()); err != nil {
			return nil, unavailable(err)
		}
		out.Signer, out.SPKI = key, spki
	}
	var err error
	if r.Scheme.Model == profile.ModelResults {
		out.CMW, err = relay(ctx, s.Relays, s.Schemes(), false, r, spki, s.evidence)
	} else {
		out.CMW, err = s.evidence(ctx, r, spki)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return out, nil
}

// unavailable brings any error of an Attester into the project's type.
func unavailable(err error) *attls.Error {
	var e *attls.Error
	if errors.As(err, &e) {
		return e
	}
	return &attls.Error{Class: attls.Local, Failure: attls.FailAttesterUnavailable, Offset: -1,
		Detail: "the Attester", Err: err}
}

func (s *Software) newKey(attester attls.Role) (crypto.Signer, error) {
	if s.NewKey != nil {
		return s.NewKey(attester)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// offer finds the offer under which a format was negotiated.
func (s *Software) offer(f profile.Format) (*Offer, error) {
	for _, o := range s.offers() {
		if Matches(o.Format, f, profile.MatchEqual) == nil {
			return &o, nil
		}
	}
	return nil, fmt.Errorf("no Evidence of the type %s can be made", FormatString(f))
}

func (s *Software) evidence(_ context.Context, r *negotiation.EvidenceRequest, spki []byte) ([]byte, error) {
	o, err := s.offer(r.Scheme.Format)
	if err != nil {
		return nil, err
	}
	tik, err := parseSPKI(spki)
	if err != nil {
		return nil, err
	}
	nonce, failure := nonceOf(r.Challenge, o.Tokens.leastNonce(), r.Fit)
	if failure != nil {
		return nil, failure
	}
	if o.Tokens == Prototype {
		return s.prototype(tik, nonce)
	}
	kat := claims{}
	kat.set(claimNonce, nonce)
	if err := kat.setConfirmation(tik); err != nil {
		return nil, err
	}
	for _, c := range r.Claims {
		kat.set(c.Name, c.Value)
	}
	pat, err := s.Platform.claims()
	if err != nil {
		return nil, err
	}
	if s.Clock != nil {
		pat.set(claimIssuedAt, s.Clock().Unix())
	}
	if s.Lifetime != 0 && s.Clock != nil {
		expires := s.Clock().Add(s.Lifetime).Unix()
		kat.set(claimExpires, expires)
		pat.set(claimExpires, expires)
	}
	var c *CMW
	if o.Tokens == Combined {
		c, err = s.combined(o, kat, pat)
	} else {
		c, err = s.bundle(o, kat, pat)
	}
	if err != nil {
		return nil, err
	}
	return c.Encode()
}

// nonceOf is the eat_nonce for a challenge; the least nonce of zero octets
// stands for none, since a KAT must have one.
func nonceOf(challenge []byte, least int, fit profile.ChallengeFit) ([]byte, *attls.Error) {
	if challenge == nil {
		return make([]byte, least), nil
	}
	return PlaceChallenge(challenge, least, maxNonce, fit)
}

// leastNonce is the length of the shortest nonce: the prototype's tokens take
// any, an EAT's has at least 8 octets.
func (t Tokens) leastNonce() int {
	if t == Prototype {
		return 0
	}
	return minNonce
}

// sign makes a token of claims.
func (s *Software) sign(key crypto.Signer, c claims) ([]byte, error) {
	if s.header == nil {
		return signToken(key, c.encode())
	}
	alg, err := algorithmOf(key.Public())
	if err != nil {
		return nil, err
	}
	header := maps.Clone(s.header)
	if _, ok := header[coseHeaderAlg]; !ok {
		header.set(coseHeaderAlg, alg)
	}
	return signUnder(key, header.encode(), claims{}.encode(), c.encode())
}

// bundle signs a KAT and a PAT and puts them into a collection.
func (s *Software) bundle(o *Offer, kat, pat claims) (*CMW, error) {
	kak, err := EncodeCOSEKey(s.KeyAttestationKey.Public())
	if err != nil {
		return nil, err
	}
	kat[claimKAK] = kak
	link := sha256.Sum256(kak)
	pat.set(claimNonce, link[:])
	katToken, err := s.sign(s.KeyAttestationKey, kat)
	if err != nil {
		return nil, err
	}
	patToken, err := s.sign(s.PlatformKey, pat)
	if err != nil {
		return nil, err
	}
	form, record := CBORCollection, CBORRecord
	if o.JSON {
		form, record = JSONCollection, JSONRecord
	}
	typ := profile.Format{MediaType: MediaTypeCWT}
	return &CMW{Form: form, CollectionType: typeKATandPAT, Members: []Member{
		{labelKAT, &CMW{Form: record, Format: typ, Value: katToken}},
		{labelPAT, &CMW{Form: record, Format: typ, Value: patToken}},
	}}, nil
}

// combined signs one token with the claims of both.
func (s *Software) combined(o *Offer, kat, pat claims) (*CMW, error) {
	for key, value := range pat {
		kat[key] = value
	}
	token, err := s.sign(s.PlatformKey, kat)
	if err != nil {
		return nil, err
	}
	form := CBORRecord
	if o.JSON {
		form = JSONRecord
	}
	return &CMW{Form: form, Format: o.Format, Value: token, Indicator: IndEvidence}, nil
}

// Claims of the 2022 prototype: both keys are bare uncompressed points, the
// device is claim 11, the PAT's nonce is the hash of the TIK, and one key signs
// both.
const (
	prototypeFirst       = 1
	prototypeUEID  int64 = 11
)

// prototype makes the prototype's bundle. Its tokens bear the tags 61 and 18.
func (s *Software) prototype(tik crypto.PublicKey, nonce []byte) ([]byte, error) {
	ik, err := pointOf(tik)
	if err != nil {
		return nil, err
	}
	pak, err := pointOf(s.PlatformKey.Public())
	if err != nil {
		return nil, err
	}
	kat := claims{}
	kat.set(claimNonce, nonce)
	kat.set(claimConfirmation, ik)
	kat.set(claimKAK, pak)
	link := sha256.Sum256(ik)
	pat := claims{}
	pat.set(claimNonce, link[:])
	pat.set(prototypeUEID, []byte(s.Platform.UEID))
	out := []byte{prototypeFirst}
	for _, c := range []claims{kat, pat} {
		token, err := s.sign(s.PlatformKey, c)
		if err != nil {
			return nil, err
		}
		out = binary.BigEndian.AppendUint16(out, uint16(len(token)+3))
		out = append(appendHead(appendHead(out, majorTag, tagCWT), majorTag, tagSign1), token...)
	}
	return out, nil
}

func pointOf(pub crypto.PublicKey) ([]byte, error) {
	k, ok := pub.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the prototype's tokens hold points of elliptic curves, no key of type %T", pub)
	}
	return k.Bytes()
}
