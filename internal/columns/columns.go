// Package columns measures text in the columns of a terminal, breaks it into lines
// and lays out tables. It takes printable text (attls.Printable): what is left in it
// takes columns, two for a wide character, none for a mark that joins the one before.
package columns

import (
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Width is the number of columns that a text takes.
func Width(text string) int {
	if ascii(text) {
		return len(text)
	}
	return uniseg.StringWidth(text)
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Longest is the width of the widest text.
func Longest(texts []string) (n int) {
	for _, t := range texts {
		n = max(n, Width(t))
	}
	return n
}

// Pad adds spaces up to a width.
func Pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-Width(text)))
}

// prefix is how many octets of a text take at most width columns. A character is
// never parted from its marks.
func prefix(text string, width int) int {
	if ascii(text) {
		return min(len(text), max(width, 0))
	}
	at, state := 0, -1
	for rest := text; rest != ""; {
		var cluster string
		var columns int
		cluster, rest, columns, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if width -= columns; width < 0 {
			break
		}
		at += len(cluster)
	}
	return at
}

// Cut shortens a text to a width and says so with "…".
func Cut(text string, width int) string {
	switch {
	case Width(text) <= width:
		return text
	case width <= 0:
		return ""
	}
	return text[:prefix(text, width-1)] + "…"
}

// Span is a part of a text, in octets.
type Span struct{ From, To int }

// Breaks are the lines of a text: the first one has at most width columns, each other
// one at most width-indent. A text is broken at spaces, which belong to no line, and
// inside a word where this is too long for a line: after a hyphen or the like, if one is
// near.
func Breaks(text string, width, indent int) (list []Span) {
	if indent >= width {
		indent = 0
	}
	from, room := 0, width
	for Width(text[from:]) > room {
		rest := text[from:]
		fits := prefix(rest, room)
		if fits == 0 { // a character that is wider than the line
			fits = len(rest) - len(after(rest))
		}
		end := fits
		if end < len(rest) && rest[end] != ' ' {
			if at := strings.LastIndexByte(rest[:end], ' '); at >= 0 && strings.TrimLeft(rest[:at], " ") != "" {
				end = at
			} else if at := strings.LastIndexAny(rest[:end], "_-./:") + 1; at > end/3 {
				end = at
			}
		}
		line := strings.TrimRight(rest[:end], " ")
		list = append(list, Span{from, from + len(line)})
		from += len(rest) - len(strings.TrimLeft(rest[end:], " "))
		if from == len(text) {
			return list
		}
		room = width - indent
	}
	return append(list, Span{from, len(text)})
}

// after is a text without its first character.
func after(text string) string {
	_, rest, _, _ := uniseg.FirstGraphemeClusterInString(text, -1)
	return rest
}

// Wrap breaks a text into lines of at most width columns. Each line but the first
// begins with indent, if the width leaves room for it.
func Wrap(text string, width int, indent string) []string {
	spans := Breaks(text, width, Width(indent))
	if Width(indent) >= width {
		indent = ""
	}
	lines := make([]string, len(spans))
	for i, s := range spans {
		lines[i] = text[s.From:s.To]
		if i > 0 {
			lines[i] = indent + lines[i]
		}
	}
	return lines
}

// Pieces cuts a word into pieces of at most width columns.
func Pieces(word string, width int) (list []string) {
	for word != "" {
		n := prefix(word, width)
		if n == 0 {
			n = len(word) - len(after(word))
		}
		list, word = append(list, word[:n]), word[n:]
	}
	return list
}
