package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/internal/seeds"
	"attls/negotiation"

	"github.com/google/go-tpm/tpm2"
)

// forgery is what a key of ours signs in the place of a TPM.
type forgery struct {
	ak            *ecdsa.PrivateKey // of the quote
	certifier     *ecdsa.PrivateKey // nil: the same
	certify       tpm2.TPMSAttest
	quote         tpm2.TPMSAttest
	area          tpm2.TPMTPublic
	withoutQuote  bool
	certifyAsPlat bool // the statement about the key twice
}

// areaOf is the public area of a key that a TPM would have made.
func areaOf(t *testing.T, use string) (tpm2.TPMTPublic, []byte) {
	t.Helper()
	k := must(attestation.DeriveKey(nil, use))
	area := template(made)
	if err := setPoint(&area, &k.PublicKey); err != nil {
		t.Fatal(err)
	}
	return area, must(x509.MarshalPKIXPublicKey(k.Public()))
}

// genuine is a forgery that is not told from Evidence of a TPM.
func genuine(t *testing.T) *forgery {
	t.Helper()
	f := &forgery{ak: must(attestation.DeriveKey(nil, "ak"))}
	f.area, _ = areaOf(t, "tik")
	name := must(tpm2.ObjectName(&f.area))
	f.certify = tpm2.TPMSAttest{Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestCertify, ExtraData: tpm2.TPM2BData{Buffer: testChallenge},
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: *name, QualifiedName: *name})}
	f.quote = tpm2.TPMSAttest{Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestQuote, ExtraData: tpm2.TPM2BData{Buffer: testChallenge},
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{PCRSelect: must(selectionFor(DefaultPCRs)),
			PCRDigest: tpm2.TPM2BDigest{Buffer: sha256Of(make([]byte, 8*32))}})}
	return f
}

func (f *forgery) encode(t *testing.T, typ profile.Format) []byte {
	t.Helper()
	sign := func(key *ecdsa.PrivateKey, octets []byte) []byte {
		r, s, err := ecdsa.Sign(rand.Reader, key, sha256Of(octets))
		if err != nil {
			t.Fatal(err)
		}
		return tpm2.Marshal(tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA,
			&tpm2.TPMSSignatureECC{Hash: tpm2.TPMAlgSHA256, SignatureR: tpm2.TPM2BECCParameter{Buffer: r.FillBytes(make([]byte, 32))},
				SignatureS: tpm2.TPM2BECCParameter{Buffer: s.FillBytes(make([]byte, 32))}})})
	}
	certifier := f.certifier
	if certifier == nil {
		certifier = f.ak
	}
	v := &value{kid: []byte{1}, area: tpm2.Marshal(f.area), certified: tpm2.Marshal(f.certify)}
	v.certifier = sign(certifier, v.certified)
	if !f.withoutQuote {
		v.quoted = tpm2.Marshal(f.quote)
		if f.certifyAsPlat {
			v.quoted = v.certified
		}
		v.quoter = sign(f.ak, v.quoted)
	}
	c := attestation.CMW{Form: attestation.CBORRecord, Format: typ, Value: must(v.encode()), Indicator: attestation.IndEvidence}
	return must(c.Encode())
}

func forgeryVerifier(t *testing.T, ak *ecdsa.PrivateKey) *attestation.Verifier {
	t.Helper()
	return &attestation.Verifier{Clock: testClock, Table: must(table.With(CertifyFormat())),
		Formats:      []profile.Format{format, {MediaType: CertifyMediaType}},
		Endorsements: []attestation.Endorsement{{Name: "ak", Key: ak.Public(), References: []string{"zeros"}}},
		References: []attestation.Reference{{Name: "zeros", PCRs: must(attestation.ParsePCRSelection(DefaultPCRs)),
			PCRDigests: [][]byte{sha256Of(make([]byte, 8*32))}}}}
}

// TestForged: statements of which one thing is wrong, under signatures that verify.
func TestForged(t *testing.T) {
	other := must(attestation.DeriveKey(nil, "other"))
	stale := bytes.Repeat([]byte{0x5a}, 32)
	for _, test := range []struct {
		name   string
		change func(*forgery)
		want   attls.Failure
		says   string
	}{
		{"nothing", func(*forgery) {}, "", ""},
		{"extraData of both is another challenge", func(f *forgery) { f.certify.ExtraData.Buffer, f.quote.ExtraData.Buffer = stale, stale },
			attls.FailBinderMismatch, "extraData is 5a5a"},
		{"the quote is stale", func(f *forgery) { f.quote.ExtraData.Buffer = stale }, attls.FailBinderMismatch, "pat"},
		{"the certification is stale", func(f *forgery) { f.certify.ExtraData.Buffer = stale }, attls.FailBinderMismatch, "kat"},
		{"the challenge with an octet after it", func(f *forgery) { f.quote.ExtraData.Buffer = append(bytes.Clone(testChallenge), 0) },
			attls.FailBinderMismatch, "pat"},
		{"a key that was not made in a TPM", func(f *forgery) { f.area.ObjectAttributes.SensitiveDataOrigin = false; f.rename(t) },
			attls.FailAppraisal, "sensitiveDataOrigin false"},
		{"the magic of no TPM, in the quote", func(f *forgery) { f.quote.Magic++ }, attls.FailAppraisal, "magic ff544348"},
		{"the magic of no TPM, in the certification", func(f *forgery) { f.certify.Magic = 0 }, attls.FailAppraisal, "magic 00000000"},
		{"a PCR that the policy needs is not quoted", func(f *forgery) {
			q := must(f.quote.Attested.Quote())
			q.PCRSelect = must(selectionFor("sha256:0,1,2,3,4,5,6"))
		}, attls.FailAppraisal, "the quote is over the PCRs sha256:0,1,2,3,4,5,6, not"},
		{"a PCR has another value", func(f *forgery) { must(f.quote.Attested.Quote()).PCRDigest.Buffer = stale }, attls.FailAppraisal, "no reference value matches"},
		{"the public area of another key", func(f *forgery) { f.area, _ = areaOf(t, "another key") }, attls.FailTIKMismatch, "the certified key has the name"},
		{"two attestation keys", func(f *forgery) { f.certifier = other }, attls.FailAppraisal, "verifies under none"},
		{"an attestation key that nobody endorses", func(f *forgery) { f.ak = other }, attls.FailAppraisal, "verifies under none"},
		{"the statement about the key twice", func(f *forgery) { f.certifyAsPlat = true }, attls.FailMalformedCMW, "type 8017"},
		{"no quote", func(f *forgery) { f.withoutQuote = true }, attls.FailMalformedCMW, "pat"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := genuine(t)
			v := forgeryVerifier(t, f.ak)
			test.change(f)
			r := negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: format}, Challenge: testChallenge}
			r.SPKI = must(x509.MarshalPKIXPublicKey(must2(keyOf(&f.area))))
			wants(t, appraise(t, v, r, f.encode(t, format)), test.want, test.says)
		})
	}
}

// rename certifies the public area as it is now.
func (f *forgery) rename(t *testing.T) {
	t.Helper()
	must(f.certify.Attested.Certify()).Name = *must(tpm2.ObjectName(&f.area))
}

// TestUnquoted: key attestation alone is not affirmed unless the policy accepts a platform
// in any state, and is not taken for a bundle with a quote, nor the other way round.
func TestUnquoted(t *testing.T) {
	f := genuine(t)
	f.withoutQuote = true
	typ := profile.Format{MediaType: CertifyMediaType}
	r := negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: typ}, Challenge: testChallenge}
	_, r.SPKI = areaOf(t, "tik")
	v := forgeryVerifier(t, f.ak)
	verdict := appraise(t, v, r, f.encode(t, typ))
	if failure, reason := verdict.Refusal(testTime); failure == "" || verdict.Status == negotiation.StatusAffirming {
		t.Errorf("affirmed without a quote: %s, %+v", reason, verdict)
	}
	s := must(attestation.NewSection("verifier.yaml", []byte("platform: unquoted")))
	v.Policies = map[string]attestation.Policy{CertifyName: must(CertifyFormat().Policy(s))}
	accepted(t, appraise(t, v, r, f.encode(t, typ)))
	f.withoutQuote = false
	wants(t, appraise(t, v, r, f.encode(t, typ)), attls.FailMalformedCMW, "a member pat")
	for _, text := range []string{"platform: quoted", "platform: ''", "{}", "unquoted: true", "platform: null"} {
		s, err := attestation.NewSection("verifier.yaml", []byte(text))
		if err != nil {
			continue
		}
		if p, err := CertifyFormat().Policy(s); err == nil && p == (Policy{Unquoted}) {
			t.Errorf("%q accepts platforms in any state", text)
		}
	}
}

// FuzzParsec: no octets panic, and what is read is written again as it was.
func FuzzParsec(f *testing.F) {
	seeds.Add(f, func() {
		t := &testing.T{}
		seed := genuine(t)
		c := must2(attestation.ParseCMW(seed.encode(t, format), attestation.Limits{}))
		f.Add(c.Value, true)
		seed.withoutQuote = true
		c = must2(attestation.ParseCMW(seed.encode(t, format), attestation.Limits{}))
		f.Add(c.Value, false)
	})
	f.Fuzz(func(t *testing.T, value []byte, quoted bool) {
		seeds.Input(t, value, quoted)
		p, err := parseParsec(value, quoted)
		if err != nil {
			return
		}
		for _, field := range p.fields(value) {
			if field.Start < 0 || field.End > len(value) || field.Start > field.End {
				t.Errorf("%s is at %d to %d of %d octets", field.Name, field.Start, field.End, len(value))
			}
		}
		_ = p.linkage()
	})
}

// FuzzKeyFile: no octets panic.
func FuzzKeyFile(f *testing.F) {
	seeds.Add(f, func() {
		area, _ := areaOf(&testing.T{}, "k")
		f.Add(must(must(objectOf(&object{parent: tpm2.TPMRHOwner, private: []byte{1, 2, 3}}, &area)).der()))
	})
	f.Fuzz(func(t *testing.T, der []byte) {
		seeds.Input(t, der)
		o, err := parseKeyFile(der)
		if err != nil {
			return
		}
		if again, err := parseKeyFile(must(o.der())); err != nil || !again.public.Equal(o.public) {
			t.Errorf("%v", err)
		}
	})
}
