package profile

import (
	"os"
	"strings"
	"testing"

	"attls"
)

// TestSlotsAfter reads slots of post-handshake authentication.
func TestSlotsAfter(t *testing.T) {
	for name, only := range map[string]bool{"asked-afterwards": false, "asked-only-afterwards": true} {
		p := mustLoad(t, "testdata/changed/"+name+".yaml", Options{})
		if p.AttestsOnlyAfter() != only || p.PostHandshake != (PostHandshake{ClientAuthentication: true}) {
			t.Errorf("%s: %v, %+v", name, p.AttestsOnlyAfter(), p.PostHandshake)
		}
		for i := range p.Slots {
			s := &p.Slots[i]
			if after := s.Name == "again" || s.Name == "client"; p.UsesSlot(i, true) != after || p.UsesSlot(i, false) == after ||
				s.Unoffered() != after {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	p := mustLoad(t, "early-attestation-06", Options{})
	for i := range p.Slots { // without slots of the phase, those of the handshake are used again
		if !p.UsesSlot(i, false) || !p.UsesSlot(i, true) || p.AttestsOnlyAfter() {
			t.Errorf("%+v", p.Slots[i])
		}
	}
	row, ok := mustLoad(t, "testdata/changed/asked-afterwards.yaml", Options{}).Extension(0xff57)
	for _, k := range []attls.MessageKind{attls.KindCertificateRequest, attls.KindCertificate} {
		if !ok || !row.In(k).AfterOnly || !row.In(k).PostHandshake {
			t.Errorf("%+v", row)
		}
	}
}

// TestSlotAfterMistakes edits profiles with such slots wrongly and wants to be told where and how.
func TestSlotAfterMistakes(t *testing.T) {
	for _, m := range []struct{ name, file, old, new, at, want string }{
		{"a server", "asked-only-afterwards", "attester: client", "attester: server", "server\n", "only a server sends certificate_request after the handshake (RFC 8446 4.6.2), so that a server is never asked to attest there; say attester: client, or phase: authenticator, in which either end asks"},
		{"client_authentication as well", "asked-afterwards", "client_authentication: false", "client_authentication: true", "true}", "slots of the phase post_handshake say how a client attests after the handshake, and with this those of the handshake would say it as well; say client_authentication: false"},
		{"client_authentication inherited", "asked-afterwards", "after:\n  post_handshake: {client_authentication: false}\n", "", "", "as well; say client_authentication: false"},
		{"an extension of both phases", "asked-afterwards", "    phase: post_handshake\n    body: AttestationAgain\n    certificate_request: {}\n    certificate: {", "    body: AttestationAgain\n    certificate_request: {also_in: [post_handshake]}\n    certificate: {also_in: [post_handshake], offered_by: any}\n#", "certificate_request.attestation_again\n", "certificate_request.attestation_again would be in the certificate_request of the handshake as well, where nobody attests in again; say phase: post_handshake in the extension attestation_again"},
		{"an extension of the handshake", "asked-afterwards", "  slots:\n", "  slots:\n    client_attester: {carried_in: certificate.attestation_again.cmw_payload}\n", "", "client_attester attests in the handshake, where attestation_again has no place in certificate; say phase: post_handshake in the slot, or phase: handshake in the extension"},
		{"no place for the payload", "asked-afterwards", "carried_in: certificate.attestation_again.cmw_payload", "carried_in: certificate.other.cmw_payload", "", "the payload of again has no place after the handshake"},
		{"another message", "asked-afterwards", "certificate_request: {}", "certificate_request: {}\n    encrypted_extensions: {offered_by: [client_hello]}", "encrypted_extensions: {offered", "attestation_again in encrypted_extensions: post-handshake authentication has no such message"},
		{"a word", "asked-afterwards", "phase: post_handshake\n    body", "phase: post_handshak\n    body", "post_handshak\n", "did you mean post_handshake?"},
	} {
		src, err := os.ReadFile("testdata/changed/" + m.file + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		text := string(src)
		if !strings.Contains(text, m.old) {
			t.Errorf("%s: the profile has no %q", m.name, m.old)
			continue
		}
		text = strings.Replace(text, m.old, m.new, 1)
		if m.name == "no place for the payload" {
			text = strings.Replace(text, "  attestation_again:\n", "  other:\n    body: Other\n    certificate: {offered_by: any}\n  attestation_again:\n", 1)
			text = strings.Replace(text, "    certificate: {offered_by: [certificate_request]}\n", "", 1)
			text = strings.Replace(text, "0xFF57}", "0xFF57, other: 0xFF58}", 1)
			text = strings.Replace(text, "types: |\n", "types: |\n  struct { opaque cmw_payload<1..2^16-7>; } Other;\n", 1)
		}
		_, err = Parse("edited.yaml", []byte(text), Options{})
		if err == nil {
			t.Errorf("%s: is accepted", m.name)
			continue
		}
		want := m.want
		if m.at != "" && strings.Contains(text, m.at) {
			want = "edited.yaml:" + place(t, text, m.at) + ": " + m.want
		}
		if m.name == "a word" {
			want = m.want
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %s\nwant %s", m.name, err, want)
		}
	}
}

// TestCompiledAfter writes such profiles and reads them back.
func TestCompiledAfter(t *testing.T) {
	for _, name := range []string{"asked-afterwards", "asked-only-afterwards"} {
		p := mustLoad(t, "testdata/changed/"+name+".yaml", Options{})
		text, err := p.Compiled()
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse("p.compiled", text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Slots) != len(q.Slots) || p.AttestsOnlyAfter() != q.AttestsOnlyAfter() {
			t.Errorf("%s: %+v", name, q.Slots)
		}
		for i := range q.Slots {
			if p.Slots[i].PostHandshake != q.Slots[i].PostHandshake || p.Slots[i].Name != q.Slots[i].Name {
				t.Errorf("%s: %+v", name, q.Slots[i])
			}
		}
	}
}
