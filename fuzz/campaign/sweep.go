package campaign

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/internal/rule"
)

// A sweep makes every simple edit of every connection of a target, where chance would come back
// to some and never to others. Alike edits of different connections are far apart in it: its
// first part has one of each, with a connection that is drawn, the next part one more.

// family is a kind of simple edits.
type family uint8

const (
	sweepAnswers family = iota
	sweepRules
	sweepMessages
	sweepExtensions
	sweepAdditions
	sweepFields
)

// sweepStep is one edit of a sweep. What a and b mean depends on the family.
type sweepStep struct {
	family   family
	sample   uint8
	subject  uint16
	a, b     uint16
	rank     uint16 // how many alike edits come before it
	key      uint32 // alike edits have the same
	position uint32 // in a drawn order
}

// sweep is what one attacker has left to do.
type sweep struct {
	m     *mutator
	list  []*subject
	role  attls.Role
	steps []sweepStep
	next  int
	types []attls.ExtensionType // of additions
	kinds []int                 // one message of the pool of each kind
}

// mostSwept bounds the steps of a sweep: a target has some 20,000 to 200,000.
const mostSwept = 1 << 19

// newSweep lists the simple edits of an attacker.
func newSweep(m *mutator, list []*subject, role attls.Role) *sweep {
	w := &sweep{m: m, list: list, role: role, types: slices.Clone(m.pool.types)}
	for t := range m.pool.bodies {
		w.types = append(w.types, t)
	}
	slices.Sort(w.types)
	w.types = slices.Compact(w.types)
	have := map[string]bool{}
	for i, x := range m.pool.messages {
		if key := fmt.Sprintf("%s %x", x.name, subtypeOf(&x)); !have[key] {
			have[key], w.kinds = true, append(w.kinds, i)
		}
	}
	for i, s := range list {
		if s.takes(role) {
			w.subject(i, s)
		}
	}
	m.r.Shuffle(len(w.steps), func(i, j int) { w.steps[i], w.steps[j] = w.steps[j], w.steps[i] })
	ranks := map[uint32]uint16{}
	for i := range w.steps {
		x := &w.steps[i]
		x.rank, x.position = ranks[x.key], uint32(i)
		ranks[x.key]++
		if x.family < sweepExtensions { // few, and connections matter to what they do
			x.rank /= 8
		}
	}
	slices.SortFunc(w.steps, func(a, b sweepStep) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.position, b.position))
	})
	return w
}

// subtypeOf tells messages of one type apart that mean different things.
func subtypeOf(x *sample) []byte {
	if (x.kind == attls.KindKeyUpdate || x.kind == attls.KindExtendedKeyUpdate) && len(x.raw) > 4 {
		return x.raw[4:5]
	}
	return nil
}

// add adds n edits whose keys begin with a name.
func (w *sweep) add(x sweepStep, n int, name ...any) {
	h := fnv.New32a()
	fmt.Fprint(h, name...)
	begin := h.Sum32()
	for i := range n {
		if len(w.steps) >= mostSwept {
			return
		}
		x.b, x.key = uint16(i), (begin+uint32(x.family))*16777619+uint32(i)*2654435761
		w.steps = append(w.steps, x)
	}
}

func (w *sweep) subject(i int, s *subject) {
	for k, e := range w.m.answers(s, w.role) {
		w.add(sweepStep{subject: uint16(i), a: uint16(k)}, 1, e.String(), s.conn.Model, s.conn.Credential)
	}
	for k, r := range rule.All() {
		w.add(sweepStep{family: sweepRules, subject: uint16(i), a: uint16(k)}, 1, r)
	}
	list := w.m.samples[s][w.role]
	for k := range list[:min(len(list), 256)] {
		x := &list[k]
		base := sweepStep{subject: uint16(i), sample: uint8(k)}
		base.family = sweepMessages
		w.add(base, wholeEdits+3*len(w.kinds), x.name, x.number, subtypeOf(x))
		for entry, extensions := range x.lists {
			base.family, base.a = sweepAdditions, uint16(entry)
			w.add(base, 3*len(w.types), x.name, x.number, entry)
			base.family = sweepExtensions
			for j, y := range extensions {
				base.a = uint16(entry<<8 | j&255)
				w.add(base, extensionEdits, x.name, x.number, entry, y.t)
			}
		}
		base.family = sweepFields
		for j, f := range w.m.fields(s, x) {
			if strings.Contains(f.path, "[]") || strings.Contains(f.path, ".extensions[") {
				continue // its elements are there too, and its extensions in a family of their own
			}
			base.a = uint16(j)
			w.add(base, fieldEdits(f.contents), x.name, x.number, f.path)
		}
	}
}

// input is the next input; nil: there is none any more.
func (w *sweep) input(t *Target) (*Input, *subject) {
	for w.next < len(w.steps) {
		x := &w.steps[w.next]
		w.next++
		s := w.list[x.subject]
		if edits := w.edits(x, s); edits != nil {
			in := t.input(s.conn, w.role)
			in.Edits = edits
			return in, s
		}
	}
	w.steps = nil
	return nil, nil
}

// edits makes the edits of a step; nil: it does not apply.
func (w *sweep) edits(x *sweepStep, s *subject) []Edit {
	switch x.family {
	case sweepAnswers:
		return w.m.answers(s, w.role)[x.a : x.a+1]
	case sweepRules:
		return []Edit{{Do: "disobey", Answer: string(rule.All()[x.a])}}
	}
	y := &w.m.samples[s][w.role][x.sample]
	e := Edit{Message: y.name, Number: y.number}
	ok := false
	switch x.family {
	case sweepMessages:
		return w.whole(e, x, s, y)
	case sweepExtensions:
		ok = w.extension(&e, x, s, y)
	case sweepAdditions:
		ok = w.addition(&e, x, s, y)
	case sweepFields:
		f := &w.m.fields(s, y)[x.a]
		e.Do, e.Path = "field", f.path
		e.Octets, e.From, ok = w.m.variant(f.contents, leafOf(f.path), int(x.b))
		ok = ok && !bytes.Equal(e.Octets, f.contents)
	}
	if !ok {
		return nil
	}
	return []Edit{e}
}

// wholeEdits are the edits of a message as a whole, before those that put other messages there.
const wholeEdits = 12

func (w *sweep) whole(e Edit, x *sweepStep, s *subject, y *sample) []Edit {
	n := len(y.raw) - 4
	switch x.b {
	case 0:
		e.Do = "drop"
	case 1:
		e.Do = "repeat"
	case 2:
		e.Do = "defer"
	case 3, 4: // it, and what follows it
		list := w.m.samples[s][w.role]
		last := int(x.sample) + int(x.b) - 1
		if last > len(list) {
			return nil
		}
		var edits []Edit
		for _, z := range list[x.sample:last] {
			edits = append(edits, Edit{Do: "drop", Message: z.name, Number: z.number})
		}
		return edits
	case 5:
		e.Do = "truncate"
	case 6:
		e.Do, e.At = "truncate", n/2
	case 7:
		e.Do, e.At = "truncate", max(n-1, 0)
	case 8:
		e.Do, e.Octets = "extend", []byte{0}
	case 9, 10:
		e.Do, e.At = "length", max(0, n-1+2*int(x.b-9))
	case 11: // in records of their own
		return []Edit{{Do: "repeat", Message: y.name, Number: y.number},
			{Do: "split", Number: int(x.sample) + w.m.r.IntN(2), At: len(y.raw)}}
	default:
		i := int(x.b) - wholeEdits
		z := &w.m.pool.messages[w.kinds[i/3]]
		e.Octets, e.From = z.raw, z.name+" of another connection"
		switch i % 3 {
		case 0:
			e.Do = "insert"
		case 1:
			e.Do = "append"
		default: // of its own kind, or its body would mean nothing
			e.Do, e.Octets = "body", z.raw[4:]
			if z.kind != y.kind || bytes.Equal(z.raw, y.raw) {
				return nil
			}
		}
	}
	return []Edit{e}
}

// extensionEdits are those of one extension.
const extensionEdits = 24

func (w *sweep) extension(e *Edit, x *sweepStep, s *subject, y *sample) bool {
	e.Entry = int(x.a >> 8)
	list := y.lists[e.Entry]
	chosen := list[x.a&255]
	e.Extension, e.Do = chosen.t, "extension-body"
	switch n := int(x.b); {
	case n == 0:
		e.Do = "extension-remove"
	case n == 1:
		e.Do = "extension-repeat"
	case n == 2, n == 3:
		e.Do, e.At = "extension-swap", (n-2)*len(list)
	case n == 4:
	case n == 5:
		e.Octets = append(slices.Clone(chosen.body), 0)
	case n < 10:
		all := w.m.pool.bodies[chosen.t]
		if n-6 >= len(all) {
			return false
		}
		e.Octets, e.From = all[n-6], "a body of this type of another message"
	case n < 18:
		e.Octets, e.From = w.m.edge(chosen.body)
	default:
		e.Octets, e.From = w.m.body(s, y, w.role, chosen.t)
	}
	return e.Do != "extension-body" || !bytes.Equal(e.Octets, chosen.body)
}

func (w *sweep) addition(e *Edit, x *sweepStep, s *subject, y *sample) bool {
	e.Do, e.Entry, e.Extension = "extension-add", int(x.a), w.types[x.b/3]
	all := w.m.pool.bodies[e.Extension]
	if e.At = len(y.lists[e.Entry]); x.b%3 == 2 {
		e.At = 0
	}
	switch {
	case x.b%3 == 0:
		return true // without a body
	case len(all) > 0:
		e.Octets, e.From = pick(w.m.r, all), "a body of this type of another message"
	case s.codec(y.kind, w.role, e.Extension) != nil || x.b%3 == 1:
		e.Octets, e.From = w.m.body(s, y, w.role, e.Extension)
	default:
		return false
	}
	return true
}

// answers are the lies of an attacker, and the records of its own, that there are.
func (m *mutator) answers(s *subject, role attls.Role) []Edit {
	if m.lies[s] == nil {
		m.lies[s] = &[2][]Edit{}
	}
	if list := m.lies[s][role]; list != nil {
		return list
	}
	list := []Edit{{Do: "signature"}}
	add := func(e Edit) { list = append(list, e) }
	for _, answer := range credentialAnswers() {
		add(Edit{Do: "credential", Answer: answer})
	}
	for _, x := range signatureSchemes {
		add(Edit{Do: "scheme", At: int(x)})
	}
	if s.answerers[role].Attester != nil {
		for _, x := range attestation.Spoilages {
			add(Edit{Do: "evidence", Answer: x.Kind})
		}
		for _, at := range []int{0, 7, 8, 31} {
			add(Edit{Do: "verdict", At: at})
		}
	}
	if role == attls.RoleClient && s.conn.Resumption {
		for _, n := range []int{40, 1000, 1 << 16} {
			add(Edit{Do: "early", Message: "ClientHello", At: n})
		}
	}
	list = append(append(list, profileAnswers(s.profile, role)...), m.laterAnswers(s, role)...)
	for n := range 6 {
		for _, at := range []int{1, 255, 256, 4000} {
			add(Edit{Do: "pad", Number: n, At: at})
		}
		for _, at := range []int{1, 5, 100} {
			add(Edit{Do: "split", Number: n, At: at})
		}
		for _, x := range ownRecords {
			add(Edit{Do: "record", Number: n, At: int(x.t), Octets: x.octets, From: "a record of its own"})
		}
	}
	m.lies[s][role] = list
	return list
}

// profileAnswers are those that a profile makes possible.
func profileAnswers(p *profile.Profile, role attls.Role) (list []Edit) {
	if p == nil {
		return nil
	}
	if len(p.X509) > 0 {
		for _, x := range reissueKinds {
			list = append(list, Edit{Do: "reissue", Message: "Certificate", Answer: x.How})
		}
	}
	for _, f := range p.Frames {
		if f.From != role {
			continue
		}
		for _, x := range p.Objects[f.Object].Fields {
			for at := range 3 {
				list = append(list, Edit{Do: "frame", Message: f.Name, Path: x.Name, At: at})
			}
		}
	}
	return list
}

// ownRecords are records that an attacker puts between its own.
var ownRecords = []struct {
	t      attls.ContentType
	octets []byte
}{
	{attls.ContentTypeChangeCipherSpec, []byte{1}}, {attls.ContentTypeChangeCipherSpec, []byte{0}},
	{attls.ContentTypeChangeCipherSpec, []byte{2}},
	{attls.ContentTypeAlert, []byte{1, byte(attls.AlertUserCanceled)}},
	{attls.ContentTypeAlert, []byte{2, byte(attls.AlertHandshakeFailure)}},
	{attls.ContentTypeAlert, []byte{3, 0}}, {attls.ContentTypeAlert, []byte{0, 0}}, {attls.ContentTypeAlert, []byte{2}},
	{attls.ContentTypeApplicationData, []byte{7}}, {attls.ContentTypeApplicationData, nil},
	{attls.ContentTypeHandshake, nil}, {99, []byte{1}},
}

// credentialAnswers are the certificates that an attacker may show instead of its own.
func credentialAnswers() []string {
	list := []string{"another key's", "unknown authority", "none"}
	for _, x := range unfitness {
		list = append(list, x.answer)
	}
	for _, x := range keyTypes {
		list = append(list, x.answer)
	}
	return list
}

// The numbers of variants, see mutator.variant.
const (
	leafVariants   = 21
	numberVariants = leafVariants + 8
)

// fieldEdits is how many variants contents have.
func fieldEdits(b []byte) int {
	switch len(b) {
	case 1:
		return numberVariants + len(smallNumbers)
	case 2:
		return numberVariants + len(numbers)
	}
	return numberVariants
}

// smallNumbers are values to try where one octet is.
var smallNumbers = []byte{0, 1, 2, 3, 4, 5, 0x20, 0x7f, 0x80, 0xff}

// variant is one of the other contents that a sweep gives a field; false: there is none.
func (m *mutator) variant(b []byte, leaf string, n int) ([]byte, string, bool) {
	out := slices.Clone(b)
	switch {
	case n >= numberVariants && len(b) == 2:
		x := numbers[n-numberVariants]
		return []byte{byte(x >> 8), byte(x)}, "another number", true
	case n >= numberVariants:
		return []byte{smallNumbers[n-numberVariants]}, "another number", true
	case n >= leafVariants:
		all := m.pool.leaves[leaf]
		if n-leafVariants >= len(all) {
			return nil, "", false
		}
		return all[n-leafVariants], "the field of another connection", true
	case n >= 17 && len(b) > 0:
		return nil, "", false
	case n >= 17:
		return m.octets([]int{1, 8, 32, 33}[n-17]), "arbitrary octets", true
	case len(b) == 0:
		return nil, "", false
	}
	last := len(out) - 1
	switch n {
	case 0:
		out[last] ^= 1
		return out, "one bit is flipped", true
	case 1:
		out[0] ^= 0x80
		return out, "one bit is flipped", true
	case 2:
		out[last/2] ^= 1 << m.r.IntN(8)
		return out, "one bit is flipped", true
	case 3:
		return nil, "empty", true
	case 4:
		return out[:len(out)/2], "its first half", true
	case 5:
		return out[:last], "without its last octet", true
	case 6:
		return append(out, byte(m.r.Uint32())), "with octets after it", true
	case 7:
		return append(out, b...), "twice", true
	case 8, 9, 10:
		times := []int{17, 33, 65}[n-8]
		return bytes.Repeat(out, times), fmt.Sprintf("%d times", times), len(out)*times <= 1<<14
	case 11:
		clear(out)
		return out, "zero", true
	case 12:
		return bytes.Repeat([]byte{0xff}, len(out)), "ones", true
	case 13:
		return reversedPairs(out), "its pairs of octets in the reverse order", len(out) >= 4
	case 14:
		out[last]++
		return out, "a number nearby", len(out) <= 8
	case 15:
		out[last]--
		return out, "a number nearby", len(out) <= 8
	}
	return m.octets(len(b)), "arbitrary octets", true
}

// reversedPairs reverses the order of numbers of two octets, in place.
func reversedPairs(b []byte) []byte {
	for i, j := 0, len(b)&^1-2; i < j; i, j = i+2, j-2 {
		b[i], b[i+1], b[j], b[j+1] = b[j], b[j+1], b[i], b[i+1]
	}
	return b
}
