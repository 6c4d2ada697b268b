package attls

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns a text as it may be shown in one line of a terminal, a log or a
// page, no matter who wrote it: a peer chooses names, media types and reasons, and an
// escape sequence in one of them could otherwise clear a screen or paint "accepted"
// over "refused". Whatever is not a graphic character is replaced by an escape:
// control characters (C0, DEL, C1; a line feed among them), format characters, the
// bidirectional ones among them, line and paragraph separators, and characters that
// Unicode does not assign. They become \n, \x1b, \u202e or \U000e0001, and an octet
// that is not UTF-8 becomes \xff. A backslash stays one, so that a text that is
// printable already is returned as it is.
//
// Error.Error returns such text.
func Printable(s string) string {
	at := strings.IndexFunc(s, hidden)
	if at < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		s = appendPrintable(&b, s)
	}
	return b.String()
}

// PrintableLines is Printable for a text of several lines: line feeds and tabs stay.
func PrintableLines(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && hidden(r) }) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		if s[0] == '\n' || s[0] == '\t' {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		s = appendPrintable(&b, s)
	}
	return b.String()
}

// hidden reports whether a character is not shown as itself.
func hidden(r rune) bool { return !unicode.IsGraphic(r) }

// appendPrintable writes the first character of a text, or its escape, and returns
// the rest of the text.
func appendPrintable(b *strings.Builder, s string) string {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && size == 1:
		fmt.Fprintf(b, `\x%02x`, s[0])
	case !hidden(r):
		b.WriteRune(r)
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\r':
		b.WriteString(`\r`)
	case r == '\t':
		b.WriteString(`\t`)
	case r < utf8.RuneSelf:
		fmt.Fprintf(b, `\x%02x`, r)
	case r < 0x10000:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		fmt.Fprintf(b, `\U%08x`, r)
	}
	return s[size:]
}
