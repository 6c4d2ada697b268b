package handshake

import "attls"

// RequestAuthentication asks the client for a certificate (RFC 8446 section
// 4.6.2). The answer arrives while Read runs; State then shows the chain. Where the
// profile puts a nonce into the request, the source of nonces is asked first.
func (c *Conn) RequestAuthentication() error {
	if err := c.Handshake(); err != nil {
		return err
	}
	c.mu.Lock()
	err := c.engine.RequestAuthentication()
	ev, _ := c.engine.Next()
	c.mu.Unlock()
	if err == nil && ev.Wait != nil { // the nonce that the request carries
		err = c.answerNonce(ev.Wait)
	}
	if err != nil {
		return err
	}
	return c.called(func() error { return c.send(c.flights) })
}

// ExtendedKeyUpdate asks the peer for a fresh key exchange; see
// Engine.ExtendedKeyUpdate. The answer arrives while Read runs.
func (c *Conn) ExtendedKeyUpdate() error {
	return c.called(c.renewKeys)
}

// renewKeys begins an extended key update. The caller holds the Writer's lock.
func (c *Conn) renewKeys() error {
	if err := c.writable(); err != nil {
		return err
	}
	if c.writer.closed {
		return attls.Errorf(attls.Local, attls.FailCanceled, "a key update after close_notify")
	}
	c.mu.Lock()
	err := c.engine.ExtendedKeyUpdate()
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.send(c.flights)
}

// ExportEpoch exports from the exporter secret of an epoch; see Engine.ExportEpoch.
func (c *Conn) ExportEpoch(epoch uint64, label string, context []byte, length int) ([]byte, error) {
	return c.export(func(e *Engine) ([]byte, error) { return e.ExportEpoch(epoch, label, context, length) })
}

// answerNonce answers the wait that holds a request back.
func (c *Conn) answerNonce(w *Wait) error {
	c.mu.Lock()
	life := c.lifetime()
	c.mu.Unlock()
	answer, failure := c.answerer.Answer(life, w)
	c.mu.Lock()
	c.settle(w, answer, failure)
	err := c.engine.Err()
	c.mu.Unlock()
	if err != nil {
		return c.abandon(err)
	}
	return nil
}

// IssueTicket lets a server send one more ticket.
func (c *Conn) IssueTicket() error {
	if err := c.Handshake(); err != nil {
		return err
	}
	c.mu.Lock()
	err := c.engine.IssueTicket()
	c.askLater()
	c.mu.Unlock()
	return err
}

// Export is TLS-Exporter; see Engine.Export.
func (c *Conn) Export(label string, context []byte, length int) ([]byte, error) {
	return c.export(func(e *Engine) ([]byte, error) { return e.Export(label, context, length) })
}

// ExportNamed uses an exporter of the profile; see Engine.ExportNamed.
func (c *Conn) ExportNamed(exporter, label string, context []byte, length int) ([]byte, error) {
	return c.export(func(e *Engine) ([]byte, error) { return e.ExportNamed(exporter, label, context, length) })
}

func (c *Conn) export(f func(*Engine) ([]byte, error)) ([]byte, error) {
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return f(c.engine)
}
