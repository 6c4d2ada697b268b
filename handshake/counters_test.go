package handshake_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"attls"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/enginetest"
)

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
