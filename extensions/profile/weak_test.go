package profile

import (
	"strings"
	"testing"
)

// TestLintRemarks: the linter says what a profile weakens, at the key that does it.
func TestLintRemarks(t *testing.T) {
	const early = "early-attestation-06"
	challenge := func(expr string) string {
		return "binder:\n  define: {base: null, key_bound: '" + expr + "'}\n"
	}
	for _, test := range []struct{ name, base, text, at, want string }{
		{"no path validation", early, "bind: {credentials: {x509: {pkix: none}}}\n", "none", "no certification path is validated"},
		{"a refused verdict that passes", early, "alerts: {appraisal_failed: none}\n", "none", "appraisal_failed passes"},
		{"a binder that need not match", early, "alerts: {binder_mismatch: none}\n", "none", "binder_mismatch passes"},
		{"another key that passes", early, "alerts: {tik_mismatch: none}\n", "none", "tik_mismatch passes"},
		{"a missing payload that passes", early, "alerts: {missing: none}\n", "none", "missing passes"},
		{"a reading that lets it pass", early, "switches: {missing: {default: tolerate}}\n", "", "missing passes"},
		{"a verdict after the fact", early, "negotiation: {verdict: {before: later}}\n", "later", "application data passes before anybody has judged the attestation"},
		{"a payload of any type", early, "negotiation: {match: {format: ignore}}\n", "ignore", "a payload of any type passes"},
		{"resumption by policy", early, "after: {resumption: {accept: policy}}\n", "policy", "a session may be resumed without attestation"},
		{"a constant challenge", early, challenge(`expand_label(zero, "attestation", "", Hash.length)`), "", "the challenge evidence/x509 of the server holds nothing fresh of its peer: neither transcript, nonce nor secret"},
		{"a challenge of the key alone", early, challenge(`hash(spki(role))`), "", "neither transcript, nonce nor secret"},
		{"a challenge of a text", early, challenge(`hash("x")`), "", "neither transcript, nonce nor secret"},
		{"a challenge of the client's own ClientHello", early, challenge(`hash(CH..CH)`), "", "the challenge evidence/x509 of the client holds nothing that its peer chose for this connection"},
		{"a challenge with a secret in it", early, challenge(`concat(hash(CH..SH), main_secret)`), "", "the challenge evidence/x509 shows main_secret as it is"},
		{"a challenge that is a secret", early, challenge(`handshake_secret`), "", "the challenge evidence/x509 shows handshake_secret as it is"},
		{"Evidence that is bound to nothing", early, "binder: {challenge: {evidence/x509: none}}\n", "none}", "Evidence with x509 is bound to nothing"},
		{"later Evidence like the first", early, "binder: {post_handshake: null}\n", "", "is the same in each authentication after the handshake"},
		{"a fixed nonce", "tls-attestation-07", "nonce: {default: 0x0001020304050607}\n", "0x0001", "the nonce is the same in every connection"},
		{"a short nonce", "tls-attestation-02", "draft: {status: experiment}\n", "", "may have 0 octets; eat_nonce has 8 at least"},
		{"an answer that nobody asked for", early, "extensions: {remoteAttestation: {encrypted_extensions: {offered_by: any}}}\n", "any", "is accepted though nothing asked for it"},
		{"octets that are ignored", early, "extensions: {remoteAttestation: {encrypted_extensions: {trailing_octets: ignore}}}\n", "ignore", "is ignored"},
		{"a number of GREASE", early, "code_points: {extensions: {remoteAttestation: 0x0A0A}}\n", "0x0A0A", "has the number 0x0A0A, which is a GREASE value"},
		{"another number of GREASE", early, "code_points: {extensions: {remoteAttestation: 0xFAFA}}\n", "0xFAFA", "has the number 0xFAFA, which is a GREASE value"},
		{"the last number", early, "code_points: {extensions: {remoteAttestation: 0xFFFF}}\n", "0xFFFF", "has the number 0xFFFF, the last of the registry"},
		{"a number that is not assigned", early, "code_points: {extensions: {remoteAttestation: 4000}}\n", "4000", "has the number 4000, which is not assigned"},
		{"a message that is not assigned", "early-attestation-00", "code_points: {messages: {attestation: 100}}\n", "100", "has the number 100, which is not assigned"},
		{"a quirk against the RFC", early, "quirks: {accept_new_random: true}\n", "true", "the second ClientHello may come from somebody else"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := "profile: mine\nbase: " + test.base + "\n" + test.text
			problems := LintText("mine.yaml", []byte(text))
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			found := problems.Error()
			want := "warning: "
			if test.at != "" {
				want = "mine.yaml:" + place(t, text, test.at) + ": warning: "
			}
			ok := false
			for _, line := range strings.Split(found, "\n") {
				ok = ok || strings.Contains(line, want) && strings.Contains(line, test.want)
			}
			if !ok {
				t.Errorf("nothing says %s%s:\n%s", want, test.want, found)
			}
		})
	}
	t.Run("a sound profile has no remark", func(t *testing.T) {
		for _, p := range LintText("mine.yaml", []byte("profile: mine\nbase: "+early+"\n")) {
			if p.Kind == ProblemRemark {
				t.Error(p)
			}
		}
	})
}

// TestNeverSent: what would never be sent, or be refused by the peer, does not load.
func TestNeverSent(t *testing.T) {
	own := func(body, placement string) string {
		return "code_points: {extensions: {other: 0xFF42}}\ntypes: |\n  struct { } Empty;\n  struct { opaque nonce<8..64>; } Fresh;\nextensions: {other: {body: " + body + ", " + placement + "}}\n"
	}
	nonce := func(slot, path string) string {
		return "bind: {slots: {" + slot + ": {nonce: " + path + "}}}\nbinder: {define: {key_bound: 'expand_label(base, \"x\", hash(per_role(concat(nonce(role), \"\"), spki(role))), Hash.length)'}}\n"
	}
	for _, test := range []struct{ name, text, at, want string }{
		{"an opaque extension in ClientHello", own("opaque", "client_hello: {}"), "client_hello", "nothing says what other in client_hello means, so it would never be sent"},
		{"an opaque extension in Certificate", own("opaque", "certificate: {offered_by: any}"), "certificate", "nothing says what other in certificate means, so it would never be sent"},
		{"an extension in HelloRetryRequest", own("opaque", "hello_retry_request: {offered_by: any}"), "hello_retry_request", "nothing says what other in hello_retry_request means, so it would never be sent"},
		{"an extension in NewSessionTicket", own("opaque", "new_session_ticket: {}"), "new_session_ticket", "nothing of a profile is sent in new_session_ticket"},
		{"EncryptedExtensions that answers Certificate", "extensions: {remoteAttestation: {encrypted_extensions: {offered_by: [certificate]}}}\n", "certificate]", "remoteAttestation in the server's encrypted_extensions cannot answer certificate, which comes later"},
		{"an answer to HelloRetryRequest", "extensions: {remoteAttestation: {certificate: {offered_by: {client: [hello_retry_request]}}}}\n", "certificate", "remoteAttestation in certificate answers nothing that is sent where only slot client_attester is used"},
		{"an answer to what is sent for another slot", own("Fresh", "client_hello: {}, encrypted_extensions: {offered_by: [client_hello]}") + "bind: {slots: {server_attester: {nonce: client_hello.other.nonce}, client_attester: {nonce: encrypted_extensions.other.nonce}}}\nbinder: {define: {key_bound: 'expand_label(base, \"x\", hash(concat(nonce(role), spki(role))), Hash.length)'}}\n", "encrypted_extensions: {off", "other in encrypted_extensions answers nothing that is sent where only slot client_attester is used"},
		{"a nonce for a server in HelloRetryRequest", own("Fresh", "hello_retry_request: {offered_by: any}") + nonce("server_attester", "hello_retry_request.other.nonce"), "hello_retry_request.other", "the relying party sends the nonce, and the attesting server sends hello_retry_request"},
		{"a nonce in Certificate", own("Fresh", "certificate: {offered_by: any}") + nonce("client_attester", "certificate.other.nonce"), "certificate.other", "certificate.other.nonce: nobody sends a nonce in certificate"},
		{"a nonce in NewSessionTicket", own("Fresh", "new_session_ticket: {}") + nonce("client_attester", "new_session_ticket.other.nonce"), "new_session_ticket.other", "new_session_ticket.other.nonce: nobody sends a nonce in new_session_ticket"},
		{"a nonce from the attester", own("Fresh", "client_hello: {}") + nonce("client_attester", "client_hello.other.nonce"), "client_hello.other", "the relying party sends the nonce, and the attesting client sends client_hello"},
		{"a nonce for a server from a server", own("Fresh", "encrypted_extensions: {offered_by: any}") + nonce("server_attester", "encrypted_extensions.other.nonce"), "encrypted_extensions.other", "the relying party sends the nonce, and the attesting server sends encrypted_extensions"},
		{"a nonce beside the only choice of another slot", "types: |\n  struct {\n    select (Handshake.msg_type) {\n      case client_hello:\n        AttestationScheme server_attester_schemes<0..2^16-1>;\n        AttestationScheme client_attester_schemes<0..2^16-1>;\n      case encrypted_extensions:\n        AttestationScheme chosen_server_scheme;\n        opaque nonce<8..64>;\n      case certificate_request: AttestationScheme chosen_client_scheme;\n      case certificate: opaque cmw_payload<1..2^24-1>;\n    };\n  } remoteAttestation;\n" + nonce("client_attester", "encrypted_extensions.remoteAttestation.nonce"), "encrypted_extensions.remoteAttestation.nonce", "chosen_server_scheme and nonce are in the same body, and the choice cannot be left out where only the nonce is sent"},
		{"a nonce that a later request cannot carry", own("Fresh", "certificate_request: {}") + nonce("client_attester", "certificate_request.other.nonce"), "certificate_request.other", "the nonce of client_attester is sent again after the handshake, where other has no place in certificate_request"},
		{"a bound that no nonce keeps", own("Fresh", "certificate_request: {also_in: [post_handshake]}") + nonce("client_attester", "certificate_request.other.nonce") + "nonce: {receive_at_most: 4}\n", "4}\n", "an attester that takes 4 octets takes no nonce of slot client_attester, which has 8 to 64"},
		{"a nonce of our own that we would refuse", own("Fresh", "certificate_request: {also_in: [post_handshake]}") + nonce("client_attester", "certificate_request.other.nonce") + "nonce: {receive_at_most: 16, size: 32}\n", "32}\n", "a nonce of 32 octets; receive_at_most is 16"},
		{"a message without a payload", "code_points: {messages: {more: 0xE0}}\ntypes: |\n  struct { opaque x<0..255>; } More;\nmessages: {more: {body: More, after: certificate_verify, before: finished}}\n", "more: {body", "nothing travels in more, so it would never be sent"},
		{"two choices and one payload", "types: |\n  struct {\n    select (Handshake.msg_type) {\n      case client_hello: AttestationScheme schemes<0..2^16-1>;\n      case encrypted_extensions: AttestationScheme chosen<0..2^8-1>;\n    };\n  } Other;\ncode_points: {extensions: {other: 0xFF66}}\nextensions: {other: {body: Other, client_hello: {}, encrypted_extensions: {offered_by: [client_hello]}}}\nbind: {slots: {tpm: {attester: server, offer: client_hello.other.schemes, choice: encrypted_extensions.other.chosen}}}\n", "tpm:", "a scheme may be chosen in server_attester and in tpm, and the server has one place for both payloads"},
		{"a credential that no slot uses", "bind: {credentials: {alone: {carried_in: certificate.cert_data, key_from: appraisal, pkix: none}}}\n", "alone", "no slot has schemes of kind alone, so this credential would never be shown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := "profile: mine\nbase: early-attestation-06\n" + test.text
			problems := LintText("mine.yaml", []byte(text))
			want := "mine.yaml:" + place(t, text, test.at) + ": " + test.want
			if err := problems.Err(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}
