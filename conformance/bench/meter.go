package bench

import (
	"context"
	"sync"
	"time"

	"attls/negotiation"
)

// task is what is timed.
type task uint8

const (
	making   task = iota // of Evidence, by the attester
	judging              // of Evidence, by the Verifier
	checking             // of Attestation Results, by the relying party
	tasks
)

// meter times what attests and what judges inside handshakes, and takes down how long
// Evidence and payloads are. A nil meter times nothing.
type meter struct {
	mu    sync.Mutex
	times [tasks][]float64 // nanoseconds, one for each handshake
	inner time.Duration    // of the Verifier that the attester is asking
	// evidence and payload are the octets of Evidence, and of what the handshake carries.
	evidence, payload int
}

// reset forgets the times.
func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.times = [tasks][]float64{}
}

func (m *meter) took(t task) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return median(m.times[t])
}

func (m *meter) attester(a negotiation.Attester) negotiation.Attester {
	if m == nil {
		return a
	}
	return &timedAttester{a, m}
}

func (m *meter) appraiser(a negotiation.Appraiser, t task) negotiation.Appraiser {
	if m == nil {
		return a
	}
	return &timedAppraiser{a, m, t}
}

type timedAttester struct {
	negotiation.Attester
	meter *meter
}

func (a *timedAttester) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	m := a.meter
	m.mu.Lock()
	m.inner = 0
	m.mu.Unlock()
	began := time.Now()
	e, err := a.Attester.Attest(ctx, r)
	took := time.Since(began)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.payload = len(e.CMW)
		m.times[making] = append(m.times[making], float64((took - m.inner).Nanoseconds()))
	}
	return e, err
}

type timedAppraiser struct {
	negotiation.Appraiser
	meter *meter
	task  task
}

func (a *timedAppraiser) Appraise(ctx context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	began := time.Now()
	v, err := a.Appraiser.Appraise(ctx, r)
	took := time.Since(began)
	m := a.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	if a.task == judging {
		m.evidence, m.inner = len(r.CMW), m.inner+took
	}
	m.times[a.task] = append(m.times[a.task], float64(took.Nanoseconds()))
	return v, err
}
