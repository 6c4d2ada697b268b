package profile

import (
	"slices"
	"strings"

	"attls"
	"attls/extensions"
	"attls/extensions/profile/binder"
	"attls/extensions/schema"
)

// Phase is when the attester of a slot shows its payload. A profile may have slots of
// several phases.
type Phase uint8

// The phases that work.
const (
	PhaseHandshake     Phase = iota
	PhaseAuthenticator       // an exported authenticator (RFC 9261), after the handshake
	PhaseFrame               // a frame that the application defines, after the handshake
	PhaseKeyUpdate           // with each Extended Key Update
	PhasePostHandshake       // post-handshake authentication of the client (RFC 8446 4.6.2)
)

// LaterSlot is an attester that shows its payload after the handshake: in exported
// authenticators, whenever the peer asks for it, or in frames of the application. No scheme is
// negotiated: both ends know it.
type LaterSlot struct {
	Name     string
	Attester attls.Role
	Phase    Phase
	Offer    Place // the extension of the request that asks for the payload
	// Every says that each request asks for the payload, also one without that extension;
	// Silent, that no request has it.
	Every, Silent bool
	Carriage
	// Of PhaseFrame: the frame that has the payload, and the one that has the nonce, an index
	// into Profile.Frames; -1: there is none.
	Frame, NonceFrame int
	NonceMin          int // octets
	NonceMax          int
	// Object is what the payload field contains, an index into Profile.Objects, in which a
	// member has the payload; -1: the payload itself.
	Object int
	Models []Model
}

// Framing is how requests and authenticators travel in application data.
type Framing uint8

// The framings.
const (
	// FramingApplication: the application carries them.
	FramingApplication Framing = iota
	// FramingMessages: as they are, one message after the other.
	FramingMessages
	// FramingTyped: a type octet and a length in front of each.
	FramingTyped
)

// AuthenticatorRules are the rules of `after.authenticator`.
type AuthenticatorRules struct {
	Framing Framing
	// Of FramingTyped: the type octets, that of application data -1 where this has no
	// frames, and how many octets the length has.
	Request, Answer, Data int
	LengthOctets          int
	DataBefore            bool // application data may come before the verdict
	NonceContext          bool // the context is a nonce of the Verifier, where it gives one
	ContextOctets         int  // of the context that is drawn
	Report                bool // a failure is reported to the application and ends nothing
	// FlagName is the TLS flag that a client sets in ClientHello and a server in
	// EncryptedExtensions, without which nothing is asked for; empty: nothing is negotiated.
	FlagName string
	Flag     attls.TLSFlag
}

// Repeats reports whether a second request can be told from application data, so that an
// attester can be asked to attest again.
func (r *AuthenticatorRules) Repeats() bool { return r.Framing == FramingTyped && r.Data >= 0 }

// Waits reports whether application data waits for the attestations at the beginning,
// which is also where it could not be told from them.
func (r *AuthenticatorRules) Waits() bool { return !r.DataBefore || !r.Repeats() }

const (
	defaultContext = 32
	maxContext     = 255
)

var authenticatorKey = group("authenticator", "attestation in exported authenticators (RFC 9261)",
	&key{name: "framing", form: formScalar | formMap, words: framingWords,
		text: "how requests and authenticators travel; or the frames, which have a type octet and a length in front",
		keys: []*key{
			number("request", "the type octet of a request"),
			number("answer", "the type octet of an authenticator"),
			number("data", "the type octet of application data; without it, application data has no frames and comes after "+
				"the authenticators, and nobody can be asked again"),
			number("length", "octets of the length, 1 to 4; it does not count the type and itself"),
		}},
	oneOf("data_before", dataWords, "application data before the verdict"),
	oneOf("context", contextValueWords, "what certificate_request_context of a request is"),
	number("context_octets", "octets of the context that is drawn, 1 to 255"),
	oneOf("failed", failedWords, "what a failed authenticator or appraisal does to the connection"),
	text("flag", "a name of code_points.flags: the client sets the flag in client_hello and the server in "+
		"encrypted_extensions; "+
		"without it no end asks, and the extensions are unknown").named())

func laterBindingNames() []string {
	return []string{ModelEvidence.String() + "/" + KindX509.String(), ModelResults.String() + "/" + KindX509.String()}
}

// laterParts are the entries of a document that are about authenticators.
type laterParts struct{ extensions, slots []*entry }

// takeLater takes what is about authenticators out of the document, so that what reads
// the rest sees the handshake only.
func (c *compiler) takeLater() {
	split := func(w words, keys ...string) (taken []*entry) {
		all := c.doc.under(keys...)
		kept := make([]*entry, 0, len(all))
		for _, e := range all {
			v := e.value.get("phase")
			phase := int(PhaseHandshake)
			if v != nil {
				phase = w.value(v)
			}
			switch {
			case phase == int(PhaseAuthenticator):
				taken = append(taken, e)
			case phase == int(PhaseFrame):
				c.framed = append(c.framed, e)
			case phase == int(PhaseKeyUpdate):
				c.updating = append(c.updating, e)
			default:
				kept = append(kept, e)
			}
		}
		if len(kept) < len(all) {
			c.doc = c.doc.withEntries(kept, keys...)
		}
		return taken
	}
	c.taken = laterParts{split(extensionPhaseWords, "extensions"), split(phaseWords, "bind", "slots")}
	slices.SortStableFunc(c.taken.slots, serverFirst)
	slices.SortStableFunc(c.framed, serverFirst)
	slices.SortStableFunc(c.updating, serverFirst)
	for _, e := range c.doc.under("extensions") {
		if v := e.value.entry(attls.KindClientCertificateRequest.Name()); v != nil {
			c.fail(v.pos, ProblemValue, "%s is a message of exported authenticators", v.key).Advice =
				"say phase: authenticator in the extension"
		}
	}
	for _, e := range c.doc.under("bind", "slots") {
		if v := e.value.entry("models"); v != nil {
			c.fail(v.pos, ProblemKey, "%s is of the handshake, where the element of its list says the model", e.key).Advice =
				"remove models, or say phase: authenticator"
		}
	}
}

// serverFirst is the order of slots, as in the handshake.
func serverFirst(a, b *entry) int {
	if x, y := a.value.get("attester").is("server"), b.value.get("attester").is("server"); x != y {
		if x {
			return -1
		}
		return 1
	}
	return strings.Compare(a.key, b.key)
}

// authenticators reads the slots of authenticators with a compiler of their own, which
// shares numbers and types.
func (c *compiler) authenticators() {
	if len(c.taken.slots)+len(c.taken.extensions) == 0 {
		for _, keys := range [][]string{{"after", "authenticator"}, {"binder", "authenticator"}} {
			if v := c.doc.get(keys...); v != nil && !c.dead(v.pos, keys...) {
				c.fail(v.pos, ProblemRule, "no slot attests in authenticators, which %s is about", strings.Join(keys, ".")).
					Advice = "say phase: authenticator in a slot, or remove it"
			}
		}
		return
	}
	l := &compiler{doc: c.doc.withEntries(c.taken.extensions, "extensions"), p: &Profile{}, numbers: c.numbers,
		types: c.types, errors: c.errors}
	l.codec = &codec{p: l.p, bodies: map[site]*body{}, types: c.types, schemes: map[string]*schemeType{},
		known: &encodings{wires: map[schemeKey][]byte{}}}
	l.laterExtensions(c.taken.extensions)
	if l.problems.Err() == nil {
		l.laterSlots(c.taken.slots)
	}
	if l.problems.Err() == nil {
		l.unusedLater(c.taken.extensions)
		l.unplaced()
		l.bounds()
	}
	c.problems, c.errors, c.flaws = append(c.problems, l.problems...), l.errors, append(c.flaws, l.flaws...)
	c.p.dead, c.p.unused = append(c.p.dead, l.p.dead...), append(c.p.unused, l.p.unused...)
	slices.SortFunc(l.p.Extensions, func(a, b extensions.Row) int { return int(a.Type) - int(b.Type) })
	c.p.Later, c.p.LaterExtensions, c.p.later = l.p.Later, l.p.Extensions, l.codec
	c.authenticatorRules()
}

// laterExtensions reads the extensions of authenticators.
func (c *compiler) laterExtensions(list []*entry) {
	for _, e := range list {
		for _, m := range e.value.entries {
			kind, ok := attls.KindByName(m.key)
			switch {
			case !ok:
			case kind != attls.KindCertificateRequest && kind != attls.KindClientCertificateRequest &&
				kind != attls.KindCertificate:
				c.fail(m.pos, ProblemPath, "%s in %s: an authenticator and its requests have no such message", e.key, m.key).
					Advice = "name client_certificate_request, certificate_request or certificate, or say phase: handshake"
			default:
				if v := m.value.entry("also_in"); v != nil && !c.dead(v.pos, "extensions", e.key, m.key, "also_in") {
					c.fail(v.pos, ProblemRule, "an extension of authenticators is in no other phase").Advice = "remove also_in"
				}
			}
		}
	}
	if c.problems.Err() != nil {
		return
	}
	c.extensions()
	for i := range c.p.Extensions {
		list := c.p.Extensions[i].Placements
		for k := range list {
			list[k].PostHandshake = true // as package authenticator asks
		}
		slices.SortFunc(list, func(a, b extensions.Placement) int { return int(a.Message) - int(b.Message) })
	}
}

// requestOf is the message with which the relying party of an attester asks.
func requestOf(attester attls.Role) attls.MessageKind {
	if attester == attls.RoleServer {
		return attls.KindClientCertificateRequest
	}
	return attls.KindCertificateRequest
}

// laterBasics reads who attests in a slot, and what the payload may be.
func (c *compiler) laterBasics(s *LaterSlot, e *entry) {
	if v := e.value.get("attester"); v != nil {
		s.Attester = attls.Role(roleWords.value(v))
	} else {
		c.fail(e.pos, ProblemKey, "%s does not say its attester", e.key)
	}
	if v := e.value.get("models"); v == nil {
		c.fail(e.pos, ProblemKey, "%s does not say what its payload may be", e.key).Advice =
			"say models: evidence, results or any"
	} else if m := modelWords.value(v); m == modelAny {
		s.Models = []Model{ModelEvidence, ModelResults}
	} else {
		s.Models = []Model{Model(m)}
	}
	if slices.ContainsFunc(c.p.Later, func(o LaterSlot) bool { return o.Attester == s.Attester }) {
		c.fail(e.pos, ProblemRule, "the %s has two slots of one phase after the handshake, and an answer fills one",
			s.Attester).Advice =
			"remove one of them"
	}
}

func (c *compiler) laterSlots(list []*entry) {
	for _, e := range list {
		s := LaterSlot{Name: e.key, Phase: PhaseAuthenticator, Frame: -1, NonceFrame: -1, Object: -1}
		c.laterBasics(&s, e)
		for _, key := range []string{"choice", "nonce", "always"} {
			if v := e.value.entry(key); v != nil {
				c.fail(v.pos, ProblemRule, "a slot of authenticators has no %s: an end that is asked shows what it has",
					key).Advice = "remove it"
			}
		}
		slot := len(c.p.Later)
		if c.laterOffer(&s, e) && c.laterCarriage(&s, e, slot) {
			c.p.Later = append(c.p.Later, s)
		}
	}
}

// everyRequest is an offer: each request asks for the payload. Where the extension that
// carries it has a place in the request, it is sent there as well.
const everyRequest = "any"

// laterOffer reads which extension of a request asks for the payload.
func (c *compiler) laterOffer(s *LaterSlot, e *entry) bool {
	v := e.value.get("offer")
	if v == nil {
		c.fail(e.pos, ProblemKey, "%s has no offer", e.key).Advice =
			"say offer: " + requestOf(s.Attester).Name() + ".extension"
		return false
	}
	if v.text == everyRequest {
		s.Every, s.Silent, s.Offer.Message = true, true, requestOf(s.Attester)
		return true
	}
	name, ext, _ := strings.Cut(v.text, ".")
	if want := requestOf(s.Attester).Name(); name != want {
		c.fail(v.pos, ProblemPath, "%s: the %s is asked in %s, not in %s", v.text, s.Attester, want, name)
		return false
	}
	if strings.Contains(ext, ".") {
		c.fail(v.pos, ProblemPath, "%s: the extension itself asks, and no field of it", v.text).Advice =
			"name the extension only"
		return false
	}
	x, ok := c.extension(ext, v)
	if !ok {
		return false
	}
	s.Offer = Place{Message: requestOf(s.Attester), Extension: x.Type}
	if c.codec.bodies[site{s.Offer.Message, s.Attester.Peer(), x.Type}] == nil {
		c.fail(v.pos, ProblemPath, "%s: %s has no place in %s", v.text, ext, name)
		return false
	}
	return true
}

// laterCarriage reads where the payload is.
func (c *compiler) laterCarriage(s *LaterSlot, e *entry, slot int) bool {
	v := e.value.get("carried_in")
	if v == nil {
		c.fail(e.pos, ProblemKey, "%s does not say where its payload travels", e.key).Advice =
			"say carried_in: certificate.extension.field"
		return false
	}
	if name, _, _ := strings.Cut(v.text, "."); name != attls.KindCertificate.Name() || v.text == certData ||
		strings.HasPrefix(v.text, x509Path) {
		c.fail(v.pos, ProblemPath, "%s: an authenticator carries a payload in an extension of certificate", v.text)
		return false
	}
	where, ok := c.carriage(v, slot, []attls.Role{s.Attester})
	if !ok {
		return false
	}
	s.Carriage = where
	x := c.rowOf(where.Extension)
	if s.Every {
		s.Silent = c.codec.bodies[site{s.Offer.Message, s.Attester.Peer(), x.Type}] == nil
		s.Offer.Extension = x.Type
	}
	if p := x.In(attls.KindCertificate); !p.Unsolicited && !slices.Contains(p.OfferedBy[s.Attester],
		extensions.Offer{Message: s.Offer.Message, Extension: s.Offer.Extension}) {
		c.fail(v.pos, ProblemPath, "%s answers nothing that the request of slot %s has, so the peer would refuse it", v.text,
			s.Name).Advice = "name " + e.value.get("offer").text + " in offered_by"
	}
	return true
}

func (c *compiler) rowOf(t attls.ExtensionType) *extensions.Row {
	x, _ := c.p.Extension(t)
	return x
}

// unusedLater refuses what no slot sends.
func (c *compiler) unusedLater(list []*entry) {
	for _, b := range c.codec.order {
		used := slices.ContainsFunc(c.p.Later, func(s LaterSlot) bool {
			return !s.Silent && s.Offer.Message == b.kind && s.Offer.Extension == b.ext && s.Attester != b.sender ||
				b.kind == attls.KindCertificate && s.Extension == b.ext // of whichever end
		})
		if !used {
			c.fail(b.pos, ProblemUnbound, "no slot asks or answers with %s in %s, so it would never be sent", b.name,
				b.kind.Name()).Advice = "name it in a slot of the phase authenticator, or remove it"
		}
	}
	if len(c.p.Later) == 0 && len(list) > 0 {
		c.fail(list[0].pos, ProblemUnbound, "%s belongs to authenticators, and no slot has that phase", list[0].key)
	}
}

// authenticatorRules reads after.authenticator.
func (c *compiler) authenticatorRules() {
	at := func(keys ...string) []string { return append([]string{"after", "authenticator"}, keys...) }
	r := &c.p.Authenticator
	r.DataBefore = c.word(dataWords, no, at("data_before")...) == yes
	r.NonceContext = c.word(contextValueWords, no, at("context")...) == yes
	r.Report = c.word(failedWords, no, at("failed")...) == yes
	r.ContextOctets = defaultContext
	if v := c.doc.get(at("context_octets")...); v != nil {
		if r.ContextOctets = c.number(at("context_octets")...); r.ContextOctets < 1 || r.ContextOctets > maxContext {
			c.fail(v.pos, ProblemValue, "a certificate_request_context of %s octets; 1 to %d are possible", v.text, maxContext)
		}
	}
	if v := c.doc.get(at("flag")...); v != nil {
		if n, ok := c.numberOf("flags", v.text, v.pos); ok {
			r.FlagName, r.Flag = v.text, attls.TLSFlag(n)
		}
	}
	v := c.doc.get(at("framing")...)
	switch {
	case v == nil:
	case v.form == formScalar:
		r.Framing = Framing(framingWords.value(v))
	default:
		c.frames(r, v)
	}
}

// frames reads a framing with a type octet and a length.
func (c *compiler) frames(r *AuthenticatorRules, v *value) {
	r.Framing, r.Data, r.LengthOctets = FramingTyped, -1, 4
	taken := map[int]string{}
	for _, f := range []struct {
		key  string
		to   *int
		must bool
	}{{"request", &r.Request, true}, {"answer", &r.Answer, true}, {"data", &r.Data, false}} {
		x := v.get(f.key)
		if x == nil {
			if f.must {
				c.fail(v.pos, ProblemKey, "the frames have no type for %s", article(f.key)).Advice = "say " + f.key + ": 1"
			}
			continue
		}
		*f.to = c.number("after", "authenticator", "framing", f.key)
		if *f.to > 255 {
			c.fail(x.pos, ProblemValue, "the type of a frame is an octet, not %s", x.text)
		}
		if other := taken[*f.to]; other != "" {
			c.fail(x.pos, ProblemValue, "%s and %s have the type %d", f.key, other, *f.to)
		}
		taken[*f.to] = f.key
	}
	if x := v.get("length"); x != nil {
		r.LengthOctets = c.number("after", "authenticator", "framing", "length")
		if r.LengthOctets < 1 || r.LengthOctets > 4 {
			c.fail(x.pos, ProblemValue, "a length of %s octets; 1 to 4 are possible", x.text)
		}
	}
}

// availableLater checks the challenges of authenticators.
func (c *compiler) availableLater(p *binder.Program, texts map[string]*value) {
	used := [2]bool{}
	for i := range c.p.Later {
		s := &c.p.Later[i]
		for _, m := range s.Models {
			used[m] = true
			for _, name := range c.p.LaterDefinitions(i, m) {
				for _, f := range p.Check(name, s.Attester, s.setting(), binder.PointKeyExchange) {
					switch f.Kind {
					case binder.FindingError:
						c.fail(texts[f.Name].at(f.Offset), ProblemBinder, "%s: %s", f.Name, f.Msg)
					case binder.FindingContext:
						c.flaw("context_bound", f.Name, texts[f.Name].at(f.Offset), "%s: %s", f.Name, f.Msg)
					}
				}
			}
		}
	}
	for _, e := range slices.Concat(c.doc.under("binder", "authenticator", "challenge"),
		c.doc.under("binder", "application_frame", "challenge")) {
		m, _, _ := strings.Cut(e.key, "/")
		if !used[modelWords.find(m).value] {
			c.fail(e.pos, ProblemBinder, "no slot after the handshake has %s", m).Advice = "remove it"
		}
	}
}

// LaterDefinitions are the definitions of the binder that are needed under a model: the
// challenge, claims, and members of objects. later is an index into Later.
func (p *Profile) LaterDefinitions(later int, m Model) (names []string) {
	if name := p.Binder.Authenticator[m]; name != "" {
		names = append(names, name)
	}
	if m == ModelEvidence {
		for _, x := range p.Binder.Claims {
			names = append(names, x.Expr)
		}
	}
	return append(names, p.definitionsFor(later)...)
}

// LaterSlot is the index into Later of the slot of an attester; -1: it has none.
func (p *Profile) LaterSlot(attester attls.Role) int {
	return slices.IndexFunc(p.Later, func(s LaterSlot) bool { return s.Attester == attester })
}

// LaterExtension finds an extension of authenticators by number.
func (p *Profile) LaterExtension(t attls.ExtensionType) (*extensions.Row, bool) {
	for i := range p.LaterExtensions {
		if p.LaterExtensions[i].Type == t {
			return &p.LaterExtensions[i], true
		}
	}
	return nil, false
}

// laterBody is the codec of an extension of authenticators in a message.
func (p *Profile) laterBody(kind attls.MessageKind, sender attls.Role, t attls.ExtensionType) (*body, *attls.Error) {
	if p.later != nil {
		if b := p.later.bodies[site{kind, sender, t}]; b != nil {
			return b, nil
		}
	}
	return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "%v has no place in %v of authenticators",
		t, kind).By(p.ID)
}

// LaterOffer is the extension of a request that asks for the payload of a slot; slot is
// an index into Later. There is none where the slot is Silent.
func (p *Profile) LaterOffer(slot int) (RawExtension, error) {
	s := &p.Later[slot]
	if s.Silent {
		return RawExtension{}, nil
	}
	b, err := p.laterBody(s.Offer.Message, s.Attester.Peer(), s.Offer.Extension)
	if err != nil {
		return RawExtension{}, err
	}
	raw, err := b.codec.Encode(schema.Value{})
	if err != nil {
		return RawExtension{}, err.Under(b.name)
	}
	return RawExtension{b.ext, raw}, nil
}

// CheckLaterOffer checks the body of the extension with which a request asks for the
// payload of a slot.
func (p *Profile) CheckLaterOffer(slot int, octets []byte) error {
	s := &p.Later[slot]
	b, err := p.laterBody(s.Offer.Message, s.Attester.Peer(), s.Offer.Extension)
	if err != nil {
		return err
	}
	if _, err := b.codec.Decode(octets); err != nil {
		return malformedExtension(b.name, err)
	}
	return nil
}

// String is the word that profiles have for it.
func (p Phase) String() string { return phaseWords.name(int(p)) }
