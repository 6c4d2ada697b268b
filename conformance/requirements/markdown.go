package requirements

import (
	"fmt"
	"regexp"
	"strings"
)

// Markdown is SPEC.md: a table for each document, and after it the ambiguities
// of its text with the readings that the profile offers.
func Markdown() (string, error) {
	all, err := Load()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(`# What is implemented of which text

Generated from conformance/requirements; do not edit. Each row is one normative statement in our words. *Enforced*
means that our code obeys it or holds a peer to it and that the cases named show so; *duty* means that it binds an
Attester or a Verifier; *later* means that it is not implemented, with the reason. A case is a connection that is made
to go wrong, or looked at, in one way; ` + "`attls spec --prove`" + ` turns off the rule that each case checks and
shows that the case then fails. Cases of the record layer and of codecs have no rule that could be turned off; the
tests run them. What begins with test: is a Go test. *Provable* counts the enforced rows with such cases. A row that a
later revision shares with an earlier one has the earlier one's number. Where a text leaves more than one reading
open, the profile has a switch (` + "`--reading SWITCH=VALUE`" + `); the default is justified, and a peer under each
other reading of the binder is noticed.

| text | enforced | provable | duty | later | ambiguities |
|---|---|---|---|---|---|
`)
	for i := range all {
		d := &all[i]
		n := d.Count()
		fmt.Fprintf(&b, "| [%s](#%s) | %d | %d | %d | %d | %d |\n", d.Title(), anchor(d.Title()), n[Enforced], d.Provable(),
			n[Duty], n[Later], len(d.Readings))
	}
	for i := range all {
		all[i].markdown(&b)
	}
	return b.String(), nil
}

// anchor is what a heading is called in a link.
func anchor(title string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(title), ".", ""), " ", "-")
}

func (d *Document) markdown(b *strings.Builder) {
	fmt.Fprintf(b,
		"\n## %s\n\nSource: %s.\n\n| id | statement | class | where | rules | cases |\n|---|---|---|---|---|---|\n",
		d.Title(), d.Source)
	for _, r := range d.Rows {
		cases := strings.Join(r.Cases, ", ")
		if r.Class == Later {
			cases = r.Reason
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", r.ID, r.Text, r.Class, r.Where,
			strings.Join(r.Rules, ", "), cases)
	}
	if len(d.Readings) == 0 {
		return
	}
	b.WriteString("\n| ambiguity | switch | readings | default | why | cases |\n|---|---|---|---|---|---|\n")
	for _, r := range d.Readings {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", linked(r.AMB), r.Switch, strings.Join(r.Options, ", "), r.Default,
			r.Why, strings.Join(r.Cases, ", "))
	}
}

// ambiguity is the id of an ambiguity that docs/ambiguities.md describes.
var ambiguity = regexp.MustCompile(`[A-Z]-[0-9a-z]+/AMB-[0-9]+|(?:PROFILES|FORMATS) [0-9]+(?:\.[0-9]+)*`)

// ambiguityAnchor is the place of an ambiguity in docs/ambiguities.md.
func ambiguityAnchor(id string) string {
	return strings.NewReplacer("/", "-", " ", "-", ".", "-").Replace(strings.ToLower(id))
}

// linked turns each id of an ambiguity into a link to its description.
func linked(ids string) string {
	return ambiguity.ReplaceAllStringFunc(ids, func(id string) string {
		return "[" + id + "](docs/ambiguities.md#" + ambiguityAnchor(id) + ")"
	})
}
