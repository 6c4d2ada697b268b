package provider

import (
	"bytes"
	"cmp"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/bits"
	"sync"
	"sync/atomic"

	"attls"
)

// symbolic computes what depends on the same inputs as the real cryptography and takes
// little time: a peer that does not try to break it, as a fuzzer that edits messages
// does not, sees the same behaviour. Different inputs give different hashes, a
// signature fits one key and one content, records need the right key, and the two ends
// of a key exchange agree on a secret. It protects nothing.
type symbolic struct{}

// Symbolic is the provider for campaigns that must see authentication fail for the
// reasons for which the real one makes it fail. Only this module can select it.
func Symbolic() Provider { return symbolic{} }

func (symbolic) Suite(id attls.CipherSuite) (*Suite, bool) {
	for i := range symbolicSuites {
		if symbolicSuites[i].ID == id {
			return &symbolicSuites[i], true
		}
	}
	return nil, false
}

var symbolicSuites = func() [len(suites)]Suite {
	list := suites
	for i := range list {
		size, overhead := list[i].HashLen, list[i].Overhead
		list[i].New = func() hash.Hash { return &mixer{size: size, state: mixerStart} }
		list[i].AEAD = func(key []byte) (cipher.AEAD, error) {
			return &symbolicAEAD{tag: expand(nil, sumOf(key), overhead)}, nil
		}
	}
	return list
}()

const (
	mixerStart = 0x9e3779b97f4a7c15
	mixerPrime = 0xd6e8feb86659fd93
)

// mixer is a hash with 64 bits of state that works on eight octets at a time.
type mixer struct {
	state  uint64
	octets uint64
	rest   [8]byte
	have   int
	size   int
}

func (m *mixer) word(w uint64) {
	m.state = bits.RotateLeft64(m.state^w, 29) * mixerPrime
	m.state ^= m.state >> 32
}

func (m *mixer) Write(p []byte) (int, error) {
	n := len(p)
	m.octets += uint64(n)
	if m.have > 0 {
		k := copy(m.rest[m.have:], p)
		m.have, p = m.have+k, p[k:]
		if m.have < 8 {
			return n, nil
		}
		m.word(binary.LittleEndian.Uint64(m.rest[:]))
		m.have = 0
	}
	for ; len(p) >= 8; p = p[8:] {
		m.word(binary.LittleEndian.Uint64(p))
	}
	m.have = copy(m.rest[:], p)
	return n, nil
}

func (m *mixer) Sum(b []byte) []byte {
	f := *m
	clear(f.rest[f.have:])
	f.word(binary.LittleEndian.Uint64(f.rest[:]))
	f.word(f.octets)
	return expand(b, f.state, m.size)
}

func (m *mixer) Reset()                      { *m = mixer{size: m.size, state: mixerStart} }
func (m *mixer) Size() int                   { return m.size }
func (m *mixer) BlockSize() int              { return 64 }
func (m *mixer) Clone() (hash.Cloner, error) { f := *m; return &f, nil }

// sumOf is the hash of octets as a number.
func sumOf(parts ...[]byte) uint64 {
	m := mixer{state: mixerStart}
	for _, p := range parts {
		m.word(uint64(len(p)))
		_, _ = m.Write(p)
	}
	m.word(m.octets)
	m.word(binary.LittleEndian.Uint64(m.rest[:]) &^ (^uint64(0) << (8 * m.have)))
	return m.state
}

// expand appends so many octets that follow from a number.
func expand(b []byte, state uint64, size int) []byte {
	for size > 0 {
		state += mixerStart
		z := (state ^ state>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		var block [8]byte
		binary.LittleEndian.PutUint64(block[:], z^z>>31)
		b = append(b, block[:min(size, 8)]...)
		size -= 8
	}
	return b
}

// symbolicAEAD leaves records readable; its tag says which key protects them.
type symbolicAEAD struct{ tag []byte }

func (a *symbolicAEAD) NonceSize() int { return 12 }
func (a *symbolicAEAD) Overhead() int  { return len(a.tag) }

func (a *symbolicAEAD) Seal(dst, _, plaintext, _ []byte) []byte {
	return append(append(dst, plaintext...), a.tag...)
}

func (a *symbolicAEAD) Open(dst, _, ciphertext, _ []byte) ([]byte, error) {
	n := len(ciphertext) - len(a.tag)
	if n < 0 || !bytes.Equal(ciphertext[n:], a.tag) {
		return nil, errors.New("provider: the record is not of this key")
	}
	return append(dst, ciphertext[:n]...), nil
}

func (symbolic) Group(id attls.NamedGroup) (Group, bool) {
	_, ok := realGroups[id]
	return symbolicGroup(id), ok
}

// symbolicGroup has shares of 32 octets in every group; the secret is computed from
// both shares, so that everybody could compute it.
type symbolicGroup attls.NamedGroup

const symbolicShare = 32

func (g symbolicGroup) ID() attls.NamedGroup { return attls.NamedGroup(g) }
func (g symbolicGroup) SeedLen() int         { return 32 }
func (g symbolicGroup) RespondSeedLen() int  { return 32 }

func (g symbolicGroup) Generate(seed []byte) (PrivateKey, error) {
	return symbolicKey(expand(nil, sumOf(seed)^uint64(g), symbolicShare)), nil
}

func (g symbolicGroup) Respond(seed, clientShare []byte) (share, secret []byte, err error) {
	return respondByGenerating(g, seed, clientShare)
}

type symbolicKey []byte

func (k symbolicKey) Share() []byte { return k }

func (k symbolicKey) Finish(share []byte) ([]byte, error) {
	if len(share) != symbolicShare {
		return nil, illegalShare("RFC 8446 4.2.8", "a share of %d octets instead of %d", len(share), symbolicShare)
	}
	a, b := []byte(k), share
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	return expand(nil, sumOf(a, b), 32), nil
}

// parsedKeys keeps the keys that were parsed: a campaign meets the same ones again and again.
var (
	parsedKeys sync.Map
	parsedMany atomic.Int64
)

const maxParsedKeys = 1 << 10

func (symbolic) ParseSPKI(der []byte) (*PublicKey, error) {
	if k, ok := parsedKeys.Load(string(der)); ok {
		return k.(*PublicKey), nil
	}
	k, err := Real().ParseSPKI(bytes.Clone(der))
	if err == nil && parsedMany.Add(1) <= maxParsedKeys {
		parsedKeys.Store(string(der), k)
	}
	return k, err
}

// SymbolicSignature is the signature that Symbolic accepts for a key, as DER
// SubjectPublicKeyInfo, under a scheme: an ECDSA-Sig-Value, so that it has a raw form too.
func SymbolicSignature(spki []byte, s attls.SignatureScheme, content []byte) []byte {
	b := expand(nil, sumOf(spki, content)^uint64(s)*mixerPrime, 16)
	b[0], b[8] = b[0]&0x3f|0x40, b[8]&0x3f|0x40 // positive, and no octet shorter
	return append(append(append([]byte{0x30, 20, 2, 8}, b[:8]...), 2, 8), b[8:]...)
}

func (symbolic) Verify(k *PublicKey, s attls.SignatureScheme, message, sig []byte) error {
	d, err := find(s)
	if err != nil {
		return err
	}
	if !d.fits(k) {
		return fmt.Errorf("%v does not fit a key of type %s", s, cmp.Or(k.Curve, k.Algorithm))
	}
	if !bytes.Equal(sig, SymbolicSignature(k.SPKI, s, message)) {
		return errSignature
	}
	return nil
}

func (symbolic) Schemes(k *PublicKey) []attls.SignatureScheme { return Real().Schemes(k) }
