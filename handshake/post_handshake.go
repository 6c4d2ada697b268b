package handshake

import (
	"math"

	"attls"
	"attls/handshake/message"
)

// connected handles post-handshake messages.
type connected struct{}

func (connected) name() string { return "CONNECTED" }
func (connected) due() gate    { return gateNone }

func (s connected) receive(e *Engine, m *message.Raw) (state, *attls.Error) {
	if err := e.reader.follow(m); err != nil {
		return nil, err
	}
	if m.Kind != attls.KindKeyUpdate {
		return s, e.postHandshake(m, &e.reader.secret)
	}
	if err := e.reader.keyUpdate(m); err != nil {
		return nil, err
	}
	e.emit(Event{Kind: EventKeyUpdate})
	return s, nil // one that the peer asks for goes out before the next data (RFC 8446 section 4.6.3)
}

// postHandshake handles a message after the handshake that is not a KeyUpdate;
// secret is the one under which the peer sends at this moment.
func (e *Engine) postHandshake(m *message.Raw, secret *secret) *attls.Error {
	switch {
	case e.authenticates(m):
		if err := e.afterwards(m, secret); err != nil {
			return err
		}
		return e.resumeUpdate()
	case m.Kind == attls.KindExtendedKeyUpdate && e.rekey != nil:
		return e.updates(m)
	case m.Kind == attls.KindAdded && e.rekey != nil:
		return e.updateAdded(m)
	case m.Kind == attls.KindNewSessionTicket && e.role == attls.RoleClient:
		return e.receiveTicket(m)
	}
	return unexpected(m, connected{})
}

// HandlePost handles an EventPostHandshake of a Reader: a message of
// authentication or a ticket, which then is an EventTicket of the Engine's. What
// is to be sent goes to the Writer with SendFlights.
func (e *Engine) HandlePost(ev Event) error {
	if e.err != nil {
		return e.err
	}
	m, err := message.ParseRaw(ev.Data)
	if err == nil {
		m = e.cfg.classify(m)
		e.work()
		err = e.postHandshake(&m, ev.secret)
	}
	if m.Kind == attls.KindExtendedKeyUpdate && err == nil {
		e.reader.handled()
	}
	if err != nil {
		e.fail(err.In(m.Kind))
	}
	e.rest()
	return e.failure()
}

// IssueTicket lets a server send one more ticket: the Ticket wait asks for it.
func (e *Engine) IssueTicket() error {
	if e.err != nil {
		return e.err
	}
	if e.role != attls.RoleServer || !e.done || !e.issues() {
		return attls.Errorf(attls.Local, attls.FailConfiguration,
			"tickets are issued by a server, with Config.PSK, to a client that can use them; under Policy.Demand, to one "+
				"whose verdict has an end of validity")
	}
	if e.ticketsAsked == math.MaxUint32 {
		return attls.Errorf(attls.Local, attls.FailLimit, "no ticket_nonce is left").By("RFC 8446 4.6.1")
	}
	if e.split && e.unwritten()+e.openTickets() >= maxUnwritten {
		return attls.Errorf(attls.Local, attls.FailLimit, "%d tickets are not written yet", maxUnwritten)
	}
	e.askTicket(gateNever)
	return nil
}

// maxUnwritten bounds the tickets that a server has asked for or made and that
// are not written yet.
const maxUnwritten = 64

// unwritten is how many flights are made and not written yet.
func (e *Engine) unwritten() int { return len(e.post.ready) + int(e.writer.shared.unwritten.Load()) }

// openTickets is how many Ticket waits are not answered yet.
func (e *Engine) openTickets() (n int) {
	for i := range e.waits {
		if e.waits[i].wait.Kind == WaitTicket {
			n++
		}
	}
	return n
}

// release sends a flight, or lets the holder of the Writer do so.
func (e *Engine) release(f flight) *attls.Error {
	if e.split {
		e.post.ready = append(e.post.ready, f)
		return nil
	}
	return e.writer.sendFlight(f)
}

// SendFlights sends through the Writer what the Engine has made since Split. The
// caller holds the Writer's lock and sees to it that nothing else uses the Engine.
func (e *Engine) SendFlights() *attls.Error {
	ready := e.post.ready
	e.post.ready = nil
	for _, f := range ready {
		if err := e.writer.sendFlight(f); err != nil {
			return err
		}
	}
	return nil
}
