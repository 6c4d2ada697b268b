package handshake

import (
	"encoding/binary"
	"math"
	"slices"

	"attls"
	"attls/handshake/message"
	"attls/negotiation"
)

// issues reports whether this server issues tickets that the client can use.
func (e *Engine) issues() bool {
	_, usable := e.pskMode()
	if e.cfg.Policy.Demand {
		if a := e.attested(e.peer); a == nil || !a.complete() {
			return false // it would resume nothing
		}
	}
	return usable && e.cfg.PSK && e.rekey == nil && negotiation.AllowTickets(e.profile()) &&
		!slices.Contains(e.cfg.quirks().NeverSend, attls.KindNewSessionTicket)
}

// askTickets asks for as many tickets as the configuration says.
func (e *Engine) askTickets() {
	if !e.issues() {
		return
	}
	for range e.tickets() {
		e.askTicket(gateData)
	}
}

// askTicket asks for one ticket. Its nonce is its number in the connection.
func (e *Engine) askTicket(g gate) {
	n := e.ticketsAsked
	e.ticketsAsked++
	s := e.session(numbered(n))
	var add [4]byte
	e.random.Fill(UseTicketAge, n, add[:])
	s.AgeAdd = binary.BigEndian.Uint32(add[:])
	if negotiation.AllowEarlyData(e.profile(), e.psk.standing) {
		s.MaxEarlyData = e.cfg.MaxEarlyData
	}
	w := e.ask(g, &Wait{Kind: WaitTicket, Due: attls.KindNewSessionTicket,
		Ticket: &TicketRequest{Session: s, NotAfter: s.NotAfter}})
	w.slot, w.after = int(n), g == gateNever
}

// sendTickets sends the tickets that are there.
func (e *Engine) sendTickets() *attls.Error {
	for w := e.take(WaitTicket); w != nil; w = e.take(WaitTicket) {
		raw, err := e.ticket(w)
		if err != nil {
			return err
		}
		if raw == nil {
			continue
		}
		if err := e.writer.send(raw); err != nil {
			return err
		}
	}
	e.out.Flush()
	return nil
}

// ticket is the NewSessionTicket that an answer makes; nil: none.
func (e *Engine) ticket(w *waiting) ([]byte, *attls.Error) {
	s, a := w.wait.Ticket.Session, w.answer
	if len(a.Ticket) == 0 || a.TicketLifetime <= 0 {
		return nil, nil
	}
	m := message.NewSessionTicket{Lifetime: uint32(min(a.TicketLifetime, negotiation.MaxTicketLifetime).Seconds()),
		AgeAdd: s.AgeAdd, Nonce: numbered(uint32(w.slot)), Ticket: a.Ticket}
	if len(a.Ticket) > 1<<16-1 {
		return nil, attls.Errorf(attls.Local, attls.FailLimit, "a ticket of %d octets", len(a.Ticket)).By("RFC 8446 4.6.1")
	}
	m.Extensions = e.answersApart(&sending{kind: attls.KindNewSessionTicket, session: s})
	m.Extensions = e.greaseTicketExtension(m.Extensions)
	return m.Append(nil), nil
}

// receiveTicket takes a NewSessionTicket.
func (e *Engine) receiveTicket(m *message.Raw) *attls.Error {
	var t message.NewSessionTicket
	if err := t.Unmarshal(m.Body()); err != nil {
		return err
	}
	s, err := e.receivedTicket(&t)
	if err != nil {
		return err
	}
	e.emit(Event{Kind: EventTicket, Data: m.Body(), Session: s})
	return nil
}

// receivedTicket makes the session out of a NewSessionTicket; nil when it is not
// to be kept.
func (e *Engine) receivedTicket(t *message.NewSessionTicket) (*Session, *attls.Error) {
	if err := e.table.Check(attls.KindNewSessionTicket, attls.RoleServer, 0, true, t.Extensions, &e.sent); err != nil {
		return nil, err
	}
	a := answers{messageExtensions: extensionsOf(attls.KindNewSessionTicket, t.Extensions)}
	if err := a.readBodies(e); err != nil {
		return nil, err
	}
	if !e.cfg.PSK || e.rekey != nil || t.Lifetime == 0 || !negotiation.KeepTickets(e.profile()) {
		return nil, nil
	}
	s := e.session(t.Nonce)
	s.Identity = append([]byte(nil), t.Ticket...)
	s.Lifetime = min(t.Lifetime, uint32(negotiation.MaxTicketLifetime.Seconds()))
	s.AgeAdd, s.MaxEarlyData = t.AgeAdd, a.maxEarlyData
	return s, nil
}

// numbered makes unique octets of a number: two while they suffice, then four.
func numbered(n uint32) []byte {
	if n <= math.MaxUint16 {
		return binary.BigEndian.AppendUint16(nil, uint16(n))
	}
	return binary.BigEndian.AppendUint32(nil, n)
}
