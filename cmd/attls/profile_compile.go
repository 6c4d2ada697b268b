package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"attls/conformance/vectors"
	"attls/extensions/profile"
)

func compileCommand() *cobra.Command {
	var f profileFlags
	var output, directory string
	c := &cobra.Command{
		Use:   "compile PROFILE|FILE",
		Short: "Write a profile in the form that programs in other languages interpret",
		Long: `compile writes a profile with its bases merged, its readings settled and its code
points in force: structures as a table, the binder as trees, one record a line, and a
checksum. Comments, the order of keys, inheritance and the name of the file leave the
octets as they are. The format is docs/compiled-profile.md. Every command that takes a
profile takes the result as well, as the name of a file that ends in ` + profile.CompiledSuffix + `.

With --vectors it also writes test vectors for another implementation of the profile:
a file of JSON for each role, model and credential, with and without HelloRetryRequest,
with messages, secrets, binders and every value on the way to them, and one for each
fault that must be rejected, with the alert. The same profile gives the same octets.`,
		Example: `  attls profile compile mine.yaml -o mine.compiled
  attls profile compile early-attestation-06 --reading hrr=b -o b.compiled
  attls demo --profile b.compiled
  attls profile compile mine.yaml -o mine.compiled --vectors vectors`,
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
			if directory != "" {
				n, err := vectors.Write(directory, p)
				if err != nil {
					return unavailable(err)
				}
				fmt.Fprintf(c.ErrOrStderr(), "%s in %s\n", count(n, "vector"), directory)
			}
			return writeOutput(c, output, text)
		},
	}
	f.registerAdjustments(c)
	c.Flags().StringVarP(&output, "output", "o", "-", "file to write; -: standard output")
	c.Flags().StringVar(&directory, "vectors", "", "also write test vectors to this `directory`")
	return c
}

// writeOutput writes the file of --output; "-" is standard output.
func writeOutput(c *cobra.Command, name string, text []byte) error {
	if name == "-" {
		_, err := c.OutOrStdout().Write(text)
		return unavailable(err)
	}
	return unavailable(os.WriteFile(name, text, 0o644))
}
