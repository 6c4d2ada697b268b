// Package report holds the results of runs between stacks: as JSON, which can be
// merged, and as one HTML page that needs no other file.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/dissect"
	"attls/conformance/scenario"
	"attls/conformance/trace"
)

// Schema names the shape of a Report.
const Schema = "attls-report/1"

// Report is what a set of runs came to. It is also what runs of a part of a grid
// leave to be merged.
type Report struct {
	Schema  string    `json:"schema"`
	Title   string    `json:"title"`
	Version string    `json:"version,omitempty"` // of attls
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	Program string    `json:"program,omitempty"` // attls as it was called; begins the command of each run
	Command string    `json:"command,omitempty"` // that made the report
	Grid    *Grid     `json:"grid,omitempty"`    // nil: the runs are not part of one
	Shards  []Shard   `json:"shards,omitempty"`  // of the grid, that are in the report
	Stacks  []Stack   `json:"stacks,omitempty"`
	Runs    []Run     `json:"runs"`
	// Requirements are the rows of the texts behind the cases, where faults are
	// among them.
	Requirements []Requirement `json:"requirements,omitempty"`

	name string // of the file it was read from
}

// Stack is what is known of a stack that takes part.
type Stack struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Where   string `json:"where,omitempty"`   // the path of its program
	Missing string `json:"missing,omitempty"` // why it is not available
}

// Outcome is what a run came to.
type Outcome string

// The outcomes; Failed alone is unexpected.
const (
	Passed    Outcome = "passed"
	Failed    Outcome = "failed"
	Deviation Outcome = "deviation" // failed as it is known to; Reason says why that is expected
	Limit     Outcome = "limit"     // an end cannot do what the scenario asks for
	Skipped   Outcome = "skipped"   // an end is not here
)

// Outcomes lists them, the ones to look at first.
var Outcomes = []Outcome{Failed, Deviation, Passed, Limit, Skipped}

// Run is one connection between two stacks, or the reason why there was none.
type Run struct {
	// ID is unique in a report: the stacks and the scenario.
	ID       string            `json:"id"`
	Number   int               `json:"number,omitempty"` // in the grid, from 1
	Client   string            `json:"client"`           // stack
	Server   string            `json:"server"`
	Scenario scenario.Scenario `json:"scenario"`
	Outcome  Outcome           `json:"outcome"`
	// Reason says why a run did not pass, in a sentence. Of one that passed it says that
	// it does what other releases of the stack do not.
	Reason string `json:"reason,omitempty"`
	// Places say where the stacks differ in a run that failed: message, field, octet, and
	// the line of the profile.
	Places       []string       `json:"places,omitempty"`
	ClientClaims *claims.Claims `json:"client_claims,omitempty"`
	ServerClaims *claims.Claims `json:"server_claims,omitempty"`
	// Earlier is what client and server claim of the connection whose session this
	// one brings back.
	Earlier []claims.Claims   `json:"earlier,omitempty"`
	Ladder  []trace.Step      `json:"ladder,omitempty"`
	Binders []scenario.Binder `json:"binders,omitempty"`
	Fault   *cases.Case       `json:"fault,omitempty"` // that was injected
	// Requirements are the rows that the fault is about.
	Requirements []string `json:"requirements,omitempty"`
	// Findings are the rules that were seen to be broken in a recording of the run.
	Findings []dissect.Finding `json:"findings,omitempty"`
	Capture  string            `json:"capture,omitempty"`
	// Command repeats exactly this run: the arguments of the report's Program.
	Command string  `json:"command,omitempty"`
	Seconds float64 `json:"seconds"`
}

// New begins a report.
func New(title string) *Report {
	return &Report{Schema: Schema, Title: title, Version: claims.StackVersion(), Runs: []Run{}}
}

// Add takes in a run of the in-process stack against itself.
func (r *Report) Add(result *scenario.Result, took time.Duration) *Run {
	run := Run{Client: "attls", Server: "attls", Scenario: result.Scenario, Outcome: Passed, Ladder: result.Ladder,
		Binders: result.Binders, Fault: cases.CaseOf(result), Seconds: took.Seconds()}
	run.ID = run.Client + "-" + run.Server + "/" + run.Scenario.String()
	if result.Err != nil {
		run.Outcome, run.Reason = Failed, result.Err.Error()
	}
	if result.Claims[0].Schema != "" {
		run.ClientClaims, run.ServerClaims = &result.Claims[0], &result.Claims[1]
	}
	r.Runs = append(r.Runs, run)
	return &r.Runs[len(r.Runs)-1]
}

// Count counts the runs of an outcome.
func (r *Report) Count(o Outcome) (n int) {
	for i := range r.Runs {
		if r.Runs[i].Outcome == o {
			n++
		}
	}
	return n
}

// Counts counts the runs as runners of tests do, which have no expected deviations: Count
// tells of these, here and in the tables alike.
func (r *Report) Counts() (passed, failed, skipped int) {
	return r.Count(Passed), r.Count(Failed), r.Count(Limit) + r.Count(Skipped)
}

// repeat is the command that repeats a run; empty where none is known.
func (r *Report) repeat(run *Run) string {
	if run.Command == "" {
		return ""
	}
	return strings.TrimSpace(r.Program + " " + run.Command)
}

// Line is the one line that runners of tests read. Expected deviations have not passed, as in
// the tables.
func (r *Report) Line() string {
	passed, failed, skipped := r.Counts()
	line := fmt.Sprintf("%d passed, %d failed, %d skipped", passed, failed, skipped)
	switch n := r.Count(Deviation); n {
	case 0:
		return line
	case 1:
		return line + ", 1 expected deviation"
	default:
		return fmt.Sprintf("%s, %d expected deviations", line, n)
	}
}

// Write writes the report as JSON.
func (r *Report) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// spellIDs writes the ids of faults as today, in a report of an earlier version too.
func (r *Report) spellIDs() {
	today := func(id *string) {
		if *id != "" {
			*id = cases.ID(*id)
		}
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		today(&run.Scenario.Fail)
		today(&run.Scenario.Tolerate)
		run.ID, run.Command = cases.InName(run.ID), cases.InName(run.Command)
		if run.Fault != nil {
			today(&run.Fault.ID)
			today(&run.Fault.Scenario.Fail)
			today(&run.Fault.Scenario.Tolerate)
		}
	}
}

// Read reads a report.
func Read(name string, in io.Reader) (*Report, error) {
	var r Report
	d := json.NewDecoder(in)
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s: something follows the report", name)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("%s has the schema %q; this program reads %q", name, r.Schema, Schema)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.name = name
	r.spellIDs()
	return &r, nil
}
