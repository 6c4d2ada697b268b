package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPlacementCommand: one message to this stack, as text, JSON and a page; and the ways to get it wrong.
func TestPlacementCommand(t *testing.T) {
	dir := t.TempDir()
	json, html := filepath.Join(dir, "r.json"), filepath.Join(dir, "r.html")
	code, stdout, stderr := command(t, "conform", "--placement", "--peer", "attls", "--filter", "client/certificate_request/key_share", "--json", json, "--html", html)
	if code != 0 || !strings.Contains(stdout, "attls") {
		t.Fatalf("%d %s %s", code, stdout, stderr)
	}
	for file, want := range map[string]string{json: `"alert": "illegal_parameter"`, html: `title="well-formed: refused with illegal_parameter"`} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s: %v", file, want, err)
		}
	}
	code, stdout, stderr = command(t, "conform", "--placement", "--peer", "crypto/tls", "--case", "client/encrypted_extensions/cookie/empty", "--issues", filepath.Join(dir, "issues"))
	if code != 0 || !strings.Contains(stdout, "known:") {
		t.Errorf("%d %s %s", code, stdout, stderr)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "issues", "*.md"))
	captures, err2 := filepath.Glob(filepath.Join(dir, "issues", "*.pcapng"))
	if err != nil || err2 != nil || len(pages) != 1 || len(captures) != 1 {
		t.Errorf("pages %v, captures %v", pages, captures)
	}
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("adapter: x\nclient: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(dir, "absent.yaml")
	if err := os.WriteFile(absent, []byte("adapter: x\nprograms: {p: /nonexistent/p}\nclient: {command: ['${p}']}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	called := filepath.Join(dir, "called.yaml")
	if err := os.WriteFile(called, []byte(`adapter: x
programs: {p: {path: sh, environment: ATTLS_X_TEST}, q: {path: sh, environment: ATTLS_X_OTHER}}
named: x-${release}
version: {command: ["${p}", -c, echo 3.6.5], is: (\S+)}
client: {command: ["${p}"]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"x-3.6": 0, "x": 0, "x-3.7": 2} { // by its version, as without --placement
		if code, _, stderr := command(t, "conform", "--placement", "--adapter", called, "--peer", name, "--list"); code != want {
			t.Errorf("%s: %d %s", name, code, stderr)
		}
	}
	t.Setenv("ATTLS_X_TEST", "/bin/sh")
	if words := (&conformFlags{adapters: []string{called}}).environmentOf("attls", "x-3.6"); !slices.Equal(words, []string{"ATTLS_X_TEST=/bin/sh"}) {
		t.Errorf("the environment that a command needs is %q", words)
	}
	for _, w := range []struct {
		says string
		code int
		args []string
	}{
		{"--faults has no meaning with --placement", 2, []string{"--placement", "--faults"}},
		{bad + ":2:9: the client has no command", 2, []string{"--adapter", bad}},
		{"the adapter x has no section conform", 2, []string{"--adapter", absent}},
		{"is called \"nobody\"", 2, []string{"--placement", "--peer", "nobody"}},
		{"no case of the placement matrix", 2, []string{"--placement", "--case", "x"}},
		{bad + ":2:9: the client has no command", 2, []string{"--placement", "--adapter", bad}},
		{"x is not here: the program p is not here", 3, []string{"--placement", "--adapter", absent}},
	} {
		if code, _, stderr := command(t, append([]string{"conform"}, w.args...)...); code != w.code || !strings.Contains(stderr, w.says) {
			t.Errorf("%v: %d %s", w.args, code, stderr)
		}
	}
}
