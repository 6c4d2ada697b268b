package peers

import (
	"slices"
	"testing"

	"attls"
	"attls/conformance/adapter"
	"attls/conformance/scenario"
)

// programs are the stacks that are programs which talk to people.
func programs() []Peer {
	list := []Peer{MbedTLSPrograms{FindMbedTLSPrograms()}}
	for _, p := range adapted() {
		list = append(list, p)
	}
	return list
}

// adapted are the adapters that are compiled in and have a section conform.
func adapted() (list []*Adapted) {
	for _, a := range adapter.Builtin() {
		if a.Conform == nil {
			continue
		}
		p, err := NewAdapted(a, nil)
		if err != nil {
			panic(err)
		}
		list = append(list, p)
	}
	return list
}

// builtin is one of them.
func builtin(t *testing.T, name string) *Adapted {
	t.Helper()
	list := adapted()
	i := slices.IndexFunc(list, func(p *Adapted) bool { return p.Adapter.Name == name })
	if i < 0 {
		t.Fatalf("no adapter is called %s", name)
	}
	return list[i]
}

// TestPrograms: each program with our engine, in both roles; what it claims is
// held to ours, and the recording holds the whole connection.
func TestPrograms(t *testing.T) {
	plain := scenario.Scenario{Attester: scenario.AttestNone, Group: "x25519"}
	mutual := scenario.Scenario{Attester: scenario.AttestNone, Group: "secp384r1", Suite: "TLS_AES_256_GCM_SHA384", ALPN: "conform",
		ClientCertificate: true, HelloRetry: true}
	hybrid := scenario.Scenario{Attester: scenario.AttestNone, Group: "X25519MLKEM768", Suite: "TLS_AES_128_CCM_8_SHA256"}
	raw := scenario.Scenario{Attester: scenario.AttestNone, Group: "secp256r1", ClientCertificate: true, RawPublicKeys: true}
	for _, p := range programs() {
		t.Run(p.Name(), func(t *testing.T) {
			if reason := p.Missing(); reason != "" {
				t.Skip(reason)
			}
			var cases []Case
			for _, s := range []scenario.Scenario{plain, mutual, hybrid, raw} {
				for _, pair := range with(p.Name()) {
					cases = append(cases, Case{pair[0], pair[1], s})
				}
			}
			if p.Name() == "jsse" { // whose programs take a second to begin
				cases = cases[:2]
			}
			for _, r := range RunAll(t.Context(), cases, []Peer{InProcess{}, p}, Settings{Recorder: &Recorder{}}, func(*Result) {}) {
				holdToProgram(t, p, &r)
			}
		})
	}
}

// terse are the libraries whose programs say less than others: they print no alerts, or cannot be told
// a protocol.
var terse = []string{"nss", "wolfssl", "botan", "jsse"}

func holdToProgram(t *testing.T, p Peer, r *Result) {
	t.Helper()
	role := attls.RoleClient
	if r.Server == p.Name() {
		role = attls.RoleServer
	}
	if r.Status == Limit {
		if r.Scenario.Group != "X25519MLKEM768" && !r.Scenario.RawPublicKeys && !slices.Contains(terse, library(p.Name())) {
			t.Errorf("%s: %s", r.String(), r.Reason)
		}
		return
	}
	if r.Status != Passed || len(r.Ladder) < 8 || len(r.Findings) > 0 || r.Unrecorded != "" {
		t.Errorf("%s: %s: %s; %d messages, %+v, %s", r.String(), r.Status, r.Reason, len(r.Ladder), r.Findings, r.Unrecorded)
		return
	}
	for _, member := range []claim{claimSuite, claimGroup, claimExporter, claimSent, claimReceived} {
		if value, told := member.of(&r.Ends[role]); value == "" && told || !told && !slices.Contains(terse, library(p.Name())) {
			t.Errorf("%s: it says nothing of %s", r.String(), member.member)
		}
	}
}

// TestProgramsRefuse: a program that does not trust our engine's certificate says
// so by its alert, and one that is refused says that too.
func TestProgramsRefuse(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.Name(), func(t *testing.T) {
			if reason := p.Missing(); reason != "" {
				t.Skip(reason)
			}
			all := map[string]Peer{p.Name(): p, "attls": InProcess{}}
			c := Case{p.Name(), "attls", scenario.Scenario{Attester: scenario.AttestNone, Fail: "untrusted-server"}}
			r := Run(t.Context(), c, all, Settings{})
			if r.Status != Passed || len(r.Ends) != 2 {
				t.Fatalf("%s: %s", r.Status, r.Reason)
			}
			client, server := &r.Ends[attls.RoleClient], &r.Ends[attls.RoleServer]
			if slices.Contains(terse, library(p.Name())) && client.AlertSent == nil {
				client.AlertSent = server.AlertReceived
			}
			if client.Error == nil || client.AlertSent == nil || server.AlertReceived == nil || client.AlertSent.Code != server.AlertReceived.Code ||
				client.AlertSent.Code != uint8(attls.AlertUnknownCA) && client.AlertSent.Code != uint8(attls.AlertBadCertificate) &&
					client.AlertSent.Code != uint8(attls.AlertCertificateUnknown) {
				t.Errorf("the client: %+v, %+v; the server: %+v", client.Error, client.AlertSent, server.AlertReceived)
			}
		})
	}
}

// TestReadPrograms: what programs print, as claims; words that the messages do
// not bear out are an error.
func TestReadPrograms(t *testing.T) {
	c := newClaims("gnutls", "", attls.RoleClient)
	const text = "|<4>| HSK[0x1]: HELLO RETRY REQUEST (1025) was received. Length 84\n" +
		"- Description: (TLS1.3-X.509)-(ECDHE-X25519)-(EdDSA-Ed25519)-(CHACHA20-POLY1305)\n|<4>| HSK[0x1]: verifying TLS 1.3 handshake data using EdDSA-Ed25519\n" +
		"- Application protocol: conform\n- Key material: 0a0b\n|<5>| REC: Sending Alert[1|0] - Close notify\n|<5>| REC[0x1]: Alert[2|40] - Handshake failed - was received\n"
	if err := builtin(t, "gnutls").read(&c, attls.RoleClient, text, "", false); err != nil {
		t.Fatal(err)
	}
	if c.Suite != "TLS_CHACHA20_POLY1305_SHA256" || c.Group != "x25519" || !c.HelloRetry || c.PeerSignature != "ed25519" || c.OwnSignature != "" ||
		c.ALPN != "conform" || c.Exporter != "0a0b" || c.AlertSent != nil || c.AlertReceived == nil || c.AlertReceived.Code != 40 {
		t.Errorf("%+v", c)
	}
	for _, test := range []struct{ claim, words, want string }{{"b", "a", ""}, {"b", "", "b"}, {"b", "B", "b"}, {"", "a", "a"}} {
		claim := test.claim
		if err := settle("suite", &claim, test.words); (err != nil) != (test.want == "") || err == nil && claim != test.want {
			t.Errorf("%+v: %q, %v", test, claim, err)
		}
	}
	content := ">>> TLS 1.3, Handshake [length 0005], EncryptedExtensions\n    08 00 00 02\n    00 00\n<<< TLS 1.3, Alert [length 0002], fatal decode_error\n    02 32\n" +
		"<<< TLS 1.2, RecordHeader [length 0005]\n    17 03 03 00 13\n"
	c = newClaims("openssl", "", attls.RoleServer)
	if err := builtin(t, "openssl").read(&c, attls.RoleServer, "", content, false); err != nil || c.AlertReceived == nil || c.AlertReceived.Code != 50 || c.State != "failed" {
		t.Errorf("%+v, %v", c, err)
	}
	c = newClaims("mbedtls", "", attls.RoleClient)
	dump := "ssl_msg.c:1: |4| dumping 'input payload after decrypt' (6 bytes)\nssl_msg.c:1: |4| 0000:  08 00 00 02 00 00      ......\n" +
		"ssl_msg.c:1: |2| got an alert message, type: [2:48]\n  ! mbedtls_ssl_handshake returned -0x7780\n"
	if err := readMbedTLS(&c, attls.RoleClient, dump); err != nil || c.AlertReceived == nil || c.AlertReceived.Code != 48 || c.Error == nil {
		t.Errorf("%+v, %v", c, err)
	}
}
