package handshake

import (
	"context"
	"net"

	"attls"
)

// Settled waits until the verdicts that block nothing are there; they are then
// in ConnectionState. It returns early, with the reason, when the connection has
// failed, with net.ErrClosed when Close did not wait for a verdict, and when the
// context ends.
func (c *Conn) Settled(ctx context.Context) error {
	err := c.settledOrFailed(ctx)
	if err != nil {
		c.awaitTold()
	}
	return err
}

func (c *Conn) settledOrFailed(ctx context.Context) error {
	c.mu.Lock()
	late, settled := c.late > 0 && c.dead.Load() == nil, c.settled
	if late && c.broken == nil {
		c.broken = make(chan struct{})
	}
	broken := c.broken
	c.mu.Unlock()
	if late {
		select {
		case <-settled:
		case <-broken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.dead.Load(); err != nil {
		return err
	}
	if c.dropped {
		return net.ErrClosed
	}
	return nil
}

// expect counts an answer that blocks nothing. The caller holds c.mu.
func (c *Conn) expect() {
	if c.late == 0 {
		c.settled = make(chan struct{})
	}
	c.late++
}

// settleLate takes an answer that blocks nothing and goes on with what the
// engine makes of it.
func (c *Conn) settleLate(w *Wait, a Answer, failure *attls.Error) {
	c.mu.Lock()
	if !c.over {
		c.settle(w, a, failure)
	} else if c.dead.Load() == nil {
		c.dropped = true
	}
	established, first := c.reader != nil, false
	var reason *attls.Error
	if established {
		c.askLater()
		defer c.keepTickets()
		if err := c.engine.Err(); err != nil {
			reason, first = c.failed(err)
		}
	}
	if c.late--; c.late == 0 {
		close(c.settled)
	}
	c.mu.Unlock()
	switch {
	case first:
		c.tell(reason)
	case established:
		c.sendLater()
	}
}

// askLater lets the engine's waits be answered without holding up Read, and
// keeps the tickets that arrived. The caller holds c.mu.
func (c *Conn) askLater() {
	for ev, ok := c.engine.Next(); ok; ev, ok = c.engine.Next() {
		switch ev.Kind {
		case EventTicket:
			c.keep(ev.Session)
		case EventKeyEpoch:
			if c.answerer.KeyEpoch != nil {
				c.epoch = ev.Epoch
				c.arrived.Store(true)
			}
		case EventReattested:
			if c.answerer.Reattested != nil {
				c.reattested = ev.Epoch
				c.arrived.Store(true)
			}
		case EventAuthenticated:
			if c.answerer.Authenticated != nil {
				c.answers++
				c.arrived.Store(true)
			}
		case EventWait:
			c.expect()
			if c.asks = append(c.asks, ev.Wait); len(c.asks) == 1 || !c.answerer.Sequential {
				go c.answerLate()
			}
		}
	}
}

// answerLate answers the waits of a connection that is established: each in a goroutine of
// its own, or, where answers are to be sequential, one after the other.
func (c *Conn) answerLate() {
	for more := true; more; {
		c.mu.Lock()
		w, life := c.asks[0], c.lifetime()
		if !c.answerer.Sequential {
			c.asks = c.asks[1:]
		}
		c.mu.Unlock()
		answer, err := c.answerer.Answer(life, w)
		c.settleLate(w, answer, err)
		if more = c.answerer.Sequential; more {
			c.mu.Lock()
			c.asks = c.asks[1:]
			more = len(c.asks) > 0
			c.mu.Unlock()
		}
	}
}

// keep takes a ticket in for keepTickets. The caller holds c.mu.
func (c *Conn) keep(s *Session) {
	if s != nil && c.answerer.ClientSessions != nil {
		c.tickets = append(c.tickets, s)
		c.arrived.Store(true)
	}
}

// keepTickets hands the tickets that have arrived to ClientSessions, and tells of a new
// epoch and of clients that have authenticated. The callbacks may call the Conn.
func (c *Conn) keepTickets() {
	if !c.arrived.Load() {
		return
	}
	c.mu.Lock()
	tickets, epoch, answers, reattested := c.tickets, c.epoch, c.answers, c.reattested
	c.tickets, c.epoch, c.answers, c.reattested = nil, 0, 0, 0
	c.arrived.Store(false)
	c.mu.Unlock()
	for _, s := range tickets {
		c.answerer.ClientSessions.Put(s)
	}
	if epoch > 0 {
		c.answerer.KeyEpoch(epoch)
	}
	if reattested > 0 {
		c.answerer.Reattested(reattested)
	}
	for range answers {
		c.answerer.Authenticated()
	}
}

// settle hands an answer to the engine. The caller holds c.mu.
func (c *Conn) settle(w *Wait, a Answer, err *attls.Error) {
	if err != nil {
		c.engine.Fail(w.ID, err)
	} else {
		c.engine.Answer(w.ID, a)
	}
}
