package seeds

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// inputs have a value of each type that a fuzz function can take.
var inputs = [][]any{
	{[]byte{0, 'a', '"', 0xff, '\n'}},
	{""},
	{"日本\x00`\"", []byte("x"), true, byte(0x80), byte('\''), uint16(65535), uint32(7), uint64(math.MaxUint64), uint(3)},
	{int8(-128), int16(-2), int32('x'), int64(math.MinInt64), -5, false, float32(1.5), 2.25},
	{[]byte("header"), []byte{}, "a longer argument behind it"},
}

func TestForms(t *testing.T) {
	var corpus []byte
	for _, args := range inputs {
		corpus = append(corpus, Marshal(args)...)
		types := typesOf(args)
		if got, err := Unmarshal(Marshal(args), types); err != nil || !reflect.DeepEqual(got, [][]any{args}) {
			t.Errorf("%#v: %#v, %v", args, got, err)
		}
		got, err := FromOctets(Octets(args), types)
		if err != nil || !reflect.DeepEqual(got, args) {
			t.Errorf("%#v becomes %x, and that %#v, %v", args, Octets(args), got, err)
		}
	}
	if got, err := Unmarshal(corpus, nil); err != nil || !reflect.DeepEqual(got, inputs) {
		t.Errorf("%#v, %v", got, err)
	}
	if _, err := FromOctets(nil, []string{"complex64"}); err == nil {
		t.Error("a type that no target has")
	}
	for _, test := range []struct {
		octets string
		types  []string
		want   []any
	}{ // the layout of OSS-Fuzz's build for Go
		{"\x01ab", []string{"[]uint8"}, []any{[]byte("ab")}},
		{"\x00\x05\x01\x01\x01abcd", []string{"[]uint8", "uint16", "string", "bool"}, []any{[]byte("ab"), uint16(5), "cd", true}},
		{"\x07", []string{"uint16", "string"}, []any{uint16(0x700), ""}},
		{"\x00\x00abc", []string{"string", "string"}, []any{"a", "bc"}},
		{"\xff\x00abc", []string{"string", "string"}, []any{"abc", ""}},
	} {
		if got, err := FromOctets([]byte(test.octets), test.types); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: %#v, %v", test.octets, got, err)
		}
	}
}

// TestGoWritesTheSame: what Go's fuzzer wrote is read, and written as it is.
func TestGoWritesTheSame(t *testing.T) {
	name := filepath.Join("..", "..", "fuzz", "testdata", "fuzz", "FuzzEngine", "key_update_after_failure")
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	list, err := ReadFile(name, []string{"[]uint8"})
	if err != nil || len(list) != 1 || !bytes.Equal(Marshal(list[0]), want) {
		t.Errorf("%q, %v", list, err)
	}
}

func TestDamaged(t *testing.T) {
	for _, test := range []struct{ corpus, want string }{
		{"", "no input"},
		{"\n\n", "no input"},
		{"go test fuzz v2\n[]byte(\"\")\n", `line 1: "go test fuzz v2", which is not "go test fuzz v1"`},
		{"\x1f\x8b\x08\x00", "line 1"},
		{header + "[]byte(\"a\n", "line 2: "},
		{header + "[]byte(\"a\")\n" + header + "[]byte(5)\n", "line 4: "},
		{header + "byte('日')\n", "line 2: "},
		{header + "byte(256)\n", "line 2: "},
		{header + "uint16(-1)\n", "line 2: "},
		{header + "os.Exit(1)\n", "line 2: "},
		{header + "byte('a', 'b')\n", "line 2: "},
		{header + "string(\"a\")\n", "the target takes ([]uint8)"},
		{header + "[]byte(\"a\")\nbool(true)\n", "an input of ([]uint8, bool)"},
		{header, "an input of ()"},
	} {
		got, err := Unmarshal([]byte(test.corpus), []string{"[]uint8"})
		if err == nil || !strings.Contains(err.Error(), test.want) || got != nil {
			t.Errorf("%q: %q, %v", test.corpus, got, err)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "corpus")
	if err := WriteFile(name, Marshal(inputs[0])); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(name, link); err != nil {
		t.Skip(err)
	}
	if got, err := ReadFile(link, nil); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 1<<40); err != nil {
		t.Skip(err)
	}
	for name, want := range map[string]string{huge: "more than", dir: "not a regular file", name + "x": "no such file"} {
		if _, err := ReadFile(name, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Nothing is left of what cannot be put in its place.
	if err := WriteFile(dir, []byte("x")); err == nil {
		t.Error("a file took the place of a directory")
	}
	if err := WriteFile(filepath.Join(dir, "none", "x"), nil); err == nil {
		t.Error("no directory")
	}
	files, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestOnce(t *testing.T) {
	n := 0
	type counted int
	for range 2 {
		Once(func() counted { n++; return counted(n) })
	}
	if want := map[bool]int{false: 2, true: 1}[eachInput]; n != want {
		t.Errorf("made %d times, not %d", n, want)
	}
}
