// Package console runs programs that talk to people: what they print is searched
// for patterns, and lines are typed.
package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"attls/internal/process"
)

// Program is a running program. Its methods may be called concurrently.
type Program struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	cancel context.CancelFunc

	mu      sync.Mutex
	whole   []byte        // lines of both outputs, in the order in which they were ended
	outputs [2]output     // standard output and standard error
	changed chan struct{} // closed and replaced when something was printed
	ended   chan struct{}
	status  error // once ended
}

// output is what came from one of a program's outputs.
type output struct {
	pipe  syscall.RawConn // where it comes from
	text  []byte
	begun int // where the line begins that is not ended yet
}

// The outputs of a Program.
const (
	standard = iota
	errorOutput
)

// Start runs a program until it ends, Stop is called, or the context ends. Then whatever it
// has started ends too. env is added to the environment.
func Start(ctx context.Context, env []string, name string, args ...string) (*Program, error) {
	return StartIn(ctx, "", env, name, args...)
}

// StartIn runs a program in a directory, as Start does.
func StartIn(ctx context.Context, directory string, env []string, name string, args ...string) (*Program, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &Program{cmd: process.Command(ctx, name, args...), cancel: cancel, changed: make(chan struct{}),
		ended: make(chan struct{})}
	p.cmd.Dir = directory
	p.cmd.Env = append(os.Environ(), env...)
	var err error
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		err = p.begin()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return p, nil
}

// begin starts the program with a pipe for each output, and reads them until it has ended.
func (p *Program) begin() error {
	var readers, writers [2]*os.File
	defer func() {
		for _, w := range writers {
			w.Close() // the program has its own
		}
	}()
	var err error
	for i := range readers {
		if readers[i], writers[i], err = os.Pipe(); err == nil {
			p.outputs[i].pipe, err = readers[i].SyscallConn()
		}
		if err != nil {
			break
		}
	}
	p.cmd.Stdout, p.cmd.Stderr = writers[standard], writers[errorOutput]
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		for _, r := range readers {
			r.Close()
		}
		return err
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		var both sync.WaitGroup
		for i, r := range readers {
			both.Go(func() { follow(r, &screen{p, i}) })
		}
		both.Wait()
	}()
	go func() {
		defer close(p.ended)
		p.status = process.Wait(p.cmd)
		select {
		case <-read:
		case <-time.After(lingering): // something that left the group has them open
		}
		for _, r := range readers {
			r.Close()
		}
		<-read
	}()
	return nil
}

// lingering bounds how long the outputs of a program are read after its end.
const lingering = time.Second

// maxPrinted bounds what is kept of what a program prints, in octets.
const maxPrinted = 16 << 20

// screen is the writing side of a Program, of one of its outputs.
type screen struct {
	*Program
	output int
}

// Write keeps what was printed. A line joins those of the other output when it is
// whole: a program writes the parts of a line one by one, and nothing says how the
// parts that it writes to two pipes follow each other.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(b)
	return len(b), nil
}

// keep is Write under the lock.
func (s *screen) keep(b []byte) {
	p := s.Program
	o := &p.outputs[s.output]
	o.text = appendPrinted(o.text, b)
	if end := bytes.LastIndexByte(o.text[o.begun:], '\n') + 1; end > 0 {
		p.whole = appendPrinted(p.whole, o.text[o.begun:o.begun+end])
		o.begun += end
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

func appendPrinted(kept, b []byte) []byte {
	return append(kept, b[:min(len(b), maxPrinted-len(kept))]...)
}

// Printed is what the program has printed so far, on both outputs: whole lines in the
// order in which they came, then the lines that are not ended yet. Of what it prints
// without end, it is the first 16 MB of each output. What one output held when something of
// the other was awaited is there, except on Windows.
func (p *Program) Printed() []byte {
	p.drain()
	text, _ := p.snapshot(0)
	return text
}

// snapshot is Printed without the first octets of the whole lines; lines is how many
// octets of these there are.
func (p *Program) snapshot(from int) (text []byte, lines int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text = slices.Clone(p.whole[min(from, len(p.whole)):])
	for i := range p.outputs {
		text = append(text, p.outputs[i].text[p.outputs[i].begun:]...)
	}
	return text, len(p.whole)
}

// Outputs is what each output has brought so far, first the standard one.
func (p *Program) Outputs() (texts [2][]byte) {
	for i := range texts {
		texts[i] = p.after(Mark{}, i)
	}
	return texts
}

// Mark is a moment in what a program prints.
type Mark [2]int

// Mark marks what the program has printed until now.
func (p *Program) Mark() (m Mark) {
	p.drain()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.outputs {
		m[i] = len(p.outputs[i].text)
	}
	return m
}

// after is what one output has brought since a moment.
func (p *Program) after(m Mark, i int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.outputs[i].text
	return text[min(m[i], len(text)):len(text):len(text)]
}

// longestMatch bounds what a pattern of Await matches, in octets.
const longestMatch = 64 << 10

// ErrEnded says that a program ended without printing what was awaited.
var ErrEnded = errors.New("the program has ended")

// Await waits until the program has printed what matches, and returns the match
// with its groups. Nothing of one output comes into a line of the other. A match has at
// most 64 KB.
func (p *Program) Await(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	return p.awaitAs(ctx, pattern, pattern.String())
}

// awaitAs is Await with what errors call the pattern.
func (p *Program) awaitAs(ctx context.Context, pattern *regexp.Regexp, called string) ([]string, error) {
	from := 0
	return p.await(ctx, called, func() []string {
		text, lines := p.snapshot(from)
		from = max(from, lines-longestMatch)
		return match(pattern, text)
	})
}

// AwaitAfter is Await for what one of the outputs brings after a moment.
func (p *Program) AwaitAfter(ctx context.Context, m Mark, pattern *regexp.Regexp) ([]string, error) {
	return p.await(ctx, pattern.String(), func() []string {
		if found := match(pattern, p.after(m, standard)); found != nil {
			return found
		}
		return match(pattern, p.after(m, errorOutput))
	})
}

// AwaitOutput is Await for standard output alone, where nothing that a program says
// meanwhile comes between.
func (p *Program) AwaitOutput(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	return p.await(ctx, pattern.String(), func() []string { return match(pattern, p.after(Mark{}, standard)) })
}

// match is a match with its groups; nil if there is none.
func match(pattern *regexp.Regexp, text []byte) []string {
	m := pattern.FindSubmatch(text)
	if m == nil {
		return nil
	}
	list := make([]string, len(m))
	for i := range m {
		list[i] = string(m[i])
	}
	return list
}

// await looks again whenever something was printed. Errors call what it looks for by a name.
func (p *Program) await(ctx context.Context, pattern string, look func() []string) ([]string, error) {
	for {
		over, changed := p.over(), p.changes() // before the look, so that nothing comes between unseen
		if m := look(); m != nil {
			return m, nil
		}
		if over {
			return nil, fmt.Errorf("%w without printing %q", ErrEnded, pattern)
		}
		select {
		case <-changed:
		case <-p.ended:
		case <-ctx.Done():
			return nil, fmt.Errorf("%q was not printed: %w", pattern, ctx.Err())
		}
	}
}

// changes is closed when more is printed.
func (p *Program) changes() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
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
func StartServer(ctx context.Context, ready, taken string,
	start func(port string) (*Program, error)) (*Program, string, error) {
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
		m, err := p.awaitAs(ctx, either, ready)
		if err == nil && m[1] != "" {
			return p, address, nil
		}
		p.Stop()
		if err != nil {
			return nil, "", fmt.Errorf("%w: %s", err, Tail(p.Printed(), maxTail))
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

// maxTail bounds what errors show of what a program printed, in octets.
const maxTail = 1000

// Tail is the end of what a program printed, of at most so many octets: whole lines, unless the
// last one alone is longer.
func Tail(b []byte, most int) []byte {
	if len(b) <= most {
		return b
	}
	end := b[len(b)-most:]
	if b[len(b)-most-1] == '\n' {
		return end
	}
	if at := bytes.IndexByte(end, '\n'); at >= 0 && at+1 < len(end) {
		return end[at+1:]
	}
	return end
}
