package profile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"attls"
)

func mustLoad(t testing.TB, name string, o Options) *Profile {
	t.Helper()
	p, err := Load(name, o)
	if err != nil {
		t.Fatalf("%s:\n%v", name, err)
	}
	return p
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// typeOf finds the number of an extension of a profile.
func typeOf(t testing.TB, p *Profile, name string) attls.ExtensionType {
	t.Helper()
	for _, x := range p.Extensions {
		if x.Name == name {
			return x.Type
		}
	}
	t.Fatalf("%s has no extension %s", p.ID, name)
	return 0
}

func showScheme(s *Scheme) string {
	out := fmt.Sprintf("%s/%s", s.Model, s.Credential)
	switch {
	case s.Verifier != nil:
		out += " by " + string(s.Verifier)
	case s.Format.MediaType != "":
		out += " " + s.Format.MediaType
	default:
		out += fmt.Sprintf(" %d", s.Format.ContentFormat)
	}
	return out
}

// show writes Fields down, a slot at a time.
func show(p *Profile, f *Fields) string {
	var parts []string
	for i, s := range p.Slots {
		if f.Offered[i] {
			var list []string
			for k := range f.Offers[i] {
				list = append(list, showScheme(&f.Offers[i][k]))
			}
			parts = append(parts, s.Name+" offers ["+strings.Join(list, ", ")+"]")
		}
		if f.Choices[i] != nil {
			parts = append(parts, s.Name+" chooses "+showScheme(f.Choices[i]))
		}
		if f.Nonces[i] != nil {
			parts = append(parts, fmt.Sprintf("%s nonce %x", s.Name, f.Nonces[i]))
		}
	}
	if f.Payload != nil {
		parts = append(parts, fmt.Sprintf("payload %x", f.Payload))
	}
	return strings.Join(parts, "; ")
}

const (
	client, server = attls.RoleClient, attls.RoleServer
	ch, ee, cr, ct = attls.KindClientHello, attls.KindEncryptedExtensions, attls.KindCertificateRequest, attls.KindCertificate
	eat            = "6170706c69636174696f6e2f6561742b637774" // application/eat+cwt
	verifier       = "762e6578616d706c65"                     // v.example
	nonce8         = "a0a1a2a3a4a5a6a7"
)

// TestWire decodes bodies as the texts (or the prototype) send them and gets
// the same octets back.
func TestWire(t *testing.T) {
	later := func(from, to int, family string) (names []string) {
		for i := from; i <= to; i++ {
			names = append(names, fmt.Sprintf("%s-%02d", family, i))
		}
		return names
	}
	const a, b = "tls-attestation", "early-attestation"
	one := append(later(5, 7, b), "early-attestation-08pre")
	for _, w := range []struct {
		profiles []string
		ext      string
		kind     attls.MessageKind
		sender   attls.Role
		body     string
		want     string
	}{
		{later(0, 1, a), "client_attestation_type", ch, client, "01 e0 0000", "client_attestation offers [evidence/alone 263]"},
		{later(0, 1, a), "client_attestation_type", ee, server, "e0 0008" + nonce8, "client_attestation chooses evidence/alone 263; client_attestation nonce " + nonce8},
		{later(0, 1, a), "server_attestation_type", ch, client, "02 e1e0 0008" + nonce8,
			"server_attestation offers [evidence/alone application/vnd.parallaxsecond.key-attestation.tpm, evidence/alone 263]; server_attestation nonce " + nonce8},
		{later(2, 2, a), "evidence_request", ch, client, "03 00 0107 08" + nonce8, "evidence_request offers [evidence/alone 263]; evidence_request nonce " + nonce8},
		{later(2, 2, a), "evidence_request", ee, server, "00 0107", "evidence_request chooses evidence/alone 263"},
		{later(2, 2, a), "evidence_proposal", ch, client, "03 00 0107", "evidence_proposal offers [evidence/alone 263]"},
		{later(2, 2, a), "evidence_proposal", ch, client, "16 01 0013" + eat, "evidence_proposal offers [evidence/alone application/eat+cwt]"},
		{later(2, 2, a), "evidence_proposal", ee, server, "00 0107 08" + nonce8, "evidence_proposal chooses evidence/alone 263; evidence_proposal nonce " + nonce8},
		{later(3, 4, a), "evidence_proposal", ch, client, "08 00 00 0107 00 01 0107", "evidence_proposal offers [evidence/alone 263, evidence/x509 263]"},
		{later(3, 4, a), "evidence_proposal", ch, client, "17 01 01 0013" + eat, "evidence_proposal offers [evidence/x509 application/eat+cwt]"},
		{later(3, 9, a), "attestation_evidence", ct, server, "8219010741d2", "payload 8219010741d2"},
		{later(4, 9, a), "results_request", ch, client, "0b 0009" + verifier, "results_request offers [results/alone by v.example]"},
		{later(4, 9, a), "results_request", ee, server, "0009" + verifier, "results_request chooses results/alone by v.example"},
		{later(5, 9, a), "evidence_request", ch, client, "08 00 00 0107 01 00 0107 08" + nonce8,
			"evidence_request offers [evidence/alone 263, evidence/x509 263]; evidence_request nonce " + nonce8},
		{later(5, 9, a), "evidence_request", ch, client, "17 00 01 0013" + eat + "08" + nonce8,
			"evidence_request offers [evidence/alone application/eat+cwt]; evidence_request nonce " + nonce8},
		{later(0, 4, b), "evidence_request", ch, client, "03 00 0107", "evidence_request offers [evidence/x509 263]"},
		{later(0, 4, b), "evidence_proposal", ee, server, "00 0107", "evidence_proposal chooses evidence/x509 263"},
		{later(0, 4, b), "results_proposal", ch, client, "0b 0009" + verifier, "results_proposal offers [results/x509 by v.example]"},
		{later(3, 4, b), "attestation", ct, client, "000002 abcd", "payload abcd"},
		{one, "remoteAttestation", ch, client, "0004 00 00 0107 0000", "server_attester offers [evidence/x509 263]; client_attester offers []"},
		{one, "remoteAttestation", ch, client, "000c 01 0009" + verifier + "0000", "server_attester offers [results/x509 by v.example]; client_attester offers []"},
		{one, "remoteAttestation", ch, client, "0000 0000", "server_attester offers []; client_attester offers []"},
		{one, "remoteAttestation", ee, server, "00 00 0107", "server_attester chooses evidence/x509 263"},
		{one, "remoteAttestation", ee, server, "01 0009" + verifier, "server_attester chooses results/x509 by v.example"},
		{one, "remoteAttestation", cr, server, "00 01 0013" + eat, "client_attester chooses evidence/x509 application/eat+cwt"},
		{one, "remoteAttestation", ct, server, "000002 abcd", "payload abcd"},
		{[]string{"mbedtls-poc"}, "evidence_proposal", ch, client, "03 00 0001", "evidence_proposal offers [evidence/alone 1]"},
		{[]string{"mbedtls-poc"}, "evidence_proposal", ee, server, "00 0001 08 0001020304050607", "evidence_proposal chooses evidence/alone 1; evidence_proposal nonce 0001020304050607"},
		{[]string{"mbedtls-poc"}, "evidence_proposal", ee, server, "00 0000 08 0001020304050607", "evidence_proposal chooses evidence/alone 0; evidence_proposal nonce 0001020304050607"},
	} {
		for _, name := range w.profiles {
			p := mustLoad(t, name, Options{})
			f, body, ext := p.NewFields(), unhex(t, w.body), typeOf(t, p, w.ext)
			if err := p.Decode(w.kind, w.sender, ext, body, f); err != nil || show(p, f) != w.want {
				t.Errorf("%s %s %s: %s, %v; want %s", name, w.kind, w.body, show(p, f), err, w.want)
				continue
			}
			if err := p.Decode(w.kind, w.sender, ext, body, f); err != nil || show(p, f) != w.want {
				t.Errorf("%s %s %s read twice: %s, %v", name, w.kind, w.body, show(p, f), err)
			}
			list, err := p.Encode(w.kind, w.sender, f)
			if err != nil || len(list) != 1 || list[0].Type != ext || !bytes.Equal(list[0].Body, body) {
				t.Errorf("%s %s: %x, %v; want %s", name, w.kind, list, err, w.body)
			}
		}
	}
}

// TestAddedMessage carries a payload in a handshake message.
func TestAddedMessage(t *testing.T) {
	for _, name := range []string{"early-attestation-00", "early-attestation-01", "early-attestation-02"} {
		p := mustLoad(t, name, Options{})
		f := p.NewFields()
		f.Payload = []byte{0xab, 0xcd}
		body, err := p.EncodeMessage(0, server, f)
		if err != nil || !bytes.Equal(body, unhex(t, "000002abcd")) {
			t.Errorf("%s: %x, %v", name, body, err)
		}
		g := p.NewFields()
		if err := p.DecodeMessage(0, client, body, g); err != nil || !bytes.Equal(g.Payload, f.Payload) {
			t.Errorf("%s: %x, %v", name, g.Payload, err)
		}
		if err := p.DecodeMessage(0, client, append(body, 0), g); err == nil {
			t.Errorf("%s: octets that are left over pass", name)
		}
	}
}

// TestMalformed refuses bodies with the octet at which they break.
func TestMalformed(t *testing.T) {
	for _, w := range []struct {
		profile, ext string
		kind         attls.MessageKind
		sender       attls.Role
		body         string
		offset       int
		field        string
	}{
		{"tls-attestation-02", "evidence_request", ch, client, "00 08" + nonce8, 0, "evidence_request.supported_evidence_types"},
		{"tls-attestation-02", "evidence_request", ch, client, "03 02 0107 00", 1, "evidence_request.supported_evidence_types[0]"},
		{"tls-attestation-05", "evidence_request", ch, client, "04 00 00 0107 07" + nonce8[2:], 5, "evidence_request.nonce"},
		{"tls-attestation-05", "evidence_request", ee, server, "00 00 0107 ff", 4, "evidence_request"},
		{"early-attestation-06", "remoteAttestation", ch, client, "0004 02 00 0107 0000", 2, "remoteAttestation.server_attester_schemes[0]"},
		{"early-attestation-06", "remoteAttestation", ct, client, "000000", 0, "remoteAttestation.cmw_payload"},
		{"early-attestation-03", "attestation", ct, client, "000003 abcd", 0, "attestation.cmw_payload"},
	} {
		p := mustLoad(t, w.profile, Options{})
		err := p.Decode(w.kind, w.sender, typeOf(t, p, w.ext), unhex(t, w.body), p.NewFields())
		var e *attls.Error
		if !errors.As(err, &e) || e.Failure != attls.FailAttestationExtension || e.Offset != w.offset || !strings.HasPrefix(e.Field, w.field) {
			t.Errorf("%s %s: %v; want offset %d in %s", w.profile, w.body, err, w.offset, w.field)
		}
	}
	p := mustLoad(t, "early-attestation-06", Options{Readings: map[string]string{"unknown_arm": "ignore"}})
	f := p.NewFields()
	if err := p.Decode(ch, client, 0xff06, unhex(t, "0004 02 00 0107 0000"), f); err != nil || f.Offered[0] {
		t.Errorf("an extension that is to be ignored: %v, %v", err, f)
	}
	poc := mustLoad(t, "mbedtls-poc", Options{})
	if err := poc.Decode(ee, server, 100, unhex(t, "00 0001 00 ffff"), poc.NewFields()); err != nil {
		t.Errorf("octets after the body, which the profile ignores: %v", err)
	}
}

func TestMaxPayload(t *testing.T) {
	for name, want := range map[string]int{"tls-attestation-03": 65531, "early-attestation-00": 1<<24 - 1 - 3, "early-attestation-03": 65528, "early-attestation-06": 65528} {
		p := mustLoad(t, name, Options{})
		c, _ := p.Credential(KindX509)
		if c.MaxPayload != want {
			t.Errorf("%s: room for %d octets, want %d", name, c.MaxPayload, want)
		}
		f := p.NewFields()
		f.Payload = make([]byte, want+1)
		if c.Carrier == CarrierExtension {
			if _, err := p.Encode(ct, server, f); err == nil {
				t.Errorf("%s: %d octets pass", name, want+1)
			}
			f.Payload = f.Payload[:want]
			if _, err := p.Encode(ct, server, f); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestEncodeScheme(t *testing.T) {
	slotOf := func(p *Profile, name string) int {
		for i, s := range p.Slots {
			if s.Name == name {
				return i
			}
		}
		t.Fatalf("%s has no slot %s", p.ID, name)
		return 0
	}
	evidence := Scheme{Format: Format{ContentFormat: 263}}
	beside := Scheme{Format: Format{MediaType: "application/eat+cwt"}, Credential: KindX509}
	results := Scheme{Model: ModelResults, Credential: KindX509, Verifier: []byte("v.example")}
	for _, w := range []struct {
		profile, slot string
		s             Scheme
		want          string
	}{
		{"tls-attestation-00", "client_attestation", evidence, "e0"},
		{"tls-attestation-00", "client_attestation", Scheme{Format: Format{ContentFormat: 9}}, ""},
		{"tls-attestation-02", "evidence_request", evidence, "000107"},
		{"tls-attestation-02", "evidence_request", beside, ""},
		{"tls-attestation-03", "evidence_request", beside, "01010013" + eat},
		{"tls-attestation-05", "evidence_request", beside, "01010013" + eat},
		{"tls-attestation-05", "results_request", results, ""},
		{"early-attestation-00", "results_request", results, "0009" + verifier},
		{"early-attestation-06", "server_attester", results, "010009" + verifier},
		{"early-attestation-06", "client_attester", beside, "00010013" + eat},
		{"early-attestation-06", "client_attester", evidence, ""},
		{"mbedtls-poc", "evidence_proposal", Scheme{Format: Format{ContentFormat: 1}}, "000001"},
	} {
		p := mustLoad(t, w.profile, Options{})
		got, ok := p.EncodeScheme(slotOf(p, w.slot), w.s)
		if ok != (w.want != "") || !bytes.Equal(got.Wire, unhex(t, w.want)) {
			t.Errorf("%s %s %v: %x, %v; want %s", w.profile, w.slot, w.s, got.Wire, ok, w.want)
		}
	}
	p := mustLoad(t, "tls-attestation-04", Options{Readings: map[string]string{"results_credential": "x509"}})
	if s, ok := p.EncodeScheme(slotOf(p, "results_proposal"), results); !ok || hex.EncodeToString(s.Wire) != "0009"+verifier {
		t.Errorf("results beside X.509: %x, %v", s.Wire, ok)
	}
}

// TestOfferOfTheCarrier: in one reading the extension that will carry the
// credential is sent empty beforehand.
func TestOfferOfTheCarrier(t *testing.T) {
	p := mustLoad(t, "tls-attestation-03", Options{Readings: map[string]string{"offer_of_60": "empty"}})
	f := p.NewFields()
	s, ok := p.EncodeScheme(0, Scheme{Credential: KindX509, Format: Format{ContentFormat: 263}})
	if !ok {
		t.Fatal("no scheme")
	}
	f.Offered[0], f.Offers[0] = true, []Scheme{s}
	list, err := p.Encode(ch, client, f)
	if err != nil || len(list) != 2 || list[1].Type != 60 || len(list[1].Body) != 0 {
		t.Errorf("%x, %v", list, err)
	}
	g := p.NewFields()
	g.Choices[1] = &s
	if list, err := p.Encode(cr, server, g); err != nil || len(list) != 1 || list[0].Type != 60 || len(list[0].Body) != 0 {
		t.Errorf("in CertificateRequest: %x, %v", list, err)
	}
	if list, err = p.Encode(ch, client, p.NewFields()); err != nil || len(list) != 0 {
		t.Errorf("without an offer: %x, %v", list, err)
	}
}
