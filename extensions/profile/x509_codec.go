package profile

import (
	"encoding/asn1"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"attls"
	"attls/internal/provider"
	"attls/internal/rule"
)

// Write makes the value of the field's X.509 extension out of its parts.
func (f *CertificateField) Write(parts [][]byte) ([]byte, error) {
	if len(parts) != len(f.Parts) {
		return nil, attls.Errorf(attls.Local, attls.FailInternal, "%d parts; %s has %d", len(parts), f.Name, len(f.Parts))
	}
	var b []byte
	if f.Tagged {
		b = appendHead(b, cborTag, f.Tag)
	}
	switch {
	case f.Array:
		b = appendHead(b, cborArray, uint64(len(parts)))
		for _, p := range parts {
			b = append(appendHead(b, cborBytes, uint64(len(p))), p...)
		}
	case f.Tagged: // a tag is of a data item
		b = append(appendHead(b, cborBytes, uint64(len(parts[0]))), parts[0]...)
	default:
		b = append(b, parts[0]...)
	}
	if !f.OctetString {
		return b, nil
	}
	var out cryptobyte.Builder
	out.AddASN1OctetString(b)
	return out.Bytes()
}

// Read takes the parts out of the value of the field's X.509 extension. They are views.
func (f *CertificateField) Read(value []byte) (parts [][]byte, err *attls.Error) {
	at := func(rest []byte, format string, args ...any) *attls.Error {
		return f.malformed(format, args...).At(len(value) - len(rest))
	}
	b := value
	if f.OctetString {
		in := cryptobyte.String(value)
		var inner cryptobyte.String
		if !in.ReadASN1(&inner, cbasn1.OCTET_STRING) {
			return nil, at(value, "the value is not a DER OCTET STRING")
		}
		if !in.Empty() {
			return nil, at(in, "%d octets follow the OCTET STRING", len(in))
		}
		b, value = inner, inner
	}
	if f.Tagged {
		tag, rest, ok := readHead(b, cborTag)
		if !ok || tag != f.Tag {
			return nil, at(b, "the value does not have the CBOR tag %d", f.Tag)
		}
		b = rest
	}
	count := uint64(1)
	switch {
	case f.Array:
		n, rest, ok := readHead(b, cborArray)
		if !ok || n != uint64(len(f.Parts)) {
			return nil, at(b, "the value is not a CBOR array of %d byte strings", len(f.Parts))
		}
		count, b = n, rest
	case !f.Tagged:
		return [][]byte{b}, nil
	}
	for range count {
		n, rest, ok := readHead(b, cborBytes)
		if !ok || n > uint64(len(rest)) {
			return nil, at(b, "there is no whole CBOR byte string")
		}
		parts, b = append(parts, rest[:n:n]), rest[n:]
	}
	if len(b) > 0 {
		return nil, at(b, "%d octets follow the CBOR data item", len(b))
	}
	return parts, nil
}

// The major types of CBOR that fields have (RFC 8949 section 3.1).
const (
	cborBytes = 2
	cborArray = 4
	cborTag   = 6
)

func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// readHead reads the head of a data item of definite length.
func readHead(b []byte, major byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 || b[0]>>5 != major {
		return 0, b, false
	}
	info := b[0] & 31
	b = b[1:]
	if info < 24 {
		return uint64(info), b, true
	}
	size := 1 << (info - 24)
	if info > 27 || len(b) < size {
		return 0, b, false
	}
	for _, o := range b[:size] {
		n = n<<8 | uint64(o)
	}
	return n, b[size:], true
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func (c NameCodec) encode(b []byte) string {
	if c == NamesHex {
		return hex.EncodeToString(b)
	}
	return lowerBase32.EncodeToString(b)
}

func (c NameCodec) decode(text string) ([]byte, error) {
	if c == NamesHex {
		return hex.DecodeString(text)
	}
	b, err := lowerBase32.DecodeString(text)
	if err == nil && lowerBase32.EncodeToString(b) != text {
		err = fmt.Errorf("the last character has bits that mean nothing")
	}
	return b, err
}

// octets is how many octets the text of some characters holds.
func (c NameCodec) octets(characters int) int {
	if c == NamesHex {
		return characters / 2
	}
	return characters * 5 / 8
}

// WriteNames makes the DNS names of the field, in the order of their numbers.
func (f *CertificateField) WriteNames(content []byte) ([]string, error) {
	text := f.Codec.encode(content)
	limit := 1
	for range f.Digits {
		limit *= 10
	}
	var names []string
	for first := true; first || text != ""; first = false {
		n := min(f.Chunk, len(text))
		if len(names) == min(limit, maxNames) {
			return nil, attls.Errorf(attls.Local, attls.FailTooLarge, "%d octets need more than %d names", len(content),
				len(names)).Under("x509." + f.Name)
		}
		names = append(names, fmt.Sprintf("%0*d%s.%s", f.Digits, len(names), text[:n], f.Suffix))
		text = text[n:]
	}
	return names, nil
}

// Has reports whether a DNS name is of the field.
func (f *CertificateField) Has(name string) bool {
	label, suffix, _ := strings.Cut(strings.ToLower(name), ".")
	if f.OID != nil || suffix != f.Suffix || len(label) < f.Digits {
		return false
	}
	_, err := strconv.ParseUint(label[:f.Digits], 10, 16)
	return err == nil
}

// readNames puts the content of the field together out of the DNS names of a
// certificate; those of others are passed over. present is false where there is none.
func (f *CertificateField) readNames(p *Profile, names []string) (content []byte, present bool, _ *attls.Error) {
	texts := map[int]string{}
	for _, name := range names {
		if !f.Has(name) {
			continue
		}
		label, _, _ := strings.Cut(strings.ToLower(name), ".")
		n, _ := strconv.Atoi(label[:f.Digits])
		if !p.obeys(rule.FieldNumbered) {
			n = len(texts)
		}
		if _, twice := texts[n]; twice {
			return nil, true, f.malformed("two names have the number %d", n)
		}
		texts[n] = label[f.Digits:]
	}
	if len(texts) == 0 {
		return nil, false, nil
	}
	var all strings.Builder
	for i := range len(texts) {
		text, ok := texts[i]
		if !ok {
			return nil, true, f.malformed("there are %d names, and none has the number %d", len(texts), i)
		}
		all.WriteString(text)
	}
	content, err := f.Codec.decode(all.String())
	if err != nil {
		return nil, true, f.malformed("the names do not hold %s: %v", nameWords.name(int(f.Codec)), err)
	}
	return content, true, nil
}

// Payload is the part of the field that is the payload; nil where it carries none.
func (f *CertificateField) Payload(parts [][]byte) []byte {
	if i := slices.Index(f.Parts, ""); i >= 0 && i < len(parts) {
		return parts[i]
	}
	return nil
}

// String names the field for people.
func (f *CertificateField) String() string {
	if f.OID != nil {
		return "extension " + f.OID.String()
	}
	return "name of " + f.Suffix
}

// ReadField takes the parts of a field, an index into X509, out of a DER certificate;
// nil: the certificate does not have it. They are views.
func (p *Profile) ReadField(field int, certificate []byte) ([][]byte, *attls.Error) {
	f := &p.X509[field]
	of, ok := provider.ParseCertificateFields(certificate)
	if !ok {
		return nil, attls.Errorf(attls.Malformed, attls.FailBadCertificate, "the certificate cannot be read").
			By("RFC 5280 4.1")
	}
	if f.OID == nil {
		names, ok := dnsNames(of.Extensions)
		if !ok {
			return nil, f.malformed("subjectAltName cannot be read")
		}
		content, present, err := f.readNames(p, names)
		if err != nil || !present {
			return nil, err
		}
		return [][]byte{content}, nil
	}
	x, err := f.find(p, of.Extensions)
	if x == nil || err != nil {
		return nil, err
	}
	parts, err := f.Read(x.Value)
	if err != nil && err.Offset >= 0 {
		err.Offset += x.Offset
	}
	return parts, err
}

// find is the field's extension; nil: there is none.
func (f *CertificateField) find(p *Profile,
	list []provider.CertificateExtension) (found *provider.CertificateExtension, _ *attls.Error) {
	for i := range list {
		x := &list[i]
		if !x.OID.Equal(f.OID) {
			continue
		}
		if found != nil && p.obeys(rule.FieldOnce) {
			return nil, f.malformed("the certificate has the extension %v twice", f.OID).At(x.Offset).By("RFC 5280 4.2")
		}
		found = x
	}
	if found != nil && f.Critical != CriticalEither && found.Critical != (f.Critical == CriticalYes) &&
		p.obeys(rule.FieldCritical) {
		return nil, attls.Errorf(attls.Violation, attls.FailBadCertificate, "critical is %v in the extension %v",
			found.Critical, f.OID).Under("x509." + f.Name).At(found.Offset).By(p.ID)
	}
	return found, nil
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// dnsNames are those of subjectAltName (RFC 5280 section 4.2.1.6).
func dnsNames(list []provider.CertificateExtension) (names []string, ok bool) {
	for _, x := range list {
		if !x.OID.Equal(oidSubjectAltName) {
			continue
		}
		var general []asn1.RawValue
		if rest, err := asn1.Unmarshal(x.Value, &general); err != nil || len(rest) > 0 {
			return nil, false
		}
		for _, n := range general {
			if n.Class == asn1.ClassContextSpecific && n.Tag == 2 {
				names = append(names, string(n.Bytes))
			}
		}
	}
	return names, true
}
