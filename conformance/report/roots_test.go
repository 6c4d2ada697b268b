package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"attls/conformance/bench"
	"attls/conformance/report"
)

var updateChart = flag.Bool("update-chart", false, "write the chart of the test anew")

// measuredRoots are fixed figures: a row of each kind.
func measuredRoots() *bench.RootReport {
	at := func(times ...float64) (list []bench.RootLatency) {
		for i, t := range times {
			list = append(list, bench.RootLatency{RTT: []time.Duration{0, 20 * time.Millisecond}[i], Runs: 3, Nanoseconds: t * 1e6})
		}
		return list
	}
	return &bench.RootReport{Schema: bench.RootSchema, Profile: "early-attestation-06", Attester: "server", Credential: "x509", Complete: true,
		Machine: bench.Machine{System: "linux", Architecture: "amd64", Processors: 2, Go: "go1.26"},
		Plain: bench.RootRow{Rounds: 3, Cost: bench.Cost{Nanoseconds: 7e5, Allocations: 300}, ToPlain: 1, Octets: bench.EndOctets{Client: 294, Server: 717},
			RoundTrips: 2, Latencies: at(0.6, 41)},
		Rows: []bench.RootRow{
			{Root: "psa", Title: "PSA", Model: "evidence", Verifier: "embedded", Rounds: 3, Cost: bench.Cost{Nanoseconds: 14e5, Allocations: 1600}, ToPlain: 2,
				AddedAllocations: 1300, Make: 7e4, Judge: 25e4, EvidenceOctets: 520, PayloadOctets: 520, Octets: bench.EndOctets{Client: 306, Server: 1253},
				AddedOctets: 548, RoundTrips: 2, Latencies: at(1.2, 42)},
			{Root: "psa", Title: "PSA", Model: "results", Verifier: "http", Rounds: 3, Cost: bench.Cost{Nanoseconds: 21e5, Allocations: 2800}, ToPlain: 3,
				AddedAllocations: 2500, Make: 8e4, Judge: 6e5, Check: 2e5, EvidenceOctets: 520, PayloadOctets: 1038, Octets: bench.EndOctets{Client: 321, Server: 1787},
				AddedOctets: 1097, RoundTrips: 2, VerifierRoundTrips: 1, Latencies: at(2, 63.5)},
			{Root: "tpm", Title: "TPM", Skipped: "swtpm is not installed"},
			{Root: "nitro", Model: "evidence", Verifier: "http", Skipped: "no such type"},
			{Root: "nitro", Model: "results", Verifier: "http", Failed: "attestation_failed"},
			{Root: "cca", Model: "evidence", Verifier: "embedded", Skipped: "no room"},
			{Root: "cca", Model: "evidence", Verifier: "http", Skipped: "no room"},
		}}
}

// hostileRoots is a report whose texts and figures are somebody else's.
func hostileRoots() *bench.RootReport {
	r, bad := measuredRoots(), endless(5000)
	r.Profile, r.Attester, r.Machine.Go, r.Ended, r.Complete = bad, bad, bad, bad, false
	for i := range r.Rows {
		row := &r.Rows[i]
		row.Root, row.Model, row.Verifier = bad, bad, bad
		if row.Skipped != "" {
			row.Skipped = bad
		}
	}
	r.Rows[0].Latencies[0].Nanoseconds, r.Rows[0].Make = math.NaN(), math.Inf(1)
	r.Rows[1].Latencies[0].Nanoseconds = -5
	return r
}

// picture is the chart of a report, which is well-formed XML.
func picture(t *testing.T, r *bench.RootReport) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.RootsChart(r).WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return b.String()
		} else if err != nil {
			t.Fatal(err, b.String())
		}
	}
}

// TestRootsChart: fixed figures give the octets of the stored picture.
func TestRootsChart(t *testing.T) {
	const name = "testdata/roots.svg"
	got := picture(t, measuredRoots())
	if *updateChart {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the chart is not that of %s; look at it, then go test ./conformance/report -run TestRootsChart -update-chart", name)
	}
	for _, text := range []string{"<title id=", "<desc id=", `role="img"`, "prefers-color-scheme:dark", "<title>network: 60.0 ms</title>", "psa, passport, http", "63.5 ms"} {
		if !strings.Contains(got, text) {
			t.Errorf("the chart lacks %q", text)
		}
	}
}

// TestRootsChartHostile: names become no markup, and what is not a number no bar.
func TestRootsChartHostile(t *testing.T) {
	got := picture(t, hostileRoots())
	for _, bad := range []string{"<script", "<img", "\u202e", "\x1b", "NaN", "Inf", `width="-`} {
		if strings.Contains(got, bad) {
			t.Errorf("%q is in the chart", bad)
		}
	}
	many := &report.Chart{Parts: []string{"a"}, Panels: []report.Panel{{Bars: make([]report.Bar, 5000)}}}
	var b bytes.Buffer
	if err := many.WriteSVG(&b); err != nil || b.Len() > 100_000 {
		t.Errorf("%d octets of 5000 bars, %v", b.Len(), err)
	}
	if empty := picture(t, &bench.RootReport{}); !strings.Contains(empty, "</svg>") {
		t.Error(empty)
	}
}

// rootsPage is the page of a report.
func rootsPage(t testing.TB, r *bench.RootReport, command string) string {
	t.Helper()
	var b bytes.Buffer
	if err := (&report.RootsPage{RootReport: r, Version: "v1", Command: command}).WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRootsPage: the page has the chart and its figures as a table, what was not measured
// and why, and runs nothing.
func TestRootsPage(t *testing.T) {
	got := rootsPage(t, measuredRoots(), "attls bench attestation")
	for _, text := range []string{"default-src 'none'", `role="img"`, `<td data-label="Evidence">520</td>`, "psa, background check, embedded",
		`<th scope="row">without attestation</th>`, "tpm: skipped: swtpm is not installed", "nitro, passport, http: failed: attestation_failed",
		"first data in ms, RTT 20 ms", "63.50", "attls bench attestation", "width=device-width"} {
		if !strings.Contains(got, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	if strings.Contains(got, "<script") || strings.Contains(got, "ended early") || got != rootsPage(t, measuredRoots(), "attls bench attestation") {
		t.Error("the page has a script, or is another one each time")
	}
	r := measuredRoots()
	r.Complete, r.Ended = false, "interrupted"
	if got := rootsPage(t, r, ""); !strings.Contains(got, "ended early: interrupted.") {
		t.Error("the page does not say that the measurement ended early")
	}
	got = rootsPage(t, hostileRoots(), endless(300_000))
	for _, bad := range []string{"<script", "<img", "\u202e", "\x1b"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
	if !strings.Contains(got, "octets more)") || len(got) > 200_000 {
		t.Errorf("a page of %d octets", len(got))
	}
}

// TestRootsNotices: a reason is given for each row, and once where a whole root of trust
// has it.
func TestRootsNotices(t *testing.T) {
	want := []string{"tpm: skipped: swtpm is not installed", "nitro, background check, http: skipped: no such type",
		"nitro, passport, http: failed: attestation_failed", "cca: skipped: no room"}
	if got := report.RootsNotices(measuredRoots()); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestRootsFigures: each row has as many cells as the head, and a row that was not
// measured has none.
func TestRootsFigures(t *testing.T) {
	for _, f := range report.RootsFigures(measuredRoots()) {
		if len(f.Rows) != 3 {
			t.Errorf("%s has %d rows", f.Title, len(f.Rows))
		}
		for _, row := range f.Rows {
			if len(row) != len(f.Head) {
				t.Errorf("%s: %q under %q", f.Title, row, f.Head)
			}
		}
	}
	if got, want := fmt.Sprint(report.RootsFigures(measuredRoots())[1].Rows[2]), "[520 1038 321 1787 1097 2 1 2.00 63.50 psa, passport, http]"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}
