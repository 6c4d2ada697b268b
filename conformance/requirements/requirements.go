// Package requirements is the registry of the normative statements that the
// project implements, each with its class and the cases that check it. SPEC.md
// is generated from it, and Prove shows that the cases notice when a rule is
// not enforced.
package requirements

//go:generate go run ./generate ../../SPEC.md

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"attls/conformance/cases"
	"attls/extensions/profile"
	"attls/internal/rule"
)

//go:embed requirements.yaml
var registry []byte

// Class says what the project does about a statement.
type Class string

// The classes; a row without one in the file is Enforced.
const (
	Enforced Class = "enforced" // our code obeys it or holds a peer to it
	Duty     Class = "duty"     // of an Attester or a Verifier
	Later    Class = "later"    // not implemented
)

// Row is one statement.
type Row struct {
	ID     string   `yaml:"id" json:"id"`
	Text   string   `yaml:"text" json:"text"`
	Class  Class    `yaml:"class" json:"class"`             // "" in the file: enforced
	Where  string   `yaml:"where" json:"where,omitempty"`   // PACKAGE.FUNCTION or profile:KEY
	Cases  []string `yaml:"cases" json:"cases,omitempty"`   // NAME of a conformance.Case, or test:PACKAGE.NAME
	Reason string   `yaml:"reason" json:"reason,omitempty"` // of Later
	// Rules are those that the row's cases check, by the names under which Prove
	// turns them off.
	Rules []string `yaml:"-" json:"rules,omitempty"`

	inherited bool // from the document's base
}

// Inherited reports whether the row is its document's base's.
func (r *Row) Inherited() bool { return r.inherited }

// Reading is an ambiguity of a text and how it is resolved.
type Reading struct {
	AMB     string   `json:"ambiguity"`
	Switch  string   `json:"switch"`
	Options []string `json:"readings"`
	Default string   `json:"default"`
	Why     string   `json:"why"`
	// a peer under another reading of the binder, and what only another reading makes room for
	Cases []string `json:"cases,omitempty"`
}

// is reports whether id names the ambiguity: as it is written, one of several
// that a switch decides, or without the revision in front (AMB-9).
func (r *Reading) is(id string) bool {
	for _, one := range strings.Split(r.AMB, ", ") {
		if _, short, _ := strings.Cut(one, "/"); id == one || id == short && short != "" {
			return true
		}
	}
	return id == r.AMB
}

// Document is the statements of one profile's text, of an RFC, or those that hold
// under every profile.
type Document struct {
	Profile string `yaml:"profile" json:"profile,omitempty"`
	// Set is the name of a text that belongs to no profile, such as rfc9846.
	Set string `yaml:"set" json:"set,omitempty"`
	// TLS marks texts of TLS 1.3: their rows may cite cases that run without a profile.
	TLS    bool `yaml:"tls" json:"tls,omitempty"`
	Common bool `yaml:"common" json:"common,omitempty"`
	// Definition is the text of a profile that is not among the embedded ones: it
	// does what no revision does and any profile may.
	Definition string    `yaml:"definition" json:"definition,omitempty"`
	Source     string    `yaml:"source" json:"source"`
	Base       string    `yaml:"base" json:"base,omitempty"`
	Without    []string  `yaml:"without" json:"without,omitempty"`
	Rows       []Row     `yaml:"rows" json:"rows"`
	Readings   []Reading `yaml:"-" json:"readings,omitempty"`

	cases map[string]*cases.Case
}

// Title names a document.
func (d *Document) Title() string {
	switch {
	case d.Set != "":
		return strings.Replace(d.Set, "rfc", "RFC ", 1)
	case d.Common:
		return "every profile"
	}
	return d.Profile
}

// Name is what a document is chosen by: its profile, its set, or common.
func (d *Document) Name() string {
	switch {
	case d.Set != "":
		return d.Set
	case d.Common:
		return "common"
	}
	return d.Profile
}

// Names lists the documents in their order.
func Names(all []Document) []string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name()
	}
	return names
}

// Load reads the registry: rows of a base are there, each row has its class and
// its rules, and the ambiguities are those of the profiles. Unknown keys are errors. It is
// read once, since finding the cases takes seconds: the list is the caller's own, and what
// its documents hold must not be changed.
func Load() ([]Document, error) {
	all, err := load()
	return slices.Clone(all), err
}

var load = sync.OnceValues(func() ([]Document, error) {
	all, err := read()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := all[i].complete(all[:i]); err != nil {
			return nil, all[i].wrong(err)
		}
	}
	return all, nil
})

// read decodes the file.
func read() ([]Document, error) {
	d := yaml.NewDecoder(bytes.NewReader(registry))
	d.KnownFields(true)
	var all []Document
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("requirements.yaml: %w", err)
	}
	return all, nil
}

func (d *Document) wrong(err error) error {
	return fmt.Errorf("requirements.yaml: %s: %w", d.Title(), err)
}

// classify gives each row its class.
func (d *Document) classify() {
	for i := range d.Rows {
		if d.Rows[i].Class == "" {
			d.Rows[i].Class = Enforced
		}
	}
}

// complete fills in what a document leaves to its base, to its cases and to its profile.
func (d *Document) complete(before []Document) error {
	if err := d.inherit(before); err != nil {
		return err
	}
	if err := d.findCases(before); err != nil {
		return err
	}
	d.classify()
	for i := range d.Rows {
		r := &d.Rows[i]
		if r.inherited {
			r.Cases = slices.DeleteFunc(slices.Clone(r.Cases), func(s string) bool { return !isTest(s) && d.cases[s] == nil })
		}
		r.Rules = nil
		for _, name := range r.Cases {
			if c := d.cases[name]; c != nil && c.Rule != "" && !slices.Contains(r.Rules, c.Rule) {
				r.Rules = append(r.Rules, c.Rule)
			}
		}
		if r.Where == "" && len(r.Rules) > 0 {
			r.Where = places[rule.Rule(r.Rules[0])]
		}
	}
	return nil
}

// inherit puts the base's rows before the document's own.
func (d *Document) inherit(before []Document) error {
	if d.Base == "" {
		return nil
	}
	i := slices.IndexFunc(before, func(b Document) bool { return b.Profile == d.Base })
	if i < 0 {
		return fmt.Errorf("its base %s does not precede it", d.Base)
	}
	own := d.Rows
	d.Rows = nil
	for _, r := range before[i].source() {
		if slices.Contains(d.Without, r.ID) {
			continue
		}
		if k := slices.IndexFunc(own, func(o Row) bool { return o.ID == r.ID }); k >= 0 {
			r = own[k]
			own = slices.Delete(slices.Clone(own), k, k+1)
		} else {
			r.inherited = true
		}
		d.Rows = append(d.Rows, r)
	}
	d.Rows = append(d.Rows, own...)
	return nil
}

// source is a document's rows with the places that the file gives them.
func (d *Document) source() []Row {
	rows := slices.Clone(d.Rows)
	for i := range rows {
		if len(rows[i].Rules) > 0 && rows[i].Where == places[rule.Rule(rows[i].Rules[0])] {
			rows[i].Where = ""
		}
	}
	return rows
}

// findCases lists the cases that the document's rows may cite, by name.
func (d *Document) findCases(before []Document) error {
	d.cases = map[string]*cases.Case{}
	switch {
	case d.TLS:
		d.add(cases.All().Cases(nil))
		return nil
	case d.Set != "": // Go tests alone check its rows
		return nil
	case d.Common:
		for i := range before {
			if b := &before[i]; b.Profile != "" {
				for _, c := range b.cases {
					d.cases[c.ID] = c
				}
			}
		}
		return nil
	}
	p, err := d.load()
	if err != nil {
		return err
	}
	d.add(cases.All().Cases(p))
	for _, r := range p.Readings {
		reading := Reading{AMB: r.AMB, Switch: r.Switch, Options: r.Options, Default: r.Default, Why: r.Why}
		for _, o := range r.Options {
			for name := range d.cases {
				if strings.HasSuffix(name, "@"+r.Switch+"="+o) {
					reading.Cases = append(reading.Cases, name)
				}
			}
		}
		slices.Sort(reading.Cases)
		d.Readings = append(d.Readings, reading)
	}
	return nil
}

// load loads the document's profile.
func (d *Document) load() (*profile.Profile, error) {
	if d.Definition != "" {
		return profile.Parse(d.Profile+".yaml", []byte(d.Definition), profile.Options{})
	}
	return profile.Load(d.Profile, profile.Options{})
}

func (d *Document) add(cases []cases.Case) {
	for i := range cases {
		if c := &cases[i]; d.cases[c.ID] == nil {
			d.cases[c.ID] = c
		}
	}
}

// isTest reports whether a case is a Go test.
func isTest(name string) bool { return strings.HasPrefix(name, "test:") }

// Count counts the rows of each class.
func (d *Document) Count() map[Class]int {
	n := map[Class]int{}
	for _, r := range d.Rows {
		n[r.Class]++
	}
	return n
}

// Provable counts the enforced rows that Prove turns off, and not those that Go
// tests alone check.
func (d *Document) Provable() int {
	n := 0
	for i := range d.Rows {
		if r := &d.Rows[i]; r.Class == Enforced && len(r.Rules) > 0 {
			n++
		}
	}
	return n
}
