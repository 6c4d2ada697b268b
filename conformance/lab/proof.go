package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"attls/conformance/model"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// Proof is what a model says of a goal under the capabilities of a script.
type Proof struct {
	Goal    model.Goal    `json:"goal"`
	Verdict model.Verdict `json:"verdict,omitempty"` // "": there is no such model
	Reason  string        `json:"reason,omitempty"`  // why there is none, or why it was not decided
	// Section is the kind of attack that a counterexample is; "" where it is of none.
	Section string `json:"section,omitempty"`
	Says    string `json:"says,omitempty"` // who accepts whose Evidence in it
	// Counterexample is the whole trace where no script of the matrix is of its kind.
	Counterexample string        `json:"counterexample,omitempty"`
	Took           time.Duration `json:"took,omitempty"`
}

// String is the proof in a line.
func (p Proof) String() string {
	s := string(p.Goal) + ": "
	switch {
	case p.Verdict == "":
		return s + "no model: " + p.Reason
	case p.Reason != "":
		return s + string(p.Verdict) + ": " + p.Reason
	case p.Section != "":
		s += string(p.Verdict) + ", of the kind " + p.Section
	case p.Says != "":
		s += string(p.Verdict) + ", of no kind that a script has"
	default:
		s += string(p.Verdict)
	}
	if p.Says != "" {
		s += ": " + p.Says
	}
	return s
}

// Prover runs models for the cells of a matrix: one for each goal that a script's success
// would refute, under the capabilities of the script.
type Prover struct {
	Program  string
	Limits   model.Limits
	Parallel int // 0: 1
	// Count is told how many models there are, and Progress each that was run.
	Count    func(int)
	Progress func(name string)
	// run is model.Run; tests have another.
	run func(context.Context, string, []byte, model.Limits) (*model.Outcome, error)
}

// job is one model, and the cells that want to know.
type job struct {
	name  string
	text  []byte
	cells []wanted
}

type wanted struct {
	cell  *Cell
	proof int // index into Proofs of the cell
}

// Prove fills Proofs of the cells. A run that succeeded and a proof of the goal that it
// refutes contradict each other: the cell fails. The error is that of the program, or of
// the context.
func (v *Prover) Prove(ctx context.Context, o Options, cells []*Cell) error {
	jobs := v.jobs(o, cells)
	if v.Count != nil {
		v.Count(len(jobs))
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var one sync.Mutex
	var todo []func()
	for _, j := range jobs {
		todo = append(todo, func() {
			run := v.run
			if run == nil {
				run = model.Run
			}
			outcome, err := run(ctx, v.Program, j.text, v.Limits)
			one.Lock()
			defer one.Unlock()
			if err != nil {
				stop(fmt.Errorf("%s: %w", j.name, err))
				return
			}
			for _, w := range j.cells {
				w.cell.prove(w.proof, outcome, o.Scripts)
			}
			if v.Progress != nil {
				v.Progress(j.name)
			}
		})
	}
	each(ctx, max(v.Parallel, 1), todo)
	return context.Cause(ctx)
}

// jobs are the models of cells; cells whose models are the same text share one.
func (v *Prover) jobs(o Options, cells []*Cell) (list []*job) {
	known := map[[sha256.Size]byte]*job{}
	for _, c := range cells {
		s := find(o.Scripts, func(s *Script) bool { return s.Name == c.Attack })
		p := find(o.Profiles, func(p *profile.Profile) bool { return p.ID == c.Profile })
		if s == nil || p == nil || c.Result == nil || c.special() || c.Variant != "" {
			continue
		}
		for _, g := range s.Refutes {
			text, err := c.model(s, p, g)
			c.Proofs = append(c.Proofs, Proof{Goal: g})
			at := len(c.Proofs) - 1
			if err != nil {
				c.Proofs[at].Reason = err.Error()
				continue
			}
			sum := sha256.Sum256(text)
			j := known[sum]
			if j == nil {
				j = &job{name: c.Key() + " " + string(g), text: text}
				known[sum], list = j, append(list, j)
			}
			j.cells = append(j.cells, wanted{c, at})
		}
	}
	return list
}

func find[T any](list []*T, is func(*T) bool) *T {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return nil
}

// model writes the model of a cell.
func (c *Cell) model(s *Script, p *profile.Profile, g model.Goal) ([]byte, error) {
	if c.Combo.Attester == scenario.AttestBoth {
		return nil, errors.New("models have one attester")
	}
	if g == model.GoalMachine && !predicates["name_checked"].holds(p, &c.Combo) && predicates["pkix"].holds(p, &c.Combo) &&
		predicates["x509"].holds(p, &c.Combo) {
		return nil, errors.New("a server compares no name of a client with one that it expects, and in models the name " +
			"that is expected is the one in the certificate")
	}
	o := model.Options{Attester: c.Combo.role, Goal: g, Model: c.Combo.model, Credential: &c.Combo.kind,
		Pinned: s.Parties["relying_party"]["pin"].Text == "platform"}
	for _, x := range s.Capabilities {
		o.Capabilities = append(o.Capabilities, model.Capability(x))
	}
	return model.Generate(p, o)
}

// prove takes the outcome of a model into a cell.
func (c *Cell) prove(i int, outcome *model.Outcome, scripts []*Script) {
	p := &c.Proofs[i]
	p.Verdict, p.Reason, p.Took = outcome.Verdict, outcome.Reason, outcome.Took
	if a := outcome.Acceptance; a != nil {
		p.Section, p.Says = a.Section(), a.String()
	}
	like := func(s *Script) bool {
		section, _, _ := strings.Cut(s.Section, " ") // without (a)
		return section == p.Section
	}
	if p.Section == "" || find(scripts, like) == nil {
		p.Counterexample = outcome.Counterexample
	}
	if p.Verdict == model.Proved && c.Result.Outcome == Accepted {
		c.Error = fmt.Sprintf("a contradiction: the attack succeeded, and ProVerif proves the goal %s under the same "+
			"capabilities", p.Goal)
	}
}

// CountProofs counts the answers of models in cells, by verdict; "" are those without a
// model. A model that several cells share counts for each.
func CountProofs(cells []*Cell) map[model.Verdict]int {
	n := map[model.Verdict]int{}
	for _, c := range cells {
		for _, p := range c.Proofs {
			n[p.Verdict]++
		}
	}
	return n
}
