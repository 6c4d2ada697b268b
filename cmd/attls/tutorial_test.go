package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// runAsCommand makes the test binary the command attls, for documents whose
// commands are run by a shell.
const runAsCommand = "ATTLS_TEST_RUN_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(runAsCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// varies is what differs from run to run in the output of a command, and how many
// cases a grid has, to which every new fault adds.
var varies = regexp.MustCompile(`in [0-9.]+ s\b|\d+ cases\b|mine( +\d+){4}\b|\b[0-9a-f]{16,}(…[0-9a-f]{8})?\b`)

// TestTutorial runs every command of docs/profiles.md, in its order and in one
// directory, and compares what it prints. A line … in the document stands for any
// number of lines. The file that the document edits is the one in testdata.
func TestTutorial(t *testing.T) {
	if _, err := exec.LookPath("sed"); err != nil {
		t.Skip("the commands of the document need sed")
	}
	blob, err := os.ReadFile("../../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	mine, err := os.ReadFile("testdata/mine.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(blob)
	if !strings.Contains(doc, "```yaml\n"+string(mine)+"```\n") {
		t.Error("the file in the document is not testdata/mine.yaml")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "attls")); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	commands := 0
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(doc, -1) {
		for _, part := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			line, want, _ := strings.Cut(part, "\n")
			c := exec.Command("sh", "-c", "exec 2>&1; "+line)
			c.Dir = dir
			c.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), runAsCommand+"=1", "COLUMNS=")
			out, _ := c.Output()
			if !matches(string(out), want) {
				t.Errorf("$ %s\n%s\nthe document has\n%s", line, out, want)
			}
			commands++
			if strings.HasPrefix(line, "attls profile new ") { // what the reader edits next
				if err := os.WriteFile(filepath.Join(dir, "mine.yaml"), mine, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if commands < 10 {
		t.Errorf("%d commands", commands)
	}
}

// matches compares output with that of a document, where … stands for lines.
func matches(got, want string) bool {
	got, want = varies.ReplaceAllString(strings.TrimSpace(got), "#"), varies.ReplaceAllString(strings.TrimSpace(want), "#")
	var pattern strings.Builder
	for _, l := range strings.Split(want, "\n") {
		if strings.TrimSpace(l) == "…" {
			pattern.WriteString(`(.*\n)*`)
		} else {
			pattern.WriteString(regexp.QuoteMeta(l) + `\n`)
		}
	}
	return regexp.MustCompile(`^` + pattern.String() + `$`).MatchString(got + "\n")
}

func TestMatches(t *testing.T) {
	for _, w := range []struct {
		got, want string
		ok        bool
	}{
		{"a\nb\nc\n", "a\n…\nc", true}, {"a\nc\n", "a\n…\nc", true}, {"a\nb\n", "a\n…\nc", false}, {"a\nb", "a", false},
		{"79 cases, all, in 2.2 s", "80 cases, all, in 3.0 s", true}, {"80 cases, one, in 2.2 s", "80 cases, all, in 2.2 s", false},
		{" mine 1 2 3 4 0", " mine 1 2 3 5 0", true}, {" mine 1 2 3 4 1", " mine 1 2 3 4 0", false},
	} {
		if matches(w.got, w.want) != w.ok {
			t.Errorf("%q, %q: %v", w.got, w.want, !w.ok)
		}
	}
}
