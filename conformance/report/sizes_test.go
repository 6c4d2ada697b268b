package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// sizeRun is a run in which the client attests with so many octets.
func sizeRun(octets int, o Outcome, client, server claims.Claims) Run {
	return Run{Client: "attls", Server: "mbedtls", Outcome: o, ClientClaims: &client, ServerClaims: &server,
		Scenario: scenario.Scenario{Profile: "p", Attester: scenario.AttestClient, Credential: claims.CredentialX509, Payload: octets}}
}

// TestSizes: a row for each sender, receiver and way, a column for each size, and
// in each cell who refused, with which alert.
func TestSizes(t *testing.T) {
	fine := claims.Claims{}
	own := claims.Claims{Error: &claims.ErrorClaim{Class: attls.Local.String()}}
	loud := own
	loud.AlertSent = &claims.AlertClaim{Name: "internal_error"}
	told := claims.Claims{Error: &claims.ErrorClaim{Class: attls.FromPeer.String()}}
	r := New("sizes")
	if r.Sizes() != nil {
		t.Error("a table without runs")
	}
	alone := sizeRun(1, Skipped, fine, fine)
	alone.Scenario.Credential, alone.Scenario.Attester = claims.CredentialAttestation, scenario.AttestServer
	alone.ClientClaims = nil
	r.Runs = []Run{sizeRun(1<<20, Passed, loud, told), sizeRun(1, Passed, fine, fine), sizeRun(60<<10, Deviation, told, own), alone,
		{Client: "attls", Server: "mbedtls", Outcome: Passed}}
	s := r.Sizes()
	if !slices.Equal(s.Octets, []int{1, 60 << 10, 1 << 20}) || len(s.Rows) != 2 {
		t.Fatalf("%+v", s)
	}
	var got []string
	for _, row := range s.Rows {
		got = append(got, row.Sender+">"+row.Receiver+" "+row.Way())
		for _, c := range row.Cells {
			got = append(got, string(c.Colour())+" "+c.String())
		}
	}
	want := []string{"attls>mbedtls with X.509", "passed passes", "deviation receiver: no alert", "limit sender: internal_error",
		"mbedtls>attls alone", "skipped skipped", " ", " "}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for n, name := range map[int]string{1: "1 octet", 100: "100 octets", 15 << 10: "15 KB", 1 << 20: "1 MB"} {
		if SizeName(n) != name {
			t.Errorf("%d octets are %s", n, SizeName(n))
		}
	}
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Sizes of Evidence", "60 KB", "sender: internal_error"} {
		if !strings.Contains(page.String(), text) {
			t.Errorf("the page does not say %s", text)
		}
	}
}

// TestAttested: what counts is a scenario that passed, once, whatever cuts it.
func TestAttested(t *testing.T) {
	s := scenario.Scenario{Profile: "p", Attester: scenario.AttestServer, Model: "evidence", Credential: "x509", Suite: "s", Group: "g"}
	run := func(client, server string, o Outcome, change func(*scenario.Scenario)) Run {
		run := Run{Client: client, Server: server, Outcome: o, Scenario: s}
		change(&run.Scenario)
		return run
	}
	as := func(*scenario.Scenario) {}
	r := New("")
	r.Runs = []Run{
		run("attls", "mbedtls", Passed, as),
		run("mbedtls", "attls", Passed, as),
		run("attls", "poc", Passed, as),
		run("attls", "mbedtls", Passed, func(s *scenario.Scenario) { s.Group = "other" }),
		run("attls", "mbedtls", Passed, func(s *scenario.Scenario) { s.Suite = "other" }),
		run("attls", "mbedtls", Passed, func(s *scenario.Scenario) { s.HelloRetry = true }),
		run("attls", "mbedtls", Passed, func(s *scenario.Scenario) { s.Resumption = scenario.ResumePSKOnly }),
		// the same, or not one
		run("attls", "mbedtls", Passed, func(s *scenario.Scenario) { s.Split = 7 }),
		run("attls", "mbedtls", Passed, func(s *scenario.Scenario) { s.Fragment = 64 }),
		run("attls-command", "mbedtls", Passed, as),
		run("attls", "mbedtls", Passed, func(s *scenario.Scenario) { s.Payload, s.Group = 1, "payload" }),
		run("attls", "mbedtls", Passed, func(s *scenario.Scenario) { s.Fail, s.Group = "binder", "fail" }),
		run("attls", "mbedtls", Passed, func(s *scenario.Scenario) { s.Tolerate, s.Group = "padding", "tolerate" }),
		run("attls", "mbedtls", Passed, func(s *scenario.Scenario) { s.Attester, s.Profile = scenario.AttestNone, "" }),
		run("attls", "mbedtls", Failed, func(s *scenario.Scenario) { s.Group = "failed" }),
		run("attls", "mbedtls", Deviation, func(s *scenario.Scenario) { s.Group = "deviation" }),
		run("attls", "attls-command", Passed, as),
	}
	list := r.Attested()
	if len(list) != 2 || list[0].String() != "6 attested scenarios of attls and mbedtls passed with equal claims (4 without regard to suites and groups)" || list[1].Passed != 1 {
		t.Errorf("%v", list)
	}
}
