package handshake_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"attls"
	"attls/handshake"
)

// patient is how long what is bounded may last on a machine with much else to do. It is less
// than the five seconds that an alert is given.
const patient = 4 * time.Second

// bounds is a net.Conn that knows the last deadline for writing.
type bounds struct {
	net.Conn
	mu   sync.Mutex
	last time.Time
}

func (b *bounds) SetWriteDeadline(t time.Time) error {
	b.mu.Lock()
	b.last = t
	b.mu.Unlock()
	return b.Conn.SetWriteDeadline(t)
}

// bounded reports whether writing ends in the time of an alert, or sooner.
func (b *bounds) bounded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := time.Until(b.last)
	return !b.last.IsZero() && left <= 5*time.Second
}

// blocked makes a connection whose server has begun to do something and cannot go on, as
// the client does not read. It returns the octets that the client has still to read.
func blocked(t *testing.T, do func(server *handshake.Conn) error) (client, server *handshake.Conn, rest net.Conn, nc *bounds, ended chan error) {
	t.Helper()
	a, b := net.Pipe()
	nc = &bounds{Conn: b}
	config := &handshake.Config{PostHandshakeAuthentication: true}
	client, server = conns(t, a, nc, config, config, trusting("client"), trusting("server"))
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatal(ce, se)
	}
	ended = make(chan error, 1)
	go func() { ended <- do(server) }()
	if _, err := io.ReadFull(a, make([]byte, 1)); err != nil { // it is under way
		t.Fatal(err)
	}
	return client, server, a, nc, ended
}

// TestCloseBesideBlockedCalls: Close does not wait for a call that cannot go on, and ends it.
func TestCloseBesideBlockedCalls(t *testing.T) {
	for name, do := range map[string]func(*handshake.Conn) error{
		"Write":                 func(c *handshake.Conn) error { _, err := c.Write(make([]byte, 1<<20)); return err },
		"KeyUpdate":             func(c *handshake.Conn) error { return c.KeyUpdate(true) },
		"RequestAuthentication": (*handshake.Conn).RequestAuthentication,
		"CloseWrite":            (*handshake.Conn).CloseWrite,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server, _, _, ended := blocked(t, do)
			begun := time.Now()
			if err := server.Close(); err != nil {
				t.Error(err)
			}
			if d := time.Since(begun); d > patient {
				t.Errorf("Close took %v", d)
			}
			if err := <-ended; err == nil {
				t.Error("no error after Close")
			}
		})
	}
}

// TestUnreadIsBounded: what a connection says at its end is bounded in time although nobody
// reads: close_notify, and an alert behind a Write that is blocked.
func TestUnreadIsBounded(t *testing.T) {
	t.Run("CloseWrite", func(t *testing.T) {
		_, _, _, nc, _ := blocked(t, (*handshake.Conn).CloseWrite)
		if !nc.bounded() {
			t.Errorf("the deadline is %v", nc.last)
		}
	})
	t.Run("an earlier deadline holds", func(t *testing.T) {
		_, server, _, nc, ended := blocked(t, (*handshake.Conn).CloseWrite)
		if err := server.SetWriteDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil || !nc.bounded() {
			t.Errorf("%v, and the deadline is %v", err, nc.last)
		}
	})
	t.Run("an alert", func(t *testing.T) {
		_, server, _, nc, ended := blocked(t, func(c *handshake.Conn) error {
			_, err := c.Write(make([]byte, 1<<20))
			return err
		})
		begun := time.Now()
		server.Abort(attls.Errorf(attls.Refused, attls.FailAppraisal, "enough"))
		if d := time.Since(begun); d > patient {
			t.Errorf("Abort took %v", d)
		}
		if !nc.bounded() {
			t.Errorf("the deadline is %v", nc.last)
		}
		nc.Close() // instead of when the time is over
		if err := <-ended; !failsWith(err, attls.FailAppraisal) {
			t.Errorf("Write: %v", err)
		}
	})
}

// TestAlertBehindABlockedWrite: where the peer reads on, it finds the alert behind the records
// that were under way, and no more data.
func TestAlertBehindABlockedWrite(t *testing.T) {
	a, b := net.Pipe()
	client, server := conns(t, a, b, &handshake.Config{}, &handshake.Config{}, trusting(""), trusting("server"))
	if ce, se := both(client, server); ce != nil || se != nil {
		t.Fatal(ce, se)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := server.Write(make([]byte, 1<<20))
		ended <- err
	}()
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil { // it is under way
		t.Fatal(err)
	}
	server.Abort(attls.Errorf(attls.Refused, attls.FailAppraisal, "enough"))
	n, err := io.Copy(io.Discard, client)
	if !failsWith(err, attls.FailPeerAlert) || n > 1<<17 {
		t.Errorf("%d octets, and %v", n, err)
	}
	if err := <-ended; !failsWith(err, attls.FailAppraisal) {
		t.Errorf("Write: %v", err)
	}
}
