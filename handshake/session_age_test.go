package handshake_test

import (
	"testing"
	"time"

	"attls"
	"attls/handshake"
)

// TestAgeIsNotOverstated: a client never says that a ticket is older than it is, in memory or from
// a file, where times have milliseconds, and a ticket that has just come can be used.
func TestAgeIsNotOverstated(t *testing.T) {
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, at := range []time.Duration{0, 1, 500 * time.Microsecond, 999999} {
		for _, later := range []time.Duration{0, 1, 200 * time.Microsecond, 999 * time.Microsecond, time.Millisecond, 1500 * time.Microsecond, time.Second} {
			now := base.Add(at)
			clients := &handshake.ClientSessions{Now: func() time.Time { return now }}
			clients.Put(&handshake.Session{Identity: []byte{1}, Secret: make([]byte, 32), Suite: attls.TLS_AES_128_GCM_SHA256, Lifetime: 60, AgeAdd: 5})
			kept := clients.Offers(&handshake.PSKRequest{})
			if len(kept) != 1 {
				t.Fatalf("received at %v: %d offers", at, len(kept))
			}
			read, err := handshake.ParseSession(kept[0].Session.Marshal())
			if err != nil {
				t.Fatal(err)
			}
			clients.Put(read)
			now = now.Add(later)
			offers := clients.Offers(&handshake.PSKRequest{})
			if len(offers) != 1 {
				t.Fatalf("received at %v, used %v later: %d offers", at, later, len(offers))
			}
			if age := time.Duration(offers[0].ObfuscatedAge-5) * time.Millisecond; age > later || later-age > 2*time.Millisecond {
				t.Errorf("received at %v, used %v later: it says %v", at, later, age)
			}
		}
	}
}
