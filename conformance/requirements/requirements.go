// Package requirements is the registry of the normative statements that the
// project implements, each with its class and the cases that check it. SPEC.md
// is generated from it.
package requirements

//go:generate go run ./generate ../../SPEC.md

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"attls/extensions/profile"
)

//go:embed requirements.yaml
var registry []byte

// Class says what becomes of a statement.
type Class string

const (
	Enforced Class = "enforced" // our code obeys it or holds a peer to it
	Duty     Class = "duty"     // of an Attester or a Verifier
	Later    Class = "later"    // not implemented
)

// Row is one statement.
type Row struct {
	ID     string   `yaml:"id" json:"id"`
	Text   string   `yaml:"text" json:"text"`
	Class  Class    `yaml:"class" json:"class"`
	Where  string   `yaml:"where" json:"where,omitempty"`   // PACKAGE.FUNCTION or profile:KEY
	Cases  []string `yaml:"cases" json:"cases,omitempty"`   // fault:NAME or test:PACKAGE.NAME
	Reason string   `yaml:"reason" json:"reason,omitempty"` // of Later
}

// Document is the statements of one profile's text.
type Document struct {
	Profile string `yaml:"profile" json:"profile"`
	Source  string `yaml:"source" json:"source"`
	Rows    []Row  `yaml:"rows" json:"rows"`
}

// Load reads the registry. Unknown keys are errors.
func Load() ([]Document, error) {
	d := yaml.NewDecoder(bytes.NewReader(registry))
	d.KnownFields(true)
	var all []Document
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("requirements.yaml: %w", err)
	}
	return all, nil
}

// Count counts the rows of each class.
func (d *Document) Count() map[Class]int {
	n := map[Class]int{}
	for _, r := range d.Rows {
		n[r.Class]++
	}
	return n
}

// Markdown is SPEC.md: a table for each document, and after it the ambiguities
// of its text with the readings that the profile offers.
func Markdown() (string, error) {
	all, err := Load()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(`# What is implemented of which text

Generated from conformance/requirements; do not edit. Each row is one normative statement in our words. *Enforced* means that
our code obeys it or holds a peer to it and that the cases named show so; *duty* means that it binds an Attester or a Verifier;
*later* means that it is not implemented, with the reason. A case is a fault (` + "`attls demo --profile P --fail NAME`" + `) or a Go test.
Where a text leaves more than one reading open, the profile has a switch (` + "`--reading SWITCH=VALUE`" + `); the default is justified.

| profile | enforced | duty | later |
|---|---|---|---|
`)
	for _, d := range all {
		n := d.Count()
		fmt.Fprintf(&b, "| [%s](#%s) | %d | %d | %d |\n", d.Profile, d.Profile, n[Enforced], n[Duty], n[Later])
	}
	for _, d := range all {
		if err := d.markdown(&b); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func (d *Document) markdown(b *strings.Builder) error {
	fmt.Fprintf(b, "\n## %s\n\nSource: %s.\n\n| id | statement | class | where | cases |\n|---|---|---|---|---|\n", d.Profile, d.Source)
	for _, r := range d.Rows {
		cases := strings.Join(r.Cases, ", ")
		if r.Class == Later {
			cases = r.Reason
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", r.ID, r.Text, r.Class, r.Where, cases)
	}
	p, err := profile.Load(d.Profile, profile.Options{})
	if err != nil {
		return err
	}
	if len(p.Readings) == 0 {
		return nil
	}
	b.WriteString("\n| ambiguity | switch | readings | default | why |\n|---|---|---|---|---|\n")
	for _, r := range p.Readings {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", r.AMB, r.Switch, strings.Join(r.Options, ", "), r.Default, r.Why)
	}
	return nil
}
