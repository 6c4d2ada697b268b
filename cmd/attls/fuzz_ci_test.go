package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"attls/fuzz/campaign"
)

// expression is a value that GitHub fills in.
var expression = regexp.MustCompile(`\$\{\{[^}]*\}\}`)

// noted runs scripts in which attls and go only note their arguments.
func noted(t *testing.T, scripts string) (list [][]string) {
	t.Helper()
	directory := t.TempDir()
	notes := filepath.Join(directory, "notes")
	for name, text := range map[string]string{"go": "#!/bin/sh\n", "attls": "#!/bin/sh\nfor a; do printf '%s\\t' \"$a\"; done >> " +
		notes + "\necho >> " + notes + "\n"} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), "sh", "-euc", expression.ReplaceAllString(scripts, "1"))
	c.Dir, c.Env = directory, append(os.Environ(), "PATH="+directory+string(filepath.ListSeparator)+os.Getenv("PATH"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		list = append(list, strings.Split(strings.TrimSuffix(line, "\t\n"), "\t"))
	}
	return list
}

// TestFuzzWorkflow: the workflow of campaigns has a run for pull requests, a long one, the
// pruning and the coverage, and the commands in it exist with their flags and targets.
func TestFuzzWorkflow(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("sh is not here")
	}
	jobs := at[map[string]any](t, documents(t, "fuzz.yml")[0], "jobs")
	version := regexp.MustCompile(`^(google/clusterfuzzlite/actions/[a-z_]+@v1|actions/[a-z-]+@v\d+\.\d+\.\d+)$`)
	var modes, scripts string
	for name := range jobs {
		job := at[map[string]any](t, jobs, name)
		script, uses := steps(t, job)
		scripts += script
		for _, action := range uses {
			if !version.MatchString(action) {
				t.Errorf("%s uses %s, a version that nobody has looked at", name, action)
			}
		}
		for i := range at[[]any](t, job, "steps") {
			if with, ok := at[map[string]any](t, job, "steps", i)["with"].(map[string]any); ok {
				mode, _ := with["mode"].(string)
				modes += mode + "\n"
			}
		}
	}
	for _, mode := range []string{"code-change", "batch", "prune", "coverage"} {
		if !strings.Contains(modes, mode) {
			t.Errorf("no job has the mode %s of ClusterFuzzLite", mode)
		}
	}
	var called []string
	for _, args := range noted(t, scripts) {
		c, rest, err := rootCommand().Find(args)
		if err == nil {
			err = c.ParseFlags(rest)
		}
		if err != nil || c.Parent() == nil {
			t.Errorf("%q: %v", args, err)
			continue
		}
		called = append(called, c.Name())
		if c.Name() == "run" {
			for _, target := range c.Flags().Args() {
				if !slices.Contains(campaign.Targets(), target) {
					t.Errorf("%q: no target is called %q", args, target)
				}
			}
		}
	}
	slices.Sort(called)
	if !slices.Equal(called, []string{"report", "run"}) {
		t.Errorf("%q are called", called)
	}
}
