package profile

import "attls"

// codecs are the compiled schemas of a profile; the loader sets them.
type codecs interface {
	encode(kind attls.MessageKind, sender attls.Role, f *Fields) ([]RawExtension, error)
	decode(kind attls.MessageKind, sender attls.Role, t attls.ExtensionType, body []byte, f *Fields) error
	encodeMessage(index int, sender attls.Role, f *Fields) ([]byte, error)
	decodeMessage(index int, sender attls.Role, body []byte, f *Fields) error
	encodeScheme(slot int, s Scheme) (Scheme, bool)
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
func (p *Profile) Decode(kind attls.MessageKind, sender attls.Role, t attls.ExtensionType, body []byte, f *Fields) error {
	if p.codec == nil {
		return p.noSchemas()
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

// DecodeMessage reads the body of an added message into f.
func (p *Profile) DecodeMessage(index int, sender attls.Role, body []byte, f *Fields) error {
	if p.codec == nil {
		return p.noSchemas()
	}
	return p.codec.decodeMessage(index, sender, body, f)
}

// EncodeScheme returns the element of a slot's list that stands for s, with
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

// Credential finds the row of a kind.
func (p *Profile) Credential(k CredentialKind) (*Credential, bool) {
	for i := range p.Credentials {
		if p.Credentials[i].Kind == k {
			return &p.Credentials[i], true
		}
	}
	return nil, false
}

// Extension finds an extension by number.
func (p *Profile) Extension(t attls.ExtensionType) (*Extension, bool) {
	for i := range p.Extensions {
		if p.Extensions[i].Type == t {
			return &p.Extensions[i], true
		}
	}
	return nil, false
}
