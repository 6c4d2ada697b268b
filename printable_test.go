package attls_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"attls"
)

// TestPrintable looks at every character, and at octets that are none.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"TLS_AES_128_GCM_SHA256 → ✓ é": "TLS_AES_128_GCM_SHA256 → ✓ é",
		"\x1b]0;PWNED\a\x1b[2J":        `\x1b]0;PWNED\x07\x1b[2J`,
		"one\ntwo\r\tthree\x7f":        `one\ntwo\r\tthree\x7f`,
		"\u009b31m\u202eevil\u2066":    `\u009b31m\u202eevil\u2066`,
		"\x9b\xff\xed\xa0\x80":         `\x9b\xff\xed\xa0\x80`,
		"\u2028\u200b\ufeff\U000e0041": `\u2028\u200b\ufeff\U000e0041`,
		"\ufffd \\x1b":                 "\ufffd \\x1b",
	} {
		got := attls.Printable(text)
		if got != want || attls.Printable(got) != got {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		bad := unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
		for name, f := range map[string]func(string) string{"Printable": attls.Printable, "PrintableLines": attls.PrintableLines} {
			kept := f(string(r)) == string(r)
			if line := name == "PrintableLines" && (r == '\n' || r == '\t'); bad && kept && !line || kept != (unicode.IsGraphic(r) || line) {
				t.Fatalf("%s: %U kept: %v", name, r, kept)
			}
		}
	}
}

// TestErrorIsPrintable: an error shows nothing of a peer's as it is.
func TestErrorIsPrintable(t *testing.T) {
	const evil = "\x1b[2J\n\u202e\x9b"
	e := attls.Errorf(attls.Refused, attls.FailAppraisal, "reason %s", evil).Under(evil).By(evil)
	e.Err, e.AlertName, e.HasAlert = errors.New(evil), evil, true
	if got := e.Error(); got != attls.Printable(got) || strings.Count(got, `\x1b[2J\n\u202e\x9b`) != 5 {
		t.Errorf("%q", got)
	}
}
