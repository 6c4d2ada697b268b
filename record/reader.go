package record

import (
	"crypto/cipher"
	"encoding/binary"
	"strings"

	"attls"
)

// Reader takes the octets of a peer in any split and yields what they contain.
type Reader struct {
	set Settings

	buf        []byte // buf[start:end] is not handled yet
	start, end int
	used       int // buf[:used] has held octets

	key       protection
	previous  protection // kept by RetainKey or RecallKey
	retain    bool
	recall    bool
	hint      bool // previous only explains errors
	accept    bool // a plaintext alert is accepted until a protected record arrives
	opened    bool // a record was opened under the present key
	engaged   bool // a record was opened under any key
	skip      int  // octets of content that may still be skipped
	hollow    int  // skipped records that may still have no content
	skipping  bool // records that do not open were announced
	maxRecord int

	// message is the handshake message being collected. inPlace views the
	// current record as long as messages begin and end within records.
	message []byte
	inPlace []byte
	sealed  bool // the handshake octets at hand came protected

	empty, changes, warnings int

	tap      func(*Raw, *Plan)
	inserted []Raw
	err      *attls.Error
}

// maxAlertRecord is the longest record that is looked at as an alert under the key
// before, in octets.
const maxAlertRecord = 256

// NewReader returns a Reader for plaintext records.
func NewReader(s Settings) *Reader {
	s.MaxHandshakeMessage = orDefault(s.MaxHandshakeMessage, DefaultMaxHandshakeMessage)
	s.MaxEmptyRecords = orDefault(s.MaxEmptyRecords, 32)
	s.MaxChangeCipherSpec = orDefault(s.MaxChangeCipherSpec, 32)
	s.MaxWarningAlerts = orDefault(s.MaxWarningAlerts, 4)
	return &Reader{set: s, maxRecord: orDefault(s.MaxRecord, MaxPlaintext)}
}

// Reserve returns at least n octets of room. Views handed out before are
// invalid afterwards. Room that is much larger is given up when nothing is in
// it, as connections may be idle for long; see Release.
func (r *Reader) Reserve(n int) []byte {
	if n < 1 {
		n = 1
	}
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	// A message that still views the record it came in must outlive the move.
	r.message = append(r.message, r.inPlace...)
	r.inPlace = nil // even an empty view would keep the storage
	if r.end == 0 && len(r.buf) >= 4*n && n >= smallRoom {
		r.buf = nil // what was not committed may have been written to, so no pool gets it
	}
	if len(r.buf)-r.end < n && r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if len(r.buf)-r.end < n {
		grown := r.room(max(r.end+n, 2*len(r.buf)))
		copy(grown, r.buf[:r.end])
		r.buf, r.used = grown, r.end
	}
	return r.buf[r.end:]
}

// room is storage for Reserve: pooled where a pool has exactly so much, and
// otherwise no larger than it must be.
func (r *Reader) room(n int) []byte {
	if n <= smallRoom || RoomFor(n) == n {
		return readerRooms.take(n)
	}
	return make([]byte, n)
}

// Release gives the storage back to the pool that Reserve takes it from, if no
// input is held. It is for a caller that is about to wait for input. Views handed
// out before are invalid afterwards, and so is the room of the last Reserve, of
// which nothing may have been written to but what was committed.
func (r *Reader) Release() {
	if r.buf == nil || r.start < r.end || len(r.inPlace) > 0 {
		return
	}
	readerRooms.give(r.buf, r.used)
	r.buf, r.inPlace, r.start, r.end, r.used = nil, nil, 0, 0, 0
}

// Commit says that n octets were put at the beginning of what Reserve returned.
func (r *Reader) Commit(n int) {
	if n < 0 || n > len(r.buf)-r.end {
		panic("record: Commit of more octets than Reserve gave")
	}
	r.end += n
	r.used = max(r.used, r.end)
}

// SetKey opens the records from here on under a new key with sequence number
// 0. A key must not change inside a handshake message or between two that share
// a record (RFC 8446 section 5.1).
func (r *Reader) SetKey(aead cipher.AEAD, iv []byte) *attls.Error {
	if len(r.message) > 0 || len(r.inPlace) > 0 {
		return violation(attls.FailMessageBoundary, "5.1",
			"%d octets of handshake data follow in the same record where the key changes", len(r.message)+len(r.inPlace))
	}
	r.previous = protection{}
	if r.retain || r.recall {
		r.previous, r.hint = r.key, !r.retain
		r.retain, r.recall = false, false
	}
	r.key = newProtection(aead, iv)
	r.opened = false
	return nil
}

// RetainKey lets the next SetKey keep the key that it replaces until the first
// record opens under the new one; under it only an alert is accepted. It serves peers that send an alert
// under the key they should have left.
func (r *Reader) RetainKey() { r.retain = true }

// RecallKey is RetainKey for the error alone: the first record, if it does not open
// under the new key and is an alert under the one before, is refused as ever, and the
// error says what it is.
func (r *Reader) RecallKey() { r.recall = true }

// recalled says what a record is under the key before; empty when it is not an alert.
func (r *Reader) recalled(head, payload []byte) string {
	plain, ok := r.unseal(&r.previous, head, payload)
	inner := stripPadding(plain)
	if !ok || len(inner) != 3 || attls.ContentType(inner[2]) != attls.ContentTypeAlert {
		return ""
	}
	return "; under the key before it, the one of the handshake, it is the alert " +
		strings.TrimPrefix(attls.AlertDescription(inner[1]).String(), "alert ") +
		": the peer has not changed its key (the quirk retain_handshake_read_key reads such alerts)"
}

// AcceptPlaintextAlerts accepts an unprotected alert although a key is set,
// until the first protected record arrives: a peer that could not make sense of
// ServerHello or of our flight has no other way to say so.
func (r *Reader) AcceptPlaintextAlerts(on bool) { r.accept = on }

// SetMaxRecord bounds the content of protected records; see Settings.MaxRecord.
func (r *Reader) SetMaxRecord(n int) { r.maxRecord = n }

// Where the cipher suite of skipped records is not known, their content is
// counted as if they had usualExpansion: the content type and a tag of 16 octets.
const usualExpansion = 1 + 16

// SkipUndecryptable discards records that do not open, until one opens: early
// data that a server rejects, of which it skips as many octets as it announced
// (RFC 8446 section 4.2.10). Protection is not counted. A record that can hold
// nothing else counts as one octet once there were Settings.MaxEmptyRecords of
// them. 0 or less ends the skipping.
func (r *Reader) SkipUndecryptable(octets int) {
	r.skip, r.hollow, r.skipping = octets, r.set.MaxEmptyRecords, octets > 0
}

// Sequence returns the sequence number of the next protected record.
func (r *Reader) Sequence() uint64 { return r.key.seq }

// Pending reports whether octets of an unfinished record or message are held.
func (r *Reader) Pending() bool { return r.Buffered() > 0 }

// Buffered returns how many octets of input are held.
func (r *Reader) Buffered() int { return r.end - r.start + len(r.message) + len(r.inPlace) }

// InMessage reports whether octets of a handshake message that did not come to
// an end yet, or of a next one, are held.
func (r *Reader) InMessage() bool { return len(r.message) > 0 || len(r.inPlace) > 0 }

// OnRecord sets the tap; nil removes it.
func (r *Reader) OnRecord(f func(*Raw, *Plan)) { r.tap = f }

// Clone returns a copy that goes its own way. The tap is not copied.
func (r *Reader) Clone() *Reader {
	c := *r
	c.buf = append([]byte(nil), r.buf[r.start:r.end]...)
	c.start, c.end, c.used = 0, len(c.buf), len(c.buf)
	c.message = append(append([]byte(nil), r.message...), r.inPlace...)
	c.inPlace = nil
	c.inserted = append([]Raw(nil), r.inserted...)
	c.tap = nil
	return &c
}

// Next yields the next item. Without one, more input is needed. After an error
// it returns the same error again.
func (r *Reader) Next() (Item, bool, *attls.Error) {
	for r.err == nil {
		if item, ok, err := r.nextMessage(); ok || err != nil {
			r.err = err
			return item, ok && err == nil, err
		}
		rec, ok, err := r.nextRecord()
		if err != nil {
			r.err = err
			break
		}
		if !ok {
			return Item{}, false, nil
		}
		item, ok, err := r.deliver(rec)
		if err != nil {
			r.err = err
			break
		}
		if ok {
			return item, true, nil
		}
	}
	return Item{}, false, r.err
}

// nextMessage cuts a complete handshake message out of what is at hand.
func (r *Reader) nextMessage() (Item, bool, *attls.Error) {
	have := r.message
	if len(have) == 0 {
		have = r.inPlace
	} else if len(r.inPlace) > 0 {
		// Take only what the message still lacks, so that one message never
		// drags the next ones out of place.
		for len(r.inPlace) > 0 && len(r.message) < r.wanted() {
			n := min(len(r.inPlace), r.wanted()-len(r.message))
			r.message = append(r.message, r.inPlace[:n]...)
			r.inPlace = r.inPlace[n:]
		}
		have = r.message
	}
	if len(have) < 4 {
		return Item{}, false, nil
	}
	size := 4 + int(have[1])<<16 + int(have[2])<<8 + int(have[3])
	if size > r.set.MaxHandshakeMessage && r.set.Overlong != nil {
		if err := r.set.Overlong(have[0], size-4); err != nil {
			return Item{}, false, err
		}
	}
	if size > r.set.MaxHandshakeMessage {
		return Item{}, false, attls.Errorf(attls.Violation, attls.FailLimit,
			"a handshake message of type %d with %d octets; the limit is %d",
			have[0], size, r.set.MaxHandshakeMessage).Under("record")
	}
	if len(have) < size {
		return Item{}, false, nil
	}
	item := Item{Type: attls.ContentTypeHandshake, Protected: r.sealed}
	if len(r.message) > 0 {
		// The view keeps its part of the storage. What follows are the messages that
		// came in the same record, when Reserve had to move them out of the way.
		item.Data = r.message[:size:size]
		if r.message = r.message[size:]; len(r.message) == 0 {
			r.message = nil
		}
	} else {
		item.Data = r.inPlace[:size:size]
		r.inPlace = r.inPlace[size:]
	}
	return item, true, nil
}

// wanted is how many octets the message being collected needs, as far as known.
func (r *Reader) wanted() int {
	if len(r.message) < 4 {
		return 4
	}
	return 4 + int(r.message[1])<<16 + int(r.message[2])<<8 + int(r.message[3])
}

// nextRecord takes one record off the input and opens it.
func (r *Reader) nextRecord() (Raw, bool, *attls.Error) {
	if len(r.inserted) > 0 {
		rec := r.inserted[0]
		r.inserted = r.inserted[1:]
		return rec, true, nil
	}
	for {
		in := r.buf[r.start:r.end]
		if len(in) < headerLen {
			return Raw{}, false, r.checkHeader(in)
		}
		if err := r.checkHeader(in); err != nil {
			return Raw{}, false, err
		}
		n := int(binary.BigEndian.Uint16(in[3:]))
		if len(in) < headerLen+n {
			return Raw{}, false, nil
		}
		r.start += headerLen + n
		rec := Raw{Type: attls.ContentType(in[0]), Payload: in[headerLen : headerLen+n : headerLen+n], Sequence: r.key.seq}
		if skipped, err := r.open(&rec, in[:headerLen]); err != nil {
			return Raw{}, false, err
		} else if skipped {
			continue
		}
		if r.tap == nil {
			return rec, true, nil
		}
		if rec, ok := r.tapped(rec); ok {
			return rec, true, nil
		}
	}
}

// checkHeader refuses a header as early as its octets allow. The version in it
// is ignored for all purposes (RFC 8446 section 5.1).
func (r *Reader) checkHeader(h []byte) *attls.Error {
	if len(h) == 0 {
		return nil
	}
	t := attls.ContentType(h[0])
	switch t {
	case attls.ContentTypeChangeCipherSpec, attls.ContentTypeAlert, attls.ContentTypeHandshake,
		attls.ContentTypeApplicationData:
	default:
		if like := foreign(h); like != "" && r.key.aead == nil {
			return violation(attls.FailUnexpectedRecord, "5.1", "the peer does not speak TLS: %s", like)
		}
		return violation(attls.FailUnexpectedRecord, "5.1", "content type %d", h[0])
	}
	if len(h) < headerLen {
		return nil
	}
	n := int(binary.BigEndian.Uint16(h[3:]))
	limit := MaxPlaintext
	if t == attls.ContentTypeApplicationData { // a TLSCiphertext, whether or not there is a key to open it
		limit = MaxPlaintext + maxExpansion
	}
	if n > limit {
		return violation(attls.FailRecordOverflow, "5.1", "%d octets; the limit is %d", n, limit)
	}
	return nil
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

// open removes the protection of a record where there is one.
func (r *Reader) open(rec *Raw, head []byte) (skipped bool, err *attls.Error) {
	if rec.Type == attls.ContentTypeChangeCipherSpec {
		return false, nil
	}
	if r.key.aead == nil {
		if rec.Type == attls.ContentTypeApplicationData {
			if r.skippable(rec.Payload) {
				return true, r.pass(len(rec.Payload))
			}
			return false, violation(attls.FailUnexpectedRecord, "5", "application data without protection")
		}
		return false, nil
	}
	if rec.Type != attls.ContentTypeApplicationData {
		if rec.Type == attls.ContentTypeAlert && r.accept && !r.engaged {
			return false, nil
		}
		return false, violation(attls.FailUnexpectedRecord, "5.2",
			"an unprotected record of type %v (%x) after the keys changed", rec.Type, rec.Payload[:min(len(rec.Payload), 2)])
	}
	previous := r.previous.aead != nil && !r.opened
	var backup []byte
	if previous && (!r.hint || len(rec.Payload) <= maxAlertRecord) {
		// decryption in place destroys the ciphertext when it fails
		backup = append([]byte(nil), rec.Payload...)
	}
	plain, ok := r.unseal(&r.key, head, rec.Payload)
	switch {
	case ok:
		r.opened, r.engaged, r.skipping, r.previous = true, true, false, protection{}
	case previous && !r.hint:
		if plain, ok = r.unseal(&r.previous, head, backup); ok {
			inner := stripPadding(plain)
			if len(inner) == 0 || attls.ContentType(inner[len(inner)-1]) != attls.ContentTypeAlert {
				return false, violation(attls.FailUnexpectedRecord, "5.2", "a record under the previous key that is not an alert")
			}
		}
	case r.skippable(rec.Payload):
		return true, r.pass(len(rec.Payload))
	}
	if !ok {
		recalled := ""
		if previous && r.hint {
			recalled = r.recalled(head, backup)
		}
		return false, violation(attls.FailBadRecordMAC, "5.2", "record %d does not open under the present key%s",
			r.key.seq, recalled)
	}
	if len(plain) > min(r.maxRecord, MaxPlaintext)+1 {
		return false, violation(attls.FailRecordOverflow, "5.4", "%d octets of TLSInnerPlaintext; the limit is %d",
			len(plain), min(r.maxRecord, MaxPlaintext)+1)
	}
	inner := stripPadding(plain)
	if len(inner) == 0 {
		return false, violation(attls.FailUnexpectedRecord, "5.4", "no content type, only padding")
	}
	rec.Type = attls.ContentType(inner[len(inner)-1])
	rec.Payload = inner[: len(inner)-1 : len(inner)-1]
	rec.Protected = true
	return false, nil
}

// skippable reports whether a record may be one of rejected early data: any that does not
// open is (RFC 8446 section 4.2.10), be it too short for a tag, but not an empty one, which
// costs its sender next to nothing.
func (r *Reader) skippable(ciphertext []byte) bool {
	return r.skipping && len(ciphertext) > 0
}

// pass discards a record of rejected early data.
func (r *Reader) pass(ciphertext int) *attls.Error {
	content := ciphertext - usualExpansion
	if content <= 0 {
		if r.hollow > 0 {
			r.hollow--
			return nil
		}
		content = 1
	}
	if content > r.skip {
		return attls.Errorf(attls.Violation, attls.FailEarlyDataLimit, "more early data than can be passed over").
			By("RFC 8446 4.2.10").Under("record")
	}
	r.skip -= content
	return nil
}

// unseal opens a record in place.
func (r *Reader) unseal(p *protection, head, payload []byte) ([]byte, bool) {
	if p.seq == 1<<64-1 {
		return nil, false
	}
	copy(p.ad[:], head)
	plain, err := p.aead.Open(payload[:0], p.perRecord(), payload, p.ad[:])
	if err != nil {
		return nil, false
	}
	p.seq++
	return plain, true
}

// stripPadding removes the zero octets after the content type.
func stripPadding(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

// tapped shows a record to the tap; false when it was dropped or put in line
// with others.
func (r *Reader) tapped(rec Raw) (Raw, bool) {
	var p Plan
	r.tap(&rec, &p)
	if p.Replace != nil {
		rec.Payload = p.Replace
	}
	if len(p.Before) == 0 && len(p.After) == 0 {
		return rec, !p.Drop
	}
	queue := append([]Raw(nil), p.Before...)
	if !p.Drop {
		rec.Payload = append([]byte(nil), rec.Payload...) // it may have to outlive the next Reserve
		queue = append(queue, rec)
	}
	r.inserted = append(append(queue, p.After...), r.inserted...)
	first := r.inserted[0]
	r.inserted = r.inserted[1:]
	return first, true
}

// deliver checks what a record contains and makes an item of it; false when it
// has only added to a handshake message or was empty.
func (r *Reader) deliver(rec Raw) (Item, bool, *attls.Error) {
	if rec.Type != attls.ContentTypeHandshake && (len(r.message) > 0 || len(r.inPlace) > 0) {
		return Item{}, false, violation(attls.FailUnexpectedRecord, "5.1",
			"a record of type %v in the middle of a handshake message", rec.Type)
	}
	item := Item{Type: rec.Type, Data: rec.Payload, Protected: rec.Protected}
	switch rec.Type {
	case attls.ContentTypeHandshake:
		if len(rec.Payload) == 0 {
			return Item{}, false, violation(attls.FailUnexpectedRecord, "5.1", "an empty handshake record")
		}
		// What is left of the record before is the beginning of a message.
		r.message = append(r.message, r.inPlace...)
		r.inPlace, r.sealed = rec.Payload, rec.Protected
		return Item{}, false, nil
	case attls.ContentTypeAlert:
		if len(rec.Payload) == 0 {
			return Item{}, false, violation(attls.FailUnexpectedRecord, "5.4", "an empty alert record")
		}
		if len(rec.Payload) != 2 {
			return Item{}, false, attls.Errorf(attls.Malformed, attls.FailDecode, "an alert of %d octets", len(rec.Payload)).
				By("RFC 8446 5.1").Under("record")
		}
		if r.warnings++; rec.Payload[1] != 0 && r.warnings > r.set.MaxWarningAlerts {
			return Item{}, false, violation(attls.FailUnexpectedRecord, "6", "more than %d alerts in a row",
				r.set.MaxWarningAlerts)
		}
		return item, true, nil
	case attls.ContentTypeChangeCipherSpec:
		if rec.Protected || len(rec.Payload) != 1 || rec.Payload[0] != 1 {
			return Item{}, false, violation(attls.FailUnexpectedRecord, "5",
				"change_cipher_spec must be the one unprotected octet 1")
		}
		if r.changes++; r.changes > r.set.MaxChangeCipherSpec {
			return Item{}, false, violation(attls.FailUnexpectedRecord, "5", "more than %d change_cipher_spec records",
				r.set.MaxChangeCipherSpec)
		}
		return item, true, nil
	case attls.ContentTypeApplicationData:
		r.warnings = 0
		if len(rec.Payload) > 0 {
			r.empty = 0
			return item, true, nil
		}
		if r.empty++; r.empty > r.set.MaxEmptyRecords {
			return Item{}, false, violation(attls.FailUnexpectedRecord, "5.1", "more than %d empty records in a row",
				r.set.MaxEmptyRecords)
		}
		return item, true, nil
	}
	return Item{}, false, violation(attls.FailUnexpectedRecord, "5.1", "content type %d inside the protection", rec.Type)
}
