package handshake

import (
	"slices"

	"attls"
	"attls/extensions"
)

// extensionBuilder collects extension bodies and puts them in order.
type extensionBuilder struct {
	buf     []byte
	items   []builtExtension
	ordered extensions.List
}

// reset begins anew. Its first allocations are enough for most messages.
func (b *extensionBuilder) reset() {
	if b.buf == nil {
		b.buf, b.items, b.ordered = make([]byte, 0, 512), make([]builtExtension, 0, 12), make(extensions.List, 0, 12)
	}
	b.buf, b.items = b.buf[:0], b.items[:0]
}

// has reports whether a type is among the extensions already; the first of a
// type counts.
func (b *extensionBuilder) has(t attls.ExtensionType) bool {
	return slices.ContainsFunc(b.items, func(x builtExtension) bool { return x.t == t })
}

// add appends an extension unless there is one of its type.
func (b *extensionBuilder) add(t attls.ExtensionType, body []byte) {
	b.body(t, func(buf []byte) []byte { return append(buf, body...) })
}

// body appends an extension whose body f writes, unless f returns nil or there is one
// of its type.
func (b *extensionBuilder) body(t attls.ExtensionType, f func([]byte) []byte) {
	buf := f(b.buf)
	if buf == nil || b.has(t) {
		return
	}
	start := len(b.buf)
	b.buf = buf
	b.items = append(b.items, builtExtension{t, start, len(b.buf)})
}

// find returns the body of an extension; nil: there is none.
func (b *extensionBuilder) find(t attls.ExtensionType) []byte {
	for _, x := range b.items {
		if x.t == t {
			return b.buf[x.start:x.end:x.end]
		}
	}
	return nil
}

// replace gives an extension another body, or appends it.
func (b *extensionBuilder) replace(t attls.ExtensionType, body []byte) {
	start := len(b.buf)
	b.buf = append(b.buf, body...)
	item := builtExtension{t, start, len(b.buf)}
	for i := range b.items {
		if b.items[i].t == t {
			b.items[i] = item
			return
		}
	}
	b.items = append(b.items, item)
}

// list returns the extensions in the wanted order; it is valid until the next
// call of list or reset.
func (b *extensionBuilder) list(order []attls.ExtensionType) extensions.List {
	dst := b.ordered[:0]
	for _, t := range order {
		for _, x := range b.items {
			if x.t == t {
				dst = append(dst, extensions.Extension{Type: x.t, Body: b.buf[x.start:x.end]})
			}
		}
	}
	for _, x := range b.items {
		if !slices.Contains(order, x.t) {
			dst = append(dst, extensions.Extension{Type: x.t, Body: b.buf[x.start:x.end]})
		}
	}
	b.ordered = dst
	return dst
}

// fits refuses extensions that are longer together than their message has room for:
// each is within its bounds, and a Config may still have too many long ones.
func (b *extensionBuilder) fits(k attls.MessageKind) *attls.Error {
	n := 0
	for _, x := range b.items {
		n += 4 + x.end - x.start
	}
	if n > maxVector {
		return attls.Errorf(attls.Local, attls.FailTooLarge, "%d octets; a message has room for %d", n, maxVector).
			Under("extensions").In(k).By("RFC 8446 4.2")
	}
	return nil
}

type builtExtension struct {
	t          attls.ExtensionType
	start, end int
}

// startExtensions begins a message with the configured extensions.
func (e *Engine) startExtensions() {
	e.ext.reset()
	for _, x := range e.cfg.ExtraExtensions {
		e.ext.add(x.Type, x.Body)
	}
}
