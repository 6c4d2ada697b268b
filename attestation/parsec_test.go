package attestation

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/google/go-tpm/tpm2"
)

// parsecPoint is the attestation key behind the recorded Evidence: the one key under
// which both of its signatures verify.
const parsecPoint = "04ab201a720deda6bc2688aed86e650bcc7dff06792b56095c31b0f2d7ecb87148ecdb85320b508b54c68d9376403ef3ce66aa3d7c39ce68f3e8e7a6c57976fce6"

// parsecCapture is Evidence as the attesting client of the proof of concept sent it,
// and a Verifier for it.
func parsecCapture(t *testing.T) ([]byte, *Verifier, negotiation.EvidenceRequest) {
	t.Helper()
	evidence, err := os.ReadFile("../conformance/capture/testdata/cmw-f4ac.bin")
	if err != nil {
		t.Fatal(err)
	}
	key, failure := prototypeKey(unhex(t, parsecPoint))
	if failure != nil {
		t.Fatal(failure)
	}
	v := &Verifier{Clock: testClock, Formats: []profile.Format{FormatParsecTPM}, Endorsements: []Endorsement{{Name: "attestation key", Key: key, References: []string{"zeros"}}},
		References: []Reference{{Name: "zeros", PCRs: must(ParsePCRSelection("sha256:0,1,2,3,4,5,6,7")), PCRDigests: [][]byte{unhex(t, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925")}}}}
	return evidence, v, negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: FormatParsecTPM}, Challenge: unhex(t, "0001020304050607")}
}

// TestParsecCapture appraises recorded Evidence, and what is not quite it.
func TestParsecCapture(t *testing.T) {
	evidence, v, r := parsecCapture(t)
	accepted(t, appraise(t, v, r, evidence))
	replaced := func(old, by string) []byte { return bytes.Replace(evidence, unhex(t, old), unhex(t, by), 1) }
	for name, test := range map[string]struct {
		change func(v *Verifier, r *negotiation.EvidenceRequest) []byte
		want   attls.Failure
	}{
		"nonce": {func(_ *Verifier, r *negotiation.EvidenceRequest) []byte { r.Challenge = testChallenge; return evidence }, attls.FailBinderMismatch},
		"prefix of the nonce": {func(_ *Verifier, r *negotiation.EvidenceRequest) []byte {
			r.Challenge = r.Challenge[:7]
			return evidence
		}, attls.FailBinderMismatch},
		"key": {func(_ *Verifier, r *negotiation.EvidenceRequest) []byte { r.SPKI = testSPKI(t); return evidence }, attls.FailTIKMismatch},
		"endorsement": {func(v *Verifier, _ *negotiation.EvidenceRequest) []byte {
			v.Endorsements = []Endorsement{{Name: "other", Key: must(deriveKey(nil, "x")).Public(), References: []string{"zeros"}}}
			return evidence
		}, attls.FailAppraisal},
		"PCRs": {func(v *Verifier, _ *negotiation.EvidenceRequest) []byte {
			v.References = []Reference{{PCRDigests: [][]byte{make([]byte, 32)}}}
			return evidence
		}, attls.FailAppraisal},
		"reference for tokens": {func(v *Verifier, _ *negotiation.EvidenceRequest) []byte {
			v.References = []Reference{{}}
			return evidence
		}, attls.FailAppraisal},
		"format": {func(_ *Verifier, r *negotiation.EvidenceRequest) []byte {
			r.Scheme.Format = profile.Format{ContentFormat: FormatCWT}
			return evidence
		}, attls.FailFormatMismatch},
		"signed nonce": {func(*Verifier, *negotiation.EvidenceRequest) []byte {
			return replaced("0008 0001020304050607", "0008 0001020304050608")
		}, attls.FailAppraisal},
		"magic":              {func(*Verifier, *negotiation.EvidenceRequest) []byte { return replaced("ff5443478017", "ff5443488017") }, attls.FailMalformedCMW},
		"a quote for a key":  {func(*Verifier, *negotiation.EvidenceRequest) []byte { return replaced("ff5443478017", "ff5443478018") }, attls.FailMalformedCMW},
		"version of the TPM": {func(*Verifier, *negotiation.EvidenceRequest) []byte { return replaced("63322e30", "63312e32") }, attls.FailMalformedCMW},
		"another public area": {func(*Verifier, *negotiation.EvidenceRequest) []byte {
			return replaced("0023000b00040072", "0023000b00040073") // userWithAuth and what is beside it
		}, attls.FailAppraisal},
		"no platform": {func(*Verifier, *negotiation.EvidenceRequest) []byte { return replaced("63706174a4", "63706175a4") }, attls.FailMalformedCMW},
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
	tokens, err := inspectEvidence(evidence)
	if err != nil {
		t.Fatal(err)
	}
	if err := tokens.tpm.linkage(); err != nil {
		t.Error(err)
	}
	a := &tokens.tpm.public.ObjectAttributes
	for _, bit := range []*bool{&a.FixedTPM, &a.SensitiveDataOrigin, &a.SignEncrypt, &a.Restricted} {
		*bit = !*bit
		name, renamed := tpm2.ObjectName(tokens.tpm.public)
		info, certified := tokens.tpm.kat.attest.Attested.Certify()
		if renamed != nil || certified != nil {
			t.Fatal(renamed, certified)
		}
		info.Name = *name
		if err := tokens.tpm.linkage(); err == nil || err.Failure != attls.FailAppraisal {
			t.Errorf("%+v: %v", a, err)
		}
		*bit = !*bit
	}
	tokens.tpm.public.NameAlg = tpm2.TPMAlgSHA1
	info := must(tokens.tpm.kat.attest.Attested.Certify())
	info.Name = *must(tpm2.ObjectName(tokens.tpm.public))
	if err := tokens.tpm.linkage(); err == nil || !strings.Contains(err.Detail, "algorithm 0004") {
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
	c, err := Inspect(evidence, profile.ModelEvidence)
	if err != nil {
		t.Fatal(err)
	}
	if verdict := appraise(t, v, r, evidence); !bytes.Equal(c.SPKI, verdict.SPKI) || !bytes.Equal(c.Challenge, r.Challenge) {
		t.Errorf("%+v", c)
	}
}
