package main

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"attls"
	"attls/internal/gate"
)

// painter writes to a terminal or to a file; colour only to a terminal. Every text
// passes attls.Printable: a string that is given to a painter never reaches the
// terminal as it is.
type painter struct {
	w        io.Writer
	terminal bool
	colour   bool
	width    int  // columns
	full     bool // long values are not shortened
}

const (
	minWidth     = 72
	maxWidth     = 110
	defaultWidth = 96
)

// newPainter looks at where the output goes. NO_COLOR turns colour off, COLUMNS
// sets the width.
func newPainter(w io.Writer) *painter {
	w = gate.Raw(w) // which would take our own escape sequences away
	p := &painter{w: w, width: defaultWidth}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		p.width = min(max(n, minWidth), maxWidth)
	}
	file := w
	if o, ok := w.(*watchedOutput); ok {
		file = o.w
	}
	if f, ok := file.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	p.colour = p.terminal && os.Getenv("NO_COLOR") == ""
	return p
}

// style is an SGR parameter of ECMA-48.
type style string

const (
	plain  style = ""
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// painted is printable text with the escape sequences of a style around it.
type painted string

func (p *painter) in(s style, text string) painted {
	text = attls.Printable(text)
	if !p.colour || s == plain || text == "" {
		return painted(text)
	}
	return painted("\x1b[" + string(s) + "m" + text + "\x1b[0m")
}

// line writes one line of parts, each a string or what in returned.
func (p *painter) line(parts ...any) {
	var b strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case painted:
			b.WriteString(string(part))
		case string:
			b.WriteString(attls.Printable(part))
		default:
			panic("a part of a line is a string or painted")
		}
	}
	b.WriteByte('\n')
	io.WriteString(p.w, b.String())
}

// lines writes a text of several lines that is our own.
func (p *painter) lines(text string) {
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		p.line(l)
	}
}

// titled writes a paragraph that begins with a title in bold.
func (p *painter) titled(title string, s style, text string) {
	for i, l := range wrap(title+text, p.width, "  ") {
		if rest, ok := strings.CutPrefix(l, title); ok && i == 0 {
			p.line(p.in(bold, title), p.in(s, rest))
		} else {
			p.line(p.in(s, l))
		}
	}
}

// cut shortens a text to so many columns.
func cut(text string, columns int) string {
	text = attls.Printable(text)
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(0, columns-1)]) + "…"
}

// wrap breaks a text at spaces into lines of so many columns; later lines are
// indented.
func wrap(text string, columns int, indent string) []string {
	var lines []string
	text = attls.Printable(text)
	for utf8.RuneCountInString(text) > columns {
		runes := []rune(text)
		at := strings.LastIndex(string(runes[:columns+1]), " ")
		if at <= len(indent) {
			at = len(string(runes[:columns]))
		}
		lines = append(lines, strings.TrimRight(text[:at], " "))
		text = indent + strings.TrimLeft(text[at:], " ")
	}
	return append(lines, text)
}

func pad(text string, columns int) string {
	text = attls.Printable(text)
	return text + strings.Repeat(" ", max(0, columns-utf8.RuneCountInString(text)))
}

// longest is the number of columns of the longest text.
func longest(texts []string) (n int) {
	for _, t := range texts {
		n = max(n, utf8.RuneCountInString(t))
	}
	return n
}

// pieces cuts a long word into pieces of so many columns.
func pieces(word string, columns int) (list []string) {
	for runes := []rune(word); len(runes) > 0; {
		n := min(len(runes), max(columns, minWidth/2))
		list, runes = append(list, string(runes[:n])), runes[n:]
	}
	return list
}

// short is short, unless the painter shows values whole.
func (p *painter) short(hexadecimal string) string {
	if p.full {
		return hexadecimal
	}
	return short(hexadecimal)
}

// short shows the ends of a long hexadecimal value.
func short(hexadecimal string) string {
	if len(hexadecimal) <= 40 {
		return hexadecimal
	}
	return hexadecimal[:20] + "…" + hexadecimal[len(hexadecimal)-8:]
}
