package bench

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// DelayedPipe is a connection in memory whose two ends are apart: what one end writes
// arrives at the other after the delay, in order. It is unlike a network in that nothing
// is lost and that no window has to grow: however much is sent at once arrives at once.
//
// Both ends are net.Conn with deadlines. Close arrives as io.EOF, after the delay and
// after everything that was written before; writing to an end that is closed fails at
// once. A Write waits while maxUnderway octets have not been read.
func DelayedPipe(delay time.Duration) (net.Conn, net.Conn) {
	there, back := newLane(delay), newLane(delay)
	return &delayedEnd{in: back, out: there}, &delayedEnd{in: there, out: back}
}

// maxUnderway bounds the octets that were written in one direction and not yet read.
const maxUnderway = 1 << 20

// lane is one direction.
type lane struct {
	delay time.Duration

	mu       sync.Mutex
	changed  chan struct{} // closed, and replaced, at each change
	parcels  []parcel
	underway int // octets
	// ended is when the end of the stream arrives; zero: the writer is open.
	ended                       time.Time
	abandoned                   bool // the reader is closed
	readDeadline, writeDeadline time.Time
}

// parcel is what one Write wrote, and when it arrives.
type parcel struct {
	octets []byte
	due    time.Time
}

func newLane(delay time.Duration) *lane { return &lane{delay: delay, changed: make(chan struct{})} }

// change wakes everybody who waits; l.mu is held.
func (l *lane) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait releases l.mu until something changes or one of the times has come; zero times
// never come.
func (l *lane) wait(times ...time.Time) {
	changed := l.changed
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	if first.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(first))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// past reports whether a time has come; the zero time never does.
func past(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (l *lane) read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		var due time.Time
		switch {
		case l.abandoned:
			return 0, io.ErrClosedPipe
		case past(l.readDeadline):
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case len(l.parcels) == 0 && past(l.ended):
			return 0, io.EOF
		case len(l.parcels) == 0:
			due = l.ended
		case past(l.parcels[0].due):
			return l.take(b), nil
		default:
			due = l.parcels[0].due
		}
		l.wait(due, l.readDeadline)
	}
}

// take takes what has arrived.
func (l *lane) take(b []byte) (n int) {
	for len(l.parcels) > 0 && n < len(b) && past(l.parcels[0].due) {
		p := &l.parcels[0]
		copied := copy(b[n:], p.octets)
		n += copied
		if p.octets = p.octets[copied:]; len(p.octets) == 0 {
			l.parcels = l.parcels[1:]
		}
	}
	l.underway -= n
	l.change()
	return n
}

func (l *lane) write(b []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case !l.ended.IsZero() || l.abandoned:
			return n, io.ErrClosedPipe
		case past(l.writeDeadline):
			return n, os.ErrDeadlineExceeded
		case len(b) == 0:
			return n, nil
		}
		room := min(len(b), maxUnderway-l.underway)
		if room == 0 {
			l.wait(l.writeDeadline)
			continue
		}
		l.parcels = append(l.parcels, parcel{append([]byte(nil), b[:room]...), time.Now().Add(l.delay)})
		b, n, l.underway = b[room:], n+room, l.underway+room
		l.change()
	}
}

// end closes the writer's side.
func (l *lane) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended.IsZero() {
		l.ended = time.Now().Add(l.delay)
		l.change()
	}
}

// abandon closes the reader's side.
func (l *lane) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.abandoned {
		l.abandoned, l.parcels, l.underway = true, nil, 0
		l.change()
	}
}

func (l *lane) setDeadline(which *time.Time, t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	*which = t
	l.change()
	return nil
}

// delayedEnd is one end of a DelayedPipe.
type delayedEnd struct{ in, out *lane }

func (e *delayedEnd) Read(b []byte) (int, error)  { return e.in.read(b) }
func (e *delayedEnd) Write(b []byte) (int, error) { return e.out.write(b) }

func (e *delayedEnd) Close() error {
	e.out.end()
	e.in.abandon()
	return nil
}

func (e *delayedEnd) LocalAddr() net.Addr  { return delayedAddress{} }
func (e *delayedEnd) RemoteAddr() net.Addr { return delayedAddress{} }

func (e *delayedEnd) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *delayedEnd) SetReadDeadline(t time.Time) error {
	return e.in.setDeadline(&e.in.readDeadline, t)
}

func (e *delayedEnd) SetWriteDeadline(t time.Time) error {
	return e.out.setDeadline(&e.out.writeDeadline, t)
}

// delayedAddress is that of both ends.
type delayedAddress struct{}

func (delayedAddress) Network() string { return "pipe" }
func (delayedAddress) String() string  { return "delayed pipe" }
