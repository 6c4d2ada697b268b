package handshake_test

import (
	"testing"

	"attls"
	"attls/handshake"
)

// TestTickets counts what a server issues and a client keeps.
func TestTickets(t *testing.T) {
	m := newMeeting()
	m.clients.Max, m.clients.Offer = 3, 2
	m.mustMeet(t, func(c, s *handshake.Config) { s.Tickets = 5 })
	if m.tickets != 5 || m.clients.Len("server") != 3 {
		t.Errorf("%d tickets, of which %d are kept; want 5 and 3", m.tickets, m.clients.Len("server"))
	}
	// Two are offered, of which the server does not know the first.
	old := m.answer[attls.RoleClient]
	m.answer[attls.RoleClient] = func(w *handshake.Wait, a handshake.Answer) handshake.Answer {
		if w.Kind == handshake.WaitPSK {
			broken := *a.PSKs[0].Session
			broken.Identity = []byte("nobody knows this one")
			a.PSKs[0].Session = &broken
		}
		return a
	}
	if _, resumed := m.mustMeet(t, nil); !resumed {
		t.Error("the second key on offer was not used")
	}
	m.answer[attls.RoleClient] = old
	for name, change := range map[string]func(c, s *handshake.Config){
		"none issued":              func(c, s *handshake.Config) { s.Tickets = 0 },
		"client without PSK":       func(c, s *handshake.Config) { c.PSK = false },
		"quirk of the server":      func(c, s *handshake.Config) { s.Profile = quiet },
		"discarded by the profile": func(c, s *handshake.Config) { c.Profile = discards },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			m.mustMeet(t, change)
			if n := m.clients.Len("server"); n != 0 {
				t.Errorf("%d tickets are kept", n)
			}
		})
	}
}

// TestLaterTicket issues a ticket long after the handshake.
func TestLaterTicket(t *testing.T) {
	m := newMeeting()
	p, _ := m.mustMeet(t, func(c, s *handshake.Config) { s.Tickets = 0 })
	if err := p.Engine(attls.RoleServer).IssueTicket(); err != nil {
		t.Fatal(err)
	}
	var got *handshake.Session
	for s, ok := p.Step(); ok; s, ok = p.Step() {
		if s.Event.Kind == handshake.EventTicket {
			got = s.Event.Session
		}
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	if got == nil {
		t.Fatal("no ticket arrived")
	}
	m.clients.Put(got)
	if _, resumed := m.mustMeet(t, nil); !resumed {
		t.Error("the later ticket was not used")
	}
	if err := p.Engine(attls.RoleClient).IssueTicket(); err == nil {
		t.Error("a client may issue tickets")
	}
}
