package nitro

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"attls/attestation"
	"attls/negotiation"

	"github.com/fxamacker/cbor/v2"
)

// device is the section `device` of an attester's file: the Nitro Secure Module of
// this enclave (path), or an emulated one (the rest).
type device struct {
	Path         string                        `yaml:"path,omitempty"`
	Key          attestation.PrivateKey        `yaml:"key,omitempty"`
	Certificates attestation.Certificates      `yaml:"certificates,omitempty"` // that of Key first, the root last
	Module       string                        `yaml:"module,omitempty"`
	Registers    map[string]attestation.Octets `yaml:"registers,omitempty"`

	clock func() time.Time
}

// open makes an Attester of a section.
func open(_ context.Context, o attestation.DeviceOptions) (negotiation.Attester, error) {
	d := device{clock: o.Clock}
	if err := o.Section.Decode(&d); err != nil {
		return nil, err
	}
	if d.Path != "" {
		if d.Key.Signer != nil || d.Certificates != nil || d.Module != "" || d.Registers != nil {
			return nil, o.Section.Fail("path", "a device has a path, or the members of an emulator, not both")
		}
		return attester(&module{path: d.Path}), nil
	}
	if d.Key.Signer == nil {
		return nil, o.Section.Fail("key", "a device needs a path, such as /dev/nsm, or the key of an emulator")
	}
	if k, ok := d.Key.Public().(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P384() {
		return nil, o.Section.Fail("key", "the key must be on P-384: documents are signed with ES384")
	}
	if len(d.Certificates) < 2 || !samePublic(d.Certificates[0].PublicKey, d.Key.Public()) {
		return nil, o.Section.Fail("certificates", "certificates are that of the key, and after it those of its issuers")
	}
	if d.Module == "" || len(d.Module) > maxModule {
		return nil, o.Section.Fail("module", "module has 1 to %d octets", maxModule)
	}
	if len(d.Registers) == 0 {
		return nil, o.Section.Fail("registers", "registers are missing; pcr0 to pcr%d have 48 octets", maxPCRs-1)
	}
	for name, v := range d.Registers {
		if _, err := pcrNamed(name); err != nil || len(v) != sha512.Size384 {
			return nil, o.Section.Fail("registers", "registers are pcr0 to pcr%d, of %d octets; %q has %d", maxPCRs-1,
				sha512.Size384, name, len(v))
		}
	}
	return attester(&d), nil
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func attester(m attestation.Maker) negotiation.Attester {
	f := Format()
	return &attestation.Root{Format: &f, Maker: m}
}

// Validity of an emulator's certificates, around the time at which it is made. Those
// of AWS hold for three hours.
const (
	before = 24 * time.Hour
	after  = 10 * 365 * 24 * time.Hour
)

// emulate makes an enclave out of a seed.
func emulate(_ context.Context, o attestation.EmulatorOptions) (*attestation.Emulation, error) {
	clock := o.Clock
	if clock == nil {
		clock = time.Now
	}
	rootKey, err := attestation.DeriveKeyOn(elliptic.P384(), o.Seed, "nitro root")
	if err != nil {
		return nil, err
	}
	key, err := attestation.DeriveKeyOn(elliptic.P384(), o.Seed, "nitro enclave")
	if err != nil {
		return nil, err
	}
	now := clock().UTC().Truncate(time.Second)
	root, err := certify("emulated root", 1, &rootKey.PublicKey, nil, rootKey, now)
	if err != nil {
		return nil, err
	}
	leaf, err := certify("emulated enclave", 2, &key.PublicKey, root, rootKey, now)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(append([]byte("module"), o.Seed...))
	d := &device{Key: attestation.PrivateKey{Signer: key}, Certificates: attestation.Certificates{leaf, root},
		Module: fmt.Sprintf("i-emulated-enc%x", id[:8]), Registers: map[string]attestation.Octets{}, clock: o.Clock}
	measurements := map[string][]attestation.Octets{}
	for i, what := range []string{"image", "kernel and boot ramdisk", "application"} {
		v := sha512.Sum384([]byte("emulated " + what))
		d.Registers[pcrName(uint64(i))] = v[:]
		measurements[pcrName(uint64(i))] = []attestation.Octets{v[:]}
	}
	for _, i := range []uint64{3, 4, 8} { // role, instance and signing certificate: none
		d.Registers[pcrName(i)] = make([]byte, sha512.Size384)
	}
	return &attestation.Emulation{
		Attester: attester(d),
		Device:   d,
		Policy: Policy{TrustAnchors: attestation.Certificates{root}, Measurements: measurements,
			Modules: []string{d.Module}},
	}, nil
}

// certify issues a certificate, a root where there is no issuer.
func certify(name string, serial int64, key *ecdsa.PublicKey, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey,
	now time.Time) (*x509.Certificate, error) {
	x := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: name, Organization: []string{attestation.EmulatorSubject}},
		NotBefore:             now.Add(-before),
		NotAfter:              now.Add(after),
		SignatureAlgorithm:    x509.ECDSAWithSHA384,
		BasicConstraintsValid: true,
		IsCA:                  issuer == nil,
		KeyUsage:              x509.KeyUsageDigitalSignature,
	}
	if issuer == nil {
		issuer, x.KeyUsage = x, x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(nil, x, issuer, key, issuerKey) // no randomness: the signature is deterministic
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// deterministic writes equal documents as equal octets.
var deterministic = must(cbor.CoreDetEncOptions().EncMode())

// payload is a document before it is signed.
type payload struct {
	Module      string            `cbor:"module_id"`
	Digest      string            `cbor:"digest"`
	Timestamp   uint64            `cbor:"timestamp"`
	PCRs        map[uint64][]byte `cbor:"pcrs"`
	Certificate []byte            `cbor:"certificate"`
	CABundle    [][]byte          `cbor:"cabundle"`
	PublicKey   []byte            `cbor:"public_key"`
	UserData    []byte            `cbor:"user_data"`
	Nonce       []byte            `cbor:"nonce"`
}

// Make implements attestation.Maker.
func (d *device) Make(_ context.Context, q *attestation.Question) ([]byte, error) {
	if err := fits(q); err != nil {
		return nil, err
	}
	clock := d.clock
	if clock == nil {
		clock = time.Now
	}
	p := payload{Module: d.Module, Digest: "SHA384", Timestamp: uint64(clock().UnixMilli()), PCRs: map[uint64][]byte{},
		Certificate: d.Certificates[0].Raw, PublicKey: q.SPKI, Nonce: q.Field}
	for i := len(d.Certificates) - 1; i > 0; i-- { // the root first
		p.CABundle = append(p.CABundle, d.Certificates[i].Raw)
	}
	for name, v := range d.Registers {
		i, err := pcrNamed(name)
		if err != nil {
			return nil, err
		}
		p.PCRs[i] = v
	}
	octets, err := deterministic.Marshal(p)
	if err != nil {
		return nil, err
	}
	token, err := attestation.SignToken(d.Key.Signer, octets)
	if err != nil {
		return nil, err
	}
	return token[1:], nil // a document has no tag
}

// fits checks the lengths that a Nitro Secure Module accepts.
func fits(q *attestation.Question) error {
	if len(q.SPKI) > maxPublicKey {
		return fmt.Errorf("a key of %d octets; public_key takes at most %d", len(q.SPKI), maxPublicKey)
	}
	if len(q.Field) > maxNonce {
		return fmt.Errorf("a nonce of %d octets; at most %d fit", len(q.Field), maxNonce)
	}
	return nil
}
