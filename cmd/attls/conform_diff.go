package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"attls/conformance/placement"
	"attls/conformance/report"
)

func conformDiffCommand() *cobra.Command {
	var rename []string
	var all bool
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what changed between the results of two versions of a stack",
		Long: `diff reads two files that attls conform --json has written, both with --placement or
both without, and prints each case whose result is not the same: what it was and what
it is. ✗ is a change for the worse, ✓ one for the better. Cases of the placement
matrix that changed in the same way are one line for each message. Cases that are in
one of the files only are counted, and listed with --all.

The exit code is 1 if a case has changed for the worse, and 0 otherwise.`,
		Example: `  attls conform diff 3.5.json 3.6.json --rename openssl-3.5=openssl-3.6
  attls conform diff old.json new.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return conformDiff(c, args[0], args[1], rename, all) },
	}
	c.Flags().StringArrayVar(&rename, "rename", nil,
		"`OLD=NEW`: a stack of the old file has another name in the new one; can be given more than once; "+
			"not needed where each file has one stack that the other has not")
	c.Flags().BoolVar(&all, "all", false, "list cases that are in one of the files only")
	return c
}

func conformDiff(c *cobra.Command, old, now string, rename []string, all bool) error {
	names := map[string]string{}
	for _, r := range rename {
		from, to, ok := strings.Cut(r, "=")
		if !ok || from == "" || to == "" {
			return usage("--rename takes OLD=NEW, not %q", r)
		}
		names[from] = to
	}
	var placed [2]*placement.Report
	var reports [2]*report.Report
	for i, name := range []string{old, now} {
		var err error
		if placed[i], reports[i], err = readResults(name); err != nil {
			return unavailable(err)
		}
	}
	var lines []string
	changes, bad, good := 0, 0, 0
	gone, come := 0, 0 // cases in one of the files only
	tell := func(before, after string, worse, better bool) bool {
		switch {
		case after == report.Absent:
			gone++
			return all
		case before == report.Absent && !worse:
			come++
			return all
		case worse:
			bad++
		case better:
			good++
		}
		changes++
		return true
	}
	switch {
	case placed[0] != nil && placed[1] != nil:
		for k := range placed[0].Stacks {
			if to, ok := names[placed[0].Stacks[k].Name]; ok {
				placed[0].Stacks[k].Name = to
			}
		}
		told := slices.DeleteFunc(placement.Diff(placed[0], placed[1]), func(x placement.Change) bool {
			return !tell(x.Old, x.New, x.Worse, x.Better)
		})
		for _, change := range placement.Together(told) {
			lines = append(lines, change.String())
		}
	case reports[0] != nil && reports[1] != nil:
		for _, change := range report.Diff(reports[0], reports[1], names) {
			if tell(change.Old, change.New, change.Worse, change.Better) {
				lines = append(lines, change.String())
			}
		}
	default:
		return usage("one of %s and %s is of --placement, and the other is not", old, now)
	}
	p := newPainter(c.OutOrStdout())
	for _, line := range lines {
		p.paragraph("", line)
	}
	if gone+come > 0 {
		p.line(fmt.Sprintf("%s in the old results only, %d in the new ones only", count(gone, "case"), come))
	}
	p.line(fmt.Sprintf("%s, %d for the worse, %d for the better", count(changes, "change"), bad, good))
	if bad > 0 {
		return failed("%d results have changed for the worse", bad)
	}
	return nil
}
