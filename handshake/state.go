package handshake

import (
	"attls"
	"attls/handshake/message"
)

// state is one state of RFC 8446 appendix A. States are immutable values, so a
// fork shares them; all that changes lives in Engine.
type state interface {
	name() string
	// due is the gate that must be open before the state goes on: waits that
	// have to be answered by then hold it back.
	due() gate
}

// active states go on by themselves.
type active interface {
	state
	step(e *Engine) (state, *attls.Error)
}

// passive states need a message of the peer.
type passive interface {
	state
	receive(e *Engine, m *message.Raw) (state, *attls.Error)
}

// advance exists because a failed step returns no state to go to.
func advance(s state, err *attls.Error) (state, *attls.Error) {
	if err != nil {
		return failed{}, err
	}
	return s, nil
}

type failed struct{}

func (failed) name() string { return "FAILED" }
func (failed) due() gate    { return gateNow }

// gate orders the moments before which a wait must be answered.
type gate uint8

const (
	gateNow               gate = iota // before anything more is sent
	gateNone                          // the next message needs no answer
	gateCertificateVerify             // before the peer's CertificateVerify is checked
	gateFinished                      // before the peer's Finished is accepted or ours is sent
	gateData                          // before application data
	gateNever
)
