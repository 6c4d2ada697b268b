package main

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"attls"
)

// past is a deadline that is over.
var past = time.Unix(1, 0)

// transport is the network connection of an endpoint. It ends itself when nothing
// has gone either way for too long, and no Write lasts longer than that.
type transport struct {
	net.Conn
	limit  atomic.Int64 // nanoseconds in which nothing may happen; 0: no limit
	active atomic.Int64 // when something did, in nanoseconds since begun
	begun  time.Time
	cause  atomic.Pointer[attls.Error] // why this end gave up

	mu      sync.Mutex
	write   time.Time // deadline for writing that was set from outside
	timer   *time.Timer
	silence string // what the error says of the limit
	failure attls.Failure
	reading bool          // somebody waits for more, and has handled what came before
	asked   chan struct{} // closed when somebody does; nil: nobody waits for that
}

// newTransport bounds how long nothing may happen; 0: no bound.
func newTransport(nc net.Conn, limit time.Duration) *transport {
	t := &transport{Conn: nc, begun: time.Now()}
	t.bound(limit, attls.FailTimeout, "nothing was sent or received for %v")
	return t
}

// bound changes the time in which nothing may happen, and what an error says when it
// is over.
func (t *transport) bound(limit time.Duration, f attls.Failure, silence string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit.Store(int64(limit))
	t.failure, t.silence = f, silence
	t.active.Store(int64(time.Since(t.begun)))
	if t.timer != nil {
		t.timer.Stop()
	}
	if limit > 0 {
		t.timer = time.AfterFunc(limit, t.look)
	}
}

// look ends the connection if it is idle, and comes again if not.
func (t *transport) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	limit := time.Duration(t.limit.Load())
	if limit == 0 {
		return
	}
	if left := limit - (time.Since(t.begun) - time.Duration(t.active.Load())); left > 0 {
		t.timer = time.AfterFunc(left, t.look)
		return
	}
	class := attls.Local
	if t.failure == attls.FailTruncated {
		class = attls.FromPeer
	}
	t.over(attls.Errorf(class, t.failure, t.silence, limit))
}

// end lets every Read and Write fail, for a reason. Only the first reason counts.
func (t *transport) end(why *attls.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over(why)
}

// over is end for a holder of t.mu.
func (t *transport) over(why *attls.Error) {
	t.cause.CompareAndSwap(nil, why)
	t.Conn.SetDeadline(past)
}

func (t *transport) touched(n int) {
	if n > 0 {
		t.active.Store(int64(time.Since(t.begun)))
	}
}

func (t *transport) Read(b []byte) (int, error) {
	t.asks(true)
	n, err := t.Conn.Read(b)
	t.asks(false)
	t.touched(n)
	return n, err
}

func (t *transport) asks(reading bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reading = reading; reading && t.asked != nil {
		close(t.asked)
		t.asked = nil
	}
}

// caughtUp waits until what was read so far is handled, as whoever reads asks for more, or until
// over is closed or the context ends.
func (t *transport) caughtUp(ctx context.Context, over <-chan struct{}) {
	t.mu.Lock()
	if t.reading {
		t.mu.Unlock()
		return
	}
	if t.asked == nil {
		t.asked = make(chan struct{})
	}
	asked := t.asked
	t.mu.Unlock()
	select {
	case <-asked:
	case <-over:
	case <-ctx.Done():
	}
}

// Write has a deadline of its own, unless an earlier one was set: a peer may send on
// and on and read nothing.
func (t *transport) Write(b []byte) (int, error) {
	t.mu.Lock()
	if limit := time.Duration(t.limit.Load()); limit > 0 && t.cause.Load() == nil {
		if own := time.Now().Add(limit); t.write.IsZero() || own.Before(t.write) {
			t.Conn.SetWriteDeadline(own)
		}
	}
	t.mu.Unlock()
	n, err := t.Conn.Write(b)
	t.touched(n)
	return n, err
}

func (t *transport) SetDeadline(when time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.write = when
	return t.Conn.SetDeadline(when)
}

func (t *transport) SetWriteDeadline(when time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.write = when
	return t.Conn.SetWriteDeadline(when)
}

// CloseWrite ends our direction where that can be ended alone.
func (t *transport) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (t *transport) Close() error {
	t.mu.Lock()
	t.limit.Store(0)
	if t.timer != nil {
		t.timer.Stop()
	}
	t.mu.Unlock()
	return t.Conn.Close()
}
