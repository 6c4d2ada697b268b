package handshake

import (
	"slices"

	"attls"
	"attls/extensions"
)

// What goes through the table of extensions: the rows that a message has, and the
// loops that write and read them.

// seenTypes is above every type in the table.
const seenTypes = 64

// rowOf finds a row by its type.
var rowOf = func() (rows [seenTypes]*extensionRow) {
	for i := range extensionTable {
		rows[extensionTable[i].t] = &extensionTable[i]
	}
	return rows
}()

// rowsIn are the rows of a message, in the order in which they are written.
var rowsIn = func() map[attls.MessageKind][]*extensionRow {
	rows := map[attls.MessageKind][]*extensionRow{}
	for _, k := range [...]attls.MessageKind{attls.KindClientHello, attls.KindServerHello, attls.KindHelloRetryRequest,
		attls.KindEncryptedExtensions, attls.KindCertificateRequest, attls.KindCertificate, attls.KindNewSessionTicket} {
		types := slices.Clone(firstAnswers[k])
		for i := range extensionTable {
			if t := extensionTable[i].t; !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
		for _, t := range types {
			if row, ok := extensions.RFC8446().Lookup(t); ok && row.In(k) != nil {
				rows[k] = append(rows[k], rowOf[t])
			}
		}
	}
	return rows
}()

// messageExtensions says which extensions a message has.
type messageExtensions struct {
	kind attls.MessageKind
	list extensions.List
	seen uint64 // types of the table, by their numbers
	read uint64 // of these, those that were read
}

func extensionsOf(k attls.MessageKind, l extensions.List) messageExtensions {
	m := messageExtensions{kind: k, list: l}
	for i := range l {
		if t := l[i].Type; t < seenTypes {
			m.seen |= 1 << t
		}
	}
	return m
}

// has reports whether the message has an extension of the table.
func (m *messageExtensions) has(t attls.ExtensionType) bool { return t < seenTypes && m.seen>>t&1 == 1 }

// place adds to an error that it is about an extension of the message.
func (m *messageExtensions) place(err *attls.Error, t attls.ExtensionType) *attls.Error {
	if x, ok := m.list.Find(t); ok && err != nil {
		return x.Locate(err)
	}
	return err
}

// next is the row of an extension that is still to be read; nil: there is none, or
// the extension is not read in this message.
func (m *messageExtensions) next(t attls.ExtensionType) *extensionRow {
	if t >= seenTypes || rowOf[t] == nil || m.read>>t&1 == 1 {
		return nil
	}
	m.read |= 1 << t
	if row, _ := extensions.RFC8446().Lookup(t); row.In(m.kind) == nil {
		return nil
	}
	return rowOf[t]
}

// readBodies reads the bodies of all extensions, or of the types that are named. What
// was read before is not read again.
func (o *offers) readBodies(only ...attls.ExtensionType) *attls.Error {
	for i := range o.list {
		x := &o.list[i]
		if len(only) > 0 && !slices.Contains(only, x.Type) {
			continue
		}
		if row := o.next(x.Type); row != nil && row.readOffer != nil {
			if err := row.readOffer(o, x.Body); err != nil {
				return x.Locate(err)
			}
		}
	}
	return nil
}

// takeOffersOf uses the offers of a message.
func (e *Engine) takeOffersOf(o *offers) *attls.Error {
	e.nego.compressor, e.nego.authorities = nil, nil
	for _, row := range rowsIn[o.kind] {
		if row.takeOffer != nil && o.has(row.t) {
			if err := row.takeOffer(e, o); err != nil {
				return o.place(err, row.t)
			}
		}
	}
	return nil
}

// readBodies reads as that of offers does.
func (a *answers) readBodies(e *Engine, only ...attls.ExtensionType) *attls.Error {
	for i := range a.list {
		x := &a.list[i]
		if len(only) > 0 && !slices.Contains(only, x.Type) {
			continue
		}
		if row := a.next(x.Type); row != nil && row.readAnswer != nil {
			if err := row.readAnswer(e, a, x.Body); err != nil {
				return x.Locate(err)
			}
		}
	}
	return nil
}

// writeOffers adds the offers to a ClientHello or CertificateRequest.
func (e *Engine) writeOffers(s sending) {
	to := &e.scratch.sending
	*to = s
	hello := s.kind == attls.KindClientHello
	if hello {
		e.greaseExtension(greaseExtension)
	}
	for _, row := range rowsIn[s.kind] {
		if !row.last && row.offer != nil {
			e.ext.body(row.t, func(b []byte) []byte { return row.offer(e, to, b) })
		}
	}
	if hello {
		e.greaseExtension(greaseLastExtension)
	}
	for _, row := range rowsIn[s.kind] {
		if row.last && row.offer != nil {
			e.ext.body(row.t, func(b []byte) []byte { return row.offer(e, to, b) })
		}
	}
	*to = sending{}
}

// writeAnswers adds the answers to a ServerHello, HelloRetryRequest or EncryptedExtensions.
func (e *Engine) writeAnswers(s sending) {
	to := &e.scratch.sending
	*to = s
	for _, row := range rowsIn[s.kind] {
		if row.answer != nil && e.solicited(row.t, s.kind) {
			e.ext.body(row.t, func(b []byte) []byte { return row.answer(e, to, b) })
		}
	}
	*to = sending{}
}

// answersApart are the answers of a CertificateEntry or NewSessionTicket, each in
// octets of its own.
func (e *Engine) answersApart(s *sending) (l extensions.List) {
	for _, row := range rowsIn[s.kind] {
		if row.answer == nil || !e.solicited(row.t, s.kind) {
			continue
		}
		if body := row.answer(e, s, []byte{}); body != nil {
			l = append(l, extensions.Extension{Type: row.t, Body: body})
		}
	}
	return l
}

// solicited reports whether the peer has offered what an extension answers. The hellos of
// a server answer what it has selected, and need not ask.
func (e *Engine) solicited(t attls.ExtensionType, k attls.MessageKind) bool {
	if k == attls.KindServerHello || k == attls.KindHelloRetryRequest {
		return true
	}
	row, ok := e.table.Lookup(t)
	if !ok {
		return false
	}
	p := row.In(k)
	if p == nil || len(p.OfferedBy[e.role]) == 0 {
		return p != nil
	}
	return slices.ContainsFunc(p.OfferedBy[e.role], func(o extensions.Offer) bool {
		return e.sent.Has(e.role.Peer(), o.Message, o.Extension)
	})
}
