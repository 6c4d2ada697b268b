package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"attls"
	"attls/attestation"
	"attls/conformance/capture"
	"attls/conformance/claims"
	"attls/handshake"
	"attls/negotiation"
)

// How long a program waits for anything, how long the laboratory waits for a program that
// does nothing, and how long for others once an honest end has refused.
const (
	programPatience = 5 * time.Second
	programSilence  = 15 * time.Second
	programGrace    = 500 * time.Millisecond
)

// programRunTimeout bounds a run with programs.
const programRunTimeout = 60 * time.Second

// maxHeeds bounds what a run hears of programs.
const maxHeeds = 1 << 14

// programData is how many octets a client that is a program sends and expects back: no
// more than the other end sends of its own.
const programData = 20

// outside is an honest end that is a program.
type outside struct {
	c        *connection
	role     attls.Role
	program  Program
	answerer *handshake.Answerer
	out      []byte // sent and not delivered
	hungUp   bool   // nothing more goes to it
	eof      bool   // nothing more comes from it
	ended    *Ended
	failed   string // why it has told nothing
}

func (o *outside) Output() []byte { return o.out }

func (o *outside) Wrote(n int) { o.out = o.out[n:] }

func (o *outside) Deliver(b []byte) {
	conn := o.program.Conn()
	_ = conn.SetWriteDeadline(time.Now().Add(programPatience))
	_, _ = conn.Write(b) // a program that has ended says why by itself
}

// hangUp tells the program that nothing more comes.
func (o *outside) hangUp() {
	if o.hungUp {
		return
	}
	o.hungUp = true
	if half, ok := o.program.Conn().(interface{ CloseWrite() error }); ok && !o.eof {
		_ = half.CloseWrite()
		return
	}
	_ = o.program.Conn().Close()
}

func (o *outside) over() bool { return o.ended != nil || o.failed != "" }

// heard is what a program did: it sent octets, asked, or ended.
type heard struct {
	o      *outside
	octets []byte
	eof    bool
	ask    []byte
	answer chan<- []byte
	ended  *Ended
	err    error
}

// programs are those of a run, and what is heard of them.
type programs struct {
	list   []*outside
	events chan heard
	done   chan struct{} // closed at the end of the run
	heeds  int
	ends   sync.WaitGroup
	// silence is how long a program may do nothing.
	silence time.Duration
}

func newPrograms(silence time.Duration) *programs {
	if silence == 0 {
		silence = programSilence
	}
	return &programs{events: make(chan heard), done: make(chan struct{}), silence: silence}
}

func (p *programs) tell(h heard) bool {
	select {
	case p.events <- h:
		return true
	case <-p.done:
		return false
	}
}

// stop ends all programs and waits for what listens to them.
func (p *programs) stop() {
	close(p.done)
	for _, o := range p.list {
		o.program.Stop()
		_ = o.program.Conn().Close()
	}
	p.ends.Wait()
}

// program starts an honest end that is a program.
func (r *run) program(ctx context.Context, c *connection, role attls.Role, config *handshake.Config,
	answerer *handshake.Answerer) (*outside, error) {
	o := &outside{c: c, role: role, answerer: answerer}
	credential := answerer.Credentials[0]
	key := credential.Signer
	if fixed, ok := key.(fixedSigner); ok {
		key = fixed.Signer
	}
	p := r.programs
	program, err := r.stacks[role].Start(ctx, &ProgramEnd{Role: role, Profile: config.Profile, Combo: &r.combo,
		Scheme: scheme(config.Profile, &r.combo), Suite: attls.TLS_AES_128_GCM_SHA256,
		ServerName: config.ServerName, Chain: credential.Chain, Key: key, Authority: r.w.authority,
		SelfSigned: r.setting(role, "certificate").Text == "self_signed", Demand: config.Policy.Demand, Data: programData,
		Patience: programPatience, Ask: func(request []byte) []byte {
			answer := make(chan []byte, 1)
			if !p.tell(heard{o: o, ask: request, answer: answer}) {
				return nil
			}
			return <-answer
		}})
	if err != nil {
		return nil, fmt.Errorf("%s as the %s does not start: %w", r.stacks[role].Name(), role, err)
	}
	o.program = program
	p.list = append(p.list, o)
	p.ends.Go(func() { o.listen(p) })
	p.ends.Go(func() {
		ended, err := program.End()
		p.tell(heard{o: o, ended: ended, err: err})
	})
	return o, nil
}

// listen reads what a program sends.
func (o *outside) listen(p *programs) {
	for {
		b := make([]byte, 1<<14)
		n, err := o.program.Conn().Read(b)
		if n > 0 && !p.tell(heard{o: o, octets: b[:n]}) {
			return
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = o.program.Conn().Close()
			}
			p.tell(heard{o: o, eof: true})
			return
		}
	}
}

// heed waits for something that a program does and takes it in. False: no program does
// anything any more.
func (r *run) heed(ctx context.Context) (bool, error) {
	p := r.programs
	if r.closes() {
		return true, nil
	}
	live := false
	for _, o := range p.list {
		live = live || !o.over()
	}
	if !live {
		return false, nil
	}
	if p.heeds++; p.heeds > maxHeeds {
		return false, fmt.Errorf("the programs have done more than %d things", maxHeeds)
	}
	wait := p.silence
	if r.refused() {
		wait = min(wait, programGrace)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case h := <-p.events:
		r.hear(ctx, &h)
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-timer.C:
		return r.silence(wait), nil
	}
}

// silence is what follows when no program does anything: those that may still wait for the
// attacker are told that nothing comes; one that does not even end then hangs.
func (r *run) silence(wait time.Duration) (goesOn bool) {
	for _, o := range r.programs.list {
		switch {
		case o.over():
		case !o.hungUp:
			o.hangUp()
			goesOn = true
		case wait == r.programs.silence:
			o.failed = fmt.Sprintf("it did nothing for %v, and did not end", wait)
			o.program.Stop()
		default:
			goesOn = true
		}
	}
	return goesOn
}

// hear takes in what a program did.
func (r *run) hear(ctx context.Context, h *heard) {
	o := h.o
	switch {
	case h.ask != nil:
		var b bytes.Buffer
		if err := attestation.Serve(ctx, o.attester(), o.appraiser(), bytes.NewReader(h.ask), &b); err != nil {
			b.Reset()
		}
		h.answer <- b.Bytes()
	case h.octets != nil:
		o.out = append(o.out, h.octets...)
	case h.eof:
		o.eof = true
		if e := o.c.pair.Engine(o.role.Peer()); e != nil && len(o.out) == 0 && e.Err() == nil {
			_ = e.InputEOF() // what it makes of that, the engine keeps
		}
		o.hangUp()
	case h.err != nil && o.failed == "":
		o.failed = h.err.Error()
	case h.ended != nil:
		o.ended = h.ended
	}
}

func (o *outside) attester() negotiation.Attester {
	if o.answerer.Attester == nil {
		return nil
	}
	return o.answerer.Attester
}

func (o *outside) appraiser() negotiation.Appraiser {
	if o.answerer.Appraiser == nil {
		return nil
	}
	return o.answerer.Appraiser
}

// closes ends what an engine has to say to a program: it closes once it has taken data,
// and hangs up once it has failed or closed.
func (r *run) closes() (did bool) {
	for _, o := range r.programs.list {
		e := o.c.pair.Engine(o.role.Peer())
		if e == nil {
			other := o.c.outside[o.role.Peer()]
			if other.over() && len(other.out) == 0 && !o.hungUp {
				o.hangUp()
			}
			continue
		}
		switch {
		case e.Err() != nil && !o.hungUp:
			o.hangUp()
		case e.Done() && !o.c.closed && len(o.c.pair.Received(o.role.Peer())) > 0:
			o.c.closed = true
			e.CloseNotify()
			did = true
		case o.c.closed && !o.hungUp:
			o.hangUp()
		}
	}
	return did
}

// refused reports whether an honest end has refused.
func (r *run) refused() bool {
	for _, c := range r.conns {
		for _, role := range attls.Roles() {
			if c.honest[role] && r.refusalOf(c, role) != nil {
				return true
			}
		}
	}
	return false
}

// refusalOf is the outcome where an honest end has refused; nil: it has not.
func (r *run) refusalOf(c *connection, role attls.Role) *Result {
	if o := c.outside[role]; o != nil {
		if o.ended == nil || o.ended.refusal() == nil {
			return nil
		}
		return r.rejectedBy(o)
	}
	if e := c.failure(role); e != nil && e.Class != attls.FromPeer {
		return r.rejected(c, role, e)
	}
	return nil
}

// rejectedBy is the outcome where a program refuses.
func (r *run) rejectedBy(o *outside) *Result {
	e := o.ended.refusal()
	out := &Result{Outcome: Rejected, By: o.role.String(), At: e.Message, Failure: e.Failure, Detail: e.Detail}
	if a := o.ended.Claims.AlertSent; a != nil {
		out.Alert = claims.AlertName(r.profile, attls.AlertDescription(a.Code))
	}
	return out
}

// brokenPrograms is the outcome where a program crashes or hangs; nil: none does.
func (r *run) brokenPrograms() *Result {
	if r.programs == nil {
		return nil
	}
	for _, o := range r.programs.list {
		if o.failed != "" {
			return &Result{Outcome: Broken, By: o.role.String(),
				Detail: fmt.Sprintf("%s as the %s: %s", r.stacks[o.role].Name(), o.role, o.failed)}
		}
	}
	return nil
}

// took is why a relying party that is a program has not taken data; empty: it has.
func (o *outside) took() string {
	switch {
	case o.ended == nil:
		return "the relying party still waits"
	case o.ended.Claims.Error != nil && o.ended.Claims.DataReceived == 0:
		return "the connection was closed: " + o.ended.Claims.Error.Detail
	case o.ended.Claims.DataReceived == 0:
		return "the relying party took no application data"
	}
	return ""
}

// handshakeSecret is what an honest server that is a program has told of its Handshake
// Secret.
func (o *outside) handshakeSecret() []byte {
	b := o.program.Secret(capture.LabelHandshake)
	if b == nil && !o.over() && !o.eof {
		o.failed = "it does not tell its Handshake Secret in its key log, as newer builds do"
	}
	return b
}
