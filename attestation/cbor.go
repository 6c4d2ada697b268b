package attestation

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"attls"

	"github.com/fxamacker/cbor/v2"
)

// Major types of RFC 8949 section 3.1.
const (
	majorUnsigned = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

var majorNames = [...]string{"an unsigned integer", "a negative integer", "a byte string", "a text string", "an array",
	"a map", "a tag", "a simple value"}

const (
	maxDepth   = 16  // nesting inside one CBOR item
	maxEntries = 256 // entries of one map or array
)

// encoding is the core deterministic encoding of RFC 8949 section 4.2.1.
var encoding = must(cbor.CoreDetEncOptions().EncMode())

// decoding fills Go types; it sees only octets that scanner has accepted, in their
// shortest form. Tags are refused and names of members are compared as they stand:
// the library would skip the one and fold the case of the other.
var decoding = must(cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	FieldNameMatching: cbor.FieldNameMatchingCaseSensitive, IntDec: cbor.IntDecConvertSignedOrFail,
	MaxNestedLevels: maxDepth, MaxArrayElements: maxEntries, MaxMapPairs: maxEntries}.DecMode())

// must unwraps a value whose error would be a mistake in this file.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func malformed(offset int, rule, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Malformed, attls.FailMalformedCMW, format, args...).At(offset).By(rule)
}

// scanner walks CBOR and reports the octet at which it goes wrong. It reads what
// RFC 8949 calls well-formed, indefinite lengths and heads in a longer form than
// needed included: no text that is carried here asks for the deterministic
// encoding. It refuses what is not valid: text that is not UTF-8, and a key that
// appears twice in one map.
type scanner struct {
	b   []byte
	off int
}

// breakStop ends an item of indefinite length.
const breakStop = 0xff

// head reads the initial octet of an item and its argument. An item of indefinite
// length has none.
func (s *scanner) head() (major byte, arg uint64, indefinite bool, err *attls.Error) {
	start := s.off
	if s.off >= len(s.b) {
		return 0, 0, false, malformed(start, "RFC 8949 3", "the CBOR ends where an item should begin")
	}
	major, info := s.b[s.off]>>5, s.b[s.off]&0x1f
	s.off++
	switch {
	case info < 24:
		return major, uint64(info), false, nil
	case info == 31 && major >= majorBytes && major <= majorMap:
		return major, 0, true, nil
	case info == 31 && major == majorSimple:
		return 0, 0, false, malformed(start, "RFC 8949 3.2.1", "a break outside an item of indefinite length")
	case info > 27:
		return 0, 0, false, malformed(start, "RFC 8949 3", "additional information %d is reserved", info)
	}
	n := 1 << (info - 24)
	if len(s.b)-s.off < n {
		return 0, 0, false, malformed(start, "RFC 8949 3", "the CBOR ends inside the head of an item")
	}
	for range n {
		arg = arg<<8 | uint64(s.b[s.off])
		s.off++
	}
	if major == majorSimple && n == 1 && arg < 32 {
		return 0, 0, false, malformed(start, "RFC 8949 3.3", "the simple value %d in two octets", arg)
	}
	return major, arg, false, nil
}

// wrongType reports an item of another major type than the one that belongs there.
func wrongType(offset int, got, want byte) *attls.Error {
	return malformed(offset, "", "%s where %s belongs", majorNames[got], majorNames[want])
}

// want reads a head of the given major type.
func (s *scanner) want(major byte) (arg uint64, indefinite bool, err *attls.Error) {
	start := s.off
	got, arg, indefinite, err := s.head()
	if err == nil && got != major {
		err = wrongType(start, got, major)
	}
	return arg, indefinite, err
}

// number reads an unsigned integer or the number of a tag.
func (s *scanner) number(major byte) (uint64, *attls.Error) {
	n, _, err := s.want(major)
	return n, err
}

// entries is an array or a map that is being read.
type entries struct {
	start int
	major byte
	left  int // -1: until a break
	read  int // so far
}

// begin reads the head of an array or a map.
func (s *scanner) begin(major byte) (*entries, *attls.Error) {
	start := s.off
	n, indefinite, err := s.want(major)
	if err != nil {
		return nil, err
	}
	return openEntries(start, major, n, indefinite)
}

func openEntries(start int, major byte, n uint64, indefinite bool) (*entries, *attls.Error) {
	if indefinite {
		return &entries{start: start, major: major, left: -1}, nil
	}
	if n > maxEntries {
		return nil, malformed(start, "", "%s of %d entries; at most %d are accepted", majorNames[major], n, maxEntries)
	}
	return &entries{start: start, major: major, left: int(n)}, nil
}

// more reports whether another entry follows.
func (s *scanner) more(e *entries) (bool, *attls.Error) {
	switch {
	case e.left == 0:
		return false, nil
	case e.left > 0:
		e.left--
	case s.off < len(s.b) && s.b[s.off] == breakStop:
		s.off++
		e.left = 0
		return false, nil
	case e.read == maxEntries:
		return false, malformed(e.start, "", "%s of more than %d entries", majorNames[e.major], maxEntries)
	}
	e.read++
	return true, nil
}

// octets reads the n octets of a string whose head is at start.
func (s *scanner) Octets(start int, major byte, n uint64) ([]byte, *attls.Error) {
	if n > uint64(len(s.b)-s.off) {
		return nil, malformed(start, "RFC 8949 3", "a string of %d octets; %d are left", n, len(s.b)-s.off)
	}
	v := s.b[s.off : s.off+int(n)]
	s.off += int(n)
	if major == majorText && !utf8.Valid(v) {
		return nil, malformed(start, "RFC 8949 3.1", "a text string that is not UTF-8")
	}
	return v, nil
}

// chunks reads a string of indefinite length after its head: strings of the same
// type and of definite length, up to a break.
func (s *scanner) chunks(major byte) (v []byte, err *attls.Error) {
	v = []byte{}
	for {
		start := s.off
		if s.off < len(s.b) && s.b[s.off] == breakStop {
			s.off++
			return v, nil
		}
		n, indefinite, err := s.want(major)
		if err == nil && indefinite {
			err = malformed(start, "RFC 8949 3.2.3", "a chunk of indefinite length")
		}
		if err != nil {
			return nil, err
		}
		chunk, err := s.Octets(start, major, n)
		if err != nil {
			return nil, err
		}
		v = append(v, chunk...)
	}
}

// bytes reads a byte string, text a text string.
func (s *scanner) bytes() ([]byte, *attls.Error) { return s.str(majorBytes) }
func (s *scanner) text() (string, *attls.Error) {
	v, err := s.str(majorText)
	return string(v), err
}

func (s *scanner) str(major byte) ([]byte, *attls.Error) {
	start := s.off
	n, indefinite, err := s.want(major)
	if err != nil {
		return nil, err
	}
	if indefinite {
		return s.chunks(major)
	}
	return s.Octets(start, major, n)
}

// peek is the major type of the next item, or 255 at the end.
func (s *scanner) peek() byte {
	if s.off >= len(s.b) {
		return 255
	}
	return s.b[s.off] >> 5
}

// item reads one whole item and returns its octets.
func (s *scanner) item(depth int) ([]byte, *attls.Error) {
	start := s.off
	if depth > maxDepth {
		return nil, malformed(start, "", "CBOR nested deeper than %d levels", maxDepth)
	}
	major, arg, indefinite, err := s.head()
	if err != nil {
		return nil, err
	}
	switch major {
	case majorBytes, majorText:
		if indefinite {
			_, err = s.chunks(major)
		} else {
			_, err = s.Octets(start, major, arg)
		}
	case majorArray, majorMap:
		var e *entries
		if e, err = openEntries(start, major, arg, indefinite); err != nil {
			return nil, err
		}
		if major == majorMap {
			err = s.pairs(e, depth, func([]byte) *attls.Error { _, err := s.item(depth + 1); return err })
			break
		}
		for err == nil {
			var more bool
			if more, err = s.more(e); !more {
				break
			}
			_, err = s.item(depth + 1)
		}
	case majorTag:
		_, err = s.item(depth + 1)
	}
	if err != nil {
		return nil, err
	}
	return s.b[start:s.off], nil
}

// pairs reads a map at a depth; value reads what follows a key. A key counts as a duplicate
// when it recurs in its shortest form.
func (s *scanner) pairs(e *entries, depth int, value func(key []byte) *attls.Error) *attls.Error {
	seen := make(map[string]bool, max(e.left, 0))
	for {
		more, err := s.more(e)
		if !more || err != nil {
			return err
		}
		start := s.off
		key, err := s.item(depth + 1)
		if err != nil {
			return err
		}
		short := string(shortest(key))
		if seen[short] {
			return malformed(start, "RFC 8949 5.6", "the key %x appears twice in one map", key)
		}
		seen[short] = true
		if err := value(key); err != nil {
			return err
		}
	}
}

// shortest rewrites one well-formed item with definite lengths and heads of the
// shortest form. The order of entries and the size of floating-point numbers stay.
func shortest(b []byte) []byte {
	s := scanner{b: b}
	return s.rewrite(make([]byte, 0, len(b)))
}

func (s *scanner) rewrite(out []byte) []byte {
	start := s.off
	major, arg, indefinite, err := s.head()
	if err != nil {
		return out
	}
	switch major {
	case majorBytes, majorText:
		var v []byte
		if indefinite {
			v, _ = s.chunks(major)
		} else {
			v, _ = s.Octets(start, major, arg)
		}
		return append(appendHead(out, major, uint64(len(v))), v...)
	case majorArray, majorMap:
		e, err := openEntries(start, major, arg, indefinite)
		if err != nil {
			return out
		}
		var inner []byte
		for {
			if more, err := s.more(e); !more || err != nil {
				break
			}
			inner = s.rewrite(inner)
			if major == majorMap {
				inner = s.rewrite(inner)
			}
		}
		return append(appendHead(out, major, uint64(e.read)), inner...)
	case majorTag:
		return s.rewrite(appendHead(out, major, arg))
	case majorSimple:
		return append(out, s.b[start:s.off]...)
	}
	return appendHead(out, major, arg)
}

func appendHead(out []byte, major byte, arg uint64) []byte {
	major <<= 5
	switch {
	case arg < 24:
		return append(out, major|byte(arg))
	case arg <= math.MaxUint8:
		return append(out, major|24, byte(arg))
	case arg <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(out, major|25), uint16(arg))
	case arg <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(out, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(out, major|27), arg)
}

// end reports octets after the last item.
func (s *scanner) end() *attls.Error {
	if n := len(s.b) - s.off; n > 0 {
		return malformed(s.off, "", "%d octets follow the end", n)
	}
	return nil
}

// wellFormed checks that b is one item under the rules of scanner.
func wellFormed(b []byte) *attls.Error {
	s := scanner{b: b}
	if _, err := s.item(0); err != nil {
		return err
	}
	return s.end()
}

// claims is a claims set with the values as they stand in the token, so that
// hashes are taken over the original octets. Keys are int64 or string.
type claims map[any]cbor.RawMessage

// Claims is a CBOR map whose keys are integers (int64) or text, with its values as
// they are in the octets.
type Claims = claims

// ParseClaims reads one CBOR map and nothing after it, under the limits that hold for
// all CBOR here: no key twice, 16 levels, 256 entries. The values refer to b.
func ParseClaims(b []byte) (Claims, *attls.Error) { return parseClaims(b) }

// Encode writes a map in the core deterministic encoding (RFC 8949 section 4.2.1).
func (c claims) Encode() []byte { return c.encode() }

// Set puts a value under a key, an int64 or a string.
func (c claims) Set(key, v any) { c.set(key, v) }

// Read fills v from the value of a key; false when there is none.
func (c claims) Read(key, v any) (bool, *attls.Error) { return c.read(key, v) }

func parseClaims(b []byte) (claims, *attls.Error) {
	if err := wellFormed(b); err != nil {
		return nil, err
	}
	if b[0]>>5 != majorMap {
		return nil, malformed(0, "RFC 8392 3", "%s where the claims set belongs", majorNames[b[0]>>5])
	}
	s := scanner{b: b}
	e, err := s.begin(majorMap)
	if err != nil {
		return nil, err
	}
	c := claims{}
	return c, s.pairs(e, 0, func(key []byte) *attls.Error {
		label, err := labelOf(s.off-len(key), key)
		if err != nil {
			return err
		}
		c[label], err = s.item(1)
		return err
	})
}

// labelOf reads the key of a map, which is an int64 or a string.
func labelOf(offset int, key []byte) (any, *attls.Error) {
	if m := key[0] >> 5; m != majorUnsigned && m != majorNegative && m != majorText {
		return nil, malformed(offset, "", "%s as label; it is an integer or text", majorNames[m])
	}
	var label any
	if err := decoding.Unmarshal(shortest(key), &label); err != nil {
		return nil, malformed(offset, "", "the label: %v", err)
	}
	switch label.(type) {
	case int64, string:
		return label, nil
	}
	return nil, malformed(offset, "", "the label %v does not fit 64 bits", label)
}

// set encodes a value under a key (an int64 or a string).
func (c claims) set(key, v any) { c[key] = must(encoding.Marshal(v)) }

// encode gives the set in the core deterministic encoding.
func (c claims) encode() []byte { return must(encoding.Marshal(c)) }

// Octets is a claim that must be a byte string; nil when it is absent.
func (c claims) Octets(key any) ([]byte, *attls.Error) {
	raw, ok := c[key]
	if !ok {
		return nil, nil
	}
	s := scanner{b: raw}
	v, err := s.bytes()
	return v, under(err, key)
}

// read fills v from a claim; false when it is absent. The library takes null for
// any type and leaves v as it is, so null is refused here.
func (c claims) read(key, v any) (bool, *attls.Error) {
	raw, ok := c[key]
	if !ok {
		return false, nil
	}
	if isNull(raw) {
		return false, under(malformed(-1, "", "null where a value belongs"), key)
	}
	if err := decoding.Unmarshal(shortest(raw), v); err != nil {
		return false, under(malformed(-1, "", "%v", err), key)
	}
	return true, nil
}

// isNull reports whether an item is null or undefined.
func isNull(raw []byte) bool { return len(raw) == 1 && (raw[0] == 0xf6 || raw[0] == 0xf7) }
