package handshake

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// Use says what random octets are for. Randomness is keyed by purpose and
// index and never read as a stream, so that a fork, a replay or a changed
// profile shifts nothing.
type Use uint8

const (
	UseClientRandom Use = iota + 1
	UseServerRandom
	UseSessionID
	UseKeyShare // index: 256 times the place of the share, plus the attempt
	UseCookie
	UseNonce // index: the slot
)

// Random fills dst with the octets for a use and an index. The same use and
// index are asked for at most once in a connection.
type Random interface {
	Fill(use Use, n uint32, dst []byte)
}

// SystemRandom is the operating system's generator.
type SystemRandom struct{}

// Fill reads crypto/rand, which does not fail.
func (SystemRandom) Fill(_ Use, _ uint32, dst []byte) { rand.Read(dst) }

// SeededRandom derives every octet from a seed: a recorded run is replayed by
// keeping its seed.
type SeededRandom struct{ Seed [32]byte }

// Fill expands SHA-256(seed, use, n, counter).
func (s SeededRandom) Fill(use Use, n uint32, dst []byte) {
	var block [32 + 1 + 4 + 4]byte
	copy(block[:], s.Seed[:])
	block[32] = byte(use)
	binary.BigEndian.PutUint32(block[33:], n)
	for i := uint32(0); len(dst) > 0; i++ {
		binary.BigEndian.PutUint32(block[37:], i)
		sum := sha256.Sum256(block[:])
		dst = dst[copy(dst, sum[:]):]
	}
}
