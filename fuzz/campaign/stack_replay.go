package campaign

import (
	"fmt"

	"attls"
	"attls/conformance/claims"
)

// stackBench are the connections of a target, ready to be made one at a time.
type stackBench struct {
	target string
	role   attls.Role
	dir    string
	list   []*subject
	places []stackPlace
}

func newStackBench(target, dir string) (*stackBench, error) {
	role, ok := stackTargets[target]
	if !ok {
		return nil, fmt.Errorf("stack: no target is called %q", attls.Printable(target))
	}
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	w.real = true
	b := &stackBench{target: target, role: role, dir: dir}
	b.list, b.places, err = prepareStack(w, role, dir)
	return b, err
}

// input is the connection of a variant without edits.
func (b *stackBench) input(variant int) *Input {
	return &Input{Format: Format, Profile: b.places[variant].profile, Connection: b.list[variant].conn,
		Attacker: b.role.Peer().String(), Stack: b.target, Variant: variant}
}

// has reports whether an input is one of the connections.
func (b *stackBench) has(in *Input) bool {
	v := in.Variant
	return in.Stack == b.target && v >= 0 && v < len(b.places) && b.places[v].profile == in.Profile &&
		b.list[v].conn == in.Connection
}

// replay runs an input against a program once.
func (b *stackBench) replay(program string, planted int, in *Input) ([]Violation, *claims.Claims, error) {
	p, err := startStack(program, b.dir, planted)
	if err != nil {
		return nil, nil, err
	}
	defer p.stop()
	list, c := b.over(p, in)
	return list, c, nil
}

// over runs an input against a program that was started.
func (b *stackBench) over(p *stackProcess, in *Input) ([]Violation, *claims.Claims) {
	r, c, _, err := b.list[in.Variant].against(p, in.Variant, in)
	if err != nil {
		return []Violation{{"crash", b.role, p.crashed(err)}}, nil
	}
	return in.judgeStack(r, c), c
}

// ReplayStack runs an input against a program once and returns what it broke, and its claims.
func ReplayStack(in *Input, program, dir string, planted int) ([]Violation, *claims.Claims, error) {
	b, err := newStackBench(in.Stack, dir)
	if err != nil {
		return nil, nil, err
	}
	if !b.has(in) {
		return nil, nil, fmt.Errorf("variant %d of %s is another connection than that of the input: it was made by "+
			"another version", in.Variant, in.Stack)
	}
	return b.replay(program, planted, in)
}
