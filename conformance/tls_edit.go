package conformance

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
)

const (
	client = attls.RoleClient
	server = attls.RoleServer
)

// tapped is a fault that is a tap of its sender.
func tapped(sender attls.Role, change func(m *message.Raw, n int, p *handshake.Plan)) func(*setup) {
	return func(s *setup) { s.tap(sender, newEdit(change)) }
}

// serverEdits is a fault in the extensions of a server's message.
func serverEdits(k attls.MessageKind, change func(extensions.List) extensions.List) func(*setup) {
	return func(s *setup) { s.tap(server, editList(k, 0, change)) }
}

// clientHello is a fault in the extensions of ClientHello n.
func clientHello(n int, change func(extensions.List) extensions.List) func(*setup) {
	return func(s *setup) { s.tap(client, editList(attls.KindClientHello, n, change)) }
}

// helloFields is a fault in the fields of ClientHello n.
func helloFields(n int, change func(*message.ClientHello)) func(*setup) {
	return tapped(client, func(m *message.Raw, at int, p *handshake.Plan) {
		var v message.ClientHello
		if m.Kind == attls.KindClientHello && at == n && v.Unmarshal(m.Body()) == nil {
			change(&v)
			p.Replace = v.Append(nil)
		}
	})
}

// answerFields is a fault in the fields of ServerHello or HelloRetryRequest.
func answerFields(k attls.MessageKind, change func(*message.ServerHello)) func(*setup) {
	return tapped(server, func(m *message.Raw, _ int, p *handshake.Plan) {
		var v message.ServerHello
		if m.Kind == k && v.Unmarshal(m.Body()) == nil {
			change(&v)
			p.Replace = v.Append(nil)
		}
	})
}

// requestFields is a fault in the fields of CertificateRequest.
func requestFields(change func(*message.CertificateRequest)) func(*setup) {
	return tapped(server, func(m *message.Raw, _ int, p *handshake.Plan) {
		var v message.CertificateRequest
		if m.Kind == attls.KindCertificateRequest && v.Unmarshal(m.Body()) == nil {
			change(&v)
			p.Replace = v.Append(nil)
		}
	})
}

// certificateFields is a fault in the fields of an end's Certificate.
func certificateFields(sender attls.Role, change func(*message.Certificate)) func(*setup) {
	return func(s *setup) { s.tap(sender, editCertificate(change)) }
}

// verifyFields is a fault in the fields of an end's CertificateVerify.
func verifyFields(sender attls.Role, change func(*message.CertificateVerify)) func(*setup) {
	return tapped(sender, func(m *message.Raw, _ int, p *handshake.Plan) {
		var v message.CertificateVerify
		if m.Kind == attls.KindCertificateVerify && v.Unmarshal(m.Body()) == nil {
			v.Signature = slices.Clone(v.Signature)
			change(&v)
			p.Replace = v.Append(nil)
		}
	})
}

// flipLast changes the last octet of an end's message of a kind.
func flipLast(sender attls.Role, k attls.MessageKind) func(*setup) {
	return tapped(sender, func(m *message.Raw, _ int, p *handshake.Plan) {
		if m.Kind == k {
			p.Replace = slices.Clone(m.Bytes)
			p.Replace[len(p.Replace)-1] ^= 1
		}
	})
}

// resized gives an end's message of a kind another body, with the length in the
// header that goes with it.
func resized(sender attls.Role, k attls.MessageKind, body func([]byte) []byte) func(*setup) {
	return tapped(sender, func(m *message.Raw, _ int, p *handshake.Plan) {
		if m.Kind == k {
			p.Replace = rawMessage(m.Type, body(slices.Clone(m.Body())))
		}
	})
}

// rawMessage is a message with whatever body.
func rawMessage(t attls.HandshakeType, body []byte) []byte {
	b, mark := message.Begin(nil, t)
	return message.End(append(b, body...), mark)
}

// before puts a message before an end's message of a kind; after behind it.
func before(sender attls.Role, k attls.MessageKind, inserted ...byte) func(*setup) {
	return tapped(sender, func(m *message.Raw, _ int, p *handshake.Plan) {
		if m.Kind == k {
			p.Before = [][]byte{inserted}
		}
	})
}

// again sends an end's message of a kind twice.
func again(sender attls.Role, k attls.MessageKind) func(*setup) {
	return tapped(sender, func(m *message.Raw, _ int, p *handshake.Plan) {
		if m.Kind == k {
			p.After = [][]byte{slices.Clone(m.Bytes)}
		}
	})
}

// dropped leaves out an end's messages of some kinds.
func dropped(sender attls.Role, kinds ...attls.MessageKind) func(*setup) {
	return tapped(sender, func(m *message.Raw, _ int, p *handshake.Plan) { p.Drop = slices.Contains(kinds, m.Kind) })
}

// with adds an extension.
func with(t attls.ExtensionType, body ...byte) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		return append(l, extensions.Extension{Type: t, Body: body})
	}
}

// drop leaves an extension out.
func drop(t attls.ExtensionType) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		return without(l, func(x attls.ExtensionType) bool { return x == t })
	}
}

// replace gives an extension another body.
func replace(t attls.ExtensionType, change func(body []byte) []byte) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		out := slices.Clone(l)
		for i := range out {
			if out[i].Type == t {
				out[i].Body = change(slices.Clone(out[i].Body))
			}
		}
		return out
	}
}

// becomes is replace with a body that is known beforehand.
func becomes(t attls.ExtensionType, body ...byte) func(extensions.List) extensions.List {
	return replace(t, func([]byte) []byte { return body })
}

// twice adds an extension that nobody knows, and again.
func twice(l extensions.List) extensions.List {
	return append(l, extensions.Extension{Type: unknownExtension}, extensions.Extension{Type: unknownExtension})
}
