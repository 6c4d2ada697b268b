package cases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// The kinds of GridCase.
const (
	GridAllowed   = "allowed"   // a combination that the profile allows completes
	GridReading   = "reading"   // so does one under another reading of a switch
	GridForbidden = "forbidden" // a combination that it does not allow is refused, with a reason
	GridFault     = "fault"     // a fault is rejected by the right side with the right alert
)

// GridKinds are the kinds in the order of a grid.
var GridKinds = []string{GridAllowed, GridReading, GridForbidden, GridFault}

// GridCase is one case of a profile's grid.
type GridCase struct {
	Profile  string            `json:"profile"`
	Kind     string            `json:"kind"`
	Scenario scenario.Scenario `json:"scenario"`
}

// String names the case; a reading is named with its switch.
func (c *GridCase) String() string {
	s := c.Kind + " " + c.Scenario.String()
	if c.Kind == GridReading {
		for _, name := range slices.Sorted(maps.Keys(c.Scenario.Readings)) {
			s += " " + name + "=" + c.Scenario.Readings[name]
		}
	}
	return s
}

// GridResult is the outcome of a case; Error is empty when it ended as expected.
type GridResult struct {
	GridCase
	Error string `json:"error,omitempty"`
	Note  string `json:"note,omitempty"` // how a reading failed that could not but fail
}

// Grid lists the cases of the profile that a scenario names: every combination of
// attester, model and credential, allowed or not, every reading of every switch
// under each model and credential, and every fault that can be provoked. The
// scenario's readings and code points hold in all of them.
func (t *Table) Grid(s scenario.Scenario) ([]GridCase, error) {
	p, err := s.Load()
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, errors.New("a grid needs a profile")
	}
	s.Compiled = p
	g := grid{p: p}
	g.combinations(s)
	if err := g.readings(s); err != nil {
		return nil, err
	}
	for _, c := range t.Faults(p, s) {
		if c.Rejects != "" && !c.PerReading() {
			g.add(GridFault, c.Scenario)
		}
	}
	slices.SortStableFunc(g.cases, func(a, b GridCase) int { return slices.Index(GridKinds, a.Kind) - slices.Index(GridKinds, b.Kind) })
	return g.cases, nil
}

type grid struct {
	p     *profile.Profile
	cases []GridCase
}

func (g *grid) add(kind string, s scenario.Scenario) {
	g.cases = append(g.cases, GridCase{g.p.ID, kind, s})
}

func (g *grid) combinations(s scenario.Scenario) {
	for _, c := range s.Combinations(g.p) {
		kind := GridAllowed
		if c.Reason != "" {
			kind = GridForbidden
		}
		if !g.p.AttestsOnlyAfter() || !c.Attester.Has(attls.RoleClient) || kind == GridForbidden {
			g.add(kind, s.With(c))
		}
		if later := s.With(c); kind == GridAllowed && later.NotLater(g.p) == "" {
			later.PostHandshake = true
			g.add(kind, later)
		}
	}
}

// readings takes each reading that is not in force, one at a time, with as many
// attesters as each model and credential allows. Where a reading changes what the
// binder makes of a HelloRetryRequest there is one.
func (g *grid) readings(s scenario.Scenario) error {
	for _, r := range g.p.Readings {
		for _, option := range r.Options {
			if option == r.Chosen {
				continue
			}
			under := s.Reading(map[string]string{r.Switch: option})
			p, err := under.Load()
			if err != nil {
				return fmt.Errorf("with %s=%s: %w", r.Switch, option, err)
			}
			under.Compiled = p
			under.HelloRetry = s.HelloRetry || retryMatters(g.p, p)
			for _, c := range widest(&under, p) {
				g.add(GridReading, under.With(c))
			}
		}
	}
	return nil
}

func retryMatters(a, b *profile.Profile) bool {
	return a.Binder.Program != nil && b.Binder.Program != nil && a.Binder.Program.Variant() != b.Binder.Program.Variant()
}

// widest are the allowed combinations, of each model and credential the one with
// the most attesters.
func widest(s *scenario.Scenario, p *profile.Profile) []scenario.Combination {
	var list []scenario.Combination
	for _, c := range s.Combinations(p) {
		if c.Reason != "" {
			continue
		}
		i := slices.IndexFunc(list, func(o scenario.Combination) bool { return o.Model == c.Model && o.Credential == c.Credential })
		switch {
		case i < 0:
			list = append(list, c)
		case len(c.Attester.Roles()) > len(list[i].Attester.Roles()):
			list[i] = c
		}
	}
	return list
}

// runCase runs a case over a real connection.
func (t *Table) runCase(ctx context.Context, c *GridCase, env *scenario.Environment) GridResult {
	result := GridResult{GridCase: *c}
	r := scenario.Run(ctx, c.Scenario, scenario.Find(t.Find), scenario.In(env))
	err := r.Err
	var forbidden *scenario.ForbiddenError
	switch {
	case c.Kind == GridForbidden && errors.As(err, &forbidden):
		if err = nil; !strings.HasSuffix(forbidden.Reason, ".") {
			err = fmt.Errorf("refused without a sentence that says why: %q", forbidden.Reason)
		}
	case c.Kind == GridForbidden && err == nil:
		err = errors.New("completed, though the profile forbids it")
	case c.Kind != GridFault && err == nil:
		err = r.Agree()
	case c.Kind == GridReading && contextTooLong(&r):
		result.Note, err = "acknowledged as context_bound: "+err.Error(), nil
	}
	if err != nil {
		result.Error = err.Error()
	}
	return result
}

// contextTooLong reports whether a run failed because the context of an HkdfLabel
// has room for 255 octets, where the profile acknowledges that its text puts
// something of any length there.
func contextTooLong(r *scenario.Result) bool {
	if r.Profile == nil {
		return false
	}
	acknowledged := slices.ContainsFunc(r.Profile.Flaws, func(f profile.Flaw) bool { return f.Name == "context_bound" })
	return acknowledged && slices.ContainsFunc(r.Claims[:], func(c claims.Claims) bool {
		return c.Error != nil && c.Error.Failure == string(attls.FailBinderUndefined)
	})
}

// RunGrid runs cases of the table's Grid, so many at a time, and returns their results in the order
// of the cases. done, when set, is called after each, not concurrently. Cases that
// a cancelled context leaves over have its error.
func (t *Table) RunGrid(ctx context.Context, cases []GridCase, parallel int, done func(*GridResult)) []GridResult {
	results := make([]GridResult, len(cases))
	env, broken := scenario.NewEnvironment() // one for all: an emulator may take long to make
	next := make(chan int)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range max(parallel, 1) {
		wait.Go(func() {
			for i := range next {
				r := GridResult{GridCase: cases[i]}
				if err := cmp.Or(ctx.Err(), broken); err != nil {
					r.Error = err.Error()
				} else {
					r = t.runCase(ctx, &cases[i], env)
				}
				results[i] = r
				if done != nil {
					mu.Lock()
					done(&r)
					mu.Unlock()
				}
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	wait.Wait()
	return results
}

// GridSummary counts the results of one profile.
type GridSummary struct {
	Profile string         `json:"profile"`
	Cases   map[string]int `json:"cases"` // by kind
	Failed  int            `json:"failed"`
}

// SummarizeGrid counts results, profile by profile in their order.
func SummarizeGrid(results []GridResult) []GridSummary {
	var list []GridSummary
	for i := range results {
		r := &results[i]
		if len(list) == 0 || list[len(list)-1].Profile != r.Profile {
			list = append(list, GridSummary{Profile: r.Profile, Cases: map[string]int{}})
		}
		s := &list[len(list)-1]
		s.Cases[r.Kind]++
		if r.Error != "" {
			s.Failed++
		}
	}
	return list
}
