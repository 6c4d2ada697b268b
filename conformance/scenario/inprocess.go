package scenario

import (
	"context"

	"attls"
	"attls/conformance/pair"
	"attls/conformance/trace"
	"attls/handshake"
)

// InProcess is a scenario's two ends for the in-process driver. Its answers are
// remembered, so that forks of the pair are answered alike.
type InProcess struct {
	Options  pair.Options
	Injected Injection // of Scenario.Fail or Scenario.Tolerate; nil: nothing
	Traces   [2]*trace.Trace
}

// NewInProcess builds both ends of a scenario, drawing from the sources of
// randomness, which are indexed by role.
func NewInProcess(s Scenario, random [2]handshake.Random, options ...Option) (*InProcess, error) {
	set, injected, err := newRunner(options).prepare(&s)
	if err != nil {
		return nil, err
	}
	in := &InProcess{Injected: injected, Options: pair.Options{Send: [2][]byte{[]byte(Request), []byte(response)},
		KeepWire: true}}
	for _, role := range attls.Roles() {
		answerer, err := set.answerer(role, &tape{})
		if err != nil {
			return nil, err
		}
		config := set.Ends[role].Config
		config.Random = random[role]
		in.Traces[role] = trace.New(role, set.Profile)
		config.Tap = handshake.Taps(config.Tap, in.Traces[role])
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
