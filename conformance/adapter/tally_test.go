package adapter

import (
	"strings"
	"testing"
)

// TestTally: a deviation that some release shows is seen; one that none shows of those that
// should is not; one of releases that were not tested, or that nothing looked for, is neither.
func TestTally(t *testing.T) {
	entry := func(does, versions string) string {
		return "  - {does: " + does + ", " + versions + "placement: {kinds: [accepted]}}\n"
	}
	a, err := Parse("f", []byte(sound+"named: 'x-${release}'\ndeviations:\n"+
		entry("seen", `first: "1.0", last: "1.2", `)+entry("never", `first: "1.0", last: "1.2", `)+
		entry("later", `first: "2.0", last: "2.0", `)+entry("always", "")+
		"  - {does: fault, faults: [f], shows: accepted}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct {
		stack, version string
		seen           string
		count          int
		unseen         string
	}{
		{"x-1.0", "1.0", "", 0, "seen never always"},
		{"x", "x 1.2", "seen", 1, "never always"},
		{"x-2.0", "2.0", "later always", 3, "never"},
		{"x-2", "1.0", "never", 3, "never"}, // another stack
		{"y", "1.0", "never", 3, "never"},
	} {
		tally := NewTally([]*Adapter{a})
		for _, earlier := range []struct{ stack, version, seen string }{{"x-1.0", "1.0", ""}, {"x", "x 1.2", "seen"},
			{"x-2.0", "2.0", "later always"}, {"x-2", "1.0", "never"}, {"y", "1.0", "never"}} {
			seen := map[string]bool{}
			for _, s := range strings.Fields(earlier.seen) {
				seen[s] = true
			}
			tally.Add(earlier.stack, earlier.version, seen, func(d *Deviation) bool { return d.Placement != nil })
			if earlier.stack == w.stack {
				break
			}
		}
		var names []string
		for _, u := range tally.Unseen() {
			names = append(names, u.Does)
		}
		if got := strings.Join(names, " "); got != w.unseen || tally.Count() != w.count {
			t.Errorf("after %s: %d seen, unseen %q", w.stack, tally.Count(), got)
		}
	}
}
