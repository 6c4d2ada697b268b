package profile

import (
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// UpdateSlot is an attester that attests again with each Extended Key Update, under the
// scheme with which it has attested before.
type UpdateSlot struct {
	Name     string
	Attester attls.Role
	// Message is what carries the payload: an index into Profile.KeyUpdates; with Added, one
	// into Profile.Messages.
	Message    int
	Added      bool
	Path       string // of the field in it
	MaxPayload int    // octets
}

// UpdateMessage is a subtype of ExtendedKeyUpdate that a profile adds.
type UpdateMessage struct {
	Name    string
	Subtype attls.ExtendedKeyUpdateType
}

// UpdatePlace is where in an exchange an attester shows its payload.
type UpdatePlace uint8

// The places.
const (
	// UpdateBehind: once the exchange is complete.
	UpdateBehind UpdatePlace = iota
	// UpdateBefore: in front of the attester's last message under the keys that are replaced,
	// key_update_finish of an initiator and key_update_response of a responder.
	UpdateBefore
	// UpdateNever: not at all.
	UpdateNever
)

// UpdateRules are the rules of `after.key_update`.
type UpdateRules struct {
	Initiator UpdatePlace
	Responder UpdatePlace
	// Outcome is the message with which a relying party answers a payload, an index into
	// Profile.KeyUpdates, and OutcomePath its field, which is Accepted or Refused; -1: nothing
	// answers.
	Outcome           int
	OutcomePath       string
	Accepted, Refused string
	Report            bool // a failure is reported to the application and ends nothing
}

// Place is where an end of an exchange attests.
func (r *UpdateRules) Place(initiator bool) UpdatePlace {
	if initiator {
		return r.Initiator
	}
	return r.Responder
}

var keyUpdatesKey = each("key_updates", "subtypes of ExtendedKeyUpdate that the profile adds",
	group("", "a subtype", text("body", "the type of what follows eku_type").named())).namedKeys()

var updateKey = group("key_update", "attestation with each Extended Key Update, of who has attested before",
	oneOf("initiator", initiatorWords, "when an attester shows its payload that has begun the update"),
	oneOf("responder", responderWords, "when an attester shows its payload that has answered"),
	text("outcome", "the field that tells the attester how the appraisal ended, as message.field; without it nothing "+
		"does").named(),
	text("accepted", "the enumerator of that field for a payload that is accepted").named(),
	text("refused", "the enumerator for one that is not").named(),
	oneOf("failed", updateFailedWords, "what a failed appraisal does to the connection"))

// updateAt is a chain of keys below after.key_update.
func updateAt(keys ...string) []string { return append([]string{"after", "key_update"}, keys...) }

// updateLimit is how many octets may follow eku_type.
const updateLimit = messageSize - 1

// keyUpdates reads what is about attestation with key updates.
func (c *compiler) keyUpdates() {
	c.p.KeyUpdate.Outcome = -1
	if len(c.updating) == 0 {
		for _, keys := range [][]string{{"key_updates"}, updateAt(), {"binder", "key_update"}} {
			if v := c.doc.get(keys...); v != nil && !c.dead(v.pos, keys...) {
				c.fail(v.pos, ProblemRule, "no slot attests with key updates, which %s is about", strings.Join(keys, ".")).
					Advice = "say phase: key_update in a slot, or remove it"
			}
		}
		return
	}
	for _, e := range c.doc.under("key_updates") {
		c.updateMessage(e)
	}
	if len(c.codec.updates) == len(c.doc.under("key_updates")) {
		c.updateRules()
		for _, e := range c.updating {
			c.updateSlot(e)
		}
		c.unusedUpdates()
	}
}

// updateMessage reads one subtype.
func (c *compiler) updateMessage(e *entry) {
	n, ok := c.numberOf("key_updates", e.key, e.pos)
	v := e.value.get("body")
	if v == nil {
		c.fail(e.pos, ProblemKey, "%s has no body", e.key).Advice = "name a type, or say body: opaque"
	}
	if !ok || v == nil {
		return
	}
	ctx := schema.Context{Message: attls.KindExtendedKeyUpdate, MessageName: e.key}
	b := &body{name: e.key, kind: attls.KindExtendedKeyUpdate, limit: updateLimit, pos: e.pos, context: ctx,
		codec: c.codecFor(v, ctx)}
	if b.codec != nil {
		c.p.KeyUpdates = append(c.p.KeyUpdates, UpdateMessage{e.key, attls.ExtendedKeyUpdateType(n)})
		c.codec.updates = append(c.codec.updates, b)
	}
}

// updateField finds a field of a subtype, as message.field.
func (c *compiler) updateField(v *value) (message int, f schema.Field, ok bool) {
	name, path, _ := strings.Cut(v.text, ".")
	message = slices.IndexFunc(c.p.KeyUpdates, func(m UpdateMessage) bool { return m.Name == name })
	if message < 0 {
		var known []string
		for _, m := range c.p.KeyUpdates {
			known = append(known, m.Name)
		}
		propose(c.fail(v.pos, ProblemPath, "key_updates has no %s", name), name, known)
		return 0, f, false
	}
	f, err := c.codec.updates[message].field(path)
	if err != nil {
		c.fail(v.pos, ProblemPath, "%s: %v", v.text, err)
	}
	return message, f, err == nil
}

// updateRules reads after.key_update.
func (c *compiler) updateRules() {
	r := &c.p.KeyUpdate
	r.Initiator = UpdatePlace(c.word(initiatorWords, int(UpdateBehind), updateAt("initiator")...))
	r.Responder = UpdatePlace(c.word(responderWords, int(UpdateBehind), updateAt("responder")...))
	r.Report = c.word(updateFailedWords, no, updateAt("failed")...) == yes
	v := c.doc.get(updateAt("outcome")...)
	for _, x := range []struct {
		key string
		to  *string
	}{{"accepted", &r.Accepted}, {"refused", &r.Refused}} {
		e := c.doc.get(updateAt(x.key)...)
		switch {
		case v == nil && e != nil:
			c.fail(e.pos, ProblemRule, "no field tells the outcome").Advice = "say outcome: message.field, or remove " + x.key
		case v != nil && e == nil:
			c.fail(v.pos, ProblemKey, "nothing says which number is %s", x.key).Advice = "say " + x.key + ": and an enumerator"
		case e != nil:
			*x.to = e.text
		}
	}
	if v == nil {
		return
	}
	m, f, ok := c.updateField(v)
	if !ok {
		return
	}
	r.Outcome, r.OutcomePath = m, f.Path
	for _, x := range []string{"accepted", "refused"} {
		if e := c.doc.get(updateAt(x)...); e != nil && !slices.Contains(f.Enumerators, e.text) {
			propose(c.fail(e.pos, ProblemValue, "%s has no enumerator %s", v.text, e.text), e.text, f.Enumerators)
		}
	}
	if r.Accepted != "" && r.Accepted == r.Refused {
		c.fail(v.pos, ProblemValue, "%s is both accepted and refused", r.Accepted)
	}
	c.bind(c.codec.updates[m], binding{means: meansChoice, slot: -1, path: f.Path}, v)
}

// updateSlot reads a slot of the phase key_update.
func (c *compiler) updateSlot(e *entry) {
	s := UpdateSlot{Name: e.key}
	if v := e.value.get("attester"); v != nil {
		s.Attester = attls.Role(roleWords.value(v))
	} else {
		c.fail(e.pos, ProblemKey, "%s does not say its attester", e.key)
	}
	for _, x := range e.value.entries {
		if !slices.Contains([]string{"attester", "phase", "carried_in"}, x.key) {
			c.fail(x.pos, ProblemRule, "a slot of key updates has no %s: who attested attests again, under the same scheme",
				x.key).
				Advice = "remove it"
		}
	}
	if c.p.UpdateSlot(s.Attester) >= 0 {
		c.fail(e.pos, ProblemRule, "the %s has two slots of key updates", s.Attester).Advice = "remove one of them"
		return
	}
	c.attestedBefore(&s, e)
	v := e.value.get("carried_in")
	if v == nil {
		c.fail(e.pos, ProblemKey, "%s does not say where its payload travels", e.key).Advice = "say carried_in: message.field"
		return
	}
	if i := c.addedMessage(strings.Split(v.text, ".")[0]); i >= 0 {
		c.inAdded(&s, i, v)
	} else if m, f, ok := c.updateField(v); ok {
		b := c.codec.updates[m]
		s.Message, s.Path, s.MaxPayload = m, f.Path, min(f.Ceiling, f.Fits)
		if f.Kind != schema.KindOctets {
			c.fail(v.pos, ProblemPath, "%s is %s; a payload is octets", v.text, f.Kind)
		}
		if m == c.p.KeyUpdate.Outcome {
			c.fail(v.pos, ProblemPath, "%s tells the outcome; a payload has a message of its own", b.name)
		}
		if c.boundBy(b, f) == nil {
			b.bindings = append(b.bindings, binding{means: meansPayload, slot: -1, path: f.Path, floor: f.Floor})
		}
	}
	c.p.Updates = append(c.p.Updates, s)
}

// inAdded lets an added message carry the payload.
func (c *compiler) inAdded(s *UpdateSlot, i int, v *value) {
	s.Added, s.Message = true, i
	_, path, _ := strings.Cut(v.text, ".")
	b := c.codec.messages[i][s.Attester]
	if b == nil {
		c.fail(v.pos, ProblemPath, "%s: the %s does not send %s", v.text, s.Attester, c.p.Messages[i].Name)
		return
	}
	f, err := b.field(path)
	x := c.boundBy(b, f)
	switch {
	case err != nil:
		c.fail(v.pos, ProblemPath, "%s: %v", v.text, err)
	case x == nil || x.means != meansPayload:
		c.fail(v.pos, ProblemPath, "%s carries no payload in the handshake, and means the same here", v.text)
	default:
		s.Path, s.MaxPayload = path, min(f.Ceiling, f.Fits)
	}
}

// attestedBefore checks that the attester can have attested, in one field.
func (c *compiler) attestedBefore(s *UpdateSlot, e *entry) {
	found := false
	for i := range c.p.Slots {
		own := &c.p.Slots[i]
		if own.Attester != s.Attester {
			continue
		}
		if found = true; own.PostHandshake {
			continue
		}
		if own.Apart || slices.Contains(own.Kinds, KindAlone) {
			c.fail(e.pos, ProblemRule, "%s attests without a certificate, or in a field of its own; a key update attests "+
				"again for the key of an X.509 certificate, in one field", own.Name).Advice = "remove " + e.key
		}
	}
	if !found {
		c.fail(e.pos, ProblemRule, "no slot lets the %s attest before, so it has no scheme", s.Attester).Advice =
			"add a slot of the handshake, or remove " + e.key
	}
}

// unusedUpdates refuses what no slot sends.
func (c *compiler) unusedUpdates() {
	for i, b := range c.codec.updates {
		if i != c.p.KeyUpdate.Outcome && !slices.ContainsFunc(c.p.Updates, func(s UpdateSlot) bool {
			return !s.Added && s.Message == i
		}) {
			c.fail(b.pos, ProblemUnbound, "no slot attests in %s, and it tells no outcome, so it would never be sent", b.name).
				Advice = "name it in a slot of the phase key_update, or remove it"
		}
	}
	l := &compiler{doc: c.doc, p: c.p, codec: &codec{p: c.p, order: c.codec.updates}, errors: c.errors}
	l.bounds()
	c.problems, c.errors, c.flaws = append(c.problems, l.problems...), l.errors, append(c.flaws, l.flaws...)
}

// Updated is the binder of attestation with a key update; nil: there is none.
func (b *BinderRules) Updated() *binder.Program {
	if b.KeyUpdate != nil {
		return b.KeyUpdate
	}
	return b.Program
}

// OverKeyUpdated is OverKey for an attestation with a key update.
func (b *BinderRules) OverKeyUpdated(m Model, attester attls.Role) bool {
	name, program := b.Challenge[m][KindX509], b.Updated()
	return program != nil && name != "" && program.Depends(name, attester).Key
}

// updateBinder compiles the definitions that a key update replaces, and checks the challenges.
func (c *compiler) updateBinder(defs []binder.Definition, texts map[string]*value, v binder.Variant) {
	if len(c.p.Updates) == 0 {
		return
	}
	program := c.replaced("key_update", defs, texts, v)
	if program == nil {
		if program = c.p.Binder.Program; program == nil {
			return
		}
	} else {
		c.p.Binder.KeyUpdate = program
	}
	told := map[string]bool{}
	for _, u := range c.p.Updates {
		for i := range c.p.Slots {
			s := &c.p.Slots[i]
			if s.Attester != u.Attester {
				continue
			}
			for _, m := range s.Models {
				c.availableIn(program, m, s.Attester, c.p.settingOf(s, m), texts, told)
			}
		}
	}
}

// availableIn checks the challenge and the claims of a model in a key update.
func (c *compiler) availableIn(p *binder.Program, m Model, attester attls.Role, s binder.Setting,
	texts map[string]*value,
	told map[string]bool) {
	names := []string{c.p.Binder.Challenge[m][KindX509]}
	if m == ModelEvidence {
		for _, x := range c.p.Binder.Claims {
			names = append(names, x.Expr)
		}
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		for _, f := range p.Check(name, attester, s, binder.PointUpdated) {
			if key := f.Name + f.Msg; !told[key] {
				told[key] = true
				c.finding(f, texts)
			}
		}
	}
}
