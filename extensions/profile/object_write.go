package profile

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"attls"
)

// ObjectContent is what the members of an Object are made of, and compared with.
type ObjectContent struct {
	// Attesters are the ends that attest, by their role.
	Attesters [2]bool
	// Reason is why this end refuses the peer; empty: it does not.
	Reason string
	// Unknown says that definitions are not known here, so that they are not compared.
	Unknown bool
	// Octets are those of a member with a meaning: the payload or the nonce of a slot, or a
	// definition. Nil octets: there is none.
	Octets func(f *ObjectField) ([]byte, error)
}

// which is the constant of a member for a content.
func (f *ObjectField) which(c *ObjectContent) int {
	switch f.Means {
	case MeansAttesters:
		return bit(c.Attesters[attls.RoleClient]) + 2*bit(c.Attesters[attls.RoleServer])
	case MeansVerdict:
		return bit(c.Reason != "")
	}
	return 0
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// memberValue is what a member has: as text, or as octets.
type memberValue struct {
	absent bool
	text   string // of a number, a text or a boolean
	octets []byte
}

// member is the value of a member that is sent.
func (p *Profile) member(f *ObjectField, c *ObjectContent) (v memberValue, err error) {
	switch f.Means {
	case MeansConstant, MeansAttesters, MeansVerdict:
		i := f.which(c)
		if !f.Has[i] {
			return memberValue{absent: true}, nil
		}
		return memberValue{text: f.Is[i]}, nil
	case MeansReason:
		return memberValue{absent: c.Reason == "", text: c.Reason}, nil
	}
	v.octets, err = c.Octets(f)
	switch n := len(v.octets); {
	case err != nil:
		return v, err
	case v.octets == nil && (f.Optional || c.Reason != ""):
		v.absent = true
	case v.octets == nil:
		return v, attls.Errorf(attls.Local, attls.FailConfiguration, "there is nothing to send in it").Under(f.Name).By(p.ID)
	case n < f.Min || n > f.Max:
		return v, attls.Errorf(attls.Local, attls.FailTooLarge, "%d octets, and it takes %d to %d", n, f.Min, f.Max).
			Under(f.Name).By(p.ID)
	}
	return v, nil
}

// EncodeObject writes an object; object is an index into Objects.
func (p *Profile) EncodeObject(object int, c *ObjectContent) ([]byte, error) {
	o := &p.Objects[object]
	var b []byte
	n := 0
	for i := range o.Fields {
		f := &o.Fields[i]
		var written []byte
		if f.Type == FieldObject {
			nested, err := p.EncodeObject(f.Object, c)
			if err != nil {
				return nil, err
			}
			written = nested
		} else {
			v, err := p.member(f, c)
			if err != nil {
				return nil, err
			}
			if v.absent {
				continue
			}
			if written, err = f.write(v, o.CBOR); err != nil {
				return nil, err
			}
		}
		if !o.CBOR {
			if n > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, jsonText(f.Name)...), ':'), written...)
		} else {
			b = append(append(b, f.cborKey()...), written...)
		}
		n++
	}
	if o.CBOR {
		return append(appendHead(nil, cborMap, uint64(n)), b...), nil
	}
	return append(append([]byte{'{'}, b...), '}'), nil
}

func jsonText(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // of no text
		return []byte(`""`)
	}
	return b
}

func (f *ObjectField) cborKey() []byte {
	if f.HasKey {
		return appendHead(nil, cborUnsigned, f.Key)
	}
	return append(appendHead(nil, cborText, uint64(len(f.Name))), f.Name...)
}

// write writes the value of a member.
func (f *ObjectField) write(v memberValue, inCBOR bool) ([]byte, error) {
	s := v.text
	switch f.Type {
	case FieldOctets:
		if inCBOR {
			return append(appendHead(nil, cborBytes, uint64(len(v.octets))), v.octets...), nil
		}
		s = base64.StdEncoding.EncodeToString(v.octets)
	case FieldBase64:
		s = base64.StdEncoding.EncodeToString(v.octets)
	case FieldBase64URL:
		s = base64.RawURLEncoding.EncodeToString(v.octets)
	case FieldHex:
		s = hex.EncodeToString(v.octets)
	case FieldNumber:
		if n, _ := strconv.ParseUint(s, 10, 64); inCBOR {
			return appendHead(nil, cborUnsigned, n), nil
		}
		return []byte(s), nil
	case FieldBoolean:
		if inCBOR {
			return []byte{cborFalse + byte(bit(s == "true"))}, nil
		}
		return []byte(s), nil
	}
	if inCBOR {
		return append(appendHead(nil, cborText, uint64(len(s))), s...), nil
	}
	return jsonText(s), nil
}
