package exported

import (
	"context"
	"errors"
	"sync"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
)

const (
	// maxHeld bounds the application data that is kept while something else is waited for.
	maxHeld = 1 << 20
	// maxKept is how much data a second attestation keeps before it waits for Read to take it.
	maxKept = 1 << 16
)

// maxOutcomes bounds the outcomes that a Conn keeps: the first, and the latest ones.
const maxOutcomes = 64

// ErrUnanswered is in the error of Reattest while a request of this end is not answered.
var ErrUnanswered = errors.New("a request of this end is not answered yet")

// Conn is an end of a connection whose application data carries requests and authenticators.
// It is a net.Conn. Its methods may be called concurrently; requests of the peer are
// answered while Read or Attest runs, so an attester has to read.
type Conn struct {
	*handshake.Conn
	cfg   *Config
	ask   Ask
	rules *profile.AuthenticatorRules
	f     framing
	opts  error // of the configuration

	writing sync.Mutex
	queue   queue
	reading chan struct{} // held by who reads a frame
	in      []byte        // of a frame that is not complete
	left    int           // octets of a data frame that are still to come
	data    []byte        // application data that Read has not returned
	relief  chan struct{} // closed when Read takes data; nil: nobody waits for it

	deadlines sync.Mutex
	asked     time.Time // the user's deadline of Reads
	woken     int       // how many Reads a context has ended that have not returned

	attesting sync.Mutex // held by who makes the exchange at the beginning

	mu       sync.Mutex
	session  *Session
	agreed   bool     // the flag of the profile is set by both ends, where it wants one
	answered int      // requests of the peer
	refused  bool     // an appraisal has failed and was reported; more may follow
	held     [][]byte // requests that wait for our verdict, with Config.AnswerLast
	open     *question
	accepted bool // the peer, as far as it is asked
	failed   error
	outcomes []Outcome
	told     chan struct{} // closed, and replaced, when something of the above changes
}

// question is a request of ours that is not answered.
type question struct {
	done    chan struct{}
	outcome *Outcome
	err     error
}

// Wrap makes a Conn over a connection, whose handshake need not be complete. Both ends need
// the same profile, and ask answers as the Answerer of the connection does. Where the profile
// leaves the framing to the application, requests and authenticators are sent as they are,
// in front of application data.
func Wrap(c *handshake.Conn, cfg *Config, ask Ask) *Conn {
	w := &Conn{Conn: c, cfg: cfg, ask: ask, reading: make(chan struct{}, 1), told: make(chan struct{})}
	if cfg == nil || cfg.Profile == nil {
		w.opts = bad("Profile", "no slot of the profile attests after the handshake")
		return w
	}
	w.rules = &cfg.Profile.Authenticator
	w.f = framing{r: w.rules, max: cfg.octets()}
	return w
}

// asks and attests say what this end does at the beginning.
func (c *Conn) asks() bool    { return len(c.cfg.Accept) > 0 }
func (c *Conn) attests() bool { return len(c.cfg.Produce) > 0 }

// first reports whether the exchange comes before application data.
func (c *Conn) first() bool { return c.rules.Waits() }

// start makes the session once the handshake is complete.
func (c *Conn) start(ctx context.Context) error {
	if c.opts != nil {
		return c.opts
	}
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		return nil
	}
	over, err := c.Authenticators()
	if err != nil {
		return err
	}
	if c.session, err = NewSession(c.cfg, over, c.Conn.Inputs(), c.ask); err != nil {
		return err
	}
	c.agreed = c.session.Agreed()
	return nil
}

// unasked ends an exchange that the peer does not take part in, since the flag of the
// profile is not set: application data has no frames then.
func (c *Conn) unasked() error {
	if c.asks() && !c.cfg.Optional {
		return c.fail(c.session.unagreed())
	}
	return nil
}

// Attest makes the exchange at the beginning: it asks where this end has something
// appraised, and answers where it attests, until the peer is accepted and was answered. Read
// and Write call it where the profile wants it before application data. Once it has
// succeeded it does nothing; see Reattest. After a failure that was reported only, it asks
// again.
func (c *Conn) Attest(ctx context.Context) error {
	if err := c.start(ctx); err != nil {
		return err
	}
	if !c.agreed {
		return c.unasked()
	}
	if c.inFrames() {
		return c.attestInFrames(ctx)
	}
	c.attesting.Lock()
	defer c.attesting.Unlock()
	if c.complete() {
		return nil
	}
	if c.asks() && !c.isAccepted() {
		if _, err := c.request(ctx); err != nil {
			return c.fail(err)
		}
	}
	for !c.complete() {
		if err := c.turn(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) isAccepted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted
}

// complete reports whether what the profile wants at the beginning is done.
func (c *Conn) complete() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return (c.accepted || !c.asks()) && (c.answered > 0 || !c.attests() || !c.first())
}

// Reattest asks the peer again, and waits for the verdict. Application data that arrives
// meanwhile is kept for Read: up to 64 KiB, beyond which Reattest goes on when Read does.
func (c *Conn) Reattest(ctx context.Context) (*Outcome, error) {
	if err := c.Attest(ctx); err != nil {
		return nil, err
	}
	if !c.framed() {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration,
			"a second request cannot be told from application data").By(c.cfg.Profile.ID)
	}
	q, err := c.request(ctx)
	if err != nil {
		return nil, c.fail(err)
	}
	for {
		select {
		case <-q.done:
			return q.outcome, q.err
		default:
		}
		if err := c.turn(ctx, q.done); err != nil {
			return nil, err
		}
	}
}

// request asks the peer, once at a time.
func (c *Conn) request(ctx context.Context) (*question, error) {
	q := &question{done: make(chan struct{})}
	c.mu.Lock()
	if c.open != nil {
		c.mu.Unlock()
		busy := attls.Errorf(attls.Local, attls.FailCapacity, "one request at a time")
		busy.Err = ErrUnanswered
		return nil, busy
	}
	c.open = q
	c.failed = nil
	c.mu.Unlock()
	octets, err := c.session.Request(ctx)
	if err == nil {
		err = c.send(ctx, contentRequest, octets)
	}
	if err != nil {
		c.mu.Lock()
		c.open = nil
		c.mu.Unlock()
		return nil, err
	}
	return q, nil
}

// turn handles one frame of the peer, or returns when done is closed or the context ends.
func (c *Conn) turn(ctx context.Context, done <-chan struct{}) error {
	c.mu.Lock()
	told := c.told
	c.mu.Unlock()
	select {
	case c.reading <- struct{}{}:
	case <-done:
		return nil
	case <-told: // by who reads
		return c.reason()
	case <-ctx.Done():
		return c.late(ctx)
	}
	if err := c.reason(); err != nil {
		<-c.reading
		return err
	}
	if len(c.data) >= maxKept && done != nil { // who reads takes it first
		taken := c.taken()
		<-c.reading
		select {
		case <-taken:
		case <-ctx.Done():
			return c.late(ctx)
		}
		return nil
	}
	defer func() { <-c.reading }()
	return c.step(ctx, true)
}

// taken is closed once Read has returned data that was kept. The caller holds c.reading.
func (c *Conn) taken() <-chan struct{} {
	if c.relief == nil {
		c.relief = make(chan struct{})
	}
	return c.relief
}

// late ends an exchange whose context is over.
func (c *Conn) late(ctx context.Context) error {
	c.mu.Lock()
	what := "the peer has not asked for our attestation"
	if c.open != nil {
		what = "the peer has not answered our request for its attestation"
	}
	c.mu.Unlock()
	err := attls.Errorf(attls.Local, lateness(ctx), "%s", what)
	err.Err = context.Cause(ctx)
	return c.fail(err)
}

// reason is why an exchange has failed.
func (c *Conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// tell wakes who waits for another's reading. The caller holds c.mu.
func (c *Conn) tell() {
	close(c.told)
	c.told = make(chan struct{})
}

// isFinal reports whether a connection has failed already.
func isFinal(c *handshake.Conn) bool { return c.ConnectionState().State == "FAILED" }

func (c *Conn) openQuestion() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open != nil
}

// end notes why an exchange has failed, for everybody who waits.
func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
	if q := c.open; q != nil {
		q.err, c.open = err, nil
		close(q.done)
	}
	c.tell()
}

// fail ends the connection with the alert of a failure, or only tells of it, as the profile
// says.
func (c *Conn) fail(err error) error {
	var named *attls.Error
	if !c.rules.Report && errors.As(err, &named) && named.Class != attls.FromPeer {
		err = c.Conn.Abort(named)
	}
	c.end(err)
	return err
}
