//go:build unix

package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// part names what this binary is when it is started again.
const part = "ATTLS_PROCESS_PART"

func TestMain(m *testing.M) {
	alive := os.NewFile(3, "alive") // held by whoever lives
	switch os.Getenv(part) {
	case "":
		os.Exit(m.Run())
	case "stays":
		signal.Ignore(syscall.SIGTERM)
		fmt.Fprintln(alive, "ready")
		linger()
	case "starts", "leaves":
		c := Command(context.Background(), os.Args[0])
		if os.Getenv(part) == "leaves" {
			c = exec.Command(os.Args[0]) // in the group of this one
		}
		c.Env, c.ExtraFiles = []string{part + "=stays"}, []*os.File{alive}
		if err := c.Start(); err != nil {
			fmt.Fprintln(alive, err)
		}
		if os.Getenv(part) == "starts" {
			linger()
		}
	case "floods":
		line := strings.Repeat("x", 1<<16) + "\n"
		for {
			if _, err := fmt.Print(line); err != nil {
				return
			}
		}
	case "prints":
		fmt.Print(strings.Repeat("x", printed))
	case "fails":
		fmt.Println("no such thing")
		os.Exit(4)
	}
	os.Exit(0)
}

// printed is what a pipe holds of a program that has ended, and more than is read at once.
const printed = 48 << 10

// linger stays for longer than the tests wait. An empty select would not: Go ends a program in
// which nothing can happen any more.
func linger() { time.Sleep(10 * time.Minute) }

// alive starts a part of this test, and returns the command and what its processes hold.
func alive(t *testing.T, ctx context.Context, name string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := Command(ctx, os.Args[0])
	c.Env, c.ExtraFiles = []string{part + "=" + name}, []*os.File{w}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	held := bufio.NewReader(r)
	if line, err := held.ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	return c, held
}

// gone wants that nobody holds the pipe any more, and that the minute is not over.
func gone(t *testing.T, held *bufio.Reader) {
	t.Helper()
	if rest, err := held.ReadString('\n'); err == nil || os.IsTimeout(err) {
		t.Errorf("a program outlives who started it: %q, %v", rest, err)
	}
}

// TestGroup: neither a program that does not want to end outlives its context, nor one that
// it has started, whether it has ended itself or not.
func TestGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, held := alive(t, ctx, "stays")
	cancel()
	if err := Wait(c); err == nil {
		t.Error("it ended well")
	}
	gone(t, held)
	c, held = alive(t, t.Context(), "leaves")
	if err := Wait(c); err != nil {
		t.Error(err)
	}
	gone(t, held)
}

// TestKilled: when who started a program is killed, it ends.
func TestKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a program whose parent was killed")
	}
	c, held := alive(t, t.Context(), "starts")
	if err := c.Process.Kill(); err != nil { // not its group
		t.Fatal(err)
	}
	_ = c.Wait()
	gone(t, held)
}

func TestOutput(t *testing.T) {
	for _, test := range []struct {
		part, want string
		octets     int
	}{
		{"floods", "it took longer than", maxOutput},
		{"fails", "exit status 4: no such thing", 14},
		{"nothing", "", 0},
	} {
		t.Run(test.part, func(t *testing.T) {
			t.Setenv(part, test.part)
			limit := time.Minute
			if test.part == "floods" {
				limit = time.Second
			}
			out, err := Output(t.Context(), limit, t.TempDir(), os.Args[0])
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Error(err)
			}
			if len(out) != test.octets {
				t.Errorf("%d octets", len(out))
			}
		})
	}
}

// slow takes what is written to it only after a while, as on a busy machine. The while begins when the program
// that writes has been waited for.
type slow struct {
	program *exec.Cmd
	after   time.Duration
	took    int
}

func (s *slow) Write(b []byte) (int, error) {
	for runs(s.program.Process) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(s.after)
	s.after = 0
	s.took += len(b)
	return len(b), nil
}

// TestSlowOutput: what a program has printed is read after its end for longer than a program has that is told
// to end, and not without a bound.
func TestSlowOutput(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name     string
		wait     time.Duration // that is left to outputs; 0: as Command has it
		after    time.Duration
		complete bool
	}{
		{"busy", 0, grace + grace/2, true},
		{"bounded", time.Millisecond, grace, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			c := Command(t.Context(), os.Args[0])
			if x.wait > 0 {
				c.WaitDelay = x.wait
			}
			out := &slow{program: c, after: x.after}
			c.Env, c.Stdout = []string{part + "=prints"}, out
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			err := Wait(c)
			if (err == nil) != x.complete || (out.took == printed) != x.complete || !x.complete && !errors.Is(err, exec.ErrWaitDelay) {
				t.Errorf("%v, %d octets", err, out.took)
			}
		})
	}
}

// TestGist: the reason is in what an error shows, whether it comes first or below a trace.
func TestGist(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"no such option\n":               "no such option",
		"Exception: x\n  at y\n  at z\n": "Exception: x … at z",
		"Traceback:\n  File \"a\"\nImportError: no module\n\n": "Traceback: … ImportError: no module",
	} {
		if got := gist(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
