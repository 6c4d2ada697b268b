package fuzz

import (
	"fmt"

	"attls"
	"attls/handshake"
)

// alerts is a tap that counts the fatal alerts that are sent and notes the
// states that are entered.
type alerts struct {
	handshake.NopTap
	fatal  int
	states map[string]bool
}

func (a *alerts) Fork() handshake.Tap {
	f := *a // what a fork reaches is reached
	return &f
}

func (a *alerts) Alert(d handshake.Direction, x attls.AlertDescription) {
	if d == handshake.Sent && x != attls.AlertCloseNotify && x != attls.AlertUserCanceled {
		a.fatal++
	}
}

func (a *alerts) State(name string) {
	if a.states != nil {
		a.states[name] = true
	}
}

// CheckError checks an error of an engine for the invariants.
func CheckError(err *attls.Error) error {
	switch {
	case err.Failure == "":
		return fmt.Errorf("an error without a failure: %v", err)
	case err.Detail == "" && err.Err == nil:
		return fmt.Errorf("an error without a reason: %v", err)
	case err.Class == attls.FromPeer && err.Failure != attls.FailPeerAlert && err.Failure != attls.FailTruncated:
		return fmt.Errorf("an error of the peer's that is neither its alert nor its silence: %v", err)
	case err.Class == attls.FromPeer:
		return nil
	case err.Failure == attls.FailPeerAlert || err.Failure == attls.FailTruncated:
		return fmt.Errorf("an error of ours with a failure of the peer's: %v", err)
	case !err.Failure.Attestation() && (!err.HasAlert || err.Alert != attls.DefaultAlert(err.Failure)):
		return fmt.Errorf("%v; the alert of %s is %v", err, err.Failure, attls.DefaultAlert(err.Failure))
	}
	return nil
}

// CheckEngine checks an engine that was given so many octets for the
// invariants. demand says that its peer must authenticate.
func CheckEngine(e *handshake.Engine, tap *alerts, given int, demand bool) error {
	if tap.fatal > 1 {
		return fmt.Errorf("%d fatal alerts were sent", tap.fatal)
	}
	if err := e.Err(); err != nil {
		if failure := CheckError(err); failure != nil {
			return failure
		}
		if sent := tap.fatal > 0; sent != (err.HasAlert && err.Class != attls.FromPeer &&
			err.Alert != attls.AlertUserCanceled) {
			return fmt.Errorf("a fatal alert was sent: %v, and the error is %v", sent, err)
		}
	}
	if n := e.Buffered(); n > given {
		return fmt.Errorf("%d octets are held of %d", n, given)
	}
	if n, most := len(e.Output()), 1<<14+64*given; n > most {
		return fmt.Errorf("%d octets are to be sent after %d", n, given)
	}
	if s := e.State(); e.Done() && demand && s.PeerScheme == 0 {
		return fmt.Errorf("the handshake is complete and the peer has signed nothing")
	}
	return nil
}
