package exported

import (
	"context"
	"time"
)

// past is a deadline that is over.
var past = time.Unix(1, 0)

// wakeAfter ends Reads when a context does, until the caller calls what it returns. The
// deadline of the user holds again then.
func (c *Conn) wakeAfter(ctx context.Context) (done func()) {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.deadlines.Lock()
		c.woken++
		_ = c.Conn.SetReadDeadline(past)
		c.deadlines.Unlock()
		close(woken)
	})
	return func() {
		if stop() {
			return
		}
		<-woken
		c.deadlines.Lock()
		defer c.deadlines.Unlock()
		if c.woken--; c.woken == 0 {
			_ = c.Conn.SetReadDeadline(c.asked)
		}
	}
}

// SetDeadline sets both deadlines; see handshake.Conn.SetDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetReadDeadline bounds Reads; see handshake.Conn.SetReadDeadline. A Read that has to send
// an answer, which the peer does not take, ends with the deadline for Writes.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.asked = t; c.woken > 0 {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}
