package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// documents reads a YAML file of docs/ci.
func documents(t *testing.T, name string) (list []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "ci", name))
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var m map[string]any
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatalf("%s: %v", name, err)
		}
		list = append(list, m)
	}
}

// at follows keys and indices down a document.
func at[T any](t *testing.T, v any, path ...any) T {
	t.Helper()
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				t.Fatalf("%v: there is no %d", path, s)
			}
			v = l[s]
		}
	}
	got, ok := v.(T)
	if !ok {
		t.Fatalf("%v is %T", path, v)
	}
	return got
}

// callAttls is a script's call of this command, with its continuation lines.
var callAttls = regexp.MustCompile(`(?m)^.*\battls conform (?:.*\\\n)*.*$`)

// spread is a way to divide a grid between machines, as a file of docs/ci says it.
type spread struct {
	shards    []string // scripts
	merge     string
	variables [][]string // of the environment of each shard
}

// calls runs a script with a command attls that only notes its arguments.
func calls(t *testing.T, directory, script string, environment ...string) [][]string {
	t.Helper()
	call := callAttls.FindString(script)
	if call == "" {
		t.Fatalf("no call of attls in %q", script)
	}
	notes := filepath.Join(directory, "notes")
	noting := "#!/bin/sh\nprintf '%s\\n' \"$@\" end >> " + notes + "\n"
	if err := os.WriteFile(filepath.Join(directory, "attls"), []byte(noting), 0o700); err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("bash", "-eo", "pipefail", "-c", call)
	shell.Dir = directory
	shell.Env = append(append(os.Environ(), "PATH="+directory+":"+os.Getenv("PATH")), environment...)
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", call, err, out)
	}
	text, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(notes); err != nil {
		t.Fatal(err)
	}
	var list [][]string
	for call := range strings.SplitSeq(strings.TrimSuffix(string(text), "\nend\n"), "\nend\n") {
		list = append(list, strings.Split(call, "\n"))
	}
	return list
}

// withoutGrid leaves out what makes a grid large; the flags have to be right.
func withoutGrid(t *testing.T, args []string) []string {
	t.Helper()
	c, rest, err := rootCommand().Find(args)
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--full" || a == "--faults" })
}

// check runs the shards over a small grid, then what merges them.
func (s *spread) check(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	directory := t.TempDir()
	t.Chdir(directory)
	local := func(script string) string { return strings.ReplaceAll(script, "/results/", directory+"/") }
	for i, script := range s.shards {
		for _, args := range calls(t, directory, local(script), s.variables[i]...) {
			if !slices.Contains(args, "--full") {
				t.Errorf("%v does not run everything", args)
			}
			if code, stdout, stderr := command(t, append(withoutGrid(t, args), hereOnly...)...); code != exitOK {
				t.Fatalf("%v: exit code %d: %s%s", args, code, stdout, stderr)
			}
		}
	}
	for _, args := range calls(t, directory, local(s.merge)) {
		if code, stdout, stderr := command(t, args...); code != exitOK || !strings.Contains(stdout, " passed, 0 failed, ") {
			t.Errorf("%v: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
	for _, name := range []string{"conform.json", "conform.xml", "conform.html"} {
		if info, err := os.Stat(name); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r := readRuns(t, "conform.json"); len(r.Shards) != len(s.shards) || len(r.Runs) != len(hereCases(t)) {
		t.Errorf("%d shards of %d, %d runs", len(r.Shards), len(s.shards), len(r.Runs))
	}
}

// steps are the scripts of a job of GitHub Actions, and the actions it uses.
func steps(t *testing.T, job map[string]any) (scripts string, uses []string) {
	t.Helper()
	for i := range at[[]any](t, job, "steps") {
		step := at[map[string]any](t, job, "steps", i)
		if script, ok := step["run"].(string); ok {
			scripts += script + "\n"
		}
		if action, ok := step["uses"].(string); ok {
			uses = append(uses, action)
		}
	}
	return scripts, uses
}

// TestGitHubActions: the matrix of docs/ci runs the whole grid, and its last job
// merges what the others leave.
func TestGitHubActions(t *testing.T) {
	exact := regexp.MustCompile(`^actions/[a-z-]+@v\d+\.\d+\.\d+$`)
	file := documents(t, "github-actions.yml")[0]
	jobs := at[map[string]any](t, file, "jobs")
	for name, job := range jobs {
		_, uses := steps(t, job.(map[string]any))
		if len(uses) == 0 {
			t.Errorf("%s uses no action", name)
		}
		for _, action := range uses {
			if !exact.MatchString(action) {
				t.Errorf("%s uses %s, which is no exact version", name, action)
			}
		}
	}
	if at[string](t, jobs, "merge", "needs") != "shard" || at[string](t, jobs, "merge", "if") != "always()" {
		t.Error("the merge does not follow the shards")
	}
	numbers := at[[]any](t, jobs, "shard", "strategy", "matrix", "shard")
	script, _ := steps(t, at[map[string]any](t, jobs, "shard"))
	var s spread
	for _, n := range numbers {
		one := strings.NewReplacer("${{ matrix.shard }}", fmt.Sprint(n), "${{ strategy.job-total }}", strconv.Itoa(len(numbers))).Replace(script)
		s.shards, s.variables = append(s.shards, one), append(s.variables, nil)
	}
	s.merge, _ = steps(t, at[map[string]any](t, jobs, "merge"))
	s.check(t)
}

// pod is the one container of a Job, whose volumes must be there.
func pod(t *testing.T, job map[string]any) (script string) {
	t.Helper()
	if job["apiVersion"] != "batch/v1" || job["kind"] != "Job" {
		t.Errorf("a %v of %v is no Job", job["kind"], job["apiVersion"])
	}
	spec := at[map[string]any](t, job, "spec", "template", "spec")
	if spec["restartPolicy"] != "Never" {
		t.Errorf("restartPolicy %v", spec["restartPolicy"])
	}
	container := at[map[string]any](t, spec, "containers", 0)
	if at[string](t, container, "volumeMounts", 0, "name") != at[string](t, spec, "volumes", 0, "name") ||
		at[string](t, container, "volumeMounts", 0, "mountPath") != "/results" {
		t.Error("the volume of the results is not mounted")
	}
	if at[string](t, container, "command", 0) != "sh" || at[string](t, container, "command", 1) != "-c" {
		t.Errorf("command %v", container["command"])
	}
	return at[string](t, container, "command", 2)
}

// TestKubernetes: the indexed Job of docs/ci runs the whole grid, and the second
// Job merges what it leaves.
func TestKubernetes(t *testing.T) {
	files := documents(t, "kubernetes-job.yaml")
	claim, job, merging := files[0], files[1], documents(t, "kubernetes-merge.yaml")[0]
	for _, j := range []map[string]any{job, merging} {
		if at[string](t, claim, "metadata", "name") != at[string](t, j, "spec", "template", "spec", "volumes", 0, "persistentVolumeClaim", "claimName") {
			t.Error("the Jobs claim another volume")
		}
	}
	if at[string](t, job, "spec", "completionMode") != "Indexed" {
		t.Error("the Job is not indexed")
	}
	s := spread{merge: pod(t, merging)}
	for index := range at[int](t, job, "spec", "completions") {
		s.shards, s.variables = append(s.shards, pod(t, job)), append(s.variables, []string{fmt.Sprintf("JOB_COMPLETION_INDEX=%d", index)})
	}
	s.check(t)
}
