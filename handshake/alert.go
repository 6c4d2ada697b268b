package handshake

import (
	"strings"

	"attls"
)

// readAlert reads the two octets of an alert; closed reports close_notify.
func readAlert(c *Config, t Tap, b []byte) (closed bool, _ *attls.Error) {
	level, a := b[0], attls.AlertDescription(b[1])
	if t != nil {
		t.Alert(Received, a)
	}
	switch {
	case a == attls.AlertCloseNotify:
		return true, nil
	case a == attls.AlertUserCanceled:
		return false, nil // a close_notify follows (RFC 8446 section 6.1); the record layer bounds their number
	case level != 1 && level != 2:
		return false, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "alert level %d", level).By("RFC 8446 6")
	}
	// RFC 8446 section 6: every other alert is fatal whatever its level says.
	err := attls.Errorf(attls.FromPeer, attls.FailPeerAlert, "the peer sent the alert %s",
		strings.TrimPrefix(c.alertName(a), "alert "))
	err.Alert, err.HasAlert, err.AlertName = a, true, c.addedAlert(a)
	return false, err
}

// AlertName names an alert with the profile's names for the ones it adds.
func (e *Engine) AlertName(a attls.AlertDescription) string { return e.cfg.alertName(a) }

func (c *Config) alertName(a attls.AlertDescription) string {
	if n := c.addedAlert(a); n != "" {
		return n
	}
	return a.String()
}

// addedAlert is the profile's name for an alert that it adds, or empty.
func (c *Config) addedAlert(a attls.AlertDescription) string {
	return c.profile().AlertNames[a]
}

// fail ends the connection: the failure becomes an alert here and nowhere else.
func (e *Engine) fail(err *attls.Error) {
	if e.err != nil {
		return
	}
	alert := e.alertFor(err) // first, so that nobody sees an incomplete error
	e.err = err
	e.state = failed{}
	if alert && !e.split { // otherwise the alert is for the holder of the Writer to send
		for _, x := range lastAlerts(err.Alert) {
			e.sendAlert(x.level, x.alert)
		}
		if e.writer != nil {
			e.writer.closed = true
		}
	}
	e.emit(Event{Kind: EventError, Err: err})
}

// alertFor sets the alert of an error; false when none is to be sent.
func (e *Engine) alertFor(err *attls.Error) bool {
	if err.Class == attls.FromPeer {
		return false
	}
	a, send := attls.DefaultAlert(err.Failure), true
	if err.Failure.Attestation() {
		action := e.profile().AlertFor(err.Failure)
		if !action.None { // of one that cannot be let pass after all, the default remains
			a, send = action.Alert, !action.Close
		}
	}
	if err.Failure == attls.FailTimeout && e.split { // user_canceled is for the handshake (RFC 8446 section 6.1)
		a = attls.AlertInternalError
	}
	err.Alert, err.HasAlert, err.AlertName = 0, send, ""
	if send {
		err.Alert, err.AlertName = a, e.cfg.addedAlert(a)
	}
	return send
}

func (e *Engine) sendAlert(level byte, a attls.AlertDescription) {
	if t := e.tap(); t != nil {
		t.Alert(Sent, a)
	}
	if e.role == attls.RoleClient && e.keys.handshakeSecrets != nil && e.keys.clientHandshake.n > 0 {
		e.sendCCS() // it comes before the first protected record, be it an alert
	}
	e.out.Flush()
	_ = e.out.Write(attls.ContentTypeAlert, []byte{level, byte(a)})
	e.out.Flush()
}

// leveledAlert is an alert with its level: 1 warning, 2 fatal.
type leveledAlert struct {
	level byte
	alert attls.AlertDescription
}

// lastAlerts are what is sent where an alert ends the connection: user_canceled
// is a warning, and close_notify follows it (RFC 8446 section 6.1).
func lastAlerts(a attls.AlertDescription) []leveledAlert {
	if a == attls.AlertUserCanceled {
		return []leveledAlert{{1, a}, {1, attls.AlertCloseNotify}}
	}
	return []leveledAlert{{2, a}}
}

func (e *Engine) failure() error {
	if e.err != nil {
		return e.err
	}
	return nil
}
