package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConformAuthenticators runs the stacks that are always here, and what cannot be run.
func TestConformAuthenticators(t *testing.T) {
	nowhere := t.TempDir()
	file := filepath.Join(nowhere, "results.json")
	t.Setenv("ATTLS_EXPORTERS", nowhere)
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a run":              {[]string{"--filter", "crypto/tls-attls", "--json", file}, exitOK, "146 passed, 0 failed, 0 skipped"},
		"a stack is missing": {[]string{"--filter", "attls-nss/"}, exitFailed, "146 skipped"},
		"it was asked for":   {[]string{"--peer", "nss"}, exitUnavailable, "build.sh has not built the program of nss"},
		"no such stack":      {[]string{"--peer", "mint"}, exitUsage, "there is no stack mint"},
		"no case":            {[]string{"--filter", "nothing"}, exitUsage, "choose no case"},
		"a list":             {[]string{"--list", "--filter", "attls-attls"}, exitOK, "attls-attls/TLS_AES_256_GCM_SHA384/cut/server"},
		"no file":            {[]string{"--filter", "attls-attls", "--json", filepath.Join(nowhere, "a", "b")}, exitUnavailable, "no such file"},
		"no time":            {[]string{"--timeout", "0s"}, exitUsage, "--timeout 0s"},
	} {
		code, stdout, stderr := command(t, append([]string{"conform", "authenticators"}, test.args...)...)
		if code != test.code || !strings.Contains(stdout+stderr, test.want) {
			t.Errorf("%s: exit code %d, not %d: %s%s", name, code, test.code, stdout, stderr)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), `"schema": "attls-authenticators/1"`) {
		t.Errorf("%v, %.200s", err, text)
	}
}
