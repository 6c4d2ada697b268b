package handshake

import (
	"sync"

	"attls"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// Writer is the sending half of a connection, with its own lock.
type Writer struct {
	mu     sync.Mutex
	out    *record.Writer
	suite  *provider.Suite
	secret secret
	shared *half
	limit  uint64 // records under one key before an update of our own
	closed bool
	quiet  bool // never send KeyUpdate
	// extended: extended key update was negotiated, and KeyUpdate is not sent.
	extended bool
	tap      Tap
	cfg      *Config // immutable
	role     attls.Role

	generation int // KeyUpdates so far
}

// fork is as that of a Reader.
func (w *Writer) fork(out *record.Writer, shared *half, tap Tap) *Writer {
	return &Writer{out: out, suite: w.suite, secret: w.secret, shared: shared, limit: w.limit, closed: w.closed,
		quiet: w.quiet, extended: w.extended, tap: tap,
		cfg: w.cfg, role: w.role, generation: w.generation}
}

// keyUpdate sends KeyUpdate and moves to the next key.
func (w *Writer) keyUpdate(request bool) *attls.Error {
	if int64(w.generation) >= maxGeneration {
		return attls.Errorf(attls.Local, attls.FailCanceled, "no sending key comes after the epoch 2^48-1")
	}
	request = request && w.shared.awaiting.CompareAndSwap(false, true)
	var b [8]byte
	if err := w.send((&message.KeyUpdate{RequestUpdate: request}).Append(b[:0])); err != nil {
		return err
	}
	w.out.Flush()
	w.generation++
	aead, iv, err := update(w.suite, &w.secret, w.tap, trafficName(w.role, w.generation))
	if err != nil {
		return err
	}
	w.out.SetKey(aead, iv)
	return nil
}

// send sends a handshake message, or what the tap makes of it.
func (w *Writer) send(raw []byte) *attls.Error {
	if w.tap == nil {
		return w.out.Handshake(raw)
	}
	list, _, err := tapped(w.tap, w.cfg, raw)
	if err != nil {
		return err
	}
	for _, b := range list {
		if err := w.out.Handshake(b); err != nil {
			return err
		}
	}
	return nil
}

// tapped are the messages that a tap has sent in the place of one of ours. original says that
// this one enters the transcript all the same.
func tapped(t Tap, c *Config, raw []byte) (list [][]byte, original bool, err *attls.Error) {
	m, err := message.ParseRaw(raw)
	if err != nil {
		return nil, false, attls.Errorf(attls.Local, attls.FailInternal, "a message of ours does not parse: %v", err)
	}
	m = c.classify(m)
	var p Plan
	t.Message(Sent, &m, &p)
	list = p.Before
	switch {
	case p.Drop:
	case p.Replace != nil:
		list = append(list, p.Replace)
	default:
		list = append(list, raw)
	}
	return append(list, p.After...), p.TranscriptOriginal, nil
}

// AnswerUpdate sends the KeyUpdate that the peer waits for, if it does. Write
// does the same before its data. A request that comes after the last epoch is
// ignored (RFC 9846 section 4.7.3).
func (w *Writer) AnswerUpdate() *attls.Error {
	if w.closed || !w.shared.updateRequested.Load() || !w.shared.updateRequested.CompareAndSwap(true, false) ||
		!w.mayUpdate() {
		return nil
	}
	return w.keyUpdate(false)
}

// mayUpdate reports whether this end may still send a KeyUpdate.
func (w *Writer) mayUpdate() bool {
	return !w.quiet && !w.extended && int64(w.generation) < maxGeneration
}

// Lock makes other writers wait: hold the lock from Write to Wrote.
func (w *Writer) Lock() { w.mu.Lock() }

// Unlock lets the next writer go on.
func (w *Writer) Unlock() { w.mu.Unlock() }

// TryLock takes the lock if nobody holds it.
func (w *Writer) TryLock() bool { return w.mu.TryLock() }

// Write protects application data; the records are then in Output.
func (w *Writer) Write(p []byte) *attls.Error {
	if w.closed {
		return attls.Errorf(attls.Local, attls.FailCanceled, "write after close_notify")
	}
	if err := w.AnswerUpdate(); err != nil {
		return err
	}
	// RFC 9846 section 5.5: a key protects only so many records, and where no
	// other comes after it, the connection has to be closed.
	if w.limit > 0 && w.out.Sequence() >= w.limit {
		if !w.mayUpdate() {
			return exhausted(w.limit)
		}
		if err := w.keyUpdate(false); err != nil {
			return err
		}
	}
	return w.out.Write(attls.ContentTypeApplicationData, p)
}

// KeyUpdate changes our sending key and, on request, asks the peer to change its,
// unless the peer still owes us such a change.
func (w *Writer) KeyUpdate(request bool) *attls.Error {
	if w.closed {
		return attls.Errorf(attls.Local, attls.FailCanceled, "KeyUpdate after close_notify")
	}
	if w.quiet {
		return attls.Errorf(attls.Local, attls.FailConfiguration, "the profile never sends KeyUpdate")
	}
	if w.extended {
		return attls.Errorf(attls.Local, attls.FailConfiguration, "extended key update replaces KeyUpdate").
			By(updateDraft + " 4")
	}
	return w.keyUpdate(request)
}

// spent reports whether an extended key update is to replace the key, three quarters
// of the records that it protects being used up.
func (w *Writer) spent() bool { return w.extended && w.limit > 0 && w.out.Sequence() >= w.limit/4*3 }

// CloseNotify ends our direction; nothing can be written after it.
func (w *Writer) CloseNotify() *attls.Error {
	if w.closed {
		return nil
	}
	w.closed = true
	return w.alert(1, attls.AlertCloseNotify)
}

// Alert sends a fatal alert, or user_canceled with a close_notify after it, and
// ends our direction.
func (w *Writer) Alert(a attls.AlertDescription) *attls.Error {
	if w.closed {
		return nil
	}
	w.closed = true
	for _, x := range lastAlerts(a) {
		if err := w.alert(x.level, x.alert); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) alert(level byte, a attls.AlertDescription) *attls.Error {
	if w.tap != nil {
		w.tap.Alert(Sent, a)
	}
	err := w.out.Write(attls.ContentTypeAlert, []byte{level, byte(a)})
	w.out.Flush()
	return err
}

// Output returns the octets to send, which stay valid until Wrote.
func (w *Writer) Output() []byte { return w.out.Output() }

// Wrote says how many octets of Output were sent.
func (w *Writer) Wrote(n int) {
	w.out.Wrote(n)
	if len(w.out.Output()) == 0 {
		w.shared.unwritten.Store(0)
	}
}

// flight is what a Writer sends in one piece: messages, and a Finished over a
// transcript hash where there is one. What follows it is protected under next, if that
// is not nil. Messages that are shown were shown to the tap already, as their transcript
// depends on what it makes of them.
type flight struct {
	messages [][]byte
	shown    bool
	finish   []byte
	next     *secret
}

// sendFlight sends a flight in one piece.
func (w *Writer) sendFlight(f flight) *attls.Error {
	if w.closed {
		return attls.Errorf(attls.Local, attls.FailCanceled, "a handshake message after close_notify")
	}
	w.shared.unwritten.Add(1)
	send := w.send
	if f.shown {
		send = w.out.Handshake
	}
	for _, raw := range f.messages {
		if err := send(raw); err != nil {
			return err
		}
	}
	if f.finish != nil {
		m := message.Finished{VerifyData: w.suite.FinishedMAC(nil, w.secret.bytes(), f.finish)}
		if err := w.send(m.Append(nil)); err != nil {
			return err
		}
	}
	w.out.Flush()
	if f.next != nil {
		return w.rekey(f.next)
	}
	return nil
}

// rekey moves to our key of an extended key update.
func (w *Writer) rekey(next *secret) *attls.Error {
	w.secret = *next
	aead, iv, err := trafficKey(w.suite.KDF(), next.bytes())
	if err != nil {
		return err
	}
	w.out.SetKey(aead, iv)
	return nil
}
