package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// compiled is a package as "go list -export" tells of it.
type compiled struct {
	ImportPath, Name, Export string
	Module                   *struct{ Main bool }
}

// packages are those of this module and what they import, compiled.
var packages = sync.OnceValues(func() (map[string]compiled, error) {
	c := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Name,Export,Module", "./...")
	c.Dir = "../.."
	c.Env = append(os.Environ(), "GOPROXY=off")
	var wrong strings.Builder
	c.Stderr = &wrong
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, wrong.String())
	}
	list := map[string]compiled{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p compiled
		if err := d.Decode(&p); err == io.EOF {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		list[p.ImportPath] = p
	}
})

// imports reads compiled packages for a type checker.
func imports(t *testing.T, files *token.FileSet) (map[string]compiled, types.Importer) {
	t.Helper()
	list, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return list, importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) {
		p, ok := list[path]
		if !ok {
			return nil, errors.New("no package " + path)
		}
		return os.Open(p.Export)
	})
}

func internal(path string) bool { return strings.Contains("/"+path+"/", "/internal/") }

// mentions collects the internal types that a user of an exported object can see.
type mentions struct {
	seen  map[types.Type]bool
	found func(at string, n *types.TypeName)
}

func (m *mentions) object(o types.Object) {
	if name, ok := o.(*types.TypeName); ok && name.IsAlias() {
		m.alias(o.Name(), name)
	}
	m.typed(o.Name(), o.Type())
}

func (m *mentions) alias(at string, name *types.TypeName) {
	if name.Pkg() != nil && internal(name.Pkg().Path()) {
		m.found(at, name)
	}
}

// typed looks at a type and at what can be reached from its values: exported fields
// and methods, and those of embedded types.
func (m *mentions) typed(at string, t types.Type) {
	if t == nil || m.seen[t] {
		return
	}
	m.seen[t] = true
	defer delete(m.seen, t)
	switch t := t.(type) {
	case *types.Alias:
		m.alias(at, t.Obj())
		m.typed(at, t.Rhs())
	case *types.Named:
		m.named(at, t)
	case *types.Pointer:
		m.typed(at, t.Elem())
	case *types.Slice:
		m.typed(at, t.Elem())
	case *types.Array:
		m.typed(at, t.Elem())
	case *types.Chan:
		m.typed(at, t.Elem())
	case *types.Map:
		m.typed(at, t.Key())
		m.typed(at, t.Elem())
	case *types.Tuple:
		for v := range t.Variables() {
			m.typed(at, v.Type())
		}
	case *types.Signature:
		m.typed(at, t.Params())
		m.typed(at, t.Results())
		for p := range t.TypeParams().TypeParams() {
			m.typed(at, p.Constraint())
		}
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() || f.Embedded() {
				m.typed(at+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		for f := range t.Methods() {
			m.typed(at+"."+f.Name(), f.Type())
		}
		for e := range t.EmbeddedTypes() {
			m.typed(at, e)
		}
	case *types.Union:
		for term := range t.Terms() {
			m.typed(at, term.Type())
		}
	}
}

func (m *mentions) named(at string, t *types.Named) {
	for a := range t.TypeArgs().Types() {
		m.typed(at, a)
	}
	of := t.Obj().Pkg()
	if of == nil {
		return
	}
	if internal(of.Path()) && strings.HasPrefix(of.Path(), module) {
		m.found(at, t.Obj())
		return
	}
	// An exported type is looked at where it is declared.
	if !strings.HasPrefix(of.Path(), module) || t.Obj().Exported() && at != t.Obj().Name() {
		return
	}
	for f := range t.Methods() {
		if f.Exported() {
			m.typed(at+"."+f.Name(), f.Type())
		}
	}
	m.typed(at, t.Underlying())
}

// module begins the paths of this module's packages, but for the root's.
const module = "attls"

// visible lists what the exported names of a package mention of internal types.
func visible(p *types.Package) (list []string) {
	m := &mentions{seen: map[types.Type]bool{}}
	for _, name := range p.Scope().Names() {
		o := p.Scope().Lookup(name)
		if !o.Exported() {
			continue
		}
		m.found = func(at string, n *types.TypeName) {
			list = append(list, fmt.Sprintf("%s.%s mentions %s.%s", p.Path(), at, n.Pkg().Path(), n.Name()))
		}
		m.object(o)
	}
	return list
}

// TestNoExportedNameMentionsAnInternalType: a type that a user cannot name must not be in
// what a user can call, since an untyped constant or a function's result would do.
func TestNoExportedNameMentionsAnInternalType(t *testing.T) {
	list, in := imports(t, token.NewFileSet())
	n := 0
	for path, p := range list {
		if p.Module == nil || !p.Module.Main || p.Name == "main" || internal(path) {
			continue
		}
		n++
		loaded, err := in.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range visible(loaded) {
			t.Error(line)
		}
	}
	if n < 20 {
		t.Errorf("%d packages", n)
	}
}

// TestAnInternalTypeIsSeenWhereverItIsMentioned: each way in which a signature can mention one.
func TestAnInternalTypeIsSeenWhereverItIsMentioned(t *testing.T) {
	for _, text := range []string{
		"func F(rule.Rule) {}", "func F(...rule.Rule) {}", "func F() (int, *rule.Rule) { return 0, nil }", "func F(func(rule.Rule)) {}",
		"var V rule.Rule", "const C = rule.OfferOrder", "type T struct{ R []rule.Rule }", "type T struct{ rule.Rule }",
		"type t struct{ R rule.Rule }\ntype T struct{ t }", "type t struct{ R map[rule.Rule]bool }\nfunc F() *t { return nil }",
		"type T int\nfunc (T) M(chan rule.Rule) {}", "type T interface{ M() [1]rule.Rule }", "type T = rule.Rule", "type r = rule.Rule\nfunc F(r) {}",
		"type t int\nfunc (t) M(rule.Rule) {}\nfunc F() t { return 0 }", "func F[T ~[]rule.Rule](T) {}", "type G[T any] struct{ X T }\nvar V G[rule.Rule]",
		"type T struct{ F struct{ R rule.Rule } }",
	} {
		if p, err := check(t, "attls/scratch", "import \"attls/internal/rule\"\n"+text); err != nil || len(visible(p)) == 0 {
			t.Errorf("%s: it is not seen (%v)", text, err)
		}
	}
	for _, text := range []string{"func f(rule.Rule) {}", "type T struct{ r rule.Rule }", "type T int\nfunc (T) m(rule.Rule) {}", "var V = string(rule.OfferOrder)"} {
		if p, err := check(t, "attls/scratch", "import \"attls/internal/rule\"\n"+text); err != nil || len(visible(p)) > 0 {
			t.Errorf("%s: %v (%v)", text, visible(p), err)
		}
	}
}

// check checks the types of a program's text.
func check(t *testing.T, path, text string) (*types.Package, error) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, "scratch.go", "package scratch\n"+text, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, in := imports(t, files)
	return (&types.Config{Importer: in}).Check(path, files, []*ast.File{f}, nil)
}

// attempts are ways in which a program may try to turn off a rule, or to choose
// cryptography that protects nothing.
var attempts = map[string]string{
	"an untyped constant":        `import "attls/extensions/profile"; func F(p *profile.Profile) any { return p.Without("signature.verified") }`,
	"a converted constant":       `import "attls/extensions/profile"; func F(p *profile.Profile) any { return p.Obeys(0) }`,
	"the unexported method":      `import "attls/extensions/profile"; func F(p *profile.Profile) any { return p.without("signature.verified") }`,
	"a struct literal":           `import "attls/extensions/profile"; var P = profile.Profile{off: "signature.verified"}`,
	"a literal without keys":     `import "attls/extensions"; var T = extensions.Table{nil, "extension.once"}`,
	"a field":                    `import "attls/extensions/profile"; func F(p *profile.Profile) { p.off = "signature.verified" }`,
	"an embedded profile":        `import "attls/extensions/profile"; type own struct{ *profile.Profile }; func F(p *profile.Profile) { own{p}.off = "signature.verified" }`,
	"a method of an embedded":    `import "attls/extensions/profile"; type own struct{ profile.Profile }; func F(o *own) any { return o.without("signature.verified") }`,
	"a conversion":               `import "attls/extensions/profile"; type own profile.Profile; func F(p *profile.Profile) { (*own)(p).off = "signature.verified" }`,
	"a table":                    `import "attls/extensions"; func F(t *extensions.Table) any { return t.Without("extension.once") }`,
	"a provider":                 `import "attls/handshake"; func F(p any) any { return handshake.Config{Provider: p} }`,
	"the unexported provider":    `import "attls/handshake"; var C = handshake.Config{prov: nil}`,
	"a provider by embedding":    `import "attls/handshake"; type own struct{ handshake.Config }; func F(o *own, p any) { o.prov = p }`,
	"a configuration without":    `import "attls/handshake"; func F(c *handshake.Config) any { return c.without("signature.verified") }`,
	"a case without its rule":    `import "attls/conformance/cases"; func F(c *cases.Case) any { return c.RunWithoutRule() }`,
	"a setup without a rule":     `import "attls/conformance/scenario"; func F(s *scenario.Setup) (any, error) { return s.runInMemory(nil) }`,
	"the fuzzers' provider":      `import "attls/fuzz"; var P = fuzz.Provider(true)`,
	"the fuzzers' configuration": `import "attls/fuzz"; func F(s *fuzz.Scenario) any { return s.Options(true, [2]any{}) }`,
}

// TestNoProgramOutsideCanTurnARuleOff: none of the attempts compiles, although what they
// have in common with a sound program does.
func TestNoProgramOutsideCanTurnARuleOff(t *testing.T) {
	for name, text := range attempts {
		_, err := check(t, "example.org/outside", text)
		if err == nil {
			t.Errorf("%s compiles: %s", name, text)
		} else if strings.Contains(err.Error(), "imported and not used") || strings.Contains(err.Error(), "could not import") {
			t.Errorf("%s fails for another reason: %v", name, err)
		}
	}
	if _, err := check(t, "example.org/outside", `import "attls/extensions/profile"; func F(p *profile.Profile) any { return p.ID }`); err != nil {
		t.Errorf("a sound program does not compile: %v", err)
	}
}

// TestNoModuleOutsideImportsAnInternalPackage asks the go command about a module that
// requires this one: what only packages of internal hold cannot be had there.
func TestNoModuleOutsideImportsAnInternalPackage(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(mod), "module attls\n")
	sum, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":               "module example.org/outside\n" + rest + "\nrequire attls v0.0.0\nreplace attls => " + root + "\n",
		"go.sum":               string(sum),
		"sound/sound.go":       "package sound\nimport _ \"attls/handshake\"\n",
		"rules/rules.go":       "package rules\nimport _ \"attls/internal/rule\"\n",
		"provider/provider.go": "package provider\nimport _ \"attls/internal/provider\"\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, refused := range map[string]bool{"sound": false, "rules": true, "provider": true} {
		c := exec.Command("go", "list", "-deps", "./"+name)
		c.Dir = dir
		c.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := c.CombinedOutput()
		if (err != nil) != refused || refused && !strings.Contains(string(out), "use of internal package") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
