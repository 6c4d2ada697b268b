package provider

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"hash"

	"attls"
)

// null protects nothing: every hash is zero, records carry their content as it
// is, every key exchange yields zeros and one signature fits every key. Under
// it, what a fuzzer changes in a message fails for what the message says and
// not for a checksum.
type null struct{}

// Null is the provider for fuzzing. Only this module can select it, since the
// type of a configuration's provider is internal.
func Null() Provider { return null{} }

// NullSignature is the one signature that Null accepts: an ECDSA-Sig-Value with
// r and s 1, so that it has a raw form too.
var NullSignature = []byte{0x30, 6, 2, 1, 1, 2, 1, 1}

func (null) Suite(id attls.CipherSuite) (*Suite, bool) {
	for i := range nullSuites {
		if nullSuites[i].ID == id {
			return &nullSuites[i], true
		}
	}
	return nil, false
}

// nullSuites are the real suites with their sizes and without their strength.
var nullSuites = func() [len(suites)]Suite {
	list := suites
	for i := range list {
		size, overhead := list[i].HashLen, list[i].Overhead
		list[i].New = func() hash.Hash { return nullHash(size) }
		list[i].AEAD = func([]byte) (cipher.AEAD, error) { return nullAEAD(overhead), nil }
	}
	return list
}()

// nullHash is a hash of so many octets that are always zero.
type nullHash int

func (h nullHash) Write(p []byte) (int, error) { return len(p), nil }
func (h nullHash) Sum(b []byte) []byte         { return append(b, make([]byte, h)...) }
func (h nullHash) Reset()                      {}
func (h nullHash) Size() int                   { return int(h) }
func (h nullHash) BlockSize() int              { return maxBlock }
func (h nullHash) Clone() (hash.Cloner, error) { return h, nil }

// nullAEAD appends a tag of so many zero octets.
type nullAEAD int

func (a nullAEAD) NonceSize() int { return 12 }
func (a nullAEAD) Overhead() int  { return int(a) }

func (a nullAEAD) Seal(dst, _, plaintext, _ []byte) []byte {
	return append(append(dst, plaintext...), make([]byte, a)...)
}

func (a nullAEAD) Open(dst, _, ciphertext, _ []byte) ([]byte, error) {
	n := len(ciphertext) - int(a)
	if n < 0 || !bytes.Equal(ciphertext[n:], make([]byte, a)) {
		return nil, errors.New("provider: the tag is not zero")
	}
	return append(dst, ciphertext[:n]...), nil
}

func (null) Group(id attls.NamedGroup) (Group, bool) {
	_, ok := realGroups[id]
	return nullGroup(id), ok
}

// nullGroup has shares of one octet, and any share is good.
type nullGroup attls.NamedGroup

func (g nullGroup) ID() attls.NamedGroup                { return attls.NamedGroup(g) }
func (g nullGroup) SeedLen() int                        { return 1 }
func (g nullGroup) RespondSeedLen() int                 { return 1 }
func (g nullGroup) Generate([]byte) (PrivateKey, error) { return nullKey{}, nil }

func (g nullGroup) Respond(_, _ []byte) (share, secret []byte, err error) {
	return []byte{0}, make([]byte, 32), nil
}

type nullKey struct{}

func (nullKey) Share() []byte                 { return []byte{0} }
func (nullKey) Finish([]byte) ([]byte, error) { return make([]byte, 32), nil }

// ParseSPKI takes any octets as a key.
func (null) ParseSPKI(der []byte) (*PublicKey, error) {
	if k, err := parseSPKI(der); err == nil {
		return k, nil
	}
	return &PublicKey{Algorithm: "null", SPKI: der}, nil
}

func (null) Verify(_ *PublicKey, _ attls.SignatureScheme, _, signature []byte) error {
	if !bytes.Equal(signature, NullSignature) {
		return errSignature
	}
	return nil
}

// Schemes lists every scheme for every key.
func (null) Schemes(*PublicKey) []attls.SignatureScheme {
	list := make([]attls.SignatureScheme, len(signatures))
	for i := range signatures {
		list[i] = signatures[i].scheme
	}
	return list
}
