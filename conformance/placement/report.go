package placement

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/conformance/adapter"
)

// Schema names the form of the JSON that WriteJSON writes.
const Schema = "attls-placement-1"

// Report is what a run found of one or more stacks.
type Report struct {
	Schema   string    `json:"schema"`
	Version  string    `json:"version"`  // of attls
	Registry string    `json:"registry"` // the date of the copy of IANA's registry
	Command  string    `json:"command,omitempty"`
	Began    time.Time `json:"began,omitzero"`
	Seconds  float64   `json:"seconds,omitempty"`
	Stacks   []Stacked `json:"stacks"`
}

// Stacked is what was found of one stack.
type Stacked struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// Missing says why the stack was not run; empty: it was.
	Missing string `json:"missing,omitempty"`
	// Unjudged says why results could not be judged.
	Unjudged []string `json:"unjudged,omitempty"`
	// Unrun is the number of cases that an interrupt left.
	Unrun   int     `json:"unrun,omitempty"`
	Results []Line  `json:"results,omitempty"`
	Groups  []Group `json:"findings"`
	// Unused are known deviations of this version that nothing showed, although all cases were run.
	Unused []string `json:"unused,omitempty"`
}

// Line is a result.
type Line struct {
	Name      string   `json:"name"`
	Role      string   `json:"role"`
	Message   string   `json:"message"`
	Extension string   `json:"extension,omitempty"` // empty: a control, in which nothing is changed
	Type      uint16   `json:"type"`
	Body      Body     `json:"body,omitempty"`
	Octets    string   `json:"octets,omitempty"` // extension_data, hexadecimal
	Outcome   Outcome  `json:"outcome"`
	Alert     string   `json:"alert,omitempty"`
	Asked     bool     `json:"asked,omitempty"`
	Known     bool     `json:"known,omitempty"`
	KnownBy   string   `json:"known_by,omitempty"`
	Came      []string `json:"came,omitempty"`  // messages after the case
	After     string   `json:"after,omitempty"` // what followed a fatal alert, hexadecimal
	Detail    string   `json:"detail,omitempty"`
	Sent      string   `json:"sent,omitempty"` // the whole message, hexadecimal, where there is a finding
	Findings  []Found  `json:"findings,omitempty"`
}

// Found is a finding of a result.
type Found struct {
	Kind      Kind   `json:"kind"`
	Reference string `json:"reference"`
	Rule      string `json:"rule"`
	Want      string `json:"want"`
	Got       string `json:"got"`
	// Deviation is what is known of it; empty: nothing.
	Deviation string `json:"deviation,omitempty"`
	Upstream  string `json:"upstream,omitempty"`
}

// Group are findings that differ in nothing but the extension and its body.
type Group struct {
	Found
	Role    string   `json:"role"`
	Message string   `json:"message"`
	Asked   bool     `json:"asked"`
	Known   bool     `json:"known"`
	Cases   []string `json:"cases"` // names of results
}

// Title is what a group is about, in a sentence.
func (g *Group) Title() string {
	what := "extensions that it does not know"
	if g.Known {
		what = "extensions that it knows"
	}
	if m, ok := attls.KindByName(g.Message); ok && answers(m) {
		if g.Asked {
			what += " and asked for"
		} else {
			what += " and did not ask for"
		}
	}
	does := fmt.Sprintf("%s: %s, not %s", what, g.Got, g.Want)
	if g.Kind == KindAfter {
		does = "after a fatal alert, it sends something else"
	}
	return fmt.Sprintf("as a %s, in %s: %s", g.Role, g.Message, does)
}

// NewStacked makes a report of the results of one stack, which Judge has judged. a is what
// is known of it, nil: nothing; whole says that no case was left out.
func NewStacked(name, version string, results []Result, unjudged []string, a *adapter.Adapter, whole bool) Stacked {
	s := Stacked{Name: name, Version: version, Unjudged: unjudged}
	used := map[*adapter.Deviation]bool{}
	for i := range results {
		s.Results = append(s.Results, newLine(&results[i], version, a, used))
	}
	s.group()
	if a == nil || !whole || len(unjudged) > 0 {
		return s
	}
	for i := range a.Deviations {
		if d := &a.Deviations[i]; d.Placement != nil && !used[d] && d.Holds(version) {
			s.Unused = append(s.Unused, fmt.Sprintf("%s: %s %s does not do what is said of it: %s", d.Place(), name,
				version, d.Does))
		}
	}
	return s
}

func newLine(r *Result, version string, a *adapter.Adapter, used map[*adapter.Deviation]bool) Line {
	l := Line{Name: r.Name(), Role: r.Role.String(), Message: r.Message.Name(), Type: uint16(r.Extension), Body: r.Body,
		Octets: hex.EncodeToString(r.Case.Octets), Outcome: r.Outcome, Asked: r.Asked, Known: r.Known, KnownBy: r.KnownBy,
		After: hex.EncodeToString(r.After), Detail: r.Detail}
	if !r.control() {
		l.Extension = r.entry.Title()
	}
	if r.Alert != nil {
		l.Alert = r.Alert.String()
	}
	for _, k := range r.Came {
		l.Came = append(l.Came, k.Name())
	}
	for _, f := range r.Findings {
		found := Found{Kind: f.Kind, Reference: f.Rule.Reference, Rule: f.Rule.Says, Want: f.Want, Got: f.Got}
		if d := deviation(a, version, r, &f, used); d != nil {
			found.Deviation, found.Upstream = d.Does, d.Upstream
		}
		l.Findings = append(l.Findings, found)
		l.Sent = hex.EncodeToString(r.Observation.Octets)
	}
	return l
}

// deviation is what is known of a finding; nil: nothing.
func deviation(a *adapter.Adapter, version string, r *Result, f *Finding,
	used map[*adapter.Deviation]bool) *adapter.Deviation {
	if a == nil {
		return nil
	}
	for i := range a.Deviations {
		d := &a.Deviations[i]
		if d.Placement != nil && d.Expected(version) && explains(d.Placement, r, f) {
			used[d] = true
			return d
		}
	}
	return nil
}

// explains reports whether a pattern is about a finding.
func explains(p *adapter.PlacementPattern, r *Result, f *Finding) bool {
	alert := string(r.Outcome)
	if r.Alert != nil {
		alert = r.Alert.String()
	}
	return anyOf(p.Kinds, string(f.Kind)) && anyOf(p.Roles, r.Role) && anyOf(p.Messages, r.Message) &&
		anyOf(p.Extensions, r.entry.Title()) && anyOf(p.Bodies, string(r.Body)) && anyOf(p.Alerts, alert) &&
		(p.Known == nil || *p.Known == r.Known) && (p.Asked == nil || *p.Asked == r.Asked)
}

func anyOf[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

// group puts the findings of the lines together, the gravest first and unknown ones before
// known ones.
func (s *Stacked) group() {
	type key struct {
		kind                Kind
		role, message       string
		asked, known        bool
		rule, got, deviates string
	}
	at := map[key]int{}
	s.Groups = []Group{}
	for i := range s.Results {
		l := &s.Results[i]
		for _, f := range l.Findings {
			k := key{f.Kind, l.Role, l.Message, l.Asked, l.Known, f.Reference + f.Rule, f.Got, f.Deviation}
			g, ok := at[k]
			if !ok {
				g = len(s.Groups)
				at[k] = g
				s.Groups = append(s.Groups, Group{Found: f, Role: l.Role, Message: l.Message, Asked: l.Asked, Known: l.Known})
			}
			s.Groups[g].Cases = append(s.Groups[g].Cases, l.Name)
			if len(f.Want) < len(s.Groups[g].Want) {
				s.Groups[g].Want = f.Want // a body that is malformed may be refused for that too
			}
		}
	}
	slices.SortStableFunc(s.Groups, func(a, b Group) int {
		if (a.Deviation == "") != (b.Deviation == "") {
			if a.Deviation == "" {
				return -1
			}
			return 1
		}
		return slices.Index(Kinds(), a.Kind) - slices.Index(Kinds(), b.Kind)
	})
}

// Count is the number of results with findings of which nothing is known, and of those of
// which everything is.
func (s *Stacked) Count() (unknown, deviations int) {
	for i := range s.Results {
		fresh := false
		for _, f := range s.Results[i].Findings {
			fresh = fresh || f.Deviation == ""
		}
		switch {
		case fresh:
			unknown++
		case len(s.Results[i].Findings) > 0:
			deviations++
		}
	}
	return unknown, deviations
}

// Find returns a result by its name.
func (s *Stacked) Find(name string) *Line {
	i := slices.IndexFunc(s.Results, func(l Line) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Results[i]
}

// Verdict is the error of a report that a run must end with; nil: nothing is wrong.
func (r *Report) Verdict() error {
	var list []string
	for i := range r.Stacks {
		s := &r.Stacks[i]
		unknown, _ := s.Count()
		if unknown > 0 {
			list = append(list, fmt.Sprintf("%d cases of %s have findings that are not known", unknown, s.Name))
		}
		if len(s.Unjudged) > 0 {
			list = append(list, fmt.Sprintf("some messages to %s could not be judged", s.Name))
		}
		unsent := 0
		for k := range s.Results {
			if s.Results[k].Outcome == Unsent && s.Results[k].Extension != "" {
				unsent++
			}
		}
		if unsent > 0 {
			list = append(list, fmt.Sprintf("%d cases were not sent to %s, whose connections ended before", unsent, s.Name))
		}
		if len(s.Results) == 0 && s.Missing == "" && s.Unrun == 0 {
			list = append(list, "no case was run with "+s.Name)
		}
		if n := len(s.Unused); n > 0 {
			list = append(list, fmt.Sprintf("%d known deviations of %s did not occur", n, s.Name))
		}
	}
	if list == nil {
		return nil
	}
	return errors.New(strings.Join(list, "; "))
}

// WriteJSON writes the report.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// maxReport bounds a report that is read, in octets.
const maxReport = 64 << 20

// ReadReport reads what WriteJSON wrote.
func ReadReport(file string, r io.Reader) (*Report, error) {
	var out Report
	d := json.NewDecoder(io.LimitReader(r, maxReport))
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("%s: octet %d: %w", file, d.InputOffset(), err)
	}
	if out.Schema != Schema {
		return nil, fmt.Errorf("%s: its schema is %q, not %q", file, attls.Printable(out.Schema), Schema)
	}
	return &out, nil
}

// Short is a list of names with what they have in common left out: the extensions, with
// their bodies.
func (g *Group) Short(limit int) string {
	var order []string
	bodies := map[string][]string{}
	for _, name := range g.Cases {
		parts := strings.Split(name, "/")
		if len(parts) != 4 {
			continue
		}
		if bodies[parts[2]] == nil {
			order = append(order, parts[2])
		}
		bodies[parts[2]] = append(bodies[parts[2]], parts[3])
	}
	more := ""
	if len(order) > limit {
		more = fmt.Sprintf(" and %d more", len(order)-limit)
		order = order[:limit]
	}
	for i, name := range order {
		order[i] = name + " (" + strings.Join(bodies[name], ", ") + ")"
	}
	return strings.Join(order, ", ") + more
}

// Tally adds what the matrices showed of known deviations.
func (r *Report) Tally(t *adapter.Tally) {
	for i := range r.Stacks {
		s := &r.Stacks[i]
		if s.Missing != "" || s.Unrun > 0 {
			continue
		}
		seen := map[string]bool{}
		for k := range s.Groups {
			seen[s.Groups[k].Deviation] = true
		}
		t.Add(s.Name, s.Version, seen, func(d *adapter.Deviation) bool { return d.Placement != nil })
	}
}

// IsReport reports whether a JSON text is a report of a placement matrix.
func IsReport(blob []byte) bool {
	var head struct{ Schema string }
	return json.Unmarshal(blob, &head) == nil && head.Schema == Schema
}
