package provider

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"

	"attls"

	"golang.org/x/crypto/chacha20poly1305"
)

type real struct{}

// Real is the provider for every connection but those of fuzzing.
func Real() Provider { return real{} }

func gcm(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// RFC 8446 section 5.5: AES-GCM protects about 2^24.5 full records under one
// key; ChaCha20-Poly1305 reaches the end of the sequence numbers first.
const gcmRecords = 1 << 24

// RFC 9147 section 4.5.3 gives AES-CCM 2^23 records; RFC 8446 says nothing.
const ccmRecords = 1 << 23

var suites = [...]Suite{
	{ID: attls.TLS_AES_128_GCM_SHA256, Hash: crypto.SHA256, HashName: "SHA-256", HashLen: 32, KeyLen: 16,
		NonceLen: 12, Overhead: 16,
		RecordLimit: gcmRecords, New: sha256.New, AEAD: gcm},
	{ID: attls.TLS_AES_256_GCM_SHA384, Hash: crypto.SHA384, HashName: "SHA-384", HashLen: 48, KeyLen: 32,
		NonceLen: 12, Overhead: 16,
		RecordLimit: gcmRecords, New: sha512.New384, AEAD: gcm},
	{ID: attls.TLS_CHACHA20_POLY1305_SHA256, Hash: crypto.SHA256, HashName: "SHA-256", HashLen: 32, KeyLen: 32,
		NonceLen: 12, Overhead: 16,
		New: sha256.New, AEAD: chacha20poly1305.New},
	{ID: attls.TLS_AES_128_CCM_SHA256, Hash: crypto.SHA256, HashName: "SHA-256", HashLen: 32, KeyLen: 16,
		NonceLen: 12, Overhead: 16,
		RecordLimit: ccmRecords, New: sha256.New, AEAD: newCCM(16, 12)},
	{ID: attls.TLS_AES_128_CCM_8_SHA256, Hash: crypto.SHA256, HashName: "SHA-256", HashLen: 32, KeyLen: 16,
		NonceLen: 12, Overhead: 8,
		RecordLimit: ccmRecords, New: sha256.New, AEAD: newCCM(8, 12)},
}

func (real) Suite(id attls.CipherSuite) (*Suite, bool) {
	for i := range suites {
		if suites[i].ID == id {
			return &suites[i], true
		}
	}
	return nil, false
}

func (real) Group(id attls.NamedGroup) (Group, bool) {
	g, ok := realGroups[id]
	return g, ok
}
