package profile

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"attls"
)

// inBothRoles is a profile in which a client attests as well, in the same object.
const inBothRoles = `
profile: in-both-roles
base: deployed-cocos
extensions:
  cmw_attestation:
    certificate_request: {body: Empty}
    certificate: {offered_by: {client: [certificate_request]}}
bind:
  slots:
    client_evidence:
      attester: client
      phase: authenticator
      models: evidence
      offer: certificate_request.cmw_attestation
      carried_in: certificate.cmw_attestation.cmw
      inside: Payload.evidence
`

// TestInside: an object around a payload is written and read, of either role and in both
// encodings; what both ends compute is compared where it is known.
func TestInside(t *testing.T) {
	for _, encoding := range []string{"json", "cbor"} {
		p, err := Parse("both.yaml", []byte(inBothRoles+"objects: {Payload: {encoding: "+encoding+"}, Binder: {encoding: "+encoding+"}}\n"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		value := func(name string) ([]byte, error) { return []byte("value of " + name), nil }
		for _, role := range attls.Roles() {
			later := p.LaterSlot(role)
			for _, payload := range [][]byte{{1}, bytes.Repeat([]byte{7}, p.Later[later].MaxPayload)} {
				x, err := p.EncodeLater(later, payload, value, nil)
				if err != nil {
					t.Fatalf("%s, %v, %d octets: %v", encoding, role, len(payload), err)
				}
				for _, known := range []ValueOf{value, nil} {
					if got, err := p.DecodeLater(later, x.Body, known); err != nil || !bytes.Equal(got, payload) {
						t.Errorf("%s, %v: %x, %v", encoding, role, got, err)
					}
				}
			}
			x, err := p.EncodeLater(later, []byte("a payload"), value, nil)
			if err != nil {
				t.Fatal(err)
			}
			other := func(name string) ([]byte, error) { return []byte("another of " + name), nil }
			wantFailure(t, p, later, x.Body, other, attls.FailBinderMismatch, "cmw_attestation.cmw.Payload.binder.aik_pub_hash: is ")
			unknown := func(string) ([]byte, error) { return nil, errors.New("nobody knows") }
			wantFailure(t, p, later, x.Body, unknown, attls.FailBinderUndefined, "nobody knows")
			if _, err := p.EncodeLater(later, []byte("a payload"), unknown, nil); err == nil {
				t.Error("an object was made of unknown values")
			}
			if _, err := p.EncodeLater(later, []byte("a payload"), nil, nil); err == nil || !strings.Contains(err.Error(), "is not known here") {
				t.Errorf("an object was made without values: %v", err)
			}
			for n := range x.Body {
				if _, err := p.DecodeLater(later, x.Body[:n], value); err == nil {
					t.Errorf("%s: %d octets of %d are accepted", encoding, n, len(x.Body))
				}
				changed := bytes.Clone(x.Body)
				changed[n] ^= 0x55
				_, _ = p.DecodeLater(later, changed, value) // and nothing worse
			}
			cut, err := p.EncodeLater(later, []byte("a payload"), value, func(name string, octets []byte) []byte {
				if name != "Payload" {
					t.Errorf("the object is %s", name)
				}
				return octets[:len(octets)-1]
			})
			if err != nil {
				t.Fatal(err)
			}
			wantFailure(t, p, later, cut.Body, value, attls.FailDecode, "cmw_attestation.cmw.Payload")
		}
	}
}

func wantFailure(t *testing.T, p *Profile, later int, body []byte, value ValueOf, want attls.Failure, text string) {
	t.Helper()
	_, err := p.DecodeLater(later, body, value)
	var named *attls.Error
	if !errors.As(err, &named) || named.Failure != want || !strings.Contains(err.Error(), text) {
		t.Errorf("%v; want %s with %s", err, want, text)
	}
}

// TestInsideMistakes edits the profile wrongly and wants to be told where and how.
func TestInsideMistakes(t *testing.T) {
	const inside = "inside: Payload.evidence"
	for _, m := range []struct{ name, old, new, at, want string }{
		{"unknown object", inside, "inside: Paylod.evidence", "Paylod.evidence", "the profile has no object Paylod; did you mean Payload?"},
		{"no member", inside, "inside: Payload", "Payload\nnegotiation", "Payload names no member of the object; say Payload.member"},
		{"unknown member", inside, "inside: Payload.evidences", "Payload.evidences", "the object Payload has no member evidences; did you mean evidence?"},
		{"value already", inside, "inside: Payload.version", "Payload.version", "version of Payload has a value already, or is not of octets"},
		{"not described", "\n      " + inside, "", "Payload:\n", "no frame and no payload is the object Payload; remove it"},
		{"a verdict", "version: {type: number, is: 1, received: any}", "version: {type: text, reason: true}", "Payload.evidence",
			"the object Payload tells of a verdict or a failure, which belongs to frames of the application; remove that member"},
		{"attesters", "version: {type: number, is: 1, received: any}", "version: {type: number, attesters: {server: 1}}", "Payload.evidence",
			"the object Payload tells of who attests, which belongs to frames of the application; remove that member"},
		{"unknown object in it", "of: Binder}", "of: Bindr}", "Bindr}", "the profile has no object Bindr; did you mean Binder?"},
		{"contains itself", "binding: {type: base64, value: binding}", "binding: {type: object, of: Payload}", "Binder:\n",
			"the object Binder contains itself, or is nested more than 4 deep"},
		{"unknown definition", "value: binding}", "value: bindings}", "bindings}", "binder.define has no bindings; did you mean binding?"},
	} {
		text := strings.Replace(mustLoad(t, "deployed-cocos", Options{}).Source(), m.old, m.new, 1)
		_, err := Parse("edited.yaml", []byte(text), Options{})
		if err == nil {
			t.Errorf("%s: is accepted", m.name)
			continue
		}
		if want := "edited.yaml:" + place(t, text, m.at) + ": " + m.want; !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %s\nwant %s", m.name, err, want)
		}
	}
}
