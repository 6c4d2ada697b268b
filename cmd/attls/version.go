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
		Long: `Print the release, the commit where the build knows it, the version of Go and the
system. A build knows its commit if it was made by "make release" or "make build", or by
"go build -buildvcs=true" in the repository.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			commit := claims.Commit()
			if asJSON {
				return writeJSON(c.OutOrStdout(), map[string]string{"release": claims.Release, "commit": commit,
					"attls": claims.StackVersion(), "go": runtime.Version(), "system": runtime.GOOS + "/" + runtime.GOARCH,
					"claims": claims.ClaimsSchema, "recording": scenario.RecordingFormat})
			}
			if commit == "" {
				commit = "unknown"
			}
			fmt.Fprintf(c.OutOrStdout(), "attls %s, commit %s (%s %s/%s)\n", claims.Release, commit,
				runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
