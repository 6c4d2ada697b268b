package attestation

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// counting is an Attester that counts, and fails when it is told to.
type counting struct {
	negotiation.Attester
	n    atomic.Int32
	fail atomic.Bool
	done chan struct{} // told after each
}

func (c *counting) Attest(ctx context.Context, q *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	c.n.Add(1)
	defer func() {
		select {
		case c.done <- struct{}{}:
		default:
		}
	}()
	if c.fail.Load() {
		return nil, errors.New("the service is away")
	}
	return c.Attester.Attest(ctx, q)
}

// TestPassport: a result that binds nothing is fetched once and relayed until two
// thirds of its life are over; then it is fetched again while the old one serves.
func TestPassport(t *testing.T) {
	now := atomic.Pointer[time.Time]{}
	set := func(d time.Duration) { at := testTime.Add(d); now.Store(&at) }
	clock := func() time.Time { return *now.Load() }
	set(0)
	software, verifier := Demo([]byte("passport"), clock)
	inner := &counting{Attester: software, done: make(chan struct{}, 1)}
	p := &Passport{Attester: inner, Age: 30 * time.Minute, Clock: clock}
	request := &negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Model: profile.ModelResults, Credential: profile.KindX509,
		Verifier: []byte(DemoVerifier)}, SPKI: testSPKI(t), Attester: attls.RoleServer}
	attest := func(q *negotiation.EvidenceRequest) []byte {
		t.Helper()
		e, err := p.Attest(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		r := resultRequest(t, e.CMW)
		r.Challenge = q.Challenge
		wants(t, must(verifier.Appraise(t.Context(), r)), "", "")
		return e.CMW
	}
	count := func(want int32) {
		t.Helper()
		if n := inner.n.Load(); n != want {
			t.Errorf("the result was fetched %d times, not %d", n, want)
		}
	}
	if err := p.Fetch(t.Context(), "", attls.RoleServer, testSPKI(t)); err != nil {
		t.Fatal(err)
	}
	count(1)
	<-inner.done
	first := attest(request)
	set(19 * time.Minute)
	if !bytes.Equal(attest(request), first) {
		t.Error("another result is relayed")
	}
	count(1)
	set(21 * time.Minute)
	attest(request) // the old one serves, and a new one is fetched
	<-inner.done
	p.of(request).fetching.Lock()
	p.of(request).fetching.Unlock() //nolint:staticcheck // the renewal has ended
	count(2)
	set(40 * time.Minute)
	if bytes.Equal(attest(request), first) {
		t.Error("the old result is relayed")
	}
	count(2)

	bound := *request
	bound.Challenge = testChallenge
	attest(&bound)
	attest(&bound)
	count(4)

	set(2 * time.Hour)
	inner.fail.Store(true)
	if _, err := p.Attest(t.Context(), request); err == nil {
		t.Error("a result that has ended is relayed")
	}
	inner.fail.Store(false)
	attest(request)
	count(6)
}

// TestPassportTogether: connections at once fetch a result once.
func TestPassportTogether(t *testing.T) {
	software, _ := testDemo()
	inner := &counting{Attester: software}
	p := &Passport{Attester: inner, Clock: testClock}
	var together sync.WaitGroup
	for range 20 {
		together.Go(func() {
			if err := p.Fetch(t.Context(), "", attls.RoleServer, testSPKI(t)); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	if n := inner.n.Load(); n != 1 {
		t.Errorf("the result was fetched %d times", n)
	}
	for i := range 2 * maxKept { // keys that never come again do not fill the memory
		q := &negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte{byte(i)}}, SPKI: testSPKI(t)}
		_ = p.of(q)
	}
	if len(p.kept) > maxKept {
		t.Errorf("%d results are kept", len(p.kept))
	}
}
