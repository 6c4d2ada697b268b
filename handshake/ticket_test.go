package handshake_test

import (
	"bytes"
	"strings"
	"testing"

	"attls"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
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

// hint is a tap that keeps the body of a server's ticket_request, and may replace it.
type hint struct {
	handshake.NopTap
	body    []byte
	replace []byte
}

func (h *hint) Fork() handshake.Tap { return h }

func (h *hint) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	var ee message.EncryptedExtensions
	if d != handshake.Sent || m.Kind != attls.KindEncryptedExtensions || ee.Unmarshal(m.Body()) != nil {
		return
	}
	x, ok := ee.Extensions.Find(attls.ExtTicketRequest)
	if !ok {
		return
	}
	h.body = bytes.Clone(x.Body)
	if h.replace != nil {
		x.Body = h.replace
		p.Replace = ee.Append(nil)
	}
}

// TestTicketRequest: a server issues as many tickets as it is set to, and no more than the
// client asks for in a handshake of this sort (RFC 9149 section 3).
func TestTicketRequest(t *testing.T) {
	asks := func(first, resumed uint8) *extensions.TicketCounts {
		return &extensions.TicketCounts{New: first, Resumption: resumed}
	}
	for _, test := range []struct {
		name           string
		asks           *extensions.TicketCounts
		server         int
		first, resumed int
		hints          [2]string
	}{
		{"does not ask", nil, 2, 2, 2, [2]string{"", ""}},
		{"asks for fewer", asks(3, 1), 5, 3, 1, [2]string{"\x03", "\x01"}},
		{"asks for more", asks(255, 255), 2, 2, 2, [2]string{"\x02", "\x02"}},
		{"wants none after it resumed", asks(1, 0), 2, 1, 0, [2]string{"\x01", "\x00"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMeeting()
			for i, want := range []int{test.first, test.resumed} {
				h := &hint{}
				m.tickets = 0
				_, resumed := m.mustMeet(t, func(c, s *handshake.Config) { c.RequestTickets, s.Tickets, s.Tap = test.asks, test.server, h })
				if resumed != (i == 1) {
					t.Fatalf("connection %d resumed: %v", i, resumed)
				}
				if m.tickets != want || string(h.body) != test.hints[i] {
					t.Errorf("connection %d: %d tickets and the hint %q; want %d and %q", i, m.tickets, h.body, want, test.hints[i])
				}
			}
		})
	}
	t.Run("a server that issues none does not answer", func(t *testing.T) {
		m, h := newMeeting(), &hint{}
		m.mustMeet(t, func(c, s *handshake.Config) { c.RequestTickets, s.PSK, s.Tickets, s.Tap = asks(1, 1), false, 0, h })
		if m.tickets != 0 || h.body != nil {
			t.Errorf("%d tickets and the hint %q", m.tickets, h.body)
		}
	})
	t.Run("a client without PSK cannot ask", func(t *testing.T) {
		err := (&handshake.Config{RequestTickets: asks(1, 1)}).Check()
		if err == nil || !strings.Contains(err.Error(), "Config.RequestTickets") {
			t.Errorf("%v", err)
		}
	})
	for name, body := range map[string][]byte{"an empty hint": {}, "a hint of two octets": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			p, err := newMeeting().meet(t, func(c, s *handshake.Config) {
				c.RequestTickets, s.Tap = asks(1, 1), &hint{replace: body}
			})
			client := p.Engine(attls.RoleClient).Err()
			if err == nil || client == nil || client.Alert != attls.AlertDecodeError || !strings.Contains(client.Field, "extensions.ticket_request") {
				t.Errorf("%v, the client: %v", err, client)
			}
		})
	}
}
