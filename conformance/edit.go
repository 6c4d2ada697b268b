package conformance

import (
	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
)

// edit is a tap that changes the handshake messages that an end sends. The
// change enters the transcript, so that the receiver meets the fault itself and
// not its shadow in Finished.
type edit struct {
	handshake.NopTap
	sent map[attls.MessageKind]int
	// change may set p; n counts the messages of this kind sent before.
	change func(m *message.Raw, n int, p *handshake.Plan)
}

func newEdit(change func(m *message.Raw, n int, p *handshake.Plan)) *edit {
	return &edit{sent: map[attls.MessageKind]int{}, change: change}
}

func (t *edit) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d != handshake.Sent {
		return
	}
	n := t.sent[m.Kind]
	t.sent[m.Kind]++
	t.change(m, n, p)
	p.Reparse = p.Replace != nil
}

// Fork copies the counts.
func (t *edit) Fork() handshake.Tap {
	f := newEdit(t.change)
	for k, n := range t.sent {
		f.sent[k] = n
	}
	return f
}

// dropMessage leaves out every message of a kind.
func dropMessage(k attls.MessageKind) *edit {
	return newEdit(func(m *message.Raw, _ int, p *handshake.Plan) { p.Drop = m.Kind == k })
}

// editList changes the extensions of message n of a kind; Certificate has its
// own editCertificate. A message that does not parse stays as it is.
func editList(k attls.MessageKind, n int, change func(extensions.List) extensions.List) *edit {
	return newEdit(func(m *message.Raw, at int, p *handshake.Plan) {
		if m.Kind != k || at != n {
			return
		}
		p.Replace = withList(m, change)
	})
}

// withList returns the message with its extensions changed, or nil.
func withList(m *message.Raw, change func(extensions.List) extensions.List) []byte {
	switch m.Kind {
	case attls.KindClientHello:
		var v message.ClientHello
		if v.Unmarshal(m.Body()) == nil {
			v.Extensions = change(v.Extensions)
			return v.Append(nil)
		}
	case attls.KindServerHello, attls.KindHelloRetryRequest:
		var v message.ServerHello
		if v.Unmarshal(m.Body()) == nil {
			v.Extensions = change(v.Extensions)
			return v.Append(nil)
		}
	case attls.KindEncryptedExtensions:
		var v message.EncryptedExtensions
		if v.Unmarshal(m.Body()) == nil {
			v.Extensions = change(v.Extensions)
			return v.Append(nil)
		}
	case attls.KindCertificateRequest:
		var v message.CertificateRequest
		if v.Unmarshal(m.Body()) == nil {
			v.Extensions = change(v.Extensions)
			return v.Append(nil)
		}
	}
	return nil
}

// editCertificate changes the first Certificate that is sent.
func editCertificate(change func(*message.Certificate)) *edit {
	return newEdit(func(m *message.Raw, n int, p *handshake.Plan) {
		var v message.Certificate
		if m.Kind != attls.KindCertificate || n != 0 || v.Unmarshal(m.Body()) != nil {
			return
		}
		change(&v)
		p.Replace = v.Append(nil)
	})
}

// editField decodes the profile's extensions in message n of a kind, lets
// change alter what they mean, and encodes them again.
func editField(p *profile.Profile, k attls.MessageKind, n int, sender attls.Role, change func(*profile.Fields)) *edit {
	return editList(k, n, func(l extensions.List) extensions.List {
		f := p.NewFields()
		for i := range l {
			if _, ok := p.Extension(l[i].Type); ok && p.Decode(k, sender, l[i].Type, l[i].Body, f) != nil {
				return l
			}
		}
		change(f)
		list, err := p.Encode(k, sender, f)
		if err != nil {
			return l
		}
		return replaced(p, l, list)
	})
}

// replaced puts the profile's extensions where the old ones stood; new ones follow.
func replaced(p *profile.Profile, l extensions.List, with []profile.RawExtension) extensions.List {
	var out extensions.List
	left := append([]profile.RawExtension(nil), with...)
	for i := range l {
		if _, ok := p.Extension(l[i].Type); !ok {
			out = append(out, l[i])
			continue
		}
		for k := range left {
			if left[k].Type == l[i].Type {
				out = append(out, extensions.Extension{Type: left[k].Type, Body: left[k].Body})
				left = append(left[:k], left[k+1:]...)
				break
			}
		}
	}
	for _, x := range left {
		out = append(out, extensions.Extension{Type: x.Type, Body: x.Body})
	}
	return out
}

// without leaves out the extensions for which drop holds.
func without(l extensions.List, drop func(attls.ExtensionType) bool) extensions.List {
	var out extensions.List
	for i := range l {
		if !drop(l[i].Type) {
			out = append(out, l[i])
		}
	}
	return out
}

var _ handshake.Tap = (*edit)(nil)
