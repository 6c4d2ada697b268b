package binder

import (
	"fmt"
	"slices"
	"sync/atomic"

	"attls"
)

// Definition gives a name to an expression.
type Definition struct{ Name, Text string }

// Program is a set of definitions; it is immutable.
type Program struct {
	text    map[string]string
	tree    map[string]*node
	kind    map[string]Kind
	order   []string
	number  map[string]int // of a name in order
	variant Variant
	added   Added
	depends []atomic.Pointer[Dependencies] // by name and role, once they were asked for
}

// Variant is how the program reads a transcript with a HelloRetryRequest.
func (p *Program) Variant() Variant { return p.variant }

// Names lists the definitions in the order in which they were given.
func (p *Program) Names() []string { return p.order }

// Text is the expression of a name as it was written.
func (p *Program) Text(name string) string { return p.text[name] }

// Added says where the messages are that a profile adds, which AT names: of the
// client, of the server and of post-handshake authentication. PointNone: none.
type Added struct {
	By    [2]Point // by attls.Role
	Later Point
	All   []Point // where messages are added, with those that AT does not name
}

// before is the last message in front of a point.
func (a *Added) before(p Point) Point {
	for p--; p > PointNone && p.Added() && !slices.Contains(a.All, p); p-- {
	}
	return p
}

// Compile is CompileWith for messages behind CertificateVerify.
func Compile(definitions []Definition, v Variant) (*Program, []*Error) {
	at := rangeEnds["AT"]
	return CompileWith(definitions, v, Added{By: at.by, Later: at.later, All: []Point{at.by[0], at.by[1], at.later}})
}

// CompileWith parses and checks definitions. A name of which nothing can refer to
// (one that is not a word of the language, such as "challenge.evidence/x509") is
// fine. The errors are those of all definitions, in order.
func CompileWith(definitions []Definition, v Variant, added Added) (*Program, []*Error) {
	p := &Program{added: added, text: map[string]string{}, tree: map[string]*node{}, kind: map[string]Kind{},
		number: map[string]int{}, variant: v}
	if len(definitions) > maxNames {
		d := definitions[maxNames]
		return nil, []*Error{{Name: d.Name, Msg: fmt.Sprintf("more than %d definitions", maxNames)}}
	}
	var errs []*Error
	for _, d := range definitions {
		if err := p.define(d); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	p.depends = make([]atomic.Pointer[Dependencies], 2*len(p.order))
	state := map[string]int{}
	for _, name := range p.order {
		if err := p.infer(name, state); err != nil {
			return nil, []*Error{err}
		}
	}
	return p, nil
}

func (p *Program) define(d Definition) *Error {
	if _, taken := p.tree[d.Name]; taken {
		return &Error{Name: d.Name, Msg: "is defined twice"}
	}
	_, isFunction := functions[d.Name]
	_, isTerminal := terminals[d.Name]
	_, isRole := roleArgs[d.Name]
	if isFunction || isTerminal || isRole {
		return &Error{Name: d.Name, Msg: "is a word of the binder language and cannot be defined"}
	}
	n, err := parse(d.Name, d.Text)
	if err != nil {
		return err
	}
	p.text[d.Name], p.tree[d.Name] = d.Text, n
	p.number[d.Name] = len(p.order)
	p.order = append(p.order, d.Name)
	return nil
}

const (
	entered = 1
	left    = 2
)

// infer finds the kind of a definition and refuses names that nothing defines,
// cycles and arguments of a wrong kind.
func (p *Program) infer(name string, state map[string]int) *Error {
	if state[name] == left {
		return nil
	}
	state[name] = entered
	k, err := p.kindOf(name, p.tree[name], state)
	if err != nil {
		return err
	}
	if k == KindRange {
		return &Error{Name: name, Msg: "a transcript range is possible only where a hash is taken"}
	}
	p.kind[name] = k
	state[name] = left
	return nil
}

func (p *Program) kindOf(name string, n *node, state map[string]int) (Kind, *Error) {
	fail := func(at int, format string, args ...any) (Kind, *Error) {
		return 0, &Error{Name: name, Offset: at, Msg: fmt.Sprintf(format, args...)}
	}
	switch n.op {
	case opText, opHex:
		return KindOctets, nil
	case opInteger:
		return KindInteger, nil
	case opRange:
		return KindRange, nil
	case opTerminal:
		return n.terminal.kind, nil
	case opName:
		if _, ok := p.tree[n.name]; !ok && rangeEnds[n.name] != nil {
			role := ""
			if rangeEnds[n.name].takesRole() {
				role = "(role)"
			}
			return fail(n.at, "%s is a message; what can be hashed is a range that begins with ClientHello, as CH..%s%s",
				n.name, n.name, role)
		}
		if _, ok := p.tree[n.name]; !ok {
			known := append(append(names(terminals), names(functions)...), p.order...)
			return fail(n.at, "nothing defines %q%s", n.name, nearest(n.name, known))
		}
		if state[n.name] == entered {
			return fail(n.at, "%q is defined by itself", n.name)
		}
		if err := p.infer(n.name, state); err != nil {
			return 0, err
		}
		return p.kind[n.name], nil
	}
	kinds := make([]Kind, len(n.args))
	for i, a := range n.args {
		k, err := p.kindOf(name, a, state)
		if err != nil {
			return 0, err
		}
		kinds[i] = k
		want := n.function.params[min(i, len(n.function.params)-1)]
		if !accepts(want, k) {
			return fail(a.at, "%s is given where %s takes %s", k, n.name, article(paramNames[want]))
		}
		if want == paramHash && (a.op != opText || digests[string(a.octets)] == nil) {
			return fail(a.at, "%s knows %s", n.name, hashNames())
		}
		if want == paramNumber && a.op != opInteger {
			return fail(a.at, "%s takes an integer that is written here", n.name)
		}
	}
	switch n.name {
	case "per_role":
		if kinds[0] != kinds[1] {
			return fail(n.at, "per_role gives %s to one role and %s to the other", kinds[0], kinds[1])
		}
		return kinds[0], nil
	case "cbor_array":
		if i := slices.Index(kinds, KindRange); i >= 0 {
			return fail(n.args[i].at, "a transcript range is possible only where a hash is taken")
		}
	case "cbor_map":
		return KindOctets, checkKeys(name, n, kinds)
	case "len":
		return KindInteger, nil
	}
	return KindOctets, nil
}

func article(s string) string {
	switch s[0] {
	case 'o':
		return s
	case 'i', 'e':
		return "an " + s
	case 'n':
		return "the " + s
	}
	return "a " + s
}

func accepts(p param, k Kind) bool {
	switch p {
	case paramLength, paramNumber:
		return k == KindInteger
	case paramHashed:
		return k == KindOctets || k == KindRange
	case paramAny:
		return true
	}
	return k == KindOctets
}

func checkKeys(name string, n *node, kinds []Kind) *Error {
	seen := map[string]bool{}
	for i, k := range n.keys {
		if kinds[i] == KindRange {
			return &Error{Name: name, Offset: n.args[i].at, Msg: "a transcript range is possible only where a hash is taken"}
		}
		enc := string(encodeKey(k))
		if seen[enc] {
			return &Error{Name: name, Offset: k.at, Msg: "the key appears twice in the map"}
		}
		seen[enc] = true
	}
	return nil
}

// roleOf resolves a role in parentheses for the attester being bound.
func roleOf(r roleArg, attester attls.Role) attls.Role {
	switch r {
	case argClient:
		return attls.RoleClient
	case argServer:
		return attls.RoleServer
	}
	return attester
}

// rangeOf resolves a range for the attester being bound.
func (p *Program) rangeOf(n *node, attester attls.Role) Range {
	return Range{End: p.endOf(n, attester), Exclusive: n.exclusive, Variant: p.variant}
}

// endOf is where a range ends; PointNone: nothing is added there.
func (p *Program) endOf(n *node, attester attls.Role) Point {
	end := *rangeEnds[n.name]
	if n.name == "AT" {
		end.by, end.later = p.added.By, p.added.Later
	}
	if n.role == argPHA {
		return end.later
	}
	return end.by[roleOf(n.role, attester)]
}

// RangeOf is what a node of kind NodeRange names in a binder of an attester. It is false
// for other nodes, for a range of post-handshake authentication that has no such message,
// and where the profile adds no message that the range could end with.
func (p *Program) RangeOf(n Node, attester attls.Role) (Range, bool) {
	if n.Kind != NodeRange || rangeEnds[n.Name] == nil {
		return Range{}, false
	}
	r := p.rangeOf(&node{name: n.Name, role: roleArgs[n.Role], exclusive: n.Exclusive}, attester)
	return r, r.End != PointNone
}
