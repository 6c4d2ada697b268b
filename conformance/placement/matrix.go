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
// an end of the context left undone are not in it. The error says why a stack could not be run
// at all.
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
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results, done := make([]Result, len(cases)), make([]bool, len(cases))
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range min(o.Parallel, len(cases)) {
		wg.Go(func() {
			w := &worker{connector: NewConnector(s, o.Timeout), driver: d, options: &o}
			defer w.connector.Close()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(cases) {
					return
				}
				observed, err := w.run(ctx, &cases[i])
				if err != nil {
					cancel(err)
					return
				}
				if ctx.Err() != nil {
					return
				}
				results[i], done[i] = Result{Case: cases[i], Observation: *observed}, true
				if o.Step != nil {
					mu.Lock()
					o.Step(&results[i])
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if err := again(ctx, &worker{NewConnector(s, o.Timeout), d.patient(patience), &o}, results, done); err != nil {
		cancel(err)
	}
	var out []Result
	for i := range results {
		if done[i] {
			out = append(out, results[i])
		}
	}
	if cause := context.Cause(ctx); cause != nil && cause != ctx.Err() {
		return out, cause
	}
	return out, nil
}

// A case without an answer is sent again, with patience times the time, since a machine may be busy;
// at most maxAgain cases are.
const (
	patience = 3
	maxAgain = 20
)

// again sends the cases once more that were not answered, unless a message without any
// change is not answered either.
func again(ctx context.Context, w *worker, results []Result, done []bool) error {
	defer w.connector.Close()
	never := map[place]bool{}
	for i := range results {
		if r := &results[i]; done[i] && r.control() && r.Outcome == Silent {
			never[place{r.Role, r.Message}] = true
		}
	}
	sent := 0
	for i := range results {
		r := &results[i]
		if !done[i] || r.Outcome != Silent || r.control() || never[place{r.Role, r.Message}] {
			continue
		}
		if sent++; sent > maxAgain || ctx.Err() != nil {
			return nil
		}
		observed, err := w.run(ctx, &r.Case)
		if err != nil {
			return err
		}
		if ctx.Err() == nil {
			r.Observation = *observed
		}
	}
	return nil
}

// worker runs cases one after the other.
type worker struct {
	connector *Connector
	driver    *Driver
	options   *Options
}

// tries is how often a case is sent whose connection ended before it.
const tries = 2

// run sends a case. An error means that the stack cannot be run.
func (w *worker) run(ctx context.Context, c *Case) (o *Observation, err error) {
	for range tries {
		if o, err = w.send(ctx, c); err != nil || o.Outcome != Unsent || ctx.Err() != nil {
			return o, err
		}
	}
	return o, nil
}

// endWait is how long a program that may have crashed gets to end.
const endWait = 100 * time.Millisecond

// send sends a case.
func (w *worker) send(ctx context.Context, c *Case) (*Observation, error) {
	nc, err := w.connector.Open(ctx, c.Role)
	var not *NotConnected
	switch {
	case errors.As(err, &not):
		return &Observation{Outcome: Unsent, Detail: not.Error()}, nil
	case err != nil:
		return nil, err
	}
	o := w.exchange(ctx, nc, c)
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
	w.connector.Over(c.Role, ended || o.Outcome == Silent) // one that is silent may be stuck for good
	return o, nil
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
