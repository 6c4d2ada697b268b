package profile

import (
	"slices"

	"attls"
	"attls/extensions"
)

// Slots of the phase post_handshake (RFC 8446 section 4.6.2): the server asks with a
// CertificateRequest of its own, and the client attests in what answers it. Only the server
// sends that request, so that it is the relying party of each such slot. Where a profile has
// one, its slots of the handshake are used in the handshake alone.

// UsesSlot reports whether a slot is used in the handshake, or, after it, in post-handshake
// authentication.
func (p *Profile) UsesSlot(slot int, after bool) bool {
	s := &p.Slots[slot]
	if !after {
		return !s.PostHandshake
	}
	return s.PostHandshake || !p.hasSlotsAfter()
}

// AttestsOnlyAfter reports whether a client attests in post-handshake authentication and
// cannot in the handshake.
func (p *Profile) AttestsOnlyAfter() bool {
	return p.hasSlotsAfter() && !slices.ContainsFunc(p.Slots, func(s Slot) bool {
		return s.Attester == attls.RoleClient && !s.PostHandshake
	})
}

// hasSlotsAfter reports whether a slot has the phase post_handshake.
func (p *Profile) hasSlotsAfter() bool {
	return slices.ContainsFunc(p.Slots, func(s Slot) bool { return s.PostHandshake })
}

// afterPlacement puts an extension of the phase post_handshake into a message: a request or an
// answer there, or an offer in front of them.
func (c *compiler) afterPlacement(p *extensions.Placement, name string, e *entry) {
	if !c.doc.get("extensions", name, "phase").is(PhasePostHandshake.String()) {
		return
	}
	switch p.Message {
	case attls.KindCertificateRequest, attls.KindCertificate:
		p.PostHandshake, p.AfterOnly = true, true
	case attls.KindClientHello:
	default:
		c.fail(e.pos, ProblemPath, "%s in %s: post-handshake authentication has no such message", name, e.key).Advice =
			"name certificate_request and certificate, or say phase: handshake"
	}
}

// afterSlots checks the slots of the phase post_handshake; false: there are none.
func (c *compiler) afterSlots() bool {
	if !c.p.hasSlotsAfter() {
		return false
	}
	if v := c.doc.get("after", "post_handshake", "client_authentication"); v.is("true") {
		c.fail(v.pos, ProblemRule, "slots of the phase post_handshake say how a client attests after the handshake, and "+
			"with this those of the handshake would say it as well").Advice = "say client_authentication: false"
	}
	for i, e := range c.doc.under("bind", "slots") {
		if s := &c.p.Slots[i]; s.PostHandshake {
			c.afterSlot(i, s, e)
		} else {
			c.neverAfter(s, e)
		}
	}
	return true
}

// askable refuses a server that would attest in post-handshake authentication.
func (c *compiler) askable(s *Slot, e *entry) bool {
	if !s.PostHandshake || s.Attester == attls.RoleClient {
		return true
	}
	c.fail(e.value.get("attester").pos, ProblemRule, "only a server sends certificate_request after the handshake "+
		"(RFC 8446 4.6.2), so that a server is never asked to attest there").Advice =
		"say attester: client, or phase: authenticator, in which either end asks"
	return false
}

// afterSlot checks that all of a slot is in the messages of post-handshake authentication.
func (c *compiler) afterSlot(slot int, s *Slot, e *entry) {
	for _, at := range []struct {
		key   string
		place Place
	}{{"choice", s.Choice}, {"nonce", s.Nonce}} {
		v := e.value.get(at.key)
		if v == nil || v.form == formMap && at.place.Message == attls.KindCertificateRequest {
			continue
		}
		x, _ := c.p.Extension(at.place.Extension)
		switch {
		case at.place.Message != attls.KindCertificateRequest || x == nil:
			c.fail(v.pos, ProblemPath, "%s: in post-handshake authentication a server sends certificate_request and nothing "+
				"else", v.text).Advice = "name a field of certificate_request"
		case !x.In(attls.KindCertificateRequest).AfterOnly:
			c.fail(v.pos, ProblemRule, "%s would be in the certificate_request of the handshake as well, where nobody attests "+
				"in %s", v.text, s.Name).Advice = "say phase: post_handshake in the extension " + x.Name
		}
	}
	if !c.p.attestsLater(slot) {
		c.fail(e.pos, ProblemRule, "the payload of %s has no place after the handshake: that takes an X.509 certificate, "+
			"and an extension of certificate or an added message with also_in: [post_handshake]", s.Name).Advice =
			"say phase: post_handshake in the extension that carries it, or also_in: [post_handshake]"
	}
}

// neverAfter refuses a slot of the handshake with a part that is never there.
func (c *compiler) neverAfter(s *Slot, e *entry) {
	places := []Place{s.Choice, s.Nonce}
	for _, k := range s.Kinds {
		own := s.Own
		if row, ok := c.p.Credential(k); ok && !s.Apart {
			own = row.Carriage
		}
		if own.Carrier == CarrierExtension {
			places = append(places, Place{Message: attls.KindCertificate, Extension: own.Extension})
		}
	}
	for _, at := range places {
		if x, own := c.p.Extension(at.Extension); own && at.Message != attls.KindNone {
			if in := x.In(at.Message); in != nil && in.AfterOnly {
				c.fail(e.pos, ProblemRule, "%s attests in the handshake, where %s has no place in %s", s.Name, x.Name,
					at.Message.Name()).Advice = "say phase: post_handshake in the slot, or phase: handshake in the extension"
			}
		}
	}
}
