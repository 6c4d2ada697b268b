package profile

import (
	"slices"
	"strconv"
	"strings"

	"attls"
)

// Object is a JSON object or a CBOR map that a profile describes member by member: the
// content of a frame of the application, or of the field that carries a payload.
type Object struct {
	Name    string
	CBOR    bool
	Ignores bool // members that it does not have are ignored; otherwise refused
	Fields  []ObjectField
}

// FieldType is how a member of an Object is written.
type FieldType uint8

// The types of members.
const (
	FieldNumber FieldType = iota
	FieldText
	FieldBoolean
	FieldOctets // a byte string of CBOR; in JSON as FieldBase64
	FieldBase64
	FieldBase64URL
	FieldHex
	FieldObject
)

// octets reports whether a member has octets in whatever spelling.
func (t FieldType) octets() bool { return t >= FieldOctets && t <= FieldHex }

// MemberMeaning is what a member of an Object has for a value.
type MemberMeaning uint8

// The meanings.
const (
	MeansNothing MemberMeaning = iota // of an object: that of its members
	MeansConstant
	MeansAttesters // a constant for each set of ends that attest
	MeansVerdict   // one for an accepted and one for a refused peer
	MeansReason    // the text of a failure, and absent without one
	MeansDefined   // a definition of the binder, which both ends compute
	MeansPayload   // the payload of the slot in which the sender attests
	MeansNonce     // the nonce of the slot in which the receiver attests
)

// ObjectField is a member of an Object.
type ObjectField struct {
	Name   string
	Key    uint64 // in CBOR, with HasKey: an unsigned integer instead of the name
	HasKey bool
	Type   FieldType
	Means  MemberMeaning
	// Is has one value for MeansConstant; none, client, server, both for MeansAttesters; accepted and
	// refused for MeansVerdict.
	Is       []string
	Has      []bool // which of them the profile says
	Defined  string // of MeansDefined
	Object   int    // of FieldObject: index into Profile.Objects
	Optional bool   // it may be absent
	Any      bool   // whatever is received counts as right
	Min, Max int    // octets
}

// Reports reports whether an object tells the peer of a verdict or a failure.
func (p *Profile) Reports(object int) bool {
	for i := range p.Objects[object].Fields {
		f := &p.Objects[object].Fields[i]
		if f.Means == MeansVerdict || f.Means == MeansReason || f.Type == FieldObject && p.Reports(f.Object) {
			return true
		}
	}
	return false
}

// maxObjectDepth bounds objects within objects.
const maxObjectDepth = 4

var objectsKey = each("objects", "JSON objects and CBOR maps: what frames of the application contain, and what "+
	"may be around a payload",
	group("", "an object",
		oneOf("encoding", encodingWords, "how it is written"),
		oneOf("unknown", unknownWords, "members that it does not have"),
		each("fields", "its members; what none of is, attesters, verdict, reason and value gives a value is the nonce "+
			"or the payload of a slot, or an object", group("", "a member",
			oneOf("type", fieldTypeWords, "how the value is written"),
			number("key", "in CBOR, the unsigned integer that is the key of the member; without it, and in JSON, its name is"),
			text("is", "a constant"),
			group("attesters", "a constant for each set of ends that attest", text("none", "nobody attests"),
				text("client", "the client alone"), text("server", "the server alone"), text("both", "both ends")),
			group("verdict", "a constant that tells of the verdict",
				text("accepted", "the peer is accepted, or was not to attest"),
				text("refused", "the peer is refused")),
			flag("reason", "the text of a failure, which is absent where there is none"),
			text("value", "a definition of the binder, which both ends compute and the receiver compares").named(),
			text("of", "of an object: its name").named(),
			text("octets", "of a nonce: how many octets, as 32 or 8..64"),
			flag("optional", "the member may be absent"),
			oneOf("received", memberWords, "what a receiver does with a value that is not as expected"))))).namedKeys()

// objects reads the objects, without the members' ties to slots.
func (c *compiler) objects() {
	list := sortedUnder(c.doc.get("objects"))
	for _, e := range list {
		o := Object{Name: e.key, CBOR: e.value.get("encoding").is("cbor"), Ignores: e.value.get("unknown").is("ignore")}
		if e.value.get("encoding") == nil {
			c.fail(e.pos, ProblemKey, "the object %s has no encoding", e.key).Advice = "say encoding: json"
		}
		for _, m := range sortedUnder(e.value.get("fields")) {
			o.Fields = append(o.Fields, c.objectField(&o, m, list))
		}
		if len(o.Fields) == 0 {
			c.fail(e.pos, ProblemKey, "the object %s has no fields", e.key)
		}
		c.objectKeys(&o, e)
		c.p.Objects = append(c.p.Objects, o)
	}
	for i, e := range list {
		if c.objectDepth(i, 0) > maxObjectDepth {
			c.fail(e.pos, ProblemValue, "the object %s contains itself, or is nested more than %d deep", e.key, maxObjectDepth)
			return
		}
	}
}

// sortedUnder are the entries of a map by name: their order in the file means nothing.
func sortedUnder(v *value) []*entry {
	if v == nil {
		return nil
	}
	return v.sortedEntries()
}

// objectKeys refuses keys that two members have.
func (c *compiler) objectKeys(o *Object, e *entry) {
	taken := map[uint64]string{}
	for i, m := range sortedUnder(e.value.get("fields")) {
		f := &o.Fields[i]
		if !f.HasKey {
			continue
		}
		if other := taken[f.Key]; other != "" {
			c.fail(m.value.get("key").pos, ProblemValue, "%s has the key %d of %s", f.Name, f.Key, other)
		}
		taken[f.Key] = f.Name
	}
}

func (c *compiler) objectDepth(object, depth int) int {
	deepest := depth
	for _, f := range c.p.Objects[object].Fields {
		if f.Type == FieldObject && depth <= maxObjectDepth && f.Object < len(c.p.Objects) {
			deepest = max(deepest, c.objectDepth(f.Object, depth+1))
		}
	}
	return deepest
}

// objectField reads a member.
func (c *compiler) objectField(o *Object, e *entry, all []*entry) ObjectField {
	f := ObjectField{Name: e.key, Optional: e.value.get("optional").is("true"), Any: e.value.get("received").is("any"),
		Min: 1, Max: maxFrame}
	v := e.value.get("type")
	if v == nil {
		c.fail(e.pos, ProblemKey, "%s.%s has no type", o.Name, e.key)
		return f
	}
	f.Type = FieldType(fieldTypeWords.value(v))
	if k := e.value.get("key"); k != nil {
		f.Key, _ = strconv.ParseUint(k.text, 0, 32)
		f.HasKey = o.CBOR
	}
	c.objectMeaning(o, &f, e)
	if f.Type == FieldObject {
		of := e.value.get("of")
		switch i := slices.IndexFunc(all, func(x *entry) bool { return of != nil && x.key == of.text }); {
		case of == nil:
			c.fail(e.pos, ProblemKey, "%s.%s is an object and does not say which", o.Name, e.key).Advice = "say of: NAME"
		case i < 0:
			propose(c.fail(of.pos, ProblemPath, "the profile has no object %s", of.text), of.text, entryNames(all))
		default:
			f.Object = i
		}
	}
	if v := e.value.get("octets"); v != nil {
		least, most, ok := octetRange(v.text)
		if !ok || least < 1 || most > maxFrame || !f.Type.octets() {
			c.fail(v.pos, ProblemValue, "%s is not a number of octets of %s.%s", v.text, o.Name, e.key).Advice =
				"say octets: 32, or octets: 8..64, in a member of octets"
		}
		f.Min, f.Max = least, most
	}
	return f
}

func entryNames(list []*entry) (names []string) {
	for _, e := range list {
		names = append(names, e.key)
	}
	return names
}

// octetRange reads N or LEAST..MOST.
func octetRange(s string) (least, most int, ok bool) {
	a, b, isRange := strings.Cut(s, "..")
	if !isRange {
		b = a
	}
	x, err := strconv.ParseUint(a, 0, 24)
	y, other := strconv.ParseUint(b, 0, 24)
	return int(x), int(y), err == nil && other == nil && x <= y
}

// objectMeaning reads what gives a member its value.
func (c *compiler) objectMeaning(o *Object, f *ObjectField, e *entry) {
	var given []*entry
	for _, k := range []string{"is", "attesters", "verdict", "reason", "value"} {
		if x := e.value.entry(k); x != nil && !(k == "reason" && x.value.is("false")) {
			given = append(given, x)
		}
	}
	switch {
	case len(given) > 1:
		c.fail(given[1].pos, ProblemKey, "%s.%s has its value from %s and from %s", o.Name, e.key, given[0].key,
			given[1].key).Advice = "remove one of them"
		return
	case f.Type == FieldObject && len(given) == 1:
		c.fail(given[0].pos, ProblemKey, "%s.%s is an object, whose members have the values", o.Name, e.key).Advice =
			"remove " + given[0].key
		return
	case len(given) == 0:
		if f.Type != FieldObject && !f.Type.octets() {
			c.fail(e.pos, ProblemKey, "nothing says what %s.%s is", o.Name, e.key).Advice = "say is: and a constant"
		}
		return
	}
	x := given[0].value
	wrong := ""
	switch given[0].key {
	case "is":
		f.Means, f.Is, f.Has = MeansConstant, []string{x.text}, []bool{true}
		c.constant(o, f, x)
	case "attesters":
		f.Means = MeansAttesters
		c.constants(o, f, x, "none", "client", "server", "both")
	case "verdict":
		f.Means = MeansVerdict
		c.constants(o, f, x, "accepted", "refused")
	case "reason":
		f.Means, f.Optional = MeansReason, true
		if f.Type != FieldText {
			wrong = "text"
		}
	case "value":
		f.Means, f.Defined = MeansDefined, x.text
		if !f.Type.octets() {
			wrong = "octets, base64, base64url or hex"
		}
	}
	if wrong != "" {
		c.fail(x.pos, ProblemValue, "%s.%s cannot have the type %s", o.Name, e.key, fieldTypeWords.name(int(f.Type))).
			Advice = "say type: " + wrong
	}
}

// constants reads a constant for each of some cases.
func (c *compiler) constants(o *Object, f *ObjectField, v *value, cases ...string) {
	f.Is, f.Has = make([]string, len(cases)), make([]bool, len(cases))
	for i, name := range cases {
		if x := v.get(name); x != nil {
			f.Is[i], f.Has[i] = x.text, true
			c.constant(o, f, x)
		}
	}
}

// constant refuses a constant that is not of the type of its member.
func (c *compiler) constant(o *Object, f *ObjectField, v *value) {
	var ok bool
	switch f.Type {
	case FieldNumber:
		n, err := strconv.ParseUint(v.text, 10, 53)
		ok = err == nil && strconv.FormatUint(n, 10) == v.text
	case FieldBoolean:
		ok = v.text == "true" || v.text == "false"
	case FieldText:
		ok = attls.Printable(v.text) == v.text
	default:
		ok = false
	}
	if !ok {
		c.fail(v.pos, ProblemValue, "%s is not a %s, the type of %s.%s", v.text, fieldTypeWords.name(int(f.Type)), o.Name,
			f.Name).Advice = "constants are texts, decimal numbers, true or false"
	}
}

// memberOf finds a member by a path of names below an object.
func (p *Profile) memberOf(object int, path []string) *ObjectField {
	o := &p.Objects[object]
	for i := range o.Fields {
		f := &o.Fields[i]
		switch {
		case f.Name != path[0]:
		case len(path) == 1:
			return f
		case f.Type == FieldObject:
			return p.memberOf(f.Object, path[1:])
		}
	}
	return nil
}

// bindMember ties a member to a slot.
func (c *compiler) bindMember(object int, path string, v *value, m MemberMeaning) *ObjectField {
	f := c.p.memberOf(object, strings.Split(path, "."))
	switch {
	case f == nil:
		var known []string
		for _, x := range c.p.Objects[object].Fields {
			known = append(known, x.Name)
		}
		propose(c.fail(v.pos, ProblemPath, "the object %s has no member %s", c.p.Objects[object].Name, path), path, known)
		return nil
	case f.Means == m:
	case f.Means != MeansNothing || !f.Type.octets():
		c.fail(v.pos, ProblemPath, "%s of %s has a value already, or is not of octets", path, c.p.Objects[object].Name)
		return nil
	}
	f.Means = m
	return f
}

// unboundMembers refuses members without a value, and objects that nothing has.
func (c *compiler) unboundMembers(used map[int]bool) {
	var use func(int)
	use = func(i int) {
		used[i] = true
		for _, f := range c.p.Objects[i].Fields {
			if f.Type == FieldObject && !used[f.Object] {
				use(f.Object)
			}
		}
	}
	for i := range c.p.Objects {
		if used[i] {
			use(i)
		}
	}
	for i, e := range sortedUnder(c.doc.get("objects")) {
		if !used[i] {
			c.fail(e.pos, ProblemUnbound, "no frame and no payload is the object %s", e.key).Advice = "remove it"
			continue
		}
		for k, m := range sortedUnder(e.value.get("fields")) {
			if f := &c.p.Objects[i].Fields[k]; f.Means == MeansNothing && f.Type != FieldObject {
				c.fail(m.pos, ProblemUnbound, "no slot has its nonce or its payload in %s.%s", e.key, m.key).Advice =
					"name it in a slot, or say is: or value:"
			}
		}
	}
}
