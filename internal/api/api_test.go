package api

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the list anew")

// list is the stored list, from this directory.
const list = "../../docs/api.txt"

// TestAPI compares the exported names of every package that programs can import
// with the stored list.
func TestAPI(t *testing.T) {
	var now []string
	if err := filepath.WalkDir("../..", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); name == "internal" || name == "testdata" || strings.HasPrefix(name, ".") && name != ".." {
			return fs.SkipDir
		}
		path, err := filepath.Rel("../..", dir)
		if err != nil {
			return err
		}
		lines, err := exported(dir, filepath.ToSlash(filepath.Join("attls", path)))
		now = append(now, lines...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(now)
	if *update {
		if err := os.WriteFile(list, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(strings.Split(strings.TrimSpace(string(text)), "\n"), now); d != "" {
		t.Errorf("The exported API differs from docs/api.txt. If that is meant, run \"make api\", and tell users of what "+
			"was removed or changed in CHANGELOG.md:\n%s", d)
	}
}

// exported lists what the package of path in a directory exports, a line for each name, field
// and method, as it is on Linux. A program exports nothing.
func exported(dir, path string) ([]string, error) {
	context := build.Default
	context.GOOS, context.GOARCH, context.CgoEnabled = "linux", "amd64", false
	p, err := context.ImportDir(dir, 0)
	if _, none := err.(*build.NoGoError); none || err == nil && p.Name == "main" {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	l := &lister{prefix: path + ": ", files: token.NewFileSet(), closed: map[string]bool{}}
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(l.files, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
		for _, d := range file.Decls {
			l.note(d)
		}
	}
	for _, file := range files {
		for _, d := range file.Decls {
			l.declaration(d)
		}
	}
	return l.lines, nil
}

type lister struct {
	prefix string
	files  *token.FileSet
	lines  []string
	closed map[string]bool // unexported structs; false: with exported methods
}

// note remembers the unexported structs through which nobody outside sees anything.
func (l *lister) note(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil && d.Name.IsExported() {
			l.closed[strings.TrimLeft(l.text(d.Recv.List[0].Type), "*")] = false
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			t, ok := s.(*ast.TypeSpec)
			if !ok || t.Name.IsExported() {
				continue
			}
			body, ok := t.Type.(*ast.StructType)
			if _, methods := l.closed[t.Name.Name]; !ok || methods {
				continue
			}
			l.closed[t.Name.Name] = !slices.ContainsFunc(body.Fields.List, func(f *ast.Field) bool {
				return len(f.Names) == 0 || slices.ContainsFunc(f.Names, func(n *ast.Ident) bool { return n.IsExported() })
			})
		}
	}
}

func (l *lister) add(format string, args ...any) {
	l.lines = append(l.lines, l.prefix+fmt.Sprintf(format, args...))
}

// text is a node in one line.
func (l *lister) text(n any) string {
	var b bytes.Buffer
	printer.Fprint(&b, l.files, n)
	return strings.Join(strings.Fields(b.String()), " ")
}

func (l *lister) declaration(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if !d.Name.IsExported() {
			return
		}
		receiver := ""
		if d.Recv != nil {
			of := l.text(d.Recv.List[0].Type)
			if !ast.IsExported(strings.TrimLeft(of, "*")) {
				return
			}
			receiver = "(" + of + ") "
		}
		l.add("func %s%s%s", receiver, d.Name.Name, strings.TrimPrefix(l.text(d.Type), "func"))
	case *ast.GenDecl:
		kind := ""
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				l.typeSpec(s)
			case *ast.ValueSpec:
				if s.Type != nil {
					kind = " " + l.text(s.Type)
				} else if len(s.Values) > 0 || d.Tok == token.VAR {
					kind = "" // only a constant without a value repeats the type before it
				}
				for i, name := range s.Names {
					if !name.IsExported() {
						continue
					}
					value := ""
					if i < len(s.Values) {
						value = l.value(s.Values[i])
					}
					l.add("%s %s%s%s", d.Tok, name.Name, kind, value)
				}
			}
		}
	}
}

// value tells of a value as much as gives it its type, or names a constant's value.
func (l *lister) value(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return " = " + l.text(e.Type) + "{…}"
	case *ast.FuncLit:
		return " = " + l.text(e.Type)
	case *ast.CallExpr:
		if text := l.text(e); len(text) > 80 || strings.Contains(text, "{") {
			return " = " + l.text(e.Fun) + "(…)"
		}
	case *ast.UnaryExpr:
		return " = " + e.Op.String() + strings.TrimPrefix(l.value(e.X), " = ")
	}
	return " = " + l.text(e)
}

func (l *lister) typeSpec(s *ast.TypeSpec) {
	if !s.Name.IsExported() {
		return
	}
	name := s.Name.Name
	if s.TypeParams != nil {
		var names []string
		for _, f := range s.TypeParams.List {
			for _, n := range f.Names {
				names = append(names, n.Name+" "+l.text(f.Type))
			}
		}
		name += "[" + strings.Join(names, ", ") + "]"
	}
	switch t := s.Type.(type) {
	case *ast.StructType:
		l.add("type %s struct", name)
		l.fields(name, t.Fields)
	case *ast.InterfaceType:
		l.add("type %s interface", name)
		l.fields(name, t.Methods)
	default:
		alias := ""
		if s.Assign.IsValid() {
			alias = "= "
		}
		l.add("type %s %s%s", name, alias, l.text(t))
	}
}

// fields lists exported fields and methods, and embedded types, whose names others
// see through them, unless there are none. An interface with unexported methods says so: nobody outside can
// implement it.
func (l *lister) fields(of string, f *ast.FieldList) {
	for _, field := range f.List {
		if len(field.Names) == 0 && !l.closed[strings.TrimLeft(l.text(field.Type), "*")] {
			l.add("type %s, embedded %s", of, l.text(field.Type))
		}
		for _, n := range field.Names {
			switch signature, method := field.Type.(*ast.FuncType); {
			case method && !n.IsExported():
				l.add("type %s, unexported method", of)
			case method && signature.Func == token.NoPos:
				l.add("type %s, %s%s", of, n.Name, strings.TrimPrefix(l.text(signature), "func"))
			case n.IsExported():
				l.add("type %s, %s %s", of, n.Name, l.text(field.Type))
			}
		}
	}
}

// difference lists the lines of only one of two sorted lists.
func difference(before, now []string) string {
	var b strings.Builder
	for len(before) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(before) > 0 && before[0] < now[0]:
			fmt.Fprintf(&b, "- %s\n", before[0])
			before = before[1:]
		case len(before) == 0 || now[0] < before[0]:
			fmt.Fprintf(&b, "+ %s\n", now[0])
			now = now[1:]
		default:
			before, now = before[1:], now[1:]
		}
	}
	return b.String()
}

// TestExported: what counts as the API of a package.
func TestExported(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(`package p
type T struct { A, b int; F func(); io.Reader; *hidden; u; seen }
type hidden struct { a int }
type seen struct { a int }
type I interface { M(x int) error; hidden() }
type G[K comparable] map[K]int
type u struct{ A int }
type L = T
func (t *T) M(a, b int) (err error) { return nil }
func (T) m() {}
func (u) M() {}
func (*seen) M() {}
func F() {}
const ( A int = iota; B; c )
const S = "s"
var V = map[string]int{"a": 1}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	lines, err := exported(dir, "p")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "p: ")
	}
	want := []string{"type T struct", "type T, A int", "type T, F func()", "type T, embedded io.Reader", "type T, embedded u", "type T, embedded seen", "type I interface",
		"type I, M(x int) error", "type I, unexported method", "type G[K comparable] map[K]int", "type L = T",
		"func (*T) M(a, b int) (err error)", "func F()", "const A int = iota", "const B int", `const S = "s"`, "var V = map[string]int{…}"}
	if d := difference(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(lines))); d != "" {
		t.Error(d)
	}
}

func TestDifference(t *testing.T) {
	if got := difference([]string{"a", "b", "c"}, []string{"a", "c", "d"}); got != "- b\n+ d\n" {
		t.Errorf("%q", got)
	}
}
