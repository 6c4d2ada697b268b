package attestation

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// Fields lists what the Evidence says, by name; nil for results and where its format
// shows none.
func (c *Contents) Fields() []Field {
	if c.Reading == nil || c.Reading.Fields == nil {
		return nil
	}
	return c.Reading.Fields()
}

// claimNames are the names of the keys of claims sets, as the registries have them.
var claimNames = map[any]string{
	claimAudience:     "aud",
	claimExpires:      "exp",
	claimNotBefore:    "nbf",
	claimIssuedAt:     "iat",
	claimConfirmation: "cnf",
	claimNonce:        "eat_nonce",
	claimUEID:         "ueid",
	claimOEMID:        "oemid",
	claimModel:        "hwmodel",
	claimDebug:        "dbgstat",
	claimProfile:      "eat_profile",
	claimSubmods:      "submods",
	claimUse:          "intuse",
	claimKAK:          "kak-pub",
}

// fields lists the claims of the tokens, in the order of their keys. A record has their
// octets.
func (t *tokens) fields(value []byte) (list []Field) {
	parts := []struct {
		where string
		*token
	}{{labelKAT + ".", t.kat}, {labelPAT + ".", t.pat}}
	if t.kat == t.pat {
		parts = parts[:1]
		parts[0].where = ""
	}
	for _, p := range parts {
		for _, key := range sortedLabels(p.claims) {
			name, ok := claimNames[key]
			if !ok {
				name = fmt.Sprint(key)
			}
			list = append(list, locate(value, p.where+name, p.claims[key]))
		}
		list = append(list, locate(value, p.where+"signature", p.signature))
	}
	return list
}

// sortedLabels are the keys of a map: integers by value, then texts.
func sortedLabels(c claims) (keys []any) {
	for key := range c {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b any) int {
		x, xInt := a.(int64)
		y, yInt := b.(int64)
		switch {
		case xInt && yInt:
			return cmp.Compare(x, y)
		case xInt:
			return -1
		case yInt:
			return 1
		}
		return cmp.Compare(a.(string), b.(string))
	})
	return keys
}

// locate is a field with an item of CBOR, or other octets, at the place where they are
// in the value.
func locate(value []byte, name string, item []byte) Field {
	text := fmt.Sprintf("%x", item)
	if wellFormed(item) == nil {
		text = diagnose(item)
	}
	f := Field{Name: name, Text: text}
	if at := bytes.Index(value, item); at >= 0 && len(item) > 2 && bytes.Count(value, item) == 1 {
		f.Start, f.End = at, at+len(item)
	}
	return f
}
