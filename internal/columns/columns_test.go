package columns

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"attls/internal/seeds"
)

func TestWidthCountsColumnsNotCharacters(t *testing.T) {
	for _, test := range []struct {
		text string
		want int
	}{
		{"", 0},
		{"attls", 5},
		{"│ ── ▶", 6},
		{"日本", 4},
		{"e\u0301te\u0301", 3},
		{"a\u0300\u0301\u0302\u0303", 1},
		{"👩🏽", 2},
	} {
		if got := Width(test.text); got != test.want {
			t.Errorf("%q takes %d columns, not %d", test.text, got, test.want)
		}
	}
}

func TestCutSaysThatItShortens(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"handshake", 9, "handshake"},
		{"handshake", 8, "handsha…"},
		{"handshake", 1, "…"},
		{"handshake", 0, ""},
		{"handshake", -3, ""},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
	} {
		if got := Cut(test.text, test.width); got != test.want {
			t.Errorf("Cut(%q, %d) = %q, not %q", test.text, test.width, got, test.want)
		}
	}
}

func TestWrapBreaksAtSpaces(t *testing.T) {
	for _, test := range []struct {
		text   string
		width  int
		indent string
		want   []string
	}{
		{"", 10, "", []string{""}},
		{"one two three", 7, "", []string{"one two", "three"}},
		{"one two three", 7, "  ", []string{"one two", "  three"}},
		{"  one two three", 7, "    ", []string{"  one", "    two", "    thr", "    ee"}},
		{"one two   ", 7, "", []string{"one two"}},
		{"early-attestation-06", 14, "", []string{"early-", "attestation-06"}},
		{"early-attestation-06", 8, "", []string{"early-", "attestat", "ion-06"}},
		{"onetwothree", 4, " ", []string{"onet", " wot", " hre", " e"}},
		{"日本語 語", 4, "", []string{"日本", "語", "語"}},
		{"one two", 3, "     ", []string{"one", "two"}}, // no room for the indentation
		{"日", 1, "", []string{"日"}},                     // wider than the line, and still there
	} {
		if got := Wrap(test.text, test.width, test.indent); !slices.Equal(got, test.want) {
			t.Errorf("Wrap(%q, %d, %q) = %q, not %q", test.text, test.width, test.indent, got, test.want)
		}
	}
}

func TestPiecesLoseNothing(t *testing.T) {
	for _, word := range []string{"", "0123456789abcdef", "日本語", "e\u0301e\u0301e\u0301"} {
		for width := 1; width < 9; width++ {
			list := Pieces(word, width)
			if strings.Join(list, "") != word {
				t.Errorf("Pieces(%q, %d) = %q", word, width, list)
			}
			for _, p := range list {
				if Width(p) > max(width, 2) {
					t.Errorf("Pieces(%q, %d): %q takes %d columns", word, width, p, Width(p))
				}
			}
		}
	}
}

func sample() *Table {
	t := &Table{Right: []bool{false, false, true}}
	t.Add("CLIENT", "PROFILE", "PASSED CASES", "WHY")
	t.Add("attls", "early-attestation-06", "12", "")
	t.Add("日本語", "none", "7", "It does not answer what was asked.")
	return t
}

func TestTableFitsItsWidth(t *testing.T) {
	for width := 20; width <= 120; width++ {
		lines := sample().Lines(width)
		var all string
		for _, l := range lines {
			if n := Width(l.Text); n > width {
				t.Errorf("at %d, a line of %d columns: %q", width, n, l.Text)
			}
			all += strings.Join(strings.Fields(l.Text), "")
		}
		for _, want := range []string{"attls", "12", "日本語", "none"} {
			if !strings.Contains(all, want) {
				t.Errorf("at %d, %q is missing in %v", width, want, lines)
			}
		}
	}
}

func TestTableForms(t *testing.T) {
	for _, test := range []struct {
		name  string
		width int
		want  string
	}{
		{"no limit", 0, `
0 CLIENT  PROFILE               PASSED CASES  WHY
1 attls   early-attestation-06            12
2 日本語  none                             7  It does not answer what was asked.`},
		{"cells are wrapped", 60, `
0 CLIENT PROFILE                   PASSED WHY
0                                   CASES
1 attls  early-attestation-06          12
2 日本語 none                           7 It does not answer
2                                         what was asked.`},
		{"words are broken", 48, `
0 CLIENT PROFILE       PASSED WHY
0                       CASES
1 attls  early-            12
1        attestation-
1        06
2 日本語 none               7 It does not answer
2                             what was asked.`},
		{"a list", 26, `
1 CLIENT attls; PROFILE
1   early-attestation-06;
1   PASSED CASES 12
2 CLIENT 日本語; PROFILE
2   none; PASSED CASES 7;
2   WHY It does not answer
2   what was asked.`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b strings.Builder
			for _, l := range sample().Lines(test.width) {
				b.WriteString("\n" + string(rune('0'+l.Row)) + " " + l.Text)
			}
			if b.String() != test.want {
				t.Errorf("%s\n\nnot%s", b.String(), test.want)
			}
		})
	}
}

// FuzzWrap: no line is wider than asked for unless it is one character, and what is
// not a space is there in its order.
func FuzzWrap(f *testing.F) {
	seeds.Add(f, func() {
		f.Add("one two three", 5, 2)
		f.Add("日本語 e\u0301 👩🏽", 3, 1)
		f.Add("   ", 2, 0)
	})
	f.Fuzz(func(t *testing.T, text string, width, indent int) {
		seeds.Input(t, text, width, indent)
		if !utf8.ValidString(text) || width < 1 || width > 200 || indent < 0 || indent > 50 || len(text) > 2000 {
			return
		}
		var all string
		for i, l := range Wrap(text, width, strings.Repeat(" ", indent)) {
			if Width(l) > width && Width(strings.TrimLeft(l, " ")) > 2 && (i == 0 || indent < width) {
				t.Errorf("%q takes %d columns, not %d", l, Width(l), width)
			}
			all += l
		}
		if strings.ReplaceAll(all, " ", "") != strings.ReplaceAll(text, " ", "") {
			t.Errorf("%q became %q", text, all)
		}
	})
}
