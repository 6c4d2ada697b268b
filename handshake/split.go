package handshake

import (
	"slices"

	"attls"
	"attls/internal/rule"
)

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
	*e.reader = Reader{in: e.in, suite: e.nego.suite, secret: *e.keys.trafficSecret(e.role.Peer()), role: e.role,
		shared: &halves.shared,
		tap:    e.tap(), cfg: e.cfg, extended: e.rekey != nil && e.obeys(rule.UpdateReplaces)}
	*e.writer = Writer{out: e.out, suite: e.nego.suite, secret: *e.keys.trafficSecret(e.role), shared: &halves.shared,
		limit: e.nego.suite.RecordLimit, tap: e.tap(), cfg: e.cfg, role: e.role, extended: e.rekey != nil,
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
	if e.seen == len(e.events) {
		e.events, e.seen = nil, 0
	}
	return e.reader, e.writer
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
	if e.writer.spent() {
		_ = e.ExtendedKeyUpdate() // it may be under way
	}
	return nil
}

// CloseNotify sends close_notify on an engine that is not split.
func (e *Engine) CloseNotify() {
	if e.err != nil {
		return
	}
	if e.writer != nil {
		_ = e.writer.CloseNotify()
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
