package handshake_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"attls"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/record"
)

// TestPostHandshake is what may come after the handshake, in a record of its own.
func TestPostHandshake(t *testing.T) {
	ticket := func(list extensions.List) []byte {
		return (&message.NewSessionTicket{Lifetime: 1, Ticket: []byte{1}, Extensions: list}).Append(nil)
	}
	update := func(n int, b ...byte) []byte {
		return bytes.Repeat(append([]byte{byte(attls.TypeKeyUpdate), 0, 0, byte(len(b))}, b...), n)
	}
	unexpected := outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, attls.KindNone, ""}
	decode := outcome{attls.FailDecode, attls.AlertDecodeError, attls.KindNone, ""}
	for name, test := range map[string]struct {
		octets []byte
		want   [2]outcome // by the role that receives
	}{
		"KeyUpdate, empty":          {update(1), [2]outcome{decode, decode}},
		"KeyUpdate, two octets":     {update(1, 0, 0), [2]outcome{{attls.FailTrailing, attls.AlertDecodeError, attls.KindKeyUpdate, ""}, {attls.FailTrailing, attls.AlertDecodeError, attls.KindKeyUpdate, ""}}},
		"KeyUpdate, value 2":        {update(1, 2), [2]outcome{illegal(attls.KindKeyUpdate, "request_update"), illegal(attls.KindKeyUpdate, "request_update")}},
		"two KeyUpdates, a record":  {update(2, 0), [2]outcome{{attls.FailMessageBoundary, attls.AlertUnexpectedMessage, attls.KindNone, ""}, {attls.FailMessageBoundary, attls.AlertUnexpectedMessage, attls.KindNone, ""}}},
		"ticket":                    {ticket(nil), [2]outcome{{}, unexpected}},
		"two tickets, a record":     {append(ticket(nil), ticket(nil)...), [2]outcome{{}, unexpected}},
		"ticket, unknown extension": {ticket(extensions.List{{Type: 0x7a7a}}), [2]outcome{{}, unexpected}},
		"ticket, early_data":        {ticket(extensions.List{{Type: attls.ExtEarlyData, Body: []byte{0, 0, 4, 0}}}), [2]outcome{{}, unexpected}},
		"ticket, key_share": {ticket(extensions.List{{Type: attls.ExtKeyShare}}),
			[2]outcome{{attls.FailWrongMessage, attls.AlertIllegalParameter, attls.KindNewSessionTicket, "key_share"}, unexpected}},
		"ticket, empty":       {[]byte{4, 0, 0, 0}, [2]outcome{decode, unexpected}},
		"ClientHello":         {[]byte{1, 0, 0, 0}, [2]outcome{unexpected, unexpected}},
		"HelloRequest":        {[]byte{0, 0, 0, 0}, [2]outcome{unexpected, unexpected}},
		"CertificateRequest":  {[]byte{13, 0, 0, 0}, [2]outcome{unexpected, unexpected}},
		"Finished":            {[]byte{20, 0, 0, 0}, [2]outcome{unexpected, unexpected}},
		"EncryptedExtensions": {[]byte{8, 0, 0, 2, 0, 0}, [2]outcome{unexpected, unexpected}},
	} {
		for _, to := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			t.Run(fmt.Sprintf("%s, to the %v", name, to), func(t *testing.T) {
				tap := &recordTap{typ: attls.ContentTypeApplicationData, n: 1,
					plan: insert(record.Raw{Type: attls.ContentTypeHandshake, Payload: test.octets})}
				p, _ := established(t, func(c, s *handshake.Config) {
					if to == attls.RoleClient {
						s.Tap = tap
					} else {
						c.Tap = tap
					}
				})
				p.Engine(to.Peer()).Write([]byte("x"))
				err := p.Run()
				want := test.want[to]
				checkRecordOutcome(t, p, to, err, want, want.failure != "")
			})
		}
	}
}

// TestTicketNonces: no two tickets of a connection have the same ticket_nonce,
// and so the same key, however many there are (RFC 8446 section 4.6.1).
func TestTicketNonces(t *testing.T) {
	m := newMeeting()
	seen := &flow{}
	p, _ := m.mustMeet(t, func(c, s *handshake.Config) { s.Tickets, s.Tap = 1, seen })
	server := p.Engine(attls.RoleServer)
	for _, first := range []uint32{1, math.MaxUint16 - 1, 1<<24 - 1, math.MaxUint32 - 2} {
		server.SetNumbers(first)
		for range 3 {
			if err := server.IssueTicket(); err != nil && first != math.MaxUint32-2 {
				t.Fatal(err)
			}
			p.Run()
		}
	}
	if err := server.IssueTicket(); !failsWith(err, attls.FailLimit) {
		t.Errorf("one more than there are numbers: %v", err)
	}
	var nonces [][]byte
	for _, raw := range seen.of(attls.KindNewSessionTicket) {
		var ticket message.NewSessionTicket
		if err := ticket.Unmarshal(raw.Body()); err != nil {
			t.Fatal(err)
		}
		nonces = append(nonces, bytes.Clone(ticket.Nonce))
	}
	distinct(t, nonces, 1+3+3+3+2)
}

// TestRequestContexts: no two CertificateRequests of a connection have the same
// certificate_request_context, by which a CertificateVerify could be replayed
// (RFC 8446 section 4.3.2).
func TestRequestContexts(t *testing.T) {
	p := afterwards(t, enginetest.Answer(clientCredential), nil)
	server := p.Engine(attls.RoleServer)
	var contexts [][]byte
	for _, first := range []uint32{0, math.MaxUint16 - 1, 1<<24 - 1, math.MaxUint32 - 2} {
		server.SetNumbers(first)
		for range 3 {
			if err := server.RequestAuthentication(); err != nil && first != math.MaxUint32-2 {
				t.Fatal(err)
			}
		}
		contexts = append(contexts, authenticated(p)...)
		if err := p.Err(); err != nil {
			t.Fatal(err)
		}
	}
	var e *attls.Error
	if err := server.RequestAuthentication(); !errors.As(err, &e) || e.Failure != attls.FailLimit {
		t.Errorf("one more than there are numbers: %v", err)
	}
	distinct(t, contexts, 3+3+3+2)
}

func distinct(t *testing.T, list [][]byte, n int) {
	t.Helper()
	if len(list) != n {
		t.Errorf("%d, want %d", len(list), n)
	}
	slices.SortFunc(list, bytes.Compare)
	for i := range list[1:] {
		if bytes.Equal(list[i], list[i+1]) {
			t.Errorf("%x is there twice", list[i])
		}
	}
}
