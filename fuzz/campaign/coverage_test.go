package campaign

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// llvmExport is what llvm-cov 14 exports of two files, without what is not read.
const llvmExport = `{"data":[{"files":[{"filename":"/src/library/ssl_tls.c","summary":{"lines":{"count":40,"covered":30,"percent":75}}},` +
	`{"filename":"/peer/end.c","summary":{"lines":{"count":10,"covered":0}}}]}],"type":"llvm.coverage.json.export","version":"2.0.1"}`

// measurements writes files into the directory of a campaign.
func measurements(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestCoverage: the measurements of both sides are read, over time, and the last one by its parts.
func TestCoverage(t *testing.T) {
	dir := measurements(t, map[string]string{
		"c-10.json": llvmExport,
		"c-9.json":  strings.Replace(llvmExport, `"covered":30`, `"covered":5`, 1),
		"engine-60.txt": "mode: atomic\nattls/record/reader.go:1.2,3.4 3 0\nattls/record/reader.go:1.2,3.4 3 9\n" +
			"attls/record/writer.go:1.2,3.4 2 0\nattls/handshake/alert.go:5.1,6.2 4 1\n",
		"notes": "not a measurement",
	})
	list, unread, err := ReadCoverage(dir)
	if err != nil || len(unread) > 0 || len(list) != 2 {
		t.Fatalf("%+v, %v, %v", list, unread, err)
	}
	c, engine := list[0], list[1]
	if c.Side != "c" || c.Units != 50 || c.Runs != 30 || len(c.Growth) != 2 || c.Growth[0] != (Point{9, 5}) ||
		c.Parts[0].Name != "library/ssl_tls.c" || c.Parts[0].Percent() != 75 {
		t.Errorf("%+v", c)
	}
	if engine.Side != "engine" || engine.Units != 9 || engine.Runs != 7 || engine.Parts[1] != (CoveredPart{"attls/record", 5, 3}) {
		t.Errorf("%+v", engine)
	}
	if list, unread, err := ReadCoverage(filepath.Join(dir, "none")); err != nil || len(list)+len(unread) > 0 {
		t.Errorf("%v, %v, %v", list, unread, err)
	}
}

// TestHostileCoverage: a file that does not hold a measurement is refused, with its name and the reason.
func TestHostileCoverage(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "line 1",
		"mode: set\nwhat":                    "line 2",
		"mode: set\n: 1 1":                   "line 2",
		"mode: set\na.go:1.1,2.2 -1 1":       "line 2",
		"mode: set\na.go:1.1,2.2 9999999999": "line 2",
	} {
		_, unread, err := ReadCoverage(measurements(t, map[string]string{"go-1.txt": text}))
		if err != nil || len(unread) != 1 || !strings.Contains(unread[0], want) {
			t.Errorf("%q: %v, %v", text, unread, err)
		}
	}
	for text, want := range map[string]string{
		"":               "JSON",
		"{}":             "llvm.coverage.json.export",
		`{"type":"\u1b"`: "c-1.json",
		strings.Replace(llvmExport, `"covered":30`, `"covered":41`, 1): "41 of 40",
		strings.Replace(llvmExport, `"count":40`, `"count":-1`, 1):     "of -1",
	} {
		_, unread, err := ReadCoverage(measurements(t, map[string]string{"c-1.json": text}))
		if err != nil || len(unread) != 1 || !strings.Contains(unread[0], want) {
			t.Errorf("%q: %v, %v", text, unread, err)
		}
	}
}

// TestCoverageOnThePage: the page of a campaign has both sides, and the rules.
func TestCoverageOnThePage(t *testing.T) {
	dir := t.TempDir()
	r, err := Run(t.Context(), Options{Targets: []*Target{target(t, TLS)}, Executions: 20, Seed: 1, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WriteSummary(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(measurements(t, map[string]string{"c-1.json": llvmExport, "c-2.json": llvmExport, "engine-1.txt": "nothing"}),
		filepath.Join(dir, "coverage")); err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := WriteHTML(&page, dir); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Code that was run, c: 30 of 50 lines (60 %)", "library/ssl_tls.c", "code that was run over time",
		"engine-1.txt: line 1", "how far the campaign came", "refused something"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
