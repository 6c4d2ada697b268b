package report

import (
	"fmt"
	"slices"
	"strings"
)

// Change is what differs between the runs of two reports.
type Change struct {
	// Name is that of a run, in its report's words; empty: the change is about a stack.
	Name          string
	Old, New      string
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
	return fmt.Sprintf("%s %s: %s → %s", mark, c.Name, c.Old, c.New)
}

// Diff compares two reports run by run. rename gives a stack of the old report another name, as
// where a program is called by its version: openssl-3.5 is openssl-3.6 then.
// Where each report has one stack that the other has not, and none is renamed, they are compared
// whatever their names are.
func Diff(old, now *Report, rename map[string]string) (list []Change) {
	if len(rename) == 0 {
		rename = pair(old, now)
	}
	versions := map[string]string{}
	for _, s := range old.Stacks {
		versions[renamed(s.Name, rename)] = s.Version
	}
	for _, s := range now.Stacks {
		if v, ok := versions[s.Name]; !ok {
			list = append(list, Change{Name: s.Name, Old: "not in the old report", New: s.Version})
		} else if v != s.Version {
			list = append(list, Change{Name: s.Name, Old: v, New: s.Version})
		}
		delete(versions, s.Name)
	}
	for _, s := range old.Stacks {
		if v, ok := versions[renamed(s.Name, rename)]; ok {
			list = append(list, Change{Name: renamed(s.Name, rename), Old: v, New: "not in the new report"})
		}
	}
	news := map[string]*Run{}
	for i := range now.Runs {
		news[now.Runs[i].ID] = &now.Runs[i]
	}
	for i := range old.Runs {
		a := &old.Runs[i]
		id := renamedID(a.ID, rename)
		b := news[id]
		delete(news, id)
		switch {
		case b == nil:
			list = append(list, Change{Name: id, Old: a.brief(rename), New: Absent})
		case a.brief(rename) != b.brief(nil):
			list = append(list, Change{Name: id, Old: a.brief(rename), New: b.brief(nil),
				Worse: rank[b.Outcome] > rank[a.Outcome], Better: rank[b.Outcome] < rank[a.Outcome]})
		}
	}
	for i := range now.Runs {
		if b := &now.Runs[i]; news[b.ID] != nil {
			list = append(list, Change{Name: b.ID, Old: Absent, New: b.brief(nil), Worse: b.Outcome == Failed})
		}
	}
	return list
}

// Absent is the outcome of a run that is not in a report.
const Absent = "not run"

// pair finds the one stack of each report that the other has not.
func pair(old, now *Report) map[string]string {
	only := func(a, b *Report) (names []string) {
		for _, s := range a.Stacks {
			if !slices.ContainsFunc(b.Stacks, func(t Stack) bool { return t.Name == s.Name }) {
				names = append(names, s.Name)
			}
		}
		return names
	}
	from, to := only(old, now), only(now, old)
	if len(from) != 1 || len(to) != 1 {
		return nil
	}
	return map[string]string{from[0]: to[0]}
}

// rank orders the outcomes that say something of a stack.
var rank = map[Outcome]int{Passed: 0, Skipped: 0, Limit: 1, Deviation: 2, Failed: 3}

func renamed(name string, rename map[string]string) string {
	if n, ok := rename[name]; ok {
		return n
	}
	return name
}

// renamedID is the name of a run, CLIENT>SERVER/…, with its stacks renamed.
func renamedID(id string, rename map[string]string) string {
	client, rest, ok := strings.Cut(id, ">")
	if !ok {
		return id
	}
	server, what, _ := strings.Cut(rest, "/")
	if strings.HasPrefix(rest, "crypto/tls/") {
		server, what = "crypto/tls", strings.TrimPrefix(rest, "crypto/tls/")
	}
	return renamed(client, rename) + ">" + renamed(server, rename) + "/" + what
}

// brief is the outcome of a run and, unless it passed, why, with stacks renamed.
func (r *Run) brief(rename map[string]string) string {
	if r.Outcome == Passed || r.Reason == "" {
		return string(r.Outcome)
	}
	reason := r.Reason
	for _, stack := range []string{r.Client, r.Server} {
		if name := renamed(stack, rename); name != stack {
			reason = strings.ReplaceAll(reason, " of "+stack+" as ", " of "+name+" as ")
			reason = strings.ReplaceAll(reason, " of "+stack+": ", " of "+name+": ")
		}
	}
	return string(r.Outcome) + " (" + reason + ")"
}
