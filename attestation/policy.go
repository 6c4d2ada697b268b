package attestation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"attls/extensions/schema"

	"go.yaml.in/yaml/v3"
)

// Section is a part of a file that belongs to one format: its policy under `roots`
// in a verifier's file, its device in an attester's.
type Section struct {
	doc  *document
	node *yaml.Node
	name string
}

// NewSection reads a section from YAML text, for tests and for programs that keep
// policies elsewhere. The name is what errors call the text.
func NewSection(name string, text []byte) (*Section, error) {
	s := &Section{doc: &document{name: name}, name: name}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: more than %d octets; at most so many are read", name, maxFile)
	}
	if err := yaml.Unmarshal(text, &s.doc.root); err != nil {
		return nil, place(name, err)
	}
	if len(s.doc.root.Content) == 0 {
		return nil, fmt.Errorf("%s: the section is empty", name)
	}
	if err := s.doc.acyclic(&s.doc.root, map[*yaml.Node]bool{}); err != nil {
		return nil, err
	}
	s.node = s.doc.root.Content[0]
	return s, nil
}

// Decode fills a structure with yaml tags from the section. It refuses members that
// the structure does not have (and names the nearest), members that are there twice,
// null, and members that say nothing: an empty list of devices would admit every
// device. Errors begin with file:line.
func (s *Section) Decode(v any) error {
	if s.node.Kind != yaml.MappingNode {
		return s.doc.fileError(s.node, "%s is not a map of its members", s.name)
	}
	if err := s.doc.known(s.node, reflect.TypeOf(v)); err != nil {
		return err
	}
	if err := s.doc.noNull(s.node, s.name); err != nil {
		return err
	}
	if err := s.doc.filled(s.node, s.name); err != nil {
		return err
	}
	if err := s.node.Decode(v); err != nil {
		return place(s.doc.name, err)
	}
	return nil
}

// Has reports whether the section has a member.
func (s *Section) Has(member string) bool { return child(s.node, member) != nil }

// Fail is an error about a member, with its file and line; about the section where
// there is no such member.
func (s *Section) Fail(member, format string, args ...any) error {
	n := child(s.node, member)
	if n == nil {
		n = s.node
	}
	return s.doc.fileError(n, format, args...)
}

// File is a file that the section names, relative to the file it is in.
func (s *Section) File(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(s.doc.name), name)
}

// ReadFile reads a file that a member names, relative to the file it is in: at most
// limit octets.
func (s *Section) ReadFile(member, name string, limit int64) ([]byte, error) {
	path := s.File(name)
	info, err := os.Stat(path)
	if err != nil {
		return nil, s.Fail(member, "%s: %v", member, err)
	}
	if info.Size() > limit || !info.Mode().IsRegular() {
		return nil, s.Fail(member, "%s: %s is not a file of at most %d octets", member, path, limit)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, s.Fail(member, "%s: %v", member, err)
	}
	return b, nil
}

// acyclic refuses an alias inside what it names: what reads the nodes would not end.
func (d *document) acyclic(n *yaml.Node, state map[*yaml.Node]bool) error {
	under, seen := state[n]
	switch {
	case seen && under:
		return d.fileError(n, "an alias is inside what it names")
	case seen:
		return nil
	}
	state[n] = true
	for _, c := range append(slices.Clone(n.Content), n.Alias) {
		if c == nil {
			continue
		}
		if err := d.acyclic(c, state); err != nil {
			return err
		}
	}
	state[n] = false
	return nil
}

// known refuses members of maps that a type does not have, and members that appear
// twice. Types that read themselves are not looked into.
func (d *document) known(n *yaml.Node, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	if t == reflect.TypeFor[yaml.Node]() {
		return nil
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]()) {
		return nil
	}
	switch {
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, c := range n.Content {
			if err := d.known(c, t.Elem()); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			if err := d.known(n.Content[i], t.Elem()); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		members := membersOf(t)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Value == "<<" { // of YAML: what is merged in
				for _, m := range append([]*yaml.Node{n.Content[i+1]}, n.Content[i+1].Content...) {
					if m.Kind == yaml.MappingNode || m.Kind == yaml.AliasNode {
						if err := d.known(m, t); err != nil {
							return err
						}
					}
				}
				continue
			}
			member, ok := members[key.Value]
			if !ok {
				return d.unknown(key, members)
			}
			if err := d.known(n.Content[i+1], member); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *document) unknown(key *yaml.Node, members map[string]reflect.Type) error {
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range members {
			if !yield(name) {
				return
			}
		}
	})
	if near := schema.Nearest(key.Value, names); near != "" {
		return d.fileError(key, "field %s not found; did you mean %q?", key.Value, near)
	}
	return d.fileError(key, "field %s not found; there are %s", key.Value, strings.Join(names, ", "))
}

// membersOf are the members that YAML sees in a structure, those of inline ones
// included.
func membersOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case strings.Contains(rest, "inline"):
			for name, typ := range membersOf(f.Type) {
				out[name] = typ
			}
		case !f.IsExported() || name == "-":
		case name == "":
			out[strings.ToLower(f.Name)] = f.Type
		default:
			out[name] = f.Type
		}
	}
	return out
}

// The types below are the words of policies. Policies of different formats use the
// same word, with the same type, where they mean the same:
//
//	trust_anchors  Certificates         roots of the chain to the attestation key
//	vendor_roots   []string             such roots by name, which the libraries hold
//	certificate_files []string          files with certificates between anchor and key
//	crls           CRLs                 of the authorities below trust anchors
//	crl_files      []string             files with such CRLs
//	keys           []PublicKey          attestation keys that are trusted directly
//	instances      []Octets             devices: ueid, CHIP_ID, PPID, …
//	measurements   map[string][]Octets  reference values by the name of what is measured
//	minimum_tcb    map[string]Whole     least security version of each component
//	debug          Debugging            whether a platform that can be debugged is accepted
//	vmpl           *Whole               the highest VMPL that is accepted
//	lifecycle      []string             states of the life cycle that are accepted
//	key_provenance []string             kinds of attestation keys that are accepted
//	unattested_key UnattestedKey        whether a key that nothing attests is accepted

// Certificates are X.509 certificates, as PEM in one text.
type Certificates []*x509.Certificate

// UnmarshalYAML reads PEM: one certificate or more, and nothing else.
func (c *Certificates) UnmarshalYAML(n *yaml.Node) error {
	list, err := ParseCertificates([]byte(n.Value))
	if err != nil {
		return at(n, "%w", err)
	}
	*c = list
	return nil
}

// ParseCertificates reads PEM: one certificate or more, and nothing else.
func ParseCertificates(b []byte) (Certificates, error) {
	rest := bytes.TrimSpace(b)
	var list Certificates
	for len(rest) > 0 {
		block, after := pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("certificates are blocks of PEM of the type CERTIFICATE, and nothing else")
		}
		x, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(list)+1, err)
		}
		list, rest = append(list, x), bytes.TrimSpace(after)
	}
	if list == nil {
		return nil, errors.New("certificates are blocks of PEM, and there is none")
	}
	return list, nil
}

// MarshalYAML writes PEM.
func (c Certificates) MarshalYAML() (any, error) {
	var out bytes.Buffer
	for _, x := range c {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: x.Raw}); err != nil {
			return nil, err
		}
	}
	return out.String(), nil
}

// Debugging is whether platforms that can be debugged are accepted: disabled (the
// default: they are not) or enabled.
type Debugging bool

// UnmarshalYAML reads enabled or disabled.
func (d *Debugging) UnmarshalYAML(n *yaml.Node) error {
	i, err := oneOf(n, debuggingNames)
	*d = i == 1
	return err
}

// MarshalYAML writes enabled or disabled.
func (d Debugging) MarshalYAML() (any, error) {
	if d {
		return debuggingNames[1], nil
	}
	return debuggingNames[0], nil
}

var debuggingNames = []string{"disabled", "enabled"}

// UnattestedKey is what a policy makes of a key of the handshake that nothing in the
// Evidence attests, neither by name nor through the binder: refuse (the default), or
// accept.
type UnattestedKey bool

var unattestedNames = []string{"refuse", "accept"}

// UnmarshalYAML reads refuse or accept.
func (u *UnattestedKey) UnmarshalYAML(n *yaml.Node) error {
	i, err := oneOf(n, unattestedNames)
	*u = i == 1
	return err
}

// MarshalYAML writes refuse or accept.
func (u UnattestedKey) MarshalYAML() (any, error) {
	if u {
		return unattestedNames[1], nil
	}
	return unattestedNames[0], nil
}

// policies reads the sections of a verifier's file, one for each format.
func (t Formats) policies(doc *document, roots *yaml.Node) (map[string]Policy, error) {
	if roots == nil {
		return nil, nil
	}
	if roots.Kind == yaml.AliasNode {
		roots = roots.Alias
	}
	if roots.Kind != yaml.MappingNode {
		return nil, doc.fileError(roots, "roots is a map from the name of a format to its policy")
	}
	out := map[string]Policy{}
	for i := 0; i+1 < len(roots.Content); i += 2 {
		key, value := roots.Content[i], roots.Content[i+1]
		f, err := t.Named(key.Value)
		if err != nil {
			if near := schema.Nearest(key.Value, t.Names()); near != "" {
				err = fmt.Errorf("%w; did you mean %q?", err, near)
			}
			return nil, doc.fileError(key, "%v", err)
		}
		if out[f.Name] != nil {
			return nil, doc.fileError(key, "the policy of %s appears twice", f.Name)
		}
		p, err := f.Policy(&Section{doc, value, key.Value})
		if err == nil && p == nil {
			err = errors.New("this format has no section: it is judged by endorsements and references")
			if f.Name == Composite {
				err = errors.New("composite Evidence has no section: the policies of its parts and machines judge it")
			}
		}
		if err != nil {
			return nil, doc.located(key, err)
		}
		out[f.Name] = p
	}
	return out, nil
}

// located puts file and line before an error that lacks them.
func (d *document) located(n *yaml.Node, err error) error {
	if strings.HasPrefix(err.Error(), d.name+":") {
		return err
	}
	return d.fileError(n, "%v", err)
}
