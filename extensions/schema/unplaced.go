package schema

import "slices"

// Unplaced warns of arms that no context selects: those of selects on outer
// parameters, in the type and in all types it uses, whose cases belong to
// messages in which the value never is. contexts are all places of the value.
func (s *Schema) Unplaced(typeName string, contexts []Context) Problems {
	w := unplaced{schema: s, contexts: contexts, seen: map[string]bool{}}
	w.visit(typeName)
	return w.found
}

type unplaced struct {
	schema   *Schema
	contexts []Context
	seen     map[string]bool
	found    Problems
}

func (w *unplaced) visit(name string) {
	d := w.schema.defs[name]
	if d == nil || w.seen[name] {
		return
	}
	w.seen[name] = true
	switch {
	case d.Struct != nil:
		w.members(d.Struct.Members, name)
	case d.Alias != nil:
		w.visit(d.Alias.Type)
	}
}

func (w *unplaced) members(ms []Member, owner string) {
	for _, m := range ms {
		if m.Field != nil {
			w.visit(m.Field.Type)
			continue
		}
		p := w.schema.env.parameter(m.Select.On)
		if p != nil && w.schema.ownField(owner, m.Select.On) {
			p = nil
		}
		for i := range m.Select.Arms {
			a := &m.Select.Arms[i]
			if p != nil && !slices.ContainsFunc(a.Cases, func(c Case) bool { return w.selected(p, c.Name) }) {
				w.found = append(w.found, &Problem{Pos: a.Pos, Kind: ProblemUnreachable, Warning: true,
					Text:   "the case " + a.Cases[0].text() + " of " + owner + " is never selected, since the value is never there",
					Advice: "place it there or remove the case"})
				continue
			}
			w.members(a.Members, owner)
		}
	}
}

// selected reports whether some context selects the case of a parameter. A
// context that says nothing about the parameter may select any.
func (w *unplaced) selected(p *Parameter, name string) bool {
	return slices.ContainsFunc(w.contexts, func(c Context) bool {
		tag, ok := c.tag(p.Name)
		return !ok || tag == name
	})
}

// ownField reports whether Type.field, which may also be the name of a
// parameter, is a field of the struct itself.
func (s *Schema) ownField(owner, on string) bool {
	d := s.defs[owner]
	return slices.ContainsFunc(d.Struct.Members, func(m Member) bool {
		return m.Field != nil && (on == m.Field.Name || on == owner+"."+m.Field.Name)
	})
}
