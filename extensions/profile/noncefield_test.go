package profile

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"attls"
	"attls/extensions"
)

// nonceIn is a profile whose nonce for the server is in a field that an RFC defines.
func nonceIn(nonce, more string) []byte {
	return fmt.Appendf(nil, `profile: field
base: early-attestation-06
bind:
  slots:
    server_attester:
      nonce: {%s}
    client_attester:
      nonce: {in: certificate_request.certificate_authorities, as: "CN={nonce}", codec: hex, octets: 32}
binder:
  define:
    base: null
    key_bound: 'expand_label(zero, "lab", hash(concat(nonce(role), spki(role))), Hash.length)'
  post_handshake: null
switches: {pha_base: null}
%s`, nonce, more)
}

// TestNonceFieldMistakes: what is wrong with a nonce in a field of an RFC is told where it is said.
func TestNonceFieldMistakes(t *testing.T) {
	for _, m := range []struct{ name, nonce, more, at, want string }{
		{"no field", "codec: hex, octets: 32", "", "{codec", "the nonce of server_attester does not say in which field it is"},
		{"no such field", "in: client_hello.sever_name, codec: hex, octets: 32", "", "client_hello.sever", "bind.slots.server_attester.nonce.in is one of client_hello.server_name, client_hello.application_layer_protocol_negotiation, client_hello.certificate_authorities, certificate_request.certificate_authorities, client_hello.random, not client_hello.sever_name; did you mean client_hello.server_name?"},
		{"from the wrong end", `in: certificate_request.certificate_authorities, as: "CN=x{nonce}", codec: hex, octets: 32`, "", "certificate_request.certificate_authorities, as: \"CN=x", "the relying party sends the nonce, and the attesting server sends certificate_request"},
		{"no length", "in: client_hello.server_name, codec: hex", "", "{in: client_hello", "the nonce of server_attester does not say its length; say octets: 32, or octets: 8..64"},
		{"no number", "in: client_hello.server_name, codec: hex, octets: many", "", "many", "octets is a number, or the least and the most as 8..64, not many"},
		{"no octets", "in: client_hello.server_name, codec: hex, octets: 0", "", "0}", "octets is a number, or the least and the most as 8..64, not 0"},
		{"the most before the least", "in: client_hello.server_name, codec: hex, octets: 64..8", "", "64..8", "octets is a number, or the least and the most as 8..64, not 64..8"},
		{"no codec", "in: client_hello.server_name, octets: 32", "", "{in: client_hello", "the nonce of server_attester has no codec; say codec: raw, or hex, or base64, or base64url"},
		{"no such codec", "in: client_hello.server_name, codec: base65, octets: 32", "", "base65", "bind.slots.server_attester.nonce.codec is one of raw, hex, base64, base64url, not base65; did you mean base64?"},
		{"octets in text", "in: client_hello.server_name, codec: raw, octets: 32", "", "raw", "client_hello.server_name is text, and octets as they are may be none; say codec: hex, or base64url"},
		{"no nonce in the template", `in: client_hello.server_name, as: "x.nonce", codec: hex, octets: 16`, "", `"x.nonce"`, `"x.nonce" has {nonce} 0 times; it needs it once`},
		{"two nonces in the template", `in: client_hello.server_name, as: "{nonce}.{nonce}", codec: hex, octets: 16`, "", `"{nonce}.{nonce}"`, `"{nonce}.{nonce}" has {nonce} 2 times; it needs it once`},
		{"longer than a protocol", `in: client_hello.application_layer_protocol_negotiation, as: "v1:{nonce}", codec: hex, octets: 127`, "", "127", "v1:{nonce} with a nonce of 127 octets in hex has 257 octets; the field has room for 255"},
		{"longer than an extension", `in: client_hello.certificate_authorities, as: "CN={nonce}", codec: hex, octets: 40000`, "", "40000", "CN={nonce} with a nonce of 40000 octets in hex has 80025 octets; the field has room for 65527"},
		{"longer than a label", `in: client_hello.server_name, as: "{nonce}.nonce", codec: hex, octets: 64`, "", "64}", "the server_name {nonce}.nonce with a nonce of 64 octets has a label of 128 octets, and a label of a host name has 63 at most; mend it, or acknowledge it in accepted_flaws: {host_name: [server_attester]}"},
		{"longer than a host name", `in: client_hello.server_name, codec: hex, octets: 127`, "", "127", "the server_name {nonce} with a nonce of 127 octets has 254 octets, and a host name 253 at most; mend it, or acknowledge it in accepted_flaws: {host_name: [server_attester]}"},
		{"characters of base64 in a host name", `in: client_hello.server_name, codec: base64, octets: 32`, "", "32}", "the server_name {nonce} with a nonce of 32 octets may have the characters + / = of base64, which host names do not have; mend it, or acknowledge it in accepted_flaws: {host_name: [server_attester]}"},
		{"a flaw that is not there", `in: client_hello.server_name, codec: hex, octets: 16`, "accepted_flaws: {host_name: [server_attester]}\n", "host_name", "nothing in the profile has the flaw host_name; remove it"},
		{"no attribute", `in: client_hello.certificate_authorities, codec: hex, octets: 16`, "", "{in: client_hello", `the nonce of server_attester is in an attribute of a name, which is not named; say as: "CN={nonce}"`},
		{"no such attribute", `in: client_hello.certificate_authorities, as: "nick={nonce}", codec: hex, octets: 16`, "", `"nick`, `"nick={nonce}" is not an attribute of a name, as CN={nonce}`},
		{"a template for random", `in: client_hello.random, as: "{nonce}", octets: 32`, "", `"{nonce}"`, "random is octets and no text; remove it, or say offset"},
		{"text in random", `in: client_hello.random, codec: hex, octets: 16`, "", "hex, octets: 16", "random is octets; a nonce in it is raw; say codec: raw"},
		{"beyond random", `in: client_hello.random, octets: 28, offset: 8`, "", "28", "28 octets from octet 8 on; random has 32"},
		{"random of several lengths", `in: client_hello.random, octets: 8..32`, "", "8..32", "random has no length of its own, so the nonce in it has one length; say octets: 32"},
		{"the same random again", `in: client_hello.random, octets: 32`, "nonce: {default: 0x" + strings.Repeat("ab", 32) + "}\n", "0x", "with a fixed nonce ClientHello.random would be the same in each connection; remove it"},
		{"a random that may change", `in: client_hello.random, octets: 32`, "quirks: {accept_new_random: true}\n", "true", "the nonce of server_attester is in random, which so may change with HelloRetryRequest; remove it"},
		{"an offset in text", `in: client_hello.server_name, codec: hex, octets: 16, offset: 4`, "", "4}", "only client_hello.random has an offset; remove it, or say as"},
		{"a selected name", `in: client_hello.server_name, codec: hex, octets: 16, selected: if_no_other`, "", "if_no_other", "a server selects a protocol of ALPN, and nothing in client_hello.server_name; remove it"},
	} {
		src := nonceIn(m.nonce, m.more)
		_, err := Parse("field.yaml", src, Options{})
		line := 1 + strings.Count(string(src[:strings.Index(string(src), m.at)]), "\n")
		if m.at == "0x" || m.at == "true" || m.at == "host_name" {
			line = 1 + strings.Count(string(src[:strings.LastIndex(string(src), m.at)]), "\n")
		}
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("field.yaml:%d:", line)) || !strings.Contains(err.Error(), m.want) {
			t.Errorf("%s:\n%v\nwant line %d: %s", m.name, err, line, m.want)
		}
	}
}

// TestTwoNoncesInOneField: nonces that could be taken for each other are refused.
func TestTwoNoncesInOneField(t *testing.T) {
	for first, second := range map[string]string{
		`in: client_hello.server_name, as: "{nonce}.a", codec: hex, octets: 16`:                              `in: client_hello.server_name, as: "{nonce}.b", codec: hex, octets: 16`,
		`in: client_hello.application_layer_protocol_negotiation, as: "a{nonce}", codec: hex, octets: 16`:    `in: client_hello.application_layer_protocol_negotiation, as: "a{nonce}", codec: hex, octets: 16`,
		`in: client_hello.application_layer_protocol_negotiation, as: "a{nonce}", codec: base64, octets: 16`: `in: client_hello.application_layer_protocol_negotiation, codec: hex, octets: 16`,
		`in: client_hello.random, octets: 20`:                                                                `in: client_hello.random, octets: 20, offset: 12`,
	} {
		src := strings.Replace(string(nonceIn(first, "")), "    client_attester:\n", "    other: {attester: server, offer: client_hello.remoteAttestation.server_attester_schemes, choice: encrypted_extensions.remoteAttestation.chosen_server_scheme, nonce: {"+second+"}}\n    client_attester:\n", 1)
		_, err := Parse("field.yaml", []byte(src), Options{})
		if err == nil || !strings.Contains(err.Error(), "server_name has one name") && !strings.Contains(err.Error(), "cannot be told apart") && !strings.Contains(err.Error(), "share octets") {
			t.Errorf("%s and %s: %v", first, second, err)
		}
	}
}

// TestNonceSpelling: what a field holds is read in one spelling; what is meant for the slot and is
// no nonce is an error, and the rest is left alone.
func TestNonceSpelling(t *testing.T) {
	const alpn = "in: client_hello.application_layer_protocol_negotiation, "
	load := func(nonce string) *Profile {
		p, err := Parse("field.yaml", nonceIn(nonce, ""), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	nonce := bytes.Repeat([]byte{0xfb, 0xef}, 5)
	for _, test := range []struct {
		field, value string
		found, fails bool
	}{
		{alpn + `as: "n:{nonce}.", codec: hex, octets: 10`, "n:fbeffbeffbeffbeffbef.", true, false},
		{alpn + `as: "n:{nonce}.", codec: hex, octets: 10`, "n:FBEFFBEFFBEFFBEFFBEF.", false, true},
		{alpn + `as: "n:{nonce}.", codec: hex, octets: 10`, "n:fbeffbeffbeffbeffb.", false, true},
		{alpn + `as: "n:{nonce}.", codec: hex, octets: 10`, "n:fbeffbeffbeffbeffbefe.", false, true},
		{alpn + `as: "n:{nonce}.", codec: hex, octets: 10`, "n:.", false, true},
		{alpn + `as: "n:{nonce}.", codec: hex, octets: 10`, "h2", false, false},
		{alpn + `codec: hex, octets: 10`, "h2", false, false},
		{alpn + `codec: hex, octets: 10`, "FBEFFBEFFBEFFBEFFBEF", false, false},
		{alpn + `codec: hex, octets: 10`, "fbeffbeffbeffbeffbef", true, false},
		{alpn + `as: "n:{nonce}", codec: base64, octets: 10`, "n:++/77/vv++/77w==", true, false},
		{alpn + `as: "n:{nonce}", codec: base64, octets: 10`, "n:++/77/vv++/77w", false, true},
		{alpn + `as: "n:{nonce}", codec: base64, octets: 10`, "n:++/77/vv++/77x==", false, true},
		{alpn + `as: "n:{nonce}", codec: base64, octets: 10`, "n:--_77_vv--_77w==", false, true},
		{alpn + `as: "n:{nonce}", codec: base64url, octets: 10`, "n:--_77_vv--_77w", true, false},
		{alpn + `as: "n:{nonce}", codec: base64url, octets: 10`, "n:--_77_vv--_77w==", false, true},
		{alpn + `as: "n:{nonce}", codec: base64url, octets: 10`, "n:--_77_vv--\n_77w", false, true},
		{alpn + `as: "n:{nonce}", codec: raw, octets: 10`, "n:" + string(nonce), true, false},
	} {
		p := load(test.field)
		f := p.NewFields()
		err := p.Decode(attls.KindClientHello, attls.RoleClient, attls.ExtALPN, extensions.AppendALPN(nil, []string{"http/1.1", test.value}), f)
		if got := f.Nonces[0]; (err != nil) != test.fails || (got != nil) != test.found {
			t.Errorf("%s, %q: %x, %v", test.field, test.value, got, err)
		}
		if test.found {
			if !bytes.Equal(f.Nonces[0], nonce) {
				t.Errorf("%s, %q: %x", test.field, test.value, f.Nonces[0])
			}
			again, err := p.Embed(attls.KindClientHello, f, func(attls.ExtensionType) []byte { return extensions.AppendALPN(nil, []string{"h2", test.value}) })
			if err != nil || len(again) != 1 || !bytes.Equal(again[0].Body, extensions.AppendALPN(nil, []string{test.value, "h2"})) {
				t.Errorf("%s: %q, %v", test.field, again, err)
			}
		}
	}
}

// TestNonceInName: of names, those with the attributes of the template and no others are read.
func TestNonceInName(t *testing.T) {
	p, err := Parse("field.yaml", nonceIn(`in: client_hello.certificate_authorities, as: "O=x,2.5.4.3=n{nonce}", codec: hex, octets: 2`, ""), Options{})
	if err != nil {
		t.Fatal(err)
	}
	set := func(attribute byte, tag byte, value string) []byte {
		return append([]byte{0x31, byte(9 + len(value)), 0x30, byte(7 + len(value)), 6, 3, 0x55, 4, attribute, tag, byte(len(value))}, value...)
	}
	name := func(sets ...[]byte) []byte {
		b := bytes.Join(sets, nil)
		return append([]byte{0x30, byte(len(b))}, b...)
	}
	const o, cn, printable, utf8, bmp = 10, 3, 0x13, 0x0c, 0x1e
	for _, test := range []struct {
		what         string
		der          []byte
		found, fails bool
	}{
		{"as it is written", name(set(o, printable, "x"), set(cn, printable, "nabcd")), true, false},
		{"in UTF8String", name(set(o, utf8, "x"), set(cn, utf8, "nabcd")), true, false},
		{"in BMPString", name(set(o, utf8, "x"), set(cn, bmp, "nabcd")), false, false},
		{"in another order", name(set(cn, printable, "nabcd"), set(o, printable, "x")), false, false},
		{"with one more", name(set(o, printable, "x"), set(cn, printable, "nabcd"), set(o, printable, "x")), false, false},
		{"with one less", name(set(cn, printable, "nabcd")), false, false},
		{"another organization", name(set(o, printable, "y"), set(cn, printable, "nabcd")), false, false},
		{"another common name", name(set(o, printable, "x"), set(cn, printable, "abcd")), false, false},
		{"no hexadecimal digits", name(set(o, printable, "x"), set(cn, printable, "nabxx")), false, true},
		{"too long", name(set(o, printable, "x"), set(cn, printable, "nabcdef")), false, true},
		{"no DER", []byte{0x30, 0x05, 1}, false, false},
		{"octets after it", append(name(set(o, printable, "x"), set(cn, printable, "nabcd")), 0), false, false},
	} {
		f := p.NewFields()
		err := p.Decode(attls.KindClientHello, attls.RoleClient, attls.ExtCertificateAuthorities, extensions.AppendCertificateAuthorities(nil, [][]byte{test.der}), f)
		if (err != nil) != test.fails || (f.Nonces[0] != nil) != test.found {
			t.Errorf("%s: %x, %v", test.what, f.Nonces[0], err)
		}
	}
}

// TestNonceFieldAlive: every value that says how a nonce is written changes the profile.
func TestNonceFieldAlive(t *testing.T) {
	for _, nonce := range []string{
		`in: client_hello.application_layer_protocol_negotiation, as: "v1:{nonce}", codec: hex, octets: 8..32, selected: never`,
		`in: client_hello.certificate_authorities, as: "O=x,CN={nonce}", codec: base64, octets: 32`,
		"in: client_hello.random, octets: 16, offset: 4",
	} {
		doc, problems := parseChain("field.yaml", nonceIn(nonce, ""), nil)
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		p, err := compileCopy(doc)
		if err != nil {
			t.Fatal(err)
		}
		before := fingerprint(t, p)
		field := doc.get("bind", "slots", "server_attester", "nonce")
		walk(field, nonceKey, "nonce", func(path string, v *value, k *key) {
			old := v.text
			for _, s := range changes(v, k) {
				if v.text = s; s == old {
					continue
				}
				if q, err := compileCopy(doc); err == nil && fingerprint(t, q) == before {
					t.Errorf("%s: %s changed to %s changes nothing", nonce, path, s)
				}
			}
			v.text = old
		})
	}
}
