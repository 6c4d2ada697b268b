package snp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"attls"
	"attls/attestation"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	"github.com/google/go-sev-guest/proto/sevsnp"
	"github.com/google/go-sev-guest/validate"
	"github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"
	"github.com/veraison/ear"
)

// Policy says which SEV-SNP guests a relying party trusts. The zero value trusts none.
type Policy struct {
	// TrustAnchors are the roots of the chain to the key that signs reports: AMD root
	// keys (ARK), or that of an emulator. None here and in VendorRoots: no report is
	// believed.
	TrustAnchors attestation.Certificates `yaml:"trust_anchors,omitempty"`
	// VendorRoots names roots of AMD that the library holds: amd-milan, amd-genoa.
	VendorRoots []string `yaml:"vendor_roots,omitempty"`
	// Certificates are those between a trust anchor and a report (VCEK, VLEK, ASK,
	// ASVK), for reports that come without.
	Certificates attestation.Certificates `yaml:"certificates,omitempty"`
	// CertificateFiles are files with such certificates, in PEM. They are read with the
	// policy.
	CertificateFiles []string `yaml:"certificate_files,omitempty"`
	// CRLs are those of the ARKs. Without one, revocation is not checked and no
	// verdict is affirming.
	CRLs attestation.CRLs `yaml:"crls,omitempty"`
	// CRLFiles are files with such CRLs, in DER or PEM. They are read with the policy.
	CRLFiles []string `yaml:"crl_files,omitempty"`
	// KeyProvenance lists the kinds of keys that may sign a report: vcek (of a chip),
	// vlek (of a cloud provider). Empty: vcek.
	KeyProvenance []string `yaml:"key_provenance,omitempty"`
	// Instances are the CHIP_IDs of 64 octets that are accepted; empty: any.
	Instances []attestation.Octets `yaml:"instances,omitempty"`
	// Measurements are the reference values: measurement, and where they matter
	// host_data, family_id, image_id, id_key_digest and author_key_digest. Without
	// measurement the guest's image is not appraised, so no verdict is affirming.
	Measurements map[string][]attestation.Octets `yaml:"measurements,omitempty"`
	// MinimumTCB is the least security patch level of bootloader, tee, snp and
	// microcode that REPORTED_TCB must have. Empty: it is not appraised, so no verdict
	// is affirming.
	MinimumTCB map[string]attestation.Whole `yaml:"minimum_tcb,omitempty"`
	// VMPL is the highest VMPL that may ask for a report; nil: 0.
	VMPL *attestation.Whole `yaml:"vmpl,omitempty"`
	// Debug is whether guests that the host may debug are accepted.
	Debug attestation.Debugging `yaml:"debug,omitempty"`
	// GuestPolicy lists what a guest's policy may allow besides: smt,
	// migration-agent, cxl. Empty: smt.
	GuestPolicy []string `yaml:"guest_policy,omitempty"`
	// UnattestedKey is for profiles whose binder does not cover the key of the
	// handshake: reports have no field for one.
	UnattestedKey attestation.UnattestedKey `yaml:"unattested_key,omitempty"`
}

// vendorRoots are the roots that the library holds, by our names. It reads no
// certificates of later product lines.
var vendorRoots = map[string]string{"amd-milan": "Milan", "amd-genoa": "Genoa"}

// judged are the product lines whose reports are judged.
func judged() []string { return slices.Sorted(maps.Values(vendorRoots)) }

// Members that name files.
const (
	memberCertificates = "certificate_files"
	memberCRLs         = "crl_files"
)

// lines are the product lines, by which the library looks up roots.
var lines = []string{"Milan", "Genoa", "Turin"}

// Kinds of keys, in the words of a policy.
var provenances = map[abi.ReportSigner]string{abi.VcekReportSigner: "vcek", abi.VlekReportSigner: "vlek"}

// permissions are what a guest's policy may allow.
var permissions = []string{"smt", "migration-agent", "cxl"}

// measured are the fields that have reference values, with their lengths in octets.
var measured = map[string]int{
	"measurement": abi.MeasurementSize, "host_data": abi.HostDataSize, "family_id": abi.FamilyIDSize,
	"image_id":      abi.ImageIDSize,
	"id_key_digest": abi.IDKeyDigestSize, "author_key_digest": abi.AuthorKeyDigestSize,
}

const maxVMPL = 3

// maxCRL is the longest file of CRLs, in octets.
const maxCRL = 1 << 20

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
		return nil, s.Fail("trust_anchors", "there are no trust anchors, so no report would be accepted")
	}
	if err := p.words(s); err != nil {
		return nil, err
	}
	if p.VMPL != nil && *p.VMPL > maxVMPL {
		return nil, s.Fail("vmpl", "vmpl: %d; there are 0 to %d", *p.VMPL, maxVMPL)
	}
	for _, id := range p.Instances {
		if len(id) != abi.ChipIDSize {
			return nil, s.Fail("instances", "a CHIP_ID of %d octets; it has %d", len(id), abi.ChipIDSize)
		}
	}
	for name, v := range p.MinimumTCB {
		if !slices.Contains(components, name) || v > 255 {
			return nil, s.Fail("minimum_tcb", "minimum_tcb: %s: %d; levels of 0 to 255 have %s", name, v,
				strings.Join(components, ", "))
		}
	}
	if err := attestation.CheckMeasurements(s, "measurements", p.Measurements, measured); err != nil {
		return nil, err
	}
	for _, name := range p.CertificateFiles {
		b, err := s.ReadFile(memberCertificates, name, maxAnswer)
		if err != nil {
			return nil, err
		}
		list, err := attestation.ParseCertificates(b)
		if err != nil {
			return nil, s.Fail(memberCertificates, "%s: %v", name, err)
		}
		p.Certificates = append(p.Certificates, list...)
	}
	p.CertificateFiles = nil
	for _, name := range p.CRLFiles {
		b, err := s.ReadFile(memberCRLs, name, maxCRL)
		if err != nil {
			return nil, err
		}
		list, err := attestation.ParseCRLs(b)
		if err != nil {
			return nil, s.Fail(memberCRLs, "%s: %v", name, err)
		}
		p.CRLs = append(p.CRLs, list...)
	}
	p.CRLFiles = nil
	return p, nil
}

// words checks the members that are lists of words.
func (p *Policy) words(s *attestation.Section) error {
	for _, x := range []struct {
		member       string
		words, known []string
	}{
		{"vendor_roots", p.VendorRoots, keys(vendorRoots)},
		{"key_provenance", p.KeyProvenance, []string{"vcek", "vlek"}},
		{"guest_policy", p.GuestPolicy, permissions},
	} {
		for _, w := range x.words {
			if !slices.Contains(x.known, w) {
				return s.Fail(x.member, "there is no %q; there are %s", w, strings.Join(x.known, ", "))
			}
		}
	}
	return nil
}

func keys(m map[string]string) (list []string) {
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// Judge implements attestation.Policy.
func (p Policy) Judge(_ context.Context, a *attestation.Appraisal) {
	r, ok := a.Reading.Statement.(*report)
	if !ok {
		a.Check(attestation.CheckTokens, attestation.Refuse(rule, "a reading of type %T", a.Reading.Statement), "")
		return
	}
	a.AcceptUnattested = bool(p.UnattestedKey)
	a.Vector.InstanceIdentity = ear.CryptoValidationFailedClaim
	a.Vector.Hardware = ear.UnrecognizedHardwareClaim
	a.Vector.Configuration = ear.UnsupportableConfigClaim
	a.Vector.Executables = ear.ContraindicatedRuntimeClaim
	proto, err := r.proto()
	if !a.Check("report", err, fmt.Sprintf("a report of version %d, signed by the %s", r.number("VERSION"),
		signer(uint32(r.number("SIGNER_INFO"))))) {
		return
	}
	roots, err := p.signed(a, r, proto)
	if a.Check(attestation.CheckPlatform, err, "the report is signed by a key that a trust anchor vouches for") {
		p.platform(a, r, roots)
	}
	p.guest(a, r)
}

// proto is the report as the library reads it: the same octets, signed with the only
// algorithm there is.
func (r *report) proto() (*sevsnp.Report, *attls.Error) {
	if err := abi.ValidateReportFormat(r.octets); err != nil {
		return nil, attestation.Refuse(rule, "%v", err)
	}
	if alg := abi.SignatureAlgo(r.octets); alg != abi.SignEcdsaP384Sha384 {
		return nil, attestation.Refuse(rule, "the algorithm %d; only %d, ECDSA P-384 with SHA-384, is specified", alg,
			abi.SignEcdsaP384Sha384).Under("SIGNATURE_ALGO")
	}
	if key := signer(uint32(r.number("SIGNER_INFO"))); provenances[key] == "" {
		return nil, attestation.Refuse(rule, "the key is %s, neither VCEK nor VLEK", key).Under("SIGNER_INFO")
	}
	if r.line() == turin {
		return nil, attestation.Refuse(rule, turinText).Under("CPUID_FAM_ID")
	}
	proto, err := abi.ReportToProto(r.octets)
	if err != nil {
		return nil, attestation.Refuse(rule, "%v", err)
	}
	back, err := abi.ReportToAbiBytes(proto)
	if err != nil || string(back) != string(r.octets) {
		return nil, attestation.Refuse(rule, "octets that must be zero are not (%v)", err)
	}
	return proto, nil
}

// signed checks the signature, the chain to a trust anchor at the time of the
// appraisal, and that the certificate is for the reported chip and security version. It
// returns the anchors.
func (p *Policy) signed(
	a *attestation.Appraisal, r *report, proto *sevsnp.Report,
) ([]*trust.ProductCerts, *attls.Error) {
	key := signer(uint32(proto.SignerInfo))
	kinds := p.KeyProvenance
	if len(kinds) == 0 {
		kinds = []string{"vcek"}
	}
	if kind := provenances[key]; !slices.Contains(kinds, kind) {
		return nil, attestation.Refuse(rule, "the report is signed by a %s; the policy accepts %s", kind,
			strings.Join(kinds, ", ")).Under("SIGNER_INFO")
	}
	leaf, err := p.leaf(r, proto, key)
	if err != nil {
		return nil, err
	}
	roots := p.roots(r, key, leaf)
	if len(roots) == 0 {
		return nil, attestation.Refuse(rule, "there is no trust anchor with a certificate for the issuer of the %s",
			key)
	}
	evidence := &sevsnp.Attestation{Report: proto, CertificateChain: &sevsnp.CertificateChain{}}
	if key == abi.VlekReportSigner {
		evidence.CertificateChain.VlekCert = leaf.Raw
	} else {
		evidence.CertificateChain.VcekCert = leaf.Raw
	}
	// No entry of TrustedRoots may be missing: for lack of any, the library trusts AMD.
	o := &verify.Options{DisableCertFetching: true, Now: a.At, TrustedRoots: map[string][]*trust.AMDRootCerts{},
		Getter: offline{}}
	for _, line := range lines {
		for _, root := range roots {
			o.TrustedRoots[line] = append(o.TrustedRoots[line], &trust.AMDRootCerts{ProductLine: line,
				ProductCerts: root})
		}
	}
	if err := verify.SnpAttestation(evidence, o); err != nil {
		return nil, attestation.Refuse(rule, "the report does not verify: %v", err)
	}
	return roots, p.consistent(a, evidence, leaf, key)
}

// consistent checks what only the other half of the library does, and what it does
// only in part: the certificate is of this chip and this security version, and the
// firmware is not provisional.
func (p *Policy) consistent(a *attestation.Appraisal, evidence *sevsnp.Attestation, leaf *x509.Certificate,
	key abi.ReportSigner) *attls.Error {
	r := evidence.Report
	vmpl := int(r.Vmpl)
	o := &validate.Options{
		// The guest's policy and the VMPL are compared by guest, REPORT_DATA by the caller,
		// with the challenge.
		GuestPolicy: abi.SnpPolicy{SMT: true, MigrateMA: true, Debug: true, CXLAllowed: true},
		ReportData:  r.ReportData,
		VMPL:        &vmpl,
	}
	if err := validate.SnpAttestation(evidence, o); err != nil {
		return attestation.Refuse(rule, "%v", err)
	}
	x, err := kds.CertificateExtensions(leaf, key)
	if err != nil {
		return attestation.Refuse(rule, "%v", err)
	}
	// Levels above 127 are zero to the library where it compares.
	if uint64(x.TCBVersion) != r.ReportedTcb {
		return attestation.Refuse(rule, "the %s is for the TCB %#016x, the report says %#016x", key,
			uint64(x.TCBVersion), r.ReportedTcb).Under("REPORTED_TCB")
	}
	if r.CommittedTcb != r.CurrentTcb {
		return attestation.Refuse(rule, "the TCB %#016x is not committed, %#016x is", r.CurrentTcb,
			r.CommittedTcb).Under("COMMITTED_TCB")
	}
	info, err := abi.ParseSignerInfo(r.SignerInfo)
	if err != nil || zero(r.ChipId) && !info.MaskChipKey {
		return attestation.Refuse(rule, "it is zero, although the host does not mask it").Under("CHIP_ID")
	}
	a.Ends(leaf.NotAfter)
	return nil
}

// offline is in place of a connection.
type offline struct{}

// Get implements trust.HTTPSGetter.
func (offline) Get(url string) ([]byte, error) { return nil, errors.New("judging does not go online") }

// leaf is the certificate of the key that signed: the one that came with the report,
// or one of the policy for this chip and security version.
func (p *Policy) leaf(r *report, proto *sevsnp.Report, key abi.ReportSigner) (*x509.Certificate, *attls.Error) {
	came := r.chain.vcek
	if key == abi.VlekReportSigner {
		came = r.chain.vlek
	}
	if came != nil {
		return came, nil
	}
	for _, x := range p.Certificates {
		e, err := kds.CertificateExtensions(x, key)
		if err == nil && uint64(e.TCBVersion) == proto.ReportedTcb &&
			(key == abi.VlekReportSigner || zero(proto.ChipId) || string(e.HWID) == string(proto.ChipId)) {
			return x, nil
		}
	}
	return nil, attestation.Refuse(rule,
		"the report came without a %s certificate, and the policy has none for its chip and TCB (%#016x)", key,
		proto.ReportedTcb)
}

// roots are the trust anchors that vouch for a certificate, each with the one between:
// one that came with the Evidence counts only under an anchor.
func (p *Policy) roots(r *report, key abi.ReportSigner, leaf *x509.Certificate) (list []*trust.ProductCerts) {
	var between []*x509.Certificate
	for _, x := range append(slices.Clone(r.chain.between), p.Certificates...) {
		if leaf.CheckSignatureFrom(x) == nil {
			between = append(between, x)
		}
	}
	for _, ark := range p.TrustAnchors {
		for _, x := range between {
			if x.CheckSignatureFrom(ark) == nil {
				list = append(list, &trust.ProductCerts{Ark: ark, Ask: x, Asvk: x})
			}
		}
	}
	for _, name := range p.VendorRoots {
		if known, err := vendor(vendorRoots[name], key); err == nil {
			list = append(list, known)
		}
	}
	return list
}

// vendor are the certificates of AMD for a product line, from the library.
func vendor(line string, key abi.ReportSigner) (*trust.ProductCerts, error) {
	text := map[string]map[abi.ReportSigner][]byte{
		"Milan": {abi.VcekReportSigner: trust.AskArkMilanVcekBytes, abi.VlekReportSigner: trust.AskArkMilanVlekBytes},
		"Genoa": {abi.VcekReportSigner: trust.AskArkGenoaVcekBytes, abi.VlekReportSigner: trust.AskArkGenoaVlekBytes},
	}[line][key]
	c := &trust.ProductCerts{}
	err := c.FromKDSCertBytes(text)
	return c, err
}

// platform judges the chip and its firmware.
func (p *Policy) platform(a *attestation.Appraisal, r *report, roots []*trust.ProductCerts) {
	a.Vector.InstanceIdentity = ear.UnrecognizedInstanceClaim
	if a.Check("instance", p.instance(r), "the policy accepts the chip") {
		a.Vector.InstanceIdentity = ear.TrustworthyInstanceClaim
	}
	a.Vector.Hardware = ear.ContraindicatedHardwareClaim
	revoked := false
	if len(p.CRLs) == 0 {
		a.Unchecked("revocation", "the policy has no CRL")
	} else {
		revoked = !a.Check("revocation", p.revocation(a, roots), "no certificate of the chain is revoked")
	}
	if len(p.MinimumTCB) == 0 {
		a.Unchecked("tcb", "the policy lists no minimum_tcb")
	} else if a.Check("tcb", p.tcb(r), tcbText(r.number("REPORTED_TCB"))) && !revoked {
		a.Vector.Hardware = ear.GenuineHardwareClaim
	}
}

func (p *Policy) instance(r *report) *attls.Error {
	id := r.field("CHIP_ID")
	if len(p.Instances) > 0 && !slices.ContainsFunc(p.Instances,
		func(x attestation.Octets) bool { return string(x) == string(id) }) {
		return attestation.Refuse(rule, "the policy does not list the chip %x", id).Under("CHIP_ID")
	}
	return nil
}

// revocation looks for the certificates between the anchor and the key in the CRL of
// the anchor. AMD does not revoke VCEKs: their security version does that.
func (p *Policy) revocation(a *attestation.Appraisal, roots []*trust.ProductCerts) *attls.Error {
	for _, root := range roots {
		x := root.Ask
		if x == nil {
			x = root.Asvk
		}
		until, err := p.CRLs.Check(x, root.Ark, a.At, a.Skew)
		if err != nil {
			return err
		}
		a.Ends(until)
		a.Ends(x.NotAfter)
	}
	return nil
}

// components of a TCB version that have a security patch level, in the order of their
// octets; the others are reserved.
var (
	components      = []string{"bootloader", "tee", "snp", "microcode"}
	componentOctets = []int{0, 1, 6, 7}
	turinOctets     = []int{0, 1, 2, 3, 7} // of fmc and the components
)

// levels are the security patch levels of a TCB version.
func levels(v uint64) map[string]uint8 {
	t := kds.DecomposeTCBVersion(kds.TCBVersion(v))
	return map[string]uint8{"bootloader": t.BlSpl, "tee": t.TeeSpl, "snp": t.SnpSpl, "microcode": t.UcodeSpl}
}

func tcbText(v uint64) string {
	var list []string
	for _, name := range components {
		list = append(list, fmt.Sprintf("%s %d", name, levels(v)[name]))
	}
	return strings.Join(list, ", ")
}

func (p *Policy) tcb(r *report) *attls.Error {
	for _, name := range components {
		if v := levels(r.number("REPORTED_TCB"))[name]; attestation.Whole(v) < p.MinimumTCB[name] {
			return attestation.Refuse(rule, "%s has the level %d; the policy wants at least %d", name, v,
				p.MinimumTCB[name]).Under("REPORTED_TCB")
		}
	}
	return nil
}

// guest judges the guest: what its policy allows, who asked for the report, what runs.
func (p *Policy) guest(a *attestation.Appraisal, r *report) {
	debug := a.Check("debug", p.debug(r), "the host cannot debug the guest, or the policy accepts it")
	allowed := a.Check("guest-policy", p.allows(r), policyText(r.number("POLICY")))
	vmpl := a.Check("vmpl", p.vmpl(r), fmt.Sprintf("the report was asked for at VMPL %d", r.number("VMPL")))
	if debug && allowed && vmpl {
		a.Vector.Configuration = ear.ApprovedConfigClaim
	}
	got := map[string][]byte{}
	for name := range measured {
		got[name] = r.field(strings.ToUpper(name))
	}
	if len(p.Measurements["measurement"]) == 0 {
		a.Vector.Executables = ear.UnrecognizedRuntimeClaim
		a.Unchecked(attestation.CheckReference, "the policy has no reference value of measurement")
	}
	if len(p.Measurements) > 0 && a.Check(attestation.CheckReference,
		attestation.CompareMeasurements(rule, p.Measurements, got), "the listed measurements have reference values") &&
		len(p.Measurements["measurement"]) > 0 {
		a.Vector.Executables = ear.ApprovedRuntimeClaim
	}
}

// policyText names what a guest's policy allows.
func policyText(v uint64) string {
	x, err := abi.ParseSnpPolicy(v)
	if err != nil {
		return err.Error()
	}
	list := allowed(x)
	if x.Debug {
		list = append(list, "debug")
	}
	if list == nil {
		return "the guest's policy allows nothing special"
	}
	return "the guest's policy allows " + strings.Join(list, ", ")
}

func allowed(x abi.SnpPolicy) (list []string) {
	for i, v := range []bool{x.SMT, x.MigrateMA, x.CXLAllowed} {
		if v {
			list = append(list, permissions[i])
		}
	}
	return list
}

func (p *Policy) debug(r *report) *attls.Error {
	if x, err := abi.ParseSnpPolicy(r.number("POLICY")); err != nil || x.Debug && !bool(p.Debug) {
		return attestation.Refuse(rule, "the guest's policy lets the host debug it (%#x)",
			r.number("POLICY")).Under("POLICY")
	}
	return nil
}

func (p *Policy) allows(r *report) *attls.Error {
	x, err := abi.ParseSnpPolicy(r.number("POLICY"))
	if err != nil {
		return attestation.Refuse(rule, "%v", err).Under("POLICY")
	}
	accepted := p.GuestPolicy
	if len(accepted) == 0 {
		accepted = permissions[:1]
	}
	for _, name := range allowed(x) {
		if !slices.Contains(accepted, name) {
			return attestation.Refuse(rule, "the guest's policy allows %s; the appraisal policy accepts %s", name,
				strings.Join(accepted, ", ")).Under("POLICY")
		}
	}
	return nil
}

func (p *Policy) vmpl(r *report) *attls.Error {
	var highest attestation.Whole
	if p.VMPL != nil {
		highest = *p.VMPL
	}
	if v := r.number("VMPL"); v > uint64(highest) {
		return attestation.Refuse(rule, "the report was asked for at VMPL %d; the policy accepts 0 to %d", v,
			highest).Under("VMPL")
	}
	return nil
}
