package report

import (
	"html/template"
	"io"
	"slices"
	"strings"

	"attls/conformance/placement"
	"attls/internal/gate"
)

var placementPage = template.Must(template.New("placement.html").Parse(indentation.ReplaceAllString(
	text("placement.html"), "\n")))

// WritePlacement writes a placement matrix as a page that needs no other file.
func WritePlacement(r *placement.Report, w io.Writer) error {
	v := placementView{Report: r, CSS: template.CSS(text("page.css") + text("placement.css"))}
	for i := range r.Stacks {
		v.Tables = append(v.Tables, placementTable(&r.Stacks[i]))
	}
	return placementPage.Execute(gate.New(w), v)
}

type placementView struct {
	*placement.Report
	Tables []matrixOf
	CSS    template.CSS
}

// matrixOf is the table of one stack.
type matrixOf struct {
	*placement.Stacked
	Unknown, Deviations int
	Columns             []string // role and message
	Rows                []matrixRow
}

type matrixRow struct {
	Type  uint16
	Name  string
	Cells []matrixCell
}

// matrixCell has a mark for each body.
type matrixCell struct {
	Marks []matrixMark
	Asked bool
}

type matrixMark struct{ Sign, Class, Title string }

// signs are what the outcomes look like.
var signs = map[placement.Outcome]string{placement.Accepted: "✓", placement.Refused: "✗", placement.Closed: "–",
	placement.Unreadable: "?", placement.Silent: "…", placement.Crashed: "!", placement.Unsent: "·"}

func placementTable(s *placement.Stacked) matrixOf {
	m := matrixOf{Stacked: s}
	m.Unknown, m.Deviations = s.Count()
	rows := map[uint16]int{}
	for i := range s.Results {
		l := &s.Results[i]
		if l.Extension == "" {
			continue
		}
		column := l.Role + " " + l.Message
		at := slices.Index(m.Columns, column)
		if at < 0 {
			at = len(m.Columns)
			m.Columns = append(m.Columns, column)
		}
		row, ok := rows[l.Type]
		if !ok {
			row = len(m.Rows)
			rows[l.Type] = row
			m.Rows = append(m.Rows, matrixRow{Type: l.Type, Name: l.Extension})
		}
		r := &m.Rows[row]
		for len(r.Cells) <= at {
			r.Cells = append(r.Cells, matrixCell{})
		}
		r.Cells[at].Marks = append(r.Cells[at].Marks, markOf(l))
		r.Cells[at].Asked = r.Cells[at].Asked || l.Asked
	}
	for i := range m.Rows {
		for len(m.Rows[i].Cells) < len(m.Columns) {
			m.Rows[i].Cells = append(m.Rows[i].Cells, matrixCell{})
		}
	}
	return m
}

func markOf(l *placement.Line) matrixMark {
	m := matrixMark{Sign: signs[l.Outcome], Class: "passed"}
	title := []string{string(l.Body) + ": " + string(l.Outcome)}
	if l.Alert != "" {
		title[0] += " with " + l.Alert
	}
	for _, f := range l.Findings {
		if f.Deviation == "" {
			m.Class = "failed"
		} else if m.Class != "failed" {
			m.Class = "deviation"
		}
		title = append(title, string(f.Kind)+": expected "+f.Want+" ("+f.Reference+")")
	}
	m.Title = strings.Join(title, "; ")
	return m
}
