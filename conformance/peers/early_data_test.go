package peers

import (
	"strings"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// early is a scenario with 0-RTT data.
func early(r scenario.Resumption, retry bool) scenario.Scenario {
	s := scenario.Scenario{Attester: scenario.AttestNone, Group: "secp256r1", HelloRetry: retry, Resumption: r, EarlyData: true}
	return s
}

// TestEarlyData: 0-RTT data is taken with either mode of the key, and sent again where it is
// rejected; an end that has no 0-RTT is found out.
func TestEarlyData(t *testing.T) {
	own := InProcess{}.Name()
	all := map[string]Peer{own: InProcess{}, "unlimited": unlimited{}}
	for _, w := range []struct {
		client, server string
		scenario.Scenario
		status, says string
	}{
		{own, own, early(scenario.ResumeWithDHE, false), Passed, ""},
		{own, own, early(scenario.ResumePSKOnly, false), Passed, ""},
		{own, own, early(scenario.ResumePSKOnly, true), Passed, ""},
		{own, own, early(scenario.ResumeWithDHE, true), Passed, ""},
		{own, own, early(scenario.ResumeRefused, false), Passed, ""},
		{own, "unlimited", early(scenario.ResumeWithDHE, false), Failed, "early data: the client says nothing"},
		{"unlimited", own, early(scenario.ResumeWithDHE, false), Failed, "early data: the server says nothing"},
	} {
		c := Case{w.client, w.server, w.Scenario}
		r := Run(t.Context(), c, all, Settings{})
		if r.Status != w.status || !strings.Contains(r.Reason, w.says) {
			t.Errorf("%s: %s: %s", c.String(), r.Status, r.Reason)
			continue
		}
		for i := range r.Ends {
			if e := &r.Ends[i]; w.status == Passed && (e.EarlyData != w.EarlyOutcome() || e.DataSent != int64(len(question))) {
				t.Errorf("%s: the %s says %q, %d octets sent", c.String(), e.Role, e.EarlyData, e.DataSent)
			}
		}
	}
	if reason := (CryptoTLS{}).Limit(&scenario.Scenario{EarlyData: true}, attls.RoleServer); !strings.Contains(reason, "0-RTT") {
		t.Errorf("limit %q", reason)
	}
}

// TestEarlyDataOfPrograms: 0-RTT data that a program sends and takes.
func TestEarlyDataOfPrograms(t *testing.T) {
	for _, name := range []string{"openssl", "gnutls"} {
		p := builtin(t, name)
		if reason := p.Missing(); reason != "" {
			t.Log(reason)
			continue
		}
		for _, pair := range with(p.Name()) {
			c := between(pair, early(scenario.ResumeWithDHE, false))
			r := Run(t.Context(), c, map[string]Peer{InProcess{}.Name(): InProcess{}, p.Name(): p}, Settings{})
			if r.Status == Limit && strings.Contains(r.Reason, "3.8.13") { // gnutls-cli of some releases
				continue
			}
			if r.Status != Passed || r.Ends[attls.RoleClient].EarlyData != "accepted" || r.Ends[attls.RoleServer].EarlyData != "accepted" {
				t.Errorf("%s: %s: %s", c.String(), r.Status, r.Reason)
			}
		}
	}
}

// TestJudgeEarlyData: what both ends say of 0-RTT data is compared with what has to become of it.
func TestJudgeEarlyData(t *testing.T) {
	c := Case{"attls", "attls", early(scenario.ResumeWithDHE, false)}
	r := Run(t.Context(), c, map[string]Peer{"attls": InProcess{}}, Settings{})
	if r.Status != Passed {
		t.Fatal(r.Reason)
	}
	for _, role := range roles {
		for _, says := range []string{"rejected", ""} {
			ends := [2]claims.Claims{r.Ends[0], r.Ends[1]}
			ends[role].EarlyData = says
			if judge(&c, r.Earlier, ends[:]) == nil {
				t.Errorf("the %v says %q, which nobody notices", role, says)
			}
		}
	}
}

// TestEarlyDataCases: the grid has a case for each thing that may become of 0-RTT data, in both
// directions.
func TestEarlyDataCases(t *testing.T) {
	cases, err := Cases(Options{Plain: with("crypto/tls")})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for i := range cases {
		outcomes[cases[i].Scenario.EarlyOutcome()]++
	}
	if outcomes["accepted"] != 4 || outcomes["rejected"] != 4 {
		t.Errorf("%v", outcomes)
	}
}
