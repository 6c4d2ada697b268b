package handshake_test

import (
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/internal/provider"
)

// BenchmarkResumed is a resumed handshake of both ends with psk_dhe_ke, a new
// ticket each time, beside what any implementation of it must compute.
func BenchmarkResumed(b *testing.B) {
	b.Run("engine", resumed)
	b.Run("primitives", resumedPrimitives)
}

// resumedPrimitives is the key exchange, and for each end the key schedule (RFC
// 8446 section 7.1) with the binder, resumption_secret and the ticket's key, the
// records of the handshake and the encryption of the ticket.
func resumedPrimitives(b *testing.B) {
	suite, _ := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
	group, _ := provider.Real().Group(attls.GroupX25519)
	seed, hash := make([]byte, 32), make([]byte, 32)
	seed[0] = 1
	var keys handshake.TicketKeys
	ticket := &handshake.Session{Secret: hash, ALPN: "attls", ServerName: "server"}
	const extracts, expands, macs = 3, 2 + 4 + 1 + 2 + 1 + 1 + 2, 3
	sizes := []int{17, 37, 250} // EncryptedExtensions and Finished, Finished, NewSessionTicket
	b.ReportAllocs()
	for b.Loop() {
		client, err := group.Generate(seed)
		if err != nil {
			b.Fatal(err)
		}
		share, _, err := group.Respond(seed, client.Share())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := client.Finish(share); err != nil {
			b.Fatal(err)
		}
		for range 2 {
			kdf := suite.KDF()
			var out [64]byte
			for range extracts + macs {
				kdf.Extract(out[:0], hash, hash)
			}
			for range expands {
				kdf.ExpandLabel(out[:0], hash, "tls13 ", "s hs traffic", hash, 32)
			}
			for range 4 {
				if _, _, err := kdf.TrafficKey(hash, "tls13 "); err != nil {
					b.Fatal(err)
				}
			}
		}
		aead, _, err := suite.KDF().TrafficKey(hash, "tls13 ")
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range sizes {
			sealed := aead.Seal(nil, hash[:12], make([]byte, n), nil)
			if _, err := aead.Open(sealed[:0], hash[:12], sealed, nil); err != nil {
				b.Fatal(err)
			}
		}
		sealed, err := keys.Seal(ticket)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := keys.Open(sealed); !ok {
			b.Fatal("the ticket does not open")
		}
	}
}

func resumed(b *testing.B) {
	m := newMeeting()
	m.clients.Now, m.servers.Keys.Now = nil, nil
	run := func() *handshake.Engine {
		c, err := handshake.NewClient(&handshake.Config{ServerName: "server", PSK: true})
		if err != nil {
			b.Fatal(err)
		}
		s, err := handshake.NewServer(&handshake.Config{PSK: true, Tickets: 1})
		if err != nil {
			b.Fatal(err)
		}
		answers := [2]pair.Answer{m.answers(attls.RoleClient, nil), m.answers(attls.RoleServer, serverCredential)}
		for !c.Done() || !s.Done() || m.clients.Len("server") == 0 {
			for r, e := range []*handshake.Engine{c, s} {
				for ev, ok := e.Next(); ok; ev, ok = e.Next() {
					switch ev.Kind {
					case handshake.EventWait:
						a, _ := answers[r](ev.Wait)
						e.Answer(ev.Wait.ID, a)
					case handshake.EventTicket:
						m.clients.Put(ev.Session)
					case handshake.EventError:
						b.Fatal(ev.Err)
					}
				}
			}
			move(c, s)
			move(s, c)
		}
		return c
	}
	run()
	b.ReportAllocs()
	for b.Loop() {
		if run().State().Session == nil {
			b.Fatal("not resumed")
		}
	}
}
