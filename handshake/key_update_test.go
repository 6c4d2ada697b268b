package handshake_test

import (
	"bytes"
	"fmt"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
)

// established is a pair after the handshake, with what its ends send noted.
func established(t *testing.T, change func(client, server *handshake.Config)) (*pair.Pair, [2]*watch) {
	t.Helper()
	taps := [2]*watch{{}, {}}
	o := direct(func(c, s *handshake.Config) {
		c.Tap, s.Tap = taps[0], taps[1]
		if change != nil {
			change(c, s)
		}
	})
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return p, taps
}

// updates counts the KeyUpdates that an end sent, and those of them that ask
// for another.
func updates(w *watch) (n, requests int) {
	for _, m := range w.messages[handshake.Sent] {
		if m.Kind == attls.KindKeyUpdate {
			n++
			requests += int(m.Bytes[4])
		}
	}
	return n, requests
}

// TestKeyUpdate changes keys in both directions and goes on sending
// (RFC 8446 sections 4.6.3 and 7.2, RFC 9846 section 4.7.3).
func TestKeyUpdate(t *testing.T) {
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		for name, test := range map[string]struct {
			ask           []bool // each KeyUpdate, all before the peer sees any
			own, answers  int
			requests      int
			fromPeerFirst bool
		}{
			"one":            {ask: []bool{false}, own: 1},
			"with a request": {ask: []bool{true}, own: 1, answers: 1, requests: 1},
			"three":          {ask: []bool{false, false, false}, own: 3},
			"asked twice":    {ask: []bool{true, true}, own: 2, answers: 1, requests: 1},
			// The answer that is owed goes out before the next data, of which there is none.
			"both at once":    {ask: []bool{true}, own: 1, answers: 2, requests: 1, fromPeerFirst: true},
			"asked and other": {ask: []bool{true, false}, own: 2, answers: 1, requests: 1},
		} {
			t.Run(fmt.Sprintf("%s, %v", name, r), func(t *testing.T) {
				p, taps := established(t, nil)
				e, peer := p.Engine(r), p.Engine(r.Peer())
				if test.fromPeerFirst {
					if err := peer.KeyUpdate(true); err != nil {
						t.Fatal(err)
					}
				}
				for _, request := range test.ask {
					if err := e.KeyUpdate(request); err != nil {
						t.Fatal(err)
					}
				}
				e.Write([]byte("ping"))
				if err := p.Run(); err != nil {
					t.Fatal(err)
				}
				peer.Write([]byte("pong"))
				if err := p.Run(); err != nil {
					t.Fatal(err)
				}
				if !bytes.HasSuffix(p.Received(r.Peer()), []byte("ping")) || !bytes.HasSuffix(p.Received(r), []byte("pong")) {
					t.Errorf("received %q and %q", p.Received(r.Peer()), p.Received(r))
				}
				n, requests := updates(taps[r])
				if n != test.own || requests != test.requests {
					t.Errorf("%d sent, %d of them with a request; want %d and %d", n, requests, test.own, test.requests)
				}
				if n, _ := updates(taps[r.Peer()]); n != test.answers {
					t.Errorf("%d came from the other end, want %d", n, test.answers)
				}
			})
		}
	}
}

// TestKeyUpdateFlood: KeyUpdates that carry nothing end the connection at some
// number; data between them does not.
func TestKeyUpdateFlood(t *testing.T) {
	run := func(n int, data bool) *attls.Error {
		p, _ := established(t, nil)
		for range n {
			p.Engine(attls.RoleClient).KeyUpdate(false)
			if data {
				p.Engine(attls.RoleClient).Write([]byte("x"))
			}
		}
		p.Run()
		return p.Engine(attls.RoleServer).Err()
	}
	if err := run(32, false); err != nil {
		t.Errorf("32 in a row: %v", err)
	}
	if err := run(33, false); err == nil || err.Failure != attls.FailLimit {
		t.Errorf("33 in a row: %v", err)
	}
	if err := run(100, true); err != nil {
		t.Errorf("100 with data between: %v", err)
	}
}
