package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/adapter"
	"attls/conformance/claims"
	"attls/conformance/placement"
	"attls/conformance/scenario"
	"attls/fuzz/learn"
	"attls/handshake"
	"attls/internal/columns"
)

type fuzzLearnFlags struct {
	peer, role, name, adapter   string
	clientCertificate           bool
	alphabet                    []string
	profile, attester           string
	quiet                       time.Duration
	byTime                      bool // --quiet was given
	parallel                    int
	o                           learn.Options
	jsonFile, dot, svg, differs string
	answers                     string
}

func fuzzLearn() *cobra.Command {
	f := &fuzzLearnFlags{}
	c := &cobra.Command{
		Use:   "learn",
		Short: "Learn the state machine of a peer, and compare it with another",
		Long: `learn sends messages of TLS 1.3 in any order, with the keys that go with them, and makes
a state machine of the answers: L*, checked with the words of the W-method for one more
state and with random words. The peer is attls, in memory; a stack that an adapter
describes, whose programs are started; a server by its address; or, with --role client,
a client that connects to listen:ADDRESS again and again.

--alphabet adds authentication after the handshake (pha) and connections that follow one
another, with tickets and pre-shared keys (tickets). --profile adds what a profile puts
into messages, offers, choices, nonces and Evidence, for one attester. A name with a plus
is a message that has more in it.

It exits 1 if the peer answers the same word in two ways, and shows both, or if --diff
finds a difference.`,
		Example: `  attls fuzz learn --role server --svg server.svg
  attls fuzz learn --peer openssl --role client --dot openssl.dot
  attls fuzz learn --adapter mine.yaml --role server
  attls fuzz learn --peer 127.0.0.1:4433 --quiet 20ms --json openssl.json
  attls fuzz learn --role server --diff openssl.json
  attls fuzz learn --role server --alphabet pha,tickets
  attls fuzz learn --role client --profile tls-attestation-07 --attester server`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringVar(&f.peer, "peer", "attls",
		"attls, the name of an adapter, the `address` of a server, or listen:ADDRESS for a client")
	flags.StringVar(&f.adapter, "adapter", "", "the peer is the stack that this `file` describes")
	flags.StringVar(&f.role, "role", "server", "what the peer is: server or client")
	flags.StringVar(&f.name, "server-name", "", "server_name that a server is asked for")
	flags.BoolVar(&f.clientCertificate, "client-certificate", false,
		"let the server of attls require a client certificate")
	flags.StringSliceVar(&f.alphabet, "alphabet", nil, "more that is sent: pha, tickets")
	flags.StringVarP(&f.profile, "profile", "p", "", "the attestation of this profile is sent as well: an id or a `file`")
	flags.StringVarP(&f.attester, "attester", "a", "server", "with --profile: who attests, client or server")
	flags.DurationVar(&f.quiet, "quiet", 50*time.Millisecond,
		"time without octets after which a peer has answered, instead of watching its process")
	flags.IntVar(&f.parallel, "parallel", 8,
		"how many programs of a stack answer words at the same time")
	flags.StringVar(&f.answers, "answers", "",
		"keep the words that were answered in a `file`, and begin with those that are in it")
	flags.Uint64Var(&f.o.Seed, "seed", 1, "seed of the random words")
	flags.IntVar(&f.o.Words, "words", 1000, "random words that must agree")
	flags.IntVar(&f.o.Repeat, "repeat", 5,
		"how often a word is asked again that was answered in two ways; most answers count, and 0 ends the run")
	flags.BoolVar(&f.o.Shallow, "shallow", false, "leave out the words of the W-method, which are most of the work")
	flags.StringVar(&f.jsonFile, "json", "", "write the machine as JSON to a `file`")
	flags.StringVar(&f.dot, "dot", "", "write the machine for Graphviz to a `file`")
	flags.StringVar(&f.svg, "svg", "", "write a picture of the machine to a `file`; with --diff, what differs is red")
	flags.StringVar(&f.differs, "diff", "", "compare with the machine in a JSON `file`")
	return c
}

// maxParallel bounds how many programs are started at the same time.
const maxParallel = 64

// learnPatience is how long a client may need to connect once more.
const learnPatience = 30 * time.Second

// spoken is the alphabet.
func (f *fuzzLearnFlags) spoken(c *cobra.Command) (a learn.Alphabet, err error) {
	for _, name := range f.alphabet {
		switch name {
		case "pha":
			a.PostHandshake = true
		case "tickets":
			a.Resumption = true
		default:
			return a, usage("--alphabet %q: there are pha and tickets", attls.Printable(name))
		}
	}
	if f.profile == "" {
		if c.Flags().Changed("attester") {
			return a, usage("--attester goes with --profile")
		}
		return a, nil
	}
	attester, ok := roleNamed(f.attester)
	if !ok {
		return a, usage("--attester %q: it is client or server", attls.Printable(f.attester))
	}
	a.Attestation, err = learn.NewAttestation(f.profile, attester)
	return a, err
}

func roleNamed(name string) (attls.Role, bool) {
	for _, r := range attls.Roles() {
		if r.String() == name {
			return r, true
		}
	}
	return attls.RoleClient, false
}

// speakers makes mappers, for which a peer has answered that is quiet for so long.
type speakers func(quiet time.Duration) []*learn.Mapper

// check refuses flags that cannot be meant.
func (f *fuzzLearnFlags) check() error {
	switch {
	case f.o.Repeat < 0 || f.o.Repeat > 99:
		return usage("--repeat %d: it is from 0 to 99", f.o.Repeat)
	case f.o.Words < 1:
		return usage("--words %d: at least one has to agree", f.o.Words)
	case f.quiet <= 0 || f.quiet > learnPatience:
		return usage("--quiet %v: it is more than 0 and at most %v", f.quiet, learnPatience)
	case f.parallel < 1 || f.parallel > maxParallel:
		return usage("--parallel %d: it is from 1 to %d", f.parallel, maxParallel)
	}
	return nil
}

func (f *fuzzLearnFlags) speakers(c *cobra.Command) (speakers, func(), error) {
	role, ok := roleNamed(f.role)
	if !ok {
		return nil, nil, usage("--role %q: it is server or client", attls.Printable(f.role))
	}
	if err := f.check(); err != nil {
		return nil, nil, err
	}
	f.byTime = c.Flags().Changed("quiet")
	alphabet, err := f.spoken(c)
	if err != nil {
		return nil, nil, err
	}
	name := f.name
	one := func(dial func(w learn.Wait) learn.Dialer) speakers {
		return func(quiet time.Duration) []*learn.Mapper {
			return []*learn.Mapper{learn.NewMapper(role, name, dial(f.wait(quiet)), alphabet)}
		}
	}
	if stack := (fuzzPeerFlags{adapter: f.adapter, role: f.role}); stack.adapter != "" || f.named() {
		if stack.adapter == "" {
			stack.peer = f.peer
		}
		if name == "" {
			name = "localhost" // as in the certificate that the programs are given
		}
		credential, err := trusted(name)
		if err != nil {
			return nil, nil, unavailable(err)
		}
		dial, done, err := f.started(c.Context(), &stack, role)
		return func(quiet time.Duration) (list []*learn.Mapper) {
			for i := range f.parallel {
				m := learn.NewMapper(role, name, dial(i, quiet), alphabet)
				m.Show(credential)
				list = append(list, m)
			}
			return list
		}, done, err
	}
	address, listens := strings.CutPrefix(f.peer, "listen:")
	switch {
	case f.peer == "attls":
		alphabet.Asks = role == attls.RoleServer
		asks := handshake.NoClientCertificate
		if f.clientCertificate {
			asks = handshake.RequireClientCertificate
		}
		return one(func(learn.Wait) learn.Dialer {
			return learn.Engine(role, learn.Own(role, alphabet, asks))
		}), func() {}, nil
	case listens != (role == attls.RoleClient):
		return nil, nil, usage("a client is learned with --peer listen:ADDRESS, and a server with its address")
	case listens:
		l, err := listenLocally(address)
		if err != nil {
			return nil, nil, err
		}
		return one(func(w learn.Wait) learn.Dialer { return learn.Listen(l, w, learnPatience) }),
			func() { _ = l.Close() }, nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, nil, usage("--peer: %v", err)
	}
	return one(func(w learn.Wait) learn.Dialer { return learn.Dial(address, w) }), func() {}, nil
}

// trusted is a credential under the authority that the programs of an adapter are given.
func trusted(name string) (*handshake.Credential, error) {
	authority, err := scenario.NewFixedAuthority()
	if err != nil {
		return nil, err
	}
	return authority.Issue(scenario.KeyP256, name)
}

// listenLocally listens for clients of this machine: the keys that answer them are public.
func listenLocally(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usage("--peer listen:%s: %v", attls.Printable(address), err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usage("--peer listen:%s: a loopback address is listened at, such as 127.0.0.1:4433",
			attls.Printable(address))
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, unavailable(err)
	}
	return l, nil
}

func (f *fuzzLearnFlags) wait(quiet time.Duration) learn.Wait {
	return learn.Wait{Quiet: quiet, ByTime: f.byTime}
}

// maxQuiet bounds how long a peer has to be quiet, and patienter is how many times longer that
// is where it answered in two ways: on a busy machine it may be late.
const (
	maxQuiet  = time.Second
	patienter = 4
)

// learn learns the machine. A peer that is not watched and answered in two ways is asked again with more time.
func (f *fuzzLearnFlags) learn(ctx context.Context, make speakers,
	w io.Writer) (*learn.Machine, learn.Statistics, error) {
	for quiet := f.quiet; ; quiet *= patienter {
		list := make(quiet)
		o := f.o
		for _, m := range list[1:] {
			o.Others = append(o.Others, m)
		}
		if o.Answers == nil {
			o.Answers = learn.NewAnswers(list[0].Inputs())
		}
		if f.answers != "" {
			f.o.Answers = o.Answers
		}
		m, stats, err := learn.Learn(ctx, list[0], o)
		for _, m := range list {
			m.Close()
		}
		var twice *learn.Nondeterminism
		if !errors.As(err, &twice) || f.peer == "attls" || list[0].Watched() || quiet*patienter > maxQuiet {
			return m, stats, err
		}
		f.o.Answers = nil
		fmt.Fprintf(w, "%v; asking again, with --quiet %v\n", err, quiet*patienter)
	}
}

// named reports whether --peer is the name of an adapter with programs, or of crypto/tls.
func (f *fuzzLearnFlags) named() bool {
	return f.peer != "attls" && slices.ContainsFunc(adapter.Builtin(), func(a *adapter.Adapter) bool {
		return a.Name == f.peer
	})
}

// started makes dialers of a stack whose programs are started, each with programs of its own.
func (f *fuzzLearnFlags) started(ctx context.Context, stack *fuzzPeerFlags,
	role attls.Role) (dial func(i int, quiet time.Duration) learn.Dialer, done func(), err error) {
	remote, over, err := stack.remote(ctx)
	if err != nil {
		return nil, nil, err
	}
	f.peer = remote.String()
	connectors := make([]*placement.Connector, f.parallel)
	for i := range connectors {
		connectors[i] = placement.NewConnector(remote.Stack, learnPatience)
	}
	return func(i int, quiet time.Duration) learn.Dialer {
			connectors[i].Over(role, true) // it may be stuck
			w := f.wait(quiet)
			w.Died = func() string {
				_, crash := connectors[i].Ended(role, learnReaping)
				if crash != "" {
					return "crash: " + crash
				}
				return ""
			}
			return learn.Over(func() (net.Conn, error) { return opened(ctx, connectors[i], role) }, w)
		}, func() {
			for _, c := range connectors {
				c.Close()
			}
			over()
		}, nil
}

const (
	learnReaping = 50 * time.Millisecond // for the end of a program that has closed its connection
	learnTries   = 3                     // to start a program that does not connect, or does not accept
)

// opened makes a connection with a program, which is started again if it does not connect.
func opened(ctx context.Context, connector *placement.Connector, role attls.Role) (c net.Conn, err error) {
	connector.Over(role, false)
	for range learnTries {
		var absent *placement.NotConnected
		if c, err = connector.Open(ctx, role); !errors.As(err, &absent) {
			return c, err
		}
	}
	return c, err
}

// of says whose answers are in a file.
func (f *fuzzLearnFlags) of() string {
	list := []string{f.peer, "as", f.role}
	for _, x := range []struct {
		on   bool
		text string
	}{{f.name != "", "asked for " + f.name}, {f.clientCertificate, "which requires a certificate"},
		{true, "by attls " + claims.StackVersion()},
		{f.profile != "", "under " + f.profile + " with the attester " + f.attester}} {
		if x.on {
			list = append(list, x.text)
		}
	}
	return strings.Join(list, " ")
}

// readAnswers reads those of an earlier run, if there was one.
func (f *fuzzLearnFlags) readAnswers(inputs []string) error {
	if f.answers == "" {
		return nil
	}
	file, err := os.Open(f.answers)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	f.o.Answers, err = learn.ReadAnswers(file, f.of(), inputs)
	_ = file.Close()
	if err != nil {
		return unavailable(fmt.Errorf("%s: %w", f.answers, err))
	}
	return nil
}

// keepAnswers writes them: an interrupted run is gone on with.
func (f *fuzzLearnFlags) keepAnswers() error {
	if f.answers == "" || f.o.Answers == nil {
		return nil
	}
	partial := f.answers + ".partial"
	file, err := os.Create(partial)
	if err == nil {
		err = errors.Join(f.o.Answers.Write(file, f.of()), file.Close())
	}
	if err == nil {
		err = os.Rename(partial, f.answers)
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// progress says how far a run is: on a terminal all the time, elsewhere now and then.
func (f *fuzzLearnFlags) progress(p *painter) {
	told := time.Now()
	f.o.Progress = func(queries, states int) {
		if text := fmt.Sprintf("%d words, %d states", queries, states); p.terminal {
			fmt.Fprint(p.w, "\r\x1b[K", text)
		} else if time.Since(told) >= learnTold {
			told = time.Now()
			fmt.Fprintln(p.w, text)
		}
	}
}

// learnTold is how often a log says how far a run is.
const learnTold = 30 * time.Second

func (f *fuzzLearnFlags) run(c *cobra.Command) error {
	mappers, done, err := f.speakers(c)
	if err != nil {
		return err
	}
	defer done()
	var other *learn.Machine
	if f.differs != "" {
		file, err := os.Open(f.differs)
		if err != nil {
			return unavailable(err)
		}
		other, err = learn.Read(file)
		_ = file.Close()
		if err != nil {
			return unavailable(fmt.Errorf("%s: %w", f.differs, err))
		}
	}
	if err := f.readAnswers(mappers(f.quiet)[0].Inputs()); err != nil {
		return err
	}
	progress := newPainter(c.ErrOrStderr())
	f.progress(progress)
	m, stats, err := f.learn(c.Context(), mappers, c.ErrOrStderr())
	if kept := f.keepAnswers(); kept != nil {
		return kept
	}
	if progress.terminal {
		_, _ = io.WriteString(progress.w, "\r\x1b[K")
	}
	var twice *learn.Nondeterminism
	switch {
	case c.Context().Err() != nil:
		text := "interrupted after %d words"
		if f.answers != "" {
			text += ", which are kept in " + attls.Printable(f.answers)
		}
		return &exitError{exitInterrupted, fmt.Errorf(text, stats.Queries)}
	case errors.As(err, &twice):
		return failed("%w", err)
	case err != nil:
		return unavailable(err)
	case m.Mute():
		return failed("%s answers nothing", attls.Printable(f.peer))
	}
	m.Peer, m.Role = f.peer, f.role
	for _, x := range []struct {
		name  string
		write func(io.Writer) error
	}{{f.jsonFile, m.Write}, {f.dot, m.DOT}, {f.svg, func(w io.Writer) error { return m.SVG(w, other) }}} {
		if x.name == "" {
			continue
		}
		file, err := os.Create(x.name)
		if err == nil {
			err = errors.Join(x.write(file), file.Close())
		}
		if err != nil {
			return unavailable(err)
		}
	}
	w := c.OutOrStdout()
	for _, d := range stats.Doubts {
		fmt.Fprintf(w, "most often, %s was answered with %s, and once with %s\n", strings.Join(d.Word, ", "),
			attls.Printable(strings.Join(d.First, ", ")), attls.Printable(strings.Join(d.Second, ", ")))
	}
	fmt.Fprintf(w, "%s as %s: %d states, learned from %d words with %d inputs\n", attls.Printable(m.Peer), m.Role,
		len(m.Next), stats.Queries, stats.Inputs)
	printMachine(w, m)
	if other == nil {
		return nil
	}
	list, err := learn.Diff(m, other)
	if err != nil {
		return usage("--diff: %v", err)
	}
	for _, d := range list {
		fmt.Fprintf(w, "%s: %s here, %s in %s\n", strings.Join(d.Word, ", "), attls.Printable(d.A), attls.Printable(d.B),
			f.differs)
	}
	if len(list) > 0 {
		return failed("%d differences", len(list))
	}
	fmt.Fprintln(w, "The machines are the same.")
	return nil
}

// printMachine lists what each state does; what it refuses with unexpected_message is left out.
func printMachine(w io.Writer, m *learn.Machine) {
	width := 0
	for _, input := range m.Inputs {
		width = max(width, len(input)+2)
	}
	for state := range m.Next {
		for i, input := range m.Inputs {
			out := m.Outputs[state][i]
			if out == "alert unexpected_message" || out == learn.Closed {
				continue
			}
			fmt.Fprintf(w, "  %2d  %s%s → %d\n", state, columns.Pad(input, width), attls.Printable(out), m.Next[state][i])
		}
	}
}
