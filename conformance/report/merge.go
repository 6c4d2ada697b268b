package report

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Merge puts the parts of a grid together, in the order of the grid. Reports of
// different runs, and a run that is in two of them, are an error. What is
// missing is not: see Missing.
func Merge(list ...*Report) (*Report, error) {
	if len(list) == 0 {
		return nil, errors.New("no report to merge")
	}
	all := *list[0]
	all.Runs, all.Shards, all.Stacks = []Run{}, nil, nil
	shards, runs := map[int]*Report{}, map[string]*Report{} // and the report that each is from
	for _, r := range list {
		if err := sameGrid(list[0], r); err != nil {
			return nil, err
		}
		for _, s := range r.Shards {
			if other := shards[s.Index]; other != nil {
				return nil, fmt.Errorf("shard %s is there twice: %s and %s", s, other.file(), r.file())
			}
			shards[s.Index] = r
		}
		for i := range r.Runs {
			id := r.Runs[i].ID
			if other := runs[id]; other != nil {
				return nil, fmt.Errorf("%s and %s both have the run %s", other.file(), r.file(), id)
			}
			runs[id] = r
		}
		all.take(r)
	}
	slices.SortFunc(all.Runs, func(a, b Run) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(all.Shards, func(a, b Shard) int { return cmp.Compare(a.Index, b.Index) })
	return &all, nil
}

// take adds the runs of a report.
func (r *Report) take(other *Report) {
	r.Runs = append(r.Runs, other.Runs...)
	r.Shards = append(r.Shards, other.Shards...)
	r.Seconds = max(r.Seconds, other.Seconds)
	if other.Began.Before(r.Began) {
		r.Began = other.Began
	}
	for _, s := range other.Stacks {
		if !slices.ContainsFunc(r.Stacks, s.same) {
			r.Stacks = append(r.Stacks, s)
		}
	}
}

// same compares stacks wherever they are.
func (s Stack) same(other Stack) bool {
	return s.Name == other.Name && s.Version == other.Version && s.Missing == other.Missing
}

// sameGrid refuses reports that are not parts of one run.
func sameGrid(a, b *Report) error {
	which := a.file() + " and " + b.file()
	switch {
	case a.Version != b.Version:
		return fmt.Errorf("%s are of different versions of attls: %s and %s", which, a.Version, b.Version)
	case (a.Grid == nil) != (b.Grid == nil):
		return fmt.Errorf("%s: only one of them is a part of a grid", which)
	case a.Grid == nil:
		return nil
	case !maps.Equal(a.Grid.Options, b.Grid.Options):
		return fmt.Errorf("%s were made with different options: %s and %s", which, a.Grid.flags(), b.Grid.flags())
	case a.Grid.Digest != b.Grid.Digest:
		return fmt.Errorf(
			"%s are parts of different lists of cases, one of %d and one of %d: some depend on which stacks are there", which,
			a.Grid.Cases, b.Grid.Cases)
	}
	if len(a.Shards) > 0 && len(b.Shards) > 0 && a.Shards[0].Count != b.Shards[0].Count {
		return fmt.Errorf("%s are shards of different divisions: %s and %s", which, a.Shards[0], b.Shards[0])
	}
	return nil
}

func (r *Report) file() string { return cmp.Or(r.name, "a report") }

// Unrun is the number of cases of the report's own shards that have no run.
func (r *Report) Unrun() (n int) {
	for _, s := range r.Shards {
		n += s.Cases - r.ran(s)
	}
	return n
}

// ran is the number of runs of a shard.
func (r *Report) ran(s Shard) (n int) {
	for i := range r.Runs {
		if s.Has(r.Runs[i].Number - 1) {
			n++
		}
	}
	return n
}

// Total is the number of cases of the whole grid.
func (r *Report) Total() int {
	if r.Grid == nil {
		return len(r.Runs)
	}
	return r.Grid.Cases
}

// Missing says, a sentence each, what of the grid has no run: shards that are not
// there, and cases of those that are.
func (r *Report) Missing() (list []string) {
	if len(r.Shards) == 0 {
		return nil
	}
	var absent []string
	for s := (Shard{1, r.Shards[0].Count, 0}); s.Index <= s.Count; s.Index++ {
		if !slices.ContainsFunc(r.Shards, func(here Shard) bool { return here.Index == s.Index }) {
			absent = append(absent, s.String())
		}
	}
	switch len(absent) {
	case 0:
	case 1:
		list = append(list, "Shard "+absent[0]+" is missing.")
	default:
		list = append(list, "Shards "+strings.Join(absent, ", ")+" are missing.")
	}
	for _, s := range r.Shards {
		of := ""
		if s.Count > 1 {
			of = " of shard " + s.String()
		}
		if n := s.Cases - r.ran(s); n > 0 {
			list = append(list, fmt.Sprintf("%d of %d cases%s were not run.", n, s.Cases, of))
		}
	}
	return list
}

// Idle says, a sentence each, what was asked for and not tried at all in a report that is
// whole: any case, any with a stack of --peer, any fault under --faults. A part of a grid
// is not judged.
func (r *Report) Idle() (list []string) {
	if len(r.Shards) > 0 && len(r.Shards) < r.Shards[0].Count {
		return nil
	}
	var options map[string]string
	if r.Grid != nil {
		options = r.Grid.Options
	}
	named := []string{""} // any
	if peers := options["peer"]; peers != "" {
		named = append(named, strings.Split(peers, ",")...)
	}
	for _, stack := range named {
		with := ""
		if stack != "" {
			with = " with " + stack
		}
		tried, faults, all := r.tried(stack)
		switch {
		case tried == 0:
			list = append(list, fmt.Sprintf("No case%s was run (skipped: %d).", with, all))
		case faults == 0 && options["faults"] == "true" && options["case"] == "":
			list = append(list, fmt.Sprintf("No fault%s was sent.", with))
		}
		if len(list) > 0 && stack == "" {
			break // the others say the same
		}
	}
	return list
}

// tried counts the runs in which a stack was an end, if one is named: those that were
// made, and of these those with a fault.
func (r *Report) tried(stack string) (made, faults, all int) {
	for i := range r.Runs {
		run := &r.Runs[i]
		if stack != "" && run.Client != stack && run.Server != stack {
			continue
		}
		all++
		if run.Outcome == Limit || run.Outcome == Skipped {
			continue
		}
		made++
		if run.Scenario.Injected() != "" {
			faults++
		}
	}
	return made, faults, all
}

// Unidentified says, in a sentence, that the commit of attls is not known or not all that
// it was built of.
func (r *Report) Unidentified() string {
	switch {
	case r.Version == "" || r.Version == "(devel)":
		return "The report does not name the commit of attls; a build with go build -buildvcs=true does."
	case strings.HasSuffix(r.Version, "+dirty"):
		return "attls was built of a tree with changes that are in no commit."
	}
	return ""
}

// Mixed says, a sentence each, of which stacks the shards met different versions.
func (r *Report) Mixed() (list []string) {
	kinds := map[string][]string{}
	for _, s := range r.Stacks {
		kinds[s.Name] = append(kinds[s.Name], cmp.Or(s.Version, "not here"))
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		if k := kinds[name]; len(k) > 1 {
			list = append(list, fmt.Sprintf("The shards met different versions of %s: %s.", name, strings.Join(k, "; ")))
		}
	}
	return list
}
