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
	out      []byte // nil when there is nothing in it
	sent     int    // out[:sent] was taken by Wrote
	bare     bool   // there are records in out that are not encrypted
	pending  []byte // handshake messages that wait to be coalesced; nil: none
	messages int
	first    bool // the very first record bears version 0x0301
	tap      func(*Raw, *Plan)
}

// NewWriter returns a Writer of plaintext records.
func NewWriter(s WriterSettings) *Writer {
	s.MaxPlaintext = orDefault(s.MaxPlaintext, MaxPlaintext)
	return &Writer{set: s}
}

// FirstVersion gives the first record the version 0x0301 that an initial
// ClientHello may have (RFC 8446 section 5.1).
func (w *Writer) FirstVersion() { w.first = true }

// SetMaxPlaintext bounds the content of records; see WriterSettings.
func (w *Writer) SetMaxPlaintext(n int) { w.Flush(); w.set.MaxPlaintext = min(n, MaxPlaintext) }

// SetKey flushes and protects what follows under a new key with sequence number 0.
func (w *Writer) SetKey(aead cipher.AEAD, iv []byte) {
	w.Flush()
	w.key = newProtection(aead, iv)
}

// ClearKey flushes and sends what follows without protection again: a second
// ClientHello after early data.
func (w *Writer) ClearKey() {
	w.Flush()
	w.key = protection{}
}

// Sequence returns the sequence number of the next protected record.
func (w *Writer) Sequence() uint64 { return w.key.seq }

// OnRecord sets the tap; nil removes it.
func (w *Writer) OnRecord(f func(*Raw, *Plan)) { w.tap = f }

// Handshake adds one complete handshake message. It stays pending, to share a
// record with the next ones, until Flush, SetKey or other content.
func (w *Writer) Handshake(msg []byte) *attls.Error {
	if w.set.NeverFragment && len(msg) > w.set.MaxPlaintext {
		return attls.Errorf(attls.Local, attls.FailTooLarge, "a handshake message of %d octets; unfragmented it may have %d",
			len(msg), w.set.MaxPlaintext).Under("record")
	}
	full := w.set.MessagesPerRecord > 0 && w.messages == w.set.MessagesPerRecord
	if full || w.set.NeverFragment && len(w.pending)+len(msg) > w.set.MaxPlaintext {
		w.Flush()
	}
	w.pending = append(enlarge(w.pending, len(msg)), msg...)
	w.messages++
	return nil
}

// Flush writes the pending handshake messages.
func (w *Writer) Flush() {
	if len(w.pending) == 0 {
		return
	}
	pending := w.pending
	w.pending, w.messages = nil, 0
	w.split(attls.ContentTypeHandshake, pending)
	writerRooms.give(pending, len(pending))
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
	w.bare = true
	copy(w.extend(headerLen+1), []byte{byte(attls.ContentTypeChangeCipherSpec), 3, 3, 0, 1, 1})
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

// seal appends one record to the output. More than a record can hold is cut
// off, which only a tap can ask for.
func (w *Writer) seal(t attls.ContentType, data []byte, padding int) {
	data = data[:min(len(data), 1<<16-1-maxExpansion)]
	if w.key.aead == nil {
		w.bare = true
		version := attls.VersionTLS12
		if w.first {
			version, w.first = attls.VersionTLS10, false
		}
		plain := w.extend(headerLen + len(data))
		header(plain, t, version, len(data))
		copy(plain[headerLen:], data)
		return
	}
	n := len(data) + 1
	if w.set.PadTo > 1 {
		padding += (w.set.PadTo - n%w.set.PadTo) % w.set.PadTo
	}
	n += max(0, min(padding, w.set.MaxPlaintext+1-n))
	sealed := w.extend(headerLen + n + w.key.aead.Overhead())
	header(sealed, attls.ContentTypeApplicationData, attls.VersionTLS12, len(sealed)-headerLen)
	copy(w.key.ad[:], sealed)
	inner := sealed[headerLen : headerLen+n]
	clear(inner[copy(inner, data):])
	inner[len(data)] = byte(t)
	w.key.aead.Seal(inner[:0], w.key.perRecord(), inner, w.key.ad[:])
	w.key.seq++
}

// extend appends n octets to the output and returns them; what they hold is not
// defined.
func (w *Writer) extend(n int) []byte {
	start := len(w.out)
	w.out = enlarge(w.out, n)[:start+n]
	return w.out[start:]
}

// enlarge gives pooled storage room for n octets more.
func enlarge(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	larger := writerRooms.take(max(len(b)+n, min(2*len(b), bulkRoom)))
	larger = larger[:copy(larger, b)]
	if b != nil {
		writerRooms.give(b, len(b))
	}
	return larger
}

// Output returns what is to be sent. The view is valid until the next call of
// another method.
func (w *Writer) Output() []byte { return w.out[w.sent:] }

// Wrote says that the first n octets of Output were sent; they are gone then.
func (w *Writer) Wrote(n int) {
	if n < 0 || n > len(w.out)-w.sent {
		panic("record: Wrote of more octets than Output has")
	}
	if w.sent += n; w.sent < len(w.out) || w.out == nil {
		return
	}
	secret := 0
	if w.bare {
		secret = len(w.out)
	}
	writerRooms.give(w.out, secret)
	w.out, w.sent, w.bare = nil, 0, false
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
