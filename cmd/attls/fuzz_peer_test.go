package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFuzzPeer: a campaign against another stack keeps its findings, a list of known ones
// explains them, replay shows one, and its machine can be learned.
func TestFuzzPeer(t *testing.T) {
	slowUnderRace(t)
	dir := t.TempDir()
	run := []string{"fuzz", "run", "none", "--peer", "crypto/tls", "--role", "client", "--time", "0", "--executions", "100", "--workers", "1"}
	code, stdout, stderr := command(t, append(run, "--dir", dir, "--known", knownFile(t, "extension-in-place", "in ServerHello, where"))...)
	if code != exitFailed || !strings.Contains(stdout, "extension-in-place") || !strings.Contains(stdout, "known: ") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	list, err := filepath.Glob(filepath.Join(dir, "findings", "extension-in-place-*.yaml"))
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	if printed := "attls fuzz replay " + list[0] + " --peer crypto/tls\n"; !strings.Contains(stdout, printed) {
		t.Errorf("%q is not printed: %s", printed, stdout)
	}
	pcap := filepath.Join(dir, "x.pcapng")
	code, stdout, stderr = command(t, "fuzz", "replay", list[0], "--peer", "crypto/tls", "--pcap", pcap)
	if code != exitFailed || !strings.Contains(stdout, "completes the handshake. attls refuses") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr = command(t, "decode", pcap); !strings.Contains(stdout, "Finished") {
		t.Errorf("decode of the capture: exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, _ = command(t, "fuzz", "replay", list[0]); !strings.Contains(stdout, "It was found with crypto/tls") || !strings.Contains(stdout, "No law is broken by attls.") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	if code, _, stderr = command(t, "fuzz", "run", "none", "--time", "1ns", "--dir", t.TempDir()); code != exitFailed || !strings.Contains(stderr, "no connection was made") {
		t.Errorf("a campaign of no time: exit code %d: %s", code, stderr)
	}
	issues := filepath.Join(dir, "issues")
	code, stdout, stderr = command(t, "fuzz", "issues", dir, "--peer", "crypto/tls", "--out", issues)
	pages, _ := filepath.Glob(filepath.Join(issues, "extension-in-place-*.md"))
	if code != exitOK && code != exitFailed || len(pages) == 0 { // one may depend on a random length
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	page, err := os.ReadFile(pages[0])
	for _, want := range []string{"# crypto/tls", "RFC 8446 4.2", "attls fuzz replay extension-in-place-", "--peer crypto/tls", ".pcapng", "Finished"} {
		if err != nil || !strings.Contains(string(page), want) {
			t.Errorf("%s is not in the page, %v: %s", want, err, page)
		}
	}
	if code, _, stderr := command(t, "fuzz", "issues", dir); code != exitUsage || !strings.Contains(stderr, "--peer or --adapter") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := command(t, "fuzz", "issues", t.TempDir(), "--peer", "crypto/tls"); code != exitUnavailable {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestSlowFuzzPeer: a stack that answers late is learned as what it shows in the time it has.
func TestSlowFuzzPeer(t *testing.T) {
	slow(t)
	code, stdout, stderr := command(t, "fuzz", "learn", "--peer", "crypto/tls", "--role", "server", "--words", "1", "--shallow", "--quiet", "1ms")
	if code != exitOK && code != exitFailed { // with so little time an answer may be missed
		t.Errorf("learn: exit code %d: %s%s", code, stdout, stderr)
	}
}

func knownFile(t *testing.T, law, says string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "known.yaml")
	text := "format: attls-fuzz-known 1\npeer: crypto/tls\nknown:\n- {law: " + law + ", says: '" + says + "', why: it is passed over}\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFuzzPeerMistakes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("adapter: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]struct {
		args []string
		says string
		code int
	}{
		"unknown":     {[]string{"none", "--peer", "no-such"}, `no adapter is called "no-such"`, exitUsage},
		"both":        {[]string{"none", "--peer", "attls", "--adapter", bad}, "both name a stack", exitUsage},
		"adapter":     {[]string{"none", "--adapter", bad}, "bad.yaml:1:1", exitUsage},
		"role":        {[]string{"none", "--peer", "attls", "--role", "x"}, `--role "x"`, exitUsage},
		"role alone":  {[]string{"none", "--role", "client"}, "go with --peer", exitUsage},
		"a profile":   {[]string{"early-attestation-06", "--peer", "attls"}, "without attestation", exitUsage},
		"known":       {[]string{"none", "--peer", "attls", "--known", bad}, "bad.yaml", exitUsage},
		"other known": {[]string{"none", "--peer", "attls", "--known", knownFile(t, "crash", "everything")}, `it is about "crypto/tls"`, exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := command(t, append([]string{"fuzz", "run", "--executions", "1", "--dir", t.TempDir()}, w.args...)...)
			if code != w.code || !strings.Contains(stderr, w.says) {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}
