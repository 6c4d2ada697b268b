package binder

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// NodeKind says what a Node is.
type NodeKind uint8

// The kinds of node.
const (
	NodeOctets  NodeKind = iota // Octets, or a text
	NodeInteger                 // Number
	NodeValue                   // the terminal Name of Role
	NodeDefine                  // the definition Name for Role
	NodeRange                   // the transcript up to the message Name of Role
	NodeCall                    // the function Name; Number trees follow
)

// Node is one node of an expression. A tree is a list of nodes in which each call
// precedes its arguments; in a call of cbor_map a key, octets or an integer, precedes
// each.
type Node struct {
	Kind      NodeKind
	Name      string
	Role      string // role, client, server, pha; empty: none
	Octets    []byte
	Number    int
	Exclusive bool // NodeRange: without the message itself
}

// Tree reads an expression, without looking at what it names.
func Tree(text string) ([]Node, *Error) {
	n, err := parse("", text)
	if err != nil {
		return nil, err
	}
	return n.flatten(nil), nil
}

func (n *node) flatten(list []Node) []Node {
	x := Node{Name: n.name, Octets: n.octets, Number: n.number, Exclusive: n.exclusive}
	for name, r := range roleArgs {
		if r == n.role {
			x.Role = name
		}
	}
	switch n.op {
	case opInteger:
		x.Kind = NodeInteger
	case opTerminal:
		x.Kind = NodeValue
	case opName:
		x.Kind = NodeDefine
	case opRange:
		x.Kind = NodeRange
	case opCall:
		x.Kind, x.Number = NodeCall, len(n.args)
	}
	list = append(list, x)
	for i, a := range n.args {
		if len(n.keys) > 0 {
			list = n.keys[i].flatten(list)
		}
		list = a.flatten(list)
	}
	return list
}

// Text writes a tree as an expression, from which Tree makes the same list.
func Text(tree []Node) (string, error) {
	w := writer{rest: tree}
	if err := w.write(0); err != nil {
		return "", err
	}
	if len(w.rest) > 0 {
		return "", errors.New("nodes are left over after a complete tree")
	}
	return w.text.String(), nil
}

type writer struct {
	rest []Node
	text strings.Builder
}

func (w *writer) write(depth int) error {
	switch {
	case len(w.rest) == 0:
		return errors.New("the tree ends before its last node")
	case depth > maxDepth:
		return fmt.Errorf("calls are nested more than %d deep", maxDepth)
	case w.text.Len() > maxText:
		return fmt.Errorf("the expression is longer than %d octets", maxText)
	}
	n := w.rest[0]
	w.rest = w.rest[1:]
	switch n.Kind {
	case NodeOctets:
		w.text.WriteString(literal(n.Octets))
	case NodeInteger:
		w.text.WriteString(strconv.Itoa(n.Number))
	case NodeRange:
		w.text.WriteString("CH..")
		if n.Exclusive {
			w.text.WriteByte('<')
		}
		w.named(n)
	case NodeCall:
		return w.call(n, depth)
	default:
		w.named(n)
	}
	return nil
}

func (w *writer) named(n Node) {
	w.text.WriteString(n.Name)
	if n.Role != "" {
		w.text.WriteString("(" + n.Role + ")")
	}
}

func (w *writer) call(n Node, depth int) error {
	w.text.WriteString(n.Name + "(")
	for i := range n.Number {
		if i > 0 {
			w.text.WriteByte(',')
		}
		if f := functions[n.Name]; f != nil && f.keyed {
			if err := w.key(); err != nil {
				return err
			}
			w.text.WriteByte(':')
		}
		if err := w.write(depth + 1); err != nil {
			return err
		}
	}
	w.text.WriteByte(')')
	return nil
}

// key writes a key of cbor_map, which is an integer or a text.
func (w *writer) key() error {
	if len(w.rest) > 0 && w.rest[0].Kind == NodeOctets {
		w.text.WriteString(`"` + string(w.rest[0].Octets) + `"`)
		w.rest = w.rest[1:]
		return nil
	}
	return w.write(maxDepth)
}

// literal writes octets as a text where that can be read.
func literal(b []byte) string {
	hidden := func(r rune) bool { return r == '"' || !unicode.IsPrint(r) }
	if utf8.Valid(b) && !strings.ContainsFunc(string(b), hidden) {
		return `"` + string(b) + `"`
	}
	return "0x" + hex.EncodeToString(b)
}
