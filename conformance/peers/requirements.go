package peers

import (
	"slices"
	"strings"

	"attls/conformance/cases"
	"attls/conformance/report"
	"attls/conformance/requirements"
)

// Requirements adds to a report the rows of the registry of requirements that the
// texts behind its cases have, and to each run with a fault those that it is about.
// A row of which nothing can be sent to another stack says why.
func Requirements(r *report.Report, o Options) error {
	all, err := requirements.Statements()
	if err != nil {
		return err
	}
	for i := range r.Runs {
		if s := &r.Runs[i].Scenario; s.Injected() != "" {
			r.Runs[i].Requirements = requirements.Citing(all, s.Profile, s.Injected())
		}
	}
	if !o.Faults {
		return nil
	}
	sendable, err := sendable(o)
	if err != nil {
		return err
	}
	for i := range all {
		d := &all[i]
		if !concerns(d, o) {
			continue
		}
		for k := range d.Rows {
			row := &d.Rows[k]
			r.Requirements = append(r.Requirements, report.Requirement{ID: d.Key(row), Document: d.Title(), Text: row.Text,
				Unsent: unsent(d, row, sendable)})
		}
	}
	return nil
}

// concerns reports whether cases of a document are in a grid.
func concerns(d *requirements.Document, o Options) bool {
	switch {
	case d.TLS:
		return len(o.Plain) > 0
	case d.Common:
		return len(o.Pairs) > 0 && len(o.Profiles) > 0
	}
	return len(o.Pairs) > 0 && slices.Contains(o.Profiles, d.Profile)
}

// sentFault is a fault under a profile, or under none.
type sentFault struct{ profile, fault string }

// sendable are the faults that our engine can send to any other stack.
func sendable(o Options) (map[sentFault]bool, error) {
	combinations, err := allowed(o.Profiles)
	if err != nil {
		return nil, err
	}
	list := map[sentFault]bool{}
	for _, c := range slices.Concat(faults(o.Pairs, scenarios(combinations)), plainFaults(o.Plain)) {
		list[sentFault{c.Scenario.Profile, c.Scenario.Injected()}] = true
	}
	return list, nil
}

// observes reports whether a case is a look at a sound connection.
func observes(t *cases.Table, id string) bool {
	r, ok := t.Row(id)
	return ok && r.Expect == cases.Observe{}
}

// The reasons why nothing of a row is sent, the first of them that holds.
const (
	unsentLater    = "it is not implemented: "
	unsentLook     = "it is about what an end sends; both ends' claims of the connections without a fault show it"
	unsentOwn      = "its fault lies in the settings of the end that must reject"
	unsentReading  = "only another reading of the text makes room for it"
	unsentTest     = "only Go tests of this stack check it"
	unsentProvoked = "nothing can be provoked of it under these profiles"
)

// unsent says why nothing of a row can be sent to another stack; "" when something
// can.
func unsent(d *requirements.Document, row *requirements.Row, sendable map[sentFault]bool) string {
	if row.Class == requirements.Later {
		return unsentLater + row.Reason
	}
	var looks, own, reading, test bool
	table := cases.All()
	for _, name := range row.Cases {
		for f := range sendable {
			if f.fault == name && (f.profile == d.Profile || d.Common && f.profile != "") {
				return ""
			}
		}
		looks = looks || observes(table, name)
		own = own || slices.Contains(receiversOwn, name)
		reading = reading || strings.Contains(name, "@")
		test = test || strings.HasPrefix(name, "test:")
	}
	switch {
	case looks:
		return unsentLook
	case own:
		return unsentOwn
	case reading:
		return unsentReading
	case test:
		return unsentTest
	}
	return unsentProvoked
}
