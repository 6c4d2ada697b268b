package scenario

import (
	"fmt"

	"attls/extensions/profile"
)

// Injection is something wrong or unusual that happens in a run besides what its
// scenario describes, with what must follow. The rows of conformance/cases are
// injections; a program may have its own.
type Injection interface {
	// Where returns the scenario in which it happens: the one it was found for, with
	// what that left open filled in.
	Where() Scenario
	// Apply changes the ends before they start.
	Apply(*Setup)
	// Judge says why the run did not end as expected; nil when it did.
	Judge(*Result) error
}

// Finder looks up what Scenario.Fail or Scenario.Tolerate names, under a profile
// (nil: plain TLS 1.3).
type Finder func(p *profile.Profile, s Scenario, name string) (Injection, error)

// noFinder is the Finder of who was given none.
func noFinder(_ *profile.Profile, _ Scenario, name string) (Injection, error) {
	return nil, fmt.Errorf("the scenario names %q, and this run knows no table to look it up in: see the option Find",
		name)
}
