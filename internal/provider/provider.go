// Package provider is the one door to cryptography: hashes, key derivation,
// AEADs, key exchange groups and signatures. The package is internal so that
// no public configuration can select a provider that protects nothing.
package provider

import (
	"crypto"
	"crypto/cipher"
	"fmt"
	"hash"
	"reflect"

	"attls"
)

// Suite is a cipher suite: its hash, AEAD and limits.
type Suite struct {
	ID       attls.CipherSuite
	Hash     crypto.Hash
	HashName string // "SHA-256", "SHA-384"
	HashLen  int
	KeyLen   int
	NonceLen int
	Overhead int
	// RecordLimit is how many full-size records may be protected under one key
	// (RFC 8446 section 5.5); 0: no limit short of the sequence number's.
	RecordLimit uint64
	New         func() hash.Hash
	AEAD        func(key []byte) (cipher.AEAD, error)
}

// Group is a key exchange group. All randomness comes in as seeds so that a
// recorded run can be replayed; a seed that the group cannot use is reported
// by ErrSeed and the caller takes the next.
type Group interface {
	ID() attls.NamedGroup
	SeedLen() int // octets of seed for Generate
	// Generate makes the client's half.
	Generate(seed []byte) (PrivateKey, error)
	RespondSeedLen() int
	// Respond makes the server's half: its share and the shared secret.
	Respond(seed, clientShare []byte) (share, secret []byte, err error)
}

// PrivateKey is the client's half of a key exchange.
type PrivateKey interface {
	Share() []byte
	// Finish computes the shared secret from the server's share. A share that
	// is unusable is an *attls.Error.
	Finish(serverShare []byte) ([]byte, error)
}

// PublicKey is a key out of a SubjectPublicKeyInfo that our own parser read
// (crypto/x509 yields none for id-RSASSA-PSS).
type PublicKey struct {
	Key       crypto.PublicKey
	Algorithm string // "ECDSA", "RSA", "RSASSA-PSS", "Ed25519", "Ed448", "ML-DSA-65", …
	Curve     string // "secp256r1", … for ECDSA
	Bits      int
	SPKI      []byte      // the DER it was read from
	pssHash   crypto.Hash // the one hash that RSASSA-PSS parameters permit; 0: any
}

// Provider gives the cryptography of one engine.
type Provider interface {
	Suite(attls.CipherSuite) (*Suite, bool)
	Group(attls.NamedGroup) (Group, bool)
	// ParseSPKI reads a DER SubjectPublicKeyInfo.
	ParseSPKI(der []byte) (*PublicKey, error)
	// Verify checks a signature over message under the scheme; the key must fit the scheme.
	Verify(k *PublicKey, s attls.SignatureScheme, message, signature []byte) error
	// Schemes lists the schemes this key can sign or verify under in CertificateVerify.
	Schemes(k *PublicKey) []attls.SignatureScheme
}

// selectors set the provider of a configuration, by its type.
var selectors = map[reflect.Type]any{}

// Selectable says how configurations of a type get another provider than the real
// one. The packages that own the types call it when they are initialized: no exported
// name leads to their fields.
func Selectable[T any](set func(T, Provider)) { selectors[reflect.TypeFor[T]()] = set }

// Select gives a configuration another provider than the real one.
func Select[T any](config T, p Provider) {
	set, ok := selectors[reflect.TypeFor[T]()].(func(T, Provider))
	if !ok {
		panic(fmt.Sprintf("provider: nothing is registered for %T", config)) // a mistake in this module
	}
	set(config, p)
}
