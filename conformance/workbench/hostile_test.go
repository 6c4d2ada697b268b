package workbench

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// hostile are texts that are made to take room or time.
func hostile() map[string]string {
	base := "profile: mine\nbase: early-attestation-06\n"
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(format, "#", fmt.Sprint(i)))
		}
		return b.String()
	}
	aliases := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		aliases += fmt.Sprintf("a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i, i, i, i, i, i)
	}
	doubled := ""
	for i := range 60 {
		doubled += fmt.Sprintf("  struct { T%d a; T%d b; } T%d;\n", i+1, i+1, i)
	}
	chain := ""
	for i := range 3000 {
		chain += fmt.Sprintf("    d%d: 'hash(concat(d%d, d%d))'\n", i, i+1, i+1)
	}
	return map[string]string{
		"aliases":         base + aliases,
		"deep list":       base + "draft: " + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + "\n",
		"deep map":        base + "draft: " + strings.Repeat("{a: ", 50000) + strings.Repeat("}", 50000) + "\n",
		"doubled types":   base + "types: |\n" + doubled + "  struct { uint8 x; } T60;\n",
		"many types":      base + "types: |\n" + many(8000, "  struct { uint8 x; } T#;\n"),
		"chain":           base + "binder:\n  define:\n" + chain + "    d3000: 'zero'\n",
		"itself":          base + "binder:\n  define:\n    a: 'hash(b)'\n    b: 'hash(a)'\n",
		"deep binder":     base + "binder:\n  define:\n    key_bound: '" + strings.Repeat("hash(", 40000) + "zero" + strings.Repeat(")", 40000) + "'\n",
		"wide binder":     base + "binder:\n  define:\n    key_bound: 'hash(concat(zero" + strings.Repeat(", zero", 40000) + "))'\n",
		"many names":      base + "code_points:\n  extensions:\n" + many(10000, "    x#: 1\n"),
		"many keys":       base + many(20000, "k#: 1\n"),
		"many readings":   base + "switches:\n" + many(3000, "  s#: {default: a, options: [a, b], amb: A-1}\n"),
		"long word":       "profile: " + strings.Repeat("a", 250000) + "\nbase: early-attestation-06\n",
		"long label":      base + "binder:\n  define:\n    key_bound: 'expand_label(base, \"" + strings.Repeat("a", 200000) + "\", zero, 32)'\n",
		"much output":     base + "binder:\n  define:\n    key_bound: 'expand_label(base, \"a\", zero, 4000000000)'\n",
		"a base of bases": "profile: mine\nbase: mine\n",
		"colons":          strings.Repeat("a: ", 80000),
		"not text":        "\x00\xff\xfe" + strings.Repeat("\xc0", 1000),
	}
}

// TestHostileTexts: every method answers without a panic, and briefly.
func TestHostileTexts(t *testing.T) {
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			e := New()
			for _, method := range []string{"check", "lint", "run", "faults", "attack", "diff", "download"} {
				in, err := json.Marshal(Request{Text: text, Name: map[string]string{"attack": "read-only"}[method], Kind: "dissector"})
				if err != nil {
					t.Fatal(err)
				}
				reply := e.Call(method, in)
				if reply.Broken {
					t.Errorf("%s: %s", method, reply.Error)
				}
				if n := size(t, reply); n > 8<<20 {
					t.Errorf("%s: %d octets of reply", method, n)
				}
			}
		})
	}
}

func size(t *testing.T, reply Reply) int {
	t.Helper()
	b, err := json.Marshal(reply)
	if err != nil {
		t.Fatal(err)
	}
	return len(b)
}
