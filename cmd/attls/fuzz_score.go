package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/claims"
	"attls/fuzz/campaign"
)

type fuzzScoreFlags struct {
	campaigns []string
	o         campaign.ScoreOptions
	list      bool
	asJSON    bool
	svg       string
	out       string
	resume    bool
	read      []string
}

func fuzzScore() *cobra.Command {
	f := &fuzzScoreFlags{}
	c := &cobra.Command{
		Use:   "score",
		Short: "Measure how many planted bugs a campaign finds",
		Long: `score takes one rule away from one end, under one profile, and measures how many
connections, and how long, a campaign needs to break a law there. Rules that no peer can
see are listed apart. Before that it runs the campaign with all rules in force, which must
find nothing, and counts which rules it reached and triggered. The bugs of mbedtls are those
of the program that conformance/mbedtls/targets.sh live --planted builds.

Two campaigns or more are compared: which bugs one of them alone detected, and for bugs
with four trials or more the effect size A12 and the P of the Mann-Whitney test, corrected
for the number of bugs (Holm).

--out writes what was measured after each trial, and --resume makes the trials that a file
does not have yet. --read prints and compares files without a trial.`,
		Example: `  attls fuzz score --time 20s
  attls fuzz score --campaign terms --campaign octets --trials 10 --time 0 --executions 20000 --out score.json
  attls fuzz score --read score.json --svg curves.svg
  attls fuzz score --bug signature-verified --bug verdict-binder --trials 5
  attls fuzz score --campaign mbedtls --time 60s`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringArrayVar(&f.campaigns, "campaign", []string{"terms"},
		"terms, terms-without-forks or octets, or mbedtls: against the C program with planted bugs (may be repeated)")
	flags.IntVar(&f.o.Trials, "trials", 1, "trials of the bugs that are drawn by the seed")
	flags.IntVar(&f.o.Drawn, "drawn", 20, "bugs that are tried more than once")
	flags.DurationVar(&f.o.Time, "time", 10*time.Second, "time of each trial; 0 for no bound")
	flags.IntVar(&f.o.Executions, "executions", 0, "connections of each trial; 0 for no bound")
	flags.Uint64Var(&f.o.Seed, "seed", 1, "seed")
	flags.IntVar(&f.o.Side, "workers", runtime.GOMAXPROCS(0), "trials side by side")
	flags.StringArrayVar(&f.o.Bugs, "bug", nil, "only this bug (may be repeated)")
	flags.BoolVar(&f.list, "list", false, "list the bugs and end")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	flags.StringVar(&f.svg, "svg", "", "write survival curves to a `file`")
	flags.StringVar(&f.out, "out", "", "write the results to a `file`, after each trial")
	flags.BoolVar(&f.resume, "resume", false, "keep the trials that the file of --out has")
	flags.StringArrayVar(&f.read, "read", nil, "print the results in a `file`, and make no trials (may be repeated)")
	return c
}

func (f *fuzzScoreFlags) check() error {
	o := &f.o
	switch {
	case o.Trials < 1 || o.Side < 1 || o.Side > maxWorkers || o.Drawn < 1 || o.Trials > campaign.MostTrials:
		return usage("--trials, --drawn and --workers are positive, --workers at most %d and --trials at most %d", maxWorkers,
			campaign.MostTrials)
	case o.Time < 0 || o.Executions < 0 || o.Time == 0 && o.Executions == 0:
		return usage("one of --time and --executions must bound a trial")
	case f.resume && f.out == "":
		return usage("--resume goes on with the file of --out, which is missing")
	case len(f.read) > 0 && (f.out != "" || f.list):
		return usage("--read makes no trials: without --out and --list")
	}
	for i, kind := range f.campaigns {
		if !slices.Contains(campaign.Kinds, kind) {
			return usage("no campaign is called %q; there are %v", kind, campaign.Kinds)
		}
		if slices.Contains(f.campaigns[:i], kind) {
			return usage("--campaign %s is there twice", kind)
		}
		one := campaign.ScoreOptions{Kind: kind, Bugs: o.Bugs}
		if err := one.Check(); err != nil && len(f.read) == 0 {
			return usage("%v", err)
		}
	}
	return nil
}

func (f *fuzzScoreFlags) run(c *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	w := c.OutOrStdout()
	if f.list && slices.Equal(f.campaigns, []string{campaign.StackKind}) {
		return listStackBugs(w)
	}
	if f.list {
		all, err := campaign.Plants()
		if err != nil {
			return err
		}
		for _, p := range all {
			fmt.Fprintf(w, "%-32s%-8v%-24s%s\n", p.Name, p.Role, profileOrTLS(p.Profile), p.Hidden)
		}
		return nil
	}
	file, skipped, err := f.measured(c)
	if file == nil {
		return err
	}
	if f.asJSON {
		err = errors.Join(err, writeJSON(w, file))
	} else {
		printScores(w, file.Scores)
	}
	if f.svg != "" {
		if e := writeCurves(f.svg, file.Scores); e != nil {
			err = errors.Join(err, unavailable(e))
		}
	}
	missing := 0
	for _, s := range file.Scores {
		missing += s.Missing
	}
	if c.Context().Err() != nil {
		text := fmt.Sprintf("interrupted; %d trials of what was begun were not made", missing)
		if f.out != "" {
			text += "; --resume with the same options makes them"
		}
		return errors.Join(err, &exitError{exitInterrupted, errors.New(text)})
	}
	if err == nil && missing > 0 && len(f.read) == 0 {
		return unavailable(fmt.Errorf("%d trials could not be made", missing))
	}
	if err == nil && len(skipped) > 0 {
		return unavailable(errors.Join(skipped...))
	}
	return err
}

// measured makes the trials, or reads those that were made. A campaign whose program is missing
// is skipped. A file that is not nil has results, with an error too.
func (f *fuzzScoreFlags) measured(c *cobra.Command) (all *campaign.ScoreFile, skipped []error, err error) {
	all = &campaign.ScoreFile{Format: campaign.ScoreFormat, Version: claims.StackVersion()}
	for _, name := range f.read {
		file, err := campaign.ReadScoreFile(name)
		if err != nil {
			return nil, nil, unavailable(err)
		}
		for _, s := range file.Scores {
			if all.Of(s.Kind) != nil {
				return nil, nil, usage("--read: %s has results of %s as well as an earlier file", name, s.Kind)
			}
			all.Put(s)
		}
		all.Version = file.Version
	}
	if len(f.read) > 0 {
		return all, skipped, nil
	}
	if err := f.begin(all); err != nil {
		return nil, nil, err
	}
	for _, kind := range f.campaigns {
		o := f.o
		o.Kind = kind
		o.Have = all.Of(kind)
		var unwritten error
		o.Each = func(b campaign.BugScore, s *campaign.Score) {
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s: %d of %d%s\n", kind, b.Name, b.Found, b.Trials, attls.Printable(b.Failed))
			if f.out != "" && unwritten == nil {
				all.Put(s)
				unwritten = all.WriteFile(f.out)
			}
		}
		s, err := campaign.Measure(c.Context(), o)
		var none *campaign.NoProgramError
		if errors.As(err, &none) {
			skipped = append(skipped, fmt.Errorf("skipped: %w", err))
			continue
		}
		if err != nil {
			return all, skipped, err
		}
		all.Put(s)
		if f.out != "" && unwritten == nil {
			unwritten = all.WriteFile(f.out)
		}
		if unwritten != nil {
			return all, skipped, unavailable(unwritten)
		}
		if c.Context().Err() != nil {
			break
		}
	}
	return all, skipped, nil
}

// begin reads the file of --out, if trials go on, and sees that it can be written.
func (f *fuzzScoreFlags) begin(all *campaign.ScoreFile) error {
	if f.out == "" {
		return nil
	}
	_, err := os.Stat(f.out)
	if err == nil && !f.resume {
		return usage("--out: %s is there; --resume goes on with it", f.out)
	}
	if err == nil {
		old, err := campaign.ReadScoreFile(f.out)
		if err != nil {
			return unavailable(err)
		}
		if old.Version != all.Version {
			return usage("--resume: %s is of attls %s, and this is %s, which may find other things", f.out,
				attls.Printable(old.Version), all.Version)
		}
		for _, kind := range f.campaigns {
			if s := old.Of(kind); s != nil {
				o := f.o
				o.Kind = kind
				if err := s.Continues(&o); err != nil {
					return usage("--resume: %s: %v", f.out, err)
				}
			}
		}
		all.Scores = old.Scores
	}
	if err := all.WriteFile(f.out); err != nil {
		return unavailable(err)
	}
	return nil
}

func writeCurves(name string, scores []*campaign.Score) error {
	file, err := os.Create(filepath.Clean(name))
	if err != nil {
		return err
	}
	return errors.Join(campaign.WriteSVG(file, scores...), file.Close())
}

// printScores prints tables of campaigns, and compares each with the first.
func printScores(w io.Writer, scores []*campaign.Score) {
	for _, s := range scores {
		printScore(w, s)
	}
	for i := 1; i < len(scores); i++ {
		x, err := campaign.Compare(scores[0], scores[i])
		if err != nil {
			fmt.Fprintf(w, "\n%s and %s are not compared: %v\n", scores[0].Kind, scores[i].Kind, err)
			continue
		}
		printComparison(w, x)
	}
}

func printComparison(w io.Writer, x *campaign.Comparison) {
	fmt.Fprintf(w, "\n%s (A) and %s (B), by %s: %d bugs detected by both, %d by none, %d by A alone, %d by B alone\n", x.A,
		x.B, x.Unit, x.Both, x.None, len(x.OnlyA), len(x.OnlyB))
	for _, one := range []struct {
		end  string
		bugs []string
	}{{"A", x.OnlyA}, {"B", x.OnlyB}} {
		for _, name := range one.bugs {
			fmt.Fprintf(w, "  %s alone: %s\n", one.end, name)
		}
	}
	if len(x.Bugs) == 0 {
		return
	}
	fmt.Fprintf(w, "%-32s%10s%10s%8s%10s%10s\n", "BUG", "FOUND A", "FOUND B", "A12", "P", "HOLM")
	for _, b := range x.Bugs {
		fmt.Fprintf(w, "%-32s%10s%10s%8.2f%10.2g%10.2g\n", b.Name, fmt.Sprintf("%d of %d", b.FoundA, b.A),
			fmt.Sprintf("%d of %d", b.FoundB, b.B), b.Faster, b.P, b.Holm)
	}
}

// printScore prints the table of a campaign.
func printScore(w io.Writer, s *campaign.Score) {
	figure := func(x float64, places int) string {
		if x < 0 {
			return "–"
		}
		return fmt.Sprintf("%.*f", places, x)
	}
	unit, places := "CONNECTIONS", 0
	if s.Connections == 0 {
		unit, places = "SECONDS", 2
	}
	fmt.Fprintf(w, "%-32s%-8s%-24s%-10s%12s%18s  %s\n", "BUG", "END", "PROFILE", "FOUND", unit, "95 % INTERVAL", "LAW")
	for i := range s.Bugs {
		b := &s.Bugs[i]
		if b.Hidden != "" {
			continue
		}
		x := b.Connections
		if s.Connections == 0 {
			x = b.Seconds
		}
		interval := ""
		if x.Low > 0 || x.High >= 0 {
			interval = figure(x.Low, places) + " to " + figure(x.High, places)
		}
		fmt.Fprintf(w, "%-32s%-8s%-24s%-10s%12s%18s  %s\n", b.Name, b.Role, profileOrTLS(b.Profile),
			fmt.Sprintf("%d of %d", b.Found, b.Trials), figure(x.Median, places), interval, b.Law)
		if b.Failed != "" {
			fmt.Fprintf(w, "  a trial could not be made: %s\n", attls.Printable(b.Failed))
		}
	}
	fmt.Fprintln(w, "\nNo peer can see:")
	for i := range s.Bugs {
		if b := &s.Bugs[i]; b.Hidden != "" {
			fmt.Fprintf(w, "  %-30s%s\n", b.Name, b.Hidden)
		}
	}
	visible, reached, triggered, detected := s.Visible()
	fmt.Fprintf(w, "\n%s, %s a trial: %d bugs that a peer can see, %d detected (%.0f %%)\n", s.Kind, s.Bound(), visible,
		detected, 100*float64(detected)/float64(max(visible, 1)))
	if counted := s.Counted(); counted > 0 { // a C program does not tell
		fmt.Fprintf(w,
			"%d of them are rules that refuse something: %d were reached and %d triggered with all rules in force\n",
			counted, reached, triggered)
	}
	if s.Missing > 0 {
		fmt.Fprintf(w, "%d trials were not made\n", s.Missing)
	}
	for _, text := range s.Noise {
		fmt.Fprintf(w, "With all rules in force: %s\n", attls.Printable(text))
	}
	if s.Sound == 0 {
		fmt.Fprintln(w, "The connections with all rules in force were not all made")
		return
	}
	fmt.Fprintf(w, "With all rules in force: %d connections, %d findings\n", s.Sound, len(s.Noise))
}
