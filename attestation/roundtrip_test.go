package attestation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// testTime is when every test happens.
var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testClock() time.Time { return testTime }

func testDemo() (*Software, *Verifier) { return Demo([]byte("a seed of the tests"), testClock) }

var testChallenge = bytes.Repeat([]byte{0xa5}, 32)

// testSPKI is the TIK of tests that need one.
func testSPKI(t testing.TB) []byte {
	t.Helper()
	return spkiFor(t, must(deriveKey([]byte("tik"), "tik")).Public())
}

func spkiFor(t testing.TB, pub crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// attest makes a payload for a scheme of the attester.
func attest(t testing.TB, a negotiation.Attester, r negotiation.EvidenceRequest) *negotiation.Evidence {
	t.Helper()
	ev, err := a.Attest(context.Background(), &r)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// appraise judges a payload under the request it answers.
func appraise(t testing.TB, v negotiation.Appraiser, r negotiation.EvidenceRequest, cmw []byte) *negotiation.Verdict {
	t.Helper()
	verdict, err := v.Appraise(context.Background(), &negotiation.AppraisalRequest{Profile: r.Profile, Attester: r.Attester, Scheme: r.Scheme,
		CMW: cmw, Challenge: r.Challenge, Fit: r.Fit, Claims: r.Claims, SPKI: r.SPKI})
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func accepted(t testing.TB, v *negotiation.Verdict) {
	t.Helper()
	if v.Failure != "" || v.Status != "affirming" || len(v.SPKI) == 0 || v.ValidUntil.Before(testTime) {
		t.Errorf("not accepted: %+v", *v)
	}
	for _, c := range v.Checks {
		if !c.OK {
			t.Errorf("check %s failed in a verdict that accepts", c.Name)
		}
	}
}

// TestRoundTrip: whatever Software offers, the Verifier accepts, with and
// without a key, a challenge and further claims.
func TestRoundTrip(t *testing.T) {
	s, v := testDemo()
	s.Offers = append(DefaultOffers(),
		Offer{Format: profile.Format{ContentFormat: 60}, Tokens: Combined},
		Offer{Format: profile.Format{MediaType: MediaTypeCWT + "; eat_profile=\"tag:attls.example,2026:x\""}, Tokens: Combined, JSON: true},
		Offer{Format: PrototypeFormat, Tokens: Combined})
	for _, o := range s.Offers {
		v.Formats = append(v.Formats, o.Format)
	}
	for _, scheme := range s.Schemes() {
		for _, spki := range [][]byte{nil, testSPKI(t)} {
			for _, challenge := range [][]byte{nil, testChallenge[:8], testChallenge, bytes.Repeat(testChallenge, 2)} {
				for _, claims := range [][]negotiation.ClaimValue{nil, {{Name: "tik_pub_hash", Value: testChallenge}}} {
					r := negotiation.EvidenceRequest{Profile: "test", Attester: attls.RoleServer, Scheme: scheme, Challenge: challenge, Claims: claims, SPKI: spki}
					ev := attest(t, s, r)
					if (spki == nil) != (ev.Signer != nil) {
						t.Errorf("%v: a signer is given exactly where no key is", scheme)
					}
					verdict := appraise(t, v, r, ev.CMW)
					accepted(t, verdict)
					if want := append(spki, ev.SPKI...); !bytes.Equal(verdict.SPKI, want) {
						t.Errorf("%v: key %x, want %x", scheme, verdict.SPKI, want)
					}
				}
			}
		}
	}
}

// TestJSONBundle: a KAT and a PAT in a JSON collection.
func TestJSONBundle(t *testing.T) {
	s, v := testDemo()
	s.Offers = []Offer{{Format: profile.Format{MediaType: MediaTypeCWT}, Tokens: KATAndPAT, JSON: true}}
	r := negotiation.EvidenceRequest{Scheme: s.Schemes()[0], Challenge: testChallenge}
	ev := attest(t, s, r)
	if !bytes.HasPrefix(ev.CMW, []byte(`{"__cmwc_t":"tag:ietf.org`)) {
		t.Errorf("%.40q is no JSON collection", ev.CMW)
	}
	accepted(t, appraise(t, v, r, ev.CMW))
}

// TestKeyTypes: the keys a TIK can be.
func TestKeyTypes(t *testing.T) {
	s, v := testDemo()
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.PublicKey{"Ed25519": ed.Public(), "RSA": rsaKey.Public()}
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[c.Params().Name] = k.Public()
	}
	for name, pub := range keys {
		for _, scheme := range s.Schemes() {
			r := negotiation.EvidenceRequest{Scheme: scheme, Challenge: testChallenge, SPKI: spkiFor(t, pub)}
			verdict := appraise(t, v, r, attest(t, s, r).CMW)
			if verdict.Failure != "" || !bytes.Equal(verdict.SPKI, r.SPKI) {
				t.Errorf("%s: %s", name, verdict.Reason)
			}
		}
	}
}

// TestDeterministic: the same seed, request and time give the same octets.
func TestDeterministic(t *testing.T) {
	for i := range 3 {
		a, _ := testDemo()
		b, _ := testDemo()
		r := negotiation.EvidenceRequest{Scheme: a.Schemes()[i], Challenge: testChallenge}
		if x, y := attest(t, a, r), attest(t, b, r); !bytes.Equal(x.CMW, y.CMW) || !bytes.Equal(x.SPKI, y.SPKI) {
			t.Errorf("%v: two runs differ", r.Scheme)
		}
	}
}
