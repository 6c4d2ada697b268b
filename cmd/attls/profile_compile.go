package main

import (
	"os"

	"github.com/spf13/cobra"

	"attls/extensions/profile"
)

func compileCommand() *cobra.Command {
	var f profileFlags
	var output string
	c := &cobra.Command{
		Use:   "compile PROFILE|FILE",
		Short: "Write a profile in the form that programs in other languages interpret",
		Long: `compile writes a profile with its bases merged, its readings settled and its code
points in force: structures as a table, the binder as trees, one record a line, and a
checksum. Comments, the order of keys, inheritance and the name of the file leave the
octets as they are. The format is docs/compiled-profile.md. Every command that takes a
profile takes the result as well, as the name of a file that ends in ` + profile.CompiledSuffix + `.`,
		Example: `  attls profile compile mine.yaml -o mine.compiled
  attls profile compile early-attestation-06 --reading hrr=b -o b.compiled
  attls demo --profile b.compiled`,
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
			text, err := p.Compiled()
			if err != nil {
				return failed("%w", err)
			}
			if output == "-" {
				_, err = c.OutOrStdout().Write(text)
				return unavailable(err)
			}
			return unavailable(os.WriteFile(output, text, 0o644))
		},
	}
	f.registerAdjustments(c)
	c.Flags().StringVarP(&output, "output", "o", "-", "file to write; -: standard output")
	return c
}
