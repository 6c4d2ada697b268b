package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/conformance/placement"
	"attls/conformance/report"
)

// TestConformDiff: what is worse, better, new and gone, in reports of both forms.
func TestConformDiff(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, value any) string {
		t.Helper()
		blob, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, blob, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	stack := func(version string, lines ...placement.Line) *placement.Report {
		return &placement.Report{Schema: placement.Schema, Stacks: []placement.Stacked{{Name: "x", Version: version, Results: lines}}}
	}
	finding := []placement.Found{{Kind: placement.KindAccepted}}
	one := write("1.json", stack("1", placement.Line{Name: "a", Outcome: placement.Refused, Alert: "decode_error"},
		placement.Line{Name: "b", Outcome: placement.Accepted, Findings: finding}, placement.Line{Name: "same", Outcome: placement.Accepted}, placement.Line{Name: "gone"}))
	two := write("2.json", stack("2", placement.Line{Name: "a", Outcome: placement.Accepted, Findings: finding},
		placement.Line{Name: "b", Outcome: placement.Refused}, placement.Line{Name: "same", Outcome: placement.Accepted}, placement.Line{Name: "new"}))
	runs := func(stack, version string, list ...report.Run) *report.Report {
		r := report.New("")
		r.Stacks, r.Runs = []report.Stack{{Name: stack, Version: version}}, list
		return r
	}
	three := write("3.json", runs("o-1", "1", report.Run{ID: "attls>o-1/a", Client: "attls", Server: "o-1", Outcome: report.Passed}))
	four := write("4.json", runs("o-2", "2", report.Run{ID: "attls>o-2/a", Client: "attls", Server: "o-2", Outcome: report.Failed, Reason: "it broke"}))
	for _, w := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{one, two}, exitFailed, []string{"x: x 1 → x 2", "✗ x a: refused with decode_error → accepted, accepted", "✓ x b: accepted, accepted → refused", "x gone: ", "→ not run", "x new: not run →", "5 changes, 1 for the worse"}},
		{[]string{two, one}, exitFailed, []string{"✓ x a", "✗ x b"}},
		{[]string{one, one}, exitOK, []string{"0 changes"}},
		{[]string{three, four, "--rename", "o-1=o-2"}, exitFailed, []string{"✗ attls>o-2/a: passed → failed (it broke)", "o-2: 1 → 2"}},
		{[]string{one, three}, exitUsage, nil},
		{[]string{three, four, "--rename", "x"}, exitUsage, nil},
		{[]string{one, filepath.Join(dir, "none")}, exitUnavailable, nil},
	} {
		code, stdout, stderr := command(t, append([]string{"conform", "diff"}, w.args...)...)
		if code != w.code {
			t.Errorf("%v: exit code %d, %s", w.args, code, stderr)
		}
		for _, s := range w.says {
			if !strings.Contains(stdout, s) {
				t.Errorf("%v does not say %q:\n%s", w.args, s, stdout)
			}
		}
	}
}
