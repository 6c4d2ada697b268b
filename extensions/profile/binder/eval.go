package binder

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"attls"
)

// Value is an expression with what it came to, and the same of its parts.
type Value struct {
	Expr   string // the expression's text
	Name   string // the definition, where Expr is a name
	Kind   Kind
	Octets []byte // KindOctets; for KindRange the Transcript-Hash over it
	Number int    // KindInteger
	Parts  []*Value
	Err    *attls.Error // why there is no value
}

// Eval computes the expression of a name for the attester of a role.
func (p *Program) Eval(name string, attester attls.Role, in Inputs) ([]byte, error) {
	v := p.Explain(name, attester, in)
	if v.Err != nil {
		return nil, v.Err
	}
	return v.Octets, nil
}

// Explain computes like Eval and returns every intermediate value as well.
// Where a value cannot be had, Err says why, at the root and on the way to it.
func (p *Program) Explain(name string, attester attls.Role, in Inputs) *Value {
	if p.tree[name] == nil {
		return &Value{Expr: name, Err: attls.Errorf(attls.Local, attls.FailBinderUndefined, "the binder defines no %q", name)}
	}
	e := &evaluation{p: p, in: in, hash: newHash(in.Hash()), done: map[defined]*Value{}}
	if e.hash == nil {
		return &Value{Expr: name, Err: attls.Errorf(attls.Local, attls.FailBinderUndefined, "the hash %q is unknown", in.Hash())}
	}
	e.hashLen = e.hash().Size()
	v := e.definition(name, name, attester)
	if v.Err == nil && v.Kind == KindInteger {
		v.Err = undefined(attls.Local, "%s is an integer, not octets", name)
	}
	return v
}

func undefined(c attls.Class, format string, args ...any) *attls.Error {
	return attls.Errorf(c, attls.FailBinderUndefined, format, args...)
}

// defined is a definition for one role; each is computed once.
type defined struct {
	name string
	role attls.Role
}

type evaluation struct {
	p       *Program
	in      Inputs
	hash    func() hash.Hash
	hashLen int
	done    map[defined]*Value
}

func (e *evaluation) sum(b []byte) []byte {
	h := e.hash()
	h.Write(b)
	return h.Sum(nil)
}

func newHash(name string) func() hash.Hash {
	switch name {
	case "SHA-256":
		return sha256.New
	case "SHA-384":
		return sha512.New384
	case "SHA-512":
		return sha512.New
	}
	return nil
}

// definition evaluates a name; expr is how it is written where it is used.
func (e *evaluation) definition(name, expr string, role attls.Role) *Value {
	key := defined{name, role}
	if v, ok := e.done[key]; ok {
		return v
	}
	body := e.eval(e.p.text[name], e.p.tree[name], role)
	v := &Value{Expr: expr, Name: name, Kind: body.Kind, Octets: body.Octets, Number: body.Number, Parts: []*Value{body}, Err: body.Err}
	e.done[key] = v
	return v
}

func (e *evaluation) eval(text string, n *node, role attls.Role) *Value {
	expr := text[n.at:n.end]
	v := &Value{Expr: expr}
	switch n.op {
	case opText, opHex:
		v.Octets = n.octets
	case opInteger:
		v.Kind, v.Number = KindInteger, n.number
	case opName:
		return e.definition(n.name, expr, roleOf(n.role, role))
	case opTerminal:
		v.Kind = n.terminal.kind
		var ok bool
		if v.Octets, v.Number, ok = n.terminal.get(e, roleOf(n.role, role)); !ok {
			v.Err = undefined(attls.Local, "%s does not exist (yet)", expr)
			if x, ok := e.in.(Explainer); ok {
				if why := x.Absent(n.name, roleOf(n.role, role)); why != "" {
					v.Err = undefined(attls.Local, "%s does not exist: %s", expr, why)
				}
			}
		}
	case opRange:
		v.Kind = KindRange
		var ok bool
		if v.Octets, ok = e.in.Transcript(e.p.rangeOf(n, role)); !ok {
			v.Err = undefined(attls.Local, "the transcript has not come to the end of %s", expr)
		}
	case opCall:
		e.call(v, text, n, role)
	}
	return v
}

func (e *evaluation) call(v *Value, text string, n *node, role attls.Role) {
	if n.name == "per_role" {
		arm := e.eval(text, n.args[role], role) // the client is role 0
		v.Kind, v.Octets, v.Number, v.Err, v.Parts = arm.Kind, arm.Octets, arm.Number, arm.Err, []*Value{arm}
		return
	}
	for _, a := range n.args {
		part := e.eval(text, a, role)
		v.Parts = append(v.Parts, part)
		if part.Err != nil {
			v.Err = part.Err
			return
		}
	}
	if n.name == "len" {
		v.Kind = KindInteger
	}
	v.Octets, v.Number, v.Err = n.function.call(e, n, v.Parts)
	if v.Err == nil && len(v.Octets) > maxValue {
		v.Octets, v.Err = nil, undefined(attls.Violation, "%s has %d octets; the binder language stops at %d", n.name, len(v.Octets), maxValue)
	}
}

// hashed is what stands for a value where a hash is taken.
func (e *evaluation) hashed(v *Value) []byte {
	if v.Kind == KindRange {
		return v.Octets
	}
	return e.sum(v.Octets)
}

// expandLabel is HKDF-Expand-Label of RFC 8446 section 7.1.
func (e *evaluation) expandLabel(secret, label, context []byte, length int) ([]byte, *attls.Error) {
	switch {
	case len(label) < 1 || len(label) > 249:
		return nil, undefined(attls.Violation, "a label of %d octets; an HkdfLabel takes 1 to 249", len(label))
	case len(context) > 255:
		return nil, undefined(attls.Violation, "a context of %d octets; an HkdfLabel takes at most 255", len(context)).By("RFC 8446 7.1")
	case length < 1 || length > 255*e.hashLen:
		return nil, undefined(attls.Violation, "a length of %d octets; HKDF-Expand gives 1 to %d", length, 255*e.hashLen)
	}
	info := make([]byte, 0, 10+len(label)+len(context))
	info = binary.BigEndian.AppendUint16(info, uint16(length))
	info = append(info, byte(6+len(label)))
	info = append(append(info, "tls13 "...), label...)
	info = append(append(info, byte(len(context))), context...)
	out, err := hkdf.Expand(e.hash, secret, string(info), length)
	if err != nil {
		return nil, undefined(attls.Local, "HKDF-Expand: %v", err)
	}
	return out, nil
}

func callExpandLabel(e *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	b, err := e.expandLabel(a[0].Octets, a[1].Octets, a[2].Octets, a[3].Number)
	return b, 0, err
}

func callDeriveSecret(e *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	b, err := e.expandLabel(a[0].Octets, a[1].Octets, e.hashed(a[2]), e.hashLen)
	return b, 0, err
}

func callExporter(e *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	secret, err := e.expandLabel(a[0].Octets, a[1].Octets, e.sum(nil), e.hashLen)
	if err != nil {
		return nil, 0, err
	}
	b, err := e.expandLabel(secret, []byte("exporter"), e.hashed(a[2]), a[3].Number)
	return b, 0, err
}

func callExtract(e *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	b, err := hkdf.Extract(e.hash, a[1].Octets, a[0].Octets)
	if err != nil {
		return nil, 0, undefined(attls.Local, "HKDF-Extract: %v", err)
	}
	return b, 0, nil
}

func callHash(e *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	return e.hashed(a[0]), 0, nil
}

func callDigest(_ *evaluation, n *node, a []*Value) ([]byte, int, *attls.Error) {
	h := newHash(string(n.args[0].octets))()
	h.Write(a[1].Octets)
	return h.Sum(nil), 0, nil
}

func callConcat(_ *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	var b []byte
	for _, v := range a {
		b = append(b, v.Octets...)
	}
	return b, 0, nil
}

func callLen(_ *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	return nil, len(a[0].Octets), nil
}

func callWithin(_ *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	if n := len(a[0].Octets); n < a[1].Number || n > a[2].Number {
		return nil, 0, undefined(attls.Violation, "%s has %d octets; the binder takes %d to %d", a[0].Expr, n, a[1].Number, a[2].Number)
	}
	return a[0].Octets, 0, nil
}

// callMap encodes with the keys in the order of RFC 8949 section 4.2.1: by
// their encodings, octet for octet.
func callMap(_ *evaluation, n *node, a []*Value) ([]byte, int, *attls.Error) {
	type pair struct{ key, value []byte }
	pairs := make([]pair, len(a))
	for i, v := range a {
		value := head(0, v.Number)
		if v.Kind == KindOctets {
			value = append(head(2, len(v.Octets)), v.Octets...)
		}
		pairs[i] = pair{encodeKey(n.keys[i]), value}
	}
	slices.SortFunc(pairs, func(x, y pair) int { return bytes.Compare(x.key, y.key) })
	b := head(5, len(pairs))
	for _, p := range pairs {
		b = append(append(b, p.key...), p.value...)
	}
	return b, 0, nil
}

func encodeKey(n *node) []byte {
	if n.op == opInteger {
		return head(0, n.number)
	}
	return append(head(3, len(n.octets)), n.octets...)
}

// head is the initial octets of a CBOR data item (RFC 8949 section 3).
func head(major byte, n int) []byte {
	major <<= 5
	switch {
	case n < 24:
		return []byte{major | byte(n)}
	case n < 1<<8:
		return []byte{major | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major | 25}, uint16(n))
	}
	return binary.BigEndian.AppendUint32([]byte{major | 26}, uint32(n))
}

// subjectPublicKey returns the contents of the BIT STRING of a
// SubjectPublicKeyInfo (RFC 5280 section 4.1), without its count of unused bits.
func subjectPublicKey(spki []byte) ([]byte, bool) {
	s := cryptobyte.String(spki)
	var info, algorithm cryptobyte.String
	var key []byte
	ok := s.ReadASN1(&info, asn1.SEQUENCE) && s.Empty() && info.ReadASN1(&algorithm, asn1.SEQUENCE) &&
		info.ReadASN1BitStringAsBytes(&key) && info.Empty()
	return key, ok
}
