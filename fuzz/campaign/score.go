package campaign

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// ScoreOptions say how a campaign is scored.
type ScoreOptions struct {
	// Kind is terms, terms-without-forks or octets, or mbedtls: of a C program.
	Kind   string
	Trials int           // of Drawn bugs; the others are tried once
	Drawn  int           // 0: 20
	Time   time.Duration // of each trial; 0: Executions bounds it
	// Executions bounds the connections of each trial, so that the speed of the machine does
	// not matter; 0: Time does.
	Executions int
	Seed       uint64
	Side       int      // trials side by side; 0: 1
	Bugs       []string // names; nil: all that a peer can see
	// Each is called after each trial, with its bug and with all that was measured until then.
	Each func(BugScore, *Score)
	// Have are trials that were made before, which are not made again; nil: none. They were
	// made with the same options (Score.Continues).
	Have *Score
}

// Kinds are the kinds of campaign that can be scored.
var Kinds = []string{"terms", "terms-without-forks", "octets", StackKind}

// BugScore is how a campaign did with one planted bug.
type BugScore struct {
	Name    string `json:"name"`
	Profile string `json:"profile,omitempty"`
	Role    string `json:"role"`
	Text    string `json:"text"`
	Hidden  string `json:"hidden,omitempty"` // why no peer can see it; it was not tried
	Tries   []Try  `json:"tries,omitempty"`
	Trials  int    `json:"trials"`
	Found   int    `json:"found"`
	Law     string `json:"law,omitempty"`
	Says    string `json:"says,omitempty"`
	// Counted says that the rule refuses something, so that Reached and Triggered are known:
	// whether it was evaluated, and whether it refused, in the campaign with all rules in force.
	Counted   bool `json:"counted,omitempty"`
	Reached   bool `json:"reached,omitempty"`
	Triggered bool `json:"triggered,omitempty"`
	// Failed says why a trial could not be made.
	Failed string `json:"failed,omitempty"`
	// Connections are those to the first finding, Seconds the time of the clock.
	Connections Spread `json:"connections"`
	Seconds     Spread `json:"seconds"`
}

// Try is one trial.
type Try struct {
	Seed  uint64 `json:"seed"`
	Found bool   `json:"found"`
	// Connections were made, and Seconds went by on the clock, to the first finding or the end.
	Connections int64   `json:"connections"`
	Seconds     float64 `json:"seconds"`
}

// Spread is a median of trials, where those that found nothing count as longer than any, and
// its confidence interval of 95 %. -1: more than a trial's bound. Fewer than six trials have no
// such interval: Low is 0 then, and High -1.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Score is what a campaign reached with planted bugs.
type Score struct {
	Kind    string  `json:"kind"`
	Seconds float64 `json:"seconds"` // of each trial; 0: no bound
	// Connections bounds those of each trial; 0: no bound.
	Connections int        `json:"connections,omitempty"`
	Seed        uint64     `json:"seed"`
	Trials      int        `json:"trials"` // of Drawn bugs; the others have one
	Drawn       int        `json:"drawn"`
	Bugs        []BugScore `json:"bugs"`
	// Sound are the connections with all rules in force; 0: they were not all made.
	Sound int64 `json:"sound"`
	// Noise are findings in these: there must be none.
	Noise []string `json:"noise,omitempty"`
	// Missing is the number of trials that were not made, since the score was interrupted.
	Missing int `json:"missing,omitempty"`
}

// Bound says in words how long a trial was at most.
func (s *Score) Bound() string {
	var parts []string
	if s.Seconds > 0 {
		parts = append(parts, fmt.Sprintf("%g s", s.Seconds))
	}
	if s.Connections > 0 {
		parts = append(parts, fmt.Sprintf("%d connections", s.Connections))
	}
	return strings.Join(parts, " and ")
}

// Visible counts the bugs that a peer can see, and those that were detected once at least.
func (s *Score) Visible() (visible, reached, triggered, detected int) {
	for i := range s.Bugs {
		b := &s.Bugs[i]
		if b.Hidden != "" || b.Trials == 0 {
			continue
		}
		visible++
		for _, x := range []struct {
			is bool
			n  *int
		}{{b.Reached, &reached}, {b.Triggered, &triggered}, {b.Found > 0, &detected}} {
			if x.is {
				*x.n++
			}
		}
	}
	return visible, reached, triggered, detected
}

// Counted counts the visible bugs of which it is known whether they were reached and triggered.
func (s *Score) Counted() (n int) {
	for i := range s.Bugs {
		if b := &s.Bugs[i]; b.Hidden == "" && b.Trials > 0 && b.Counted {
			n++
		}
	}
	return n
}

func (o *ScoreOptions) campaign(t *Target, p *Plant, seed uint64) Options {
	return Options{Targets: []*Target{t}, Workers: 1, Seed: seed, Time: o.Time, Executions: o.Executions, Plant: p,
		FirstOnly: p != nil, NoForks: o.Kind != "terms", Octets: o.Kind == "octets"}
}

// NoProgramError says that a score needs a program that was not built.
type NoProgramError struct{ Kind, Build string }

func (e *NoProgramError) Error() string {
	return fmt.Sprintf("no program with planted bugs was built for %s; run %s", e.Kind, e.Build)
}

// Check reports whether there is a campaign of the kind, with the bugs that are named.
func (o *ScoreOptions) Check() error {
	var names []string
	switch {
	case o.Kind == StackKind:
		bugs, err := StackBugs()
		if err != nil {
			return err
		}
		for i := range bugs {
			names = append(names, bugs[i].Name)
		}
	case slices.Contains(Kinds, o.Kind):
		all, err := Plants()
		if err != nil {
			return err
		}
		for i := range all {
			names = append(names, all[i].Name)
		}
	default:
		return fmt.Errorf("no campaign is called %q; there are %v", o.Kind, Kinds)
	}
	for _, name := range o.Bugs {
		if !slices.Contains(names, name) {
			return fmt.Errorf("no bug of %s is called %q", o.Kind, name)
		}
	}
	return nil
}

// Measure scores a campaign. A bug is detected when a law is broken in a campaign in which
// one end has it; the campaign begins without a corpus. A program that is missing is a
// NoProgramError.
func Measure(ctx context.Context, o ScoreOptions) (*Score, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Kind == StackKind {
		return measureStack(ctx, &o)
	}
	all, err := Plants()
	if err != nil {
		return nil, err
	}
	score := o.score()
	targets, under := map[string]*Target{}, map[string]*Target{} // by profile, and by bug
	for i := range all {
		p := &all[i]
		if o.Bugs != nil && !slices.Contains(o.Bugs, p.Name) {
			continue
		}
		score.Bugs = append(score.Bugs, BugScore{Name: p.Name, Profile: p.Profile, Role: p.Role.String(), Text: p.Text,
			Hidden: p.Hidden})
		if targets[p.Profile] == nil {
			if targets[p.Profile], err = NewTarget(cmp.Or(p.Profile, TLS)); err != nil {
				return nil, err
			}
		}
		if under[p.Name], err = targets[p.Profile].under(p.Readings); err != nil {
			return nil, err
		}
	}
	if o.Have == nil || o.Have.Sound == 0 {
		if err := score.sound(ctx, &o, targets); err != nil {
			return nil, err
		}
	}
	score.try(ctx, &o, func(name string, seed uint64) (*Report, error) {
		i := slices.IndexFunc(all, func(p Plant) bool { return p.Name == name })
		return Run(ctx, o.campaign(under[name], &all[i], seed))
	})
	return score, nil
}

// score is one without bugs yet.
func (o *ScoreOptions) score() *Score {
	s := &Score{Kind: o.Kind, Seconds: o.Time.Seconds(), Connections: o.Executions, Seed: o.Seed,
		Trials: max(o.Trials, 1), Drawn: cmp.Or(o.Drawn, 20)}
	if o.Have != nil {
		s.Sound, s.Noise = o.Have.Sound, o.Have.Noise
	}
	return s
}

// sound runs the campaign with all rules in force: it counts what is reached and
// triggered, and must find nothing.
func (s *Score) sound(ctx context.Context, o *ScoreOptions, targets map[string]*Target) error {
	made, names := int64(0), slices.Sorted(maps.Keys(targets))
	for _, name := range names {
		t := targets[name]
		sites := sitesOf(t)
		options := o.campaign(t, nil, o.Seed)
		options.sites = sites
		report, err := Run(ctx, options)
		if err != nil {
			return err
		}
		made += report.Executions
		for _, f := range report.Found {
			if !slices.Contains(s.Noise, f.Cause) {
				s.Noise = append(s.Noise, f.Cause)
			}
		}
		for i := range s.Bugs {
			b := &s.Bugs[i]
			if b.Profile != name {
				continue
			}
			for _, x := range sites {
				if x.rule == b.Name {
					b.Counted = true
					b.Reached = b.Reached || x.reached.Load() > 0
					b.Triggered = b.Triggered || x.triggered.Load() > 0
				}
			}
		}
	}
	if ctx.Err() == nil {
		s.Sound = max(made, 1)
	}
	return nil
}

// try makes the trials, of campaigns that run makes.
func (s *Score) try(ctx context.Context, o *ScoreOptions, run func(name string, seed uint64) (*Report, error)) {
	trials := s.plan()
	work := make(chan trial)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range max(o.Side, 1) {
		wait.Go(func() {
			for x := range work {
				began := time.Now()
				report, err := run(x.bug.Name, x.seed)
				mu.Lock()
				switch {
				case err != nil:
					x.bug.Failed = err.Error()
				case ctx.Err() == nil || len(report.Found) > 0:
					x.bug.note(x.seed, report, time.Since(began))
					s.Missing--
				}
				if o.Each != nil {
					o.Each(*x.bug, s)
				}
				mu.Unlock()
			}
		})
	}
	var due []trial
	for _, x := range trials {
		old := o.Have.bug(x.bug.Name)
		if old == nil || !slices.ContainsFunc(old.Tries, func(t Try) bool { return t.Seed == x.seed }) {
			due = append(due, x)
		}
	}
	s.Missing = len(due)
	for i := range s.Bugs {
		b := &s.Bugs[i]
		if old := o.Have.bug(b.Name); old != nil {
			b.Law, b.Says, b.Tries = old.Law, old.Says, slices.Clone(old.Tries)
			if o.Have.Sound > 0 {
				b.Counted, b.Reached, b.Triggered = old.Counted, old.Reached, old.Triggered
			}
		}
		b.settle()
	}
	for _, x := range due {
		if ctx.Err() != nil {
			break
		}
		work <- x
	}
	close(work)
	wait.Wait()
}

// trial is one that is to be made.
type trial struct {
	bug  *BugScore
	seed uint64
}

// plan lists the trials: several of the bugs that the seed draws, one of each other.
func (s *Score) plan() (list []trial) {
	drawn := map[string]bool{}
	var visible []string
	for i := range s.Bugs {
		if s.Bugs[i].Hidden == "" {
			visible = append(visible, s.Bugs[i].Name)
		}
	}
	r := rand.New(rand.NewPCG(s.Seed, 1))
	r.Shuffle(len(visible), func(i, j int) { visible[i], visible[j] = visible[j], visible[i] })
	for _, name := range visible[:min(len(visible), s.Drawn)] {
		drawn[name] = true
	}
	for i := range s.Bugs {
		b, n := &s.Bugs[i], 1
		if b.Hidden != "" {
			continue
		}
		if drawn[b.Name] {
			n = s.Trials
		}
		for k := range n {
			list = append(list, trial{b, s.Seed + uint64(k)*1000})
		}
	}
	return list
}

// bug is the one of a name; nil: there is none, or no score.
func (s *Score) bug(name string) *BugScore {
	if s == nil {
		return nil
	}
	for i := range s.Bugs {
		if s.Bugs[i].Name == name {
			return &s.Bugs[i]
		}
	}
	return nil
}

// note adds a trial that was made.
func (b *BugScore) note(seed uint64, report *Report, took time.Duration) {
	t := Try{Seed: seed, Connections: report.Executions, Seconds: took.Seconds()}
	if len(report.Found) > 0 {
		f := slices.MinFunc(report.Found, func(a, b *Finding) int { return cmp.Compare(a.After, b.After) })
		t.Found, t.Connections, t.Seconds = true, f.Connections, min(took, f.After+time.Millisecond).Seconds()
		b.Law, b.Says = f.Law, f.Says
	}
	b.Tries = append(b.Tries, t)
	b.settle()
}

// settle computes what follows from the trials.
func (b *BugScore) settle() {
	var connections, seconds []float64
	for _, t := range b.Tries {
		if t.Found {
			connections, seconds = append(connections, float64(t.Connections)), append(seconds, t.Seconds)
		}
	}
	b.Trials, b.Found = len(b.Tries), len(connections)
	b.Connections, b.Seconds = spreadOf(connections, b.Trials), spreadOf(seconds, b.Trials)
}

// spreadOf is the median of n trials and its interval, by the order of the times: a binomial
// interval that assumes nothing of their distribution. Trials without a time were longer than any.
func spreadOf(times []float64, n int) Spread {
	slices.Sort(times)
	at := func(rank int) float64 { // counted from 0; -1: no finding in time
		if rank < 0 || rank >= len(times) {
			return -1
		}
		return times[rank]
	}
	if n == 0 {
		return Spread{-1, -1, -1}
	}
	median := at((n - 1) / 2)
	if n%2 == 0 && median >= 0 && at(n/2) >= 0 {
		median = (median + at(n/2)) / 2
	} else if n%2 == 0 {
		median = at(n / 2)
	}
	// The largest k with P(Bin(n, 1/2) < k) <= 2.5 %.
	k, sum := 0, binomial(n, 0)
	for sum <= 0.025 && k < n/2 {
		k++
		sum += binomial(n, k)
	}
	if k == 0 {
		return Spread{median, 0, -1}
	}
	return Spread{median, at(k - 1), at(n - k)}
}

func binomial(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(a - b - c - float64(n)*math.Ln2)
}
