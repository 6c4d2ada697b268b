package learn

import (
	"slices"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
)

// exchange is one of post-handshake authentication (RFC 8446 section 4.6.2): its transcript is
// that of the handshake with the request and what answers it.
type exchange struct {
	context    []byte
	transcript []byte
}

// ask has the server ask for a certificate, once at a time: requests that pile up would make
// as many states.
func (m *Mapper) ask() (string, error) {
	asker, ok := m.t.(Asker)
	if ok && m.exchange == nil {
		asker.Ask()
	}
	return m.receive()
}

// heardRequest takes a CertificateRequest after the handshake.
func (m *Mapper) heardRequest(r *message.Raw) {
	var request message.CertificateRequest
	if m.role != attls.RoleClient || m.resumption == nil || request.Unmarshal(r.Body()) != nil {
		return
	}
	whole := slices.Clone(r.Bytes)
	m.exchange = &exchange{slices.Clone(request.Context), slices.Concat(m.handshakeTranscript(), whole)}
}

// handshakeTranscript is the transcript up to the client's Finished.
func (m *Mapper) handshakeTranscript() []byte { return m.transcript[:m.finished] }

// current is the transcript that the next message is computed over.
func (m *Mapper) current() []byte {
	if m.exchange != nil {
		return m.exchange.transcript
	}
	return m.transcript
}

// context is a certificate_request_context: that of the open request, where one is to be given.
func (m *Mapper) context(with string) []byte {
	switch {
	case with != withContext:
		return nil
	case m.exchange != nil:
		return m.exchange.context
	}
	return []byte("no request")
}

// ticket is a session that can be resumed (RFC 8446 section 4.6.1).
type ticket struct {
	identity, psk []byte
	ageAdd        uint32
}

// heardTicket keeps the newest ticket.
func (m *Mapper) heardTicket(r *message.Raw) {
	var t message.NewSessionTicket
	if m.resumption == nil || t.Unmarshal(r.Body()) != nil {
		return
	}
	m.ticket = &ticket{slices.Clone(t.Ticket), m.derive(m.resumption, "resumption", t.Nonce), t.AgeAdd}
}

// newSessionTicket is a ticket of the mapper's own.
func (m *Mapper) newSessionTicket() []byte {
	m.issued++
	t := &message.NewSessionTicket{Nonce: []byte{m.issued}, Ticket: []byte{2, m.issued}, Lifetime: 60}
	if m.resumption != nil {
		m.ticket = &ticket{identity: t.Ticket, psk: m.derive(m.resumption, "resumption", t.Nonce)}
	}
	return t.Append(nil)
}

// offering is a ClientHello that offers the ticket, or one that nobody issued.
func (m *Mapper) offering(h *message.ClientHello) []byte {
	offered := m.ticket
	if offered == nil {
		offered = &ticket{identity: []byte("a ticket of nobody"), psk: m.zeros()}
	}
	m.psk = offered.psk
	body, binders := extensions.AppendPreSharedKeyOffer(nil,
		[]extensions.PSKIdentity{{Identity: offered.identity, ObfuscatedTicketAge: offered.ageAdd}}, []int{m.suite.HashLen})
	h.Extensions = append(h.Extensions, extensions.Extension{Type: attls.ExtPreSharedKey, Body: body})
	b := h.Append(nil)
	key := m.derive(m.earlySecret(offered.psk), "res binder", m.empty())
	copy(b[len(b)-m.suite.HashLen:], m.suite.FinishedMAC(nil, key, m.sum(slices.Concat(m.transcript, b[:len(b)-binders]))))
	return b
}

// taken is the key that a server takes: that of its ticket, where the client offers it.
func (m *Mapper) taken() []byte {
	body, _ := m.hello.Extensions.Get(attls.ExtPreSharedKey)
	o, err := extensions.ParsePreSharedKeyOffer(body)
	if m.ticket != nil && err == nil && len(o.Identities) > 0 &&
		slices.Equal(o.Identities[0].Identity, m.ticket.identity) {
		return m.ticket.psk
	}
	return m.zeros()
}
