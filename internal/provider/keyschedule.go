package provider

import (
	"crypto/hmac"
)

// Extract is HKDF-Extract (RFC 5869 section 2.2); it appends Hash.length octets
// to dst. A nil salt is Hash.length zero octets.
func (s *Suite) Extract(dst, salt, ikm []byte) []byte {
	if len(salt) == 0 {
		var zero [64]byte
		salt = zero[:s.HashLen]
	}
	m := hmac.New(s.New, salt)
	m.Write(ikm)
	return m.Sum(dst)
}

// ExpandLabel is HKDF-Expand-Label (RFC 8446 section 7.1); it appends length
// octets to dst. The prefix is "tls13 " in TLS. Label with prefix and context
// must each fit in 255 octets, and length in 255 times Hash.length.
func (s *Suite) ExpandLabel(dst, secret []byte, prefix, label string, context []byte, length int) []byte {
	var info [2 + 1 + 255 + 1 + 255 + 1]byte
	b := append(info[:0], byte(length>>8), byte(length), byte(len(prefix)+len(label)))
	b = append(append(b, prefix...), label...)
	b = append(append(b, byte(len(context))), context...)
	m := hmac.New(s.New, secret)
	var block [64]byte
	var t []byte
	for i := byte(1); length > 0; i++ {
		if i > 1 {
			m.Reset()
			m.Write(t)
		}
		m.Write(append(b, i))
		t = m.Sum(block[:0])
		n := min(length, len(t))
		dst = append(dst, t[:n]...)
		length -= n
	}
	return dst
}

// FinishedMAC computes verify_data (RFC 8446 section 4.4.4) and appends it to dst.
func (s *Suite) FinishedMAC(dst, baseKey, transcriptHash []byte) []byte {
	var key [64]byte
	m := hmac.New(s.New, s.ExpandLabel(key[:0], baseKey, "tls13 ", "finished", nil, s.HashLen))
	m.Write(transcriptHash)
	return m.Sum(dst)
}
