package schema

import (
	"testing"

	"attls"
)

// BenchmarkDecode is a list of three schemes in a ClientHello.
func BenchmarkDecode(b *testing.B) {
	c, err := compile(b, nil, figure(b, "early-attestation-06")).Codec("remoteAttestation", Context{Message: attls.KindClientHello})
	if err != nil {
		b.Fatal(err)
	}
	wire := unhex(b, "0014 00000107 01 0009 762e6578616d706c65 00000108 0004 00000107")
	v, bad := c.Decode(wire)
	if bad != nil {
		b.Fatal(bad)
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Decode(wire); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 64)
		for b.Loop() {
			if _, err := c.Append(dst, v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("codec", func(b *testing.B) {
		s := compile(b, nil, figure(b, "early-attestation-06"))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Codec("remoteAttestation", Context{Message: attls.KindClientHello}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("compile", func(b *testing.B) {
		text := figure(b, "early-attestation-06")
		b.ReportAllocs()
		for b.Loop() {
			compile(b, nil, text)
		}
	})
}
