package attestation

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/extensions/profile"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/veraison/ear"
)

const (
	ruleEAR = "draft-fv-rats-ear"
	// submodule names the one appraisal in a result of ours.
	submodule = "attls-software"
	policyID  = "policy:attls/endorsed-keys-and-reference-values"
)

// conclude sets the status and issues the result, if this Verifier does.
func (a *appraisal) conclude() {
	status := ear.TrustTierNone
	appraised := &ear.Appraisal{Status: &status, TrustVector: &a.vector}
	appraised.UpdateStatusFromTrustVector()
	a.verdict.Status = ear.TrustTierToString[status]
	if a.Key == nil {
		return
	}
	id := policyID
	appraised.AppraisalPolicyID = &id
	if a.verdict.Failure == "" {
		appraised.VeraisonKeyAttestation = &map[string]any{"akpub": base64.RawURLEncoding.EncodeToString(a.verdict.SPKI)}
	}
	eatProfile, issued := ear.EatProfile, a.at.Unix()
	result := ear.AttestationResult{Profile: &eatProfile, IssuedAt: &issued,
		VerifierID: &ear.VerifierIdentity{Developer: &a.Identity, Build: &a.Build},
		Submods:    map[string]*ear.Appraisal{submodule: appraised}}
	if nonce, err := PlaceChallenge(a.r.Challenge, minNonce, maxNonce, a.r.Fit); err == nil {
		text := base64.RawURLEncoding.EncodeToString(nonce)
		result.Nonce = &text
	}
	jwt, err := result.Sign(jwa.ES256(), deterministic{a.Key})
	if err != nil {
		a.check(CheckResult, refused(attls.FailVerifierUnreachable, ruleEAR, "the result could not be signed: %v", err), "")
		return
	}
	a.verdict.Result = jwt
}

// results judges an EAR that the peer relays.
func (a *appraisal) results() {
	c, ok := a.unwrap()
	if !ok {
		return
	}
	want := profile.Format{ContentFormat: FormatJWT}
	if !a.check(CheckFormat, c.Match(want, profile.MatchWithParameters), FormatString(want)) {
		return
	}
	payload, trusted, err := a.issuer(c.Value)
	if !a.check(CheckResult, err, "the result verifies under the chosen verifier's key") {
		return
	}
	result, err := parseResult(payload)
	if !a.check(CheckProfile, err, ear.EatProfile) {
		return
	}
	a.check(CheckVerifier, result.from(trusted), fmt.Sprintf("issued by %q", trusted.Identity))
	a.check(CheckFreshness, a.fresh(result), fmt.Sprintf("issued %v", result.issued().UTC()))
	a.checkChallenge(a.boundTo(result))
	status, err := result.affirming()
	a.check(CheckStatus, err, "every appraisal is affirming")
	a.verdict.Status = ear.TrustTierToString[status]
	attested := a.checkKey(result.key())
	if a.verdict.Failure == "" {
		a.verdict.SPKI = attested
		a.verdict.Result = c.Value
		a.verdict.ValidUntil = a.expiry(result)
	}
}

// issuer verifies a JWT under the key of the verifier that was chosen.
func (a *appraisal) issuer(jwt []byte) (payload []byte, by *TrustedVerifier, failure *attls.Error) {
	var chosen, other *TrustedVerifier
	for i := range a.Trusted {
		t := &a.Trusted[i]
		p, err := verifyJWT(jwt, t.Key)
		switch {
		case bytes.Equal(t.Identity, a.r.Scheme.Verifier):
			chosen = t
			if err == nil {
				return p, t, nil
			}
			failure = refused(attls.FailAppraisal, ruleEAR, "the result does not verify under the key of %q: %v", t.Identity, err)
		case err == nil:
			other = t
		}
	}
	if chosen == nil {
		return nil, nil, refused(attls.FailVerifierMismatch, ruleEAR, "no verifier of the identity %q is trusted", a.r.Scheme.Verifier)
	}
	if other != nil {
		return nil, nil, refused(attls.FailVerifierMismatch, ruleEAR, "the result was issued by %q, chosen was %q", other.Identity, chosen.Identity)
	}
	return nil, nil, failure
}

func verifyJWT(jwt []byte, key crypto.PublicKey) ([]byte, error) {
	var alg jwa.SignatureAlgorithm
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		alg = jwa.ES256()
		if k.Curve == elliptic.P384() {
			alg = jwa.ES384()
		}
	case ed25519.PublicKey:
		alg = jwa.EdDSA()
	default:
		alg = jwa.PS256()
	}
	return jws.Verify(jwt, jws.WithKey(alg, key))
}

// result is an EAR whose signature holds, with the dates that the library's
// type leaves out.
type result struct {
	ear.AttestationResult
	dates
}

type dates struct {
	Expires   *int64 `json:"exp"`
	NotBefore *int64 `json:"nbf"`
}

func parseResult(payload []byte) (*result, *attls.Error) {
	bad := func(err error) *attls.Error {
		return refused(attls.FailAppraisal, ruleEAR, "the result: %v", err)
	}
	var r result
	if err := json.Unmarshal(payload, &r.AttestationResult); err != nil {
		return nil, bad(err)
	}
	if err := json.Unmarshal(payload, &r.dates); err != nil {
		return nil, bad(err)
	}
	if *r.Profile != ear.EatProfile {
		return nil, bad(fmt.Errorf("eat_profile is %q, not %q", *r.Profile, ear.EatProfile))
	}
	return &r, nil
}

func (r *result) issued() time.Time { return time.Unix(*r.IssuedAt, 0) }

// from compares the issuer that the result names.
func (r *result) from(t *TrustedVerifier) *attls.Error {
	want := or(t.Developer, string(t.Identity))
	if r.VerifierID.Developer == nil || *r.VerifierID.Developer != want {
		return refused(attls.FailVerifierMismatch, ruleEAR, "ear.verifier-id names another developer than %q", want)
	}
	return nil
}

// expiry is the end of a result's validity: the greatest age, or exp if sooner.
func (a *appraisal) expiry(r *result) time.Time {
	end := r.issued().Add(or(a.MaxAge, defaultMaxAge))
	if r.Expires != nil && time.Unix(*r.Expires, 0).Before(end) {
		end = time.Unix(*r.Expires, 0)
	}
	return end
}

func (a *appraisal) fresh(r *result) *attls.Error {
	skew := or(a.Skew, defaultSkew)
	begins := r.issued()
	if r.NotBefore != nil && time.Unix(*r.NotBefore, 0).After(begins) {
		begins = time.Unix(*r.NotBefore, 0)
	}
	if begins.After(a.at.Add(skew)) {
		return refused(attls.FailAppraisal, "RFC 8392 3.1", "the result is valid from %v, which is not yet", begins.UTC())
	}
	if end := a.expiry(r); a.at.After(end.Add(skew)) {
		return refused(attls.FailAppraisal, "RFC 8392 3.1", "the result expired at %v", end.UTC())
	}
	return nil
}

// boundTo compares the result's nonce where the profile binds results.
func (a *appraisal) boundTo(r *result) *attls.Error {
	if a.r.Challenge == nil {
		return nil
	}
	want, err := PlaceChallenge(a.r.Challenge, minNonce, maxNonce, a.r.Fit)
	if err != nil {
		return err
	}
	if r.Nonce == nil {
		return refused(attls.FailBinderMismatch, ruleEAR, "the result has no eat_nonce and results are bound to the handshake")
	}
	got, e := decodeNonce(*r.Nonce)
	if e != nil || !bytes.Equal(got, want) {
		return refused(attls.FailBinderMismatch, ruleEAR, "the result's eat_nonce is %q, the challenge of this connection is %x", *r.Nonce, want)
	}
	return nil
}

// affirming wants every appraisal to be so, and gives the worst tier.
func (r *result) affirming() (ear.TrustTier, *attls.Error) {
	worst := ear.TrustTierAffirming
	var names []string
	for name, a := range r.Submods {
		if *a.Status != ear.TrustTierAffirming {
			names = append(names, fmt.Sprintf("%s is %s", name, ear.TrustTierToString[*a.Status]))
		}
		if *a.Status == ear.TrustTierNone || worst != ear.TrustTierNone && *a.Status > worst {
			worst = *a.Status
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		return worst, refused(attls.FailAppraisal, "draft-ietf-rats-ar4si 2.4", "not affirming: %s", strings.Join(names, ", "))
	}
	return worst, nil
}

// key is the one attested key of a result. Absent, empty, and different in two
// appraisals are all failures.
func (r *result) key() (crypto.PublicKey, *attls.Error) {
	var key crypto.PublicKey
	for _, name := range slices.Sorted(maps.Keys(r.Submods)) {
		a := r.Submods[name]
		claim := a.VeraisonKeyAttestation
		if claim == nil {
			continue
		}
		text, _ := (*claim)["akpub"].(string)
		der, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(der) == 0 {
			return nil, refused(attls.FailTIKMismatch, ruleEAR, "%s: ear.veraison.key-attestation has no akpub in base64url", name)
		}
		k, err := parseSPKI(der)
		if err != nil {
			return nil, refused(attls.FailTIKMismatch, ruleEAR, "%s: akpub: %v", name, err)
		}
		if key != nil && !sameKey(key, k) {
			return nil, refused(attls.FailTIKMismatch, ruleEAR, "two appraisals attest two keys")
		}
		key = k
	}
	if key == nil {
		return nil, refused(attls.FailTIKMismatch, ruleEAR, "no appraisal attests a key (ear.veraison.key-attestation)")
	}
	return key, nil
}

// canSignResults reports whether a key fits ES256.
func canSignResults(key crypto.Signer) bool {
	k, ok := key.Public().(*ecdsa.PublicKey)
	return ok && k.Curve == elliptic.P256()
}
