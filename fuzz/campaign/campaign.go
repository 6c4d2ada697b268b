package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/conformance/placement"
)

// Options say how a campaign runs. The same options without a bound in time give the same
// inputs, whatever the number of processors.
type Options struct {
	Targets []*Target
	// Workers run side by side, each with its own randomness. 0: 1.
	Workers int
	Seed    uint64
	// Time bounds the campaign; 0: Executions do. Executions bounds how many connections each
	// worker makes of each target; 0: Time does.
	Time       time.Duration
	Executions int
	// Dir is where the corpus and the findings are; "": they are kept in memory. Resume begins
	// with the corpus that is there.
	Dir    string
	Resume bool
	// Native is a directory of corpora of Go's fuzzer: the messages of inputs that reached something new
	// are written to GoTarget in it, and with Resume those that are there become values for edits; "": none.
	Native string
	// Plant is a bug in the honest ends; nil: none.
	Plant *Plant
	// NoForks makes each connection from its beginning; Octets makes no edits but changes
	// of single octets. They are for comparisons.
	NoForks, Octets bool
	// FirstOnly ends the campaign with the first finding.
	FirstOnly bool
	// Remote is the stack that is the honest end; nil: attls is. Against are other stacks that get
	// the same inputs; findings are then where one of these does otherwise than Remote, and not what
	// the laws see in one.
	Remote  *Remote
	Against []*Remote
	// Progress is called about twice a second.
	Progress func(Stats)

	sites []*site
}

// Finding is a violation with the smallest input that was found for it.
type Finding struct {
	Input *Input
	Violation
	Cause string // the same for findings that belong together
	Count int    // how many inputs ended so
	File  string // where the input is, if it was written
	After time.Duration
	// Connections were made until it was found.
	Connections int64
	// Known explains the finding; nil: it is new.
	Known *KnownEntry
	// Apart has the two stacks of a difference; nil: the finding is about one.
	Apart *Apart
}

// Stats is how far a campaign is.
type Stats struct {
	Elapsed    time.Duration
	Executions int64
	Corpus     int
	Reached    int // different outcomes
	Findings   int
	Rules      Coverage
	// Growth is the number of outcomes over time.
	Growth []Point
}

// Point is a number at a moment.
type Point struct {
	Seconds float64 `json:"seconds"`
	Value   int     `json:"value"`
}

// Report is what a campaign came to.
type Report struct {
	Stats
	Seed     uint64
	Targets  []string
	Found    []*Finding
	LeftOut  []string // connections that could not be made
	Stopped  bool     // by an interrupt
	Outcomes map[string]int
	// Explained are the causes that Remote.Known explains, with their entries.
	Explained []*Finding
	// Unsteady are causes that did not show again with more time, with how often they were seen.
	Unsteady map[string]int
	// Unneeded are how many entries about the stacks of a campaign explained nothing in it.
	Unneeded int
	// Unread are the files of a corpus that were not taken, with the reason.
	Unread []string
	// Reach are the rules that refuse something under the targets' profiles.
	Reach []RuleReach
	// Known are differences of a C program that were seen and are known.
	Known []string
}

// Run runs a campaign until its time is over, its executions are done or ctx ends, which
// keeps what was found.
func Run(ctx context.Context, o Options) (*Report, error) {
	if len(o.Targets) == 0 {
		return nil, errors.New("campaign: no target")
	}
	if o.Time == 0 && o.Executions == 0 {
		return nil, errors.New("campaign: neither a time nor a number of executions bounds it")
	}
	o.Workers = max(o.Workers, 1)
	began := time.Now()
	if len(o.Against) > 0 && o.Remote == nil {
		return nil, errors.New("campaign: stacks to compare with, and none that is compared")
	}
	c := &campaign{o: o, began: began, causes: map[string]*Finding{},
		report: &Report{Seed: o.Seed, Outcomes: map[string]int{}, Unsteady: map[string]int{}}}
	for _, t := range o.Targets {
		c.report.Targets = append(c.report.Targets, t.Name)
		if o.sites == nil && o.Plant == nil {
			c.o.sites = append(c.o.sites, sitesOf(t)...)
		}
	}
	defer collectLess()()
	return c.drive(ctx, func(inner context.Context, id int) error { return c.work(ctx, inner, id) })
}

// drive runs the workers of a campaign until its time is over, one of them ends it, or ctx ends.
func (c *campaign) drive(ctx context.Context, work func(context.Context, int) error) (*Report, error) {
	if c.o.Dir != "" {
		for _, d := range []string{"corpus", "findings"} {
			if err := os.MkdirAll(filepath.Join(c.o.Dir, d), 0o755); err != nil {
				return nil, err
			}
		}
		if c.o.Resume {
			if err := c.load(); err != nil {
				return nil, err
			}
		}
	}
	if c.o.Native != "" {
		if err := c.openNative(); err != nil {
			return nil, err
		}
	}
	limit := ctx
	if c.o.Time > 0 {
		var cancel context.CancelFunc
		limit, cancel = context.WithTimeout(ctx, c.o.Time)
		defer cancel()
	}
	inner, stop := context.WithCancel(limit)
	defer stop()
	c.stop = stop
	errs := make([]error, c.o.Workers)
	var wait sync.WaitGroup
	for i := range c.o.Workers {
		wait.Go(func() { errs[i] = work(inner, i) })
	}
	ticks := make(chan struct{})
	go c.tell(inner, ticks)
	wait.Wait()
	stop()
	<-ticks
	return c.conclude(ctx), errors.Join(errs...)
}

// conclude is the report, once all workers have ended.
func (c *campaign) conclude(ctx context.Context) *Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Stats = c.stats()
	c.report.Reach = reachOf(c.o.sites)
	c.report.Stopped = ctx.Err() != nil
	if len(c.o.Against) > 0 {
		c.report.Unneeded = c.unneeded()
	}
	for _, f := range c.causes {
		if f.Known != nil {
			c.report.Explained = append(c.report.Explained, f)
		} else {
			c.report.Found = append(c.report.Found, f)
		}
	}
	for _, list := range [][]*Finding{c.report.Found, c.report.Explained} {
		slices.SortFunc(list, func(a, b *Finding) int { return cmp.Compare(a.Cause, b.Cause) })
	}
	return c.report
}

type campaign struct {
	o     Options
	began time.Time
	stop  func()
	seeds []*Input // of a corpus that was read

	native   *goCorpus // nil: there is none
	messages [][]byte  // of it

	mu         sync.Mutex
	report     *Report
	executions int64
	corpus     int
	causes     map[string]*Finding
	growth     []Point
	err        error
}

func (c *campaign) stats() Stats {
	findings := 0
	for _, f := range c.causes {
		if f.Known == nil {
			findings++
		}
	}
	return Stats{Elapsed: time.Since(c.began), Executions: c.executions, Corpus: c.corpus, Reached: len(c.report.Outcomes),
		Findings: findings, Rules: coverageOf(c.o.sites), Growth: slices.Clone(c.growth)}
}

// tell reports progress until the campaign ends.
func (c *campaign) tell(ctx context.Context, done chan struct{}) {
	defer close(done)
	t := time.NewTicker(500 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c.mu.Lock()
			s := c.stats()
			c.growth = append(c.growth, Point{s.Elapsed.Seconds(), s.Reached})
			if len(c.growth) > 512 { // every second one
				for i := range len(c.growth) / 2 {
					c.growth[i] = c.growth[2*i+1]
				}
				c.growth = c.growth[:len(c.growth)/2]
			}
			c.mu.Unlock()
			collectByNeed(liveHeap())
			if c.o.Progress != nil {
				c.o.Progress(s)
			}
		}
	}
}

// load reads the corpus. Files of another version are left alone, and named.
func (c *campaign) load() error {
	return filepath.WalkDir(filepath.Join(c.o.Dir, "corpus"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".yaml") {
			return err
		}
		if len(c.seeds) >= 1<<16 {
			return fs.SkipAll
		}
		in, err := ReadFile(name)
		if err != nil {
			c.report.Unread = append(c.report.Unread, err.Error())
			return nil
		}
		c.seeds = append(c.seeds, in)
		return nil
	})
}

// worker is one goroutine of a campaign with what it has reached.
type worker struct {
	c      *campaign
	id     int
	r      *rand.Rand
	seen   map[string]bool
	corpus map[*Target]*kept
	rules  map[refused]bool // that refused something
	counts int64
	plain  map[string]string // details without what varies
	link   *link             // to a remote stack; nil: attls is the honest end
	rivals []*link           // to stacks that it is compared with
	same   map[string]string // the causes of differences by what was seen first
	lost   int               // connections in a row that the stack did not make
}

// place is a target of a worker with what it runs there.
type place struct {
	t       *Target
	list    []*subject
	mutator *mutator
}

// work makes connections until ctx is over. Programs of a stack run until outer is, so that
// what was found last can be made smaller.
func (c *campaign) work(outer, ctx context.Context, id int) error {
	w := &worker{c: c, id: id, r: rand.New(rand.NewPCG(c.o.Seed, uint64(id))), seen: map[string]bool{},
		corpus: map[*Target]*kept{}, rules: map[refused]bool{}, plain: map[string]string{}}
	if c.o.Remote != nil {
		w.link = c.o.Remote.link(outer)
		defer w.link.connector.Close()
		w.same = map[string]string{}
		for _, x := range c.o.Against {
			l := x.link(outer)
			w.rivals = append(w.rivals, l)
			defer l.connector.Close()
		}
	}
	var places []*place
	for _, t := range c.o.Targets {
		p, err := w.place(t)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if c.o.Plant != nil {
				w.found(t.input(t.Connections[0], attls.RoleClient), Violation{"completes", c.o.Plant.Role, err.Error()}, nil)
				return nil
			}
			return err
		}
		places = append(places, p)
	}
	for _, l := range w.links() {
		l.hurried = true
	}
	for n := 0; ctx.Err() == nil; n++ {
		if c.o.Executions > 0 && n >= c.o.Executions*len(places) {
			break
		}
		p := places[n%len(places)]
		if err := w.one(p.t, p.list, p.mutator); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.executions += w.counts
	c.mu.Unlock()
	return c.err
}

// place prepares the connections of a target, and runs each without edits.
func (w *worker) place(t *Target) (*place, error) {
	c := w.c
	world, err := newWorld()
	if err != nil {
		return nil, err
	}
	world.real = w.link != nil
	list, left, err := t.subjects(world, c.o.Plant)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		for _, v := range s.base.Sound() {
			w.found(t.input(s.conn, v.Role.Peer()), v, s)
		}
	}
	if w.link != nil {
		var more []string
		if list, more, err = w.link.controls(t, list); err != nil {
			return nil, err
		}
		left = append(left, more...)
		if len(w.rivals) > 0 {
			if list, more, err = w.compared(t, list); err != nil {
				return nil, err
			}
			left = append(left, more...)
		}
	}
	if w.id == 0 {
		c.mu.Lock()
		c.report.LeftOut = append(c.report.LeftOut, left...)
		c.mu.Unlock()
	}
	w.corpus[t] = &kept{}
	for _, in := range c.seeds {
		if in.Profile == t.input(Connection{}, 0).Profile {
			w.corpus[t].add(in, 0)
		}
	}
	m := newMutator(w.r, list)
	if len(list) > 0 {
		m.addMessages(list[0], c.messages)
	}
	return &place{t, list, m}, nil
}

// one makes and runs one input.
func (w *worker) one(t *Target, list []*subject, m *mutator) error {
	s := pick(w.r, list)
	attacker := attls.Role(w.r.IntN(2))
	if w.c.o.Plant != nil {
		attacker = w.c.o.Plant.Role.Peer()
	}
	if s.link != nil && !s.abroadAs[attacker.Peer()] {
		attacker = attacker.Peer()
	}
	var in *Input
	if !w.c.o.Octets && w.r.IntN(2) == 0 {
		if swept, of := m.swept(t, list, attacker); swept != nil {
			in, s = swept, of
		}
	}
	if in == nil && !w.c.o.Octets && len(w.corpus[t].list) > 0 && w.r.IntN(2) == 0 {
		from := w.corpus[t].draw(w.r)
		at := slices.IndexFunc(list, func(x *subject) bool { return x.conn == from.Connection })
		if at >= 0 && (w.c.o.Plant == nil && s.link == nil || from.role() == attacker && list[at].takes(attacker)) {
			s = list[at]
			in = m.input(t, s, from.role(), from)
		}
	}
	if in == nil && w.c.o.Octets {
		in = t.input(s.conn, attacker)
		if x := m.choose(s, attacker); x != nil && len(x.raw) > 4 {
			in.Edits = []Edit{{Do: "flip", Message: x.name, Number: x.number, At: w.r.IntN(len(x.raw) - 4)}}
		}
	}
	if in == nil {
		in = m.input(t, s, attacker, nil)
	}
	r, err := s.execute(in, w.c.o.NoForks)
	w.counts++
	if w.counts%64 == 0 {
		w.c.mu.Lock()
		w.c.executions += w.counts
		w.counts = 0
		w.c.mu.Unlock()
	}
	var p *PanicError
	switch {
	case errors.As(err, &p):
		w.found(in, Violation{"panic", attacker.Peer(), p.Error()}, s)
		fresh, err := newSubject(s.w, t.input(s.conn, 0).Profile, s.profile, s.conn, s.plant)
		if err == nil { // a panic may leave anything behind
			fresh.link, fresh.abroadAs, fresh.rivals = s.link, s.abroadAs, s.rivals
			*s = *fresh
			for _, role := range attls.Roles() {
				s.relays[role] = fresh.relays[role]
			}
		}
		return nil
	case w.unreachable(err):
		return err
	case err != nil:
		return nil // the attacker cannot begin
	}
	w.lost = 0
	if s.rivals != nil {
		list := r.apart()
		for i := range list {
			w.differ(in, &list[i], s)
		}
	} else {
		for _, v := range in.violations(r) {
			w.found(in, v, s)
		}
	}
	w.note(t, in, r)
	if s.link == nil {
		s.w.recycle(r)
	}
	return nil
}

// takes reports whether an attacker of a role finds an honest end in the connection.
func (s *subject) takes(attacker attls.Role) bool {
	return s.link == nil || s.abroadAs[attacker.Peer()]
}

// mostLost is how many connections in a row a stack may fail to make.
const mostLost = 5

// unreachable reports whether an error says that the stack cannot be run any more.
func (w *worker) unreachable(err error) bool {
	var stack *StackError
	if !errors.As(err, &stack) || w.link.ctx.Err() != nil {
		return false
	}
	var not *placement.NotConnected
	w.lost++
	return !errors.As(err, &not) || w.lost >= mostLost
}

// execute runs an input, with or without a prefix.
func (s *subject) execute(in *Input, noForks bool) (*run, error) {
	if noForks {
		prefixes := s.prefixes
		s.prefixes = nil
		defer func() { s.prefixes = prefixes }()
	}
	return s.run(in)
}

// violations are those of a run of an input.
func (in *Input) violations(r *run) []Violation {
	switch {
	case r.told != nil && r.told.rivals != nil:
		return apartViolations(r.apart())
	case r.told != nil:
		return r.judgeAbroad(in)
	}
	list := r.Judge()
	if in.harmless() {
		if text := r.live(); text != "" {
			list = append(list, Violation{"tolerates", r.attacker.Peer(), text + ", although nothing that matters was changed"})
		}
	}
	return list
}

var anyField = regexp.MustCompile(`extensions\.[a-z0-9_ ]+`)

var anyName = regexp.MustCompile(`"[^"]*"`)

var anyExtension = regexp.MustCompile(`the extension .*? (in|of|with|for) `)

var anyNumber = regexp.MustCompile(`0x[0-9a-f]+`)

var varying = regexp.MustCompile(`[0-9a-f]{8,}…?|0x[0-9a-f]+|\d+`)

// plainText leaves out what varies between inputs of one cause.
func plainText(s string) string { return varying.ReplaceAllString(s, "#") }

// outcomes say what a run reached: how each end ended and in which state.
func (r *run) outcomes(plain map[string]string) (list []string) {
	for _, role := range attls.Roles() {
		text := role.String() + " "
		if r.states[role].State != "" && r.errs[role] == nil {
			text += "in " + r.states[role].State
		}
		if e := r.errs[role]; e != nil {
			if e.Class == attls.FromPeer {
				continue
			}
			detail, ok := plain[e.Detail]
			if !ok {
				detail = keep(plain, e.Detail, plainText(e.Detail))
			}
			field := e.Field
			if strings.Contains(field, "0x") { // what is unknown has a number
				field = anyNumber.ReplaceAllString(field, "#")
			}
			text += "refuses with " + string(e.Failure) + " at " + e.Message.String() + ": " + field + " " + detail
		}
		list = append(list, text)
		if e := r.proofs.errs[role]; e != nil && e.Class != attls.FromPeer {
			list = append(list, fmt.Sprintf("%v refuses, of an authenticator, with %s at %v: %s %s", role, e.Failure, e.Message,
				e.Field, plainText(e.Detail)))
		}
	}
	if n := len(r.proofs.list) + len(r.post.answered); n > 0 {
		list = append(list, fmt.Sprintf("%d authenticators, %d answers after the handshake", len(r.proofs.list),
			len(r.post.answered)))
	}
	return list
}

// refused is what is known of a rule that refused something.
type refused struct {
	role    attls.Role
	failure attls.Failure
	at      attls.MessageKind
}

// refusals is the energy of an input by the rules that refused something for the first time.
func (w *worker) refusals(r *run) (energy int) {
	for _, role := range attls.Roles() {
		if e := r.errs[role]; e != nil && e.Class != attls.FromPeer {
			if key := (refused{role, e.Failure, e.Message}); !w.rules[key] {
				w.rules[key], energy = true, energyRule
			}
		}
	}
	return energy
}

// note keeps an input that reached something new.
func (w *worker) note(t *Target, in *Input, r *run) {
	seen := r
	if r.told != nil {
		seen = r.told.local // rules are those of attls
	}
	energy := w.refusals(r) // sites are shared, and would make it depend on other workers
	for _, s := range w.c.o.sites {
		s.note(in.Profile, seen)
	}
	var fresh []string
	for _, text := range r.outcomes(w.plain) {
		if !w.seen[text] {
			w.seen[text] = true
			fresh = append(fresh, text)
		}
	}
	if fresh == nil {
		return
	}
	kept := in.clone()
	kept.Reached = fresh
	w.corpus[t].add(kept, max(energy, energyOutcome))
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	known := true
	for _, text := range fresh {
		if w.c.report.Outcomes[text]++; w.c.report.Outcomes[text] == 1 {
			known = false
		}
	}
	if known {
		return
	}
	w.c.corpus++
	if w.c.native != nil {
		if err := w.c.native.add(r); err != nil && w.c.err == nil {
			w.c.err = err
		}
	}
	if w.c.o.Dir != "" {
		name := filepath.Join(w.c.o.Dir, "corpus", kept.digest()+".yaml")
		if err := kept.WriteFile(name); err != nil && w.c.err == nil {
			w.c.err = err
		}
	}
}

// digest names an input by what it is.
func (in *Input) digest() string {
	h := fnv.New64a()
	_ = in.Write(h)
	return fmt.Sprintf("%016x", h.Sum64())
}

// cause is the same for findings that belong together.
func (v *Violation) cause(in *Input, abroad bool) string {
	says := v.Says
	if abroad { // a stack that passes over extensions or names does so with many
		says = anyExtension.ReplaceAllString(says, "the extension # ${1} ")
		says = anyName.ReplaceAllString(anyField.ReplaceAllString(says, "extensions.#"), "#")
	}
	return fmt.Sprintf("%s, %v, %s: %s", cmp.Or(in.Profile, TLS), v.Role, v.Law, plainText(says))
}

// found keeps a finding, which is made smaller with the connection that it is of.
func (w *worker) found(in *Input, v Violation, s *subject) {
	x := &sighting{in: in, Violation: v, more: w.counts, cause: v.cause(in, w.c.o.Remote != nil)}
	x.shrink = func(in *Input) *Input {
		if s == nil || v.Law == "panic" || len(in.Edits) == 0 {
			return in
		}
		return s.minimize(in, &v)
	}
	if o := w.c.o.Remote; o != nil {
		x.peer, x.known = o.String(), o.Known.Explains(&v, o.Version)
		if s != nil && s.link != nil && v.Law != lawCrash { // it takes part of the program's state with it
			x.again = func() bool { return s.shows(in, x.cause) }
		}
	}
	w.c.sighted(x)
}

// found keeps a finding: the first of a cause is made smaller and written. more are connections of
// its worker that the campaign does not count yet.
func (c *campaign) found(in *Input, v Violation, more int64, shrink func(*Input) *Input) {
	c.sighted(&sighting{in: in, Violation: v, more: more, cause: v.cause(in, false), shrink: shrink})
}

// sighting is a violation that a worker saw, on its way to the report.
type sighting struct {
	Violation
	in    *Input
	cause string
	known *KnownEntry
	apart *Apart
	// peer and against are stacks with their versions; empty: attls.
	peer, against string
	// more are connections of its worker that the campaign does not count yet.
	more int64
	// again tells whether it shows once more, with more time; nil: once is enough.
	again  func() bool
	shrink func(*Input) *Input
}

// mostUnsteady is how often something is looked at again that did not show again.
const mostUnsteady = 3

// sighted keeps a finding: the first of a cause is looked at again, made smaller and written.
func (c *campaign) sighted(x *sighting) {
	c.mu.Lock()
	f := c.causes[x.cause]
	switch {
	case f != nil:
		f.Count++
		if f.Known != nil && x.in.size() < f.Input.size() {
			f.Input, f.Apart = x.in, x.apart
		}
		c.mu.Unlock()
		return
	case c.report.Unsteady[x.cause] >= mostUnsteady:
		c.report.Unsteady[x.cause]++
		c.mu.Unlock()
		return
	}
	f = &Finding{Input: x.in, Violation: x.Violation, Cause: x.cause, Count: 1, After: time.Since(c.began), Known: x.known,
		Apart: x.apart, Connections: c.executions + x.more}
	c.causes[x.cause] = f
	c.mu.Unlock()
	if f.Known != nil {
		return
	}
	if x.again != nil && !x.again() {
		c.mu.Lock()
		delete(c.causes, x.cause)
		c.report.Unsteady[x.cause] += f.Count
		c.mu.Unlock()
		return
	}
	if c.o.FirstOnly {
		c.stop()
	}
	small := x.shrink(x.in).clone()
	small.Law, small.Says = x.Law, fmt.Sprintf("the %v %s", x.Role, x.Says)
	small.Peer, small.Against = x.peer, x.against
	c.mu.Lock()
	defer c.mu.Unlock()
	f.Input = small
	if c.o.Dir != "" {
		f.File = filepath.Join(c.o.Dir, "findings", x.Law+"-"+small.digest()+".yaml")
		if err := small.WriteFile(f.File); err != nil && c.err == nil {
			c.err = err
		}
	}
}

// minimize makes an input smaller as long as it breaks the law.
func (s *subject) minimize(in *Input, found *Violation) *Input {
	cause := found.cause(in, true)
	return smaller(in, func(x *Input) bool {
		r, err := s.run(x)
		if err != nil {
			return false
		}
		return slices.ContainsFunc(x.violations(r), func(v Violation) bool {
			return v.Law == found.Law && (s.link == nil || v.cause(x, true) == cause)
		})
	})
}

// fewer leaves out edits as long as an input breaks something.
func fewer(in *Input, breaks func(*Input) bool) *Input {
	best := in.clone()
	for i := 0; i < len(best.Edits); {
		x := best.clone()
		x.Edits = slices.Delete(x.Edits, i, i+1)
		if len(x.Edits) > 0 && breaks(x) {
			best = x
		} else {
			i++
		}
	}
	return best
}

// smaller leaves out edits, and makes octets fewer, as long as an input breaks something.
func smaller(in *Input, breaks func(*Input) bool) *Input {
	best := fewer(in, breaks)
	for i := range best.Edits {
		for n := len(best.Edits[i].Octets) / 2; n > 0; n /= 2 {
			x := best.clone()
			x.Edits[i].Octets = x.Edits[i].Octets[:len(x.Edits[i].Octets)-n]
			if breaks(x) {
				x.Edits[i].From = "shortened"
				best = x
			}
		}
		if best.Edits[i].Shadow {
			x := best.clone()
			x.Edits[i].Shadow = false
			if breaks(x) {
				best = x
			}
		}
	}
	return best
}
