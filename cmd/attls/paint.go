package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"attls"
	"attls/internal/columns"
	"attls/internal/gate"

	"golang.org/x/term"
)

// painter writes to a terminal or to a file; colour only to a terminal. Every text
// passes attls.Printable: a string that is given to a painter never reaches the
// terminal as it is.
type painter struct {
	w        io.Writer
	terminal bool
	colour   bool
	width    int  // columns of drawings and paragraphs
	limit    int  // columns of any line; 0: there is no limit
	full     bool // long values are not shortened
}

// Columns. A terminal of fewer than minWidth gets lines of minWidth, which it breaks
// itself; drawings and paragraphs use no more than maxWidth. A file or a pipe gets
// drawings of defaultWidth, and tables and values in lines as long as they are, so
// that other programs find a row in a line.
const (
	minWidth      = 40
	maxWidth      = 110
	defaultWidth  = 96
	terminalWidth = 80 // of a terminal that does not say
)

// newPainter looks at where the output goes. NO_COLOR turns colour off; COLUMNS is
// the width, whatever the terminal says.
func newPainter(w io.Writer) *painter {
	w = gate.Raw(w) // which would take our own escape sequences away
	p := &painter{w: w}
	p.measure()
	p.terminal = p.limit > 0 && p.file() != nil && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(p.file().Fd()))
	p.colour = p.terminal && os.Getenv("NO_COLOR") == ""
	return p
}

// file is the file behind the output; nil if there is none.
func (p *painter) file() *os.File {
	w := p.w
	if o, ok := w.(*watchedOutput); ok {
		w = o.w
	}
	f, _ := w.(*os.File)
	return f
}

// measure sets the width. A terminal may change it at any time.
func (p *painter) measure() {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		p.fit(n)
		return
	}
	f := p.file()
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		p.fit(0)
		return
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil || n <= 0 {
		n = terminalWidth
	}
	p.fit(n)
}

// fit takes a number of columns; 0 is a file.
func (p *painter) fit(n int) {
	if n == 0 {
		p.width, p.limit = defaultWidth, 0
		return
	}
	p.limit = max(n, minWidth)
	p.width = min(p.limit, maxWidth)
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

// painted is printable text in a style.
type painted struct {
	style style
	text  string
}

func (p *painter) in(s style, text string) painted { return painted{s, attls.Printable(text)} }

// escaped is the text with the escape sequences of its style, if there is colour.
func (p *painter) escaped(t painted) string {
	if !p.colour || t.style == plain || t.text == "" {
		return t.text
	}
	return "\x1b[" + string(t.style) + "m" + t.text + "\x1b[0m"
}

// line writes one line of parts, each a string or what in returned. What is wider than
// the terminal goes on in a second line.
func (p *painter) line(parts ...any) { p.flow(p.limit, "", parts...) }

// flow writes parts in lines of so many columns; 0 is no limit. The second line and
// those that follow are indented as the first one is, and by hanging.
func (p *painter) flow(width int, hanging string, parts ...any) {
	var list []painted
	var text strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case painted:
			list = append(list, part)
		case string:
			list = append(list, p.in(plain, part))
		default:
			panic("a part of a line is a string or painted")
		}
		text.WriteString(list[len(list)-1].text)
	}
	whole := text.String()
	spans := []columns.Span{{From: 0, To: len(whole)}}
	indent := whole[:len(whole)-len(strings.TrimLeft(whole, " "))] + hanging
	if width > 0 {
		if len(indent) >= width/2 {
			indent = ""
		}
		spans = columns.Breaks(whole, width, len(indent))
	}
	var b strings.Builder
	for i, span := range spans {
		if i > 0 {
			b.WriteString(indent)
		}
		at := 0
		for _, t := range list {
			from, to := max(span.From, at), min(span.To, at+len(t.text))
			if from < to {
				b.WriteString(p.escaped(painted{t.style, t.text[from-at : to-at]}))
			}
			at += len(t.text)
		}
		b.WriteByte('\n')
	}
	_, _ = io.WriteString(p.w, b.String())
}

// lines writes a text of several lines that is our own.
func (p *painter) lines(text string) {
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		p.line(l)
	}
}

// titled writes a paragraph that begins with a title in bold.
func (p *painter) titled(title string, s style, text string) {
	p.flow(p.width, "  ", p.in(bold, title), p.in(s, text))
}

// paragraph is a text with an indentation, its later lines deeper.
func (p *painter) paragraph(indent, text string) { p.flow(p.width, "  ", indent+text) }

// dump writes octets as hex.Dump does, with fewer in a line where the terminal is
// narrower than its lines.
func (p *painter) dump(octets []byte) {
	const dumpWidth, around = 78, 14 // of a line of hex.Dump; of a line of ours without its octets
	if p.limit == 0 || p.limit >= dumpWidth {
		p.lines(hex.Dump(octets))
		return
	}
	n := (p.limit - around) / 4
	for at := 0; at < len(octets); at += n {
		part := octets[at:min(at+n, len(octets))]
		text := bytes.Clone(part)
		for i, c := range text {
			if c < ' ' || c > '~' {
				text[i] = '.'
			}
		}
		p.line(fmt.Sprintf("%08x  %-*s  |%s|", at, 3*n, fmt.Sprintf("% x", part), text))
	}
}

// table writes a table; styleOf is the style of a row, the head has none of its own.
func (p *painter) table(t *columns.Table, styleOf func(row int) style) {
	for _, row := range t.Rows {
		for i := range row {
			row[i] = attls.Printable(row[i])
		}
	}
	for _, l := range t.Lines(p.limit) {
		s := bold
		if l.Row > 0 {
			s = styleOf(l.Row)
		}
		p.line(p.in(s, l.Text))
	}
}

// everyRow is the style of every row.
func everyRow(s style) func(int) style { return func(int) style { return s } }

// cut shortens a text to so many columns.
func cut(text string, width int) string { return columns.Cut(attls.Printable(text), width) }

// wrap breaks a text at spaces into lines of so many columns; later lines are
// indented.
func wrap(text string, width int, indent string) []string {
	return columns.Wrap(attls.Printable(text), width, indent)
}

func pad(text string, width int) string { return columns.Pad(attls.Printable(text), width) }

// short shortens a long hexadecimal value to a width, if the painter does not show
// values whole.
func (p *painter) short(hexadecimal string, width int) string {
	if p.full {
		return hexadecimal
	}
	return ends(hexadecimal, width)
}

// short shows the ends of a long hexadecimal value.
func short(hexadecimal string) string { return ends(hexadecimal, shortWidth) }

// ends shows the ends of a value that is longer than is easily compared, in at most
// width columns.
func ends(hexadecimal string, width int) string {
	if len(hexadecimal) <= 40 && len(hexadecimal) <= width || width < 9 {
		return hexadecimal
	}
	last := min(8, width/3)
	first := min(shortWidth, width) - 1 - last
	return hexadecimal[:first] + "…" + hexadecimal[len(hexadecimal)-last:]
}

const shortWidth = 29 // 20 digits, "…" and 8 digits
