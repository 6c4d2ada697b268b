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

// built runs the script of ClusterFuzzLite and OSS-Fuzz with a double of their compiler, for some
// targets or for all, and returns the directory of what it made. With cxx the programs are real.
func built(t *testing.T, cxx string, targets ...string) string {
	t.Helper()
	for _, name := range []string{"bash", "zip", "unzip", "tar"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not here", name)
		}
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	tools := filepath.Join(root, "fuzz", "testdata", "libfuzzer")
	c := exec.CommandContext(t.Context(), "bash", append([]string{filepath.Join(root, ".clusterfuzzlite", "build.sh")}, targets...)...)
	c.Env = append(os.Environ(), "PATH="+tools+string(filepath.ListSeparator)+os.Getenv("PATH"), "OUT="+out, "SRC="+t.TempDir(),
		"CXX="+cxx, "CXXFLAGS=-fsanitize=address", "LIB_FUZZING_ENGINE=-fsanitize=fuzzer", "SANITIZER=address")
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// unzipped unpacks the seeds of a target, and returns their directory and how many there are.
func unzipped(t *testing.T, out, name string) (dir string, n int) {
	t.Helper()
	dir = filepath.Join(out, "seeds", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.CommandContext(t.Context(), "unzip", "-q", filepath.Join(out, name+"_seed_corpus.zip"), "-d", dir).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, len(files)
}

// checkBuilt: each target has a program, a dictionary, options and seeds.
func checkBuilt(t *testing.T, out string, targets []string) {
	t.Helper()
	notes, err := os.ReadFile(filepath.Join(out, "notes"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(notes)), "\n")
	for i := range got {
		got[i] = strings.ReplaceAll(strings.Replace(strings.TrimPrefix(got[i], "attls/"), "/libfuzzer ", " ", 1), " ", "/")
	}
	slices.Sort(got)
	slices.Sort(targets)
	if !slices.Equal(got, targets) {
		t.Errorf("built %q\nthe tree has %q", got, targets)
	}
	for _, target := range targets {
		name := strings.ReplaceAll(target, "/", "_")
		for _, file := range []string{name, name + ".dict", name + ".options"} {
			if _, err := os.Stat(filepath.Join(out, file)); err != nil {
				t.Error(err)
			}
		}
		if _, n := unzipped(t, out, name); n == 0 {
			t.Errorf("%s has no seeds", target)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "testdata", "648e-648e.pcap")); err != nil {
		t.Error(err)
	}
}

// TestBuildScript: the script builds targets whose tests are of the package, and of another.
func TestBuildScript(t *testing.T) {
	targets := []string{"internal/wire/FuzzReader", "handshake/message/FuzzGrammar", "attestation/tsm/FuzzRead"}
	checkBuilt(t, built(t, "", targets...), targets)
}

// TestSlowBuildScript: it builds every native target of the tree.
func TestSlowBuildScript(t *testing.T) {
	if os.Getenv("ATTLS_SLOW") == "" {
		t.Skip("takes a minute; ATTLS_SLOW=1 runs it")
	}
	var targets []string
	for _, target := range nativeTargets(t, "..") {
		targets = append(targets, strings.ReplaceAll(target, " ", "/"))
	}
	if len(targets) < 40 {
		t.Errorf("%d targets", len(targets))
	}
	checkBuilt(t, built(t, ""), targets)
}

// TestSlowBuiltPrograms builds targets with clang's libFuzzer, one of each kind: tests of the
// package, tests of another, a file that is read besides the input, and several arguments. They
// run their seeds and more, in another directory; a failure of a target ends the program.
func TestSlowBuiltPrograms(t *testing.T) {
	if os.Getenv("ATTLS_SLOW") == "" {
		t.Skip("takes some minutes; ATTLS_SLOW=1 runs it")
	}
	cxx, err := exec.LookPath("clang++")
	if err != nil {
		t.Skip("clang is not here")
	}
	try := exec.CommandContext(t.Context(), cxx, "-fsanitize=fuzzer,address", "-x", "c++", "-", "-o", filepath.Join(t.TempDir(), "try"))
	try.Stdin = strings.NewReader("extern \"C\" int LLVMFuzzerTestOneInput(const char *p, long n) { return p && n ? 0 : 0; }")
	if text, err := try.CombinedOutput(); err != nil {
		t.Skipf("clang has no libFuzzer here: %s", text)
	}
	targets := []string{"fuzz/FuzzEngine", "handshake/authenticator/FuzzConnection", "conformance/dissect/FuzzDissect"}
	out := built(t, cxx, targets...)
	checkBuilt(t, out, targets)
	for _, target := range targets {
		name := strings.ReplaceAll(target, "/", "_")
		c := exec.CommandContext(t.Context(), filepath.Join(out, name), "-runs=3000", "-seed=1", "-dict="+filepath.Join(out, name+".dict"),
			filepath.Join(out, "seeds", name))
		c.Dir = t.TempDir()
		text, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(text), "Done 3000 runs") || strings.Contains(string(text), "INITED cov") && strings.Contains(string(text), " corp: 1/") {
			t.Errorf("%s: %v\n%s", target, err, text)
		}
	}
}
