package profile

import (
	"strings"
)

// fault is what is wrong with the YAML of a text, found by looking at its lines:
// the library tells where it gave up, which is often far from the mistake.
type fault struct {
	line, column int // from 1
	text, advice string
}

// diagnose finds the mistake in a text that the YAML library refused; nil when
// it is none of the usual ones.
func diagnose(lines []string) *fault {
	d := diagnosis{lines: lines, block: -1}
	for i, line := range lines {
		if f := d.line(i, strings.TrimSuffix(line, "\r")); f != nil {
			return f
		}
	}
	if len(d.flow) > 0 {
		return d.open()
	}
	return nil
}

// diagnosis goes through a text line by line.
type diagnosis struct {
	lines  []string
	levels []level
	flow   []bracket
	block  int // indentation of the key whose block of text is passed over; -1: none
}

// level is an indentation at which keys stand.
type level struct {
	column int
	line   int
	key    string
	opens  bool // the last key has no value on its line
}

type bracket struct {
	mark     byte
	line, at int // counted from 0; octets
	indent   int // of the line
}

func (d *diagnosis) open() *fault {
	b := &d.flow[len(d.flow)-1]
	return &fault{b.line + 1, len([]rune(d.lines[b.line][:b.at])) + 1, "the " + string(b.mark) + " is never closed",
		"close it with " + string(closing(b.mark))}
}

func closing(mark byte) byte {
	if mark == '{' {
		return '}'
	}
	return ']'
}

func (d *diagnosis) line(i int, line string) *fault {
	body := strings.TrimLeft(line, " ")
	indent := len(line) - len(body)
	if d.block >= 0 {
		if body == "" || indent > d.block {
			return nil
		}
		d.block = -1
	}
	if strings.TrimLeft(body, " \t") == "" || body[0] == '#' {
		return nil
	}
	if body[0] == '\t' && len(d.flow) == 0 {
		return &fault{i + 1, indent + 1, "there is a tab in the indentation", "YAML is indented with spaces"}
	}
	if n := len(d.flow); n > 0 {
		if first := d.flow[n-1]; indent <= first.indent && keyOf(body) != "" {
			return d.open() // a key that begins a line belongs to no bracket
		}
		return d.values(i, line, indent, indent)
	}
	for strings.HasPrefix(body, "- ") {
		d.levels = append(d.keep(indent), level{column: indent, line: i, opens: true})
		rest := strings.TrimLeft(body[2:], " ")
		indent += len(body) - len(rest)
		body = rest
	}
	if f := d.indentation(i, indent, body); f != nil {
		return f
	}
	return d.values(i, line, indent, indent)
}

// keep are the levels that a line of an indentation leaves open.
func (d *diagnosis) keep(indent int) []level {
	l := d.levels
	for len(l) > 0 && l[len(l)-1].column >= indent {
		l = l[:len(l)-1]
	}
	return l
}

// indentation holds a line against the levels that are open.
func (d *diagnosis) indentation(i, indent int, body string) *fault {
	key := keyOf(body)
	kept := d.keep(indent + 1)
	switch {
	case key == "" && (len(d.levels) == 0 || !d.levels[len(d.levels)-1].opens):
		return nil // text that goes on from the line before, or a single value
	case len(kept) == 0 && len(d.levels) > 0:
		return &fault{i + 1, indent + 1, "the line is indented less than the first key",
			"begin all keys of a map in the same column"}
	case len(kept) > 0 && kept[len(kept)-1].column < indent && len(kept) < len(d.levels):
		return &fault{i + 1, indent + 1, "the line begins in a column in which no key above it begins",
			"begin all keys of a map in the same column"}
	case len(kept) > 0 && kept[len(kept)-1].column < indent && !kept[len(kept)-1].opens && key != "":
		above := kept[len(kept)-1]
		return &fault{i + 1, indent + 1, "the line is indented deeper than " + above.key + ", which has a value already",
			"begin it in the column of " + above.key}
	}
	d.levels = append(d.keep(indent), level{column: indent, line: i, key: key})
	return nil
}

// keyOf is the key with which a line begins, or "".
func keyOf(body string) string {
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == ':' && (i+1 == len(body) || body[i+1] == ' '):
			return strings.TrimSpace(body[:i])
		case c == '#' && i > 0 && body[i-1] == ' ', strings.IndexByte("{}[],\"'", c) >= 0:
			return ""
		}
	}
	return ""
}

// values looks through what stands on a line from a column on: quotation marks,
// brackets and colons.
func (d *diagnosis) values(i int, line string, from, indent int) *fault {
	wrong := func(k int, text, advice string) *fault { return &fault{i + 1, len([]rune(line[:k])) + 1, text, advice} }
	start := true // of a value or a key
	inValue, empty := false, true
	for k := from; k < len(line); k++ {
		c := line[k]
		flow := len(d.flow) > 0
		switch {
		case c == ' ':
			continue
		case c == '#' && k > 0 && line[k-1] == ' ':
			k = len(line)
			continue
		case (c == '"' || c == '\'') && start:
			end := quoteEnd(line, k)
			if end < 0 {
				return wrong(k, "the quotation mark "+string(c)+" is not closed on its line", "close it, or leave both out")
			}
			k = end
			start, empty = false, false
		case (c == '{' || c == '[') && start:
			d.flow = append(d.flow, bracket{c, i, k, indent})
			empty = false
		case (c == '}' || c == ']') && flow:
			if open := d.flow[len(d.flow)-1]; c != closing(open.mark) {
				return wrong(k, "the "+string(c)+" closes no "+string(open.mark), "close the "+string(open.mark)+" first")
			}
			d.flow = d.flow[:len(d.flow)-1]
			start, empty = false, false
		case c == ',' && flow:
			start = true
		case c == ':' && (k+1 == len(line) || line[k+1] == ' '):
			if inValue && !flow {
				return wrong(k, "the line has a second colon", "put the value into quotation marks")
			}
			inValue = inValue || !flow
			start, empty = true, !flow || empty
		case (c == '|' || c == '>') && start && inValue && !flow:
			d.block = indent
			return nil
		case start && (c == '@' || c == '`' || c == '%') && inValue:
			return wrong(k, "a value cannot begin with "+string(c), "put it into quotation marks")
		default:
			start, empty = false, false
		}
	}
	if n := len(d.levels); n > 0 && len(d.flow) == 0 && inValue {
		d.levels[n-1].opens = empty
	}
	return nil
}

// quoteEnd is where the quotation that begins at an octet of a line ends; -1: it
// does not.
func quoteEnd(line string, start int) int {
	mark := line[start]
	for k := start + 1; k < len(line); k++ {
		switch {
		case mark == '"' && line[k] == '\\':
			k++
		case line[k] == mark && mark == '\'' && k+1 < len(line) && line[k+1] == mark:
			k++
		case line[k] == mark:
			return k
		}
	}
	return -1
}
