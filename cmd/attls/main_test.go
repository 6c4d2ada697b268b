package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"attls/attestation"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/internal/columns"
)

// command runs the command and returns what it wrote.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// designs are the profiles that differ in how a connection goes.
var designs = []string{"tls-attestation-07", "early-attestation-06", "early-attestation-00", "mbedtls-poc"}

// TestDemo runs the demonstration in every combination of the four designs and
// has the forbidden ones refused as usage errors with a sentence.
func TestDemo(t *testing.T) {
	for _, name := range designs {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range scenario.Combinations(p) {
			args := []string{"demo", "--profile", name, "--attester", string(c.Attester), "--model", c.Model, "--credential", c.Credential}
			code, stdout, stderr := command(t, args...)
			if c.Reason != "" {
				if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.Reason) {
					t.Errorf("%v: exit code %d, %q %q; want %d and %q", args, code, stdout, stderr, exitUsage, c.Reason)
				}
				continue
			}
			if code != exitOK || !strings.Contains(stdout, "Attested:") || !strings.Contains(stdout, "Verdict of the ") {
				t.Errorf("%v: exit code %d\n%s%s", args, code, stdout, stderr)
			}
		}
	}
}

// TestDemoDraws holds what the default demonstration must show.
func TestDemoDraws(t *testing.T) {
	code, stdout, stderr := command(t, "demo")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"ClientHello", "EncryptedExtensions", "remoteAttestation, 8 octets", "server_attester choice: evidence", "payload: CMW",
		"CertificateVerify", "application data", "Challenge of the server", "hash(CH..SH)", "spki(role)", "✓ reference-values", "status affirming"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the drawing lacks %q", want)
		}
	}
	if strings.Contains(stdout, "\x1b") {
		t.Error("colour without a terminal")
	}
	for i, line := range strings.Split(stdout, "\n") {
		if n := columns.Width(line); n > defaultWidth {
			t.Errorf("line %d has %d columns: %s", i+1, n, line)
		}
	}
}

// TestDemoJSON reads what a script would read.
func TestDemoJSON(t *testing.T) {
	code, stdout, stderr := command(t, "demo", "--json", "--profile", "tls-attestation-07", "--attester", "both")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var r struct {
		OK             bool
		Client, Server claims.Claims
		Ladder         []trace.Step
		Binders        []scenario.Binder
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if !r.OK || r.Client.Schema != claims.ClaimsSchema || len(r.Client.Attestation) != 2 || len(r.Ladder) < 10 || len(r.Binders) != 2 {
		t.Errorf("%s", stdout)
	}
	if r.Client.TranscriptHash != r.Server.TranscriptHash || r.Binders[0].Value != r.Server.Attestation[0].Challenge {
		t.Error("the ends disagree")
	}
}

// ending is how the last line of a run with a fault begins.
func ending(c *cases.Case) string {
	if c.Takes != "" {
		return "Accepted as expected: by the " + c.Takes
	}
	return "Rejected as expected: by the " + c.Rejects
}

// TestFail: every name that "--fail help" lists is rejected as expected, and
// the short names that everybody tries are among them.
func TestFail(t *testing.T) {
	code, stdout, stderr := command(t, "demo", "--fail", "help", "--json")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var list []cases.Case
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range list {
		seen[f.ID] = true
		if code, stdout, _ := command(t, "demo", "-q", "--fail", f.ID); code != exitOK || !strings.HasPrefix(stdout, ending(&f)) {
			t.Errorf("%s: exit code %d, %s", f.ID, code, stdout)
		}
	}
	for _, name := range []string{"binder", "key", "reference-value"} {
		if !seen[name] {
			t.Errorf("%s is not listed", name)
		}
	}
	for name, want := range map[string]string{"nonsense": `no fault is called "nonsense"`, "reference_vlaue": `did you mean "reference-value"?`,
		"binder/hrr=x": `did you mean "binder-reading@hrr=`, "offer-order-evidence": "seen of a sound connection", "twice.client_hello": "cannot be provoked under"} {
		if code, _, stderr := command(t, "demo", "--fail", name); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("--fail %s: exit code %d, %s", name, code, stderr)
		}
	}
	for _, name := range []string{"binder/hrr=a", "choice_not_offered", "attestation.choice_not_offered", "binder_mismatch", "choice-not-offered"} {
		if code, stdout, stderr := command(t, "demo", "-q", "--fail", name); code != exitOK {
			t.Errorf("--fail %s, as in earlier versions: exit code %d, %s%s", name, code, stdout, stderr)
		}
	}
	if code, _, stderr := command(t, "demo", "--fail", "unwilling", "--profile", "tls-attestation-07"); code != exitUsage {
		t.Errorf("a fault that the profile does not have: exit code %d, %s", code, stderr)
	}
}

func TestRecordAndReplay(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "run.json")
	if code, _, stderr := command(t, "demo", "-q", "--hello-retry", "--attester", "both", "--record", file); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	code, stdout, stderr := command(t, "replay", file)
	if code != exitOK || !strings.Contains(stdout, "Replayed octet for octet") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	blob, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(dir, "changed.json")
	if err := os.WriteFile(changed, bytes.Replace(blob, []byte(`"sent": [`+"\n   \"16"), []byte(`"sent": [`+"\n   \"17"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command(t, "replay", "-q", changed); code != exitFailed || !strings.Contains(stderr, "octet 0") {
		t.Errorf("a changed recording: exit code %d, %s", code, stderr)
	}
	if code, _, _ := command(t, "replay", filepath.Join(dir, "absent.json")); code != exitUnavailable {
		t.Errorf("no recording: exit code %d", code)
	}
}

func TestProfileCommands(t *testing.T) {
	code, stdout, _ := command(t, "profile", "list")
	for _, name := range profile.Names() {
		if !strings.Contains(stdout, name) {
			t.Errorf("profile list lacks %s", name)
		}
		if code, shown, stderr := command(t, "profile", "show", name); code != exitOK || !strings.Contains(shown, "Combinations") {
			t.Errorf("profile show %s: exit code %d, %s", name, code, stderr)
		}
	}
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	code, stdout, _ = command(t, "profile", "show", "early-attestation-06", "--json", "--reading", "hrr=b")
	var d profileDetail
	if err := json.Unmarshal([]byte(stdout), &d); err != nil || code != exitOK || len(d.Slots) != 2 || len(d.Readings) == 0 {
		t.Errorf("exit code %d, %v: %s", code, err, stdout)
	}
	if code, _, stderr := command(t, "profile", "show", "early-attestation-60"); code != exitUsage || !strings.Contains(stderr, "did you mean") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestEvidence makes Evidence and judges it, sound and spoilt.
func TestEvidence(t *testing.T) {
	dir := t.TempDir()
	key, cmw := filepath.Join(dir, "key.pem"), filepath.Join(dir, "evidence.cmw")
	challenge := strings.Repeat("a5", 32)
	code, stdout, stderr := command(t, "evidence", "make", "--challenge", challenge, "--key-out", key)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if err := os.WriteFile(cmw, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := command(t, "evidence", "appraise", "--challenge", challenge, "--key", key, cmw); code != exitOK || !strings.Contains(stdout, "accepted") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, _ := command(t, "evidence", "appraise", "--challenge", strings.Repeat("5a", 32), "--key", key, cmw); code != exitFailed || !strings.Contains(stdout, "attestation.binder_mismatch") {
		t.Errorf("another challenge: exit code %d: %s", code, stdout)
	}
	ear := filepath.Join(dir, "result.jwt")
	if code, _, stderr := command(t, "evidence", "appraise", "--challenge", challenge, "--key", key, "--ear", ear, "--json", cmw); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if jwt, err := os.ReadFile(ear); err != nil || bytes.Count(jwt, []byte(".")) != 2 {
		t.Errorf("the result: %s, %v", jwt, err)
	}
	code, stdout, _ = command(t, "evidence", "make", "--model", "results", "--key", key, "--json")
	if code != exitOK || !strings.Contains(stdout, `"cmw"`) {
		t.Errorf("exit code %d: %s", code, stdout)
	}
}

// TestAppraiseTakesTheFormatOfItsFile: a verifier's file says what it judges; naming the
// root of trust a second time is not needed.
func TestAppraiseTakesTheFormatOfItsFile(t *testing.T) {
	_, key := certificateFiles(t)
	for _, name := range []string{attestation.EAT, "psa", "nitro"} {
		dir := t.TempDir()
		if code, _, stderr := command(t, "evidence", "init", "--root-of-trust", name, dir); code != exitOK {
			t.Fatal(stderr)
		}
		challenge := "--challenge=" + strings.Repeat("a5", 32)
		code, cmw, stderr := command(t, "evidence", "make", challenge, "--key", key,
			"--attester-file", filepath.Join(dir, "attester.yaml"))
		if code != exitOK {
			t.Fatal(stderr)
		}
		file := filepath.Join(dir, "evidence.cmw")
		if err := os.WriteFile(file, []byte(cmw), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stdout, _ := command(t, "evidence", "appraise", challenge, "--key", key, "--key-bound", file,
			"--verifier-file", filepath.Join(dir, "verifier.yaml")); code != exitOK {
			t.Errorf("%s: %s", name, stdout)
		}
	}
}

// TestInitWritesBothFilesOrNone: a directory that has one of them keeps it and gets no
// other.
func TestInitWritesBothFilesOrNone(t *testing.T) {
	for _, name := range []string{"attester.yaml", "verifier.yaml"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := command(t, "evidence", "init", "--root-of-trust", "psa", dir)
		if code != exitUnavailable || !strings.Contains(stderr, name) {
			t.Errorf("exit code %d: %s", code, stderr)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "mine" || len(entries) != 1 {
			t.Errorf("%s: %d files, it has %q: %v", name, len(entries), b, err)
		}
	}
	for _, name := range []string{"psa+nitro", "psa+", "+", "psa++nitro"} {
		dir := filepath.Join(t.TempDir(), "new")
		if code, _, stderr := command(t, "evidence", "init", "--root-of-trust", name, dir); code != exitUsage {
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: a directory is made", name)
		}
	}
}

// TestUsage: what is wrong on the command line ends with code 2 and says what.
func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"demo", "--attester", "nobody"}, "attester"},
		{[]string{"demo", "--model", "guess"}, "model"},
		{[]string{"demo", "--credential", "paper"}, "credential"},
		{[]string{"demo", "--profile", "nothing"}, "nothing"},
		{[]string{"demo", "--code-point", "extensions.remoteAttestation"}, "code-point"},
		{[]string{"demo", "--suite", "TLS_NULL"}, "TLS_NULL"},
		{[]string{"demo", "--flag"}, "unknown flag"},
		{[]string{"demo", "--code-point", "extensions.remoteAtestation=9"}, "attls: early-attestation-06 has no code point extensions.remoteAtestation; did you mean"},
		{[]string{"demo", "--reading", "hr=a"}, "attls: early-attestation-06 has no switch hr; did you mean"},
		{[]string{"client", "--groups", "x26519"}, "x26519"},
		{[]string{"client", "--record-size-limit", "10"}, "--record-size-limit: 10 is below"},
		{[]string{"client", "--key-shares", "x448"}, "--key-shares: x448 is not"},
		{[]string{"server", "--record-size-limit", "10"}, "--record-size-limit: 10 is below"},
		{[]string{"server", "--verify", "maybe"}, "maybe"},
		{[]string{"server", "--profile", "none", "--require-attestation"}, "profile"},
		{[]string{"nonsense"}, "nonsense"},
		{[]string{"evidence", "make", "--challenge", "xyz"}, "challenge"},
		{[]string{"evidence", "make", "--fit", "tight"}, "fit"},
		{[]string{"evidence", "make", "--spoil", "badly"}, "badly"},
		{[]string{"profile", "proverif", "early-attestation-06", "--goal", "peace"}, "peace"},
		{[]string{"profile", "proverif", "early-attestation-06", "--capabilities", "tik,magic"}, "magic"},
		{[]string{"profile", "proverif", "early-attestation-06", "--attester", "both"}, "server or client"},
		{[]string{"profile", "proverif", "early-attestation-06", "--mutant", "x"}, "no-binder"},
		{[]string{"profile", "proverif", "mbedtls-poc", "--attester", "server"}, "no slot has the attesting server"},
	} {
		if code, _, stderr := command(t, test.args...); code != exitUsage || !strings.Contains(stderr, test.want) {
			t.Errorf("%v: exit code %d, %s", test.args, code, stderr)
		}
	}
}

// TestHelp: every command explains itself.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"demo"}, {"replay"}, {"server"}, {"client"}, {"evidence"}, {"evidence", "make"}, {"evidence", "appraise"},
		{"evidence", "serve"}, {"profile"}, {"profile", "list"}, {"profile", "show"}, {"profile", "proverif"}, {"spec"}, {"bench"}, {"bench", "handshake"}, {"bench", "record"}, {"bench", "attestation"},
		{"bench", "sessions"}, {"bench", "later"}, {"bench", "connections"}, {"version"}} {
		if code, stdout, stderr := command(t, append(args, "--help")...); code != exitOK || !strings.Contains(stdout, "Usage:") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	if code, stdout, _ := command(t, "help", "exit-codes"); code != exitOK || !strings.Contains(stdout, "not available") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, stdout, _ := command(t, "version"); code != exitOK || !strings.HasPrefix(stdout, "attls ") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, stdout, _ := command(t, "completion", "bash"); code != exitOK || !strings.Contains(stdout, "attls") {
		t.Errorf("exit code %d", code)
	}
}

// TestSpec prints the registry, whole and for one text.
func TestSpec(t *testing.T) {
	code, stdout, stderr := command(t, "spec")
	if code != exitOK || !strings.Contains(stdout, "mbedtls-poc") || !strings.Contains(stdout, "binder-formula") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	code, stdout, _ = command(t, "spec", "--profile", "early-attestation-06", "--json")
	var list []map[string]any
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != exitOK || len(list) != 1 {
		t.Errorf("exit code %d, %v: %s", code, err, stdout)
	}
	for _, args := range [][]string{{"--profile", "nothing"}, {"--prove", "--profile", "nothing"}, {"--row", "R1"},
		{"--prove", "--profile", "early-attestation-06", "--row", "R77"}} {
		if code, _, _ := command(t, append([]string{"spec"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

// TestSpecSets prints the texts that belong to no profile, by their names.
func TestSpecSets(t *testing.T) {
	for set, want := range map[string]string{"rfc8446": "4.1.1-1 ", "rfc9846": "6.2-1 general_error", "rfc9850": "2-5 ", "rfc9999": "3.3-3 ", "common": "", "mbedtls-poc": ""} {
		code, stdout, stderr := command(t, "spec", "--set", set)
		if code != exitOK || !strings.Contains(stdout, want) || strings.Count(stdout, "ENFORCED") != 1 {
			t.Errorf("%s: exit code %d: %s%s", set, code, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"--set", "rfc1"}, {"--set", "rfc9846", "--profile", "mbedtls-poc"}, {"--prove", "--set", "rfc9999"}} {
		if code, _, stderr := command(t, append([]string{"spec"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	code, stdout, stderr := command(t, "spec", "--prove", "--set", "rfc9846", "--row", "4.4.2-1")
	if code != exitOK || !strings.Contains(stdout, "RFC 9846 4.4.2-1: without request-algorithms") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestSpecProve turns off the rules behind one row.
func TestSpecProve(t *testing.T) {
	code, stdout, stderr := command(t, "spec", "--prove", "--profile", "early-attestation-06", "--row", "R15")
	if code != exitOK || !strings.Contains(stdout, "without credential-first-entry misplaced fails: the client did not reject") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestBench(t *testing.T) {
	for _, what := range []string{"handshake", "record", "attestation", "sessions", "later"} {
		args, name := []string{"bench", what, "--rounds", "1", "--repeats", "1", "--json"}, ""
		if what == "attestation" {
			name = filepath.Join(t.TempDir(), "figures.json")
			args = append(args, name)
		}
		code, stdout, stderr := command(t, args...)
		if name != "" {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err, stderr)
			}
			stdout = string(b)
		}
		var list []map[string]any
		if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != exitOK || len(list) == 0 {
			t.Errorf("%s: exit code %d, %v, %s", what, code, err, stderr)
		}
	}
}

// slowUnderRace skips what the race detector makes minutes of, and whose goroutines other
// tests start as well.
func slowUnderRace(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("the race detector makes it too slow; other tests run the same goroutines under it")
	}
}

// slow skips what takes long, unless ATTLS_SLOW is set. Such tests have names that begin with
// TestSlow, by which "make slow" finds them.
func slow(t *testing.T) {
	t.Helper()
	slowUnderRace(t)
	if os.Getenv("ATTLS_SLOW") == "" {
		t.Skip("it takes long: set ATTLS_SLOW=1")
	}
}

// inOwnProcess is command in another process, in whose memory nothing is left of other tests.
func inOwnProcess(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), runAsCommand+"=1")
	var out, told strings.Builder
	c.Stdout, c.Stderr = &out, &told
	var exit *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), told.String()
}

func TestBenchConnections(t *testing.T) {
	code, stdout, stderr := inOwnProcess(t, "bench", "connections", "--in-a-row", "40", "--at-once", "30", "--idle", "20", "--json")
	var r connectionResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v, %s%s", code, err, stdout, stderr)
	}
	if r.InARow.Connections != 40 || r.AtOnce.Connections != 30 || r.InARow.Lost+r.AtOnce.Lost != 0 ||
		r.ServerFailed || r.Idle.Ours <= 0 || r.Idle.Client.Ours <= 0 {
		t.Errorf("%s", stdout)
	}
	if !strings.Contains(stderr, "in a row: 40 of 40") {
		t.Errorf("progress: %s", stderr)
	}
	// Nothing takes a hundredth of what crypto/tls takes.
	profiles := t.TempDir()
	code, stdout, stderr = inOwnProcess(t, "bench", "connections", "--in-a-row", "1", "--at-once", "1", "--idle", "20", "--at-most", "0.01", "--heap-profiles", profiles)
	if code != exitFailed || !strings.Contains(stderr, "--at-most 0.01") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if written, err := filepath.Glob(filepath.Join(profiles, "*.pprof")); err != nil || len(written) != 6 {
		t.Errorf("heap profiles %q, %v", written, err)
	}
}
