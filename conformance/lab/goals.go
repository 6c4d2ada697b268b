package lab

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"attls/conformance/model"
)

// Goal is a security goal that others have stated.
type Goal struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	From  string `json:"from"`
}

// Where goals are stated.
const (
	useCases = "draft-ietf-seat-use-cases at 0d6a7082, section 4"
	// attackerModel is the section of the same document on the attacker.
	attackerModel = "draft-ietf-seat-use-cases at 0d6a7082, section 3"
	idCrisis      = "the models of \"identity crisis in confidential computing\""
	ihf           = "the models of intra-handshake.fail"
)

// Goals lists them.
var Goals = []Goal{
	{"4.1", "Cryptographic binding to the communication channel", useCases},
	{"4.2", "Compound authentication", useCases},
	{"4.3", "Cryptographic binding to the machine identifier", useCases},
	{"4.4", "Freshness of the attestation credential", useCases},
	{"4.5", "Negotiation and capability discovery", useCases},
	{"4.6", "Flexibility of the attestation model", useCases},
	{"4.7", "Interaction with peer authentication", useCases},
	{"4.8", "Runtime attestation", useCases},
	{"4.9", "Privacy preservation", useCases},
	{"4.10", "Performance and efficiency", useCases},
	{"server-identity", "The Evidence is of the server whose identity was asked for", idCrisis},
	{"server-authentication", "The server that the client ends at is the one that it authenticates", idCrisis},
	{"compound-authentication", "Evidence and authentication are about the same end", idCrisis},
	{"agreement", "Both ends agree on the connection and on the Evidence", idCrisis},
	{"secrecy", "What the ends send is known to them alone", idCrisis},
	{"freshness", "The Evidence is of this interaction", idCrisis},
	{"integrity", "The Evidence is what the attester made", idCrisis},
	{"G1", "The Evidence correlates with the Diffie-Hellman secret", ihf},
	{"G2", "The Evidence correlates with the client's handshake key", ihf},
	{"G3", "The Evidence correlates with the client's application key", ihf},
}

func goalNamed(id string) *Goal {
	for i := range Goals {
		if Goals[i].ID == id {
			return &Goals[i]
		}
	}
	return nil
}

// Scenarios lists the attacks and failures that the attacker model of the use cases
// document describes.
var Scenarios = []Goal{
	{"3.3.1", "Evidence of one attestation answers a later request of the same connection", attackerModel},
	{"3.3.2", "Evidence about another environment is shown in the attacker's connection", attackerModel},
	{"3.4", "The key that authenticates is not one that the environment protects", attackerModel},
	{"3.5.1", "Evidence is read with a secret of the key exchange", attackerModel},
	{"3.5.2", "Evidence is read with traffic secrets", attackerModel},
	{"3.6", "The state changes on long-lived and resumed connections", attackerModel},
	{"3.7", "The negotiation of attestation is downgraded", attackerModel},
	{"3.8.1", "A stolen authentication key is hosted in another environment", attackerModel},
	{"3.8.2", "An attestation key is stolen", attackerModel},
}

func scenarioNames() []string {
	names := make([]string, len(Scenarios))
	for i := range Scenarios {
		names[i] = Scenarios[i].ID
	}
	return names
}

func goalNames() []string {
	names := make([]string, len(Goals))
	for i := range Goals {
		names[i] = Goals[i].ID
	}
	return names
}

// GoalRuns are the runs about a goal, by attack.
type GoalRuns struct {
	Goal
	Runs []GoalRun
}

// GoalRun counts the cells of one attack.
type GoalRun struct {
	Attack, Capabilities                    string
	Accepted, Rejected, Unmounted, Measured int
	// Models counts what models say of the goal, under the same capabilities; see Prover.
	Models string
}

// modelled is the goal of models that is this one; "": there is none.
func (g *Goal) modelled() model.Goal {
	for _, row := range model.Goals {
		for _, source := range row.Sources {
			name := strings.ReplaceAll(strings.TrimPrefix(source, "ID-crisis: "), " ", "-")
			if name == g.ID || strings.HasPrefix(name, g.ID+"-of-") {
				return row.Goal
			}
		}
	}
	return ""
}

// models counts the verdicts of models of a goal in the cells of an attack.
func (r *Report) models(attack string, g model.Goal) string {
	counts := map[model.Verdict]int{}
	for _, c := range r.Cells {
		if c.Attack != attack {
			continue
		}
		for _, p := range c.Proofs {
			if p.Goal == g {
				counts[p.Verdict]++
			}
		}
	}
	var list []string
	for _, v := range []model.Verdict{model.Proved, model.AttackFound, model.NotDecided} {
		if counts[v] > 0 {
			list = append(list, fmt.Sprintf("%d %s", counts[v], v))
		}
	}
	return strings.Join(list, ", ")
}

// modelOf is what the model of a goal says in one cell; empty: there is none.
func (c *Cell) modelOf(g model.Goal) string {
	for _, p := range c.Proofs {
		if p.Goal == g && p.Verdict != "" {
			return string(p.Verdict)
		}
	}
	return ""
}

// ByGoal counts the cells of a report by goal and attack.
func (r *Report) ByGoal() []GoalRuns {
	return r.by(Goals, func(s *Script) []string { return s.Goals })
}

// ByScenario counts them by scenario.
func (r *Report) ByScenario() []GoalRuns {
	return r.by(Scenarios, func(s *Script) []string { return s.Scenarios })
}

func (r *Report) by(all []Goal, of func(*Script) []string) (list []GoalRuns) {
	sums := map[string]Summary{}
	for _, s := range Summarize(r.Cells) {
		sums[s.Attack] = s
	}
	for _, g := range all {
		x := GoalRuns{Goal: g}
		for _, s := range r.Scripts {
			n, ok := sums[s.Name]
			if !ok || !slices.Contains(of(s), g.ID) {
				continue
			}
			x.Runs = append(x.Runs, GoalRun{s.Name, joined(s.Capabilities), n.Counts[string(Accepted)],
				n.Counts[string(Rejected)], n.Counts[string(Unmounted)], n.Counts[string(Measured)],
				r.models(s.Name, g.modelled())})
		}
		if x.Runs != nil {
			list = append(list, x)
		}
	}
	return list
}

// WriteGoals writes the runs by security goal as Markdown, a table for each goal and
// profile, in the form in which the editors of a draft can paste it, with an index by
// scenario.
func (r *Report) WriteGoals(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Outcomes of `%s` by security goal. An outcome holds for the capabilities in its row.\n", r.Command)
	profiles := (&view{r}).Profiles()
	for _, g := range Goals {
		var tables strings.Builder
		for _, p := range profiles {
			r.goalTable(&tables, g.ID, p)
		}
		if tables.Len() == 0 {
			fmt.Fprintf(&b, "\n## %s %s\n\n%s. No attack of this run is about it.\n", g.ID, g.Title, g.From)
			continue
		}
		fmt.Fprintf(&b, "\n## %s %s\n\n%s.\n%s", g.ID, g.Title, g.From, tables.String())
	}
	r.scenarioTable(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// scenarioTable writes the index by scenario: the goals that its attacks are about, and how
// they ended.
func (r *Report) scenarioTable(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Scenarios\n\nThose of %s, with the goals that their attacks are about.\n\n", attackerModel)
	b.WriteString("| scenario | attack | goals | accepted | rejected | cannot be mounted |\n|---|---|---|---|---|---|\n")
	runs := r.ByScenario()
	for _, g := range Scenarios {
		i := slices.IndexFunc(runs, func(x GoalRuns) bool { return x.ID == g.ID })
		if i < 0 {
			fmt.Fprintf(b, "| %s %s | no attack of this run | – | – | – | – |\n", g.ID, g.Title)
			continue
		}
		for _, x := range runs[i].Runs {
			k := slices.IndexFunc(r.Scripts, func(s *Script) bool { return s.Name == x.Attack })
			fmt.Fprintf(b, "| %s %s | %s | %s | %d | %d | %d |\n", g.ID, g.Title, r.Scripts[k].Title,
				strings.Join(r.Scripts[k].Goals, ", "), x.Accepted, x.Rejected, x.Unmounted)
		}
	}
}

// goalTable writes the runs of one profile about one goal.
func (r *Report) goalTable(b *strings.Builder, goal, profile string) {
	modelled := goalNamed(goal).modelled()
	var combos []string
	rows := map[string]map[string][]string{}
	for _, s := range r.Scripts {
		if !slices.Contains(s.Goals, goal) {
			continue
		}
		for _, c := range r.Cells {
			if c.Attack != s.Name || c.Profile != profile || c.Inapplicable != "" {
				continue
			}
			combo := strings.ReplaceAll(c.Combo.String(), "/", ", ")
			if !slices.Contains(combos, combo) {
				combos = append(combos, combo)
			}
			if rows[s.Name] == nil {
				rows[s.Name] = map[string][]string{}
			}
			told := c.Told()
			if said := c.modelOf(modelled); said != "" {
				told += " (model: " + said + ")"
			}
			if c.Variant != "" {
				told = c.Variant + ": " + told
			}
			rows[s.Name][combo] = append(rows[s.Name][combo], told)
		}
	}
	if len(combos) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n| attack | the attacker has |", profile)
	for _, c := range combos {
		fmt.Fprintf(b, " %s |", c)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(combos)) + "\n")
	for _, s := range r.Scripts {
		if rows[s.Name] == nil {
			continue
		}
		fmt.Fprintf(b, "| %s | %s |", s.Title, joined(s.Capabilities))
		for _, c := range combos {
			fmt.Fprintf(b, " %s |", orDash(strings.Join(rows[s.Name][c], "; ")))
		}
		b.WriteString("\n")
	}
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
