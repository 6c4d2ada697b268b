package campaign

import (
	"bytes"
	"fmt"
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/internal/provider"
)

// readProfile decodes what the profile adds: the offers of the client, the answers of the
// server, and who showed a payload. It reads with the profile's own grammar.
func (v *view) readProfile() {
	v.offers, v.firstOffers, v.answers = v.p.NewFields(), v.p.NewFields(), v.p.NewFields()
	if v.hello != nil {
		_ = v.decode(v.hello, attls.RoleClient, v.offers)
		_ = v.decode(v.first, attls.RoleClient, v.firstOffers)
	}
	var flights [2][]*seen
	flights[v.role], flights[v.role.Peer()] = v.sent, v.got
	for _, m := range flights[attls.RoleServer] {
		switch m.kind {
		case attls.KindServerHello, attls.KindHelloRetryRequest, attls.KindEncryptedExtensions, attls.KindCertificateRequest:
			_ = v.decode(m, attls.RoleServer, v.answers)
		}
	}
	for _, role := range attls.Roles() {
		for _, m := range flights[role] {
			f := v.p.NewFields()
			if m.kind == attls.KindCertificate || m.kind == attls.KindAdded {
				_ = v.decode(m, role, f)
			}
			shown := len(f.Payload) > 0
			for _, b := range f.Payloads {
				shown = shown || len(b) > 0
			}
			v.payload[role] = v.payload[role] || shown
		}
	}
}

// decode reads the fields of the profile in a message. Its error is the grammar's.
func (v *view) decode(m *seen, sender attls.Role, f *profile.Fields) error {
	if m.kind == attls.KindAdded {
		for i := range v.p.Messages {
			if v.p.Messages[i].Type == attls.HandshakeType(m.raw[0]) {
				return v.p.DecodeMessage(i, sender, m.body(), f)
			}
		}
		return nil
	}
	for i, list := range m.entries {
		for _, x := range list {
			if !v.p.Reads(m.kind, x.t) {
				continue
			}
			if m.kind == attls.KindCertificate && i > 0 {
				continue
			}
			if row, ok := v.p.Extension(x.t); ok && row.In(m.kind) == nil {
				continue // the place is another law's
			}
			if err := v.p.Decode(m.kind, sender, x.t, x.body, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// usable are the schemes of an end's policy for a slot, as octets.
func (v *view) usable(slot int) (list [][]byte) {
	policy := v.r.s.plain[v.role].Policy
	schemes := policy.Accept
	if v.p.Slots[slot].Attester == v.role {
		schemes = policy.Produce
	}
	for _, s := range schemes {
		if e, ok := v.p.EncodeScheme(slot, s); ok {
			list = append(list, e.Wire)
		}
	}
	return list
}

func wires(list []profile.Scheme) (out [][]byte) {
	for i := range list {
		out = append(out, list[i].Wire)
	}
	return out
}

func within(list [][]byte, b []byte) bool {
	return slices.ContainsFunc(list, func(x []byte) bool { return bytes.Equal(x, b) })
}

// chosen is the choice of a slot; nil: there is none.
func (v *view) chosen(slot int) *profile.Scheme {
	c := v.answers.Choices[slot]
	if c == nil || v.p.Rules.NullChoice != nil && bytes.Equal(c.Wire, v.p.Rules.NullChoice.Wire) {
		return nil
	}
	return c
}

// chosenFor is the kind of the credential that was chosen for an attester.
func (v *view) chosenFor(role attls.Role) (slot int, kind profile.CredentialKind, ok bool) {
	slot, s, ok := v.schemeFor(role)
	return slot, s.Credential, ok
}

// schemeFor is the scheme that was chosen for an attester, as its policy knows it.
func (v *view) schemeFor(role attls.Role) (slot int, chosen profile.Scheme, ok bool) {
	for i := range v.p.Slots {
		if c := v.chosen(i); c != nil && v.p.Slots[i].Attester == role {
			for _, own := range [][]profile.Scheme{v.r.s.plain[0].Policy.Produce, v.r.s.plain[1].Policy.Produce} {
				for _, s := range own {
					if e, fits := v.p.EncodeScheme(i, s); fits && bytes.Equal(e.Wire, c.Wire) {
						return i, s, true
					}
				}
			}
			return i, *c, true
		}
	}
	return 0, profile.Scheme{}, false
}

// unnegotiated reports whether the handshake says nothing of a slot.
func (v *view) unnegotiated(slot int) bool {
	s := &v.p.Slots[slot]
	return s.Unoffered() || s.PostHandshake
}

func (v *view) always(role attls.Role) bool {
	return slices.ContainsFunc(v.p.Slots, func(s profile.Slot) bool { return s.Always && s.Attester == role })
}

// accepts reports whether the profile accepts a failure.
func (v *view) accepts(f attls.Failure) bool { return v.p.AlertFor(f).None }

// attested is a law of profiles: it is not asked of TLS 1.3 and of resumed sessions.
func attestedLaw(name, source string, done bool, check func(*view) string) law {
	return law{name, source, done, func(v *view) string {
		if v.p == nil || v.resumed() || v.hello == nil {
			return ""
		}
		return check(v)
	}}
}

// clientOnly is the check of a client.
func clientOnly(check func(*view) string) func(*view) string {
	return func(v *view) string {
		if v.role != attls.RoleClient {
			return ""
		}
		return check(v)
	}
}

func serverOnly(check func(*view) string) func(*view) string {
	return func(v *view) string {
		if v.role != attls.RoleServer {
			return ""
		}
		return check(v)
	}
}

var attestationLaws = []law{
	attestedLaw("attestation-grammar", "the structures of the profile", true, func(v *view) string {
		for _, m := range v.got {
			if m.kind == attls.KindCertificate && v.r.errs[v.role] != nil {
				continue
			}
			if err := v.decode(m, v.role.Peer(), v.p.NewFields()); err != nil && !v.accepts(attls.FailAttestationExtension) {
				return fmt.Sprintf("took %v although its fields do not follow the profile: %v", m.kind, err)
			}
		}
		return ""
	}),
	attestedLaw("choice-offered", "the profile's rules of the answer", true, clientOnly(func(v *view) string {
		for i := range v.p.Slots {
			if c := v.chosen(i); c != nil && !v.unnegotiated(i) && !within(wires(v.offers.Offers[i]), c.Wire) &&
				!v.accepts(attls.FailChoiceNotOffered) {
				return fmt.Sprintf("took the choice 0x%x in %s, which it did not offer", c.Wire, v.p.Slots[i].Name)
			}
		}
		return ""
	})),
	attestedLaw("choice-one-per-attester", "the profile's rules of the answer", true, clientOnly(func(v *view) string {
		n := [2]int{}
		for i := range v.p.Slots {
			if v.chosen(i) != nil {
				n[v.p.Slots[i].Attester]++
			}
		}
		if v.p.Rules.OnePerAttester && max(n[0], n[1]) > 1 && !v.accepts(attls.FailTwoChoices) {
			return "took two choices for one attester"
		}
		return ""
	})),
	attestedLaw("choice-with-request", "the profile's rules of the answer", true, clientOnly(func(v *view) string {
		_, _, ok := v.chosenFor(attls.RoleClient)
		if ok && v.p.Rules.ClientChoiceNeedsRequest && v.last(v.got, attls.KindCertificateRequest) == nil &&
			!v.accepts(attls.FailChoiceWithoutRequest) {
			return "took a choice for itself without a CertificateRequest"
		}
		return ""
	})),
	attestedLaw("choice-some", "the profile's rules of the answer", true, clientOnly(func(v *view) string {
		total := 0
		for i := range v.p.Slots {
			total += len(v.offers.Offers[i])
			if v.chosen(i) != nil || v.unnegotiated(i) {
				return ""
			}
		}
		if total > 0 && v.p.Rules.AnswerNoneAbort && !v.accepts(attls.FailChoiceNone) {
			return "is done although its offer was not answered"
		}
		return ""
	})),
	attestedLaw("credential-present", "the profile's rules of credentials", true, func(v *view) string {
		peer := v.role.Peer()
		_, kind, ok := v.chosenFor(peer)
		if !ok || v.accepts(attls.FailMissing) || peer == attls.RoleClient && len(v.state.PeerSPKI) == 0 {
			return ""
		}
		c, known := v.p.Credential(kind)
		if known && (c.Carrier == profile.CarrierExtension || c.Carrier == profile.CarrierMessage) && !v.payload[peer] {
			return "is done although the payload that was chosen is missing"
		}
		return ""
	}),
	attestedLaw("credential-chosen", "the profile's rules of credentials", true, func(v *view) string {
		peer := v.role.Peer()
		if _, _, ok := v.chosenFor(peer); !ok && v.payload[peer] && !v.always(peer) && !v.accepts(attls.FailNotChosen) {
			return "took a payload that nothing chose"
		}
		return ""
	}),
	attestedLaw("certificate-type-agreed", "the profile's rules of credentials; RFC 7250 4.2", true,
		clientOnly(func(v *view) string {
			_, kind, ok := v.chosenFor(attls.RoleServer)
			c, known := v.p.Credential(kind)
			ee := v.last(v.got, attls.KindEncryptedExtensions)
			if !ok || !known || !c.Negotiated || ee == nil || v.accepts(attls.FailCertTypeMismatch) {
				return ""
			}
			agreed := attls.CertificateX509
			if body, there := ee.find(attls.ExtServerCertificateType); there && len(body) == 1 {
				agreed = attls.CertificateType(body[0])
			}
			if agreed != c.CertificateType {
				return fmt.Sprintf("took the certificate type %v, where the chosen credential has %v", agreed, c.CertificateType)
			}
			return ""
		})),
	attestedLaw("frame-members", "the profile's frames", true, func(v *view) string { return v.frameTaken() }),
	attestedLaw("certificate-fields", "the profile's fields of certificates", true, func(v *view) string {
		if x := v.shownAgain(); x != nil && x.failure != "" && !v.accepts(x.failure) {
			return fmt.Sprintf("took a certificate that was issued again: %s", x.Text)
		}
		return ""
	}),
	attestedLaw("nonce-bound", "the profile's bound of nonces", true, func(v *view) string {
		if most := v.p.Rules.NonceReceiveAtMost; most > 0 {
			for _, n := range v.answers.Nonces {
				if len(n) > most && v.role == attls.RoleClient {
					return fmt.Sprintf("took a nonce of %d octets; the profile accepts %d", len(n), most)
				}
			}
			for _, n := range v.offers.Nonces {
				if len(n) > most && v.role == attls.RoleServer {
					return fmt.Sprintf("took a nonce of %d octets; the profile accepts %d", len(n), most)
				}
			}
		}
		return ""
	}),
	attestedLaw("retry-offer", "the profile's rules of HelloRetryRequest", true, serverOnly(func(v *view) string {
		if v.first == v.hello || v.accepts(attls.FailOfferChanged) {
			return ""
		}
		for i := range v.p.Slots {
			a, b := wires(v.firstOffers.Offers[i]), wires(v.offers.Offers[i])
			if !slices.EqualFunc(a, b, bytes.Equal) {
				return fmt.Sprintf("took another offer in the second ClientHello, in %s", v.p.Slots[i].Name)
			}
		}
		return ""
	})),
	attestedLaw("no-scheme", "the profile's rules of the choice", false, serverOnly(func(v *view) string {
		if !v.answered {
			return ""
		}
		total, wanted, common := 0, 0, false
		failed := false
		for i := range v.p.Slots {
			own, theirs := v.usable(i), wires(v.offers.Offers[i])
			total += len(theirs)
			wanted += len(own)
			here := slices.ContainsFunc(theirs, func(b []byte) bool { return within(own, b) })
			common = common || here
			failed = failed || len(own) > 0 && len(theirs) > 0 && !here
		}
		none := attls.FailNoSchemeEvidence
		if v.r.s.conn.Model == profile.ModelResults.String() {
			none = attls.FailNoSchemeResults
		}
		switch {
		case v.p.Rules.NoSchemeThen == profile.ThenAbort && failed && !common && !v.accepts(none):
			return "is done with a client whose offer has nothing in common with its policy"
		case v.p.Rules.UnwillingAbort && total > 0 && wanted == 0 && !v.accepts(attls.FailUnwilling):
			return "is done with a client that asks for attestation, which it does not do"
		}
		if total == 0 && v.p.Rules.OfferAtLeast > 0 && slices.Contains(v.offers.Offered, true) &&
			!v.accepts(attls.FailNothingOffered) {
			return "is done with a client whose lists are all empty"
		}
		return ""
	})),
	attestedLaw("key-permitted", "the profile's rules of keys", true, func(v *view) string {
		_, kind, ok := v.chosenFor(v.role.Peer())
		c, known := v.p.Credential(kind)
		if !ok || !known || len(c.Keys) == 0 || len(v.state.PeerSPKI) == 0 {
			return ""
		}
		key, err := provider.Real().ParseSPKI(v.state.PeerSPKI)
		if err == nil && !slices.Contains(c.Keys, key.Curve) && !slices.Contains(c.Keys, key.Algorithm) {
			return fmt.Sprintf("took a key of type %s %s; the profile permits %v", key.Algorithm, key.Curve, c.Keys)
		}
		return ""
	}),
	attestedLaw("attested-key", "the profile's rules of keys", true, func(v *view) string {
		for i := range v.state.Attestation {
			a := &v.state.Attestation[i]
			if a.Attester == v.role.Peer() && a.Verdict != nil && a.Verdict.Failure == "" && len(a.Verdict.SPKI) > 0 &&
				len(v.state.PeerSPKI) > 0 && !bytes.Equal(a.Verdict.SPKI, v.state.PeerSPKI) {
				return "has a verdict about another key than the one that its peer uses"
			}
		}
		return ""
	}),
}

// senderLaws are about what an honest end sends.
var senderLaws = []law{
	attestedLaw("choose-common", "the profile's rules of the choice", false, serverOnly(func(v *view) string {
		for i := range v.p.Slots {
			if c := v.chosen(i); c != nil && !v.unnegotiated(i) && !within(wires(v.offers.Offers[i]), c.Wire) {
				return fmt.Sprintf("chose 0x%x in %s, which the client did not offer", c.Wire, v.p.Slots[i].Name)
			}
		}
		return ""
	})),
	attestedLaw("choose-wanted", "the policy of the server", false, serverOnly(func(v *view) string {
		for i := range v.p.Slots {
			if c := v.chosen(i); c != nil && !within(v.usable(i), c.Wire) && !v.unnegotiated(i) {
				return fmt.Sprintf("chose 0x%x in %s, which its policy does not have", c.Wire, v.p.Slots[i].Name)
			}
		}
		return ""
	})),
	attestedLaw("choose-order", "the profile's rules of the choice", false, serverOnly(func(v *view) string {
		for i := range v.p.Slots {
			c := v.chosen(i)
			if c == nil || v.unnegotiated(i) {
				continue
			}
			first, second := wires(v.offers.Offers[i]), v.usable(i)
			if v.p.Rules.ServerOrder {
				first, second = second, first
			}
			for _, b := range first {
				if within(second, b) {
					if !bytes.Equal(b, c.Wire) {
						return fmt.Sprintf("chose 0x%x in %s where 0x%x is first", c.Wire, v.p.Slots[i].Name, b)
					}
					break
				}
			}
		}
		return ""
	})),
	attestedLaw("choose-answered", "the profile's rules of the choice", true, serverOnly(func(v *view) string {
		for _, role := range attls.Roles() {
			common, answered := false, false
			for i := range v.p.Slots {
				if v.p.Slots[i].Attester != role {
					continue
				}
				own := v.usable(i)
				common = common || slices.ContainsFunc(wires(v.offers.Offers[i]), func(b []byte) bool { return within(own, b) })
				answered = answered || v.chosen(i) != nil || v.unnegotiated(i)
			}
			if common && !answered {
				return fmt.Sprintf("did not answer the offer for the attestation of the %v", role)
			}
		}
		return ""
	})),
	attestedLaw("choose-null", "the profile's rules of the choice", false, serverOnly(func(v *view) string {
		ee := v.last(v.sent, attls.KindEncryptedExtensions)
		if v.p.Rules.NoSchemeThen != profile.ThenNullChoice || ee == nil || v.last(v.sent, attls.KindFinished) == nil {
			return ""
		}
		for i := range v.p.Slots {
			if len(v.offers.Offers[i]) > 0 && v.answers.Choices[i] == nil && !v.unnegotiated(i) {
				return fmt.Sprintf("did not answer the list %s, where the profile has an answer for no choice", v.p.Slots[i].Name)
			}
		}
		return ""
	})),
	attestedLaw("request-sent", "the profile's rules of the choice", false, serverOnly(func(v *view) string {
		if _, _, ok := v.chosenFor(attls.RoleClient); ok && v.last(v.sent, attls.KindFinished) != nil &&
			v.last(v.sent, attls.KindCertificateRequest) == nil {
			return "chose how the client attests and sent no CertificateRequest"
		}
		return ""
	})),
	attestedLaw("offer-omits-empty", "the profile's rules of the offer", false, clientOnly(func(v *view) string {
		for i := range v.p.Slots {
			if v.offers.Offered[i] && len(v.offers.Offers[i]) == 0 && !v.unnegotiated(i) && !v.p.Rules.OfferEmptyList &&
				v.apart(i) {
				return fmt.Sprintf("sent the list %s without an element", v.p.Slots[i].Name)
			}
		}
		return ""
	})),
	attestedLaw("offer-first", "the profile's rules of the offer", false, clientOnly(func(v *view) string {
		first := v.p.Rules.OfferFirst
		for i := range v.p.Slots {
			if list := v.offers.Offers[i]; first != nil && len(list) > 0 && !bytes.Equal(list[0].Wire, first.Wire) {
				return fmt.Sprintf("offered 0x%x first; the profile wants 0x%x", list[0].Wire, first.Wire)
			}
		}
		return ""
	})),
	attestedLaw("credential-sent", "the profile's rules of credentials", false, func(v *view) string {
		_, kind, ok := v.chosenFor(v.role)
		c, known := v.p.Credential(kind)
		if !ok || !known || v.last(v.sent, attls.KindFinished) == nil {
			return ""
		}
		ct := v.last(v.sent, attls.KindCertificate)
		if ct == nil || v.role == attls.RoleClient && len(ct.body()) <= 4 {
			if v.role == attls.RoleClient {
				return "attests and sent no Certificate with an entry"
			}
			return ""
		}
		if c.Carrier != profile.CarrierExtension && c.Carrier != profile.CarrierMessage {
			return ""
		}
		if !v.payload[v.role] {
			return "is to attest and sent no payload in its place"
		}
		return ""
	}),
	attestedLaw("evidence-bound", "the profile's binder", false, func(v *view) string {
		d := v.deeds(v.role, func(d *deed) bool { return d.unbound })
		_, c, ok := v.schemeFor(v.role)
		if d != nil && ok && d.model == c.Model && d.kind == c.Credential && v.p.Binder.Challenge[d.model][d.kind] != "" {
			return "asked its Attester for Evidence without the challenge"
		}
		return ""
	}),
	{"quirks", "the profile's quirks", false, func(v *view) string {
		if v.p == nil {
			return ""
		}
		q := &v.p.Quirks
		for _, x := range v.recs {
			if x.contentType == attls.ContentTypeHandshake && q.MessagesPerRecord > 0 &&
				messagesIn(x.octets) > q.MessagesPerRecord {
				return fmt.Sprintf("sent %d messages in a record", messagesIn(x.octets))
			}
		}
		for _, m := range v.sent {
			if slices.Contains(q.NeverSend, m.kind) {
				return fmt.Sprintf("sent %v, which the profile excludes", m.kind)
			}
			if m.kind == attls.KindEncryptedExtensions && q.RestrictEncryptedExtensions {
				for _, x := range m.all() {
					if !slices.Contains(q.EncryptedExtensionsOnly, x.t) && !v.addedBy(x.t) {
						return fmt.Sprintf("sent the extension %v in EncryptedExtensions, which the profile excludes", x.t)
					}
				}
			}
		}
		if q.NoCCS && v.r.pair != nil && sentCCS(v.r.pair.Wire(v.role)) {
			return "sent change_cipher_spec, which the profile excludes"
		}
		if q.PadTo > 1 && v.r.pair != nil && unpadded(v.r.pair.Wire(v.role), q.PadTo, 16) {
			return fmt.Sprintf("sent a record that is not padded to a multiple of %d", q.PadTo)
		}
		return ""
	}},
}

// apart reports whether an extension holds the list of a slot and nothing else, so that
// an empty list could have been left out with it.
func (v *view) apart(slot int) bool {
	at := v.p.Slots[slot].Offer
	for i := range v.p.Slots {
		if i != slot && v.p.Slots[i].Offer.Extension == at.Extension {
			return false
		}
	}
	return true
}

func (v *view) addedBy(t attls.ExtensionType) bool { _, ok := v.p.Extension(t); return ok }

// messagesIn counts the handshake messages that begin in a record at its start.
func messagesIn(b []byte) (n int) {
	for len(b) >= 4 {
		size := 4 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
		n++
		b = b[min(size, len(b)):]
	}
	return n
}

// sentCCS reports whether a record of the type change_cipher_spec is among others.
func sentCCS(wire []byte) bool {
	for len(wire) >= 5 {
		if attls.ContentType(wire[0]) == attls.ContentTypeChangeCipherSpec {
			return true
		}
		n := int(wire[3])<<8 | int(wire[4])
		wire = wire[5+min(n, len(wire)-5):]
	}
	return false
}

// unpadded reports whether a protected record has TLSInnerPlaintext that is not a multiple of so many octets.
func unpadded(wire []byte, to, tag int) bool {
	for len(wire) >= 5 {
		n := int(wire[3])<<8 | int(wire[4])
		if n > len(wire)-5 {
			return false
		}
		if wire[0] == 23 && n > tag && (n-tag)%to != 0 && n-tag < 1<<14 {
			return true
		}
		wire = wire[5+n:]
	}
	return false
}
