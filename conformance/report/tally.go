package report

import (
	"slices"
	"strings"

	"attls"
	"attls/conformance/adapter"
	"attls/conformance/cases"
)

// ExpectedDeviation begins the reason of a run that showed a deviation which is known, before
// the name of the stack and the sentence of the deviation.
const ExpectedDeviation = "expected deviation of "

// Tally adds what runs showed of known deviations.
func (r *Report) Tally(t *adapter.Tally) {
	for i := range r.Stacks {
		s := &r.Stacks[i]
		seen, sent := map[string]bool{}, map[string]bool{}
		for k := range r.Runs {
			run := &r.Runs[k]
			if run.Fault == nil || run.Outcome == Skipped || run.Outcome == Limit || run.receiver() != s.Name {
				continue
			}
			sent[run.Fault.ID] = true
			if does, ok := strings.CutPrefix(run.Reason, ExpectedDeviation+s.Name+": "); ok && run.Outcome == Deviation {
				seen[does] = true
			}
		}
		t.Add(s.Name, s.Version, seen, func(d *adapter.Deviation) bool {
			return d.Fault != nil && slices.ContainsFunc(d.Fault.Names, func(f string) bool { return sent[cases.ID(f)] })
		})
	}
}

// receiver is the stack that has to deal with a run's fault.
func (r *Run) receiver() string {
	if r.Fault.Receiver() == attls.RoleClient {
		return r.Client
	}
	return r.Server
}
