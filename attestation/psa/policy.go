package psa

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/attestation"

	"github.com/veraison/ear"
	"github.com/veraison/go-cose"
	"github.com/veraison/psatoken"
)

// Policy says which PSA devices a relying party trusts, and in which state. The zero
// value trusts none.
type Policy struct {
	// Devices are those whose tokens are believed. None: no token is.
	Devices []Device `yaml:"devices,omitempty"`
	// Measurements are the reference values by the measurement type of the software
	// component (RFC 9783 section 4.4.1); components without a type are called
	// "unnamed". Each component of a token must be listed, and each listed one must be
	// in the token. Empty: the software is not appraised, so no verdict is affirming.
	Measurements map[string][]attestation.Octets `yaml:"measurements,omitempty"`
	// Signers are the signer ids that components may have; empty: any.
	Signers []attestation.Octets `yaml:"signers,omitempty"`
	// Lifecycle lists the states of the security lifecycle that are accepted, as RFC
	// 9783 section 4.3.1 names them; empty: secured.
	Lifecycle []string `yaml:"lifecycle,omitempty"`
	// UnattestedKey is for profiles whose binder does not cover the key of the
	// handshake: PSA tokens have no claim for one.
	UnattestedKey attestation.UnattestedKey `yaml:"unattested_key,omitempty"`
}

// Device is an initial attestation key (IAK) and the platform that it may speak for.
type Device struct {
	Key attestation.PublicKey `yaml:"key"`
	// Instance is the psa-instance-id of 33 octets; nil: any.
	Instance attestation.Octets `yaml:"instance,omitempty"`
	// Implementation is the psa-implementation-id of 32 octets; nil: any.
	Implementation attestation.Octets `yaml:"implementation,omitempty"`
}

// lifecycles are the names of RFC 9783 section 4.3.1, by their first value divided by
// 0x1000.
var lifecycles = []string{"unknown", "assembly-and-test", "psa-rot-provisioning", "secured", "non-psa-rot-debug", "recoverable-psa-rot-debug", "decommissioned"}

const secured = 3

// lifecycleName is the name of a value.
func lifecycleName(v uint16) string {
	state := psatoken.LifeCycleToState(v)
	if int(state) >= len(lifecycles) {
		return fmt.Sprintf("0x%04x", v)
	}
	return lifecycles[state]
}

// policyOf reads the section of a verifier's file.
func policyOf(s *attestation.Section) (attestation.Policy, error) {
	if s == nil {
		return nil, nil
	}
	var p Policy
	if err := s.Decode(&p); err != nil {
		return nil, err
	}
	if len(p.Devices) == 0 {
		return nil, s.Fail("devices", "no device is listed, so no token would be accepted")
	}
	for i, d := range p.Devices {
		if d.Key.PublicKey == nil {
			return nil, s.Fail("devices", "device %d has no key", i+1)
		}
		if err := psatoken.ValidateInstID(d.Instance); d.Instance != nil && err != nil {
			return nil, s.Fail("devices", "device %d: instance: %v", i+1, err)
		}
		if err := psatoken.ValidateImplID(d.Implementation); d.Implementation != nil && err != nil {
			return nil, s.Fail("devices", "device %d: implementation: %v", i+1, err)
		}
	}
	for _, state := range p.Lifecycle {
		if !slices.Contains(lifecycles, state) {
			return nil, s.Fail("lifecycle", "there is no state %q; there are %s", state, strings.Join(lifecycles, ", "))
		}
	}
	for name, values := range p.Measurements {
		for _, v := range values {
			if err := psatoken.ValidatePSAHashType(v); err != nil {
				return nil, s.Fail("measurements", "%s: %v", name, err)
			}
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
	if a.Check("lifecycle", p.lifecycle(t), "the security lifecycle is "+lifecycleName(t.lifecycle)) {
		a.Vector.Configuration = ear.ApprovedConfigClaim
	}
	a.Vector.Executables = ear.ContraindicatedRuntimeClaim
	if len(p.Measurements) == 0 {
		a.Vector.Executables = ear.UnrecognizedRuntimeClaim
		a.Unchecked(attestation.CheckReference, "the policy lists no measurements")
	} else if a.Check(attestation.CheckReference, p.measured(t), "each software component has a reference value") {
		a.Vector.Executables = ear.ApprovedRuntimeClaim
	}
}

// signed finds the device whose key signed the token, and which it may speak for.
func (p *Policy) signed(t *token) *attls.Error {
	alg, err := t.message.Headers.Protected.Algorithm()
	if err != nil {
		return attestation.Refuse(rule+" 5.2", "the signature algorithm: %v", err)
	}
	why := fmt.Sprintf("it verifies under none of %d listed keys", len(p.Devices))
	for i, d := range p.Devices {
		v, err := cose.NewVerifier(alg, d.Key.PublicKey)
		if err == nil {
			err = t.message.Verify(nil, v)
		}
		if err != nil {
			continue
		}
		if d.Instance != nil && string(d.Instance) != string(t.instance) {
			why = fmt.Sprintf("the key of device %d signed it, which is the instance %x, and the token is of %x", i+1, []byte(d.Instance), t.instance)
			continue
		}
		if d.Implementation != nil && string(d.Implementation) != string(t.implementation) {
			why = fmt.Sprintf("the key of device %d signed it, which is of the implementation %x, and the token is of %x", i+1, []byte(d.Implementation), t.implementation)
			continue
		}
		return nil
	}
	return attestation.Refuse(rule+" 5.2", "the token: %s", why)
}

func (p *Policy) lifecycle(t *token) *attls.Error {
	allowed := p.Lifecycle
	if len(allowed) == 0 {
		allowed = lifecycles[secured : secured+1]
	}
	if name := lifecycleName(t.lifecycle); !slices.Contains(allowed, name) {
		return attestation.Refuse(rule+" 4.3.1", "the security lifecycle is %s (0x%04x); the policy accepts %s", name, t.lifecycle, strings.Join(allowed, ", "))
	}
	return nil
}

// measured compares the software components with the reference values.
func (p *Policy) measured(t *token) *attls.Error {
	const section = rule + " 4.4"
	if len(t.components) == 0 {
		return attestation.Refuse(section, "the token measures no software")
	}
	seen := map[string]bool{}
	for i, c := range t.components {
		name := componentName(c)
		value, err := c.GetMeasurementValue()
		if err != nil {
			return attestation.Refuse(section, "component %d: %v", i+1, err)
		}
		signer, err := c.GetSignerID()
		if err != nil {
			return attestation.Refuse(section, "component %d: %v", i+1, err)
		}
		references, ok := p.Measurements[name]
		switch {
		case !ok:
			return attestation.Refuse(section, "component %d (%s) has no reference value", i+1, name)
		case !has(references, value):
			return attestation.Refuse(section, "component %d (%s) measures %x, which is not a reference value", i+1, name, value)
		case len(p.Signers) > 0 && !has(p.Signers, signer):
			return attestation.Refuse(section, "component %d (%s) is signed by %x, which the policy does not list", i+1, name, signer)
		}
		seen[name] = true
	}
	for name := range p.Measurements {
		if !seen[name] {
			return attestation.Refuse(section, "the token has no component %s, for which there is a reference value", name)
		}
	}
	return nil
}

func has(list []attestation.Octets, v []byte) bool {
	return slices.ContainsFunc(list, func(x attestation.Octets) bool { return string(x) == string(v) })
}

// unnamed is what components without a measurement type are called.
const unnamed = "unnamed"

func componentName(c psatoken.ISwComponent) string {
	if name, err := c.GetMeasurementType(); err == nil && name != "" {
		return name
	}
	return unnamed
}
