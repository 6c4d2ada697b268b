package adapter

import (
	"maps"
	"regexp"
	"strings"
)

// scope is what the words of commands are filled from.
type scope struct {
	paths  Values // of programs
	values Values
	names  *Names // nil: everything is called as it is
}

// expand makes the arguments of a command.
func expand(words []Word, paths, values Values) []string {
	s := scope{paths: paths, values: values}
	return s.expand(words)
}

func (s *scope) expand(words []Word) (list []string) {
	for i := range words {
		w := &words[i]
		switch {
		case w.When != nil:
			if w.When.holds(s.values) {
				list = append(list, s.expand(w.Then)...)
			}
		case w.Each != "":
			for _, item := range strings.Split(s.values[w.Each], ",") {
				if item != "" {
					list = append(list, s.with(w.Each, item).expand(w.Then)...)
				}
			}
		case w.Join:
			list = append(list, strings.Join(s.expand(w.Then), w.Between))
		default:
			list = append(list, s.fill(w.Text))
		}
	}
	return list
}

// with is the scope of one item of a list.
func (s *scope) with(list, item string) *scope {
	in := scope{paths: s.paths, values: maps.Clone(s.values), names: s.names}
	in.values["item"] = s.shown(strings.TrimSuffix(list, "s"), item)
	return &in
}

// shown is what the stack calls the value of a variable.
func (s *scope) shown(variable, value string) string {
	if s.names == nil {
		return value
	}
	switch variable {
	case "suite":
		return Shown(s.names.Suites, value)
	case "group":
		return Shown(s.names.Groups, value)
	}
	return value
}

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

// fill replaces the placeholders of a text; what they are replaced by is not looked at again.
func (s *scope) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		name := p[2 : len(p)-1]
		if path, ok := s.paths[name]; ok {
			return path
		}
		return s.shown(name, s.values[name])
	})
}

// holds reports whether a condition is true.
func (c *Condition) holds(values Values) bool {
	v := values[c.Name]
	switch {
	case c.Since != "":
		return Since(v, c.Since) != c.Not
	case c.Value != "":
		return (v == c.Value) != c.Not
	}
	return (v != "") != c.Not
}

// mentioned are the variables on which words depend.
func mentioned(words []Word) (list []string) {
	for i := range words {
		w := &words[i]
		for _, p := range placeholder.FindAllString(w.Text, -1) {
			list = append(list, p[2:len(p)-1])
		}
		if w.When != nil {
			list = append(list, w.When.Name)
		}
		if w.Each != "" {
			list = append(list, w.Each)
		}
		list = append(list, mentioned(w.Then)...)
	}
	return list
}
