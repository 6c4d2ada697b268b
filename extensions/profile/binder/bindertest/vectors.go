// Package bindertest holds the inputs of the binder test vectors: a fake
// handshake (the vectors test derivation, not parsing) with the base point of
// P-256 as the server's key and its double as the client's.
package bindertest

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"hash"
	"testing"

	"attls"
	"attls/extensions/profile/binder"
)

// messages are the fake handshake of the vectors, each with its header, in
// order: they test derivation, not parsing.
var messages = []struct {
	point  binder.Point
	octets string
}{
	{binder.PointCH, "01000008434c49454e544849"}, {binder.PointSH, "020000085345525645524849"},
	{binder.PointEE, "080000020000"},
	{binder.PointCR, "0d000003000000"}, {binder.PointServerCT, "0b00000443455254"},
	{binder.PointServerCV, "0f00000456524659"},
	{binder.PointServerFin, "1400000446494e49"},
}

// Recorded is a binder.Inputs out of what it holds.
type Recorded struct {
	HashName    string
	Secrets     map[binder.Secret][]byte
	NonceOctets []byte
	Keys        [2][]byte
	Context     []byte
	Size        int
	Without     binder.Point // a message that was not sent
	Leaf        []byte
}

// Hash implements binder.Inputs, as the methods below do.
func (r *Recorded) Hash() string { return r.HashName }

// Secret returns the secret in Secrets.
func (r *Recorded) Secret(s binder.Secret) ([]byte, bool) { b, ok := r.Secrets[s]; return b, ok }

func (r *Recorded) new() hash.Hash {
	if r.HashName == "SHA-384" {
		return sha512.New384()
	}
	return sha256.New()
}

// Transcript hashes the recorded messages of a range; it ends at the server's Finished.
func (r *Recorded) Transcript(x binder.Range) ([]byte, bool) {
	h := r.new()
	for _, m := range messages {
		if m.point <= x.End && m.point != r.Without && !(x.Exclusive && m.point == x.End) {
			h.Write(unhex(m.octets))
		}
	}
	return h.Sum(nil), x.End <= binder.PointServerFin
}

// SPKI returns the key in Keys.
func (r *Recorded) SPKI(role attls.Role) ([]byte, bool) { return r.Keys[role], r.Keys[role] != nil }

// Certificate returns Leaf, of either end.
func (r *Recorded) Certificate(attls.Role) ([]byte, bool) {
	return r.Leaf, r.Leaf != nil
}

// Nonce returns NonceOctets, of either end.
func (r *Recorded) Nonce(attls.Role) ([]byte, bool) { return r.NonceOctets, r.NonceOctets != nil }

// RequestContext returns Context, of either end.
func (r *Recorded) RequestContext(attls.Role) ([]byte, bool) { return r.Context, r.Context != nil }

// AttesterSize returns Size, of either end.
func (r *Recorded) AttesterSize(attls.Role) (int, bool) { return r.Size, r.Size > 0 }

// Later returns octets that tell the values of a later key exchange apart.
func (r *Recorded) Later(l binder.Later) ([]byte, bool) {
	return bytes.Repeat([]byte{byte(l)}, r.new().Size()), true
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func counting(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(from + i)
	}
	return b
}

// spkiOf returns the DER SubjectPublicKeyInfo of a small multiple of the base
// point of P-256.
func spkiOf(t testing.TB, scalar byte) []byte {
	t.Helper()
	key, err := ecdh.P256().NewPrivateKey(append(make([]byte, 31), scalar))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Vectors returns the inputs of the test vectors; the caller may change them.
func Vectors(t testing.TB) *Recorded {
	r := &Recorded{HashName: "SHA-256", NonceOctets: counting(0xa0, 32), Context: counting(0, 16), Size: 64}
	r.Keys = [2][]byte{attls.RoleClient: spkiOf(t, 2), attls.RoleServer: spkiOf(t, 1)}
	r.Secrets = map[binder.Secret][]byte{binder.HandshakeSecret: counting(0, 32),
		binder.ExporterSecret: counting(0x80, 32)}
	// Early Secret without a PSK and Main Secret, through the language itself.
	early, errs := binder.Compile([]binder.Definition{
		{Name: "early", Text: "extract(zero, zero)"},
		{Name: "main", Text: `extract(derive_secret(handshake_secret, "derived", ""), zero)`}}, binder.VariantRFC8446)
	if errs != nil {
		t.Fatal(errs)
	}
	for name, s := range map[string]binder.Secret{"early": binder.EarlySecret, "main": binder.MainSecret} {
		b, err := early.Eval(name, attls.RoleServer, r)
		if err != nil {
			t.Fatal(err)
		}
		r.Secrets[s] = b
	}
	return r
}
