package model

import (
	"slices"
	"strings"
)

// Goal is a security goal, by the word of a command line.
type Goal string

// The goals.
const (
	GoalBinding        Goal = "binding"
	GoalCompound       Goal = "compound"
	GoalMachine        Goal = "machine"
	GoalFreshness      Goal = "freshness"
	GoalNegotiation    Goal = "negotiation"
	GoalPrivacy        Goal = "privacy"
	GoalIntegrity      Goal = "integrity"
	GoalAuthentication Goal = "authentication"
	GoalSecrecy        Goal = "secrecy"
	GoalG1             Goal = "g1"
	GoalG2             Goal = "g2"
	GoalG3             Goal = "g3"
)

// GoalRow describes one goal.
type GoalRow struct {
	Goal    Goal
	Sources []string // the places that ask for it: "4.1" is a section of draft-ietf-seat-use-cases
	Text    string   // what must hold
	query   string
}

// The patterns of events in queries. Each variable has a name of its own in the text.
const (
	accepts      = "event(Accepts(w, m, k, ev, th, dh, hts, ats, o, s, d))"
	acceptsNamed = "event(Accepts(host(i), m, k, ev, th, dh, hts, ats, o, s, d))"
	notRented    = " || m = rented."
)

// Goals are all of them, in the order of tables.
var Goals = []GoalRow{
	{GoalBinding, []string{"4.1"},
		"Evidence that is accepted on a connection was presented by its platform on that connection: both ends have the " +
			"same hellos and the same shared secret.",
		accepts + " ==>\n  event(Presents(n1, m, k1, ev, th, dh, hts1))" + notRented},
	{GoalCompound, []string{"4.2", "ID-crisis: compound authentication"},
		"The end that has the expected name and the end that attests are one, and it ends the handshake with the same " +
			"application traffic secret.",
		acceptsNamed + " ==>\n  event(Runs(host(i), m, k, ev, ats, o1, s1))."},
	{GoalMachine, []string{"4.3", "ID-crisis: server identity"},
		"The platform whose Evidence is accepted is the one that has the expected name.",
		acceptsNamed + " ==> i = m."},
	{GoalFreshness, []string{"4.4", "ID-crisis: freshness of Evidence"},
		"Evidence that is accepted once more was made once more.",
		"inj-" + accepts + " ==>\n  inj-event(Makes(m, k1, ev))" + notRented},
	{GoalNegotiation, []string{"4.5", "ID-crisis: agreement"},
		"The attester that presents the Evidence saw the offer that was made and chose the scheme that is in force.",
		accepts + " ==>\n  event(Runs(n1, m, k1, ev, ats1, o, s))" + notRented},
	{GoalPrivacy, []string{"4.9"},
		"The attacker does not learn the details in Evidence that an honest relying party accepts.",
		accepts + " && attacker(d) ==> m = rented."},
	{GoalIntegrity, []string{"ID-crisis: integrity of Evidence"},
		"Evidence that is accepted was made by the platform that it names.",
		accepts + " ==>\n  event(Makes(m, k1, ev))" + notRented},
	{GoalAuthentication, []string{"ID-crisis: server authentication"},
		"The end that has the expected name ends the handshake with the same key and the same application traffic secret.",
		acceptsNamed + " ==>\n  event(Runs(host(i), m1, k, ev1, ats, o1, s1))."},
	{GoalSecrecy, []string{"ID-crisis: secrecy"},
		"The attacker does not learn the application traffic secret of a connection with the expected name.",
		acceptsNamed + " && attacker(ats)."},
	{GoalG1, []string{"G1"},
		"Evidence that is accepted was presented by its platform on a connection with the same shared secret.",
		accepts + " ==>\n  event(Presents(n1, m, k1, ev, th1, dh, hts1))" + notRented},
	{GoalG2, []string{"G2"},
		"The same with client_handshake_traffic_secret.",
		accepts + " ==>\n  event(Presents(n1, m, k1, ev, th1, dh1, hts))" + notRented},
	{GoalG3, []string{"G3"},
		"The same with client_application_traffic_secret_0.",
		accepts + " ==>\n  event(Runs(n1, m, k1, ev, ats, o1, s1))" + notRented},
}

func (g Goal) row() *GoalRow {
	i := slices.IndexFunc(Goals, func(r GoalRow) bool { return r.Goal == g })
	if i < 0 {
		return nil
	}
	return &Goals[i]
}

func (g Goal) known() bool { return g.row() != nil }

func goalWords() string {
	list := make([]string, len(Goals))
	for i := range Goals {
		list[i] = string(Goals[i].Goal)
	}
	return strings.Join(list, ", ")
}

// FindGoal takes the word of a goal or one of its sources: "binding", "4.1", "G1".
func FindGoal(word string) (Goal, bool) {
	for i := range Goals {
		r := &Goals[i]
		if strings.EqualFold(string(r.Goal), word) ||
			slices.ContainsFunc(r.Sources, func(s string) bool { return strings.EqualFold(s, word) }) {
			return r.Goal, true
		}
	}
	return "", false
}

// variables are those of the queries, with their types.
var variables = []struct{ name, kind string }{
	{"w", "name"}, {"n1", "name"}, {"m", "machine"}, {"m1", "machine"}, {"i", "machine"}, {"k", "pkey"}, {"k1", "pkey"},
	{"ev", "bitstring"}, {"ev1", "bitstring"}, {"th", "bitstring"}, {"th1", "bitstring"}, {"dh", "bitstring"},
	{"dh1", "bitstring"}, {"hts", "bitstring"}, {"hts1", "bitstring"}, {"ats", "bitstring"}, {"ats1", "bitstring"},
	{"o", "bitstring"}, {"o1", "bitstring"}, {"s", "bitstring"}, {"s1", "bitstring"}, {"d", "bitstring"},
}

// reached is the question whether two honest ends can finish with each other.
const reached = "event(Accepts(host(m), m, k, ev, th, dh, hts, ats, o, s, d))\n" +
	"  && event(Runs(host(m), m, k, ev, ats, o, s))."

// quantified puts the declarations of the variables that a query uses in front of it.
func quantified(query string) string {
	used := map[string]bool{}
	for _, w := range strings.FieldsFunc(query, func(r rune) bool { return !identifier(r) }) {
		used[w] = true
	}
	var list []string
	for _, v := range variables {
		if used[v.name] {
			list = append(list, v.name+": "+v.kind)
		}
	}
	return "query " + wrap(list, ", ", 100, "  ") + ";\n  " + query + "\n"
}

func identifier(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// wrap joins words to lines of at most a length.
func wrap(list []string, sep string, width int, indent string) string {
	var b strings.Builder
	column := 0
	for i, s := range list {
		if i > 0 {
			b.WriteString(strings.TrimRight(sep, " "))
			if column+len(s) > width {
				b.WriteString("\n" + indent)
				column = 0
			} else if strings.HasSuffix(sep, " ") {
				b.WriteByte(' ')
			}
		}
		b.WriteString(s)
		column += len(s) + len(sep)
	}
	return b.String()
}
