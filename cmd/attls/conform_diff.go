package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"attls/conformance/placement"
	"attls/conformance/report"
)

func conformDiffCommand() *cobra.Command {
	var rename []string
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what changed between the results of two versions of a stack",
		Long: `diff reads two files that attls conform --json has written, both with --placement or
both without, and prints each case whose result is not the same: what it was and what
it is. ✗ is a change for the worse, ✓ one for the better.

The exit code is 1 if a case has changed for the worse, and 0 otherwise.`,
		Example: `  attls conform diff 3.5.json 3.6.json --rename openssl-3.5=openssl-3.6
  attls conform diff old.json new.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return conformDiff(c, args[0], args[1], rename) },
	}
	c.Flags().StringArrayVar(&rename, "rename", nil,
		"`OLD=NEW`: a stack of the old file has another name in the new one; can be given more than once")
	return c
}

func conformDiff(c *cobra.Command, old, now string, rename []string) error {
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
	bad := 0
	switch {
	case placed[0] != nil && placed[1] != nil:
		for k := range placed[0].Stacks {
			if to, ok := names[placed[0].Stacks[k].Name]; ok {
				placed[0].Stacks[k].Name = to
			}
		}
		for _, change := range placement.Diff(placed[0], placed[1]) {
			lines = append(lines, change.String())
			if change.Worse {
				bad++
			}
		}
	case reports[0] != nil && reports[1] != nil:
		for _, change := range report.Diff(reports[0], reports[1], names) {
			lines = append(lines, change.String())
			if change.Worse {
				bad++
			}
		}
	default:
		return usage("one of %s and %s is of --placement, and the other is not", old, now)
	}
	p := newPainter(c.OutOrStdout())
	for _, line := range lines {
		p.paragraph("", line)
	}
	p.line(fmt.Sprintf("%d changes, %d for the worse", len(lines), bad))
	if bad > 0 {
		return failed("%d results have changed for the worse", bad)
	}
	return nil
}
