package trace

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/conformance/claims"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake/message"
)

// decoder puts into words what a handshake message carries. A message that does
// not parse says so and shows nothing more.
type decoder struct {
	p    *profile.Profile
	from attls.Role
	step *Step
}

func (d *decoder) say(format string, args ...any) {
	d.step.Details = append(d.step.Details, fmt.Sprintf(format, args...))
}

func (d *decoder) message(raw []byte) {
	m, err := message.ParseRaw(raw)
	if err == nil {
		err = d.body(&m)
	}
	if err != nil {
		d.say("does not parse: %v", err)
	}
}

func (d *decoder) body(m *message.Raw) *attls.Error {
	switch m.Kind {
	case attls.KindClientHello:
		var ch message.ClientHello
		if err := ch.Unmarshal(m.Body()); err != nil {
			return err
		}
		d.say("suites %s", names(uint16s[attls.CipherSuite](ch.CipherSuites)))
		d.random(ch.Random)
		d.list(m.Kind, ch.Extensions, 0)
	case attls.KindServerHello, attls.KindHelloRetryRequest:
		var sh message.ServerHello
		if err := sh.Unmarshal(m.Body()); err != nil {
			return err
		}
		d.say("suite %v", sh.CipherSuite)
		d.list(m.Kind, sh.Extensions, 0)
	case attls.KindEncryptedExtensions:
		var ee message.EncryptedExtensions
		if err := ee.Unmarshal(m.Body()); err != nil {
			return err
		}
		d.list(m.Kind, ee.Extensions, 0)
	case attls.KindCertificateRequest:
		var cr message.CertificateRequest
		if err := cr.Unmarshal(m.Body()); err != nil {
			return err
		}
		if len(cr.Context) > 0 {
			d.say("certificate_request_context %x", cr.Context)
		}
		d.list(m.Kind, cr.Extensions, 0)
	case attls.KindClientCertificateRequest:
		var cr message.ClientCertificateRequest
		if err := cr.Unmarshal(m.Body()); err != nil {
			return err
		}
		d.say("certificate_request_context %x", cr.Context)
		d.list(m.Kind, cr.Extensions, 0)
	case attls.KindCertificate:
		return d.certificate(m)
	case attls.KindCertificateVerify:
		var cv message.CertificateVerify
		if err := cv.Unmarshal(m.Body()); err != nil {
			return err
		}
		d.say("%v, %d octets", cv.Scheme, len(cv.Signature))
	case attls.KindNewSessionTicket:
		var t message.NewSessionTicket
		if err := t.Unmarshal(m.Body()); err != nil {
			return err
		}
		d.say("ticket of %d octets, lifetime %d s", len(t.Ticket), t.Lifetime)
		d.list(m.Kind, t.Extensions, 0)
	case attls.KindKeyUpdate:
		var u message.KeyUpdate
		if err := u.Unmarshal(m.Body()); err != nil {
			return err
		}
		if u.RequestUpdate {
			d.say("asks the peer to update its keys as well")
		}
	case attls.KindExtendedKeyUpdate:
		if d.update(m) {
			return nil
		}
		var u message.ExtendedKeyUpdate
		if err := u.Unmarshal(m.Body()); err != nil {
			return err
		}
		if u.Type == attls.KeyUpdateFinish {
			d.say("%v", u.Type)
		} else {
			d.say("%v, %v of %d octets", u.Type, u.Group, len(u.Key))
		}
	case attls.KindCompressedCertificate:
		var c message.CompressedCertificate
		if err := c.Unmarshal(m.Body()); err != nil {
			return err
		}
		d.say("algorithm %d: %d octets that are %d when decompressed", c.Algorithm, len(c.Compressed), c.UncompressedLength)
	case attls.KindAdded, attls.KindUnknown:
		d.added(m)
	}
	return nil
}

// random shows the nonces that ClientHello.random carries.
func (d *decoder) random(octets []byte) {
	if d.p == nil {
		return
	}
	f := d.p.NewFields()
	d.p.DecodeRandom(octets, f)
	for i, nonce := range f.Nonces {
		if nonce != nil {
			d.say("random: %s nonce: %x", d.p.Slots[i].Name, nonce)
		}
	}
}

func (d *decoder) certificate(m *message.Raw) *attls.Error {
	var ct message.Certificate
	if err := ct.Unmarshal(m.Body()); err != nil {
		return err
	}
	if len(ct.Entries) == 0 {
		d.say("empty")
	}
	for i, e := range ct.Entries {
		what := describeCertificate(e.Data)
		if what == "" {
			what = DescribeCMW(e.Data)
		}
		d.say("entry %d: %s", i, what)
		d.list(m.Kind, e.Extensions, i)
	}
	return nil
}

// update decodes a subtype of ExtendedKeyUpdate that the profile adds; false: it is none.
func (d *decoder) update(m *message.Raw) bool {
	body := m.Body()
	if d.p == nil || len(body) == 0 {
		return false
	}
	i := d.p.UpdateMessage(attls.ExtendedKeyUpdateType(body[0]))
	if i < 0 {
		return false
	}
	say := func(what string, err error) {
		if err != nil {
			what = fmt.Sprintf("does not parse: %v", err)
		}
		d.say("%s: %s", d.p.KeyUpdates[i].Name, what)
	}
	if slot := d.p.UpdateSlot(d.from); slot >= 0 && !d.p.Updates[slot].Added && d.p.Updates[slot].Message == i {
		payload, err := d.p.DecodeUpdate(slot, body)
		say("payload "+DescribeCMW(payload), err)
		return true
	}
	if i != d.p.KeyUpdate.Outcome {
		say("not sent by the "+d.from.String(), nil)
		return true
	}
	word := d.p.KeyUpdate.Refused
	accepted, err := d.p.DecodeOutcome(body)
	if accepted {
		word = d.p.KeyUpdate.Accepted
	}
	say(word, err)
	return true
}

// added decodes a message that the profile adds.
func (d *decoder) added(m *message.Raw) {
	if d.p == nil {
		return
	}
	for i, a := range d.p.Messages {
		if a.Type != m.Type {
			continue
		}
		d.step.What = a.Name
		f := d.p.NewFields()
		if err := d.p.DecodeMessage(i, d.from, m.Body(), f); err != nil {
			d.say("does not parse: %v", err)
			return
		}
		for _, v := range d.fields(profile.Place{Message: attls.KindAdded, Added: i}, f) {
			d.say("%s: %s", v.Path, v.Value)
		}
	}
}

func (d *decoder) list(k attls.MessageKind, l extensions.List, entry int) {
	for i := range l {
		x := &l[i]
		out := StepExtension{Name: x.Type.String(), Type: uint16(x.Type), Octets: len(x.Body), Entry: entry}
		if d.p != nil {
			if px, ok := d.p.Extension(x.Type); ok {
				out.Name, out.Added = px.Name, true
				out.Fields = d.attestation(k, x)
			} else if px, ok := d.p.LaterExtension(x.Type); ok {
				out.Name, out.Added = px.Name, true
				out.Fields = d.later(k, x)
			}
		}
		if !out.Added {
			if v := standard(k, x); v != "" {
				out.Fields = []FieldValue{{Value: v}}
			}
			if d.p != nil && d.p.NonceIn(k, x.Type) >= 0 {
				out.Fields = append(out.Fields, d.attestation(k, x)...)
			}
		}
		d.step.Extensions = append(d.step.Extensions, out)
	}
}

// attestation decodes one of the profile's extensions into what it means.
func (d *decoder) attestation(k attls.MessageKind, x *extensions.Extension) []FieldValue {
	f := d.p.NewFields()
	if err := d.p.Decode(k, d.from, x.Type, x.Body, f); err != nil {
		return []FieldValue{{"", fmt.Sprintf("does not parse: %v", err)}}
	}
	return d.fields(profile.Place{Message: k, Extension: x.Type}, f)
}

// later decodes an extension of exported authenticators.
func (d *decoder) later(k attls.MessageKind, x *extensions.Extension) []FieldValue {
	for i := range d.p.Later {
		s := &d.p.Later[i]
		switch {
		case k == s.Offer.Message && d.from != s.Attester && s.Offer.Extension == x.Type:
			if err := d.p.CheckLaterOffer(i, x.Body); err != nil {
				return []FieldValue{{"", fmt.Sprintf("does not parse: %v", err)}}
			}
			return []FieldValue{{s.Name, "the " + s.Attester.String() + " is to attest"}}
		case k == attls.KindCertificate && d.from == s.Attester && s.Extension == x.Type:
			payload, err := d.p.DecodeLater(i, x.Body, nil)
			if err != nil {
				return []FieldValue{{"", fmt.Sprintf("does not parse: %v", err)}}
			}
			return []FieldValue{{"payload", DescribeCMW(payload)}}
		}
	}
	return nil
}

// fields says what the fields in one place mean.
func (d *decoder) fields(here profile.Place, f *profile.Fields) (out []FieldValue) {
	for i := range d.p.Slots {
		s := &d.p.Slots[i]
		if s.Offer == here && f.Offered[i] {
			v := "none"
			if s.Flagged {
				v = flagName(s)
			} else if len(f.Offers[i]) > 0 {
				v = strings.Join(mapped(f.Offers[i], SchemeName), ", ")
			}
			out = append(out, FieldValue{s.Name + " offer", v})
		}
		if s.Choice == here && f.Choices[i] != nil {
			v := SchemeName(*f.Choices[i])
			if s.Flagged {
				v = flagName(s)
			}
			out = append(out, FieldValue{s.Name + " choice", v})
		}
		if s.Nonce == here && f.Nonces[i] != nil {
			out = append(out, FieldValue{s.Name + " nonce", hex.EncodeToString(f.Nonces[i])})
		}
	}
	if f.Payload != nil {
		out = append(out, FieldValue{"payload", DescribeCMW(f.Payload)})
	}
	for i, payload := range f.Payloads {
		if payload != nil {
			out = append(out, FieldValue{d.p.Slots[i].Name + " payload", DescribeCMW(payload)})
		}
	}
	return out
}

// SchemeName spells a scheme in one line.
func SchemeName(s profile.Scheme) string {
	v := claims.FormatName(s.Format)
	if s.Model == profile.ModelResults {
		v = "verifier " + printable(s.Verifier)
	}
	return fmt.Sprintf("%s, %s, %s", s.Model, claims.CredentialName(s.Credential), v)
}

// flagName says what the flag of a slot means; it names no format.
func flagName(s *profile.Slot) string {
	return fmt.Sprintf("flag: %s, %s", s.Models[0], claims.CredentialName(s.Kinds[0]))
}

// printable shows octets as text where they are text.
func printable(b []byte) string {
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			return "0x" + hex.EncodeToString(b)
		}
	}
	return fmt.Sprintf("%q", b)
}

// standard puts the choices that a reader of RFC 8446 looks for into words.
func standard(k attls.MessageKind, x *extensions.Extension) string {
	hello := k == attls.KindClientHello
	switch x.Type {
	case attls.ExtServerName:
		if name, err := extensions.ParseServerName(x.Body); hello && err == nil {
			return string(name)
		}
	case attls.ExtSupportedGroups:
		if l, err := extensions.ParseSupportedGroups(x.Body); err == nil {
			return names(uint16s[attls.NamedGroup](l))
		}
	case attls.ExtKeyShare:
		return keyShare(k, x.Body)
	case attls.ExtTLSFlags:
		if f, err := extensions.ParseTLSFlags(x.Body); err == nil {
			return names(slices.Collect(f.All()))
		}
	case attls.ExtALPN:
		if l, err := extensions.ParseALPN(x.Body); err == nil {
			var all []string
			for name := range l.All() {
				all = append(all, string(name))
			}
			return strings.Join(all, " ")
		}
	}
	return ""
}

func keyShare(k attls.MessageKind, body []byte) string {
	switch k {
	case attls.KindClientHello:
		if l, err := extensions.ParseKeyShares(body); err == nil {
			var all []attls.NamedGroup
			for g := range l.All() {
				all = append(all, g)
			}
			return names(all)
		}
	case attls.KindServerHello:
		if e, err := extensions.ParseKeyShareEntry(body); err == nil {
			return e.Group.String()
		}
	case attls.KindHelloRetryRequest:
		if g, err := extensions.ParseSelectedGroup(body); err == nil {
			return g.String()
		}
	}
	return ""
}

func uint16s[T ~uint16](l extensions.Uint16s) []T {
	out := make([]T, l.Len())
	for i := range out {
		out[i] = T(l.At(i))
	}
	return out
}

// names spells code points that have names here, and counts the others where
// they are many: old stacks offer a hundred.
func names[T fmt.Stringer](list []T) string {
	const few = 8
	all := mapped(list, T.String)
	if len(all) <= few {
		return strings.Join(all, " ")
	}
	named := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return strings.Contains(s, " 0x") })
	if len(named) == len(all) {
		return strings.Join(all, " ")
	}
	return fmt.Sprintf("%s and %d others", strings.Join(named, " "), len(all)-len(named))
}

func mapped[T any](list []T, f func(T) string) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, f(v))
	}
	return slices.Clip(out)
}
