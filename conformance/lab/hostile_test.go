package lab

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"attls/extensions/schema"
)

// placed is an error with the file, the line and the column.
var placed = regexp.MustCompile(`^mine\.yaml:\d+:\d+: `)

// TestHostileScripts gives the loader scripts that nobody would write by mistake. Each is
// refused at a place of the file, with what is wrong or what to write, and none at length.
func TestHostileScripts(t *testing.T) {
	good, err := Source("relay-leaked-key")
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, instead string) string {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("the script does not have %q", old)
		}
		return strings.Replace(string(good), old, instead, 1)
	}
	deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x, x]\n")
	for i := 1; i < 40; i++ {
		name, last := string(rune('a'+i%26))+strings.Repeat("z", i/26), string(rune('a'+(i-1)%26))+strings.Repeat("z", (i-1)/26)
		if i == 1 {
			last = "a0"
		}
		bomb.WriteString(name + "1: &" + name + " [*" + last + ", *" + last + "]\n")
	}
	for name, src := range map[string]string{
		"nothing":                      "",
		"white space":                  " \n\n",
		"null":                         "null",
		"a list":                       "[]",
		"a text":                       "attack",
		"two documents":                string(good) + "\n---\nattack: another\n",
		"no text":                      "\xff\xfe",
		"a control character":          "attack: a\x00b",
		"an alias of itself":           "attack: &a [*a]",
		"aliases of aliases":           bomb.String(),
		"an alias of a map":            change("controls:", "anchor: &x {y: z}\nmore: *x\ncontrols:"),
		"steps that are themselves":    change("steps:\n", "steps: &s\n  - open: *s\n"),
		"a merge of itself":            change("parties:\n", "parties: &p\n  <<: *p\n"),
		"lists in lists":               "steps: " + deep,
		"maps in maps":                 "steps: " + strings.Repeat("{a: ", 10000) + "b" + strings.Repeat("}", 10000),
		"too many octets":              "title: " + strings.Repeat("a", maxScript),
		"too many steps":               change("steps:\n", "steps:\n"+strings.Repeat("  - happen: two_hours_pass\n", maxSteps+1)),
		"too many steps of a control":  change("controls:\n", "controls:\n  - {name: x, when: always, must: refuse, add: ["+strings.Repeat("{happen: two_hours_pass},", maxSteps+1)+"]}\n"),
		"no steps":                     change("steps:\n  - open: relying_party", "steps: []\nunused:\n  - open: relying_party"),
		"a step that is a text":        change("  - open: relying_party", "  - open"),
		"an empty step":                change("  - open: relying_party", "  - {}"),
		"a step without an object":     change("  - open: relying_party", "  - open:"),
		"a step that is null":          change("  - open: relying_party", "  -"),
		"a number for a map":           change("parties:", "parties: 3\nunused:"),
		"a list for a text":            change("title: ", "title: [a]\nunused: "),
		"a map for a text":             change("title: ", "title: {a: b}\nunused: "),
		"a map for a list":             change("capabilities: [net, tik]", "capabilities: {net: tik}"),
		"no capabilities":              change("capabilities: [net, tik]", "capabilities: []"),
		"no attester":                  change("attester: [server, client]", "attester: []"),
		"no goals":                     change("goals:", "goals: []\nunused:"),
		"an unknown key":               change("title:", "titel:"),
		"an unknown key of a control":  change("    must: refuse", "    mst: refuse"),
		"an unknown scenario":          change("goals:", "scenarios: [\"3.9\"]\ngoals:"),
		"an unknown reading party":     change("controls:", "vary: {attester: hrr}\ncontrols:"),
		"a negative bound":             change("controls:", "bound: {measure: evidence_made, most: -1}\ncontrols:"),
		"a bound that is not a number": change("controls:", "bound: {measure: evidence_made, most: many}\ncontrols:"),
		"a huge bound":                 change("controls:", "bound: {measure: evidence_made, most: 99999999999999999999999}\ncontrols:"),
		"a bound without a measure":    change("controls:", "kind: measurement\nbound: {most: 1}\ncontrols:"),
		"a name with a slash":          change("attack: relay-leaked-key", "attack: ../../relay"),
		"an empty name":                change("attack: relay-leaked-key", "attack:"),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("mine.yaml", []byte(src))
			if err == nil {
				t.Fatalf("it is accepted: %+v", s)
			}
			var list schema.Problems
			if !errors.As(err, &list) || len(list) == 0 || len(list) > maxProblems {
				t.Fatalf("the error is %T with %d problems: %.200s", err, len(list), err)
			}
			for line := range strings.Lines(err.Error()) {
				if !placed.MatchString(line) {
					t.Errorf("this is at no place of the file: %.200s", line)
				}
			}
			if len(err.Error()) > 1<<14 {
				t.Errorf("the error has %d octets", len(err.Error()))
			}
		})
	}
}
