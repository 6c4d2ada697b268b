package schema_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"attls"
	"attls/extensions/schema"
)

// editable has a vector in a vector, a list of structs, a constant, a counted array
// and a select.
const editable = `
	struct {
		uint8 version = 1;
		opaque name<1..4>;
		select (version) { case 1: uint16 port; case 2: opaque path<0..255>; };
	} Item;
	struct {
		uint16 count;
		opaque counted[count];
		opaque fixed[2];
		Item items<0..2^16-1>;
		opaque twice[count * 2];
	} Whole;`

func TestEditChangesOneFieldAndRepairsLengths(t *testing.T) {
	file, err := schema.Parse([]byte(editable), schema.Position{})
	if err != nil {
		t.Fatal(err)
	}
	types, problems := schema.Compile(schema.DefaultEnvironment(), file)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	codec, err := types.Codec("Whole", schema.Context{Message: attls.KindClientHello})
	if err != nil {
		t.Fatal(err)
	}
	longer := func(b []byte) []byte { return append(b, 0xee) }
	flip := func(b []byte) []byte { b[0] ^= 0x80; return b }
	// count 1, counted 07, fixed 0102, items: (1, "61", 0050), (2, "62", "63"), twice 0a0b; then trailing octets.
	const whole = "0001 07 0102 000a 01 01 61 0050 02 01 62 01 63 0a0b ff"
	for name, w := range map[string]struct {
		path string
		edit func([]byte) []byte
		want string // octets, or a part of the error
	}{
		"a number":                          {"count", flip, "8001 07 0102 000a 01 01 61 0050 02 01 62 01 63 0a0b ff"},
		"an array of fixed length":          {"fixed", longer, "0001 07 0102ee 000a 01 01 61 0050 02 01 62 01 63 0a0b ff"},
		"a vector in a list":                {"items[0].name", longer, "0001 07 0102 000b 01 02 61ee 0050 02 01 62 01 63 0a0b ff"},
		"every element":                     {"items[].name", longer, "0001 07 0102 000c 01 02 61ee 0050 02 02 62ee 01 63 0a0b ff"},
		"beyond its bounds":                 {"items[1].name", func([]byte) []byte { return make([]byte, 5) }, "0001 07 0102 000e 01 01 61 0050 02 05 0000000000 01 63 0a0b ff"},
		"a constant":                        {"items[0].version", flip, "0001 07 0102 000a 81 01 61 0050 02 01 62 01 63 0a0b ff"},
		"a field of an arm":                 {"items[1].path", func([]byte) []byte { return nil }, "0001 07 0102 0009 01 01 61 0050 02 01 62 00 0a0b ff"},
		"a list as it is":                   {"items", func([]byte) []byte { return []byte{9} }, "0001 07 0102 0001 09 0a0b ff"},
		"the whole":                         {"", func([]byte) []byte { return []byte{1} }, "01 ff"},
		"a counted array":                   {"counted", longer, "0002 07ee 0102 000a 01 01 61 0050 02 01 62 01 63 0a0b ff"},
		"a counted array of the same size":  {"counted", flip, "0001 87 0102 000a 01 01 61 0050 02 01 62 01 63 0a0b ff"},
		"no element of that index":          {"items[2].name", longer, "items[2]: the list has 2 elements"},
		"no field of that name":             {"items[0].nmae", longer, `items[0]: there is no nmae here; did you mean "name"?`},
		"a field of another arm":            {"items[0].path", longer, "items[0]: there is no path here"},
		"an index of a struct":              {"[0]", longer, "a struct is not a list"},
		"a number of another width":         {"items[0].port", longer, "items[0].port: 3 octets for a number of 2"},
		"more than the length can say":      {"items[0].name", func([]byte) []byte { return make([]byte, 256) }, "items[0].name: 256 octets do not fit"},
		"a list that gets longer than that": {"items[0].name", func([]byte) []byte { return make([]byte, 255) }, "0001 07 0102 0108 01 ff " + strings.Repeat("00", 255) + " 0050 02 01 62 01 63 0a0b ff"},
		"a length that is an expression":    {"twice", longer, "twice: its length cannot be repaired"},
		"what is not a path":                {"items[0", longer, `"[0" is not a path`},
		"a path that ends in a dot":         {"items[].", longer, `is not a path`},
	} {
		t.Run(name, func(t *testing.T) {
			body := octetsOf(t, whole)
			got, failure := codec.Edit(body, w.path, w.edit)
			if failure != nil {
				if !strings.Contains(failure.Error(), w.want) {
					t.Errorf("%v, want %q", failure, w.want)
				}
			} else if want, err := hex.DecodeString(strings.ReplaceAll(w.want, " ", "")); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%x, want %s", got, w.want)
			}
			if !bytes.Equal(body, octetsOf(t, whole)) {
				t.Error("the body itself has changed")
			}
		})
	}
	if _, failure := codec.Edit([]byte{0, 9}, "count", flip); failure == nil || failure.Class != attls.Malformed {
		t.Errorf("a body that does not decode: %v", failure)
	}
}

func octetsOf(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
