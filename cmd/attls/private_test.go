package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFilesWithSecrets: what holds secrets can be read by its owner only, whatever
// was there before.
func TestFilesWithSecrets(t *testing.T) {
	s := start(t, "--profile", "none", "--www")
	for flag, args := range map[string][]string{
		"--keylog":   {"client", "-q", "--profile", "none", "--http-get", "/", s.address},
		"--pcap":     {"client", "-q", "--profile", "none", "--http-get", "/", s.address},
		"--sess-out": {"client", "-q", "--profile", "none", "--http-get", "/", s.address},
		"--record":   {"demo", "-q"},
		"--key-out":  {"evidence", "make", "--model", "evidence", "--json"},
	} {
		dir := t.TempDir()
		file, link := filepath.Join(dir, "f"), filepath.Join(dir, "link")
		for _, name := range []string{file, link} {
			if err := os.WriteFile(file, nil, 0o666); err != nil {
				t.Fatal(err)
			}
			os.Chmod(file, 0o666)
			os.Symlink("f", link)
			if code, _, stderr := command(t, append(args, flag, name)...); code != exitOK {
				t.Fatalf("%s: exit code %d, %s", flag, code, stderr)
			}
			if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 || info.Size() == 0 {
				t.Errorf("%s: %v, %v", flag, info, err)
			}
		}
	}
	dir := t.TempDir()
	if code, _, stderr := command(t, "evidence", "init", dir); code != exitOK {
		t.Fatal(stderr)
	}
	for _, name := range []string{"attester.yaml", "verifier.yaml"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
