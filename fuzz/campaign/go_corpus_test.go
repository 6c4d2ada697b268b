package campaign

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"attls/internal/seeds"
)

// TestGoCorpus: a campaign writes its messages for Go's fuzzer, and takes that fuzzer's as values for edits.
// What cannot be read is named, and nothing of it is lost.
func TestGoCorpus(t *testing.T) {
	dir := t.TempDir()
	o := Options{Targets: []*Target{target(t, TLS)}, Executions: 300, Workers: 2, Seed: 5, Native: dir}
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	corpus := filepath.Join(dir, GoTarget)
	files, err := os.ReadDir(corpus)
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	marked := append([]byte{20, 0, 0, 6}, "marked"...) // a Finished
	for name, b := range map[string][]byte{
		"from-go": seeds.Marshal([]any{marked}), "damaged": []byte("no input"), "other": seeds.Marshal([]any{byte(1), marked}),
		"short": seeds.Marshal([]any{[]byte{1}}),
	} {
		if err := os.WriteFile(filepath.Join(corpus, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(corpus, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	o.Resume, o.Executions = true, 1
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"damaged", "other", "directory"} {
		if !slices.ContainsFunc(r.Unread, func(text string) bool { return strings.Contains(text, filepath.Join(corpus, name)) }) {
			t.Errorf("%s is not named: %q", name, r.Unread)
		}
	}
	if len(r.Unread) != 3 {
		t.Errorf("%q", r.Unread)
	}
	c := &campaign{o: o, report: &Report{}}
	if err := c.openNative(); err != nil || len(c.messages) < len(files)+1 {
		t.Fatal(len(c.messages), err)
	}
	w := &worker{c: c, id: 1, corpus: map[*Target]*kept{}}
	p, err := w.place(o.Targets[0])
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(p.mutator.pool.messages, func(x sample) bool { return bytes.Equal(x.raw, marked) }) {
		t.Error("a message of Go's fuzzer did not become a value for edits")
	}
	o.Native = filepath.Join(corpus, "from-go")
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file for a directory: %v", err)
	}
}
