package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"attls/internal/seeds"
)

// maxCandidates bounds how many inputs are tried, the smallest first.
const maxCandidates = 20000

// limit bounds a corpus in octets of its file; the largest inputs are left out.
const limit = 1 << 15

// within are the first inputs, as many as have so many octets.
func within(list [][]any, octets int) [][]any {
	for i, args := range list {
		if octets -= len(seeds.Marshal(args)); octets < 0 {
			return list[:i]
		}
	}
	return list
}

// longest bounds one run of a test program.
const longest = 20 * time.Minute

// command is a program in a directory that ends with ctx.
func (t *tree) command(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, longest)
	defer stop()
	c := exec.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		return out, fmt.Errorf("%s: %w", filepath.Base(name), context.Cause(ctx))
	}
	if err != nil {
		return out, fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, tail(out))
	}
	return out, nil
}

// tail is the end of what a program printed.
func tail(b []byte) []byte {
	const most = 4000
	if len(b) > most {
		return b[len(b)-most:]
	}
	return b
}

// builder builds a test program for each package, once. They count the code of all of attls, but
// for what notes the inputs.
type builder struct {
	t       *tree
	dir     string
	built   map[string]string
	counted string // packages
}

func (b *builder) program(ctx context.Context, x *Target) (string, error) {
	if name := b.built[x.Package]; name != "" {
		return name, nil
	}
	if b.counted == "" {
		out, err := b.t.command(ctx, b.t.root, nil, "go", "list", "./...")
		if err != nil {
			return "", err
		}
		list := strings.Fields(string(out))
		list = slices.DeleteFunc(list, func(name string) bool { return name == "attls/internal/seeds" })
		b.counted = strings.Join(list, ",")
	}
	name := filepath.Join(b.dir, strings.ReplaceAll(x.Package, "/", "_")+".test")
	_, err := b.t.command(ctx, b.t.root, nil, "go", "test", "-c", "-covermode", "atomic", "-coverpkg", b.counted,
		"-o", name, "./"+x.Package)
	if err == nil {
		b.built[x.Package] = name
	}
	return name, err
}

// run runs one target with the variables of package seeds.
func (b *builder) run(ctx context.Context, x *Target, env []string, args ...string) error {
	program, err := b.program(ctx, x)
	if err != nil {
		return err
	}
	_, err = b.t.command(ctx, filepath.Join(b.t.root, filepath.FromSlash(x.Package)), env, program,
		append([]string{"-test.run", "^" + x.Name + "$", "-test.count", "1"}, args...)...)
	return err
}

// minimize returns those of the inputs that run code which neither the seeds nor those before
// them run, in their order.
func (b *builder) minimize(ctx context.Context, x *Target, list [][]any) ([][]any, error) {
	work, err := os.MkdirTemp(b.dir, "minimize-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	tried, kept := filepath.Join(work, "tried"), filepath.Join(work, "kept")
	for _, dir := range []string{filepath.Join(tried, x.Name), kept} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for i, args := range list {
		name := filepath.Join(tried, x.Name, fmt.Sprintf("%06d", i))
		if err := os.WriteFile(name, seeds.Marshal(args), 0o644); err != nil {
			return nil, err
		}
	}
	env := []string{seeds.CandidatesVariable + "=" + tried, seeds.KeepVariable + "=" + kept}
	if err := b.run(ctx, x, env); err != nil {
		return nil, err
	}
	found, err := seeds.ReadFile(filepath.Join(kept, x.Name), x.Types)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return found, err
}

// collect reads inputs from a directory: those that are regular files of the target's types and
// not too large. It returns how many it left out, and the reason of the first.
func collect(dir string, read func(string) ([][]any, error)) (list [][]any, left int, first error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 1, err
	}
	for _, file := range files {
		if file.IsDir() {
			continue
		}
		found, err := read(filepath.Join(dir, file.Name()))
		if err != nil {
			left, first = left+1, cmp.Or(first, err)
			continue
		}
		list = append(list, found...)
	}
	return list, left, first
}

// readInput reads a file in Go's format, if it is not too large.
func (x *Target) readInput(name string) ([][]any, error) {
	if err := small(name); err != nil {
		return nil, err
	}
	return seeds.ReadFile(name, x.Types)
}

// readOctets reads a file of libFuzzer's.
func (x *Target) readOctets(name string) ([][]any, error) {
	if err := small(name); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	args, err := seeds.FromOctets(b, x.Types)
	return [][]any{args}, err
}

func small(name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file", name)
	case info.Size() > seeds.MaxInput:
		return fmt.Errorf("%s: %d octets, more than %d", name, info.Size(), seeds.MaxInput)
	}
	return nil
}

// grow fuzzes targets, and writes what is worth keeping to their corpora.
func (t *tree) grow(ctx context.Context, targets []Target, long time.Duration, from, octets []string) error {
	for _, dir := range slices.Concat(from, octets) {
		if _, err := os.ReadDir(dir); err != nil {
			return err
		}
	}
	work, err := os.MkdirTemp("", "attls-corpora-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &builder{t: t, dir: work, built: map[string]string{}}
	cache, err := t.command(ctx, t.root, nil, "go", "env", "GOCACHE")
	if err != nil {
		return err
	}
	failed := false
	for i := range targets {
		x := &targets[i]
		if long > 0 {
			_, err := t.command(ctx, t.root, nil, "go", "test", "-run", "^$", "-fuzz", "^"+x.Name+"$", "-fuzztime",
				long.String(), "-fuzzminimizetime", "1x", "./"+x.Package)
			if err != nil && ctx.Err() == nil { // a finding; the inputs before it are worth keeping
				fmt.Fprintf(t.w, "%s: %v\n", x.Path(), err)
				failed = true
			}
		}
		found := filepath.Join(string(bytes.TrimSpace(cache)), "fuzz", "attls", filepath.FromSlash(x.Path()))
		dirs := []string{found}
		for _, dir := range from {
			dirs = append(dirs, filepath.Join(dir, x.Name), filepath.Join(dir, x.Flat()))
		}
		if err := b.keep(ctx, x, dirs, octets); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(t.w, "%s: %v\n", x.Path(), err)
			failed = true
		}
	}
	if failed {
		return errors.New("not every corpus was written")
	}
	return nil
}

// keep writes the corpus of a target.
func (b *builder) keep(ctx context.Context, x *Target, from, octets []string) error {
	old, err := seeds.ReadFile(b.t.corpus(x), x.Types)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	list := old
	for _, dir := range from {
		found, left, err := collect(dir, x.readInput)
		list = append(list, found...)
		b.leftOut(x, dir, left, err)
	}
	for _, dir := range octets {
		dir = filepath.Join(dir, x.Flat())
		found, left, err := collect(dir, x.readOctets)
		list = append(list, found...)
		b.leftOut(x, dir, left, err)
	}
	seeds.Sort(list)
	list = slices.CompactFunc(list, func(a, b []any) bool { return bytes.Equal(seeds.Marshal(a), seeds.Marshal(b)) })
	if len(list) > maxCandidates {
		fmt.Fprintf(b.t.w, "%s: the smallest %d of %d inputs are tried\n", x.Path(), maxCandidates, len(list))
		list = list[:maxCandidates]
	}
	tried := len(list)
	if list, err = b.minimize(ctx, x, list); err != nil {
		return err
	}
	// What larger ones reach as well is left out.
	list = within(list, limit)
	slices.Reverse(list)
	if list, err = b.minimize(ctx, x, list); err != nil {
		return err
	}
	seeds.Sort(list)
	var corpus []byte
	for _, args := range list {
		corpus = append(corpus, seeds.Marshal(args)...)
	}
	name := b.t.corpus(x)
	if len(list) == 0 {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	} else {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := seeds.WriteFile(name, corpus); err != nil {
			return err
		}
	}
	row, err := b.measure(ctx, x)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.t.w, "%s: %d of %d inputs, %d octets; with the seeds they run %d statements\n", x.Path(), row.inputs,
		tried, row.octets, row.statements)
	return b.t.record(row)
}

func (b *builder) leftOut(x *Target, dir string, left int, err error) {
	if left > 0 {
		fmt.Fprintf(b.t.w, "%s: %d inputs of %s are left out; the first: %v\n", x.Path(), left, dir, err)
	}
}
