package cases

import (
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// everyRecord is a change of all records of an end.
func everyRecord(sender attls.Role, change func(r *record.Raw, n int, p *record.Plan)) func(*scenario.Setup) {
	return func(s *scenario.Setup) { s.Tap(sender, tamper.Records(change)) }
}

// place is where in what an end sends a record stands.
type place int

const (
	atHello       place = iota // the record with ClientHello or ServerHello
	atFlight                   // the first protected record of the handshake, which ends in Finished
	atApplication              // the first record of application data
)

// holds reports whether record n stands there.
func (at place) holds(r *record.Raw, n int) bool {
	switch at {
	case atHello:
		return n == 0
	case atFlight:
		return r.Protected && r.Type == attls.ContentTypeHandshake && r.Sequence == 0
	}
	return r.Type == attls.ContentTypeApplicationData && r.Sequence == 0
}

// oneRecord is a change of the record at a place.
func oneRecord(sender attls.Role, at place, change func(r *record.Raw, p *record.Plan)) func(*scenario.Setup) {
	return everyRecord(sender, func(r *record.Raw, n int, p *record.Plan) {
		if at.holds(r, n) {
			change(r, p)
		}
	})
}

// recordBefore puts a record before the one at a place; recordAfter behind it.
// They are protected as that one is.
func recordBefore(sender attls.Role, at place, t attls.ContentType, payload ...byte) func(*scenario.Setup) {
	return oneRecord(sender, at, func(_ *record.Raw, p *record.Plan) { p.Before = []record.Raw{{Type: t, Payload: payload}} })
}

func recordAfter(sender attls.Role, at place, t attls.ContentType, payload ...byte) func(*scenario.Setup) {
	return oneRecord(sender, at, func(_ *record.Raw, p *record.Plan) { p.After = []record.Raw{{Type: t, Payload: payload}} })
}

// recordLonger puts octets behind those of the record at a place.
func recordLonger(sender attls.Role, at place, more ...byte) func(*scenario.Setup) {
	return oneRecord(sender, at, func(r *record.Raw, p *record.Plan) { p.Replace = append(slices.Clone(r.Payload), more...) })
}

// typeOther is a content type that nobody knows.
const typeOther = attls.ContentType(99)

// recordFaults are in the record layer and in what is sent after the handshake.
func recordFaults() []Row {
	list := []Row{
		refused("ccs-first", "", "change_cipher_spec comes before ClientHello.", attls.FailUnexpectedMessage, server, attls.KindNone,
			recordBefore(client, atHello, attls.ContentTypeChangeCipherSpec, 1)),
		refused("ticket-of-client", "", "The client sends NewSessionTicket.", attls.FailUnexpectedMessage, server, attls.KindNewSessionTicket,
			recordBefore(client, atApplication, attls.ContentTypeHandshake, tamper.Message(attls.TypeNewSessionTicket, ticketBody)...)),
		refused("request-after", "", "The server asks for a certificate after the handshake, and the client has not offered post_handshake_auth.", attls.FailUnexpectedMessage, client, attls.KindCertificateRequest,
			recordBefore(server, atApplication, attls.ContentTypeHandshake, tamper.Message(attls.TypeCertificateRequest, []byte{1, 7, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3})...)),
	}
	for _, of := range []func(attls.Role) Row{overflowPlain, overflow, emptyHandshake, emptyAlert, innerType, noInnerType, protectedCCS, ccsValue,
		unknownType, earlyData, boundaryHello, boundaryFlight, boundaryFinished, badMAC, keyUpdateValue, keyUpdateEarly, messageLate} {
		list = append(list, bothWays(of)...)
	}
	return list
}

// ticketBody is a NewSessionTicket with a ticket of one octet.
var ticketBody = []byte{0, 0, 1, 0, 0, 0, 0, 0, 1, 7, 0, 1, 7, 0, 0}

func overflowPlain(sender attls.Role) Row {
	return refused("overflow-plain", "", "The first record has 16385 octets.", attls.FailRecordOverflow, sender.Peer(), attls.KindNone,
		recordBefore(sender, atHello, attls.ContentTypeHandshake, make([]byte, record.MaxPlaintext+1)...))
}

func overflow(sender attls.Role) Row {
	return refused("overflow", "", "A record of application data has 16385 octets of content.", attls.FailRecordOverflow, sender.Peer(), attls.KindNone,
		recordBefore(sender, atApplication, attls.ContentTypeApplicationData, make([]byte, record.MaxPlaintext+1)...))
}

func emptyHandshake(sender attls.Role) Row {
	return refused("empty-handshake", "", "A protected record of type handshake has no content.", attls.FailUnexpectedRecord, sender.Peer(), attls.KindNone,
		recordBefore(sender, atFlight, attls.ContentTypeHandshake))
}

func emptyAlert(sender attls.Role) Row {
	return refused("empty-alert", "", "A protected record of type alert has no content.", attls.FailUnexpectedRecord, sender.Peer(), attls.KindNone,
		recordBefore(sender, atApplication, attls.ContentTypeAlert))
}

func innerType(sender attls.Role) Row {
	return refused("inner-type", "", "The content type inside the protection is one that nobody knows.", attls.FailUnexpectedRecord, sender.Peer(), attls.KindNone,
		recordBefore(sender, atApplication, typeOther, 7))
}

func noInnerType(sender attls.Role) Row {
	return refused("no-inner-type", "", "A protected record is all padding, without a content type.", attls.FailUnexpectedRecord, sender.Peer(), attls.KindNone,
		recordBefore(sender, atApplication, 0, 0, 0, 0))
}

func protectedCCS(sender attls.Role) Row {
	return refused("protected-ccs", "", "change_cipher_spec is protected.", attls.FailUnexpectedRecord, sender.Peer(), attls.KindNone,
		recordBefore(sender, atFlight, attls.ContentTypeChangeCipherSpec, 1))
}

func ccsValue(sender attls.Role) Row {
	return refused("ccs-value", "", "change_cipher_spec holds 2.", attls.FailUnexpectedRecord, sender.Peer(), attls.KindNone,
		recordAfter(sender, atHello, attls.ContentTypeChangeCipherSpec, 2))
}

func unknownType(sender attls.Role) Row {
	return refused("unknown-type", "", "The first record is of a content type that nobody knows.", attls.FailUnexpectedRecord, sender.Peer(), attls.KindNone,
		recordBefore(sender, atHello, typeOther, 7))
}

func earlyData(sender attls.Role) Row {
	return refused("early-application-data", "", "Application data comes before Finished.", attls.FailUnexpectedMessage, sender.Peer(), attls.KindNone,
		recordBefore(sender, atFlight, attls.ContentTypeApplicationData, []byte(scenario.Request)...))
}

func boundaryHello(sender attls.Role) Row {
	return refused("boundary-hello", "", "The record with the hello goes on with the beginning of another message.", attls.FailMessageBoundary, sender.Peer(), attls.KindNone,
		recordLonger(sender, atHello, byte(attls.TypeEncryptedExtensions), 0, 0))
}

// emptyExtensions is an EncryptedExtensions without extensions.
var emptyExtensions = tamper.Message(attls.TypeEncryptedExtensions, []byte{0, 0})

// boundaryFlight sends the first message of a flight without protection: in the transcript it is
// where it belongs, so that a receiver which keeps it until it is due finds nothing wrong.
func boundaryFlight(sender attls.Role) Row {
	moved, at := emptyCertificate, attls.KindCertificate
	does, more := "The client's Certificate, an empty one, is not protected but in the record with ClientHello.", []option{in(mutual)}
	if sender == server {
		moved, at = emptyExtensions, attls.KindEncryptedExtensions
		does, more = "EncryptedExtensions is not protected but in the record with ServerHello.", nil
	}
	return refused("boundary-flight", "", does, attls.FailMessageBoundary, sender.Peer(), attls.KindNone, func(s *scenario.Setup) {
		s.Tap(sender, tamper.Messages(func(m *message.Raw, _ int, p *handshake.Plan) {
			switch {
			case m.Kind == at:
				p.Replace = slices.Clone(moved)
			case sender == client && m.Kind == attls.KindCertificateVerify:
				p.Drop = true
			}
		}))
		s.Tap(sender, tamper.Records(func(r *record.Raw, n int, p *record.Plan) {
			switch {
			case atHello.holds(r, n):
				p.Replace = slices.Concat(r.Payload, moved)
			case atFlight.holds(r, n):
				p.Replace = slices.Clone(r.Payload[min(len(moved), len(r.Payload)):])
			}
		}))
	}, more...)
}

func boundaryFinished(sender attls.Role) Row {
	return refused("boundary-finished", "", "The record with Finished goes on with the beginning of another message.", attls.FailMessageBoundary, sender.Peer(), attls.KindNone,
		recordLonger(sender, atFlight, byte(attls.TypeNewSessionTicket), 0, 0))
}

func badMAC(sender attls.Role) Row {
	name := handshake.SecretClientHandshake
	if sender == server {
		name = handshake.SecretServerHandshake
	}
	return refused("bad-mac", "", "The handshake records are protected under another key.", attls.FailBadRecordMAC, sender.Peer(), attls.KindNone,
		func(s *scenario.Setup) { s.Tap(sender, tamper.Secret(name)) })
}

func keyUpdateValue(sender attls.Role) Row {
	return refused("key-update-value", "", "request_update of KeyUpdate is 2.", attls.FailIllegalParameter, sender.Peer(), attls.KindKeyUpdate,
		recordBefore(sender, atApplication, attls.ContentTypeHandshake, tamper.Message(attls.TypeKeyUpdate, []byte{2})...))
}

func keyUpdateEarly(sender attls.Role) Row {
	return refused("key-update-early", "", "KeyUpdate comes before Finished.", attls.FailUnexpectedMessage, sender.Peer(), attls.KindKeyUpdate,
		recordBefore(sender, atFlight, attls.ContentTypeHandshake, tamper.Message(attls.TypeKeyUpdate, []byte{0})...))
}

func messageLate(sender attls.Role) Row {
	return refused("message-late", "", "EncryptedExtensions comes after the handshake.", attls.FailUnexpectedMessage, sender.Peer(), attls.KindEncryptedExtensions,
		recordBefore(sender, atApplication, attls.ContentTypeHandshake, tamper.Message(attls.TypeEncryptedExtensions, []byte{0, 0})...))
}
