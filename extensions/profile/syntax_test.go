package profile

import (
	"os"
	"strings"
	"testing"
)

// TestYAMLMistakes: what is not YAML is told at the line and column of the mistake
// with what to do, not where the library gave up.
func TestYAMLMistakes(t *testing.T) {
	src, err := os.ReadFile("profiles/early-attestation-05.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct{ name, old, new, at, want string }{
		{"a tab in front of a key", "  slots:\n", "\tslots:\n", "\tslots", "there is a tab in the indentation; YAML is indented with spaces"},
		{"a tab behind spaces", "      attester: server", "    \t attester: server", "\t attester", "there is a tab in the indentation"},
		{"a key too far right", "negotiation:\n  offer:", "negotiation:\n  offer: {}\n    unwilling: omit\n  x:", "unwilling: omit", "the line is indented deeper than offer, which has a value already; begin it in the column of offer"},
		{"a key too far left", "      choice: encrypted_extensions", "     choice: encrypted_extensions", "choice: encrypted_extensions", "the line begins in a column in which no key above it begins; begin all keys of a map in the same column"},
		{"a missing quotation mark at the end", "hash(CH..SH), Hash.length)'\n    key_bound", "hash(CH..SH), Hash.length)\n    key_bound", `'expand_label(zero, "att`, "the quotation mark ' is not closed on its line; close it, or leave both out"},
		{"a missing double quotation mark", "revision: \"05\"", "revision: \"05", "\"05", "the quotation mark \" is not closed on its line"},
		{"a brace without an end", "choose: {order: $choice_order}", "choose: {order: $choice_order", "{order: $choice_order", "the { is never closed; close it with }"},
		{"a bracket without an end", "{offered_by: [client_hello]}", "{offered_by: [client_hello}", "}\n    certificate_request", "the } closes no [; close the [ first"},
		{"a last brace without an end", "    carried_over: carried_over\n", "    carried_over: {carried_over\n", "{carried_over", "the { is never closed"},
		{"a colon in a value", "    why: the value stays readable", "    why: the value: stays readable", ": stays", "the line has a second colon; put the value into quotation marks"},
		{"a value that begins with @", "  transcript: $hrr", "  transcript: @hrr", "@hrr", "a value cannot begin with @; put it into quotation marks"},
	} {
		t.Run(m.name, func(t *testing.T) {
			text := strings.Replace(string(src), m.old, m.new, 1)
			if text == string(src) {
				t.Fatal("the edit changes nothing")
			}
			want := "edited.yaml:" + place(t, text, m.at) + ": " + m.want
			if _, err := Parse("edited.yaml", []byte(text), Options{}); err == nil || !strings.Contains("\n"+err.Error(), "\n"+want) {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
	t.Run("well-formed files have none", func(t *testing.T) {
		for _, name := range Names() {
			_, src, _ := source(name)
			if f := diagnose(strings.Split(string(src), "\n")); f != nil {
				t.Errorf("%s: %+v", name, f)
			}
		}
	})
}
