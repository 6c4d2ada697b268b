package exported

import (
	"context"
	"sync"
)

// queue are requests and answers that are not sent yet. They go out while this end reads,
// since the peer may be sending at the same time and not read meanwhile.
type queue struct {
	mu     sync.Mutex
	frames [][]byte
}

// maxQueue bounds it; beyond that, this end does not read on before the peer does.
const maxQueue = 4

func (q *queue) add(frame []byte) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.frames = append(q.frames, frame)
	return len(q.frames)
}

func (q *queue) take() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) == 0 {
		return nil
	}
	first := q.frames[0]
	q.frames = q.frames[1:]
	return first
}

// send sends a request or an answer, without waiting for the peer to read it.
func (c *Conn) send(what content, octets []byte) error {
	framed, err := c.f.frame(what, octets)
	if err != nil {
		return err
	}
	if c.queue.add(framed) > maxQueue {
		return c.write(nil)
	}
	go func() {
		if err := c.write(nil); err != nil {
			c.end(err)
		}
	}()
	return nil
}

// write sends what is queued, and octets behind it.
func (c *Conn) write(octets []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	for frame := c.queue.take(); frame != nil; frame = c.queue.take() {
		if _, err := c.Conn.Write(frame); err != nil {
			return err
		}
	}
	if len(octets) == 0 {
		return nil
	}
	_, err := c.Conn.Write(octets)
	return err
}

// Flush sends what is queued: requests, and answers to the peer's.
func (c *Conn) Flush() error { return c.write(nil) }

// CloseWrite sends what is still to be sent, and close_notify; see handshake.Conn.CloseWrite.
func (c *Conn) CloseWrite() error {
	if err := c.write(nil); err != nil {
		return err
	}
	return c.Conn.CloseWrite()
}

// maxFrame is how much application data a frame has, so that it fits a record.
const maxFrame = 1<<14 - 64

// Write writes application data; see Attest.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.before(context.Background()); err != nil {
		return 0, err
	}
	most := maxFrame
	if c.framed() && c.rules.LengthOctets == 1 {
		most = 255
	}
	n := 0
	for n < len(b) {
		chunk := b[n:min(len(b), n+most)]
		framed := chunk
		if c.framed() {
			var err error
			if framed, err = c.f.frame(contentData, chunk); err != nil {
				return n, err
			}
		}
		if err := c.write(framed); err != nil {
			return n, err
		}
		n += len(chunk)
	}
	return n, nil
}
