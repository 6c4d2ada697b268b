package trace

import (
	"testing"

	"attls"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// TestTraceIsBounded: a trace of a connection that does not end keeps a fixed
// amount, and its sums stay right.
func TestTraceIsBounded(t *testing.T) {
	tr := New(attls.RoleServer, nil)
	tr.KeepSecrets = true
	say := func(d handshake.Direction, raw []byte) {
		m, err := message.ParseRaw(raw)
		if err != nil {
			t.Fatal(err)
		}
		tr.Message(d, &m, &handshake.Plan{})
	}
	hello := make([]byte, 4+1<<20) // the handshake is bounded by the engine
	hello[0], hello[1] = 11, 0x10
	say(handshake.Sent, hello)
	say(handshake.Received, []byte{20, 0, 0, 1, 0})
	const n = 100_000
	for range n {
		tr.Record(handshake.Received, &record.Raw{Type: attls.ContentTypeApplicationData, Payload: []byte{0}}, nil)
		tr.Record(handshake.Sent, &record.Raw{Type: attls.ContentTypeApplicationData, Payload: []byte{0, 0}}, nil)
		say(handshake.Received, []byte{24, 0, 0, 1, 0})
		tr.Derived("traffic", []byte{1})
	}
	tr.Alert(handshake.Received, attls.AlertCloseNotify)
	tr.Alert(handshake.Received, attls.AlertInternalError)
	tr.Alert(handshake.Received, attls.AlertDecodeError)
	if len(tr.entries) > maxEntries+5 || len(tr.secrets) > maxSecrets {
		t.Errorf("%d entries, %d secrets", len(tr.entries), len(tr.secrets))
	}
	if sent, received := tr.Data(); sent != 2*n || received != n {
		t.Errorf("%d octets sent, %d received", sent, received)
	}
	if sent, received := tr.Alerts(); sent != nil || received == nil || *received != attls.AlertInternalError {
		t.Errorf("alerts %v, %v", sent, received)
	}
	data, messages := map[string]int{}, 0
	for _, s := range tr.Steps() {
		if s.What == stepData {
			data[s.From] += s.Octets
		} else {
			messages++
		}
	}
	if data["client"] != n || data["server"] != 2*n || messages > maxEntries {
		t.Errorf("the steps hold %v octets and %d messages", data, messages)
	}
	if tr.Steps()[0].Octets != len(hello) {
		t.Error("the handshake is not kept")
	}
	big := make([]byte, 4+1<<16) // few, but long
	big[0], big[1] = 4, 1
	tr = New(attls.RoleClient, nil)
	say(handshake.Sent, []byte{20, 0, 0, 1, 0})
	for range 1000 {
		say(handshake.Received, big)
	}
	if kept := len(tr.entries); kept > maxOctets>>16+3 {
		t.Errorf("%d messages of 64 KiB are kept", kept)
	}
}
