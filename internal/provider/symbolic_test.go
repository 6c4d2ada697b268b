package provider

import (
	"bytes"
	"testing"

	"attls"
)

// TestSymbolic: what depends on different inputs differs, and what must agree does.
func TestSymbolic(t *testing.T) {
	p := Symbolic()
	s, ok := p.Suite(attls.TLS_AES_128_GCM_SHA256)
	if !ok {
		t.Fatal("no suite")
	}
	text := []byte("The quick brown fox jumps over the lazy dog")
	seen := map[string]int{}
	for n := range len(text) {
		whole := s.New()
		whole.Write(text[:n])
		sum := whole.Sum(nil)
		if len(sum) != s.HashLen {
			t.Fatalf("%d octets", len(sum))
		}
		if other, twice := seen[string(sum)]; twice {
			t.Errorf("the first %d and %d octets have one hash", other, n)
		}
		seen[string(sum)] = n
		for cut := range n {
			h := s.New()
			h.Write(text[:cut])
			h.Write(text[cut:n])
			if !bytes.Equal(h.Sum(nil), sum) {
				t.Errorf("%d octets cut at %d have another hash", n, cut)
			}
		}
	}
	one, _ := s.AEAD([]byte("key"))
	two, _ := s.AEAD([]byte("yek"))
	sealed := one.Seal(nil, nil, text, nil)
	if opened, err := one.Open(nil, nil, sealed, nil); err != nil || !bytes.Equal(opened, text) {
		t.Errorf("%q, %v", opened, err)
	}
	if _, err := two.Open(nil, nil, sealed, nil); err == nil {
		t.Error("another key opens the record")
	}
	g, _ := p.Group(attls.GroupSecp256r1)
	k, _ := g.Generate([]byte("seed"))
	share, secret, err := g.Respond([]byte("other seed"), k.Share())
	if got, cause := k.Finish(share); err != nil || cause != nil || !bytes.Equal(got, secret) {
		t.Errorf("the ends agree on %x and %x, %v, %v", got, secret, cause, err)
	}
	_, other, _ := g.Respond([]byte("third seed"), k.Share())
	if bytes.Equal(other, secret) {
		t.Error("two key exchanges have one secret")
	}
	if _, err := k.Finish(share[1:]); err == nil {
		t.Error("a short share is taken")
	}
}

// TestSymbolicSignature: a signature fits one key, one scheme and one content.
func TestSymbolicSignature(t *testing.T) {
	key, other := &PublicKey{Algorithm: "Ed25519", SPKI: []byte("key")}, &PublicKey{Algorithm: "Ed25519", SPKI: []byte("kez")}
	sig := SymbolicSignature(key.SPKI, attls.ED25519, []byte("content"))
	p := Symbolic()
	if err := p.Verify(key, attls.ED25519, []byte("content"), sig); err != nil {
		t.Error(err)
	}
	if p.Verify(other, attls.ED25519, []byte("content"), sig) == nil {
		t.Error("it fits another key")
	}
	if p.Verify(key, attls.ED25519, []byte("kontent"), sig) == nil {
		t.Error("it fits another content")
	}
	if p.Verify(key, attls.ED448, []byte("content"), sig) == nil {
		t.Error("it fits another scheme")
	}
	if raw, err := RawFromDER(sig, attls.ECDSA_SECP256R1_SHA256); err != nil || len(raw) != 64 {
		t.Errorf("the raw form is %x, %v", raw, err)
	}
}
