// Package console runs programs that talk to people: what they print is searched
// for patterns, and lines are typed.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// Program is a running program. Its methods may be called concurrently.
type Program struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	cancel context.CancelFunc

	mu      sync.Mutex
	printed []byte        // on both outputs
	output  []byte        // on standard output
	changed chan struct{} // closed and replaced when something was printed
	ended   chan struct{}
	status  error // once ended
}

// Start runs a program until it ends, Stop is called, or the context ends. env
// is added to the environment.
func Start(ctx context.Context, env []string, name string, args ...string) (*Program, error) {
	return StartIn(ctx, "", env, name, args...)
}

// StartIn runs a program in a directory, as Start does.
func StartIn(ctx context.Context, directory string, env []string, name string, args ...string) (*Program, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &Program{cmd: exec.CommandContext(ctx, name, args...), cancel: cancel, changed: make(chan struct{}), ended: make(chan struct{})}
	p.cmd.Dir = directory
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &screen{p, true}, &screen{p, false}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) } // so that it can print what it still holds
	p.cmd.WaitDelay = time.Second                                                // then it is killed
	var err error
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		p.status = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// maxPrinted bounds what is kept of what a program prints, in octets.
const maxPrinted = 16 << 20

// screen is the writing side of a Program, of standard output or of errors.
type screen struct {
	*Program
	output bool
}

func (s *screen) Write(b []byte) (int, error) {
	p := s.Program
	p.mu.Lock()
	defer p.mu.Unlock()
	p.printed = appendPrinted(p.printed, b)
	if s.output {
		p.output = appendPrinted(p.output, b)
	}
	close(p.changed)
	p.changed = make(chan struct{})
	return len(b), nil
}

func appendPrinted(kept, b []byte) []byte {
	return append(kept, b[:min(len(b), maxPrinted-len(kept))]...)
}

// Printed is what the program has printed so far, on both outputs; of what it prints
// without end, the first 16 MB.
func (p *Program) Printed() []byte {
	text, _ := p.snapshot(&p.printed)
	return text
}

func (p *Program) snapshot(of *[]byte) (text []byte, changed chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return (*of)[:len(*of):len(*of)], p.changed
}

// longestMatch bounds what a pattern of Await matches, in octets.
const longestMatch = 1000

// ErrEnded says that a program ended without printing what was awaited.
var ErrEnded = errors.New("the program has ended")

// Await waits until the program has printed what matches, and returns the match
// with its groups. A match has at most 1000 octets.
func (p *Program) Await(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	return p.await(ctx, &p.printed, 0, pattern)
}

// AwaitAfter is Await for what is printed after the first octets.
func (p *Program) AwaitAfter(ctx context.Context, octets int, pattern *regexp.Regexp) ([]string, error) {
	return p.await(ctx, &p.printed, octets, pattern)
}

// AwaitOutput is Await for standard output alone, where nothing that a program says
// meanwhile comes between.
func (p *Program) AwaitOutput(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	return p.await(ctx, &p.output, 0, pattern)
}

func (p *Program) await(ctx context.Context, in *[]byte, octets int, pattern *regexp.Regexp) ([]string, error) {
	for from := octets; ; {
		over := p.over()
		text, changed := p.snapshot(in)
		if m := pattern.FindSubmatch(text[from:]); m != nil {
			list := make([]string, len(m))
			for i := range m {
				list[i] = string(m[i])
			}
			return list, nil
		}
		if over {
			return nil, fmt.Errorf("%w without printing %q", ErrEnded, pattern)
		}
		from = max(octets, len(text)-longestMatch)
		select {
		case <-changed:
		case <-p.ended:
		case <-ctx.Done():
			return nil, fmt.Errorf("%q was not printed: %w", pattern, ctx.Err())
		}
	}
}

// over reports whether the program has ended and everything that it printed is there.
func (p *Program) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Type types a text.
func (p *Program) Type(text string) error {
	_, err := io.WriteString(p.in, text)
	return err
}

// Write types octets.
func (p *Program) Write(b []byte) (int, error) { return p.in.Write(b) }

// CloseInput ends the program's input.
func (p *Program) CloseInput() { p.in.Close() }

// Wait waits until the program has ended by itself, or the context, and returns
// what exec.Cmd.Wait returned.
func (p *Program) Wait(ctx context.Context) error {
	select {
	case <-p.ended:
		return p.status
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop ends the program if it has not ended, and waits for it.
func (p *Program) Stop() {
	p.cancel()
	<-p.ended
}

// tries is how often StartServer looks for a port.
const tries = 5

// StartServer starts a server that has to be told its port. Somebody else may
// take the port in between: where the program prints what matches taken before
// it prints what matches ready, another port is tried.
func StartServer(ctx context.Context, ready, taken string, start func(port string) (*Program, error)) (*Program, string, error) {
	either := regexp.MustCompile("(" + ready + ")|" + taken)
	for range tries {
		address, err := freeAddress()
		if err != nil {
			return nil, "", err
		}
		_, port, _ := net.SplitHostPort(address)
		p, err := start(port)
		if err != nil {
			return nil, "", err
		}
		m, err := p.Await(ctx, either)
		if err == nil && m[1] != "" {
			return p, address, nil
		}
		p.Stop()
		if err != nil {
			return nil, "", fmt.Errorf("%w: %s", err, tail(p.Printed()))
		}
	}
	return nil, "", errors.New("every port was taken")
}

// freeAddress is an address of the loopback interface that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func tail(b []byte) []byte { return b[max(0, len(b)-longestMatch):] }
