package handshake

import (
	"context"
	"net"
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
	epoch   uint64        // that Answerer.KeyEpoch is to be told of; 0: none
	// reattested is the same for Answerer.Reattested.
	reattested uint64
	asks       []*Wait     // open waits after the handshake; where answers are sequential the first is being answered
	answers    int         // of clients, that Answerer.Authenticated is to be told of
	arrived    atomic.Bool // there are tickets, an epoch or answers

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

	// calls is twice the number of calls under way that send something, plus one once closed.
	calls atomic.Int32

	// dead is why the connection failed: nothing is read or written any more. It is
	// set under mu, with broken and drained.
	dead   atomic.Pointer[attls.Error]
	broken chan struct{} // closed with it; nil while nobody waits for it
	// drained is closed once the peer has ended its direction after an alert of
	// ours; nil while the connection is well, and where no alert is sent.
	drained atomic.Pointer[chan struct{}]
	// told is closed once that alert is sent, or has failed.
	told atomic.Pointer[chan struct{}]

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

// InputsOf is Inputs for the binder of one slot; see Engine.InputsOf.
func (c *Conn) InputsOf(slot string) binder.Inputs { return c.engine.InputsOf(slot) }

// NetConn returns the net.Conn beneath.
func (c *Conn) NetConn() net.Conn { return c.nc }

// LocalAddr returns the local address of the net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr returns the remote address of the net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

const (
	handshakeRead = 4096
	// maxHeld is how many octets are taken in while an answer is outstanding.
	maxHeld = 1 << 17
	// hurry bounds the time for the alert when the caller's time is over.
	hurry = 200 * time.Millisecond
)

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

// adjust lets reads ask for more than before when one has filled its room.
func (c *Conn) adjust(n, room int) {
	if n == room && c.readSize < maxRead {
		c.readSize = record.RoomFor(c.readSize + 1)
	}
}

func (c *Conn) writable() error {
	if err := c.dead.Load(); err != nil {
		return err
	}
	return c.writeErr
}
