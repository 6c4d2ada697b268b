package handshake_test

import (
	"fmt"
	"testing"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
)

// TestTicketKeys rotates the keys of tickets.
func TestTicketKeys(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	k := handshake.TicketKeys{Rotate: time.Hour, Now: func() time.Time { return now }}
	s := &handshake.Session{Identity: []byte("id"), Secret: []byte("secret"), Suite: attls.TLS_AES_128_GCM_SHA256, Lifetime: 7,
		AgeAdd: 1 << 31, MaxEarlyData: 9, ALPN: "attls", ServerName: "server", Chain: [][]byte{{1}, {2, 3}}, Created: now,
		Type: attls.CertificateRawPublicKey, Scheme: attls.ED25519, OCSP: []byte("ocsp"), SCT: []byte("sct"),
		Attestation: &handshake.AttestedPeer{Profile: "p", AttestedScheme: handshake.AttestedScheme{Model: profile.ModelResults, Credential: profile.KindX509, Wire: []byte{4}}, Others: []handshake.AttestedScheme{{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}, Wire: []byte{6}}}, SPKI: []byte{5}, Status: "affirming", ValidUntil: now.Add(time.Hour)}}
	ticket, err := k.Seal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		after time.Duration
		opens bool
	}{{0, true}, {59 * time.Minute, true}, {time.Hour, true}, {7 * 24 * time.Hour, true}, {9 * 24 * time.Hour, false}} {
		now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(test.after)
		got, ok := k.Open(ticket)
		if ok != test.opens {
			t.Errorf("after %v: opens %v, want %v", test.after, ok, test.opens)
		}
		if ok && fmt.Sprint(*got.Attestation, got.Chain, got.Created, got.Secret) != fmt.Sprint(*s.Attestation, s.Chain, s.Created, s.Secret) {
			t.Errorf("after %v the session is %+v", test.after, got)
		}
	}
	for i := range ticket {
		if _, ok := k.Open(ticket[:i]); ok {
			t.Fatalf("%d octets of a ticket open", i)
		}
	}
	var fresh handshake.TicketKeys
	fresh.Now = k.Now
	if ticket, err = fresh.Seal(s); err != nil {
		t.Fatal(err)
	}
	for i := range ticket {
		ticket[i] ^= 1
		if _, ok := fresh.Open(ticket); ok {
			t.Fatalf("a ticket with another octet %d opens", i)
		}
		ticket[i] ^= 1
	}
	if _, err := fresh.Seal(&handshake.Session{Chain: [][]byte{make([]byte, 1<<16)}}); err == nil {
		t.Error("a ticket of more than 65535 octets")
	}
}
