package provider

import (
	"bytes"
	"testing"

	"attls"
)

// TestNull: what the null provider makes is fixed, readable, and refused where
// it is not what it should be.
func TestNull(t *testing.T) {
	p := Null()
	for _, id := range []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384, attls.TLS_CHACHA20_POLY1305_SHA256} {
		real, _ := Real().Suite(id)
		s, ok := p.Suite(id)
		if !ok || s.HashLen != real.HashLen || s.Overhead != real.Overhead {
			t.Fatalf("%v: %+v", id, s)
		}
		aead, err := s.AEAD(make([]byte, s.KeyLen))
		if err != nil {
			t.Fatal(err)
		}
		sealed := aead.Seal(nil, make([]byte, 12), []byte("readable"), nil)
		if !bytes.HasPrefix(sealed, []byte("readable")) || len(sealed) != 8+s.Overhead {
			t.Errorf("%v seals %x", id, sealed)
		}
		if plain, err := aead.Open(nil, make([]byte, 12), sealed, nil); err != nil || string(plain) != "readable" {
			t.Errorf("%v opens %q, %v", id, plain, err)
		}
		sealed[len(sealed)-1] = 1
		for _, bad := range [][]byte{sealed, sealed[:3]} {
			if _, err := aead.Open(nil, make([]byte, 12), bad, nil); err == nil {
				t.Errorf("%v opens %x", id, bad)
			}
		}
		if got := s.KDF().ExpandLabel(nil, []byte("secret"), "tls13 ", "key", nil, 40); !bytes.Equal(got, make([]byte, 40)) {
			t.Errorf("%v derives %x", id, got)
		}
	}
	if _, ok := p.Suite(0x1306); ok {
		t.Error("a suite that the real provider does not have")
	}
	if _, ok := p.Group(0x0100); ok {
		t.Error("a group that the real provider does not have")
	}
	g, _ := p.Group(attls.GroupX25519)
	k, err := g.Generate([]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	share, secret, err := g.Respond([]byte{7}, k.Share())
	if got, cause := k.Finish(share); err != nil || cause != nil || !bytes.Equal(got, secret) {
		t.Errorf("the ends agree on %x and %x, %v, %v", got, secret, cause, err)
	}
	key, err := p.ParseSPKI([]byte("no key"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Verify(key, attls.ED25519, nil, NullSignature) != nil || p.Verify(key, attls.ED25519, nil, []byte("other")) == nil {
		t.Error("one signature fits, and no other")
	}
	if raw, err := RawFromDER(NullSignature, attls.ECDSA_SECP256R1_SHA256); err != nil || len(raw) != 64 {
		t.Errorf("the raw form is %x, %v", raw, err)
	}
}
