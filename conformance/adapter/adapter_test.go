package adapter

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"attls"
)

// TestBuiltin: every file that is compiled in is right, and its name is its adapter's.
func TestBuiltin(t *testing.T) {
	list := Builtin()
	if len(list) < 6 {
		t.Errorf("%d adapters", len(list))
	}
	for _, a := range list {
		if Source(strings.ReplaceAll(a.Name, "/", "-")) == nil {
			t.Errorf("%s: its file has another name", a.Name)
		}
		for i := range a.Deviations {
			if d := &a.Deviations[i]; d.First != "" && !d.Holds(d.First) {
				t.Errorf("%s: it does not hold in %s", a.Place(d), d.First)
			}
		}
	}
}

const sound = `adapter: x
programs: {p: sh}
server: {command: ["${p}"], listens: 'at (\d+)'}
`

// TestHostileFiles: each is refused with its place.
func TestHostileFiles(t *testing.T) {
	if _, err := Parse("f", []byte(sound)); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]struct{ text, says string }{
		"empty":                {"", "f:1:1: it is empty"},
		"no mapping":           {"- a\n", "f:1:1: an adapter must be a mapping"},
		"syntax":               {"adapter: [\n", "f:"},
		"two documents":        {sound + "---\na: b\n", "f:4:1: a second document"},
		"no name":              {"programs: {p: sh}\nclient: {command: [\"${p}\"]}\n", "f:1:1: the key adapter is missing"},
		"unknown key":          {sound + "clint: {}\n", `f:4:1: an adapter has no key "clint"`},
		"key twice":            {"adapter: x\nadapter: y\n", "f:"},
		"neither":              {"adapter: x\n", "f:1:1: the stack is neither client nor server"},
		"both":                 {sound + "built_in: x\n", "f:1:1: a stack with built_in"},
		"placeholder":          {strings.Replace(sound, `"${p}"`, `"${p}", "-${q}"`, 1), `f:3:28: no variable or program is called "q"`},
		"open placeholder":     {strings.Replace(sound, `"${p}"`, `"${p"`, 1), "f:3:20: a placeholder without its end"},
		"pattern":              {strings.Replace(sound, `(\d+)`, `(\d+`, 1), "f:3:38: listens: error parsing regexp"},
		"no listens":           {"adapter: x\nserver: {command: [a]}\n", "f:2:9: a server needs listens"},
		"listens of a client":  {"adapter: x\nclient: {command: [a], listens: b}\n", `f:2:24: client has no key "listens"`},
		"condition":            {"adapter: x\nclient: {command: [a, {when: nothing, add: [b]}]}\n", `f:2:30: no variable is called "nothing"`},
		"condition's form":     {"adapter: x\nclient: {command: [a, {when: 'a b', add: [b]}]}\n", "f:2:30: \"a b\" is not a condition"},
		"begins with one":      {"adapter: x\nclient: {command: [{when: role, add: [b]}]}\n", "f:2:19: command must begin with a program"},
		"a program's name":     {"adapter: x\nprograms: {port: sh}\n", "f:2:12: port is the name of a variable"},
		"an alias":             {"adapter: &a x\nabout: *a\n", "f:2:8: about must be a text"},
		"a list as text":       {"adapter: [x]\n", "f:1:10: adapter must be a text"},
		"deviation":            {sound + "deviations: [{does: x}]\n", "f:4:14: a deviation needs does and placement"},
		"release":              {sound + "deviations: [{does: x, first: new, last: '2', placement: {}}]\n", "f:4:31: first must be a version"},
		"half a range":         {sound + "deviations: [{does: x, first: '1', placement: {}}]\n", "f:4:14: a deviation has first and last"},
		"message":              {sound + "deviations: [{does: x, placement: {messages: [hello]}}]\n", `f:4:47: no message is called "hello"`},
		"kind":                 {sound + "deviations: [{does: x, placement: {kinds: [bad]}}]\n", `f:4:44: "bad" is not one of`},
		"too deep":             {"adapter: x\nclient: {command: [a, " + strings.Repeat("{when: role, add: [", 6) + "b" + strings.Repeat("]}", 6) + "]}\n", "conditions in more than"},
		"too many words":       {"adapter: x\nclient: {command: [" + strings.Repeat("a, ", 500) + "a]}\n", "more than 400 words"},
		"an escape in a value": {"adapter: \"\\e[2J\"\n", "f:1:10: adapter is a letter"},
		"a file elsewhere":     {sound + "files: {../x: y}\n", `f:4:9: the name of a file has letters`},
		"repeats of a server":  {"adapter: x\nserver: {command: [a], listens: b, repeats: true}\n", `f:2:36: server has no key "repeats"`},
		"too large":            {strings.Repeat("#", maxFile+1), "f: more than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", []byte(w.text))
			if err == nil || !strings.HasPrefix(err.Error(), w.says) && !strings.Contains(err.Error(), w.says) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%v, want %s", err, w.says)
			}
		})
	}
}

// TestExpansion: a placeholder is one argument whatever is in it, and is filled once.
func TestExpansion(t *testing.T) {
	a, err := Parse("f", []byte(`adapter: x
programs: {p: sh}
client:
  command: ["${p}", "a=${host}", {when: keylog, add: [-k, "${keylog}"]}, {when: "!keylog", add: [none]},
    {when: role=client, add: [c, {when: role=server, add: [s]}]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	got := expand(a.Ends[attls.RoleClient].Command, Values{"p": "/bin/p"},
		Values{"host": "; rm -rf $HOME ${port}", "role": "client", "port": "1"})
	if want := []string{"/bin/p", "a=; rm -rf $HOME ${port}", "none", "c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReleases(t *testing.T) {
	d := Deviation{First: "3.0.17", Last: "3.5.9"}
	for version, want := range map[string][2]bool{
		"3.0.17": {true, true}, "3.5.9": {true, true}, "3.4.0": {true, true}, "3.0.9": {false, false},
		"3.6.0": {false, true}, "": {false, true},
	} {
		if got := [2]bool{d.Holds(version), d.Expected(version)}; got != want {
			t.Errorf("%q: %v, want %v", version, got, want)
		}
	}
	d.Mended = "3.6.2"
	if !d.Expected("3.6.1") || d.Expected("3.6.2") || d.Expected("4.0.0") {
		t.Error("the release that mends it")
	}
}

// TestMissing: a program that is not here is said to be, and none is run.
func TestMissing(t *testing.T) {
	a, err := Parse("f", []byte("adapter: x\nprograms: {p: {path: /nonexistent/p, environment: ATTLS_TEST_P}}\nclient: {command: [\"${p}\"]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s := a.Find(t.Context(), nil); !strings.Contains(s.Missing, "/nonexistent/p") {
		t.Errorf("missing: %q", s.Missing)
	}
	script := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if s := a.Find(t.Context(), map[string]string{"p": script}); s.Missing != "" {
		t.Errorf("missing: %q", s.Missing)
	}
}
