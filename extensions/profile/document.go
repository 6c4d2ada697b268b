package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"attls/extensions/schema"
)

// MaxFile bounds the text of a profile, in octets; one that is not hostile stays
// far below it.
const MaxFile = 1 << 18

// Bounds of a document, so that every pass over it is quick even where it compares
// each with each.
const (
	maxNesting  = 12      // maps and lists in each other
	maxKeys     = 512     // of one map
	maxItems    = 1024    // of one list
	maxValues   = 1 << 14 // of a document
	maxProblems = 100     // told of one profile
	maxTold     = 400     // octets of the text of a problem
)

// form says what a value of a document is.
type form uint8

const (
	formNull form = 1 << iota
	formScalar
	formList
	formMap
	formTypes // the texts of `types` in the order of inheritance
)

func (f form) String() string {
	var names []string
	for i, n := range []string{"null", "a value", "a list", "a map", "structures"} {
		if f>>i&1 == 1 {
			names = append(names, n)
		}
	}
	return strings.Join(names, " or ")
}

// value is one value of a document with the place where it is written.
type value struct {
	form    form
	pos     schema.Position
	text    string  // formScalar
	origin  *origin // formScalar: where its text begins
	items   []*value
	entries []*entry // formMap, in order
	deleted []*entry // formMap: keys of the base that a null took away, with the place of the null
}

// origin is where the characters of a scalar stand in its file.
type origin struct {
	first schema.Position
	exact bool // columns of the text are columns of the file
}

// start is where a text begins; nowhere, for one that no file holds.
func (o *origin) start() schema.Position {
	if o == nil {
		return schema.Position{}
	}
	return o.first
}

// entry is one key of a map.
type entry struct {
	key   string
	pos   schema.Position
	value *value
}

// get returns what stands under a chain of keys, or nil.
func (v *value) get(keys ...string) *value {
	for _, k := range keys {
		if v == nil {
			return nil
		}
		e := v.entry(k)
		if e == nil {
			return nil
		}
		v = e.value
	}
	return v
}

func (v *value) entry(key string) *entry {
	if v == nil {
		return nil
	}
	for _, e := range v.entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

// under returns the entries under a chain of keys.
func (v *value) under(keys ...string) []*entry {
	if v = v.get(keys...); v == nil {
		return nil
	}
	return v.entries
}

// withEntries is a copy with other entries in the map under a chain of keys.
func (v *value) withEntries(list []*entry, keys ...string) *value {
	if v == nil {
		return nil
	}
	c := *v
	if len(keys) == 0 {
		c.entries = list
		return &c
	}
	c.entries = slices.Clone(v.entries)
	for i, e := range c.entries {
		if e.key == keys[0] {
			c.entries[i] = &entry{e.key, e.pos, e.value.withEntries(list, keys[1:]...)}
		}
	}
	return &c
}

// is reports whether the value is the scalar s.
func (v *value) is(s string) bool { return v != nil && v.form == formScalar && v.text == s }

// at is the place of an octet of a scalar's text.
func (v *value) at(offset int) schema.Position {
	if v.origin == nil || !v.origin.exact {
		return v.pos
	}
	p := v.origin.first
	before := v.text[:min(offset, len(v.text))]
	if n := strings.Count(before, "\n"); n > 0 {
		p.Line += n
		before = before[strings.LastIndexByte(before, '\n')+1:]
	}
	p.Column += len(before)
	return p
}

// Kinds of problem that the loader adds to those of package schema.
const (
	ProblemFile      schema.ProblemKind = "file"          // not YAML, too large, or no profile of that name
	ProblemUnread    schema.ProblemKind = "unread"        // a file that cannot be read
	ProblemKey       schema.ProblemKind = "key"           // a key that nothing reads
	ProblemValue     schema.ProblemKind = "value"         // a value that its key does not take
	ProblemSwitch    schema.ProblemKind = "switch"        // a switch, a reading or a $name
	ProblemPath      schema.ProblemKind = "path"          // a path that leads to no field
	ProblemCodePoint schema.ProblemKind = "code_point"    // a number that is taken, missing or too large
	ProblemBinder    schema.ProblemKind = "binder"        // an expression that cannot work
	ProblemFlaw      schema.ProblemKind = "accepted_flaw" // a flaw of the text that nothing acknowledges
	ProblemUnbound   schema.ProblemKind = "unbound_field" // a field that no path names
	ProblemRule      schema.ProblemKind = "rule"          // rules that contradict each other
	ProblemRemark    schema.ProblemKind = "remark"        // what works and weakens the protocol, or may not be meant
)

func problem(pos schema.Position, kind schema.ProblemKind, format string, args ...any) *schema.Problem {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxTold {
		text = strings.ToValidUTF8(text[:maxTold], "") + "…"
	}
	return &schema.Problem{Pos: pos, Kind: kind, Text: text}
}

// nearest advises the known name that may have been meant.
func nearest(p *schema.Problem, word string, known []string) *schema.Problem {
	propose(p, word, known)
	return p
}

// propose is nearest where the problem has been reported.
func propose(p *schema.Problem, word string, known []string) {
	if s := schema.Nearest(word, known); s != "" {
		p.Advice = fmt.Sprintf("did you mean %s?", s)
	}
}

// readDocument parses one file into a value without looking at its meaning.
func readDocument(file string, src []byte) (*value, schema.Problems) {
	if len(src) > MaxFile {
		return nil, schema.Problems{problem(schema.Position{File: file, Line: 1, Column: 1}, ProblemFile,
			"%d octets; a profile has at most %d", len(src), MaxFile)}
	}
	if IsCompiled(src) {
		return nil, schema.Problems{problem(schema.Position{File: file, Line: 1, Column: 1}, ProblemFile,
			"a compiled profile; what it was compiled from is needed here")}
	}
	r := &reader{file: file, lines: strings.Split(string(src), "\n")}
	d := yaml.NewDecoder(bytes.NewReader(src))
	var n, second yaml.Node
	if err := d.Decode(&n); err != nil {
		return nil, schema.Problems{r.syntax(err)}
	}
	if err := d.Decode(&second); err == nil {
		return nil, schema.Problems{problem(r.pos(&second), ProblemFile,
			"a second document begins here; a file holds one profile")}
	} else if !errors.Is(err, io.EOF) {
		return nil, schema.Problems{r.syntax(err)}
	}
	v := r.value(n.Content[0], 0)
	if len(r.problems) == 0 && v.form != formMap {
		r.problems = append(r.problems, problem(v.pos, ProblemFile, "a profile is a map of keys"))
	}
	return v, r.problems
}

type reader struct {
	file     string
	lines    []string
	values   int
	problems schema.Problems
}

// full reports whether so much was found that the rest is not looked at.
func (r *reader) full(n *yaml.Node) bool {
	if r.values++; r.values == maxValues+1 {
		r.fail(n, "more than %d values", maxValues)
	}
	return r.values > maxValues || len(r.problems) >= maxProblems
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

// syntax turns an error of the YAML library into a problem with its place.
func (r *reader) syntax(err error) *schema.Problem {
	p := problem(schema.Position{File: r.file, Line: 1, Column: 1}, ProblemFile, "%s",
		strings.TrimPrefix(err.Error(), "yaml: "))
	if errors.Is(err, io.EOF) {
		p.Text = "the file is empty"
		return p
	}
	if f := diagnose(r.lines); f != nil {
		p.Pos.Line, p.Pos.Column, p.Text, p.Advice = f.line, f.column, f.text, f.advice
		return p
	}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		p.Pos.Line, _ = strconv.Atoi(m[1])
		p.Text = m[2]
	}
	if n := p.Pos.Line; n <= len(r.lines) {
		line := r.lines[n-1]
		p.Pos.Column = len(line) - len(strings.TrimLeft(line, " ")) + 1
	}
	p.Advice = "the file is not YAML from there on: see that keys which belong together begin in one column, and that " +
		"every bracket and quotation mark is closed"
	return p
}

func (r *reader) pos(n *yaml.Node) schema.Position {
	return schema.Position{File: r.file, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, problem(r.pos(n), ProblemFile, format, args...))
}

func (r *reader) value(n *yaml.Node, depth int) *value {
	v := &value{form: formNull, pos: r.pos(n)}
	if depth > maxNesting {
		r.fail(n, "maps and lists are nested more than %d deep", maxNesting)
		return v
	}
	if r.full(n) {
		return v
	}
	if n.Anchor != "" {
		r.fail(n, "anchors and aliases are not read; use base or a switch")
		return v
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.ShortTag() != "!!null" {
			v.form, v.text, v.origin = formScalar, n.Value, r.origin(n)
		}
	case yaml.SequenceNode:
		v.form = formList
		if len(n.Content) > maxItems {
			r.fail(n, "%d values in a list; at most %d are read", len(n.Content), maxItems)
			return v
		}
		for _, x := range n.Content {
			v.items = append(v.items, r.value(x, depth+1))
		}
	case yaml.MappingNode:
		v.form = formMap
		if len(n.Content)/2 > maxKeys {
			r.fail(n, "%d keys in a map; at most %d are read", len(n.Content)/2, maxKeys)
			return v
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			r.entry(v, n.Content[i], n.Content[i+1], depth)
		}
	default:
		r.fail(n, "anchors and aliases are not read; use base or a switch")
	}
	return v
}

func (r *reader) entry(v *value, k, x *yaml.Node, depth int) {
	switch {
	case k.Kind != yaml.ScalarNode || k.Value == "":
		r.fail(k, "a key is a word")
	case v.entry(k.Value) != nil:
		r.fail(k, "%s appears twice, first at line %d", k.Value, v.entry(k.Value).pos.Line)
	default:
		v.entries = append(v.entries, &entry{k.Value, r.pos(k), r.value(x, depth+1)})
	}
}

// origin finds where the text of a scalar begins: after its quotation mark, or
// on the line after the mark of a block.
func (r *reader) origin(n *yaml.Node) *origin {
	o := &origin{first: r.pos(n)}
	switch n.Style {
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		o.first.Column++
		o.exact = r.covers(o.first, n.Value)
	case yaml.LiteralStyle:
		o.first.Line++
		if o.first.Line <= len(r.lines) {
			line := r.lines[o.first.Line-1]
			o.first.Column = len(line) - len(strings.TrimLeft(line, " ")) + 1
			o.exact = true
		}
	default:
		o.exact = r.covers(o.first, n.Value)
	}
	return o
}

// covers reports whether the text stands in the file as it is, on one line.
func (r *reader) covers(p schema.Position, text string) bool {
	if p.Line > len(r.lines) {
		return false
	}
	line := []rune(r.lines[p.Line-1])
	return p.Column-1 <= len(line) && strings.HasPrefix(string(line[p.Column-1:]), text)
}

// merge lays a derived document over its base: maps merge, scalars and lists
// replace, null deletes, and the texts of `types` line up so that a later type
// replaces the one of its name.
func merge(base, over *value) (*value, schema.Problems) {
	var problems schema.Problems
	out := &value{form: formMap, pos: over.pos, entries: append([]*entry(nil), base.entries...),
		deleted: slices.Clone(base.deleted)}
	for _, e := range over.entries {
		old := out.entry(e.key)
		switch {
		case e.value.form == formNull && old == nil:
			problems = append(problems, problem(e.pos, ProblemKey, "null deletes %s, and the base has none", e.key))
		case e.value.form == formNull:
			out.remove(e.key)
			out.deleted = append(out.deleted, e)
		case old == nil:
			out.entries = append(out.entries, e)
		case old.value.form == formTypes && e.value.form == formTypes:
			out.replace(e, &value{form: formTypes, pos: e.value.pos,
				items: append(append([]*value(nil), old.value.items...), e.value.items...)})
		case old.value.form == formMap && e.value.form == formMap:
			m, p := merge(old.value, e.value)
			problems = append(problems, p...)
			out.replace(e, m)
		default:
			out.replace(e, e.value)
		}
	}
	return out, problems
}

func (v *value) remove(key string) {
	for i, e := range v.entries {
		if e.key == key {
			v.entries = append(append([]*entry(nil), v.entries[:i]...), v.entries[i+1:]...)
			return
		}
	}
}

// replace puts x under the key of e, at the place of the old entry.
func (v *value) replace(e *entry, x *value) {
	for i, old := range v.entries {
		if old.key == e.key {
			v.entries[i] = &entry{e.key, e.pos, x}
		}
	}
}

// print writes a document as YAML.
func (v *value) print() string {
	if v == nil {
		return ""
	}
	shown := &value{form: formMap, entries: slices.Clone(v.entries)}
	if e := shown.entry("types"); e != nil {
		shown.replace(e, &value{form: formScalar, text: v.structures().String()})
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if e.Encode(shown.node()) != nil || e.Close() != nil {
		return ""
	}
	return b.String()
}

// node makes a YAML node; short maps and lists stand on one line.
func (v *value) node() *yaml.Node {
	switch v.form {
	case formScalar:
		n := &yaml.Node{Kind: yaml.ScalarNode, Value: v.text}
		switch {
		case strings.Contains(v.text, "\n"):
			n.Style = yaml.LiteralStyle
		case strings.ContainsAny(v.text, `"'{}[],:#`):
			n.Style = yaml.SingleQuotedStyle
		}
		return n
	case formList:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, x := range v.items {
			n.Content = append(n.Content, x.node())
		}
		return n
	case formMap:
		n := &yaml.Node{Kind: yaml.MappingNode}
		if v.width() < 100 {
			n.Style = yaml.FlowStyle
		}
		for _, e := range v.entries {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: e.key}, e.value.node())
		}
		return n
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

// structures are the definitions in force, each at its first place, without
// those that nothing in the document uses any more.
func (v *value) structures() *schema.File {
	types := v.get("types")
	if types == nil {
		return &schema.File{}
	}
	merged := &schema.File{}
	at := map[string]int{}
	for _, t := range types.items {
		f, _ := schema.Parse([]byte(t.text), t.origin.start())
		for _, d := range f.Definitions {
			if i, ok := at[d.Name]; ok {
				merged.Definitions[i] = d
				continue
			}
			at[d.Name] = len(merged.Definitions)
			merged.Definitions = append(merged.Definitions, d)
		}
	}
	used := map[string]bool{}
	v.everyScalar(func(s *value) {
		if i, ok := at[s.text]; ok {
			use(merged.Definitions, at, i, used)
		}
	})
	merged.Definitions = slices.DeleteFunc(merged.Definitions, func(d *schema.Definition) bool { return !used[d.Name] })
	return merged
}

// everyScalar visits the texts of a document: keys as well as values.
func (v *value) everyScalar(visit func(*value)) {
	if v == nil {
		return
	}
	if v.form == formScalar {
		visit(v)
	}
	for _, x := range v.items {
		if v.form != formTypes {
			x.everyScalar(visit)
		}
	}
	for _, e := range v.entries {
		visit(&value{text: e.key})
		e.value.everyScalar(visit)
	}
}

// use marks a definition and all that it names.
func use(defs []*schema.Definition, at map[string]int, i int, used map[string]bool) {
	d := defs[i]
	if used[d.Name] {
		return
	}
	used[d.Name] = true
	mark := func(name string) {
		if i, ok := at[name]; ok {
			use(defs, at, i, used)
		}
	}
	var members func([]schema.Member)
	members = func(list []schema.Member) {
		for _, m := range list {
			if m.Field != nil {
				mark(m.Field.Type)
				continue
			}
			for _, a := range m.Select.Arms {
				members(a.Members)
			}
		}
	}
	if d.Struct != nil {
		members(d.Struct.Members)
	}
	if d.Alias != nil {
		mark(d.Alias.Type)
	}
}

// width is about how many columns the value takes on one line.
func (v *value) width() int {
	n := len(v.text)
	if strings.Contains(v.text, "\n") || v.form == formTypes {
		n += 100
	}
	for _, x := range v.items {
		n += 2 + x.width()
	}
	for _, e := range v.entries {
		n += 4 + len(e.key) + e.value.width()
	}
	return n
}
