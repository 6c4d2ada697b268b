package profile

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"attls/extensions/profile/binder"
	"attls/internal/seeds"
)

func compiled(t testing.TB, p *Profile) []byte {
	t.Helper()
	b, err := p.Compiled()
	if err != nil {
		t.Fatalf("%s: %v", p.ID, err)
	}
	return b
}

// everyReading visits the profiles as they are and with each reading that is not the
// default.
func everyReading(t testing.TB, visit func(name string, o Options, p *Profile)) {
	for _, name := range Names() {
		p := mustLoad(t, name, Options{})
		visit(name, Options{}, p)
		for _, r := range p.Readings {
			for _, reading := range r.Options {
				if o := (Options{Readings: map[string]string{r.Switch: reading}}); reading != r.Default {
					visit(name+" "+r.Switch+"="+reading, o, mustLoad(t, name, o))
				}
			}
		}
	}
}

// TestCompiledMeansTheSame: what is read back is the profile that was compiled.
func TestCompiledMeansTheSame(t *testing.T) {
	everyReading(t, func(name string, _ Options, p *Profile) {
		q, err := Parse("p.compiled", compiled(t, p), Options{})
		if err != nil {
			t.Errorf("%s:\n%v", name, err)
			return
		}
		x, y := strings.Split(fingerprint(t, p), "\n"), strings.Split(fingerprint(t, q), "\n")
		for i := range x {
			if i >= len(y) || x[i] != y[i] {
				t.Errorf("%s: %s\nwas compiled to %v", name, x[i], y[min(i, len(y)):min(i+1, len(y))])
				return
			}
		}
		for _, r := range q.Readings {
			if !slices.ContainsFunc(p.Readings, func(o Reading) bool {
				return o.Switch == r.Switch && o.Chosen == r.Chosen && o.Default == r.Default && o.AMB == r.AMB && o.Why == r.Why
			}) {
				t.Errorf("%s: the reading %+v is another one", name, r)
			}
		}
	})
}

// TestCompiledIsCanonical: comments, the order of keys, inheritance and the name of
// the file leave the octets as they are.
func TestCompiledIsCanonical(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, name := range Names() {
		p := mustLoad(t, name, Options{})
		doc, problems := parseChain("other-name.yaml", []byte("# A comment.\n"+p.Source()), nil)
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		shuffled := doc.copy()
		shuffled.shuffle(random)
		q, err := Parse("other-name.yaml", []byte(shuffled.print()), Options{})
		if err != nil {
			t.Errorf("%s:\n%v", name, err)
			continue
		}
		if got, want := compiled(t, q), compiled(t, p); !bytes.Equal(got, want) {
			t.Errorf("%s: flattened and shuffled, it has other octets from line %q on", name, firstOther(got, want))
		}
	}
}

func firstOther(a, b []byte) string {
	x, y := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + " / " + y[i]
		}
	}
	return ""
}

func (v *value) shuffle(r *rand.Rand) {
	r.Shuffle(len(v.entries), func(i, k int) { v.entries[i], v.entries[k] = v.entries[k], v.entries[i] })
	for _, e := range v.entries {
		e.value.shuffle(r)
	}
}

// TestCompiledHasEveryKey: each change of a value that the loader takes changes the
// octets, metadata included.
func TestCompiledHasEveryKey(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range varied {
		doc := settle(t, name)
		doc.remove("switches")
		p, err := compileCopy(doc)
		if err != nil {
			t.Fatal(err)
		}
		before := compiled(t, p)
		walkAll(doc, root, "", func(path string, v *value, k *key) {
			if strings.HasPrefix(path, ".accepted_flaws") && !strings.HasSuffix(path, "]") {
				return // where the flaw is told, which is for people
			}
			seen[plainPath(path)] = true
			old := v.text
			for _, s := range changes(v, k) {
				if v.text = s; s == old {
					continue
				}
				if q, err := compileCopy(doc); err == nil && bytes.Equal(compiled(t, q), before) {
					t.Errorf("%s: %s changed to %s changes nothing", name, path, s)
				}
			}
			v.text = old
		})
	}
	if len(seen) < 40 {
		t.Errorf("only %d keys were seen: %v", len(seen), sortedKeys(seen))
	}
}

// plainPath is a path without the places of a list.
func plainPath(path string) string {
	before, _, _ := strings.Cut(path, "[")
	return before
}

// walkAll visits every scalar.
func walkAll(v *value, k *key, path string, visit func(path string, v *value, k *key)) {
	if k.meta {
		plain := *k
		plain.meta = false
		k = &plain
	}
	if k.free {
		return
	}
	if v.form != formMap {
		walk(v, k, path, visit)
		return
	}
	for _, e := range v.entries {
		walkAll(e.value, k.child(e.key), path+"."+e.key, visit)
	}
}

// TestCompiledPage: the page of the format says what an interpreter does with every
// key, every word of the binder language and every failure.
func TestCompiledPage(t *testing.T) {
	src, err := os.ReadFile("../../docs/compiled-profile.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(src)
	missing := func(what string) {
		t.Errorf("docs/compiled-profile.md says nothing of %s: add what an interpreter does with it, and the default", what)
	}
	flaws := flawWords.names()
	keys := MakeReference().Keys
	for i, k := range keys {
		group := i+1 < len(keys) && strings.HasPrefix(keys[i+1].Path, k.Path+".")
		if group || slices.Contains([]string{"base", "types", "code_points.extensions", "code_points.messages",
			"code_points.certificate_types", "code_points.alerts", "switches", "binder.define", "binder.exporters",
			"binder.post_handshake.define", "accepted_flaws", "bind.credentials.(alone|x509)"}, k.Path) {
			continue
		}
		path := strings.ReplaceAll(k.Path, "(alone|x509)", "KIND")
		if !strings.Contains(page, "`"+path+"`") {
			missing(path)
		}
		for _, w := range k.Values {
			if !strings.HasPrefix(k.Path, "draft.") && !strings.Contains(page, w.Word) {
				missing("the word " + w.Word + " of " + path)
			}
		}
	}
	for _, f := range flaws {
		if !strings.Contains(page, "`accepted_flaws."+f+"`") {
			missing("the flaw " + f)
		}
	}
	for _, w := range binder.Words() {
		word, _, _ := strings.Cut(w.Usage, "(")
		if !strings.Contains(word, "..") && !strings.Contains(word, "=") && !strings.Contains(page, "`"+word+"`") &&
			!strings.Contains(page, "`"+word+"(") {
			missing("the word " + word + " of the binder language")
		}
	}
	for _, c := range causeNames() {
		if !strings.Contains(page, "`"+c+"`") {
			missing("the failure " + c)
		}
	}
}

// TestStoredCompiledProfiles: files that an earlier version of attls wrote stay readable.
func TestStoredCompiledProfiles(t *testing.T) {
	files, err := filepath.Glob("testdata/compiled/*.compiled")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		p, err := Load(f, Options{})
		if err != nil {
			t.Errorf("%s:\n%v", f, err)
			continue
		}
		version, id, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".compiled"), "-")
		if p.ID != id || version != "v1" || len(p.Slots) == 0 || p.Binder.Program == nil {
			t.Errorf("%s holds the profile %s", f, p.ID)
		}
	}
}

// sealed puts lines between the first and the last line of a compiled profile.
func sealed(lines string) []byte {
	return fmt.Appendf(nil, "%ssha256 %x\n", lines, sha256.Sum256([]byte(lines)))
}

// unsealed are the lines without the checksum.
func unsealed(b []byte) string {
	return string(b[:bytes.LastIndex(b, []byte("sha256 "))])
}

// TestCompiledRefusals: a reader refuses what the format does not have, and says where.
func TestCompiledRefusals(t *testing.T) {
	good := unsealed(compiled(t, mustLoad(t, "early-attestation-00", Options{})))
	change := func(old, new string) []byte {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q to change", old)
		}
		return sealed(strings.Replace(good, old, new, 1))
	}
	for name, c := range map[string]struct {
		src  []byte
		want string
	}{
		"another version":      {change("attls-compiled-profile 1", "attls-compiled-profile 2"), "this version of attls reads"},
		"a damaged octet":      {[]byte(strings.Replace(good, "224", "225", 1) + "sha256 " + strings.Repeat("0", 64) + "\n"), "checksum"},
		"a file cut off":       {sealed(good)[:len(good)/2], "checksum"},
		"octets at the end":    {append(sealed(good), '\n'), "checksum"},
		"an unknown record":    {change("map after\n", "maps after\n"), "p.compiled:6:1: no record is expected here"},
		"a record in a type":   {change("struct Attestation\n", "struct Attestation\nfields x uint8 -\n"), "where end is expected"},
		"an unknown key":       {change("map after\n", "map afterwards\n"), "there is no map in front"},
		"a key of no profile":  {change("key profile ", "key profil x\nkey profile "), "no key profil"},
		"an unknown word":      {change("no_scheme/then abort", "no_scheme/then stop"), "is one of abort"},
		"a path twice":         {change("map alerts\n", "map alerts\nmap alerts\n"), "is not behind"},
		"names out of order":   {change("map after\n", "map zzz\nmap after\n"), "is not behind"},
		"too few fields":       {change("key alerts/missing unexpected_message", "key alerts/missing"), "2 fields in a line of key"},
		"a lone percent sign":  {change("key draft/revision 00", "key draft/revision 0%"), "in the middle of an octet"},
		"another spelling":     {change("key draft/revision 00", "key draft/revision %300"), "not written as the format says from here on"},
		"a number with a zero": {change("vector 1 255", "vector 01 255"), "not written as the format says from here on"},
		"two spaces":           {change("map after\n", "map  after\n"), "3 fields in a line of map"},
		"a tree without end":   {change("call expand_label 4", "call expand_label 400"), "is not a node of an expression"},
		"a huge call":          {change("call expand_label 4", "call expand_label 4000000"), "is not a number of at most"},
		"a node too many":      {change("define bound -\n", "define bound -\ndefine bound -\n"), "no record is expected here"},
		"an unknown function":  {change("call expand_label 4", "call expand_labels 4"), "is not a function"},
		"an unknown type":      {change("field type_encoding typeEncoding -", "field type_encoding typeEncodings -"), "no type typeEncodings"},
		"a type in itself":     {change("field verifier_identity opaque vector 0 65535", "field verifier_identity VerifierIdentityType -"), "contains itself"},
		"text of a type":       {change("struct EvidenceType\n", "struct EvidenceType;x\n"), "p.compiled"},
		"an unused type":       {change("struct EvidenceType\n", "struct Ahead\nfield x uint8 -\nend\nstruct EvidenceType\n"), "not written as the format says from here on"},
		"a dimension":          {change("opaque vector 1 16777215", "opaque vectors 1 16777215"), "is not a dimension"},
		"an empty arm":         {change("arm\ncase client_hello\n", "arm\n"), "an arm has cases and members"},
		"an enum of no octets": {change("enum typeEncoding 1", "enum typeEncoding 0"), "an enum of"},
		"deep selects":         {change("select Handshake.msg_type %\n", strings.Repeat("select Handshake.msg_type %\narm\ncase client_hello\n", 100)), "nested more than"},
		"a long length":        {change("opaque vector 1 16777215", "opaque array"+strings.Repeat(" + 1", 100)), "a length has"},
		"a length without end": {change("opaque vector 1 16777215", "opaque array + 1"), "a length has"},
		"too many lines":       {sealed(good + strings.Repeat("end\n", 1<<15)), "lines; a compiled profile has at most"},
		"too many octets":      {sealed(good + strings.Repeat("end\n", 1<<18)), "octets; a compiled profile has at most"},
		"a deep path":          {change("map after\n", "map a"+strings.Repeat("/a", 50)+"\n"), "a path of more than"},
	} {
		_, err := Parse("p.compiled", c.src, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	if _, err := Parse("p.compiled", sealed(good), Options{}); err != nil {
		t.Errorf("what is good is refused: %v", err)
	}
	if _, err := Parse("p.compiled", sealed(good), Options{Readings: map[string]string{"schedule": "figure"}}); err == nil {
		t.Error("a reading of a compiled profile can be chosen")
	}
	_, err := Parse("m.yaml", []byte("profile: x\nbase: ./testdata/compiled/v1-early-attestation-06.compiled\n"), Options{})
	if err == nil || !strings.Contains(err.Error(), "a compiled profile; what it was compiled from is needed here") {
		t.Errorf("a compiled profile as a base: %v", err)
	}
}

// FuzzCompiled: no octets crash the reader, and what it takes it writes again.
func FuzzCompiled(f *testing.F) {
	seeds.Add(f, func() {
		for _, name := range []string{"early-attestation-00", "early-attestation-06", "tls-attestation-00", "mbedtls-poc"} {
			f.Add(unsealed(compiled(f, mustLoad(f, name, Options{}))))
		}
	})
	f.Fuzz(func(t *testing.T, lines string) {
		seeds.Input(t, lines)
		src := sealed(lines)
		p, err := Parse("p.compiled", src, Options{})
		if err != nil {
			return
		}
		if !IsCompiled(src) {
			return // a YAML text
		}
		if again := compiled(t, p); !bytes.Equal(again, src) {
			t.Error("a profile was read and written in another way")
		}
	})
}
