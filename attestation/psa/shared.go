package psa

import (
	"crypto"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/attestation"

	"github.com/veraison/psatoken"
)

// Devices are the ones whose tokens a policy believes. It is shared with the tokens
// that extend those of PSA.
type Devices []Device

// Device is an initial attestation key (IAK) and the platform that it may speak for.
type Device struct {
	Key attestation.PublicKey `yaml:"key"`
	// Instance is the psa-instance-id of 33 octets; nil: any.
	Instance attestation.Octets `yaml:"instance,omitempty"`
	// Implementation is the psa-implementation-id of 32 octets; nil: any.
	Implementation attestation.Octets `yaml:"implementation,omitempty"`
}

// Check says why no token could be believed, or a device not be meant as it is.
func (l Devices) Check() error {
	if len(l) == 0 {
		return fmt.Errorf("no device is listed, so no token would be accepted")
	}
	for i, d := range l {
		if d.Key.PublicKey == nil {
			return fmt.Errorf("device %d has no key", i+1)
		}
		if err := psatoken.ValidateInstID(d.Instance); d.Instance != nil && err != nil {
			return fmt.Errorf("device %d: instance: %w", i+1, err)
		}
		if err := psatoken.ValidateImplID(d.Implementation); d.Implementation != nil && err != nil {
			return fmt.Errorf("device %d: implementation: %w", i+1, err)
		}
	}
	return nil
}

// Signed finds the device whose key verifies a token, and which it may speak for.
func (l Devices) Signed(rule string, instance, implementation []byte,
	verify func(crypto.PublicKey) error) *attls.Error {
	why := fmt.Sprintf("it verifies under none of %d listed keys", len(l))
	for i, d := range l {
		if err := verify(d.Key.PublicKey); err != nil {
			if len(l) == 1 {
				why += fmt.Sprintf(" (%v)", err)
			}
			continue
		}
		if d.Instance != nil && string(d.Instance) != string(instance) {
			why = fmt.Sprintf("the key of device %d signed it, which is the instance %x, and the token is of %x", i+1,
				[]byte(d.Instance), instance)
			continue
		}
		if d.Implementation != nil && string(d.Implementation) != string(implementation) {
			why = fmt.Sprintf("the key of device %d signed it, which is of the implementation %x, and the token is of %x", i+1,
				[]byte(d.Implementation), implementation)
			continue
		}
		return nil
	}
	return attestation.Refuse(rule, "the token: %s", why)
}

// Software is what a policy expects of measured software components.
type Software struct {
	// Measurements are the reference values by the measurement type of the software
	// component (RFC 9783 section 4.4.1); components without a type are called
	// "unnamed". Each component of a token must be listed, and each listed one must be
	// in the token. Empty: the software is not appraised, so no verdict is affirming.
	Measurements map[string][]attestation.Octets `yaml:"measurements,omitempty"`
	// Signers are the signer ids that components may have; empty: any.
	Signers []attestation.Octets `yaml:"signers,omitempty"`
}

// Check says which reference value no component can have.
func (s *Software) Check() error {
	for name, values := range s.Measurements {
		for _, v := range values {
			if err := psatoken.ValidatePSAHashType(v); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// Measured compares software components with the reference values.
func (s *Software) Measured(rule string, components []psatoken.ISwComponent) *attls.Error {
	if len(components) == 0 {
		return attestation.Refuse(rule, "the token measures no software")
	}
	seen := map[string]bool{}
	for i, c := range components {
		name := componentName(c)
		value, err := c.GetMeasurementValue()
		if err != nil {
			return attestation.Refuse(rule, "component %d: %v", i+1, err)
		}
		signer, err := c.GetSignerID()
		if err != nil {
			return attestation.Refuse(rule, "component %d: %v", i+1, err)
		}
		references, ok := s.Measurements[name]
		switch {
		case !ok:
			return attestation.Refuse(rule, "component %d (%s) has no reference value", i+1, name)
		case !Listed(references, value):
			return attestation.Refuse(rule, "component %d (%s) measures %x, which is not a reference value", i+1, name, value)
		case len(s.Signers) > 0 && !Listed(s.Signers, signer):
			return attestation.Refuse(rule, "component %d (%s) is signed by %x, which the policy does not list",
				i+1, name, signer)
		}
		seen[name] = true
	}
	for name := range s.Measurements {
		if !seen[name] {
			return attestation.Refuse(rule, "the token has no component %s, for which there is a reference value", name)
		}
	}
	return nil
}

// Listed reports whether a value is one of a list.
func Listed(list []attestation.Octets, v []byte) bool {
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

// ComponentFields lists software components as fields: the number, the name and the
// measurement of each.
func ComponentFields(prefix string, components []psatoken.ISwComponent) (list []attestation.Field) {
	for i, c := range components {
		value, err := c.GetMeasurementValue()
		if err != nil {
			continue // Measured says so
		}
		text := fmt.Sprintf("%s: %x", componentName(c), value)
		list = append(list, attestation.Field{Name: fmt.Sprintf("%s.%d", prefix, i+1), Text: text})
	}
	return list
}

// States are the names of the states of a security lifecycle, by their first value
// divided by 0x1000 (RFC 9783 section 4.3.1). A policy accepts the state "secured"
// where it lists none.
type States []string

const secured = 3

// Name is the name of a value.
func (s States) Name(v uint16) string {
	if state := int(psatoken.LifeCycleToState(v)); state < len(s) {
		return s[state]
	}
	return fmt.Sprintf("0x%04x", v)
}

// Check says which state of a policy does not exist.
func (s States) Check(accepted []string) error {
	for _, state := range accepted {
		if !slices.Contains(s, state) {
			return fmt.Errorf("there is no state %q; there are %s", state, strings.Join(s, ", "))
		}
	}
	return nil
}

// Accepted says why a policy does not accept a value.
func (s States) Accepted(rule string, accepted []string, v uint16) *attls.Error {
	if len(accepted) == 0 {
		accepted = s[secured : secured+1]
	}
	if name := s.Name(v); !slices.Contains(accepted, name) {
		return attestation.Refuse(rule, "the security lifecycle is %s (0x%04x); the policy accepts %s", name, v,
			strings.Join(accepted, ", "))
	}
	return nil
}

// Component is a software component of a device in software.
type Component struct {
	Type    string             `yaml:"type,omitempty"`
	Value   attestation.Octets `yaml:"value"`
	Version string             `yaml:"version,omitempty"`
	Signer  attestation.Octets `yaml:"signer"`
}

// Components sets the software components of a claims set.
func Components(c psatoken.IClaims, components []Component) error {
	var list []psatoken.ISwComponent
	for _, x := range components {
		sw := &psatoken.SwComponent{}
		if x.Type != "" {
			sw.MeasurementType = &x.Type
		}
		if x.Version != "" {
			sw.Version = &x.Version
		}
		if err := sw.SetMeasurementValue(x.Value); err != nil {
			return err
		}
		if err := sw.SetSignerID(x.Signer); err != nil {
			return err
		}
		list = append(list, sw)
	}
	return c.SetSoftwareComponents(list)
}
