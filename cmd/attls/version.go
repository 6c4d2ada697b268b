package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"attls/conformance/claims"
	"attls/conformance/scenario"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return writeJSON(c.OutOrStdout(), map[string]string{"attls": claims.StackVersion(), "go": runtime.Version(),
					"claims": claims.ClaimsSchema, "recording": scenario.RecordingFormat})
			}
			fmt.Fprintf(c.OutOrStdout(), "attls %s (%s)\n", claims.StackVersion(), runtime.Version())
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
