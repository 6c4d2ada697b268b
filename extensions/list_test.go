package extensions_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"attls"
	"attls/extensions"
)

// block is a list of extensions of these types, each with the body that follows.
func block(list ...any) []byte {
	var b []byte
	for i := 0; i < len(list); i += 2 {
		b = extensions.Append(b, list[i].(attls.ExtensionType), list[i+1].([]byte))
	}
	return b
}

// TestParseList: a list is read as it is written, with the places of its bodies.
func TestParseList(t *testing.T) {
	const own = attls.ExtensionType(0xff80)
	b := block(attls.ExtServerName, []byte("name"), attls.ExtPadding, []byte{}, own, []byte{1, 2})
	list, err := extensions.ParseList(nil, b, 10)
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for i, want := range []extensions.Extension{{Type: attls.ExtServerName, Body: []byte("name"), Offset: 14}, {Type: attls.ExtPadding, Body: nil, Offset: 22}, {Type: own, Body: []byte{1, 2}, Offset: 26}} {
		if list[i].Type != want.Type || !bytes.Equal(list[i].Body, want.Body) || list[i].Offset != want.Offset {
			t.Errorf("%d: %+v, not %+v", i, list[i], want)
		}
	}
	if whole := extensions.AppendList(nil, list); !bytes.Equal(whole, append([]byte{0, byte(len(b))}, b...)) {
		t.Errorf("%x", whole)
	}
	if body, ok := list.Get(own); !ok || !bytes.Equal(body, []byte{1, 2}) {
		t.Errorf("%x, %v", body, ok)
	}
	if x, ok := list.Find(attls.ExtALPN); ok {
		t.Errorf("%+v", x)
	}
	if body, ok := list.Get(attls.ExtALPN); ok || body != nil {
		t.Errorf("%x", body)
	}
	more, err := extensions.ParseList(list, block(attls.ExtServerName, []byte("in another message")), 0)
	if err != nil || len(more) != 4 {
		t.Errorf("%d, %v", len(more), err)
	}
	if none, err := extensions.ParseList(nil, nil, 0); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}

// TestBrokenLists: what is not a list of extensions, and where it is not.
func TestBrokenLists(t *testing.T) {
	many := func(n int, last attls.ExtensionType) []byte {
		var b []byte
		for i := range n {
			b = extensions.Append(b, attls.ExtensionType(0x4000+i), nil)
		}
		return extensions.Append(b, last, nil)
	}
	for name, test := range map[string]struct {
		octets  []byte
		failure attls.Failure
		offset  int
	}{
		"a header of three octets":              {[]byte{0, 0, 0}, attls.FailDecode, 100},
		"a body that is too short":              {[]byte{0, 0, 0, 3, 1, 2}, attls.FailDecode, 102},
		"a second header that is cut off":       {append(block(attls.ExtPadding, []byte{0}), 0), attls.FailDecode, 105},
		"one of the first types twice":          {block(attls.ExtALPN, []byte{}, attls.ExtPadding, []byte{}, attls.ExtALPN, []byte{}), attls.FailDuplicateExtension, 108},
		"a type between 64 and 127 twice":       {block(attls.ExtensionType(100), []byte{}, attls.ExtensionType(100), []byte{}), attls.FailDuplicateExtension, 104},
		"a large type twice among few":          {many(3, 0x4001), attls.FailDuplicateExtension, 112},
		"a large type twice among many":         {many(40, 0x4001), attls.FailDuplicateExtension, 260},
		"a large type twice, late, among many":  {many(40, 0x4026), attls.FailDuplicateExtension, 260},
		"many large types, none of them twice":  {many(40, 0x5000), "", 0},
		"types that differ in the higher octet": {block(attls.ExtensionType(1), []byte{}, attls.ExtensionType(0x101), []byte{}, attls.ExtensionType(65), []byte{}), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := extensions.ParseList(nil, test.octets, 100)
			switch {
			case test.failure == "" && err != nil, test.failure != "" && (err == nil || err.Failure != test.failure || err.Offset != test.offset):
				t.Errorf("%+v; want %q at %d", err, test.failure, test.offset)
			}
		})
	}
}

// check is what the table says of extensions of these types in a message, after what was
// sent before.
func check(t *testing.T, table *extensions.Table, kind attls.MessageKind, sender attls.Role, entry int, after bool, sent []attls.ExtensionType, by attls.MessageKind, types ...attls.ExtensionType) attls.Failure {
	t.Helper()
	var s extensions.Sent
	for _, x := range sent {
		s.Add(sender.Peer(), by, x)
	}
	var b []byte
	for _, x := range types {
		b = extensions.Append(b, x, nil)
	}
	list, err := extensions.ParseList(nil, b, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Check(kind, sender, entry, after, list, &s); err != nil {
		if err.Message != kind {
			t.Errorf("the error names the message %v: %v", err.Message, err)
		}
		return err.Failure
	}
	return ""
}

// TestPlacement: which extension may stand where, and what must have been offered for it
// (RFC 8446 section 4.2).
func TestPlacement(t *testing.T) {
	type types = []attls.ExtensionType
	const client, server = attls.RoleClient, attls.RoleServer
	const unknown = attls.ExtensionType(0x1234)
	for name, test := range map[string]struct {
		kind   attls.MessageKind
		sender attls.Role
		sent   types // before, in by
		by     attls.MessageKind
		types  types
		want   attls.Failure
	}{
		"a ClientHello":                                    {attls.KindClientHello, client, nil, 0, types{attls.ExtSupportedVersions, attls.ExtKeyShare, unknown, attls.ExtPreSharedKey}, ""},
		"pre_shared_key that is not the last":              {attls.KindClientHello, client, nil, 0, types{attls.ExtPreSharedKey, attls.ExtKeyShare}, attls.FailIllegalParameter},
		"oid_filters in ClientHello":                       {attls.KindClientHello, client, nil, 0, types{attls.ExtOIDFilters}, attls.FailWrongMessage},
		"a ServerHello":                                    {attls.KindServerHello, server, types{attls.ExtSupportedVersions, attls.ExtKeyShare}, attls.KindClientHello, types{attls.ExtSupportedVersions, attls.ExtKeyShare}, ""},
		"a share that was not offered":                     {attls.KindServerHello, server, types{attls.ExtSupportedVersions}, attls.KindClientHello, types{attls.ExtKeyShare}, attls.FailUnsolicited},
		"ALPN in ServerHello":                              {attls.KindServerHello, server, types{attls.ExtALPN}, attls.KindClientHello, types{attls.ExtALPN}, attls.FailWrongMessage},
		"an unknown answer":                                {attls.KindServerHello, server, nil, attls.KindClientHello, types{unknown}, attls.FailUnsolicited},
		"an unknown answer to an unknown offer":            {attls.KindEncryptedExtensions, server, types{unknown}, attls.KindClientHello, types{unknown}, ""},
		"a cookie, which nobody offers":                    {attls.KindHelloRetryRequest, server, nil, attls.KindClientHello, types{attls.ExtCookie}, ""},
		"an unknown extension in HelloRetryRequest":        {attls.KindHelloRetryRequest, server, nil, attls.KindClientHello, types{unknown}, attls.FailUnsolicited},
		"ALPN that was offered":                            {attls.KindEncryptedExtensions, server, types{attls.ExtALPN}, attls.KindClientHello, types{attls.ExtALPN}, ""},
		"ALPN that was not offered":                        {attls.KindEncryptedExtensions, server, nil, attls.KindClientHello, types{attls.ExtALPN}, attls.FailUnsolicited},
		"key_share in EncryptedExtensions":                 {attls.KindEncryptedExtensions, server, types{attls.ExtKeyShare}, attls.KindClientHello, types{attls.ExtKeyShare}, attls.FailWrongMessage},
		"a CertificateRequest":                             {attls.KindCertificateRequest, server, nil, 0, types{attls.ExtSignatureAlgorithms, attls.ExtOIDFilters, unknown}, ""},
		"key_share in CertificateRequest":                  {attls.KindCertificateRequest, server, nil, 0, types{attls.ExtKeyShare}, attls.FailWrongMessage},
		"a status of a server that was asked for":          {attls.KindCertificate, server, types{attls.ExtStatusRequest}, attls.KindClientHello, types{attls.ExtStatusRequest}, ""},
		"a status of a server that was not asked for":      {attls.KindCertificate, server, nil, attls.KindClientHello, types{attls.ExtStatusRequest}, attls.FailUnsolicited},
		"a status of a client that was asked for":          {attls.KindCertificate, client, types{attls.ExtStatusRequest}, attls.KindCertificateRequest, types{attls.ExtStatusRequest}, ""},
		"a status of a client, asked for in another way":   {attls.KindCertificate, client, types{attls.ExtStatusRequest}, attls.KindServerHello, types{attls.ExtStatusRequest}, attls.FailUnsolicited},
		"an unknown extension of a certificate":            {attls.KindCertificate, server, nil, attls.KindClientHello, types{unknown}, attls.FailUnsolicited},
		"a ClientCertificateRequest":                       {attls.KindClientCertificateRequest, client, nil, 0, types{attls.ExtSignatureAlgorithms, attls.ExtServerName, unknown}, ""},
		"server_name in CertificateRequest":                {attls.KindCertificateRequest, server, nil, 0, types{attls.ExtServerName}, attls.FailWrongMessage},
		"key_share in ClientCertificateRequest":            {attls.KindClientCertificateRequest, client, nil, 0, types{attls.ExtKeyShare}, attls.FailWrongMessage},
		"a status that an authenticator was asked for":     {attls.KindCertificate, server, types{attls.ExtStatusRequest}, attls.KindClientCertificateRequest, types{attls.ExtStatusRequest}, ""},
		"an unknown extension that a server was asked for": {attls.KindCertificate, server, types{unknown}, attls.KindClientCertificateRequest, types{unknown}, ""},
		"an unknown extension that a client was asked for": {attls.KindCertificate, client, types{unknown}, attls.KindCertificateRequest, types{unknown}, ""},
		"a ticket with early data":                         {attls.KindNewSessionTicket, server, nil, 0, types{attls.ExtEarlyData, unknown}, ""},
		"a ticket with a key share":                        {attls.KindNewSessionTicket, server, nil, 0, types{attls.ExtKeyShare}, attls.FailWrongMessage},
	} {
		t.Run(name, func(t *testing.T) {
			if got := check(t, extensions.RFC8446(), test.kind, test.sender, 0, false, test.sent, test.by, test.types...); got != test.want {
				t.Errorf("%q, not %q", got, test.want)
			}
		})
	}
}

// TestProfilePlacement: a table with the extension of a profile enforces its entry and its
// moment, and no number is given twice.
func TestProfilePlacement(t *testing.T) {
	const own = attls.ExtensionType(0xff80)
	offer := []extensions.Offer{{Message: attls.KindClientHello, Extension: own}}
	row := extensions.Row{Type: own, Name: "attestation", Placements: []extensions.Placement{
		{Message: attls.KindClientHello},
		{Message: attls.KindCertificate, Entries: extensions.EntriesFirst, OfferedBy: [2][]extensions.Offer{attls.RoleServer: offer}},
		{Message: attls.KindEncryptedExtensions, Unsolicited: true, OfferedBy: [2][]extensions.Offer{attls.RoleServer: offer}},
		{Message: attls.KindCertificateRequest, PostHandshake: true, OfferedBy: [2][]extensions.Offer{attls.RoleServer: offer}},
	}}
	table, err := extensions.RFC8446().With(row)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := table.Lookup(own); !ok || r.Name != "attestation" {
		t.Errorf("%+v, %v", r, ok)
	}
	if _, ok := extensions.RFC8446().Lookup(own); ok {
		t.Error("the table itself has changed")
	}
	for _, taken := range []attls.ExtensionType{own, attls.ExtALPN} {
		if _, err := table.With(extensions.Row{Type: taken, Name: "another"}); err == nil {
			t.Errorf("the number %d is given twice", taken)
		}
	}
	for name, test := range map[string]struct {
		kind    attls.MessageKind
		entry   int
		after   bool
		offered bool
		want    attls.Failure
	}{
		"in the first entry":                         {attls.KindCertificate, 0, false, true, ""},
		"in the second entry":                        {attls.KindCertificate, 1, false, true, attls.FailMisplaced},
		"in the first entry, and nobody offered it":  {attls.KindCertificate, 0, false, false, attls.FailUnsolicited},
		"after the handshake, where it may not be":   {attls.KindCertificate, 0, true, true, attls.FailWrongMessage},
		"after the handshake, where it may be":       {attls.KindCertificateRequest, 0, true, true, ""},
		"in a request that answers nothing":          {attls.KindCertificateRequest, 0, false, false, ""},
		"where it is accepted though nobody offered": {attls.KindEncryptedExtensions, 0, false, false, ""},
		"in a message that it does not belong to":    {attls.KindServerHello, 0, false, true, attls.FailWrongMessage},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []attls.ExtensionType
			if test.offered {
				sent = append(sent, own)
			}
			if got := check(t, table, test.kind, attls.RoleServer, test.entry, test.after, sent, attls.KindClientHello, own); got != test.want {
				t.Errorf("%q, not %q", got, test.want)
			}
		})
	}
}

// TestSent: what was sent is remembered by role and message, once.
func TestSent(t *testing.T) {
	var s extensions.Sent
	s.Add(attls.RoleClient, attls.KindClientHello, attls.ExtALPN)
	s.Add(attls.RoleClient, attls.KindClientHello, attls.ExtALPN)
	c := s.Clone()
	c.Add(attls.RoleServer, attls.KindEncryptedExtensions, attls.ExtALPN)
	for name, test := range map[string]struct{ got, want bool }{
		"what was sent":       {s.Has(attls.RoleClient, attls.KindClientHello, attls.ExtALPN), true},
		"by the other role":   {s.Has(attls.RoleServer, attls.KindClientHello, attls.ExtALPN), false},
		"in another message":  {s.Has(attls.RoleClient, attls.KindCertificate, attls.ExtALPN), false},
		"another extension":   {s.Has(attls.RoleClient, attls.KindClientHello, attls.ExtCookie), false},
		"what the copy adds":  {c.Has(attls.RoleServer, attls.KindEncryptedExtensions, attls.ExtALPN), true},
		"and the original":    {s.Has(attls.RoleServer, attls.KindEncryptedExtensions, attls.ExtALPN), false},
		"what the copy keeps": {c.Has(attls.RoleClient, attls.KindClientHello, attls.ExtALPN), true},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v", name, test.got)
		}
	}
}

// must is a body that was parsed without an error.
func must[T any](t *testing.T) func(T, *attls.Error) T {
	return func(v T, err *attls.Error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestAppend: what is written is read again, octet for octet.
func TestAppend(t *testing.T) {
	groups := []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1}
	list := must[extensions.Uint16s](t)(extensions.ParseSupportedGroups(extensions.AppendUint16s(nil, groups)))
	if list.Len() != 2 || attls.NamedGroup(list.At(0)) != groups[0] || !list.Contains(uint16(groups[1])) || list.Contains(99) {
		t.Errorf("groups %x", []byte(list))
	}
	if name := must[[]byte](t)(extensions.ParseServerName(extensions.AppendServerName(nil, "example.org"))); string(name) != "example.org" {
		t.Errorf("name %q", name)
	}
	protocols := must[extensions.ProtocolNames](t)(extensions.ParseALPN(extensions.AppendALPN(nil, []string{"h2", "http/1.1"})))
	var names []string
	for n := range protocols.All() {
		names = append(names, string(n))
	}
	if !slices.Equal(names, []string{"h2", "http/1.1"}) || !protocols.Contains("http/1.1") || protocols.Contains("http/1") {
		t.Errorf("protocols %q", names)
	}
	for range protocols.All() {
		break // a loop may end early
	}
	if got := must[[]byte](t)(extensions.ParseALPNSelected(extensions.AppendALPN(nil, []string{"h2"}))); string(got) != "h2" {
		t.Errorf("selected %q", got)
	}
	entries := extensions.AppendKeyShareEntry(extensions.AppendKeyShareEntry(nil, attls.GroupX25519, []byte{1}), attls.GroupSecp256r1, []byte{2, 3})
	shares := must[extensions.KeyShares](t)(extensions.ParseKeyShares(append([]byte{0, byte(len(entries))}, entries...)))
	if key, ok := shares.Find(attls.GroupSecp256r1); shares.Len() != 2 || !ok || !bytes.Equal(key, []byte{2, 3}) {
		t.Errorf("shares %x", []byte(shares))
	}
	if _, ok := shares.Find(attls.GroupSecp384r1); ok {
		t.Error("there is a share of another group")
	}
	for range shares.All() {
		break
	}
	one := must[extensions.KeyShareEntry](t)(extensions.ParseKeyShareEntry(entries[:5]))
	if one.Group != attls.GroupX25519 || !bytes.Equal(one.Key, []byte{1}) {
		t.Errorf("%+v", one)
	}
	if cookie := must[[]byte](t)(extensions.ParseCookie(extensions.AppendCookie(nil, []byte("cookie")))); string(cookie) != "cookie" {
		t.Errorf("cookie %q", cookie)
	}
	if n := must[uint16](t)(extensions.ParseRecordSizeLimit(extensions.AppendRecordSizeLimit(nil, 512))); n != 512 {
		t.Errorf("limit %d", n)
	}
	authorities := must[extensions.Vectors16](t)(extensions.ParseCertificateAuthorities(extensions.AppendCertificateAuthorities(nil, [][]byte{{0x30, 0}, {0x30, 1, 0}})))
	var count int
	for range authorities.All() {
		count++
	}
	for range authorities.All() {
		break
	}
	if count != 2 {
		t.Errorf("%d authorities", count)
	}
	modes := must[[]byte](t)(extensions.ParsePSKKeyExchangeModes(extensions.AppendPSKKeyExchangeModes(nil, []attls.PSKKeyExchangeMode{attls.PSKWithDHE, attls.PSKOnly})))
	if !bytes.Equal(modes, []byte{1, 0}) {
		t.Errorf("modes %x", modes)
	}
	if err := extensions.ParseStatusRequest(extensions.AppendStatusRequest(nil)); err != nil {
		t.Error(err)
	}
	if response := must[[]byte](t)(extensions.ParseCertificateStatus(extensions.AppendCertificateStatus(nil, []byte("response")))); string(response) != "response" {
		t.Errorf("response %q", response)
	}
	body, n := extensions.AppendPreSharedKeyOffer(nil, []extensions.PSKIdentity{{Identity: []byte("one"), ObfuscatedTicketAge: 0x01020304}, {Identity: []byte("two")}}, []int{32, 48})
	offer := must[extensions.PSKOffer](t)(extensions.ParsePreSharedKeyOffer(body))
	if n != offer.BindersLen || n != 2+33+49 || len(offer.Identities) != 2 || len(offer.Binders[1]) != 48 || offer.Identities[0].ObfuscatedTicketAge != 0x01020304 || string(offer.Identities[1].Identity) != "two" {
		t.Errorf("%d, %+v", n, offer)
	}
}

// TestBrokenBodies: what the generated bodies of the grammar test do not hold: rules that
// the grammar cannot express, and bodies of other RFCs, cut off at every octet and with
// one octet more.
func TestBrokenBodies(t *testing.T) {
	status := func(b []byte) error { return plain(extensions.ParseStatusRequest(b)) }
	response := func(b []byte) error { _, err := extensions.ParseCertificateStatus(b); return plain(err) }
	sct := func(b []byte) error { return plain(extensions.ParseSCTList(b)) }
	algorithms := func(b []byte) error { _, err := extensions.ParseCompressionAlgorithms(b); return plain(err) }
	shares := func(b []byte) error { _, err := extensions.ParseKeyShares(b); return plain(err) }
	selected := func(b []byte) error { _, err := extensions.ParseALPNSelected(b); return plain(err) }
	name := func(b []byte) error { _, err := extensions.ParseServerName(b); return plain(err) }
	limit := func(b []byte) error { _, err := extensions.ParseRecordSizeLimit(b); return plain(err) }
	psk := func(b []byte) error { _, err := extensions.ParsePreSharedKeyOffer(b); return plain(err) }
	types := func(b []byte) error { _, err := extensions.ParseCertificateTypes(b); return plain(err) }
	one := func(b []byte) error { _, err := extensions.ParseCertificateType(b); return plain(err) }
	early := func(b []byte) error { _, err := extensions.ParseEarlyDataMax(b); return plain(err) }
	tickets := func(b []byte) error { _, err := extensions.ParseTicketRequest(b); return plain(err) }
	expected := func(b []byte) error { _, err := extensions.ParseTicketRequestHint(b); return plain(err) }
	flags := func(b []byte) error { _, err := extensions.ParseTLSFlags(b); return plain(err) }
	empty := func(b []byte) error { return plain(extensions.ParseEmpty(b)) }
	offer, _ := extensions.AppendPreSharedKeyOffer(nil, []extensions.PSKIdentity{{Identity: []byte("one")}}, []int{32})
	twoBinders, _ := extensions.AppendPreSharedKeyOffer(nil, []extensions.PSKIdentity{{Identity: []byte("one")}}, []int{32, 32})
	for _, test := range []struct {
		name  string
		parse func([]byte) error
		good  []byte   // in which every octet counts
		bad   [][]byte // as well
	}{
		{"status_request", status, []byte{1, 0, 0, 0, 0}, nil},
		{"status_request with wishes", status, []byte{1, 0, 3, 0, 1, 'r', 0, 1, 'x'}, nil},
		{"status_request of an answer", response, []byte{1, 0, 0, 2, 'o', 'k'}, [][]byte{{2, 0, 0, 1, 'x'}, {1, 0, 0, 0}}},
		{"signed_certificate_timestamp", sct, []byte{0, 6, 0, 1, 'a', 0, 1, 'b'}, [][]byte{{0, 0}, {0, 2, 0, 0}, {0, 3, 0, 2, 'a'}}},
		{"compress_certificate", algorithms, []byte{4, 0, 1, 0, 2}, [][]byte{{0}, {3, 0, 1, 0}, {4, 0, 1, 0, 1}}},
		{"key_share", shares, []byte{0, 10, 0, 29, 0, 1, 'a', 0, 23, 0, 1, 'b'}, [][]byte{{0, 10, 0, 29, 0, 1, 'a', 0, 29, 0, 1, 'b'}, {0, 4, 0, 29, 0, 0}, {0, 1, 0}}},
		{"application_layer_protocol_negotiation of an answer", selected, []byte{0, 3, 2, 'h', '2'}, [][]byte{{0, 4, 1, 'a', 1, 'b'}, {0, 1, 0}, {0, 0}}},
		{"server_name", name, []byte{0, 4, 0, 0, 1, 'a'}, [][]byte{{0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'}, {0, 4, 0, 0, 1, 0}, {0, 0}, {0, 3, 0, 0, 0}}},
		{"record_size_limit", limit, []byte{0, 64}, [][]byte{{0, 63}}},
		{"pre_shared_key", psk, offer, [][]byte{twoBinders}},
		{"certificate_types", types, []byte{2, 2, 0}, [][]byte{{0}}},
		{"certificate_type", one, []byte{2}, nil},
		{"ticket_request", tickets, []byte{1, 2}, nil},
		{"ticket_request of an answer", expected, []byte{3}, nil},
		{"tls_flags", flags, []byte{2, 0, 1}, [][]byte{{0}, {1, 0}}},
		{"early_data of a ticket", early, []byte{0, 0, 1, 0}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.parse(test.good); err != nil {
				t.Fatal(err)
			}
			for n := range test.good {
				if test.parse(test.good[:n:n]) == nil {
					t.Errorf("its first %d octets are accepted", n)
				}
			}
			if test.parse(append(bytes.Clone(test.good), 0)) == nil {
				t.Error("an octet behind it is accepted")
			}
			for _, b := range test.bad {
				if test.parse(b) == nil {
					t.Errorf("%x is accepted", b)
				}
			}
		})
	}
	if err := empty(nil); err != nil {
		t.Error(err)
	}
	if empty([]byte{0}) == nil {
		t.Error("a body that must be empty has an octet")
	}
	if err := status([]byte{9, 1, 2, 3}); err != nil {
		t.Errorf("a status of another type: %v", err)
	}
	other, err := extensions.ParseServerName([]byte{0, 8, 7, 0, 1, 'x', 0, 0, 1, 'a'})
	if err != nil || string(other) != "a" {
		t.Errorf("a name of another type before it: %q, %v", other, err)
	}
}

// plain is an error that may be compared with nil.
func plain(err *attls.Error) error {
	if err == nil {
		return nil
	}
	return err
}

// TestManyShares: the number of shares has no other bound than the extension's length
// (RFC 8446 section 4.2.8).
func TestManyShares(t *testing.T) {
	var entries []byte
	const n = 1000
	for i := range n {
		entries = extensions.AppendKeyShareEntry(entries, attls.NamedGroup(0x4000+i), []byte{byte(i)})
	}
	body := append(binary.BigEndian.AppendUint16(nil, uint16(len(entries))), entries...)
	shares, err := extensions.ParseKeyShares(body)
	if err != nil || shares.Len() != n {
		t.Fatalf("%d shares, %v", shares.Len(), err)
	}
	copy(body[len(body)-5:], []byte{0x40, 0x07})
	if _, err := extensions.ParseKeyShares(body); err == nil || err.Failure != attls.FailIllegalParameter {
		t.Errorf("the same group twice among %d: %v", n, err)
	}
}
