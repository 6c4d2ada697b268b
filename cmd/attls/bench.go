package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"attls/conformance/bench"
	"attls/conformance/scenario"
)

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure handshakes and records, compared with crypto/tls and the bare cryptography",
		Long: `bench runs attls, crypto/tls and the primitives that neither can avoid side by
side in one process. The ratios hold on any machine; times alone say little.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var o bench.Options
	var asJSON bool
	var match string
	measure := func(use, short string, run func(w io.Writer) error) *cobra.Command {
		m := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				err := run(c.OutOrStdout())
				if coded := (*exitError)(nil); err == nil || errors.As(err, &coded) {
					return err
				}
				return failed("%w", err)
			}}
		m.Flags().IntVar(&o.Rounds, "rounds", 0, "rounds in which all take turns (0: 20)")
		m.Flags().IntVar(&o.Repeats, "repeats", 0, "runs of each in a round (0: 10)")
		m.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
		return m
	}
	handshakes := measure("handshake", "Compare whole handshakes, both ends together, full and resumed", func(w io.Writer) error {
		return benchHandshake(w, o, match, asJSON)
	})
	handshakes.Flags().StringVar(&match, "match", "", "only handshakes whose name contains this")
	c.AddCommand(handshakes,
		measure("record", "Compare the protection and opening of records", func(w io.Writer) error { return benchRecord(w, o, asJSON) }),
		measure("attestation", "Tell what attestation adds to a handshake", func(w io.Writer) error { return benchAttestation(w, o, asJSON) }),
		measure("sessions", "Count what tickets and keys add to a full handshake", func(w io.Writer) error { return benchSessions(w, o, asJSON) }),
		benchConnectionsCommand())
	return c
}

func benchHandshake(w io.Writer, o bench.Options, match string, asJSON bool) error {
	var list []*bench.HandshakeResult
	for _, x := range bench.Cases() {
		if !strings.Contains(x.Name, match) {
			continue
		}
		r, err := bench.Handshake(x, o)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	if len(list) == 0 {
		return usage("no handshake has a name with %q", match)
	}
	if asJSON {
		return writeJSON(w, list)
	}
	t := newTable(w, "µs\tattls\tcrypto/tls\tprimitives\tto primitives\tto crypto/tls\tallocations above\t  handshake")
	for _, r := range list {
		fmt.Fprintf(t, "\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t  %s\n", r.Ours.Nanoseconds/1e3, r.CryptoTLS.Nanoseconds/1e3, r.Sum.Nanoseconds/1e3,
			r.ToPrimitives, r.ToCryptoTLS, r.AllocationsAbove, r.Case)
	}
	return t.Flush()
}

// newTable begins a table that is aligned to the right.
func newTable(w io.Writer, head string) *tabwriter.Writer {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, head)
	return t
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
	t := newTable(w, "octets\tengine MB/s\tConn MB/s\tcrypto/tls MB/s\tAEAD MB/s\tengine to crypto/tls\tConn to crypto/tls\tto AEAD\tallocations\t  suite")
	for _, r := range list {
		theirs, ratio, conn := "-", "-", "-"
		if r.ToCryptoTLS > 0 {
			theirs, ratio = fmt.Sprintf("%.0f", r.CryptoTLS.OctetsPerSecond/1e6), fmt.Sprintf("%.2f", r.ToCryptoTLS)
			conn = fmt.Sprintf("%.2f", r.ConnToCryptoTLS)
		}
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%s\t%.0f\t%s\t%s\t%.2f\t%.2f\t  %s\n", r.Octets, r.Ours.OctetsPerSecond/1e6, r.Conn.OctetsPerSecond/1e6, theirs,
			r.AEAD.OctetsPerSecond/1e6, ratio, conn, r.ToAEAD, r.Ours.Allocations, r.Suite)
	}
	return t.Flush()
}

func benchAttestation(w io.Writer, o bench.Options, asJSON bool) error {
	var list []*bench.AttestationResult
	for _, x := range bench.AttestationCases() {
		r, err := bench.Attestation(x, o)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	if asJSON {
		return writeJSON(w, list)
	}
	t := newTable(w, "µs\twith\twithout\tadded\tbinder\tto plain\tallocations added\t  attester")
	for _, r := range list {
		fmt.Fprintf(t, "\t%.0f\t%.0f\t%.1f\t%.1f\t%.2f\t%.0f\t  %s\n", r.With.Nanoseconds/1e3, r.Without.Nanoseconds/1e3, r.Added.Nanoseconds/1e3,
			r.Binder.Nanoseconds/1e3, r.ToPlain, r.Added.Allocations, r.Case)
	}
	return t.Flush()
}

func benchSessions(w io.Writer, o bench.Options, asJSON bool) error {
	var list []*bench.SessionResult
	for _, x := range bench.Cases() {
		if x.Resumed {
			continue
		}
		r, err := bench.Sessions(x, o)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	if asJSON {
		return writeJSON(w, list)
	}
	t := newTable(w, "allocations\twithout PSK\twith PSK\ta ticket\t  full handshake")
	for _, r := range list {
		fmt.Fprintf(t, "\t%.0f\t%.0f\t%.0f\t  %s\n", r.Without, r.Enabled, r.Ticket, r.Case)
	}
	return t.Flush()
}

// connectionFlags are those of "bench connections".
type connectionFlags struct {
	inARow, atOnce, idle int
	asJSON               bool
}

func benchConnectionsCommand() *cobra.Command {
	f := &connectionFlags{}
	c := &cobra.Command{
		Use:   "connections",
		Short: "Make many connections to attls server, and weigh idle ones",
		Long: `connections starts "attls server" as a process of its own on the loopback
interface and lets crypto/tls make many connections to it, one after the other and
then all at the same time; each is to be established, to carry data both ways and
to be closed. It fails when one is lost at either end. Afterwards it weighs idle
connections at the server's end, next to those of crypto/tls.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	c.Flags().IntVar(&f.inARow, "in-a-row", 10000, "connections one after the other")
	c.Flags().IntVar(&f.atOnce, "at-once", 1000, "connections at the same time")
	c.Flags().IntVar(&f.idle, "idle", 1000, "idle connections of each sort")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	return c
}

// connectionResult is what "bench connections" prints with --json.
type connectionResult struct {
	*bench.LoadResult
	ServerFailed bool                `json:"server_failed"`
	Idle         *bench.MemoryResult `json:"idle"`
}

func (f *connectionFlags) run(c *cobra.Command) error {
	r := &connectionResult{}
	server, address, err := f.server(c.Context())
	if err != nil {
		return unavailable(err)
	}
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		return err
	}
	load := bench.Load{Address: address, Client: &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS13},
		InARow: f.inARow, AtOnce: f.atOnce, Progress: tenths(c.ErrOrStderr())}
	if r.LoadResult, err = load.Run(c.Context()); err != nil {
		server.Process.Kill()
		return failed("%w", err)
	}
	r.ServerFailed = server.Wait() != nil
	if r.Idle, err = bench.Memory(f.idle); err != nil {
		return failed("%w", err)
	}
	if err := f.print(c.OutOrStdout(), r); err != nil {
		return err
	}
	if r.InARow.Lost > 0 || r.AtOnce.Lost > 0 || r.ServerFailed {
		return failed("connections were lost")
	}
	return nil
}

// server starts "attls server" for as many connections as there will be; it ends
// by itself, and with an error if one failed.
func (f *connectionFlags) server(ctx context.Context) (*exec.Cmd, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	s := exec.CommandContext(ctx, self, "server", "--port", "0", "--profile", noProfile, "--echo", "--quiet", "--max-open", "0",
		"--max-connections", strconv.Itoa(f.inARow+f.atOnce))
	r, err := s.StderrPipe()
	if err != nil {
		return nil, "", err
	}
	if err := s.Start(); err != nil {
		return nil, "", err
	}
	first, err := bufio.NewReader(r).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(first), "listening on ")
	if err != nil || !ok {
		s.Process.Kill()
		s.Wait()
		return nil, "", fmt.Errorf("attls server says %q", first)
	}
	return s, address, nil
}

// tenths prints at every tenth how far it is.
func tenths(w io.Writer) func(part string, done, total int) {
	return func(part string, done, total int) {
		if step := max(1, total/10); done%step == 0 {
			fmt.Fprintf(w, "%s: %d of %d\n", part, done, total)
		}
	}
}

func (f *connectionFlags) print(w io.Writer, r *connectionResult) error {
	if f.asJSON {
		return writeJSON(w, r)
	}
	for _, part := range []struct {
		name string
		s    bench.Served
	}{{"in a row", r.InARow}, {"at once", r.AtOnce}} {
		fmt.Fprintf(w, "%s: %d connections, %d lost, %.1f s", part.name, part.s.Connections, part.s.Lost, part.s.Seconds)
		if part.s.Failure != "" {
			fmt.Fprintf(w, "; the first because %s", part.s.Failure)
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintf(w, "idle: %d connections of each sort; octets at a server: attls %.0f, crypto/tls %.0f, TCP alone %.0f; to crypto/tls %.2f\n",
		r.Idle.Connections, r.Idle.Ours, r.Idle.CryptoTLS, r.Idle.TCP, r.Idle.ToCryptoTLS)
	return err
}
