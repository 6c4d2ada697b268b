package extensions

import (
	"fmt"
	"slices"

	"attls"
	"attls/internal/rule"
)

// Offer names what a peer must have sent for an extension to be an answer.
type Offer struct {
	Message   attls.MessageKind
	Extension attls.ExtensionType
}

// Entries says in which CertificateEntry of a Certificate an extension may appear.
type Entries uint8

// An extension of Certificate may be in each entry of the chain, or in one.
const (
	EntriesAny   Entries = iota
	EntriesFirst         // the end-entity entry only
)

// Placement is one message in which an extension may appear.
type Placement struct {
	Message attls.MessageKind
	// OfferedBy is indexed by the role of the sender: any of the offers, sent by
	// the other role, makes the extension solicited. Empty: none is needed.
	OfferedBy     [2][]Offer
	Unsolicited   bool    // accepted though nothing offered it
	Entries       Entries // of CertificateEntry
	PostHandshake bool    // also in post-handshake authentication
	AfterOnly     bool    // in post-handshake authentication, and not in the handshake
	Empty         bool    // the body has no octet
}

// Row is an extension with all its placements.
type Row struct {
	Type       attls.ExtensionType
	Name       string
	Placements []Placement
}

// In is the placement in a message; nil: the extension does not belong there. A
// ClientCertificateRequest has the extensions of a CertificateRequest (RFC 9261 section 4)
// in addition to its own.
func (r *Row) In(k attls.MessageKind) *Placement {
	for i := range r.Placements {
		if r.Placements[i].Message == k {
			return &r.Placements[i]
		}
	}
	if k == attls.KindClientCertificateRequest {
		return r.In(attls.KindCertificateRequest)
	}
	return nil
}

// Table says which extension may appear where. It is immutable.
type Table struct {
	rows map[attls.ExtensionType]*Row
	off  rule.Rule // not enforced
}

func init() {
	rule.Register(func(t *Table, r rule.Rule) *Table { return &Table{t.rows, r} })
}

// Lookup returns the row of an extension.
func (t *Table) Lookup(x attls.ExtensionType) (*Row, bool) {
	r, ok := t.rows[x]
	return r, ok
}

// With returns a table with more rows. A number that is taken by an extension
// of another name is an error.
func (t *Table) With(rows ...Row) (*Table, error) {
	if len(rows) == 0 {
		return t, nil
	}
	n := &Table{make(map[attls.ExtensionType]*Row, len(t.rows)+len(rows)), t.off}
	for k, r := range t.rows {
		n.rows[k] = r
	}
	for i := range rows {
		r := rows[i]
		if old, ok := n.rows[r.Type]; ok {
			return nil, fmt.Errorf("extension %s has the number %d of %s", r.Name, r.Type, old.Name)
		}
		n.rows[r.Type] = &r
	}
	return n, nil
}

// The letters of RFC 8446 section 4.2's table, and NST for NewSessionTicket.
const (
	ch = 1 << iota
	sh
	hrr
	ee
	ct
	cr
	nst
	ccr   // ClientCertificateRequest of RFC 9261
	never = 0
)

var kinds = []struct {
	bit  int
	kind attls.MessageKind
}{
	{ch, attls.KindClientHello}, {sh, attls.KindServerHello}, {hrr, attls.KindHelloRetryRequest},
	{ee, attls.KindEncryptedExtensions}, {ct, attls.KindCertificate}, {cr, attls.KindCertificateRequest},
	{nst, attls.KindNewSessionTicket}, {ccr, attls.KindClientCertificateRequest},
}

func newTable(rows []place) *Table {
	t := &Table{rows: make(map[attls.ExtensionType]*Row, len(rows))}
	for _, r := range rows {
		row := &Row{Type: r.t, Name: r.t.String()}
		for _, k := range kinds {
			if r.in&k.bit == 0 {
				continue
			}
			p := Placement{Message: k.kind, PostHandshake: true, Empty: r.empty&k.bit != 0}
			switch k.kind {
			case attls.KindServerHello, attls.KindEncryptedExtensions:
				p.OfferedBy[attls.RoleServer] = []Offer{{attls.KindClientHello, r.t}}
			case attls.KindHelloRetryRequest:
				// cookie is the one answer without an offer (RFC 8446 section 4.2).
				if r.t != attls.ExtCookie {
					p.OfferedBy[attls.RoleServer] = []Offer{{attls.KindClientHello, r.t}}
				}
			case attls.KindCertificate:
				p.OfferedBy[attls.RoleServer] = []Offer{{attls.KindClientHello, r.t}}
				p.OfferedBy[attls.RoleClient] = []Offer{{attls.KindCertificateRequest, r.t}}
			}
			row.Placements = append(row.Placements, p)
		}
		t.rows[r.t] = row
	}
	return t
}

// RFC8446 returns the table without any profile.
func RFC8446() *Table { return rfc8446 }

// Sent remembers which extensions each role sent in which message, of which a
// second ClientHello takes the place of the first.
type Sent struct{ list []sent }

type sent struct {
	role attls.Role
	kind attls.MessageKind
	t    attls.ExtensionType
}

// Add remembers one extension.
func (s *Sent) Add(role attls.Role, kind attls.MessageKind, t attls.ExtensionType) {
	if s.list == nil {
		s.list = make([]sent, 0, 16) // enough for most handshakes
	}
	if !s.Has(role, kind, t) {
		s.list = append(s.list, sent{role, kind, t})
	}
}

// Forget forgets what a role sent in a message of a kind.
func (s *Sent) Forget(role attls.Role, kind attls.MessageKind) {
	s.list = slices.DeleteFunc(s.list, func(x sent) bool { return x.role == role && x.kind == kind })
}

// Has reports whether a role sent an extension in a message of a kind.
func (s *Sent) Has(role attls.Role, kind attls.MessageKind, t attls.ExtensionType) bool {
	for _, x := range s.list {
		if x == (sent{role, kind, t}) {
			return true
		}
	}
	return false
}

// Types lists the extensions that a role sent in a message of a kind, in their order.
func (s *Sent) Types(role attls.Role, kind attls.MessageKind) (list []attls.ExtensionType) {
	for _, x := range s.list {
		if x.role == role && x.kind == kind {
			list = append(list, x.t)
		}
	}
	return list
}

// offered reports whether a role offered an extension in a message of a kind. What a
// ClientHello can offer, a ClientCertificateRequest offers for the authenticator that
// answers it (RFC 9261 section 5.2.1).
func (s *Sent) offered(by attls.Role, o Offer) bool {
	return s.Has(by, o.Message, o.Extension) ||
		o.Message == attls.KindClientHello && s.Has(by, attls.KindClientCertificateRequest, o.Extension)
}

// Asked reports whether a role offered an extension in a message that a Certificate can
// answer.
func (s *Sent) Asked(by attls.Role, t attls.ExtensionType) bool {
	return s.offered(by, Offer{attls.KindClientHello, t}) || s.Has(by, attls.KindCertificateRequest, t)
}

// Clone returns a copy that goes its own way.
func (s *Sent) Clone() Sent { return Sent{append([]sent(nil), s.list...)} }

// response reports whether a message only answers, so that everything in it
// must have been offered (RFC 8446 section 4.2).
func response(k attls.MessageKind) bool {
	switch k {
	case attls.KindServerHello, attls.KindHelloRetryRequest, attls.KindEncryptedExtensions, attls.KindCertificate:
		return true
	}
	return false
}

// Check is the receiver's one gate for the extensions of a message: may each
// be there, and was each answer asked for. entry is the index of the
// CertificateEntry and 0 elsewhere.
func (t *Table) Check(kind attls.MessageKind, sender attls.Role, entry int, postHandshake bool, l List,
	s *Sent) *attls.Error {
	for i := range l {
		x := &l[i]
		err := t.checkOne(kind, sender, entry, postHandshake, x, s)
		if err == nil {
			err = t.checkBody(kind, x)
		}
		if err == nil && kind == attls.KindClientHello && x.Type == attls.ExtPreSharedKey && i != len(l)-1 &&
			t.off != rule.PSKLast {
			err = attls.Errorf(attls.Violation, attls.FailIllegalParameter, "is not the last extension").By("RFC 8446 4.2.11")
		}
		if err != nil {
			return err.Under("extensions." + t.name(x.Type)).At(x.Offset - 4).In(kind)
		}
	}
	return nil
}

// checkBody refuses a body that must be empty and is not (RFC 8446 section 6.2).
func (t *Table) checkBody(kind attls.MessageKind, x *Extension) *attls.Error {
	row, known := t.rows[x.Type]
	if !known || len(x.Body) == 0 || t.off == rule.BodyEmpty {
		return nil
	}
	if p := row.In(kind); p == nil || !p.Empty {
		return nil
	}
	return attls.Errorf(attls.Malformed, attls.FailTrailing, "%d octets are left over", len(x.Body)).At(x.Offset).
		By("RFC 8446 6.2")
}

func (t *Table) name(x attls.ExtensionType) string {
	if r, ok := t.rows[x]; ok {
		return r.Name
	}
	return x.String()
}

func (t *Table) checkOne(kind attls.MessageKind, sender attls.Role, entry int, postHandshake bool, x *Extension,
	s *Sent) *attls.Error {
	row, known := t.rows[x.Type]
	if !known {
		if response(kind) && attls.Grease(uint16(x.Type)) && t.off != rule.GREASERefused {
			return attls.Errorf(attls.Violation, attls.FailUnsolicited,
				"is a reserved value, which is sent to be ignored and never answered").By("RFC 8701 3.1")
		}
		unsolicited := response(kind) && !s.Asked(sender.Peer(), x.Type) && t.off != rule.ExtensionKnown
		if unsolicited || kind == attls.KindClientHello && t.off == rule.UnknownIgnored {
			return attls.Errorf(attls.Violation, attls.FailUnsolicited, "was not offered").By("RFC 8446 4.2")
		}
		return nil // ClientHello, CertificateRequest, NewSessionTicket: ignored
	}
	p := row.In(kind)
	if misplaced := p == nil || postHandshake && !p.PostHandshake || !postHandshake && p.AfterOnly; misplaced {
		if t.off == rule.ExtensionInPlace {
			return nil
		}
		return attls.Errorf(attls.Violation, attls.FailWrongMessage, "must not appear in this message").By("RFC 8446 4.2")
	}
	if p.Entries == EntriesFirst && entry > 0 {
		return attls.Errorf(attls.Violation, attls.FailMisplaced, "is in CertificateEntry %d; it belongs in the first", entry)
	}
	if p.Unsolicited || len(p.OfferedBy[sender]) == 0 {
		return nil
	}
	for _, o := range p.OfferedBy[sender] {
		if s.offered(sender.Peer(), o) {
			return nil
		}
	}
	if kind == attls.KindCertificateRequest || t.off == rule.ExtensionSolicited {
		return nil // an answer nobody asked for; RFC 8446 section 4.3.2 has it ignored
	}
	return attls.Errorf(attls.Violation, attls.FailUnsolicited, "was not offered").By("RFC 8446 4.2")
}
