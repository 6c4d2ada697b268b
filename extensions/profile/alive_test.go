package profile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"attls/extensions"
	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// fingerprint is everything of a profile that can reach the wire or a verdict.
func fingerprint(t testing.TB, p *Profile) string {
	t.Helper()
	var b strings.Builder
	rows := slices.Clone(p.Extensions) // whose order means nothing
	slices.SortFunc(rows, func(a, b extensions.Row) int { return int(a.Type) - int(b.Type) })
	for i := range rows {
		rows[i].Placements = slices.Clone(rows[i].Placements)
		slices.SortFunc(rows[i].Placements, func(a, b extensions.Placement) int { return int(a.Message) - int(b.Message) })
	}
	fmt.Fprintf(&b, "%+v\n%+v\n%+v\n%+v\n", rows, p.Messages, p.Slots, p.Credentials)
	for _, f := range p.X509 {
		f.pos = schema.Position{}
		fmt.Fprintf(&b, "%#v\n", f)
	}
	r := p.Rules
	for _, s := range []*Scheme{r.OfferFirst, r.NullChoice} {
		if s != nil {
			fmt.Fprintf(&b, "%+v ", *s)
		}
	}
	r.OfferFirst, r.NullChoice = nil, nil
	fmt.Fprintf(&b, "%+v\n%+v\n%+v\n%+v\n%+v\n%+v\n", r, p.Alerts, p.AlertNames, p.Resumption, p.PostHandshake, p.Quirks)
	fmt.Fprintf(&b, "%+v\n%+v\n%+v\n", p.Objects, p.Frames, p.Exchange)
	fmt.Fprintf(&b, "%+v\n%+v\n%+v\n", p.Updates, p.KeyUpdates, p.KeyUpdate)
	x := p.Binder
	for _, q := range []interface {
		Names() []string
		Text(string) string
	}{x.Program, x.PostHandshake, x.KeyUpdate} {
		if fmt.Sprint(q) != "<nil>" {
			for _, name := range slices.Sorted(slices.Values(q.Names())) {
				tree, _ := binder.Tree(q.Text(name))
				fmt.Fprintf(&b, "%s = %+v\n", name, tree)
			}
		}
	}
	if x.Program != nil {
		fmt.Fprintln(&b, x.Program.Variant())
	}
	x.Program, x.PostHandshake, x.KeyUpdate = nil, nil, nil
	fmt.Fprintf(&b, "%+v\n%+v\n%+v\n%+v\n", x, p.Later, p.LaterExtensions, p.Authenticator)
	c := p.codec.(*codec)
	for _, accepted := range []bool{true, false} {
		if p.KeyUpdate.Outcome >= 0 {
			octets, err := p.EncodeOutcome(accepted)
			fmt.Fprintf(&b, "%x %v\n", octets, err)
		}
	}
	order := append(slices.Clone(c.order), c.updates...)
	if p.later != nil {
		order = append(order, p.later.order...)
		slices.SortFunc(order[len(c.order)+len(c.updates):], func(a, b *body) int {
			return 10*(int(a.kind)-int(b.kind)) + int(a.sender) - int(b.sender)
		})
	}
	for _, o := range order {
		fmt.Fprintf(&b, "%s %s %s %v %v %+v %v\n", o.name, o.kind, o.sender, o.bindings, o.ignoreArm, o.companions, o.context.IgnoreTrailing)
		for _, f := range o.codec.Fields(o.limit) {
			f.Pos = schema.Position{}
			if f.Constant != nil {
				fmt.Fprint(&b, *f.Constant)
			}
			f.Constant = nil
			fmt.Fprintf(&b, "  %+v\n", f)
		}
	}
	for _, name := range sortedKeys(c.schemes) {
		s := *c.schemes[name]
		s.codec = nil
		fmt.Fprintf(&b, "%+v\n", s)
	}
	for i := range p.Slots {
		for _, s := range expressible(p, i) {
			fmt.Fprintf(&b, "%d %s %x\n", i, showScheme(&s), s.Wire)
		}
	}
	return b.String()
}

func compileCopy(doc *value) (*Profile, error) { return compileDocument(doc.copy(), Options{}) }

// copy is a deep copy that a test may change.
func (v *value) copy() *value {
	c := *v
	c.items, c.entries = nil, nil
	for _, x := range v.items {
		c.items = append(c.items, x.copy())
	}
	for _, e := range v.entries {
		c.entries = append(c.entries, &entry{e.key, e.pos, e.value.copy()})
	}
	return &c
}

// changes are other texts for a scalar that its key may or may not take.
func changes(v *value, k *key) (list []string) {
	switch {
	case k.words != nil:
		for _, w := range k.words {
			if w.name != v.text {
				list = append(list, w.name)
			}
		}
	case k.scalar == scalarNumber:
		list = append(list, fmt.Sprint(1+numberOf(v.text)))
	case k.scalar == scalarOctets:
		list = append(list, v.text+"08")
	default:
		list = append(list, v.text+"x", "zero")
	}
	return list
}

func numberOf(s string) uint64 { n, _ := parseNumber(s); return n }

// walk visits every scalar that is no metadata.
func walk(v *value, k *key, path string, visit func(path string, v *value, k *key)) {
	if k.meta {
		return
	}
	switch v.form {
	case formScalar:
		visit(path, v, k)
	case formList:
		item := k.each
		if item.form == formList {
			item = item.each
		}
		for i, x := range v.items {
			walk(x, item, fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case formMap:
		for _, e := range v.entries {
			child := k.find(e.key)
			if child == nil {
				child = k.each
			}
			walk(e.value, child, path+"."+e.key, visit)
		}
	}
}

var integer = regexp.MustCompile(`\b\d+\b`)

// varied are profiles that have all keys between them that any has.
var varied = []string{"tls-attestation-00", "tls-attestation-04", "tls-attestation-07", "early-attestation-00",
	"early-attestation-03", "early-attestation-08pre", "mbedtls-poc", "deployed-interoperable-ra-tls", "deployed-tinfoil", "deployed-flashbots-attested-tls", "seat-expat-03",
	"exported-attestation-01", "deployed-cmc", "deployed-privasys-v2", "deployed-cocos"}

// TestNoDeadKey changes every value of a profile that is no metadata: the
// compiled profile must change, or the change must be refused.
func TestNoDeadKey(t *testing.T) {
	for _, name := range varied {
		settled := settle(t, name)
		p, err := compileCopy(settled)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		before := fingerprint(t, p)
		alive := func(path, what string) {
			if q, err := compileCopy(settled); err == nil && fingerprint(t, q) == before {
				t.Errorf("%s: %s changed to %s changes nothing", name, path, what)
			}
		}
		walk(settled, root, "", func(path string, v *value, k *key) {
			if strings.HasPrefix(path, ".accepted_flaws") && !strings.HasSuffix(path, "]") {
				return // where the flaw is told
			}
			old := v.text
			for _, s := range changes(v, k) {
				if v.text = s; s != old {
					alive(path, s)
				}
			}
			v.text = old
		})
		if settled.get("types") == nil {
			continue
		}
		types := settled.get("types").items[0]
		old := types.text
		for _, at := range integer.FindAllStringIndex(old, -1) {
			if before := old[:at[0]]; strings.HasSuffix(before, "2^") || strings.HasSuffix(before, "^") {
				continue // the exponent below counts as one change with its base
			}
			types.text = old[:at[0]] + fmt.Sprint(7+numberOf(old[at[0]:at[1]])) + old[at[1]:]
			alive("types", types.text[max(0, at[0]-20):min(len(types.text), at[1]+5)])
		}
		types.text = old
	}
}

// settle is a document of its own, without bases, switches and metadata in the
// way, that compiles to the same profile.
func settle(t *testing.T, name string) *value {
	t.Helper()
	doc, problems := readChain(name)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	x, _ := readSwitches(doc, nil)
	doc = x.expand(doc)
	src := doc.print()
	again, problems := parseChain(name+".yaml", []byte(strings.Replace(src, "\nbase:", "\n#", 1)), nil)
	if err := problems.Err(); err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	a, err := Load(name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := compileCopy(again)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	if x, y := fingerprint(t, a), fingerprint(t, b); x != y {
		t.Fatalf("%s: the settled document means something else:\n%s\n%s", name, x, y)
	}
	return again
}

// TestSwitches: every reading of every ambiguity loads and changes something.
func TestSwitches(t *testing.T) {
	for _, name := range Names() {
		p := mustLoad(t, name, Options{})
		seen := map[string]string{fingerprint(t, p): "the default"}
		for _, r := range p.Readings {
			if r.AMB == "" || r.Why == "" {
				t.Errorf("%s: the switch %s does not say what it is about", name, r.Switch)
			}
			for _, o := range r.Options {
				if o == r.Default {
					continue
				}
				q, err := Load(name, Options{Readings: map[string]string{r.Switch: o}})
				if err != nil {
					t.Errorf("%s %s=%s:\n%v", name, r.Switch, o, err)
					continue
				}
				f := fingerprint(t, q)
				if other, ok := seen[f]; ok {
					t.Errorf("%s: %s=%s is the same as %s", name, r.Switch, o, other)
				}
				seen[f] = r.Switch + "=" + o
			}
		}
	}
}

// TestSource: what `profile show` prints loads to the same profile.
func TestSource(t *testing.T) {
	for _, name := range Names() {
		p := mustLoad(t, name, Options{})
		src := p.Source()
		q, err := Parse("shown.yaml", []byte(src), Options{})
		if err != nil {
			t.Errorf("%s:\n%v\n%s", name, err, src)
			continue
		}
		if fingerprint(t, p) != fingerprint(t, q) {
			t.Errorf("%s: the printed profile means something else", name)
		}
	}
}

// TestCodePoints: every number can be overridden, alike for all profiles.
func TestCodePoints(t *testing.T) {
	for _, name := range Names() {
		p := mustLoad(t, name, Options{})
		for point, n := range p.Numbers() {
			other := n ^ 0x08
			q, err := Load(name, Options{CodePoints: map[string]uint64{point: other}})
			if err != nil {
				t.Errorf("%s %s=%d: %v", name, point, other, err)
				continue
			}
			if q.Numbers()[point] != other || fingerprint(t, p) == fingerprint(t, q) {
				t.Errorf("%s: %s stays what it is", name, point)
			}
		}
	}
	if _, err := Load("early-attestation-06", Options{CodePoints: map[string]uint64{"extensions.remoteAttestatoin": 1}}); err == nil ||
		!strings.Contains(err.Error(), "did you mean extensions.remoteAttestation?") {
		t.Error(err)
	}
}
