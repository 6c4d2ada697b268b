package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Schema is a set of types that have been checked.
type Schema struct {
	env   *Environment
	defs  map[string]*Definition
	enums map[string]*enum
	types []string        // defined by the Files, in their order
	own   map[string]bool // the names in types
}

// Compile checks the definitions of Files. Where two Files define the same
// name the later one counts (a derived profile replaces a type of its base);
// inside one File that is an error. env must not change afterwards; nil means
// for DefaultEnvironment.
//
// Problems holds everything that was found in the Files; the Schema is nil when
// one of them is not a warning.
func Compile(env *Environment, files ...*File) (*Schema, Problems) {
	if env == nil {
		env = DefaultEnvironment()
	}
	s := &Schema{env: env, defs: map[string]*Definition{}, enums: map[string]*enum{}, own: map[string]bool{}}
	var found Problems
	for _, f := range env.Base {
		found = append(found, s.define(f)...)
	}
	base := s.defs
	s.defs = map[string]*Definition{}
	for _, f := range files {
		found = append(found, s.define(f)...)
		for _, d := range f.Definitions {
			if !s.own[d.Name] {
				s.own[d.Name] = true
				s.types = append(s.types, d.Name)
			}
		}
	}
	found = append(found, s.defineEnums(base)...)
	for name, d := range base {
		if s.defs[name] == nil {
			s.defs[name] = d
		}
	}
	b := &builder{schema: s, built: map[string]*node{}, height: map[string]int{}}
	for _, name := range s.types {
		if s.enums[name] == nil {
			b.define(name, s.defs[name].Pos)
		}
	}
	found = append(found, b.found...)
	found = slices.DeleteFunc(found, func(p *Problem) bool { return !concerns(p, files) && p.Warning })
	found.sort(files)
	if found.Err() != nil {
		return nil, found
	}
	return s, found
}

// sort brings Problems into the order of the Files and their texts.
func (ps Problems) sort(files []*File) {
	place := func(p *Problem) [3]int {
		file := slices.IndexFunc(files, func(f *File) bool { return f.Name == p.Pos.File })
		return [3]int{file, p.Pos.Line, p.Pos.Column}
	}
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		x, y := place(a), place(b)
		return slices.Compare(x[:], y[:])
	})
}

func concerns(p *Problem, files []*File) bool {
	return slices.ContainsFunc(files, func(f *File) bool { return f.Name == p.Pos.File })
}

// define takes the definitions of one File.
func (s *Schema) define(f *File) (found Problems) {
	first := map[string]Position{}
	for _, d := range f.Definitions {
		if at, ok := first[d.Name]; ok {
			found = append(found, problem(d.Pos, ProblemDuplicate, "%s is defined twice, first at %d:%d", d.Name,
				at.Line, at.Column).
				advise("rename one of the two or remove it"))
			continue
		}
		first[d.Name] = d.Pos
		s.defs[d.Name] = d
	}
	return found
}

// defineEnums makes the enums out of both generations of definitions and the
// numbers of the Environment.
func (s *Schema) defineEnums(base map[string]*Definition) (found Problems) {
	for _, name := range sortedKeys(s.env.Enumerators) {
		if !isEnum(base[name]) && !isEnum(s.defs[name]) {
			found = append(found, problem(Position{}, ProblemUnknownName, "%s, which is given numbers, is not an enum", name))
		}
	}
	names := map[string]bool{}
	for _, defs := range []map[string]*Definition{base, s.defs} {
		for name, d := range defs {
			names[name] = names[name] || isEnum(d)
		}
	}
	for _, name := range sortedKeys(names) {
		if own := s.defs[name]; !names[name] || own != nil && !isEnum(own) {
			continue
		}
		e := &enumBuilder{enum: &enum{name: name}, given: s.env.Enumerators[name]}
		for _, d := range []*Definition{base[name], s.defs[name]} {
			if isEnum(d) {
				e.add(d)
			}
		}
		e.finish()
		s.enums[name] = e.enum
		found = append(found, e.found...)
	}
	return found
}

func isEnum(d *Definition) bool { return d != nil && d.Enum != nil }

type enumBuilder struct {
	enum  *enum
	given map[string]uint64
	found Problems
	bare  uint64 // greatest number that stands alone
	forms bool   // a number stands alone
	last  *Definition
}

// add takes the members of a definition; one that adds to an enum of the base
// keeps the members that are there.
func (e *enumBuilder) add(d *Definition) {
	e.last = d
	known := len(e.enum.members)
	for _, m := range d.Enum.Members {
		first, last, bad := m.numbers()
		if bad != nil {
			e.found = append(e.found, bad)
			continue
		}
		if m.Name == "" {
			e.bare, e.forms = max(e.bare, last), true
			if m.Last == nil {
				continue
			}
		}
		n := enumerator{m.Name, m.Pos, first, last, m.Value != nil}
		if v, ok := e.given[m.Name]; ok && m.Name != "" {
			n.first, n.last, n.numbered = v, v, true
		}
		switch i := e.enum.index(m.Name); {
		case slices.ContainsFunc(e.enum.members[:known], n.same):
		case i < 0 || m.Name == "" || strings.HasSuffix(m.Name, "_RESERVED"): // RFC 8446 repeats obsolete_RESERVED
			e.enum.members = append(e.enum.members, n)
		case i < known:
			e.enum.members[i] = n
		default:
			e.found = append(e.found, problem(m.Pos, ProblemDuplicate, "%s appears twice in %s", m.Name, d.Name).
				advise("remove one of the two"))
		}
	}
}

func (n enumerator) same(o enumerator) bool {
	return n.name == o.name && n.numbered == o.numbered && n.first == o.first && n.last == o.last
}

func (n enumerator) overlaps(o enumerator) bool {
	return n.numbered && o.numbered && n.first <= o.last && o.first <= n.last
}

// numbers are the first and last number of an enumerator.
func (m *Enumerator) numbers() (first, last uint64, bad *Problem) {
	if m.Value == nil {
		return 0, 0, nil
	}
	first, last = m.Value.Num, m.Value.Num
	if m.Last != nil {
		last = m.Last.Num
	}
	switch {
	case last < first:
		bad = problem(m.Pos, ProblemBounds, "the range %s..%s is empty", m.Value.Text, m.Last.Text).
			advise("put the smaller number first")
	case last > 1<<32-1:
		bad = problem(m.Pos, ProblemWidth, "%d does not fit in the 4 octets that an enum may have", last)
	}
	return first, last, bad
}

// finish adds the names that only the Environment has and sets the width:
// that of the number that stands alone, else that of the greatest number.
func (e *enumBuilder) finish() {
	for _, name := range sortedKeys(e.given) {
		if v := e.given[name]; e.enum.index(name) < 0 {
			e.enum.members = append(e.enum.members, enumerator{name, e.last.Pos, v, v, true})
		}
	}
	greatest := e.bare
	for i, m := range e.enum.members {
		if !m.numbered {
			continue
		}
		if e.forms && octetsFor(m.last) > octetsFor(e.bare) {
			e.found = append(e.found, problem(m.pos, ProblemWidth, "%s does not fit in the width of %s, which (%d) sets",
				m.label(), e.enum.name, e.bare).
				advise("take a smaller number or widen the enum"))
		}
		if j := slices.IndexFunc(e.enum.members[:i], m.overlaps); j >= 0 {
			e.found = append(e.found, problem(m.pos, ProblemDuplicate, "%s has the number of %s in %s", m.label(),
				e.enum.members[j].label(), e.enum.name).
				advise("give it another number"))
		}
		greatest = max(greatest, m.last)
	}
	e.enum.width = octetsFor(greatest)
}

// label is the enumerator with its number.
func (n enumerator) label() string { return fmt.Sprintf("%s(%d)", n.name, n.first) }

// Types lists the names that the Files define, in their order.
func (s *Schema) Types() []string { return slices.Clone(s.types) }

// Definition returns the definition in force of a name, nil when there is none.
func (s *Schema) Definition(name string) *Definition { return s.defs[name] }

// Enumerators returns the names of an enum with their numbers (the first of a
// range); false when the name is not an enum. Names without a number are left out.
func (s *Schema) Enumerators(name string) (map[string]uint64, bool) {
	e, ok := s.enums[name]
	if !ok {
		return nil, false
	}
	m := make(map[string]uint64, len(e.members))
	for _, x := range e.members {
		if x.numbered && x.name != "" {
			m[x.name] = x.first
		}
	}
	return m, true
}

// Codec fixes the context of a type. The name "opaque" means a body that
// is octets to its end and has no length of its own.
//
// The error is a Problems: the type is unknown, a select has no arm for the
// context (ProblemNoArm), or the context lacks a parameter (ProblemParameter).
func (s *Schema) Codec(typeName string, ctx Context) (*Codec, error) {
	c := &Codec{typeName: typeName, ctx: ctx}
	if typeName == "opaque" {
		c.root = &node{kind: nodeOctets, name: typeName, rest: true, size: span64{0, defaultSize}, ceiling: defaultSize}
		return c, nil
	}
	b := &builder{schema: s, ctx: &ctx, built: map[string]*node{}, height: map[string]int{}}
	c.root = b.ref(typeName, Position{})
	if err := b.found.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// typeNames are all names that stand for a type.
func (s *Schema) typeNames() []string {
	names := append([]string{"opaque", "uint8", "uint16", "uint24", "uint32", "uint64"}, s.types...)
	for _, n := range sortedKeys(s.defs) {
		if !s.own[n] {
			names = append(names, n)
		}
	}
	return names
}
