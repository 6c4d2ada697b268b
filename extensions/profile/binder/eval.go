package binder

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"attls"
	"attls/internal/provider"
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
// Where a value does not exist, Err says why, at the root and on the way to it.
func (p *Program) Explain(name string, attester attls.Role, in Inputs) *Value {
	if p.tree[name] == nil {
		return &Value{Expr: name, Err: attls.Errorf(attls.Local, attls.FailBinderUndefined, "the binder defines no %q", name)}
	}
	suite := suites[in.Hash()]
	if suite == nil {
		return &Value{Expr: name, Err: attls.Errorf(attls.Local, attls.FailBinderUndefined,
			"the hash %q is unknown", in.Hash())}
	}
	e := &evaluation{p: p, in: in, kdf: suite.KDF(), hashLen: suite.HashLen}
	e.values, e.parts, e.done = e.room.values[:], e.room.parts[:], e.room.done[:]
	if n := 2 * len(p.order); n > len(e.done) {
		e.done = make([]*Value, n)
	}
	v := e.definition(name, name, attester)
	if v.Err == nil && v.Kind == KindInteger {
		v.Err = undefined(attls.Local, "%s is an integer, not octets", name)
	}
	return v
}

func undefined(c attls.Class, format string, args ...any) *attls.Error {
	return attls.Errorf(c, attls.FailBinderUndefined, format, args...)
}

// defined is a definition for one role.
type defined struct {
	name string
	role attls.Role
}

// evaluation is one evaluation. It takes values, their parts and octets from room
// that is allocated with it or in larger pieces.
type evaluation struct {
	p       *Program
	in      Inputs
	kdf     *provider.KDF
	hashLen int
	done    []*Value // by definition and role: each is computed once

	values []Value
	parts  []*Value
	octets []byte
	room   struct { // enough for most binders
		values [16]Value
		parts  [16]*Value
		done   [16]*Value
	}
}

func (e *evaluation) value(expr string) *Value {
	if len(e.values) == 0 {
		e.values = make([]Value, 16)
	}
	v := &e.values[0]
	e.values = e.values[1:]
	v.Expr = expr
	return v
}

// list is room for n parts.
func (e *evaluation) list(n int) []*Value {
	if len(e.parts) < n {
		e.parts = make([]*Value, max(n, 32))
	}
	l := e.parts[:0:n]
	e.parts = e.parts[n:]
	return l
}

// free is room for n octets to append.
func (e *evaluation) free(n int) []byte {
	if cap(e.octets)-len(e.octets) < n {
		e.octets = make([]byte, 0, max(n, 256))
	}
	at := len(e.octets)
	e.octets = e.octets[:at+n]
	return e.octets[at : at : at+n]
}

func (e *evaluation) sum(b []byte) []byte { return e.kdf.Hash(e.free(e.hashLen), b) }

// zeros is where the language has Hash.length zero octets.
var zeros [sha512.Size]byte

// suites are the hashes of the language.
var suites = map[string]*provider.Suite{
	"SHA-256": {HashName: "SHA-256", HashLen: sha256.Size, New: sha256.New},
	"SHA-384": {HashName: "SHA-384", HashLen: sha512.Size384, New: sha512.New384},
	"SHA-512": {HashName: "SHA-512", HashLen: sha512.Size, New: sha512.New},
}

// digests are the hashes that a profile may name, whatever the suite.
var digests = map[string]func() hash.Hash{
	"SHA-256": sha256.New, "SHA-384": sha512.New384, "SHA-512": sha512.New,
	"SHA3-256": func() hash.Hash { return sha3.New256() }, "SHA3-384": func() hash.Hash { return sha3.New384() },
	"SHA3-512": func() hash.Hash { return sha3.New512() },
}

// hashNames lists digests for people.
func hashNames() string { return strings.Join(names(digests), ", ") }

// definition evaluates a name; expr is how it is written where it is used.
func (e *evaluation) definition(name, expr string, role attls.Role) *Value {
	done := &e.done[2*e.p.number[name]+int(role)]
	if *done != nil {
		return *done
	}
	body := e.eval(e.p.text[name], e.p.tree[name], role)
	v := e.value(expr)
	v.Name, v.Kind, v.Octets, v.Number, v.Err = name, body.Kind, body.Octets, body.Number, body.Err
	v.Parts = append(e.list(1), body)
	*done = v
	return v
}

func (e *evaluation) eval(text string, n *node, role attls.Role) *Value {
	expr := text[n.at:n.end]
	if n.op == opName {
		return e.definition(n.name, expr, roleOf(n.role, role))
	}
	v := e.value(expr)
	switch n.op {
	case opText, opHex:
		v.Octets = n.octets
	case opInteger:
		v.Kind, v.Number = KindInteger, n.number
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
		v.Kind, v.Octets, v.Number, v.Err = arm.Kind, arm.Octets, arm.Number, arm.Err
		v.Parts = append(e.list(1), arm)
		return
	}
	if export := e.exporter(n); export != nil {
		e.callLent(v, text, n, role, export)
		return
	}
	v.Parts = e.list(len(n.args))
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
		v.Octets, v.Err = nil, undefined(attls.Violation, "%s has %d octets; the binder language stops at %d", n.name,
			len(v.Octets), maxValue)
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
func (e *evaluation) expandLabel(secret []byte, label string, context []byte, length int) ([]byte, *attls.Error) {
	if len(context) > 255 {
		return nil, undefined(attls.Violation, "a context of %d octets; an HkdfLabel takes at most 255", len(context)).
			By("RFC 8446 7.1")
	}
	if err := e.expandable(label, length); err != nil {
		return nil, err
	}
	return e.kdf.ExpandLabel(e.free(length), secret, "tls13 ", label, context, length), nil
}

// expandable refuses what HKDF-Expand-Label does not take.
func (e *evaluation) expandable(label string, length int) *attls.Error {
	switch {
	case len(label) < 1 || len(label) > 249:
		return undefined(attls.Violation, "a label of %d octets; an HkdfLabel takes 1 to 249", len(label))
	case length < 1 || length > 255*e.hashLen:
		return undefined(attls.Violation, "a length of %d octets; HKDF-Expand gives 1 to %d", length, 255*e.hashLen)
	}
	return nil
}

func callExpandLabel(e *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	b, err := e.expandLabel(a[0].Octets, string(a[1].Octets), a[2].Octets, a[3].Number)
	return b, 0, err
}

func callDeriveSecret(e *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	b, err := e.expandLabel(a[0].Octets, string(a[1].Octets), e.hashed(a[2]), e.hashLen)
	return b, 0, err
}

func callExporter(e *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	secret, err := e.expandLabel(a[0].Octets, string(a[1].Octets), e.sum(nil), e.hashLen)
	if err != nil {
		return nil, 0, err
	}
	b, err := e.expandLabel(secret, "exporter", e.hashed(a[2]), a[3].Number)
	return b, 0, err
}

func callExtract(e *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	return e.kdf.Extract(e.free(e.hashLen), a[0].Octets, a[1].Octets), 0, nil
}

func callHash(e *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	return e.hashed(a[0]), 0, nil
}

func callDigest(_ *evaluation, n *node, a []*Value) ([]byte, int, *attls.Error) {
	h := digests[string(n.args[0].octets)]()
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
		return nil, 0, undefined(attls.Violation, "%s has %d octets; the binder takes %d to %d", a[0].Expr, n,
			a[1].Number, a[2].Number)
	}
	return a[0].Octets, 0, nil
}

// callMap encodes with the keys in the order of RFC 8949 section 4.2.1: by
// their encodings, octet for octet.
func callMap(_ *evaluation, n *node, a []*Value) ([]byte, int, *attls.Error) {
	type pair struct{ key, value []byte }
	pairs := make([]pair, len(a))
	for i, v := range a {
		pairs[i] = pair{encodeKey(n.keys[i]), item(v)}
	}
	slices.SortFunc(pairs, func(x, y pair) int { return bytes.Compare(x.key, y.key) })
	b := head(5, len(pairs))
	for _, p := range pairs {
		b = append(append(b, p.key...), p.value...)
	}
	return b, 0, nil
}

// item is a value as a CBOR data item.
func item(v *Value) []byte {
	if v.Kind == KindOctets {
		return append(head(2, len(v.Octets)), v.Octets...)
	}
	return head(0, v.Number)
}

func callArray(_ *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	b := head(4, len(a))
	for _, v := range a {
		b = append(b, item(v)...)
	}
	return b, 0, nil
}

func callCut(_ *evaluation, _ *node, a []*Value) ([]byte, int, *attls.Error) {
	from, n := a[1].Number, a[2].Number
	if have := len(a[0].Octets); have < from || have-from < n {
		return nil, 0, undefined(attls.Violation, "%s has %d octets; %d are cut from octet %d on", a[0].Expr, have, n, from)
	}
	return a[0].Octets[from : from+n], 0, nil
}

func callPad(_ *evaluation, n *node, a []*Value) ([]byte, int, *attls.Error) {
	size := a[1].Number
	if have := len(a[0].Octets); have > size || size > maxValue {
		return nil, 0, undefined(attls.Violation, "%s has %d octets, which do not fit into %d", a[0].Expr, have, size)
	}
	b := make([]byte, size)
	if n.name == "pad_left" {
		copy(b[size-len(a[0].Octets):], a[0].Octets)
	} else {
		copy(b, a[0].Octets)
	}
	return b, 0, nil
}

// encoders are the functions that make text of octets.
var encoders = map[string]struct {
	size   func(n int) int
	encode func([]byte) string
}{
	"hex":       {hex.EncodedLen, hex.EncodeToString},
	"base64":    {base64.StdEncoding.EncodedLen, base64.StdEncoding.EncodeToString},
	"base64url": {base64.RawURLEncoding.EncodedLen, base64.RawURLEncoding.EncodeToString},
}

func callText(_ *evaluation, n *node, a []*Value) ([]byte, int, *attls.Error) {
	return []byte(encoders[n.name].encode(a[0].Octets)), 0, nil
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
