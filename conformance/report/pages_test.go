package report_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/report"
	"attls/conformance/scenario"
	"attls/conformance/trace"
)

// wide is a report of many stacks and profiles with every outcome, sizes of Evidence
// and requirements.
func wide(t testing.TB) *report.Report {
	t.Helper()
	r := sample(t)
	some := r.Runs
	r.Title = "Stacks under every profile"
	stacks := []string{"attls", "crypto/tls", "mbedtls", "mbedtls-unpatched", "openssl", "openssl-next", "gnutls", "nss"}
	profiles := []string{"", "early-attestation-00", "early-attestation-06", "tls-attestation-04", "tls-attestation-07", "mbedtls-poc", "a-profile-of-somebody-with-a-long-name"}
	reasons := map[report.Outcome]string{report.Failed: "The client's claims lack the challenge of the server.", report.Deviation: "It sends decode_error where the draft wants illegal_parameter.",
		report.Limit: "It sends no extension of the user's in CertificateEntry.", report.Skipped: "It is not installed."}
	for i, client := range stacks {
		for k, server := range stacks {
			for j, p := range profiles {
				for n := range 1 + (i+k)%2 {
					run := some[(i+k+j)%5]
					o := []report.Outcome{report.Passed, report.Passed, report.Deviation, report.Limit, report.Skipped, report.Passed, report.Failed}[(i*7+k*3+j*5+n*n)%7]
					run.Client, run.Server, run.Outcome, run.Reason, run.Scenario.Profile = client, server, o, reasons[o], p
					run.ID = fmt.Sprintf("%s-%s/%s-%d", client, server, p, n)
					r.Runs = append(r.Runs, run)
				}
			}
		}
	}
	for i, n := range []int{1, 1000, 60 << 10, 1 << 20} {
		for k, s := range []string{"mbedtls", "openssl"} {
			r.Runs = append(r.Runs, report.Run{ID: fmt.Sprint("size-", s, n), Client: "attls", Server: s, Outcome: report.Outcomes[(i+k)%3+1],
				Scenario: scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestClient, Credential: claims.CredentialX509, Payload: n}})
		}
	}
	c := covered()
	r.Requirements = c.Requirements
	for i := range r.Requirements {
		r.Requirements[i].Text = strings.Repeat("An endpoint MUST abort the handshake with an alert if "+r.Requirements[i].Text+". ", 2)
	}
	for _, run := range c.Runs {
		run.Scenario.Profile = "early-attestation-06"
		r.Runs = append(r.Runs, run)
	}
	return r
}

// endless is a long text without a space, with what a page could take for markup.
func endless(octets int) string {
	return strings.Repeat(attack+"\u202e\x1b[2J", octets/len(attack))[:octets]
}

// hostile is a report in which every text is somebody else's.
func hostile(t testing.TB) *report.Report {
	t.Helper()
	r := sample(t)
	bad := endless(300_000)
	e := &claims.ErrorClaim{Failure: bad, Message: bad, Field: bad, Rule: bad, Detail: bad}
	r.Title, r.Version, r.Command, r.Program = bad, bad, bad, bad
	r.Stacks = append(r.Stacks, report.Stack{Name: bad, Version: bad, Where: bad}, report.Stack{Name: bad, Missing: bad})
	deep := &claims.BinderNode{Name: bad, Expr: bad, Value: bad}
	for range 5000 {
		deep = &claims.BinderNode{Expr: "n", Value: "00", Parts: []*claims.BinderNode{deep}}
	}
	for i := range 3 {
		run := &r.Runs[i]
		run.Client, run.Server, run.Scenario.Profile, run.ID, run.Reason, run.Capture, run.Command = bad, bad, bad, fmt.Sprint(bad, i), bad, bad, bad
		run.Outcome = report.Outcomes[i]
		run.Scenario.Suite, run.Scenario.Group, run.Scenario.ALPN, run.Scenario.Fail = bad, bad, bad, bad
		run.ClientClaims = &claims.Claims{Role: bad, Suite: bad, ALPN: bad, Error: e, AlertSent: &claims.AlertClaim{Name: bad}, Attestation: []claims.AttestationClaim{{Attester: bad,
			Challenge: bad, Verdict: &claims.VerdictClaim{Failure: bad, Reason: bad, Status: bad}}}}
		run.ServerClaims = &claims.Claims{Role: bad, ALPN: "other"}
		run.Ladder = []trace.Step{{From: bad, What: bad, Details: []string{bad}, Alert: &claims.AlertClaim{Name: bad}, Broken: e,
			Extensions: []trace.StepExtension{{Name: bad, Added: true, Fields: []trace.FieldValue{{Path: bad, Value: bad}}}, {Name: bad, Fields: []trace.FieldValue{{Value: bad}}}}}}
		for range 5000 {
			run.Ladder[0].Details = append(run.Ladder[0].Details, "one more")
		}
		run.Binders = []scenario.Binder{{Attester: bad, Value: bad, Tree: deep}}
		run.Fault = &cases.Case{ID: bad, Does: bad, Rejects: bad, At: bad, Alert: &claims.AlertClaim{Name: bad}}
		run.Requirements = []string{bad}
	}
	r.Requirements = []report.Requirement{{ID: bad, Document: bad, Text: bad}, {ID: "x", Document: bad, Unsent: bad}}
	return r
}

// TestHostilePage: what somebody else says becomes no markup and no long page, and where
// something is left out, the page says so.
func TestHostilePage(t *testing.T) {
	text := opened(t, hostile(t))
	for _, bad := range []string{"<script>alert", "<img", "\u202e", "\x1b"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
	for _, want := range []string{"octets more)", "Something here is longer than a page shows", "default-src 'none'", "script-src 'sha256-"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if len(text) > 4_000_000 {
		t.Errorf("the page has %d octets", len(text))
	}
	depth, deepest := 0, 0
	for _, tag := range open.FindAllStringSubmatch(text, -1) {
		switch {
		case tag[2] == "ul" && tag[1] == "":
			depth++
			deepest = max(deepest, depth)
		case tag[2] == "ul":
			depth--
		}
	}
	if deepest > 100 {
		t.Errorf("lists in %d lists", deepest)
	}
	if text := opened(t, sample(t)); strings.Contains(text, "longer than a page shows") {
		t.Error("a page of usual runs leaves something out")
	}
	// The report itself keeps everything.
	r := hostile(t)
	page(t, r)
	if len(r.Runs[0].Reason) != 300_000 || len(r.Runs[0].Ladder[0].Details) != 5001 {
		t.Error("the page shortened the report")
	}
}

// samplePages are pages to look at and to try in a browser.
func samplePages(t testing.TB) map[string]*report.Report {
	return map[string]*report.Report{"sample": sample(t), "wide": wide(t), "hostile": hostile(t), "empty": report.New("Nothing")}
}

// TestWritePages writes pages into the directory that ATTLS_PAGES names, to look at
// them; the module browsertest tries them in a browser.
func TestWritePages(t *testing.T) {
	dir := os.Getenv("ATTLS_PAGES")
	if dir == "" {
		t.Skip("ATTLS_PAGES names no directory")
	}
	for name, r := range samplePages(t) {
		if err := os.WriteFile(filepath.Join(dir, name+".html"), []byte(page(t, r)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
