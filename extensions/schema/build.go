package schema

import (
	"slices"
	"strings"
)

const (
	maxDepth  = 16      // types that stand in each other
	maxWeight = 1 << 14 // fields and selects of a type and all types in it
)

var numberWidths = map[string]int{"uint8": 1, "uint16": 2, "uint24": 3, "uint32": 4, "uint64": 8}

// builder makes nodes of definitions. With a Context it resolves what that
// decides; without, it keeps every arm, so that everything is checked.
type builder struct {
	schema *Schema
	ctx    *Context
	built  map[string]*node // nil nodes: refused
	height map[string]int   // of what was built: how deep types stand in it, itself included
	open   []string         // types around the one being built
	below  int              // greatest height so far of what the innermost open type uses
	found  Problems
	errors int // in found

	named map[any]string // unless nil: what a *SelectDecl or a name in a length refers to
}

// refer notes what a select or a length refers to.
func (b *builder) refer(from any, name string) {
	if b.named != nil {
		b.named[from] = name
	}
}

func (b *builder) report(p *Problem) {
	if b.errors >= maxProblems {
		return
	}
	b.found = append(b.found, p)
	if !p.Warning {
		b.errors++
	}
}

// ref gives the node of a type name, nil when there is none or when enough
// has been found wrong.
func (b *builder) ref(name string, pos Position) *node {
	if b.errors >= maxProblems {
		return nil
	}
	if name == "opaque" {
		return &node{kind: nodeOpaque, name: name, size: span64{1, 1}}
	}
	if w, ok := numberWidths[name]; ok {
		return &node{kind: nodeNumber, name: name, width: w, size: span64{uint64(w), uint64(w)}}
	}
	if e, ok := b.schema.enums[name]; ok {
		return b.enum(e, pos)
	}
	if b.schema.defs[name] == nil {
		b.report(problem(pos, ProblemUnknownName, "no type %s", name).suggest(name, b.schema.typeNames()))
		return nil
	}
	return b.define(name, pos)
}

func (b *builder) enum(e *enum, pos Position) *node {
	for _, m := range e.members {
		if !m.numbered {
			b.report(problem(pos, ProblemNoNumber, "%s is sent and its %s has no number", e.name, m.name).
				advise("give it one in the text or among the code points"))
			return nil
		}
	}
	w := uint64(e.width)
	return &node{kind: nodeNumber, name: e.name, width: e.width, enum: e, size: span64{w, w}}
}

// define gives the node of a struct or of a name for a type.
func (b *builder) define(name string, use Position) *node {
	if i := slices.Index(b.open, name); i >= 0 {
		b.report(problem(use, ProblemCycle, "%s contains itself: %s", name,
			strings.Join(append(b.open[i:len(b.open):len(b.open)], name), " > ")).
			advise("a value of such a type has no end; take one of the fields out"))
		return nil
	}
	if len(b.open)+max(1, b.height[name]) > maxDepth {
		b.report(problem(use, ProblemDepth, "types are nested more than %d deep", maxDepth))
		return nil
	}
	if n, ok := b.built[name]; ok {
		b.below = max(b.below, b.height[name])
		return n
	}
	below := b.below
	b.below = 0
	b.open = append(b.open, name)
	d := b.schema.defs[name]
	var n *node
	if d.Struct != nil {
		n = b.structure(d)
	} else {
		n = b.dimension(d.Alias, &scope{})
	}
	if n != nil && n.name != name { // a copy, since the type it names keeps its own name
		renamed := *n
		renamed.name, renamed.pos = name, d.Pos
		n = &renamed
	}
	b.open = b.open[:len(b.open)-1]
	b.built[name] = n
	b.height[name] = b.below + 1
	b.below = max(below, b.height[name])
	return n
}

// scope is the fields that stand before a place in a struct and are always
// there: those of the struct and of the arms around the place.
type scope struct {
	outer  *scope
	owner  string // name of the struct
	node   *node  // the struct, for its registers
	labels []string
	fields []*field
}

func (sc *scope) each(yield func(*field)) {
	if sc.outer != nil {
		sc.outer.each(yield)
	}
	for _, f := range sc.fields {
		yield(f)
	}
}

func (sc *scope) named(name string) (found *field) {
	sc.each(func(f *field) {
		if f.name == name {
			found = f
		}
	})
	return found
}

func (sc *scope) names() (names []string) {
	sc.each(func(f *field) { names = append(names, f.name) })
	return names
}

// keep gives the field a register.
func (sc *scope) keep(f *field) int {
	if f.register < 0 {
		f.register = sc.node.registers
		sc.node.registers++
	}
	return f.register
}

func (b *builder) structure(d *Definition) *node {
	n := &node{kind: nodeStruct, name: d.Name, pos: d.Pos}
	before := len(b.found)
	n.members = b.members(d.Struct.Members, &scope{owner: d.Name, node: n})
	if len(b.found) > before && b.found[before:].Err() != nil {
		return nil
	}
	if n.weight = weigh(n.members); n.weight > maxWeight {
		b.report(problem(d.Pos, ProblemDepth, "%s has more than %d fields, those of its types included", d.Name, maxWeight))
		return nil
	}
	b.distinct(n.members, nil)
	n.names = namesOf(n.members)
	n.size = sizeOf(n.members)
	return n
}

// distinct reports names that would stand twice in one struct value.
func (b *builder) distinct(members []member, seen []string) []string {
	for _, m := range members {
		switch {
		case m.field != nil && m.field.joined:
			for _, name := range m.field.node.names {
				seen = b.once(name, m.field.pos, seen)
			}
		case m.field != nil:
			seen = b.once(m.field.name, m.field.pos, seen)
		case m.choice.label != "":
			seen = b.once(m.choice.label, m.choice.pos, seen)
			for _, a := range m.choice.arms {
				if a.direct == nil {
					b.distinct(a.members, nil)
				}
			}
		default:
			all := slices.Clip(seen)
			for _, a := range m.choice.arms {
				all = union(all, b.distinct(a.members, slices.Clip(seen)))
			}
			seen = all
		}
	}
	return seen
}

func (b *builder) once(name string, pos Position, seen []string) []string {
	if slices.Contains(seen, name) {
		b.report(problem(pos, ProblemDuplicate, "%s appears twice in one struct", name).
			advise("rename one of the two, or label the select that it is in"))
	}
	return append(seen, name)
}

func (b *builder) members(decls []Member, sc *scope) (list []member) {
	for i := range decls {
		if f := decls[i].Field; f != nil {
			if x := b.field(f, sc); x != nil {
				sc.fields = append(sc.fields, x)
				list = append(list, member{field: x})
			}
			continue
		}
		list = append(list, b.choice(decls[i].Select, decls[i+1:], sc)...)
	}
	return list
}

func (b *builder) field(d *FieldDecl, sc *scope) *field {
	n := b.dimension(d, sc)
	if n == nil {
		return nil
	}
	f := &field{name: d.Name, pos: d.Pos, node: n, register: -1, decl: d}
	if f.name == "" {
		f.joined = n.kind == nodeStruct
		f.name = d.Type
	}
	if d.Constant != nil {
		f.constant = b.constant(d, n)
	}
	if n.length != nil && n.length.alone >= 0 {
		sc.each(func(count *field) {
			if count.register == n.length.alone && count.constant == nil {
				count.measures = f.name
			}
		})
	}
	return f
}

func (b *builder) constant(d *FieldDecl, n *node) *uint64 {
	if n.kind != nodeNumber {
		b.report(problem(d.Constant.Pos, ProblemType, "%s is not a number and takes no constant", d.Type))
		return nil
	}
	var v uint64
	if e := d.Constant; e.Name && n.enum != nil {
		m := n.enum.find(e.Text)
		if m == nil {
			b.report(problem(e.Pos, ProblemUnknownName, "%s has no %s", n.enum.name, e.Text).suggest(e.Text, n.enum.names()))
			return nil
		}
		v = m.first
	} else {
		l := b.number(e)
		if l == nil {
			return nil
		}
		v = *l
	}
	if octetsFor(v) > n.width {
		b.report(problem(d.Constant.Pos, ProblemWidth, "%d does not fit in the %s of %s", v, octets(n.width), d.Type))
	}
	return &v
}

// dimension gives the node of a type with the array or vector after it.
func (b *builder) dimension(d *FieldDecl, sc *scope) *node {
	elem := b.ref(d.Type, d.Pos)
	if elem == nil {
		return nil
	}
	switch {
	case d.Array != nil:
		return b.array(d, elem, sc)
	case d.Ceiling != nil:
		return b.vector(d, elem)
	case elem.kind == nodeOpaque:
		b.report(problem(d.Pos, ProblemType, "opaque without a length").
			advise("write [octets] or <floor..ceiling> after the name"))
		return nil
	}
	return elem
}

// plain reports whether an array or vector of the type is a string of octets.
func plain(elem *node) bool {
	return elem.kind == nodeOpaque || elem.kind == nodeNumber && elem.width == 1 && elem.name == "uint8"
}

func aggregate(d *FieldDecl, elem *node) *node {
	n := &node{kind: nodeList, name: d.Type, pos: d.Pos, elem: elem, weight: elem.weight + 1}
	if plain(elem) {
		n.kind = nodeOctets
	}
	return n
}

func (b *builder) array(d *FieldDecl, elem *node, sc *scope) *node {
	l := b.length(d.Array, sc)
	if l == nil {
		return nil
	}
	n := aggregate(d, elem)
	n.length, n.size = l, l.span
	if b.empty(d, elem) {
		return nil
	}
	if k := elem.size.min; l.span.min == l.span.max && (l.span.min < k && l.span.min > 0 ||
		k == elem.size.max && l.span.min%k != 0) {
		b.report(problem(d.Array.Pos, ProblemBounds, "%s are not a whole number of %s of %s", octets(l.span.min),
			d.Type, octets(k)).
			advise("the number in brackets counts octets, not elements"))
		return nil
	}
	return n
}

// empty refuses elements that can be empty: how many there are could not be told.
func (b *builder) empty(d *FieldDecl, elem *node) bool {
	if elem.size.min > 0 {
		return false
	}
	b.report(problem(d.Pos, ProblemAmbiguous, "an element of type %s can be empty, so nobody can tell how many there are",
		d.Type).
		advise("put a field into %s that is always there", d.Type))
	return true
}

func (b *builder) vector(d *FieldDecl, elem *node) *node {
	floor, ceiling := b.number(d.Floor), b.number(d.Ceiling)
	if floor == nil || ceiling == nil || b.empty(d, elem) {
		return nil
	}
	n := aggregate(d, elem)
	n.floor, n.ceiling = *floor, *ceiling
	switch k := elem.size; {
	case n.ceiling == 0:
		b.report(problem(d.Ceiling.Pos, ProblemBounds, "the ceiling is 0, so nothing fits in").
			advise("raise it or remove the field"))
	case n.floor > n.ceiling:
		b.report(problem(d.Floor.Pos, ProblemBounds, "the floor %d is above the ceiling %d", n.floor, n.ceiling).
			advise("exchange the two"))
	case n.ceiling > 1<<32-1:
		b.report(problem(d.Ceiling.Pos, ProblemBounds, "the ceiling %d needs a length of more than 4 octets", n.ceiling).
			advise("lower it"))
	case k.min > n.ceiling:
		b.report(problem(d.Ceiling.Pos, ProblemBounds, "a %s has at least %s and the ceiling is %d", d.Type,
			octets(k.min), n.ceiling).
			advise("bounds count octets, not elements; raise the ceiling"))
	case k.min == k.max && n.ceiling/k.min*k.min < n.floor:
		b.report(problem(d.Floor.Pos, ProblemBounds, "no multiple of %s lies between %d and %d", octets(k.min),
			n.floor, n.ceiling).
			advise("bounds count octets, not elements"))
	default:
		n.prefix = octetsFor(n.ceiling)
		n.size = span64{uint64(n.prefix) + n.least(), uint64(n.prefix) + n.ceiling}
		return n
	}
	return nil
}

// least is how many octets the contents of a vector have at least.
func (n *node) least() uint64 {
	if n.kind == nodeOctets || n.floor == 0 {
		return n.floor
	}
	k := n.elem.size
	if k.min == k.max {
		return (n.floor + k.min - 1) / k.min * k.min
	}
	return max(n.floor, k.min)
}
