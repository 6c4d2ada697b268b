package handshake

import (
	"errors"
	"io"
	"os"
)

// Read reads application data. It returns io.EOF after the peer's close_notify
// and an error that wraps io.ErrUnexpectedEOF when the connection ended without
// one. Once the connection has failed, for whatever reason, it returns that
// reason and none of the peer's data.
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, err := c.readData(b)
		c.keepTickets()
		if err != nil {
			c.awaitTold()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// readData is Read, and returns early, with no octets and no error, where a
// ticket has arrived.
func (c *Conn) readData(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for len(c.data) == 0 && !c.overtaken() {
		if len(c.backlog) > 0 {
			c.data, c.backlog = c.backlog, nil
			break
		}
		if c.readErr != nil {
			return 0, c.readErr
		}
		if err := c.receive(); err != nil && !c.overtaken() {
			return 0, err
		}
		if c.arrived.Load() {
			return 0, nil
		}
	}
	if c.overtaken() {
		return 0, c.readErr
	}
	n := copy(b, c.data)
	if c.data = c.data[n:]; len(c.data) == 0 {
		c.data = nil // it would hold on to the buffer
	}
	return n, nil
}

// overtaken reports whether the connection has failed for a reason that is not
// in what the peer sent behind the data at hand, which is then thrown away. The
// caller holds c.reading.
func (c *Conn) overtaken() bool {
	dead := c.dead.Load()
	if dead == nil || c.readErr == error(dead) && !c.discard {
		return false
	}
	c.readErr, c.data, c.backlog, c.discard = dead, nil, nil, true
	return true
}

// receive handles one event of the peer's.
func (c *Conn) receive() error {
	ev, err := c.reader.Next()
	if err != nil {
		c.readErr = c.abandon(err)
		return c.readErr
	}
	switch ev.Kind {
	case EventNone:
		return c.fill()
	case EventData:
		c.data = ev.Data
	case EventClosed:
		c.readErr = io.EOF
	case EventKeyUpdate:
		if c.reader.UpdateRequested() {
			c.sendLater()
		}
	case EventPostHandshake:
		if err := c.post(ev); err != nil {
			c.readErr = c.abandon(asError(err))
			return c.readErr
		}
	}
	return nil
}

// fill reads from the net.Conn. Only the end of the stream and errors that are
// no time-outs are final.
func (c *Conn) fill() error {
	n, err := c.fetch()
	c.reader.Commit(n)
	switch {
	case n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded):
		if n > 0 {
			return nil // an error will come again
		}
		return err
	case err == io.EOF:
		failure := c.reader.InputEOF()
		failure.Err = io.ErrUnexpectedEOF
		c.readErr = c.abandon(failure)
	default:
		c.readErr = err
	}
	return c.readErr
}

// fetch makes one call of Read, or takes the result of one that the handshake began.
func (c *Conn) fetch() (int, error) {
	if c.pending != nil {
		r := <-c.pending
		c.pending = nil
		if r.n > 0 || !errors.Is(r.err, os.ErrDeadlineExceeded) {
			return r.n, r.err
		} // that deadline may have been moved since
	}
	if c.socket != nil {
		return c.socket.read()
	}
	room := c.reader.Reserve(c.readSize)
	n, err := c.nc.Read(room)
	c.adjust(n, len(room))
	return n, err
}

// post hands a message to the engine.
func (c *Conn) post(ev Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.engine.HandlePost(ev); err != nil {
		return err
	}
	c.askLater()
	if len(c.engine.post.ready) > 0 { // the answer to an ExtendedKeyUpdate
		c.sendLater()
	}
	return nil
}
