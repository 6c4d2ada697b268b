package handshake_test

import (
	"io"
	"testing"

	"attls/handshake"
)

// again is what two Conns keep from one connection to the next.
type again struct {
	clients handshake.ClientSessions
	servers handshake.ServerSessions
}

// connect makes a connection in which the server's first line has arrived, so
// that the client has seen the tickets before it.
func (a *again) connect(t *testing.T, early string, change func(c, s *handshake.Config)) (client, server *handshake.Conn) {
	t.Helper()
	cc := &handshake.Config{ServerName: "server", PSK: true, MaxEarlyData: 16, PostHandshakeAuthentication: true}
	sc := &handshake.Config{PSK: true, Tickets: 2, MaxEarlyData: 16, PostHandshakeAuthentication: true}
	if change != nil {
		change(cc, sc)
	}
	ca, sa := trusting("client"), trusting("server")
	ca.ClientSessions, sa.ServerSessions = &a.clients, &a.servers
	x, y := loopback(t)
	client, server = conns(t, x, y, cc, sc, ca, sa)
	client.SetEarlyData([]byte(early))
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	say(t, server, client, "hello")
	return client, server
}

// say writes at one end and reads at the other.
func say(t *testing.T, from, to *handshake.Conn, text string) {
	t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Fatalf("read %q, %v; want %q", got, err, text)
	}
}

// TestConnSessions resumes sessions through Conn, with early data that the
// server reads first.
func TestConnSessions(t *testing.T) {
	a := &again{}
	a.servers.EarlyData = func(*handshake.EarlyDataRequest) bool { return true }
	client, _ := a.connect(t, "early", nil)
	if s := client.ConnectionState(); s.Session != nil || s.EarlyData != handshake.EarlyDataNone {
		t.Fatalf("a first connection with a session, early data %v", s.EarlyData)
	}
	if n := a.clients.Len("server"); n != 2 {
		t.Fatalf("%d tickets are kept, want 2", n)
	}
	client, server := a.connect(t, "early", nil)
	if s := client.ConnectionState(); s.Session == nil || s.EarlyData != handshake.EarlyDataAccepted {
		t.Fatalf("resumed: %v, early data %v", s.Session != nil, s.EarlyData)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "early" {
		t.Errorf("read %q, %v", got, err)
	}
	a.servers.EarlyData = nil
	client, server = a.connect(t, "early", nil)
	if s := client.ConnectionState(); s.Session == nil || s.EarlyData != handshake.EarlyDataRejected {
		t.Fatalf("resumed: %v, early data %v", s.Session != nil, s.EarlyData)
	}
	say(t, client, server, "again")
	client, _ = a.connect(t, "more than sixteen octets", nil)
	if s := client.ConnectionState(); s.Session == nil || s.EarlyData != handshake.EarlyDataRejected {
		t.Fatalf("resumed: %v, early data %v", s.Session != nil, s.EarlyData)
	}
}

// TestConnPostHandshake authenticates the client of a running connection, twice
// at once, and issues a ticket that remembers it.
func TestConnPostHandshake(t *testing.T) {
	a := &again{}
	client, server := a.connect(t, "", func(c, s *handshake.Config) { s.Tickets = 0 })
	for range 2 {
		if err := server.RequestAuthentication(); err != nil {
			t.Fatal(err)
		}
	}
	say(t, server, client, "who are you?")
	// The answers come in front of the client's next line, or after it.
	for server.ConnectionState().PeerChain == nil {
		say(t, client, server, "well")
	}
	if err := server.IssueTicket(); err != nil {
		t.Fatal(err)
	}
	for a.clients.Len("server") == 0 {
		say(t, server, client, "here")
	}
	_, server = a.connect(t, "", func(c, s *handshake.Config) { s.ClientAuthentication = handshake.RequireClientCertificate })
	if s := server.ConnectionState(); s.Session == nil || len(s.PeerChain) != 1 {
		t.Errorf("resumed: %v, %d certificates", s.Session != nil, len(s.PeerChain))
	}
	if err := client.RequestAuthentication(); err == nil {
		t.Error("a client asks")
	}
}
