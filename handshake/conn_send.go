package handshake

import "attls"

// send lets f put something into the Writer and sends it. The caller holds the
// Writer's lock.
func (c *Conn) send(f func() *attls.Error) error {
	if err := c.writable(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return c.flush()
}

// sendReady sends the KeyUpdate that the peer asked for and what the Engine has
// made. The caller holds the Writer's lock.
func (c *Conn) sendReady() *attls.Error {
	if err := c.writer.AnswerUpdate(); err != nil {
		return err
	}
	return c.flights()
}

// sendReadyFirst is sendReady in front of what the user sends: what fails is lost to whoever else
// would send it, so that the connection ends here. The caller holds the Writer's lock.
func (c *Conn) sendReadyFirst() *attls.Error {
	if err := c.sendReady(); err != nil {
		return c.abandon(err)
	}
	return nil
}

// flights hands what the engine has made since the handshake to the Writer,
// whose lock the caller holds.
func (c *Conn) flights() *attls.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.SendFlights()
}

// sendLater lets the KeyUpdate that the peer asked for, and what the Engine has
// made, be sent without waiting for it: a Write may be blocked. No more than two
// goroutines do so, one that sends and one that waits for it.
func (c *Conn) sendLater() {
	if !c.sending.CompareAndSwap(false, true) {
		return
	}
	go func() {
		c.writer.Lock()
		defer c.writer.Unlock()
		c.sending.Store(false) // what comes from now on needs another
		if c.writer.closed {   // by a CloseWrite, after which the peer gets no answers
			c.mu.Lock()
			c.engine.post.ready = nil
			c.mu.Unlock()
			return
		}
		err := c.send(c.sendReady)
		if failure, ok := err.(*attls.Error); ok { // there is nobody else to tell
			_ = c.abandon(failure)
		}
	}()
}
