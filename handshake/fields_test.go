package handshake_test

import (
	"fmt"
	"slices"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
)

// without removes an extension.
func without(x attls.ExtensionType) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		return slices.DeleteFunc(slices.Clone(l), func(e extensions.Extension) bool { return e.Type == x })
	}
}

// body gives an extension another body, adding it where it is not there.
func body(x attls.ExtensionType, b ...byte) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List { return with(x, b)(without(x)(l)) }
}

// inPlace gives an extension another body in the place that it has.
func inPlace(x attls.ExtensionType, b ...byte) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		for i := range l {
			if l[i].Type == x {
				l[i].Body = b
			}
		}
		return l
	}
}

// clientHello changes fields of a ClientHello.
func clientHello(edit func(*message.ClientHello)) func(*message.Raw, *handshake.Plan) {
	return func(m *message.Raw, p *handshake.Plan) {
		var v message.ClientHello
		if err := v.Unmarshal(m.Body()); err != nil {
			panic(err)
		}
		edit(&v)
		p.Replace = v.Append(nil)
	}
}

// serverHello changes fields of a ServerHello or HelloRetryRequest.
func serverHello(edit func(*message.ServerHello)) func(*message.Raw, *handshake.Plan) {
	return func(m *message.Raw, p *handshake.Plan) {
		var v message.ServerHello
		if err := v.Unmarshal(m.Body()); err != nil {
			panic(err)
		}
		edit(&v)
		p.Replace = v.Append(nil)
	}
}

func certificateMessage(edit func(*message.Certificate)) func(*message.Raw, *handshake.Plan) {
	return func(m *message.Raw, p *handshake.Plan) {
		var v message.Certificate
		if err := v.Unmarshal(m.Body()); err != nil {
			panic(err)
		}
		edit(&v)
		p.Replace = v.Append(nil)
	}
}

func certificateVerify(edit func(*message.CertificateVerify)) func(*message.Raw, *handshake.Plan) {
	return func(m *message.Raw, p *handshake.Plan) {
		var v message.CertificateVerify
		if err := v.Unmarshal(m.Body()); err != nil {
			panic(err)
		}
		edit(&v)
		p.Replace = v.Append(nil)
	}
}

func flipLast(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

type fieldTest struct {
	name string
	at   at
	plan func(*message.Raw, *handshake.Plan)
	want outcome
	// options, when not nil, take the place of the defaults of the list.
	options func(func(client, server *handshake.Config)) pair.Options
}

func runFieldTests(t *testing.T, options func(func(client, server *handshake.Config)) pair.Options, tests []fieldTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(fmt.Sprintf("%v/%s", test.at.kind, test.name), func(t *testing.T) {
			o := options
			if test.options != nil {
				o = test.options
			}
			disturb(t, o(nil), test.at, test.plan, test.want)
		})
	}
}

func illegal(kind attls.MessageKind, field string) outcome {
	return outcome{attls.FailIllegalParameter, attls.AlertIllegalParameter, kind, field}
}

func absent(kind attls.MessageKind, x attls.ExtensionType) outcome {
	return outcome{attls.FailMissingExtension, attls.AlertMissingExtension, kind, "extensions." + x.String()}
}

func version(kind attls.MessageKind, field string) outcome {
	return outcome{attls.FailVersion, attls.AlertProtocolVersion, kind, field}
}

// TestClientHelloFields is RFC 8446 sections 4.1.2, 4.2 and 9.2 at a server.
func TestClientHelloFields(t *testing.T) {
	const k = attls.KindClientHello
	first := at{attls.RoleClient, k, 0}
	ext := func(name string, edit func(extensions.List) extensions.List, want outcome) fieldTest {
		return fieldTest{name: name, at: first, plan: editExtensions(t, edit), want: want}
	}
	field := func(name string, edit func(*message.ClientHello), want outcome) fieldTest {
		return fieldTest{name: name, at: first, plan: clientHello(edit), want: want}
	}
	tests := []fieldTest{
		field("legacy_version TLS 1.3", func(m *message.ClientHello) { m.LegacyVersion = 0x0304 }, version(k, "legacy_version")),
		field("legacy_version TLS 1.1", func(m *message.ClientHello) { m.LegacyVersion = 0x0302 }, version(k, "legacy_version")),
		field("compression methods", func(m *message.ClientHello) { m.CompressionMethods = []byte{0, 1} }, illegal(k, "legacy_compression_methods")),
		field("another compression method", func(m *message.ClientHello) { m.CompressionMethods = []byte{1} }, illegal(k, "legacy_compression_methods")),
		field("no compression method", func(m *message.ClientHello) { m.CompressionMethods = nil },
			outcome{attls.FailDecode, attls.AlertDecodeError, k, "legacy_compression_methods"}),
		field("session id of 33 octets", func(m *message.ClientHello) { m.SessionID = make([]byte, 33) },
			outcome{attls.FailDecode, attls.AlertDecodeError, k, "legacy_session_id"}),
		field("no suite", func(m *message.ClientHello) { m.CipherSuites = nil }, outcome{attls.FailDecode, attls.AlertDecodeError, k, "cipher_suites"}),
		field("half a suite", func(m *message.ClientHello) { m.CipherSuites = []byte{0x13, 0x01, 0x13} },
			outcome{attls.FailDecode, attls.AlertDecodeError, k, "cipher_suites"}),
		field("unknown suites only", func(m *message.ClientHello) { m.CipherSuites = []byte{0x0a, 0x0a, 0xc0, 0x2b} },
			outcome{attls.FailSuite, attls.AlertHandshakeFailure, k, "cipher_suites"}),
		field("no extensions", func(m *message.ClientHello) { m.NoExtensions = true }, version(k, "legacy_version")),
		ext("no supported_versions", without(attls.ExtSupportedVersions), version(k, "legacy_version")),
		ext("TLS 1.2 only", inPlace(attls.ExtSupportedVersions, 2, 3, 3), version(k, "supported_versions")),
		ext("an odd list of versions", inPlace(attls.ExtSupportedVersions, 3, 3, 4, 3),
			outcome{attls.FailDecode, attls.AlertDecodeError, k, "supported_versions"}),
		ext("no supported_groups", without(attls.ExtSupportedGroups), absent(k, attls.ExtSupportedGroups)),
		ext("no key_share", without(attls.ExtKeyShare), absent(k, attls.ExtKeyShare)),
		ext("no signature_algorithms", without(attls.ExtSignatureAlgorithms), absent(k, attls.ExtSignatureAlgorithms)),
		ext("unknown groups only", func(l extensions.List) extensions.List {
			return inPlace(attls.ExtKeyShare, 0, 0)(inPlace(attls.ExtSupportedGroups, 0, 4, 0x0a, 0x0a, 0x01, 0x00)(l))
		}, outcome{attls.FailGroup, attls.AlertHandshakeFailure, k, "supported_groups"}),
		ext("share of a group not listed", inPlace(attls.ExtSupportedGroups, 0, 2, 0, 0x1d), illegal(k, "key_share")),
		ext("two shares of a group", func(l extensions.List) extensions.List {
			b, _ := l.Get(attls.ExtKeyShare)
			twice := append(slices.Clone(b), b[2:]...)
			twice[0], twice[1] = byte((len(twice)-2)>>8), byte(len(twice)-2)
			return inPlace(attls.ExtKeyShare, twice...)(l)
		}, illegal(k, "key_share")),
		ext("point not on the curve", func(l extensions.List) extensions.List {
			b, _ := l.Get(attls.ExtKeyShare)
			return inPlace(attls.ExtKeyShare, flipLast(b)...)(l)
		}, illegal(k, "key_share")),
		ext("empty server_name list", inPlace(attls.ExtServerName, 0, 0), outcome{attls.FailDecode, attls.AlertDecodeError, k, "server_name"}),
		ext("two host names", inPlace(attls.ExtServerName, 0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'), illegal(k, "server_name")),
		ext("no protocol in common", inPlace(attls.ExtALPN, 0, 3, 2, 'h', '3'),
			outcome{attls.FailALPN, attls.AlertNoApplicationProtocol, k, "application_layer_protocol_negotiation"}),
		ext("empty protocol name", inPlace(attls.ExtALPN, 0, 3, 0, 1, 'x'),
			outcome{attls.FailDecode, attls.AlertDecodeError, k, "application_layer_protocol_negotiation"}),
		ext("record_size_limit below 64", inPlace(attls.ExtRecordSizeLimit, 0, 63), illegal(k, "record_size_limit")),
		ext("no signature scheme in common", inPlace(attls.ExtSignatureAlgorithms, 0, 2, 8, 4),
			outcome{attls.FailSignatureScheme, attls.AlertHandshakeFailure, attls.KindNone, ""}),
		ext("pre_shared_key not last", body(attls.ExtPreSharedKey), illegal(k, "pre_shared_key")),
		// What must be tolerated (RFC 8701, RFC 8446 section 9.3).
		ext("GREASE", func(l extensions.List) extensions.List {
			l = inPlace(attls.ExtSupportedVersions, 4, 0x7a, 0x7a, 3, 4)(l)
			l = inPlace(attls.ExtSupportedGroups, 0, 6, 0x1a, 0x1a, 0, 0x1d, 0, 0x17)(l)
			b, _ := l.Get(attls.ExtKeyShare)
			shares := append([]byte{0, byte(len(b) - 2 + 5), 0x1a, 0x1a, 0, 1, 0}, b[2:]...)
			l = inPlace(attls.ExtKeyShare, shares...)(l)
			l = with(0x2a2a, nil)(l)
			return append(l, extensions.Extension{Type: 0x3a3a, Body: []byte{0}})
		}, outcome{}),
		field("GREASE among suites", func(m *message.ClientHello) { m.CipherSuites = append([]byte{0x8a, 0x8a}, m.CipherSuites...) }, outcome{}),
		ext("psk_key_exchange_modes without a PSK", body(attls.ExtPSKKeyExchangeModes, 1, 1), outcome{}),
		ext("server_name of another type only", inPlace(attls.ExtServerName, 0, 4, 7, 0, 1, 'a'), outcome{}),
	}
	runFieldTests(t, direct, tests)
}

// TestServerHelloFields is RFC 8446 sections 4.1.3, 4.1.4 and 4.2 at a client.
func TestServerHelloFields(t *testing.T) {
	sh := at{attls.RoleServer, attls.KindServerHello, 0}
	hrr := at{attls.RoleServer, attls.KindHelloRetryRequest, 0}
	ext := func(a at, name string, edit func(extensions.List) extensions.List, want outcome) fieldTest {
		want.message = a.kind
		return fieldTest{name: name, at: a, plan: editExtensions(t, edit), want: want}
	}
	field := func(a at, name string, edit func(*message.ServerHello), want outcome) fieldTest {
		want.message = a.kind
		return fieldTest{name: name, at: a, plan: serverHello(edit), want: want}
	}
	var tests []fieldTest
	for _, a := range []at{sh, hrr} {
		k := a.kind
		tests = append(tests,
			field(a, "legacy_version", func(m *message.ServerHello) { m.LegacyVersion = 0x0304 }, version(k, "legacy_version")),
			field(a, "session id", func(m *message.ServerHello) { m.SessionID = flipLast(m.SessionID) }, illegal(k, "legacy_session_id_echo")),
			field(a, "no session id", func(m *message.ServerHello) { m.SessionID = nil }, illegal(k, "legacy_session_id_echo")),
			field(a, "compression method", func(m *message.ServerHello) { m.CompressionMethod = 1 }, illegal(k, "legacy_compression_method")),
			field(a, "suite that nobody offered", func(m *message.ServerHello) { m.CipherSuite = 0x1304 }, illegal(k, "cipher_suite")),
			ext(a, "TLS 1.2 in supported_versions", inPlace(attls.ExtSupportedVersions, 3, 3), illegal(k, "supported_versions")),
			ext(a, "a version not offered", inPlace(attls.ExtSupportedVersions, 3, 5), illegal(k, "supported_versions")),
		)
	}
	tests = append(tests,
		field(sh, "another suite than HelloRetryRequest", func(m *message.ServerHello) { m.CipherSuite = attls.TLS_AES_256_GCM_SHA384 }, illegal(sh.kind, "cipher_suite")),
		ext(sh, "no supported_versions", without(attls.ExtSupportedVersions), version(sh.kind, "legacy_version")),
		field(sh, "no extensions", func(m *message.ServerHello) { m.NoExtensions = true }, version(sh.kind, "legacy_version")),
		field(sh, "TLS 1.2 with the sentinel", func(m *message.ServerHello) {
			m.NoExtensions, m.Random = true, append(slices.Clone(m.Random[:24]), message.DowngradeTLS12[:]...)
		}, outcome{attls.FailDowngrade, attls.AlertIllegalParameter, sh.kind, "random"}),
		field(sh, "TLS 1.1 with the sentinel", func(m *message.ServerHello) {
			m.NoExtensions, m.Random, m.LegacyVersion = true, append(slices.Clone(m.Random[:24]), message.DowngradeTLS11[:]...), 0x0302
		}, outcome{attls.FailDowngrade, attls.AlertIllegalParameter, sh.kind, "random"}),
		ext(sh, "no key_share", without(attls.ExtKeyShare), absent(sh.kind, attls.ExtKeyShare)),
		ext(sh, "share of another group than HelloRetryRequest", inPlace(attls.ExtKeyShare, 0, 0x1d, 0, 1, 9), illegal(sh.kind, "key_share")),
		fieldTest{"share of a group without one", sh, editExtensions(t, inPlace(attls.ExtKeyShare, 0, 0x1d, 0, 1, 9)), illegal(sh.kind, "key_share"), direct},
		ext(sh, "point not on the curve", func(l extensions.List) extensions.List {
			b, _ := l.Get(attls.ExtKeyShare)
			return inPlace(attls.ExtKeyShare, flipLast(b)...)(l)
		}, illegal(sh.kind, "key_share")),
		ext(hrr, "no supported_versions", without(attls.ExtSupportedVersions), absent(hrr.kind, attls.ExtSupportedVersions)),
		ext(hrr, "a group not offered", inPlace(attls.ExtKeyShare, 0, 0x18), illegal(hrr.kind, "key_share")),
		ext(hrr, "a group with a share", inPlace(attls.ExtKeyShare, 0, 0x1d), illegal(hrr.kind, "key_share")),
		ext(hrr, "empty cookie", inPlace(attls.ExtCookie, 0, 0), outcome{attls.FailDecode, attls.AlertDecodeError, hrr.kind, "cookie"}),
		ext(hrr, "nothing to change", func(l extensions.List) extensions.List {
			return without(attls.ExtKeyShare)(without(attls.ExtCookie)(l))
		}, outcome{attls.FailRetryUnchanged, attls.AlertIllegalParameter, hrr.kind, ""}),
		fieldTest{name: "a second one", at: hrr, plan: func(m *message.Raw, p *handshake.Plan) { p.After = [][]byte{slices.Clone(m.Bytes)} },
			// The server cannot know yet how it goes on.
			want: outcome{attls.FailMessageBoundary, attls.AlertUnexpectedMessage, hrr.kind, ""}},
		fieldTest{name: "a second one in the place of ServerHello", at: at{attls.RoleServer, attls.KindServerHello, 0},
			plan: replace(func(b []byte) []byte { copy(b[6:], message.HelloRetryRequestRandom[:]); return b }),
			want: outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, hrr.kind, ""}},
	)
	runFieldTests(t, full, tests)
}

// TestEncryptedFields is RFC 8446 sections 4.3 and 4.4.
func TestEncryptedFields(t *testing.T) {
	ee := at{attls.RoleServer, attls.KindEncryptedExtensions, 0}
	cr := at{attls.RoleServer, attls.KindCertificateRequest, 0}
	serverCT, clientCT := at{attls.RoleServer, attls.KindCertificate, 0}, at{attls.RoleClient, attls.KindCertificate, 0}
	serverCV, clientCV := at{attls.RoleServer, attls.KindCertificateVerify, 0}, at{attls.RoleClient, attls.KindCertificateVerify, 0}
	serverFin, clientFin := at{attls.RoleServer, attls.KindFinished, 0}, at{attls.RoleClient, attls.KindFinished, 0}
	ext := func(a at, name string, edit func(extensions.List) extensions.List, want outcome) fieldTest {
		want.message = a.kind
		return fieldTest{name: name, at: a, plan: editExtensions(t, edit), want: want}
	}
	tests := []fieldTest{
		ext(ee, "protocol not offered", inPlace(attls.ExtALPN, 0, 3, 2, 'h', '3'), illegal(ee.kind, "application_layer_protocol_negotiation")),
		ext(ee, "two protocols", inPlace(attls.ExtALPN, 0, 9, 2, 'h', '2', 5, 'a', 't', 't', 'l', 's'),
			outcome{failure: attls.FailDecode, alert: attls.AlertDecodeError, field: "application_layer_protocol_negotiation"}),
		ext(ee, "server_name with a body", inPlace(attls.ExtServerName, 0), outcome{failure: attls.FailTrailing, alert: attls.AlertDecodeError, field: "server_name"}),
		ext(ee, "record_size_limit below 64", inPlace(attls.ExtRecordSizeLimit, 0, 63), illegal(ee.kind, "record_size_limit")),
		ext(ee, "nothing", func(extensions.List) extensions.List { return nil }, outcome{}),
		ext(cr, "no signature_algorithms", without(attls.ExtSignatureAlgorithms), absent(cr.kind, attls.ExtSignatureAlgorithms)),
		ext(cr, "no extensions", func(extensions.List) extensions.List { return nil }, absent(cr.kind, attls.ExtSignatureAlgorithms)),
		ext(cr, "GREASE", with(0x2a2a, []byte{1}), outcome{}),
		ext(cr, "oid_filters", body(attls.ExtOIDFilters, 0, 0), outcome{}),
		{name: "context", at: cr, plan: replace(func(b []byte) []byte { b[4] = 1; return fixLength(slices.Insert(b, 5, 7)) }),
			want: illegal(cr.kind, "certificate_request_context")},
	}
	for _, a := range []at{serverCT, clientCT} {
		tests = append(tests,
			fieldTest{name: "context of the " + a.sender.String(), at: a, plan: certificateMessage(func(m *message.Certificate) { m.Context = []byte{1} }),
				want: illegal(a.kind, "certificate_request_context")},
			fieldTest{name: "too many from the " + a.sender.String(), at: a, plan: certificateMessage(func(m *message.Certificate) {
				for len(m.Entries) < 101 {
					m.Entries = append(m.Entries, m.Entries[0])
				}
			}), want: outcome{attls.FailCapacity, attls.AlertInternalError, a.kind, "certificate_list"}},
			fieldTest{name: "21 from the " + a.sender.String(), at: a, plan: certificateMessage(func(m *message.Certificate) {
				for len(m.Entries) < 21 {
					m.Entries = append(m.Entries, m.Entries[0])
				}
			})},
			fieldTest{name: "no certificate data from the " + a.sender.String(), at: a, plan: certificateMessage(func(m *message.Certificate) { m.Entries[0].Data = nil }),
				want: outcome{attls.FailDecode, attls.AlertDecodeError, a.kind, "certificate_list[0].cert_data"}},
			fieldTest{name: "no X.509 from the " + a.sender.String(), at: a, plan: certificateMessage(func(m *message.Certificate) { m.Entries[0].Data = []byte{1, 2, 3} }),
				want: outcome{attls.FailBadCertificate, attls.AlertBadCertificate, a.kind, "certificate_list[0].cert_data"}},
		)
	}
	tests = append(tests,
		fieldTest{name: "empty from the server", at: serverCT, plan: certificateMessage(func(m *message.Certificate) { m.Entries = nil }),
			want: outcome{attls.FailDecode, attls.AlertDecodeError, serverCT.kind, "certificate_list"}},
		fieldTest{name: "empty from the client", at: clientCT, plan: certificateMessage(func(m *message.Certificate) { m.Entries = nil }),
			want: outcome{attls.FailCertificateRequired, attls.AlertCertificateRequired, clientCT.kind, ""}},
	)
	for _, a := range []at{serverCV, clientCV} {
		of := " of the " + a.sender.String()
		tests = append(tests,
			fieldTest{name: "wrong signature" + of, at: a, plan: certificateVerify(func(m *message.CertificateVerify) { m.Signature = flipLast(m.Signature) }),
				want: outcome{attls.FailSignature, attls.AlertDecryptError, a.kind, "signature"}},
			fieldTest{name: "empty signature" + of, at: a, plan: certificateVerify(func(m *message.CertificateVerify) { m.Signature = nil }),
				want: outcome{attls.FailSignature, attls.AlertDecryptError, a.kind, "signature"}},
			fieldTest{name: "scheme not offered" + of, at: a, plan: certificateVerify(func(m *message.CertificateVerify) { m.Scheme = 0x0401 }),
				want: illegal(a.kind, "algorithm")},
			fieldTest{name: "scheme of another key" + of, at: a, plan: certificateVerify(func(m *message.CertificateVerify) { m.Scheme = attls.ECDSA_SECP256R1_SHA256 }),
				want: illegal(a.kind, "algorithm")},
		)
	}
	for _, a := range []at{serverFin, clientFin} {
		tests = append(tests, fieldTest{name: "wrong MAC of the " + a.sender.String(), at: a, plan: replace(flipLast),
			want: outcome{attls.FailFinished, attls.AlertDecryptError, a.kind, "verify_data"}})
	}
	runFieldTests(t, full, tests)
}
