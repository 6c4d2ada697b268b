package profile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// A compiled profile is a profile without its history: bases merged, readings
// settled, numbers in force, structures as a table and expressions as trees. The
// format is docs/compiled-profile.md.

// CompiledVersion is the version of the format that Compiled writes.
const CompiledVersion = 1

// MaxCompiled bounds a compiled profile, in octets.
const MaxCompiled = 1 << 20

const (
	compiledMagic = "attls-compiled-profile"
	checksumWord  = "sha256"
)

// The words that begin the lines of a compiled profile.
const (
	recordMap        = "map"
	recordKey        = "key"
	recordList       = "list"
	recordExpression = "expression"
	recordReading    = "reading"
	recordEnum       = "enum"
	recordEnumerator = "enumerator"
	recordStruct     = "struct"
	recordField      = "field"
	recordSelect     = "select"
	recordArm        = "arm"
	recordCase       = "case"
	recordEnd        = "end"
	recordAlias      = "alias"
)

// noField is a field that is not there.
const noField = "-"

// Compiled is the profile in the form of docs/compiled-profile.md. Its octets depend
// on what the profile says and not on how it is written: comments, the order of keys,
// inheritance and the name of the file leave them as they are. Load and Parse read it.
func (p *Profile) Compiled() ([]byte, error) {
	if p.settled == nil {
		return nil, errors.New("the profile was not made by a loader")
	}
	w := &recorder{}
	w.record(compiledMagic, strconv.Itoa(CompiledVersion))
	doc := p.alone()
	for _, e := range doc.sortedEntries() {
		if e.key != "types" && e.key != "base" {
			w.value(root.child(e.key), textField(e.key), e.value)
		}
	}
	w.readings(p.Readings)
	if c, ok := p.codec.(*codec); ok {
		w.types(c.types.Settled(c.typeNames()))
	}
	if w.err != nil {
		return nil, w.err
	}
	sum := sha256.Sum256(w.out.Bytes())
	w.record(checksumWord, hex.EncodeToString(sum[:]))
	if w.out.Len() > MaxCompiled {
		return nil, fmt.Errorf("%d octets; a compiled profile has at most %d", w.out.Len(), MaxCompiled)
	}
	return w.out.Bytes(), nil
}

// typeNames are the types of bodies and elements.
func (c *codec) typeNames() []string {
	names := sortedKeys(c.schemes)
	for _, b := range c.order {
		names = append(names, b.codec.TypeName())
	}
	if c.p.later != nil {
		for _, b := range c.p.later.order {
			names = append(names, b.codec.TypeName())
		}
	}
	for _, b := range c.updates {
		names = append(names, b.codec.TypeName())
	}
	return names
}

// alone is the settled document as it stands without bases: without what has no
// effect, with the numbers in force, and acknowledging the flaws that are there.
func (p *Profile) alone() *value {
	doc := p.settled
	for range 8 { // what goes may have been the last use of something else
		q, err := compileDocument(doc, Options{})
		if err != nil || len(q.dead)+len(q.unused) == 0 {
			break
		}
		for _, keys := range q.dead {
			doc = doc.without(keys)
		}
		doc = doc.withoutItems(q.unused)
		doc.dropDead()
	}
	c := *doc
	c.entries = slices.Clone(doc.entries)
	for name, n := range p.Numbers() {
		registry, key, _ := strings.Cut(name, ".")
		if c.get("code_points", registry, key) != nil {
			c = *c.with(fmt.Sprint(n), "code_points", registry, key)
		}
	}
	if len(p.Flaws) == 0 {
		c.remove("accepted_flaws")
		return &c
	}
	for _, e := range c.under("accepted_flaws") {
		if !slices.ContainsFunc(p.Flaws, func(f Flaw) bool { return f.Name == e.key }) {
			c = *c.without([]string{"accepted_flaws", e.key})
			continue
		}
		var gone []*value
		for _, x := range e.value.items {
			if !slices.ContainsFunc(p.Flaws, func(f Flaw) bool { return f.Name == e.key && f.Field == x.text }) {
				gone = append(gone, x)
			}
		}
		c = *c.withoutItems(gone)
	}
	return &c
}

// with is a copy with another text under a chain of keys, which exists.
func (v *value) with(text string, keys ...string) *value {
	c := *v
	if len(keys) == 0 {
		c.text = text
		return &c
	}
	c.entries = slices.Clone(v.entries)
	for i, e := range c.entries {
		if e.key == keys[0] {
			c.entries[i] = &entry{e.key, e.pos, e.value.with(text, keys[1:]...)}
		}
	}
	return &c
}

// sortedEntries are the entries of a map in the order of the octets of their keys.
func (v *value) sortedEntries() []*entry {
	list := slices.Clone(v.entries)
	slices.SortFunc(list, func(a, b *entry) int { return strings.Compare(a.key, b.key) })
	return list
}

// child is what stands under a name in a map of keys.
func (k *key) child(name string) *key {
	if c := k.find(name); c != nil {
		return c
	}
	return k.each
}

// recorder writes lines of fields.
type recorder struct {
	out bytes.Buffer
	err error
}

func (w *recorder) record(fields ...string) {
	w.out.WriteString(strings.Join(fields, " "))
	w.out.WriteByte('\n')
}

// textField writes a text as one field: octets that are no visible ASCII, "%" and "/"
// as % and two hexadecimal digits; the empty text as a lone %.
func textField(s string) string {
	if s == "" {
		return "%"
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '%' || c == '/' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (w *recorder) value(k *key, path string, v *value) {
	switch v.form {
	case formMap:
		w.record(recordMap, path)
		for _, e := range v.sortedEntries() {
			w.value(k.child(e.key), path+"/"+textField(e.key), e.value)
		}
	case formList:
		fields := []string{recordList, path}
		item := k.each
		if item != nil && item.form == formList { // a list for all senders
			item = item.each
		}
		for _, x := range v.items {
			fields = append(fields, textField(item.plain(x.text)))
		}
		w.record(fields...)
	case formScalar:
		if tree, err := binder.Tree(v.text); k.isExpression(v) && err == nil {
			w.record(recordExpression, path)
			w.tree(tree)
			return
		}
		w.record(recordKey, path, textField(k.plain(v.text)))
	}
}

// isExpression reports whether a text is to be read by the binder language.
func (k *key) isExpression(v *value) bool { return k != nil && k.expr && !v.is("none") }

// plain is the one way to write a number or octets.
func (k *key) plain(s string) string {
	switch {
	case k == nil:
	case k.scalar == scalarNumber:
		if n, err := parseNumber(s); err == nil {
			return strconv.FormatUint(n, 10)
		}
	case k.scalar == scalarOctets:
		return strings.ToLower(s)
	}
	return s
}

// nodeWords begin the lines of a tree.
var nodeWords = map[binder.NodeKind]string{binder.NodeOctets: "octets", binder.NodeInteger: "integer",
	binder.NodeValue: "value", binder.NodeDefine: "define", binder.NodeRange: "range", binder.NodeCall: "call"}

func (w *recorder) tree(list []binder.Node) {
	for _, n := range list {
		word, role := nodeWords[n.Kind], n.Role
		if role == "" {
			role = noField
		}
		switch n.Kind {
		case binder.NodeOctets:
			w.record(word, "0x"+hex.EncodeToString(n.Octets))
		case binder.NodeInteger:
			w.record(word, strconv.Itoa(n.Number))
		case binder.NodeCall:
			w.record(word, n.Name, strconv.Itoa(n.Number))
		case binder.NodeRange:
			if n.Exclusive {
				n.Name = "<" + n.Name
			}
			w.record(word, n.Name, role)
		default:
			w.record(word, n.Name, role)
		}
	}
}

// readings say how the switches were settled.
func (w *recorder) readings(list []Reading) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Reading) int { return strings.Compare(a.Switch, b.Switch) })
	for _, r := range list {
		w.record(recordReading, textField(r.Switch), textField(r.Chosen), textField(r.Default), textField(r.AMB),
			textField(r.Why))
	}
}

// typeRecorder writes settled definitions.
type typeRecorder struct {
	*recorder
	enums map[string]*schema.EnumDecl
	scope []*schema.FieldDecl // fields that a select may name
}

func (w *recorder) types(list []*schema.Definition) {
	t := &typeRecorder{recorder: w, enums: map[string]*schema.EnumDecl{}}
	for _, d := range list {
		t.enums[d.Name] = d.Enum
	}
	for _, d := range list {
		switch {
		case d.Enum != nil:
			t.enum(d)
		case d.Struct != nil:
			w.record(recordStruct, d.Name)
			t.scope = nil
			t.members(d.Struct.Members)
			w.record(recordEnd)
		default:
			w.record(append([]string{recordAlias, d.Name, d.Alias.Type}, dimension(d.Alias)...)...)
		}
	}
}

func (w *typeRecorder) enum(d *schema.Definition) {
	for _, m := range d.Enum.Members {
		if m.Name == "" { // the greatest number of the width
			w.record(recordEnum, d.Name, strconv.Itoa(len(fmt.Sprintf("%x", m.Value.Num))/2))
		}
	}
	for _, m := range d.Enum.Members {
		if m.Name != "" {
			w.record(recordEnumerator, m.Name, m.Value.Text, lastOf(&m).Text)
		}
	}
}

func (w *typeRecorder) members(list []schema.Member) {
	for _, m := range list {
		if f := m.Field; f != nil {
			w.record(append([]string{recordField, textField(f.Name), f.Type}, dimension(f)...)...)
			w.scope = append(w.scope, f)
			continue
		}
		s := m.Select
		w.record(recordSelect, s.On, textField(s.Label))
		for i := range s.Arms {
			w.record(recordArm)
			for _, c := range s.Arms[i].Cases {
				w.choice(s.On, c)
			}
			outside := len(w.scope)
			w.members(s.Arms[i].Members)
			w.scope = w.scope[:outside]
		}
		w.record(recordEnd)
	}
}

// choice writes a case: the name, and for a field the numbers that it stands for.
func (w *typeRecorder) choice(on string, c schema.Case) {
	name, isField := strings.CutPrefix(on, schema.FieldPrefix)
	switch {
	case !isField:
		w.record(recordCase, c.Name)
	case c.Number != nil:
		w.record(recordCase, c.Number.Text, c.Number.Text, c.Number.Text)
	default:
		for _, f := range slices.Backward(w.scope) {
			if f.Name != name && (f.Name != "" || f.Type != name) {
				continue
			}
			for _, m := range w.enums[f.Type].Members {
				if m.Name == c.Name {
					w.record(recordCase, c.Name, m.Value.Text, lastOf(&m).Text)
				}
			}
			return
		}
	}
}

func lastOf(m *schema.Enumerator) *schema.Expr {
	if m.Last != nil {
		return m.Last
	}
	return m.Value
}

// dimension are the fields that say how often a type stands in a field.
func dimension(f *schema.FieldDecl) []string {
	switch {
	case f.Array != nil:
		return append([]string{"array"}, prefixed(f.Array)...)
	case f.Ceiling != nil:
		return []string{"vector", f.Floor.Text, f.Ceiling.Text}
	case f.Constant != nil:
		return []string{"constant", f.Constant.Text}
	}
	return []string{noField}
}

// prefixed is an expression with its operators in front of their operands.
func prefixed(e *schema.Expr) []string {
	if e.Op == 0 {
		return []string{e.Text}
	}
	return append(append([]string{string(e.Op)}, prefixed(e.X)...), prefixed(e.Y)...)
}
