package fuzz

import (
	"bytes"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
)

// TestForkScenarios forks every scenario at every step, attestation waits open
// and late among them. All halves must finish with the same octets.
func TestForkScenarios(t *testing.T) {
	for i := range Scenarios() {
		s := &Scenarios()[i]
		o := s.options(false, [2]handshake.Tap{&alerts{}, &alerts{}})
		o.KeepWire = true
		o.Delay = func(_ attls.Role, w *handshake.Wait) int {
			if w.Kind == handshake.WaitAppraisal {
				return pair.WhenIdle
			}
			return 2
		}
		p, err := pair.New(o)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		var forks []*pair.Pair
		for ok := true; ok; _, ok = p.Step() {
			f, err := p.Fork([2]handshake.ForkOptions{})
			if err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			forks = append(forks, f)
		}
		if err := p.Err(); err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		for step, f := range forks { // after the original is through, so that what they share shows
			if err := f.Run(); err != nil {
				t.Fatalf("%s, fork at step %d: %v", s.Name, step, err)
			}
			for r := attls.RoleClient; r <= attls.RoleServer; r++ {
				a, b := p.Engine(r).State().Attestation, f.Engine(r).State().Attestation
				if !bytes.Equal(f.Wire(r), p.Wire(r)) || !bytes.Equal(f.Received(r), p.Received(r)) || len(a) != len(b) {
					t.Fatalf("%s, fork at step %d: the %v ends otherwise", s.Name, step, r)
				}
				for k := range a {
					if !bytes.Equal(a[k].Challenge, b[k].Challenge) || !bytes.Equal(a[k].Payload, b[k].Payload) || (a[k].Verdict == nil) != (b[k].Verdict == nil) {
						t.Fatalf("%s, fork at step %d: the attestation of the %v differs", s.Name, step, a[k].Attester)
					}
				}
			}
		}
	}
}
