package fuzz

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// nativeTargets are the fuzz targets of the tree, as directory and function.
func nativeTargets(t *testing.T, root string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		directory, err := filepath.Rel(root, filepath.Dir(name))
		for _, declared := range file.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				list = append(list, filepath.ToSlash(directory)+" "+f.Name.Name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// compiler takes the place of OSS-Fuzz's recipe: it notes what it is given, and refuses what
// is not there.
const compiler = `#!/bin/sh
package=${1#attls/}
grep -q "^func $2(" "$package"/*_test.go || { echo "$package has no $2" >&2; exit 1; }
echo "$package $2" >> "$OUT/notes"
: > "$OUT/$3"
`

// TestBuildScript: the script of ClusterFuzzLite and OSS-Fuzz builds every native target of the
// tree, each with a dictionary and options, and seeds where there are some.
func TestBuildScript(t *testing.T) {
	for _, name := range []string{"bash", "zip", "unzip"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not here", name)
		}
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	tools, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "compile_native_go_fuzzer_v2"), []byte(compiler), 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "bash", filepath.Join(root, ".clusterfuzzlite", "build.sh"))
	c.Env = append(os.Environ(), "PATH="+tools+string(filepath.ListSeparator)+os.Getenv("PATH"), "OUT="+out, "SRC="+tools)
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	notes, err := os.ReadFile(filepath.Join(out, "notes"))
	if err != nil {
		t.Fatal(err)
	}
	built := strings.Split(strings.TrimSpace(string(notes)), "\n")
	slices.Sort(built)
	targets := nativeTargets(t, root)
	if len(targets) < 40 || !slices.Equal(built, targets) {
		t.Errorf("built %q\nthe tree has %q", built, targets)
	}
	for _, target := range targets {
		directory, function, _ := strings.Cut(target, " ")
		name := strings.ReplaceAll(directory, "/", "_") + "_" + function
		for _, file := range []string{name, name + ".dict", name + ".options"} {
			if _, err := os.Stat(filepath.Join(out, file)); err != nil {
				t.Error(err)
			}
		}
	}
	for _, target := range []string{"FuzzMessage", "FuzzKey"} {
		list, err := exec.CommandContext(t.Context(), "unzip", "-Z1", filepath.Join(out, "fuzz_"+target+"_seed_corpus.zip")).Output()
		if err != nil || strings.Count(string(list), "\n") < 3 {
			t.Errorf("%s: %v, %q", target, err, list)
		}
	}
}
