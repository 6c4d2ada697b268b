package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFuzzApart: a campaign between two stacks names both in its findings, which replay, minimize,
// triage and issues take, with both stacks alone; a draft of a list is refused until it has reasons,
// and an entry that nothing needs is an error.
func TestFuzzApart(t *testing.T) {
	slowUnderRace(t)
	dir := t.TempDir()
	draft := filepath.Join(dir, "draft.yaml")
	pair := []string{"--peer", "attls", "--against", "crypto/tls"}
	run := append([]string{"fuzz", "run", "none", "--role", "client", "--time", "0", "--executions", "100", "--workers", "1", "--dir", dir}, pair...)
	code, stdout, stderr := command(t, append(run, "--known", apartList(t, "nothing at all"), "--draft-known", draft)...)
	if code != exitFailed || !strings.Contains(stdout, "of crypto/tls go") || !strings.Contains(stdout, "told apart by") ||
		!strings.Contains(stdout, "1 entries of the lists of known differences were not needed") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	list, err := filepath.Glob(filepath.Join(dir, "findings", "difference-*.yaml"))
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	pcap, small := filepath.Join(dir, "x.pcapng"), filepath.Join(dir, "small.yaml")
	code, stdout, stderr = command(t, "fuzz", "replay", list[0], "--pcap", pcap) // the stacks are in the file
	if code != exitFailed || !strings.Contains(stdout, "With attls") || !strings.Contains(stdout, "With crypto/tls go") || !strings.Contains(stdout, "difference: the client of") {
		t.Errorf("replay: exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr = command(t, "decode", pcap); strings.Count(stdout, "ServerHello") < 2 {
		t.Errorf("decode of the capture: exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr = command(t, append([]string{"fuzz", "minimize", list[0], "--out", small}, pair...)...); code != exitOK {
		t.Errorf("minimize: exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, _ = command(t, "fuzz", "triage", dir); code != exitFailed || !strings.Contains(stdout, "crypto/tls go") {
		t.Errorf("triage: exit code %d: %s", code, stdout)
	}
	issues := filepath.Join(dir, "issues")
	code, stdout, stderr = command(t, append([]string{"fuzz", "issues", dir, "--out", issues}, pair...)...)
	pages, _ := filepath.Glob(filepath.Join(issues, "difference-*.md"))
	if code != exitOK && code != exitFailed || len(pages) == 0 {
		t.Fatalf("issues: exit code %d: %s%s", code, stdout, stderr)
	}
	page, err := os.ReadFile(pages[0])
	for _, want := range []string{"| crypto/tls go", "| attls ", "--peer attls --against crypto/tls", ".pcapng"} {
		if err != nil || !strings.Contains(string(page), want) {
			t.Errorf("%s is not in the page, %v: %s", want, err, page)
		}
	}
	code, stdout, stderr = command(t, append([]string{"fuzz", "fingerprint", "--dir", dir, "--role", "client"}, pair...)...)
	if code != exitOK || !strings.Contains(stdout, "of them are enough") {
		t.Errorf("fingerprint: exit code %d: %s%s", code, stdout, stderr)
	}
	if code, _, stderr = command(t, append([]string{"fuzz", "known", "--known", draft}, pair...)...); code != exitUsage || !strings.Contains(stderr, "an entry needs a reason") {
		t.Errorf("a draft: exit code %d: %s", code, stderr)
	}
	code, stdout, stderr = command(t, append([]string{"fuzz", "known", "--known", apartList(t, "nothing at all")}, pair...)...)
	if code != exitFailed || !strings.Contains(stdout, "STALE: it is so") || !strings.Contains(stderr, "1 entries") {
		t.Errorf("a stale entry: exit code %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = command(t, append([]string{"fuzz", "known", "--known", apartList(t, "refuses with unsupported_extension")}, pair...)...)
	if code != exitOK || !strings.Contains(stdout, "shows: it is so") {
		t.Errorf("an entry that shows: exit code %d: %s%s", code, stdout, stderr)
	}
	changed := filepath.Join(dir, "changed.yaml")
	text, err := os.ReadFile(list[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]struct {
		from, to string
		args     []string
		says     string
		code     int
	}{
		"another version": {"crypto/tls go", "crypto/tls Go-", nil, "--any-version runs it nevertheless", exitUnavailable},
		"any version":     {"crypto/tls go", "crypto/tls Go-", []string{"--any-version"}, "1 differences", exitFailed},
		"unknown stack":   {"crypto/tls go", "mine ", nil, `no adapter is called "mine"`, exitUsage},
		"one stack":       {"", "", []string{"--peer", "attls"}, "--against the other", exitUsage},
		"other stacks":    {"", "", []string{"--against", "crypto/tls"}, "goes with --peer or --adapter", exitUsage},
		"a plant":         {"", "", []string{"--plant", "finished-verified"}, "two other stacks", exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(changed, []byte(strings.ReplaceAll(string(text), w.from, w.to)), 0o600); err != nil {
				t.Fatal(err)
			}
			code, _, stderr := command(t, append([]string{"fuzz", "replay", changed}, w.args...)...)
			if code != w.code || !strings.Contains(stderr, w.says) {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}

// apartList is a list with an entry about crypto/tls and attls, and what attls does where they differ.
func apartList(t *testing.T, says string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "known.yaml")
	text := `format: attls-fuzz-known 1
peer: attls
known:
  - law: difference
    says: ` + says + `
    does: refuses with unsupported_extension
    against: [{stack: crypto/tls, does: completes the handshake}]
    right: peer
    why: it is so
    shows:
      attacker: server
      edits: [{do: extension-add, message: EncryptedExtensions, extension: 20, octets: "00"}]
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFuzzApartMistakes(t *testing.T) {
	for name, w := range map[string]struct {
		args []string
		says string
		code int
	}{
		"alone":     {[]string{"fuzz", "run", "none", "--against", "attls"}, "--against goes with --peer or --adapter", exitUsage},
		"itself":    {[]string{"fuzz", "run", "none", "--peer", "attls", "--against", "attls"}, "once more", exitUsage},
		"unknown":   {[]string{"fuzz", "run", "none", "--peer", "attls", "--against", "no-such"}, `no adapter is called "no-such"`, exitUsage},
		"no file":   {[]string{"fuzz", "run", "none", "--peer", "attls", "--against", "./no-such.yaml"}, "no-such.yaml", exitUsage},
		"draft":     {[]string{"fuzz", "run", "none", "--peer", "attls", "--draft-known", "x"}, "goes with --against", exitUsage},
		"a program": {[]string{"fuzz", "run", "mbedtls-server", "--peer", "attls", "--against", "crypto/tls"}, "is a program already", exitUsage},
		"missing":   {[]string{"fuzz", "run", "none", "--peer", "attls", "--against", missingAdapter(t)}, "no program here", exitUnavailable},
		"both gone": {[]string{"fuzz", "run", "none", "--adapter", missingAdapter(t), "--against", missingAdapter(t)}, "no program here", exitUnavailable},
		"known":     {[]string{"fuzz", "known", "--peer", "attls"}, "and --against others", exitUsage},
		"print":     {[]string{"fuzz", "fingerprint"}, "--peer or --adapter names a stack", exitUsage},
		"plant":     {[]string{"fuzz", "minimize", apartInput(t), "--plant", "finished-verified"}, "another stack", exitUsage},
		"directory": {[]string{"fuzz", "fingerprint", "--peer", "attls", "--dir", "no-such"}, "no findings", exitUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := command(t, w.args...)
			if code != w.code || !strings.Contains(stderr, w.says) {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}

// missingAdapter is a file about a stack whose programs are not here.
func missingAdapter(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "gone.yaml")
	const text = `adapter: gone
base: gnutls
install: no program here
programs:
  gnutls-cli: /no/such/gnutls-cli
  gnutls-serv: /no/such/gnutls-serv
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// apartInput is an input in which two stacks differ.
func apartInput(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "input.yaml")
	const text = `format: attls-fuzz-input 1
connection: {attester: none}
attacker: server
edits: [{do: drop, message: Finished}]
law: difference
peer: attls (devel)
against: crypto/tls go1
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestSlowKnownApart: what the lists that are compiled in say of two releases shows with the programs.
func TestSlowKnownApart(t *testing.T) {
	if os.Getenv("ATTLS_SLOW") != "1" {
		t.Skip("starts programs of other stacks; ATTLS_SLOW=1 runs it")
	}
	for _, two := range [][2]string{{"openssl", "openssl-3.5"}, {"gnutls", "gnutls-3.8"}} {
		t.Run(two[1], func(t *testing.T) {
			code, stdout, stderr := command(t, "fuzz", "known", "--peer", two[0], "--against", two[1])
			switch {
			case code == exitUnavailable:
				t.Skipf("one of the two is not here: %s", stderr)
			case strings.HasPrefix(stdout, "0 entries"):
				t.Skip("the programs are of other releases")
			case code != exitOK:
				t.Errorf("exit code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}
