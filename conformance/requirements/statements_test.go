package requirements

import (
	"slices"
	"testing"
)

// TestStatements: the registry read without running anything has the rows that it
// has otherwise, and their keys tell the texts apart.
func TestStatements(t *testing.T) {
	light, err := Statements()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range whole {
		if len(light[i].Rows) != len(whole[i].Rows) {
			t.Fatalf("%s: %d rows, %d", whole[i].Title(), len(light[i].Rows), len(whole[i].Rows))
		}
		for k := range whole[i].Rows {
			a, b := &light[i].Rows[k], &whole[i].Rows[k]
			key := light[i].Key(a)
			if a.ID != b.ID || a.Class != b.Class || len(a.Cases) < len(b.Cases) || seen[key] {
				t.Errorf("%s: %+v, %+v", key, a, b)
			}
			seen[key] = true
		}
	}
	for _, c := range []struct{ profile, name, key string }{
		{"", "elsewhere", "RFC 8446 4.2-2"},
		{"", "two-protocols", "RFC 7301 3.1"},
		{"early-attestation-06", "two-choices", "every profile G5"},
		{"early-attestation-06", "no-scheme-evidence", "early-attestation-06 R5"},
	} {
		if keys := Citing(light, c.profile, c.name); !slices.Contains(keys, c.key) || len(keys) > 4 {
			t.Errorf("%s under %q: %v", c.name, c.profile, keys)
		}
	}
}
