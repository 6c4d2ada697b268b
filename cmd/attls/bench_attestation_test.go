package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/conformance/bench"
)

// TestBenchAttestationRefuses: what cannot be measured is refused with its flag, before
// any file is written.
func TestBenchAttestationRefuses(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out.json")
	for _, test := range []struct{ flags, want string }{
		{"--root-of-trust psa --count 0", "--count 0: there are 1 to"},
		{"--root-of-trust psa --count -1", "--count -1: there are 1 to"},
		{"--root-of-trust psa --count 1000000000", "there are 1 to 100000 rounds"},
		{"--root-of-trust psa --time -1s", "--time -1s: "},
		{"--root-of-trust psa --time 0", "--time 0s: a time above 0 is needed"},
		{"--root-of-trust psa --rtt 20", `--rtt "20": a time with its unit is needed`},
		{"--root-of-trust psa --rtt 20ms,", "--rtt has an empty value"},
		{"--root-of-trust psa --rtt -1ms", "--rtt -1ms: a round-trip time is 0 to 10s"},
		{"--root-of-trust psa --rtt 11s", "--rtt 11s: a round-trip time is 0 to 10s"},
		{"--root-of-trust psa --rtt 20ms,0.02s", "--rtt: 0.02s appears twice"},
		{"--root-of-trust psa --attester both", `--attester "both"`},
		{"--root-of-trust psa --credential paper", `--credential "paper"`},
		{"--root-of-trust psa --profile nothing", "--profile: "},
		{"--root-of-trust psa,psa", "psa appears twice"},
		{"--root-of-trust psa,", "a name is empty"},
		{"--root-of-trust psa,all", "all already has the others"},
		{"--root-of-trust sev-smp", `did you mean "sev-snp"`},
		{"--root-of-trust psa --rounds 3", "--rounds and --root-of-trust exclude each other"},
		{"--rtt 20ms", "--rtt needs --root-of-trust"},
		{"--html page.html", "--html needs --root-of-trust"},
	} {
		args := append([]string{"bench", "attestation", "--json", name}, strings.Fields(test.flags)...)
		if code, stdout, stderr := command(t, args...); code != exitUsage || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit code %d: %s%s; want %q", test.flags, code, stdout, stderr, test.want)
		}
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("a file was written")
	}
}

// TestBenchAttestation: the table, the JSON, the page and the chart have the same rows.
func TestBenchAttestation(t *testing.T) {
	directory := t.TempDir()
	file := func(name string) string { return filepath.Join(directory, name) }
	code, stdout, stderr := command(t, "bench", "attestation", "--root-of-trust", "psa,eat", "--count", "1", "--rtt", "0,1ms", "--json", file("r.json"),
		"--html", file("r.html"), "--svg", file("r.svg"))
	if code != exitOK {
		t.Fatal(code, stdout, stderr)
	}
	read := func(name string) string {
		b, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var r bench.RootReport
	if err := json.Unmarshal([]byte(read("r.json")), &r); err != nil || r.Schema != bench.RootSchema || len(r.Rows) != 8 || len(r.RTTs()) != 2 || !r.Complete {
		t.Errorf("%+v, %v", r, err)
	}
	for _, row := range []string{"without attestation", "psa, background check, embedded", "psa, passport, http", "eat, passport, embedded"} {
		for name, text := range map[string]string{"the table": stdout, "the page": read("r.html"), "the chart": read("r.svg")} {
			if !strings.Contains(text, row) {
				t.Errorf("%s lacks %q", name, row)
			}
		}
	}
	if !strings.Contains(stdout, "first data in ms, RTT 1 ms") || !strings.Contains(stdout, "r.html") || !strings.Contains(read("r.html"), "bench attestation --count 1") {
		t.Errorf("%s", stdout)
	}
}

// TestBenchAttestationService: a service that is not believed is rows that say why.
func TestBenchAttestationService(t *testing.T) {
	code, stdout, stderr := command(t, "bench", "attestation", "--root-of-trust", "psa", "--count", "1", "--verifier-url", "http://127.0.0.1:1")
	if code != exitOK || !strings.Contains(stdout, "psa, passport, http") || strings.Count(stdout, "veraison: skipped: http://127.0.0.1:1: ") != 2 {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestBenchAttestationInterrupt: an interrupt keeps what was measured, and the exit code
// says so.
func TestBenchAttestationInterrupt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r.json")
	ctx, interrupt := context.WithCancel(t.Context())
	c := benchAttestationCommand()
	c.SetContext(ctx)
	var stdout, stderr bytes.Buffer
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	f := &attestationBench{json: name}
	err := f.roots(c, bench.RootOptions{Names: []string{"eat"}, Progress: func(_ string, done, _ int) {
		if done == 2 {
			interrupt()
		}
	}})
	code := 0
	if coded := (*exitError)(nil); errors.As(err, &coded) {
		code = coded.code
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var r bench.RootReport
	if err := json.Unmarshal(b, &r); err != nil || code != exitInterrupted || r.Complete || r.Ended != "interrupted" || !r.Rows[0].Measured() {
		t.Errorf("exit code %d, %v: %s", code, err, b)
	}
	if !strings.Contains(stdout.String(), "ended early: interrupted") || !strings.Contains(stdout.String(), "eat, background check, embedded") {
		t.Error(stdout.String())
	}
}
