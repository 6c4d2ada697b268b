package schema

import (
	"math/rand/v2"
	"strconv"

	"attls"
)

// Broken is octets that break one rule of the grammar.
type Broken struct {
	Octets []byte
	Rule   string // one of the Broke constants
	Path   string // of the field that breaks it; empty for the whole value
	Err    *attls.Error
}

// The rules that GenerateBroken breaks.
const (
	BrokeTrailing     = "trailing"      // one octet after the value
	BrokeTruncated    = "truncated"     // the last octet is missing
	BrokeFloor        = "floor"         // fewer octets than the floor
	BrokeCeiling      = "ceiling"       // more octets than the ceiling
	BrokeConstant     = "constant"      // another number than the constant
	BrokeUndefinedArm = "undefined_arm" // a number without a case
	BrokeElement      = "element"       // the last element of a list is cut off
)

const (
	generateTries = 16
	widestBreak   = 4096 // octets that exceeding a ceiling may cost
)

// Generate makes the octets of a random value, which Decode accepts. size is
// about how many octets lists and strings may have together. The same state of
// r gives the same octets.
func (c *Codec) Generate(r *rand.Rand, size int) []byte {
	for range generateTries {
		g := &generator{r: r, chosen: -1}
		if g.value(c.root, size); g.failed {
			continue
		}
		if _, err := c.Decode(g.b); err == nil {
			return g.b
		}
	}
	b, _ := c.Encode(Value{})
	return b
}

// GenerateBroken makes octets that are valid but for one rule, and that Decode
// refuses; false when no rule could be broken. The same state of r gives the
// same octets.
func (c *Codec) GenerateBroken(r *rand.Rand, size int) (Broken, bool) {
	for range generateTries {
		seed, seed2 := r.Uint64(), r.Uint64()
		g := &generator{r: rand.New(rand.NewPCG(seed, seed2)), chosen: -1}
		if g.value(c.root, size); g.failed {
			continue
		}
		var b Broken
		switch i := r.IntN(g.chances + 2); i {
		case g.chances:
			b = Broken{Octets: append(g.b, byte(r.Uint32())), Rule: BrokeTrailing}
		case g.chances + 1:
			b = Broken{Octets: g.b[:max(0, len(g.b)-1)], Rule: BrokeTruncated}
		default:
			g = &generator{r: rand.New(rand.NewPCG(seed, seed2)), chosen: i}
			g.value(c.root, size)
			b = Broken{Octets: g.b, Rule: g.rule, Path: g.brokenAt}
		}
		if g.failed {
			continue
		}
		if _, err := c.Decode(b.Octets); err != nil {
			b.Err = err
			return b, true
		}
	}
	return Broken{}, false
}

// generator writes random octets. Where a rule could be broken it counts a
// chance, and breaks the rule when the chance is the chosen one.
type generator struct {
	r        *rand.Rand
	b        []byte
	path     string
	chances  int
	chosen   int
	rule     string
	brokenAt string
	failed   bool // bounds could not be met, or a length did not fit in front
}

// breaks counts a chance to break a rule and tells whether to take it.
func (g *generator) breaks(rule string) bool {
	g.chances++
	if g.chances-1 != g.chosen {
		return false
	}
	g.rule, g.brokenAt = rule, g.path
	return true
}

func (g *generator) under(name string, do func()) {
	outer := g.path
	if outer != "" && name[0] != '[' {
		g.path += "."
	}
	g.path += name
	do()
	g.path = outer
}

func (g *generator) number(x uint64, width int) {
	for i := width - 1; i >= 0; i-- {
		g.b = append(g.b, byte(x>>(8*i)))
	}
}

// value writes a value of a node in about room octets.
func (g *generator) value(n *node, room int) {
	switch n.kind {
	case nodeNumber:
		g.number(g.anyNumber(n), n.width)
	case nodeStruct:
		g.members(n.members, room, make([]written, n.registers))
	default:
		g.sequence(n, room, nil)
	}
}

// anyNumber is a number of a type: mostly one that an enum lists, and with
// plain numbers often one at an end of the range.
func (g *generator) anyNumber(n *node) uint64 {
	if n.enum != nil && len(n.enum.members) > 0 && g.r.IntN(8) > 0 {
		m := n.enum.members[g.r.IntN(len(n.enum.members))]
		return m.first + g.r.Uint64N(m.last-m.first+1)
	}
	most := ^uint64(0) >> (64 - 8*n.width)
	switch g.r.IntN(4) {
	case 0:
		return 0
	case 1:
		return most
	}
	return g.r.Uint64() & most
}

func (g *generator) members(ms []member, room int, regs []written) {
	spare := max(0, room-int(sizeOf(ms).min))
	for _, m := range ms {
		before := len(g.b)
		if f := m.field; f != nil {
			own := spare + int(f.node.size.min)
			if f.joined {
				g.value(f.node, own)
			} else {
				g.under(f.name, func() { g.field(f, own, regs) })
			}
			spare = max(0, own-(len(g.b)-before))
			continue
		}
		own := spare + int(m.choice.size().min)
		g.choice(m.choice, own, regs)
		spare = max(0, own-(len(g.b)-before))
	}
}

func (g *generator) field(f *field, room int, regs []written) {
	switch {
	case f.node.kind == nodeOctets || f.node.kind == nodeList:
		g.sequence(f.node, room, regs)
		return
	case f.node.kind == nodeStruct:
		g.value(f.node, room)
		return
	}
	w := written{offset: len(g.b), width: f.node.width}
	switch {
	case f.constant != nil:
		if w.value = *f.constant; g.breaks(BrokeConstant) {
			w.value ^= 1 << g.r.IntN(8*w.width)
		}
	case len(f.controls) > 0:
		w.value = g.deciding(f, room)
	case f.measures != "":
		w.open = true
	case f.register >= 0:
		w.value = g.r.Uint64N(8)
	default:
		w.value = g.anyNumber(f.node)
	}
	if f.register >= 0 {
		regs[f.register] = w
	}
	g.number(w.value, w.width)
}

// deciding is a number that selects an arm which fits, or none.
func (g *generator) deciding(f *field, room int) uint64 {
	c := f.controls[0].choice
	if g.breaks(BrokeUndefinedArm) {
		for range generateTries {
			if x := g.r.Uint64() & (^uint64(0) >> (64 - 8*f.node.width)); c.armFor(x) == nil {
				return x
			}
		}
		g.failed = true
	}
	var fitting []*arm
	for i := range c.arms {
		if int(sizeOf(c.arms[i].members).min) <= room {
			fitting = append(fitting, &c.arms[i])
		}
	}
	a := &c.arms[0]
	if len(fitting) > 0 {
		a = fitting[g.r.IntN(len(fitting))]
	}
	t := a.cases[g.r.IntN(len(a.cases))]
	return t.first + g.r.Uint64N(t.last-t.first+1)
}

func (g *generator) choice(c *choice, room int, regs []written) {
	a := &c.arms[0]
	if c.register >= 0 {
		if chosen := c.armFor(regs[c.register].value); chosen != nil {
			a = chosen
		}
	}
	switch {
	case a.direct != nil:
		g.under(c.label, func() { g.field(a.direct, room, regs) })
	case c.label != "":
		g.under(c.label, func() { g.members(a.members, room, regs) })
	default:
		g.members(a.members, room, regs)
	}
}

// sequence writes an array or a vector.
func (g *generator) sequence(n *node, room int, regs []written) {
	at := len(g.b)
	low, high := int(n.floor), int(min(n.ceiling, uint64(max(0, room-n.prefix))))
	var count *written
	switch {
	case n.rest:
	case n.length == nil:
		g.b = append(g.b, make([]byte, n.prefix)...)
	case n.length.alone >= 0 && regs[n.length.alone].open:
		count = &regs[n.length.alone]
		low, high = 0, min(room, 255)
	default:
		plain := make([]register, len(regs))
		for i, r := range regs {
			plain[i].value = r.value
		}
		size, ok := n.length.of(plain)
		g.failed = g.failed || !ok || size > widestBreak
		if g.failed {
			return
		}
		low, high = int(size), int(size)
	}
	mark := len(g.b)
	g.contents(n, low, max(low, high))
	size := uint64(len(g.b) - mark)
	at, width := at, n.prefix
	if count != nil {
		at, width = count.offset, count.width
		count.value, count.open = size, false
	}
	if width == 0 {
		return
	}
	g.failed = g.failed || width < 8 && size>>(8*width) != 0
	for i := range width {
		g.b[at+i] = byte(size >> (8 * (width - 1 - i)))
	}
}

// contents writes between low and high octets, unless it breaks one of the bounds.
func (g *generator) contents(n *node, low, high int) {
	switch vector := n.length == nil && !n.rest; {
	case vector && n.floor > 0 && g.breaks(BrokeFloor):
		if n.kind == nodeOctets {
			g.random(g.r.IntN(low))
		}
	case vector && n.ceiling < ^uint64(0)>>(64-8*n.prefix) && n.ceiling < widestBreak && g.breaks(BrokeCeiling):
		g.fill(n, int(n.ceiling)+1, int(n.ceiling)+1)
	case n.kind == nodeList && n.elem.size.min == n.elem.size.max && n.elem.size.min > 1 && g.breaks(BrokeElement):
		g.fill(n, low, high)
		g.random(1 + g.r.IntN(int(n.elem.size.min)-1))
	default:
		g.fill(n, low, high)
	}
}

func (g *generator) random(n int) {
	for range n {
		g.b = append(g.b, byte(g.r.Uint32()))
	}
}

func (g *generator) fill(n *node, low, high int) {
	target := low
	if high > low {
		target += g.r.IntN(high - low + 1)
	}
	if n.kind == nodeOctets {
		g.random(target)
		return
	}
	mark := len(g.b)
	for i := 0; len(g.b)-mark < target && !g.failed; i++ {
		left := high - (len(g.b) - mark)
		if left < int(n.elem.size.min) {
			g.failed = g.failed || len(g.b)-mark < low && g.rule == ""
			if g.rule == "" {
				return
			}
		}
		g.under("["+strconv.Itoa(i)+"]", func() { g.value(n.elem, left) })
	}
}
