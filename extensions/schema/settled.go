package schema

import (
	"slices"
	"strconv"
)

// FieldPrefix precedes the name of a field in what Settled returns, so that it differs
// from an outer parameter.
const FieldPrefix = "field."

// Settled returns the definitions of the named types and of all that they use, in
// the order of their names, in a form that needs no Environment to be read: every
// enumerator has its number, and an enumerator without a name the greatest number of
// its width; bounds are numbers; and a select or a length names an outer parameter as
// the Environment spells it, or a field of its own struct with FieldPrefix before it. "opaque" is skipped.
func (s *Schema) Settled(names []string) []*Definition {
	b := &builder{schema: s, built: map[string]*node{}, height: map[string]int{}, named: map[any]string{}}
	for _, name := range names {
		b.ref(name, Position{})
	}
	t := &settler{b: b, done: map[string]*Definition{}}
	for _, name := range names {
		t.definition(name)
	}
	list := make([]*Definition, 0, len(t.done))
	for _, name := range sortedKeys(t.done) {
		list = append(list, t.done[name])
	}
	return list
}

type settler struct {
	b    *builder
	done map[string]*Definition
}

func (t *settler) definition(name string) {
	d := t.b.schema.defs[name]
	if d == nil || t.done[name] != nil {
		return
	}
	c := &Definition{Name: name}
	t.done[name] = c
	switch {
	case d.Enum != nil:
		c.Enum = settledEnum(t.b.schema.enums[name])
	case d.Struct != nil:
		c.Struct = &StructDecl{Members: t.members(d.Struct.Members)}
	default:
		c.Alias = t.field(d.Alias)
	}
}

// settledEnum has the names in the order of their numbers.
func settledEnum(e *enum) *EnumDecl {
	d := &EnumDecl{}
	for _, m := range e.members {
		if !m.numbered || m.name == "" {
			continue
		}
		x := Enumerator{Name: m.name, Value: settledNumber(m.first)}
		if m.last != m.first {
			x.Last = settledNumber(m.last)
		}
		d.Members = append(d.Members, x)
	}
	slices.SortStableFunc(d.Members, func(a, b Enumerator) int {
		if a.Value.Num != b.Value.Num {
			return int(min(1, int64(a.Value.Num)-int64(b.Value.Num)))
		}
		return slices.Compare([]byte(a.Name), []byte(b.Name))
	})
	d.Members = append(d.Members, Enumerator{Value: settledNumber(1<<(8*e.width) - 1)})
	return d
}

func settledNumber(n uint64) *Expr { return &Expr{Text: strconv.FormatUint(n, 10), Num: n} }

func (t *settler) members(list []Member) (settled []Member) {
	for _, m := range list {
		if m.Field != nil {
			settled = append(settled, Member{Field: t.field(m.Field)})
			continue
		}
		c := &SelectDecl{On: t.b.named[m.Select], Label: m.Select.Label}
		for _, a := range m.Select.Arms {
			x := Arm{Members: t.members(a.Members)}
			for _, k := range a.Cases {
				x.Cases = append(x.Cases, Case{Name: k.Name, Number: t.number(k.Number)})
			}
			c.Arms = append(c.Arms, x)
		}
		settled = append(settled, Member{Select: c})
	}
	return settled
}

func (t *settler) field(f *FieldDecl) *FieldDecl {
	t.definition(f.Type)
	c := &FieldDecl{Type: f.Type, Name: f.Name, Floor: t.number(f.Floor), Ceiling: t.number(f.Ceiling)}
	if f.Array != nil {
		c.Array = t.length(f.Array)
	}
	if e := f.Constant; e != nil {
		if enum := t.b.schema.enums[f.Type]; enum != nil && e.Name {
			c.Constant = settledNumber(enum.find(e.Text).first)
		} else {
			c.Constant = t.number(e)
		}
	}
	return c
}

// number is the value of an expression that names nothing.
func (t *settler) number(e *Expr) *Expr {
	if e == nil {
		return nil
	}
	n, _ := e.eval(nil)
	return settledNumber(n)
}

// length settles the length of an array as far as it is known.
func (t *settler) length(e *Expr) *Expr {
	open := false
	e.names(func(*Expr) { open = true })
	if !open {
		return t.number(e)
	}
	if e.Op == 0 {
		return &Expr{Text: t.b.named[e], Name: true}
	}
	return &Expr{Op: e.Op, X: t.length(e.X), Y: t.length(e.Y)}
}
