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

// greaseSent finds the reserved extension types in the first ClientHello.
func greaseSent(t *testing.T, w *watch) (list []attls.ExtensionType) {
	t.Helper()
	m := w.sent(t, attls.KindClientHello)
	var ch message.ClientHello
	if err := ch.Unmarshal(m.Body()); err != nil {
		t.Fatal(err)
	}
	for _, x := range ch.Extensions {
		if attls.Grease(uint16(x.Type)) {
			list = append(list, x.Type)
		}
	}
	return list
}

// TestGREASEReturned: a reserved value of the client's that a server puts into an
// answer ends the connection (RFC 8701 section 3.1), and one of the server's that a
// client puts into its own (section 4.1).
func TestGREASEReturned(t *testing.T) {
	grease := func(c, s *handshake.Config) { c.GREASE, s.GREASE = true, true }
	var w watch
	o := full(grease)
	o.Client.Tap = &w
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	own := greaseSent(t, &w) // the same in each run, as the client's octets depend on a name
	if len(own) != 2 {
		t.Fatalf("reserved types %v", own)
	}
	options := func(change func(c, s *handshake.Config)) pair.Options {
		return full(func(c, s *handshake.Config) {
			grease(c, s)
			if change != nil {
				change(c, s)
			}
		})
	}
	unsolicited := func(k attls.MessageKind) outcome {
		return outcome{attls.FailUnsolicited, attls.AlertUnsupportedExtension, k, "extensions"}
	}
	const reserved = 0x5a5a // of those that the client did not send
	var tests []fieldTest
	for _, a := range every {
		k := a.kind
		switch k {
		case attls.KindServerHello, attls.KindHelloRetryRequest, attls.KindEncryptedExtensions, attls.KindCertificate:
		default:
			continue
		}
		for _, x := range append(slices.Clone(own), reserved) {
			for _, b := range [][]byte{nil, {0}} {
				tests = append(tests, fieldTest{name: fmt.Sprintf("extension %v of %d octets of the %v", x, len(b), a.sender), at: a,
					plan: editExtensions(t, with(x, b)), want: unsolicited(k)})
			}
		}
	}
	sh, hrr := at{attls.RoleServer, attls.KindServerHello, 0}, at{attls.RoleServer, attls.KindHelloRetryRequest, 0}
	ee, cr := at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, at{attls.RoleServer, attls.KindCertificateRequest, 0}
	value := []byte{byte(own[0] >> 8), byte(own[0])}
	suite := func(m *message.ServerHello) { m.CipherSuite = attls.CipherSuite(own[0]) }
	tests = append(tests,
		fieldTest{name: "suite", at: sh, plan: serverHello(suite), want: illegal(sh.kind, "cipher_suite")},
		fieldTest{name: "suite", at: hrr, plan: serverHello(suite), want: illegal(hrr.kind, "cipher_suite")},
		fieldTest{name: "version", at: sh, plan: editExtensions(t, inPlace(attls.ExtSupportedVersions, value...)), want: illegal(sh.kind, "supported_versions")},
		fieldTest{name: "version", at: hrr, plan: editExtensions(t, inPlace(attls.ExtSupportedVersions, value...)), want: illegal(hrr.kind, "supported_versions")},
		fieldTest{name: "group", at: hrr, plan: editExtensions(t, inPlace(attls.ExtKeyShare, value...)), want: illegal(hrr.kind, "key_share")},
		fieldTest{name: "group", at: sh, plan: editExtensions(t, inPlace(attls.ExtKeyShare, append(slices.Clone(value), 0, 1, 0)...)), want: illegal(sh.kind, "key_share")},
		fieldTest{name: "protocol", at: ee, plan: editExtensions(t, inPlace(attls.ExtALPN, 0, 3, 2, value[0], value[1])), want: illegal(ee.kind, "application_layer_protocol_negotiation")},
		fieldTest{name: "protocol that the client lists", at: ee, plan: editExtensions(t, inPlace(attls.ExtALPN, 0, 3, 2, 0x8a, 0x8a)),
			want: illegal(ee.kind, "application_layer_protocol_negotiation"), options: func(change func(c, s *handshake.Config)) pair.Options {
				return options(func(c, s *handshake.Config) { c.ALPN = append(slices.Clone(c.ALPN), "\x8a\x8a") })
			}},
		// What a server sends of itself is ignored.
		fieldTest{name: "extension of the client's", at: cr, plan: editExtensions(t, with(own[0], []byte{1, 2})), want: outcome{}},
		fieldTest{name: "signature scheme", at: cr, plan: editExtensions(t, func(l extensions.List) extensions.List {
			b, _ := l.Get(attls.ExtSignatureAlgorithms)
			return inPlace(attls.ExtSignatureAlgorithms, slices.Concat([]byte{b[0], b[1] + 2}, value, b[2:])...)(l)
		}), want: outcome{}},
	)
	for _, a := range []at{{attls.RoleServer, attls.KindCertificateVerify, 0}, {attls.RoleClient, attls.KindCertificateVerify, 0}} {
		tests = append(tests, fieldTest{name: "signature scheme of the " + a.sender.String(), at: a,
			plan: certificateVerify(func(m *message.CertificateVerify) { m.Scheme = attls.SignatureScheme(own[0]) }), want: illegal(a.kind, "algorithm")})
	}
	runFieldTests(t, options, tests)
}

// TestGREASE finds a reserved value wherever a client may put one (RFC 8701),
// and a server that does not mind.
func TestGREASE(t *testing.T) {
	w := &watch{}
	for range 8 { // the system's randomness gives no value twice
		*w = watch{}
		p, err := pair.New(full(func(c, s *handshake.Config) { c.GREASE, c.Tap, c.Random = true, w, handshake.SystemRandom{} }))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
	}
	var ch message.ClientHello
	if err := ch.Unmarshal(w.messages[handshake.Sent][0].Body()); err != nil {
		t.Fatal(err)
	}
	has := func(name string, list extensions.Uint16s) {
		if !attls.Grease(list.At(0)) {
			t.Errorf("no reserved value in %s: %x", name, []byte(list))
		}
	}
	has("cipher_suites", ch.CipherSuites)
	x, _ := ch.Extensions.Get(attls.ExtSupportedGroups)
	groups, _ := extensions.ParseSupportedGroups(x)
	has("supported_groups", groups)
	x, _ = ch.Extensions.Get(attls.ExtSupportedVersions)
	versions, _ := extensions.ParseSupportedVersions(x)
	has("supported_versions", versions)
	x, _ = ch.Extensions.Get(attls.ExtKeyShare)
	shares, _ := extensions.ParseKeyShares(x)
	if _, ok := shares.Find(attls.NamedGroup(groups.At(0))); !ok {
		t.Error("no share of a reserved group")
	}
	n := 0
	for _, e := range ch.Extensions {
		if attls.Grease(uint16(e.Type)) {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d extensions of reserved types, want 2", n)
	}
}
