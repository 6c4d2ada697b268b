package schema

import "math/bits"

// eval computes an expression; false when it leaves 64 bits or a name is unknown.
func (e *Expr) eval(name func(string) (uint64, bool)) (uint64, bool) {
	if e.Op == 0 {
		if e.Name {
			return name(e.Text)
		}
		return e.Num, true
	}
	x, ok := e.X.eval(name)
	if !ok {
		return 0, false
	}
	y, ok := e.Y.eval(name)
	if !ok {
		return 0, false
	}
	switch e.Op {
	case '+':
		sum, carry := bits.Add64(x, y, 0)
		return sum, carry == 0
	case '-':
		return x - y, x >= y
	case '*':
		high, low := bits.Mul64(x, y)
		return low, high == 0
	}
	return raise(x, y)
}

func raise(x, y uint64) (uint64, bool) {
	if x < 2 {
		if y == 0 {
			return 1, true
		}
		return x, true
	}
	v := uint64(1)
	for ; y > 0; y-- {
		high, low := bits.Mul64(v, x)
		if high != 0 {
			return 0, false
		}
		v = low
	}
	return v, true
}

// names yields the names of an expression.
func (e *Expr) names(yield func(*Expr)) {
	switch {
	case e.Op != 0:
		e.X.names(yield)
		e.Y.names(yield)
	case e.Name:
		yield(e)
	}
}

// number evaluates an expression without names.
func (b *builder) number(e *Expr) *uint64 {
	named := false
	e.names(func(n *Expr) {
		b.report(problem(n.Pos, ProblemType, "%s is given where a plain number is needed", n.Text))
		named = true
	})
	if named {
		return nil
	}
	v, ok := e.eval(nil)
	if !ok {
		b.report(problem(e.Pos, ProblemBounds, "the expression is negative or has more than 64 bits"))
		return nil
	}
	return &v
}

// maxArray bounds the octets of an array.
const maxArray = 1 << 24

// length resolves the length of an array: parameters become numbers where a
// Context gives them, fields become registers.
func (b *builder) length(e *Expr, sc *scope) *length {
	l := &length{alone: -1}
	fields, failed, open := false, false, false
	least, most := map[string]uint64{}, map[string]uint64{}
	e.names(func(n *Expr) {
		if f := b.counting(n, sc); f != nil {
			b.refer(n, FieldPrefix+f.name)
			if l.slots == nil {
				l.slots = map[string]int{}
			}
			l.slots[n.Text], fields = sc.keep(f), true
			if n == e {
				l.alone = f.register
			}
			return
		}
		p := b.schema.env.parameter(n.Text)
		b.refer(n, n.Text)
		switch {
		case p == nil || !p.length():
			b.report(problem(n.Pos, ProblemUnknownName, "no field before this one and no outer length is called %s", n.Text).
				suggest(n.Text, append(sc.names(), b.schema.env.lengthParameters()...)))
			failed = true
		case b.ctx == nil:
			least[n.Text], most[n.Text], open = p.Min, p.Max, true
		default:
			v, ok := b.ctx.Lengths[n.Text]
			if !ok || v < 0 {
				b.report(problem(n.Pos, ProblemParameter, "the context does not say what %s is", n.Text))
				failed = true
			}
			least[n.Text], most[n.Text] = uint64(v), uint64(v)
		}
	})
	if failed {
		return nil
	}
	if fields {
		l.expr, l.span = fold(e, least), span64{0, maxArray}
		return l
	}
	lo, ok := e.eval(lookup(least))
	hi, ok2 := e.eval(lookup(most))
	if open && ok && ok2 && lo > hi {
		lo, hi = hi, lo
	}
	if !ok || !ok2 || hi > maxArray {
		b.report(problem(e.Pos, ProblemBounds, "the length is negative or above %d octets", maxArray))
		return nil
	}
	l.span = span64{lo, hi}
	return l
}

func lookup(m map[string]uint64) func(string) (uint64, bool) {
	return func(name string) (uint64, bool) {
		v, ok := m[name]
		return v, ok
	}
}

// fold puts numbers in the place of the names that have one.
func fold(e *Expr, known map[string]uint64) *Expr {
	c := *e
	if e.Op != 0 {
		c.X, c.Y = fold(e.X, known), fold(e.Y, known)
	} else if v, ok := known[e.Text]; e.Name && ok {
		c.Name, c.Num = false, v
	}
	return &c
}

// counting finds the field before this place that a length names, by its name
// or by Type.name.
func (b *builder) counting(n *Expr, sc *scope) *field {
	name := n.Text
	if sc.owner != "" && len(name) > len(sc.owner) && name[:len(sc.owner)+1] == sc.owner+"." {
		name = name[len(sc.owner)+1:]
	}
	if f := sc.named(name); f != nil && f.node.kind == nodeNumber {
		return f
	}
	return nil
}

func (e *Environment) lengthParameters() (names []string) {
	for i := range e.Parameters {
		if e.Parameters[i].length() {
			names = append(names, e.Parameters[i].Name)
		}
	}
	return names
}
