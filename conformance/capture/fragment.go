package capture

import (
	"net/netip"
	"slices"
	"time"
)

// Limits of IP fragments: those of one packet, and how far apart they may be.
const (
	maxFragments    = 2048
	maxFragmentTime = time.Minute
)

// fragments puts fragmented IP packets together, of version 4 and 6. Where two
// fragments overlap, the one that begins earlier counts, then the one that was
// captured first.
type fragments map[fragmentKey]*fragmented

type fragmentKey struct {
	from, to netip.Addr
	id       uint32
	protocol byte
}

// fragmented is a packet in parts.
type fragmented struct {
	began  time.Time
	parts  []fragment
	octets int
	total  int  // -1 until the last part is here
	first  byte // the protocol that the first part names
}

type fragment struct {
	offset int
	data   []byte
}

// add takes a part; with the last one it returns the packet.
func (f fragments) add(g *datagram, id uint32, offset int, more bool, at time.Time) (*datagram, bool) {
	const maxDatagram = 65535
	if offset+len(g.payload) > maxDatagram {
		return nil, false
	}
	key := fragmentKey{g.from, g.to, id, g.protocol}
	if g.from.Is6() { // the protocol of a later fragment does not count (RFC 8200 section 4.5)
		key.protocol = 0
	}
	p := f[key]
	if p == nil || at.Sub(p.began).Abs() > maxFragmentTime || len(p.parts) == maxFragments {
		p = &fragmented{began: at, total: -1}
		f[key] = p
	}
	p.parts = append(p.parts, fragment{offset, append([]byte(nil), g.payload...)})
	p.octets += len(g.payload)
	if offset == 0 {
		p.first = g.protocol
	}
	if !more {
		p.total = offset + len(g.payload)
	}
	if p.total < 0 || p.octets < p.total {
		return nil, false
	}
	whole, ok := p.whole()
	if !ok {
		return nil, false
	}
	delete(f, key)
	return &datagram{from: g.from, to: g.to, protocol: p.first, payload: whole}, true
}

// whole joins the parts, where none is missing.
func (p *fragmented) whole() ([]byte, bool) {
	parts := slices.Clone(p.parts)
	slices.SortStableFunc(parts, func(a, b fragment) int { return a.offset - b.offset })
	var whole []byte
	for _, x := range parts {
		if x.offset > len(whole) {
			return nil, false
		}
		if end := x.offset + len(x.data); end > len(whole) {
			whole = append(whole, x.data[len(whole)-x.offset:]...)
		}
	}
	if len(whole) < p.total {
		return nil, false
	}
	return whole[:p.total], true
}

// waiting is how many packets lack a part.
func (f fragments) waiting() int { return len(f) }
