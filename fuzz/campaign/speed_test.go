package campaign

import (
	"context"
	"testing"

	"attls"
)

// BenchmarkCampaign is a connection of a campaign, of two ends, from its prefix.
func BenchmarkCampaign(b *testing.B) {
	for _, name := range []string{TLS, "early-attestation-06", "tls-attestation-07"} {
		b.Run(name, func(b *testing.B) {
			target, err := NewTarget(name)
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			if _, err := Run(context.Background(), Options{Targets: []*Target{target}, Executions: b.N, Seed: 1}); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkAuthenticators is a connection in which the fourth authenticator, or the second one under a
// profile, is edited: from a fork in the exchange, from the end of the handshake, and from its beginning.
func BenchmarkAuthenticators(b *testing.B) {
	for _, c := range []struct {
		target string
		conn   Connection
		number int
	}{
		{TLS, Connection{Authenticators: true, ClientCertificate: true, Again: true}, 3},
		{"seat-expat-04", Connection{Attester: "both", Model: "evidence", Credential: "x509"}, 1},
	} {
		x, err := NewTarget(c.target)
		if err != nil {
			b.Fatal(err)
		}
		w, err := newWorld()
		if err != nil {
			b.Fatal(err)
		}
		s, err := newSubject(w, x.input(c.conn, 0).Profile, x.Profile, c.conn, nil)
		if err != nil {
			b.Fatal(err)
		}
		in := x.input(s.conn, attls.RoleClient)
		in.Edits = []Edit{{Do: "authenticator", Number: c.number, Answer: proofTwice}}
		all := s.prefixes
		behind := all
		for len(behind) > 0 && behind[len(behind)-1].run.proofs.began {
			behind = behind[:len(behind)-1]
		}
		for _, from := range []struct {
			name     string
			prefixes []prefix
		}{{"exchange", all}, {"handshake", behind}, {"beginning", nil}} {
			b.Run(c.target+"/"+from.name, func(b *testing.B) {
				s.prefixes = from.prefixes
				for b.Loop() {
					r, err := s.run(in)
					if err != nil {
						b.Fatal(err)
					}
					s.w.recycle(r)
				}
			})
		}
	}
}
