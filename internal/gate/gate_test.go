package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"attls"
)

const evil = "\x1b[2J\x00\x7f\u009b\u202e\u2028\U000e0041\xff →\n\tend"

// TestWriter: text arrives printable in whatever pieces it is written.
func TestWriter(t *testing.T) {
	want := attls.PrintableLines(evil)
	for size := 1; size <= len(evil); size++ {
		var out bytes.Buffer
		g := New(&out)
		for b := []byte(evil); len(b) > 0; {
			n, err := g.Write(b[:min(size, len(b))])
			if n != min(size, len(b)) || err != nil {
				t.Fatal(n, err)
			}
			b = b[n:]
		}
		if out.String() != want {
			t.Errorf("in pieces of %d: %q, want %q", size, out.String(), want)
		}
	}
	var out bytes.Buffer
	g := New(&out)
	if New(g) != g || Raw(g) != &out || Raw(&out) != &out {
		t.Error("a writer within a writer")
	}
	g.Write([]byte("é\xe2\x80"))
	g.Write([]byte("\xe2"))
	g.Write([]byte("x"))
	if out.String() != `é\xe2\x80\xe2x` {
		t.Errorf("another character after it: %q", out.String())
	}
	g.Write([]byte("\xe2"))
	if g.Close() != nil || out.String() != `é\xe2\x80\xe2x\xe2` {
		t.Errorf("an unfinished character: %q", out.String())
	}
	if n, err := g.Write([]byte("later")); n != 0 || err != io.ErrClosedPipe || g.Close() != nil || out.String() != `é\xe2\x80\xe2x\xe2` {
		t.Errorf("after the end: %d, %v, %q", n, err, out.String())
	}
	if n, err := New(broken{}).Write([]byte("text")); n != 0 || err != errBroken {
		t.Errorf("a broken writer: %d, %v", n, err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// TestJSON: escapes mean the same, and none of the characters is left.
func TestJSON(t *testing.T) {
	for _, text := range []string{evil, "plain", ""} {
		encoded, err := json.MarshalIndent(map[string]string{text: text}, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		got := JSON(encoded)
		var m map[string]string
		if err := json.Unmarshal(got, &m); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if text = strings.ToValidUTF8(text, "\ufffd"); m[text] != text {
			t.Errorf("%q: %q", text, m)
		}
		if attls.PrintableLines(string(got)) != string(got) {
			t.Errorf("%s", got)
		}
	}
}
