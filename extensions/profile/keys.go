package profile

import (
	"encoding/hex"
	"slices"
	"sort"
	"strconv"
	"strings"

	"attls"
	"attls/extensions/schema"
)

// scalar says what the text of a scalar must be.
type scalar uint8

const (
	scalarText scalar = iota
	scalarNumber
	scalarOctets // 0x and hexadecimal digits
	scalarFlag
)

// key is one key of a profile: what may stand under it and what that means. The
// loader checks documents against this table and the reference is printed from
// it, so that the two cannot part.
type key struct {
	name   string
	text   string
	form   form
	scalar scalar
	words  words           // the only texts of a scalar
	keys   []*key          // of a map
	each   *key            // what stands under the other keys of a map, and in a list
	names  func() []string // the other keys, where they are a closed list
	ref    bool            // the text, or each of a list, is a name or a path of names
	refs   bool            // the keys of a map are names
	free   bool            // what is in it is checked elsewhere
	meta   bool            // changes neither the wire nor a verdict
	expr   bool            // the text is an expression of the binder language
}

func text(name, meaning string) *key { return &key{name: name, form: formScalar, text: meaning} }
func number(name, meaning string) *key {
	return &key{name: name, form: formScalar, scalar: scalarNumber, text: meaning}
}
func flag(name, meaning string) *key {
	return &key{name: name, form: formScalar, scalar: scalarFlag, words: flagWords, text: meaning}
}
func oneOf(name string, w words, meaning string) *key {
	return &key{name: name, form: formScalar, words: w, text: meaning}
}
func list(name, meaning string) *key {
	return &key{name: name, form: formList, each: text("", ""), text: meaning}
}
func group(name, meaning string, keys ...*key) *key {
	return &key{name: name, form: formMap, keys: keys, text: meaning}
}
func each(name, meaning string, k *key) *key {
	return &key{name: name, form: formMap, each: k, text: meaning}
}
func (k *key) metadata() *key { k.meta = true; return k }

// expression marks a key whose text is of the binder language.
func (k *key) expression() *key { k.expr = true; return k }

// named marks a key whose text, or the texts of whose list, are names that a
// profile gives: of types, fields, enumerators, extensions, messages, alerts.
func (k *key) named() *key {
	k.ref = true
	if k.each != nil {
		k.each.named()
	}
	return k
}

// namedKeys marks a map whose keys are such names.
func (k *key) namedKeys() *key { k.refs = true; return k }

// byRole is a map with a value for each end.
func byRole(name, meaning string, of func(name, meaning string) *key) *key {
	return group(name, meaning, of("client", "of the client"), of("server", "of the server"))
}

func messageNames() []string {
	var list []string
	for _, k := range placeable {
		list = append(list, k.Name())
	}
	return list
}

// placeable are the messages that carry extensions.
var placeable = []attls.MessageKind{attls.KindClientHello, attls.KindServerHello, attls.KindHelloRetryRequest,
	attls.KindEncryptedExtensions, attls.KindCertificateRequest, attls.KindCertificate, attls.KindNewSessionTicket,
	attls.KindClientCertificateRequest}

// causeNames are the causes that a profile gives alerts.
func causeNames() []string {
	list := []string{"no_scheme"}
	for _, f := range attls.AttestationFailures {
		list = append(list, strings.TrimPrefix(string(f), "attestation."))
	}
	return list
}

func bindingNames() []string {
	var list []string
	for _, m := range modelWords[:2] {
		for _, k := range kindWords {
			list = append(list, m.name+"/"+k.name)
		}
	}
	return list
}

var placementKey = group("", "a message in which the extension may appear",
	text("body", "the type of the body in this message, where it is another one than elsewhere").named(),
	&key{name: "offered_by", form: formScalar | formList | formMap, each: &key{form: formList, each: text("", "").named()},
		names: roleWords.names,
		text: "what the peer must have sent for the extension to be an answer, as message.extension: any of a list, for " +
			"each sender; the word any: nothing"},
	oneOf("entries", entriesWords, "in which CertificateEntry"),
	list("also_in", "post_handshake: the message of post-handshake authentication as well"),
	oneOf("trailing_octets", trailingWords, "octets after a complete body"))

var extensionKey = &key{form: formMap, text: "an extension", names: messageNames, each: placementKey, keys: []*key{
	text("body", "the type of the body, or opaque: octets without a length of their own").named(),
	oneOf("unknown_arm", unknownArmWords, "a number in the body that selects no arm"),
	oneOf("phase", extensionPhaseWords, "the phase to whose messages the extension belongs"),
}}

var nonceKey = &key{name: "nonce", form: formScalar | formMap, ref: true,
	text: "path of the nonce, as message.extension.field; or how it is written into a field that an RFC defines",
	keys: []*key{
		oneOf("in", fieldWords, "the field"),
		text("as", "template of the field's text, with {nonce} once, as {nonce}.example; of certificate_authorities a name, "+
			"as O=Example,CN={nonce}, its types by short name or object identifier"),
		oneOf("codec", codecWords, "how the octets of the nonce become text"),
		text("octets", "of the nonce: a number, or the least and the most, as 8..64"),
		number("offset", "where the nonce begins in random, in octets"),
		oneOf("selected", selectedWords, "whether a server may select the ALPN name"),
	}}

// root is the table of all keys.
var root = group("", "",
	text("profile", "identifier, as it is given to --profile").metadata(),
	text("base",
		"the profile that this one changes: maps merge, scalars and lists replace, null deletes, a type replaces the type "+
			"of its name").metadata(),
	group("draft", "where the revision comes from",
		text("name", "name of the document"), text("revision", "its revision"), text("date", "its date"),
		oneOf("status", statusWords, "the state of the text"), text("note", "anything worth knowing")).metadata(),
	group("code_points", "numbers; every one can be overridden for a run",
		each("extensions", "TLS ExtensionType Values", number("", "")).namedKeys(),
		each("messages", "TLS HandshakeType", number("", "")).namedKeys(),
		each("certificate_types", "TLS Certificate Types", number("", "")).namedKeys(),
		each("alerts", "TLS Alerts", number("", "")).namedKeys(),
		each("flags", "TLS Flags (draft-ietf-tls-tlsflags)", number("", "")).namedKeys(),
		each("key_updates", "subtypes of ExtendedKeyUpdate (draft-ietf-tls-extended-key-update)",
			number("", "")).namedKeys()),
	&key{name: "types", form: formTypes, text: "structures in TLS presentation language (RFC 8446 3)"},
	each("extensions", "the extensions, their bodies and their placement", extensionKey).namedKeys(),
	each("messages",
		"handshake messages that the profile adds, each in a place of the table below; one is sent where it has "+
			"something to say: the payload of an attester whose scheme was chosen, a choice, a nonce",
		group("", "a message",
			text("body", "the type of the body").named(),
			text("after", "the message that it follows; it may be left out where before says it alone"),
			text("before", "the message that it precedes; it may be left out where after says it alone"),
			list("also_in", "post_handshake: in post-handshake authentication as well"))).namedKeys(),
	keyUpdatesKey,
	x509Key,
	objectsKey,
	framesKey,
	group("bind", "what the fields mean",
		each("schemes", "how an element of a list becomes a scheme, by its type", group("", "a type of element",
			&key{name: "model", form: formScalar | formMap, words: modelWords, each: oneOf("", modelWords[:2], ""),
				keys: []*key{text("field", "the field that says so").named()}, refs: true,
				text: "the model; or the field that tells it and the model for each enumerator"},
			&key{name: "credential", form: formScalar | formMap, words: kindWords, each: oneOf("", kindWords, ""),
				keys: []*key{text("field", "the field that says so").named()}, refs: true,
				text: "the credential kind; or the field that tells it and the kind for each enumerator"},
			list("format",
				"fields that hold the format: a number is a content format, octets are a media type; self: the element itself").
				named(),
			text("verifier", "the field that holds the identity of the Verifier").named(),
			&key{name: "formats", form: formMap, each: list("", ""), refs: true,
				text: "numbers or enumerators of the profile's own, and the formats that each means"})).namedKeys(),
		each("slots", "an attester and a list of schemes for it", group("", "a slot",
			oneOf("attester", roleWords, "who attests"),
			oneOf("phase", phaseWords, "when the attester shows its payload"),
			oneOf("models", modelWords, "in the phase authenticator: what the payload may be, since no scheme is chosen"),
			oneOf("always", alwaysWords, "nothing is offered or chosen: the attester attests under this model and credential "+
				"whenever it shows a certificate and, where the slot has a nonce, was sent one. The payload is in a field of x509"),
			oneOf("flag", flagSchemeWords, "a flag takes the place of the list: offer names the field that has it, and choice "+
				"the one in which the server repeats it; it is for this model and credential"),
			&key{name: "value", form: formScalar, scalar: scalarOctets,
				text: "the constant that is the flag; without it offer and choice name extensions, whose presence is the flag"},
			text("offer", "path of the list, as message.extension.field, in client_hello; in the phase authenticator the "+
				"extension of the request that asks for the payload, as client_certificate_request.extension, or any: each "+
				"request asks").named(),
			text("choice",
				"path of the choice, in hello_retry_request, server_hello, encrypted_extensions or certificate_request, or in a "+
					"message that the server adds before its certificate, as message.field: an element, or a list of none or one; "+
					"a server sends a HelloRetryRequest for the answers that are in it").named(),
			nonceKey,
			text("carried_in",
				"path of the payload, where it is another one than that of the credential kind: slots of one attester with "+
					"paths of their own are answered each, and each of their verdicts has to accept; in the phase "+
					"application_frame as frame.member, in the phase key_update as message.field").named(),
			text("inside", "what the payload field contains, where that is not the payload alone: an object and the member "+
				"of it that has the payload, as object.member").named())).namedKeys(),
		&key{name: "credentials", form: formMap, names: kindWords.names, text: "the credential kinds",
			each: group("", "a credential kind",
				text("carried_in", "path of the payload: certificate.cert_data, certificate.extension.field, message.field or "+
					"certificate.x509.field").named(),
				oneOf("entries", oneEntryWords, "how many CertificateEntries"),
				text("certificate_type", "X509, or a name of code_points.certificate_types").named(),
				oneOf("negotiated_by", negotiatedWords, "how the certificate type is agreed on"),
				oneOf("key_from", keyWords, "where the key that verifies CertificateVerify comes from"),
				oneOf("pkix", pkixWords, "validation of the certification path"),
				oneOf("request_context", contextWords, "certificate_request_context of the attester's Certificate"),
				list("keys", "the only keys that may attest, as secp256r1"))}),
	group("negotiation", "the parameters of the rules",
		group("offer", "the client builds its lists",
			oneOf("when_empty", emptyOfferWords, "a slot without schemes"),
			number("at_least", "schemes in all slots together, at least"),
			oneOf("client_slots_need", needWords, "what a client needs that offers to attest"),
			each("first", "an element that must be first in the client's list, field by field", text("", "").named()).
				namedKeys()),
		group("choose", "the server chooses",
			oneOf("order", orderWords, "whose preference decides"),
			oneOf("per_attester", perAttesterWords, "schemes for one attester")),
		group("no_scheme", "nothing is in common",
			oneOf("scope", scopeWords, "what is counted"),
			oneOf("then", thenWords, "what the server does"),
			each("null_choice", "the fixed answer, field by field", text("", "").named()).namedKeys()),
		oneOf("unwilling", unwillingWords, "a server that wants attestation of no role"),
		group("answer", "the client checks the choices",
			oneOf("none", answerWords, "nothing was chosen"),
			oneOf("client_choice_needs", requestWords, "what a choice for the client needs")),
		group("match", "what a CMW must agree with",
			oneOf("format", matchWords, "the type inside the CMW against the chosen format")),
		group("verdict", "how far a relying party goes without a verdict",
			oneOf("before", verdictWords, "the step that waits for it"))),
	&key{name: "nonce", form: formMap,
		text: "nonces, which the relying party sends: in client_hello for a server; in hello_retry_request, server_hello, " +
			"encrypted_extensions, certificate_request or a message that the server adds for a client; each later " +
			"CertificateRequest that carries one has another", keys: []*key{
			number("receive_at_most", "longest nonce that an attester takes and a relying party sends, in octets"),
			number("size", "octets requested from a source of nonces that does not say how many it wants"),
			{name: "default", form: formScalar, scalar: scalarOctets, text: "sent instead of a fresh nonce"}}},
	group("binder", "what Evidence is bound to",
		oneOf("transcript", transcriptWords, "how the ranges read a transcript with a HelloRetryRequest"),
		each("define", "definitions of the binder language", text("", "").expression()),
		&key{name: "challenge", form: formMap, names: bindingNames, each: text("", "").expression(),
			text: "what the Attester is given, for model/kind; none: nothing"},
		group("post_handshake", "the binder of post-handshake authentication",
			each("define", "definitions that replace those of the handshake", text("", "").expression())),
		group("authenticator", "the binder of exported authenticators",
			&key{name: "challenge", form: formMap, names: laterBindingNames, each: text("", "").expression(),
				text: "what the Attester is given, for model/kind; none: nothing"}),
		group("key_update", "the binder of an attestation with an Extended Key Update",
			each("define", "definitions that replace those of the handshake", text("", "").expression())),
		group("application_frame", "the binder of frames of the application",
			&key{name: "challenge", form: formMap, names: laterBindingNames, each: text("", "").expression(),
				text: "what the Attester is given, for model/kind; none: nothing"}),
		each("claims", "values that Evidence carries besides the challenge", group("", "a claim",
			text("value", "an expression").expression(),
			oneOf("where", whereWords, "where it is"))),
		group("hand_over", "how values reach Attester and Appraiser",
			oneOf("fit", fitWords, "how a challenge enters a field of another size"),
			list("values", "definitions that the Appraiser is given by value")),
		each("exporters", "exporters that applications may use, by name, and the secret of each", text("", ""))),
	&key{name: "alerts", form: formMap, names: causeNames, each: text("", "").named(),
		text: "the alert of each cause; none: go on; close: close without an alert"},
	group("after", "after the handshake",
		group("resumption", "resumption of an attested session",
			oneOf("accept", acceptWords, "whether a server accepts a PSK"),
			oneOf("refused", refusedWords, "what follows a refusal"),
			oneOf("tickets", ticketWords, "whether a server sends tickets"),
			oneOf("early_data", ticketWords, "whether a server accepts early data"),
			oneOf("received_tickets", receivedWords, "what a client does with tickets"),
			oneOf("external_psk_only", externalWords, "an external PSK without certificates")),
		group("post_handshake", "post-handshake authentication",
			flag("client_authentication", "whether a client attests in it"),
			oneOf("choice", choiceWords, "where the choice of a scheme is")),
		authenticatorKey, updateKey, exchangeKey),
	group("quirks", "general switches of the engine",
		byRole("signature_encoding", "ECDSA signatures in CertificateVerify", func(n, m string) *key {
			return oneOf(n, signatureWords, m)
		}),
		byRole("signature_schemes", "the only signature schemes", list),
		flag("no_ccs", "change_cipher_spec is never sent"),
		flag("never_fragment", "a handshake message never spans records"),
		number("messages_per_record", "handshake messages in a record, at most"),
		number("pad_to", "TLSInnerPlaintext is padded to a multiple of so many octets"),
		flag("retain_handshake_read_key", "an alert under the handshake key is read after Finished"),
		flag("accept_plaintext_alerts", "an unprotected alert is read until the peer's first protected record"),
		flag("accept_new_random", "the second ClientHello may have another random than the first"),
		flag("accept_reordered_hello", "the second ClientHello may have the extensions of the first in another order"),
		flag("empty_session_id", "legacy_session_id is sent empty"),
		list("never_send", "messages that are never sent"),
		list("encrypted_extensions_only", "the only extensions of EncryptedExtensions").named()),
	&key{name: "accepted_flaws", form: formMap, names: flawWords.names,
		each: &key{form: formScalar | formList, each: text("", "").named()},
		text: "defects of the text that the profile acknowledges: where it is told (an id), or the fields concerned"},
	each("switches", "ambiguities of the text: amb, default, why, and a value for each reading",
		&key{form: formMap, free: true}).metadata(),
)

func (k *key) find(name string) *key {
	for _, c := range k.keys {
		if c.name == name {
			return c
		}
	}
	return nil
}

// known are the keys that a map takes, for suggestions.
func (k *key) known() []string {
	var list []string
	for _, c := range k.keys {
		list = append(list, c.name)
	}
	if k.names != nil {
		list = append(list, k.names()...)
	}
	return list
}

// check holds a value against its key; path is for messages.
func (k *key) check(v *value, path string) (found schema.Problems) {
	if v.refers() {
		return nil // the reading is checked in its place
	}
	if v.form&k.form == 0 {
		what := "structures"
		if k.form != formTypes {
			what = k.form.String()
		}
		return schema.Problems{problem(v.pos, ProblemValue, "%s is %s, not %s", path, what, v.form)}
	}
	switch v.form {
	case formScalar:
		if p := k.checkScalar(v, path); p != nil {
			found = append(found, p)
		}
	case formList:
		for _, x := range v.items {
			item := k.each
			if item.form == formList { // a list of a map's value, here given for all roles
				item = item.each
			}
			found = append(found, item.check(x, path)...)
		}
	case formMap:
		if k.free {
			return found
		}
		for _, e := range v.entries {
			found = append(found, k.checkEntry(e, path)...)
		}
	}
	return found
}

func (k *key) checkEntry(e *entry, path string) schema.Problems {
	child := k.find(e.key)
	at := strings.TrimPrefix(path+"."+e.key, ".")
	if child == nil && k.each != nil {
		child = k.each
		if k.names != nil && !slices.Contains(k.names(), e.key) {
			child = nil
		}
	}
	if child == nil {
		where := "a profile"
		if path != "" {
			where = path
		}
		known := k.known()
		p := nearest(problem(e.pos, ProblemKey, "%s has no key %s", where, e.key), e.key, known)
		if p.Advice == "" {
			sort.Strings(known)
			p.Advice = "it takes " + strings.Join(known, ", ")
		}
		return schema.Problems{p}
	}
	return child.check(e.value, at)
}

func (k *key) checkScalar(v *value, path string) *schema.Problem {
	switch {
	case k.words != nil && k.words.find(v.text) == nil:
		names := k.words.names()
		return nearest(problem(v.pos, ProblemValue, "%s is one of %s, not %s", path, strings.Join(names, ", "), v.text),
			v.text, names)
	case k.scalar == scalarNumber:
		if _, err := strconv.ParseUint(v.text, 0, 32); err != nil {
			return problem(v.pos, ProblemValue, "%s is a number, not %s", path, v.text)
		}
	case k.scalar == scalarOctets:
		if _, ok := octetsOf(v.text); !ok {
			return problem(v.pos, ProblemValue, "%s is 0x and pairs of hexadecimal digits, not %s", path, v.text)
		}
	}
	return nil
}

func octetsOf(s string) ([]byte, bool) {
	h, ok := strings.CutPrefix(s, "0x")
	b, err := hex.DecodeString(h)
	return b, ok && err == nil
}
