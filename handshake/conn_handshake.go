package handshake

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"attls"
)

const (
	handshakeRead = 4096
	// maxHeld is how many octets are taken in while an answer is outstanding.
	maxHeld = 1 << 17
	// hurry bounds the time for the alert when the caller's time is over.
	hurry = 200 * time.Millisecond
)

// received is the result of one Read.
type received struct {
	n   int
	err error
}

// pump reads for the handshake, which meanwhile writes or waits for answers.
type pump struct {
	requests chan []byte
	results  chan received
	busy     bool
}

func startPump(nc net.Conn) *pump {
	p := &pump{requests: make(chan []byte), results: make(chan received, 1)}
	go func() {
		for b := range p.requests {
			n, err := nc.Read(b)
			p.results <- received{n, err}
		}
	}()
	return p
}

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
			h.abort(h.interrupted())
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

// settle hands an answer to the engine. The caller holds c.mu.
func (c *Conn) settle(w *Wait, a Answer, err *attls.Error) {
	if err != nil {
		c.engine.Fail(w.ID, err)
	} else {
		c.engine.Answer(w.ID, a)
	}
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
		h.abort(h.late(r.err))
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
		h.abort(h.late(h.broken))
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
	c.writeOutput()
	c.closeWriteSide()
	return failure
}
