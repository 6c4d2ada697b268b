package model

import (
	"regexp"
	"strings"
)

// Acceptance is the end of a counterexample: who accepts whose Evidence, under which key.
type Acceptance struct {
	// Expected is the owner of the name that the relying party expects: a platform, or
	// the attacker.
	Expected string `json:"expected"`
	Platform string `json:"platform"` // that signed the Evidence
	Key      string `json:"key"`      // the owner of the key that CertificateVerify was made with
	// Connection is the connection on which the platform's own end presented the Evidence.
	Connection Connection `json:"connection"`
	Times      int        `json:"times"` // how often the Evidence is accepted
}

// Connection compares two connections by what their ends see.
type Connection string

// Where the Evidence was presented, as seen from the connection on which it is accepted.
const (
	SameHellos Connection = "both hellos are the same"
	SameOffer  Connection = "ClientHello is the same, ServerHello is another"
	Another    Connection = "another connection"
	Nowhere    Connection = "presented by no honest end"
)

// Attacker is the owner of what is not an honest end's.
const Attacker = "the attacker"

var created = regexp.MustCompile(`^new (m|tik)(?:_\d+)?: \w+ creating (\w+) at \{\d+\} in copy (\w+)`)

// step is an event of a trace with its arguments.
type step struct {
	name string
	args []string
}

// readAcceptance reads the events of a trace; nil if it has no acceptance.
func readAcceptance(trace string) *Acceptance {
	platforms, keys := map[string]string{}, map[string]string{} // by copy
	owner := map[string]string{}
	var events []step
	for _, line := range strings.Split(trace, "\n") {
		line = strings.TrimSpace(line)
		if m := created.FindStringSubmatch(line); m != nil {
			if m[1] == "m" {
				platforms[m[3]] = m[2]
			} else {
				keys[m[3]] = m[2]
			}
		}
		if rest, ok := strings.CutPrefix(line, "event "); ok {
			if name, args, ok := arguments(rest); ok {
				events = append(events, step{name, args})
			}
		}
	}
	for c, k := range keys {
		owner["pk("+k+")"] = platforms[c]
	}
	last := -1
	for i, e := range events {
		if e.name == "Accepts" && len(e.args) == 11 {
			last = i
		}
	}
	if last < 0 {
		return nil
	}
	return acceptance(events, events[last].args, owner)
}

func acceptance(events []step, args []string, owner map[string]string) *Acceptance {
	a := &Acceptance{Expected: Attacker, Platform: args[1], Key: owner[args[2]], Connection: Nowhere}
	if name, inner, ok := arguments(args[0]); ok && name == "host" && len(inner) == 1 {
		a.Expected = inner[0]
	}
	if a.Platform == "rented" {
		a.Platform = Attacker
	}
	if a.Key == "" {
		a.Key = Attacker
	}
	for _, e := range events {
		switch {
		case e.name == "Accepts" && len(e.args) == 11 && e.args[3] == args[3]:
			a.Times++
		case e.name == "Presents" && len(e.args) == 7 && e.args[3] == args[3]:
			a.Connection = nearer(a.Connection, compare(args[4], e.args[4]))
		}
	}
	return a
}

// nearer is the one of two connections that has more in common.
func nearer(a, b Connection) Connection {
	for _, c := range []Connection{SameHellos, SameOffer, Another} {
		if a == c || b == c {
			return c
		}
	}
	return Nowhere
}

// compare compares two pairs of hellos.
func compare(a, b string) Connection {
	if a == b {
		return SameHellos
	}
	_, x, okA := arguments(a)
	_, y, okB := arguments(b)
	if okA && okB && len(x) == 2 && len(y) == 2 && x[0] == y[0] {
		return SameOffer
	}
	return Another
}

// arguments takes name(a, b, …) apart; what follows the parenthesis does not matter. The
// name of a tuple is empty.
func arguments(s string) (name string, args []string, ok bool) {
	open := strings.IndexByte(s, '(')
	if open < 0 {
		return "", nil, false
	}
	depth, start := 0, open+1
	for i := open; i < len(s); i++ {
		switch s[i] {
		case '(', '[':
			depth++
		case ')', ']':
			if depth--; depth == 0 {
				return s[:open], append(args, strings.TrimSpace(s[start:i])), true
			}
		case ',':
			if depth == 1 {
				args, start = append(args, strings.TrimSpace(s[start:i])), i+1
			}
		}
	}
	return "", nil, false
}

// String says what is accepted.
func (a *Acceptance) String() string {
	who := func(s string) string {
		switch {
		case s == Attacker:
			return s
		case !strings.HasPrefix(s, "m"): // ProVerif's name for a value that the attacker chose
			return "another host"
		}
		return "platform " + s
	}
	s := "a relying party that expects " + who(a.Expected) + " accepts Evidence of " + who(a.Platform) +
		" under a key of " + who(a.Key)
	if a.Platform == Attacker {
		return s
	}
	if a.Connection == Nowhere {
		return s + "; " + string(Nowhere)
	}
	return s + "; where it was presented, " + string(a.Connection)
}

// Section is the kind of attack that a counterexample is, by its section in the catalogue
// of attacks; "" where it is none of these.
func (a *Acceptance) Section() string {
	switch {
	case a.Platform == Attacker:
		return "3.5" // re-hosting
	case a.Key == Attacker:
		return ""
	case a.Expected != Attacker && a.Expected != a.Platform:
		return "3.1" // diversion
	case a.Times > 1:
		return "3.7" // replay
	case a.Connection == SameHellos:
		return "3.4"
	case a.Connection == SameOffer:
		return "3.3"
	case a.Connection == Another:
		return "3.2"
	}
	return "3.6" // an oracle
}
