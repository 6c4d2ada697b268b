package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"attls/conformance/adapter"
	"attls/conformance/placement"
	"attls/conformance/report"
)

func conformDeviationsCommand() *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use:   "deviations FILE...",
		Short: "Find entries of known deviations that no tested version of a stack shows",
		Long: `deviations reads files that attls conform --json has written, with --placement and
without, of as many versions of stacks as there are, and holds the deviations in the
files of the stacks' adapters to them: each that is said of a version that was tested
has to be seen in one of these.

The exit code is 1 if one is not seen in any, and 0 otherwise.`,
		Example: `  attls conform deviations gnutls-3.7.json gnutls-3.8.json
  attls conform deviations mine-*.json --adapter mine.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			list, _, err := (&conformFlags{adapters: files}).loadAdapters()
			if err != nil {
				return err
			}
			t := adapter.NewTally(list)
			for _, name := range args {
				if err := tally(t, name); err != nil {
					return unavailable(err)
				}
			}
			return printTally(newPainter(c.OutOrStdout()), t)
		},
	}
	c.Flags().StringArrayVar(&files, "adapter", nil,
		"an adapter `file` of stacks in the results; can be given more than once")
	return c
}

// tally adds a file of results.
func tally(t *adapter.Tally, name string) error {
	placed, run, err := readResults(name)
	switch {
	case err != nil:
		return err
	case placed != nil:
		placed.Tally(t)
	default:
		run.Tally(t)
	}
	return nil
}

// readResults reads a file of attls conform --json: of --placement, or of other cases.
func readResults(name string) (placed *placement.Report, other *report.Report, err error) {
	blob, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	if placement.IsReport(blob) {
		placed, err = placement.ReadReport(name, bytes.NewReader(blob))
		return placed, nil, err
	}
	other, err = report.Read(name, bytes.NewReader(blob))
	return nil, other, err
}

func printTally(p *painter, t *adapter.Tally) error {
	seen, unseen := t.Count(), t.Unseen()
	for _, u := range unseen {
		p.line(p.in(red, "✗ "+u.Place()))
		p.paragraph("    ", fmt.Sprintf("not seen in %s: %s", strings.Join(u.Versions, ", "), u.Does))
	}
	p.line(fmt.Sprintf("%s that were to be seen: %d were, %d were not", count(seen+len(unseen), "deviation"), seen,
		len(unseen)))
	switch {
	case len(unseen) > 0:
		return failed("%s in no version that was tested", count(len(unseen), "deviation"))
	case seen == 0:
		return failed("no deviation of an adapter was to be seen in these results")
	}
	return nil
}
