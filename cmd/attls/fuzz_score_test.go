package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/fuzz/campaign"
)

// TestFuzzScore: results are written, gone on with, read and compared, and what cannot be is refused.
func TestFuzzScore(t *testing.T) {
	out := filepath.Join(t.TempDir(), "score.json")
	score := func(args ...string) (int, string, string) {
		return command(t, append([]string{"fuzz", "score", "--time", "0", "--executions", "300", "--workers", "1",
			"--bug", "signature-verified"}, args...)...)
	}
	both := []string{"--campaign", "terms", "--campaign", "octets", "--out", out}
	code, stdout, stderr := score(append(both, "--trials", "3")...)
	if code != exitOK || !strings.Contains(stdout, "3 of 3") || !strings.Contains(stdout, "terms (A) and octets (B), by connections") ||
		strings.Count(stdout, "findings\n") != 2 {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code, _, stderr := score(both...); code != exitUsage || !strings.Contains(stderr, "--resume") {
		t.Errorf("it would be overwritten: exit code %d: %s", code, stderr)
	}
	code, stdout, stderr = score(append(both, "--trials", "4", "--resume")...)
	if code != exitOK || strings.Count(stderr, "\n") != 2 || !strings.Contains(stdout, "HOLM") { // one more of each
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	svg := filepath.Join(t.TempDir(), "curves.svg")
	code, again, stderr := score("--read", out, "--svg", svg)
	if b, err := os.ReadFile(svg); code != exitOK || again != stdout || err != nil || !bytes.Contains(b, []byte("terms: 1 of 1")) {
		t.Errorf("exit code %d: %s%s\nnot as\n%s", code, again, stderr, stdout)
	}
	other := filepath.Join(t.TempDir(), "other.json")
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	build := filepath.Join(t.TempDir(), "build.json")
	for name, x := range map[string][2]string{other: {campaign.ScoreFormat, "attls-fuzz-score 9"}, build: {`"version": "`, `"version": "of `}} {
		if err := os.WriteFile(name, bytes.Replace(b, []byte(x[0]), []byte(x[1]), 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{exitUnavailable, []string{"--read", other}},
		{exitUnavailable, []string{"--resume", "--out", other}},
		{exitUsage, []string{"--resume", "--out", build}}, // of another build
		{exitUsage, append([]string{"--seed", "2", "--resume"}, both...)},
		{exitUsage, append([]string{"--executions", "301", "--resume"}, both...)},
		{exitUsage, append([]string{"--campaign", "mbedtls"}, "--out", build+"x")}, // which has no such bug
		{exitUnavailable, []string{"--svg", filepath.Join(other, "curves.svg"), "--read", out}},
		{exitUnavailable, []string{"--out", filepath.Join(other, "score.json")}},
		{exitUnavailable, []string{"--read", filepath.Join(t.TempDir(), "missing")}},
		{exitUsage, []string{"--read", out, "--read", out}},
		{exitUsage, []string{"--read", out, "--out", other}},
		{exitUsage, []string{"--resume"}},
		{exitUsage, []string{"--campaign", "terms", "--campaign", "terms"}},
		{exitUsage, []string{"--trials", "101"}},
		{exitUsage, []string{"--trials", "0"}},
		{exitUsage, []string{"--trials", "-1"}},
		{exitUsage, []string{"--workers", "0"}},
		{exitUsage, []string{"--time", "-1s"}},
		{exitUsage, []string{"--bug", "no-such-bug"}},
		{exitUsage, []string{"--drawn", "0"}},
		{exitUsage, []string{"--executions", "0"}},
		{exitUsage, []string{"--executions", "-1"}},
	} {
		if code, _, stderr := score(c.args...); code != c.code || !strings.HasPrefix(stderr, "attls: ") {
			t.Errorf("%v: exit code %d: %s", c.args, code, stderr)
		}
	}
}

// TestFuzzScoreSkips: a campaign whose program was not built is skipped, and the reason said; the
// others are measured. Trials that are in a file stay there.
func TestFuzzScoreSkips(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	code, stdout, stderr := command(t, "fuzz", "score", "--time", "0", "--executions", "1", "--campaign", "mbedtls")
	if code != exitUnavailable || !strings.Contains(stderr, "skipped: ") || !strings.Contains(stderr, "targets.sh live --planted") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	out := filepath.Join(t.TempDir(), "score.json")
	score := func(args ...string) (int, string, string) {
		return command(t, append([]string{"fuzz", "score", "--time", "0", "--executions", "20", "--out", out, "--resume"}, args...)...)
	}
	const one, two = "signature-verified", "finished-verified"
	if code, _, stderr := score("--bug", one, "--bug", two, "--trials", "2"); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := score("--bug", one); code != exitUsage || !strings.Contains(stderr, two) {
		t.Errorf("a bug is left out: exit code %d: %s", code, stderr)
	}
	if code, stdout, stderr := score("--bug", one, "--bug", two); code != exitOK || strings.Count(stdout, " of 2") != 2 {
		t.Errorf("fewer trials: exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestFuzzScoreInterrupted: what was measured until then is printed, as JSON too, and the exit
// code tells.
func TestFuzzScoreInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := &stopAfter{cancel: cancel}
	var stdout bytes.Buffer
	out := filepath.Join(t.TempDir(), "score.json")
	code := run(ctx, []string{"fuzz", "score", "--time", "0", "--executions", "100", "--workers", "1", "--json", "--out", out,
		"--campaign", "octets", "--campaign", "terms", "--bug", "signature-verified", "--trials", "5"}, strings.NewReader(""), &stdout, stop)
	var f campaign.ScoreFile
	if err := json.Unmarshal(stdout.Bytes(), &f); err != nil || code != exitInterrupted || len(f.Scores) != 1 || f.Scores[0].Missing != 4 ||
		!strings.Contains(stop.String(), "4 trials of what was begun were not made; --resume") {
		t.Errorf("exit code %d: %v: %s%s", code, err, stdout.String(), stop.String())
	}
	if kept, err := campaign.ReadScoreFile(out); err != nil || len(kept.Scores[0].Bugs[0].Tries) != 1 {
		t.Errorf("%+v, %v", kept, err)
	}
}

// stopAfter cancels at the first line that is written to it.
type stopAfter struct {
	said   bytes.Buffer
	cancel func()
}

func (s *stopAfter) Write(b []byte) (int, error) {
	s.cancel()
	return s.said.Write(b)
}

func (s *stopAfter) String() string { return s.said.String() }
