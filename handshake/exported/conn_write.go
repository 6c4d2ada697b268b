package exported

import (
	"context"
	"errors"
	"sync"
	"time"

	"attls"
)

// queue are requests and answers that are not sent yet. They go out while this end reads,
// since the peer may be sending at the same time and not read meanwhile.
type queue struct {
	mu     sync.Mutex
	frames [][]byte
	empty  chan struct{} // closed once nothing is queued; nil: nobody sends what is
}

// maxQueue bounds it; beyond that, this end does not read on before the peer does.
const maxQueue = 4

// add queues a frame. Where sends is true, the caller has to have the queue sent.
func (q *queue) add(frame []byte) (n int, empty <-chan struct{}, sends bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.frames = append(q.frames, frame)
	if sends = q.empty == nil; sends {
		q.empty = make(chan struct{})
	}
	return len(q.frames), q.empty, sends
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

// sent ends the sending, unless something was queued meanwhile and can be sent.
func (q *queue) sent(failed bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) > 0 && !failed {
		return false
	}
	q.frames = nil
	close(q.empty)
	q.empty = nil
	return true
}

// send sends a request or an answer, without waiting for the peer to read it, unless there
// are too many.
func (c *Conn) send(ctx context.Context, what content, octets []byte) error {
	framed, err := c.f.frame(what, octets)
	if err != nil {
		return err
	}
	if c.cfg.Sent != nil {
		framed = c.cfg.Sent(what, framed)
	}
	n, empty, sends := c.queue.add(framed)
	if sends {
		go c.sendQueue()
	}
	if n <= maxQueue {
		return nil
	}
	select {
	case <-empty:
		return c.reason()
	case <-ctx.Done():
		return c.fail(unread(ctx))
	}
}

// sendQueue sends what is queued, and what is queued meanwhile.
func (c *Conn) sendQueue() {
	for {
		err := c.write(nil)
		if err != nil {
			c.end(err)
		}
		if c.queue.sent(err != nil) {
			return
		}
	}
}

// unread is why sending has ended with its context.
func unread(ctx context.Context) *attls.Error {
	err := attls.Errorf(attls.Local, lateness(ctx), "the peer does not read what it is sent")
	err.Err = context.Cause(ctx)
	return err
}

// lateness is the failure of a context that is over.
func lateness(ctx context.Context) attls.Failure {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return attls.FailTimeout
	}
	return attls.FailCanceled
}

// write sends what is queued, and octets behind it.
func (c *Conn) write(octets []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.writeAll(octets)
}

// writeAll is write for a holder of c.writing.
func (c *Conn) writeAll(octets []byte) error {
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

// writeUnder is write that does not outlast a context. What it was sending then ends with
// the connection.
func (c *Conn) writeUnder(ctx context.Context, octets []byte) error {
	sent := make(chan error, 1)
	go func() { sent <- c.write(octets) }()
	select {
	case err := <-sent:
		return err
	case <-ctx.Done():
		return unread(ctx)
	}
}

// Flush sends what is queued: requests, and answers to the peer's.
func (c *Conn) Flush() error { return c.write(nil) }

// closeTimeout bounds the time for what is still to be sent when nobody may be reading.
const closeTimeout = 5 * time.Second

// CloseWrite sends what is still to be sent, and close_notify; see handshake.Conn.CloseWrite.
// It waits for Writes that are under way; what is queued behind them is then sent in five seconds.
func (c *Conn) CloseWrite() error {
	c.writing.Lock()
	timer := time.AfterFunc(closeTimeout, func() { _ = c.Conn.SetWriteDeadline(past) })
	err := c.writeAll(nil)
	timer.Stop()
	c.writing.Unlock()
	if err != nil {
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
