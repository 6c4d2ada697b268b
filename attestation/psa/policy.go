package psa

import (
	"context"

	"attls"
	"attls/attestation"

	"github.com/veraison/ear"
)

// Policy says which PSA devices a relying party trusts, and in which state. The zero
// value trusts none.
type Policy struct {
	// Devices are those whose tokens are believed. None: no token is.
	Devices Devices `yaml:"devices,omitempty"`
	// Software is what the measured software must be.
	Software `yaml:",inline"`
	// Lifecycle lists the states of the security lifecycle that are accepted, as RFC
	// 9783 section 4.3.1 names them; empty: secured.
	Lifecycle []string `yaml:"lifecycle,omitempty"`
	// UnattestedKey is for profiles whose binder does not cover the key of the
	// handshake: PSA tokens have no claim for one.
	UnattestedKey attestation.UnattestedKey `yaml:"unattested_key,omitempty"`
}

// lifecycles are the names of RFC 9783 section 4.3.1.
var lifecycles = States{"unknown", "assembly-and-test", "psa-rot-provisioning", "secured", "non-psa-rot-debug",
	"recoverable-psa-rot-debug", "decommissioned"}

// policyOf reads the section of a verifier's file.
func policyOf(s *attestation.Section) (attestation.Policy, error) {
	if s == nil {
		return nil, nil
	}
	var p Policy
	if err := s.Decode(&p); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		member string
		err    error
	}{{"devices", p.Devices.Check()}, {"lifecycle", lifecycles.Check(p.Lifecycle)}, {"measurements", p.Software.Check()}} {
		if x.err != nil {
			return nil, s.Fail(x.member, "%v", x.err)
		}
	}
	return p, nil
}

// Judge implements attestation.Policy.
func (p Policy) Judge(_ context.Context, a *attestation.Appraisal) {
	t, ok := a.Reading.Statement.(*token)
	if !ok {
		a.Check(attestation.CheckTokens, attestation.Refuse(rule, "a reading of type %T", a.Reading.Statement), "")
		return
	}
	a.AcceptUnattested = bool(p.UnattestedKey)
	a.Vector.InstanceIdentity = ear.CryptoValidationFailedClaim
	if a.Check(attestation.CheckPlatform, p.signed(t), "the token is signed by the key of a listed device") {
		a.Vector.InstanceIdentity = ear.TrustworthyInstanceClaim
		a.Vector.Hardware = ear.GenuineHardwareClaim
	}
	a.Vector.Configuration = ear.UnsupportableConfigClaim
	if a.Check("lifecycle", lifecycles.Accepted(rule+" 4.3.1", p.Lifecycle, t.lifecycle), "the security lifecycle is "+
		lifecycles.Name(t.lifecycle)) {
		a.Vector.Configuration = ear.ApprovedConfigClaim
	}
	a.Vector.Executables = ear.ContraindicatedRuntimeClaim
	if len(p.Measurements) == 0 {
		a.Vector.Executables = ear.UnrecognizedRuntimeClaim
		a.Unchecked(attestation.CheckReference, "the policy lists no measurements")
	} else if a.Check(attestation.CheckReference, p.Measured(rule+" 4.4", t.components),
		"each software component has a reference value") {
		a.Vector.Executables = ear.ApprovedRuntimeClaim
	}
}

// signed finds the device that signed the token.
func (p *Policy) signed(t *token) *attls.Error {
	return p.Devices.Signed(rule+" 5.2", t.instance, t.implementation, t.message.Verify)
}
