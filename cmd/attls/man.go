package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"attls/conformance/claims"
)

// manDate is the month that manual pages name: it belongs to the release, so that the
// same source gives the same pages.
var manDate = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

func manCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "man --dir DIRECTORY",
		Short: "Write manual pages",
		Long: `Write a manual page for each command, attls-demo.1 for "attls demo", into a directory,
which is made if it does not exist. The pages say what --help says.

Completion for shells comes from "attls completion"; its --help says how to install it.`,
		Example: `  attls man --dir ~/.local/share/man/man1 && man attls-demo
  attls completion bash > ~/.local/share/bash-completion/completions/attls`,
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				return usage("--dir must name the directory for the pages")
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return unavailable(err)
			}
			root := c.Root()
			root.DisableAutoGenTag = true // it carries the date of today
			header := &doc.GenManHeader{Section: "1", Date: &manDate, Source: "attls " + claims.Release, Manual: "attls"}
			if err := doc.GenManTree(root, header, dir); err != nil {
				return unavailable(err)
			}
			fmt.Fprintf(c.OutOrStdout(), "The pages are in %s.\n", dir)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the directory for the pages")
	return c
}
