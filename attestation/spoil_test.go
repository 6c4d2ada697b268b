package attestation

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// TestSpoil: every kind of bad payload has the Failure that its row names, and
// the verdict's reason and checks say which check failed.
func TestSpoil(t *testing.T) {
	s, v := testDemo()
	s.Offers = append(DefaultOffers(), Offer{Format: profile.Format{ContentFormat: 60}, Tokens: Combined})
	v.Formats = []profile.Format{{ContentFormat: FormatCWT}, {MediaType: MediaTypeCWT}, {ContentFormat: 60}}
	for _, row := range Spoilages {
		bad, err := Spoil(row.Kind, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, scheme := range bad.Schemes() {
			for _, spki := range [][]byte{nil, testSPKI(t)} {
				r := negotiation.EvidenceRequest{Profile: "test", Scheme: scheme, Challenge: testChallenge, SPKI: spki,
					Claims: []negotiation.ClaimValue{{Name: "tik_pub_hash", Value: testChallenge}}}
				ev, err := bad.Attest(context.Background(), &r)
				if !slices.Contains(row.Models, scheme.Model) {
					if err == nil {
						t.Errorf("%s: possible in the model %v", row.Kind, scheme.Model)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", row.Kind, err)
					continue
				}
				verdict := appraise(t, v, r, ev.CMW)
				want := row.Failure
				if spki == nil && row.FailureAlone != "" {
					want = "" // the appraisal passes; CertificateVerify does not
					if sameKey(must(parseSPKI(verdict.SPKI)), ev.Signer.(swapped).Signer.Public()) {
						t.Errorf("%s: the signer is the attested key", row.Kind)
					}
				}
				if verdict.Failure != want || want != "" && (verdict.Reason == "" || verdict.SPKI != nil) {
					t.Errorf("%s, %v %v: %q (%s), want %q", row.Kind, scheme.Model, scheme.Format, verdict.Failure, verdict.Reason, want)
				}
				i := slices.IndexFunc(verdict.Checks, func(c negotiation.Check) bool { return !c.OK })
				if want != "" && (i < 0 || verdict.Checks[i].Text != verdict.Reason) {
					t.Errorf("%s: no check gives the reason %q", row.Kind, verdict.Reason)
				}
			}
		}
	}
	if _, err := Spoil("unheard-of", s); err == nil {
		t.Error("an unknown kind is accepted")
	}
}

// TestSpoilPrototype: the kinds that the prototype's bundle can show.
func TestSpoilPrototype(t *testing.T) {
	s, v := testDemo()
	s.Offers = []Offer{{Format: PrototypeFormat, Tokens: Prototype}}
	v.Formats = []profile.Format{PrototypeFormat}
	v.References = append(v.References, Reference{Name: "prototype", UEIDs: [][]byte{s.Platform.UEID}, Prototype: true})
	possible := map[string]bool{"binder": true, "key": true, "signature": true, "endorsement": true, "reference-value": true,
		"truncated": true, "trailing": true, "huge": true, "empty": true, "critical": true, "algorithm": true}
	r := negotiation.EvidenceRequest{Scheme: s.Schemes()[0], Challenge: testChallenge, SPKI: testSPKI(t)}
	for _, row := range Spoilages {
		bad, err := Spoil(row.Kind, s)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := bad.Attest(context.Background(), &r)
		if (err == nil) != possible[row.Kind] {
			t.Errorf("%s: %v", row.Kind, err)
		}
		if err != nil {
			continue
		}
		if verdict := appraise(t, v, r, ev.CMW); verdict.Failure != row.Failure {
			t.Errorf("%s: %q (%s), want %q", row.Kind, verdict.Failure, verdict.Reason, row.Failure)
		}
	}
}

// TestCauseOfSpoilage: where two kinds share a Failure, the reason tells them apart.
func TestCauseOfSpoilage(t *testing.T) {
	s, v := testDemo()
	for kind, says := range map[string]string{
		"signature": "verifies under none", "reference-value": `component "application" has digest`, "debug": "dbgstat is 0",
		"profile": "another-profile", "truncated": "a string of", "trailing": "follow", "huge": "at most 32768", "empty": "empty",
		"unclosed": "ends where an item should begin", "expired": "expired at 2025-03-01", "critical": "crit lists the header parameters [attls-unknown]",
		"algorithm": "names ES384, which is not for a key on P-256", "format": "application/octet-stream", "indicator": "ind is 8",
	} {
		bad, err := Spoil(kind, s)
		if err != nil {
			t.Fatal(err)
		}
		r := negotiation.EvidenceRequest{Scheme: s.Schemes()[0], Challenge: testChallenge}
		if verdict := appraise(t, v, r, attest(t, bad, r).CMW); !strings.Contains(verdict.Reason, says) {
			t.Errorf("%s: %q does not say %q", kind, verdict.Reason, says)
		}
	}
}

// TestLinkage: a platform token that vouches for another key than the one that
// signed the key token.
func TestLinkage(t *testing.T) {
	s, v := testDemo()
	other := *s
	other.KeyAttestationKey = must(deriveKey([]byte("x"), "another key attestation key"))
	r := negotiation.EvidenceRequest{Scheme: s.Schemes()[0], Challenge: testChallenge, SPKI: testSPKI(t)}
	mine, err1 := ParseCMW(attest(t, s, r).CMW, Limits{})
	theirs, err2 := ParseCMW(attest(t, &other, r).CMW, Limits{})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	mine.Members[0] = theirs.Members[0]
	b, err := mine.Encode()
	if err != nil {
		t.Fatal(err)
	}
	verdict := appraise(t, v, r, b)
	failed := slices.IndexFunc(verdict.Checks, func(c negotiation.Check) bool { return !c.OK })
	if verdict.Failure != attls.FailAppraisal || verdict.Checks[failed].Name != CheckLinkage {
		t.Errorf("%q: %+v", verdict.Failure, verdict.Checks)
	}
}

func TestPlaceChallenge(t *testing.T) {
	at := func(n int) []byte { return bytes.Repeat([]byte{7}, n) }
	for _, test := range []struct {
		length, min, max int
		fit              profile.ChallengeFit
		want             int
		first            byte
	}{
		{8, 8, 64, profile.FitExact, 8, 7},
		{64, 8, 64, profile.FitSHA512, 64, 7},
		{7, 8, 64, profile.FitPadRight, 8, 7},
		{7, 8, 64, profile.FitPadLeft, 8, 0},
		{7, 8, 64, profile.FitExact, -1, 0},
		{65, 8, 64, profile.FitPadRight, -1, 0},
		{65, 8, 64, profile.FitExact, -1, 0},
		{65, 8, 64, profile.FitSHA512, 64, 0xf3},
		{32, 64, 64, profile.FitPadRight, 64, 7},
		{32, 64, 64, profile.FitPadLeft, 64, 0},
		{65, 8, 48, profile.FitSHA512, -1, 0},
	} {
		got, err := PlaceChallenge(at(test.length), test.min, test.max, test.fit)
		if test.want < 0 {
			if err == nil || err.Failure != attls.FailBinderUndefined {
				t.Errorf("%d octets in %d..%d, fit %d: %x, %v", test.length, test.min, test.max, test.fit, got, err)
			}
			continue
		}
		if err != nil || len(got) != test.want || test.first != 0xf3 && got[0] != test.first {
			t.Errorf("%d octets in %d..%d, fit %d: %x, %v", test.length, test.min, test.max, test.fit, got, err)
		}
	}
	s, _ := testDemo()
	_, err := s.Attest(context.Background(), &negotiation.EvidenceRequest{Scheme: s.Schemes()[0], Challenge: at(65), Fit: profile.FitExact})
	if e, ok := err.(*attls.Error); !ok || e.Failure != attls.FailBinderUndefined {
		t.Errorf("an Attester that cannot place its challenge: %v", err)
	}
}
