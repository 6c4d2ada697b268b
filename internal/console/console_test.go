package console

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
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
	before := len(p.Printed())
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

// TestPrintedIsBounded: a program that prints without end does not fill the memory.
func TestPrintedIsBounded(t *testing.T) {
	p := &Program{changed: make(chan struct{})}
	line := make([]byte, maxPrinted/3)
	for range 4 {
		if n, err := (&screen{p, true}).Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(p.printed) != maxPrinted || len(p.output) != maxPrinted {
		t.Errorf("%d and %d octets are kept", len(p.printed), len(p.output))
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
	if _, _, err := StartServer(t.Context(), "ready", "taken", start("echo broken >&2")); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Error(err)
	}
	if _, _, err := StartServer(t.Context(), "ready", "taken", start("echo taken")); err == nil || len(ports) != 3+tries {
		t.Errorf("%d tries, %v", len(ports), err)
	}
}
