package handshake

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"attls"
	"attls/extensions/profile/binder"
	"attls/record"
)

const (
	// alertTimeout bounds the time for an alert when nobody may be reading.
	alertTimeout = 5 * time.Second
	// lingerTimeout bounds how long Close waits for the peer to see an alert.
	lingerTimeout = time.Second
	// writeChunk is how much data is protected before it is handed to the net.Conn.
	writeChunk = 1 << 16
	// Reads of an established connection ask for firstRead octets and, where so
	// many come, for more, up to about maxRead.
	firstRead = 1 << 10
	maxRead   = 1 << 16
)

// Conn is one end of a TLS 1.3 connection over a net.Conn, whose calls of Read
// and Write it makes while an Engine does the protocol. It is a net.Conn itself;
// its methods may be called concurrently, and a blocked Write never holds up a
// Read, even when the peer asks for a KeyUpdate meanwhile.
//
// Failures of the protocol are *attls.Error. As in crypto/tls, a Read whose
// deadline expires can be repeated, while a Write or a handshake whose deadline
// expires ends the connection.
type Conn struct {
	nc       net.Conn
	answerer *Answerer

	early []byte // to be sent as early data

	// Nothing that the user has given is called with one of the locks held but
	// shaking, since it may call the Conn; taps are called under mu.
	shaking  sync.Mutex // held by whoever runs the handshake
	complete atomic.Bool
	err      error // of the handshake, under shaking

	mu      sync.Mutex // guards engine and what follows
	engine  *Engine
	life    context.Context // for what is done after the handshake, until Close or a failure; see lifetime
	cancel  context.CancelFunc
	over    bool          // life is over
	late    int           // answers to waits that block nothing and are not there yet
	settled chan struct{} // closed when late comes down to 0
	dropped bool          // such an answer was not waited for, as the Conn was closed
	tickets []*Session    // that have arrived, for ClientSessions
	arrived atomic.Bool   // there are tickets

	reading  sync.Mutex
	reader   *Reader
	data     []byte        // application data that Read has not returned yet
	backlog  []byte        // data that came together with the end of the handshake
	pending  chan received // a read that the handshake began and did not need
	readErr  error
	discard  bool // readErr overtook the data at hand
	readSize int
	socket   *idleReader // reads in place of nc; nil: nc reads itself

	writer   *Writer
	writeErr error       // under the Writer's lock
	sending  atomic.Bool // a goroutine waits for the Writer's lock; see sendLater

	// calls is twice the number of Writes under way, plus one once closed.
	calls atomic.Int32

	// dead is why the connection failed: nothing is read or written any more. It is
	// set under mu, with broken and drained.
	dead   atomic.Pointer[attls.Error]
	broken chan struct{} // closed with it; nil while nobody waits for it
	// drained is closed once the peer has ended its direction after an alert of
	// ours; nil while the connection is well, and where no alert is sent.
	drained atomic.Pointer[chan struct{}]

	deadlines sync.Mutex
	asked     [2]time.Time // the user's deadlines, of Read and of Write
	latest    [2]time.Time // what they are bounded to; zero: nothing
	frozen    bool         // the user moves deadlines no more
}

var _ net.Conn = (*Conn)(nil)

// Client makes the client's end of a connection over nc. A configuration that
// cannot work is reported by the handshake. The taps see this connection only,
// after Config.Tap.
func Client(nc net.Conn, c *Config, a *Answerer, taps ...Tap) *Conn {
	return newConn(nc, c, a, attls.RoleClient, taps)
}

// Server makes the server's end of a connection over nc; see Client.
func Server(nc net.Conn, c *Config, a *Answerer, taps ...Tap) *Conn {
	return newConn(nc, c, a, attls.RoleServer, taps)
}

func newConn(nc net.Conn, cfg *Config, a *Answerer, role attls.Role, taps []Tap) *Conn {
	if a == nil {
		a = &Answerer{}
	}
	c := &Conn{nc: nc, answerer: a, readSize: firstRead}
	var log keyLogger
	if cfg != nil && cfg.KeyLog != nil {
		log = cfg.keyLog
	}
	var err error
	if c.engine, err = newEngine(cfg, role, Taps(append([]Tap{cfg.tap()}, taps...)...), log); err == nil {
		err = a.Check()
	}
	if err != nil {
		c.err = err
		c.dead.Store(asError(err))
	}
	return c
}

// Handshake is HandshakeContext without a bound in time.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext runs the handshake unless it has been run. Read and Write
// call it; only a context for it needs an explicit call. When the context ends
// first, the connection is over.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.complete.Load() {
		return nil
	}
	defer c.keepTickets()
	c.shaking.Lock()
	defer c.shaking.Unlock()
	if c.err != nil || c.complete.Load() {
		return c.err
	}
	c.err = c.handshake(ctx)
	if c.err == nil {
		c.complete.Store(true)
	}
	return c.err
}

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

// adjust lets reads ask for more than before when one has filled its room.
func (c *Conn) adjust(n, room int) {
	if n == room && c.readSize < maxRead {
		c.readSize = record.RoomFor(c.readSize + 1)
	}
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
			c.abandon(failure)
		}
	}()
}

// Write writes application data, in as many records as it needs.
func (c *Conn) Write(b []byte) (int, error) {
	if c.calls.Add(2)&1 != 0 {
		c.calls.Add(-2)
		return 0, net.ErrClosed
	}
	defer c.calls.Add(-2)
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	c.writer.Lock()
	defer c.writer.Unlock()
	n := 0
	for n < len(b) {
		chunk := b[n:min(len(b), n+writeChunk)]
		if err := c.sendData(chunk); err != nil {
			return n, err
		}
		n += len(chunk)
	}
	return n, nil
}

// sendData protects and sends data. The caller holds the Writer's lock.
func (c *Conn) sendData(b []byte) error {
	if err := c.writable(); err != nil {
		return err
	}
	if err := c.writer.Write(b); err != nil {
		return err
	}
	return c.flush()
}

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

func (c *Conn) writable() error {
	if err := c.dead.Load(); err != nil {
		return err
	}
	return c.writeErr
}

// flush sends what the Writer holds. An error is final: how much of a record
// has arrived is not known.
func (c *Conn) flush() error {
	for out := c.writer.Output(); len(out) > 0; out = c.writer.Output() {
		n, err := c.nc.Write(out)
		c.writer.Wrote(n)
		if err != nil {
			c.writeErr = err
			return c.writable()
		}
	}
	return nil
}

// KeyUpdate changes the key that this end sends with and, on request, asks the
// peer to do the same (RFC 8446 section 4.6.3).
func (c *Conn) KeyUpdate(request bool) error {
	if err := c.Handshake(); err != nil {
		return err
	}
	c.writer.Lock()
	defer c.writer.Unlock()
	return c.send(func() *attls.Error { return c.writer.KeyUpdate(request) })
}

// CloseWrite sends close_notify: this end writes no more and can read on (RFC
// 8446 section 6.1). The net.Conn stays open. Answers that are ready go before it;
// who wants to wait for those that are not calls Settled first.
func (c *Conn) CloseWrite() error {
	if !c.complete.Load() {
		return attls.Errorf(attls.Local, attls.FailConfiguration, "CloseWrite before the handshake is complete")
	}
	c.writer.Lock()
	defer c.writer.Unlock()
	return c.send(func() *attls.Error {
		if !c.writer.closed { // the goroutine that sends them may not have run yet
			if err := c.sendReady(); err != nil {
				return err
			}
		}
		return c.writer.CloseNotify()
	})
}

// sendReady sends the KeyUpdate that the peer asked for and what the Engine has
// made. The caller holds the Writer's lock.
func (c *Conn) sendReady() *attls.Error {
	if err := c.writer.AnswerUpdate(); err != nil {
		return err
	}
	return c.flights()
}

// Close sends close_notify, unless a Write is under way or the connection has
// failed, and closes the net.Conn. After a failure it waits up to a second for
// the peer to take note of the alert, which a reset would destroy.
func (c *Conn) Close() error {
	for {
		calls := c.calls.Load()
		if calls&1 != 0 {
			return net.ErrClosed
		}
		if !c.calls.CompareAndSwap(calls, calls|1) {
			continue
		}
		defer func() {
			c.mu.Lock()
			c.end()
			c.mu.Unlock()
		}()
		if drained := c.drained.Load(); drained != nil {
			timer := time.NewTimer(lingerTimeout)
			defer timer.Stop()
			select {
			case <-*drained:
			case <-timer.C:
			}
			return c.nc.Close()
		}
		var notify error
		if calls == 0 && c.complete.Load() && c.dead.Load() == nil {
			c.freeze(writes, time.Now().Add(alertTimeout))
			notify = c.CloseWrite()
		}
		if err := c.nc.Close(); err != nil {
			return err
		}
		return notify
	}
}

// abandon ends an established connection with an error, from whichever goroutine
// it comes: the peer is told, both directions are over, and who is blocked in
// Read or Write is woken. It returns why the connection ended, which is another
// error if that one came first. The alert is sent when it returns, unless it
// cannot be sent at once.
func (c *Conn) abandon(err *attls.Error) *attls.Error {
	c.mu.Lock()
	reason, first := c.failed(err)
	c.mu.Unlock()
	if first {
		c.tell(reason)
	}
	return reason
}

// failed makes the connection fail; first says that the caller has to tell of it
// once it has let go of c.mu.
func (c *Conn) failed(err *attls.Error) (reason *attls.Error, first bool) {
	if reason := c.dead.Load(); reason != nil {
		return reason, false
	}
	c.engine.fail(err) // completes the error
	reason = c.engine.err
	if alerts(reason) {
		drained := make(chan struct{})
		c.drained.Store(&drained)
	}
	c.die(reason)
	return reason, true
}

// die records why the connection failed. The caller holds c.mu.
func (c *Conn) die(reason *attls.Error) {
	c.dead.Store(reason)
	if c.broken != nil {
		close(c.broken)
	}
	c.end()
}

// lifetime is the context of what is done after the handshake. The caller holds c.mu.
func (c *Conn) lifetime() context.Context {
	if c.life == nil {
		c.life, c.cancel = context.WithCancel(context.Background())
		if c.over {
			c.cancel()
		}
	}
	return c.life
}

// end ends the lifetime. The caller holds c.mu.
func (c *Conn) end() {
	if c.over = true; c.cancel != nil {
		c.cancel()
	}
}

// alerts reports whether the peer is told of an error.
func alerts(err *attls.Error) bool { return err.Class != attls.FromPeer && err.HasAlert }

// tell ends both directions after a failure. A record that a Write is sending is
// given the time to get through where an alert has to follow it.
func (c *Conn) tell(reason *attls.Error) {
	c.freeze(reads, past)
	if !alerts(reason) {
		c.freeze(writes, past)
		return
	}
	c.freeze(writes, time.Now().Add(alertTimeout))
	go func() {
		c.reading.Lock() // a Read that is blocked leaves first
		pending := c.pending
		c.pending = nil
		c.reading.Unlock()
		if pending != nil {
			<-pending
		}
		c.freeze(reads, time.Now().Add(alertTimeout))
		c.drain()
	}()
	send := func() {
		defer c.writer.Unlock()
		if c.writeErr == nil && c.writer.Alert(reason.Alert) == nil {
			c.flush()
		}
		c.closeWriteSide()
	}
	if !c.writer.TryLock() {
		go func() { // behind a Write, which the deadline frees
			c.writer.Lock()
			send()
		}()
		return
	}
	sent := make(chan struct{})
	go func() {
		send()
		close(sent)
	}()
	timer := time.NewTimer(hurry) // the peer may not be reading
	defer timer.Stop()
	select {
	case <-sent:
	case <-timer.C:
	}
}

// drain reads and forgets what the peer still sends, so that our side's closing
// is no reset and an alert of ours arrives.
func (c *Conn) drain() {
	defer close(*c.drained.Load())
	io.Copy(io.Discard, onlyReader{c.nc})
}

// onlyReader hides the fast paths of a net.Conn.
type onlyReader struct{ io.Reader }

// closeWriteSide ends our direction of the transport where it can be ended alone.
func (c *Conn) closeWriteSide() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// ConnectionState describes the connection as far as it has come.
func (c *Conn) ConnectionState() ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.engine == nil {
		return ConnectionState{}
	}
	s := c.engine.State()
	if c.dead.Load() != nil { // of which the engine need not know
		s.State = failed{}.name()
	}
	return s
}

// Inputs lets tools evaluate the profile's binder expressions; see
// Engine.Inputs. It is for a connection that nothing else uses any more.
func (c *Conn) Inputs() binder.Inputs { return c.engine.Inputs() }

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

// Settled waits until the verdicts that block nothing are there; they are then
// in ConnectionState. It returns early, with the reason, when the connection has
// failed, with net.ErrClosed when Close did not wait for a verdict, and when the
// context ends.
func (c *Conn) Settled(ctx context.Context) error {
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

// NetConn returns the net.Conn beneath.
func (c *Conn) NetConn() net.Conn { return c.nc }

// LocalAddr returns the local address of the net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr returns the remote address of the net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

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
