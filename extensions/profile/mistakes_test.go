package profile

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestMistakes edits a profile wrongly and wants to be told where and how.
func TestMistakes(t *testing.T) {
	embedded, err := os.ReadFile("profiles/early-attestation-05.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		name, old, new string
		at             string // where in the edited text the problem is
		want           string
	}{
		{"unknown key", "  slots:\n", "  slotz:\n", "slotz", "bind has no key slotz; did you mean slots?"},
		{"unknown key at the top", "negotiation:", "negotation:", "negotation:", "a profile has no key negotation; did you mean negotiation?"},
		{"key far from any", "  transcript: $hrr", "  zzzzzzzzzzz: $hrr", "zzzzzzzzzzz", "binder has no key zzzzzzzzzzz; it takes application_frame, authenticator, challenge, claims, define, exporters, hand_over, key_update, post_handshake, transcript"},
		{"unknown word", "when_empty: empty_list", "when_empty: emptylist", "emptylist", "negotiation.offer.when_empty is one of omit, empty_list, not emptylist; did you mean empty_list?"},
		{"no number", "at_least: 1", "at_least: one", "one, client_slots", "negotiation.offer.at_least is a number, not one"},
		{"list for a map", "  challenge: {evidence/x509: key_bound, results/x509: $results_binder}", "  challenge: [key_bound]", "[key_bound]", "binder.challenge is a map, not a list"},
		{"unknown cause", "  missing: $missing", "  mising: $missing", "mising", "alerts has no key mising; did you mean missing?"},
		{"unknown alert", "misplaced: illegal_parameter", "misplaced: ilegal_parameter", "ilegal", "no alert is named ilegal_parameter; did you mean illegal_parameter?"},
		{"unknown type", "    body: remoteAttestation", "    body: remoteAtestation", "remoteAtestation", "no type is named remoteAtestation; did you mean remoteAttestation?"},
		{"unknown field", "server_attester_schemes\n      choice: enc", "server_attester_scheme\n      choice: enc", "client_hello.remoteAttestation.server_attester_scheme\n", `client_hello.remoteAttestation.server_attester_scheme: remoteAttestation has no field server_attester_scheme; did you mean "server_attester_schemes"?`},
		{"unknown extension", "choice: encrypted_extensions.remoteAttestation", "choice: encrypted_extensions.remoteAtestation", "encrypted_extensions.remoteAtestation", "the profile has no extension remoteAtestation; did you mean remoteAttestation?"},
		{"unknown message", "choice: encrypted_extensions.", "choice: encrypted_extension.", "encrypted_extension.remote", "encrypted_extension.remoteAttestation.chosen_server_scheme: no message is named encrypted_extension; did you mean encrypted_extensions?"},
		{"message without the extension", "    encrypted_extensions: {offered_by: [client_hello]}\n", "", "encrypted_extensions.remoteAttestation.chosen_server_scheme", "encrypted_extensions.remoteAttestation.chosen_server_scheme: remoteAttestation has no place in encrypted_extensions"},
		{"field moved without its path", "chosen_client_scheme;", "chosen_scheme;", "certificate_request.remoteAttestation.chosen_client_scheme", `certificate_request.remoteAttestation.chosen_client_scheme: remoteAttestation has no field chosen_client_scheme; did you mean "chosen_scheme"?`},
		{"syntax of a type", "AttestationScheme chosen_server_scheme;", "AttestationScheme chosen_server_scheme", "case certificate_request", `"case" where ";" is expected`},
		{"type of a field", "uint16 content_format", "uint61 content_format", "uint61", "no type uint61; did you mean \"uint16\"?"},
		{"floor", "cmw_payload<1..2^24-1>", "cmw_payload<70000..2^24-1>", "opaque cmw_payload", "cmw_payload needs 70000 octets at least, and remoteAttestation in certificate has room for 65528"},
		{"offer from the wrong end", "certificate: {offered_by: {server: [client_hello]", "certificate: {offered_by: {server: [certificate_request]", "certificate_request], client", "remoteAttestation in the server's certificate cannot answer certificate_request: both come from the same end"},
		{"answer without an offer", "    encrypted_extensions: {offered_by: [client_hello]}", "    encrypted_extensions: {}", "encrypted_extensions: {}", "encrypted_extensions only answers; what offers remoteAttestation?; say offered_by: [client_hello], or offered_by: any"},
		{"name nothing defines", "expand_label(base,", "expand_label(basis,", "basis", `key_bound: nothing defines "basis"; did you mean base?`},
		{"wrong function", "hash(CH..SH), Hash.length)'\n    key", "hsh(CH..SH), Hash.length)'\n    key", "CH..SH), Hash.length)'\n    key", "base: hsh is not a function; a definition takes (role), (client) or (server); did you mean hash?"},
		{"secret that does not exist yet", "expand_label(base,", "expand_label(exporter_secret,", "exporter_secret", "key_bound: exporter_secret exists at the attesting server from Fin(server) on, and is needed before CT(server)"},
		{"label too long", `"attestation base", hash(CH..SH), Hash.length)'` + "\n    key", `"` + strings.Repeat("x", 250) + `", hash(CH..SH), Hash.length)'` + "\n    key", "\"xxx", "base: a label of 250 octets; an HkdfLabel takes 1 to 249"},
		{"whole key as context", `"attestation", hash(spki(role)),`, `"attestation", spki(role),`, "spki(role), Hash", "key_bound: a context of 1 or more octets; an HkdfLabel takes at most 255, so that large keys cannot be bound; mend it, or acknowledge it in accepted_flaws: {context_bound: [key_bound]}"},
		{"definition nothing uses", "    base: 'expand", "    other: zero\n    base: 'expand", "zero\n", "nothing uses other; remove it"},
		{"unknown switch", "transcript: $hrr", "transcript: $hr", "$hr\n", "no switch is named hr; did you mean hrr?"},
		{"dead switch", "transcript: $hrr", "transcript: rfc8446", "hrr:\n", "nothing in the profile says $hrr, so the switch changes nothing"},
		{"default that is not a reading", "    default: c\n", "    default: e\n", "e\n    a: ch1_sh", "e is not a reading of hrr; did you mean a?"},
		{"number twice", "attestation_required: 225", "attestation_required: 224", "224, attestation_failed", "attestation_required has the number 224 of unsupported_attestation_schemes"},
		{"number of another", "remoteAttestation: 0xFF06", "remoteAttestation: 51", "51}", "remoteAttestation has the number 51, which IANA gave to key_share; mend it, or acknowledge it in accepted_flaws: {number_taken: [remoteAttestation]}"},
		{"number too large", "remoteAttestation: 0xFF06", "remoteAttestation: 0x1FF06", "0x1FF06", "remoteAttestation is 0x1FF06; the registry ends at 0xFFFF"},
		{"no number for an extension", "{remoteAttestation: 0xFF06}", "{}", "remoteAttestation:\n", "code_points.extensions has no number for remoteAttestation; give it one"},
		{"number nothing uses", "{remoteAttestation: 0xFF06}", "{remoteAttestation: 0xFF06, other: 0xFF07}", "other: 0xFF07", "nothing in the profile uses the number of other; remove it"},
		{"flaw not acknowledged", "  payload_bound: B-05/AMB-17\n", "", "opaque cmw_payload", "the ceiling of cmw_payload is 16777215 octets, and remoteAttestation in certificate has room for 65528; mend it, or acknowledge it in accepted_flaws: {payload_bound: [cmw_payload]}"},
		{"flaw that is not there", "  payload_bound: B-05/AMB-17\n", "  payload_bound: B-05/AMB-17\n  number_taken: 60\n", "number_taken", "nothing in the profile has the flaw number_taken; remove it"},
		{"alone without appraisal", "credential: x509", "credential: alone", "server_attester:\n", "slot server_attester has schemes of kind alone and bind.credentials does not say where they travel"},
		{"nonce without a slot", "negotiation:", "nonce: {receive_at_most: 32}\nnegotiation:", "nonce: {receive", "no slot has a nonce; remove nonce, or name a field in a slot"},
		{"key twice", "negotiation:", "binder: {}\nnegotiation:", "binder:\n", "binder appears twice, first at line 65"},
		{"flaw of another field", "media_type, verifier_identity]", "media_type, verifier_identity, cmw_payload]", "cmw_payload]", "cmw_payload does not have the flaw element_bound; remove it"},
		{"alone with a certificate's key", "    x509: {carried_in: certificate.remoteAttestation.cmw_payload, certificate_type: X509", "    alone: {carried_in: certificate.cert_data", "alone: {", "without a certificate the key comes from the appraisal and no path is validated; say key_from: appraisal, pkix: none"},
		{"null choice without a value", "then: abort}", "then: null_choice}", "{scope: $no_scheme_scope, then", "then: null_choice and the value null_choice belong together"},
		{"later binder too late", `pha: 'expand_label(zero, "attestation base", hash(CH..CR(pha)), Hash.length)'`, "pha: next.main_secret", "next.main_secret", "base: next.main_secret exists at the attesting client from key exchange on, and is needed before CT(pha)"},
		{"switch with one reading", "    pad_right: pad_right\n    pad_left: pad_left\n    hash: sha512\n    exact: exact\n", "    pad_right: pad_right\n", "challenge_fit:\n", "the switch challenge_fit has 1 readings; it needs two at least"},
		{"list inside a text", "    c: rfc8446\n", "    c: [rfc8446]\n", "[rfc8446]", "binder.transcript is a value, not a list"},
		{"nested too deep", "negotiation:", "quirks: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}}}}}}\nnegotiation:", "{a: {a: 1}}", "maps and lists are nested more than 12 deep"},
		{"anchor", "after: #", "after: &x #", "&x #", "anchors and aliases are not read; use base or a switch"},
	} {
		text := strings.Replace(string(embedded), m.old, m.new, 1)
		if text == string(embedded) {
			t.Errorf("%s: the edit changes nothing", m.name)
			continue
		}
		_, err := Parse("edited.yaml", []byte(text), Options{})
		if err == nil {
			t.Errorf("%s: loads; want %s", m.name, m.want)
			continue
		}
		want := "edited.yaml:" + place(t, text, m.at) + ": " + m.want
		if !strings.Contains("\n"+err.Error()+"\n", "\n"+want+"\n") {
			t.Errorf("%s:\n got %s\nwant %s", m.name, err, want)
		}
	}
}

// place is the line and the column of the first occurrence of a text in another.
func place(t *testing.T, text, part string) string {
	t.Helper()
	i := strings.Index(text, part)
	if i < 0 {
		t.Fatalf("%q does not occur", part)
	}
	line := strings.Count(text[:i], "\n") + 1
	return fmt.Sprintf("%d:%d", line, i-strings.LastIndexByte(text[:i], '\n'))
}
