package handshake

import (
	"attls"
	"attls/extensions"
	"attls/handshake/authenticator"
	"attls/internal/provider"
	"attls/record"
)

// Engine is one end of one TLS 1.3 connection. It is not safe for concurrent
// use; after EventDone, Split gives two halves that are.
type Engine struct {
	cfg    *Config
	role   attls.Role
	table  *extensions.Table
	prov   provider.Provider
	random Random

	in  *record.Reader
	out *record.Writer

	state state
	done  bool
	err   *attls.Error

	events []Event
	seen   int // events handed out
	waits  []waiting
	nextID WaitID

	*workspace // nil while no message is handled after the handshake

	transcript *transcript // nil where nothing after the handshake needs it
	keys       schedule
	sent       extensions.Sent
	nego       negotiated
	peer       *authenticated
	first      authenticated // whom the peer shows to be in the handshake
	firstProof proof
	own        ownCredential
	att        *attestation
	psk        pskState
	early      earlyData
	post       postAuthentication
	rekey      *extendedUpdates // nil: not negotiated
	types      certificateTypes

	authenticators *authenticator.Connection // nil: nobody has asked for it

	ticketsAsked uint32            // numbers the tickets of a server
	grease       [numGrease]uint16 // the reserved values of this connection, as far as drawn

	inserted [][]byte // messages that a tap inserted, to be handled next

	ccsAllowed bool // a dummy change_cipher_spec may arrive
	ccsSent    bool
	eof        bool // the peer sends nothing more

	reader *Reader // the halves of the connection once the traffic keys exist
	writer *Writer
	split  bool // the halves are in use; the engine touches no record any more
}

// negotiated is what the two ends have agreed on.
type negotiated struct {
	exchanged
	suite     *provider.Suite
	group     attls.NamedGroup
	retried   bool
	sessionID []byte
	requested bool // a CertificateRequest was sent or received
	context   []byte
	random    [32]byte // the client's
}

// NewClient makes the client's engine; its ClientHello is ready in Output once
// no wait blocks it.
func NewClient(c *Config) (*Engine, error) { return newEngine(c, attls.RoleClient, c.tap(), nil) }

// NewServer makes the server's engine.
func NewServer(c *Config) (*Engine, error) { return newEngine(c, attls.RoleServer, c.tap(), nil) }

func newEngine(c *Config, role attls.Role, tap Tap, log keyLogger) (*Engine, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	table, _ := c.placement()
	q := c.quirks()
	padTo := c.PadTo
	if q.PadTo > padTo {
		padTo = q.PadTo
	}
	e := &Engine{cfg: c, role: role, table: table, prov: c.provider(), random: c.random(),
		in: record.NewReader(c.limits()),
		out: record.NewWriter(record.WriterSettings{MaxPlaintext: c.MaxFragment, PadTo: padTo, NeverFragment: q.NeverFragment,
			MessagesPerRecord: c.messagesPerRecord()}),
		events: make([]Event, 0, 4),
	}
	e.open()
	e.flight = make([]byte, 0, 1024)
	e.first.proof = &e.firstProof
	e.peer = &e.first
	// RFC 8446 section 6: an alert is protected as its sender's state is, and a
	// client that rejects ServerHello has no keys yet.
	e.in.AcceptPlaintextAlerts(role == attls.RoleServer || q.AcceptPlaintextAlerts)
	e.attach(tap)
	if log != nil {
		e.keys.log = func(name SecretName, secret []byte) { log(name, e.nego.random[:], secret) }
	}
	e.startAttestation()
	if role == attls.RoleClient {
		e.out.FirstVersion()
		e.state = clientStart{}
	} else {
		e.state = serverWaitClientHello{}
		if c.Retry.stateless() {
			// A second ClientHello is the first here, with what a client may send
			// before it: RFC 8446 section 5 lets stateless servers allow this.
			e.skipEarlyData(nil)
			e.ccsAllowed = true
		}
	}
	e.run()
	return e, nil
}

// Role returns which end this is.
func (e *Engine) Role() attls.Role { return e.role }

// Done reports whether the handshake is complete.
func (e *Engine) Done() bool { return e.done }

// Err returns the error that ended the connection, or nil.
func (e *Engine) Err() *attls.Error { return e.err }

// StateName names the state of RFC 8446 appendix A that the engine is in.
func (e *Engine) StateName() string {
	if e.err != nil {
		return "FAILED"
	}
	return e.state.name()
}

// Reserve returns at least n octets of input space. The peer's octets are put
// at its beginning and announced with Commit. Views from earlier events are
// invalid afterwards.
func (e *Engine) Reserve(n int) []byte { return e.in.Reserve(n) }

// Commit takes n octets of input and goes as far as they and the open waits
// allow. The error, if any, is also the last event.
func (e *Engine) Commit(n int) error {
	if e.err != nil {
		return e.err
	}
	e.in.Commit(n)
	e.run()
	return e.failure()
}

// Blocked reports whether an open wait holds the engine: until it is answered,
// input is kept and not handled.
func (e *Engine) Blocked() bool { return e.err == nil && e.held(e.state.due()) }

// Buffered returns how many octets of input are held.
func (e *Engine) Buffered() int { return e.in.Buffered() }

// InputEOF says that the peer will send nothing more. Without a close_notify
// before, the connection was truncated (RFC 8446 section 6.1); while a wait holds
// the engine, that shows only after the answer.
func (e *Engine) InputEOF() error {
	e.eof = true
	e.run()
	return e.failure()
}

// Next returns the next event, or false when there is none.
func (e *Engine) Next() (Event, bool) {
	if e.seen == len(e.events) {
		if e.events, e.seen = e.events[:0], 0; e.split {
			e.events = nil
		}
		return Event{}, false
	}
	ev := e.events[e.seen]
	e.events[e.seen] = Event{}
	e.seen++
	return ev, true
}

// Output returns the octets to send. They stay valid until the next call of
// another method.
func (e *Engine) Output() []byte { return e.out.Output() }

// Wrote says that the first n octets of Output were sent.
func (e *Engine) Wrote(n int) {
	if e.writer != nil {
		e.writer.Wrote(n)
		return
	}
	e.out.Wrote(n)
}

// run goes on until input, an answer or the connection ends.
func (e *Engine) run() {
	e.proceed()
	e.rest()
}

func (e *Engine) proceed() {
	for e.err == nil && !e.split {
		if e.held(e.state.due()) {
			return
		}
		var err *attls.Error
		switch s := e.state.(type) {
		case active:
			e.work()
			e.state, err = advance(s.step(e))
		case passive:
			m, ok, cause := e.nextMessage()
			if cause == nil && !ok {
				e.starve()
				return
			}
			if err = cause; err == nil {
				e.work()
				e.message = m
				e.state, err = advance(s.receive(e, &e.message))
				if err != nil {
					err.In(m.Kind)
				}
			}
		}
		if err != nil {
			e.fail(err)
		}
		e.tellState()
	}
}

// tellState tells a tap that wants to know of the state that was entered.
func (e *Engine) tellState() {
	if e.tap() == nil {
		return
	}
	if t, ok := e.tap().(StateTap); ok {
		t.State(e.StateName())
	}
}

// Abort ends the connection from outside with an error of our own.
func (e *Engine) Abort(err *attls.Error) { e.fail(ours(err)) }
