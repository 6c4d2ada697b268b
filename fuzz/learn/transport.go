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

// Fated is a Transport that knows what ended a connection, besides the peer's closing it: the
// peer floods, hangs, or its process has died. It is asked once that is over. alerted: an alert has
// come, which processes that die do not send.
type Fated interface{ Fate(alerted bool) string }

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

// Wait says when a peer on the network has answered.
type Wait struct {
	// Quiet is for how long a peer that cannot be watched sends nothing then. A process on this
	// machine (on Linux) has answered when it has read everything and sleeps.
	Quiet time.Duration
	// ByTime is for a peer that is not to be watched.
	ByTime bool
	// Longest is how long a peer that is watched may take; it hangs then. 0: 30 s.
	Longest time.Duration
	// Died says what ended the peer's process, such as a signal; empty: nothing unusual. It is called
	// after a connection that ended without an alert. Nil: it is not known.
	Died func() string
}

// network is a peer over TCP.
type network struct {
	c              net.Conn
	wait           Wait
	watch          watch // nil: it is not watched
	sent, received uint64
	blind          bool // its process could not be seen
	fate           string
}

// Dial returns a dialer of a server.
func Dial(address string, w Wait) Dialer {
	return Over(func() (net.Conn, error) { return net.DialTimeout("tcp", address, 5*time.Second) }, w)
}

// Over returns a dialer of a peer to which open makes connections.
func Over(open func() (net.Conn, error), w Wait) Dialer {
	if w.Longest == 0 {
		w.Longest = 30 * time.Second
	}
	return func(bool) (Transport, error) {
		c, err := open()
		if err != nil {
			return nil, err
		}
		t := &network{c: c, wait: w}
		if !w.ByTime {
			t.watch = newWatch(c)
		}
		return t, nil
	}
}

// Listen returns a dialer of a client that connects again and again: each connection that
// is accepted is one of it.
func Listen(l net.Listener, w Wait, patience time.Duration) Dialer {
	return Over(func() (net.Conn, error) {
		if t, ok := l.(*net.TCPListener); ok {
			_ = t.SetDeadline(time.Now().Add(patience))
		}
		c, err := l.Accept()
		if err != nil {
			return nil, fmt.Errorf("no client has connected: %w", err)
		}
		return c, nil
	}, w)
}

func (t *network) Send(b []byte) error {
	_ = t.c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	n, err := t.c.Write(b)
	t.sent += uint64(n)
	return err
}

// maxAnswer bounds what is read as the answer to one message, in octets.
const maxAnswer = 1 << 20

// What ends a word besides a closed connection.
const (
	flooded = "flood"
	hung    = "hang"
)

// looks are how often a peer is looked at: more and more seldom.
const (
	firstLook = 100 * time.Microsecond
	lastLook  = 5 * time.Millisecond
)

func (t *network) Receive() (out []byte, closed bool, err error) {
	b := make([]byte, 1<<15)
	look, last := firstLook, time.Now()
	for len(out) < maxAnswer {
		step := look
		if t.watch == nil {
			step = t.wait.Quiet
		}
		_ = t.c.SetReadDeadline(time.Now().Add(step))
		n, err := t.c.Read(b)
		out, t.received = append(out, b[:n]...), t.received+uint64(n)
		switch {
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return out, true, nil
		case n > 0:
			look, last = firstLook, time.Now()
			continue
		case t.watch == nil:
			return out, false, nil
		}
		idle, known := t.watch.idle(t.sent, t.received)
		t.blind = t.blind || !known
		switch quiet := time.Since(last); {
		case known && idle, !known && quiet >= t.wait.Quiet:
			return out, false, nil
		case known && quiet >= t.wait.Longest:
			t.fate = hung
			return out, true, nil
		}
		look = min(2*look, lastLook)
	}
	t.fate = flooded
	return out, true, nil
}

// Fate implements Fated.
func (t *network) Fate(alerted bool) string {
	if t.fate == "" && !alerted && t.wait.Died != nil {
		t.fate = t.wait.Died()
	}
	return t.fate
}

func (t *network) Close() {
	if t.watch != nil {
		t.watch.close()
		t.watch = nil
	}
	_ = t.c.Close()
}
