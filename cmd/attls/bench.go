package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"attls/conformance/bench"
)

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure handshakes and records beside crypto/tls and the bare cryptography",
		Long: `bench runs attls, crypto/tls and the primitives that neither can avoid side by
side in one process. The ratios hold on any machine; times alone say little.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var o bench.Options
	var asJSON bool
	measure := func(use, short string, run func(w io.Writer) error) *cobra.Command {
		m := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				if err := run(c.OutOrStdout()); err != nil {
					return failed("%w", err)
				}
				return nil
			}}
		m.Flags().IntVar(&o.Rounds, "rounds", 0, "rounds in which all take turns (0: 20)")
		m.Flags().IntVar(&o.Repeats, "repeats", 0, "runs of each in a round (0: 10)")
		m.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
		return m
	}
	c.AddCommand(
		measure("handshake", "Compare whole handshakes, both ends together", func(w io.Writer) error { return benchHandshake(w, o, asJSON) }),
		measure("record", "Compare the protection and opening of records", func(w io.Writer) error { return benchRecord(w, o, asJSON) }))
	return c
}

func benchHandshake(w io.Writer, o bench.Options, asJSON bool) error {
	var list []*bench.HandshakeResult
	for _, x := range bench.Cases() {
		r, err := bench.Handshake(x, o)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	if asJSON {
		return writeJSON(w, list)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "µs\tattls\tcrypto/tls\tprimitives\tto primitives\tto crypto/tls\tallocations above\t  handshake")
	for _, r := range list {
		fmt.Fprintf(t, "\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t  %s\n", r.Ours.Nanoseconds/1e3, r.CryptoTLS.Nanoseconds/1e3, r.Sum.Nanoseconds/1e3,
			r.ToPrimitives, r.ToCryptoTLS, r.AllocationsAbove, r.Case)
	}
	return t.Flush()
}

func benchRecord(w io.Writer, o bench.Options, asJSON bool) error {
	var list []*bench.RecordResult
	for _, x := range bench.RecordCases() {
		r, err := bench.Records(x, o)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	if asJSON {
		return writeJSON(w, list)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "octets\tattls MB/s\tcrypto/tls MB/s\tAEAD MB/s\tto crypto/tls\tto AEAD\tallocations\t  suite")
	for _, r := range list {
		theirs, ratio := "-", "-"
		if r.ToCryptoTLS > 0 {
			theirs, ratio = fmt.Sprintf("%.0f", r.CryptoTLS.OctetsPerSecond/1e6), fmt.Sprintf("%.2f", r.ToCryptoTLS)
		}
		fmt.Fprintf(t, "%d\t%.0f\t%s\t%.0f\t%s\t%.2f\t%.2f\t  %s\n", r.Octets, r.Ours.OctetsPerSecond/1e6, theirs, r.AEAD.OctetsPerSecond/1e6,
			ratio, r.ToAEAD, r.Ours.Allocations, r.Suite)
	}
	return t.Flush()
}
