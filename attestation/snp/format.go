// Package snp makes, reads and judges attestation reports of AMD SEV-SNP.
package snp

import (
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/attestation"
	"attls/attestation/tsm"
	"attls/extensions/profile"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	"github.com/google/go-sev-guest/verify/trust"
)

// Name is that of the format in the table.
const Name = "sev-snp"

// Provider is what configfs-tsm calls the root of trust.
const Provider = "sev_guest"

// MediaTypeReport is the type of a report alone, without certificates.
const MediaTypeReport = "application/vnd.amd.sev-snp.attestation-report"

const rule = "AMD 56860 (SEV Secure Nested Paging Firmware ABI)"

// Bounds of the certificates that a report comes with.
const (
	maxEntries     = 16
	maxCertificate = 1 << 13 // octets of one
)

// Format is the row of SEV-SNP.
func Format() attestation.Format {
	return attestation.Format{
		Name:   Name,
		Title:  "AMD SEV-SNP: attestation report",
		Source: rule,
		Types: append(tsm.Types(),
			attestation.Type{MediaType: MediaTypeReport,
				Note: "not registered; draft-deeglaze-amd-sev-snp-corim-profile uses it"}),
		Mine: tsm.Mine(Provider),
		Challenge: attestation.ChallengeField{Name: "REPORT_DATA", Rule: rule, Sizes: []int{abi.ReportDataSize},
			Padding: true, Wants: abi.ReportDataSize},
		Key:  attestation.KeyNaming{How: "a report has no field for a key"},
		Says: []string{"instance-identity", "configuration", "executables", "hardware"},
		Unsigned: "in a TSM report the provider, which only tells the format, " +
			"and the certificates, which must lead to a trust anchor",
		Read:      read,
		Policy:    policyOf,
		Publisher: publisher(),
		Open:      open,
		Emulate:   emulate,
	}
}

// report is a report with the certificates that came with it.
type report struct {
	octets []byte // all 1184
	at     int    // where they begin in the value; -1: not there in one piece
	outer  []attestation.Field
	chain  chain
}

// chain is what vouches for the key that signs reports, as it came.
type chain struct {
	vcek, vlek *x509.Certificate
	between    []*x509.Certificate // ASK, ASVK
}

// read reads a report in a TSM report, or a report alone.
func read(c *attestation.CMW) (*attestation.Reading, *attls.Error) {
	if c.IsCollection() {
		return nil, attestation.Malformed(-1, rule, "an attestation report is one record, not a collection")
	}
	r := &report{octets: c.Value}
	if attestation.Matches(c.Format, profile.Format{MediaType: MediaTypeReport}, profile.MatchEqual) != nil {
		if err := r.unpack(c); err != nil {
			return nil, err
		}
	}
	return r.reading()
}

// reading takes the octets of a report apart.
func (r *report) reading() (*attestation.Reading, *attls.Error) {
	if n := len(r.octets); n != abi.ReportSize {
		return nil, attestation.Malformed(-1, rule, "%d octets; a report has exactly %d", n, abi.ReportSize)
	}
	return &attestation.Reading{
		Challenges: []attestation.Challenge{{Values: [][]byte{r.field("REPORT_DATA")}}},
		Instance:   r.chip(),
		Fields:     r.fields,
		Statement:  r,
	}, nil
}

// unpack takes a TSM report apart.
func (r *report) unpack(c *attestation.CMW) *attls.Error {
	t, err := tsm.Read(c)
	if err == nil {
		err = t.From(Provider)
	}
	if err != nil {
		return err
	}
	if t.ServiceProvider != "" || t.Manifest != nil {
		return attestation.Malformed(-1, tsm.Rule,
			"the answer of a service (%q); only reports of the platform itself are read",
			t.ServiceProvider).Under("service_provider")
	}
	r.octets, r.at, r.outer = t.Out, t.OutStart(), t.Fields()
	if err := r.chain.read(t.Aux); err != nil {
		return err.Under("auxblob")
	}
	return nil
}

// read reads the table of certificates of the GHCB specification (MSG_REPORT_REQ).
// Entries of unknown GUIDs are left out.
func (c *chain) read(b []byte) *attls.Error {
	const rule = "AMD 56421 (GHCB) 4.1.8.1"
	bad := func(format string, args ...any) *attls.Error { return attestation.Malformed(-1, rule, format, args...) }
	headers, err := abi.ParseSnpCertTableHeader(b)
	if err != nil {
		return bad("%v", err)
	}
	if len(headers) > maxEntries {
		return bad("%d entries; at most %d are read", len(headers), maxEntries)
	}
	seen := map[string]bool{}
	for _, h := range headers {
		guid := h.GUID.String()
		end := uint64(h.Offset) + uint64(h.Length)
		switch {
		case end > uint64(len(b)):
			return bad("entry %s ends at octet %d of %d", guid, end, len(b))
		case seen[guid]:
			return bad("entry %s appears twice", guid)
		}
		seen[guid] = true
		if !slices.Contains([]string{abi.VcekGUID, abi.VlekGUID, abi.AskGUID, abi.AsvkGUID}, guid) || h.Length == 0 {
			continue // the ARK is a trust anchor, or of no use; other entries are not certificates
		}
		if h.Length > maxCertificate {
			return bad("entry %s has %d octets; at most %d are read", guid, h.Length, maxCertificate)
		}
		x, err := trust.ParseCert(b[h.Offset:end])
		if err != nil {
			return bad("entry %s: %v", guid, err)
		}
		switch guid {
		case abi.VcekGUID:
			c.vcek = x
		case abi.VlekGUID:
			c.vlek = x
		default:
			c.between = append(c.between, x)
		}
	}
	return nil
}

// part is a field of a report.
type part struct {
	name       string
	start, end int
}

// parts are the fields of a report in their order (AMD 56860 table 23); those that must
// be zero have no name.
var parts = []part{
	{"VERSION", 0x00, 0x04}, {"GUEST_SVN", 0x04, 0x08}, {"POLICY", 0x08, 0x10}, {"FAMILY_ID", 0x10, 0x20}, {"IMAGE_ID",
		0x20, 0x30},
	{"VMPL", 0x30, 0x34}, {"SIGNATURE_ALGO", 0x34, 0x38}, {"CURRENT_TCB", 0x38, 0x40}, {"PLATFORM_INFO", 0x40,
		0x48}, {"SIGNER_INFO", 0x48, 0x4c},
	{"REPORT_DATA", 0x50, 0x90}, {"MEASUREMENT", 0x90, 0xc0}, {"HOST_DATA", 0xc0, 0xe0}, {"ID_KEY_DIGEST", 0xe0, 0x110},
	{"AUTHOR_KEY_DIGEST", 0x110, 0x140}, {"REPORT_ID", 0x140, 0x160}, {"REPORT_ID_MA", 0x160, 0x180}, {"REPORTED_TCB",
		0x180, 0x188},
	{"CPUID_FAM_ID", 0x188, 0x189}, {"CPUID_MOD_ID", 0x189, 0x18a}, {"CPUID_STEP", 0x18a, 0x18b}, {"CHIP_ID", 0x1a0,
		0x1e0},
	{"COMMITTED_TCB", 0x1e0, 0x1e8}, {"CURRENT_VERSION", 0x1e8, 0x1eb}, {"COMMITTED_VERSION", 0x1ec,
		0x1ef}, {"LAUNCH_TCB", 0x1f0, 0x1f8},
	{"LAUNCH_MIT_VECTOR", 0x1f8, 0x200}, {"CURRENT_MIT_VECTOR", 0x200, 0x208}, {"SIGNATURE", 0x2a0, 0x4a0},
}

// field is the octets of one field.
func (r *report) field(name string) []byte {
	for _, p := range parts {
		if p.name == name {
			return r.octets[p.start:p.end]
		}
	}
	return nil
}

// number is a field of up to 8 octets.
func (r *report) number(name string) uint64 {
	var b [8]byte
	copy(b[:], r.field(name))
	return binary.LittleEndian.Uint64(b[:])
}

// turin is the product line that the library reads in part only.
const turin = "Turin"

const turinText = "reports of AMD Turin are read and not judged: its TCB has a component more (fmc) and its " +
	"chips have " +
	"identifiers of 8 octets, and the library for certificates knows neither"

// families are the product lines by CPUID family and the models from and to.
var families = []struct {
	family, from, to uint64
	line             string
}{{0x19, 0x00, 0x0f, "Milan"}, {0x19, 0x10, 0x1f, "Genoa"}, {0x19, 0xa0, 0xaf, "Genoa"}, {0x1a, 0x00, 0x1f, turin}}

// line is the product line; empty where it is unknown, as in reports of version 2,
// which do not say it.
func (r *report) line() string {
	if r.number("VERSION") >= abi.ReportVersion3 {
		for _, x := range families {
			if model := r.number("CPUID_MOD_ID"); r.number("CPUID_FAM_ID") == x.family && model >= x.from && model <= x.to {
				return x.line
			}
		}
		return ""
	}
	if r.chain.vcek != nil {
		if e, err := kds.VcekCertificateExtensions(r.chain.vcek); err == nil {
			if line := kds.ProductLineOfProductName(e.ProductName); slices.Contains(lines, line) {
				return line
			}
		}
	}
	return ""
}

// chip is the CHIP_ID; nil where the host masks it.
func (r *report) chip() []byte {
	if id := r.field("CHIP_ID"); !zero(id) {
		return id
	}
	return nil
}

func zero(b []byte) bool { return !slices.ContainsFunc(b, func(x byte) bool { return x != 0 }) }

// fields names the parts of the Evidence.
func (r *report) fields() []attestation.Field {
	list := slices.Clone(r.outer)
	add := func(name string, start, end int, text string) {
		f := attestation.Field{Name: name, Text: text}
		if r.at >= 0 {
			f.Start, f.End = r.at+start, r.at+end
		}
		list = append(list, f)
	}
	for _, p := range parts {
		add(p.name, p.start, p.end, r.text(p))
		if !strings.HasSuffix(p.name, "_TCB") {
			continue
		}
		names, octets := components, componentOctets
		if r.line() == turin {
			names, octets = append([]string{"fmc"}, components...), turinOctets
		}
		for i, name := range names {
			at := p.start + octets[i]
			add(p.name+"."+name, at, at+1, fmt.Sprint(r.octets[at]))
		}
	}
	for _, x := range []struct {
		name string
		cert *x509.Certificate
	}{{"vcek", r.chain.vcek}, {"vlek", r.chain.vlek}} {
		if x.cert == nil {
			continue
		}
		name := "tsm.auxblob." + x.name
		list = append(list, attestation.Field{Name: name,
			Text: x.cert.Subject.CommonName + ", issued by " + x.cert.Issuer.CommonName})
		if n := x.cert.Subject.SerialNumber; n != "" { // where emulators say what they are
			list = append(list, attestation.Field{Name: name + ".serialNumber", Text: n})
		}
	}
	return list
}

// text is the value of a field, for people.
func (r *report) text(p part) string {
	v := r.octets[p.start:p.end]
	n := r.number(p.name)
	switch p.name {
	case "VERSION", "GUEST_SVN", "VMPL", "SIGNATURE_ALGO", "CPUID_FAM_ID", "CPUID_MOD_ID", "CPUID_STEP":
		return fmt.Sprint(n)
	case "POLICY":
		return fmt.Sprintf("%#x (%s)", n, policyText(n))
	case "SIGNER_INFO":
		return fmt.Sprintf("%#x (signed by the %s)", n, signer(uint32(n)))
	case "CURRENT_TCB", "REPORTED_TCB", "COMMITTED_TCB", "LAUNCH_TCB":
		return fmt.Sprintf("%#016x", n)
	case "CURRENT_VERSION", "COMMITTED_VERSION":
		return fmt.Sprintf("%d.%d build %d", v[2], v[1], v[0])
	case "PLATFORM_INFO", "LAUNCH_MIT_VECTOR", "CURRENT_MIT_VECTOR":
		return fmt.Sprintf("%#x", n)
	}
	return fmt.Sprintf("%x", v)
}

// signer is the key that signs, by SIGNER_INFO.
func signer(info uint32) abi.ReportSigner { return abi.ReportSigner(info >> 2 & 7) }
