package cca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/attestation"
	"attls/attestation/psa"
	"attls/attestation/roottest"
	"attls/attestation/tsm"
	"attls/extensions/profile"
	"attls/internal/seeds"
	"attls/negotiation"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/faketsm"
	"github.com/veraison/ccatoken"
	"github.com/veraison/go-cose"
	"go.yaml.in/yaml/v3"
)

func TestRoot(t *testing.T) { roottest.Run(t, Format(), roottest.Options{}) }

func TestParsecRoot(t *testing.T) { roottest.Run(t, ParsecFormat(), roottest.Options{}) }

// TestReportRoot runs the suite on the tokens in TSM reports.
func TestReportRoot(t *testing.T) {
	for i, typ := range tsm.Types() {
		t.Run(typ.MediaType, func(t *testing.T) {
			f := Format()
			f.Types = append([]attestation.Type{typ}, slices.Delete(f.Types, 1+i, 2+i)...)
			roottest.Run(t, f, roottest.Options{Flips: 500})
		})
	}
}

var challenge = bytes.Repeat([]byte{0xa5}, 32)

func clock() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// bench is an emulated platform with a realm, a policy, and what it is asked.
type bench struct {
	name    string
	device  *device
	policy  Policy
	request negotiation.EvidenceRequest
}

func newBench(t *testing.T, name string) *bench {
	t.Helper()
	e, err := emulate(name)(t.Context(), attestation.EmulatorOptions{Seed: []byte("seed")})
	if err != nil {
		t.Fatal(err)
	}
	typ := mediaTypeToken
	if name == Parsec {
		typ = mediaTypeParsec
	}
	return &bench{name, e.Device.(*device), e.Policy.(Policy), negotiation.EvidenceRequest{
		Scheme:    negotiation.Scheme{Format: profile.Format{MediaType: typ}, Credential: profile.KindX509},
		Challenge: challenge, Fit: profile.FitPadRight, SPKI: keyOf(t, "handshake"), KeyBound: true}}
}

func derive(t *testing.T, curve elliptic.Curve, use string) *ecdsa.PrivateKey {
	t.Helper()
	k, err := attestation.DeriveKeyOn(curve, []byte("keys of this test"), use)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keyOf(t *testing.T, use string) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(derive(t, elliptic.P256(), use).Public())
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

// padded is a challenge as it is in the field.
func padded(c []byte) []byte { return append(bytes.Clone(c), make([]byte, challengeSize-len(c))...) }

// value makes the value of the CMW.
func (b *bench) value(t *testing.T) []byte {
	t.Helper()
	q := &attestation.Question{Type: b.request.Scheme.Format, Field: b.request.Challenge, SPKI: b.request.SPKI}
	if b.name == Name {
		q.Field = padded(b.request.Challenge)
	}
	v, err := attester(b.name, b.device).Maker.Make(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verifier trusts what the policy of the bench trusts.
func (b *bench) verifier(t *testing.T) *attestation.Verifier {
	t.Helper()
	table, err := attestation.NewFormats(Format(), ParsecFormat())
	if err != nil {
		t.Fatal(err)
	}
	return &attestation.Verifier{Table: table, Policies: map[string]attestation.Policy{b.name: b.policy}, Clock: clock,
		Identity: "verifier", Key: derive(t, elliptic.P256(), "verifier")}
}

// judge judges the value of a CMW under the type that was asked for.
func (b *bench) judge(t *testing.T, value []byte) *negotiation.Verdict {
	t.Helper()
	c := &attestation.CMW{Form: attestation.CBORRecord, Format: b.request.Scheme.Format, Value: value, Indicator: attestation.IndEvidence}
	payload, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r := &b.request
	verdict, err := b.verifier(t).Appraise(t.Context(), &negotiation.AppraisalRequest{Scheme: r.Scheme, CMW: payload, Challenge: r.Challenge, Fit: r.Fit, SPKI: r.SPKI, KeyBound: r.KeyBound})
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func (b *bench) refused(t *testing.T, value []byte, want attls.Failure, text string) {
	t.Helper()
	v := b.judge(t, value)
	if failure, _ := v.Refusal(clock()); failure != want || !strings.Contains(v.Reason, text) {
		t.Errorf("%s (%s), want %s and %q; %+v", failure, v.Reason, want, text, v.Checks)
	}
}

func (b *bench) affirmed(t *testing.T, value []byte) {
	t.Helper()
	if failure, reason := b.judge(t, value).Refusal(clock()); failure != "" {
		t.Errorf("%s (%s)", failure, reason)
	}
}

// parsed takes a CCA token apart.
func parsed(t *testing.T, value []byte) *token {
	t.Helper()
	x, failure := parseToken(value, 0)
	if failure != nil {
		t.Fatal(failure)
	}
	return x
}

// changed signs the claims of both tokens after a change.
func (b *bench) changed(t *testing.T, change func(platform, realm attestation.Claims)) []byte {
	t.Helper()
	x := parsed(t, b.value(t))
	platform, realm := x.platform.Claims(), x.realm.Claims()
	change(platform, realm)
	out, err := b.device.sign(platform.Encode(), realm.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// collected makes a collection of octets.
func collected(tag uint16, entries map[any]any) []byte {
	c := attestation.Claims{}
	for label, v := range entries {
		c.Set(label, v)
	}
	return append(tagHead(tag), c.Encode()...)
}

// entries are those of a token, each of which a change can replace.
func (b *bench) entries(t *testing.T, change func(map[any]any)) []byte {
	t.Helper()
	x := parsed(t, b.value(t))
	m := map[any]any{labelPlatform: []any{contentFormat, x.platformOctets}, labelRealm: []any{contentFormat, x.realmOctets}}
	change(m)
	return collected(tagCMW, m)
}

func record(token []byte) []any { return []any{contentFormat, token} }

// other is another platform with another realm.
func other(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, Name)
	d, err := newDevice([]byte("another seed"))
	if err != nil {
		t.Fatal(err)
	}
	b.device = d
	return b
}

// made is how a test makes a value and sets what is expected of it.
type made func(*testing.T, *bench) []byte

func lifecycle(v attestation.Whole) made {
	return func(t *testing.T, b *bench) []byte { b.device.Lifecycle = v; return b.value(t) }
}

// claim changes one claim of the realm token, or of the platform token.
func claim(ofRealm bool, key int64, v any) made {
	return func(t *testing.T, b *bench) []byte {
		return b.changed(t, func(p, r attestation.Claims) {
			c := p
			if ofRealm {
				c = r
			}
			if c.Set(key, v); v == nil {
				delete(c, key)
			}
		})
	}
}

func entry(label int64, v func(*testing.T, *token) any) made {
	return func(t *testing.T, b *bench) []byte {
		x := parsed(t, b.value(t))
		return b.entries(t, func(m map[any]any) {
			if m[label] = v(t, x); m[label] == nil {
				delete(m, label)
			}
		})
	}
}

// flip changes an octet near the end of a token, which is in its signature.
func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-5] ^= 1
	return b
}

// TestRefused: what is wrong with the tokens, or with what a policy expects, has its
// own failure.
func TestRefused(t *testing.T) {
	const realm, platform = true, false
	for _, test := range []struct {
		name  string
		value made
		want  attls.Failure
		text  string
	}{
		{"a challenge of another connection", func(t *testing.T, b *bench) []byte {
			v := b.value(t)
			b.request.Challenge = bytes.Repeat([]byte{1}, 32)
			return v
		}, attls.FailBinderMismatch, "cca-realm-challenge"},
		{"a challenge whose head alone is right", func(t *testing.T, b *bench) []byte {
			b.request.Challenge = append(bytes.Clone(challenge), 1)
			v := b.value(t)
			b.request.Challenge = challenge
			return v
		}, attls.FailBinderMismatch, "cca-realm-challenge"},
		{"a challenge with zeros on the left", func(t *testing.T, b *bench) []byte {
			b.request.Challenge = append(make([]byte, 32), challenge...)
			v := b.value(t)
			b.request.Challenge = challenge
			return v
		}, attls.FailBinderMismatch, "cca-realm-challenge"},
		{"a challenge for which there is no room", func(t *testing.T, b *bench) []byte {
			v := b.value(t)
			b.request.Challenge = make([]byte, 65)
			return v
		}, attls.FailBinderUndefined, "65 octets"},
		{"a challenge that is short, where nothing is padded", func(t *testing.T, b *bench) []byte {
			v := b.value(t)
			b.request.Fit = profile.FitExact
			return v
		}, attls.FailBinderUndefined, "32 octets"},
		{"a realm challenge of 32 octets", claim(realm, 10, challenge), attls.FailMalformedCMW, "length 32"},
		{"two realm challenges", claim(realm, 10, [][]byte{padded(challenge), make([]byte, 64)}), attls.FailMalformedCMW, "2 nonces"},
		{"no realm challenge", claim(realm, 10, nil), attls.FailMalformedCMW, "missing"},

		{"the realm token of another realm", entry(labelRealm, func(t *testing.T, _ *token) any { return record(parsed(t, other(t).value(t)).realmOctets) }), attls.FailAppraisal, "vouches for a realm key"},
		{"the platform token of another platform", entry(labelPlatform, func(t *testing.T, _ *token) any { return record(parsed(t, other(t).value(t)).platformOctets) }), attls.FailAppraisal, "none of 1 listed keys"},
		{"both tokens of another platform", func(t *testing.T, _ *bench) []byte { return other(t).value(t) }, attls.FailAppraisal, "none of 1 listed keys"},
		{"the tokens in each other's place", func(t *testing.T, b *bench) []byte {
			return b.entries(t, func(m map[any]any) { m[labelRealm], m[labelPlatform] = m[labelPlatform], m[labelRealm] })
		}, attls.FailMalformedCMW, ""},
		{"a broken signature of the realm token", entry(labelRealm, func(_ *testing.T, x *token) any { return record(flip(x.realmOctets)) }), attls.FailAppraisal, "does not verify under the key in it"},
		{"a broken signature of the platform token", entry(labelPlatform, func(_ *testing.T, x *token) any { return record(flip(x.platformOctets)) }), attls.FailAppraisal, "none of 1 listed keys"},
		{"a realm token that the platform key signed", entry(labelRealm, func(t *testing.T, x *token) any {
			v, err := attestation.SignToken(newBench(t, Name).device.Key.Signer, x.realm.Payload())
			if err != nil {
				t.Fatal(err)
			}
			return record(v)
		}), attls.FailAppraisal, "does not verify under the key in it"},
		{"a platform that vouches for another key", claim(platform, 10, make([]byte, 32)), attls.FailAppraisal, "vouches for a realm key"},
		{"a realm key that is vouched for by another algorithm than the token says", claim(realm, 44240, "sha-384"), attls.FailAppraisal, "vouches for a realm key"},
		{"a realm key that is vouched for by SHA-224", claim(realm, 44240, "sha-224"), attls.FailAppraisal, `"sha-224"`},
		{"a realm key that is vouched for by an unknown algorithm", claim(realm, 44240, "md5"), attls.FailAppraisal, `"md5"`},
		{"a platform challenge of 28 octets", claim(platform, 10, make([]byte, 28)), attls.FailMalformedCMW, "length 28"},
		{"a header parameter that is critical", func(t *testing.T, b *bench) []byte { return b.critical(t) }, attls.FailAppraisal, "crit"},

		{"debugging of what is not of the CCA platform", lifecycle(0x4001), attls.FailAppraisal, "non-cca-platform-rot-debug (0x4001)"},
		{"debugging of the CCA platform", lifecycle(0x50ff), attls.FailAppraisal, "recoverable-cca-platform-rot-debug"},
		{"a decommissioned platform", lifecycle(0x6000), attls.FailAppraisal, "decommissioned"},
		{"a platform that is being provisioned", lifecycle(0x2000), attls.FailAppraisal, "cca-platform-rot-provisioning"},
		{"a platform that is being tested", lifecycle(0x1000), attls.FailAppraisal, "assembly-and-test"},
		{"a platform of which nobody knows the state", lifecycle(0), attls.FailAppraisal, "unknown"},
		{"a state that does not exist", claim(platform, 2395, 0x3100), attls.FailAppraisal, "0x3100"},

		{"another initial measurement", func(t *testing.T, b *bench) []byte { b.device.Realm.Initial = make([]byte, 32); return b.value(t) }, attls.FailAppraisal, "rim of the realm"},
		{"another extensible measurement", func(t *testing.T, b *bench) []byte {
			b.device.Realm.Extensible[3] = make([]byte, 32)
			return b.value(t)
		}, attls.FailAppraisal, "rem3 of the realm"},
		{"an extensible measurement that is missing", func(t *testing.T, b *bench) []byte {
			b.device.Realm.Extensible = b.device.Realm.Extensible[:3]
			return b.value(t)
		}, attls.FailAppraisal, "no rem3"},
		{"five extensible measurements", claim(realm, 44239, make32s(5)), attls.FailMalformedCMW, "5 extensible measurements"},
		{"an extensible measurement of 31 octets", claim(realm, 44239, [][]byte{make([]byte, 31)}), attls.FailMalformedCMW, "length 31"},
		{"another personalization value", func(t *testing.T, b *bench) []byte {
			b.device.Realm.Personalization = make([]byte, 64)
			return b.value(t)
		}, attls.FailAppraisal, "personalization value"},
		{"measurements by an algorithm that is not accepted", claim(realm, 44236, "sha-1"), attls.FailAppraisal, `"sha-1"`},
		{"measurements by an algorithm that the policy does not list", func(t *testing.T, b *bench) []byte {
			b.policy.Realm.HashAlgorithms = []string{"sha-512"}
			return b.value(t)
		}, attls.FailAppraisal, `"sha-256"`},
		{"another configuration of the platform", func(t *testing.T, b *bench) []byte { b.device.Config = []byte{1}; return b.value(t) }, attls.FailAppraisal, "configuration of the platform is 01"},
		{"another measurement of the firmware", func(t *testing.T, b *bench) []byte {
			b.device.Components[1].Value = make([]byte, 32)
			return b.value(t)
		}, attls.FailAppraisal, "AP_BL31"},
		{"firmware that nobody expects", func(t *testing.T, b *bench) []byte {
			b.device.Components = append(b.device.Components, psa.Component{Value: make([]byte, 32), Signer: make([]byte, 32)})
			return b.value(t)
		}, attls.FailAppraisal, "unnamed"},
		{"firmware that is missing", func(t *testing.T, b *bench) []byte {
			b.device.Components = b.device.Components[:2]
			return b.value(t)
		}, attls.FailAppraisal, "RMM"},
		{"firmware of another signer", func(t *testing.T, b *bench) []byte {
			b.device.Components[2].Signer = make([]byte, 32)
			return b.value(t)
		}, attls.FailAppraisal, "is signed by"},
		{"no firmware", claim(platform, 2399, nil), attls.FailMalformedCMW, ""},

		{"a listed key that speaks for another instance", func(t *testing.T, b *bench) []byte {
			b.device.Instance = append([]byte{1}, make([]byte, 32)...)
			return b.value(t)
		}, attls.FailAppraisal, "which is the instance"},
		{"a listed key that speaks for another implementation", func(t *testing.T, b *bench) []byte {
			b.device.Implementation = make([]byte, 32)
			return b.value(t)
		}, attls.FailAppraisal, "which is of the implementation"},
		{"a policy that trusts nobody", func(t *testing.T, b *bench) []byte { b.policy.Devices = nil; return b.value(t) }, attls.FailAppraisal, "none of 0 listed keys"},
		{"the zero policy", func(t *testing.T, b *bench) []byte { b.policy = Policy{}; return b.value(t) }, attls.FailAppraisal, "none of 0 listed keys"},
		{"a key of the handshake that nothing attests", func(t *testing.T, b *bench) []byte {
			b.request.KeyBound = false
			return b.value(t)
		}, attls.FailAppraisal, "nothing in this Evidence attests the key"},

		{"no tag", func(t *testing.T, b *bench) []byte { return b.value(t)[3:] }, attls.FailMalformedCMW, "the tag 907 or 399"},
		{"another tag", func(t *testing.T, b *bench) []byte { return append(tagHead(601), b.value(t)[3:]...) }, attls.FailMalformedCMW, "the tag 601"},
		{"CMW records under the tag of the form before", func(t *testing.T, b *bench) []byte { return append(tagHead(tagLegacy), b.value(t)[3:]...) }, attls.FailMalformedCMW, "platform token"},
		{"octet strings under the tag of CMW records", func(t *testing.T, b *bench) []byte {
			x := parsed(t, b.value(t))
			return collected(tagCMW, map[any]any{labelPlatform: x.platformOctets, labelRealm: x.realmOctets})
		}, attls.FailMalformedCMW, "token"},
		{"a tag before the tag", func(t *testing.T, b *bench) []byte { return append(tagHead(tagCMW), b.value(t)...) }, attls.FailMalformedCMW, "a tag where the claims set belongs"},
		{"an octet after the end", func(t *testing.T, b *bench) []byte { return append(b.value(t), 0) }, attls.FailMalformedCMW, ""},
		{"a platform token alone", entry(labelRealm, func(*testing.T, *token) any { return nil }), attls.FailMalformedCMW, "realm token"},
		{"a realm token alone", entry(labelPlatform, func(*testing.T, *token) any { return nil }), attls.FailMalformedCMW, "platform token"},
		{"a platform token without a collection", func(t *testing.T, b *bench) []byte { return parsed(t, b.value(t)).platformOctets }, attls.FailMalformedCMW, "the tag 18"},
		{"a token of a device in the collection", entry(44258, func(_ *testing.T, x *token) any { return record(x.realmOctets) }), attls.FailMalformedCMW, "the entry 44258"},
		{"a name as label", func(t *testing.T, b *bench) []byte {
			return b.entries(t, func(m map[any]any) { m["__cmwc_t"] = "tag:example.org,2026:x" })
		}, attls.FailMalformedCMW, "__cmwc_t"},
		{"an entry that appears twice", func(t *testing.T, b *bench) []byte {
			v := b.value(t)
			twice := append(tagHead(tagCMW), 0xa3)
			once := collected(tagCMW, map[any]any{labelRealm: record(parsed(t, v).realmOctets)})[4:]
			return append(append(twice, v[4:]...), once...)
		}, attls.FailMalformedCMW, "twice"},
		{"a claim that appears twice", func(t *testing.T, b *bench) []byte {
			x := parsed(t, b.value(t))
			p := x.realm.Payload()
			v, err := b.device.sign(x.platform.Payload(), append([]byte{p[0] + 1}, append(bytes.Clone(p[1:]), append([]byte{0x0a, 0x58, 64}, make([]byte, 64)...)...)...))
			if err != nil {
				t.Fatal(err)
			}
			return v
		}, attls.FailMalformedCMW, "twice"},
		{"a realm token of another content format", entry(labelRealm, func(_ *testing.T, x *token) any { return []any{264, x.realmOctets} }), attls.FailFormatMismatch, "264"},
		{"a record with an indicator", entry(labelRealm, func(_ *testing.T, x *token) any { return []any{contentFormat, x.realmOctets, 4} }), attls.FailMalformedCMW, "realm token"},
		{"an empty token", entry(labelRealm, func(*testing.T, *token) any { return record(nil) }), attls.FailMalformedCMW, "realm token"},
		{"a token without its tag", entry(labelRealm, func(_ *testing.T, x *token) any { return record(x.realmOctets[1:]) }), attls.FailMalformedCMW, "COSE_Sign1"},
		{"a COSE_Mac0", entry(labelRealm, func(_ *testing.T, x *token) any { return record(append([]byte{0xd1}, x.realmOctets[1:]...)) }), attls.FailMalformedCMW, "COSE_Sign1"},
		{"a token with an octet after its end", entry(labelRealm, func(_ *testing.T, x *token) any { return record(append(bytes.Clone(x.realmOctets), 0)) }), attls.FailMalformedCMW, ""},
		{"an unknown profile of the realm", claim(realm, 265, "tag:example.org,2026:realm"), attls.FailMalformedCMW, "profile"},
		{"an unknown profile of the platform", claim(platform, 265, "tag:example.org,2026:platform"), attls.FailMalformedCMW, "profile"},
		{"the platform token of PSA", claim(platform, 265, psa.ProfilePSA2), attls.FailMalformedCMW, ""},
		{"a realm key that is a point, in a token with a profile", claim(realm, 44237, legacyKey(t)), attls.FailMalformedCMW, "COSE_Key"},
		{"a realm key that is not on the curve", claim(realm, 44237, coseKey(t, func(c attestation.Claims) { c.Set(int64(-3), make([]byte, 48)) })), attls.FailMalformedCMW, "not on P-384"},
		{"a realm key with its private half", claim(realm, 44237, coseKey(t, func(c attestation.Claims) { c.Set(int64(-4), make([]byte, 48)) })), attls.FailMalformedCMW, ""},
		{"a realm key of another kind", claim(realm, 44237, coseKey(t, func(c attestation.Claims) { c.Set(int64(1), 1) })), attls.FailMalformedCMW, ""},
		{"a realm key that is empty", claim(realm, 44237, []byte{}), attls.FailMalformedCMW, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, Name)
			b.refused(t, test.value(t, b), test.want, test.text)
		})
	}
}

func make32s(n int) (list [][]byte) {
	for range n {
		list = append(list, make([]byte, 32))
	}
	return list
}

// coseKey is the realm key after a change.
func coseKey(t *testing.T, change func(attestation.Claims)) []byte {
	t.Helper()
	b, err := attestation.EncodeCOSEKey(derive(t, elliptic.P384(), "realm").Public())
	if err != nil {
		t.Fatal(err)
	}
	c, failure := attestation.ParseClaims(b)
	if failure != nil {
		t.Fatal(failure)
	}
	change(c)
	return c.Encode()
}

func legacyKey(t *testing.T) []byte {
	t.Helper()
	point, err := derive(t, elliptic.P384(), "realm").PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return point
}

// critical signs the realm token under a header with a critical parameter.
func (b *bench) critical(t *testing.T) []byte {
	t.Helper()
	x := parsed(t, b.value(t))
	signer, err := cose.NewSigner(cose.AlgorithmES384, b.device.Realm.Key.Signer)
	if err != nil {
		t.Fatal(err)
	}
	m := cose.NewSign1Message()
	m.Payload = x.realm.Payload()
	m.Headers.Protected = cose.ProtectedHeader{cose.HeaderLabelAlgorithm: cose.AlgorithmES384, cose.HeaderLabelCritical: []any{"unknown"}, "unknown": 1}
	if err := m.Sign(rand.Reader, nil, signer); err != nil {
		t.Fatal(err)
	}
	octets, err := m.MarshalCBOR()
	if err != nil {
		t.Fatal(err)
	}
	return collected(tagCMW, map[any]any{labelPlatform: record(x.platformOctets), labelRealm: record(octets)})
}

// legacy makes both tokens in the form before: the tag 399, the profile before, a realm
// token without a profile, whose key is a point.
func (b *bench) legacy(t *testing.T, change func(platform, realm attestation.Claims)) []byte {
	t.Helper()
	x := parsed(t, b.value(t))
	p, r := x.platform.Claims(), x.realm.Claims()
	point, err := b.device.Realm.Key.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	h := sha512.Sum512(point)
	p.Set(int64(265), "http://arm.com/CCA-SSD/1.0.0")
	p.Set(int64(10), h[:])
	delete(r, int64(265))
	r.Set(int64(44237), point)
	r.Set(int64(44240), "sha-512")
	change(p, r)
	v, err := b.device.sign(p.Encode(), r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	y, failure := attestation.ParseClaims(v[3:])
	if failure != nil {
		t.Fatal(failure)
	}
	out := map[any]any{}
	for label, raw := range y {
		var record struct {
			_      struct{} `cbor:",toarray"`
			Format int
			Token  []byte
		}
		if err := cbor.Unmarshal(raw, &record); err != nil {
			t.Fatal(err)
		}
		out[label] = record.Token
	}
	return collected(tagLegacy, out)
}

// TestLegacy: the form before is read and judged alike, and its key is checked too.
func TestLegacy(t *testing.T) {
	none := func(attestation.Claims, attestation.Claims) {}
	b := newBench(t, Name)
	b.affirmed(t, b.legacy(t, none))
	for name, test := range map[string]struct {
		change func(p, r attestation.Claims)
		want   attls.Failure
	}{
		"a COSE_Key without a profile": {func(_, r attestation.Claims) { r.Set(int64(44237), coseKey(t, func(attestation.Claims) {})) }, attls.FailMalformedCMW},
		"a point that is not on the curve": {func(_, r attestation.Claims) {
			r.Set(int64(44237), append([]byte{4}, make([]byte, 96)...))
		}, attls.FailMalformedCMW},
		"another key":           {func(_, r attestation.Claims) { r.Set(int64(44237), legacyKey(t)) }, attls.FailAppraisal},
		"another platform hash": {func(p, _ attestation.Claims) { p.Set(int64(10), make([]byte, 64)) }, attls.FailAppraisal},
	} {
		t.Run(name, func(t *testing.T) { b.refused(t, b.legacy(t, test.change), test.want, "") })
	}
}

// TestAccepted: what a policy allows expressly is affirmed, and each length of a
// challenge that profiles make.
func TestAccepted(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*bench)
	}{
		{"as it is", func(*bench) {}},
		{"a challenge of 48 octets", func(b *bench) { b.request.Challenge = make([]byte, 48) }},
		{"a challenge of 64 octets, where nothing is padded", func(b *bench) { b.request.Challenge, b.request.Fit = make([]byte, 64), profile.FitExact }},
		{"a state that the policy lists", func(b *bench) {
			b.device.Lifecycle, b.policy.Lifecycle = 0x4001, []string{"secured", "non-cca-platform-rot-debug"}
		}},
		{"a device without an instance in the policy", func(b *bench) { b.policy.Devices[0].Instance = nil }},
		{"any signer", func(b *bench) { b.policy.Signers = nil }},
		{"one of several reference values", func(b *bench) {
			rim := b.policy.Realm.Measurements["rim"]
			b.policy.Realm.Measurements["rim"] = append([]attestation.Octets{make([]byte, 32)}, rim...)
		}},
		{"what may have any value", func(b *bench) {
			b.policy.Realm, b.policy.Config, b.policy.Measurements = Realm{}, nil, nil
			b.policy.Any = words
		}},
		{"an unattested key that the policy accepts", func(b *bench) { b.request.KeyBound, b.policy.UnattestedKey = false, true }},
		{"a TSM report in CBOR", func(b *bench) { b.request.Scheme.Format.MediaType = tsm.MediaTypeCBOR }},
		{"a TSM report in JSON", func(b *bench) { b.request.Scheme.Format.MediaType = tsm.MediaTypeJSON }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, Name)
			test.change(b)
			v := b.value(t)
			b.affirmed(t, v)
			if tsm.Is(b.request.Scheme.Format) {
				return
			}
			e, err := ccatoken.DecodeAndValidateEvidenceFromCBOR(v)
			if err == nil {
				err = e.Verify(b.device.Key.Public())
			}
			if err != nil {
				t.Errorf("ccatoken: %v", err)
			}
		})
	}
}

// TestUnchecked: what the policy does not list is not appraised, and the verdict says
// so and is not affirming.
func TestUnchecked(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Policy)
		text   string
		claim  string // of the trustworthiness vector, which is a warning then
	}{
		{"firmware", func(p *Policy) { p.Measurements = nil }, "lists no measurements of the platform", "executables"},
		{"configuration", func(p *Policy) { p.Config = nil }, "lists no configuration of the platform", "configuration"},
		{"the realm", func(p *Policy) { p.Realm = Realm{} }, "lists no rim, rem0, rem1, rem2, rem3 of the realm", "executables"},
		{"one extensible measurement", func(p *Policy) { delete(p.Realm.Measurements, "rem2") }, "lists no rem2 of the realm", "executables"},
		{"personalization", func(p *Policy) { p.Realm.Personalization = nil }, "lists no personalization values of the realm", "executables"},
	} {
		for _, name := range []string{Name, Parsec} {
			t.Run(test.name+", "+name, func(t *testing.T) {
				b := newBench(t, name)
				test.change(&b.policy)
				v := b.judge(t, b.value(t))
				if failure, reason := v.Refusal(clock()); failure != attls.FailAppraisal || !strings.Contains(reason, test.text) || v.Status != negotiation.StatusWarning {
					t.Errorf("%s (%s), status %s", failure, reason, v.Status)
				}
				payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(v.Result), ".")[1])
				if err != nil {
					t.Fatal(err)
				}
				if warning := `"` + test.claim + `":3`; !strings.Contains(string(payload), warning) { // 32 or 33
					t.Errorf("the result is %s, without %s", payload, warning)
				}
			})
		}
	}
}

// TestReports: a TSM report of another platform, or with more than a CCA token in it,
// is refused.
func TestReports(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*tsm.Report)
		want   attls.Failure
		text   string
	}{
		{"as it is", func(*tsm.Report) {}, "", ""},
		{"a provider without a line feed", func(r *tsm.Report) { r.Provider = "arm_cca_guest" }, "", ""},
		{"another platform", func(r *tsm.Report) { r.Provider = "tdx_guest\n" }, attls.FailFormatMismatch, "tdx_guest"},
		{"a provider with two line feeds", func(r *tsm.Report) { r.Provider += "\n" }, attls.FailFormatMismatch, "arm_cca_guest"},
		{"certificates", func(r *tsm.Report) { r.Aux = []byte{1} }, attls.FailMalformedCMW, "outblob alone"},
		{"a manifest", func(r *tsm.Report) { r.Manifest = []byte{1} }, attls.FailMalformedCMW, "outblob alone"},
		{"an octet after the token", func(r *tsm.Report) { r.Out = append(r.Out, 0) }, attls.FailMalformedCMW, "outblob"},
		{"a token of another challenge", func(r *tsm.Report) {
			b := newBench(t, Name)
			b.request.Challenge = make([]byte, 32)
			r.Out = b.value(t)
		}, attls.FailBinderMismatch, "cca-realm-challenge"},
	} {
		for _, mediaType := range []string{tsm.MediaTypeCBOR, tsm.MediaTypeJSON} {
			t.Run(test.name+", "+mediaType, func(t *testing.T) {
				b := newBench(t, Name)
				b.request.Scheme.Format.MediaType = mediaType
				r, failure := tsm.Read(&attestation.CMW{Format: b.request.Scheme.Format, Value: b.value(t)})
				if failure != nil {
					t.Fatal(failure)
				}
				test.change(r)
				v, err := r.Encode(b.request.Scheme.Format)
				if err != nil {
					t.Fatal(err)
				}
				b.refused(t, v, test.want, test.text)
			})
		}
	}
	b := newBench(t, Name)
	token := b.value(t)
	b.request.Scheme.Format.MediaType = tsm.MediaTypeCBOR
	b.refused(t, token, attls.FailMalformedCMW, "")
	report := b.value(t)
	b.request.Scheme.Format.MediaType = mediaTypeToken
	b.refused(t, report, attls.FailMalformedCMW, "the tag 907 or 399")
}

// bundled makes the bundle of Parsec after a change of the key token, over which the
// realm token is made, and of the bundle itself.
func (b *bench) bundled(t *testing.T, change func(kat attestation.Claims), after func(bundle attestation.Claims)) []byte {
	t.Helper()
	r, failure := readParsec(&attestation.CMW{Value: b.value(t)})
	if failure != nil {
		t.Fatal(failure)
	}
	octets, failure := r.Statement.(*bundle).claimsOfKAT()
	if failure != nil {
		t.Fatal(failure)
	}
	kat, failure := attestation.ParseClaims(octets)
	if failure != nil {
		t.Fatal(failure)
	}
	change(kat)
	encoded := append(tagHead(tagUCCS), kat.Encode()...)
	h := sha512.Sum512(encoded)
	report, err := b.device.report(t.Context(), h[:])
	if err != nil {
		t.Fatal(err)
	}
	c := attestation.Claims{labelKAT: encoded, labelPAT: report.Out}
	after(c)
	return c.Encode()
}

// TestParsecRefused: what is wrong with a key attestation token, or with its tie to the
// realm, has its own failure.
func TestParsecRefused(t *testing.T) {
	same := func(attestation.Claims) {}
	set := func(key int64, v any) func(attestation.Claims) { return func(c attestation.Claims) { c.Set(key, v) } }
	another := func(t *testing.T) []byte {
		b := newBench(t, Parsec)
		b.request.SPKI = keyOf(t, "another key")
		return b.value(t)
	}
	member := func(t *testing.T, value []byte, label string) []byte {
		c, failure := attestation.ParseClaims(value)
		if failure != nil {
			t.Fatal(failure)
		}
		return c[label]
	}
	for _, test := range []struct {
		name   string
		change func(attestation.Claims)
		after  func(attestation.Claims)
		want   attls.Failure
		text   string
	}{
		{"as it is", same, same, "", ""},
		{"another nonce", set(10, make([]byte, 32)), same, attls.FailBinderMismatch, "eat_nonce"},
		{"a nonce with an octet after the challenge", set(10, append(bytes.Clone(challenge), 0)), same, attls.FailBinderMismatch, "eat_nonce"},
		{"a nonce of seven octets", set(10, make([]byte, 7)), same, attls.FailMalformedCMW, "7 octets"},
		{"a nonce of 65 octets", set(10, make([]byte, 65)), same, attls.FailMalformedCMW, "65 octets"},
		{"two nonces", set(10, [][]byte{challenge, challenge}), same, attls.FailMalformedCMW, "eat_nonce"},
		{"no nonce", func(c attestation.Claims) { delete(c, claimNonce) }, same, attls.FailMalformedCMW, "eat_nonce"},
		{"no key", func(c attestation.Claims) { delete(c, claimConfirmation) }, same, attls.FailMalformedCMW, "cnf"},
		{"a key by its name", set(8, map[int]any{3: []byte{1}}), same, attls.FailMalformedCMW, "cnf"},
		{"a key and an encrypted key", func(c attestation.Claims) {
			inner, _ := attestation.ParseClaims(c[claimConfirmation])
			inner.Set(int64(2), []byte{1})
			c[claimConfirmation] = inner.Encode()
		}, same, attls.FailMalformedCMW, "cnf"},
		{"an end of its validity, which nothing here reads", set(4, 1), same, attls.FailMalformedCMW, "the claim 4"},
		{"the key token of another key", same, func(c attestation.Claims) { c[labelKAT] = member(t, another(t), labelKAT) }, attls.FailAppraisal, "SHA-512"},
		{"the realm token of another key token", same, func(c attestation.Claims) { c[labelPAT] = member(t, another(t), labelPAT) }, attls.FailAppraisal, "SHA-512"},
		{"both tokens of another key", same, func(c attestation.Claims) {
			v := another(t)
			c[labelKAT], c[labelPAT] = member(t, v, labelKAT), member(t, v, labelPAT)
		}, attls.FailTIKMismatch, ""},
		{"a key token without its tag", same, func(c attestation.Claims) { c[labelKAT] = c[labelKAT][3:] }, attls.FailMalformedCMW, "tag (601)"},
		{"a key token of another tag", same, func(c attestation.Claims) { c[labelKAT] = append(tagHead(602), c[labelKAT][3:]...) }, attls.FailMalformedCMW, "tag (601)"},
		{"a key token in an octet string", same, func(c attestation.Claims) { c.Set(labelKAT, []byte(c[labelKAT])) }, attls.FailMalformedCMW, "tag (601)"},
		{"no key token", same, func(c attestation.Claims) { delete(c, labelKAT) }, attls.FailMalformedCMW, "kat"},
		{"no CCA token", same, func(c attestation.Claims) { delete(c, labelPAT) }, attls.FailMalformedCMW, "pat"},
		{"a CCA token in an octet string", same, func(c attestation.Claims) { c.Set(labelPAT, []byte(c[labelPAT])) }, attls.FailMalformedCMW, "the tag 907 or 399"},
		{"a further member", same, func(c attestation.Claims) { c.Set("x", 1) }, attls.FailMalformedCMW, "the member x"},
		{"another challenge in the realm token", same, func(c attestation.Claims) { c[labelPAT] = newBench(t, Name).value(t) }, attls.FailAppraisal, "SHA-512"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, Parsec)
			b.refused(t, b.bundled(t, test.change, test.after), test.want, test.text)
		})
	}
	t.Run("what holds for CCA tokens", func(t *testing.T) {
		b := newBench(t, Parsec)
		b.device.Lifecycle = 0x6000
		b.refused(t, b.value(t), attls.FailAppraisal, "decommissioned")
		b = newBench(t, Parsec)
		b.device.Realm.Initial = make([]byte, 32)
		b.refused(t, b.value(t), attls.FailAppraisal, "rim of the realm")
	})
	t.Run("a CCA token under the type of Parsec", func(t *testing.T) {
		b := newBench(t, Parsec)
		b.refused(t, newBench(t, Name).value(t), attls.FailMalformedCMW, "a tag where the claims set belongs")
	})
	t.Run("the key token counts as it is written", func(t *testing.T) { // not as it would be encoded again
		b := newBench(t, Parsec)
		r, failure := readParsec(&attestation.CMW{Value: b.value(t)})
		if failure != nil {
			t.Fatal(failure)
		}
		x := r.Statement.(*bundle)
		octets, _ := x.claimsOfKAT()
		kat, _ := attestation.ParseClaims(octets)
		reversed := append(tagHead(tagUCCS), 0xa2, 0x0a)
		reversed = append(append(append(reversed, kat[claimNonce]...), 0x08), kat[claimConfirmation]...)
		h := sha512.Sum512(reversed)
		report, err := b.device.report(t.Context(), h[:])
		if err != nil {
			t.Fatal(err)
		}
		b.affirmed(t, attestation.Claims{labelKAT: reversed, labelPAT: report.Out}.Encode())
	})
}

// realmOf is a configfs-tsm whose realm is an emulator.
func realmOf(t *testing.T, d *device, provider string) tsm.Client {
	sub := faketsm.ReportV7(0)
	sub.ReadAttr = func(e *faketsm.ReportEntry, attr string) ([]byte, error) {
		if attr == "provider" {
			return []byte(provider), nil
		}
		if attr != "outblob" {
			return nil, os.ErrNotExist
		}
		r, err := d.report(t.Context(), e.InAttrs["inblob"].Value)
		if err != nil {
			return nil, err
		}
		return r.Out, nil
	}
	return &faketsm.Client{Subsystems: map[string]configfsi.Client{"report": sub}}
}

// TestGuest: a program in a realm makes both kinds of Evidence by configfs-tsm, which
// is asked with the whole challenge field.
func TestGuest(t *testing.T) {
	for _, name := range []string{Name, Parsec} {
		for _, n := range []int{32, 48, 64} {
			b := newBench(t, name)
			b.request.Challenge = bytes.Repeat([]byte{7}, n)
			for _, scheme := range Guest(name, nil).Schemes() {
				t.Run(attestation.FormatString(scheme.Format), func(t *testing.T) {
					b.request.Scheme.Format = scheme.Format
					ev, err := Guest(name, realmOf(t, b.device, "arm_cca_guest\n")).Attest(t.Context(), &b.request)
					if err != nil {
						t.Fatal(err)
					}
					c, failure := attestation.ParseCMW(ev.CMW, attestation.Limits{})
					if failure != nil {
						t.Fatal(failure)
					}
					b.affirmed(t, c.Value)
				})
			}
		}
		if _, err := Guest(name, realmOf(t, newBench(t, name).device, "tdx_guest\n")).Attest(t.Context(), &newBench(t, name).request); err == nil || !strings.Contains(err.Error(), "tdx_guest") {
			t.Errorf("%s on another platform: %v", name, err)
		}
	}
}

// TestSample: a token of TF-RMM verifies under its key, and a policy refuses what it
// does not expect of it.
func TestSample(t *testing.T) {
	folder := filepath.Join(roottest.ModuleDir(t, "github.com/veraison/ccatoken"), "realm", "testvectors", "tf-rmm")
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	block, _ := pem.Decode(read("cca_platform.pub"))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	value := read("cca_token.cbor")
	x := parsed(t, value)
	if !x.legacyRealm || x.tag != tagLegacy {
		t.Errorf("tag %d, legacy %t", x.tag, x.legacyRealm)
	}
	sound := func() *bench {
		b := newBench(t, Name)
		b.request.Challenge, b.request.Fit = bytes.Repeat([]byte{0xab}, 64), profile.FitExact
		p := Policy{
			Devices: psa.Devices{{Key: attestation.PublicKey{PublicKey: key.(*ecdsa.PublicKey)}, Instance: x.instance, Implementation: x.implementation}},
			Config:  []attestation.Octets{x.config},
			Realm:   Realm{Personalization: []attestation.Octets{x.personalization}, Measurements: map[string][]attestation.Octets{"rim": {x.initial}}},
		}
		for i, v := range x.extensible {
			p.Realm.Measurements[realmMeasurements[1+i]] = []attestation.Octets{v}
		}
		p.Measurements = map[string][]attestation.Octets{}
		for _, c := range x.components {
			name, _ := c.GetMeasurementType()
			v, err := c.GetMeasurementValue()
			if err != nil {
				t.Fatal(err)
			}
			p.Measurements[name] = append(p.Measurements[name], v)
		}
		b.policy = p
		return b
	}
	sound().affirmed(t, value)
	for _, test := range []struct {
		name   string
		change func(*bench)
		want   attls.Failure
		text   string
	}{
		{"another challenge", func(b *bench) { b.request.Challenge = make([]byte, 64) }, attls.FailBinderMismatch, "cca-realm-challenge"},
		{"the head of the challenge", func(b *bench) {
			b.request.Challenge, b.request.Fit = b.request.Challenge[:32], profile.FitPadRight
		}, attls.FailBinderMismatch, "cca-realm-challenge"},
		{"another key", func(b *bench) { b.policy.Devices = newBench(t, Name).policy.Devices }, attls.FailAppraisal, "none of 1 listed keys"},
		{"another realm", func(b *bench) { b.policy.Realm.Measurements["rim"] = []attestation.Octets{bytes.Repeat([]byte{1}, 32)} }, attls.FailAppraisal, "rim of the realm"},
		{"a state that it is not in", func(b *bench) { b.policy.Lifecycle = []string{"decommissioned"} }, attls.FailAppraisal, "secured"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := sound()
			test.change(b)
			b.refused(t, value, test.want, test.text)
		})
	}
}

// TestSameSeed: two emulators of one seed trust each other's Evidence.
func TestSameSeed(t *testing.T) {
	for _, name := range []string{Name, Parsec} {
		made, judged := newBench(t, name), newBench(t, name)
		v := made.value(t)
		judged.affirmed(t, v)
		if !bytes.Equal(v, judged.value(t)) {
			t.Errorf("%s: the octets differ", name)
		}
	}
}

// TestFields: the parts of both tokens have the names of the specification, and are
// where their octets are.
func TestFields(t *testing.T) {
	for _, test := range []struct {
		name, mediaType string
		want            []string
	}{
		{Name, mediaTypeToken, nil}, {Name, tsm.MediaTypeCBOR, []string{"tsm.provider"}}, {Parsec, mediaTypeParsec, []string{"kat.cnf", "kat.eat_nonce"}},
	} {
		t.Run(test.mediaType, func(t *testing.T) {
			b := newBench(t, test.name)
			b.request.Scheme.Format.MediaType = test.mediaType
			value := b.value(t)
			table := b.verifier(t).Table
			f, err := table.Named(test.name)
			if err != nil {
				t.Fatal(err)
			}
			r, failure := f.Read(&attestation.CMW{Format: b.request.Scheme.Format, Value: value})
			if failure != nil {
				t.Fatal(failure)
			}
			at := map[string]attestation.Field{}
			for _, x := range r.Fields() {
				at[x.Name] = x
			}
			for _, name := range append(test.want, "cca-platform-challenge", "cca-platform-lifecycle", "cca-platform-signature", "cca-realm-challenge", "cca-realm-initial-measurement", "cca-realm-signature",
				"cca-platform-sw-components", "cca-realm-extensible-measurements") {
				if x, ok := at[name]; !ok || x.End <= x.Start {
					t.Errorf("%s: %+v", name, x)
				}
			}
			if x := at["cca-realm-initial-measurement"]; !bytes.HasSuffix(value[x.Start:x.End], b.device.Realm.Initial) {
				t.Errorf("the initial measurement is not at octets %d to %d", x.Start, x.End)
			}
			if x := at["kat.eat_nonce"]; test.name == Parsec && !bytes.HasSuffix(value[x.Start:x.End], challenge) {
				t.Errorf("the nonce is not at octets %d to %d", x.Start, x.End)
			}
			for name, want := range map[string][]byte{"cca-platform-sw-components.3": b.device.Components[2].Value, "cca-realm-extensible-measurements.rem3": b.device.Realm.Extensible[3]} {
				if x := at[name]; !strings.HasSuffix(x.Text, fmt.Sprintf("%x", want)) {
					t.Errorf("%s is %q", name, x.Text)
				}
			}
			if x := at["cca-platform-lifecycle"]; x.Text != "secured (0x3000)" {
				t.Errorf("the lifecycle is %q", x.Text)
			}
		})
	}
}

// TestPolicyFiles: a section that says less than it seems, or what cannot be, is
// refused where it is wrong.
func TestPolicyFiles(t *testing.T) {
	text, err := yaml.Marshal(map[string]any{"devices": newBench(t, Name).policy.Devices})
	if err != nil {
		t.Fatal(err)
	}
	devices := string(text)
	zeros := strings.Repeat("00", 32)
	for _, test := range []struct{ name, text, want string }{
		{"sound", devices, ""},
		{"everything", devices + "config: [cfcfcfcf]\nmeasurements: {RMM: ['" + zeros + "']}\nrealm:\n  measurements: {rim: ['" + zeros + "']}\n  personalization: ['" + zeros + zeros + "']\n  hash_algorithms: [sha-256]\nlifecycle: [secured]\nany: [rem0]\n", ""},
		{"no device", "lifecycle: [secured]\n", "policy.yaml:1: no device is listed"},
		{"an unknown state", devices + "lifecycle: [debug]\n", `there is no state "debug"`},
		{"a state of PSA", devices + "lifecycle: [non-psa-rot-debug]\n", `there is no state`},
		{"a measurement that is too short", devices + "measurements: {RMM: ['00']}\n", "RMM"},
		{"a realm measurement that does not exist", devices + "realm: {measurements: {rem4: ['" + zeros + "']}}\n", `there is no "rem4"`},
		{"a realm measurement that is too short", devices + "realm: {measurements: {rim: ['00']}}\n", "rim"},
		{"a personalization value that is too short", devices + "realm: {personalization: ['00']}\n", "1 octets"},
		{"a weak algorithm", devices + "realm: {hash_algorithms: [sha-1]}\n", `there is no "sha-1"`},
		{"any of what does not exist", devices + "any: [rem4]\n", `there is no "rem4"`},
		{"any of what is listed", devices + "config: [cf]\nany: [config]\n", "lists values for it"},
		{"any realm measurement of what is listed", devices + "realm: {measurements: {rim: ['" + zeros + "']}}\nany: [rim]\n", "lists values for it"},
		{"a member that does not exist", "device: []\n", `did you mean "devices"`},
		{"a member of the realm that does not exist", devices + "realm: {rim: []}\n", "rim"},
		{"an empty realm", devices + "realm: {}\n", "realm"},
		{"an empty list", "devices: []\n", "policy.yaml:1"},
		{"null", devices + "config: null\n", "config"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := attestation.NewSection("policy.yaml", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			_, err = policyOf(s)
			if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "policy.yaml:")) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestDeviceFiles: a device that could make no sound token is refused where it is
// wrong.
func TestDeviceFiles(t *testing.T) {
	for member, change := range map[string]func(*device){
		"key":                           func(d *device) { d.Key.Signer = nil },
		"instance":                      func(d *device) { d.Instance = d.Instance[1:] },
		"implementation":                func(d *device) { d.Implementation = nil },
		"lifecycle":                     func(d *device) { d.Lifecycle = 0x13000 },
		"config":                        func(d *device) { d.Config = nil },
		"components":                    func(d *device) { d.Components = nil },
		"realm: a key":                  func(d *device) { d.Realm.Key.Signer = nil },
		"realm":                         func(d *device) { d.Realm.Personalization = make([]byte, 63) },
		"source":                        func(d *device) { *d = device{Source: "usb"} },
		"key: the platform has its own": func(d *device) { d.Source = tsm.Kernel },
	} {
		t.Run(member, func(t *testing.T) {
			d := newBench(t, Name).device
			change(d)
			text, err := yaml.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			s, err := attestation.NewSection("device.yaml", text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := open(Name)(t.Context(), attestation.DeviceOptions{Section: s}); err == nil || !strings.Contains(err.Error(), "device.yaml:") || !strings.Contains(err.Error(), member) {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzRead: no octets make the readers panic, and what verifies here verifies with the
// library as well.
func FuzzRead(f *testing.F) {
	d := seeds.Once(func() *device {
		d, err := newDevice([]byte("seed"))
		if err != nil {
			f.Fatal(err)
		}
		return d
	})
	formats := []attestation.Format{Format(), ParsecFormat()}
	seeds.Add(f, func() {
		spki, err := x509.MarshalPKIXPublicKey(d.Key.Public())
		if err != nil {
			f.Fatal(err)
		}
		for _, row := range formats {
			for _, s := range row.Schemes() {
				v, err := attester(row.Name, d).Maker.Make(f.Context(), &attestation.Question{Type: s.Format, Field: padded(challenge), SPKI: spki})
				if err != nil {
					f.Fatal(err)
				}
				f.Add(v)
			}
		}
	})
	p := d.policy()
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		for _, row := range formats {
			for _, s := range row.Schemes() {
				r, failure := row.Read(&attestation.CMW{Format: s.Format, Value: b})
				if failure != nil {
					continue
				}
				r.Fields()
				x, ok := r.Statement.(*token)
				if !ok {
					x = r.Statement.(*bundle).token
				}
				if p.signed(x) != nil || x.linked() != nil {
					continue
				}
				e, err := ccatoken.DecodeAndValidateEvidenceFromCBOR(x.octets)
				if err == nil {
					err = e.Verify(d.Key.Public())
				}
				if err != nil {
					t.Error(err)
				}
			}
		}
	})
}
