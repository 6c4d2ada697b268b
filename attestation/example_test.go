package attestation_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"
)

// exampleFormat is the type of what device makes.
var exampleFormat = profile.Format{MediaType: "application/vnd.example.quote"}

// device is an Attester of your own. A real one would ask hardware to sign.
type device struct{}

// Schemes lists what it can produce.
func (device) Schemes() []negotiation.Scheme {
	return []negotiation.Scheme{{Model: profile.ModelEvidence, Format: exampleFormat}}
}

// ChallengeSize says that its challenge field has 64 octets.
func (device) ChallengeSize() int { return 64 }

// Attest puts the challenge into the field, as the profile asks, and wraps the
// quote in a CMW.
func (device) Attest(_ context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	field, failure := attestation.PlaceChallenge(r.Challenge, 64, 64, r.Fit)
	if failure != nil {
		return nil, failure
	}
	cmw, err := (&attestation.CMW{Form: attestation.CBORRecord, Format: exampleFormat, Value: field}).Encode()
	return &negotiation.Evidence{CMW: cmw}, err
}

// An Attester of your own, asked as the engine asks it.
func Example() {
	var attester negotiation.Attester = device{} // for handshake.Answerer.Attester
	evidence, err := attester.Attest(context.Background(), &negotiation.EvidenceRequest{
		Scheme: attester.Schemes()[0], Challenge: make([]byte, 32), Fit: profile.FitPadRight})
	if err != nil {
		fmt.Println(err)
		return
	}
	cmw, failure := attestation.ParseCMW(evidence.CMW, attestation.Limits{})
	fmt.Println(cmw.Format.MediaType, len(cmw.Value), failure == nil)
	// Output: application/vnd.example.quote 64 true
}

// judge is an Appraiser of your own. A real one would verify signatures and compare
// measurements first.
type judge struct{ now func() time.Time }

// Schemes lists what it can judge.
func (judge) Schemes() []negotiation.Scheme { return device{}.Schemes() }

// ChallengeSize says what its Attesters' challenge fields hold.
func (judge) ChallengeSize() int { return 64 }

// Nonce lets the engine draw nonces.
func (judge) Nonce(context.Context, int) ([]byte, error) { return nil, nil }

// Appraise accepts only with a Verdict that says so: the zero value is a refusal.
func (j judge) Appraise(_ context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	cmw, failure := attestation.ParseCMW(r.CMW, attestation.Limits{})
	if failure != nil {
		return nil, failure // the handshake fails with attestation.malformed_cmw
	}
	want, failure := attestation.PlaceChallenge(r.Challenge, 64, 64, r.Fit)
	if failure != nil {
		return nil, failure
	}
	if !bytes.Equal(cmw.Value, want) {
		return &negotiation.Verdict{Failure: attls.FailBinderMismatch, Reason: "the quote has another challenge"}, nil
	}
	return &negotiation.Verdict{Status: negotiation.StatusAffirming, SPKI: r.SPKI, ValidUntil: j.now().Add(time.Hour)}, nil
}

// An Appraiser of your own, asked as the engine asks it.
func Example_appraiser() {
	evidence, err := device{}.Attest(context.Background(), &negotiation.EvidenceRequest{Challenge: []byte("challenge"), Fit: profile.FitPadRight})
	if err != nil {
		fmt.Println(err)
		return
	}
	var appraiser negotiation.Appraiser = judge{time.Now} // for handshake.Answerer.Appraiser
	for _, challenge := range []string{"challenge", "another"} {
		v, err := appraiser.Appraise(context.Background(), &negotiation.AppraisalRequest{
			CMW: evidence.CMW, Challenge: []byte(challenge), Fit: profile.FitPadRight})
		if err != nil {
			fmt.Println(err)
			return
		}
		failure, reason := v.Refusal(time.Now())
		fmt.Printf("%s: status %q, failure %q, reason %q\n", challenge, v.Status, failure, reason)
	}
	// Output:
	// challenge: status "affirming", failure "", reason ""
	// another: status "", failure "attestation.binder_mismatch", reason "the quote has another challenge"
}
