package cases

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"
	"time"

	"attls"
	"attls/attestation"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/negotiation"
)

// spoilFaults are the ways in which a payload can be bad.
func spoilFaults() []faultKind {
	var list []faultKind
	for i := range attestation.Spoilages {
		x := &attestation.Spoilages[i]
		if x.Kind == "empty" {
			continue // an engine refuses to send it
		}
		list = append(list, faultKind{name: x.Kind, failure: x.Failure, does: "The payload is bad: " + x.Text + ".",
			try: func(c *circumstance) *attempt { return trySpoil(c, x) }})
	}
	return list
}

func trySpoil(c *circumstance, x *attestation.Spoilage) *attempt {
	if !shows(c, x) {
		return nil
	}
	relying := c.attester.Peer()
	a := &attempt{rejects: relying, at: carrierMessage(c.credential()), apply: func(s *scenario.Setup) {
		software, _ := s.Attesting()
		if bad, err := attestation.Spoil(x.Kind, software); err == nil {
			s.Ends[c.attester].Attester = bad
		}
	}}
	if c.kind == profile.KindAlone && x.FailureAlone != "" {
		a.failure = x.FailureAlone
	}
	if a.failure == attls.FailSignature {
		a.at = attls.KindCertificateVerify
	}
	return a
}

// shows reports whether a spoilage is possible in the scenario, changes the
// payload there, and fits into the carrier.
func shows(c *circumstance, x *attestation.Spoilage) bool {
	if !slices.Contains(x.Models, c.model) {
		return false
	}
	challenge := c.p.Binder.Challenge[c.model][c.kind]
	var further []negotiation.ClaimValue
	for _, claim := range c.p.Binder.Claims {
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
		if len(further) == 0 || c.kind != profile.KindX509 {
			return false
		}
	case "that the types are compared":
		if c.p.Rules.Match == profile.MatchIgnore {
			return false
		}
	}
	clock := func() time.Time { return scenario.DemoEpoch }
	software, _ := scenario.DemoAttestation(clock)
	bad, err := attestation.Spoil(x.Kind, software)
	if err != nil {
		return false
	}
	r := &negotiation.EvidenceRequest{Attester: c.attester, Scheme: scenario.DemoScheme(c.p, c.model, c.kind), Fit: c.p.Binder.Fit, Claims: further}
	if challenge != "" {
		r.Challenge = bytes.Repeat([]byte{7}, 32)
	}
	if c.kind == profile.KindX509 {
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
func fitsCarrier(c *circumstance, octets int) bool {
	if limit := c.credential().MaxPayload; limit > 0 && octets > limit {
		return false
	}
	return !c.p.Quirks.NeverFragment || octets < maxUnfragmented
}

// maxUnfragmented leaves room for the message around the payload.
const maxUnfragmented = 1<<14 - 256

// demoSPKI is some key that can be attested.
func demoSPKI(s *attestation.Software) []byte {
	spki, _ := x509.MarshalPKIXPublicKey(s.PlatformKey.Public())
	return spki
}
