package report

import (
	"encoding/xml"
	"fmt"
	"io"

	"attls/internal/gate"
)

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Seconds  string      `xml:"time,attr"`
	Began    string      `xml:"timestamp,attr,omitempty"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Seconds string        `xml:"time,attr"`
	Rows    *junitRows    `xml:"properties,omitempty"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
	Output  string        `xml:"system-out,omitempty"`
}

// junitRows name the requirements that a case is about.
type junitRows struct {
	List []junitProperty `xml:"property"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

func junitRequirements(ids []string) *junitRows {
	if len(ids) == 0 {
		return nil
	}
	rows := &junitRows{}
	for _, id := range ids {
		rows.List = append(rows.List, junitProperty{"requirement", id})
	}
	return rows
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as JUnit's XML. Text of peers is made printable.
func (r *Report) WriteJUnit(w io.Writer) error {
	s := junitSuite{Name: "attls conform", Tests: len(r.Runs), Seconds: junitSeconds(r.Seconds)}
	_, s.Failures, s.Skipped = r.Counts()
	if !r.Began.IsZero() {
		s.Began = r.Began.UTC().Format("2006-01-02T15:04:05")
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		c := junitCase{Class: run.Client + ">" + run.Server, Name: run.Scenario.String(), Seconds: junitSeconds(run.Seconds),
			Rows: junitRequirements(run.Requirements)}
		switch run.Outcome {
		case Passed, Deviation:
			c.Output = run.Reason
		case Failed:
			c.Failure = &junitMessage{run.Reason, r.repeat(run)}
		default:
			c.Skipped = &junitMessage{Message: run.Reason}
		}
		s.Cases = append(s.Cases, c)
	}
	w = gate.New(w)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	return e.Encode(s)
}

func junitSeconds(s float64) string { return fmt.Sprintf("%.3f", s) }
