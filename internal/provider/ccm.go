package provider

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"sync"
)

// ccm is AES-CCM (RFC 3610). TLS 1.3 uses it with a nonce of twelve octets and so
// a length field of three (RFC 6655). Neither the standard library nor x/crypto
// has it. Like the AEADs that these have, it is safe for concurrent use: the
// forks of an engine share it.
type ccm struct {
	block   cipher.Block
	tagSize int       // M of RFC 3610
	nonce   int       // octets; 15 less L
	idle    sync.Pool // of *ccmCall, so that a record costs no allocation
}

// ccmCall is the state of one call of Seal or Open.
type ccmCall struct {
	*ccm
	mac     [aes.BlockSize]byte // of CBC-MAC
	counter [aes.BlockSize]byte // A_i
	stream  [aes.BlockSize]byte // S_i
}

func (c *ccm) begin() *ccmCall {
	if call, ok := c.idle.Get().(*ccmCall); ok {
		return call
	}
	return &ccmCall{ccm: c}
}

// end puts the state aside without what it was used for.
func (c *ccmCall) end() {
	clear(c.mac[:])
	clear(c.stream[:])
	c.idle.Put(c)
}

// ccmMaxAD bounds the additional data; longer ones have another encoding, which
// TLS never needs.
const ccmMaxAD = 0xfeff

var errCCM = errors.New("provider: CCM: message authentication failed")

// newCCM returns a constructor for a tag and a nonce of so many octets.
func newCCM(tagSize, nonce int) func(key []byte) (cipher.AEAD, error) {
	return func(key []byte) (cipher.AEAD, error) {
		b, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return &ccm{block: b, tagSize: tagSize, nonce: nonce}, nil
	}
}

func (c *ccm) NonceSize() int { return c.nonce }
func (c *ccm) Overhead() int  { return c.tagSize }

// absorb puts octets, padded with zeros to whole blocks, into the CBC-MAC. The
// first block has some octets already.
func (c *ccmCall) absorb(used int, b []byte) {
	for len(b) > 0 {
		n := subtle.XORBytes(c.mac[used:], c.mac[used:], b)
		b, used = b[n:], 0
		c.block.Encrypt(c.mac[:], c.mac[:])
	}
}

// authenticate computes the CBC-MAC over B_0, the additional data and the
// plaintext (RFC 3610 section 2.2).
func (c *ccmCall) authenticate(nonce, plaintext, ad []byte) {
	flags := byte((c.tagSize-2)/2<<3 | (14 - c.nonce))
	if len(ad) > 0 {
		flags |= 1 << 6
	}
	binary.BigEndian.PutUint64(c.mac[8:], uint64(len(plaintext)))
	c.mac[0] = flags
	copy(c.mac[1:], nonce)
	c.block.Encrypt(c.mac[:], c.mac[:])
	if len(ad) > 0 {
		c.mac[0] ^= byte(len(ad) >> 8)
		c.mac[1] ^= byte(len(ad))
		c.absorb(2, ad)
	}
	c.absorb(0, plaintext)
}

// start sets the counter block A_0 and its key stream block S_0.
func (c *ccmCall) start(nonce []byte) {
	c.counter = [aes.BlockSize]byte{byte(14 - c.nonce)}
	copy(c.counter[1:], nonce)
	c.block.Encrypt(c.stream[:], c.counter[:])
}

// crypt encrypts or decrypts with S_1 and on (RFC 3610 section 2.3).
func (c *ccmCall) crypt(dst, src []byte) {
	for len(src) > 0 {
		for i := len(c.counter) - 1; ; i-- {
			if c.counter[i]++; c.counter[i] != 0 {
				break
			}
		}
		c.block.Encrypt(c.stream[:], c.counter[:])
		k := subtle.XORBytes(dst, src, c.stream[:])
		dst, src = dst[k:], src[k:]
	}
}

// tag leaves the authentication tag in mac.
func (c *ccmCall) tag(nonce []byte) []byte {
	c.start(nonce)
	subtle.XORBytes(c.mac[:], c.mac[:], c.stream[:])
	return c.mac[:c.tagSize]
}

func (c *ccm) check(nonce []byte, length, ad int) {
	if len(nonce) != c.nonce || length>>(8*(15-c.nonce)) > 0 || ad > ccmMaxAD {
		panic("provider: CCM: nonce, message or additional data of a length that is not possible")
	}
}

// Seal encrypts; dst and plaintext may share their storage from its beginning.
func (c *ccm) Seal(dst, nonce, plaintext, ad []byte) []byte {
	c.check(nonce, len(plaintext), len(ad))
	call := c.begin()
	defer call.end()
	call.authenticate(nonce, plaintext, ad)
	tag := call.tag(nonce)
	out, start := grow(dst, len(plaintext)+c.tagSize)
	call.crypt(out[start:], plaintext)
	copy(out[start+len(plaintext):], tag)
	return out
}

// Open decrypts; dst and ciphertext may share their storage from its beginning.
func (c *ccm) Open(dst, nonce, ciphertext, ad []byte) ([]byte, error) {
	n := len(ciphertext) - c.tagSize
	if n < 0 {
		return nil, errCCM
	}
	c.check(nonce, n, len(ad))
	var received [aes.BlockSize]byte
	copy(received[:], ciphertext[n:])
	out, start := grow(dst, n)
	call := c.begin()
	defer call.end()
	call.start(nonce)
	call.crypt(out[start:], ciphertext[:n])
	call.authenticate(nonce, out[start:], ad)
	if subtle.ConstantTimeCompare(call.tag(nonce), received[:c.tagSize]) != 1 {
		clear(out[start:])
		return nil, errCCM
	}
	return out, nil
}

// grow makes room for n octets after dst.
func grow(dst []byte, n int) (out []byte, start int) {
	start = len(dst)
	if cap(dst)-start >= n {
		return dst[:start+n], start
	}
	out = make([]byte, start+n)
	copy(out, dst)
	return out, start
}
