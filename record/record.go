// Package record is the record layer of TLS 1.3 (RFC 8446 section 5): framing,
// TLSInnerPlaintext and its padding, AEAD epochs and sequence numbers, the
// reassembly of handshake messages, and record_size_limit (RFC 8449). It knows
// nothing of the handshake and owns no socket.
package record

import (
	"crypto/cipher"
	"encoding/binary"

	"attls"
)

const (
	headerLen = 5
	// MaxPlaintext is the largest TLSPlaintext fragment (RFC 8446 section 5.1).
	MaxPlaintext = 1 << 14
	// DefaultMaxHandshakeMessage is Settings.MaxHandshakeMessage where it is 0.
	DefaultMaxHandshakeMessage = 1 << 17
	// maxExpansion is what a TLSCiphertext may add (RFC 8446 section 5.2).
	maxExpansion = 256
)

// Settings bound what a peer can make a Reader hold.
type Settings struct {
	// MaxHandshakeMessage is the largest handshake message, header included, in
	// octets. 0: 131072.
	MaxHandshakeMessage int
	// Overlong, when set, names the error of a message that is over the limit and that its type and
	// its length in octets, without the header, show to be malformed. Nil: none.
	Overlong func(messageType byte, length int) *attls.Error
	// MaxRecord is the largest fragment accepted in a protected record, content
	// type and padding not counted: what record_size_limit announced, less one.
	// 0: 16384.
	MaxRecord int
	// MaxEmptyRecords bounds consecutive records of application data without
	// content. 0: 32.
	MaxEmptyRecords int
	// MaxChangeCipherSpec bounds dummy change_cipher_spec records. 0: 32.
	MaxChangeCipherSpec int
	// MaxWarningAlerts bounds consecutive alerts other than close_notify. 0: 4.
	MaxWarningAlerts int
}

func orDefault(v, d int) int {
	if v == 0 {
		return d
	}
	return v
}

// Raw is a record as a tap sees it: opened, or not yet protected.
type Raw struct {
	Type      attls.ContentType
	Payload   []byte
	Protected bool
	Sequence  uint64
}

// Plan is what a tap wants done with a record.
type Plan struct {
	Drop    bool
	Replace []byte // payload that takes the place of the original; nil: unchanged
	// Before and After are records to insert. A Writer protects them under the
	// current key; a Reader handles them as if they had been received so.
	Before, After []Raw
	// Padding adds octets of padding to a protected record that is sent.
	Padding int
}

// Item is one thing that a Reader found: exactly one handshake message with its
// header, one alert of two octets, one change_cipher_spec payload, or the
// payload of one application data record. Data is a view that stays valid until
// the next Reserve.
type Item struct {
	Type      attls.ContentType
	Data      []byte
	Protected bool
}

// protection is one AEAD epoch.
type protection struct {
	aead  cipher.AEAD
	seq   uint64
	mask  uint64 // the last octets of the IV, which the sequence number is xored with
	nonce [16]byte
	n     uint8 // length of the IV, and of the nonce
	ad    [headerLen]byte
}

// newProtection begins an epoch. The IV has 8 to 16 octets (RFC 8446 section 5.3).
func newProtection(aead cipher.AEAD, iv []byte) protection {
	p := protection{aead: aead}
	p.n = uint8(copy(p.nonce[:], iv))
	p.mask = binary.BigEndian.Uint64(p.nonce[p.n-8:])
	return p
}

// perRecord computes the nonce of RFC 8446 section 5.3.
func (p *protection) perRecord() []byte {
	binary.BigEndian.PutUint64(p.nonce[p.n-8:], p.mask^p.seq)
	return p.nonce[:p.n]
}

func header(dst []byte, t attls.ContentType, version uint16, n int) {
	dst[0] = byte(t)
	binary.BigEndian.PutUint16(dst[1:], version)
	binary.BigEndian.PutUint16(dst[3:], uint16(n))
}

func violation(f attls.Failure, rule, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Violation, f, format, args...).By("RFC 8446 " + rule).Under("record")
}
