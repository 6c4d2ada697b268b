package schema

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"attls"
)

const everything = `
	enum { small(1), large(2), range(16..31), odd(33), (255) } Size;
	struct { uint8 x; uint16 y; } Pair;
	struct { } Empty;
	opaque Name<1..4>;
	struct {
		uint8 version = 7;
		uint8 count;
		Size size;
		select (size) {
			case small: uint8 s;
			case large: uint32 l; Pair;
			case range: Name names<2..9>;
			case odd: Empty;
		}
		opaque fixed[2];
		Pair pairs[6];
		uint16 counted;
		opaque data[counted];
		opaque more[2*count+1];
		uint64 last;
	} All;
	struct { Size size; select (size) { case small: Name; case large: Pair; case odd: Name list<1..9>; } label; } Labelled;`

func allCodec(t testing.TB, of string, in Context) *Codec {
	t.Helper()
	c, err := compile(t, nil, everything).Codec(of, in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	head  = "07 01"
	small = "01 aa"
	tail  = "0102 01 0002 03 0004 0003 616263 414243 0000000000000009"
)

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct {
		name, of, wire string
		in             Context
		failure        attls.Failure
		offset         int
		field          string
		wraps          error
	}{
		{"empty", "All", "", Context{}, attls.FailDecode, 0, "version", nil},
		{"constant", "All", "08 01" + small + tail, Context{}, attls.FailDecode, 0, "version", ErrConstant},
		{"no arm", "All", head + "03 aa" + tail, Context{}, attls.FailDecode, 2, "", ErrUndefinedArm},
		{"short number in an arm", "All", head + "02 000000", Context{}, attls.FailDecode, 3, "l", nil},
		{"short number in an unnamed struct", "All", head + "02 00000000 01 02", Context{}, attls.FailDecode, 8, "y", nil},
		{"list above its ceiling", "All", head + "10 0a", Context{}, attls.FailDecode, 3, "names", nil},
		{"list below its floor", "All", head + "10 01 00" + tail, Context{}, attls.FailDecode, 3, "names", nil},
		{"list beyond the end", "All", head + "10 05 01", Context{}, attls.FailDecode, 3, "names", nil},
		{"element beyond its list", "All", head + "1f 04 01 61 02 62" + tail, Context{}, attls.FailDecode, 6, "names[1]", nil},
		{"empty element", "All", head + "1f 03 01 61 00" + tail, Context{}, attls.FailDecode, 6, "names[1]", nil},
		{"short array", "All", head + small + "01", Context{}, attls.FailDecode, 4, "fixed", nil},
		{"short array of structs", "All", head + small + "0102 01 0002 03 00", Context{}, attls.FailDecode, 6, "pairs", nil},
		{"array longer than the rest", "All", head + small + "0102 01 0002 03 0004 ffff 61", Context{}, attls.FailDecode, 14, "data", nil},
		{"trailing", "All", head + small + tail + "00", Context{}, attls.FailTrailing, 28, "", nil},
		{"limit of octets", "All", head + small + tail, Context{Limits: Limits{Size: 27}}, attls.FailLimit, 0, "", nil},
		{"limit of elements", "All", head + small + tail, Context{Limits: Limits{Elements: 6}}, attls.FailLimit, 7, "pairs[0].y", nil},
		{"length missing", "Labelled", "21", Context{}, attls.FailDecode, 1, "label.list", nil},
		{"no arm under a label", "Labelled", "10", Context{}, attls.FailDecode, 0, "label", ErrUndefinedArm},
		{"under a label", "Labelled", "02 01 00", Context{}, attls.FailDecode, 2, "label.y", nil},
		{"direct under a label", "Labelled", "01 02 61", Context{}, attls.FailDecode, 1, "label", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := allCodec(t, c.of, c.in).Decode(unhex(t, c.wire))
			if err == nil {
				t.Fatalf("decodes to %+v", v)
			}
			if err.Failure != c.failure || err.Offset != c.offset || err.Field != c.field || err.Message != attls.KindNone {
				t.Errorf("%v; offset %d of %q, want %s at %d of %q", err, err.Offset, err.Field, c.failure, c.offset, c.field)
			}
			if (err.Failure == attls.FailLimit) != (err.Class == attls.Violation) {
				t.Errorf("class %v", err.Class)
			}
			for _, sentinel := range []error{ErrUndefinedArm, ErrConstant} {
				if errors.Is(err, sentinel) != (c.wraps == sentinel) {
					t.Errorf("wraps %v", err.Err)
				}
			}
		})
	}
}

func TestLenient(t *testing.T) {
	wire := unhex(t, "08 01"+small+tail+"ffff")
	c := allCodec(t, "All", Context{IgnoreTrailing: true, IgnoreConstants: true})
	v, err := c.Decode(wire)
	if err != nil || v.Get("version").Number != 8 || len(v.Wire) != len(wire)-2 {
		t.Errorf("%v, %d octets of %d", err, len(v.Wire), len(wire))
	}
	if _, n, err := allCodec(t, "Pair", Context{}).DecodePrefix(unhex(t, "01 0002 03")); n != 3 || err != nil {
		t.Errorf("a prefix of %d octets, %v", n, err)
	}
}

func TestDecodeValues(t *testing.T) {
	v, err := allCodec(t, "All", Context{}).Decode(unhex(t, head+"02 0000000a 05 0006"+tail))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]uint64{"version": 7, "size": 2, "l": 10, "x": 5, "y": 6, "pairs[1].y": 4, "counted": 3, "last": 9} {
		if x := v.Get(path); x == nil || x.Number != want {
			t.Errorf("%s is %+v, want %d", path, x, want)
		}
	}
	if got := v.Get("size"); got.Enumerator() != "large" || got.Type() != "Size" {
		t.Errorf("%s %s", got.Type(), got.Enumerator())
	}
	if string(v.Get("data").Octets) != "abc" || string(v.Get("more").Octets) != "ABC" {
		t.Errorf("arrays %q and %q", v.Get("data").Octets, v.Get("more").Octets)
	}
	v, err = allCodec(t, "Labelled", Context{}).Decode(unhex(t, "01 02 6162"))
	if err != nil || string(v.Get("label").Octets) != "ab" {
		t.Errorf("a label that is the value itself: %+v, %v", v.Get("label"), err)
	}
	for _, path := range []string{"nothing", "pairs[2]", "pairs[x]", "pairs[1", "pairs[0]y", "size.x", "pairs.", ".size", "pairs[0].", "pairs..x", "pairs.[0]", "[0]"} {
		if x := v.Get(path); x != nil {
			t.Errorf("%q leads to %+v", path, x)
		}
	}
}

// set is a path and what is put there.
type set struct {
	path  string
	value Value
}

func build(t *testing.T, sets []set) (v Value) {
	t.Helper()
	for _, s := range sets {
		if err := v.Set(s.path, s.value); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		name, of string
		sets     []set
		want     string
	}{
		{"minimum", "All", nil, "07 00 01 00 0000 000000000000 0000 00 0000000000000000"},
		{"arm decides", "All", []set{{"l", Number(10)}}, "07 00 02 0000000a 00 0000 0000 000000000000 0000 00 0000000000000000"},
		{"field of an unnamed struct decides", "All", []set{{"y", Number(6)}, {"count", Number(1)}},
			"07 01 02 00000000 00 0006 0000 000000000000 0000 000000 0000000000000000"},
		{"array is counted", "All", []set{{"data", Octets([]byte("abc"))}, {"s", Number(0xaa)}},
			"07 00 01 aa 0000 000000000000 0003 616263 00 0000000000000000"},
		{"count is given", "All", []set{{"counted", Number(2)}}, "07 00 01 00 0000 000000000000 0002 0000 00 0000000000000000"},
		{"enumerator by name, floor filled", "All", []set{{"size", Symbol("range")}},
			"07 00 10 02 01 00 0000 000000000000 0000 00 0000000000000000"},
		{"elements", "All", []set{{"size", Number(17)}, {"names[0]", Octets([]byte("a"))}, {"names[1]", Octets([]byte("bcd"))}, {"pairs[0].y", Number(1)}, {"pairs[1].x", Number(2)}},
			"07 00 11 06 01 61 03 626364 0000 000001 020000 0000 00 0000000000000000"},
		{"arm without a field", "All", []set{{"size", Symbol("odd")}}, "07 00 21 0000 000000000000 0000 00 0000000000000000"},
		{"label of a struct", "Labelled", []set{{"label.y", Number(3)}}, "02 00 0003"},
		{"label of a list", "Labelled", []set{{"label.list[0]", Octets([]byte("a"))}}, "21 02 01 61"},
		{"label that is the value", "Labelled", []set{{"label", Octets([]byte("abc"))}}, "01 03 616263"},
		{"label left out", "Labelled", nil, "01 01 00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			codec := allCodec(t, c.of, Context{})
			got, err := codec.Append([]byte("before"), build(t, c.sets))
			if err != nil {
				t.Fatal(err)
			}
			if want := append([]byte("before"), unhex(t, c.want)...); !bytes.Equal(got, want) {
				t.Fatalf("got  %x\nwant %x", got, want)
			}
			if _, err := codec.Decode(got[len("before"):]); err != nil {
				t.Errorf("does not decode: %v", err)
			}
		})
	}
}

func TestEncodeErrors(t *testing.T) {
	for _, c := range []struct {
		name, of    string
		sets        []set
		field, text string
	}{
		{"unknown field", "All", []set{{"cuont", Number(1)}}, "cuont", `the type has no such field here; did you mean "count"?`},
		{"field of another arm", "All", []set{{"size", Symbol("small")}, {"l", Number(1)}}, "l", "the type has no such field here"},
		{"unknown below", "All", []set{{"pairs[0].z", Number(1)}}, "pairs[0].z", `the type has no such field here; did you mean "x"?`},
		{"fields of two arms", "All", []set{{"s", Number(1)}, {"l", Number(1)}}, "size", "is not given, and no case of the select on size has s, l"},
		{"a range is no number", "All", []set{{"names[0]", Octets([]byte("a"))}}, "size", "is not given, and several numbers select the fields that are"},
		{"other constant", "All", []set{{"version", Number(8)}}, "version", "8; the constant is 7"},
		{"number too big", "All", []set{{"count", Number(256)}}, "count", "256 does not fit in 1 octet"},
		{"negative number", "All", []set{{"last", Number(-1)}, {"counted", Number(-1)}}, "counted", "18446744073709551615 does not fit in 2 octets"},
		{"unknown enumerator", "All", []set{{"size", Symbol("smal")}}, "size", `Size has no smal; did you mean "small"?`},
		{"number without a case", "All", []set{{"size", Number(9)}}, "", "size is 9 and no case of the select is for it"},
		{"octets for a number", "All", []set{{"count", Octets(nil)}}, "count", "octets where a number is needed"},
		{"number for octets", "All", []set{{"fixed", Number(1)}}, "fixed", "a number where octets are needed"},
		{"struct for a list", "All", []set{{"pairs.x", Number(1)}}, "pairs", "a struct where a list is needed"},
		{"list for a struct", "All", []set{{"[0]", Number(1)}}, "", "a list where a struct is needed"},
		{"array too short", "All", []set{{"fixed", Octets([]byte("a"))}}, "fixed", "1 octet where 2 are needed"},
		{"array too long", "All", []set{{"counted", Number(1)}, {"data", Octets([]byte("ab"))}}, "data", "2 octets where 1 are needed"},
		{"count too small", "All", []set{{"data", Octets(make([]byte, 65536))}}, "data", "65536 octets do not fit in a length of 2 octets"},
		{"below the floor", "All", []set{{"size", Number(17)}, {"names[0]", Octets(nil)}}, "names[0]", "0 octets; 1 to 4 are allowed"},
		{"above the ceiling", "All", []set{{"size", Number(17)}, {"names[0]", Octets([]byte("abcde"))}}, "names[0]", "5 octets; 1 to 4 are allowed"},
		{"list above the ceiling", "All", []set{{"size", Number(17)}, {"names[0]", Octets([]byte("abcd"))}, {"names[1]", Octets([]byte("abcd"))}}, "names", "10 octets; 2 to 9 are allowed"},
		{"number under a label", "Labelled", []set{{"label", Number(1)}}, "size", "is not given, and no case of the select on size has a number"},
		{"octets under another label", "Labelled", []set{{"size", Symbol("large")}, {"label", Octets([]byte("a"))}}, "label", "octets where a struct is needed"},
		{"unknown under a label", "Labelled", []set{{"size", Symbol("large")}, {"label.xx", Number(1)}}, "label.xx", `the type has no such field here; did you mean "x"?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := allCodec(t, c.of, Context{}).Encode(build(t, c.sets))
			if err == nil {
				t.Fatal("is written")
			}
			if err.Class != attls.Local || err.Failure != attls.FailConfiguration || err.Field != c.field || err.Detail != c.text {
				t.Errorf("%s: %s, want %s: %s", err.Field, err.Detail, c.field, c.text)
			}
		})
	}
	_, err := allCodec(t, "Pair", Context{}).Encode(Struct(Number(1).As("x"), Number(2).As("x")))
	if err == nil || err.Detail != "the field is given twice" {
		t.Errorf("a field given twice: %v", err)
	}
	two := compile(t, nil, "enum { a(1), b(2), (255) } E; struct { E e; select (e) { case a: uint8 x; case b: uint8 y; }; select (e) { case a: uint8 p; case b: uint8 q; }; } S;")
	pair, _ := two.Codec("S", Context{})
	if _, err := pair.Encode(Struct(Number(1).As("x"), Number(1).As("q"))); err == nil || err.Detail != "is not given, and the fields that are belong to a and b" {
		t.Errorf("fields of two selects that contradict each other: %v", err)
	}
	if b, err := pair.Encode(Struct(Number(5).As("q"))); err != nil || !bytes.Equal(b, []byte{2, 0, 5}) {
		t.Errorf("a second select decides: %x, %v", b, err)
	}
	same := compile(t, nil, "enum { a(1), b(2), (255) } E; struct { E e; select (e) { case a: uint8 x; case b: uint8 x; }; } S;")
	c, _ := same.Codec("S", Context{})
	if _, err := c.Encode(Struct(Number(1).As("x"))); err == nil || err.Detail != "is not given, and x fit both a and b" {
		t.Errorf("arms alike: %v", err)
	}
}

// A number decides a select below a label, and is found there.
func TestDecidesBelowLabel(t *testing.T) {
	s := compile(t, nil, `
		enum { a(1), b(2), (255) } E;
		struct { } Empty;
		struct {
			E outer; E inner; uint8 count;
			select (outer) {
				case a:
					uint8 x;
					select (inner) { case a: uint8 y; case b: uint16 z; } deep;
					uint16 list[count];
				case b: Empty;
			} label;
		} S;`)
	c, err := s.Codec("S", Context{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		sets []set
		want string
	}{
		{[]set{{"label.deep.z", Number(7)}}, "01 02 00 00 0007"},
		{[]set{{"label.deep.y", Number(7)}, {"label.list", List(Number(8), Number(9))}}, "01 01 04 00 07 0008 0009"},
		{[]set{{"label", Struct()}, {"outer", Symbol("b")}}, "02 01 00"},
		{[]set{{"count", Number(2)}}, "01 01 02 00 00 0000"},
	} {
		got, bad := c.Encode(build(t, x.sets))
		if bad != nil || !bytes.Equal(got, unhex(t, x.want)) {
			t.Errorf("%+v: %x, %v; want %s", x.sets, got, bad, x.want)
			continue
		}
		canonical(t, c, got)
	}
}

func TestExpressions(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{"2^3-1", 7}, {"2*3+4", 10}, {"2+3*4", 14}, {"(2+3)*4", 20}, {"9-4-3", 2}, {"9-(4-3)", 8}, {"0x10", 16},
		{"5^0", 1}, {"1^99999999999", 1}, {"0^5+1", 1}, {"2^2^3", 64}, {"Hash.length*2", 64},
		{"2^64", -1}, {"2^63*2", -1}, {"3-4", -1}, {"18446744073709551615+1", -1}, {"2^24+1", -1}, {"nothing", -1},
	} {
		f, err := Parse([]byte("opaque A["+c.text+"];"), Position{})
		if err != nil {
			t.Fatal(err)
		}
		s, problems := Compile(DefaultEnvironment(), f)
		if s == nil {
			if c.want >= 0 || len(problems) != 1 {
				t.Errorf("%s: %v", c.text, problems)
			}
			continue
		}
		codec, err := s.Codec("A", Context{Lengths: map[string]int{ParamHashLength: 32}})
		if err != nil {
			t.Fatal(err)
		}
		if got := codec.Fields(0)[0].Ceiling; got != c.want {
			t.Errorf("%s is %d, want %d", c.text, got, c.want)
		}
	}
}

func TestSetErrors(t *testing.T) {
	for _, path := range []string{"a[1]", "a[", "[x]", "a..b", "n.x", "n[0]"} {
		v := Struct(Number(1).As("n"))
		if err := v.Set(path, Number(1)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestEncodedElements writes elements that were encoded before as they are, holds
// the list to its bounds all the same, and refuses them anywhere else.
func TestEncodedElements(t *testing.T) {
	c, err := compile(t, nil, "struct { uint8 x; uint16 y; } Pair; struct { uint8 a; Pair one; Pair list<0..6>; } T;").Codec("T", Context{})
	if err != nil {
		t.Fatal(err)
	}
	pair := Encoded([]byte{1, 0, 2})
	for name, test := range map[string]struct {
		v    Value
		want string // octets, or the error
	}{
		"first of two":        {Struct(List(pair, Struct(Number(3).As("x"))).As("list")), "00 000000 06 010002 030000"},
		"alone":               {Struct(List(pair).As("list")), "00 000000 03 010002"},
		"too long a list":     {Struct(List(pair, pair, pair).As("list")), "list: 9 octets; 0 to 6 are allowed"},
		"instead of a struct": {Struct(pair.As("one")), "one: an encoded element where a struct is needed"},
		"instead of a list":   {Struct(pair.As("list")), "list: an encoded element where a list is needed"},
		"instead of a number": {Struct(pair.As("a")), "a: an encoded element where a number is needed"},
		"the whole":           {pair, "an encoded element where a struct is needed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Encode(test.v)
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v; want %s", err, test.want)
				}
				return
			}
			if want := unhex(t, test.want); !bytes.Equal(got, want) {
				t.Errorf("%x; want %x", got, want)
			}
		})
	}
}

// TestManyFields gives more fields than one word of bits counts.
func TestManyFields(t *testing.T) {
	var text strings.Builder
	var v Value
	for i := range 70 {
		name := "f" + strings.Repeat("x", i)
		text.WriteString("uint8 " + name + ";")
		v.Items = append(v.Items, Number(i).As(name))
	}
	v.Kind = KindStruct
	c, err := compile(t, nil, "struct { "+text.String()+" } T;").Codec("T", Context{})
	if err != nil {
		t.Fatal(err)
	}
	got, failure := c.Encode(v)
	if failure != nil || len(got) != 70 || got[69] != 69 {
		t.Fatalf("%x, %v", got, failure)
	}
	for _, i := range []int{0, 63, 64, 69} {
		twice := v
		twice.Items = append(append([]Value(nil), v.Items...), v.Items[i])
		if _, failure := c.Encode(twice); failure == nil || !strings.Contains(failure.Error(), "given twice") {
			t.Errorf("field %d twice: %v", i, failure)
		}
	}
}
