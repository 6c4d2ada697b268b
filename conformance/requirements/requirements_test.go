package requirements

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/conformance"
	"attls/extensions/profile"
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
	t      *testing.T
	known  map[string]map[string]bool
	faults map[string]bool
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
		kind, name, _ := strings.Cut(s, ":")
		pkg, test := split(name)
		switch {
		case kind == "fault" && c.faults[name]:
		case kind == "test" && pkg != "" && strings.HasPrefix(test, "Test") && c.has(pkg, test, true):
		default:
			return "there is no case " + s
		}
	}
	return ""
}

// TestRegistry: every enforced row and every duty names a place and cases that
// exist, every other a reason.
func TestRegistry(t *testing.T) {
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	c := checker{t: t, known: map[string]map[string]bool{}}
	for _, d := range all {
		p, err := profile.Load(d.Profile, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c.faults = map[string]bool{}
		for _, f := range conformance.Faults(p, conformance.Scenario{Profile: d.Profile}) {
			c.faults[f.Name] = true
		}
		seen := map[string]bool{}
		for i := range d.Rows {
			r := &d.Rows[i]
			if r.ID == "" || r.Text == "" || seen[r.ID] {
				t.Errorf("%s/%s: the id or the text is missing, or the id stands twice", d.Profile, r.ID)
			}
			seen[r.ID] = true
			if why := c.problem(r); why != "" {
				t.Errorf("%s/%s: %s", d.Profile, r.ID, why)
			}
		}
		for _, bad := range []Row{
			{Class: Enforced, Where: "negotiation.Offer"},
			{Class: Enforced, Where: "negotiation.Offer", Cases: []string{"fault:nonsense"}},
			{Class: Enforced, Where: "negotiation.Offer", Cases: []string{"test:negotiation.TestNonsense"}},
			{Class: Enforced, Where: "negotiation.Nonsense", Cases: []string{"test:negotiation.TestFirst"}},
			{Class: Later}, {Class: "maybe"},
		} {
			if c.problem(&bad) == "" {
				t.Errorf("%+v passes", bad)
			}
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
