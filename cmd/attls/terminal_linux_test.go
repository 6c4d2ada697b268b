package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pseudoTerminal opens a terminal of so many columns: what a program writes to the
// second file is read from the first.
func pseudoTerminal(t *testing.T, columns uint16) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { ours.Close() })
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// onTerminal runs attls with one of its outputs on a terminal, and returns what the
// terminal and the other output got.
func onTerminal(t *testing.T, columns uint16, log bool, environment []string, args ...string) (shown, piped string) {
	t.Helper()
	ours, theirs := pseudoTerminal(t, columns)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), append([]string{runAsCommand + "=1", "COLUMNS=", "NO_COLOR=1", "TERM=xterm"}, environment...)...)
	var other strings.Builder
	c.Stdout, c.Stderr = theirs, &other
	if log {
		c.Stdout, c.Stderr = &other, theirs
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	text := make(chan string)
	go func() {
		b, _ := io.ReadAll(ours) // until nobody has the terminal open: EIO
		text <- string(b)
	}()
	if err := c.Wait(); err != nil {
		t.Errorf("%v: %v: %s", args, err, other.String())
	}
	theirs.Close()
	return strings.ReplaceAll(<-text, "\r\n", "\n"), other.String()
}

// TestWidthOfTheTerminal: what is written to a terminal fits it, unless COLUMNS says
// otherwise; a terminal on one output changes nothing of the other one.
func TestWidthOfTheTerminal(t *testing.T) {
	for _, test := range []struct {
		name        string
		columns     uint16
		log         bool
		environment []string
		args        []string
		shown       int // columns of the widest line on the terminal
		piped       int // and in the pipe; 0: anything
	}{
		{"drawing at 40", 40, false, nil, []string{"demo"}, 40, 0},
		{"drawing at 80", 80, false, nil, []string{"demo", "-p", "tls-attestation-07"}, 80, 0},
		{"drawing where the terminal does not say", 0, false, nil, []string{"demo"}, terminalWidth, 0},
		{"drawing in a wide one", 500, false, nil, []string{"demo"}, maxWidth, 0},
		{"COLUMNS", 200, false, []string{"COLUMNS=60"}, []string{"demo"}, 60, 0},
		{"dumb terminal", 60, false, []string{"TERM=dumb"}, []string{"demo"}, 60, 0},
		{"table", 50, false, nil, append([]string{"conform"}, hereOnly...), 50, 0},
		{"progress", 44, true, nil, append([]string{"conform"}, hereOnly...), 43, 0},
		{"drawing in a pipe", 44, true, nil, []string{"demo"}, 44, defaultWidth},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			shown, piped := onTerminal(t, test.columns, test.log, test.environment, test.args...)
			shown = strings.ReplaceAll(shown, "\r\x1b[K", "\n") // progress
			if strings.Contains(shown, "\x1b") {
				t.Errorf("an escape sequence: %q", shown)
			}
			fits(t, test.shown, shown)
			if test.piped > 0 {
				fits(t, test.piped, piped)
			}
			if shown+piped == "" {
				t.Error("nothing was written")
			}
			widest := 0
			for line := range strings.SplitSeq(shown, "\n") {
				widest = max(widest, len([]rune(line)))
			}
			if widest < min(test.shown, 60)-12 && !(test.log && shown == "") {
				t.Errorf("the widest line has %d columns of %d:\n%s", widest, test.shown, shown)
			}
		})
	}
}
