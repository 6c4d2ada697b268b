package wire

import "encoding/binary"

// Writer appends octets. The zero value is empty. It is for its user to know that a
// vector has no more octets than its length can say (Max).
type Writer struct{ b []byte }

// Append returns a Writer that appends to b.
func Append(b []byte) Writer { return Writer{b: b} }

// Bytes returns the octets, with those that were there before.
func (w *Writer) Bytes() []byte { return w.b }

// Len is how many octets there are.
func (w *Writer) Len() int { return len(w.b) }

// Truncate goes back to n octets.
func (w *Writer) Truncate(n int) { w.b = w.b[:n] }

// Uint8 appends a number of one octet.
func (w *Writer) Uint8(v uint8) { w.b = append(w.b, v) }

// Flag appends an octet, 1 or 0.
func (w *Writer) Flag(on bool) {
	if on {
		w.Uint8(1)
	} else {
		w.Uint8(0)
	}
}

// Uint16 appends a number of two octets.
func (w *Writer) Uint16(v uint16) { w.b = binary.BigEndian.AppendUint16(w.b, v) }

// Uint24 appends the last three octets of a number.
func (w *Writer) Uint24(v int) { w.b = append(w.b, byte(v>>16), byte(v>>8), byte(v)) }

// Uint32 appends a number of four octets.
func (w *Writer) Uint32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }

// Uint64 appends a number of eight octets.
func (w *Writer) Uint64(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }

// Octets appends octets as they are.
func (w *Writer) Octets(v []byte) { w.b = append(w.b, v...) }

// Zeros appends n octets of zero.
func (w *Writer) Zeros(n int) {
	for range n {
		w.b = append(w.b, 0)
	}
}

// Vector appends a vector with a length of width octets.
func (w *Writer) Vector(width int, v []byte) {
	w.length(width, len(v))
	w.b = append(w.b, v...)
}

// Text is Vector for a string.
func (w *Writer) Text(width int, v string) {
	w.length(width, len(v))
	w.b = append(w.b, v...)
}

func (w *Writer) length(width, n int) {
	switch width {
	case 1:
		w.Uint8(uint8(n))
	case 2:
		w.Uint16(uint16(n))
	default:
		w.Uint24(n)
	}
}

// Mark is where a vector began.
type Mark struct{ at, width int }

// Open begins a vector with a length of width octets, 1 to 3, which Close puts in.
func (w *Writer) Open(width int) Mark {
	m := Mark{len(w.b), width}
	w.length(width, 0)
	return m
}

// Close ends a vector.
func (w *Writer) Close(m Mark) {
	n := len(w.b) - m.at - m.width
	field := Writer{b: w.b[:m.at]}
	field.length(m.width, n)
}
