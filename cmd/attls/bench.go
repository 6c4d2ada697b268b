package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"attls/conformance/bench"
	"attls/conformance/scenario"
	"attls/internal/columns"
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
		registerRounds(m, &o)
		m.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
		return m
	}
	handshakes := measure("handshake", "Compare whole handshakes, both ends together, full and resumed",
		func(w io.Writer) error {
			return benchHandshake(w, o, match, asJSON)
		})
	handshakes.Flags().StringVar(&match, "match", "", "only handshakes whose name contains this")
	c.AddCommand(handshakes,
		measure("record", "Compare the protection and opening of records", func(w io.Writer) error {
			return benchRecord(w, o, asJSON)
		}),
		benchAttestationCommand(),
		measure("sessions", "Count what tickets and keys add to a full handshake", func(w io.Writer) error {
			return benchSessions(w, o, asJSON)
		}),
		measure("later", "Compare an exported authenticator and an extended key update with their primitives",
			func(w io.Writer) error { return benchLater(w, o, asJSON) }),
		benchConnectionsCommand())
	return c
}

func registerRounds(c *cobra.Command, o *bench.Options) {
	c.Flags().IntVar(&o.Rounds, "rounds", 0, "rounds in which all take turns (0: 20)")
	c.Flags().IntVar(&o.Repeats, "repeats", 0, "runs of each in a round (0: 10)")
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
	t := newTable("attls µs", "crypto/tls µs", "primitives µs", "to primitives", "to crypto/tls",
		"allocations above", "handshake")
	for _, r := range list {
		t.Add(fixed(r.Ours.Nanoseconds/1e3, 0), fixed(r.CryptoTLS.Nanoseconds/1e3, 0), fixed(r.Sum.Nanoseconds/1e3, 0),
			fixed(r.ToPrimitives, 2), fixed(r.ToCryptoTLS, 2), fixed(r.AllocationsAbove, 0), fmt.Sprint(r.Case))
	}
	newPainter(w).table(t, everyRow(plain))
	return nil
}

// newTable begins a table of numbers, whose last column says what they are of.
func newTable(head ...string) *columns.Table {
	t := &columns.Table{Right: slices.Repeat([]bool{true}, len(head)-1)}
	t.Add(head...)
	return t
}

func fixed(x float64, decimals int) string { return strconv.FormatFloat(x, 'f', decimals, 64) }

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
	t := newTable("octets", "engine MB/s", "Conn MB/s", "crypto/tls MB/s", "AEAD MB/s", "engine to crypto/tls",
		"Conn to crypto/tls", "to AEAD", "allocations", "suite")
	for _, r := range list {
		theirs, ratio, conn := "-", "-", "-"
		if r.ToCryptoTLS > 0 {
			theirs, ratio, conn = fixed(r.CryptoTLS.OctetsPerSecond/1e6, 0), fixed(r.ToCryptoTLS, 2), fixed(r.ConnToCryptoTLS, 2)
		}
		t.Add(strconv.Itoa(r.Octets), fixed(r.Ours.OctetsPerSecond/1e6, 0), fixed(r.Conn.OctetsPerSecond/1e6, 0), theirs,
			fixed(r.AEAD.OctetsPerSecond/1e6, 0), ratio, conn, fixed(r.ToAEAD, 2), fixed(r.Ours.Allocations, 2),
			fmt.Sprint(r.Suite))
	}
	newPainter(w).table(t, everyRow(plain))
	return nil
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
	t := newTable("allocations without PSK", "with PSK", "of a ticket", "full handshake")
	for _, r := range list {
		t.Add(fixed(r.Without, 0), fixed(r.Enabled, 0), fixed(r.Ticket, 0), fmt.Sprint(r.Case))
	}
	newPainter(w).table(t, everyRow(plain))
	return nil
}

func benchLater(w io.Writer, o bench.Options, asJSON bool) error {
	list, err := bench.Later(o)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(w, list)
	}
	t := newTable("attls µs", "primitives µs", "to primitives", "allocations", "allocations above", "both ends together")
	for _, r := range list {
		t.Add(fixed(r.Ours.Nanoseconds/1e3, 0), fixed(r.Sum.Nanoseconds/1e3, 0), fixed(r.ToPrimitives, 2),
			fixed(r.Ours.Allocations, 0), fixed(r.AllocationsAbove, 0), r.Case)
	}
	newPainter(w).table(t, everyRow(plain))
	return nil
}

// connectionFlags are those of "bench connections".
type connectionFlags struct {
	inARow, atOnce, idle int
	atMost               float64
	profiles             string
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
connections of either end, next to those of crypto/tls and of TCP alone.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	c.Flags().IntVar(&f.inARow, "in-a-row", 10000, "connections one after the other")
	c.Flags().IntVar(&f.atOnce, "at-once", 1000, "connections at the same time")
	c.Flags().IntVar(&f.idle, "idle", 1000, "idle connections of each sort")
	c.Flags().Float64Var(&f.atMost, "at-most", 0,
		"fail if an idle connection takes more than so many times what crypto/tls takes (0: no bound)")
	c.Flags().StringVar(&f.profiles, "heap-profiles", "",
		"write a heap profile of each sort of idle connections to this directory")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	return c
}

// weigh weighs idle connections, and writes heap profiles if these are wanted.
func (f *connectionFlags) weigh() (*bench.MemoryResult, error) {
	if f.profiles == "" {
		return bench.Memory(f.idle, nil)
	}
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	defer func() { runtime.MemProfileRate = rate }()
	return bench.Memory(f.idle, func(sort string) error {
		w, err := os.Create(filepath.Join(f.profiles, strings.ReplaceAll(sort, " ", "-")+".pprof"))
		if err != nil {
			return err
		}
		return errors.Join(pprof.Lookup("heap").WriteTo(w, 0), w.Close())
	})
}

// connectionResult is what "bench connections" prints with --json.
type connectionResult struct {
	*bench.LoadResult
	ServerFailed bool                `json:"server_failed"`
	Idle         *bench.MemoryResult `json:"idle"`
}

func (f *connectionFlags) run(c *cobra.Command) error {
	if !(f.atMost >= 0) || math.IsInf(f.atMost, 1) {
		return usage("--at-most %v: a number that is 0 or larger is needed", f.atMost)
	}
	r := &connectionResult{}
	server, address, err := f.server(c.Context())
	if err != nil {
		return unavailable(err)
	}
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		return err
	}
	load := bench.Load{Address: address, Client: &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost",
		MinVersion: tls.VersionTLS13},
		InARow: f.inARow, AtOnce: f.atOnce, Progress: tenths(c.ErrOrStderr())}
	if r.LoadResult, err = load.Run(c.Context()); err != nil {
		server.Process.Kill()
		return failed("%w", err)
	}
	r.ServerFailed = server.Wait() != nil
	if r.Idle, err = f.weigh(); err != nil {
		return failed("%w", err)
	}
	if err := f.print(c.OutOrStdout(), r); err != nil {
		return err
	}
	if r.InARow.Lost > 0 || r.AtOnce.Lost > 0 || r.ServerFailed {
		return failed("connections were lost")
	}
	if worst := max(r.Idle.Whole, r.Idle.Client.Whole); f.atMost > 0 && worst > f.atMost {
		return failed("an idle connection takes %.2f times what one of crypto/tls takes; --at-most %v", worst, f.atMost)
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
	s := exec.CommandContext(ctx, self, "server", "--port", "0", "--profile", noProfile, "--echo", "--quiet",
		"--max-open", "0",
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
		_ = s.Wait()
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
	p := newPainter(w)
	for _, part := range []struct {
		name string
		s    bench.Served
	}{{"in a row", r.InARow}, {"at once", r.AtOnce}} {
		text := fmt.Sprintf("%s: %d connections, %d lost, %.1f s", part.name, part.s.Connections, part.s.Lost, part.s.Seconds)
		if part.s.Failure != "" {
			text += "; the first because " + part.s.Failure
		}
		p.line(text)
	}
	for _, end := range []struct {
		name string
		m    bench.EndMemory
	}{{"server", r.Idle.EndMemory}, {"client", r.Idle.Client}} {
		p.line(fmt.Sprintf("idle: %d connections of each sort; octets at a %s: attls %.0f, crypto/tls %.0f, TCP alone %.0f; "+
			"to crypto/tls %.2f, without TCP %.2f",
			r.Idle.Connections, end.name, end.m.Ours, end.m.CryptoTLS, end.m.TCP, end.m.Whole, end.m.ToCryptoTLS))
	}
	return nil
}
