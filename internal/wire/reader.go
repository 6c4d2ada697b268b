// Package wire reads and writes octets as the presentation language of RFC 8446
// section 3 describes them: numbers of up to eight octets, most significant first,
// and vectors after a length of one to three octets.
package wire

import (
	"encoding/binary"
	"strconv"

	"attls"
)

// maxDepth is how many vectors may be open in one another.
const maxDepth = 3

// Reader reads octets front to back. It remembers the first failure, with the
// path of the field and the offset, and gives zeros and empty octets from then on;
// so only the end of a reading needs to ask. What it returns are views of the octets.
type Reader struct {
	b     []byte
	pos   int
	limit int // the end of the innermost open vector
	base  int // the offset of the first octet in what errors count from
	depth int
	open  [maxDepth]level
	err   *attls.Error
}

// level is a vector that is open: its name, the limit outside it, and the number of
// the element that is read, counted from 1; 0: its elements have no numbers.
type level struct {
	field   string
	outer   int
	element int
}

// NewReader returns a Reader of octets, the first of which has an offset in errors.
func NewReader(b []byte, offset int) Reader { return Reader{b: b, limit: len(b), base: offset} }

// Err is the first failure; nil: there was none.
func (r *Reader) Err() *attls.Error { return r.err }

// Offset is where the next octet is.
func (r *Reader) Offset() int { return r.base + r.pos }

// Left is how many octets are left in the innermost open vector, 0 after a failure.
func (r *Reader) Left() int { return r.limit - r.pos }

// More reports whether octets are left in the innermost open vector, and nothing
// failed.
func (r *Reader) More() bool { return r.Left() > 0 }

// Fail makes an error the failure, unless there is one already, and completes its
// place: the offset, unless it has one, and the path. A field without a name adds
// nothing to the path.
func (r *Reader) Fail(field string, offset int, err *attls.Error) {
	if r.err != nil {
		return
	}
	r.err = err.At(offset)
	r.pos, r.limit = len(r.b), len(r.b) // nothing is left from here on
	r.under(field)
	for i := r.depth - 1; i >= 0; i-- {
		if n := r.open[i].element; n > 0 {
			r.under("[" + strconv.Itoa(n-1) + "]")
		}
		r.under(r.open[i].field)
	}
}

func (r *Reader) under(field string) {
	if field != "" {
		r.err.Under(field)
	}
}

// malformed fails for octets that do not follow the grammar.
func (r *Reader) malformed(field string, offset int, format string, args ...any) {
	if r.err == nil {
		r.Fail(field, offset, attls.Errorf(attls.Malformed, attls.FailDecode, format, args...))
	}
}

// short fails for want of octets.
func (r *Reader) short(field string, n int) {
	r.malformed(field, r.Offset(), "%d octets where %d are needed", r.Left(), n)
}

// Octets reads n octets.
func (r *Reader) Octets(field string, n int) []byte {
	if n < 0 || r.limit-r.pos < n {
		r.short(field, n)
		return nil
	}
	v := r.b[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return v
}

// Rest reads what is left in the innermost open vector.
func (r *Reader) Rest() []byte { return r.Octets("", r.Left()) }

// Uint8 reads a number of one octet.
func (r *Reader) Uint8(field string) uint8 {
	if r.limit-r.pos < 1 {
		r.short(field, 1)
		return 0
	}
	v := r.b[r.pos]
	r.pos++
	return v
}

// Uint16 reads a number of two octets.
func (r *Reader) Uint16(field string) uint16 {
	if r.limit-r.pos < 2 {
		r.short(field, 2)
		return 0
	}
	v := binary.BigEndian.Uint16(r.b[r.pos:])
	r.pos += 2
	return v
}

// Uint24 reads a number of three octets.
func (r *Reader) Uint24(field string) int {
	if r.limit-r.pos < 3 {
		r.short(field, 3)
		return 0
	}
	v := int(r.b[r.pos])<<16 | int(binary.BigEndian.Uint16(r.b[r.pos+1:]))
	r.pos += 3
	return v
}

// Uint32 reads a number of four octets.
func (r *Reader) Uint32(field string) uint32 {
	if r.limit-r.pos < 4 {
		r.short(field, 4)
		return 0
	}
	v := binary.BigEndian.Uint32(r.b[r.pos:])
	r.pos += 4
	return v
}

// Uint64 reads a number of eight octets.
func (r *Reader) Uint64(field string) uint64 {
	if r.limit-r.pos < 8 {
		r.short(field, 8)
		return 0
	}
	v := binary.BigEndian.Uint64(r.b[r.pos:])
	r.pos += 8
	return v
}

// Max is the largest length that a length field of so many octets announces.
func Max(width int) int { return 1<<(8*width) - 1 }

// Vector reads a vector after a length of width octets, 1 to 3. Its contents must have
// from floor to ceiling octets.
func (r *Reader) Vector(field string, width, floor, ceiling int) []byte {
	at := r.Offset()
	var n int
	switch width {
	case 1:
		n = int(r.Uint8(field))
	case 2:
		n = int(r.Uint16(field))
	default:
		n = r.Uint24(field)
	}
	if n > r.limit-r.pos || n < floor || n > ceiling {
		r.badVector(field, at, width, n, floor, ceiling)
		return nil
	}
	v := r.b[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return v
}

// badVector fails for a vector that announces n octets, unless its length failed.
func (r *Reader) badVector(field string, at, width, n, floor, ceiling int) {
	switch {
	case n > r.Left():
		r.malformed(field, at, "announces %d octets and %d are left", n, r.Left())
	case ceiling == Max(width):
		r.malformed(field, at, "%d octets; at least %d are required", n, floor)
	default:
		r.malformed(field, at, "%d octets; %d to %d are allowed", n, floor, ceiling)
	}
}

// Open reads the length of a vector as Vector does, and goes on inside it until
// Close. It returns the contents, which are still to be read.
func (r *Reader) Open(field string, width, floor, ceiling int) []byte {
	if r.depth == maxDepth {
		panic("wire: vectors are nested more deeply than a Reader allows")
	}
	v := r.Vector(field, width, floor, ceiling)
	r.pos -= len(v)
	r.open[r.depth] = level{field: field, outer: r.limit}
	r.depth++
	r.limit = r.pos + len(v)
	return v
}

// Element begins the next element of the innermost open vector; errors have its
// number, counted from 0, in their path.
func (r *Reader) Element() { r.open[r.depth-1].element++ }

// Close goes on after the innermost open vector. Octets that were not read are
// skipped.
func (r *Reader) Close() {
	r.depth--
	if r.err == nil {
		r.pos, r.limit = r.limit, r.open[r.depth].outer
	}
}

// End fails if octets are left, and returns the first failure.
func (r *Reader) End() *attls.Error {
	if n := r.Left(); n > 0 {
		r.Fail("", r.Offset(), attls.Errorf(attls.Malformed, attls.FailTrailing, "%d octets are left over", n))
	}
	return r.err
}

// Uint16 is the number in the first two octets of b, which must have them.
func Uint16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
