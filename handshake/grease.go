package handshake

import (
	"attls"
	"attls/extensions"
)

// GREASE, RFC 8701: values that nobody has assigned, so that peers which do not
// ignore the unknown are found. A value is chosen per registry and connection.

// greaseValue is one of the reserved values 0x0a0a to 0xfafa. n numbers the
// registries, and two extensions of a message. A value once drawn stays: a share
// goes with the group that is listed, and a second ClientHello with the first.
func (e *Engine) greaseValue(n uint32) uint16 {
	if e.grease[n] != 0 {
		return e.grease[n]
	}
	var b [1]byte
	e.random.Fill(UseGREASE, n, b[:])
	high := b[0]&0xf0 | 0x0a
	if n == greaseLastExtension && uint16(high)<<8|uint16(high) == e.greaseValue(greaseExtension) {
		high ^= 0x10
	}
	e.grease[n] = uint16(high)<<8 | uint16(high)
	return e.grease[n]
}

const (
	greaseSuite uint32 = iota
	greaseGroup
	greaseVersion
	greaseExtension
	greaseLastExtension
	greaseTicket
	numGrease
)

// greaseUint16s puts a value in front of a list of two-octet values that begins
// at mark with its length.
func (e *Engine) greaseUint16s(b []byte, mark, width int, n uint32) []byte {
	if !e.cfg.GREASE {
		return b
	}
	v := e.greaseValue(n)
	b = append(b, 0, 0)
	copy(b[mark+width+2:], b[mark+width:])
	b[mark+width], b[mark+width+1] = byte(v>>8), byte(v)
	size := len(b) - mark - width
	if width == 2 {
		b[mark] = byte(size >> 8)
	}
	b[mark+width-1] = byte(size)
	return b
}

// greaseExtension adds an empty extension, or one of an octet as the last.
func (e *Engine) greaseExtension(n uint32) {
	if !e.cfg.GREASE {
		return
	}
	var body []byte
	if n == greaseLastExtension {
		body = []byte{0}
	}
	e.ext.add(attls.ExtensionType(e.greaseValue(n)), body)
}

// greaseTicketExtension is the extension of a NewSessionTicket.
func (e *Engine) greaseTicketExtension(l extensions.List) extensions.List {
	if !e.cfg.GREASE {
		return l
	}
	return append(l, extensions.Extension{Type: attls.ExtensionType(e.greaseValue(greaseTicket))})
}
