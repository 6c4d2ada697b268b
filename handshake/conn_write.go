package handshake

import (
	"net"
	"time"

	"attls"
)

// Write writes application data, in as many records as it needs. What the peer has asked for
// before, such as the parts of a key update, goes first.
func (c *Conn) Write(b []byte) (n int, err error) {
	err = c.called(func() error {
		if c.sending.Load() { // it waits for the lock that we have
			if err := c.send(c.sendReadyFirst); err != nil {
				return err
			}
		}
		for n < len(b) {
			chunk := b[n:min(len(b), n+writeChunk)]
			if err := c.sendData(chunk); err != nil {
				return err
			}
			n += len(chunk)
		}
		return nil
	})
	return n, err
}

// called runs what the user has called to send something, with the Writer's lock. Close
// does not wait for it.
func (c *Conn) called(f func() error) (err error) {
	defer func() {
		if err != nil {
			c.awaitTold() // with the lock let go of, which the alert may wait for
		}
	}()
	if c.calls.Add(2)&1 != 0 {
		c.calls.Add(-2)
		return net.ErrClosed
	}
	defer c.calls.Add(-2)
	if err := c.Handshake(); err != nil {
		return err
	}
	c.writer.Lock()
	defer c.writer.Unlock()
	return f()
}

// sendData protects and sends data. The caller holds the Writer's lock.
func (c *Conn) sendData(b []byte) error {
	if err := c.writable(); err != nil {
		return err
	}
	if err := c.writer.Write(b); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	if c.writer.spent() {
		_ = c.renewKeys() // it may be under way
	}
	return nil
}

// KeyUpdate changes the key that this end sends with and, on request, asks the
// peer to do the same (RFC 8446 section 4.6.3).
func (c *Conn) KeyUpdate(request bool) error {
	return c.called(func() error {
		return c.send(func() *attls.Error { return c.writer.KeyUpdate(request) })
	})
}

// CloseWrite sends close_notify: this end writes no more and can read on (RFC
// 8446 section 6.1). The net.Conn stays open. Answers that are ready go before it;
// who wants to wait for those that are not calls Settled first. It waits for Writes that are
// under way, which SetWriteDeadline bounds; sending then takes at most five seconds.
func (c *Conn) CloseWrite() error {
	if !c.complete.Load() {
		return attls.Errorf(attls.Local, attls.FailConfiguration, "CloseWrite before the handshake is complete")
	}
	return c.called(c.closeNotify)
}

// closeNotify sends close_notify. The caller holds the Writer's lock.
func (c *Conn) closeNotify() error {
	if !c.writer.closed {
		c.tighten(writes, time.Now().Add(alertTimeout)) // the peer may not be reading
	}
	return c.send(func() *attls.Error {
		if !c.writer.closed { // the goroutine that sends them may not have run yet
			if err := c.sendReadyFirst(); err != nil {
				return err
			}
		}
		return c.writer.CloseNotify()
	})
}

// Close sends close_notify, unless a Write, or another call that sends something, is under way
// or the connection has failed, and closes the net.Conn. Where the peer does not read, it
// takes at most five seconds. After a failure it waits up to a second for
// the peer to take note of the alert, which a reset would destroy.
func (c *Conn) Close() error {
	for {
		calls := c.calls.Load()
		if calls&1 != 0 {
			return net.ErrClosed
		}
		if !c.calls.CompareAndSwap(calls, calls|1) {
			continue
		}
		defer func() {
			c.mu.Lock()
			c.end()
			c.mu.Unlock()
		}()
		if drained := c.drained.Load(); drained != nil {
			timer := time.NewTimer(lingerTimeout)
			defer timer.Stop()
			select {
			case <-*drained:
			case <-timer.C:
			}
			return c.nc.Close()
		}
		var notify error
		if calls == 0 && c.complete.Load() && c.dead.Load() == nil {
			c.freeze(writes, time.Now().Add(alertTimeout))
			c.writer.Lock() // which holders give up by then
			notify = c.closeNotify()
			c.writer.Unlock()
		}
		if err := c.nc.Close(); err != nil {
			return err
		}
		return notify
	}
}
