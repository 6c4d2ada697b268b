package campaign

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"attls"
	"attls/attestation"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/extensions/schema"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/rule"
)

// sample is a message that an end sends in the connection without edits.
type sample struct {
	name   string
	number int
	kind   attls.MessageKind
	raw    []byte
	lists  [][]rawExtension
	// fields are read when they are needed first, as this takes long; other is the same message of
	// the connection with other random octets, nil where it has none.
	fields []field
	read   bool
	other  *sample
}

// field is a path with what the message has there.
type field struct {
	path     string
	contents []byte
}

// pool is what the messages of all connections of a target have: values to put elsewhere.
type pool struct {
	messages []sample
	bodies   map[attls.ExtensionType][][]byte
	types    []attls.ExtensionType
	leaves   map[string][][]byte // by the last part of a path
	late     []sample            // of messages, those that may follow the handshake
}

// mostPooled bounds how many values of one sort a pool keeps.
const mostPooled = 64

func (p *pool) add(s *sample) {
	p.messages = append(p.messages, *s)
	switch s.kind {
	case attls.KindKeyUpdate, attls.KindExtendedKeyUpdate, attls.KindNewSessionTicket, attls.KindCertificateRequest:
		if len(p.late) < mostPooled {
			p.late = append(p.late, *s)
		}
	}
	for _, list := range s.lists {
		for _, x := range list {
			if all := p.bodies[x.t]; len(all) < mostPooled && !within(all, x.body) {
				p.bodies[x.t] = append(all, x.body)
			}
		}
	}
}

func (p *pool) addFields(list []field) {
	for _, f := range list {
		leaf := leafOf(f.path)
		if all := p.leaves[leaf]; len(all) < mostPooled && !within(all, f.contents) {
			p.leaves[leaf] = append(all, f.contents)
		}
	}
}

func leafOf(path string) string {
	path = path[strings.LastIndexByte(path, '.')+1:]
	if i := strings.IndexByte(path, '['); i > 0 {
		return path[:i] + "[]"
	}
	return path
}

// mutator makes edits for the connections of a target.
type mutator struct {
	r       *rand.Rand
	pool    pool
	samples map[*subject][2][]sample
	rules   map[*subject]*[2]disobedient
	lies    map[*subject]*[2][]Edit
	sweeps  [2]*sweep
}

func newMutator(r *rand.Rand, list []*subject) *mutator {
	m := &mutator{r: r, samples: map[*subject][2][]sample{}, rules: map[*subject]*[2]disobedient{},
		lies: map[*subject]*[2][]Edit{},
		pool: pool{bodies: map[attls.ExtensionType][][]byte{}, leaves: map[string][][]byte{}}}
	for _, s := range list {
		var both [2][]sample
		for _, role := range attls.Roles() {
			both[role] = s.samplesOf(s.base, role)
			for i := range both[role] {
				m.pool.add(&both[role][i])
			}
			other := s.samplesOf(s.other, role)
			for i := range other {
				m.pool.add(&other[i])
				for k := range both[role] {
					if x := &both[role][k]; x.name == other[i].name && x.number == other[i].number {
						x.other = &other[i]
					}
				}
			}
		}
		m.samples[s] = both
	}
	table := list[0].rows()
	for t := range attls.ExtensionType(70) {
		if _, ok := table.Lookup(t); ok {
			m.pool.types = append(m.pool.types, t)
		}
	}
	for _, x := range usualBodies {
		if len(m.pool.bodies[x.t]) == 0 {
			m.pool.bodies[x.t] = [][]byte{x.body}
		}
	}
	m.pool.types = append(m.pool.types, 0xfefe, 0x0a0a, 0xff01, 0x1a1a, attls.ExtEncryptedClientHello)
	if p := list[0].profile; p != nil {
		for i := range p.Extensions {
			for range 6 { // what a profile adds is what a campaign is about
				m.pool.types = append(m.pool.types, p.Extensions[i].Type)
			}
		}
	}
	return m
}

// usualBodies are of extensions that the connections of a target may be without.
var usualBodies = []struct {
	t    attls.ExtensionType
	body []byte
}{
	{attls.ExtPSKKeyExchangeModes, []byte{1, 1}}, {attls.ExtCookie, []byte{0, 1, 7}},
	{attls.ExtSignatureAlgorithmsCert, []byte{0, 2, 4, 3}}, {attls.ExtClientCertificateType, []byte{1, 2}},
	{attls.ExtServerCertificateType, []byte{1, 2}}, {attls.ExtALPN, []byte{0, 3, 2, 'h', '2'}},
	{attls.ExtMaxFragmentLength, []byte{1}}, {attls.ExtRecordSizeLimit, []byte{0x40, 1}},
	{attls.ExtSupportedVersions, []byte{3, 4}}, {attls.ExtCompressCertificate, []byte{2, 0, 1}},
}

// samplesOf are the messages that an end sent in a run.
func (s *subject) samplesOf(r *run, role attls.Role) (list []sample) {
	numbers := map[string]int{}
	for _, x := range r.log {
		if x.role != role || !x.sent || x.raw == nil {
			continue
		}
		raw := message.Raw{Kind: x.kind, Type: attls.HandshakeType(x.raw[0]), Bytes: x.raw}
		m := sample{name: nameOf(s.profile, &raw), kind: x.kind, raw: x.raw}
		m.number = numbers[m.name]
		numbers[m.name]++
		m.lists, _ = extensionsOf(x.raw[4:], x.kind)
		list = append(list, m)
	}
	return list
}

// fields are the fields that a sample has.
func (m *mutator) fields(s *subject, x *sample) []field {
	for _, y := range []*sample{x, x.other} {
		if y != nil && !y.read {
			y.fields, y.read = s.fieldsOf(y), true
			m.pool.addFields(y.fields)
		}
	}
	return x.fields
}

func (s *subject) fieldsOf(x *sample) (list []field) {
	raw := &message.Raw{Kind: x.kind, Type: attls.HandshakeType(x.raw[0]), Bytes: x.raw}
	paths := s.w.paths(s, x.kind, x.name)
	for _, path := range paths {
		var got []byte
		place := s.fieldAt(path)
		if place == nil {
			continue
		}
		f := place.With(func(b []byte) []byte {
			if got == nil {
				got = append([]byte{}, b...)
			}
			return b
		})
		var p handshake.Plan
		f.Message(handshake.Sent, raw, &p)
		if got != nil {
			list = append(list, field{path, got})
		}
	}
	return list
}

// fieldAt is the field at a path, which takes long to find; nil: there is none.
func (s *subject) fieldAt(path string) *tamper.FieldEdit {
	key := fieldKey{s.profile, path}
	if f, ok := s.w.fields[key]; ok {
		return f
	}
	f, err := tamper.Field(s.profile, path, nil)
	if err != nil {
		f = nil
	}
	return keep(s.w.fields, key, f)
}

// paths lists the paths of a kind of message, with the first elements of lists.
func (w *world) paths(s *subject, k attls.MessageKind, name string) (list []string) {
	id := ""
	if s.profile != nil {
		id = s.profile.ID
	}
	key := fmt.Sprint(id, k, name)
	if list, ok := w.pathsOf[key]; ok {
		return list
	}
	var all []string
	if k == attls.KindAdded {
		for i := range s.profile.Messages {
			if s.profile.Messages[i].Name == name {
				all = tamper.MessagePaths(s.profile, i)
			}
		}
	} else {
		all = tamper.Paths(s.profile, k)
	}
	for _, path := range all {
		list = append(list, path)
		if i := strings.Index(path, "[]"); i >= 0 {
			list = append(list, path[:i]+"[0]"+path[i+2:], path[:i]+"[1]"+path[i+2:])
		}
	}
	w.pathsOf[key] = list
	return list
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// input makes an input: of a connection alone, or from one that reached something.
func (m *mutator) input(t *Target, s *subject, attacker attls.Role, from *Input) *Input {
	var in *Input
	if from != nil {
		in = from.clone()
		switch {
		case len(in.Edits) > 1 && m.r.IntN(3) == 0:
			i := m.r.IntN(len(in.Edits))
			in.Edits = slices.Delete(in.Edits, i, i+1)
			return in
		case len(in.Edits) >= 4 || m.r.IntN(3) == 0:
			in.Edits[m.r.IntN(len(in.Edits))] = m.edit(s, in.role())
			return in
		}
		in.Edits = append(in.Edits, m.edit(s, in.role()))
		return in
	}
	in = t.input(s.conn, attacker)
	n := 1
	for n < 4 && m.r.IntN(4) == 0 {
		n++
	}
	for range n {
		if m.r.IntN(12) == 0 {
			in.Edits = append(in.Edits, m.move(s, attacker)...)
		} else {
			in.Edits = append(in.Edits, m.edit(s, attacker))
		}
	}
	return in
}

// swept is the next input of the sweep of an attacker; nil: there is none any more.
func (m *mutator) swept(t *Target, list []*subject, attacker attls.Role) (*Input, *subject) {
	if m.sweeps[attacker] == nil {
		m.sweeps[attacker] = newSweep(m, list, attacker)
	}
	return m.sweeps[attacker].input(t)
}

// choose takes a message: those with much in them more often than others.
func (m *mutator) choose(s *subject, role attls.Role) *sample {
	list := m.samples[s][role]
	if len(list) == 0 {
		return nil
	}
	if late := s.lateFrom(role, list); late < len(list) && m.r.IntN(2) == 0 {
		return &list[late+m.r.IntN(len(list)-late)]
	}
	return &list[m.r.IntN(len(list))]
}

// edit makes one edit.
func (m *mutator) edit(s *subject, role attls.Role) Edit {
	if proof := (Edit{}); m.r.IntN(8) == 0 && m.proofEdit(&proof, s) {
		return proof
	}
	for range 20 {
		x := m.choose(s, role)
		if x == nil {
			break
		}
		e := Edit{Message: x.name, Number: x.number}
		ok := false
		switch n := m.r.IntN(100); {
		case n < 20:
			ok = m.whole(&e, x, s, role)
		case n < 86 && len(x.lists)+len(m.fields(s, x)) == 0:
			ok = m.whole(&e, x, s, role)
		case n < 50:
			ok = m.extension(&e, x, s, role)
		case n < 86:
			ok = m.fieldEdit(&e, x, s)
		case n < 94:
			e = Edit{}
			ok = m.answer(&e, s, role)
		default:
			e = Edit{Number: m.r.IntN(8)}
			m.record(&e)
			ok = true
		}
		if !ok {
			continue
		}
		if e.Message != "" && m.r.IntN(20) == 0 {
			e.Shadow = true
		}
		return e
	}
	return Edit{Do: "pad", Number: 3, At: 1 + m.r.IntN(600)}
}

// whole edits a message as a whole.
func (m *mutator) whole(e *Edit, x *sample, s *subject, role attls.Role) bool {
	body := x.raw[4:]
	switch m.r.IntN(14) {
	case 0, 1, 2:
		e.Do = "drop"
	case 3, 4:
		e.Do = "repeat"
	case 5, 6:
		e.Do = "defer"
	case 7, 8:
		e.Do = pick(m.r, []string{"insert", "append"})
		y := pick(m.r, m.pool.messages)
		e.Octets, e.From = y.raw, fmt.Sprintf("%s of another connection", y.name)
	case 9:
		e.Do = "body"
		y := pick(m.r, m.pool.messages)
		e.Octets, e.From = y.raw[4:], fmt.Sprintf("%s of another connection", y.name)
	case 10:
		for range 10 {
			if y := pick(m.r, m.pool.messages); y.kind == x.kind && !bytes.Equal(y.raw, x.raw) {
				e.Do, e.Octets, e.From = "body", y.raw[4:], "the same message of another connection"
				return true
			}
		}
		return false
	case 11:
		if len(body) == 0 {
			return false
		}
		e.Do, e.At = "flip", m.r.IntN(len(body))
		if m.r.IntN(2) == 0 { // types, versions and numbers are at the beginning
			e.At = m.r.IntN(min(len(body), 8))
		}
	case 12:
		e.Do, e.At = "truncate", m.r.IntN(len(body)+1)
	default:
		if m.r.IntN(3) == 0 {
			e.Do, e.At = "length", max(0, len(body)+m.r.IntN(9)-4)
			return e.At != len(body)
		}
		e.Do, e.Octets = "extend", m.octets(1+m.r.IntN(6))
	}
	return true
}

func (m *mutator) octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.r.Uint32())
	}
	return b
}

// extension edits the extensions of a message.
func (m *mutator) extension(e *Edit, x *sample, s *subject, role attls.Role) bool {
	if len(x.lists) == 0 {
		return false
	}
	e.Entry = m.r.IntN(len(x.lists))
	list := x.lists[e.Entry]
	add := func() {
		e.Do, e.Extension = "extension-add", pick(m.r, m.pool.types)
		if m.r.IntN(4) == 0 && len(m.pool.bodies) > 0 { // one that some message has
			y := pick(m.r, m.pool.messages)
			if len(y.lists) > 0 && len(y.lists[0]) > 0 {
				e.Extension = pick(m.r, y.lists[0]).t
			}
		}
		e.At = m.r.IntN(len(list) + 1)
		e.Octets, e.From = m.body(s, x, role, e.Extension)
	}
	if len(list) == 0 {
		add()
		return true
	}
	chosen := pick(m.r, list)
	if p := s.profile; p != nil && m.r.IntN(3) == 0 { // one of the profile's, where there is one
		for _, y := range list {
			if _, ok := p.Extension(y.t); ok {
				chosen = y
			}
		}
	}
	e.Extension = chosen.t
	switch m.r.IntN(10) {
	case 0, 1:
		e.Do = "extension-remove"
	case 2:
		e.Do = "extension-repeat"
	case 3:
		e.Do, e.At = "extension-swap", m.r.IntN(len(list))
	case 4, 5, 6:
		e.Do = "extension-body"
		e.Octets, e.From = m.body(s, x, role, chosen.t)
		return !bytes.Equal(e.Octets, chosen.body)
	default:
		add()
	}
	return true
}

// body makes a body for an extension.
func (m *mutator) body(s *subject, x *sample, role attls.Role, t attls.ExtensionType) ([]byte, string) {
	for range 4 {
		switch n := m.r.IntN(8); {
		case n > 4 && t == attls.ExtALPN && x.kind == attls.KindEncryptedExtensions:
			if name := m.protocol(s); name != nil {
				return name, "a name of the offer"
			}
		case n > 4 && t == attls.ExtTLSFlags:
			return extensions.AppendTLSFlags(nil, attls.TLSFlag(m.r.IntN(24))), "a flag"
		}
		switch m.r.IntN(8) {
		case 0:
			return nil, "empty"
		case 1, 2, 3:
			if all := m.pool.bodies[t]; len(all) > 0 {
				return pick(m.r, all), "a body of this type of another message"
			}
		case 4:
			y := pick(m.r, m.pool.messages)
			if len(y.lists) > 0 && len(y.lists[0]) > 0 {
				z := pick(m.r, y.lists[0])
				return z.body, fmt.Sprintf("the body of %v", z.t)
			}
		case 5, 6:
			if c := s.codec(x.kind, role, t); c != nil {
				if m.r.IntN(2) == 0 {
					return c.Generate(m.r, 40), "generated from the grammar"
				}
				if b, ok := c.GenerateBroken(m.r, 40); ok {
					return b.Octets, "breaks the grammar: " + b.Rule
				}
			}
			if all := m.pool.bodies[t]; len(all) > 0 {
				return m.contents(pick(m.r, all), "")
			}
		default:
			return m.octets(m.r.IntN(5)), "arbitrary octets"
		}
	}
	return nil, "empty"
}

// codec is the profile's codec of an extension; nil: there is none.
func (s *subject) codec(k attls.MessageKind, role attls.Role, t attls.ExtensionType) *schema.Codec {
	if s.profile == nil {
		return nil
	}
	if _, ok := s.profile.Extension(t); !ok {
		return nil
	}
	return s.profile.Codec(k, role, t)
}

// fieldEdit gives a field other contents.
func (m *mutator) fieldEdit(e *Edit, x *sample, s *subject) bool {
	fields := m.fields(s, x)
	if len(fields) == 0 {
		return false
	}
	f := pick(m.r, fields)
	if s.profile != nil && m.r.IntN(3) == 0 {
		for range 6 {
			g := pick(m.r, fields)
			parts := strings.SplitN(g.path, ".", 3)
			if len(parts) > 1 && slices.ContainsFunc(s.profile.Extensions, func(r extensions.Row) bool {
				return r.Name == parts[1]
			}) {
				f = g
				break
			}
		}
	}
	e.Do, e.Path = "field", f.path
	e.Octets, e.From = m.contents(f.contents, leafOf(f.path))
	return !bytes.Equal(e.Octets, f.contents)
}

// contents makes other contents.
func (m *mutator) contents(b []byte, leaf string) ([]byte, string) {
	out := slices.Clone(b)
	switch m.r.IntN(12) {
	case 0, 1, 2:
		if all := m.pool.leaves[leaf]; len(all) > 1 {
			return pick(m.r, all), "the field of another connection"
		}
		return m.octets(len(b)), "arbitrary octets"
	case 3, 4:
		if len(out) == 0 {
			return m.octets(1), "arbitrary octets"
		}
		out[m.r.IntN(len(out))] ^= 1 << m.r.IntN(8)
		return out, "one bit is flipped"
	case 5:
		return nil, "empty"
	case 6:
		return out[:m.r.IntN(len(out)+1)], "its beginning"
	case 7:
		return append(out, out...), "twice"
	case 8:
		n := pick(m.r, []int{3, 17, 33, 40, 64})
		if len(out)*n <= 1<<14 {
			return bytes.Repeat(out, n), fmt.Sprintf("%d times", n)
		}
		return out[:len(out)/2], "its first half"
	case 9:
		if len(out) >= 4 {
			return reversedPairs(out), "its pairs of octets in the reverse order"
		}
		clear(out)
		return out, "zero"
	case 10:
		return append(out, m.octets(1+m.r.IntN(4))...), "with octets after it"
	default:
		if len(out) == 0 || len(out) > 8 {
			return m.octets(len(out)), "arbitrary octets"
		}
		if len(out) == 2 {
			n := pick(m.r, numbers)
			return []byte{byte(n >> 8), byte(n)}, "another number"
		}
		out[len(out)-1] += byte(m.r.IntN(5) - 2)
		return out, "a number nearby"
	}
}

// numbers are code points to try where two octets are.
var numbers = []uint16{0, 1, 0x0a0a, 0xffff, 0x0304, 0x0303, 0x1301, 0x1302, 0x1303, 0x0017, 0x0018,
	0x001d, 0x0403, 0x0804,
	0x0807, 0x0503, 0x0809, 0x0201}

// answer makes the attacker lie in an answer.
func (m *mutator) answer(e *Edit, s *subject, role attls.Role) bool {
	attests := s.answerers[role].Attester != nil
	later := len(s.base.proofs.list) > 0 || s.base.post.asked > 0
	e.Later = later && m.r.IntN(2) == 0
	switch n := m.r.IntN(12); {
	case n < 6 && s.profile != nil && len(s.profile.Frames) > 0:
		return m.frame(e, s, role)
	case n >= 10 && role == attls.RoleClient && s.conn.Resumption:
		e.Do, e.Message, e.At = "early", "ClientHello", pick(m.r, []int{40, 1000, 1 << 16})
	case n == 10:
		e.Do, e.At = "scheme", int(pick(m.r, signatureSchemes))
	case n == 11 && s.profile != nil && len(s.profile.X509) > 0:
		e.Do, e.Message, e.Answer = "reissue", "Certificate", pick(m.r, reissueKinds).How
	case n >= 8:
		r := m.disobedience(s, role)
		if r == "" {
			return false
		}
		e.Do, e.Answer = "disobey", string(r)
	case attests && n < 5:
		e.Do, e.Answer = "evidence", pick(m.r, attestation.Spoilages).Kind
	case attests && n < 6:
		e.Do, e.At = "verdict", m.r.IntN(64)
	case n < 7:
		e.Do, e.Answer = "credential", pick(m.r, credentialAnswers())
	default:
		e.Do = "signature"
	}
	return true
}

// record edits the records of an end.
func (m *mutator) record(e *Edit) {
	switch m.r.IntN(5) {
	case 0, 1:
		e.Do, e.At = "pad", pick(m.r, []int{1, 7, 254, 255, 256, 300, 4000})
	case 2:
		e.Do, e.At = "split", 1+m.r.IntN(40)
	default:
		e.Do, e.At = "record", pick(m.r, []int{20, 21, 22, 23, 24, 0})
		switch m.r.IntN(4) {
		case 0:
			e.Octets = []byte{1}
		case 1:
			e.Octets = m.octets(1 + m.r.IntN(8))
		default:
			from := m.pool.messages
			if len(m.pool.late) > 0 && m.r.IntN(2) == 0 {
				from = m.pool.late
			}
			y := pick(m.r, from)
			e.At, e.Octets, e.From = 22, y.raw, y.name
		}
	}
}

// move takes an extension out of one message and puts it into another.
func (m *mutator) move(s *subject, role attls.Role) []Edit {
	if m.r.IntN(8) == 0 {
		if list := m.unprotected(s, role); list != nil {
			return list
		}
	}
	x, y := m.choose(s, role), m.choose(s, role)
	if x == nil || len(x.lists) == 0 || len(x.lists[0]) == 0 || len(y.lists) == 0 {
		return []Edit{m.edit(s, role)}
	}
	z := pick(m.r, x.lists[0])
	list := []Edit{{Do: "extension-add", Message: y.name, Number: y.number, Entry: m.r.IntN(len(y.lists)), Extension: z.t,
		Octets: z.body, From: "moved from " + x.name}}
	if m.r.IntN(2) == 0 {
		list = append(list, Edit{Do: "extension-remove", Message: x.name, Number: x.number, Extension: z.t})
	}
	return list
}

// protocol is the body of an answer to ALPN with a name of the client's offer; nil: there is none.
func (m *mutator) protocol(s *subject) []byte {
	var names [][]byte
	c := &cursor{}
	for _, x := range m.samples[s][attls.RoleClient] {
		if x.kind == attls.KindClientHello && len(x.lists) > 0 {
			if i := slices.IndexFunc(x.lists[0], func(x rawExtension) bool { return x.t == attls.ExtALPN }); i >= 0 {
				c = &cursor{x.lists[0][i].body, true}
			}
		}
	}
	c.b = c.vector(2)
	for c.ok && len(c.b) > 0 {
		names = append(names, c.vector(1))
	}
	if len(names) == 0 {
		return nil
	}
	name := pick(m.r, names)
	n := len(name)
	return append([]byte{byte((n + 1) >> 8), byte(n + 1), byte(n)}, name...)
}

// signatureSchemes are what an attacker may sign under.
var signatureSchemes = []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256, attls.ED25519}

// disobedient are the rules that an attacker may not obey: all at first, later those that were
// seen to matter in a connection.
type disobedient struct {
	rules   []rule.Rule
	matters map[rule.Rule]bool
}

// disobedience draws a rule whose absence changes what the attacker sends. Those that turn out to
// change nothing are not drawn again.
func (m *mutator) disobedience(s *subject, role attls.Role) rule.Rule {
	if m.rules[s] == nil {
		m.rules[s] = &[2]disobedient{{rule.All(), map[rule.Rule]bool{}}, {rule.All(), map[rule.Rule]bool{}}}
	}
	of := &m.rules[s][role]
	for range 40 {
		if len(of.rules) == 0 {
			break
		}
		i := m.r.IntN(len(of.rules))
		chosen := of.rules[i]
		if of.matters[chosen] {
			return chosen
		}
		in := &Input{Attacker: role.String(), Connection: s.conn, Edits: []Edit{{Do: "disobey", Answer: string(chosen)}}}
		if r, err := s.local(in); err == nil && !r.sends(s.base, role) {
			of.matters[chosen] = true
			return chosen
		}
		of.rules = slices.Delete(of.rules, i, i+1)
	}
	return ""
}

// sends reports whether an end sent the same messages as in another run, and ended alike.
func (r *run) sends(other *run, role attls.Role) bool {
	a, b := r.messagesOf(role), other.messagesOf(role)
	return slices.EqualFunc(a, b, bytes.Equal) && r.done[role] == other.done[role] &&
		(r.errs[role] == nil) == (other.errs[role] == nil)
}

func (r *run) messagesOf(role attls.Role) (list [][]byte) {
	for i := range r.log {
		if x := &r.log[i]; x.role == role && x.sent && x.raw != nil {
			list = append(list, x.raw)
		}
	}
	return list
}
