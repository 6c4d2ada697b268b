package campaign

import (
	"bytes"
	"fmt"
	"slices"

	"attls"
	"attls/extensions"
	"attls/internal/provider"
)

// answering are the messages whose extensions answer what the receiver offered.
var answering = []attls.MessageKind{attls.KindServerHello, attls.KindHelloRetryRequest, attls.KindEncryptedExtensions,
	attls.KindCertificate}

func answersOffer(k attls.MessageKind) bool { return slices.Contains(answering, k) }

// offered reports whether the end sent one of the offers.
func (v *view) offered(list []extensions.Offer) bool {
	for _, o := range list {
		for _, m := range v.sent {
			if m.kind == o.Message {
				if _, ok := m.find(o.Extension); ok {
					return true
				}
			}
		}
	}
	return len(list) == 0
}

// each asks of each extension that arrived, with its entry.
func (v *view) each(ask func(m *seen, entry int, x rawExtension) string) string {
	for _, m := range v.got {
		for i, list := range m.entries {
			for _, x := range list {
				if text := ask(m, i, x); text != "" {
					return text
				}
			}
		}
	}
	return ""
}

// uint16s reads a list of numbers with a length of so many octets in front.
func uint16s(body []byte, width int) (list []uint16) {
	c := &cursor{body, true}
	c.b = c.vector(width)
	for c.ok && len(c.b) >= 2 {
		list = append(list, uint16(c.number(2)))
	}
	return list
}

// shares are the groups of the shares of a ClientHello.
func shares(m *seen) (groups []uint16) {
	body, _ := m.find(attls.ExtKeyShare)
	c := &cursor{body, true}
	c.b = c.vector(2)
	for c.ok && len(c.b) >= 4 {
		groups = append(groups, uint16(c.number(2)))
		c.vector(2)
	}
	return groups
}

// helloParts are the fields of a ClientHello before its extensions: version and random,
// session id, suites, compression.
func helloParts(m *seen) (parts [4][]byte, ok bool) {
	c := &cursor{m.body(), true}
	parts[0] = c.take(34)
	parts[1], parts[2], parts[3] = c.vector(1), c.vector(2), c.vector(1)
	return parts, c.ok
}

var messageLaws = []law{
	{"extension-once", "RFC 8446 4.2", true, func(v *view) string {
		for _, m := range v.got {
			for _, list := range m.entries {
				have := map[attls.ExtensionType]bool{}
				for _, x := range list {
					if have[x.t] && v.r.heeds(v.role, m.kind, x.t) {
						return fmt.Sprintf("took %v with the extension %v twice", m.kind, x.t)
					}
					have[x.t] = true
				}
			}
		}
		return ""
	}},
	{"extension-known", "RFC 8446 4.2", true, func(v *view) string {
		return v.each(func(m *seen, _ int, x rawExtension) string {
			if _, ok := v.table.Lookup(x.t); !ok && answersOffer(m.kind) {
				return fmt.Sprintf("took the extension %v in %v, which it did not offer", x.t, m.kind)
			}
			return ""
		})
	}},
	{"extension-in-place", "RFC 8446 4.2", true, func(v *view) string {
		return v.each(func(m *seen, entry int, x rawExtension) string {
			row, ok := v.table.Lookup(x.t)
			if !ok || !v.r.heeds(v.role, m.kind, x.t) {
				return ""
			}
			at := row.In(m.kind)
			switch {
			case at == nil:
				return fmt.Sprintf("took the extension %v in %v, where it does not belong", x.t, m.kind)
			case at.Entries == extensions.EntriesFirst && entry > 0:
				return fmt.Sprintf("took the extension %v in CertificateEntry %d", x.t, entry)
			}
			return ""
		})
	}},
	{"extension-solicited", "RFC 8446 4.2", true, func(v *view) string {
		return v.each(func(m *seen, _ int, x rawExtension) string {
			row, ok := v.table.Lookup(x.t)
			if !ok || row.In(m.kind) == nil {
				return ""
			}
			if at := row.In(m.kind); !at.Unsolicited && answersOffer(m.kind) && !v.offered(at.OfferedBy[v.role.Peer()]) {
				return fmt.Sprintf("took the extension %v in %v, for which it did not ask", x.t, m.kind)
			}
			return ""
		})
	}},
	{"extension-empty", "the RFC of the extension", true, func(v *view) string {
		return v.each(func(m *seen, _ int, x rawExtension) string {
			if row, ok := v.table.Lookup(x.t); ok && row.In(m.kind) != nil && row.In(m.kind).Empty && len(x.body) > 0 &&
				v.r.heeds(v.role, m.kind, x.t) {
				return fmt.Sprintf("took a body of %d octets of the extension %v in %v", len(x.body), x.t, m.kind)
			}
			return ""
		})
	}},
	{"message-order", "RFC 8446 A", true, func(v *view) string { return v.order() }},
	{"message-boundary", "RFC 8446 5.1", true, func(v *view) string { return v.boundary() }},
	{"psk-last", "RFC 8446 4.2.11", false, func(v *view) string {
		if !v.answered || v.role != attls.RoleServer {
			return ""
		}
		for _, m := range v.got {
			if list := m.all(); m.kind == attls.KindClientHello {
				if i := slices.IndexFunc(list, func(x rawExtension) bool {
					return x.t == attls.ExtPreSharedKey
				}); i >= 0 && i != len(list)-1 {
					return "took a ClientHello in which an extension follows pre_shared_key"
				}
			}
		}
		return ""
	}},
	{"hello-complete", "RFC 8446 9.2", false, func(v *view) string {
		if v.role != attls.RoleServer || v.hello == nil || !v.answered || !v.hello.parsed {
			return ""
		}
		has := func(t attls.ExtensionType) bool { _, ok := v.hello.find(t); return ok }
		psk := has(attls.ExtPreSharedKey)
		switch {
		case !has(attls.ExtSupportedVersions):
			return "took a ClientHello without supported_versions"
		case psk && !has(attls.ExtPSKKeyExchangeModes):
			return "took pre_shared_key without psk_key_exchange_modes"
		case !psk && !(has(attls.ExtSignatureAlgorithms) && has(attls.ExtSupportedGroups)):
			return "took a ClientHello without signature_algorithms or supported_groups"
		case has(attls.ExtSupportedGroups) != has(attls.ExtKeyShare):
			return "took a ClientHello with one of supported_groups and key_share"
		case !psk && !v.resumed() && !has(attls.ExtSignatureAlgorithms):
			return "showed a certificate to a client without signature_algorithms"
		}
		return ""
	}},
	{"schemes-needed", "RFC 8446 4.2.3", true, func(v *view) string {
		if v.role != attls.RoleServer || v.hello == nil || !v.hello.parsed || v.resumed() {
			return ""
		}
		if _, ok := v.hello.find(attls.ExtSignatureAlgorithms); !ok {
			return "authenticated with a certificate to a client without signature_algorithms"
		}
		return ""
	}},
	{"key-share-listed", "RFC 8446 4.2.8", true, func(v *view) string {
		if v.role != attls.RoleServer || v.hello == nil {
			return ""
		}
		body, _ := v.hello.find(attls.ExtSupportedGroups)
		groups := uint16s(body, 2)
		have := map[uint16]bool{}
		for _, g := range shares(v.hello) {
			if !slices.Contains(groups, g) {
				return fmt.Sprintf("took a share of the group %v, which supported_groups does not list", attls.NamedGroup(g))
			}
			if have[g] {
				return fmt.Sprintf("took two shares of the group %v", attls.NamedGroup(g))
			}
			have[g] = true
		}
		return ""
	}},
	{"compression", "RFC 8446 4.1.2", true, func(v *view) string {
		if v.role != attls.RoleServer || v.hello == nil {
			return ""
		}
		if parts, ok := helloParts(v.hello); ok && !bytes.Equal(parts[3], []byte{0}) {
			return fmt.Sprintf("took the compression methods 0x%x", parts[3])
		}
		return ""
	}},
	{"hello-repeated", "RFC 8446 4.1.2", true, func(v *view) string { return v.repeated() }},
	{"retry-order", "RFC 8446 4.1.2", true, func(v *view) string { return v.reordered() }},
	{"server-hello", "RFC 8446 4.1.3", true, func(v *view) string { return v.serverHello() }},
	{"retry-needed", "RFC 8446 4.1.4", false, func(v *view) string { return v.retry() }},
	{"alpn-offered", "RFC 7301 3.1", true, func(v *view) string {
		ee := v.last(v.got, attls.KindEncryptedExtensions)
		if v.role != attls.RoleClient || ee == nil {
			return ""
		}
		body, ok := ee.find(attls.ExtALPN)
		if !ok || v.hello == nil {
			return ""
		}
		c := &cursor{body, true}
		c.b = c.vector(2)
		name := c.vector(1)
		if !c.ok || len(c.b) > 0 {
			return "took an answer to ALPN that is not one name"
		}
		offer, _ := v.hello.find(attls.ExtALPN)
		c = &cursor{offer, true}
		c.b = c.vector(2)
		for c.ok && len(c.b) > 0 {
			if n := c.vector(1); bytes.Equal(n, name) && !(len(n) == 2 && n[0] == n[1] && n[0]&15 == 10) {
				return ""
			}
		}
		return fmt.Sprintf("took the protocol %q, which it did not offer", attls.Printable(string(name)))
	}},
	{"alpn-protocol", "the profile's nonce in ALPN", true, func(v *view) string {
		ee := v.last(v.got, attls.KindEncryptedExtensions)
		if v.role != attls.RoleClient || ee == nil || v.p == nil {
			return ""
		}
		body, ok := ee.find(attls.ExtALPN)
		if ok && len(body) > 3 && int(body[2]) == len(body)-3 &&
			!slices.Contains(v.r.s.plain[v.role].ALPN, string(body[3:])) &&
			!v.p.SelectsNonce(body[3:]) {
			return fmt.Sprintf("took the name %q, which the application does not speak", attls.Printable(string(body[3:])))
		}
		return ""
	}},
	{"request", "RFC 8446 4.3.2", true, func(v *view) string {
		for _, m := range v.got {
			if m.kind != attls.KindCertificateRequest {
				continue
			}
			if _, ok := m.find(attls.ExtSignatureAlgorithms); !ok && m.parsed {
				return "took a CertificateRequest without signature_algorithms"
			}
			if len(m.body()) > 0 && m.body()[0] != 0 {
				return "took a CertificateRequest with a context in the handshake"
			}
		}
		return ""
	}},
	{"certificate", "RFC 8446 4.4.2", true, func(v *view) string {
		for _, m := range v.got {
			if m.kind != attls.KindCertificate || len(m.body()) < 4 {
				continue
			}
			if m.body()[0] != 0 {
				return "took a Certificate with a context in the handshake"
			}
			if len(m.body()) == 4 && v.role == attls.RoleClient {
				return "took a server's Certificate without an entry"
			}
		}
		return ""
	}},
	{"signature-offered", "RFC 8446 4.4.3", true, func(v *view) string {
		cv := v.last(v.got, attls.KindCertificateVerify)
		if cv == nil || len(cv.raw) < 8 || v.p != nil && v.p.Quirks.SignatureSchemes[v.role.Peer()] != nil {
			return ""
		}
		request := v.last(v.sent, attls.KindClientHello)
		if v.role == attls.RoleServer {
			request = v.last(v.sent, attls.KindCertificateRequest)
		}
		if request == nil {
			return "took a CertificateVerify for which it did not ask"
		}
		scheme := uint16(cv.raw[4])<<8 | uint16(cv.raw[5])
		body, _ := request.find(attls.ExtSignatureAlgorithms)
		if !slices.Contains(uint16s(body, 2), scheme) {
			return fmt.Sprintf("took a signature under %v, which it did not offer", attls.SignatureScheme(scheme))
		}
		return ""
	}},
	{"signature-fits", "RFC 8446 4.4.3", true, func(v *view) string {
		cv := v.last(v.got, attls.KindCertificateVerify)
		if cv == nil || len(cv.raw) < 8 || len(v.state.PeerSPKI) == 0 {
			return ""
		}
		key, err := provider.Real().ParseSPKI(v.state.PeerSPKI)
		scheme := attls.SignatureScheme(uint16(cv.raw[4])<<8 | uint16(cv.raw[5]))
		if err == nil && !slices.Contains(provider.Real().Schemes(key), scheme) {
			return fmt.Sprintf("took a signature under %v of a key of another type", scheme)
		}
		return ""
	}},
	{"empty-message", "RFC 8446 4", true, func(v *view) string {
		for _, m := range v.got {
			if !m.parsed && hasExtensions(m.kind) {
				return fmt.Sprintf("took a %v that does not follow its grammar", m.kind)
			}
		}
		return ""
	}},
}

func hasExtensions(k attls.MessageKind) bool {
	return answersOffer(k) || k == attls.KindCertificateRequest || k == attls.KindClientHello
}

// order compares the messages that arrived with those of RFC 8446 appendix A, and the
// places of messages that a profile adds with those of the connection without edits.
func (v *view) order() string {
	var kinds []attls.MessageKind
	whole := []attls.MessageKind{}
	for _, m := range v.got {
		if m.kind != attls.KindAdded {
			kinds = append(kinds, m.kind)
		}
		whole = append(whole, m.kind)
		if m.kind == attls.KindFinished {
			break
		}
	}
	at := 0
	next := func(k attls.MessageKind) bool {
		if at < len(kinds) && kinds[at] == k {
			at++
			return true
		}
		return false
	}
	ok := false
	if v.role == attls.RoleClient {
		next(attls.KindHelloRetryRequest)
		ok = next(attls.KindServerHello) && next(attls.KindEncryptedExtensions)
		if ok && !v.resumed() {
			next(attls.KindCertificateRequest)
			ok = (next(attls.KindCertificate) || next(attls.KindCompressedCertificate)) && next(attls.KindCertificateVerify)
		}
		ok = ok && next(attls.KindFinished)
	} else {
		ok = next(attls.KindClientHello)
		if v.last(v.sent, attls.KindHelloRetryRequest) != nil {
			ok = ok && next(attls.KindClientHello)
		}
		next(attls.KindEndOfEarlyData)
		if v.last(v.sent, attls.KindCertificateRequest) != nil {
			ok = ok && (next(attls.KindCertificate) || next(attls.KindCompressedCertificate))
			if len(v.state.PeerSPKI) > 0 {
				ok = ok && next(attls.KindCertificateVerify)
			}
		}
		ok = ok && next(attls.KindFinished)
	}
	if !ok || at != len(kinds) {
		return fmt.Sprintf("took the messages %v", kinds)
	}
	if v.r.s.base == nil || v.r == v.r.s.base {
		return ""
	}
	var usual []attls.MessageKind
	for _, x := range v.r.s.base.log {
		if x.role == v.role && !x.sent && x.raw != nil {
			usual = append(usual, x.kind)
			if x.kind == attls.KindFinished {
				break
			}
		}
	}
	if count(whole) == count(usual) && !slices.Equal(whole, usual) {
		return fmt.Sprintf("took the messages %v, where the profile has %v", whole, usual)
	}
	return ""
}

// count is how many messages of each kind there are.
func count(kinds []attls.MessageKind) (n [32]int) {
	for _, k := range kinds {
		n[k%32]++
	}
	return n
}

// mayDiffer are the extensions that a second ClientHello may change.
func mayDiffer(t attls.ExtensionType) bool {
	switch t {
	case attls.ExtKeyShare, attls.ExtCookie, attls.ExtEarlyData, attls.ExtPreSharedKey, attls.ExtPadding:
		return true
	}
	return false
}

// repeated compares a second ClientHello with the first.
func (v *view) repeated() string {
	if v.role != attls.RoleServer || v.first == v.hello || v.first == nil {
		return ""
	}
	a, ok := helloParts(v.first)
	b, fine := helloParts(v.hello)
	if !ok || !fine {
		return ""
	}
	names := [...]string{"legacy_version or random", "legacy_session_id", "cipher_suites", "legacy_compression_methods"}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) && !(i == 0 && v.p != nil && v.p.Quirks.AcceptNewRandom) {
			return fmt.Sprintf("took a second ClientHello with another %s", names[i])
		}
	}
	for _, x := range v.first.all() {
		body, ok := v.hello.find(x.t)
		if !mayDiffer(x.t) && (!ok || !bytes.Equal(body, x.body)) && v.r.heeds(v.role, attls.KindClientHello, x.t) {
			return fmt.Sprintf("took a second ClientHello in which the extension %v differs or is missing", x.t)
		}
	}
	for _, x := range v.hello.all() {
		if _, ok := v.first.find(x.t); !ok && !mayDiffer(x.t) && v.r.heeds(v.role, attls.KindClientHello, x.t) {
			return fmt.Sprintf("took a second ClientHello to which the extension %v was added", x.t)
		}
	}
	return ""
}

// reordered compares the order of the extensions of two ClientHellos.
func (v *view) reordered() string {
	if v.role != attls.RoleServer || v.first == v.hello || v.first == nil ||
		v.p != nil && v.p.Quirks.AcceptReorderedHello {
		return ""
	}
	order := func(m, other *seen) (list []attls.ExtensionType) {
		for _, x := range m.all() {
			if _, ok := other.find(x.t); ok && !mayDiffer(x.t) {
				list = append(list, x.t)
			}
		}
		return list
	}
	if a, b := order(v.first, v.hello), order(v.hello, v.first); len(a) == len(b) && !slices.Equal(a, b) {
		return "took a second ClientHello with its extensions in another order"
	}
	return ""
}

// serverHello compares the answers of ServerHello with what was offered.
func (v *view) serverHello() string {
	sh := v.last(v.got, attls.KindServerHello)
	if v.role != attls.RoleClient || sh == nil || v.hello == nil || len(sh.body()) < 38 {
		return ""
	}
	c := &cursor{sh.body()[34:], true}
	session := c.vector(1)
	suite, compression := uint16(c.number(2)), c.number(1)
	parts, ok := helloParts(v.hello)
	if !ok || !c.ok {
		return ""
	}
	var suites []uint16
	for list := parts[2]; len(list) >= 2; list = list[2:] {
		suites = append(suites, uint16(list[0])<<8|uint16(list[1]))
	}
	body, _ := sh.find(attls.ExtSupportedVersions)
	version := 0
	if len(body) == 2 {
		version = int(body[0])<<8 | int(body[1])
	}
	share, hasShare := sh.find(attls.ExtKeyShare)
	switch {
	case !bytes.Equal(session, parts[1]):
		return "took a ServerHello with another legacy_session_id_echo"
	case !slices.Contains(suites, suite) || attls.Grease(suite):
		return fmt.Sprintf("took the cipher suite %v, which it did not offer", attls.CipherSuite(suite))
	case compression != 0:
		return "took a compression method"
	case version != int(attls.VersionTLS13):
		return fmt.Sprintf("took the version 0x%04x", version)
	case hasShare && len(share) >= 2 && !slices.Contains(shares(v.hello), uint16(share[0])<<8|uint16(share[1])):
		return "took a share of a group for which it sent none"
	case !hasShare && !v.resumed():
		return "took a ServerHello without key_share"
	}
	if hrr := v.last(v.got, attls.KindHelloRetryRequest); hrr != nil && len(hrr.body()) > 38 {
		c := &cursor{hrr.body()[34:], true}
		c.vector(1)
		if chosen := uint16(c.number(2)); chosen != suite {
			return "took another cipher suite in ServerHello than in HelloRetryRequest"
		}
	}
	return ""
}

// retry says whether a HelloRetryRequest changed nothing, or asked for what was not offered.
func (v *view) retry() string {
	at := slices.IndexFunc(v.got, func(m *seen) bool { return m.kind == attls.KindHelloRetryRequest })
	if v.role != attls.RoleClient || at < 0 || v.first == nil || v.first == v.hello {
		return ""
	}
	hrr := v.got[at] // a second one is another law's
	_, cookie := hrr.find(attls.ExtCookie)
	body, ok := hrr.find(attls.ExtKeyShare)
	group := uint16(0)
	if len(body) == 2 {
		group = uint16(body[0])<<8 | uint16(body[1])
	}
	offered, _ := v.first.find(attls.ExtSupportedGroups)
	switch {
	case !ok && !cookie:
		return "took a HelloRetryRequest that changes nothing"
	case ok && slices.Contains(shares(v.first), group):
		return fmt.Sprintf("took a HelloRetryRequest for the group %v, of which it had sent a share", attls.NamedGroup(group))
	case ok && !slices.Contains(uint16s(offered, 2), group):
		return fmt.Sprintf("took a HelloRetryRequest for the group %v, which it did not offer", attls.NamedGroup(group))
	}
	return ""
}

// refusal is an alert that a text names for one edit of a message. The edit must be the
// only one, so that no other rule has a say.
type refusal struct {
	message string
	applies func(v *view, e *Edit) bool
	alert   func(v *view) (attls.AlertDescription, bool)
	source  string
}

func named(a attls.AlertDescription) func(*view) (attls.AlertDescription, bool) {
	return func(*view) (attls.AlertDescription, bool) { return a, true }
}

// byProfile is the alert that the profile names for a failure.
func byProfile(f attls.Failure) func(*view) (attls.AlertDescription, bool) {
	return func(v *view) (attls.AlertDescription, bool) {
		if v.p == nil {
			return 0, false
		}
		a := v.p.AlertFor(f)
		return a.Alert, !a.None && !a.Close
	}
}

var refusals = []refusal{
	{"ClientHello", func(v *view, e *Edit) bool {
		if c := &v.r.s.conn; e.Do != "extension-remove" || c.Resumption && !c.Forgotten || e.Number > 0 || v.hello == nil {
			return false
		}
		switch e.Extension {
		case attls.ExtSignatureAlgorithms, attls.ExtSupportedGroups, attls.ExtKeyShare:
			return true
		}
		return false
	}, named(attls.AlertMissingExtension), "RFC 8446 9.2"},
	{"Certificate", func(v *view, _ *Edit) bool {
		ct := v.last(v.got, attls.KindCertificate)
		return v.role == attls.RoleClient && ct != nil && bytes.Equal(ct.body(), []byte{0, 0, 0, 0})
	}, named(attls.AlertDecodeError), "RFC 8446 4.4.2.4"},
	{"CertificateVerify", func(v *view, e *Edit) bool {
		cv := v.last(v.got, attls.KindCertificateVerify)
		if cv == nil || len(cv.raw) < 8 || len(v.state.PeerSPKI) == 0 || e.Path != "certificate_verify.algorithm" ||
			v.p != nil {
			return false
		}
		key, err := provider.Real().ParseSPKI(v.state.PeerSPKI)
		scheme := attls.SignatureScheme(uint16(cv.raw[4])<<8 | uint16(cv.raw[5]))
		return err == nil && !slices.Contains(provider.Real().Schemes(key), scheme)
	}, named(attls.AlertIllegalParameter), "RFC 8446 4.4.3"},
	{"EncryptedExtensions", func(v *view, e *Edit) bool {
		if v.p == nil || v.role != attls.RoleClient || e.Extension != attls.ExtServerCertificateType &&
			e.Path != "encrypted_extensions.server_certificate_type.server_certificate_type" {
			return false
		}
		_, kind, ok := v.chosenFor(attls.RoleServer)
		c, known := v.p.Credential(kind)
		ee := v.last(v.got, attls.KindEncryptedExtensions)
		if !ok || !known || !c.Negotiated || ee == nil {
			return false
		}
		body, there := ee.find(attls.ExtServerCertificateType)
		offer, _ := v.hello.find(attls.ExtServerCertificateType)
		if !there { // which means X.509
			return e.Do == "extension-remove" && c.CertificateType != attls.CertificateX509
		}
		return len(body) == 1 && attls.CertificateType(body[0]) != c.CertificateType && len(offer) > 1 &&
			slices.Contains(offer[1:], body[0])
	}, byProfile(attls.FailCertTypeMismatch), "the profile's alerts"},
}

// wrongAlert says whether an end refused an edit with another alert than the text names.
func (v *view) wrongAlert() string {
	err := v.r.errs[v.role]
	edits := v.r.agents[v.role.Peer()].edits
	if len(edits) != 1 || edits[0].Shadow || err == nil || err.Class == attls.FromPeer || err.Class == attls.Local {
		return ""
	}
	for i := range refusals {
		x := &refusals[i]
		if x.message != edits[0].Message || !x.applies(v, &edits[0]) {
			continue
		}
		want, ok := x.alert(v)
		if ok && err.HasAlert && err.Alert != want {
			return fmt.Sprintf("refused %s with the alert %v; %s has %v", x.message, err.Alert, x.source, want)
		}
	}
	return ""
}
