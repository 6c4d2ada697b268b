package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/authenticators"
	"attls/conformance/peers"
	"attls/internal/columns"
)

// authenticatorsFlags are those of "attls conform authenticators".
type authenticatorsFlags struct {
	peers           []string
	filter          string
	exporters, json string
	mbedtls         string
	list            bool
	timeout         time.Duration
}

func conformAuthenticators() *cobra.Command {
	f := &authenticatorsFlags{}
	c := &cobra.Command{
		Use:   "authenticators",
		Short: "Run exported authenticators (RFC 9261) over connections of several stacks",
		Long: `authenticators makes connections on loopback between each two of the stacks: attls,
crypto/tls, OpenSSL, GnuTLS, NSS and mbedTLS. Over each it has both ends ask, answer and refuse,
and gives them what an attacker would make of it; requests and authenticators travel in
the connection itself. Both ends have to say the same of what is good, and refuse the
rest for the reason that is due. Where both stacks have it, their keys are updated too
(docs/extended-key-update.md).

OpenSSL, GnuTLS and NSS lend the exporters of their connections through programs that
conformance/exporters/build.sh builds, and attls makes and checks the authenticators over
them. The mbedTLS peer (conformance/mbedtls/build.sh) has an RFC 9261 of its own, in C.
What is not built is skipped.`,
		Example: `  conformance/exporters/build.sh && attls conform authenticators
  attls conform authenticators --peer nss
  attls conform authenticators --filter other-connection --json authenticators.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.peers, "peer", nil, "run only connections in which one of these `stacks` takes part")
	flags.StringVar(&f.filter, "filter", "", "run only cases whose name holds this `text`")
	flags.StringVar(&f.exporters, "exporters", "",
		"`directory` of the programs that lend exporters (default: $ATTLS_EXPORTERS, or what build.sh built last)")
	flags.StringVar(&f.mbedtls, "mbedtls", "",
		"our mbedTLS peer, a `program` (default: $ATTLS_MBEDTLS_PEER, or what build.sh built last)")
	flags.BoolVar(&f.list, "list", false, "list the cases and run none")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "the longest `time` that two stacks may take with a suite")
	flags.StringVar(&f.json, "json", "", "write the results to this `file`, as JSON")
	return c
}

// choice is what the flags choose.
func (f *authenticatorsFlags) choice() (*authenticators.Choice, error) {
	directory := f.exporters
	if directory == "" {
		directory = authenticators.FindExporters()
	}
	peer := f.mbedtls
	if peer == "" {
		peer = peers.FindMbedTLS()
	}
	c := &authenticators.Choice{Stacks: slices.Concat(authenticators.Own(), authenticators.Lenders(directory),
		[]authenticators.Stack{authenticators.MbedTLS(peer)}), Timeout: f.timeout}
	for _, name := range f.peers {
		i := slices.IndexFunc(c.Stacks, func(s authenticators.Stack) bool { return s.Name() == name })
		if i < 0 {
			return nil, usage("--peer: there is no stack %s", name)
		}
		if missing := c.Stacks[i].Missing(); missing != "" {
			return nil, unavailable(fmt.Errorf("%s: %s", name, missing))
		}
	}
	c.Pair = func(client, server string) bool {
		return len(f.peers) == 0 || slices.Contains(f.peers, client) || slices.Contains(f.peers, server)
	}
	c.Chosen = func(r *authenticators.Result) bool { return strings.Contains(r.Name(), f.filter) }
	return c, nil
}

func (f *authenticatorsFlags) run(c *cobra.Command) error {
	choice, err := f.choice()
	if err != nil {
		return err
	}
	list := choice.List()
	if len(list) == 0 {
		return usage("these flags choose no case; --list shows which there are")
	}
	p := newPainter(c.OutOrStdout())
	if f.list {
		for i := range list {
			p.flow(p.limit, "  ", list[i].Name())
		}
		return nil
	}
	progress := newProgress(c.ErrOrStderr(), len(list), "failed")
	choice.Each = func(r *authenticators.Result) { progress.step(r.Name(), r.Outcome == authenticators.Failed) }
	r := authenticators.Run(c.Context(), choice)
	progress.clear()
	if f.json != "" {
		if err := writeFile(f.json, r); err != nil {
			return unavailable(err)
		}
	}
	p.authenticators(r)
	switch {
	case c.Context().Err() != nil:
		return c.Context().Err()
	case r.Count(authenticators.Failed) > 0:
		return failed("%d cases failed", r.Count(authenticators.Failed))
	case r.Count(authenticators.Passed) == 0:
		return failed("no case was run")
	}
	return nil
}

// writeFile writes a value to a file, as JSON.
func writeFile(name string, value any) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(writeJSON(file, value), file.Close())
}

// authenticators prints the stacks, what failed, and a table of clients and servers.
func (p *painter) authenticators(r *authenticators.Report) {
	for _, s := range r.Stacks {
		if s.Missing != "" {
			p.line(p.in(faint, s.Name+": skipped: "+s.Missing))
			continue
		}
		p.line(s.Name, ": ", s.Version)
	}
	p.line()
	type pair struct{ client, server string }
	counts := map[pair]map[string]int{}
	var order []pair
	for i := range r.Results {
		k := &r.Results[i]
		at := pair{k.Client, k.Server}
		if counts[at] == nil {
			counts[at] = map[string]int{}
			order = append(order, at)
		}
		counts[at][k.Outcome]++
		if k.Outcome == authenticators.Failed {
			p.line(p.in(red, "✗ "+k.Name()))
			p.paragraph("    ", k.Reason)
		}
	}
	t := columns.Table{Rows: [][]string{{"CLIENT", "SERVER", "PASSED", "FAILED", "SKIPPED"}}}
	for _, at := range order {
		cells := []string{at.client, at.server}
		for _, outcome := range []string{authenticators.Passed, authenticators.Failed, authenticators.Skipped} {
			number := "·"
			if n := counts[at][outcome]; n > 0 {
				number = strconv.Itoa(n)
			}
			cells = append(cells, number)
		}
		t.Add(cells...)
	}
	p.table(&t, everyRow(plain))
	p.line()
	p.line(attls.Printable(fmt.Sprintf("%d passed, %d failed, %d skipped", r.Count(authenticators.Passed),
		r.Count(authenticators.Failed), r.Count(authenticators.Skipped))))
}
