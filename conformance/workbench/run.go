package workbench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/conformance/wireshark"
	"attls/extensions/profile"
)

// Run is a connection, and the same under the base of its profile.
type Run struct {
	Side
	// Base is the run under the profile to compare with, the base where none is named, with the same keys and
	// random octets; nil where there is none.
	Base *Side `json:"base,omitempty"`
	// BaseName is the profile of Base, and BaseError why it could not be run.
	BaseName  string `json:"base_name,omitempty"`
	BaseError string `json:"base_error,omitempty"`
}

// Side is one run.
type Side struct {
	OK       bool              `json:"ok"` // it ended as expected
	Outcome  string            `json:"outcome"`
	Scenario scenario.Scenario `json:"scenario"`
	Fault    *cases.Case       `json:"fault,omitempty"`
	Ladder   []trace.Step      `json:"ladder"`
	Phases   []Phase           `json:"phases"`
	Binders  []scenario.Binder `json:"binders"`
	Client   *claims.Claims    `json:"client"`
	Server   *claims.Claims    `json:"server"`
}

func (e *Engine) run(r *Request) (*Run, error) {
	p, err := e.load(r)
	if err != nil {
		return nil, err
	}
	result := e.runOne(r.scenario(p))
	if result.Claims[0].Schema == "" { // it did not begin
		return nil, result.Err
	}
	run := &Run{Side: side(result)}
	if name, _ := profile.Overrides(FileName, []byte(r.Text)); name == "" && r.Name == "" && r.Other == "" {
		return run, nil
	}
	other, err := e.other(r, r.OtherReadings)
	if err != nil { // which says nothing about the profile itself
		run.BaseName, run.BaseError = "the other profile", err.Error()
		return run, nil
	}
	run.BaseName = other.ID
	s := result.Scenario // with what was left open filled in
	s.Profile, s.Compiled, s.Readings, s.CodePoints, s.ClientReadings = other.ID, other, nil, nil, nil
	run.Base, run.BaseError = e.runBase(s)
	return run, nil
}

// baseRun is a run to compare with that was made before.
type baseRun struct {
	p     *profile.Profile
	key   string
	side  *Side
	error string
}

// maxBaseRuns bounds how many are kept.
const maxBaseRuns = 8

// runBase runs a scenario of a profile to compare with, once.
func (e *Engine) runBase(s scenario.Scenario) (*Side, string) {
	key := s.String()
	for _, b := range e.bases {
		if b.p == s.Compiled && b.key == key {
			return b.side, b.error
		}
	}
	b := baseRun{p: s.Compiled, key: key}
	if r := e.runOne(s); r.Claims[0].Schema == "" {
		b.error = r.Err.Error()
	} else {
		made := side(r)
		b.side = &made
	}
	if len(e.bases) == maxBaseRuns {
		e.bases = e.bases[1:]
	}
	e.bases = append(e.bases, b)
	return b.side, b.error
}

// runOne makes the connection of a scenario.
func (e *Engine) runOne(s scenario.Scenario, options ...scenario.Option) *scenario.Result {
	env, err := e.environment()
	if err != nil {
		return &scenario.Result{Scenario: s, Err: err}
	}
	options = append(options, scenario.In(env), scenario.Find(cases.Find), draw())
	r := scenario.Run(context.Background(), s, options...)
	return &r
}

func side(r *scenario.Result) Side {
	for i := range r.Ladder {
		r.Ladder[i].Raw = ""
	}
	exported := r.Scenario.Compiled != nil && len(r.Scenario.Compiled.Later) > 0
	return Side{OK: r.Err == nil, Outcome: outcome(r), Scenario: r.Scenario, Fault: cases.CaseOf(r), Ladder: r.Ladder,
		Phases: phases(r.Ladder, exported), Binders: append([]scenario.Binder{}, r.Binders...),
		Client: &r.Claims[attls.RoleClient], Server: &r.Claims[attls.RoleServer]}
}

// outcome says in a sentence how a run ended.
func outcome(r *scenario.Result) string {
	c := cases.CaseOf(r)
	switch {
	case r.Err != nil:
		return "Not as expected: " + r.Err.Error()
	case c == nil:
		return "Attested: application data went both ways, and each peer that attests was appraised."
	case c.Takes != "":
		return fmt.Sprintf("Accepted as expected: by the %s.", c.Takes)
	case c.Alert == nil:
		return fmt.Sprintf("Rejected as expected: by the %s, without an alert.", c.Rejects)
	case c.At == "":
		return fmt.Sprintf("Rejected as expected: by the %s, with %s.", c.Rejects, c.Alert.Name)
	default:
		return fmt.Sprintf("Rejected as expected: by the %s, at %s, with %s.", c.Rejects, c.At, c.Alert.Name)
	}
}

// Fault is a cell of the grid.
type Fault struct {
	Name    string `json:"name"`
	Does    string `json:"does"`
	Expects string `json:"expects"`
}

// faults lists what can be injected under the profile, with any attester, model and credential.
func (e *Engine) faults(r *Request) (any, error) {
	p, err := e.load(r)
	if err != nil {
		return nil, err
	}
	list := []Fault{}
	for _, c := range cases.All().Faults(p, scenario.Scenario{Profile: p.ID, Compiled: p}) {
		f := Fault{Name: c.ID, Does: c.Does}
		switch {
		case c.Takes != "":
			f.Expects = "the " + c.Takes + " takes it"
		case c.Alert == nil:
			f.Expects = "the " + c.Rejects + " closes without an alert"
		default:
			f.Expects = "the " + c.Rejects + " sends " + c.Alert.Name
		}
		list = append(list, f)
	}
	return list, nil
}

// FaultOutcome is how a cell came out.
type FaultOutcome struct {
	OK      bool   `json:"ok"`
	Outcome string `json:"outcome"`
}

// fault runs one cell. Attester, model and credential are the fault's to choose.
func (e *Engine) fault(r *Request) (any, error) {
	p, err := e.load(r)
	if err != nil {
		return nil, err
	}
	s := scenario.Scenario{Profile: p.ID, Compiled: p, Readings: r.Readings, CodePoints: r.CodePoints, Fail: r.Fail}
	result := e.runOne(s)
	if result.Claims[0].Schema == "" {
		return nil, result.Err
	}
	return FaultOutcome{result.Err == nil, outcome(result)}, nil
}

// diff compares a profile with another text; without one, with its base.
func (e *Engine) diff(r *Request) (*Compared, error) {
	b, err := e.load(r)
	if err != nil {
		return nil, err
	}
	a, err := e.other(r, r.OtherReadings)
	if err != nil {
		return nil, fmt.Errorf("the other profile: %w", err)
	}
	return &Compared{A: a.ID, B: b.ID, Readings: a.Readings, Difference: profile.Diff(a, b)}, nil
}

// Compared is what a profile, B, changes of another one, A, whose readings can be chosen.
type Compared struct {
	A        string            `json:"a"`
	B        string            `json:"b"`
	Readings []profile.Reading `json:"readings"`
	profile.Difference
}

// other is the profile to compare with: a text, an embedded one, or the base, under readings.
func (e *Engine) other(r *Request, readings map[string]string) (*profile.Profile, error) {
	o := profile.Options{Readings: readings}
	if r.Other != "" {
		return e.parse("other.yaml", r.Other, o)
	}
	name := r.Name
	if name == "" {
		name, _ = profile.Overrides(FileName, []byte(r.Text))
	}
	if name == "" {
		return nil, errors.New("the profile has no base to be compared with")
	}
	return e.embedded(name, o)
}

// Download is a file for the user.
type Download struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Data []byte `json:"data"` // base64 in JSON
}

// Downloads are the kinds of files that a request can ask for.
var Downloads = []string{"yaml", "whole", "compiled", "dissector", "recording", "pcapng"}

// download makes one file. The last two are of a run.
func (e *Engine) download(r *Request) (any, error) {
	if !slices.Contains(Downloads, r.Kind) {
		return nil, fmt.Errorf("no download is called %q", r.Kind)
	}
	p, err := e.load(r)
	if err != nil {
		return nil, err
	}
	name := fileName(p.ID)
	switch r.Kind {
	case "yaml":
		return Download{name + ".yaml", "application/yaml", []byte(r.Text)}, nil
	case "whole":
		return Download{name + ".whole.yaml", "application/yaml", []byte(p.Source())}, nil
	case "compiled":
		b, err := p.Compiled()
		return Download{name + profile.CompiledSuffix, "text/plain", b}, err
	case "dissector":
		b, err := wireshark.Dissector(p)
		return Download{name + ".lua", "text/plain", b}, err
	}
	var out bytes.Buffer
	w, err := capture.NewWriter(&out, nil)
	if err != nil {
		return nil, err
	}
	s := r.scenario(p)
	s.Profile, s.Called = "./"+name+".yaml", p.ID
	result := e.runOne(s, scenario.Capture(w))
	if result.Claims[0].Schema == "" {
		return nil, result.Err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	if r.Kind == "pcapng" {
		return Download{name + ".pcapng", "application/vnd.tcpdump.pcap", out.Bytes()}, nil
	}
	b, err := json.MarshalIndent(result.Recording(), "", " ")
	return Download{name + ".json", "application/json", b}, err
}

// fileName keeps of an identifier what every system takes in the name of a file.
func fileName(id string) string {
	b := []byte(id)
	for i, c := range b {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' && i > 0 {
			continue
		}
		b[i] = '_'
	}
	if len(b) == 0 {
		return "profile"
	}
	return string(b[:min(len(b), 60)])
}
