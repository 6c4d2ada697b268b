package adapter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
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
func Parse(file string, blob []byte) (*Adapter, error) { return parse(file, blob, 0) }

// parse reads an adapter that is the base of so many others.
func parse(file string, blob []byte, depth int) (*Adapter, error) {
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
	p := &parser{file: file, vars: vars, depth: depth}
	a := p.adapter(n.Content[0])
	return a, p.err
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
	vars     map[string]string // those that commands may use here
	programs []string
	err      error
	words    int
	depth    int // how many adapters this one is the base of
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
