package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"attls/conformance/peers"
)

type conformFlags struct {
	profiles                     []string
	filter                       string
	full, faults, list           bool
	parallel                     int
	jsonFile, junitFile, mbedtls string
}

func conformCommand() *cobra.Command {
	f := &conformFlags{}
	c := &cobra.Command{
		Use:   "conform",
		Short: "Let this stack and others meet and compare what both ends claim",
		Long: `conform makes connections between this stack and the patched mbedTLS that
conformance/mbedtls/build.sh builds, in both directions, under every profile that
both implement, and compares the claims of both ends: same suite and group, same
transcript hash, same scheme, same binder, same payload, same keys, and a verdict
where one is due. What a stack cannot do is skipped and the reason is said.

Without --full a selection is run that holds every pair of values of two
dimensions: pair of stacks, combination of profile, attester, model and
credential, cipher suite, group, HelloRetryRequest.`,
		Example: `  conformance/mbedtls/build.sh && attls conform
  attls conform --full --junit conform.xml
  attls conform --profile tls-attestation-07 --filter secp384r1 --list
  attls conform --faults --filter fail-`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringSliceVarP(&f.profiles, "profile", "p", nil, "profiles (default: those that our mbedTLS peer implements)")
	flags.StringVar(&f.filter, "filter", "", "run only cases whose name holds this text")
	flags.BoolVar(&f.full, "full", false, "every combination of all dimensions")
	flags.BoolVar(&f.faults, "faults", false, "also what our engine can do wrong and the other stack must reject")
	flags.BoolVar(&f.list, "list", false, "list the cases and run none")
	flags.IntVar(&f.parallel, "parallel", 2, "connections at a time")
	flags.StringVar(&f.jsonFile, "json", "", "write the results with both ends' claims to this file, as JSON")
	flags.StringVar(&f.junitFile, "junit", "", "write the results to this file, as JUnit's XML")
	flags.StringVar(&f.mbedtls, "mbedtls", "", "our mbedTLS peer (default: $ATTLS_MBEDTLS_PEER, or what build.sh built last)")
	return c
}

func (f *conformFlags) run(c *cobra.Command) error {
	o := peers.Defaults()
	o.Full, o.Faults = f.full, f.faults
	if f.profiles != nil {
		o.Profiles = f.profiles
	}
	cases, err := peers.Cases(o)
	if err != nil {
		return usage("%w", err)
	}
	cases = slices.DeleteFunc(cases, func(k peers.Case) bool { return !strings.Contains(k.String(), f.filter) })
	if f.list {
		for _, k := range cases {
			fmt.Fprintln(c.OutOrStdout(), k.String())
		}
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return unavailable(err)
	}
	if f.mbedtls == "" {
		f.mbedtls = peers.FindMbedTLS()
	}
	stacks := []peers.Peer{peers.InProcess{}, peers.Command{Path: self},
		peers.MbedTLS{Path: f.mbedtls, Evidence: self + " evidence serve"}}
	p := newPainter(c.ErrOrStderr())
	done, bad := 0, 0
	results := peers.RunAll(c.Context(), cases, stacks, f.parallel, func(r *peers.Result) {
		if done++; r.Status == peers.Failed {
			bad++
		}
		if p.terminal {
			fmt.Fprintf(p.w, "\r\x1b[K%d/%d, %d failed  %s", done, len(cases), bad, cut(r.String(), p.width-40))
		}
	})
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	if err := f.write(results); err != nil {
		return unavailable(err)
	}
	newPainter(c.OutOrStdout()).conform(results)
	if _, failures, _ := peers.Count(results); failures > 0 || c.Context().Err() != nil {
		return failed("%d of %d cases failed, %d were not run", failures, len(cases), len(cases)-len(results))
	}
	return nil
}

// write writes the files that were asked for.
func (f *conformFlags) write(results []peers.Result) error {
	if f.jsonFile != "" {
		file, err := os.Create(f.jsonFile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := writeJSON(file, results); err != nil {
			return err
		}
	}
	if f.junitFile == "" {
		return nil
	}
	file, err := os.Create(f.junitFile)
	if err != nil {
		return err
	}
	defer file.Close()
	return peers.WriteJUnit(file, results)
}

// conform prints what failed, why cases were skipped, and the counts.
func (p *painter) conform(results []peers.Result) {
	reasons := map[string]int{}
	var order []string
	for i := range results {
		r := &results[i]
		switch r.Status {
		case peers.Failed:
			p.line(p.in(red, "✗ "+r.String()))
			p.paragraph("    ", r.Reason)
		case peers.Skipped:
			if reasons[r.Reason]++; reasons[r.Reason] == 1 {
				order = append(order, r.Reason)
			}
		}
	}
	for _, reason := range order {
		p.line(p.in(faint, fmt.Sprintf("%d skipped: %s", reasons[reason], reason)))
	}
	passed, failures, skipped := peers.Count(results)
	p.line(fmt.Sprintf("%d passed, %d failed, %d skipped", passed, failures, skipped))
}
