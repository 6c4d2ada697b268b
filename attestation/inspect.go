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
	// Format is the row of the table that read it; nil for results.
	Format *Format
	// Challenge is the challenge field, as it is there, the first where there are
	// several; nil where there is none.
	Challenge []byte
	// SPKI is the attested key as DER SubjectPublicKeyInfo; nil where there is none.
	SPKI []byte
	// Platform describes what Evidence says of the platform; zero for results.
	Platform Platform
	// Reading is the Evidence taken apart; nil for results.
	Reading *Reading

	nonces [][]byte // of results
}

// Inspect reads Evidence or an Attestation Result in one of the formats of the
// table.
func (t Formats) Inspect(payload []byte, model profile.Model) (*Contents, *attls.Error) {
	if model == profile.ModelResults {
		return inspectResult(payload)
	}
	f, r, err := t.read(payload)
	if err != nil {
		return nil, err
	}
	c := &Contents{Format: f, Reading: r, Platform: r.Platform}
	for _, x := range r.Challenges {
		if len(x.Values) > 0 && c.Challenge == nil {
			c.Challenge = x.Values[0]
		}
	}
	if r.Key == nil {
		return c, nil
	}
	return c, c.setKey(r.Key)
}

// read reads Evidence with the reader of its format.
func (t Formats) read(payload []byte) (*Format, *Reading, *attls.Error) {
	if f := t.bare(payload, func(profile.Format) bool { return true }); f != nil && len(payload) <= defaultSize {
		r, err := f.read(&CMW{Format: f.Types[0].Forms()[0], Value: payload})
		return f, r, err
	}
	c, err := ParseCMW(payload, Limits{Size: defaultSize})
	if err != nil {
		return nil, nil, err
	}
	f, err := t.find(c, c.Format)
	if err != nil {
		return nil, nil, err
	}
	r, err := f.read(c)
	return f, r, err
}

func (c *Contents) setNonces(list [][]byte) {
	if c.nonces = list; len(list) > 0 {
		c.Challenge = list[0]
	}
}

func inspectResult(payload []byte) (*Contents, *attls.Error) {
	w, err := ParseCMW(payload, Limits{Size: defaultSize})
	if err != nil {
		return nil, err
	}
	open, err := openerOf(w)
	if err != nil {
		return nil, err
	}
	signed, cause := open(w.Value)
	if cause != nil {
		return nil, malformed(-1, ruleEAR, "the result is neither a JWT nor a CWT: %v", cause)
	}
	r, err := parseResult(signed)
	if err != nil {
		return nil, err
	}
	c := &Contents{}
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
// the chosen format whose ind fits the model, or Evidence that is sent without one.
func (t Formats) CheckForm(r *negotiation.AppraisalRequest) *attls.Error {
	if f := t.bare(r.CMW, underType(r)); f != nil {
		_, err := f.read(&CMW{Format: r.Scheme.Format, Value: r.CMW})
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
	if c.Format != nil {
		return c.Format.carries(c.Reading, challenge, fit)
	}
	want, err := PlaceChallenge(challenge, minNonce, maxNonce, fit)
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
	if r.SPKI != nil && c.SPKI != nil && !bytes.Equal(c.SPKI, r.SPKI) && !c.names(r.SPKI) {
		return refused(attls.FailTIKMismatch, ruleKAT, "the attested key %s is not the key of the handshake %s",
			fingerprint(c.SPKI), fingerprint(r.SPKI))
	}
	if c.Reading == nil || c.Reading.Claim == nil { // a result has none
		return nil
	}
	return agree(c.Reading.Claim, r)
}

// names reports whether the attested key is the one of a SubjectPublicKeyInfo, however
// that is written.
func (c *Contents) names(spki []byte) bool {
	own, err1 := parseSPKI(c.SPKI)
	other, err2 := parseSPKI(spki)
	return err1 == nil && err2 == nil && sameKey(own, other)
}

func mismatch(got [][]byte, want []byte) *attls.Error {
	return refused(attls.FailBinderMismatch, "RFC 9711 4.1", "eat_nonce is %s, the challenge of this connection is %x",
		nonceText(got), want)
}

// CarriedChallenge returns the challenge that a payload carries, for telling what
// a peer meant. False: the payload carries none, or does not parse.
func (t Formats) CarriedChallenge(payload []byte, m profile.Model) ([]byte, bool) {
	c, err := t.Inspect(payload, m)
	if err != nil || c.Challenge == nil {
		return nil, false
	}
	return c.Challenge, true
}

// decodeNonce reads base64; Verifiers differ in its alphabet and in padding.
func decodeNonce(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(s))
}
