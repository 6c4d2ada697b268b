package profile

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"attls"
	"attls/extensions/schema"
	"attls/internal/rule"
)

// site is an extension in a message of one sender.
type site struct {
	kind   attls.MessageKind
	sender attls.Role
	ext    attls.ExtensionType
}

// meaning is what a field stands for.
type meaning uint8

const (
	meansOffer meaning = iota
	meansChoice
	meansNonce
	meansPayload
)

// binding ties a field of a body to the vocabulary of the engine.
type binding struct {
	means meaning
	slot  int // into Profile.Slots; -1 for the payload that slots of a credential kind share
	path  string
	list  bool   // a choice that is a list of none or one, or a flag that can say no
	floor int    // least octets of the field
	flag  bool   // an offer or a choice that is a flag
	unset []byte // the field of a flag that says no; nil: there is no such value
}

// body is an extension in one message, or an added message, with its codec and
// what its fields mean.
type body struct {
	name      string
	ext       attls.ExtensionType
	kind      attls.MessageKind
	sender    attls.Role
	codec     *schema.Codec
	context   schema.Context
	bindings  []binding
	ignoreArm bool
	// companion slots: the body says nothing of its own and is sent as the offer
	// of an extension that will carry their credential.
	companions []int
	limit      int // octets
	added      int // for KindAdded, into Profile.Messages
	pos        schema.Position
}

// place is where the fields of a body are.
func (b *body) place() Place { return Place{Message: b.kind, Extension: b.ext, Added: b.added} }

// payloads are the fields of a body that hold one.
func (b *body) payloads() (paths []string) {
	for i := range b.bindings {
		if x := &b.bindings[i]; x.means == meansPayload && !slices.Contains(paths, x.path) {
			paths = append(paths, x.path)
		}
	}
	return paths
}

// codec is the compiled schemas of a profile.
type codec struct {
	p        *Profile
	bodies   map[site]*body
	order    []*body // as they are written
	messages [][2]*body
	updates  []*body // by UpdateMessage
	schemes  map[string]*schemeType
	types    *schema.Schema
	slots    []*schemeType
	known    *encodings
}

var _ codecs = (*codec)(nil)

// says reports whether f has something for a body to say.
func (b *body) says(f *Fields) bool {
	for _, x := range b.bindings {
		switch {
		case x.means == meansOffer && f.Offered[x.slot],
			x.means == meansChoice && f.Choices[x.slot] != nil,
			x.means == meansNonce && f.Nonces[x.slot] != nil,
			x.means == meansPayload && f.payload(x.slot) != nil:
			return true
		}
	}
	for _, slot := range b.companions {
		if f.Offered[slot] || f.Choices[slot] != nil {
			return true
		}
	}
	return false
}

// payload is the payload of a slot with a field of its own; -1: of the others.
func (f *Fields) payload(slot int) []byte {
	if slot < 0 {
		return f.Payload
	}
	return f.Payloads[slot]
}

func (c *codec) encode(kind attls.MessageKind, sender attls.Role, f *Fields) ([]RawExtension, error) {
	var list []RawExtension
	for _, b := range c.order {
		if b.kind != kind || b.sender != sender || kind == attls.KindAdded || !b.says(f) {
			continue
		}
		raw, err := c.write(b, f)
		if err != nil {
			return nil, err
		}
		list = append(list, RawExtension{b.ext, raw})
	}
	return list, nil
}

// write encodes a body; what f does not say is written at its minimum.
func (c *codec) write(b *body, f *Fields) ([]byte, error) {
	v := schema.Value{}
	for i := range b.bindings {
		x := &b.bindings[i]
		field, ok, err := c.value(x, f)
		if err == nil && ok {
			if cause := v.Set(x.path, field); cause != nil {
				err = attls.Errorf(attls.Local, attls.FailConfiguration, "%v", cause)
			}
		}
		if err != nil {
			return nil, err.Under(b.name)
		}
	}
	raw, err := b.codec.Encode(v)
	if err == nil && len(raw) > b.limit {
		err = attls.Errorf(attls.Local, attls.FailTooLarge, "%d octets; there is room for %d", len(raw), b.limit)
	}
	if err != nil {
		return nil, err.Under(b.name)
	}
	return raw, nil
}

// value is what a binding puts into its field, or false for nothing.
func (c *codec) value(x *binding, f *Fields) (schema.Value, bool, *attls.Error) {
	if x.flag {
		v, ok := c.flagValue(x, f)
		return v, ok, nil
	}
	switch x.means {
	case meansNonce:
		return schema.Octets(f.Nonces[x.slot]), f.Nonces[x.slot] != nil, nil
	case meansPayload:
		payload := f.payload(x.slot)
		return schema.Octets(payload), payload != nil, nil
	case meansChoice:
		if f.Choices[x.slot] == nil {
			return schema.Value{}, false, nil
		}
		if x.list {
			v, err := c.listed(x.slot, f.Choices[x.slot])
			return schema.List(v), true, err
		}
		v, err := c.element(x.slot, *f.Choices[x.slot])
		return v, true, err
	}
	list := schema.Value{Kind: schema.KindList, Items: make([]schema.Value, 0, len(f.Offers[x.slot]))}
	for i := range f.Offers[x.slot] {
		v, err := c.listed(x.slot, &f.Offers[x.slot][i])
		if err != nil {
			return v, false, err
		}
		list.Items = append(list.Items, v)
	}
	return list, f.Offered[x.slot], nil
}

// listed is element for a place in a list: the octets as they are, where they are
// what the scheme is encoded to.
func (c *codec) listed(slot int, s *Scheme) (schema.Value, *attls.Error) {
	if wire, ok := c.wire(slot, s); ok && (s.Wire == nil || bytes.Equal(wire, s.Wire)) {
		return schema.Encoded(wire), nil
	}
	return c.element(slot, *s)
}

// element is the value of a scheme: out of its octets when it has been encoded.
func (c *codec) element(slot int, s Scheme) (schema.Value, *attls.Error) {
	t := c.slots[slot]
	if s.Wire == nil {
		e, ok := c.encodeScheme(slot, s)
		if !ok {
			return schema.Value{}, attls.Errorf(attls.Local, attls.FailConfiguration, "slot %s cannot express the scheme %v",
				c.p.Slots[slot].Name, s)
		}
		s = e
	}
	return t.codec.Decode(s.Wire)
}

// malformedExtension brings an error of a codec into the vocabulary of profiles.
func malformedExtension(name string, err *attls.Error) *attls.Error {
	if err.Failure == attls.FailDecode || err.Failure == attls.FailTrailing {
		err.Failure = attls.FailAttestationExtension
	}
	return err.Under(name)
}

func (c *codec) decode(kind attls.MessageKind, sender attls.Role, t attls.ExtensionType, raw []byte, f *Fields) error {
	b := c.bodies[site{kind, sender, t}]
	if b == nil && !c.p.obeys(rule.ExtensionInPlace) {
		return nil
	}
	if b == nil {
		return attls.Errorf(attls.Violation, attls.FailWrongMessage, "must not appear in this message").By(c.p.ID)
	}
	v, err := b.codec.Decode(raw)
	if err != nil {
		if b.ignoreArm && errors.Is(err, schema.ErrUndefinedArm) {
			return nil
		}
		return malformedExtension(b.name, err)
	}
	return c.read(b, &v, f)
}

// read fills in what the fields of a body mean. The result keeps no view of
// the octets.
func (c *codec) read(b *body, v *schema.Value, f *Fields) error {
	for i := range b.bindings {
		x := &b.bindings[i]
		field := v.Get(x.path)
		if field == nil {
			continue
		}
		if x.flag {
			if err := c.readFlag(b, x, field, f); err != nil {
				return err
			}
			continue
		}
		switch x.means {
		case meansNonce:
			f.Nonces[x.slot] = bytes.Clone(field.Octets)
			if f.Nonces[x.slot] == nil {
				f.Nonces[x.slot] = []byte{}
			}
		case meansPayload:
			switch {
			case len(field.Octets) == 0 && len(b.payloads()) > 1: // of a slot that was not chosen
			case x.slot < 0:
				f.Payload = bytes.Clone(field.Octets)
			default:
				f.Payloads[x.slot] = bytes.Clone(field.Octets)
			}
		case meansChoice:
			if x.list {
				if len(field.Items) > 1 {
					return attls.Errorf(attls.Violation, attls.FailTwoChoices, "%d schemes where one is chosen", len(field.Items)).
						Under(x.path).Under(b.name).By(c.p.ID)
				}
				if len(field.Items) == 0 {
					continue
				}
				field = &field.Items[0]
			}
			s := c.slots[x.slot].scheme(field)
			f.Choices[x.slot] = &s
		case meansOffer:
			f.Offered[x.slot] = true
			f.Offers[x.slot] = nil
			for i := range field.Items {
				f.Offers[x.slot] = append(f.Offers[x.slot], c.slots[x.slot].scheme(&field.Items[i]))
			}
		}
	}
	return nil
}

func (c *codec) message(index int, sender attls.Role) (*body, error) {
	if index < 0 || index >= len(c.messages) {
		return nil, attls.Errorf(attls.Local, attls.FailInternal, "the profile adds no message %d", index)
	}
	b := c.messages[index][sender]
	if b == nil {
		return nil, attls.Errorf(attls.Local, attls.FailInternal, "the %v does not send %s", sender,
			c.p.Messages[index].Name)
	}
	return b, nil
}

func (c *codec) ofExtension(kind attls.MessageKind, sender attls.Role, t attls.ExtensionType) *schema.Codec {
	if b := c.bodies[site{kind, sender, t}]; b != nil {
		return b.codec
	}
	return nil
}

func (c *codec) ofMessage(index int, sender attls.Role) *schema.Codec {
	if b, err := c.message(index, sender); err == nil && b != nil {
		return b.codec
	}
	return nil
}

func (c *codec) says(index int, sender attls.Role, f *Fields) bool {
	b, err := c.message(index, sender)
	return err == nil && b.says(f)
}

func (c *codec) encodeMessage(index int, sender attls.Role, f *Fields) ([]byte, error) {
	b, err := c.message(index, sender)
	if err != nil {
		return nil, err
	}
	return c.write(b, f)
}

func (c *codec) decodeMessage(index int, sender attls.Role, raw []byte, f *Fields) error {
	b, err := c.message(index, sender)
	if err != nil {
		return err
	}
	v, failure := b.codec.Decode(raw)
	if failure != nil {
		return malformedExtension(b.name, failure)
	}
	return c.read(b, &v, f)
}

// schemeType is how an element of one type becomes a scheme.
type schemeType struct {
	name  string
	codec *schema.Codec
	// The model and the credential kind are fixed, or told by a field.
	models     []Model
	modelField string
	byModel    map[string]Model // by enumerator
	kinds      []CredentialKind
	kindField  string
	byKind     map[string]CredentialKind
	number     string // path of a content format; "" where there is none
	octets     string // path of a media type
	verifier   string
	hasNumber  bool
	self       bool                // the element itself is the number
	formats    map[uint64][]Format // numbers of the profile's own
}

func (t *schemeType) field(v *schema.Value, path string) *schema.Value {
	if path == selfPath {
		return v
	}
	return v.Get(path)
}

// selfPath names the element itself.
const selfPath = "self"

// scheme reads an element. Numbers that stand for nothing leave the zero value
// of a field; such a scheme equals none of ours, since Wire decides.
func (t *schemeType) scheme(v *schema.Value) Scheme {
	s := Scheme{Model: t.models[0], Credential: t.kinds[0], Wire: bytes.Clone(v.Wire)}
	if t.modelField != "" {
		if f := v.Get(t.modelField); f != nil {
			s.Model = t.byModel[f.Enumerator()]
		}
	}
	if t.kindField != "" {
		if f := v.Get(t.kindField); f != nil {
			s.Credential = t.byKind[f.Enumerator()]
		}
	}
	if t.verifier != "" {
		if f := v.Get(t.verifier); f != nil {
			s.Verifier = bytes.Clone(f.Octets)
		}
	}
	if t.hasNumber {
		if f := t.field(v, t.number); f != nil && f.Kind == schema.KindNumber {
			s.Format = t.format(f.Number)
		}
	}
	if t.octets != "" {
		if f := v.Get(t.octets); f != nil {
			s.Format.MediaType = string(f.Octets)
		}
	}
	return s
}

func (t *schemeType) format(n uint64) Format {
	if t.formats == nil {
		return Format{ContentFormat: uint16(n)}
	}
	if list := t.formats[n]; len(list) > 0 {
		return list[0]
	}
	return Format{}
}

// encodeScheme makes the element of a slot's list that stands for a scheme.
func (c *codec) encodeScheme(slot int, s Scheme) (Scheme, bool) {
	if slot < 0 || slot >= len(c.slots) {
		return Scheme{}, false
	}
	wire, ok := c.wire(slot, &s)
	s.Wire = wire
	return s, ok
}

// maxEncodings bounds the schemes whose encodings are kept: those of this program's
// policies, of which there are few.
const maxEncodings = 256

// encodings are elements as they were encoded, for many connections at once.
type encodings struct {
	mu    sync.RWMutex
	wires map[schemeKey][]byte
}

// schemeKey is all of a scheme that its element depends on.
type schemeKey struct {
	in         *schemeType
	model      Model
	credential CredentialKind
	format     Format
	verifier   string
}

// wire is the element of a slot's list that stands for a scheme. It is not to be
// changed.
func (c *codec) wire(slot int, s *Scheme) ([]byte, bool) {
	switch own := &c.p.Slots[slot]; {
	case own.Always:
		return own.unwritten(s)
	case own.Flagged:
		return own.raises(s)
	}
	t, k := c.slots[slot], c.known
	k.mu.RLock()
	wire, known := k.wires[schemeKey{t, s.Model, s.Credential, s.Format, string(s.Verifier)}]
	k.mu.RUnlock()
	if known {
		return wire, true
	}
	wire, ok := t.encode(s)
	if !ok {
		return nil, false
	}
	wire = wire[:len(wire):len(wire)]
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.wires) < maxEncodings {
		k.wires[schemeKey{t, s.Model, s.Credential, s.Format, string(s.Verifier)}] = wire
	}
	return wire, true
}

func (t *schemeType) encode(s *Scheme) ([]byte, bool) {
	if !slices.Contains(t.models, s.Model) || !slices.Contains(t.kinds, s.Credential) {
		return nil, false
	}
	var v schema.Value
	set := func(path string, x schema.Value) bool {
		if path == selfPath {
			v = x
			return true
		}
		return v.Set(path, x) == nil
	}
	ok := true
	if t.modelField != "" {
		ok = ok && set(t.modelField, schema.Symbol(wordOf(t.byModel, s.Model)))
	}
	if t.kindField != "" {
		ok = ok && set(t.kindField, schema.Symbol(wordOf(t.byKind, s.Credential)))
	}
	if s.Model == ModelResults && t.verifier != "" {
		ok = ok && set(t.verifier, schema.Octets(s.Verifier))
	} else {
		ok = ok && t.setFormat(s.Format, set)
	}
	if !ok {
		return nil, false
	}
	wire, err := t.codec.Encode(v)
	return wire, err == nil
}

func (t *schemeType) setFormat(f Format, set func(string, schema.Value) bool) bool {
	if t.formats != nil {
		for _, n := range sortedNumbers(t.formats) {
			if slices.Contains(t.formats[n], f) {
				return set(t.number, schema.Number(n))
			}
		}
		return false
	}
	if f.MediaType != "" {
		return t.octets != "" && set(t.octets, schema.Octets([]byte(f.MediaType)))
	}
	return t.hasNumber && set(t.number, schema.Number(f.ContentFormat))
}

func sortedNumbers[V any](m map[uint64]V) []uint64 {
	list := make([]uint64, 0, len(m))
	for n := range m {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// wordOf finds the first enumerator, in their order, that stands for a value.
func wordOf[V comparable](m map[string]V, want V) string {
	for _, k := range sortedKeys(m) {
		if m[k] == want {
			return k
		}
	}
	return ""
}
