package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"attls/internal/seeds"
)

// row is what the corpus of a target comes to.
type row struct {
	path       string
	inputs     int // in the corpus
	octets     int // of its file
	statements int // of attls, that the seeds and the corpus run
}

// table is where the rows are, from the root.
const table = "fuzz/testdata/coverage.txt"

const tableHead = `# What the seeds of each native target and its corpus come to: inputs and octets of the corpus, and
# the statements of attls that both run. "go run ./fuzz/corpora grow" writes it.
`

func (t *tree) rows() (map[string]row, error) {
	b, err := os.ReadFile(filepath.Join(t.root, filepath.FromSlash(table)))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]row{}, nil
	}
	if err != nil {
		return nil, err
	}
	rows := map[string]row{}
	number := 0
	for line := range strings.Lines(string(b)) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		var x row
		if _, err := fmt.Sscanf(line, "%s %d %d %d", &x.path, &x.inputs, &x.octets, &x.statements); err != nil {
			return nil, fmt.Errorf("%s, line %d: %q is not a path and three numbers", table, number, line)
		}
		rows[x.path] = x
	}
	return rows, nil
}

// record puts a row into the table. Rows of targets that are no more leave it.
func (t *tree) record(x row) error {
	rows, err := t.rows()
	if err != nil {
		return err
	}
	rows[x.path] = x
	all, err := t.targets()
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(tableHead)
	for i := range all {
		if x, ok := rows[all[i].Path()]; ok {
			fmt.Fprintf(&b, "%-48s %5d %7d %6d\n", x.path, x.inputs, x.octets, x.statements)
		}
	}
	name := filepath.Join(t.root, filepath.FromSlash(table))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return seeds.WriteFile(name, []byte(b.String()))
}

// measure runs a target's seeds and its corpus.
func (b *builder) measure(ctx context.Context, x *Target) (row, error) {
	r := row{path: x.Path()}
	list, err := seeds.ReadFile(b.t.corpus(x), x.Types)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	r.inputs = len(list)
	if info, err := os.Stat(b.t.corpus(x)); err == nil {
		r.octets = int(info.Size())
	}
	profile := filepath.Join(b.dir, "coverage")
	if err := b.run(ctx, x, nil, "-test.coverprofile", profile); err != nil {
		return r, err
	}
	defer os.Remove(profile)
	f, err := os.Open(profile)
	if err != nil {
		return r, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); { // file:from,to statements count
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[2] == "0" {
			continue
		}
		if n, err := strconv.Atoi(fields[1]); err == nil {
			r.statements += n
		}
	}
	if r.statements == 0 {
		return r, fmt.Errorf("%s: no code was counted", x.Path())
	}
	return r, nil
}

// floor is the part of what the table says that a corpus must still run, in hundredths.
const floor = 90

// check compares the corpora with the table.
func (t *tree) check(ctx context.Context, targets []Target) error {
	rows, err := t.rows()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "attls-corpora-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &builder{t: t, dir: work, built: map[string]string{}}
	var wrong []string
	for i := range targets {
		got, err := b.measure(ctx, &targets[i])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		want, known := rows[got.path]
		text := fmt.Sprintf("%s: %d statements, %d in the table", got.path, got.statements, want.statements)
		switch {
		case err != nil:
			text = fmt.Sprintf("%s: %v", got.path, err)
		case !known:
			text = got.path + ": not in " + table
		case got.inputs != want.inputs || got.octets != want.octets:
			text = fmt.Sprintf("%s: %d inputs of %d octets, and %d of %d in the table", got.path, got.inputs,
				got.octets, want.inputs, want.octets)
		case got.statements*100 >= want.statements*floor:
			fmt.Fprintln(t.w, text)
			continue
		}
		wrong = append(wrong, text)
	}
	slices.SortFunc(wrong, cmp.Compare[string])
	if len(wrong) > 0 {
		return fmt.Errorf("the corpora run less than they did, or something else; go run ./fuzz/corpora grow mends it:\n%s",
			strings.Join(wrong, "\n"))
	}
	return nil
}
