package handshake

import (
	"attls"
	"attls/handshake/message"
)

// nextMessage returns the next handshake message after taps have seen it;
// other content is handled on the way.
func (e *Engine) nextMessage() (message.Raw, bool, *attls.Error) {
	for {
		if len(e.inserted) > 0 {
			raw := e.inserted[0]
			e.inserted = e.inserted[1:]
			m, err := message.ParseRaw(raw)
			return e.cfg.classify(m), err == nil, err
		}
		if e.reader != nil && e.reader.closed {
			return message.Raw{}, false, nil
		}
		item, ok, err := e.in.Next()
		if err != nil || !ok {
			return message.Raw{}, false, err
		}
		switch item.Type {
		case attls.ContentTypeHandshake:
			m, err := message.ParseRaw(item.Data)
			if err != nil {
				return m, false, err
			}
			m = e.cfg.classify(m)
			if e.tap() == nil {
				return m, true, nil
			}
			if m, ok = e.tapReceived(m); ok {
				return m, true, nil
			}
		case attls.ContentTypeApplicationData:
			switch {
			case e.early.reading:
				if err := e.receiveEarly(len(item.Data)); err != nil {
					return message.Raw{}, false, err
				}
			case !e.done:
				return message.Raw{}, false, attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
					"application data before the handshake is complete, in state %s", e.state.name()).By("RFC 8446 5")
			}
			if err := e.reader.takeData(len(item.Data)); err != nil {
				return message.Raw{}, false, err
			}
			if len(item.Data) > 0 {
				ev := Event{Kind: EventData, Data: item.Data}
				if e.early.reading {
					ev.Early = EarlyDataAccepted
				}
				e.emit(ev)
			}
		case attls.ContentTypeAlert:
			closed, err := readAlert(e.cfg, e.tap(), item.Data)
			if err == nil && closed && !e.done {
				err = attls.Errorf(attls.FromPeer, attls.FailPeerAlert, "the peer closed during the handshake, in state %s",
					e.state.name())
				err.Alert, err.HasAlert = attls.AlertCloseNotify, true
			}
			if err != nil {
				if !e.done {
					err.Detail += ", in state " + e.state.name()
				}
				return message.Raw{}, false, err
			}
			if closed {
				e.reader.closed = true
				e.emit(Event{Kind: EventClosed})
			}
		case attls.ContentTypeChangeCipherSpec:
			if !e.ccsAllowed {
				return message.Raw{}, false, attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
					"change_cipher_spec in state %s", e.state.name()).By("RFC 8446 5")
			}
		}
	}
}

// tapReceived shows a received message to the tap; false when the message is
// not handled itself but what the tap put in its place.
func (e *Engine) tapReceived(m message.Raw) (message.Raw, bool) {
	queue, unchanged := planReceived(e.tap(), &m)
	e.inserted = append(queue, e.inserted...)
	return m, unchanged
}

// starve is called when more input is needed.
func (e *Engine) starve() {
	switch {
	case !e.eof || e.reader != nil && e.reader.closed:
	case e.done:
		e.fail(truncated())
	default:
		e.fail(attls.Errorf(attls.FromPeer, attls.FailTruncated, "the connection ended during the handshake, in state %s",
			e.state.name()).By("RFC 8446 6.1"))
	}
}
