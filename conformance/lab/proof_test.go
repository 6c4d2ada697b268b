package lab

import (
	"context"
	"errors"
	"strings"
	"testing"

	"attls/conformance/model"
	"attls/extensions/profile"
)

// TestProofs compares runs with what models say, in place of ProVerif.
func TestProofs(t *testing.T) {
	accepted, rejected := "tls-attestation-02", "early-attestation-06"
	// The second script is not for these profiles' cells that are looked at; it has a section.
	replay := loaded(t, "replay-leaked-key")
	replay.Attesters = nil
	o := Options{Scripts: []*Script{loaded(t, "relay-leaked-key"), replay},
		Profiles: []*profile.Profile{profileOf(t, accepted), profileOf(t, rejected)}}
	all, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	said := &model.Outcome{Verdict: model.AttackFound, Counterexample: "trace",
		Acceptance: &model.Acceptance{Expected: "m", Platform: "m", Key: "m", Connection: model.Another}}
	twice := &model.Outcome{Verdict: model.AttackFound, Counterexample: "trace",
		Acceptance: &model.Acceptance{Expected: "m", Platform: "m", Key: "m", Connection: model.Another, Times: 2}}
	elsewhere := &model.Outcome{Verdict: model.AttackFound, Counterexample: "trace",
		Acceptance: &model.Acceptance{Expected: "m", Platform: "n", Key: "n"}}
	for _, c := range []struct {
		name    string
		outcome *model.Outcome
		fails   bool // where the run succeeded
		says    string
		whole   bool
	}{
		{"attack", said, false, "attack found, of the kind 3.2", false},
		{"an attack of a script with a letter", twice, false, "of the kind 3.7", false},
		{"an attack of no script", elsewhere, false, "of the kind 3.1", true},
		{"an attack that cannot be read", &model.Outcome{Verdict: model.AttackFound, Counterexample: "x"}, false, "attack found", true},
		{"not decided", &model.Outcome{Verdict: model.NotDecided, Reason: "cannot be proved"}, false,
			"not decided: cannot be proved", false},
		{"proved", &model.Outcome{Verdict: model.Proved}, true, "proved", false},
	} {
		cells := make([]*Cell, len(all))
		for i, x := range all {
			same := *x
			cells[i] = &same
		}
		ran, counted := 0, 0
		v := Prover{Count: func(n int) { counted = n },
			run: func(_ context.Context, _ string, text []byte, _ model.Limits) (*model.Outcome, error) {
				ran++
				if !strings.Contains(string(text), "goal          binding") || !strings.Contains(string(text), "\n     tik ") {
					t.Errorf("%s: the model is another one", c.name)
				}
				return c.outcome, nil
			}}
		if err := v.Prove(context.Background(), o, cells); err != nil {
			t.Fatal(err)
		}
		if ran != counted || ran == 0 || ran > len(cells) {
			t.Errorf("%s: %d of %d models were run", c.name, ran, counted)
		}
		seen := map[Outcome]int{}
		for _, x := range cells {
			if x.Combo.Attester == "both" {
				if x.Proofs[0].Verdict != "" || !strings.Contains(x.Proofs[0].String(), "one attester") {
					t.Errorf("%s: %s: %s", c.name, x.Key(), x.Proofs[0])
				}
				continue
			}
			seen[x.Result.Outcome]++
			p := x.Proofs[0]
			if !strings.Contains(p.String(), c.says) || (p.Counterexample != "") != c.whole {
				t.Errorf("%s: %s: %s, %q", c.name, x.Key(), p, p.Counterexample)
			}
			if want := c.fails && x.Result.Outcome == Accepted; (x.Error != "") != want ||
				want && !strings.Contains(x.Error, "a contradiction") {
				t.Errorf("%s: %s, %s: %q", c.name, x.Key(), x.Result.Outcome, x.Error)
			}
		}
		if seen[Accepted] == 0 || seen[Rejected] == 0 {
			t.Errorf("%v: the cells show one outcome alone", seen)
		}
	}
	broken := errors.New("broken")
	v := Prover{run: func(context.Context, string, []byte, model.Limits) (*model.Outcome, error) { return nil, broken }}
	if err := v.Prove(context.Background(), o, all); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	cancelled, stop := context.WithCancel(context.Background())
	stop()
	if err := v.Prove(cancelled, o, all); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestRefutes reads the key, and has it in each script whose set-up models can say.
func TestRefutes(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]int{}
	for _, s := range all {
		if len(s.Refutes) > 0 {
			by[s.Section]++
		}
	}
	for _, section := range []string{"3.1", "3.2", "3.3", "3.4", "3.5"} {
		if by[section] == 0 {
			t.Errorf("no script of %s says what its success refutes", section)
		}
	}
}

// TestGoalsShowModels has what models say of a goal in the tables by goal, of that goal
// alone.
func TestGoalsShowModels(t *testing.T) {
	s := loaded(t, "relay-leaked-key")
	combo := Combination{Attester: "server", Model: "evidence", Credential: "x509"}
	cell := func(verdict model.Verdict, of model.Goal) *Cell {
		return &Cell{Attack: s.Name, Profile: "p", Combo: combo, Result: &Result{Outcome: Rejected, By: "client"},
			Proofs: []Proof{{Goal: of, Verdict: verdict}}}
	}
	r := &Report{Scripts: []*Script{s}, Cells: []*Cell{cell(model.Proved, model.GoalBinding),
		cell(model.Proved, model.GoalBinding), cell(model.NotDecided, model.GoalBinding), cell("", model.GoalBinding),
		cell(model.AttackFound, model.GoalCompound)}}
	said := map[string]string{}
	for _, g := range r.ByGoal() {
		said[g.ID] = g.Runs[0].Models
	}
	for id, want := range map[string]string{"4.1": "2 proved, 1 not decided", "compound-authentication": "1 attack found", "G1": ""} {
		if got, ok := said[id]; !ok || got != want {
			t.Errorf("goal %s: %q; wanted %q", id, got, want)
		}
	}
	var page, text strings.Builder
	if err := errors.Join(r.WriteHTML(&page), r.WriteGoals(&text)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), "<td>2 proved, 1 not decided</td>") {
		t.Error("the page has no verdict of models")
	}
	if !strings.Contains(text.String(), "rejected by the client without an alert (model: proved)") {
		t.Errorf("the Markdown has no verdict of models:\n%s", text.String())
	}
	for id, want := range map[string]model.Goal{"server-identity": model.GoalMachine, "integrity": model.GoalIntegrity,
		"agreement": model.GoalNegotiation, "G3": model.GoalG3, "4.7": ""} {
		if got := goalNamed(id).modelled(); got != want {
			t.Errorf("%s is %q; wanted %q", id, got, want)
		}
	}
}
