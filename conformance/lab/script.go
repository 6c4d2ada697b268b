package lab

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"attls/conformance/model"
	"attls/conformance/scenario"
	"attls/extensions/schema"
)

// Capability is something that the attacker can do or knows.
type Capability string

// The capabilities.
const (
	CapNet    Capability = "net"    // controls the network
	CapTIK    Capability = "tik"    // knows the private key that the Evidence vouches for
	CapLTK    Capability = "ltk"    // has a certificate for the relying party's name, or for any key
	CapHS     Capability = "hs"     // knows the Handshake Secret of the connection of the honest ends
	CapAP     Capability = "ap"     // knows the application traffic secrets of one epoch
	CapOracle Capability = "oracle" // can have the attester's TEE sign any challenge, for any key
	CapTEE2   Capability = "tee2"   // owns another genuine TEE with accepted measurements
	CapAK     Capability = "ak"     // knows an attestation key
)

// Capabilities lists all, in the order of tables.
var Capabilities = []Capability{CapNet, CapTIK, CapLTK, CapHS, CapAP, CapOracle, CapTEE2, CapAK}

// Kind says how a script is judged.
type Kind string

// The kinds. An attack is judged by its control, a measurement by its bound.
const (
	KindAttack      Kind = "attack"
	KindMeasurement Kind = "measurement"
)

// Script is an attack as data; docs/lab.md describes the file.
type Script struct {
	Name      string   `json:"name"`
	Title     string   `json:"title"`
	Section   string   `json:"section,omitempty"` // of the catalogue in docs/lab.md
	Sources   []string `json:"sources,omitempty"`
	Summary   string   `json:"summary,omitempty"`
	Published string   `json:"published,omitempty"` // an outcome that somebody else has published
	Goals     []string `json:"goals,omitempty"`     // security goals that its runs are about
	Scenarios []string `json:"scenarios,omitempty"` // of the attacker model of the use cases document
	// Refutes are goals of package model that a run misses in which the relying party accepts.
	Refutes      []model.Goal `json:"refutes,omitempty"`
	Kind         Kind         `json:"kind"`
	Capabilities []Capability `json:"capabilities"`
	// Attesters are the ends that attest, one after the other.
	Attesters []scenario.Attesters `json:"attesters"`
	Applies   []*Predicate         `json:"-"`
	Parties   map[string]Settings  `json:"-"` // by attester, relying_party, client, server, both
	Steps     []*Step              `json:"-"`
	Controls  []*Control           `json:"-"`
	Bound     *Bound               `json:"-"`
	Conclude  map[string]string    `json:"conclude"` // party: accept or reject
	// Vary runs the script for each choice of readings of a switch by a party; client and
	// server do not read alike then.
	Vary map[string]string `json:"vary,omitempty"`

	// Text is the script as it was read.
	Text string `json:"-"`

	pos schema.Position
}

// Settings are what a script says of a party, by the name of the setting.
type Settings map[string]Value

// Value is one value of a script: a text, a list of texts or a map of texts.
type Value struct {
	Text string
	List []string
	Map  map[string]string
	pos  schema.Position
}

// Step is one step of the attacker, or something that happens.
type Step struct {
	ID   string
	Verb string
	On   string // what the verb is about: a party, or what is taken
	With Settings

	pos schema.Position
}

// String is the step as one line of its script.
func (s *Step) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", s.Verb, s.On)
	for _, name := range sortedKeys(s.With) {
		v := s.With[name]
		switch {
		case v.Map != nil:
			var parts []string
			for _, k := range sortedKeys(v.Map) {
				parts = append(parts, k+": "+v.Map[k])
			}
			fmt.Fprintf(&b, ", %s: {%s}", name, strings.Join(parts, ", "))
		case v.List != nil:
			fmt.Fprintf(&b, ", %s: [%s]", name, strings.Join(v.List, ", "))
		default:
			fmt.Fprintf(&b, ", %s: %s", name, v.Text)
		}
	}
	return b.String()
}

// Control is the same run with something taken away or made honest.
type Control struct {
	Name    string
	When    string       // accepted, rejected or always: the outcome of the attack whose control it is
	Must    string       // refuse or accept
	Without []Capability // taken away
	Change  map[string]Settings
	Drop    []string // steps left out
	Parties map[string]Settings
	// With are capabilities granted in addition, and Add steps before the others, for a fact
	// made honest.
	With []Capability
	Add  []*Step

	pos schema.Position
}

// Bound is what a measurement must not exceed.
type Bound struct {
	Measure string // what is counted
	Most    int
	pos     schema.Position
}

//go:embed attacks/*.yaml
var embedded embed.FS

// maxScript bounds the text of a script, in octets, and maxSteps its steps.
const (
	maxScript = 1 << 16
	maxSteps  = 64
)

// Names lists the embedded scripts in order.
func Names() []string {
	entries, _ := embedded.ReadDir("attacks")
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Load reads a script: an embedded one by its name, or a file, whose name contains a
// slash or ends with .yaml. The errors of its text are schema.Problems.
func Load(name string) (*Script, error) {
	if !strings.ContainsRune(name, '/') && !strings.HasSuffix(name, ".yaml") {
		src, err := Source(name)
		if err != nil {
			return nil, err
		}
		return Parse(name+".yaml", src)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxScript+1))
	if err != nil {
		return nil, err
	}
	return Parse(name, src)
}

// Source is the text of an embedded script.
func Source(name string) ([]byte, error) {
	src, err := embedded.ReadFile("attacks/" + name + ".yaml")
	if err == nil {
		return src, nil
	}
	if near := schema.Nearest(name, Names()); near != "" {
		return nil, fmt.Errorf("there is no attack %q; did you mean %q?", name, near)
	}
	return nil, fmt.Errorf("there is no attack %q; the attacks are %s", name, strings.Join(Names(), ", "))
}

// All loads every embedded script.
func All() ([]*Script, error) {
	var list []*Script
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// Parse is Load for the text of a script; file is its name in positions.
func Parse(file string, src []byte) (*Script, error) {
	r := &reader{file: file}
	if len(src) > maxScript {
		return nil, schema.Problems{{Pos: schema.Position{File: file, Line: 1, Column: 1}, Kind: schema.ProblemBounds,
			Text: fmt.Sprintf("the script has more than %d octets", maxScript)}}
	}
	var doc, more yaml.Node
	all := yaml.NewDecoder(bytes.NewReader(src))
	if err := all.Decode(&doc); err != nil && err != io.EOF {
		return nil, schema.Problems{{Pos: syntaxAt(file, err), Kind: schema.ProblemSyntax, Text: err.Error()}}
	}
	if err := all.Decode(&more); err != io.EOF {
		return nil, schema.Problems{{Pos: schema.Position{File: file, Line: max(1, more.Line), Column: 1},
			Kind: schema.ProblemSyntax, Text: "a second document follows the script",
			Advice: "write each script to a file of its own"}}
	}
	s := &Script{Name: strings.TrimSuffix(filepath.Base(file), ".yaml"), Kind: KindAttack, Text: string(src),
		pos: schema.Position{File: file, Line: 1, Column: 1}}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.problem(s.pos, schema.ProblemType, "a script is a map", "begin with \"attack: NAME\"")
		return nil, r.problems
	}
	r.script(s, doc.Content[0])
	if len(r.problems) == 0 {
		r.check(s)
	}
	if err := r.problems.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// syntaxAt is where an error of YAML is: the line that it tells, or else the first.
func syntaxAt(file string, err error) schema.Position {
	at := schema.Position{File: file, Line: 1, Column: 1}
	if _, rest, ok := strings.Cut(err.Error(), "line "); ok {
		if _, err := fmt.Sscanf(rest, "%d", &at.Line); err != nil || at.Line < 1 {
			at.Line = 1
		}
	}
	return at
}

// reader reads a script and notes what is wrong with it.
type reader struct {
	file     string
	problems schema.Problems
}

// nameOctets are those of the name of an attack, which is part of keys and names of files.
const nameOctets = "abcdefghijklmnopqrstuvwxyz0123456789-"

// maxProblems bounds what is told of one script.
const maxProblems = 50

func (r *reader) problem(pos schema.Position, kind schema.ProblemKind, text, advice string) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, &schema.Problem{Pos: pos, Kind: kind, Text: text, Advice: advice})
	}
}

func (r *reader) at(n *yaml.Node) schema.Position {
	return schema.Position{File: r.file, Line: n.Line, Column: n.Column}
}

// pairs calls f for each key of a map, and notes what is no map and what appears twice.
func (r *reader) pairs(n *yaml.Node, f func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.problem(r.at(n), schema.ProblemType, "a map is needed here", "write KEY: VALUE")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if seen[k.Value] {
			r.problem(r.at(k), schema.ProblemDuplicate, fmt.Sprintf("%q appears twice", k.Value), "")
			continue
		}
		seen[k.Value] = true
		f(k, v)
	}
}

func (r *reader) text(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		r.problem(r.at(n), schema.ProblemType, "a text is needed here", "")
		return ""
	}
	return strings.TrimSpace(n.Value)
}

// texts reads a list of texts; one text is a list of one.
func (r *reader) texts(n *yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	if n.Kind != yaml.SequenceNode {
		r.problem(r.at(n), schema.ProblemType, "a list of texts is needed here", "write [one, another]")
		return nil
	}
	list := make([]string, 0, len(n.Content))
	for _, c := range n.Content {
		list = append(list, r.text(c))
	}
	return list
}

// known reads a list of texts that are among those that are known.
func (r *reader) known(n *yaml.Node, what string, known []string) []string {
	list := r.texts(n)
	for i, text := range list {
		at := n
		if n.Kind == yaml.SequenceNode {
			at = n.Content[i]
		}
		r.oneOf(at, what, text, known)
	}
	return list
}

// oneOf notes a text that is not among those that are known.
func (r *reader) oneOf(n *yaml.Node, what, text string, known []string) {
	if slices.Contains(known, text) {
		return
	}
	advice := "write one of " + strings.Join(known, ", ")
	if near := schema.Nearest(text, known); near != "" {
		advice = fmt.Sprintf("did you mean %q?", near)
	}
	r.problem(r.at(n), schema.ProblemUnknownName, fmt.Sprintf("there is no %s %q", what, text), advice)
}

func (r *reader) capabilities(n *yaml.Node) (list []Capability) {
	known := make([]string, len(Capabilities))
	for i, c := range Capabilities {
		known[i] = string(c)
	}
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	for _, c := range items {
		text := r.text(c)
		r.oneOf(c, "capability", text, known)
		list = append(list, Capability(text))
	}
	return list
}

var scriptKeys = []string{"attack", "title", "section", "sources", "summary", "published", "goals", "scenarios",
	"refutes", "kind", "capabilities", "attester", "applies", "parties", "steps", "conclude", "controls", "bound",
	"vary"}

func (r *reader) script(s *Script, n *yaml.Node) {
	r.pairs(n, func(k, v *yaml.Node) {
		switch k.Value {
		case "attack":
			if s.Name = r.text(v); s.Name == "" || strings.Trim(s.Name, nameOctets) != "" {
				r.problem(r.at(v), schema.ProblemUnknownName, fmt.Sprintf("%q cannot be the name of an attack", s.Name),
					"write letters from a to z, digits and hyphens")
			}
		case "title":
			s.Title = r.text(v)
		case "section":
			s.Section = r.text(v)
		case "sources":
			s.Sources = r.texts(v)
		case "summary":
			s.Summary = strings.Join(strings.Fields(r.text(v)), " ")
		case "published":
			s.Published = strings.Join(strings.Fields(r.text(v)), " ")
		case "goals":
			s.Goals = r.known(v, "security goal", goalNames())
		case "scenarios":
			s.Scenarios = r.known(v, "scenario", scenarioNames())
		case "refutes":
			s.Refutes = r.refuted(v)
		case "kind":
			s.Kind = Kind(r.text(v))
			r.oneOf(v, "kind", string(s.Kind), []string{string(KindAttack), string(KindMeasurement)})
		case "capabilities":
			s.Capabilities = r.capabilities(v)
		case "attester":
			for _, a := range r.texts(v) {
				r.oneOf(v, "attester", a, []string{"server", "client", "both"})
				s.Attesters = append(s.Attesters, scenario.Attesters(a))
			}
		case "applies":
			s.Applies = r.predicates(v)
		case "parties":
			s.Parties = r.parties(v)
		case "steps":
			s.Steps = r.steps(v)
		case "conclude":
			s.Conclude = map[string]string{}
			r.pairs(v, func(k, v *yaml.Node) {
				r.oneOf(k, "party", k.Value, partyNames)
				r.oneOf(v, "conclusion", v.Value, []string{"accept", "reject"})
				s.Conclude[k.Value] = v.Value
			})
		case "vary":
			s.Vary = map[string]string{}
			r.pairs(v, func(k, v *yaml.Node) {
				r.oneOf(k, "party that varies", k.Value, []string{"client", "server", "both"})
				s.Vary[k.Value] = r.text(v)
			})
		case "controls":
			s.Controls = r.controls(v)
		case "bound":
			s.Bound = r.bound(v)
		default:
			r.oneOf(k, "key of a script", k.Value, scriptKeys)
		}
	})
	for _, need := range []struct {
		ok   bool
		text string
	}{
		{s.Title != "", "title"}, {len(s.Steps) > 0, "steps"}, {len(s.Attesters) > 0, "attester"},
		{len(s.Capabilities) > 0, "capabilities"}, {len(s.Goals) > 0, "goals"},
	} {
		if !need.ok && len(r.problems) == 0 {
			r.problem(s.pos, schema.ProblemParameter, "the script has no "+need.text, "write "+need.text+": …")
		}
	}
	switch {
	case len(r.problems) > 0:
	case s.Bound != nil && s.Bound.Measure == "":
		r.problem(s.Bound.pos, schema.ProblemParameter, "the bound does not say what it is a bound of",
			"write measure: evidence_made")
	case s.Kind == KindMeasurement && s.Bound == nil:
		r.problem(s.pos, schema.ProblemParameter, "a measurement has a bound",
			"write bound: {measure: evidence_made, most: 1}")
	case s.Kind == KindAttack && s.Conclude["relying_party"] == "":
		r.problem(s.pos, schema.ProblemParameter, "the script does not say what the relying party must conclude",
			"write conclude: {relying_party: reject}")
	}
	for _, when := range []string{"accepted", "rejected"} {
		has := slices.ContainsFunc(s.Controls, func(c *Control) bool { return c.When == when || c.When == "always" })
		if s.Kind == KindAttack && !has && len(r.problems) == 0 {
			r.problem(s.pos, schema.ProblemParameter, "there is no control for a run that is "+when,
				"add one to controls with when: "+when)
		}
	}
}

// refuted reads the goals of models.
func (r *reader) refuted(n *yaml.Node) (list []model.Goal) {
	var names []string
	for _, g := range model.Goals {
		names = append(names, string(g.Goal))
	}
	for i, word := range r.texts(n) {
		at := n
		if n.Kind == yaml.SequenceNode {
			at = n.Content[i]
		}
		r.oneOf(at, "goal of a model", word, names)
		list = append(list, model.Goal(word))
	}
	return list
}

// partyNames are the names of parties in scripts.
var partyNames = []string{"attester", "relying_party", "client", "server", "both"}

func (r *reader) parties(n *yaml.Node) map[string]Settings {
	all := map[string]Settings{}
	r.pairs(n, func(k, v *yaml.Node) {
		r.oneOf(k, "party", k.Value, partyNames)
		all[k.Value] = r.settings(v, "setting of a party", partySettings)
	})
	return all
}

// partySettings are the settings of a party, with the values that each takes; nil: any.
var partySettings = map[string][]string{
	"platform":       {"1", "2"},
	"name":           {"right", "other"},
	"certificate":    {"authority", "self_signed"},
	"shared_key":     {"yes"},
	"pin":            {"platform"},
	"demand":         {"yes", "no"},
	"reading":        nil,
	"nonce":          {"fresh", "constant"},
	"verifier":       {"prompt", "away", "silent"},
	"verifiers":      {"one", "two"},
	"expects":        {"challenge", "nothing"},
	"resumption":     {"yes", "no"},
	"early_data":     {"yes", "no"},
	"psk":            {"external", "none"},
	"hello_retry":    {"yes"},
	"key":            {"p256", "rsa"},
	"post_handshake": {"yes"},
	"key_update":     {"extended"},
	"payload":        nil,
	"validity":       {"connection", "hour"},
	"evidence":       {"fresh", "kept"},
	"connects_to":    {"right", "attacker"},
}

func (r *reader) settings(n *yaml.Node, what string, known map[string][]string) Settings {
	all := Settings{}
	r.pairs(n, func(k, v *yaml.Node) {
		values, ok := known[k.Value]
		if !ok {
			r.oneOf(k, what, k.Value, sortedKeys(known))
			return
		}
		val := r.value(v)
		if values != nil {
			for _, text := range append(slices.Clone(val.List), val.Text) {
				if text != "" {
					r.oneOf(v, "value of "+k.Value, text, values)
				}
			}
		}
		all[k.Value] = val
	})
	return all
}

func (r *reader) value(n *yaml.Node) Value {
	v := Value{pos: r.at(n)}
	switch n.Kind {
	case yaml.ScalarNode:
		v.Text = strings.TrimSpace(n.Value)
	case yaml.SequenceNode:
		v.List = r.texts(n)
	case yaml.MappingNode:
		v.Map = map[string]string{}
		r.pairs(n, func(k, x *yaml.Node) { v.Map[k.Value] = r.text(x) })
	default:
		r.problem(v.pos, schema.ProblemType, "a text, a list or a map is needed here", "")
	}
	return v
}

func (r *reader) steps(n *yaml.Node) (list []*Step) {
	if n.Kind != yaml.SequenceNode {
		r.problem(r.at(n), schema.ProblemType, "steps are a list", "begin each with \"- \"")
		return nil
	}
	if len(n.Content) > maxSteps {
		r.problem(r.at(n), schema.ProblemBounds, fmt.Sprintf("there are more than %d steps", maxSteps), "")
		return nil
	}
	for _, c := range n.Content {
		if s := r.step(c); s != nil {
			list = append(list, s)
		}
	}
	return list
}

// step reads one step: its first key is the verb.
func (r *reader) step(n *yaml.Node) *Step {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.problem(r.at(n), schema.ProblemType, "a step is a map whose first key is its verb", "write open: client")
		return nil
	}
	s := &Step{Verb: n.Content[0].Value, pos: r.at(n.Content[0])}
	v, ok := verbs[s.Verb]
	if !ok {
		r.oneOf(n.Content[0], "verb", s.Verb, sortedKeys(verbs))
		return nil
	}
	s.On = r.text(n.Content[1])
	if v.on != nil {
		r.oneOf(n.Content[1], "object of "+s.Verb, s.On, v.on)
	}
	rest := &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column, Content: n.Content[2:]}
	s.With = r.settings(rest, "option of "+s.Verb, v.options)
	s.ID = s.With["id"].Text
	delete(s.With, "id")
	if s.ID == "" {
		s.ID = s.Verb + " " + s.On
		if as := s.With["as"].Text; as != "" {
			s.ID = as
		}
	}
	return s
}

func (r *reader) controls(n *yaml.Node) (list []*Control) {
	if n.Kind != yaml.SequenceNode {
		r.problem(r.at(n), schema.ProblemType, "controls are a list", "begin each with \"- name: …\"")
		return nil
	}
	for _, c := range n.Content {
		x := &Control{pos: r.at(c)}
		r.pairs(c, func(k, v *yaml.Node) {
			switch k.Value {
			case "name":
				x.Name = r.text(v)
			case "when":
				x.When = r.text(v)
				r.oneOf(v, "outcome", x.When, []string{"accepted", "rejected", "always"})
			case "must":
				x.Must = r.text(v)
				r.oneOf(v, "outcome of a control", x.Must, []string{"refuse", "accept"})
			case "without":
				x.Without = r.capabilities(v)
			case "with":
				x.With = r.capabilities(v)
			case "drop":
				x.Drop = r.texts(v)
			case "add":
				x.Add = r.steps(v)
			case "parties":
				x.Parties = r.parties(v)
			case "change":
				x.Change = map[string]Settings{}
				r.pairs(v, func(k, v *yaml.Node) {
					x.Change[k.Value] = Settings{}
					r.pairs(v, func(o, v *yaml.Node) { x.Change[k.Value][o.Value] = r.value(v) })
				})
			default:
				r.oneOf(k, "key of a control", k.Value, []string{"name", "when", "must", "without", "with", "drop", "add",
					"change", "parties"})
			}
		})
		if x.When == "" || x.Must == "" {
			r.problem(x.pos, schema.ProblemParameter, "a control says when it is run and what must follow",
				"write when: accepted and must: refuse")
		}
		list = append(list, x)
	}
	return list
}

func (r *reader) bound(n *yaml.Node) *Bound {
	b := &Bound{pos: r.at(n)}
	r.pairs(n, func(k, v *yaml.Node) {
		switch k.Value {
		case "measure":
			b.Measure = r.text(v)
			r.oneOf(v, "measure", b.Measure, sortedKeys(measures))
		case "most":
			var err error
			if b.Most, err = strconv.Atoi(r.text(v)); err != nil || b.Most < 0 {
				r.problem(r.at(v), schema.ProblemType, "a number that is not negative is needed here", "write most: 1")
			}
		default:
			r.oneOf(k, "key of a bound", k.Value, []string{"measure", "most"})
		}
	})
	return b
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
