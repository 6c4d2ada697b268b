package tamper

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
)

// Unknown is a code point that no profile and no RFC uses.
const Unknown attls.ExtensionType = 0xfefe

// Extensions changes the extensions of message n of a kind: ClientHello,
// ServerHello, HelloRetryRequest, EncryptedExtensions, CertificateRequest or
// NewSessionTicket. Those of Certificate belong to its entries: use Certificate.
func Extensions(k attls.MessageKind, n int, change func(extensions.List) extensions.List) handshake.Tap {
	return Messages(func(m *message.Raw, at int, p *handshake.Plan) {
		if m.Kind == k && at == n {
			p.Replace = WithExtensions(m, change)
		}
	})
}

// WithExtensions returns the encoded message with its extensions changed; nil
// where the message does not parse or has no list of extensions.
func WithExtensions(m *message.Raw, change func(extensions.List) extensions.List) []byte {
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
	case attls.KindNewSessionTicket:
		var v message.NewSessionTicket
		if v.Unmarshal(m.Body()) == nil {
			v.Extensions = change(v.Extensions)
			return v.Append(nil)
		}
	}
	return nil
}

// Add appends an extension.
func Add(t attls.ExtensionType, body ...byte) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		return append(l, extensions.Extension{Type: t, Body: body})
	}
}

// Remove leaves out the extensions of a type.
func Remove(t attls.ExtensionType) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		return Without(l, func(x attls.ExtensionType) bool { return x == t })
	}
}

// Without is the list without the extensions for which drop holds.
func Without(l extensions.List, drop func(attls.ExtensionType) bool) extensions.List {
	var out extensions.List
	for i := range l {
		if !drop(l[i].Type) {
			out = append(out, l[i])
		}
	}
	return out
}

// Change gives the extensions of a type another body. change gets a copy.
func Change(t attls.ExtensionType, change func(body []byte) []byte) func(extensions.List) extensions.List {
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

// SetBody is Change with a body that is known beforehand.
func SetBody(t attls.ExtensionType, body ...byte) func(extensions.List) extensions.List {
	return Change(t, func([]byte) []byte { return body })
}

// AddTwice appends an extension that nobody knows, twice.
func AddTwice(l extensions.List) extensions.List {
	return append(l, extensions.Extension{Type: Unknown}, extensions.Extension{Type: Unknown})
}

// profileFields is the change of a list that Fields makes.
func profileFields(p *profile.Profile, k attls.MessageKind, sender attls.Role,
	change func(*profile.Fields)) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		f := p.NewFields()
		for i := range l {
			if p.Reads(k, l[i].Type) && p.Decode(k, sender, l[i].Type, l[i].Body, f) != nil {
				return l
			}
		}
		change(f)
		list, err := p.Encode(k, sender, f)
		if err != nil {
			return l
		}
		out := replaced(p, l, list)
		list, err = p.Embed(k, f, func(t attls.ExtensionType) []byte {
			if x, ok := l.Find(t); ok {
				return x.Body
			}
			return nil
		})
		if err != nil {
			return l
		}
		for _, x := range list {
			out = SetBody(x.Type, x.Body...)(out)
		}
		return out
	}
}

// replaced puts the profile's extensions where the old ones were; new ones follow.
func replaced(p *profile.Profile, l extensions.List, with []profile.RawExtension) extensions.List {
	var out extensions.List
	left := slices.Clone(with)
	for i := range l {
		if _, ok := p.Extension(l[i].Type); !ok {
			out = append(out, l[i])
			continue
		}
		if k := slices.IndexFunc(left, func(x profile.RawExtension) bool { return x.Type == l[i].Type }); k >= 0 {
			out = append(out, extensions.Extension{Type: left[k].Type, Body: left[k].Body})
			left = slices.Delete(left, k, k+1)
		}
	}
	for _, x := range left {
		out = append(out, extensions.Extension{Type: x.Type, Body: x.Body})
	}
	return out
}
