package schema

import (
	"errors"
	"strconv"

	"attls"
)

// ErrUndefinedArm is wrapped by the error of Decode when the number that
// decides a select has no case: nothing says how long the value is, so the
// rest cannot be read. A profile may choose to ignore the extension then.
var ErrUndefinedArm = errors.New("no case of the select is for it")

// ErrConstant is wrapped by the error of Decode when a field has another
// number than its constant.
var ErrConstant = errors.New("the field is a constant")

// Codec decodes and encodes the values of one type in one Context.
type Codec struct {
	typeName string
	root     *node
	ctx      Context
}

// WithoutBounds is the codec with IgnoreBounds in its Context.
func (c *Codec) WithoutBounds() *Codec {
	n := *c
	n.ctx.IgnoreBounds = true
	return &n
}

// TypeName is the name of the type.
func (c *Codec) TypeName() string { return c.typeName }

// Decode reads a body. The Value has views of it. Octets that are left over
// are an error (FailTrailing) unless the Context ignores them; an error tells
// the offset in octets from the start of the body and the path of the field,
// and leaves it to the caller to name the message. A number that its enum does
// not list is accepted unless it decides a select (ErrUndefinedArm).
func (c *Codec) Decode(body []byte) (Value, *attls.Error) {
	v, n, err := c.DecodePrefix(body)
	if err == nil && n < len(body) && !c.ctx.IgnoreTrailing {
		err = attls.Errorf(attls.Malformed, attls.FailTrailing, "%s left over", octets(len(body)-n)).At(n)
	}
	if err != nil {
		return Value{}, err
	}
	return v, nil
}

// DecodePrefix is Decode for a value that more octets may follow; it returns
// how many octets the value has.
func (c *Codec) DecodePrefix(body []byte) (Value, int, *attls.Error) {
	size, elements := c.ctx.Limits.Size, c.ctx.Limits.Elements
	if size == 0 {
		size = defaultSize
	}
	if elements == 0 {
		elements = defaultElements
	}
	if len(body) > size {
		return Value{}, 0, attls.Errorf(attls.Violation, attls.FailLimit, "%s; at most %d are read", octets(len(body)), size).
			At(0)
	}
	d := decoder{b: body, end: len(body), left: elements, lax: c.ctx.IgnoreConstants, unbound: c.ctx.IgnoreBounds,
		stack: make([]Value, 0, min(6, 2+len(body)))}
	if err := d.value(c.root, ""); err != nil {
		return Value{}, 0, err
	}
	return d.stack[0], d.pos, nil
}

// register keeps a number that later members depend on, and where it stood.
type register struct {
	value  uint64
	offset int
}

// decoder reads values depth first. Finished values wait on the stack until
// the struct or list around them is complete and moves them to the arena.
type decoder struct {
	b         []byte
	pos, end  int
	registers []register
	stack     []Value
	arena     []Value
	left      int  // Values that may still be made
	lax       bool // constants
	unbound   bool
}

func malformed(offset int, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Malformed, attls.FailDecode, format, args...).At(offset)
}

// take reads so many octets.
func (d *decoder) take(n uint64) ([]byte, *attls.Error) {
	if uint64(d.end-d.pos) < n {
		return nil, malformed(d.pos, "%s where %d are needed", octets(d.end-d.pos), n)
	}
	v := d.b[d.pos : d.pos+int(n) : d.pos+int(n)]
	d.pos += int(n)
	return v, nil
}

func number(b []byte) uint64 {
	n := uint64(0)
	for _, o := range b {
		n = n<<8 | uint64(o)
	}
	return n
}

// spend counts one field or element.
func (d *decoder) spend(offset int) *attls.Error {
	if d.left--; d.left < 0 {
		return attls.Errorf(attls.Violation, attls.FailLimit, "more fields and elements than are read").At(offset)
	}
	return nil
}

// push finishes a value that began at the offset.
func (d *decoder) push(v Value) *attls.Error {
	if err := d.spend(v.Offset); err != nil {
		return err
	}
	v.Wire = d.b[v.Offset:d.pos:d.pos]
	d.stack = append(d.stack, v)
	return nil
}

// keep moves the values above mark from the stack to the arena.
func (d *decoder) keep(mark int) []Value {
	n := len(d.stack) - mark
	if n == 0 {
		return nil
	}
	if cap(d.arena)-len(d.arena) < n {
		d.arena = make([]Value, 0, max(n, min(32, 4+(d.end-d.pos)/2)))
	}
	at := len(d.arena)
	d.arena = append(d.arena, d.stack[mark:]...)
	d.stack = d.stack[:mark]
	return d.arena[at:len(d.arena):len(d.arena)]
}

// value reads a value of a node and pushes it under the name.
func (d *decoder) value(n *node, name string) *attls.Error {
	v := Value{Name: name, Offset: d.pos, node: n}
	switch n.kind {
	case nodeNumber:
		b, err := d.take(uint64(n.width))
		if err != nil {
			return err
		}
		v.Kind, v.Number = KindNumber, number(b)
	case nodeStruct:
		mark := len(d.stack)
		if err := d.structure(n); err != nil {
			return err
		}
		v.Kind, v.Items = KindStruct, d.keep(mark)
	default:
		return d.sequence(n, v, nil)
	}
	return d.push(v)
}

// structure reads the members of a struct; their values stay on the stack.
func (d *decoder) structure(n *node) *attls.Error {
	base := len(d.registers)
	for range n.registers {
		d.registers = append(d.registers, register{})
	}
	err := d.members(n.members, d.registers[base:])
	d.registers = d.registers[:base]
	return err
}

func (d *decoder) members(ms []member, regs []register) (err *attls.Error) {
	for i := range ms {
		if f := ms[i].field; f != nil {
			err = d.field(f, regs)
		} else {
			err = d.choice(ms[i].choice, regs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) field(f *field, regs []register) (err *attls.Error) {
	if f.joined {
		if err := d.spend(d.pos); err != nil {
			return err
		}
		return d.structure(f.node)
	}
	at := d.pos
	if f.node.kind == nodeOctets || f.node.kind == nodeList {
		err = d.sequence(f.node, Value{Name: f.name, Offset: at, node: f.node}, regs)
	} else {
		err = d.value(f.node, f.name)
	}
	if err != nil {
		return err.Under(f.name)
	}
	if f.node.kind != nodeNumber {
		return nil
	}
	v := d.stack[len(d.stack)-1].Number
	if f.register >= 0 {
		regs[f.register] = register{v, at}
	}
	if f.constant != nil && v != *f.constant && !d.lax {
		err = malformed(at, "%d instead of %d", v, *f.constant).Under(f.name)
		err.Err = ErrConstant
		return err
	}
	return nil
}

func (d *decoder) choice(c *choice, regs []register) *attls.Error {
	a := &c.arms[0]
	if c.register >= 0 {
		r := regs[c.register]
		if a = c.armFor(r.value); a == nil {
			err := malformed(r.offset, "%s is %d", c.on, r.value)
			err.Err = ErrUndefinedArm
			if c.label != "" {
				return err.Under(c.label)
			}
			return err
		}
	}
	if c.label == "" {
		return d.members(a.members, regs)
	}
	if a.direct != nil {
		return d.direct(a.direct, c.label, regs)
	}
	v := Value{Name: c.label, Kind: KindStruct, Offset: d.pos}
	mark := len(d.stack)
	if err := d.members(a.members, regs); err != nil {
		return err.Under(c.label)
	}
	v.Items = d.keep(mark)
	return d.push(v)
}

// direct reads the value of a label whose arm is one type that is no struct.
func (d *decoder) direct(f *field, label string, regs []register) *attls.Error {
	renamed := *f
	renamed.name = label
	return d.field(&renamed, regs)
}

// sequence reads an array or a vector and pushes it as v.
func (d *decoder) sequence(n *node, v Value, regs []register) *attls.Error {
	size, err := d.sizeOf(n, regs)
	if err != nil {
		return err
	}
	if n.kind == nodeOctets {
		v.Kind, v.Octets = KindOctets, d.b[d.pos:d.pos+size:d.pos+size]
		d.pos += size
		return d.push(v)
	}
	outer := d.end
	d.end = d.pos + size
	mark := len(d.stack)
	for i := 0; d.pos < d.end; i++ {
		if err := d.value(n.elem, ""); err != nil {
			return err.Under("[" + strconv.Itoa(i) + "]")
		}
	}
	d.end = outer
	v.Kind, v.Items = KindList, d.keep(mark)
	return d.push(v)
}

// sizeOf tells how many octets the contents of an array or vector have, and
// passes over the length in front.
func (d *decoder) sizeOf(n *node, regs []register) (int, *attls.Error) {
	at := d.pos
	var size uint64
	switch {
	case n.rest:
		return d.end - d.pos, nil
	case n.length != nil:
		s, ok := n.length.of(regs)
		if !ok {
			return 0, malformed(at, "the length is negative or above %d octets", maxArray)
		}
		if size = s; size > uint64(d.end-d.pos) {
			return 0, malformed(at, "%s where %d are needed", octets(d.end-d.pos), size)
		}
		return int(size), nil
	}
	prefix, err := d.take(uint64(n.prefix))
	if err != nil {
		return 0, malformed(at, "%s where the length needs %d", octets(d.end-at), n.prefix)
	}
	size = number(prefix)
	switch {
	case size > uint64(d.end-d.pos):
		return 0, malformed(at, "announces %s and %d are left", octets(size), d.end-d.pos)
	case d.unbound:
	case size < n.floor:
		return 0, malformed(at, "%s; at least %d are required", octets(size), n.floor)
	case size > n.ceiling:
		return 0, malformed(at, "%s; at most %d are allowed", octets(size), n.ceiling)
	}
	return int(size), nil
}

// of computes the length of an array from the registers of its struct.
func (l *length) of(regs []register) (uint64, bool) {
	if l.expr == nil {
		return l.span.min, true
	}
	size, ok := l.expr.eval(func(name string) (uint64, bool) {
		slot, ok := l.slots[name]
		if !ok || slot >= len(regs) {
			return 0, false
		}
		return regs[slot].value, true
	})
	return size, ok && size <= maxArray
}

// Decode fixes the context and reads a body; to decode more than once, keep the
// Codec instead. A context that the type does not fit is a Local error.
func (s *Schema) Decode(typeName string, ctx Context, body []byte) (Value, *attls.Error) {
	c, err := s.Codec(typeName, ctx)
	if err != nil {
		e := attls.Errorf(attls.Local, attls.FailConfiguration, "no codec of %s", typeName)
		e.Err = err
		return Value{}, e
	}
	return c.Decode(body)
}
