package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls/conformance/adapter"
	"attls/conformance/claims"
	"attls/conformance/placement"
	"attls/conformance/report"
	"attls/internal/columns"
)

// placed is a stack that the placement matrix can be run with.
type placed struct {
	name    string
	version string
	missing string
	adapter *adapter.Adapter
	// open makes the stack; directory is for its files.
	open func(ctx context.Context, directory string) (placement.Stack, error)
	// asked says that --peer or --adapter names it.
	asked bool
}

// placementRefuses are flags that have no meaning with --placement.
var placementRefuses = []string{"profile", "against", "demo", "full", "faults", "sizes", "root-of-trust", "shard",
	"requirements", "junit", "fail-fast"}

// runPlacement runs the placement matrix.
func (f *conformFlags) runPlacement(c *cobra.Command) error {
	for _, name := range placementRefuses {
		if c.Flags().Changed(name) {
			return usage("--%s has no meaning with --placement", name)
		}
	}
	stacks, err := f.placedStacks(c.Context())
	if err != nil {
		return err
	}
	out := newPainter(c.OutOrStdout())
	if f.listPeers {
		for _, s := range stacks {
			if s.missing != "" {
				out.line(out.in(faint, pad(s.name, placedWidth)+"not here: "+s.missing))
				continue
			}
			out.line(out.in(bold, pad(s.name, placedWidth)), s.version)
		}
		return nil
	}
	registry := placement.IANA()
	all := placement.Cases(registry)
	chosen := placement.Select(all, f.choice.filter)
	if f.choice.exact != "" {
		chosen = slices.DeleteFunc(all[:len(all):len(all)], func(k placement.Case) bool { return k.Name() != f.choice.exact })
		all = placement.Cases(registry)
	}
	if len(chosen) == 0 {
		return usage("no case of the placement matrix is chosen; --list shows their names")
	}
	if f.list {
		for i := range chosen {
			out.line("  ", chosen[i].Name())
		}
		return nil
	}
	for _, s := range stacks {
		if s.asked && s.missing != "" {
			return unavailable(fmt.Errorf("%s is not here: %s", s.name, s.missing))
		}
	}
	for _, directory := range []string{f.pcap, f.issues} {
		if err := writable(directory); err != nil {
			return unavailable(err)
		}
	}
	var files resultFiles[*placement.Report]
	if err := files.create(resultFile[*placement.Report]{f.files.json, (*placement.Report).WriteJSON},
		resultFile[*placement.Report]{f.files.html, report.WritePlacement}); err != nil {
		return unavailable(err)
	}
	r := &placement.Report{Schema: placement.Schema, Version: claims.StackVersion(), Registry: registry.Date,
		Command: invocation() + " " + commandLine(c), Began: time.Now()}
	var broken error
	for _, s := range stacks {
		if c.Context().Err() != nil {
			break
		}
		stacked, err := f.place(c, s, all, chosen)
		if err != nil { // what the others did is not lost
			broken = errors.Join(broken, err)
			stacked = placement.Stacked{Name: s.name, Version: s.version, Missing: err.Error(), Groups: []placement.Group{}}
		}
		r.Stacks = append(r.Stacks, stacked)
	}
	r.Seconds = time.Since(r.Began).Seconds()
	if err := files.write(r); err != nil {
		return unavailable(err)
	}
	out.placement(r, f.choice.exact != "")
	out.page(f.files.html)
	if c.Context().Err() != nil {
		return &exitError{exitInterrupted, errors.New("interrupted; the cases that were run are written")}
	}
	if broken != nil {
		return unavailable(broken)
	}
	if err := r.Verdict(); err != nil {
		return failed("%w", err)
	}
	return nil
}

// placedWidth is the width of the column of names.
const placedWidth = 20

// placedStacks are the stacks of --peer and --adapter, or all.
func (f *conformFlags) placedStacks(ctx context.Context) (list []placed, err error) {
	adapters, named, err := f.loadAdapters()
	if err != nil {
		return nil, err
	}
	var known []string
	for _, a := range adapters {
		asked := named[a.Name]
		called := func(name string) bool { return name == a.Name }
		if a.Named != "" && slices.ContainsFunc(f.choice.peers, a.Calls) { // by its version, for which it must be asked
			title := a.Find(ctx, f.programPaths(a)).Title()
			known = append(known, title)
			called = func(name string) bool { return name == a.Name || name == title }
		}
		known = append(known, a.Name)
		asked = asked || slices.ContainsFunc(f.choice.peers, called)
		if len(f.choice.peers)+len(f.adapters) > 0 && !asked {
			continue
		}
		list = append(list, f.placedStack(ctx, a, asked))
	}
	for _, name := range f.choice.peers {
		if !slices.Contains(known, name) {
			return nil, usage("no stack of the placement matrix is called %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return list, nil
}

// placedStack makes a stack of an adapter.
func (f *conformFlags) placedStack(ctx context.Context, a *adapter.Adapter, asked bool) placed {
	p := placed{name: a.Name, adapter: a, asked: asked}
	switch a.BuiltIn {
	case "attls":
		p.version = claims.StackVersion()
		p.open = func(context.Context, string) (placement.Stack, error) { return placement.Own() }
	case "crypto/tls":
		p.version = runtime.Version()
		p.open = func(context.Context, string) (placement.Stack, error) { return placement.CryptoTLS() }
	case "":
		s := a.Find(ctx, f.programPaths(a))
		p.name, p.missing, p.version = s.Title(), s.Missing, s.Version
		p.open = func(ctx context.Context, directory string) (placement.Stack, error) {
			return placement.NewPrograms(ctx, s, directory)
		}
	default:
		p.missing = fmt.Sprintf("this program has no stack called %q", a.BuiltIn)
	}
	return p
}

// place runs the matrix with one stack.
func (f *conformFlags) place(c *cobra.Command, s placed, all, chosen []placement.Case) (placement.Stacked, error) {
	if s.missing != "" {
		return placement.Stacked{Name: s.name, Missing: s.missing, Groups: []placement.Group{}}, nil
	}
	directory, err := os.MkdirTemp("", "attls-placement-")
	if err != nil {
		return placement.Stacked{}, err
	}
	defer os.RemoveAll(directory)
	stack, err := s.open(c.Context(), directory)
	if err != nil {
		return placement.Stacked{}, err
	}
	whole := len(chosen) == len(all)
	cases := all
	if !whole {
		cases = placement.With(all, chosen)
	}
	if p, ok := stack.(*placement.Programs); ok {
		cases = slices.DeleteFunc(slices.Clone(cases), func(k placement.Case) bool { return !p.Takes(&k) })
	}
	g := newProgress(c.ErrOrStderr(), len(cases), "ended otherwise than by an alert or success")
	results, err := placement.Run(c.Context(), stack, cases, placement.Options{Parallel: 2 * f.parallel,
		Timeout: f.placementTimeout(c), Captures: f.pcap, Step: func(r *placement.Result) {
			g.step(s.name+" "+r.Name(), r.Outcome != placement.Accepted && r.Outcome != placement.Refused)
		}})
	g.clear()
	if err != nil && len(results) == 0 {
		return placement.Stacked{}, err
	}
	unrun := len(cases) - len(results)
	unjudged := placement.Judge(results)
	if err != nil {
		unjudged = append(unjudged, err.Error())
	}
	if !whole {
		results = placement.Only(results, chosen)
	}
	stacked := placement.NewStacked(s.name, s.version, results, unjudged, s.adapter, whole && unrun == 0)
	stacked.Unrun = unrun
	if f.issues == "" {
		return stacked, nil
	}
	if err := f.placementIssues(c, s, stack, &stacked, all); err != nil {
		stacked.Unjudged = append(stacked.Unjudged, "no pages could be written: "+err.Error())
	}
	return stacked, nil
}

func (f *conformFlags) placementTimeout(c *cobra.Command) time.Duration {
	if c.Flags().Changed("timeout") {
		return f.timeout
	}
	return placement.DefaultTimeout
}

// placementIssues writes a page for each group of findings, with a capture of its example.
func (f *conformFlags) placementIssues(c *cobra.Command, s placed, stack placement.Stack, stacked *placement.Stacked,
	all []placement.Case) error {
	for i := range stacked.Groups {
		g := &stacked.Groups[i]
		example := g.Example(stacked)
		page := placement.Issue{Stack: stacked, Group: g, Version: claims.StackVersion(),
			Command: f.placementCommand(s, example)}
		one := slices.DeleteFunc(slices.Clone(all), func(k placement.Case) bool { return k.Name() != example })
		name := page.FileName()
		again, err := placement.Run(c.Context(), stack, one, placement.Options{Parallel: 1, Captures: f.issues,
			Timeout: f.placementTimeout(c)})
		if err != nil {
			return err
		}
		if len(again) == 1 {
			from := filepath.Join(f.issues, one[0].FileName()+".pcapng")
			if err := os.Rename(from, filepath.Join(f.issues, name+".pcapng")); err != nil {
				return err
			}
			page.Capture = name + ".pcapng"
		}
		if err := writePage(filepath.Join(f.issues, name+".md"), page.Write); err != nil {
			return err
		}
	}
	return nil
}

// writePage writes a file by a function.
func writePage(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// placementCommand repeats one case.
func (f *conformFlags) placementCommand(s placed, name string) string {
	args := append(f.environmentOf(s.name), "attls", "conform", "--placement", "--peer", s.name)
	for _, file := range f.adapters {
		args = append(args, "--adapter", anywhere(file))
	}
	if f.stack.openssl != "" && s.adapter.Name == nextOpenSSL {
		args = append(args, "--openssl", absolute(f.stack.openssl))
	}
	return shellWords(append(args, "--case", name))
}

// placement prints the findings of each stack and a table of the stacks.
func (p *painter) placement(r *placement.Report, one bool) {
	t := columns.Table{Rows: [][]string{{"STACK", "VERSION", "CASES", "FINDINGS", "KNOWN DEVIATIONS"}}}
	for i := range r.Stacks {
		s := &r.Stacks[i]
		if s.Missing != "" {
			p.line(p.in(faint, s.Name+" was not run: "+s.Missing))
			continue
		}
		for _, text := range append(slices.Clone(s.Unjudged), s.Unused...) {
			p.line(p.in(red, "✗ "+s.Name))
			p.paragraph("    ", text)
		}
		for k := range s.Groups {
			p.placementGroup(s, &s.Groups[k])
		}
		if one {
			for k := range s.Results {
				l := &s.Results[k]
				p.paragraph("  ", fmt.Sprintf("%s: extension_data %q: %s %s %s", l.Name, l.Octets, l.Outcome, l.Alert, l.Detail))
			}
		}
		unknown, deviations := s.Count()
		t.Add(s.Name, s.Version, fmt.Sprint(len(s.Results)), fmt.Sprint(unknown), fmt.Sprint(deviations))
	}
	p.table(&t, everyRow(plain))
	p.line("registry of extensions: ", r.Registry)
}

// placementGroup prints a group of findings.
func (p *painter) placementGroup(s *placement.Stacked, g *placement.Group) {
	if g.Deviation != "" {
		p.line(p.in(faint, fmt.Sprintf("%s: %d cases: known: %s", s.Name, len(g.Cases), g.Deviation)))
		return
	}
	p.line(p.in(red, fmt.Sprintf("✗ %s, %s: %d cases", s.Name, g.Kind, len(g.Cases))))
	p.paragraph("    ", g.Title()+". "+g.Reference+": "+g.Rule+".")
	p.paragraph("    ", g.Short(placementShown))
}

// placementShown bounds the extensions that are listed for a group.
const placementShown = 8
