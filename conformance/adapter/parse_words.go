package adapter

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// command reads the words of a command, of which the first is the program.
func (p *parser) command(n *yaml.Node, what string) []Word {
	p.words = 0
	list := p.wordsOf(n, what, 0)
	if p.err == nil && (len(list) == 0 || list[0].When != nil) {
		p.fail(n, "%s must begin with a program", what)
	}
	return list
}

func (p *parser) wordsOf(n *yaml.Node, what string, depth int) (list []Word) {
	for _, x := range p.items(n, what) {
		if p.words++; p.words > maxWords {
			p.fail(x, "more than %d words", maxWords)
			return nil
		}
		if x.Kind != yaml.MappingNode {
			list = append(list, p.word(x, "a word of "+what))
			continue
		}
		if depth == maxDepth {
			p.fail(x, "conditions in more than %d levels", maxDepth)
			return nil
		}
		list = append(list, p.part(x, depth))
	}
	return list
}

// part reads a part of a command: words under a condition, for each item of a list, or joined.
func (p *parser) part(n *yaml.Node, depth int) Word {
	w, kinds := Word{}, 0
	p.fields(n, "a part of a command", map[string]func(*yaml.Node){
		"when": func(n *yaml.Node) { kinds++; w.When = p.condition(n) },
		"add":  func(n *yaml.Node) { w.Then = p.wordsOf(n, "add", depth+1) },
		"join": func(n *yaml.Node) { kinds++; w.Join = true; w.Then = p.wordsOf(n, "join", depth+1) },
		"with": func(n *yaml.Node) { w.Between = p.text(n, "with") },
		"each": func(n *yaml.Node) {
			kinds++
			if w.Each = p.text(n, "each"); !slices.Contains(lists, w.Each) || p.vars[w.Each] == "" {
				p.fail(n, "%q is not a list that is known here; there is %s", w.Each, strings.Join(lists, ", "))
			}
		},
	})
	if p.err == nil && (kinds != 1 || w.Then == nil || w.Between != "" && !w.Join) {
		p.fail(n, "a part of a command is when and add, each and add, or join and, if you like, with")
	}
	return w
}

var conditionOf = regexp.MustCompile(`^(!?)([a-z_]+)(?:(>=|=)(.*))?$`)

func (p *parser) condition(n *yaml.Node) *Condition {
	s := p.text(n, "when")
	m := conditionOf.FindStringSubmatch(s)
	if m == nil || m[3] != "" && m[4] == "" {
		p.fail(n, "%q is not a condition: NAME, !NAME, NAME=VALUE or version>=RELEASE", s)
		return &Condition{}
	}
	if _, ok := p.vars[m[2]]; !ok {
		p.fail(n, "no variable is called %q; there are %s", m[2], strings.Join(sorted(p.vars), ", "))
	}
	c := &Condition{Name: m[2], Not: m[1] != "", Value: m[4]}
	if m[3] == ">=" {
		if c.Value, c.Since = "", m[4]; c.Name != "version" || !releaseOf.MatchString(m[4]) {
			p.fail(n, "%q: >= compares version with a release such as 3.5", s)
		}
	}
	return c
}

// word reads a text with placeholders and checks their names.
func (p *parser) word(n *yaml.Node, what string) Word {
	s := p.text(n, what)
	for rest, at := s, 0; ; {
		i := strings.Index(rest, "${")
		if i < 0 {
			return Word{Text: s}
		}
		end := strings.IndexByte(rest[i:], '}')
		if end < 0 {
			p.fail(n, "a placeholder without its end, at octet %d of %q", at+i, s)
			return Word{}
		}
		name := rest[i+2 : i+end]
		if _, ok := p.vars[name]; !ok && !slices.Contains(p.programs, name) || name == "version" {
			p.fail(n, "no variable or program is called %q; there are %s", name,
				strings.Join(append(sorted(p.vars), p.programs...), ", "))
		}
		at += i + end + 1
		rest = rest[i+end+1:]
	}
}
