package binder

import "attls"

const MaxValue = maxValue

// StaticBounds is what Check foretells of the length of a value under SHA-256.
func StaticBounds(p *Program, name string, attester attls.Role, s Setting) (low, high int) {
	c := checker{p: p, s: &s, attester: attester, hashLen: 32, sizes: map[defined]bounds{}}
	b := c.definition(name, attester)
	return b.min, b.max
}
