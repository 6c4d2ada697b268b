package handshake_test

import (
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds every wait for a program or for the other end; nothing is decided by
// it, and a machine may be busy.
const patience = 15 * time.Second

// impatient is set once something was waited for in vain. What is broken for one test is
// broken for the others too, and a run has to end soon.
var impatient atomic.Bool

// latest is until when a test waits for what it does next.
func latest(t testing.TB) time.Time {
	wait := patience
	if impatient.Load() {
		wait = time.Second
	}
	end := time.Now().Add(wait)
	t.Cleanup(func() {
		if t.Failed() && time.Now().After(end) {
			impatient.Store(true)
		}
	})
	return end
}

// within is what comes out of a channel, or out of a closed one, before a test has waited
// long enough.
func within[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	timer := time.NewTimer(time.Until(latest(t)))
	defer timer.Stop()
	select {
	case v = <-c:
	case <-timer.C:
		t.Fatalf("%s has not come", what)
	}
	return v
}
