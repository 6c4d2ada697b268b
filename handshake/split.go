package handshake

import (
	"crypto/cipher"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"attls"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// half is what the two halves of a connection share.
type half struct {
	// updateRequested is set by the reader when the peer asks for a KeyUpdate
	// and cleared by the writer that answers.
	updateRequested atomic.Bool
	// awaiting is set while a KeyUpdate of the peer's that we asked for is
	// outstanding; another must not be asked for meanwhile (RFC 9846 section 4.7.3).
	awaiting atomic.Bool
	// unwritten counts the flights that the Writer holds, from the moment that it
	// gets them until all of its output is written.
	unwritten atomic.Int32
}

// Reader is the receiving half of a connection. It has its own lock, so a
// blocked Writer never holds it up, and nothing of the Engine's that can change:
// what needs the Engine becomes an EventPostHandshake.
type Reader struct {
	mu     sync.Mutex
	in     *record.Reader
	suite  *provider.Suite
	secret secret
	role   attls.Role
	shared *half
	closed bool // close_notify was received
	err    *attls.Error
	tap    Tap
	cfg    *Config // immutable

	// answering says that a client's answer to a CertificateRequest began to
	// arrive and is not complete.
	answering bool

	generation int      // KeyUpdates so far
	updates    int      // KeyUpdates since the last application data
	inserted   [][]byte // messages that a tap put in, to be handled next
}

// fork copies what a fork of the engine goes on from, with halves of its own.
func (r *Reader) fork(in *record.Reader, shared *half, tap Tap) *Reader {
	return &Reader{in: in, suite: r.suite, secret: r.secret, role: r.role, shared: shared, closed: r.closed, err: r.err, tap: tap, cfg: r.cfg,
		answering: r.answering, generation: r.generation, updates: r.updates, inserted: append([][]byte(nil), r.inserted...)}
}

// maxUpdates bounds KeyUpdate messages between which no application data comes:
// each costs a key derivation and moves nothing.
const maxUpdates = 32

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
	tap    Tap
	role   attls.Role

	generation int // KeyUpdates so far
}

// fork is as that of a Reader.
func (w *Writer) fork(out *record.Writer, shared *half, tap Tap) *Writer {
	return &Writer{out: out, suite: w.suite, secret: w.secret, shared: shared, limit: w.limit, closed: w.closed, quiet: w.quiet, tap: tap,
		role: w.role, generation: w.generation}
}

// establish opens the connection once the handshake is complete.
func (e *Engine) establish() {
	e.done = true
	e.keys.clientHandshake.wipe()
	e.keys.serverHandshake.wipe()
	e.emit(Event{Kind: EventDone})
}

// startHalves makes the two halves of a connection that has its traffic keys.
func (e *Engine) startHalves() {
	var halves struct { // in one piece, since they live and die together
		shared half
		reader Reader
		writer Writer
	}
	e.reader, e.writer = &halves.reader, &halves.writer
	*e.reader = Reader{in: e.in, suite: e.nego.suite, secret: *e.keys.trafficSecret(e.role.Peer()), role: e.role, shared: &halves.shared,
		tap: e.tap(), cfg: e.cfg}
	*e.writer = Writer{out: e.out, suite: e.nego.suite, secret: *e.keys.trafficSecret(e.role), shared: &halves.shared,
		limit: e.nego.suite.RecordLimit, tap: e.tap(), role: e.role,
		quiet: slices.Contains(e.cfg.quirks().NeverSend, attls.KindKeyUpdate)}
}

// Split gives the two halves after EventDone. The Engine is not fed any more: it
// serves to ask for the state and for exported values, and takes answers to waits
// that block nothing. A tap is called by one half at a time.
func (e *Engine) Split() (*Reader, *Writer) {
	if t := e.tap(); t != nil && !e.split {
		shared := serial(t)
		e.attach(shared)
		e.reader.tap, e.writer.tap = shared, shared
	}
	e.split = true
	e.message, e.flight, e.ext, e.scratch = message.Raw{}, nil, extensionBuilder{}, scratch{} // they hold on to buffers
	return e.reader, e.writer
}

// follow keeps the messages of a client's answer to a CertificateRequest
// together: no other message may come between them, of whatever kind.
func (r *Reader) follow(m *message.Raw) *attls.Error {
	if r.role != attls.RoleServer || !r.cfg.PostHandshakeAuthentication {
		return nil
	}
	switch m.Kind {
	case attls.KindCertificate, attls.KindCompressedCertificate, attls.KindCertificateVerify:
		r.answering = true
	case attls.KindFinished:
		r.answering = false
	default:
		if r.answering {
			return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%v in the middle of an authentication", m.Kind).By("RFC 8446 4.6.2")
		}
	}
	return nil
}

// data takes application data of so many octets.
func (r *Reader) takeData(n int) *attls.Error {
	if r.answering {
		return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "application data in the middle of an authentication").By("RFC 8446 4.6.2")
	}
	if n > 0 {
		r.updates = 0
	}
	return nil
}

// keyUpdate moves to the peer's next key.
func (r *Reader) keyUpdate(m *message.Raw) *attls.Error {
	var u message.KeyUpdate
	if err := u.Unmarshal(m.Body()); err != nil {
		return err
	}
	if r.updates++; r.updates > maxUpdates {
		return attls.Errorf(attls.Violation, attls.FailLimit, "more than %d in a row", maxUpdates).In(m.Kind)
	}
	r.generation++
	aead, iv, err := update(r.suite, &r.secret, r.tap, trafficName(r.role.Peer(), r.generation))
	if err != nil {
		return err
	}
	if err := r.in.SetKey(aead, iv); err != nil {
		return err
	}
	r.shared.awaiting.Store(false)
	if u.RequestUpdate {
		r.shared.updateRequested.Store(true)
	}
	return nil
}

// Reserve returns input space; see Engine.Reserve. Reserve, Commit and Next are
// for one goroutine at a time.
func (r *Reader) Reserve(n int) []byte { return r.in.Reserve(n) }

// Commit takes n octets of input.
func (r *Reader) Commit(n int) { r.in.Commit(n) }

// Next handles input up to the next event. EventNone with a nil error means
// that more input is needed.
func (r *Reader) Next() (Event, *attls.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.err == nil && !r.closed {
		if len(r.inserted) > 0 {
			raw := r.inserted[0]
			r.inserted = r.inserted[1:]
			return r.handle(raw, false)
		}
		item, ok, err := r.in.Next()
		if err != nil {
			r.err = err
			break
		}
		if !ok {
			return Event{}, nil
		}
		switch item.Type {
		case attls.ContentTypeApplicationData:
			if r.err = r.takeData(len(item.Data)); r.err == nil && len(item.Data) > 0 {
				return Event{Kind: EventData, Data: item.Data}, nil
			}
		case attls.ContentTypeHandshake:
			if ev, err := r.handle(item.Data, true); err != nil || ev.Kind != EventNone {
				return ev, err
			}
		case attls.ContentTypeAlert:
			r.closed, r.err = readAlert(r.cfg, r.tap, item.Data)
		default:
			r.err = attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%v after the handshake", item.Type).By("RFC 8446 5")
		}
	}
	if r.closed {
		return Event{Kind: EventClosed}, nil
	}
	return Event{Kind: EventError, Err: r.err}, r.err
}

// handle handles a handshake message after the tap has seen it: a KeyUpdate
// itself, and the Engine all others. EventNone says that the tap took it away.
func (r *Reader) handle(raw []byte, tapped bool) (Event, *attls.Error) {
	m, err := message.ParseRaw(raw)
	if err == nil && tapped && r.tap != nil {
		if queue, unchanged := planReceived(r.tap, &m); !unchanged {
			r.inserted = queue
			return Event{}, nil
		}
	}
	if err == nil {
		err = r.follow(&m)
	}
	ev := Event{Kind: EventKeyUpdate}
	switch {
	case err != nil:
	case m.Kind == attls.KindKeyUpdate:
		err = r.keyUpdate(&m)
	default:
		ev = Event{Kind: EventPostHandshake, Data: append([]byte(nil), m.Bytes...), secret: &secret{r.secret.b, r.secret.n}}
	}
	if err != nil {
		r.err = err.In(m.Kind)
		return Event{Kind: EventError, Err: r.err}, r.err
	}
	return ev, nil
}

// InputEOF says that the peer will send nothing more; without a close_notify
// before, that is an error.
func (r *Reader) InputEOF() *attls.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && !r.closed {
		r.err = truncated()
	}
	return r.err
}

// UpdateRequested reports whether the peer waits for a KeyUpdate of ours.
func (r *Reader) UpdateRequested() bool { return r.shared.updateRequested.Load() }

// update moves a traffic secret to its next generation (RFC 8446 section 7.2).
func update(suite *provider.Suite, s *secret, t Tap, name SecretName) (cipher.AEAD, []byte, *attls.Error) {
	k := schedule{kdf: suite.KDF(), tap: t}
	var next secret
	k.expand(&next, s.bytes(), "traffic upd", nil)
	k.named(name, &next)
	*s = next
	return trafficKey(k.kdf, s.bytes())
}

// trafficName names a generation of a sender's application traffic secret.
func trafficName(sender attls.Role, generation int) SecretName {
	first := SecretClientTraffic
	if sender == attls.RoleServer {
		first = SecretServerTraffic
	}
	return SecretName(strings.TrimSuffix(string(first), "0") + strconv.Itoa(generation))
}

// maxGeneration is the last generation of a sending key: application data starts
// in epoch 3, and no sender goes beyond epoch 2^48-1 (RFC 9846 section 4.7.3).
const maxGeneration = 1<<48 - 1 - 3

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
	m, err := message.ParseRaw(raw)
	if err != nil {
		return attls.Errorf(attls.Local, attls.FailInternal, "a message of ours does not parse: %v", err)
	}
	var p Plan
	w.tap.Message(Sent, &m, &p)
	list := p.Before
	switch {
	case p.Drop:
	case p.Replace != nil:
		list = append(list, p.Replace)
	default:
		list = append(list, raw)
	}
	for _, b := range append(list, p.After...) {
		if err := w.out.Handshake(b); err != nil {
			return err
		}
	}
	return nil
}

// AnswerUpdate sends the KeyUpdate that the peer waits for, if it does. Write
// does the same before its data. A request that comes after the last epoch is
// ignored (RFC 9846 section 4.7.3).
func (w *Writer) AnswerUpdate() *attls.Error {
	if w.closed || !w.shared.updateRequested.Load() || !w.shared.updateRequested.CompareAndSwap(true, false) || !w.mayUpdate() {
		return nil
	}
	return w.keyUpdate(false)
}

// mayUpdate reports whether this end may still send a KeyUpdate.
func (w *Writer) mayUpdate() bool { return !w.quiet && int64(w.generation) < maxGeneration }

// Lock and Unlock serialise writers: hold the lock from Write to Wrote.
func (w *Writer) Lock()   { w.mu.Lock() }
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

// exhausted is the error of data that would be protected beyond the limit of a
// key that no other follows.
func exhausted(limit uint64) *attls.Error {
	return attls.Errorf(attls.Local, attls.FailLimit, "the sending key has protected %d records, and no other can follow it", limit).By("RFC 9846 5.5")
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
	return w.keyUpdate(request)
}

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

// Output returns the octets to send and Wrote says how many were sent.
func (w *Writer) Output() []byte { return w.out.Output() }
func (w *Writer) Wrote(n int) {
	w.out.Wrote(n)
	if len(w.out.Output()) == 0 {
		w.shared.unwritten.Store(0)
	}
}

// Write protects application data on an engine that is not split. Before the
// handshake is complete a client can write early data, once EventEarlyData says
// that it is open, and a server can answer early data that it has accepted.
func (e *Engine) Write(p []byte) error {
	if e.err != nil {
		return e.err
	}
	if e.early.writing {
		if err := e.writeEarly(p); err != nil {
			return err
		}
		return nil
	}
	if e.writer == nil {
		return attls.Errorf(attls.Local, attls.FailConfiguration, "the handshake is not complete")
	}
	if err := e.writer.Write(p); err != nil {
		return err
	}
	return nil
}

// CloseNotify sends close_notify on an engine that is not split.
func (e *Engine) CloseNotify() {
	if e.err != nil {
		return
	}
	if e.writer != nil {
		e.writer.CloseNotify()
		return
	}
	e.sendAlert(1, attls.AlertCloseNotify)
}

// KeyUpdate changes the sending key on an engine that is not split.
func (e *Engine) KeyUpdate(request bool) error {
	if e.err != nil {
		return e.err
	}
	if !e.done {
		return attls.Errorf(attls.Local, attls.FailConfiguration, "the handshake is not complete")
	}
	if err := e.writer.KeyUpdate(request); err != nil {
		return err
	}
	return nil
}
