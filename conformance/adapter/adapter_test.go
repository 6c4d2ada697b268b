package adapter

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
				t.Errorf("%s: it does not hold in %s", d.Place(), d.First)
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
	conform := func(text string) string { return sound + "conform:\n  client: {command: [\"${p}\"]}\n  " + text + "\n" }
	for name, w := range map[string]struct{ text, says string }{
		"a variable of conform": {strings.Replace(sound, `"${p}"`, `"${suite}"`, 1), `f:3:20: no variable or program is called "suite"`},
		"conform alone":         {"adapter: x\nconform: {}\n", "f:2:10: conform needs client or server"},
		"types in conform":      {sound + "conform: {client: {command: [a], types: b}}\n", `f:4:34: client has no key "types"`},
		"unseen":                {"adapter: x\nclient: {command: [a], unseen: [hello]}\n", `f:2:33: no message is called "hello"`},
		"unseen in conform":     {sound + "conform: {client: {command: [a], unseen: []}}\n", `client has no key "unseen"`},
		"never_asks in conform": {sound + "conform: {server: {never_asks: true}}\n", `server has no key "never_asks"`},
		"a step":                {sound + "conform: {client: {command: [a], talk: [wait]}}\n", `f:4:41: "wait" is not a step`},
		"a step of two":         {sound + "conform: {client: {command: [a], talk: [{type: a, await: b}]}}\n", "f:4:41: a step is type, or await"},
		"too many steps":        {sound + "conform: {client: {command: [a], talk: [" + strings.Repeat("end, ", 60) + "]}}\n", "talk has more than 50 steps"},
		"a limit without why":   {conform("limits: [{roles: [client]}]"), "f:6:12: a limit needs why"},
		"a limit's group":       {conform("limits: [{why: no, groups: [P-256]}]"), `f:6:31: "P-256" is not known among groups`},
		"a limit's release":     {conform("limits: [{why: no, before: new}]"), "f:6:30: before must be a version"},
		"a claim's pattern":     {conform("reads: {suite: abc}"), "f:6:18: the pattern of suite has no group"},
		"an unknown claim":      {conform("reads: {colour: (abc)}"), `f:6:11: reads has no key "colour"`},
		"messages":              {conform("reads: {messages: {head: a, octets: (b)}}"), "has neither a group called sent"},
		"close_notify":          {conform("reads: {close_notify: true}"), "close_notify is seen in messages"},
		"names":                 {sound + "names: {groups: {P-256: a}}\n", `f:4:18: "P-256" is not one of IANA's groups`},
		"no name at all":        {sound + "names: {groups: {x25519: []}}\n", "f:4:26: x25519 has no name"},
		"tried":                 {sound + "tried: ['2.0', '1.9']\n", "f:4:16: 1.9 is not newer than 2.0"},
		"named":                 {sound + "named: '${release} x'\n", "f:4:8: named is a name that may hold"},
		"each":                  {conform("server: {command: [a, {each: suite, add: [b]}], listens: a}"), `"suite" is not a list that is known here`},
		"each elsewhere":        {"adapter: x\nclient: {command: [a, {each: groups, add: [b]}]}\n", `f:2:30: "groups" is not a list that is known here`},
		"join and when":         {"adapter: x\nclient: {command: [a, {join: [b], when: role}]}\n", "f:2:23: a part of a command is when and add"},
		"a release compared":    {"adapter: x\nclient: {command: [a, {when: role>=3, add: [b]}]}\n", "f:2:30: \"role>=3\": >= compares version"},
		"a base":                {"adapter: x\nbase: nothing\n", `f:2:7: no adapter that comes with attls is called "nothing"`},
		"a base elsewhere":      {"adapter: x\nbase: ../openssl\n", "f:2:7: base is a letter and up to 63"},
		"the name of the base":  {"base: openssl\n", "f:1:1: the key adapter is missing"},
		"faults without shows":  {sound + "deviations: [{does: x, faults: [a]}]\n", "f:4:14: a deviation in faults shows"},
		"shows":                 {sound + "deviations: [{does: x, faults: [a], shows: nothing}]\n", `f:4:44: shows is accepted, no alert`},
		"empty":                 {"", "f:1:1: it is empty"},
		"no mapping":            {"- a\n", "f:1:1: an adapter must be a mapping"},
		"syntax":                {"adapter: [\n", "f:"},
		"two documents":         {sound + "---\na: b\n", "f:4:1: a second document"},
		"no name":               {"programs: {p: sh}\nclient: {command: [\"${p}\"]}\n", "f:1:1: the key adapter is missing"},
		"unknown key":           {sound + "clint: {}\n", `f:4:1: an adapter has no key "clint"`},
		"key twice":             {"adapter: x\nadapter: y\n", "f:"},
		"neither":               {"adapter: x\n", "f:1:1: the stack is neither client nor server"},
		"both":                  {sound + "built_in: x\n", "f:1:1: a stack with built_in"},
		"placeholder":           {strings.Replace(sound, `"${p}"`, `"${p}", "-${q}"`, 1), `f:3:28: no variable or program is called "q"`},
		"open placeholder":      {strings.Replace(sound, `"${p}"`, `"${p"`, 1), "f:3:20: a placeholder without its end"},
		"pattern":               {strings.Replace(sound, `(\d+)`, `(\d+`, 1), "f:3:38: listens: error parsing regexp"},
		"no listens":            {"adapter: x\nserver: {command: [a]}\n", "f:2:9: a server needs listens"},
		"listens of a client":   {"adapter: x\nclient: {command: [a], listens: b}\n", `f:2:24: client has no key "listens"`},
		"condition":             {"adapter: x\nclient: {command: [a, {when: nothing, add: [b]}]}\n", `f:2:30: no variable is called "nothing"`},
		"condition's form":      {"adapter: x\nclient: {command: [a, {when: 'a b', add: [b]}]}\n", "f:2:30: \"a b\" is not a condition"},
		"begins with one":       {"adapter: x\nclient: {command: [{when: role, add: [b]}]}\n", "f:2:19: command must begin with a program"},
		"a program's name":      {"adapter: x\nprograms: {port: sh}\n", "f:2:12: port is the name of a variable"},
		"an alias":              {"adapter: &a x\nabout: *a\n", "f:2:8: about must be a text"},
		"a list as text":        {"adapter: [x]\n", "f:1:10: adapter must be a text"},
		"deviation":             {sound + "deviations: [{does: x}]\n", "f:4:14: a deviation needs does, and placement or faults"},
		"release":               {sound + "deviations: [{does: x, first: new, last: '2', placement: {}}]\n", "f:4:31: first must be a version"},
		"half a range":          {sound + "deviations: [{does: x, first: '1', placement: {}}]\n", "f:4:14: a deviation has first and last"},
		"message":               {sound + "deviations: [{does: x, placement: {messages: [hello]}}]\n", `f:4:47: no message is called "hello"`},
		"kind":                  {sound + "deviations: [{does: x, placement: {kinds: [bad]}}]\n", `f:4:44: "bad" is not one of`},
		"too deep":              {"adapter: x\nclient: {command: [a, " + strings.Repeat("{when: role, add: [", 6) + "b" + strings.Repeat("]}", 6) + "]}\n", "conditions in more than"},
		"too many words":        {"adapter: x\nclient: {command: [" + strings.Repeat("a, ", 500) + "a]}\n", "more than 400 words"},
		"an escape in a value":  {"adapter: \"\\e[2J\"\n", "f:1:10: adapter is a letter"},
		"a file elsewhere":      {sound + "files: {../x: y}\n", `f:4:9: the name of a file has letters`},
		"repeats of a server":   {"adapter: x\nserver: {command: [a], listens: b, repeats: true}\n", `f:2:36: server has no key "repeats"`},
		"too large":             {strings.Repeat("#", maxFile+1), "f: more than"},
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

// TestParts: a list, joined to one argument, in the names that the stack has for its items;
// conditions compare what IANA calls things, and releases.
func TestParts(t *testing.T) {
	a, err := Parse("f", []byte(`adapter: x
names: {groups: {secp256r1: [P-256, prime256v1]}, suites: {TLS_AES_128_GCM_SHA256: A128}}
conform:
  client:
    command: [p, {join: [a, {each: groups, add: [":+${item}"]}, {when: suite=TLS_AES_128_GCM_SHA256, add: [":${suite}"]}]},
      {when: groups, add: [-g, {join: [{each: groups, add: ["${item}"]}], with: ","}]}, {when: version>=3.2, add: [new]},
      {when: "!version>=3.10", add: [old]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	e := a.Conform.Ends[attls.RoleClient]
	in := scope{values: Values{"groups": "x25519,secp256r1", "suite": "TLS_AES_128_GCM_SHA256", "version": "3.4.1"}, names: &a.Names}
	if got, want := in.expand(e.Command), []string{"p", "a:+x25519:+P-256:A128", "-g", "x25519,P-256", "new", "old"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	in.values = Values{}
	if got, want := in.expand(e.Command), []string{"p", "a", "old"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for variable, want := range map[string]bool{"groups": true, "suite": true, "version": true, "alpn": false} {
		if e.Mentions(variable) != want {
			t.Errorf("%s: mentioned is %v", variable, !want)
		}
	}
	if got := Read(a.Names.Groups, "prime256v1"); got != "secp256r1" {
		t.Error(got)
	}
}

// TestBase: an adapter with a base has what it does not say itself.
func TestBase(t *testing.T) {
	a, err := Parse("f", []byte("adapter: mine\nbase: openssl\nprograms: {openssl: /nonexistent/openssl}\ndeviations: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Name != "mine" || len(a.Programs) != 1 || a.Programs[0].Path != "/nonexistent/openssl" || a.Conform == nil || a.Ends[0] == nil ||
		len(a.Deviations) != 0 || len(a.Tried) == 0 {
		t.Errorf("%+v", a)
	}
}

// TestFeature: of a stack of an unknown release nothing is said that holds in some only.
func TestFeature(t *testing.T) {
	for name, w := range map[string]struct {
		f    Feature
		w    Wanted
		want bool
	}{
		"any":                 {Feature{}, Wanted{}, true},
		"a role":              {Feature{Roles: []attls.Role{attls.RoleServer}}, Wanted{Role: attls.RoleClient}, false},
		"a group":             {Feature{Groups: []string{"x448"}}, Wanted{Group: "x448"}, true},
		"no group":            {Feature{Groups: []string{"x448"}}, Wanted{}, false},
		"two features":        {Feature{With: []string{"cookie", "alpn"}}, Wanted{Has: []string{"cookie"}}, false},
		"before":              {Feature{Before: "3.2"}, Wanted{Version: "3.0.17"}, true},
		"not before":          {Feature{Before: "3.2"}, Wanted{Version: "3.2.0"}, false},
		"before, and unknown": {Feature{Before: "3.2"}, Wanted{}, false},
		"since":               {Feature{Since: "3.2"}, Wanted{Version: "3.10"}, true},
		"since, and unknown":  {Feature{Since: "3.2"}, Wanted{}, false},
	} {
		if got := w.f.Matches(&w.w); got != w.want {
			t.Errorf("%s: %v", name, got)
		}
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

// TestEnvironment: every program has the file's, also that which says the version, and an end's counts
// before it.
func TestEnvironment(t *testing.T) {
	a, err := Parse("f", []byte(`adapter: x
programs: {p: sh}
environment: {ATTLS_TEST_A: "7.1", ATTLS_TEST_B: "in ${p}"}
version: {command: ["${p}", -c, "echo v $ATTLS_TEST_A"], is: 'v (\S+)'}
prepare: [["${p}", -c, 'echo "$ATTLS_TEST_B" > "${directory}/b"']]
client: {command: ["${p}", -c, 'echo "$ATTLS_TEST_A $(cat b)"'], environment: {ATTLS_TEST_A: mine}}
`))
	if err != nil {
		t.Fatal(err)
	}
	s := a.Find(t.Context(), nil)
	if s.Version != "7.1" {
		t.Fatalf("version %q, %s", s.Version, s.Missing)
	}
	values := Values{"directory": t.TempDir()}
	if err := s.Prepared(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	r, err := s.Connect(t.Context(), values)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	if ended, _ := r.Ended(t.Context(), time.Minute); !ended || !strings.HasPrefix(string(r.Printed()), "mine in ") ||
		!strings.Contains(string(r.Printed()), "sh") {
		t.Errorf("%q", r.Printed())
	}
}
