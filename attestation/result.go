package attestation

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/veraison/ear"
	"github.com/veraison/go-cose"
)

const (
	ruleEAR = "draft-fv-rats-ear"
	ruleJWS = "RFC 7515 4.1"
	// submodule names the one appraisal in a result of ours.
	submodule = "attls-software"
	policyID  = "policy:attls/endorsed-keys-and-reference-values"
)

// conclude sets the status and issues the result, if this Verifier does. A result on
// tokens that expire does so with them; otherwise its age decides.
func (a *appraisal) conclude(expires time.Time) {
	status := tierOf(&a.vector)
	appraised := &ear.Appraisal{Status: &status, TrustVector: &a.vector}
	if len(a.unchecked) > 0 {
		status = max(status, ear.TrustTierWarning)
		appraised.VeraisonPolicyClaims = &map[string]any{"unchecked": a.unchecked}
		if a.verdict.Failure == "" {
			a.verdict.Failure, a.verdict.Reason = attls.FailAppraisal, "not checked: "+strings.Join(a.unchecked, "; ")
		}
	}
	a.verdict.Status = ear.TrustTierToString[status]
	if a.verdict.Failure == "" && status != ear.TrustTierAffirming {
		a.verdict.Failure, a.verdict.Reason = attls.FailAppraisal, "the status of the appraisal is "+a.verdict.Status
	}
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
	jwt, err := a.signResult(result, expires)
	if err != nil {
		a.check(CheckResult, refused(attls.FailVerifierUnreachable, ruleEAR, "the result could not be signed: %v", err), "")
		return
	}
	a.verdict.Result = jwt
}

// tierOf is the status that follows from a trustworthiness vector: that of its worst
// claim.
func tierOf(v *ear.TrustVector) ear.TrustTier {
	status := ear.TrustTierNone
	(&ear.Appraisal{Status: &status, TrustVector: v}).UpdateStatusFromTrustVector()
	return status
}

// signResult signs a result. The library's type has no exp, so that is added to its
// claims.
func (a *appraisal) signResult(r ear.AttestationResult, expires time.Time) ([]byte, error) {
	b, err := r.MarshalJSON()
	if err != nil {
		return nil, err
	}
	claims, err := strictObject(b)
	if err != nil {
		return nil, err
	}
	if !expires.IsZero() {
		claims["exp"] = expires.Unix()
	}
	if b, err = json.Marshal(claims); err != nil {
		return nil, err
	}
	return signJWT(a.Key, []byte(`{"alg":"ES256","typ":"JWT"}`), b)
}

// signJWT signs a header and a payload with a P-256 key, whatever they say.
func signJWT(key crypto.Signer, header, payload []byte) ([]byte, error) {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(header) + "." + encode(payload)
	signer, err := cose.NewSigner(cose.AlgorithmES256, deterministic{key}) // the signature has the same form
	if err != nil {
		return nil, err
	}
	signature, err := signer.Sign(randomness, []byte(signed))
	return []byte(signed + "." + encode(signature)), err
}

// results judges an EAR that the peer relays.
func (a *appraisal) results() {
	c, ok := a.unwrap()
	if !ok {
		return
	}
	open, err := openerOf(c)
	if !a.check(CheckFormat, err, FormatString(c.Format)) {
		return
	}
	a.result(c.Value, open, a.Trusted, nil)
}

// envelope is a result in its signature.
type envelope interface {
	verify(crypto.PublicKey) error
	result() (*result, error)
}

// openerOf is what takes the results of a CMW apart: JWT or CWT.
func openerOf(c *CMW) (func([]byte) (envelope, error), *attls.Error) {
	if c.Match(profile.Format{ContentFormat: FormatCWT}, profile.MatchWithParameters) == nil {
		return openCWT, nil
	}
	return openJWT, c.Match(profile.Format{ContentFormat: FormatJWT}, profile.MatchWithParameters)
}

func openJWT(b []byte) (envelope, error) {
	t, err := parseJWT(b)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// result judges an EAR. Where the caller has read the Evidence that it is about, own
// is the scheme of the service that it asked; otherwise the names of the appraisals
// tell the scheme.
func (a *appraisal) result(value []byte, open func([]byte) (envelope, error), from []TrustedVerifier,
	own *ServiceScheme) {
	signed, trusted, err := a.issuer(value, open, from)
	if !a.check(CheckResult, err, "the result verifies under the chosen verifier's key") {
		return
	}
	result, err := parseResult(signed)
	if !a.check(CheckProfile, err, result.profile()) {
		return
	}
	a.check(CheckVerifier, result.from(trusted), fmt.Sprintf("issued by %q", trusted.Identity))
	a.check(CheckFreshness, a.fresh(result), fmt.Sprintf("issued %v", result.issued().UTC()))
	scheme, unexpected := result.scheme(trusted.Service, own)
	field := &eatNonce
	if scheme != nil {
		field = &scheme.Challenge
	}
	a.checkChallenge(&eatNonce, a.boundTo(result, field))
	status, err := result.affirming()
	a.check(CheckStatus, err, "every appraisal is affirming")
	a.verdict.Status = ear.TrustTierToString[status]
	if trusted.Service != nil {
		a.check(CheckAppraisals, unexpected, "they are those of the scheme "+scheme.name())
		if own == nil && scheme != nil {
			a.check(CheckFreshness, scheme.relayable(trusted.Service), "the service compares the challenge in this Evidence")
		}
	}
	attested := a.checkResultKey(result, trusted, scheme)
	if a.verdict.Failure == "" {
		a.verdict.SPKI = attested
		a.verdict.Result = value
		a.verdict.ValidUntil = a.expiry(result)
	} else if status == ear.TrustTierAffirming {
		a.verdict.Status = ear.TrustTierToString[ear.TrustTierNone] // what is refused affirms nothing, whatever it says
	}
}

// issuer verifies a result under the key of the verifier that was chosen.
func (a *appraisal) issuer(value []byte, open func([]byte) (envelope, error), from []TrustedVerifier) (
	signed envelope, by *TrustedVerifier, failure *attls.Error) {
	signed, malformed := open(value)
	var chosen, other *TrustedVerifier
	for i := range from {
		t := &from[i]
		err := malformed
		if err == nil {
			err = signed.verify(t.Key)
		}
		switch {
		case bytes.Equal(t.Identity, a.r.Scheme.Verifier):
			chosen = t
			if err == nil {
				return signed, t, nil
			}
			failure = refused(attls.FailAppraisal, ruleEAR, "the result does not verify under the key of %q: %v",
				t.Identity, err)
		case err == nil:
			other = t
		}
	}
	if chosen == nil {
		return nil, nil, refused(attls.FailVerifierMismatch, ruleEAR, "no verifier of the identity %q is trusted",
			a.r.Scheme.Verifier)
	}
	if other != nil {
		return nil, nil, refused(attls.FailVerifierMismatch, ruleEAR, "the result was issued by %q, chosen was %q",
			other.Identity, chosen.Identity)
	}
	return nil, nil, failure
}

// verifyJWT checks the signature of a JWT under a key, and returns its claims.
func verifyJWT(jwt []byte, key crypto.PublicKey) ([]byte, error) {
	t, err := parseJWT(jwt)
	if err != nil {
		return nil, err
	}
	return t.payload, t.verify(key)
}

// verify checks the signature under a key, with the algorithm that the header names,
// which must be one for such a key.
func (t *jwt) verify(key crypto.PublicKey) error {
	alg, err := t.algorithm(key)
	if err != nil {
		return err
	}
	v, err := cose.NewVerifier(alg, key) // a signature of JOSE has the same form
	if err != nil {
		return err
	}
	return v.Verify(t.signed, t.signature)
}

// jwt is a JSON Web Token taken apart, not yet verified.
type jwt struct {
	header    map[string]any
	payload   []byte
	claims    map[string]any
	signed    []byte // header and payload as they arrived, which the signature covers
	signature []byte
}

// parseJWT reads a JWT: a JWS in compact serialization, which is the one form that
// RFC 7519 section 3 allows, of three parts in base64url without padding.
func parseJWT(b []byte) (*jwt, error) {
	parts := bytes.Split(b, []byte("."))
	if len(parts) != 3 {
		return nil, fmt.Errorf("a JWT is a JWS in compact serialization with three parts (RFC 7519 3), not %d", len(parts))
	}
	for i, part := range parts {
		if bytes.ContainsAny(part, "\r\n") {
			return nil, fmt.Errorf("part %d of the JWT is not base64url without padding (RFC 7515 2)", i+1)
		}
	}
	decode := base64.RawURLEncoding.Strict()
	header, err1 := decode.DecodeString(string(parts[0]))
	payload, err2 := decode.DecodeString(string(parts[1]))
	signature, err3 := decode.DecodeString(string(parts[2]))
	for i, err := range []error{err1, err2, err3} {
		if err != nil {
			return nil, fmt.Errorf("part %d of the JWT is not base64url without padding (RFC 7515 2)", i+1)
		}
	}
	if len(signature) == 0 {
		return nil, errors.New("the JWT has no signature")
	}
	t := &jwt{payload: payload, signed: b[:len(b)-len(parts[2])-1], signature: signature}
	var err error
	if t.header, err = strictObject(header); err != nil {
		return nil, fmt.Errorf("the header of the JWT: %w", err)
	}
	if t.claims, err = strictObject(payload); err != nil {
		return nil, fmt.Errorf("the claims of the JWT: %w", err)
	}
	return t, t.checkHeader()
}

// checkHeader refuses what a header restricts and nothing here obeys. Keys and
// certificates that it offers or points at (jwk, jku, x5c, x5u, kid) are ignored:
// the keys are those of the trusted verifiers.
func (t *jwt) checkHeader() error {
	if v, ok := t.header["crit"]; ok {
		return fmt.Errorf("crit lists the header parameters %v, which are not understood here (%s.11)", v, ruleJWS)
	}
	if _, ok := t.header["b64"]; ok {
		return errors.New("the header has b64, and no crit for it (RFC 7797 6)")
	}
	for name, allowed := range map[string][]string{"typ": {"jwt", "eat+jwt", "ear+jwt"}, "cty": {"json"}} {
		v, ok := t.header[name]
		if !ok {
			continue
		}
		text, isText := v.(string)
		short := strings.TrimPrefix(strings.ToLower(text), "application/")
		if short, _, _ = strings.Cut(short, ";"); !isText || !slices.Contains(allowed, strings.TrimSpace(short)) {
			return fmt.Errorf("%s is %v; the claims of a JWT are expected (%s)", name, v, ruleJWS)
		}
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"} {
		if v, ok := t.header[name]; ok && !reflect.DeepEqual(v, t.claims[name]) {
			return fmt.Errorf("the header repeats %s with another value than the claims have (RFC 7519 5.3)", name)
		}
	}
	return nil
}

// algorithm is the one that the header names (RFC 7515 section 4.1.1), if it is
// one for the key: each curve has its own (RFC 7518 section 3.4).
func (t *jwt) algorithm(key crypto.PublicKey) (cose.Algorithm, error) {
	name, ok := t.header["alg"].(string)
	if !ok {
		return 0, fmt.Errorf("the header names no algorithm (%s.1)", ruleJWS)
	}
	if _, err := algorithmOf(key); err != nil {
		return 0, err
	}
	if alg, ok := joseAlgorithms[name]; ok && suits(alg, key) {
		return alg, nil
	}
	return 0, fmt.Errorf("the header names %q, which is not for %s", name, describeKey(key))
}

// joseAlgorithms are the names of JOSE (RFC 7518 section 3.1, RFC 8037, RFC 9864)
// by those of COSE.
var joseAlgorithms = map[string]cose.Algorithm{"ES256": cose.AlgorithmES256, "ES384": cose.AlgorithmES384,
	"ES512": cose.AlgorithmES512,
	"EdDSA": cose.AlgorithmEdDSA, "Ed25519": cose.AlgorithmEdDSA,
	"PS256": cose.AlgorithmPS256, "PS384": cose.AlgorithmPS384, "PS512": cose.AlgorithmPS512}

// Profiles of results: the one that Veraison writes, and the working group's.
const (
	ProfileVeraison = ear.EatProfile
	ProfileRATS     = "tag:ietf.org,2026:rats/ear#04" // draft-ietf-rats-ear-04
)

// result is an EAR whose signature holds, with the claims that the library's type
// leaves out or reads with less care.
type result struct {
	ear.AttestationResult
	wrote   string        // eat_profile
	overall string        // the status of the whole result, which draft-ietf-rats-ear has; empty: none
	limits  []restriction // of the result, then of its appraisals
	nonces  [][]byte
}

func (r *result) profile() string {
	if r == nil {
		return ""
	}
	return r.wrote
}

func parseResult(signed envelope) (*result, *attls.Error) {
	r, err := signed.result()
	if err != nil {
		return nil, refused(attls.FailAppraisal, ruleEAR, "the result: %v", err)
	}
	return r, nil
}

// result reads an EAR in JSON.
func (t *jwt) result() (*result, error) {
	m, err := t.renamed()
	if err != nil {
		return nil, err
	}
	limit, err := resultLimits("the result", m)
	if err != nil {
		return nil, err
	}
	r := &result{limits: []restriction{limit}}
	if v, ok := m["eat_nonce"]; ok {
		if r.nonces, err = resultNonces(v); err != nil {
			return nil, fmt.Errorf("eat_nonce: %w", err)
		}
	}
	return r, r.read(m)
}

// read reads the claims that the library does not know, and has it read the rest. It
// has no nonces in an array, and takes numbers through floating point, so it gets what
// it knows and dates as read here.
func (r *result) read(m map[string]any) error {
	name, ok := m["eat_profile"].(string)
	if r.wrote = name; ok && name != ProfileVeraison && name != ProfileRATS {
		return fmt.Errorf("eat_profile is %q, not %q or %q", name, ProfileVeraison, ProfileRATS)
	}
	if v, ok := m[earStatus]; ok && name == ProfileRATS {
		if r.overall, ok = v.(string); !ok || !slices.Contains(tiers, r.overall) {
			return fmt.Errorf("the status of the result is %v; it is one of %s", v, strings.Join(tiers, ", "))
		}
	} else if ok {
		return fmt.Errorf("%s is next to submods; it belongs into an appraisal", earStatus)
	}
	if _, ok := m[earVector]; ok {
		return fmt.Errorf("%s is next to submods; it belongs into an appraisal", earVector)
	}
	if err := r.checkAppraisals(m["submods"]); err != nil {
		return err
	}
	known := map[string]any{}
	for _, name := range []string{"ear.verifier-id", "ear.raw-evidence", "submods"} {
		if v, ok := m[name]; ok {
			known[name] = v
		}
	}
	if v, ok := m["eat_profile"]; ok {
		known["eat_profile"] = v
		if name == ProfileRATS {
			known["eat_profile"] = ProfileVeraison // of which the names are by now
		}
	}
	if issued := r.limits[0].dates.issued; issued != nil {
		known["iat"] = issued.Unix()
	}
	b, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, &r.AttestationResult)
}

// resultLimits reads exp, nbf, iat, aud and intuse.
func resultLimits(where string, m map[string]any) (r restriction, err error) {
	r.where = where
	for _, x := range []struct {
		name  string
		to    **time.Time
		round func(float64) float64
	}{{"exp", &r.dates.expires, math.Floor}, {"nbf", &r.dates.notBefore, math.Ceil}, {"iat", &r.dates.issued, nil}} {
		v, ok := m[x.name]
		if !ok {
			continue
		}
		if *x.to, err = jsonDate(v, x.round); err != nil {
			return r, fmt.Errorf("%s: %s is %v: %w", where, x.name, v, err)
		}
	}
	if v, ok := m["aud"]; ok {
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		r.audience = []string{}
		for _, x := range list {
			text, ok := x.(string)
			if !ok {
				return r, fmt.Errorf("%s: aud is text or a list of texts (RFC 7519 4.1.3)", where)
			}
			r.audience = append(r.audience, text)
		}
	}
	if v, ok := m["intuse"]; ok {
		n, _ := v.(json.Number)
		if r.use, err = strconv.ParseUint(n.String(), 10, 64); err != nil || r.use == 0 {
			return r, fmt.Errorf("%s: intuse is %v; it is an integer from 1 (RFC 9711 4.3.3)", where, v)
		}
	}
	return r, nil
}

// resultNonces reads eat_nonce: text of 8 to 88 characters, or two or more of them
// (RFC 9711 section 4.1).
func resultNonces(v any) (out [][]byte, err error) {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	} else if len(list) < 2 {
		return nil, fmt.Errorf("an array of %d nonces; one has two or more (RFC 9711 4.1)", len(list))
	}
	for _, x := range list {
		text, ok := x.(string)
		if n := len(text); !ok || n < minNonce || n > maxNonceText {
			return nil, fmt.Errorf("%v is not a text of %d to %d characters (RFC 9711 4.1)", x, minNonce, maxNonceText)
		}
		nonce, err := decodeNonce(text)
		if err != nil {
			continue // text that is not base64 is a nonce, and no challenge of ours
		}
		out = append(out, nonce)
	}
	return out, nil
}

// maxNonceText is the length of the longest nonce in JSON, in characters.
const maxNonceText = 88

// checkAppraisals checks the types that the library is lax about: a status is a
// name, and a claim of a trustworthiness vector an integer. An appraisal can have
// limits of its own.
func (r *result) checkAppraisals(v any) error {
	submods, ok := v.(map[string]any)
	if !ok {
		return errors.New("submods is not an object of appraisals")
	}
	for _, name := range slices.Sorted(maps.Keys(submods)) {
		a, ok := submods[name].(map[string]any)
		if !ok {
			return fmt.Errorf("submods: %s is not an appraisal", name)
		}
		if _, ok := a["ear.status"].(string); !ok {
			return fmt.Errorf("submods: %s: ear.status is %v; it is one of %s", name, a["ear.status"], strings.Join(tiers, ", "))
		}
		if !slices.Contains(tiers, a["ear.status"].(string)) {
			return fmt.Errorf("submods: %s: ear.status is %q; it is one of %s", name, a["ear.status"], strings.Join(tiers, ", "))
		}
		if _, ok := a["submods"]; ok {
			return fmt.Errorf("submods: %s has submods of its own, which are not understood here", name)
		}
		limit, err := resultLimits("submods: "+name, a)
		if err != nil {
			return err
		}
		r.limits = append(r.limits, limit)
		vector, ok := a["ear.trustworthiness-vector"]
		if !ok {
			continue
		}
		claims, ok := vector.(map[string]any)
		if !ok || len(claims) == 0 {
			return fmt.Errorf("submods: %s: ear.trustworthiness-vector is not an object with a claim", name)
		}
		for claim, value := range claims {
			n, _ := value.(json.Number)
			if _, err := strconv.ParseInt(n.String(), 10, 8); err != nil {
				return fmt.Errorf("submods: %s: %s is %v; a claim is an integer of -128 to 127", name, claim, value)
			}
		}
	}
	return nil
}

func (r *result) issued() time.Time { return *r.limits[0].dates.issued }

// from compares the issuer that the result names.
func (r *result) from(t *TrustedVerifier) *attls.Error {
	want := or(t.Developer, string(t.Identity))
	if t.Service != nil && t.Developer == "" && r.VerifierID.Developer != nil {
		return nil // who runs a service did not develop it
	}
	if r.VerifierID.Developer == nil || *r.VerifierID.Developer != want {
		return refused(attls.FailVerifierMismatch, ruleEAR, "ear.verifier-id names another developer than %q", want)
	}
	return nil
}

// expiry is the end of a result's validity: the greatest age, or exp if sooner.
func (a *appraisal) expiry(r *result) time.Time {
	end := r.issued().Add(or(a.MaxAge, defaultMaxAge))
	for i := range r.limits {
		end = r.limits[i].dates.soonest(end)
	}
	return end
}

func (a *appraisal) fresh(r *result) *attls.Error {
	for i := range r.limits {
		if err := a.allows(&r.limits[i], a.at, or(a.Skew, defaultSkew)); err != nil {
			return err
		}
	}
	if end := r.issued().Add(or(a.MaxAge, defaultMaxAge)); a.at.After(end.Add(or(a.Skew, defaultSkew))) {
		return refused(attls.FailAppraisal, ruleDates, "the result expired at %v, the greatest age that is accepted",
			end.UTC())
	}
	return nil
}

// boundTo looks for the challenge among the result's nonces where the profile binds
// results.
func (a *appraisal) boundTo(r *result, field *ChallengeField) *attls.Error {
	if a.r.Challenge == nil {
		return nil
	}
	want, err := field.Place(a.r.Challenge, a.r.Fit)
	if err != nil {
		return err
	}
	if r.nonces == nil {
		return refused(attls.FailBinderMismatch, ruleEAR,
			"the result has no eat_nonce in base64 and results are bound to the handshake")
	}
	if !contains(r.nonces, want) {
		return refused(attls.FailBinderMismatch, ruleEAR,
			"the result's eat_nonce is %s, the challenge of this connection is %x", nonceText(r.nonces), want)
	}
	return nil
}

// contradiction is a claim of the trustworthiness vector that is worse than the
// status, which must not be of higher trust than any claim (draft-fv-rats-ear,
// status; AR4SI section 2.3). A claim of 0 says nothing; -1 and 1 say that the
// Verifier failed, or did not understand the Evidence, so that no status can
// affirm anything.
func contradiction(a *ear.Appraisal) string {
	if a.TrustVector == nil {
		return ""
	}
	claims := a.TrustVector.AsMap()
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		claim := claims[name]
		if claim == ear.NoClaim {
			continue
		}
		if tier := claim.GetTier(); tier == ear.TrustTierNone || tier > *a.Status {
			return fmt.Sprintf("%s is %d (%s)", name, claim, ear.TrustTierToString[tier])
		}
	}
	return ""
}

// affirming wants every appraisal to be so, and gives the worst tier. A status that
// its own trustworthiness vector contradicts counts as contraindicated.
func (r *result) affirming() (ear.TrustTier, *attls.Error) {
	worst := ear.TrustTierAffirming
	var names []string
	for name, a := range r.Submods {
		if why := contradiction(a); why != "" && *a.Status != ear.TrustTierNone {
			names = append(names, fmt.Sprintf("%s claims to be %s although %s", name, ear.TrustTierToString[*a.Status], why))
			*a.Status = ear.TrustTierContraindicated
		} else if *a.Status != ear.TrustTierAffirming {
			names = append(names, fmt.Sprintf("%s is %s%s", name, ear.TrustTierToString[*a.Status], problemOf(a)))
		}
		if *a.Status == ear.TrustTierNone || worst != ear.TrustTierNone && *a.Status > worst {
			worst = *a.Status
		}
	}
	if r.overall != "" && r.overall != negotiation.StatusAffirming {
		names = append(names, "the whole result is "+r.overall)
		if tier := ear.StringToTrustTier[r.overall]; tier == ear.TrustTierNone || worst != ear.TrustTierNone && tier > worst {
			worst = tier
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		return worst, refused(attls.FailAppraisal, "draft-ietf-rats-ar4si 2.4", "not affirming: %s",
			strings.Join(names, ", "))
	}
	return worst, nil
}

// maxProblem is how much of a Verifier's explanation is repeated, in octets.
const maxProblem = 200

// problemOf is what Veraison says in ear.veraison.policy-claims about Evidence that it
// could not appraise.
func problemOf(a *ear.Appraisal) string {
	if a.VeraisonPolicyClaims == nil {
		return ""
	}
	text, ok := (*a.VeraisonPolicyClaims)["problem"].(string)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" (it says: %q)", text[:min(len(text), maxProblem)])
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
		der, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil || len(der) == 0 || strings.ContainsAny(text, "\r\n") {
			return nil, refused(attls.FailTIKMismatch, ruleEAR, "%s: ear.veraison.key-attestation has no akpub in base64url",
				name)
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
