package model

import (
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
)

const (
	serverContext = "TLS 1.3, server CertificateVerify"
	clientContext = "TLS 1.3, client CertificateVerify"
)

// processes writes both ends.
func (g *generator) processes(w *writer) {
	g.server(w)
	g.client(w)
}

// end is what one end of a connection is in the model.
type end struct {
	role attls.Role
	w    *writer
	g    *generator
}

func (e *end) line(format string, args ...any) { e.w.line("  "+format, args...) }

func (e *end) attests() bool { return e.role == e.g.o.Attester }

// key is the private key of the end.
func (e *end) key() string {
	if e.attests() {
		return "tik"
	}
	return "own"
}

// attesterParams are the parameters of the process that attests.
func (g *generator) attesterParams() (list []string) {
	list = append(list, "m: machine", "tik: skey")
	switch {
	case g.perConnection():
		if g.cred.PKIX {
			list = append(list, "ca: skey")
		}
	case g.x509():
		list = append(list, g.o.Attester.String()+"_cert: bitstring")
	}
	for _, f := range g.certificateFields() {
		if f == "cert_dates" {
			list = append(list, "cert_dates: bitstring")
		}
	}
	if g.cached {
		if g.negotiated() {
			list = append(list, "scheme: bitstring")
		}
		list = append(list, "ev: bitstring")
	}
	if g.clientAttests() { // whom it trusts, and whom it wants
		list = append(list, "authority: pkey", "site: name")
	}
	return list
}

// names takes the types off parameters.
func names(params []string) string {
	list := make([]string, len(params))
	for i, p := range params {
		list[i], _, _ = strings.Cut(p, ":")
	}
	return strings.Join(list, ", ")
}

func (g *generator) server(w *writer) {
	e := &end{attls.RoleServer, w, g}
	attests := e.attests()
	if attests {
		w.title("The server, which attests")
		w.line("let Server(%s) =", strings.Join(g.attesterParams(), ", "))
	} else {
		w.title("The server, the relying party")
		w.line("let Server(%s) =", g.relyingParams("own: skey", "server_cert: bitstring"))
		e.line("in(net, w: name); (* whom it expects *)")
	}
	e.line("in(net, ch: bitstring);")
	e.line("let %s = ch in", g.term("client_hello", attls.KindClientHello, true, "cn", "gx"))
	if attests && g.nonce() && g.slot.Nonce.Random {
		e.line("let nonce = cn in")
	}
	e.chooses()
	e.line("new sn: bitstring; new y: scalar;")
	if !attests && g.nonce() {
		e.draws()
	}
	e.line("let sh = %s in", g.term("server_hello", attls.KindServerHello, false, "sn", "exp(G, y)"))
	e.line("out(net, sh);")
	e.secrets("gx", "y")
	if attests {
		e.line("let server_key = pk(tik) in")
	} else {
		e.line("let server_key = pk(own) in")
	}
	for _, m := range g.serverFlight() {
		e.send(m)
	}
	e.later()
	if attests {
		e.runs()
	}
	e.line("out(net, aead(traffic_key(s_hts), %s))", flight(g.serverFlight(), false))
	e.receiveClient()
}

// chooses settles the scheme at the server.
func (e *end) chooses() {
	g := e.g
	if !g.negotiated() {
		e.line("let offer = none in let chosen = the_scheme in")
		return
	}
	e.line("let chosen = choose(offer) in")
	if e.attests() && g.cached {
		e.line("if chosen = scheme then")
	}
}

// draws makes the nonce of the relying party, which some programs never change.
func (e *end) draws() {
	if fixed := e.g.p.Rules.NonceFixed; len(fixed) > 0 {
		e.line("let nonce = %s in (* the same in each connection *)", e.g.octets(fixed))
		return
	}
	e.line("new nonce: bitstring;")
}

// secrets derives what both hellos give.
func (e *end) secrets(share, own string) {
	g := e.g
	e.line("let t_SH = (ch, sh) in")
	e.line("let dhe = octets(exp(%s, %s)) in", share, own)
	e.line("let hs = handshake_secret(dhe) in")
	if g.has(HS) {
		e.line("out(net, hs); (* hs *)")
	}
	e.line("let ms = main_secret(hs) in")
	e.line("let hts = derive_secret(hs, %s, t_SH) in", g.octets([]byte("c hs traffic")))
	e.line("let s_hts = derive_secret(hs, %s, t_SH) in", g.octets([]byte("s hs traffic")))
	if g.uses("t_CH") {
		e.line("let t_CH = ch in")
	}
}

// uses reports whether a definition takes a parameter.
func (g *generator) uses(param string) bool {
	for i := range g.definitions {
		for _, p := range g.definitions[i].params {
			if p == param {
				return true
			}
		}
	}
	return false
}

// later derives what exists from the Finished of the server on.
func (e *end) later() {
	g := e.g
	e.line("let ats = derive_secret(ms, %s, t_server_Fin) in", g.octets([]byte("c ap traffic")))
	if g.uses("exporter_master") {
		e.line("let exporter_master = derive_secret(ms, %s, t_server_Fin) in", g.octets([]byte("exp master")))
	}
}

// send makes a message and continues the transcript.
func (e *end) send(m message) {
	g := e.g
	if e.carries(m) {
		e.makes()
	}
	before := g.before(m.at)
	switch m.name {
	case "ee":
		e.line("let ee = %s in", g.term("encrypted_extensions", attls.KindEncryptedExtensions, false))
	case "cr":
		e.line("let cr = %s in", g.term("certificate_request", attls.KindCertificateRequest, false))
	case "server_ct", "client_ct":
		if e.attests() {
			e.line("let %s = %s in", m.name, call("attested_certificate", append(g.certificateParts(), "none")))
		} else {
			e.line("let %s = certificate(%s_cert, none) in", m.name, e.role)
		}
	case "server_cv", "client_cv":
		e.line("let %s = certificate_verify(sign(%s, (%s, hash(%s)))) in", m.name, e.key(), g.context(e.role), before)
	case "server_fin":
		e.line("let server_fin = finished(finished_mac(s_hts, %s)) in", before)
	case "attestation":
		e.line("let attestation = attestation_message(ev) in")
	}
	e.transcribe(m)
}

func (e *end) transcribe(m message) {
	e.line("let %s = (%s, %s) in", transcriptName(m.at), e.g.before(m.at), m.name)
}

func (g *generator) context(signer attls.Role) string {
	if signer == attls.RoleServer {
		return g.octets([]byte(serverContext))
	}
	return g.octets([]byte(clientContext))
}

// carries reports whether a message of the attester carries its payload.
func (e *end) carries(m message) bool {
	if !e.attests() {
		return false
	}
	if e.g.cred.Carrier == profile.CarrierMessage {
		return m.name == "attestation"
	}
	return m.at == certificateOf(e.role)
}

func certificateOf(r attls.Role) binder.Point {
	if r == attls.RoleServer {
		return binder.PointServerCT
	}
	return binder.PointClientCT
}

// makes writes how Evidence is made in a connection, and that it is presented there.
func (e *end) makes() {
	g := e.g
	key := e.role.String() + "_key"
	if !g.cached {
		if g.uses("cert_name") {
			e.line("let cert_name = host(m) in")
		}
		e.line("new details: bitstring;")
		e.line("let ev = %s in", g.made())
		e.line("event Makes(m, %s, ev);", key)
	}
	if g.perConnection() {
		e.line("let %s_cert = %s in", e.role, g.certificate(g.issuer(), "host(m)", key, true))
	}
	e.line("event Presents(host(m), m, %s, ev, t_SH, dhe, hts);", key)
}

func (e *end) runs() {
	e.line("event Runs(host(m), m, %s_key, ev, ats, offer, chosen);", e.role)
}

func flight(list []message, typed bool) string {
	parts := make([]string, len(list))
	for i, m := range list {
		parts[i] = m.name
		if typed {
			parts[i] += ": bitstring"
		}
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// relyingParams are the parameters of the process of the relying party.
func (g *generator) relyingParams(own ...string) string {
	if g.x509() && g.cred.PKIX {
		own = append(own, "authority: pkey")
	}
	return strings.Join(own, ", ")
}

// read takes a message apart at the receiver and continues the transcript.
func (e *end) read(m message) {
	g := e.g
	switch m.name {
	case "ee":
		e.line("let %s = ee in", g.term("encrypted_extensions", attls.KindEncryptedExtensions, true))
	case "cr":
		e.line("let %s = cr in", g.term("certificate_request", attls.KindCertificateRequest, true))
	case "server_ct", "client_ct":
		if e.attests() {
			e.line("let certificate(server_cert, other) = %s in", m.name) // of the relying party
		} else {
			e.line("let %s = %s in", call("attested_certificate", append(g.certificateParts(), "other")), m.name)
		}
	case "server_cv", "client_cv":
		e.line("let certificate_verify(sig) = %s in", m.name)
	case "attestation":
		e.line("let attestation_message(ev) = attestation in")
	}
	e.transcribe(m)
}

// checks writes what the relying party checks of the attester: certificate, Evidence,
// CertificateVerify.
func (e *end) checks() {
	g := e.g
	peer := g.o.Attester
	key := peer.String() + "_key"
	if g.x509() {
		values := ""
		for _, f := range g.certificateFields() {
			values += ", " + f + ": bitstring"
		}
		if g.cred.PKIX {
			e.line("let (=w, %s: pkey%s) = check_certificate(authority, %s_cert) in", key, values, peer)
			if g.uses("cert_name") {
				e.line("let cert_name = w in")
			}
		} else {
			e.line("let (cert_name: name, %s: pkey%s) = certificate_fields(%s_cert) in", key, values, peer)
		}
	}
	var reads, conditions []string
	for _, p := range g.payload() {
		reads = append(reads, p.read)
		if p.check != "" {
			conditions = append(conditions, p.check)
		}
	}
	e.line("let (m: machine, %s) = appraise(ev) in", list(reads))
	for _, c := range conditions {
		e.line("if %s then", c)
	}
	if g.o.Pinned {
		e.line("let host(=m) = w in (* policy *)")
	}
	e.line("if verify(%s, (%s, hash(%s)), sig) = true then", key, g.context(peer), g.before(verifyOf(peer)))
}

func verifyOf(r attls.Role) binder.Point {
	if r == attls.RoleServer {
		return binder.PointServerCV
	}
	return binder.PointClientCV
}

func (e *end) accepts() {
	e.line("event Accepts(w, m, %s_key, ev, t_SH, dhe, hts, ats, offer, chosen, details)", e.g.o.Attester)
}

func (g *generator) client(w *writer) {
	e := &end{attls.RoleClient, w, g}
	attests := e.attests()
	if attests {
		w.title("The client, which attests to a server that has a certificate for the name that it wants")
		w.line("let Client(%s) =", strings.Join(g.attesterParams(), ", "))
	} else {
		w.title("The client, the relying party")
		w.line("let Client(%s) =", g.relyingParams())
		e.line("in(net, w: name); (* whom it expects *)")
	}
	e.line("new cn: bitstring; new x: scalar;")
	switch {
	case attests || !g.nonce():
	case g.slot.Nonce.Random:
		e.line("let nonce = cn in")
	default:
		e.draws()
	}
	if g.negotiated() {
		e.line("let offer = offer_both in")
	} else {
		e.line("let offer = none in let chosen = the_scheme in")
	}
	e.line("let ch = %s in", g.term("client_hello", attls.KindClientHello, false, "cn", "exp(G, x)"))
	e.line("out(net, ch);")
	e.line("in(net, sh: bitstring);")
	e.line("let %s = sh in", g.term("server_hello", attls.KindServerHello, true, "sn", "gy"))
	e.secrets("gy", "x")
	e.line("in(net, flight: bitstring);")
	e.line("let %s =\n    open(traffic_key(s_hts), flight) in", flight(g.serverFlight(), true))
	for _, m := range g.serverFlight() {
		e.read(m)
	}
	if g.negotiated() {
		e.line("if chosen = strong || chosen = weak then (* what it offered *)")
		if attests && g.cached {
			e.line("if chosen = scheme then")
		}
	}
	e.later()
	if attests {
		e.checksServer()
	} else {
		e.checks()
	}
	e.line("if server_fin = finished(finished_mac(s_hts, %s)) then", g.before(binder.PointServerFin))
	e.finishClient()
}

// checksServer writes what a client that attests checks of the relying party.
func (e *end) checksServer() {
	g := e.g
	e.line("let (=site, server_key: pkey%s) = check_certificate(authority, server_cert) in", g.ignored())
	e.line("if verify(server_key, (%s, hash(%s)), sig) = true then", g.context(attls.RoleServer),
		g.before(binder.PointServerCV))
}

// ignored are the fields of a certificate that a peer does not look at.
func (g *generator) ignored() string {
	s := ""
	for i := range g.certificateFields() {
		s += fmt.Sprintf(", field_%d: bitstring", i+1)
	}
	return s
}

// finishClient is the client's last flight.
func (e *end) finishClient() {
	g := e.g
	last := "t_server_Fin"
	if e.attests() {
		e.line("let client_key = pk(tik) in")
		for _, m := range g.clientFlight() {
			e.send(m)
		}
		last = g.before(binder.PointClientFin)
		e.runs()
	} else {
		e.accepts()
		e.w.Truncate(e.w.Len() - 1)
		e.w.line(";")
	}
	e.leakTraffic()
	list := append(g.clientFlight(), message{0, fmt.Sprintf("finished(finished_mac(hts, %s))", last)})
	if len(list) == 1 {
		e.line("out(net, aead(traffic_key(hts), %s)).", list[0].name)
	} else {
		e.line("out(net, aead(traffic_key(hts), %s)).", flight(list, false))
	}
}

// leakTraffic gives away the application traffic secrets.
func (e *end) leakTraffic() {
	if e.g.has(AP) {
		e.line("out(net, (ats, derive_secret(ms, %s, t_server_Fin))); (* ap *)", e.g.octets([]byte("s ap traffic")))
	}
}

// receiveClient is what the server does with the client's last flight.
func (e *end) receiveClient() {
	g := e.g
	if e.attests() {
		if g.has(AP) {
			e.w.Truncate(e.w.Len() - 1)
			e.w.line(";")
			e.leakTraffic()
			e.line("0.")
			return
		}
		e.w.Truncate(e.w.Len() - 1)
		e.w.line(".") // it learns nothing from Finished that a goal asks for
		return
	}
	e.w.Truncate(e.w.Len() - 1)
	e.w.line(";")
	e.line("in(net, flight: bitstring);")
	e.line("let %s = open(traffic_key(hts), flight) in",
		flight(append(g.clientFlight(), message{0, "client_fin"}), true))
	for _, m := range g.clientFlight() {
		e.read(m)
	}
	e.checks()
	e.line("if client_fin = finished(finished_mac(hts, %s)) then", g.before(binder.PointClientFin))
	if g.has(AP) {
		e.leakTraffic()
	}
	e.accepts()
	e.w.Truncate(e.w.Len() - 1)
	e.w.line(".")
}

// mainProcess is the system: the authority, the ends, and what the attacker is given.
func (g *generator) mainProcess(w *writer) {
	w.title("The system")
	w.line("process")
	var parallel []string
	add := func(format string, args ...any) { parallel = append(parallel, fmt.Sprintf(format, args...)) }
	if g.hasAuthority() {
		w.line("  new ca: skey; out(net, pk(ca));")
		fields, values := "", ""
		for i := range g.certificateFields() {
			fields += fmt.Sprintf(", v%d: bitstring", i+1)
			values += fmt.Sprintf(", v%d", i+1)
		}
		if g.has(LTK) {
			add("(* ltk *) (!in(net, (n: name, k: pkey%s)); out(net, cert(ca, n, k%s)))", fields, values)
		} else {
			add("(* certificates for the attacker's name *)\n"+
				"    (!in(net, (k: pkey%s)); out(net, cert(ca, mallory, k%s)))", fields, values)
		}
	}
	if g.has(TEE2) {
		add("(* tee2 *) (!in(net, c: bitstring); out(net, evidence(ak(rented), c)))")
	}
	authority := ""
	if g.x509() && g.cred.PKIX {
		authority = "pk(ca)"
	}
	if g.clientAttests() {
		add("(new own: skey; out(net, pk(own)); !Server(%s))", strings.TrimSuffix(
			"own, "+g.certificate("ca", "service", "pk(own)", false)+", "+authority, ", "))
	} else {
		add("(!Client(%s))", authority)
	}
	parallel = append(parallel, g.honestAttester())
	w.line("  ( %s )", strings.Join(parallel, "\n  | "))
}

// honestAttester is a platform with its keys and its certificate, and what leaks of it.
func (g *generator) honestAttester() string {
	w := &writer{}
	key := g.o.Attester.String() + "_key"
	w.line("(!new m: machine; out(net, m);")
	w.line("     new tik: skey; let %s = pk(tik) in out(net, %s);", key, key)
	if slices.Contains(g.certificateFields(), "cert_dates") {
		w.line("     new cert_dates: bitstring; out(net, cert_dates);")
	}
	var parts []string
	if g.has(TIK) {
		parts = append(parts, "(* tik *) out(net, tik)")
	}
	if g.has(AK) {
		parts = append(parts, "(* ak *) out(net, ak(m))")
	}
	if g.has(Oracle) {
		parts = append(parts, g.oracle())
	}
	process := "Server"
	arguments := names(g.attesterParams())
	if g.clientAttests() {
		process = "Client"
	}
	if g.x509() && !g.perConnection() && !g.inCertificate() {
		w.line("     let %s_cert = %s in", g.o.Attester, g.certificate(g.issuer(), "host(m)", key, true))
	}
	run := fmt.Sprintf("(!%s(%s))", process, arguments)
	if g.clientAttests() {
		// With every name that there may be, ProVerif does not end; these are those of servers.
		arguments = strings.TrimSuffix(arguments, "authority, site")
		run = fmt.Sprintf("((!Client(%[1]spk(ca), service)) | (!Client(%[1]spk(ca), mallory)))", arguments)
	}
	if !g.cached {
		parts = append(parts, run)
	} else if g.negotiated() {
		parts = append(parts, g.madeBefore("strong", run), g.madeBefore("weak", run))
	} else {
		parts = append(parts, g.madeBefore("the_scheme", run))
	}
	w.line("     ( %s ))", strings.Join(parts, "\n     | "))
	return strings.TrimSuffix(w.String(), "\n")
}

// madeBefore makes Evidence, or a Result, for all connections of a certificate.
func (g *generator) madeBefore(scheme, run string) string {
	w := &writer{}
	w.line("(new details: bitstring; let chosen = %s in", scheme)
	if g.negotiated() {
		w.line("        let scheme = chosen in")
	}
	if g.uses("cert_name") {
		w.line("        let cert_name = host(m) in")
	}
	key := g.o.Attester.String() + "_key"
	w.line("        let ev = %s in", g.made())
	w.line("        event Makes(m, %s, ev);", key)
	if g.x509() && g.inCertificate() {
		w.line("        let %s_cert = %s in", g.o.Attester, g.certificate(g.issuer(), "host(m)", key, true))
	}
	w.WriteString("        " + run + ")")
	return w.String()
}

// oracle has the platform sign what the attacker likes, in the form of its Evidence.
func (g *generator) oracle() string {
	var parts, typed []string
	for i := range g.payload() {
		v := fmt.Sprintf("q%d", i+1)
		parts, typed = append(parts, v), append(typed, v+": bitstring")
	}
	last := len(parts) - 1
	parts[last] = "details"
	return fmt.Sprintf("(* oracle *) (!in(net, %s); new details: bitstring; out(net, evidence(ak(m), %s)))",
		list(typed[:last]), list(parts))
}
