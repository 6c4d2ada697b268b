package profile

import (
	"encoding/hex"
	"strings"
	"testing"

	"attls"
)

const objectFile = `
profile: objects
base: deployed-cmc
objects:
  AtlsHandshakeResponse:
    unknown: refuse
    fields:
      inner: {key: 9, type: object, of: Inner, optional: true}
  Inner:
    encoding: cbor
    fields:
      hash: {key: 1, type: octets, value: report_nonce}
      name: {type: text, is: "a \"name\""}
`

// TestObjects: what is written is read, in both encodings, and what is malformed is refused
// with its place.
func TestObjects(t *testing.T) {
	for _, encoding := range []string{"json", "cbor"} {
		p, err := Parse("objects.yaml", []byte(strings.Replace(objectFile, "encoding: cbor", "encoding: "+encoding, 1)),
			Options{Readings: map[string]string{"encoding": encoding}})
		if err != nil {
			t.Fatal(err)
		}
		response := -1
		for i := range p.Objects {
			if p.Objects[i].Name == "AtlsHandshakeResponse" {
				response = i
			}
		}
		content := &ObjectContent{Octets: func(f *ObjectField) ([]byte, error) {
			if f.Means == MeansPayload {
				return []byte("a payload"), nil
			}
			return []byte{1, 2, 3}, nil
		}}
		octets, err := p.EncodeObject(response, content)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.DecodeObject(response, octets, content)
		if err != nil || string(r.Payload) != "a payload" || r.Refused {
			t.Errorf("%s: %s is %+v, %v", encoding, octets, r, err)
		}
		for n := range octets {
			if _, err := p.DecodeObject(response, octets[:n], content); err == nil {
				t.Errorf("%s: %d octets of %d are accepted", encoding, n, len(octets))
			}
			changed := append([]byte(nil), octets...)
			changed[n] ^= 0x55
			_, _ = p.DecodeObject(response, changed, content) // and nothing worse
		}
		if _, err := p.DecodeObject(response, append(octets, ' ', '1'), content); err == nil {
			t.Errorf("%s: something may follow", encoding)
		}
		content.Reason = "attestation.missing"
		if octets, err = p.EncodeObject(response, content); err != nil {
			t.Fatal(err)
		}
		if r, err := p.DecodeObject(response, octets, content); err != nil || !r.Refused || r.Reason != content.Reason {
			t.Errorf("%s: %+v, %v", encoding, r, err)
		}
	}
}

// TestMalformedObjects: the error says what and where.
func TestMalformedObjects(t *testing.T) {
	p := mustLoad(t, "deployed-cmc", Options{})
	inCBOR := mustLoad(t, "deployed-cmc", Options{Readings: map[string]string{"encoding": "cbor"}})
	content := &ObjectContent{Attesters: [2]bool{attls.RoleServer: true}}
	request := 1
	for i := range p.Objects {
		if p.Objects[i].Name == "AtlsHandshakeRequest" {
			request = i
		}
	}
	for _, x := range []struct{ octets, want string }{
		{``, "is not a JSON object"},
		{`[]`, "it begins otherwise"},
		{`{"version":"1.3.0","attest":2} x`, "something follows it"},
		{`{"version":"1.3.0","attest":2,"attest":2}`, `has "attest" twice`},
		{`{"version":"1.3.0"}`, "attest: is absent"},
		{`{"version":"1.2.0","attest":2}`, `"1.2.0", not "1.3.0"`},
		{`{"version":"1.3.0","attest":0}`, `"0", not "2"`},
		{`{"version":"1.3.0","attest":2.0}`, "is not a number"},
		{`{"version":"1.3.0","attest":"2"}`, "is not a number"},
		{`{"version":1,"attest":2}`, "is not a text"},
		{"{\"version\":\"1.3.0\xff\",\"attest\":2}", "not UTF-8"},
		{`{"version":"1.3.0","attest":` + strings.Repeat("[", 20000), "is not a JSON object"},
		{`{` + strings.Repeat(`"x":1,`, 1), "is not a JSON object"},
	} {
		_, err := p.DecodeObject(request, []byte(x.octets), content)
		if err == nil || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), "AtlsHandshakeRequest") {
			t.Errorf("%.60q: %v; want %s", x.octets, err, x.want)
		}
	}
	for _, x := range []struct{ octets, want string }{
		{"a1", "a key is cut off"},
		{"bf00", "begins otherwise"},
		{"bbffffffffffffffff", "a key is cut off"},
		{"a2" + "0065312e332e30" + "0102" + "00", "something follows it"},
		{"a2" + "0065312e332e30" + "0065312e332e30", "has 0 twice"},
		{"a2" + "0065312e332e30" + "0141ff", "is not a number"},
		{"a1" + "f600", "a key is neither"},
		{"a1" + "00" + strings.Repeat("81", 100), "a value is cut off, or nested too deep"},
		{"a1" + "005affffffff", "a value is cut off"},
	} {
		octets, _ := hex.DecodeString(x.octets)
		_, err := inCBOR.DecodeObject(request, octets, content)
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v; want %s", x.octets, err, x.want)
		}
	}
}

// TestFrameMistakes edits a profile of frames wrongly and wants to be told where and how.
func TestFrameMistakes(t *testing.T) {
	whole := mustLoad(t, "deployed-privasys-v2", Options{}).Source()
	for _, m := range []struct{ name, old, new, at, want string }{
		{"unknown frame", "carried_in: present.quote", "carried_in: pressent.quote", "pressent.quote", "the profile has no frame pressent; did you mean present?"},
		{"unknown member", "carried_in: present.quote", "carried_in: present.quotes", "present.quotes", "the object PresentRequest has no member quotes; did you mean quote?"},
		{"frame of the other end", "carried_in: present.quote", "carried_in: accepted.error", "accepted.error", "accepted is sent by the server, not by the client"},
		{"value already", "carried_in: present.quote", "carried_in: present.mode", "present.mode", "mode of PresentRequest has a value already, or is not of octets"},
		{"unknown object", "body: AttestRequest", "body: AtestRequest", "AtestRequest", "the profile has no object AtestRequest; did you mean AttestRequest?"},
		{"unknown definition", "value: leaf}", "value: leav}", "leav}", "binder.define has no leav; did you mean leaf?"},
		{"two values", "value: leaf}", "value: leaf, is: x}", "value: leaf", "AttestRequest.leaf has its value from is and from value; remove one of them"},
		{"constant of another type", "v: {type: number, is: 2}", "v: {type: number, is: two}", "two}", "two is not a number, the type of AttestRequest.v; constants are texts, decimal numbers, true or false"},
		{"nothing fills it", "leaf: {type: base64url, value: leaf}", "leaf: {type: base64url}", "leaf: {type: base64url}", "no slot has its nonce or its payload in AttestRequest.leaf; name it in a slot, or say is: or value:"},
		{"left out", "exchange: [attest, evidence, present, accepted]", "exchange: [attest, evidence, present]", "accepted:", "the exchange has no accepted, so it would never be sent; name it in after.application_frame.exchange, or remove it"},
		{"twice", "exchange: [attest, evidence, present, accepted]", "exchange: [attest, evidence, attest, present, accepted]", "attest, present", "attest is sent twice"},
		{"length", "length: 4", "length: 5", "5", "a length of 5 octets; 1 to 4 are possible"},
		{"phase without frames", "phase: application_frame", "phase: post_handshake", "server\n", "only a server sends certificate_request"},
	} {
		if !strings.Contains(whole, m.old) {
			t.Errorf("%s: the profile has no %q", m.name, m.old)
			continue
		}
		text := strings.Replace(whole, m.old, m.new, 1)
		_, err := Parse("edited.yaml", []byte(text), Options{})
		if err == nil {
			t.Errorf("%s: is accepted", m.name)
			continue
		}
		if m.name == "length" || m.name == "two values" { // the place has the same text elsewhere
			if !strings.Contains(err.Error(), m.want) {
				t.Errorf("%s: %v", m.name, err)
			}
			continue
		}
		if want := "edited.yaml:" + place(t, text, m.at) + ": " + m.want; !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %s\nwant %s", m.name, err, want)
		}
	}
}
