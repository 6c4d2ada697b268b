// Command bogo runs BoringSSL's TLS test runner over every test that concerns
// TLS 1.3 over TCP, strictly: the error of each failure is compared, under the names in shim/names.go.
//
//	go run ./conformance/bogo               # all of it; the last line is the result
//	go run ./conformance/bogo -test 'Pat*'  # some, with what the runner says of failures
//	go run ./conformance/bogo -src DIR      # with the runner of a tree of BoringSSL
//
// fetch.sh builds the runner; config.json says what lies outside the project's
// scope, and which tests are disabled and why. The exit code is 1 after an unexpected failure, 2
// when no test was run, and 3
// when the runner is not available.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

//go:embed config.json
var configFile []byte

// config is config.json.
type config struct {
	// OutOfScope lists the features that the project does not have.
	OutOfScope []feature
	// DisabledTests gives the reason for each test within scope that is not
	// run, by a glob.
	DisabledTests map[string]string
}

// feature is what the project does not have, and how to tell that a test is
// about it: by its name or by a flag that the shim gets.
type feature struct {
	Reason string
	Names  []string
	Flags  []string
}

// test is one entry of the list that fetch.sh makes.
type test struct {
	Name          string   `json:"name"`
	Transport     string   `json:"transport"`
	Version       uint16   `json:"version"`
	ResumeVersion uint16   `json:"resume_version"`
	Flags         []string `json:"flags"`
}

const tls13 = 0x0304

// concerns reports whether a test can negotiate TLS 1.3 over TCP.
func (t *test) concerns() bool {
	if t.Transport != "tls" || t.Version != 0 && t.Version < tls13 || t.ResumeVersion != 0 && t.ResumeVersion < tls13 {
		return false
	}
	for i, f := range t.Flags {
		if f == "-no-tls13" {
			return false
		}
		if strings.HasSuffix(f, "-max-version") && i+1 < len(t.Flags) {
			if v, err := strconv.ParseUint(t.Flags[i+1], 0, 16); err == nil && v < tls13 {
				return false
			}
		}
	}
	return true
}

func matches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { ok, _ := path.Match(g, name); return ok })
}

// about reports whether a test is about a feature.
func (f *feature) about(t *test) bool {
	return matches(f.Names, t.Name) || slices.ContainsFunc(t.Flags, func(x string) bool {
		return slices.Contains(f.Flags, x)
	})
}

// plan is which tests are run and why the others are not.
type plan struct {
	all      []test
	run      map[string]bool
	outside  map[string]int // by reason, out of scope
	disabled map[string]int // by reason, within scope
}

func (c *config) plan(all []test) plan {
	p := plan{all: all, run: map[string]bool{}, outside: map[string]int{}, disabled: map[string]int{}}
	for i := range all {
		t := &all[i]
		if !t.concerns() {
			continue
		}
		if k := slices.IndexFunc(c.OutOfScope, func(f feature) bool { return f.about(t) }); k >= 0 {
			p.outside[c.OutOfScope[k].Reason]++
			continue
		}
		reason := ""
		for glob, why := range c.DisabledTests {
			if ok, _ := path.Match(glob, t.Name); ok {
				reason = why
			}
		}
		if reason != "" {
			p.disabled[reason]++
			continue
		}
		p.run[t.Name] = true
	}
	return p
}

// results counts what the runner says.
type results struct {
	passed, failed, unimplemented int
	names                         map[string]string // PASS, FAIL or SKIP
}

// execute runs the runner with a shim over the tests of a plan that match.
func execute(dir, shim, work string, c *config, p *plan, only string, out *os.File) (results, error) {
	derived := struct {
		DisabledTests  map[string]string
		HalfRTTTickets int
		AllCurves      []int
	}{map[string]string{}, 0, []int{23, 24, 25, 29}}
	for _, t := range p.all {
		if !p.run[t.Name] {
			derived.DisabledTests[t.Name] = "not in the plan"
		}
	}
	file := filepath.Join(work, "config.json")
	b, err := json.Marshal(&derived)
	if err != nil {
		return results{}, err
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return results{}, err
	}
	output := filepath.Join(work, "results.json")
	args := []string{"-test.run", "^TestAll$", "-shim-path", shim, "-shim-config", file, "-json-output", output, "-pipe",
		"-allow-unimplemented", "-test", only}
	if known, err := os.ReadFile(filepath.Join(dir, "flags")); err != nil {
		return results{}, err
	} else if slices.Contains(strings.Fields(string(known)), "-resource-dir") { // newer runners hold their keys themselves
		args = append(args, "-resource-dir", dir)
	}
	cmd := exec.Command(filepath.Join(dir, "runner"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	failure := cmd.Run()
	b, err = os.ReadFile(output)
	if err != nil {
		return results{}, fmt.Errorf("the runner made no results: %v", failure)
	}
	var list struct {
		Tests map[string]struct{ Actual string }
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return results{}, err
	}
	r := results{names: map[string]string{}}
	for name, t := range list.Tests {
		r.names[name] = t.Actual
		switch t.Actual {
		case "PASS":
			r.passed++
		case "SKIP":
			r.unimplemented++
		default:
			r.failed++
		}
	}
	return r, nil
}

// never is a shim that always fails: what it passes proves nothing.
const never = "#!/bin/sh\n[ \"$1\" = -is-handshaker-supported ] && echo No && exit 0\nexit 1\n"

func main() {
	only := flag.String("test", "", "run only the tests that match these globs, separated by semicolons")
	log := flag.String("log", "", "file for what the runner prints; empty: standard output with -test, nothing otherwise")
	names := flag.String("results", "", "file for one line a test: its name and PASS, FAIL or SKIP")
	source := flag.String("src", "", "directory of a tree of BoringSSL; empty: Debian's source package")
	flag.Parse()
	code, err := run(*only, *log, *names, *source)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bogo:", err)
	}
	os.Exit(code)
}

func run(only, log, names, source string) (int, error) {
	var c config
	dec := json.NewDecoder(bytes.NewReader(configFile))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return 2, fmt.Errorf("config.json: %w", err)
	}
	fetch := exec.Command("bash", "conformance/bogo/fetch.sh")
	if source != "" {
		fetch.Args = append(fetch.Args, "--src", source)
	}
	fetch.Stderr = os.Stderr
	place, err := fetch.Output()
	if err != nil {
		return 3, fmt.Errorf("fetch.sh, to be run from the top of the repository: %w", err)
	}
	dir := strings.TrimSpace(string(place))
	work, err := os.MkdirTemp("", "bogo")
	if err != nil {
		return 2, err
	}
	defer os.RemoveAll(work)
	shim := filepath.Join(work, "shim")
	if out, err := exec.Command("go", "build", "-o", shim, "attls/conformance/bogo/shim").CombinedOutput(); err != nil {
		return 2, fmt.Errorf("the shim does not build: %s", out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "tests.json"))
	if err != nil {
		return 2, err
	}
	var all []test
	if err := json.Unmarshal(b, &all); err != nil {
		return 2, err
	}
	p := c.plan(all)
	if len(p.run) == 0 {
		return 2, fmt.Errorf("the plan holds no test")
	}
	var out *os.File
	switch {
	case log != "":
		if out, err = os.Create(log); err != nil {
			return 2, err
		}
		defer out.Close()
	case only != "":
		out = os.Stdout
	}
	r, err := execute(dir, shim, work, &c, &p, only, out)
	if err != nil {
		return 2, err
	}
	if len(r.names) == 0 {
		return 2, fmt.Errorf("no test within scope has a name that matches %q", only)
	}
	if names != "" {
		if err := os.WriteFile(names, r.table(), 0o644); err != nil {
			return 2, err
		}
	}
	null := filepath.Join(work, "never")
	if err := os.WriteFile(null, []byte(never), 0o755); err != nil {
		return 2, err
	}
	n, err := execute(dir, null, work, &c, &p, only, nil)
	if err != nil {
		return 2, err
	}
	for _, name := range sorted(r.names) {
		if s := r.names[name]; s != "PASS" {
			fmt.Println(s, name)
		}
	}
	fmt.Println("out of scope:", byReason(p.outside))
	disabled := 0
	for _, k := range p.disabled {
		disabled += k
	}
	fmt.Printf(
		"BoGo, TLS 1.3 over TCP, strict: core %d, passed %d, failed %d, unimplemented %d, disabled %d (%s); a shim that "+
			"always fails passes %d\n",
		len(r.names)+disabled, r.passed, r.failed, r.unimplemented, disabled, byReason(p.disabled), n.passed)
	if r.failed > 0 {
		return 1, nil
	}
	return 0, nil
}

// table is one line a test.
func (r *results) table() []byte {
	var b bytes.Buffer
	for _, name := range sorted(r.names) {
		fmt.Fprintln(&b, r.names[name], name)
	}
	return b.Bytes()
}

func sorted[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	sort.Strings(list)
	return list
}

func byReason(m map[string]int) string {
	var parts []string
	for _, reason := range sorted(m) {
		parts = append(parts, fmt.Sprintf("%d %s", m[reason], reason))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, "; ")
}
