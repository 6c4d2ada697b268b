package learn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"attls"
	"attls/handshake"
	"attls/handshake/enginetest"
)

// Transport carries octets to a peer and back.
type Transport interface {
	Send([]byte) error
	// Receive returns what has come since, and whether the peer has ended the connection.
	Receive() (octets []byte, closed bool, err error)
	Close()
}

// Asker is a Transport to a server that can be told to ask for a certificate after the
// handshake.
type Asker interface{ Ask() }

// Dialer begins a connection. The second and later ones of a word are made again: a peer that
// keeps sessions keeps them from one to the next, and no longer.
type Dialer func(again bool) (Transport, error)

// End is an engine of this project as a peer, as it is made for each connection.
type End struct {
	Config   *handshake.Config
	Answerer *handshake.Answerer
}

// memory is an engine as a peer.
type memory struct {
	End
	e *handshake.Engine
}

// Engine returns a dialer of engines of this project in memory.
func Engine(role attls.Role, end func() End) Dialer {
	var first *handshake.Answerer // of the word, with its sessions
	return func(again bool) (Transport, error) {
		of := end()
		if again {
			of.Answerer = first
		}
		first = of.Answerer
		if of.Config.Random == nil {
			of.Config.Random = enginetest.Random(role.String())
		}
		create := handshake.NewClient
		if role == attls.RoleServer {
			create = handshake.NewServer
		}
		e, err := create(of.Config)
		return &memory{of, e}, err
	}
}

// Answerer shows a certificate that is the same in every process, and takes any.
func Answerer(role attls.Role) *handshake.Answerer {
	return &handshake.Answerer{Credentials: []*handshake.Credential{enginetest.Credential(role.String())},
		Trust: handshake.Trust{InsecureSkipVerify: true}, Sequential: true}
}

func (t *memory) Send(b []byte) error {
	copy(t.e.Reserve(len(b)), b)
	_ = t.e.Commit(len(b)) // an error ends the connection, which Receive tells
	return nil
}

func (t *memory) Receive() (out []byte, closed bool, err error) {
	for range 64 {
		for ev, ok := t.e.Next(); ok; ev, ok = t.e.Next() {
			closed = closed || ev.Kind == handshake.EventClosed
			if ev.Kind == handshake.EventTicket && t.Answerer.ClientSessions != nil {
				t.Answerer.ClientSessions.Put(ev.Session)
			}
		}
		w := t.e.Waits()
		if len(w) == 0 || t.e.Err() != nil {
			break
		}
		if a, err := t.Answerer.Answer(context.Background(), w[0]); err != nil {
			_ = t.e.Fail(w[0].ID, err)
		} else {
			_ = t.e.Answer(w[0].ID, a)
		}
	}
	b := t.e.Output()
	out = slices.Clone(b)
	t.e.Wrote(len(b))
	return out, closed || t.e.Err() != nil, nil
}

func (t *memory) Close() {}

// Ask implements Asker. An engine that may not ask does not.
func (t *memory) Ask() { _ = t.e.RequestAuthentication() }

// network is a peer over TCP.
type network struct {
	c     net.Conn
	quiet time.Duration
}

// Dial returns a dialer of a server. What it does not send within quiet after a message
// does not count as an answer.
func Dial(address string, quiet time.Duration) Dialer {
	return Over(func() (net.Conn, error) { return net.DialTimeout("tcp", address, 5*time.Second) }, quiet)
}

// Over returns a dialer of a peer to which open makes connections.
func Over(open func() (net.Conn, error), quiet time.Duration) Dialer {
	return func(bool) (Transport, error) {
		c, err := open()
		if err != nil {
			return nil, err
		}
		return &network{c, quiet}, nil
	}
}

// Listen returns a dialer of a client that connects again and again: each connection that
// is accepted is one of it.
func Listen(l net.Listener, quiet, patience time.Duration) Dialer {
	return Over(func() (net.Conn, error) {
		if t, ok := l.(*net.TCPListener); ok {
			_ = t.SetDeadline(time.Now().Add(patience))
		}
		c, err := l.Accept()
		if err != nil {
			return nil, fmt.Errorf("no client has connected: %w", err)
		}
		return c, nil
	}, quiet)
}

func (t *network) Send(b []byte) error {
	_ = t.c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, err := t.c.Write(b)
	return err
}

// maxAnswer bounds what is read as the answer to one message, in octets.
const maxAnswer = 1 << 20

func (t *network) Receive() (out []byte, closed bool, err error) {
	b := make([]byte, 1<<15)
	for len(out) < maxAnswer {
		_ = t.c.SetReadDeadline(time.Now().Add(t.quiet))
		n, err := t.c.Read(b)
		out = append(out, b[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out, false, nil
		}
		if err != nil {
			return out, true, nil
		}
	}
	return out, true, nil
}

func (t *network) Close() { _ = t.c.Close() }
