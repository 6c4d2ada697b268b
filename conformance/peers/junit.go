package peers

import (
	"encoding/xml"
	"fmt"
	"io"
)

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Seconds string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
}

// WriteJUnit writes results as JUnit's XML.
func WriteJUnit(w io.Writer, results []Result) error {
	s := junitSuite{Name: "attls conform", Tests: len(results)}
	_, s.Failures, s.Skipped = Count(results)
	for i := range results {
		r := &results[i]
		c := junitCase{Class: r.Client + ">" + r.Server, Name: r.Scenario.String(), Seconds: fmt.Sprintf("%.3f", r.Seconds)}
		switch r.Status {
		case Passed, Deviation:
		case Failed:
			c.Failure = &junitMessage{r.Reason}
		default:
			c.Skipped = &junitMessage{r.Reason}
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	return e.Encode(s)
}
