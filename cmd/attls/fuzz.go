package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/trace"
	"attls/fuzz/campaign"
	"attls/internal/columns"
)

func fuzzCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "fuzz",
		Short: "Hunt for connections in which an end accepts what it must not",
		Long: `The commands run campaigns: connections of two ends, of which one, the attacker, edits
what it sends and answers, and the other must not accept it. What it must not accept is
a list of laws. An input is a readable file: a connection and a few edits.

docs/fuzzing.md shows a minute, a night and many machines.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(fuzzList(), fuzzRun(), fuzzReplay(), fuzzMinimize(), fuzzTriage(), fuzzReport(), fuzzIssues(),
		fuzzKnown(), fuzzFingerprint(), fuzzScore(), fuzzLearn())
	return c
}

func fuzzList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List targets, operations and native targets",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			w := c.OutOrStdout()
			fmt.Fprintln(w, "Targets of attls fuzz run (or --profile FILE):")
			for _, name := range campaign.Targets() {
				fmt.Fprintln(w, "  "+name)
			}
			fmt.Fprintln(w, "\nTargets that are C programs, which conformance/mbedtls/targets.sh builds:")
			for _, name := range campaign.StackTargets() {
				fmt.Fprintln(w, "  "+name)
			}
			fmt.Fprintln(w, "\nWhat an attacker does:")
			for _, o := range campaign.Operations {
				fmt.Fprintf(w, "  %-18s%s\n", o.Do, o.Text)
			}
			fmt.Fprintln(w, "\nLaws:")
			for _, l := range campaign.Laws() {
				fmt.Fprintf(w, "  %-26s%s\n", l[0], l[1])
			}
			fmt.Fprintln(w, "\nDecoders are fuzzed by octets, in the source tree: make fuzz FUZZ_TIME=60s")
			return nil
		},
	}
}

type fuzzRunFlags struct {
	profiles   []string
	time       time.Duration
	executions int
	workers    int
	seed       uint64
	dir        string
	resume     bool
	stack      fuzzStackFlags
	peer       fuzzPeerFlags
	draft      string
}

func fuzzRun() *cobra.Command {
	f := &fuzzRunFlags{}
	c := &cobra.Command{
		Use:   "run [TARGET...]",
		Short: "Run a campaign",
		Long: `run makes connections from a seed until its time is over. Findings and the corpus are
files in the directory of --dir; an interrupt keeps both, and --resume goes on with the
corpus. It exits 1 if it found something.

With --peer or --adapter the honest end is another stack: what it accepted is judged by
what was sent and what came back, and compared with what attls does with the same input.
With --against each input goes to further stacks as well, and findings are where one of
them does otherwise than the first. Findings that a list of known ones explains do not
count.`,
		Example: `  attls fuzz run none --time 60s
  attls fuzz run early-attestation-06 --time 8h --workers 8 --dir night --resume
  attls fuzz run --profile mine.yaml --executions 20000 --seed 7
  attls fuzz run none --peer openssl --time 10m --dir openssl
  attls fuzz run none --adapter mine.yaml --role server --time 1h
  attls fuzz run none --peer openssl --against openssl-3.5 --against gnutls --time 10m`,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	flags := c.Flags()
	flags.StringArrayVarP(&f.profiles, "profile", "p", nil, "profile `file` as a target (may be repeated)")
	flags.DurationVar(&f.time, "time", time.Minute, "how long to run; 0: until --executions are done")
	flags.IntVar(&f.executions, "executions", 0,
		"connections that each worker makes of each target; 0: as many as the time allows")
	flags.IntVar(&f.workers, "workers", runtime.GOMAXPROCS(0), "workers side by side")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of everything random")
	flags.StringVar(&f.dir, "dir", "attls-fuzz", "directory of the corpus and the findings")
	flags.BoolVar(&f.resume, "resume", false, "begin with the corpus in the directory")
	f.stack.register(flags)
	f.peer.add(flags)
	f.peer.addAgainst(flags, "another stack that gets the same inputs (may be repeated)")
	flags.StringVar(&f.draft, "draft-known", "",
		"with --against: write new differences to a `file`, as a list that lacks the reasons")
	return c
}

// maxWorkers bounds --workers.
const maxWorkers = 1024

func (f *fuzzRunFlags) run(c *cobra.Command, args []string) error {
	switch {
	case f.workers < 1 || f.workers > maxWorkers:
		return usage("--workers %d: it is 1 to %d", f.workers, maxWorkers)
	case f.time < 0 || f.executions < 0:
		return usage("--time and --executions are not negative")
	case f.time == 0 && f.executions == 0:
		return usage("one of --time and --executions must bound the campaign")
	case len(args)+len(f.profiles) == 0:
		return usage("no target; attls fuzz list names them, and --profile takes a file")
	}
	if f.draft != "" && len(f.peer.against) == 0 {
		return usage("--draft-known goes with --against")
	}
	if len(args) == 1 && slices.Contains(campaign.StackTargets(), args[0]) && len(f.profiles) == 0 {
		if f.peer.peer != "" || f.peer.adapter != "" || len(f.peer.against) > 0 {
			return usage("the target %s is a program already; --peer, --adapter and --against go with %s", args[0], campaign.TLS)
		}
		return f.runStack(c, args[0])
	}
	if f.stack.program != "" || f.stack.planted != 0 {
		return usage("--program and --planted are of the targets %s", strings.Join(campaign.StackTargets(), " and "))
	}
	o := campaign.Options{Workers: f.workers, Seed: f.seed, Time: f.time, Executions: f.executions,
		Dir: f.dir, Resume: f.resume, Native: f.stack.native}
	for _, name := range append(args, f.profiles...) {
		t, err := campaign.NewTarget(name)
		if err != nil {
			return err
		}
		o.Targets = append(o.Targets, t)
	}
	remote, against, done, err := f.peer.remotes(c.Context())
	if err != nil {
		return err
	}
	defer done()
	if remote != nil && slices.ContainsFunc(o.Targets, func(t *campaign.Target) bool { return t.Profile != nil }) {
		return usage("with --peer and --adapter the target is %s: adapters start programs without attestation", campaign.TLS)
	}
	o.Remote, o.Against = remote, against
	line := &fuzzLine{p: newPainter(c.ErrOrStderr())}
	shots := &snapshots{dir: f.dir}
	o.Progress = func(s campaign.Stats) {
		line.tell(s)
		shots.take(s, false)
	}
	r, err := campaign.Run(c.Context(), o)
	line.clear()
	if r != nil {
		shots.take(r.Stats, true)
	}
	if err != nil {
		return unavailable(err)
	}
	return f.conclude(c, r, remote)
}

// conclude prints what a campaign came to.
func (f *fuzzRunFlags) conclude(c *cobra.Command, r *campaign.Report, x *campaign.Remote) error {
	if err := r.WriteSummary(f.dir); err != nil {
		return unavailable(err)
	}
	w := c.OutOrStdout()
	for _, text := range append(r.LeftOut, r.Unread...) {
		fmt.Fprintln(c.ErrOrStderr(), "attls: "+attls.Printable(text))
	}
	for _, cause := range slices.Sorted(maps.Keys(r.Unsteady)) {
		fmt.Fprintf(c.ErrOrStderr(), "attls: seen %d times, and not again with more time: %s\n", r.Unsteady[cause],
			attls.Printable(cause))
	}
	for _, known := range r.Explained {
		fmt.Fprintf(w, "known: %s (%d times): %s\n", attls.Printable(known.Cause), known.Count,
			attls.Printable(known.Known.Why))
	}
	for _, found := range r.Found {
		fmt.Fprintf(w, "%s (%d times)\n", attls.Printable(found.Cause), found.Count)
		for i := range found.Input.Edits {
			fmt.Fprintf(w, "    %s: %s\n", found.Input.Attacker, attls.Printable(found.Input.Edits[i].String()))
		}
		options := ""
		switch {
		case found.Apart != nil:
			options = " " + f.peer.options()
		case found.Input.Peer != "":
			options = " " + f.peer.option()
		}
		fmt.Fprintf(w, "    attls fuzz replay %s%s\n", found.File, options)
	}
	f.peer.printApart(w, r)
	if f.draft != "" {
		if err := writeDraft(f.draft, x, r.Found); err != nil {
			return unavailable(err)
		}
	}
	fmt.Fprintf(w, "%s\n", fuzzText(&r.Stats))
	switch {
	case r.Stopped:
		return &exitError{exitInterrupted, errors.New("interrupted; what was found is in " + f.dir)}
	case len(r.Found) > 0:
		return failed("%d findings", len(r.Found))
	case r.Executions == 0:
		return failed("no connection was made; the stack may be slow to start, or --time too short")
	}
	return nil
}

// fuzzText says in a line how far a campaign is.
func fuzzText(s *campaign.Stats) string {
	rate := float64(s.Executions) / max(s.Elapsed.Seconds(), 0.001)
	return fmt.Sprintf("%d connections, %.0f/s, %d outcomes, %d inputs kept, rules: %d reached and %d triggered of %d, "+
		"%d findings",
		s.Executions, rate, s.Reached, s.Corpus, s.Rules.Reached, s.Rules.Triggered, s.Rules.Rules, s.Findings)
}

// fuzzLine is the line of progress; elsewhere than on a terminal it has a line a minute.
type fuzzLine struct {
	p    *painter
	told time.Duration
}

func (l *fuzzLine) tell(s campaign.Stats) {
	text := fmt.Sprintf("%s  %s", s.Elapsed.Round(time.Second), fuzzText(&s))
	if l.p.terminal {
		l.p.measure()
		room := l.p.width - 1
		if columns.Width(text) > room {
			text = cut(text, room)
		}
		fmt.Fprint(l.p.w, "\r\x1b[K", text)
		return
	}
	if s.Elapsed-l.told >= time.Minute {
		l.told = s.Elapsed
		fmt.Fprintln(l.p.w, text)
	}
}

func (l *fuzzLine) clear() {
	if l.p.terminal {
		_, _ = io.WriteString(l.p.w, "\r\x1b[K")
	}
}

func fuzzReplay() *cobra.Command {
	var o replayFlags
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run an input once more and show it",
		Long: `replay draws what both ends sent and says which law is broken, with the cryptography of
campaigns and with the real one. --pcap writes the latter as a pcapng file that
Wireshark and attls decode open. It exits 1 if a law is broken. With --peer or --adapter
the honest end is that stack. An input in which two stacks differ is run with both, which
it names or --against and one of the others do; they must have the versions of the input.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return replayInput(c, args[0], &o) },
	}
	o.stack.add(c.Flags())
	o.stack.addAgainst(c.Flags(), "the other stack of a difference")
	c.Flags().BoolVar(&o.anyVersion, "any-version", false,
		"run a difference with other stacks or versions than it was found with")
	c.Flags().BoolVar(&o.hex, "hex", false, "add the octets of every handshake message")
	c.Flags().StringVar(&o.plant, "plant", "", "plant a `bug` of attls fuzz score in the honest end")
	c.Flags().StringVar(&o.pcap, "pcap", "", "write the connection to a pcapng `file`")
	return c
}

// plantNamed finds a planted bug; nil for "".
func plantNamed(name string) (*campaign.Plant, error) {
	if name == "" {
		return nil, nil
	}
	all, err := campaign.Plants()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
	}
	return nil, usage("--plant: no bug is called %q; attls fuzz score --list names them", name)
}

func readFuzzInput(name string) (*campaign.Input, error) {
	in, err := campaign.ReadFile(name)
	return in, unavailable(err)
}

// replayFlags are those of attls fuzz replay.
type replayFlags struct {
	plant, pcap string
	hex         bool
	anyVersion  bool
	stack       fuzzPeerFlags
}

// steps are those of a ladder, with the octets of messages where they are asked for.
func (o *replayFlags) steps(list []trace.Step) []trace.Step {
	for i := range list {
		if !o.hex {
			list[i].Raw = ""
		}
	}
	return list
}

func replayInput(c *cobra.Command, name string, o *replayFlags) error {
	in, err := readFuzzInput(name)
	if err != nil {
		return err
	}
	if in.Stack != "" {
		return replayStack(c, in)
	}
	p, err := plantNamed(o.plant)
	if err != nil {
		return err
	}
	var file io.Writer
	if o.pcap != "" {
		f, err := os.Create(o.pcap)
		if err != nil {
			return unavailable(err)
		}
		defer f.Close()
		file = f
	}
	if in.Against != "" || len(o.stack.against) > 0 {
		return o.apart(c, in, file)
	}
	remote, done, err := o.stack.remote(c.Context())
	if err != nil {
		return err
	}
	defer done()
	if remote != nil {
		return o.abroad(c, in, remote, file)
	}
	r, err := campaign.Replay(in, p, file)
	if err != nil {
		return failed("%s: %w", name, err)
	}
	w := c.OutOrStdout()
	if in.Peer != "" {
		fmt.Fprintf(w, "It was found with %s; here attls is both ends. --peer or --adapter replays it with a stack.\n",
			attls.Printable(in.Peer))
	}
	printInput(w, in)
	newPainter(w).ladder(o.steps(r.Ladder))
	for _, role := range attls.Roles() {
		switch {
		case r.Errors[role] != nil:
			fmt.Fprintf(w, "The %v failed: %s\n", role, attls.Printable(r.Errors[role].Error()))
		case r.Done[role]:
			fmt.Fprintf(w, "The %v completed the handshake.\n", role)
		default:
			fmt.Fprintf(w, "The %v did not complete the handshake.\n", role)
		}
	}
	if len(r.Violations)+len(r.Real) == 0 {
		whose := ""
		if in.Peer != "" {
			whose = " by attls"
		}
		fmt.Fprintf(w, "No law is broken%s.\n", whose)
		return nil
	}
	for i := range r.Violations {
		fmt.Fprintf(w, "Broken: %s\n", attls.Printable(r.Violations[i].Error()))
	}
	for i := range r.Real {
		fmt.Fprintf(w, "With the real cryptography: %s\n", attls.Printable(r.Real[i].Error()))
	}
	return failed("%d laws are broken", max(len(r.Violations), len(r.Real)))
}

// printInput says what an input is.
func printInput(w io.Writer, in *campaign.Input) {
	fmt.Fprintf(w, "%s: %v. The %s is the attacker:\n", profileOrTLS(in.Profile), in.Connection, in.Attacker)
	for i := range in.Edits {
		fmt.Fprintf(w, "  %s\n", attls.Printable(in.Edits[i].String()))
	}
}

// abroad runs an input with another stack as the honest end.
func (o *replayFlags) abroad(c *cobra.Command, in *campaign.Input, remote *campaign.Remote, file io.Writer) error {
	r, err := campaign.ReplayAbroad(c.Context(), in, remote, file)
	if err != nil {
		return unavailable(err)
	}
	w := c.OutOrStdout()
	printInput(w, in)
	newPainter(w).ladder(o.steps(r.Ladder))
	fmt.Fprintf(w, "%s %s. attls %s.\n", attls.Printable(remote.String()), attls.Printable(r.Outcome),
		attls.Printable(r.Local))
	for i := range r.Violations {
		fmt.Fprintf(w, "Broken: %s\n", attls.Printable(r.Violations[i].Error()))
		if k := remote.Known.Explains(&r.Violations[i], remote.Version); k != nil {
			fmt.Fprintf(w, "  known: %s\n", attls.Printable(k.Why))
		}
	}
	if len(r.Violations) > 0 {
		return failed("%d laws are broken", len(r.Violations))
	}
	fmt.Fprintln(w, "No law is broken.")
	return nil
}

func profileOrTLS(name string) string {
	if name == "" {
		return "TLS 1.3"
	}
	return attls.Printable(name)
}

func fuzzMinimize() *cobra.Command {
	var plant, out string
	var stack fuzzPeerFlags
	c := &cobra.Command{
		Use:   "minimize FILE",
		Short: "Make a finding smaller",
		Long: `minimize leaves out edits and octets as long as the same law is broken, and prints
the input or writes it to --out. A finding in another stack is run with that of --peer or
--adapter, and one in which two stacks differ with both, as replay does.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in, err := readFuzzInput(args[0])
			if err != nil {
				return err
			}
			p, err := plantNamed(plant)
			if err != nil {
				return err
			}
			small, err := minimized(c.Context(), in, p, &stack)
			var exit *exitError
			if errors.As(err, &exit) {
				return err
			}
			if err != nil {
				return failed("%s: %w", args[0], err)
			}
			if out != "" {
				return unavailable(small.WriteFile(out))
			}
			return small.Write(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&plant, "plant", "", "plant a `bug` of attls fuzz score in the honest end, attls")
	c.Flags().StringVarP(&out, "out", "o", "", "write the input to a `file`")
	stack.add(c.Flags())
	stack.addAgainst(c.Flags(), "the other stack of a difference")
	return c
}

func fuzzTriage() *cobra.Command {
	return &cobra.Command{
		Use:   "triage DIRECTORY",
		Short: "Put findings of one cause together",
		Long: `triage reads the findings under a directory, of one campaign or of many machines, and
lists each cause once with its smallest input. It exits 1 if there is one.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			list, unread, err := campaign.Triage(args[0])
			if err != nil {
				return unavailable(err)
			}
			for _, text := range unread {
				fmt.Fprintln(c.ErrOrStderr(), "attls: "+attls.Printable(text))
			}
			for _, g := range list {
				fmt.Fprintf(c.OutOrStdout(), "%d  %s\n   %s\n", len(g.Files), attls.Printable(g.Cause), attls.Printable(g.File))
			}
			if len(list) > 0 {
				return failed("%d causes", len(list))
			}
			return nil
		},
	}
}

func fuzzReport() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "report DIRECTORY",
		Short: "Write a page about a campaign",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var b strings.Builder
			if err := campaign.WriteHTML(&b, args[0]); err != nil {
				return unavailable(err)
			}
			if out == "" {
				_, err := io.WriteString(c.OutOrStdout(), b.String())
				return err
			}
			return unavailable(os.WriteFile(out, []byte(b.String()), 0o644))
		},
	}
	c.Flags().StringVarP(&out, "out", "o", "", "write the page to a `file` instead of standard output")
	return c
}
