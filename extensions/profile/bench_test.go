package profile

import "testing"

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load("early-attestation-06", Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
