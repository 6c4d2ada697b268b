package fuzz

import (
	"bytes"
	"errors"
	"fmt"

	"attls"
	"attls/handshake"
)

// A script drives one engine: octet 0 is the place of the scenario, octet 1
// holds flags, and operations follow. What an operation lacks counts as zero.
const (
	flagServer = 1 << iota // the engine is a server
	flagNull               // with the null provider
	flagAnswer             // waits are answered at once
)

// The operations. Below opAnswer, an octet n is followed by n+1 octets of input.
const (
	opAnswer  = 0x80 + iota // answer the first open wait
	opRefuse                // refuse it
	opEOF                   // the peer sends nothing more
	opWrite                 // write application data
	opUpdate                // change the sending key
	opRequest               // and ask for the same
	opClose                 // send close_notify
	opFork                  // go on with a fork
	opWrote                 // the output was sent
	opAbort                 // give up
	opInput                 // two octets of length, and so much input
)

// maxScript bounds the octets of a script.
const maxScript = 1 << 17

// Script builds a script.
type Script []byte

// NewScript begins a script for a scenario.
func NewScript(scenario int, server, null, answer bool) Script {
	flags := byte(0)
	for i, set := range []bool{server, null, answer} {
		if set {
			flags |= 1 << i
		}
	}
	return Script{byte(scenario), flags}
}

// Input appends input, in pieces of at most so many octets.
func (s Script) Input(octets []byte, piece int) Script {
	for len(octets) > 0 {
		n := min(len(octets), piece, 1<<16-1)
		if n <= opAnswer {
			s = append(s, byte(n-1))
		} else {
			s = append(s, opInput, byte(n>>8), byte(n))
		}
		s, octets = append(s, octets[:n]...), octets[n:]
	}
	return s
}

// Do appends operations.
func (s Script) Do(ops ...byte) Script { return append(s, ops...) }

// Outcome is what a run of a script came to.
type Outcome struct {
	Output []byte // everything that was sent
	Data   []byte // application data received
	Error  string // the failure
	Done   bool
}

// player runs a script.
type player struct {
	e        *handshake.Engine
	tap      *alerts
	answer   func(*handshake.Wait) (handshake.Answer, *attls.Error)
	eager    bool
	given    int
	demand   bool
	want     []byte // what a completed connection exports; nil: anything
	outcome  Outcome
	finished error // the error that ended the connection
}

// errEngine marks a configuration that no engine can be made from.
var errEngine = errors.New("no engine")

// RunScript runs a script and returns what it came to, and the states that were
// entered in states if that is not nil. An error is a broken invariant.
func RunScript(script []byte, states map[string]bool) (*Outcome, error) {
	if len(script) < 2 || len(script) > maxScript {
		return nil, errEngine
	}
	scenarios := Scenarios()
	s := &scenarios[int(script[0])%len(scenarios)]
	role, null := attls.RoleClient, script[1]&flagNull != 0
	if script[1]&flagServer != 0 {
		role = attls.RoleServer
	}
	var err error
	p := &player{tap: &alerts{states: states}, eager: script[1]&flagAnswer != 0,
		demand: role == attls.RoleClient || s.mutual}
	if !null {
		if p.want, err = s.exported(); err != nil {
			return nil, err
		}
	}
	p.answer = s.answer(role, null)
	c := s.config(role, null, p.tap)
	create := handshake.NewClient
	if role == attls.RoleServer {
		create = handshake.NewServer
	}
	if p.e, err = create(c); err != nil {
		return nil, errEngine
	}
	if err := p.settle(); err != nil {
		return nil, err
	}
	for ops := script[2:]; len(ops) > 0; {
		if ops, err = p.operate(ops); err != nil {
			return nil, err
		}
		if err := p.settle(); err != nil {
			return nil, err
		}
	}
	p.drain()
	p.outcome.Done = p.e.Done()
	if err := p.e.Err(); err != nil {
		p.outcome.Error = string(err.Failure)
	}
	return &p.outcome, nil
}

// operate does one operation and returns the rest of the script.
func (p *player) operate(ops []byte) ([]byte, error) {
	op := ops[0]
	ops = ops[1:]
	switch {
	case op < opAnswer:
		return p.input(ops, int(op)+1), nil
	case op == opInput:
		if len(ops) < 2 {
			return nil, nil
		}
		return p.input(ops[2:], int(ops[0])<<8|int(ops[1])), nil
	case op == opAnswer:
		p.answerFirst()
	case op == opRefuse:
		if w := p.e.Waits(); len(w) > 0 {
			p.e.Fail(w[0].ID, attls.Errorf(attls.Local, attls.FailTimeout, "refused by the script"))
		}
	case op == opEOF:
		p.e.InputEOF()
	case op == opWrite:
		_ = p.e.Write([]byte("data"))
	case op == opUpdate:
		_ = p.e.KeyUpdate(false)
	case op == opRequest:
		_ = p.e.KeyUpdate(true)
	case op == opClose:
		p.e.CloseNotify()
	case op == opFork:
		fork := &alerts{fatal: p.tap.fatal, states: p.tap.states}
		f, err := p.e.Fork(handshake.ForkOptions{Tap: fork})
		if err != nil {
			return nil, err
		}
		p.e.Abort(attls.Errorf(attls.Local, attls.FailInternal, "the original is given up")) // the fork must not notice
		p.e, p.tap = f, fork
	case op == opWrote:
		p.drain()
	case op == opAbort:
		p.e.Abort(attls.Errorf(attls.Local, attls.FailCanceled, "given up by the script"))
	}
	return ops, nil
}

// input gives the engine the first n octets and returns the others.
func (p *player) input(b []byte, n int) []byte {
	n = min(n, len(b))
	copy(p.e.Reserve(max(n, 1)), b[:n])
	p.e.Commit(n)
	p.given += n
	return b[n:]
}

func (p *player) answerFirst() bool {
	w := p.e.Waits()
	if len(w) == 0 || p.e.Err() != nil {
		return false
	}
	a, err := p.answer(w[0])
	if err != nil {
		p.e.Fail(w[0].ID, err)
	} else {
		p.e.Answer(w[0].ID, a)
	}
	return true
}

// drain takes the output away.
func (p *player) drain() {
	out := p.e.Output()
	p.outcome.Output = append(p.outcome.Output, out...)
	p.e.Wrote(len(out))
}

// maxWaits bounds how many waits one operation can raise.
const maxWaits = 32

// settle reads the events, answers waits if that is to be done at once, and
// checks the invariants.
func (p *player) settle() error {
	for range maxWaits {
		for ev, ok := p.e.Next(); ok; ev, ok = p.e.Next() {
			if ev.Kind == handshake.EventData {
				p.outcome.Data = append(p.outcome.Data, ev.Data...)
			}
		}
		if !p.eager || !p.answerFirst() {
			return p.check()
		}
	}
	return fmt.Errorf("more than %d waits for one operation", maxWaits)
}

func (p *player) check() error {
	if p.tap.states != nil {
		p.tap.states[p.e.StateName()] = true
	}
	if err := CheckEngine(p.e, p.tap, p.given, p.demand); err != nil {
		return err
	}
	if p.e.Done() && p.want != nil {
		// Nobody but the recorded peer has the key that the engine asks for.
		if got, err := p.e.Export(exportLabel, nil, len(p.want)); err != nil || !bytes.Equal(got, p.want) {
			return fmt.Errorf("a handshake that was never recorded is complete (%v)", err)
		}
	}
	if err := p.e.Err(); err != nil {
		if p.finished != nil && p.finished.Error() != err.Error() {
			return fmt.Errorf("a second error: %v after %v", err, p.finished)
		}
		if p.finished == nil {
			p.finished = err
			p.drain()
		} else if len(p.e.Output()) > 0 {
			return fmt.Errorf("%d octets are sent after the end: %v", len(p.e.Output()), err)
		}
	}
	return nil
}

// SameOutcome reports how two outcomes differ; nil when they do not.
func SameOutcome(a, b *Outcome) error {
	switch {
	case a.Done != b.Done || a.Error != b.Error:
		return fmt.Errorf("done %v, error %q against done %v, error %q", a.Done, a.Error, b.Done, b.Error)
	case !bytes.Equal(a.Output, b.Output):
		return fmt.Errorf("sent %x against %x", a.Output, b.Output)
	case !bytes.Equal(a.Data, b.Data):
		return fmt.Errorf("received %x against %x", a.Data, b.Data)
	}
	return nil
}
