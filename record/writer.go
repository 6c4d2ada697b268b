package record

import (
	"crypto/cipher"

	"attls"
)

// WriterSettings say how records are cut.
type WriterSettings struct {
	// MaxPlaintext bounds the content of a record: the peer's record_size_limit
	// less one. 0: 16384.
	MaxPlaintext int
	// PadTo pads TLSInnerPlaintext to a multiple of so many octets. 0: none.
	PadTo int
	// NeverFragment refuses a handshake message that needs more than one record.
	NeverFragment bool
	// MessagesPerRecord bounds how many handshake messages share a record. 0: as
	// many as fit.
	MessagesPerRecord int
}

// Writer protects what is sent and collects it for the wire.
type Writer struct {
	set      WriterSettings
	key      protection
	out      []byte
	sent     int    // out[:sent] was taken by Wrote
	pending  []byte // handshake messages that wait to be coalesced
	messages int
	first    bool // the very first record bears version 0x0301
	tap      func(*Raw, *Plan)
}

// NewWriter returns a Writer of plaintext records.
func NewWriter(s WriterSettings) *Writer {
	s.MaxPlaintext = orDefault(s.MaxPlaintext, MaxPlaintext)
	return &Writer{set: s}
}

// FirstVersion lets the first record bear the version 0x0301 that an initial
// ClientHello may have (RFC 8446 section 5.1).
func (w *Writer) FirstVersion() { w.first = true }

// SetMaxPlaintext bounds the content of records; see WriterSettings.
func (w *Writer) SetMaxPlaintext(n int) { w.Flush(); w.set.MaxPlaintext = min(n, MaxPlaintext) }

// SetPadding changes WriterSettings.PadTo.
func (w *Writer) SetPadding(to int) { w.Flush(); w.set.PadTo = to }

// SetKey flushes and protects what follows under a new key with sequence number 0.
func (w *Writer) SetKey(aead cipher.AEAD, iv []byte) {
	w.Flush()
	w.key = newProtection(aead, iv)
}

// Sequence returns the sequence number of the next protected record.
func (w *Writer) Sequence() uint64 { return w.key.seq }

// OnRecord sets the tap; nil removes it.
func (w *Writer) OnRecord(f func(*Raw, *Plan)) { w.tap = f }

// Handshake adds one complete handshake message. It stays pending, to share a
// record with the next ones, until Flush, SetKey or other content.
func (w *Writer) Handshake(msg []byte) *attls.Error {
	if w.set.NeverFragment && len(msg) > w.set.MaxPlaintext {
		return attls.Errorf(attls.Local, attls.FailLimit, "a handshake message of %d octets; unfragmented it may have %d", len(msg), w.set.MaxPlaintext).Under("record")
	}
	full := w.set.MessagesPerRecord > 0 && w.messages == w.set.MessagesPerRecord
	if full || w.set.NeverFragment && len(w.pending)+len(msg) > w.set.MaxPlaintext {
		w.Flush()
	}
	w.pending = append(w.pending, msg...)
	w.messages++
	return nil
}

// Flush writes the pending handshake messages.
func (w *Writer) Flush() {
	if len(w.pending) == 0 {
		return
	}
	pending := w.pending
	w.pending, w.messages = w.pending[:0], 0
	w.split(attls.ContentTypeHandshake, pending)
}

// Write writes content of another type; application data is split as needed.
func (w *Writer) Write(t attls.ContentType, data []byte) *attls.Error {
	w.Flush()
	if w.key.aead != nil && w.key.seq > 1<<63 {
		return attls.Errorf(attls.Local, attls.FailSequenceExhausted, "the sequence number is used up").By("RFC 8446 5.3")
	}
	w.split(t, data)
	return nil
}

// ChangeCipherSpec writes the dummy record of RFC 8446 appendix D.4.
func (w *Writer) ChangeCipherSpec() {
	w.Flush()
	w.out = append(w.out, byte(attls.ContentTypeChangeCipherSpec), 3, 3, 0, 1, 1)
}

func (w *Writer) split(t attls.ContentType, data []byte) {
	for {
		n := min(len(data), w.set.MaxPlaintext)
		w.record(t, data[:n])
		if data = data[n:]; len(data) == 0 {
			return
		}
	}
}

// record writes one record, with what a tap makes of it.
func (w *Writer) record(t attls.ContentType, data []byte) {
	if w.tap == nil {
		w.seal(t, data, 0)
		return
	}
	r := Raw{Type: t, Payload: data, Protected: w.key.aead != nil, Sequence: w.key.seq}
	var p Plan
	w.tap(&r, &p)
	for _, b := range p.Before {
		w.seal(b.Type, b.Payload, 0)
	}
	if p.Replace != nil {
		data = p.Replace
	}
	if !p.Drop {
		w.seal(t, data, p.Padding)
	}
	for _, b := range p.After {
		w.seal(b.Type, b.Payload, 0)
	}
}

var zeros [256]byte

// seal appends one record to the output. More than a record can hold is cut
// off, which only a tap can ask for.
func (w *Writer) seal(t attls.ContentType, data []byte, padding int) {
	data = data[:min(len(data), 1<<16-1-maxExpansion)]
	start := len(w.out)
	if w.key.aead == nil {
		version := attls.VersionTLS12
		if w.first {
			version, w.first = attls.VersionTLS10, false
		}
		w.out = append(w.out, zeros[:headerLen]...)
		header(w.out[start:], t, version, len(data))
		w.out = append(w.out, data...)
		return
	}
	inner := len(data) + 1
	room := w.set.MaxPlaintext + 1 - inner
	if w.set.PadTo > 1 {
		padding += (w.set.PadTo - inner%w.set.PadTo) % w.set.PadTo
	}
	padding = max(0, min(padding, room))
	n := inner + padding + w.key.aead.Overhead()
	w.out = append(w.out, zeros[:headerLen]...)
	header(w.out[start:], attls.ContentTypeApplicationData, attls.VersionTLS12, n)
	copy(w.key.ad[:], w.out[start:])
	w.out = append(w.out, data...)
	w.out = append(w.out, byte(t))
	for padding > 0 {
		k := min(padding, len(zeros))
		w.out = append(w.out, zeros[:k]...)
		padding -= k
	}
	for k := w.key.aead.Overhead(); k > 0; {
		// Room for the tag, so that Seal works in place.
		m := min(k, len(zeros))
		w.out = append(w.out, zeros[:m]...)
		k -= m
	}
	body := w.out[start+headerLen : len(w.out)-w.key.aead.Overhead()]
	w.key.aead.Seal(body[:0], w.key.perRecord(), body, w.key.ad[:])
	w.key.seq++
}

// Output returns what is to be sent. The view is valid until the next call of
// another method.
func (w *Writer) Output() []byte { return w.out[w.sent:] }

// Wrote says that the first n octets of Output were sent.
func (w *Writer) Wrote(n int) {
	if n < 0 || n > len(w.out)-w.sent {
		panic("record: Wrote of more octets than Output has")
	}
	if w.sent += n; w.sent == len(w.out) {
		w.out, w.sent = w.out[:0], 0
	}
}

// Clone returns a copy that goes its own way. The tap is not copied.
func (w *Writer) Clone() *Writer {
	c := *w
	c.out = append([]byte(nil), w.out[w.sent:]...)
	c.sent = 0
	c.pending = append([]byte(nil), w.pending...)
	c.tap = nil
	return &c
}
