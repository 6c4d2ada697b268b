package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMan: each command that help lists has a page, and the pages are the same each time.
func TestMan(t *testing.T) {
	dirs := [2]string{filepath.Join(t.TempDir(), "new", "man1"), t.TempDir()}
	for _, dir := range dirs {
		if code, _, stderr := command(t, "man", "--dir", dir); code != exitOK {
			t.Fatalf("exit code %d, %s", code, stderr)
		}
	}
	for _, c := range rootCommand().Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		name := "attls-" + c.Name() + ".1"
		page, err := os.ReadFile(filepath.Join(dirs[0], name))
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(page), c.Short) {
			t.Errorf("%s does not say %q", name, c.Short)
		}
		if again, _ := os.ReadFile(filepath.Join(dirs[1], name)); string(again) != string(page) {
			t.Errorf("%s differs the second time", name)
		}
	}
	t.Run("without a directory", func(t *testing.T) {
		if code, _, stderr := command(t, "man"); code != exitUsage || !strings.Contains(stderr, "--dir") {
			t.Errorf("exit code %d, %s", code, stderr)
		}
	})
	t.Run("a file in place of the directory", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := command(t, "man", "--dir", file); code != exitUnavailable || !strings.Contains(stderr, file) {
			t.Errorf("exit code %d, %s", code, stderr)
		}
	})
}
