package campaign

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"attls"
	"attls/conformance/claims"
)

const mbedtlsDirectory = "../../conformance/mbedtls"

// TestStackBugsAreThere: table, numbers of the program and places agree, and each bug that a
// peer can see has an input.
func TestStackBugsAreThere(t *testing.T) {
	bugs, err := StackBugs()
	if err != nil {
		t.Fatal(err)
	}
	header, err := os.ReadFile(filepath.Join(mbedtlsDirectory, "peer/planted.h"))
	if err != nil {
		t.Fatal(err)
	}
	patch, err := os.ReadFile(filepath.Join(mbedtlsDirectory, "planted/0001-library.patch"))
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]string{}
	for _, part := range strings.Split(string(patch), "\n+++ b/")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		places[name] = text
	}
	numbers := map[string]int{}
	for _, m := range regexp.MustCompile(`(PLANTED_[A-Z0-9_]+) = (\d+),`).FindAllStringSubmatch(string(header), -1) {
		numbers[m[1]], _ = strconv.Atoi(m[2])
	}
	laws := Laws()
	inputs := plantedInputs(t)
	for i := range bugs {
		b := &bugs[i]
		name := "PLANTED_" + strings.ToUpper(strings.ReplaceAll(b.Name, "-", "_"))
		if numbers[name] != b.Number {
			t.Errorf("%s is %d in planted.h, and %d in the table", name, numbers[name], b.Number)
		}
		delete(numbers, name)
		text := places[b.Place]
		if strings.HasPrefix(b.Place, "peer/") {
			source, err := os.ReadFile(filepath.Join(mbedtlsDirectory, b.Place))
			if err != nil {
				t.Error(err)
			}
			text = string(source)
		}
		if !strings.Contains(text, "planted("+name+")") {
			t.Errorf("%s is not planted in %s", name, b.Place)
		}
		if b.Law != "" && !slices.ContainsFunc(laws, func(l [2]string) bool { return l[0] == b.Law }) {
			t.Errorf("%s: there is no law %q", b.Name, b.Law)
		}
		if _, ok := inputs[b.Name]; b.Hidden == "" && !ok {
			t.Errorf("%s has no input", b.Name)
		}
		delete(inputs, b.Name)
	}
	if len(numbers) > 0 || len(inputs) > 0 {
		t.Errorf("planted.h has %v, and testdata/planted.yaml inputs for %v, which the table has not", numbers,
			slices.Sorted(maps.Keys(inputs)))
	}
	if visible := slices.DeleteFunc(bugs, func(b StackBug) bool { return b.Hidden != "" }); len(visible) < 40 {
		t.Errorf("%d bugs that a peer can see", len(visible))
	}
}

// TestStackBugsAreRead: what is wrong with a table is said.
func TestStackBugsAreRead(t *testing.T) {
	const good = "{number: 1, name: a, side: client, kind: memory, law: crash, place: p, wrong: w}"
	for _, x := range []struct{ bugs, says string }{
		{"[" + good + "]", ""},
		{"[" + good + ", " + good + "]", "twice"},
		{"[{number: 1, name: a, side: both, kind: memory, law: crash, place: p, wrong: w}]", "client or server"},
		{"[{number: 1, name: a, side: client, kind: other, law: crash, place: p, wrong: w}]", "kind"},
		{"[{number: 1, name: a, side: client, kind: memory, place: p, wrong: w}]", "reason"},
		{"[{name: a, side: client, kind: memory, law: crash, place: p, wrong: w}]", "missing"},
		{"[{more: 1}]", "more"},
	} {
		_, err := readStackBugs([]byte("format: " + PlantedFormat + "\nbugs: " + x.bugs + "\n"))
		if (err == nil) != (x.says == "") || err != nil && !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", x.bugs, err)
		}
	}
	if _, err := readStackBugs([]byte("format: attls-fuzz-planted 0\nbugs: []\n")); err == nil {
		t.Error("another version is read")
	}
}

// plantedInput is what triggers a planted bug: a variant of the target, and edits.
type plantedInput struct {
	Variant int    `yaml:"variant"`
	Edits   []Edit `yaml:"edits"`
}

func plantedInputs(t *testing.T) map[string]plantedInput {
	t.Helper()
	b, err := os.ReadFile("testdata/planted.yaml")
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string]plantedInput{}
	if err := yaml.Unmarshal(b, &inputs); err != nil {
		t.Fatal(err)
	}
	return inputs
}

// TestStackBugsAreTriggered: the input of each bug has another end in the program with the bug
// than in the one that was built without any, and breaks a law there only.
func TestStackBugsAreTriggered(t *testing.T) {
	plain, planted := stackProgram(t, false), stackProgram(t, true)
	bugs, err := StackBugs()
	if err != nil {
		t.Fatal(err)
	}
	inputs := plantedInputs(t)
	benches, sound := map[string]*stackBench{}, map[string]*stackProcess{} // which are not started again
	for _, target := range StackTargets() {
		if benches[target], err = newStackBench(target, t.TempDir()); err != nil {
			t.Fatal(err)
		}
		if sound[target], err = startStack(plain, benches[target].dir, 0); err != nil {
			t.Fatal(err)
		}
		defer sound[target].stop()
	}
	for i := range bugs {
		b := &bugs[i]
		x, ok := inputs[b.Name]
		if !ok || b.Hidden != "" {
			continue
		}
		bench := benches[b.Target()]
		in := bench.input(x.Variant)
		in.Edits = x.Edits
		if err := in.check(); err != nil {
			t.Errorf("%s: %v", b.Name, err)
			continue
		}
		without := observed(t, bench, sound[b.Target()], in)
		p, err := startStack(planted, bench.dir, b.Number)
		if err != nil {
			t.Fatal(err)
		}
		with := observed(t, bench, p, in)
		p.stop()
		if !strings.Contains(with, b.Law+": ") {
			t.Errorf("%s: %s is not broken, but %q; the build without bugs: %q", b.Name, b.Law, with, without)
		}
		if strings.Contains(without, ": ") {
			t.Errorf("%s: without the bug, %q", b.Name, without)
		}
	}
}

// observed is how a connection ended: the laws that were broken and are not known, and the
// program's own word.
func observed(t *testing.T, bench *stackBench, p *stackProcess, in *Input) string {
	t.Helper()
	list, c := bench.over(p, in)
	var text []string
	for i := range list {
		if list[i].known(in) == "" {
			text = append(text, list[i].Error())
		}
	}
	return strings.Join(append(text, stateOf(c)), "; ")
}

func stateOf(c *claims.Claims) string {
	if c == nil {
		return "ended"
	}
	if c.Error != nil {
		return fmt.Sprintf("%s, %s", c.State, c.Error.Failure)
	}
	return c.State
}

var _ = attls.RoleClient
