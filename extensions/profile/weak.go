package profile

import (
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// What the linter says of a profile that loads: where it weakens TLS or attestation,
// and what is likely not to be meant.

// shortNonce is the least length of eat_nonce, in octets (RFC 9711 section 4.1).
const shortNonce = 8

// weaknesses makes the remarks.
func (c *compiler) weaknesses() {
	c.weakCredentials()
	c.weakAlerts()
	c.weakRules()
	c.weakChoices()
	c.weakNonces()
	c.weakPlacements()
	c.weakNumbers()
	c.weakBinder()
}

// says remarks on a key if its value is a word, or whatever it says.
func (c *compiler) says(word, text, advice string, keys ...string) {
	if v := c.doc.get(keys...); v != nil && (word == "" || v.text == word) {
		c.remark(v.pos, strings.Join(keys, ".")+": "+text, advice)
	}
}

func (c *compiler) weakCredentials() {
	for i, e := range c.doc.under("bind", "credentials") {
		if k := &c.p.Credentials[i]; k.Kind == KindX509 && !k.PKIX {
			pos := e.pos
			if v := e.value.get("pkix"); v != nil {
				pos = v.pos
			}
			c.remark(pos,
				"no certification path is validated: a peer is who its attestation says, and anybody where none is demanded",
				"say pkix: required, or demand attestation at both ends")
		}
	}
}

func (c *compiler) weakAlerts() {
	for _, e := range c.doc.under("alerts") {
		if e.value.text == "none" {
			c.remark(e.value.pos, fmt.Sprintf("%s passes: the connection goes on as if nothing had happened", e.key),
				"name an alert, or say close")
		}
	}
}

func (c *compiler) weakRules() {
	c.says("later", "application data passes before anybody has judged the attestation",
		"say finished, or application_data", "negotiation", "verdict", "before")
	c.says("ignore", "a payload of any type passes, whatever was chosen", "say equal, or with_parameters", "negotiation",
		"match", "format")
	c.says("policy",
		"a session may be resumed without attestation for as long as its ticket is valid, unless the policy refuses it",
		"say within_validity, or unless_due", "after", "resumption", "accept")
	c.says("true", "the second ClientHello may come from somebody else (against RFC 8446 4.1.2)", "", "quirks",
		"accept_new_random")
	c.says("true", "anybody on the path can end a handshake", "", "quirks", "accept_plaintext_alerts")
}

// weakChoices looks at choices that are not encrypted.
func (c *compiler) weakChoices() {
	for i, s := range c.p.Slots {
		k := s.Choice.Message
		if k != attls.KindServerHello && k != attls.KindHelloRetryRequest {
			continue
		}
		c.remark(c.doc.under("bind", "slots")[i].value.get("choice").pos, fmt.Sprintf(
			"the choice of %s is in %s, which is not encrypted: anybody on the path sees who attests, and how",
			s.Name,
			k.Name(),
		),
			"put it into encrypted_extensions, or certificate_request")
	}
}

func (c *compiler) weakNonces() {
	c.says("", "the nonce is the same in every connection, so that what it asks for can be replayed",
		"leave it out, and a fresh one is drawn", "nonce", "default")
	for i, s := range c.p.Slots {
		if s.Nonce.Message == attls.KindNone {
			continue
		}
		v := c.doc.under("bind", "slots")[i].value.get("nonce")
		if s.NonceMin < shortNonce {
			c.remark(v.pos, fmt.Sprintf("the nonce of %s may have %d octets; eat_nonce has 8 at least (RFC 9711 4.1)", s.Name,
				s.NonceMin), "let it begin at 8")
		}
		if s.NonceField.Used && !s.Nonce.Random && s.Nonce.Extension == attls.ExtServerName {
			c.remark(v.pos, fmt.Sprintf(
				"the nonce of %s takes the place of the host's name: what routes by server_name, and a server with several "+
					"names, does not find the host", s.Name),
				"put it into an extension of its own, or into application_layer_protocol_negotiation")
		}
	}
}

func (c *compiler) weakPlacements() {
	for _, x := range c.doc.under("extensions") {
		for _, m := range x.value.entries {
			if v := m.value.get("offered_by"); v.is("any") {
				c.remark(v.pos, fmt.Sprintf("%s in %s is accepted though nothing asked for it (against RFC 8446 4.2)", x.key,
					m.key), "name what offers it")
			}
			if v := m.value.get("trailing_octets"); v.is("ignore") {
				c.remark(v.pos, fmt.Sprintf("whatever follows the body of %s in %s is ignored", x.key, m.key), "say refuse")
			}
		}
	}
}

// private are the numbers that IANA keeps for private use; alerts have none, and
// drafts take the same.
var private = map[string][2]uint64{"extensions": {0xff00, 0xffff}, "messages": {224, 255},
	"certificate_types": {224, 255}, "alerts": {224, 255}}

func (c *compiler) weakNumbers() {
	for _, registry := range sortedKeys(private) {
		for _, e := range c.doc.under("code_points", registry) {
			p, own := c.numbers[registry][e.key], private[registry]
			_, taken := registries[registry].taken(p.n)
			switch {
			case !p.used || taken:
			case registry == "extensions" && p.n>>8 == p.n&0xff && p.n&0xf == 0xa:
				c.remark(p.pos,
					fmt.Sprintf("%s has the number %s, which is a GREASE value: peers send it at random and ignore it (RFC 8701)",
						e.key, p.text), "take one from 0xFF00 on, for private use")
			case registry == "extensions" && p.n == 0xffff:
				c.remark(p.pos, fmt.Sprintf("%s has the number %s, the last of the registry, which programs use as a mark for none",
					e.key, p.text), "take another one from 0xFF00 on")
			case p.n < own[0]:
				c.remark(p.pos, fmt.Sprintf("%s has the number %s, which is not assigned: IANA may give it to another",
					e.key, p.text),
					fmt.Sprintf("take one from %s on, for private use", p.like(own[0])))
			}
		}
	}
}

// weakBinder looks at what each challenge is made of.
func (c *compiler) weakBinder() {
	b := &c.p.Binder
	told := map[string]bool{}
	for i := range c.p.Slots {
		s := &c.p.Slots[i]
		for _, m := range s.Models {
			for _, k := range s.Kinds {
				name := b.Challenge[m][k]
				key := m.String() + "/" + k.String()
				v := c.doc.get("binder", "challenge", key)
				pos := c.doc.pos
				if v != nil {
					pos = v.pos
				}
				if name == "" && m == ModelEvidence && !told[key] {
					told[key] = true
					c.remark(pos, fmt.Sprintf("Evidence with %s is bound to nothing, so that it can be taken from anywhere", k),
						"give binder.challenge a value for "+key)
				}
				if name != "" {
					c.weakChallenge(i, name, key, pos, told)
				}
			}
		}
	}
	if b.Program == nil {
		return
	}
	for _, x := range c.doc.under("binder", "claims") {
		c.bare(b.Program, "claim."+x.key, "the claim "+x.key, x.pos, told)
	}
	for _, name := range b.HandOver {
		c.bare(b.Program, name, "what the Appraiser is given as "+name, c.doc.get("binder", "hand_over", "values").pos, told)
	}
}

func (c *compiler) weakChallenge(slot int, name, key string, pos schema.Position, told map[string]bool) {
	b, s := &c.p.Binder, &c.p.Slots[slot]
	tell := func(text, advice string) {
		if !told[key+text] {
			told[key+text] = true
			c.remark(pos, text, advice)
		}
	}
	d := b.Program.Depends(name, s.Attester)
	if !s.PostHandshake && !fresh(d, s, &c.p.Rules) {
		text := fmt.Sprintf(
			"the challenge %s of the %s holds nothing fresh of its peer: neither transcript, nonce nor secret", key, s.Attester)
		if len(d.Ranges)+len(d.Secrets) > 0 || d.Nonce {
			text = fmt.Sprintf("the challenge %s of the %s holds nothing that its peer chose for this connection",
				key, s.Attester)
		}
		tell(text+", so old Evidence passes again", "add hash(CH..SH), or nonce(role)")
	}
	c.bare(b.Program, name, "the challenge "+key, pos, told)
	program := b.Program
	if b.PostHandshake != nil {
		program = b.PostHandshake
	}
	if c.p.UsesSlot(slot, true) && c.p.PostHandshake.ClientAuthentication && c.p.attestsLater(slot) &&
		!freshLater(program.Depends(name, s.Attester), s) {
		tell(
			fmt.Sprintf(
				"the challenge %s is the same in each authentication after the handshake, so the Evidence of the first passes "+
					"again", key), "add hash(CH..CR(pha)) in binder.post_handshake, or put a nonce into certificate_request")
	}
}

// fresh reports whether a challenge holds something that the relying party chose.
func fresh(d binder.Dependencies, s *Slot, r *Rules) bool {
	first := binder.PointSH // what a server sends
	if s.Attester == attls.RoleServer {
		first = binder.PointCH
	}
	return d.Nonce && r.NonceFixed == nil ||
		slices.ContainsFunc(d.Ranges, func(x binder.Range) bool { return x.End > first || x.End == first && !x.Exclusive }) ||
		slices.ContainsFunc(d.Secrets, func(x binder.Secret) bool { return x != binder.EarlySecret })
}

// freshLater is fresh for an authentication after the handshake.
func freshLater(d binder.Dependencies, s *Slot) bool {
	return d.Context || d.Nonce && s.Nonce.Message == attls.KindCertificateRequest ||
		slices.ContainsFunc(d.Ranges, func(x binder.Range) bool {
			return x.End >= binder.PointPostHandshakeCR && !x.Exclusive
		})
}

func (c *compiler) bare(p *binder.Program, name, what string, pos schema.Position, told map[string]bool) {
	for _, s := range p.Depends(name, attls.RoleServer).Bare {
		text := fmt.Sprintf("%s shows %v as it is: anyone who is given it can read the connection", what, s)
		if !told[text] {
			told[text] = true
			c.remark(pos, text, `derive from it: derive_secret(`+s.String()+`, "label", CH..SH)`)
		}
	}
}
