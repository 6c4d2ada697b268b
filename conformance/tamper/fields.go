package tamper

import (
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
)

// A message that does not parse is sent as it is: a tap before this one may have
// broken it.

// ClientHello changes the fields of ClientHello n; 1 is the one after
// HelloRetryRequest.
func ClientHello(n int, change func(*message.ClientHello)) handshake.Tap {
	return Messages(func(m *message.Raw, at int, p *handshake.Plan) {
		var v message.ClientHello
		if m.Kind == attls.KindClientHello && at == n && v.Unmarshal(m.Body()) == nil {
			change(&v)
			p.Replace = v.Append(nil)
		}
	})
}

// ServerHello changes the fields of a message of that form: k is
// attls.KindServerHello or attls.KindHelloRetryRequest.
func ServerHello(k attls.MessageKind, change func(*message.ServerHello)) handshake.Tap {
	return of(k, func(m *message.Raw, p *handshake.Plan) {
		var v message.ServerHello
		if v.Unmarshal(m.Body()) == nil {
			change(&v)
			p.Replace = v.Append(nil)
		}
	})
}

// CertificateRequest changes the fields of each CertificateRequest.
func CertificateRequest(change func(*message.CertificateRequest)) handshake.Tap {
	return of(attls.KindCertificateRequest, func(m *message.Raw, p *handshake.Plan) {
		var v message.CertificateRequest
		if v.Unmarshal(m.Body()) == nil {
			change(&v)
			p.Replace = v.Append(nil)
		}
	})
}

// Certificate changes the fields of the first Certificate that the end sends.
func Certificate(change func(*message.Certificate)) handshake.Tap {
	return Messages(func(m *message.Raw, n int, p *handshake.Plan) {
		var v message.Certificate
		if m.Kind == attls.KindCertificate && n == 0 && v.Unmarshal(m.Body()) == nil {
			change(&v)
			p.Replace = v.Append(nil)
		}
	})
}

// CertificateVerify changes the fields of each CertificateVerify.
func CertificateVerify(change func(*message.CertificateVerify)) handshake.Tap {
	return of(attls.KindCertificateVerify, func(m *message.Raw, p *handshake.Plan) {
		var v message.CertificateVerify
		if v.Unmarshal(m.Body()) == nil {
			v.Signature = slices.Clone(v.Signature)
			change(&v)
			p.Replace = v.Append(nil)
		}
	})
}

// Fields decodes the profile's extensions in message n of a kind, lets change
// alter what they mean, and encodes them again. What the profile cannot encode is
// sent unchanged. For attls.KindAdded these are the fields of each added message.
func Fields(p *profile.Profile, k attls.MessageKind, n int, sender attls.Role,
	change func(*profile.Fields)) handshake.Tap {
	if k == attls.KindAdded {
		return addedFields(p, sender, change)
	}
	return Extensions(k, n, profileFields(p, k, sender, change))
}

func addedFields(p *profile.Profile, sender attls.Role, change func(*profile.Fields)) handshake.Tap {
	return of(attls.KindAdded, func(m *message.Raw, plan *handshake.Plan) {
		i := slices.IndexFunc(p.Messages, func(a profile.AddedMessage) bool { return a.Type == m.Type })
		f := p.NewFields()
		if i < 0 || p.DecodeMessage(i, sender, m.Body(), f) != nil {
			return
		}
		change(f)
		if body, err := p.EncodeMessage(i, sender, f); err == nil {
			b, mark := message.Begin(nil, m.Type)
			plan.Replace = message.End(append(b, body...), mark)
		}
	})
}
