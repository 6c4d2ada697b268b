package scenario

import (
	"context"
	"sync"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/pair"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/internal/rule"
)

// shared is what runs in memory have around them; it is made once, since making
// keys takes longer than such a run.
var shared = sync.OnceValues(NewEnvironment)

func init() {
	rule.RunInMemory = func(set any, r rule.Rule) (any, error) {
		result, err := set.(*Setup).runInMemory(func(c *handshake.Config) *handshake.Config { return rule.Without(c, r) })
		return result, err
	}
}

// NewSetup builds both ends of a scenario for a run in memory.
func NewSetup(p *profile.Profile, s *Scenario) (*Setup, error) {
	env, err := shared()
	if err != nil {
		return nil, err
	}
	return newSetup(p, s, env)
}

// RunInMemory runs both ends in one goroutine, with application data both ways.
func (s *Setup) RunInMemory() (*Result, error) {
	return s.runInMemory(func(c *handshake.Config) *handshake.Config { return c })
}

// runInMemory runs engines of what is made of the configurations, which nobody else
// gets to see.
func (s *Setup) runInMemory(configured func(*handshake.Config) *handshake.Config) (*Result, error) {
	o := pair.Options{Send: [2][]byte{[]byte(Request), []byte(response)}, KeepWire: true, Split: [2]pair.Split{}}
	if s.exports() {
		o.Send = [2][]byte{} // behind the attestation
	}
	var traces [2]*trace.Trace
	for _, role := range attls.Roles() {
		answerer, err := s.answerer(role, &tape{})
		if err != nil {
			return nil, err
		}
		traces[role] = trace.New(role, s.Ends[role].Config.Profile)
		config := s.Ends[role].Config
		config.Tap = handshake.Taps(config.Tap, traces[role])
		o.Answer[role] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
			return answerer.Answer(context.Background(), w)
		}
		if role == attls.RoleClient && s.LaterCredential {
			o.Answer[role] = s.showOther(o.Answer[role])
		}
	}
	o.Client, o.Server = configured(s.Ends[attls.RoleClient].Config), configured(s.Ends[attls.RoleServer].Config)
	both, err := pair.New(o)
	if err != nil {
		return nil, err
	}
	r := &Result{Scenario: *s.Scenario, Pair: both}
	for step, ok := both.Step(); ok; step, ok = both.Step() {
		if step.Action == pair.Happened && step.Event.Kind == handshake.EventTicket {
			r.Session = step.Event.Session
		}
		if s.Scenario.ExtendedKeyUpdate && step.Role == s.Scenario.renews() && step.Action == pair.Happened &&
			step.Event.Kind == handshake.EventDone && both.Engine(step.Role).State().ExtendedKeyUpdate {
			if err := both.Engine(step.Role).ExtendedKeyUpdate(); err != nil {
				return nil, err
			}
		}
	}
	var after [2]*laterEnd
	if s.exports() {
		if after, err = s.attestInMemory(both, o); err != nil {
			return nil, err
		}
	}
	r.Ladder = trace.Ladder(traces[attls.RoleClient], traces[attls.RoleServer])
	for _, role := range attls.Roles() {
		engine := both.Engine(role)
		out := claims.Outcome{Err: engine.Err()}
		if after[role] != nil && out.Err == nil {
			out.Err = after[role].failed
		}
		out.AlertSent, out.AlertReceived = traces[role].Alerts()
		out.DataSent, out.DataReceived = traces[role].Data()
		state := engine.State()
		r.Claims[role] = claims.MakeClaims(s.Ends[role].Config.Profile, state, out)
		for i := range state.Reattestation {
			r.Claims[role].AddUpdate(s.Ends[role].Config.Profile, &state.Reattestation[i])
		}
		after[role].claim(&r.Claims[role], s.Ends[role].Config.Profile)
		r.Sent[role] = both.Wire(role)
	}
	return r, nil
}

// showOther answers with a certificate of another key whenever one is asked for
// again.
func (s *Setup) showOther(first pair.Answer) pair.Answer {
	asked := 0
	return func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitCredential {
			if asked++; asked > 1 {
				other, err := s.env.Authority.Issue(KeyP256, s.Scenario.serverName())
				if err != nil {
					return handshake.Answer{}, attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
				}
				return handshake.Answer{Credential: other}, nil
			}
		}
		return first(w)
	}
}

// NewSetup builds both ends of a scenario for runs in memory in this environment.
func (e *Environment) NewSetup(p *profile.Profile, s *Scenario) (*Setup, error) {
	return newSetup(p, s, e)
}

// Answerer makes what answers the waits of an end. It asks Attester and Appraiser
// without a bound in time.
func (s *Setup) Answerer(role attls.Role) (*handshake.Answerer, error) {
	a, err := s.answerer(role, &tape{})
	if err != nil {
		return nil, err
	}
	a.Around = nil
	a.Timeouts = map[handshake.WaitKind]time.Duration{handshake.WaitNonce: 0, handshake.WaitEvidence: 0,
		handshake.WaitAppraisal: 0}
	return a, nil
}
