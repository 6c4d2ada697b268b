package adapter

import (
	"regexp"
	"slices"

	"attls"

	"go.yaml.in/yaml/v3"
)

// adapter reads the whole file.
func (p *parser) adapter(n *yaml.Node) *Adapter {
	a := &Adapter{}
	// The base and the names of programs are needed to check commands.
	if b := valueOf(n, "base"); b != nil {
		a = p.base(b)
	}
	if b := valueOf(n, "programs"); b != nil {
		a.Programs = p.programsOf(b, a.Programs)
	}
	end := func(r attls.Role) func(*yaml.Node) {
		return func(n *yaml.Node) { a.Ends[r] = p.end(n, r) }
	}
	p.fields(n, "an adapter", map[string]func(*yaml.Node){
		"adapter":     func(n *yaml.Node) { a.Name = p.name(n, "adapter") },
		"about":       func(n *yaml.Node) { a.About = p.text(n, "about") },
		"install":     func(n *yaml.Node) { a.Install = p.text(n, "install") },
		"built_in":    func(n *yaml.Node) { a.BuiltIn = p.name(n, "built_in") },
		"base":        func(*yaml.Node) {},
		"programs":    func(*yaml.Node) {},
		"environment": func(n *yaml.Node) { a.Environment = p.environment(n) },
		"version":     func(n *yaml.Node) { a.Version = p.question(n) },
		"client":      end(attls.RoleClient),
		"server":      end(attls.RoleServer),
		"files":       func(n *yaml.Node) { a.Files = p.filesOf(n) },
		"deviations":  func(n *yaml.Node) { a.Deviations = p.deviations(n) },
		"conform":     func(n *yaml.Node) { a.Conform = p.conform(n) },
		"names":       func(n *yaml.Node) { a.Names = p.namesOf(n) },
		"named":       func(n *yaml.Node) { a.Named = p.named(n) },
		"tried":       func(n *yaml.Node) { a.Tried = p.tried(n) },
		"prepare": func(n *yaml.Node) {
			a.Prepare = nil
			for _, x := range p.items(n, "prepare") {
				a.Prepare = append(a.Prepare, p.command(x, "a command of prepare"))
			}
		},
	})
	has := a.Ends[0] != nil || a.Ends[1] != nil || a.Conform != nil
	switch {
	case a.Name == "" || valueOf(n, "adapter") == nil:
		p.fail(n, "the key adapter is missing: the name of the stack")
	case a.BuiltIn == "" && !has:
		p.fail(n, "the stack is neither client nor server")
	case a.BuiltIn != "" && has:
		p.fail(n, "a stack with built_in has no client and no server")
	}
	return a
}

// valueOf is the value of a key of a mapping; nil: there is none.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// maxBases bounds how many adapters are each the base of another.
const maxBases = 4

// base reads the adapter that this one changes.
func (p *parser) base(n *yaml.Node) *Adapter {
	name := p.name(n, "base")
	blob := Source(name)
	switch {
	case p.err != nil:
		return &Adapter{}
	case blob == nil:
		p.fail(n, "no adapter that comes with attls is called %q", name)
		return &Adapter{}
	case p.depth == maxBases:
		p.fail(n, "more than %d adapters are each the base of another", maxBases)
		return &Adapter{}
	}
	a, err := parse(name+".yaml", blob, p.depth+1)
	if err != nil {
		p.fail(n, "%v", err)
		return &Adapter{}
	}
	for i := range a.Programs {
		p.programs = append(p.programs, a.Programs[i].Name)
	}
	return a
}

// programsOf reads programs, which take the place of those of the base with their names.
func (p *parser) programsOf(n *yaml.Node, list []Program) []Program {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "programs must be a mapping of names to programs")
		return nil
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		q := Program{Name: p.name(k, "the name of a program")}
		if _, taken := Variables()[q.Name]; taken {
			p.fail(k, "%s is the name of a variable", q.Name)
		}
		if seen[q.Name] {
			p.fail(k, "%s appears twice", q.Name)
		}
		seen[q.Name] = true
		if v.Kind == yaml.ScalarNode {
			q.Path = p.text(v, "the path of a program")
		} else {
			p.fields(v, "a program", map[string]func(*yaml.Node){
				"path":        func(n *yaml.Node) { q.Path = p.text(n, "path") },
				"environment": func(n *yaml.Node) { q.Environment = p.name(n, "environment") },
			})
		}
		if q.Path == "" && q.Environment == "" {
			p.fail(v, "the program %s has no path", q.Name)
		}
		if at := slices.IndexFunc(list, func(o Program) bool { return o.Name == q.Name }); at >= 0 {
			list[at] = q
			continue
		}
		p.programs = append(p.programs, q.Name)
		list = append(list, q)
	}
	return list
}

var fileOf = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (p *parser) filesOf(n *yaml.Node) (list []File) {
	if n.Kind != yaml.MappingNode || len(n.Content) > 2*maxFiles {
		p.fail(n, "files must be a mapping of at most %d names to texts", maxFiles)
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case !fileOf.MatchString(k.Value):
			p.fail(k, "the name of a file has letters, digits and any of . _ -, and no directory, not %q", k.Value)
		case v.Kind != yaml.ScalarNode:
			p.fail(v, "a file must be a text")
		default:
			list = append(list, File{k.Value, v.Value})
		}
	}
	return list
}

func (p *parser) question(n *yaml.Node) *Question {
	q := &Question{}
	p.fields(n, "version", map[string]func(*yaml.Node){
		"command": func(n *yaml.Node) { q.Command = p.command(n, "command") },
		"is":      func(n *yaml.Node) { q.Is = p.pattern(n, "is") },
	})
	switch {
	case p.err != nil:
	case q.Command == nil || q.Is == nil:
		p.fail(n, "version needs command and is")
	case q.Is.NumSubexp() < 1:
		p.fail(n, "the pattern of version has no group")
	}
	return q
}

func (p *parser) end(n *yaml.Node, r attls.Role) *End {
	e := &End{}
	p.fields(n, r.String(), p.endKeys(e, r))
	p.checkEnd(n, e, r)
	return e
}

// endKeys are the keys of an end.
func (p *parser) endKeys(e *End, r attls.Role) map[string]func(*yaml.Node) {
	keys := map[string]func(*yaml.Node){
		"command":     func(n *yaml.Node) { e.Command = p.command(n, "command") },
		"types":       func(n *yaml.Node) { e.Types = p.text(n, "types") },
		"environment": func(n *yaml.Node) { e.Environment = p.environment(n) },
		"unseen":      func(n *yaml.Node) { e.Unseen = p.messageKinds(n, "unseen") },
	}
	if r == attls.RoleClient {
		keys["repeats"] = func(n *yaml.Node) { e.Repeats = *p.truth(n, "repeats") }
	} else {
		keys["listens"] = func(n *yaml.Node) { e.Listens = p.pattern(n, "listens") }
		keys["taken"] = func(n *yaml.Node) { e.Taken = p.pattern(n, "taken") }
		keys["listens_silently"] = func(n *yaml.Node) { e.Listening = *p.truth(n, "listens_silently") }
		keys["never_asks"] = func(n *yaml.Node) { e.NeverAsks = *p.truth(n, "never_asks") }
	}
	return keys
}

// checkEnd finds what is missing in an end.
func (p *parser) checkEnd(n *yaml.Node, e *End, r attls.Role) {
	switch {
	case p.err != nil:
	case len(e.Command) == 0:
		p.fail(n, "the %s has no command", r)
	case r == attls.RoleServer && (e.Listens == nil) == !e.Listening:
		p.fail(n, "a server needs listens, a pattern of what it prints once it listens, or listens_silently: true")
	}
}

func (p *parser) environment(n *yaml.Node) (list []Variable) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "environment must be a mapping of names to texts")
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		list = append(list, Variable{p.name(n.Content[i], "the name of a variable"), p.word(n.Content[i+1], "a variable")})
	}
	return list
}
