package cca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"attls/attestation"
	"attls/attestation/psa"
	"attls/attestation/tsm"
	"attls/negotiation"

	"github.com/veraison/ccatoken"
	"github.com/veraison/ccatoken/platform"
	"github.com/veraison/ccatoken/realm"
)

// source makes CCA tokens: a realm on a platform, or an emulator of both.
type source interface {
	// report asks for a token about a challenge of 64 octets.
	report(ctx context.Context, challenge []byte) (*tsm.Report, error)
}

// tokenMaker makes the Evidence of Format.
type tokenMaker struct{ source }

// Make implements attestation.Maker.
func (m tokenMaker) Make(ctx context.Context, q *attestation.Question) ([]byte, error) {
	r, err := m.report(ctx, q.Field)
	if err != nil {
		return nil, err
	}
	if tsm.Is(q.Type) {
		return r.Encode(q.Type)
	}
	return r.Out, nil
}

// parsecMaker makes the Evidence of ParsecFormat.
type parsecMaker struct{ source }

// Make implements attestation.Maker.
func (m parsecMaker) Make(ctx context.Context, q *attestation.Question) ([]byte, error) {
	return encodeParsec(ctx, m.source, q)
}

// guest is the realm that this program runs in.
type guest struct{ client tsm.Client }

func (g guest) report(ctx context.Context, challenge []byte) (*tsm.Report, error) {
	return tsm.Get(ctx, g.client, &tsm.Request{Provider: provider, Challenge: challenge})
}

// Guest is the Attester of a format, Name or Parsec, for a program that runs in a realm
// and has access to configfs-tsm.
func Guest(name string, client tsm.Client) negotiation.Attester { return attester(name, guest{client}) }

func attester(name string, s source) *attestation.Root {
	if name == Parsec {
		f := ParsecFormat()
		return &attestation.Root{Format: &f, Maker: parsecMaker{s}}
	}
	f := Format()
	return &attestation.Root{Format: &f, Maker: tokenMaker{s}}
}

// device is the section `device` of an attester's file: a platform and a realm in
// software, or where the real ones are.
type device struct {
	Source         tsm.Source             `yaml:"source,omitempty"`
	Key            attestation.PrivateKey `yaml:"key,omitempty"`
	Instance       attestation.Octets     `yaml:"instance,omitempty"`
	Implementation attestation.Octets     `yaml:"implementation,omitempty"`
	Lifecycle      attestation.Whole      `yaml:"lifecycle,omitempty"`
	Config         attestation.Octets     `yaml:"config,omitempty"`
	Components     []psa.Component        `yaml:"components,omitempty"`
	Realm          deviceRealm            `yaml:"realm,omitempty"`
}

type deviceRealm struct {
	Key             attestation.PrivateKey `yaml:"key,omitempty"`
	Personalization attestation.Octets     `yaml:"personalization,omitempty"`
	Initial         attestation.Octets     `yaml:"rim,omitempty"`
	Extensible      []attestation.Octets   `yaml:"rem,omitempty"`
}

// open is the function Open of a format.
func open(name string) func(context.Context, attestation.DeviceOptions) (negotiation.Attester, error) {
	return func(ctx context.Context, o attestation.DeviceOptions) (negotiation.Attester, error) {
		var d device
		if err := o.Section.Decode(&d); err != nil {
			return nil, err
		}
		if d.Source == tsm.Kernel {
			for _, member := range []string{"key", "instance", "implementation", "lifecycle", "config", "components", "realm"} {
				if o.Section.Has(member) {
					return nil, o.Section.Fail(member, "%s: the platform has its own; it is for the emulator", member)
				}
			}
			client, err := tsm.Open()
			if err != nil {
				return nil, o.Section.Fail("source", "%v", err)
			}
			return Guest(name, client), nil
		}
		if member, err := d.check(); err != nil {
			return nil, o.Section.Fail(member, "%s: %v", member, err)
		}
		return attester(name, &d), nil
	}
}

// check says which member no token can be made of.
func (d *device) check() (member string, err error) {
	if d.Lifecycle > 0xffff {
		return "lifecycle", fmt.Errorf("%#x does not fit 16 bits", uint32(d.Lifecycle))
	}
	p, r := platform.NewClaims(), realm.NewClaims()
	for _, x := range []struct {
		member string
		check  func() error
	}{
		{"key", func() error { return signs(d.Key) }},
		{"instance", func() error { return p.SetInstID(d.Instance) }},
		{"implementation", func() error { return p.SetImplID(d.Implementation) }},
		{"lifecycle", func() error { return p.SetSecurityLifeCycle(uint16(d.Lifecycle)) }},
		{"config", func() error { return p.SetConfig(d.Config) }},
		{"components", func() error {
			if len(d.Components) == 0 {
				return errors.New("a platform has at least one")
			}
			return psa.Components(p, d.Components)
		}},
		{"realm", func() error { return errors.Join(signs(d.Realm.Key), d.Realm.fill(r)) }},
	} {
		if err := x.check(); err != nil {
			return x.member, err
		}
	}
	return "", nil
}

// signs reports why a key cannot sign tokens.
func signs(k attestation.PrivateKey) error {
	if k.Signer == nil {
		return errors.New("a key is missing")
	}
	if _, ok := k.Public().(*ecdsa.PublicKey); !ok {
		return fmt.Errorf("tokens are signed with ECDSA, not with a key of type %T", k.Public())
	}
	_, err := attestation.SignToken(k.Signer, nil)
	return err
}

// emulate is the function Emulate of a format: a platform and a realm out of a seed.
func emulate(name string) func(context.Context, attestation.EmulatorOptions) (*attestation.Emulation, error) {
	return func(_ context.Context, o attestation.EmulatorOptions) (*attestation.Emulation, error) {
		d, err := newDevice(o.Seed)
		if err != nil {
			return nil, err
		}
		return &attestation.Emulation{Attester: attester(name, d), Device: d, Policy: d.policy()}, nil
	}
}

func newDevice(seed []byte) (*device, error) {
	key, err := attestation.DeriveKeyOn(elliptic.P384(), seed, "cca platform attestation key")
	if err != nil {
		return nil, err
	}
	rak, err := attestation.DeriveKeyOn(elliptic.P384(), seed, "cca realm attestation key")
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	sum := func(text string) []byte {
		h := sha256.Sum256([]byte(text))
		return h[:]
	}
	d := &device{
		Key:            attestation.PrivateKey{Signer: key},
		Instance:       append([]byte{1}, sum(string(spki))...), // type RAND of a ueid
		Implementation: sum(attestation.EmulatorSubject),
		Lifecycle:      platform.LifecycleSecuredMin,
		Config:         []byte{0xcf, 0xcf, 0xcf, 0xcf},
		Realm: deviceRealm{
			Key: attestation.PrivateKey{Signer: rak},
			Personalization: append([]byte(attestation.EmulatorSubject),
				make([]byte, challengeSize-len(attestation.EmulatorSubject))...),
			Initial: sum("emulated realm"),
		},
	}
	for _, name := range []string{"RSE_BL2", "AP_BL31", "RMM"} {
		d.Components = append(d.Components, psa.Component{Type: name, Value: sum("emulated " + name), Version: "0",
			Signer: sum("emulated signer")})
	}
	for i := range maxExtensible {
		d.Realm.Extensible = append(d.Realm.Extensible, sum(fmt.Sprintf("emulated rem%d", i)))
	}
	return d, nil
}

// policy is what trusts this platform and this realm only.
func (d *device) policy() Policy {
	p := Policy{
		Devices: psa.Devices{{Key: attestation.PublicKey{PublicKey: d.Key.Public()}, Instance: d.Instance,
			Implementation: d.Implementation}},
		Config: []attestation.Octets{d.Config},
		Realm: Realm{
			Measurements:    map[string][]attestation.Octets{realmMeasurements[0]: {d.Realm.Initial}},
			Personalization: []attestation.Octets{d.Realm.Personalization},
		},
	}
	p.Software = psa.Software{Measurements: map[string][]attestation.Octets{},
		Signers: []attestation.Octets{d.Components[0].Signer}}
	for _, c := range d.Components {
		p.Measurements[c.Type] = []attestation.Octets{c.Value}
	}
	for i, v := range d.Realm.Extensible {
		p.Realm.Measurements[realmMeasurements[1+i]] = []attestation.Octets{v}
	}
	return p
}

// hashName is the algorithm of the measurements and of the binding.
const hashName = "sha-256"

// fill sets the claims of a realm, but for its challenge.
func (r *deviceRealm) fill(c realm.IClaims) error {
	var rems [][]byte
	for _, v := range r.Extensible {
		rems = append(rems, v)
	}
	if r.Key.Signer == nil {
		return nil // signs has said so
	}
	rak, err := attestation.EncodeCOSEKey(r.Key.Public())
	if err != nil {
		return err
	}
	return errors.Join(c.SetPersonalizationValue(r.Personalization), c.SetInitialMeasurement(r.Initial),
		c.SetExtensibleMeasurements(rems),
		c.SetHashAlgID(hashName), c.SetPubKey(rak), c.SetPubKeyHashAlgID(hashName))
}

func (d *device) report(_ context.Context, challenge []byte) (*tsm.Report, error) {
	p, r := platform.NewClaims(), realm.NewClaims()
	err := errors.Join(r.SetChallenge(challenge), d.Realm.fill(r),
		p.SetInstID(d.Instance), p.SetImplID(d.Implementation), p.SetSecurityLifeCycle(uint16(d.Lifecycle)),
		p.SetConfig(d.Config),
		p.SetHashAlgID(hashName), p.SetVSI(attestation.EmulatorSubject), psa.Components(p, d.Components))
	if err == nil {
		err = (&ccatoken.Evidence{}).SetClaims(p, r) // which sets the binding
	}
	if err != nil {
		return nil, fmt.Errorf("a CCA token: %w", err)
	}
	platformClaims, err := platform.EncodeClaimsToCBOR(p)
	if err != nil {
		return nil, err
	}
	realmClaims, err := realm.EncodeClaimsToCBOR(r)
	if err != nil {
		return nil, err
	}
	token, err := d.sign(platformClaims, realmClaims)
	if err != nil {
		return nil, err
	}
	return &tsm.Report{Provider: provider + "\n", Out: token}, nil
}

// sign makes the collection of both tokens.
func (d *device) sign(platformClaims, realmClaims []byte) ([]byte, error) {
	collection := attestation.Claims{}
	platformToken, err := attestation.SignToken(d.Key.Signer, platformClaims)
	if err != nil {
		return nil, err
	}
	realmToken, err := attestation.SignToken(d.Realm.Key.Signer, realmClaims)
	if err != nil {
		return nil, err
	}
	collection.Set(labelPlatform, []any{contentFormat, platformToken})
	collection.Set(labelRealm, []any{contentFormat, realmToken})
	return append(tagHead(tagCMW), collection.Encode()...), nil
}
