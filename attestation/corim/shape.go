package corim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// shape is what a CBOR item of a manifest may be: a map with known members, or an
// array of items. What the library does not know it skips, and what a policy cannot say
// must not be skipped.
type shape struct {
	members map[uint64]member // of a map
	items   *shape            // of an array without a fixed length
	tuple   []member          // of an array with a fixed length
}

type member struct {
	name string
	// refused says why a member cannot be read; empty: it can.
	refused string
	shape   *shape // nil: anything, which the library reads
}

const (
	notAccepted = "a policy cannot say it"
	elsewhere   = "it refers to manifests that are not read"
	conditional = "a policy has no conditions"
)

var (
	anything = (*shape)(nil)

	metaMap  = &shape{members: map[uint64]member{0: {name: "signer"}, 1: {name: "validity", shape: validity}}}
	validity = &shape{members: map[uint64]member{0: {name: "not-before"}, 1: {name: "not-after"}}}
	corimMap = &shape{members: map[uint64]member{
		0: {name: "id"}, 1: {name: "tags"}, 2: {name: "dependent-rims", refused: elsewhere}, 3: {name: "profile"},
		4: {name: "rim-validity", shape: validity}, 5: {name: "entities"},
	}}
	comidMap = &shape{members: map[uint64]member{
		0: {name: "language"}, 1: {name: "tag-identity"}, 2: {name: "entities"},
		3: {name: "linked-tags", refused: elsewhere}, 4: {name: "triples", shape: triples},
	}}
	triples = &shape{members: map[uint64]member{
		0: {name: "reference-triples", shape: &shape{
			items: &shape{tuple: []member{environmentOf, {name: "measurements", shape: &shape{items: measurement}}}}}},
		1:  {name: "endorsed-triples", refused: notAccepted},
		2:  {name: "identity-triples", refused: notAccepted},
		3:  {name: "attest-key-triples", shape: &shape{items: &shape{tuple: []member{environmentOf, {name: "keys"}}}}},
		4:  {name: "dependency-triples", refused: conditional},
		5:  {name: "membership-triples", refused: notAccepted},
		6:  {name: "coswid-triples", refused: notAccepted},
		8:  {name: "conditional-endorsement-series-triples", refused: conditional},
		10: {name: "conditional-endorsement-triples", refused: conditional},
	}}
	environmentOf = member{name: "environment", shape: environment}
	environment   = &shape{members: map[uint64]member{
		0: {name: "class", shape: &shape{members: map[uint64]member{
			0: {name: "class-id"}, 1: {name: "vendor"}, 2: {name: "model"}, 3: {name: "layer", refused: notAccepted},
			4: {name: "index", refused: notAccepted},
		}}},
		1: {name: "instance"}, 2: {name: "group", refused: notAccepted},
	}}
	measurement = &shape{members: map[uint64]member{
		0: {name: "mkey"}, 1: {name: "mval", shape: &shape{members: map[uint64]member{
			0: {name: "version"}, 1: {name: "svn"}, 2: {name: "digests"}, 3: {name: "flags"}, 4: {name: "raw-value"},
			5: {name: "raw-value-mask"}, 6: {name: "mac-addr", refused: notAccepted}, 7: {name: "ip-addr", refused: notAccepted},
			8: {name: "serial-number", refused: notAccepted}, 9: {name: "ueid", refused: notAccepted},
			10: {name: "uuid", refused: notAccepted},
			11: {name: "name"}, 13: {name: "cryptokeys"}, 14: {name: "integrity-registers", refused: notAccepted},
			15: {name: "int-range", refused: notAccepted},
		}}}, 2: {name: "authorized-by", refused: notAccepted},
	}}
)

// check refuses what a shape does not have.
func (s *shape) check(where string, v any) error {
	switch {
	case s == anything:
		return nil
	case s.members != nil:
		m, ok := v.(map[any]any)
		if !ok {
			return fmt.Errorf("%s: %s where a map belongs", where, kindOf(v))
		}
		for _, k := range slices.SortedFunc(maps.Keys(m), func(a, b any) int { return compare(a, b) }) {
			n, isNumber := k.(uint64)
			known, ok := s.members[n]
			if !ok || !isNumber {
				return fmt.Errorf("%s: there is a member %v, which is not known", where, k)
			}
			if err := known.check(where, m[k]); err != nil {
				return err
			}
		}
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%s: %s where an array belongs", where, kindOf(v))
	}
	if s.tuple != nil {
		if len(list) != len(s.tuple) {
			return fmt.Errorf("%s: an array of %d; it has %d", where, len(list), len(s.tuple))
		}
		for i, x := range s.tuple {
			if err := x.check(where, list[i]); err != nil {
				return err
			}
		}
		return nil
	}
	for i, x := range list {
		if err := s.items.check(fmt.Sprintf("%s[%d]", where, i), x); err != nil {
			return err
		}
	}
	return nil
}

func (m member) check(where string, v any) error {
	where += "." + m.name
	if m.refused != "" {
		return fmt.Errorf("%s: %s", where, m.refused)
	}
	return m.shape.check(where, v)
}

// compare sorts the keys of a map, so that an error is the same each time.
func compare(a, b any) int { return slices.Compare([]byte(fmt.Sprint(a)), []byte(fmt.Sprint(b))) }

func kindOf(v any) string {
	switch v := v.(type) {
	case map[any]any:
		return "a map"
	case []any:
		return "an array"
	case []byte:
		return "a byte string"
	case string:
		return "a text"
	case cbor.Tag:
		return fmt.Sprintf("the tag %d", v.Number)
	}
	return fmt.Sprintf("a value of type %T", v)
}
