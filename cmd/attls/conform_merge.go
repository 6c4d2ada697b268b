package main

import (
	"os"

	"github.com/spf13/cobra"

	"attls/conformance/report"
)

func conformMergeCommand() *cobra.Command {
	var files reportFiles
	c := &cobra.Command{
		Use:   "merge FILE...",
		Short: "Put the results of shards together and print them",
		Long: `merge reads what attls conform --json has written, one file or the files of all
shards, prints it as attls conform does, and writes it in the other forms.

The files have to be of one run: the same version of attls, the same flags that
choose cases, the same division, and each shard once. A shard that is missing or
was interrupted is named, and the exit code is then 1, as after a failure. So it is
when no case of the whole was run, or none with a stack that --peer named.`,
		Example: `  attls conform merge results/*.json --html conform.html --junit conform.xml
  attls conform merge all.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return merge(c, args, &files) },
	}
	files.register(c.Flags())
	return c
}

func merge(c *cobra.Command, names []string, files *reportFiles) error {
	var parts []*report.Report
	for _, name := range names {
		part, err := readReport(name)
		if err != nil {
			return unavailable(err)
		}
		parts = append(parts, part)
	}
	r, err := report.Merge(parts...)
	if err != nil {
		return failed("%w", err)
	}
	r.Program = invocation()
	if err := files.create(); err != nil {
		return unavailable(err)
	}
	if err := files.write(r); err != nil {
		return unavailable(err)
	}
	p := newPainter(c.OutOrStdout())
	p.requirements(r, false)
	p.report(r, files)
	warn := newPainter(c.ErrOrStderr())
	if text := r.Unidentified(); text != "" {
		warn.line(warn.in(yellow, text))
	}
	for _, text := range r.Mixed() {
		warn.line(warn.in(yellow, text))
	}
	for _, text := range r.Missing() {
		warn.line(warn.in(red, text))
	}
	_, failures, _ := r.Counts()
	return shortfall(r, failures, r.Total()-len(r.Runs), r.Total())
}

func readReport(name string) (*report.Report, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return report.Read(name, file)
}
