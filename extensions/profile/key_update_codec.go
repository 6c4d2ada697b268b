package profile

import (
	"slices"

	"attls"
	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// UpdateSlot is the index into Updates of the slot of an attester; -1: it has none.
func (p *Profile) UpdateSlot(attester attls.Role) int {
	return slices.IndexFunc(p.Updates, func(s UpdateSlot) bool { return s.Attester == attester })
}

// UpdateMessage is the index into KeyUpdates of a subtype; -1: the profile has none of this
// number.
func (p *Profile) UpdateMessage(t attls.ExtendedKeyUpdateType) int {
	return slices.IndexFunc(p.KeyUpdates, func(m UpdateMessage) bool { return m.Subtype == t })
}

// UpdateCodec is the codec of what follows eku_type in a subtype of the profile; nil: there is
// none of this index.
func (p *Profile) UpdateCodec(index int) *schema.Codec {
	c, ok := p.codec.(*codec)
	if !ok || index < 0 || index >= len(c.updates) {
		return nil
	}
	return c.updates[index].codec
}

// EncodeUpdate writes the body of the message that carries a payload: of ExtendedKeyUpdate,
// or, where the slot has Added, of the added message. slot is an index into Updates.
func (p *Profile) EncodeUpdate(slot int, payload []byte) ([]byte, error) {
	s := &p.Updates[slot]
	if s.Added {
		f := p.NewFields()
		f.Payload = payload
		return p.EncodeMessage(s.Message, s.Attester, f)
	}
	return p.encodeUpdate(s.Message, s.Path, schema.Octets(payload))
}

// EncodeOutcome writes the body of an ExtendedKeyUpdate that tells an outcome.
func (p *Profile) EncodeOutcome(accepted bool) ([]byte, error) {
	r := &p.KeyUpdate
	word := r.Refused
	if accepted {
		word = r.Accepted
	}
	return p.encodeUpdate(r.Outcome, r.OutcomePath, schema.Symbol(word))
}

func (p *Profile) encodeUpdate(message int, path string, field schema.Value) ([]byte, error) {
	b := p.codec.(*codec).updates[message]
	v := schema.Value{}
	if err := v.Set(path, field); err != nil {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "%v", err).Under(b.name)
	}
	raw, err := b.codec.Encode(v)
	if err != nil {
		return nil, err.Under(b.name)
	}
	return append([]byte{byte(p.KeyUpdates[message].Subtype)}, raw...), nil
}

// DecodeUpdate reads the payload out of a body, as EncodeUpdate writes it.
func (p *Profile) DecodeUpdate(slot int, octets []byte) ([]byte, error) {
	s := &p.Updates[slot]
	if s.Added {
		f := p.NewFields()
		err := p.DecodeMessage(s.Message, s.Attester, octets, f)
		return f.Payload, err
	}
	f, err := p.decodeUpdate(s.Message, s.Path, octets)
	if err != nil {
		return nil, err
	}
	return slices.Clone(f.Octets), nil
}

// DecodeOutcome reads the outcome out of a body. A number that is neither is an error.
func (p *Profile) DecodeOutcome(octets []byte) (accepted bool, err error) {
	r := &p.KeyUpdate
	f, err := p.decodeUpdate(r.Outcome, r.OutcomePath, octets)
	if err != nil {
		return false, err
	}
	switch word := f.Enumerator(); word {
	case r.Accepted, r.Refused:
		return word == r.Accepted, nil
	}
	return false, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%d is neither %s nor %s", f.Number,
		r.Accepted,
		r.Refused).Under(r.OutcomePath).Under(p.KeyUpdates[r.Outcome].Name).By(p.ID)
}

func (p *Profile) decodeUpdate(message int, path string, octets []byte) (*schema.Value, error) {
	c, ok := p.codec.(*codec)
	if !ok || len(octets) == 0 {
		return nil, p.noSchemas()
	}
	b := c.updates[message]
	v, err := b.codec.Decode(octets[1:])
	if err != nil {
		if err.Offset >= 0 {
			err.Offset++
		}
		return nil, err.Under(b.name)
	}
	return v.Get(path), nil
}

// InAuthentication reports whether an added message of a type has a place in post-handshake
// authentication.
func (p *Profile) InAuthentication(t attls.HandshakeType) bool {
	return slices.ContainsFunc(p.Messages, func(m AddedMessage) bool {
		return m.Type == t && m.Later != binder.PointNone
	})
}
