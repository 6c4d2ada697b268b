package binder

import (
	"slices"

	"attls"
)

// Dependencies are the values of a handshake that an expression is made of.
type Dependencies struct {
	Ranges  []Range
	Secrets []Secret
	Nonce   bool // of the attester
	Context bool // certificate_request_context
	Key     bool // the attester's key, or its certificate
	// Fields are those of the attester's certificate, as "not_before.seconds".
	Fields []string
	// Bare are the secrets that are in the value as they are, rather than under a
	// hash or a key derivation.
	Bare []Secret
}

// Depends collects what an expression is made of for an attester. The lists are
// not to be changed: they are collected once.
func (p *Program) Depends(name string, attester attls.Role) Dependencies {
	if p.tree[name] == nil {
		return Dependencies{}
	}
	known := &p.depends[2*p.number[name]+int(attester)]
	if d := known.Load(); d != nil {
		return *d
	}
	d := dependent{p: p, attester: attester, seen: map[visited]bool{}}
	d.name(name, attester, true)
	known.Store(&d.Dependencies)
	return d.Dependencies
}

// visited is a definition for a role, in a place where its value shows or not.
type visited struct {
	defined
	bare bool
}

type dependent struct {
	Dependencies
	p        *Program
	attester attls.Role
	seen     map[visited]bool
}

func (d *dependent) name(name string, role attls.Role, bare bool) {
	key := visited{defined{name, role}, bare}
	if !d.seen[key] {
		d.seen[key] = true
		d.node(d.p.tree[name], role, bare)
	}
}

func (d *dependent) node(n *node, role attls.Role, bare bool) {
	switch n.op {
	case opName:
		d.name(n.name, roleOf(n.role, role), bare)
	case opRange:
		if r := d.p.rangeOf(n, role); !slices.Contains(d.Ranges, r) {
			d.Ranges = append(d.Ranges, r)
		}
	case opTerminal:
		d.terminal(n, roleOf(n.role, role), bare)
	case opCall:
		switch n.name {
		case "concat", "within", "cbor_map", "cbor_array", "cut", "pad_right", "pad_left", "hex", "base64", "base64url",
			"per_role":
		default:
			bare = false
		}
		args := n.args
		if n.name == "per_role" {
			args = n.args[role : role+1]
		}
		for _, a := range args {
			d.node(a, role, bare)
		}
	}
}

func (d *dependent) terminal(n *node, owner attls.Role, bare bool) {
	s, ok := secretNames[n.name]
	if ok && !slices.Contains(d.Secrets, s) {
		d.Secrets = append(d.Secrets, s)
	}
	if ok && bare && !slices.Contains(d.Bare, s) {
		d.Bare = append(d.Bare, s)
	}
	_, field := certificateFields[n.name]
	if field && owner == d.attester && !slices.Contains(d.Fields, n.name) {
		d.Fields = append(d.Fields, n.name)
	}
	switch n.name {
	case "nonce":
		d.Nonce = d.Nonce || owner == d.attester
	case "request_context":
		d.Context = true
	case "spki", "point", "certificate":
		d.Key = d.Key || owner == d.attester
	}
}

// String is the word of the binder language.
func (s Secret) String() string {
	for name, x := range secretNames {
		if x == s {
			return name
		}
	}
	return "?"
}
