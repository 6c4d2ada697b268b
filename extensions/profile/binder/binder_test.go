package binder_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"attls"
	. "attls/extensions/profile/binder"
	"attls/extensions/profile/binder/bindertest"
	"attls/internal/seeds"
)

func TestRefused(t *testing.T) {
	for _, test := range []struct{ defs, want string }{
		{`a = `, "a, at octet 0: an expression is missing"},
		{`a = hash(spki(role)`, `a, at octet 15: a comma or a closing parenthesis is missing in the arguments of hash`},
		{`a = hash(spki(role)) x`, `a, at octet 17: "x" is left over after a complete expression`},
		{`a = "text`, "a, at octet 0: the text has no closing quotation mark"},
		{`a = 0x123`, "a, at octet 0: 0x123 is not a whole number of hexadecimal octets"},
		{`a = 12z`, "a, at octet 0: 12z is not an integer"},
		{`a = ?`, `a, at octet 0: unexpected "?"`},
		{`a = hsah(CH..SH)`, `a, at octet 5: hsah is not a function; a definition takes (role), (client) or (server); did you mean hash?`},
		{`a = hash(CH..SX)`, `a, at octet 9: a range ends in CH, SH, EE, CR, CT, CV, AT or Fin, not in "SX"`},
		{`a = hash(SH..EE)`, `a, at octet 5: a range begins with CH, not with "SH"`},
		{`a = hash(CH..CT)`, `a, at octet 9: both ends send CT: say CT(role), CT(client) or CT(server)`},
		{`a = hash(CH..SH(role))`, `a, at octet 9: only one end sends SH: it takes no role`},
		{`a = hash(CH..<CH)`, `a, at octet 10: CH..<CH is empty`},
		{`a = spki`, `a, at octet 0: spki needs (role), (client) or (server)`},
		{`a = zero(role)`, `a, at octet 0: zero takes no role`},
		{`a = spki(pha)`, `a, at octet 0: (pha) belongs to CR, CT, CV and AT at the end of a range`},
		{`a = spki(rule)`, `a, at octet 5: "rule" is where (role), (client) or (server) belongs`},
		{`a = CH..SH`, `a, at octet 0: a transcript range is possible only where a hash is taken`},
		{`a = concat(CH..SH)`, `a, at octet 7: a transcript range is given where concat takes octets`},
		{`a = hash(3)`, `a, at octet 5: an integer is given where hash takes octets or range`},
		{`a = len("x", "y")`, `a, at octet 12: len takes 1 arguments (len(octets)), not 2`},
		{`a = concat()`, `a, at octet 7: concat needs at least one argument`},
		{`a = digest("MD5", zero)`, `a, at octet 7: digest knows SHA-256, SHA-384, SHA-512, SHA3-256, SHA3-384, SHA3-512`},
		{`a = cut(spki(role), 0, Hash.length)`, `a, at octet 19: cut takes an integer that is written here`},
		{`a = cbor_array(CH..SH)`, `a, at octet 11: a transcript range is possible only where a hash is taken`},
		{`a = cbor_map(1: zero, 1: zero)`, `a, at octet 18: the key appears twice in the map`},
		{`a = cbor_map(1: CH..SH)`, `a, at octet 12: a transcript range is possible only where a hash is taken`},
		{`a = cbor_map(zero: 1)`, `a, at octet 9: a key of cbor_map is an integer or a text`},
		{`a = per_role(zero, 3)`, `a, at octet 0: per_role gives octets to one role and an integer to the other`},
		{"base = zero\na = bsae", `a, at octet 0: nothing defines "bsae"; did you mean base?`},
		{"a = hash(b)\nb = concat(zero, a)", `b, at octet 13: "a" is defined by itself`},
		{"a = zero\na = zero", `a, at octet 0: is defined twice`},
		{`spki = zero`, `spki, at octet 0: is a word of the binder language and cannot be defined`},
		{"a = " + strings.Repeat("hash(", 40) + "zero" + strings.Repeat(")", 40), `a, at octet 165: calls are nested more than 32 deep`},
	} {
		var defs []Definition
		for _, line := range strings.Split(test.defs, "\n") {
			name, expr, _ := strings.Cut(line, " = ")
			defs = append(defs, Definition{Name: name, Text: expr})
		}
		_, errs := Compile(defs, VariantRFC8446)
		if len(errs) != 1 || errs[0].Error() != test.want {
			t.Errorf("%s:\n got %v\nwant %s", test.defs, errs, test.want)
		}
	}
}

// bound is the setting of the checks: both attesters have a nonce.
var bound = Setting{Nonce: [2]Nonce{client: {Exists: true, At: PointEE, Min: 8, Max: 255}, server: {Exists: true, At: PointCH, Min: 8, Max: 255}}}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		text    string
		role    attls.Role
		carrier Point
		setting Setting
		want    string
	}{
		{`a = expand_label(zero, "x", hash(spki(role)), Hash.length)`, server, PointServerCT, bound, ""},
		{`a = expand_label(zero, "x", spki(role), Hash.length)`, server, PointServerCT, bound,
			"context: a, at octet 24: a context of 1 or more octets; an HkdfLabel takes at most 255, so that large keys cannot be bound"},
		{`a = expand_label(zero, "x", spki(role), Hash.length)`, server, PointServerCT, Setting{KeySize: [2]int{server: 255}}, ""},
		{`a = expand_label(zero, "x", spki(role), Hash.length)`, server, PointServerCT, Setting{KeySize: [2]int{server: 294}},
			"error: a, at octet 24: a context of 294 octets; an HkdfLabel takes at most 255"},
		{`a = expand_label(zero, "", "", 32)`, server, PointServerCT, bound, "error: a, at octet 19: a label of 0 octets; an HkdfLabel takes 1 to 249"},
		{`a = expand_label(spki(role), "x", "", 32)`, server, PointServerCT, bound,
			"error: a, at octet 13: a secret of 1 or more octets; expand_label takes Hash.length, here 32"},
		{`a = expand_label(expand_label(zero, "x", "", 32), "x", "", 32)`, server, PointServerCT, bound,
			"error: a, at octet 13: a secret of 32 octets; expand_label takes Hash.length, here 48"},
		{`a = expand_label(zero, "x", "", 9000)`, server, PointServerCT, bound, "error: a, at octet 28: a length of 9000 octets; HKDF-Expand gives 1 to 8160"},
		{`a = hash(within(nonce(role), 8, 64))`, server, PointServerCT, bound, "narrow: a, at octet 5: the grammar accepts 8 to 255 octets and the binder takes 8 to 64"},
		{`a = hash(within(nonce(role), 8, 255))`, server, PointServerCT, bound, ""},
		{`a = hash(within(nonce(role), 300, 400))`, server, PointServerCT, bound, "error: a, at octet 5: 8 to 255 octets are never within 300 and 400"},
		{`a = nonce(role)`, server, PointServerCT, Setting{}, "error: a, at octet 0: no slot whose attester is the server has a nonce"},
		{`a = derive_secret(exporter_secret, "x", "")`, server, PointServerCT, bound,
			"error: a, at octet 14: exporter_secret exists at the attesting server from Fin(server) on, and is needed before CT(server)"},
		{`a = derive_secret(exporter_secret, "x", "")`, client, PointClientCT, bound, ""},
		{`a = hash(CH..CT(role))`, server, PointServerCT, bound,
			"error: a, at octet 5: CH..CT(role) exists at the attesting server from CT(server) on, and is needed before CT(server)"},
		{`a = hash(CH..CT(role))`, server, PointServerAT, bound, ""},
		{`a = hash(CH..<CT(role))`, server, PointServerCT, bound, ""},
		{`a = spki(client)`, server, PointServerCT, bound, "error: a, at octet 0: spki(client) exists at the attesting server from CT(client) on, and is needed before CT(server)"},
		{`a = spki(server)`, client, PointClientCT, bound, ""},
		{`a = per_role(exporter_secret, zero)`, server, PointServerCT, bound, ""},
		{`a = next.main_secret`, client, PointClientCT, bound, "error: a, at octet 0: next.main_secret exists at the attesting client from key exchange on, and is needed before CT(client)"},
		{`a = hash(CH..CR(pha))`, client, PointKeyExchange, bound, ""},
		{`a = certificate(role)`, server, PointServerCT, Setting{}, ""},
		{`a = certificate(role)`, server, PointServerCT, Setting{Within: [2]bool{server: true}},
			"error: a, at octet 0: certificate(role) exists at the attesting server from CT(server) on, and is needed before CT(server)"},
		{`a = concat(not_before.seconds(role), not_after.text(role), common_name(role))`, client, PointClientCT,
			Setting{Within: [2]bool{client: true}}, ""},
		{`a = common_name(client)`, server, PointServerCT, bound,
			"error: a, at octet 0: common_name(client) exists at the attesting server from CT(client) on, and is needed before CT(server)"},
		{`a = cut(not_before.seconds(role), 4, 5)`, server, PointServerCT, bound, "error: a, at octet 0: 5 octets from octet 4 on, of 8 octets"},
		{`a = cut(spki(role), 0, 32)`, server, PointServerCT, bound, "narrow: a, at octet 0: 1 or more octets may be too few to cut 32 from octet 0 on"},
		{`a = cut(digest("SHA3-512", spki(role)), 32, 32)`, server, PointServerCT, bound, ""},
		{`a = pad_right(digest("SHA-256", spki(role)), 31)`, server, PointServerCT, bound, "error: a, at octet 0: 32 octets do not fit into 31"},
		{`a = pad_left(nonce(role), 64)`, server, PointServerCT, bound, "narrow: a, at octet 0: 8 to 255 octets may be too many for 64"},
		{`a = expand_label(zero, "x", hex(digest("SHA3-512", zero)), 32)`, server, PointServerCT, bound, ""},
		{`a = expand_label(zero, "x", hex(concat(digest("SHA3-512", zero), digest("SHA3-512", zero))), 32)`, server, PointServerCT, bound,
			"error: a, at octet 24: a context of 256 octets; an HkdfLabel takes at most 255"},
	} {
		p := program(t, test.text)
		var got []string
		for _, f := range p.Check("a", test.role, test.setting, test.carrier) {
			got = append(got, []string{"error", "context", "narrow"}[f.Kind]+": "+f.Error.Error())
		}
		if s := strings.Join(got, "\n"); s != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.text, s, test.want)
		}
	}
}

// TestMoments is the table of when each value exists at the attester's end.
func TestMoments(t *testing.T) {
	for _, test := range []struct {
		expr           string
		server, client Point
	}{
		{"zero", PointCH, PointSH}, {"early_secret", PointCH, PointSH}, {"hash(zero)", PointCH, PointSH},
		{"handshake_secret", PointSH, PointSH}, {"main_secret", PointSH, PointSH}, {"ecdhe", PointSH, PointSH},
		{"exporter_secret", PointServerFin, PointServerFin}, {"spki(role)", PointCH, PointCR},
		{"spki(server)", PointCH, PointServerCT}, {"spki(client)", PointClientCT, PointCR},
		{"nonce(role)", PointCH, PointEE}, {"request_context(role)", PointCR, PointCR},
		{"hash(CH..<CT(role))", PointCR, PointServerFin}, {"hash(CH..EE)", PointEE, PointEE},
		{"rekey.request", PointKeyExchange, PointKeyExchange},
	} {
		p := program(t, "a = "+test.expr)
		s, _ := p.Available("a", server, bound)
		c, _ := p.Available("a", client, bound)
		if s != test.server || c != test.client {
			t.Errorf("%s: server %v, client %v; want %v, %v", test.expr, s, c, test.server, test.client)
		}
	}
}

func TestRetain(t *testing.T) {
	p := program(t, programs["early-attestation-03"]+"\nmain = derive_secret(main_secret, \"x\", CH..SH)")
	r := p.Retain([]Use{{Name: "binder", Attester: server, Carrier: PointServerCT}, {Name: "main", Attester: client, Carrier: PointClientAT}, {Name: "main", Attester: server, Carrier: PointServerAT}})
	if !slices.Equal(r.Ranges, []Range{{End: PointEE}, {End: PointSH}}) || len(r.Secrets) != 1 || r.Secrets[MainSecret] != PointClientAT || r.Messages {
		t.Errorf("%+v", r)
	}
	if u := p.Unused([]string{"binder"}); !slices.Equal(u, []string{"main"}) {
		t.Errorf("unused: %v", u)
	}
}

// TestUndefined covers what an evaluation refuses for the values at hand.
func TestUndefined(t *testing.T) {
	large := vectorInputs(t)
	large.Keys[server] = make([]byte, 294) // an RSA-2048 key
	long := vectorInputs(t)
	long.NonceOctets = make([]byte, 65)
	early := vectorInputs(t)
	early.Secrets = nil
	odd := vectorInputs(t)
	odd.HashName = "SM3"
	for _, test := range []struct {
		program, name string
		in            *bindertest.Recorded
		want          string
	}{
		{"early-attestation-00", "binder", large, "a context of 294 octets; an HkdfLabel takes at most 255"},
		{"tls-attestation-03", "binder", long, "nonce(role) has 65 octets; the binder takes 8 to 64"},
		{"tls-attestation-07", "binder", early, "handshake_secret does not exist (yet)"},
		{"tls-attestation-07", "missing", early, `the binder defines no "missing"`},
		{"tls-attestation-07", "secret", odd, `the hash "SM3" is unknown`},
	} {
		_, err := program(t, programs[test.program]).Eval(test.name, server, test.in)
		var e *attls.Error
		if !errors.As(err, &e) || e.Failure != attls.FailBinderUndefined || !strings.Contains(e.Detail, test.want) {
			t.Errorf("%s %s: %v, want %s", test.program, test.name, err, test.want)
		}
	}
}

// TestBounded: definitions that double each other end all the same.
func TestBounded(t *testing.T) {
	text := "a0 = spki(role)\n"
	for i := 1; i < 60; i++ {
		text += fmt.Sprintf("a%d = concat(a%d, a%d)\n", i, i-1, i-1)
	}
	p := program(t, text)
	if _, err := p.Eval("a59", server, vectorInputs(t)); err == nil || !strings.Contains(err.Error(), "the binder language stops at") {
		t.Error(err)
	}
	if f := p.Check("a59", server, bound, PointServerCT); len(f) == 0 || f[0].Kind != FindingError {
		t.Error(f)
	}
}

// TestOnce: a definition is computed once however often it is named.
func TestOnce(t *testing.T) {
	const deep = 12 // each would be evaluated twice as often as the one that uses it
	text := "a0 = hash(nonce(role))\n"
	for i := 1; i <= deep; i++ {
		text += fmt.Sprintf("a%d = hash(concat(a%d, a%d))\n", i, i-1, i-1)
	}
	p := program(t, text)
	name := fmt.Sprintf("a%d", deep)
	in := &counting{Inputs: vectorInputs(t)}
	if _, err := p.Eval(name, server, in); err != nil || in.nonces != 1 {
		t.Errorf("the definition that is used 2^%d times was evaluated %d times, %v", deep, in.nonces, err)
	}
	if f := p.Check(name, server, bound, PointServerCT); len(f) != 0 {
		t.Error(f)
	}
}

// counting counts how often a nonce is asked for.
type counting struct {
	Inputs
	nonces int
}

func (c *counting) Nonce(r attls.Role) ([]byte, bool) {
	c.nonces++
	return c.Inputs.Nonce(r)
}

func TestFunctions(t *testing.T) {
	in := vectorInputs(t)
	in.Leaf = []byte{1, 2, 3}
	for expr, want := range map[string]string{
		`concat("ab", 0x0102)`:  "61620102",
		`digest("SHA-512", "")`: "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
		`cbor_map("b": 300, 1: "x", "a": 70000, 24: certificate(role))`: "a4" + "014178" + "181843010203" + "61611a00011170" + "61621901" + "2c",
		`point(server)`:      fmt.Sprintf("%x", in.Keys[server][26:]),
		`per_role("c", "s")`: "73",
	} {
		got, err := program(t, "a = "+expr).Eval("a", server, in)
		if err != nil || fmt.Sprintf("%x", got) != want {
			t.Errorf("%s = %x, %v; want %s", expr, got, err, want)
		}
	}
	if _, err := program(t, "a = len(zero)").Eval("a", server, in); err == nil {
		t.Error("an integer passes for a binder")
	}
}

func FuzzCompile(f *testing.F) {
	seeds.Add(f, func() {
		for _, p := range programs {
			for _, line := range strings.Split(p, "\n") {
				_, expr, _ := strings.Cut(line, " = ")
				f.Add(expr)
			}
		}
	})
	in := seeds.Once(func() *bindertest.Recorded { return vectorInputs(f) })
	f.Fuzz(func(t *testing.T, expr string) {
		seeds.Input(t, expr)
		p, errs := Compile([]Definition{{Name: "a", Text: expr}}, VariantRFC8446)
		if errs != nil {
			return
		}
		for _, role := range []attls.Role{client, server} {
			p.Check("a", role, bound, PointServerCT)
			v := p.Explain("a", role, in)
			if low, high := StaticBounds(p, "a", role, bound); v.Err == nil && (len(v.Octets) < low || len(v.Octets) > high) {
				t.Fatalf("%s: %d octets where %d to %d were foretold", expr, len(v.Octets), low, high)
			}
			if p2, _ := Compile([]Definition{{Name: "a", Text: v.Parts[0].Expr}}, VariantRFC8446); p2 == nil {
				t.Fatalf("%q does not compile again", v.Parts[0].Expr)
			}
		}
	})
}

// TestRangeOf resolves the ranges of a tree for each attester.
func TestRangeOf(t *testing.T) {
	p, errs := Compile([]Definition{{Name: "x", Text: `hash(CH..SH)`}}, VariantRFC8446)
	if len(errs) > 0 {
		t.Fatal(errs[0])
	}
	for _, c := range []struct {
		text      string
		attester  attls.Role
		end       Point
		exclusive bool
	}{
		{"hash(CH..SH)", attls.RoleClient, PointSH, false},
		{"hash(CH..<CT(role))", attls.RoleServer, PointServerCT, true},
		{"hash(CH..<CT(role))", attls.RoleClient, PointClientCT, true},
		{"hash(CH..Fin(server))", attls.RoleClient, PointServerFin, false},
		{"hash(CH..CR(pha))", attls.RoleClient, PointPostHandshakeCR, false},
	} {
		tree, err := Tree(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := p.RangeOf(tree[1], c.attester); !ok || r.End != c.end || r.Exclusive != c.exclusive {
			t.Errorf("%s of the %s: %v, %v", c.text, c.attester, r, ok)
		}
		if _, ok := p.RangeOf(tree[0], c.attester); ok {
			t.Errorf("a call is a range")
		}
	}
}
