package conformance

import (
	"context"
	"sync"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
)

// shared is what runs in memory have around them; it is made once, since making
// keys takes longer than such a run.
var shared = sync.OnceValues(NewEnvironment)

// newMemorySetup builds both ends of a scenario for a run in memory. A profile is
// given apart from the scenario's own, since the ends of a proof go without a rule.
func newMemorySetup(p *profile.Profile, s *Scenario) (*setup, error) {
	env, err := shared()
	if err != nil {
		return nil, err
	}
	return newSetup(p, s, env)
}

// inMemory runs both ends in one goroutine, with application data both ways.
func (s *setup) inMemory() (*Result, error) {
	o := pair.Options{Send: [2][]byte{[]byte(request), []byte(response)}, KeepWire: true, Split: [2]pair.Split{}}
	var traces [2]*Trace
	for _, role := range bothRoles {
		answerer, err := s.answerer(role, &tape{})
		if err != nil {
			return nil, err
		}
		traces[role] = NewTrace(role, s.ends[role].config.Profile)
		config := s.ends[role].config
		config.Tap = handshake.Taps(config.Tap, traces[role])
		o.Answer[role] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
			return answerer.Answer(context.Background(), w)
		}
		if role == attls.RoleClient && s.laterCredential {
			o.Answer[role] = s.showOther(o.Answer[role])
		}
	}
	o.Client, o.Server = s.ends[attls.RoleClient].config, s.ends[attls.RoleServer].config
	both, err := pair.New(o)
	if err != nil {
		return nil, err
	}
	r := &Result{Scenario: *s.s, pair: both}
	for step, ok := both.Step(); ok; step, ok = both.Step() {
		if step.Action == pair.Happened && step.Event.Kind == handshake.EventTicket {
			r.session = step.Event.Session
		}
	}
	r.Ladder = Ladder(traces[attls.RoleClient], traces[attls.RoleServer])
	for _, role := range bothRoles {
		engine := both.Engine(role)
		out := Outcome{Err: engine.Err()}
		out.AlertSent, out.AlertReceived = traces[role].Alerts()
		out.DataSent, out.DataReceived = traces[role].Data()
		r.Claims[role] = MakeClaims(s.ends[role].config.Profile, engine.State(), out)
		r.Sent[role] = both.Wire(role)
	}
	return r, nil
}

// showOther answers with a certificate of another key whenever one is asked for
// again.
func (s *setup) showOther(first pair.Answer) pair.Answer {
	asked := 0
	return func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitCredential {
			if asked++; asked > 1 {
				other, err := s.env.Authority.Issue(KeyP256, s.s.serverName())
				if err != nil {
					return handshake.Answer{}, attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
				}
				return handshake.Answer{Credential: other}, nil
			}
		}
		return first(w)
	}
}
