package binder

import (
	"fmt"
	"slices"

	"attls"
)

// Setting is what a profile says about the values that a program asks for.
type Setting struct {
	Nonce         [2]Nonce // by the role of the attester
	KeySize       [2]int   // octets of the role's SubjectPublicKeyInfo; 0: any
	Within        [2]bool  // the role's Evidence is in its end-entity certificate
	Authenticator bool     // the credential travels in an exported authenticator
}

// Nonce says when the nonce of an attester's slot is known to both ends and how
// many octets the grammar lets it have.
type Nonce struct {
	Exists   bool
	At       Point
	Min, Max int
}

// FindingKind sorts what Check finds.
type FindingKind uint8

// The kinds of finding; FindingError alone makes a binder unusable.
const (
	// FindingError: the expression cannot work.
	FindingError FindingKind = iota
	// FindingContext: a value that nothing bounds is the context of an
	// HkdfLabel, so that the expression works with small keys only.
	FindingContext
	// FindingNarrow: within refuses octets that the grammar accepts.
	FindingNarrow
)

// Finding is one thing that Check found.
type Finding struct {
	Kind FindingKind
	Error
}

// bounds are the least and the greatest length (or value, of an integer).
type bounds struct{ min, max int }

func (b bounds) String() string {
	if b.min == b.max {
		return fmt.Sprint(b.min)
	}
	if b.max >= unbounded {
		return fmt.Sprintf("%d or more", b.min)
	}
	return fmt.Sprintf("%d to %d", b.min, b.max)
}

func add(a, b int) int { return min(a+b, unbounded) }

// checker computes bounds and moments for one hash and one attester.
type checker struct {
	p        *Program
	s        *Setting
	attester attls.Role
	hashLen  int
	findings []Finding
	sizes    map[defined]bounds
	moments  map[defined]moment
	now      string // the definition that is being looked at
}

// Check compares an expression with the static limits of HkdfLabel and HKDF
// for both hashes of TLS 1.3, and against the moment at which the attester
// needs its value: just before it writes the carrier.
func (p *Program) Check(name string, attester attls.Role, s Setting, carrier Point) []Finding {
	var all []Finding
	for _, h := range []int{32, 48} {
		c := &checker{p: p, s: &s, attester: attester, hashLen: h, sizes: map[defined]bounds{}}
		c.definition(name, attester)
		for _, f := range c.findings {
			if !slices.ContainsFunc(all, func(g Finding) bool {
				return g.Kind == f.Kind && g.Name == f.Name && g.Offset == f.Offset
			}) {
				all = append(all, f)
			}
		}
	}
	if at, where := p.Available(name, attester, s); at >= carrier {
		where.Msg = fmt.Sprintf("%s exists at the attesting %s from %s on, and is needed before %s", where.Msg,
			attester, at, carrier)
		all = append(all, Finding{Error: where})
	}
	return all
}

func (c *checker) find(kind FindingKind, at int, format string, args ...any) {
	c.findings = append(c.findings, Finding{kind, Error{Name: c.now, Offset: at, Msg: fmt.Sprintf(format, args...)}})
}

func (c *checker) definition(name string, role attls.Role) bounds {
	key := defined{name, role}
	if b, ok := c.sizes[key]; ok {
		return b
	}
	outer := c.now
	c.now = name
	b := c.size(c.p.tree[name], role)
	c.now = outer
	c.sizes[key] = b
	return b
}

func (c *checker) size(n *node, role attls.Role) bounds {
	switch n.op {
	case opText, opHex:
		return bounds{len(n.octets), len(n.octets)}
	case opInteger:
		return bounds{n.number, n.number}
	case opRange:
		if c.p.endOf(n, role) == PointNone {
			c.find(FindingError, n.at, "the profile adds no message that %s names for the attesting %s", n.name, c.attester)
		}
		return bounds{c.hashLen, c.hashLen}
	case opName:
		return c.definition(n.name, roleOf(n.role, role))
	case opTerminal:
		return c.terminal(n, roleOf(n.role, role))
	}
	if n.name == "per_role" {
		return c.size(n.args[role], role)
	}
	args := make([]bounds, len(n.args))
	for i, a := range n.args {
		args[i] = c.size(a, role)
		c.argument(n, a, n.function.params[min(i, len(n.function.params)-1)], args[i])
	}
	b := n.function.size(n, c.hashLen, args)
	if n.name == "within" {
		c.within(n, args[0], b)
	}
	c.fixed(n, args[0])
	if b.min > maxValue {
		c.find(FindingError, n.at, "%s has at least %d octets; a value has at most %d", n.name, b.min, maxValue)
	}
	return b
}

func (c *checker) terminal(n *node, owner attls.Role) bounds {
	if n.name == "nonce" {
		if owner != c.attester {
			c.find(FindingError, n.at, "the nonce for the %s exists only where it attests too, and this is the binder of the %s",
				owner, c.attester)
		} else if !c.s.Nonce[owner].Exists {
			c.find(FindingError, n.at, "no slot whose attester is the %s has a nonce", owner)
		}
		return bounds{c.s.Nonce[owner].Min, c.s.Nonce[owner].Max}
	}
	if size := c.s.KeySize[owner]; n.name == "spki" && size > 0 {
		return bounds{size, size}
	}
	b := bounds{n.terminal.min, n.terminal.max}
	if b.min == hashLength {
		b.min = c.hashLen
	}
	if b.max == hashLength {
		b.max = c.hashLen
	}
	return b
}

// argument holds the bounds of an argument against what its place takes.
func (c *checker) argument(call, arg *node, p param, b bounds) {
	switch p {
	case paramSecret:
		if b.min != c.hashLen || b.max != c.hashLen {
			c.find(FindingError, arg.at, "a secret of %s octets; %s takes Hash.length, here %d", b, call.name, c.hashLen)
		}
	case paramLabel:
		if b.min < 1 || b.max > 249 {
			c.find(FindingError, arg.at, "a label of %s octets; an HkdfLabel takes 1 to 249", b)
		}
	case paramContext:
		switch {
		case b.min > 255:
			c.find(FindingError, arg.at, "a context of %s octets; an HkdfLabel takes at most 255", b)
		case b.max > 255:
			c.find(FindingContext, arg.at,
				"a context of %s octets; an HkdfLabel takes at most 255, so that large keys cannot be bound", b)
		}
	case paramLength:
		if b.max < 1 || b.min > 255*c.hashLen {
			c.find(FindingError, arg.at, "a length of %s octets; HKDF-Expand gives 1 to %d", b, 255*c.hashLen)
		}
	}
}

func (c *checker) within(n *node, have, allowed bounds) {
	low, high := n.args[1].number, n.args[2].number
	switch {
	case low > high || have.max < low || have.min > high:
		c.find(FindingError, n.at, "%s octets are never within %d and %d", have, low, high)
	case have.min < low || have.max > high:
		c.find(FindingNarrow, n.at, "the grammar accepts %s octets and the binder takes %s", have, allowed)
	}
}

func withinSize(_ *node, _ int, a []bounds) bounds {
	return bounds{max(a[0].min, a[1].min), min(a[0].max, a[2].max)}
}

func digestSize(n *node, _ int, _ []bounds) bounds {
	size := digests[string(n.args[0].octets)]().Size()
	return bounds{size, size}
}

// cutSize is exact: an evaluation refuses what is shorter.
func cutSize(n *node, _ int, _ []bounds) bounds { return bounds{n.args[2].number, n.args[2].number} }

func padSize(n *node, _ int, _ []bounds) bounds { return bounds{n.args[1].number, n.args[1].number} }

func textSize(n *node, _ int, a []bounds) bounds {
	e := encoders[n.name]
	if a[0].max >= unbounded {
		return bounds{e.size(a[0].min), unbounded}
	}
	return bounds{e.size(a[0].min), e.size(a[0].max)}
}

// fixed checks the arguments that say how much is taken.
func (c *checker) fixed(n *node, have bounds) {
	switch n.name {
	case "cut":
		if need := add(n.args[1].number, n.args[2].number); n.args[2].number < 1 || have.max < need {
			c.find(FindingError, n.at, "%d octets from octet %d on, of %s octets", n.args[2].number, n.args[1].number, have)
		} else if have.min < need {
			c.find(FindingNarrow, n.at, "%s octets may be too few to cut %d from octet %d on", have, n.args[2].number,
				n.args[1].number)
		}
	case "pad_right", "pad_left":
		if have.min > n.args[1].number {
			c.find(FindingError, n.at, "%s octets do not fit into %d", have, n.args[1].number)
		} else if have.max > n.args[1].number {
			c.find(FindingNarrow, n.at, "%s octets may be too many for %d", have, n.args[1].number)
		}
	}
}

func concatSize(_ *node, _ int, a []bounds) (b bounds) {
	for _, x := range a {
		b.min, b.max = add(b.min, x.min), add(b.max, x.max)
	}
	return b
}

// mapSize leaves the heads out of the least length and counts five octets for
// each in the greatest.
func mapSize(n *node, _ int, a []bounds) (b bounds) {
	b = bounds{1, 5}
	for i, x := range a {
		key := len(encodeKey(n.keys[i]))
		b.min, b.max = add(b.min, key+x.min), add(b.max, key+5+x.max)
	}
	return b
}

// arraySize is mapSize without keys.
func arraySize(_ *node, _ int, a []bounds) (b bounds) {
	b = bounds{1, 5}
	for _, x := range a {
		b.min, b.max = add(b.min, x.min), add(b.max, 5+x.max)
	}
	return b
}

// moment is when a value exists, and the terminal that makes it so late.
type moment struct {
	at    Point
	where Error
}

// Available returns the earliest moment at which the attester's own end can
// compute an expression, and the terminal on which it waits.
func (p *Program) Available(name string, attester attls.Role, s Setting) (Point, Error) {
	c := &checker{p: p, s: &s, attester: attester, moments: map[defined]moment{}}
	m := c.when(name, attester)
	return m.at, m.where
}

func (c *checker) when(name string, role attls.Role) moment {
	key := defined{name, role}
	if m, ok := c.moments[key]; ok {
		return m
	}
	m := c.latest(name, c.p.tree[name], role)
	c.moments[key] = m
	return m
}

func (c *checker) latest(name string, n *node, role attls.Role) moment {
	here := moment{where: Error{Name: name, Offset: n.at, Msg: c.p.text[name][n.at:n.end]}}
	switch n.op {
	case opName:
		return c.when(n.name, roleOf(n.role, role))
	case opTerminal:
		here.at = n.terminal.at(c.s, roleOf(n.role, role), c.attester)
	case opRange:
		r := c.p.rangeOf(n, role)
		here.at = r.End
		if r.Exclusive {
			here.at = c.p.added.before(r.End)
		}
	}
	args := n.args
	if n.name == "per_role" {
		args = n.args[role : role+1]
	}
	for _, a := range args {
		if m := c.latest(name, a, role); m.at > here.at {
			here = m
		}
	}
	return here
}

// Use is a place where a value is needed.
type Use struct {
	Name     string
	Attester attls.Role
	Carrier  Point // the value is asked for just before, at the relying party just after
}

// Retention is what an engine must keep so that every use can be evaluated.
type Retention struct {
	Ranges   []Range          // the hash at the last message of each
	Secrets  map[Secret]Point // until this message has passed
	Messages bool             // the octets of the messages up to ServerHello as well
}

// Retain collects what the uses ask of the handshake.
func (p *Program) Retain(uses []Use) Retention {
	r := Retention{Secrets: map[Secret]Point{}}
	for _, u := range uses {
		seen := map[defined]bool{}
		p.retain(&r, u.Name, u.Attester, u.Carrier, seen)
	}
	r.Messages = p.variant != VariantRFC8446 && len(r.Ranges) > 0
	return r
}

func (p *Program) retain(r *Retention, name string, role attls.Role, until Point, seen map[defined]bool) {
	key := defined{name, role}
	if seen[key] || p.tree[name] == nil {
		return
	}
	seen[key] = true
	p.walk(p.tree[name], role, func(n *node, role attls.Role) {
		switch n.op {
		case opName:
			p.retain(r, n.name, roleOf(n.role, role), until, seen)
		case opRange:
			if x := p.rangeOf(n, role); !slices.Contains(r.Ranges, x) {
				r.Ranges = append(r.Ranges, x)
			}
		case opTerminal:
			if s, ok := secretNames[n.name]; ok {
				r.Secrets[s] = max(r.Secrets[s], until)
			}
		}
	})
}

// walk visits a tree without the arms of per_role that the role does not take.
func (p *Program) walk(n *node, role attls.Role, visit func(*node, attls.Role)) {
	visit(n, role)
	args := n.args
	if n.name == "per_role" {
		args = n.args[role : role+1]
	}
	for _, a := range args {
		p.walk(a, role, visit)
	}
}

// Unused lists the definitions that none of the names needs for any role.
func (p *Program) Unused(roots []string) []string {
	used := map[string]bool{}
	var mark func(string)
	mark = func(name string) {
		if used[name] || p.tree[name] == nil {
			return
		}
		used[name] = true
		p.every(p.tree[name], func(n *node) {
			if n.op == opName {
				mark(n.name)
			}
		})
	}
	for _, r := range roots {
		mark(r)
	}
	var list []string
	for _, n := range p.order {
		if !used[n] {
			list = append(list, n)
		}
	}
	return list
}

func (p *Program) every(n *node, visit func(*node)) {
	visit(n)
	for _, a := range n.args {
		p.every(a, visit)
	}
}

// secretNames are the terminals that are secrets of the key schedule.
var secretNames = map[string]Secret{"early_secret": EarlySecret, "ecdhe": ECDHE, "handshake_secret": HandshakeSecret,
	"main_secret": MainSecret, "exporter_secret": ExporterSecret}
