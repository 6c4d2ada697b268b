package profile

import (
	"bytes"
	"slices"

	"attls"
	"attls/extensions/schema"
	"attls/internal/rule"
)

// A slot can do without lists: a flag in ClientHello offers its one model and credential,
// and the server repeats the flag where it chooses them. The flag is a constant in a
// field, or, without one, that the extension is there at all.

// flagged reads a slot that a flag negotiates.
func (c *compiler) flagged(s *Slot, e *entry, slot int, v *value) {
	n := flagSchemeWords.value(v)
	s.Flagged, s.Models, s.Kinds = true, []Model{Model(n >> 1)}, []CredentialKind{CredentialKind(n & 1)}
	s.FlagValue = []byte{}
	if x := e.value.get("value"); x != nil {
		s.FlagValue, _ = octetsOf(x.text)
		if len(s.FlagValue) == 0 {
			c.fail(x.pos, ProblemValue, "a flag without octets is that the extension is there").Advice = "remove value"
		}
	}
	if !s.PostHandshake || e.value.get("offer") != nil {
		s.Offer = c.flagPath(s, e, "offer", slot, meansOffer)
	}
	s.Choice = c.flagPath(s, e, "choice", slot, meansChoice)
}

// flagPath ties the field that holds the flag.
func (c *compiler) flagPath(s *Slot, e *entry, key string, slot int, m meaning) Place {
	v := e.value.get(key)
	if v == nil {
		c.fail(e.pos, ProblemKey, "%s has no %s", e.key, key)
		return Place{}
	}
	b, path, f, ok := c.locate(v)
	if !ok {
		return Place{}
	}
	x := binding{means: m, slot: slot, path: path, flag: true, floor: 1}
	wrong := ""
	switch n := len(s.FlagValue); {
	case n == 0 && path != "":
		c.fail(v.pos, ProblemPath, "%s is a field, and the flag of %s has no value to write there", v.text, e.key).Advice =
			"say value: 0x01, or name the extension alone"
		return Place{}
	case n == 0 && f.Kind == schema.KindList:
		wrong = "an extension whose body may be empty, without value"
	case n == 0:
	case f.Kind == schema.KindNumber && f.Constant == nil && f.Floor == n, f.Kind == schema.KindOctets && f.Floor <= n &&
		n <= min(f.Ceiling, f.Fits):
		if zero := make([]byte, f.Floor); !bytes.Equal(zero, s.FlagValue) {
			x.floor, x.list, x.unset = 0, true, zero
		}
	default:
		wrong = "octets or a number with room for the value of the flag"
	}
	if wrong == "" {
		wrong = c.wrongMessage(b, m)
	}
	if c.placed(v, key, b, f, wrong) {
		c.alone(b, x, v)
		c.bind(b, x, v)
		return b.place()
	}
	return Place{}
}

// flagScheme is what the flag of a slot offers; its format nobody says.
func (s *Slot) flagScheme() Scheme {
	return Scheme{Model: s.Models[0], Credential: s.Kinds[0], Wire: s.flagWire()}
}

// flagWire names the scheme: by the value of the flag, or by a word.
func (s *Slot) flagWire() []byte {
	if len(s.FlagValue) == 0 {
		return []byte("flag")
	}
	return s.FlagValue
}

// raises reports whether the flag of a slot can mean a scheme.
func (s *Slot) raises(x *Scheme) ([]byte, bool) {
	return s.flagWire(), slices.Contains(s.Models, x.Model) && slices.Contains(s.Kinds, x.Credential)
}

// flagValue is what a raised flag puts into its field; false: nothing, its extension says it.
func (c *codec) flagValue(x *binding, f *Fields) (schema.Value, bool) {
	s := &c.p.Slots[x.slot]
	raised := x.means == meansOffer && f.Offered[x.slot] || x.means == meansChoice && f.Choices[x.slot] != nil
	if !raised || len(s.FlagValue) == 0 {
		return schema.Value{}, false
	}
	b := c.bodyOf(x)
	if g, err := b.field(x.path); err == nil && g.Kind == schema.KindNumber {
		n := uint64(0)
		for _, o := range s.FlagValue {
			n = n<<8 | uint64(o)
		}
		return schema.Number(n), true
	}
	return schema.Octets(s.FlagValue), true
}

// bodyOf is the body that has a binding.
func (c *codec) bodyOf(x *binding) *body {
	b, _ := c.binding(x.slot, x.means)
	return b
}

// readFlag takes a flag that was received.
func (c *codec) readFlag(b *body, x *binding, field *schema.Value, f *Fields) error {
	s := &c.p.Slots[x.slot]
	got := field.Octets
	if field.Kind == schema.KindNumber {
		got = make([]byte, len(s.FlagValue))
		for i, n := len(got)-1, field.Number; i >= 0; i-- {
			got[i], n = byte(n), n>>8
		}
	}
	switch {
	case len(s.FlagValue) == 0: // the extension is there
	case x.unset != nil && bytes.Equal(got, x.unset):
		return nil
	case !bytes.Equal(got, s.FlagValue) && c.p.obeys(rule.FlagKnown):
		return attls.Errorf(attls.Malformed, attls.FailAttestationExtension, "the flag is %x, and slot %s has %x", got,
			s.Name, s.FlagValue).Under(x.path).Under(b.name).By(c.p.ID)
	}
	scheme := s.flagScheme()
	if x.means == meansChoice {
		f.Choices[x.slot] = &scheme
		return nil
	}
	f.Offered[x.slot], f.Offers[x.slot] = true, []Scheme{scheme}
	return nil
}
