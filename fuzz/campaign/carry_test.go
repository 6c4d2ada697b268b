package campaign

import (
	"bytes"
	"slices"
	"testing"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/dissect"
	"attls/internal/rule"
)

// TestCapturesHaveTheExchange: the capture of a replayed input has the requests, authenticators and frames
// that the ends handed over, and decode reads what was done to them.
func TestCapturesHaveTheExchange(t *testing.T) {
	twice := Connection{Authenticators: true, ClientCertificate: true, Again: true}
	both := Connection{Attester: "both", Model: "evidence", Credential: "x509"}
	server := Connection{Attester: "server", Model: "evidence", Credential: "x509"}
	again := Connection{Attester: "both", Model: "evidence", Credential: "x509", ExtendedKeyUpdate: true, Again: true}
	for name, c := range map[string]struct {
		target string
		conn   Connection
		edit   *Edit
		bug    rule.Rule
		asked  int // requests
		shown  int // payloads with the binder of the connection
		found  attls.Failure
		alert  bool // the connection ends with one
		data   int  // items of application data that are shown as such
	}{
		"plain":               {TLS, twice, nil, "", 4, 0, "", false, 2},
		"plain, refused":      {TLS, twice, &Edit{Do: "authenticator", Number: 1, Answer: proofEmpty}, "", 2, 0, "", false, 2},
		"plain, finding":      {TLS, twice, &Edit{Do: "flip", Message: "Finished", Number: 2}, rule.FinishedVerified, 4, 0, attls.FailFinished, false, 2},
		"plain, context":      {TLS, twice, &Edit{Do: "authenticator", Number: 3, Answer: proofBefore}, rule.AuthenticatorContext, 4, 0, attls.FailRequestContext, false, 2},
		"expat":               {"seat-expat-04", both, nil, "", 2, 2, "", false, 2},
		"expat, again":        {"seat-expat-04", again, nil, "", 4, 4, "", false, 2},
		"expat, finding":      {"seat-expat-04", server, &Edit{Do: "verdict", Later: true}, "verdict-binder", 1, 0, attls.FailBinderMismatch, false, 2},
		"expat, signature":    {"seat-expat-04", server, &Edit{Do: "flip", Message: "CertificateVerify", Number: 1, At: 8}, "", 1, 0, attls.FailSignature, true, 2},
		"data without frames": {"deployed-cocos", server, nil, "", 1, 1, "", false, 2},
		"frames":              {"deployed-cmc", server, nil, "", 0, 0, "", false, 6},
	} {
		t.Run(name, func(t *testing.T) {
			x := target(t, c.target)
			in, plant := x.input(c.conn, attls.RoleServer), (*Plant)(nil)
			if c.edit != nil {
				in.Edits = []Edit{*c.edit}
			}
			if c.bug != "" {
				plant = &Plant{Role: attls.RoleClient, Profile: in.Profile, rule: c.bug}
			}
			if name == "plain, refused" {
				in.Attacker = "client"
			}
			without, err := Replay(in, plant, nil)
			if err != nil {
				t.Fatal(err)
			}
			var file bytes.Buffer
			shown, err := Replay(in, plant, &file)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(shown.Real, without.Real) || (c.bug != "") != (len(shown.Real) > 0) {
				t.Errorf("laws that are broken: %v, and %v without a capture", shown.Real, without.Real)
			}
			connections, keys, err := capture.ReadFile(&file)
			if err != nil || len(connections) != 1 {
				t.Fatalf("%d connections, %v", len(connections), err)
			}
			d := dissect.Dissect(connections[0], keys, x.Profile)
			asked, data, alerts, equal := 0, 0, 0, 0
			for _, s := range d.Ladder {
				switch s.What {
				case "CertificateRequest", "ClientCertificateRequest":
					asked++
				case "application data":
					data++
				}
				if s.Alert != nil {
					alerts++
				}
			}
			for _, a := range d.Attestation {
				if a.Comparison == dissect.Equal {
					equal++
				}
			}
			if c.conn.ClientCertificate {
				asked-- // in the handshake
			}
			if !d.Complete || asked != c.asked || equal != c.shown || data != c.data || (alerts > 0) != c.alert {
				t.Errorf("complete %v: %d requests, %d payloads, %d of data, %d alerts", d.Complete, asked, equal, data, alerts)
			}
			if c.found == "" && len(d.Findings) != 0 || c.found != "" && (len(d.Findings) == 0 || d.Findings[0].Failure != string(c.found)) {
				t.Errorf("%+v", d.Findings)
			}
			if t.Failed() {
				for _, s := range d.Ladder {
					t.Log(s.From, s.What, s.Octets)
				}
				t.Log(d.Notes)
			}
		})
	}
}
