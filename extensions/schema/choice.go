package schema

import (
	"slices"
	"strings"
)

// choice gives the members that a select stands for: one arm where the Context
// decides, else a choice. later are the members after the select.
func (b *builder) choice(d *SelectDecl, later []Member, sc *scope) []member {
	f, p := b.discriminant(d, later, sc)
	switch {
	case f != nil:
		b.refer(d, FieldPrefix+f.name)
	case p != nil:
		b.refer(d, p.Name)
	}
	c := &choice{pos: d.Pos, on: d.On, label: d.Label, register: -1}
	switch {
	case f != nil:
		c.register, c.enum = sc.keep(f), f.node.enum
		f.controls = append(f.controls, control{sc.labels, c})
	case p != nil && b.ctx == nil:
		c.param = p
	case p != nil:
		return b.decided(d, p, sc)
	default:
		return nil
	}
	seen := map[string]bool{}
	for i := range d.Arms {
		a := b.arm(d, &d.Arms[i], sc)
		for _, t := range d.Arms[i].Cases {
			if x, ok := b.tag(d, t, f, p); ok {
				b.reachable(d, t, x, c, f, seen)
				a.cases = append(a.cases, x)
			}
		}
		c.arms = append(c.arms, a)
	}
	b.distinguishable(c, f)
	return []member{{choice: c}}
}

// decided gives the arm that the Context selects.
func (b *builder) decided(d *SelectDecl, p *Parameter, sc *scope) []member {
	tag, ok := b.ctx.tag(p.Name)
	if !ok {
		b.report(problem(d.OnPos, ProblemParameter, "%s selects here and the context does not say what it is", p.Name))
		return nil
	}
	for i := range d.Arms {
		if slices.ContainsFunc(d.Arms[i].Cases, func(c Case) bool { return c.Name == tag }) {
			a := b.arm(d, &d.Arms[i], sc)
			if d.Label == "" {
				return a.members
			}
			return []member{{choice: &choice{pos: d.Pos, on: d.On, label: d.Label, register: -1, arms: []arm{a}}}}
		}
	}
	b.report(problem(d.Pos, ProblemNoArm, "the select on %s has no case %s", d.On, tag).
		advise("add the case, or do not place the extension there"))
	return nil
}

// discriminant finds what a select names: an own earlier field by name, by
// Type.name or by the name of its type (RFC 5246), or an outer parameter.
func (b *builder) discriminant(d *SelectDecl, later []Member, sc *scope) (*field, *Parameter) {
	owner, name, qualified := strings.Cut(d.On, ".")
	if !qualified {
		name = owner
	}
	if !qualified || owner == sc.owner {
		if f := sc.named(name); f != nil {
			return b.selecting(d, f), nil
		}
		if declared(later, name) {
			b.report(problem(d.OnPos, ProblemUnknownName, "the field %s comes after the select that needs it", name).
				advise("move it before the select"))
			return nil, nil
		}
	}
	if p := b.schema.env.parameter(d.On); p != nil && !p.length() {
		return nil, p
	}
	if !qualified {
		var typed []*field
		sc.each(func(f *field) {
			if f.decl.Type == name && f.decl.Array == nil && f.decl.Ceiling == nil {
				typed = append(typed, f)
			}
		})
		switch len(typed) {
		case 1:
			return b.selecting(d, typed[0]), nil
		case 0:
		default:
			b.report(problem(d.OnPos, ProblemAmbiguous, "%d fields before the select have the type %s", len(typed), name).
				advise("select on the field, such as %s", typed[0].name))
			return nil, nil
		}
	}
	bad := problem(d.OnPos, ProblemUnknownName, "nothing to select on is called %s", d.On)
	if qualified && b.schema.defs[owner] != nil && owner != sc.owner {
		bad.advise("a select reaches the fields of its own struct %s and the outer parameters %s", sc.owner,
			strings.Join(b.schema.env.tagParameters(), ", "))
	}
	b.report(bad.suggest(d.On, append(append(sc.names(), prefixed(sc.owner, sc.names())...),
		b.schema.env.tagParameters()...)))
	return nil, nil
}

func prefixed(owner string, names []string) []string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = owner + "." + n
	}
	return list
}

func (e *Environment) tagParameters() (names []string) {
	for i := range e.Parameters {
		if !e.Parameters[i].length() {
			names = append(names, e.Parameters[i].Name)
		}
	}
	return names
}

func declared(members []Member, name string) bool {
	return slices.ContainsFunc(members, func(m Member) bool { return m.Field != nil && m.Field.Name == name })
}

func (b *builder) selecting(d *SelectDecl, f *field) *field {
	if f.node.kind != nodeNumber {
		b.report(problem(d.OnPos, ProblemType, "%s is of type %s and cannot select", f.name, f.decl.Type).
			advise("select on an enum or a number"))
		return nil
	}
	return f
}

// tag resolves a case.
func (b *builder) tag(d *SelectDecl, c Case, f *field, p *Parameter) (cased, bool) {
	if p != nil {
		known := slices.Clone(p.Tags)
		if e := b.schema.enums[p.Enum]; e != nil {
			known = append(known, e.names()...)
		}
		if c.Number != nil || !slices.Contains(known, c.Name) {
			b.report(problem(c.Pos, ProblemUnknownName, "%s is never %s", d.On, c.text()).suggest(c.text(), known))
			return cased{}, false
		}
		return cased{name: c.Name}, true
	}
	if c.Number != nil {
		if octetsFor(c.Number.Num) > f.node.width {
			b.report(problem(c.Pos, ProblemWidth, "%s does not fit in the %s of %s", c.Number.Text,
				octets(f.node.width), f.name))
			return cased{}, false
		}
		return cased{c.Number.Text, c.Number.Num, c.Number.Num}, true
	}
	if f.node.enum == nil {
		b.report(problem(c.Pos, ProblemType, "%s is a plain %s and has no name %s", f.name, f.decl.Type, c.Name).
			advise("write a number, or make it an enum"))
		return cased{}, false
	}
	m := f.node.enum.find(c.Name)
	if m == nil {
		b.report(problem(c.Pos, ProblemUnknownName, "%s has no %s", f.node.enum.name, c.Name).
			suggest(c.Name, f.node.enum.names()))
		return cased{}, false
	}
	return cased{m.name, m.first, m.last}, true
}

func (c *Case) text() string {
	if c.Number != nil {
		return c.Number.Text
	}
	return c.Name
}

// reachable reports a case that an earlier one, or a constant, takes away.
func (b *builder) reachable(d *SelectDecl, t Case, x cased, c *choice, f *field, seen map[string]bool) {
	taken := seen[t.text()]
	seen[t.text()] = true
	if f != nil {
		taken = taken || c.armFor(x.first) != nil
		if f.constant != nil && (*f.constant < x.first || *f.constant > x.last) {
			b.warn(problem(t.Pos, ProblemUnreachable, "%s is always %d, so this case is never selected", f.name, *f.constant).
				advise("remove the case or the constant"))
		}
	}
	if taken {
		b.report(problem(t.Pos, ProblemDuplicate, "case %s appears twice in the select on %s", t.text(), d.On).
			advise("remove one of the two"))
	}
}

func (b *builder) warn(p *Problem) {
	p.Warning = true
	b.report(p)
}

// distinguishable warns where the fields that are given to an encoder do not
// tell which arm is meant.
func (b *builder) distinguishable(c *choice, f *field) {
	if f == nil {
		return
	}
	for i := range c.arms {
		for j := range c.arms[:i] {
			if x, y := &c.arms[i], &c.arms[j]; slices.Equal(x.names, y.names) && (x.direct == nil) == (y.direct == nil) &&
				len(x.cases) > 0 && len(y.cases) > 0 {
				b.warn(problem(x.pos, ProblemAmbiguous, "the arms of %s and %s have the same fields", x.cases[0].name,
					y.cases[0].name).
					advise("the sender has to set %s itself", f.name))
			}
		}
	}
}

func (b *builder) arm(d *SelectDecl, decl *Arm, sc *scope) arm {
	inner := &scope{outer: sc, owner: sc.owner, node: sc.node, labels: sc.labels}
	if d.Label != "" {
		inner.labels = append(slices.Clip(sc.labels), d.Label)
	}
	a := arm{pos: decl.Pos, members: b.members(decl.Members, inner)}
	a.names = namesOf(a.members)
	if d.Label != "" && len(a.members) == 1 && a.members[0].field != nil {
		if f := a.members[0].field; f.decl.Name == "" && !f.joined {
			a.direct, a.names = f, nil
		}
	}
	return a
}
