package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind says what a Value is.
type Kind uint8

// The kinds of Value.
const (
	KindNone    Kind = iota
	KindNumber       // uint8 … uint64, and enums
	KindOctets       // opaque, and arrays and vectors of uint8
	KindList         // any other array or vector
	KindStruct       // a struct, and the value of a label of a select
	KindSymbol       // an enumerator by name, in Octets; taken by Encode, never made by Decode
	KindEncoded      // an element of a list as it goes out, in Octets; taken by Encode, never made by Decode
)

var kindNames = [...]string{"nothing", "a number", "octets", "a list", "a struct", "an enumerator",
	"an encoded element"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is a value of a type: a number, octets, or a tree. Decode sets all
// fields; Encode needs Name (inside structs), Kind, and what the kind holds.
type Value struct {
	Name   string // of the field; empty for the whole and for elements of lists
	Kind   Kind
	Number uint64
	Octets []byte  // without the length in front; a view of what was decoded
	Items  []Value // elements of a list; fields of a struct in their order
	Offset int     // of Wire, in octets from the start of what was decoded
	Wire   []byte  // exactly the octets that were decoded, lengths included; Set leaves it as it was
	node   *node
}

// Number makes a number.
func Number[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int](n T) Value {
	return Value{Kind: KindNumber, Number: uint64(n)}
}

// Octets makes a string of octets.
func Octets(b []byte) Value { return Value{Kind: KindOctets, Octets: b} }

// Symbol makes the enumerator of that name.
func Symbol(name string) Value { return Value{Kind: KindSymbol, Octets: []byte(name)} }

// Encoded makes an element of a list out of what a Codec of its type has encoded
// before. It goes out as it is.
func Encoded(b []byte) Value { return Value{Kind: KindEncoded, Octets: b} }

// List makes a list of elements.
func List(elements ...Value) Value { return Value{Kind: KindList, Items: elements} }

// Struct makes a struct of named fields; their order does not matter.
func Struct(fields ...Value) Value { return Value{Kind: KindStruct, Items: fields} }

// As returns the Value under the name of a field.
func (v Value) As(name string) Value {
	v.Name = name
	return v
}

// Type is the name of the type a decoded Value was read as, as the text
// writes it; empty for other Values and for labels.
func (v *Value) Type() string {
	if v.node == nil {
		return ""
	}
	return v.node.name
}

// Enumerator is the name that a decoded number has in its enum, empty when the
// type is not an enum or does not list the number.
func (v *Value) Enumerator() string {
	if v.node == nil || v.node.enum == nil {
		return ""
	}
	return v.node.enum.nameOf(v.Number)
}

// Field returns the field of a struct, nil when there is none of that name.
func (v *Value) Field(name string) *Value {
	if v.Kind != KindStruct {
		return nil
	}
	for i := range v.Items {
		if v.Items[i].Name == name {
			return &v.Items[i]
		}
	}
	return nil
}

// Get returns what a path leads to, such as "schemes[1].argument.media_type";
// nil when the path leads nowhere. The empty path is the Value itself.
func (v *Value) Get(path string) *Value {
	for path != "" && v != nil {
		var step step
		var ok bool
		if step, path, ok = nextStep(path); !ok {
			return nil
		}
		switch {
		case step.name != "":
			v = v.Field(step.name)
		case v.Kind == KindList && step.index < len(v.Items):
			v = &v.Items[step.index]
		default:
			return nil
		}
	}
	return v
}

// Set puts x where a path leads and makes the structs and lists on the way.
// A list grows by at most one element.
func (v *Value) Set(path string, x Value) error {
	whole := path
	for path != "" {
		var step step
		var ok bool
		if step, path, ok = nextStep(path); !ok {
			return fmt.Errorf("schema: %q is not a path", whole)
		}
		next := v.open(step)
		if next == nil {
			return fmt.Errorf("schema: the path %q leads nowhere in %v", whole, v.Kind)
		}
		v = next
	}
	x.Name = v.Name
	*v = x
	return nil
}

// open returns the item one step down and makes it when it is missing.
func (v *Value) open(s step) *Value {
	want := KindList
	if s.name != "" {
		want = KindStruct
	}
	if v.Kind == KindNone {
		v.Kind = want
	}
	if v.Kind != want {
		return nil
	}
	if s.name != "" {
		if f := v.Field(s.name); f != nil {
			return f
		}
	} else if s.index < len(v.Items) {
		return &v.Items[s.index]
	} else if s.index > len(v.Items) {
		return nil
	}
	v.Items = append(v.Items, Value{Name: s.name})
	return &v.Items[len(v.Items)-1]
}

// step is one step of a path: a name, or an index when the name is empty.
type step struct {
	name  string
	index int
}

func nextStep(path string) (s step, rest string, ok bool) {
	if path[0] == '[' {
		end := strings.IndexByte(path, ']')
		if end < 0 {
			return s, "", false
		}
		n, err := strconv.ParseUint(path[1:end], 10, 31)
		if err != nil {
			return s, "", false
		}
		s.index, rest = int(n), path[end+1:]
		if rest != "" && rest[0] == '.' && len(rest) > 1 {
			return s, rest[1:], true
		}
		return s, rest, rest == "" || rest[0] == '['
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		return step{name: path}, "", true
	}
	s.name, rest = path[:end], path[end:]
	if rest[0] == '.' {
		rest = rest[1:]
		return s, rest, s.name != "" && rest != "" && rest[0] != '[' && rest[0] != '.'
	}
	return s, rest, s.name != ""
}
