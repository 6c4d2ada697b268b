// Package extensions holds the bodies of RFC extensions as fast hand-written
// codecs, lists of extensions, and the placement table of RFC 8446 section 4.2
// as data that code consults.
package extensions

import (
	"attls"
	"attls/internal/wire"
)

// Extension is an extension with a view of its body. Offset is where the body
// begins, in octets from the start of the message body. RFC 8446 section 4.2:
//
//	struct {
//	    ExtensionType extension_type;
//	    opaque extension_data<0..2^16-1>;
//	} Extension;
type Extension struct {
	Type   attls.ExtensionType
	Body   []byte
	Offset int
}

// Locate adds the place of the extension to an error that is about its body, and
// returns the error.
func (x *Extension) Locate(err *attls.Error) *attls.Error {
	if err == nil {
		return nil
	}
	if err.Offset >= 0 {
		err.Offset += x.Offset
	}
	return err.Under("extensions." + x.Type.String())
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
// that appears twice is an error (RFC 8446 section 4.2).
func ParseList(dst List, b []byte, offset int) (List, *attls.Error) {
	if dst == nil && len(b) > 0 {
		dst = make(List, 0, 12) // enough for most messages
	}
	base := len(dst)
	var low, high uint64 // types 0–63 and the second block 64–127: the common case without a search
	for r := wire.NewReader(b, offset); r.More(); {
		at := r.Offset()
		if n := r.Left(); n < 4 {
			return dst, malformed("%d octets where an extension's header needs 4", n).At(at)
		}
		t := attls.ExtensionType(r.Uint16(""))
		body := r.Vector("", 2, 0, wire.Max(2))
		if err := r.Err(); err != nil {
			return dst, err.Under(t.String())
		}
		seen := false
		switch {
		case t < 64:
			seen, low = low>>t&1 == 1, low|1<<t
		case t < 128:
			seen, high = high>>(t-64)&1 == 1, high|1<<(t-64)
		}
		dst = append(dst, Extension{Type: t, Body: body, Offset: at + 4})
		if seen {
			return dst, duplicate(t, at)
		}
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
	return attls.Errorf(attls.Violation, attls.FailDuplicateExtension, "appears twice").At(offset).Under(t.String()).
		By("RFC 8446 4.2")
}

// Append appends one extension.
func Append(b []byte, t attls.ExtensionType, body []byte) []byte {
	w := wire.Append(b)
	w.Uint16(uint16(t))
	w.Vector(2, body)
	return w.Bytes()
}

// AppendList appends a list with the 2-octet length in front.
func AppendList(b []byte, l List) []byte {
	w := wire.Append(b)
	mark := w.Open(2)
	for i := range l {
		w.Uint16(uint16(l[i].Type))
		w.Vector(2, l[i].Body)
	}
	w.Close(mark)
	return w.Bytes()
}

func malformed(format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Malformed, attls.FailDecode, format, args...)
}

func illegal(format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Violation, attls.FailIllegalParameter, format, args...)
}
