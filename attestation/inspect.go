package attestation

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"strings"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// Contents is what a payload says, read without a judgement: no signature in it
// is verified.
type Contents struct {
	// Challenge is eat_nonce, as it is there, the first where there are several;
	// nil where there is none.
	Challenge []byte
	// SPKI is the attested key as DER SubjectPublicKeyInfo; nil where there is none.
	SPKI []byte
	// Platform describes what Evidence says of the platform; zero for results.
	Platform Platform

	nonces [][]byte
	least  int // octets of the shortest challenge
	claims claims
}

// Inspect reads Evidence or an Attestation Result in one of the formats that
// the embedded verifier knows.
func Inspect(payload []byte, model profile.Model) (*Contents, *attls.Error) {
	if model == profile.ModelResults {
		return inspectResult(payload)
	}
	t, err := inspectEvidence(payload)
	if err != nil {
		return nil, err
	}
	c := &Contents{Platform: t.platform, least: t.leastNonce(), claims: t.claims()}
	if t.tpm != nil {
		c.setNonces([][]byte{t.tpm.kat.attest.ExtraData.Buffer})
	} else {
		c.setNonces(t.nonces)
	}
	return c, c.setKey(t.key)
}

func (c *Contents) setNonces(list [][]byte) {
	if c.nonces = list; len(list) > 0 {
		c.Challenge = list[0]
	}
}

func inspectEvidence(payload []byte) (*tokens, *attls.Error) {
	if len(payload) > 0 && payload[0] == prototypeFirst {
		return parsePrototype(payload, defaultSize)
	}
	c, err := ParseCMW(payload, Limits{Size: defaultSize})
	if err != nil {
		return nil, err
	}
	return parseTokens(c)
}

func inspectResult(payload []byte) (*Contents, *attls.Error) {
	w, err := ParseCMW(payload, Limits{Size: defaultSize})
	if err != nil {
		return nil, err
	}
	signed, cause := parseJWT(w.Value)
	if cause != nil {
		return nil, malformed(-1, ruleEAR, "the result is not a JWT: %v", cause)
	}
	r, err := parseResult(signed.payload)
	if err != nil {
		return nil, err
	}
	c := &Contents{least: minNonce}
	c.setNonces(r.nonces)
	key, err := r.key()
	if err != nil {
		return c, nil // a result need not attest a key to be read
	}
	return c, c.setKey(key)
}

func (c *Contents) setKey(key crypto.PublicKey) *attls.Error {
	der, err := spkiOf(key)
	if err != nil {
		return malformed(-1, ruleKey, "the attested key: %v", err)
	}
	c.SPKI = der
	return nil
}

// CheckForm says why a payload is not of the form that was agreed on: a CMW of
// the chosen format whose ind fits the model, or the prototype's bundle.
func CheckForm(r *negotiation.AppraisalRequest) *attls.Error {
	if len(r.CMW) > 0 && r.CMW[0] == prototypeFirst && Matches(PrototypeFormat, r.Scheme.Format, r.Match) == nil {
		_, err := parsePrototype(r.CMW, defaultSize)
		return err
	}
	c, err := ParseCMW(r.CMW, Limits{Size: 1 << 24})
	if err == nil {
		err = under(c.checkIndicators(r.Scheme.Model), "cmw")
	}
	if err == nil && r.Scheme.Model == profile.ModelEvidence {
		err = c.Match(r.Scheme.Format, r.Match)
	}
	return err
}

// Carries says why a challenge is not in the payload as an Attester places it; nil
// when it is.
func (c *Contents) Carries(challenge []byte, fit profile.ChallengeFit) *attls.Error {
	want, err := PlaceChallenge(challenge, c.least, maxNonce, fit)
	if err != nil {
		return err
	}
	if !contains(c.nonces, want) {
		return mismatch(c.nonces, want)
	}
	return nil
}

// Attests says why the payload does not attest the key of the handshake or lacks
// a further claim that the profile wants; nil when it does.
func (c *Contents) Attests(r *negotiation.AppraisalRequest) *attls.Error {
	if r.SPKI != nil && c.SPKI != nil && !bytes.Equal(c.SPKI, r.SPKI) {
		return refused(attls.FailTIKMismatch, ruleKAT, "the attested key %s is not the key of the handshake %s", fingerprint(c.SPKI), fingerprint(r.SPKI))
	}
	if c.claims == nil { // a result has none
		return nil
	}
	return c.claims.agree(r)
}

func mismatch(got [][]byte, want []byte) *attls.Error {
	return refused(attls.FailBinderMismatch, "RFC 9711 4.1", "eat_nonce is %s, the challenge of this connection is %x", nonceText(got), want)
}

// CarriedChallenge returns the challenge that a payload carries, for telling what
// a peer meant. False: the payload carries none, or does not parse.
func CarriedChallenge(payload []byte, m profile.Model) ([]byte, bool) {
	c, err := Inspect(payload, m)
	if err != nil || c.Challenge == nil {
		return nil, false
	}
	return c.Challenge, true
}

// decodeNonce reads base64; Verifiers differ in its alphabet and in padding.
func decodeNonce(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(s))
}
