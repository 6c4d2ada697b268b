package profile

import (
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/extensions/schema"
)

// Fields of the attester's end-entity certificate: the value of an X.509 extension, or
// names of subjectAltName. One of them may carry the payload of the credential kind
// x509; the others hold values of the binder language, which both ends compute.

// Critical says what the critical flag of an X.509 extension has to be.
type Critical uint8

// The choices: whatever it is (sent as false), false, true.
const (
	CriticalEither Critical = iota
	CriticalNo
	CriticalYes
)

// NameCodec is how octets become the text of DNS names, in which case does not count.
type NameCodec uint8

// The codecs: base32 without padding (RFC 4648 section 6) and hexadecimal digits, both
// sent in lower case.
const (
	NamesBase32 NameCodec = iota
	NamesHex
)

// CertificateField is one such field.
type CertificateField struct {
	Name     string
	OID      asn1.ObjectIdentifier // of the X.509 extension; nil where the field is DNS names
	Critical Critical
	// The value of the extension is the content, wrapped from the inside out: the array of
	// CBOR byte strings, the CBOR tag, the DER OCTET STRING.
	OctetString bool
	Tagged      bool
	Tag         uint64
	Array       bool
	// Parts are what the field holds: one value, or the elements of the array. "" is the
	// payload, another text a definition of the binder.
	Parts []string
	// DNS names: a label of digits and text, and what follows it. Names are put in the
	// order of their numbers.
	Suffix string
	Digits int
	Chunk  int // characters of text in one name
	Codec  NameCodec

	pos schema.Position
}

// payloadPart names the payload among the parts of a field.
const payloadPart = "payload"

// Carries reports whether the payload of the credential is in the field.
func (f *CertificateField) Carries() bool { return slices.Contains(f.Parts, "") }

// What a certificate of ours has besides the field, in octets, at most.
const certificateRest = 1 << 16

// maxNames bounds the DNS names of one field.
const maxNames = 1000

// room is how many octets of payload the field can hold.
func (f *CertificateField) room() int {
	if f.OID != nil {
		return payloadInCertData - certificateRest
	}
	names := 1
	for range f.Digits {
		names *= 10
	}
	return f.Codec.octets(min(names, maxNames) * f.Chunk)
}

var x509Key = each("x509", "fields of the attester's end-entity certificate, which is made once the Evidence is there",
	group("", "a field: the value of an X.509 extension, or DNS names in subjectAltName",
		text("oid", "object identifier of the X.509 extension, as 1.2.840.113741.1337.6"),
		oneOf("critical", criticalWords, "the critical flag of the X.509 extension"),
		flag("octet_string", "the value is a DER OCTET STRING with the content in it"),
		number("cbor_tag", "the content has this CBOR tag (RFC 8949 3.4)"),
		list("cbor_array", "the content is a CBOR array of byte strings: payload, or definitions of binder.define"),
		text("content", "what is in the field: payload, or a definition of binder.define, which both ends compute"),
		text("dns_names", "what follows the first label of each name, as hatt.example.org; the label is a number and text"),
		number("digits", "digits of that number, which counts from 0"),
		number("chunk", "characters of the text in one name"),
		oneOf("codec", nameWords, "how the octets of the content become that text"))).namedKeys()

// x509Path is where a payload travels in a certificate.
const x509Path = "certificate.x509."

// x509 reads the fields of certificates.
func (c *compiler) x509() {
	for _, e := range c.doc.under("x509") {
		f := CertificateField{Name: e.key, pos: e.pos, Digits: 2, Chunk: 48,
			Critical:    Critical(c.word(criticalWords, int(CriticalEither), "x509", e.key, "critical")),
			OctetString: c.flag("x509", e.key, "octet_string"),
			Codec:       NameCodec(c.word(nameWords, int(NamesBase32), "x509", e.key, "codec"))}
		oid, names := e.value.get("oid"), e.value.get("dns_names")
		switch {
		case (oid == nil) == (names == nil):
			c.fail(e.pos, ProblemKey, "%s is the value of an X.509 extension or DNS names", e.key).
				Advice = "say oid, or dns_names"
		case oid != nil:
			c.objectIdentifier(&f, oid)
			c.onlyOf(e, "names in subjectAltName have", "digits", "chunk", "codec")
			c.wrapping(&f, e)
		default:
			c.onlyOf(e, "the value of an X.509 extension has", "critical", "octet_string", "cbor_tag", "cbor_array")
			c.dnsNames(&f, e, names)
		}
		c.parts(&f, e)
		c.p.X509 = append(c.p.X509, f)
	}
	slices.SortFunc(c.p.X509, func(a, b CertificateField) int { return strings.Compare(a.Name, b.Name) })
}

// onlyOf refuses keys that belong to the other sort of field.
func (c *compiler) onlyOf(e *entry, whose string, keys ...string) {
	for _, key := range keys {
		if v := e.value.entry(key); v != nil && !c.dead(v.pos, "x509", e.key, key) {
			c.fail(v.pos, ProblemRule, "only %s %s", whose, key).Advice = "remove it"
		}
	}
}

func (c *compiler) objectIdentifier(f *CertificateField, v *value) {
	for _, arc := range strings.Split(v.text, ".") {
		n, err := parseNumber(arc)
		if err != nil || n > 1<<31-1 || len(arc) > 1 && arc[0] == '0' {
			f.OID = nil
			break
		}
		f.OID = append(f.OID, int(n))
	}
	if _, err := asn1.Marshal(f.OID); err != nil {
		c.fail(v.pos, ProblemValue, "%s is not an object identifier", v.text).Advice = "write it as 1.2.840.113741.1337.6"
		f.OID = asn1.ObjectIdentifier{2, 25}
		return
	}
	for i := range c.p.X509 {
		if c.p.X509[i].OID.Equal(f.OID) {
			c.fail(v.pos, ProblemValue, "%s has the object identifier of %s", f.Name, c.p.X509[i].Name)
		}
	}
	if len(f.OID) == 4 && f.OID[0] == 2 && f.OID[1] == 5 && f.OID[2] == 29 {
		c.fail(v.pos, ProblemValue, "%s is an extension of RFC 5280, which means something else", v.text)
	}
}

func (c *compiler) wrapping(f *CertificateField, e *entry) {
	if v := e.value.get("cbor_tag"); v != nil {
		f.Tagged = true
		f.Tag, _ = parseNumber(v.text)
	}
	f.Array = e.value.get("cbor_array") != nil
}

func (c *compiler) dnsNames(f *CertificateField, e *entry, v *value) {
	f.Suffix = strings.ToLower(v.text)
	if n := e.value.get("digits"); n != nil {
		f.Digits = c.number("x509", e.key, "digits")
	}
	if n := e.value.get("chunk"); n != nil {
		f.Chunk = c.number("x509", e.key, "chunk")
	}
	for _, label := range strings.Split(f.Suffix, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			c.fail(v.pos, ProblemValue, "%s is not a DNS name", v.text).Advice = "write it as hatt.example.org"
			return
		}
	}
	switch longest := f.Digits + f.Chunk; {
	case f.Digits < 1 || f.Digits > 3:
		c.fail(e.pos, ProblemValue, "a number of %d digits; 1 to 3 are possible", f.Digits)
	case f.Chunk < 1 || longest > 63:
		c.fail(e.pos, ProblemValue, "a label of %d digits and %d characters; a label has 63 at most", f.Digits, f.Chunk)
	case longest+1+len(f.Suffix) > 253:
		c.fail(e.pos, ProblemValue, "names of %d characters; a DNS name has 253 at most", longest+1+len(f.Suffix))
	}
	for i := range c.p.X509 {
		if c.p.X509[i].Suffix == f.Suffix {
			c.fail(v.pos, ProblemValue, "%s has the names of %s", f.Name, c.p.X509[i].Name)
		}
	}
}

// parts reads what a field holds; that definitions exist the binder says.
func (c *compiler) parts(f *CertificateField, e *entry) {
	content := e.value.get("content")
	list := e.value.get("cbor_array")
	switch {
	case list != nil && content != nil:
		c.fail(content.pos, ProblemRule, "the array says what is in %s", e.key).Advice = "remove content"
		return
	case list != nil:
		for _, x := range list.items {
			f.Parts = append(f.Parts, part(x.text))
		}
		if len(f.Parts) == 0 || len(f.Parts) > 16 {
			c.fail(list.pos, ProblemValue, "an array of %d; 1 to 16 byte strings are possible", len(f.Parts))
		}
	case content != nil:
		f.Parts = []string{part(content.text)}
	default:
		f.Parts = []string{""}
	}
	if i := slices.Index(f.Parts, ""); i >= 0 && slices.Contains(f.Parts[i+1:], "") {
		c.fail(list.pos, ProblemRule, "the payload is in %s twice", e.key)
	}
}

func part(text string) string {
	if text == payloadPart {
		return ""
	}
	return text
}

// carriedInField ties the payload of a credential to a field of the certificate.
func (c *compiler) carriedInField(k *Credential, name string, v *value) {
	i := slices.IndexFunc(c.p.X509, func(f CertificateField) bool { return f.Name == name })
	switch {
	case i < 0:
		var known []string
		for _, f := range c.p.X509 {
			known = append(known, f.Name)
		}
		propose(c.fail(v.pos, ProblemPath, "x509 has no field %s", name), name, known)
		return
	case k.Kind == KindAlone:
		c.fail(v.pos, ProblemRule, "a payload without a certificate is carried in certificate.cert_data")
		return
	case !c.p.X509[i].Carries():
		c.fail(v.pos, ProblemRule, "%s does not hold the payload", name).
			Advice = "say content: payload, or name payload in cbor_array"
		return
	}
	k.Carrier, k.Field, k.MaxPayload = CarrierCertificate, i, c.p.X509[i].room()
}

// fieldsUsed refuses fields that would never be written: the payload is in one of
// them, and the others hold values of the binder.
func (c *compiler) fieldsUsed() {
	k, ok := c.p.Credential(KindX509)
	for i := range c.p.X509 {
		f := &c.p.X509[i]
		switch {
		case !ok || k.Carrier != CarrierCertificate:
			c.fail(f.pos, ProblemUnbound, "no payload travels in a certificate, so %s would never be written", f.Name).
				Advice = "say bind: {credentials: {x509: {carried_in: " + x509Path + f.Name + "}}}, or remove it"
		case f.Carries() && i != k.Field:
			c.fail(f.pos, ProblemUnbound, "the payload travels in %s, so %s would never be written",
				c.p.X509[k.Field].Name, f.Name).Advice = "give it a content of binder.define, or remove it"
		}
	}
}

// x509Definitions are the definitions of the binder that fields hold.
func (c *compiler) x509Definitions() (list []string) {
	for _, f := range c.p.X509 {
		for _, name := range f.Parts {
			if name != "" {
				list = append(list, name)
			}
		}
	}
	return list
}

// x509Values are the texts that name them.
func (c *compiler) x509Values() (list []*value) {
	for _, e := range c.doc.under("x509") {
		texts := []*value{e.value.get("content")}
		if v := e.value.get("cbor_array"); v != nil {
			texts = append(texts, v.items...)
		}
		for _, v := range texts {
			if v != nil && v.text != payloadPart {
				list = append(list, v)
			}
		}
	}
	return list
}

// InCertificate reports whether the Evidence of an attester is in its certificate.
func (p *Profile) InCertificate() bool {
	k, ok := p.Credential(KindX509)
	return ok && k.Carrier == CarrierCertificate
}

// malformedField is a failure in a field of a certificate.
func (f *CertificateField) malformed(format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Malformed, attls.FailMalformedCMW, format, args...).Under("x509." + f.Name)
}

// always reads a slot of which nothing is negotiated.
func (c *compiler) always(s *Slot, e *entry, v *value) {
	s.Always, s.Models, s.Kinds = true, []Model{Model(alwaysWords.value(v))}, []CredentialKind{KindX509}
	for _, key := range []string{"offer", "choice"} {
		if x := e.value.entry(key); x != nil && !c.dead(x.pos, "bind", "slots", e.key, key) {
			c.fail(x.pos, ProblemRule, "%s always attests, so nothing is negotiated", e.key).
				Advice = "remove " + key + ", or always"
		}
	}
	if k := c.doc.get("bind", "credentials", KindX509.String(), "carried_in"); k != nil &&
		!strings.HasPrefix(k.text, x509Path) {
		c.fail(v.pos, ProblemRule,
			"nothing is negotiated for %s, so a peer that does not know the profile would refuse a payload in %s", e.key,
			k.text).Advice = "put it into a field of x509, as " + x509Path + "quote"
	}
}

// unwritten names a scheme that no message holds.
func (s *Slot) unwritten(x *Scheme) ([]byte, bool) {
	if !slices.Contains(s.Models, x.Model) || !slices.Contains(s.Kinds, x.Credential) {
		return nil, false
	}
	if x.Model == ModelResults {
		return append([]byte("results "), x.Verifier...), true
	}
	return fmt.Appendf(nil, "evidence %d %s", x.Format.ContentFormat, x.Format.MediaType), true
}
