package console

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func shell(t *testing.T, script string) *Program {
	t.Helper()
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	p, err := Start(t.Context(), []string{"CONSOLE_TEST=set"}, path, "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// TestProgram: what is printed is found, also between what goes to the other
// output, and what is typed arrives.
func TestProgram(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := shell(t, `echo "first $CONSOLE_TEST"; printf 'a li' ; echo between >&2; echo ne; read x; echo "got $x"; cat > /dev/null; exit 3`)
	if m, err := p.Await(ctx, regexp.MustCompile(`first (\w+)`)); err != nil || m[1] != "set" {
		t.Errorf("%q, %v", m, err)
	}
	if _, err := p.AwaitOutput(ctx, regexp.MustCompile("a line\n")); err != nil {
		t.Error(err)
	}
	if _, err := p.Await(ctx, regexp.MustCompile("between\n")); err != nil {
		t.Error(err)
	}
	before := p.Mark()
	if err := p.Type("typed\n"); err != nil {
		t.Error(err)
	}
	if _, err := p.AwaitAfter(ctx, before, regexp.MustCompile("got typed")); err != nil {
		t.Error(err)
	}
	p.CloseInput()
	var exit *exec.ExitError
	if err := p.Wait(ctx); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Error(err)
	}
	if _, err := p.AwaitAfter(ctx, before, regexp.MustCompile("first")); !errors.Is(err, ErrEnded) {
		t.Error(err)
	}
}

// TestOutputBefore: what a program said on one output before it said something on the other
// is there when that is.
func TestOutputBefore(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a pipe cannot be read without waiting")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := shell(t, `i=0; while [ $i -lt 1000 ]; do echo "out $i."; echo "err $i." >&2; read x; i=$((i+1)); done`)
	for i := range 1000 {
		number := " " + strconv.Itoa(i) + `\.\n`
		if _, err := p.Await(ctx, regexp.MustCompile("err"+number)); err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile("out" + number).Match(p.Printed()) {
			t.Fatalf("what was said before line %d of the other output is not there", i)
		}
		if err := p.Type("\n"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLeftOpen: a program that something outlives which holds its outputs has ended soon.
func TestLeftOpen(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p := shell(t, `setsid sleep 60 & echo left $!`)
	m, err := p.Await(ctx, regexp.MustCompile(`left (\d+)`))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pid, _ := strconv.Atoi(m[1])
		if left, err := os.FindProcess(pid); err == nil {
			_ = left.Kill()
		}
	})
	if err := p.Wait(ctx); err != nil {
		t.Error(err)
	}
}

// TestPrintedIsBounded: a program that prints without end does not fill the memory.
func TestPrintedIsBounded(t *testing.T) {
	p := &Program{changed: make(chan struct{})}
	line := make([]byte, maxPrinted/3)
	for range 4 {
		if n, err := (&screen{p, standard}).Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(p.Printed()) != maxPrinted || len(p.after(Mark{}, standard)) != maxPrinted {
		t.Errorf("%d and %d octets are kept", len(p.Printed()), len(p.after(Mark{}, standard)))
	}
}

// TestOutputs: two outputs come through two pipes, and nothing says how the parts of
// their lines follow each other.
func TestOutputs(t *testing.T) {
	long := strings.Repeat("between\n", 1000)
	for name, test := range map[string]struct {
		printed []string // "1" and "2" before the text name the output
		pattern string
		found   bool
	}{
		"a line of one output, parts of which came after those of the other": {[]string{"2depth=0 ", "1ACCEPT\n", "2CN = client\n"}, `depth=0 CN = client`, true},
		"a line that is not ended":                      {[]string{"1Waiting for", "2noise\n", "1 a connection"}, `Waiting for a connection`, true},
		"lines that follow each other on two outputs":   {[]string{"1received cmd\n", "2closed\n"}, `received cmd(?s:.*)closed`, true},
		"lines far from each other":                     {[]string{"1received cmd\n", "2" + long, "2closed\n"}, `received cmd(?s:.*)closed`, true},
		"the parts of a line that was never one":        {[]string{"1depth=0 ", "2CN = client\n", "1ACCEPT\n"}, `depth=0 CN = client`, false},
		"lines in the order in which they did not come": {[]string{"2closed\n", "1received cmd\n"}, `received cmd(?s:.*)closed`, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Program{changed: make(chan struct{}), ended: make(chan struct{})}
			write := func(text string) {
				(&screen{p, int(text[0] - '1')}).Write([]byte(text[1:]))
			}
			got := make(chan error)
			go func() { // it looks after each part, or after several
				_, err := p.Await(t.Context(), regexp.MustCompile(test.pattern))
				got <- err
			}()
			for _, text := range test.printed {
				write(text)
			}
			close(p.ended)
			if err := <-got; (err == nil) != test.found {
				t.Error(err)
			}
		})
	}
}

// TestMark: what was printed before is not found again, whichever output brings more.
func TestMark(t *testing.T) {
	p := &Program{changed: make(chan struct{}), ended: make(chan struct{})}
	out, errs := &screen{p, standard}, &screen{p, errorOutput}
	ready := regexp.MustCompile("ready")
	out.Write([]byte("ready"))
	m := p.Mark()
	errs.Write([]byte("noise\n"))
	out.Write([]byte(" ok\n"))
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if found, err := p.AwaitAfter(short, m, ready); err == nil {
		t.Errorf("%q was found again", found)
	}
	errs.Write([]byte("ready\n"))
	if _, err := p.AwaitAfter(t.Context(), m, ready); err != nil {
		t.Error(err)
	}
}

// TestStop: a program that does not end is ended, and may say something then; who
// waits for it is told when the time is over.
func TestStop(t *testing.T) {
	p := shell(t, `trap 'echo ending; exit 0' TERM; echo ready; while :; do read x || sleep 0.01; done`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := p.Await(ctx, regexp.MustCompile("ready")); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.Await(over, regexp.MustCompile("never")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	p.CloseInput()
	p.Stop()
	if !strings.Contains(string(p.Printed()), "ending") {
		t.Errorf("%q", p.Printed())
	}
}

// TestStartServer: another port is tried where the first is taken, but not for ever.
func TestStartServer(t *testing.T) {
	var ports []string
	start := func(script string) func(string) (*Program, error) {
		return func(port string) (*Program, error) {
			ports = append(ports, port)
			if len(ports) == 2 {
				script = "echo ready; cat"
			}
			return shell(t, script), nil
		}
	}
	p, address, err := StartServer(t.Context(), "ready", "taken", start("echo taken; cat"))
	if err != nil || len(ports) != 2 || !strings.HasSuffix(address, ":"+ports[1]) {
		t.Fatalf("%s, %q, %v", address, ports, err)
	}
	p.Stop()
	if _, _, err := StartServer(t.Context(), "ready", "taken", start("echo broken >&2")); err == nil || !strings.Contains(err.Error(), "broken") ||
		!strings.Contains(err.Error(), `"ready"`) {
		t.Error(err)
	}
	if _, _, err := StartServer(t.Context(), "ready", "taken", start("echo taken")); err == nil || len(ports) != 3+tries {
		t.Errorf("%d tries, %v", len(ports), err)
	}
}

// TestTail: the end of a text begins with a line, unless that is too long.
func TestTail(t *testing.T) {
	for text, want := range map[string]string{
		"":              "",
		"short":         "short",
		"first\nsecond": "second",
		"1\n34567890":   "34567890",
		"12\n4567890":   "4567890",
		"x1234567890":   "34567890",
		"1234567890\n":  "4567890\n",
	} {
		if got := string(Tail([]byte(text), 8)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
