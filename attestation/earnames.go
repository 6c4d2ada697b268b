package attestation

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/veraison/ear"
)

// Claims of a result by the names of Veraison's profile, to which the others are
// translated.
const (
	earStatus     = "ear.status"
	earVector     = "ear.trustworthiness-vector"
	earRaw        = "ear.raw-evidence"
	earVerifier   = "ear.verifier-id"
	earKey        = "ear.veraison.key-attestation"
	earPolicy     = "ear.veraison.policy-claims"
	earAnnotated  = "ear.veraison.annotated-evidence"
	earPolicyIDs  = "ear.appraisal-policy-id"
	akpub         = "akpub"
	labelStatus   = int64(1000)
	labelVector   = int64(1001)
	labelVerifier = int64(1004)
	labelEARKey   = int64(-70002)
)

// namesOfRATS are the names of draft-ietf-rats-ear-04 and of Veraison's extensions of
// it. The policy identifiers, which are a list there, are not needed.
var namesOfRATS = map[string]string{"ear_status": earStatus, "ear_trustworthiness_vector": earVector,
	"ear_raw_evidence": earRaw, "ear_verifier_id": earVerifier, "ear_veraison_key_attestation": earKey,
	"ear_veraison_policy_claims": earPolicy, "ear_veraison_annotated_evidence": earAnnotated,
	"ear_appraisal_policy_ids": ""}

// renamed are the claims by the names of Veraison's profile.
func (t *jwt) renamed() (map[string]any, error) {
	if t.claims["eat_profile"] != ProfileRATS {
		return t.claims, nil
	}
	m, err := rename(t.claims)
	if err != nil {
		return nil, err
	}
	submods, ok := m["submods"].(map[string]any)
	if !ok {
		return m, nil
	}
	list := map[string]any{}
	for name, v := range submods {
		list[name] = v
		if a, ok := v.(map[string]any); ok {
			if list[name], err = rename(a); err != nil {
				return nil, fmt.Errorf("submods: %s: %w", name, err)
			}
		}
	}
	m["submods"] = list
	return m, nil
}

func rename(m map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for name, v := range m {
		own, ok := namesOfRATS[name]
		switch {
		case !ok:
			own = name
		case own == "":
			continue
		}
		if slices.Contains(slices.Collect(maps.Values(namesOfRATS)), name) || name == earPolicyIDs {
			return nil, fmt.Errorf("the claim %s is not one of the profile %s", name, ProfileRATS)
		}
		out[own] = v
	}
	return out, nil
}

// cwt is a result in a CWT.
type cwt struct{ *token }

// openCWT takes a COSE_Sign1 apart.
func openCWT(b []byte) (envelope, error) {
	t, err := parseToken(b)
	if err != nil {
		return nil, err
	}
	if t.critical != nil {
		return nil, t.critical
	}
	return cwt{t}, nil
}

func (t cwt) verify(key crypto.PublicKey) error {
	if _, err := algorithmOf(key); err != nil {
		return err
	}
	return t.token.verify(key)
}

// result reads an EAR in CBOR: the same claims under integers.
func (t cwt) result() (*result, error) {
	limit, failure := readRestriction("the result", t.claims)
	if failure != nil {
		return nil, failure
	}
	r := &result{limits: []restriction{limit}}
	if _, ok := t.claims[claimNonce]; ok {
		if r.nonces, failure = t.claims.nonces(minNonce); failure != nil {
			return nil, failure
		}
	}
	m := map[string]any{}
	var name string
	if ok, err := t.claims.read(claimProfile, &name); err != nil {
		return nil, err
	} else if ok {
		m["eat_profile"] = name
	}
	if err := t.claims.status(m); err != nil {
		return nil, err
	}
	if _, ok := t.claims[labelVector]; ok {
		m[earVector] = nil // it is in the wrong place, which is said by whoever reads m
	}
	var err error
	if m[earVerifier], err = t.claims.verifierID(); err != nil {
		return nil, err
	}
	raw, ok := t.claims[claimSubmods]
	if !ok {
		return r, r.read(m)
	}
	submods, failure := parseClaims(raw)
	if failure != nil {
		return nil, under(failure, "submods")
	}
	list, further := map[string]any{}, []restriction{}
	for label, raw := range submods {
		name, ok := label.(string)
		if !ok {
			return nil, fmt.Errorf("submods: the name %v of an appraisal is not text", label)
		}
		limit, err := readAppraisal(name, raw, list)
		if err != nil {
			return nil, err
		}
		further = append(further, limit)
	}
	m["submods"] = list
	if err := r.read(m); err != nil {
		return nil, err
	}
	r.limits = append(r.limits, further...)
	return r, nil
}

// readAppraisal puts one appraisal into a list, as JSON would have it.
func readAppraisal(name string, raw []byte, list map[string]any) (restriction, error) {
	where := "submods: " + name
	c, failure := parseClaims(raw)
	if failure != nil {
		return restriction{}, under(failure, where)
	}
	limit, failure := readRestriction(where, c)
	if failure != nil {
		return limit, failure
	}
	out := map[string]any{}
	list[name] = out
	if err := c.status(out); err != nil {
		return limit, fmt.Errorf("%s: %w", where, err)
	}
	if raw, ok := c[claimSubmods]; ok {
		out["submods"] = raw // refused by whoever reads it
	}
	if raw, ok := c[labelVector]; ok {
		vector, err := vectorOf(raw)
		if err != nil {
			return limit, fmt.Errorf("%s: %w", where, err)
		}
		out[earVector] = vector
	}
	if raw, ok := c[labelEARKey]; ok {
		key, failure := parseClaims(raw)
		if failure != nil {
			return limit, under(under(failure, earKey), where)
		}
		der, failure := key.Octets(akpub)
		if failure != nil {
			return limit, under(under(failure, earKey), where)
		}
		out[earKey] = map[string]any{akpub: base64.RawURLEncoding.EncodeToString(der)}
	}
	return limit, nil
}

// status reads a trustworthiness tier, which CBOR writes as a number.
func (c claims) status(m map[string]any) error {
	if _, ok := c[labelStatus]; !ok {
		return nil
	}
	var n int64
	if _, err := c.read(labelStatus, &n); err != nil {
		return err
	}
	name, ok := ear.TrustTierToString[ear.TrustTier(n)]
	if !ok || int64(ear.TrustTier(n)) != n {
		return fmt.Errorf("the status %d is none of 0, 2, 32 and 96 (draft-ietf-rats-ar4si)", n)
	}
	m[earStatus] = name
	return nil
}

// vectorOf reads a trustworthiness vector, whose claims CBOR numbers.
func vectorOf(raw []byte) (map[string]any, error) {
	c, failure := parseClaims(raw)
	if failure != nil {
		return nil, under(failure, earVector)
	}
	out := map[string]any{}
	for label := range c {
		n, ok := label.(int64)
		if !ok || n < 0 || n >= int64(len(VectorClaims)) {
			return nil, fmt.Errorf("%s: %v is not a claim of it", earVector, label)
		}
		var v int64
		if _, err := c.read(label, &v); err != nil {
			return nil, under(err, earVector)
		}
		out[VectorClaims[n]] = json.Number(strconv.FormatInt(v, 10))
	}
	return out, nil
}

// verifierID reads ear_verifier_id: {0: developer, 1: build}.
func (c claims) verifierID() (any, error) {
	raw, ok := c[labelVerifier]
	if !ok {
		return nil, errors.New("it names no verifier (ear_verifier_id)")
	}
	id, failure := parseClaims(raw)
	if failure != nil {
		return nil, under(failure, "ear_verifier_id")
	}
	out := map[string]any{}
	for label, name := range map[int64]string{0: "developer", 1: "build"} {
		var text string
		if ok, err := id.read(label, &text); err != nil {
			return nil, under(err, "ear_verifier_id")
		} else if ok {
			out[name] = text
		}
	}
	return out, nil
}

var _ = []envelope{(*jwt)(nil), cwt{}}
