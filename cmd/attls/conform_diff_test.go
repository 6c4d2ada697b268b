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
	var before, after []placement.Line
	for _, name := range []string{"cookie/empty", "cookie/malformed", "srp/empty", "padding/empty"} {
		name = "server/client_hello/" + name
		before = append(before, placement.Line{Name: name, Outcome: placement.Accepted})
		l := placement.Line{Name: name, Outcome: placement.Refused, Alert: "decode_error"}
		if strings.Contains(name, "srp") {
			l = placement.Line{Name: name, Outcome: placement.Silent, Findings: []placement.Found{{Kind: placement.KindSilent}}}
		}
		after = append(after, l)
	}
	five, six := write("5.json", stack("1", before...)), write("6.json", stack("2", after...))
	limit := func(stack string) report.Run {
		return report.Run{ID: "attls>" + stack + "/b", Client: "attls", Server: stack, Outcome: report.Limit, Reason: "peer limit of " + stack + " as server: x"}
	}
	three := write("3.json", runs("o-1", "1", report.Run{ID: "attls>o-1/a", Client: "attls", Server: "o-1", Outcome: report.Passed}, limit("o-1")))
	four := write("4.json", runs("o-2", "2", report.Run{ID: "attls>o-2/a", Client: "attls", Server: "o-2", Outcome: report.Failed, Reason: "it broke"}, limit("o-2")))
	for _, w := range []struct {
		args []string
		code int
		says []string
		not  []string
	}{
		{[]string{one, two}, exitFailed, []string{"x: x 1 → x 2", "✗ x a: refused with decode_error → accepted, a finding", "✓ x b: accepted, a finding → refused",
			"1 case in the old results only, 1 in the new ones only", "3 changes, 1 for the worse, 1 for the better"}, []string{"gone", "x new:"}},
		{[]string{one, two, "--all"}, exitFailed, []string{"x gone: ", "→ not run", "x new: not run →", "3 changes, 1 for the worse"}, nil},
		{[]string{five, six}, exitFailed, []string{"x server/client_hello: accepted → refused with decode_error: cookie (empty, malformed)", "padding (empty)",
			"✗ x server/client_hello: accepted → silent, a finding: no answer: srp (empty)"}, nil},
		{[]string{three, four}, exitFailed, []string{"✗ attls>o-2/a: passed → failed (it broke)", "o-2: 1 → 2", "2 changes"}, []string{"o-1", "limit"}},
		{[]string{two, one}, exitFailed, []string{"✓ x a", "✗ x b"}, nil},
		{[]string{one, one}, exitOK, []string{"0 changes"}, nil},
		{[]string{three, four, "--rename", "o-1=o-2"}, exitFailed, []string{"✗ attls>o-2/a: passed → failed (it broke)", "o-2: 1 → 2"}, nil},
		{[]string{one, three}, exitUsage, nil, nil},
		{[]string{three, four, "--rename", "x"}, exitUsage, nil, nil},
		{[]string{one, filepath.Join(dir, "none")}, exitUnavailable, nil, nil},
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
		for _, s := range w.not {
			if strings.Contains(stdout, s) {
				t.Errorf("%v says %q:\n%s", w.args, s, stdout)
			}
		}
	}
}
