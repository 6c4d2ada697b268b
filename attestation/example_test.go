package attestation_test

import (
	"context"
	"fmt"

	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"
)

// exampleFormat is the type of what device makes.
var exampleFormat = profile.Format{MediaType: "application/vnd.example.quote"}

// device is an Attester of one's own. A real one would ask hardware to sign.
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

// An Attester of one's own, asked as the engine asks it.
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
