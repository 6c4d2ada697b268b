package handshake_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

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

// TestSecondHelloCounts: an answer needs its offer in the second ClientHello where
// there is one.
func TestSecondHelloCounts(t *testing.T) {
	m := newMeeting()
	m.mustMeet(t, func(c, s *handshake.Config) { s.CipherSuites = []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256} })
	m.now = m.now.Add(time.Minute)
	hit := false
	tap := &planTap{at: at{attls.RoleServer, attls.KindServerHello, 0}, hit: &hit, plan: editExtensions(t, with(attls.ExtPreSharedKey, []byte{0, 0}))}
	p, err := m.meet(t, func(c, s *handshake.Config) { // the key does not go with the suite, so that the second ClientHello has none
		s.CipherSuites, s.Retry.Always, s.Tap = []attls.CipherSuite{attls.TLS_AES_256_GCM_SHA384}, true, tap
	})
	if !hit {
		t.Fatal("no ServerHello was sent")
	}
	checkOutcome(t, p, attls.RoleClient, err, outcome{attls.FailUnsolicited, attls.AlertUnsupportedExtension, attls.KindServerHello, "pre_shared_key"})
}

// TestEmptyBodies: an extension whose body must be empty is decode_error with one,
// in whichever message it is and whether the receiver uses it or not.
func TestEmptyBodies(t *testing.T) {
	ch, second := at{attls.RoleClient, attls.KindClientHello, 0}, at{attls.RoleClient, attls.KindClientHello, 1}
	ee, cr := at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, at{attls.RoleServer, attls.KindCertificateRequest, 0}
	var tests []fieldTest
	for _, test := range []struct {
		at at
		x  attls.ExtensionType
	}{
		{ch, attls.ExtPostHandshakeAuth}, {ch, attls.ExtEarlyData}, {ch, attls.ExtSignedCertificateTimestamp}, {ch, attls.ExtExtendedMainSecret},
		{ch, attls.ExtEncryptThenMAC}, {ch, attls.ExtTransparencyInfo}, {second, attls.ExtPostHandshakeAuth}, {second, attls.ExtEarlyData},
		{ee, attls.ExtServerName}, {cr, attls.ExtStatusRequest}, {cr, attls.ExtSignedCertificateTimestamp}, {cr, attls.ExtTransparencyInfo},
	} {
		for _, b := range [][]byte{{0}, {0, 0}, make([]byte, 300)} {
			edit := func(l extensions.List) extensions.List {
				return append(without(test.x)(l), extensions.Extension{Type: test.x, Body: b})
			}
			tests = append(tests, fieldTest{name: fmt.Sprintf("%v of %d octets in %v", test.x, len(b), test.at), at: test.at, plan: editExtensions(t, edit),
				want: outcome{attls.FailTrailing, attls.AlertDecodeError, test.at.kind, test.x.String()}})
		}
		if test.at == ch { // as it should be, it changes nothing
			tests = append(tests, fieldTest{name: fmt.Sprintf("%v of no octet in %v", test.x, test.at), at: test.at, options: direct,
				plan: editExtensions(t, func(l extensions.List) extensions.List { return with(test.x, nil)(without(test.x)(l)) })})
		}
	}
	runFieldTests(t, full, tests)
}

// TestEmptyEarlyData: EncryptedExtensions accepts early data without a body.
func TestEmptyEarlyData(t *testing.T) {
	m := newMeeting()
	early := func(c, s *handshake.Config) { c.MaxEarlyData, s.MaxEarlyData = 100, 100 }
	m.mustMeet(t, early)
	m.now = m.now.Add(time.Minute)
	hit := false
	tap := &planTap{at: at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, hit: &hit, plan: editExtensions(t, inPlace(attls.ExtEarlyData, 0, 0, 0, 9))}
	p, err := m.meet(t, func(c, s *handshake.Config) { early(c, s); s.Tap = tap })
	if !hit {
		t.Fatal("no EncryptedExtensions was sent")
	}
	checkOutcome(t, p, attls.RoleClient, err, outcome{attls.FailTrailing, attls.AlertDecodeError, attls.KindEncryptedExtensions, "early_data"})
}

// TestNameInResumption: a server that resumes a session does not acknowledge
// server_name (RFC 6066 section 3), and under an external key, which resumes
// nothing, does. A client takes the acknowledgement of servers that send it.
func TestNameInResumption(t *testing.T) {
	acknowledged := func(t *testing.T, w *watch) bool {
		t.Helper()
		m := w.sent(t, attls.KindEncryptedExtensions)
		var v message.EncryptedExtensions
		if err := v.Unmarshal(m.Body()); err != nil {
			t.Fatal(err)
		}
		_, ok := v.Extensions.Find(attls.ExtServerName)
		return ok
	}
	key := &handshake.Session{Identity: []byte("key"), Secret: []byte("secret"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256}
	for _, test := range []struct {
		name     string
		external bool
		retry    bool
		want     []bool // of each connection
	}{
		{"a ticket", false, false, []bool{true, false, false}},
		{"a ticket after HelloRetryRequest", false, true, []bool{true, false}},
		{"an external key", true, false, []bool{true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMeeting()
			if test.external {
				m.clients.External, m.servers.External = []*handshake.Session{key}, []*handshake.Session{key}
			}
			for i, want := range test.want {
				w := &watch{}
				m.now = m.now.Add(time.Minute)
				m.mustMeet(t, func(c, s *handshake.Config) { s.AcknowledgeServerName, s.Retry.Always, s.Tap = true, test.retry, w })
				if got := acknowledged(t, w); got != want {
					t.Errorf("connection %d: server_name is acknowledged: %v", i+1, got)
				}
			}
		})
	}
	t.Run("a server that acknowledges it all the same", func(t *testing.T) {
		m := newMeeting()
		m.mustMeet(t, nil)
		hit := false
		_, resumed := m.mustMeet(t, func(c, s *handshake.Config) {
			s.AcknowledgeServerName = true
			s.Tap = &planTap{at: at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, hit: &hit, plan: editExtensions(t, with(attls.ExtServerName, nil))}
		})
		if !hit || !resumed {
			t.Error("nothing was resumed")
		}
	})
}

// TestTypeInResumption: a server tells a client that resumes a session the type of
// its certificate, which it does not show (RFC 7250 section 4.2).
func TestTypeInResumption(t *testing.T) {
	key, x509 := attls.CertificateRawPublicKey, attls.CertificateX509
	types := func(list ...attls.CertificateType) func(c, s *handshake.Config) {
		return func(c, s *handshake.Config) { c.ServerCertificateTypes = list }
	}
	told := func(t *testing.T, w *watch) []byte {
		t.Helper()
		m := w.sent(t, attls.KindEncryptedExtensions)
		var v message.EncryptedExtensions
		if err := v.Unmarshal(m.Body()); err != nil {
			t.Fatal(err)
		}
		b, _ := v.Extensions.Get(attls.ExtServerCertificateType)
		return b
	}
	for name, test := range map[string]struct {
		client func(c, s *handshake.Config)
		server []attls.CertificateType
		want   []byte
	}{
		"raw public keys alone":                    {types(key), []attls.CertificateType{key}, []byte{2}},
		"raw public keys first":                    {types(key, x509), []attls.CertificateType{key, x509}, []byte{2}},
		"X.509 of both":                            {types(key, x509), nil, []byte{0}},
		"nothing, as nothing was offered":          {types(), []attls.CertificateType{x509}, nil},
		"nothing, as the client knows X.509 alone": {types(x509), []attls.CertificateType{x509}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			m.answer[attls.RoleServer] = func(w *handshake.Wait, a handshake.Answer) handshake.Answer {
				if w.Kind == handshake.WaitCredential && w.Credential.Type == key {
					a.Credential = raw(a.Credential)
				}
				return a
			}
			for i := range 2 {
				w := &watch{}
				m.now = m.now.Add(time.Minute)
				_, resumed := m.mustMeet(t, func(c, s *handshake.Config) {
					test.client(c, s)
					s.ServerCertificateTypes, s.Tap = test.server, w
				})
				if resumed != (i == 1) {
					t.Fatalf("connection %d is resumed: %v", i+1, resumed)
				}
				if got := told(t, w); !slices.Equal(got, test.want) {
					t.Errorf("connection %d: the server tells %v, want %v", i+1, got, test.want)
				}
			}
		})
	}
	t.Run("a type that was not offered", func(t *testing.T) {
		m := newMeeting()
		change := types(key, x509)
		m.mustMeet(t, change)
		hit := false
		p, err := m.meet(t, func(c, s *handshake.Config) {
			change(c, s)
			s.Tap = &planTap{at: at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, hit: &hit, plan: editExtensions(t, inPlace(attls.ExtServerCertificateType, 7))}
		})
		if !hit {
			t.Fatal("no EncryptedExtensions was sent")
		}
		checkOutcome(t, p, attls.RoleClient, err, illegal(attls.KindEncryptedExtensions, "server_certificate_type"))
	})
}
