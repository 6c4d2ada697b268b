package handshake

import (
	"testing"

	"attls"
)

// TestLastGeneration: no sender goes beyond epoch 2^48-1 (RFC 9846 section 4.7.3).
func TestLastGeneration(t *testing.T) {
	w := &Writer{generation: maxGeneration}
	if err := w.KeyUpdate(false); err == nil || err.Failure != attls.FailCanceled || w.generation != maxGeneration {
		t.Errorf("a KeyUpdate after the last epoch: %v, generation %d", err, w.generation)
	}
}
