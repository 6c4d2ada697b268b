// Package extensions holds the bodies of RFC extensions as fast hand-written
// codecs, lists of extensions, and the placement table of RFC 8446 section 4.2
// as data that code consults.
package extensions

import (
	"attls"
)

// Extension is an extension with a view of its body. Offset is where the body
// begins, in octets from the start of the message body.
type Extension struct {
	Type   attls.ExtensionType
	Body   []byte
	Offset int
}

// List is the extensions of one message (or CertificateEntry) in their order.
type List []Extension

// Find returns the extension of a type.
func (l List) Find(t attls.ExtensionType) (*Extension, bool) {
	for i := range l {
		if l[i].Type == t {
			return &l[i], true
		}
	}
	return nil, false
}

// Get returns the body of an extension.
func (l List) Get(t attls.ExtensionType) ([]byte, bool) {
	if x, ok := l.Find(t); ok {
		return x.Body, true
	}
	return nil, false
}

// ParseList appends to dst the extensions of a vector whose contents (without
// its length) are b and begin at the given offset of the message body. A type
// that stands twice is an error (RFC 8446 section 4.2).
func ParseList(dst List, b []byte, offset int) (List, *attls.Error) {
	if dst == nil && len(b) > 0 {
		dst = make(List, 0, 12) // enough for most messages
	}
	base := len(dst)
	var low, high uint64 // types 0–63 and the second block 64–127: the common case without a search
	for pos := 0; pos < len(b); {
		if len(b)-pos < 4 {
			return dst, malformed(offset+pos, "%d octets where an extension's header needs 4", len(b)-pos)
		}
		t := attls.ExtensionType(u16(b[pos:]))
		n := int(u16(b[pos+2:]))
		if len(b)-pos-4 < n {
			return dst, malformed(offset+pos+2, "%v announces %d octets and %d are left", t, n, len(b)-pos-4).Under(t.String())
		}
		seen := false
		switch {
		case t < 64:
			seen, low = low>>t&1 == 1, low|1<<t
		case t < 128:
			seen, high = high>>(t-64)&1 == 1, high|1<<(t-64)
		}
		dst = append(dst, Extension{Type: t, Body: b[pos+4 : pos+4+n : pos+4+n], Offset: offset + pos + 4})
		if seen {
			return dst, duplicate(t, offset+pos)
		}
		pos += 4 + n
	}
	return dst, findDuplicate(dst[base:])
}

// findDuplicate looks at the types that ParseList does not keep in a bit set.
// Few are compared pairwise; many go through a set, so that a block full of
// tiny extensions costs no more than its length.
func findDuplicate(l List) *attls.Error {
	var few [16]attls.ExtensionType
	n := 0
	var many map[attls.ExtensionType]struct{}
	for i := range l {
		t := l[i].Type
		if t < 128 {
			continue
		}
		if many == nil {
			for _, s := range few[:n] {
				if s == t {
					return duplicate(t, l[i].Offset-4)
				}
			}
			if n < len(few) {
				few[n] = t
				n++
				continue
			}
			many = make(map[attls.ExtensionType]struct{}, len(l))
			for _, s := range few[:n] {
				many[s] = struct{}{}
			}
		}
		if _, ok := many[t]; ok {
			return duplicate(t, l[i].Offset-4)
		}
		many[t] = struct{}{}
	}
	return nil
}

func duplicate(t attls.ExtensionType, offset int) *attls.Error {
	return attls.Errorf(attls.Violation, attls.FailDuplicateExtension, "stands twice").At(offset).Under(t.String()).By("RFC 8446 4.2")
}

// Append appends one extension.
func Append(b []byte, t attls.ExtensionType, body []byte) []byte {
	b = append(b, byte(t>>8), byte(t), byte(len(body)>>8), byte(len(body)))
	return append(b, body...)
}

// AppendList appends a list with the 2-octet length in front.
func AppendList(b []byte, l List) []byte {
	mark := len(b)
	b = append(b, 0, 0)
	for i := range l {
		b = Append(b, l[i].Type, l[i].Body)
	}
	return putLength16(b, mark)
}

// putLength16 back-patches the length of a vector that began at mark.
func putLength16(b []byte, mark int) []byte {
	n := len(b) - mark - 2
	b[mark], b[mark+1] = byte(n>>8), byte(n)
	return b
}

func u16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

func malformed(offset int, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Malformed, attls.FailDecode, format, args...).At(offset)
}

func illegal(offset int, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...).At(offset)
}

func trailing(offset, n int) *attls.Error {
	return attls.Errorf(attls.Malformed, attls.FailTrailing, "%d octets are left over", n).At(offset)
}

// cursor reads a body front to back.
type cursor struct {
	b   []byte
	pos int
}

// vector reads a vector with a length of so many octets and a floor; the view
// is its contents.
func (c *cursor) vector(name string, width, floor int) ([]byte, *attls.Error) {
	if len(c.b)-c.pos < width {
		return nil, malformed(c.pos, "%d octets where the length needs %d", len(c.b)-c.pos, width).Under(name)
	}
	n := 0
	for i := 0; i < width; i++ {
		n = n<<8 | int(c.b[c.pos+i])
	}
	at := c.pos
	c.pos += width
	if len(c.b)-c.pos < n {
		return nil, malformed(at, "announces %d octets and %d are left", n, len(c.b)-c.pos).Under(name)
	}
	if n < floor {
		return nil, malformed(at, "%d octets; at least %d are required", n, floor).Under(name)
	}
	v := c.b[c.pos : c.pos+n : c.pos+n]
	c.pos += n
	return v, nil
}

func (c *cursor) number(name string, width int) (int, *attls.Error) {
	if len(c.b)-c.pos < width {
		return 0, malformed(c.pos, "%d octets where %d are needed", len(c.b)-c.pos, width).Under(name)
	}
	n := 0
	for i := 0; i < width; i++ {
		n = n<<8 | int(c.b[c.pos])
		c.pos++
	}
	return n, nil
}

func (c *cursor) end() *attls.Error {
	if c.pos < len(c.b) {
		return trailing(c.pos, len(c.b)-c.pos)
	}
	return nil
}
