package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
)

// definition is one definition of a profile's binder for one attester, as a letfun.
type definition struct {
	name   string // in the model
	text   string // as the profile has it
	params []string
	body   string
}

type definitionKey struct {
	name string
	role attls.Role
}

// parameters are the values of a connection that a definition may use, in the order in
// which they are passed, with their types. Transcripts come after them.
var parameters = []struct{ name, kind string }{
	{"dhe", "bitstring"}, {"hs", "bitstring"}, {"ms", "bitstring"}, {"exporter_master", "bitstring"},
	{"nonce", "bitstring"}, {"server_key", "pkey"}, {"client_key", "pkey"}, {"server_cert", "bitstring"},
	{"client_cert", "bitstring"}, {"cert_name", "name"}, {"cert_dates", "bitstring"},
}

// outsideSession are the parameters that exist before any connection.
var outsideSession = []string{"server_key", "client_key", "cert_name", "cert_dates"}

// transcripts are the points at which a transcript has a name, in order.
var transcripts = []struct {
	at   binder.Point
	name string
}{
	{binder.PointCH, "t_CH"}, {binder.PointSH, "t_SH"}, {binder.PointAfterSH, "t_after_SH"},
	{binder.PointEE, "t_EE"}, {binder.PointAfterEE, "t_after_EE"}, {binder.PointCR, "t_CR"},
	{binder.PointAfterCR, "t_after_CR"}, {binder.PointServerCT, "t_server_CT"},
	{binder.PointServerAfterCT, "t_server_after_CT"}, {binder.PointServerCV, "t_server_CV"},
	{binder.PointServerAT, "t_server_AT"}, {binder.PointServerFin, "t_server_Fin"},
	{binder.PointClientBeforeCT, "t_client_before_CT"}, {binder.PointClientCT, "t_client_CT"},
	{binder.PointClientAfterCT, "t_client_after_CT"}, {binder.PointClientCV, "t_client_CV"},
	{binder.PointClientAT, "t_client_AT"}, {binder.PointClientFin, "t_client_Fin"},
}

func transcriptName(at binder.Point) string {
	for _, t := range transcripts {
		if t.at == at {
			return t.name
		}
	}
	return ""
}

// bind translates the challenge and the claims.
func (g *generator) bind() error {
	g.translated = map[definitionKey]*definition{}
	rules := &g.p.Binder
	if g.o.NoBinder {
		return nil
	}
	var roots []string
	if name := g.challenge(); name != "" {
		roots = append(roots, name)
	}
	for _, c := range rules.Claims {
		if !c.InChallenge && g.o.Model == profile.ModelEvidence {
			roots = append(roots, c.Expr)
			g.claims = append(g.claims, c.Expr)
		}
	}
	for _, name := range roots {
		g.define(name, g.o.Attester)
	}
	return g.problem
}

func (g *generator) fail(format string, args ...any) string {
	if g.problem == nil {
		g.problem = g.refuse(format, args...)
	}
	return "none"
}

// define translates a definition of the profile and what it refers to.
func (g *generator) define(name string, role attls.Role) *definition {
	key := definitionKey{name, role}
	if d := g.translated[key]; d != nil {
		return d
	}
	known := name
	if role != g.o.Attester {
		known += " of the " + role.String()
	}
	d := &definition{name: g.name("b_", known), text: g.p.Binder.Program.Text(name)}
	g.translated[key] = d
	tree, err := binder.Tree(d.text)
	if err != nil {
		g.fail("definition %s: %v", name, err)
		return d
	}
	t := translator{g: g, d: d, role: role, rest: tree}
	d.body = t.term()
	d.params = t.params()
	g.definitions = append(g.definitions, *d)
	return d
}

func (g *generator) definitionsUseSession() bool {
	return slices.ContainsFunc(g.definitions, func(d definition) bool {
		return slices.ContainsFunc(d.params, func(p string) bool { return !slices.Contains(outsideSession, p) })
	})
}

// translator makes a term of one tree.
type translator struct {
	g    *generator
	d    *definition
	role attls.Role
	rest []binder.Node
	used map[string]bool
}

func (t *translator) use(name string) string {
	if t.used == nil {
		t.used = map[string]bool{}
	}
	t.used[name] = true
	return name
}

// params are the parameters that were used, in their order.
func (t *translator) params() (list []string) {
	for _, p := range parameters {
		if t.used[p.name] {
			list = append(list, p.name)
		}
	}
	for _, x := range transcripts {
		if t.used[x.name] {
			list = append(list, x.name)
		}
	}
	return list
}

func kindOf(param string) string {
	for _, p := range parameters {
		if p.name == param {
			return p.kind
		}
	}
	return "bitstring"
}

func (t *translator) next() binder.Node {
	if len(t.rest) == 0 {
		return binder.Node{}
	}
	n := t.rest[0]
	t.rest = t.rest[1:]
	return n
}

// term translates the next tree.
func (t *translator) term() string {
	n := t.next()
	switch n.Kind {
	case binder.NodeOctets:
		return t.g.octets(n.Octets)
	case binder.NodeInteger:
		return t.g.integer(n.Number)
	case binder.NodeRange:
		return t.transcript(n)
	case binder.NodeValue:
		return t.value(n)
	case binder.NodeDefine:
		role, ok := t.owner(n)
		if !ok {
			return t.g.fail("%s(%s) is a value of post-handshake authentication", n.Name, n.Role)
		}
		d := t.g.define(n.Name, role)
		for _, p := range d.params {
			t.use(p)
		}
		return call(d.name, d.params)
	}
	return t.call(n)
}

func call(name string, args []string) string {
	if len(args) == 0 {
		return name + "()"
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

// owner is the role in parentheses of a name or a value.
func (t *translator) owner(n binder.Node) (attls.Role, bool) {
	switch n.Role {
	case "client":
		return attls.RoleClient, true
	case "server":
		return attls.RoleServer, true
	case "pha":
		return t.role, false
	}
	return t.role, true
}

// transcript names the transcript at the last message in front of the end of a range that
// the model has.
func (t *translator) transcript(n binder.Node) string {
	r, ok := t.g.p.Binder.Program.RangeOf(n, t.role)
	if !ok || r.End > binder.PointClientFin {
		return t.g.fail("definition %q takes the transcript of another phase than the handshake", t.d.text)
	}
	name := ""
	for _, x := range transcripts {
		if (x.at < r.End || x.at == r.End && !r.Exclusive) && t.g.exists(x.at) {
			name = x.name
		}
	}
	if name == "" {
		return t.g.fail("definition %q takes an empty transcript", t.d.text)
	}
	return t.use(name)
}

func (t *translator) value(n binder.Node) string {
	owner, ok := t.owner(n)
	if !ok {
		return t.g.fail("%s(pha) is a value of post-handshake authentication", n.Name)
	}
	certified := func() bool {
		if owner == attls.RoleClient && t.g.o.Attester == attls.RoleServer {
			t.g.fail("%s(client) is asked for, and the client shows no certificate in the model", n.Name)
			return false
		}
		return true
	}
	switch n.Name {
	case "zero", "early_secret":
		return map[string]string{"zero": "zero", "early_secret": "extract(zero, zero)"}[n.Name]
	case "Hash.length":
		return "hash_length"
	case "ecdhe":
		return t.use("dhe")
	case "handshake_secret":
		return t.use("hs")
	case "main_secret":
		return t.use("ms")
	case "exporter_secret":
		return t.use("exporter_master")
	case "spki", "point":
		if !certified() {
			return "none"
		}
		return n.Name + "(" + t.use(owner.String()+"_key") + ")"
	case "certificate":
		if !certified() {
			return "none"
		}
		return t.use(owner.String() + "_cert")
	case "nonce":
		if owner != t.g.o.Attester || !t.g.nonce() {
			return t.g.fail("nonce(%s) is asked for, and no slot of the %s has a nonce", owner, owner)
		}
		return t.use("nonce")
	case "request_context":
		return "empty" // as RFC 8446 section 4.3.2 has it in a handshake
	case "attester.size":
		return "attester_size"
	}
	return t.certificateField(n, owner)
}

// certificateField is a field of the certificate of the attester.
func (t *translator) certificateField(n binder.Node, owner attls.Role) string {
	field, of, ok := strings.ReplaceAll(n.Name, ".", "_"), "cert_dates", true
	switch n.Name {
	case "not_before.seconds", "not_after.seconds", "not_before.text", "not_after.text", "serial_number":
	case "common_name":
		of = "cert_name"
	default:
		ok = false
	}
	if !ok || owner != t.g.o.Attester {
		return t.g.fail("%s(%s) has no place in models", n.Name, owner)
	}
	return field + "(" + t.use(of) + ")"
}

// call translates a function. Encodings and hashes are free: two values are the same if
// and only if they are made of the same parts in the same way.
func (t *translator) call(n binder.Node) string {
	var args []string
	if n.Name == "cbor_map" {
		for range n.Number {
			key := t.term()
			args = append(args, "("+key+", "+t.term()+")")
		}
		return "cbor_map(" + list(args) + ")"
	}
	if n.Name == "per_role" {
		return t.perRole()
	}
	for range n.Number {
		args = append(args, t.term())
	}
	switch n.Name {
	case "concat":
		return list(args)
	case "cbor_array":
		return "cbor_array(" + list(args) + ")"
	case "within":
		return args[0] // the bounds of a length
	case "expand_label", "derive_secret", "extract", "hash", "digest", "exporter", "len", "cut", "pad_right", "pad_left",
		"hex", "base64", "base64url":
		return call(n.Name, args)
	}
	return t.g.fail("function %s of the binder language has no place in models", n.Name)
}

// perRole takes one of two arguments, so that what the other one uses does not count.
func (t *translator) perRole() string {
	var chosen string
	for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		if r == t.role {
			chosen = t.term()
			continue
		}
		t.skip()
	}
	return chosen
}

func (t *translator) skip() {
	n := t.next()
	if n.Kind != binder.NodeCall {
		return
	}
	for range n.Number {
		if n.Name == "cbor_map" {
			t.skip()
		}
		t.skip()
	}
}

// list is a tuple; one value is itself.
func list(args []string) string {
	switch len(args) {
	case 0:
		return "empty"
	case 1:
		return args[0]
	}
	return "(" + strings.Join(args, ", ") + ")"
}

// octets names a constant for octets that a profile writes.
func (g *generator) octets(b []byte) string {
	if len(b) == 0 {
		return "empty"
	}
	return g.constant("l_", string(b), quoted(b))
}

func (g *generator) integer(n int) string { return g.constant("n_", strconv.Itoa(n), strconv.Itoa(n)) }

func (g *generator) constant(prefix, key, text string) string {
	_, known := g.names[prefix+key]
	name := g.name(prefix, key)
	if !known {
		g.constants = append(g.constants, constant{name, text})
	}
	return name
}

// quoted shows octets in a comment, which nothing in them can end.
func quoted(b []byte) string { return commented(strconv.QuoteToASCII(string(b))) }

// commented makes a text fit into a comment of one line: comments nest, and so neither
// an opening nor a closing may be in it.
func commented(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	s = strings.ReplaceAll(s, "(*", "( *")
	return strings.ReplaceAll(s, "*)", "* )")
}

// maxName bounds the part of a name that comes from a profile.
const maxName = 40

// name is the identifier for something that a profile names as it likes: letters and
// digits stay, everything else becomes a line, and a number tells apart what is then
// the same.
func (g *generator) name(prefix, key string) string {
	if n, ok := g.names[prefix+key]; ok {
		return n
	}
	base := []byte(prefix)
	for i := 0; i < len(key) && len(base) < maxName; i++ {
		c := key[i]
		if !identifier(rune(c)) {
			c = '_'
		}
		base = append(base, c)
	}
	n := string(base)
	for i := 2; g.taken[n]; i++ {
		n = fmt.Sprintf("%s_%d", base, i)
	}
	g.names[prefix+key], g.taken[n] = n, true
	return n
}
