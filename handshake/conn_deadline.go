package handshake

import "time"

// direction says which of the two deadlines is meant.
type direction uint8

const (
	reads direction = iota
	writes
)

var bothDirections = [...]direction{reads, writes}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// ask sets a deadline of the user's. A bound of the connection's own that comes
// sooner holds on.
func (c *Conn) ask(d direction, t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.frozen {
		return nil
	}
	c.asked[d] = t
	return c.apply(d)
}

// bound makes a deadline come no later than a moment, whatever the user asks for.
func (c *Conn) bound(d direction, t time.Time) {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	c.latest[d] = t
	_ = c.apply(d)
}

// tighten is bound, unless a bound that comes sooner holds already.
func (c *Conn) tighten(d direction, t time.Time) {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if l := c.latest[d]; l.IsZero() || t.Before(l) {
		c.latest[d] = t
		_ = c.apply(d)
	}
}

// apply gives the earlier one of the user's deadline and the bound to the net.Conn.
func (c *Conn) apply(d direction) error {
	t := c.asked[d]
	if l := c.latest[d]; !l.IsZero() && (t.IsZero() || l.Before(t)) {
		t = l
	}
	if d == reads {
		return c.nc.SetReadDeadline(t)
	}
	return c.nc.SetWriteDeadline(t)
}

// interrupt ends Reads and Writes that are under way, and those to come, although
// the user may be moving the deadlines.
func (c *Conn) interrupt() {
	for _, d := range bothDirections {
		c.bound(d, past)
	}
}

// freeze gives what is left to be said or read until a moment, from when on the
// user moves the deadline no more. One that the user has set and that is not over
// holds if it comes sooner.
func (c *Conn) freeze(d direction, t time.Time) {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.frozen = true; !c.asked[d].After(time.Now()) {
		c.asked[d] = time.Time{}
	}
	c.latest[d] = t
	_ = c.apply(d)
}

// SetDeadline sets both deadlines; see SetReadDeadline and SetWriteDeadline.
// Once the connection has failed or is being closed, deadlines change nothing.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.ask(reads, t); err != nil {
		return err
	}
	return c.ask(writes, t)
}

// SetReadDeadline bounds Reads. A Read that ran into it can be repeated.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.ask(reads, t) }

// SetWriteDeadline bounds Writes. After a Write that ran into it, the state of
// the stream is unknown and every further Write fails.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.ask(writes, t) }
