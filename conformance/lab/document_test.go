package lab

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"attls/extensions/profile"
)

func document(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/lab.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDocumentListsAttacks finds each attack in the row of its section, and in no other.
func TestDocumentListsAttacks(t *testing.T) {
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([0-9.]+) \|[^|]*\|([^|]*)\|$`).FindAllStringSubmatch(document(t), -1) {
		rows[m[1]] = m[2]
	}
	for _, name := range Names() {
		section, _, _ := strings.Cut(loaded(t, name).Section, " ")
		section = strings.TrimSuffix(section, ",")
		for number, row := range rows {
			if listed := strings.Contains(row, "`"+name+"`"); listed != (number == section) {
				t.Errorf("%s, of section %s, is listed in the row of %s: %v", name, section, number, listed)
			}
		}
		if rows[section] == "" {
			t.Errorf("docs/lab.md has no row for section %q of %s", section, name)
		}
	}
}

// TestDocumentNames finds each verb, setting and predicate in the document.
func TestDocumentNames(t *testing.T) {
	text := document(t)
	for what, names := range map[string][]string{"predicate": sortedKeys(predicates), "setting": sortedKeys(partySettings),
		"happening": sortedKeys(happenings)} {
		for _, name := range names {
			if !strings.Contains(text, "`"+name+"`") && name != "payload" {
				t.Errorf("the %s %s is not in docs/lab.md", what, name)
			}
		}
	}
	for verb, v := range verbs {
		if !strings.Contains(text, "`"+verb+": ") {
			t.Errorf("the verb %s is not in docs/lab.md", verb)
		}
		for option := range v.options {
			if !strings.Contains(text, "`"+option) {
				t.Errorf("the option %s of %s is not in docs/lab.md", option, verb)
			}
		}
	}
}

// TestTutorial does what the tutorial of the document says: the outcome flips with the
// binder, and the page can be handed over.
func TestTutorial(t *testing.T) {
	_, text, _ := strings.Cut(document(t), "## From a paper to a page\n")
	text, _, _ = strings.Cut(text, "\n## ")
	blocks := regexp.MustCompile("(?s)```(console|yaml)\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(blocks) != 3 || blocks[1][1] != "yaml" {
		t.Fatalf("the tutorial has %d blocks", len(blocks))
	}
	mine, err := profile.Parse("mine.yaml", []byte(blocks[1][2]), profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	script := loaded(t, "relay-leaked-key")
	cells, err := Run(context.Background(), Options{Scripts: []*Script{script}, Detailed: true,
		Profiles: []*profile.Profile{profileOf(t, "early-attestation-07"), mine}, Foreign: []string{"mine"}})
	if err != nil {
		t.Fatal(err)
	}
	varied, err := Run(context.Background(), Options{Profiles: []*profile.Profile{mine}, Foreign: []string{"mine"},
		Scripts: []*Script{loaded(t, "retry-readings"), loaded(t, "stale-evidence")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range varied { // the binder of the draft uses a switch of its base no longer
		if c.Error != "" {
			t.Errorf("%s: %s", c.Key(), c.Error)
		}
	}
	shown := 0
	for _, c := range cells {
		for _, i := range []int{0, 2} {
			lines := strings.Split(blocks[i][2], "\n")
			if lines[1] != "• "+c.Key() {
				continue
			}
			shown++
			if got := c.Result.String(); strings.TrimSpace(lines[2]) != got {
				t.Errorf("%s ends so: %s; the tutorial says %s", c.Key(), got, lines[2])
			}
			if len(lines) > 4 && !strings.HasSuffix(lines[3], "("+c.Control.Name+"): "+c.Control.Result.String()) {
				t.Errorf("the control of %s (%s) ends so: %s; the tutorial says %s", c.Key(), c.Control.Name, c.Control.Result, lines[3])
			}
		}
	}
	if shown != 2 {
		t.Errorf("%d runs of the tutorial were found", shown)
	}
	var page bytes.Buffer
	r := &Report{Scripts: []*Script{script}, Cells: cells, Files: []File{{Profile: "mine", Given: "my files/mine.yaml", Text: mine.Source()}}}
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"my files/mine.yaml", "hash(spki(role))", "By scenario", "3.3.2 "} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	s := shownRun{cells[len(cells)-1], r}
	if want := "attls lab --attack relay-leaked-key --profile 'my files/mine.yaml' --pcap captures"; s.Repeat() != want {
		t.Errorf("the run is repeated with %s, want %s", s.Repeat(), want)
	}
}
