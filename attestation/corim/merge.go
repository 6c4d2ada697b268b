package corim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"

	"attls/attestation"

	"go.yaml.in/yaml/v3"
)

// Add puts what the manifest says into the policies of a Verifier, and tells what that
// is. After an error the Verifier is as it was.
func (m *Manifest) Add(v *attestation.Verifier) (*Changes, error) {
	if len(m.references)+len(m.keys) == 0 {
		return nil, errNothing
	}
	if v.Policies == nil {
		v.Policies = map[string]attestation.Policy{}
	}
	c := &Changes{}
	if err := m.row.add(m, v, c); err != nil {
		return nil, err
	}
	return c, nil
}

// Merge adds what manifests say to a verifier's file, or makes one where there is none,
// and returns its octets and the changes. Sections of other roots of trust stay as they
// are, comments included. The table has the formats whose policies the file may have.
func Merge(name string, table attestation.Formats, list ...*Manifest) ([]byte, *Changes, error) {
	v, root, err := load(name, table)
	if err != nil {
		return nil, nil, err
	}
	all := &Changes{}
	endorsements, references := len(v.Endorsements), len(v.References)
	var changed []string
	for _, m := range list {
		if m.row.policy != nil && !slices.Contains(changed, m.Root) {
			changed = append(changed, m.Root)
			if err := section(v, root, m.row); err != nil {
				return nil, nil, fmt.Errorf("%s: roots.%s: %w", name, m.Root, err)
			}
		}
		c, err := m.Add(v)
		if err != nil {
			return nil, nil, err
		}
		all.Added, all.Known, all.Notes = append(all.Added, c.Added...), append(all.Known, c.Known...),
			append(all.Notes, c.Notes...)
	}
	part := attestation.Verifier{Endorsements: v.Endorsements[endorsements:], References: v.References[references:],
		Policies: map[string]attestation.Policy{}}
	for _, r := range changed {
		part.Policies[r] = v.Policies[r]
	}
	text, err := part.File()
	if err != nil {
		return nil, nil, err
	}
	var added yaml.Node
	if err := yaml.Unmarshal(text, &added); err != nil {
		return nil, nil, err
	}
	if len(added.Content) > 0 {
		join(root.Content[0], added.Content[0])
	}
	for _, r := range changed {
		if err := accepted(name, table, root, r); err != nil {
			return nil, nil, fmt.Errorf("after the import: %w", err)
		}
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	err = errors.Join(e.Encode(root), e.Close())
	return out.Bytes(), all, err
}

// load reads a verifier's file; one that does not exist is empty.
func load(name string, table attestation.Formats) (*attestation.Verifier, *yaml.Node, error) {
	root := &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode, Tag: "!!map"}}}
	if name == "" {
		return &attestation.Verifier{Table: table}, root, nil
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return &attestation.Verifier{Table: table}, root, nil
	}
	if err != nil {
		return nil, nil, err
	}
	v, err := attestation.LoadVerifier(name, table)
	if err != nil {
		return nil, nil, err
	}
	return v, root, yaml.Unmarshal(text, root)
}

// section reads the policy of a root of trust as the file has it: a policy that was
// loaded has the contents of files that it names, rather than their names.
func section(v *attestation.Verifier, root *yaml.Node, r *row) error {
	delete(v.Policies, r.root)
	n := child(child(root.Content[0], "roots"), r.root)
	if n == nil {
		return nil
	}
	p, err := r.policy(n)
	if err != nil {
		return err
	}
	v.Policies[r.root] = p
	return nil
}

// accepted reads the section of a root of trust as a verifier does.
func accepted(name string, table attestation.Formats, root *yaml.Node, of string) error {
	text, err := yaml.Marshal(child(child(root.Content[0], "roots"), of))
	if err != nil {
		return err
	}
	if name == "" {
		name = "roots." + of
	}
	s, err := attestation.NewSection(name, text)
	if err != nil {
		return err
	}
	f, err := table.Named(of)
	if err != nil {
		return err
	}
	_, err = f.Policy(s)
	return err
}

// child is a member of a map; nil: there is none.
func child(n *yaml.Node, name string) *yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// join puts the members of one map into another: the sections of roots of trust in
// place of those of the same name, lists at the end of lists.
func join(to, from *yaml.Node) {
	for i := 0; i+1 < len(from.Content); i += 2 {
		name, value := from.Content[i], from.Content[i+1]
		there := child(to, name.Value)
		switch {
		case there == nil:
			to.Content = append(to.Content, name, value)
		case there.Kind == yaml.AliasNode:
			*there = *value
		case value.Kind == yaml.SequenceNode && there.Kind == yaml.SequenceNode:
			there.Content = append(there.Content, value.Content...)
			there.Style = 0
		case name.Value == "roots" && there.Kind == yaml.MappingNode:
			join(there, value)
			there.Style = 0
		default:
			*there = *value
		}
	}
}
