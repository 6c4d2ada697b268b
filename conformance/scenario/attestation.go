package scenario

import (
	"time"

	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"
)

// DemoSeed is the seed of the software root of trust and the embedded verifier
// that demonstrations use. It is public: what they attest proves nothing.
var DemoSeed = []byte("attls demonstration root of trust (its keys are public)")

// DemoChallengeSize is the length, in octets, that the challenge has where a
// reading leaves it to the Attester. It takes others as well.
const DemoChallengeSize = 32

// DemoAttestation returns the software root of trust and the verifier of
// demonstrations. Both know the private format of the 2022 prototype as well,
// whose platform token names the device and nothing else. A nil clock is
// time.Now.
func DemoAttestation(clock func() time.Time) (*attestation.Software, *attestation.Verifier) {
	software, verifier := attestation.Demo(DemoSeed, clock)
	software.Offers = append(attestation.DefaultOffers(), attestation.Offer{
		Format: attestation.PrototypeFormat, Tokens: attestation.Prototype})
	for _, o := range software.Offers {
		verifier.Formats = append(verifier.Formats, o.Format)
	}
	verifier.References = append(verifier.References, attestation.Reference{Name: "demo platform as a prototype",
		UEIDs: [][]byte{software.Platform.UEID}, Prototype: true})
	return software, verifier
}

// Root makes the root of trust that attests and the Verifier that appraises what
// the other end sends. A nil clock is time.Now.
type Root func(clock func() time.Time) (*attestation.Software, *attestation.Verifier)

// attestation is the root of trust of the environment, with the Verifier.
func (e *Environment) attestation() (*attestation.Software, *attestation.Verifier) {
	if e.Root != nil {
		return e.Root(e.Clock)
	}
	return DemoAttestation(e.Clock)
}

// attestation gives the ends of a scenario their Attesters, Appraisers and
// policies: who relies on the peer's attestation demands it.
func (s *Setup) attestation() error {
	for _, attester := range s.Scenario.Attester.Roles() {
		model, err := ParseModel(s.Scenario.Model)
		if err != nil {
			return err
		}
		kind, err := ParseCredential(s.Scenario.Credential)
		if err != nil {
			return err
		}
		scheme := s.Scheme(model, kind)
		mine, theirs := s.Ends[attester], s.Ends[attester.Peer()]
		mine.Attester, theirs.Appraiser = s.roots()
		mine.Config.AttesterSize, theirs.Config.AppraiserSize = DemoChallengeSize, DemoChallengeSize
		mine.Config.Policy.Produce = append(mine.Config.Policy.Produce, scheme)
		theirs.Config.Policy.Accept = append(theirs.Config.Policy.Accept, scheme)
		theirs.Config.Policy.Demand = true
	}
	return nil
}

// roots are what attests and what appraises.
func (s *Setup) roots() (negotiation.Attester, negotiation.Appraiser) {
	if n := s.Scenario.Payload; n > 0 {
		return attestation.Opaque{Size: n}, attestation.Opaque{Size: n}
	}
	return s.env.attestation()
}

// Attesting are the software root of trust and the Verifier of the run.
func (s *Setup) Attesting() (*attestation.Software, *attestation.Verifier) {
	return s.env.attestation()
}

// Scheme is the scheme under which demonstrations attest.
func (s *Setup) Scheme(m profile.Model, k profile.CredentialKind) profile.Scheme {
	return DemoScheme(s.Profile, m, k)
}

// DemoScheme is the scheme that the demonstration root of trust attests under:
// Evidence in the format that the profile wants first or application/eat+cwt,
// results of the demonstration verifier on such Evidence.
func DemoScheme(p *profile.Profile, m profile.Model, k profile.CredentialKind) profile.Scheme {
	scheme := profile.Scheme{Model: m, Credential: k, Format: profile.Format{ContentFormat: attestation.FormatCWT}}
	if m == profile.ModelResults {
		scheme.Verifier = []byte(attestation.DemoVerifier)
	}
	if first := p.Rules.OfferFirst; first != nil {
		scheme.Format = first.Format
	}
	return scheme
}

var _ negotiation.Attester = (*attestation.Software)(nil)
