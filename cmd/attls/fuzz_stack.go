package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"attls"
	"attls/fuzz/campaign"
)

// fuzzStackFlags are those of targets that are C programs.
type fuzzStackFlags struct {
	program string
	planted int
	native  string
}

func (f *fuzzStackFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.program, "program", "",
		"of mbedtls-client and mbedtls-server: the `program`; \"\": what conformance/mbedtls/targets.sh live built last")
	flags.IntVar(&f.planted, "planted", 0, "the `number` of a bug, of a program that was built with --planted; 0: none")
	flags.StringVar(&f.native, "native", "", "`directory` of the native fuzzers' corpora: seeds are written to "+
		campaign.GoTarget+" in it, for mbedtls-client and mbedtls-server to checks and mode, and with --resume messages "+
		"are read from there and from the queues of AFL++ in afl")
}

// stackProgram finds the program of a target. Programs of other builds have other places.
func stackProgram(name string, planted int) (string, error) {
	if name != "" {
		return name, nil
	}
	if found := campaign.FindStack(planted > 0); found != "" {
		return found, nil
	}
	option := ""
	if planted > 0 {
		option = " --planted"
	}
	return "", unavailable(errors.New("no program of mbedTLS was built; run conformance/mbedtls/targets.sh live" + option))
}

// runStack runs a campaign whose honest end is a C program.
func (f *fuzzRunFlags) runStack(c *cobra.Command, target string) error {
	if f.stack.planted < 0 {
		return usage("--planted is not negative")
	}
	program, err := stackProgram(f.stack.program, f.stack.planted)
	if err != nil {
		return err
	}
	line := &fuzzLine{p: newPainter(c.ErrOrStderr())}
	o := campaign.StackOptions{Target: target, Program: program, Planted: f.stack.planted, Workers: f.workers,
		Seed: f.seed, Time: f.time, Executions: f.executions, Dir: f.dir, Resume: f.resume, Progress: line.tell}
	if f.stack.native != "" {
		if o.Sent, err = campaign.NativeSeeds(target, filepath.Join(f.stack.native, "checks"),
			filepath.Join(f.stack.native, "mode")); err != nil {
			return unavailable(err)
		}
		if f.resume {
			if o.Messages, err = campaign.ReadNative(campaign.NativeCorpora(f.stack.native)...); err != nil {
				return unavailable(err)
			}
		}
	}
	r, err := campaign.RunStack(c.Context(), o)
	line.clear()
	if err != nil {
		return unavailable(err)
	}
	for _, text := range r.Known {
		fmt.Fprintf(c.OutOrStdout(), "known: %s\n", attls.Printable(text))
	}
	return f.conclude(c, r, nil)
}

// replayStack runs an input against the C program that it is of. ATTLS_PLANTED chooses a
// planted bug, as in the program itself.
func replayStack(c *cobra.Command, in *campaign.Input) error {
	planted, _ := strconv.Atoi(os.Getenv("ATTLS_PLANTED"))
	program, err := stackProgram("", planted)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "attls-fuzz-*")
	if err != nil {
		return unavailable(err)
	}
	defer os.RemoveAll(dir)
	list, claimed, err := campaign.ReplayStack(in, program, dir, planted)
	if err != nil {
		return failed("%w", err)
	}
	w := c.OutOrStdout()
	fmt.Fprintf(w, "%s, %s: %v. The %s is the attacker:\n", in.Stack, profileOrTLS(in.Profile), in.Connection, in.Attacker)
	for i := range in.Edits {
		fmt.Fprintf(w, "  %s\n", attls.Printable(in.Edits[i].String()))
	}
	if claimed != nil {
		fmt.Fprintf(w, "The program's connection: %s", attls.Printable(claimed.State))
		if claimed.Error != nil {
			fmt.Fprintf(w, ", %s", attls.Printable(claimed.Error.Detail))
		}
		if claimed.AlertSent != nil {
			fmt.Fprintf(w, ", it sent the alert %s", attls.Printable(claimed.AlertSent.Name))
		}
		fmt.Fprintln(w, ".")
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "No law is broken.")
		return nil
	}
	for i := range list {
		fmt.Fprintf(w, "Broken: %s\n", attls.Printable(list[i].Error()))
	}
	return failed("%d laws are broken", len(list))
}

// listStackBugs lists the bugs of the C program.
func listStackBugs(w io.Writer) error {
	bugs, err := campaign.StackBugs()
	if err != nil {
		return err
	}
	for i := range bugs {
		b := &bugs[i]
		fmt.Fprintf(w, "%-3d%-28s%-8s%-16s%s\n", b.Number, b.Name, b.Side, b.Kind, b.Wrong)
		if b.Hidden != "" {
			fmt.Fprintf(w, "   %-28sno peer can see it: %s\n", "", b.Hidden)
		}
	}
	return nil
}
