package binder

import "attls"

// Program is a set of definitions; it is immutable. The parser of the binder
// language is not written yet, so the only Program is the empty one, and every
// name is undefined in it.
type Program struct{}

// Eval computes the expression of a name for the attester of a role.
func (p *Program) Eval(name string, _ attls.Role, _ Inputs) ([]byte, error) {
	return nil, attls.Errorf(attls.Local, attls.FailBinderUndefined, "the binder defines no %q", name)
}

// Variant is how the program reads a transcript with a HelloRetryRequest.
func (p *Program) Variant() Variant { return VariantRFC8446 }
