package profile

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"attls"
	"attls/internal/rule"
)

// ReadObject is what an object has told.
type ReadObject struct {
	// Payload and Nonce are those of a slot; nil: the object has none, or it is absent.
	Payload, Nonce []byte
	// Refused says that the peer reports a failure, and Reason what it says of it.
	Refused bool
	Reason  string
}

// DecodeObject reads an object, and compares what both ends know. Content is what the other
// end is expected to have sent; its Octets are asked for definitions alone.
func (p *Profile) DecodeObject(object int, octets []byte, c *ObjectContent) (*ReadObject, error) {
	r := &ReadObject{}
	if err := p.readObject(object, octets, c, r); err != nil {
		return nil, err.Under(p.Objects[object].Name).By(p.ID)
	}
	return r, nil
}

func (p *Profile) readObject(object int, octets []byte, c *ObjectContent, r *ReadObject) *attls.Error {
	o := &p.Objects[object]
	members := jsonMembers
	if o.CBOR {
		members = cborMembers
	}
	list, err := members(octets)
	if err != nil {
		return err
	}
	seen := make([]bool, len(o.Fields))
	for i := range list {
		m := &list[i]
		k := o.find(m)
		if twice := slices.ContainsFunc(list[:i], m.same); twice && p.obeys(rule.FrameMembers) {
			return attls.Errorf(attls.Malformed, attls.FailDecode, "has %s twice", m.name()).At(m.at)
		}
		switch {
		case k < 0 && (o.Ignores || !p.obeys(rule.FrameMembers)):
		case k < 0:
			return attls.Errorf(attls.Malformed, attls.FailDecode, "has no member %s", m.name()).At(m.at)
		case m.null && o.Fields[k].Optional:
		default:
			seen[k] = true
			if err := p.readMember(o, &o.Fields[k], m, c, r); err != nil {
				return err.Under(o.Fields[k].Name).At(m.at)
			}
		}
	}
	for k := range seen {
		if f := &o.Fields[k]; !seen[k] && !f.mayBeAbsent(c) {
			if r.Refused {
				continue // it says so in another form
			}
			return attls.Errorf(attls.Malformed, attls.FailDecode, "is absent").Under(f.Name)
		}
	}
	return nil
}

// mayBeAbsent reports whether a member need not be there.
func (f *ObjectField) mayBeAbsent(c *ObjectContent) bool {
	return f.Optional || f.Any || (f.Means == MeansAttesters || f.Means == MeansVerdict) && !f.Has[f.which(c)]
}

func (o *Object) find(m *member) int {
	for i := range o.Fields {
		f := &o.Fields[i]
		if f.HasKey == m.numbered && (f.HasKey && f.Key == m.number || !f.HasKey && f.Name == m.key) {
			return i
		}
	}
	return -1
}

// readMember reads the value of a member.
func (p *Profile) readMember(o *Object, f *ObjectField, m *member, c *ObjectContent, r *ReadObject) *attls.Error {
	if f.Type == FieldObject {
		return p.readObject(f.Object, m.raw, c, r)
	}
	v, err := f.read(m, o.CBOR)
	if err != nil {
		return err
	}
	switch f.Means {
	case MeansVerdict:
		r.Refused = r.Refused || f.Has[1] && v.text == f.Is[1]
		if !f.Any && !(f.Has[0] && v.text == f.Is[0]) && !(f.Has[1] && v.text == f.Is[1]) {
			return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%q is not a verdict", v.text)
		}
	case MeansReason:
		r.Refused, r.Reason = r.Refused || v.text != "", v.text
	case MeansConstant, MeansAttesters:
		i := f.which(c)
		switch {
		case f.Any || !p.obeys(rule.FrameConstant):
		case !f.Has[i]:
			return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%q, where it is absent", v.text)
		case v.text != f.Is[i]:
			return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%q, not %q", v.text, f.Is[i])
		}
	default:
		return p.readOctets(f, v.octets, c, r)
	}
	return nil
}

func (p *Profile) readOctets(f *ObjectField, octets []byte, c *ObjectContent, r *ReadObject) *attls.Error {
	if n := len(octets); n < f.Min || n > f.Max {
		if n == 0 && f.Optional {
			return nil
		}
		return attls.Errorf(attls.Malformed, attls.FailDecode, "%d octets, and it takes %d to %d", n, f.Min, f.Max)
	}
	switch f.Means {
	case MeansPayload:
		r.Payload = octets
	case MeansNonce:
		r.Nonce = octets
	case MeansDefined:
		if f.Any || c.Unknown || !p.obeys(rule.FrameDefined) {
			return nil
		}
		want, err := c.Octets(f)
		if err != nil {
			return attls.Errorf(attls.Local, attls.FailBinderUndefined, "%v", err)
		}
		if subtle.ConstantTimeCompare(want, octets) == 0 {
			return attls.Errorf(attls.Refused, attls.FailBinderMismatch, "is %x, and %s is %x here", octets, f.Defined, want)
		}
	}
	return nil
}

// read reads a value in the type of its member.
func (f *ObjectField) read(m *member, inCBOR bool) (v memberValue, err *attls.Error) {
	wrong := func() (memberValue, *attls.Error) {
		return v, attls.Errorf(attls.Malformed, attls.FailDecode, "is not a %s", fieldTypeWords.name(int(f.Type)))
	}
	s, kind, ok := m.scalar(inCBOR)
	if !ok {
		return wrong()
	}
	want := scalarString
	switch f.Type {
	case FieldNumber:
		want = scalarUnsigned
	case FieldBoolean:
		want = scalarBool
	case FieldOctets:
		if inCBOR {
			want = scalarBytes
		}
	}
	if kind != want {
		return wrong()
	}
	var cause error
	switch f.Type {
	case FieldOctets:
		if v.octets = []byte(s); !inCBOR {
			v.octets, cause = base64.StdEncoding.Strict().DecodeString(s)
		}
	case FieldBase64:
		v.octets, cause = base64.StdEncoding.Strict().DecodeString(s)
	case FieldBase64URL:
		v.octets, cause = base64.RawURLEncoding.Strict().DecodeString(s)
	case FieldHex:
		v.octets, cause = hex.DecodeString(s)
	default:
		v.text = s
	}
	if cause != nil || strings.ContainsAny(s, "\r\n") && f.Type != FieldText && want == scalarString {
		return wrong()
	}
	return v, nil
}

// scalarKind is what a value is in JSON or CBOR.
type scalarKind uint8

const (
	scalarString scalarKind = iota
	scalarUnsigned
	scalarBool
	scalarBytes
)

// member is a member of an object that was received.
type member struct {
	key      string
	number   uint64
	numbered bool
	null     bool
	at       int
	raw      []byte // its value
}

func (m *member) name() string {
	if m.numbered {
		return strconv.FormatUint(m.number, 10)
	}
	return fmt.Sprintf("%q", m.key)
}

// same reports whether two members have the same key.
func (m *member) same(o member) bool {
	return o.numbered == m.numbered && o.number == m.number && o.key == m.key
}

// maxMembers bounds the members of an object.
const maxMembers = 64

func tooMany(list []member, at int) *attls.Error {
	if len(list) < maxMembers {
		return nil
	}
	return attls.Errorf(attls.Malformed, attls.FailLimit, "has more than %d members", maxMembers).At(at)
}

// scalar is the value of a member that is neither an object nor a list.
func (m *member) scalar(inCBOR bool) (s string, kind scalarKind, ok bool) {
	if inCBOR {
		return cborScalar(m.raw)
	}
	switch {
	case bytes.Equal(m.raw, []byte("true")), bytes.Equal(m.raw, []byte("false")):
		return string(m.raw), scalarBool, true
	case len(m.raw) > 0 && m.raw[0] == '"':
		s, ok = jsonString(m.raw)
		return s, scalarString, ok
	}
	n, err := strconv.ParseUint(string(m.raw), 10, 53)
	return strconv.FormatUint(n, 10), scalarUnsigned, err == nil && strconv.FormatUint(n, 10) == string(m.raw)
}

func validText(s string) bool { return utf8.ValidString(s) }
