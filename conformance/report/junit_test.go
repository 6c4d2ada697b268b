package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"strings"
	"testing"

	"attls/conformance/report"
)

// TestJUnit: what a CI server reads of the runs.
func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	r := sample(t)
	if err := r.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	type message struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	var suite struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"`
		Began    string `xml:"timestamp,attr"`
		Cases    []struct {
			Class   string   `xml:"classname,attr"`
			Name    string   `xml:"name,attr"`
			Failure *message `xml:"failure"`
			Skipped *message `xml:"skipped"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(b.Bytes(), &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != len(r.Runs) || suite.Failures != 1 || suite.Skipped != 2 || suite.Time != "12.300" || suite.Began != "2026-01-02T15:04:05" {
		t.Errorf("%+v", suite)
	}
	for i := range r.Runs {
		run, c := &r.Runs[i], &suite.Cases[i]
		failed, skipped := run.Outcome == report.Failed, run.Outcome == report.Limit || run.Outcome == report.Skipped
		if c.Class != run.Client+">"+run.Server || c.Name != run.Scenario.String() || (c.Failure != nil) != failed || (c.Skipped != nil) != skipped {
			t.Errorf("%s is %+v", run.ID, c)
		}
		if failed && (c.Failure.Message != run.Reason || !strings.HasPrefix(c.Failure.Text, "/opt/attls conform --case ")) {
			t.Errorf("%s: %+v", run.ID, c.Failure)
		}
	}
}

// TestMended: a run that passed unlike other releases of a stack says so in every form.
func TestMended(t *testing.T) {
	r := sample(t)
	const reason = "mended in Example 2.0, a deviation of example 1.0"
	for i := range r.Runs {
		if r.Runs[i].Outcome == report.Passed {
			r.Runs[i].Reason = reason
			break
		}
	}
	var page, suite bytes.Buffer
	if err := errors.Join(r.WriteHTML(&page), r.WriteJUnit(&suite)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"the page": page.String(), "JUnit's XML": suite.String()} {
		want := map[string]string{"the page": `data-reason="` + reason, "JUnit's XML": "<system-out>" + reason}[name]
		if !strings.Contains(text, want) {
			t.Errorf("%s does not say %q", name, want)
		}
	}
	if !strings.Contains(page.String(), "<span>mended</span>") || strings.Contains(suite.String(), "<skipped message=\"mended") {
		t.Error("it does not count as mended")
	}
}
