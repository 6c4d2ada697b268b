package profile

import (
	"fmt"
	"path/filepath"
	"sort"
	"strings"

	"attls/extensions/schema"
)

// Flaw is a defect of a text that the profile acknowledges.
type Flaw struct {
	Name   string // payload_bound, element_bound, answer_not_offered, context_bound, number_taken
	Field  string // or extension, or definition
	Reason string // where it is told, if the profile says so
	*schema.Problem
}

// Lint tells everything that can be known of a profile without a handshake:
// what Load refuses, under every reading of every switch (one at a time, the
// others at their defaults), what it warns of, and the flaws that the profile
// acknowledges. name is as for Load. Warnings do not keep it from loading.
func Lint(name string) schema.Problems { return lint(readChain(name)) }

// LintText is Lint for the text of a profile; file is its name in positions.
func LintText(file string, src []byte) schema.Problems { return lint(parseChain(file, src, nil)) }

func lint(doc *value, problems schema.Problems) schema.Problems {
	if problems.Err() != nil {
		return problems
	}
	l := linter{doc: doc, seen: map[string]bool{}}
	l.add(problems, "")
	p := l.load(Options{}, "")
	if p != nil {
		for _, f := range p.Flaws {
			l.acknowledged(f)
		}
		for _, r := range p.Readings {
			for _, o := range r.Options {
				if o != r.Default {
					l.load(Options{Readings: map[string]string{r.Switch: o}}, fmt.Sprintf("with %s=%s: ", r.Switch, o))
				}
			}
		}
	}
	sort.SliceStable(l.found, func(i, k int) bool { return before(l.found[i].Pos, l.found[k].Pos) })
	return l.found
}

type linter struct {
	doc   *value
	found schema.Problems
	seen  map[string]bool
}

func (l *linter) load(o Options, prefix string) *Profile {
	p, err := compileDocument(l.doc, o)
	if ps, ok := err.(schema.Problems); ok {
		l.add(ps, prefix)
	}
	if p != nil {
		l.add(p.Warnings, prefix)
		if prefix == "" { // of the readings in force
			l.add(p.remarks, prefix)
		}
	}
	return p
}

// add takes problems that were not told yet, under whatever reading.
func (l *linter) add(ps schema.Problems, prefix string) {
	for _, p := range ps {
		if key := p.Pos.String() + p.Text; !l.seen[key] {
			l.seen[key] = true
			told := *p
			told.Text = prefix + p.Text
			l.found = append(l.found, &told)
		}
	}
}

func (l *linter) acknowledged(f Flaw) {
	p := *f.Problem
	p.Warning, p.Advice = true, "acknowledged as "+f.Name
	if f.Reason != "" {
		p.Advice += ": " + f.Reason
	}
	l.found = append(l.found, &p)
}

// before orders places: the profile's own file first.
func before(a, b schema.Position) bool {
	if x, y := strings.HasPrefix(a.File, inheritedFrom), strings.HasPrefix(b.File, inheritedFrom); x != y {
		return y
	}
	if a.File != b.File {
		return a.File < b.File
	}
	if a.Line != b.Line {
		return a.Line < b.Line
	}
	return a.Column < b.Column
}

// New returns the text of a profile that changes another one, to be edited: what
// the base says is in it as comments, each part under what it is for.
func New(id, base string) (string, error) {
	p, err := Load(base, Options{})
	if err != nil {
		return "", err
	}
	if IsFile(base) && !filepath.IsAbs(base) && !strings.HasPrefix(base, ".") {
		base = "./" + base
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# A draft that changes %s. What that says is below as comments: remove
# the "# " from the lines that you change and from the keys above them, and leave
# the rest, which is inherited. Maps merge into those of the base, scalars and
# lists replace, null deletes, a type replaces the type of its name.
profile: %s
base: %s
draft: {name: %s, status: experiment}
`, p.ID, id, base, id)
	for _, line := range strings.Split(strings.TrimSuffix(p.Source(), "\n"), "\n") {
		if name, _, ok := strings.Cut(line, ":"); ok && !strings.ContainsAny(line[:1], " #") {
			if name == "profile" {
				continue
			}
			if k := root.find(name); k != nil {
				fmt.Fprintf(&b, "\n## %s\n", k.text)
			}
		}
		switch {
		case strings.HasSuffix(line, ": null"):
			continue // in a file with a base it would delete what is inherited
		case line != "":
			line = "# " + line
		}
		b.WriteString(line + "\n")
	}
	return b.String(), nil
}
