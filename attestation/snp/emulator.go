package snp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	"attls/attestation"
	"attls/attestation/tsm"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	"github.com/google/uuid"
)

// device is the section `device` of an attester's file: the guest of this machine
// (source), or an emulated one (the rest).
type device struct {
	Source       tsm.Source                   `yaml:"source,omitempty"`
	VMPL         attestation.Whole            `yaml:"vmpl,omitempty"`
	Key          attestation.PrivateKey       `yaml:"key,omitempty"`
	Certificates attestation.Certificates     `yaml:"certificates,omitempty"` // VCEK, ASK, ARK
	Chip         attestation.Octets           `yaml:"chip,omitempty"`
	Measurement  attestation.Octets           `yaml:"measurement,omitempty"`
	HostData     attestation.Octets           `yaml:"host_data,omitempty"`
	Policy       attestation.Whole            `yaml:"policy,omitempty"`
	TCB          map[string]attestation.Whole `yaml:"tcb,omitempty"`
}

// open makes an Attester of a section.
func open(_ context.Context, o attestation.DeviceOptions) (negotiation.Attester, error) {
	var d device
	if err := o.Section.Decode(&d); err != nil {
		return nil, err
	}
	if d.VMPL > maxVMPL {
		return nil, o.Section.Fail("vmpl", "vmpl: %d; there are 0 to %d", d.VMPL, maxVMPL)
	}
	if d.Source == tsm.Kernel {
		for _, member := range []string{"key", "certificates", "chip", "measurement", "host_data", "policy", "tcb"} {
			if o.Section.Has(member) {
				return nil, o.Section.Fail(member, "%s is a member of an emulator, and the source is %s", member,
					d.Source)
			}
		}
		c, err := tsm.Open()
		if err != nil {
			return nil, o.Section.Fail("source", "%v", err)
		}
		return attester(&guest{client: c, vmpl: uint(d.VMPL)}), nil
	}
	return attester(&d), d.check(o.Section)
}

// check says what an emulator lacks.
func (d *device) check(s *attestation.Section) error {
	if d.Key.Signer == nil {
		return s.Fail("key", "a device needs the source %s, or the key of an emulator", tsm.Kernel)
	}
	k, ok := d.Key.Public().(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P384() {
		return s.Fail("key", "the key must be on P-384: reports are signed with ECDSA P-384")
	}
	if len(d.Certificates) < 2 || !k.Equal(d.Certificates[0].PublicKey) {
		return s.Fail("certificates", "certificates are that of the key, and after it those of its issuers")
	}
	for _, x := range []struct {
		member string
		got    attestation.Octets
		want   int
	}{{"chip", d.Chip, abi.ChipIDSize}, {"measurement", d.Measurement, abi.MeasurementSize}, {"host_data", d.HostData,
		abi.HostDataSize}} {
		if len(x.got) != x.want && !(x.member == "host_data" && x.got == nil) {
			return s.Fail(x.member, "%s: %d octets; it has %d", x.member, len(x.got), x.want)
		}
	}
	if _, err := abi.ParseSnpPolicy(uint64(d.Policy)); err != nil {
		return s.Fail("policy", "policy: %v", err)
	}
	if _, err := d.tcb(); err != nil {
		return s.Fail("tcb", "tcb: %v", err)
	}
	return nil
}

func attester(m attestation.Maker) negotiation.Attester {
	f := Format()
	return &attestation.Root{Format: &f, Maker: m}
}

// guest asks the kernel for reports.
type guest struct {
	client tsm.Client
	vmpl   uint
}

// Make implements attestation.Maker.
func (g *guest) Make(ctx context.Context, q *attestation.Question) ([]byte, error) {
	r, err := tsm.Get(ctx, g.client, &tsm.Request{Provider: Provider, Challenge: q.Field, Privilege: &g.vmpl,
		Aux: true})
	if err != nil {
		return nil, err
	}
	return wrap(r, q.Type)
}

// wrap puts a report into what a type wants.
func wrap(r *tsm.Report, typ profile.Format) ([]byte, error) {
	if attestation.Matches(typ, profile.Format{MediaType: MediaTypeReport}, profile.MatchEqual) == nil {
		return r.Out, nil
	}
	return r.Encode(typ)
}

// What an emulated guest is like.
const (
	emulatedLine    = "Milan"
	emulatedProduct = "Milan-B1"
	emulatedPolicy  = 1<<17 | 1<<16 // SMT; bit 17 is always set
)

// Validity of what an emulator signs. It is fixed, so that two programs make the same
// certificates of one seed.
var (
	notBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2070, 1, 1, 0, 0, 0, 0, time.UTC)
)

// emulate makes a guest out of a seed.
func emulate(_ context.Context, o attestation.EmulatorOptions) (*attestation.Emulation, error) {
	chip := sha512.Sum512(append([]byte("chip"), o.Seed...))
	measurement := sha512.Sum384([]byte("emulated guest"))
	d := &device{Chip: chip[:], Measurement: measurement[:], Policy: emulatedPolicy,
		TCB: map[string]attestation.Whole{"bootloader": 4, "tee": 0, "snp": 22, "microcode": 213}}
	crl, err := d.certify(o.Seed)
	if err != nil {
		return nil, err
	}
	return &attestation.Emulation{
		Attester: attester(d),
		Device:   d,
		Policy: Policy{
			TrustAnchors: d.Certificates[2:], Certificates: d.Certificates[:2], CRLs: attestation.CRLs{crl},
			Instances:    []attestation.Octets{d.Chip},
			Measurements: map[string][]attestation.Octets{"measurement": {d.Measurement}},
			MinimumTCB:   d.TCB,
		},
	}, nil
}

// certify makes the keys and certificates: a root, the key below it that certifies
// chips (RSA, as the library wants it), the key of the chip. The library fixes the
// subjects of the last two, up to a serial number, which says what they are.
func (d *device) certify(seed []byte) (*x509.RevocationList, error) {
	rootKey, err := deriveKey(seed, "sev-snp root")
	if err != nil {
		return nil, err
	}
	askKey, err := deriveRSA(seed, "sev-snp signing key")
	if err != nil {
		return nil, err
	}
	key, err := deriveKey(seed, "sev-snp chip")
	if err != nil {
		return nil, err
	}
	root, err := certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: "emulated root", Organization: []string{attestation.EmulatorSubject}},
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, 1, rootKey.Public(), nil, rootKey)
	if err != nil {
		return nil, err
	}
	ask, err := certify(&x509.Certificate{
		Subject: amd("SEV-" + emulatedLine), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, 2, askKey.Public(), root, rootKey)
	if err != nil {
		return nil, err
	}
	extensions, err := d.extensions()
	if err != nil {
		return nil, err
	}
	vcek, err := certify(&x509.Certificate{
		Subject: amd("SEV-VCEK"), SignatureAlgorithm: x509.SHA384WithRSAPSS, ExtraExtensions: extensions,
	}, 3, key.Public(), ask, askKey)
	if err != nil {
		return nil, err
	}
	d.Key, d.Certificates = attestation.PrivateKey{Signer: key}, attestation.Certificates{vcek, ask, root}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1),
		ThisUpdate: notBefore, NextUpdate: notAfter}, root, rootKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseRevocationList(der)
}

// amd is a subject as AMD writes it.
func amd(name string) pkix.Name {
	return pkix.Name{CommonName: name, Country: []string{"US"}, Locality: []string{"Santa Clara"},
		Province:     []string{"CA"},
		Organization: []string{"Advanced Micro Devices"}, OrganizationalUnit: []string{"Engineering"},
		SerialNumber: attestation.EmulatorSubject}
}

// certify issues a certificate, a root where there is no issuer.
func certify(x *x509.Certificate, serial int64, key crypto.PublicKey, issuer *x509.Certificate,
	issuerKey crypto.Signer) (*x509.Certificate, error) {
	x.SerialNumber, x.NotBefore, x.NotAfter = big.NewInt(serial), notBefore, notAfter
	if issuer == nil {
		issuer = x
	}
	der, err := x509.CreateCertificate(rand.Reader, x, issuer, key, issuerKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// extensions are those of a VCEK (AMD 57230, table 8): the product, the TCB, the chip.
func (d *device) extensions() ([]pkix.Extension, error) {
	product, err := asn1.MarshalWithParams(emulatedProduct, "ia5")
	if err != nil {
		return nil, err
	}
	list := []pkix.Extension{{Id: kds.OidProductName1, Value: product}, {Id: kds.OidHwid, Value: d.Chip}}
	for _, x := range []struct {
		id    asn1.ObjectIdentifier
		level attestation.Whole
	}{
		{kds.OidStructVersion, 1}, {kds.OidBlSpl, d.TCB["bootloader"]}, {kds.OidTeeSpl, d.TCB["tee"]}, {kds.OidSpl4,
			0}, {kds.OidSpl5, 0},
		{kds.OidSpl6, 0}, {kds.OidSpl7, 0}, {kds.OidSnpSpl, d.TCB["snp"]}, {kds.OidUcodeSpl, d.TCB["microcode"]},
	} {
		der, err := asn1.Marshal(int(x.level))
		if err != nil {
			return nil, err
		}
		list = append(list, pkix.Extension{Id: x.id, Value: der})
	}
	return list, nil
}

// tcb is the TCB version of the levels.
func (d *device) tcb() (uint64, error) {
	for name, v := range d.TCB {
		if _, ok := levels(0)[name]; !ok || v > 255 {
			return 0, fmt.Errorf("%s: %d; levels of 0 to 255 have %v", name, v, components)
		}
	}
	v, err := kds.ComposeTCBParts(kds.TCBParts{BlSpl: uint8(d.TCB["bootloader"]), TeeSpl: uint8(d.TCB["tee"]),
		SnpSpl: uint8(d.TCB["snp"]), UcodeSpl: uint8(d.TCB["microcode"])})
	return uint64(v), err
}

// Make implements attestation.Maker.
func (d *device) Make(_ context.Context, q *attestation.Question) ([]byte, error) {
	b, err := d.report(q.Field)
	if err != nil {
		return nil, err
	}
	if err := d.sign(b); err != nil {
		return nil, err
	}
	return wrap(&tsm.Report{Provider: Provider + "\n", Out: b, Aux: d.table()}, q.Type)
}

// report fills in a report.
func (d *device) report(data []byte) ([]byte, error) {
	if len(data) != abi.ReportDataSize {
		return nil, fmt.Errorf("REPORT_DATA of %d octets; it has %d", len(data), abi.ReportDataSize)
	}
	tcb, err := d.tcb()
	if err != nil {
		return nil, err
	}
	b := make([]byte, abi.ReportSize)
	id := sha256.Sum256(d.Measurement)
	put := func(name string, v []byte) { copy((&report{octets: b}).field(name), v) }
	number := func(name string, v uint64) { put(name, binary.LittleEndian.AppendUint64(nil, v)) }
	for name, v := range map[string][]byte{
		"REPORT_DATA": data, "MEASUREMENT": d.Measurement, "HOST_DATA": d.HostData, "CHIP_ID": d.Chip,
		"REPORT_ID":    id[:],
		"CPUID_FAM_ID": {0x19}, "CPUID_MOD_ID": {1}, "CPUID_STEP": {1}, // Milan-B1
		"CURRENT_VERSION": {7, 55, 1}, "COMMITTED_VERSION": {7, 55, 1},
	} {
		put(name, v)
	}
	for name, v := range map[string]uint64{
		"VERSION": abi.ReportVersion3, "POLICY": uint64(d.Policy), "VMPL": uint64(d.VMPL),
		"SIGNATURE_ALGO": abi.SignEcdsaP384Sha384,
		"CURRENT_TCB":    tcb, "REPORTED_TCB": tcb, "COMMITTED_TCB": tcb, "LAUNCH_TCB": tcb, "PLATFORM_INFO": 1, // SMT
	} {
		number(name, v)
	}
	return b, nil
}

// sign signs a report.
func (d *device) sign(b []byte) error {
	digest := sha512.Sum384(abi.SignedComponent(b))
	der, err := d.Key.Sign(rand.Reader, digest[:], crypto.SHA384)
	if err != nil {
		return err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return err
	}
	return abi.SetSignature(sig.R, sig.S, b)
}

// table is the GUID table of certificates.
func (d *device) table() []byte {
	t := &abi.CertTable{}
	for i, guid := range []string{abi.VcekGUID, abi.AskGUID, abi.ArkGUID} {
		if i < len(d.Certificates) {
			t.Entries = append(t.Entries, abi.CertTableEntry{GUID: uuid.MustParse(guid),
				RawCert: d.Certificates[i].Raw})
		}
	}
	return t.Marshal()
}

// deriveKey makes a P-384 key out of a seed.
func deriveKey(seed []byte, use string) (*ecdsa.PrivateKey, error) {
	return attestation.DeriveKeyOn(elliptic.P384(), seed, use)
}

// bits of an emulated RSA key: AMD has 4096, which takes long.
const bits = 2048

// deriveRSA makes an RSA key out of a seed. It is for emulators only: the primes are
// the next ones after two numbers that the seed gives.
func deriveRSA(seed []byte, use string) (*rsa.PrivateKey, error) {
	const e = 65537
	one := big.NewInt(1)
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{E: e}}
	phi := big.NewInt(1)
	for i := range 2 {
		b, err := hkdf.Key(sha256.New, seed, nil, fmt.Sprintf("attls %s %d", use, i), bits/16)
		if err != nil {
			return nil, err
		}
		b[0] |= 0xc0 // so that the product has all its bits
		b[len(b)-1] |= 1
		p := new(big.Int).SetBytes(b)
		less := new(big.Int)
		for {
			less.Sub(p, one)
			if p.ProbablyPrime(10) && new(big.Int).GCD(nil, nil, less, big.NewInt(e)).Cmp(one) == 0 {
				break
			}
			p.Add(p, big.NewInt(2))
		}
		key.Primes = append(key.Primes, p)
		phi.Mul(phi, less)
	}
	key.N = new(big.Int).Mul(key.Primes[0], key.Primes[1])
	key.D = new(big.Int).ModInverse(big.NewInt(e), phi)
	key.Precompute()
	return key, key.Validate()
}
