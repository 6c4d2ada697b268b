package scenario

import (
	"context"
	"testing"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"
)

// TestDemoReferences: a platform token that measures nothing passes as the
// prototype's, which has nothing else, and in no other form.
func TestDemoReferences(t *testing.T) {
	software, verifier := DemoAttestation(nil)
	software.Platform = attestation.Platform{UEID: software.Platform.UEID, Profile: software.Platform.Profile}
	for format, want := range map[profile.Format]attls.Failure{
		attestation.PrototypeFormat:            "",
		{ContentFormat: attestation.FormatCWT}: attls.FailAppraisal,
		{MediaType: attestation.MediaTypeCWT}:  attls.FailAppraisal,
	} {
		r := negotiation.EvidenceRequest{Challenge: make([]byte, 32), Scheme: negotiation.Scheme{Format: format, Credential: profile.KindAlone}}
		ev, err := software.Attest(context.Background(), &r)
		if err != nil {
			t.Fatalf("%v: %v", format, err)
		}
		v, err := verifier.Appraise(context.Background(), &negotiation.AppraisalRequest{Scheme: r.Scheme, Challenge: r.Challenge, CMW: ev.CMW})
		if err != nil || v.Failure != want {
			t.Errorf("%v: failure %q (%s), %v; want %q", format, v.Failure, v.Reason, err, want)
		}
	}
}

// TestDemoAuthority: every one has the same certificate, since stacks refuse two of the same
// name and serial number that differ.
func TestDemoAuthority(t *testing.T) {
	a, err := NewDemoAuthority()
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewFixedAuthority()
	if err != nil || !a.Certificate.Equal(b.Certificate) {
		t.Errorf("two certificates, %v", err)
	}
}
