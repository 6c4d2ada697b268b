package placement

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"attls/conformance/capture"
	"attls/internal/private"
)

// Stack is a stack under test.
type Stack interface {
	// Serve starts a server that takes one connection after the other, and answers a request.
	Serve(ctx context.Context) (Peer, error)
	// Connect starts a client that makes one connection to an address.
	Connect(ctx context.Context, address string) (Peer, error)
}

// Repeater is a Stack that may have a client which connects again and again.
type Repeater interface {
	// Repeats says that it has; Connect starts it once, then.
	Repeats() bool
}

// Peer is an end of a stack that was started.
type Peer interface {
	Address() string // where a server listens
	// Ended waits so long for the end of its program. crash names a signal that ended it.
	Ended(wait time.Duration) (ended bool, crash string)
	// Says is the end of what its program printed.
	Says() string
	Stop()
}

// Options say how a matrix is run.
type Options struct {
	Parallel int           // connections at a time; 0: 4
	Timeout  time.Duration // of a connection; 0: DefaultTimeout
	// Captures is a directory for a capture of each connection, with its secrets; empty: none.
	Captures string
	// Step is told of each result, from one goroutine at a time. Nil: nobody is.
	Step func(*Result)
}

// Run sends cases to a stack, and returns the results in the order of the cases. Those that
// an end of the context left undone are not in it. The messages without any change come first: a
// role in which the stack goes on after none of them gets no other case, and its cases are Unsent. The
// error says why a role of the stack, or both, could not be run at all; the results of the
// other are there nevertheless.
func Run(ctx context.Context, s Stack, cases []Case, o Options) ([]Result, error) {
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	d, err := NewDriver(o.Timeout)
	if err != nil {
		return nil, err
	}
	r := &runner{stack: s, driver: d, options: &o, cases: cases,
		results: make([]Result, len(cases)), done: make([]bool, len(cases))}
	defer r.close()
	var controls, others []int
	for i := range cases {
		if cases[i].control() {
			controls = append(controls, i)
		} else {
			others = append(others, i)
		}
	}
	r.all(ctx, controls)
	r.forgo(others)
	r.all(ctx, others)
	r.again(ctx)
	var out []Result
	for i := range r.results {
		if r.done[i] {
			out = append(out, r.results[i])
		}
	}
	return out, errors.Join(r.broken[:]...)
}

// runner is a run of the matrix.
type runner struct {
	stack   Stack
	driver  *Driver
	options *Options
	cases   []Case
	results []Result
	workers []*worker

	mu     sync.Mutex // for done, broken and Step
	done   []bool
	broken [2]error // why a role cannot be run
}

// all runs some of the cases, several at a time.
func (r *runner) all(ctx context.Context, chosen []int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for k := range min(r.options.Parallel, len(chosen)) {
		if k == len(r.workers) {
			r.workers = append(r.workers, &worker{NewConnector(r.stack, r.options.Timeout), r.driver, r.options})
		}
		w := r.workers[k]
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(chosen) {
					return
				}
				r.one(ctx, w, chosen[i])
			}
		})
	}
	wg.Wait()
}

// one runs a case, unless its role is known not to run, or the case is done.
func (r *runner) one(ctx context.Context, w *worker, i int) {
	c := &r.cases[i]
	r.mu.Lock()
	over := r.done[i] || r.broken[c.Role] != nil
	r.mu.Unlock()
	if over {
		return
	}
	observed, err := w.run(ctx, c)
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.broken[c.Role] = fmt.Errorf("as a %s, it cannot be run: %w", c.Role, err)
		return
	}
	r.finish(i, observed)
}

// finish keeps what a stack did with a case.
func (r *runner) finish(i int, o *Observation) {
	r.results[i], r.done[i] = Result{Case: r.cases[i], Observation: *o}, true
	if r.options.Step != nil {
		r.options.Step(&r.results[i])
	}
}

// forgo leaves out the cases of a role in which the stack goes on after no message, of which
// nothing could be said.
func (r *runner) forgo(cases []int) {
	goes, tried := [2]bool{}, [2]bool{}
	for i := range r.results {
		if r.done[i] {
			role := r.cases[i].Role
			tried[role], goes[role] = true, goes[role] || !r.results[i].fails()
		}
	}
	for _, i := range cases {
		if role := r.cases[i].Role; tried[role] && !goes[role] {
			r.finish(i, &Observation{Outcome: Unsent, Detail: "it goes on after no message without any change"})
		}
	}
}

// close stops all programs.
func (r *runner) close() {
	for _, w := range r.workers {
		w.connector.Close()
	}
}

// A case without an answer is sent again, with patience times the time, since a machine may be busy;
// at most maxAgain cases are.
const (
	patience = 3
	maxAgain = 20
)

// again sends the cases once more that were not answered, unless a message without any
// change is not answered either.
func (r *runner) again(ctx context.Context) {
	w := &worker{NewConnector(r.stack, r.options.Timeout), r.driver.patient(patience), r.options}
	defer w.connector.Close()
	never := map[place]bool{}
	for i := range r.results {
		if x := &r.results[i]; r.done[i] && x.control() && x.Outcome == Silent {
			never[place{x.Role, x.Message}] = true
		}
	}
	sent := 0
	for i := range r.results {
		x := &r.results[i]
		if !r.done[i] || x.Outcome != Silent || x.control() || never[place{x.Role, x.Message}] {
			continue
		}
		if sent++; sent > maxAgain || ctx.Err() != nil {
			return
		}
		if observed, err := w.run(ctx, &x.Case); err == nil && ctx.Err() == nil {
			x.Observation = *observed // an error leaves what the first attempt saw
		}
	}
}

// worker runs cases one after the other.
type worker struct {
	connector *Connector
	driver    *Driver
	options   *Options
}

// tries is how often a case is sent whose connection ended before it, or with a program that
// had other cases before.
const tries = 2

// run sends a case. An error means that the stack cannot be run.
func (w *worker) run(ctx context.Context, c *Case) (o *Observation, err error) {
	for range tries {
		var stale bool
		if o, stale, err = w.send(ctx, c); err != nil || o.Outcome != Unsent && !stale || ctx.Err() != nil {
			return o, err
		}
	}
	return o, nil
}

// endWait is how long a program that may have crashed gets to end.
const endWait = 100 * time.Millisecond

// send sends a case. It is stale if the program ended by itself, without an answer, and had
// other cases before: a server that a case ends may have accepted the connection of the next.
func (w *worker) send(ctx context.Context, c *Case) (o *Observation, stale bool, err error) {
	nc, err := w.connector.Open(ctx, c.Role)
	var not *NotConnected
	switch {
	case errors.As(err, &not):
		return &Observation{Outcome: Unsent, Detail: not.Error()}, false, nil
	case err != nil:
		return nil, false, err
	}
	o = w.exchange(ctx, nc, c)
	wait := endWait
	switch {
	case c.control() && o.Outcome != Accepted:
		w.connector.Ended(c.Role, endWait)
		o.Detail += "; it says: " + w.connector.Says(c.Role)
	case o.Outcome == Accepted || o.Outcome == Refused:
		wait = 0
	}
	ended, crash := w.connector.Ended(c.Role, wait)
	if crash != "" {
		o.Outcome, o.Detail = Crashed, crash
	}
	stale = ended && crash == "" && o.Outcome == Closed && w.connector.Used(c.Role)
	w.connector.Over(c.Role, ended || o.Outcome == Silent) // one that is silent may be stuck for good
	return o, stale, nil
}

// exchange makes a connection, and records it where that is asked for.
func (w *worker) exchange(ctx context.Context, nc net.Conn, c *Case) *Observation {
	if w.options.Captures == "" {
		return w.driver.Run(ctx, nc, c, nil)
	}
	var b strings.Builder
	cw, err := capture.NewWriter(&b, nil)
	if err != nil {
		nc.Close()
		return &Observation{Outcome: Unsent, Detail: err.Error()}
	}
	cw.Hold = true
	o := w.driver.Run(ctx, cw.Conn(nc, c.Role.Peer()), c, cw.KeyLog())
	err = cw.Flush()
	if err == nil {
		err = private.WriteFile(filepath.Join(w.options.Captures, c.FileName()+".pcapng"), []byte(b.String()))
	}
	if err != nil && o.Detail == "" {
		o.Detail = "not recorded: " + err.Error()
	}
	return o
}

// FileName is the case's name as that of a file.
func (c *Case) FileName() string { return strings.ReplaceAll(fileWord(c.Name()), "/", ".") }

func fileWord(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("/-_.", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
}

// Select keeps the cases whose name contains a text.
func Select(cases []Case, filter string) (out []Case) {
	for i := range cases {
		if strings.Contains(cases[i].Name(), filter) {
			out = append(out, cases[i])
		}
	}
	return out
}

// goroutine is a Peer in this process.
type goroutine struct {
	address string
	stop    func()
	ended   chan struct{}
}

func (g *goroutine) Address() string { return g.address }

// Ended implements Peer.
func (g *goroutine) Ended(wait time.Duration) (bool, string) {
	select {
	case <-g.ended:
		return true, ""
	case <-time.After(wait):
		return false, ""
	}
}

// Says implements Peer.
func (g *goroutine) Says() string { return "" }

// Stop implements Peer.
func (g *goroutine) Stop() {
	g.stop()
	<-g.ended
}

// InProcess is a stack in this process, by what it does with a connection.
type InProcess struct {
	// Client and Server make a connection, answer a request and close. Their errors are what
	// the other end sees.
	Client, Server func(ctx context.Context, nc net.Conn) error
}

// Serve implements Stack.
func (p *InProcess) Serve(ctx context.Context) (Peer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	g := &goroutine{address: l.Addr().String(), ended: make(chan struct{}), stop: func() {
		cancel()
		l.Close()
	}}
	go func() {
		defer close(g.ended)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = guarded(func() error { return p.Server(ctx, nc) })
			nc.Close()
		}
	}()
	return g, nil
}

// Connect implements Stack.
func (p *InProcess) Connect(ctx context.Context, address string) (Peer, error) {
	ctx, cancel := context.WithCancel(ctx)
	g := &goroutine{ended: make(chan struct{}), stop: cancel}
	go func() {
		defer close(g.ended)
		nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return
		}
		defer nc.Close()
		stop := context.AfterFunc(ctx, func() { nc.Close() })
		defer stop()
		_ = guarded(func() error { return p.Client(ctx, nc) })
	}()
	return g, nil
}

// guarded turns a panic of a stack into an error: the connection ends without an alert.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// answer reads a request and answers it, as a server, or reads until the end, as a client.
func answer(c net.Conn, server bool) error {
	if !server {
		_, err := io.Copy(io.Discard, c)
		return err
	}
	if _, err := c.Read(make([]byte, 64)); err != nil {
		return err
	}
	_, err := io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
	return err
}
