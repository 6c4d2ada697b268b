package handshake_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"attls"
	"attls/handshake"
	"attls/negotiation"
)

// TestCallbacksOfSessionsMayCallTheConn: what a user gives to keep and judge sessions is
// called without a lock of the Conn or of the holder.
func TestCallbacksOfSessionsMayCallTheConn(t *testing.T) {
	type ends struct{ client, server *handshake.Conn }
	look := func(c *handshake.Conn) {
		c.ConnectionState()
		c.SetDeadline(time.Time{})
	}
	for name, test := range map[string]struct {
		set  func(a *again, e *ends, called *int)
		want int // calls in two connections, at least
	}{
		"Added": {func(a *again, e *ends, called *int) {
			a.clients.Added = func(*handshake.Session) {
				*called++
				a.clients.Len("server")
				look(e.client)
				if _, err := e.client.Export("label", nil, 16); err != nil {
					t.Error(err)
				}
				if _, err := e.client.Write([]byte("kept")); err != nil {
					t.Error(err)
				}
				if err := e.client.KeyUpdate(false); err != nil {
					t.Error(err)
				}
			}
		}, 4},
		"Standing of a client": {func(a *again, e *ends, called *int) {
			a.clients.Standing = func(*handshake.Session) negotiation.Standing {
				*called++
				a.clients.Len("server")
				look(e.client)
				return negotiation.StandingHolds
			}
		}, 1},
		"Standing of a server": {func(a *again, e *ends, called *int) {
			a.servers.Standing = func(*handshake.Session) negotiation.Standing {
				*called++
				look(e.server)
				return negotiation.StandingHolds
			}
		}, 1},
		"Accept": {func(a *again, e *ends, called *int) {
			a.servers.Accept = func(*handshake.Session) bool {
				*called++
				look(e.server)
				return true
			}
		}, 1},
		"EarlyData": {func(a *again, e *ends, called *int) {
			a.servers.EarlyData = func(*handshake.EarlyDataRequest) bool {
				*called++
				look(e.server)
				return true
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, called := &again{}, &ends{}, 0
			test.set(a, e, &called)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 2 {
					cc := &handshake.Config{ServerName: "server", PSK: true, MaxEarlyData: 16}
					sc := &handshake.Config{PSK: true, Tickets: 2, MaxEarlyData: 16}
					ca, sa := trusting(""), trusting("server")
					ca.ClientSessions, sa.ServerSessions = &a.clients, &a.servers
					x, y := loopback(t)
					e.client, e.server = conns(t, x, y, cc, sc, ca, sa)
					e.client.SetEarlyData([]byte("early"))
					if ce, se := both(e.client, e.server); ce != nil || se != nil {
						t.Errorf("client: %v, server: %v", ce, se)
						return
					}
					say(t, e.server, e.client, "hello")
				}
			}()
			within(t, done, "the end of the second connection")
			if called < test.want {
				t.Errorf("called %d times, want %d", called, test.want)
			}
			if s := e.client.ConnectionState(); s.Session == nil {
				t.Error("the second connection resumes no session")
			}
		})
	}
}

// TestAddedMayRead: a Read in the callback gets what comes next, and the one that has
// brought the ticket goes on behind it.
func TestAddedMayRead(t *testing.T) {
	a := &again{}
	var client *handshake.Conn
	first := ""
	a.clients.Added = func(*handshake.Session) {
		if first == "" {
			b := make([]byte, 2)
			n, err := client.Read(b)
			if err != nil {
				t.Error(err)
			}
			first = string(b[:n])
		}
	}
	ca, sa := trusting(""), trusting("server")
	ca.ClientSessions, sa.ServerSessions = &a.clients, &a.servers
	x, y := loopback(t)
	var server *handshake.Conn
	client, server = conns(t, x, y, &handshake.Config{ServerName: "server", PSK: true}, &handshake.Config{PSK: true, Tickets: 1}, ca, sa)
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatalf("client: %v, server: %v", ce, se)
	}
	for _, text := range []string{"ab", "cd"} {
		if _, err := server.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	second := make(chan string, 1)
	go func() {
		b := make([]byte, 4)
		n, err := client.Read(b)
		if err != nil {
			t.Error(err)
		}
		second <- string(b[:n])
	}()
	if got := within(t, second, "the end of the Read"); first != "ab" || got != "cd" {
		t.Errorf("the callback has read %q, and the Read behind it %q", first, got)
	}
}

// gatedConn holds its first Write until it is let go, and tells when its deadline is past.
type gatedConn struct {
	net.Conn
	writing, let chan struct{}
	interrupted  chan struct{}
	once, twice  sync.Once
}

func (g *gatedConn) Write(b []byte) (int, error) {
	g.once.Do(func() {
		close(g.writing)
		<-g.let
	})
	return g.Conn.Write(b)
}

func (g *gatedConn) SetWriteDeadline(t time.Time) error {
	err := g.Conn.SetWriteDeadline(t)
	if !t.IsZero() && t.Before(time.Now()) {
		g.twice.Do(func() { close(g.interrupted) })
	}
	return err
}

func (g *gatedConn) SetDeadline(t time.Time) error {
	if err := g.Conn.SetReadDeadline(t); err != nil {
		return err
	}
	return g.SetWriteDeadline(t)
}

// TestDeadlineBehindACancellation: a deadline that is set while the context of a
// handshake ends does not keep the handshake going.
func TestDeadlineBehindACancellation(t *testing.T) {
	a, b := net.Pipe() // whose other end nobody reads
	defer a.Close()
	defer b.Close()
	g := &gatedConn{Conn: a, writing: make(chan struct{}), let: make(chan struct{}), interrupted: make(chan struct{})}
	c := handshake.Client(g, &handshake.Config{ServerName: "server"}, trusting(""))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.HandshakeContext(ctx) }()
	within(t, g.writing, "the ClientHello")
	cancel()
	within(t, g.interrupted, "the interruption")
	if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	close(g.let)
	if err := within(t, done, "the end of the handshake"); !failsWith(err, attls.FailCanceled) {
		t.Errorf("the handshake ends with %v", err)
	}
}
