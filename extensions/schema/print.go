package schema

import (
	"strings"
)

// String prints the File in the presentation language. Parsing what it prints
// gives the same File but for the positions. Comments are not kept.
func (f *File) String() string {
	var b strings.Builder
	for i, d := range f.Definitions {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(d.String())
	}
	return b.String()
}

// String prints the Definition with a line feed at its end.
func (d *Definition) String() string {
	p := &printer{}
	switch {
	case d.Enum != nil:
		p.enum(d)
	case d.Struct != nil && len(d.Struct.Members) == 0:
		p.line("struct { } ", d.Name, ";")
	case d.Struct != nil:
		p.line("struct {")
		p.members(d.Struct.Members)
		p.line("} ", d.Name, ";")
	default:
		p.line(d.Alias.String(), ";")
	}
	return p.b.String()
}

type printer struct {
	b     strings.Builder
	level int
}

func (p *printer) line(parts ...string) {
	p.b.WriteString(strings.Repeat("    ", p.level))
	for _, s := range parts {
		p.b.WriteString(s)
	}
	p.b.WriteByte('\n')
}

const lineWidth = 80

// enum prints on one line what fits there.
func (p *printer) enum(d *Definition) {
	names := make([]string, len(d.Enum.Members))
	for i, m := range d.Enum.Members {
		names[i] = m.String()
	}
	if one := "enum { " + strings.Join(names, ", ") + " } " + d.Name + ";"; len(one) <= lineWidth {
		p.line(one)
		return
	}
	p.line("enum {")
	p.level++
	for i, n := range names {
		if i < len(names)-1 {
			n += ","
		}
		p.line(n)
	}
	p.level--
	p.line("} ", d.Name, ";")
}

// String prints the enumerator.
func (m *Enumerator) String() string {
	switch {
	case m.TBD:
		return m.Name + "(TBD)"
	case m.Value == nil:
		return m.Name
	case m.Last != nil:
		return m.Name + "(" + m.Value.String() + ".." + m.Last.String() + ")"
	}
	return m.Name + "(" + m.Value.String() + ")"
}

func (p *printer) members(ms []Member) {
	p.level++
	for _, m := range ms {
		if m.Field != nil {
			p.line(m.Field.String(), ";")
		} else {
			p.choice(m.Select)
		}
	}
	p.level--
}

func (p *printer) choice(s *SelectDecl) {
	p.line("select (", s.On, ") {")
	p.level++
	for i := range s.Arms {
		a := &s.Arms[i]
		for j, c := range a.Cases {
			head := "case " + c.text() + ":"
			if j == len(a.Cases)-1 && len(a.Members) == 1 && a.Members[0].Field != nil {
				p.line(head, " ", a.Members[0].Field.String(), ";")
			} else {
				p.line(head)
			}
		}
		if len(a.Members) > 1 || a.Members[0].Field == nil {
			p.members(a.Members)
		}
	}
	p.level--
	if s.Label != "" {
		p.line("} ", s.Label, ";")
	} else {
		p.line("};")
	}
}

// String prints the field without its semicolon.
func (f *FieldDecl) String() string {
	s := f.Type
	if f.Name != "" {
		s += " " + f.Name
	}
	switch {
	case f.Array != nil:
		s += "[" + f.Array.String() + "]"
	case f.Ceiling != nil:
		s += "<" + f.Floor.String() + ".." + f.Ceiling.String() + ">"
	case f.Constant != nil:
		s += " = " + f.Constant.String()
	}
	return s
}

// String prints the expression with the parentheses it needs.
func (e *Expr) String() string {
	if e.Op == 0 {
		return e.Text
	}
	// Operators group from the left, so a right operand of the same rank needs them.
	return e.X.within(rank(e.Op)) + string(e.Op) + e.Y.within(rank(e.Op)+1)
}

func rank(op byte) int {
	switch op {
	case '^':
		return 3
	case '*':
		return 2
	}
	return 1
}

func (e *Expr) within(least int) string {
	if e.Op != 0 && rank(e.Op) < least {
		return "(" + e.String() + ")"
	}
	return e.String()
}
