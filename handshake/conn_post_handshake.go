package handshake

import (
	"attls"
)

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
		c.engine.Write(c.early) // an error is the engine's own
	}
}

// keep takes a ticket in for keepTickets. The caller holds c.mu.
func (c *Conn) keep(s *Session) {
	if s != nil && c.answerer.ClientSessions != nil {
		c.tickets = append(c.tickets, s)
		c.arrived.Store(true)
	}
}

// keepTickets hands the tickets that have arrived to ClientSessions, whose
// callback may call the Conn.
func (c *Conn) keepTickets() {
	if !c.arrived.Load() {
		return
	}
	c.mu.Lock()
	tickets := c.tickets
	c.tickets = nil
	c.arrived.Store(false)
	c.mu.Unlock()
	for _, s := range tickets {
		c.answerer.ClientSessions.Put(s)
	}
}

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
	c.writer.Lock()
	defer c.writer.Unlock()
	return c.send(c.flights)
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

// post hands a message to the engine.
func (c *Conn) post(ev Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.engine.HandlePost(ev); err != nil {
		return err
	}
	c.askLater()
	return nil
}

// askLater lets the engine's waits be answered without holding up Read, and
// keeps the tickets that arrived. The caller holds c.mu.
func (c *Conn) askLater() {
	for ev, ok := c.engine.Next(); ok; ev, ok = c.engine.Next() {
		switch ev.Kind {
		case EventTicket:
			c.keep(ev.Session)
		case EventWait:
			c.expect()
			life := c.lifetime()
			go func() {
				answer, err := c.answerer.Answer(life, ev.Wait)
				c.settleLate(ev.Wait, answer, err)
			}()
		}
	}
}

// flights hands what the engine has made since the handshake to the Writer,
// whose lock the caller holds.
func (c *Conn) flights() *attls.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.SendFlights()
}
