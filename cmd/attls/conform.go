package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"attls/attestation"
	"attls/attestation/roots"
	"attls/conformance/cases"
	"attls/conformance/peers"
	"attls/conformance/report"
)

// conformFlags are the flags of "attls conform", by what they are about.
type conformFlags struct {
	// Which cases are run. A report says these, and what merges has to agree on
	// them.
	choice struct {
		profiles, peers []string
		filter, exact   string
		full, faults    bool
		sizes, demo     bool
		against         string // profile
		roots           []string
		flags           *pflag.FlagSet
	}
	// Where the stacks are. The command that repeats a run says these.
	stack struct {
		mbedtls, programs, openssl        string
		pocClient, pocServer, pocVerifier string
		flags                             *pflag.FlagSet
	}
	list, listPeers bool
	shard           string
	parallel        int
	timeout         time.Duration
	failFast        bool
	requirements    bool // each row of the registry is printed
	pcap            string
	placement       bool
	issues          string          // directory
	adapters        []string        // files
	named           map[string]bool // stacks of adapters
	files           reportFiles
}

func conformCommand() *cobra.Command {
	f := &conformFlags{}
	c := &cobra.Command{
		Use:   "conform",
		Short: "Run this stack against others and compare what both ends report",
		Long: `conform makes connections between this stack and the patched mbedTLS that
conformance/mbedtls/build.sh builds, in both directions, under the three profiles that
are written in C by hand. With --profile, --full or --peer mbedtls-compiled, others, a
file of yours among them, are compiled and handed over to be interpreted. It compares
the claims of both ends: same suite and group, same transcript hash, same scheme, same
binder, same payload, same keys, and a verdict where one is due. What a stack cannot do
is skipped, with the reason. In
plain TLS it runs against OpenSSL, GnuTLS, mbedTLS without the patches and crypto/tls.

Without --full a selection is run that contains, between each two stacks, every pair
of values of two dimensions: combination of profile, attester, model and
credential, cipher suite, group, HelloRetryRequest, resumption, and how this stack
cuts messages and records.

A grid is divided between machines with --shard, which takes 1/8 to 8/8, and
"attls conform merge" puts the results together.

What was requested and not tried is a failure: a stack that --peer or a flag with its
path names and that is not installed, a choice of cases of which none could be run, and
--faults where none was sent. An empty shard is not a failure; merge judges the whole.

With --placement something else is run: each extension of IANA's registry is sent in
each message that holds extensions, to each stack as a client and as a server, with an
empty, a well-formed and a malformed body. A stack must refuse what does not belong, with
the alert that the RFC names, and ignore what it does not know where that is asked of it.

An interrupt (Ctrl-C) stops what is running; the results until then are written
and printed, and the exit code is 130.`,
		Example: `  conformance/mbedtls/build.sh && attls conform
  attls conform --faults --html report.html
  attls conform --full --junit conform.xml
  attls conform --profile tls-attestation-07 --filter secp384r1 --list
  attls conform --profile mine.yaml --demo
  attls conform --profile mine.yaml --faults
  attls conform --profile mine.yaml --against early-attestation-06
  attls conform --faults --filter fail-
  attls conform --sizes --filter payload-
  attls conform --list-peers
  attls conform --peer crypto/tls
  attls conform --placement --peer openssl,gnutls --html placement.html --issues findings
  attls conform --placement --adapter mine.yaml
  attls conform --full --shard 2/8 --json 2.json
  attls conform merge 1.json 2.json --html conform.html`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.choice.flags, f.stack.flags = f.choiceFlags(), f.stackFlags()
	flags := c.Flags()
	flags.AddFlagSet(f.choice.flags)
	flags.AddFlagSet(f.stack.flags)
	c.RegisterFlagCompletionFunc("root-of-trust", cobra.FixedCompletions(emulators(), cobra.ShellCompDirectiveNoFileComp))
	flags.BoolVar(&f.list, "list", false, "list the cases and run none")
	flags.BoolVar(&f.listPeers, "list-peers", false, "list the stacks, their versions and where they are, and run none")
	flags.StringVar(&f.shard, "shard", "", "run one `part` of the cases: 2/8 is the second of eight")
	flags.IntVar(&f.parallel, "parallel", runtime.NumCPU(), "this `number` of connections at a time")
	flags.DurationVar(&f.timeout, "timeout", peers.DefaultTimeout, "the longest `time` that one case may take")
	flags.BoolVar(&f.requirements, "requirements", false,
		"with --faults: print each requirement and what each stack made of it")
	flags.BoolVar(&f.failFast, "fail-fast", false, "stop at the first failure")
	flags.StringVar(&f.pcap, "pcap", "",
		"write every connection to this `directory` as pcapng with its secrets, for attls decode, Wireshark and tshark")
	flags.BoolVar(&f.placement, "placement", false,
		"run the placement matrix instead: each extension of IANA's registry in each message that a stack receives")
	flags.StringVar(&f.issues, "issues", "",
		"write a page that can be filed, with a capture, for each kind of failure and deviation to this `directory`")
	f.files.register(flags)
	c.AddCommand(conformMergeCommand(), conformDiffCommand(), conformDeviationsCommand(), conformAuthenticators())
	return c
}

// choiceFlags are those that choose the cases.
func (f *conformFlags) choiceFlags() *pflag.FlagSet {
	flags, o := pflag.NewFlagSet("choice", pflag.ContinueOnError), &f.choice
	flags.StringSliceVarP(&o.profiles, "profile", "p", nil,
		"`profiles`, by name or file, of which our mbedTLS peer interprets those that it does not implement "+
			"(default: those that it does)")
	flags.StringVar(&o.against, "against", "",
		"also run the cases of --profile under this `profile`, and say which pass with it and fail with the change")
	flags.BoolVar(&o.demo, "demo", false,
		"with --profile: each role, model and credential once in each direction, and nothing else")
	flags.StringSliceVar(&o.peers, "peer", nil,
		"run only cases in which one of these `stacks` takes part (see --list-peers)")
	flags.StringVar(&o.filter, "filter", "", "run only cases whose name holds this `text`")
	flags.StringVar(&o.exact, "case", "",
		"run exactly the case of this `name`, of all that any other flag would choose, and show it")
	flags.StringArrayVar(&f.adapters, "adapter", nil,
		"run only cases of --peer and of the stack in this adapter `file` (docs/adapters.md); can be given more than once")
	flags.BoolVar(&o.full, "full", false, "every combination of all dimensions")
	flags.BoolVar(&o.faults, "faults", false, "also send faults, which the other stack must reject")
	flags.StringSliceVar(&o.roots, "root-of-trust", nil,
		"also the Evidence of the emulators of these `roots` of trust: "+strings.Join(emulators(), ", "))
	flags.BoolVar(&o.sizes, "sizes", false, "also Evidence of 1 octet to 1 MB, to see where each stack's limit lies")
	return flags
}

// stackFlags are those that say where stacks are.
func (f *conformFlags) stackFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("stack", pflag.ContinueOnError)
	flags.StringVar(&f.stack.mbedtls, "mbedtls", "",
		"our mbedTLS peer, a `program` (default: $ATTLS_MBEDTLS_PEER, or what build.sh built last)")
	flags.StringVar(&f.stack.pocClient, "poc-client", "",
		"the proof of concept's `program` ssl_client2 (default: $ATTLS_POC_CLIENT)")
	flags.StringVar(&f.stack.pocServer, "poc-server", "",
		"the proof of concept's `program` ssl_server2 (default: $ATTLS_POC_SERVER)")
	flags.StringVar(&f.stack.pocVerifier, "poc-verifier", "",
		"verifier `file` for the Evidence of a --poc-client that uses Parsec (default: $ATTLS_POC_VERIFIER)")
	flags.StringVar(&f.stack.programs, "mbedtls-programs", "",
		"`directory` of mbedTLS's own ssl_client2 and ssl_server2 (default: $ATTLS_MBEDTLS_PROGRAMS, or what programs.sh "+
			"built)")
	flags.StringVar(&f.stack.openssl, "openssl", "",
		"another openssl `program` to run in addition to the system's, or a script that runs it (default: $ATTLS_OPENSSL, "+
			"or what conformance/stacks/fetch.sh openssl has fetched)")
	return flags
}

func (f *conformFlags) run(c *cobra.Command) error {
	if f.placement {
		return f.runPlacement(c)
	}
	if f.choice.profiles == nil && (f.choice.demo || f.choice.against != "") {
		return usage("--demo and --against are about the profiles of --profile")
	}
	if f.requirements && !f.choice.faults && f.choice.exact == "" {
		return usage("--requirements prints what faults were answered with; add --faults")
	}
	stacks, err := f.stacks()
	if err != nil {
		return err
	}
	if f.listPeers {
		newPainter(c.OutOrStdout()).stacks(c.Context(), stacks)
		return f.absent(c.Context(), stacks, nil)
	}
	grid, err := f.cases(stacks)
	if err != nil {
		return err
	}
	var compared *comparison
	if f.choice.against != "" {
		if grid, compared, err = f.compare(grid); err != nil {
			return err
		}
	}
	shard, cases, err := f.part(grid)
	if err != nil {
		return err
	}
	if f.list {
		p := newPainter(c.OutOrStdout())
		for i := range cases {
			p.flow(p.limit, "  ", cases[i].String())
		}
		return nil
	}
	if err := f.absent(c.Context(), stacks, grid); err != nil {
		return err
	}
	settings, err := f.settings()
	if err != nil {
		return err
	}
	if err := f.files.create(); err != nil {
		return unavailable(err)
	}
	identities := identify(c.Context(), stacks, grid)
	began := time.Now()
	results := f.meet(c, stacks, cases, settings)
	r := peers.Report("Interoperation of attested TLS 1.3", grid, results)
	r.Began, r.Seconds = began, time.Since(began).Seconds()
	r.Shards, r.Stacks = []report.Shard{shard}, identities
	f.describe(c, r, grid)
	if err := peers.Requirements(r, f.options(stacks)); err != nil {
		return unavailable(err)
	}
	if err := f.writeIssues(r); err != nil {
		return unavailable(err)
	}
	if err := f.files.write(r); err != nil {
		return unavailable(err)
	}
	p := newPainter(c.OutOrStdout())
	if f.choice.exact != "" {
		p.runs(r)
	} else {
		p.requirements(r, f.requirements)
	}
	p.report(r, &f.files)
	if compared != nil && r.Unrun() == 0 && len(r.Idle()) == 0 {
		return p.against(compared, r)
	}
	return verdict(c.Context(), r)
}

// options are the dimensions of the grid.
func (f *conformFlags) options(stacks []peers.Peer) peers.Options {
	var others []string
	for _, p := range stacks {
		if a, ok := p.(*peers.Adapted); ok && f.takesPart(a) {
			others = append(others, a.Name())
		}
	}
	o := peers.Defaults(others...)
	o.Stacks, o.Chosen = stacks, f.chosen
	o.Full, o.Faults = f.choice.full, f.choice.faults
	if f.choice.exact != "" {
		o.Any = true // everything that any flag adds
	}
	o.Roots = f.choice.roots
	if f.choice.exact != "" {
		o.Roots = sharedRoots()
	}
	o.Brief = f.choice.demo
	if f.choice.sizes || f.choice.exact != "" {
		o.Sizes = peers.PayloadSizes
	}
	if f.choice.profiles != nil {
		o.Under(f.choice.profiles)
	} else if !f.interprets() {
		o.Interpreted, o.Doubled = nil, nil
	}
	return o
}

// takesPart reports whether a stack of an adapter takes part: those that always do, and those
// that a flag names, so that the cases depend on the flags alone.
func (f *conformFlags) takesPart(a *peers.Adapted) bool {
	name := a.Adapter.Name
	if name == nextOpenSSL {
		return true
	}
	return !slices.Contains(always, name) && (f.wants(a.Name()) || strings.Contains(f.choice.exact, a.Name()))
}

// always are the stacks of adapters that Defaults has.
var always = []string{"openssl", "gnutls"}

// interprets reports whether the flags ask for the interpreter of compiled profiles
// without naming one: it meets every profile, which takes long.
func (f *conformFlags) interprets() bool {
	o, name := &f.choice, peers.Interpreter{}.Name()
	return (o.full || o.demo) && o.exact == "" || slices.Contains(o.peers, name) ||
		strings.Contains(o.filter+o.exact, name)
}

// cases are those that the flags choose.
func (f *conformFlags) cases(stacks []peers.Peer) ([]peers.Case, error) {
	for _, name := range f.choice.roots {
		if err := checkRoot(name); err != nil {
			return nil, err
		}
	}
	cases, err := peers.Cases(f.options(stacks))
	if err != nil {
		return nil, usage("%w", err)
	}
	cases = slices.DeleteFunc(cases, func(k peers.Case) bool { return !f.chosen(&k) })
	if len(cases) == 0 {
		return nil, f.nothing()
	}
	return cases, f.unsent(cases)
}

// unsent refuses a choice of cases in which a stack of --peer has no part, or to which
// --faults adds nothing.
func (f *conformFlags) unsent(cases []peers.Case) error {
	part, faulty := map[string]bool{}, map[string]bool{}
	for i := range cases {
		k := &cases[i]
		for _, name := range []string{"", k.Client, k.Server} {
			part[name] = true
			faulty[name] = faulty[name] || k.Scenario.Injected() != ""
		}
	}
	for _, name := range f.choice.peers {
		if !part[name] {
			return usage("--peer %s: the other flags choose no case in which it takes part", name)
		}
		if f.choice.faults && f.choice.exact == "" && !faulty[name] {
			return usage("--faults sends nothing to %s in the cases that the other flags choose", name)
		}
	}
	if f.choice.faults && f.choice.exact == "" && !faulty[""] {
		return usage("--faults sends nothing in the cases that the other flags choose")
	}
	return nil
}

// chosen reports whether a case is one of those that are wanted.
func (f *conformFlags) chosen(k *peers.Case) bool {
	o, name := &f.choice, k.String()
	return (o.exact == "" || name == cases.InName(o.exact)) &&
		(strings.Contains(name, o.filter) || strings.Contains(name, cases.InName(o.filter))) &&
		(len(o.peers)+len(f.named) == 0 || f.wants(k.Client) || f.wants(k.Server))
}

// wants reports whether --peer or --adapter names a stack.
func (f *conformFlags) wants(stack string) bool {
	return slices.Contains(f.choice.peers, stack) || f.named[stack]
}

// nothing says that there is no case, and why.
func (f *conformFlags) nothing() error {
	if f.choice.exact != "" {
		return usage("no case is called %s", f.choice.exact)
	}
	return usage("these flags choose no case; --list shows which there are, more with --full, --faults and --sizes")
}

// part is the shard that was asked for, and its cases.
func (f *conformFlags) part(grid []peers.Case) (report.Shard, []peers.Case, error) {
	shard := report.Whole
	if f.shard != "" {
		var err error
		if shard, err = report.ParseShard(f.shard); err != nil {
			return shard, nil, usage("--shard: %w", err)
		}
	}
	var cases []peers.Case
	for i := range grid {
		if shard.Has(i) {
			cases = append(cases, grid[i])
		}
	}
	shard.Cases = len(cases)
	return shard, cases, nil
}

// settings are how the cases are run. Recorded are the connections where a file
// is wanted that can show them.
func (f *conformFlags) settings() (peers.Settings, error) {
	s := peers.Settings{Parallel: f.parallel, Timeout: f.timeout}
	if f.captures() != "" || f.files.html != "" || f.files.json != "" || f.choice.exact != "" || f.choice.profiles != nil {
		s.Recorder = &peers.Recorder{Directory: f.captures()}
	}
	return s, unavailable(errors.Join(writable(f.pcap), writable(f.issues)))
}

// writable makes a directory, if there is to be one, and reports whether files can be
// made in it.
func writable(directory string) error {
	if directory == "" {
		return nil
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(directory, ".attls-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// meet runs the cases and tells how far it is.
func (f *conformFlags) meet(c *cobra.Command, stacks []peers.Peer, cases []peers.Case,
	settings peers.Settings) []peers.Result {
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	p := newProgress(c.ErrOrStderr(), len(cases), "failed")
	defer p.clear()
	return peers.RunAll(ctx, cases, stacks, settings, func(r *peers.Result) {
		bad := r.Status == peers.Failed
		p.step(r.String(), bad)
		if bad && f.failFast {
			stop()
		}
	})
}

// describe says of a report what was run, with what and how.
func (f *conformFlags) describe(c *cobra.Command, r *report.Report, grid []peers.Case) {
	names := make([]string, len(grid))
	for i := range grid {
		names[i] = grid[i].String()
	}
	r.Grid = report.NewGrid(changed(f.choice.flags), names)
	r.Program = invocation()
	r.Command = r.Program + " " + commandLine(c)
	for i := range r.Runs {
		r.Runs[i].Command = f.repeat(&r.Runs[i])
	}
}

// repeat are the arguments that repeat exactly one run, from any directory.
func (f *conformFlags) repeat(run *report.Run) string {
	args := []string{"conform"}
	stacks := changed(f.stack.flags)
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		args = append(args, "--"+name, absolute(stacks[name]))
	}
	for _, file := range f.adapters {
		args = append(args, "--adapter", anywhere(file))
	}
	if f.choice.profiles != nil {
		args = append(args, "--profile", run.Scenario.Profile)
	}
	return shellWords(append(args, "--case", run.ID))
}

// verdict is the error of a run that has failures or did not come to its end.
func verdict(ctx context.Context, r *report.Report) error {
	_, failures, _ := r.Counts()
	unrun := r.Unrun()
	total := unrun + len(r.Runs)
	if unrun > 0 && ctx.Err() != nil {
		return &exitError{exitInterrupted, fmt.Errorf("interrupted; %d of %d cases were not run", unrun, total)}
	}
	return shortfall(r, failures, unrun, total)
}

// shortfall is the error of a report in which cases failed or were not run, or of which
// nothing could be run that was asked for; nil otherwise.
func shortfall(r *report.Report, failures, unrun, total int) error {
	switch {
	case unrun > 0:
		return failed("%d of %d cases failed, %d were not run", failures, total, unrun)
	case failures > 0:
		return failed("%d of %d cases failed", failures, total)
	}
	if idle := r.Idle(); len(idle) > 0 {
		return failed("%s", strings.Join(idle, " "))
	}
	return nil
}

// sharedRoots are the roots of trust whose emulators are the same in every program.
func sharedRoots() (list []string) {
	for _, name := range emulators() {
		if f, err := roots.All().Named(name); err == nil && !f.OwnKeys && name != attestation.EAT {
			list = append(list, name)
		}
	}
	return list
}
