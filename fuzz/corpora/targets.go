package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"attls/internal/seeds"
)

// Target is a native fuzz target.
type Target struct {
	Package string // the directory, from the root of the module, with slashes
	Name    string
	Types   []string // of its arguments, as reflect prints them
	// Unseeded says what a target lacks that has no corpus: a call of package seeds.
	Unseeded string
}

// Path is the package and the name.
func (x *Target) Path() string { return path.Join(x.Package, x.Name) }

// Flat is the name that the target has in builds for fuzzers in C.
func (x *Target) Flat() string { return strings.ReplaceAll(x.Path(), "/", "_") }

// tree is a source tree.
type tree struct {
	root string
	w    io.Writer
}

func (t *tree) corpus(x *Target) string {
	return filepath.Join(t.root, filepath.FromSlash(x.Package), filepath.FromSlash(seeds.Directory), x.Name)
}

// targets finds the native targets in the order of their paths.
func (t *tree) targets() (list []Target, err error) {
	err = filepath.WalkDir(t.root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || name != t.root && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(t.root, filepath.Dir(name))
		if err != nil {
			return err
		}
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Fuzz") || f.Body == nil {
				continue
			}
			x := Target{Package: filepath.ToSlash(dir), Name: f.Name.Name}
			if x.Types = x.read(f.Body); x.Types == nil {
				return fmt.Errorf("%s: no call of f.Fuzz with a function literal", x.Path())
			}
			list = append(list, x)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Target) int { return cmp.Compare(a.Path(), b.Path()) })
	return list, err
}

// read finds the types of the arguments of f.Fuzz(func(t *testing.T, …)), without the first.
func (x *Target) read(body *ast.BlockStmt) (list []string) {
	x.Unseeded = "does not call seeds.Add(f, …) before f.Fuzz"
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if types.ExprString(call.Fun) == "seeds.Add" {
			x.Unseeded = ""
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || len(call.Args) != 1 || selector.Sel.Name != "Fuzz" {
			return true
		}
		f, ok := call.Args[0].(*ast.FuncLit)
		if !ok {
			return true
		}
		var names []string
		for _, field := range f.Type.Params.List {
			kind := types.ExprString(field.Type)
			switch kind {
			case "byte":
				kind = "uint8"
			case "[]byte":
				kind = "[]uint8"
			case "rune":
				kind = "int32"
			}
			for _, name := range field.Names {
				list, names = append(list, kind), append(names, name.Name)
			}
		}
		want := "seeds.Input(" + strings.Join(names, ", ") + ")"
		if len(f.Body.List) == 0 || !isCall(f.Body.List[0], want) {
			x.Unseeded = cmp.Or(x.Unseeded, "does not begin with "+want)
		}
		return false
	})
	if len(list) == 0 {
		return nil
	}
	return list[1:]
}

func isCall(s ast.Stmt, want string) bool {
	x, ok := s.(*ast.ExprStmt)
	return ok && types.ExprString(x.X) == want
}

// choose finds the targets with these names; without a name, all.
func (t *tree) choose(names []string) ([]Target, error) {
	all, err := t.targets()
	if err != nil || len(names) == 0 {
		return all, err
	}
	var list []Target
	for _, name := range names {
		found := slices.DeleteFunc(slices.Clone(all), func(x Target) bool { return x.Path() != name && x.Name != name })
		if len(found) == 0 {
			return nil, fmt.Errorf("no target is called %q; %w", name, errUsage)
		}
		list = append(list, found...)
	}
	return list, nil
}

// unpack writes corpora as files, one for each input.
func (t *tree) unpack(targets []Target, to string, octets bool) error {
	for i := range targets {
		x := &targets[i]
		list, err := seeds.ReadFile(t.corpus(x), x.Types)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		dir := filepath.Join(to, x.Flat())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for _, args := range list {
			b := seeds.Marshal(args)
			if octets {
				b = seeds.Octets(args)
			}
			if err := seeds.WriteFile(filepath.Join(dir, seeds.Name(b)), b); err != nil {
				return err
			}
		}
		fmt.Fprintf(t.w, "%s: %d inputs\n", x.Path(), len(list))
	}
	return nil
}
