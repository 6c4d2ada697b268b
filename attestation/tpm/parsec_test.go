package tpm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/google/go-tpm/tpm2"
)

// parsecPoint is the attestation key behind the recorded Evidence: the one key under
// which both of its signatures verify.
const parsecPoint = "04ab201a720deda6bc2688aed86e650bcc7dff06792b56095c31b0f2d7ecb87148ecdb85320b508b54c68d9376403ef3ce66aa3d7c39ce68f3e8e7a6c57976fce6"

// parsecCapture is Evidence as the attesting client of the proof of concept sent it,
// and a Verifier for it.
func parsecCapture(t *testing.T) ([]byte, *attestation.Verifier, negotiation.EvidenceRequest) {
	t.Helper()
	evidence, err := os.ReadFile("../../conformance/capture/testdata/cmw-f4ac.bin")
	if err != nil {
		t.Fatal(err)
	}
	key, failure := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), unhex(t, parsecPoint))
	if failure != nil {
		t.Fatal(failure)
	}
	v := &attestation.Verifier{Clock: testClock, Table: table, Formats: []profile.Format{format}, Endorsements: []attestation.Endorsement{{Name: "attestation key", Key: key, References: []string{"zeros"}}},
		References: []attestation.Reference{{Name: "zeros", PCRs: must(attestation.ParsePCRSelection("sha256:0,1,2,3,4,5,6,7")), PCRDigests: [][]byte{unhex(t, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925")}}}}
	return evidence, v, negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: format}, Challenge: unhex(t, "0001020304050607")}
}

// TestParsecCapture appraises recorded Evidence, and what is not quite it.
func TestParsecCapture(t *testing.T) {
	evidence, v, r := parsecCapture(t)
	accepted(t, appraise(t, v, r, evidence))
	replaced := func(old, by string) []byte { return bytes.Replace(evidence, unhex(t, old), unhex(t, by), 1) }
	for name, test := range map[string]struct {
		change func(v *attestation.Verifier, r *negotiation.EvidenceRequest) []byte
		want   attls.Failure
	}{
		"nonce": {func(_ *attestation.Verifier, r *negotiation.EvidenceRequest) []byte {
			r.Challenge = testChallenge
			return evidence
		}, attls.FailBinderMismatch},
		"prefix of the nonce": {func(_ *attestation.Verifier, r *negotiation.EvidenceRequest) []byte {
			r.Challenge = r.Challenge[:7]
			return evidence
		}, attls.FailBinderMismatch},
		"key": {func(_ *attestation.Verifier, r *negotiation.EvidenceRequest) []byte {
			r.SPKI = testSPKI(t)
			return evidence
		}, attls.FailTIKMismatch},
		"endorsement": {func(v *attestation.Verifier, _ *negotiation.EvidenceRequest) []byte {
			v.Endorsements = []attestation.Endorsement{{Name: "other", Key: must(attestation.DeriveKey(nil, "x")).Public(), References: []string{"zeros"}}}
			return evidence
		}, attls.FailAppraisal},
		"PCRs": {func(v *attestation.Verifier, _ *negotiation.EvidenceRequest) []byte {
			v.References = []attestation.Reference{{PCRDigests: [][]byte{make([]byte, 32)}}}
			return evidence
		}, attls.FailAppraisal},
		"reference for tokens": {func(v *attestation.Verifier, _ *negotiation.EvidenceRequest) []byte {
			v.References = []attestation.Reference{{}}
			return evidence
		}, attls.FailAppraisal},
		"format": {func(_ *attestation.Verifier, r *negotiation.EvidenceRequest) []byte {
			r.Scheme.Format = profile.Format{ContentFormat: attestation.FormatCWT}
			return evidence
		}, attls.FailFormatMismatch},
		"signed nonce": {func(*attestation.Verifier, *negotiation.EvidenceRequest) []byte {
			return replaced("0008 0001020304050607", "0008 0001020304050608")
		}, attls.FailAppraisal},
		"magic": {func(*attestation.Verifier, *negotiation.EvidenceRequest) []byte {
			return replaced("ff5443478017", "ff5443488017")
		}, attls.FailAppraisal},
		"a quote for a key": {func(*attestation.Verifier, *negotiation.EvidenceRequest) []byte {
			return replaced("ff5443478017", "ff5443478018")
		}, attls.FailMalformedCMW},
		"version of the TPM": {func(*attestation.Verifier, *negotiation.EvidenceRequest) []byte {
			return replaced("63322e30", "63312e32")
		}, attls.FailMalformedCMW},
		"another public area": {func(*attestation.Verifier, *negotiation.EvidenceRequest) []byte {
			return replaced("0023000b00040072", "0023000b00040073") // userWithAuth and what is beside it
		}, attls.FailTIKMismatch},
		"no platform": {func(*attestation.Verifier, *negotiation.EvidenceRequest) []byte {
			return replaced("63706174a4", "63706175a4")
		}, attls.FailMalformedCMW},
	} {
		v, r := *v, r
		evidence := test.change(&v, &r)
		if verdict := appraise(t, &v, r, evidence); verdict.Failure != test.want {
			t.Errorf("%s: %q (%s), want %q", name, verdict.Failure, verdict.Reason, test.want)
		}
	}
}

// TestParsecKey: a key that did not originate in the TPM, can leave it, or may not
// sign what comes from outside, is refused although the TPM certifies it.
func TestParsecKey(t *testing.T) {
	evidence, _, _ := parsecCapture(t)
	c := must2(attestation.ParseCMW(evidence, attestation.Limits{}))
	p, err := parseParsec(c.Value, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.linkage(); err != nil {
		t.Error(err)
	}
	a := &p.public.ObjectAttributes
	for _, bit := range []*bool{&a.FixedTPM, &a.SensitiveDataOrigin, &a.SignEncrypt, &a.Restricted} {
		*bit = !*bit
		name, renamed := tpm2.ObjectName(p.public)
		info, certified := p.kat.attest.Attested.Certify()
		if renamed != nil || certified != nil {
			t.Fatal(renamed, certified)
		}
		info.Name = *name
		if err := p.linkage(); err == nil || err.Failure != attls.FailAppraisal {
			t.Errorf("%+v: %v", a, err)
		}
		*bit = !*bit
	}
	p.public.NameAlg = tpm2.TPMAlgSHA1
	info := must(p.kat.attest.Attested.Certify())
	info.Name = *must(tpm2.ObjectName(p.public))
	if err := p.linkage(); err == nil || !strings.Contains(err.Detail, "algorithm 0004") {
		t.Errorf("a name made with SHA-1: %v", err)
	}
}

// TestParsecSpoiled: no octet of the Evidence can be changed or be missing, kid apart.
func TestParsecSpoiled(t *testing.T) {
	evidence, v, r := parsecCapture(t)
	kid := unhex(t, "6b6964 5821 01e680404407320fdb0aa6cf276bd81438df98a5dc874c26b70e57eaf39e2c5936") // with its name
	first, last := bytes.Index(evidence, kid), bytes.LastIndex(evidence, kid)
	in := func(i, start int) bool { return i >= start && i < start+len(kid) }
	for i := range evidence {
		if verdict := appraise(t, v, r, evidence[:i]); verdict.Failure == "" {
			t.Fatalf("%d octets are accepted", i)
		}
		spoiled := bytes.Clone(evidence)
		spoiled[i] ^= 0x21
		if verdict := appraise(t, v, r, spoiled); verdict.Failure == "" && !in(i, first) && !in(i, last) {
			t.Errorf("octet %d may be %02x", i, spoiled[i])
		}
	}
	if verdict := appraise(t, v, r, append(bytes.Clone(evidence), 0)); verdict.Failure != attls.FailMalformedCMW {
		t.Errorf("%+v", verdict)
	}
}

// TestParsecInspect: what decoding shows of it.
func TestParsecInspect(t *testing.T) {
	evidence, v, r := parsecCapture(t)
	c, err := table.Inspect(evidence, profile.ModelEvidence)
	if err != nil {
		t.Fatal(err)
	}
	if verdict := appraise(t, v, r, evidence); !bytes.Equal(c.SPKI, verdict.SPKI) || !bytes.Equal(c.Challenge, r.Challenge) {
		t.Errorf("%+v", c)
	}
}

// quoting is the recorded Evidence of a TPM with another selection of PCRs, signed
// by a key of ours.
func quoting(t *testing.T, evidence []byte, key *ecdsa.PrivateKey, selection ...tpm2.TPMSPCRSelection) []byte {
	t.Helper()
	c, failure := attestation.ParseCMW(evidence, attestation.Limits{})
	if failure != nil {
		t.Fatal(failure)
	}
	all := must2(attestation.ParseClaims(c.Value))
	for label, member := range map[string]string{labelKAT: "certInfo", labelPAT: "attestInfo"} {
		stated := must2(attestation.ParseClaims(all[label]))
		attest := must2(structure[tpm2.TPMSAttest](must2(stated.Octets(member)), member))
		if quote, err := attest.Attested.Quote(); err == nil {
			quote.PCRSelect.PCRSelections = selection
		}
		octets := tpm2.Marshal(*attest)
		r, s, err := ecdsa.Sign(rand.Reader, key, sha256Of(octets))
		if err != nil {
			t.Fatal(err)
		}
		signature := tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA,
			&tpm2.TPMSSignatureECC{Hash: tpm2.TPMAlgSHA256, SignatureR: tpm2.TPM2BECCParameter{Buffer: r.FillBytes(make([]byte, 32))},
				SignatureS: tpm2.TPM2BECCParameter{Buffer: s.FillBytes(make([]byte, 32))}})}
		stated.Set(member, octets)
		stated.Set("sig", tpm2.Marshal(signature))
		all[label] = stated.Encode()
	}
	c.Value = all.Encode()
	return must(c.Encode())
}

// TestPCRSelection: a digest counts for the PCRs that a reference names, and for
// no others.
func TestPCRSelection(t *testing.T) {
	evidence, v, r := parsecCapture(t)
	key := must(attestation.DeriveKey(nil, "attestation key of a TPM"))
	v.Endorsements[0].Key = key.Public()
	bank := func(hash tpm2.TPMAlgID, bitmap ...byte) tpm2.TPMSPCRSelection {
		return tpm2.TPMSPCRSelection{Hash: hash, PCRSelect: bitmap}
	}
	sha256, sha1 := tpm2.TPMAlgSHA256, tpm2.TPMAlgSHA1
	for _, test := range []struct {
		name   string
		quoted []tpm2.TPMSPCRSelection
		wanted string // empty: nothing
		says   string // empty: accepted
	}{
		{"the PCRs of the reference", []tpm2.TPMSPCRSelection{bank(sha256, 0xff, 0, 0)}, "sha256:0,1,2,3,4,5,6,7", ""},
		{"a longer bitmap", []tpm2.TPMSPCRSelection{bank(sha256, 0xff, 0, 0, 0)}, "sha256:7,6,5,4,3,2,1,0", ""},
		{"a bank of which nothing is selected", []tpm2.TPMSPCRSelection{bank(sha1, 0, 0, 0), bank(sha256, 0xff, 0, 0)}, "sha256:0,1,2,3,4,5,6,7", ""},
		{"two banks", []tpm2.TPMSPCRSelection{bank(sha256, 1, 0, 0), bank(sha1, 2, 0, 0)}, "sha256:0+sha1:1", ""},
		{"two banks in another order", []tpm2.TPMSPCRSelection{bank(sha1, 2, 0, 0), bank(sha256, 1, 0, 0)}, "sha256:0+sha1:1", "the quote is over the PCRs sha1:1+sha256:0, not sha256:0+sha1:1"},
		{"a PCR that anybody can reset", []tpm2.TPMSPCRSelection{bank(sha256, 0, 0, 1)}, "sha256:0,1,2,3,4,5,6,7", "the quote is over the PCRs sha256:16, not"},
		{"another such PCR", []tpm2.TPMSPCRSelection{bank(sha256, 0, 0, 0x80)}, "sha256:0,1,2,3,4,5,6,7", "the quote is over the PCRs sha256:23, not"},
		{"another bank", []tpm2.TPMSPCRSelection{bank(sha1, 0xff, 0, 0)}, "sha256:0,1,2,3,4,5,6,7", "the quote is over the PCRs sha1:0,1,2,3,4,5,6,7, not"},
		{"one PCR less", []tpm2.TPMSPCRSelection{bank(sha256, 0x7f, 0, 0)}, "sha256:0,1,2,3,4,5,6,7", "the quote is over"},
		{"one PCR more", []tpm2.TPMSPCRSelection{bank(sha256, 0xff, 1, 0)}, "sha256:0,1,2,3,4,5,6,7", "the quote is over"},
		{"a bank more", []tpm2.TPMSPCRSelection{bank(sha256, 0xff, 0, 0), bank(sha1, 1, 0, 0)}, "sha256:0,1,2,3,4,5,6,7", "the quote is over"},
		{"no PCR", []tpm2.TPMSPCRSelection{bank(sha256, 0, 0, 0)}, "sha256:0,1,2,3,4,5,6,7", "the quote is over the PCRs (none), not"},
		{"no bank", nil, "sha256:0,1,2,3,4,5,6,7", "the quote is over the PCRs (none), not"},
		{"a reference that names none", []tpm2.TPMSPCRSelection{bank(sha256, 0xff, 0, 0)}, "", "does not say of which PCRs"},
		{"a reference that names none, a quote over none", nil, "", "does not say of which PCRs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v.References[0].PCRs = nil
			if test.wanted != "" {
				v.References[0].PCRs = must(attestation.ParsePCRSelection(test.wanted))
			}
			want := attls.FailAppraisal
			if test.says == "" {
				want = ""
			}
			wants(t, appraise(t, v, r, quoting(t, evidence, key, test.quoted...)), want, test.says)
		})
	}
	t.Run("an endorsement of devices, which a TPM does not name", func(t *testing.T) {
		_, w, r := parsecCapture(t)
		w.Endorsements[0].UEIDs = [][]byte{{1}}
		wants(t, appraise(t, w, r, evidence), attls.FailAppraisal, "is not for the device")
	})
}

// TestParsecInJSON: the statements of a TPM in a JSON record.
func TestParsecInJSON(t *testing.T) {
	evidence, v, r := parsecCapture(t)
	c := must2(attestation.ParseCMW(evidence, attestation.Limits{}))
	c.Form = attestation.JSONRecord
	wants(t, appraise(t, v, r, must(c.Encode())), "", "")
}

var (
	format = profile.Format{MediaType: MediaType}
	table  = must(attestation.NewFormats(append(attestation.SoftwareFormats(), Format())...))

	testTime      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	testChallenge = bytes.Repeat([]byte{0xa5}, 32)
)

func testClock() time.Time { return testTime }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func must2[T any](v T, err *attls.Error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sha256Of(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

// testSPKI is a TIK of no TPM.
func testSPKI(t testing.TB) []byte {
	t.Helper()
	return must(x509.MarshalPKIXPublicKey(must(attestation.DeriveKey([]byte("tik"), "tik")).Public()))
}

// appraise judges a payload under the request it answers.
func appraise(t testing.TB, v negotiation.Appraiser, r negotiation.EvidenceRequest, cmw []byte) *negotiation.Verdict {
	t.Helper()
	verdict, err := v.Appraise(context.Background(), &negotiation.AppraisalRequest{Scheme: r.Scheme, CMW: cmw, Challenge: r.Challenge, Fit: r.Fit, SPKI: r.SPKI})
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func accepted(t testing.TB, v *negotiation.Verdict) {
	t.Helper()
	if v.Failure != "" || v.Status != negotiation.StatusAffirming || len(v.SPKI) == 0 || v.ValidUntil.Before(testTime) {
		t.Errorf("not accepted: %+v", *v)
	}
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
