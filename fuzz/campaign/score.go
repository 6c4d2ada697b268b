package campaign

import (
	"cmp"
	"context"
	"fmt"
	"html"
	"io"
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
	// Each is called after each trial.
	Each func(BugScore)
}

// Kinds are the kinds of campaign that can be scored.
var Kinds = []string{"terms", "terms-without-forks", "octets", StackKind}

// BugScore is how a campaign did with one planted bug.
type BugScore struct {
	Name    string    `json:"name"`
	Profile string    `json:"profile,omitempty"`
	Role    string    `json:"role"`
	Text    string    `json:"text"`
	Hidden  string    `json:"hidden,omitempty"` // why no peer can see it; it was not tried
	Trials  int       `json:"trials"`
	Found   int       `json:"found"`
	Seconds []float64 `json:"seconds"` // to the first finding; of the trials that had one
	Law     string    `json:"law,omitempty"`
	Says    string    `json:"says,omitempty"`
	// Reached and Triggered are those of the campaign with all rules in force.
	Reached   bool `json:"reached"`
	Triggered bool `json:"triggered"`
	// Median is the median of the seconds, with the trials that found nothing counted as
	// longer than any; Low and High are its confidence interval of 95 %. -1: more than Time.
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
	Bugs        []BugScore `json:"bugs"`
	// Noise are findings of the campaign with all rules in force: there must be none.
	Noise []string `json:"noise,omitempty"`
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

func (o *ScoreOptions) campaign(t *Target, p *Plant, seed uint64) Options {
	return Options{Targets: []*Target{t}, Workers: 1, Seed: seed, Time: o.Time, Executions: o.Executions, Plant: p,
		FirstOnly: p != nil, NoForks: o.Kind != "terms", Octets: o.Kind == "octets"}
}

// Measure scores a campaign. A bug is detected when a law is broken in a campaign in which
// one end has it; the campaign begins without a corpus.
func Measure(ctx context.Context, o ScoreOptions) (*Score, error) {
	if o.Kind == StackKind {
		return measureStack(ctx, &o)
	}
	if !slices.Contains(Kinds, o.Kind) {
		return nil, fmt.Errorf("no campaign is called %q; there are %v", o.Kind, Kinds)
	}
	all, err := Plants()
	if err != nil {
		return nil, err
	}
	for _, name := range o.Bugs {
		if !slices.ContainsFunc(all, func(p Plant) bool { return p.Name == name }) {
			return nil, fmt.Errorf("no bug is called %q", name)
		}
	}
	score := &Score{Kind: o.Kind, Seconds: o.Time.Seconds(), Connections: o.Executions, Seed: o.Seed}
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
	if err := score.sound(ctx, &o, targets); err != nil {
		return nil, err
	}
	score.try(ctx, &o, func(name string, seed uint64) (*Report, error) {
		i := slices.IndexFunc(all, func(p Plant) bool { return p.Name == name })
		return Run(ctx, o.campaign(under[name], &all[i], seed))
	})
	for i := range score.Bugs {
		score.Bugs[i].settle()
	}
	return score, nil
}

// sound runs the campaign with all rules in force: it counts what is reached and
// triggered, and must find nothing.
func (s *Score) sound(ctx context.Context, o *ScoreOptions, targets map[string]*Target) error {
	for name, t := range targets {
		sites := sitesOf(t)
		options := o.campaign(t, nil, o.Seed)
		options.sites = sites
		report, err := Run(ctx, options)
		if err != nil {
			return err
		}
		for _, f := range report.Found {
			s.Noise = append(s.Noise, f.Cause)
		}
		for i := range s.Bugs {
			b := &s.Bugs[i]
			if b.Profile != name {
				continue
			}
			for _, x := range sites {
				if x.rule == b.Name {
					b.Reached = b.Reached || x.reached.Load() > 0
					b.Triggered = b.Triggered || x.triggered.Load() > 0
				}
			}
		}
	}
	return nil
}

// try makes the trials, of campaigns that run makes.
func (s *Score) try(ctx context.Context, o *ScoreOptions, run func(name string, seed uint64) (*Report, error)) {
	drawn := map[string]bool{}
	var visible []string
	for i := range s.Bugs {
		if s.Bugs[i].Hidden == "" {
			visible = append(visible, s.Bugs[i].Name)
		}
	}
	r := rand.New(rand.NewPCG(o.Seed, 1))
	r.Shuffle(len(visible), func(i, j int) { visible[i], visible[j] = visible[j], visible[i] })
	for _, name := range visible[:min(len(visible), cmp.Or(o.Drawn, 20))] {
		drawn[name] = true
	}
	type trial struct {
		bug  *BugScore
		seed uint64
	}
	work := make(chan trial)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range max(o.Side, 1) {
		wait.Go(func() {
			for x := range work {
				began := time.Now()
				report, err := run(x.bug.Name, x.seed)
				mu.Lock()
				if err == nil && (ctx.Err() == nil || len(report.Found) > 0) {
					x.bug.Trials++
					if len(report.Found) > 0 {
						f := slices.MinFunc(report.Found, func(a, b *Finding) int { return cmp.Compare(a.After, b.After) })
						x.bug.Found++
						x.bug.Seconds = append(x.bug.Seconds, min(time.Since(began), f.After+time.Millisecond).Seconds())
						x.bug.Law, x.bug.Says = f.Law, f.Says
					}
				}
				if o.Each != nil {
					o.Each(*x.bug)
				}
				mu.Unlock()
			}
		})
	}
	for i := range s.Bugs {
		b := &s.Bugs[i]
		if b.Hidden != "" {
			continue
		}
		n := 1
		if drawn[b.Name] {
			n = max(o.Trials, 1)
		}
		for k := range n {
			if ctx.Err() != nil {
				break
			}
			work <- trial{b, o.Seed + uint64(k)*1000}
		}
	}
	close(work)
	wait.Wait()
}

// settle computes the median and its interval, by the order of the times: a binomial
// interval that assumes nothing of their distribution.
func (b *BugScore) settle() {
	times := slices.Clone(b.Seconds)
	slices.Sort(times)
	at := func(rank int) float64 { // counted from 0; -1: no finding in time
		if rank < 0 || rank >= len(times) {
			return -1
		}
		return times[rank]
	}
	n := b.Trials
	if n == 0 {
		b.Median, b.Low, b.High = -1, -1, -1
		return
	}
	b.Median = at((n - 1) / 2)
	// The largest k with P(Bin(n, 1/2) < k) <= 2.5 %.
	k, sum := 0, 0.0
	for sum += binomial(n, 0); sum <= 0.025 && k < n/2; sum += binomial(n, k) {
		k++
	}
	low, high := max(k-1, 0), n-1-max(k-1, 0)
	b.Low, b.High = at(low), at(high)
}

func binomial(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(a - b - c - float64(n)*math.Ln2)
}

// WriteSVG writes survival curves: the share of the visible bugs that each campaign had
// not detected after a time, on a logarithmic axis.
func WriteSVG(w io.Writer, scores ...*Score) error {
	const width, height, left, bottom, top = 720, 380, 56, 44, 40
	longest := 1.0
	for _, s := range scores {
		longest = max(longest, s.Seconds)
	}
	const first = 0.01 // seconds
	x := func(t float64) float64 {
		return left + (width-left-16)*math.Log(max(t, first)/first)/math.Log(longest/first)
	}
	y := func(share float64) float64 { return top + (height-top-bottom)*(1-share) }
	p := func(format string, args ...any) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	}
	if err := p(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" `+
		`font-family="system-ui, sans-serif" font-size="12">`, width, height, width, height); err != nil {
		return err
	}
	_ = p(`<title>Planted bugs that are not detected yet</title><rect width="100%%" height="100%%" fill="#ffffff"/>`)
	for _, share := range []float64{0, 0.1, 0.25, 0.5, 0.75, 1} {
		_ = p(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#d5dbe1"/>`+
			`<text x="%d" y="%.1f" text-anchor="end">%.0f %%</text>`,
			left, width-16, y(share), y(share), left-6, y(share)+4, 100*share)
	}
	for t := first; t <= longest*1.001; t *= 10 {
		_ = p(`<text x="%.1f" y="%d" text-anchor="middle">%g s</text>`, x(t), height-bottom+18, t)
	}
	_ = p(`<text x="%d" y="%d">time of the campaign</text>`, left, height-8)
	colours := []string{"#1f5f9e", "#b0461e", "#3b7a3b", "#6d3a96"}
	for i, s := range scores {
		var times []float64
		n := 0
		for k := range s.Bugs {
			b := &s.Bugs[k]
			if b.Hidden != "" || b.Trials == 0 {
				continue
			}
			n++
			if b.Median >= 0 {
				times = append(times, b.Median)
			}
		}
		slices.Sort(times)
		path := fmt.Sprintf("M %.1f %.1f", x(first), y(1))
		for k, t := range times {
			path += fmt.Sprintf(" H %.1f V %.1f", x(t), y(1-float64(k+1)/float64(max(n, 1))))
		}
		path += fmt.Sprintf(" H %.1f", x(s.Seconds))
		c := colours[i%len(colours)]
		_ = p(`<path d="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%d" fill="%s">%s: %d of %d</text>`,
			path, c, left+8+i*210, 20, c, html.EscapeString(s.Kind), len(times), n)
	}
	return p("</svg>")
}
