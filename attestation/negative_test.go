package attestation

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/fxamacker/cbor/v2"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// wrap signs claims with the platform key and puts them into a record.
func wrap(t *testing.T, s *Software, c claims) []byte {
	t.Helper()
	token, err := signToken(s.PlatformKey, c.encode())
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&CMW{Format: profile.Format{ContentFormat: FormatCWT}, Value: token, Indicator: IndEvidence}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestClaimsNegative: claims that a platform key signed and that are wrong.
func TestClaimsNegative(t *testing.T) {
	s, v := testDemo()
	component := func(change func(claims)) func(claims) {
		return func(c claims) {
			submods, err := parseClaims(c[claimSubmods])
			if err != nil {
				t.Fatal(err)
			}
			inner, err := parseClaims(submods["application"])
			if err != nil {
				t.Fatal(err)
			}
			change(inner)
			submods["application"] = inner.encode()
			c[claimSubmods] = submods.encode()
		}
	}
	measured := func(format uint16, body []byte) func(claims) {
		return component(func(c claims) { c.set(claimMeasurements, []measurement{{Format: format, Body: body}}) })
	}
	submod := func(raw []byte) func(claims) {
		return func(c claims) {
			submods, _ := parseClaims(c[claimSubmods])
			submods["gpu"] = raw
			c[claimSubmods] = submods.encode()
		}
	}
	for _, test := range []struct {
		name   string
		change func(c claims)
		want   attls.Failure
		says   string
	}{
		{"sound", func(claims) {}, "", ""},
		{"cnf with a key identifier only", func(c claims) { c.set(claimConfirmation, map[int][]byte{3: {1}}) }, attls.FailMalformedCMW, "no COSE_Key"},
		{"no cnf", func(c claims) { delete(c, claimConfirmation) }, attls.FailMalformedCMW, "no cnf claim"},
		{"cnf without a key", func(c claims) { c.set(claimConfirmation, map[int]any{3: []byte("kid")}) }, attls.FailMalformedCMW, "no COSE_Key"},
		{"cnf a number", func(c claims) { c.set(claimConfirmation, 7) }, attls.FailMalformedCMW, "an unsigned integer where the claims set"},
		{"no nonce", func(c claims) { delete(c, claimNonce) }, attls.FailBinderMismatch, "eat_nonce is ,"},
		{"nonce a text", func(c claims) { c.set(claimNonce, "nonce nonce") }, attls.FailMalformedCMW, "eat_nonce"},
		{"two nonces, the challenge first", func(c claims) { c.set(claimNonce, [][]byte{testChallenge, testChallenge[:8]}) }, "", ""},
		{"two nonces, the challenge second", func(c claims) { c.set(claimNonce, [][]byte{testChallenge[:8], testChallenge}) }, "", ""},
		{"two nonces, the challenge absent", func(c claims) { c.set(claimNonce, [][]byte{testChallenge[:8], testChallenge[:9]}) }, attls.FailBinderMismatch, "a5a5a5a5a5a5a5a5 or a5a5a5a5a5a5a5a5a5,"},
		{"an array of one nonce", func(c claims) { c.set(claimNonce, [][]byte{testChallenge}) }, attls.FailMalformedCMW, "an array of 1 nonces"},
		{"an array of no nonce", func(c claims) { c.set(claimNonce, [][]byte{}) }, attls.FailMalformedCMW, "an array of 0 nonces"},
		{"a text among nonces", func(c claims) { c.set(claimNonce, []any{testChallenge, "nonce nonce"}) }, attls.FailMalformedCMW, "a text string where a byte string"},
		{"a short nonce", func(c claims) { c.set(claimNonce, testChallenge[:7]) }, attls.FailMalformedCMW, "a nonce of 7 octets"},
		{"a short nonce beside the challenge", func(c claims) { c.set(claimNonce, [][]byte{testChallenge, {1}}) }, attls.FailMalformedCMW, "a nonce of 1 octets"},
		{"a long nonce", func(c claims) { c.set(claimNonce, make([]byte, 65)) }, attls.FailMalformedCMW, "a nonce of 65 octets"},
		{"prefix of the challenge", func(c claims) { c.set(claimNonce, testChallenge[:31]) }, attls.FailBinderMismatch, "the challenge of this connection"},
		{"no ueid", func(c claims) { delete(c, claimUEID) }, attls.FailMalformedCMW, "ueid"},
		{"ueid of an unknown type", func(c claims) { c.set(claimUEID, []byte{9, 1, 2, 3, 4, 5, 6}) }, attls.FailAppraisal, "is not for the device with the ueid 09010203040506"},
		{"ueid of 6 octets", func(c claims) { c.set(claimUEID, []byte{1, 1, 2, 3, 4, 5}) }, attls.FailMalformedCMW, "a ueid of 6 octets"},
		{"ueid of 34 octets", func(c claims) { c.set(claimUEID, make([]byte, 34)) }, attls.FailMalformedCMW, "a ueid of 34 octets"},
		{"another device", func(c claims) { c.set(claimUEID, append([]byte{1}, testChallenge[:16]...)) }, attls.FailAppraisal, "is not for the device"},
		{"another oemid", func(c claims) { c.set(claimOEMID, []byte{1, 2, 3}) }, attls.FailAppraisal, "oemid is 010203"},
		{"oemid a number", func(c claims) { c.set(claimOEMID, 3) }, attls.FailAppraisal, "oemid is the enterprise number 3, not"},
		{"oemid of 16 octets", func(c claims) { c.set(claimOEMID, testChallenge[:16]) }, attls.FailAppraisal, "oemid is a5a5"},
		{"oemid of 4 octets", func(c claims) { c.set(claimOEMID, testChallenge[:4]) }, attls.FailMalformedCMW, "an oemid of 4 octets"},
		{"oemid negative", func(c claims) { c.set(claimOEMID, -3) }, attls.FailMalformedCMW, "oemid"},
		{"oemid zero", func(c claims) { c.set(claimOEMID, 0) }, attls.FailMalformedCMW, "Private Enterprise Number"},
		{"oemid of 33 bits", func(c claims) { c.set(claimOEMID, uint64(1)<<32) }, attls.FailMalformedCMW, "Private Enterprise Number"},
		{"oemid a text", func(c claims) { c.set(claimOEMID, "abc") }, attls.FailMalformedCMW, "oemid"},
		{"hwmodel empty", func(c claims) { c.set(claimModel, []byte{}) }, attls.FailMalformedCMW, "a hwmodel of 0 octets"},
		{"hwmodel of 33 octets", func(c claims) { c.set(claimModel, make([]byte, 33)) }, attls.FailMalformedCMW, "a hwmodel of 33 octets"},
		{"another model", func(c claims) { c.set(claimModel, []byte{1}) }, attls.FailAppraisal, "hwmodel is 01"},
		{"no dbgstat", func(c claims) { delete(c, claimDebug) }, attls.FailAppraisal, "dbgstat is 0"},
		{"dbgstat unknown", func(c claims) { c.set(claimDebug, 5) }, attls.FailMalformedCMW, "dbgstat"},
		{"dbgstat null", func(c claims) { c.set(claimDebug, nil) }, attls.FailMalformedCMW, "null"},
		{"dbgstat tagged", func(c claims) { c.set(claimDebug, cbor.Tag{Number: 5, Content: 2}) }, attls.FailMalformedCMW, "263"},
		{"dbgstat a text", func(c claims) { c.set(claimDebug, "off") }, attls.FailMalformedCMW, "263"},
		{"eat_profile a number", func(c claims) { c.set(claimProfile, 1) }, attls.FailMalformedCMW, "265"},
		{"eat_profile null", func(c claims) { c.set(claimProfile, nil) }, attls.FailMalformedCMW, "265"},
		{"eat_profile an object identifier", func(c claims) { c.set(claimProfile, []byte{0x2b, 6, 1, 4, 1}) }, attls.FailAppraisal, `eat_profile is "1.3.6.1.4.1", not`},
		{"eat_profile an object identifier that is cut off", func(c claims) { c.set(claimProfile, []byte{0x2b, 0x86}) }, attls.FailMalformedCMW, "265"},
		{"eat_profile an object identifier as text", func(c claims) { c.set(claimProfile, "1.3.6.1") }, attls.FailMalformedCMW, "265"},
		{"eat_profile a relative reference", func(c claims) { c.set(claimProfile, "profile") }, attls.FailMalformedCMW, "265"},
		{"no submods", func(c claims) { delete(c, claimSubmods) }, attls.FailAppraisal, `"application" is not measured`},
		{"one component more", func(c claims) {
			submods, _ := parseClaims(c[claimSubmods])
			submods["backdoor"] = submods["application"]
			c[claimSubmods] = submods.encode()
		}, attls.FailAppraisal, "3 components are measured, not 2"},
		{"submods a list", func(c claims) { c.set(claimSubmods, []int{1}) }, attls.FailMalformedCMW, "submods"},
		{"a nested CWT in octets", submod(must(encoding.Marshal([]byte{0xd2, 0x84}))), attls.FailAppraisal, `submodule "gpu" is a nested token`},
		{"a nested CWT with its tag", submod([]byte{0xd8, 61, 0xd2, 0x80}), attls.FailAppraisal, `submodule "gpu" is a nested token`},
		{"a nested JWT", submod(must(encoding.Marshal("eyJ"))), attls.FailAppraisal, `submodule "gpu" is a nested token`},
		{"a detached claims set", submod(must(encoding.Marshal([]any{-16, testChallenge}))), attls.FailAppraisal, `submodule "gpu" is the digest of a detached`},
		{"a detached claims set, its hash by name", submod(must(encoding.Marshal([]any{"sha-256", testChallenge}))), attls.FailAppraisal, `submodule "gpu" is the digest of a detached`},
		{"a detached claims set without a digest", submod(must(encoding.Marshal([]any{-16}))), attls.FailMalformedCMW, "not 1 elements"},
		{"a detached claims set whose digest is text", submod(must(encoding.Marshal([]any{-16, "x"}))), attls.FailMalformedCMW, "digest"},
		{"a submodule that is a number", submod([]byte{7}), attls.FailMalformedCMW, "where the claims set belongs"},
		{"a submodule without claims", submod([]byte{0xa0}), attls.FailAppraisal, `submodule "gpu" has 0 measurements`},
		{"submodules in a submodule", component(func(c claims) { c.set(claimSubmods, map[string]int{}) }), attls.FailAppraisal, "has submodules of its own"},
		{"a submodule that can be debugged", component(func(c claims) { c.set(claimDebug, 0) }), attls.FailAppraisal, "dbgstat is 0"},
		{"a submodule that expired", component(func(c claims) { c.set(claimExpires, 1) }), attls.FailAppraisal, "submodule application: expired at 1970"},
		{"component with a number for a name", func(c claims) { c.set(claimSubmods, map[int]int{1: 1}) }, attls.FailMalformedCMW, "the name of a submodule"},
		{"another version", component(func(c claims) { c.set(claimVersion, []string{"2.0"}) }), attls.FailAppraisal, `has version "2.0"`},
		{"no version", component(func(c claims) { delete(c, claimVersion) }), attls.FailAppraisal, `has version ""`},
		{"version a text", component(func(c claims) { c.set(claimVersion, "2.1.0") }), attls.FailMalformedCMW, "271"},
		{"no measurement", component(func(c claims) { delete(c, claimMeasurements) }), attls.FailAppraisal, "0 measurements"},
		{"measurement of another format", measured(258, []byte{0xa0}), attls.FailAppraisal, "content format 60"},
		{"measurement with names in another case", measured(formatCBOR, must(encoding.Marshal(map[string]any{"Digest": []any{"sha-256", testChallenge}}))), attls.FailMalformedCMW, `a digest ""`},
		{"measurement no CBOR", measured(formatCBOR, []byte{0xff}), attls.FailMalformedCMW, "measurements"},
		{"measurement without a digest", measured(formatCBOR, []byte{0xa0}), attls.FailMalformedCMW, `a digest "" of 0 octets`},
		{"measurement with another hash", measured(formatCBOR, must(encoding.Marshal(measurementBody{digest{Algorithm: "sha-512", Value: testChallenge}}))),
			attls.FailMalformedCMW, `a digest "sha-512"`},
	} {
		c, err := s.Platform.claims()
		if err != nil {
			t.Fatal(err)
		}
		c.set(claimNonce, testChallenge)
		if err := c.setConfirmation(s.PlatformKey.Public()); err != nil {
			t.Fatal(err)
		}
		test.change(c)
		r := negotiation.EvidenceRequest{Scheme: s.Schemes()[0], Challenge: testChallenge}
		verdict := appraise(t, v, r, wrap(t, s, c))
		if verdict.Failure != test.want || !strings.Contains(verdict.Reason, test.says) {
			t.Errorf("%s: %q (%s), want %q and %q", test.name, verdict.Failure, verdict.Reason, test.want, test.says)
		}
	}
}

// TestWellFormed: the limits inside one CBOR item.
func TestWellFormed(t *testing.T) {
	for _, depth := range []int{maxDepth, maxDepth + 1, 100000} {
		b := append(bytes.Repeat([]byte{0x81}, depth), 0)
		if err := wellFormed(b); (err == nil) != (depth <= maxDepth) || err != nil && err.Offset != maxDepth+1 {
			t.Errorf("%d arrays in each other: %v", depth, err)
		}
		b = append(append(bytes.Repeat([]byte{0xa1}, depth), 0), bytes.Repeat([]byte{0}, min(depth, 100))...)
		if err := wellFormed(b); (err == nil) != (depth <= maxDepth) || err != nil && err.Offset != maxDepth+1 {
			t.Errorf("%d maps, each the key of another: %v", depth, err)
		}
	}
	for name, b := range map[string][]byte{"an array": {0xa1, 0x81, 0x01, 0x02}, "a map": {0xa1, 0xa1, 0x01, 0x02, 0x03}, "a tag": {0xa1, 0xd8, 37, 0x41, 0x01, 0x02}} {
		if err := wellFormed(b); err != nil {
			t.Errorf("%s as the key of a map: %v", name, err)
		}
	}
	for _, b := range [][]byte{{}, {0x1c}, {0xff}, {0xf8, 0x1f}, {0xa1, 0x80, 0xa1}, {0x99, 0x01, 0x01}} {
		if wellFormed(b) == nil {
			t.Errorf("%x is well formed", b)
		}
	}
}

// TestBundleNegative: collections that are no KAT and PAT.
func TestBundleNegative(t *testing.T) {
	s, v := testDemo()
	r := negotiation.EvidenceRequest{Scheme: s.Schemes()[0], Challenge: testChallenge, SPKI: testSPKI(t)}
	whole := attest(t, s, r).CMW
	for name, test := range map[string]struct {
		change func(*CMW)
		says   string
	}{
		"no type":        {func(c *CMW) { c.CollectionType = "" }, "a collection of type"},
		"no PAT":         {func(c *CMW) { c.Members = c.Members[:1] }, "a record"},
		"another label":  {func(c *CMW) { c.Members[1].Label = "pta" }, "a record"},
		"a third member": {func(c *CMW) { c.Members = append(c.Members, Member{"x", c.Members[0].CMW}) }, "a record"},
		"a collection inside": {func(c *CMW) {
			c.Members[0].CMW = &CMW{Form: CBORCollection, Members: []Member{{"a", c.Members[1].CMW}}}
		}, "a record"},
		"PAT for KAT":   {func(c *CMW) { c.Members[0].CMW = c.Members[1].CMW }, "no kak-pub"},
		"no COSE_Sign1": {func(c *CMW) { c.Members[0].CMW.Value = []byte{0x83, 1, 2, 3} }, "kat"},
		"tag 17":        {func(c *CMW) { c.Members[0].CMW.Value[0] = 0xd1 }, "kat"},
	} {
		c, failure := ParseCMW(bytes.Clone(whole), Limits{})
		if failure != nil {
			t.Fatal(failure)
		}
		test.change(c)
		b, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if verdict := appraise(t, v, r, b); verdict.Failure != attls.FailMalformedCMW || !strings.Contains(verdict.Reason, test.says) {
			t.Errorf("%s: %q (%s), want %q", name, verdict.Failure, verdict.Reason, test.says)
		}
	}
	// A tolerant reader takes the tags that RFC 8392 allows.
	c, _ := ParseCMW(whole, Limits{})
	c.Members[0].CMW.Value = append([]byte{0xd8, 61, 0xd2}, c.Members[0].CMW.Value...)
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	accepted(t, appraise(t, v, r, b))
}

// TestResultsNegative: results that the trusted verifier signed and that are wrong.
func TestResultsNegative(t *testing.T) {
	s, v := testDemo()
	scheme := negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte(DemoVerifier)}
	r := negotiation.EvidenceRequest{Scheme: scheme, Challenge: testChallenge, SPKI: testSPKI(t)}
	whole := attest(t, s, r).CMW
	another := must(deriveKey(nil, "another verifier"))
	v.Trusted = append(v.Trusted, TrustedVerifier{Identity: []byte("other.example"), Key: another.Public()})
	appraisal := func(change func(map[string]any)) func(map[string]any) { return eachAppraisal(change) }
	now := testTime.Unix()
	for _, test := range []struct {
		name   string
		change func(map[string]any)
		want   attls.Failure
		says   string
	}{
		{"sound", func(map[string]any) {}, "", ""},
		{"padded base64 nonce", func(m map[string]any) { m["eat_nonce"] = strings.Replace(m["eat_nonce"].(string), "-", "+", -1) + "=" }, "", ""},
		{"no nonce", func(m map[string]any) { delete(m, "eat_nonce") }, attls.FailBinderMismatch, "has no eat_nonce"},
		{"another nonce", func(m map[string]any) { m["eat_nonce"] = "AAAAAAAAAAAAAAAA" }, attls.FailBinderMismatch, "is 000000000000000000000000,"},
		{"short nonce", func(m map[string]any) { m["eat_nonce"] = "AA" }, attls.FailAppraisal, "AA is not a text of 8 to 88"},
		{"long nonce", func(m map[string]any) { m["eat_nonce"] = strings.Repeat("A", 89) }, attls.FailAppraisal, "is not a text of 8 to 88"},
		{"nonces, the challenge first", func(m map[string]any) { m["eat_nonce"] = []any{m["eat_nonce"], "AAAAAAAAAAAAAAAA"} }, "", ""},
		{"nonces, the challenge second", func(m map[string]any) { m["eat_nonce"] = []any{"AAAAAAAAAAAAAAAA", m["eat_nonce"]} }, "", ""},
		{"nonces, the challenge absent", func(m map[string]any) { m["eat_nonce"] = []any{"AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAB"} }, attls.FailBinderMismatch, "000000000000000000000000 or 000000000000000000000001"},
		{"an array of one nonce", func(m map[string]any) { m["eat_nonce"] = []any{m["eat_nonce"]} }, attls.FailAppraisal, "an array of 1 nonces"},
		{"a number among nonces", func(m map[string]any) { m["eat_nonce"] = []any{m["eat_nonce"], 7} }, attls.FailAppraisal, "7 is not a text"},
		{"no profile", func(m map[string]any) { delete(m, "eat_profile") }, attls.FailAppraisal, "eat_profile"},
		{"unknown profile", func(m map[string]any) { m["eat_profile"] = "tag:x" }, attls.FailAppraisal, "tag:x"},
		{"no iat", func(m map[string]any) { delete(m, "iat") }, attls.FailAppraisal, "iat"},
		{"iat a text", func(m map[string]any) { m["iat"] = "now" }, attls.FailAppraisal, "iat"},
		{"issued in a minute", func(m map[string]any) { m["iat"] = now + 60 }, "", ""},
		{"issued later", func(m map[string]any) { m["iat"] = now + 61 }, attls.FailAppraisal, "not yet"},
		{"not before later", func(m map[string]any) { m["nbf"] = now + 61 }, attls.FailAppraisal, "not yet"},
		{"a day old", func(m map[string]any) { m["iat"] = now - 86400 }, "", ""},
		{"older", func(m map[string]any) { m["iat"] = now - 86400 - 61 }, attls.FailAppraisal, "expired at 2026-03-01 11:58:59"},
		{"exp just now", func(m map[string]any) { m["exp"] = now }, "", ""},
		{"exp over", func(m map[string]any) { m["exp"] = now - 61 }, attls.FailAppraisal, "expired at 2026-03-01 11:58:59"},
		{"exp a text", func(m map[string]any) { m["exp"] = "soon" }, attls.FailAppraisal, "exp"},
		{"no submods", func(m map[string]any) { m["submods"] = map[string]any{} }, attls.FailAppraisal, "submods"},
		{"submods null", func(m map[string]any) { m["submods"] = nil }, attls.FailAppraisal, "submods"},
		{"an appraisal that is null", func(m map[string]any) { m["submods"].(map[string]any)["gpu"] = nil }, attls.FailAppraisal, "gpu"},
		{"profile null", func(m map[string]any) { m["eat_profile"] = nil }, attls.FailAppraisal, "eat_profile"},
		{"iat null", func(m map[string]any) { m["iat"] = nil }, attls.FailAppraisal, "iat"},
		{"verifier-id null", func(m map[string]any) { m["ear.verifier-id"] = nil }, attls.FailAppraisal, "verifier-id"},
		{"verifier-id without developer", func(m map[string]any) { m["ear.verifier-id"] = map[string]any{"build": "x"} }, attls.FailAppraisal, "developer"},
		{"status null", appraisal(func(a map[string]any) { a["ear.status"] = nil }), attls.FailAppraisal, "ear.status"},
		{"key attestation null", appraisal(func(a map[string]any) { a["ear.veraison.key-attestation"] = nil }), attls.FailAppraisal, "key-attestation"},
		{"akpub a number", appraisal(func(a map[string]any) { a["ear.veraison.key-attestation"] = map[string]any{"akpub": 1} }), attls.FailTIKMismatch, "akpub"},
		{"no status", appraisal(func(a map[string]any) { delete(a, "ear.status") }), attls.FailAppraisal, "ear.status"},
		{"warning", appraisal(func(a map[string]any) { a["ear.status"] = "warning" }), attls.FailAppraisal, "is warning"},
		{"none", appraisal(func(a map[string]any) { a["ear.status"] = "none" }), attls.FailAppraisal, "is none"},
		{"two submods, one contraindicated", func(m map[string]any) {
			m["submods"].(map[string]any)["gpu"] = map[string]any{"ear.status": "contraindicated"}
		}, attls.FailAppraisal, "gpu is contraindicated"},
		{"two submods, one without a key", func(m map[string]any) {
			m["submods"].(map[string]any)["gpu"] = map[string]any{"ear.status": "affirming"}
		}, "", ""},
		{"two keys", func(m map[string]any) {
			m["submods"].(map[string]any)["gpu"] = map[string]any{"ear.status": "affirming", "ear.veraison.key-attestation": map[string]any{
				"akpub": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li_hp_m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q"}}
		}, attls.FailTIKMismatch, "two keys"},
		{"no key", appraisal(func(a map[string]any) { delete(a, "ear.veraison.key-attestation") }), attls.FailTIKMismatch, "no appraisal attests a key"},
		{"akpub a number", appraisal(func(a map[string]any) { a["ear.veraison.key-attestation"] = map[string]any{"akpub": 1} }), attls.FailTIKMismatch, "no akpub"},
		{"akpub no key", appraisal(func(a map[string]any) { a["ear.veraison.key-attestation"] = map[string]any{"akpub": "AAAA"} }), attls.FailTIKMismatch, "akpub"},
		{"no verifier", func(m map[string]any) { delete(m, "ear.verifier-id") }, attls.FailAppraisal, "verifier-id"},
		{"no developer", func(m map[string]any) { m["ear.verifier-id"] = map[string]any{"build": "x"} }, attls.FailAppraisal, "developer"},
	} {
		bad := &spoilt{Software: *s, model: profile.ModelResults, verifier: scheme.Verifier}
		b, err := bad.reissue(whole, test.change)
		if err != nil {
			t.Fatal(err)
		}
		verdict := appraise(t, v, r, b)
		if verdict.Failure != test.want || !strings.Contains(verdict.Reason, test.says) {
			t.Errorf("%s: %q (%s), want %q and %q", test.name, verdict.Failure, verdict.Reason, test.want, test.says)
		}
	}
	// Another trusted verifier's signature, a stranger's, and an unknown choice.
	payload := must(json.Marshal(map[string]any{}))
	for _, test := range []struct {
		name  string
		key   any
		alg   jwa.SignatureAlgorithm
		scene func(*negotiation.EvidenceRequest)
		want  attls.Failure
		says  string
	}{
		{"another verifier", another, jwa.ES256(), nil, attls.FailVerifierMismatch, `issued by "other.example", chosen was "verifier.example"`},
		{"a stranger", must(deriveKey(nil, "a stranger")), jwa.ES256(), nil, attls.FailAppraisal, "does not verify under the key"},
		{"a secret", []byte("secret"), jwa.HS256(), nil, attls.FailAppraisal, "does not verify"},
		{"unknown choice", another, jwa.ES256(), func(r *negotiation.EvidenceRequest) { r.Scheme.Verifier = []byte("nobody") }, attls.FailVerifierMismatch, `no verifier of the identity "nobody"`},
	} {
		r := r
		if test.scene != nil {
			test.scene(&r)
		}
		b, err := edit(whole, func(c *CMW) (err error) { c.Value, err = jws.Sign(payload, jws.WithKey(test.alg, test.key)); return })
		if err != nil {
			t.Fatal(err)
		}
		if verdict := appraise(t, v, r, b); verdict.Failure != test.want || !strings.Contains(verdict.Reason, test.says) {
			t.Errorf("%s: %q (%s), want %q and %q", test.name, verdict.Failure, verdict.Reason, test.want, test.says)
		}
	}
	// Unsigned: alg none.
	b, err := edit(whole, func(c *CMW) error { c.Value = []byte("eyJhbGciOiJub25lIn0.e30."); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if verdict := appraise(t, v, r, b); verdict.Failure != attls.FailAppraisal {
		t.Errorf("alg none: %q", verdict.Failure)
	}
}

// TestResultValidity: a verdict ends with the result it stands on.
func TestResultValidity(t *testing.T) {
	s, v := testDemo()
	r := negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte(DemoVerifier)}, SPKI: testSPKI(t)}
	whole := attest(t, s, r).CMW
	if verdict := appraise(t, v, r, whole); !verdict.ValidUntil.Equal(testTime.Add(24 * time.Hour)) {
		t.Errorf("valid until %v", verdict.ValidUntil)
	}
	bad := &spoilt{Software: *s, model: profile.ModelResults, verifier: r.Scheme.Verifier}
	b, err := bad.reissue(whole, func(m map[string]any) { m["exp"] = testTime.Unix() + 100 })
	if err != nil {
		t.Fatal(err)
	}
	if verdict := appraise(t, v, r, b); !verdict.ValidUntil.Equal(testTime.Add(100 * time.Second)) {
		t.Errorf("valid until %v", verdict.ValidUntil)
	}
	v.MaxAge = time.Minute
	if verdict := appraise(t, v, r, b); !verdict.ValidUntil.Equal(testTime.Add(time.Minute)) {
		t.Errorf("valid until %v", verdict.ValidUntil)
	}
}
