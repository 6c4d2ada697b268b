package requirements

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"attls/extensions/profile"
)

// texts are the files that may name an ambiguity: profiles, the registry, Go
// sources and the pages that users read.
func texts(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !slices.Contains([]string{".go", ".yaml", ".md"}, filepath.Ext(name)):
			return nil
		}
		b, err := os.ReadFile(name)
		found[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

const ambiguities = root + "/docs/ambiguities.md"

// sections are the parts of docs/ambiguities.md by their anchors.
func sections(t *testing.T, page string) map[string]string {
	t.Helper()
	found := map[string]string{}
	parts := strings.Split(page, `<a id="`)
	for _, part := range parts[1:] {
		id, text, _ := strings.Cut(part, `"`)
		if found[id] != "" {
			t.Errorf("the anchor %s appears twice", id)
		}
		found[id] = text
	}
	return found
}

func TestEachAmbiguityThatIsNamedIsDescribed(t *testing.T) {
	files := texts(t)
	anchors := sections(t, files[ambiguities])
	used := map[string]bool{}
	bare := regexp.MustCompile(`(?:^|[^/])\bAMB-[0-9]`)
	link := regexp.MustCompile(`ambiguities\.md#([a-z0-9-]+)`)
	for name, text := range files {
		if name == ambiguities || strings.HasSuffix(name, "/ambiguities_test.go") {
			continue
		}
		for _, id := range ambiguity.FindAllString(text, -1) {
			used[ambiguityAnchor(id)] = true
			if anchors[ambiguityAnchor(id)] == "" {
				t.Errorf("%s names %s; docs/ambiguities.md has no anchor %s", name, id, ambiguityAnchor(id))
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if anchors[m[1]] == "" {
				t.Errorf("%s links to docs/ambiguities.md#%s, which is not there", name, m[1])
			}
		}
		if name == root+"/conformance/requirements/requirements.go" || name == root+"/docs/glossary.md" {
			continue // explain the short form
		}
		if m := bare.FindString(text); m != "" {
			t.Errorf("%s names an ambiguity (%s…) without the revision in front, as in B-04/AMB-9", name, m)
		}
	}
	for id := range anchors {
		if !used[id] {
			t.Errorf("docs/ambiguities.md describes %s, which nothing names", id)
		}
	}
}

// switchLines are the lines that docs/ambiguities.md owes each ambiguity: its
// switches with their readings, and the profiles that have them.
func switchLines(t *testing.T) map[string][]string {
	t.Helper()
	names := profile.Names()
	having := map[string]map[string][]int{} // by anchor and line: places in names
	for i, name := range names {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Readings {
			options := make([]string, len(r.Options))
			for i, o := range r.Options {
				options[i] = "`" + o + "`"
				if o == r.Default {
					options[i] += " (default)"
				}
			}
			line := fmt.Sprintf("Switch `%s`: %s. Profiles: ", r.Switch, strings.Join(options, ", "))
			for _, id := range ambiguity.FindAllString(r.AMB, -1) {
				if having[ambiguityAnchor(id)] == nil {
					having[ambiguityAnchor(id)] = map[string][]int{}
				}
				having[ambiguityAnchor(id)][line] = append(having[ambiguityAnchor(id)][line], i)
			}
		}
	}
	lines := map[string][]string{}
	for id, list := range having {
		for line, places := range list {
			lines[id] = append(lines[id], line+ranges(names, places)+".")
		}
	}
	return lines
}

// ranges writes places of a list, neighbours as "first to last".
func ranges(names []string, places []int) string {
	var parts []string
	for i := 0; i < len(places); {
		j := i
		for j+1 < len(places) && places[j+1] == places[j]+1 {
			j++
		}
		part := "`" + names[places[i]] + "`"
		if j > i {
			part += " to `" + names[places[j]] + "`"
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

func TestEachDescribedAmbiguityTellsItsSwitches(t *testing.T) {
	page, err := os.ReadFile(ambiguities)
	if err != nil {
		t.Fatal(err)
	}
	found := sections(t, string(page))
	lines := switchLines(t)
	for id, wanted := range lines {
		for _, line := range wanted {
			if !strings.Contains(found[id], line) {
				t.Errorf("docs/ambiguities.md, %s, must say:\n%s", id, line)
			}
		}
		if n := strings.Count(found[id], "Switch `"); n != len(wanted) {
			t.Errorf("docs/ambiguities.md, %s, describes %d switches instead of %d", id, n, len(wanted))
		}
	}
	for id, text := range found {
		if lines[id] == nil && strings.Contains(text, "Switch `") {
			t.Errorf("docs/ambiguities.md, %s, describes a switch that no profile has", id)
		}
	}
}

func TestAReadingIsFoundByEachOfItsIDs(t *testing.T) {
	r := Reading{AMB: "B-00/AMB-2, B-00/AMB-3"}
	for _, id := range []string{"B-00/AMB-2", "B-00/AMB-3", "AMB-2", "AMB-3", r.AMB} {
		if !r.is(id) {
			t.Errorf("%s is not found", id)
		}
	}
	for _, id := range []string{"AMB-1", "B-03/AMB-2", "B-00", ""} {
		if r.is(id) {
			t.Errorf("%q is found", id)
		}
	}
}
