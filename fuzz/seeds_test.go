package fuzz

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestWriteSeeds writes the seeds of the targets that take octets alone, one file each, for
// fuzzers that do not call f.Add.
func TestWriteSeeds(t *testing.T) {
	dir := os.Getenv("ATTLS_WRITE_SEEDS")
	if dir == "" {
		t.Skip("ATTLS_WRITE_SEEDS names no directory")
	}
	messages, _, _ := examples(t)
	_, spki := keyOnCurve()
	keys := [][]byte{spki}
	for _, c := range credentials {
		keys = append(keys, c.Chain[0])
	}
	for name, list := range map[string][][]byte{"FuzzMessage": messages, "FuzzKey": keys} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for i, b := range list {
			if err := os.WriteFile(filepath.Join(at, fmt.Sprintf("%04d", i)), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
