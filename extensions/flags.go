package extensions

import (
	"iter"

	"attls"
	"attls/internal/wire"
)

// Flags is the bit string of tls_flags (draft-ietf-tls-tlsflags section 2): flag n is
// bit n mod 8, the least significant first, of octet n/8.
//
//	struct { opaque flags<1..255>; } FlagExtensions;
type Flags []byte

// Has reports whether a flag is set.
func (f Flags) Has(n attls.TLSFlag) bool { return int(n/8) < len(f) && f[n/8]>>(n%8)&1 == 1 }

// All yields the flags that are set, in ascending order.
func (f Flags) All() iter.Seq[attls.TLSFlag] {
	return func(yield func(attls.TLSFlag) bool) {
		for n := range attls.TLSFlag(8 * len(f)) {
			if f.Has(n) && !yield(n) {
				return
			}
		}
	}
}

// ParseTLSFlags reads tls_flags. A bit string that ends with a zero octet, as one
// without any flag does, is illegal_parameter.
func ParseTLSFlags(body []byte) (Flags, *attls.Error) {
	f, err := parseVector(body, "flags", 1)
	if err == nil && f[len(f)-1] == 0 {
		return nil, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "the last of %d octets is zero", len(f)).
			At(len(body) - 1).Under("flags").By("draft-ietf-tls-tlsflags 2")
	}
	return f, err
}

// AppendTLSFlags appends tls_flags with the flags set, of which there is at least one
// and none is above attls.MaxTLSFlag.
func AppendTLSFlags(b []byte, flags ...attls.TLSFlag) []byte {
	w := wire.Append(b)
	mark := w.Open(1)
	start := w.Len()
	for _, n := range flags {
		for w.Len()-start <= int(n/8) {
			w.Uint8(0)
		}
		w.Bytes()[start+int(n/8)] |= 1 << (n % 8)
	}
	w.Close(mark)
	return w.Bytes()
}
