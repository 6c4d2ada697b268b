// Command attls runs attested TLS 1.3: a demonstration, real endpoints, and
// tools for Evidence, profiles and recordings. "attls help" explains.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/extensions/schema"
	"attls/internal/gate"
)

// Exit codes; "attls help exit-codes" documents them.
const (
	exitOK          = 0
	exitFailed      = 1   // a handshake, a verdict or a comparison failed
	exitUsage       = 2   // wrong flags, or a combination that a profile forbids
	exitUnavailable = 3   // a file, a port or a program could not be used
	exitInterrupted = 130 // a signal came before the work was done
)

// exitError is an error with its exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func failed(format string, args ...any) error {
	return &exitError{exitFailed, fmt.Errorf(format, args...)}
}

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitUnavailable, err}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process
	endAfter(ctx, interruptPatience, os.Exit)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// interruptPatience is the time that a command has to end after a signal.
const interruptPatience = 5 * time.Second

// endAfter ends the process when a command still runs some time after a signal: one that
// waits for a file, as for a pipe that nobody opens, does not notice it.
func endAfter(ctx context.Context, patience time.Duration, exit func(int)) {
	context.AfterFunc(ctx, func() { time.AfterFunc(patience, func() { exit(exitInterrupted) }) })
}

// run is the whole command; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	watched := &watchedOutput{w: stdout}
	out, log := gate.New(watched), gate.New(stderr)
	root.SetOut(out)
	root.SetErr(log)
	err := root.ExecuteContext(ctx)
	_ = out.Close()
	_ = log.Close()
	if lost := watched.failure(); lost != nil && (err == nil || errors.Is(err, lost)) {
		err = unavailable(&outputError{fmt.Errorf("standard output: %w", lost)})
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "attls: %s\n", strings.TrimPrefix(inFlags(errorLines(err)), "attls: "))
	var coded *exitError
	var forbidden *scenario.ForbiddenError
	var problems schema.Problems
	switch {
	case errors.As(err, &problems) && unread(problems):
		return exitUnavailable
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &forbidden):
		return exitUsage
	}
	return exitUsage // what cobra refuses
}

// watchedOutput is standard output. It remembers that something could not be written,
// so that no command succeeds whose output is lost.
type watchedOutput struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

func (o *watchedOutput) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.err == nil {
			o.err = err
		}
	}
	return n, err
}

func (o *watchedOutput) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// unread reports whether the problem of a profile is that its file cannot be read.
func unread(list schema.Problems) bool {
	return slices.ContainsFunc(list, func(p *schema.Problem) bool { return p.Kind == profile.ProblemUnread })
}

// errorLines is the text of an error: one line, or one for each problem of a profile.
func errorLines(err error) string {
	var problems schema.Problems
	if !errors.As(err, &problems) {
		return attls.Printable(err.Error())
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = attls.Printable(p.Error())
	}
	text := strings.Join(lines, "\n")
	if before, ok := strings.CutSuffix(err.Error(), problems.Error()); ok {
		text = attls.Printable(before) + text
	}
	return text
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "attls",
		Short: "Attested TLS 1.3: revisions of the remote-attestation drafts, run as data",
		Long: `attls runs TLS 1.3 clients and servers that authenticate with remote attestation.
The draft revision that they follow is a profile, which is data: see
"attls profile list".

Begin with "attls demo". For connections to other programs see "attls server"
and "attls client".`,
		Example: `  attls demo                                    an attested connection, explained
  attls demo --profile tls-attestation-07       the same under another draft
  attls demo --fail binder                      one that is rejected, and why
  attls server & attls client                   two real endpoints`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,

		PersistentPreRunE: checkFlags,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddCommand(demoCommand(), gridCommand(), conformCommand(), replayCommand(), decodeCommand(), serverCommand(),
		clientCommand(), evidenceCommand(), authenticatorCommand(),
		profileCommand(), specCommand(), benchCommand(), labCommand(),
		fuzzCommand(), workbenchCommand(), extcapCommand(), versionCommand(), manCommand(), exitCodesTopic(), terminalTopic())
	return root
}

// exitCodesTopic is "attls help exit-codes".
func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `Exit codes of every attls command:

  0  what was asked for happened: the attested connection carried application
     data both ways, or, with --fail, the right side rejected with the right
     alert at the right message
  1  it did not: a handshake failed, a peer or its Evidence was refused, a
     connection ended without close_notify, a replay differs from its recording.
     It also means that nothing came of it: attls conform could run no case of
     those that were chosen, none with a stack that --peer names, or sent no fault
     although --faults was given. A shard of such cases is not judged; attls conform
     merge judges the whole
  2  the command line is wrong, a profile has errors (attls profile lint: 1) or
     forbids the combination asked for, or flags that choose (--peer, --filter,
     --faults, --match, --row) choose nothing
  3  something local is not available: a file (that of a profile as well), standard
     output, a port, a program, among them a stack that --peer, a flag such as
     --mbedtls, or a variable such as ATTLS_MBEDTLS_PEER names
130  interrupted by SIGINT or SIGTERM: attls conform has written what was done,
     attls client has sent close_notify and kept the tickets that had arrived. For
     attls server a signal is the usual end: 0`,
	}
}

// terminalTopic is "attls help terminal".
func terminalTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "terminal",
		Short: "How wide drawings and tables are, and when there is colour",
		Long: `Drawings, tables and lines of progress fit the terminal that they are written to,
from 40 columns on: what is too wide goes on in the next line, a table that is too
wide becomes a list, and "…" says where a value was shortened.

A pipe or a file gets drawings and paragraphs of 96 columns, and each row of a table
in one line, as long as it is. Programs read --json rather than either.

  COLUMNS    the width, whatever the terminal says; it holds for a pipe as well
  NO_COLOR   no colour, if it is set to anything
  TERM=dumb  no colour, and progress in lines of its own`,
	}
}
