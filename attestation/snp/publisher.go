package snp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"attls"
	"attls/attestation"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	"github.com/google/go-sev-guest/verify/trust"
)

const kdsRule = "AMD 57230 (VCEK certificate and KDS interface)"

// kdsURL is AMD's key distribution service.
const kdsURL = "https://kdsintf.amd.com"

// Names of the parameters.
const (
	askProduct = "product"
	askChip    = "chip"
	askTCB     = "tcb"
	askKey     = "key-provenance"
)

// publisher is the key distribution service.
func publisher() *attestation.Publisher {
	return &attestation.Publisher{
		URL: kdsURL,
		Parameters: []attestation.PublisherParameter{
			{Name: askProduct, Text: "product line: " + strings.Join(judged(), " or ")},
			{Name: askChip, Text: "CHIP_ID, 64 octets in hexadecimal; without it there is no VCEK certificate"},
			{Name: askTCB, Text: "REPORTED_TCB as a number, as in 0xd516000000000004"},
			{Name: askKey, Text: "the key that signs reports: vcek (default) or vlek, whose certificate comes from the " +
				"cloud provider"},
		},
		Raw: func(value []byte) (*attestation.Reading, *attls.Error) {
			return (&report{octets: value, at: -1}).reading()
		},
		Fetch: func(ctx context.Context, q *attestation.PublisherQuery) (*attestation.Published, error) {
			k, err := asked(q)
			if err != nil {
				return nil, err
			}
			return k.fetch(ctx)
		},
	}
}

// kdsQuery is what the service is asked.
type kdsQuery struct {
	*attestation.PublisherQuery
	line string
	key  abi.ReportSigner
	chip []byte // nil: no certificate of a chip is wanted
	tcb  uint64
	base string
	out  attestation.Published
}

// asked reads the query.
func asked(q *attestation.PublisherQuery) (*kdsQuery, error) {
	own := *q
	own.Parameters = maps.Clone(q.Parameters)
	if n, err := strconv.ParseUint(q.Parameters[askTCB], 0, 64); err == nil {
		own.Parameters[askTCB] = fmt.Sprintf("%#x", n) // as it is compared
	}
	k := &kdsQuery{PublisherQuery: &own, base: kdsURL}
	if q.Service != "" {
		k.base = strings.TrimRight(q.Service, "/")
	}
	var line, chip, tcb, key string
	if q.Reading != nil {
		r, ok := q.Reading.Statement.(*report)
		if !ok {
			return nil, fmt.Errorf("a reading of type %T", q.Reading.Statement)
		}
		line, tcb = r.line(), fmt.Sprintf("%#x", r.number("REPORTED_TCB"))
		chip = hex.EncodeToString(r.chip())
		if key = provenances[signer(uint32(r.number("SIGNER_INFO")))]; key == "" {
			return nil, fmt.Errorf("the report is signed by neither a VCEK nor a VLEK, so no certificate vouches for it")
		}
	}
	for _, x := range []struct {
		name string
		to   *string
	}{{askProduct, &line}, {askChip, &chip}, {askTCB, &tcb}, {askKey, &key}} {
		v, err := k.Parameter(x.name, *x.to)
		if err != nil {
			return nil, err
		}
		*x.to = v
	}
	return k, k.parse(line, chip, tcb, key)
}

// parse checks the parameters.
func (k *kdsQuery) parse(line, chip, tcb, key string) (err error) {
	for _, known := range lines {
		if strings.EqualFold(line, known) {
			k.line = known
		}
	}
	switch {
	case line == "":
		return fmt.Errorf("%s is missing: a report of version 2 does not say it; there are %s", askProduct,
			strings.Join(judged(), ", "))
	case k.line == turin:
		return fmt.Errorf("%s", turinText)
	case k.line == "":
		return fmt.Errorf("%s: there is no product line %q; there are %s", askProduct, line, strings.Join(judged(), ", "))
	}
	switch key {
	case "", "vcek":
		k.key = abi.VcekReportSigner
	case "vlek":
		k.key = abi.VlekReportSigner
	default:
		return fmt.Errorf("%s: %q is neither vcek nor vlek", askKey, key)
	}
	if chip == "" || k.key == abi.VlekReportSigner {
		return nil
	}
	if k.chip, err = hex.DecodeString(chip); err != nil || len(k.chip) != abi.ChipIDSize {
		return fmt.Errorf("%s: a CHIP_ID is %d octets in hexadecimal", askChip, abi.ChipIDSize)
	}
	if k.tcb, err = strconv.ParseUint(tcb, 0, 64); err != nil {
		return fmt.Errorf("%s: the TCB of the chip is a number of 64 bits: %w", askTCB, err)
	}
	return nil
}

// fetch fetches the certificate of the chip, that of its issuer, and the CRL.
func (k *kdsQuery) fetch(ctx context.Context) (*attestation.Published, error) {
	issuer, root, err := k.issuers(ctx)
	if err != nil {
		return nil, err
	}
	if k.chip != nil {
		if err := k.vcek(ctx, issuer); err != nil {
			return nil, err
		}
	}
	if err := k.revoked(ctx, issuer, root); err != nil {
		return nil, err
	}
	k.add("root-"+strings.ToLower(k.line)+".pem", "", root)
	known := ""
	for name, line := range vendorRoots {
		if c, err := vendor(line, k.key); err == nil && bytes.Equal(c.Ark.Raw, root.Raw) {
			known = name
		}
	}
	k.out.Notes = append(k.out.Notes, k.out.Root(root.Subject.CommonName, sha256.Sum256(root.Raw), known))
	switch {
	case k.key == abi.VlekReportSigner:
		k.out.Notes = append(k.out.Notes, "the VLEK certificate comes from the cloud provider, with the report")
	case k.chip == nil:
		k.out.Notes = append(k.out.Notes, "no CHIP_ID is known (the host may mask it), so there is no VCEK certificate")
	}
	return &k.out, nil
}

// add adds a certificate as a file.
func (k *kdsQuery) add(name, member string, x *x509.Certificate) {
	k.out.Files = append(k.out.Files, attestation.PublishedFile{Name: name, Member: member,
		Octets: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Raw})})
	k.until(x.NotAfter)
}

func (k *kdsQuery) until(t time.Time) {
	if k.out.Until.IsZero() || t.Before(k.out.Until) {
		k.out.Until = t
	}
}

// maxAnswer bounds a certificate or a chain, in octets.
const maxAnswer = 1 << 15

// ask gets one answer. The library has the paths.
func (k *kdsQuery) ask(ctx context.Context, known string, limit int64) (string, []byte, error) {
	address := k.base + strings.TrimPrefix(known, kdsURL)
	_, b, err := k.Getter.Get(ctx, address, limit)
	return address, b, err
}

// issuers fetches the ASK (or ASVK) and the ARK.
func (k *kdsQuery) issuers(ctx context.Context) (issuer, root *x509.Certificate, err error) {
	address, b, err := k.ask(ctx, kds.ProductCertChainURL(k.key, k.line), maxAnswer)
	if err != nil {
		return nil, nil, err
	}
	fail := func(format string, args ...any) (*x509.Certificate, *x509.Certificate, error) {
		return nil, nil, wrong(address, format, args...)
	}
	list, err := attestation.ParseCertificates(b)
	if err != nil || len(list) != 2 {
		return fail("not the two certificates of an ASK and an ARK: %d (%v)", len(list), err)
	}
	issuer, root = list[0], list[1]
	if err := root.CheckSignatureFrom(root); err != nil {
		return fail("the ARK does not sign itself: %v", err)
	}
	if err := issuer.CheckSignatureFrom(root); err != nil {
		return fail("the ARK did not sign the certificate of %q: %v", issuer.Subject.CommonName, err)
	}
	want := map[abi.ReportSigner]string{abi.VcekReportSigner: "SEV-", abi.VlekReportSigner: "SEV-VLEK-"}[k.key] + k.line
	if issuer.Subject.CommonName != want {
		return fail("the certificates of %q; asked was for %q", issuer.Subject.CommonName, want)
	}
	for _, x := range []*x509.Certificate{issuer, root} {
		if err := attestation.InForce(x, k.At); err != nil {
			return fail("%v", err)
		}
	}
	name := "ask-"
	if k.key == abi.VlekReportSigner {
		name = "asvk-"
	}
	k.add(name+strings.ToLower(k.line)+".pem", memberCertificates, issuer)
	return issuer, root, nil
}

// vcek fetches the certificate of the chip for its TCB.
func (k *kdsQuery) vcek(ctx context.Context, issuer *x509.Certificate) error {
	address, b, err := k.ask(ctx, kds.VCEKCertURL(k.line, k.chip, kds.TCBVersion(k.tcb)), maxAnswer)
	if err != nil {
		return err
	}
	x, err := trust.ParseCert(b)
	if err != nil {
		return wrong(address, "not a certificate: %v", err)
	}
	e, err := kds.VcekCertificateExtensions(x)
	switch {
	case err != nil:
		return wrong(address, "not a VCEK certificate: %v", err)
	case !bytes.Equal(e.HWID, k.chip):
		return wrong(address, "the certificate of another chip, %x", e.HWID)
	case uint64(e.TCBVersion) != k.tcb:
		return wrong(address, "the certificate is for the TCB %#016x; asked was for %#016x", uint64(e.TCBVersion), k.tcb)
	case kds.ProductLineOfProductName(e.ProductName) != k.line:
		return wrong(address, "the certificate is for the product %q; asked was for %s", e.ProductName, k.line)
	}
	if err := x.CheckSignatureFrom(issuer); err != nil {
		return wrong(address, "the ASK did not sign the certificate: %v", err)
	}
	if err := attestation.InForce(x, k.At); err != nil {
		return wrong(address, "%v", err)
	}
	k.add(fmt.Sprintf("vcek-%x-%016x.pem", k.chip[:8], k.tcb), memberCertificates, x)
	return nil
}

// revoked fetches the CRL of the ARK.
func (k *kdsQuery) revoked(ctx context.Context, issuer, root *x509.Certificate) error {
	address, b, err := k.ask(ctx, kds.CrlLinkByKey(k.line, k.key), maxCRL)
	if err != nil {
		return err
	}
	list, err := attestation.ParseCRLs(b)
	if err != nil {
		return wrong(address, "%v", err)
	}
	until, failure := list.Check(issuer, root, k.At, 0)
	if failure != nil {
		return wrong(address, "%s", failure.Detail)
	}
	k.until(until)
	k.out.Files = append(k.out.Files, attestation.PublishedFile{Name: "crl-" + strings.ToLower(k.line) + ".der",
		Octets: b, Member: memberCRLs})
	return nil
}

// wrong is the error of an answer that is not what was asked for.
func wrong(address string, format string, args ...any) error {
	return fmt.Errorf("%s: %s (%s)", address, fmt.Sprintf(format, args...), kdsRule)
}
