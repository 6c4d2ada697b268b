package report_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/report"
	"attls/conformance/scenario"

	"golang.org/x/net/html"
)

const attack = `"><script>alert(1)</script><img src=x onerror=alert(2)>`

// sample is a report of a few real runs, with other stacks' names on them.
func sample(t testing.TB) *report.Report {
	t.Helper()
	r := report.New("Interoperation of a sample")
	r.Began, r.Seconds = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), 12.3
	r.Program, r.Command, r.Version = "/opt/attls", "attls conform --full", "v1.2.3"
	r.Stacks = []report.Stack{{Name: "attls", Version: "v1.2.3"}, {Name: "mbedtls", Version: "Mbed TLS 3.6.6"}, {Name: "gnutls", Missing: "gnutls-cli is not installed."}}
	for _, s := range []scenario.Scenario{
		{Profile: "early-attestation-06"},
		{Profile: "early-attestation-06", Attester: scenario.AttestBoth, HelloRetry: true, Group: "secp256r1"},
		{Profile: "early-attestation-06", Fail: "binder"},
		{Profile: "tls-attestation-07", Suite: "TLS_AES_256_GCM_SHA384"},
		{Profile: "mbedtls-poc"},
	} {
		result := scenario.Run(context.Background(), s, scenario.Find(cases.Find))
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		run := r.Add(&result, 12*time.Millisecond)
		run.Command = "conform --case '" + run.ID + "'"
	}
	// The second is a failure: the server claims another challenge, and a text of
	// an attacker.
	bad := &r.Runs[1]
	bad.Server, bad.Outcome, bad.Reason = "mbedtls", report.Failed, "the claims differ: challenge "+attack
	claimed := *bad.ServerClaims
	claimed.Attestation = append([]claims.AttestationClaim(nil), claimed.Attestation...)
	claimed.Attestation[0].Challenge = strings.Repeat("00", 32)
	claimed.ALPN, claimed.Group = attack, ""
	other := *bad.ClientClaims
	other.ALPN = "h2"
	bad.ClientClaims, bad.ServerClaims, bad.Capture = &other, &claimed, "out/"+attack+".pcapng"
	r.Runs[3].Client, r.Runs[3].Outcome, r.Runs[3].Reason = "mbedtls", report.Deviation, "mbedTLS sends decode_error where the draft wants illegal_parameter."
	r.Runs[4].Server = "openssl"
	r.Runs = append(r.Runs,
		report.Run{ID: "gnutls-attls/plain", Client: "gnutls", Server: "attls", Outcome: report.Skipped, Reason: "gnutls-cli is not installed."},
		report.Run{ID: "openssl-attls/early", Client: "openssl", Server: "attls", Scenario: scenario.Scenario{Profile: "early-attestation-06"},
			Outcome: report.Limit, Reason: "OpenSSL sends no extension of the user's in CertificateEntry."})
	return r
}

func page(t testing.TB, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// opened is the page with every run opened, as its script does it.
func opened(t testing.TB, r *report.Report) string {
	t.Helper()
	text := page(t, r)
	var bodies []string
	for _, block := range regexp.MustCompile(`<script type="text/plain" class="block">(.*)</script>\n`).FindAllStringSubmatch(text, -1) {
		octets, err := base64.StdEncoding.DecodeString(block[1])
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(octets))
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		if err := json.NewDecoder(z).Decode(&list); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, list...)
		text = strings.Replace(text, block[0], "", 1)
	}
	n := 0
	text = regexp.MustCompile(`<noscript>.*?</noscript>`).ReplaceAllStringFunc(text, func(string) string { n++; return bodies[n-1] })
	if n != len(r.Runs) || n != len(bodies) {
		t.Fatalf("%d runs, %d rows, %d bodies", len(r.Runs), n, len(bodies))
	}
	return text
}

// walk visits every element of the page.
func walk(n *html.Node, f func(*html.Node)) {
	f(n)
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, f)
	}
}

// TestPage holds what the page must show, that it is the same each time, that
// nothing of a claim becomes markup, and that it needs no other file.
func TestPage(t *testing.T) {
	r := sample(t)
	if first, second := page(t, r), page(t, r); first != second {
		t.Error("the same report gives two pages")
	}
	text := opened(t, r)
	for _, want := range []string{"Interoperation of a sample", "2 January 2026, 15:04 UTC", "attls conform --full", "peer limit", "expected deviation",
		"mbedTLS sends decode_error", "remoteAttestation", "hash(CH..SH)", "attestation_failed", "2 claims differ",
		"<code>/opt/attls conform --case &#39;attls-attls/mbedtls-poc", "Mbed TLS 3.6.6", "not here: gnutls-cli", `data-reason="OpenSSL sends no extension`, "1 deviation<",
		`data-words="attls-attls/early-attestation-06`, "attestation.binder_mismatch",
		"<title>Interoperation of a sample: 3 passed, 1 failed, 2 skipped, 1 expected deviation</title>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	cell := regexp.MustCompile(`data-pair="mbedtls → attls" data-profile="tls-attestation-07"[^>]*><span class="sr">[^<]*</span><b>0</b><span> of 1</span>`)
	if !cell.MatchString(text) {
		t.Error("an expected deviation counts as passed in the matrix, and not in the last line")
	}
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	ids := map[string]bool{}
	walk(root, func(n *html.Node) {
		if n.Type != html.ElementNode {
			return
		}
		count[n.Data]++
		for _, a := range n.Attr {
			switch {
			case a.Key == "src" || a.Key == "href" && a.Val != "#runs" || strings.HasPrefix(a.Key, "on"):
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			case a.Key == "id" && ids[a.Val]:
				t.Errorf("the id %s stands twice", a.Val)
			case a.Key == "id":
				ids[a.Val] = true
			}
		}
	})
	if count["script"] != 1 || count["img"] != 0 || count["link"] != 0 || count["style"] != 1 {
		t.Errorf("elements: %v", count)
	}
	// A run each, and the reasons of deviations, limits and skipped runs.
	if count["details"] != len(r.Runs)+3 {
		t.Errorf("%d runs shown of %d", count["details"], len(r.Runs))
	}
	if external := regexp.MustCompile(`(url\(|@import|https?:)`).FindString(text); external != "" {
		t.Errorf("the page refers to something outside: %s", external)
	}
}

// TestPageParts: a page of a part says so, and what is missing or mixed.
func TestPageParts(t *testing.T) {
	r := sample(t)
	r.Grid = report.NewGrid(nil, make([]string, 12))
	r.Shards = []report.Shard{{Index: 1, Count: 3, Cases: 4}, {Index: 2, Count: 3, Cases: 4}}
	r.Stacks = append(r.Stacks, report.Stack{Name: "mbedtls", Version: "Mbed TLS 3.6.5"})
	for i := range r.Runs {
		r.Runs[i].Number = i + 1
	}
	text := page(t, r)
	for _, want := range []string{"shard 1/3, 2/3", "Shard 3/3 is missing.", "2 of 4 cases of shard 1/3 were not run.", "2 of 4 cases of shard 2/3 were not run.",
		"The shards met different versions of mbedtls: Mbed TLS 3.6.6; Mbed TLS 3.6.5."} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestPageSize: a page of 1500 runs must have less than 3 MB.
func TestPageSize(t *testing.T) {
	r := sample(t)
	empty := *r
	empty.Runs = nil
	few := r.Runs[:5] // with messages and claims
	for i := range few {
		few[i].Binders = nil // another stack tells none
	}
	r.Runs = nil
	const copies = 20
	for range copies {
		r.Runs = append(r.Runs, few...)
	}
	opened(t, r) // more than one block
	if each := (len(page(t, r)) - len(page(t, &empty))) / (copies * len(few)); each > 3_000_000/1500 {
		t.Errorf("%d octets for each run", each)
	}
}

// open lists the tags that are opened and closed, without those that have no end.
var open = regexp.MustCompile(`(?s)<(/?)([a-z0-9]+)[^>]*>`)

// TestStructure checks that every element is closed in the order in which they
// were opened, which a parser of HTML would mend silently.
func TestStructure(t *testing.T) {
	text := opened(t, sample(t))
	text = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`).ReplaceAllString(text, "")
	void := map[string]bool{"meta": true, "input": true}
	var stack []string
	for _, tag := range open.FindAllStringSubmatch(text, -1) {
		switch {
		case void[tag[2]]:
		case tag[1] == "":
			stack = append(stack, tag[2])
		case len(stack) == 0 || stack[len(stack)-1] != tag[2]:
			t.Fatalf("</%s> closes %v", tag[2], stack[max(0, len(stack)-3):])
		default:
			stack = stack[:len(stack)-1]
		}
	}
	if len(stack) != 0 {
		t.Errorf("never closed: %v", stack)
	}
}

func TestEmptyReport(t *testing.T) {
	if text := page(t, report.New("Nothing")); !strings.Contains(text, "<h1>Nothing</h1>") {
		t.Error(text)
	}
}

func TestJSON(t *testing.T) {
	r := sample(t)
	if want := "3 passed, 1 failed, 2 skipped, 1 expected deviation"; r.Line() != want {
		t.Errorf("%q, want %q", r.Line(), want)
	}
	r.Runs = slices.DeleteFunc(r.Runs, func(x report.Run) bool { return x.Outcome == report.Deviation })
	if want := "3 passed, 1 failed, 2 skipped"; r.Line() != want {
		t.Errorf("%q, want %q", r.Line(), want)
	}
	r = sample(t)
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := report.Read("r.json", bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if page(t, again) != page(t, r) {
		t.Error("a report that was written and read gives another page")
	}
	first, second := *r, *r
	first.Runs, second.Runs = r.Runs[:3], r.Runs[3:]
	second.Seconds, second.Began = 20, r.Began.Add(-time.Hour)
	merged, err := report.Merge(&first, &second)
	if err != nil || len(merged.Runs) != len(r.Runs) || merged.Seconds != 20 || !merged.Began.Equal(second.Began) {
		t.Errorf("%+v, %v", merged, err)
	}
	if _, err := report.Merge(r, &second); err == nil {
		t.Error("runs that stand in two reports are merged")
	}
	if _, err := report.Merge(); err == nil {
		t.Error("no report is merged")
	}
	for _, text := range []string{"", `{"schema": "other/1"}`} {
		if _, err := report.Read("r.json", strings.NewReader(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
	var plain struct{ Runs []json.RawMessage }
	if err := json.Unmarshal(b.Bytes(), &plain); err != nil || len(plain.Runs) != len(r.Runs) {
		t.Errorf("%d runs in JSON, %v", len(plain.Runs), err)
	}
}

// TestEveryCountOfDeviationsIsTheSame: in the last line, the tallies and the cells of the matrix.
func TestEveryCountOfDeviationsIsTheSame(t *testing.T) {
	r := report.New("")
	for i, o := range []report.Outcome{report.Passed, report.Passed, report.Deviation, report.Deviation, report.Deviation, report.Failed, report.Limit, report.Skipped} {
		r.Runs = append(r.Runs, report.Run{ID: fmt.Sprint(i), Client: []string{"a", "b"}[i%2], Server: "c", Outcome: o})
	}
	if want := "2 passed, 1 failed, 2 skipped, 3 expected deviations"; r.Line() != want {
		t.Errorf("%q, want %q", r.Line(), want)
	}
	sums := map[report.Outcome]int{}
	passed, runs := 0, 0
	for _, row := range r.Matrix() {
		for i := range row.Cells {
			passed += row.Cells[i].Passed()
			runs += row.Cells[i].Runs()
			for _, n := range row.Cells[i].Tallies() {
				sums[n.Outcome] += n.Count
			}
		}
	}
	for _, n := range r.Tallies() {
		if sums[n.Outcome] != n.Count || r.Count(n.Outcome) != n.Count {
			t.Errorf("%s: %d in the cells, %d in all", n.Outcome, sums[n.Outcome], n.Count)
		}
	}
	if p, f, _ := r.Counts(); passed != p || p != 2 || runs != p+f+3 {
		t.Errorf("%d of %d passed in the cells", passed, runs)
	}
}

// TestReadSpellsIDsAsToday: a report of an earlier version names faults with underscores and dots.
func TestReadSpellsIDsAsToday(t *testing.T) {
	const text = `{"schema": "attls-report/1", "title": "", "began": "2026-01-02T15:04:05Z", "seconds": 1, "runs": [
		{"id": "attls-b/early-attestation-06/fail-no_scheme.evidence", "client": "attls", "server": "b", "outcome": "passed", "seconds": 1,
		 "command": "conform --case attls>b/early-attestation-06/fail-no_scheme.evidence",
		 "scenario": {"profile": "early-attestation-06", "fail": "no_scheme.evidence"}, "fault": {"name": "no_scheme.evidence", "does": "", "scenario": {"profile": "", "fail": "no_scheme.evidence"}}},
		{"id": "attls-b//tolerate-apart.client", "client": "attls", "server": "b", "outcome": "passed", "seconds": 1, "scenario": {"profile": "", "tolerate": "apart.client"}}]}`
	r, err := report.Read("old.json", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "no_scheme") || strings.Contains(b.String(), "apart.client") ||
		strings.Count(b.String(), "no-scheme-evidence") != 5 || strings.Count(b.String(), "apart-client") != 2 {
		t.Error(b.String())
	}
}
