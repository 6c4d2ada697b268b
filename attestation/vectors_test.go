package attestation

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// TestLinkageVector is the linkage of draft-bft-rats-kat: the hash of the COSE_Key in
// the example of draft-bft-rats-kat is the nonce of its PAT.
func TestLinkageVector(t *testing.T) {
	key := unhex(t, "a401022001 215820 f0fffa7ba35e76e44ca1f5446d327c8382a5a40e5f29745df948346c7c88a5d3"+
		"225820 7cb4c4873cbb6f097562f61d5280768cd2cfe35fba97e997280dbaaae3af92fe")
	want := unhex(t, "5ca3750daf829c30c20797eddb7949b1fd028c5408f2dd8650ad732327e3fb64")
	pub, err := ParseCOSEKey(key)
	if err != nil {
		t.Fatal(err)
	}
	back, e := EncodeCOSEKey(pub)
	if e != nil || !bytes.Equal(back, key) {
		t.Errorf("wrote %x (%v), want %x", back, e, key)
	}
	pat := claims{}
	pat.set(claimNonce, want)
	tokens := &tokens{pat: &token{claims: pat}, linked: key, links: [][]byte{want}}
	if err := linkage(tokens); err != nil {
		t.Error(err)
	}
	tokens.links = [][]byte{flipped(want)}
	if err := linkage(tokens); err == nil || err.Failure != attls.FailAppraisal {
		t.Errorf("a nonce that is another hash: %v", err)
	}
}

// TestAKPubVector is the akpub of an EAR (Veraison's key attestation): the base point of P-256.
func TestAKPubVector(t *testing.T) {
	const akpub = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li_hp_m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q"
	der, err := base64.RawURLEncoding.DecodeString(akpub)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := parseSPKI(der)
	if err != nil {
		t.Fatal(err)
	}
	key, err := EncodeCOSEKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	// As it is in the UCCS of Parsec's CCA evidence.
	if want := unhex(t, "a401022001215820 6b17d1f2"); !bytes.HasPrefix(key, want) || !bytes.HasSuffix(key, []byte{0x51, 0xf5}) {
		t.Errorf("COSE_Key %x", key)
	}
	back, failure := ParseCOSEKey(key)
	if failure != nil || !bytes.Equal(must(spkiOf(back)), der) {
		t.Errorf("back to SPKI: %v", failure)
	}
}

func TestCOSEKeyNegative(t *testing.T) {
	x := "215820 6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
	y := "225820 4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
	if _, err := ParseCOSEKey(unhex(t, "a401022001"+x+y)); err != nil {
		t.Fatal(err)
	}
	base, _ := ParseCOSEKey(unhex(t, "a401022001"+x+y))
	for name, good := range map[string]string{"compressed": "a401022001" + x + "22f5", "alg ES256": "a50102 0326 2001" + x + y, "alg ESP256": "a50102 0328 2001" + x + y,
		"key_ops": "a50102 048102 2001" + x + y, "kid": "a50102 024101 2001" + x + y, "indefinite": "bf0102200121 5f 5820" + strings.TrimPrefix(x, "215820") + "ff" + y + "ff"} {
		key, err := ParseCOSEKey(unhex(t, good))
		if err != nil || !sameKey(key, base) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
	if key, err := ParseCOSEKey(unhex(t, "a401022001"+x+"22f4")); err != nil || sameKey(key, base) {
		t.Errorf("the other point of the same x: %v, %v", key, err)
	}
	for name, test := range map[string]struct{ hex, says string }{
		"no key type":                {"a32001" + x + y, "no key type"},
		"key type unknown":           {"a401092001" + x + y, "is not a key supported"},
		"no curve":                   {"a30102" + x + y, "no curve"},
		"curve no integer":           {"a40102204101" + x + y, "no curve"}, // at which a type assertion in go-cose v1.3.0 panics
		"curve unknown":              {"a401022005" + x + y, "is not a key supported"},
		"compressed, short x":        {"a401022001 2141aa 22f5", "a coordinate of 1 octets"},
		"compressed, off":            {"a401022001 215820" + strings.Repeat("ff", 32) + "22f5", "not on"},
		"y null":                     {"a401022001" + x + "22f6", "a simple value where a byte string belongs"},
		"alg of another curve":       {"a50102 033822 2001" + x + y, "ES384 is not an algorithm for a key on P-256"},
		"alg unknown":                {"a50102 0301 2001" + x + y, "algorithm 1 is not supported"},
		"alg a text":                 {"a50102 036178 2001" + x + y, "named by an integer"},
		"key_ops without signatures": {"a50102 04810a 2001" + x + y, "key_ops [10] allows no signatures"},
		"key_ops for signing alone":  {"a50102 048101 2001" + x + y, "key_ops [1] allows no signatures to be verified (2)"},
		"key_ops empty":              {"a50102 0480 2001" + x + y, "key_ops is not a list"},
		"key_ops a number":           {"a50102 0402 2001" + x + y, "key_ops is not a list"},
		"private half":               {"a50102 2001" + x + y + "234101", "the private half of the key (-4)"},
		"no y":                       {"a301022001" + x, "coordinates of 32 and 0"},
		"off the curve":              {"a401022001" + x + strings.Replace(y, "f5", "f6", 1), "not on"},
		"short x":                    {"a401022001 2141aa" + y, "coordinates of 1 and 32"},
		"Ed25519 too short":          {"a301012006 2141aa", "is not a key supported"},
		"RSA too short":              {"a30103204401020304 2143010001", "an RSA key of 25 bits"},
		"no map":                     {"01", "where the claims set belongs"},
		"more than a key":            {"a401022001" + x + y + "00", "follow"},
		"duplicate":                  {"a50102010220 01" + x + y, "appears twice"},
		"private parameters":         {"a401022001" + x, "the CBOR ends"},
	} {
		if _, err := ParseCOSEKey(unhex(t, test.hex)); err == nil || !strings.Contains(err.Detail, test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

// TestPrototypeCapture appraises the bundle that the client 648e of the 2022
// prototype sent to its server, as recorded.
func TestPrototypeCapture(t *testing.T) {
	bundle, err := os.ReadFile("testdata/prototype-648e.bin")
	if err != nil {
		t.Fatal(err)
	}
	parsed, failure := parsePrototype(bundle)
	if failure != nil {
		t.Fatal(failure)
	}
	v := &Verifier{Clock: testClock, Formats: []profile.Format{PrototypeFormat},
		Endorsements: []Endorsement{{Name: "key of the prototype's source", Key: parsed.kak, References: []string{"prototype"}}},
		References:   []Reference{{Name: "prototype", UEIDs: [][]byte{[]byte("ueid_ueid")}, Prototype: true}}}
	r := negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: PrototypeFormat}, Challenge: unhex(t, "0001020304050607"), Fit: profile.FitPadRight}
	accepted(t, appraise(t, v, r, bundle))

	for name, test := range map[string]struct {
		change func(v *Verifier, r *negotiation.EvidenceRequest, b []byte) []byte
		want   attls.Failure
	}{
		"nonce": {func(_ *Verifier, r *negotiation.EvidenceRequest, b []byte) []byte {
			r.Challenge = testChallenge
			return b
		}, attls.FailBinderMismatch},
		"prefix of the nonce": {func(_ *Verifier, r *negotiation.EvidenceRequest, b []byte) []byte {
			r.Challenge = r.Challenge[:7]
			return b
		}, attls.FailBinderMismatch},
		"key": {func(_ *Verifier, r *negotiation.EvidenceRequest, b []byte) []byte { r.SPKI = testSPKI(t); return b }, attls.FailTIKMismatch},
		"endorsement": {func(v *Verifier, _ *negotiation.EvidenceRequest, b []byte) []byte {
			v.Endorsements[0].Key = must(deriveKey(nil, "x")).Public()
			return b
		}, attls.FailAppraisal},
		"device": {func(v *Verifier, _ *negotiation.EvidenceRequest, b []byte) []byte {
			v.References[0].UEIDs[0] = []byte("other")
			return b
		}, attls.FailAppraisal},
		"signature of the PAT": {func(_ *Verifier, _ *negotiation.EvidenceRequest, b []byte) []byte { return flipped(b) }, attls.FailAppraisal},
		"signature of the KAT": {func(_ *Verifier, _ *negotiation.EvidenceRequest, b []byte) []byte { b[228] ^= 1; return b }, attls.FailAppraisal},
		"trailing":             {func(_ *Verifier, _ *negotiation.EvidenceRequest, b []byte) []byte { return append(b, 0) }, attls.FailMalformedCMW},
		"length of the KAT":    {func(_ *Verifier, _ *negotiation.EvidenceRequest, b []byte) []byte { b[2]--; return b }, attls.FailMalformedCMW},
		"first octet":          {func(_ *Verifier, _ *negotiation.EvidenceRequest, b []byte) []byte { b[0] = 2; return b }, attls.FailMalformedCMW},
		"format": {func(_ *Verifier, r *negotiation.EvidenceRequest, b []byte) []byte {
			r.Scheme.Format = profile.Format{ContentFormat: FormatCWT}
			return b
		}, attls.FailMalformedCMW},
	} {
		v, r := *v, r
		v.Endorsements = slices.Clone(v.Endorsements)
		v.References = []Reference{{Name: "prototype", UEIDs: [][]byte{[]byte("ueid_ueid")}, Prototype: true}}
		b := test.change(&v, &r, bytes.Clone(bundle))
		if verdict := appraise(t, &v, r, b); verdict.Failure != test.want {
			t.Errorf("%s: %q (%s), want %q", name, verdict.Failure, verdict.Reason, test.want)
		}
	}
}

// TestPrototypeRoundTrip: our bundle of the prototype's form, and its link.
func TestPrototypeRoundTrip(t *testing.T) {
	s, v := testDemo()
	s.Offers = []Offer{{Format: PrototypeFormat, Tokens: Prototype}}
	v.Formats = []profile.Format{PrototypeFormat}
	v.References = []Reference{{Name: "prototype", UEIDs: [][]byte{s.Platform.UEID}, Prototype: true}}
	r := negotiation.EvidenceRequest{Scheme: s.Schemes()[0], Challenge: []byte{0, 1, 2, 3, 4, 5, 6, 7}}
	ev := attest(t, s, r)
	accepted(t, appraise(t, v, r, ev.CMW))
	if link := sha256.Sum256(must(pointOf(ev.Signer.Public()))); !bytes.Contains(ev.CMW, link[:]) {
		t.Error("the platform token does not hold the hash of the key")
	}
	// A stranger signs a fresh key token beside the recorded platform token.
	stranger := *s
	stranger.PlatformKey = must(deriveKey(nil, "a stranger"))
	r.SPKI = ev.SPKI
	forged := attest(t, &stranger, r).CMW
	katEnd := func(b []byte) int { return 3 + int(b[1])<<8 + int(b[2]) }
	mixed := append(forged[:katEnd(forged):katEnd(forged)], ev.CMW[katEnd(ev.CMW):]...)
	verdict := appraise(t, v, r, mixed)
	if verdict.Failure != attls.FailAppraisal || verdict.Checks[1].Name != CheckPlatform || verdict.Checks[1].OK {
		t.Errorf("a stranger's key token: %q, %+v", verdict.Failure, verdict.Checks)
	}
	r.SPKI = nil
	short := r
	short.Challenge = r.Challenge[:3]
	accepted(t, appraise(t, v, short, attest(t, s, short).CMW))
	r.SPKI = testSPKI(t)
	if verdict := appraise(t, v, r, ev.CMW); verdict.Failure != attls.FailTIKMismatch {
		t.Errorf("another key: %q", verdict.Failure)
	}
}
