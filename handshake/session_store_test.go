package handshake_test

import (
	"testing"

	"attls/handshake"
)

// TestSingleUse: early data of a ClientHello is accepted once, and of no more than
// can be remembered.
func TestSingleUse(t *testing.T) {
	u := &handshake.SingleUse{Max: 2}
	for i, step := range []struct {
		binder string
		want   bool
	}{{"a", true}, {"a", false}, {"b", true}, {"b", false}, {"c", false}} {
		if got := u.Accept(&handshake.EarlyDataRequest{Binder: []byte(step.binder)}); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}
