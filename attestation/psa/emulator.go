package psa

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"attls/attestation"
	"attls/negotiation"

	"github.com/veraison/eat"
	"github.com/veraison/psatoken"
)

// device is a PSA device in software: the section `device` of an attester's file.
type device struct {
	Key            attestation.PrivateKey `yaml:"key,omitempty"`
	Instance       attestation.Octets     `yaml:"instance"`
	Implementation attestation.Octets     `yaml:"implementation"`
	Lifecycle      attestation.Whole      `yaml:"lifecycle"`
	Components     []Component            `yaml:"components"`
}

// open makes an Attester of a section.
func open(_ context.Context, o attestation.DeviceOptions) (negotiation.Attester, error) {
	var d device
	if err := o.Section.Decode(&d); err != nil {
		return nil, err
	}
	if d.Key.Signer == nil {
		return nil, o.Section.Fail("key", "a device needs its initial attestation key")
	}
	if _, err := attestation.SignToken(d.Key.Signer, nil); err != nil {
		return nil, o.Section.Fail("key", "%v", err)
	}
	if d.Lifecycle > 0xffff {
		return nil, o.Section.Fail("lifecycle", "lifecycle: %#x does not fit 16 bits", uint32(d.Lifecycle))
	}
	for member, err := range map[string]error{
		"instance": psatoken.ValidateInstID(d.Instance), "implementation": psatoken.ValidateImplID(d.Implementation),
		"lifecycle":  psatoken.ValidateSecurityLifeCycle(uint16(d.Lifecycle)),
		"components": Components(newClaims(ProfileTFM), d.Components),
	} {
		if err != nil {
			return nil, o.Section.Fail(member, "%s: %v", member, err)
		}
	}
	return d.attester(), nil
}

func (d *device) attester() negotiation.Attester {
	f := Format()
	return &attestation.Root{Format: &f, Maker: d}
}

// emulate makes a device out of a seed.
func emulate(_ context.Context, o attestation.EmulatorOptions) (*attestation.Emulation, error) {
	key, err := attestation.DeriveKey(o.Seed, "psa initial attestation key")
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(spki)
	implementation := sha256.Sum256([]byte(attestation.EmulatorSubject))
	d := &device{Key: attestation.PrivateKey{Signer: key}, Instance: append([]byte{1}, id[:]...),
		Implementation: implementation[:], Lifecycle: psatoken.SecurityLifecycleSecuredMin}
	measurements := map[string][]attestation.Octets{}
	signer := sha256.Sum256([]byte("emulated signer"))
	for _, name := range []string{"BL", "PRoT", "ARoT"} { // RFC 9783 section 4.4.1
		value := sha256.Sum256([]byte("emulated " + name))
		d.Components = append(d.Components, Component{Type: name, Value: value[:], Version: "0", Signer: signer[:]})
		measurements[name] = []attestation.Octets{value[:]}
	}
	return &attestation.Emulation{
		Attester: d.attester(),
		Device:   d,
		Policy: Policy{
			Devices: []Device{{Key: attestation.PublicKey{PublicKey: key.Public()}, Instance: d.Instance,
				Implementation: d.Implementation}},
			Software: Software{Measurements: measurements, Signers: []attestation.Octets{signer[:]}},
		},
	}, nil
}

// Make implements attestation.Maker.
func (d *device) Make(_ context.Context, q *attestation.Question) ([]byte, error) {
	c := newClaims(profilesOf(&attestation.CMW{Format: q.Type})[0])
	if err := d.fill(c, q.Field); err != nil {
		return nil, fmt.Errorf("a PSA token: %w", err)
	}
	payload, err := psatoken.ValidateAndEncodeClaimsToCBOR(c)
	if err != nil {
		return nil, err
	}
	return attestation.SignToken(d.Key.Signer, payload)
}

// fill sets the claims.
func (d *device) fill(c psatoken.IClaims, nonce []byte) error {
	boot := sha256.Sum256([]byte("emulated boot"))
	switch c := c.(type) {
	case *psatoken.P1Claims:
		c.Profile = &c.CanonicalProfile
		if err := c.SetBootSeed(boot[:]); err != nil {
			return err
		}
	case *psatoken.P2Claims:
		p, err := eat.NewProfile(c.CanonicalProfile)
		if err != nil {
			return err
		}
		c.Profile = p
	}
	for _, err := range []error{
		c.SetNonce(nonce), c.SetClientID(1), c.SetInstID(d.Instance), c.SetImplID(d.Implementation),
		c.SetSecurityLifeCycle(uint16(d.Lifecycle)), c.SetVSI(attestation.EmulatorSubject), Components(c, d.Components),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}
