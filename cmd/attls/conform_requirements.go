package main

import (
	"fmt"
	"strconv"

	"attls/conformance/report"
	"attls/internal/columns"
)

// requirements prints how many rows of the registry were sent to each stack and
// what became of them, and why the others are not; each says it of each row.
func (p *painter) requirements(r *report.Report, each bool) {
	if len(r.Requirements) == 0 {
		return
	}
	receivers, rows := r.Receivers(), r.Coverage()
	if each {
		p.requirementRows(receivers, rows)
	}
	var t columns.Table
	t.Add("REQUIREMENTS SENT TO", "AS", "ROWS", "HELD", "WITH DEVIATIONS", "FAILED", "PEER LIMIT")
	for _, s := range report.Summaries(receivers, rows) {
		cells := []string{s.Receiver.Stack, fmt.Sprint(s.Receiver.Role)}
		for _, n := range []int{s.Sent, s.Held, s.Deviations, s.Failed, s.Limits} {
			cells = append(cells, strconv.Itoa(n))
		}
		t.Add(cells...)
	}
	p.table(&t, everyRow(plain))
	for _, u := range unsent(rows) {
		p.line(p.in(faint, fmt.Sprintf("%d of %d rows are not sent: %s", u.rows, len(rows), u.reason)))
	}
	p.line()
}

// requirementRows prints each row.
func (p *painter) requirementRows(receivers []report.Receiver, rows []report.Covered) {
	for i := range rows {
		row := &rows[i]
		p.titled(row.ID+" ", plain, row.Text)
		if row.Unsent != "" {
			p.paragraph("    ", "not sent: "+row.Unsent)
		}
		for column, to := range receivers {
			if c := &row.Cells[column]; c.Total() > 0 {
				p.line("    ", p.in(outcomeStyles[c.Outcome()], fmt.Sprintf("%s: %d of %d held (%s)", to, c.Held(),
					c.Sent(), c.Outcome())))
			}
		}
	}
	p.line()
}

var outcomeStyles = map[report.Outcome]style{report.Passed: green, report.Deviation: yellow, report.Failed: red,
	report.Limit: faint, report.Skipped: faint}

// unsentRows are rows that are not sent for the same reason.
type unsentRows struct {
	reason string
	rows   int
}

// unsent counts them, the reasons in the order in which they occur.
func unsent(rows []report.Covered) (list []unsentRows) {
	at := map[string]int{}
	for i := range rows {
		reason := rows[i].Unsent
		if reason == "" {
			continue
		}
		if _, known := at[reason]; !known {
			at[reason] = len(list)
			list = append(list, unsentRows{reason: reason})
		}
		list[at[reason]].rows++
	}
	return list
}
