package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"attls/conformance/peers"
	"attls/conformance/report"
)

// TestConformPeers: a stack's cases are those in which it is the client or the
// server, and a name that no stack has is a wrong flag.
func TestConformPeers(t *testing.T) {
	for _, test := range []struct {
		args []string
		ends []string // of which each case has one
	}{
		{[]string{"--peer", "crypto/tls"}, []string{"crypto/tls"}},
		{[]string{"--peer", "crypto/tls,mbedtls"}, []string{"crypto/tls", "mbedtls"}},
		{[]string{"--peer", "crypto/tls", "--peer", "mbedtls", "--full"}, []string{"crypto/tls", "mbedtls"}},
	} {
		code, stdout, stderr := command(t, append([]string{"conform", "--list"}, test.args...)...)
		if code != exitOK {
			t.Fatalf("%v: exit code %d, %s", test.args, code, stderr)
		}
		clients, servers := 0, 0
		for line := range strings.Lines(stdout) {
			client, rest, _ := strings.Cut(line, ">")
			found := false
			for _, end := range test.ends {
				if client == end {
					clients, found = clients+1, true
				}
				if strings.HasPrefix(rest, end+"/") {
					servers, found = servers+1, true
				}
			}
			if !found {
				t.Errorf("%v lists %s", test.args, line)
			}
		}
		if clients == 0 || servers == 0 {
			t.Errorf("%v: %d cases as client, %d as server", test.args, clients, servers)
		}
	}
	code, _, stderr := command(t, "conform", "--peer", "crypto/tls,nobody")
	if code != exitUsage || !strings.Contains(stderr, `no peer is called "nobody"; there are attls, `) || !strings.Contains(stderr, "mbedtls") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestConformListPeers: every stack has a line, with its version or the reason
// why it is missing.
func TestConformListPeers(t *testing.T) {
	t.Setenv("ATTLS_MBEDTLS_PEER", "/nonexistent/mbedtls-peer")
	code, stdout, stderr := command(t, "conform", "--list-peers")
	for _, want := range []string{`(?m)^attls `, `(?m)^crypto/tls +go1`, `(?m)^mbedtls +not here: .*/nonexistent/mbedtls-peer`, `(?m)^openssl +(not here: |OpenSSL 3)`} {
		if code != exitOK || !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("exit code %d: %q lacks %q; %s", code, stdout, want, stderr)
		}
	}
}

// hereOnly chooses a few cases that need no other program.
var hereOnly = []string{"--filter", "attls>crypto/tls"}

// conform runs attls conform over hereOnly.
func conform(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return command(t, append(append([]string{"conform"}, hereOnly...), args...)...)
}

// hereCases are those that hereOnly chooses.
func hereCases(t *testing.T) []peers.Case {
	t.Helper()
	var f conformFlags
	f.choice.filter = hereOnly[1]
	return casesOf(t, &f)
}

// casesOf are those that flags choose.
func casesOf(t *testing.T, f *conformFlags) []peers.Case {
	t.Helper()
	stacks, err := f.stacks()
	if err != nil {
		t.Fatal(err)
	}
	cases, err := f.cases(stacks)
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func readRuns(t *testing.T, name string) *report.Report {
	t.Helper()
	r, err := readReport(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestConformCommand: attls as a process of its own, attested with our engine in
// this process and with the patched mbedTLS.
func TestConformCommand(t *testing.T) {
	t.Setenv(runAsCommand, "1") // the processes are this test
	file := filepath.Join(t.TempDir(), "results.json")
	code, _, stderr := command(t, "conform", "--peer", "attls-command", "--filter", "early-attestation-06/both", "--json", file)
	if code != exitOK {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	passed := map[string]int{}
	for _, r := range readRuns(t, file).Runs {
		if r.Outcome == report.Passed {
			passed[r.Client+">"+r.Server]++
		}
	}
	mbedtls := []string{"attls-command>mbedtls", "mbedtls>attls-command"}
	if (peers.MbedTLS{Path: peers.FindMbedTLS()}).Missing() != "" {
		mbedtls = nil
	}
	for _, pair := range append(mbedtls, "attls-command>attls", "attls>attls-command") {
		if passed[pair] == 0 {
			t.Errorf("%s: nothing passed, %v", pair, passed)
		}
	}
}

// TestConformPage: what is printed ends with where the page is, and the counts.
func TestConformPage(t *testing.T) {
	t.Chdir(t.TempDir())
	directory, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := conform(t, "--shard", "99/99", "--html", "page.html")
	want := "Page to open in a browser: " + filepath.Join(directory, "page.html") + "\n0 passed, 0 failed, 0 skipped\n"
	if code != exitOK || !strings.HasSuffix(stdout, want) {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

// TestConformShards: shards are disjoint, of the same size but for one, and
// together are the whole.
func TestConformShards(t *testing.T) {
	var f conformFlags
	whole := casesOf(t, &f)
	for _, n := range []int{1, 2, 7, 8, len(whole) + 3} {
		seen := map[string]int{}
		for i := 1; i <= n; i++ {
			f.shard = fmt.Sprintf("%d/%d", i, n)
			shard, part, err := f.part(whole)
			if err != nil || shard.Index != i || shard.Count != n || shard.Cases != len(part) {
				t.Fatalf("%s is %+v: %v", f.shard, shard, err)
			}
			if len(part) < len(whole)/n || len(part) > len(whole)/n+1 {
				t.Errorf("shard %s of %d cases has %d", f.shard, len(whole), len(part))
			}
			for k := range part {
				seen[part[k].String()]++
			}
		}
		for i := range whole {
			if name := whole[i].String(); seen[name] != 1 {
				t.Errorf("%d shards: %s is in %d", n, name, seen[name])
			}
		}
		if len(seen) != len(whole) {
			t.Errorf("%d shards have %d cases, not %d", n, len(seen), len(whole))
		}
	}
	code, stdout, _ := command(t, "conform", "--list", "--shard", "2/7")
	f.shard = "2/7"
	if _, part, _ := f.part(whole); code != exitOK || len(strings.Fields(stdout)) != len(part) || !strings.HasPrefix(stdout, part[0].String()+"\n") {
		t.Errorf("shard 2/7 lists %s", stdout)
	}
	for _, wrong := range []string{"0/8", "9/8", "1", "1/", "/8", "1/0", "-1/8", "1/8/2", "1/8 ", "a/b", "1/10001"} {
		f.shard = wrong
		if shard, _, err := f.part(whole); err == nil || !strings.HasPrefix(err.Error(), "--shard: ") {
			t.Errorf("%q is %+v: %v", wrong, shard, err)
		}
	}
	if code, stdout, stderr := conform(t, "--shard", "99/99"); code != exitOK || stdout != "0 passed, 0 failed, 0 skipped\n" {
		t.Errorf("an empty shard: exit code %d, %s%s", code, stdout, stderr)
	}
}

// TestConformMerge: shards put together are what one run would have been, and
// what does not belong together or is missing is told.
func TestConformMerge(t *testing.T) {
	directory := t.TempDir()
	file := func(name string) string { return filepath.Join(directory, name) }
	made := map[string][]string{
		"whole":   nil,
		"1":       {"--shard", "1/3"},
		"2":       {"--shard", "2/3"},
		"3":       {"--shard", "3/3"},
		"other":   {"--shard", "1/3", "--filter", "crypto/tls>attls"},
		"half":    {"--shard", "1/2"},
		"failing": {"--shard", "3/3", "--timeout", "1ns"},
		"stopped": {"--shard", "3/3", "--timeout", "1ns", "--fail-fast", "--parallel", "1"},
	}
	for name, args := range made {
		code, stdout, stderr := conform(t, append(args, "--json", file(name))...)
		if wrong := name == "failing" || name == "stopped"; wrong != (code == exitFailed) {
			t.Fatalf("%s: exit code %d: %s%s", name, code, stdout, stderr)
		}
	}
	whole, failing, stopped := readRuns(t, file("whole")), readRuns(t, file("failing")), readRuns(t, file("stopped"))
	all := "\n" + whole.Line() + "\n"
	for _, test := range []struct {
		names []string
		code  int
		want  string
	}{
		{[]string{"1", "2", "3"}, exitOK, all},
		{[]string{"3", "1", "2"}, exitOK, all},
		{[]string{"whole"}, exitOK, all},
		{[]string{"1", "3"}, exitFailed, "Shard 2/3 is missing."},
		{[]string{"1"}, exitFailed, "Shards 2/3, 3/3 are missing."},
		{[]string{"1", "2", "failing"}, exitFailed, fmt.Sprintf("attls: %d of %d cases failed\n", failing.Count(report.Failed), len(whole.Runs))},
		{[]string{"1", "2", "stopped"}, exitFailed, fmt.Sprintf("%d of %d cases of shard 3/3 were not run.", stopped.Unrun(), stopped.Shards[0].Cases)},
		{[]string{"1", "2", "1"}, exitFailed, "shard 1/3 is there twice"},
		{[]string{"whole", "1"}, exitFailed, "different divisions: 1/1 and 1/3"},
		{[]string{"1", "half"}, exitFailed, "different divisions: 1/3 and 1/2"},
		{[]string{"1", "other"}, exitFailed, "different options: --filter=attls>crypto/tls and --filter=crypto/tls>attls"},
		{[]string{"nothing"}, exitUnavailable, "nothing"},
	} {
		var args []string
		for _, n := range test.names {
			args = append(args, file(n))
		}
		code, stdout, stderr := command(t, append([]string{"conform", "merge"}, args...)...)
		if code != test.code || !strings.Contains(stdout+stderr, test.want) {
			t.Errorf("%v: exit code %d: %s%s", test.names, code, stdout, stderr)
		}
		if table := strings.Index(stdout, "CLIENT"); strings.Contains(test.want, "cases failed") && strings.Index(stdout, "✗") < table {
			t.Errorf("failures are printed before the table:\n%s", stdout)
		}
	}
	code, _, stderr := command(t, "conform", "merge", file("2"), file("3"), file("1"), "--json", file("merged"), "--junit", file("junit"), "--html", file("page"))
	if code != exitOK {
		t.Fatal(stderr)
	}
	if failing.Count(report.Failed) < 2 || stopped.Count(report.Failed) != 1 || stopped.Unrun() == 0 {
		t.Errorf("%s; stopped: %s, %d were not run", failing.Line(), stopped.Line(), stopped.Unrun())
	}
	merged := readRuns(t, file("merged"))
	if len(merged.Runs) != len(whole.Runs) || len(merged.Shards) != 3 {
		t.Fatalf("%d runs, %v", len(merged.Runs), merged.Shards)
	}
	for i := range whole.Runs {
		a, b := &whole.Runs[i], &merged.Runs[i]
		if a.ID != b.ID || a.Number != b.Number || a.Command != b.Command || a.Outcome != b.Outcome || (len(a.Ladder) == 0) != (len(b.Ladder) == 0) || (a.ClientClaims == nil) != (b.ClientClaims == nil) {
			t.Errorf("run %d is %s, not %s", i, b.ID, a.ID)
		}
	}
	for name, want := range map[string]string{"junit": fmt.Sprintf(`tests="%d" failures="0"`, len(whole.Runs)), "page": "<!doctype html>"} {
		if text, err := os.ReadFile(file(name)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %q: %v", name, want, err)
		}
	}
}

// TestConformMergePrints: what merge prints is what one run prints, requirements
// and table included.
func TestConformMergePrints(t *testing.T) {
	slowUnderRace(t)
	directory := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := command(t, append([]string{"conform"}, args...)...)
		if code != exitOK {
			t.Fatalf("%v: exit code %d: %s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	faults := []string{"--faults", "--filter", "attls>crypto/tls//none/x25519/fail-no-"}
	whole := run(faults...)
	parts := []string{"merge"}
	for _, shard := range []string{"1/2", "2/2"} {
		name := filepath.Join(directory, shard[:1])
		run(append(faults, "--shard", shard, "--json", name)...)
		parts = append(parts, name)
	}
	if merged := run(parts...); merged != whole || !strings.Contains(whole, "REQUIREMENTS") {
		t.Errorf("merged:\n%swhole:\n%s", merged, whole)
	}
}

// TestConformInterrupt: what was not run is counted, what was asked for is
// written, and the exit code tells it from a failure.
func TestConformInterrupt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "results.json")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, append([]string{"conform", "--json", name}, hereOnly...), strings.NewReader(""), &stdout, &stderr)
	n := len(hereCases(t))
	if want := fmt.Sprintf("attls: interrupted; %d of %d cases were not run\n", n, n); code != exitInterrupted || stderr.String() != want {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	if r := readRuns(t, name); r.Unrun() != n || r.Grid.Cases != n {
		t.Errorf("%d cases were not run of %+v", r.Unrun(), r.Grid)
	}
}

// TestConformFiles: a file that cannot be written is told before any case is run,
// and one that was there is replaced whole.
func TestConformFiles(t *testing.T) {
	directory := t.TempDir()
	for _, flag := range []string{"--json", "--junit", "--html", "--pcap"} {
		code, stdout, stderr := conform(t, flag, filepath.Join(os.DevNull, "file"))
		if code != exitUnavailable || stdout != "" || !strings.Contains(stderr, os.DevNull) {
			t.Errorf("%s: exit code %d: %s%s", flag, code, stdout, stderr)
		}
	}
	name := filepath.Join(directory, "old.json")
	if err := os.WriteFile(name, bytes.Repeat([]byte("old "), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := conform(t, "--json", filepath.Join(directory, "missing", "new.json"), "--junit", name); code != exitUnavailable {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if text, err := os.ReadFile(name); err != nil || !strings.HasPrefix(string(text), "old ") {
		t.Errorf("%.20s, %v: a file was emptied before there was a report", text, err)
	}
	if code, _, stderr := conform(t, "--shard", "99/99", "--json", name); code != exitOK {
		t.Fatal(stderr)
	}
	if r := readRuns(t, name); r.Total() != len(hereCases(t)) || len(r.Runs) != 0 {
		t.Errorf("%d runs of %d", len(r.Runs), r.Total())
	}
}

// TestConformUsage: what cannot be meant is refused.
func TestConformUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--parallel", "0"}, "--parallel 0"},
		{[]string{"--requirements"}, "add --faults"},
		{[]string{"--timeout", "0s"}, "--timeout 0s"},
		{[]string{"--filter", "nowhere"}, "choose no case"},
		{[]string{"--case", "nothing"}, "no case is called nothing"},
		{[]string{"--profile", "nothing"}, "nothing"},
		{[]string{"murge"}, "murge"},
		{[]string{"merge"}, "at least 1 arg"},
	} {
		if code, stdout, stderr := command(t, append([]string{"conform"}, test.args...)...); code != exitUsage || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%v: exit code %d: %s%s", test.args, code, stdout, stderr)
		}
	}
}

// standIn writes a program that prints a version and can do nothing else.
func standIn(t *testing.T, path, version string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+version+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestConformAbsent: a stack that somebody named and that is not here, or is another
// program, is an error before anything is run.
func TestConformAbsent(t *testing.T) {
	directory := t.TempDir()
	nowhere, other := filepath.Join(directory, "nowhere"), filepath.Join(directory, "other")
	standIn(t, other, "hello")
	for _, variable := range []string{"ATTLS_MBEDTLS_PEER", "ATTLS_MBEDTLS_PROGRAMS", "ATTLS_OPENSSL", "ATTLS_POC_CLIENT", "ATTLS_POC_SERVER", "ATTLS_POC_VERIFIER"} {
		t.Setenv(variable, "")
	}
	t.Setenv("XDG_CACHE_HOME", directory) // where the scripts leave what they build
	t.Setenv("PATH", directory)
	for _, test := range []struct {
		name     string
		args     []string
		variable string // of the environment, that names nowhere
		want     string // empty: nothing is missing
	}{
		{"a stack of --peer that is not installed", []string{"--peer", "gnutls"}, "", "--peer names gnutls, which is not here"},
		{"one of two", []string{"--peer", "crypto/tls,openssl"}, "", "--peer names openssl, which is not here"},
		{"one that no script has built", []string{"--peer", "mbedtls"}, "", "build.sh has not built"},
		{"the programs without patches", []string{"--peer", "mbedtls-unpatched"}, "", "programs.sh has not built"},
		{"another openssl", []string{"--peer", "openssl-3.5"}, "", "(conformance/stacks/fetch.sh openssl"},
		{"the proof of concept", []string{"--peer", "poc"}, "", "--poc-client"},
		{"the path of a flag, in another choice", []string{"--mbedtls", nowhere, "--peer", "crypto/tls"}, "", "--mbedtls names mbedtls, which is not here"},
		{"a directory of programs", []string{"--mbedtls-programs", nowhere}, "", "--mbedtls-programs names mbedtls-unpatched"},
		{"the path of another openssl", []string{"--openssl", nowhere}, "", "--openssl names openssl-3.5"},
		{"the proof of concept's client", []string{"--poc-client", nowhere}, "", "--poc-client names poc"},
		{"the proof of concept's server", []string{"--poc-server", nowhere}, "", "--poc-server names poc"},
		{"a program that is not the peer", []string{"--mbedtls", other}, "", "does not say what it is"},
		{"a program that is not openssl", []string{"--openssl", other}, "", `prints "hello", which does not match`},
		{"a variable of the environment", nil, "ATTLS_MBEDTLS_PEER", "$ATTLS_MBEDTLS_PEER names mbedtls"},
		{"a variable for programs", nil, "ATTLS_MBEDTLS_PROGRAMS", "$ATTLS_MBEDTLS_PROGRAMS names mbedtls-unpatched"},
		{"a variable for openssl", nil, "ATTLS_OPENSSL", "$ATTLS_OPENSSL names openssl-3.5"},
		{"a variable for the proof of concept", nil, "ATTLS_POC_SERVER", "$ATTLS_POC_SERVER names poc"},
		{"a variable for a stack that takes no part", []string{"--peer", "crypto/tls", "--filter", hereOnly[1]}, "ATTLS_OPENSSL", ""},
		{"a shard", []string{"--peer", "gnutls", "--shard", "9999/10000"}, "", "--peer names gnutls"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.variable != "" {
				t.Setenv(test.variable, nowhere)
			}
			code, stdout, stderr := command(t, append([]string{"conform"}, test.args...)...)
			if want := map[bool]int{true: exitOK, false: exitUnavailable}[test.want == ""]; code != want || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, not %d: %s%s", code, want, stdout, stderr)
			}
		})
	}
}

// TestConformNothing: flags that choose nothing, or send nothing, are an error, and so is
// a choice of cases of which none could be run.
func TestConformNothing(t *testing.T) {
	slowUnderRace(t)
	directory := t.TempDir()
	old, new := filepath.Join(directory, "old"), filepath.Join(directory, "new")
	standIn(t, old, "OpenSSL 3.0.17 1 Jul 2025 (Library: OpenSSL 3.0.17 1 Jul 2025)")
	standIn(t, new, "OpenSSL 3.5.9 29 Sep 2026 (Library: OpenSSL 3.5.9 29 Sep 2026)")
	t.Setenv("XDG_CACHE_HOME", directory)
	t.Setenv("ATTLS_MBEDTLS_PEER", "")
	limits := []string{"--openssl", old, "--peer", "openssl-3.0", "--filter", "X25519MLKEM768"}
	for _, test := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no stack in --peer", []string{"--peer="}, exitUsage, "--peer has an empty value"},
		{"no profile in --profile", []string{"--profile="}, exitUsage, "--profile has an empty value"},
		{"a stack that the other flags leave out", []string{"--peer", "attls,gnutls", "--filter", "mbedtls"}, exitUsage, "--peer gnutls: the other flags choose no case"},
		{"faults for a stack that is sent none", []string{"--peer", "attls-command", "--faults"}, exitUsage, "--faults sends nothing to attls-command"},
		{"faults that a filter leaves out", []string{"--peer", "crypto/tls", "--faults", "--filter", "TLS_AES_128_GCM_SHA256"}, exitUsage, "--faults sends nothing"},
		{"limits of a peer only", limits, exitFailed, "No case was run (skipped: "},
		{"a shard of such cases", append([]string{"--shard", "1/2", "--json", filepath.Join(directory, "1.json")}, limits...), exitOK, ""},
		{"the other shard", append([]string{"--shard", "2/2", "--json", filepath.Join(directory, "2.json")}, limits...), exitOK, ""},
		{"both shards together", []string{"merge", filepath.Join(directory, "1.json"), filepath.Join(directory, "2.json")}, exitFailed, "No case was run (skipped: "},
		{"stacks that nobody named and that are missing", []string{"--filter", "mbedtls>attls/early"}, exitFailed, "No case was run (skipped: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{"conform"}, test.args...)...)
			if code != test.code || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, not %d: %s%s", code, test.code, stdout, stderr)
			}
		})
	}
	for _, choice := range [][]string{{"--peer", "openssl-3.5"}, {"--filter", "openssl-3.5"}} {
		code, stdout, stderr := command(t, append([]string{"conform", "--openssl", new, "--faults", "--list"}, choice...)...)
		for _, want := range []string{"openssl-3.5>attls//none/fail-", "attls>openssl-3.5//none/x25519/fail-"} {
			if n := strings.Count(stdout, want); code != exitOK || n < 30 {
				t.Errorf("%v: exit code %d, %d cases of %s; %s", choice, code, n, want, stderr)
			}
		}
	}
}

// TestConformCase: every case that any flags choose is found by its name alone,
// and the command in a report is of that shape.
func TestConformCase(t *testing.T) {
	slowUnderRace(t)
	exact := conformFlags{}
	exact.choice.exact = "every case of mbedtls-compiled as well"
	known := map[string]bool{}
	o := exact.options(nil)
	cases, err := peers.Cases(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		known[cases[i].String()] = true
	}
	var names []string
	new(conformFlags).choiceFlags().VisitAll(func(flag *pflag.Flag) {
		if flag.Value.Type() == "bool" && flag.Name != "full" { // it is in no need of others
			names = append(names, flag.Name)
		}
	})
	for _, name := range names {
		var f conformFlags
		if err := f.choiceFlags().Set(name, "true"); err != nil {
			t.Fatal(err)
		}
		cases, err := f.cases(nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range cases {
			if !known[cases[i].String()] {
				t.Errorf("--%s: --case %s finds nothing", name, cases[i].String())
			}
		}
	}
	here := t.TempDir()
	t.Chdir(here)
	standIn(t, filepath.Join(here, "a b"), "Mbed TLS 3.6.6")
	name := filepath.Join(t.TempDir(), "results.json")
	if code, _, stderr := conform(t, "--json", name, "--mbedtls", "./a b", "--shard", "7/7"); code != exitOK {
		t.Fatal(stderr)
	}
	r := readRuns(t, name)
	want := "conform --mbedtls '" + filepath.Join(here, "a b") + "' --case '" + r.Runs[0].ID + "'"
	if r.Runs[0].Command != want {
		t.Errorf("%s, not %s", r.Runs[0].Command, want)
	}
	code, stdout, stderr := command(t, "conform", "--case", r.Runs[0].ID)
	if code != exitOK || !strings.Contains(stdout, "ClientHello") || !strings.Contains(stdout, "key of the server") || !strings.HasSuffix(stdout, "\n1 passed, 0 failed, 0 skipped\n") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestInvocation: how a command is called again.
func TestInvocation(t *testing.T) {
	for _, test := range []struct{ word, executable, module, want string }{
		{"attls", "/usr/local/bin/attls", "", "attls"},
		{"./attls", "/home/a user/attls", "/home/a user", "'/home/a user/attls'"},
		{"/root/.cache/go-build/e4/e4-d/attls", "/root/.cache/go-build/e4/e4-d/attls", "/src/attls", "go run -C /src/attls ./cmd/attls"},
		{"/tmp/go-build1/b001/exe/attls", "/tmp/go-build1/b001/exe/attls", "/src/it's", `go run -C '/src/it'\''s' ./cmd/attls`},
	} {
		if got := invocationOf(test.word, test.executable, test.module); got != test.want {
			t.Errorf("%s, not %s", got, test.want)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if root := moduleRoot(here); root != filepath.Dir(filepath.Dir(here)) {
		t.Errorf("the module is in %s", root)
	}
	if root := moduleRoot(t.TempDir()); root != "" {
		t.Errorf("a module in %s", root)
	}
}

// TestAbout: an estimate is rounded up, and 60 is of the next unit.
func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "1 s", 58 * time.Second: "59 s", 59500 * time.Millisecond: "1 min", 61 * time.Second: "2 min",
		59*time.Minute + 30*time.Second: "1.0 h", 90 * time.Minute: "1.5 h"} {
		if got := about(d); got != want {
			t.Errorf("%v is about %s, not %s", d, got, want)
		}
	}
}

// TestProgress: a log has a line for each tenth at most, and none when it is
// quick; a terminal has one line.
func TestProgress(t *testing.T) {
	var log bytes.Buffer
	now := time.Unix(0, 0)
	slow := newProgress(&log, 40, "failed")
	slow.now = func() time.Time { now = now.Add(3 * time.Second); return now }
	slow.began, slow.told = now, now
	for i := range 40 {
		slow.step("case", i == 0)
	}
	slow.clear()
	lines := strings.Split(log.String(), "\n")
	if len(lines) != 11 || lines[0] != "4/40, 1 failed, about 2 min left" || lines[8] != "36/40, 1 failed, about 13 s left" || lines[9] != "40/40, 1 failed" {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	log.Reset()
	quick := newProgress(&log, 40, "failed")
	quick.now = func() time.Time { return quick.began }
	for range 40 {
		quick.step("case", false)
	}
	if log.Len() != 0 {
		t.Errorf("%q", log.String())
	}
	quick.p.terminal, quick.done = true, 0
	quick.step("case", false)
	quick.clear()
	if want := "\r\x1b[K1/40, 0 failed  case\r\x1b[K"; log.String() != want {
		t.Errorf("%q", log.String())
	}
}
