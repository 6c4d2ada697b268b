package profile

import (
	"slices"

	"attls"
	"attls/extensions/profile/binder"
)

// Gap is a place between two messages of TLS in which a profile may add one.
type Gap struct {
	After  attls.MessageKind
	Before attls.MessageKind
	Sender attls.Role
	Later  bool // of post-handshake authentication
	At     binder.Point
	text   string
}

// Gaps are all the places, in the order of a handshake; the loader reads messages.NAME
// against this table, and the reference prints it.
var Gaps = []Gap{
	{attls.KindServerHello, attls.KindEncryptedExtensions, attls.RoleServer, false, binder.PointAfterSH, ""},
	{attls.KindEncryptedExtensions, attls.KindCertificateRequest, attls.RoleServer, false, binder.PointAfterEE,
		"also where no CertificateRequest is sent"},
	{attls.KindCertificateRequest, attls.KindCertificate, attls.RoleServer, false, binder.PointAfterCR,
		"also where no CertificateRequest is sent"},
	{attls.KindCertificate, attls.KindCertificateVerify, attls.RoleServer, false, binder.PointServerAfterCT, ""},
	{attls.KindCertificateVerify, attls.KindFinished, attls.RoleServer, false, binder.PointServerAT, ""},
	{attls.KindFinished, attls.KindCertificate, attls.RoleClient, false, binder.PointClientBeforeCT,
		"behind Finished of the server"},
	{attls.KindCertificate, attls.KindCertificateVerify, attls.RoleClient, false, binder.PointClientAfterCT, ""},
	{attls.KindCertificateVerify, attls.KindFinished, attls.RoleClient, false, binder.PointClientAT, ""},
	{attls.KindCertificateRequest, attls.KindCertificate, attls.RoleClient, true, binder.PointPostHandshakeAfterCR, ""},
	{attls.KindCertificate, attls.KindCertificateVerify, attls.RoleClient, true, binder.PointPostHandshakeAfterCT, ""},
	{attls.KindCertificateVerify, attls.KindFinished, attls.RoleClient, true, binder.PointPostHandshakeAT, ""},
}

// where says between what a gap is.
func (g *Gap) where() string { return "after: " + g.After.Name() + ", before: " + g.Before.Name() }

// who says who sends what stands there.
func (g *Gap) who() string {
	s := "the " + g.Sender.String()
	if g.Later {
		s += ", in post-handshake authentication (also_in: [post_handshake])"
	}
	if g.text != "" {
		s += ", " + g.text
	}
	return s
}

// noPlaces says for the reference what is not in the table.
const noPlaces = "\nNothing can be added before ServerHello, where the ends have no keys and have agreed on " +
	"nothing, nor " +
	"after Finished of the client. A payload comes after the choice of its slot. With a pre-shared key nobody shows a " +
	"certificate: nothing is chosen, and no message is added.\n"

// noGap says why nothing can be added behind a message, or in front of one.
func noGap(after, before attls.MessageKind) string {
	switch {
	case after == attls.KindClientHello || after == attls.KindHelloRetryRequest || before == attls.KindServerHello ||
		before == attls.KindClientHello || before == attls.KindHelloRetryRequest:
		return "before ServerHello the ends have no keys and have agreed on nothing, and a server answers ClientHello " +
			"with ServerHello or HelloRetryRequest"
	case after == attls.KindNewSessionTicket || before == attls.KindNewSessionTicket:
		return "nothing follows or precedes a ticket"
	case after != attls.KindNone && before != attls.KindNone:
		return "these messages do not follow each other"
	}
	return "it bounds no place of a flight"
}

// gapWords are the messages that bound a gap.
func gapWords() (list []string) {
	for _, g := range Gaps {
		for _, k := range []attls.MessageKind{g.After, g.Before} {
			if !slices.Contains(list, k.Name()) {
				list = append(list, k.Name())
			}
		}
	}
	return list
}

// place finds the gaps of a message by the sender.
func (m *AddedMessage) place(later bool) (found bool) {
	for i := range Gaps {
		g := &Gaps[i]
		if m.After != attls.KindNone && m.After != g.After || m.Before != attls.KindNone && m.Before != g.Before {
			continue
		}
		switch {
		case !g.Later:
			m.At[g.Sender], found = g.At, true
		case later:
			m.Later, found = g.At, true
		}
	}
	return found
}

// Sent reports whether an end sends the message in the handshake.
func (m *AddedMessage) Sent(by attls.Role) bool { return m.At[by] != binder.PointNone }
