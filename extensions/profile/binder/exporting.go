package binder

import (
	"slices"
	"strings"

	"attls"
)

// Exporter is TLS-Exporter (RFC 8446 section 7.5): length octets for a label and a context.
type Exporter func(label string, context []byte, length int) ([]byte, error)

// Exporting may be implemented by Inputs of a stack that lends its exporter and none of its
// secrets: exporter over exporter_secret is asked there. Nil: it is computed.
type Exporting interface{ Exporter() Exporter }

// lent reports whether a call is exporter over exporter_secret.
func (p *Program) lent(n *node) bool {
	if n.op != opCall || n.name != "exporter" {
		return false
	}
	for n = n.args[0]; n != nil && n.op == opName; {
		n = p.tree[n.name]
	}
	return n != nil && n.op == opTerminal && n.name == "exporter_secret"
}

// exporter is the one that the inputs lend for a call; nil: there is none.
func (e *evaluation) exporter(n *node) Exporter {
	if x, ok := e.in.(Exporting); ok && e.p.lent(n) {
		return x.Exporter()
	}
	return nil
}

// callLent asks an exporter that is lent.
func (e *evaluation) callLent(v *Value, text string, n *node, role attls.Role, export Exporter) {
	v.Parts = append(e.list(len(n.args)), e.value(text[n.args[0].at:n.args[0].end]))
	for _, a := range n.args[1:] {
		part := e.eval(text, a, role)
		v.Parts = append(v.Parts, part)
		if v.Err = part.Err; v.Err != nil {
			return
		}
	}
	label, context, length := v.Parts[1], v.Parts[2], v.Parts[3].Number
	if v.Err = e.expandable(string(label.Octets), length); v.Err != nil {
		return
	}
	var err error
	if v.Octets, err = export(string(label.Octets), context.Octets, length); err == nil && len(v.Octets) != length {
		err = undefined(attls.Local, "%d octets were exported, and %d are needed", len(v.Octets), length)
	}
	if err != nil {
		v.Err = undefined(attls.Local, "the exporter failed: %v", err)
	}
}

// Beyond lists the words with which an expression asks more of a handshake, for an attester,
// than an exporter, contexts and the certificates of known roles give. Nonces are in frames
// where framed says so.
func (p *Program) Beyond(name string, attester attls.Role, known [2]bool, framed bool) []string {
	b := beyond{p: p, known: known, framed: framed, seen: map[defined]bool{}}
	b.name(name, attester)
	return b.words
}

type beyond struct {
	p      *Program
	known  [2]bool
	framed bool
	seen   map[defined]bool
	words  []string
}

func (b *beyond) add(word string) {
	if !slices.Contains(b.words, word) {
		b.words = append(b.words, word)
	}
}

func (b *beyond) name(name string, role attls.Role) {
	key := defined{name, role}
	if b.p.tree[name] != nil && !b.seen[key] {
		b.seen[key] = true
		b.node(b.p.tree[name], role)
	}
}

func (b *beyond) node(n *node, role attls.Role) {
	args := n.args
	switch {
	case n.op == opName:
		b.name(n.name, roleOf(n.role, role))
	case n.op == opRange:
		b.add("a transcript")
	case n.op == opTerminal:
		b.terminal(n, roleOf(n.role, role))
	case n.name == "per_role":
		args = n.args[role : role+1]
	case b.p.lent(n):
		args = n.args[1:]
	}
	for _, a := range args {
		b.node(a, role)
	}
}

func (b *beyond) terminal(n *node, owner attls.Role) {
	_, secret := secretNames[n.name]
	_, field := certificateFields[n.name]
	switch {
	case secret, strings.HasPrefix(n.name, "next."), strings.HasPrefix(n.name, "rekey."), n.name == "nonce" && !b.framed:
		b.add(n.name)
	case (field || n.name == "spki" || n.name == "point" || n.name == "certificate") && !b.known[owner]:
		b.add(n.name + "(" + owner.String() + ")")
	}
}
