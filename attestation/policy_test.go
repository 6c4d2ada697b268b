package attestation_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls/attestation"
	"attls/attestation/roottest"
)

// TestSectionStrict: a policy that says less than it seems to, or something that does
// not exist, is refused with file, line and the nearest name.
func TestSectionStrict(t *testing.T) {
	f := roottest.Stranger()
	for _, test := range []struct{ name, text, says string }{
		{"a misspelt member", "keys: []\nmeasurment: 00\n", `s.yaml:2: field measurment not found; did you mean "measurement"?`},
		{"a member that is like none", "xyzzy: 1\n", "s.yaml:1: field xyzzy not found; there are keys, measurement"},
		{"null", "keys: null\n", "s.yaml:1: keys says nothing"},
		{"a list of nothing", "keys: []\n", "s.yaml:1: keys says nothing"},
		{"a member twice", "measurement: 00\nmeasurement: 01\n", "already defined"},
		{"a list in place of a map", "- keys\n", "s.yaml:1: s.yaml is not a map"},
		{"a map in place of a list", "keys: {a: 1}\n", "s.yaml:1"},
		{"digits that are not hexadecimal", "measurement: xy\n", "s.yaml:1"},
		{"no key", "measurement: 00\n", "s.yaml:1: keys lists no key"},
		{"an alias inside what it names", "&x\n<<: *x\n", "an alias is inside what it names"},
		{"nothing", "", "the section is empty"},
		{"what is not YAML", "{", "s.yaml"},
	} {
		s, err := attestation.NewSection("s.yaml", []byte(test.text))
		if err == nil {
			_, err = f.Policy(s)
		}
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
}

// TestRootsInFile: the sections of a verifier's file are read by the formats of the
// table, and errors have its name and line.
func TestRootsInFile(t *testing.T) {
	table, err := attestation.NewFormats(append(attestation.SoftwareFormats(), roottest.Stranger())...)
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	read := func(text string) (*attestation.Verifier, error) {
		name := filepath.Join(directory, "v.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return attestation.LoadVerifier(name, table)
	}
	for _, test := range []struct{ name, text, says string }{
		{"an unknown format", "roots:\n  strangr: {keys: [x]}\n", `v.yaml:2: no root of trust is called "strangr"; there are eat, prototype, stranger; did you mean "stranger"?`},
		{"a format without a policy", "roots:\n  eat: {keys: [x]}\n", "v.yaml:2: this format has no section"},
		{"a misspelt member of a section", "roots:\n  stranger:\n    kees: [x]\n", `v.yaml:3: field kees not found; did you mean "keys"?`},
		{"a misspelt member of the file", "refrences: []\n", `v.yaml:1: field refrences not found; did you mean "references"?`},
		{"a list in place of the map", "roots: [stranger]\n", "v.yaml:1"},
		{"a section that says nothing", "roots: {stranger: {}}\n", "says nothing"},
		{"a word that is none", "unattested_key: perhaps\n", `"perhaps" is none of refuse, accept`},
		{"a machine with one device", "machines: [{name: x, instances: {eat: 00}}]\n", "v.yaml:1: the machine \"x\" has fewer than two devices"},
		{"a machine with a device of no format", "machines: [{name: x, instances: {eat: 00, tpn: 01}}]\n", `v.yaml:1: the machine "x": no root of trust is called "tpn"`},
	} {
		if _, err := read(test.text); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
	f, err := table.Named("stranger")
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.Emulate(t.Context(), attestation.EmulatorOptions{Seed: []byte("seed")})
	if err != nil {
		t.Fatal(err)
	}
	_, v, err := e.Demonstration(table, "stranger", []byte("seed"), nil)
	if err != nil {
		t.Fatal(err)
	}
	v.Machines = []attestation.Machine{{Name: "host 7", Instances: map[string][]byte{"eat": {1}, "stranger": {2}}}}
	text, err := v.File()
	if err != nil {
		t.Fatal(err)
	}
	again, err := read(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if again.Policies["stranger"] == nil || !again.AcceptUnattested || len(again.Machines) != 1 ||
		len(again.Schemes()) != len(v.Schemes()) {
		t.Errorf("what was written is not what is read: %s", text)
	}
}

// TestLoadAttester: an attester's file names its root of trust, and the old file is that
// of a software root of trust.
func TestLoadAttester(t *testing.T) {
	table, err := attestation.NewFormats(append(attestation.SoftwareFormats(), roottest.Stranger())...)
	if err != nil {
		t.Fatal(err)
	}
	f, err := table.Named("stranger")
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.Emulate(t.Context(), attestation.EmulatorOptions{Seed: []byte("seed")})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := e.File("stranger", nil)
	if err != nil {
		t.Fatal(err)
	}
	software, _ := attestation.Demo([]byte("seed"), nil)
	old, err := software.File(nil)
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	for _, test := range []struct{ name, text, format, says string }{
		{"a root of trust by name", string(whole), "stranger", ""},
		{"the file of a software root of trust", string(old), attestation.EAT, ""},
		{"an unknown root of trust", "root_of_trust: nobody\ndevice: {a: 1}\n", "", `a.yaml:1: no root of trust is called "nobody"`},
		{"no device", "root_of_trust: stranger\n", "", "a.yaml:1: stranger needs a section device"},
		{"a device without its key", "root_of_trust: stranger\ndevice: {kay: 1}\n", "", `a.yaml:2: field kay not found; did you mean "key"?`},
		{"a root of trust that is not made here", "root_of_trust: prototype\ndevice: {a: 1}\n", "", "a.yaml:1: prototype needs"},
	} {
		name := filepath.Join(directory, "a.yaml")
		if err := os.WriteFile(name, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, got, err := attestation.LoadAttester(t.Context(), name, table)
		if test.says != "" {
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want %q", test.name, err, test.says)
			}
			continue
		}
		if err != nil || a == nil || got.Name != test.format {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
