package attestation

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/eat"
	"github.com/veraison/go-cose"
)

// changed makes Evidence of a form whose claims were changed before they were
// signed.
func changed(t testing.TB, s *Software, form Tokens, change func(kat, pat claims)) []byte {
	t.Helper()
	kat := claims{}
	kat.set(claimNonce, testChallenge)
	key, err := parseSPKI(testSPKI(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := kat.setConfirmation(key); err != nil {
		t.Fatal(err)
	}
	pat, err := s.Platform.claims()
	if err != nil {
		t.Fatal(err)
	}
	change(kat, pat)
	o := &Offer{Format: profile.Format{ContentFormat: FormatCWT}, Tokens: form}
	make := s.bundle
	if form == Combined {
		make = s.combined
	}
	c, err := make(o, kat, pat)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func evidenceRequest(t testing.TB) negotiation.EvidenceRequest {
	return negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: profile.Format{ContentFormat: FormatCWT}}, Challenge: testChallenge, SPKI: testSPKI(t)}
}

func wants(t testing.TB, v *negotiation.Verdict, failure attls.Failure, says string) {
	t.Helper()
	if v.Failure != failure || !strings.Contains(v.Reason, says) {
		t.Errorf("%q (%s), want %q and %q", v.Failure, v.Reason, failure, says)
	}
	if failure == "" {
		accepted(t, v)
	}
}

// TestDates: exp, nbf and iat of every token of every form.
func TestDates(t *testing.T) {
	now := testTime.Unix()
	cases := []struct {
		name  string
		label int64
		value any
		want  attls.Failure
		says  string
		until time.Time // zero: an hour from now
	}{
		{"exp in a year", claimExpires, now + 31536000, "", "", time.Time{}},
		{"exp in a minute ends the verdict", claimExpires, now + 60, "", "", testTime.Add(time.Minute)},
		{"exp with a fraction is rounded down", claimExpires, float64(now) + 60.9, "", "", testTime.Add(time.Minute)},
		{"exp three years ago", claimExpires, now - 94608000, attls.FailAppraisal, "expired at 2023", time.Time{}},
		{"exp a minute ago, which is the skew", claimExpires, now - 60, attls.FailAppraisal, "expired at 2026-03-01 11:59:00", time.Time{}},
		{"exp with a fraction below that", claimExpires, float64(now) - 59.5, attls.FailAppraisal, "expired at 2026-03-01 11:59:00", time.Time{}},
		{"exp negative", claimExpires, -1, attls.FailAppraisal, "expired at 1969", time.Time{}},
		{"exp zero", claimExpires, 0, attls.FailAppraisal, "expired at 1970", time.Time{}},
		{"exp of 64 bits", claimExpires, uint64(math.MaxUint64), "", "", time.Time{}},
		{"exp of minus 64 bits", claimExpires, int64(math.MinInt64), attls.FailAppraisal, "expired", time.Time{}},
		{"exp a text", claimExpires, "soon", attls.FailMalformedCMW, "exp: a text string where a date", time.Time{}},
		{"exp an array", claimExpires, []int64{now + 60}, attls.FailMalformedCMW, "exp: an array where a date", time.Time{}},
		{"exp null", claimExpires, nil, attls.FailMalformedCMW, "exp: a simple value where a date", time.Time{}},
		{"exp true", claimExpires, true, attls.FailMalformedCMW, "exp: a simple value where a date", time.Time{}},
		{"exp with the tag of a date", claimExpires, cbor.Tag{Number: 1, Content: now + 60}, attls.FailMalformedCMW, "exp: a tag where a date", time.Time{}},
		{"exp a big number", claimExpires, cbor.Tag{Number: 2, Content: make([]byte, 9)}, attls.FailMalformedCMW, "exp: a tag where a date", time.Time{}},
		{"exp not a number", claimExpires, math.NaN(), attls.FailMalformedCMW, "exp", time.Time{}},
		{"exp infinite", claimExpires, math.Inf(1), attls.FailMalformedCMW, "exp", time.Time{}},
		{"nbf now", claimNotBefore, now, "", "", time.Time{}},
		{"nbf in a minute, which is the skew", claimNotBefore, now + 60, "", "", time.Time{}},
		{"nbf in a minute and a fraction", claimNotBefore, float64(now) + 60.1, attls.FailAppraisal, "which is not yet", time.Time{}},
		{"nbf in three years", claimNotBefore, now + 94608000, attls.FailAppraisal, "valid from 2029", time.Time{}},
		{"nbf of 64 bits", claimNotBefore, uint64(math.MaxUint64), attls.FailAppraisal, "which is not yet", time.Time{}},
		{"nbf negative", claimNotBefore, -1, "", "", time.Time{}},
		{"nbf a text", claimNotBefore, "now", attls.FailMalformedCMW, "nbf", time.Time{}},
		{"nbf infinite", claimNotBefore, math.Inf(-1), attls.FailMalformedCMW, "nbf", time.Time{}},
		{"iat now", claimIssuedAt, now, "", "", time.Time{}},
		{"iat in a minute, which is the skew", claimIssuedAt, now + 60, "", "", time.Time{}},
		{"iat in three years", claimIssuedAt, now + 94608000, attls.FailAppraisal, "issued at 2029", time.Time{}},
		{"iat of 64 bits", claimIssuedAt, uint64(math.MaxUint64), attls.FailAppraisal, "which is not yet", time.Time{}},
		{"iat in floating point", claimIssuedAt, float64(now) - 0.5, attls.FailMalformedCMW, "iat: a number in floating point", time.Time{}},
		{"iat in floating point without a fraction", claimIssuedAt, float64(now), attls.FailMalformedCMW, "iat: a number in floating point", time.Time{}},
		{"iat a text", claimIssuedAt, "now", attls.FailMalformedCMW, "iat", time.Time{}},
		{"iat null", claimIssuedAt, nil, attls.FailMalformedCMW, "iat", time.Time{}},
		{"aud is somebody else", claimAudience, "bank.example", attls.FailAppraisal, `meant for ["bank.example"]`, time.Time{}},
		{"aud is several others", claimAudience, []string{"a", "b"}, attls.FailAppraisal, `meant for ["a" "b"]`, time.Time{}},
		{"aud is empty", claimAudience, "", attls.FailAppraisal, `meant for [""]`, time.Time{}},
		{"aud is the verifier", claimAudience, DemoVerifier, "", "", time.Time{}},
		{"aud has another name of the verifier", claimAudience, []string{"bank.example", "an alias"}, "", "", time.Time{}},
		{"aud a number", claimAudience, 7, attls.FailMalformedCMW, "aud", time.Time{}},
		{"aud an empty list", claimAudience, []string{}, attls.FailMalformedCMW, "aud", time.Time{}},
		{"aud null", claimAudience, nil, attls.FailMalformedCMW, "aud", time.Time{}},
		{"intuse generic", claimUse, 1, "", "", time.Time{}},
		{"intuse proof of possession", claimUse, 5, "", "", time.Time{}},
		{"intuse certificate signing request", claimUse, 4, attls.FailAppraisal, "intuse) is 4", time.Time{}},
		{"intuse unknown", claimUse, 6, attls.FailAppraisal, "intuse) is 6", time.Time{}},
		{"intuse zero", claimUse, 0, attls.FailMalformedCMW, "intuse", time.Time{}},
		{"intuse a text", claimUse, "generic", attls.FailMalformedCMW, "intuse", time.Time{}},
	}
	s, v := testDemo()
	v.Audiences = []string{"an alias"}
	for where, test := range map[string]struct {
		form Tokens
		pick func(kat, pat claims) claims
	}{
		"key token":      {KATAndPAT, func(kat, _ claims) claims { return kat }},
		"platform token": {KATAndPAT, func(_, pat claims) claims { return pat }},
		"combined token": {Combined, func(kat, _ claims) claims { return kat }},
	} {
		for _, c := range cases {
			t.Run(where+", "+c.name, func(t *testing.T) {
				b := changed(t, s, test.form, func(kat, pat claims) { test.pick(kat, pat).set(c.label, c.value) })
				verdict := appraise(t, v, evidenceRequest(t), b)
				wants(t, verdict, c.want, c.says)
				until := c.until
				if until.IsZero() {
					until = testTime.Add(time.Hour)
				}
				if c.want == "" && !verdict.ValidUntil.Equal(until) {
					t.Errorf("valid until %v, want %v", verdict.ValidUntil, until)
				}
			})
		}
	}
}

// TestPrototypeDates: the prototype's tokens are CWTs too.
func TestPrototypeDates(t *testing.T) {
	s, v := testDemo()
	v.References = append(v.References, Reference{Name: "prototype", Prototype: true})
	key := must(parseSPKI(testSPKI(t)))
	make := func(change func(kat, pat claims)) []byte {
		ik := must(pointOf(key))
		kat, pat := claims{}, claims{}
		kat.set(claimNonce, testChallenge)
		kat.set(claimConfirmation, ik)
		kat.set(claimKAK, must(pointOf(s.PlatformKey.Public())))
		pat.set(claimNonce, sha256Of(ik))
		pat.set(prototypeUEID, []byte(s.Platform.UEID))
		change(kat, pat)
		out := []byte{prototypeFirst}
		for _, c := range []claims{kat, pat} {
			b := must(s.sign(s.PlatformKey, c))
			out = append(append(out, byte(len(b)>>8), byte(len(b))), b...)
		}
		return out
	}
	r := evidenceRequest(t)
	r.Scheme.Format = PrototypeFormat
	wants(t, appraise(t, v, r, make(func(_, _ claims) {})), "", "")
	wants(t, appraise(t, v, r, make(func(kat, _ claims) { kat.set(claimExpires, 1) })), attls.FailAppraisal, "kat: expired")
	wants(t, appraise(t, v, r, make(func(_, pat claims) { pat.set(claimNotBefore, testTime.Unix()+61) })), attls.FailAppraisal, "pat: valid from")
	wants(t, appraise(t, v, r, make(func(_, pat claims) { pat.set(claimIssuedAt, 1.5) })), attls.FailMalformedCMW, "iat")
}

func sha256Of(b []byte) []byte {
	h := crypto.SHA256.New()
	h.Write(b)
	return h.Sum(nil)
}

// resigned replaces the tokens of a bundle by tokens with other headers.
func resigned(t testing.TB, s *Software, b []byte, label string, sign func(key crypto.Signer, payload []byte) []byte) []byte {
	t.Helper()
	c, failure := ParseCMW(b, Limits{})
	if failure != nil {
		t.Fatal(failure)
	}
	m, _ := c.member(label)
	old, failure := parseToken(m.Value)
	if failure != nil {
		t.Fatal(failure)
	}
	key := s.PlatformKey
	if label == labelKAT {
		key = s.KeyAttestationKey
	}
	m.Value = sign(key, old.payload)
	out, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTokenHeaders: what the headers of a COSE_Sign1 say is obeyed or refused.
func TestTokenHeaders(t *testing.T) {
	s, v := testDemo()
	r := evidenceRequest(t)
	whole := attest(t, s, r).CMW
	type pairs = map[any]any
	for _, test := range []struct {
		name                   string
		protected, unprotected pairs
		want                   attls.Failure
		says                   string
	}{
		{"alg alone", pairs{1: -7}, nil, "", ""},
		{"ESP256 of RFC 9864", pairs{1: -9}, nil, "", ""},
		{"a key identifier", pairs{1: -7}, pairs{4: []byte("kid")}, "", ""},
		{"a certificate chain, which is ignored", pairs{1: -7}, pairs{33: []byte("certificate")}, "", ""},
		{"an unknown parameter that is not critical", pairs{1: -7, "x": 1}, pairs{"y": 2}, "", ""},
		{"the type of a CWT", pairs{1: -7, 16: "application/eat+cwt"}, nil, "", ""},
		{"the type of a CWT with a profile", pairs{1: -7, 3: `application/eat+cwt; eat_profile="https://a.example/b/c"`}, nil, "", ""},
		{"the type of a CWT by number", pairs{1: -7, 16: 263, 3: 61}, nil, "", ""},
		{"crit with an unknown name", pairs{1: -7, 2: []any{"x"}, "x": 1}, nil, attls.FailAppraisal, "crit lists the header parameters [x]"},
		{"crit with an unknown number", pairs{1: -7, 2: []any{99}, 99: 1}, nil, attls.FailAppraisal, "crit lists the header parameters [99]"},
		{"crit with a parameter that is absent", pairs{1: -7, 2: []any{99}}, nil, attls.FailMalformedCMW, "missing critical header"},
		{"crit of nothing", pairs{1: -7, 2: []any{}}, nil, attls.FailMalformedCMW, "empty crit"},
		{"crit that is not a list", pairs{1: -7, 2: 99, 99: 1}, nil, attls.FailMalformedCMW, "crit"},
		{"crit in the unprotected header", pairs{1: -7, 99: 1}, pairs{2: []any{99}}, attls.FailMalformedCMW, "unprotected: the parameter 2 belongs in the protected"},
		{"no algorithm", nil, nil, attls.FailAppraisal, "the protected header names no algorithm"},
		{"no algorithm in a header that is empty", pairs{}, nil, attls.FailAppraisal, "the protected header names no algorithm"},
		{"algorithm in the unprotected header only", nil, pairs{1: -7}, attls.FailAppraisal, "the protected header names no algorithm"},
		{"algorithm in both headers", pairs{1: -7}, pairs{1: -7}, attls.FailMalformedCMW, "the parameter 1 is in both headers"},
		{"algorithm of another curve", pairs{1: -35}, nil, attls.FailAppraisal, "ES384"},
		{"algorithm of another curve by RFC 9864", pairs{1: -51}, nil, attls.FailAppraisal, "ESP384"},
		{"algorithm of another type of key", pairs{1: -8}, nil, attls.FailAppraisal, "EdDSA"},
		{"algorithm of RSA", pairs{1: -37}, nil, attls.FailAppraisal, "PS256"},
		{"algorithm that is a MAC", pairs{1: 5}, nil, attls.FailAppraisal, "algorithm 5 is not supported"},
		{"algorithm that is reserved", pairs{1: 0}, nil, attls.FailAppraisal, "algorithm 0 is not supported"},
		{"algorithm by name", pairs{1: "ES256"}, nil, attls.FailAppraisal, "named by an integer"},
		{"algorithm null", pairs{1: nil}, nil, attls.FailMalformedCMW, "alg"},
		{"algorithm a fraction", pairs{1: -7.0}, nil, attls.FailMalformedCMW, "alg"},
		{"another content type", pairs{1: -7, 3: "application/eat+jwt"}, nil, attls.FailFormatMismatch, "application/eat+jwt; a CWT is expected"},
		{"another content type, unprotected", pairs{1: -7}, pairs{3: 264}, attls.FailFormatMismatch, "a CWT is expected"},
		{"another type", pairs{1: -7, 16: "application/kb+cwt"}, nil, attls.FailFormatMismatch, "a CWT is expected"},
		{"claims in the unprotected header", pairs{1: -7}, pairs{15: pairs{4: 1}}, attls.FailMalformedCMW, "unprotected: the parameter 15 belongs"},
		{"exp in the header only", pairs{1: -7, 15: pairs{4: 1}}, nil, attls.FailMalformedCMW, "the claim 4 is not the one of the payload"},
	} {
		for _, label := range []string{labelKAT, labelPAT} {
			t.Run(label+", "+test.name, func(t *testing.T) {
				b := resigned(t, s, whole, label, func(key crypto.Signer, payload []byte) []byte {
					protected := []byte{}
					if test.protected != nil {
						protected = must(encoding.Marshal(test.protected))
					}
					unprotected := must(encoding.Marshal(test.unprotected))
					if test.unprotected == nil {
						unprotected = []byte{0xa0}
					}
					return must(signUnder(key, protected, unprotected, payload))
				})
				wants(t, appraise(t, v, r, b), test.want, test.says)
			})
		}
	}
	t.Run("the nonce is repeated in the header as it is", func(t *testing.T) {
		b := resigned(t, s, whole, labelKAT, func(key crypto.Signer, payload []byte) []byte {
			return must(signUnder(key, must(encoding.Marshal(pairs{1: -7, 15: pairs{10: testChallenge}})), []byte{0xa0}, payload))
		})
		wants(t, appraise(t, v, r, b), "", "")
	})
}

// TestTokenForms: the COSE_Sign1 itself.
func TestTokenForms(t *testing.T) {
	s, v := testDemo()
	r := evidenceRequest(t)
	whole := attest(t, s, r).CMW
	prefix := func(hex string) func([]byte) []byte {
		return func(b []byte) []byte { return append(unhex(t, hex), b...) }
	}
	// each takes a token apart and puts it together in another way
	parts := func(build func(protected, payload, signature []byte) []byte) func([]byte) []byte {
		return func(b []byte) []byte {
			x, err := parseToken(b)
			if err != nil {
				t.Fatal(err)
			}
			return build(x.protected, x.payload, x.signature)
		}
	}
	octets := func(b []byte) []byte { return must(encoding.Marshal(b)) }
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	chunked := func(b []byte) []byte { return join([]byte{0x5f}, octets(b[:3]), octets(b[3:]), []byte{0xff}) }
	for _, test := range []struct {
		name   string
		change func([]byte) []byte
		want   attls.Failure
		says   string
	}{
		{"tag 18", prefix("d2"), "", ""},
		{"tag 61 and tag 18", prefix("d83dd2"), "", ""},
		{"both tags in a longer form", prefix("d9003dda00000012"), "", ""},
		{"tag 61 alone", prefix("d83d"), attls.FailMalformedCMW, "tag 61 without the tag of a COSE message"},
		{"tag 61 twice", prefix("d83dd83dd2"), attls.FailMalformedCMW, "tag 61"},
		{"tag 18 before tag 61", prefix("d2d83d"), attls.FailMalformedCMW, "tag 61"},
		{"tag 18 twice", prefix("d2d2"), attls.FailMalformedCMW, "tag 18"},
		{"the tag of a MAC", prefix("d1"), attls.FailMalformedCMW, "tag 17"},
		{"the tag of a COSE_Sign", prefix("d83dd862"), attls.FailMalformedCMW, "tag 98"},
		{"an array of indefinite length", parts(func(p, c, x []byte) []byte {
			return join([]byte{0x9f}, octets(p), []byte{0xa0}, octets(c), octets(x), []byte{0xff})
		}), "", ""},
		{"strings in chunks", parts(func(p, c, x []byte) []byte {
			return join([]byte{0x84}, chunked(p), []byte{0xbf, 0xff}, chunked(c), chunked(x))
		}), "", ""},
		{"five elements", parts(func(p, c, x []byte) []byte {
			return join([]byte{0x85}, octets(p), []byte{0xa0}, octets(c), octets(x), []byte{0xf6})
		}), attls.FailMalformedCMW, "more than four elements"},
		{"three elements", parts(func(p, c, x []byte) []byte { return join([]byte{0x83}, octets(p), []byte{0xa0}, octets(c)) }), attls.FailMalformedCMW, "an array of 3 elements"},
		{"a detached payload", parts(func(p, _, x []byte) []byte { return join([]byte{0x84}, octets(p), []byte{0xa0, 0xf6}, octets(x)) }), attls.FailMalformedCMW, "detached"},
		{"an empty payload", parts(func(p, _, x []byte) []byte { return join([]byte{0x84}, octets(p), []byte{0xa0, 0x40}, octets(x)) }), attls.FailMalformedCMW, "payload"},
		{"an empty signature", parts(func(p, c, _ []byte) []byte {
			return join([]byte{0x84}, octets(p), []byte{0xa0}, octets(c), []byte{0x40})
		}), attls.FailMalformedCMW, "an empty signature"},
		{"a signature that is null", parts(func(p, c, _ []byte) []byte {
			return join([]byte{0x84}, octets(p), []byte{0xa0}, octets(c), []byte{0xf6})
		}), attls.FailMalformedCMW, "signature"},
		{"a signature in DER", parts(func(p, c, x []byte) []byte {
			return join([]byte{0x84}, octets(p), []byte{0xa0}, octets(c), octets(append([]byte{0x30, 0x45, 2, 0x20}, x...)))
		}), attls.FailAppraisal, ""},
		{"a protected header that is a map", parts(func(p, c, x []byte) []byte { return join([]byte{0x84}, p, []byte{0xa0}, octets(c), octets(x)) }), attls.FailMalformedCMW, "protected"},
		{"an unprotected header that is a list", parts(func(p, c, x []byte) []byte { return join([]byte{0x84}, octets(p), []byte{0x80}, octets(c), octets(x)) }), attls.FailMalformedCMW, "unprotected"},
		{"an octet after it", func(b []byte) []byte { return append(bytes.Clone(b), 0) }, attls.FailMalformedCMW, "follow"},
	} {
		for _, label := range []string{labelKAT, labelPAT} {
			t.Run(label+", "+test.name, func(t *testing.T) {
				c, failure := ParseCMW(whole, Limits{})
				if failure != nil {
					t.Fatal(failure)
				}
				m, _ := c.member(label)
				m.Value = test.change(m.Value)
				wants(t, appraise(t, v, r, must(c.Encode())), test.want, test.says)
			})
		}
	}
}

// TestClaimsInOtherCBOR: claims sets in CBOR that is not deterministic, signed so.
func TestClaimsInOtherCBOR(t *testing.T) {
	s, v := testDemo()
	r := evidenceRequest(t)
	whole := attest(t, s, r).CMW
	loose := func(b []byte) []byte { // an indefinite map, each key in a longer form
		c, err := parseClaims(b)
		if err != nil {
			t.Fatal(err)
		}
		out := []byte{0xbf}
		for label, value := range c {
			if n, ok := label.(int64); ok && n >= 0 {
				out = append(out, 0x1b, 0, 0, 0, 0, 0, 0, byte(n>>8), byte(n))
			} else {
				out = append(out, must(encoding.Marshal(label))...)
			}
			out = append(out, value...)
		}
		return append(out, 0xff)
	}
	for _, label := range []string{labelKAT, labelPAT} {
		t.Run(label, func(t *testing.T) {
			b := resigned(t, s, whole, label, func(key crypto.Signer, payload []byte) []byte { return must(signToken(key, loose(payload))) })
			wants(t, appraise(t, v, r, b), "", "")
			twice := func(payload []byte) []byte { // exp twice: far away, and over in a longer form
				out := loose(payload)
				return append(append(out[:len(out)-1], 0x04, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x18, 0x04, 0x01), 0xff)
			}
			b = resigned(t, s, whole, label, func(key crypto.Signer, payload []byte) []byte { return must(signToken(key, twice(payload))) })
			wants(t, appraise(t, v, r, b), attls.FailMalformedCMW, "appears twice")
		})
	}
}

// TestKeysOfTokens: every kind of platform key signs and verifies, under each of
// its algorithms and under no other.
func TestKeysOfTokens(t *testing.T) {
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve := func(c elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(c, rand.Reader)) }
	for _, test := range []struct {
		name string
		key  crypto.Signer
		good []int64
	}{
		{"P-256", curve(elliptic.P256()), []int64{-7, -9}},
		{"P-384", curve(elliptic.P384()), []int64{-35, -51}},
		{"P-521", curve(elliptic.P521()), []int64{-36, -52}},
		{"Ed25519", edKey, []int64{-8, -19}},
		{"RSA", rsaKey, []int64{-37}},
	} {
		for alg := range algorithms {
			payload := claims{}.encode()
			b := must(signUnder(test.key, claims{coseHeaderAlg: must(encoding.Marshal(int64(alg)))}.encode(), payload, payload))
			x, failure := parseToken(b)
			if failure != nil {
				t.Fatal(failure)
			}
			good := false
			for _, n := range test.good {
				good = good || n == int64(alg)
			}
			if err := x.verify(test.key.Public()); (err == nil) != good {
				t.Errorf("%s under %s: %v", test.name, algorithmName(alg), err)
			}
		}
	}
	signer := must(cose.NewSigner(cose.AlgorithmPS384, rsaKey))
	header := claims{coseHeaderAlg: must(encoding.Marshal(cose.AlgorithmPS384))}.encode()
	x := &token{protected: header, header: must2(parseClaims(header)), payload: []byte{0xa0}}
	if x.signature, err = signer.Sign(rand.Reader, toBeSigned(x.protected, x.payload)); err != nil {
		t.Fatal(err)
	}
	if err := x.verify(rsaKey.Public()); err != nil {
		t.Errorf("PS384: %v", err)
	}
}

func must2[T any](v T, err *attls.Error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestShortRSAKeys: RFC 8230 section 2 and RFC 7518 section 3.5 want 2048 bits.
func TestShortRSAKeys(t *testing.T) {
	short := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2046, 1), E: 65537}
	const says = "2047 bits"
	if _, err := ParseCOSEKey(must(EncodeCOSEKey(short))); err == nil || !strings.Contains(err.Detail, says) {
		t.Errorf("cnf: %v", err)
	}
	header := claims{coseHeaderAlg: must(encoding.Marshal(cose.AlgorithmPS256))}
	if err := (&token{header: header, signature: make([]byte, 256)}).verify(short); err == nil || suits(cose.AlgorithmPS256, short) {
		t.Errorf("a token: %v", err)
	}
	if _, err := (&jwt{header: map[string]any{"alg": "PS256"}}).algorithm(short); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("results: %v", err)
	}
}

// TestReferenceWithAComponentTwice: what is listed twice does not make room for what
// is not listed.
func TestReferenceWithAComponentTwice(t *testing.T) {
	s, v := testDemo()
	v.References[0].Components[1] = v.References[0].Components[0]
	r := evidenceRequest(t)
	wants(t, appraise(t, v, r, attest(t, s, r).CMW), attls.FailAppraisal, "is measured, and not listed")
}

// TestConfirmationWithTwoKeys: a cnf has a key or an encrypted one (RFC 8747
// section 3.1).
func TestConfirmationWithTwoKeys(t *testing.T) {
	s, v := testDemo()
	b := changed(t, s, KATAndPAT, func(kat, _ claims) {
		cnf := must2(parseClaims(kat[claimConfirmation]))
		cnf.set(int64(2), []any{})
		kat[claimConfirmation] = cnf.encode()
	})
	wants(t, appraise(t, v, evidenceRequest(t), b), attls.FailMalformedCMW, "Encrypted_COSE_Key")
}

// TestKeyOfTheKeyToken: kak-pub may say with which algorithm alone it is used.
func TestKeyOfTheKeyToken(t *testing.T) {
	s, v := testDemo()
	key := must(encoding.Marshal(must2(parseClaims(must(EncodeCOSEKey(s.KeyAttestationKey.Public()))))))
	for alg, want := range map[int64]attls.Failure{-7: "", -9: "", -35: attls.FailMalformedCMW} {
		k := must2(parseClaims(key))
		k.set(int64(coseAlg), alg)
		x := tokens{kat: &token{header: claims{coseHeaderAlg: must(encoding.Marshal(cose.AlgorithmES256))}}}
		parsed, err := parseCOSEKey(k.encode())
		if (err == nil) != (want == "") {
			t.Errorf("alg %d: %v", alg, err)
		}
		if x.kak, x.kakAlgorithm = parsed.public, cose.AlgorithmES384; err == nil {
			if err := keySignature(&x); err == nil || !strings.Contains(err.Detail, "kak-pub is for ES384 only") {
				t.Errorf("alg %d: %v", alg, err)
			}
		}
	}
	_ = v
}

// TestEndorsements: a key speaks for the platforms that its endorsement names.
func TestEndorsements(t *testing.T) {
	s, v := testDemo()
	board := must(deriveKey(nil, "development board"))
	r := evidenceRequest(t)
	other := [][]byte{append([]byte{1}, testChallenge[:16]...)}
	mine := [][]byte{s.Platform.UEID}
	key := s.PlatformKey.Public()
	boardRef := s.Platform.Reference("board")
	boardRef.UEIDs = other
	v.References = append(v.References, boardRef)
	for _, test := range []struct {
		name         string
		endorsements []Endorsement
		want         attls.Failure
		says         string
	}{
		{"by device", []Endorsement{{Key: key, UEIDs: mine}}, "", ""},
		{"by maker and model", []Endorsement{{Key: key, OEMID: s.Platform.OEMID, Model: s.Platform.Model}}, "", ""},
		{"by reference", []Endorsement{{Key: key, References: []string{"x", "demo platform"}}}, "", ""},
		{"by all of them", []Endorsement{{Key: key, UEIDs: mine, OEMID: s.Platform.OEMID, Model: s.Platform.Model, References: []string{"demo platform"}}}, "", ""},
		{"one key, two endorsements", []Endorsement{{Key: key, UEIDs: other}, {Key: key, UEIDs: mine}}, "", ""},
		{"for nobody", []Endorsement{{Name: "x", Key: key}}, attls.FailAppraisal, `is endorsed ("x"), but the endorsement names no platform`},
		{"for another device", []Endorsement{{Key: key, UEIDs: other}}, attls.FailAppraisal, "is not for the device with the ueid"},
		{"for no device", []Endorsement{{Key: key, UEIDs: [][]byte{}}}, attls.FailAppraisal, "is not for the device with the ueid"},
		{"for another maker", []Endorsement{{Key: key, UEIDs: mine, OEMID: []byte{1, 2, 3}}}, attls.FailAppraisal, "is not for the maker with the oemid 894823"},
		{"for a maker with a number", []Endorsement{{Key: key, OEMPEN: 7}}, attls.FailAppraisal, "is not for the maker with the enterprise number 0"},
		{"for another model", []Endorsement{{Key: key, UEIDs: mine, Model: []byte{1}}}, attls.FailAppraisal, "is not for the hwmodel"},
		{"for another reference", []Endorsement{{Key: key, References: []string{"board"}}}, attls.FailAppraisal, `"demo platform": the endorsement of the platform key does not list it`},
		{"for no reference", []Endorsement{{Key: key, References: []string{}}}, attls.FailAppraisal, "does not list it"},
		{"the device of one, the reference of the other", []Endorsement{{Key: key, UEIDs: mine, References: []string{"board"}}, {Key: key, UEIDs: other, References: []string{"demo platform"}}},
			attls.FailAppraisal, "does not list it"},
		{"another key for the device", []Endorsement{{Key: board.Public(), UEIDs: mine}, {Key: key, UEIDs: other}}, attls.FailAppraisal, "is not for the device"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := *v
			v.Endorsements = test.endorsements
			wants(t, appraise(t, &v, r, attest(t, s, r).CMW), test.want, test.says)
		})
	}
	t.Run("the key of the board vouches for the production platform", func(t *testing.T) {
		v := *v
		v.Endorsements = append([]Endorsement{{Name: "board", Key: board.Public(), UEIDs: other}}, v.Endorsements...)
		bad := *s
		bad.PlatformKey = board
		wants(t, appraise(t, &v, r, attest(t, &bad, r).CMW), attls.FailAppraisal, `is endorsed ("board"), but the endorsement is not for the device`)
		bad.Platform.UEID = other[0]
		wants(t, appraise(t, &v, r, attest(t, &bad, r).CMW), "", "")
	})
}

// TestMakers: an oemid in each of its forms, and an eat_profile in both.
func TestMakers(t *testing.T) {
	for name, change := range map[string]func(*Platform){
		"an IEEE identifier":        func(p *Platform) { p.OEMID = []byte{1, 2, 3} },
		"a random identifier":       func(p *Platform) { p.OEMID = testChallenge[:16] },
		"an enterprise number":      func(p *Platform) { p.OEMID, p.OEMPEN = nil, 32473 },
		"none":                      func(p *Platform) { p.OEMID = nil },
		"a profile by identifier":   func(p *Platform) { p.Profile = "1.3.6.1.4.1.32473.1" },
		"a device of IEEE":          func(p *Platform) { p.UEID = []byte{2, 1, 2, 3, 4, 5, 6} },
		"a device with an IMEI":     func(p *Platform) { p.UEID = append([]byte{3}, make([]byte, 14)...) },
		"a device with debug":       func(p *Platform) { p.Debug = 0 },
		"a device without software": func(p *Platform) { p.Components = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s, v := testDemo()
			change(&s.Platform)
			v.Endorsements[0].UEIDs = [][]byte{s.Platform.UEID}
			v.References = []Reference{s.Platform.Reference("changed")}
			r := evidenceRequest(t)
			wants(t, appraise(t, v, r, attest(t, s, r).CMW), "", "")
			v.References[0].OEMPEN = 7
			wants(t, appraise(t, v, r, attest(t, s, r).CMW), attls.FailAppraisal, "not the enterprise number 7")
		})
	}
	s, _ := testDemo()
	for name, change := range map[string]func(*Platform){
		"two makers":        func(p *Platform) { p.OEMPEN = 1 },
		"a maker of a kind": func(p *Platform) { p.OEMID = []byte{1} },
		"a long model":      func(p *Platform) { p.Model = make([]byte, 33) },
	} {
		p := s.Platform
		change(&p)
		if _, err := p.claims(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestDebugUnlessAllowed: a reference that does not speak of debugging admits no
// platform with debugging enabled.
func TestDebugUnlessAllowed(t *testing.T) {
	s, v := testDemo()
	r := evidenceRequest(t)
	for _, test := range []struct {
		name     string
		claimed  any
		debug    uint8
		allow    bool
		accepted bool
	}{
		{"disabled, not stated", 1, 0, false, true},
		{"enabled, not stated", 0, 0, false, false},
		{"not claimed, not stated", nil, 0, false, false},
		{"enabled, allowed", 0, 0, true, true},
		{"not claimed, allowed", nil, 0, true, true},
		{"disabled, disabled for good is wanted", 1, 3, false, false},
		{"enabled, disabled for good is wanted and enabled allowed", 0, 3, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := changed(t, s, KATAndPAT, func(_, pat claims) {
				if delete(pat, claimDebug); test.claimed != nil {
					pat.set(claimDebug, test.claimed)
				}
			})
			v.References[0].Debug, v.References[0].AllowDebug = eatDebug(test.debug), test.allow
			if test.accepted {
				wants(t, appraise(t, v, r, b), "", "")
			} else {
				wants(t, appraise(t, v, r, b), attls.FailAppraisal, "dbgstat is")
			}
		})
	}
}

// TestResultHeaders: what the header and the form of a JWT say is obeyed or refused.
func TestResultHeaders(t *testing.T) {
	s, v := testDemo()
	r := negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte(DemoVerifier)}, Challenge: testChallenge, SPKI: testSPKI(t)}
	whole := attest(t, s, r).CMW
	payload := must(verifyJWT(must2(ParseCMW(whole, Limits{})).Value, v.Key.Public()))
	encode := base64.RawURLEncoding.EncodeToString
	header := func(text string) []byte { return must(signJWT(v.Key, []byte(text), payload)) }
	part := func(b []byte, i int) string { return strings.Split(string(b), ".")[i] }
	sound := header(`{"alg":"ES256"}`)
	for _, test := range []struct {
		name string
		jwt  []byte
		says string // empty: accepted
	}{
		{"alg alone", sound, ""},
		{"typ JWT", header(`{"alg":"ES256","typ":"JWT"}`), ""},
		{"typ of an EAT", header(`{"alg":"ES256","typ":"application/eat+jwt; eat_profile=x"}`), ""},
		{"a key identifier and an address of keys, which are ignored", header(`{"alg":"ES256","kid":"x","jku":"https://a.example"}`), ""},
		{"keys of kinds that are not known, which are ignored", header(`{"alg":"ES256","jwk":{"kty":"AKP","alg":"x"},"x5c":["?"],"x5t":1}`), ""},
		{"an unknown parameter that is not critical", header(`{"alg":"ES256","x":1}`), ""},
		{"crit with an unknown name", header(`{"alg":"ES256","crit":["foo"],"foo":1}`), "crit lists"},
		{"crit with a registered name", header(`{"alg":"ES256","crit":["exp"],"exp":1}`), "crit lists"},
		{"crit of nothing", header(`{"alg":"ES256","crit":[]}`), "crit lists"},
		{"crit null", header(`{"alg":"ES256","crit":null}`), "crit lists"},
		{"b64 with crit", header(`{"alg":"ES256","b64":false,"crit":["b64"]}`), "crit lists"},
		{"b64 without crit", header(`{"alg":"ES256","b64":false}`), "has b64"},
		{"b64 true", header(`{"alg":"ES256","b64":true}`), "has b64"},
		{"no alg", header(`{"typ":"JWT"}`), "names no algorithm"},
		{"alg null", header(`{"alg":null}`), "names no algorithm"},
		{"alg in another case", header(`{"ALG":"ES256"}`), "names no algorithm"},
		{"alg of another curve", header(`{"alg":"ES384"}`), `"ES384", which is not for a key on P-256`},
		{"alg none", header(`{"alg":"none"}`), `"none", which is not for`},
		{"alg of a MAC", header(`{"alg":"HS256"}`), `"HS256", which is not for`},
		{"alg in lower case", header(`{"alg":"es256"}`), `"es256", which is not for`},
		{"alg twice", header(`{"alg":"ES256","alg":"ES384"}`), "appears twice"},
		{"typ of something else", header(`{"alg":"ES256","typ":"at+jwt"}`), "typ is at+jwt"},
		{"typ a number", header(`{"alg":"ES256","typ":1}`), "typ is 1"},
		{"cty says that a JWT is inside", header(`{"alg":"ES256","cty":"JWT"}`), "cty is JWT"},
		{"exp in the header only", header(`{"alg":"ES256","exp":1}`), "the header repeats exp"},
		{"aud in the header only", header(`{"alg":"ES256","aud":"x"}`), "the header repeats aud"},
		{"a header that is a list", header(`["ES256"]`), "not a JSON object"},
		{"a header that is not UTF-8", header("{\"alg\":\"ES256\",\"x\":\"\xff\"}"), "UTF-8"},
		{"octets after the header's object", header(`{"alg":"ES256"}{}`), "more follows"},
		{"a header nested deep", header(`{"alg":"ES256","x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`), "nested deeper"},
		{"white space after it", append(bytes.Clone(sound), '\n'), "base64url"},
		{"white space before it", append([]byte(" "), sound...), "base64url"},
		{"padding", []byte(part(sound, 0) + "==." + part(sound, 1) + "." + part(sound, 2)), "base64url"},
		{"four parts", append(bytes.Clone(sound), ".AA"...), "not 4"},
		{"two parts", []byte(part(sound, 0) + "." + part(sound, 1)), "not 2"},
		{"no signature", []byte(part(sound, 0) + "." + part(sound, 1) + "."), "no signature"},
		{"a detached payload", []byte(part(sound, 0) + ".." + part(sound, 2)), "claims of the JWT"},
		{"flattened JSON serialization", []byte(`{"payload":"` + part(sound, 1) + `","protected":"` + part(sound, 0) + `","signature":"` + part(sound, 2) + `"}`), "compact"},
		{"general JSON serialization", []byte(`{"payload":"` + part(sound, 1) + `","signatures":[{"protected":"` + part(sound, 0) + `","signature":"` + part(sound, 2) + `"}]}`), "compact"},
		{"claims that are a list", must(signJWT(v.Key, []byte(`{"alg":"ES256"}`), []byte("[]"))), "claims of the JWT: not a JSON object"},
		{"other base64", []byte(part(sound, 0) + "." + base64.StdEncoding.EncodeToString(append(payload[:len(payload)-1:len(payload)-1], ",\"x\":\"\xc3\xbf\xc3\xbe?>?\"}"...)) + "." + encode([]byte("x"))), "base64url"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := edit(whole, func(c *CMW) error { c.Value = test.jwt; return nil })
			if err != nil {
				t.Fatal(err)
			}
			if test.says == "" {
				wants(t, appraise(t, v, r, b), "", "")
			} else {
				wants(t, appraise(t, v, r, b), attls.FailAppraisal, test.says)
			}
		})
	}
}

// TestResultClaims: claims of a result, as they are written.
func TestResultClaims(t *testing.T) {
	s, v := testDemo()
	v.Audiences = []string{"an alias"}
	r := negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte(DemoVerifier)}, Challenge: testChallenge, SPKI: testSPKI(t)}
	whole := attest(t, s, r).CMW
	payload := string(must(verifyJWT(must2(ParseCMW(whole, Limits{})).Value, v.Key.Public())))
	iat := `"iat":1772366400`
	status := `"ear.status":"affirming"`
	vector := func(text string) string {
		at := strings.Index(payload, `"ear.trustworthiness-vector":{`)
		end := strings.Index(payload[at:], "}") + at + 1
		return payload[:at] + `"ear.trustworthiness-vector":` + text + payload[end:]
	}
	add := func(members string) string { return "{" + members + "," + payload[1:] }
	for _, test := range []struct {
		name, payload, says string // says empty: accepted
	}{
		{"as they were", payload, ""},
		{"an unknown claim", add(`"x":{"y":[1.5,null]}`), ""},
		{"exp in another case", add(`"EXP":1`), ""},
		{"exp over, and another claim that is not", add(`"exp":1,"EXP":1900000000`), "expired at 1970"},
		{"exp twice", add(`"exp":1900000000,"exp":1`), "appears twice"},
		{"exp twice, once escaped", add(`"exp":1900000000,"\u0065xp":1`), "appears twice"},
		{"status twice", strings.Replace(payload, status, `"ear.status":"contraindicated",`+status, 1), "appears twice"},
		{"status in another case", strings.Replace(payload, status, `"EAR.status":"affirming"`, 1), "ear.status"},
		{"status a number", strings.Replace(payload, status, `"ear.status":2`, 1), "ear.status is 2"},
		{"status a fraction", strings.Replace(payload, status, `"ear.status":2.7`, 1), "ear.status is 2.7"},
		{"status a number as text", strings.Replace(payload, status, `"ear.status":"2"`, 1), `ear.status is "2"`},
		{"status in capitals", strings.Replace(payload, status, `"ear.status":"Affirming"`, 1), `ear.status is "Affirming"`},
		{"iat with a fraction", strings.Replace(payload, iat, iat+".5", 1), "floating point"},
		{"iat with a fraction of zero", strings.Replace(payload, iat, iat+".0", 1), "floating point"},
		{"iat with an exponent", strings.Replace(payload, iat, `"iat":1.7723664e9`, 1), "floating point"},
		{"iat beyond 64 bits", strings.Replace(payload, iat, `"iat":99999999999999999999`, 1), "not yet"},
		{"iat beyond floating point", strings.Replace(payload, iat, `"iat":1`+strings.Repeat("0", 400), 1), "not yet"},
		{"iat negative", strings.Replace(payload, iat, `"iat":-1`, 1), "expired"},
		{"exp with a fraction", add(`"exp":1772366500.5`), ""},
		{"exp with an exponent, over", add(`"exp":1e9`), "expired at 2001"},
		{"exp beyond floating point", add(`"exp":1e999`), ""},
		{"exp far below", add(`"exp":-1e999`), "expired"},
		{"exp true", add(`"exp":true`), "not a date"},
		{"exp a list", add(`"exp":[1900000000]`), "not a date"},
		{"a nonce that is null", strings.Replace(payload, `"eat_nonce":`, `"eat_nonce":null,"x":`, 1), "eat_nonce"},
		{"exp null", add(`"exp":null`), "not a date"},
		{"nbf null", add(`"nbf":null`), "not a date"},
		{"nbf with a fraction", add(`"nbf":1772366460.5`), "not yet"},
		{"aud somebody else", add(`"aud":"bank.example"`), "meant for"},
		{"aud a list of others", add(`"aud":["a","b"]`), "meant for"},
		{"aud an empty list", add(`"aud":[]`), "meant for"},
		{"aud a number", add(`"aud":1`), "aud is text"},
		{"aud null", add(`"aud":null`), "aud is text"},
		{"aud ours", add(`"aud":["a","an alias"]`), ""},
		{"intuse for registration", add(`"intuse":2`), "intuse"},
		{"intuse a text", add(`"intuse":"generic"`), "intuse"},
		{"not UTF-8", add("\"x\":\"\xff\""), "UTF-8"},
		{"nested deep", add(`"x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99)), "nested deeper"},
		{"an executable that is contraindicated", vector(`{"executables":96}`), "executables is 96 (contraindicated)"},
		{"a warning", vector(`{"executables":2,"hardware":32}`), "hardware is 32 (warning)"},
		{"a warning below zero", vector(`{"sourced-data":-33}`), "sourced-data is -33 (warning)"},
		{"contraindicated below zero", vector(`{"file-system":-128}`), "file-system is -128 (contraindicated)"},
		{"a verifier that failed", vector(`{"configuration":-1}`), "configuration is -1 (none)"},
		{"Evidence that was not expected", vector(`{"configuration":1}`), "configuration is 1 (none)"},
		{"affirming claims and one that says nothing", vector(`{"configuration":0,"executables":31,"hardware":-32}`), ""},
		{"a claim with a fraction", vector(`{"executables":2.9}`), "executables is 2.9"},
		{"a claim beyond its range", vector(`{"executables":128}`), "executables is 128"},
		{"a claim beyond 64 bits", vector(`{"executables":18446744073709551618}`), "executables is 18446744073709551618"},
		{"a claim that is text", vector(`{"executables":"96"}`), "executables is 96"},
		{"a claim that is null", vector(`{"executables":null}`), "executables is"},
		{"an unknown claim", vector(`{"executables":2,"Executables":96}`), "Executables"},
		{"an empty vector", vector(`{}`), "trustworthiness-vector"},
		{"a vector that is null", vector(`null`), "trustworthiness-vector"},
		{"a second appraisal that contradicts itself", strings.Replace(payload, `"submods":{`, `"submods":{"gpu":{"ear.status":"affirming","ear.trustworthiness-vector":{"hardware":97}},`, 1), "gpu claims to be affirming although hardware is 97"},
		{"an appraisal that expired", strings.Replace(payload, status, status+`,"exp":1`, 1), "expired at 1970"},
		{"an appraisal for somebody else", strings.Replace(payload, status, status+`,"aud":"x"`, 1), "meant for"},
		{"an appraisal in an appraisal", strings.Replace(payload, status, status+`,"submods":{"x":{"ear.status":"contraindicated"}}`, 1), "has submods of its own"},
		{"a status beside the appraisals", add(`"ear.status":"contraindicated"`), "ear.status is next to submods"},
		{"a vector beside the appraisals", add(`"ear.trustworthiness-vector":{"executables":96}`), "ear.trustworthiness-vector is next to submods"},
		{"a second appraisal that is null", strings.Replace(payload, `"submods":{`, `"submods":{"gpu":null,`, 1), "gpu is not an appraisal"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.payload == payload && test.name != "as they were" {
				t.Fatal("nothing was changed")
			}
			b, err := edit(whole, func(c *CMW) (err error) {
				c.Value, err = signJWT(v.Key, []byte(`{"alg":"ES256"}`), []byte(test.payload))
				return
			})
			if err != nil {
				t.Fatal(err)
			}
			verdict := appraise(t, v, r, b)
			if test.says == "" {
				wants(t, verdict, "", "")
			} else {
				wants(t, verdict, attls.FailAppraisal, test.says)
				if strings.Contains(test.says, "contraindicated") && verdict.Status != "contraindicated" {
					t.Errorf("the status is %s", verdict.Status)
				}
			}
		})
	}
}

// TestResultKeys: results signed with each kind of key.
func TestResultKeys(t *testing.T) {
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	for _, test := range []struct {
		key crypto.Signer
		alg string
		sig cose.Algorithm
		ok  bool
	}{
		{must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), "ES256", cose.AlgorithmES256, true},
		{must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), "ES384", cose.AlgorithmES384, true},
		{must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), "ES512", cose.AlgorithmES512, true},
		{must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), "ES256", cose.AlgorithmES512, false},
		{edKey, "EdDSA", cose.AlgorithmEdDSA, true},
		{edKey, "Ed25519", cose.AlgorithmEdDSA, true},
		{edKey, "Ed448", cose.AlgorithmEdDSA, false},
	} {
		header := base64.RawURLEncoding.EncodeToString(must(json.Marshal(map[string]string{"alg": test.alg})))
		signed := header + "." + base64.RawURLEncoding.EncodeToString([]byte("{}"))
		signature := must(must(cose.NewSigner(test.sig, test.key)).Sign(rand.Reader, []byte(signed)))
		jwt := []byte(signed + "." + base64.RawURLEncoding.EncodeToString(signature))
		if _, err := verifyJWT(jwt, test.key.Public()); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.alg, err)
		}
	}
}

func eatDebug(n uint8) eat.Debug { return eat.Debug(n) }

// TestResultExpires: a result on tokens that expire is not good for longer.
func TestResultExpires(t *testing.T) {
	s, v := testDemo()
	s.Lifetime = 10 * time.Minute
	r := negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte(DemoVerifier)}, Challenge: testChallenge, SPKI: testSPKI(t)}
	verdict := appraise(t, v, r, attest(t, s, r).CMW)
	accepted(t, verdict)
	if !verdict.ValidUntil.Equal(testTime.Add(10 * time.Minute)) {
		t.Errorf("valid until %v", verdict.ValidUntil)
	}
}
