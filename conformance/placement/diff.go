package placement

import (
	"fmt"
	"slices"
	"strings"
)

// Change is what differs between two reports of a stack.
type Change struct {
	Stack string
	// Name is that of a case; empty: the change is about the stack.
	Name     string
	Old, New string
	// Worse says that a finding came, and Better that one went.
	Worse, Better bool
}

// String is the change in a line.
func (c *Change) String() string {
	mark := " "
	switch {
	case c.Worse:
		mark = "✗"
	case c.Better:
		mark = "✓"
	}
	if c.Name == "" {
		return fmt.Sprintf("%s %s: %s → %s", mark, c.Stack, c.Old, c.New)
	}
	return fmt.Sprintf("%s %s %s: %s → %s", mark, c.Stack, c.Name, c.Old, c.New)
}

// Absent is what a case did that is not in a report.
const Absent = "not run"

// Changed are changes of one kind: those of cases with the same message are together where the
// same came out of both.
type Changed struct {
	Change
	Cases []string // names; nil: the change is about the stack
}

// String is the changes in a line, with the extensions and, where these are not all, their bodies.
func (c *Changed) String() string {
	if len(c.Cases) == 0 {
		return c.Change.String()
	}
	s := c.Change.String()
	if g := (&Group{Cases: c.Cases}).Short(len(c.Cases)); g != "" {
		s += ": " + g
	}
	return s
}

// Together puts changes of one kind together, in the order of the first of each.
func Together(list []Change) (out []Changed) {
	at := map[Change]int{}
	for _, c := range list {
		name := c.Name
		if parts := strings.Split(name, "/"); len(parts) == 4 {
			c.Name = parts[0] + "/" + parts[1]
		}
		i, ok := at[c]
		if !ok || c.Name == name {
			at[c] = len(out)
			out = append(out, Changed{Change: c})
			i = len(out) - 1
		}
		if c.Name != name {
			out[i].Cases = append(out[i].Cases, name)
		}
	}
	return out
}

// Diff compares two reports, stack by stack. A stack that is in one of them only, or was not
// run in one, is a change; so is a case. Where each report has one stack, they are compared
// whatever their names are.
func Diff(old, now *Report) (list []Change) {
	if len(old.Stacks) == 1 && len(now.Stacks) == 1 {
		return diffStacks(&old.Stacks[0], &now.Stacks[0])
	}
	for i := range old.Stacks {
		a := &old.Stacks[i]
		k := slices.IndexFunc(now.Stacks, func(s Stacked) bool { return s.Name == a.Name })
		if k < 0 {
			list = append(list, Change{Stack: a.Name, Old: a.Version, New: "not in the new report"})
			continue
		}
		list = append(list, diffStacks(a, &now.Stacks[k])...)
	}
	for i := range now.Stacks {
		b := &now.Stacks[i]
		if !slices.ContainsFunc(old.Stacks, func(s Stacked) bool { return s.Name == b.Name }) {
			list = append(list, Change{Stack: b.Name, Old: "not in the old report", New: b.Version})
		}
	}
	return list
}

func diffStacks(a, b *Stacked) (list []Change) {
	if a.Missing != "" || b.Missing != "" {
		return []Change{{Stack: b.Name, Old: ran(a), New: ran(b)}}
	}
	if a.Name != b.Name || a.Version != b.Version {
		list = append(list, Change{Stack: b.Name, Old: a.Name + " " + a.Version, New: b.Name + " " + b.Version})
	}
	news := map[string]*Line{}
	for i := range b.Results {
		news[b.Results[i].Name] = &b.Results[i]
	}
	for i := range a.Results {
		x := &a.Results[i]
		y := news[x.Name]
		delete(news, x.Name)
		if y == nil {
			list = append(list, Change{Stack: b.Name, Name: x.Name, Old: x.brief(), New: Absent})
			continue
		}
		if x.brief() == y.brief() {
			continue
		}
		list = append(list, Change{Stack: b.Name, Name: x.Name, Old: x.brief(), New: y.brief(),
			Worse: worse(x, y), Better: worse(y, x)})
	}
	for i := range b.Results {
		if y := &b.Results[i]; news[y.Name] != nil {
			list = append(list, Change{Stack: b.Name, Name: y.Name, Old: Absent, New: y.brief(), Worse: len(y.Findings) > 0})
		}
	}
	return list
}

// ran says whether a stack was run.
func ran(s *Stacked) string {
	if s.Missing != "" {
		return "not run: " + s.Missing
	}
	return s.Version
}

// brief is what a stack did with a case, and how that is judged.
func (l *Line) brief() string {
	s := string(l.Outcome)
	if l.Alert != "" {
		s += " with " + l.Alert
	}
	for i, f := range l.Findings {
		switch {
		case i > 0:
			s += ", " + string(f.Kind)
		case string(f.Kind) == string(l.Outcome):
			s += ", a finding"
		default:
			s += ", a finding: " + string(f.Kind)
		}
	}
	return s
}

// worse reports whether b has a finding that a has not, of a graver kind than any of a's.
func worse(a, b *Line) bool { return gravest(b) < gravest(a) }

func gravest(l *Line) int {
	n := len(Kinds())
	for _, f := range l.Findings {
		if k := slices.Index(Kinds(), f.Kind); k >= 0 {
			n = min(n, k)
		}
	}
	return n
}
