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
	"slices"
	"strings"
	"syscall"
	"time"

	"attls"
	"attls/internal/console"
	"attls/internal/process"
)

// Values are the values of variables; one that is missing is empty and not set.
type Values map[string]string

// Stack is an adapter on this machine.
type Stack struct {
	*Adapter
	paths Values // of the programs
	// Missing says why the stack is not here; empty: it is.
	Missing string
	// Version is what the stack says it is; empty: it does not say. Says is that with what
	// is around it, such as the name of the program.
	Version, Says string
}

// versionTimeout bounds the question for a version, and prepareTimeout a command of prepare.
const (
	versionTimeout = 10 * time.Second
	prepareTimeout = time.Minute
)

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
			s.Missing = fmt.Sprintf("$%s does not name the program %s%s", p.Environment, p.Name, a.from())
			return s
		case err != nil:
			s.Missing = fmt.Sprintf("the program %s is not here: %v%s", p.Name, err, a.from())
			return s
		default:
			s.paths[p.Name] = found
		}
	}
	if a.Version != nil {
		var err error
		if s.Version, s.Says, err = s.ask(ctx, a.Version); err != nil {
			s.Missing = err.Error()
		}
	}
	return s
}

// Title is what the stack is called: by its version, where the file says so and it is known.
func (s *Stack) Title() string {
	v := release(s.Version)
	if s.Named == "" || v == nil {
		return s.Name
	}
	return strings.ReplaceAll(s.Named, "${release}", fmt.Sprintf("%d.%d", v[0], v[1]))
}

// Where is the path of the first program; empty: there is none.
func (s *Stack) Where() string {
	if len(s.Programs) == 0 {
		return ""
	}
	return s.paths[s.Programs[0].Name]
}

// ask runs a command and reads its answer.
func (s *Stack) ask(ctx context.Context, q *Question) (answer, around string, err error) {
	words := expand(q.Command, s.paths, nil)
	out, err := process.OutputWith(ctx, versionTimeout, "", s.environment(scope{paths: s.paths}, nil), words...)
	if m := q.Is.FindSubmatch(out); m != nil {
		return attls.Printable(string(m[1])), attls.Printable(string(m[0])), nil // some programs say it and fail
	}
	if err != nil {
		return "", "", err
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return "", "", fmt.Errorf("%s prints %q, which does not match %s", strings.Join(words, " "),
		attls.Printable(first[:min(len(first), maxFirst)]), q.Is)
}

// maxFirst bounds what errors show of a program's output, in octets.
const maxFirst = 80

// from says where the programs come from.
func (a *Adapter) from() string {
	if a.Install == "" {
		return ""
	}
	return " (" + a.Install + ")"
}

// File is the file in which a program shows messages; empty: it prints them.
func (s *Stack) File(m *Messages, values Values) string {
	if m == nil {
		return ""
	}
	in := scope{paths: s.paths, values: values}
	return in.fill(m.File)
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
		env := s.environment(scope{paths: s.paths, values: values}, nil)
		if _, err := process.OutputWith(ctx, prepareTimeout, "", env, expand(c, s.paths, values)...); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// Running is a program that runs.
type Running struct {
	program *console.Program
	mark    console.Mark // what was printed before the conversation
	values  Values
	// Address is where a server listens.
	Address string
}

// Printed is what the program has printed so far.
func (r *Running) Printed() []byte { return r.program.Printed() }

// Until is what each output has brought after so many octets, until what ends a connection. A
// connection that nothing ends has everything.
func (r *Running) Until(from [2]int, ends []*regexp.Regexp) (texts [2]string, to [2]int) {
	for i, all := range r.program.Outputs() {
		text := all[min(from[i], len(all)):]
		for _, end := range ends {
			if at := end.FindIndex(text); at != nil {
				text = text[:at[1]]
			}
		}
		texts[i], to[i] = string(text), from[i]+len(text)
	}
	return texts, to
}

// Stop ends the program if it has not ended, and waits for it.
func (r *Running) Stop() { r.program.Stop() }

// start starts the program of an end.
func (s *Stack) start(ctx context.Context, e *End, values Values) (*console.Program, error) {
	in := scope{s.paths, values, &s.Names}
	words := in.expand(e.Command)
	return console.StartIn(ctx, values["directory"], s.environment(in, e), words[0], words[1:]...)
}

// environment is that of a program; e is its end, or nil.
func (s *Stack) environment(in scope, e *End) (env []string) {
	list := s.Environment
	if e != nil {
		list = slices.Concat(list, e.Environment) // the last value of a name counts
	}
	for _, v := range list {
		env = append(env, v.Name+"="+in.fill(v.Value.Text))
	}
	return env
}

// Connect starts a client that connects to values["address"].
func (s *Stack) Connect(ctx context.Context, values Values) (*Running, error) {
	return s.Start(ctx, s.Ends[attls.RoleClient], values)
}

// Start starts a client as an end of the adapter.
func (s *Stack) Start(ctx context.Context, e *End, values Values) (*Running, error) {
	p, err := s.start(ctx, e, values)
	if err != nil {
		return nil, err
	}
	if e.Types != "" {
		_ = p.Type(e.Types) // a program that does not read has ended, which its connection shows
	}
	return &Running{program: p, values: values}, nil
}

// listenTimeout bounds the start of a server.
const listenTimeout = 20 * time.Second

// Serve starts a server and waits until it listens.
func (s *Stack) Serve(ctx context.Context, values Values) (*Running, error) {
	return s.Listen(ctx, s.Ends[attls.RoleServer], values)
}

// Listen starts a server as an end of the adapter and waits until it listens.
func (s *Stack) Listen(ctx context.Context, e *End, values Values) (*Running, error) {
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
			return nil, fmt.Errorf("%s did not listen: %w: %s", s.Name, err, end(p))
		}
		return &Running{program: p, values: values, Address: "127.0.0.1:" + m[1]}, nil
	}
	start := func(port string) (*console.Program, error) {
		values["port"] = port
		values["address"] = net.JoinHostPort("127.0.0.1", port)
		return s.start(ctx, e, values)
	}
	if e.Listening {
		return s.await(wait, values, start)
	}
	taken := "[^\\s\\S]" // matches nothing
	if e.Taken != nil {
		taken = e.Taken.String()
	}
	p, address, err := console.StartServer(wait, e.Listens.String(), taken, start)
	if err != nil {
		return nil, fmt.Errorf("%s did not listen: %w", s.Name, err)
	}
	return &Running{program: p, values: values, Address: address}, nil
}

// await waits until a server that prints nothing takes connections.
func (s *Stack) await(ctx context.Context, values Values,
	start func(port string) (*console.Program, error)) (*Running, error) {
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
			return &Running{program: p, values: values, Address: address}, c.Close()
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		over := p.Wait(short)
		cancel()
		if ctx.Err() != nil || !errors.Is(over, context.DeadlineExceeded) {
			p.Stop()
			return nil, fmt.Errorf("%s did not listen: %s", s.Name, end(p))
		}
	}
}

// maxTail bounds what errors show of the end of what a program printed, in octets.
const maxTail = 1000

// end is the end of what a program printed, for an error.
func end(p *console.Program) string {
	return attls.PrintableLines(string(console.Tail(p.Printed(), maxTail)))
}

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
