package lab

import (
	"fmt"
	"strings"

	"attls/conformance/claims"
)

// Input is one part of the two binders of a run.
type Input struct {
	Indent  string `json:"indent"`
	Expr    string `json:"expr"`
	Wanted  string `json:"wanted"` // at the relying party
	Have    string `json:"have"`   // at the attester
	Differs bool   `json:"differs,omitempty"`
	First   bool   `json:"first,omitempty"` // the first input that differs
}

// Inputs are the two binders side by side, part by part, their values shortened.
func (d *Detail) Inputs() (list []Input) {
	if d == nil || len(d.Binders) == 0 {
		return nil
	}
	a := d.Binders[0].Tree
	var b *claims.BinderNode
	if len(d.Binders) > 1 {
		b = d.Binders[1].Tree
	}
	first := true
	var walk func(a, b *claims.BinderNode, depth int)
	walk = func(a, b *claims.BinderNode, depth int) {
		if len(list) >= maxInputs || a == nil {
			return
		}
		r := Input{Indent: strings.Repeat("· ", depth), Expr: a.Expr, Wanted: shortened(a.Value)}
		if a.Name != "" && a.Name != a.Expr {
			r.Expr = a.Name + " = " + a.Expr
		}
		if b != nil {
			r.Have, r.Differs = shortened(b.Value), a.Value != b.Value
		}
		if first && r.Differs && d.Differs != nil && d.Differs.Expr == a.Expr && d.Differs.Expected == a.Value {
			r.First, first = true, false
		}
		list = append(list, r)
		for i, part := range a.Parts {
			var other *claims.BinderNode
			if b != nil && i < len(b.Parts) {
				other = b.Parts[i]
			}
			walk(part, other, depth+1)
		}
	}
	walk(a, b, 0)
	return list
}

// maxInputs bounds the parts of a binder on a page, and maxShown the octets of each.
const (
	maxInputs = 64
	maxShown  = 16
)

func shortened(value string) string {
	if len(value) <= 2*maxShown {
		return value
	}
	return fmt.Sprintf("%s… (%d octets)", value[:2*maxShown], len(value)/2)
}
