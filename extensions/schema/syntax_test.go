package schema

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// withoutPositions clears every Position below v.
func withoutPositions(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			withoutPositions(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			withoutPositions(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Position]() {
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			withoutPositions(v.Field(i))
		}
	}
}

// printsBack checks that a File survives being printed and parsed.
func printsBack(t *testing.T, f *File) {
	t.Helper()
	printed := f.String()
	again, err := Parse([]byte(printed), Position{File: f.Name})
	if err != nil {
		t.Fatalf("what was printed does not parse: %v\n%s", err, printed)
	}
	if twice := again.String(); twice != printed {
		t.Errorf("prints differently the second time:\n%s\n%s", printed, twice)
	}
	withoutPositions(reflect.ValueOf(f))
	withoutPositions(reflect.ValueOf(again))
	if !reflect.DeepEqual(f, again) {
		t.Errorf("what was printed is another text:\n%s", printed)
	}
}

// Every figure of the drafts is read, means something and prints back.
func TestFigures(t *testing.T) {
	names, err := filepath.Glob("testdata/figures/*.tls")
	if err != nil || len(names) < 11 {
		t.Fatalf("%d figures: %v", len(names), err)
	}
	for _, name := range names {
		name = strings.TrimSuffix(filepath.Base(name), ".tls")
		t.Run(name, func(t *testing.T) {
			text := figure(t, name)
			f, err := Parse([]byte(text), Position{File: name})
			if err != nil {
				t.Fatal(err)
			}
			_, problems := Compile(codePoints(), f)
			if len(problems) > 0 {
				t.Errorf("%v", problems)
			}
			printsBack(t, f)
		})
	}
}

func TestPrintBack(t *testing.T) {
	for _, text := range []string{
		string(rfc8446Text),
		certificateSelect,
		`uint8 a[2*(3+4)-2^(1+1)]; uint8 b[9-(4-3)]; uint8 c[(2^2)^3]; uint8 d[2^(2^3)];`,
		`enum { a, b, c } E; enum { a(1..3), b(0x0F), (255) } F; enum { a(TBD1) } G;`,
	} {
		f, err := Parse([]byte(text), Position{})
		if err != nil {
			t.Fatal(err)
		}
		printsBack(t, f)
	}
}

const certificateSelect = `
	/* comments /* do not nest, and a * may stand in them */
	opaque Pair<1..2>;
	enum { red(0), green(1), blue(2), (255) } Colour;
	struct { } Empty;
	struct {
		Colour colour;
		select (Colour) {
			case red: case green:
				uint16 shade;
				select (colour) { case red: uint8 depth; case green: Empty; } more;
			case blue: Empty;
		}
		uint8 count = 1;
		select (colour) { case red: uint8; case green: Pair; case blue: Empty; } label;
	} Mixed;`

func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"struct { uint8 a; }", `t:1:20: the end of the text where the name of the type is expected`},
		{"struct { uint8 a }  A;", `t:1:18: "}" where ";" is expected`},
		{"struct {\n  uint8 a;\n  uint16;\n} A;", `t:3:3: a field of type uint16 without a name; name it; only an arm of a select takes a bare type`},
		{"enum { a(1), a(2) b } E;", `t:1:19: "b" where "}" is expected`},
		{"enum { a(x) } E;", `t:1:10: "x" where a number or TBD is expected`},
		{"opaque x<1>;", `t:1:11: ">" where ".." is expected`},
		{"opaque x<1..2^>;", `t:1:15: ">" where a number is expected`},
		{"opaque x<1..99999999999999999999>;", `t:1:13: "99999999999999999999" is not a number of at most 64 bits; write it in decimal, or in hexadecimal after 0x`},
		{"opaque x[3z];", `t:1:10: "3z" is not a number of at most 64 bits; write it in decimal, or in hexadecimal after 0x`},
		{"struct { /* open", `t:1:10: a comment without an end; close it with */`},
		{"uint8 a; // note\nuint8 b;", `t:1:10: the character '/' has no meaning here; comments are between /* and */`},
		{"struct { uint8 é; } A;", `t:1:16: the character 'é' has no meaning here`},
		{"struct { select (a) { } } A;", `t:1:10: a select without a case`},
		{"struct { select (a) { uint8 b; } } A;", `t:1:23: "uint8" where "case" or "}" is expected`},
		{"struct { select (a) { case b: } } A;", `t:1:23: an arm without a field; define "struct { } Empty;" and write "Empty;" here`},
		{"struct { struct { uint8 a; } b; } A;", `t:1:10: struct inside another definition; define it next to this one and use its name here`},
		{"struct { uint8 case; } A;", `t:1:16: "case" where the name of a field is expected; "case" is a word of the language`},
		{"select (a) { case b: uint8 c; };", `t:1:1: "select" where a definition is expected; a select belongs inside a struct`},
		{"uint8 = 3;", `t:1:7: "=" where the name of a field is expected`},
		{"uint8 a = 3;", `t:1:1: a definition gives a type a name; write: type Name; or type Name[octets]; or type Name<floor..ceiling>;`},
		{"uint8 a[" + strings.Repeat("(", 20) + "1;", `t:1:25: nested more than 16 deep`},
		{"uint8 a[1" + strings.Repeat("+1", 20) + "];", `t:1:42: nested more than 16 deep`},
		{"struct { uint8 a }\nA; struct { uint8 b; } B;\nstruct { uint8 c[; } C;", "t:1:18: \"}\" where \";\" is expected\nt:3:18: \";\" where a number is expected"},
	} {
		_, err := Parse([]byte(c.text), Position{File: "t"})
		if err == nil || err.Error() != c.want {
			t.Errorf("%q\n got: %v\nwant: %s", c.text, err, c.want)
		}
	}
}

// A text inside a block of another file has positions of that file, and what
// can be read of a broken text is there.
func TestOrigin(t *testing.T) {
	f, err := Parse([]byte("uint8 a;\n  uint8 b b;\nuint8 c;"), Position{"profile.yaml", 40, 5})
	if err == nil || err.Error() != `profile.yaml:41:15: "b" where ";" is expected` {
		t.Errorf("got: %v", err)
	}
	if len(f.Definitions) != 2 || f.Definitions[1].Name != "c" || f.Definitions[1].Pos != (Position{"profile.yaml", 42, 5}) {
		t.Errorf("definitions %+v", f.Definitions)
	}
	if _, err := Parse(make([]byte, maxSource+1), Position{}); err == nil {
		t.Error("a text of any size is read")
	}
}

// TestUnclosed: a brace that was forgotten is told at the struct, enum or select that
// it was to close.
func TestUnclosed(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a struct in front of its name", "struct {\n  uint8 a;\nA;\n", "t:1:1: the struct that begins here is not closed before its name A in line 3; write } A;"},
		{"a struct in front of another", "struct {\n  uint8 a;\n\nstruct { uint8 b; } B;\n", `t:1:1: the struct that begins here is not closed before "struct" in line 4; close it with } in front of that`},
		{"a struct at the end", "struct { uint8 b; } B;\nstruct {\n  uint8 a;\n", "t:2:1: the struct that begins here is not closed before the end of the text in line 4; close it with } in front of that"},
		{"a select", "struct {\n  uint8 x;\n  select (x) {\n    case 1: uint8 a;\n} A;\n", "t:1:1: the struct that begins here is not closed before the end of the text in line 6"},
		{"a select in front of an enum", "struct {\n  select (x) {\n    case 1: uint8 a;\n\nenum { b(1) } B;\n", `t:2:3: the select that begins here is not closed before "enum" in line 5`},
		{"an enum", "enum { a(1), b(2),\nstruct { uint8 x; } X;\n", `t:1:1: the enum that begins here is not closed before "struct" in line 2`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text), Position{File: "t"})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}
