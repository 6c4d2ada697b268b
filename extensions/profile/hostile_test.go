package profile

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// hostile is a text and what must be said of it.
type hostile struct{ text, want string }

func hostileTexts() map[string]hostile {
	const size = 240_000
	many := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	few := func(format string) string {
		var b strings.Builder
		for i := range 500 {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	base := "profile: x\nbase: early-attestation-06\n"
	return map[string]hostile{
		"text bomb":          {base + "switches: {a: {default: x, x: '" + strings.Repeat("y", 1000) + "', z: 1}}\nbinder: {define: {base: '" + strings.Repeat("$a ", 500) + "'}}\n", "the text has more than 8192 octets"},
		"map bomb":           {base + "switches: {a: {default: x, x: [" + strings.Repeat("a,", 1000) + "b], z: 1}}\nbinder: {define: {" + few("k%d: $a, ") + "}}\n", "switches put more than 32768 values and octets into the profile"},
		"list bomb":          {base + "switches: {a: {default: x, x: [" + strings.Repeat("a,", 1000) + "b], z: 1}}\nbinder: {hand_over: {values: [" + strings.Repeat("$a,", 1000) + "b]}}\n", "switches put more than 32768"},
		"keys":               {base + many("k%d: 1\n"), "keys in a map; at most 512 are read"},
		"alert keys":         {base + "alerts:\n" + many("  k%d: 1\n"), "keys in a map"},
		"slots":              {base + "bind:\n  slots:\n" + many("    k%d: {attester: client}\n"), "keys in a map"},
		"extensions":         {base + "extensions:\n" + many("  k%d: {body: opaque}\n"), "keys in a map"},
		"code points":        {base + "code_points:\n  extensions:\n" + many("    k%d: 65300\n"), "keys in a map"},
		"definitions":        {base + "binder:\n  define:\n" + many("    k%d: zero\n"), "keys in a map"},
		"switches":           {base + "switches:\n" + many("  k%d: {default: a, a: 1, b: 2}\n"), "keys in a map"},
		"readings":           {base + "switches:\n  k: {default: r0, " + many("r%d: 1, ") + "}\nbinder: {transcript: $k}\n", "keys in a map"},
		"flaws":              {base + "accepted_flaws: {element_bound: [" + many("k%d, ") + "x]}\n", "values in a list; at most 1024 are read"},
		"brackets":           {fill("["), "the [ is never closed"},
		"braces":             {fill("{a: "), "the { is never closed"},
		"dashes":             {fill("- "), "exceeded max depth"},
		"questions":          {fill("? "), "exceeded max depth"},
		"indentation":        {many("%d:\n "), "keys in a map"},
		"comments":           {fill("#\n"), "the file is empty"},
		"aliases":            {"a: &a [x]\nb: [" + fill("*a,") + "]", "anchors and aliases are not read"},
		"anchors":            {fill("&a "), "the file is not YAML"},
		"huge number":        {base + "nonce: {size: " + fill("9") + "}\n", "nonce.size is a number"},
		"huge hex":           {base + "nonce: {default: 0x" + fill("ab") + "}\n", "no slot has a nonce"},
		"huge word":          {fill("a"), "a profile is a map of keys"},
		"quotes":             {"\"" + fill("\\n"), "is not closed on its line"},
		"structs":            {base + "types: |\n" + many("  struct { } a%d;\n"), "at most 512 definitions"},
		"fields":             {base + "types: |\n  struct {\n" + many("    uint8 a%d;\n") + "  } A;\n", "each of at most 512 members"},
		"enumerators":        {base + "types: |\n  enum {\n" + many("    a%d(1),\n") + "  (255) } A;\n", "at most 512 members"},
		"distinct numbers":   {base + "types: |\n  enum {\n" + manyNumbers() + "  (65535) } A;\n", "at most 512 members"},
		"arms":               {base + "types: |\n  struct {\n    uint16 x;\n    select (x) {\n" + many("      case %d: uint8 x;\n") + "    };\n  } A;\n", "at most 512 members"},
		"chain of types":     {base + "types: |\n" + manyChain(), "more than 16384 fields"},
		"expression":         {base + "types: |\n  opaque x<0.." + strings.Repeat("1+", 100_000) + "1>;\n", "nested more than 16 deep"},
		"power":              {base + "types: |\n  opaque x<0..2^2^2^2^2^2^2^2>;\n", "more than 64 bits"},
		"parentheses":        {base + "types: |\n  opaque x<0.." + fill("(") + ">;\n", "nested more than 16 deep"},
		"comment in types":   {base + "types: |\n" + many("  /* %d */\n"), "element_bound"},
		"open comments":      {base + "types: |\n  " + fill("/*") + "\n", "where a type is expected"},
		"concat":             {base + "binder: {define: {base: 'concat(" + fill("zero,") + "zero)'}}\n", "longer than 4096 octets"},
		"doubling":           {base + "binder:\n  define:\n    d0: zero\n" + manyDoubling(200), "nothing uses d0"},
		"doubling unrefused": {base + "binder:\n  define:\n    base: expand_label(zero, \"a\", hash(d12), Hash.length)\n    d0: zero\n" + manyDoubling(12), "a value has at most 131072"},
	}
}

func manyNumbers() string {
	var b strings.Builder
	for i := 0; b.Len() < 120_000 && i < 65536; i++ {
		fmt.Fprintf(&b, "    a%d(%d),\n", i, i)
	}
	return b.String()
}

func manyChain() string {
	var b strings.Builder
	b.WriteString("  uint8 a0;\n")
	for i := 1; b.Len() < 120_000; i++ {
		fmt.Fprintf(&b, "  struct { a%d x; a%d y; } a%d;\n", i-1, i-1, i)
	}
	return b.String()
}

func manyDoubling(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "    d%d: concat(d%d, d%d)\n", i, i-1, i-1)
	}
	return b.String()
}

// TestHostileText: files up to the greatest size, made to be expensive, are refused
// before anything grows with them: what is allocated stays near their size.
func TestHostileText(t *testing.T) {
	for name, h := range hostileTexts() {
		t.Run(name, func(t *testing.T) {
			if len(h.text) > MaxFile {
				t.Fatalf("%d octets", len(h.text))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			problems := LintText("hostile.yaml", []byte(h.text))
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 96<<20 && !raceDetector {
				t.Errorf("%d MB were allocated", n>>20)
			}
			if text := problems.Error(); !strings.Contains(text, h.want) || len(problems) > 2*maxProblems || len(text) > 1<<17 {
				t.Errorf("%d problems, %d octets, want %q:\n%.500s", len(problems), len(text), h.want, text)
			}
		})
	}
}
