package claims

import (
	"encoding/hex"
	"strconv"

	"attls/extensions/profile/binder"
)

// BinderNode is an expression of a profile's binder with what it came to and
// the same of its parts.
type BinderNode struct {
	Expr    string        `json:"expr"`
	Name    string        `json:"name,omitempty"`
	Value   string        `json:"value,omitempty"` // hexadecimal, or a decimal number
	Literal bool          `json:"literal,omitempty"`
	Error   string        `json:"error,omitempty"`
	Parts   []*BinderNode `json:"parts,omitempty"`
}

// MakeBinderNode writes down an expression that was explained, with its parts.
func MakeBinderNode(v *binder.Value) *BinderNode {
	n := &BinderNode{Expr: v.Expr, Name: v.Name, Value: hex.EncodeToString(v.Octets)}
	if v.Kind == binder.KindInteger {
		n.Value = strconv.Itoa(v.Number)
	}
	if v.Err != nil {
		n.Error = v.Err.Detail
	}
	if c := v.Expr[:min(1, len(v.Expr))]; len(v.Parts) == 0 && (c == `"` || c >= "0" && c <= "9") {
		n.Literal = true
	}
	for _, p := range v.Parts {
		n.Parts = append(n.Parts, MakeBinderNode(p))
	}
	return n
}
