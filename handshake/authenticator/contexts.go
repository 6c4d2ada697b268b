package authenticator

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// contexts is the set of the values of certificate_request_context that a connection
// has seen. Of each it keeps 8 octets of a hash: two that agree in these are taken for
// equal, which refuses the second and accepts nothing.
type contexts struct {
	slots []uint64 // open addressing; 0 is free; a power of two
	n     int
}

// digest is never 0.
func digest(context []byte) uint64 {
	sum := sha256.Sum256(context)
	return max(binary.BigEndian.Uint64(sum[:]), 1)
}

// place is the slot of a digest, or the free one where it belongs.
func (s *contexts) place(d uint64) int {
	mask := uint64(len(s.slots) - 1)
	for i := d & mask; ; i = (i + 1) & mask {
		if s.slots[i] == 0 || s.slots[i] == d {
			return int(i)
		}
	}
}

func (s *contexts) has(context []byte) bool {
	return s.n > 0 && s.slots[s.place(digest(context))] != 0
}

func (s *contexts) add(context []byte) {
	if 4*(s.n+1) > 3*len(s.slots) {
		old := s.slots
		s.slots = make([]uint64, max(16, 2*len(old)))
		for _, d := range old {
			if d != 0 {
				s.slots[s.place(d)] = d
			}
		}
	}
	d := digest(context)
	if i := s.place(d); s.slots[i] == 0 {
		s.slots[i] = d
		s.n++
	}
}

func (s *contexts) clone() contexts { return contexts{slices.Clone(s.slots), s.n} }
