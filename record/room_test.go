package record

import (
	"bytes"
	"testing"

	"attls"
	"attls/internal/provider"
)

// cleared reports whether storage has no octet of a connection in it.
func cleared(b []byte) bool { return bytes.Count(b[:cap(b)], []byte{0}) == cap(b) }

// TestReleaseClears: what a Reader gives back holds nothing of its connection, and
// the Reader goes on with other storage.
func TestReleaseClears(t *testing.T) {
	for _, size := range []int{1, 100, smallRoom, smallRoom + 1, flightRoom, recordRoom, MaxPlaintext} {
		w, r := NewWriter(WriterSettings{}), NewReader(Settings{})
		message := append([]byte{11, byte(size >> 16), byte(size >> 8), byte(size)}, bytes.Repeat([]byte{0xa5}, size)...)
		for range 2 {
			w.Handshake(message)
			w.Flush()
			out := w.Output()
			copy(r.Reserve(RoomFor(len(out))), out)
			r.Commit(len(out))
			w.Wrote(len(out))
			storage := r.buf
			if r.Release(); cleared(storage) {
				t.Fatalf("%d octets: input that is not handled is gone", size)
			}
			item, ok, err := r.Next()
			if err != nil || !ok || !bytes.Equal(item.Data, message) {
				t.Fatalf("%d octets: %x, %v, %v", size, item.Data, ok, err)
			}
			if r.Release(); !cleared(storage) || r.buf != nil || r.inPlace != nil {
				t.Errorf("%d octets: after Release, something is left", size)
			}
			r.Release() // of nothing
		}
	}
}

// TestWriterClears: what a Writer gives back holds nothing that was not encrypted.
func TestWriterClears(t *testing.T) {
	suite, _ := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
	secret := bytes.Repeat([]byte("secret"), 500)
	for _, protected := range []bool{false, true} {
		w := NewWriter(WriterSettings{})
		if protected {
			aead, iv, err := suite.KDF().TrafficKey(make([]byte, 32), "tls13 ")
			if err != nil {
				t.Fatal(err)
			}
			w.SetKey(aead, iv)
		}
		w.Handshake(append([]byte{11, 0, byte(len(secret) >> 8), byte(len(secret) & 255)}, secret...))
		pending := w.pending
		w.Flush()
		if !cleared(pending[:len(pending):len(pending)]) { // behind it may be what another Writer has encrypted
			t.Error("the handshake message is left where it waited")
		}
		w.Write(attls.ContentTypeApplicationData, secret)
		out := w.Output()
		w.Wrote(len(out) - 1)
		if w.out == nil {
			t.Error("output that is not written yet is given back")
		}
		w.Wrote(1)
		if w.out != nil || bytes.Contains(out[:cap(out)], []byte("secretsecret")) || !protected && !cleared(out[:len(out):len(out)]) {
			t.Errorf("protected %v: something is left of the output", protected)
		}
	}
}

// TestTwoConnections: what one connection received is in no storage that another
// one gets, whoever it is taken from.
func TestTwoConnections(t *testing.T) {
	for range 50 {
		first, second := NewReader(Settings{}), NewReader(Settings{})
		copy(first.Reserve(smallRoom), bytes.Repeat([]byte{23, 3, 3, 0, 1, 0xff}, 100))
		first.Commit(6)
		first.Next() // refused; the rest was never committed
		copy(second.Reserve(smallRoom), []byte{21, 3, 3, 0, 2, 1, 0})
		second.Commit(7)
		second.Next()
		second.Release()
		if third := NewReader(Settings{}); !cleared(third.Reserve(smallRoom)) {
			t.Fatal("a connection finds octets of another")
		}
	}
}

// TestRoomFor names the sizes that pools have, and keeps what is larger.
func TestRoomFor(t *testing.T) {
	for n, want := range map[int]int{0: smallRoom, 1: smallRoom, smallRoom: smallRoom, smallRoom + 1: flightRoom, flightRoom + 1: recordRoom,
		recordRoom + 1: bulkRoom, bulkRoom: bulkRoom, bulkRoom + 1: bulkRoom + 1} {
		if got := RoomFor(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}

// TestClonesShareNoStorage: a clone of a Reader or a Writer keeps its octets when the
// original gives up its own.
func TestClonesShareNoStorage(t *testing.T) {
	w := NewWriter(WriterSettings{})
	w.Write(attls.ContentTypeAlert, []byte{1, 0})
	forked := w.Clone()
	wire := bytes.Clone(w.Output())
	r := NewReader(Settings{})
	copy(r.Reserve(smallRoom), wire)
	r.Commit(len(wire))
	copied := r.Clone()
	w.Wrote(len(wire))
	r.Next()
	r.Release()
	item, ok, err := copied.Next()
	if err != nil || !ok || !bytes.Equal(item.Data, []byte{1, 0}) || !bytes.Equal(forked.Output(), wire) {
		t.Errorf("%x, %v, %v, output %x", item.Data, ok, err, forked.Output())
	}
	forked.Wrote(len(wire))
	copied.Release()
}
