package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"attls/internal/seeds"
)

// maxAll bounds the corpora that are committed, all together, in octets.
const maxAll = 1 << 20

// TestCommitted: each target has a row in the table, which says what is committed, its corpus can
// be read, and the corpora together are small.
func TestCommitted(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	tree := &tree{root: root, w: t.Output()}
	targets, err := tree.targets()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := tree.rows()
	if err != nil {
		t.Fatal(err)
	}
	if len(targets) < 40 || len(rows) != len(targets) {
		t.Errorf("%d targets, and %s has %d", len(targets), table, len(rows))
	}
	total, inputs := 0, 0
	for i := range targets {
		x := &targets[i]
		row, ok := rows[x.Path()]
		if !ok {
			t.Errorf("%s is not in %s; go run ./fuzz/corpora grow", x.Path(), table)
		}
		if row.inputs == 0 {
			if _, err := os.Stat(tree.corpus(x)); err == nil {
				t.Errorf("%s has a corpus, and none in %s", x.Path(), table)
			}
			continue
		}
		b, err := os.ReadFile(tree.corpus(x))
		if err != nil {
			t.Fatal(err)
		}
		list, err := seeds.Unmarshal(b, x.Types)
		if err != nil || len(list) != row.inputs || len(b) != row.octets {
			t.Errorf("%s: %d inputs of %d octets, %v; %s says %d and %d", x.Path(), len(list), len(b), err, table, row.inputs, row.octets)
		}
		total, inputs = total+len(b), inputs+len(list)
	}
	if total > maxAll || inputs < 500 {
		t.Errorf("%d inputs of %d octets", inputs, total)
	}
}

// TestTargetsSayTheirInputs: each target calls seeds.Add, and its function seeds.Input with all of
// its arguments, without which it has no corpus.
func TestTargetsSayTheirInputs(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	tree := &tree{root: root, w: t.Output()}
	targets, err := tree.targets()
	if err != nil {
		t.Fatal(err)
	}
	for i := range targets {
		if text := targets[i].Unseeded; text != "" {
			t.Errorf("%s %s", targets[i].Path(), text)
		}
	}
}

// branches are what target has to reach.
const branches = `package small

func branch(b []byte, n uint16) int {
	if len(b) > 2 && b[0] == 'a' && b[1] == 'b' {
		if b[2] == 'c' {
			return 1
		}
		return 2
	}
	if n == 700 {
		return 3
	}
	return 4
}
`

const target = `package small

import (
	"testing"

	"attls/internal/seeds"
)

 func FuzzBranch(f *testing.F) {
	seeds.Add(f, func() { f.Add([]byte("seed"), uint16(1)) })
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		seeds.Input(t, b, n)
		if branch(b, n) == 9 {
			t.Fatal("nine")
		}
	})
}
`

// smallTree is a module with one target, and candidates in Go's form and in that of libFuzzer.
func smallTree(t *testing.T) (tr *tree, out *bytes.Buffer, from, octets string) {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module attls\n\ngo 1.26\n")
	for _, name := range []string{"seeds.go", "format.go", "run.go", "each.go"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "internal", "seeds", name))
		if err != nil {
			t.Fatal(err)
		}
		write("internal/seeds/"+name, string(b))
	}
	write("small/small.go", branches)
	write("small/small_test.go", target)
	for i, args := range [][]any{{[]byte("abx and more"), uint16(0)}, {[]byte("abx"), uint16(0)}, {[]byte("seeds"), uint16(2)},
		{[]byte("aby"), uint16(9)}} {
		write(fmt.Sprintf("from/FuzzBranch/%d", i), string(seeds.Marshal(args)))
	}
	write("from/FuzzBranch/damaged", "\x00\x01")
	write("from/FuzzBranch/version", "go test fuzz v2\n")
	write("from/FuzzBranch/types", string(seeds.Marshal([]any{"text"})))
	write("from/FuzzBranch/huge", string(seeds.Marshal([]any{make([]byte, seeds.MaxInput), uint16(0)})))
	write("octets/small_FuzzBranch/1", string(seeds.Octets([]any{[]byte("abc"), uint16(0)})))
	write("octets/small_FuzzBranch/2", string(seeds.Octets([]any{[]byte(""), uint16(700)})))
	if err := os.Mkdir(filepath.Join(root, "from", "FuzzBranch", "directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(root, "from", "FuzzBranch", "link")); err != nil {
		t.Skip(err)
	}
	out = &bytes.Buffer{}
	return &tree{root: root, w: out}, out, filepath.Join(root, "from"), filepath.Join(root, "octets")
}

// TestGrow: a corpus has those inputs, the smallest, that run code which others do not; the
// others, and files that are no inputs, are left out with a reason. check sees that one is gone.
func TestGrow(t *testing.T) {
	tr, out, from, octets := smallTree(t)
	targets, err := tr.choose([]string{"FuzzBranch"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.grow(t.Context(), targets, 0, []string{from}, []string{octets}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	name := tr.corpus(&targets[0])
	list, err := seeds.ReadFile(name, targets[0].Types)
	var got []string
	for _, args := range list {
		got = append(got, fmt.Sprintf("%s %d", args...))
	}
	slices.Sort(got)
	if want := []string{" 700", "abc 0", "abx 0"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if !strings.Contains(out.String(), "5 inputs of ") || !strings.Contains(out.String(), "3 of 6 inputs") {
		t.Errorf("%s", out)
	}
	if err := tr.check(t.Context(), targets); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	unpacked := filepath.Join(tr.root, "unpacked")
	if err := tr.unpack(targets, unpacked, true); err != nil {
		t.Error(err)
	}
	if files, err := os.ReadDir(filepath.Join(unpacked, "small_FuzzBranch")); err != nil || len(files) != 3 {
		t.Errorf("%v, %v", files, err)
	}

	// Without two of the inputs it runs less, although the table agrees about the file.
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	small := seeds.Marshal(list[0])
	if err := os.WriteFile(name, small, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tr.check(t.Context(), targets); err == nil || !strings.Contains(err.Error(), "inputs of") {
		t.Errorf("%v", err)
	}
	rows, err := tr.rows()
	if err != nil {
		t.Fatal(err)
	}
	row := rows["small/FuzzBranch"]
	row.inputs, row.octets = 1, len(small)
	row.statements++ // of so few, each is more than a tenth
	if err := tr.record(row); err != nil {
		t.Fatal(err)
	}
	if err := tr.check(t.Context(), targets); err == nil || !strings.Contains(err.Error(), "statements") {
		t.Errorf("%v", err)
	}

	// What ends early leaves the corpus as it was, and so does a damaged one.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := os.WriteFile(name, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tr.grow(ctx, targets, 0, []string{from}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, whole) {
		t.Errorf("%q, %v", b, err)
	}
	if err := os.WriteFile(name, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tr.grow(t.Context(), targets, 0, nil, nil); err == nil || !strings.Contains(out.String(), "line 1: \"damaged\"") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"gorw"}, {"grow", "--time", "-1s"}, {"grow", "--tim", "1s"}, {"check", "FuzzNothing"}, {"unpack"}} {
		if err := run(t.Context(), t.Output(), args); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := run(t.Context(), t.Output(), []string{"grow", "--from", filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
