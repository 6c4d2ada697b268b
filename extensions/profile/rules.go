package profile

import (
	"maps"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// rules reads the parameters of the rules of package negotiation.
func (c *compiler) rules() {
	n := func(w words, fallback int, keys ...string) int {
		return c.word(w, fallback, append([]string{"negotiation"}, keys...)...)
	}
	r := &c.p.Rules
	r.OfferEmptyList = n(emptyOfferWords, no, "offer", "when_empty") == yes
	r.OfferAtLeast = c.number("negotiation", "offer", "at_least")
	r.ClientSlotsNeedCert = n(needWords, no, "offer", "client_slots_need") == yes
	r.OfferFirst = c.literal("negotiation", "offer", "first")
	r.ServerOrder = n(orderWords, no, "choose", "order") == yes
	r.OnePerAttester = n(perAttesterWords, no, "choose", "per_attester") == yes
	r.NoScheme = NoSchemeScope(n(scopeWords, int(ScopeAll), "no_scheme", "scope"))
	r.NoSchemeThen = NoSchemeThen(n(thenWords, int(ThenAbort), "no_scheme", "then"))
	r.NullChoice = c.literal("negotiation", "no_scheme", "null_choice")
	r.UnwillingAbort = n(unwillingWords, no, "unwilling") == yes
	r.AnswerNoneAbort = n(answerWords, no, "answer", "none") == yes
	r.ClientChoiceNeedsRequest = n(requestWords, no, "answer", "client_choice_needs") == yes
	r.Match = FormatMatch(n(matchWords, int(MatchEqual), "match", "format"))
	r.Verdict = VerdictBefore(n(verdictWords, int(BeforeFinished), "verdict", "before"))
	r.NonceReceiveAtMost = c.number("nonce", "receive_at_most")
	if v := c.doc.get("nonce", "default"); v != nil {
		r.NonceFixed, _ = octetsOf(v.text)
	}
	c.consistent(r)
}

// consistent refuses rules that contradict each other.
func (c *compiler) consistent(r *Rules) {
	at := func(keys ...string) schema.Position {
		if v := c.doc.get(keys...); v != nil {
			return v.pos
		}
		return c.doc.pos
	}
	if r.OfferEmptyList {
		for i, e := range c.doc.under("bind", "slots") {
			if b, x := c.codec.binding(i, meansOffer); b != nil && !x.flag && x.floor > 0 {
				c.fail(at("negotiation", "offer", "when_empty"), ProblemRule,
					"%s has %d octets at least, so an empty list cannot be sent", e.value.get("offer").text, x.floor).
					Advice = "say when_empty: omit, or let the list begin at 0 octets"
			}
		}
	}
	if (r.NoSchemeThen == ThenNullChoice) != (r.NullChoice != nil) {
		c.fail(at("negotiation", "no_scheme"), ProblemRule, "then: null_choice and the value null_choice belong together")
	}
	nonces := 0
	for _, s := range c.p.Slots {
		if s.Nonce.Message == attls.KindNone {
			continue
		}
		nonces++
		switch most := r.NonceReceiveAtMost; {
		case c.doc.get("nonce", "receive_at_most") == nil:
		case most < s.NonceMin || most == 0:
			c.fail(at("nonce", "receive_at_most"), ProblemRule,
				"an attester that takes %d octets takes no nonce of slot %s, which has %d to %d", most, s.Name,
				s.NonceMin, s.NonceMax)
		case r.NonceFixed != nil && len(r.NonceFixed) > most:
			c.fail(at("nonce", "default"), ProblemRule, "a nonce of %d octets; receive_at_most is %d", len(r.NonceFixed), most)
		case r.NonceFixed == nil && s.NonceDefault > most && c.number("nonce", "size") > 0:
			c.fail(at("nonce", "size"), ProblemRule, "a nonce of %d octets; receive_at_most is %d", s.NonceDefault, most)
		}
		if n := len(r.NonceFixed); r.NonceFixed != nil && (n < s.NonceMin || n > s.NonceMax) {
			c.fail(at("nonce", "default"), ProblemValue, "a nonce of %d octets; slot %s takes %d to %d", n, s.Name,
				s.NonceMin, s.NonceMax)
		}
	}
	if e := c.doc.entry("nonce"); e != nil && nonces == 0 {
		c.fail(e.pos, ProblemRule, "no slot has a nonce").Advice = "remove nonce, or name a field in a slot"
	}
}

// literal is a scheme that a profile writes down field by field, as one of the
// element types.
func (c *compiler) literal(keys ...string) *Scheme {
	v := c.doc.get(keys...)
	if v == nil {
		return nil
	}
	var why string
	for _, name := range sortedKeys(c.codec.schemes) {
		t := c.codec.schemes[name]
		if x, ok := c.literalValue(t, v, &why); ok {
			wire, err := t.codec.Encode(x)
			if err == nil {
				var d schema.Value
				if d, err = t.codec.Decode(wire); err == nil {
					s := t.scheme(&d)
					return &s
				}
			}
			why = err.Error()
		}
	}
	c.fail(v.pos, ProblemPath, "%s is not an element of a list: %s", strings.Join(keys, "."), why)
	return nil
}

func (c *compiler) literalValue(t *schemeType, v *value, why *string) (x schema.Value, ok bool) {
	for _, e := range v.entries {
		f, err := t.codec.Field(e.key, container)
		if err != nil {
			*why = err.Error()
			return x, false
		}
		field := schema.Octets([]byte(e.value.text))
		if b, isHex := octetsOf(e.value.text); isHex {
			field = schema.Octets(b)
		}
		if f.Kind == schema.KindNumber {
			if slices.Contains(f.Enumerators, e.value.text) {
				field = schema.Symbol(e.value.text)
			} else if n, err := parseNumber(e.value.text); err == nil {
				field = schema.Number(n)
			} else {
				*why = e.value.text + " is not a number of " + f.Type
				return x, false
			}
		}
		if err := x.Set(e.key, field); err != nil {
			*why = err.Error()
			return x, false
		}
	}
	return x, true
}

// alerts reads the alert of each cause.
func (c *compiler) alerts() {
	c.p.AlertNames = map[attls.AlertDescription]string{}
	for _, e := range c.doc.under("code_points", "alerts") {
		c.p.AlertNames[attls.AlertDescription(c.numbers["alerts"][e.key].n)] = e.key
	}
	c.p.Alerts = map[attls.Failure]AlertAction{}
	for _, e := range c.doc.under("alerts") {
		a, ok := c.alert(e.value)
		if !ok {
			continue
		}
		for _, f := range causes(e.key) {
			if _, set := c.p.Alerts[f]; !set || e.key != "no_scheme" {
				c.p.Alerts[f] = a
			}
		}
	}
}

// causes are the failures that a key of alerts names.
func causes(key string) []attls.Failure {
	if key == "no_scheme" {
		return []attls.Failure{attls.FailNoSchemeEvidence, attls.FailNoSchemeResults}
	}
	return []attls.Failure{attls.Failure("attestation." + key)}
}

func (c *compiler) alert(v *value) (AlertAction, bool) {
	switch v.text {
	case "none":
		return AlertAction{None: true}, true
	case "close":
		return AlertAction{Close: true}, true
	}
	if p := c.numbers["alerts"][v.text]; p != nil {
		p.used = true
		return AlertAction{Alert: attls.AlertDescription(p.n)}, true
	}
	a, ok := attls.AlertByName(v.text)
	if !ok {
		known := append(sortedKeys(c.numbers["alerts"]), "none", "close")
		for n := 0; n < 256; n++ {
			if name := attls.AlertDescription(n).String(); !strings.Contains(name, " ") {
				known = append(known, name)
			}
		}
		propose(c.fail(v.pos, ProblemValue, "no alert is named %s", v.text), v.text, known)
	}
	return AlertAction{Alert: a}, ok
}

// afterwards reads the rules for what follows the handshake.
func (c *compiler) afterwards() {
	name := func(w words, fallback int, keys ...string) string {
		return w.name(c.word(w, fallback, append([]string{"after", "resumption"}, keys...)...))
	}
	c.p.Resumption = Resumption{
		Accept:      name(acceptWords, 0, "accept"),
		Refused:     name(refusedWords, 0, "refused"),
		Tickets:     name(ticketWords, 0, "tickets"),
		EarlyData:   name(ticketWords, 0, "early_data"),
		Received:    name(receivedWords, 0, "received_tickets"),
		ExternalPSK: c.word(externalWords, yes, "after", "resumption", "external_psk_only") == yes,
	}
	c.p.PostHandshake = PostHandshake{
		ClientAuthentication: c.flag("after", "post_handshake", "client_authentication"),
		ChoiceCarriedOver:    c.word(choiceWords, no, "after", "post_handshake", "choice") == yes,
	}
	if c.p.hasSlotsAfter() {
		c.p.PostHandshake = PostHandshake{ClientAuthentication: true}
	}
}

// quirks turns the general switches of the engine.
func (c *compiler) quirks() {
	q := &c.p.Quirks
	for _, w := range roleWords {
		q.SignatureEncoding[w.value] = SignatureEncoding(c.word(signatureWords, int(SignatureDER), "quirks",
			"signature_encoding", w.name))
		if v := c.doc.get("quirks", "signature_schemes", w.name); v != nil {
			q.SignatureSchemes[w.value] = []attls.SignatureScheme{}
			for _, x := range v.items {
				s, ok := attls.SignatureSchemeByName(x.text)
				if !ok {
					c.fail(x.pos, ProblemValue, "no signature scheme is named %s", x.text)
				}
				q.SignatureSchemes[w.value] = append(q.SignatureSchemes[w.value], s)
			}
		}
	}
	q.NoCCS, q.NeverFragment = c.flag("quirks", "no_ccs"), c.flag("quirks", "never_fragment")
	q.MessagesPerRecord, q.PadTo = c.number("quirks", "messages_per_record"), c.number("quirks", "pad_to")
	q.RetainHandshakeReadKey = c.flag("quirks", "retain_handshake_read_key")
	q.AcceptPlaintextAlerts = c.flag("quirks", "accept_plaintext_alerts")
	q.AcceptNewRandom = c.flag("quirks", "accept_new_random")
	q.AcceptReorderedHello = c.flag("quirks", "accept_reordered_hello")
	q.EmptySessionID = c.flag("quirks", "empty_session_id")
	if v := c.doc.get("quirks", "never_send"); v != nil {
		for _, x := range v.items {
			k, ok := attls.KindByName(x.text)
			if !ok {
				c.fail(x.pos, ProblemValue, "no message is named %s", x.text)
			}
			q.NeverSend = append(q.NeverSend, k)
		}
	}
	if v := c.doc.get("quirks", "encrypted_extensions_only"); v != nil {
		q.RestrictEncryptedExtensions = true
		for _, x := range v.items {
			q.EncryptedExtensionsOnly = append(q.EncryptedExtensionsOnly, c.anyExtension(x))
		}
	}
}

// anyExtension finds an extension of the profile or of IANA's registry.
func (c *compiler) anyExtension(v *value) attls.ExtensionType {
	if t, ok := attls.ExtensionByName(v.text); ok {
		return t
	}
	if x, ok := c.extension(v.text, v); ok {
		return x.Type
	}
	return 0
}

// binder compiles the expressions and holds each against its moment.
func (c *compiler) binder() {
	b := &c.p.Binder
	variant := binder.Variant(c.word(transcriptWords, 0, "binder", "transcript"))
	b.Fit = ChallengeFit(c.word(fitWords, int(FitPadRight), "binder", "hand_over", "fit"))
	texts := map[string]*value{}
	var roots []string
	var defs []binder.Definition
	define := func(name string, v *value) {
		texts[name] = v
		defs = append(defs, binder.Definition{Name: name, Text: v.text})
	}
	for _, e := range c.doc.under("binder", "define") {
		define(e.key, e.value)
	}
	own := len(defs)
	for _, e := range c.doc.under("binder", "challenge") {
		if e.value.text == "none" {
			continue
		}
		m, k, _ := strings.Cut(e.key, "/")
		name := e.value.text
		if !slices.ContainsFunc(defs[:own], func(d binder.Definition) bool { return d.Name == name }) {
			name = "challenge." + e.key
			define(name, e.value)
		}
		b.Challenge[modelWords.find(m).value][kindWords.find(k).value] = name
		roots = append(roots, name)
	}
	for _, e := range slices.Concat(c.doc.under("binder", "authenticator", "challenge"),
		c.doc.under("binder", "application_frame", "challenge")) {
		if e.value.text == "none" {
			continue
		}
		m, _, _ := strings.Cut(e.key, "/")
		name := e.value.text
		if !slices.ContainsFunc(defs[:own], func(d binder.Definition) bool { return d.Name == name }) {
			name = "authenticator." + e.key
			define(name, e.value)
		}
		b.Authenticator[modelWords.find(m).value] = name
		roots = append(roots, name)
	}
	for _, e := range c.doc.under("binder", "claims") {
		v := e.value.get("value")
		if v == nil {
			c.fail(e.pos, ProblemKey, "the claim %s has no value", e.key)
			continue
		}
		where := c.word(whereWords, no, "binder", "claims", e.key, "where")
		b.Claims = append(b.Claims, Claim{Name: e.key, Expr: "claim." + e.key, InChallenge: where == yes})
		define("claim."+e.key, v)
		roots = append(roots, "claim."+e.key)
	}
	if v := c.doc.get("binder", "hand_over", "values"); v != nil {
		for _, x := range v.items {
			b.HandOver = append(b.HandOver, x.text)
			roots = append(roots, c.definedName(x, defs[:own]))
		}
	}
	roots = append(roots, c.p.definitionsOfMembers()...)
	for _, v := range c.x509Values() {
		roots = append(roots, c.definedName(v, defs[:own]))
	}
	b.Exporters = map[string]string{}
	for _, e := range c.doc.under("binder", "exporters") {
		b.Exporters[e.key] = e.value.text
		roots = append(roots, c.definedName(e.value, defs[:own]))
	}
	if c.problems.Err() != nil || len(defs) == 0 {
		return
	}
	if b.Program = c.program(defs, texts, variant); b.Program == nil {
		return
	}
	unused := b.Program.Unused(roots)
	for _, name := range unused {
		if c.dead(texts[name].pos, "binder", "define", name) {
			continue
		}
		c.fail(texts[name].pos, ProblemBinder, "nothing uses %s", name).Advice = "remove it"
	}
	if len(unused) > 0 && c.problems.Err() == nil {
		defs = slices.DeleteFunc(defs, func(d binder.Definition) bool { return slices.Contains(unused, d.Name) })
		b.Program = c.program(defs, texts, variant)
	}
	c.available(b.Program, texts, false)
	c.availableLater(b.Program, texts)
	c.postHandshakeBinder(defs, maps.Clone(texts), variant)
	c.updateBinder(defs, texts, variant)
}

func (c *compiler) definedName(v *value, defs []binder.Definition) string {
	var known []string
	for _, d := range defs {
		if d.Name == v.text {
			return v.text
		}
		known = append(known, d.Name)
	}
	propose(c.fail(v.pos, ProblemBinder, "binder.define has no %s", v.text), v.text, known)
	return ""
}

// program compiles definitions and gives errors their place in the file.
func (c *compiler) program(defs []binder.Definition, texts map[string]*value, v binder.Variant) *binder.Program {
	p, errs := binder.CompileWith(defs, v, c.addedPoints())
	for _, e := range errs {
		c.fail(texts[e.Name].at(e.Offset), ProblemBinder, "%s: %s", e.Name, e.Msg)
	}
	return p
}

// addedPoints are the messages that AT names.
func (c *compiler) addedPoints() (a binder.Added) {
	first := func(to *binder.Point, at binder.Point) {
		if at != binder.PointNone && (*to == binder.PointNone || at < *to) {
			*to = at
		}
	}
	for _, paid := range []bool{true, false} { // with a payload before any other
		found := binder.Added{}
		for i := range c.p.Messages {
			for r, b := range c.codec.messages[i] {
				if b == nil || paid && len(b.payloads()) == 0 {
					continue
				}
				first(&found.By[r], c.p.Messages[i].At[r])
				first(&found.Later, c.p.Messages[i].Later)
				a.All = append(a.All, c.p.Messages[i].At[r], c.p.Messages[i].Later)
			}
		}
		for r := range a.By {
			if a.By[r] == binder.PointNone {
				a.By[r] = found.By[r]
			}
		}
		if a.Later == binder.PointNone {
			a.Later = found.Later
		}
	}
	return a
}

// available checks every challenge and claim for each attester whose slots use it.
func (c *compiler) available(p *binder.Program, texts map[string]*value, later bool) {
	b := &c.p.Binder
	told := map[string]bool{}
	bound := [2][2]bool{}
	for i, s := range c.p.Slots {
		if later && s.Attester != attls.RoleClient {
			continue
		}
		for _, m := range s.Models {
			for _, k := range s.Kinds {
				bound[m][k] = true
				if !c.p.UsesSlot(i, later) {
					continue
				}
				names := []string{b.Challenge[m][k]}
				if m == ModelEvidence && k == KindX509 {
					for _, x := range b.Claims {
						names = append(names, x.Expr)
					}
				}
				if k == KindX509 {
					names = append(names, c.x509Definitions()...)
				}
				for _, name := range names {
					if name != "" {
						c.availableAt(p, name, i, m, k, texts, told, later)
					}
				}
			}
		}
	}
	if later {
		return
	}
	for _, e := range c.doc.under("binder", "challenge") {
		m, k, _ := strings.Cut(e.key, "/")
		if !bound[modelWords.find(m).value][kindWords.find(k).value] {
			c.fail(e.pos, ProblemBinder, "no slot has schemes of model %s and kind %s", m, k).Advice = "remove it"
		}
	}
}

// carrierPoint is the message before which an attester needs its challenge.
func (p *Profile) carrierPoint(slot int, k CredentialKind, later bool) binder.Point {
	row, ok := p.CredentialFor(slot, k)
	inMessage := ok && row.Carrier == CarrierMessage
	switch r := p.Slots[slot].Attester; {
	case later && inMessage:
		return p.Messages[row.Message].Later
	case later:
		return binder.PointPostHandshakeCT
	case inMessage:
		return p.Messages[row.Message].At[r]
	case r == attls.RoleServer:
		return binder.PointServerCT
	}
	return binder.PointClientCT
}

func (c *compiler) availableAt(p *binder.Program, name string, slot int, m Model, k CredentialKind,
	texts map[string]*value, told map[string]bool, later bool) {
	s := &c.p.Slots[slot]
	carrier := c.p.carrierPoint(slot, k, later)
	if carrier == binder.PointNone {
		return // it does not attest then
	}
	for _, f := range p.Check(name, s.Attester, c.p.settingOf(s, m), carrier) {
		if key := f.Name + f.Msg; !told[key] {
			told[key] = true
			c.finding(f, texts)
		}
	}
}

// finding tells what is wrong with an expression, at its place in the file.
func (c *compiler) finding(f binder.Finding, texts map[string]*value) {
	at := texts[f.Name].at(f.Offset)
	switch f.Kind {
	case binder.FindingError:
		c.fail(at, ProblemBinder, "%s: %s", f.Name, f.Msg)
	case binder.FindingContext:
		c.flaw("context_bound", f.Name, at, "%s: %s", f.Name, f.Msg)
	case binder.FindingNarrow:
		c.warn(at, ProblemBinder, "%s: %s", f.Name, f.Msg)
	}
}

// postHandshakeBinder compiles the definitions that post-handshake
// authentication replaces.
func (c *compiler) postHandshakeBinder(defs []binder.Definition, texts map[string]*value, v binder.Variant) {
	if c.p.Binder.PostHandshake = c.replaced("post_handshake", defs, texts, v); c.p.Binder.PostHandshake != nil {
		c.available(c.p.Binder.PostHandshake, texts, true)
	} else if c.p.Binder.Program != nil && c.p.hasSlotsAfter() {
		c.available(c.p.Binder.Program, texts, true)
	}
}

// replaced is the program of a phase, whose definitions replace those of the handshake; nil:
// it replaces none, or cannot.
func (c *compiler) replaced(phase string, defs []binder.Definition, texts map[string]*value,
	v binder.Variant) *binder.Program {
	later, replaced := slices.Clone(defs), 0
	for _, e := range c.doc.under("binder", phase, "define") {
		i := slices.IndexFunc(later, func(d binder.Definition) bool { return d.Name == e.key })
		if i < 0 && c.dead(e.pos, "binder", phase, "define", e.key) {
			continue
		}
		if i < 0 {
			c.fail(e.pos, ProblemBinder, "binder.define has no %s that %s could replace", e.key, phase)
			return nil
		}
		replaced++
		later[i].Text = e.value.text
		texts[e.key] = e.value
	}
	if replaced == 0 {
		return nil
	}
	return c.program(later, texts, v)
}
