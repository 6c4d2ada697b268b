package schema

import (
	"fmt"
	"regexp"
)

// Field describes one field of a type in a context, for code that gives a path
// a meaning or asks what fits.
type Field struct {
	// Path is the path of the field in a Value; elements of a list have "[]".
	Path string
	Pos  Position
	Kind Kind
	Type string // as the text writes it
	// Enumerators are the names of an enum in the order of the text.
	Enumerators []string
	// Optional is set for fields that only some values have: those of an arm
	// that the octets select, and all inside elements of lists.
	Optional bool
	// Implied is set for a number that follows from other fields when it is not
	// given: it decides a select, or counts the octets of an array.
	Implied bool
	// Constant is the number that is always there.
	Constant *uint64
	// Floor and Ceiling bound the contents of octets and lists, in octets; they
	// are equal for arrays. For a number both are its octets.
	Floor, Ceiling int
	// Prefix is how many octets the length in front has; 0 for arrays and numbers.
	Prefix int
	// Fits is how many octets of contents fit where the field is, given the
	// container and the smallest form of everything else in it; negative when
	// not even the field itself fits. It is the effective ceiling: the smaller
	// one of that and Ceiling.
	Fits int
}

// FloorFits reports whether the least contents fit where the field is.
func (f *Field) FloorFits() bool { return f.Fits >= f.Floor }

// Fields lists the fields of the type in the order of the text, labels and
// structs before what is in them. container is how many octets the whole value
// may have, 65535 for the body of an extension; 0 means no bound.
func (c *Codec) Fields(container int) []Field {
	if container <= 0 {
		container = unbounded
	}
	l := lister{}
	if c.root.kind == nodeStruct {
		l.members(c.root.members, "", int(container), false)
	} else {
		l.node(c.root, Field{Pos: c.root.pos}, int(container))
	}
	return l.list
}

type lister struct{ list []Field }

// members lists members that together may have room octets.
func (l *lister) members(ms []member, prefix string, room int, optional bool) {
	spare := room - int(sizeOf(ms).min)
	for _, m := range ms {
		if f := m.field; f != nil {
			own := spare + int(f.node.size.min)
			if f.joined {
				l.members(f.node.members, prefix, own, optional)
			} else {
				l.field(f, prefix+f.name, own, optional)
			}
			continue
		}
		c := m.choice
		own := spare + int(c.size().min)
		inner, opt := prefix, optional || c.register >= 0 && len(c.arms) > 1
		if c.label != "" && c.arms[0].direct == nil {
			size := c.size()
			l.add(Field{Path: prefix + c.label, Pos: c.pos, Kind: KindStruct, Optional: optional,
				Floor: int(size.min), Ceiling: int(size.max), Fits: min(own, int(size.max))})
			inner = prefix + c.label + "."
		}
		for _, a := range c.arms {
			if a.direct != nil {
				l.field(a.direct, prefix+c.label, own, opt)
				continue
			}
			l.members(a.members, inner, own, opt)
		}
	}
}

func (l *lister) add(f Field) {
	l.list = append(l.list, f)
}

func (l *lister) field(f *field, path string, room int, optional bool) {
	l.node(f.node, Field{Path: path, Pos: f.pos, Optional: optional, Constant: f.constant,
		Implied: len(f.controls) > 0 || f.measures != ""}, room)
}

func (l *lister) node(n *node, f Field, room int) {
	f.Type = n.name
	switch n.kind {
	case nodeNumber:
		f.Kind, f.Floor, f.Ceiling = KindNumber, n.width, n.width
		if n.enum != nil {
			f.Enumerators = n.enum.names()
		}
	case nodeStruct:
		f.Kind, f.Floor, f.Ceiling = KindStruct, int(n.size.min), int(n.size.max)
	case nodeOctets, nodeList:
		f.Kind, f.Prefix, f.Floor, f.Ceiling = KindOctets, n.prefix, int(n.floor), int(n.ceiling)
		if n.length != nil {
			f.Floor, f.Ceiling = int(n.length.span.min), int(n.length.span.max)
		}
		if n.kind == nodeList {
			f.Kind = KindList
			f.Floor = max(f.Floor, int(n.least()))
		}
	}
	f.Fits = min(f.Ceiling, room-f.Prefix)
	l.add(f)
	switch n.kind {
	case nodeStruct:
		l.members(n.members, under(f.Path), room, f.Optional)
	case nodeList:
		if n.elem.kind == nodeStruct {
			l.members(n.elem.members, under(f.Path+"[]"), f.Fits, true)
		} else {
			l.node(n.elem, Field{Path: f.Path + "[]", Pos: n.elem.pos, Optional: true}, f.Fits)
		}
	}
}

func under(path string) string {
	if path == "" {
		return ""
	}
	return path + "."
}

var indices = regexp.MustCompile(`\[[0-9]*\]`)

// Field finds the field of a path such as "schemes[].mechanism"; any index
// means all. The error names the nearest path there is.
func (c *Codec) Field(path string, container int) (Field, error) {
	want := indices.ReplaceAllString(path, "[]")
	all := c.Fields(container)
	paths := make([]string, len(all))
	for i := range all {
		if all[i].Path == want {
			return all[i], nil
		}
		paths[i] = all[i].Path
	}
	if near := Nearest(want, paths); near != "" {
		return Field{}, fmt.Errorf("%s has no field %s; did you mean %q?", c.typeName, path, near)
	}
	return Field{}, fmt.Errorf("%s has no field %s", c.typeName, path)
}
