package report_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"attls/conformance/cases"
	"attls/conformance/report"
)

// covered is a report of faults that two stacks had to deal with.
func covered() *report.Report {
	r := report.New("")
	r.Requirements = []report.Requirement{{ID: "A 1", Document: "A", Text: "first"}, {ID: "A 2", Document: "A", Text: "second"},
		{ID: "A 3", Document: "A", Text: "third", Unsent: "it is about <nobody>"}, {ID: "B 1", Document: "B", Text: "of another text"}}
	add := func(id, client, server, rejects string, o report.Outcome, rows ...string) {
		f := &cases.Case{ID: id, Rejects: rejects}
		if id == "odd" {
			f.Rejects, f.Takes = "", rejects
		}
		r.Runs = append(r.Runs, report.Run{ID: id, Client: client, Server: server, Outcome: o, Fault: f, Requirements: rows})
	}
	add("one", "attls", "mbedtls", "server", report.Passed, "A 1", "A 2")
	add("two", "attls", "mbedtls", "server", report.Deviation, "A 2")
	add("odd", "mbedtls", "attls", "client", report.Failed, "A 1")
	add("limit", "openssl", "attls", "client", report.Limit, "A 1", "B 1")
	r.Runs = append(r.Runs, report.Run{ID: "sound", Client: "openssl", Server: "attls", Outcome: report.Failed})
	return r
}

// TestCoverage: each row and receiver has the runs that are about it.
func TestCoverage(t *testing.T) {
	r := covered()
	receivers := r.Receivers()
	want := []report.Receiver{{Stack: "mbedtls", Role: "server"}, {Stack: "mbedtls", Role: "client"}, {Stack: "openssl", Role: "client"}}
	if !slices.Equal(receivers, want) {
		t.Fatalf("%v", receivers)
	}
	rows := r.Coverage()
	for _, c := range []struct {
		row, column, sent, held int
		outcome                 report.Outcome
	}{
		{0, 0, 1, 1, report.Passed}, {1, 0, 2, 1, report.Deviation}, {0, 1, 1, 0, report.Failed}, {1, 1, 0, 0, ""}, {0, 2, 0, 0, report.Limit}, {3, 2, 0, 0, report.Limit},
	} {
		cell := &rows[c.row].Cells[c.column]
		if cell.Sent() != c.sent || cell.Held() != c.held || cell.Outcome() != c.outcome {
			t.Errorf("%s at %v: %d of %d held, %s", rows[c.row].ID, cell.Receiver, cell.Held(), cell.Sent(), cell.Outcome())
		}
	}
	if rows[0].Worst() != report.Failed || rows[1].Worst() != report.Deviation || !rows[0].First || rows[1].First || !rows[3].First {
		t.Errorf("%+v", rows)
	}
	if s := report.Summaries(receivers, rows); s[0].Sent != 2 || s[0].Held != 1 || s[0].Deviations != 1 || s[1].Failed != 1 || s[2].Limits != 2 || s[2].Sent != 0 {
		t.Errorf("%+v", s)
	}
}

// TestRequirementsShown: the page has a cell for each that leads to its runs, and
// JUnit's XML names the rows of a case.
func TestRequirementsShown(t *testing.T) {
	r := covered()
	var junit bytes.Buffer
	text := opened(t, r)
	if err := r.WriteJUnit(&junit); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`class="cell deviation" data-requirement="A 2" data-receiver="mbedtls as server" aria-pressed="false">1 of 2<`,
		`it is about &lt;nobody&gt;`, `4 rows`[2:], `data-rows="A 1|A 2"`, `data-to="mbedtls as server"`, `<span class="rule">A 2</span>`, `The client must take it.`, `mbedtls as client`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if n := strings.Count(junit.String(), `<property name="requirement" value="A 1">`); n != 3 {
		t.Errorf("JUnit's XML names A 1 %d times", n)
	}
}
