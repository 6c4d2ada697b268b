// Package pair drives a client's and a server's engine against each other in
// one goroutine, deterministically: the same options give the same steps. The
// octets between the two may be cut in any way, waits may be answered early,
// late or only when nothing else can go on, and a Pair can be forked after
// every step.
//
//	p, err := pair.New(pair.Options{Client: cc, Server: sc, Answer: [2]pair.Answer{clientAnswers, serverAnswers}})
//	err = p.Run()                       // the handshake, and Options.Send both ways
//	got := p.Received(attls.RoleServer) // application data that the server got
//
// Arrays of two are indexed by attls.Role.
package pair

import (
	"fmt"
	"strings"

	"attls"
	"attls/handshake"
)

// Answer answers one wait of one end, or refuses it with an error. It is shared
// by the forks of a Pair, so it should depend on the wait alone.
type Answer func(*handshake.Wait) (handshake.Answer, *attls.Error)

// Split says how many of the pending octets (at least 1) are delivered as chunk
// n of a direction; what it returns is brought into the range 1 to pending.
type Split func(n, pending int) int

// Octets delivers at most size octets at a time.
func Octets(size int) Split { return func(int, int) int { return size } }

// Sizes delivers chunks of the given sizes in turn, over and over.
func Sizes(sizes ...int) Split {
	return func(n, _ int) int { return sizes[n%len(sizes)] }
}

// WhenIdle is the delay of an answer that is given only when nothing else can
// go on.
const WhenIdle = -1

// DefaultMaxSteps bounds a run unless Options say otherwise.
const DefaultMaxSteps = 1 << 20

// Outside is an end that is not an engine of this process, such as a program behind a
// socket. Step does not wait for it: what it has sent is delivered as soon as Output has it.
type Outside interface {
	Output() []byte        // what it has sent and was not delivered yet
	Wrote(n int)           // so many octets of Output were delivered
	Deliver(octets []byte) // what the other end has sent; not kept
}

// Options say what runs against what, and how.
type Options struct {
	Client, Server *handshake.Config
	// Outside takes the place of an engine, whose Config is not used then. Such a Pair
	// cannot be forked.
	Outside [2]Outside
	// Answer answers the waits of each end. Nil: waits stay open, to be answered
	// through Engine.
	Answer [2]Answer
	// Split cuts what each end sends. Nil: everything that is pending at once.
	Split [2]Split
	// Delay returns after how many further steps a wait is answered, or
	// WhenIdle. Nil: 0 for every wait.
	Delay func(attls.Role, *handshake.Wait) int
	// Send is application data that an end writes as soon as it is done.
	Send [2][]byte
	// Tamper, if not nil, may change octets in transit, in place: a chunk of what
	// an end sent, beginning at an offset of all that it sends.
	Tamper func(from attls.Role, offset int, chunk []byte)
	// KeepWire keeps every octet that was sent, for Wire.
	KeepWire bool
	// MaxSteps bounds all steps of a Pair. 0: DefaultMaxSteps.
	MaxSteps int
}

// Action is what one step did.
type Action uint8

// What a step may have done; Nothing is the last one of a run.
const (
	Nothing   Action = iota // neither end can go on
	Happened                // an event of an engine, in Step.Event
	Answered                // a wait was answered or refused, in Step.Wait
	Delivered               // Step.Octets octets from the other end were handed to Step.Role
)

// Step tells what one step did. Views in Event are valid until the next step.
type Step struct {
	Role   attls.Role // the end that acted
	Action Action
	Event  handshake.Event
	Wait   *handshake.Wait
	Octets int
}

// Pair is two engines and the octets between them.
type Pair struct {
	o     Options
	ends  [2]*end
	turn  attls.Role // whose octets are delivered next
	steps int
}

// end is one engine with what is on its way from it.
type end struct {
	engine   *handshake.Engine // nil: outside
	outside  Outside
	open     []openWait
	chunks   int
	sent     int // octets that have left it
	received []byte
	wire     []byte
	injected []byte // octets of nobody's, delivered to this end before the peer's
	done     bool
	closed   bool
}

type openWait struct {
	wait *handshake.Wait
	due  int // the step from which it may be answered; WhenIdle: see there
}

// New makes both engines. Its error is a configuration's.
func New(o Options) (*Pair, error) {
	if o.MaxSteps == 0 {
		o.MaxSteps = DefaultMaxSteps
	}
	p := &Pair{o: o, ends: [2]*end{{outside: o.Outside[0]}, {outside: o.Outside[1]}}}
	configs := [2]*handshake.Config{attls.RoleClient: o.Client, attls.RoleServer: o.Server}
	for i, make := range [2]func(*handshake.Config) (*handshake.Engine, error){
		attls.RoleClient: handshake.NewClient, attls.RoleServer: handshake.NewServer} {
		if p.ends[i].outside != nil {
			continue
		}
		engine, err := make(configs[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", attls.Role(i), err)
		}
		p.ends[i].engine = engine
	}
	return p, nil
}

// output is what is on its way from an end.
func (e *end) output() []byte {
	if e.engine == nil {
		return e.outside.Output()
	}
	return e.engine.Output()
}

func (e *end) wrote(n int) {
	if e.engine == nil {
		e.outside.Wrote(n)
	} else {
		e.engine.Wrote(n)
	}
}

// take hands octets to an end, changed by tamper where that is not nil.
func (e *end) take(octets []byte, tamper func([]byte)) {
	if e.engine == nil {
		room := append([]byte(nil), octets...)
		if tamper != nil {
			tamper(room)
		}
		e.outside.Deliver(room)
		return
	}
	room := e.engine.Reserve(len(octets))[:len(octets)]
	copy(room, octets)
	if tamper != nil {
		tamper(room)
	}
	e.engine.Commit(len(octets))
}

var roles = [...]attls.Role{attls.RoleClient, attls.RoleServer}

// Engine returns the engine of an end; nil: it is outside.
func (p *Pair) Engine(r attls.Role) *handshake.Engine { return p.ends[r].engine }

// Received returns the application data that an end has received.
func (p *Pair) Received(r attls.Role) []byte { return p.ends[r].received }

// Wire returns every octet that an end has sent, under Options.KeepWire.
func (p *Pair) Wire(r attls.Role) []byte { return p.ends[r].wire }

// Steps returns how many steps were made.
func (p *Pair) Steps() int { return p.steps }

// Done reports whether both ends completed the handshake.
func (p *Pair) Done() bool { return p.ends[0].done && p.ends[1].done }

// Closed reports whether an end received close_notify.
func (p *Pair) Closed(r attls.Role) bool { return p.ends[r].closed }

// Inject puts octets before what is on its way to an end, as if its peer had
// sent them.
func (p *Pair) Inject(to attls.Role, octets []byte) {
	p.ends[to].injected = append(p.ends[to].injected, octets...)
}

// Step does the first of these that is possible: hand out an event, answer a
// wait that is due, deliver octets (the ends take turns), answer a wait that
// waits for idleness. It returns false when nothing is possible or the limit of
// steps is reached.
func (p *Pair) Step() (Step, bool) {
	if p.steps >= p.o.MaxSteps {
		return Step{}, false
	}
	for _, try := range [...]func() (Step, bool){p.event, p.answerDue, p.deliver, p.answerIdle} {
		if s, ok := try(); ok {
			p.steps++
			return s, true
		}
	}
	return Step{}, false
}

// Run goes on until nothing is possible any more and returns Err.
func (p *Pair) Run() error {
	for {
		if _, ok := p.Step(); !ok {
			return p.Err()
		}
	}
}

// Err returns why the run failed: the error of the end that found the fault, the
// limit of steps, or a handshake that makes no progress. It is nil once both are done.
func (p *Pair) Err() error {
	var first *attls.Error
	for _, r := range roles {
		if p.ends[r].engine == nil {
			continue
		}
		err := p.ends[r].engine.Err()
		if err != nil && (first == nil || first.Class == attls.FromPeer) {
			first = err
		}
	}
	switch {
	case first != nil:
		return first
	case p.steps >= p.o.MaxSteps:
		return fmt.Errorf("pair: %d steps were not enough: %s", p.steps, p.describe())
	case !p.Done():
		return fmt.Errorf("pair: the handshake makes no progress: %s", p.describe())
	}
	return nil
}

func (p *Pair) describe() string {
	var parts []string
	for _, r := range roles {
		e := p.ends[r].engine
		if e == nil {
			parts = append(parts, fmt.Sprintf("%s outside", r))
			continue
		}
		var waits []string
		for _, w := range e.Waits() {
			waits = append(waits, w.Kind.String())
		}
		parts = append(parts, fmt.Sprintf("%s in state %s with open waits %v", r, e.StateName(), waits))
	}
	return strings.Join(parts, ", ")
}

// event hands out the next event of either end and does what Options ask for.
func (p *Pair) event() (Step, bool) {
	for _, r := range roles {
		end := p.ends[r]
		if end.engine == nil {
			continue
		}
		ev, ok := end.engine.Next()
		if !ok {
			continue
		}
		switch ev.Kind {
		case handshake.EventWait:
			if p.o.Answer[r] != nil {
				end.open = append(end.open, openWait{ev.Wait, p.due(r, ev.Wait)})
			}
		case handshake.EventDone:
			end.done = true
			if data := p.o.Send[r]; len(data) > 0 {
				_ = end.engine.Write(data) // an error is the engine's own, reported by Err
			}
		case handshake.EventData:
			end.received = append(end.received, ev.Data...)
		case handshake.EventClosed:
			end.closed = true
		}
		return Step{Role: r, Action: Happened, Event: ev}, true
	}
	return Step{}, false
}

func (p *Pair) due(r attls.Role, w *handshake.Wait) int {
	if p.o.Delay == nil {
		return p.steps
	}
	if d := p.o.Delay(r, w); d >= 0 {
		return p.steps + d
	}
	return WhenIdle
}

func (p *Pair) answerDue() (Step, bool) {
	return p.answer(func(w openWait) bool { return w.due != WhenIdle && w.due <= p.steps })
}

// answerIdle answers the wait whose step comes first; those that wait for
// idleness come last.
func (p *Pair) answerIdle() (Step, bool) {
	next := WhenIdle
	for _, r := range roles {
		for _, w := range p.ends[r].open {
			if w.due != WhenIdle && (next == WhenIdle || w.due < next) {
				next = w.due
			}
		}
	}
	return p.answer(func(w openWait) bool { return w.due == next })
}

// answer answers the first wait that is wanted.
func (p *Pair) answer(wanted func(openWait) bool) (Step, bool) {
	for _, r := range roles {
		end := p.ends[r]
		for i, w := range end.open {
			if end.engine.Err() != nil || !wanted(w) {
				continue
			}
			end.open = append(append([]openWait(nil), end.open[:i]...), end.open[i+1:]...)
			a, err := p.o.Answer[r](w.wait)
			if err != nil {
				end.engine.Fail(w.wait.ID, err)
			} else {
				end.engine.Answer(w.wait.ID, a)
			}
			return Step{Role: r, Action: Answered, Wait: w.wait}, true
		}
	}
	return Step{}, false
}

// deliver hands octets to one end. An end that has failed takes none.
func (p *Pair) deliver() (Step, bool) {
	for range roles {
		to := p.turn
		p.turn = p.turn.Peer()
		from := p.ends[to.Peer()]
		pending := from.output()
		injected := len(p.ends[to].injected) > 0
		if injected {
			pending = p.ends[to].injected
		}
		if len(pending) == 0 {
			continue
		}
		n := p.cut(to.Peer(), len(pending))
		if injected {
			p.ends[to].take(pending[:n], nil)
			p.ends[to].injected = pending[n:]
			return Step{Role: to, Action: Delivered, Octets: n}, true
		}
		if p.o.KeepWire {
			from.wire = append(from.wire, pending[:n]...)
		}
		var tamper func([]byte)
		if at := from.sent; p.o.Tamper != nil {
			tamper = func(chunk []byte) { p.o.Tamper(to.Peer(), at, chunk) }
		}
		from.sent += n
		p.ends[to].take(pending[:n], tamper)
		from.wrote(n)
		return Step{Role: to, Action: Delivered, Octets: n}, true
	}
	return Step{}, false
}

func (p *Pair) cut(from attls.Role, pending int) int {
	n := pending
	if split := p.o.Split[from]; split != nil {
		n = max(1, min(split(p.ends[from].chunks, pending), pending))
	}
	p.ends[from].chunks++
	return n
}

// Fork returns a Pair that goes its own way from here, waits, taps and the
// octets between the ends included. The options of the engines' forks are
// indexed by role.
func (p *Pair) Fork(o [2]handshake.ForkOptions) (*Pair, error) {
	f := *p
	for _, r := range roles {
		old := p.ends[r]
		if old.engine == nil {
			return nil, fmt.Errorf("pair: the %s is outside, and cannot be forked", r)
		}
		engine, err := old.engine.Fork(o[r])
		if err != nil {
			return nil, err
		}
		copied := *old
		copied.engine = engine
		copied.open = append([]openWait(nil), old.open...)
		copied.received = append([]byte(nil), old.received...)
		copied.wire = append([]byte(nil), old.wire...)
		copied.injected = append([]byte(nil), old.injected...)
		f.ends[r] = &copied
	}
	return &f, nil
}
