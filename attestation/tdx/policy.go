package tdx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/attestation"

	"github.com/google/go-tdx-guest/pcs"
	"github.com/google/go-tdx-guest/validate"
	"github.com/google/go-tdx-guest/verify"
	"github.com/veraison/ear"
)

// Policy says which TDs a relying party trusts. The zero value trusts none.
type Policy struct {
	// TrustAnchors are the roots of the chain to the quoting enclave: that of Intel,
	// or of an emulator. None here and in VendorRoots: no quote is believed.
	TrustAnchors attestation.Certificates `yaml:"trust_anchors,omitempty"`
	// VendorRoots names roots that are known here: intel-sgx.
	VendorRoots []string `yaml:"vendor_roots,omitempty"`
	// Collateral is what the TCB and the quoting enclave are appraised by. Without it
	// neither is, any enclave on a genuine platform could have made the quote, and no
	// verdict is affirming.
	Collateral Collateral `yaml:"collateral,omitempty"`
	// CollateralFiles are files with collateral, each of one kind, which is told by
	// what is in it: a TCB info or a QE identity (JSON, as Intel's service answers), an
	// issuer chain (PEM), CRLs (DER or PEM). They are read with the policy.
	CollateralFiles []string `yaml:"collateral_files,omitempty"`
	// Instances are the PPIDs of 16 octets that are accepted; empty: any.
	Instances []attestation.Octets `yaml:"instances,omitempty"`
	// Measurements are the reference values: mrtd, and where they matter rtmr0 to
	// rtmr3, mrconfigid, mrowner, mrownerconfig, mrseam, mrsignerseam, tdattributes and
	// xfam. Without mrtd the TD's image is not appraised, so no verdict is affirming.
	Measurements map[string][]attestation.Octets `yaml:"measurements,omitempty"`
	// MinimumTCB is the least security version of tdx_module (TEE_TCB_SVN, octet 0),
	// qe (ISVSVN) and pce (PCESVN), and the least evaluation number (evaluation) of
	// collateral: older collateral is genuine, but says less.
	MinimumTCB map[string]attestation.Whole `yaml:"minimum_tcb,omitempty"`
	// Debug is whether TDs that the host may debug are accepted.
	Debug attestation.Debugging `yaml:"debug,omitempty"`
	// UnattestedKey is for profiles whose binder does not cover the key of the
	// handshake: quotes have no field for one.
	UnattestedKey attestation.UnattestedKey `yaml:"unattested_key,omitempty"`
}

// Collateral is what Intel's provisioning certification service says of platforms.
type Collateral struct {
	// TCBInfo are answers on TCB info, one for each kind of platform (FMSPC), as JSON.
	TCBInfo []string `yaml:"tcb_info,omitempty"`
	// QEIdentity is the answer on the identity of the quoting enclave, as JSON.
	QEIdentity string `yaml:"qe_identity,omitempty"`
	// IssuerChain is the certificate that signs both, and its root.
	IssuerChain attestation.Certificates `yaml:"issuer_chain,omitempty"`
	// CRLs are those of the root and of the authority of PCK certificates. Without
	// them revocation is not checked, and no verdict is affirming.
	CRLs attestation.CRLs `yaml:"crls,omitempty"`
}

// vendorRoots are SHA-256 fingerprints of roots. The certificates come with quotes.
var vendorRoots = map[string]string{"intel-sgx": "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"}

// measured are the fields that have reference values, with their lengths in octets.
var measured = map[string]int{
	"mrtd": 48, "rtmr0": 48, "rtmr1": 48, "rtmr2": 48, "rtmr3": 48, "mrconfigid": 48, "mrowner": 48,
	"mrownerconfig": 48,
	"mrseam":        48, "mrsignerseam": 48, "tdattributes": 8, "xfam": 8,
}

// components have a security version.
var components = []string{"tdx_module", "qe", "pce", "evaluation"}

const sizePPID = 16

// maxCollateral is the longest file of collateral, in octets. A CRL of PCK
// certificates has up to some hundred thousand.
const maxCollateral = 1 << 22

// policyOf reads the section of a verifier's file.
func policyOf(s *attestation.Section) (attestation.Policy, error) {
	if s == nil {
		return nil, nil
	}
	var p Policy
	if err := s.Decode(&p); err != nil {
		return nil, err
	}
	if len(p.TrustAnchors) == 0 && len(p.VendorRoots) == 0 {
		return nil, s.Fail("trust_anchors", "there are no trust anchors, so no quote would be accepted")
	}
	for _, name := range p.VendorRoots {
		if vendorRoots[name] == "" {
			return nil, s.Fail("vendor_roots", "there is no %q; there is intel-sgx", name)
		}
	}
	for _, id := range p.Instances {
		if len(id) != sizePPID {
			return nil, s.Fail("instances", "a PPID of %d octets; it has %d", len(id), sizePPID)
		}
	}
	for name := range p.MinimumTCB {
		if !slices.Contains(components, name) {
			return nil, s.Fail("minimum_tcb", "minimum_tcb: there is no %q; there are %s", name,
				strings.Join(components, ", "))
		}
	}
	if err := attestation.CheckMeasurements(s, "measurements", p.Measurements, measured); err != nil {
		return nil, err
	}
	for _, name := range p.CollateralFiles {
		b, err := s.ReadFile("collateral_files", name, maxCollateral)
		if err == nil {
			err = p.Collateral.add(b)
		}
		if err != nil {
			return nil, s.Fail("collateral_files", "%s: %v", name, err)
		}
	}
	p.CollateralFiles = nil
	if err := p.Collateral.check(); err != nil {
		return nil, s.Fail("collateral", "collateral: %v", err)
	}
	return p, nil
}

// add puts the content of a file where it belongs.
func (c *Collateral) add(b []byte) error {
	text := bytes.TrimSpace(b)
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		if _, err := parseTCBInfo(string(text)); err == nil {
			c.TCBInfo = append(c.TCBInfo, string(text))
			return nil
		}
		if _, err := parseQEIdentity(string(text)); err != nil {
			return fmt.Errorf("neither a TCB info nor a QE identity: %w", err)
		}
		if c.QEIdentity != "" {
			return fmt.Errorf("a second QE identity")
		}
		c.QEIdentity = string(text)
	case bytes.HasPrefix(text, []byte("-----BEGIN CERTIFICATE-----")):
		if c.IssuerChain != nil {
			return fmt.Errorf("a second issuer chain")
		}
		for rest := text; len(rest) > 0; rest = bytes.TrimSpace(rest) {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				return fmt.Errorf("a block of PEM that does not end")
			}
			x, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return err
			}
			c.IssuerChain = append(c.IssuerChain, x)
		}
	default:
		list, err := attestation.ParseCRLs(b)
		if err != nil {
			return err
		}
		c.CRLs = append(c.CRLs, list...)
	}
	return nil
}

// given reports whether the TCB can be appraised.
func (c *Collateral) given() bool {
	return len(c.TCBInfo) > 0 || c.QEIdentity != "" || len(c.IssuerChain) > 0
}

// check says what is missing or cannot be read.
func (c *Collateral) check() error {
	if !c.given() {
		return nil
	}
	if len(c.TCBInfo) == 0 || c.QEIdentity == "" || len(c.IssuerChain) != 2 {
		return fmt.Errorf("TCB info (%d), QE identity and an issuer chain of 2 certificates (%d) belong together",
			len(c.TCBInfo), len(c.IssuerChain))
	}
	for i, text := range c.TCBInfo {
		if _, err := parseTCBInfo(text); err != nil {
			return fmt.Errorf("TCB info %d: %w", i+1, err)
		}
	}
	if _, err := parseQEIdentity(c.QEIdentity); err != nil {
		return fmt.Errorf("the QE identity: %w", err)
	}
	return nil
}

// tcbInfo and qeIdentity are the two answers, with the octets that are signed.
type (
	tcbInfo struct {
		pcs.TcbInfo
		body, signature []byte
	}
	qeIdentity struct {
		pcs.EnclaveIdentity
		body, signature []byte
	}
)

func parseTCBInfo(text string) (*tcbInfo, error) {
	var v struct {
		Body      json.RawMessage `json:"tcbInfo"`
		Signature string          `json:"signature"`
	}
	if err := attestation.ReadJSON([]byte(text), &v); err != nil {
		return nil, err
	}
	x := &tcbInfo{body: v.Body, signature: octetsOf(v.Signature)}
	return x, json.Unmarshal(v.Body, &x.TcbInfo)
}

func parseQEIdentity(text string) (*qeIdentity, error) {
	var v struct {
		Body      json.RawMessage `json:"enclaveIdentity"`
		Signature string          `json:"signature"`
	}
	if err := attestation.ReadJSON([]byte(text), &v); err != nil {
		return nil, err
	}
	x := &qeIdentity{body: v.Body, signature: octetsOf(v.Signature)}
	return x, json.Unmarshal(v.Body, &x.EnclaveIdentity)
}

// answer writes what was read strictly: the library does not look at the case of
// names, nor whether one appears twice. The octets of the body are those of the text,
// which are signed.
func answer(name string, body, signature []byte) []byte {
	return fmt.Appendf(nil, `{"%s":%s,"signature":"%x"}`, name, body, signature)
}

// octetsOf reads a signature in hexadecimal; nothing where it is none.
func octetsOf(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// Judge implements attestation.Policy.
func (p Policy) Judge(_ context.Context, a *attestation.Appraisal) {
	q, ok := a.Reading.Statement.(*quote)
	if !ok {
		a.Check(attestation.CheckTokens, attestation.Refuse(rule, "a reading of type %T", a.Reading.Statement), "")
		return
	}
	a.AcceptUnattested = bool(p.UnattestedKey)
	a.Vector.InstanceIdentity = ear.CryptoValidationFailedClaim
	a.Vector.Hardware = ear.UnrecognizedHardwareClaim
	a.Vector.Configuration = ear.UnsupportableConfigClaim
	a.Vector.Executables = ear.ContraindicatedRuntimeClaim
	if a.Check(attestation.CheckPlatform, p.signed(a, q),
		"the quote is signed by a quoting enclave that a trust anchor vouches for") {
		p.platform(a, q)
	}
	p.guest(a, q)
}

// roots are the trust anchors. The pool is never nil: then the library would trust
// Intel.
func (p *Policy) roots(q *quote) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, x := range p.TrustAnchors {
		pool.AddCert(x)
	}
	fingerprint := sha256.Sum256(q.chain.root.Raw)
	for _, name := range p.VendorRoots {
		if vendorRoots[name] == hex.EncodeToString(fingerprint[:]) {
			pool.AddCert(q.chain.root)
		}
	}
	return pool
}

// signed checks the signatures and the chain to a trust anchor at the time of the
// appraisal.
func (p *Policy) signed(a *attestation.Appraisal, q *quote) *attls.Error {
	if err := verify.TdxQuote(q.proto, &verify.Options{Getter: collected{}, Now: a.At,
		TrustedRoots: p.roots(q)}); err != nil {
		return attestation.Refuse(rule, "the quote does not verify under %d trust anchors: %v",
			len(p.TrustAnchors)+len(p.VendorRoots), err)
	}
	for _, x := range []*x509.Certificate{q.chain.pck, q.chain.intermediate, q.chain.root} {
		a.Ends(x.NotAfter)
	}
	return nil
}

// platform judges the platform, its TCB and its quoting enclave.
func (p *Policy) platform(a *attestation.Appraisal, q *quote) {
	a.Vector.InstanceIdentity = ear.UnrecognizedInstanceClaim
	if a.Check("instance", p.instance(q), "the platform has the PPID "+q.pck.PPID) {
		a.Vector.InstanceIdentity = ear.TrustworthyInstanceClaim
	}
	good := a.Check("minimum-tcb", p.minimum(q), "no security version is below the policy's minimum")
	if !p.Collateral.given() {
		a.Unchecked("tcb", "TCB and QE not appraised: the policy has no collateral")
		good = false
	} else {
		good = a.Check("tcb", p.tcb(a, q), "TCB and quoting enclave are up to date") && good
	}
	if len(p.Collateral.CRLs) == 0 {
		a.Unchecked("revocation", "the policy has no CRLs")
	} else if a.Check("revocation", p.revocation(a, q), "no certificate is revoked") && good {
		a.Vector.Hardware = ear.GenuineHardwareClaim
	}
}

func (p *Policy) instance(q *quote) *attls.Error {
	if len(p.Instances) > 0 && !slices.ContainsFunc(p.Instances,
		func(x attestation.Octets) bool { return hex.EncodeToString(x) == q.pck.PPID }) {
		return attestation.Refuse(rule, "the policy does not list the platform %s", q.pck.PPID).Under("PPID")
	}
	return nil
}

// minimum compares the security versions that the quote itself says.
func (p *Policy) minimum(q *quote) *attls.Error {
	for name, v := range map[string]uint32{
		"tdx_module": uint32(q.field("TEE_TCB_SVN")[0]),
		"qe":         uint32(binary.LittleEndian.Uint16(q.field("qe_report.ISVSVN"))), "pce": uint32(q.pck.TCB.PCESvn),
	} {
		if v < uint32(p.MinimumTCB[name]) {
			return attestation.Refuse(rule, "%s has the security version %d; the policy wants at least %d", name, v,
				p.MinimumTCB[name])
		}
	}
	return nil
}

// tcb appraises the TCB and the quoting enclave by the collateral.
func (p *Policy) tcb(a *attestation.Appraisal, q *quote) *attls.Error {
	const rule = "Intel PCS API version 4"
	if err := p.Collateral.check(); err != nil {
		return attestation.Refuse(rule, "%v", err)
	}
	var info *tcbInfo
	for _, text := range p.Collateral.TCBInfo {
		if x, err := parseTCBInfo(text); err == nil && x.Fmspc == q.pck.FMSPC {
			info = x
		}
	}
	if info == nil {
		return attestation.Refuse(rule, "there is no TCB info for platforms with the FMSPC %s", q.pck.FMSPC)
	}
	identity, err := parseQEIdentity(p.Collateral.QEIdentity)
	if err != nil {
		return attestation.Refuse(rule, "%v", err)
	}
	for _, x := range []struct {
		name         string
		issued, next time.Time
		number       int
	}{
		{"TCB info", info.IssueDate, info.NextUpdate, info.TcbEvaluationDataNumber},
		{"QE identity", identity.IssueDate, identity.NextUpdate, identity.TcbEvaluationDataNumber},
	} {
		if x.issued.After(a.At.Add(a.Skew)) || !a.At.Before(x.next) {
			return attestation.Refuse(rule, "the %s holds from %v to %v", x.name, x.issued, x.next)
		}
		if x.number < int(p.MinimumTCB["evaluation"]) {
			return attestation.Refuse(rule, "the %s has the evaluation number %d; the policy wants at least %d", x.name,
				x.number, p.MinimumTCB["evaluation"])
		}
		a.Ends(x.next)
	}
	getter := collected{info: info, identity: identity, chain: p.Collateral.IssuerChain}
	if err := verify.TdxQuote(q.proto, &verify.Options{GetCollateral: true, Getter: getter, Now: a.At,
		TrustedRoots: p.roots(q)}); err != nil {
		return attestation.Refuse(rule, "%v", err)
	}
	for _, x := range p.Collateral.IssuerChain {
		a.Ends(x.NotAfter)
	}
	return module(info, q)
}

// module compares the SEAM module with its own identity, which TCB info has for
// versions of the module above 0. The library looks only at its security version.
func module(info *tcbInfo, q *quote) *attls.Error {
	major := q.field("TEE_TCB_SVN")[1]
	if major == 0 {
		return nil
	}
	const rule = "Intel PCS API version 4"
	for _, x := range info.TdxModuleIdentities {
		if x.ID != fmt.Sprintf("TDX_%02x", major) {
			continue
		}
		masked := bytes.Clone(q.field("SEAMATTRIBUTES"))
		for i := range min(len(masked), len(x.AttributesMask.Bytes)) {
			masked[i] &= x.AttributesMask.Bytes[i]
		}
		if !bytes.Equal(x.Mrsigner.Bytes, q.field("MRSIGNERSEAM")) || !bytes.Equal(x.Attributes.Bytes, masked) {
			return attestation.Refuse(rule, "the signer %x or the attributes %x of the SEAM module are not those of %s",
				q.field("MRSIGNERSEAM"), q.field("SEAMATTRIBUTES"), x.ID).Under("MRSIGNERSEAM")
		}
		return nil
	}
	return attestation.Refuse(rule, "the TCB info does not know a SEAM module of version %d",
		major).Under("TEE_TCB_SVN")
}

// revocation looks for the certificates in the CRLs of their issuers.
func (p *Policy) revocation(a *attestation.Appraisal, q *quote) *attls.Error {
	type pair struct{ x, issuer *x509.Certificate }
	list := []pair{{q.chain.pck, q.chain.intermediate}, {q.chain.intermediate, q.chain.root}}
	if len(p.Collateral.IssuerChain) == 2 {
		list = append(list, pair{p.Collateral.IssuerChain[0], p.Collateral.IssuerChain[1]})
	}
	for _, x := range list {
		until, err := p.Collateral.CRLs.Check(x.x, x.issuer, a.At, a.Skew)
		if err != nil {
			return err
		}
		a.Ends(until)
	}
	return nil
}

// collected is in place of a connection to Intel's service: it has the answers of the
// policy.
type collected struct {
	info     *tcbInfo
	identity *qeIdentity
	chain    attestation.Certificates
}

// Get implements trust.HTTPSGetter.
func (c collected) Get(address string) (map[string][]string, []byte, error) {
	var chain bytes.Buffer
	for _, x := range c.chain {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: x.Raw}); err != nil {
			return nil, nil, err
		}
	}
	header := []string{url.QueryEscape(chain.String())}
	switch {
	case c.info != nil && address == pcs.TcbInfoURL(c.info.Fmspc):
		return map[string][]string{headerTCBInfo: header}, answer("tcbInfo", c.info.body, c.info.signature), nil
	case c.identity != nil && address == pcs.QeIdentityURL():
		return map[string][]string{headerIdentity: header},
			answer("enclaveIdentity", c.identity.body, c.identity.signature), nil
	}
	return nil, nil, fmt.Errorf("judging does not go online, and the policy does not have %s", address)
}

// guest judges the TD: what it allows, and what runs.
func (p *Policy) guest(a *attestation.Appraisal, q *quote) {
	debug := a.Check("debug", p.debug(q), "the host cannot debug the TD, or the policy accepts it")
	if a.Check("attributes", p.attributes(q), attributesText(binary.LittleEndian.Uint64(q.field("TDATTRIBUTES")))) &&
		debug {
		a.Vector.Configuration = ear.ApprovedConfigClaim
	}
	got := map[string][]byte{}
	for name := range measured {
		got[name] = q.field(strings.ToUpper(name))
	}
	if len(p.Measurements["mrtd"]) == 0 {
		a.Vector.Executables = ear.UnrecognizedRuntimeClaim
		a.Unchecked(attestation.CheckReference, "the policy has no reference value of mrtd")
	}
	if len(p.Measurements) > 0 && a.Check(attestation.CheckReference,
		attestation.CompareMeasurements(rule, p.Measurements, got), "the listed measurements have reference values") &&
		len(p.Measurements["mrtd"]) > 0 {
		a.Vector.Executables = ear.ApprovedRuntimeClaim
	}
}

// debug looks at TDATTRIBUTES: bits 0 to 7 (TUD) make a TD debuggable.
func (p *Policy) debug(q *quote) *attls.Error {
	if v := q.field("TDATTRIBUTES")[0]; v != 0 && !bool(p.Debug) {
		return attestation.Refuse(rule, "the host may debug the TD (bits 0 to 7 are %#02x)", v).Under("TDATTRIBUTES")
	}
	return nil
}

// attributes has the library look for bits that no known module sets.
func (p *Policy) attributes(q *quote) *attls.Error {
	// REPORTDATA is compared by the caller, with the challenge.
	o := &validate.Options{TdQuoteBodyOptions: validate.TdQuoteBodyOptions{ReportData: q.field("REPORTDATA")}}
	if err := validate.TdxQuote(q.proto, o); err != nil {
		return attestation.Refuse(rule, "%v", err)
	}
	return nil
}
