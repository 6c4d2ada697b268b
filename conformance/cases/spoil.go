package cases

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/rule"
	"attls/negotiation"
)

// spoilFaults are the ways in which a payload can be bad.
func spoilFaults() []Row {
	var list []Row
	for i := range attestation.Spoilages {
		x := &attestation.Spoilages[i]
		if x.Kind == "empty" {
			continue // an engine refuses to send it
		}
		list = append(list, breach(ID(x.Kind), appraises[x.Failure], x.Failure, "The payload is bad: "+x.Text+".",
			func(c *Context) *Change { return trySpoil(c, x) }))
	}
	return list
}

// appraises are the rules by which bad payloads are refused.
var appraises = map[attls.Failure]rule.Rule{
	attls.FailBinderMismatch:   rule.BinderCompared,
	attls.FailTIKMismatch:      rule.KeyCompared,
	attls.FailAppraisal:        rule.Appraised,
	attls.FailMalformedCMW:     rule.WellFormed,
	attls.FailFormatMismatch:   rule.FormatCompared,
	attls.FailVerifierMismatch: rule.IssuerCompared,
	attls.FailSignature:        rule.SignatureVerified,
}

func trySpoil(c *Context, x *attestation.Spoilage) *Change {
	if !shows(c, x) || !shownBy(c, x) {
		return nil
	}
	expect := Reject{Failure: x.Failure, By: c.Attester.Peer(), At: carrierMessage(c.credential())}
	if c.Kind == profile.KindAlone && x.FailureAlone != "" {
		expect.Failure = x.FailureAlone
	}
	if expect.Failure == attls.FailSignature {
		expect.At = attls.KindCertificateVerify
	}
	return &Change{Expect: expect, Rule: string(appraises[expect.Failure]), Apply: func(s *scenario.Setup) {
		if s.Scenario.Emulates() {
			end := s.Ends[c.Attester]
			if f, _, err := s.Emulation(); err == nil {
				if bad, err := attestation.SpoilAny(x.Kind, f, end.Attester); err == nil {
					end.Attester = bad
				}
			}
			return
		}
		software, _ := s.Attesting()
		if bad, err := attestation.Spoil(x.Kind, software); err == nil {
			s.Ends[c.Attester].Attester = bad
		}
	}}
}

// shownBy reports whether the root of trust of a scenario can be bad in the way of a
// spoilage: the software one in all, others in those that need no knowledge of their
// Evidence, and in another key where the Evidence names one and it is not the attester's
// own.
func shownBy(c *Context, x *attestation.Spoilage) bool {
	if !c.Scenario.Emulates() {
		return true
	}
	if !x.General || c.Scenario.RootOfTrust == "" {
		return false
	}
	if x.Kind != "key" {
		return true
	}
	f, err := roots.All().Combined(c.Scenario.RootOfTrust)
	return err == nil && f.Key.Named && !f.OwnKeys && c.Kind == profile.KindX509
}

// attempt is a question to shows; shown are the answers under profiles that are kept.
type attempt struct {
	profile  *profile.Profile
	attester attls.Role
	model    profile.Model
	kind     profile.CredentialKind
	spoilage *attestation.Spoilage
}

var shown sync.Map

// shows reports whether a spoilage is possible in the scenario, changes the
// payload there, and fits into the carrier.
func shows(c *Context, x *attestation.Spoilage) bool {
	if !scenario.Kept(c.Profile) {
		return attemptShows(c, x)
	}
	question := attempt{c.Profile, c.Attester, c.Model, c.Kind, x}
	known, ok := shown.Load(question)
	if !ok {
		known = attemptShows(c, x)
		shown.Store(question, known)
	}
	return known.(bool)
}

// attemptShows is shows without what is known.
func attemptShows(c *Context, x *attestation.Spoilage) bool {
	if !slices.Contains(x.Models, c.Model) {
		return false
	}
	challenge := c.challengeName(c.Profile)
	var further []negotiation.ClaimValue
	for _, claim := range c.Profile.Binder.Claims {
		if !claim.InChallenge {
			further = append(further, negotiation.ClaimValue{Name: claim.Name, Value: make([]byte, 32)})
		}
	}
	switch x.Needs {
	case "a challenge":
		if challenge == "" {
			return false
		}
	case "claims besides the challenge":
		if len(further) == 0 || c.Kind != profile.KindX509 {
			return false
		}
	case "that the types are compared":
		if c.Profile.Rules.Match == profile.MatchIgnore {
			return false
		}
	}
	clock := func() time.Time { return scenario.DemoEpoch }
	software, _ := scenario.DemoAttestation(clock)
	bad, err := attestation.Spoil(x.Kind, software)
	if err != nil {
		return false
	}
	r := &negotiation.EvidenceRequest{
		Attester: c.Attester,
		Scheme:   scenario.DemoScheme(c.Profile, c.Model, c.Kind),
		Fit:      c.Profile.Binder.Fit,
		Claims:   further,
	}
	if challenge != "" {
		r.Challenge = bytes.Repeat([]byte{7}, 32)
	}
	if c.Kind == profile.KindX509 {
		r.SPKI = demoSPKI(software)
	}
	sound, err := software.Attest(context.Background(), r)
	if err != nil {
		return false
	}
	payload, err := bad.Attest(context.Background(), r)
	return err == nil && fitsCarrier(c, len(payload.CMW)) && !bytes.Equal(payload.CMW, sound.CMW)
}

// fitsCarrier reports whether a payload of so many octets can be sent: within
// the field's bound, and in one record where messages are never fragmented.
func fitsCarrier(c *Context, octets int) bool {
	for i := range c.Profile.Slots { // all that the attester shows are spoilt alike
		row, ok := c.Profile.CredentialFor(i, c.Kind)
		if ok && c.Profile.Slots[i].Attester == c.Attester && row.MaxPayload > 0 && octets > row.MaxPayload {
			return false
		}
	}
	if i := c.laterSlot(); i >= 0 && octets > c.Profile.Later[i].MaxPayload {
		return false
	}
	return !c.Profile.Quirks.NeverFragment || octets < maxUnfragmented
}

// maxUnfragmented leaves room for the message around the payload.
const maxUnfragmented = 1<<14 - 256

// demoSPKI is some key that can be attested.
func demoSPKI(s *attestation.Software) []byte {
	spki, _ := x509.MarshalPKIXPublicKey(s.PlatformKey.Public())
	return spki
}
