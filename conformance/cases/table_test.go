package cases_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
)

// A fault of one's own: the server's Certificate has a context. The row names the rule that
// the client must enforce; it is injected into a run over a network, and proven.
func Example() {
	table := cases.All()
	err := table.Add(cases.Row{
		ID:     "my-context",
		Rule:   "certificate-context",
		Does:   "The server's Certificate has a certificate_request_context of three octets.",
		Plain:  true,
		Expect: cases.Reject{Failure: attls.FailIllegalParameter, By: attls.RoleClient, At: attls.KindCertificate},
		Try: func(*cases.Context) *cases.Change {
			return &cases.Change{Apply: func(s *scenario.Setup) {
				s.Tap(attls.RoleServer, tamper.Certificate(func(c *message.Certificate) { c.Context = []byte{1, 2, 3} }))
			}}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := scenario.Run(context.Background(), scenario.Scenario{Fail: "my-context"}, scenario.Find(table.Find))
	fmt.Println(r.Err, r.Claims[attls.RoleClient].Error.Message, r.Claims[attls.RoleClient].AlertSent.Name)

	fault, err := table.Fault(nil, scenario.Scenario{}, "my-context")
	if err != nil {
		fmt.Println(err)
		return
	}
	how, err := fault.Prove()
	fmt.Println("Without its rule:", how, err)
	// Output:
	// <nil> certificate illegal_parameter
	// Without its rule: the client did not reject <nil>
}

// mine is a row that can be added; a change makes another one of it.
func mine(change func(*cases.Row)) cases.Row {
	r := cases.Row{ID: "mine", Rule: "signature-verified", Does: "Something is done.", Plain: true,
		Expect: cases.Reject{Failure: attls.FailSignature, By: attls.RoleClient, At: attls.KindCertificateVerify},
		Try: func(*cases.Context) *cases.Change {
			return &cases.Change{Apply: func(s *scenario.Setup) { s.Tap(attls.RoleServer, tamper.FlipLast(attls.KindCertificateVerify)) }}
		}}
	if change != nil {
		change(&r)
	}
	return r
}

// TestARowThatLacksSomethingIsRefused: with a reason that names the row, and nothing is added.
func TestARowThatLacksSomethingIsRefused(t *testing.T) {
	for want, change := range map[string]func(*cases.Row){
		`the id "" is not in kebab-case`:        func(r *cases.Row) { r.ID = "" },
		`the id "two_words" is not in kebab`:    func(r *cases.Row) { r.ID = "two_words" },
		`the id "Two" is not in kebab-case`:     func(r *cases.Row) { r.ID = "Two" },
		`the id "a.b" is not in kebab-case`:     func(r *cases.Row) { r.ID = "a.b" },
		`the id "a-" is not in kebab-case`:      func(r *cases.Row) { r.ID = "a-" },
		`a row called binder already`:           func(r *cases.Row) { r.ID = "binder" },
		`did you mean "signature-verified"?`:    func(r *cases.Row) { r.Rule = "signature-verifed" },
		`mine: no rule is called "none"`:        func(r *cases.Row) { r.Rule = "none" },
		`mine: Does is empty`:                   func(r *cases.Row) { r.Does = "" },
		`mine: Try is nil`:                      func(r *cases.Row) { r.Try = nil },
		`mine: Expect is nil`:                   func(r *cases.Row) { r.Expect = nil },
		`mine: Reject names no failure`:         func(r *cases.Row) { r.Expect = cases.Reject{} },
		`Plain and PerReading exclude each oth`: func(r *cases.Row) { r.PerReading = true },
	} {
		table := cases.All()
		before := len(table.Rows())
		if err := table.Add(mine(func(r *cases.Row) { r.ID = "sound" }), mine(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if len(table.Rows()) != before {
			t.Errorf("%s: a row was added all the same", want)
		}
	}
	table := cases.All()
	if err := table.Add(mine(nil)); err != nil {
		t.Error(err)
	}
	if err := table.Add(mine(nil)); err == nil {
		t.Error("a row was added twice")
	}
	if _, ok := cases.All().Row("mine"); ok {
		t.Error("a row that was added to one table is in the next")
	}
}

// TestAPointerToAnExpectationExpectsTheSame: of a row and of a change. Otherwise a row
// that cannot fail would be taken.
func TestAPointerToAnExpectationExpectsTheSame(t *testing.T) {
	wrong := cases.Reject{Failure: attls.FailSignature, By: attls.RoleServer, At: attls.KindCertificateVerify}
	for name, change := range map[string]func(*cases.Row){
		"row": func(r *cases.Row) { r.Expect = &wrong },
		"change": func(r *cases.Row) {
			try := r.Try
			r.Try = func(c *cases.Context) *cases.Change {
				x := try(c)
				x.Expect = &wrong
				return x
			}
		},
	} {
		table := cases.All()
		if err := table.Add(mine(change)); err != nil {
			t.Fatal(err)
		}
		c, err := table.Fault(nil, scenario.Scenario{}, "mine")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(); err == nil {
			t.Errorf("%s: the client rejects, where the server should, and that is as expected", name)
		}
	}
	if err := cases.All().Add(mine(func(r *cases.Row) { r.Expect = (*cases.Reject)(nil) })); err == nil {
		t.Error("a pointer to nothing is an expectation")
	}
}

// TestARowOfAProfileIsTriedInEachCombination: a row of one's own about a profile is in its
// grid, where the combination fits, and not in TLS 1.3.
func TestARowOfAProfileIsTriedInEachCombination(t *testing.T) {
	table := cases.All()
	tried := map[string]bool{}
	if err := table.Add(mine(func(r *cases.Row) {
		r.Plain = false
		try := r.Try
		r.Try = func(c *cases.Context) *cases.Change {
			tried[c.Scenario.String()] = true
			if c.Scenario.Attester != scenario.AttestBoth || c.Profile == nil {
				return nil
			}
			return try(c)
		}
	}), mine(func(r *cases.Row) {
		r.ID, r.Plain, r.PerReading = "mine-too", false, true
		try := r.Try
		r.Try = func(c *cases.Context) *cases.Change {
			if c.Reading == nil || c.Reading.Profile == nil {
				t.Error("no reading")
			}
			return try(c)
		}
	})); err != nil {
		t.Fatal(err)
	}
	grid, err := table.Grid(scenario.Scenario{Profile: "early-attestation-06"})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(grid, func(c cases.GridCase) bool { return c.Scenario.Fail == "mine" })
	if i < 0 || grid[i].Scenario.Attester != scenario.AttestBoth || len(tried) < 2 {
		t.Fatalf("row %d of %d; tried in %v", i, len(grid), tried)
	}
	if r := table.RunGrid(t.Context(), grid[i:i+1], 1, nil); r[0].Error != "" {
		t.Error(r[0].Error)
	}
	if _, err := table.Fault(nil, scenario.Scenario{}, "mine"); err == nil {
		t.Error("it can be provoked without a profile")
	}
	p, err := profile.Load("early-attestation-06", profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := table.Fault(p, scenario.Scenario{Profile: p.ID}, "mine-too@hrr=a"); err != nil || c.ID != "mine-too@hrr=a" || !c.PerReading() {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestEveryIDIsInKebabCase: the ids of rows and rules, and what the table makes of those of
// earlier versions.
func TestEveryIDIsInKebabCase(t *testing.T) {
	table := cases.All()
	ids := cases.Rules()
	for _, r := range table.Rows() {
		ids = append(ids, "row "+r.ID)
		if cases.ID(r.ID) != r.ID {
			t.Errorf("%s is written as %s", r.ID, cases.ID(r.ID))
		}
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if strings.ContainsAny(id, "_.@/") || strings.ToLower(id) != id || seen[id] {
			t.Errorf("%s", id)
		}
		seen[id] = true
	}
	for before, now := range map[string]string{
		"two_choices": "two-choices", "no_scheme.evidence": "no-scheme-evidence", "twice.client_hello": "twice-client-hello", "binder": "binder",
		"binder/public_key=hash": "binder-reading@public_key=hash", "choice_none@none_returned=abort": "choice-none@none_returned=abort",
	} {
		if got := cases.ID(before); got != now {
			t.Errorf("%s is written as %s, want %s", before, got, now)
		}
	}
	for before, now := range map[string]string{
		"attls-mbedtls/early-attestation-06/server/hello_retry/fail-two_choices": "attls-mbedtls/early-attestation-06/server/hello_retry/fail-two-choices",
		"conform --case 'attls-gnutls/x509/tolerate-apart.client'":               "conform --case 'attls-gnutls/x509/tolerate-apart-client'",
		"p/fail-binder/hrr=a": "p/fail-binder-reading@hrr=a", "two_choices": "two-choices", "mbedtls-poc/both": "mbedtls-poc/both", "": "",
	} {
		if got := cases.InName(before); got != now {
			t.Errorf("%s is written as %s, want %s", before, got, now)
		}
	}
}

// TestAProofLeavesNothingThatIsWithoutTheRule: a row of one's own can keep what it is given,
// while its rule is off and afterwards; what is made of it enforces the rule.
func TestAProofLeavesNothingThatIsWithoutTheRule(t *testing.T) {
	var kept []*scenario.Setup
	var configs []*handshake.Config
	keep := func(s *scenario.Setup) {
		kept = append(kept, s)
		c := s.Ends[attls.RoleClient].Config
		copied := &handshake.Config{}
		from, to := reflect.ValueOf(c).Elem(), reflect.ValueOf(copied).Elem()
		for i := range to.NumField() {
			if to.Field(i).CanSet() {
				to.Field(i).Set(from.Field(i))
			}
		}
		configs = append(configs, c, copied)
	}
	table := cases.All()
	if err := table.Add(mine(func(r *cases.Row) {
		try := r.Try
		r.Try = func(c *cases.Context) *cases.Change {
			change := try(c)
			apply := change.Apply
			change.Apply = func(s *scenario.Setup) {
				apply(s)
				keep(s)
			}
			return change
		}
	})); err != nil {
		t.Fatal(err)
	}
	c, err := table.Fault(nil, scenario.Scenario{}, "mine")
	if err != nil {
		t.Fatal(err)
	}
	if how, err := c.Prove(); err != nil || !strings.Contains(how, "did not reject") {
		t.Fatalf("%q, %v", how, err)
	}
	if len(kept) != 2 {
		t.Fatalf("%d runs", len(kept))
	}
	for i, set := range kept {
		r, err := set.RunInMemory()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Judge(r); err != nil {
			t.Errorf("run %d again: %v", i, err)
		}
		if p := set.Profile; p != nil {
			t.Errorf("the setup has the profile %+v", p)
		}
	}
	for i, config := range configs {
		r := scenario.Run(t.Context(), scenario.Scenario{}, scenario.Change(func(s *scenario.Setup) {
			s.Ends[attls.RoleClient].Config.Profile = config.Profile
			s.Tap(attls.RoleServer, tamper.FlipLast(attls.KindCertificateVerify))
		}))
		if e := r.Claims[attls.RoleClient].Error; e == nil || e.Failure != string(attls.FailSignature) {
			t.Errorf("configuration %d: a client takes a signature that does not verify: %+v", i, e)
		}
	}
}
