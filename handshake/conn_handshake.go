package handshake

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"attls"
)

// shake is one run of the handshake.
type shake struct {
	c     *Conn
	ctx   context.Context
	pump  *pump
	wake  chan struct{} // a wait was answered
	ended error         // why the peer's direction is at its end
	// broken is why writing failed; the handshake then goes on reading, as the
	// peer's alert may say more.
	broken error
}

// handshake drives the engine until it is done or has failed. The caller holds
// c.shaking.
func (c *Conn) handshake(outer context.Context) error {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	h := &shake{c: c, ctx: ctx, pump: startPump(c.nc), wake: make(chan struct{}, 1)}
	defer close(h.pump.requests)
	// A Write that is blocked does not see the context.
	expired := make(chan struct{})
	stop := context.AfterFunc(outer, func() {
		c.interrupt()
		close(expired)
	})
	failure := h.run()
	if !stop() {
		<-expired
		if failure == nil { // the deadline is set, so the connection is of no use
			failure = h.abort(h.interrupted())
		}
	}
	if failure != nil {
		return h.fail(failure)
	}
	return h.establish()
}

// run goes on until the handshake is complete.
func (h *shake) run() *attls.Error {
	for {
		done, failure := h.progress()
		if failure != nil {
			return failure
		}
		if !done {
			h.read()
		}
		h.write()
		if done {
			return h.unsent()
		}
		select {
		case r := <-h.pump.results:
			h.take(r)
		case <-h.wake:
		case <-h.ctx.Done():
			_ = h.abort(h.interrupted())
		}
	}
}

// progress handles the engine's events.
func (h *shake) progress() (done bool, failure *attls.Error) {
	for {
		w, done, failure := h.nextWait()
		if w == nil {
			return done, failure
		}
		h.ask(w)
	}
}

// nextWait handles events up to the next wait. Without one there is no event left.
func (h *shake) nextWait() (w *Wait, done bool, failure *attls.Error) {
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for ev, ok := c.engine.Next(); ok; ev, ok = c.engine.Next() {
		switch ev.Kind {
		case EventWait:
			if ev.Wait.Blocks == BlocksNothing {
				c.expect()
			}
			return ev.Wait, false, nil
		case EventTicket:
			c.keep(ev.Session)
		case EventEarlyData:
			if ev.Early == EarlyDataOpen {
				c.writeEarly()
			}
		case EventData: // early, or behind the last handshake message in the same input
			c.backlog = append(c.backlog, ev.Data...)
		}
	}
	failure = c.engine.Err()
	h.explain(failure)
	if c.engine.Done() {
		return nil, true, nil
	}
	return nil, false, failure
}

// ask answers a wait at once, or lets it be answered.
func (h *shake) ask(w *Wait) {
	c := h.c
	if w.Blocks != BlocksNothing && c.answerer.immediate(w) {
		answer, err := c.answerer.Answer(h.ctx, w)
		c.mu.Lock()
		c.settle(w, answer, err)
		c.mu.Unlock()
		return
	}
	wake := func() {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
	if w.Blocks == BlocksNothing {
		c.mu.Lock()
		life := c.lifetime()
		c.mu.Unlock()
		go func() {
			answer, err := c.answerer.Answer(life, w)
			c.settleLate(w, answer, err)
			wake()
		}()
		return
	}
	go func() {
		answer, err := c.answerer.Answer(h.ctx, w)
		if h.ctx.Err() == nil { // else the handshake says itself why it ended
			c.mu.Lock()
			c.settle(w, answer, err)
			c.mu.Unlock()
		}
		wake()
	}()
}

// read lets the pump read more, unless too much waits for an answer already.
func (h *shake) read() {
	c := h.c
	if h.pump.busy || h.ended != nil {
		return
	}
	c.mu.Lock()
	full := c.engine.Blocked() && c.engine.Buffered() >= maxHeld
	var room []byte
	if !full {
		room = c.engine.Reserve(handshakeRead)
	}
	c.mu.Unlock()
	if !full {
		h.pump.busy = true
		h.pump.requests <- room
	}
}

// take hands what was read to the engine.
func (h *shake) take(r received) {
	c := h.c
	h.pump.busy = false
	c.mu.Lock()
	c.engine.Commit(r.n)
	c.mu.Unlock()
	switch {
	case r.err == nil || h.ctx.Err() != nil:
	case errors.Is(r.err, os.ErrDeadlineExceeded):
		_ = h.abort(h.late(r.err))
	default:
		h.ended = r.err
		c.mu.Lock()
		c.engine.InputEOF()
		c.mu.Unlock()
	}
}

// write sends what the engine has for the peer.
func (h *shake) write() {
	if h.broken != nil {
		return
	}
	if h.broken = h.c.writeOutput(); h.broken == nil || h.ctx.Err() != nil {
		return
	}
	if errors.Is(h.broken, os.ErrDeadlineExceeded) {
		_ = h.abort(h.late(h.broken))
		return
	}
	h.c.bound(reads, time.Now().Add(alertTimeout))
}

// writeOutput sends the engine's output.
func (c *Conn) writeOutput() error {
	for {
		c.mu.Lock()
		out := c.engine.Output()
		c.mu.Unlock()
		if len(out) == 0 {
			return nil
		}
		n, err := c.nc.Write(out)
		c.mu.Lock()
		c.engine.Wrote(n)
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// unsent is the failure of a handshake whose last flight could not be sent.
func (h *shake) unsent() *attls.Error {
	if h.broken == nil {
		return nil
	}
	return because(h.broken, attls.FailTruncated, "the last flight could not be sent")
}

// explain adds the cause to the error of an end that came too early.
func (h *shake) explain(failure *attls.Error) {
	switch {
	case failure == nil || failure.Failure != attls.FailTruncated || failure.Err != nil:
	case h.broken != nil:
		failure.Err = h.broken
	case h.ended == io.EOF:
		failure.Err = io.ErrUnexpectedEOF
	default:
		failure.Err = h.ended
	}
}

// interrupted is the error of a handshake whose context has ended.
func (h *shake) interrupted() *attls.Error {
	cause := context.Cause(h.ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		return h.late(cause)
	}
	return because(cause, attls.FailCanceled, "the handshake was canceled")
}

func (h *shake) late(cause error) *attls.Error {
	return because(cause, attls.FailTimeout, "the handshake took too long")
}

// abort ends the engine with an error and returns the one it ended with.
func (h *shake) abort(err *attls.Error) *attls.Error {
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.Abort(err)
	return c.engine.Err()
}

// establish takes the halves over once the handshake is complete.
func (h *shake) establish() error {
	c := h.c
	c.mu.Lock()
	if h.pump.busy {
		c.pending = h.pump.results
	}
	c.reader, c.writer = c.engine.Split()
	c.socket = newIdleReader(c)
	c.askLater() // what came behind the last handshake message
	first := false
	if err := c.engine.Err(); err != nil { // in what followed the last handshake message
		c.readErr = err
		_, first = c.failed(err)
	}
	c.mu.Unlock()
	if first {
		c.tell(c.dead.Load())
	}
	return nil
}

// fail tells the peer of the failure.
func (h *shake) fail(failure *attls.Error) error {
	c := h.c
	told := failure.Class != attls.FromPeer && (h.broken == nil || h.ctx.Err() != nil)
	c.mu.Lock()
	if told {
		drained := make(chan struct{})
		c.drained.Store(&drained)
	}
	c.die(failure)
	c.mu.Unlock()
	if !told {
		return failure
	}
	grace := alertTimeout
	if failure.Failure == attls.FailTimeout || failure.Failure == attls.FailCanceled {
		grace = hurry
	}
	for _, d := range bothDirections {
		c.freeze(d, time.Now().Add(grace))
	}
	go c.drain()
	_ = c.writeOutput()
	c.closeWriteSide()
	return failure
}

// SetEarlyData gives a client data to send as early data, if a session allows
// it; call it before the handshake. It is sent whole or not at all, and what
// became of it State tells after the handshake: unless it was accepted, it is
// for the caller to send again. Early data can be replayed by an attacker.
//
// A server's Conn hands early data to Read after the handshake is complete, as
// if it had come then.
func (c *Conn) SetEarlyData(b []byte) { c.early = b }

// writeEarly sends the early data once that may be. The caller holds c.mu.
func (c *Conn) writeEarly() {
	if n := len(c.early); n > 0 && n <= c.engine.EarlyDataLeft() {
		_ = c.engine.Write(c.early) // an error is the engine's own
	}
}

// Handshake is HandshakeContext without a bound in time.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext runs the handshake unless it has been run. Read and Write
// call it; only a context for it needs an explicit call. When the context ends
// first, the connection is over.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.complete.Load() {
		return nil
	}
	defer c.keepTickets()
	c.shaking.Lock()
	defer c.shaking.Unlock()
	if c.err != nil || c.complete.Load() {
		return c.err
	}
	c.err = c.handshake(ctx)
	if c.err == nil {
		c.complete.Store(true)
	}
	return c.err
}
