package main

import (
	"os"
	"strings"
	"testing"

	"attls/conformance/peers"
	"attls/conformance/report"
	"attls/conformance/scenario"
)

// TestAgainst: a case counts as broken that passes with the base and fails with the
// change; one that fails with both does not.
func TestAgainst(t *testing.T) {
	t.Chdir(t.TempDir())
	os.WriteFile("mine.yaml", []byte("profile: mine\nbase: early-attestation-06\ndraft: {revision: mine}\n"), 0o600)
	f := &conformFlags{}
	f.choice.profiles, f.choice.against = []string{"mine.yaml"}, "early-attestation-06"
	o := peers.Defaults()
	o.Under(f.choice.profiles)
	o.Brief = true
	list, err := peers.Cases(o)
	if err != nil {
		t.Fatal(err)
	}
	all, c, err := f.compare(list)
	if err != nil || len(all) != 2*len(list) || len(c.bases) != len(list) || len(c.lost) != 0 {
		t.Fatalf("%d of %d cases, %d compared, %v, %v", len(all), len(list), len(c.bases), c.lost, err)
	}
	var r report.Report
	for i := range all {
		outcome := report.Passed
		if name := all[i].String(); strings.Contains(name, "mine/server/evidence") || strings.Contains(name, "/client/results") {
			outcome = report.Failed
		}
		r.Runs = append(r.Runs, report.Run{ID: all[i].String(), Outcome: outcome})
	}
	broken, both := c.broken(&r)
	if len(broken) != 2 || both != 2 {
		t.Errorf("%d broken, %d fail with both", len(broken), both)
	}
	for _, run := range broken {
		if !strings.HasPrefix(c.bases[run.ID], strings.Replace(run.ID, "/mine/", "/early-attestation-06/", 1)) {
			t.Errorf("%s was compared with %s", run.ID, c.bases[run.ID])
		}
	}
}

// TestAgainstOfLess: what a change does not allow any more is told, and cases that the
// base does not have are not compared.
func TestAgainstOfLess(t *testing.T) {
	f := &conformFlags{}
	f.choice.profiles, f.choice.against = []string{"early-attestation-06"}, "tls-attestation-07"
	o := peers.Defaults()
	o.Under(f.choice.profiles)
	o.Brief = true
	list, err := peers.Cases(o)
	if err != nil {
		t.Fatal(err)
	}
	_, c, err := f.compare(list)
	if err != nil || len(c.lost) == 0 || !strings.HasPrefix(c.lost[0], "early-attestation-06/server/evidence/attestation: ") {
		t.Errorf("%v, %v", c.lost, err)
	}
	for i := range list {
		s := list[i].Scenario
		if s.Attester == scenario.AttestServer && s.Model == "evidence" && c.bases[list[i].String()] == "" {
			t.Errorf("%s is not compared", list[i].String())
		}
	}
}

// TestConformAgainstNothing: the flags for changed profiles need one.
func TestConformAgainstNothing(t *testing.T) {
	for _, args := range [][]string{{"conform", "--demo"}, {"conform", "--against", "early-attestation-06"},
		{"conform", "--profile", "early-attestation-06", "--against", "early-attestation-60"}} {
		if code, _, stderr := command(t, args...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
}
