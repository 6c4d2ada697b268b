package scenario_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
)

var update = flag.Bool("update", false, "write the table of docs/comparison.md again")

// verifyOctets is a CertificateVerify with the longest signature of ECDSA on P-256: others are
// up to two octets shorter, by chance.
const verifyOctets = 4 + 2 + 2 + 72

// portion is what a part of a ladder has.
type portion struct {
	messages, signatures, exchanges, trips int
	octets                                 [2]int // by the role that sends
}

// add counts a message. A round trip is complete with what the client gets in answer.
func (p *portion) add(s *trace.Step, before *trace.Step) {
	octets := s.Octets
	switch s.Kind {
	case attls.KindCertificateVerify:
		p.signatures++
		octets = verifyOctets
	case attls.KindServerHello:
		p.exchanges++
	case attls.KindExtendedKeyUpdate:
		if s.Octets > 30 && s.Octets < 60 && before != nil && before.Kind == attls.KindExtendedKeyUpdate && before.From != s.From {
			p.exchanges++ // the response has the other share
		}
	}
	p.messages++
	if s.From == attls.RoleClient.String() {
		p.octets[attls.RoleClient] += octets
	} else {
		p.octets[attls.RoleServer] += octets
		if before != nil && before.From != s.From {
			p.trips++
		}
	}
}

// portions are what a ladder has before and after the client's first application data, which
// is the request of the run, in a frame of head octets.
func portions(ladder []trace.Step, head int) (first, second portion) {
	p, before := &first, (*trace.Step)(nil)
	for i := range ladder {
		s := &ladder[i]
		switch {
		case s.Kind != attls.KindNone:
			p.add(s, before)
			before = s
		case s.Alert == nil && s.From == attls.RoleClient.String() && s.Octets == len(scenario.Request)+head:
			p, before = &second, nil
		}
	}
	return first, second
}

func (p *portion) cells() []string {
	return []string{fmt.Sprint(p.trips), fmt.Sprint(p.messages), fmt.Sprintf("%d, %d", p.octets[attls.RoleClient],
		p.octets[attls.RoleServer]), fmt.Sprint(p.signatures), fmt.Sprint(p.exchanges)}
}

// word shows a word of a profile, which its reference explains.
func word(name string) string { return "`" + name + "`" }

// run is an attested connection under a profile; it has to end as expected.
func run(t *testing.T, e *scenario.Environment, s scenario.Scenario) scenario.Result {
	t.Helper()
	s.Attester, s.Model, s.Credential = scenario.AttestServer, claims.ModelEvidence, claims.CredentialX509
	return scenario.Run(t.Context(), s, scenario.In(e))
}

// attestedIn are the phases in which the client accepted the server's Evidence.
func attestedIn(r *scenario.Result) string {
	var list []string
	for i := range r.Claims[attls.RoleClient].Attestation {
		a := &r.Claims[attls.RoleClient].Attestation[i]
		name := a.Phase
		if name == "" {
			name = "handshake"
		}
		if a.Verdict != nil && a.Verdict.Accepted {
			list = append(list, name)
		}
	}
	return strings.Join(list, ", ")
}

func measure(t *testing.T, e *scenario.Environment, name string, updates bool) (cells []string) {
	t.Helper()
	plain := run(t, e, scenario.Scenario{Profile: name})
	if plain.Err != nil {
		t.Fatalf("%s: %v", name, plain.Err)
	}
	head := 0
	if rules := &plain.Profile.Authenticator; len(plain.Profile.Later) > 0 {
		head = 1 + rules.LengthOctets
	}
	first, _ := portions(plain.Ladder, head)
	cells = append(first.cells(), attestedIn(&plain))
	rules := plain.Profile.Resumption
	cells = append(cells, word(rules.Tickets), word(rules.Accept), word(rules.EarlyData))
	var forbidden *scenario.ForbiddenError
	again := run(t, e, scenario.Scenario{Profile: name, Reattest: true, ExtendedKeyUpdate: updates})
	if errors.As(again.Err, &forbidden) {
		return append(cells, "none", "–", "–", "–", "–", "–")
	} else if again.Err != nil {
		t.Fatalf("%s, attested again: %v", name, again.Err)
	}
	_, second := portions(again.Ladder, head)
	phases := strings.Split(attestedIn(&again), ", ")
	return append(append(cells, "in "+phases[len(phases)-1]), second.cells()...)
}

// TestComparison: the table of docs/comparison.md is what runs come to.
func TestComparison(t *testing.T) {
	e, err := scenario.NewFixedEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"early-attestation-07", "early-attestation-08pre", "seat-expat-04"}
	var columns [][]string
	for _, name := range names {
		columns = append(columns, measure(t, e, name, name == "early-attestation-08pre"))
	}
	rows := []string{"round trips before the client's first application data", "messages until then",
		"octets of them, of the client and of the server", "signatures of CertificateVerify", "key exchanges",
		"the server is attested until then in", "`tickets` of the profile", "`accept`, whether a session may be resumed", "`early_data`", "attested again on the same connection",
		"round trips of that", "messages", "octets, of the client and of the server", "signatures of CertificateVerify",
		"key exchanges"}
	table := "| | `" + strings.Join(names, "` | `") + "` |\n|---|" + strings.Repeat("---|", len(names)) + "\n"
	for i, row := range rows {
		table += "| " + row + " |"
		for _, c := range columns {
			table += " " + c[i] + " |"
		}
		table += "\n"
	}
	const page, head = "../../docs/comparison.md", "| | `early-attestation-07`"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), head)
	_, after, closed := strings.Cut(rest, "\n\n")
	if !found || !closed {
		t.Fatalf("%s has no table", page)
	}
	made := before + table + "\n" + after
	if slices.Equal([]byte(made), text) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what runs come to; go test ./conformance/scenario -run TestComparison -update writes:\n%s", page, table)
	}
	if err := os.WriteFile(page, []byte(made), 0o600); err != nil {
		t.Fatal(err)
	}
}
