// Package gate puts text on terminals and into pages: whatever somebody else may
// have chosen of it passes attls.Printable.
package gate

import (
	"bytes"
	"io"
	"sync"
	"unicode"
	"unicode/utf8"

	"attls"
)

// Writer makes what is written to it printable, line feeds and tabs kept, and hands
// it on. It may be used concurrently.
type Writer struct {
	w io.Writer

	mu   sync.Mutex
	tail []byte // the beginning of a character that the next Write may complete
	end  bool   // after Close
}

// New returns a Writer before w. A Writer is returned as it is.
func New(w io.Writer) *Writer {
	if g, ok := w.(*Writer); ok {
		return g
	}
	return &Writer{w: w}
}

// Raw is the writer behind a Writer, for what may not be changed: data that the user
// asked for, and text that has passed attls.Printable already. Any other writer is
// returned as it is.
func Raw(w io.Writer) io.Writer {
	if g, ok := w.(*Writer); ok {
		return g.w
	}
	return w
}

// Write writes text. It reports that all octets were written when all text was. After
// Close it fails with io.ErrClosedPipe.
func (g *Writer) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.end {
		return 0, io.ErrClosedPipe
	}
	text := append(g.tail, b...)
	g.tail = nil
	if n := unfinished(text); n > 0 {
		text, g.tail = text[:len(text)-n], bytes.Clone(text[len(text)-n:])
	}
	if len(text) == 0 {
		return len(b), nil
	}
	if _, err := io.WriteString(g.w, attls.PrintableLines(string(text))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close writes the beginning of a character that nothing completed, and has later
// writes fail: what somebody left running writes nothing after the end. It leaves the
// writer behind it open.
func (g *Writer) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end = true
	if len(g.tail) == 0 {
		return nil
	}
	_, err := io.WriteString(g.w, attls.Printable(string(g.tail)))
	g.tail = nil
	return err
}

// unfinished is how many octets at the end may be the beginning of a character.
func unfinished(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if b := text[len(text)-n]; utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRune(text[len(text)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// JSON replaces in encoded JSON the characters that are not graphic by their
// escapes, which mean the same: encoding/json leaves DEL, C1 and bidirectional
// characters in strings as they are. What separates values stays.
func JSON(encoded []byte) []byte {
	if bytes.IndexFunc(encoded, hidden) < 0 {
		return encoded
	}
	out := make([]byte, 0, len(encoded)+16)
	for len(encoded) > 0 {
		r, size := utf8.DecodeRune(encoded)
		if hidden(r) {
			out = appendEscape(out, r)
		} else {
			out = append(out, encoded[:size]...)
		}
		encoded = encoded[size:]
	}
	return out
}

// hidden characters of JSON appear in strings only, but for the space around values.
func hidden(r rune) bool {
	return r != '\n' && r != '\t' && r != '\r' && !unicode.IsGraphic(r)
}

const hexadecimal = "0123456789abcdef"

func appendEscape(b []byte, r rune) []byte {
	if r >= 0x10000 { // a surrogate pair (RFC 8259 section 7)
		r -= 0x10000
		return appendEscape(appendEscape(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return append(b, '\\', 'u', hexadecimal[r>>12&15], hexadecimal[r>>8&15], hexadecimal[r>>4&15], hexadecimal[r&15])
}
