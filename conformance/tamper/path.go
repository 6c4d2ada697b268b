package tamper

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/schema"
	"attls/handshake"
	"attls/handshake/message"
)

// FieldEdit is a tap that edits one field of the messages that an end sends; see
// Field.
type FieldEdit struct {
	handshake.NopTap
	at    place
	edit  func([]byte) []byte
	seen  int
	edits int
	err   *attls.Error
}

// Edits is the number of messages that were changed.
func (t *FieldEdit) Edits() int { return t.edits }

// Err says why the first message of the path's kind that could not be changed was
// sent as it was: it has no such extension, or no such element of a list. It is nil
// when there was no such message.
func (t *FieldEdit) Err() error {
	if t.err == nil {
		return nil
	}
	return t.err
}

// Field returns a tap that edits a field by its path, as profiles and errors write
// it: message, extension, field.
//
//	client_hello.random
//	client_hello.key_share.client_shares[0].key_exchange
//	certificate.remoteAttestation.cmw_payload
//	certificate.certificate_list[1].remoteAttestation.cmw_payload
//	attestation.cmw_payload                     (a message that the profile adds)
//
// The names are those of RFC 8446's presentation language and of the profile's
// structures; p may be nil, for the fields of the RFCs alone. "[1]" is one element of
// a list and "[]" each. Without an index after it, the message is every one of its
// kind that the end sends; "client_hello[1]" is the second. In Certificate, an
// extension or cert_data without certificate_list is that of each entry which has it.
// A path that ends with the name of an extension is its whole body. An extension
// without a known structure has no fields.
//
// edit gets a copy of the contents (see schema.Codec.Edit) and returns others. The
// lengths around the field are repaired, PSK binders are computed again unless they
// are what is edited, and the end's own state follows the change.
//
// The error says which part of the path does not exist, and names the nearest one.
func Field(p *profile.Profile, path string, edit func(contents []byte) []byte) (*FieldEdit, error) {
	at, err := find(p, path)
	if err != nil {
		return nil, fmt.Errorf("tamper: %q: %w", path, err)
	}
	return &FieldEdit{at: at, edit: edit}, nil
}

// With is the same path with another edit, which has seen no message.
func (t *FieldEdit) With(edit func(contents []byte) []byte) *FieldEdit {
	return &FieldEdit{at: t.at, edit: edit}
}

// Message edits the field in a message that is sent.
func (t *FieldEdit) Message(d handshake.Direction, m *message.Raw, plan *handshake.Plan) {
	if d != handshake.Sent || !t.at.is(m) {
		return
	}
	n := t.seen
	t.seen++
	if t.at.index >= 0 && t.at.index != n {
		return
	}
	body, err := t.at.change(m.Body(), t.edit)
	if err != nil {
		if t.err == nil {
			t.err = err.In(m.Kind)
		}
		return
	}
	t.edits++
	plan.Replace = Message(m.Type, body)
	plan.Reparse = true
	plan.Rebind = m.Kind == attls.KindClientHello && t.at.extension != attls.ExtPreSharedKey
}

// Fork copies the counts.
func (t *FieldEdit) Fork() handshake.Tap { f := *t; return &f }

// place is a path that was looked up.
type place struct {
	kind   attls.MessageKind
	added  *profile.AddedMessage
	index  int    // of the message among those of its kind; -1: every one
	field  string // in the message, or in the extension
	bodies []*schema.Codec
	// whole decodes the message; nil for an added one, which bodies decode.
	whole func(octets int) *schema.Codec

	inExtension bool
	extension   attls.ExtensionType
	name        string // of the extension
	entry       string // in Certificate: the step behind certificate_list
}

func (a *place) is(m *message.Raw) bool {
	if a.added != nil {
		return m.Type == a.added.Type
	}
	return m.Kind == a.kind
}

// change returns the body of a message after the edit.
func (a *place) change(body []byte, edit func([]byte) []byte) ([]byte, *attls.Error) {
	if a.whole == nil {
		return editAny(a.bodies, body, a.field, edit)
	}
	codec := a.whole(len(body))
	if !a.inExtension {
		return codec.Edit(body, a.field, edit)
	}
	v, err := codec.WithoutBounds().Decode(body)
	if err != nil {
		return nil, err
	}
	paths, err := a.extensions(&v)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		var inner *attls.Error
		body, err = codec.Edit(body, path, func(b []byte) []byte {
			var changed []byte
			changed, inner = editAny(a.bodies, b, a.field, edit)
			return changed
		})
		if inner != nil {
			return nil, inner.Under(a.name)
		}
		if err != nil {
			return nil, err
		}
	}
	return body, nil
}

// extensions are the paths of the bodies of the extension in a message.
func (a *place) extensions(v *schema.Value) ([]string, *attls.Error) {
	lists := []string{"extensions"}
	if a.kind == attls.KindCertificate {
		lists = nil
		entries := v.Get("certificate_list")
		for i := range entries.Items {
			if step := fmt.Sprintf("[%d]", i); a.entry == "[]" || a.entry == step {
				lists = append(lists, "certificate_list"+step+".extensions")
			}
		}
		if lists == nil {
			return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "the list has %d elements", len(entries.Items)).
				Under("certificate_list" + a.entry)
		}
	}
	var paths []string
	for _, list := range lists {
		for i, x := range v.Get(list).Items {
			if x.Field("extension_type").Number == uint64(a.extension) {
				paths = append(paths, fmt.Sprintf("%s[%d].extension_data", list, i))
			}
		}
	}
	if paths == nil {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "the message does not have the extension").
			Under(a.name)
	}
	return paths, nil
}

// editAny edits with the first codec that decodes the body: those of the two senders
// may differ.
func editAny(codecs []*schema.Codec, body []byte, path string,
	edit func([]byte) []byte) (out []byte, err *attls.Error) {
	for _, c := range codecs {
		if out, err = c.Edit(body, path, edit); err == nil || err.Class == attls.Local {
			break
		}
	}
	return out, err
}

// find looks up a path.
func find(p *profile.Profile, path string) (place, error) {
	a := place{index: -1}
	name, rest, dotted := strings.Cut(path, ".")
	if at := strings.IndexByte(name, '['); at >= 0 {
		n, err := strconv.ParseUint(strings.TrimSuffix(name[at+1:], "]"), 10, 16)
		if err != nil || !strings.HasSuffix(name, "]") {
			return a, fmt.Errorf("%q is not the index of a message", name[at:])
		}
		name, a.index = name[:at], int(n)
	}
	if !dotted || rest == "" {
		return a, fmt.Errorf("a path has at least two parts: message.field or message.extension")
	}
	if p != nil {
		for i := range p.Messages {
			if p.Messages[i].Name == name {
				a.added = &p.Messages[i]
				for _, r := range []attls.Role{attls.RoleServer, attls.RoleClient} {
					a.bodies = append(a.bodies, p.MessageCodec(i, r))
				}
				return a, a.setField(rest)
			}
		}
	}
	kind, ok := attls.KindByName(name)
	if !ok {
		return a, unknown("message", name, messageNames(p))
	}
	a.kind = kind
	return a, a.findIn(p, rest)
}

// findIn looks up what follows the message of an RFC.
func (a *place) findIn(p *profile.Profile, rest string) error {
	a.entry = "[]"
	if a.kind == attls.KindCertificate {
		if list, after, ok := strings.Cut(rest, "]."); ok && strings.HasPrefix(list, "certificate_list[") {
			step, name := strings.TrimPrefix(list, "certificate_list")+"]", first(strings.TrimPrefix(after, "extensions."))
			if _, ok := extensionByName(p, name); ok {
				a.entry, rest = step, after
			}
		}
	}
	rest = strings.TrimPrefix(rest, "extensions.")
	name := first(rest)
	if t, ok := extensionByName(p, name); ok {
		a.inExtension, a.extension, a.name = true, t, name
		a.bodies = extensionCodecs(p, a.kind, t)
		if len(a.bodies) == 0 {
			return fmt.Errorf("%s is not an extension of %s", name, a.kind.Name())
		}
		a.whole = func(int) *schema.Codec { return messageCodec(a.kind, "X509", 0) }
		return a.setField(strings.TrimPrefix(strings.TrimPrefix(rest, name), "."))
	}
	certificateType := "X509"
	if a.kind == attls.KindCertificate && (name == "cert_data" || name == "ASN1_subjectPublicKeyInfo") {
		rest = "certificate_list[]." + rest
	}
	if strings.HasSuffix(rest, "ASN1_subjectPublicKeyInfo") {
		certificateType = "RawPublicKey"
	}
	kind := a.kind
	a.whole = func(octets int) *schema.Codec { return messageCodec(kind, certificateType, octets) }
	codec := a.whole(32)
	if _, err := codec.Field(rest, 0); err != nil {
		return a.nearest(p, codec, name, err)
	}
	a.field = rest
	return nil
}

// nearest is the error for a name that is neither a field nor an extension of the
// message, where the first part of the path is to blame.
func (a *place) nearest(p *profile.Profile, codec *schema.Codec, name string, err error) error {
	var known []string
	for _, f := range codec.Fields(0) {
		if top := first(f.Path); top == name {
			return err
		} else if !slices.Contains(known, top) {
			known = append(known, top)
		}
	}
	if p != nil {
		for i := range p.Extensions {
			if len(extensionCodecs(p, a.kind, p.Extensions[i].Type)) > 0 {
				known = append(known, p.Extensions[i].Name)
			}
		}
	}
	for t := range grammars {
		if len(extensionCodecs(nil, a.kind, t)) > 0 {
			known = append(known, t.String())
		}
	}
	slices.Sort(known)
	return unknown("field or extension of "+a.kind.Name(), name, known)
}

// setField checks a path in an extension or an added message.
func (a *place) setField(path string) error {
	a.field = path
	if path == "" {
		return nil
	}
	var have []*schema.Codec
	var err error
	for _, c := range a.bodies {
		if _, failure := c.Field(path, 0); failure == nil {
			have = append(have, c)
		} else {
			err = failure
		}
	}
	if have == nil {
		return err
	}
	a.bodies = have
	return nil
}

func first(path string) string {
	if at := strings.IndexAny(path, ".["); at >= 0 {
		return path[:at]
	}
	return path
}

func unknown(what, name string, known []string) error {
	if near := schema.Nearest(name, known); near != "" {
		return fmt.Errorf("there is no %s %q; did you mean %q?", what, name, near)
	}
	return fmt.Errorf("there is no %s %q; there are %s", what, name, strings.Join(known, ", "))
}

func messageNames(p *profile.Profile) (names []string) {
	for k := attls.KindClientHello; k < attls.KindAdded; k++ {
		names = append(names, k.Name())
	}
	if p != nil {
		for i := range p.Messages {
			names = append(names, p.Messages[i].Name)
		}
	}
	return names
}

func extensionByName(p *profile.Profile, name string) (attls.ExtensionType, bool) {
	if p != nil {
		for i := range p.Extensions {
			if p.Extensions[i].Name == name {
				return p.Extensions[i].Type, true
			}
		}
	}
	return attls.ExtensionByName(name)
}

// extensionCodecs are the codecs of an extension in a message, those of the two
// senders if it is the profile's; none where it does not belong.
func extensionCodecs(p *profile.Profile, k attls.MessageKind, t attls.ExtensionType) (codecs []*schema.Codec) {
	if !slices.Contains(extensible, k) {
		return nil
	}
	if p != nil {
		if _, ok := p.Extension(t); ok {
			for _, r := range []attls.Role{attls.RoleServer, attls.RoleClient} {
				if c := p.Codec(k, r, t); c != nil {
					codecs = append(codecs, c)
				}
			}
			return codecs
		}
	}
	name, ok := grammars[t]
	switch {
	case !ok:
		name = "opaque"
	case t == attls.ExtKeyShare && k == attls.KindServerHello:
		name = "KeyShareServerHello"
	case t == attls.ExtKeyShare && k == attls.KindHelloRetryRequest:
		name = "KeyShareHelloRetryRequest"
	}
	key := codecKey{k, name, -1}
	if c, ok := messageCodecs.Load(key); ok {
		return c.([]*schema.Codec)
	}
	c, err := standard().Codec(name, schema.Context{Message: k})
	if err != nil {
		return nil // no arm of its structure is for this message
	}
	codecs = []*schema.Codec{c}
	messageCodecs.Store(key, codecs)
	return codecs
}

// extensible are the messages with extensions, in their own list or in those of entries.
var extensible = []attls.MessageKind{attls.KindClientHello, attls.KindServerHello, attls.KindHelloRetryRequest,
	attls.KindEncryptedExtensions, attls.KindCertificateRequest, attls.KindCertificate, attls.KindNewSessionTicket}

// grammars are the structures of the RFCs' extensions. Others have no fields.
var grammars = map[attls.ExtensionType]string{
	attls.ExtServerName:              "ServerNameList",
	attls.ExtSupportedGroups:         "NamedGroupList",
	attls.ExtSignatureAlgorithms:     "SignatureSchemeList",
	attls.ExtSignatureAlgorithmsCert: "SignatureSchemeList",
	attls.ExtALPN:                    "ProtocolNameList",
	attls.ExtClientCertificateType:   "ClientCertTypeExtension",
	attls.ExtServerCertificateType:   "ServerCertTypeExtension",
	attls.ExtCompressCertificate:     "CertificateCompressionAlgorithms",
	attls.ExtRecordSizeLimit:         "RecordSizeLimit",
	attls.ExtPreSharedKey:            "PreSharedKeyExtension",
	attls.ExtEarlyData:               "EarlyDataIndication",
	attls.ExtSupportedVersions:       "SupportedVersions",
	attls.ExtCookie:                  "Cookie",
	attls.ExtPSKKeyExchangeModes:     "PskKeyExchangeModes",
	attls.ExtCertificateAuthorities:  "CertificateAuthoritiesExtension",
	attls.ExtOIDFilters:              "OIDFilterExtension",
	attls.ExtKeyShare:                "KeyShareClientHello",
}

// standard is the grammar of the RFCs.
var standard = sync.OnceValue(func() *schema.Schema {
	s, problems := schema.Compile(schema.DefaultEnvironment())
	if err := problems.Err(); err != nil {
		panic(err) // the grammar is part of package schema
	}
	return s
})

// messageCodecs keeps what messageCodec and extensionCodecs make, by codecKey.
var messageCodecs sync.Map

type codecKey struct {
	kind   attls.MessageKind
	name   string // the certificate type, or the structure of an extension
	octets int    // of a Finished; -1: an extension
}

// messageCodec is the codec of a message body. octets is the length of a Finished,
// which depends on the hash.
func messageCodec(k attls.MessageKind, certificateType string, octets int) *schema.Codec {
	name := k.String()
	if k == attls.KindHelloRetryRequest {
		name = attls.KindServerHello.String()
	}
	key := codecKey{k, certificateType, 0}
	if k == attls.KindFinished {
		key.octets = octets
	}
	if c, ok := messageCodecs.Load(key); ok {
		return c.(*schema.Codec)
	}
	c, err := standard().Codec(name, schema.Context{Message: k, Lengths: map[string]int{schema.ParamHashLength: octets},
		Tags: map[string]string{schema.ParamCertificateType: certificateType}})
	if err != nil {
		panic(err) // a test makes the codec of each kind
	}
	if k != attls.KindFinished || octets == 32 || octets == 48 { // the lengths that hashes have
		messageCodecs.Store(key, c)
	}
	return c
}

// Paths lists the paths that Field takes for the messages of a kind: the fields of the
// message, its extensions, and their fields. Lists have "[]". p may be nil.
func Paths(p *profile.Profile, k attls.MessageKind) (paths []string) {
	if k == attls.KindNone || k >= attls.KindAdded {
		return nil
	}
	add := func(prefix string, c *schema.Codec) {
		for _, f := range c.Fields(0) {
			if path := prefix + f.Path; !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	add(k.Name()+".", messageCodec(k, "X509", 32))
	var types []attls.ExtensionType
	for t := range grammars {
		types = append(types, t)
	}
	slices.Sort(types)
	if p != nil {
		for i := range p.Extensions {
			types = append(types, p.Extensions[i].Type)
		}
	}
	for _, t := range types {
		name := t.String()
		if p != nil {
			if row, ok := p.Extension(t); ok {
				name = row.Name
			}
		}
		codecs := extensionCodecs(p, k, t)
		if len(codecs) > 0 {
			paths = append(paths, k.Name()+"."+name)
		}
		for _, c := range codecs {
			add(k.Name()+"."+name+".", c)
		}
	}
	return slices.DeleteFunc(paths, func(path string) bool { _, err := find(p, path); return err != nil })
}

// MessagePaths lists the paths that Field takes for a message that a profile adds.
func MessagePaths(p *profile.Profile, added int) (paths []string) {
	for _, r := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		c := p.MessageCodec(added, r)
		if c == nil {
			continue
		}
		for _, f := range c.Fields(0) {
			if path := p.Messages[added].Name + "." + f.Path; !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}
