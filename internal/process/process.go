// Package process runs programs of others so that none outlives who started it: each has a
// process group of its own, which is ended as a whole, and on Linux the kernel ends the
// program when this process is killed.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"attls"
)

// grace is how long a program has to end that was told to.
const grace = time.Second

// emptying bounds how long what a program printed is read after its end: it takes no time,
// unless the machine is busy or something that left the group has the output open.
const emptying = 10 * time.Second

// Command is exec.CommandContext for a program in a group of its own. When the context ends,
// the group is told to end, and killed if it has not soon after. Wait has to be called in
// place of exec.Cmd.Wait, for what a program may leave behind.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	Own(c)
	c.Cancel = func() error {
		time.AfterFunc(grace, func() {
			if runs(c.Process) {
				killGroup(c.Process)
			}
		})
		return terminate(c.Process) // so that it can print what it still holds
	}
	c.WaitDelay = emptying
	return c
}

// Wait waits for the end of a program of Command, and ends what is left of its group.
func Wait(c *exec.Cmd) error {
	if exited(c.Process) {
		killGroup(c.Process) // what would hold its outputs open
		return c.Wait()
	}
	err := c.Wait()
	killGroup(c.Process)
	return err
}

// maxOutput bounds what is kept of what a program prints, in octets.
const maxOutput = 1 << 20

// Output runs a program to its end, in a directory, and returns the first 1 MB of what it
// prints on both outputs. A program that takes longer than the limit is ended.
func Output(ctx context.Context, limit time.Duration, directory string, words ...string) ([]byte, error) {
	return OutputWith(ctx, limit, directory, nil, words...)
}

// OutputWith is Output for a program that gets variables, as NAME=VALUE, beyond those of this
// process.
func OutputWith(ctx context.Context, limit time.Duration, directory string, env []string,
	words ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v", limit))
	defer cancel()
	c := Command(ctx, words[0], words[1:]...)
	c.Dir = directory
	c.Env = append(os.Environ(), env...)
	var out first
	c.Stdout, c.Stderr = &out, &out // one value: exec does not write from two goroutines then
	err := c.Start()
	if err == nil {
		err = Wait(c)
	}
	switch {
	case err == nil:
		return out.kept.Bytes(), nil
	case ctx.Err() != nil:
		err = errors.Join(context.Cause(ctx), err)
	}
	return out.kept.Bytes(), fmt.Errorf("%s: %w%s", strings.Join(words, " "), err, after(": ", gist(out.kept.String())))
}

// gist is the first and the last line of what a program printed: one of them has the reason, the
// first where it stops at once, the last below a trace of its calls.
func gist(text string) string {
	text = strings.TrimSpace(text)
	head, rest, _ := strings.Cut(text, "\n")
	last := strings.TrimSpace(rest[strings.LastIndex(rest, "\n")+1:])
	if last == "" {
		return head
	}
	return head[:min(len(head), maxSaid/2)] + " … " + last
}

// maxSaid bounds what errors show of what a program printed, in octets.
const maxSaid = 400

func after(before, text string) string {
	if text == "" {
		return ""
	}
	return before + attls.Printable(text[:min(len(text), maxSaid)])
}

// first keeps the first octets that are written to it.
type first struct{ kept bytes.Buffer }

func (f *first) Write(b []byte) (int, error) {
	f.kept.Write(b[:min(len(b), maxOutput-f.kept.Len())])
	return len(b), nil
}
