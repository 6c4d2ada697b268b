package main

import (
	"github.com/spf13/cobra"

	"attls/conformance/wireshark"
	"attls/extensions/profile"
)

func dissectorCommand() *cobra.Command {
	var f profileFlags
	var output string
	c := &cobra.Command{
		Use:   "dissector PROFILE|FILE",
		Short: "Write a Wireshark dissector of a profile",
		Long: `dissector writes a script in Lua with which Wireshark and tshark (4.0 and later) show
what a profile adds to TLS in decrypted captures: extensions and messages by field name,
offers, choices, nonces, payloads with the CMW opened, alerts and code points. Everything
can be filtered, such as attls.server_attester.choice. See docs/wireshark.md.`,
		Example: `  attls profile dissector early-attestation-06 -o attls.lua
  attls demo -q --pcap run.pcapng
  tshark -r run.pcapng -X lua_script:attls.lua -V -Y attls`,
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
			script, err := wireshark.Dissector(p)
			if err != nil {
				return failed("%w", err)
			}
			return writeOutput(c, output, script)
		},
	}
	f.registerAdjustments(c)
	c.Flags().StringVarP(&output, "output", "o", "-", "file to write; -: standard output")
	return c
}
