package wire

import (
	"bytes"
	"strings"
	"testing"

	"attls"
	"attls/internal/seeds"
)

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	var w Writer
	w.Uint8(1)
	w.Uint16(0x0203)
	w.Uint24(0x040506)
	w.Uint32(0x0708090a)
	w.Uint64(0x0b0c0d0e0f101112)
	w.Flag(true)
	w.Flag(false)
	w.Octets([]byte("octets"))
	w.Vector(1, []byte("one"))
	w.Text(2, "two")
	outer := w.Open(3)
	for _, s := range []string{"", "a", "bc"} {
		inner := w.Open(1)
		w.Octets([]byte(s))
		w.Close(inner)
	}
	w.Close(outer)
	w.Zeros(2)
	want := "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x01\x00octets\x03one\x00\x03two\x00\x00\x06\x00\x01a\x02bc\x00\x00"
	if got := string(w.Bytes()); got != want || w.Len() != len(want) {
		t.Fatalf("%q, %d octets\nwant %q", got, w.Len(), want)
	}

	r := NewReader(w.Bytes(), 0)
	if r.Uint8("a") != 1 || r.Uint16("b") != 0x203 || r.Uint24("c") != 0x40506 || r.Uint32("d") != 0x708090a || r.Uint64("e") != 0xb0c0d0e0f101112 {
		t.Error("a number is read otherwise")
	}
	if r.Uint8("f") != 1 || r.Uint8("g") != 0 {
		t.Error("a flag is read otherwise")
	}
	if got := string(r.Octets("h", 6)); got != "octets" {
		t.Errorf("octets %q", got)
	}
	if a, b := string(r.Vector("i", 1, 0, 255)), string(r.Vector("j", 2, 3, 3)); a != "one" || b != "two" {
		t.Errorf("vectors %q and %q", a, b)
	}
	at := r.Offset()
	if got := string(r.Open("k", 3, 0, Max(3))); got != "\x00\x01a\x02bc" || r.Offset() != at+3 || r.Left() != 6 {
		t.Errorf("contents %q, offset %d, %d left", got, r.Offset(), r.Left())
	}
	var list []string
	for r.More() {
		list = append(list, string(r.Vector("", 1, 0, 255)))
	}
	r.Close()
	if strings.Join(list, ",") != ",a,bc" {
		t.Errorf("elements %q", list)
	}
	if got := r.Rest(); !bytes.Equal(got, []byte{0, 0}) {
		t.Errorf("the rest is %x", got)
	}
	if err := r.End(); err != nil {
		t.Error(err)
	}
}

// TestErrorsSayWhereTheyAre: the first failure stays, and has the path and the offset.
func TestErrorsSayWhereTheyAre(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes string
		read  func(r *Reader)
		want  string
	}{
		{"too few octets", "\x01", func(r *Reader) { r.Uint16("number") }, "number at octet 100: 1 octets where 2 are needed [decode.malformed]"},
		{"a negative count", "\x01", func(r *Reader) { r.Octets("octets", -1) }, "octets at octet 100: 1 octets where -1 are needed [decode.malformed]"},
		{"no length", "\x01", func(r *Reader) { r.Vector("list", 2, 0, 9) }, "list at octet 100: 1 octets where 2 are needed [decode.malformed]"},
		{"a length beyond the end", "x\x02a", func(r *Reader) { r.Uint8(""); r.Vector("list", 1, 0, 9) }, "list at octet 101: announces 2 octets and 1 are left [decode.malformed]"},
		{"below the floor", "\x01a", func(r *Reader) { r.Vector("list", 1, 2, 255) }, "list at octet 100: 1 octets; at least 2 are required [decode.malformed]"},
		{"above the ceiling", "\x03abc", func(r *Reader) { r.Vector("list", 1, 1, 2) }, "list at octet 100: 3 octets; 1 to 2 are allowed [decode.malformed]"},
		{"beyond an open vector", "\x01\x02ab", func(r *Reader) { r.Open("list", 1, 0, 255); r.Vector("name", 1, 0, 255); r.Close() },
			"list.name at octet 101: announces 2 octets and 0 are left [decode.malformed]"},
		{"an element of a list", "\x03\x01a\x05", func(r *Reader) {
			r.Open("list", 1, 0, 255)
			for r.More() {
				r.Element()
				r.Vector("name", 1, 0, 255)
			}
			r.Close()
		}, "list[1].name at octet 103: announces 5 octets and 0 are left [decode.malformed]"},
		{"an element without a name", "\x01\x05", func(r *Reader) { r.Open("list", 1, 0, 255); r.Element(); r.Vector("", 1, 0, 255); r.Close() },
			"list[0] at octet 101: announces 5 octets and 0 are left [decode.malformed]"},
		{"octets left over", "abc", func(r *Reader) { r.Uint8("") }, " at octet 101: 2 octets are left over [decode.trailing_octets]"},
		{"a failure of the caller's", "\x01a", func(r *Reader) {
			r.Open("list", 1, 0, 255)
			r.Fail("name", 7, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "is not allowed"))
			r.Fail("other", 8, attls.Errorf(attls.Violation, attls.FailIllegalParameter, "comes later"))
			r.Close()
		}, "list.name at octet 7: is not allowed [parameter.illegal]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader([]byte(test.bytes), 100)
			test.read(&r)
			err := r.End()
			if err == nil {
				t.Fatal("no error")
			}
			if got := err.In(attls.KindFinished).Error(); got != "attls: "+attls.KindFinished.String()+dotted(test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func dotted(s string) string {
	if strings.HasPrefix(s, " ") {
		return s
	}
	return "." + s
}

func TestAReaderThatFailedGivesZeros(t *testing.T) {
	r := NewReader([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, 0)
	r.Octets("first", 10)
	first := r.Err()
	if r.Uint8("") != 0 || r.Uint64("") != 0 || len(r.Vector("", 1, 0, 255)) != 0 || len(r.Octets("", 1)) != 0 || len(r.Rest()) != 0 {
		t.Error("it reads on after a failure")
	}
	if len(r.Open("", 1, 0, 255)) != 0 || r.More() || r.Left() != 0 {
		t.Error("it opens a vector after a failure")
	}
	r.Close()
	if first == nil || r.End() != first || r.Err() != first {
		t.Errorf("%v took the place of %v", r.Err(), first)
	}
}

func TestCloseSkipsWhatWasNotRead(t *testing.T) {
	r := NewReader([]byte("\x02ab\x01c"), 0)
	r.Open("first", 1, 0, 255)
	r.Close()
	if got := string(r.Vector("second", 1, 0, 255)); got != "c" || r.End() != nil {
		t.Errorf("%q, %v", got, r.Err())
	}
}

func TestViewsCannotGrowIntoWhatFollows(t *testing.T) {
	b := []byte("\x01ab")
	r := NewReader(b, 0)
	if _ = append(r.Vector("", 1, 0, 255), 'x'); b[2] != 'b' {
		t.Error("append to a view has changed the next field")
	}
}

func TestVectorsAreNotNestedWithoutBound(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	r := NewReader(nil, 0)
	for range maxDepth + 1 {
		r.Open("", 1, 0, 255)
	}
}

func TestTheLongestVectorFitsItsLength(t *testing.T) {
	for width, most := range map[int]int{1: 255, 2: 65535, 3: 1<<24 - 1} {
		if Max(width) != most {
			t.Errorf("a length of %d octets announces %d at most", width, Max(width))
		}
		var vector, marked Writer
		vector.Vector(width, make([]byte, most))
		m := marked.Open(width)
		marked.Zeros(most)
		marked.Close(m)
		if !bytes.Equal(vector.Bytes(), marked.Bytes()) {
			t.Errorf("%d octets in one piece and by marks differ", most)
		}
		r := NewReader(vector.Bytes(), 0)
		if got := len(r.Vector("", width, 0, most)); got != most || r.End() != nil {
			t.Errorf("%d octets of %d are read: %v", got, most, r.Err())
		}
	}
}

func TestAWriterGoesBack(t *testing.T) {
	w := Append([]byte("before"))
	w.Uint8('x')
	w.Truncate(6)
	w.Uint8('y')
	if got := string(w.Bytes()); got != "beforey" {
		t.Errorf("%q", got)
	}
}

func TestUint16(t *testing.T) {
	if got := Uint16([]byte{1, 2, 3}); got != 0x102 {
		t.Errorf("%x", got)
	}
}

func FuzzReader(f *testing.F) {
	seeds.Add(f, func() {
		f.Add([]byte("\x00\x03\x02ab\x01"), uint8(2))
	})
	f.Fuzz(func(t *testing.T, b []byte, width uint8) {
		seeds.Input(t, b, width)
		w := int(width)%3 + 1
		r := NewReader(b, 5)
		r.Open("list", w, 0, Max(w))
		for n := 0; r.More(); n++ {
			if n > len(b) {
				t.Fatal("more elements than octets")
			}
			r.Element()
			r.Vector("name", 1, 0, 255)
		}
		r.Close()
		if err := r.End(); err != nil && (err.Offset < 5 || err.Offset > 5+len(b)) {
			t.Fatalf("offset %d of %d octets: %v", err.Offset, len(b), err)
		}
	})
}
