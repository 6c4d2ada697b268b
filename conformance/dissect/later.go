package dissect

import (
	"bytes"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/handshake/message"
)

// laterPayload is what a client showed in post-handshake authentication.
type laterPayload struct {
	slot    int
	scheme  profile.Scheme
	payload []byte
	auth    *laterAuth // that it belongs to; nil: none is known
	item    int
}

// readLater takes what messages after the handshake say of attestation: a choice of the
// server's, and the payload of the client's answer.
func (d *dissector) readLater(sender attls.Role, m *message.Raw) {
	if d.p == nil {
		return
	}
	if d.readUpdate(sender, m) {
		return
	}
	f, ct := d.p.NewFields(), certificateOf(m)
	if sender == attls.RoleClient && (ct != nil || m.Kind == attls.KindAdded || m.Kind == attls.KindCertificateVerify ||
		m.Kind == attls.KindFinished) {
		d.laterAnswer(m, ct)
	}
	switch {
	case m.Kind == attls.KindCertificateRequest && sender == attls.RoleServer:
		if r := parse[message.CertificateRequest](m); r != nil {
			d.laterRequest(m, r)
		}
		return
	case m.Kind == attls.KindAdded:
		for i := range d.p.Messages {
			if d.p.Messages[i].Type == m.Type {
				_ = d.p.DecodeMessage(i, sender, m.Body(), f) // what does not parse holds no payload
			}
		}
	case ct != nil && len(ct.Entries) > 0:
		for i := range ct.Entries {
			for k := range ct.Entries[i].Extensions {
				x := &ct.Entries[i].Extensions[k]
				if _, own := d.p.Extension(x.Type); own {
					_ = d.p.Decode(attls.KindCertificate, sender, x.Type, x.Body, f) // likewise
				}
			}
		}
		if c, ok := d.p.Credential(profile.KindX509); ok && c.Carrier == profile.CarrierCertificate {
			if parts, err := d.p.ReadField(c.Field, ct.Entries[0].Data); err == nil {
				f.Payload = d.p.X509[c.Field].Payload(parts)
			}
		}
	default:
		return
	}
	d.keepLater(sender, f)
}

// keepLater keeps the payloads of the slots of a sender: that of slots which share a place
// belongs to the one whose scheme was chosen, or else to the first.
func (d *dissector) keepLater(sender attls.Role, f *profile.Fields) {
	shared := -1
	for i := range d.p.Slots {
		s := &d.p.Slots[i]
		payload := d.p.PayloadOf(i, f)
		if s.Attester != sender || payload == nil {
			continue
		}
		if !s.Apart {
			if shared < 0 || d.laterChoice(shared) == nil && d.laterChoice(i) != nil {
				shared = i
			}
			continue
		}
		d.addLater(i, payload)
	}
	if shared >= 0 {
		d.addLater(shared, f.Payload)
	}
}

// laterChoice is the scheme of a slot in what is being read: that of the request that is
// answered, or the handshake's where that says nothing.
func (d *dissector) laterChoice(slot int) *profile.Scheme {
	a := d.seen.answered
	if n := len(d.seen.requests); a == nil && n > 0 {
		a = d.seen.requests[n-1]
	}
	if a != nil && a.fields.Choices[slot] != nil {
		return a.fields.Choices[slot]
	}
	return d.seen.fields.Choices[slot]
}

func (d *dissector) addLater(slot int, payload []byte) {
	s := &d.p.Slots[slot]
	l := laterPayload{slot: slot, payload: payload, item: d.seen.item,
		scheme: profile.Scheme{Model: s.Models[0], Credential: s.Kinds[0]}}
	if c := d.laterChoice(slot); c != nil {
		l.scheme = *c
	} else if cmw, err := attestation.ParseCMW(payload, attestation.Limits{}); err == nil {
		l.scheme.Format = cmw.Format
	}
	l.auth = d.seen.answered
	d.seen.later = append(d.seen.later, l)
}

// describeLater adds what is known of the payloads after the handshake.
func (d *dissector) describeLater() {
	for i := range d.seen.later {
		l := &d.seen.later[i]
		s := &d.p.Slots[l.slot]
		a, unread := d.describe(s.Attester, s.Name, &l.scheme, l.payload)
		a.Later = true
		d.compareLater(l, &a, unread)
		if bytes.Equal(d.seen.payloads[l.slot], l.payload) && a.Comparison != Equal {
			a.Reason = "the same octets as in the handshake; " + a.Reason
		}
		d.out.Attestation = append(d.out.Attestation, *a.Attestation)
		if a.Comparison == Different {
			d.foundLater(l.item, s.Attester, a.Reason)
		}
	}
}
