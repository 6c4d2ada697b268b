package schema

import (
	"slices"
	"strconv"
	"strings"

	"attls"
)

// Encode writes a Value; see Append.
func (c *Codec) Encode(v Value) ([]byte, *attls.Error) {
	return c.Append(make([]byte, 0, min(roughly(&v), maxHint)), v)
}

// maxHint bounds what Encode allocates before it knows how much it needs, in octets.
const maxHint = 1 << 12

// roughly is about how many octets a Value has.
func roughly(v *Value) int {
	n := 8 + len(v.Octets)
	for i := range v.Items {
		n += roughly(&v.Items[i])
	}
	return n
}

// Append writes a Value to dst. Fields are found by name. What the Value does
// not say follows from the rest: a constant; a number that decides a select,
// from the arm whose fields are given; a number that counts the octets of an
// array, from the array. Any other field is written at its minimum: zero (the
// smallest number of an enum), as few octets as its floor allows, the first arm.
//
// Errors are Local (FailConfiguration) and have the path of the field: a field
// that the type does not have, a value of another kind, a number or a length
// out of bounds, arms that cannot be told apart.
func (c *Codec) Append(dst []byte, v Value) ([]byte, *attls.Error) {
	e := encoder{b: dst, left: maxEncoded, unbound: c.ctx.IgnoreBounds}
	if err := e.value(c.root, &v, nil); err != nil {
		return nil, err
	}
	return e.b, nil
}

// maxEncoded bounds the fields and elements that one call writes.
const maxEncoded = 1 << 20

type encoder struct {
	b         []byte
	registers []written // of the structs that are being written, the innermost last
	left      int
	unbound   bool
}

// spend counts one field or element.
func (e *encoder) spend() *attls.Error {
	if e.left--; e.left < 0 {
		return unfit("more than %d fields and elements", maxEncoded)
	}
	return nil
}

// written is a number that later members depend on.
type written struct {
	value  uint64
	offset int  // where it stands; 0 before it was written
	open   bool // not given: it counts the octets of an array that follows
	width  int
}

func unfit(format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Local, attls.FailConfiguration, format, args...)
}

// given is the fields that the caller gave for a struct, and which of them have
// been used.
type given struct {
	items []Value
	used  uint64 // the first 64, a bit each
	more  []bool // the rest
}

func give(items []Value) given {
	g := given{items: items}
	if n := len(items) - 64; n > 0 {
		g.more = make([]bool, n)
	}
	return g
}

func (g *given) isUsed(i int) bool {
	if i >= 64 {
		return g.more[i-64]
	}
	return g.used>>i&1 != 0
}

func (g *given) take(name string) *Value {
	for i := range g.items {
		if g.items[i].Name != name || g.isUsed(i) {
			continue
		}
		if i >= 64 {
			g.more[i-64] = true
		} else {
			g.used |= 1 << i
		}
		return &g.items[i]
	}
	return nil
}

func (g *given) peek(name string) *Value {
	for i := range g.items {
		if g.items[i].Name == name {
			return &g.items[i]
		}
	}
	return nil
}

// surplus is the error for fields that nothing has taken.
func (g *given) surplus(known []string) *attls.Error {
	for i := range g.items {
		if g.isUsed(i) {
			continue
		}
		name := g.items[i].Name
		err := unfit("the type has no such field here")
		if g.peek(name) != &g.items[i] {
			err = unfit("the field is given twice")
		} else if s := Nearest(name, known); s != "" && s != name {
			err = unfit("the type has no such field here; did you mean %q?", s)
		}
		return err.Under(name)
	}
	return nil
}

// value writes one value; v may be nil.
func (e *encoder) value(n *node, v *Value, regs []written) *attls.Error {
	if err := e.spend(); err != nil {
		return err
	}
	if v != nil && v.Kind == KindNone {
		v = nil
	}
	switch n.kind {
	case nodeNumber:
		x, err := n.number(v)
		if err == nil {
			e.number(x, n.width)
		}
		return err
	case nodeOctets:
		return e.octets(n, v, regs)
	case nodeList:
		return e.list(n, v, regs)
	}
	g := given{}
	if v != nil {
		if v.Kind != KindStruct {
			return unfit("%v where a struct is needed", v.Kind)
		}
		g = give(v.Items)
	}
	if err := e.structure(n, &g); err != nil {
		return err
	}
	return g.surplus(n.names)
}

func (e *encoder) number(x uint64, width int) {
	for i := width - 1; i >= 0; i-- {
		e.b = append(e.b, byte(x>>(8*i)))
	}
}

func (e *encoder) patch(at, width int, x uint64) {
	for i := range width {
		e.b[at+i] = byte(x >> (8 * (width - 1 - i)))
	}
}

// number is the number that v stands for, the minimum when v is nil.
func (n *node) number(v *Value) (uint64, *attls.Error) {
	switch {
	case v == nil && n.enum != nil:
		least, _ := n.enum.least()
		return least, nil
	case v == nil:
		return 0, nil
	case v.Kind == KindSymbol && n.enum != nil:
		name := string(v.Octets)
		if m := n.enum.find(name); m != nil {
			return m.first, nil
		}
		if s := Nearest(name, n.enum.names()); s != "" {
			return 0, unfit("%s has no %s; did you mean %q?", n.enum.name, name, s)
		}
		return 0, unfit("%s has no %s", n.enum.name, name)
	case v.Kind != KindNumber:
		return 0, unfit("%v where a number is needed", v.Kind)
	case n.width < 8 && v.Number>>(8*n.width) != 0:
		return 0, unfit("%d does not fit in %s", v.Number, octets(n.width))
	}
	return v.Number, nil
}

func (e *encoder) octets(n *node, v *Value, regs []written) *attls.Error {
	var content []byte
	if v != nil {
		if v.Kind != KindOctets {
			return unfit("%v where octets are needed", v.Kind)
		}
		content = v.Octets
	}
	end, err := e.begin(n, regs, v == nil)
	if err != nil {
		return err
	}
	mark := len(e.b)
	e.b = append(e.b, content...)
	if v == nil && end.fixed > 0 {
		e.b = append(e.b, make([]byte, end.fixed)...)
	}
	return end.finish(e, mark)
}

func (e *encoder) list(n *node, v *Value, regs []written) *attls.Error {
	if v != nil && v.Kind != KindList {
		return unfit("%v where a list is needed", v.Kind)
	}
	end, err := e.begin(n, regs, v == nil)
	if err != nil {
		return err
	}
	mark := len(e.b)
	if v == nil {
		for uint64(len(e.b)-mark) < end.fixed {
			if err := e.value(n.elem, nil, nil); err != nil {
				return err
			}
		}
		return end.finish(e, mark)
	}
	for i := range v.Items {
		if v.Items[i].Kind == KindEncoded {
			if err := e.spend(); err != nil {
				return err
			}
			e.b = append(e.b, v.Items[i].Octets...)
			continue
		}
		if err := e.value(n.elem, &v.Items[i], nil); err != nil {
			return err.Under("[" + strconv.Itoa(i) + "]")
		}
	}
	return end.finish(e, mark)
}

// ending is what is left to do after the contents of an array or vector.
type ending struct {
	n       *node
	at      int      // of the length in front
	fixed   uint64   // octets that an array must have; that an absent value has at least
	pending *written // the field that counts the octets
}

func (e *encoder) begin(n *node, regs []written, absent bool) (ending, *attls.Error) {
	end := ending{n: n, at: len(e.b)}
	switch {
	case n.rest:
	case n.length == nil:
		e.b = append(e.b, make([]byte, n.prefix)...)
		end.fixed = n.floor
	case n.length.alone >= 0 && regs[n.length.alone].open && !absent:
		end.pending = &regs[n.length.alone]
	default:
		plain := make([]register, len(regs))
		for i, r := range regs {
			plain[i].value = r.value
		}
		size, ok := n.length.of(plain)
		if !ok {
			return end, unfit("the length is negative or above %d octets", maxArray)
		}
		end.fixed = size
	}
	return end, nil
}

// finish checks the contents, which began at mark, and writes their length.
func (end *ending) finish(e *encoder, mark int) *attls.Error {
	n, size := end.n, uint64(len(e.b)-mark)
	switch {
	case n.rest:
	case end.pending != nil:
		if w := end.pending.width; w < 8 && size>>(8*w) != 0 {
			return unfit("%s do not fit in a length of %s", octets(size), octets(w))
		}
		e.patch(end.pending.offset, end.pending.width, size)
		end.pending.value, end.pending.open = size, false
	case n.length != nil:
		if size != end.fixed {
			return unfit("%s where %d are needed", octets(size), end.fixed)
		}
	case size>>(8*n.prefix) != 0 || !e.unbound && (size < n.floor || size > n.ceiling):
		return unfit("%s; %d to %d are allowed", octets(size), n.floor, n.ceiling)
	default:
		e.patch(end.at, n.prefix, size)
	}
	return nil
}

func (e *encoder) structure(n *node, g *given) *attls.Error {
	base := len(e.registers)
	for range n.registers {
		e.registers = append(e.registers, written{})
	}
	// What is appended meanwhile may move the list; this struct keeps its own part.
	err := e.members(n.members, g, e.registers[base:])
	e.registers = e.registers[:base]
	return err
}

func (e *encoder) members(ms []member, g *given, regs []written) (err *attls.Error) {
	for i := range ms {
		if f := ms[i].field; f != nil {
			err = e.field(f, g, regs)
		} else {
			err = e.choice(ms[i].choice, g, regs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) field(f *field, g *given, regs []written) *attls.Error {
	if f.joined {
		if err := e.spend(); err != nil {
			return err
		}
		return e.structure(f.node, g)
	}
	v := g.take(f.name)
	if f.node.kind != nodeNumber {
		if err := e.value(f.node, v, regs); err != nil {
			return err.Under(f.name)
		}
		return nil
	}
	return e.deciding(f, v, g, regs)
}

// deciding writes a number, which may follow from other fields.
func (e *encoder) deciding(f *field, v *Value, g *given, regs []written) *attls.Error {
	if v != nil && v.Kind == KindNone {
		v = nil
	}
	x, err := f.node.number(v)
	if err != nil {
		return err.Under(f.name)
	}
	w := written{offset: len(e.b), width: f.node.width, open: v == nil && f.measures != ""}
	switch {
	case v == nil && f.constant != nil:
		x = *f.constant
	case v == nil && len(f.controls) > 0:
		if x, err = f.implied(g); err != nil {
			return err.Under(f.name)
		}
	case v != nil && f.constant != nil && x != *f.constant:
		return unfit("%d; the constant is %d", x, *f.constant).Under(f.name)
	}
	w.value = x
	if f.register >= 0 {
		regs[f.register] = w
	}
	if err := e.spend(); err != nil {
		return err.Under(f.name)
	}
	e.number(x, f.node.width)
	return nil
}

// implied is the number that selects the arms whose fields are given; the
// first arm when no field of any arm is.
func (f *field) implied(g *given) (uint64, *attls.Error) {
	var decided *cased
	for _, c := range f.controls {
		a, err := c.choice.filled(c.within(g.items))
		if err != nil {
			return 0, err
		}
		if a == nil {
			continue
		}
		if len(a.cases) != 1 || a.cases[0].first != a.cases[0].last {
			return 0, unfit("is not given, and several numbers select the fields that are")
		}
		if t := &a.cases[0]; decided == nil {
			decided = t
		} else if decided.first != t.first {
			return 0, unfit("is not given, and the fields that are belong to %s and %s", decided.name, t.name)
		}
	}
	if decided == nil {
		return f.controls[0].choice.arms[0].cases[0].first, nil
	}
	return decided.first, nil
}

// within goes down the labels to the fields that are given for the choice.
func (c *control) within(items []Value) []Value {
	for _, label := range c.labels {
		g := given{items: items}
		v := g.peek(label)
		if v == nil {
			return nil
		}
		items = v.Items
	}
	return items
}

// filled finds the arm that the given fields belong to; nil when none of them
// belongs to any arm.
func (c *choice) filled(items []Value) (*arm, *attls.Error) {
	g := given{items: items}
	if c.label != "" {
		v := g.peek(c.label)
		if v == nil || v.Kind == KindNone {
			return nil, nil
		}
		if v.Kind != KindStruct {
			return c.one(func(a *arm) bool { return a.direct != nil && fits(a.direct.node, v.Kind) }, v.Kind.String())
		}
		items = v.Items
	}
	var names []string
	for i := range items {
		if slices.ContainsFunc(c.arms, func(a arm) bool { return a.has(items[i].Name) }) || c.label != "" {
			names = append(names, items[i].Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	covers := func(a *arm) bool {
		return a.direct == nil && !slices.ContainsFunc(names, func(n string) bool { return !a.has(n) })
	}
	return c.one(covers, strings.Join(names, ", "))
}

func fits(n *node, k Kind) bool {
	switch n.kind {
	case nodeNumber:
		return k == KindNumber || k == KindSymbol
	case nodeOctets:
		return k == KindOctets
	}
	return k == KindList
}

// one finds the only arm that fits what is given.
func (c *choice) one(fit func(*arm) bool, what string) (found *arm, err *attls.Error) {
	for i := range c.arms {
		a := &c.arms[i]
		if !fit(a) {
			continue
		}
		if found != nil {
			return nil, unfit("is not given, and %s fit both %s and %s", what, found.cases[0].name, a.cases[0].name)
		}
		found = a
	}
	if found == nil {
		return nil, unfit("is not given, and no case of the select on %s has %s", c.on, what)
	}
	return found, nil
}

func (e *encoder) choice(c *choice, g *given, regs []written) *attls.Error {
	a := &c.arms[0]
	if c.register >= 0 {
		if a = c.armFor(regs[c.register].value); a == nil {
			return unfit("%s is %d and no case of the select is for it", c.on, regs[c.register].value)
		}
	}
	if c.label == "" {
		return e.members(a.members, g, regs)
	}
	v := g.take(c.label)
	if a.direct != nil {
		if err := e.value(a.direct.node, v, regs); err != nil {
			return err.Under(c.label)
		}
		return nil
	}
	inner := given{}
	if v != nil && v.Kind != KindNone {
		if v.Kind != KindStruct {
			return unfit("%v where a struct is needed", v.Kind).Under(c.label)
		}
		inner = give(v.Items)
	}
	err := e.members(a.members, &inner, regs)
	if err == nil {
		err = inner.surplus(a.names)
	}
	if err != nil {
		return err.Under(c.label)
	}
	return nil
}
