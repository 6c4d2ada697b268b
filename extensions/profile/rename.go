package profile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"attls"
	"attls/extensions/schema"
)

// Rename returns a profile, as the text of a file, in which every extension,
// added message, slot, type, field, enumerator and alert of the named profile
// has another name and every code point another number. It means the same: what
// depends on a name or a number rather than on its meaning breaks under it. The
// readings of o are settled in the result, which has no switches.
func Rename(name string, o Options, seed uint64) ([]byte, error) {
	doc, problems := readChain(name)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	x, _ := readSwitches(doc, o.Readings)
	doc = x.expand(doc)
	if err := x.problems.Err(); err != nil {
		return nil, err
	}
	r := &renamer{random: rand.New(rand.NewPCG(seed, seed)), names: map[string]string{}}
	r.learn(doc)
	doc = r.value(doc, root)
	doc.remove("base")
	if id := doc.entry("profile"); id != nil {
		id.value = &value{form: formScalar, text: fmt.Sprintf("%s-renamed-%d", id.value.text, seed)}
	}
	r.permute(doc)
	if flaws := doc.get("accepted_flaws"); flaws != nil {
		flaws.remove("number_taken") // by no number of the result
	}
	return []byte(doc.print()), nil
}

type renamer struct {
	random *rand.Rand
	names  map[string]string
	types  schema.File
}

// rename gives a name another one, always the same.
func (r *renamer) rename(name string) {
	if _, ok := r.names[name]; !ok && name != "" {
		r.names[name] = fmt.Sprintf("x%d_%x", len(r.names), r.random.Uint32())
	}
}

// learn collects the names that the profile gives.
func (r *renamer) learn(doc *value) {
	for _, keys := range [][]string{{"extensions"}, {"messages"}, {"bind", "slots"}, {"code_points", "certificate_types"},
		{"code_points", "alerts"}, {"code_points", "flags"}, {"objects"}, {"frames"}, {"key_updates"}} {
		for _, e := range doc.under(keys...) {
			r.rename(e.key)
		}
	}
	f := doc.structures()
	r.types = *f
	base := schema.RFC8446()
	for _, d := range f.Definitions {
		i := slices.IndexFunc(base.Definitions, func(b *schema.Definition) bool { return b.Name == d.Name })
		if i < 0 {
			r.rename(d.Name)
		}
		switch {
		case d.Enum != nil:
			for _, m := range d.Enum.Members {
				if i < 0 || !slices.ContainsFunc(base.Definitions[i].Enum.Members, func(b schema.Enumerator) bool {
					return b.Name == m.Name
				}) {
					r.rename(m.Name)
				}
			}
		case d.Struct != nil:
			r.learnMembers(d.Struct.Members)
		}
	}
}

func (r *renamer) learnMembers(members []schema.Member) {
	for _, m := range members {
		if m.Field != nil {
			r.rename(m.Field.Name)
			continue
		}
		r.rename(m.Select.Label)
		for _, a := range m.Select.Arms {
			r.learnMembers(a.Members)
		}
	}
}

// path renames what it knows of a path of names.
func (r *renamer) path(s string) string {
	if n, ok := r.names[s]; ok {
		return n // a name with a dot in it
	}
	parts := strings.Split(s, ".")
	for i, p := range parts {
		if n, ok := r.names[p]; ok {
			parts[i] = n
		}
	}
	return strings.Join(parts, ".")
}

// value renames a document along the table of keys.
func (r *renamer) value(v *value, k *key) *value {
	out := &value{form: v.form, pos: v.pos, text: v.text}
	switch v.form {
	case formScalar:
		if k.ref {
			out.text = r.path(v.text)
		}
	case formTypes:
		r.structures()
		out.items = []*value{{form: formScalar, text: r.types.String()}}
	case formList:
		item := k.each
		if item.form == formList {
			item = item.each
		}
		for _, x := range v.items {
			out.items = append(out.items, r.value(x, item))
		}
	case formMap:
		for _, e := range v.entries {
			child, name := k.find(e.key), e.key
			if child == nil {
				if child = k.each; k.refs {
					name = r.path(name)
				}
			}
			out.entries = append(out.entries, &entry{name, e.pos, r.value(e.value, child)})
		}
	}
	return out
}

// structures renames the definitions.
func (r *renamer) structures() {
	for _, d := range r.types.Definitions {
		d.Name = r.path(d.Name)
		switch {
		case d.Enum != nil:
			for i := range d.Enum.Members {
				d.Enum.Members[i].Name = r.path(d.Enum.Members[i].Name)
			}
		case d.Struct != nil:
			r.members(d.Struct.Members)
		case d.Alias != nil:
			d.Alias.Name, d.Alias.Type = d.Name, r.path(d.Alias.Type)
		}
	}
}

func (r *renamer) members(members []schema.Member) {
	for _, m := range members {
		if m.Field != nil {
			m.Field.Name, m.Field.Type = r.path(m.Field.Name), r.path(m.Field.Type)
			continue
		}
		s := m.Select
		own := r.path(s.On) != s.On // on a field or a type; else on an outer parameter
		s.On, s.Label = r.path(s.On), r.path(s.Label)
		for i := range s.Arms {
			for k := range s.Arms[i].Cases {
				if own {
					s.Arms[i].Cases[k].Name = r.path(s.Arms[i].Cases[k].Name)
				}
			}
			r.members(s.Arms[i].Members)
		}
	}
}

// free are numbers that nobody has, by registry.
var free = map[string][]uint64{
	"extensions": {0xff20, 0xff21, 0xff22, 0xff23, 0xff24, 0xff25, 0xff26, 0xff27, 0xff28}, "messages": {0xd0, 0xd1, 0xd2},
	"certificate_types": {230, 231, 232, 233}, "alerts": {200, 201, 202, 203, 204, 205, 206},
	"flags": {100, 101, 102, 103}, "key_updates": {70, 71, 72},
}

// permute gives every code point another number.
func (r *renamer) permute(doc *value) {
	for _, registry := range sortedKeys(free) {
		numbers := slices.Clone(free[registry])
		r.random.Shuffle(len(numbers), func(i, k int) { numbers[i], numbers[k] = numbers[k], numbers[i] })
		for i, e := range doc.under("code_points", registry) {
			e.value = &value{form: formScalar, text: fmt.Sprint(numbers[i%len(numbers)])}
		}
	}
}

// Numbers lists the code points of a profile as Options.CodePoints names them.
func (p *Profile) Numbers() map[string]uint64 {
	m := map[string]uint64{}
	for _, x := range p.Extensions {
		m["extensions."+x.Name] = uint64(x.Type)
	}
	for _, x := range p.LaterExtensions {
		m["extensions."+x.Name] = uint64(x.Type)
	}
	for _, x := range p.Messages {
		m["messages."+x.Name] = uint64(x.Type)
	}
	for _, x := range p.KeyUpdates {
		m["key_updates."+x.Name] = uint64(x.Subtype)
	}
	for a, name := range p.AlertNames {
		m["alerts."+name] = uint64(a)
	}
	if r := &p.Authenticator; r.FlagName != "" {
		m["flags."+r.FlagName] = uint64(r.Flag)
	}
	for t, name := range p.CertificateTypes {
		m["certificate_types."+name] = uint64(t)
	}
	return m
}

// certificateTypes names the certificate types of the profile.
func (c *compiler) certificateTypes() {
	c.p.CertificateTypes = map[attls.CertificateType]string{}
	for name, p := range c.numbers["certificate_types"] {
		c.p.CertificateTypes[attls.CertificateType(p.n)] = name
	}
}
