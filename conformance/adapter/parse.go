package adapter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"attls"

	"go.yaml.in/yaml/v3"
)

// The limits of a file.
const (
	maxFile  = 256 << 10 // octets
	maxWords = 400       // of a command, conditions included
	maxDepth = 4         // of conditions
	maxList  = 1000
	maxText  = 4096 // octets of one value
	maxFiles = 20
)

// Load reads an adapter from a file. Errors name the file, the line and the column.
func Load(file string) (*Adapter, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	blob, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return Parse(file, blob)
}

// Parse reads an adapter. file is named in errors.
func Parse(file string, blob []byte) (*Adapter, error) {
	if len(blob) > maxFile {
		return nil, fmt.Errorf("%s: more than %d octets", file, maxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(blob))
	var n, second yaml.Node
	if err := d.Decode(&n); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s:1:1: it is empty", file)
		}
		return nil, syntaxError(file, err)
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, syntaxError(file, err)
		}
		return nil, fmt.Errorf("%s:%d:%d: a second document; an adapter is one", file, second.Line, second.Column)
	}
	p := &parser{file: file}
	a := p.adapter(n.Content[0])
	if p.err != nil {
		return nil, p.err
	}
	a.file = file
	return a, nil
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

// syntaxError is an error of the YAML parser with the place in front.
func syntaxError(file string, err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s:%s:1: %s", file, m[1], attls.Printable(m[2]))
	}
	return fmt.Errorf("%s:1:1: %s", file, attls.Printable(strings.TrimPrefix(err.Error(), "yaml: ")))
}

// parser reads nodes and keeps the first error.
type parser struct {
	file     string
	programs []string
	err      error
	words    int
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%s:%d:%d: %s", p.file, n.Line, n.Column, attls.Printable(fmt.Sprintf(format, args...)))
	}
}

// fields calls the function of each key of a mapping.
func (p *parser) fields(n *yaml.Node, what string, keys map[string]func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s must be a mapping of keys to values", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		read, ok := keys[k.Value]
		switch {
		case k.Kind != yaml.ScalarNode:
			p.fail(k, "a key of %s must be a word", what)
		case !ok:
			p.fail(k, "%s has no key %q; it takes %s", what, k.Value, strings.Join(sorted(keys), ", "))
		case seen[k.Value]:
			p.fail(k, "%s appears twice", k.Value)
		default:
			seen[k.Value] = true
			read(n.Content[i+1])
		}
	}
}

func sorted[T any](m map[string]T) (list []string) {
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func (p *parser) text(n *yaml.Node, what string) string {
	switch {
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		p.fail(n, "%s must be a text", what)
	case len(n.Value) > maxText:
		p.fail(n, "%s has more than %d octets", what, maxText)
	case strings.ContainsRune(n.Value, 0):
		p.fail(n, "%s has an octet of zero", what)
	default:
		return n.Value
	}
	return ""
}

// items are the elements of a sequence.
func (p *parser) items(n *yaml.Node, what string) []*yaml.Node {
	switch {
	case n.Kind != yaml.SequenceNode:
		p.fail(n, "%s must be a list", what)
	case len(n.Content) > maxList:
		p.fail(n, "%s has more than %d elements", what, maxList)
	default:
		return n.Content
	}
	return nil
}

// texts reads a list of texts, each of which is one of these; nil: any.
func (p *parser) texts(n *yaml.Node, what string, among []string) (list []string) {
	for _, x := range p.items(n, what) {
		s := p.text(x, "an element of "+what)
		if among != nil && !slices.Contains(among, s) {
			p.fail(x, "%q is not one of %s", s, strings.Join(among, ", "))
		}
		list = append(list, s)
	}
	return list
}

func (p *parser) pattern(n *yaml.Node, what string) *regexp.Regexp {
	s := p.text(n, what)
	r, err := regexp.Compile(s)
	if err != nil {
		p.fail(n, "%s: %v", what, err)
		return regexp.MustCompile("")
	}
	return r
}

func (p *parser) truth(n *yaml.Node, what string) *bool {
	var b bool
	if n.Kind != yaml.ScalarNode || n.Decode(&b) != nil {
		p.fail(n, "%s must be true or false", what)
	}
	return &b
}

var nameOf = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]{0,63}$`)

func (p *parser) name(n *yaml.Node, what string) string {
	s := p.text(n, what)
	if p.err == nil && !nameOf.MatchString(s) {
		p.fail(n, "%s is a letter and up to 63 letters, digits and any of . _ / -, not %q", what, s)
	}
	return s
}

// adapter reads the whole file.
func (p *parser) adapter(n *yaml.Node) *Adapter {
	a := &Adapter{}
	// The names of programs are needed to check commands.
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "programs" {
				a.Programs = p.programsOf(n.Content[i+1])
			}
		}
	}
	has := map[string]bool{}
	end := func(r attls.Role) func(*yaml.Node) {
		return func(n *yaml.Node) { a.Ends[r] = p.end(n, r) }
	}
	p.fields(n, "an adapter", map[string]func(*yaml.Node){
		"adapter":    func(n *yaml.Node) { a.Name = p.name(n, "adapter") },
		"about":      func(n *yaml.Node) { a.About = p.text(n, "about") },
		"install":    func(n *yaml.Node) { a.Install = p.text(n, "install") },
		"built_in":   func(n *yaml.Node) { a.BuiltIn = p.name(n, "built_in") },
		"programs":   func(*yaml.Node) {},
		"version":    func(n *yaml.Node) { a.Version = p.question(n) },
		"client":     end(attls.RoleClient),
		"server":     end(attls.RoleServer),
		"files":      func(n *yaml.Node) { a.Files = p.filesOf(n) },
		"deviations": func(n *yaml.Node) { a.Deviations = p.deviations(n) },
		"prepare": func(n *yaml.Node) {
			for _, x := range p.items(n, "prepare") {
				a.Prepare = append(a.Prepare, p.command(x, "a command of prepare"))
			}
		},
	})
	has["end"] = a.Ends[0] != nil || a.Ends[1] != nil
	switch {
	case a.Name == "":
		p.fail(n, "the key adapter is missing: the name of the stack")
	case a.BuiltIn == "" && !has["end"]:
		p.fail(n, "the stack is neither client nor server")
	case a.BuiltIn != "" && has["end"]:
		p.fail(n, "a stack with built_in has no client and no server")
	}
	return a
}

func (p *parser) programsOf(n *yaml.Node) (list []Program) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "programs must be a mapping of names to programs")
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		q := Program{Name: p.name(k, "the name of a program")}
		if _, taken := vars[q.Name]; taken {
			p.fail(k, "%s is the name of a variable", q.Name)
		}
		if slices.Contains(p.programs, q.Name) {
			p.fail(k, "%s appears twice", q.Name)
		}
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
	keys := map[string]func(*yaml.Node){
		"command":     func(n *yaml.Node) { e.Command = p.command(n, "command") },
		"types":       func(n *yaml.Node) { e.Types = p.text(n, "types") },
		"environment": func(n *yaml.Node) { e.Environment = p.environment(n) },
	}
	if r == attls.RoleClient {
		keys["repeats"] = func(n *yaml.Node) { e.Repeats = *p.truth(n, "repeats") }
	} else {
		keys["listens"] = func(n *yaml.Node) { e.Listens = p.pattern(n, "listens") }
		keys["taken"] = func(n *yaml.Node) { e.Taken = p.pattern(n, "taken") }
		keys["listens_silently"] = func(n *yaml.Node) { e.Listening = *p.truth(n, "listens_silently") }
	}
	p.fields(n, r.String(), keys)
	switch {
	case p.err != nil:
	case len(e.Command) == 0:
		p.fail(n, "the %s has no command", r)
	case r == attls.RoleServer && (e.Listens == nil) == !e.Listening:
		p.fail(n, "a server needs listens, a pattern of what it prints once it listens, or listens_silently: true")
	}
	return e
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
		w := Word{}
		p.fields(x, "a part of a command", map[string]func(*yaml.Node){
			"when": func(n *yaml.Node) { w.When = p.condition(n) },
			"add":  func(n *yaml.Node) { w.Then = p.wordsOf(n, "add", depth+1) },
		})
		if p.err == nil && (w.When == nil || w.Then == nil) {
			p.fail(x, "a part of a command needs when and add")
		}
		list = append(list, w)
	}
	return list
}

var conditionOf = regexp.MustCompile(`^(!?)([a-z_]+)(?:(=)(.*))?$`)

func (p *parser) condition(n *yaml.Node) *Condition {
	s := p.text(n, "when")
	m := conditionOf.FindStringSubmatch(s)
	if m == nil {
		p.fail(n, "%q is not a condition: NAME, !NAME or NAME=VALUE", s)
		return &Condition{}
	}
	if _, ok := vars[m[2]]; !ok {
		p.fail(n, "no variable is called %q; there are %s", m[2], strings.Join(sorted(vars), ", "))
	}
	return &Condition{Name: m[2], Not: m[1] != "", Value: m[4]}
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
		if _, ok := vars[name]; !ok && !slices.Contains(p.programs, name) || name == "version" {
			p.fail(n, "no variable or program is called %q; there are %s", name,
				strings.Join(append(sorted(vars), p.programs...), ", "))
		}
		at += i + end + 1
		rest = rest[i+end+1:]
	}
}

// releaseOf is what First and Last of a deviation look like.
var releaseOf = regexp.MustCompile(`^\d+(\.\d+){0,3}[a-z]?$`)

func (p *parser) deviations(n *yaml.Node) (list []Deviation) {
	for _, x := range p.items(n, "deviations") {
		d := Deviation{Line: x.Line}
		release := func(to *string, what string) func(*yaml.Node) {
			return func(n *yaml.Node) {
				if *to = p.text(n, what); !releaseOf.MatchString(*to) {
					p.fail(n, "%s must be a version such as 3.5.9, not %q", what, *to)
				}
			}
		}
		p.fields(x, "a deviation", map[string]func(*yaml.Node){
			"does":      func(n *yaml.Node) { d.Does = p.text(n, "does") },
			"first":     release(&d.First, "first"),
			"last":      release(&d.Last, "last"),
			"mended":    release(&d.Mended, "mended"),
			"upstream":  func(n *yaml.Node) { d.Upstream = p.text(n, "upstream") },
			"placement": func(n *yaml.Node) { d.Placement = p.placement(n) },
		})
		if p.err == nil && (d.Does == "" || d.Placement == nil) {
			p.fail(x, "a deviation needs does and placement")
		}
		if p.err == nil && d.Mended != "" && d.Last == "" {
			p.fail(x, "mended is a release after last, which is missing")
		}
		if p.err == nil && (d.First == "") != (d.Last == "") {
			p.fail(x, "a deviation has first and last, or neither")
		}
		list = append(list, d)
	}
	return list
}

// The words of a pattern of findings, which package placement gives meaning.
var (
	placementKinds = []string{"crash", "accepted", "refused", "no answer", "after an alert", "wrong alert", "no alert"}
	placementBody  = []string{"empty", "well-formed", "malformed"}
)

func (p *parser) placement(n *yaml.Node) *PlacementPattern {
	m := &PlacementPattern{}
	p.fields(n, "placement", map[string]func(*yaml.Node){
		"kinds":      func(n *yaml.Node) { m.Kinds = p.texts(n, "kinds", placementKinds) },
		"bodies":     func(n *yaml.Node) { m.Bodies = p.texts(n, "bodies", placementBody) },
		"extensions": func(n *yaml.Node) { m.Extensions = p.texts(n, "extensions", nil) },
		"alerts":     func(n *yaml.Node) { m.Alerts = p.texts(n, "alerts", nil) },
		"asked":      func(n *yaml.Node) { m.Asked = p.truth(n, "asked") },
		"known":      func(n *yaml.Node) { m.Known = p.truth(n, "known") },
		"roles": func(n *yaml.Node) {
			for _, s := range p.texts(n, "roles", []string{"client", "server"}) {
				m.Roles = append(m.Roles, map[string]attls.Role{"client": attls.RoleClient, "server": attls.RoleServer}[s])
			}
		},
		"messages": func(n *yaml.Node) {
			for _, x := range p.items(n, "messages") {
				k, ok := attls.KindByName(p.text(x, "a message"))
				if !ok {
					p.fail(x, "no message is called %q", x.Value)
				}
				m.Messages = append(m.Messages, k)
			}
		},
	})
	return m
}

// Place is where a deviation is in its file.
func (a *Adapter) Place(d *Deviation) string { return a.file + ":" + strconv.Itoa(d.Line) }
