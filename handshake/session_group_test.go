package handshake_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"attls"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
)

// sharesSent lists the groups of which a client sent a share, in each ClientHello.
func sharesSent(t *testing.T, w *watch) (list [][]attls.NamedGroup) {
	t.Helper()
	for _, m := range w.messages[handshake.Sent] {
		if m.Kind != attls.KindClientHello {
			continue
		}
		var ch message.ClientHello
		if err := ch.Unmarshal(m.Body()); err != nil {
			t.Fatal(err)
		}
		body, _ := ch.Extensions.Get(attls.ExtKeyShare)
		shares, err := extensions.ParseKeyShares(body)
		if err != nil {
			t.Fatal(err)
		}
		groups := []attls.NamedGroup{}
		for g := range shares.All() {
			groups = append(groups, g)
		}
		list = append(list, groups)
	}
	return list
}

// TestSessionGroup: a client that offers a session sends a share of the group in
// which the session was made, so that a server with another preference than the
// client's need not ask for it.
func TestSessionGroup(t *testing.T) {
	x25519, p256, p384 := attls.GroupX25519, attls.GroupSecp256r1, attls.GroupSecp384r1
	groups := func(client, server []attls.NamedGroup) func(c, s *handshake.Config) {
		return func(c, s *handshake.Config) {
			c.Groups, c.KeyShares, s.Groups = client, nil, server
			s.Retry.Preferred = true
		}
	}
	both := func(changes ...func(c, s *handshake.Config)) func(c, s *handshake.Config) {
		return func(c, s *handshake.Config) {
			for _, f := range changes {
				f(c, s)
			}
		}
	}
	early := func(c, s *handshake.Config) { c.MaxEarlyData, s.MaxEarlyData = 100, 100 }
	pskOnly := func(c, s *handshake.Config) {
		modes := []attls.PSKKeyExchangeMode{attls.PSKOnly}
		c.PSKModes, s.PSKModes = modes, modes
	}
	all := []attls.NamedGroup{x25519, p256, p384}
	one := func(g attls.NamedGroup) [][]attls.NamedGroup { return [][]attls.NamedGroup{{g}} }
	for name, test := range map[string]struct {
		connections []func(c, s *handshake.Config) // the last one is looked at
		want        [][]attls.NamedGroup
	}{
		"the server's preference, which the first connection asked for": {
			[]func(c, s *handshake.Config){groups(all, []attls.NamedGroup{p384, x25519}), groups(all, []attls.NamedGroup{p384, x25519})}, one(p384)},
		"early data": {
			[]func(c, s *handshake.Config){both(groups(all, []attls.NamedGroup{p256}), early), both(groups(all, []attls.NamedGroup{p256}), early)}, one(p256)},
		"a session that psk_ke has made keeps the group of the one before": {
			[]func(c, s *handshake.Config){groups(all, []attls.NamedGroup{p256}), both(groups(all, []attls.NamedGroup{p256}), pskOnly), groups(all, []attls.NamedGroup{p256})}, one(p256)},
		"the server's groups have changed": {
			[]func(c, s *handshake.Config){groups(all, []attls.NamedGroup{p256}), groups(all, []attls.NamedGroup{p384})}, [][]attls.NamedGroup{{p256}, {p384}}},
		"the client's groups have changed": {
			[]func(c, s *handshake.Config){groups(all, []attls.NamedGroup{p256}), groups([]attls.NamedGroup{x25519, p384}, []attls.NamedGroup{x25519, p384})}, [][]attls.NamedGroup{{x25519}}},
		"configured shares are sent as they are": {
			[]func(c, s *handshake.Config){groups(all, []attls.NamedGroup{p256}), both(groups(all, []attls.NamedGroup{p256}),
				func(c, s *handshake.Config) { c.KeyShares = []attls.NamedGroup{p256, x25519} })}, [][]attls.NamedGroup{{x25519, p256}}},
		"no share when none is configured": {
			[]func(c, s *handshake.Config){groups(all, []attls.NamedGroup{p256}), both(groups(all, []attls.NamedGroup{p256}),
				func(c, s *handshake.Config) { c.KeyShares = []attls.NamedGroup{} })}, [][]attls.NamedGroup{{}, {p256}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			var w *watch
			for i, change := range test.connections {
				w = &watch{}
				m.now = m.now.Add(time.Minute)
				p, resumed := m.mustMeet(t, both(change, func(c, s *handshake.Config) { c.Tap = w }))
				if resumed != (i > 0) {
					t.Fatalf("connection %d is resumed: %v", i+1, resumed)
				}
				if name == "early data" && i > 0 && p.Engine(attls.RoleClient).State().EarlyData != handshake.EarlyDataAccepted {
					t.Error("early data was not accepted")
				}
			}
			if got := sharesSent(t, w); !slices.EqualFunc(got, test.want, slices.Equal) {
				t.Errorf("shares of %v, want %v", got, test.want)
			}
		})
	}
}

// TestOlderSession: the session files that releases before wrote can be read.
func TestOlderSession(t *testing.T) {
	m := newMeeting()
	var s *handshake.Session
	m.answer[attls.RoleServer] = func(w *handshake.Wait, a handshake.Answer) handshake.Answer {
		if w.Kind == handshake.WaitTicket {
			s = w.Ticket.Session
		}
		return a
	}
	m.mustMeet(t, nil)
	if s.Group == 0 {
		t.Fatal("the session has no group")
	}
	b := s.Marshal()
	// Up to version 3 there is no not_after and nothing behind the status; version 2
	// has no group, version 4 no further schemes. The session has no chain, which
	// would follow.
	single := b[:len(b)-3]
	attested := single[42 : len(single)-9]
	for _, old := range [][]byte{slices.Concat([]byte{2}, b[1:4], b[6:34], attested), slices.Concat([]byte{3}, b[1:34], attested),
		slices.Concat([]byte{4}, single[1:])} {
		got, err := handshake.ParseSession(old)
		if err != nil {
			t.Fatal(err)
		}
		if had := old[0] >= 3; (got.Group != 0) != had {
			t.Errorf("version %d: group %v", old[0], got.Group)
		}
		if got.Group = s.Group; !bytes.Equal(got.Marshal(), b) {
			t.Errorf("version %d: read %+v, want %+v", old[0], got, s)
		}
	}
	if _, err := handshake.ParseSession(append([]byte{1}, b[1:]...)); err == nil {
		t.Error("a session of an unknown version is read")
	}
}
