package peers

import (
	"slices"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/scenario"
)

// deviation is how a stack answers some faults otherwise than it should.
type deviation struct {
	faults []string
	// when narrows the scenarios; nil: all.
	when func(*scenario.Scenario) bool
	Deviant
}

// deviations are what is known of a stack.
type deviations []deviation

// of is what is known for a scenario; nil: nothing.
func (l deviations) of(s *scenario.Scenario) (list []Deviant) {
	id := cases.ID(s.Injected())
	for i := range l {
		if d := &l[i]; slices.ContainsFunc(d.faults, func(f string) bool { return cases.ID(f) == id }) &&
			(d.when == nil || d.when(s)) {
			list = append(list, d.Deviant)
		}
	}
	return list
}

// history is a stack's versions that were tried, the oldest first.
type history []string

// seen are deviations that the tried versions from first to last have, and the others
// have not.
func (h history) seen(first, last string, list ...deviation) deviations {
	for i := range list {
		list[i].Releases = Releases{first, last, h}
	}
	return list
}

// all are deviations of every version that was tried.
func (h history) all(list ...deviation) deviations { return h.seen(h[0], h[len(h)-1], list...) }

// answers is a deviation in the alert, takes one in what must be rejected, and
// breaksOff one without an alert. does says why, in a sentence.
func answers(alert attls.AlertDescription, does string, faults ...string) deviation {
	return deviation{faults: faults, Deviant: Deviant{Alert: alert, Does: does}}
}

func takes(does string, faults ...string) deviation {
	return deviation{faults: faults, Deviant: Deviant{Accepts: true, Does: does}}
}

func breaksOff(does string, faults ...string) deviation {
	return deviation{faults: faults, Deviant: Deviant{None: true, Does: does}}
}

// bySender are the names of a fault of both directions.
func bySender(names ...string) []string {
	var list []string
	for _, n := range names {
		list = append(list, n+"-client", n+"-server")
	}
	return list
}
