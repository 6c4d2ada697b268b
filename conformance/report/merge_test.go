package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"attls/conformance/report"
	"attls/conformance/scenario"
)

// TestDeal: whatever the number of shards, each case is in one, neighbours are in
// different ones, and no shard gets one value only of a dimension that repeats.
func TestDeal(t *testing.T) {
	const cases = 240
	for n := 2; n <= 9; n++ {
		for k := range cases {
			var in []int
			for i := 1; i <= n; i++ {
				if (report.Shard{Index: i, Count: n}).Has(k) {
					in = append(in, i)
				}
			}
			if len(in) != 1 {
				t.Fatalf("case %d of %d shards is in %v", k, n, in)
			}
		}
		seen := map[int]bool{} // the places within a period of n
		first := report.Shard{Index: 1, Count: n}
		for k := range cases {
			if first.Has(k) {
				seen[k%n] = true
			}
		}
		if len(seen) != n {
			t.Errorf("of %d shards the first has %d of %d values", n, len(seen), n)
		}
	}
	if report.Whole.Has(-1) || !report.Whole.Has(0) {
		t.Error("the whole begins elsewhere")
	}
}

// part is a shard's report of a grid of eight cases.
func part(index, count int) *report.Report {
	r := report.New("parts")
	var names []string
	shard := report.Shard{Index: index, Count: count}
	for k := range 8 {
		names = append(names, fmt.Sprintf("case %d", k))
		if shard.Has(k) {
			r.Runs = append(r.Runs, report.Run{ID: names[k], Number: k + 1, Outcome: report.Passed})
		}
	}
	shard.Cases = len(r.Runs)
	r.Shards, r.Grid = []report.Shard{shard}, report.NewGrid(map[string]string{"full": "true"}, names)
	r.Seconds, r.Began = float64(index), time.Unix(int64(100-index), 0)
	return r
}

// TestMerge: which reports belong together, and what is missing where some do not
// come.
func TestMerge(t *testing.T) {
	spoilt := func(spoil func(*report.Report)) *report.Report {
		r := part(2, 3)
		spoil(r)
		return r
	}
	for name, test := range map[string]struct {
		parts   []*report.Report
		wrong   string
		missing string
		unrun   int
	}{
		"all":          {parts: []*report.Report{part(3, 3), part(1, 3), part(2, 3)}},
		"in two steps": {parts: []*report.Report{merged(t, part(3, 3), part(1, 3)), part(2, 3)}},
		"one missing":  {parts: []*report.Report{part(3, 3), part(1, 3)}, missing: "Shard 2/3 is missing."},
		"more":         {parts: []*report.Report{part(2, 9)}, missing: "Shards 1/9, 3/9, 4/9, 5/9, 6/9, 7/9, 8/9, 9/9 are missing."},
		"interrupted": {parts: []*report.Report{part(1, 3), part(3, 3), spoilt(func(r *report.Report) { r.Runs = r.Runs[1:] })},
			missing: "1 of 2 cases of shard 2/3 were not run.", unrun: 1},
		"twice":      {parts: []*report.Report{part(1, 3), part(2, 3), part(2, 3)}, wrong: "shard 2/3 is there twice"},
		"empty":      {parts: []*report.Report{part(9, 10), part(9, 10)}, wrong: "shard 9/10 is there twice"},
		"same run":   {parts: []*report.Report{part(1, 3), spoilt(func(r *report.Report) { r.Runs[0].ID = "case 0" })}, wrong: "both have the run case 0"},
		"divisions":  {parts: []*report.Report{part(1, 3), part(2, 4)}, wrong: "different divisions: 1/3 and 2/4"},
		"version":    {parts: []*report.Report{part(1, 3), spoilt(func(r *report.Report) { r.Version = "v9" })}, wrong: "different versions of attls"},
		"options":    {parts: []*report.Report{part(1, 3), spoilt(func(r *report.Report) { r.Grid.Options = nil })}, wrong: "different options: --full=true and none"},
		"cases":      {parts: []*report.Report{part(1, 3), spoilt(func(r *report.Report) { r.Grid.Digest = "" })}, wrong: "different lists of cases"},
		"no grid":    {parts: []*report.Report{part(1, 3), spoilt(func(r *report.Report) { r.Grid, r.Shards = nil, nil })}, wrong: "part of a grid"},
		"not a part": {parts: nil, wrong: "no report"},
	} {
		r, err := report.Merge(test.parts...)
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if got := strings.Join(r.Missing(), " "); got != test.missing || r.Unrun() != test.unrun {
			t.Errorf("%s: %q is missing, %d were not run", name, got, r.Unrun())
		}
		if test.missing == "" && (len(r.Runs) != r.Total() || r.Seconds != 3 || r.Began.Unix() != 97) {
			t.Errorf("%s: %d runs of %d, %v s since %v", name, len(r.Runs), r.Total(), r.Seconds, r.Began)
		}
		for i := 1; i < len(r.Runs); i++ {
			if r.Runs[i].Number <= r.Runs[i-1].Number {
				t.Errorf("%s: run %d stands after %d", name, r.Runs[i].Number, r.Runs[i-1].Number)
			}
		}
	}
}

func merged(t *testing.T, parts ...*report.Report) *report.Report {
	t.Helper()
	r, err := report.Merge(parts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMixed: stacks that were not the same everywhere are named, wherever they are.
func TestMixed(t *testing.T) {
	a, b := part(1, 2), part(2, 2)
	a.Stacks = []report.Stack{{Name: "mbedtls", Version: "3.6.6", Where: "/a"}, {Name: "openssl", Version: "3.0"}}
	b.Stacks = []report.Stack{{Name: "mbedtls", Version: "3.6.6", Where: "/b"}, {Name: "openssl", Missing: "not in the PATH"}}
	r := merged(t, a, b)
	if got := strings.Join(r.Mixed(), " "); got != "The shards met different versions of openssl: 3.0; not here." || len(r.Stacks) != 3 {
		t.Errorf("%s, %+v", got, r.Stacks)
	}
}

// TestContradictions: a report whose header is of no possible run is not read.
func TestContradictions(t *testing.T) {
	for name, spoil := range map[string]func(*report.Report){
		"no grid":   func(r *report.Report) { r.Grid = nil },
		"index":     func(r *report.Report) { r.Shards[0].Index = 4 },
		"count":     func(r *report.Report) { r.Shards[0].Count = 1 << 40 },
		"zero":      func(r *report.Report) { r.Shards[0].Count = 0 },
		"divisions": func(r *report.Report) { r.Shards = append(r.Shards, report.Shard{Index: 1, Count: 2}) },
	} {
		r := part(1, 3)
		spoil(r)
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := report.Read("shard.json", &b); err == nil || !strings.HasPrefix(err.Error(), "shard.json: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIdle: what was asked for and not tried at all is said of a whole grid, not of a
// part of one.
func TestIdle(t *testing.T) {
	sound, faulty := scenario.Scenario{}, scenario.Scenario{Fail: "binder"}
	run := func(server string, s scenario.Scenario, o report.Outcome) report.Run {
		return report.Run{ID: server + string(o) + s.Fail, Client: "attls", Server: server, Scenario: s, Outcome: o}
	}
	for _, test := range []struct {
		name    string
		options map[string]string
		runs    []report.Run
		part    bool
		want    string
	}{
		{name: "nothing", want: "No case was run (skipped: 0)."},
		{name: "a run", runs: []report.Run{run("openssl", sound, report.Passed)}},
		{name: "a failure", runs: []report.Run{run("openssl", sound, report.Failed)}},
		{name: "a deviation", runs: []report.Run{run("openssl", sound, report.Deviation)}},
		{name: "skips and limits", runs: []report.Run{run("openssl", sound, report.Skipped), run("gnutls", sound, report.Limit)}, want: "No case was run (skipped: 2)."},
		{name: "a shard of skips", runs: []report.Run{run("openssl", sound, report.Skipped)}, part: true},
		{name: "a named stack without a run", options: map[string]string{"peer": "openssl,gnutls"},
			runs: []report.Run{run("openssl", sound, report.Passed), run("gnutls", sound, report.Skipped)}, want: "No case with gnutls was run (skipped: 1)."},
		{name: "named stacks with runs", options: map[string]string{"peer": "openssl,gnutls"},
			runs: []report.Run{run("openssl", sound, report.Passed), run("gnutls", sound, report.Passed)}},
		{name: "no fault", options: map[string]string{"faults": "true"},
			runs: []report.Run{run("openssl", sound, report.Passed), run("openssl", faulty, report.Limit)}, want: "No fault was sent."},
		{name: "a fault", options: map[string]string{"faults": "true"}, runs: []report.Run{run("openssl", faulty, report.Deviation)}},
		{name: "a fault for one of two named", options: map[string]string{"faults": "true", "peer": "openssl,gnutls"},
			runs: []report.Run{run("openssl", faulty, report.Passed), run("gnutls", sound, report.Passed)}, want: "No fault with gnutls was sent."},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := report.New("idle")
			r.Runs, r.Grid, r.Shards = test.runs, report.NewGrid(test.options, nil), []report.Shard{report.Whole}
			if test.part {
				r.Shards[0].Count = 2
			}
			if got := strings.Join(r.Idle(), " "); got != test.want {
				t.Errorf("%q, not %q", got, test.want)
			}
		})
	}
}

// TestUnidentified: a report that does not name a commit says so.
func TestUnidentified(t *testing.T) {
	for version, known := range map[string]bool{"": false, "(devel)": false, "v0.0.0-20261129112221-06d29a773ffc": true,
		"v0.0.0-20261129112221-06d29a773ffc+dirty": false, "devel-06d29a773ffc": true, "v1.2.3": true} {
		r := report.New("version")
		r.Version = version
		if got := r.Unidentified(); (got == "") != known {
			t.Errorf("%q: %q", version, got)
		}
	}
}

// TestRead: what is not a whole report is not read.
func TestRead(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing":                  {"", "EOF"},
		"another object":           {"{}", "schema"},
		"an outcome of its own":    {`{"schema":"attls-report/1","runs":[{"id":"x","outcome":"great"}]}`, `run "x" has the outcome "great"`},
		"no outcome":               {`{"schema":"attls-report/1","runs":[{"id":"x"}]}`, `outcome ""`},
		"a second report behind":   {`{"schema":"attls-report/1","runs":[]}{}`, "something follows"},
		"a report that is cut off": {`{"schema":"attls-report/1","runs":[`, "unexpected EOF"},
	} {
		if _, err := report.Read("shard.json", strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
