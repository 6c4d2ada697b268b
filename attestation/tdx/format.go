// Package tdx makes, reads and judges quotes of Intel TDX.
package tdx

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"attls"
	"attls/attestation"
	"attls/attestation/tsm"

	"github.com/google/go-tdx-guest/abi"
	"github.com/google/go-tdx-guest/pcs"
	tdxpb "github.com/google/go-tdx-guest/proto/tdx"
)

// Name is that of the format in the table.
const Name = "tdx"

// Provider is what configfs-tsm calls the root of trust.
const Provider = "tdx_guest"

const rule = "Intel TDX DCAP Quoting Library, A.3 (quote version 4)"

const version = 4

// Format is the row of TDX.
func Format() attestation.Format {
	return attestation.Format{
		Name:   Name,
		Title:  "Intel TDX: quote",
		Source: rule,
		Types:  tsm.Types(),
		Mine:   tsm.Mine(Provider),
		Challenge: attestation.ChallengeField{Name: "REPORTDATA", Rule: rule, Sizes: []int{abi.ReportDataSize},
			Padding: true, Wants: abi.ReportDataSize},
		Key:  attestation.KeyNaming{How: "a quote has no field for a key"},
		Says: []string{"instance-identity", "configuration", "executables", "hardware"},
		Unsigned: "the provider of the TSM report, which only tells the format, " +
			"and how the PEM of certificates is written",
		Read:      read,
		Policy:    policyOf,
		Publisher: publisher(),
		Open:      open,
		Emulate:   emulate,
	}
}

// quote is a quote taken apart.
type quote struct {
	octets []byte
	at     int // where they begin in the value; -1: not there in one piece
	outer  []attestation.Field
	parts  []part
	proto  *tdxpb.QuoteV4
	chain  chain
	pck    *pcs.PckExtensions
}

// chain is what vouches for the quoting enclave.
type chain struct{ pck, intermediate, root *x509.Certificate }

// read reads a quote of version 4 in a TSM report.
func read(c *attestation.CMW) (*attestation.Reading, *attls.Error) {
	t, err := tsm.Read(c)
	if err == nil {
		err = t.From(Provider)
	}
	if err != nil {
		return nil, err
	}
	r, err := (&quote{octets: t.Out, at: t.OutStart(), outer: t.Fields()}).reading()
	if err != nil {
		return nil, err.Under("outblob")
	}
	return r, nil
}

// reading takes the octets of a quote apart.
func (q *quote) reading() (*attestation.Reading, *attls.Error) {
	if err := q.decode(); err != nil {
		return nil, err
	}
	ppid, failure := hex.DecodeString(q.pck.PPID)
	if failure != nil {
		return nil, attestation.Malformed(-1, rule, "the PPID: %v", failure)
	}
	return &attestation.Reading{
		Challenges: []attestation.Challenge{{Values: [][]byte{q.field("REPORTDATA")}}},
		Instance:   ppid,
		Fields:     q.fields,
		Statement:  q,
	}, nil
}

// part is a field of a quote.
type part struct {
	name       string
	start, end int
}

// signedData is where the part begins whose length the quote says.
const signedData = 636

// fixed are the fields of the header and the body (version 4), and of the signature
// data up to the first one of variable length.
var fixed = []part{
	{"version", 0, 2}, {"att_key_type", 2, 4}, {"tee_type", 4, 8}, {"qe_svn", 8, 10}, {"pce_svn", 10,
		12}, {"qe_vendor_id", 12, 28}, {"user_data", 28, 48},
	{"TEE_TCB_SVN", 48, 64}, {"MRSEAM", 64, 112}, {"MRSIGNERSEAM", 112, 160}, {"SEAMATTRIBUTES", 160,
		168}, {"TDATTRIBUTES", 168, 176}, {"XFAM", 176, 184},
	{"MRTD", 184, 232}, {"MRCONFIGID", 232, 280}, {"MROWNER", 280, 328}, {"MROWNERCONFIG", 328, 376},
	{"RTMR0", 376, 424}, {"RTMR1", 424, 472}, {"RTMR2", 472, 520}, {"RTMR3", 520, 568}, {"REPORTDATA", 568,
		632}, {"signature_data_length", 632, signedData},
	{"signature", signedData, 700}, {"attestation_key", 700, 764}, {"certification_data_type", 764,
		766}, {"certification_data_length", 766, 770},
	{"qe_report.CPUSVN", 770, 786}, {"qe_report.MISCSELECT", 786, 790}, {"qe_report.ATTRIBUTES", 818,
		834}, {"qe_report.MRENCLAVE", 834, 866},
	{"qe_report.MRSIGNER", 898, 930}, {"qe_report.ISVPRODID", 1026, 1028}, {"qe_report.ISVSVN", 1028,
		1030}, {"qe_report.REPORTDATA", 1090, 1154},
	{"qe_report_signature", 1154, 1218}, {"qe_authentication_data_length", 1218, authData},
}

// authData is where the first field of variable length begins.
const authData = 1220

// decode reads the quote. The library reads it as well; it wants lengths to have been
// checked.
func (q *quote) decode() *attls.Error {
	b := q.octets
	bad := func(at int, format string, args ...any) *attls.Error {
		return attestation.Malformed(at, rule, format, args...)
	}
	if len(b) < authData {
		return bad(len(b), "%d octets; a quote has at least %d", len(b), authData)
	}
	if v := binary.LittleEndian.Uint16(b); v != version {
		return bad(0, "a quote of version %d; only version %d is read", v, version)
	}
	if n, left := binary.LittleEndian.Uint32(b[632:]), len(b)-signedData; uint64(n) != uint64(left) {
		return bad(632, "the signature data have %d octets by their length, and %d are there", n, left)
	}
	if n, left := binary.LittleEndian.Uint32(b[766:]), len(b)-770; uint64(n) != uint64(left) {
		return bad(766, "the certification data have %d octets by their length, and %d are there", n, left)
	}
	end := authData + int(binary.LittleEndian.Uint16(b[1218:]))
	certificates := end + 6
	if len(b) < certificates {
		return bad(1218, "the authentication data end at octet %d of %d", end, len(b))
	}
	if n, left := binary.LittleEndian.Uint32(b[end+2:]), len(b)-certificates; uint64(n) != uint64(left) {
		return bad(end+2, "the certificates have %d octets by their length, and %d are there", n, left)
	}
	q.parts = append(append([]part{}, fixed...), part{"qe_authentication_data", authData, end},
		part{"pck_data_type", end, end + 2}, part{"pck_data_length", end + 2,
			certificates}, part{"pck_certificate_chain", certificates, len(b)})
	read, err := abi.QuoteToProto(b)
	if err != nil {
		return bad(-1, "%v", err)
	}
	var ok bool
	if q.proto, ok = read.(*tdxpb.QuoteV4); !ok || len(q.proto.ExtraBytes) > 0 {
		return bad(-1, "a quote of type %T with %d octets after its end", read, len(q.proto.GetExtraBytes()))
	}
	// What is signed is what the library writes of it again.
	if back, err := abi.QuoteToAbiBytes(q.proto); err != nil || !bytes.Equal(back, b) {
		return bad(-1, "the library reads other octets (%v)", err)
	}
	return q.certificates(b[certificates:])
}

// certificates reads the chain: PCK, intermediate, root, as PEM.
func (q *quote) certificates(b []byte) *attls.Error {
	for i, to := range []**x509.Certificate{&q.chain.pck, &q.chain.intermediate, &q.chain.root} {
		block, rest := pem.Decode(b)
		if block == nil || block.Type != "CERTIFICATE" {
			return attestation.Malformed(-1, rule, "certificate %d is not there", i+1).Under("pck_certificate_chain")
		}
		x, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return attestation.Malformed(-1, rule, "certificate %d: %v", i+1, err).Under("pck_certificate_chain")
		}
		*to, b = x, rest
	}
	if len(b) > 1 || len(b) == 1 && b[0] != 0 {
		return attestation.Malformed(-1, rule, "%d octets follow the root", len(b)).Under("pck_certificate_chain")
	}
	var err error
	if q.pck, err = pcs.PckCertificateExtensions(q.chain.pck); err != nil {
		return attestation.Malformed(-1, "Intel SGX PCK Certificate and CRL Profile", "%v",
			err).Under("pck_certificate_chain")
	}
	return nil
}

// field is the octets of one field.
func (q *quote) field(name string) []byte {
	for _, p := range q.parts {
		if p.name == name {
			return q.octets[p.start:p.end]
		}
	}
	return nil
}

// fields names the parts of the Evidence.
func (q *quote) fields() []attestation.Field {
	list := append([]attestation.Field{}, q.outer...)
	for _, p := range q.parts {
		f := attestation.Field{Name: p.name, Text: q.text(p), Unsigned: p.name == "pck_certificate_chain"}
		if q.at >= 0 {
			f.Start, f.End = q.at+p.start, q.at+p.end
		}
		list = append(list, f)
	}
	return append(list,
		attestation.Field{Name: "pck.subject", Text: q.chain.pck.Subject.CommonName},
		attestation.Field{Name: "pck.subject.organization", Text: strings.Join(q.chain.pck.Subject.Organization, ", ")},
		attestation.Field{Name: "pck.issuer", Text: q.chain.pck.Issuer.CommonName},
		attestation.Field{Name: "pck.PPID", Text: q.pck.PPID}, attestation.Field{Name: "pck.FMSPC", Text: q.pck.FMSPC},
		attestation.Field{Name: "pck.PCESVN", Text: fmt.Sprint(q.pck.TCB.PCESvn)})
}

// text is the value of a field, for people.
func (q *quote) text(p part) string {
	v := q.octets[p.start:p.end]
	switch p.name {
	case "version", "att_key_type", "qe_svn", "pce_svn", "certification_data_type", "qe_report.ISVPRODID",
		"qe_report.ISVSVN", "qe_authentication_data_length", "pck_data_type":
		return fmt.Sprint(binary.LittleEndian.Uint16(v))
	case "signature_data_length", "certification_data_length", "pck_data_length":
		return fmt.Sprint(binary.LittleEndian.Uint32(v))
	case "tee_type":
		return fmt.Sprintf("%#x", binary.LittleEndian.Uint32(v))
	case "TDATTRIBUTES":
		return attributesText(binary.LittleEndian.Uint64(v))
	case "XFAM":
		return fmt.Sprintf("%#x", binary.LittleEndian.Uint64(v))
	case "pck_certificate_chain":
		return "PEM"
	}
	return fmt.Sprintf("%x", v)
}

// attributes are the names of bits of TDATTRIBUTES (Intel TDX Module ABI, table 3.22).
var attributes = map[int]string{0: "DEBUG", 27: "LASS", 28: "SEPT_VE_DISABLE", 29: "MIGRATABLE", 30: "PKS", 31: "KL",
	63: "PERFMON"}

func attributesText(v uint64) string {
	text := fmt.Sprintf("%#x", v)
	for i := range 64 {
		if v>>i&1 == 0 {
			continue
		}
		if name := attributes[i]; name != "" {
			text += " " + name
		} else {
			text += fmt.Sprintf(" bit %d", i)
		}
	}
	return text
}
