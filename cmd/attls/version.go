package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"attls/conformance"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return writeJSON(c.OutOrStdout(), map[string]string{"attls": conformance.StackVersion(), "go": runtime.Version(),
					"claims": conformance.ClaimsSchema, "recording": conformance.RecordingFormat})
			}
			fmt.Fprintf(c.OutOrStdout(), "attls %s (%s)\n", conformance.StackVersion(), runtime.Version())
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
