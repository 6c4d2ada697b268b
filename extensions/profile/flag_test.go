package profile

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"attls"
)

// flagProfile has a flag that is an extension, and one that is a value.
const flagProfile = `
profile: flagged
types: |
  struct { uint16 one; opaque two<0..4>; } Both;
code_points: {extensions: {empty: 0xFF11, both: 0xFF12}}
extensions:
  empty: {body: opaque, client_hello: {}, encrypted_extensions: {offered_by: [client_hello]}}
  both: {body: Both, client_hello: {}, encrypted_extensions: {offered_by: [client_hello]}}
x509: {evidence: {oid: 1.2.3}}
bind:
  slots:
    a: {attester: server, flag: evidence/x509, offer: client_hello.empty, choice: encrypted_extensions.empty}
    b: {attester: server, flag: results/x509, value: 0x0102, offer: client_hello.both.one, choice: encrypted_extensions.both.one}
    c: {attester: client, flag: results/x509, value: 0x0a0b0c, offer: client_hello.both.two, choice: encrypted_extensions.both.two}
  credentials: {x509: {carried_in: certificate.x509.evidence, pkix: none}}
negotiation: {choose: {per_attester: 1}}
binder: {define: {b: spki(role)}, challenge: {evidence/x509: b}}
`

// TestFlags writes and reads flags: set, not set, and with another value.
func TestFlags(t *testing.T) {
	p, err := Parse("flags.yaml", []byte(flagProfile), Options{})
	if err != nil {
		t.Fatal(err)
	}
	name := map[string]int{}
	for i := range p.Slots {
		name[p.Slots[i].Name] = i
		e, ok := p.EncodeScheme(i, Scheme{Model: p.Slots[i].Models[0], Credential: KindX509, Format: Format{ContentFormat: 7}})
		if want := p.Slots[i].FlagValue; !ok || !bytes.Equal(e.Wire, want) && (len(want) > 0 || string(e.Wire) != "flag") {
			t.Errorf("%s: %x, %v", p.Slots[i].Name, e.Wire, ok)
		}
		if _, ok := p.EncodeScheme(i, Scheme{Model: 1 - p.Slots[i].Models[0], Credential: KindX509}); ok {
			t.Errorf("%s means another model as well", p.Slots[i].Name)
		}
	}
	for set, want := range map[string]map[attls.ExtensionType]string{
		"a": {0xff11: ""}, "b": {0xff12: "\x01\x02\x00"}, "c": {0xff12: "\x00\x00\x03\x0a\x0b\x0c"},
		"abc": {0xff11: "", 0xff12: "\x01\x02\x03\x0a\x0b\x0c"},
	} {
		offer, choice := p.NewFields(), p.NewFields()
		for _, s := range strings.Split(set, "") {
			offer.Offered[name[s]] = true
			choice.Choices[name[s]] = &Scheme{}
		}
		hello, err := p.Encode(attls.KindClientHello, attls.RoleClient, offer)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := p.Encode(attls.KindEncryptedExtensions, attls.RoleServer, choice)
		if err != nil {
			t.Fatal(err)
		}
		got, echoed := p.NewFields(), p.NewFields()
		for i, x := range hello {
			if body, ok := want[x.Type]; !ok || string(x.Body) != body || len(hello) != len(want) ||
				!bytes.Equal(x.Body, answer[i].Body) {
				t.Errorf("%s: %v, %v", set, hello, answer)
			}
			if err := p.Decode(attls.KindClientHello, attls.RoleClient, x.Type, x.Body, got); err != nil {
				t.Error(err)
			}
			if err := p.Decode(attls.KindEncryptedExtensions, attls.RoleServer, x.Type, x.Body, echoed); err != nil {
				t.Error(err)
			}
		}
		for s, i := range name {
			in := strings.Contains(set, s)
			if got.Offered[i] != in || (len(got.Offers[i]) == 1) != in || (echoed.Choices[i] != nil) != in {
				t.Errorf("%s: %s is offered %v, %v, chosen %v", set, s, got.Offered[i], got.Offers[i], echoed.Choices[i])
			}
		}
	}
	for _, body := range []string{"\x01\x03\x00", "\x00\x00\x02\x0a\x0b", "\x00\x00\x03\x00\x00\x00"} {
		if err := p.Decode(attls.KindClientHello, attls.RoleClient, 0xff12, []byte(body), p.NewFields()); err == nil {
			t.Errorf("%x is read", body)
		}
	}
}

// TestFlagMistakes has a profile for each thing that cannot be a flag.
func TestFlagMistakes(t *testing.T) {
	for change, want := range map[string]string{
		"value: 0x0102, => ": "has no value to write there",
		"flag: evidence/x509, => flag: evidence/x509, value: 0x01, ":             "", // in an opaque body
		"flag: evidence/x509, => value: 0x01, flag: evidence/x509, always: x, ":  "is one of",
		"flag: evidence/x509, => flag: evidence/x509, always: evidence/x509, ":   "so no flag negotiates it",
		"value: 0x0102 => value: 0x":                                             "without octets",
		"value: 0x0102 => value: 0x010203":                                       "room for the value",
		"value: 0x0a0b0c => value: 0x0a0b0c0d0e":                                 "room for the value",
		"value: 0x0102 => value: 0x0000":                                         "cannot be left out",
		"flag: results/x509, value: 0x0a0b0c, => value: 0x0a0b0c, ":              "only a flag has a value",
		"choice: encrypted_extensions.both.one => choice: client_hello.both.one": "belongs in",
		"offer: client_hello.empty, => ":                                         "has no offer",
		"encrypted_extensions.both.one => encrypted_extensions.both.three":       "no field",
	} {
		from, to, _ := strings.Cut(change, " => ")
		text := strings.Replace(flagProfile, from, to, 1)
		if text == flagProfile {
			t.Fatalf("%q is not in the profile", from)
		}
		switch _, err := Parse("flags.yaml", []byte(text), Options{}); {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v", change, err)
		}
	}
}

// TestFlagCompiled reads a compiled profile with flags back.
func TestFlagCompiled(t *testing.T) {
	src, err := os.ReadFile("testdata/changed/flags.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{flagProfile, string(src)} {
		p, err := Parse("flags.yaml", []byte(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Compiled()
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse("flags.compiled", c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range q.Slots {
			if !q.Slots[i].Flagged || !bytes.Equal(q.Slots[i].FlagValue, p.Slots[i].FlagValue) {
				t.Errorf("%+v", q.Slots[i])
			}
		}
	}
}
