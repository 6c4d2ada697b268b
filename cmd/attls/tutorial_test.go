package main

import (
	"fmt"
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
	if way := os.Getenv(hostilePeer); way != "" {
		fmt.Println(serveHostile(way))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// varies is what differs from run to run in the output of a command, and how many
// cases a grid has, to which every new fault adds.
var varies = regexp.MustCompile(`in [0-9.]+ s\b|\d+ cases\b|(mine|attestation-\d+)( +\d+){4}\b|\b[0-9a-f]{16,}(…[0-9a-f]{8})?\b`)

// TestTutorial runs every command of docs/profiles.md, in its order and in one
// directory, and compares what it prints. A line … in the document means any
// number of lines. The file that the document edits is the one in testdata.
func TestTutorial(t *testing.T) {
	mine, err := os.ReadFile("testdata/mine.yaml")
	if err != nil {
		t.Fatal(err)
	}
	timed, err := os.ReadFile("../../extensions/profile/testdata/changed/timed-evidence.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc := document(t, "docs/profiles.md")
	for name, text := range map[string][]byte{"testdata/mine.yaml": mine, "timed-evidence.yaml": timed} {
		if !strings.Contains(doc, "```yaml\n"+string(text)+"```\n") {
			t.Errorf("the document does not show %s", name)
		}
	}
	commands := runDocument(t, doc, func(dir, line string) {
		if strings.HasPrefix(line, "attls profile new ") { // what the reader edits next
			for name, text := range map[string][]byte{"mine.yaml": mine, "timed.yaml": timed} {
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	if commands < 10 {
		t.Errorf("%d commands", commands)
	}
}

// TestREADMEAndTour run the commands that README.md and docs/tour.md show with
// their output.
func TestREADMEAndTour(t *testing.T) {
	for name, least := range map[string]int{"README.md": 3, "docs/tour.md": 7} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			if n := runDocument(t, document(t, name), nil); n < least {
				t.Errorf("%d commands", n)
			}
		})
	}
}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// refusal is a line of a document that shows how a command failed. All others succeed,
// whatever a line … leaves out.
var refusal = regexp.MustCompile(`(?m)^attls: `)

// runDocument runs the commands of a document in a directory of their own, compares
// what they print, and returns how many there were. after is called behind each.
func runDocument(t *testing.T, doc string, after func(dir, line string)) (commands int) {
	t.Helper()
	if _, err := exec.LookPath("sed"); err != nil {
		t.Skip("the commands of the documents need sed")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "attls")); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(doc, -1) {
		for _, part := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			line, want, _ := strings.Cut(part, "\n")
			c := exec.Command("sh", "-c", "exec 2>&1; "+line)
			c.Dir = dir
			c.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), runAsCommand+"=1", "COLUMNS=")
			out, err := c.Output()
			if err != nil && !refusal.MatchString(want) {
				t.Errorf("$ %s\n%s\n%v, and the document shows no refusal", line, out, err)
			}
			if !matches(string(out), want) {
				t.Errorf("$ %s\n%s\nthe document has\n%s", line, out, want)
			}
			commands++
			if after != nil {
				after(dir, line)
			}
		}
	}
	return commands
}

// matches compares output with that of a document, where … stands for lines.
func matches(got, want string) bool {
	got = progressLine.ReplaceAllString(strings.ReplaceAll(got, "\r", "\n"), "")
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

// progressLine is what a command says of its progress once it takes long.
var progressLine = regexp.MustCompile(`(?m)^\d+/\d+, .*\n`)
