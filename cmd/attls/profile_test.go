package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/extensions/schema"
)

// withInput runs the command with a standard input.
func withInput(t *testing.T, input string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(input), &out, &err)
	return code, out.String(), err.String()
}

// TestLintUnacknowledged: the defects of a published text are errors in a profile
// that does not acknowledge them, several at once, and warnings in one that does.
func TestLintUnacknowledged(t *testing.T) {
	p, err := profile.Load("early-attestation-03", profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^accepted_flaws:\n(  .*\n)*`).ReplaceAllString(p.Source(), "")
	code, stdout, _ := withInput(t, text, "profile", "lint", "-", "--json")
	var found schema.Problems
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || code != exitFailed {
		t.Fatalf("exit code %d, %v: %s", code, err, stdout)
	}
	for _, want := range []string{"large keys cannot be bound", "the ceiling of cmw_payload is 16777215 octets", "answers what was offered under another number"} {
		ok := false
		for _, x := range found {
			ok = ok || strings.Contains(x.Text, want) && !x.Warning && x.Pos.Line > 1 && strings.Contains(x.Advice, "accepted_flaws")
		}
		if !ok {
			t.Errorf("no error says %q: %s", want, stdout)
		}
	}
	code, stdout, stderr := command(t, "profile", "lint", "early-attestation-03", "tls-attestation-09")
	if code != exitOK || !strings.Contains(stdout, "profiles/tls-attestation-03.yaml:") || !strings.Contains(stdout, ": warning: attestation_evidence has the number 60") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code, _, _ := command(t, "profile", "lint", "--strict", "early-attestation-03"); code != exitFailed {
		t.Errorf("strict: exit code %d", code)
	}
}

// TestLintSuggests: an unknown key is told with the place and the key that was meant.
func TestLintSuggests(t *testing.T) {
	t.Chdir(t.TempDir())
	os.WriteFile("mine.yaml", []byte("profile: mine\nbase: early-attestation-06\nalrts: {}\nbinder: {transcipt: as_sent}\n"), 0o600)
	code, stdout, stderr := command(t, "profile", "lint", "mine.yaml")
	for _, want := range []string{"mine.yaml:3:1: error: a profile has no key alrts\n    did you mean alerts?\n", "mine.yaml:4:10: error: binder has no key transcipt\n    did you mean transcript?\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("not told: %q in %s", want, stdout)
		}
	}
	if code != exitFailed || !strings.Contains(stderr, "2 errors, 0 warnings") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, stdout, _ = command(t, "profile", "lint", "nowhere.yaml"); code != exitUnavailable || !strings.Contains(stdout, "nowhere.yaml: error: ") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
}

// TestProfileDiff: what changed between two revisions, as text and as JSON.
func TestProfileDiff(t *testing.T) {
	code, stdout, stderr := command(t, "profile", "diff", "early-attestation-04", "early-attestation-05")
	for _, want := range []string{
		"--- early-attestation-04", "  code_points.extensions.remoteAttestation\n    + 0xFF06\n",
		"    +         case certificate_request: AttestationScheme chosen_client_scheme;\n", "  server    evidence  x509        ClientHello",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("missing: %q", want)
		}
	}
	if code != exitOK || stderr != "" || strings.Contains(stdout, "\x1b") {
		t.Errorf("exit code %d, %q\n%s", code, stderr, stdout)
	}
	code, stdout, _ = command(t, "profile", "diff", "early-attestation-06", "early-attestation-06", "--reading-b", "hrr=b", "--json")
	var d jsonDiff
	if err := json.Unmarshal([]byte(stdout), &d); err != nil || code != exitOK || d.A.ID != "early-attestation-06" {
		t.Fatalf("exit code %d, %v: %s", code, err, stdout)
	}
	if len(d.Changes) != 2 || d.Changes[0] != (profile.Change{Section: "binder", Path: "binder.transcript", A: "rfc8446", B: "as_sent"}) {
		t.Errorf("%+v", d.Changes)
	}
	if code, stdout, _ = command(t, "profile", "diff", "early-attestation-05", "early-attestation-06"); code != exitOK || !strings.Contains(stdout, "They say the same.") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, _, stderr = command(t, "profile", "diff", "early-attestation-05", "early-atestation-6"); code != exitUsage || !strings.Contains(stderr, "did you mean early-attestation-0") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestCompareLines(t *testing.T) {
	var b strings.Builder
	for _, l := range compareLines([]string{"a", "b", "c", "d"}, []string{"a", "x", "c", "d", "e"}) {
		b.WriteString(string(l.mark) + l.text + " ")
	}
	if got, want := b.String(), " a -b +x  c  d +e "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestProfileNew: a new file loads wherever a profile is named.
func TestProfileNew(t *testing.T) {
	t.Chdir(t.TempDir())
	code, text, stderr := command(t, "profile", "new", "--base", "tls-attestation-07", "--name", "mine")
	if code != exitOK || !strings.Contains(text, "\nprofile: mine\nbase: tls-attestation-07\n") {
		t.Fatalf("exit code %d: %s%s", code, text, stderr)
	}
	if err := os.MkdirAll("drafts", 0o755); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join("drafts", "mine.yaml"), []byte(text), 0o600)
	for _, args := range [][]string{
		{"demo", "-q", "--profile", "drafts/mine.yaml"}, {"profile", "show", "drafts/mine.yaml"}, {"profile", "lint", "drafts/mine.yaml"},
		{"profile", "diff", "tls-attestation-07", "drafts/mine.yaml"}, {"demo", "--fail", "help", "--profile", "drafts/mine.yaml"},
		{"demo", "-q", "--profile", "drafts/mine.yaml", "--record", "run.json"}, {"replay", "-q", "run.json"},
	} {
		if code, stdout, stderr := command(t, args...); code != exitOK {
			t.Errorf("%v: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
	if code, _, stderr := command(t, "profile", "new", "--base", "tls-atestation-07"); code != exitUsage || !strings.Contains(stderr, "did you mean tls-attestation-07?") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestProfileReference(t *testing.T) {
	for _, w := range []struct{ key, want string }{
		{"negotiation.no_scheme", "negotiation.no_scheme.scope  (one of slot, model, all)\n"},
		{"offered_by", "extensions.NAME.MESSAGE.offered_by  ("},
		{"binder", "expand_label(secret, label, context, length): "},
		{"alerts", "binder_mismatch: bad_certificate"},
	} {
		if code, stdout, stderr := command(t, "profile", "reference", w.key); code != exitOK || !strings.Contains(stdout, w.want) {
			t.Errorf("%s: exit code %d: %s%s", w.key, code, stdout, stderr)
		}
	}
	if code, _, stderr := command(t, "profile", "reference", "ofered_by"); code != exitUsage || !strings.Contains(stderr, "did you mean offered_by?") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	code, stdout, _ := command(t, "profile", "reference", "--json")
	var r profile.Reference
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK || len(r.Keys) < 100 || len(r.Causes) < 10 || len(r.Binder) < 20 {
		t.Errorf("exit code %d, %v: %d keys", code, err, len(r.Keys))
	}
}

// TestGrid: the command exits 0 for a profile whose grid is as expected, 1 where a
// case is not, and 2 for a profile that does not load.
func TestGrid(t *testing.T) {
	code, stdout, stderr := command(t, "grid", "--profile", "mbedtls-poc")
	if code != exitOK || !regexp.MustCompile(`mbedtls-poc +1 +\d+ +11 +\d+ +0`).MatchString(stdout) || !strings.Contains(stdout, "all as expected") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"grid", "--json", "--profile", "mbedtls-poc"}, strings.NewReader(""), &out, &errs); code != exitFailed {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	var g jsonGrid
	if err := json.Unmarshal(out.Bytes(), &g); err != nil || g.OK || len(g.Profiles) != 1 || g.Profiles[0].Failed != len(g.Results) {
		t.Errorf("%v: %s", err, out.String())
	}
	if code, _, stderr := command(t, "grid", "--profile", "nowhere.yaml"); code != exitUnavailable || !strings.Contains(stderr, "nowhere.yaml: ") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestProfileExplain: the tree of a run, and the reading of a peer out of claims.
func TestProfileExplain(t *testing.T) {
	code, stdout, stderr := command(t, "profile", "explain", "early-attestation-06", "--attester", "both")
	for _, want := range []string{"the server attests with evidence", "the client attests with evidence", "├─ base = ", "hash(CH..SH) → ", "A claim of the Evidence, tik_pub_hash:"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("missing: %q in %s", want, stdout)
		}
	}
	if code != exitOK || stderr != "" || strings.Contains(stdout, "…") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	// The claims of a real pair of endpoints.
	server := start(t, "--max-connections", "1", "--json", "--quiet")
	code, line, stderr := command(t, "client", "--json", "--binder-inputs", server.address)
	if code != exitOK || server.wait(t) != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if strings.Contains(server.out.String(), "binder_inputs") {
		t.Error("inputs in claims without --binder-inputs")
	}
	code, stdout, stderr = withInput(t, line, "profile", "explain", "early-attestation-00", "--from-claims", "-", "--json")
	var e scenario.Explanation
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != exitOK || e.Attesters[0].Challenge.Value == "" {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	file := filepath.Join(t.TempDir(), "claims.json")
	os.WriteFile(file, []byte(line), 0o600)
	code, stdout, stderr = command(t, "profile", "explain", "early-attestation-06", "--from-claims", file, "--peer-binder", e.Attesters[0].Challenge.Value)
	if code != exitOK || !strings.Contains(stdout, "comes out under\n  early-attestation-0") || !strings.Contains(stdout, ", server attesting\n") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	code, stdout, _ = command(t, "profile", "explain", "early-attestation-06", "--from-claims", file, "--peer-binder", "00")
	if code != exitOK || !strings.Contains(stdout, "No known reading") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	for _, args := range [][]string{{"early-attestation-06", "--peer-binder", "00"}, {"early-attestation-06", "--peer-binder", "0", "--from-claims", file}, {"mbedtls-poc", "--attester", "server"}} {
		if code, _, stderr := command(t, append([]string{"profile", "explain"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
	if code, _, _ := command(t, "profile", "explain", "early-attestation-06", "--from-claims", "nowhere.json"); code != exitUnavailable {
		t.Errorf("exit code %d", code)
	}
}

// TestMismatchNamesReading: ends that read the text differently fail, and the
// drawing names the reading of the peer.
func TestMismatchNamesReading(t *testing.T) {
	code, stdout, _ := command(t, "demo", "--hello-retry", "--client-reading", "hrr=b")
	if code != exitFailed || !strings.Contains(stdout, "comes out under\n    early-attestation-06, server attesting, hrr=c\n") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	server := start(t, "--max-connections", "1", "--profile", "early-attestation-00")
	code, _, stderr := command(t, "client", "--profile", "early-attestation-00", "--reading", "public_key=point", server.address)
	if code != exitFailed || !strings.Contains(stderr, "early-attestation-00, server attesting, public_key=spki\n") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	server.wait(t)
}

// TestProfileDiffRun: both revisions are run, and where they part is told.
func TestProfileDiffRun(t *testing.T) {
	code, stdout, stderr := command(t, "profile", "diff", "--run", "early-attestation-04", "early-attestation-05", "--attester", "client")
	for _, want := range []string{"run with the same random octets", "first octet: ", "first field: ClientHello of the client, octet ", "first secret: CLIENT_HANDSHAKE_TRAFFIC_SECRET", "first verdict: client, attesting", "  client  CertificateVerify "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("missing: %q in %s", want, stdout)
		}
	}
	if code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	code, stdout, _ = command(t, "profile", "diff", "--run", "early-attestation-06", "early-attestation-07", "--json")
	var d jsonDiff
	if err := json.Unmarshal([]byte(stdout), &d); err != nil || code != exitOK || d.Run == nil || d.Run.Octet != nil || d.Run.Verdict != nil || len(d.Run.Messages) < 7 {
		t.Errorf("exit code %d, %v: %s", code, err, stdout)
	}
	if code, _, stderr := command(t, "profile", "diff", "--run", "early-attestation-06", "tls-attestation-02"); code != exitUsage || !strings.Contains(stderr, "allowed by both") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestCompile: what profile compile writes is taken wherever a profile is, with the
// readings and numbers that were chosen for it.
func TestCompile(t *testing.T) {
	t.Chdir(t.TempDir())
	const number = "extensions.remoteAttestation=0xff77"
	code, stdout, stderr := command(t, "profile", "compile", "early-attestation-06", "--reading", "hrr=b", "--code-point", number,
		"-o", "six.compiled")
	if code != exitOK || stdout != "" {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = command(t, "demo", "--quiet", "--profile", "six.compiled")
	if code != exitOK {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = command(t, "profile", "show", "six.compiled")
	if code != exitOK || !strings.Contains(stdout, "remoteAttestation (0xff77)") || !strings.Contains(stdout, "hrr = b") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	stored, err := os.ReadFile("six.compiled")
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = command(t, "profile", "compile", "./six.compiled")
	if code != exitOK || stdout != string(stored) {
		t.Errorf("compiled again: exit code %d: %s%s", code, stdout, stderr)
	}
	code, _, stderr = command(t, "profile", "compile", "mbedtls-poc", "-o", "poc.compiled", "--vectors", "vectors")
	if files, _ := os.ReadDir("vectors"); code != exitOK || len(files) < 20 || !strings.Contains(stderr, " vectors in vectors") {
		t.Errorf("%d vectors, exit code %d: %s", len(files), code, stderr)
	}
	if code, _, stderr = command(t, "profile", "compile", "early-attestation-06", "-o", "none/x"); code != exitUnavailable {
		t.Errorf("a folder that is not there: exit code %d: %s", code, stderr)
	}
	if code, _, stderr = command(t, "demo", "--profile", "six.compiled", "--reading", "hrr=a"); code != exitUsage ||
		!strings.Contains(stderr, "a compiled profile has one reading of each") {
		t.Errorf("another reading: exit code %d: %s", code, stderr)
	}
}
