package handshake

import (
	"testing"

	"attls"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// TestLastGeneration: no sender goes beyond epoch 2^48-1 (RFC 9846 section 4.7.3).
func TestLastGeneration(t *testing.T) {
	w := &Writer{generation: maxGeneration}
	if err := w.KeyUpdate(false); err == nil || err.Failure != attls.FailCanceled || w.generation != maxGeneration {
		t.Errorf("a KeyUpdate after the last epoch: %v, generation %d", err, w.generation)
	}
}

// TestRequestAfterTheLastGeneration: a KeyUpdate that the peer asks for then is
// not sent, and data goes on (RFC 9846 section 4.7.3).
func TestRequestAfterTheLastGeneration(t *testing.T) {
	w := &Writer{generation: maxGeneration, shared: &half{}, out: record.NewWriter(record.WriterSettings{})}
	w.shared.updateRequested.Store(true)
	if err := w.Write([]byte("data")); err != nil {
		t.Fatal(err)
	}
	if w.shared.updateRequested.Load() || w.generation != maxGeneration || len(w.Output()) != 5+len("data") {
		t.Errorf("generation %d, %d octets of output, still asked for: %v", w.generation, len(w.Output()), w.shared.updateRequested.Load())
	}
}

// TestLimitWithoutAnotherKey: where no KeyUpdate may be sent, no data is
// protected beyond the limit of the key (RFC 9846 section 5.5).
func TestLimitWithoutAnotherKey(t *testing.T) {
	for name, w := range map[string]*Writer{"the last epoch": {generation: maxGeneration}, "a profile that sends no KeyUpdate": {quiet: true}} {
		w.limit, w.shared, w.out = 1, &half{}, record.NewWriter(record.WriterSettings{})
		suite, _ := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
		aead, iv, err := trafficKey(suite.KDF(), make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		w.out.SetKey(aead, iv)
		if err := w.Write([]byte("data")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := len(w.Output())
		if err := w.Write([]byte("more")); err == nil || err.Failure != attls.FailLimit || len(w.Output()) != n {
			t.Errorf("%s: %v, %d octets more", name, err, len(w.Output())-n)
		}
		if err := w.CloseNotify(); err != nil {
			t.Errorf("%s: close_notify: %v", name, err)
		}
	}
}

// TestReceiverCountsNoEpochs: a peer may change its key as often as it likes; the
// limit of 2^48-1 is the sender's (RFC 9846 section 4.7.3).
func TestReceiverCountsNoEpochs(t *testing.T) {
	suite, _ := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
	r := &Reader{generation: maxGeneration + 3, suite: suite, shared: &half{}, in: record.NewReader(record.Settings{})}
	r.secret.n = 32
	raw := (&message.KeyUpdate{}).Append(nil)
	if ev, err := r.handle(raw, false); err != nil || ev.Kind != EventKeyUpdate || r.generation != maxGeneration+4 {
		t.Errorf("%v, %v, generation %d", ev.Kind, err, r.generation)
	}
}
