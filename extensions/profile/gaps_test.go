package profile

import (
	"fmt"
	"strings"
	"testing"

	"attls"
	"attls/extensions/profile/binder"
)

// moved is early-attestation-00 with its message in another place.
func moved(where string) string {
	return fmt.Sprintf("profile: mine\nbase: early-attestation-00\nmessages:\n  attestation: {%s}\n", where)
}

// TestGaps puts the message of a profile into each place of the table.
func TestGaps(t *testing.T) {
	for _, g := range Gaps {
		if g.At < binder.PointServerAfterCT || g.At == binder.PointClientBeforeCT {
			continue // a payload for both ends has no place there
		}
		also := ""
		if g.Later {
			also = ", also_in: [post_handshake]"
		}
		p := mustParse(t, moved(fmt.Sprintf("after: %s, before: %s%s", g.After.Name(), g.Before.Name(), also)))
		m := p.Messages[0]
		if at := m.At[g.Sender]; g.Later && m.Later != g.At || !g.Later && at != g.At {
			t.Errorf("%s: %v, later %v", g.where(), m.At, m.Later)
		}
	}
	for where, want := range map[string][2]binder.Point{
		"after: certificate, before: null":        {binder.PointClientAfterCT, binder.PointServerAfterCT},
		"after: null, before: certificate_verify": {binder.PointClientAfterCT, binder.PointServerAfterCT},
		"after: null, before: certificate":        {binder.PointClientBeforeCT, binder.PointAfterCR},
		"after: null":                             {binder.PointClientAT, binder.PointServerAT},
	} {
		if p := mustParse(t, moved(where)); p.Messages[0].At != want {
			t.Errorf("%s: %v, not %v", where, p.Messages[0].At, want)
		}
	}
}

func mustParse(t *testing.T, text string) *Profile {
	t.Helper()
	p, err := Parse("mine.yaml", []byte(text), Options{})
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return p
}

// TestNoGap names places in which nothing can be added, and payloads that come too
// early; the error is at the user's own change and says why.
func TestNoGap(t *testing.T) {
	for _, test := range []struct{ where, at, want string }{
		{"after: client_hello, before: server_hello", "client_hello", "nothing can be added there: before ServerHello the ends have no keys"},
		{"after: null, before: hello_retry_request", "hello_retry", "nothing can be added there: before ServerHello"},
		{"after: certificate, before: finished", "certificate, b", "nothing can be added there: these messages do not follow each other"},
		{"after: finished, before: null", "finished", "the payload of slot evidence_request is in attestation, which the server does not send: it comes after finished"},
		{"after: new_session_ticket, before: null", "new_session", "nothing can be added there: nothing follows or precedes a ticket"},
		{"after: null, before: null", "attestation:", "attestation does not say where it is sent"},
		{"after: certficate", "certficate", "no message is named certficate; did you mean certificate?"},
		{"after: server_hello, before: encrypted_extensions", "attestation: {after", "the payload of slot evidence_request is in attestation, which comes before the choice: that exists from EE on"},
		{"after: finished, before: certificate, also_in: [post_handshake]", "[post", "post-handshake authentication has no place for attestation, which is sent after finished, before certificate"},
	} {
		text := moved(test.where)
		_, err := Parse("mine.yaml", []byte(text), Options{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v\nwant %s", test.where, err, test.want)
		}
	}
}

// TestAddedRanges reads where AT ends and what a binder may hold in front of a message.
func TestAddedRanges(t *testing.T) {
	text := moved("after: certificate, before: certificate_verify") + "binder: {define: {main: 'derive_secret(main_secret, \"x\", %s)'}}\nswitches: {labels: null, schedule: null}\n"
	define := func(r string) string { return fmt.Sprintf(text, r) + "" }
	base := strings.Replace(define("CH..CT(role)"), "binder: {define: {", "binder: {define: {bound: 'expand_label(main, \"attestation\", hash(spki(role)), Hash.length)', ", 1)
	base += "accepted_flaws: {context_bound: null}\n"
	p := mustParse(t, base)
	d := p.Binder.Program.Depends("main", attls.RoleServer)
	if len(d.Ranges) != 1 || d.Ranges[0].End != binder.PointServerCT {
		t.Errorf("%+v", d)
	}
	for r, want := range map[string]string{
		"CH..AT(role)":  "main: CH..AT(role) exists at the attesting server from AT(server) on, and is needed before AT(server)",
		"CH..<CV(role)": "main: CH..<CV(role) exists at the attesting server from AT(server) on, and is needed before AT(server)",
		"CH..CV(role)":  "main: CH..CV(role) exists at the attesting server from CV(server) on, and is needed before AT(server)",
	} {
		_, err := Parse("mine.yaml", []byte(strings.Replace(base, "CH..CT(role)", r, 1)), Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v\nwant %s", r, err, want)
		}
	}
	none := "profile: mine\nbase: early-attestation-06\nbinder: {define: {base: 'expand_label(zero, \"b\", hash(CH..AT(role)), Hash.length)'}}\n"
	if _, err := Parse("mine.yaml", []byte(none), Options{}); err == nil || !strings.Contains(err.Error(), "the profile adds no message that AT names for the attesting server") {
		t.Errorf("without a message: %v", err)
	}
}
