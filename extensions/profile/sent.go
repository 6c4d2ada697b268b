package profile

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile/binder"
)

// What a profile places somewhere is sent at some time, and what answers comes
// after what it answers: the checks here refuse everything else, since nothing
// at run time would tell of it.

// order is when a message of a sender comes in a handshake.
func order(k attls.MessageKind, sender attls.Role) int {
	switch k {
	case attls.KindClientHello:
		return 1
	case attls.KindHelloRetryRequest, attls.KindServerHello:
		return 2
	case attls.KindEncryptedExtensions:
		return 3
	case attls.KindCertificateRequest, attls.KindClientCertificateRequest:
		return 4
	case attls.KindCertificate:
		if sender == attls.RoleServer {
			return 5
		}
		return 6
	}
	return 7
}

// offerable refuses what cannot have been sent before the answer to it.
func (c *compiler) offerable(o extensions.Offer, x *extensions.Row, kind attls.MessageKind, sender attls.Role,
	v *value) bool {
	if order(o.Message, sender.Peer()) >= order(kind, sender) {
		c.fail(v.pos, ProblemPath, "%s in the %s's %s cannot answer %s, which comes later", x.Name, sender, kind.Name(),
			o.Message.Name())
		return false
	}
	return true
}

// uses reports whether a body is sent whenever a slot is in use.
func (b *body) uses(slot int) bool {
	return slices.Contains(b.companions, slot) ||
		slices.ContainsFunc(b.bindings, func(x binding) bool { return x.means != meansPayload && x.slot == slot })
}

// binding finds where a slot has its offer, choice or nonce.
func (c *codec) binding(slot int, m meaning) (*body, *binding) {
	for _, b := range c.order {
		for i := range b.bindings {
			if x := &b.bindings[i]; x.slot == slot && x.means == m {
				return b, x
			}
		}
	}
	return nil, nil
}

// slotsOf are the slots that a body says something about.
func (c *codec) slotsOf(b *body) []int {
	list := slices.Clone(b.companions)
	for _, x := range b.bindings {
		if x.means != meansPayload && !slices.Contains(list, x.slot) {
			list = append(list, x.slot)
		}
	}
	return list
}

// answerable checks that whatever is answered was offered: for each slot that an
// extension speaks of, and each that it carries the payload of, one of its
// offers is sent as well.
func (c *compiler) answerable() {
	for _, b := range c.codec.order {
		if b.kind == attls.KindAdded {
			continue
		}
		x, _ := c.p.Extension(b.ext)
		p := x.In(b.kind)
		offers := p.OfferedBy[b.sender]
		if p.Unsolicited || len(offers) == 0 {
			continue
		}
		need := c.codec.slotsOf(b)
		if b.kind == attls.KindCertificate {
			need = c.carriedFor(b)
		}
		for _, slot := range need {
			if s := &c.p.Slots[slot]; !slices.ContainsFunc(offers, func(o extensions.Offer) bool {
				return c.isSent(o, b.sender.Peer(), slot)
			}) {
				c.fail(b.pos, ProblemPath,
					"%s in %s answers nothing that is sent where only slot %s is used, so the peer would refuse it", b.name,
					b.kind.Name(), s.Name).Advice =
					"name in offered_by what is sent with " + s.Name + ", or say offered_by: any"
			}
		}
	}
}

// isSent reports whether an offer is sent whenever a slot is in use.
func (c *compiler) isSent(o extensions.Offer, sender attls.Role, slot int) bool {
	b := c.codec.bodies[site{o.Message, sender, o.Extension}]
	return b != nil && b.uses(slot)
}

// carriedFor are the slots whose payload is in an extension of the sender's
// Certificate.
func (c *compiler) carriedFor(b *body) (list []int) {
	for i, s := range c.p.Slots {
		if s.Attester != b.sender {
			continue
		}
		for _, k := range s.Kinds {
			if row, ok := c.p.CredentialFor(i, k); ok && row.Carrier == CarrierExtension && row.Extension == b.ext {
				list = append(list, i)
				break
			}
		}
	}
	return list
}

// companions finds bodies without a meaning of their own that are the offer of
// something that has one: they are sent with the slots that it is about.
func (c *compiler) companions() {
	for _, b := range c.codec.order {
		if b.kind == attls.KindAdded || len(b.bindings) > 0 {
			continue
		}
		for _, answer := range c.codec.order {
			if answer.kind == attls.KindAdded || len(answer.bindings) == 0 || answer.sender == b.sender {
				continue
			}
			x, _ := c.p.Extension(answer.ext)
			if !slices.Contains(x.In(answer.kind).OfferedBy[answer.sender],
				extensions.Offer{Message: b.kind, Extension: b.ext}) {
				continue
			}
			for _, slot := range append(c.codec.slotsOf(answer), c.carriedFor(answer)...) {
				if !slices.Contains(b.companions, slot) {
					b.companions = append(b.companions, slot)
				}
			}
		}
	}
}

// orderBodies puts the extensions of a message into the order of the slots that their
// fields belong to; behind them, those that are sent because of a slot; and then into
// the order of their numbers.
func (c *compiler) orderBodies() {
	first := func(b *body) int {
		n := 2 * len(c.p.Slots)
		for _, slot := range b.companions {
			n = min(n, 2*slot+1)
		}
		for _, x := range b.bindings {
			if x.means != meansPayload {
				n = min(n, 2*x.slot)
			}
		}
		return n
	}
	slices.SortStableFunc(c.codec.order, func(a, b *body) int {
		if n := first(a) - first(b); n != 0 {
			return n
		}
		return int(a.ext) - int(b.ext)
	})
}

// sent refuses what would never be sent.
func (c *compiler) sent() {
	told := map[string]bool{}
	for _, b := range c.codec.order {
		key := b.name + b.kind.Name()
		switch {
		case told[key]:
		case b.kind == attls.KindAdded:
			if !c.speaks(b.added) {
				c.fail(b.pos, ProblemUnbound, "nothing travels in %s, so it would never be sent", b.name).
					Advice = "name a field of it as carried_in, choice or nonce, or remove it"
			}
			told[key] = true
		case b.kind == attls.KindNewSessionTicket:
			c.fail(b.pos, ProblemUnbound, "nothing of a profile is sent in %s", b.kind.Name()).Advice = "remove it"
			told[key] = true
		case b.silent() && !c.codec.saidByPeer(b):
			c.fail(b.pos, ProblemUnbound, "nothing says what %s in %s means, so it would never be sent", b.name, b.kind.Name()).
				Advice = "name a field of it in bind, or remove it"
			told[key] = true
		}
	}
	for i, e := range c.doc.under("bind", "credentials") {
		k := c.p.Credentials[i].Kind
		if !slices.ContainsFunc(c.p.Slots, func(s Slot) bool { return slices.Contains(s.Kinds, k) }) {
			c.fail(e.pos, ProblemRule, "no slot has schemes of kind %s, so this credential would never be shown", k).
				Advice = "remove it, or name the kind in bind.schemes"
		}
	}
}

// speaks reports whether a field of an added message has a meaning. An end whose
// fields have none does not send it.
func (c *compiler) speaks(added int) bool {
	m, any := &c.p.Messages[added], false
	for r, b := range c.codec.messages[added] {
		switch {
		case b != nil && len(b.bindings) > 0:
			any = true
		default:
			m.At[r] = binder.PointNone
		}
	}
	return any
}

// silent reports whether nothing in a body has a meaning.
func (b *body) silent() bool { return len(b.bindings) == 0 && len(b.companions) == 0 }

// saidByPeer reports whether the other end, which sends the same kind of message, has
// something to say in the extension. This one then does without it.
func (c *codec) saidByPeer(b *body) bool {
	o := c.bodies[site{b.kind, b.sender.Peer(), b.ext}]
	if b.kind == attls.KindAdded {
		o = c.messages[b.added][b.sender.Peer()]
	}
	return o != nil && !o.silent()
}

// later checks that what post-handshake authentication needs may be in its
// messages.
func (c *compiler) later() {
	v := c.doc.get("after", "post_handshake", "client_authentication")
	if !c.p.PostHandshake.ClientAuthentication {
		return
	}
	if c.afterSlots() {
		return
	}
	carried := c.p.PostHandshake.ChoiceCarriedOver
	able := false
	for i, e := range c.doc.under("bind", "slots") {
		s := &c.p.Slots[i]
		if s.Attester != attls.RoleClient || !c.p.attestsLater(i) {
			continue
		}
		if !carried && !s.Always && s.Choice.Message != attls.KindCertificateRequest {
			c.fail(e.value.get("choice").pos, ProblemRule, "a later request cannot carry the choice of %s, which is %s",
				s.Name, e.value.get("choice").text).Advice =
				"say after: {post_handshake: {choice: carried_over}}, or client_authentication: false"
			continue
		}
		able = true
		if !carried && !s.Always {
			c.standsLater(s.Choice, "the choice of "+s.Name, e.value.get("choice"))
		}
		if s.Nonce.Message == attls.KindCertificateRequest && !s.NonceField.Used {
			c.standsLater(s.Nonce, "the nonce of "+s.Name, e.value.get("nonce"))
		}
	}
	if !able {
		c.remark(v.pos,
			"no client can attest after the handshake: that takes a payload with an X.509 certificate, in an extension of "+
				"certificate or in an added message with also_in: [post_handshake]",
			"add that, or say client_authentication: false")
	}
}

// attestsLater reports whether a client of the slot can show its payload after
// the handshake.
func (p *Profile) attestsLater(slot int) bool {
	return slices.ContainsFunc(p.Slots[slot].Kinds, func(k CredentialKind) bool { return p.AttestsLater(slot, k) })
}

// AttestsLater reports whether a client of the slot can show a credential of the kind
// in post-handshake authentication: with an X.509 certificate, where the carrier of
// the payload has a place.
func (p *Profile) AttestsLater(slot int, k CredentialKind) bool {
	row, ok := p.CredentialFor(slot, k)
	if !ok || k != KindX509 || p.Slots[slot].Attester != attls.RoleClient {
		return false
	}
	switch row.Carrier {
	case CarrierMessage:
		return p.Messages[row.Message].Later != binder.PointNone
	case CarrierCertificate:
		return true
	}
	x, _ := p.Extension(row.Extension)
	at := x.In(attls.KindCertificate)
	return at != nil && at.PostHandshake
}

func (c *compiler) standsLater(at Place, what string, v *value) {
	x, _ := c.p.Extension(at.Extension)
	if p := x.In(at.Message); !p.PostHandshake {
		c.fail(v.pos, ProblemRule, "%s is sent again after the handshake, where %s has no place in %s", what, x.Name,
			at.Message.Name()).Advice =
			"say also_in: [post_handshake] there"
	}
}
