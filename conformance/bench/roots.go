package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/negotiation"
)

// Bounds of RootOptions.
const (
	MaxRTT   = 10 * time.Second
	MaxCount = 100_000

	defaultCount   = 10
	defaultProfile = "early-attestation-06"
	// often is how many handshakes of a case one round measures together.
	often = 3
)

// RootOptions say which roots of trust are measured, and how long.
type RootOptions struct {
	// Table has the roots of trust; nil: roots.All.
	Table *attestation.Formats
	// Names are theirs, or of several with + between them; nil: all.
	Names []string
	// Profile is a profile as profile.Load takes it; empty: early-attestation-06.
	Profile  string
	Attester attls.Role
	// Alone attests in the place of an X.509 certificate. Then no one verifies a chain in
	// the plain handshake either.
	Alone bool
	// Count is the number of rounds, in each of which all take turns; 0: 10.
	Count int
	// Time ends the measurement early; what was measured until then is the result.
	// 0: no bound.
	Time time.Duration
	// RTTs are the round-trip times of the delaying pipe, at which latencies are
	// measured; nil: 0 alone.
	RTTs []time.Duration
	// Verifiers are the ways to have Evidence judged; nil: embedded, and over HTTP.
	Verifiers []RootVerifier
	// Progress is called after each step: what was done, and how many of how many.
	Progress func(what string, done, total int)
}

func (o *RootOptions) withDefaults() (RootOptions, error) {
	d := *o
	if d.Table == nil {
		all := roots.All()
		d.Table = &all
	}
	d.Profile, d.Count = cmp.Or(d.Profile, defaultProfile), cmp.Or(d.Count, defaultCount)
	if d.Names == nil {
		for _, f := range d.Table.All() {
			if f.Name != attestation.Composite {
				d.Names = append(d.Names, f.Name)
			}
		}
	}
	if d.RTTs == nil {
		d.RTTs = []time.Duration{0}
	}
	if d.Verifiers == nil {
		d.Verifiers = []RootVerifier{EmbeddedVerifier(), HTTPVerifier()}
	}
	if d.Progress == nil {
		d.Progress = func(string, int, int) {}
	}
	return d, d.check()
}

// check refuses what cannot be measured.
func (o *RootOptions) check() error {
	if o.Count < 0 || o.Count > MaxCount {
		return fmt.Errorf("bench: %d rounds; there are 1 to %d", o.Count, MaxCount)
	}
	if o.Time < 0 {
		return fmt.Errorf("bench: a bound of %v; it cannot be below 0", o.Time)
	}
	for i, rtt := range o.RTTs {
		if rtt < 0 || rtt > MaxRTT {
			return fmt.Errorf("bench: a round-trip time of %v; it is 0 to %v", rtt, MaxRTT)
		}
		if slices.Contains(o.RTTs[:i], rtt) {
			return fmt.Errorf("bench: the round-trip time %v appears twice", rtt)
		}
	}
	for i, name := range o.Names {
		if slices.Contains(o.Names[:i], name) {
			return fmt.Errorf("bench: the root of trust %s appears twice", name)
		}
		for part := range strings.SplitSeq(name, "+") {
			if _, err := o.Table.Named(part); err != nil {
				return fmt.Errorf("bench: %w", err)
			}
		}
	}
	return nil
}

func (o *RootOptions) credential() profile.CredentialKind {
	if o.Alone {
		return profile.KindAlone
	}
	return profile.KindX509
}

// Roots measures handshakes in which a root of trust attests, next to the same handshake
// without attestation. Where the context or the time ends first, the report has what was
// measured until then and says so; an error means that nothing could be measured.
func Roots(ctx context.Context, options RootOptions) (*RootReport, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	p, err := profile.Load(o.Profile, profile.Options{})
	if err != nil {
		return nil, err
	}
	credential := claims.CredentialX509
	if o.Alone {
		credential = claims.CredentialAttestation
	}
	m := &rootRun{o: o, profile: p, env: &scenario.Environment{Table: *o.Table, Clock: func() time.Time { return moment }}}
	defer m.close()
	r := &RootReport{Schema: RootSchema, Profile: p.ID, Attester: o.Attester.String(), Credential: credential,
		Machine: thisMachine()}
	if m.plain, err = m.bare(ctx); err != nil {
		return nil, err
	}
	var cases []*rootCase
	for _, name := range o.Names {
		cases = append(cases, m.root(ctx, name)...)
	}
	began := time.Now()
	ended := m.rounds(ctx, cases, func() bool { return o.Time > 0 && time.Since(began) >= o.Time })
	r.Complete, r.Ended = ended == "", ended
	r.Plain = m.plain.bareRow(o.RTTs)
	for _, c := range cases {
		r.Rows = append(r.Rows, c.finish(m.plain, o.RTTs))
	}
	return r, nil
}

// rootRun is one measurement.
type rootRun struct {
	o       RootOptions
	profile *profile.Profile
	env     *scenario.Environment
	plain   *rootCase
	closers []func()
}

func (m *rootRun) close() {
	for _, c := range slices.Backward(m.closers) {
		c()
	}
}

// rootCase is a row while it is measured.
type rootCase struct {
	row  RootRow
	ends configs
	// answerers are those of both ends, by place in RTTs; the last one is for what is not delayed and has the
	// meter.
	answerers [][2]*handshake.Answerer
	links     []*Link
	meter     *meter
	subject   *subject
	latencies [][]float64 // nanoseconds, by place in RTTs
	pair      *pair       // the handshake that was tried first
	requests  int         // to the Verifier in it
}

// base is the handshake that all have in common: secp256r1, which every profile permits.
func (m *rootRun) base() Case {
	return Case{Group: attls.GroupSecp256r1, Mutual: m.o.Attester == attls.RoleClient}.withDefaults()
}

// bare is the handshake without attestation.
func (m *rootRun) bare(ctx context.Context) (*rootCase, error) {
	hs := m.base()
	id, err := newIdentity(hs.Scheme)
	if err != nil {
		return nil, err
	}
	id.answerer.Trust.InsecureSkipVerify = m.o.Alone
	c := &rootCase{ends: hs.configs(), meter: &meter{}, latencies: make([][]float64, len(m.o.RTTs))}
	for range len(m.o.RTTs) + 1 {
		c.answerers = append(c.answerers, [2]*handshake.Answerer{&id.answerer, &id.answerer})
		c.links = append(c.links, &Link{})
	}
	return c, c.try(ctx, m.o.Attester, false)
}

// models in the order of the rows.
var models = []profile.Model{profile.ModelEvidence, profile.ModelResults}

// root prepares the rows of a root of trust. What cannot be measured is a row that says
// why.
func (m *rootRun) root(ctx context.Context, name string) (list []*rootCase) {
	f, e, err := m.env.Emulate(ctx, name)
	if err != nil {
		row := RootRow{Root: name, Skipped: reasonOf(err)}
		if f != nil {
			row.Title = f.Title
		}
		return []*rootCase{{row: row}}
	}
	for _, model := range models {
		for _, v := range m.o.Verifiers {
			c := &rootCase{row: RootRow{Root: name, Title: f.Title, Model: model.String(), Verifier: v.Name}, meter: &meter{}}
			list = append(list, c)
			if err := m.prepare(ctx, c, f, e, model, v); err != nil {
				c.row.Skipped = reasonOf(err)
				continue
			}
			if err := c.try(ctx, m.o.Attester, true); err != nil {
				c.row.Failed = reasonOf(err)
			}
		}
	}
	return list
}

// reasonOf is an error as the text of a cell.
func reasonOf(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// errNoRelay is why there is no row with results of a root of trust.
var errNoRelay = errors.New("its Attester relays no results")

// prepare configures both ends of a row, once for each way to the Verifier.
func (m *rootRun) prepare(ctx context.Context, c *rootCase, f *attestation.Format, e *attestation.Emulation,
	model profile.Model, way RootVerifier) error {
	by := scenario.AttestServer
	if m.o.Attester == attls.RoleClient {
		by = scenario.AttestClient
	}
	scheme, size, err := scenario.RootScheme(m.profile, f, by, model, m.o.credential())
	if err != nil {
		return err
	}
	hs := m.base()
	c.ends = hs.configs()
	for _, end := range c.ends {
		end.Profile, end.CanAuthenticate, end.AttesterSize, end.AppraiserSize = m.profile, true, size, size
	}
	c.ends[m.o.Attester].Policy.Produce = []negotiation.Scheme{scheme}
	c.ends[m.o.Attester.Peer()].Policy.Accept = []negotiation.Scheme{scheme}
	attester, verifier, err := e.Demonstration(*m.o.Table, f.Name, []byte("attls bench: its keys are public"), m.env.Clock)
	if err != nil {
		return err
	}
	id, err := newIdentity(hs.Scheme)
	if err != nil {
		return err
	}
	id.answerer.Trust.InsecureSkipVerify = m.o.Alone
	peer := id.answerer
	if keys := attestation.KeysOf(attester); keys != nil && !m.o.Alone {
		key, err := keys.NewKey(ctx, m.o.Attester)
		if err != nil {
			return err
		}
		if err := id.certify(key); err != nil {
			return err
		}
	}
	c.latencies = make([][]float64, len(m.o.RTTs))
	for _, rtt := range append(slices.Clone(m.o.RTTs), 0) {
		link, meter := &Link{RTT: rtt}, c.meter
		if len(c.links) < len(m.o.RTTs) {
			meter = nil // what is delayed is not what making and judging cost
		}
		asked, stop, err := way.Open(ctx, verifier, link)
		if err != nil {
			return err
		}
		m.closers = append(m.closers, stop)
		if reads, ok := asked.(formatter); ok && model == profile.ModelEvidence {
			all := reads.Format(f).SchemesUnder(m.profile, m.o.Attester, m.o.credential())
			if len(all) == 0 {
				return fmt.Errorf("%s takes no type of %s that %s can name", way.Name, f.Name, m.profile.ID)
			}
			c.ends[m.o.Attester].Policy.Produce = all[:1]
			c.ends[m.o.Attester.Peer()].Policy.Accept = all[:1]
		}
		a, judge := id.answerer, peer
		for _, end := range []*handshake.Answerer{&a, &judge} {
			if end.Time = way.Clock; end.Time == nil {
				end.Time = m.env.Clock
			}
			end.Timeouts = untimed
		}
		if model == profile.ModelResults {
			var checker negotiation.Appraiser = verifier
			if way.Checks {
				checker = asked
			}
			relay := attestation.Relay{Identity: []byte(attestation.DemoVerifier), Verifier: meter.appraiser(asked, judging)}
			relaying := relayedBy(attester, relay)
			if relaying == nil {
				return errNoRelay
			}
			a.Attester, judge.Appraiser = meter.attester(relaying), meter.appraiser(checker, checking)
		} else {
			a.Attester, judge.Appraiser = meter.attester(attester), meter.appraiser(asked, judging)
		}
		var both [2]*handshake.Answerer
		both[m.o.Attester], both[m.o.Attester.Peer()] = &a, &judge
		c.answerers, c.links = append(c.answerers, both), append(c.links, link)
	}
	return nil
}

// formatter is a Verifier that takes and reads some types of a format only.
type formatter interface {
	Format(*attestation.Format) *attestation.Format
}

// untimed has no time-outs: each takes a goroutine, which is not the engine's.
var untimed = map[handshake.WaitKind]time.Duration{
	handshake.WaitNonce: 0, handshake.WaitEvidence: 0, handshake.WaitAppraisal: 0}

// relayedBy is an Attester with another Verifier; nil where it relays none.
func relayedBy(a negotiation.Attester, r attestation.Relay) negotiation.Attester {
	switch a := a.(type) {
	case *attestation.Root:
		with := *a
		with.Relays = []attestation.Relay{r}
		return &with
	case *attestation.Software:
		with := *a
		with.Relays = []attestation.Relay{r}
		return &with
	}
	return nil
}

// try makes the first handshake, which does not count as a measurement. It opens what is
// kept open, too.
func (c *rootCase) try(ctx context.Context, attester attls.Role, attests bool) error {
	last := len(c.answerers) - 1
	a, link := c.answerers[last], c.links[last]
	for range 2 {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := link.requests.Load()
		p, err := c.ends.pairOf(a)
		if err != nil {
			return err
		}
		c.pair, c.requests = p, int(link.requests.Load()-before)
	}
	s := c.pair.ends[attester].State().Attestation
	if attests && (len(s) != 1 || s[0].Attester != attester) {
		return fmt.Errorf("the %v did not attest", attester)
	}
	c.meter.reset()
	c.subject = newSubject("", 1, func() error { _, err := c.ends.pairOf(a); return err })
	return nil
}

// rounds measures until the count is reached, and says why it ended before.
func (m *rootRun) rounds(ctx context.Context, cases []*rootCase, late func() bool) string {
	running := []*rootCase{m.plain}
	for _, c := range cases {
		if c.row.Skipped == "" && c.row.Failed == "" {
			running = append(running, c)
		}
	}
	total, done := m.o.Count*len(running)*(1+len(m.o.RTTs)), 0
	for range m.o.Count {
		for at := range 1 + len(m.o.RTTs) {
			for _, c := range running {
				switch {
				case ctx.Err() != nil:
					return "interrupted"
				case late():
					return fmt.Sprintf("the time of %v was up", m.o.Time)
				}
				if c.row.Failed == "" {
					if err := c.step(ctx, m.o.RTTs, at-1); err != nil && ctx.Err() == nil {
						c.row.Failed = reasonOf(err)
					}
				}
				done++
				m.o.Progress(c.name(), done, total)
			}
		}
	}
	return ""
}

// step measures a case once: what it costs, or its latency at one of the RTTs.
func (c *rootCase) step(ctx context.Context, rtts []time.Duration, at int) error {
	if at < 0 {
		return c.subject.repeat(often)
	}
	took, err := latency(ctx, c.ends, c.answerers[at], rtts[at])
	if err == nil {
		c.latencies[at] = append(c.latencies[at], float64(took.Nanoseconds()))
	}
	return err
}

func (c *rootCase) name() string {
	if c.row.Root == "" {
		return "without attestation"
	}
	return strings.Join([]string{c.row.Root, c.row.Model, c.row.Verifier}, ", ")
}

// latency is the time from the client's first octet until it has the first octet of
// application data that the server answers to its own first one.
func latency(ctx context.Context, ends configs, a [2]*handshake.Answerer, rtt time.Duration) (time.Duration, error) {
	near, far := DelayedPipe(rtt / 2)
	client := handshake.Client(near, ends[attls.RoleClient], a[attls.RoleClient])
	server := handshake.Server(far, ends[attls.RoleServer], a[attls.RoleServer])
	served := make(chan error, 1)
	go func() {
		err := server.HandshakeContext(ctx)
		one := make([]byte, 1)
		if err == nil {
			_, err = server.Read(one)
		}
		if err == nil {
			_, err = server.Write(one)
		}
		served <- err
	}()
	stop := context.AfterFunc(ctx, func() { _, _ = near.Close(), far.Close() })
	defer stop()
	began := time.Now()
	err := client.HandshakeContext(ctx)
	one := []byte{1}
	if err == nil {
		_, err = client.Write(one)
	}
	if err == nil {
		_, err = client.Read(one)
	}
	took := time.Since(began)
	if err != nil {
		_ = near.Close() // the server may still wait
	}
	err = errors.Join(err, <-served)
	_, _ = client.Close(), server.Close()
	return took, err
}
