package profile

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// codecs are the compiled schemas of a profile; the loader sets them.
type codecs interface {
	encode(kind attls.MessageKind, sender attls.Role, f *Fields) ([]RawExtension, error)
	decode(kind attls.MessageKind, sender attls.Role, t attls.ExtensionType, body []byte, f *Fields) error
	says(index int, sender attls.Role, f *Fields) bool
	encodeMessage(index int, sender attls.Role, f *Fields) ([]byte, error)
	decodeMessage(index int, sender attls.Role, body []byte, f *Fields) error
	encodeScheme(slot int, s Scheme) (Scheme, bool)
	ofExtension(kind attls.MessageKind, sender attls.Role, t attls.ExtensionType) *schema.Codec
	ofMessage(index int, sender attls.Role) *schema.Codec
}

// noSchemas is the error of a Profile that no loader compiled.
func (p *Profile) noSchemas() *attls.Error {
	return attls.Errorf(attls.Local, attls.FailConfiguration, "profile %q has no compiled schemas", p.ID)
}

// Encode returns the extensions that the profile puts into a message of this
// kind when the role sends it, for what f says; none when f says nothing for it.
func (p *Profile) Encode(kind attls.MessageKind, sender attls.Role, f *Fields) ([]RawExtension, error) {
	if p.codec == nil {
		if len(p.Extensions) == 0 { // a profile of quirks alone needs no schemas
			return nil, nil
		}
		return nil, p.noSchemas()
	}
	return p.codec.encode(kind, sender, f)
}

// Decode reads one extension body into f. Errors are *attls.Error with offset and field.
func (p *Profile) Decode(kind attls.MessageKind, sender attls.Role, t attls.ExtensionType, body []byte,
	f *Fields) error {
	if p.codec == nil {
		return p.noSchemas()
	}
	if _, own := p.Extension(t); !own && p.NonceIn(kind, t) >= 0 {
		return p.decodeNonces(kind, t, body, f)
	}
	return p.codec.decode(kind, sender, t, body, f)
}

// EncodeMessage writes the body of an added message; index is into Messages.
func (p *Profile) EncodeMessage(index int, sender attls.Role, f *Fields) ([]byte, error) {
	if p.codec == nil {
		return nil, p.noSchemas()
	}
	return p.codec.encodeMessage(index, sender, f)
}

// Says reports whether f has something for an added message to say.
func (p *Profile) Says(index int, sender attls.Role, f *Fields) bool {
	return p.codec != nil && p.codec.says(index, sender, f)
}

// DecodeMessage reads the body of an added message into f.
func (p *Profile) DecodeMessage(index int, sender attls.Role, body []byte, f *Fields) error {
	if p.codec == nil {
		return p.noSchemas()
	}
	return p.codec.decodeMessage(index, sender, body, f)
}

// Codec is the codec of an extension body in a message that the sender sends; nil
// when the profile has no such extension there.
func (p *Profile) Codec(kind attls.MessageKind, sender attls.Role, t attls.ExtensionType) *schema.Codec {
	if p.codec == nil {
		return nil
	}
	return p.codec.ofExtension(kind, sender, t)
}

// MessageCodec is the codec of an added message; index is into Messages. It is nil
// when there is none.
func (p *Profile) MessageCodec(index int, sender attls.Role) *schema.Codec {
	if p.codec == nil {
		return nil
	}
	return p.codec.ofMessage(index, sender)
}

// EncodeScheme returns the element of a slot's list that means s, with
// Wire set, or false when the slot cannot express it.
func (p *Profile) EncodeScheme(slot int, s Scheme) (Scheme, bool) {
	if p.codec == nil {
		return Scheme{}, false
	}
	return p.codec.encodeScheme(slot, s)
}

// AlertFor is the action for a failure: the profile's own, else attls.DefaultAlert.
func (p *Profile) AlertFor(f attls.Failure) AlertAction {
	if a, ok := p.Alerts[f]; ok {
		return a
	}
	return AlertAction{Alert: attls.DefaultAlert(f)}
}

// AnswersInRetry reports whether a slot has its choice or its nonce in HelloRetryRequest,
// which a server that chooses for the slot so sends.
func (p *Profile) AnswersInRetry(slot int) bool {
	s := &p.Slots[slot]
	return s.Choice.Message == attls.KindHelloRetryRequest || s.Nonce.Message == attls.KindHelloRetryRequest
}

// Credential finds the row of a kind.
func (p *Profile) Credential(k CredentialKind) (*Credential, bool) {
	for i := range p.Credentials {
		if p.Credentials[i].Kind == k {
			return &p.Credentials[i], true
		}
	}
	return nil, false
}

// CredentialFor is the row of a kind for a slot, which may carry its payload apart.
func (p *Profile) CredentialFor(slot int, k CredentialKind) (*Credential, bool) {
	row, ok := p.Credential(k)
	if !ok || slot < 0 || slot >= len(p.Slots) || !p.Slots[slot].Apart {
		return row, ok
	}
	c := *row
	c.Carriage = p.Slots[slot].Own
	return &c, true
}

// Extension finds an extension by number.
func (p *Profile) Extension(t attls.ExtensionType) (*extensions.Row, bool) {
	for i := range p.Extensions {
		if p.Extensions[i].Type == t {
			return &p.Extensions[i], true
		}
	}
	return nil, false
}

// CheckKey refuses a key that the binder cannot take, before a connection is
// made with it: spki is the DER SubjectPublicKeyInfo of the attester's
// end-entity key. In some revisions the whole key is an HKDF context, which
// holds 255 octets.
func (p *Profile) CheckKey(attester attls.Role, spki []byte) *attls.Error {
	b := &p.Binder
	if b.Program == nil {
		return nil
	}
	for i := range p.Slots {
		if p.Slots[i].Attester != attester {
			continue
		}
		for _, m := range p.Slots[i].Models {
			name, s := b.Challenge[m][KindX509], p.setting(m)
			if name == "" {
				continue
			}
			s.KeySize[attester] = len(spki)
			for _, f := range b.Program.Check(name, attester, s, binder.PointKeyExchange) {
				if f.Kind == binder.FindingError {
					return attls.Errorf(attls.Local, attls.FailBinderUndefined, "a key of %d octets cannot be bound: %s",
						len(spki), f.Msg).By(p.ID)
				}
			}
		}
	}
	return nil
}

// setting is what the slots say about nonces for a model, and whether certificates hold
// the Evidence.
func (p *Profile) setting(m Model) (s binder.Setting) {
	s.Within = [2]bool{p.InCertificate(), p.InCertificate()}
	for _, slot := range p.Slots {
		if slot.Nonce.Message == attls.KindNone || !slices.Contains(slot.Models, m) {
			continue
		}
		s.Nonce[slot.Attester] = slot.nonce()
	}
	return s
}

// settingOf is setting for one slot, which may be the one without a nonce.
func (p *Profile) settingOf(slot *Slot, m Model) binder.Setting {
	s := p.setting(m)
	s.Nonce[slot.Attester] = slot.nonce()
	return s
}

// nonce is what the binder must know of the slot's nonce.
func (s *Slot) nonce() binder.Nonce {
	n := binder.Nonce{Exists: true, Min: s.NonceMin, Max: s.NonceMax}
	switch s.Nonce.Message {
	case attls.KindNone:
		return binder.Nonce{}
	case attls.KindClientHello:
		n.At = binder.PointCH
	case attls.KindHelloRetryRequest, attls.KindServerHello: // both before ServerHello ends
		n.At = binder.PointSH
	case attls.KindEncryptedExtensions:
		n.At = binder.PointEE
	case attls.KindAdded:
		n.At = s.nonceAt
	default:
		n.At = binder.PointCR
	}
	return n
}
