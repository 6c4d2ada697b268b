package profile

import (
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile/binder"
)

// Frame is a frame of the application: an Object that one end sends in the exchange behind
// the handshake.
type Frame struct {
	Name   string
	From   attls.Role
	Object int // index into Profile.Objects
	Type   int // of the octet in front of the length; -1: there is none
	// Only says that the frame is sent only where the end When attests.
	Only bool
	When attls.Role
}

// In reports whether a frame is part of an exchange in which these ends attest.
func (f *Frame) In(attesters [2]bool) bool { return !f.Only || attesters[f.When] }

// ExchangeRules are the rules of `after.application_frame`.
type ExchangeRules struct {
	LengthOctets int  // of the length in front of a frame
	Most         int  // octets of a frame
	AtReport     bool // the payload is appraised before the next report; otherwise when it arrives
	Report       bool // a failure is reported to the application and ends nothing
}

const (
	maxFrame     = 1 << 20
	defaultFrame = 1 << 16
	frameAlways  = -1
)

var framesKey = each("frames", "frames of the application, behind the handshake: what each contains and who sends it",
	group("", "a frame",
		oneOf("from", roleWords, "who sends it"),
		text("body", "the object that it is").named(),
		number("type", "the type octet in front of the length; all frames of an end have one, or none"),
		oneOf("when", whenWords, "in which exchanges it is sent"))).namedKeys()

var exchangeKey = group("application_frame", "attestation in frames of the application, before any application data",
	list("exchange", "the frames, in the order in which they are sent").named(),
	number("length", "octets of the length in front of a frame, behind its type, 1 to 4; it does not count the type "+
		"and itself"),
	number("most", "octets of a frame, at most"),
	oneOf("appraised", appraisedWords, "when a payload is appraised"),
	oneOf("failed", failedWords, "what a failed exchange or appraisal does to the connection"))

// exchangeAt is a chain of keys below after.application_frame.
func exchangeAt(keys ...string) []string {
	return append([]string{"after", "application_frame"}, keys...)
}

// frames reads the frames of the application, the slots that attest in them, and what is
// around payloads.
func (c *compiler) applicationFrames() {
	used := map[int]bool{}
	if len(c.framed) == 0 {
		for _, keys := range [][]string{{"frames"}, exchangeAt(), {"binder", "application_frame"}} {
			if v := c.doc.get(keys...); v != nil && !c.dead(v.pos, keys...) {
				c.fail(v.pos, ProblemRule, "no slot attests in frames of the application, which %s is about",
					strings.Join(keys, ".")).Advice = "say phase: application_frame in a slot, or remove it"
			}
		}
	} else if len(c.taken.slots) > 0 {
		c.fail(c.framed[0].pos, ProblemRule, "%s attests in frames of the application and %s in authenticators: one way "+
			"after the handshake is possible", c.framed[0].key, c.taken.slots[0].key).Advice = "remove one of them"
		return
	} else {
		c.exchange(used)
		if c.problems.Err() == nil {
			c.slotsOfFrames()
		}
	}
	if c.problems.Err() == nil { // objects may contain themselves otherwise
		c.wrapped(used)
	}
	if c.problems.Err() == nil {
		c.unboundMembers(used)
		c.definedMembers()
	}
}

// exchange reads the frames, in the order in which they are sent.
func (c *compiler) exchange(used map[int]bool) {
	r := &c.p.Exchange
	r.LengthOctets, r.Most = 4, defaultFrame
	if v := c.doc.get(exchangeAt("length")...); v != nil {
		if r.LengthOctets = c.number(exchangeAt("length")...); r.LengthOctets < 1 || r.LengthOctets > 4 {
			c.fail(v.pos, ProblemValue, "a length of %s octets; 1 to 4 are possible", v.text)
		}
	}
	if v := c.doc.get(exchangeAt("most")...); v != nil {
		r.Most = c.number(exchangeAt("most")...)
		if r.Most < 1 || r.Most > maxFrame || r.Most >= 1<<(8*min(r.LengthOctets, 4)) {
			c.fail(v.pos, ProblemValue, "frames of %s octets; the length, and the bound of %d, leave room for less", v.text,
				maxFrame)
		}
	}
	r.AtReport = c.word(appraisedWords, no, exchangeAt("appraised")...) == yes
	r.Report = c.word(failedWords, no, exchangeAt("failed")...) == yes
	order := c.doc.get(exchangeAt("exchange")...)
	if order == nil || len(order.items) == 0 {
		c.fail(c.framed[0].pos, ProblemKey, "nothing says in which order the frames are sent").Advice =
			"say after: {application_frame: {exchange: [NAME]}}"
		return
	}
	all := c.doc.under("frames")
	for _, x := range order.items {
		i := slices.IndexFunc(all, func(e *entry) bool { return e.key == x.text })
		switch {
		case i < 0:
			propose(c.fail(x.pos, ProblemPath, "the profile has no frame %s", x.text), x.text, entryNames(all))
		case c.p.frame(x.text) >= 0:
			c.fail(x.pos, ProblemValue, "%s is sent twice", x.text)
		default:
			c.p.Frames = append(c.p.Frames, c.frame(all[i], used))
		}
	}
	for _, e := range all {
		if c.p.frame(e.key) < 0 && c.problems.Err() == nil {
			c.fail(e.pos, ProblemUnbound, "the exchange has no %s, so it would never be sent", e.key).Advice =
				"name it in after.application_frame.exchange, or remove it"
		}
	}
	c.frameTypes(all)
}

// frame is the index of a frame; -1: there is none.
func (p *Profile) frame(name string) int {
	return slices.IndexFunc(p.Frames, func(f Frame) bool { return f.Name == name })
}

// frame reads one frame.
func (c *compiler) frame(e *entry, used map[int]bool) Frame {
	f := Frame{Name: e.key, Type: -1}
	if v := e.value.get("from"); v != nil {
		f.From = attls.Role(roleWords.value(v))
	} else {
		c.fail(e.pos, ProblemKey, "nothing says who sends %s", e.key).Advice = "say from: client or server"
	}
	switch v := e.value.get("body"); {
	case v == nil:
		c.fail(e.pos, ProblemKey, "%s has no body", e.key).Advice = "say body: and the name of an object"
	default:
		if f.Object = c.object(v.text); f.Object < 0 {
			propose(c.fail(v.pos, ProblemPath, "the profile has no object %s", v.text), v.text,
				entryNames(c.doc.under("objects")))
			f.Object = 0
		}
		used[f.Object] = true
	}
	if v := e.value.get("type"); v != nil {
		if f.Type = c.number("frames", e.key, "type"); f.Type > 255 {
			c.fail(v.pos, ProblemValue, "the type of a frame is an octet, not %s", v.text)
		}
	}
	if when := c.word(whenWords, frameAlways, "frames", e.key, "when"); when != frameAlways {
		f.Only, f.When = true, attls.Role(when)
	}
	return f
}

func (c *compiler) object(name string) int {
	return slices.IndexFunc(c.p.Objects, func(o Object) bool { return o.Name == name })
}

// frameTypes refuses ends of which only some frames have a type.
func (c *compiler) frameTypes(all []*entry) {
	for _, role := range attls.Roles() {
		with, without := -1, -1
		for i, f := range c.p.Frames {
			switch {
			case f.From != role:
			case f.Type >= 0:
				with = i
			default:
				without = i
			}
		}
		if with >= 0 && without >= 0 {
			name := c.p.Frames[without].Name
			i := slices.IndexFunc(all, func(e *entry) bool { return e.key == name })
			c.fail(all[i].pos, ProblemKey, "%s has no type, and %s has one", name, c.p.Frames[with].Name).Advice =
				"say type: 1 in each, or in none"
		}
	}
}

// slotsOfFrames reads the slots of the phase application_frame.
func (c *compiler) slotsOfFrames() {
	for _, e := range c.framed {
		s := LaterSlot{Name: e.key, Phase: PhaseFrame, Frame: -1, NonceFrame: -1, Object: -1}
		c.laterBasics(&s, e)
		for _, key := range []string{"choice", "offer", "always", "inside"} {
			if v := e.value.entry(key); v != nil {
				c.fail(v.pos, ProblemRule, "a slot of frames has no %s: the exchange is always the same", key).Advice = "remove it"
			}
		}
		v := e.value.get("carried_in")
		if v == nil {
			c.fail(e.pos, ProblemKey, "%s does not say where its payload travels", e.key).Advice = "say carried_in: frame.member"
			continue
		}
		if f := c.inFrame(v, MeansPayload, s.Attester, &s.Frame); f != nil {
			s.Carrier, s.Path, s.MaxPayload = CarrierFrame, v.text, roomFor(f, c.p.Exchange.Most)
		}
		if v := e.value.get("nonce"); v != nil {
			switch {
			case v.form != formScalar:
				c.fail(v.pos, ProblemPath, "the nonce of a frame is a member of it").Advice = "say nonce: frame.member"
			default:
				if f := c.inFrame(v, MeansNonce, s.Attester.Peer(), &s.NonceFrame); f != nil {
					s.NonceMin, s.NonceMax = f.Min, min(f.Max, maxNonce)
				}
				if s.NonceFrame > s.Frame {
					c.fail(v.pos, ProblemRule, "the nonce comes after the payload, which is for it").Advice = "name an earlier frame"
				}
			}
		}
		c.p.Later = append(c.p.Later, s)
	}
}

// maxNonce bounds a nonce whose member has no bound.
const maxNonce = 255

// roomFor is how many octets a member has room for in a frame.
func roomFor(f *ObjectField, most int) int {
	switch f.Type {
	case FieldOctets, FieldBase64, FieldBase64URL:
		most = most / 4 * 3
	case FieldHex:
		most /= 2
	}
	return min(f.Max, max(most-512, 1))
}

// inFrame ties a member of a frame to a slot.
func (c *compiler) inFrame(v *value, m MemberMeaning, from attls.Role, frame *int) *ObjectField {
	name, path, _ := strings.Cut(v.text, ".")
	i := c.p.frame(name)
	switch {
	case i < 0:
		var known []string
		for _, f := range c.p.Frames {
			known = append(known, f.Name)
		}
		propose(c.fail(v.pos, ProblemPath, "the profile has no frame %s", name), name, known)
		return nil
	case path == "":
		c.fail(v.pos, ProblemPath, "%s names no member of the frame", v.text).Advice = "say " + name + ".member"
		return nil
	case c.p.Frames[i].From != from:
		c.fail(v.pos, ProblemPath, "%s is sent by the %s, not by the %s", name, c.p.Frames[i].From, from)
		return nil
	}
	*frame = i
	return c.bindMember(c.p.Frames[i].Object, path, v, m)
}

// definedMembers refuses members whose value is not a definition.
func (c *compiler) definedMembers() {
	defined := c.doc.under("binder", "define")
	for i, e := range sortedUnder(c.doc.get("objects")) {
		for k, m := range sortedUnder(e.value.get("fields")) {
			f := &c.p.Objects[i].Fields[k]
			if f.Means == MeansDefined && !slices.ContainsFunc(defined, func(d *entry) bool { return d.key == f.Defined }) {
				propose(c.fail(m.value.get("value").pos, ProblemBinder, "binder.define has no %s", f.Defined), f.Defined,
					entryNames(defined))
			}
		}
	}
}

// definitionsOfMembers are the definitions that members of objects have for values.
func (p *Profile) definitionsOfMembers() (names []string) {
	for i := range p.Objects {
		for _, f := range p.Objects[i].Fields {
			if f.Means == MeansDefined {
				names = append(names, f.Defined)
			}
		}
	}
	return names
}

// AboutAttester is the attester for whom the definitions in a frame are evaluated: the one
// whose payload it has, or whose nonce, or else its sender.
func (p *Profile) AboutAttester(frame int) attls.Role {
	for i := range p.Later {
		if p.Later[i].Frame == frame {
			return p.Later[i].Attester
		}
	}
	for i := range p.Later {
		if p.Later[i].NonceFrame == frame {
			return p.Later[i].Attester
		}
	}
	return p.Frames[frame].From
}

// definitionsFor are the definitions that members have in what is about a slot.
func (p *Profile) definitionsFor(slot int) (names []string) {
	var of func(object int)
	of = func(object int) {
		for _, f := range p.Objects[object].Fields {
			switch {
			case f.Means == MeansDefined:
				names = append(names, f.Defined)
			case f.Type == FieldObject:
				of(f.Object)
			}
		}
	}
	for i := range p.Frames {
		if p.AboutAttester(i) == p.Later[slot].Attester {
			of(p.Frames[i].Object)
		}
	}
	if o := p.Later[slot].Object; o >= 0 {
		of(o)
	}
	return names
}

// setting is what a binder of a slot after the handshake can ask for.
func (s *LaterSlot) setting() (b binder.Setting) {
	if s.Phase == PhaseAuthenticator {
		b.Authenticator = true
		return b
	}
	if s.NonceFrame >= 0 {
		b.Nonce[s.Attester] = binder.Nonce{Exists: true, At: binder.PointCH, Min: s.NonceMin, Max: s.NonceMax}
	}
	return b
}
