package roottest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"

	"attls"
	"attls/attestation"
	"attls/negotiation"

	"github.com/veraison/ear"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The Evidence of Stranger: a challenge field of 64 octets, a measurement, an octet
// that nothing signs, and an ECDSA signature with SHA-256 over the first two.
const (
	strangerField    = 64
	strangerUnsigned = strangerField + sha256.Size
	strangerSigned   = strangerUnsigned + 1
	strangerRule     = "the root of trust of a stranger"
)

// StrangerType is the media type of its Evidence.
const StrangerType = "application/vnd.example.stranger"

// Stranger is a root of trust as somebody outside this module would write it, for tests
// of what takes one: it names no key, and its challenge field has 64 octets.
func Stranger() attestation.Format {
	f := attestation.Format{
		Name:   "stranger",
		Title:  "a root of trust for tests",
		Source: strangerRule,
		Types:  []attestation.Type{{MediaType: StrangerType, Note: "for tests"}},
		Challenge: attestation.ChallengeField{
			Name:    "report_data",
			Rule:    strangerRule,
			Sizes:   []int{strangerField},
			Padding: true,
			Wants:   strangerField,
		},
		Key:      attestation.KeyNaming{How: "only the challenge can tell the key"},
		Says:     []string{"hardware", "executables"},
		Unsigned: "one octet after the measurement",
		Read:     readStranger,
		Policy: func(s *attestation.Section) (attestation.Policy, error) {
			if s == nil {
				return nil, nil
			}
			var p StrangerPolicy
			if err := s.Decode(&p); err != nil {
				return nil, err
			}
			if p.Keys == nil {
				return nil, s.Fail("keys", "keys lists no key whose statements are trusted")
			}
			return &p, nil
		},
	}
	row := f
	f.Open = func(_ context.Context, o attestation.DeviceOptions) (negotiation.Attester, error) {
		var d strangerDevice
		if err := o.Section.Decode(&d); err != nil {
			return nil, err
		}
		if d.Key.Signer == nil {
			return nil, o.Section.Fail("key", "the device has no key")
		}
		return &attestation.Root{Format: &row, Maker: &d}, nil
	}
	f.Emulate = func(_ context.Context, o attestation.EmulatorOptions) (*attestation.Emulation, error) {
		k, err := attestation.DeriveKey(o.Seed, "key of the stranger")
		if err != nil {
			return nil, err
		}
		d := &strangerDevice{Key: attestation.PrivateKey{Signer: k}}
		p := &StrangerPolicy{Keys: []attestation.PublicKey{{PublicKey: k.Public()}}, Measurement: strangerMeasurement()}
		return &attestation.Emulation{Attester: &attestation.Root{Format: &row, Maker: d}, Device: d, Policy: p}, nil
	}
	return f
}

func strangerMeasurement() []byte {
	h := sha256.Sum256([]byte("what runs there"))
	return h[:]
}

// strangerDevice is the section `device`, and what makes the Evidence.
type strangerDevice struct {
	Key attestation.PrivateKey `yaml:"key"`
}

// Make implements attestation.Maker.
func (d *strangerDevice) Make(_ context.Context, q *attestation.Question) ([]byte, error) {
	signed := append(bytes.Clone(q.Field), strangerMeasurement()...)
	h := sha256.Sum256(signed)
	signature, err := d.Key.Sign(rand.Reader, h[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return append(append(signed, 0), signature...), nil
}

func readStranger(c *attestation.CMW) (*attestation.Reading, *attls.Error) {
	if c.IsCollection() || len(c.Value) < strangerSigned || len(c.Value) > 256 {
		return nil, attestation.Malformed(-1, strangerRule, "not a report of %d octets and a signature", strangerSigned)
	}
	var signature cryptobyte.String
	rest := cryptobyte.String(c.Value[strangerSigned:])
	if !rest.ReadASN1(&signature, asn1.SEQUENCE) || !rest.Empty() {
		return nil, attestation.Malformed(strangerSigned, strangerRule, "a signature is one SEQUENCE, and nothing follows it")
	}
	return &attestation.Reading{
		Challenges: []attestation.Challenge{{Values: [][]byte{c.Value[:strangerField]}}},
		Statement:  c.Value,
		Instance:   []byte("the only stranger"),
		Fields: func() []attestation.Field {
			return []attestation.Field{
				attestation.OctetField("report_data", 0, c.Value[:strangerField]),
				attestation.OctetField("measurement", strangerField, c.Value[strangerField:strangerUnsigned]),
				{Name: "reserved", Start: strangerUnsigned, End: strangerSigned, Unsigned: true},
				attestation.OctetField("signature", strangerSigned, c.Value[strangerSigned:]),
			}
		},
	}, nil
}

// StrangerPolicy judges by keys and one measurement.
type StrangerPolicy struct {
	Keys        []attestation.PublicKey `yaml:"keys"`
	Measurement attestation.Octets      `yaml:"measurement"`
}

// Judge implements attestation.Policy.
func (p *StrangerPolicy) Judge(_ context.Context, a *attestation.Appraisal) {
	b, _ := a.Reading.Statement.([]byte)
	h := sha256.Sum256(b[:strangerUnsigned])
	err := attestation.Refuse(strangerRule, "no trusted key verifies the signature")
	for _, k := range p.Keys {
		if key, ok := k.PublicKey.(*ecdsa.PublicKey); ok && ecdsa.VerifyASN1(key, h[:], b[strangerSigned:]) {
			err = nil
		}
	}
	a.Vector.Hardware = ear.CryptoValidationFailedClaim
	if a.Check(attestation.CheckPlatform, err, "a trusted key verifies the report") {
		a.Vector.Hardware = ear.GenuineHardwareClaim
	}
	err = nil
	if !bytes.Equal(p.Measurement, b[strangerField:strangerUnsigned]) {
		err = attestation.Refuse(strangerRule, "the measurement is %x", b[strangerField:strangerUnsigned])
	}
	a.Vector.Executables = ear.ContraindicatedRuntimeClaim
	if a.Check(attestation.CheckReference, err, "the measurement is as expected") {
		a.Vector.Executables = ear.ApprovedRuntimeClaim
	}
}
