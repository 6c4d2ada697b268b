package profile

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"attls"
)

// TestRename: a profile under other names and numbers loads and encodes the
// same fields to the same octets, numbers apart.
func TestRename(t *testing.T) {
	for _, name := range Names() {
		old := mustLoad(t, name, Options{})
		src, err := Rename(name, Options{}, 7)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p, err := Parse(name+"-renamed.yaml", src, Options{})
		if err != nil {
			t.Errorf("%s:\n%v\n%s", name, err, src)
			continue
		}
		for i := range old.Extensions {
			if p.Extensions[i].Name == old.Extensions[i].Name || p.Extensions[i].Type == old.Extensions[i].Type {
				t.Errorf("%s: %s keeps its name or number", name, old.Extensions[i].Name)
			}
			if strings.Contains(string(src), old.Extensions[i].Name+":") {
				t.Errorf("%s: %s is still in the file", name, old.Extensions[i].Name)
			}
		}
		for _, pair := range []struct {
			kind   attls.MessageKind
			sender attls.Role
		}{{ch, client}, {ee, server}, {cr, server}, {ct, server}, {ct, client}} {
			a, errA := old.Encode(pair.kind, pair.sender, filled(t, old, pair.kind))
			b, errB := p.Encode(pair.kind, pair.sender, filled(t, p, pair.kind))
			if errA != nil || errB != nil || len(a) != len(b) {
				t.Errorf("%s %s: %v, %v; %d and %d extensions", name, pair.kind, errA, errB, len(a), len(b))
				continue
			}
			for i := range a {
				if name != "tls-attestation-00" && name != "tls-attestation-01" && !bytes.Equal(a[i].Body, b[i].Body) {
					t.Errorf("%s %s: %x and %x", name, pair.kind, a[i].Body, b[i].Body)
				}
			}
		}
	}
}

// filled says something for every slot of a message.
func filled(t *testing.T, p *Profile, kind attls.MessageKind) *Fields {
	t.Helper()
	f := p.NewFields()
	for i, s := range p.Slots {
		list := expressible(p, i)
		if len(list) == 0 {
			t.Fatalf("%s: slot %s can express nothing", p.ID, s.Name)
		}
		if s.Offer.Message == kind {
			f.Offered[i], f.Offers[i] = true, list
		}
		if s.Choice.Message == kind {
			f.Choices[i] = &list[0]
		}
		if s.Nonce.Message == kind {
			f.Nonces[i] = bytes.Repeat([]byte{byte(i + 1)}, s.NonceDefault)
		}
	}
	if kind == attls.KindCertificate {
		f.Payload = []byte("payload")
	}
	return f
}

// expressible are schemes that a slot has an element for.
func expressible(p *Profile, slot int) (list []Scheme) {
	for _, m := range []Model{ModelEvidence, ModelResults} {
		for _, k := range []CredentialKind{KindAlone, KindX509} {
			for _, f := range []Format{{ContentFormat: 263}, {MediaType: "application/eat+cwt"}, {ContentFormat: 1}} {
				s := Scheme{Model: m, Credential: k, Format: f}
				if m == ModelResults {
					s.Verifier = []byte(fmt.Sprintf("v%d.example", f.ContentFormat))
				}
				if e, ok := p.EncodeScheme(slot, s); ok {
					list = append(list, e)
				}
			}
		}
	}
	return list
}
