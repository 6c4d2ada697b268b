package handshake

import (
	"context"
	"io"
	"time"

	"attls"
)

// abandon ends an established connection with an error, from whichever goroutine
// it comes: the peer is told, both directions are over, and who is blocked in
// Read or Write is woken. It returns why the connection ended, which is another
// error if that one came first. The alert is sent when it returns, unless it
// cannot be sent at once.
func (c *Conn) abandon(err *attls.Error) *attls.Error {
	c.mu.Lock()
	reason, first := c.failed(err)
	c.mu.Unlock()
	if first {
		c.tell(reason)
	}
	return reason
}

// Abort ends an established connection for a reason of the application, as a failed
// authenticator is one: the peer gets the alert of the failure, both directions are over,
// and later calls return the reason. It returns why the connection ended, which is another
// error if that one came first.
func (c *Conn) Abort(reason *attls.Error) error {
	if !c.complete.Load() {
		return attls.Errorf(attls.Local, attls.FailConfiguration, "Abort before the handshake is complete")
	}
	if reason == nil {
		reason = attls.Errorf(attls.Local, attls.FailInternal, "the application ended the connection")
	}
	return c.abandon(reason)
}

// failed makes the connection fail; first says that the caller has to tell of it
// once it has let go of c.mu.
func (c *Conn) failed(err *attls.Error) (reason *attls.Error, first bool) {
	if reason := c.dead.Load(); reason != nil {
		return reason, false
	}
	c.engine.fail(err) // completes the error
	reason = c.engine.err
	if alerts(reason) {
		drained, told := make(chan struct{}), make(chan struct{})
		c.drained.Store(&drained)
		c.told.Store(&told)
	}
	c.die(reason)
	return reason, true
}

// die records why the connection failed. The caller holds c.mu.
func (c *Conn) die(reason *attls.Error) {
	c.dead.Store(reason)
	if c.broken != nil {
		close(c.broken)
	}
	c.end()
}

// lifetime is the context of what is done after the handshake. The caller holds c.mu.
func (c *Conn) lifetime() context.Context {
	if c.life == nil {
		c.life, c.cancel = context.WithCancel(context.Background())
		if c.over {
			c.cancel()
		}
	}
	return c.life
}

// end ends the lifetime. The caller holds c.mu.
func (c *Conn) end() {
	if c.over = true; c.cancel != nil {
		c.cancel()
	}
}

// alerts reports whether the peer is told of an error.
func alerts(err *attls.Error) bool { return err.Class != attls.FromPeer && err.HasAlert }

// tell ends both directions after a failure. A record that a Write is sending is
// given the time to get through where an alert has to follow it.
func (c *Conn) tell(reason *attls.Error) {
	c.freeze(reads, past)
	if !alerts(reason) {
		c.freeze(writes, past)
		return
	}
	c.freeze(writes, time.Now().Add(alertTimeout))
	go func() {
		c.reading.Lock() // a Read that is blocked leaves first
		pending := c.pending
		c.pending = nil
		c.reading.Unlock()
		if pending != nil {
			<-pending
		}
		c.freeze(reads, time.Now().Add(alertTimeout))
		c.drain()
	}()
	send := func() {
		defer close(*c.told.Load())
		defer c.writer.Unlock()
		if c.writeErr == nil {
			_ = c.flights() // an outcome may say the same to the profile
			if c.writer.Alert(reason.Alert) == nil {
				_ = c.flush()
			}
		}
		c.closeWriteSide()
	}
	if !c.writer.TryLock() {
		go func() { // behind a Write, which the deadline frees
			c.writer.Lock()
			send()
		}()
		return
	}
	sent := make(chan struct{})
	go func() {
		send()
		close(sent)
	}()
	timer := time.NewTimer(hurry) // the peer may not be reading
	defer timer.Stop()
	select {
	case <-sent:
	case <-timer.C:
	}
}

// awaitTold lets a call that another goroutine has ended return once the alert is sent, or
// cannot be sent at once: its caller may leave the program.
func (c *Conn) awaitTold() {
	told := c.told.Load()
	if told == nil {
		return
	}
	timer := time.NewTimer(hurry)
	defer timer.Stop()
	select {
	case <-*told:
	case <-timer.C:
	}
}

// drain reads and forgets what the peer still sends, so that our side's closing
// is no reset and an alert of ours arrives.
func (c *Conn) drain() {
	defer close(*c.drained.Load())
	_, _ = io.Copy(io.Discard, onlyReader{c.nc})
}

// onlyReader hides the fast paths of a net.Conn.
type onlyReader struct{ io.Reader }

// closeWriteSide ends our direction of the transport where it can be ended alone.
func (c *Conn) closeWriteSide() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
