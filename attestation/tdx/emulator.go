package tdx

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"attls/attestation"
	"attls/attestation/tsm"
	"attls/negotiation"

	"github.com/google/go-tdx-guest/abi"
	"github.com/google/go-tdx-guest/pcs"
)

// device is the section `device` of an attester's file: the TD of this machine
// (source), or an emulated one (the rest).
type device struct {
	Source       tsm.Source                    `yaml:"source,omitempty"`
	Key          attestation.PrivateKey        `yaml:"key,omitempty"`          // of the quoting enclave
	PCK          attestation.PrivateKey        `yaml:"pck,omitempty"`          // of the platform
	Certificates attestation.Certificates      `yaml:"certificates,omitempty"` // of the PCK, its issuer, the root
	Measurements map[string]attestation.Octets `yaml:"measurements,omitempty"` // fields of the body
}

// open makes an Attester of a section.
func open(_ context.Context, o attestation.DeviceOptions) (negotiation.Attester, error) {
	var d device
	if err := o.Section.Decode(&d); err != nil {
		return nil, err
	}
	if d.Source == tsm.Kernel {
		for _, member := range []string{"key", "pck", "certificates", "measurements"} {
			if o.Section.Has(member) {
				return nil, o.Section.Fail(member, "%s is a member of an emulator, and the source is %s", member,
					d.Source)
			}
		}
		c, err := tsm.Open()
		if err != nil {
			return nil, o.Section.Fail("source", "%v", err)
		}
		return attester(guest{c}), nil
	}
	for member, k := range map[string]attestation.PrivateKey{"key": d.Key, "pck": d.PCK} {
		if k.Signer == nil {
			return nil, o.Section.Fail(member,
				"a device needs the source %s, or the keys of an emulator: %s is missing", tsm.Kernel, member)
		}
		if p, ok := k.Public().(*ecdsa.PublicKey); !ok || p.Curve != elliptic.P256() {
			return nil, o.Section.Fail(member, "%s must be on P-256", member)
		}
	}
	if len(d.Certificates) != 3 || !d.PCK.Public().(*ecdsa.PublicKey).Equal(d.Certificates[0].PublicKey) {
		return nil, o.Section.Fail("certificates", "certificates are that of pck, that of its issuer, and the root")
	}
	for name, v := range d.Measurements {
		if n := measured[name]; n == 0 || len(v) != n {
			return nil, o.Section.Fail("measurements", "measurements: %s has %d octets, and %d are given", name, n,
				len(v))
		}
	}
	return attester(&d), nil
}

func attester(m attestation.Maker) negotiation.Attester {
	f := Format()
	return &attestation.Root{Format: &f, Maker: m}
}

// guest asks the kernel for quotes.
type guest struct{ client tsm.Client }

// Make implements attestation.Maker.
func (g guest) Make(ctx context.Context, q *attestation.Question) ([]byte, error) {
	r, err := tsm.Get(ctx, g.client, &tsm.Request{Provider: Provider, Challenge: q.Field})
	if err != nil {
		return nil, err
	}
	return r.Encode(q.Type)
}

// Validity of what an emulator signs. It is fixed, so that two programs make the same
// certificates of one seed.
var (
	notBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2070, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Names that the library wants.
const (
	nameRoot     = "Intel SGX Root CA"
	namePlatform = "Intel SGX PCK Platform CA"
	namePCK      = "Intel SGX PCK Certificate"
	nameTCB      = "Intel SGX TCB Signing"
)

// What an emulated platform is like.
var (
	fmspc        = []byte{0xe0, 0, 0, 0, 0, 0}
	pceID        = []byte{0, 0}
	teeTCB       = []byte{5, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	emulatedXFAM = binary.LittleEndian.AppendUint64(nil, 3)     // x87 and SSE
	emulatedBits = binary.LittleEndian.AppendUint64(nil, 1<<28) // SEPT_VE_DISABLE
)

const (
	sgxSVN     = 7
	pceSVN     = 13
	qeSVN      = 8
	qeProduct  = 2
	evaluation = 17
)

// authority are the keys and certificates of an emulator.
type authority struct {
	rootKey, platformKey, pckKey, tcbKey, quotingKey *ecdsa.PrivateKey
	root, platform, pck, tcb                         *x509.Certificate
	signer                                           []byte // MRSIGNER of the quoting enclave
}

// emulate makes a TD out of a seed, with its own collateral.
func emulate(_ context.Context, o attestation.EmulatorOptions) (*attestation.Emulation, error) {
	a, err := newAuthority(o.Seed)
	if err != nil {
		return nil, err
	}
	d := &device{Key: attestation.PrivateKey{Signer: a.quotingKey}, PCK: attestation.PrivateKey{Signer: a.pckKey},
		Certificates: attestation.Certificates{a.pck, a.platform, a.root},
		Measurements: map[string]attestation.Octets{"tdattributes": emulatedBits, "xfam": emulatedXFAM}}
	p := Policy{TrustAnchors: attestation.Certificates{a.root}, Instances: []attestation.Octets{ppid(o.Seed)},
		Measurements: map[string][]attestation.Octets{},
		MinimumTCB:   map[string]attestation.Whole{"evaluation": evaluation}}
	for _, name := range []string{"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"} {
		v := sha512.Sum384([]byte("emulated " + name))
		d.Measurements[name], p.Measurements[name] = v[:], []attestation.Octets{v[:]}
	}
	if p.Collateral, err = a.collateral(answers{}); err != nil {
		return nil, err
	}
	return &attestation.Emulation{Attester: attester(d), Device: d, Policy: p}, nil
}

// ppid is the identifier of the platform.
func ppid(seed []byte) []byte {
	id := sha256.Sum256(append([]byte("ppid"), seed...))
	return id[:sizePPID]
}

// newAuthority makes keys and certificates. The library fixes the common names.
func newAuthority(seed []byte) (*authority, error) {
	a := &authority{signer: bytes.Repeat([]byte{0xe0}, 32)}
	for use, to := range map[string]**ecdsa.PrivateKey{"root": &a.rootKey, "platform": &a.platformKey, "pck": &a.pckKey,
		"tcb": &a.tcbKey, "quoting": &a.quotingKey} {
		k, err := attestation.DeriveKey(seed, "tdx "+use)
		if err != nil {
			return nil, err
		}
		*to = k
	}
	extension, err := sgxExtension(ppid(seed))
	if err != nil {
		return nil, err
	}
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: subject(name), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	}
	if a.root, err = certify(ca(nameRoot), 1, a.rootKey, nil, a.rootKey); err != nil {
		return nil, err
	}
	if a.platform, err = certify(ca(namePlatform), 2, a.platformKey, a.root, a.rootKey); err != nil {
		return nil, err
	}
	if a.pck, err = certify(pckTemplate(extension), 3, a.pckKey, a.platform, a.platformKey); err != nil {
		return nil, err
	}
	a.tcb, err = certify(&x509.Certificate{Subject: subject(nameTCB), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature}, 4, a.tcbKey, a.root, a.rootKey)
	return a, err
}

func subject(name string) pkix.Name {
	return pkix.Name{CommonName: name, Organization: []string{attestation.EmulatorSubject}}
}

// pckTemplate has the six extensions that the library wants.
func pckTemplate(extension []byte) *x509.Certificate {
	return &x509.Certificate{Subject: subject(namePCK), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, SubjectKeyId: []byte{3},
		ExtraExtensions: []pkix.Extension{{Id: pcs.OidSgxExtension, Value: extension}}}
}

// certify issues a certificate, a root where there is no issuer.
func certify(x *x509.Certificate, serial int64, key *ecdsa.PrivateKey, issuer *x509.Certificate,
	issuerKey *ecdsa.PrivateKey) (*x509.Certificate, error) {
	x.SerialNumber, x.SignatureAlgorithm = big.NewInt(serial), x509.ECDSAWithSHA256
	x.CRLDistributionPoints = []string{"https://emulator.invalid/crl"}
	if x.NotAfter.IsZero() {
		x.NotBefore, x.NotAfter = notBefore, notAfter
	}
	if issuer == nil {
		issuer = x
	}
	der, err := x509.CreateCertificate(rand.Reader, x, issuer, key.Public(), issuerKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// sgxExtension is what a PCK certificate says of its platform: identifier, TCB, kind.
func sgxExtension(ppid []byte) ([]byte, error) {
	type entry struct {
		ID    asn1.ObjectIdentifier
		Value any
	}
	var levels []entry
	for i := range 16 {
		levels = append(levels, entry{append(copied(pcs.OidTCB), i+1), sgxSVN})
	}
	levels = append(levels, entry{pcs.OidPCESvn, pceSVN}, entry{pcs.OidCPUSvn, bytes.Repeat([]byte{sgxSVN}, 16)})
	return asn1.Marshal([]entry{
		{pcs.OidPPID, ppid}, {pcs.OidTCB, levels}, {pcs.OidPCEID, pceID}, {pcs.OidFMSPC, fmspc},
	})
}

// copied copies an identifier.
func copied(id asn1.ObjectIdentifier) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{}, id...)
}

// answers are what collateral says; the zero value is collateral by which the emulator
// is up to date.
type answers struct {
	status, qeStatus string
	issued, next     time.Time
	revoked          map[string]int64 // serial numbers by the issuer of the CRL
	signer           []byte           // MRSIGNER of the quoting enclave
	module           string           // MRSIGNER of SEAM modules of version 1, in hexadecimal; empty: there are none
}

// collateral makes and signs collateral.
func (a *authority) collateral(w answers) (Collateral, error) {
	if w.issued.IsZero() {
		w.issued = notBefore
	}
	if w.next.IsZero() {
		w.next = notAfter
	}
	if w.signer == nil {
		w.signer = a.signer
	}
	upToDate := string(pcs.TcbComponentStatusUpToDate)
	status := func(s string) string {
		if s == "" {
			return upToDate
		}
		return s
	}
	components := func(svn func(int) byte) (list []map[string]any) {
		for i := range 16 {
			list = append(list, map[string]any{"svn": svn(i)})
		}
		return list
	}
	level := func(tcb map[string]any, s string) []map[string]any {
		return []map[string]any{{"tcb": tcb, "tcbDate": w.issued, "tcbStatus": status(s)}}
	}
	zeros := func(n int) string { return strings.Repeat("00", n) }
	common := func(id string, version int) map[string]any {
		return map[string]any{"id": id, "version": version, "issueDate": w.issued, "nextUpdate": w.next,
			"tcbEvaluationDataNumber": evaluation}
	}
	info := common("TDX", 3)
	info["fmspc"], info["pceId"], info["tcbType"] = hex.EncodeToString(fmspc), hex.EncodeToString(pceID), 0
	info["tdxModule"] = map[string]any{"mrsigner": zeros(48), "attributes": zeros(8),
		"attributesMask": strings.Repeat("ff", 8)}
	info["tcbLevels"] = level(map[string]any{"pcesvn": pceSVN,
		"sgxtcbcomponents": components(func(int) byte { return sgxSVN }),
		"tdxtcbcomponents": components(func(i int) byte { return teeTCB[i] })}, w.status)
	if w.module != "" {
		info["tdxModuleIdentities"] = []map[string]any{{"id": "TDX_01", "mrsigner": w.module, "attributes": zeros(8),
			"attributesMask": strings.Repeat("ff", 8), "tcbLevels": level(map[string]any{"isvsvn": teeTCB[0]}, "")}}
	}
	identity := common("TD_QE", 2)
	identity["mrsigner"], identity["isvprodid"] = hex.EncodeToString(w.signer), qeProduct
	identity["miscselect"], identity["miscselectMask"] = zeros(4), "ffffffff"
	identity["attributes"], identity["attributesMask"] = zeros(16), strings.Repeat("ff", 16)
	identity["tcbLevels"] = level(map[string]any{"isvsvn": qeSVN}, w.qeStatus)
	tcb, err := a.signed("tcbInfo", info)
	if err != nil {
		return Collateral{}, err
	}
	qe, err := a.signed("enclaveIdentity", identity)
	if err != nil {
		return Collateral{}, err
	}
	c := Collateral{TCBInfo: []string{tcb}, QEIdentity: qe, IssuerChain: attestation.Certificates{a.tcb, a.root}}
	for _, x := range []struct {
		issuer *x509.Certificate
		key    *ecdsa.PrivateKey
	}{{a.root, a.rootKey}, {a.platform, a.platformKey}} {
		list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: w.issued, NextUpdate: w.next}
		if n, ok := w.revoked[x.issuer.Subject.CommonName]; ok {
			list.RevokedCertificateEntries = []x509.RevocationListEntry{
				{SerialNumber: big.NewInt(n), RevocationTime: w.issued},
			}
		}
		der, err := x509.CreateRevocationList(rand.Reader, list, x.issuer, x.key)
		if err != nil {
			return Collateral{}, err
		}
		crls, err := attestation.ParseCRLs(der)
		if err != nil {
			return Collateral{}, err
		}
		c.CRLs = append(c.CRLs, crls...)
	}
	return c, nil
}

// signed is an answer of the service.
func (a *authority) signed(name string, body map[string]any) (string, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	signature, err := sign(a.tcbKey, b)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`{"%s":%s,"signature":"%x"}`, name, b, signature), nil
}

// sign makes a signature of r and s with 32 octets each.
func sign(key crypto.Signer, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	der, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, err
	}
	return append(sig.R.FillBytes(make([]byte, 32)), sig.S.FillBytes(make([]byte, 32))...), nil
}

// Make implements attestation.Maker.
func (d *device) Make(_ context.Context, q *attestation.Question) ([]byte, error) {
	if len(q.Field) != abi.ReportDataSize {
		return nil, fmt.Errorf("REPORTDATA of %d octets; it has %d", len(q.Field), abi.ReportDataSize)
	}
	b, err := d.quote(d.body(q.Field), d.report())
	if err != nil {
		return nil, err
	}
	return (&tsm.Report{Provider: Provider + "\n", Out: b}).Encode(q.Type)
}

// body fills in the header and the body of a quote.
func (d *device) body(data []byte) []byte {
	b := make([]byte, 632)
	binary.LittleEndian.PutUint16(b, version)
	binary.LittleEndian.PutUint16(b[2:], abi.AttestationKeyType)
	binary.LittleEndian.PutUint32(b[4:], abi.TeeTDX)
	for _, p := range fixed {
		if v, ok := d.Measurements[strings.ToLower(p.name)]; ok {
			copy(b[p.start:p.end], v)
		}
		switch p.name {
		case "TEE_TCB_SVN":
			copy(b[p.start:p.end], teeTCB)
		case "REPORTDATA":
			copy(b[p.start:p.end], data)
		}
	}
	return b
}

// report fills in the report on the quoting enclave, up to REPORTDATA.
func (d *device) report() []byte {
	b := make([]byte, 384)
	copy(b[128:160], bytes.Repeat([]byte{0xe0}, 32))
	binary.LittleEndian.PutUint16(b[256:], qeProduct)
	binary.LittleEndian.PutUint16(b[258:], qeSVN)
	return b
}

// authentication are the data that the quoting enclave binds to its key.
var authentication = []byte(attestation.EmulatorSubject)

// quote signs a quote.
func (d *device) quote(body, report []byte) ([]byte, error) {
	public, err := d.Key.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		return nil, err
	}
	public = public[1:] // without the octet that says how the point is written
	binding := sha256.Sum256(append(bytes.Clone(public), authentication...))
	copy(report[320:352], binding[:])
	return d.assemble(body, report, public)
}

// assemble signs the parts and puts them together.
func (d *device) assemble(body, report, public []byte) ([]byte, error) {
	signature, err := sign(d.Key.Signer, body)
	if err != nil {
		return nil, err
	}
	endorsed, err := sign(d.PCK.Signer, report)
	if err != nil {
		return nil, err
	}
	var chain []byte
	for _, x := range d.Certificates {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Raw})...)
	}
	inner := append(bytes.Clone(report), endorsed...)
	inner = binary.LittleEndian.AppendUint16(inner, uint16(len(authentication)))
	inner = append(inner, authentication...)
	inner = binary.LittleEndian.AppendUint16(inner, 5) // a PCK chain as PEM
	inner = binary.LittleEndian.AppendUint32(inner, uint32(len(chain)))
	inner = append(inner, chain...)
	data := append(signature, public...)
	data = binary.LittleEndian.AppendUint16(data, 6) // a report on the quoting enclave
	data = binary.LittleEndian.AppendUint32(data, uint32(len(inner)))
	data = append(data, inner...)
	out := binary.LittleEndian.AppendUint32(bytes.Clone(body), uint32(len(data)))
	return append(out, data...), nil
}
