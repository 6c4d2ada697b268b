package campaign

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"attls"
)

// record is what a run came to, to be compared.
func (r *run) record(in *Input) []string {
	var list []string
	for _, e := range r.log {
		alert := ""
		if e.alert != nil {
			alert = e.alert.String()
		}
		list = append(list, fmt.Sprintf("%v %v %v %x %d %v %v %+v", e.role, e.sent, e.kind, e.raw, e.was, e.done, alert, e.rec))
	}
	for _, d := range r.ledger {
		list = append(list, fmt.Sprintf("%+v", d))
	}
	for _, x := range r.proofs.list {
		x.opened, x.outcome = nil, nil
		list = append(list, fmt.Sprintf("%+v", x))
	}
	for _, a := range r.agents {
		slices.SortFunc(a.counts, func(x, y sentKind) int { return strings.Compare(x.name, y.name) })
		list = append(list, fmt.Sprint(a.counts, a.records, a.waits, a.later, a.over, a.fatal, a.after, a.shadowed, a.shadowedLater, a.shadowedProof))
	}
	list = append(list, fmt.Sprint(r.errs, r.done, r.early, r.received, r.exported, r.frames.began, r.frames.errs, r.frames.changed,
		r.wouldAsk, r.proofs.errs, r.post.asked, r.post.answered))
	return append(list, fmt.Sprint(in.violations(r), r.outcomes(map[string]string{})))
}

// TestForksGoOnAlike: an input that goes on from a fork, in the handshake or in an exchange that
// follows it, ends as it does from the beginning, and forks are made there at each step.
func TestForksGoOnAlike(t *testing.T) {
	type places map[string]int
	for _, c := range []struct {
		target string
		of     func(Connection) bool
		inside []string // where at least three inputs have to go on
	}{
		{TLS, func(c Connection) bool { return c.Authenticators }, []string{"0 due", "0 asked", "1 answered", "3 asked"}},
		{TLS, func(c Connection) bool { return c.PostHandshake || c.ExtendedKeyUpdate }, []string{"later"}},
		{"seat-expat-04", func(c Connection) bool { return c.Attester == "both" || c.Again }, []string{"0 asked", "0 answered", "1 answered"}},
		{"deployed-cmc", func(Connection) bool { return true }, []string{"frames"}},
		{"deployed-privasys-v2", func(Connection) bool { return true }, []string{"frames"}},
		{"early-attestation-08pre", func(c Connection) bool { return c.ExtendedKeyUpdate || c.PostHandshake }, []string{"later"}},
	} {
		t.Run(c.target, func(t *testing.T) {
			x := target(t, c.target)
			x.Connections = slices.DeleteFunc(slices.Clone(x.Connections), func(x Connection) bool { return !c.of(x) || x.Tickets })
			w, err := newWorld()
			if err != nil {
				t.Fatal(err)
			}
			list, _, err := x.subjects(w, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(3, 4))
			m, seen := newMutator(r, list), places{}
			for i := range 500 {
				s, attacker := list[i%len(list)], attls.Role(r.IntN(2))
				in, _ := m.swept(x, list, attacker)
				if in == nil || i%2 == 0 {
					in = m.input(x, s, attacker, nil)
				}
				if s = subjectOf(list, in.Connection); s == nil {
					t.Fatalf("no subject of %v", in.Connection)
				}
				if at := s.latest(in); at >= 0 {
					seen[s.prefixes[at].place()]++
				}
				forked, err := s.execute(in, false)
				if err != nil {
					continue
				}
				got := forked.record(in)
				whole, err := s.execute(in, true)
				if err != nil {
					t.Fatal(err)
				}
				if want := whole.record(in); !reflect.DeepEqual(got, want) {
					for k := range min(len(got), len(want)) {
						if got[k] != want[k] {
							t.Fatalf("%v, %v: from a fork\n%.300s\nfrom the beginning\n%.300s", in.Connection, in.Edits, got[k], want[k])
						}
					}
					t.Fatalf("%v, %v: %d entries from a fork, %d from the beginning", in.Connection, in.Edits, len(got), len(want))
				}
			}
			for _, place := range c.inside {
				if seen[place] < 3 {
					t.Errorf("%d inputs go on at %q: %v", seen[place], place, seen)
				}
			}
			for _, s := range list {
				if len(s.prefixes) >= maxPrefixes {
					t.Errorf("%v has more moments than are kept", s.conn)
				}
			}
		})
	}
}

func subjectOf(list []*subject, c Connection) *subject {
	i := slices.IndexFunc(list, func(s *subject) bool { return s.conn == c })
	if i < 0 {
		return nil
	}
	return list[i]
}

// place says where a prefix is.
func (p *prefix) place() string {
	r := p.run
	switch {
	case r.proofs.began:
		return fmt.Sprintf("%d %s", len(r.proofs.list), [...]string{"due", "asked", "answered"}[r.proofs.at])
	case r.frames.began:
		return "frames"
	case r.agents[0].over && r.agents[1].over:
		return "later"
	}
	return "handshake"
}
