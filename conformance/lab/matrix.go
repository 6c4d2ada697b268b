package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
)

// Cell is one attack on one combination of one profile, with its control.
type Cell struct {
	Attack  string      `json:"attack"`
	Profile string      `json:"profile"`
	Combo   Combination `json:"combination"`
	Lax     Lax         `json:"lax,omitempty"`
	Variant string      `json:"variant,omitempty"` // readings that differ
	Stack   string      `json:"stack,omitempty"`   // of the honest ends, where it is not this module
	// Readings are those of the profile that are not its defaults.
	Readings     string      `json:"readings,omitempty"`
	Result       *Result     `json:"result,omitempty"`
	Inapplicable string      `json:"not_applicable,omitempty"` // why, as a predicate says
	Control      *Controlled `json:"control,omitempty"`
	// Manner says how honest ends of this module refuse, where those of Stack do otherwise.
	Manner string `json:"manner,omitempty"`
	// Error says why the cell could not be run, or that the control did not end as required.
	Error string `json:"error,omitempty"`
	// Proofs are what models say of the goals that the script's success would refute; see
	// Prover.
	Proofs []Proof `json:"proofs,omitempty"`

	foreign bool // see Options.Foreign
}

// Controlled is a control and how it ended.
type Controlled struct {
	Name   string  `json:"name"`
	Must   string  `json:"must"`
	Result *Result `json:"result"`
}

// OK reports whether the control ended as its kind demands.
func (c *Controlled) OK() bool {
	if c.Must == "accept" {
		return c.Result.Outcome == Accepted
	}
	return c.Result.Outcome == Rejected
}

// Key names the cell: attack/profile/attester/model/credential.
func (c *Cell) Key() string {
	key := c.Attack + "/" + c.Profile + "/" + c.Combo.String()
	if c.Variant != "" {
		key += "/" + c.Variant
	}
	if c.Lax != "" {
		key += "/" + string(c.Lax)
	}
	if c.Stack != "" {
		key += "/" + c.Stack
	}
	if c.Readings != "" {
		key += "/" + c.Readings
	}
	return key
}

// FileName is the key as the name of a file.
func (c *Cell) FileName() string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("/=, ", r) {
			return '_'
		}
		return r
	}, c.Key())
}

// Options choose what a matrix has.
type Options struct {
	Scripts  []*Script
	Profiles []*profile.Profile
	// Capabilities, where it is not empty, leaves out the scripts that grant others.
	Capabilities []Capability
	// Foreign are the identifiers of profiles and attacks that do not come with this program,
	// or were changed: outcomes of theirs are not compared with stored ones.
	Foreign  []string
	Lax      Lax
	Stacks   Stacks // of the honest ends
	Parallel int    // 0: 2
	Detailed bool   // keep what the pages of runs show
	// Only, where it is not empty, leaves out the cells with another key.
	Only string
	// Count is told how many cells there are, and Progress each that is done, by several
	// goroutines.
	Count    func(int)
	Progress func(*Cell)

	silence time.Duration // of programs; see programs
}

// Run fills the matrix: every script on every profile.
func Run(ctx context.Context, o Options) ([]*Cell, error) {
	var cells []*Cell
	var jobs []func()
	for _, s := range o.Scripts {
		if len(o.Capabilities) > 0 && slices.ContainsFunc(s.Capabilities, func(c Capability) bool {
			return !slices.Contains(o.Capabilities, c)
		}) {
			continue
		}
		for _, p := range o.Profiles {
			list, err := combinations(p)
			if err != nil {
				return nil, err
			}
			for _, c := range list {
				if !slices.Contains(s.Attesters, c.Attester) {
					continue
				}
				for _, v := range s.variants(p) {
					cell := &Cell{Attack: s.Name, Profile: p.ID, Combo: c, Lax: o.Lax, Variant: v.name, Stack: o.Stacks.String(),
						Readings: readingsIn(p),
						foreign:  slices.Contains(o.Foreign, s.Name) || slices.Contains(o.Foreign, p.ID)}
					if o.Only != "" && o.Only != cell.Key() {
						continue
					}
					cells = append(cells, cell)
					jobs = append(jobs, func() {
						cell.run(ctx, s, p, v.parties, &o)
						if o.Progress != nil {
							o.Progress(cell)
						}
					})
				}
			}
		}
	}
	if o.Count != nil {
		o.Count(len(jobs))
	}
	parallel := o.Parallel
	if parallel <= 0 {
		parallel = 2
	}
	each(ctx, parallel, jobs)
	return cells, ctx.Err()
}

// variant is one choice of readings.
type variant struct {
	name    string
	parties map[string]Settings
}

// variants are the choices of readings of a script under a profile, without those in which
// client and server read alike; one that changes nothing where the script varies nothing.
func (s *Script) variants(p *profile.Profile) []variant {
	list := []variant{{}}
	for _, party := range sortedKeys(s.Vary) {
		name := s.Vary[party]
		var more []variant
		for _, v := range list {
			for _, reading := range readingsOf(p, name) {
				w := variant{v.name, maps.Clone(v.parties)}
				if w.parties == nil {
					w.parties = map[string]Settings{}
				}
				if w.name != "" {
					w.name += ","
				}
				w.name += party + "=" + reading
				w.parties[party] = Settings{"reading": {Map: map[string]string{name: reading}}}
				more = append(more, w)
			}
		}
		if more != nil {
			list = more
		}
	}
	return slices.DeleteFunc(list, func(v variant) bool {
		c, s := v.parties["client"]["reading"].Map, v.parties["server"]["reading"].Map
		return c != nil && maps.Equal(c, s)
	})
}

// each does the jobs, so many at a time.
func each(ctx context.Context, parallel int, jobs []func()) {
	queue := make(chan func())
	var wait sync.WaitGroup
	for range parallel {
		wait.Go(func() {
			for job := range queue {
				job()
			}
		})
	}
	for _, job := range jobs {
		if ctx.Err() != nil {
			break
		}
		queue <- job
	}
	close(queue)
	wait.Wait()
}

// run runs the attack and the control that its outcome asks for.
func (c *Cell) run(ctx context.Context, s *Script, p *profile.Profile, vary map[string]Settings, o *Options) {
	for _, x := range s.Applies {
		if reason := x.Reason(p, &c.Combo); reason != "" {
			c.Inapplicable = reason
			return
		}
	}
	if len(p.Frames) > 0 {
		c.Inapplicable = "it attests in frames of the application, for which scripts have no steps yet"
		return
	}
	parties := []map[string]Settings{s.Parties, vary}
	if c.Inapplicable = o.Stacks.limit(s, s.Steps, parties, p, &c.Combo, c.Lax); c.Inapplicable != "" {
		return
	}
	with := runOptions{lax: c.Lax, detailed: o.Detailed, granted: s.Capabilities, stacks: o.Stacks,
		silence: o.silence}
	var err error
	if c.Result, err = execute(ctx, s, s.Steps, parties, p, c.Combo, with); err != nil {
		c.Error = err.Error()
		return
	}
	if o.Stacks.others() && !c.agrees(ctx, s, parties, p, with) {
		return
	}
	if s.Bound != nil && c.Result.Measured[s.Bound.Measure] > s.Bound.Most {
		c.Error = fmt.Sprintf("%d %s; the bound is %d", c.Result.Measured[s.Bound.Measure], s.Bound.Measure, s.Bound.Most)
	}
	if control := s.controlOf(c.Result.Outcome); control != nil {
		c.control(ctx, control, s, parties, p, o.Stacks)
	}
}

// agrees runs the cell with this module at both ends as well, which must end alike.
func (c *Cell) agrees(ctx context.Context, s *Script, parties []map[string]Settings, p *profile.Profile,
	with runOptions) bool {
	alone := with
	alone.stacks, alone.detailed = Stacks{}, false
	result, err := execute(ctx, s, s.Steps, parties, p, c.Combo, alone)
	if err != nil {
		c.Error = "with " + ThisModule + ": " + err.Error()
		return false
	}
	c.Error, c.Manner = with.stacks.disagreement(c.Result, result), with.stacks.manner(c.Result, result)
	return c.Error == ""
}

// control runs the control of a cell.
func (c *Cell) control(ctx context.Context, control *Control, s *Script, parties []map[string]Settings,
	p *profile.Profile, stacks Stacks) {
	steps, granted := control.apply(s)
	parties = append(slices.Clone(parties), control.Parties)
	note := ""
	if reason := stacks.limit(s, steps, parties, p, &c.Combo, c.Lax); reason != "" {
		stacks, note = Stacks{}, ", with "+ThisModule+" at both ends, since "+reason
	}
	// A check that a lax relying party leaves out may be the one that the control is about:
	// then the control is judged by a relying party that makes it.
	for _, lax := range slices.Compact([]Lax{c.Lax, ""}) {
		with := runOptions{lax: lax, granted: granted, stacks: stacks}
		result, err := execute(ctx, s, steps, parties, p, c.Combo, with)
		if err != nil {
			c.Error = "the control: " + err.Error()
			return
		}
		c.Control = &Controlled{Name: control.Name + note, Must: control.Must, Result: result}
		if lax != c.Lax {
			c.Control.Name += ", and the relying party makes the check"
		}
		if c.Control.OK() {
			return
		}
	}
	if c.Control.Result.Failure == string(attls.FailBinderUndefined) && acknowledges(p, "context_bound") {
		c.Inapplicable = "the profile acknowledges (context_bound) that honest ends cannot compute the binder over this " +
			"key or certificate: " + c.Control.Result.Detail
		c.Result, c.Control = nil, nil
		return
	}
	if slices.Contains(c.Combo.depends(p).Secrets, binder.ECDHE) && slices.ContainsFunc(steps, withSecret) {
		c.Inapplicable = "the attacker knows the Handshake Secret, and the binder is made from the shared secret of the " +
			"key exchange, so that no control can have Evidence with the right one"
		c.Result, c.Control = nil, nil
		return
	}
	c.Error = fmt.Sprintf("the control (%s) must %s, and it ended so: %s", control.Name, control.Must, c.Control.Result)
	if d := c.Control.Result.Detail; d != "" && c.Control.Result.Outcome == Rejected {
		c.Error += ": " + d
	}
}

// withSecret reports whether a step uses the Handshake Secret of honest ends.
func withSecret(s *Step) bool { return s.With["secret"].Text == "hs" }

// acknowledges reports whether a profile knows of a defect of its text.
func acknowledges(p *profile.Profile, flaw string) bool {
	return slices.ContainsFunc(p.Flaws, func(f profile.Flaw) bool { return f.Name == flaw })
}

// controlOf is the control for an outcome. An attack that cannot be mounted has that of one
// that is rejected.
func (s *Script) controlOf(o Outcome) *Control {
	when := "rejected"
	if o == Accepted {
		when = "accepted"
	}
	i := slices.IndexFunc(s.Controls, func(c *Control) bool { return c.When == when || c.When == "always" })
	if i < 0 {
		return nil
	}
	return s.Controls[i]
}
