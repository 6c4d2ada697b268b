package handshake_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
)

// TestSecondClientHello is RFC 8446 section 4.1.2: what a client may change.
func TestSecondClientHello(t *testing.T) {
	const k = attls.KindClientHello
	second := at{attls.RoleClient, k, 1}
	mismatch := func(field string) outcome {
		return outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, k, field}
	}
	ext := func(name string, edit func(extensions.List) extensions.List, want outcome) fieldTest {
		return fieldTest{name: name, at: second, plan: editExtensions(t, edit), want: want}
	}
	field := func(name string, edit func(*message.ClientHello), want outcome) fieldTest {
		return fieldTest{name: name, at: second, plan: clientHello(edit), want: want}
	}
	tests := []fieldTest{
		field("legacy_version", func(m *message.ClientHello) { m.LegacyVersion = 0x0302 }, version(k, "legacy_version")),
		field("random", func(m *message.ClientHello) { m.Random = flipLast(m.Random) }, mismatch("random")),
		field("session id", func(m *message.ClientHello) { m.SessionID = flipLast(m.SessionID) }, mismatch("legacy_session_id")),
		field("session id left out", func(m *message.ClientHello) { m.SessionID = nil }, mismatch("legacy_session_id")),
		field("suite left out", func(m *message.ClientHello) { m.CipherSuites = m.CipherSuites[:4] }, mismatch("cipher_suites")),
		field("suite added", func(m *message.ClientHello) { m.CipherSuites = append(slices.Clone(m.CipherSuites), 0xc0, 0x2b) }, mismatch("cipher_suites")),
		field("compression method", func(m *message.ClientHello) { m.CompressionMethods = []byte{0, 1} }, illegal(k, "legacy_compression_methods")),
		ext("another cookie", inPlace(attls.ExtCookie, 0, 1, 7), mismatch("cookie")),
		ext("no cookie", without(attls.ExtCookie), mismatch("cookie")),
		ext("early_data", body(attls.ExtEarlyData), mismatch("early_data")),
		ext("shares of two groups", func(l extensions.List) extensions.List {
			b, _ := l.Get(attls.ExtKeyShare)
			more := append(slices.Clone(b), 0, 0x1d, 0, 1, 9)
			more[1] += 5
			return inPlace(attls.ExtKeyShare, more...)(l)
		}, mismatch("key_share")),
		ext("no share", inPlace(attls.ExtKeyShare, 0, 0), mismatch("key_share")),
		ext("share of another group", inPlace(attls.ExtKeyShare, 0, 5, 0, 0x1d, 0, 1, 9), mismatch("key_share")),
		ext("extension added", with(0x7a7a, nil), mismatch("extension 0x7a7a")),
		ext("order changed", func(l extensions.List) extensions.List {
			l[0], l[1] = l[1], l[0]
			return l
		}, mismatch("supported_groups")),
		ext("padding added", body(attls.ExtPadding, 0, 0), outcome{}),
	}
	for _, x := range []attls.ExtensionType{attls.ExtServerName, attls.ExtSupportedGroups, attls.ExtSignatureAlgorithms,
		attls.ExtSignatureAlgorithmsCert, attls.ExtCertificateAuthorities, attls.ExtALPN, attls.ExtRecordSizeLimit, attls.ExtSupportedVersions} {
		want := mismatch("")
		switch x {
		case attls.ExtSupportedVersions:
			want = version(k, "legacy_version")
		case attls.ExtSupportedGroups, attls.ExtSignatureAlgorithms:
			want = outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, k, ""}
		}
		tests = append(tests, ext("without "+x.String(), without(x), want))
	}
	runFieldTests(t, full, tests)

	// With a cookie alone, the shares stay what they were.
	cookie := func(change func(client, server *handshake.Config)) pair.Options {
		o := direct(change)
		o.Client.Groups = o.Server.Groups
		o.Server.Retry = handshake.Retry{Always: true}
		return o
	}
	runFieldTests(t, cookie, []fieldTest{
		ext("cookie alone", func(l extensions.List) extensions.List { return l }, outcome{}),
		ext("cookie alone, other share", func(l extensions.List) extensions.List {
			b, _ := l.Get(attls.ExtKeyShare)
			return inPlace(attls.ExtKeyShare, flipLast(b)...)(l)
		}, mismatch("key_share")),
	})
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

// TestSecondHelloWithKeys: the second ClientHello offers no pre-shared key where the
// first has offered none, and has the share that was asked for even where a key
// alone would do (RFC 8446 section 4.1.2).
func TestSecondHelloWithKeys(t *testing.T) {
	x25519 := append([]byte{0, 36, 0, 0x1d, 0, 32}, bytes.Repeat([]byte{9}, 32)...)
	k := attls.KindClientHello
	for name, test := range map[string]struct {
		first, second func(extensions.List) extensions.List
		server        []attls.PSKKeyExchangeMode
		want          outcome
	}{
		"the same key":                           {server: dheKE},
		"the key left out":                       {second: without(attls.ExtPreSharedKey), server: dheKE},
		"a key that is new":                      {first: without(attls.ExtPreSharedKey), server: dheKE, want: outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, k, "pre_shared_key"}},
		"the key alone, and the share":           {server: keDHE},
		"the key alone, and a share of no use":   {second: inPlace(attls.ExtKeyShare, x25519...), server: keDHE, want: outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, k, "key_share"}},
		"the key alone, and no share":            {second: inPlace(attls.ExtKeyShare, 0, 0), server: keDHE, want: outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, k, "key_share"}},
		"the key and a share of another group":   {second: inPlace(attls.ExtKeyShare, x25519...), server: dheKE, want: outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, k, "key_share"}},
		"the key alone, without signing schemes": {first: without(attls.ExtSignatureAlgorithms), second: without(attls.ExtSignatureAlgorithms), server: keDHE},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			key := &handshake.Session{Identity: []byte("key"), Secret: []byte("secret"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256}
			m.clients.External, m.servers.External = []*handshake.Session{key}, []*handshake.Session{key}
			n := 0
			tap := &helloTap{change: func(l extensions.List) extensions.List {
				n++
				if edit := map[int]func(extensions.List) extensions.List{1: test.first, 2: test.second}[n]; edit != nil {
					return edit(l)
				}
				return l
			}}
			p, err := m.meet(t, func(c, s *handshake.Config) {
				c.PSKModes, s.PSKModes, c.Tap = dheKE, test.server, tap
				c.Groups, s.Groups = []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1}, []attls.NamedGroup{attls.GroupSecp256r1}
				s.Retry.Always = true
			})
			if tap.retries() != 1 {
				t.Fatalf("%d HelloRetryRequests", tap.retries())
			}
			if test.want.failure != "" {
				checkOutcome(t, p, attls.RoleServer, err, test.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// toFront moves an extension to the front of a list.
func toFront(x attls.ExtensionType) func(extensions.List) extensions.List {
	return func(l extensions.List) extensions.List {
		i := slices.IndexFunc(l, func(e extensions.Extension) bool { return e.Type == x })
		moved := l[i]
		return append(extensions.List{moved}, slices.Delete(slices.Clone(l), i, i+1)...)
	}
}

// TestReorderedHello: a second ClientHello with the extensions of the first in
// another order is refused with an error that says so, and a switch accepts it.
// wolfSSL moves supported_versions to the front.
func TestReorderedHello(t *testing.T) {
	wolfSSL := toFront(attls.ExtSupportedVersions)
	edits := func(list ...func(extensions.List) extensions.List) func(extensions.List) extensions.List {
		return func(l extensions.List) extensions.List {
			for _, f := range list {
				l = f(l)
			}
			return l
		}
	}
	type change = func(s *handshake.Config)
	quirk := func(s *handshake.Config) {
		s.Profile = &profile.Profile{ID: "quirks", Quirks: profile.Quirks{AcceptReorderedHello: true}}
	}
	config := func(s *handshake.Config) { s.AcceptReorderedHello = true }
	const k = attls.KindClientHello
	mismatch := func(field string) outcome {
		return outcome{attls.FailRetryMismatch, attls.AlertIllegalParameter, k, field}
	}
	for name, test := range map[string]struct {
		edit   func(extensions.List) extensions.List
		change change
		want   outcome
		order  bool // the error says that it is the order
	}{
		"supported_versions at the front":                  {edit: wolfSSL, want: mismatch("supported_versions"), order: true},
		"key_share at the front":                           {edit: toFront(attls.ExtKeyShare), want: mismatch("key_share"), order: true},
		"all the other way round":                          {edit: func(l extensions.List) extensions.List { slices.Reverse(l); return l }, want: mismatch("extensions"), order: true},
		"the order and a body":                             {edit: edits(wolfSSL, inPlace(attls.ExtRecordSizeLimit, 0, 99)), want: mismatch("record_size_limit")},
		"the cookie at the front":                          {edit: toFront(attls.ExtCookie)},
		"padding in between":                               {edit: edits(with(attls.ExtPadding, make([]byte, 9)), toFront(attls.ExtPadding))},
		"supported_versions at the front, accepted":        {edit: wolfSSL, change: config},
		"supported_versions at the front, by the quirk":    {edit: wolfSSL, change: quirk},
		"all the other way round, accepted":                {edit: func(l extensions.List) extensions.List { slices.Reverse(l); return l }, change: config},
		"accepted, and a body":                             {edit: edits(wolfSSL, inPlace(attls.ExtRecordSizeLimit, 0, 99)), change: config, want: mismatch("record_size_limit")},
		"accepted, and one extension more":                 {edit: edits(wolfSSL, with(0x4a4b, nil)), change: config, want: mismatch("extensions")},
		"accepted, and one less":                           {edit: edits(wolfSSL, without(attls.ExtRecordSizeLimit)), change: config, want: mismatch("record_size_limit")},
		"accepted, and the cookie is missing":              {edit: edits(wolfSSL, without(attls.ExtCookie)), change: config, want: mismatch("cookie")},
		"accepted by the quirk, and the offer has changed": {edit: edits(wolfSSL, inPlace(attls.ExtSupportedGroups, 0, 2, 0, 23)), change: quirk, want: mismatch("supported_groups")},
	} {
		for _, stateless := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/stateless %v", name, stateless), func(t *testing.T) {
				o := full(func(c, s *handshake.Config) {
					if test.change != nil {
						test.change(s)
					}
					if stateless {
						s.Retry.Secrets = [][32]byte{{1}}
					}
				})
				want := test.want
				if stateless && !strings.Contains(name, "cookie") && want.failure != "" {
					want.field = "" // which the cookie does not keep
				}
				if stateless && name == "accepted, and the cookie is missing" {
					t.Skip("without a cookie it is a first ClientHello")
				}
				hit := false
				o.Client.Tap = &planTap{at: at{attls.RoleClient, k, 1}, plan: editExtensions(t, test.edit), hit: &hit}
				p, err := pair.New(o)
				if err != nil {
					t.Fatal(err)
				}
				runErr := p.Run()
				if !hit {
					t.Fatal("there was no second ClientHello")
				}
				checkOutcome(t, p, attls.RoleServer, runErr, want)
				if e := p.Engine(attls.RoleServer).Err(); e != nil && strings.Contains(e.Error(), "order") != test.order {
					t.Errorf("%v\nnames the order: %v, want %v", e, !test.order, test.order)
				}
			})
		}
	}
}
