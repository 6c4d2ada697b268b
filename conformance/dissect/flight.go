package dissect

import (
	"encoding/hex"

	"attls"
	"attls/attestation"
	"attls/conformance/capture"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/certcompress"
)

// flight is what the messages of a recording say that an engine in the place
// of an end has to be told.
type flight struct {
	hello       *message.ClientHello // the first
	retry       *message.ServerHello
	server      *message.ServerHello
	encrypted   *message.EncryptedExtensions
	request     *message.CertificateRequest
	certificate [2]*message.Certificate
	verify      [2]*message.CertificateVerify
	payloads    [][]byte        // by slot
	fields      *profile.Fields // offers, choices and nonces; nil without a profile
	later       []laterPayload  // after the handshake
	requests    []*laterAuth    // likewise, in their order
	answered    *laterAuth      // of which the answer is being read
	early       []*message.Raw  // of an answer, in front of its Certificate
	updates     updatesSeen
	item        int // that is being read
}

// read parses the messages of the first handshake. One that does not parse is
// left out: the engine that receives it says what is wrong.
func (d *dissector) read(keys capture.KeyLog) {
	f := &d.seen
	if d.p != nil {
		f.fields, f.payloads = d.p.NewFields(), make([][]byte, len(d.p.Slots))
	}
	finished := 0
	for i := range d.items {
		item := &d.items[i]
		if item.Type != attls.ContentTypeHandshake {
			continue
		}
		m := &item.Message
		f.item = i
		if finished == 2 {
			d.readLater(item.Sender, m)
			continue
		}
		switch m.Kind {
		case attls.KindClientHello:
			if f.hello == nil {
				f.hello = parse[message.ClientHello](m)
			}
			if f.hello != nil {
				d.secrets = keys[[32]byte(f.hello.Random)]
				d.out.ClientRandom = hex.EncodeToString(f.hello.Random)
				d.fields(m.Kind, item.Sender, f.hello.Extensions)
				if d.p != nil {
					d.p.DecodeRandom(f.hello.Random, f.fields)
				}
			}
		case attls.KindHelloRetryRequest:
			if f.retry = parse[message.ServerHello](m); f.retry != nil {
				d.fields(m.Kind, item.Sender, f.retry.Extensions)
			}
		case attls.KindServerHello:
			if f.server = parse[message.ServerHello](m); f.server != nil {
				d.fields(m.Kind, item.Sender, f.server.Extensions)
			}
		case attls.KindEncryptedExtensions:
			if f.encrypted = parse[message.EncryptedExtensions](m); f.encrypted != nil {
				d.fields(m.Kind, item.Sender, f.encrypted.Extensions)
			}
		case attls.KindCertificateRequest:
			if f.request = parse[message.CertificateRequest](m); f.request != nil {
				d.fields(m.Kind, item.Sender, f.request.Extensions)
			}
		case attls.KindCertificate, attls.KindCompressedCertificate:
			f.certificate[item.Sender] = certificateOf(m)
			d.carried(item.Sender)
		case attls.KindCertificateVerify:
			f.verify[item.Sender] = parse[message.CertificateVerify](m)
		case attls.KindAdded:
			d.added(item.Sender, m)
		case attls.KindFinished:
			finished++
		}
	}
}

// parse reads a message; nil when it does not parse.
func parse[T any, P interface {
	*T
	Unmarshal([]byte) *attls.Error
}](m *message.Raw) *T {
	var v T
	if P(&v).Unmarshal(m.Body()) != nil {
		return nil
	}
	return &v
}

// certificateOf is the Certificate in a message, compressed or not; nil: there is none.
func certificateOf(m *message.Raw) *message.Certificate {
	switch m.Kind {
	case attls.KindCertificate:
		return parse[message.Certificate](m)
	case attls.KindCompressedCertificate:
		return decompressed(m)
	}
	return nil
}

// decompressed is the Certificate in a CompressedCertificate; nil when it does
// not decompress or parse.
func decompressed(m *message.Raw) *message.Certificate {
	cc := parse[message.CompressedCertificate](m)
	if cc == nil {
		return nil
	}
	c := compressor(cc.Algorithm)
	if c == nil || cc.UncompressedLength > maxMessage {
		return nil
	}
	body, err := c.Decompress(cc.Compressed, cc.UncompressedLength)
	if err != nil || len(body) != cc.UncompressedLength {
		return nil
	}
	var ct message.Certificate
	if ct.Unmarshal(body) != nil {
		return nil
	}
	return &ct
}

// compressor is the implementation of an algorithm of RFC 8879, or nil.
func compressor(algorithm uint16) handshake.CertificateCompressor {
	for _, c := range certcompress.All() {
		if c.Algorithm() == algorithm {
			return c
		}
	}
	return nil
}

// fields takes in what the profile's extensions of a message say.
func (d *dissector) fields(k attls.MessageKind, sender attls.Role, l extensions.List) {
	if d.p == nil {
		return
	}
	for i := range l {
		if d.p.Reads(k, l[i].Type) {
			_ = d.p.Decode(k, sender, l[i].Type, l[i].Body, d.seen.fields) // an error is the receiving engine's to find
		}
	}
}

// carried takes the payloads out of a Certificate.
func (d *dissector) carried(sender attls.Role) {
	ct := d.seen.certificate[sender]
	if d.p == nil || ct == nil {
		return
	}
	f := d.p.NewFields()
	for i := range ct.Entries {
		for k := range ct.Entries[i].Extensions {
			x := &ct.Entries[i].Extensions[k]
			if _, ok := d.p.Extension(x.Type); ok {
				_ = d.p.Decode(attls.KindCertificate, sender, x.Type, x.Body, f) // an error is the receiving engine's to find
			}
		}
	}
	d.unnegotiated(sender)
	d.keepPayloads(sender, f, func(c *profile.Credential) bool { return c.Carrier == profile.CarrierExtension })
	if s := d.choice(sender); s != nil && len(ct.Entries) > 0 {
		c, ok := d.p.Credential(s.Credential)
		switch {
		case ok && c.Carrier == profile.CarrierCertData:
			f.Payload = ct.Entries[0].Data
			d.keepPayloads(sender, f, func(c *profile.Credential) bool { return c.Carrier == profile.CarrierCertData })
		case ok && c.Carrier == profile.CarrierCertificate:
			if parts, err := d.p.ReadField(c.Field, ct.Entries[0].Data); err == nil {
				f.Payload = d.p.X509[c.Field].Payload(parts)
				d.keepPayloads(sender, f, func(c *profile.Credential) bool { return c.Carrier == profile.CarrierCertificate })
			}
		}
	}
}

// unnegotiated takes what an end attests under where nothing was chosen: the scheme of
// the payload in its certificate.
func (d *dissector) unnegotiated(sender attls.Role) {
	ct := d.seen.certificate[sender]
	c, ok := d.p.Credential(profile.KindX509)
	if !ok || c.Carrier != profile.CarrierCertificate || len(ct.Entries) == 0 {
		return
	}
	for i := range d.p.Slots {
		s := &d.p.Slots[i]
		if !s.Always || s.Attester != sender {
			continue
		}
		parts, err := d.p.ReadField(c.Field, ct.Entries[0].Data)
		payload := d.p.X509[c.Field].Payload(parts)
		if err != nil || payload == nil {
			return
		}
		scheme := profile.Scheme{Model: s.Models[0], Credential: profile.KindX509}
		if cmw, err := attestation.ParseCMW(payload, attestation.Limits{}); err == nil {
			scheme.Format = cmw.Format
		}
		scheme, _ = d.p.EncodeScheme(i, scheme)
		f := d.seen.fields
		f.Offered[i], f.Offers[i], f.Choices[i] = true, []profile.Scheme{scheme}, &scheme
	}
}

// added takes what a message says that the profile adds.
func (d *dissector) added(sender attls.Role, m *message.Raw) {
	for i, a := range d.p.Messages {
		f := d.p.NewFields()
		if a.Type != m.Type || d.p.DecodeMessage(i, sender, m.Body(), f) != nil {
			continue
		}
		d.keepPayloads(sender, f, func(c *profile.Credential) bool {
			return c.Carrier == profile.CarrierMessage && c.Message == i
		})
		for slot := range d.p.Slots {
			if c := f.Choices[slot]; c != nil {
				d.seen.fields.Choices[slot] = c
			}
			if n := f.Nonces[slot]; n != nil {
				d.seen.fields.Nonces[slot] = n
			}
		}
	}
}

// keepPayloads keeps the payloads of a sender's slots that one place carries.
func (d *dissector) keepPayloads(sender attls.Role, f *profile.Fields, here func(*profile.Credential) bool) {
	for i := range d.p.Slots {
		s := &d.p.Slots[i]
		payload := d.p.PayloadOf(i, f)
		if s.Attester != sender || payload == nil {
			continue
		}
		for _, k := range s.Kinds {
			if c, ok := d.p.CredentialFor(i, k); ok && here(c) && d.seen.payloads[i] == nil {
				d.seen.payloads[i] = payload
			}
		}
	}
}

// choice is the scheme that was chosen for an attester, or nil.
func (d *dissector) choice(attester attls.Role) *profile.Scheme {
	if d.p == nil {
		return nil
	}
	for i := range d.p.Slots {
		if c := d.seen.fields.Choices[i]; c != nil && d.p.Slots[i].Attester == attester {
			return c
		}
	}
	return nil
}

// resumed reports whether the server took a pre-shared key.
func (f *flight) resumed() bool {
	if f.server == nil {
		return false
	}
	_, ok := f.server.Extensions.Find(attls.ExtPreSharedKey)
	return ok
}
