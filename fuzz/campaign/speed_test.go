package campaign

import (
	"context"
	"testing"
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
