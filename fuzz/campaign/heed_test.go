package campaign

import (
	"strings"
	"testing"

	"attls"
	"attls/conformance/placement"
)

// TestDemands: a finding under a law of an RFC says what the RFC demands, and no sentence is left over.
func TestDemands(t *testing.T) {
	used := map[string]bool{}
	for _, l := range Laws() {
		name, source := l[0], l[1]
		if strings.HasPrefix(source, "RFC ") && !strings.Contains(source, ": ") && demands[name] == "" {
			t.Errorf("%s (%s) does not say what it demands", name, source)
		}
		used[name] = true
	}
	for name := range demands {
		if !used[name] {
			t.Errorf("a sentence is about %s, which is not a law", name)
		}
	}
}

// TestHeeds: another stack may pass over an extension that it does not know in a message that answers
// nothing, and refuse the body of one that attls does not know; where two rules apply, both alerts are right.
func TestHeeds(t *testing.T) {
	stack, err := placement.CryptoTLS()
	if err != nil {
		t.Fatal(err)
	}
	x := &Remote{Name: "crypto/tls", Stack: stack, Roles: []attls.Role{attls.RoleClient, attls.RoleServer}, Timeout: patient, Quiet: patient}
	add := func(m attls.MessageKind, t attls.ExtensionType, body string) Edit {
		return Edit{Do: "extension-add", Message: m.String(), Extension: t, Octets: Octets(body)}
	}
	const hello, answers, certificate = attls.KindClientHello, attls.KindEncryptedExtensions, attls.KindCertificate
	for name, w := range map[string]struct {
		attacker attls.Role
		edit     Edit
		law      string
	}{
		"unknown, out of place":       {attls.RoleClient, add(hello, attls.ExtOIDFilters, ""), ""},
		"unknown, malformed":          {attls.RoleClient, add(hello, attls.ExtServerCertificateType, ""), ""},
		"unknown, in another way":     {attls.RoleClient, add(hello, attls.ExtServerCertificateType, "\x01\x02"), ""},
		"nobody's, twice":             {attls.RoleClient, Edit{Do: "extension-repeat", Message: hello.String(), Extension: 0xaaaa}, ""},
		"unknown to attls, malformed": {attls.RoleClient, add(hello, attls.ExtRenegotiationInfo, "\x70"), ""},
		"a share that is not listed":  {attls.RoleClient, Edit{Do: "field", Message: hello.String(), Path: "client_hello.key_share.client_shares[0].group", Octets: Octets("\xfa\xfa")}, ""},
		"octets behind the hello":     {attls.RoleClient, Edit{Do: "extend", Message: hello.String(), Octets: Octets("\x00")}, ""},
		"not asked for, in an answer": {attls.RoleServer, add(answers, attls.ExtTicketRequest, "\x01"), "extension-solicited"},
		"nobody's, in an answer":      {attls.RoleServer, add(certificate, 0xaaaa, ""), "extension-known"},
	} {
		t.Run(name, func(t *testing.T) {
			input := in(TLS)
			input.Attacker, input.Edits = w.attacker.String(), []Edit{w.edit}
			shown, err := ReplayAbroad(t.Context(), input, x, nil)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case w.law == "" && len(shown.Violations) > 0:
				t.Errorf("%v: %s, and attls %s", shown.Violations, shown.Outcome, shown.Local)
			case w.law != "" && (len(shown.Violations) == 0 || shown.Violations[0].Law != w.law):
				t.Errorf("%v, want %s: %s, and attls %s", shown.Violations, w.law, shown.Outcome, shown.Local)
			}
		})
	}
}

// TestBothRight: who speaks earlier versions refuses a hello without TLS 1.3 as those say; a field that is
// wrong in a hello of TLS 1.3 is another matter.
func TestBothRight(t *testing.T) {
	r := &run{attacker: attls.RoleClient, told: &told{}}
	theirs := attls.Errorf(attls.FromPeer, attls.FailPeerAlert, "")
	theirs.Alert = attls.AlertHandshakeFailure
	for rule, want := range map[string]bool{"RFC 8446 4.2.1": true, "RFC 9846 4.2.2": false} {
		own := attls.Errorf(attls.Violation, attls.FailVersion, "").Under("legacy_version").By(rule)
		if got := r.bothRight(own, theirs); got != want {
			t.Errorf("%s: %v", rule, got)
		}
		if r.bothRight(own, nil) {
			t.Errorf("%s: nothing was refused", rule)
		}
	}
}
