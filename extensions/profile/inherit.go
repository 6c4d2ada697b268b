package profile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"attls/extensions/schema"
)

// A profile changes another one, and what that says is not written in a file that
// its author has. What a change leaves without effect goes with it, and what it
// makes wrong is told where the change is.

// nameWord is a name in an expression.
var nameWord = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)

// inheritedFrom stands before the name of a base in place of a file that the author
// of a profile does not have.
const inheritedFrom = "inherited from "

// isInherited reports whether a place is in a base of the profile.
func (v *value) isInherited(pos schema.Position) bool {
	return pos.File != "" && pos.File != v.pos.File
}

func (c *compiler) isInherited(pos schema.Position) bool { return c.doc.isInherited(pos) }

// dead reports whether a key without effect is inherited, and remembers it.
func (c *compiler) dead(pos schema.Position, keys ...string) bool {
	if c.isInherited(pos) {
		c.p.dead = append(c.p.dead, keys)
		return true
	}
	return false
}

// deadItem is dead for an item of a list.
func (c *compiler) deadItem(x *value) bool {
	if c.isInherited(x.pos) {
		c.p.unused = append(c.p.unused, x)
		return true
	}
	return false
}

// dropDead takes out what a change left without effect under every reading:
// definitions that no text names, later ones that replace nothing, and switches of
// which nothing takes a reading.
func (v *value) dropDead() {
	for range 8 { // what goes may have held the last use of something else
		before := len(v.under("binder", "define")) + len(v.under("binder", "post_handshake", "define")) +
			len(v.under("switches"))
		if before == 0 {
			return
		}
		v.dropDefinitions()
		v.dropSwitches()
		if before == len(v.under("binder", "define"))+len(v.under("binder", "post_handshake", "define"))+
			len(v.under("switches")) {
			return
		}
	}
}

func (v *value) dropDefinitions() {
	named := map[string]bool{}
	for _, part := range []string{"binder", "x509", "objects", "switches"} {
		v.get(part).everyScalar(func(s *value) {
			if s.form == formScalar { // not a key
				for _, w := range nameWord.FindAllString(s.text, -1) {
					named[w] = true
				}
			}
		})
	}
	for _, d := range v.under("binder", "define") {
		if v.isInherited(d.pos) && !named[d.key] {
			v.entries = v.without([]string{"binder", "define", d.key}).entries
		}
	}
	for _, d := range v.under("binder", "post_handshake", "define") {
		if v.get("binder", "define", d.key) == nil && v.isInherited(d.pos) {
			v.entries = v.without([]string{"binder", "post_handshake", "define", d.key}).entries
		}
	}
}

func (v *value) dropSwitches() {
	e := v.entry("switches")
	if e == nil || e.value.form != formMap {
		return
	}
	said := v.references()
	kept := *e.value
	kept.entries = slices.DeleteFunc(slices.Clone(kept.entries), func(s *entry) bool {
		return !said[s.key] && v.isInherited(s.pos)
	})
	if len(kept.entries) == 0 {
		v.remove("switches")
		return
	}
	v.replace(e, &kept)
}

// references are the switches that a document names.
func (v *value) references() map[string]bool {
	said := map[string]bool{}
	for _, e := range v.entries {
		if e.key == "switches" {
			continue
		}
		e.value.everyScalar(func(s *value) {
			for _, name := range reference.FindAllString(s.text, -1) {
				name, _, _ = strings.Cut(name[1:], ".")
				said[name] = true
			}
		})
	}
	return said
}

// withoutDead is a copy of the document without inherited keys that have no effect,
// so that it can stand alone.
func (v *value) withoutDead() *value {
	doc := &value{form: formMap, pos: v.pos, entries: slices.Clone(v.entries)}
	for range 8 { // what goes may have been the last use of something else
		p, err := compileDocument(doc, Options{})
		if err != nil || len(p.dead)+len(p.unused) == 0 {
			break
		}
		for _, keys := range p.dead {
			doc = doc.without(keys)
		}
		doc = doc.withoutItems(p.unused)
		doc.dropDead()
	}
	return doc
}

// without is a copy without the key at the end of a chain of keys, and without the
// maps that it leaves empty.
func (v *value) without(keys []string) *value {
	e := v.entry(keys[0])
	if e == nil {
		return v
	}
	c := *v
	if len(keys) > 1 {
		if inner := e.value.without(keys[1:]); len(inner.entries) > 0 {
			c.entries = slices.Clone(v.entries)
			c.replace(e, inner)
			return &c
		}
	}
	c.entries = slices.DeleteFunc(slices.Clone(v.entries), func(x *entry) bool { return x == e })
	return &c
}

func (v *value) withoutItems(gone []*value) *value {
	if len(gone) == 0 {
		return v
	}
	c := *v
	c.items = slices.DeleteFunc(slices.Clone(v.items), func(x *value) bool { return slices.Contains(gone, x) })
	c.entries = nil
	for _, e := range v.entries {
		c.entries = append(c.entries, &entry{e.key, e.pos, e.value.withoutItems(gone)})
	}
	return &c
}

// deletions are the keys that a null took out of a map.
func (v *value) deletions() map[string]schema.Position {
	if v == nil {
		return nil
	}
	m := map[string]schema.Position{}
	for _, e := range v.deleted {
		m[e.key] = e.pos
	}
	return m
}

// placeWords names a position for a sentence.
func placeWords(p schema.Position) string {
	if id, ok := embeddedID(p.File); ok {
		return fmt.Sprintf("line %d of %s", p.Line, id)
	}
	return p.String()
}

// embeddedID is the profile of an embedded file.
func embeddedID(file string) (string, bool) {
	id, ok := strings.CutPrefix(file, "profiles/")
	id, yaml := strings.CutSuffix(id, ".yaml")
	return id, ok && yaml && slices.Contains(Names(), id)
}

// inherited moves problems that a change causes in what it inherits to the change,
// and names the base where none is found.
func (v *value) inherited(found schema.Problems) schema.Problems {
	if _, ok := embeddedID(v.pos.File); ok {
		return found
	}
	out := make(schema.Problems, len(found))
	var changes []change
	for i, p := range found {
		out[i] = p
		if !v.isInherited(p.Pos) {
			continue
		}
		if changes == nil {
			changes = v.changes()
		}
		id, ok := embeddedID(p.Pos.File)
		moved := *p
		if cause := causeOf(p, changes); cause != nil && !p.Warning {
			moved.Text = fmt.Sprintf("%s is %s here, and at %s it is used: %s", cause.key, cause.what, placeWords(p.Pos), p.Text)
			moved.Pos = cause.pos
		} else if ok {
			moved.Pos.File = inheritedFrom + id
		}
		out[i] = &moved
	}
	return out
}

// change is a key or a type of the profile's own that another one inherits.
type change struct {
	key, what string
	pos       schema.Position
}

// changes are what the profile's own file deletes or defines anew.
func (v *value) changes() []change {
	list := []change{}
	var gone func(v *value)
	gone = func(x *value) {
		for _, e := range x.deleted {
			if !v.isInherited(e.pos) {
				list = append(list, change{e.key, "deleted", e.pos})
			}
		}
		for _, e := range x.entries {
			gone(e.value)
		}
	}
	gone(v)
	if types := v.get("types"); types != nil && types.form == formTypes {
		for _, t := range types.items {
			if v.isInherited(t.pos) {
				continue
			}
			f, _ := schema.Parse([]byte(t.text), t.origin.start())
			for _, d := range f.Definitions {
				list = append(list, change{d.Name, "changed", d.Pos})
			}
		}
	}
	return list
}

// causeOf finds the change that a problem in what is inherited speaks of.
func causeOf(p *schema.Problem, list []change) *change {
	for i := range list {
		if mentions(p.Text, list[i].key) {
			return &list[i]
		}
	}
	return nil
}

// mentions reports whether a word appears in a text.
func mentions(text, word string) bool {
	for rest := text; ; {
		i := strings.Index(rest, word)
		if i < 0 {
			return false
		}
		part := func(s string, at int) bool {
			return at >= 0 && at < len(s) && (s[at] == '_' || s[at] == '-' || isAlphanumeric(s[at]))
		}
		if !part(rest, i-1) && !part(rest, i+len(word)) {
			return true
		}
		rest = rest[i+len(word):]
	}
}

func isAlphanumeric(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }
