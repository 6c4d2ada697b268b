package schema

import "slices"

// The compiled form. Nodes are shared by all fields of a type and never change
// once a Codec is made.

type nodeKind uint8

const (
	nodeNumber nodeKind = iota
	nodeOpaque          // one octet; only as the element of an array or vector
	nodeOctets
	nodeList
	nodeStruct
)

type node struct {
	kind   nodeKind
	name   string // of the type, as the text writes it
	pos    Position
	size   span64 // octets of a whole value
	weight int    // fields and selects in it, those of all its types included

	width int   // number: octets
	enum  *enum // number: its names, nil for plain numbers

	elem    *node  // list
	prefix  int    // octets, list: octets of the length in front; 0 for arrays
	floor   uint64 // octets of the contents of a vector
	ceiling uint64
	length  *length // array
	rest    bool    // octets: all that is left of the body

	members   []member // struct
	names     []string // struct: what its members may add to the struct around it
	registers int      // struct: numbers that later members depend on
}

// span64 is a least and a greatest number of octets.
type span64 struct{ min, max uint64 }

// unbounded is beyond any size; sums of sizes saturate there.
const unbounded = 1 << 40

func (s span64) plus(o span64) span64 {
	return span64{min(s.min+o.min, unbounded), min(s.max+o.max, unbounded)}
}

func (s span64) or(o span64) span64 { return span64{min(s.min, o.min), max(s.max, o.max)} }

// member is a field or a choice.
type member struct {
	field  *field
	choice *choice
}

type field struct {
	name     string
	pos      Position
	node     *node
	joined   bool    // the fields of its struct join the struct around it
	constant *uint64 // written, and expected
	register int     // where the number is kept for later members; -1: not kept
	controls []control
	measures string // the later field whose octets this number counts
	decl     *FieldDecl
}

// control is a choice that a number decides, with the labels between the
// struct of the number and the choice.
type control struct {
	labels []string
	choice *choice
}

// choice is a select that the octets decide; a select that the Context decides
// has become its arm.
type choice struct {
	pos      Position
	on       string // as the text writes it
	label    string
	register int        // -1: the Context has decided, and the one arm is it
	param    *Parameter // set while no Context is given
	enum     *enum      // of the deciding number, nil for plain numbers
	arms     []arm
}

type arm struct {
	pos     Position
	cases   []cased
	members []member
	direct  *field   // under a label: the one member, whose value is the label's
	names   []string // of the values that the members may add
}

// cased is one case: a tag, and for numbers the range it stands for.
type cased struct {
	name        string
	first, last uint64
}

func (c *choice) armFor(n uint64) *arm {
	for i := range c.arms {
		for _, t := range c.arms[i].cases {
			if t.first <= n && n <= t.last {
				return &c.arms[i]
			}
		}
	}
	return nil
}

func (a *arm) has(name string) bool {
	for _, n := range a.names {
		if n == name {
			return true
		}
	}
	return false
}

// length is the length of an array: a number, or an expression over fields.
type length struct {
	span  span64
	expr  *Expr          // nil: span.min is the length
	slots map[string]int // registers of the names in expr
	alone int            // the register when expr is one field; else -1
}

// sizeOf adds up members; a choice is as small as its smallest arm.
func sizeOf(members []member) span64 {
	var total span64
	for _, m := range members {
		if m.field != nil {
			total = total.plus(m.field.node.size)
			continue
		}
		total = total.plus(m.choice.size())
	}
	return total
}

func (c *choice) size() span64 {
	s := sizeOf(c.arms[0].members)
	for _, a := range c.arms[1:] {
		s = s.or(sizeOf(a.members))
	}
	return s
}

// namesOf lists the names of the values that members add to the struct
// around, each once.
func namesOf(members []member) (names []string) {
	for _, m := range members {
		switch {
		case m.field != nil && m.field.joined:
			names = union(names, m.field.node.names)
		case m.field != nil:
			names = union(names, []string{m.field.name})
		case m.choice.label != "":
			names = union(names, []string{m.choice.label})
		default:
			for _, a := range m.choice.arms {
				names = union(names, a.names)
			}
		}
	}
	return names
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// weigh counts members and what is in them.
func weigh(members []member) int {
	total := 0
	for _, m := range members {
		if m.field != nil {
			total += 1 + m.field.node.weight
			continue
		}
		total++
		for _, a := range m.choice.arms {
			total += weigh(a.members)
		}
	}
	return min(total, maxWeight+1)
}
