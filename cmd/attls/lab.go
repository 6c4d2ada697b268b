package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls/conformance/claims"
	"attls/conformance/lab"
	"attls/conformance/model"
	"attls/extensions/profile"
	"attls/internal/columns"
	"attls/internal/private"
)

// labFlags are the flags of "attls lab".
type labFlags struct {
	attacks, profiles, capabilities []string
	readings                        map[string]string
	lax, json, html, goals, pcap    string
	stack, mbedtls                  string
	results, acknowledge            string
	parallel                        int
	full, verbose, proverif         bool
	proverifLimit                   time.Duration
	files                           []lab.File // of the user's, which options reads
}

func labCommand() *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use:   "lab [FILE.yaml…]",
		Short: "Run attacks that are written as scripts against every profile, with controls",
		Long: `lab runs each attack against each profile and each way to attest that it allows. An
attack is a script (see docs/lab.md and "attls lab show"): honest parties, what the
attacker is capable of, its steps, and a control. The outcome of a cell is that the
relying party accepted, that an honest party rejected, or that the attack cannot be
mounted. An attack that is accepted has a control that must be refused, one that is
rejected a control that must be accepted.

It exits 1 when a control or a bound did not end as its kind demands, or when an
outcome is another than the one that is stored; --acknowledge REASON with --results
FILE stores the new ones.

With --proverif, a model of each goal that an attack's success would refute is run under
the same capabilities, and what ProVerif says is printed with the outcome. A success that
is proved to be impossible is a failure. Without the program, proofs are skipped.`,
		Example: `  attls lab --attack relay-leaked-key --profile early-attestation-07
  attls lab --profile mine.yaml --capabilities net,tik
  attls lab my-attack.yaml --html matrix.html
  attls lab --lax V1 --attack relay-leaked-key
  attls lab --attack relay-verbatim --profile early-attestation-06 --proverif`,
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		RunE:              func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.attacks, "attack", nil, `attacks, by name (see "attls lab list") or file; without it all`)
	flags.StringSliceVar(&f.profiles, "profile", nil,
		`profiles: ids (see "attls profile list") or YAML files; without it all`)
	flags.StringToStringVar(&f.readings, "reading", nil, "readings of the profiles' switches: `SWITCH=READING`")
	flags.StringSliceVar(&f.capabilities, "capabilities", nil, "only attacks that need no others than these")
	flags.StringVar(&f.lax, "lax", "", "relying parties that leave one check out: `V1` to V11 (docs/lab.md)")
	flags.StringVar(&f.stack, "stack", "",
		"TLS stack of the honest ends: `attls`, mbedtls (the peer of conformance/mbedtls/build.sh),\n"+
			"or one end alone, as client=mbedtls; outcomes must be those of attls")
	flags.StringVar(&f.mbedtls, "mbedtls", "",
		"with --stack: `path` of the mbedTLS peer (default: the one that conformance/mbedtls/build.sh has built)")
	flags.BoolVar(&f.full, "full", false, "with each reading, each lax relying party and each stack as well")
	flags.StringVar(&f.json, "json", "", "write every cell to this `file`, as JSON")
	flags.StringVar(&f.html, "html", "", "write the matrix and its runs to this `file`, as a page to look at")
	flags.StringVar(&f.goals, "goals", "", "write the outcomes by security goal to this `file`, as Markdown")
	flags.StringVar(&f.pcap, "pcap", "", "write a capture of each run to this `directory`")
	flags.StringVar(&f.results, "results", "", "compare with the outcomes in this `file` instead of the built-in ones")
	flags.StringVar(&f.acknowledge, "acknowledge", "", "take changed outcomes into --results, for this `reason`")
	flags.IntVar(&f.parallel, "parallel", 2, "runs at a time")
	flags.BoolVar(&f.proverif, "proverif", false, "run models with ProVerif and compare (docs/proverif.md)")
	flags.DurationVar(&f.proverifLimit, "proverif-limit", model.DefaultTime, "with --proverif: time for each model")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "list every cell")
	c.AddCommand(labListCommand(), labShowCommand(), labQuestionsCommand())
	return c
}

func (f *labFlags) run(c *cobra.Command, args []string) error {
	o, err := f.options(args)
	if err != nil {
		return err
	}
	stored, err := lab.ReadStored(f.results)
	if err != nil && !(os.IsNotExist(err) && f.acknowledge != "") {
		return unavailable(err)
	}
	if stored == nil {
		stored = &lab.Stored{}
	}
	if f.acknowledge != "" && f.results == "" {
		return usage("--acknowledge needs --results, the file to change")
	}
	var files resultFiles[*lab.Report]
	if err := files.create(resultFile[*lab.Report]{f.json, (*lab.Report).Write},
		resultFile[*lab.Report]{f.html, (*lab.Report).WriteHTML},
		resultFile[*lab.Report]{f.goals, (*lab.Report).WriteGoals}); err != nil {
		return unavailable(err)
	}
	started := time.Now()
	passes, err := f.passes(c, o)
	if err != nil {
		return err
	}
	cells, err := f.cells(c, passes)
	if err != nil {
		return err
	}
	if err := f.prove(c, o, cells); err != nil {
		return err
	}
	r := &lab.Report{Version: claims.StackVersion(), Command: "attls " + commandLine(c), Lax: o.Lax,
		Seconds: time.Since(started).Seconds(), Scripts: o.Scripts, Cells: cells, Files: f.files}
	if f.acknowledge != "" {
		if err := stored.Acknowledge(cells, f.acknowledge); err != nil {
			return usage("%w", err)
		}
		if err := stored.WriteFile(f.results); err != nil {
			return unavailable(err)
		}
	}
	changed := stored.Changes(cells)
	for _, x := range changed {
		r.Changed = append(r.Changed, x.Key())
	}
	bad := r.Failures()
	r.OK = len(bad)+len(changed) == 0
	if err := f.captures(cells); err != nil {
		return unavailable(err)
	}
	if err := files.write(r); err != nil {
		return unavailable(err)
	}
	newPainter(c.OutOrStdout()).lab(r, stored, f.verbose || len(cells) <= 8)
	switch {
	case len(bad) > 0:
		return failed("%d of %d cells have a control or a bound that did not end as required", len(bad), len(cells))
	case len(changed) > 0:
		return failed("%d of %d outcomes are not those that are stored; see --acknowledge", len(changed), len(cells))
	}
	fmt.Fprintf(c.OutOrStdout(), "\n%d cells, every control as expected, in %.1f s\n", len(cells), r.Seconds)
	return nil
}

// options are what the flags choose.
func (f *labFlags) options(args []string) (o lab.Options, err error) {
	if o.Lax, err = lab.ParseLax(f.lax); err != nil {
		return o, usage("%w", err)
	}
	if o.Stacks, err = f.stacks(); err != nil {
		return o, err
	}
	if err := f.scripts(args, &o); err != nil {
		return o, err
	}
	chosen := f.profiles
	if len(chosen) == 0 {
		chosen = profile.Names()
	}
	for _, name := range chosen {
		p, err := profile.Load(name, profile.Options{Readings: f.readings})
		if err != nil {
			return o, usage("%w", err)
		}
		var others []string
		for _, x := range o.Profiles {
			others = append(others, x.ID)
		}
		o.Profiles = append(o.Profiles, p)
		if slices.Contains(others, p.ID) {
			return o, usage("two profiles are called %q; give the one in %s another name, in its first line", p.ID, name)
		}
		if len(f.readings) > 0 || !slices.Contains(profile.Names(), name) {
			o.Foreign = append(o.Foreign, p.ID)
			file := lab.File{Profile: p.ID, Given: name}
			if !slices.Contains(profile.Names(), name) {
				file.Text = p.Source()
			}
			f.add(file)
		}
	}
	for _, name := range f.capabilities {
		if !slices.Contains(lab.Capabilities, lab.Capability(name)) {
			return o, usage("there is no capability %q; they are %v", name, lab.Capabilities)
		}
		o.Capabilities = append(o.Capabilities, lab.Capability(name))
	}
	o.Parallel, o.Detailed = f.parallel, f.pcap != "" || f.html != ""
	return o, nil
}

// prove runs the models of the cells, with progress.
func (f *labFlags) prove(c *cobra.Command, o lab.Options, cells []*lab.Cell) error {
	if !f.proverif {
		return nil
	}
	if f.proverifLimit <= 0 {
		return usage("--proverif-limit takes a time above zero, not %v", f.proverifLimit)
	}
	program, err := model.Find()
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "proofs are skipped: %v\n", err)
		return nil
	}
	var p *progress
	v := lab.Prover{Program: program, Limits: model.Limits{Time: f.proverifLimit}, Parallel: f.parallel,
		Count:    func(n int) { p = newProgress(c.ErrOrStderr(), n, "not as expected") },
		Progress: func(name string) { p.step(name, false) }}
	err = v.Prove(c.Context(), o, cells)
	if p != nil {
		p.clear()
	}
	switch {
	case err != nil && c.Context().Err() != nil:
		return &exitError{exitInterrupted, err}
	case err != nil:
		return failed("%w", err)
	}
	n := lab.CountProofs(cells)
	fmt.Fprintf(c.OutOrStdout(), "models: %d proved, %d attack found, %d not decided, %d cells without a model\n",
		n[model.Proved], n[model.AttackFound], n[model.NotDecided], n[""])
	return nil
}

// captures writes the runs, each to a file of its own.
func (f *labFlags) captures(cells []*lab.Cell) error {
	if f.pcap == "" {
		return nil
	}
	if err := os.MkdirAll(f.pcap, 0o777); err != nil {
		return err
	}
	for _, x := range cells {
		if x.Result == nil || x.Result.Detailed == nil {
			continue
		}
		file, err := private.Create(filepath.Join(f.pcap, x.FileName()+".pcapng"))
		if err != nil {
			return err
		}
		if err := x.Result.Detailed.WriteCapture(file); err != nil {
			file.Close()
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

// lab prints a matrix: a line for each attack, and what is not as expected.
func (p *painter) lab(r *lab.Report, stored *lab.Stored, verbose bool) {
	for _, x := range r.Cells {
		if x.Error != "" {
			p.line(p.in(red, "✗ "+x.Key()))
			p.paragraph("    ", x.Error)
		} else if slices.Contains(r.Changed, x.Key()) {
			p.line(p.in(red, "✗ "+x.Key()))
			p.paragraph("    ", fmt.Sprintf("stored: %s; now: %s", orNothing(stored.Outcome(x.Key())), x.Told()))
		} else if verbose {
			p.labCell(x)
		}
	}
	kinds := []string{string(lab.Accepted), string(lab.Rejected), string(lab.Unmounted), string(lab.Measured),
		"not applicable"}
	t := columns.Table{Indent: "  ", Right: []bool{false}}
	t.Add("ATTACK")
	for _, k := range append(slices.Clone(kinds), "failed") {
		t.Rows[0], t.Right = append(t.Rows[0], strings.ToUpper(k)), append(t.Right, true)
	}
	sums := lab.Summarize(r.Cells)
	for _, s := range sums {
		cells := []string{s.Attack}
		for _, k := range kinds {
			cells = append(cells, strconv.Itoa(s.Counts[k]))
		}
		t.Add(append(cells, strconv.Itoa(s.Failed))...)
	}
	p.table(&t, func(row int) style {
		if sums[row-1].Failed > 0 {
			return red
		}
		return plain
	})
}

func (p *painter) labCell(x *lab.Cell) {
	if x.Inapplicable != "" {
		p.line("– ", x.Key())
		p.paragraph("    ", "not applicable: "+x.Inapplicable)
		return
	}
	p.line("• ", x.Key())
	p.paragraph("    ", x.Result.String())
	if x.Result.Outcome == lab.Rejected && x.Result.Detail != "" {
		p.paragraph("    ", x.Result.Detail)
	}
	if x.Manner != "" {
		p.paragraph("    ", x.Manner)
	}
	if x.Control != nil {
		p.paragraph("    ", fmt.Sprintf("control (%s): %s", x.Control.Name, x.Control.Result))
	}
	for _, proof := range x.Proofs {
		p.paragraph("    ", "model: "+proof.String())
		if proof.Counterexample != "" {
			p.lines(proof.Counterexample)
		}
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func labListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the attacks",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := lab.All()
			if err != nil {
				return err
			}
			t := columns.Table{}
			t.Add("ATTACK", "CAPABILITIES", "WHAT")
			for _, s := range all {
				t.Add(s.Name, fmt.Sprint(s.Capabilities), s.Title)
			}
			newPainter(c.OutOrStdout()).table(&t, func(int) style { return plain })
			return nil
		},
	}
}

func labShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show ATTACK",
		Short:             "Print the script of an attack, to begin one of your own with",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(lab.Names(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			src, err := lab.Source(args[0])
			if err != nil {
				return usage("%w", err)
			}
			_, err = c.OutOrStdout().Write(src)
			return unavailable(err)
		},
	}
}

func labQuestionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "questions",
		Short: "Run what answers the questions that people argue about, and print the answers",
		Long: `questions runs a few attacks for each question that trackers and mailing lists of drafts
and products ask, and prints docs/questions.md: the command, each outcome with that of its
control, and the hash of the recording.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := lab.WriteQuestions(c.Context(), c.OutOrStdout()); err != nil {
				return failed("%w", err)
			}
			return nil
		},
	}
}
