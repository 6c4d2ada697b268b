package main

import (
	"io"

	"github.com/spf13/cobra"

	"attls/extensions/profile"
)

func headerCommand() *cobra.Command {
	var f profileFlags
	c := &cobra.Command{
		Use:   "header PROFILE",
		Short: "Write the code points of a profile as a C header",
		Example: `  attls profile header early-attestation-06 > early-attestation-06.h
  attls profile header tls-attestation-07 --code-point extensions.evidence_request=0xfe00`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(profile.Names(), cobra.ShellCompDirectiveDefault),
		RunE: func(c *cobra.Command, args []string) error {
			numbers, err := parseCodePoints(f.codePoints)
			if err != nil {
				return usage("%w", err)
			}
			p, err := profile.Load(args[0], profile.Options{Readings: f.readings, CodePoints: numbers})
			if err != nil {
				return usage("%w", err)
			}
			_, err = io.WriteString(c.OutOrStdout(), profile.Header(p))
			return err
		},
	}
	f.registerAdjustments(c)
	return c
}
