package handshake

import (
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
	// extended says that extended key update was negotiated, held that the Engine has
	// not handled the last of its messages yet.
	extended, held bool

	generation int      // KeyUpdates so far
	updates    int      // KeyUpdates, or extended ones, since the last application data
	inserted   [][]byte // messages that a tap put in, to be handled next
}

// fork copies what a fork of the engine goes on from, with halves of its own.
func (r *Reader) fork(in *record.Reader, shared *half, tap Tap) *Reader {
	return &Reader{
		in:         in,
		suite:      r.suite,
		secret:     r.secret,
		role:       r.role,
		shared:     shared,
		closed:     r.closed,
		err:        r.err,
		tap:        tap,
		cfg:        r.cfg,
		answering:  r.answering,
		extended:   r.extended,
		held:       r.held,
		generation: r.generation,
		updates:    r.updates,
		inserted:   append([][]byte(nil), r.inserted...),
	}
}

// follow keeps the messages of a client's answer to a CertificateRequest
// together: no other message may come between them, of whatever kind.
func (r *Reader) follow(m *message.Raw) *attls.Error {
	if r.role != attls.RoleServer || !r.cfg.PostHandshakeAuthentication {
		return nil
	}
	switch m.Kind {
	case attls.KindAdded:
		r.answering = r.answering || r.cfg.profile().InAuthentication(m.Type)
	case attls.KindCertificate, attls.KindCompressedCertificate, attls.KindCertificateVerify:
		r.answering = true
	case attls.KindFinished:
		r.answering = false
	default:
		if r.answering {
			return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%v in the middle of an authentication", m.Kind).
				By("RFC 8446 4.6.2")
		}
	}
	return nil
}

// data takes application data of so many octets.
func (r *Reader) takeData(n int) *attls.Error {
	if r.answering {
		return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
			"application data in the middle of an authentication").By("RFC 8446 4.6.2")
	}
	if n > 0 {
		r.updates = 0
	}
	return nil
}

// keyUpdate moves to the peer's next key.
func (r *Reader) keyUpdate(m *message.Raw) *attls.Error {
	if r.extended {
		return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "KeyUpdate, which extended key update replaces").
			By(updateDraft + " 4")
	}
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

// rekey moves to the peer's key of an extended key update.
func (r *Reader) rekey(next *secret) *attls.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = *next
	aead, iv, err := trafficKey(r.suite.KDF(), next.bytes())
	if err != nil {
		return err
	}
	return r.in.SetKey(aead, iv)
}

// countUpdate counts an update of the peer's, and returns how many there are since the
// last application data.
func (r *Reader) countUpdate() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.updates++
	return r.updates
}

// handled lets Next go on after an ExtendedKeyUpdate.
func (r *Reader) handled() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = false
}

// Reserve returns input space; see Engine.Reserve. Reserve, Commit and Next are
// for one goroutine at a time.
func (r *Reader) Reserve(n int) []byte { return r.in.Reserve(n) }

// Release gives up the input space while no input is held, which an idle
// connection does not need; Reserve takes it again. Nothing may have been written
// to the space of the last Reserve but what was committed.
func (r *Reader) Release() { r.in.Release() }

// Commit takes n octets of input.
func (r *Reader) Commit(n int) { r.in.Commit(n) }

// Next handles input up to the next event. EventNone with a nil error means
// that more input is needed.
func (r *Reader) Next() (Event, *attls.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held && r.err == nil {
		r.err = attls.Errorf(attls.Local, attls.FailConfiguration, "HandlePost was not called with an ExtendedKeyUpdate")
	}
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
			r.err = attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%v after the handshake", item.Type).
				By("RFC 8446 5")
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
	m = r.cfg.classify(m)
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
		r.held = m.Kind == attls.KindExtendedKeyUpdate
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

// maxUpdates bounds KeyUpdate messages between which no application data comes:
// each costs a key derivation and moves nothing.
const maxUpdates = 32
