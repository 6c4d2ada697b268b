package main

import (
	"cmp"
	"fmt"
	"strconv"

	"attls/conformance/claims"
	"attls/conformance/report"
	"attls/internal/columns"
)

// report prints why cases were skipped, what stacks have mended, the table of stacks and profiles, where
// the page is, what failed, and the counts: failures come late, for those who see the end of a log alone.
func (p *painter) report(r *report.Report, files *reportFiles) {
	reasons := map[string]int{}
	var order []string
	for i := range r.Runs {
		run := &r.Runs[i]
		switch run.Outcome {
		case report.Failed: // printed below
		case report.Passed:
			if run.Reason == "" {
				continue
			}
			fallthrough // such as a deviation that a newer release has mended
		default:
			if reasons[run.Reason]++; reasons[run.Reason] == 1 {
				order = append(order, run.Reason)
			}
		}
	}
	for _, reason := range order {
		p.line(p.in(faint, fmt.Sprintf("%d: %s", reasons[reason], reason)))
	}
	if len(r.Runs) > 0 {
		p.matrix(r)
	}
	p.sizes(r.Sizes())
	for _, a := range r.Attested() {
		p.line(a.String())
	}
	p.page(files.html)
	p.failures(r)
	p.line(r.Line())
}

// failures prints each case that failed, why, and where what differs comes from.
func (p *painter) failures(r *report.Report) {
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Outcome != report.Failed {
			continue
		}
		p.line(p.in(red, "✗ "+run.ID))
		p.paragraph("    ", run.Reason)
		for _, place := range run.Places {
			p.paragraph("      ", place)
		}
	}
}

// sizes shows which sizes of Evidence passed.
func (p *painter) sizes(s *report.Sizes) {
	if s == nil {
		return
	}
	head := []string{"ATTESTER", "RELYING PARTY", "PROFILE", "EVIDENCE"}
	for _, n := range s.Octets {
		head = append(head, report.SizeName(n))
	}
	t := columns.Table{Rows: [][]string{head}}
	for i := range s.Rows {
		row := &s.Rows[i]
		cells := []string{fmt.Sprintf("%s (%s)", row.Sender, row.Attester), row.Receiver, row.Profile, row.Way()}
		for _, c := range row.Cells {
			cells = append(cells, c.String())
		}
		t.Add(cells...)
	}
	p.table(&t, everyRow(plain))
	p.line()
}

// matrix has a line for each pair of stacks and profile.
func (p *painter) matrix(r *report.Report) {
	var t columns.Table
	t.Add("CLIENT", "SERVER", "PROFILE", "PASSED", "FAILED", "DEVIATION", "LIMIT", "SKIPPED")
	styles := []style{bold}
	for _, row := range r.Matrix() {
		for i := range row.Cells {
			cell := &row.Cells[i]
			if cell.Total == 0 {
				continue
			}
			cells := []string{row.Client, row.Server, cell.Profile}
			for _, o := range []report.Outcome{report.Passed, report.Failed, report.Deviation, report.Limit, report.Skipped} {
				number := "·"
				if n := cell.Count(o); n > 0 {
					number = strconv.Itoa(n)
				}
				cells = append(cells, number)
			}
			t.Add(cells...)
			styles = append(styles, map[report.Outcome]style{report.Failed: red, report.Limit: faint,
				report.Skipped: faint}[cell.Worst()])
		}
	}
	p.table(&t, func(row int) style { return styles[row] })
	p.line()
}

// runs shows each run whole: its messages, what both ends claim, and what was seen
// to be wrong.
func (p *painter) runs(r *report.Report) {
	for i := range r.Runs {
		run := &r.Runs[i]
		p.line(p.in(bold, run.ID), "  ", string(run.Outcome))
		p.line()
		if len(run.Ladder) > 0 {
			p.ladder(run.Ladder)
		}
		if run.ClientClaims != nil && run.ServerClaims != nil {
			p.agreements(claims.Agreements(run.ClientClaims, run.ServerClaims), run.Fault != nil)
		}
		for k := range run.Findings {
			f := &run.Findings[k]
			p.note(red, "", fmt.Sprintf("The %s broke a rule that the %s checks: %s", f.Sender, f.Receiver,
				claimText(&f.ErrorClaim)))
		}
		if run.Capture != "" {
			p.line("Capture, with its secrets: ", run.Capture)
		}
		p.line()
	}
}

// agreements are what both ends claim; what differs is marked, unless a fault
// makes it.
func (p *painter) agreements(list []claims.Agreement, fault bool) {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].What
	}
	width := columns.Longest(names) + 2
	for i := range list {
		a := &list[i]
		client, server := p.short(a.Client, shortWidth), p.short(a.Server, shortWidth)
		switch {
		case a.Differs():
			s := red
			if fault {
				s = plain
			}
			p.line(p.in(s, pad(a.What, width)+"client "+client+" ≠ server "+server))
		case a.Client == "" || a.Server == "":
			end := map[bool]string{true: "server", false: "client"}[a.Client == ""]
			p.line(pad(a.What, width), p.in(faint, "only the "+end+" says: "), cmp.Or(client, server))
		default:
			p.line(pad(a.What, width), client)
		}
	}
}
