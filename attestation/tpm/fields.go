package tpm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"attls/attestation"

	"github.com/google/go-tpm/tpm2"
)

// fields names what the statements say, in the order of the octets of the value.
func (p *bundle) fields(value []byte) (list []attestation.Field) {
	names := map[any]string{}
	for _, name := range []string{labelKAT, labelPAT, "tpmVer", "kid", "sig", memberCertify, memberQuote, "pubArea"} {
		names[name] = name
	}
	for _, part := range attestation.ClaimFields(value, 0, "", names) {
		s := &p.kat
		if part.Name == labelPAT {
			s = &p.pat
		}
		for _, f := range attestation.ClaimFields(value[part.Start:part.End], part.Start, part.Name+".", names) {
			switch f.Name[len(part.Name)+1:] {
			case "kid":
				f.Unsigned = true
				f.Text += " (a hint, which is ignored)"
				f.Start = keyStart(value, f)
			case memberCertify, memberQuote:
				list = append(list, s.fields(f, value)...)
				continue
			case "pubArea":
				f.Text = fmt.Sprintf("%s; %s", describe(p.public), f.Text)
			}
			list = append(list, f)
		}
	}
	return list
}

// keyStart is where the octets begin that say nothing else than the hint: those of its
// head are needed to find what follows.
func keyStart(value []byte, f attestation.Field) int {
	switch info := value[f.Start] & 0x1f; {
	case info < 24:
		return f.Start + 1
	case info < 28:
		return f.Start + 1 + 1<<(info-24)
	}
	return f.Start
}

// describe says what kind of key a public area has.
func describe(area *tpm2.TPMTPublic) string {
	a := area.ObjectAttributes
	var text string
	for _, x := range []struct {
		set  bool
		name string
	}{{a.FixedTPM, "fixedTPM"}, {a.FixedParent, "fixedParent"}, {a.SensitiveDataOrigin, "sensitiveDataOrigin"},
		{a.Restricted, "restricted"}, {a.SignEncrypt, "sign"}, {a.Decrypt, "decrypt"}} {
		if x.set {
			text += x.name + " "
		}
	}
	return text + "ECC key"
}

// attestReader walks a TPMS_ATTEST (TPM 2.0 Library, Part 2, 10.12.12), which has been
// read already.
type attestReader struct {
	octets     []byte
	at, offset int // in the structure, and of its first octet in the value
	prefix     string
	list       []attestation.Field
}

// next names the next n octets; text of them, where it is nil, is hexadecimal.
func (r *attestReader) next(name string, n int, text func([]byte) string) {
	if n > len(r.octets)-r.at {
		n = len(r.octets) - r.at
	}
	b := r.octets[r.at : r.at+n]
	if text == nil {
		text = hex.EncodeToString
	}
	at := r.offset + r.at
	r.list = append(r.list, attestation.Field{Name: r.prefix + name, Start: at, End: at + n, Text: text(b)})
	r.at += n
}

// sized names a TPM2B: its length and its octets.
func (r *attestReader) sized(name string) {
	n := 0
	if len(r.octets)-r.at >= 2 {
		n = int(binary.BigEndian.Uint16(r.octets[r.at:]))
	}
	r.next(name, 2+n, func(b []byte) string { return hex.EncodeToString(b[min(2, len(b)):]) })
}

// fields names the members of the TPMS_ATTEST in a byte string of CBOR.
func (s *statement) fields(f attestation.Field, value []byte) []attestation.Field {
	at := bytes.LastIndex(value[:f.End], s.octets)
	if at < f.Start {
		return []attestation.Field{f} // the byte string is in pieces
	}
	r := &attestReader{octets: s.octets, offset: at, prefix: f.Name + "."}
	r.next("magic", 4, nil)
	r.next("type", 2, func([]byte) string { return typeNames[s.attest.Type] })
	r.sized("qualifiedSigner")
	r.sized("extraData")
	c := s.attest.ClockInfo
	r.next("clockInfo", 17, func([]byte) string {
		return fmt.Sprintf("clock %d ms, resetCount %d, restartCount %d, safe %t",
			c.Clock, c.ResetCount, c.RestartCount, bool(c.Safe))
	})
	r.next("firmwareVersion", 8, nil)
	if s.attest.Type == tpm2.TPMSTAttestCertify {
		r.sized("name")
		r.sized("qualifiedName")
		return r.list
	}
	q, err := s.attest.Attested.Quote()
	if err != nil {
		return r.list
	}
	r.next("pcrSelect", len(tpm2.Marshal(q.PCRSelect)), func([]byte) string { return selectionOf(q.PCRSelect).String() })
	r.sized("pcrDigest")
	return r.list
}

var typeNames = map[tpm2.TPMST]string{tpm2.TPMSTAttestCertify: "TPM_ST_ATTEST_CERTIFY",
	tpm2.TPMSTAttestQuote: "TPM_ST_ATTEST_QUOTE"}
