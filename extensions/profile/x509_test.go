package profile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/internal/seeds"
)

// certified makes a certificate with extensions and names.
func certified(t testing.TB, names []string, list ...pkix.Extension) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0),
		DNSNames: names, ExtraExtensions: list}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

var quoteOID = asn1.ObjectIdentifier{1, 2, 840, 113741, 1337, 6}

// TestFieldOctets holds what is written against octets written by hand, and reads it.
func TestFieldOctets(t *testing.T) {
	for _, test := range []struct {
		field CertificateField
		want  string
	}{
		{CertificateField{Parts: []string{""}}, "707170"},
		{CertificateField{Parts: []string{""}, OctetString: true}, "0403707170"},
		{CertificateField{Parts: []string{""}, Tagged: true, Tag: 60000}, "d9ea6043707170"},
		{CertificateField{Parts: []string{"", "claims"}, Array: true}, "824370717041a1"},
		{CertificateField{Parts: []string{"", "claims"}, Array: true, Tagged: true, Tag: 60000, OctetString: true}, "040ad9ea60824370717041a1"},
	} {
		f := test.field
		f.Name, f.OID = "quote", quoteOID
		parts := [][]byte{[]byte("pqp"), {0xa1}}[:len(f.Parts)]
		got, err := f.Write(parts)
		if err != nil || hex.EncodeToString(got) != test.want {
			t.Errorf("%+v: %x, %v, want %s", f, got, err, test.want)
			continue
		}
		p := &Profile{X509: []CertificateField{f}}
		back, failure := p.ReadField(0, certified(t, nil, pkix.Extension{Id: quoteOID, Value: got}))
		if failure != nil || !slices.EqualFunc(back, parts, bytes.Equal) {
			t.Errorf("%+v: read %x, %v", f, back, failure)
		}
	}
}

// TestFieldRefused: whatever departs from the wrapping is refused, with its place.
func TestFieldRefused(t *testing.T) {
	f := CertificateField{Name: "quote", OID: quoteOID, Parts: []string{"", "claims"}, Array: true, Tagged: true, Tag: 60000,
		OctetString: true}
	p := &Profile{X509: []CertificateField{f}}
	for _, test := range []struct{ octets, want string }{
		{"", "the value is not a DER OCTET STRING"},
		{"0503", "the value is not a DER OCTET STRING"},
		{"040ad9ea60824370717041a100", "1 octets follow the OCTET STRING"},
		{"0408d9ea61824041a1ff", "the value does not have the CBOR tag 60000"},
		{"0405d9ea608140", "the value is not a CBOR array of 2 byte strings"},
		{"0406d9ea60834040", "the value is not a CBOR array of 2 byte strings"},
		{"0406d9ea609f4040", "the value is not a CBOR array of 2 byte strings"}, // of indefinite length
		{"0407d9ea6082404100", ""},
		{"0406d9ea60824041", "there is no whole CBOR byte string"},
		{"040ed9ea6082405bffffffffffffffff", "there is no whole CBOR byte string"},
		{"0408d9ea608240410000", "1 octets follow the CBOR data item"},
		{"0406d9ea60826040", "there is no whole CBOR byte string"}, // a text string
	} {
		octets, err := hex.DecodeString(test.octets)
		if err != nil {
			t.Fatal(err)
		}
		if len(octets) > 1 && octets[0] == 4 && !strings.HasSuffix(test.want, "OCTET STRING") {
			octets[1] = byte(len(octets) - 2)
		}
		_, failure := p.ReadField(0, certified(t, nil, pkix.Extension{Id: quoteOID, Value: octets}))
		switch {
		case test.want == "" && failure != nil, test.want != "" && (failure == nil || failure.Detail != test.want ||
			failure.Failure != attls.FailMalformedCMW || failure.Offset <= 0):
			t.Errorf("%s: %v, want %q", test.octets, failure, test.want)
		}
	}
}

// TestFieldTwice: an extension that is there twice, or not as critical as it has to be,
// is refused; one that is not there is not an error of the reader's.
func TestFieldTwice(t *testing.T) {
	f := CertificateField{Name: "quote", OID: quoteOID, Parts: []string{""}, Critical: CriticalNo}
	p := &Profile{X509: []CertificateField{f}}
	x := pkix.Extension{Id: quoteOID, Value: []byte("p")}
	if _, err := p.ReadField(0, certified(t, nil, x, x)); err == nil || err.Failure != attls.FailMalformedCMW {
		t.Error(err)
	}
	x.Critical = true
	if _, err := p.ReadField(0, certified(t, nil, x)); err == nil || err.Failure != attls.FailBadCertificate {
		t.Error(err)
	}
	if parts, err := p.ReadField(0, certified(t, nil)); err != nil || parts != nil {
		t.Error(parts, err)
	}
	if _, err := p.ReadField(0, []byte{0x30, 0}); err == nil || err.Failure != attls.FailBadCertificate {
		t.Error(err)
	}
}

// TestFieldNames: what is written into DNS names is read again, whatever their order and
// case; a name too many, too few or of other characters is refused.
func TestFieldNames(t *testing.T) {
	f := CertificateField{Name: "names", Parts: []string{""}, Suffix: "hatt.example.org", Digits: 2, Chunk: 8}
	p := &Profile{X509: []CertificateField{f}}
	content := bytes.Repeat([]byte{0, 0xff, 7}, 20)
	names, err := f.WriteNames(content)
	if err != nil || len(names) != 12 || names[1] != "01"+names[1][2:10]+".hatt.example.org" {
		t.Fatal(names, err)
	}
	read := func(names ...string) ([][]byte, *attls.Error) { return p.ReadField(0, certified(t, names)) }
	mixed := slices.Clone(names)
	slices.Reverse(mixed)
	mixed = append(mixed, "localhost", "xx.hatt.example.org", strings.ToUpper(mixed[0][:3])+mixed[0][3:])
	mixed = slices.Delete(mixed, 0, 1)
	if parts, err := read(mixed...); err != nil || !bytes.Equal(parts[0], content) {
		t.Error(parts, err)
	}
	if parts, err := read("localhost"); parts != nil || err != nil {
		t.Error(parts, err)
	}
	for _, bad := range [][]string{names[1:], append(slices.Clone(names), names[3]), {"00aaaaaaa1.hatt.example.org"},
		{"00aab.hatt.example.org"}} {
		if _, err := read(bad...); err == nil || err.Failure != attls.FailMalformedCMW {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := f.WriteNames(make([]byte, 8*5/8*101)); err == nil {
		t.Error("more than 100 names of two digits")
	}
}

// placed is early-attestation-05 with the payload in the certificate.
func placed(t *testing.T, x509, rest string) string {
	t.Helper()
	embedded, err := os.ReadFile("profiles/early-attestation-05.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cmw := regexpCut(string(embedded), "          case certificate:", "      };")
	text := strings.Replace(cmw, "carried_in: certificate.remoteAttestation.cmw_payload", "carried_in: certificate.x509.quote", 1)
	text = regexpCut(text, "    certificate: {offered_by", "bind:")
	text = strings.Replace(text, "  payload_bound: B-05/AMB-17\n", "", 1)
	text = strings.Replace(text, "bind:\n", "x509:\n"+x509+"bind:\n", 1)
	return text + rest
}

// regexpCut takes out what is from one text up to another.
func regexpCut(s, from, to string) string {
	i := strings.Index(s, from)
	k := strings.Index(s[i:], to)
	return s[:i] + s[i+k:]
}

// TestPlacedMistakes edits fields of certificates wrongly and wants to be told where.
func TestPlacedMistakes(t *testing.T) {
	const quote = "  quote: {oid: 1.2.840.113741.1337.6}\n"
	for _, m := range []struct{ name, x509, old, new, at, want string }{
		{"sound", quote, "", "", "", ""},
		{"no field", "  quotes: {oid: 1.2.3.4}\n", "", "", "certificate.x509.quote", "x509 has no field quote; did you mean quotes?"},
		{"neither", "  quote: {critical: true}\n", "", "", "quote: {crit", "quote is the value of an X.509 extension or DNS names; say oid, or dns_names"},
		{"no OID", "  quote: {oid: 1.2.x}\n", "", "", "1.2.x", "1.2.x is not an object identifier; write it as 1.2.840.113741.1337.6"},
		{"RFC 5280's", "  quote: {oid: 2.5.29.17}\n", "", "", "2.5.29.17", "2.5.29.17 is an extension of RFC 5280, which means something else"},
		{"OID twice", quote + "  other: {oid: 1.2.840.113741.1337.6, content: base}\n", "", "", "1.2.840.113741.1337.6, content", "other has the object identifier of quote"},
		{"names with a tag", "  quote: {dns_names: a.example, cbor_tag: 3}\n", "", "", "cbor_tag", "only the value of an X.509 extension has cbor_tag; remove it"},
		{"label too long", "  quote: {dns_names: a.example, chunk: 62}\n", "", "", "quote: {dns", "a label of 2 digits and 62 characters; a label has 63 at most"},
		{"not a name", "  quote: {dns_names: a..example}\n", "", "", "a..example", "a..example is not a DNS name; write it as hatt.example.org"},
		{"no payload in it", "  quote: {oid: 1.2.3.4, content: base}\n", "", "", "certificate.x509.quote", "quote does not hold the payload; say content: payload, or name payload in cbor_array"},
		{"two payloads", quote + "  other: {oid: 1.2.3.4}\n", "", "", "other: {oid", "the payload travels in quote, so other would never be written; give it a content of binder.define, or remove it"},
		{"unknown definition", quote + "  other: {oid: 1.2.3.4, content: bose}\n", "", "", "bose", "binder.define has no bose; did you mean base?"},
		{"bound to itself", quote, "hash(spki(role)), Hash.length", "hash(certificate(role)), Hash.length", "certificate(role)), Hash", "key_bound: certificate(role) exists at the attesting server from CT(server) on, and is needed before CT(server)"},
		{"a value too early", quote + "  other: {oid: 1.2.3.4, content: late}\n", "    base: 'expand", "    late: hash(CH..CV(role))\n    base: 'expand", "CH..CV(role))", "late: CH..CV(role) exists at the attesting server from CV(server) on, and is needed before CT(server)"},
	} {
		text := placed(t, m.x509, "")
		if m.old != "" {
			text = strings.Replace(text, m.old, m.new, 1)
		}
		_, err := Parse("edited.yaml", []byte(text), Options{})
		if m.want == "" {
			if err != nil {
				t.Fatalf("%s: %v\n%s", m.name, err, text)
			}
			continue
		}
		want := fmt.Sprintf("edited.yaml:%s: %s", place(t, text, m.at), m.want)
		if err == nil || !strings.Contains("\n"+err.Error()+"\n", "\n"+want+"\n") {
			t.Errorf("%s:\n got %v\nwant %s", m.name, err, want)
		}
	}
}

// FuzzReadField reads certificates of any octets: no panic, and no more than what is in
// them.
func FuzzReadField(f *testing.F) {
	p := &Profile{X509: []CertificateField{{Name: "quote", OID: quoteOID, Parts: []string{"", "claims"}, Array: true,
		Tagged: true, Tag: 60000, OctetString: true}, {Name: "names", Parts: []string{""}, Suffix: "a.example", Digits: 2, Chunk: 8}}}
	seeds.Add(f, func() {
		f.Add(certified(f, []string{"00aaaa.a.example"}, pkix.Extension{Id: quoteOID, Value: []byte{4, 6, 0xd9, 0xea, 0x60, 0x82, 0x40, 0x40}}))
	})
	f.Fuzz(func(t *testing.T, der []byte) {
		seeds.Input(t, der)
		for i := range p.X509 {
			parts, _ := p.ReadField(i, der)
			total := 0
			for _, part := range parts {
				total += len(part)
			}
			if total > len(der) {
				t.Errorf("%d octets out of %d", total, len(der))
			}
		}
	})
}
