package attestation

import (
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

var majorNames = [...]string{"an unsigned integer", "a negative integer", "a byte string", "a text string", "an array", "a map", "a tag", "a simple value"}

const (
	maxDepth   = 16  // nesting inside one CBOR item
	maxEntries = 256 // entries of one map or array
)

// encoding is the core deterministic encoding of RFC 8949 section 4.2.1.
var encoding = must(cbor.CoreDetEncOptions().EncMode())

// decoding fills Go types; it sees only octets that scan has accepted.
var decoding = must(cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
	IntDec: cbor.IntDecConvertSigned, MaxNestedLevels: maxDepth, MaxArrayElements: maxEntries, MaxMapPairs: maxEntries}.DecMode())

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

// scanner walks CBOR and reports the octet at which it goes wrong. It accepts
// less than RFC 8949: no indefinite lengths, the shortest form of every head,
// no duplicate keys. Order of keys is free, since published examples of the
// formats carried here do not sort them.
type scanner struct {
	b   []byte
	off int
}

// head reads the initial octet of an item and its argument.
func (s *scanner) head() (major byte, arg uint64, err *attls.Error) {
	start := s.off
	if s.off >= len(s.b) {
		return 0, 0, malformed(start, "RFC 8949 3", "the CBOR ends where an item should begin")
	}
	major, info := s.b[s.off]>>5, s.b[s.off]&0x1f
	s.off++
	switch {
	case info < 24:
		return major, uint64(info), nil
	case info > 27 && info < 31:
		return 0, 0, malformed(start, "RFC 8949 3", "additional information %d is reserved", info)
	case info == 31:
		return 0, 0, malformed(start, "RFC 8949 4.2.1", "an indefinite length or a stray break")
	}
	n := 1 << (info - 24)
	if len(s.b)-s.off < n {
		return 0, 0, malformed(start, "RFC 8949 3", "the CBOR ends inside the head of an item")
	}
	for range n {
		arg = arg<<8 | uint64(s.b[s.off])
		s.off++
	}
	least := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}[info-24]
	if major == majorSimple {
		least = [...]uint64{32, 0, 0, 0}[info-24] // floats are taken in any size
	}
	if arg < least {
		return 0, 0, malformed(start, "RFC 8949 4.2.1", "%s in a longer form than its value %d needs", majorNames[major], arg)
	}
	return major, arg, nil
}

// want reads a head of the given major type.
func (s *scanner) want(major byte) (uint64, *attls.Error) {
	start := s.off
	got, arg, err := s.head()
	if err != nil {
		return 0, err
	}
	if got != major {
		return 0, malformed(start, "", "%s where %s belongs", majorNames[got], majorNames[major])
	}
	return arg, nil
}

// count reads the head of an array or a map.
func (s *scanner) count(major byte) (int, *attls.Error) {
	start := s.off
	n, err := s.want(major)
	if err != nil {
		return 0, err
	}
	return s.entries(start, major, n)
}

func (s *scanner) entries(start int, major byte, n uint64) (int, *attls.Error) {
	if n > maxEntries {
		return 0, malformed(start, "", "%s of %d entries; at most %d are accepted", majorNames[major], n, maxEntries)
	}
	return int(n), nil
}

// octets reads the n octets of a string whose head stood at start.
func (s *scanner) octets(start int, n uint64) ([]byte, *attls.Error) {
	if n > uint64(len(s.b)-s.off) {
		return nil, malformed(start, "RFC 8949 3", "a string of %d octets; %d are left", n, len(s.b)-s.off)
	}
	v := s.b[s.off : s.off+int(n)]
	s.off += int(n)
	return v, nil
}

// bytes reads a byte string, text a text string.
func (s *scanner) bytes() ([]byte, *attls.Error) { return s.str(majorBytes) }
func (s *scanner) text() (string, *attls.Error) {
	v, err := s.str(majorText)
	return string(v), err
}

func (s *scanner) str(major byte) ([]byte, *attls.Error) {
	start := s.off
	n, err := s.want(major)
	if err != nil {
		return nil, err
	}
	return s.octets(start, n)
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
	major, arg, err := s.head()
	if err != nil {
		return nil, err
	}
	switch major {
	case majorBytes, majorText:
		_, err = s.octets(start, arg)
	case majorArray:
		var n int
		n, err = s.entries(start, major, arg)
		for i := 0; i < n && err == nil; i++ {
			_, err = s.item(depth + 1)
		}
	case majorMap:
		var n int
		if n, err = s.entries(start, major, arg); err == nil {
			err = s.pairs(n, func([]byte) *attls.Error { _, err := s.item(depth + 1); return err })
		}
	case majorTag:
		_, err = s.item(depth + 1)
	}
	if err != nil {
		return nil, err
	}
	return s.b[start:s.off], nil
}

// pairs reads the n pairs of a map; value reads what follows a key. A key
// counts as a duplicate when its octets recur, which is exact because every
// value has one accepted head.
func (s *scanner) pairs(n int, value func(key []byte) *attls.Error) *attls.Error {
	seen := make(map[string]bool, n)
	for range n {
		start := s.off
		key, err := s.item(maxDepth) // keys are integers or text
		if err != nil {
			return err
		}
		if seen[string(key)] {
			return malformed(start, "RFC 8949 5.6", "the key %x stands twice in one map", key)
		}
		seen[string(key)] = true
		if err := value(key); err != nil {
			return err
		}
	}
	return nil
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

func parseClaims(b []byte) (claims, *attls.Error) {
	if err := wellFormed(b); err != nil {
		return nil, err
	}
	if b[0]>>5 != majorMap {
		return nil, malformed(0, "RFC 8392 3", "%s where the claims set belongs", majorNames[b[0]>>5])
	}
	var c claims
	if err := decoding.Unmarshal(b, &c); err != nil {
		return nil, malformed(0, "RFC 8392 3", "the claims set: %v", err)
	}
	return c, nil
}

// set encodes a value under a key (an int64 or a string).
func (c claims) set(key, v any) { c[key] = must(encoding.Marshal(v)) }

// encode gives the set in the core deterministic encoding.
func (c claims) encode() []byte { return must(encoding.Marshal(c)) }

// octets is a claim that must be a byte string; nil when it is absent.
func (c claims) octets(key any) ([]byte, *attls.Error) {
	raw, ok := c[key]
	if !ok {
		return nil, nil
	}
	s := scanner{b: raw}
	v, err := s.bytes()
	return v, under(err, key)
}

// read fills v from a claim; false when it is absent.
func (c claims) read(key, v any) (bool, *attls.Error) {
	raw, ok := c[key]
	if !ok {
		return false, nil
	}
	if err := decoding.Unmarshal(raw, v); err != nil {
		return false, under(malformed(-1, "", "%v", err), key)
	}
	return true, nil
}
