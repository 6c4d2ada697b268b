package handshake_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"attls"
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
