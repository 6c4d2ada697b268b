package attestation

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/internal/seeds"
	"attls/negotiation"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/ear"
)

// object is claims by the names of Veraison's profile.
type object = map[string]any

// raw is a value that only CBOR has, at the place of another.
type raw struct{ json, cbor any }

// soundResult is a result on the key of the tests.
func soundResult(t testing.TB) object {
	t.Helper()
	return object{
		"eat_profile": ProfileVeraison, "iat": testClock().Unix(),
		"eat_nonce":       base64.RawURLEncoding.EncodeToString(testChallenge),
		"ear.verifier-id": object{"developer": DemoVerifier, "build": "1"},
		"submods": object{"one": object{"ear.status": "affirming", "ear.trustworthiness-vector": object{"executables": 2, "hardware": 2},
			"ear.veraison.key-attestation": object{"akpub": base64.RawURLEncoding.EncodeToString(testSPKI(t))}}},
	}
}

// asJSON are the claims as JSON has them, under the names of a profile.
func asJSON(v any, names map[string]string) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for name, x := range v {
			if other, ok := names[name]; ok {
				name = other
			}
			out[name] = asJSON(x, names)
		}
		return out
	case raw:
		return v.json
	}
	return v
}

// labels are the integers of CBOR.
var labels = map[string]int64{"eat_profile": 265, "iat": 6, "exp": 4, "nbf": 5, "aud": 3, "intuse": 275, "eat_nonce": 10, "submods": 266,
	"ear.verifier-id": 1004, "ear.status": 1000, "ear.trustworthiness-vector": 1001, "ear.veraison.key-attestation": -70002,
	"developer": 0, "build": 1}

// asCBOR are the claims as CBOR has them.
func asCBOR(name string, v any) any {
	switch v := v.(type) {
	case object:
		out := map[any]any{}
		for key, x := range v {
			label, ok := labels[key]
			if i := slices.Index(VectorClaims, key); i >= 0 {
				label, ok = int64(i), true
			}
			if ok {
				out[label] = asCBOR(key, x)
			} else {
				out[key] = asCBOR(key, x)
			}
		}
		return out
	case raw:
		return v.cbor
	case string:
		if tier, ok := ear.StringToTrustTier[v]; ok && name == "ear.status" {
			return int(tier)
		}
		if name == "eat_nonce" || name == "akpub" {
			b, err := base64.RawURLEncoding.DecodeString(v)
			if err != nil {
				return v
			}
			return b
		}
	}
	return v
}

// forms are one result as JWT and CWT of both profiles.
func forms(t *testing.T, key crypto.Signer, claims object) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	rats := map[string]string{}
	for name, own := range namesOfRATS {
		if own != "" {
			rats[own] = name
		}
	}
	for name, x := range map[string]struct {
		profile string
		names   map[string]string
	}{"of Veraison": {ProfileVeraison, nil}, "of RATS": {ProfileRATS, rats}} {
		claims := maps.Clone(claims)
		if claims["eat_profile"] == ProfileVeraison {
			claims["eat_profile"] = x.profile
		}
		b, err := json.Marshal(asJSON(claims, x.names))
		if err != nil {
			t.Fatal(err)
		}
		jwt, err := signJWT(key, []byte(`{"alg":"ES256","typ":"JWT"}`), b)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := cbor.Marshal(asCBOR("", claims))
		if err != nil {
			t.Fatal(err)
		}
		cwt, err := SignToken(key, payload)
		if err != nil {
			t.Fatal(err)
		}
		out["JWT "+name] = wrapResult(t, FormatJWT, jwt)
		out["CWT "+name] = wrapResult(t, FormatCWT, cwt)
	}
	return out
}

func wrapResult(t *testing.T, format uint16, value []byte) []byte {
	t.Helper()
	c := &CMW{Form: CBORRecord, Format: profile.Format{ContentFormat: format}, Value: value, Indicator: IndAttestationResults}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFormsOfResults: JWT and CWT with the same claims, of both profiles, give the same
// verdict.
func TestFormsOfResults(t *testing.T) {
	_, v := testDemo()
	v.Audiences = []string{"an alias"}
	other := must(deriveKey([]byte("another"), "key"))
	set := func(name string, x any) func(object) { return func(c object) { c[name] = x } }
	without := func(name string) func(object) { return func(c object) { delete(c, name) } }
	one := func(change func(a object)) func(object) {
		return func(c object) { change(c["submods"].(object)["one"].(object)) }
	}
	vector := func(name string, x any) func(object) {
		return one(func(a object) { a["ear.trustworthiness-vector"].(object)[name] = x })
	}
	later := func(d time.Duration) int64 { return testClock().Add(d).Unix() }
	second := func(change func(a object)) func(object) {
		return func(c object) {
			a := object{"ear.status": "affirming"}
			change(a)
			c["submods"].(object)["two"] = a
		}
	}
	for _, test := range []struct {
		name    string
		change  func(object)
		failure attls.Failure
		says    string
	}{
		{"sound", func(object) {}, "", ""},
		{"an exp to come", set("exp", later(time.Hour)), "", ""},
		{"an exp with a fraction to come", set("exp", float64(later(time.Hour))+0.5), "", ""},
		{"expired", set("exp", later(-time.Hour)), attls.FailAppraisal, "expired"},
		{"an exp that is text", set("exp", "never"), attls.FailAppraisal, ""},
		{"not yet valid", set("nbf", later(time.Hour)), attls.FailAppraisal, "not yet"},
		{"of the future", set("iat", later(time.Hour)), attls.FailAppraisal, "not yet"},
		{"too old", set("iat", later(-48*time.Hour)), attls.FailAppraisal, "greatest age"},
		{"iat with a fraction", set("iat", raw{json.RawMessage("1772366400.0"), 1772366400.0}), attls.FailAppraisal, ""},
		{"no iat", without("iat"), attls.FailAppraisal, ""},
		{"for us", set("aud", "an alias"), "", ""},
		{"for us and others", set("aud", []string{"x", "an alias"}), "", ""},
		{"for others", set("aud", []string{"x"}), attls.FailAppraisal, "meant for"},
		{"for proof of possession", set("intuse", 5), "", ""},
		{"for something else", set("intuse", 3), attls.FailAppraisal, "intuse"},
		{"no nonce", without("eat_nonce"), attls.FailBinderMismatch, "no eat_nonce"},
		{"another nonce", set("eat_nonce", base64.RawURLEncoding.EncodeToString(testChallenge[:31])), attls.FailBinderMismatch, "eat_nonce is"},
		{"a nonce that is too short", set("eat_nonce", "AAAA"), attls.FailAppraisal, "nonce"},
		{"a nonce that is a number", set("eat_nonce", 7), attls.FailAppraisal, "nonce"},
		{"another profile", set("eat_profile", "tag:ietf.org,2025-07:ear"), attls.FailAppraisal, "eat_profile is"},
		{"no profile", without("eat_profile"), attls.FailAppraisal, ""},
		{"no verifier", without("ear.verifier-id"), attls.FailAppraisal, ""},
		{"another verifier", set("ear.verifier-id", object{"developer": "x", "build": "1"}), attls.FailVerifierMismatch, "another developer"},
		{"no submods", without("submods"), attls.FailAppraisal, "submods"},
		{"no appraisal", set("submods", object{}), attls.FailAppraisal, ""},
		{"submods that is a list", set("submods", []int{1}), attls.FailAppraisal, ""},
		{"an appraisal that is a number", set("submods", object{"one": 1}), attls.FailAppraisal, ""},
		{"no status", one(func(a object) { delete(a, "ear.status") }), attls.FailAppraisal, "ear.status"},
		{"a status that is not one", one(func(a object) { a["ear.status"] = raw{"fine", 3} }), attls.FailAppraisal, "status"},
		{"a status in the other form", one(func(a object) { a["ear.status"] = raw{2, "affirming"} }), attls.FailAppraisal, ""},
		{"a status that wraps around", one(func(a object) { a["ear.status"] = raw{"258", 258} }), attls.FailAppraisal, ""},
		{"warning", one(func(a object) { a["ear.status"] = "warning" }), attls.FailAppraisal, "one is warning"},
		{"a second appraisal", second(func(object) {}), "", ""},
		{"a second that is contraindicated", second(func(a object) { a["ear.status"] = "contraindicated" }), attls.FailAppraisal, "two is contraindicated"},
		{"a second that has expired", second(func(a object) { a["exp"] = later(-time.Hour) }), attls.FailAppraisal, "expired"},
		{"a second on another key", second(func(a object) {
			a["ear.veraison.key-attestation"] = object{"akpub": base64.RawURLEncoding.EncodeToString(must(spkiOf(other.Public())))}
		}), attls.FailTIKMismatch, "two keys"},
		{"a vector that contradicts", vector("executables", 33), attls.FailAppraisal, "although executables is 33"},
		{"a verifier that failed", vector("hardware", -1), attls.FailAppraisal, "although hardware is -1"},
		{"a claim out of range", vector("hardware", 128), attls.FailAppraisal, ""},
		{"a claim with a fraction", vector("hardware", raw{json.RawMessage("2.0"), 2.0}), attls.FailAppraisal, ""},
		{"a claim that is text", vector("hardware", "2"), attls.FailAppraisal, ""},
		{"an empty vector", one(func(a object) { a["ear.trustworthiness-vector"] = object{} }), attls.FailAppraisal, ""},
		{"a vector beside submods", set("ear.trustworthiness-vector", object{"hardware": 2}), attls.FailAppraisal, "next to submods"},
		{"submods in an appraisal", one(func(a object) { a["submods"] = object{} }), attls.FailAppraisal, "submods"},
		{"no key", one(func(a object) { delete(a, "ear.veraison.key-attestation") }), attls.FailTIKMismatch, "no appraisal attests a key"},
		{"a key attestation without a key", one(func(a object) { a["ear.veraison.key-attestation"] = object{} }), attls.FailTIKMismatch, "no akpub"},
		{"another key", one(func(a object) {
			a["ear.veraison.key-attestation"] = object{"akpub": base64.RawURLEncoding.EncodeToString(must(spkiOf(other.Public())))}
		}), attls.FailTIKMismatch, "is not the key of the handshake"},
	} {
		for name, b := range forms(t, v.Key, changedResult(t, test.change)) {
			verdict := must(v.Appraise(t.Context(), resultRequest(t, b)))
			if verdict.Failure != test.failure || !strings.Contains(verdict.Reason, test.says) {
				t.Errorf("%s, %s: %q, %q; expected is %q, %q", test.name, name, verdict.Failure, verdict.Reason, test.failure, test.says)
			}
			if (verdict.Status == negotiation.StatusAffirming) != (test.failure == "") {
				t.Errorf("%s, %s: the status is %s", test.name, name, verdict.Status)
			}
		}
	}
	for name, b := range forms(t, other, soundResult(t)) {
		wants(t, must(v.Appraise(t.Context(), resultRequest(t, b))), attls.FailAppraisal, "does not verify")
		c, err := roots(t).Inspect(b, profile.ModelResults)
		if err != nil || c.SPKI == nil || string(c.Challenge) != string(testChallenge) {
			t.Errorf("%s: it is read as %+v, %v", name, c, err)
		}
	}
}

func roots(t *testing.T) Formats {
	t.Helper()
	return must(NewFormats(SoftwareFormats()...))
}

func changedResult(t *testing.T, change func(object)) object {
	c := soundResult(t)
	change(c)
	return c
}

func resultRequest(t *testing.T, cmw []byte) *negotiation.AppraisalRequest {
	return &negotiation.AppraisalRequest{Scheme: negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte(DemoVerifier)},
		CMW: cmw, Challenge: testChallenge, SPKI: testSPKI(t)}
}

// TestWholeStatus: the working group's profile has a status of the whole result, which
// must be affirming too; Veraison's has none.
func TestWholeStatus(t *testing.T) {
	_, v := testDemo()
	for status, want := range map[string]bool{"affirming": true, "warning": false, "none": false, "contraindicated": false} {
		for name, b := range forms(t, v.Key, changedResult(t, func(c object) { c["ear.status"] = status })) {
			verdict := must(v.Appraise(t.Context(), resultRequest(t, b)))
			if accepted := verdict.Failure == ""; accepted != (want && strings.HasSuffix(name, "RATS")) {
				t.Errorf("%s with the status %s: %q, %s", name, status, verdict.Failure, verdict.Reason)
			}
		}
	}
}

// TestNamesOfProfiles: a result has the names of its profile, and not those of another
// besides.
func TestNamesOfProfiles(t *testing.T) {
	_, v := testDemo()
	claims := asJSON(changedResult(t, func(c object) { c["eat_profile"] = ProfileRATS }), nil)
	b := wrapResult(t, FormatJWT, must(signJWT(v.Key, []byte(`{"alg":"ES256"}`), must(json.Marshal(claims)))))
	wants(t, must(v.Appraise(t.Context(), resultRequest(t, b))), attls.FailAppraisal, "is not one of the profile")
}

// TestCWTHeaders: crit and the algorithm of a CWT are obeyed.
func TestCWTHeaders(t *testing.T) {
	_, v := testDemo()
	payload := must(cbor.Marshal(asCBOR("", soundResult(t))))
	protected := func(m map[int]any) []byte { return must(encoding.Marshal(m)) }
	for name, test := range map[string]struct {
		header map[int]any
		says   string // empty: accepted
	}{
		"ES256":     {map[int]any{1: -7}, ""},
		"ESP256":    {map[int]any{1: -9}, ""},
		"ES384":     {map[int]any{1: -35}, "which is not for"},
		"EdDSA":     {map[int]any{1: -8}, "which is not for"},
		"HMAC":      {map[int]any{1: 5}, "is not supported"},
		"none":      {map[int]any{}, "names no algorithm"},
		"crit":      {map[int]any{1: -7, 2: []int{70000}, 70000: 1}, "crit lists"},
		"CWT typed": {map[int]any{1: -7, 16: "application/eat+cwt"}, ""},
		"an image":  {map[int]any{1: -7, 16: "image/png"}, "image/png"},
	} {
		b := must(signUnder(v.Key, protected(test.header), []byte{0xa0}, payload))
		verdict := must(v.Appraise(t.Context(), resultRequest(t, wrapResult(t, FormatCWT, b))))
		if (verdict.Failure == "") != (test.says == "") || !strings.Contains(verdict.Reason, test.says) {
			t.Errorf("%s: %q, %s; expected is %q", name, verdict.Failure, verdict.Reason, test.says)
		}
	}
}

// TestResultOctets: a CWT result that is cut off or has a changed octet is refused.
func TestResultOctets(t *testing.T) {
	_, v := testDemo()
	token := must(SignToken(v.Key, must(cbor.Marshal(asCBOR("", soundResult(t))))))
	wants(t, must(v.Appraise(t.Context(), resultRequest(t, wrapResult(t, FormatCWT, token)))), "", "")
	for i := range token {
		if i == 0 {
			continue // a CMW holds something
		}
		if verdict := must(v.Appraise(t.Context(), resultRequest(t, wrapResult(t, FormatCWT, token[:i])))); verdict.Failure == "" {
			t.Errorf("accepted with %d octets of %d", i, len(token))
		}
		changed := slices.Clone(token)
		changed[i] ^= 1
		if verdict := must(v.Appraise(t.Context(), resultRequest(t, wrapResult(t, FormatCWT, changed)))); verdict.Failure == "" {
			t.Errorf("accepted with octet %d changed", i)
		}
	}
	if verdict := must(v.Appraise(t.Context(), resultRequest(t, wrapResult(t, FormatCWT, append(token, 0))))); verdict.Failure == "" {
		t.Error("accepted with an octet after the end")
	}
	if verdict := must(v.Appraise(t.Context(), resultRequest(t, wrapResult(t, FormatJWT, token)))); verdict.Failure == "" {
		t.Error("a CWT is accepted as a JWT")
	}
}

// TestTrustedServices: a file says that a trusted verifier is of a known kind, and
// results are then judged as that kind writes them.
func TestTrustedServices(t *testing.T) {
	_, v := testDemo()
	v.Trusted[0].Service = Veraison()
	b := must(v.File())
	if !strings.Contains(string(b), "service: veraison") {
		t.Errorf("the file does not name the service:\n%s", b)
	}
	loaded, err := LoadVerifier(fileWith(t, "verifier.yaml", string(b)), Formats{})
	if err != nil {
		t.Fatal(err)
	}
	loaded.Clock = testClock
	_, err = LoadVerifier(fileWith(t, "verifier.yaml", strings.Replace(string(b), "service: veraison", "service: verizon", 1)), Formats{})
	if err == nil || !strings.Contains(err.Error(), `no service is called "verizon"; there is veraison`) {
		t.Errorf("an unknown service: %v", err)
	}
	named := func(names ...string) func(object) {
		return func(c object) {
			a := c["submods"].(object)["one"]
			list := object{}
			for _, name := range names {
				list[name] = a
			}
			c["submods"] = list
		}
	}
	keyless := func(c object) {
		for _, a := range c["submods"].(object) {
			delete(a.(object), "ear.veraison.key-attestation")
		}
	}
	for _, test := range []struct {
		name    string
		change  func(object)
		bound   bool
		failure attls.Failure
		says    string
	}{
		{"PSA with a key", named("PSA_IOT"), false, "", ""},
		{"PSA, the challenge over the key", func(c object) { named("PSA_IOT")(c); keyless(c) }, true, "", ""},
		{"PSA, nothing over the key", func(c object) { named("PSA_IOT")(c); keyless(c) }, false, attls.FailTIKMismatch, "nothing in this result attests"},
		{"both of CCA", named("CCA_REALM", "CCA_SSD_PLATFORM"), false, attls.FailBinderMismatch, "eat_nonce"},
		{"both of CCA, the whole field", func(c object) {
			named("CCA_REALM", "CCA_SSD_PLATFORM")(c)
			c["eat_nonce"] = base64.RawURLEncoding.EncodeToString(append(slices.Clone(testChallenge), make([]byte, 32)...))
		}, false, "", ""},
		{"one of CCA", named("CCA_REALM"), false, attls.FailAppraisal, "no scheme of veraison has exactly these"},
		{"the name of the scheme", named("ARM_CCA"), false, attls.FailAppraisal, "no scheme of veraison has exactly these"},
		{"PSA and SNP", named("PSA_IOT", "SEVSNP"), false, attls.FailAppraisal, "no scheme of veraison has exactly these"},
		{"a name of nobody", func(object) {}, false, attls.FailAppraisal, "no scheme of veraison has exactly these"},
		{"Parsec TPM", named("PARSEC_TPM"), true, attls.FailAppraisal, "does not compare the challenge"},
		{"Parsec CCA", named("PARSEC_CCA"), true, attls.FailAppraisal, "does not compare the challenge"},
		{"Parsec TPM without a key", func(c object) { named("PARSEC_TPM")(c); keyless(c) }, true, attls.FailAppraisal, "does not compare the challenge"},
		{"EnactTrust", named("TPM_ENACTTRUST"), true, attls.FailAppraisal, "does not compare the challenge"},
	} {
		for name, b := range forms(t, v.Key, changedResult(t, test.change)) {
			r := resultRequest(t, b)
			r.KeyBound = test.bound
			verdict := must(loaded.Appraise(t.Context(), r))
			if verdict.Failure != test.failure || !strings.Contains(verdict.Reason, test.says) {
				t.Errorf("%s, %s: %q, %q; expected is %q, %q", test.name, name, verdict.Failure, verdict.Reason, test.failure, test.says)
			}
		}
	}
}

// TestKeyInNonce: where nothing is bound to the connection, a result whose nonce is the
// hash of the key attests the key.
func TestKeyInNonce(t *testing.T) {
	_, v := testDemo()
	v.Trusted[0].Service = Veraison()
	for name, nonce := range map[string][]byte{"": keyChallenge(testSPKI(t)), "nothing in this result": testChallenge} {
		b := forms(t, v.Key, changedResult(t, func(c object) {
			c["eat_nonce"] = base64.RawURLEncoding.EncodeToString(nonce)
			c["submods"] = object{"PSA_IOT": object{"ear.status": "affirming"}}
		}))["JWT of Veraison"]
		r := resultRequest(t, b)
		r.Challenge = nil
		verdict := must(v.Appraise(t.Context(), r))
		if (verdict.Failure == "") != (name == "") || !strings.Contains(verdict.Reason, name) {
			t.Errorf("the nonce %x: %q, %s", nonce, verdict.Failure, verdict.Reason)
		}
	}
}

// fileWith is a file with a text.
func fileWith(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// payloadsOfCWT are claims of results that are accepted: of both profiles, with one
// appraisal and with two, with an end and without.
func payloadsOfCWT(t testing.TB) (list [][]byte) {
	t.Helper()
	for _, name := range []string{ProfileRATS, ProfileVeraison} {
		claims := soundResult(t)
		claims["eat_profile"] = name
		list = append(list, must(cbor.Marshal(asCBOR("", claims))))
		one := claims["submods"].(object)["one"]
		claims["submods"] = object{"one": one, "two": one}
		list = append(list, must(cbor.Marshal(asCBOR("", claims))))
		claims["exp"] = testClock().Add(time.Hour).Unix()
		list = append(list, must(cbor.Marshal(asCBOR("", claims))))
	}
	return list
}

// judgeCWT signs claims as the trusted verifier does, and judges the result; nil where
// they cannot be signed or sent.
func judgeCWT(t testing.TB, v *Verifier, payload []byte) *negotiation.Verdict {
	t.Helper()
	token, err := SignToken(v.Key, payload)
	if err != nil {
		return nil
	}
	cmw, err := (&CMW{Format: profile.Format{ContentFormat: FormatCWT}, Value: token}).Encode()
	if err != nil {
		return nil
	}
	return must(v.Appraise(t.Context(), &negotiation.AppraisalRequest{CMW: cmw, Challenge: testChallenge, SPKI: testSPKI(t),
		Scheme: negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte(DemoVerifier)}}))
}

// FuzzResultCWT: a result in CBOR that the trusted verifier signs, whatever its claims
// are.
func FuzzResultCWT(f *testing.F) {
	v := seeds.Once(func() *Verifier {
		_, v := testDemo()
		return v
	})
	seeds.Add(f, func() {
		for i, payload := range payloadsOfCWT(f) {
			if verdict := judgeCWT(f, v, payload); verdict == nil || verdict.Failure != "" {
				f.Errorf("the seed %d is not accepted: %+v", i, verdict)
			}
			f.Add(payload)
		}
	})
	f.Fuzz(func(t *testing.T, payload []byte) {
		seeds.Input(t, payload)
		verdict := judgeCWT(t, v, payload)
		switch {
		case verdict == nil:
		case verdict.Failure == "":
			withinSkew(verdict)
			accepted(t, verdict)
		case verdict.Status == negotiation.StatusAffirming:
			t.Fatalf("%+v", verdict)
		}
	})
}
