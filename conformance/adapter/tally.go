package adapter

import (
	"regexp"
	"slices"
	"strings"
)

// Tally holds deviations to results of several releases.
type Tally struct {
	adapters []*Adapter
	entries  map[string]*tallied // by place: adapters with one base share entries
}

type tallied struct {
	Unseen
	seen bool
}

// Unseen is a deviation that no release shows of those that were tested and should.
type Unseen struct {
	*Deviation
	Versions []string
}

// NewTally makes an empty Tally of adapters.
func NewTally(adapters []*Adapter) *Tally {
	return &Tally{adapters: adapters, entries: map[string]*tallied{}}
}

// Add adds what was seen of a release of a stack, whose name is as reports have it: the
// sentences of deviations that were seen, and those that tested finds to have been looked for.
func (t *Tally) Add(stack, version string, seen map[string]bool, tested func(*Deviation) bool) {
	for _, a := range t.adapters {
		if !a.Calls(stack) {
			continue
		}
		for i := range a.Deviations {
			d := &a.Deviations[i]
			if !d.Holds(version) || !tested(d) {
				continue
			}
			e := t.entries[d.Place()]
			if e == nil {
				e = &tallied{Unseen: Unseen{Deviation: d}}
				t.entries[d.Place()] = e
			}
			if name := strings.TrimSpace(stack + " " + version); !slices.Contains(e.Versions, name) {
				e.Versions = append(e.Versions, name)
			}
			e.seen = e.seen || seen[d.Does]
		}
	}
}

// Calls reports whether a stack has a name in reports.
func (a *Adapter) Calls(name string) bool {
	if name == a.Name || a.Named == "" {
		return name == a.Name
	}
	return regexp.MustCompile(`^` + strings.ReplaceAll(regexp.QuoteMeta(a.Named), `\$\{release\}`, `\d+\.\d+`) + `$`).
		MatchString(name)
}

// Count is how many deviations were seen.
func (t *Tally) Count() (n int) {
	for _, e := range t.entries {
		if e.seen {
			n++
		}
	}
	return n
}

// Unseen are the deviations that were looked for and not seen, by their places.
func (t *Tally) Unseen() (list []Unseen) {
	for _, e := range t.entries {
		if !e.seen {
			list = append(list, e.Unseen)
		}
	}
	slices.SortFunc(list, func(a, b Unseen) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return list
}
