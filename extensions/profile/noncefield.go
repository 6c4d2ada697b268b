package profile

import (
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"attls"
	"attls/extensions"
	"attls/internal/rule"
)

// Nonces that travel in fields of the RFCs: a name of server_name, a protocol of ALPN,
// a distinguished name of certificate_authorities, ClientHello.random. The field keeps
// its grammar and, where it is a list, its other values.

// NonceCodec says how the octets of a nonce become the text of a field.
type NonceCodec uint8

// The codecs: the octets themselves, lower-case hexadecimal digits, base64 with padding
// (RFC 4648 section 4), base64url without (section 5).
const (
	CodecRaw NonceCodec = iota
	CodecHex
	CodecBase64
	CodecBase64URL
)

func (c NonceCodec) String() string { return codecWords.name(int(c)) }

// Encode is the text of a nonce.
func (c NonceCodec) Encode(nonce []byte) string {
	switch c {
	case CodecHex:
		return hex.EncodeToString(nonce)
	case CodecBase64:
		return base64.StdEncoding.EncodeToString(nonce)
	case CodecBase64URL:
		return base64.RawURLEncoding.EncodeToString(nonce)
	}
	return string(nonce)
}

// decode reads what Encode writes, and nothing else: every nonce has one spelling.
func (c NonceCodec) decode(text string) (nonce []byte, ok bool) {
	var err error
	switch c {
	case CodecHex:
		nonce, err = hex.DecodeString(text)
	case CodecBase64:
		nonce, err = base64.StdEncoding.DecodeString(text)
	case CodecBase64URL:
		nonce, err = base64.RawURLEncoding.DecodeString(text)
	default:
		nonce = []byte(text)
	}
	return nonce, err == nil && c.Encode(nonce) == text
}

// Length is how many octets the text of a nonce of n octets has.
func (c NonceCodec) Length(n int) int {
	switch c {
	case CodecHex:
		return hex.EncodedLen(n)
	case CodecBase64:
		return base64.StdEncoding.EncodedLen(n)
	case CodecBase64URL:
		return base64.RawURLEncoding.EncodedLen(n)
	}
	return n
}

// NonceField says how a slot's nonce is written into a field that an RFC defines. Its
// zero value says that the nonce is in a field of the profile's own extension.
type NonceField struct {
	Used   bool
	Codec  NonceCodec
	Prefix string // text of the field before the nonce
	Suffix string // and after it
	// Name is, in certificate_authorities, the distinguished name around the nonce:
	// its attributes, of which one holds Prefix, nonce and Suffix.
	Name []NameAttribute
	// Offset is where the nonce begins in ClientHello.random.
	Offset int
	// Selectable says that a server may select the ALPN name that holds the nonce.
	Selectable bool
}

// NameAttribute is an attribute of a distinguished name, each in a set of its own.
type NameAttribute struct {
	Type  string // object identifier in dotted form
	Value string // ignored where Nonce says that the nonce is in it
	Nonce bool
}

// Template is the text of the field, with {nonce} for the nonce.
func (n *NonceField) Template() string {
	if n.Name == nil {
		return n.Prefix + nonceMark + n.Suffix
	}
	list := make([]string, len(n.Name))
	for i, a := range n.Name {
		list[i] = attributeName(a.Type) + "=" + a.Value
		if a.Nonce {
			list[i] = attributeName(a.Type) + "=" + n.Prefix + nonceMark + n.Suffix
		}
	}
	return strings.Join(list, ",")
}

// nonceMark is the place of the nonce in a template.
const nonceMark = "{nonce}"

// Told reports whether the template has text besides the nonce, by which a value is
// known to be meant for the slot even if the nonce in it does not parse.
func (n *NonceField) Told() bool { return n.Prefix != "" || n.Suffix != "" || len(n.Name) > 1 }

// inner is the encoded nonce of a text that the template matches.
func (n *NonceField) inner(text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, n.Prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, n.Suffix)
}

// value is the value of a list, or the name, that holds an encoded nonce.
func (n *NonceField) value(t attls.ExtensionType, encoded string) ([]byte, error) {
	text := n.Prefix + encoded + n.Suffix
	if t != attls.ExtCertificateAuthorities {
		return []byte(text), nil
	}
	return n.distinguished(text)
}

// readNonce finds the slot's nonce in a value of a list, or in a name. ours: the value is
// meant for the slot, by the text around the nonce or, where there is none, because it is a
// nonce; the error is of one that is meant for it and holds none.
func (s *Slot) readNonce(t attls.ExtensionType, value []byte) (nonce []byte, ours bool, _ *attls.Error) {
	n := &s.NonceField
	text, ours := string(value), true
	if t == attls.ExtCertificateAuthorities {
		text, ours = n.attribute(value)
	}
	inner, matches := n.inner(text)
	if !ours || !matches {
		return nil, false, nil
	}
	var err *attls.Error
	nonce, ok := n.Codec.decode(inner)
	switch {
	case !ok:
		err = attls.Errorf(attls.Malformed, attls.FailAttestationExtension, "%q is not %s, which %s has for the nonce", inner,
			n.Codec, n.Template())
	case len(nonce) < s.NonceMin || len(nonce) > s.NonceMax:
		err = attls.Errorf(attls.Malformed, attls.FailAttestationExtension, "a nonce of %d octets; slot %s takes %d to %d",
			len(nonce), s.Name, s.NonceMin, s.NonceMax)
	}
	if err != nil && !n.Told() {
		return nil, false, nil
	}
	return nonce, true, err
}

// attributeValue is AttributeTypeAndValue of X.501 with a value whose tag is kept.
type attributeValue struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type attributeSET []attributeValue // of the kind that encoding/asn1 writes as a SET

// distinguished is the name, in DER.
func (n *NonceField) distinguished(text string) ([]byte, error) {
	var name []attributeSET
	for _, a := range n.Name {
		value := a.Value
		if a.Nonce {
			value = text
		}
		der, err := asn1.Marshal(value) // PrintableString where it can be, UTF8String otherwise
		if err != nil {
			return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "%v", err)
		}
		name = append(name, attributeSET{{Type: oidOf(a.Type), Value: asn1.RawValue{FullBytes: der}}})
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "%v", err)
	}
	return der, nil
}

// attribute is the text around the nonce in a name that has the attributes of the
// template, in their order, and no others.
func (n *NonceField) attribute(der []byte) (text string, ok bool) {
	var name []attributeSET
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 || len(name) != len(n.Name) {
		return "", false
	}
	for i, a := range n.Name {
		if len(name[i]) != 1 || name[i][0].Type.String() != a.Type {
			return "", false
		}
		value, ok := directoryString(&name[i][0].Value)
		switch {
		case !ok, !a.Nonce && value != a.Value:
			return "", false
		case a.Nonce:
			text = value
		}
	}
	return text, true
}

// directoryString reads the strings that names have (X.520), as far as they are of
// octets.
func directoryString(v *asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal {
		return "", false
	}
	switch v.Tag {
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String:
		return string(v.Bytes), true
	case asn1.TagUTF8String:
		return string(v.Bytes), utf8.Valid(v.Bytes)
	}
	return "", false
}

// attributeTypes are the short names of RFC 4514 section 3 and those that Go, OpenSSL
// and others print.
var attributeTypes = []struct{ name, oid string }{
	{"CN", "2.5.4.3"}, {"serialNumber", "2.5.4.5"}, {"C", "2.5.4.6"}, {"L", "2.5.4.7"}, {"ST", "2.5.4.8"},
	{"STREET", "2.5.4.9"}, {"O", "2.5.4.10"}, {"OU", "2.5.4.11"}, {"title", "2.5.4.12"},
	{"DC", "0.9.2342.19200300.100.1.25"}, {"UID", "0.9.2342.19200300.100.1.1"},
}

func attributeName(oid string) string {
	for _, a := range attributeTypes {
		if a.oid == oid {
			return a.name
		}
	}
	return oid
}

// attributeType is the object identifier of a name, or of one in dotted form.
func attributeType(name string) (oid string, ok bool) {
	for _, a := range attributeTypes {
		if strings.EqualFold(a.name, name) {
			return a.oid, true
		}
	}
	return name, oidOf(name) != nil
}

// oidOf reads an object identifier in dotted form; nil: it is none.
func oidOf(s string) asn1.ObjectIdentifier {
	var oid asn1.ObjectIdentifier
	for _, arc := range strings.Split(s, ".") {
		n, err := parseNumber(arc)
		if err != nil || n > 1<<31-1 || arc[0] == '0' && len(arc) > 1 {
			return nil
		}
		oid = append(oid, int(n))
	}
	if der, err := asn1.Marshal(oid); err != nil || len(der) == 0 {
		return nil
	}
	return oid
}

// NonceIn is the slot whose nonce is in a field that an RFC defines, in an extension of
// a message; -1: there is none. An extension can hold those of several slots, of which
// this is the first.
func (p *Profile) NonceIn(k attls.MessageKind, t attls.ExtensionType) int {
	for i := range p.Slots {
		if p.Slots[i].NonceField.Used && p.Slots[i].Nonce == (Place{Message: k, Extension: t}) {
			return i
		}
	}
	return -1
}

// Reads reports whether an extension of a message says something to the profile: it is
// one of the profile's, or one of an RFC that carries a nonce there.
func (p *Profile) Reads(k attls.MessageKind, t attls.ExtensionType) bool {
	if _, own := p.Extension(t); own {
		return true
	}
	return p.NonceIn(k, t) >= 0
}

// IsNonce reports whether a value of a list, or a name, in an extension of an RFC holds a
// nonce and nothing else: it names no host, protocol or authority.
func (p *Profile) IsNonce(k attls.MessageKind, t attls.ExtensionType, value []byte) bool {
	for i := range p.Slots {
		s := &p.Slots[i]
		if s.NonceField.Used && s.Nonce == (Place{Message: k, Extension: t}) {
			if _, ours, _ := s.readNonce(t, value); ours {
				return true
			}
		}
	}
	return false
}

// SelectsNonce reports whether an ALPN name of a ClientHello holds a nonce and a server may
// select it nevertheless.
func (p *Profile) SelectsNonce(name []byte) bool {
	for i := range p.Slots {
		s := &p.Slots[i]
		if s.NonceField.Selectable && s.Nonce.Extension == attls.ExtALPN {
			if _, ours, _ := s.readNonce(attls.ExtALPN, name); ours {
				return true
			}
		}
	}
	return false
}

// Embed returns the extensions of RFCs that carry the nonces of f in a message, each
// with the values that it has already: body is the body that it would have otherwise,
// or nil where it would not be sent.
func (p *Profile) Embed(k attls.MessageKind, f *Fields,
	body func(attls.ExtensionType) []byte) ([]RawExtension, error) {
	var list []RawExtension
	for i := range p.Slots {
		s := &p.Slots[i]
		if !s.NonceField.Used || s.Nonce.Message != k || s.Nonce.Random || f.Nonces[i] == nil {
			continue
		}
		t := s.Nonce.Extension
		at := slices.IndexFunc(list, func(x RawExtension) bool { return x.Type == t })
		if at < 0 {
			at, list = len(list), append(list, RawExtension{t, body(t)})
		}
		with, err := p.WithNonces(i, list[at].Body, s.NonceField.Codec.Encode(f.Nonces[i]))
		if err != nil {
			return nil, err
		}
		list[at].Body = with
	}
	return list, nil
}

// WithNonces returns the body of the RFC's extension that carries the nonce of a slot with
// encoded nonces in the place of the one that it has, if any; its other values stay. It is for
// tools: that the texts are encoded nonces is not checked, and there can be several.
func (p *Profile) WithNonces(slot int, body []byte, encoded ...string) ([]byte, error) {
	s := &p.Slots[slot]
	t := s.Nonce.Extension
	list, err := valuesOf(t, body)
	if err != nil && body != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(value []byte) bool {
		_, ours, _ := s.readNonce(t, value)
		return ours || t == attls.ExtServerName // which has one name
	})
	var nonces [][]byte
	for _, e := range encoded {
		value, err := s.NonceField.value(t, e)
		if err != nil {
			return nil, err
		}
		nonces = append(nonces, value)
	}
	switch t {
	case attls.ExtServerName:
		return extensions.AppendServerName(nil, string(slices.Concat(nonces...))), nil
	case attls.ExtALPN: // first, as those whom the protocols are for may look no further
		names := []string{}
		for _, value := range append(nonces, list...) {
			names = append(names, string(value))
		}
		return extensions.AppendALPN(nil, names), nil
	}
	return extensions.AppendCertificateAuthorities(nil, append(list, nonces...)), nil
}

// decodeNonces reads the nonces that an extension of an RFC carries.
func (p *Profile) decodeNonces(k attls.MessageKind, t attls.ExtensionType, body []byte, f *Fields) error {
	values, err := valuesOf(t, body)
	if err != nil {
		return err
	}
	for i := range p.Slots {
		s := &p.Slots[i]
		if !s.NonceField.Used || s.Nonce != (Place{Message: k, Extension: t}) {
			continue
		}
		f.Nonces[i] = nil
		for _, value := range values {
			nonce, ours, err := s.readNonce(t, value)
			switch {
			case !ours, err != nil && !p.obeys(rule.NonceSpelled):
				continue
			case err != nil:
				return err.Under(t.String()).By(p.ID)
			case f.Nonces[i] != nil && p.obeys(rule.NonceOnce):
				return attls.Errorf(attls.Violation, attls.FailIllegalParameter,
					"two values are of the form %s, which holds one nonce", s.NonceField.Template()).Under(t.String()).By(p.ID)
			}
			f.Nonces[i] = nonce
		}
	}
	return nil
}

// valuesOf are the values of an extension in which a nonce may be.
func valuesOf(t attls.ExtensionType, body []byte) (list [][]byte, _ error) {
	switch t {
	case attls.ExtServerName:
		name, err := extensions.ParseServerName(body)
		if err != nil {
			return nil, err
		}
		if name != nil {
			list = append(list, name)
		}
	case attls.ExtALPN:
		names, err := extensions.ParseALPN(body)
		if err != nil {
			return nil, err
		}
		for name := range names.All() {
			list = append(list, name)
		}
	case attls.ExtCertificateAuthorities:
		names, err := extensions.ParseCertificateAuthorities(body)
		if err != nil {
			return nil, err
		}
		for name := range names.All() {
			list = append(list, name)
		}
	}
	return list, nil
}

// EmbedRandom writes the nonces that ClientHello.random carries into it.
func (p *Profile) EmbedRandom(f *Fields, random []byte) {
	for i := range p.Slots {
		if s := &p.Slots[i]; s.Nonce.Random && f.Nonces[i] != nil {
			copy(random[s.NonceField.Offset:], f.Nonces[i])
		}
	}
}

// DecodeRandom reads the nonces that ClientHello.random carries.
func (p *Profile) DecodeRandom(random []byte, f *Fields) {
	for i := range p.Slots {
		if s := &p.Slots[i]; s.Nonce.Random && s.NonceField.Offset+s.NonceMax <= len(random) {
			f.Nonces[i] = append([]byte(nil), random[s.NonceField.Offset:][:s.NonceMax]...)
		}
	}
}
