package profile

import (
	"slices"
	"strconv"
	"strings"

	"attls"
	"attls/extensions"
	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// schemes reads how elements become schemes.
func (c *compiler) schemes() {
	for _, e := range c.doc.under("bind", "schemes") {
		v := &value{form: formScalar, pos: e.pos, text: e.key}
		t := &schemeType{name: e.key, codec: c.codecFor(v, schema.Context{
			Message: attls.KindClientHello, Sender: attls.RoleClient})}
		if t.codec == nil {
			continue
		}
		c.codec.schemes[e.key] = t
		c.schemeModel(t, e)
		c.schemeKind(t, e)
		c.schemeFormats(t, e)
		if x := e.value.get("verifier"); x != nil {
			t.verifier = c.elementField(t, x, schema.KindOctets)
		}
		c.unboundElements(t, e)
	}
}

// elementField checks a path inside an element and returns it.
func (c *compiler) elementField(t *schemeType, v *value, kinds ...schema.Kind) string {
	f, err := t.codec.Field(v.text, container)
	if err != nil {
		c.fail(v.pos, ProblemPath, "%v", err)
		return ""
	}
	if !slices.Contains(kinds, f.Kind) {
		c.fail(v.pos, ProblemPath, "%s of %s is %s, not %s", v.text, t.name, f.Kind, kinds[0])
		return ""
	}
	return v.text
}

// told reads "word" or {field: path, enumerator: word, …}.
func (c *compiler) told(t *schemeType, e *entry, key string, w words) (fixed []int, field string, by map[string]int) {
	v := e.value.get(key)
	if v == nil {
		c.fail(e.pos, ProblemKey, "%s does not say its %s", e.key, key)
		return []int{0}, "", nil
	}
	if v.form == formScalar {
		return []int{w.value(v)}, "", nil
	}
	path := v.get("field")
	if path == nil {
		c.fail(v.pos, ProblemKey, "%s is told by a field, which is not named", key).Advice = "say field: path"
		return []int{0}, "", nil
	}
	field = c.elementField(t, path, schema.KindNumber)
	if field == "" {
		return []int{0}, "", nil
	}
	f, _ := t.codec.Field(field, container)
	by = map[string]int{}
	for _, x := range v.entries {
		if x.key == "field" {
			continue
		}
		if !slices.Contains(f.Enumerators, x.key) {
			propose(c.fail(x.pos, ProblemPath, "%s has no %s", f.Type, x.key), x.key, f.Enumerators)
			continue
		}
		by[x.key] = w.value(x.value)
		if !slices.Contains(fixed, by[x.key]) {
			fixed = append(fixed, by[x.key])
		}
	}
	if len(fixed) == 0 {
		c.fail(v.pos, ProblemKey, "no enumerator of %s means a %s", f.Type, key)
		fixed = []int{0}
	}
	slices.Sort(fixed)
	return fixed, field, by
}

func (c *compiler) schemeModel(t *schemeType, e *entry) {
	fixed, field, by := c.told(t, e, "model", modelWords)
	t.modelField, t.byModel = field, map[string]Model{}
	for name, m := range by {
		t.byModel[name] = Model(m)
	}
	for _, m := range fixed {
		if m == modelAny {
			t.models = append(t.models, ModelEvidence, ModelResults)
		} else {
			t.models = append(t.models, Model(m))
		}
	}
}

func (c *compiler) schemeKind(t *schemeType, e *entry) {
	fixed, field, by := c.told(t, e, "credential", kindWords)
	t.kindField, t.byKind = field, map[string]CredentialKind{}
	for name, k := range by {
		t.byKind[name] = CredentialKind(k)
	}
	for _, k := range fixed {
		t.kinds = append(t.kinds, CredentialKind(k))
	}
}

func (c *compiler) schemeFormats(t *schemeType, e *entry) {
	if v := e.value.get("format"); v != nil {
		for _, x := range v.items {
			c.formatField(t, x)
		}
	}
	v := e.value.get("formats")
	if v == nil {
		return
	}
	if !t.hasNumber {
		c.fail(v.pos, ProblemPath, "formats gives meaning to a number, and format names none")
		return
	}
	t.formats = map[uint64][]Format{}
	for _, x := range v.entries {
		n, ok := c.formatNumber(t, x)
		if !ok {
			continue
		}
		for _, f := range x.value.items {
			t.formats[n] = append(t.formats[n], formatOf(f.text))
		}
	}
}

// formatNumber is the number that a key of formats stands for.
func (c *compiler) formatNumber(t *schemeType, x *entry) (uint64, bool) {
	if n, err := strconv.ParseUint(x.key, 0, 32); err == nil {
		return n, true
	}
	typeName := t.name
	if !t.self {
		f, _ := t.codec.Field(t.number, container)
		typeName = f.Type
	}
	numbers, _ := c.types.Enumerators(typeName)
	n, ok := numbers[x.key]
	if !ok {
		propose(c.fail(x.pos, ProblemPath, "%s has no %s", typeName, x.key), x.key, sortedKeys(numbers))
	}
	c.usedNumber("certificate_types", x.key)
	return n, ok
}

// usedNumber marks a code point that a type of the text uses.
func (c *compiler) usedNumber(registry, name string) {
	if p := c.numbers[registry][name]; p != nil {
		p.used = true
	}
}

func formatOf(s string) Format {
	if n, err := strconv.ParseUint(s, 0, 16); err == nil {
		return Format{ContentFormat: uint16(n)}
	}
	return Format{MediaType: s}
}

func (c *compiler) formatField(t *schemeType, v *value) {
	if v.text == selfPath {
		t.number, t.hasNumber, t.self = selfPath, true, true
		return
	}
	path := c.elementField(t, v, schema.KindNumber, schema.KindOctets)
	if path == "" {
		return
	}
	f, _ := t.codec.Field(path, container)
	if f.Kind == schema.KindNumber {
		t.number, t.hasNumber = path, true
	} else {
		t.octets = path
	}
}

// unboundElements warns of fields of an element that nothing fills.
func (c *compiler) unboundElements(t *schemeType, e *entry) {
	for _, f := range t.codec.Fields(container) {
		if f.Path == "" || f.Kind == schema.KindStruct || f.Implied || f.Constant != nil ||
			f.Path == t.modelField || f.Path == t.kindField || f.Path == t.number || f.Path == t.octets || f.Path == t.verifier {
			continue
		}
		c.warn(f.Pos, ProblemUnbound, "no path of bind.schemes.%s names %s, so it is sent at its minimum", e.key, f.Path)
	}
}

// orderSlots puts the slots into an order that depends neither on the order of the
// file nor on names that the profile gives: Evidence before Attestation Results, the
// server's before the client's; names decide between slots that are alike in both.
func (c *compiler) orderSlots() {
	rank := func(e *entry) (n int) {
		if !e.value.get("attester").is("server") {
			n = 1
		}
		if t := c.codec.schemes[c.elementOf(e.value.get("offer"))]; t != nil {
			n += 2 * int(t.models[0])
		}
		if v := e.value.get("flag"); v != nil {
			n += flagSchemeWords.value(v) &^ 1
		}
		return n
	}
	slots := slices.Clone(c.doc.under("bind", "slots"))
	slices.SortStableFunc(slots, func(a, b *entry) int {
		if n := rank(a) - rank(b); n != 0 {
			return n
		}
		return strings.Compare(a.key, b.key)
	})
	c.doc = c.doc.withEntries(slots, "bind", "slots")
}

// elementOf is the type of the elements of a list, where the path leads to one.
func (c *compiler) elementOf(path *value) string {
	if path == nil {
		return ""
	}
	parts := strings.SplitN(path.text, ".", 3)
	kind, ok := attls.KindByName(parts[0])
	if !ok || len(parts) < 2 {
		return ""
	}
	i := slices.IndexFunc(c.p.Extensions, func(x extensions.Row) bool { return x.Name == parts[1] })
	if i < 0 {
		return ""
	}
	b := c.codec.bodies[site{kind, senders(kind)[0], c.p.Extensions[i].Type}]
	if b == nil {
		return ""
	}
	f, _ := b.field(strings.Join(parts[2:], ""))
	return f.Type
}

// slots reads the slots and ties their paths to the bodies.
func (c *compiler) slots() {
	c.orderSlots()
	for _, e := range c.doc.under("bind", "slots") {
		slot := len(c.p.Slots)
		s := Slot{Name: e.key, Attester: attls.Role(c.word(roleWords, 0, "bind", "slots", e.key, "attester"))}
		s.PostHandshake = Phase(c.word(phaseWords, 0, "bind", "slots", e.key, "phase")) == PhasePostHandshake
		c.p.Slots = append(c.p.Slots, s) // its number is known from here on
		if e.value.get("attester") == nil {
			c.fail(e.pos, ProblemKey, "%s does not say its attester", e.key)
		}
		if !c.askable(&s, e) {
			c.codec.slots = append(c.codec.slots, nil)
			continue
		}
		elem := ""
		c.oneWay(e)
		if v := e.value.get("always"); v != nil {
			c.always(&s, e, v)
		} else if v := e.value.get("flag"); v != nil {
			c.flagged(&s, e, slot, v)
		} else {
			s.Offer, elem = c.slotPath(e, "offer", slot, meansOffer, "")
			s.Choice, _ = c.slotPath(e, "choice", slot, meansChoice, elem)
		}
		switch v := e.value.get("nonce"); {
		case v == nil:
		case v.form == formMap:
			c.nonceField(&s, v)
		default:
			s.NoncePath = v.text
			s.Nonce, _ = c.slotPath(e, "nonce", slot, meansNonce, "")
			c.nonceBounds(&s, v)
		}
		t := c.codec.schemes[elem]
		if t == nil && elem != "" {
			propose(c.fail(e.pos, ProblemPath, "bind.schemes does not say what %s means", elem), elem,
				sortedKeys(c.codec.schemes))
		}
		if t != nil {
			s.Models, s.Kinds = t.models, t.kinds
		}
		c.codec.slots = append(c.codec.slots, t)
		c.apart(&s, slot, e)
		c.p.Slots[slot] = s
	}
	if len(c.p.Slots)+len(c.taken.slots)+len(c.framed) == 0 && c.problems.Err() == nil {
		c.fail(c.doc.pos, ProblemKey, "the profile has no slots, so nothing can be negotiated")
	}
}

// locate finds the body and the field of message.extension.field, or of the
// message.field of a message that the server adds.
func (c *compiler) locate(v *value) (b *body, path string, f schema.Field, ok bool) {
	name, rest, _ := strings.Cut(v.text, ".")
	if i := c.addedMessage(name); i >= 0 {
		return c.locateAdded(i, rest, v)
	}
	kind, known := attls.KindByName(name)
	if !known || !slices.Contains(placeable, kind) {
		propose(c.fail(v.pos, ProblemPath, "%s: no message is named %s", v.text, name), name,
			append(messageNames(), c.addedNames()...))
		return nil, "", f, false
	}
	ext, path, _ := strings.Cut(rest, ".")
	x, found := c.extension(ext, v)
	if !found {
		return nil, "", f, false
	}
	for _, r := range senders(kind) {
		if b = c.codec.bodies[site{kind, r, x.Type}]; b == nil {
			c.fail(v.pos, ProblemPath, "%s: %s has no place in %s", v.text, ext, name)
			return nil, "", f, false
		}
	}
	f, err := b.field(path)
	if err != nil {
		c.fail(v.pos, ProblemPath, "%s: %v", v.text, err)
		return nil, "", f, false
	}
	return b, path, f, true
}

// addedMessage is the index of an added message; -1: there is none of this name.
func (c *compiler) addedMessage(name string) int {
	return slices.IndexFunc(c.p.Messages, func(m AddedMessage) bool { return m.Name == name })
}

func (c *compiler) addedNames() (list []string) {
	for i := range c.p.Messages {
		list = append(list, c.p.Messages[i].Name)
	}
	return list
}

func (c *compiler) locateAdded(i int, path string, v *value) (b *body, _ string, f schema.Field, ok bool) {
	m := &c.p.Messages[i]
	if b = c.codec.messages[i][attls.RoleServer]; b == nil {
		c.fail(v.pos, ProblemPath, "%s: the server does not send %s, which is sent %s", v.text, m.Name, m.where())
		return nil, "", f, false
	}
	f, err := b.field(path)
	if err != nil {
		c.fail(v.pos, ProblemPath, "%s: %v", v.text, err)
		return nil, "", f, false
	}
	return b, path, f, true
}

// field finds a field; the empty path is the whole body.
func (b *body) field(path string) (schema.Field, error) {
	if path == "" {
		all := b.codec.Fields(b.limit)
		if len(all) > 0 && all[0].Path == "" {
			return all[0], nil
		}
		return schema.Field{Kind: schema.KindStruct, Type: b.codec.TypeName()}, nil
	}
	return b.codec.Field(path, b.limit)
}

// choiceMessages are the messages in which a server can say its choice.
var choiceMessages = []attls.MessageKind{attls.KindHelloRetryRequest, attls.KindServerHello,
	attls.KindEncryptedExtensions, attls.KindCertificateRequest}

// slotPath ties one path of a slot. It returns the type of the elements of a list.
func (c *compiler) slotPath(e *entry, key string, slot int, m meaning, elem string) (Place, string) {
	v := e.value.get(key)
	if v == nil {
		c.fail(e.pos, ProblemKey, "%s has no %s", e.key, key)
		return Place{}, ""
	}
	b, path, f, ok := c.locate(v)
	if !ok {
		return Place{}, ""
	}
	x := binding{means: m, slot: slot, path: path, list: m == meansChoice && f.Kind == schema.KindList}
	wrong := ""
	switch {
	case m == meansOffer && f.Kind != schema.KindList:
		wrong = "a list of schemes"
	case m == meansChoice && elem != "" && f.Type != elem:
		wrong = "one " + elem
	case m == meansNonce && f.Kind != schema.KindOctets:
		wrong = "octets"
	default:
		wrong = c.wrongMessage(b, m)
	}
	if !c.placed(v, key, b, f, wrong) {
		return Place{}, ""
	}
	x.floor = f.Floor
	c.alone(b, x, v)
	c.bind(b, x, v)
	return b.place(), f.Type
}

// wrongMessage says where an offer or a choice belongs that is elsewhere.
func (c *compiler) wrongMessage(b *body, m meaning) string {
	switch {
	case m == meansOffer && b.kind != attls.KindClientHello:
		return "in client_hello"
	case m == meansChoice && b.kind == attls.KindAdded && c.p.Messages[b.added].At[attls.RoleServer] > binder.PointAfterCR:
		return "in front of the server's certificate, with which its parameters are complete"
	case m == meansChoice && b.kind != attls.KindAdded && !slices.Contains(choiceMessages, b.kind):
		return "in hello_retry_request, server_hello, encrypted_extensions or certificate_request, or in an added message"
	}
	return ""
}

// placed reports what is wrong with the place of a field, if anything is.
func (c *compiler) placed(v *value, key string, b *body, f schema.Field, wrong string) bool {
	switch {
	case strings.HasPrefix(wrong, "in "):
		c.fail(v.pos, ProblemPath, "%s: %s belongs %s, not in %s", v.text, article(key), wrong, b.message())
	case wrong != "":
		c.fail(v.pos, ProblemPath, "%s is %s; %s must be %s", v.text, f.Kind, article(key), wrong)
	}
	return wrong == ""
}

// oneWay refuses keys of two ways to negotiate.
func (c *compiler) oneWay(e *entry) {
	flag, always, value := e.value.entry("flag"), e.value.entry("always"), e.value.entry("value")
	if flag != nil && always != nil {
		c.fail(flag.pos, ProblemRule, "%s always attests, so no flag negotiates it", e.key).Advice = "remove flag, or always"
	}
	if value != nil && flag == nil && !c.dead(value.pos, "bind", "slots", e.key, "value") {
		c.fail(value.pos, ProblemRule, "only a flag has a value").Advice = "say flag: evidence/x509"
	}
}

// message is the name of the message that a body is in.
func (b *body) message() string {
	if b.kind == attls.KindAdded {
		return b.name
	}
	return b.kind.Name()
}

func article(word string) string {
	if strings.IndexByte("aeiou", word[0]) >= 0 {
		return "an " + word
	}
	return "a " + word
}

// alone checks that a field can be left out where another one of its body is
// sent: a choice stands alone in the body, which is then not sent, beside the
// nonce of its slot, or is a list that may be empty; and so is an offer.
func (c *compiler) alone(b *body, x binding, v *value) {
	if x.means == meansChoice && x.list && x.floor > 0 {
		c.fail(v.pos, ProblemPath, "%s has %d octets at least, so that it cannot say that nothing was chosen", v.text,
			x.floor).Advice = "let the list begin at 0 octets"
		return
	}
	for _, y := range b.bindings {
		if y.slot == x.slot {
			continue
		}
		switch {
		case x.means == meansPayload && y.means == meansPayload && x.path == y.path:
			continue // slots of which one is chosen at a time; see answeredEach
		case x.means == meansPayload && y.means == meansPayload && (x.floor > 0 || y.floor > 0):
			c.fail(v.pos, ProblemPath,
				"%s and %s are in the same body, and neither can be left out where only the other slot was chosen", y.path,
				x.path).Advice = "let both begin at 0 octets, or give one of them an extension or a message of its own"
		case (x.means == meansPayload) != (y.means == meansPayload):
			c.fail(v.pos, ProblemPath, "%s and %s are in the same body, and a payload has one of its own", y.path, x.path).
				Advice = "give one of them an extension or a message of its own"
		case x.means == meansChoice && y.means == meansChoice && !(x.list && y.list):
			c.fail(v.pos, ProblemPath,
				"%s and %s are in the same body, and neither can be left out where only the other was chosen", y.path, x.path).
				Advice =
				"make both lists, as <0..2^8-1>, or give one of them an extension of its own"
		case x.means == meansNonce && y.means == meansChoice && !y.list, x.means == meansChoice &&
			y.means == meansNonce && !x.list:
			choice, nonce := y, x
			if x.means == meansChoice {
				choice, nonce = x, y
			}
			c.fail(v.pos, ProblemPath,
				"%s and %s are in the same body, and the choice cannot be left out where only the nonce is sent", choice.path,
				nonce.path).Advice =
				"make the choice a list, as <0..2^8-1>, or give the nonce an extension of its own"
		case x.means != meansChoice && y.means != meansChoice &&
			(x.means == meansOffer && x.floor > 0 || y.means == meansOffer && y.floor > 0):
			c.fail(v.pos, ProblemPath,
				"%s and %s are in the same body, and a list that may not be empty, or a flag that is the whole body, cannot be "+
					"left out where only the other slot is used", y.path, x.path).Advice =
				"let the lists begin at 0 octets, give the flag a value, or give one of them an extension of its own"
		default:
			continue
		}
		return
	}
}

// bind ties a field and refuses to tie it twice.
func (c *compiler) bind(b *body, x binding, v *value) {
	for _, y := range b.bindings {
		if y.path == x.path && !(x.means == meansPayload && y.means == meansPayload) {
			c.fail(v.pos, ProblemPath, "%s has a meaning already", v.text)
			return
		}
	}
	b.bindings = append(b.bindings, x)
}

// nonceBounds reads the bounds of the grammar and of the container.
func (c *compiler) nonceBounds(s *Slot, v *value) {
	_, _, f, ok := c.locate(v)
	if !ok {
		return
	}
	s.NonceMin, s.NonceMax = f.Floor, min(f.Ceiling, f.Fits)
	c.nonceDefault(s)
	c.nonceMessage(s, v)
}

// nonceDefault settles how many octets are requested from a source that does not say
// how many it wants.
func (c *compiler) nonceDefault(s *Slot) {
	s.NonceDefault = 32
	if most := c.number("nonce", "receive_at_most"); most > 0 {
		s.NonceDefault = min(s.NonceDefault, most) // or our own attester would refuse it
	}
	if n := c.number("nonce", "size"); n > 0 {
		s.NonceDefault = n
		if n < s.NonceMin || n > s.NonceMax {
			c.fail(c.doc.get("nonce", "size").pos, ProblemValue, "a nonce of %d octets; %s takes %d to %d", n, s.NoncePath,
				s.NonceMin, s.NonceMax)
		}
	}
	s.NonceDefault = max(s.NonceMin, min(s.NonceDefault, s.NonceMax))
	if s.Nonce.Message == attls.KindAdded {
		s.nonceAt = c.p.Messages[s.Nonce.Added].At[attls.RoleServer]
	}
}

// nonceMessage refuses a message in which no nonce can reach the attester before
// it attests.
func (c *compiler) nonceMessage(s *Slot, v *value) {
	const there = "a nonce travels in client_hello, or in hello_retry_request, server_hello, encrypted_extensions or " +
		"certificate_request"
	switch k := s.Nonce.Message; {
	case k == attls.KindCertificate, k == attls.KindNewSessionTicket:
		c.fail(v.pos, ProblemPath, "%s: nobody sends a nonce in %s", v.text, k.Name()).Advice = there
	case k == attls.KindAdded && s.Attester == attls.RoleServer:
		c.fail(v.pos, ProblemPath, "the relying party sends the nonce, and the client adds nothing before the server "+
			"attests").
			Advice = there
	case k == attls.KindAdded: // of the server, all of whose flight comes before the client attests
	case senders(k)[0] == s.Attester:
		c.fail(v.pos, ProblemPath, "the relying party sends the nonce, and the attesting %s sends %s", s.Attester, k.Name()).
			Advice = there
	}
}

// payloadInCertData is how many octets cert_data may have where it stands alone:
// a Certificate has its message length of three octets less the context (1 and
// up to 255), two lengths of 3 and one of 2 (RFC 8446 4.4.2).
const payloadInCertData = messageSize - 1 - 255 - 3 - 3 - 2

// credentials reads the credential kinds.
func (c *compiler) credentials() {
	for _, e := range c.doc.under("bind", "credentials") {
		get := func(key string) []string { return []string{"bind", "credentials", e.key, key} }
		k := Credential{Kind: CredentialKind(kindWords.find(e.key).value),
			Entries:      extensions.Entries(c.word(oneEntryWords, int(extensions.EntriesAny), get("entries")...)),
			Negotiated:   c.word(negotiatedWords, no, get("negotiated_by")...) == yes,
			KeyFrom:      KeySource(c.word(keyWords, int(KeyFromX509), get("key_from")...)),
			PKIX:         c.word(pkixWords, yes, get("pkix")...) == yes,
			EmptyContext: c.word(contextWords, no, get("request_context")...) == yes}
		if v := c.doc.get(get("keys")...); v != nil {
			for _, x := range v.items {
				k.Keys = append(k.Keys, c.keyName(x))
			}
		}
		c.certificateType(&k, e)
		c.carrier(&k, e)
		switch {
		case k.Kind == KindAlone && k.Carrier != CarrierCertData:
			c.fail(e.pos, ProblemRule, "a payload without a certificate is carried in certificate.cert_data")
		case k.Kind == KindX509 && k.Carrier == CarrierCertData:
			c.fail(e.pos, ProblemRule, "an X.509 certificate is in cert_data; carry the payload in an extension or a message")
		case k.Kind == KindAlone && (k.KeyFrom == KeyFromX509 || k.PKIX):
			c.fail(e.pos, ProblemRule, "without a certificate the key comes from the appraisal and no path is validated").
				Advice = "say key_from: appraisal, pkix: none"
		}
		c.p.Credentials = append(c.p.Credentials, k)
	}
	for i, s := range c.p.Slots {
		for _, k := range s.Kinds {
			if _, ok := c.p.Credential(k); !ok {
				c.fail(c.doc.under("bind", "slots")[i].pos, ProblemRule,
					"slot %s has schemes of kind %s and bind.credentials does not say where they travel", s.Name, k)
				continue
			}
			c.carried(i, k)
		}
	}
	c.answeredEach()
}

// carriedAt is where the user says how the payload of a slot travels.
func (c *compiler) carriedAt(slot int, k CredentialKind) schema.Position {
	e := c.doc.under("bind", "slots")[slot]
	places := []schema.Position{e.pos}
	if v := c.doc.get("bind", "credentials", k.String(), "carried_in"); v != nil {
		places = append([]schema.Position{v.pos}, places...)
	}
	if v := e.value.get("carried_in"); v != nil {
		places = append([]schema.Position{v.pos}, places...)
	}
	return c.changed(places...)
}

// carried refuses a payload that its attester cannot send, or not yet.
func (c *compiler) carried(slot int, k CredentialKind) {
	s := &c.p.Slots[slot]
	row, _ := c.p.CredentialFor(slot, k)
	if row.Carrier != CarrierMessage || s.PostHandshake { // see afterSlot
		return
	}
	m := &c.p.Messages[row.Message]
	switch at := m.At[s.Attester]; {
	case at == binder.PointNone && (s.Attester == attls.RoleServer || m.Later == binder.PointNone):
		c.fail(c.carriedAt(slot, k), ProblemRule, "the payload of slot %s is in %s, which the %s does not send: it comes %s",
			s.Name, m.Name, s.Attester, m.where()).Advice = "the reference of profiles lists the places"
	case at != binder.PointNone && at <= c.chosenAt(s):
		c.fail(c.carriedAt(slot, k), ProblemRule,
			"the payload of slot %s is in %s, which comes before the choice: that exists from %s on", s.Name, m.Name,
			c.chosenAt(s)).Advice = "let the message come later, or the choice earlier"
	}
}

// chosenAt is when both ends know the choice of a slot.
func (c *compiler) chosenAt(s *Slot) binder.Point {
	switch s.Choice.Message {
	case attls.KindHelloRetryRequest, attls.KindServerHello:
		return binder.PointSH
	case attls.KindEncryptedExtensions:
		return binder.PointEE
	case attls.KindAdded:
		return c.p.Messages[s.Choice.Added].At[attls.RoleServer]
	}
	return binder.PointCR
}

// answeredEach refuses two slots of one attester that can be chosen together and
// whose payloads travel in one place: one of them would never be answered.
func (c *compiler) answeredEach() {
	if c.word(perAttesterWords, no, "negotiation", "choose", "per_attester") == yes {
		return
	}
	for i := range c.p.Slots {
		for k := range i {
			a, b := &c.p.Slots[k], &c.p.Slots[i]
			if a.Attester != b.Attester || a.PostHandshake != b.PostHandshake || !c.shareCarriage(k, i) {
				continue
			}
			slots := c.doc.under("bind", "slots")
			places := []schema.Position{slots[i].pos, slots[k].pos}
			if v := c.doc.get("negotiation", "choose", "per_attester"); v != nil {
				places = append(places, v.pos)
			}
			c.fail(c.changed(places...), ProblemRule,
				"a scheme may be chosen in %s and in %s, and the %s has one place for both payloads", a.Name, b.Name,
				a.Attester).Advice =
				"say negotiation: {choose: {per_attester: 1}}, or give one of the slots a carried_in of its own"
		}
	}
}

// changed is the first of some places that is the user's own, or the first.
func (c *compiler) changed(places ...schema.Position) schema.Position {
	for _, p := range places {
		if !c.isInherited(p) {
			return p
		}
	}
	return places[0]
}

func (c *compiler) shareCarriage(a, b int) bool {
	for _, k := range c.p.Slots[a].Kinds {
		for _, l := range c.p.Slots[b].Kinds {
			x, there := c.p.CredentialFor(a, k)
			y, too := c.p.CredentialFor(b, l)
			if there && too && (x.Same(&y.Carriage) || x.Carrier == CarrierCertData || y.Carrier == CarrierCertData) {
				return true
			}
		}
	}
	return false
}

// keyNames are the keys that a profile may permit.
var keyNames = []string{"secp256r1", "secp384r1", "secp521r1", "ed25519", "ed448"}

func (c *compiler) keyName(v *value) string {
	if !slices.Contains(keyNames, v.text) {
		propose(c.fail(v.pos, ProblemValue, "no key is named %s", v.text), v.text, keyNames)
	}
	return v.text
}

func (c *compiler) certificateType(k *Credential, e *entry) {
	v := e.value.get("certificate_type")
	switch {
	case v == nil && k.Negotiated:
		c.fail(e.pos, ProblemKey, "RFC 7250 agrees on a certificate type, and %s has none", e.key)
	case v == nil, v.text == attls.CertificateX509.String():
		if v != nil && k.Kind == KindAlone {
			c.fail(v.pos, ProblemRule, "a payload without a certificate is not an X.509 certificate")
		}
	default:
		n, _ := c.numberOf("certificate_types", v.text, v.pos)
		k.CertificateType = attls.CertificateType(n)
		if k.Kind == KindX509 {
			c.fail(v.pos, ProblemRule, "an X.509 certificate has the certificate type X509")
		}
	}
}

func (c *compiler) carrier(k *Credential, e *entry) {
	v := e.value.get("carried_in")
	if v == nil {
		c.fail(e.pos, ProblemKey, "%s does not say where its payload travels", e.key)
		return
	}
	if v.text == certData {
		k.Carriage = Carriage{Carrier: CarrierCertData, MaxPayload: payloadInCertData}
		return
	}
	if name, ok := strings.CutPrefix(v.text, x509Path); ok {
		c.carriedInField(k, name, v)
		return
	}
	k.Carriage, _ = c.carriage(v, -1, []attls.Role{attls.RoleClient, attls.RoleServer})
}

const certData = "certificate.cert_data"

// apart reads where the payload of a slot travels that has a place of its own.
func (c *compiler) apart(s *Slot, slot int, e *entry) {
	v := e.value.get("carried_in")
	switch {
	case v == nil:
	case v.text == certData || strings.HasPrefix(v.text, x509Path) || slices.Contains(s.Kinds, KindAlone):
		c.fail(v.pos, ProblemRule, "only a payload with an X.509 certificate, in an extension or a message, has a place "+
			"of its own").Advice =
			"say it in bind.credentials"
	default:
		s.Own, s.Apart = c.carriage(v, slot, []attls.Role{s.Attester})
	}
}

// carriage ties the field that holds the payload of a slot, or of all slots of a kind.
func (c *compiler) carriage(v *value, slot int, by []attls.Role) (where Carriage, ok bool) {
	name, path, _ := strings.Cut(v.text, ".")
	if i := c.addedMessage(name); i >= 0 {
		where = Carriage{Carrier: CarrierMessage, Message: i}
		for _, r := range by {
			if b := c.codec.messages[i][r]; b != nil {
				c.payload(&where, b, path, v, slot)
			}
		}
		return where, true
	}
	b, path, _, ok := c.locate(v)
	if !ok {
		return where, false
	}
	if b.kind != attls.KindCertificate {
		c.fail(v.pos, ProblemPath, "%s is in %s; a payload travels in certificate or in an added message",
			v.text, b.kind.Name())
		return where, false
	}
	where = Carriage{Carrier: CarrierExtension, Extension: b.ext}
	for _, r := range by {
		if b := c.codec.bodies[site{attls.KindCertificate, r, b.ext}]; b != nil {
			c.payload(&where, b, path, v, slot)
		}
	}
	return where, true
}

// payload ties the field that holds the payload and computes its room.
func (c *compiler) payload(k *Carriage, b *body, path string, v *value, slot int) {
	f, err := b.field(path)
	switch {
	case err != nil:
		c.fail(v.pos, ProblemPath, "%s: %v", v.text, err)
		return
	case f.Kind != schema.KindOctets:
		c.fail(v.pos, ProblemPath, "%s is %s; a payload is octets", v.text, f.Kind)
		return
	}
	k.Path, k.MaxPayload = path, min(f.Ceiling, f.Fits)
	x := binding{means: meansPayload, slot: slot, path: path, floor: f.Floor}
	c.alone(b, x, v)
	c.bind(b, x, v)
}

// bounds holds every field against the room it has and warns of fields that
// have no meaning.
func (c *compiler) bounds() {
	seen := map[schema.Position]bool{}
	for _, b := range c.codec.order {
		if b.silent() && c.codec.saidByPeer(b) {
			continue // it is never sent
		}
		for _, f := range b.codec.Fields(b.limit) {
			bound := c.boundBy(b, f)
			if f.Prefix > 0 && !seen[f.Pos] {
				seen[f.Pos] = true
				c.fits(b, f, bound)
			}
			if f.Path != "" && !f.Optional && !f.Implied && f.Constant == nil && f.Kind != schema.KindStruct && bound == nil &&
				!c.inside(b, f) {
				c.warn(f.Pos, ProblemUnbound, "no path names %s of %s in %s, so it is sent at its minimum", f.Path,
					b.name, b.kind.Name())
			}
		}
	}
}

func (c *compiler) boundBy(b *body, f schema.Field) *binding {
	for i := range b.bindings {
		if b.bindings[i].path == f.Path {
			return &b.bindings[i]
		}
	}
	return nil
}

// inside reports whether a field is a part of one that has a meaning.
func (c *compiler) inside(b *body, f schema.Field) bool {
	for _, x := range b.bindings {
		if x.path == "" || strings.HasPrefix(f.Path, x.path+".") || strings.HasPrefix(f.Path, x.path+"[") {
			return true
		}
	}
	return false
}

func (c *compiler) fits(b *body, f schema.Field, x *binding) {
	name := f.Path[strings.LastIndexByte(f.Path, '.')+1:]
	switch {
	case !f.FloorFits():
		c.fail(f.Pos, schema.ProblemBounds, "%s needs %d octets at least, and %s in %s has room for %d", f.Path, f.Floor,
			b.name, b.kind.Name(), f.Fits)
	case f.Ceiling > f.Fits && x != nil && x.means == meansPayload:
		c.flaw("payload_bound", name, f.Pos, "the ceiling of %s is %d octets, and %s in %s has room for %d", f.Path,
			f.Ceiling, b.name, b.kind.Name(), f.Fits)
	case f.Ceiling > f.Fits:
		c.flaw("element_bound", name, f.Pos, "the ceiling of %s is %d octets, and %s in %s has room for %d", f.Path,
			f.Ceiling, b.name, b.kind.Name(), f.Fits)
	}
}

// acknowledge holds the flaws that were found against those that the profile
// names.
func (c *compiler) acknowledge(o Options) {
	accepted := c.doc.get("accepted_flaws")
	used := map[string]bool{}
	for _, f := range c.flaws {
		v := accepted.get(f.kind)
		covered := v != nil && v.form == formScalar
		if v != nil {
			for _, x := range v.items {
				if x.text == f.field {
					covered = true
					used[f.kind+"."+f.field] = true
				}
			}
		}
		if covered {
			used[f.kind] = true
			c.p.Flaws = append(c.p.Flaws, Flaw{f.kind, f.field, v.text, f.Problem})
			continue
		}
		f.Problem.Advice = "mend it, or acknowledge it in accepted_flaws: {" + f.kind + ": [" + f.field + "]}"
		c.problems = append(c.problems, f.Problem)
	}
	if accepted == nil || len(o.CodePoints) > 0 || c.reread() {
		return // another number or reading may have mended a flaw
	}
	for _, e := range accepted.entries {
		if !used[e.key] && !c.dead(e.pos, "accepted_flaws", e.key) {
			c.fail(e.pos, ProblemFlaw, "nothing in the profile has the flaw %s", e.key).Advice = "remove it"
		}
		for _, x := range e.value.items {
			if used[e.key] && !used[e.key+"."+x.text] && !c.deadItem(x) {
				c.fail(x.pos, ProblemFlaw, "%s does not have the flaw %s", x.text, e.key).Advice = "remove it"
			}
		}
	}
}

// reread reports whether a switch is not at its default.
func (c *compiler) reread() bool {
	return slices.ContainsFunc(c.p.Readings, func(r Reading) bool { return r.Chosen != r.Default })
}
