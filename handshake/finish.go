package handshake

import "attls"

// serverAccept holds a client's Finished back until the verdicts that must
// come before it are there.
type serverAccept struct{}

func (serverAccept) name() string { return "ACCEPT" }
func (serverAccept) due() gate    { return gateFinished }

func (s serverAccept) step(e *Engine) (state, *attls.Error) {
	e.take(WaitCertificateVerdict) // of a resumed chain
	if e.held(gateData) {          // a ticket keeps what the verdict says
		return serverIssue{}, nil
	}
	return serverIssue{}.step(e)
}

// serverIssue asks for the tickets once the verdicts are there that application
// data waits for.
type serverIssue struct{}

func (serverIssue) name() string { return "ISSUE" }
func (serverIssue) due() gate    { return gateData }

func (serverIssue) step(e *Engine) (state, *attls.Error) {
	e.askTickets()
	return finish{}, nil
}

// finish waits for what application data must wait for.
type finish struct{}

func (finish) name() string { return "FINISH" }
func (finish) due() gate    { return gateData }

func (s finish) step(e *Engine) (state, *attls.Error) {
	if err := e.checkDemand(gateData); err != nil {
		return nil, err
	}
	if e.writer == nil {
		e.startHalves()
	}
	e.startUpdates()
	if err := e.sendTickets(); err != nil {
		return nil, err
	}
	e.establish()
	return connected{}, nil
}
