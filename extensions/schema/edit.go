package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"attls"
)

// Edit changes the field that a path leads to in an encoded value, and repairs the
// lengths around it: those in front of vectors, and numbers that count the octets
// of an array. Everything else stays as it is, octet for octet, whether or not
// Encode would write it. The path is one of Value.Get; "[]" means every element of
// a list, and the empty path is the whole value.
//
// edit gets a copy of the contents, in octets: of octets and lists without the
// length in front, of a number the octets that it has. It returns the new contents:
// as many for a number, any others elsewhere, even such as do not decode. Body may
// violate the bounds and constants of the type.
//
// Errors are Local (FailConfiguration) and have the path of the field, except that
// a body which does not decode gives the error of Decode.
func (c *Codec) Edit(body []byte, path string, edit func(contents []byte) []byte) ([]byte, *attls.Error) {
	lax := *c
	lax.ctx.IgnoreBounds, lax.ctx.IgnoreConstants, lax.ctx.IgnoreTrailing = true, true, true
	v, n, err := lax.DecodePrefix(body)
	if err != nil {
		return nil, err
	}
	wire, err := editor{edit}.value(&v, path)
	if err != nil {
		return nil, err
	}
	return append(wire, body[n:]...), nil
}

type editor struct{ edit func([]byte) []byte }

// value returns the octets of a value after the edit.
func (e editor) value(v *Value, path string) ([]byte, *attls.Error) {
	if path == "" {
		return e.leaf(v)
	}
	name, rest, ok := cutStep(path)
	switch {
	case !ok:
		return nil, unfit("%q is not a path", path)
	case name[0] == '[':
		return e.elements(v, name, rest)
	}
	field := v.Field(name)
	if field == nil {
		var names []string
		for _, f := range v.Items {
			names = append(names, f.Name)
		}
		if near := Nearest(name, names); near != "" && v.Kind == KindStruct {
			return nil, unfit("there is no %s here; did you mean %q?", name, near)
		}
		return nil, unfit("there is no %s here", name)
	}
	wire, err := e.value(field, rest)
	if err != nil {
		return nil, err.Under(name)
	}
	return v.withField(field, wire)
}

// leaf edits the contents of a value.
func (e editor) leaf(v *Value) ([]byte, *attls.Error) {
	old := v.Wire[v.prefix():]
	contents := e.edit(slices.Clone(old))
	if v.Kind == KindNumber && len(contents) != len(old) {
		return nil, unfit("%s for a number of %d", octets(len(contents)), len(old))
	}
	return v.wrapped(contents)
}

// elements edits one element of a list, or each.
func (e editor) elements(v *Value, index, rest string) ([]byte, *attls.Error) {
	if v.Kind != KindList {
		return nil, unfit("%v is not a list", v.Kind)
	}
	only := -1
	if index != "[]" {
		only, _ = strconv.Atoi(index[1 : len(index)-1])
	}
	if only >= len(v.Items) || len(v.Items) == 0 {
		return nil, unfit("the list has %d elements", len(v.Items)).Under(index)
	}
	var contents []byte
	for i := range v.Items {
		wire := v.Items[i].Wire
		if only < 0 || only == i {
			var err *attls.Error
			if wire, err = e.value(&v.Items[i], rest); err != nil {
				return nil, err.Under("[" + strconv.Itoa(i) + "]")
			}
		}
		contents = append(contents, wire...)
	}
	return v.wrapped(contents)
}

// prefix is how many octets the length in front has.
func (v *Value) prefix() int {
	if v.node == nil || v.node.kind != nodeOctets && v.node.kind != nodeList || v.node.rest || v.node.length != nil {
		return 0
	}
	return v.node.prefix
}

// wrapped puts the length in front of contents.
func (v *Value) wrapped(contents []byte) ([]byte, *attls.Error) {
	n := v.prefix()
	if uint64(len(contents))>>(8*n) != 0 && n > 0 {
		return nil, unfit("%s do not fit in a length of %s", octets(len(contents)), octets(n))
	}
	wire := make([]byte, n, n+len(contents))
	for i := range n {
		wire[i] = byte(len(contents) >> (8 * (n - 1 - i)))
	}
	return append(wire, contents...), nil
}

// withField returns the octets of a struct with other octets of one field.
func (v *Value) withField(f *Value, wire []byte) ([]byte, *attls.Error) {
	at := f.Offset - v.Offset
	out := slices.Concat(v.Wire[:at], wire, v.Wire[at+len(f.Wire):])
	if len(wire) == len(f.Wire) || f.node == nil || f.node.length == nil || f.node.length.expr == nil {
		return out, nil
	}
	if v.node == nil || f.node.length.alone < 0 {
		return nil, unfit("its length cannot be repaired: it is computed from other fields").Under(f.Name)
	}
	counter := v.Field(counterOf(v.node.members, f.Name))
	if counter == nil || counter.Offset >= f.Offset {
		return nil, unfit("its length cannot be repaired: the field that has it is elsewhere").Under(f.Name)
	}
	width := len(counter.Wire)
	if width < 8 && uint64(len(wire))>>(8*width) != 0 {
		return nil, unfit("%s do not fit in %s of %s", octets(len(wire)), counter.Name, octets(width)).Under(f.Name)
	}
	for i := range width {
		out[counter.Offset-v.Offset+i] = byte(len(wire) >> (8 * (width - 1 - i)))
	}
	return out, nil
}

// counterOf finds the number that counts the octets of a field.
func counterOf(ms []member, name string) string {
	for _, m := range ms {
		switch {
		case m.field != nil && m.field.measures == name:
			return m.field.name
		case m.field != nil && m.field.joined:
			if s := counterOf(m.field.node.members, name); s != "" {
				return s
			}
		case m.choice != nil:
			for _, a := range m.choice.arms {
				if s := counterOf(a.members, name); s != "" {
					return s
				}
			}
		}
	}
	return ""
}

// cutStep splits the first step off a path: a name, "[1]" or "[]".
func cutStep(path string) (step, rest string, ok bool) {
	if everything, found := strings.CutPrefix(path, "[]"); found {
		rest, dotted := strings.CutPrefix(everything, ".")
		return "[]", rest, everything == "" || dotted && rest != "" || everything[0] == '['
	}
	s, rest, ok := nextStep(path)
	if s.name != "" {
		return s.name, rest, ok
	}
	return fmt.Sprintf("[%d]", s.index), rest, ok
}
