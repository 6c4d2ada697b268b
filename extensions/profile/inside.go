package profile

import (
	"slices"
	"strings"

	"attls"
)

// wrapped reads what is around the payloads of authenticators.
func (c *compiler) wrapped(used map[int]bool) {
	for _, e := range c.taken.slots {
		v := e.value.get("inside")
		at := slices.IndexFunc(c.p.Later, func(s LaterSlot) bool { return s.Name == e.key })
		if v == nil || at < 0 {
			continue
		}
		name, path, _ := strings.Cut(v.text, ".")
		i := c.object(name)
		switch {
		case i < 0:
			propose(c.fail(v.pos, ProblemPath, "the profile has no object %s", name), name, entryNames(c.doc.under("objects")))
		case path == "":
			c.fail(v.pos, ProblemPath, "%s names no member of the object", v.text).Advice = "say " + name + ".member"
		default:
			f := c.bindMember(i, path, v, MeansPayload)
			if f == nil {
				continue
			}
			s := &c.p.Later[at]
			s.Object, used[i] = i, true
			s.MaxPayload = roomFor(f, s.MaxPayload)
			if told := c.tells(i); told != "" {
				c.fail(v.pos, ProblemRule, "the object %s tells of %s, which belongs to frames of the application", name, told).
					Advice = "remove that member"
			}
		}
	}
	for _, e := range c.doc.under("bind", "slots") {
		if v := e.value.entry("inside"); v != nil {
			c.fail(v.pos, ProblemRule, "a payload of the handshake has nothing around it").Advice = "remove it"
		}
	}
}

// tells is what an object tells of that an authenticator does not: "" for nothing.
func (c *compiler) tells(object int) string {
	if c.p.Reports(object) {
		return "a verdict or a failure"
	}
	for i := range c.p.Objects[object].Fields {
		switch f := &c.p.Objects[object].Fields[i]; {
		case f.Means == MeansAttesters:
			return "who attests"
		case f.Type == FieldObject:
			if told := c.tells(f.Object); told != "" {
				return told
			}
		}
	}
	return ""
}

// ValueOf computes a definition of the binder for an attester.
type ValueOf func(definition string) ([]byte, error)

// EncodeLater is the extension of the first CertificateEntry that carries a payload; later is
// an index into Later. Where an object is around the payload, change, unless it is nil, sees
// the object by its name and returns what is sent instead, for tests of peers.
func (p *Profile) EncodeLater(later int, payload []byte, value ValueOf,
	change func(object string, octets []byte) []byte) (
	RawExtension, error) {
	s := &p.Later[later]
	b, failed := p.laterBody(attls.KindCertificate, s.Attester, s.Extension)
	if failed != nil {
		return RawExtension{}, failed
	}
	if s.Object >= 0 {
		octets, err := p.EncodeObject(s.Object, p.around(payload, value))
		if err != nil {
			return RawExtension{}, err
		}
		if payload = octets; change != nil {
			payload = change(p.Objects[s.Object].Name, octets)
		}
	}
	f := &Fields{Payloads: make([][]byte, len(p.Later))}
	for i := range b.bindings {
		if x := &b.bindings[i]; x.path == s.Path {
			f.Payloads[x.slot] = payload
		}
	}
	raw, err := p.later.write(b, f)
	if err != nil {
		return RawExtension{}, err
	}
	return RawExtension{b.ext, raw}, nil
}

// around is the content of an object around a payload.
func (p *Profile) around(payload []byte, value ValueOf) *ObjectContent {
	return &ObjectContent{Octets: func(f *ObjectField) ([]byte, error) {
		switch {
		case f.Means != MeansDefined:
			return payload, nil
		case value == nil:
			return nil, attls.Errorf(attls.Local, attls.FailBinderUndefined, "%s is not known here", f.Defined).By(p.ID)
		}
		return value(f.Defined)
	}}
}

// DecodeLater reads the payload out of that extension, and out of the object around it.
// Members of the object that both ends compute are compared with value; nil: they are not.
func (p *Profile) DecodeLater(later int, octets []byte, value ValueOf) ([]byte, error) {
	s := &p.Later[later]
	b, failed := p.laterBody(attls.KindCertificate, s.Attester, s.Extension)
	if failed != nil {
		return nil, failed
	}
	v, failed := b.codec.Decode(octets)
	if failed != nil {
		return nil, malformedExtension(b.name, failed)
	}
	f := v.Get(s.Path)
	if f == nil {
		return nil, attls.Errorf(attls.Malformed, attls.FailAttestationExtension, "has no payload").Under(b.name).By(p.ID)
	}
	if s.Object < 0 {
		return slices.Clone(f.Octets), nil
	}
	content := p.around(nil, value)
	content.Unknown = value == nil
	r := &ReadObject{}
	if err := p.readObject(s.Object, f.Octets, content, r); err != nil {
		return nil, err.Under(p.Objects[s.Object].Name).Under(s.Path).Under(b.name).By(p.ID)
	}
	if r.Payload == nil {
		return nil, attls.Errorf(attls.Refused, attls.FailMissing, "has no payload").Under(p.Objects[s.Object].Name).
			Under(s.Path).Under(b.name).By(p.ID)
	}
	return r.Payload, nil
}
