package report

import (
	"bytes"
	"strings"
	"testing"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/trace"
)

// TestIssues: failures and deviations of one kind are one page, which says what is needed to file
// it, and one of authentication is marked.
func TestIssues(t *testing.T) {
	fault := func(name string, f attls.Failure) *cases.Case {
		return &cases.Case{ID: name, Does: "One bit is flipped.", Rejects: "server", Failure: f, Alert: &claims.AlertClaim{Name: "decrypt_error"}}
	}
	r := New("")
	r.Version = "v1"
	r.Stacks = []Stack{{Name: "o", Version: "O 3.1"}}
	r.Requirements = []Requirement{{ID: "4.4.4-1", Document: "RFC 8446", Text: "Finished is checked."}}
	step := trace.Step{From: "client", What: "Finished", Octets: 36, Raw: "14000020", Broken: &claims.ErrorClaim{Failure: "authentication.finished", Field: "verify_data", Detail: "differs"}}
	r.Runs = []Run{
		{ID: "attls>o/none/group/finished", Client: "attls", Server: "o", Outcome: Failed, Reason: "the server did not reject", Fault: fault("finished", attls.FailFinished), ServerClaims: &claims.Claims{}},
		{ID: "attls>o/none/finished", Client: "attls", Server: "o", Outcome: Failed, Reason: "the server did not reject", Fault: fault("finished", attls.FailFinished),
			ServerClaims: &claims.Claims{}, Command: "conform --case x", Requirements: []string{"4.4.4-1"}, Ladder: []trace.Step{step}},
		{ID: "attls>o/none/other", Client: "attls", Server: "o", Outcome: Deviation, Reason: "it does so", Fault: fault("other", attls.FailDecode), ServerClaims: &claims.Claims{}},
		{ID: "attls>o/none/fine", Client: "attls", Server: "o", Outcome: Passed},
		{ID: "o>attls/none", Client: "o", Server: "attls", Outcome: Failed, Reason: "keys differ"},
	}
	list := r.Issues()
	if len(list) != 3 || len(list[0].Cases) != 2 || list[0].Run.ID != "attls>o/none/finished" || list[1].Stack.Stack != "o" || list[2].Run.Outcome != Deviation {
		t.Fatalf("%+v", list)
	}
	if !list[0].Private() || list[1].Private() || list[2].Private() {
		t.Error("what is private")
	}
	var b bytes.Buffer
	if err := r.WriteIssue(&list[0], "attls", "a.pcapng", &b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Report privately", "o O 3.1, as a server", "attls v1", "One bit is flipped.", "refused with decrypt_error", "it went on", "RFC 8446: Finished is checked.",
		"Finished, 36 octets ← authentication.finished, field verify_data", "14000020", "attls conform --case x", "[a.pcapng](a.pcapng)", "Not known before"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, b.String())
		}
	}
	if name := list[0].FileName(1); name != "001-o-server-finished" {
		t.Error(name)
	}
}
