package profile

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"attls"
	"attls/extensions"
	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// compiler makes a Profile of a merged document. It goes on after a problem
// where it can, so that one run tells all of them.
type compiler struct {
	doc      *value
	p        *Profile
	problems schema.Problems
	errors   int                              // found, and told up to maxProblems
	numbers  map[string]map[string]*codePoint // by registry and name
	types    *schema.Schema
	codec    *codec
	flaws    []flaw
	taken    laterParts // out of doc
	framed   []*entry   // slots of frames, likewise
	updating []*entry   // slots of key updates, likewise
}

// codePoint is a number with its place.
type codePoint struct {
	n    uint64
	text string // as it is written
	pos  schema.Position
	used bool
}

// flaw is a defect of the text that the loader found.
type flaw struct {
	kind  string
	field string
	*schema.Problem
}

// compileDocument settles the switches and compiles what is left.
func compileDocument(doc *value, o Options) (*Profile, error) {
	switches := doc.get("switches")
	found := root.check(doc, "")
	if found.Err() == nil {
		work := &value{form: formMap, pos: doc.pos, entries: slices.Clone(doc.entries)}
		x, readings := readSwitches(work, o.Readings)
		found = append(found, x.problems...)
		if found.Err() == nil {
			x.problems, x.deleted = nil, doc.get("switches").deletions()
			work = x.expand(work)
			found = append(found, x.problems...)
			found = append(found, root.check(work, "")...)
		}
		if found.Err() == nil {
			c := &compiler{doc: work, p: &Profile{Readings: readings, doc: doc, settled: work}}
			c.run(o)
			x.problems = nil
			x.unused(readings, switches)
			found = append(append(found, x.problems...), c.problems...)
			if found.Err() == nil {
				c.p.Warnings = doc.inherited(found)
				c.p.remarks = doc.inherited(c.p.remarks)
				for i := range c.p.Flaws {
					f := &c.p.Flaws[i]
					told := *f.Problem
					told.Warning = true // it is acknowledged, so no change is to blame
					f.Problem = doc.inherited(schema.Problems{&told})[0]
				}
				return c.p, nil
			}
		}
	}
	found = doc.inherited(found)
	sort.SliceStable(found, func(i, k int) bool { return before(found[i].Pos, found[k].Pos) })
	return nil, found.Err()
}

func (c *compiler) fail(pos schema.Position, kind schema.ProblemKind, format string, args ...any) *schema.Problem {
	p := problem(pos, kind, format, args...)
	if c.errors++; c.errors <= maxProblems {
		c.problems = append(c.problems, p)
	}
	return p
}

func (c *compiler) warn(pos schema.Position, kind schema.ProblemKind, format string, args ...any) {
	p := problem(pos, kind, format, args...)
	p.Warning = true
	c.problems = append(c.problems, p)
}

// remark is for the linter alone: the profile works, and may not do what was meant.
func (c *compiler) remark(pos schema.Position, text, advice string) {
	p := problem(pos, ProblemRemark, "%s", text)
	p.Warning, p.Advice = true, advice
	c.p.remarks = append(c.p.remarks, p)
}

func (c *compiler) flaw(kind, field string, pos schema.Position, format string, args ...any) {
	c.flaws = append(c.flaws, flaw{kind, field, problem(pos, ProblemFlaw, format, args...)})
}

// word is the constant of a key that takes words, or the fallback.
func (c *compiler) word(w words, fallback int, keys ...string) int {
	v := c.doc.get(keys...)
	if v == nil {
		return fallback
	}
	return w.value(v)
}

func (w words) value(v *value) int {
	if x := w.find(v.text); x != nil {
		return x.value
	}
	return 0
}

func (c *compiler) flag(keys ...string) bool { return c.word(flagWords, no, keys...) == yes }

func (c *compiler) number(keys ...string) int {
	v := c.doc.get(keys...)
	if v == nil {
		return 0
	}
	n, _ := strconv.ParseUint(v.text, 0, 32)
	return int(n)
}

func parseNumber(s string) (uint64, error) { return strconv.ParseUint(s, 0, 64) }

func (c *compiler) text(keys ...string) string {
	if v := c.doc.get(keys...); v != nil {
		return v.text
	}
	return ""
}

func (c *compiler) run(o Options) {
	c.identity()
	c.codePoints(o)
	if !c.readTypes() {
		return
	}
	c.codec = &codec{p: c.p, bodies: map[site]*body{}, schemes: map[string]*schemeType{}, types: c.types,
		known: &encodings{wires: map[schemeKey][]byte{}}}
	c.takeLater()
	c.objects()
	c.extensions()
	c.messages()
	c.x509()
	c.schemes()
	c.slots()
	c.credentials()
	c.authenticators()
	c.applicationFrames()
	c.keyUpdates()
	if c.problems.Err() != nil {
		return // what follows would only repeat it
	}
	c.p.codec = c.codec
	c.companions()
	c.sent()
	c.fieldsUsed()
	c.answerable()
	c.unplaced()
	c.bounds()
	c.rules()
	c.binder()
	c.alerts()
	c.certificateTypes()
	c.afterwards()
	c.later()
	c.quirks()
	c.unusedNumbers()
	c.acknowledge(o)
	c.orderBodies()
	if c.problems.Err() == nil {
		c.weaknesses()
	}
}

func (c *compiler) identity() {
	p := c.p
	p.ID = c.text("profile")
	if p.ID == "" {
		c.fail(c.doc.pos, ProblemKey, "the profile has no identifier").Advice = "say profile: name"
	}
	p.DraftName, p.Revision, p.Date, p.Status = c.text("draft", "name"), c.text("draft", "revision"),
		c.text("draft", "date"), c.text("draft", "status")
	p.Note = c.text("draft", "note")
}

// registry is a number space: its width, and who has a number already.
var registries = map[string]struct {
	max   uint64
	taken func(n uint64) (name string, ok bool)
}{
	"extensions": {0xffff, func(n uint64) (string, bool) {
		t := attls.ExtensionType(n)
		return t.String(), attls.RegisteredExtension(t)
	}},
	"messages": {0xff, func(n uint64) (string, bool) {
		t := attls.HandshakeType(n)
		return t.String(), t.Kind() != attls.KindUnknown || t == attls.TypeMessageHash
	}},
	"certificate_types": {0xff, func(n uint64) (string, bool) {
		t := attls.CertificateType(n)
		return t.String(), t == attls.CertificateX509 || t == attls.CertificateRawPublicKey
	}},
	"flags": {uint64(attls.MaxTLSFlag), func(n uint64) (string, bool) {
		return attls.TLSFlag(n).String(), attls.TLSFlag(n) == attls.FlagExtendedKeyUpdate
	}},
	"key_updates": {0xff, func(n uint64) (string, bool) {
		return attls.ExtendedKeyUpdateType(n).String(), n <= uint64(attls.KeyUpdateFinish)
	}},
	"alerts": {0xff, func(n uint64) (string, bool) {
		name := attls.AlertDescription(n).String()
		_, ok := attls.AlertByName(name)
		return name, ok
	}},
}

// given is the place of what an Option says: none in any file.
var given schema.Position

// nameOf is the profile key of a document.
func nameOf(doc *value) string {
	if id := doc.get("profile"); id != nil {
		return id.text
	}
	return "the profile"
}

func (c *compiler) codePoints(o Options) {
	c.numbers = map[string]map[string]*codePoint{}
	var known []string
	for registry := range registries {
		c.numbers[registry] = map[string]*codePoint{}
		for _, e := range c.doc.under("code_points", registry) {
			n, _ := strconv.ParseUint(e.value.text, 0, 64)
			c.numbers[registry][e.key] = &codePoint{n: n, text: e.value.text, pos: e.value.pos}
			known = append(known, registry+"."+e.key)
		}
	}
	sort.Strings(known)
	for _, name := range sortedKeys(o.CodePoints) {
		registry, key, _ := strings.Cut(name, ".")
		if p := c.numbers[registry][key]; p != nil {
			*p = codePoint{n: o.CodePoints[name], text: fmt.Sprint(o.CodePoints[name]), pos: given}
			continue
		}
		propose(c.fail(given, ProblemCodePoint, "%s has no code point %s", nameOf(c.doc), name), name, known)
	}
	for _, registry := range sortedKeys(registries) {
		c.registry(registry)
	}
}

// registry holds the numbers of one space against its width, against each
// other and against those that IANA has given away.
func (c *compiler) registry(name string) {
	r := registries[name]
	owner := map[uint64]string{}
	for _, e := range c.doc.under("code_points", name) {
		p := c.numbers[name][e.key]
		taken, isTaken := r.taken(p.n)
		switch {
		case p.n > r.max:
			c.fail(p.pos, ProblemCodePoint, "%s is %s; the registry ends at %s", e.key, p.text, p.like(r.max))
		case owner[p.n] != "":
			mine, theirs := e.key, owner[p.n]
			if q := c.numbers[name][theirs]; c.isInherited(p.pos) && !c.isInherited(q.pos) { // told at the change
				mine, theirs, p = theirs, mine, q
			}
			c.fail(p.pos, ProblemCodePoint, "%s has the number %s of %s", mine, p.text, theirs)
		case isTaken && taken == e.key:
			c.fail(p.pos, ProblemCodePoint, "%s is registered with the number %s and needs no code point", e.key, p.text)
		case isTaken && name == "extensions":
			c.flaw("number_taken", e.key, p.pos, "%s has the number %s, which IANA gave to %s", e.key, p.text, taken)
		case isTaken:
			c.fail(p.pos, ProblemCodePoint, "%s has the number %s of %s", e.key, p.text, taken)
		}
		owner[p.n] = e.key
	}
}

// like writes a number in the base in which the code point is written.
func (p *codePoint) like(n uint64) string {
	if strings.HasPrefix(strings.ToLower(p.text), "0x") {
		return fmt.Sprintf("0x%X", n)
	}
	return fmt.Sprint(n)
}

// numberOf finds a code point by name and marks it as used.
func (c *compiler) numberOf(registry, name string, pos schema.Position) (uint64, bool) {
	if p := c.numbers[registry][name]; p != nil {
		p.used = true
		return p.n, true
	}
	c.fail(pos, ProblemCodePoint, "code_points.%s has no number for %s", registry, name).Advice =
		nearestOr(name, sortedKeys(c.numbers[registry]), "give it one")
	return 0, false
}

func nearestOr(word string, known []string, otherwise string) string {
	if s := schema.Nearest(word, known); s != "" {
		return "did you mean " + s + "?"
	}
	return otherwise
}

func (c *compiler) unusedNumbers() {
	for _, registry := range sortedKeys(c.numbers) {
		for _, e := range c.doc.under("code_points", registry) {
			p := c.numbers[registry][e.key]
			if !p.used && c.dead(e.pos, "code_points", registry, e.key) {
				if registry == "alerts" {
					delete(c.p.AlertNames, attls.AlertDescription(p.n))
				}
				continue
			}
			if !p.used {
				c.fail(e.pos, ProblemCodePoint, "nothing in the profile uses the number of %s", e.key).Advice = "remove it"
			}
		}
	}
}

// readTypes parses and checks the structures.
func (c *compiler) readTypes() bool {
	v := c.doc.get("types")
	if v == nil { // bodies can do without: opaque
		v = &value{form: formTypes, pos: c.doc.pos, items: []*value{{form: formScalar, pos: c.doc.pos}}}
	}
	var files []*schema.File
	for _, t := range v.items {
		f, err := schema.Parse([]byte(t.text), t.origin.start())
		if ps, ok := err.(schema.Problems); ok {
			c.problems = append(c.problems, ps...)
		}
		files = append(files, f)
	}
	env := schema.DefaultEnvironment()
	numbers := map[string]uint64{}
	for name, p := range c.numbers["certificate_types"] {
		numbers[name] = p.n
	}
	env.Enumerators = map[string]map[string]uint64{"CertificateType": numbers}
	c.unusedTypes(files[len(files)-1])
	s, problems := schema.Compile(env, files...)
	c.problems = append(c.problems, problems...)
	c.types = s
	return c.problems.Err() == nil
}

// unusedTypes warns of definitions of the profile's own file that nothing uses;
// those of its bases may well be replaced.
func (c *compiler) unusedTypes(own *schema.File) {
	used := c.p.doc.structures().Definitions
	for _, d := range own.Definitions {
		if d.Pos.File == c.doc.pos.File && !slices.ContainsFunc(used, func(u *schema.Definition) bool {
			return u.Name == d.Name
		}) {
			c.warn(d.Pos, schema.ProblemUnreachable, "nothing uses the type %s", d.Name)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// senders are the ends that send a message.
func senders(k attls.MessageKind) []attls.Role {
	switch k {
	case attls.KindClientHello, attls.KindClientCertificateRequest:
		return []attls.Role{attls.RoleClient}
	case attls.KindCertificate, attls.KindCertificateVerify, attls.KindFinished, attls.KindAdded:
		return []attls.Role{attls.RoleClient, attls.RoleServer}
	}
	return []attls.Role{attls.RoleServer}
}

// extensions reads the table of extensions with their placement.
func (c *compiler) extensions() {
	for _, e := range c.doc.under("extensions") {
		n, ok := c.numberOf("extensions", e.key, e.pos)
		if ok {
			c.p.Extensions = append(c.p.Extensions, extensions.Row{Name: e.key, Type: attls.ExtensionType(n)})
		}
	}
	if c.problems.Err() != nil {
		return
	}
	i := 0
	for _, e := range c.doc.under("extensions") {
		x := &c.p.Extensions[i]
		i++
		placed := 0
		for _, m := range e.value.entries {
			kind, ok := attls.KindByName(m.key)
			if !ok {
				continue // body, unknown_arm
			}
			placed++
			x.Placements = append(x.Placements, c.placement(x, kind, m))
			c.bodiesOf(x, kind, m, e)
		}
		if placed == 0 {
			c.fail(e.pos, ProblemKey, "no message carries %s", e.key).Advice = "name one, as client_hello: {}"
		}
	}
}

func (c *compiler) placement(x *extensions.Row, kind attls.MessageKind, e *entry) extensions.Placement {
	p := extensions.Placement{Message: kind}
	c.afterPlacement(&p, x.Name, e)
	if v := e.value.get("entries"); v != nil {
		p.Entries = extensions.Entries(entriesWords.value(v))
		if kind != attls.KindCertificate {
			c.fail(v.pos, ProblemValue, "only certificate has entries")
		}
	}
	if v := e.value.get("also_in"); v != nil {
		c.alsoIn(v)
		p.PostHandshake = p.PostHandshake || len(v.items) > 0
		if kind != attls.KindCertificate && kind != attls.KindCertificateRequest {
			c.fail(v.pos, ProblemValue, "%s is not sent after the handshake", kind.Name())
		}
	}
	v := e.value.get("offered_by")
	if v == nil {
		if answers(kind) {
			c.fail(e.pos, ProblemKey, "%s only answers; what offers %s?", kind.Name(), x.Name).
				Advice = "say offered_by: [client_hello], or offered_by: any"
		}
		return p
	}
	switch v.form {
	case formScalar:
		if p.Unsolicited = v.text == "any"; !p.Unsolicited {
			c.fail(v.pos, ProblemValue, "offered_by is any, a list, or a list for each sender, not %s", v.text)
		}
	case formList:
		for _, r := range senders(kind) {
			if p.AfterOnly && r == attls.RoleServer && kind == attls.KindCertificate {
				continue // it sends none
			}
			p.OfferedBy[r] = c.offers(x, v, kind, r)
		}
	case formMap:
		for _, o := range v.entries {
			r := attls.Role(roleWords.find(o.key).value)
			if !slices.Contains(senders(kind), r) {
				c.fail(o.pos, ProblemValue, "the %s does not send %s", r, kind.Name())
				continue
			}
			p.OfferedBy[r] = c.offers(x, o.value, kind, r)
		}
	}
	return p
}

// answers reports whether a message only answers (RFC 8446 4.2).
func answers(k attls.MessageKind) bool {
	return k == attls.KindServerHello || k == attls.KindEncryptedExtensions || k == attls.KindCertificate ||
		k == attls.KindHelloRetryRequest
}

// offers reads a list of message.extension; a message alone means this extension.
func (c *compiler) offers(x *extensions.Row, v *value, kind attls.MessageKind, sender attls.Role) []extensions.Offer {
	var list []extensions.Offer
	own := false
	for _, i := range v.items {
		name, ext, other := strings.Cut(i.text, ".")
		m, ok := attls.KindByName(name)
		if !ok || !slices.Contains(placeable, m) {
			propose(c.fail(i.pos, ProblemPath, "no message is named %s", name), name, messageNames())
			continue
		}
		if !slices.Contains(senders(m), sender.Peer()) {
			c.fail(i.pos, ProblemPath, "%s in the %s's %s cannot answer %s: both come from the same end", x.Name, sender,
				kind.Name(), name)
			continue
		}
		o := extensions.Offer{Message: m, Extension: x.Type}
		if !c.offerable(o, x, kind, sender, i) {
			continue
		}
		if other && ext != x.Name {
			y, ok := c.extension(ext, i)
			if !ok {
				continue
			}
			o.Extension = y.Type
		} else {
			own = true
		}
		list = append(list, o)
	}
	if !own && len(list) > 0 {
		c.flaw("answer_not_offered", x.Name, v.pos, "%s in %s answers what was offered under another number",
			x.Name, kind.Name())
	}
	return list
}

// extension finds an extension of the profile by name.
func (c *compiler) extension(name string, v *value) (*extensions.Row, bool) {
	var known []string
	for i := range c.p.Extensions {
		if c.p.Extensions[i].Name == name {
			return &c.p.Extensions[i], true
		}
		known = append(known, c.p.Extensions[i].Name)
	}
	propose(c.fail(v.pos, ProblemPath, "the profile has no extension %s", name), name, known)
	return nil, false
}

// container is how many octets the body of an extension may have: the block of
// extensions has 65535 and each a header of 4 (RFC 8446 4.2, 4.4.2).
const container = 65535 - 4

// messageSize is how many octets a handshake message may have (RFC 8446 4).
const messageSize = 1<<24 - 1

// bodiesOf makes the codecs of an extension in one message.
func (c *compiler) bodiesOf(x *extensions.Row, kind attls.MessageKind, m, ext *entry) {
	v := m.value.get("body")
	if v == nil {
		v = ext.value.get("body")
	}
	if v == nil {
		c.fail(ext.pos, ProblemKey, "%s has no body", x.Name).Advice = "name a type, or say body: opaque"
		return
	}
	for _, r := range senders(kind) {
		b := &body{name: x.Name, ext: x.Type, kind: kind, sender: r, limit: container, pos: m.pos}
		ctx := schema.Context{Message: kind, Sender: r}
		if t := m.value.get("trailing_octets"); t != nil {
			ctx.IgnoreTrailing = trailingWords.value(t) == yes
		}
		if a := ext.value.get("unknown_arm"); a != nil {
			b.ignoreArm = unknownArmWords.value(a) == yes
		}
		if b.context, b.codec = ctx, c.codecFor(v, ctx); b.codec == nil {
			return
		}
		c.codec.bodies[site{kind, r, x.Type}] = b
		c.codec.order = append(c.codec.order, b)
	}
}

// codecFor is the codec of a type in a context, or nil with a problem.
func (c *compiler) codecFor(v *value, ctx schema.Context) *schema.Codec {
	if v.text != "opaque" && c.types.Definition(v.text) == nil {
		propose(c.fail(v.pos, ProblemPath, "no type is named %s", v.text), v.text, append(c.types.Types(), "opaque"))
		return nil
	}
	codec, err := c.types.Codec(v.text, ctx)
	if ps, ok := err.(schema.Problems); ok {
		c.problems = append(c.problems, ps...)
	} else if err != nil {
		c.fail(v.pos, ProblemPath, "%v", err)
	}
	if err != nil {
		return nil
	}
	return codec
}

// unplaced warns of cases for messages in which no extension of the type has a
// place.
func (c *compiler) unplaced() {
	contexts := map[string][]schema.Context{}
	for _, b := range c.codec.order {
		contexts[b.codec.TypeName()] = append(contexts[b.codec.TypeName()], b.context)
	}
	for _, name := range sortedKeys(contexts) {
		if name != "opaque" {
			c.problems = append(c.problems, c.types.Unplaced(name, contexts[name])...)
		}
	}
}

// messages reads the handshake messages that the profile adds.
func (c *compiler) messages() {
	for _, e := range c.doc.under("messages") {
		n, ok := c.numberOf("messages", e.key, e.pos)
		if !ok {
			continue
		}
		m := AddedMessage{Name: e.key, Type: attls.HandshakeType(n)}
		if !c.gap(&m, e) {
			continue
		}
		v := e.value.get("body")
		if v == nil {
			c.fail(e.pos, ProblemKey, "%s has no body", e.key)
			continue
		}
		pair := [2]*body{}
		for _, r := range senders(attls.KindAdded) {
			if !m.Sent(r) && (r == attls.RoleServer || m.Later == binder.PointNone) {
				continue
			}
			ctx := schema.Context{Message: attls.KindAdded, MessageName: e.key, Sender: r}
			pair[r] = &body{name: e.key, kind: attls.KindAdded, sender: r, limit: messageSize, pos: e.pos, context: ctx,
				added: len(c.p.Messages), codec: c.codecFor(v, ctx)}
			if pair[r].codec == nil {
				return
			}
			c.codec.order = append(c.codec.order, pair[r])
		}
		c.p.Messages = append(c.p.Messages, m)
		c.codec.messages = append(c.codec.messages, pair)
	}
}

// gap reads where an added message stands.
func (c *compiler) gap(m *AddedMessage, e *entry) (ok bool) {
	after, before := e.value.get("after"), e.value.get("before")
	if after == nil && before == nil {
		c.fail(e.pos, ProblemKey, "%s does not say where it is sent", e.key).Advice = "say after: certificate, for example"
		return false
	}
	var known [2]bool
	m.After, known[0] = c.kind(after)
	m.Before, known[1] = c.kind(before)
	if !known[0] || !known[1] {
		return false
	}
	later := e.value.get("also_in")
	if later != nil {
		c.alsoIn(later)
	}
	var places []schema.Position
	for _, v := range []*value{after, before} {
		if v != nil {
			places = append(places, v.pos)
		}
	}
	switch {
	case !m.place(later != nil):
		c.fail(c.changed(places...), ProblemValue, "nothing can be added there: %s", noGap(m.After, m.Before)).Advice =
			"the reference of profiles lists the places"
		return false
	case later != nil && m.Later == binder.PointNone:
		c.fail(later.pos, ProblemValue, "post-handshake authentication has no place for %s, which is sent %s", e.key,
			m.where())
		return false
	}
	return true
}

// where says between what a message stands.
func (m *AddedMessage) where() string {
	var list []string
	if m.After != attls.KindNone {
		list = append(list, "after "+m.After.Name())
	}
	if m.Before != attls.KindNone {
		list = append(list, "before "+m.Before.Name())
	}
	return strings.Join(list, ", ")
}

// kind reads the name of a message that bounds a gap; nil is no message.
func (c *compiler) kind(v *value) (attls.MessageKind, bool) {
	if v == nil {
		return attls.KindNone, true
	}
	k, ok := attls.KindByName(v.text)
	if !ok {
		propose(c.fail(v.pos, ProblemValue, "no message is named %s", v.text), v.text, gapWords())
	}
	return k, ok
}

// alsoIn checks a list of phases.
func (c *compiler) alsoIn(v *value) {
	for _, i := range v.items {
		if i.text != "post_handshake" {
			propose(c.fail(i.pos, ProblemValue, "also_in takes post_handshake, not %s", i.text), i.text,
				[]string{"post_handshake"})
		}
	}
}
