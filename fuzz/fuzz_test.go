package fuzz

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/internal/seeds"
)

// recorded is what the ends of a scenario send in an undisturbed run.
func recorded(t testing.TB, s *Scenario, null bool) [2][]byte {
	t.Helper()
	o := s.options(null, [2]handshake.Tap{})
	o.KeepWire = true
	p, err := pair.New(o)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	if err := p.Run(); err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	for r := attls.RoleClient; r <= attls.RoleServer; r++ {
		p.Engine(r).KeyUpdate(true)
		p.Engine(r).Write([]byte("more"))
		p.Engine(r).CloseNotify()
	}
	if err := p.Run(); err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	return [2][]byte{p.Wire(attls.RoleClient), p.Wire(attls.RoleServer)}
}

// scripts are the seeds of FuzzEngine: for each scenario and role, what the
// other end sends, whole and in pieces, with the waits answered in time or late.
func scripts(t testing.TB) []Script {
	var list []Script
	for i := range Scenarios() {
		for _, null := range []bool{true, false} {
			wires := recorded(t, &Scenarios()[i], null)
			for _, server := range []bool{true, false} {
				peer := attls.RoleServer
				if server {
					peer = attls.RoleClient
				}
				list = append(list, NewScript(i, server, null, true).Input(wires[peer], 1<<14).Do(opWrite, opUpdate, opRequest, opClose, opEOF))
				if !null {
					continue
				}
				list = append(list, NewScript(i, server, null, true).Input(wires[peer], 100).Do(opFork, opWrote, opAbort))
				late := NewScript(i, server, null, false)
				for range 4 {
					late = late.Do(opAnswer)
				}
				late = late.Input(wires[peer], 1<<14)
				for range 8 {
					late = late.Do(opAnswer)
				}
				list = append(list, late.Do(opRefuse, opEOF))
			}
		}
	}
	return list
}

// TestScenarios completes each scenario under both providers.
func TestScenarios(t *testing.T) {
	for i := range Scenarios() {
		for _, null := range []bool{true, false} {
			recorded(t, &Scenarios()[i], null)
		}
	}
	if n := len(Scenarios()); n < 15 {
		t.Errorf("%d scenarios", n)
	}
}

// allStates are the states of handshake, by their names.
var allStates = []string{
	"START", "WAIT_SH", "WAIT_EE", "WAIT_CERT_CR", "WAIT_CERT", "WAIT_CV", "WAIT_ADDED", "WAIT_FINISHED", "SEND_FLIGHT",
	"WAIT_CH2", "RECVD_CH", "PROVE", "PROVE_CREDENTIAL", "PROVE_EVIDENCE", "PROVE_CERTIFICATE", "PROVE_SIGNATURE", "SEND_FINISHED", "SEND_ADDED",
	"ACCEPT", "FINISH", "CONNECTED", "FAILED",
}

// TestSeedsReachEveryState runs the seeds: no invariant is broken, and every
// state is entered.
func TestSeedsReachEveryState(t *testing.T) {
	states := map[string]bool{}
	done := 0
	for _, s := range scripts(t) {
		out, err := RunScript(s, states)
		if err != nil {
			t.Fatalf("%x: %v", s[:2], err)
		}
		if out.Done {
			done++
		}
	}
	for _, name := range allStates {
		if !states[name] {
			t.Errorf("no seed reaches %s", name)
		}
		delete(states, name)
	}
	if len(states) > 0 {
		t.Errorf("states that the list lacks: %v", states)
	}
	if done == 0 {
		t.Error("no seed completes a handshake")
	}
}

// FuzzEngine gives one engine any octets at any time. How the octets are cut
// must change nothing, as long as nothing is done in between.
func FuzzEngine(f *testing.F) {
	seeds.Add(f, func() {
		for _, s := range scripts(f) {
			f.Add([]byte(s))
		}
	})
	f.Fuzz(func(t *testing.T, script []byte) {
		seeds.Input(t, script)
		whole, err := RunScript(script, nil)
		if err == errEngine {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if cut := recut(script); cut != nil {
			pieces, err := RunScript(cut, nil)
			if err != nil {
				t.Fatalf("cut into octets: %v", err)
			}
			if err := SameOutcome(whole, pieces); err != nil {
				t.Fatalf("cut into octets: %v", err)
			}
		}
	})
}

// recut gives a script's input octet by octet; nil when that is long or means
// something else.
func recut(script []byte) Script {
	if len(script) > 1<<13 || script[1]&flagAnswer == 0 {
		return nil
	}
	out := Script(slices.Clone(script[:2]))
	for ops := script[2:]; len(ops) > 0; {
		op, n := ops[0], 0
		ops = ops[1:]
		switch {
		case op < opAnswer:
			n = int(op) + 1
		case op == opInput && len(ops) < 2:
			return nil
		case op == opInput:
			n, ops = int(ops[0])<<8|int(ops[1]), ops[2:]
		default:
			out = append(out, op)
			continue
		}
		n = min(n, len(ops))
		out, ops = out.Input(ops[:n], 1), ops[n:]
	}
	return out
}

// FuzzPair changes the messages of two ends that talk to each other.
func FuzzPair(f *testing.F) {
	seeds.Add(f, func() {
		for i := range Scenarios() {
			for m := range byte(12) {
				f.Add(byte(i), m%2 == 0, []byte{m, byte(i) + m, m * 7, 40})
			}
		}
	})
	f.Fuzz(func(t *testing.T, scenario byte, null bool, plan []byte) {
		seeds.Input(t, scenario, null, plan)
		if len(plan) > 256 {
			return
		}
		if err := RunPair(int(scenario), null, plan); err != nil {
			t.Fatal(err)
		}
	})
}

// TestMutationsHappen: the seeds of FuzzPair make handshakes fail in many ways,
// and leave some alone.
func TestMutationsHappen(t *testing.T) {
	failures := map[attls.Failure]int{}
	completed := 0
	for i := 0; i < len(Scenarios()); i += 4 {
		for op := range byte(mutations) {
			for message := range byte(12) {
				for _, place := range []byte{60, 250} {
					r, err := runPair(i, true, []byte{message, op, place, 1})
					if err != nil {
						t.Fatalf("scenario %d, mutation %d of message %d at %d: %v", i, op, message, place, err)
					}
					if r.Done() && r.Err() == nil {
						completed++
					}
					for role := attls.RoleClient; role <= attls.RoleServer; role++ {
						if e := r.Engine(role).Err(); e != nil && e.Class != attls.FromPeer {
							failures[e.Failure]++
						}
					}
				}
			}
		}
	}
	if len(failures) < 15 || completed == 0 {
		var names []string
		for f, n := range failures {
			names = append(names, fmt.Sprintf("%s (%d)", f, n))
		}
		slices.Sort(names)
		t.Errorf("%d kinds of failure (%s), %d completed", len(failures), strings.Join(names, ", "), completed)
	}
}
