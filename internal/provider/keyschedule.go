package provider

import (
	"crypto/cipher"
	"encoding/binary"
	"hash"
)

const (
	maxHash  = 64  // octets of the longest hash
	maxBlock = 128 // octets of the longest hash's block
)

// KDF is HMAC (RFC 2104), HKDF (RFC 5869) and what TLS 1.3 builds on them (RFC
// 8446 section 7.1) over a suite's hash. It owns its storage, so that deriving
// allocates nothing; it is not safe for concurrent use and keeps no state from
// one call to the next.
type KDF struct {
	suite        *Suite
	inner, outer hash.Hash
	innerPad     [maxBlock]byte // the key of the HMAC at hand, xored with 0x36
	outerPad     [maxBlock]byte // and with 0x5c
	sum          [maxHash]byte
	key          [maxHash]byte
	info         [2 + 1 + 255 + 1 + 255]byte // HkdfLabel, or what write hashes
	counter      [1]byte
}

// KDF returns a new KDF.
func (s *Suite) KDF() *KDF { return &KDF{suite: s, inner: s.New(), outer: s.New()} }

// Suite is the suite whose hash this is.
func (k *KDF) Suite() *Suite { return k.suite }

// start begins HMAC under a key, which is padded with zeros to a block.
func (k *KDF) start(key []byte) {
	block := k.inner.BlockSize()
	if len(key) > block {
		key = k.Hash(k.key[:0], key)
	}
	for i := range block {
		octet := byte(0)
		if i < len(key) {
			octet = key[i]
		}
		k.innerPad[i], k.outerPad[i] = octet^0x36, octet^0x5c
	}
	k.restart()
}

// restart begins HMAC once more under the same key.
func (k *KDF) restart() {
	k.inner.Reset()
	k.inner.Write(k.innerPad[:k.inner.BlockSize()])
}

// finish returns the HMAC as a view that the next call overwrites.
func (k *KDF) finish() []byte {
	k.outer.Reset()
	k.outer.Write(k.outerPad[:k.outer.BlockSize()])
	k.outer.Write(k.inner.Sum(k.sum[:0]))
	return k.outer.Sum(k.sum[:0])
}

// write hashes octets by way of our own storage: what goes into an interface
// would have to be on the heap, wherever the caller has it.
func (k *KDF) write(b []byte) {
	for len(b) > 0 {
		n := copy(k.info[:], b)
		k.inner.Write(k.info[:n])
		b = b[n:]
	}
}

// Hash appends the hash of a message to dst.
func (k *KDF) Hash(dst, message []byte) []byte {
	k.inner.Reset()
	k.write(message)
	return append(dst, k.inner.Sum(k.sum[:0])...)
}

// Extract is HKDF-Extract (RFC 5869 section 2.2); it appends Hash.length octets
// to dst. A nil salt is Hash.length zero octets.
func (k *KDF) Extract(dst, salt, ikm []byte) []byte {
	k.start(salt) // HMAC pads its key, so no octets and zeros are the same
	k.write(ikm)
	return append(dst, k.finish()...)
}

// ExpandLabel is HKDF-Expand-Label (RFC 8446 section 7.1); it appends length
// octets to dst. The prefix is "tls13 " in TLS. Label with prefix and context
// must each fit in 255 octets, and length in 255 times Hash.length.
func (k *KDF) ExpandLabel(dst, secret []byte, prefix, label string, context []byte, length int) []byte {
	k.start(secret)
	info := append(binary.BigEndian.AppendUint16(k.info[:0], uint16(length)), byte(len(prefix)+len(label)))
	info = append(append(info, prefix...), label...)
	info = append(append(info, byte(len(context))), context...)
	var previous []byte
	for k.counter[0] = 1; length > 0; k.counter[0]++ {
		if previous != nil {
			k.restart()
			k.inner.Write(previous)
		}
		k.inner.Write(info)
		k.inner.Write(k.counter[:])
		previous = k.finish()
		n := min(length, len(previous))
		dst = append(dst, previous[:n]...)
		length -= n
	}
	return dst
}

// FinishedMAC computes verify_data (RFC 8446 section 4.4.4) and appends it to dst.
func (k *KDF) FinishedMAC(dst, baseKey, transcriptHash []byte) []byte {
	return k.Extract(dst, k.ExpandLabel(k.key[:0], baseKey, "tls13 ", "finished", nil, k.suite.HashLen), transcriptHash)
}

// Export is TLS-Exporter (RFC 8446 section 7.5) over any exporter secret:
// HKDF-Expand-Label(Derive-Secret(secret, label, ""), "exporter", Hash(context), length).
func (k *KDF) Export(secret []byte, prefix, label string, context []byte, length int) []byte {
	var sum, derived [maxHash]byte
	n := k.suite.HashLen
	k.ExpandLabel(derived[:0], secret, prefix, label, k.Hash(sum[:0], nil), n)
	return k.ExpandLabel(nil, derived[:n], prefix, "exporter", k.Hash(sum[:0], context), length)
}

// TrafficKey makes the AEAD and IV of a traffic secret (RFC 8446 section 7.3).
// The IV is a view that the next call overwrites.
func (k *KDF) TrafficKey(traffic []byte, prefix string) (aead cipher.AEAD, iv []byte, err error) {
	aead, err = k.suite.AEAD(k.ExpandLabel(k.key[:0], traffic, prefix, "key", nil, k.suite.KeyLen))
	if err != nil {
		return nil, nil, err
	}
	return aead, k.ExpandLabel(k.key[:0], traffic, prefix, "iv", nil, k.suite.NonceLen), nil
}

// Extract is KDF.Extract for a single use.
func (s *Suite) Extract(dst, salt, ikm []byte) []byte { return s.KDF().Extract(dst, salt, ikm) }

// ExpandLabel is KDF.ExpandLabel for a single use.
func (s *Suite) ExpandLabel(dst, secret []byte, prefix, label string, context []byte, length int) []byte {
	return s.KDF().ExpandLabel(dst, secret, prefix, label, context, length)
}

// FinishedMAC is KDF.FinishedMAC for a single use.
func (s *Suite) FinishedMAC(dst, baseKey, transcriptHash []byte) []byte {
	return s.KDF().FinishedMAC(dst, baseKey, transcriptHash)
}
