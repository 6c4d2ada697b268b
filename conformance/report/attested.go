package report

import (
	"fmt"
	"slices"
	"strings"
)

// Attested counts the scenarios in which two stacks attested to each other and
// agreed in what they claim.
type Attested struct {
	Stacks [2]string // in the order of the alphabet
	Passed int
	// Protocols counts them without regard to cipher suites and groups.
	Protocols int
}

func (a Attested) String() string {
	return fmt.Sprintf(
		"%d attested scenarios of %s and %s passed with equal claims (%d without regard to suites and groups)",
		a.Passed,
		a.Stacks[0],
		a.Stacks[1],
		a.Protocols,
	)
}

// ownCommand is this stack as a program, which makes no other stack of it.
const ownCommand = "attls-command"

// Attested counts runs that passed, distinct in direction, profile, attester,
// model, credential, reading, cipher suite, group, HelloRetryRequest or resumption. How
// records are cut, what size Evidence has and what was injected makes no other
// scenario; a stack with itself is not counted.
func (r *Report) Attested() []Attested {
	var list []Attested
	known := map[string]bool{}
	for i := range r.Runs {
		run := &r.Runs[i]
		s := &run.Scenario
		if run.Outcome != Passed || s.Injected() != "" || s.Payload > 0 || len(s.Attester.Roles()) == 0 {
			continue
		}
		client, server := stack(run.Client), stack(run.Server)
		of := strings.Join([]string{client, server, s.ProfileName(), fmt.Sprint(s.Readings), string(s.Attester), s.Model,
			s.Credential, fmt.Sprint(s.HelloRetry || s.Cookie), string(s.Resumption)}, "\n")
		key := of + "\n" + s.Suite + "\n" + s.Group
		if client == server || known[key] {
			continue
		}
		pair := [2]string{min(client, server), max(client, server)}
		at := slices.IndexFunc(list, func(a Attested) bool { return a.Stacks == pair })
		if at < 0 {
			at = len(list)
			list = append(list, Attested{Stacks: pair})
		}
		list[at].Passed++
		if !known[of] {
			list[at].Protocols++
		}
		known[key], known[of] = true, true
	}
	return list
}

func stack(name string) string {
	if name == ownCommand {
		return "attls"
	}
	return name
}
