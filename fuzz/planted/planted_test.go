//go:build attls_planted

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/adapter"
	"attls/conformance/placement"
	"attls/fuzz/campaign"
)

// asProgram makes the program of the tests the one that is tested.
const asProgram = "ATTLS_PLANTED_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is the path of the program that is tested.
func program(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asProgram, "1")
	return path
}

// remote is a planted end as a stack for campaigns.
func remote(t *testing.T, name, role string, sound bool) *campaign.Remote {
	t.Helper()
	l := &limits{role: role, sound: sound, connections: most, time: time.Hour, each: time.Minute}
	text, err := l.adapter(name, program(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "planted.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := adapter.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	found := a.Find(t.Context(), nil)
	if found.Missing != "" {
		t.Fatal(found.Missing)
	}
	stack, err := placement.NewPrograms(t.Context(), found, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	x := &campaign.Remote{Name: a.Name, Version: found.Version, Stack: stack, Timeout: time.Minute, Quiet: 20 * time.Millisecond}
	for _, r := range attls.Roles() {
		if found.Ends[r] != nil {
			x.Roles = append(x.Roles, r)
		}
	}
	return x
}

// TestCampaignFindsPlantedBugs: a campaign that meets the program finds the bug by the law it
// is about, in either end, and nothing where every rule is in force.
func TestCampaignFindsPlantedBugs(t *testing.T) {
	for name, w := range map[string]struct {
		bug, role string
		sound     bool
		law       string
	}{
		"server":       {"finished-verified", "server", false, "finished"},
		"client":       {"signature-verified", "client", false, "signature"},
		"sound server": {"finished-verified", "server", true, ""},
		"sound client": {"signature-verified", "client", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			target, err := campaign.NewTarget(campaign.TLS)
			if err != nil {
				t.Fatal(err)
			}
			r, err := campaign.Run(t.Context(), campaign.Options{Targets: []*campaign.Target{target}, Executions: 250, Seed: 3,
				Workers: 1, Remote: remote(t, w.bug, w.role, w.sound), FirstOnly: w.law != "", Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if w.law != "" {
				if !slices.ContainsFunc(r.Found, func(f *campaign.Finding) bool { return f.Law == w.law }) {
					t.Errorf("not found in %d connections: %v", r.Executions, r.Found)
				}
				return
			}
			for _, f := range r.Found {
				t.Errorf("%s: %v", f.Cause, f.Input.Edits)
			}
			if r.Executions < 150 {
				t.Errorf("%d connections", r.Executions)
			}
		})
	}
}

// start runs the program until its first line, and returns the address in it.
func start(t *testing.T, args ...string) (address string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := exec.CommandContext(ctx, program(t), args...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = c.Wait()
	})
	b := make([]byte, 200)
	n, err := out.Read(b)
	m := regexp.MustCompile(`listening on (\S+)`).FindSubmatch(b[:n])
	if m == nil {
		t.Fatalf("%q, %v", b[:n], err)
	}
	return string(m[1])
}

// TestOpenSSLSeesABug: s_client gets an answer without a certificate where the bug is, and the
// alert where it is not.
func TestOpenSSLSeesABug(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not here")
	}
	authority, err := campaign.Authority()
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sound := range []bool{false, true} {
		args := []string{"serve", "--bug", "certificate-required"}
		if sound {
			args = append(args, "--sound")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		c := exec.CommandContext(ctx, openssl, "s_client", "-connect", start(t, args...), "-servername", "localhost", "-tls1_3",
			"-CAfile", ca, "-verify_return_error", "-ign_eof")
		c.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
		out, _ := c.CombinedOutput()
		cancel()
		if answered := bytes.Contains(out, []byte("has a planted bug")); answered == sound {
			t.Errorf("sound %v, answered %v:\n%s", sound, answered, out)
		}
		if !bytes.Contains(out, []byte("Verification: OK")) || sound && !bytes.Contains(out, []byte("certificate required")) {
			t.Errorf("sound %v:\n%s", sound, out)
		}
	}
}

// run runs a command in this process.
func run(ctx context.Context, args ...string) (out, said string, err error) {
	c := command()
	var o, e bytes.Buffer
	c.SetOut(&o)
	c.SetErr(&e)
	c.SetArgs(args)
	err = c.ExecuteContext(ctx)
	return o.String(), e.String(), err
}

func TestWhatIsRefused(t *testing.T) {
	for name, w := range map[string]struct{ args, says string }{
		"another interface":     {"serve --bug finished-verified --listen 0.0.0.0:0", "loopback"},
		"no interface":          {"serve --bug finished-verified --listen :0", "loopback"},
		"a name":                {"serve --bug finished-verified --listen example.com:0", "loopback"},
		"IPv6, all":             {"serve --bug finished-verified --listen [::]:0", "loopback"},
		"far away":              {"connect --bug signature-offered 192.0.2.1:443", "loopback"},
		"no port":               {"connect --bug signature-offered 127.0.0.1", "port"},
		"unknown":               {"serve --bug nothing", `no bug is called "nothing"`},
		"none":                  {"serve", "--bug"},
		"the other end's":       {"serve --bug signature-offered", "--role"},
		"no role":               {"serve --bug finished-verified --role both", "client or server"},
		"several at a port":     {"serve --bug finished-verified --bug hello-complete --listen 127.0.0.1:4433", "a port each"},
		"no connections":        {"serve --bug finished-verified --connections 0", "--connections"},
		"no time":               {"serve --bug finished-verified --time 0s", "--time"},
		"none at once":          {"serve --bug finished-verified --at-once 0", "--at-once"},
		"an adapter of a draft": {"adapter --bug verdict-binder", "early-attestation-06"},
		"after the handshake":   {"serve --bug frame-constant", "exported authenticators"},
	} {
		if _, _, err := run(t.Context(), strings.Fields(w.args)...); err == nil || !strings.Contains(err.Error(), w.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBounds: a server ends when it had its connections or its time.
func TestBounds(t *testing.T) {
	_, said, err := run(t.Context(), "serve", "--bug", "finished-verified", "--bug", "hello-complete", "--time", "50ms")
	if err != nil || strings.Count(said, ": 0 connections") != 2 {
		t.Errorf("%q, %v", said, err)
	}
}

func TestList(t *testing.T) {
	all, err := bugs()
	if err != nil {
		t.Fatal(err)
	}
	unserved := 0
	for _, b := range all {
		if b.Unserved != "" {
			unserved++
			if !strings.Contains(b.Unserved, "exported authenticators") {
				t.Errorf("%s: %s", b.Name, b.Unserved)
			}
		}
	}
	if len(all) < 90 || unserved == 0 || unserved > 12 {
		t.Errorf("%d bugs, %d not served", len(all), unserved)
	}
	if out, _, err := run(t.Context(), "list"); err != nil || strings.Count(out, "\n") != len(all) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestOrdinaryBuildLacksIt: what the tag adds is in a build with the tag and in no other.
func TestOrdinaryBuildLacksIt(t *testing.T) {
	directory := t.TempDir()
	for _, w := range []struct {
		tags, what string
		has        bool
	}{{"attls_planted", "attls/fuzz/planted", true}, {"", "attls/cmd/attls", false}} {
		file := filepath.Join(directory, filepath.Base(w.what))
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", w.tags, "-o", file, w.what).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if has := bytes.Contains(b, []byte("This end has a planted bug.")); has != w.has {
			t.Errorf("%s: %v", w.what, has)
		}
	}
}
