package requirements

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"attls/conformance/cases"
	"attls/extensions/profile"
	"attls/internal/rule"
)

const root = "../.."

// functions lists the functions and methods of a package; tests only, or the others.
func functions(t *testing.T, dir string, tests bool) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no Go files, %v", dir, err)
	}
	found := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") != tests {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				found[fn.Name.Name] = true
			}
		}
	}
	return found
}

// checker remembers what it has looked up.
type checker struct {
	t     *testing.T
	known map[string]map[string]bool
	cases map[string]*cases.Case
}

func (c *checker) has(pkg, name string, tests bool) bool {
	key := pkg
	if tests {
		key += " tests"
	}
	if c.known[key] == nil {
		c.known[key] = functions(c.t, pkg, tests)
	}
	return c.known[key][name]
}

// split cuts PACKAGE.NAME.
func split(s string) (pkg, name string) {
	i := strings.LastIndex(s, ".")
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// problem says what is wrong with a row.
func (c *checker) problem(r *Row) string {
	switch r.Class {
	case Later:
		if r.Reason == "" {
			return "it has no reason"
		}
		return ""
	case Enforced, Duty:
	default:
		return "its class is " + string(r.Class)
	}
	if len(r.Cases) == 0 {
		return "no case checks it"
	}
	if pkg, name := split(r.Where); !strings.HasPrefix(r.Where, "profile:") && (pkg == "" || !c.has(pkg, name, false)) {
		return "there is no " + r.Where
	}
	for _, s := range r.Cases {
		pkg, test := split(strings.TrimPrefix(s, "test:"))
		if !isTest(s) && c.cases[s] == nil || isTest(s) && (pkg == "" || !strings.HasPrefix(test, "Test") || !c.has(pkg, test, true)) {
			return "there is no case " + s
		}
	}
	return ""
}

// TestRegistry: every enforced row and every duty names a place and cases that
// exist, every other a reason; every case of a profile is cited.
func TestRegistry(t *testing.T) {
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	c := checker{t: t, known: map[string]map[string]bool{}}
	common := slices.IndexFunc(all, func(d Document) bool { return d.Common })
	for i := range all {
		d := &all[i]
		c.cases = d.cases
		seen := map[string]bool{}
		for i := range d.Rows {
			r := &d.Rows[i]
			if r.ID == "" || r.Text == "" || seen[r.ID] {
				t.Errorf("%s/%s: the id or the text is missing, or the id stands twice", d.Title(), r.ID)
			}
			seen[r.ID] = true
			if why := c.problem(r); why != "" {
				t.Errorf("%s/%s: %s", d.Title(), r.ID, why)
			}
		}
		cited := citations(d)
		for k := range all { // what every profile, or another text of TLS 1.3, cites
			if other := &all[k]; d.TLS && other.TLS || !d.TLS && k == common {
				maps.Copy(cited, citations(other))
			}
		}
		for name := range d.cases {
			if !cited[name] && !d.Common {
				t.Errorf("%s: no row cites the case %s", d.Title(), name)
			}
		}
		for _, id := range d.Without {
			if slices.ContainsFunc(d.Rows, func(r Row) bool { return r.ID == id && r.inherited }) {
				t.Errorf("%s: row %s was to be left out", d.Title(), id)
			}
		}
	}
	for _, p := range profile.Names() {
		if !slices.ContainsFunc(all, func(d Document) bool { return d.Profile == p }) {
			t.Errorf("there are no statements of %s", p)
		}
	}
	for _, bad := range []Row{
		{Class: Enforced, Where: "negotiation.Offer"},
		{Class: Enforced, Where: "negotiation.Offer", Cases: []string{"nonsense"}},
		{Class: Enforced, Where: "negotiation.Offer", Cases: []string{"test:negotiation.TestNonsense"}},
		{Class: Enforced, Where: "negotiation.Nonsense", Cases: []string{"test:negotiation.TestFirst"}},
		{Class: Enforced, Cases: []string{"test:negotiation.TestFirst"}},
		{Class: Later}, {Class: "maybe"},
	} {
		if c.problem(&bad) == "" {
			t.Errorf("%+v passes", bad)
		}
	}
	for r, where := range places {
		if why := c.problem(&Row{Class: Enforced, Where: where, Cases: []string{"test:negotiation.TestFirst"}}); why != "" {
			t.Errorf("%s: %s", r, why)
		}
	}
}

// TestRules: every rule of the closed list has its place, and a case that checks it.
func TestRules(t *testing.T) {
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	checked := map[string]bool{}
	for _, d := range all {
		for _, c := range d.cases {
			checked[c.Rule] = true
		}
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "internal/rule/rule.go"), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(f, func(x ast.Node) bool {
		if lit, ok := x.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			r := rule.Rule(strings.Trim(lit.Value, `"`))
			n++
			if places[r] == "" || !checked[string(r)] {
				t.Errorf("%s: its place is %q, a case checks it: %v", r, places[r], checked[string(r)])
			}
		}
		return true
	})
	if n == 0 || n != len(places) || n != len(rule.All()) {
		t.Errorf("%d rules, %d places and %d in the list", n, len(places), len(rule.All()))
	}
}

// citations are the cases that a document cites.
func citations(d *Document) map[string]bool {
	cited := map[string]bool{}
	for _, r := range d.Rows {
		for _, s := range r.Cases {
			cited[s] = true
		}
	}
	for _, r := range d.Readings {
		for _, s := range r.Cases {
			cited[s] = true
		}
	}
	return cited
}

// TestProve runs every case of every profile with its rule and without it, and
// holds what ran against what is cited.
func TestProve(t *testing.T) {
	if raceDetector {
		t.Skip("it runs in one goroutine: nothing for the race detector")
	}
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]bool{}
	err = Prove(context.Background(), all, Everything, "", func(p Proof) {
		ran[p.Profile+" "+p.Case] = true
		if !p.Proven {
			t.Errorf("%s %v: %s without %s: %s", p.Profile, p.Rows, p.Case, p.Rule, p.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		d := &all[i]
		if d.Common {
			continue // its cases ran under every profile that has them
		}
		for _, r := range d.Rows {
			for _, s := range r.Cases {
				if !isTest(s) && d.cases[s].Rule != "" && !ran[d.Profile+" "+s] {
					t.Errorf("%s/%s: the case %s did not run", d.Title(), r.ID, s)
				}
			}
		}
	}
	for _, name := range []string{"nonsense", ""} {
		if err := Prove(context.Background(), all, name, "R77", func(Proof) {}); err == nil {
			t.Errorf("row R77 of %q can be proven", name)
		}
	}
}

// TestSpec: SPEC.md is what the registry says.
func TestSpec(t *testing.T) {
	want, err := Markdown()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "SPEC.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("SPEC.md is not up to date; run go generate ./conformance/requirements")
	}
}

// TestNotProven: a case that passes without the rule it names, or fails with it,
// is told apart from a proof.
func TestNotProven(t *testing.T) {
	selected := cases.All().Cases(nil)
	wrong, broken := selected[0], selected[0]
	wrong.Rule = string(rule.OfferOrder)
	broken.Scenario.Suite = "TLS_NONSENSE"
	for want, c := range map[string]*cases.Case{"it passes without the rule": &wrong, "it fails with the rule in force": &broken} {
		if p := (&unit{c: c}).prove(); p.Proven || !strings.HasPrefix(p.Text, want) {
			t.Errorf("%+v, want: %s", p, want)
		}
	}
}
