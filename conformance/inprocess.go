package conformance

import (
	"context"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
)

// InProcess is a scenario's two ends for the in-process driver. Its answers are
// remembered, so that forks of the pair are answered alike.
type InProcess struct {
	Options  pair.Options
	Injected Injection // of Scenario.Fail or Scenario.Tolerate; nil: nothing
	traces   [2]*Trace
}

// NewInProcess builds both ends of a scenario, drawing from the sources of
// randomness, which are indexed by role.
func NewInProcess(s Scenario, random [2]handshake.Random, options ...Option) (*InProcess, error) {
	lab, err := newLaboratory()
	if err != nil {
		return nil, err
	}
	return lab.inProcess(s, random, newRunner(options).find, nil)
}

// inProcess is NewInProcess with the ends changed once they are built.
func (l *laboratory) inProcess(s Scenario, random [2]handshake.Random, find Finder, change func(*setup)) (*InProcess, error) {
	set, injected, err := prepare(&s, l, find)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(set)
	}
	in := &InProcess{Injected: injected, Options: pair.Options{Send: [2][]byte{[]byte(request), []byte(response)}, KeepWire: true}}
	for _, role := range bothRoles {
		answerer, err := set.answerer(role, &tape{})
		if err != nil {
			return nil, err
		}
		config := set.ends[role].config
		config.Random = random[role]
		in.traces[role] = NewTrace(role, set.p)
		config.Tap = handshake.Taps(config.Tap, in.traces[role])
		if role == attls.RoleClient {
			in.Options.Client = config
		} else {
			in.Options.Server = config
		}
		in.Options.Answer[role] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
			return answerer.Answer(context.Background(), w)
		}
	}
	return in, nil
}
