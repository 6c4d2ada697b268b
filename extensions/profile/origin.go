package profile

import (
	"regexp"
	"strings"

	"attls"
	"attls/extensions/schema"
)

// inField is what precedes an extension's name in the field of an error.
var inField = regexp.MustCompile(`^(certificate_list\[\d+\]\.)?extensions\.`)

// index is the number of an element in a path.
var index = regexp.MustCompile(`\[\d+\]`)

// Origin is where the profile's file says what a field of a message is: message is
// its name as in encrypted_extensions, or that of an added message, and field a path as
// errors have it, "extensions.NAME.path". It is the place of the innermost field on the
// path that the profile defines, or else of the extension's placement; false: the profile says
// nothing of it.
func (p *Profile) Origin(message, field string) (schema.Position, bool) {
	c, ok := p.codec.(*codec)
	if !ok {
		return schema.Position{}, false
	}
	field = index.ReplaceAllString(inField.ReplaceAllString(field, ""), "[]")
	name, path, _ := strings.Cut(field, ".")
	kind, ok := attls.KindByName(message)
	added := message == attls.KindAdded.String() || ok && kind == attls.KindAdded // without its own name
	if ok {
		for _, b := range c.order {
			if b.kind == kind && b.kind != attls.KindAdded && b.name == name {
				return b.origin(path)
			}
		}
	}
	for _, b := range c.order {
		if b.kind == attls.KindAdded && (b.name == message || added && b.name == name) {
			return b.origin(strings.TrimPrefix(strings.TrimPrefix(field, b.name), "."))
		}
	}
	return schema.Position{}, false
}

// origin is the place of a field, or of what is around it.
func (b *body) origin(path string) (schema.Position, bool) {
	for path != "" {
		for _, f := range b.codec.Fields(b.limit) {
			if f.Path == path && f.Pos.Line > 0 {
				return f.Pos, true
			}
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return b.pos, b.pos.Line > 0
}

// BinderOrigin is where the profile's file says what the challenge of a model and a
// credential kind is: the definition, or the expression itself.
func (p *Profile) BinderOrigin(m Model, k CredentialKind) (schema.Position, bool) {
	if p.settled == nil {
		return schema.Position{}, false
	}
	v := p.settled.get("binder", "challenge", m.String()+"/"+k.String())
	if v == nil {
		return schema.Position{}, false
	}
	if d := p.settled.get("binder", "define", v.text); d != nil {
		v = d
	}
	return v.pos, v.pos.Line > 0
}

// SlotOrigin is where the profile's file names the field of a slot: offer, choice or
// nonce.
func (p *Profile) SlotOrigin(slot, what string) (schema.Position, bool) {
	if p.settled == nil {
		return schema.Position{}, false
	}
	v := p.settled.get("bind", "slots", slot, what)
	if v == nil {
		return schema.Position{}, false
	}
	return v.pos, v.pos.Line > 0
}
