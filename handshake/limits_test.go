package handshake_test

import (
	"bytes"
	"fmt"
	"testing"

	"attls"
	"attls/handshake"
	"attls/internal/provider"
)

// tired is a provider whose keys protect only so many records.
type tired struct {
	provider.Provider
	records uint64
}

func (p tired) Suite(id attls.CipherSuite) (*provider.Suite, bool) {
	s, ok := p.Provider.Suite(id)
	if !ok {
		return nil, false
	}
	limited := *s
	limited.RecordLimit = p.records
	return &limited, true
}

// TestKeyLimits lets a key be replaced by itself when it has protected as many
// records as it may (RFC 8446 section 5.5).
func TestKeyLimits(t *testing.T) {
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		t.Run(r.String(), func(t *testing.T) {
			p, taps := established(t, func(c, s *handshake.Config) {
				for _, cfg := range []*handshake.Config{c, s} {
					provider.Select(cfg, tired{provider.Real(), 3})
				}
			})
			e := p.Engine(r)
			var want []byte
			for i := range 10 {
				line := fmt.Appendf(nil, "record %d\n", i)
				want = append(want, line...)
				if err := e.Write(line); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			if got := p.Received(r.Peer()); !bytes.HasSuffix(got, want) {
				t.Errorf("received %q", got)
			}
			// The first key protected what the handshake left behind as well.
			if n, requests := updates(taps[r]); n < 3 || n > 4 || requests != 0 {
				t.Errorf("%d key updates, %d with a request", n, requests)
			}
		})
	}
	t.Run("suites", func(t *testing.T) {
		// What each AEAD may protect: RFC 8446 section 5.5, RFC 9147 section 4.5.3.
		for id, most := range map[attls.CipherSuite]uint64{attls.TLS_AES_128_GCM_SHA256: 1 << 24, attls.TLS_AES_256_GCM_SHA384: 1 << 24,
			attls.TLS_CHACHA20_POLY1305_SHA256: 0, attls.TLS_AES_128_CCM_SHA256: 1 << 23, attls.TLS_AES_128_CCM_8_SHA256: 1 << 23} {
			if s, ok := provider.Real().Suite(id); !ok || s.RecordLimit != most {
				t.Errorf("%v: %d records", id, s.RecordLimit)
			}
		}
	})
}
