package model

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
)

// message is one handshake message of a flight: where it is in the handshake, and the
// variable that holds it.
type message struct {
	at   binder.Point
	name string
}

func (g *generator) serverFlight() []message {
	list := []message{{binder.PointEE, "ee"}}
	if g.clientAttests() {
		list = append(list, message{binder.PointCR, "cr"})
	}
	list = append(list, message{binder.PointServerCT, "server_ct"}, message{binder.PointServerCV, "server_cv"},
		message{binder.PointServerFin, "server_fin"})
	return g.withAdded(list, attls.RoleServer)
}

// clientFlight are the messages of the client in front of its Finished.
func (g *generator) clientFlight() []message {
	if !g.clientAttests() {
		return nil
	}
	return g.withAdded([]message{{binder.PointClientCT, "client_ct"}, {binder.PointClientCV, "client_cv"}},
		attls.RoleClient)
}

// withAdded puts the message that carries the payload in its place.
func (g *generator) withAdded(list []message, sender attls.Role) []message {
	if g.cred.Carrier != profile.CarrierMessage || g.o.Attester != sender {
		return list
	}
	list = append(list, message{g.p.Messages[g.cred.Message].At[sender], "attestation"})
	slices.SortStableFunc(list, func(a, b message) int { return int(a.at) - int(b.at) })
	return list
}

func (g *generator) clientAttests() bool { return g.o.Attester == attls.RoleClient }

// exists reports whether the model has a message at a point.
func (g *generator) exists(at binder.Point) bool {
	if at == binder.PointCH || at == binder.PointSH {
		return true
	}
	is := func(m message) bool { return m.at == at }
	return slices.ContainsFunc(g.serverFlight(), is) || slices.ContainsFunc(g.clientFlight(), is)
}

// before names the transcript in front of a message.
func (g *generator) before(at binder.Point) string {
	name := ""
	for _, t := range transcripts {
		if t.at < at && g.exists(t.at) {
			name = t.name
		}
	}
	return name
}

// fields are what a profile adds to a message of TLS: the offer, the choice, the nonce.
func (g *generator) fields(k attls.MessageKind) (list []string) {
	if g.negotiated() && g.slot.Offer.Message == k {
		list = append(list, "offer")
	}
	if g.negotiated() && g.slot.Choice.Message == k {
		list = append(list, "chosen")
	}
	if g.nonce() && g.slot.Nonce.Message == k && !g.slot.Nonce.Random {
		list = append(list, "nonce")
	}
	return list
}

// term is a message of TLS with the fields that the profile adds; as a pattern, a message
// without fields has its constant.
func (g *generator) term(name string, k attls.MessageKind, pattern bool, first ...string) string {
	args := append(first, g.fields(k)...)
	if len(args) == 0 {
		args = []string{"none"}
		if pattern {
			args = []string{"=none"}
		}
	}
	return call(name, args)
}

func (g *generator) signature(name string, k attls.MessageKind, first ...string) string {
	kinds := first
	for range g.fields(k) {
		kinds = append(kinds, "bitstring")
	}
	if len(kinds) == 0 {
		kinds = []string{"bitstring"}
	}
	return "fun " + call(name, kinds) + ": bitstring [data]."
}

// element is one part of a payload: how the attester makes it and how the relying party
// reads and checks it.
type element struct {
	made, read, check string
}

// payload lists the parts of the Evidence.
func (g *generator) payload() []element {
	list := []element{{"chosen", "=chosen", ""}}
	switch {
	case g.o.NoBinder:
		list = append(list, element{"no_binder", "=no_binder", ""})
	case g.challenge() != "":
		d := g.define(g.challenge(), g.o.Attester)
		value := call(d.name, d.params)
		list = append(list, element{value, "challenge: bitstring", "challenge = " + value})
	}
	if g.keyClaim() {
		key := g.o.Attester.String() + "_key"
		if g.x509() {
			list = append(list, element{"spki(" + key + ")", "=spki(" + key + ")", ""})
		} else {
			list = append(list, element{"spki(" + key + ")", "spki(" + key + ")", ""})
		}
	}
	for i, name := range g.claims {
		d := g.define(name, g.o.Attester)
		value, v := call(d.name, d.params), fmt.Sprintf("claim_%d", i+1)
		list = append(list, element{value, v + ": bitstring", v + " = " + value})
	}
	return append(list, element{"details", "details: bitstring", ""})
}

func (g *generator) made() string {
	var parts []string
	for _, e := range g.payload() {
		parts = append(parts, e.made)
	}
	return "evidence(ak(m), " + list(parts) + ")"
}

// certificateFields are the fields of a certificate behind name and key, by what fills
// them.
func (g *generator) certificateFields() (list []string) {
	for i := range g.definitions {
		if slices.Contains(g.definitions[i].params, "cert_dates") {
			return append([]string{"cert_dates"}, g.contentField()...)
		}
	}
	return g.contentField()
}

func (g *generator) contentField() []string {
	if g.inCertificate() {
		return []string{"ev"}
	}
	return nil
}

// certificate is a certificate of an issuer; values of the attester's own fields are given,
// or none for all.
func (g *generator) certificate(issuer, name, key string, own bool) string {
	args := []string{issuer, name, key}
	for _, f := range g.certificateFields() {
		if !own {
			f = "none"
		}
		args = append(args, f)
	}
	return call("cert", args)
}

// hasAuthority says that an authority issues certificates in the model.
func (g *generator) hasAuthority() bool { return g.clientAttests() || g.x509() && g.cred.PKIX }

func (g *generator) issuer() string {
	if g.cred.PKIX {
		return "ca"
	}
	return "tik"
}

// made in session: the certificate of an attester that holds Evidence of the connection.
func (g *generator) perConnection() bool { return g.x509() && g.inCertificate() && !g.cached }

// write puts the model together.
func (g *generator) write() ([]byte, error) {
	w := &writer{}
	var body writer
	g.processes(&body)
	if g.problem != nil {
		return nil, g.problem
	}
	g.header(w)
	g.primitives(w)
	g.messages(w)
	g.binderText(w)
	g.events(w)
	w.Write(body.Bytes())
	g.mainProcess(w)
	if w.Len() > maxModel {
		return nil, g.refuse("the model has more than %d octets", maxModel)
	}
	return w.Bytes(), nil
}

// maxModel bounds the text of a model, in octets.
const maxModel = 1 << 20

type writer struct{ bytes.Buffer }

func (w *writer) line(format string, args ...any) {
	if len(args) == 0 {
		w.WriteString(format)
	} else {
		fmt.Fprintf(w, format, args...)
	}
	w.WriteByte('\n')
}

func (w *writer) title(s string) { w.line("\n(* %s *)", s) }

func (g *generator) header(w *writer) {
	o := &g.o
	mutant := ""
	if o.NoBinder {
		mutant = ", MUTANT: nothing binds the Evidence"
	}
	row := o.Goal.row()
	w.line("(* %s, made by attls profile proverif%s", commented(g.p.ID), mutant)
	w.line("")
	w.line("   attester      %s, with %s, credential %s", o.Attester, o.Model, g.cred.Kind)
	w.line("   goal          %s (%s)", o.Goal, strings.Join(row.Sources, "; "))
	w.line("                 %s", wrap(strings.Fields(row.Text), " ", 80, "                 "))
	w.line("   the attacker")
	for _, c := range o.Capabilities {
		w.line("     %-8s    %s", c, capabilityTexts[c])
	}
	if o.Pinned {
		w.line("   policy        the relying party accepts the platform that it expects, and no other")
	}
	w.line("")
	w.line("   One handshake of TLS 1.3 with one cipher suite, one group and one signature scheme: no")
	w.line("   HelloRetryRequest, pre-shared key, early data or message after the handshake. Sessions, ends,")
	w.line("   platforms and certificates are without number. Hashes, key derivations and encodings are free")
	w.line("   constructors: nothing collides. A flight is one record.")
	if o.Model == profile.ModelResults {
		w.line("   Attestation Results: ak(m) is the key with which a Verifier signs what it found out about m.")
	}
	w.line("   The format of the profile's bodies, its alerts and its rules of resumption are not modelled. *)")
}

func (g *generator) primitives(w *writer) {
	w.line("")
	w.line("free net: channel.")
	w.line("type skey. type pkey. type scalar. type element. type machine. type name.")
	w.title("Key exchange")
	w.line("const G: element.")
	if g.has(Weak) {
		w.line("const bad: element. (* of a group so small that everybody knows every result *)")
		w.line("fun dh(element, scalar): element.")
		w.line("equation forall x: scalar, y: scalar; dh(dh(G, x), y) = dh(dh(G, y), x).")
		w.line("fun exp(element, scalar): element")
		w.line("reduc forall x: scalar; exp(bad, x) = bad")
		w.line("otherwise forall e: element, x: scalar; exp(e, x) = dh(e, x).")
	} else {
		w.line("fun exp(element, scalar): element.")
		w.line("equation forall x: scalar, y: scalar; exp(exp(G, x), y) = exp(exp(G, y), x).")
	}
	w.line("fun octets(element): bitstring [data].")
	w.title("Hashes, key derivation (RFC 8446 section 7.1), record protection")
	w.line("const zero, empty, none, hash_length, key_length, attester_size: bitstring.")
	w.line("fun hash(bitstring): bitstring.")
	w.line("fun hmac(bitstring, bitstring): bitstring.")
	w.line("fun extract(bitstring, bitstring): bitstring. (* salt, input keying material *)")
	w.line("fun expand_label(bitstring, bitstring, bitstring, bitstring): bitstring. (* secret, label, context, length *)")
	schedule := g.schedule()
	for _, c := range g.constants {
		w.line("const %s: bitstring. (* %s *)", c.name, c.text)
	}
	w.WriteString(schedule)
	w.line("fun aead(bitstring, bitstring): bitstring.")
	w.line("reduc forall k: bitstring, m: bitstring; open(k, aead(k, m)) = m.")
	w.title("Signatures, names, certificates")
	w.line("fun pk(skey): pkey.")
	w.line("fun sign(skey, bitstring): bitstring.")
	w.line("fun verify(pkey, bitstring, bitstring): bool")
	w.line("reduc forall k: skey, m: bitstring; verify(pk(k), m, sign(k, m)) = true.")
	w.line("fun spki(pkey): bitstring [data]. (* SubjectPublicKeyInfo *)")
	w.line("fun host(machine): name [data]. (* the name under which its owner runs a platform *)")
	w.line("const mallory: name. (* a name of the attacker's *)")
	if g.clientAttests() {
		w.line("const service: name. (* of the honest servers *)")
	}
	if g.x509() || g.clientAttests() {
		g.certificateText(w)
	}
	w.title("Evidence: what a platform signs, which anyone can read who has it")
	w.line("fun ak(machine): skey [private]. (* attestation keys; a Verifier accepts these and no others *)")
	w.line("const rented: machine. (* a platform of the attacker's *)")
	w.line("fun evidence(skey, bitstring): bitstring.")
	w.line("reduc forall k: skey, c: bitstring; claims(evidence(k, c)) = c.")
	w.line("reduc forall m: machine, c: bitstring; appraise(evidence(ak(m), c)) = (m, c).")
	if g.o.NoBinder {
		w.line("const no_binder: bitstring.")
	}
}

func (g *generator) schedule() string {
	l := func(s string) string { return g.octets([]byte(s)) }
	w := &writer{}
	w.line("letfun derive_secret(s: bitstring, l: bitstring, m: bitstring) = expand_label(s, l, hash(m), hash_length).")
	w.line("letfun handshake_secret(dhe: bitstring) =")
	w.line("  extract(derive_secret(extract(zero, zero), %s, empty), dhe).", l("derived"))
	w.line("letfun main_secret(hs: bitstring) = extract(derive_secret(hs, %s, empty), zero).", l("derived"))
	w.line("letfun traffic_key(s: bitstring) = expand_label(s, %s, empty, key_length).", l("key"))
	w.line("letfun finished_mac(s: bitstring, m: bitstring) =")
	w.line("  hmac(expand_label(s, %s, empty, hash_length), hash(m)).", l("finished"))
	w.line("letfun exporter(s: bitstring, l: bitstring, c: bitstring, n: bitstring) =")
	w.line("  expand_label(derive_secret(s, l, empty), %s, hash(c), n).", l("exporter"))
	return w.String()
}

func (g *generator) certificateText(w *writer) {
	fields := g.certificateFields()
	extra, forall, values := "", "", ""
	for i := range fields {
		extra += ", bitstring"
		forall += fmt.Sprintf(", v%d: bitstring", i+1)
		values += fmt.Sprintf(", v%d", i+1)
	}
	comment := "issuer, name, key"
	for _, f := range fields {
		comment += ", " + map[string]string{"cert_dates": "its dates and number", "ev": "an extension with Evidence"}[f]
	}
	w.line("fun cert(skey, name, pkey%s): bitstring. (* %s *)", extra, comment)
	w.line("reduc forall k: skey, n: name, p: pkey%s; certificate_fields(cert(k, n, p%s)) = (n, p%s).",
		forall, values, values)
	w.line("reduc forall k: skey, n: name, p: pkey%s; check_certificate(pk(k), cert(k, n, p%s)) = (n, p%s).",
		forall, values, values)
	if slices.Contains(fields, "cert_dates") {
		for _, f := range []string{"not_before_seconds", "not_after_seconds", "not_before_text", "not_after_text",
			"serial_number"} {
			w.line("fun %s(bitstring): bitstring.", f)
		}
	}
}

func (g *generator) messages(w *writer) {
	w.title("Messages, with what the profile adds to them")
	w.line("%s", g.signature("client_hello", attls.KindClientHello, "bitstring", "element"))
	w.line("%s", g.signature("server_hello", attls.KindServerHello, "bitstring", "element"))
	w.line("%s", g.signature("encrypted_extensions", attls.KindEncryptedExtensions))
	if g.clientAttests() {
		w.line("%s", g.signature("certificate_request", attls.KindCertificateRequest))
		w.line("fun certificate(bitstring, bitstring): bitstring [data]. (* certificate, other extensions *)")
	}
	parts := g.certificateParts()
	kinds := make([]string, len(parts)+1)
	for i := range kinds {
		kinds[i] = "bitstring"
	}
	w.line("(* Of the attester. Other extensions are any that the peer offered and does not check, such as SCTs. *)")
	w.line("fun attested_certificate(%s): bitstring [data]. (* %s, other extensions *)", comma(kinds), comma(parts))
	if g.cred.Carrier == profile.CarrierMessage {
		w.line("fun attestation_message(bitstring): bitstring [data].")
	}
	w.line("fun certificate_verify(bitstring): bitstring [data].")
	w.line("fun finished(bitstring): bitstring [data].")
	if g.negotiated() {
		w.line("(* Two schemes: both ends accept both and prefer the first. *)")
		w.line("const strong, weak, offer_both, offer_weak: bitstring.")
		w.line("fun choose(bitstring): bitstring")
		w.line("reduc choose(offer_both) = strong otherwise choose(offer_weak) = weak.")
	} else {
		w.line("const the_scheme: bitstring. (* nothing is negotiated *)")
	}
}

func comma(s []string) string { return strings.Join(s, ", ") }

// certificateParts are the fields of the attester's Certificate message.
func (g *generator) certificateParts() (parts []string) {
	if g.x509() {
		parts = append(parts, g.o.Attester.String()+"_cert")
	}
	if g.cred.Carrier == profile.CarrierCertData || g.cred.Carrier == profile.CarrierExtension {
		parts = append(parts, "ev")
	}
	return parts
}

func (g *generator) binderText(w *writer) {
	if len(g.definitions) == 0 {
		return
	}
	w.title("The binder of the profile, definition by definition")
	g.functions(w)
	for _, d := range g.definitions {
		w.line("(* %s *)", commented(d.text))
		params := make([]string, len(d.params))
		for i, p := range d.params {
			params[i] = p + ": " + kindOf(p)
		}
		w.line("letfun %s =", call(d.name, params))
		w.line("  %s.", d.body)
	}
}

// functions declares what definitions use besides the key schedule.
func (g *generator) functions(w *writer) {
	arity := map[string]int{"digest": 2, "len": 1, "cut": 3, "pad_right": 2, "pad_left": 2, "hex": 1, "base64": 1,
		"base64url": 1, "cbor_map": 1, "cbor_array": 1}
	var all strings.Builder
	for _, d := range g.definitions {
		all.WriteString(" " + d.body)
	}
	has := func(name string) bool {
		for i, rest := 0, all.String(); ; {
			if i = strings.Index(rest, name+"("); i < 0 {
				return false
			}
			if i > 0 && !identifier(rune(rest[i-1])) {
				return true
			}
			rest = rest[i+1:]
		}
	}
	for _, name := range []string{"digest", "len", "cut", "pad_right", "pad_left", "hex", "base64", "base64url",
		"cbor_map", "cbor_array"} {
		if !has(name) {
			continue
		}
		data := " [data]"
		if name == "digest" || name == "len" || name == "cut" {
			data = ""
		}
		w.line("fun %s(%s): bitstring%s.", name,
			strings.TrimSuffix(strings.Repeat("bitstring, ", arity[name]), ", "), data)
	}
	if has("point") {
		w.line("fun point(pkey): bitstring [data].")
	}
	if has("common_name") {
		w.line("fun common_name(name): bitstring [data].")
	}
}

func (g *generator) events(w *writer) {
	w.title("What ends do: name, platform, key, Evidence, hellos, shared secret, traffic secrets of the client, " +
		"offer, scheme")
	w.line("event Makes(machine, pkey, bitstring).")
	w.line("event Presents(name, machine, pkey, bitstring, bitstring, bitstring, bitstring).")
	w.line("event Runs(name, machine, pkey, bitstring, bitstring, bitstring, bitstring).")
	w.line("event Accepts(name, machine, pkey, bitstring, bitstring, bitstring, bitstring, bitstring, bitstring, " +
		"bitstring,")
	w.line("  bitstring).")
	w.title("Can honest ends finish? They can if this query is false")
	w.WriteString(quantified(reached))
	w.title("The goal")
	w.WriteString(quantified(g.o.Goal.row().query))
}
