package scenario

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
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
		size := DemoChallengeSize
		if s.Scenario.Emulates() {
			if scheme, size, err = s.emulation(mine, theirs, attester, model, kind); err != nil {
				return err
			}
		} else {
			mine.Attester, theirs.Appraiser = s.roots()
		}
		mine.Config.AttesterSize, theirs.Config.AppraiserSize = size, size
		s.exportedAttestation(attester, scheme, size)
		if !InHandshake(s.Profile, attester, model, kind) {
			continue
		}
		mine.Config.Policy.Produce = append(mine.Config.Policy.Produce, scheme)
		theirs.Config.Policy.Accept = append(theirs.Config.Policy.Accept, scheme)
		theirs.Config.Policy.Demand = true
	}
	return nil
}

// Emulates reports whether another root of trust than the software one attests.
func (s *Scenario) Emulates() bool { return s.RootOfTrust != "" && s.RootOfTrust != attestation.EAT }

// emulated are the emulations of an environment by the name of the root of trust. Some
// take long to make.
type emulated struct {
	mu   sync.Mutex
	made map[string]*attestation.Emulation
}

// Formats is the table of an environment.
func (e *Environment) Formats() attestation.Formats {
	if len(e.Table.All()) == 0 {
		return roots.All()
	}
	return e.Table
}

// Emulate makes the emulator of a root of trust, with public keys; once in an
// environment. Several names with plus signs between them make composite Evidence.
func (e *Environment) Emulate(ctx context.Context, name string) (*attestation.Format, *attestation.Emulation, error) {
	parts := strings.Split(name, "+")
	f, err := e.Formats().Combined(name)
	if err != nil {
		return nil, nil, err
	}
	if f.Emulate == nil && len(parts) == 1 {
		return nil, nil, fmt.Errorf("the root of trust %s has no emulator", name)
	}
	e.emulations.mu.Lock()
	defer e.emulations.mu.Unlock()
	if made := e.emulations.made[name]; made != nil {
		return f, made, nil
	}
	o := attestation.EmulatorOptions{Seed: DemoSeed, Clock: e.Clock}
	var made *attestation.Emulation
	if len(parts) > 1 {
		made, err = e.Formats().Compose(ctx, parts, o)
	} else {
		made, err = f.Emulate(ctx, o)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the emulator of %s: %w", name, err)
	}
	if e.emulations.made == nil {
		e.emulations.made = map[string]*attestation.Emulation{}
	}
	e.emulations.made[name] = made
	return f, made, nil
}

// DemoRoot makes the Attester of a root of trust's emulator and the Verifier that trusts
// it, with public keys, as demonstrations use them.
func DemoRoot(
	ctx context.Context,
	table attestation.Formats,
	name string,
	clock func() time.Time,
) (negotiation.Attester, *attestation.Verifier, *attestation.Format, error) {
	env := &Environment{Table: table, Clock: clock}
	f, e, err := env.Emulate(ctx, name)
	if err != nil {
		return nil, nil, nil, err
	}
	a, v, err := e.Demonstration(table, name, DemoSeed, clock)
	return a, v, f, err
}

// Emulation is the emulator of the run's root of trust, and its format.
func (s *Setup) Emulation() (*attestation.Format, *attestation.Emulation, error) {
	return s.env.Emulate(context.Background(), s.Scenario.RootOfTrust)
}

// emulation gives an attester and its relying party an emulator and a Verifier that
// trusts it. It returns the scheme, and the length that the challenge should have.
func (s *Setup) emulation(mine, theirs *EndSetup, attester attls.Role, m profile.Model,
	k profile.CredentialKind) (scheme profile.Scheme, size int, err error) {
	f, e, err := s.Emulation()
	if err != nil {
		return scheme, 0, err
	}
	scheme, size, err = RootScheme(s.Profile, f, s.Scenario.Attester, m, k)
	if err != nil {
		return scheme, 0, &ForbiddenError{Reason: sentence(err)}
	}
	a, v, err := e.Demonstration(s.env.Formats(), f.Name, DemoSeed, s.env.Clock)
	if err != nil {
		return scheme, 0, err
	}
	mine.Attester, theirs.Appraiser = a, v
	return scheme, size, nil
}

// Combinations are those of a profile, of which the scenario's root of trust can make some
// impossible. A root of trust that is not of this project makes none.
func (s *Scenario) Combinations(p *profile.Profile) []Combination {
	all := Combinations(p)
	if !s.Emulates() {
		return all
	}
	f, err := roots.All().Combined(s.RootOfTrust)
	if err != nil {
		return all
	}
	for i := range all {
		c := &all[i]
		if c.Reason != "" {
			continue
		}
		m, k, err := c.kinds()
		if err == nil {
			_, _, err = RootScheme(p, f, c.Attester, m, k)
		}
		if err != nil {
			c.Reason = sentence(err)
		}
	}
	return all
}

// kinds are the model and the credential of a combination.
func (c *Combination) kinds() (m profile.Model, k profile.CredentialKind, err error) {
	if m, err = ParseModel(c.Model); err == nil {
		k, err = ParseCredential(c.Credential)
	}
	return m, k, err
}

// sentence is an error as a sentence.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// RootScheme is the scheme under which Evidence of a format, or results of the
// demonstration verifier on it, are negotiated in a profile, and the length in octets
// that its challenge should have. The error says in a sentence why the profile cannot
// carry it.
func RootScheme(p *profile.Profile, f *attestation.Format, attesters Attesters, m profile.Model,
	k profile.CredentialKind) (scheme profile.Scheme, size int, err error) {
	if f.Name == attestation.EAT {
		return DemoScheme(p, m, k), DemoChallengeSize, nil
	}
	for _, role := range attesters.Roles() {
		fit, err := f.Under(p, role, m, k)
		if err != nil {
			return scheme, 0, err
		}
		scheme = fit.Scheme
	}
	if m == profile.ModelResults {
		scheme.Verifier = []byte(attestation.DemoVerifier)
	}
	if size = f.Challenge.Wants; size == 0 {
		size = DemoChallengeSize
	}
	return scheme, size, nil
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
	return s.Scenario.Scheme(s.Profile, m, k)
}

// Scheme is the scheme under which a scenario attests: that of its root of trust, where
// the profile can carry it.
func (s *Scenario) Scheme(p *profile.Profile, m profile.Model, k profile.CredentialKind) profile.Scheme {
	if s.Emulates() {
		if f, err := roots.All().Combined(s.RootOfTrust); err == nil {
			if scheme, _, err := RootScheme(p, f, s.Attester, m, k); err == nil {
				return scheme
			}
		}
	}
	return DemoScheme(p, m, k)
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
