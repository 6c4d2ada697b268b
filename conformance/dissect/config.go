package dissect

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/certcompress"
	"attls/internal/provider"
	"attls/negotiation"
)

// config makes an engine that would have done what an end did: it offers what
// was offered and can choose only what was chosen.
func (d *dissector) config(own attls.Role) *handshake.Config {
	f := &d.seen
	c := &handshake.Config{CanAuthenticate: true, MaxCertificates: 64}
	if d.takesPart(own) {
		c.Profile, c.Policy = d.p, d.policy(own)
	}
	c.Limits.MaxHandshakeMessage = maxMessage
	c.CertificateCompression = d.compression(own)
	hello := f.hello.Extensions
	c.NoMiddleboxCompatibility = own == attls.RoleClient && len(f.hello.SessionID) == 0
	if own == attls.RoleClient {
		d.clientConfig(c, hello)
	} else {
		d.serverConfig(c)
	}
	return c
}

// maxMessage is the largest handshake message there is, in octets.
const maxMessage = 1<<24 - 1

// compression is what a role said that it can undo, as far as it can be done here.
func (d *dissector) compression(own attls.Role) (list []handshake.CertificateCompressor) {
	var l extensions.List
	switch f := &d.seen; {
	case own == attls.RoleClient:
		l = f.hello.Extensions
	case f.request != nil:
		l = f.request.Extensions
	}
	x, ok := l.Find(attls.ExtCompressCertificate)
	if !ok {
		return nil
	}
	offered, err := extensions.ParseCompressionAlgorithms(x.Body)
	if err != nil {
		return nil
	}
	for _, c := range certcompress.All() {
		if offered.Contains(c.Algorithm()) {
			list = append(list, c)
		}
	}
	return list
}

// takesPart reports whether an end shows that it knows the profile: by its flag, a client by
// an offer, a server by a choice, or by refusing before it could choose.
func (d *dissector) takesPart(own attls.Role) bool {
	if d.p == nil {
		return false
	}
	if r := &d.p.Authenticator; r.FlagName != "" && d.sets(own, r.Flag) {
		return true
	}
	f := d.seen.fields
	if own == attls.RoleClient {
		return slices.ContainsFunc(f.Offers, func(l []profile.Scheme) bool { return len(l) > 0 })
	}
	return d.seen.server == nil || slices.ContainsFunc(f.Choices, func(s *profile.Scheme) bool { return s != nil })
}

func (d *dissector) clientConfig(c *handshake.Config, hello extensions.List) {
	f, real := &d.seen, provider.Real()
	for i := 0; i+1 < len(f.hello.CipherSuites); i += 2 {
		suite := attls.CipherSuite(f.hello.CipherSuites[i])<<8 | attls.CipherSuite(f.hello.CipherSuites[i+1])
		if _, ok := real.Suite(suite); ok {
			c.CipherSuites = append(c.CipherSuites, suite)
		}
	}
	c.Groups = slices.DeleteFunc(uint16s[attls.NamedGroup](hello, attls.ExtSupportedGroups,
		extensions.ParseSupportedGroups), unknownGroup)
	c.KeyShares = slices.DeleteFunc(shared(hello), func(g attls.NamedGroup) bool { return !slices.Contains(c.Groups, g) })
	c.SignatureSchemes = uint16s[attls.SignatureScheme](hello, attls.ExtSignatureAlgorithms,
		extensions.ParseSignatureAlgorithms)
	if x, ok := hello.Find(attls.ExtServerName); ok {
		name, _ := extensions.ParseServerName(x.Body)
		c.ServerName = string(name)
	}
	if x, ok := hello.Find(attls.ExtALPN); ok {
		if l, err := extensions.ParseALPN(x.Body); err == nil {
			for name := range l.All() {
				c.ALPN = append(c.ALPN, string(name))
			}
		}
	}
	c.ExtendedKeyUpdate = extendedKeyUpdate(hello)
	c.ServerCertificateTypes = d.certificateTypes(hello, attls.ExtServerCertificateType)
	c.ClientCertificateTypes = d.certificateTypes(hello, attls.ExtClientCertificateType)
	_, c.RequestOCSP = hello.Find(attls.ExtStatusRequest)
	_, c.RequestSCT = hello.Find(attls.ExtSignedCertificateTimestamp)
	if x, ok := hello.Find(attls.ExtRecordSizeLimit); ok {
		if n, err := extensions.ParseRecordSizeLimit(x.Body); err == nil && n >= 64 {
			c.RecordSizeLimit = n
		}
	}
}

func unknownGroup(g attls.NamedGroup) bool {
	_, ok := provider.Real().Group(g)
	return !ok
}

// shared are the implemented groups of which a ClientHello has a share; not nil.
func shared(hello extensions.List) []attls.NamedGroup {
	list := []attls.NamedGroup{}
	if x, ok := hello.Find(attls.ExtKeyShare); ok {
		if l, err := extensions.ParseKeyShares(x.Body); err == nil {
			for g := range l.All() {
				list = append(list, g)
			}
		}
	}
	return slices.DeleteFunc(list, unknownGroup)
}

func (d *dissector) serverConfig(c *handshake.Config) {
	f := &d.seen
	first := f.server
	if f.retry != nil {
		first = f.retry
		c.Retry = handshake.Retry{Always: true, Cookie: f.cookie() != nil, CookieSize: uint16(len(f.cookie()))}
	}
	if first == nil {
		return
	}
	if f.retry != nil && selectedGroup(f.retry, true) == 0 {
		c.Groups = shared(f.hello.Extensions) // it asked for a cookie alone, so for no other share
	}
	real := provider.Real()
	if _, ok := real.Suite(first.CipherSuite); ok {
		c.CipherSuites = []attls.CipherSuite{first.CipherSuite}
	}
	if g := selectedGroup(first, f.retry != nil); g != 0 {
		if _, ok := real.Group(g); ok {
			c.Groups = []attls.NamedGroup{g}
		}
	}
	if f.request != nil {
		c.ClientAuthentication = handshake.OptionalClientCertificate
		c.SignatureSchemes = uint16s[attls.SignatureScheme](f.request.Extensions, attls.ExtSignatureAlgorithms,
			extensions.ParseSignatureAlgorithms)
	}
	if f.encrypted == nil {
		return
	}
	chosen := f.encrypted.Extensions
	if x, ok := chosen.Find(attls.ExtALPN); ok {
		if name, err := extensions.ParseALPNSelected(x.Body); err == nil {
			c.ALPN = []string{string(name)}
		}
	}
	_, c.AcknowledgeServerName = chosen.Find(attls.ExtServerName)
	if x, ok := chosen.Find(attls.ExtRecordSizeLimit); ok {
		if n, err := extensions.ParseRecordSizeLimit(x.Body); err == nil && n >= 64 {
			c.RecordSizeLimit = n
		}
	}
	c.ExtendedKeyUpdate = extendedKeyUpdate(chosen)
	c.ServerCertificateTypes = d.certificateType(chosen, attls.ExtServerCertificateType)
	c.ClientCertificateTypes = d.certificateType(chosen, attls.ExtClientCertificateType)
}

// policy offers or chooses what the recording has. A server that refused before
// it chose is taken to accept every offer, so that only rules count.
func (d *dissector) policy(own attls.Role) (policy negotiation.Policy) {
	for i := range d.p.Slots {
		slot := &d.p.Slots[i]
		schemes := d.seen.fields.Offers[i]
		if own == attls.RoleServer && d.seen.server != nil {
			schemes = nil
			if choice := d.seen.fields.Choices[i]; choice != nil && !negotiation.IsNullChoice(d.p, choice) {
				schemes = []negotiation.Scheme{*choice}
			}
		}
		list := &policy.Accept
		if slot.Attester == own {
			list = &policy.Produce
		}
		*list = append(*list, schemes...)
	}
	return policy
}

// cookie is the one of the HelloRetryRequest, or nil.
func (f *flight) cookie() []byte {
	if f.retry == nil {
		return nil
	}
	x, ok := f.retry.Extensions.Find(attls.ExtCookie)
	if !ok {
		return nil
	}
	cookie, _ := extensions.ParseCookie(x.Body)
	return cookie
}

func selectedGroup(sh *message.ServerHello, retry bool) attls.NamedGroup {
	x, ok := sh.Extensions.Find(attls.ExtKeyShare)
	if !ok {
		return 0
	}
	if retry {
		g, _ := extensions.ParseSelectedGroup(x.Body)
		return g
	}
	e, _ := extensions.ParseKeyShareEntry(x.Body)
	return e.Group
}

// extendedKeyUpdate configures it where its flag is set; nil: it is not.
func extendedKeyUpdate(l extensions.List) *handshake.ExtendedKeyUpdate {
	x, ok := l.Find(attls.ExtTLSFlags)
	if !ok {
		return nil
	}
	if flags, err := extensions.ParseTLSFlags(x.Body); err != nil || !flags.Has(attls.FlagExtendedKeyUpdate) {
		return nil
	}
	return &handshake.ExtendedKeyUpdate{}
}

// certificateTypes is a list of certificate types without those of the profile,
// which the engine adds itself.
func (d *dissector) certificateTypes(l extensions.List, t attls.ExtensionType) (list []attls.CertificateType) {
	x, ok := l.Find(t)
	if !ok {
		return nil
	}
	b, err := extensions.ParseCertificateTypes(x.Body)
	if err != nil {
		return nil
	}
	for _, n := range b {
		list = d.general(list, attls.CertificateType(n))
	}
	return list
}

// certificateType is a choice, as a list.
func (d *dissector) certificateType(l extensions.List, t attls.ExtensionType) []attls.CertificateType {
	x, ok := l.Find(t)
	if !ok {
		return nil
	}
	n, err := extensions.ParseCertificateType(x.Body)
	if err != nil {
		return nil
	}
	return d.general(nil, n)
}

func (d *dissector) general(list []attls.CertificateType, n attls.CertificateType) []attls.CertificateType {
	if d.p != nil {
		if _, added := d.p.CertificateTypes[n]; added {
			return list
		}
	}
	return append(list, n)
}

func uint16s[T ~uint16](l extensions.List, t attls.ExtensionType,
	read func([]byte) (extensions.Uint16s, *attls.Error)) (list []T) {
	x, ok := l.Find(t)
	if !ok {
		return nil
	}
	values, err := read(x.Body)
	if err != nil {
		return nil
	}
	for i := range values.Len() {
		list = append(list, T(values.At(i)))
	}
	return list
}
