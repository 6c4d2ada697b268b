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

// greased puts a reserved value in front of a list that is offered.
func greased[T ~uint16](e *Engine, list []T, n uint32) []T {
	if !e.cfg.GREASE {
		return list
	}
	return append([]T{T(e.greaseValue(n))}, list...)
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
