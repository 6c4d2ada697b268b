package roots

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"attls/attestation"
)

var update = flag.Bool("update", false, "write the table of the page again")

// TestPage compares the table of docs/roots-of-trust.md with the rows.
func TestPage(t *testing.T) {
	const name, begin, end = "../../docs/roots-of-trust.md", "<!-- table -->\n", "<!-- end of table -->"
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, found := strings.Cut(rest, end)
	if !ok || !found {
		t.Fatalf("%s has no place for the table", name)
	}
	want := before + begin + markdown(All()) + end + after
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(page) {
		t.Errorf("the table in %s is not that of the code; run go test ./attestation/roots -run TestPage -update", name)
	}
}

// markdown writes the rows as a table.
func markdown(table attestation.Formats) string {
	var b strings.Builder
	b.WriteString("| name | type | challenge field, octets | key | verdict | made from |\n|---|---|---|---|---|---|\n")
	for _, f := range table.All() {
		var types []string
		for _, x := range f.Types {
			text := "`" + x.String() + "`"
			if x.MediaType != "" && x.ContentFormat != 0 {
				text += fmt.Sprintf(" (%d)", x.ContentFormat)
			}
			types = append(types, text)
		}
		key := "not named: "
		if f.Key.Named {
			key = "named: "
		}
		from := "nothing here"
		switch {
		case f.Open != nil && f.Emulate != nil:
			from = "device, emulator"
		case f.Open != nil:
			from = "device"
		case f.Emulate != nil:
			from = "emulator"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s, %s | %s | %s | %s |\n", f.Name, strings.Join(types, "<br>"),
			f.Challenge.Name, f.Challenge.Lengths(), key+f.Key.How, strings.Join(f.Says, ", "), from)
	}
	return b.String()
}
