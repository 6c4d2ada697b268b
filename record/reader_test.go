package record

import (
	"bytes"
	"testing"

	"attls"
)

// feed puts octets into a Reader as one read would.
func feed(r *Reader, b []byte) {
	copy(r.Reserve(len(b)), b)
	r.Commit(len(b))
}

// TestMessagesOutliveReserve takes messages that share a record one at a time,
// with more input between them, as an engine does that waits for an answer.
func TestMessagesOutliveReserve(t *testing.T) {
	messages := [][]byte{{11, 0, 0, 2, 'a', 'b'}, {15, 0, 0, 1, 'c'}, {20, 0, 0, 3, 'd', 'e', 'f'}}
	all := bytes.Join(messages, nil)
	for _, cut := range []int{len(all), 8, 3, 1} { // octets of each record
		w := NewWriter(WriterSettings{MaxPlaintext: cut})
		if err := w.Handshake(all); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		r := NewReader(Settings{})
		feed(r, w.Output())
		for i, want := range messages {
			item, ok, err := r.Next()
			if err != nil || !ok || item.Type != attls.ContentTypeHandshake || !bytes.Equal(item.Data, want) {
				t.Fatalf("records of %d octets, message %d: %x, %v, %v; want %x", cut, i, item.Data, ok, err, want)
			}
			r.Reserve(1 << 13)
		}
		if item, ok, err := r.Next(); ok || err != nil || r.Pending() {
			t.Errorf("records of %d octets: after the last message %v, %v, %v, pending %v", cut, item, ok, err, r.Pending())
		}
	}
}
