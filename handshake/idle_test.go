package handshake_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"attls"
	"attls/handshake"
)

// idlePair is a connection whose two ends wait in Read, and what these return.
type idlePair struct {
	client, server *handshake.Conn
	read           map[*handshake.Conn]chan string // what was read, a piece each; closed at the end
	ended          map[*handshake.Conn]chan error
}

func newIdlePair(t *testing.T, a *again, change func(c, s *handshake.Config)) *idlePair {
	t.Helper()
	p := &idlePair{read: map[*handshake.Conn]chan string{}, ended: map[*handshake.Conn]chan error{}}
	p.client, p.server = a.connect(t, "", change)
	for _, c := range []*handshake.Conn{p.client, p.server} {
		read, ended := make(chan string, 16), make(chan error, 1)
		p.read[c], p.ended[c] = read, ended
		go func() {
			b := make([]byte, 64)
			for {
				n, err := c.Read(b)
				if err != nil {
					ended <- err
					return
				}
				read <- string(b[:n])
			}
		}()
	}
	return p
}

// say writes at one end and waits until the other has read it.
func (p *idlePair) say(t *testing.T, from, to *handshake.Conn, text string) {
	t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-p.read[to]:
		if got != text {
			t.Fatalf("read %q; want %q", got, text)
		}
	case err := <-p.ended[to]:
		t.Fatalf("%q did not arrive: %v", text, err)
	}
}

// TestIdleThenMessages lets both ends be idle and then sends each kind of message
// that may follow a handshake, in either direction, with data after it.
func TestIdleThenMessages(t *testing.T) {
	a := &again{}
	p := newIdlePair(t, a, func(c, s *handshake.Config) { s.Tickets = 0 })
	for round := range 3 {
		for _, end := range []struct{ from, to *handshake.Conn }{{p.client, p.server}, {p.server, p.client}} {
			for _, request := range []bool{false, true} {
				if err := end.from.KeyUpdate(request); err != nil {
					t.Fatal(err)
				}
				p.say(t, end.from, end.to, "after KeyUpdate")
				p.say(t, end.to, end.from, "its answer")
			}
		}
		before := a.clients.Len("server")
		if err := p.server.IssueTicket(); err != nil {
			t.Fatal(err)
		}
		for a.clients.Len("server") == before {
			p.say(t, p.server, p.client, "after NewSessionTicket")
		}
		if round > 0 && p.server.ConnectionState().PeerChain == nil {
			t.Fatal("the client's certificate is forgotten")
		}
		if err := p.server.RequestAuthentication(); err != nil {
			t.Fatal(err)
		}
		p.say(t, p.server, p.client, "after CertificateRequest")
		for p.server.ConnectionState().PeerChain == nil {
			p.say(t, p.client, p.server, "after Certificate")
		}
		c, err := p.client.Export("label", nil, 32)
		s, other := p.server.Export("label", nil, 32)
		if err != nil || other != nil || string(c) != string(s) {
			t.Errorf("exported %x and %x, %v, %v", c, s, err, other)
		}
	}
	if err := p.client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := <-p.ended[p.server]; err != io.EOF {
		t.Errorf("after close_notify: %v", err)
	}
	if _, err := p.server.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	if got := <-p.read[p.client]; got != "last" {
		t.Errorf("read %q after close_notify", got)
	}
	if s := p.server.ConnectionState(); s.ClientRandom == nil || s.CipherSuite == 0 || s.State != "CONNECTED" {
		t.Errorf("%+v", s)
	}
}

// TestIdleThenClosed closes ends that wait in Read: each Read returns, and says why.
func TestIdleThenClosed(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(p *idlePair) error
		want func(client, server error) bool
	}{
		"by its own end": {func(p *idlePair) error { return p.client.Close() },
			func(c, s error) bool { return errors.Is(c, net.ErrClosed) && s == io.EOF }},
		"by the transport": {func(p *idlePair) error { return p.server.NetConn().Close() },
			func(c, s error) bool { return errors.Is(s, net.ErrClosed) && errors.Is(c, io.ErrUnexpectedEOF) }},
		"by the peer's alert": {func(p *idlePair) error {
			_, err := p.client.NetConn().Write([]byte{23, 3, 3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
			return err
		}, func(c, s error) bool {
			var e, f *attls.Error
			return errors.As(s, &e) && e.Failure == attls.FailBadRecordMAC && errors.As(c, &f) && f.Alert == attls.AlertBadRecordMAC
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newIdlePair(t, &again{}, nil)
			if err := test.do(p); err != nil {
				t.Fatal(err)
			}
			if c, s := <-p.ended[p.client], <-p.ended[p.server]; !test.want(c, s) {
				t.Errorf("client: %v, server: %v", c, s)
			}
		})
	}
}

// TestIdleWhileClosing uses an idle connection from several goroutines while another
// one closes it.
func TestIdleWhileClosing(t *testing.T) {
	p := newIdlePair(t, &again{}, nil)
	done := make(chan struct{}, 4)
	for _, use := range []func() error{
		func() error { _, err := p.server.Write([]byte("x")); return err },
		func() error { return p.server.KeyUpdate(true) },
		func() error { return p.server.IssueTicket() },
		func() error { return p.server.Settled(context.Background()) },
	} {
		go func() {
			for range 20 {
				if use() != nil {
					break
				}
			}
			done <- struct{}{}
		}()
	}
	go func() { // who reads makes room
		for range p.read[p.client] {
		}
	}()
	p.client.Close()
	p.server.Close()
	for range 4 {
		<-done
	}
	for _, c := range []*handshake.Conn{p.client, p.server} {
		if err := <-p.ended[c]; err == nil {
			t.Error("Read goes on")
		}
	}
}
