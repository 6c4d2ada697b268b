package cases

import (
	"bytes"
	"encoding/base64"
	"strings"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
)

// nonceFaults are what a relying party can do wrong with a nonce that travels in a field of an RFC.
var nonceFaults = []Row{
	breach("nonce-spelling", rule.NonceSpelled, attls.FailAttestationExtension, "A tap puts a character that its codec does not have into a nonce in a field of an RFC.",
		tryRespelled(func(_ *profile.Slot, text string) string { return "!" + text[1:] })),
	breach("nonce-case", rule.NonceSpelled, attls.FailAttestationExtension, "A tap writes the hexadecimal digits of a nonce in upper case.",
		tryRespelled(func(s *profile.Slot, text string) string {
			if s.NonceField.Codec == profile.CodecHex {
				return strings.ToUpper(strings.Replace(text, text[:1], "a", 1)) // with a letter in any case
			}
			return ""
		})),
	breach("nonce-padding", rule.NonceSpelled, attls.FailAttestationExtension, "A tap takes the padding off a nonce in base64, or adds it in base64url.",
		tryRespelled(func(s *profile.Slot, text string) string {
			other := base64.URLEncoding
			if s.NonceField.Codec == profile.CodecBase64 {
				other = base64.RawStdEncoding
			} else if s.NonceField.Codec != profile.CodecBase64URL {
				return ""
			}
			if other := other.EncodeToString(make([]byte, s.NonceMax)); len(other) > len(text) {
				return text + strings.Repeat("=", len(other)-len(text))
			}
			return strings.TrimRight(text, "=")
		})),
	breach("nonce-cut", rule.NonceSpelled, attls.FailAttestationExtension, "A tap sends a nonce in a field of an RFC that is shorter than the profile says.",
		tryOtherLength(func(s *profile.Slot) int { return s.NonceMin - 1 })),
	breach("nonce-extended", rule.NonceSpelled, attls.FailAttestationExtension, "A tap sends a nonce in a field of an RFC that is longer than the profile says.",
		tryOtherLength(func(s *profile.Slot) int { return s.NonceMax + 1 })),
	breach("nonce-twice", rule.NonceOnce, attls.FailIllegalParameter, "A tap adds a second value of the form that holds the nonce to a list of an RFC.",
		tryNonceTwice),
	breach("nonce-changed", rule.HelloRepeated, attls.FailRetryMismatch, "After HelloRetryRequest a tap sends another nonce in a field of an RFC.",
		tryNonceChanged),
	breach("nonce-selected", rule.NonceUnselected, attls.FailIllegalParameter, "EncryptedExtensions selects the ALPN name that carries the nonce.",
		tryNonceSelected),
}

// nonceField is the slot of the attester's whose nonce is text in a field of an RFC; nil: there is
// none, or the fault could not be told apart.
func (c *Context) nonceField() (int, *profile.Slot) {
	i := c.slot()
	s := &c.Profile.Slots[i]
	if !s.NonceField.Used || s.Nonce.Random || c.Scenario.Attester == scenario.AttestBoth || c.Profile.Rules.NonceFixed != nil {
		return i, nil
	}
	return i, s
}

// respell changes the encoded nonces in message n of those that carry the nonce of a slot.
func respell(s *scenario.Setup, slot, n int, change func(encoded string) []string) handshake.Tap {
	at := s.Profile.Slots[slot].Nonce
	return tamper.Extensions(at.Message, n, func(l extensions.List) extensions.List {
		return tamper.Change(at.Extension, func(body []byte) []byte {
			f := s.Profile.NewFields()
			if s.Profile.Decode(at.Message, s.Profile.Slots[slot].Attester.Peer(), at.Extension, body, f) != nil || f.Nonces[slot] == nil {
				return body
			}
			changed, err := s.Profile.WithNonces(slot, body, change(s.Profile.Slots[slot].NonceField.Codec.Encode(f.Nonces[slot]))...)
			if err != nil {
				return body
			}
			return changed
		})(l)
	})
}

// refusedNonce is what follows a value that is to hold a nonce and does not: where the template has
// text around it, the value is malformed; where not, the nonce is missing.
func (c *Context) refusedNonce(s *profile.Slot) (*Reject, string) {
	if s.NonceField.Told() {
		return &Reject{By: c.Attester, At: s.Nonce.Message}, ""
	}
	if name := c.Profile.Binder.Challenge[c.Model][c.Kind]; name == "" {
		return nil, ""
	} else if _, err := c.Profile.Binder.Program.Eval(name, c.Attester, noNonce{}); err == nil {
		return nil, ""
	}
	expect, r := c.unasked()
	return &expect, r
}

// tryRespelled sends a nonce in another spelling; "" where the codec has none.
func tryRespelled(spell func(s *profile.Slot, encoded string) string) func(*Context) *Change {
	return func(c *Context) *Change {
		i, slot := c.nonceField()
		if slot == nil || slot.NonceField.Codec == profile.CodecRaw {
			return nil
		}
		expect, r := c.refusedNonce(slot)
		if sample := slot.NonceField.Codec.Encode(make([]byte, slot.NonceDefault)); expect == nil || spell(slot, sample) == "" || spell(slot, sample) == sample {
			return nil
		}
		return &Change{Expect: *expect, Rule: r, AtReceiver: expect.By != c.Attester, Apply: func(s *scenario.Setup) {
			s.Tap(c.Attester.Peer(), respell(s, i, 0, func(encoded string) []string { return []string{spell(slot, encoded)} }))
		}}
	}
}

// tryOtherLength needs lengths that the field can hold.
func tryOtherLength(length func(s *profile.Slot) int) func(*Context) *Change {
	return func(c *Context) *Change {
		i, slot := c.nonceField()
		if slot == nil || length(slot) < 1 {
			return nil
		}
		other := slot.NonceField.Codec.Encode(make([]byte, length(slot)))
		if slot.Nonce.Extension == attls.ExtALPN && len(slot.NonceField.Prefix+other+slot.NonceField.Suffix) > 255 {
			return nil
		}
		expect, r := c.refusedNonce(slot)
		if expect == nil {
			return nil
		}
		return &Change{Expect: *expect, Rule: r, AtReceiver: expect.By != c.Attester, Apply: func(s *scenario.Setup) {
			s.Tap(c.Attester.Peer(), respell(s, i, 0, func(string) []string { return []string{other} }))
		}}
	}
}

func tryNonceTwice(c *Context) *Change {
	i, slot := c.nonceField()
	if slot == nil || slot.Nonce.Extension == attls.ExtServerName {
		return nil
	}
	second := slot.NonceField.Codec.Encode(make([]byte, slot.NonceDefault))
	return &Change{Expect: Reject{By: c.Attester, At: slot.Nonce.Message}, Apply: func(s *scenario.Setup) {
		s.Tap(c.Attester.Peer(), respell(s, i, 0, func(encoded string) []string { return []string{encoded, second} }))
	}}
}

func tryNonceChanged(c *Context) *Change {
	i := c.slot()
	slot := &c.Profile.Slots[i]
	if !slot.NonceField.Used || slot.Nonce.Message != attls.KindClientHello || c.Profile.Rules.NonceFixed != nil {
		return nil
	}
	c.Scenario.HelloRetry = true
	return &Change{Expect: Reject{By: attls.RoleServer, At: attls.KindClientHello}, Apply: func(s *scenario.Setup) {
		if slot.Nonce.Random {
			s.Tap(attls.RoleClient, tamper.ClientHello(1, func(m *message.ClientHello) {
				m.Random = append([]byte(nil), m.Random...)
				m.Random[slot.NonceField.Offset] ^= 1
			}))
			return
		}
		other := slot.NonceField.Codec.Encode(make([]byte, slot.NonceDefault))
		s.Tap(attls.RoleClient, respell(s, i, 1, func(string) []string { return []string{other} }))
	}}
}

func tryNonceSelected(c *Context) *Change {
	_, slot := c.nonceField()
	if slot == nil || slot.Nonce.Extension != attls.ExtALPN || slot.NonceField.Selectable {
		return nil
	}
	return &Change{Expect: Reject{By: attls.RoleClient, At: attls.KindEncryptedExtensions}, Apply: func(s *scenario.Setup) {
		s.Tap(attls.RoleServer, &selectsNonce{p: s.Profile})
	}}
}

// selectsNonce makes a server answer with the ALPN name that carries the nonce.
type selectsNonce struct {
	handshake.NopTap
	p    *profile.Profile
	name []byte
}

// Message keeps the name, and puts it into EncryptedExtensions.
func (t *selectsNonce) Message(d handshake.Direction, m *message.Raw, plan *handshake.Plan) {
	switch {
	case d == handshake.Received && m.Kind == attls.KindClientHello:
		tamper.WithExtensions(m, func(l extensions.List) extensions.List {
			if x, ok := l.Find(attls.ExtALPN); ok {
				if names, err := extensions.ParseALPN(x.Body); err == nil {
					for name := range names.All() {
						if t.p.IsNonce(m.Kind, attls.ExtALPN, name) {
							t.name = bytes.Clone(name)
						}
					}
				}
			}
			return l
		})
	case d == handshake.Sent && m.Kind == attls.KindEncryptedExtensions && t.name != nil:
		plan.Replace = tamper.WithExtensions(m, func(l extensions.List) extensions.List {
			return tamper.Add(attls.ExtALPN, extensions.AppendALPN(nil, []string{string(t.name)})...)(tamper.Remove(attls.ExtALPN)(l))
		})
	}
}

// Fork copies the name.
func (t *selectsNonce) Fork() handshake.Tap {
	f := *t
	return &f
}
