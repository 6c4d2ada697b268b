package exported

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
)

// maxHeld bounds the application data that is kept while something else is waited for.
const maxHeld = 1 << 20

// maxOutcomes bounds the outcomes that a Conn keeps: the first, and the latest ones.
const maxOutcomes = 64

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
		w.opts = bad("Profile", "no slot of the profile has the phase authenticator")
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
func (c *Conn) first() bool { return !c.rules.DataBefore || !c.rules.Repeats() }

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
// meanwhile is kept for Read.
func (c *Conn) Reattest(ctx context.Context) (*Outcome, error) {
	if err := c.Attest(ctx); err != nil {
		return nil, err
	}
	if !c.agreed || !c.rules.Repeats() {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration,
			"application data has no frames, so that a second request cannot be told from it").By(c.cfg.Profile.ID)
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
		return nil, attls.Errorf(attls.Local, attls.FailCapacity, "a request of this end is not answered yet")
	}
	c.open = q
	c.failed = nil
	c.mu.Unlock()
	octets, err := c.session.Request(ctx)
	if err == nil {
		err = c.send(contentRequest, octets)
	}
	if err != nil {
		c.mu.Lock()
		c.open = nil
		c.mu.Unlock()
		return nil, err
	}
	return q, nil
}

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

// CloseWrite sends what is still to be sent, and close_notify; see handshake.Conn.CloseWrite.
func (c *Conn) CloseWrite() error {
	if err := c.write(nil); err != nil {
		return err
	}
	return c.Conn.CloseWrite()
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
		return attls.Errorf(attls.Local, attls.FailTimeout, "no attestation of the peer: %v", context.Cause(ctx))
	}
	defer func() { <-c.reading }()
	if err := c.reason(); err != nil {
		return err
	}
	return c.step(ctx, true)
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

// past is a deadline that is over.
var past = time.Unix(1, 0)

// step reads and handles one frame. Data is kept, where keep says so, or left to Read. The
// caller holds c.reading.
func (c *Conn) step(ctx context.Context, keep bool) error {
	stop := context.AfterFunc(ctx, func() { _ = c.Conn.SetReadDeadline(past) })
	defer func() {
		if !stop() && ctx.Err() != nil {
			_ = c.Conn.SetReadDeadline(time.Time{})
		}
	}()
	if c.left > 0 {
		return c.keepData()
	}
	if err := c.need(c.f.header()); err != nil {
		return c.lost(err)
	}
	what, octets, bad := c.f.read(c.in[:c.f.header()])
	if bad != nil {
		return c.fail(bad)
	}
	if what == contentData {
		if c.first() && !c.complete() && !c.again() {
			return c.fail(attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
				"application data before the attestation is complete").By(c.cfg.Profile.ID))
		}
		c.in, c.left = c.in[:0], octets
		if keep {
			return c.keepData()
		}
		return nil
	}
	body, err := c.body(octets)
	if err != nil {
		return c.lost(err)
	}
	c.in = nil
	if what == contentRequest {
		return c.answer(ctx, body)
	}
	return c.appraise(ctx, body)
}

// again reports whether the peer cannot know that its data comes too early: it was not
// accepted and is asked again, or it attests nothing and need not. Its data is kept.
func (c *Conn) again() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused && c.rules.Report || c.cfg.Optional
}

// need reads until so many octets are in c.in, and not one more.
func (c *Conn) need(n int) error {
	for len(c.in) < n {
		at := len(c.in)
		room := min(n-at, 1<<14) // more comes as it is sent, not as it is announced
		c.in = append(c.in, make([]byte, room)...)
		m, err := c.Conn.Read(c.in[at:])
		c.in = c.in[:at+m]
		if err != nil && m == 0 {
			return err
		}
	}
	return nil
}

// body reads the rest of a request or an authenticator.
func (c *Conn) body(octets int) ([]byte, error) {
	end := c.f.header() + octets
	if err := c.need(end); err != nil {
		return nil, err
	}
	if c.f.typed() {
		return c.in[c.f.header():end], nil
	}
	for t := attls.HandshakeType(c.in[0]); t == attls.TypeCertificate || t == attls.TypeCertificateVerify; {
		if err := c.need(end + c.f.header()); err != nil {
			return nil, err
		}
		_, n, bad := c.f.message(c.in[end:])
		if bad != nil {
			return nil, bad
		}
		t = attls.HandshakeType(c.in[end])
		if end += c.f.header() + n; end > c.f.max {
			return nil, attls.Errorf(attls.Local, attls.FailCapacity, "an authenticator of %d octets; Limits.Octets is %d", end,
				c.f.max)
		}
		if err := c.need(end); err != nil {
			return nil, err
		}
	}
	return c.in[:end], nil
}

// keepData moves the rest of a data frame to where Read finds it.
func (c *Conn) keepData() error {
	if len(c.data)+c.left > maxHeld {
		return c.fail(attls.Errorf(attls.Local, attls.FailCapacity,
			"more than %d octets of application data while an authenticator is waited for", maxHeld))
	}
	b := make([]byte, min(c.left, 1<<14))
	n, err := c.Conn.Read(b)
	c.data, c.left = append(c.data, b[:n]...), c.left-n
	if err != nil && n == 0 {
		return c.lost(err)
	}
	return nil
}

// lost makes an error of the end of the stream in the middle of an exchange.
func (c *Conn) lost(err error) error {
	var named *attls.Error
	if errors.As(err, &named) && named.Class != attls.FromPeer && !isFinal(c.Conn) {
		return c.fail(named)
	}
	if err == io.EOF && (c.openQuestion() || len(c.in) > 0 || c.first() && !c.complete()) {
		err = attls.Errorf(attls.Refused, attls.FailTruncated,
			"the peer closed the connection, and the attestation is not complete")
		c.end(err)
	}
	return err
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

// answer answers a request of the peer.
func (c *Conn) answer(ctx context.Context, request []byte) error {
	c.mu.Lock()
	total := c.answered + len(c.held)
	hold := c.cfg.AnswerLast && c.asks() && !c.accepted
	if hold && len(c.held) == 0 {
		c.held = append(c.held, request)
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	switch {
	case hold:
		return c.fail(attls.Errorf(attls.Refused, attls.FailLimit, "a second request before the peer was accepted"))
	case total >= c.cfg.requests():
		return c.fail(attls.Errorf(attls.Refused, attls.FailLimit, "%d requests of the peer; MaxRequests is %d", total+1,
			c.cfg.requests()))
	}
	octets, made, err := c.session.Answer(ctx, request)
	if err != nil {
		return c.fail(err)
	}
	if err := c.send(contentAnswer, octets); err != nil {
		return err
	}
	c.mu.Lock()
	c.answered++
	if made != nil {
		c.remember(made)
	}
	c.tell()
	c.mu.Unlock()
	return nil
}

// appraise takes an answer of the peer.
func (c *Conn) appraise(ctx context.Context, octets []byte) error {
	out, err := c.session.Appraise(ctx, octets)
	c.mu.Lock()
	q := c.open
	if out != nil {
		c.remember(out)
	}
	if err == nil {
		c.accepted, c.open = true, nil
		if q != nil {
			q.outcome = out
			close(q.done)
		}
		c.tell()
	} else {
		c.refused = true
		if q != nil {
			q.outcome = out
		}
	}
	held := c.held
	if err == nil {
		c.held = nil
	}
	c.mu.Unlock()
	if err != nil {
		return c.fail(err)
	}
	for _, request := range held {
		if err := c.answer(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// remember keeps an outcome. The caller holds c.mu.
func (c *Conn) remember(o *Outcome) {
	if len(c.outcomes) == maxOutcomes {
		copy(c.outcomes[1:], c.outcomes[2:])
		c.outcomes = c.outcomes[:maxOutcomes-1]
	}
	c.outcomes = append(c.outcomes, *o)
}

// Outcomes are what was attested so far, in order: the first and the latest 63.
func (c *Conn) Outcomes() []Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Outcome(nil), c.outcomes...)
}

// Read reads application data; see Attest.
func (c *Conn) Read(b []byte) (int, error) {
	ctx := context.Background()
	if err := c.before(ctx); err != nil {
		return 0, err
	}
	if len(b) == 0 {
		return 0, nil
	}
	for {
		c.reading <- struct{}{}
		n, err := c.readData(ctx, b)
		<-c.reading
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// readData reads data that is at hand, or handles one frame. The caller holds c.reading.
func (c *Conn) readData(ctx context.Context, b []byte) (int, error) {
	if n := copy(b, c.data); n > 0 {
		if c.data = c.data[n:]; len(c.data) == 0 {
			c.data = nil
		}
		return n, nil
	}
	if !c.framed() {
		return c.Conn.Read(b)
	}
	if c.left > 0 {
		n, err := c.Conn.Read(b[:min(len(b), c.left)])
		c.left -= n
		if n > 0 {
			err = nil // it comes again
		} else if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	return 0, c.step(ctx, false)
}

// before makes the exchange where it comes before application data.
func (c *Conn) before(ctx context.Context) error {
	if c.opts != nil {
		return c.opts
	}
	if !c.first() {
		return c.start(ctx)
	}
	return c.Attest(ctx)
}

// framed reports whether application data has frames.
func (c *Conn) framed() bool { return c.agreed && c.rules.Repeats() }

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
