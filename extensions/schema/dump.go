package schema

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Line is one line of an annotated dump: octets and what they are.
type Line struct {
	Offset int    // of Octets, from the start of what was decoded
	Octets []byte // a number, a length, or contents; empty for a struct
	Depth  int    // how many structs and lists are around
	Path   string
	Name   string // the last step of the path; empty for the contents of octets
	Text   string // what the octets mean; empty for structs
}

// Lines explains a decoded Value octet by octet, in the order of the wire: a
// line for each number, one for each length with the contents on a line of
// their own, and one without octets for each struct that has a name.
func (v *Value) Lines() []Line {
	l := &liner{}
	l.value(v, v.Name, v.Name, 0)
	return l.lines
}

type liner struct{ lines []Line }

func (l *liner) value(v *Value, path, name string, depth int) {
	line := Line{Offset: v.Offset, Depth: depth, Path: path, Name: name}
	switch v.Kind {
	case KindNumber:
		line.Octets, line.Text = v.Wire, v.numberText()
		l.lines = append(l.lines, line)
	case KindOctets:
		l.octets(v, line)
	case KindList:
		n := len(v.Wire)
		if len(v.Items) > 0 {
			n = v.Items[0].Offset - v.Offset
		}
		line.Octets = v.Wire[:min(n, len(v.Wire))]
		line.Text = fmt.Sprintf("%s in %s", count(len(v.Items), "element"), octets(len(v.Wire)-len(line.Octets)))
		l.lines = append(l.lines, line)
		for i := range v.Items {
			step := "[" + strconv.Itoa(i) + "]"
			l.value(&v.Items[i], path+step, step, depth+1)
		}
	case KindStruct:
		if name != "" {
			l.lines = append(l.lines, line)
			depth++
		}
		for i := range v.Items {
			f := &v.Items[i]
			l.value(f, under(path)+f.Name, f.Name, depth)
		}
	}
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

func (l *liner) octets(v *Value, line Line) {
	prefix := len(v.Wire) - len(v.Octets)
	line.Text = octets(len(v.Octets))
	if prefix > 0 {
		line.Octets = v.Wire[:prefix]
		l.lines = append(l.lines, line)
		if len(v.Octets) == 0 {
			return
		}
		line = Line{Offset: v.Offset + prefix, Depth: line.Depth + 1, Path: line.Path}
	}
	line.Octets = v.Octets
	if s, ok := printable(v.Octets); ok {
		line.Text = strconv.Quote(s)
	}
	l.lines = append(l.lines, line)
}

// printable is what octets are as text, when all of them are visible ASCII.
func printable(b []byte) (string, bool) {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return "", false
		}
	}
	return string(b), len(b) > 0
}

func (v *Value) numberText() string {
	if name := v.Enumerator(); name != "" {
		return fmt.Sprintf("%s(%d)", name, v.Number)
	}
	if v.Number < 10 {
		return strconv.FormatUint(v.Number, 10)
	}
	return fmt.Sprintf("%d (0x%x)", v.Number, v.Number)
}

const (
	dumpRow    = 8 // octets on one row
	dumpColumn = 3*dumpRow + 2
)

// Dump prints Lines as a table: offset, octets in hexadecimal, and indented
// names with what they mean. base is added to the offsets. most bounds how
// many octets are shown of one string; 0 shows all.
func (v *Value) Dump(base, most int) string {
	var b strings.Builder
	for _, l := range v.Lines() {
		shown := l.Octets
		text := l.Text
		if most > 0 && len(shown) > most {
			shown = shown[:most]
			text += fmt.Sprintf(" … %d more", len(l.Octets)-most)
		}
		label := strings.Repeat("  ", l.Depth) + l.Name
		if l.Name != "" && text != "" {
			label += " = "
		}
		row, rest := cut(shown)
		line := fmt.Sprintf("%06x  %-*s%s", base+l.Offset, dumpColumn, spaced(row), label+text)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		for at := base + l.Offset + len(row); len(rest) > 0; at += len(row) {
			row, rest = cut(rest)
			fmt.Fprintf(&b, "%06x  %s\n", at, spaced(row))
		}
	}
	return b.String()
}

func cut(b []byte) (row, rest []byte) {
	n := min(dumpRow, len(b))
	return b[:n], b[n:]
}

// spaced writes octets in hexadecimal with spaces between.
func spaced(b []byte) string { return fmt.Sprintf("% x", b) }

// MarshalJSON writes a struct as an object with its fields in order, a list as
// an array, octets in hexadecimal, a number as a number, and a number that has
// a name in its enum as that name.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.Kind {
	case KindNumber:
		if name := v.Enumerator(); name != "" {
			return json.Marshal(name)
		}
		return json.Marshal(v.Number)
	case KindOctets:
		return json.Marshal(hex.EncodeToString(v.Octets))
	case KindSymbol:
		return json.Marshal(string(v.Octets))
	case KindList:
		if v.Items == nil {
			return []byte("[]"), nil
		}
		return json.Marshal(v.Items)
	case KindStruct:
		b := []byte{'{'}
		for i := range v.Items {
			if i > 0 {
				b = append(b, ',')
			}
			name, _ := json.Marshal(v.Items[i].Name)
			value, err := v.Items[i].MarshalJSON()
			if err != nil {
				return nil, err
			}
			b = append(append(append(b, name...), ':'), value...)
		}
		return append(b, '}'), nil
	}
	return []byte("null"), nil
}
