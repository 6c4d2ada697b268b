package handshake_test

import (
	"bytes"
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

// helloTap changes the extensions of every ClientHello that is sent and computes
// the binders again.
type helloTap struct {
	watch
	change func(extensions.List) extensions.List
}

func (h *helloTap) Fork() handshake.Tap { return h }

func (h *helloTap) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	var ch message.ClientHello
	if d == handshake.Sent && m.Kind == attls.KindClientHello && h.change != nil && ch.Unmarshal(m.Body()) == nil {
		ch.Extensions = h.change(ch.Extensions)
		p.Replace, p.Rebind, p.Reparse = ch.Append(nil), true, true
	}
	h.watch.Message(d, m, p)
}

// retries counts the HelloRetryRequests that were received.
func (h *helloTap) retries() (n int) {
	for _, m := range h.messages[handshake.Received] {
		if m.Kind == attls.KindHelloRetryRequest {
			n++
		}
	}
	return n
}

var (
	keOnly  = []attls.PSKKeyExchangeMode{attls.PSKOnly}
	dheOnly = []attls.PSKKeyExchangeMode{attls.PSKWithDHE}
	dheKE   = []attls.PSKKeyExchangeMode{attls.PSKWithDHE, attls.PSKOnly}
	keDHE   = []attls.PSKKeyExchangeMode{attls.PSKOnly, attls.PSKWithDHE}
)

// TestKeyHello is RFC 8446 sections 4.2.3, 4.2.9 and 9.2 for a client that offers
// a pre-shared key: what its ClientHello may leave out, and what the server makes
// of it when the key is known and when it is not.
func TestKeyHello(t *testing.T) {
	edits := func(list ...func(extensions.List) extensions.List) func(extensions.List) extensions.List {
		return func(l extensions.List) extensions.List {
			for _, f := range list {
				l = f(l)
			}
			return l
		}
	}
	noSchemes, noGroups, noShare := without(attls.ExtSignatureAlgorithms), without(attls.ExtSupportedGroups), without(attls.ExtKeyShare)
	noExchange := edits(noGroups, noShare)
	otherGroups := inPlace(attls.ExtSupportedGroups, 0, 2, 0xfe, 0xfe)
	type modes = []attls.PSKKeyExchangeMode
	lacks := func(x attls.ExtensionType) outcome { return absent(attls.KindClientHello, x) }
	for name, test := range map[string]struct {
		client, server  modes
		edit            func(extensions.List) extensions.List
		emptyShare      bool
		unknown, noPSK  bool    // the server does not know the key; it takes none at all
		retries         int     // HelloRetryRequests
		withoutExchange bool    // the key alone
		want            outcome // zero: a connection
	}{
		"psk_dhe_ke without signature_algorithms":                                {client: dheOnly, server: dheOnly, edit: noSchemes},
		"psk_dhe_ke without signature_algorithms, the server has both modes":     {client: dheOnly, server: dheKE, edit: noSchemes},
		"both modes without signature_algorithms, the server prefers psk_dhe_ke": {client: keDHE, server: dheKE, edit: noSchemes},
		"both modes without signature_algorithms, the server prefers psk_ke":     {client: dheKE, server: keDHE, edit: noSchemes, withoutExchange: true},
		"psk_ke without signature_algorithms":                                    {client: keOnly, server: keDHE, edit: noSchemes, withoutExchange: true},
		"no signature_algorithms and an empty key_share":                         {client: dheOnly, server: dheKE, edit: noSchemes, emptyShare: true, retries: 1},
		"both modes, no signature_algorithms and an empty key_share":             {client: dheKE, server: dheKE, edit: noSchemes, emptyShare: true, retries: 1},
		"both modes and an empty key_share, the server prefers psk_ke":           {client: dheKE, server: keDHE, edit: noSchemes, emptyShare: true, withoutExchange: true},
		"psk_ke without supported_groups and key_share":                          {client: keOnly, server: keDHE, edit: edits(noSchemes, noExchange), withoutExchange: true},
		"both modes without supported_groups and key_share":                      {client: dheKE, server: dheKE, edit: edits(noSchemes, noExchange), withoutExchange: true},
		"both modes and no group in common":                                      {client: dheKE, server: dheKE, edit: edits(noSchemes, otherGroups, inPlace(attls.ExtKeyShare, 0, 0)), withoutExchange: true},

		"psk_ke, supported_groups without key_share":         {client: keOnly, server: keOnly, edit: noShare, want: lacks(attls.ExtKeyShare)},
		"psk_ke, key_share without supported_groups":         {client: keOnly, server: keOnly, edit: noGroups, want: lacks(attls.ExtSupportedGroups)},
		"psk_dhe_ke, supported_groups without key_share":     {client: dheOnly, server: dheKE, edit: noShare, want: lacks(attls.ExtKeyShare)},
		"psk_dhe_ke, key_share without supported_groups":     {client: dheOnly, server: dheKE, edit: noGroups, want: lacks(attls.ExtSupportedGroups)},
		"psk_dhe_ke without supported_groups and key_share":  {client: dheOnly, server: dheKE, edit: noExchange, want: lacks(attls.ExtSupportedGroups)},
		"both modes, a server with psk_dhe_ke and no groups": {client: dheKE, server: dheOnly, edit: noExchange, want: lacks(attls.ExtSupportedGroups)},
		"both halves are wrong and the server takes no keys": {client: keOnly, server: keOnly, edit: noShare, noPSK: true, want: lacks(attls.ExtKeyShare)},
		"psk_dhe_ke and no group in common": {client: dheOnly, server: dheKE, edit: edits(otherGroups, inPlace(attls.ExtKeyShare, 0, 0)),
			want: outcome{attls.FailGroup, attls.AlertHandshakeFailure, attls.KindClientHello, "supported_groups"}},

		"unknown key, everything there":                           {client: dheOnly, server: dheKE, unknown: true},
		"unknown key without signature_algorithms":                {client: dheOnly, server: dheKE, edit: noSchemes, unknown: true, want: lacks(attls.ExtSignatureAlgorithms)},
		"unknown key without signature_algorithms, after a retry": {client: dheOnly, server: dheKE, edit: noSchemes, emptyShare: true, unknown: true, want: lacks(attls.ExtSignatureAlgorithms)},
		"no key is taken and there is no signature_algorithms":    {client: dheOnly, server: dheOnly, edit: noSchemes, noPSK: true, want: lacks(attls.ExtSignatureAlgorithms)},
		"unknown key of psk_ke without groups":                    {client: keOnly, server: keOnly, edit: noExchange, unknown: true, want: lacks(attls.ExtSupportedGroups)},
		"unknown key, no group in common": {client: dheKE, server: dheKE, edit: edits(otherGroups, inPlace(attls.ExtKeyShare, 0, 0)), unknown: true,
			want: outcome{attls.FailGroup, attls.AlertHandshakeFailure, attls.KindClientHello, "supported_groups"}},
		"unknown key of psk_ke and an empty key_share, which a HelloRetryRequest mends": {client: keDHE, server: keDHE, emptyShare: true, unknown: true, retries: 1},
	} {
		for _, ticket := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%s", name, map[bool]string{false: "external key", true: "ticket"}[ticket]), func(t *testing.T) {
				m := newMeeting()
				if ticket {
					m.mustMeet(t, nil)
					m.now = m.now.Add(time.Minute)
					if test.unknown {
						m.servers.Keys.SetKeys([32]byte{9})
					}
				} else {
					key := &handshake.Session{Identity: []byte("key"), Secret: []byte("secret"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256}
					m.clients.External = []*handshake.Session{key}
					if !test.unknown {
						m.servers.External = []*handshake.Session{key}
					}
				}
				tap := &helloTap{change: test.edit}
				p, err := m.meet(t, func(c, s *handshake.Config) {
					c.PSKModes, s.PSKModes, c.Tap = test.client, test.server, tap
					if test.emptyShare {
						c.KeyShares = []attls.NamedGroup{}
					}
					if test.noPSK {
						s.PSK, s.Tickets = false, 0
					}
				})
				if test.want.failure != "" {
					checkOutcome(t, p, attls.RoleServer, err, test.want)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				s := p.Engine(attls.RoleServer).State()
				if (s.Session != nil) == test.unknown {
					t.Errorf("under the key: %v", s.Session != nil)
				}
				if (s.Group == 0) != test.withoutExchange {
					t.Errorf("group %v", s.Group)
				}
				if n := tap.retries(); n != test.retries {
					t.Errorf("%d HelloRetryRequests, want %d", n, test.retries)
				}
				if !bytes.HasSuffix(p.Received(attls.RoleServer), []byte("from client")) {
					t.Error("the data is lost")
				}
			})
		}
	}
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

// TestManyShares: a ClientHello may have shares of any number of groups, known or
// not (RFC 8446 sections 4.2.8 and 9.3).
func TestManyShares(t *testing.T) {
	const most = 9000 // with the list of groups as many as a ClientHello holds
	entry := func(g int) []byte { return []byte{byte(g >> 8), byte(g), 0, 1, 7} }
	vector := func(b []byte) []byte { return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...) }
	// unknown are n groups that nobody knows, and shares of them, before or behind
	// the client's own.
	unknown := func(n int, own bool) func(extensions.List) extensions.List {
		return func(l extensions.List) extensions.List {
			var groups, shares []byte
			for i := range n {
				g := 0x4000 + i
				groups, shares = append(groups, byte(g>>8), byte(g)), append(shares, entry(g)...)
			}
			if own {
				g, _ := l.Get(attls.ExtSupportedGroups)
				s, _ := l.Get(attls.ExtKeyShare)
				groups, shares = append(groups, g[2:]...), append(shares, s[2:]...)
			}
			return inPlace(attls.ExtSupportedGroups, vector(groups)...)(inPlace(attls.ExtKeyShare, vector(shares)...)(slices.Clone(l)))
		}
	}
	twice := func(n int) func(extensions.List) extensions.List {
		return func(l extensions.List) extensions.List {
			l = unknown(n, true)(l)
			s, _ := l.Get(attls.ExtKeyShare)
			return inPlace(attls.ExtKeyShare, vector(append(slices.Clone(s[2:]), entry(0x4000)...))...)(l)
		}
	}
	unlisted := func(n int) func(extensions.List) extensions.List {
		return func(l extensions.List) extensions.List {
			l = unknown(n, true)(l)
			s, _ := l.Get(attls.ExtKeyShare)
			return inPlace(attls.ExtKeyShare, vector(append(slices.Clone(s[2:]), entry(0x3fff)...))...)(l)
		}
	}
	const k = attls.KindClientHello
	first := at{attls.RoleClient, k, 0}
	refused := illegal(k, "key_share")
	test := func(name string, edit func(extensions.List) extensions.List, want outcome) fieldTest {
		return fieldTest{name: name, at: first, plan: editExtensions(t, edit), want: want}
	}
	var tests []fieldTest
	for _, n := range []int{7, 8, 9, 31, 32, 33, 246, most} {
		of := fmt.Sprintf("%d unknown groups", n)
		tests = append(tests, test(of+" and a known one", unknown(n, true), outcome{}),
			test(of+" alone", unknown(n, false), outcome{attls.FailGroup, attls.AlertHandshakeFailure, k, "supported_groups"}),
			test(of+", one of them twice", twice(n), refused), test(of+" and one that is not listed", unlisted(n), refused))
	}
	runFieldTests(t, func(change func(c, s *handshake.Config)) pair.Options {
		o := direct(change)
		o.Server.Limits.MaxHandshakeMessage = 1 << 18
		return o
	}, tests)
}

// TestShareOrder: that shares are in the order of supported_groups is a
// client's duty, which a server need not check (RFC 8446 section 4.2.8), and this
// one does not.
func TestShareOrder(t *testing.T) {
	disturb(t, direct(func(c, s *handshake.Config) {
		c.Groups = []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1}
		c.KeyShares, s.Groups = c.Groups, []attls.NamedGroup{attls.GroupSecp256r1}
	}), at{attls.RoleClient, attls.KindClientHello, 0}, editExtensions(t, func(l extensions.List) extensions.List {
		b, _ := l.Get(attls.ExtKeyShare)
		shares, _ := extensions.ParseKeyShares(b)
		var reversed []byte
		for g, key := range shares.All() {
			reversed = append(extensions.AppendKeyShareEntry(nil, g, key), reversed...)
		}
		return inPlace(attls.ExtKeyShare, append(slices.Clone(b[:2]), reversed...)...)(l)
	}), outcome{})
}
