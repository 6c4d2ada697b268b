package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"attls/conformance/peers"
)

const repository = "../.."

// instruction is one instruction of a container image file.
type instruction struct {
	line      int // on which it begins
	name, arg string
}

// instructions reads an image file: comments and empty lines go, a line that ends with
// a backslash goes on in the next one.
func instructions(text string) (list []instruction) {
	begun, whole := 0, ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if whole == "" {
			begun = i + 1
		}
		if part, more := strings.CutSuffix(line, "\\"); more {
			whole += part
			continue
		}
		name, arg, _ := strings.Cut(whole+line, " ")
		list, whole = append(list, instruction{begun, strings.ToUpper(name), strings.TrimSpace(arg)}), ""
	}
	return list
}

// exactImage is a name with a version of at least two numbers or with a digest.
var exactImage = regexp.MustCompile(`^[a-z0-9./-]+(:v?\d+\.\d+[a-z0-9.-]*)?(@sha256:[0-9a-f]{64})?$`)

// imageLinter knows what was said so far.
type imageLinter struct {
	tree     fs.FS // that is copied from
	stages   []string
	user     string          // of the last stage
	programs map[string]bool // that were put into the image or a stage, by their base names
	problems []string
}

// lintImage reports what is wrong with an image file, by line. The rules are those of
// hadolint and of Docker's own build checks that concern this project.
func lintImage(tree fs.FS, text string) []string {
	l := &imageLinter{tree: tree, programs: map[string]bool{}}
	list := instructions(text)
	for _, i := range list {
		for _, problem := range l.check(i) {
			l.problems = append(l.problems, fmt.Sprintf("line %d: %s: %s", i.line, i.name, problem))
		}
	}
	if len(list) == 0 || list[0].name != "FROM" && list[0].name != "ARG" {
		l.problems = append(l.problems, "it does not begin with FROM")
	}
	if number, err := strconv.Atoi(l.user); err != nil || number == 0 {
		l.problems = append(l.problems, fmt.Sprintf("the image runs as USER %q, not as a number other than root's", l.user))
	}
	return l.problems
}

func (l *imageLinter) check(i instruction) (problems []string) {
	say := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	switch i.name {
	case "FROM":
		words := strings.Fields(i.arg)
		exact := len(words) > 0 && exactImage.MatchString(words[0]) && strings.ContainsAny(words[0], ":@")
		say(!exact && !slices.Contains(l.stages, strings.Join(words[:min(1, len(words))], "")), "the image has no exact version: %s", i.arg)
		name := strconv.Itoa(len(l.stages))
		if len(words) == 3 && strings.EqualFold(words[1], "AS") {
			name = words[2]
		}
		l.stages, l.user = append(l.stages, name), ""
	case "RUN":
		say(exec.Command("sh", "-n", "-c", i.arg).Run() != nil, "the shell does not read it")
		say(regexp.MustCompile(`\b(sudo|apt)\s`).MatchString(i.arg), "sudo, or apt in place of apt-get")
		say(regexp.MustCompile(`\|\s*(ba)?sh\b`).MatchString(i.arg), "it runs what it fetches")
		say(regexp.MustCompile(`^cd\s`).MatchString(i.arg), "cd in place of WORKDIR")
		if strings.Contains(i.arg, "apt-get install") {
			say(!strings.Contains(i.arg, "apt-get update &&"), "apt-get install without an update in the same step")
			say(!regexp.MustCompile(`apt-get install (.* )?-y\b`).MatchString(i.arg), "apt-get install without -y waits for an answer")
			say(!strings.Contains(i.arg, "--no-install-recommends"), "apt-get install without --no-install-recommends")
			say(!strings.Contains(i.arg, "rm -rf /var/lib/apt/lists/*"), "the lists of packages stay in the layer")
		}
		for _, m := range regexp.MustCompile(`/out/([a-z-]+)`).FindAllStringSubmatch(i.arg, -1) {
			l.programs[m[1]] = true
		}
	case "COPY":
		var sources []string
		for _, word := range strings.Fields(i.arg) {
			if from, ok := strings.CutPrefix(word, "--from="); ok {
				say(!slices.Contains(l.stages[:max(0, len(l.stages)-1)], from), "there is no stage %s before", from)
				return problems
			}
			sources = append(sources, word)
		}
		say(len(sources) < 2, "it has no source and destination")
		for _, source := range sources[:max(0, len(sources)-1)] {
			_, err := fs.Stat(l.tree, path.Clean(source))
			say(err != nil, "there is no %s to copy", source)
		}
	case "WORKDIR":
		say(!path.IsAbs(i.arg), "%s is not absolute", i.arg)
	case "ENV":
		for _, pair := range strings.Fields(i.arg) {
			name, value, ok := strings.Cut(pair, "=")
			say(!ok, "%s has no value", name)
			say(regexp.MustCompile(`(?i)password|secret|token`).MatchString(name), "%s looks like a secret", name)
			say(path.IsAbs(value) && !l.programs[path.Base(value)], "nothing puts %s into the image", value)
		}
	case "USER":
		l.user = i.arg
	case "ENTRYPOINT", "CMD":
		var words []string
		say(json.Unmarshal([]byte(i.arg), &words) != nil || len(words) == 0, "not a list in JSON: the program would not get signals")
		say(len(words) > 0 && !l.programs[path.Base(words[0])], "nothing puts %v into the image", words)
	case "ADD":
		say(true, "COPY does what is needed")
	case "ARG", "LABEL", "EXPOSE":
	default:
		say(true, "not an instruction that is used here")
	}
	return problems
}

func imageFile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs", "ci", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestImageFileIsLinted: the image file of docs/ci breaks no rule, and its Go is the one
// of go.mod; a file that breaks one is found.
func TestImageFileIsLinted(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	tree, text := os.DirFS(repository), imageFile(t)
	for _, problem := range lintImage(tree, text) {
		t.Error(problem)
	}
	if hadolint, err := exec.LookPath("hadolint"); err == nil {
		// DL3008 wants versions of Debian's packages, which the next update of the image would not find.
		out, err := exec.Command(hadolint, "--ignore", "DL3008", filepath.Join(repository, "docs", "ci", "Dockerfile")).CombinedOutput()
		if err != nil {
			t.Errorf("hadolint: %v\n%s", err, out)
		}
	}
	module, err := os.ReadFile(filepath.Join(repository, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(module))[1]
	if !strings.Contains(text, "FROM golang:"+version+".") {
		t.Errorf("the image is not built with Go %s", version)
	}
	for _, test := range []struct{ old, new, want string }{
		{"golang:1.26.8-trixie", "golang", "no exact version"},
		{"golang:1.26.8-trixie", "golang:latest", "no exact version"},
		{"debian:13.8-slim", "debian:13", "no exact version"},
		{"USER 1000", "USER root", `USER "root"`},
		{"USER 1000", "USER 0", `USER "0"`},
		{"USER 1000\n", "", `USER ""`},
		{"COPY . .", "COPY nowhere .", "there is no nowhere"},
		{"COPY . .", "ADD . .", "COPY does"},
		{"--from=build", "--from=other", "no stage other"},
		{" --no-install-recommends", "", "without --no-install-recommends"},
		{"install -y", "install", "without -y"},
		{"apt-get update && ", "", "without an update"},
		{" && rm -rf /var/lib/apt/lists/*", "", "the lists of packages stay"},
		{`ENTRYPOINT ["attls"]`, "ENTRYPOINT attls", "would not get signals"},
		{`ENTRYPOINT ["attls"]`, `ENTRYPOINT ["other"]`, "nothing puts [other]"},
		{"WORKDIR /src", "WORKDIR src", "not absolute"},
		{"/usr/local/bin/mbedtls-peer", "/usr/local/bin/other", "nothing puts"},
		{"RUN go build", "RUN (go build", "the shell does not read it"},
		{"RUN cp", "RUN curl https://example.org | sh; cp", "runs what it fetches"},
		{"ENV ", "MAINTAINER ", "not an instruction"},
	} {
		spoiled := strings.ReplaceAll(text, test.old, test.new)
		if spoiled == text {
			t.Errorf("%q is not in the file", test.old)
		}
		if found := strings.Join(lintImage(tree, spoiled), "\n"); !strings.Contains(found, test.want) {
			t.Errorf("%q for %q: %q", test.new, test.old, found)
		}
	}
}

// TestImageStepsRun runs the steps of the image file in a shell: apt-get and the removal
// of its lists only note that they were called, what is built goes to another directory.
func TestImageStepsRun(t *testing.T) {
	slowUnderRace(t)
	for _, tool := range []string{"sh", "git", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	if err := exec.Command("git", "-C", repository, "rev-parse", "HEAD").Run(); err != nil {
		t.Skip("the image is built from a clone, and this is none: ", err)
	}
	out, tools := t.TempDir(), t.TempDir()
	notes := filepath.Join(tools, "notes")
	for _, name := range []string{"apt-get", "rm"} {
		script := fmt.Sprintf("#!/bin/sh\necho %s \"$@\" >> '%s'\n", name, notes)
		if err := os.WriteFile(filepath.Join(tools, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ran := 0
	for _, i := range instructions(imageFile(t)) {
		if i.name != "RUN" {
			continue
		}
		environment := append(os.Environ(), "GOFLAGS=-trimpath")
		switch {
		case strings.Contains(i.arg, "apt-get"):
			environment = append(environment, "PATH="+tools+":"+os.Getenv("PATH"))
		case strings.Contains(i.arg, "mbedtls"):
			if reason := (peers.MbedTLS{Path: peers.FindMbedTLS()}).Missing(); reason != "" {
				t.Log("line ", i.line, " is not run: it would build mbedTLS: ", reason)
				continue
			}
		}
		c := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(i.arg, "/out/", out+"/"))
		c.Dir, c.Env = repository, environment
		if text, err := c.CombinedOutput(); err != nil {
			t.Fatalf("line %d: %s: %v\n%s", i.line, i.arg, err, text)
		}
		ran++
	}
	if ran < 3 {
		t.Errorf("%d steps were run", ran)
	}
	noted, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	if calls := strings.Fields(string(noted)); strings.Count(string(noted), "apt-get install") != 2 || !slices.Contains(calls, "gnutls-bin") || !slices.Contains(calls, "gcc") {
		t.Errorf("apt-get was called with\n%s", noted)
	}
	version, err := exec.Command(filepath.Join(out, "attls"), "version").CombinedOutput()
	clone, _ := os.Stat(filepath.Join(repository, ".git")) // Go does not look into a worktree of git
	if err != nil || clone != nil && clone.IsDir() && strings.Contains(string(version), "unknown") {
		t.Errorf("the image's attls says %s, %v", version, err)
	}
}
