package adapter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"attls"
	"attls/internal/console"
)

// Values are the values of variables; one that is missing is empty and not set.
type Values map[string]string

// Stack is an adapter on this machine.
type Stack struct {
	*Adapter
	paths Values // of the programs
	// Missing says why the stack is not here; empty: it is.
	Missing string
	// Version is what the stack says it is; empty: it does not say.
	Version string
}

// versionTimeout bounds the question for a version.
const versionTimeout = 10 * time.Second

// Find looks for the programs of an adapter. paths are paths of programs by their names,
// which count before the file's.
func (a *Adapter) Find(ctx context.Context, paths map[string]string) *Stack {
	s := &Stack{Adapter: a, paths: Values{}}
	for _, p := range a.Programs {
		path := paths[p.Name]
		if path == "" && p.Environment != "" {
			path = os.Getenv(p.Environment)
		}
		if path == "" {
			path = p.Path
		}
		if strings.HasPrefix(path, "~cache/") {
			cache, err := os.UserCacheDir()
			if err != nil {
				s.Missing = err.Error()
				return s
			}
			path = filepath.Join(cache, strings.TrimPrefix(path, "~cache/"))
		}
		switch found, err := exec.LookPath(path); {
		case path == "":
			s.Missing = fmt.Sprintf("$%s does not name the program %s", p.Environment, p.Name)
			return s
		case err != nil:
			s.Missing = fmt.Sprintf("the program %s is not here: %v", p.Name, err)
			return s
		default:
			s.paths[p.Name] = found
		}
	}
	if a.Version != nil {
		text, err := s.ask(ctx, a.Version)
		if err != nil {
			s.Missing = err.Error()
			return s
		}
		s.Version = text
	}
	return s
}

// ask runs a command and reads its answer.
func (s *Stack) ask(ctx context.Context, q *Question) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	words := expand(q.Command, s.paths, nil)
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if m := q.Is.FindSubmatch(out); m != nil {
		return attls.Printable(string(m[1])), nil // some programs say it and fail
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(words, " "), err)
	}
	return "", fmt.Errorf("%s does not print what matches %s", strings.Join(words, " "), q.Is)
}

// expand makes the arguments of a command.
func expand(words []Word, paths, values Values) (list []string) {
	for i := range words {
		w := &words[i]
		switch {
		case w.When == nil:
			list = append(list, w.fill(paths, values))
		case w.When.holds(values):
			list = append(list, expand(w.Then, paths, values)...)
		}
	}
	return list
}

func (c *Condition) holds(values Values) bool {
	v := values[c.Name]
	return (v != "" && (c.Value == "" || v == c.Value)) != c.Not
}

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

// fill replaces the placeholders of a word; what they are replaced by is not looked at again.
func (w *Word) fill(paths, values Values) string {
	return placeholder.ReplaceAllStringFunc(w.Text, func(p string) string {
		name := p[2 : len(p)-1]
		if path, ok := paths[name]; ok {
			return path
		}
		return values[name]
	})
}

// Prepared makes what the programs need in a directory. values has certificate, key and
// authority.
func (s *Stack) Prepared(ctx context.Context, values Values) error {
	for _, f := range s.Files {
		if err := os.WriteFile(filepath.Join(values["directory"], f.Name), []byte(f.Text), 0o600); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	for _, c := range s.Prepare {
		words := expand(c, s.paths, values)
		out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %s: %w: %s", s.Name, strings.Join(words, " "), err, attls.PrintableLines(string(out)))
		}
	}
	return nil
}

// Running is a program that runs.
type Running struct {
	program *console.Program
	// Address is where a server listens.
	Address string
}

// Printed is what the program has printed so far.
func (r *Running) Printed() []byte { return r.program.Printed() }

// Stop ends the program if it has not ended, and waits for it.
func (r *Running) Stop() { r.program.Stop() }

// start starts the program of an end.
func (s *Stack) start(ctx context.Context, e *End, values Values) (*console.Program, error) {
	words := expand(e.Command, s.paths, values)
	var env []string
	for _, v := range e.Environment {
		env = append(env, v.Name+"="+v.Value.fill(s.paths, values))
	}
	return console.StartIn(ctx, values["directory"], env, words[0], words[1:]...)
}

// Connect starts a client that connects to values["address"].
func (s *Stack) Connect(ctx context.Context, values Values) (*Running, error) {
	e := s.Ends[attls.RoleClient]
	p, err := s.start(ctx, e, values)
	if err != nil {
		return nil, err
	}
	if e.Types != "" {
		_ = p.Type(e.Types) // a program that does not read has ended, which its connection shows
	}
	return &Running{program: p}, nil
}

// listenTimeout bounds the start of a server.
const listenTimeout = 20 * time.Second

// Serve starts a server and waits until it listens.
func (s *Stack) Serve(ctx context.Context, values Values) (*Running, error) {
	e := s.Ends[attls.RoleServer]
	wait, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	values = maps.Clone(values)
	values["host"] = "127.0.0.1"
	if e.Listens != nil && e.Listens.NumSubexp() > 0 {
		p, err := s.start(ctx, e, values)
		if err != nil {
			return nil, err
		}
		m, err := p.Await(wait, e.Listens)
		if err != nil {
			p.Stop()
			return nil, fmt.Errorf("%s did not listen: %w: %s", s.Name, err, attls.PrintableLines(string(tail(p.Printed()))))
		}
		return &Running{p, "127.0.0.1:" + m[1]}, nil
	}
	start := func(port string) (*console.Program, error) {
		values["port"] = port
		values["address"] = net.JoinHostPort("127.0.0.1", port)
		return s.start(ctx, e, values)
	}
	if e.Listening {
		return s.await(wait, start)
	}
	taken := "[^\\s\\S]" // matches nothing
	if e.Taken != nil {
		taken = e.Taken.String()
	}
	p, address, err := console.StartServer(wait, e.Listens.String(), taken, start)
	if err != nil {
		return nil, fmt.Errorf("%s did not listen: %w", s.Name, err)
	}
	return &Running{p, address}, nil
}

// await waits until a server that prints nothing takes connections.
func (s *Stack) await(ctx context.Context, start func(port string) (*console.Program, error)) (*Running, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	p, err := start(port)
	if err != nil {
		return nil, err
	}
	for {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			return &Running{p, address}, c.Close()
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		over := p.Wait(short)
		cancel()
		if ctx.Err() != nil || !errors.Is(over, context.DeadlineExceeded) {
			p.Stop()
			return nil, fmt.Errorf("%s did not listen: %s", s.Name, attls.PrintableLines(string(tail(p.Printed()))))
		}
	}
}

func tail(b []byte) []byte { return b[max(0, len(b)-1000):] }

// Ended waits a short time for the end of a program. crash names the signal that ended it,
// unless that is one with which programs are stopped.
func (r *Running) Ended(ctx context.Context, wait time.Duration) (ended bool, crash string) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := r.program.Wait(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return false, ""
	}
	var e *exec.ExitError
	if errors.As(err, &e) {
		if w, ok := e.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			switch sig := w.Signal(); sig {
			case syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT, syscall.SIGPIPE, syscall.SIGHUP:
			default:
				return true, sig.String()
			}
		}
	}
	return true, ""
}
