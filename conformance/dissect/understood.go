package dissect

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/conformance/capture"
	"attls/extensions"
	"attls/handshake/message"
	"attls/internal/provider"
)

// horizon is where a recording leaves what is understood here. From that item
// on no rule is called broken: what seems wrong may be right by rules that are
// not known, or by octets that were not seen.
type horizon struct {
	item int    // len(items) when everything is understood
	why  string // ends a sentence
}

// findHorizon looks for the first thing that is not understood.
func (d *dissector) findHorizon() {
	d.horizon = horizon{item: len(d.items)}
	h := helloOf(&d.seen)
	for i := range d.items {
		item := &d.items[i]
		if item.Type != attls.ContentTypeHandshake || item.Sealed {
			continue
		}
		if why := d.beyond(h, item); why != "" {
			d.horizon = horizon{i, why}
			return
		}
	}
}

// offered is what a ClientHello offers, as it was recorded.
type offered struct {
	versions   []uint16
	suites     []attls.CipherSuite
	groups     []attls.NamedGroup
	extensions extensions.List
}

func helloOf(f *flight) *offered {
	o := &offered{}
	if f.hello == nil {
		return o
	}
	o.extensions = f.hello.Extensions
	for i := 0; i+1 < len(f.hello.CipherSuites); i += 2 {
		o.suites = append(o.suites, attls.CipherSuite(f.hello.CipherSuites[i])<<8|attls.CipherSuite(
			f.hello.CipherSuites[i+1]))
	}
	o.groups = uint16s[attls.NamedGroup](o.extensions, attls.ExtSupportedGroups, extensions.ParseSupportedGroups)
	if _, ok := o.extensions.Find(attls.ExtSupportedVersions); ok {
		o.versions = uint16s[uint16](o.extensions, attls.ExtSupportedVersions, extensions.ParseSupportedVersions)
		if o.versions == nil { // malformed: a matter for the rules of TLS 1.3
			o.versions = []uint16{attls.VersionTLS13}
		}
		return o
	}
	for v := uint16(0x0300); v <= min(f.hello.LegacyVersion, attls.VersionTLS12); v++ {
		o.versions = append(o.versions, v)
	}
	return o
}

// beyond says why a message and what follows it are not understood; empty when
// they are.
func (d *dissector) beyond(h *offered, item *capture.Item) string {
	m := &item.Message
	switch m.Kind {
	case attls.KindClientHello:
		if d.seen.hello != nil && !slices.Contains(h.versions, attls.VersionTLS13) {
			return "the client does not offer TLS 1.3"
		}
	case attls.KindHelloRetryRequest, attls.KindServerHello:
		return d.beyondServerHello(h, m)
	case attls.KindEncryptedExtensions:
		if e := parse[message.EncryptedExtensions](m); e != nil {
			return d.unknownAnswer(h, e.Extensions, attls.KindEncryptedExtensions)
		}
	case attls.KindCertificate, attls.KindCompressedCertificate:
		if m.Kind == attls.KindCompressedCertificate && d.seen.certificate[item.Sender] == nil && d.unknownCompression(m) {
			return "the certificate is compressed in a way that is not implemented here"
		}
		return d.beyondCertificate(item.Sender)
	case attls.KindCertificateVerify:
		if v := parse[message.CertificateVerify](m); v != nil && !implementedScheme(v.Scheme) &&
			slices.Contains(d.acceptedSchemes(item.Sender.Peer()), v.Scheme) {
			return fmt.Sprintf("the signature scheme %v is not implemented here", v.Scheme)
		}
	case attls.KindUnknown:
		if name := d.unknownExtension(h.extensions); name != "" {
			return fmt.Sprintf("a message of type %d may belong to the extension %s, which is not implemented here",
				m.Type, name)
		}
	}
	return ""
}

func (d *dissector) beyondServerHello(h *offered, m *message.Raw) string {
	if v := capture.NegotiatedVersion(m.Body()); v != 0 && v != attls.VersionTLS13 && slices.Contains(h.versions, v) {
		d.downgrade(m)
		return "the server chose " + capture.VersionName(v)
	}
	sh := parse[message.ServerHello](m)
	if sh == nil {
		return ""
	}
	real := provider.Real()
	if _, ok := real.Suite(sh.CipherSuite); !ok && slices.Contains(h.suites, sh.CipherSuite) {
		return fmt.Sprintf("the server chose the cipher suite %v, which is not implemented here", sh.CipherSuite)
	}
	if g := selectedGroup(sh, m.Kind == attls.KindHelloRetryRequest); g != 0 && slices.Contains(h.groups, g) {
		if _, ok := real.Group(g); !ok {
			return fmt.Sprintf("the server chose the group %v, which is not implemented here", g)
		}
	}
	if _, ok := h.extensions.Find(attls.ExtEncryptedClientHello); ok && d.seen.encrypted == nil {
		return "the client offered Encrypted Client Hello, and the server may have answered the inner ClientHello, which " +
			"cannot be read"
	}
	return d.unknownAnswer(h, sh.Extensions, m.Kind)
}

// downgrade tells of a ServerHello.random that says that the server knows TLS 1.3
// although it chose an older version. Which end is to blame is not seen: the
// two may be apart because somebody between them changed the ClientHello.
func (d *dissector) downgrade(m *message.Raw) {
	sh := parse[message.ServerHello](m)
	if sh == nil || len(sh.Random) != 32 {
		return
	}
	if tail := sh.Random[24:]; bytes.Equal(tail, message.DowngradeTLS12[:]) ||
		bytes.Equal(tail, message.DowngradeTLS11[:]) {
		d.note(
			"ServerHello.random ends as that of a server which knows TLS 1.3 and was not offered it, and the client did " +
				"offer it. " +
				"Such a client must end the connection with illegal_parameter (RFC 8446 section 4.1.3).")
	}
}

// unknownAnswer names an extension of an answer that the client offered and
// whose meaning is not known.
func (d *dissector) unknownAnswer(h *offered, l extensions.List, k attls.MessageKind) string {
	for i := range l {
		if _, asked := h.extensions.Find(l[i].Type); asked && !d.knows(l[i].Type, k) {
			return fmt.Sprintf("%v has the extension %v, which is not implemented here", k, l[i].Type)
		}
	}
	return ""
}

// knows reports whether an extension is one that the engine or the profile can
// place in a message.
func (d *dissector) knows(t attls.ExtensionType, k attls.MessageKind) bool {
	if d.p != nil {
		if _, ok := d.p.Extension(t); ok {
			return true
		}
	}
	row, ok := extensions.RFC8446().Lookup(t)
	if !ok {
		return false
	}
	return slices.ContainsFunc(row.Placements, func(p extensions.Placement) bool { return p.Message == k })
}

// unknownExtension names the first extension of a ClientHello that is not known.
func (d *dissector) unknownExtension(l extensions.List) string {
	for i := range l {
		if !d.knows(l[i].Type, attls.KindClientHello) {
			return l[i].Type.String()
		}
	}
	return ""
}

func (d *dissector) beyondCertificate(sender attls.Role) string {
	ct := d.seen.certificate[sender]
	if ct == nil || len(ct.Entries) == 0 {
		return ""
	}
	if _, ok := ct.Entries[0].Extensions.Find(attls.ExtDelegatedCredential); ok {
		return "the certificate has a delegated credential (RFC 9345), which is not implemented here"
	}
	return ""
}

// unknownCompression reports whether a CompressedCertificate has an algorithm
// that is not implemented here.
func (d *dissector) unknownCompression(m *message.Raw) bool {
	cc := parse[message.CompressedCertificate](m)
	return cc != nil && compressor(cc.Algorithm) == nil
}

// acceptedSchemes are the signature schemes that a role accepts.
func (d *dissector) acceptedSchemes(role attls.Role) []attls.SignatureScheme {
	var l extensions.List
	switch f := &d.seen; {
	case role == attls.RoleClient && f.hello != nil:
		l = f.hello.Extensions
	case role == attls.RoleServer && f.request != nil:
		l = f.request.Extensions
	}
	return uint16s[attls.SignatureScheme](l, attls.ExtSignatureAlgorithms, extensions.ParseSignatureAlgorithms)
}

// implementedScheme reports whether the engine can check a signature scheme; a
// scheme without a name is not known to it.
func implementedScheme(s attls.SignatureScheme) bool {
	return !strings.HasPrefix(s.String(), "signature scheme")
}
