package attestation

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/internal/seeds"
	"attls/negotiation"

	"github.com/fxamacker/cbor/v2"
)

// FuzzParseCMW: any octets are read or refused with a place inside them, and
// what is read can be written and read again to the same effect.
func FuzzParseCMW(f *testing.F) {
	seeds.Add(f, func() {
		for _, seed := range []string{"82190107 41d2", "da63740209 41d2", "a1 6161 82190107 41d2", "84190107 41d2 04 00"} {
			b, _ := hex.DecodeString(string(bytes.ReplaceAll([]byte(seed), []byte(" "), nil)))
			f.Add(b)
		}
		f.Add([]byte(`["application/eat+cwt","0g",4]`))
		f.Add([]byte(`{"__cmwc_t":"tag:a.b,2024:x","a":{"b":["application/eat+cwt","0g"]}}`))
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		c, err := ParseCMW(b, Limits{})
		if err != nil {
			if err.Failure != attls.FailMalformedCMW || err.Offset > len(b) || err.Detail == "" {
				t.Fatalf("%x: %+v", b, err)
			}
			return
		}
		back, encodeErr := c.Encode()
		if encodeErr != nil {
			return // an empty value, or a label the library does not write
		}
		if _, err := ParseCMW(back, Limits{}); err != nil {
			t.Fatalf("%x was read, written as %x, and is refused: %v", b, back, err)
		}
	})
}

// fuzzed is what the targets of appraisal share.
type fuzzed struct {
	s    *Software
	v    *Verifier
	spki []byte
}

func fuzzedDemo() *fuzzed {
	s, v := testDemo()
	return &fuzzed{s, v, must(spkiOf(must(deriveKey(nil, "tik")).Public()))}
}

// FuzzAppraise: any octets give a verdict; one that accepts holds the key, an
// end of validity and only checks that passed.
func FuzzAppraise(f *testing.F) {
	x := seeds.Once(fuzzedDemo)
	s, v := x.s, x.v
	s.Offers = append(DefaultOffers(), Offer{Format: profile.Format{ContentFormat: 60}, Tokens: Combined},
		Offer{Format: PrototypeFormat, Tokens: Prototype}, Offer{Format: profile.Format{ContentFormat: 61}, Tokens: Combined, JSON: false})
	schemes := append(s.Schemes(), negotiation.Scheme{Format: profile.Format{MediaType: "application/vnd.parallaxsecond.key-attestation.tpm"}})
	request := negotiation.EvidenceRequest{Challenge: testChallenge, SPKI: x.spki}
	seeds.Add(f, func() {
		for i, scheme := range s.Schemes() {
			request.Scheme = scheme
			ev, err := s.Attest(context.Background(), &request)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), ev.CMW)
		}
		capture, err := os.ReadFile("testdata/prototype-648e.bin")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(3), capture)
		statements, err := os.ReadFile("../conformance/capture/testdata/cmw-f4ac.bin")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(len(schemes)-1), statements)
	})
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		seeds.Input(t, i, b)
		scheme := schemes[int(i)%len(schemes)]
		verdict, err := v.Appraise(context.Background(), &negotiation.AppraisalRequest{Scheme: scheme, CMW: b, Challenge: testChallenge, SPKI: request.SPKI})
		if err != nil {
			t.Fatal(err)
		}
		if verdict.Failure == "" {
			accepted(t, verdict)
		} else if verdict.Reason == "" || verdict.SPKI != nil || len(verdict.Checks) == 0 || len(verdict.Checks) > 16 {
			t.Fatalf("%+v", verdict)
		}
	})
}

// FuzzToken: a token that anyone signs. The claims are the input, under an
// endorsed key, so that what lies behind the signature is reached.
func FuzzToken(f *testing.F) {
	demo := seeds.Once(fuzzedDemo)
	s, v := demo.s, demo.v
	seeds.Add(f, func() {
		pat, err := s.Platform.claims()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pat.encode())
		kat := claims{}
		kat.set(claimNonce, testChallenge)
		if err := kat.setConfirmation(s.PlatformKey.Public()); err != nil {
			f.Fatal(err)
		}
		f.Add(kat.encode())
		for k, x := range pat {
			kat[k] = x
		}
		f.Add(kat.encode())
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		token, err := signToken(s.PlatformKey, b)
		if err != nil {
			return
		}
		c := &CMW{Format: profile.Format{ContentFormat: FormatCWT}, Value: token}
		cmw, err := c.Encode()
		if err != nil {
			return
		}
		r := &negotiation.AppraisalRequest{Scheme: negotiation.Scheme{Format: c.Format}, CMW: cmw, Challenge: testChallenge}
		verdict, err := v.Appraise(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if verdict.Failure == "" {
			withinSkew(verdict)
			accepted(t, verdict)
		}
	})
}

// withinSkew counts a token that expired less than the skew ago as one that has
// not: it is accepted, and its verdict ends with it.
func withinSkew(v *negotiation.Verdict) {
	if v.ValidUntil.Before(testTime) && v.ValidUntil.After(testTime.Add(-defaultSkew)) {
		v.ValidUntil = testTime
	}
}

// FuzzResult: a result that the trusted verifier signs, whatever its claims are.
func FuzzResult(f *testing.F) {
	demo := seeds.Once(fuzzedDemo)
	s, v := demo.s, demo.v
	scheme := negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte(DemoVerifier)}
	c := seeds.Once(func() *CMW {
		ev, err := s.Attest(context.Background(), &negotiation.EvidenceRequest{Scheme: scheme, Challenge: testChallenge, SPKI: demo.spki})
		if err != nil {
			f.Fatal(err)
		}
		c, failure := ParseCMW(ev.CMW, Limits{})
		if failure != nil {
			f.Fatal(failure)
		}
		return c
	})
	seeds.Add(f, func() {
		payload, err := verifyJWT(c.Value, v.Key.Public())
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(`{"alg":"ES256"}`), payload)
		f.Add([]byte(`{"alg":"ES256","typ":"JWT","crit":["x"]}`), []byte(`{"exp":1.5,"aud":["x"],"eat_nonce":["AAAAAAAA","AAAAAAAA"]}`))
	})
	f.Fuzz(func(t *testing.T, header, payload []byte) {
		seeds.Input(t, header, payload)
		jwt, err := signJWT(v.Key, header, payload)
		if err != nil {
			t.Fatal(err)
		}
		cmw, err := (&CMW{Format: c.Format, Value: jwt}).Encode()
		if err != nil {
			return
		}
		verdict, err := v.Appraise(context.Background(), &negotiation.AppraisalRequest{Scheme: scheme, CMW: cmw, Challenge: testChallenge})
		if err != nil {
			t.Fatal(err)
		}
		if verdict.Failure == "" {
			withinSkew(verdict)
			accepted(t, verdict)
		} else if verdict.Status == "affirming" {
			t.Fatalf("%+v", verdict)
		}
	})
}

// FuzzShortest: what is well-formed has one shortest form, which another library
// finds well-formed as well.
func FuzzShortest(f *testing.F) {
	seeds.Add(f, func() {
		for _, seed := range []string{"9f01ff", "bf6161f5ff", "5f41aa4100ff", "7f6161ff", "1b0000000000000001", "d9003dd28443a10126a04040", "f97e00", "a1190001f6"} {
			b, _ := hex.DecodeString(seed)
			f.Add(b)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		if wellFormed(b) != nil {
			return
		}
		short := shortest(b)
		if err := wellFormed(short); err != nil {
			t.Fatalf("%x becomes %x: %v", b, short, err)
		}
		if again := shortest(short); !bytes.Equal(again, short) || len(short) > len(b) {
			t.Fatalf("%x becomes %x, then %x", b, short, again)
		}
		if err := cbor.Wellformed(short); err != nil {
			t.Fatalf("%x becomes %x: %v", b, short, err)
		}
	})
}
