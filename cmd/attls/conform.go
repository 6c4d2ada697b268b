package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls/conformance/peers"
)

type conformFlags struct {
	profiles, peers              []string
	listPeers                    bool
	filter, exact                string
	full, faults, list           bool
	parallel                     int
	timeout                      time.Duration
	jsonFile, junitFile, mbedtls string
	htmlFile, pcap               string
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
  attls conform --faults --filter fail-
  attls conform --list-peers
  attls conform --peer crypto/tls`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringSliceVarP(&f.profiles, "profile", "p", nil, "profiles (default: those that our mbedTLS peer implements)")
	flags.StringSliceVar(&f.peers, "peer", nil, "run only cases in which one of these stacks takes part (see --list-peers)")
	flags.BoolVar(&f.listPeers, "list-peers", false, "list the stacks, their versions and where they are, and run none")
	flags.StringVar(&f.filter, "filter", "", "run only cases whose name holds this text")
	flags.StringVar(&f.exact, "case", "", "run exactly the case of this name (see --list --full --faults)")
	flags.BoolVar(&f.full, "full", false, "every combination of all dimensions")
	flags.BoolVar(&f.faults, "faults", false, "also what our engine can do wrong and the other stack must reject")
	flags.BoolVar(&f.list, "list", false, "list the cases and run none")
	flags.IntVar(&f.parallel, "parallel", runtime.NumCPU(), "connections at a time")
	flags.DurationVar(&f.timeout, "timeout", peers.DefaultTimeout, "how long one case may take")
	flags.StringVar(&f.jsonFile, "json", "", "write the results with both ends' claims to this file, as JSON")
	flags.StringVar(&f.junitFile, "junit", "", "write the results to this file, as JUnit's XML")
	flags.StringVar(&f.htmlFile, "html", "", "write a page to look at to this file: matrix, messages, claims, rules that were broken")
	flags.StringVar(&f.pcap, "pcap", "", "write every connection to this directory as pcapng with its secrets, for attls decode, Wireshark and tshark")
	flags.StringVar(&f.mbedtls, "mbedtls", "", "our mbedTLS peer (default: $ATTLS_MBEDTLS_PEER, or what build.sh built last)")
	return c
}

func (f *conformFlags) run(c *cobra.Command) error {
	stacks, err := f.stacks()
	if err != nil {
		return err
	}
	if f.listPeers {
		newPainter(c.OutOrStdout()).stacks(c.Context(), stacks)
		return nil
	}
	o := peers.Defaults()
	o.Full, o.Faults = f.full || f.exact != "", f.faults || f.exact != ""
	if f.profiles != nil {
		o.Profiles, o.Plain = f.profiles, nil
	}
	cases, err := peers.Cases(o)
	if err != nil {
		return usage("%w", err)
	}
	cases = slices.DeleteFunc(cases, func(k peers.Case) bool {
		return !f.takesPart(&k) || !strings.Contains(k.String(), f.filter) || f.exact != "" && k.String() != f.exact
	})
	if f.exact != "" && len(cases) == 0 {
		return usage("no case is called %s", f.exact)
	}
	if f.list {
		for _, k := range cases {
			fmt.Fprintln(c.OutOrStdout(), k.String())
		}
		return nil
	}
	recorder, err := f.recorder()
	if err != nil {
		return unavailable(err)
	}
	began := time.Now()
	p := newPainter(c.ErrOrStderr())
	done, bad := 0, 0
	results := peers.RunAll(c.Context(), cases, stacks, peers.Settings{Parallel: f.parallel, Timeout: f.timeout, Recorder: recorder}, func(r *peers.Result) {
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
	if err := errors.Join(f.write(results), f.page(results, began)); err != nil {
		return unavailable(err)
	}
	newPainter(c.OutOrStdout()).conform(results)
	if _, failures, _ := peers.Count(results); failures > 0 || c.Context().Err() != nil {
		return failed("%d of %d cases failed, %d were not run", failures, len(cases), len(cases)-len(results))
	}
	return nil
}

// recorder records where a page or captures are wanted.
func (f *conformFlags) recorder() (*peers.Recorder, error) {
	if f.pcap == "" && f.htmlFile == "" {
		return nil, nil
	}
	if f.pcap != "" {
		if err := os.MkdirAll(f.pcap, 0o700); err != nil {
			return nil, err
		}
	}
	return &peers.Recorder{Directory: f.pcap}, nil
}

// page writes the page of --html.
func (f *conformFlags) page(results []peers.Result, began time.Time) error {
	if f.htmlFile == "" {
		return nil
	}
	r := peers.Report("Interoperation of attested TLS 1.3", results, func(r *peers.Result) string {
		return "attls conform --case '" + r.String() + "' --html run.html --pcap ."
	})
	r.Began, r.Seconds = began, time.Since(began).Seconds()
	file, err := os.Create(f.htmlFile)
	if err != nil {
		return err
	}
	return errors.Join(r.WriteHTML(file), file.Close())
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
		case peers.Passed:
		default:
			if reasons[r.Reason]++; reasons[r.Reason] == 1 {
				order = append(order, r.Reason)
			}
		}
	}
	for _, reason := range order {
		p.line(p.in(faint, fmt.Sprintf("%d: %s", reasons[reason], reason)))
	}
	passed, failures, skipped := peers.Count(results)
	p.line(fmt.Sprintf("%d passed, %d failed, %d skipped", passed, failures, skipped))
}
